//! The tokens of a condition.

use super::Fault;
use crate::value::{Value, space};
use std::ops::Range;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Word(String),
    Text(String),
    Number(Value),
    Sign(&'static str),
}

/// The longest condition, in tokens: an expression nests no deeper than it is long.
const MOST: usize = 1000;

/// Signs, the longer ones first.
const SIGNS: [&str; 19] =
    ["==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "%", ".", ",", "(", ")", "[", "]"];

/// The tokens with their places.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, Range<usize>)>, Fault> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let (token, length) = if space::is_space(c) {
            at += c.len_utf8();
            continue;
        } else if c == '"' || c == '\'' {
            quoted(rest, c).ok_or_else(|| fault(at..text.len(), "this text is not closed", None))?
        } else if c.is_ascii_digit() {
            let length = number(rest);
            let value = crate::value::json::parse(&rest[..length]);
            let value = value.map_err(|_| fault(at..at + length, "this is not a number", None))?;
            (Token::Number(value), length)
        } else if c.is_alphabetic() || c == '_' {
            let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            (Token::Word(rest[..length].to_owned()), length)
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            (Token::Sign(sign), sign.len())
        } else if c == '|' {
            (Token::Sign("|"), 1)
        } else if c == '=' {
            return Err(fault(at..at + 1, "`=` is not a comparison", Some("write `==`")));
        } else {
            let message = format!("`{c}` has no meaning in a condition");
            return Err(fault(at..at + c.len_utf8(), &message, None));
        };
        if tokens.len() == MOST {
            return Err(fault(at..at + length, "the condition is too long", None));
        }
        tokens.push((token, at..at + length));
        at += length;
    }
    Ok(tokens)
}

pub(super) fn fault(at: Range<usize>, message: &str, help: Option<&str>) -> Fault {
    Fault { at, message: message.to_owned(), help: help.map(str::to_owned) }
}

fn quoted(rest: &str, quote: char) -> Option<(Token, usize)> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next()?.1 {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                other => text.push(other),
            },
            c if c == quote => return Some((Token::Text(text), at + 1)),
            c => text.push(c),
        }
    }
    None
}

/// The length of the number that the text begins with.
fn number(rest: &str) -> usize {
    let digits = |from: usize| {
        rest[from..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |length| from + length)
    };
    let whole = digits(0);
    let end = match rest[whole..].strip_prefix('.') {
        Some(fraction) if fraction.starts_with(|c: char| c.is_ascii_digit()) => digits(whole + 1),
        _ => whole,
    };
    let Some(exponent) = rest[end..].strip_prefix(['e', 'E']) else { return end };
    let signed = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let start = rest.len() - signed.len();
    if signed.starts_with(|c: char| c.is_ascii_digit()) { digits(start) } else { end }
}
