//! The meaning of an answer, however it was transported. Knows nothing of processes or protocols.
//!
//! ```json
//! {"payment_result": {"id": "receipt_001"}, "amount_usd": 89.99, "tokens_used": 520}
//! {"error": {"message": "card declined", "code": "declined", "retryable": false, "outcome": "failed"}}
//! ```
//!
//! Declared outputs are read by name; every other scalar is a column of the trace; other lists and objects are
//! ignored, but for `messages`. An answer without the name of the single declared output is that output itself. An answer as text is a
//! single String whatever JSON it looks like; an answer as JSON is a String only if it is a string.

use super::reported::{beside, charge, columns, is_spent, misreported, relayed};
use super::{Call, Declared, stray};
use crate::event::{Answer, Cause, Failure, Outcome, Reply, UNAVAILABLE};
use crate::value::number::whole;
use crate::value::words::excerpt;
use crate::value::{Object, Type, Value, json, kind};
use std::sync::Arc;

/// The largest answer, in bytes.
pub const LARGEST: usize = 16 * 1024 * 1024;

/// The longest message and the longest code of an error, in characters.
const LONGEST_MESSAGE: usize = 2000;
const LONGEST_CODE: usize = 200;

/// The longest message of a failure, in characters: some include part of an agent's answer.
const LONGEST_FAILURE: usize = 4000;

/// Statuses that are caused by the key, the account or the way there: the next item would get the same answer.
pub const CLOSED: [u16; 3] = [401, 402, 407];

/// Those of a provider of models, whose 403 is about the account, too.
pub const CLOSED_BY_PROVIDER: [u16; 4] = [401, 402, 403, 407];

/// The inputs as one JSON object.
pub fn inputs(call: &Call) -> String {
    let mut text = String::from("{");
    for (index, (name, value)) in call.inputs.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&Value::from(&**name).to_string());
        text.push(':');
        text.push_str(&value.to_string());
    }
    text.push('}');
    text
}

/// The declared outputs, for agents that serve several steps. With `schemas`, types that the document defines include
/// their JSON Schema.
pub fn outputs(declared: &[Declared], schemas: bool) -> Value {
    let describe = |output: &Declared| {
        let mut object = Object::new();
        object.insert("name".into(), output.name.clone().into());
        object.insert("type".into(), output.ty.as_ref().map(Type::to_string).into());
        object.insert("optional".into(), output.optional.into());
        if let Some(schema) = output.ty.as_ref().filter(|_| schemas).and_then(Type::schema) {
            object.insert("schema".into(), schema);
        }
        Value::Object(object)
    };
    Value::Array(declared.iter().map(describe).collect())
}

/// The text of an answer in bytes.
///
/// # Errors
/// When it is too large or not UTF-8. A receiver may discard bytes beyond [`LARGEST`].
pub fn text(bytes: Vec<u8>) -> Result<String, Box<Failure>> {
    if bytes.len() > LARGEST {
        return Err(too_large());
    }
    String::from_utf8(bytes)
        .map_err(|error| bad(format!("the answer is not UTF-8 at byte {}", error.utf8_error().valid_up_to())))
}

/// The failure of an answer that is larger than [`LARGEST`].
pub fn too_large() -> Box<Failure> {
    bad(format!("the answer is larger than {} MiB", LARGEST >> 20))
}

/// The answer of a successful agent, as text.
pub fn done(declared: &[Declared], text: &str) -> Answer {
    done_assuming(declared, text, Outcome::Failed)
}

/// The same; an error in it that does not say its outcome has `assumed`.
pub fn done_assuming(declared: &[Declared], text: &str, assumed: Outcome) -> Answer {
    let trimmed = text.trim();
    let single = match declared {
        [only] => Some(only),
        _ => None,
    };
    let parsed = parse(trimmed)?;
    let error = if parsed.is_err() { hidden(declared, text) } else { None };
    if let Some(error) = error {
        return Err(stray_error(error));
    }
    match parsed {
        Ok(value) => valued(declared, value, Some(plain(text)), assumed),
        Err(_) if declared.is_empty() => Ok(Reply::default()),
        // If all outputs are optional, the answer may be empty.
        Err(_) if trimmed.is_empty() && declared.iter().all(|output| output.optional) => Ok(Reply::default()),
        // A line end alone is an empty text on purpose; without one, nothing was printed.
        Err(_) if text.is_empty() || (trimmed.is_empty() && !single.is_some_and(is_text)) => {
            Err(bad(format!("{}; the answer is empty", wanted(declared))))
        }
        Err(error) => match single {
            Some(only) if is_text(only) || only.ty.is_none() => one(only, Value::from(plain(text))),
            // An error in JSON is reported if the text begins like JSON.
            _ if trimmed.starts_with(['{', '[']) => Err(no_json(declared, &error)),
            Some(Declared { name, ty: Some(ty), .. }) => {
                Err(bad(format!("output `{name}`: expected {ty}, got `{}`", excerpt(trimmed))))
            }
            _ => Err(bad(format!("{}, got `{}`", wanted(declared), excerpt(trimmed)))),
        },
    }
}

