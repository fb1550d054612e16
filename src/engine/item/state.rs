//! The state of one execution of an item, and the transitions between states. Does not know why a step changes its state,
//! or what follows from it.
//!
//! ```text
//! Waiting → Deciding → Ready → Running → Answered → Ended
//!              ↓         ↑ ↑                 ↓
//!            Gated ──────┘ └──── Backoff ←───┘
//! ```
//!
//! A step that waits for an event is Awaiting between its gates and Ready.
//!
//! A step that runs for each element of a list goes from Deciding to Spread; its elements go from Ready to Ended, and
//! it ends after the last of them.

use crate::event::{Answer, GateId, Millis, Status, StopReason, WaitsFor};
use crate::graph::Step;
use crate::spec::Mark;
use std::sync::Arc;

/// The state of one execution: a step, or one element of a step that runs for each element of a list.
#[derive(Clone, Debug)]
pub(super) enum StepState {
    /// Not called yet: a failure handler, a compensation, or a step of another item.
    Idle,
    /// This many of its needs have not ended.
    Waiting {
        missing: u32,
    },
    /// Its needs have ended; its conditions are to be decided.
    Deciding,
    /// It could start, but waits at this gate; or the gate was shut, and its end is to be decided.
    Gated(GateId),
    /// It could start, but waits for an event; or that did not come in time, and its end is to be decided.
    Awaiting,
    /// Can start as soon as the limits allow.
    Ready(Attempts),
    Running {
        attempts: Attempts,
        started: Millis,
        stop: Option<StopReason>,
        /// Since when it waits for people or events, within the document that it runs.
        waits: Option<(Millis, WaitsFor)>,
    },
    /// The attempt has ended; the next event is not decided yet.
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
    /// This many of its elements have not ended.
    Spread {
        open: u32,
    },
    Ended(End),
}

impl StepState {
    /// All transitions: the states from which each can be reached.
    pub fn may_become(&self, next: &StepState) -> bool {
        use StepState::*;
        match next {
            // The item is requeued: any step that is not running may become pending again.
            Idle | Waiting { .. } => !matches!(self, Running { .. } | Answered { .. } | Backoff { .. }),
            // A compensation starts from Idle, or from Ended after it compensated another step.
            Deciding => matches!(self, Idle | Waiting { .. } | Ended(_)),
            Gated(_) => matches!(self, Idle | Waiting { .. } | Deciding | Gated(_)),
            Awaiting => matches!(self, Idle | Waiting { .. } | Deciding | Gated(_)),
            Ready(_) => {
                let waits = matches!(self, Waiting { .. } | Deciding | Gated(_) | Awaiting);
                waits || matches!(self, Idle | Backoff { .. } | Ended(_))
            }
            Spread { .. } => {
                let waits = matches!(self, Waiting { .. } | Deciding | Gated(_) | Awaiting);
                waits || matches!(self, Idle | Spread { .. } | Ended(_))
            }
            // From Running when it is asked to stop, or repeated by another runner.
            Running { .. } => matches!(self, Ready(_) | Running { .. }),
            // If it is stopped before another attempt, the answer of the last one counts.
            Answered { .. } => matches!(self, Running { .. } | Ready(_) | Backoff { .. }),
            Backoff { .. } => matches!(self, Answered { .. }),
            Ended(_) => !matches!(self, Running { .. } | Backoff { .. }),
        }
    }

    /// Whether the item waits for this execution to end.
    pub fn is_open(&self) -> bool {
        !matches!(self, StepState::Idle | StepState::Ended(_))
    }

    /// Whether its answer, or those of all its elements, is to be processed.
    pub fn is_answered(&self) -> bool {
        matches!(self, StepState::Answered { .. } | StepState::Spread { open: 0 })
    }

    /// Whether it may start without another event of its own.
    pub fn is_pending(&self) -> bool {
        use StepState::*;
        matches!(self, Waiting { .. } | Deciding | Gated(_) | Awaiting | Ready(_) | Backoff { .. })
    }

    pub fn is_running(&self) -> bool {
        matches!(self, StepState::Running { .. })
    }

