//! The life of one step within one item: the states, and what each end means to the steps behind it.
//!
//! ```text
//! Waiting → Deciding → Ready → Running → Answered → Ended
//!                         ↑                  ↓
//!                         └──── Backoff ←────┘        Idle: a failure handler that nobody has called yet
//! ```
//!
//! A step that runs for each element of a list goes from Deciding to Spread, its elements go the way from Ready
//! to Ended, and it is over when all of them are.

use crate::event::{Answer, Millis, Status, StopReason};
use crate::graph::Step;
use crate::spec::Mark;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(super) enum StepState {
    /// This many of its needs are not settled.
    Waiting {
        missing: u32,
    },
    /// Its needs are settled; its conditions are to be decided.
    Deciding,
    /// Could run as soon as the limits allow.
    Ready(Attempts),
    Running {
        attempts: Attempts,
        started: Millis,
        stop: Option<StopReason>,
    },
    /// The attempt is over and what follows from it is not decided yet.
    Answered {
        attempts: Attempts,
        started: Millis,
        finished: Millis,
        stop: Option<StopReason>,
        result: Answer,
    },
    /// The next attempt waits for its time.
    Backoff {
        attempts: Attempts,
        due: Millis,
    },
    /// Its elements are under way, this many of them not ended.
    Spread {
        open: u32,
    },
    Ended(End),
    Idle,
}

/// What has been spent on one execution so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempts {
    /// The number of the last attempt. Numbers go on over the executions of a step, so that an answer or a
    /// timer of an earlier execution is never taken for one of this.
    pub number: u32,
    /// Attempts begun in this execution.
    pub tries: u32,
    /// When the first began.
    pub since: Option<Millis>,
    pub tokens: Option<u64>,
    /// How the last attempt ended, while another is ahead: if that never comes, this was the execution's end.
    pub last: Option<Arc<Last>>,
}

#[derive(Clone, Debug)]
pub(super) struct Last {
    pub started: Millis,
    pub finished: Millis,
    pub result: Answer,
}

impl StepState {
    /// An execution whose next attempt never comes, as the answer of its last one.
    pub fn cut(&self, why: StopReason) -> Option<StepState> {
        let (StepState::Backoff { attempts, .. } | StepState::Ready(attempts)) = self else { return None };
        let Last { started, finished, result } = &**attempts.last.as_ref()?;
        Some(StepState::Answered {
            attempts: attempts.clone(),
            started: *started,
            finished: *finished,
            stop: Some(why),
            result: result.clone(),
        })
    }
}

impl Attempts {
    pub fn began(self, at: Millis) -> Attempts {
        Attempts {
            number: self.number + 1,
            tries: self.tries + 1,
            last: None,
            since: self.since.or(Some(at)),
            ..self
        }
    }

    pub fn spent(self, tokens: Option<u64>) -> Attempts {
        let sum = |a: u64, b: u64| a.saturating_add(b);
        let tokens = match (self.tokens, tokens) {
            (Some(a), Some(b)) => Some(sum(a, b)),
            (a, b) => a.or(b),
        };
        Attempts { tokens, ..self }
    }
}

/// In the order in which the end of one element decides over its whole step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Succeeded,
    /// Did not run because a condition skipped it: it has a row.
    Skipped,
    /// Did not run because something it needs is absent: a value, or the decision that leads to it.
    Absent,
    /// Did not run because a decision ended the item.
    Over,
    /// Failed, and the item does not mind.
    FailedOptional,
    /// Did not run because something before it failed or the item was stopped.
    Blocked,
    Cancelled,
    Failed,
}

impl End {
    /// What the end of an execution means for its step.
    pub fn of(step: &Step, status: Status) -> End {
        match status {
            Status::Success | Status::Compensated => End::Succeeded,
            Status::Cancelled => End::Cancelled,
            Status::Skipped => End::Skipped,
            Status::Failed | Status::Timeout | Status::CompensationFailed => match step.mark {
                Some(Mark::Optional) => End::FailedOptional,
                Some(Mark::Critical) | None => End::Failed,
            },
        }
    }

    /// Whether the steps behind it must not run.
    pub fn blocks(self) -> bool {
        match self {
            End::Failed | End::Cancelled | End::Blocked => true,
            End::Succeeded | End::Skipped | End::Absent | End::Over | End::FailedOptional => false,
        }
    }
}

/// Whether the end of an execution keeps the steps behind it from running.
pub fn is_failed(step: &Step, status: Status) -> bool {
    End::of(step, status).blocks()
}
