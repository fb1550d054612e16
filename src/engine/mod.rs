//! What happens next: pure state machines. No clock, no tasks, no files, no randomness, no output: time comes in with
//! every input, and equal inputs give equal events.
//!
//! [`Run`] admits items and enforces limits, tolerance and the dead letters; `Item` is the state machine of one item.
//! Both change state only by applying an [`Event`](crate::event::Event). The next event is computed from the state
//! that events have made, never from the input. So a run that is cut after any event can be folded from the events
//! before the cut and continues as if it had not been interrupted.

mod arrivals;
mod backoff;
mod budget;
mod item;
mod limits;
mod once;
mod retries;
mod run;
mod tally;
mod unavailable;
mod waits;

#[cfg(test)]
pub(crate) mod simulator;
#[cfg(test)]
pub(crate) mod tests;

pub use budget::{Scope, SpentBudget, spend};
pub use item::{Compensations, Obstacle, OpenEffect, Refusal, Retraced, is_failed, next_compensated};
pub use limits::{ChannelLimit, Limits, Programs};
pub use retries::{Retries, RetryRequest};
pub use run::{Policy, Run, is_lost};
pub use tally::{DeadLetter, Tally};
pub use unavailable::{Unavailable, UnavailableAgent, UnavailableAgents};

use crate::event::{
    Answer, Arrival, Decision, GateId, ItemId, Millis, RepeatId, StepPath, StopReason, UnixMillis, Values,
    WaitsFor,
};
use crate::value::budget::Budget;
use std::sync::Arc;

/// Input from the runtime.
#[derive(Clone, Debug)]
pub enum EngineInput {
    /// The next item; only allowed while [`Run::wants_item`].
    Admit { key: Arc<str>, inputs: Values },
    /// An attempt has ended. Late or duplicate answers are ignored.
    Finished { item: ItemId, step: StepPath, attempt: u32, result: Answer },
    /// What an attempt runs waits for people or events and for nothing else, or does no longer.
    Waits { item: ItemId, step: StepPath, attempt: u32, waits: Option<WaitsFor> },
    /// A timer is due. Timers are never cancelled; those that have become irrelevant are ignored.
    Due(Timer),
    /// All items have been admitted.
    NoMoreItems,
    /// Some items are never admitted: the answer to [`Run::asks_for_the_end`].
    ItemsLeft,
    /// All work is to stop.
    Stop(StopReason),
    /// A person decided about an item that waits at a gate, or about all that do, now and later.
    Decide { gate: GateId, item: Option<ItemId>, decision: Decision },
    /// An event came from outside; only allowed while [`Run::has_room`]. One whose id is known is ignored.
    Receive(Arc<Arrival>),
    /// A step of a document that a step runs has published an event. One whose id is known is ignored, and one that
    /// neither a step nor a channel takes.
    Emit(Arc<Arrival>),
    /// A channel has accepted an event of a step, or has not, for this reason.
    Published { channel: Arc<str>, id: String, failed: Option<String> },
}

/// An event that is not possible after those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impossible;

impl std::fmt::Display for Impossible {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an event cannot have happened after those before it")
    }
}

impl std::error::Error for Impossible {}

/// A request to the runtime, to be carried out once the events before it are in the journal.
#[derive(Clone, Debug)]
pub enum Effect {
    Call(Call),
    /// Ask a running attempt to stop; its end is still reported by `Finished`.
    Stop {
        item: ItemId,
        step: StepPath,
        attempt: u32,
        why: StopReason,
    },
    Timer {
        due: Millis,
        timer: Timer,
    },
    /// Tell people that an item waits for one of them.
    Ask(Ask),
    /// Publish an event of a step to a channel; the outcome is reported by `Published`.
    Publish {
        channel: Arc<str>,
        event: Arc<Arrival>,
    },
    /// Hand an event to the documents that steps run: a step in one of them may wait for it. Those that may still be
    /// taken are handed again when a run resumes.
    Deliver(Arc<Arrival>),
}

/// An item that waits at a gate, for the person who decides.
#[derive(Clone, Debug)]
pub struct Ask {
    pub item: ItemId,
    pub key: Arc<str>,
    pub gate: GateId,
    pub question: String,
    /// What the step gets; for a group, the inputs of the workflow.
    pub inputs: Values,
    pub since: UnixMillis,
    /// It waited already when this process took the run up.
    pub again: bool,
}

/// One attempt to make.
#[derive(Clone, Debug)]
pub struct Call {
    pub item: ItemId,
    pub key: Arc<str>,
    pub step: StepPath,
    pub attempt: u32,
    /// The same attempt was made before, by a runner that has exited.
    pub repeated: bool,
    /// Part of the idempotency key: another visit is another effect. A step that runs again because its item was
    /// requeued or retried is on the same visit, since it never had its effect. It is on a new visit if the item was
    /// compensated before. So is a failure handler, which gets another failure then, and so are the steps for all
    /// items after one of them was retried.
    pub visit: u32,
    /// The execution that this attempt compensates, of the same visit.
    pub compensates: Option<StepPath>,
    /// The step's inputs, without absent optional ones.
    pub inputs: Values,
    /// When `Due(Timer::Attempt)` is to be given, if the attempt is still running.
    pub deadline: Option<Millis>,
    /// The latest time at which it is stopped, by this timer or by that of its item.
    pub until: Option<Millis>,
    /// What it may spend; `None` without a budget.
    pub left: Option<Budget>,
}

/// The pending work of an execution that has not ended, with the attempt's number, if its run resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// The running attempt, which is repeated if its runner has exited.
    Again(u32),
    /// Another attempt after a failed one.
    Next(u32),
    /// It has not begun, and conditions may still skip it.
    Begin,
    /// It waits at this gate for a person.
    Wait(GateId),
    /// It waits for an event.
    Await,
    /// The document that this attempt runs waits for people or events.
    WaitsInside(u32),
    /// The item fails, and the effect of this step is compensated.
    Compensate(crate::graph::StepId),
}

/// The purpose of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The attempt's timeout or the step's deadline, whichever is first.
    Attempt {
        item: ItemId,
        step: StepPath,
        attempt: u32,
    },
    /// The backoff before an attempt ends.
    Retry {
        item: ItemId,
        step: StepPath,
        attempt: u32,
    },
    ItemDeadline {
        item: ItemId,
    },
    /// The time in which a person can decide.
    Gate {
        item: ItemId,
        gate: GateId,
    },
    /// The time in which an event can come.
    Await {
        item: ItemId,
        step: crate::graph::StepId,
    },
    /// The pause before the next round of a loop ends.
    Round {
        item: ItemId,
        repeat: RepeatId,
    },
    /// A channel's rate allows another start.
    Rate,
}

/// Collects the events and effects of one `handle`, in order.
#[derive(Debug, Default)]
pub struct Out {
    pub events: Vec<crate::event::Event>,
    pub effects: Vec<Effect>,
}
