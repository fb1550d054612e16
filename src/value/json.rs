//! JSON as this program accepts it: strict, with duplicate keys and deep nesting refused.

use super::{Object, Value, words};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;

/// How deep a value may nest.
pub const DEPTH: usize = 64;

/// The most values that a JSON text may hold; each takes many times the memory of its text.
pub const MOST_VALUES: usize = 1_000_000;

/// What [`why`] says of a text with more than one value.
pub const TRAILING: &str = "unexpected text after the value";

/// The key under which serde_json passes a number in its original text.
const NUMBER: &str = "$serde_json::private::Number";

/// Reads one JSON value that fills the whole text.
///
/// # Errors
/// The message of the first problem with its line and column inside `text`.
pub fn parse(text: &str) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let left = Cell::new(MOST_VALUES);
    let value = Strict { depth: DEPTH, left: &left }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// The problem with a JSON text, without its place.
pub fn why(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let end = message.rfind(" at line ").unwrap_or(message.len());
    let message = &message[..end];
    if let Some(what) = message.strip_prefix("EOF while parsing ") {
        return match (error.line(), error.column(), what) {
            (1, 0, _) => "it is empty".to_owned(),
            (_, _, what) => format!("it ends in the middle of {what}"),
        };
    }
    if let Some((found, expected)) =
        message.strip_prefix("invalid type: ").and_then(|types| types.split_once(", expected "))
    {
        return format!("expected {expected}, found {found}");
    }
    let plain = match message {
        "expected value" => "expected a value",
        "expected ident" => "expected true, false or null",
        "key must be a string" => "expected a key in double quotes",
        "trailing characters" => TRAILING,
        "trailing comma" => "superfluous comma",
        "invalid escape" => "unknown escape in a string",
        "unexpected end of hex escape" | "invalid unicode code point" => "malformed \\u escape in a string",
        "lone leading surrogate in hex escape" => "half of a character in a \\u escape",
        "recursion limit exceeded" => "nested too deep",
        control if control.starts_with("control character") => {
            "control character in a string; write a line end as \\n"
        }
        other => other,
    };
    plain.to_owned()
}

/// The problem with a JSON text and its place, for a text that the reader may not see.
pub fn problem(error: &serde_json::Error) -> String {
    let why = why(error);
    match error.line() {
        0 => why,
        _ if error.is_eof() => why,
        line => format!("{why} (line {line}, column {})", error.column().max(1)),
    }
}

/// At least as many as the values of a JSON text: every comma and every bracket outside of strings may begin one.
pub fn most_values(text: &str) -> usize {
    if text.len() <= MOST_VALUES {
        return text.len();
    }
    let (mut count, mut quoted, mut escaped) = (1, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b',' | b'[' | b'{' if !quoted => count += 1,
            _ => {}
        }
    }
    count
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: usize,
    /// How many values may still come.
    left: &'a Cell<usize>,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Strict { depth, ..self }),
            None => Err(E::custom(format_args!("nested deeper than {DEPTH} levels"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => return Err(D::Error::custom(format_args!("more than {MOST_VALUES} values"))),
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        match serde_json::Number::from_f64(value) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(E::custom("a number that is not finite")),
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element_seed(deeper)? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Object::new();
        let Some(first) = map.next_key::<String>()? else {
            return Ok(Value::Object(object));
        };
        if first == NUMBER {
            let text: String = map.next_value()?;
            return text.parse().map(Value::Number).map_err(A::Error::custom);
        }
        let deeper = self.deeper()?;
        let value = map.next_value_seed(deeper)?;
        object.insert(first, value);
        while let Some(key) = map.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!(
                    "duplicate key {} in one object",
                    words::code(words::excerpt(&key))
                )));
            }
            let value = map.next_value_seed(deeper)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_in_plain_words() {
        for (text, why) in [
            ("", "it is empty"),
            ("[1", "it ends in the middle of a list"),
            ("{\"a\":", "it ends in the middle of a value"),
            ("\"a", "it ends in the middle of a string"),
            ("\n", "it ends in the middle of a value"),
            ("{", "it ends in the middle of an object"),
            ("tru", "it ends in the middle of a value"),
            ("oops", "expected a value (line 1, column 1)"),
            ("nope", "expected true, false or null (line 1, column 2)"),
            ("{a: 1}", "expected a key in double quotes (line 1, column 2)"),
            ("{}\n so", "unexpected text after the value (line 2, column 2)"),
            ("[1,]", "superfluous comma (line 1, column 4)"),
            ("[1 2]", "expected `,` or `]` (line 1, column 4)"),
            (r#""\x""#, "unknown escape in a string (line 1, column 3)"),
            (r#""\ud800x""#, "malformed \\u escape in a string (line 1, column 8)"),
            ("\"a\tb\"", "control character in a string; write a line end as \\n (line 1, column 3)"),
            (r#"{"a":1,"a":2}"#, "duplicate key `a` in one object (line 1, column 10)"),
            ("01", "invalid number (line 1, column 2)"),
        ] {
            assert_eq!(problem(&parse(text).unwrap_err()), why, "{text}");
        }
        let error = serde_json::from_str::<Vec<u8>>("{}").unwrap_err();
        assert_eq!(problem(&error), "expected a sequence, found map (line 1, column 1)");
    }

    #[test]
    fn numbers_keep_their_text() {
        for text in ["145.50", "12345678901234567890123", "1e+400", "-0"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse(r#"{"a":[1.0,{"b":2}]}"#).unwrap().to_string(), r#"{"a":[1.0,{"b":2}]}"#);
    }

    #[test]
    fn duplicate_keys_and_depth_are_refused() {
        assert!(parse(r#"{"a":1,"a":2}"#).unwrap_err().to_string().contains("duplicate key"));
        let deep = format!("{}{}", "[".repeat(DEPTH + 1), "]".repeat(DEPTH + 1));
        assert!(parse(&deep).unwrap_err().to_string().contains("nested deeper than 64"));
        let fits = format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
        assert!(parse(&fits).is_ok());
    }

    #[test]
    fn many_values_are_refused_where_they_become_too_many() {
        let many = |count: usize| format!("[{}0]", "[],".repeat(count));
        assert!(parse(&many(MOST_VALUES - 2)).is_ok());
        let error = parse(&many(MOST_VALUES - 1)).unwrap_err();
        assert!(error.to_string().starts_with("more than 1000000 values at line 1 column 29999"), "{error}");
        assert!(parse(&format!("\"{}\"", ",[".repeat(MOST_VALUES))).is_ok(), "in a text");
        assert_eq!(most_values(&many(MOST_VALUES)), 2 * MOST_VALUES + 2);
    }

    #[test]
    fn what_follows_the_value_is_refused() {
        assert!(parse("1 2").is_err());
        assert!(parse("").is_err());
    }
}
