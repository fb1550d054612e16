//! Reads a value from a text by its type: table cells and arguments.

use super::{Type, Value, json};

impl Type {
    /// Reads `text` as this type requires: unchanged for `String`, `File` and named types of strings, `true` or
    /// `false` in any case for a `Boolean`, JSON for numbers and lists. An empty text is null if the type allows null.
    /// For `JSON` and other named types it is JSON, or else text that does not look like a broken list or object.
    ///
    /// Does not check that the value fits the type.
    ///
    /// # Errors
    /// Why the text is not JSON.
    pub fn read(&self, text: &str) -> Result<Value, serde_json::Error> {
        let bare = text.trim();
        match self {
            Type::String | Type::Secret | Type::File => Ok(Value::from(text)),
            Type::Nullable(_) if bare.is_empty() || bare == "null" => Ok(Value::Null),
            Type::Nullable(inner) => inner.read(text),
            Type::Boolean if bare.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
            Type::Boolean if bare.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
            Type::Boolean | Type::Integer | Type::Number | Type::List(_) => json::parse(bare),
            Type::Defined(definition) if definition.is_text() => Ok(Value::from(text)),
            Type::Json | Type::Named(_) | Type::Defined(_) => match json::parse(bare) {
                Err(error) if bare.starts_with(['{', '[']) => Err(error),
                parsed => Ok(parsed.unwrap_or_else(|_| Value::from(text))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_as_its_type_wants_it() {
        let read = |ty: &str, text| match Type::parse(ty).unwrap().read(text) {
            Ok(value) => value.to_string(),
            Err(_) => "no".to_owned(),
        };
        let cases = [
            ("String", "05 ", r#""05 ""#),
            ("String?", "", "null"),
            ("Integer", " 12 ", "12"),
            ("Integer", "012", "no"),
            ("Integer", "", "no"),
            ("Number?", "", "null"),
            ("Number", "145.50", "145.50"),
            ("Boolean", "TRUE", "true"),
            ("Boolean", "yes", "no"),
            ("String[]", r#"["a"]"#, r#"["a"]"#),
            ("String[]", "a", "no"),
            ("JSON", "plain words", r#""plain words""#),
            ("JSON", "{oops", "no"),
            ("Order", "", r#""""#),
        ];
        for (ty, text, value) in cases {
            assert_eq!(read(ty, text), value, "{text:?} as {ty}");
        }
    }
}
