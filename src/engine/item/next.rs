//! The next event of an item, computed from its state. Changes nothing; knows neither the limits nor the other items.

use super::super::unavailable::Bounds;
use super::retry::Retried;
use super::state::{End, StepState};
use super::{Item, Stage, is_own, is_unstoppable};
use crate::event::{
    Answer, AttemptEvent, BUDGET, Cause, Event, Execution, ItemEvent, ItemState, Millis, Reply, RunEvent,
    Settlement, Status, StepEvent, StepPath, StopReason,
};
use crate::graph::{Graph, Kind, StepId, ValueId};
use crate::value::words;
use crate::value::{Value, label};

/// How often failure handlers may requeue one item.
const REQUEUES: u32 = 1;

impl Item {
    /// The next event that the state requires; `None` while the item waits for an answer, a timer or a free place.
    pub fn next(&self, graph: &Graph, bounds: &Bounds, now: Millis) -> Option<Event> {
        if let Some(step) = self.steps.answered() {
            return Some(self.follow(graph, bounds, step, now));
        }
        if let Some(path) = self.steps.deciding().first() {
            return Some(self.decide(graph, path.step, now));
        }
        let waiting = self.next_at_gates(graph, bounds, now);
        if let Some(event) = waiting.or_else(|| self.next_at_awaits(graph, bounds, now)) {
            return Some(event);
        }
        let round = self.next_round(graph, now);
        if let Some(Some(event)) = round {
            return Some(event);
        }
        if let Some(why) = self.stop
            && let Some((step, attempt)) = self.unstopped(graph, why)
        {
            return Some(AttemptEvent::Stopped(why).of(self.id, step, attempt, now));
        }
        if !self.steps.all_ended() || round.is_some() {
            return None;
        }
        let stopped = self.run_stop().is_some();
        Some(match self.stage {
            Stage::Forward if self.error.is_none() && (!stopped || self.all_done(graph)) => {
                self.settled(graph, ItemState::Succeeded, now)
            }
            Stage::Forward | Stage::Compensating => self.unwind(graph, now),
            Stage::Handling if !stopped && self.requeues < REQUEUES && self.wants_requeue(graph) => {
                ItemEvent::Requeued.of(self.id, now)
            }
            Stage::Handling => self.settled(graph, self.end_state(graph), now),
        })
    }

    pub(super) fn settled(&self, graph: &Graph, state: ItemState, at: Millis) -> Event {
        let error = if state.is_failure() { self.reason() } else { None };
        let (uncompensated, not_run) = match state {
            ItemState::Succeeded => (Vec::new(), self.not_run(graph)),
            _ => (self.uncompensated(graph, state), Vec::new()),
        };
        let end = Settlement { state, error, uncompensated, not_run };
        match self.is_run() {
            true => RunEvent::StepsEnded(end).at(at),
            false => ItemEvent::Settled { key: self.key.clone(), end }.of(self.id, at),
        }
    }

    /// Whether every step ended by itself, without a stop.
    fn all_done(&self, graph: &Graph) -> bool {
        let done = |id: &StepId| self.end(*id).is_some_and(|end| !end.blocks());
        let has_to =
            |id: &&StepId| self.is_own(graph, **id) && (!self.only_always || graph.step(**id).always);
        graph.order.iter().filter(has_to).all(done)
    }

    /// A running step that has not been asked to stop although the item stops.
    fn unstopped(&self, graph: &Graph, why: StopReason) -> Option<(StepPath, u32)> {
        let path = self.steps.unstopped().find(|path| !is_unstoppable(graph, path.step, why))?;
        match self.state(path) {
            StepState::Running { attempts, stop: None, .. } => Some((path, attempts.number)),
            _ => None,
        }
    }

