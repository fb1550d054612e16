//! What a schema says of values without looking at one: their kinds and their members.

use super::{Definition, NESTING};
use crate::value::{Type, Value, kind};

/// The schema behind references.
pub(super) fn peek<'a>(definition: &'a Definition, schema: &'a Value) -> &'a Value {
    let target = |schema: &&Value| definition.target(schema.get("$ref")?.as_str()?);
    std::iter::successors(Some(schema), target).take(NESTING).last().unwrap_or(schema)
}

/// Whether a value of this kind may fit.
pub(super) fn admits(definition: &Definition, schema: &Value, value: &Value) -> bool {
    let schema = peek(definition, schema);
    let options = schema.get("enum").and_then(Value::as_array);
    schema.get("type").is_none_or(|kinds| is_kind(kinds, value))
        && schema.get("const").is_none_or(|only| kind(only) == kind(value))
        && options.is_none_or(|options| options.iter().any(|option| kind(option) == kind(value)))
        && branches(schema).is_none_or(|mut all| all.any(|branch| admits(definition, branch, value)))
}

pub(super) fn branches(schema: &Value) -> Option<std::slice::Iter<'_, Value>> {
    let all = schema.get("anyOf").or_else(|| schema.get("oneOf"))?;
    all.as_array().map(|all| all.iter())
}

fn is_kind(kinds: &Value, value: &Value) -> bool {
    let is = |name: &str| match value {
        Value::String(_) => name == "string",
        Value::Bool(_) => name == "boolean",
        Value::Number(_) => name == "number" || name == "integer",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
        Value::Null => name == "null",
    };
    match kinds {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).any(is),
        kinds => kinds.as_str().is_some_and(is),
    }
}

/// Whether all values that fit are strings.
pub(super) fn is_text(definition: &Definition, schema: &Value) -> bool {
    let schema = peek(definition, schema);
    let options = schema.get("enum").and_then(Value::as_array);
    schema.get("type").is_some_and(|kind| kind == "string")
        || schema.get("const").is_some_and(Value::is_string)
        || options.is_some_and(|options| options.iter().all(Value::is_string))
        || branches(schema).is_some_and(|mut all| all.all(|branch| is_text(definition, branch)))
}

/// The type of a member of an object, and whether it may be absent.
pub(super) fn member(definition: &Definition, name: &str) -> Option<(Type, bool)> {
    let object = peek(definition, definition.schema());
    let schema = object.get("properties")?.get(name)?;
    let required = object.get("required").and_then(Value::as_array);
    let optional = !required.is_some_and(|names| names.iter().any(|required| required == name));
    Some((type_of(definition, schema), optional))
}

/// The nearest type that the language has a name for.
fn type_of(definition: &Definition, schema: &Value) -> Type {
    let kinds = match peek(definition, schema).get("type") {
        Some(Value::Array(kinds)) => kinds.as_slice(),
        Some(kind) => std::slice::from_ref(kind),
        None => &[],
    };
    let named: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
    let (nulls, others): (Vec<&str>, Vec<&str>) = named.into_iter().partition(|kind| *kind == "null");
    let ty = match others.as_slice() {
        ["string"] => Type::String,
        ["boolean"] => Type::Boolean,
        ["integer"] => Type::Integer,
        ["number"] => Type::Number,
        _ if is_text(definition, schema) => Type::String,
        _ => Type::Json,
    };
    if nulls.is_empty() { ty } else { Type::Nullable(Box::new(ty)) }
}
