//! JSON-RPC 2.0 between orderflow and workers: requests to text, and lines to messages. Knows nothing of processes.
//!
//! Orderflow sends requests `step/run` and notifications `step/cancel`; a worker sends responses and notifications
//! `step/log` and `step/progress`.

use super::super::{Call, contract};
use crate::event::{Answer, Cause, Failure, Outcome};
use crate::value::{Object, Value, json};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::error::Category;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The longest line that is read: the largest answer and the text around it.
pub const LONGEST: usize = contract::LARGEST + 64 * 1024;

/// The longest part of a line that is shown in a message, in characters.
const SHOWN: usize = 120;

/// The longest progress that is stored of a call, in characters.
const LONGEST_PROGRESS: usize = 1000;

/// JSON-RPC's own codes: the worker could not parse the request, does not have the method, rejects it, or has an
/// internal error.
const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const INTERNAL_ERROR: i64 = -32603;
const RESERVED: std::ops::RangeInclusive<i64> = -32768..=-32000;

/// The meaning of a worker's line.
#[derive(Debug, PartialEq)]
pub enum Message {
    /// The call with this id has ended.
    Over { id: u64, answer: WorkerAnswer },
    /// A line for the log of the call with this id, or of the worker.
    Log { id: Option<u64>, text: String },
    /// The progress of the call with this id.
    Progress { id: u64, text: String },
    /// An unknown notification.
    Other,
}

/// The answer of a worker to one call.
#[derive(Debug, PartialEq)]
pub enum WorkerAnswer {
    /// JSON as written by the worker.
    Result(String),
    Error {
        code: i64,
        message: String,
        data: Option<Value>,
    },
}

/// The request to make an attempt, up to its id.
pub struct CallRequest(String);

#[derive(Serialize)]
struct Params<'a> {
    inputs: Inputs<'a>,
    run: &'a str,
    step: &'a str,
    item: &'a str,
    attempt: u32,
    element: Option<u32>,
    idempotency_key: &'a str,
    forward_key: Option<&'a str>,
    agent: Option<&'a str>,
    channel: Option<&'a str>,
    deadline: Option<&'a str>,
    budget: Option<Value>,
    outputs: Value,
    instructions: Option<&'a str>,
    dir: Option<Cow<'a, str>>,
    traceparent: &'a str,
}

struct Inputs<'a>(&'a Call);

impl Serialize for Inputs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.inputs.len()))?;
        for (name, value) in &self.0.inputs {
            map.serialize_entry(&**name, &**value)?;
        }
        map.end()
    }
}

impl CallRequest {
    pub fn new(call: &Call) -> Result<Self, serde_json::Error> {
        let context = &call.context;
        serde_json::to_string(&Params {
            inputs: Inputs(call),
            run: &context.run,
            step: &context.step,
            item: &context.item,
            attempt: context.attempt,
            element: context.element,
            idempotency_key: &context.idempotency_key,
            forward_key: context.forward_key.as_deref(),
            agent: context.agent.as_deref(),
            channel: context.channel.as_deref(),
            deadline: context.deadline.as_deref(),
            budget: context.budget.map(|left| left.json()),
            outputs: contract::outputs(&call.outputs, true),
            instructions: Some(&*call.instructions).filter(|text| !text.is_empty()),
            dir: (!call.dir.as_os_str().is_empty()).then(|| call.dir.to_string_lossy()),
            traceparent: &context.traceparent,
        })
        .map(CallRequest)
    }

    /// The line of the request under this id.
    pub fn line(&self, id: u64) -> String {
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"step/run\",\"params\":{}}}\n", self.0)
    }
}

/// The line that asks a worker to end a call soon.
pub fn cancel(id: u64) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"method\":\"step/cancel\",\"params\":{{\"id\":{id}}}}}\n")
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Wire<'a> {
    #[serde(default, borrow)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "there")]
    id: Option<Value>,
    #[serde(default, borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    params: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "there")]
    result: Option<&'a RawValue>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

/// Deserializes a member as present even if it is null.
fn there<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Reads a line of a worker; `None` for a blank one.
///
/// # Errors
/// The problem, as a message for the worker's author.
pub fn read(line: &[u8]) -> Result<Option<Message>, String> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let wire: Wire = serde_json::from_slice(line).map_err(|error| match error.classify() {
        Category::Data => strange(&json::why(&error), line),
        _ => format!("worker wrote non-JSON on stdout: log to stderr (it wrote {})", shown(line)),
    })?;
    meaning(wire).map(Some).map_err(|why| strange(&why, line))
}

fn strange(why: &str, line: &[u8]) -> String {
    format!(
        "worker wrote something other than a JSON-RPC 2.0 message on stdout: {why} (it wrote {})",
        shown(line)
    )
}

fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let start: String = text.chars().take(SHOWN).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("{start:?}{more}")
}

