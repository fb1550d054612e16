//! Text from documents as it may reach a terminal, and quantities as people write them.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

/// One line of text with everything escaped that would steer a terminal or turn the reading direction.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if steers(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// C0, DEL, C1, line and paragraph separators, bidirectional marks, embeddings, overrides and isolates.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `1h30m`, `5s`, `200ms`: as documents write durations.
pub fn duration(duration: Duration) -> String {
    let whole = duration.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let mut rest = whole;
    let mut text = String::new();
    for (unit, size) in units {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            // Writing to a String does not fail.
            let _ = write!(text, "{count}{unit}");
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A structure of ours as indented JSON with a final newline.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    // Structs of texts and numbers always have a JSON form.
    serde_json::to_string_pretty(value).map(|text| text + "\n").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown_instead() {
        assert_eq!(printable("Prüfe ☃ → b"), "Prüfe ☃ → b");
        assert_eq!(
            printable("a\u{1b}[31m\r\n\u{7f}\u{9b}\u{202e}b"),
            r"a\u{1b}[31m\r\n\u{7f}\u{9b}\u{202e}b"
        );
    }

    #[test]
    fn durations_read_as_they_are_written() {
        for (millis, text) in
            [(0, "0s"), (200, "200ms"), (1500, "1s500ms"), (5_400_000, "1h30m"), (172_800_000, "2d")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }
}
