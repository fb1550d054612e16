//! Integers in plain digits: `5.0` and `1e3` are whole, but a shell cannot compute with them.

use super::number::Digits;
use super::{Misfits, Type, Value};

/// Whether a number is a whole one that is, or can be, written in plain digits.
pub(super) fn fits(text: &str) -> bool {
    is_plain(text) || Digits::parse(text).is_some_and(|digits| digits.is_whole() && digits.plain().is_some())
}

fn is_plain(text: &str) -> bool {
    !text.contains(['.', 'e', 'E']) && text != "-0"
}

pub(super) fn write_plainly(value: &mut Value) {
    let Value::Number(number) = value else { return };
    if is_plain(number.as_str()) {
        return;
    }
    let digits = Digits::parse(number.as_str()).filter(Digits::is_whole);
    if let Some(plain) = digits.and_then(|digits| digits.plain()?.parse().ok()) {
        *number = plain;
    }
}

/// Whether a number in the value is not written in plain digits.
fn needs_it(value: &Value) -> bool {
    match value {
        Value::Number(number) => !is_plain(number.as_str()),
        Value::Array(elements) => elements.iter().any(needs_it),
        Value::Object(members) => members.values().any(needs_it),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

impl Type {
    /// Takes in a value of this type as it is handed on: its integers are in plain digits.
    ///
    /// # Errors
    /// Where it does not fit.
    pub fn admit(&self, mut value: Value) -> Result<Value, Misfits> {
        self.fits(&value)?;
        self.write_integers(&mut value);
        Ok(value)
    }

    fn write_integers(&self, value: &mut Value) {
        match self {
            Type::Integer => write_plainly(value),
            Type::Nullable(inner) => inner.write_integers(value),
            Type::List(inner) => {
                value.as_array_mut().into_iter().flatten().for_each(|one| inner.write_integers(one));
            }
            Type::Defined(definition) if needs_it(value) => definition.write_integers(value),
            Type::String
            | Type::Secret
            | Type::Boolean
            | Type::Number
            | Type::Json
            | Type::File
            | Type::Named(_)
            | Type::Defined(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::json;
    use crate::value::schema::{Definitions, reference};
    use std::collections::HashMap;
    use std::sync::Arc;

    fn admitted(ty: &Type, text: &str) -> String {
        ty.admit(json::parse(text).unwrap()).map_or_else(|misfits| misfits.of("n"), |value| value.to_string())
    }

    #[test]
    fn integers_are_handed_on_in_plain_digits() {
        for (ty, written, handed) in [
            ("Integer", "5.0", "5"),
            ("Integer", "1e3", "1000"),
            ("Integer", "-1.20E+2", "-120"),
            ("Integer", "-0.0", "0"),
            ("Integer", "-0", "0"),
            ("Integer", "12345678901234567890123", "12345678901234567890123"),
            ("Integer?", "null", "null"),
            ("Integer?[]", "[1.0,null,2e0]", "[1,null,2]"),
            ("Number", "145.50", "145.50"),
            ("Number", "5.0", "5.0"),
            ("JSON", "[5.0]", "[5.0]"),
            ("Integer", "5.5", "`n` is not of type Integer: expected Integer, found a number"),
            ("Integer", "1e999999999", "`n` is not of type Integer: expected Integer, found a number"),
            ("Integer", "1e-999999999", "`n` is not of type Integer: expected Integer, found a number"),
        ] {
            assert_eq!(admitted(&Type::parse(ty).unwrap(), written), handed, "{written} as {ty}");
        }
        let long = "7".repeat(20_000);
        assert_eq!(admitted(&Type::Integer, &long), long);
        assert_eq!(
            admitted(&Type::Integer, &format!("1e{}", super::super::number::LONGEST - 1)).len(),
            10_000
        );
    }

    #[test]
    fn integers_of_a_definition_are_plain_and_its_other_numbers_stay() {
        let mut definitions = Definitions::default();
        definitions.add(
            "Order",
            serde_json::json!({
                "type": "object",
                "properties": {
                    "count": {"type": "integer"},
                    "total": {"type": "number"},
                    "either": {"type": ["integer", "number"]},
                    "lines": {"type": "array", "items": reference("Line")},
                    "next": {"anyOf": [{"type": "null"}, reference("Order")]},
                    "pair": {"prefixItems": [{"type": "integer"}], "items": {"type": "number"}},
                },
                "additionalProperties": {"allOf": [{"type": ["integer", "null"]}]},
            }),
        );
        definitions
            .add("Line", serde_json::json!({"type": "object", "properties": {"n": {"type": "integer"}}}));
        let definition = Arc::new(definitions.compile("Order").unwrap());
        let ty = Type::Named("Order".into()).resolved(&HashMap::from([("Order".into(), definition)]));
        assert_eq!(
            admitted(
                &ty,
                r#"{"count":5.0,"total":5.0,"either":5.0,"lines":[{"n":1e2,"m":1e2}],"next":{"count":2.0},"pair":[1.0,2.0],"other":3.0}"#
            ),
            r#"{"count":5,"total":5.0,"either":5.0,"lines":[{"n":100,"m":1e+2}],"next":{"count":2},"pair":[1,2.0],"other":3}"#
        );
        let huge = r#"{"count":1e+999999999}"#;
        assert_eq!(admitted(&ty, huge), huge);
    }
}
