//! The pieces of sentences that messages share: counts, lists, suggestions, excerpts, durations. Knows no message.
//! It is in this room because every other room may use it.

use std::fmt::Display;
use std::time::Duration;

/// The longest excerpt, in characters.
const EXCERPT: usize = 40;

/// `1 item`, `3 items`, `2 processes`: a number with its noun, given as one.
pub fn count<N: Display + PartialEq + From<u8>>(count: N, what: &str) -> String {
    let ending = match what.ends_with('s') {
        _ if count == N::from(1) => "",
        true => "es",
        false => "s",
    };
    format!("{count} {what}{ending}")
}

/// The form of a word or phrase for one thing or for any other number of them: `is` or `are`.
pub fn by_count<'a, N: PartialEq + From<u8>>(count: N, one: &'a str, several: &'a str) -> &'a str {
    if count == N::from(1) { one } else { several }
}

/// A number with its thousands apart, such as `20,000`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 token`, `20,000 tokens`.
pub fn tokens(count: u64) -> String {
    format!("{} {}", number(count), by_count(count, "token", "tokens"))
}

/// A name as messages show names.
pub fn code(name: impl Display) -> String {
    format!("`{name}`")
}

/// `a`, `a and b`, `a, b and c`; empty without names.
pub fn and(names: impl IntoIterator<Item = impl Display>) -> String {
    joined(names, "and")
}

/// `a`, `a or b`, `a, b or c`; empty without names.
pub fn or(names: impl IntoIterator<Item = impl Display>) -> String {
    joined(names, "or")
}

fn joined(names: impl IntoIterator<Item = impl Display>, word: &str) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    match names.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, before)) => format!("{} {word} {last}", before.join(", ")),
    }
}

/// `a, b and 3 more`: the first names of a list of `all` names.
pub fn first(names: impl IntoIterator<Item = impl Display>, most: usize, all: usize) -> String {
    let names: Vec<String> = names.into_iter().take(most).map(|name| name.to_string()).collect();
    match all.saturating_sub(names.len()) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// The question whether a name was meant.
pub fn did_you_mean(name: impl Display) -> String {
    format!("did you mean `{name}`?")
}

/// The beginning of a text on one line. Quotes and backslashes stay as they are, so that a secret among them is
/// recognised.
pub fn excerpt(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(EXCERPT) {
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    if text.chars().nth(EXCERPT).is_some() {
        shown.push('…');
    }
    shown
}

/// `90m`, `2h`, `1500ms`: one number and one unit, the largest that leaves no rest, so that documents may say it the
/// same way. The friendly format of jiff was considered and does not fit: it prints `1h 30m`, and its durations have
/// no days.
pub fn duration(duration: Duration) -> String {
    let whole = duration.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    match units.into_iter().find(|(_, size)| whole.is_multiple_of(*size)) {
        _ if whole == 0 => "0s".to_owned(),
        Some((unit, size)) => format!("{}{unit}", whole / size),
        None => format!("{whole}ms"),
    }
}

/// A measured time with the precision of a reader: in whole seconds, and from an hour on in whole minutes.
pub fn measured(time: Duration) -> String {
    let unit = match time.as_secs() {
        0 => return duration(time),
        1..3600 => 1,
        _ => 60,
    };
    duration(Duration::from_secs(time.as_secs() / unit * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_nouns_and_verbs() {
        assert_eq!([0, 1, 2].map(|n: usize| count(n, "item")), ["0 items", "1 item", "2 items"]);
        assert_eq!([1, 3].map(|n: u64| count(n, "process")), ["1 process", "3 processes"]);
        assert_eq!([0, 1, 2].map(|n: u32| by_count(n, "is", "are")), ["are", "is", "are"]);
    }

    #[test]
    fn lists_are_joined_by_a_word_and_cut_with_a_count() {
        let names = ["a", "b", "c"];
        assert_eq!([0, 1, 2, 3].map(|n| and(&names[..n])), ["", "a", "a and b", "a, b and c"]);
        assert_eq!(or(names.map(code)), "`a`, `b` or `c`");
        assert_eq!([2, 3].map(|most| first(names, most, 3)), ["a, b and 1 more", "a, b, c"]);
        assert_eq!(first(names, 10, 12), "a, b, c and 9 more");
    }

    #[test]
    fn excerpts_have_one_line_and_an_end() {
        assert_eq!(excerpt("a \"b\"\n\u{1b}c"), "a \"b\"\\n\\u{1b}c");
        assert_eq!(excerpt(&"x".repeat(40)), "x".repeat(40));
        assert_eq!(excerpt(&"é".repeat(41)), "é".repeat(40) + "…");
    }

    #[test]
    fn durations_have_one_number_and_one_unit() {
        for (millis, text) in [
            (0, "0s"),
            (200, "200ms"),
            (1500, "1500ms"),
            (90_000, "90s"),
            (5_400_000, "90m"),
            (172_800_000, "2d"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
        for (millis, text) in [(9, "9ms"), (2009, "2s"), (3_599_999, "3599s"), (3_723_456, "62m")] {
            assert_eq!(measured(Duration::from_millis(millis)), text);
        }
    }
}
