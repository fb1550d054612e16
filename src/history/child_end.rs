//! How the run of a document ends, and the answer of its step.

use crate::adapter::{Declared, Stop, contract};
use crate::event::{Answer, BUDGET, Cause, Failure, ItemState, Outcome, Reply, Settlement, WaitsFor};
use crate::graph::Graph;
use crate::value::budget::Spent;
use crate::value::dollars::Dollars;
use crate::value::{Object, Value};
use std::sync::Arc;
use std::time::Duration;

/// The end of a run of a document.
pub(super) enum ChildEnd {
    /// It did not begin, or could not continue.
    Refused(Box<Failure>),
    /// It has done nothing, or is that of another execution of the step.
    Other,
    /// It was paused.
    Paused,
    /// It was left because only people and events can move it on; it is to continue after this time at the latest.
    Waits(WaitsFor, Option<Duration>),
    /// What an earlier attempt had left has ended; it has spent this since.
    Lagged(Spent),
    Ended(Box<EndedChild>),
}

pub(super) struct EndedChild {
    pub graph: Arc<Graph>,
    pub end: Settlement,
    /// Its item has succeeded, and only its steps for all items have failed.
    pub stays: bool,
    /// The outputs that the step declares, as an object.
    pub made: Result<Object, String>,
    pub declared: Arc<[Declared]>,
    pub spent: Spent,
    pub attempts: bool,
    /// Whether it may have left an effect that nothing compensates, so that a retry has to continue it.
    pub lasts: bool,
    pub kept: KeptRun,
}

/// What stays of the run of a document once it has ended.
#[derive(Clone, Copy)]
pub struct KeptRun {
    /// It has a journal, and can be continued.
    pub journaled: bool,
    /// The compensations of the document are those of the step.
    pub revoked: bool,
}

pub(super) fn broken(message: &str) -> Box<Failure> {
    contract::failure(Cause::Protocol, message.to_owned(), Outcome::Unknown, false)
}

pub(super) fn refused(message: String) -> ChildEnd {
    ChildEnd::Refused(contract::failure(Cause::Start, message, Outcome::Unknown, false))
}

impl ChildEnd {
    pub(super) fn answer(self, stop: &Stop) -> Answer {
        match self {
            ChildEnd::Refused(failure) => Err(failure),
            ChildEnd::Other | ChildEnd::Paused | ChildEnd::Waits(..) | ChildEnd::Lagged(_) => {
                let message = "the run of the document was paused".to_owned();
                Err(contract::failure(Cause::Stopped, message, Outcome::Unknown, false))
            }
            ChildEnd::Ended(ended) => ended.answer(stop.urgency() > crate::adapter::Urgency::None),
        }
    }
}

impl EndedChild {
    /// The answer of the step.
    fn answer(self, stopped: bool) -> Answer {
        let (tokens_used, columns) = figures(self.spent);
        let answer = match self.end.state {
            ItemState::Succeeded => match &self.made {
                Ok(made) => self.outputs(made),
                Err(why) => Err(contract::bad(why.clone())),
            },
            _ => Err(self.failure(stopped)),
        };
        match answer {
            Ok(reply) => Ok(Reply { tokens_used, columns, ..reply }),
            Err(failure) => Err(Box::new(Failure { tokens_used, columns, ..*failure })),
        }
    }

    /// The values that the document made, as outputs of the step.
    fn outputs(&self, made: &Object) -> Answer {
        let lacks = |output: &&Declared| !output.optional && !made.contains_key(&output.name);
        match self.declared.iter().find(lacks) {
            Some(output) => {
                let message = format!("output `{}`: the document ended without it", output.name);
                Err(contract::bad(message))
            }
            // A single output could otherwise be this object itself.
            None if made.is_empty() => Ok(Reply::default()),
            None => contract::done(&self.declared, &Value::Object(made.clone()).to_string()),
        }
    }

    /// Whether an effect remains that should have been compensated.
    pub(super) fn remains(&self) -> bool {
        self.stays || self.end.state == ItemState::CompensationFailed || !self.end.uncompensated.is_empty()
    }

    pub(super) fn failure(&self, stopped: bool) -> Box<Failure> {
        let title = |error: &crate::event::ItemError| {
            let step = error.step.and_then(|id| self.graph.steps.get(id.index()));
            step.map_or(String::new(), |step| format!("{}: ", step.title))
        };
        let cancelled = self.end.state == ItemState::Cancelled
            || self.end.error.as_ref().is_some_and(|error| error.step.is_none());
        let mut message = match &self.end.error {
            // Only the run of the document was cancelled: the step was stopped.
            _ if stopped && cancelled => "the run of the document was stopped".to_owned(),
            Some(error) => format!("{}{}", title(error), error.message),
            None => "it was cancelled".to_owned(),
        };
        for remains in &self.end.uncompensated {
            message.push_str(&format!("; {}not compensated: {}", title(remains), remains.message));
        }
        let stays = self.remains();
        // What the compensations of the document can compensate has been compensated.
        let outcome = match stays || self.lasts && !self.kept.revoked {
            true => Outcome::Unknown,
            false if self.attempts => Outcome::Failed,
            false => Outcome::NotExecuted,
        };
        let cause = if stopped { Cause::Stopped } else { Cause::Refused };
        let code = self.end.error.as_ref().and_then(|error| error.code.clone());
        // The agent of an inner step is not the agent of this step.
        let code = code.filter(|code| code != crate::event::UNAVAILABLE);
        let again = self.kept.journaled || !self.lasts;
        let retryable = !stays && again && code.as_deref() != Some(BUDGET);
        Box::new(Failure { code, ..*contract::failure(cause, message, outcome, retryable) })
    }
}

/// The tokens and the columns of a step whose document has spent so much.
pub(super) fn figures(spent: Spent) -> (Option<u64>, Vec<(Arc<str>, Value)>) {
    let cost = spent.dollars.map(Dollars::value);
    let columns = cost.into_iter().map(|cost| (COST.into(), cost)).collect();
    ((spent.tokens > 0).then_some(spent.tokens), columns)
}

/// The column in which agents report dollars.
const COST: &str = "cost_usd";
