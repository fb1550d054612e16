//! Types and values, and whether a value fits a type. Knows nothing of documents or steps.
//!
//! A value is JSON. Numbers keep their original text (`145.50` stays `145.50`), so amounts of money pass through
//! unchanged.

pub mod budget;
mod decimal;
pub mod dollars;
mod integer;
pub mod json;
mod label;
mod misfit;
mod near;
pub mod number;
pub mod restore;
mod sample;
pub mod schema;
pub mod space;
mod text;
mod variable;
pub mod words;

pub use decimal::Decimal;
pub use label::label;
pub use misfit::{Misfit, Misfits};
pub use near::{LIKE_BUILT_IN, nearest};
pub use number::equal;
pub use schema::TypeSchema;
pub use serde_json::Value;
pub use variable::{in_conditions, variable};

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// An object of values by name, in the order they were written.
pub type Object = serde_json::Map<String, Value>;

/// The declared type of a value, as written after `::` in a signature.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    String,
    /// A string that is shown nowhere.
    Secret,
    Boolean,
    Integer,
    Number,
    Json,
    /// A path below the item's folder.
    File,
    /// A name without a built-in meaning: a tag that maker and user must agree on.
    Named(String),
    /// A name with a definition.
    Defined(Arc<TypeSchema>),
    List(Box<Type>),
    /// `T?`: the value may be null.
    Nullable(Box<Type>),
}

/// One step of a path into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Member(String),
    Element,
}

/// Where a path into a value leads to a member that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// The index of the missing part.
    pub at: usize,
    /// The members that exist there.
    pub members: Vec<String>,
}

/// The most `[]` and `?` of a type, in bytes.
const DEEPEST: usize = 128;

impl Type {
    /// Reads `Name`, `Name[]`, `Name?` and their nestings, in at most 128 bytes of `[]` and `?`. `None` if the text is
    /// not a type.
    pub fn parse(text: &str) -> Option<Type> {
        let name = text.trim_end_matches(['[', ']', '?']);
        // A level is a suffix of at least one byte, and all work on types recurses.
        (text.len() - name.len() <= DEEPEST).then(|| Type::nested(text)).flatten()
    }

    fn nested(text: &str) -> Option<Type> {
        if let Some(inner) = text.strip_suffix('?') {
            return match Type::nested(inner)? {
                Type::Nullable(_) => None,
                inner => Some(Type::Nullable(Box::new(inner))),
            };
        }
        if let Some(inner) = text.strip_suffix("[]") {
            return Some(Type::List(Box::new(Type::nested(inner)?)));
        }
        let mut chars = text.chars();
        let named = chars.next().is_some_and(char::is_alphabetic)
            && chars.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
        named.then(|| match text {
            "String" => Type::String,
            "Secret" => Type::Secret,
            "Boolean" => Type::Boolean,
            "Integer" => Type::Integer,
            "Number" => Type::Number,
            "JSON" => Type::Json,
            "File" => Type::File,
            name => Type::Named(name.to_owned()),
        })
    }

    /// The name in the type that is not built in, with or without a definition.
    pub fn name(&self) -> Option<&str> {
        match self {
            Type::Named(name) => Some(name),
            Type::Defined(definition) => Some(definition.name()),
            Type::List(inner) | Type::Nullable(inner) => inner.name(),
            Type::String
            | Type::Secret
            | Type::Boolean
            | Type::Integer
            | Type::Number
            | Type::Json
            | Type::File => None,
        }
    }

    /// The same type with every known name replaced by its definition.
    pub fn resolved(&self, known: &HashMap<String, Arc<TypeSchema>>) -> Type {
        match self {
            Type::Named(name) => {
                known.get(name).map_or_else(|| self.clone(), |known| Type::Defined(known.clone()))
            }
            Type::List(inner) => Type::List(Box::new(inner.resolved(known))),
            Type::Nullable(inner) => Type::Nullable(Box::new(inner.resolved(known))),
            other => other.clone(),
        }
    }

    /// Whether `value` fits, and where it does not. A name without a definition is a tag: any value but null fits it.
    pub fn fits(&self, value: &Value) -> Result<(), Misfits> {
        if self.accepts(value) {
            return Ok(());
        }
        let mut misfits = Misfits::new(self.to_string());
        self.explain(value, &mut String::new(), &mut misfits);
        Err(misfits)
    }

    fn accepts(&self, value: &Value) -> bool {
        match self {
            Type::String | Type::Secret | Type::File => value.is_string(),
            Type::Boolean => value.is_boolean(),
            Type::Integer => value.as_number().is_some_and(|number| integer::fits(number.as_str())),
            Type::Number => value.is_number(),
            Type::Json => true,
            Type::Named(_) => !value.is_null(),
            Type::Defined(definition) => definition.accepts(value),
            Type::Nullable(inner) => value.is_null() || inner.accepts(value),
            Type::List(inner) => value.as_array().is_some_and(|all| all.iter().all(|one| inner.accepts(one))),
        }
    }

    fn explain(&self, value: &Value, path: &mut String, misfits: &mut Misfits) {
        match (self, value) {
            (Type::Defined(definition), _) => definition.explain(value, path, misfits),
            (Type::Nullable(inner), _) => inner.explain(value, path, misfits),
            (Type::List(inner), Value::Array(elements)) => {
                for (index, element) in elements.iter().enumerate().filter(|(_, one)| !inner.accepts(one)) {
                    let length = path.len();
                    misfit::element(path, index);
                    inner.explain(element, path, misfits);
                    path.truncate(length);
                }
            }
            _ => misfits.add(path, self.to_string(), kind(value)),
        }
    }

