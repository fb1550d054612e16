//! The integers of a value that fits a definition, written in plain digits.

use super::TypeSchema;
use crate::value::Value;
use crate::value::integer::write_plainly;

/// Schemas within each other that look at the same value.
const LAYERS: usize = 32;

/// Writes what a schema that the value fits calls an integer.
pub(super) fn write(definition: &TypeSchema, schema: &Value, value: &mut Value, layer: usize) {
    if layer > LAYERS {
        return;
    }
    let Some(rules) = schema.as_object() else { return };
    if let Some(target) = rules.get("$ref").and_then(Value::as_str)
        && let Some(schema) = definition.target(target)
    {
        write(definition, schema, value, layer + 1);
    }
    let list = |name: &str| rules.get(name).and_then(Value::as_array).into_iter().flatten();
    list("allOf").for_each(|branch| write(definition, branch, value, layer + 1));
    // Only one branch: to go into all of them, level by level, would take for ever.
    let fits = |branch: &&Value| definition.holds(branch, "schema", || (*branch).clone(), value);
    if let Some(branch) = list("anyOf").chain(list("oneOf")).find(fits) {
        write(definition, branch, value, layer + 1);
    }
    match value {
        Value::Number(_) if is_integer(rules.get("type")) => write_plainly(value),
        Value::Array(elements) => {
            let first = rules.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            for (index, element) in elements.iter_mut().enumerate() {
                if let Some(schema) = first.get(index).or(rules.get("items")) {
                    write(definition, schema, element, 0);
                }
            }
        }
        Value::Object(members) => {
            let named = rules.get("properties").and_then(Value::as_object);
            for (name, member) in members {
                let schema = named.and_then(|named| named.get(name)).or(rules.get("additionalProperties"));
                if let Some(schema) = schema {
                    write(definition, schema, member, 0);
                }
            }
        }
        _ => {}
    }
}

/// Whether a schema asks for an integer, and for no other number.
fn is_integer(kinds: Option<&Value>) -> bool {
    let kinds = match kinds {
        Some(Value::Array(kinds)) => kinds.as_slice(),
        Some(kind) => std::slice::from_ref(kind),
        None => &[],
    };
    kinds.iter().any(|kind| kind == "integer") && !kinds.iter().any(|kind| kind == "number")
}
