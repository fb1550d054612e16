//! Redacts the last words of a running attempt: the end of a text that may still grow.

use super::{Found, Needle, Redactor, TELLING, View, longer, replace};
use crate::event::ItemId;
use std::sync::Arc;

impl Redactor {
    /// This redactor with the secrets of these items, too.
    pub fn of_items(&self, items: impl IntoIterator<Item = ItemId>) -> Redactor {
        let learned = items.into_iter().flat_map(|item| self.learned_by(Some(item)));
        let needles: Vec<Arc<Needle>> = self.known.needles.iter().cloned().chain(learned).collect();
        self.of(needles)
    }

    /// Redacts a text that may be the end of a longer one. With `is_open`, more of it is to come, so an end that may
    /// begin a secret is left out.
    pub fn last_words(&self, text: &mut String, is_open: bool) {
        if self.is_empty() {
            return;
        }
        let mut found = self.at_start(text);
        found.extend(self.within(text));
        found.extend(self.around(text));
        for view in View::all(text) {
            let all = view.units.len();
            for needle in &self.known.needles {
                let begun = if is_open { needle.at_end(&view.units) } else { 0 };
                if begun * 2 >= needle.telling {
                    let start = view.bytes(all - begun..all).start;
                    found.push(Found { bytes: start..text.len(), mark: "" });
                }
            }
        }
        replace(text, found);
    }

    /// All of a text that is the middle of a secret.
    pub(super) fn around(&self, text: &str) -> Vec<Found<'_>> {
        let mut found = Vec::new();
        for view in View::all(text) {
            let surrounding = self.known.needles.iter().filter(|needle| needle.surrounds(&view.units));
            found.extend(surrounding.map(|needle| Found { bytes: 0..text.len(), mark: &needle.mark }));
        }
        found
    }
}

impl Needle {
    /// How many units at the end are a start of the needle.
    pub(super) fn at_end(&self, units: &[u16]) -> usize {
        units.iter().fold(0, |length, unit| longer(&self.units, &self.back, length, *unit))
    }

    /// Whether the units are a part of a longer needle.
    fn surrounds(&self, units: &[u16]) -> bool {
        let is_telling = units.len() >= TELLING && units.len() < self.units.len();
        is_telling && self.units.windows(units.len()).any(|part| part == units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(redactor: &Redactor, text: &str, is_open: bool) -> String {
        let mut text = text.to_owned();
        redactor.last_words(&mut text, is_open);
        text
    }

    /// However the words arrive, no part of a secret is shown that says much of it.
    #[test]
    fn an_open_text_never_shows_more_than_a_little_of_a_secret() {
        for (secret, most) in
            [("hunter2", 3), ("hunter22", 3), ("abcd", 1), ("a-very-long-secret-of-many", 3)]
        {
            let redactor = Redactor::new([("KEY", secret)]);
            let whole = format!("use {secret} now");
            for end in 0..=whole.len() {
                let shown = redacted(&redactor, &whole[..end], true);
                let longest = (0..secret.len()).rev().find(|length| shown.contains(&secret[..*length]));
                assert!(longest <= Some(most), "{shown}");
            }
            assert_eq!(redacted(&redactor, &whole, true), "use [secret:KEY] now");
        }
        let redactor = Redactor::new([("KEY", "hunter22")]);
        assert_eq!(redacted(&redactor, "a hunter", true), "a ");
        assert_eq!(redacted(&redactor, "a hunter", false), "a hunter");
        assert_eq!(redacted(&redactor, r#"{"a":"hunt\u0065r"#, true), r#"{"a":""#);
    }

    /// The words may be cut anywhere in a secret that is longer than they are.
    #[test]
    fn the_middle_of_a_long_secret_is_redacted() {
        let secret: String = (0..2000).map(|number| format!("{number:x}-")).collect();
        let redactor = Redactor::new([("KEY", secret.as_str())]);
        for part in [&secret[1000..2000], &secret[..1000], &secret[5000..]] {
            assert_eq!(redacted(&redactor, part, true), "[secret:KEY]");
        }
        assert_eq!(redacted(&redactor, &format!("{} end", &secret[5000..]), false), "[secret:KEY] end");
    }
}