    /// The type of a member, if a definition states it, and whether it may be absent.
    pub fn member(&self, name: &str) -> Option<(Type, bool)> {
        match self {
            Type::Defined(definition) => definition.member(name),
            Type::Nullable(inner) => inner.member(name),
            _ => None,
        }
    }

    /// Whether its values are secrets or lists of secrets.
    pub fn holds_secrets(&self) -> bool {
        match self {
            Type::Secret => true,
            Type::Nullable(inner) | Type::List(inner) => inner.holds_secrets(),
            _ => false,
        }
    }

    /// What is shown instead of a value that is or contains a secret; `None` for all others.
    pub fn hidden(&self, name: &str, value: &Value) -> Option<Value> {
        (self.holds_secrets() && !value.is_null()).then(|| Value::String(format!("[secret:{name}]")))
    }

    /// Whether a value of this type may be a list.
    pub fn may_be_list(&self) -> bool {
        match self {
            Type::List(_) | Type::Json | Type::Named(_) => true,
            Type::Nullable(inner) => inner.may_be_list(),
            Type::Defined(definition) => definition.may_be_list(),
            Type::String | Type::Secret | Type::Boolean | Type::Integer | Type::Number | Type::File => false,
        }
    }

    /// The first part on this path that no value of the type has, if the type states its members.
    pub fn lacks(&self, way: &[Part]) -> Option<Lack> {
        match (self, way) {
            (Type::Defined(definition), _) => definition.lacks(way),
            (Type::Nullable(inner), _) => inner.lacks(way),
            (Type::List(inner), [Part::Element, rest @ ..]) => {
                inner.lacks(rest).map(|lack| Lack { at: lack.at + 1, ..lack })
            }
            (Type::List(_), [Part::Member(_), ..]) => Some(Lack { at: 0, members: Vec::new() }),
            (
                Type::String | Type::Secret | Type::Boolean | Type::Integer | Type::Number | Type::File,
                [_, ..],
            ) => Some(Lack { at: 0, members: Vec::new() }),
            _ => None,
        }
    }

    /// The JSON Schema of a type that the document defines, also within lists and nullable types; `None` for all
    /// others.
    pub fn schema(&self) -> Option<Value> {
        let around = |inner: &Type, with: fn(Value) -> Value| {
            let mut schema = inner.schema()?;
            let definitions = schema.as_object_mut()?.shift_remove("$defs")?;
            let mut schema = with(schema);
            schema["$defs"] = definitions;
            Some(schema)
        };
        match self {
            Type::Defined(definition) => Some(definition.schema().clone()),
            Type::List(inner) => {
                around(inner, |inner| serde_json::json!({ "type": "array", "items": inner }))
            }
            Type::Nullable(inner) => {
                around(inner, |inner| serde_json::json!({ "anyOf": [inner, { "type": "null" }] }))
            }
            _ => None,
        }
    }

    /// Whether all values are strings, or null where that is allowed.
    pub fn is_text(&self) -> bool {
        match self {
            Type::String | Type::Secret | Type::File => true,
            Type::Nullable(inner) => inner.is_text(),
            Type::Defined(definition) => definition.is_text(),
            Type::Boolean | Type::Integer | Type::Number | Type::Json | Type::Named(_) | Type::List(_) => {
                false
            }
        }
    }

    /// Whether its values are files, or lists of them.
    pub fn holds_files(&self) -> bool {
        match self {
            Type::File => true,
            Type::List(inner) | Type::Nullable(inner) => inner.holds_files(),
            Type::String
            | Type::Secret
            | Type::Boolean
            | Type::Integer
            | Type::Number
            | Type::Json
            | Type::Named(_)
            | Type::Defined(_) => false,
        }
    }

    /// Whether every value of this type fits `other`. Tags fit only themselves.
    pub fn serves_as(&self, other: &Type) -> bool {
        match (self, other) {
            (_, Type::Json) | (Type::Integer, Type::Number) => true,
            (Type::List(one), Type::List(other)) | (Type::Nullable(one), Type::Nullable(other)) => {
                one.serves_as(other)
            }
            (one, Type::Nullable(other)) => one.serves_as(other),
            (one, other) => one == other,
        }
    }
}

/// The kind of a value, as messages name it.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a Boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::String => f.write_str("String"),
            Type::Secret => f.write_str("Secret"),
            Type::Boolean => f.write_str("Boolean"),
            Type::Integer => f.write_str("Integer"),
            Type::Number => f.write_str("Number"),
            Type::Json => f.write_str("JSON"),
            Type::File => f.write_str("File"),
            Type::Named(name) => f.write_str(name),
            Type::Defined(definition) => f.write_str(definition.name()),
            Type::List(inner) => write!(f, "{inner}[]"),
            Type::Nullable(inner) => write!(f, "{inner}?"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_nest_so_deep_and_no_deeper() {
        let deep = format!("T{}", "[]".repeat(64));
        assert_eq!(Type::parse(&deep).map(|ty| ty.to_string()), Some(deep.clone()));
        assert_eq!(Type::parse(&format!("{deep}[]")), None);
        assert_eq!(Type::parse(&format!("T{}", "[]".repeat(20_000))), None);
        assert_eq!(Type::parse(&format!("T{}", "[]?".repeat(20_000))), None);
    }
}
