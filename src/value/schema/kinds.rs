//! What a schema states about values without looking at one: their kinds and members.

use super::{NESTING, TypeSchema};
use crate::value::{Lack, Part, Type, Value, kind};

/// The schema behind references.
pub(super) fn peek<'a>(definition: &'a TypeSchema, schema: &'a Value) -> &'a Value {
    let target = |schema: &&Value| definition.target(schema.get("$ref")?.as_str()?);
    std::iter::successors(Some(schema), target).take(NESTING).last().unwrap_or(schema)
}

/// Whether a value of this kind may fit.
pub(super) fn admits(definition: &TypeSchema, schema: &Value, value: &Value) -> bool {
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
pub(super) fn is_text(definition: &TypeSchema, schema: &Value) -> bool {
    let schema = peek(definition, schema);
    let options = schema.get("enum").and_then(Value::as_array);
    schema.get("type").is_some_and(|kind| kind == "string")
        || schema.get("const").is_some_and(Value::is_string)
        || options.is_some_and(|options| options.iter().all(Value::is_string))
        || branches(schema).is_some_and(|mut all| all.all(|branch| is_text(definition, branch)))
}

/// The type of a member of an object, and whether it may be absent.
pub(super) fn member(definition: &TypeSchema, name: &str) -> Option<(Type, bool)> {
    let object = peek(definition, definition.schema());
    let schema = object.get("properties")?.get(name)?;
    let required = object.get("required").and_then(Value::as_array);
    let optional = !required.is_some_and(|names| names.iter().any(|required| required == name));
    Some((type_of(definition, schema), optional))
}

pub(super) fn required(definition: &TypeSchema) -> Vec<String> {
    let required = peek(definition, definition.schema()).get("required").and_then(Value::as_array);
    required.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The first part of a path that no fitting value has. A schema that does not list its members lacks nothing.
pub(super) fn lacks(definition: &TypeSchema, schema: &Value, way: &[Part]) -> Option<Lack> {
    let [part, rest @ ..] = way else { return None };
    let schema = peek(definition, schema);
    if let Some(branches) = branches(schema) {
        // A member exists if any branch has it; branches that are not objects do not count.
        let objects = branches.filter(|branch| peek(definition, branch).get("type").is_none_or(is_deep));
        let lacks: Option<Vec<Lack>> = objects.map(|branch| lacks(definition, branch, way)).collect();
        return lacks?.into_iter().reduce(|mut one, other| {
            match one.at.cmp(&other.at) {
                std::cmp::Ordering::Less => one = other,
                std::cmp::Ordering::Equal => one.members.extend(other.members),
                std::cmp::Ordering::Greater => {}
            }
            one
        });
    }
    let without = |kinds| !is_kind(kinds, &like(part));
    if schema.get("type").is_some_and(without) || is_text(definition, schema) {
        return Some(Lack { at: 0, members: Vec::new() });
    }
    let inner = match part {
        Part::Element => schema.get("items").filter(|_| schema.get("prefixItems").is_none())?,
        Part::Member(name) => match schema.get("properties").and_then(Value::as_object)?.get(name) {
            Some(inner) => inner,
            None if is_closed(schema) => {
                let members = schema.get("properties").and_then(Value::as_object)?.keys().cloned();
                return Some(Lack { at: 0, members: members.collect() });
            }
            None => return None,
        },
    };
    lacks(definition, inner, rest).map(|lack| Lack { at: lack.at + 1, ..lack })
}

/// A value that may have such a part.
fn like(part: &Part) -> Value {
    match part {
        Part::Member(_) => Value::Object(Default::default()),
        Part::Element => Value::Array(Vec::new()),
    }
}

fn is_deep(kinds: &Value) -> bool {
    is_kind(kinds, &Value::Object(Default::default())) || is_kind(kinds, &Value::Array(Vec::new()))
}

/// Whether `properties` names all members that a value may have.
fn is_closed(schema: &Value) -> bool {
    const OTHERS: [&str; 10] = [
        "patternProperties",
        "allOf",
        "if",
        "then",
        "else",
        "dependentSchemas",
        "not",
        "propertyNames",
        "unevaluatedProperties",
        "$ref",
    ];
    let open = schema.get("additionalProperties").is_some_and(|other| *other != Value::Bool(false));
    !open && OTHERS.iter().all(|rule| schema.get(rule).is_none())
}

/// The nearest type that the language has a name for.
fn type_of(definition: &TypeSchema, schema: &Value) -> Type {
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
