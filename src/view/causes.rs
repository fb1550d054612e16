//! Failures grouped by their cause: the step, and its code or the message without what differs between items.

use std::collections::HashMap;

/// The most keys that are stored of a cause.
pub const KEYS: usize = 5;

/// The most causes that are distinguished.
const CAUSES: usize = 1000;

/// The failures of a run by cause.
#[derive(Clone, Debug, Default)]
pub struct Causes {
    causes: Vec<Cause>,
    places: HashMap<(Option<String>, String), usize>,
}

/// One cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The title of the step; `None` if no step failed.
    pub step: Option<String>,
    /// The code that the step gave the failures.
    pub code: Option<String>,
    /// The message of the first failure.
    pub message: String,
    pub count: u64,
    /// The keys of the first items.
    pub keys: Vec<String>,
}

impl Causes {
    /// Adds the failure of an item. Failures of a step with the same code, or without one and with messages that differ by
    /// items and numbers only, have the same cause. Returns its place.
    pub fn add(&mut self, step: Option<&str>, key: &str, message: &str, code: Option<&str>) -> usize {
        let same = code.map_or_else(|| pattern(message, key), |code| format!("code {code}"));
        let pattern = (step.map(str::to_owned), same);
        // Beyond the bound all belong to the last cause.
        let next = self.causes.len().min(CAUSES);
        let place = *self.places.entry(pattern.clone()).or_insert(next);
        if next == CAUSES && place == next {
            self.places.remove(&pattern);
        }
        match self.causes.get_mut(place) {
            Some(cause) => {
                cause.count += 1;
                if cause.keys.len() < KEYS && !cause.keys.iter().any(|known| known == key) {
                    cause.keys.push(key.to_owned());
                }
            }
            None if place == CAUSES => {
                let (message, keys) = ("other causes".to_owned(), vec![key.to_owned()]);
                self.causes.push(Cause { step: None, code: None, message, count: 1, keys });
            }
            None => {
                let keys = vec![key.to_owned()];
                let (step, code) = (step.map(str::to_owned), code.map(str::to_owned));
                self.causes.push(Cause { step, code, message: message.to_owned(), count: 1, keys });
            }
        }
        place
    }

    pub fn get(&self, place: usize) -> Option<&Cause> {
        self.causes.get(place)
    }

    pub fn is_empty(&self) -> bool {
        self.causes.is_empty()
    }

    /// The most frequent first, others in the order of their first failure.
    /// With their places.
    pub fn sorted(&self) -> Vec<(usize, &Cause)> {
        let mut causes: Vec<(usize, &Cause)> = self.causes.iter().enumerate().collect();
        causes.sort_by_key(|(_, cause)| std::cmp::Reverse(cause.count));
        causes
    }
}

/// The message without the key of its item and without numbers.
fn pattern(message: &str, key: &str) -> String {
    let message = match key.len() {
        0 | 1 => message.to_owned(),
        _ => message.replace(key, "KEY"),
    };
    let mut pattern = String::with_capacity(message.len());
    let mut is_code = false;
    for word in message.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        match digits {
            0 => pattern.push_str(word),
            // As in `exited with 65` or `status 503`.
            _ if is_code => pattern.push_str(word),
            // A number, or an id.
            _ => {
                pattern.push('0');
                pattern.extend(word.chars().last().filter(|last| !last.is_alphanumeric()));
            }
        }
        let bare = word.trim_end_matches(|c: char| !c.is_alphanumeric());
        if !bare.is_empty() {
            is_code = CODES.contains(&bare.to_lowercase().as_str());
        }
    }
    pattern
}

/// Words before a number that says what is wrong.
const CODES: [&str; 8] = ["with", "signal", "status", "http", "code", "error", "answered", "than"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_that_differ_only_by_item_and_numbers_have_one_cause() {
        let mut causes = Causes::default();
        for number in 0..12 {
            let key = format!("order_{number}");
            causes.add(Some("Pay"), &key, &format!("no account for {key} at 10:0{number}"), None);
        }
        causes.add(Some("Ship"), "order_1", "no account for order_1 at 10:01", None);
        causes.add(Some("Ship"), "order_2", "exited with 65: a", None);
        causes.add(Some("Ship"), "order_3", "exited with 75: a", None);
        causes.add(Some("Pay"), "order_3", "card declined", None);
        causes.add(Some("Pay"), "order_4", "card declined", None);
        for (key, card) in [("order_5", "visa"), ("order_6", "amex"), ("order_7", "visa")] {
            causes.add(Some("Pay"), key, &format!("{card} declined"), Some("declined"));
        }
        let sorted = causes.sorted();
        let told: Vec<_> =
            sorted.iter().map(|(_, cause)| (cause.count, &*cause.message, cause.keys.len())).collect();
        assert_eq!(
            told,
            [
                (12, "no account for order_0 at 10:00", KEYS),
                (3, "visa declined", 3),
                (2, "card declined", 2),
                (1, "no account for order_1 at 10:01", 1),
                (1, "exited with 65: a", 1),
                (1, "exited with 75: a", 1),
            ]
        );
    }

    #[test]
    fn the_number_of_causes_is_bounded() {
        let mut causes = Causes::default();
        let word = |mut number: u32| {
            let mut word = String::new();
            while number > 0 {
                word.push(char::from(b'a' + u8::try_from(number % 26).unwrap()));
                number /= 26;
            }
            word
        };
        for number in 0..3000 {
            causes.add(None, "k", &word(number), None);
        }
        let sorted = causes.sorted();
        let (_, first) = sorted[0];
        assert_eq!((sorted.len(), first.count, &*first.message), (CAUSES + 1, 2000, "other causes"));
    }
}
