//! What happened, in the past tense: to the run, to an item, to a step of it, or to an attempt. The engine makes events and
//! changes state only by applying them; the trace, the progress display and the statistics are folds over the same events.
//!
//! Times are milliseconds since the run began. Events are stored in journals: their names and fields are a format.

mod answer;
mod arrival;
mod execution;
mod message;
mod settlement;

pub use answer::{Answer, BUDGET, Cause, Failure, Outcome, Reply, TokenUsage, UNAVAILABLE};
pub use arrival::{Arrival, EVENT_COLUMNS, EVENT_TIMEOUT, RUN_SUBJECT, TypePattern};
pub use execution::{Execution, Recorded, STANDARD, Spelled, Status, TAIL};
pub use message::{Relayed, Role};
pub use settlement::{ItemError, ItemState, NotRun, Settlement};
// Rooms below know only these types of the graph.
pub use crate::graph::{GateId, RepeatId, StepId, ValueId};
use crate::value::{Value, restore};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// An item's number in the order of admission, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemId(pub u64);

impl ItemId {
    /// Represents the run itself, where steps run once after all items.
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

/// Milliseconds of the clock, since 1970.
pub type UnixMillis = u64;

/// Values by their place in the graph, shared rather than copied.
pub type Values = Vec<(ValueId, Arc<Value>)>;

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    pub at: Millis,
    pub kind: EventKind,
}

/// What happened, by its subject.
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
    /// No more items will come; recorded where steps wait for all items to end.
    ItemsExhausted,
    /// All items are settled: the steps that run once begin, as those of [`ItemId::RUN`]. Recorded again after an item
    /// was retried: the earlier end of these steps is then void.
    StepsBegan,
    /// The steps that run once have ended.
    StepsEnded(Settlement),
    /// No further item is admitted.
    Drained(DrainReason),
    /// All work was asked to stop.
    Stopped(StopReason),
    /// A person decided about all items that wait at a gate, now and later.
    Decided { gate: GateId, decision: Decision },
    /// An event came from outside.
    Received(Arc<Arrival>),
    /// A step of a document that a step runs has published an event.
    Emitted(Arc<Arrival>),
    /// A channel has accepted an event of a step.
    Published { channel: Arc<str>, id: String },
    /// A channel has not accepted one after several attempts; it is sent again when the run resumes.
    NotPublished { channel: Arc<str>, id: String, why: String },
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
        /// What it was waiting for, and how long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waited: Option<String>,
    },
    /// The effects of this step, of all its elements together, are compensated next.
    CompensationBegan(StepId),
    /// All work of a failed item is settled, and its effects are compensated as far as possible; its failure handlers
    /// may run.
    Failed,
    /// A failure handler requeued the item: its failed steps run again. For the steps that run once for all items:
    /// their effects were compensated, and they restart.
    Requeued,
    /// A failed item is retried on request: its end is void, and its failed steps are pending again.
    Retried {
        key: Arc<str>,
        /// Changed inputs: then all steps are pending again.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "restore::some_pairs")]
        inputs: Option<Values>,
        /// The attempt of the outer run that continues this one, if it is one of a document.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<u32>,
    },
    /// The failed compensations of an item were resolved by hand: its end is void, and a new one follows.
    Resolved { key: Arc<str>, note: String },
    /// It had succeeded, and the step of the outer run that it is for is compensated: its end is void, and its effects are
    /// compensated.
    Revoked { key: Arc<str> },
    /// It waits at a gate from now on.
    GateReached {
        gate: GateId,
        /// With its values.
        question: String,
        /// By the clock, which also runs while no process runs the run.
        since: UnixMillis,
    },
    /// A person decided about it, or about all items.
    Decided { gate: GateId, decision: Decision },
    /// The time in which a person could decide has passed.
    GateExpired(GateId),
    /// All steps of a loop have ended, and its condition is false: they run again, after a pause if the loop has one.
    RoundBegan {
        repeat: RepeatId,
        /// From 2; the first round has no event.
        round: u32,
    },
    /// The pause before the next round of a loop.
    RoundScheduled { repeat: RepeatId, due: Millis },
    /// A loop has ended, successfully or not: steps that wait for it may run.
    RepeatEnded(RepeatId),
    /// It reached its final state.
    Settled { key: Arc<str>, end: Settlement },
}

/// What happens to a step of an item besides its attempts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepEvent {
    /// Its own conditions hold.
    ConditionHeld(StepId),
    /// It succeeded and decided one of its chains; `arm` is `None` if no condition holds.
    BranchTaken { step: StepId, chain: u32, arm: Option<u32> },
    /// One execution has ended: a row of the trace.
    Ended(Execution),
    /// All elements of its list have ended, and with them the step.
    ElementsEnded(StepId),
    /// The item waits for an event from now on.
    AwaitBegan {
        step: StepId,
        /// What the event's subject is.
        subject: Arc<str>,
        /// By the clock, which also runs while no process runs the run.
        since: UnixMillis,
    },
    /// It took the event with this number, in the order in which the run has got events.
    EventTaken { step: StepId, event: u64, at: UnixMillis },
    /// The time in which the event could come has passed.
    AwaitExpired(StepId),
}

/// What happens to an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptEvent {
    /// An agent was called.
    Started,
    /// It was asked to stop; it ends only with [`AttemptEvent::Finished`].
    Stopped(StopReason),
    /// The runner exited before the attempt ended: it is repeated under the same number and key, and its time counts
    /// from here. It may have had its effect.
    Repeated,
    /// It ended with the agent's answer or a failure.
    Finished(Answer),
    /// It follows a failed attempt, once it is due.
    RetryScheduled { due: Millis },
    /// The backoff before it has passed.
    RetryDue,
    /// The document that it runs waits for people, perhaps also for events, and for nothing else.
    Waits,
    /// It waits for events, and for nothing else.
    Awaits,
    /// It waits no longer.
    Continues,
}

