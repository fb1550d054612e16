//! One cell of a row: its text as written and its meaning.

use crate::value::Value;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_while_m_n, take_while1};
use nom::character::complete::{char, one_of};
use nom::combinator::{recognize, verify};
use nom::multi::many0_count;
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};
use std::borrow::Cow;

/// A cell as it is in the text, without the spaces around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell<'a> {
    raw: &'a str,
}

/// The value of a cell. A number keeps its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
}

impl<'a> Cell<'a> {
    /// The text must be one that the splitter has found well formed.
    pub(super) fn new(raw: &'a str) -> Self {
        Cell { raw }
    }

    /// The text as written, quotes included.
    pub fn raw(self) -> &'a str {
        self.raw
    }

    /// The text that the cell spells, whatever its kind: unquoted, escapes resolved.
    pub fn text(self) -> Cow<'a, str> {
        let inner = self.raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        match inner {
            Some(inner) if inner.contains('\\') => {
                Cow::Owned(toon_format::unescape_string(inner).unwrap_or_else(|_| inner.to_owned()))
            }
            Some(inner) => Cow::Borrowed(inner),
            None => Cow::Borrowed(self.raw),
        }
    }

    pub fn scalar(self) -> Scalar<'a> {
        match self.raw {
            "null" => Scalar::Null,
            "true" => Scalar::Bool(true),
            "false" => Scalar::Bool(false),
            raw if is_number(raw) => Scalar::Number(raw),
            _ => Scalar::Text(self.text()),
        }
    }
}

impl Scalar<'_> {
    pub fn value(&self) -> Value {
        match self {
            Scalar::Null => Value::Null,
            Scalar::Bool(flag) => Value::Bool(*flag),
            Scalar::Number(text) => {
                text.parse().map_or_else(|_| Value::String((*text).to_owned()), Value::Number)
            }
            Scalar::Text(text) => Value::String(text.clone().into_owned()),
        }
    }
}

/// Whether an unquoted text is a number: the grammar of JSON.
fn is_number(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || (whole > 1 && bytes[at] == b'0') {
        return false;
    }
    at += whole;
    if bytes.get(at) == Some(&b'.') {
        match digits(at + 1) {
            0 => return false,
            fraction => at += 1 + fraction,
        }
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        match digits(at) {
            0 => return false,
            exponent => at += exponent,
        }
    }
    at == bytes.len()
}

/// A whole quoted text, quotes included.
pub(super) fn quoted(input: &str) -> IResult<&str, &str> {
    let plain = take_while1(|c| c != '"' && c != '\\').map(|_| ());
    recognize(delimited(char('"'), many0_count(alt((plain, escape.map(|_| ())))), char('"'))).parse(input)
}

/// One escape. Surrogates are not allowed: characters beyond the basic plane are written as themselves.
pub(super) fn escape(input: &str) -> IResult<&str, &str> {
    let unicode = preceded(
        char('u'),
        verify(take_while_m_n(4, 4, |c: char| c.is_ascii_hexdigit()), |digits: &str| {
            u32::from_str_radix(digits, 16).is_ok_and(|code| char::from_u32(code).is_some())
        }),
    );
    recognize(preceded(tag("\\"), alt((one_of("\\\"nrt").map(|_| ""), unicode)))).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_grammar_of_json_makes_a_number() {
        for number in ["0", "-0", "145.50", "1e5", "-1E+03", "0e1", "12345678901234567890123"] {
            assert_eq!(Cell::new(number).scalar(), Scalar::Number(number));
            assert!(Cell::new(number).scalar().value().is_number());
        }
        assert_eq!(Cell::new("145.50").scalar().value().to_string(), "145.50");
        for text in ["05", "+1", ".5", "5.", "1e", "-", "", "NaN", "0x1", "1_000", "\"5\"", "\"null\""] {
            assert!(matches!(Cell::new(text).scalar(), Scalar::Text(_)), "{text}");
        }
    }

    #[test]
    fn quoted_cells_spell_their_text() {
        assert_eq!(Cell::new(r#""a\n\"b\" \u00e9""#).text(), "a\n\"b\" é");
        assert_eq!(quoted(r#""a\"b",c"#).unwrap(), (",c", r#""a\"b""#));
        assert!(quoted(r#""a\x""#).is_err() && quoted(r#""\ud800""#).is_err() && quoted(r#""open"#).is_err());
    }
}
