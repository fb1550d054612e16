//! How attempts end: success, every class of failure, a slow, a huge and a malformed answer, a lost connection, a stop.
//! One table for all kinds. `UPDATE=1` writes their exact reports to `reports/`; read what has changed.

use super::kinds::{
    CHAT, CLOSURE, CODER, COMMAND, CONTAINER, HEADLESS, MESSAGES, PYTHON, RESPONSES, SERVICE, SHELL, TOOL,
    WORKER,
};
use super::{Does, Kind, Refusal, attempt, gap};
use crate::adapter::contract;
use crate::event::{Answer, Outcome};
use crate::value::Value;
use serde_json::json;
use std::path::Path;

/// A promise: what an agent does, and how the attempt may end.
struct Row {
    name: &'static str,
    outputs: &'static str,
    inputs: Value,
    does: Does,
    ends: &'static [&'static str],
}

fn row(name: &'static str, outputs: &'static str, does: Does, ends: &'static [&'static str]) -> Row {
    Row { name, outputs, inputs: json!({"order": {"id": 1}}), does, ends }
}

const MADE: &[&str] = &["made"];
const UNKNOWN: &[&str] = &["effect unknown, again"];
/// Another attempt gets no better answer.
const UNUSABLE: &[&str] = &["effect unknown, final"];

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let says = |text: &str| Does::Says(text.into());
    let order = || br#"{"a":{"id":1}}"#.to_vec();
    let large = |row: Row| Row { inputs: json!({"text": "x".repeat(1 << 20)}), ..row };
    vec![
        row("an object", "a::Order", Does::Says(order()), MADE),
        row("a text", "a::String", says("Dear Ada, \"thanks\".\nYours"), MADE),
        row("several outputs", "a::Order, b::Integer[], c?::String", says(r#"{"a":{"id":1},"b":[1,2]}"#), MADE),
        row("no outputs", "", says("done"), MADE),
        row("its inputs", "a::JSON", Does::Returns, MADE),
        row("the idempotency key", "a::JSON", Does::Tells("KEY"), MADE),
        row("a slow answer", "a::Order", Does::Dawdles(order()), MADE),
        large(row("a mebibyte in and out", "a::JSON", Does::Returns, MADE)),
        row("the inputs are bad", "a::Order", Does::Refuses(Refusal::BadInput), &["no effect, final"]),
        row("it is busy", "a::Order", Does::Refuses(Refusal::Busy), &["no effect, again", "effect unknown, again"]),
        row("it is busy for two seconds", "a::Order", Does::Refuses(Refusal::Pause), &["no effect, again, after 2000 ms"]),
        row("it is unavailable", "a::Order", Does::Refuses(Refusal::Unavailable), &["no effect, final, unavailable"]),
        row("it fails within", "a::Order", Does::Refuses(Refusal::Crash), UNKNOWN),
        row("an empty answer", "a::Order", says(""), UNUSABLE),
        row("malformed JSON", "a::Order", says(r#"{"a":"#), UNUSABLE),
        row("a wrong type", "a::Boolean", says(r#"{"a":"yes"}"#), UNUSABLE),
        row("a missing output", "a::Order, b::Order", says(r#"{"a":{},"c":{}}"#), UNUSABLE),
        row("not UTF-8", "a::String", Does::Says(b"ab\xff".to_vec()), UNUSABLE),
        row("too large", "a::String", Does::Says(vec![b'x'; contract::LARGEST + 1]), UNUSABLE),
        row("no message of its protocol", "a::Order", Does::Babbles(b"I am \xff\n".to_vec()), &["effect unknown, again", "effect unknown, final"]),
        row("an end before the answer", "a::Order", Does::Dies, UNKNOWN),
        row("an end in the middle of the answer", "a::Order", Does::Breaks(order()), UNKNOWN),
        row("a stop that it waits for", "a::Order", Does::Finishes(order()), MADE),
        row("a stop that it ignores", "a::Order", Does::Ignores, UNKNOWN),
    ]
}

/// The class of an end. The attempt of a kind without effects that was lost has done nothing.
fn class(answer: &Answer) -> String {
    let Err(failure) = answer else { return "made".to_owned() };
    let effect = if failure.outcome == Outcome::Unknown { "effect unknown" } else { "no effect" };
    let again = if failure.retryable { "again" } else { "final" };
    let pause = failure.retry_after_ms.map(|pause| format!(", after {pause} ms")).unwrap_or_default();
    let unavailable = if failure.unavailable { ", unavailable" } else { "" };
    format!("{effect}, {again}{pause}{unavailable}")
}

/// Asks an agent of a kind for every row that it can do.
async fn keeps_promises(kind: &dyn Kind) {
    let mut reports = String::new();
    for row in rows() {
        let report = match gap(kind.name(), &row.does) {
            Some(reason) => format!("({reason})"),
            None => {
                let (answer, line) = attempt(kind, row.name, row.outputs, &row.does, row.inputs).await;
                let class = class(&answer);
                let mut may = row.ends.iter().map(|end| match kind.has_effects() {
                    true => (*end).to_owned(),
                    false => end.replace("effect unknown", "no effect"),
                });
                assert!(may.any(|end| end == class), "{}: {}: {class}: {line}", kind.name(), row.name);
                line
            }
        };
        reports.push_str(format!("{}: {report}", row.name).trim_end());
        reports.push('\n');
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/adapter/tests/conformance/reports")
        .join(format!("{}.txt", kind.name()));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &reports).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(reports, known, "{}: UPDATE=1 writes the reports again", kind.name());
}

#[tokio::test]
async fn a_command_keeps_its_promises() {
    keeps_promises(&COMMAND).await;
}

#[tokio::test]
async fn a_container_keeps_its_promises() {
    keeps_promises(&CONTAINER).await;
}

#[tokio::test]
async fn a_shell_fence_keeps_its_promises() {
    keeps_promises(&SHELL).await;
}

#[tokio::test]
async fn a_python_fence_keeps_its_promises() {
    keeps_promises(&PYTHON).await;
}

#[tokio::test]
async fn a_worker_keeps_its_promises() {
    keeps_promises(&WORKER).await;
}

#[tokio::test]
async fn a_tool_keeps_its_promises() {
    keeps_promises(&TOOL).await;
}

#[tokio::test]
async fn a_service_keeps_its_promises() {
    keeps_promises(&SERVICE).await;
}

#[tokio::test]
async fn a_model_behind_chat_keeps_its_promises() {
    keeps_promises(&CHAT).await;
}

#[tokio::test]
async fn a_model_behind_messages_keeps_its_promises() {
    keeps_promises(&MESSAGES).await;
}

#[tokio::test]
async fn a_model_behind_responses_keeps_its_promises() {
    keeps_promises(&RESPONSES).await;
}

#[tokio::test]
async fn a_coding_agent_keeps_its_promises() {
    keeps_promises(&CODER).await;
}

#[tokio::test]
async fn a_headless_coding_agent_keeps_its_promises() {
    keeps_promises(&HEADLESS).await;
}

#[tokio::test]
async fn a_closure_keeps_its_promises() {
    keeps_promises(&CLOSURE).await;
}
