//! What an item's state calls for.

use super::super::backoff::pause;
use super::super::step::{Attempts, End, StepState};
use super::{Item, Stage, is_own};
use crate::event::{Answer, Event, Execution, Failure, ItemState, Millis, Reply, Status, StopReason};
use crate::graph::{Graph, Kind, StepId, ValueId};
use crate::spec::in_words;
use crate::value::{Value, label};

/// How often failure handlers may put one item back.
const PUT_BACKS: u32 = 1;

impl Item {
    /// The next event that the state calls for; none while the item waits for an answer, a timer or a place.
    pub fn next(&self, graph: &Graph, now: Millis) -> Option<Event> {
        if let Some(&step) = self.answered.first() {
            return Some(self.follow(graph, step, now));
        }
        if let Some(&step) = self.deciding.first() {
            return Some(self.decide(graph, step, now));
        }
        if let Some(why) = self.stop
            && let Some((step, attempt)) = self.untold()
        {
            return Some(Event::AttemptStopped { item: self.id, step, attempt, why, at: now });
        }
        if self.open > 0 {
            return None;
        }
        let stopped = self.stop.is_some_and(|why| !is_own(why));
        match (self.stage, &self.error) {
            (Stage::Forward, None) if stopped && !self.all_done(graph) => {
                Some(self.settled(ItemState::Cancelled, now))
            }
            (Stage::Forward, None) => Some(self.settled(ItemState::Succeeded, now)),
            (Stage::Forward, Some(_)) if !stopped && graph.handlers().next().is_some() => {
                Some(Event::ItemFailed { item: self.id, at: now })
            }
            (Stage::Handling, _) if !stopped && self.put_backs < PUT_BACKS && self.wants_back(graph) => {
                Some(Event::ItemPutBack { item: self.id, at: now })
            }
            (_, Some(_)) | (Stage::Handling, None) => Some(self.settled(ItemState::Failed, now)),
        }
    }

    fn settled(&self, state: ItemState, at: Millis) -> Event {
        Event::ItemSettled { item: self.id, key: self.key.clone(), state, error: self.error.clone(), at }
    }

    /// Whether every step came to an end of its own.
    fn all_done(&self, graph: &Graph) -> bool {
        let done = |id: &StepId| matches!(self.steps[id.index()], StepState::Ended(end) if !end.blocks());
        graph.order.iter().all(done)
    }

    /// A running step that does not know yet that the item stops.
    fn untold(&self) -> Option<(StepId, u32)> {
        self.steps.iter().enumerate().find_map(|(index, state)| match state {
            StepState::Running { attempts, stop: None, .. } => Some((StepId(index as u32), attempts.number)),
            _ => None,
        })
    }

    /// What follows from the answer to a step: its end, or another attempt.
    fn follow(&self, graph: &Graph, id: StepId, now: Millis) -> Event {
        let StepState::Answered { attempts, started, finished, stop, result } = &self.steps[id.index()]
        else {
            unreachable!("`answered` lists only answered steps");
        };
        if let Err(failure) = result
            && let Some(due) = self.retry(graph, id, attempts, failure, *stop, now)
        {
            return Event::RetryScheduled {
                item: self.id,
                step: id,
                attempt: attempts.number + 1,
                due,
                at: now,
            };
        }
        let branch = result.is_ok().then(|| self.next_branch(graph, id, now)).flatten();
        if let Some(Ok(event)) = branch {
            return event;
        }
        let mut execution = Execution {
            step: id,
            status: status(result, *stop),
            input: self.input_label(graph, id),
            output: None,
            duration_ms: Some(finished.saturating_sub(*started) as f64),
            tokens_used: attempts.tokens,
            columns: Vec::new(),
            attempt: Some(attempts.tries),
            started_ms: Some(*started),
            error: None,
            code: None,
        };
        match result {
            Ok(reply) => {
                execution.output = self.output_label(graph, id, reply);
                execution.columns.clone_from(&reply.columns);
            }
            Err(failure) => {
                execution.columns.clone_from(&failure.columns);
                execution.code.clone_from(&failure.code);
                execution.error = Some(match stop {
                    // It had failed by itself before it was told to stop.
                    Some(why) if attempts.last.is_some() => {
                        format!("{}; {}", why_stopped(graph, id, *why), failure.message)
                    }
                    Some(why) => why_stopped(graph, id, *why),
                    None => failure.message.clone(),
                });
            }
        }
        if let Some(Err(reason)) = branch {
            (execution.status, execution.error) = (Status::Failed, Some(reason));
        }
        Event::StepEnded { item: self.id, execution }
    }

