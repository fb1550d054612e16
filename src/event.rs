//! What happened: one closed enum in the past tense. The engine makes events and changes state only by
//! applying them; the trace, the progress display and the statistics are folds over the same events.
//!
//! Times are milliseconds since the run began. Events are kept in journals: their names and fields are a format.

// Rooms below know the graph only by these.
pub use crate::graph::{StepId, ValueId};
use crate::value::{Value, restore};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The eight standard columns of a trace, in their order; then come the columns that agents report.
pub const STANDARD: [&str; 8] =
    ["phase", "agent", "channel", "input", "output", "duration_ms", "status", "tokens_used"];

/// The columns that session files add at the end.
pub const TAIL: [&str; 4] = ["item", "attempt", "started_ms", "error"];

/// An item's number in the order of admission, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemId(pub u64);

impl ItemId {
    /// Stands for the run itself, where steps run once after all items.
    pub const RUN: ItemId = ItemId(u64::MAX);
}

/// A step, or one of its executions where it runs for each element of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepPath {
    pub step: StepId,
    /// The element's place in its list, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub element: Option<u32>,
}

impl StepPath {
    pub fn element(step: StepId, element: u32) -> Self {
        StepPath { step, element: Some(element) }
    }

    pub fn index(self) -> usize {
        self.step.index()
    }
}

impl From<StepId> for StepPath {
    fn from(step: StepId) -> Self {
        StepPath { step, element: None }
    }
}

/// Milliseconds since the run began.
pub type Millis = u64;

/// Values by their place in the graph, shared rather than copied.
pub type Values = Vec<(ValueId, Arc<Value>)>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// An item entered the run with its workflow inputs.
    ItemAdmitted {
        item: ItemId,
        key: Arc<str>,
        #[serde(deserialize_with = "restore::pairs")]
        inputs: Values,
        at: Millis,
    },
    /// An agent was asked. `attempt` counts from 1 over all executions of the step for this item and element.
    AttemptStarted { item: ItemId, step: StepPath, attempt: u32, at: Millis },
    /// A running attempt was told to stop; it is over only when it has finished.
    AttemptStopped { item: ItemId, step: StepPath, attempt: u32, why: StopReason, at: Millis },
    /// The runner that had begun an attempt was gone before it ended: it is made again, under the same number and key,
    /// and its time counts from here. It may have had its effect.
    AttemptRepeated { item: ItemId, step: StepPath, attempt: u32, at: Millis },
    /// The agent's answer, or why there is none.
    AttemptFinished { item: ItemId, step: StepPath, attempt: u32, result: Answer, at: Millis },
    /// Another attempt follows at `due`.
    RetryScheduled { item: ItemId, step: StepPath, attempt: u32, due: Millis, at: Millis },
    /// The pause before an attempt is over.
    RetryDue { item: ItemId, step: StepPath, attempt: u32, at: Millis },
    /// A step that has succeeded decided one of its chains; none where no arm holds.
    BranchTaken { item: ItemId, step: StepId, chain: u32, arm: Option<u32>, at: Millis },
    /// A step's own conditions hold.
    ConditionHeld { item: ItemId, step: StepId, at: Millis },
    /// One execution of a step is over: a row of the trace.
    StepEnded { item: ItemId, execution: Execution },
    /// All elements of a step's list have ended, and with them the step.
    ElementsEnded { item: ItemId, step: StepId, at: Millis },
    /// The item's deadline passed.
    ItemDeadlinePassed {
        item: ItemId,
        /// What it had waited for by then, and how long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waited: Option<String>,
        at: Millis,
    },
    /// A step's effects are undone next, by the step that it names for that: all of its elements' together.
    CompensationBegan { item: ItemId, undoes: StepId, at: Millis },
    /// All work of a failed item is settled, and what could be undone is; its failure handlers may run.
    ItemFailed { item: ItemId, at: Millis },
    /// A failure handler put the item back: its failed steps run again. Of the steps that run once for all items: what they
    /// did before is undone, and they begin anew.
    ItemPutBack { item: ItemId, at: Millis },
    /// A failed item runs again, because somebody asked for it: the end that it had come to is void, and what had
    /// failed is ahead once more.
    ItemRetried {
        item: ItemId,
        key: Arc<str>,
        /// Other ones: then all is ahead, as if nothing had been done.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "restore::some_pairs")]
        inputs: Option<Values>,
        at: Millis,
    },
    /// Somebody has undone by hand what the compensations of an item could not: the end that it had come to is void,
    /// and another follows.
    ItemResolved { item: ItemId, key: Arc<str>, note: String, at: Millis },
    /// The item reached its final state.
    ItemSettled {
        item: ItemId,
        key: Arc<str>,
        state: ItemState,
        error: Option<ItemError>,
        /// By compensation: why an effect still stands that should have been undone. Of an item that was cancelled, by
        /// step: what stands because the run was interrupted.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        standing: Vec<ItemError>,
        /// Steps of an item that succeeded which did not run and have no row.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left_out: Vec<LeftOut>,
        at: Millis,
    },
    /// There are no more items to come; told where steps wait for the end of all.
    ItemsExhausted { at: Millis },
    /// All items are settled: the steps that run once begin, as those of [`ItemId::RUN`]. Once more after an item was
    /// retried: then the end that they had come to is void.
    RunStepsBegan { at: Millis },
    /// The steps that run once are over.
    RunStepsEnded {
        state: ItemState,
        error: Option<ItemError>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        standing: Vec<ItemError>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left_out: Vec<LeftOut>,
        at: Millis,
    },
    /// No further item is admitted.
    RunDrained { why: DrainReason, at: Millis },
    /// All work was told to stop.
    RunStopped { why: StopReason, at: Millis },
}