/// The answer of a successful agent, as JSON that is not a string: no part of it is taken for text.
pub fn result(declared: &[Declared], json: &str) -> Answer {
    result_assuming(declared, json, Outcome::Failed)
}

/// The same; an error in it that does not say its outcome has `assumed`.
pub fn result_assuming(declared: &[Declared], json: &str, assumed: Outcome) -> Answer {
    match parse(json)? {
        Ok(value) => valued(declared, value, None, assumed),
        Err(_) if declared.is_empty() => Ok(Reply::default()),
        Err(error) => Err(no_json(declared, &error)),
    }
}

/// The meaning of JSON; `text` is the answer as a single text, if it may be one.
fn valued(declared: &[Declared], value: Value, text: Option<&str>, assumed: Outcome) -> Answer {
    let text = |only: &Declared| text.filter(|_| is_text(only)).map(Value::from);
    match (value, declared) {
        (Value::Object(object), _) => match refusal(declared, &object, true, assumed) {
            Some(failure) => Err(failure),
            None => named(declared, object, text),
        },
        (_, []) => Ok(Reply::default()),
        (value, [only]) => match text(only) {
            Some(text) => one(only, text),
            None if value.is_null() && only.optional => Ok(Reply::default()),
            None if value.is_null() && only.ty.is_none() => Err(no_answer(declared, &value)),
            None => one(only, value),
        },
        (value, _) => Err(no_answer(declared, &value)),
    }
}

fn no_answer(declared: &[Declared], value: &Value) -> Box<Failure> {
    bad(format!("{}; the answer is {}", wanted(declared), kind(value)))
}

fn no_json(declared: &[Declared], error: &serde_json::Error) -> Box<Failure> {
    bad(format!("{}; the answer is not JSON: {}", wanted(declared), json::problem(error)))
}

/// The error in the answer of a failed agent, if there is one. `retryable` and `outcome` apply unless the agent gives
/// others.
pub fn refused(declared: &[Declared], text: &str, retryable: bool, outcome: Outcome) -> Option<Box<Failure>> {
    match parse(text.trim()) {
        Ok(Ok(Value::Object(object))) => refusal(declared, &object, retryable, outcome),
        Ok(Ok(_)) => None,
        Ok(Err(_)) => hidden(declared, text).map(stray_error),
        Err(failure) => Some(failure),
    }
}

/// The same; without an error in the answer, the failure is `other`, with what the agent reports.
pub fn refused_or(
    declared: &[Declared],
    text: &str,
    retryable: bool,
    outcome: Outcome,
    other: impl FnOnce() -> Box<Failure>,
) -> Box<Failure> {
    refused(declared, text, retryable, outcome).unwrap_or_else(|| {
        let mut failure = other();
        if let Ok(Ok(Value::Object(object))) = parse(text.trim()) {
            charge(&mut failure, beside(declared, &object).filter(is_spent));
        }
        failure
    })
}

/// An answer as JSON.
///
/// # Errors
/// When it would take far more memory than its text.
fn parse(text: &str) -> Result<serde_json::Result<Value>, Box<Failure>> {
    if text.starts_with(['[', '{']) && json::most_values(text) > json::MOST_VALUES {
        return Err(bad(format!("the answer has more than {} values", json::MOST_VALUES)));
    }
    Ok(json::parse(text))
}

/// An error in an answer that is not JSON as a whole, unless the step declares such an output.
fn hidden<'a>(declared: &[Declared], text: &'a str) -> Option<&'a str> {
    let at = stray::error_in(text).filter(|_| !makes_errors(declared))?;
    text.get(at..)
}

