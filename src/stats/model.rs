//! The figures themselves, in the shape of `stats --format json`.

use crate::event::{ItemState, Status};
use crate::value::{Object, Value};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The dimensions by which rows are grouped, in this order.
pub type By = Vec<Dimension>;

/// What rows are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    Phase,
    Agent,
    Channel,
    Status,
}

impl Dimension {
    pub fn name(self) -> &'static str {
        match self {
            Dimension::Phase => "phase",
            Dimension::Agent => "agent",
            Dimension::Channel => "channel",
            Dimension::Status => "status",
        }
    }
}

/// A number; whole ones are written without a fraction.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Figure(pub f64);

impl Figure {
    /// Nanoseconds as milliseconds, rounded to microseconds.
    pub(super) fn milliseconds(nanoseconds: u128) -> Figure {
        Figure(((nanoseconds + 500) / 1000) as f64 / 1000.0)
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Whole floats are exact up to 2^53.
        if self.0.fract() == 0.0 && self.0.abs() <= 9_007_199_254_740_992.0 {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

/// The statistics of a record: of the whole run, and of each group of rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stats {
    pub run: RunStats,
    pub groups: Vec<Group>,
}

/// The figures for expectations and comparisons, independent of the shown groups.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// A group a step, in graph order.
    pub steps: Vec<Group>,
    /// All rows; `None` without rows.
    pub all: Option<Group>,
    /// The phases of steps, with and without rows, as far as the inputs have them.
    pub known: BTreeSet<Arc<str>>,
}

/// The run as a whole, or several together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunStats {
    pub rows: u64,
    /// Those that were not skipped. Rows of documents that steps ran count in neither.
    #[serde(skip)]
    pub executions: u64,
    /// `None` if rows have no items.
    pub items: Option<u64>,
    #[serde(serialize_with = "states")]
    pub items_by_status: Option<Vec<(ItemState, u64)>>,
    /// Items that had begun and not settled when the rows ended; `None` if no item is. `items` are the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u64>,
    /// Items that were left when the run was stopped; `None` if it completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_started: Option<u64>,
    /// Steps that successful items did not run, and that have no row.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// From the first start to the last end; of several runs the sum.
    pub wall_ms: Option<Figure>,
    /// The sum of all durations: the time had the run been sequential.
    pub sequential_ms: Option<Figure>,
    /// The sum of the times that the items took; of those in flight up to now.
    pub elapsed_ms: Option<Figure>,
    /// The time saved by parallel steps: sequential minus elapsed.
    pub saved_ms: Option<Figure>,
    /// The mean time that a settled item took.
    pub mean_item_ms: Option<Figure>,
    /// The same of the items whose rows show that they succeeded.
    pub mean_succeeded_item_ms: Option<Figure>,
    /// The path through the graph with the largest sum of mean durations.
    pub critical_path: Option<Vec<Arc<str>>>,
    pub slowest_step: Option<Slowest>,
    pub tokens_used: Option<u64>,
}

impl RunStats {
    /// As an object, for the summary of a session file.
    pub fn summary(&self) -> Object {
        match serde_json::to_value(self) {
            Ok(Value::Object(object)) => object,
            _ => Object::new(),
        }
    }
}

/// A step that did not run and has no row, and why. In graph order; steps whose decision took another branch come
/// last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub phase: Arc<str>,
    pub critical: bool,
    /// How many items succeeded without it; `None` for a step that runs once after all of them.
    pub items: Option<u64>,
    /// Such as `needs b (Review was skipped)`.
    pub because: String,
    /// A decision took another branch, so that nothing is missing.
    pub decided: bool,
}

/// The phase with the largest mean duration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slowest {
    pub phase: Arc<str>,
    pub mean_ms: Figure,
}

/// All rows that agree in the grouped dimensions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    #[serde(serialize_with = "by")]
    pub by: Vec<(Dimension, Option<Arc<str>>)>,
    /// Whether they are rows of a document that a step ran, which count in no total.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub nested: bool,
    /// Executions, without skipped ones.
    pub count: u64,
    #[serde(serialize_with = "statuses")]
    pub by_status: Vec<(Status, u64)>,
    /// Successes among the rows that are neither skipped nor cancelled, from 0 to 1.
    pub success_rate: Option<Figure>,
    /// Durations are those of rows that have one and were not skipped; percentiles are nearest rank, of up to
    /// [`EXACT`](super::EXACT) durations the exact ones.
    pub mean_ms: Option<Figure>,
    pub p50_ms: Option<Figure>,
    pub p95_ms: Option<Figure>,
    pub p99_ms: Option<Figure>,
    /// Always exact.
    pub max_ms: Option<Figure>,
    /// By how much the percentiles may exceed the exact ones, as a share of them: zero where they are exact.
    /// They are never less.
    pub percentile_error: Figure,
    pub tokens_used: Option<u64>,
    /// The agents' columns that hold nothing but numbers.
    #[serde(serialize_with = "columns")]
    pub columns: Vec<(Arc<str>, NumericColumn)>,
}

impl Group {
    /// Executions that failed.
    pub fn failed(&self) -> u64 {
        self.by_status.iter().filter(|(status, _)| status.is_failure()).map(|(_, count)| count).sum()
    }

    /// How many executions have a status.
    pub fn with(&self, status: Status) -> u64 {
        self.by_status.iter().filter(|(known, _)| *known == status).map(|(_, count)| count).sum()
    }

    /// Executions that were not cancelled.
    pub fn tried(&self) -> u64 {
        self.count - self.with(Status::Cancelled)
    }

    /// Executions that did their work: for a compensation, those that compensated.
    pub fn done(&self) -> u64 {
        self.with(Status::Success) + self.with(Status::Compensated)
    }

    /// Whether the percentiles are estimates.
    pub fn estimated(&self) -> bool {
        self.percentile_error.0 > 0.0
    }

    /// The phase of its rows, if they are grouped by it.
    pub fn phase(&self) -> Option<&Arc<str>> {
        self.by.iter().find(|(dimension, _)| *dimension == Dimension::Phase)?.1.as_ref()
    }
}

/// A numeric column of one group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NumericColumn {
    pub count: u64,
    /// Exact; `None` if it has more than 10,000 digits.
    pub sum: Option<Value>,
    /// Exact, or rounded to 34 digits where it does not end; never less than the smallest number nor more than the largest.
    pub mean: Option<Value>,
    /// As written.
    pub min: Value,
    pub max: Value,
}

fn states<S: Serializer>(states: &Option<Vec<(ItemState, u64)>>, serializer: S) -> Result<S::Ok, S::Error> {
    match states {
        Some(states) => serializer.collect_map(states.iter().map(|(state, count)| (state.name(), count))),
        None => serializer.serialize_none(),
    }
}

fn statuses<S: Serializer>(statuses: &[(Status, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(statuses.iter().map(|(status, count)| (status.name(), count)))
}

fn by<S: Serializer>(by: &[(Dimension, Option<Arc<str>>)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(by.iter().map(|(dimension, value)| (dimension.name(), value)))
}

fn columns<S: Serializer>(columns: &[(Arc<str>, NumericColumn)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(columns.iter().map(|(name, column)| (name, column)))
}
