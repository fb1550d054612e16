//! How an attempt ended: the agent's answer, or a failure.

use super::{Relayed, Values};
use crate::value::{Value, restore};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How an attempt ended.
pub type Answer = Result<Reply, Box<Failure>>;

/// What an agent answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Declared outputs that are present, checked against their types.
    #[serde(deserialize_with = "restore::pairs")]
    pub outputs: Values,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_used: Option<u64>,
    /// Other scalars: columns of the trace.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "restore::pairs")]
    pub columns: Vec<(Arc<str>, Value)>,
    /// What the agent reports of its messages with others. They are stored as messages, not as a part of the event.
    #[serde(skip)]
    pub relayed: Vec<Relayed>,
    /// The tokens of a model. Only those who watch the run get them; the journal has the sum.
    #[serde(skip)]
    pub usage: Option<TokenUsage>,
}

/// The tokens that a model has read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenUsage {
    pub input: u64,
    pub output: u64,
}

/// Why an attempt has no outputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub cause: Cause,
    /// The agent's own code for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// One line for people.
    pub message: String,
    /// Whether the attempt may have had an effect.
    pub outcome: Outcome,
    pub retryable: bool,
    /// How long the agent asks to be left alone before another attempt, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The agent cannot work at all, such as without credit or with a wrong key: no step of it needs to be tried.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unavailable: bool,
    /// What the agent reported besides its failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_used: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "restore::pairs")]
    pub columns: Vec<(Arc<str>, Value)>,
    /// The last lines of the agent's log.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log: String,
    /// As in [`Reply`].
    #[serde(skip)]
    pub relayed: Vec<Relayed>,
    /// As in [`Reply`].
    #[serde(skip)]
    pub usage: Option<TokenUsage>,
}

/// The code of a step that failed because its agent is unavailable. An agent may report itself by it.
pub const UNAVAILABLE: &str = "agent_unavailable";

/// The code of a step that failed because a budget is spent.
pub const BUDGET: &str = "budget";

impl Failure {
    /// A failure with nothing reported besides.
    pub fn new(cause: Cause, message: String, outcome: Outcome, retryable: bool) -> Failure {
        Failure {
            cause,
            code: None,
            message,
            outcome,
            retryable,
            retry_after_ms: None,
            unavailable: false,
            tokens_used: None,
            columns: Vec::new(),
            log: String::new(),
            relayed: Vec::new(),
            usage: None,
        }
    }

    /// Whether no other attempt of this agent can succeed either, until a person has changed something.
    pub fn is_unavailable(&self) -> bool {
        self.unavailable || self.code.as_deref() == Some(UNAVAILABLE)
    }
}

/// The kinds of failure that the engine distinguishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The agent could not be started.
    Start,
    /// It exited with this code.
    Exit(i32),
    /// A signal ended it.
    Signal(i32),
    /// It was asked to stop.
    Stopped,
    /// Its answer could not be understood.
    Protocol,
    /// It answered `{"error": …}`.
    Refused,
    /// Its outputs do not fit what the step declares.
    BadOutput,
}

/// Whether a failed attempt may have had effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It had no effect.
    Failed,
    /// It never began.
    NotExecuted,
    /// It may have had an effect.
    Unknown,
}