fn stray_error(error: &str) -> Box<Failure> {
    bad(format!(
        "the answer has an error in it, but is not that error as JSON: `{}`; print the error alone, and the log to \
         standard error",
        excerpt(error.trim_end())
    ))
}

fn makes_errors(declared: &[Declared]) -> bool {
    declared.iter().any(|output| output.name == "error")
}

/// A failure without columns or tokens.
pub fn failure(cause: Cause, message: String, outcome: Outcome, retryable: bool) -> Box<Failure> {
    Box::new(Failure::new(cause, cut(&message, LONGEST_FAILURE), outcome, retryable))
}

/// A failure of the answer rather than of the agent.
pub fn bad(message: String) -> Box<Failure> {
    failure(Cause::BadOutput, message, Outcome::Unknown, false)
}

fn is_text(output: &Declared) -> bool {
    output.ty.as_ref().is_some_and(Type::is_text)
}

/// Text without its final newline.
fn plain(text: &str) -> &str {
    text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text))
}

fn wanted(declared: &[Declared]) -> String {
    let names: Vec<String> = declared.iter().map(|output| format!("`{}`", output.name)).collect();
    match names.as_slice() {
        [only] => format!("expected the output {only}"),
        several => format!("expected an object with the outputs {}", several.join(", ")),
    }
}

fn one(output: &Declared, value: Value) -> Answer {
    let mut reply = Reply::default();
    put(output, value, &mut reply)?;
    Ok(reply)
}

fn put(output: &Declared, value: Value, reply: &mut Reply) -> Result<(), Box<Failure>> {
    let value = match &output.ty {
        Some(ty) => ty.admit(value).map_err(|misfits| bad(format!("output {}", misfits.of(&output.name))))?,
        None => value,
    };
    reply.outputs.push((output.id, Arc::new(value)));
    Ok(())
}

fn named(declared: &[Declared], mut object: Object, text: impl FnOnce(&Declared) -> Option<Value>) -> Answer {
    let any = declared.iter().any(|output| object.contains_key(&output.name));
    if let ([only], false) = (declared, any) {
        return one(only, text(only).unwrap_or(Value::Object(object)));
    }
    let mut reply = Reply::default();
    let filled = fill(declared, &mut object, &mut reply);
    match filled.and_then(|()| columns(&object)) {
        Ok(reported) => {
            (reply.tokens_used, reply.columns) = reported;
            reply.relayed = relayed(&object);
            Ok(reply)
        }
        Err(mut failure) => {
            charge(&mut failure, beside(declared, &object).filter(is_spent));
            Err(failure)
        }
    }
}