fn meaning(wire: Wire<'_>) -> Result<Message, String> {
    if wire.jsonrpc.as_deref() != Some("2.0") {
        return Err("expected \"jsonrpc\": \"2.0\"".into());
    }
    match (wire.method, wire.id, wire.result, wire.error) {
        (Some(method), None, None, None) => Ok(notification(&method, wire.params)),
        (Some(method), ..) => Err(format!(
            "{} is a request; only answers and notifications are expected",
            shown(method.as_bytes())
        )),
        (None, Some(Value::Null), None, Some(error)) => Err(format!(
            "it is an answer to nothing, the worker could not read what it was sent: {}",
            shown(error.get().as_bytes())
        )),
        (None, Some(id), Some(result), None) => {
            Ok(Message::Over { id: number(&id)?, answer: WorkerAnswer::Result(result.get().to_owned()) })
        }
        (None, Some(id), None, Some(error)) => {
            Ok(Message::Over { id: number(&id)?, answer: refusal(error.get())? })
        }
        (None, Some(_), ..) => Err("expected either \"result\" or \"error\"".into()),
        (None, None, ..) => Err("expected the \"id\" of the call that it answers".into()),
    }
}

fn number(id: &Value) -> Result<u64, String> {
    id.as_u64().ok_or_else(|| format!("no call has the id {}", cut(&id.to_string())))
}

fn refusal(error: &str) -> Result<WorkerAnswer, String> {
    let expected = "\"error\" must be an object with a whole number \"code\" and a string \"message\"";
    let Ok(Value::Object(mut error)) = json::parse(error) else { return Err(expected.into()) };
    let code = error.get("code").and_then(Value::as_i64);
    match (code, error.shift_remove("message")) {
        (Some(code), Some(Value::String(message))) => {
            Ok(WorkerAnswer::Error { code, message, data: error.shift_remove("data") })
        }
        _ => Err(expected.into()),
    }
}

fn notification(method: &str, params: Option<&RawValue>) -> Message {
    let raw = params.map_or("", RawValue::get);
    let params = match json::parse(raw) {
        Ok(Value::Object(params)) => params,
        // Other values still become a line.
        _ => Object::new(),
    };
    let id = params.get("id").and_then(Value::as_u64);
    match (method, id) {
        ("step/log", id) => Message::Log { id, text: text(&params, raw) },
        ("step/progress", Some(id)) => Message::Progress { id, text: cut(&text(&params, raw)) },
        _ => Message::Other,
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_PROGRESS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The text of a notification: its message, its counts, or all of it.
fn text(params: &Object, raw: &str) -> String {
    let count = |name| params.get(name).filter(|value| value.is_number());
    match (params.get("message"), count("done"), count("total")) {
        (Some(Value::String(message)), ..) => message.clone(),
        (Some(message), ..) => message.to_string(),
        (None, Some(done), Some(total)) => format!("{done} of {total}"),
        (None, Some(done), None) => done.to_string(),
        _ => raw.to_owned(),
    }
}

/// The answer for a step with these outputs. A result that is a string is text, read like a program's output; any
/// other result is the answer itself, and never text.
pub fn judge(call: &Call, answer: WorkerAnswer) -> Answer {
    match answer {
        WorkerAnswer::Result(raw) if raw.starts_with('"') => match serde_json::from_str::<String>(&raw) {
            Ok(text) => contract::done(&call.outputs, &contract::text(text.into_bytes())?),
            Err(error) => Err(contract::bad(format!("the result is not JSON: {}", json::problem(&error)))),
        },
        WorkerAnswer::Result(raw) => contract::result(&call.outputs, &contract::text(raw.into_bytes())?),
        WorkerAnswer::Error { code, message, data } => Err(refused(code, message, data)),
    }
}

/// An error response as a failure. Its data may have the members of `{"error": …}`, and columns beside it.
fn refused(code: i64, message: String, data: Option<Value>) -> Box<Failure> {
    let (outcome, retryable) = match code {
        PARSE_ERROR | INVALID_REQUEST | METHOD_NOT_FOUND | INVALID_PARAMS => ("failed", false),
        // After an unexpected failure the effects are unknown.
        INTERNAL_ERROR => ("unknown", true),
        _ => ("failed", true),
    };
    let mut answer = match data {
        Some(Value::Object(data)) => data,
        _ => Object::new(),
    };
    let mut error = Object::new();
    error.insert("message".into(), message.as_str().into());
    error.insert("outcome".into(), outcome.into());
    if !RESERVED.contains(&code) {
        error.insert("code".into(), code.to_string().into());
    }
    for name in ["code", "retryable", "outcome", "retry_after_ms", "unavailable"] {
        if let Some(value) = answer.shift_remove(name).filter(|value| !value.is_null()) {
            error.insert(name.into(), value);
        }
    }
    answer.insert("error".into(), Value::Object(error));
    contract::refusal(&[], &answer, retryable, Outcome::Failed)
        .unwrap_or_else(|| contract::failure(Cause::Refused, message, Outcome::Failed, retryable))
}