    /// Whether it is running and has not been asked to stop.
    pub fn is_unstopped(&self) -> bool {
        matches!(self, StepState::Running { stop: None, .. })
    }

    /// Whether it moves on without a person, an event, or a step before it.
    pub fn is_active(&self) -> bool {
        match self {
            StepState::Running { waits: Some(_), stop: None, .. } => false,
            StepState::Deciding
            | StepState::Ready(_)
            | StepState::Running { .. }
            | StepState::Answered { .. }
            | StepState::Backoff { .. }
            | StepState::Spread { open: 0 } => true,
            // Its elements may be.
            StepState::Spread { .. }
            | StepState::Idle
            | StepState::Waiting { .. }
            | StepState::Gated(_)
            | StepState::Awaiting
            | StepState::Ended(_) => false,
        }
    }

    /// Whether its attempt waits for people or events.
    pub fn is_waiting_inside(&self) -> bool {
        matches!(self, StepState::Running { waits: Some(_), .. })
    }

    pub fn is_gated(&self) -> bool {
        matches!(self, StepState::Gated(_))
    }

    pub fn is_awaiting(&self) -> bool {
        matches!(self, StepState::Awaiting)
    }

    pub fn is_deciding(&self) -> bool {
        matches!(self, StepState::Deciding)
    }

    pub fn is_ready(&self) -> bool {
        matches!(self, StepState::Ready(_))
    }

    pub fn end(&self) -> Option<End> {
        if let StepState::Ended(end) = self { Some(*end) } else { None }
    }

    /// An execution whose next attempt is cancelled ends with the answer of its last one.
    pub fn without_retry(&self, why: StopReason) -> Option<StepState> {
        let (StepState::Backoff { attempts, .. } | StepState::Ready(attempts)) = self else { return None };
        let LastAnswer { started, finished, result } = &**attempts.last.as_ref()?;
        Some(StepState::Answered {
            attempts: attempts.clone(),
            started: *started,
            finished: *finished,
            stop: Some(why),
            result: result.clone(),
        })
    }
}

/// The attempts of one execution so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempts {
    /// The number of the last attempt. Numbers continue over the executions of a step, so that an answer or a timer of
    /// an earlier execution never matches this one.
    pub number: u32,
    /// Attempts begun in this execution.
    pub tries: u32,
    /// When the first began, without the time that they waited for people or events.
    pub since: Option<Millis>,
    /// How long the last one waited for them.
    pub waited: Millis,
    /// The last attempt was made before, by a runner that has exited.
    pub repeated: bool,
    pub tokens: Option<u64>,
    /// How the last attempt ended, while another is planned: if that is cancelled, this was the execution's end.
    pub last: Option<Arc<LastAnswer>>,
}

#[derive(Clone, Debug)]
pub(super) struct LastAnswer {
    pub started: Millis,
    pub finished: Millis,
    pub result: Answer,
}

impl Attempts {
    pub fn began(self, at: Millis) -> Attempts {
        Attempts {
            number: self.number + 1,
            tries: self.tries + 1,
            last: None,
            since: self.since.or(Some(at)),
            waited: 0,
            repeated: false,
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

/// In the order in which the end of one element determines that of its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Succeeded,
    /// Did not run because a condition skipped it: it has a row.
    Skipped,
    /// Did not run because something it needs is absent: a value, or the decision that leads to it.
    Absent,
    /// Did not run because a decision ended the item.
    ItemEnded,
    /// Failed, but is optional.
    FailedOptional,
    /// Did not run because a step before it failed or the item was stopped.
    Blocked,
    Cancelled,
    Failed,
}

impl End {
    /// The end of a step by the status of an execution.
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

    /// Whether this end prevents the steps after it from running.
    pub fn blocks(self) -> bool {
        match self {
            End::Failed | End::Cancelled | End::Blocked => true,
            End::Succeeded | End::Skipped | End::Absent | End::ItemEnded | End::FailedOptional => false,
        }
    }
}

/// Whether the end of an execution prevents the steps after it from running.
pub fn is_failed(step: &Step, status: Status) -> bool {
    End::of(step, status).blocks()
}
