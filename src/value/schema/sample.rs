//! A sample value for a definition: as small as possible, and fitting as far as the schema can be evaluated.

use super::kinds::branches;
use super::{TypeSchema, referred};
use crate::value::{Object, Value};

/// The most characters and elements that a sample gets because a definition requires them.
const MOST: usize = 10_000;

/// A value that fits, where one can be found; else one that comes near.
pub(super) fn sample(definition: &TypeSchema) -> Value {
    Maker { definition, within: Vec::new() }.make(definition.schema()).unwrap_or_default()
}

struct Maker<'a> {
    definition: &'a TypeSchema,
    /// The types around the current place.
    within: Vec<String>,
}

impl<'a> Maker<'a> {
    /// A sample for the schema; `None` if the value would have to contain itself.
    fn make(&mut self, schema: &'a Value) -> Option<Value> {
        let rule = |name: &str| schema.get(name);
        let first = |name: &str| rule(name)?.as_array()?.first();
        let given = rule("const").or_else(|| first("enum")).or(rule("default")).or_else(|| first("examples"));
        if let Some(given) = given {
            return Some(given.clone());
        }
        if let Some(name) = rule("$ref").and_then(|target| referred(target.as_str()?)) {
            return self.named(name);
        }
        if let Some(branches) = branches(schema) {
            let all = branches.filter_map(|branch| self.make(branch));
            return all.min_by_key(|value| value.to_string().len());
        }
        let mut whole = self.kind(schema)?;
        for part in rule("allOf").and_then(Value::as_array).into_iter().flatten() {
            match (&mut whole, self.make(part)?) {
                (Value::Object(whole), Value::Object(part)) => whole.extend(part),
                (whole, part) => *whole = part,
            }
        }
        Some(whole)
    }

    fn named(&mut self, name: String) -> Option<Value> {
        if self.within.contains(&name) {
            return None;
        }
        let target = self.definition.definition(&name)?;
        self.within.push(name);
        let made = self.make(target);
        self.within.pop();
        made
    }

    fn kind(&mut self, schema: &'a Value) -> Option<Value> {
        let kind = schema.get("type").map(|kinds| kinds.get(0).unwrap_or(kinds)).and_then(Value::as_str);
        let count = |name: &str| schema.get(name).and_then(Value::as_u64).map(|count| count as usize);
        Some(match kind {
            Some("string") => {
                let text = format!("{:x<1$}", "stub", count("minLength").unwrap_or(0).min(MOST));
                Value::from(text.chars().take(count("maxLength").unwrap_or(MOST)).collect::<String>())
            }
            Some("number" | "integer") => {
                let mut bounds = ["multipleOf", "minimum", "maximum"].into_iter();
                bounds.find_map(|name| schema.get(name)).cloned().unwrap_or_else(|| Value::from(1))
            }
            Some("boolean") => Value::from(true),
            Some("null") => Value::Null,
            Some("array") => self.list(schema, count("minItems").unwrap_or(0))?,
            _ => self.object(schema)?,
        })
    }

    fn list(&mut self, schema: &'a Value, least: usize) -> Option<Value> {
        if least == 0 {
            return Some(Value::Array(Vec::new()));
        }
        let element = match schema.get("items") {
            Some(items) => self.make(items)?,
            None => Value::Null,
        };
        // Lists of lists of lists grow fast.
        let most = MOST / element.to_string().len();
        Some(Value::Array(vec![element; least.min(most)]))
    }

    /// An object with its required members; an empty one if the schema states nothing.
    fn object(&mut self, schema: &'a Value) -> Option<Value> {
        let mut members = Object::new();
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            let member = match schema.get("properties").and_then(|members| members.get(name)) {
                Some(schema) => self.make(schema)?,
                None => Value::Null,
            };
            members.insert(name.to_owned(), member);
        }
        if members.is_empty() && schema.get("type").is_none() {
            members.insert("stub".to_owned(), true.into());
        }
        Some(Value::Object(members))
    }
}
