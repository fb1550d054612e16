//! The forms of a secret after a program has written it in an encoding other than UTF-8, or has read it in a wrong
//! one. ASCII characters are the same in all of them, so they would reveal most of the secret.

use super::TELLING;

/// Replacements for a character that is not ASCII: for invalid UTF-8, or by a program whose encoding lacks the
/// character.
const UNKNOWN: [char; 2] = [char::REPLACEMENT_CHARACTER, '?'];

/// The forms of a text; empty if it is ASCII.
pub(super) fn all(text: &str) -> Vec<String> {
    if text.is_ascii() {
        return Vec::new();
    }
    let by_letter = |unknown: char| text.chars().map(|c| if c.is_ascii() { c } else { unknown }).collect();
    let by_byte = |other: &dyn Fn(u8) -> char| {
        text.bytes().map(|byte| if byte.is_ascii() { byte.into() } else { other(byte) }).collect()
    };
    let mut forms: Vec<String> = UNKNOWN.into_iter().map(by_letter).collect();
    forms.extend(UNKNOWN.map(|unknown| by_byte(&|_| unknown)));
    // UTF-8 that was read as Latin-1, and Latin-1 that was read as UTF-8, if part of it looks like UTF-8.
    forms.push(by_byte(&char::from));
    let latin: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    forms.extend(latin.map(|latin| String::from_utf8_lossy(&latin).into_owned()));
    forms.sort_unstable();
    forms.dedup();
    forms
}

fn tells(letter: char) -> bool {
    letter.is_ascii() && !UNKNOWN.contains(&letter)
}

/// How many characters of the secret a form reveals.
pub(super) fn revealed(form: &str) -> usize {
    form.chars().filter(|letter| tells(*letter)).count()
}

/// The number of bytes of a form that reveal as much as all of it, if that is fewer.
pub(super) fn telling(form: &str) -> Option<usize> {
    let revealing = form.char_indices().filter(|(_, letter)| tells(*letter));
    revealing.map(|(at, _)| at + 1).nth(TELLING - 1)
}
