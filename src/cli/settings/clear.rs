//! Keys in clear text: what looks like one, and the file as messages show it, without them.

use super::secrets::{is_origin, is_variable};
use crate::diag::Source;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// The beginnings of keys that well-known services issue.
const ISSUED: [&str; 20] = [
    "sk-",
    "sk_",
    "rk_",
    "pk_live_",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "AIza",
    "hf_",
    "gsk_",
    "npm_",
    "pypi-",
    "eyJ",
    "whsec_",
];

/// The fewest characters of a key that is recognised by its beginning.
const SHORTEST: usize = 8;

/// Such a key in the file as messages show it.
const MASKED: &str = "********";

/// Whether a word is a key, by its beginning.
pub(super) fn is_issued(word: &str) -> bool {
    word.len() >= SHORTEST && ISSUED.iter().any(|start| word.starts_with(start))
}

/// The words of a command without what looks like a key.
pub fn without_keys(words: &[String]) -> String {
    let names = |word: &str| names_secret(word.trim_start_matches('-'));
    let (mut shown, mut named) = (Vec::new(), false);
    for word in words {
        let after_name =
            std::mem::replace(&mut named, word.starts_with('-') && !word.contains('=') && names(word));
        let assigned = word.split_once('=').filter(|(name, _)| names(name));
        shown.push(match assigned {
            _ if is_issued(word) || after_name && !word.starts_with('-') => MASKED.to_owned(),
            Some((name, _)) => format!("{name}={MASKED}"),
            None => word.clone(),
        });
    }
    shown.join(" ")
}

/// Whether a name says that its value is secret.
pub(super) fn names_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let words = ["key", "token", "secret", "passw", "auth", "cookie", "credential"];
    name != "max-tokens" && words.iter().any(|word| name.contains(word))
}

/// The place of a key in the value of a header, after a scheme such as `Bearer`.
pub(super) fn in_header(name: &str, text: &str) -> Option<Range<usize>> {
    if text.contains("secret:") {
        return None;
    }
    if names_secret(name) {
        let start = after_scheme(text);
        return (!text[start..].is_empty()).then_some(start..text.len());
    }
    // What is masked was one.
    issued(text).next().or_else(|| text.find(MASKED).map(|start| start..text.len()))
}

/// Where the text after a scheme such as `Bearer` starts.
fn after_scheme(text: &str) -> usize {
    match text.split_once(' ') {
        Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) => scheme.len() + 1,
        _ => 0,
    }
}

/// The words of a text that are keys by their beginnings.
fn issued(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '/');
    let mut from = 0;
    let words = text.split(move |c| !is_inside(c)).map(move |word| {
        let start = from;
        // Every separator is looked up in the text itself, as its length may differ.
        from = start + word.len() + text[start + word.len()..].chars().next().map_or(0, char::len_utf8);
        (start, word)
    });
    words.filter(|(_, word)| is_issued(word)).map(|(start, word)| start..start + word.len())
}

/// The file with `*` for each character of a key in clear text, with the same lines and columns.
pub(super) fn masked(source: &Source) -> Source {
    let text = &source.text;
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut hidden = Vec::new();
    inside(table.get_ref(), None, text, &mut hidden);
    if !errors.is_empty() {
        assignments(text, &mut hidden);
    }
    let covered = |hidden: &[Range<usize>], at: usize| hidden.iter().any(|range| range.contains(&at));
    // Elsewhere, such as in names and comments, a character that names may contain.
    let bare: Vec<Range<usize>> = issued(text).collect();
    let shown = text.char_indices().map(|(at, c)| match c {
        '\n' | '\r' => c,
        _ if covered(&hidden, at) => '*',
        _ if covered(&bare, at) => '-',
        _ => c,
    });
    Source::new(source.name.clone(), shown.collect::<String>())
}

/// `around` is the name of the table whose values are secret, or those of headers.
fn inside(table: &DeTable<'_>, around: Option<&str>, text: &str, hidden: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        value_of(key.get_ref(), value.get_ref(), value.span(), around, text, hidden);
    }
}

fn value_of(
    name: &str,
    value: &DeValue<'_>,
    span: Range<usize>,
    around: Option<&str>,
    text: &str,
    hidden: &mut Vec<Range<usize>>,
) {
    match value {
        DeValue::Table(table) => {
            let around = Some(name).filter(|name| matches!(*name, "secrets" | "headers" | "key"));
            inside(table, around, text, hidden);
        }
        DeValue::Array(list) => {
            for element in list {
                value_of(name, element.get_ref(), element.span(), around, text, hidden);
            }
        }
        DeValue::String(_) => {
            let written = text.get(span.clone()).unwrap_or_default();
            let start = written.len() - written.trim_start_matches(['"', '\'']).len();
            let content = written.trim_matches(['"', '\'']);
            let range = match around {
                Some("headers") => in_header(name, content),
                None if name == "secrets" => (!is_name(content)).then_some(0..content.len()),
                Some(_) => (!is_origin(content)).then_some(0..content.len()),
                None if names_secret(name) && !content.starts_with("secret:") => {
                    Some(after_scheme(content)..content.len())
                }
                None => None,
            };
            let all = range.into_iter().chain(password(content)).chain(issued(content));
            let at = span.start + start;
            hidden.extend(all.map(|range| at + range.start..at + range.end));
        }
        _ => {}
    }
}

/// Whether a text is the name of a variable, as people write them.
fn is_name(text: &str) -> bool {
    is_variable(text) && !is_issued(text)
}

/// The user and the password in an address.
fn password(text: &str) -> Option<Range<usize>> {
    let start = text.find("://")? + 3;
    let end = start + text[start..].find(['/', '?', '#']).unwrap_or(text.len() - start);
    let at = start + text[start..end].rfind('@')?;
    let start = text[start..at].find(':').map_or(start, |colon| start + colon + 1);
    Some(start..at)
}

/// In text that is not TOML: what follows `key =` and the like up to the end of the line, without its quotes.
fn assignments(text: &str, hidden: &mut Vec<Range<usize>>) {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let secret = line.match_indices('=').map(|(at, _)| at).find(|at| {
            let name = line[..*at].trim_end().trim_end_matches(['"', '\'']);
            names_secret(name.rsplit([' ', '{', ',', '.', '"', '\'']).next().unwrap_or_default())
        });
        if let Some(at) = secret
            && !line.contains("secret:")
        {
            let value = start + at + 1..start + line.len();
            let quotes = text[value.clone()].match_indices(['"', '\'', ' ']);
            let mut from = value.start;
            for (quote, _) in quotes {
                hidden.push(from..value.start + quote);
                from = value.start + quote + 1;
            }
            hidden.push(from..value.end);
        }
        start += line.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_without_its_keys() {
        for (command, shown) in [
            ("agent --model gpt-4 -v", "agent --model gpt-4 -v"),
            ("agent --api-key abc --max-tokens 5", "agent --api-key ******** --max-tokens 5"),
            ("agent --token=abc TOKEN=abc", "agent --token=******** TOKEN=********"),
            ("agent sk-0123456789 --password --verbose", "agent ******** --password --verbose"),
        ] {
            let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
            assert_eq!(without_keys(&words), shown);
        }
    }
}