/// Who moves on a run that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitsFor {
    /// People, perhaps also events.
    People,
    Events,
}

impl Event {
    /// The event's item; `None` for an event of the run as a whole.
    pub fn item(&self) -> Option<ItemId> {
        match &self.kind {
            EventKind::Item(item, _) | EventKind::Step(item, _) | EventKind::Attempt(item, ..) => Some(*item),
            EventKind::Run(RunEvent::StepsBegan | RunEvent::StepsEnded(_)) => Some(ItemId::RUN),
            EventKind::Run(
                RunEvent::ItemsExhausted
                | RunEvent::Drained(_)
                | RunEvent::Stopped(_)
                | RunEvent::Decided { .. }
                | RunEvent::Received(_)
                | RunEvent::Emitted(_)
                | RunEvent::Published { .. }
                | RunEvent::NotPublished { .. },
            ) => None,
        }
    }
}

impl RunEvent {
    pub fn at(self, at: Millis) -> Event {
        Event { at, kind: EventKind::Run(self) }
    }
}

impl ItemEvent {
    /// The item's key, if the item begins by this event, or begins again.
    pub fn begins(&self) -> Option<&Arc<str>> {
        match self {
            ItemEvent::Admitted { key, .. }
            | ItemEvent::Retried { key, .. }
            | ItemEvent::Resolved { key, .. }
            | ItemEvent::Revoked { key } => Some(key),
            ItemEvent::Settled { .. }
            | ItemEvent::DeadlinePassed { .. }
            | ItemEvent::CompensationBegan(_)
            | ItemEvent::Failed
            | ItemEvent::Requeued
            | ItemEvent::GateReached { .. }
            | ItemEvent::Decided { .. }
            | ItemEvent::GateExpired(_)
            | ItemEvent::RoundScheduled { .. }
            | ItemEvent::RoundBegan { .. }
            | ItemEvent::RepeatEnded(_) => None,
        }
    }

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

/// What a person decided at a gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub approved: bool,
    /// The name that the person gave; it is a record, not a login.
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub at: UnixMillis,
}

impl Decision {
    /// `approved by ops` or `rejected by ops: too expensive`.
    pub fn said(&self) -> String {
        let note = self.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
        format!("{} by {}{note}", self.verb(), self.by)
    }

    pub fn verb(&self) -> &'static str {
        if self.approved { "approved" } else { "rejected" }
    }
}

/// The code of a step that was not approved in time.
pub const GATE_TIMEOUT: &str = "gate_timeout";

/// The code of a step that fails because the rounds of its loop did not suffice.
pub const NOT_REACHED: &str = "not_reached";

/// The column of the rows of steps in loops: the round, from 1; for a loop in a loop such as `2/1`.
pub const ROUND_COLUMN: &str = "round";

/// The columns of the rows of steps with a gate: what was decided, who did it and why, and how long it took.
pub const GATE_COLUMNS: [&str; 4] = ["gate", "gate_by", "gate_note", "gate_ms"];

/// Why no further item is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainReason {
    /// More items failed than the count that the run tolerates.
    Tolerance,
    /// An item failed and `on-item-error` is `drain`.
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
    /// An item failed and `on-item-error` is `stop`.
    ItemError,
    /// The run's deadline.
    RunDeadline,
    /// Ctrl-C or a termination signal: the run is paused.
    Interrupted,
    /// The run was cancelled.
    Cancelled,
    /// The step of the outer run that the item is for is compensated.
    Revoked,
    /// The step of the outer run that the item is for was stopped.
    Outer(OuterStop),
}

/// Why a step that runs a document was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OuterStop {
    Timeout,
    StepDeadline,
    GroupDeadline,
    ItemDeadline,
    Critical,
    ItemError,
    RunDeadline,
}

impl StopReason {
    /// The reason for the run of a document whose step is stopped for this one.
    pub fn within(self) -> StopReason {
        StopReason::Outer(match self {
            StopReason::Timeout => OuterStop::Timeout,
            StopReason::StepDeadline => OuterStop::StepDeadline,
            StopReason::GroupDeadline => OuterStop::GroupDeadline,
            StopReason::ItemDeadline => OuterStop::ItemDeadline,
            StopReason::Critical => OuterStop::Critical,
            StopReason::ItemError => OuterStop::ItemError,
            StopReason::RunDeadline => OuterStop::RunDeadline,
            StopReason::Interrupted | StopReason::Cancelled | StopReason::Revoked => {
                return StopReason::Cancelled;
            }
            StopReason::Outer(why) => why,
        })
    }

    /// Whether the run never continues: it was cancelled, by itself or with the step of the outer run.
    pub fn cancels(self) -> bool {
        matches!(self, StopReason::Cancelled | StopReason::Outer(_))
    }
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
            StopReason::Revoked => "compensated with the step that ran it",
            StopReason::Outer(why) => match why {
                OuterStop::Timeout => "cancelled: the step that runs the document timed out",
                OuterStop::StepDeadline => {
                    "cancelled: the deadline of the step that runs the document passed"
                }
                OuterStop::GroupDeadline => {
                    "cancelled: the deadline of the group whose step runs the document passed"
                }
                OuterStop::ItemDeadline => "cancelled: the item's deadline passed",
                OuterStop::Critical => "cancelled: a critical step beside the document failed",
                OuterStop::ItemError => "cancelled: another item failed",
                OuterStop::RunDeadline => "cancelled: the run's deadline passed",
            },
        })
    }
}
