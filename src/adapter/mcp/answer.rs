//! The result of a tool as the answer of a step. Does not know how it was asked.

use super::super::{Call, Declared, contract};
use crate::event::{Answer, Cause, Failure, Outcome};
use crate::value::{Object, Type, Value};

/// The longest part of an error's text that is a message, in characters.
const EXCERPT: usize = 300;

/// The member in which many servers wrap a single value, since structured content is an object for them.
const WRAPPED: &str = "result";

/// The answer of a tool: its structured content, else its text.
pub fn read(call: &Call, result: &Value) -> Answer {
    let structured = result.get("structuredContent").filter(|value| !value.is_null());
    let blocks = result.get("content").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if result.get("isError").and_then(Value::as_bool) == Some(true) {
        return Err(error(&call.outputs, structured, blocks));
    }
    if let Some(value) = structured {
        let text = contract::text(bare(&call.outputs, value).to_string().into_bytes())?;
        return contract::result(&call.outputs, &text);
    }
    match kinds(blocks).as_slice() {
        [] => contract::done(&call.outputs, &contract::text(text(blocks).into_bytes())?),
        _ if call.outputs.is_empty() => contract::done(&[], ""),
        [kind, ..] => Err(contract::bad(format!(
            "the tool answered with content of the type `{kind}`; only text and structured content are outputs"
        ))),
    }
}

/// The value that a server has wrapped for a step with a single output, unless the output has that name.
fn bare<'a>(outputs: &[Declared], value: &'a Value) -> &'a Value {
    match (outputs, value.as_object()) {
        ([only], Some(object)) if object.len() == 1 && only.name != WRAPPED && !takes_objects(only) => {
            object.get(WRAPPED).unwrap_or(value)
        }
        _ => value,
    }
}

/// Whether an output may be the object itself.
fn takes_objects(output: &Declared) -> bool {
    !matches!(
        output.ty,
        Some(Type::String | Type::Secret | Type::Boolean | Type::Integer | Type::Number | Type::List(_))
    )
}

/// A tool that ran and failed. It may have had an effect before, unless it says otherwise.
fn error(outputs: &[Declared], structured: Option<&Value>, blocks: &[Value]) -> Box<Failure> {
    let body = structured.map_or_else(|| text(blocks), Value::to_string);
    contract::refused_or(outputs, &body, true, Outcome::Unknown, || {
        let line = text(blocks);
        let line =
            line.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("the tool gave no message");
        let message = line.chars().take(EXCERPT).collect();
        contract::failure(Cause::Refused, message, Outcome::Unknown, true)
    })
}

/// The text of all blocks, each on its own line.
fn text(blocks: &[Value]) -> String {
    let texts = blocks.iter().filter_map(|block| block.get("text").and_then(Value::as_str));
    texts.collect::<Vec<_>>().join("\n")
}

/// The types of the blocks that are not text.
fn kinds(blocks: &[Value]) -> Vec<&str> {
    blocks
        .iter()
        .filter_map(|block| block.get("type").and_then(Value::as_str))
        .filter(|kind| *kind != "text")
        .collect()
}

/// The inputs as arguments.
pub fn arguments(call: &Call) -> Object {
    call.inputs.iter().map(|(name, value)| (name.to_string(), Value::clone(value))).collect()
}

/// What the server gets beside the arguments.
pub fn meta(call: &Call) -> Object {
    let context = &call.context;
    let mut meta = Object::new();
    meta.insert("traceparent".into(), context.traceparent.clone().into());
    let mut own = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            meta.insert(format!("orderflow/{name}"), value);
        }
    };
    own("idempotency_key", Some(context.idempotency_key.clone().into()));
    own("forward_key", context.forward_key.clone().map(Value::from));
    own("run", Some((*context.run).into()));
    own("step", Some((*context.step).into()));
    own("item", Some((*context.item).into()));
    own("attempt", Some(context.attempt.into()));
    own("element", context.element.map(Value::from));
    own("deadline", context.deadline.clone().map(Value::from));
    meta
}