impl Event {
    /// When it happened; a row carries the time of its end.
    pub fn at(&self) -> Millis {
        match self {
            Event::ItemAdmitted { at, .. }
            | Event::AttemptStarted { at, .. }
            | Event::AttemptStopped { at, .. }
            | Event::AttemptRepeated { at, .. }
            | Event::AttemptFinished { at, .. }
            | Event::RetryScheduled { at, .. }
            | Event::RetryDue { at, .. }
            | Event::BranchTaken { at, .. }
            | Event::ConditionHeld { at, .. }
            | Event::ElementsEnded { at, .. }
            | Event::ItemsExhausted { at }
            | Event::RunStepsBegan { at }
            | Event::RunStepsEnded { at, .. }
            | Event::ItemDeadlinePassed { at, .. }
            | Event::CompensationBegan { at, .. }
            | Event::ItemFailed { at, .. }
            | Event::ItemPutBack { at, .. }
            | Event::ItemRetried { at, .. }
            | Event::ItemResolved { at, .. }
            | Event::ItemSettled { at, .. }
            | Event::RunDrained { at, .. }
            | Event::RunStopped { at, .. } => *at,
            Event::StepEnded { execution, .. } => {
                let duration = execution.duration_ms.unwrap_or(0.0) as Millis;
                execution.started_ms.unwrap_or(0).saturating_add(duration)
            }
        }
    }

    /// Whose it is; none where it is about the run as a whole.
    pub fn item(&self) -> Option<ItemId> {
        match self {
            Event::ItemAdmitted { item, .. }
            | Event::AttemptStarted { item, .. }
            | Event::AttemptStopped { item, .. }
            | Event::AttemptRepeated { item, .. }
            | Event::AttemptFinished { item, .. }
            | Event::RetryScheduled { item, .. }
            | Event::RetryDue { item, .. }
            | Event::BranchTaken { item, .. }
            | Event::ConditionHeld { item, .. }
            | Event::StepEnded { item, .. }
            | Event::ElementsEnded { item, .. }
            | Event::ItemDeadlinePassed { item, .. }
            | Event::CompensationBegan { item, .. }
            | Event::ItemFailed { item, .. }
            | Event::ItemPutBack { item, .. }
            | Event::ItemRetried { item, .. }
            | Event::ItemResolved { item, .. }
            | Event::ItemSettled { item, .. } => Some(*item),
            Event::RunStepsBegan { .. } | Event::RunStepsEnded { .. } => Some(ItemId::RUN),
            Event::ItemsExhausted { .. } | Event::RunDrained { .. } | Event::RunStopped { .. } => None,
        }
    }
}

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
    /// Of the last attempt. None only where a replayed record has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
    /// Summed over the attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_used: Option<u64>,
    /// What the agent reported besides, by column.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "restore::pairs")]
    pub columns: Vec<(Arc<str>, Value)>,
    /// Attempts in this execution; none where nobody was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The agent's own code for the error; not part of the trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What a replayed row says besides; no part of a journal.
    #[serde(skip)]
    pub recorded: Option<Box<Recorded>>,
}

