//! The last words of a running step as one line of the progress display. Knows nothing of the display.

use crate::diag::render::visible;
use anstream::adapter::strip_str;
use unicode_width::UnicodeWidthChar;

/// The line for the step of this name that runs for this time, in at most this many columns.
pub fn line(time: &str, name: &str, words: &str, columns: usize) -> String {
    let name = plain(name);
    // Of a line that is still growing, the end matters.
    let is_whole = words.ends_with(['\n', '\r']);
    let words = plain(words.split(['\n', '\r']).rfind(|line| !plain(line).is_empty()).unwrap_or_default());
    if words.is_empty() {
        return begin(&format!("{time:>10}  {name}"), columns);
    }
    let start = format!("{time:>10}  {}: ", begin(&name, columns / 2));
    let room = columns.saturating_sub(width(&start));
    let words = if is_whole { words } else { end(&words, room) };
    begin(&format!("{start}{words}"), columns)
}

/// A line in at most this many columns.
pub fn cut(line: &str, columns: usize) -> String {
    begin(&plain_line(line), columns)
}

fn plain_line(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).collect()
}

/// Without what a terminal would obey.
fn plain(text: &str) -> String {
    let text = strip_str(text).to_string();
    let printed = text.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !c.is_control());
    visible(printed.collect::<String>().trim())
}

fn columns_of(c: char) -> usize {
    c.width().unwrap_or(0)
}

pub fn width(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// The beginning of a text that is too wide.
fn begin(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut shown: String = fitting(text.chars(), columns.saturating_sub(1)).collect();
    shown.push('…');
    shown
}

/// The end of a text that is too wide.
fn end(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let shown: Vec<char> = fitting(text.chars().rev(), columns.saturating_sub(1)).collect();
    std::iter::once('…').chain(shown.into_iter().rev()).collect()
}

fn fitting(characters: impl Iterator<Item = char>, columns: usize) -> impl Iterator<Item = char> {
    let mut left = Some(columns);
    characters.take_while(move |c| {
        left = left.and_then(|left| left.checked_sub(columns_of(*c)));
        left.is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_shown_within_the_width() {
        let line = |name: &str, words: &str, columns| line("3.1 s", name, words, columns);
        assert_eq!(line("a: Write", "Dear Ada,\n\nthank you\n\n", 40), "     3.1 s  a: Write: thank you");
        assert_eq!(line("a: Write", "10 %\r20 %\r", 40), "     3.1 s  a: Write: 20 %");
        assert_eq!(line("a: Write", "\n", 40), "     3.1 s  a: Write");
        assert_eq!(line("a: Write", "one two three four", 30), "     3.1 s  a: Write: …ee four");
        assert_eq!(line("a: Write", "one two three four\n", 30), "     3.1 s  a: Write: one two…");
        assert_eq!(line("a: Write the letter", "one two three", 30), "     3.1 s  a: Write the l…: …");
        assert_eq!(line("a", "漢字漢字漢字", 22), "     3.1 s  a: …字漢字");
        for columns in 0..30 {
            let shown = line("a: Write", &"漢e\u{301}".repeat(100), columns);
            assert!(width(&shown) <= columns.max(1), "{shown}");
        }
    }

    #[test]
    fn control_characters_and_escapes_are_removed() {
        let shown = line(
            "",
            "a\u{1b}[2J: W\u{7}",
            "\u{1b}]0;title\u{7}x\u{1b}[31mred\u{1b}[0m\tok\u{202e}\u{9b}2J",
            60,
        );
        assert_eq!(shown.trim_start(), "a: W: xred ok\u{fffd}2J");
        assert_eq!(line("", "a", "words\n\u{1b}[0m\n\u{7}\n", 60).trim_start(), "a: words");
    }
}