/// Takes the outputs out of an answer.
fn fill(declared: &[Declared], object: &mut Object, reply: &mut Reply) -> Result<(), Box<Failure>> {
    let mut missing = Vec::new();
    for output in declared {
        let nullable = matches!(output.ty, Some(Type::Nullable(_)));
        match object.shift_remove(&output.name) {
            None | Some(Value::Null) if output.optional => {}
            None if nullable => put(output, Value::Null, reply)?,
            None => missing.push(output),
            Some(Value::Null) if output.ty.is_none() => missing.push(output),
            Some(value) => put(output, value, reply)?,
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = missing.iter().map(|output| format!("`{}`", output.name)).collect();
    let there: Vec<String> = object.keys().map(|name| format!("`{name}`")).collect();
    let there = if there.is_empty() { String::new() } else { format!("; found {}", there.join(", ")) };
    Err(bad(format!("missing output {}{there}", names.join(", "))))
}

/// The error in `{"error": …}`, unless the step declares such an output. `retryable` and `outcome` apply unless the
/// agent gives others; a malformed error is not retried.
pub(super) fn refusal(
    declared: &[Declared],
    object: &Object,
    retryable: bool,
    outcome: Outcome,
) -> Option<Box<Failure>> {
    if makes_errors(declared) {
        return None;
    }
    let mut failed = match object.get("error")? {
        Value::Null | Value::Bool(false) => return None,
        Value::Object(error) => verdict(error, retryable, outcome),
        Value::String(message) => failure(Cause::Refused, said(message), outcome, retryable),
        other => {
            let message =
                format!("malformed error: `error` must be text or an object, not {}", excerpt_of(other));
            failure(Cause::Refused, message, Outcome::Unknown, false)
        }
    };
    let error = object.get("error").and_then(Value::as_object);
    let within = error.into_iter().flatten().filter(is_spent);
    let within = within.filter(|(name, _)| !object.contains_key(*name));
    let reported = || beside(declared, object).chain(within.clone());
    charge(&mut failed, reported());
    if let Some(wrong) = reported().find_map(|(name, value)| misreported(name, value)) {
        failed.message = format!("{} (malformed error: {wrong})", failed.message);
        failed.retryable = false;
    }
    failed.relayed = relayed(object);
    Some(failed)
}

/// The failure for an error object.
fn verdict(error: &Object, retryable: bool, assumed: Outcome) -> Box<Failure> {
    let outcome = match error.get("outcome").map(|outcome| outcome.as_str()) {
        None => assumed,
        Some(Some("failed")) => Outcome::Failed,
        Some(Some("not executed" | "not_executed")) => Outcome::NotExecuted,
        Some(None) if error.get("outcome").is_some_and(Value::is_null) => assumed,
        // An unknown value promises nothing.
        Some(_) => Outcome::Unknown,
    };
    let text = |name| match error.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Null) | None => None,
        Some(other) => Some(other.to_string()),
    };
    let again = error.get("retryable").and_then(Value::as_bool).unwrap_or(retryable);
    let mut failed = failure(Cause::Refused, said(&text("message").unwrap_or_default()), outcome, again);
    failed.code = text("code").map(|code| cut(&code, LONGEST_CODE));
    failed.retry_after_ms = error.get("retry_after_ms").and_then(whole);
    failed.unavailable = error.get("unavailable").and_then(Value::as_bool).unwrap_or(false);
    if failed.unavailable {
        failed.retryable = false;
        failed.code.get_or_insert_with(|| UNAVAILABLE.to_owned());
    }
    if let Some(wrong) = malformed(error) {
        failed.message = format!("{} (malformed error: {wrong})", failed.message);
        failed.retryable = false;
    }
    failed
}

/// The members of an error that violate the contract.
pub(super) fn malformed(error: &Object) -> Option<String> {
    let wrong = |(name, value): (&String, &Value)| {
        let (must, fits) = match (name.as_str(), value) {
            (_, Value::Null) => return None,
            ("message", value) => ("text", value.is_string()),
            ("code", value) => ("text or a number", value.is_string() || value.is_number()),
            ("retryable" | "unavailable", value) => ("true or false", value.is_boolean()),
            ("retry_after_ms", value) => ("a whole number of milliseconds", whole(value).is_some()),
            ("outcome", Value::String(word)) => (OUTCOMES, is_outcome(word)),
            ("outcome", _) => (OUTCOMES, false),
            (name, _) => {
                let meant = MEMBERS.into_iter().find(|(known, most)| is_near(name, known, *most))?.0;
                return Some(format!("`{}` must be written `{meant}`", excerpt(name)));
            }
        };
        (!fits).then(|| format!("`{name}` must be {must}, not {}", excerpt_of(value)))
    };
    error.iter().find_map(wrong)
}

/// Members whose misspelling would be missed, and how many letters may be wrong: `available` is another word.
const MEMBERS: [(&str, usize); 4] =
    [("retryable", 2), ("outcome", 2), ("retry_after_ms", 2), ("unavailable", 1)];

const OUTCOMES: &str = "failed, unknown or not executed";

fn is_outcome(word: &str) -> bool {
    matches!(word, "failed" | "unknown" | "not executed" | "not_executed")
}

/// Whether a name is a misspelling of a known one, by at most so many letters.
fn is_near(name: &str, known: &str, most: usize) -> bool {
    let bare = |name: &str| -> String {
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        letters.map(|letter| letter.to_ascii_lowercase()).collect()
    };
    let (found, meant) = (bare(name), bare(known));
    let distance = || strsim::damerau_levenshtein(found.trim_start_matches("is"), &meant);
    name.len() < 32 && name != known && distance() <= most
}

/// The message of an error, shortened for display.
fn said(message: &str) -> String {
    if message.trim().is_empty() { "the agent gave no message".into() } else { cut(message, LONGEST_MESSAGE) }
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

pub(super) fn excerpt_of(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => kind(value).to_owned(),
        other => excerpt(&other.to_string()),
    }
}