/// What a recorded row says itself and an execution of its step could say differently.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorded {
    /// The row's index in its record.
    pub index: usize,
    pub agent: Option<Arc<str>>,
    pub channel: Option<Arc<str>>,
    /// The item's key; none where the record does not say whose the row is.
    pub item: Option<Arc<str>>,
    pub spelled: Spelled,
}

/// Cells as they were written, by column: those that we would write differently, such as `"a"` for `a`.
pub type Spelled = Vec<(Arc<str>, Box<str>)>;

impl Execution {
    pub fn path(&self) -> StepPath {
        StepPath { step: self.step, element: self.element }
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

/// An item's final state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    Succeeded,
    /// It failed, and nothing had to be undone or could be.
    Failed,
    Cancelled,
    /// It failed or was given up, and all that it had done is undone.
    Compensated,
    /// It failed or was given up, and something that it did still stands.
    CompensationFailed,
}

impl ItemState {
    pub const ALL: [ItemState; 5] = [
        ItemState::Succeeded,
        ItemState::Failed,
        ItemState::Cancelled,
        ItemState::Compensated,
        ItemState::CompensationFailed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            ItemState::Succeeded => "succeeded",
            ItemState::Failed => "failed",
            ItemState::Cancelled => "cancelled",
            ItemState::Compensated => "compensated",
            ItemState::CompensationFailed => "compensation_failed",
        }
    }

    /// Whether the item is a dead letter: it may be run again.
    pub fn is_failure(self) -> bool {
        match self {
            ItemState::Failed | ItemState::Compensated | ItemState::CompensationFailed => true,
            ItemState::Succeeded | ItemState::Cancelled => false,
        }
    }
}

/// The failure that decided an item's fate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemError {
    /// The step that failed; none where the item's deadline passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    pub message: String,
    /// The agent's own code for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    pub attempts: u32,
}

/// A forward step that did not run although its item succeeded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    pub step: StepId,
    /// Such as `needs b (Review was skipped)`.
    pub because: String,
    /// A decision took another way, so that it was not to run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub decided: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainReason {
    /// More items failed than the count that the run tolerates.
    Tolerance,
    /// An item failed and `on-item-error` says drain.
    ItemError,
    /// The run was stopped.
    Stopped,
}

/// Why running work was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The attempt's own timeout.
    Timeout,
    /// The step's deadline.
    StepDeadline,
    /// The deadline that the steps of a group share.
    GroupDeadline,
    /// The item's deadline.
    ItemDeadline,
    /// A critical step of the same item failed.
    Critical,
    /// Another item failed and `on-item-error` says stop.
    ItemError,
    /// The run's deadline.
    RunDeadline,
    /// Ctrl-C or a termination signal: the run is paused.
    Interrupted,
    /// Somebody wants no more of the run.
    Cancelled,
}

/// How an attempt ended.
pub type Answer = Result<Reply, Box<Failure>>;

/// What an agent answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Declared outputs that are there, checked against their types.
    #[serde(deserialize_with = "restore::pairs")]
    pub outputs: Values,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_used: Option<u64>,
    /// Other scalars: columns of the trace.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "restore::pairs")]
    pub columns: Vec<(Arc<str>, Value)>,
}

/// Why an attempt brought no outputs.
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
    /// What the agent reported besides its failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_used: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "restore::pairs")]
    pub columns: Vec<(Arc<str>, Value)>,
    /// The last lines of the agent's log.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log: String,
}

/// The kinds of failure that the engine tells apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The agent could not be started.
    Start,
    /// It exited with this code.
    Exit(i32),
    /// A signal ended it.
    Signal(i32),
    /// It was told to stop.
    Stopped,
    /// Its answer could not be understood.
    Protocol,
    /// It answered `{"error": …}`.
    Refused,
    /// Its outputs do not fit what the step declares.
    BadOutput,
}

/// What is known about the effects of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It had none.
    Failed,
    /// It never began.
    NotExecuted,
    /// It may have had one.
    Unknown,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StopReason::Timeout => "timed out",
            StopReason::StepDeadline => "the step's deadline passed",
            StopReason::GroupDeadline => "the group's deadline passed",
            StopReason::ItemDeadline => "the item's deadline passed",
            StopReason::Critical => "cancelled: a critical step failed",
            StopReason::ItemError => "cancelled: another item failed",
            StopReason::RunDeadline => "cancelled: the run's deadline passed",
            StopReason::Interrupted => "cancelled: the run was interrupted",
            StopReason::Cancelled => "cancelled: the run was cancelled",
        })
    }
}
