//! YAML as authors write it: its values with their places, its white space, its limits in words. Does not know what its
//! keys mean.

use crate::value::space::{self, is_space};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A YAML value with its place.
#[derive(Debug)]
pub(super) enum Node {
    Null,
    Text(String),
    /// A number or a Boolean; its text is read from the document, so that it is exact.
    Plain,
    List(Vec<Placed<Node>>),
    Map(Vec<(Placed<String>, Placed<Node>)>),
}

pub(super) type Placed<T> = serde_saphyr::Spanned<T>;

struct NodeVisitor;

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = seq.next_element()? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}

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