    /// When the next attempt is due, if there is one.
    fn retry(
        &self,
        graph: &Graph,
        id: StepId,
        attempts: &Attempts,
        failure: &Failure,
        stop: Option<StopReason>,
        now: Millis,
    ) -> Option<Millis> {
        let timed_out = stop == Some(StopReason::Timeout);
        let retryable = if stop.is_some() { timed_out } else { failure.retryable };
        if !retryable || self.stop.is_some() {
            return None;
        }
        let due = now + pause(graph.step(id).retry.as_ref(), self.id, id, attempts.tries)?;
        self.step_deadline(graph, id, attempts).is_none_or(|deadline| due < deadline).then_some(due)
    }

    /// Whether a failure handler answered with a true output named `retry…`.
    fn wants_back(&self, graph: &Graph) -> bool {
        let says = |id: StepId| {
            matches!(self.steps[id.index()], StepState::Ended(End::Succeeded))
                && graph.step(id).outputs.iter().any(|output| {
                    graph.value(output.value).name.starts_with("retry")
                        && self.value(output.value).is_some_and(|value| **value == Value::Bool(true))
                })
        };
        graph.handlers().any(says)
    }

    pub(super) fn input_label(&self, graph: &Graph, id: StepId) -> Option<String> {
        let step = graph.step(id);
        if step.kind == Kind::Handler {
            return Some(self.key.to_string());
        }
        let input = step.inputs.iter().find(|input| self.value(input.value).is_some())?;
        Some(self.label(graph, input.value))
    }

    fn output_label(&self, graph: &Graph, id: StepId, reply: &Reply) -> Option<String> {
        let made = |output: &&crate::graph::Output| reply.outputs.iter().any(|(id, _)| *id == output.value);
        Some(self.label(graph, graph.step(id).outputs.iter().find(made)?.value))
    }

    fn label(&self, graph: &Graph, id: ValueId) -> String {
        let info = graph.value(id);
        match self.value(id) {
            Some(value) => label(&info.name, info.ty.as_ref(), value, &self.key),
            None => String::new(),
        }
    }
}

/// Why a step was stopped, with the time that it had.
fn why_stopped(graph: &Graph, id: StepId, why: StopReason) -> String {
    let limit = match why {
        StopReason::Timeout => graph.step(id).timeout.map(|most| ("timed out after", most)),
        StopReason::StepDeadline => {
            graph.step(id).deadline.map(|most| ("the step's deadline passed after", most))
        }
        StopReason::ItemDeadline => {
            graph.settings.deadline.map(|most| ("the item's deadline passed after", most))
        }
        StopReason::Critical | StopReason::ItemError | StopReason::RunDeadline | StopReason::Interrupted => {
            None
        }
    };
    limit.map_or_else(|| why.to_string(), |(what, most)| format!("{what} {}", in_words(most)))
}

/// A stopped attempt that answered all the same counts by its answer: the truth wins.
fn status(result: &Answer, stop: Option<StopReason>) -> Status {
    match (result, stop) {
        (Ok(_), _) => Status::Success,
        (Err(_), Some(StopReason::Timeout | StopReason::StepDeadline)) => Status::Timeout,
        (Err(_), Some(_)) => Status::Cancelled,
        (Err(_), None) => Status::Failed,
    }
}
