//! Types of other languages, and how a signature writes them here.

use crate::spec::signature::is_name;
use crate::value::LIKE_BUILT_IN;

/// Types of other languages in a signature: `List<T>`, `[T]`, `array of T`, `T | null` as `T[]` and `T?`. `None`
/// without such a type.
pub(in crate::spec) fn types(line: &str) -> Option<String> {
    let mut right = String::with_capacity(line.len());
    let (mut rest, mut found) = (line, false);
    while let Some(at) = rest.find("::") {
        let (before, after) = rest.split_at(at + 2);
        right.push_str(before);
        let spaces = after.len() - after.trim_start_matches([' ', '`']).len();
        let (gap, after) = after.split_at(spaces);
        let end = end_of_type(after);
        let written = after[..end].trim_end_matches([' ', '`']);
        match spelling(written).filter(|right| right != written) {
            Some(meant) => {
                right.push_str(&meant);
                found = true;
            }
            None => right.push_str(&[gap, written].concat()),
        }
        rest = &after[written.len()..];
    }
    right.push_str(rest);
    let listed = untyped(&right);
    if found || listed.is_some() { Some(listed.unwrap_or(right)) } else { None }
}

/// `stories[]`, a list that does not say of what, as `stories::JSON[]`.
fn untyped(line: &str) -> Option<String> {
    let mut right = String::with_capacity(line.len() + 8);
    let mut found = false;
    for word in line.split_inclusive([' ', ',', '\u{2192}']) {
        let bare = word.trim_end_matches([' ', ',', '\u{2192}', '?']);
        let name = bare.strip_suffix("[]").filter(|name| is_name(name) && !right.trim_end().ends_with("::"));
        match name {
            Some(name) => {
                found = true;
                right.push_str(&format!("{name}::JSON[]{}", &word[bare.len()..]));
            }
            None => right.push_str(word),
        }
    }
    found.then_some(right)
}

/// Where a type ends: before a comma or an arrow outside of its brackets.
fn end_of_type(text: &str) -> usize {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '<' | '[' | '(' => depth += 1,
            '>' if text[..at].ends_with('-') && depth == 0 => return at - 1,
            '>' | ']' | ')' => depth = depth.saturating_sub(1),
            ',' | '\u{2192}' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

/// The right spelling of one type.
fn spelling(written: &str) -> Option<String> {
    const LISTS: [&str; 9] =
        ["List", "Array", "Set", "Sequence", "Vec", "list", "array", "Iterable", "Collection"];
    const MAYBE: [&str; 4] = ["Optional", "Option", "Maybe", "Nullable"];
    let written = written.trim();
    if written.len() > 100 {
        return None;
    }
    let inner = |names: &[&str]| {
        let (name, rest) = written.split_once(['<', '['])?;
        let rest = rest.strip_suffix(['>', ']'])?;
        names.contains(&name).then(|| spelling(rest)).flatten()
    };
    if let Some(one) = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Some(spelling(one)? + "[]");
    }
    for words in ["array of ", "list of ", "Array of ", "List of ", "lists of ", "set of "] {
        if let Some(one) = written.strip_prefix(words) {
            return Some(spelling(one)? + "[]");
        }
    }
    if let Some(one) = inner(&LISTS) {
        return Some(one + "[]");
    }
    if let Some(one) = inner(&MAYBE) {
        return Some(one + "?");
    }
    for null in ["| null", "|null", "| None", "| undefined"] {
        if let Some(one) = written.strip_suffix(null) {
            return Some(spelling(one)? + "?");
        }
    }
    let name = |c: char| c.is_alphanumeric() || "_-.[]?".contains(c);
    (!written.is_empty() && written.starts_with(char::is_alphabetic) && written.chars().all(name)).then(
        || {
            let like = LIKE_BUILT_IN.iter().find(|(other, _)| *other == written);
            like.map_or_else(|| written.to_owned(), |(_, built_in)| (*built_in).to_owned())
        },
    )
}
