//! Titles in readable form: without the marks of markdown, with entities resolved. Two texts name one step if their
//! readable forms are equal, apart from leading numbers.

use crate::value::space::{is_space, is_unseen};
use nom::Parser as _;
use nom::branch::alt;
use nom::character::complete::{char, digit1, one_of, space1};
use nom::combinator::{recognize, verify};
use nom::multi::separated_list1;
use pulldown_cmark::{Event, Options, Parser};

/// Put before a title while it is parsed, so that it does not begin a list or a quote.
const AHEAD: &str = "x ";

/// HTML elements that only format text.
const MARKS: [&str; 15] =
    ["a", "b", "code", "del", "em", "i", "kbd", "mark", "s", "small", "span", "strong", "sub", "sup", "u"];

/// The readable form of a text on one line.
pub fn read(written: &str) -> String {
    if is_readable(written) {
        return written.to_owned();
    }
    let marked = written.contains(['*', '_', '`', '&', '\\', '<', '[', '~']);
    if marked { spaced(&unmarked(written)) } else { spaced(written) }
}

/// Whether a text is its own readable form, as most titles are: ASCII words with one space between them.
fn is_readable(text: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/' | b'.' | b',' | b'(' | b')');
    let mut apart = true;
    for byte in text.bytes() {
        match byte {
            b' ' if apart => return false,
            b' ' => apart = true,
            byte if plain(byte) => apart = false,
            _ => return false,
        }
    }
    !apart || text.is_empty()
}

/// The form for comparing references and titles: readable, without leading numbers, and without white space around
/// `/`.
pub fn key(written: &str) -> String {
    let read = read(written);
    let numbered = read.starts_with(|c: char| c.is_ascii_digit());
    if !numbered && !read.contains('/') {
        return read;
    }
    read.split('/').map(|part| unnumbered(part.trim())).collect::<Vec<_>>().join("/")
}

/// The length of a leading `1.`, `2)`, `1.2` or `1.2.` with the white space behind it.
pub(super) fn ordinal(title: &str) -> usize {
    let numbers = |fewest| {
        let numbers = separated_list1(char::<&str, nom::error::Error<&str>>('.'), digit1);
        verify(numbers, move |numbers: &Vec<&str>| numbers.len() >= fewest)
    };
    let marked = recognize((numbers(1), one_of(".)"), space1));
    let found = alt((marked, recognize((numbers(2), space1)))).parse(title);
    found.map_or(0, |(rest, ordinal)| if rest.is_empty() { 0 } else { ordinal.len() })
}

fn unnumbered(mut title: &str) -> &str {
    loop {
        match ordinal(title) {
            0 => return title,
            length => title = &title[length..],
        }
    }
}

/// The title without a label in front, as in `Step 2: Pay`.
pub fn unlabelled(title: &str) -> Option<&str> {
    let (label, bare) = title.split_once([':', '.', ')', '\u{2013}', '\u{2014}'])?;
    let mut words = label.split_whitespace();
    let known = ["step", "task", "phase", "stage", "part"];
    let named = words.next().is_some_and(|word| known.contains(&word.to_lowercase().as_str()));
    let bare = bare.trim();
    (named && words.count() <= 1 && !bare.is_empty()).then_some(bare)
}

/// One space between words, and nothing that is not seen.
fn spaced(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !is_unseen(*c)) {
        match is_space(c) {
            true if spaced.is_empty() || spaced.ends_with(' ') => {}
            true => spaced.push(' '),
            false => spaced.push(c),
        }
    }
    spaced.truncate(spaced.trim_end().len());
    spaced
}

fn unmarked(written: &str) -> String {
    let line = format!("{AHEAD}{}", written.replace(['\n', '\r'], " "));
    let mut read = String::with_capacity(line.len());
    for event in Parser::new_ext(&line, Options::ENABLE_STRIKETHROUGH) {
        match event {
            Event::Text(text) | Event::Code(text) => read.push_str(&text),
            Event::InlineHtml(tag) => match element(&tag) {
                "br" => read.push(' '),
                name if MARKS.contains(&name) || tag.starts_with("<!--") => {}
                _ => read.push_str(&tag),
            },
            Event::SoftBreak | Event::HardBreak => read.push(' '),
            _ => {}
        }
    }
    read.strip_prefix(AHEAD).map(str::to_owned).unwrap_or(read)
}

/// The name of a tag's element.
fn element(tag: &str) -> &str {
    let name = tag.trim_start_matches(['<', '/']);
    name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_what_is_read() {
        for (written, expected) in [
            ("**Step** Two", "Step Two"),
            ("Step &amp; Two", "Step & Two"),
            ("Step\u{a0}Two  Three\u{feff}", "Step Two Three"),
            ("Run `make` in [the folder](x.md)", "Run make in the folder"),
            ("snake_case_title", "snake_case_title"),
            ("2 * 3 \\* 4", "2 * 3 * 4"),
            ("Re\u{ad}ad <b>this</b> of Map<String>", "Read this of Map<String>"),
            ("- no *list*", "- no list"),
            ("~~Old~~ _new_", "Old new"),
            ("Fix C# &", "Fix C# &"),
        ] {
            assert_eq!(read(written), expected, "{written}");
        }
    }

    #[test]
    fn numbers_and_space_do_not_tell_titles_apart() {
        for (written, expected) in [
            ("2. Step Two", "Step Two"),
            ("**2.1** Step Two", "Step Two"),
            ("1. Reviews / 1.2) Check  Facts", "Reviews/Check Facts"),
            ("3 Ways To Pay", "3 Ways To Pay"),
            ("1.", "1."),
        ] {
            assert_eq!(key(written), expected, "{written}");
        }
    }
}
