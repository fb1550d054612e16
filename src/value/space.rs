//! White space of all keyboards, and invisible characters. Any character that looks like a space counts as one,
//! everywhere.

use std::borrow::Cow;

/// Whether a character is white space, or has no width: a no-break space, a full-width space, a byte order mark.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || is_unseen(c)
}

/// Whether a character takes no room and turns nothing but the direction of text: it is pasted unseen. Joiners are
/// letters in some languages, so they are none of these.
pub fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
    ) || matches!(c, '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A text without white space at either end.
pub fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// White space that markdown does not take for any.
fn is_strange(c: char) -> bool {
    !matches!(c, ' '..='~' | '\t' | '\n' | '\r') && is_space(c)
}

/// The most spaces before a markdown block; with more it is code.
const INDENT: usize = 3;

/// The same text with plain spaces for all other white space, as many bytes long, so that every place in it is the
/// same. Strange spaces that begin a line never make code of it: they stay, or are line ends where a block begins.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(is_strange) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for line in text.split_inclusive(['\n', '\r']) {
        let rest = line.trim_start_matches(|c| is_space(c) && !matches!(c, '\n' | '\r'));
        let indent = &line[..line.len() - rest.len()];
        let begins = rest.starts_with(['#', '>', '|']) || rest.starts_with("```") || rest.starts_with("~~~");
        match indent.contains(is_strange) && indent.len() > INDENT {
            true if begins => plain.extend(std::iter::repeat_n('\n', indent.len())),
            true => plain.push_str(indent),
            false => spaced(indent, &mut plain),
        }
        spaced(rest, &mut plain);
    }
    Cow::Owned(plain)
}

fn spaced(text: &str, into: &mut String) {
    for c in text.chars() {
        if is_strange(c) { into.extend(std::iter::repeat_n(' ', c.len_utf8())) } else { into.push(c) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_spaces_are_plain_ones_of_the_same_length() {
        for (text, expected) in [
            ("If\u{a0}ok", "If  ok"),
            ("a\u{3000}→\u{202f}b\u{2009}", "a   →   b   "),
            ("\u{feff}## A\n", "   ## A\n"),
            ("x\n\u{3000}\u{3000}## A", "x\n\n\n\n\n\n\n## A"),
            ("\u{3000}\u{3000}If\u{b}b", "\u{3000}\u{3000}If b"),
            ("\u{200d}\u{200c}é", "\u{200d}\u{200c}é"),
        ] {
            assert_eq!(plain(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn places_stay(text in "[a#>` \n\r\t\u{a0}\u{3000}\u{feff}é→]{0,40}") {
            let plain = plain(&text);
            prop_assert_eq!(plain.len(), text.len());
            for (at, c) in text.char_indices().filter(|(_, c)| !is_space(*c)) {
                prop_assert!(plain[at..].starts_with(c));
            }
        }
    }
}
