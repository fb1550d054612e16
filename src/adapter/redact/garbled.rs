//! A secret as it looks where a program has written it in another encoding than UTF-8, or has read it in another one. What
//! is ASCII stays as it is in all of them, so it would tell the most of the secret.

use super::TELLING;

/// What stands for a character that is not ASCII: the bytes that are no UTF-8, or what a program writes that has no
/// such character.
const UNKNOWN: [char; 2] = [char::REPLACEMENT_CHARACTER, '?'];

/// The forms of a text, none where it is ASCII.
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
    // UTF-8 that was read as Latin-1, and Latin-1 that was read as UTF-8 where some of it looks like that.
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

/// How many characters of the secret a form tells.
pub(super) fn told(form: &str) -> usize {
    form.chars().filter(|letter| tells(*letter)).count()
}

/// So many bytes of a form are as good as all of it, if they are fewer.
pub(super) fn telling(form: &str) -> Option<usize> {
    let told = form.char_indices().filter(|(_, letter)| tells(*letter));
    told.map(|(at, _)| at + 1).nth(TELLING - 1)
}
