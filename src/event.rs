//! What happened, in the past tense: to the run, to an item, to a step of it, or to an attempt. The engine makes events and
//! changes state only by applying them; the trace, the progress display and the statistics are folds over the same events.
//!
//! Times are milliseconds since the run began. Events are stored in journals: their names and fields are a format.

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

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    pub at: Millis,
    pub kind: EventKind,
}

/// What happened, by what it happened to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    Run(RunEvent),
    Item(ItemId, ItemEvent),
    Step(ItemId, StepEvent),
    /// The attempt's number counts from 1 over all executions of the step for this item and element.
    Attempt(ItemId, StepPath, u32, AttemptEvent),
}

/// What happens to the run as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEvent {
    /// There are no more items to come; recorded where steps wait for the end of all.
    ItemsExhausted,
    /// All items are settled: the steps that run once begin, as those of [`ItemId::RUN`]. Once more after an item was
    /// retried: then the end that they had come to is void.
    StepsBegan,
    /// The steps that run once are over.
    StepsEnded(Settlement),
    /// No further item is admitted.
    Drained(DrainReason),
    /// All work was asked to stop.
    Stopped(StopReason),
}

/// What happens to an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemEvent {
    /// It entered the run with its workflow inputs.
    Admitted {
        key: Arc<str>,
        #[serde(deserialize_with = "restore::pairs")]
        inputs: Values,
    },
    /// Its deadline passed.
    DeadlinePassed {
        /// What it had waited for by then, and how long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waited: Option<String>,
    },
    /// The effects of this step are compensated next: all of its elements' together.
    CompensationBegan(StepId),
    /// All work of a failed item is settled, and what could be compensated is; its failure handlers may run.
    Failed,
    /// A failure handler requeued the item: its failed steps run again. Of the steps that run once for all items: what
    /// they did before is compensated, and they restart.
    Requeued,
    /// A failed item runs again on request: the end that it had come to is void, and what had failed is ahead once more.
    Retried {
        key: Arc<str>,
        /// Other ones: then all is ahead, as if nothing had been done.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "restore::some_pairs")]
        inputs: Option<Values>,
    },
    /// The failed compensations of an item were resolved by hand: the end that it had come to is void, and another
    /// follows.
    Resolved { key: Arc<str>, note: String },
    /// It reached its final state.
    Settled { key: Arc<str>, end: Settlement },
}

/// What happens to a step of an item besides its attempts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepEvent {
    /// Its own conditions hold.
    ConditionHeld(StepId),
    /// It has succeeded and decided one of its chains; no arm where none holds.
    BranchTaken { step: StepId, chain: u32, arm: Option<u32> },
    /// One execution is over: a row of the trace.
    Ended(Execution),
    /// All elements of its list have ended, and with them the step.
    ElementsEnded(StepId),
}

/// What happens to an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptEvent {
    /// An agent was called.
    Started,
    /// It was asked to stop; it is over only when it has finished.
    Stopped(StopReason),
    /// The runner that had begun it was gone before it ended: it is made again, under the same number and key, and its
    /// time counts from here. It may have had its effect.
    Repeated,
    /// The agent's answer, or why there is none.
    Finished(Answer),
    /// It follows a failed one, once it is due.
    RetryScheduled { due: Millis },
    /// The pause before it is over.
    RetryDue,
}

/// How an item ended, or the steps that run once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settlement {
    pub state: ItemState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ItemError>,
    /// By compensation: why an effect is left that should have been compensated. Of an item that was cancelled, by
    /// step: what is left because the run was interrupted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncompensated: Vec<ItemError>,
    /// Steps of an item that succeeded which did not run and have no row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_run: Vec<NotRun>,
}

impl Settlement {
    /// With nothing left to compensate, and no step that did not run.
    pub fn new(state: ItemState, error: Option<ItemError>) -> Settlement {
        Settlement { state, error, uncompensated: Vec::new(), not_run: Vec::new() }
    }
}

impl Event {
    /// Whose it is; none where it is about the run as a whole.
    pub fn item(&self) -> Option<ItemId> {
        match &self.kind {
            EventKind::Item(item, _) | EventKind::Step(item, _) | EventKind::Attempt(item, ..) => Some(*item),
            EventKind::Run(RunEvent::StepsBegan | RunEvent::StepsEnded(_)) => Some(ItemId::RUN),
            EventKind::Run(RunEvent::ItemsExhausted | RunEvent::Drained(_) | RunEvent::Stopped(_)) => None,
        }
    }
}

impl RunEvent {
    pub fn at(self, at: Millis) -> Event {
        Event { at, kind: EventKind::Run(self) }
    }
}

impl ItemEvent {
    pub fn of(self, item: ItemId, at: Millis) -> Event {
        Event { at, kind: EventKind::Item(item, self) }
    }
}

impl StepEvent {
    pub fn of(self, item: ItemId, at: Millis) -> Event {
        Event { at, kind: EventKind::Step(item, self) }
    }
}

impl AttemptEvent {
    pub fn of(self, item: ItemId, step: impl Into<StepPath>, attempt: u32, at: Millis) -> Event {
        Event { at, kind: EventKind::Attempt(item, step.into(), attempt, self) }
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

    /// When it ended, as far as its start and duration say.
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

/// An item's final state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    Succeeded,
    /// It failed, and nothing had to be compensated or could be.
    Failed,
    Cancelled,
    /// It failed or was cancelled, and all that it had done is compensated.
    Compensated,
    /// It failed or was cancelled, and an effect of it is not compensated.
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
pub struct NotRun {
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

/// Why running work was asked to stop.
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
    /// The run was cancelled.
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
    /// It was asked to stop.
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
