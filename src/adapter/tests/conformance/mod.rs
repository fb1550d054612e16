//! What every adapter promises, asked of every kind of agent.
//!
//! - `contract`: what the bytes of an answer mean, for kinds that hand on an agent's own answer.
//! - `promise`: how attempts end, for all kinds; their exact reports are in `reports/`, one file for each kind.
//! - `kinds`: makes an agent of a kind that does what a row says. A new kind adds a file there, a test of one
//!   line to both tables, and what it cannot do to [`gap`].

mod contract;
pub(super) mod kinds;
mod promise;

use super::{PATIENCE, call, describe, until};
use crate::adapter::{Adapter, Stop, Urgency};
use crate::event::Answer;
use crate::value::Value;
use std::path::Path;
use std::sync::Arc;

/// What an agent does with a call.
#[derive(Clone, Debug)]
pub(super) enum Does {
    /// Reads its inputs and answers with these bytes.
    Says(Vec<u8>),
    /// Answers with these bytes and never looks at its inputs.
    Blurts(Vec<u8>),
    /// Answers with the first half of these bytes, and a moment later with the second.
    Dawdles(Vec<u8>),
    /// Logs [`LOG`], answers with these bytes, and fails in the way that its kind has for it.
    Fails(Vec<u8>),
    /// Fails in the way that its kind has for this refusal.
    Refuses(Refusal),
    /// Answers `{"a": <its inputs>}`.
    Returns,
    /// Answers `{"a": "<the context under this name>"}`.
    Tells(&'static str),
    /// Writes these bytes, which are no message of its protocol, instead of an answer.
    Babbles(Vec<u8>),
    /// Reads its inputs, then its process dies or its connection is closed.
    Dies,
    /// Answers with half of these bytes; then its process dies or its connection is closed.
    Breaks(Vec<u8>),
    /// Makes the file `ready` in the folder of the attempt, and answers with these bytes once it is asked to stop.
    Finishes(Vec<u8>),
    /// Makes the file `ready`, and ignores that it is asked to stop.
    Ignores,
}

/// Why an agent refuses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Refusal {
    /// The inputs are bad: another attempt does not help.
    BadInput,
    /// It did not begin, and may later.
    Busy,
    /// The same, and it asks for a pause of two seconds.
    Pause,
    /// It can do nothing for anybody.
    Unavailable,
    /// It failed and does not know what it has done.
    Crash,
}

/// What an agent that [`Does::Fails`] logs.
const LOG: &str = "first words\nlast words\n";

/// A kind of agent.
pub(super) trait Kind: Sync {
    /// Also the name of its file of reports.
    fn name(&self) -> &'static str;

    /// Whether its attempts may have effects. Without any, a lost attempt has done nothing.
    fn has_effects(&self) -> bool {
        true
    }

    /// The adapter of an agent that does this. The folder is the agent's own; that of the attempt is `item` in it.
    fn agent(&self, does: &Does, folder: &Path) -> Arc<dyn Adapter>;
}

/// Why no agent of a kind can do what a row says; `None` if it can. Everything that is not asked of a kind is here.
fn gap(kind: &str, does: &Does) -> Option<&'static str> {
    let not_utf8 = |bytes: &[u8]| std::str::from_utf8(bytes).is_err();
    Some(match (kind, does) {
        ("command" | "container" | "shell" | "python" | "headless", Does::Babbles(_)) => {
            "has no protocol: all that it writes is its answer"
        }
        ("worker" | "acp" | "headless" | "mcp" | "chat" | "messages" | "responses", Does::Says(bytes))
            if not_utf8(bytes) =>
        {
            "answers in JSON, which is always UTF-8"
        }
        ("service", Does::Fails(_)) => {
            "has no log, and fails with a status, which is the code of the failure"
        }
        ("service", Does::Tells("INSTRUCTIONS")) => "gets only what fits a header",
        ("service" | "chat" | "messages" | "responses", Does::Finishes(_)) => {
            "cannot answer: a request is cancelled by closing its connection"
        }
        ("mcp", Does::Fails(_)) => "has no error that is an answer: a tool that failed has run",
        ("mcp", Does::Tells("AGENT" | "CHANNEL" | "INSTRUCTIONS")) => {
            "gets arguments, and beside them what identifies the attempt"
        }
        ("mcp", Does::Finishes(_)) => "does not answer a call that is cancelled, by its protocol",
        ("closure", Does::Babbles(_) | Does::Dies | Does::Breaks(_)) => {
            "has neither a process nor a connection"
        }
        _ => return None,
    })
}

/// One attempt of an agent that does this: its answer, and the same in one line without what differs between machines.
async fn attempt(kind: &dyn Kind, row: &str, outputs: &str, does: &Does, inputs: Value) -> (Answer, String) {
    let folder = tempfile::tempdir().unwrap();
    let adapter = kind.agent(does, folder.path());
    let call = call(folder.path(), outputs, inputs);
    let (outputs, ready) = (call.outputs.clone(), call.dir.join("ready"));
    std::fs::create_dir_all(&call.dir).unwrap();
    let (stopper, stop) = Stop::new();
    let ask = async {
        if matches!(does, Does::Finishes(_) | Does::Ignores) {
            until("the agent works", || ready.exists()).await;
            stopper.ask(Urgency::Terminate);
        }
        if matches!(does, Does::Ignores) {
            stopper.ask(Urgency::Kill);
        }
    };
    let both = async { tokio::join!(adapter.call(call, stop), ask).0 };
    let Ok(answer) = tokio::time::timeout(PATIENCE, both).await else {
        panic!("{}: {row}: no end of the attempt", kind.name());
    };
    let line = without_ports(&describe(&outputs, &answer));
    (answer, line.replace(&*folder.path().to_string_lossy(), "FOLDER"))
}

/// A text with `PORT` for each port of this machine.
fn without_ports(text: &str) -> String {
    let host = "127.0.0.1:";
    let mut parts = text.split(host);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        format!("{text}{host}PORT{}", part.trim_start_matches(|digit: char| digit.is_ascii_digit()))
    })
}
