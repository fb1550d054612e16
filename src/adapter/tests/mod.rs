//! What adapters promise: `conformance` asks all of them by the same tables; `acp`, `endless`, `headless`, `http`,
//! `launch`, `mcp`, `model`, `process`, `stream` and `worker` check what those kinds promise besides.

mod acp;
mod budget;
mod conformance;
mod endless;
mod headless;
mod http;
mod launch;
mod live;
mod mcp;
mod mcp_ends;
mod mcp_hostile;
mod mcp_streams;
pub(super) mod model;
mod orphans;
mod process;
mod recorded;
pub(super) mod stream;
mod worker;

use super::question::Questions;
use super::{AttemptLog, Call, Context, Conversation, Declared, LiveWords, Spawns};
use crate::event::{Answer, ValueId};
use crate::value::{Type, Value};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Outputs as a signature declares them: `a::Order, b?::Boolean`.
fn declared(signature: &str) -> Arc<[Declared]> {
    let output = |(index, text): (usize, &str)| {
        let (name, ty) = text.split_once("::").unwrap_or((text, ""));
        Declared {
            id: ValueId(index as u32),
            name: name.trim_end_matches('?').to_owned(),
            ty: Type::parse(ty),
            optional: name.ends_with('?'),
        }
    };
    signature.split(", ").filter(|text| !text.is_empty()).enumerate().map(output).collect()
}

/// An attempt whose files lie in `folder`; `inputs` is an object.
pub(super) fn call(folder: &Path, outputs: &str, inputs: Value) -> Call {
    let Value::Object(inputs) = inputs else { panic!("inputs are an object") };
    Call {
        context: Context {
            run: "run-1".into(),
            outermost: "run-1".into(),
            step: "ProcessPayment".into(),
            item: "order-7".into(),
            attempt: 3,
            repeated: false,
            element: None,
            idempotency_key: "key-of-the-effect".into(),
            forward_key: Some("key-of-what-is-undone".into()),
            agent: Some("payment-service".into()),
            channel: Some("payments".into()),
            deadline: Some("2026-11-20T08:00:00.000Z".into()),
            budget: None,
            traceparent: "00-1-2-01".into(),
        },
        inputs: inputs.into_iter().map(|(name, value)| (name.into(), Arc::new(value))).collect(),
        files: Vec::new(),
        outputs: declared(outputs),
        instructions: "Be brief.\nAnd polite.".into(),
        dir: folder.join("item"),
        scratch: folder.to_owned(),
        input: None,
        attempt_id: "7-0-3".to_owned(),
        home: Default::default(),
        place: Default::default(),
        spawns: Spawns::default(),
        conversation: Conversation::default(),
        live: LiveWords::default(),
        questions: Questions::default(),
        log: AttemptLog::default(),
        rests: crate::adapter::Rests::default(),
        events: crate::adapter::OuterEvents::default(),
        gates: crate::adapter::InnerGates::default(),
        redactor: Default::default(),
    }
}

/// An answer in one line: `a={"id":1}; tokens 5; fee=2`, or `Refused(code): message; Failed, final; fee=2`.
pub(super) fn describe(outputs: &[Declared], answer: &Answer) -> String {
    let mut parts = Vec::new();
    let (tokens, columns) = match answer {
        Ok(reply) => {
            for (id, value) in &reply.outputs {
                parts.push(format!("{}={}", outputs[id.index()].name, short(&value.to_string())));
            }
            (reply.tokens_used, &reply.columns)
        }
        Err(failure) => {
            let code = failure.code.as_ref().map(|code| format!("({code})")).unwrap_or_default();
            let again = if failure.retryable { "again" } else { "final" };
            parts.push(format!("{:?}{code}: {}", failure.cause, failure.message));
            parts.push(format!("{:?}, {again}", failure.outcome));
            parts.extend(failure.retry_after_ms.map(|pause| format!("after {pause} ms")));
            parts.extend(failure.unavailable.then(|| "unavailable".to_owned()));
            (failure.tokens_used, &failure.columns)
        }
    };
    parts.extend(tokens.map(|tokens| format!("tokens {tokens}")));
    parts.extend(columns.iter().map(|(name, value)| format!("{name}={value}")));
    parts.join("; ")
}

fn short(text: &str) -> String {
    if text.len() > 200 { format!("({} bytes)", text.len()) } else { text.to_owned() }
}

/// Waits for what must come to be true soon.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A process's state and its group, from /proc; none when it is gone.
fn about(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(1)?.parse().ok()?))
}

/// Whether a process has ended, collected by its parent or not.
fn is_gone(pid: u32) -> bool {
    about(pid).is_none_or(|(state, _)| matches!(state, 'Z' | 'X'))
}
