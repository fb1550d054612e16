//! Conditions in other signs and words, in the right ones.

use super::alternatives;
use super::is_name;
use crate::condition;
use crate::spec::decision;

/// A condition with other signs, such as `!paid` or `state = ("a", "b")`; with words, such as `total is over 100`.
pub(in crate::spec) fn condition(text: &str) -> Option<String> {
    let sound = |text: &str| condition::parse(text).is_ok_and(|condition| !condition.names().is_empty());
    if sound(text) {
        return Some(text.to_owned());
    }
    if let Some(right) = alternatives::as_list(text) {
        return Some(right);
    }
    let said = || decision::in_signs(text).filter(|right| !compares_words(right));
    Some(signs(text)).filter(|right| sound(right)).or_else(said)
}

/// What `review is approved` may say.
pub(in crate::spec) fn is_word(text: &str) -> Option<String> {
    let right = decision::in_signs(text).filter(|right| compares_words(right))?;
    let words: Vec<&str> = right.split_whitespace().collect();
    let at = words.iter().position(|word| matches!(*word, "==" | "!="))?;
    let (left, not) = (words.get(at.checked_sub(1)?)?, if words[at] == "!=" { "not " } else { "" });
    let word = words.get(at + 1)?.trim_end_matches(')');
    Some(format!(
        "write `{not}{left}.{word}` if it has such a member, or compare a text, as in `{left} {} \"{word}\"`",
        words[at]
    ))
}

/// Whether a condition compares something with a plain word, as `review == approved` for `review is approved`: the word
/// may be a text, a member or a value.
fn compares_words(condition: &str) -> bool {
    let words: Vec<&str> = condition.split_whitespace().collect();
    words.windows(2).any(|pair| {
        let word = pair[1].trim_end_matches(')');
        matches!(pair[0], "==" | "!=")
            && is_name(word)
            && !word.contains('.')
            && !["true", "false", "none"].contains(&word)
    })
}

/// The opposite of a condition.
pub(in crate::spec) fn opposite(condition: &str) -> String {
    let Some(positive) = condition.strip_prefix("not ") else { return format!("not ({condition})") };
    match positive.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        _ if is_name(positive) => positive.to_owned(),
        Some(inner) if is_whole(inner) => inner.to_owned(),
        _ => format!("not ({condition})"),
    }
}

/// Whether each bracket that a text opens is closed in it, and no other one: those around it belong together.
fn is_whole(text: &str) -> bool {
    let (mut depth, mut quote) = (0_u32, None);
    for c in text.chars() {
        match c {
            _ if quote == Some(c) => quote = None,
            _ if quote.is_some() => {}
            '"' | '\'' => quote = Some(c),
            '(' => depth += 1,
            ')' => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            _ => {}
        }
    }
    depth == 0
}

/// Other signs in an expression as the right ones; texts in quotes stay.
pub(in crate::spec) fn signs(text: &str) -> String {
    const SIGNS: [(&str, &str); 17] = [
        ("===", "=="),
        ("!==", "!="),
        ("==", "=="),
        ("!=", "!="),
        ("<=", "<="),
        (">=", ">="),
        ("<>", "!="),
        ("=<", "<="),
        ("=", "=="),
        ("!", "not "),
        ("\u{2260}", "!="),
        ("\u{2264}", "<="),
        ("\u{2265}", ">="),
        ("\u{ac}", "not "),
        ("&&", "and"),
        ("||", "or"),
        ("\u{2227}", "and"),
    ];
    const WORDS: [(&str, &str); 6] =
        [("AND", "and"), ("OR", "or"), ("NOT", "not"), ("IN", "in"), ("And", "and"), ("Or", "or")];
    let (mut right, mut at, mut quote) = (String::with_capacity(text.len() + 8), 0, None);
    let lists = lists(text);
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if let Some(closing) = quote {
            let closes = c == closing;
            right.push(if matches!(c, '\u{201c}' | '\u{201d}') && closes { '"' } else { c });
            quote = if closes { None } else { quote };
            at += c.len_utf8();
        } else if matches!(c, '"' | '\'' | '\u{201c}') {
            quote = Some(if c == '\u{201c}' { '\u{201d}' } else { c });
            right.push(if c == '\u{201c}' { '"' } else { c });
            at += c.len_utf8();
        } else if lists.contains(&at) {
            right.push(if c == '(' { '[' } else { ']' });
            at += 1;
        } else if let Some((sign, meant)) = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
            right.push_str(meant);
            at += sign.len();
            if meant.ends_with(' ') {
                at += text[at..].len() - text[at..].trim_start().len();
            }
        } else if c.is_alphabetic() {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let word = &rest[..end];
            right.push_str(WORDS.iter().find(|(other, _)| *other == word).map_or(word, |(_, meant)| meant));
            at += end;
        } else {
            right.push(c);
            at += c.len_utf8();
        }
    }
    right
}

/// The round brackets that hold several values: those of a list.
fn lists(text: &str) -> Vec<usize> {
    let (mut open, mut found, mut quoted) = (Vec::new(), Vec::new(), None);
    for (at, c) in text.char_indices() {
        match c {
            _ if quoted == Some(c) => quoted = None,
            _ if quoted.is_some() => {}
            '"' | '\'' => quoted = Some(c),
            '(' => open.push((at, false)),
            ',' => {
                if let Some((_, list)) = open.last_mut() {
                    *list = true;
                }
            }
            ')' => {
                if let Some((from, true)) = open.pop() {
                    found.extend([from, at]);
                }
            }
            _ => {}
        }
    }
    found
}
