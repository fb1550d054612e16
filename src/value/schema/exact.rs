//! The keywords of JSON Schema that compare values, exactly: `0.1` is a tenth, integers have any size, and
//! `1e999999999` is never written out. The validator's own keywords compare floats where they can.

use crate::value::number::{Digits, canonical};
use crate::value::{Decimal, Value, equal};
use jsonschema::{Keyword, ValidationError, ValidationOptions};
use std::cmp::Ordering;
use std::collections::HashSet;

/// Checks a value against a keyword; the second argument is the keyword's value in the schema.
type Holds = fn(value: &Value, rule: &Value) -> bool;

const KEYWORDS: [(&str, Holds); 8] = [
    ("const", equal),
    ("enum", |value, rule| rule.as_array().is_some_and(|all| all.iter().any(|one| equal(value, one)))),
    ("minimum", |value, rule| bound(value, rule, Ordering::is_ge)),
    ("maximum", |value, rule| bound(value, rule, Ordering::is_le)),
    ("exclusiveMinimum", |value, rule| bound(value, rule, Ordering::is_gt)),
    ("exclusiveMaximum", |value, rule| bound(value, rule, Ordering::is_lt)),
    ("multipleOf", is_multiple),
    ("uniqueItems", |value, rule| *rule != Value::Bool(true) || is_unique(value)),
];

pub(super) fn keywords(options: ValidationOptions<'static>) -> ValidationOptions<'static> {
    KEYWORDS.into_iter().fold(options, |options, (name, holds)| {
        options.with_keyword(name, move |_, rule, _| Ok(Box::new(Exact { rule: rule.clone(), holds })))
    })
}

struct Exact {
    rule: Value,
    holds: Holds,
}

impl<'i> Keyword<'i> for Exact {
    fn validate(&self, value: &'i Value) -> Result<(), ValidationError<'i>> {
        if (self.holds)(value, &self.rule) {
            Ok(())
        } else {
            Err(ValidationError::custom("it does not hold"))
        }
    }

    fn is_valid(&self, value: &'i Value) -> bool {
        (self.holds)(value, &self.rule)
    }
}

/// Whether a number is within a bound. A value that is not a number is within every bound.
fn bound(value: &Value, rule: &Value, is: fn(Ordering) -> bool) -> bool {
    let (Value::Number(value), Value::Number(rule)) = (value, rule) else { return true };
    let order = Digits::parse(value.as_str()).zip(Digits::parse(rule.as_str())).map(|(a, b)| a.cmp(&b));
    order.is_some_and(is)
}

fn is_multiple(value: &Value, rule: &Value) -> bool {
    let (Value::Number(value), Value::Number(rule)) = (value, rule) else { return true };
    let number = |number: &serde_json::Number| Decimal::parse(number.as_str());
    let left = number(value).zip(number(rule)).and_then(|(value, rule)| value.remainder(&rule));
    left.is_some_and(|left| left.is_zero())
}

fn is_unique(value: &Value) -> bool {
    let Value::Array(elements) = value else { return true };
    let mut known = HashSet::new();
    elements.iter().all(|element| known.insert(canonical(element).to_string()))
}
