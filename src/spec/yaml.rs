//! YAML as authors write it: its white space, and its limits in words. Does not know what its keys mean.

use crate::value::space::{self, is_space};
use std::borrow::Cow;

/// YAML with plain spaces in place of other white space that separates tokens, at the same byte positions: around a
/// line, and after a mark. Texts in quotes are unchanged.
pub(super) fn spaced(yaml: &str) -> Cow<'_, str> {
    let plain = space::plain(yaml);
    if let Cow::Borrowed(_) = plain {
        return plain;
    }
    let mut spaced = String::with_capacity(yaml.len());
    // The open quote, and whether there was only white space since the last mark of YAML.
    let (mut quote, mut parts) = (None, true);
    let mut rest = yaml;
    while let Some(c) = rest.chars().next() {
        let gap = |c: char| is_space(c) && !matches!(c, '\n' | '\r');
        let width = rest.find(|c| !gap(c)).unwrap_or(rest.len());
        if width > 0 {
            let apart =
                parts || rest[width..].starts_with(['\n', '\r', ',', ']', '}']) || width == rest.len();
            let from = yaml.len() - rest.len();
            let source = if quote.is_none() && apart { &*plain } else { yaml };
            spaced.push_str(&source[from..from + width]);
            rest = &rest[width..];
            continue;
        }
        match c {
            _ if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() && parts => quote = Some(c),
            _ => {}
        }
        spaced.push(c);
        parts = matches!(c, '\n' | '\r' | ':' | '-' | ',' | '[' | '{');
        rest = &rest[c.len_utf8()..];
    }
    Cow::Owned(spaced)
}

/// The meaning of a message about limits.
pub(super) fn excess(message: &Option<&str>) -> Option<&'static str> {
    let (_, limit) = message.as_ref()?.split_once("budget breached: ")?;
    Some(match limit.split([' ', '{']).next().unwrap_or_default() {
        "Depth" => "it nests deeper than 16 levels",
        "Anchors" => "it has more than 100 anchors",
        "Documents" => "it has more than one document",
        _ => "it has more than 10,000 values, where each alias counts with all its values",
    })
}
