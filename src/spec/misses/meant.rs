//! What a bracket of a title, or the text of a line, is meant as.

use super::LINES;
use crate::condition;
use crate::diag::Span;
use crate::spec::decision::Known;
use crate::spec::field;
use crate::spec::heading::Head;
use crate::spec::near::{self, Meant};
use crate::spec::signature;
use crate::spec::title;
use crate::spec::titles::Titles;

/// The brackets of a title that are meant as annotations, with the right ones.
pub(in crate::spec) fn brackets(text: &str, head: &Head, titles: &Titles) -> Vec<(Span, String)> {
    let title = &text[head.title.start..head.title.end];
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = title[at..].find(['(', '[', '{']).map(|open| at + open) {
        let closing = match title.as_bytes()[open] {
            b'(' => ')',
            b'[' => ']',
            _ => '}',
        };
        let Some(close) = title[open..].find(closing).map(|close| open + close) else { break };
        let whole = Span::new(head.title.start + open, head.title.start + close + 1);
        let apart = open == 0 || title[..open].ends_with([' ', '\t']);
        if let Some(right) = annotation(&title[open..=close], titles).filter(|_| apart) {
            found.push((whole, right));
        }
        at = close + 1;
    }
    found
}

/// What a bracket is meant as.
pub(super) fn annotation(bracket: &str, titles: &Titles) -> Option<String> {
    let inner = bracket.get(1..bracket.len() - 1)?;
    if let Some(word) = near::word(inner) {
        return Some(word.to_owned());
    }
    if inner.contains("::") {
        return None;
    }
    let words: Vec<&str> = inner.split_whitespace().collect();
    if let ["for" | "foreach" | "for-each" | "each", ..] = words.as_slice()
        && let Some(each) = near::each(inner)
    {
        return Some(format!("[each:: {each}]"));
    }
    if let [word @ ("if" | "when" | "unless" | "only"), rest @ ..] = words.as_slice() {
        let rest = if *word == "only" { rest.get(1..)? } else { rest };
        let right = near::condition(&rest.join(" ")).filter(|right| is_known(right, titles))?;
        let right = if *word == "unless" { near::opposite(&right) } else { right };
        return Some(format!("[when:: {right}]"));
    }
    if inner.contains("retr")
        && let Some(times) = near::times(inner)
    {
        return Some(format!("[retry:: {times}]"));
    }
    // `{agent=bank, timeout=30s}`
    let parts = near::settings(inner, bracket.starts_with('{'), &|part| setting(part, titles));
    setting(inner, titles).or(parts).or_else(|| field::almost(bracket))
}

/// `retry: 3`, `after Build` as a field.
pub(super) fn setting(part: &str, titles: &Titles) -> Option<String> {
    let (key, value) = near::pair(part).or_else(|| {
        let (key, value) = part.split_once(' ')?;
        ["after", "needs", "requires"].contains(&key).then_some((key, value))
    })?;
    let key = right_key(key)?;
    let value = match key {
        "after" | "compensate" => steps(value, titles)?,
        "when" => near::condition(value).filter(|right| is_known(right, titles))?,
        _ => near::value(key, value)?,
    };
    Some(format!("[{key}:: {value}]"))
}

/// The field that a key is, or is meant as.
pub(super) fn right_key(key: &str) -> Option<&'static str> {
    let plain = near::plain(key);
    if let Some(known) = LINES.into_iter().find(|known| *known == plain) {
        return Some(known);
    }
    match near::meant(key) {
        Some(Meant::Field(field)) => Some(field),
        _ => None,
    }
}

/// Titles in a list, all of which steps or groups have.
pub(super) fn steps(value: &str, titles: &Titles) -> Option<String> {
    let value = value.trim().trim_end_matches('.');
    if titles.is_title(value) || value == "start" {
        return Some(value.to_owned());
    }
    let parts = value.split([',', '&', '+']).flat_map(|part| part.split(" and "));
    let parts: Vec<&str> = parts
        .map(|part| part.trim().trim_matches(['"', '`', '*', '[', ']']))
        .filter(|part| !part.is_empty())
        .collect();
    let title = |part: &&str| match titles.is_title(part) {
        true => Some((*part).to_owned()),
        false => titles.folded.get(&title::key(part).to_lowercase()).cloned(),
    };
    let parts: Option<Vec<String>> = parts.iter().map(title).collect();
    parts.filter(|parts| !parts.is_empty()).map(|parts| parts.join(", "))
}

/// Whether a condition asks only for values that there are.
pub(in crate::spec) fn is_known(right: &str, titles: &Titles) -> bool {
    condition::parse(right).is_ok_and(|condition| {
        let names = condition.names();
        !names.is_empty() && names.iter().all(|(name, _)| titles.is_value(name))
    })
}

pub(super) fn is_signature(right: &str) -> bool {
    signature::read(right, Span::new(0, right.len())).is_some_and(|arrow| arrow.is_typed())
}

/// Whether a line is a signature except for types of another language.
pub(in crate::spec) fn is_types(line: &str) -> bool {
    near::types(line).is_some_and(|right| is_signature(&right))
}

/// Whether a line is reported as a field.
pub(in crate::spec) fn is_setting(line: &str, titles: &Titles) -> bool {
    near::pair(line).is_some() && setting(line, titles).is_some()
}
