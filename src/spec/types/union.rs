//! Alternatives as the shortest equivalent schema: kinds as one list of kinds, constants as one list of constants.

use crate::value::Value;
use serde_json::json;

/// One schema for several, each of them as the parser makes it.
pub(super) fn of(branches: Vec<Value>) -> Value {
    let branches: Vec<Value> = match <[Value; 1]>::try_from(branches) {
        Ok([only]) => return only,
        Err(several) => several,
    };
    let (mut constants, mut kinds, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for branch in branches {
        match (branch.get("const"), branch.get("type"), branch.as_object().map_or(0, |rules| rules.len())) {
            (Some(constant), None, 1) => constants.push(constant.clone()),
            (None, Some(kind @ Value::String(_)), 1) if kinds.contains(kind) => {}
            (None, Some(kind @ Value::String(_)), 1) => kinds.push(kind.clone()),
            _ => others.push(branch),
        }
    }
    let null = json!("null");
    // `"a" | "b" | null` is one list of constants.
    if !constants.is_empty() && kinds == [null] {
        kinds.clear();
        constants.push(Value::Null);
    }
    let mut all = Vec::new();
    match constants.len() {
        0 => {}
        1 => all.push(json!({ "const": constants[0] })),
        _ => all.push(json!({ "enum": constants })),
    }
    match kinds.len() {
        0 => {}
        1 => all.push(json!({ "type": kinds[0] })),
        _ => all.push(json!({ "type": kinds })),
    }
    all.extend(others);
    match <[Value; 1]>::try_from(all) {
        Ok([only]) => only,
        Err(several) => json!({ "anyOf": several }),
    }
}