    /// The event that follows a step's answer: its end, or another attempt.
    fn follow(&self, graph: &Graph, bounds: &Bounds, path: StepPath, now: Millis) -> Event {
        let id = path.step;
        let StepState::Answered { attempts, started, finished, stop, result } = self.state(path) else {
            return self.follow_elements(graph, id, now);
        };
        let (mut not_retried, mut spent) = (None, false);
        if let Err(failure) = result {
            match self.retry(graph, bounds, path, (attempts, failure, *stop), now) {
                Retried::At(due) => {
                    return AttemptEvent::RetryScheduled { due }.of(self.id, path, attempts.number + 1, now);
                }
                Retried::Prevented(why) => not_retried = Some(why),
                Retried::Spent(why) => (not_retried, spent) = (Some(why), true),
                Retried::Never => {}
            }
        }
        // Decisions depend on the outputs of all elements, not of one.
        let decides = result.is_ok() && path.element.is_none();
        let branch = decides.then(|| self.next_branch(graph, id, now)).flatten();
        if let Some(Ok(event)) = branch {
            return event;
        }
        let mut execution = Execution {
            duration_ms: Some(finished.saturating_sub(*started) as f64),
            tokens_used: attempts.tokens,
            attempt: Some(attempts.tries),
            ..self.row(graph, path, status(graph.step(id).kind, result, *stop), *started)
        };
        match result {
            Ok(reply) => {
                execution.output = self.output_label(graph, path, reply);
                report(&mut execution.columns, &reply.columns);
            }
            Err(failure) => {
                report(&mut execution.columns, &failure.columns);
                execution.code = if spent { Some(BUDGET.to_owned()) } else { failure.code.clone() };
                execution.error = Some(match stop {
                    // It failed by itself before it was stopped, or answered afterwards.
                    Some(why) if attempts.last.is_some() || failure.cause == Cause::Refused => {
                        format!("{}; {}", why_stopped(graph, id, *why), failure.message)
                    }
                    Some(why) => why_stopped(graph, id, *why),
                    None => failure.message.clone(),
                });
                if let (Some(why), Some(error)) = (not_retried, &mut execution.error) {
                    error.push_str(&format!("; not retried: {why}"));
                }
            }
        }
        if let Some(Err(reason)) = branch {
            (execution.status, execution.error) = (Status::Failed, Some(reason));
        } else if decides && let Some((why, code)) = self.miss(graph, id) {
            (execution.status, execution.error, execution.code) = (Status::Failed, Some(why), code);
        }
        StepEvent::Ended(execution).of(self.id, now)
    }

    /// A row with the fields that every execution has.
    pub(super) fn row(&self, graph: &Graph, path: StepPath, status: Status, started: Millis) -> Execution {
        Execution {
            step: path.step,
            element: path.element,
            status,
            input: self.input_label(graph, path),
            output: None,
            duration_ms: None,
            tokens_used: None,
            columns: {
                let round = self.round_column(graph, path.step).into_iter();
                let events = self.event_columns(graph, path.step);
                round.chain(self.gate_columns(graph, path.step)).chain(events).collect()
            },
            attempt: None,
            started_ms: Some(started),
            error: None,
            code: None,
            recorded: None,
        }
    }

    /// The event that follows when all elements have ended: the step's decisions, then its end.
    pub(super) fn follow_elements(&self, graph: &Graph, id: StepId, at: Millis) -> Event {
        let succeeded = self.steps.end_of_elements(id) == End::Succeeded;
        match succeeded.then(|| self.next_branch(graph, id, at)).flatten() {
            Some(Ok(event)) => event,
            Some(Err(reason)) => self.row_without_attempt(graph, id, Status::Failed, Some(reason), at),
            None => match succeeded.then(|| self.miss(graph, id)).flatten() {
                Some((why, code)) => {
                    let row = self.row(graph, id.into(), Status::Failed, at);
                    let execution = Execution { duration_ms: Some(0.0), error: Some(why), code, ..row };
                    StepEvent::Ended(execution).of(self.id, at)
                }
                None => StepEvent::ElementsEnded(id).of(self.id, at),
            },
        }
    }

    /// Whether a failure handler answered with a true output named `retry…`.
    fn wants_requeue(&self, graph: &Graph) -> bool {
        // Steps whose compensation failed would have their effects twice.
        if self.effects.any_failed() {
            return false;
        }
        let says = |id: StepId| {
            self.has_succeeded(id)
                && graph.step(id).outputs.iter().any(|output| {
                    graph.value(output.value).name.starts_with("retry")
                        && self.value(output.value).is_some_and(|value| **value == Value::Bool(true))
                })
        };
        self.handlers(graph).any(says)
    }

