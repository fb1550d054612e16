//! What happens next: pure state machines. No clock, no tasks, no files, no randomness, nothing printed:
//! time comes in with every input, and equal inputs give equal events.
//!
//! [`Run`] admits items and holds limits, tolerance and the dead letters; `Item` is the state machine over one
//! item. Both change state only by applying an [`Event`](crate::event::Event). What to do next is read from
//! the state that events have made, never from the input that came in. So a run that is cut after any event
//! can be folded from the events before the cut and goes on as if nothing had happened.

mod backoff;
mod item;
mod limits;
mod once;
mod retries;
mod run;
mod tally;
mod waits;

#[cfg(test)]
pub(crate) mod simulator;
#[cfg(test)]
pub(crate) mod tests;

pub use item::{Compensations, Obstacle, Refusal, Retraced, is_failed, next_compensated};
pub use limits::{ChannelLimit, Limits, Programs};
pub use retries::{Retries, Retry};
pub use run::{Policy, Run, is_lost};
pub use tally::{DeadLetter, Tally};

use crate::event::{Answer, ItemId, Millis, StepPath, StopReason, Values};
use std::sync::Arc;

/// What the outside tells the engine.
#[derive(Clone, Debug)]
pub enum Input {
    /// The next item; only welcome while [`Run::wants_item`].
    Admit { key: Arc<str>, inputs: Values },
    /// An attempt is over. Late or doubled answers are ignored.
    Finished { item: ItemId, step: StepPath, attempt: u32, result: Answer },
    /// A timer is due. Timers are never taken back; those that no longer matter are ignored.
    Due(Timer),
    /// There are no more items to admit.
    NoMoreItems,
    /// All work is to stop.
    Stop(StopReason),
}

/// An event that cannot have happened after those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impossible;

impl std::fmt::Display for Impossible {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an event cannot have happened after those before it")
    }
}

impl std::error::Error for Impossible {}

/// What the engine asks of the outside, once the events before it are kept.
#[derive(Clone, Debug)]
pub enum Effect {
    Call(Call),
    /// Tell a running attempt to stop; its end is still reported by `Finished`.
    Stop {
        item: ItemId,
        step: StepPath,
        attempt: u32,
    },
    Timer {
        due: Millis,
        timer: Timer,
    },
}

/// One attempt to be made.
#[derive(Clone, Debug)]
pub struct Call {
    pub item: ItemId,
    pub key: Arc<str>,
    pub step: StepPath,
    pub attempt: u32,
    /// Part of the idempotency key: another visit is another effect. A step that runs again because its item
    /// was put back or retried is on the same visit, since it never had its effect; one whose item was undone before is on
    /// a new one, and so are a failure handler, which is told of another failure then, and the steps for all items after one
    /// of them was retried.
    pub visit: u32,
    /// The execution that this attempt compensates, of the same visit.
    pub compensates: Option<StepPath>,
    /// What the step takes, absent optional inputs left out.
    pub inputs: Values,
    /// When `Due(Timer::Attempt)` is to be given, if the attempt is still under way.
    pub deadline: Option<Millis>,
    /// When it is stopped at the latest, by this timer or by that of its item.
    pub until: Option<Millis>,
}

/// What an execution that has not ended has ahead, with the attempt's number, if its run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// The attempt that is under way; made again where its runner is gone.
    Again(u32),
    /// Another attempt after one that failed.
    Next(u32),
    /// It has not begun, and conditions may still keep it from beginning.
    Begin,
    /// The item fails, and what this step did is compensated.
    Compensate(crate::graph::StepId),
}

/// What a timer was set for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The attempt's timeout or the step's deadline, whichever is first.
    Attempt {
        item: ItemId,
        step: StepPath,
        attempt: u32,
    },
    /// The pause before an attempt is over.
    Retry {
        item: ItemId,
        step: StepPath,
        attempt: u32,
    },
    ItemDeadline {
        item: ItemId,
    },
    /// A channel's rate allows another start.
    Rate,
}

/// Where events and effects of one `handle` are collected, in order.
#[derive(Debug, Default)]
pub struct Out {
    pub events: Vec<crate::event::Event>,
    pub effects: Vec<Effect>,
}
