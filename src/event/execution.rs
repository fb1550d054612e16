//! One execution of a step in the terms of the trace: the fields of a row, and the names of its columns.

use super::{Millis, StepId, StepPath, UNAVAILABLE};
use crate::value::{Value, restore};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The eight standard columns of a trace, in order; the columns that agents report follow.
pub const STANDARD: [&str; 8] =
    ["phase", "agent", "channel", "input", "output", "duration_ms", "status", "tokens_used"];

/// The columns that session files add at the end.
pub const TAIL: [&str; 4] = ["item", "attempt", "started_ms", "error"];

/// One execution of a step: its last attempt, in the terms of the trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    pub step: StepId,
    /// Its place in the list, where the step runs for each element of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub element: Option<u32>,
    pub status: Status,
    /// Labels, not contents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Of the last attempt, in milliseconds. `None` only if a replayed record lacks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
    /// Summed over the attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_used: Option<u64>,
    /// What the agent reported besides, by column.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "restore::pairs")]
    pub columns: Vec<(Arc<str>, Value)>,
    /// The number of attempts in this execution; `None` if no agent was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The agent's own code for the error; not part of the trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Further data of a replayed row; never in a journal.
    #[serde(skip)]
    pub recorded: Option<Box<Recorded>>,
}

/// The cells of a recorded row that an execution of its step might write differently.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorded {
    /// The row's index in its record.
    pub index: usize,
    pub agent: Option<Arc<str>>,
    pub channel: Option<Arc<str>>,
    /// The item's key; `None` if the record does not show which item the row belongs to.
    pub item: Option<Arc<str>>,
    pub spelled: Spelled,
}

/// Cells as they were written, by column, where this program would write them differently, such as `"a"` for `a`.
pub type Spelled = Vec<(Arc<str>, Box<str>)>;

impl Execution {
    pub fn path(&self) -> StepPath {
        StepPath { step: self.step, element: self.element }
    }

    /// Whether it failed without an attempt because its agent is unavailable.
    pub fn is_refused(&self) -> bool {
        self.attempt.is_none() && self.code.as_deref() == Some(UNAVAILABLE)
    }

    /// When it ended, computed from its start and duration.
    pub fn ended_ms(&self) -> Millis {
        let duration = self.duration_ms.unwrap_or(0.0) as Millis;
        self.started_ms.unwrap_or(0).saturating_add(duration)
    }
}

/// A row's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Success,
    Failed,
    Timeout,
    Skipped,
    Cancelled,
    Compensated,
    CompensationFailed,
}

impl Status {
    pub const ALL: [Status; 7] = [
        Status::Success,
        Status::Failed,
        Status::Timeout,
        Status::Skipped,
        Status::Cancelled,
        Status::Compensated,
        Status::CompensationFailed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Status::Success => "success",
            Status::Failed => "failed",
            Status::Timeout => "timeout",
            Status::Skipped => "skipped",
            Status::Cancelled => "cancelled",
            Status::Compensated => "compensated",
            Status::CompensationFailed => "compensation_failed",
        }
    }

    pub fn parse(name: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether the execution counts as a failure of its step.
    pub fn is_failure(self) -> bool {
        match self {
            Status::Failed | Status::Timeout | Status::CompensationFailed => true,
            Status::Success | Status::Skipped | Status::Cancelled | Status::Compensated => false,
        }
    }
}