    /// The label of an element is its own, even if the step has other inputs.
    pub(super) fn input_label(&self, graph: &Graph, path: StepPath) -> Option<String> {
        let step = graph.step(path.step);
        match step.kind {
            Kind::Handler => return Some(self.key.to_string()),
            Kind::Compensation => {
                let inputs = self.compensation_inputs(graph, path);
                let (id, value) = inputs.iter().find(|(_, value)| !value.is_null())?;
                return Some(self.label(graph, path, *id, value));
            }
            Kind::Forward => {}
        }
        if let (Some(each), Some(element)) = (step.each, path.element) {
            let value = self.elements.get(&path.step)?.value(element)?;
            return Some(self.label(graph, path, each.element, value));
        }
        let present = |input: &crate::graph::Input| Some((input.value, self.taken_value(input)?));
        let (id, value) = step.given().find_map(present)?;
        Some(self.label(graph, path, id, value))
    }

    fn output_label(&self, graph: &Graph, path: StepPath, reply: &Reply) -> Option<String> {
        let made = |output: &crate::graph::Output| reply.outputs.iter().find(|(id, _)| *id == output.value);
        let (id, value) = graph.step(path.step).outputs.iter().find_map(made)?;
        Some(self.label(graph, path, *id, value))
    }

    fn label(&self, graph: &Graph, path: StepPath, id: ValueId, value: &Value) -> String {
        let info = graph.value(id);
        match path.element {
            Some(element) => label(&info.name, info.ty.as_ref(), value, &format!("{}[{element}]", self.key)),
            None => label(&info.name, info.ty.as_ref(), value, &self.key),
        }
    }
}

/// Adds the columns that an agent reports, unless they have the name of one that is not its own.
pub(super) fn report(columns: &mut Columns, reported: &Columns) {
    let own = columns.len();
    for (name, value) in reported {
        if !columns[..own].iter().any(|(known, _)| known == name) {
            columns.push((name.clone(), value.clone()));
        }
    }
}

type Columns = Vec<(std::sync::Arc<str>, Value)>;

/// Why a step was stopped, with its time limit.
fn why_stopped(graph: &Graph, id: StepId, why: StopReason) -> String {
    let limit = match why {
        StopReason::Timeout => graph.step(id).timeout.map(|most| ("timed out after", most)),
        StopReason::StepDeadline => {
            graph.step(id).deadline.map(|most| ("the step's deadline passed after", most))
        }
        StopReason::GroupDeadline => {
            let shared = graph.around(id).filter_map(|group| graph.groups[group].deadline).min();
            shared.map(|most| ("the group's deadline passed after", most))
        }
        StopReason::ItemDeadline => {
            graph.settings.deadline.map(|most| ("the item's deadline passed after", most))
        }
        StopReason::Critical
        | StopReason::ItemError
        | StopReason::RunDeadline
        | StopReason::Interrupted
        | StopReason::Cancelled
        | StopReason::Revoked
        | StopReason::Outer(_) => None,
    };
    limit.map_or_else(|| why.to_string(), |(what, most)| format!("{what} {}", words::duration(most)))
}

/// The status of an attempt. A stopped attempt that still answered counts by its answer.
fn status(kind: Kind, result: &Answer, stop: Option<StopReason>) -> Status {
    match (result, stop) {
        (Ok(_), _) if kind == Kind::Compensation => Status::Compensated,
        (Err(_), why) if kind == Kind::Compensation && why.is_none_or(is_own) => Status::CompensationFailed,
        (Ok(_), _) => Status::Success,
        (Err(_), Some(StopReason::Timeout | StopReason::StepDeadline | StopReason::GroupDeadline)) => {
            Status::Timeout
        }
        (Err(_), Some(_)) => Status::Cancelled,
        (Err(_), None) => Status::Failed,
    }
}
