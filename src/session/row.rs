//! One row of a trace: one execution of one step.

use crate::event::Status;
use crate::value::Value;
use std::sync::Arc;

/// The eight standard columns, in their order; then come the columns that agents report.
pub const STANDARD: [&str; 8] =
    ["phase", "agent", "channel", "input", "output", "duration_ms", "status", "tokens_used"];

/// The columns that session files add at the end.
pub const TAIL: [&str; 4] = ["item", "attempt", "started_ms", "error"];

/// One execution as a trace records it. Absent cells are `None` and stand as `null` in tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub phase: Arc<str>,
    pub agent: Option<Arc<str>>,
    pub channel: Option<Arc<str>>,
    pub input: Option<String>,
    pub output: Option<String>,
    pub duration_ms: Option<f64>,
    pub status: Status,
    pub tokens_used: Option<u64>,
    /// Columns that agents report, in first-seen order; numbers keep their text.
    pub columns: Vec<(Arc<str>, Value)>,
    /// The item's key.
    pub item: Option<Arc<str>>,
    pub attempt: Option<u32>,
    /// Since the run began.
    pub started_ms: Option<u64>,
    pub error: Option<String>,
}
