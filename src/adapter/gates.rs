//! Gates in the documents that steps run, on their way to the people who are informed and asked about those of the
//! outermost run. Who that is, is not known here.

use super::Hearing;
use crate::event::{Decision, GateId, UnixMillis};
use crate::value::Value;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// Where the gates of documents are reported. Without one, they stay unreported.
#[derive(Clone, Default)]
pub struct InnerGates {
    to: Option<UnboundedSender<InnerGate>>,
    /// The phases of the steps that lead to the run, joined by `/`.
    pub path: String,
    /// Whether a person is asked about each of them: the run waits for the answers.
    pub answers: bool,
}

/// What a person decides about, without secrets: a gate at which an item waits, or what an agent asks during its attempt.
#[derive(Clone)]
pub struct ShownGate {
    /// What the gate is before, with the steps that lead there: `Review/Check`.
    pub title: String,
    /// The key of the item; `None` for the steps for all items.
    pub item: Option<String>,
    pub key: Arc<str>,
    pub question: String,
    /// Who decides.
    pub by: Option<String>,
    pub since: UnixMillis,
    pub until: Option<UnixMillis>,
    pub inputs: Vec<(String, Arc<Value>)>,
    /// The agent, if it is one that asks.
    pub agent: Option<String>,
}

/// A gate in a document at which an item waits. The outermost run does not end before this is dropped, if a person is
/// asked.
pub struct InnerGate {
    pub shown: ShownGate,
    /// It waited already when this process took the run up.
    pub again: bool,
    /// The folder of the run, and its number there.
    pub at: (PathBuf, GateId),
    /// Whether it still waits.
    pub is_open: Box<dyn Fn() -> bool + Send + Sync>,
    /// Decides about it.
    pub decide: Box<dyn Fn(Decision) + Send + Sync>,
    /// Of the run that waits.
    pub hearing: Option<Hearing>,
}

impl Drop for InnerGate {
    fn drop(&mut self) {
        self.hearing.iter().for_each(|hearing| hearing.asked(false));
    }
}

impl InnerGates {
    /// Those of a run that is not within another one.
    pub fn new(to: UnboundedSender<InnerGate>, answers: bool) -> InnerGates {
        InnerGates { to: Some(to), path: String::new(), answers }
    }

    /// For the run of the document of a step.
    pub fn within(&self, step: &str) -> InnerGates {
        let path = if self.path.is_empty() { step.to_owned() } else { format!("{}/{step}", self.path) };
        InnerGates { path, ..self.clone() }
    }

    /// Whether they are reported.
    pub fn is_open(&self) -> bool {
        self.to.is_some()
    }

    pub fn report(&self, gate: InnerGate) {
        if let Some(to) = &self.to {
            // The receiver is gone once the run is.
            drop(to.send(gate));
        }
    }
}

impl fmt::Debug for InnerGates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InnerGates")
    }
}
