//! Writes headers and cells; `toon-format` decides which texts need quotes.

use crate::value::Value;
use std::fmt::Write as _;
use toon_format::{ToonError, escape_string, is_valid_unquoted_key, needs_quoting};

/// Appends the header of a table with this delimiter between its cells, without a newline.
pub fn header<'a>(
    out: &mut String,
    name: &str,
    count: u64,
    delimiter: char,
    columns: impl IntoIterator<Item = &'a str>,
) {
    key(out, name);
    let _ = write!(out, "[{count}");
    // The comma is the default and not written.
    if delimiter != ',' {
        out.push(delimiter);
    }
    out.push_str("]{");
    for (index, column) in columns.into_iter().enumerate() {
        if index > 0 {
            out.push(delimiter);
        }
        key(out, column);
    }
    out.push_str("}:");
}

/// Appends the name of a field or column.
pub fn key(out: &mut String, name: &str) {
    if is_valid_unquoted_key(name) { out.push_str(name) } else { quote(out, name) }
}

/// Appends a text as a cell among others with this delimiter between, or, with a comma, as the value of a field.
pub fn text(out: &mut String, text: &str, delimiter: char) {
    if needs_quoting(text, delimiter) || text.contains(is_hidden) {
        quote(out, text)
    } else {
        out.push_str(text)
    }
}

/// Appends a scalar as a cell. A list or an object becomes its JSON text.
pub fn cell(out: &mut String, value: &Value, delimiter: char) {
    match value {
        Value::String(string) => text(out, string, delimiter),
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            let _ = write!(out, "{value}");
        }
        Value::Array(_) | Value::Object(_) => text(out, &value.to_string(), delimiter),
    }
}

/// A value as a document, without a newline at its end. Numbers are exact, where `toon-format` makes them floats.
///
/// # Errors
/// When TOON has no form for the value.
pub fn document(value: &Value) -> Result<String, ToonError> {
    // A mark for numbers that does not occur in the value.
    let json = value.to_string();
    let mut mark = "number".to_owned();
    while json.contains(&mark) {
        mark.push('n');
    }
    let mut numbers = Vec::new();
    let marked = marked(value, &mark, &mut numbers);
    let text = toon_format::encode_default(&marked)?;
    let mut parts = text.split(&mark);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for (number, part) in numbers.iter().zip(parts) {
        out.push_str(number);
        out.push_str(part);
    }
    Ok(out)
}

/// The value with a mark in place of each number that has a fraction or is large, and of each text that needs another
/// form.
fn marked(value: &Value, mark: &str, numbers: &mut Vec<String>) -> Value {
    match value {
        Value::String(text) if text.contains(|c| is_hidden(c) && c != '\n') => {
            let mut quoted = String::new();
            quote(&mut quoted, text);
            numbers.push(quoted);
            mark.into()
        }
        Value::Number(number) if !number.is_i64() && !number.as_str().contains(['e', 'E']) => {
            numbers.push(number.to_string());
            mark.into()
        }
        Value::Array(all) => all.iter().map(|one| marked(one, mark, numbers)).collect(),
        Value::Object(all) => {
            let each = all.iter().map(|(name, one)| (name.clone(), marked(one, mark, numbers)));
            Value::Object(each.collect())
        }
        other => other.clone(),
    }
}

/// Several names as one text: with spaces between, quoted where they are not plain.
pub fn words<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for name in names {
        if !out.is_empty() {
            out.push(' ');
        }
        key(&mut out, name);
    }
    out
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in escape_string(text).chars() {
        match is_hidden(c) {
            // All of them have four digits.
            true => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => out.push(c),
        }
    }
    out.push('"');
}

/// Characters that a terminal would obey or hide and that TOON does not escape: the second set of control characters,
/// and those that change the direction of a text.
fn is_hidden(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}')
}
