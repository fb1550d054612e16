//! What an item requires of the runtime: calls with their inputs, timers, and the report of its failure. Does not know
//! who answers a call, or how.

use super::super::backoff::millis;
use super::super::{Call, Effect, Timer};
use super::apply::with_wait;
use super::state::{Attempts, StepState};
use super::{Item, Stage};
use crate::event::{Event, Millis, Status, StepPath, StopReason, Values};
use crate::graph::{Graph, Kind, StepId, ValueId};
use crate::value::{Object, Value};
use std::sync::Arc;

impl Item {
    /// The attempt that has just started.
    pub fn call(&self, graph: &Graph, path: StepPath) -> Option<Call> {
        let StepState::Running { attempts, started, waits, .. } = self.state(path) else { return None };
        let step = graph.step(path.step);
        let deadline = self.attempt_deadline(graph, path.step, attempts, *started);
        let deadline = deadline.filter(|_| waits.is_none());
        Some(Call {
            item: self.id,
            key: self.key.clone(),
            step: path,
            attempt: attempts.number,
            repeated: attempts.repeated,
            visit: self.visit(graph, path),
            compensates: self.compensates(graph, path),
            inputs: self.inputs(graph, path),
            deadline,
            until: deadline.into_iter().chain(self.due(graph).filter(|_| step.kind == Kind::Forward)).min(),
            left: None,
        })
    }

    /// The number of the visit that an execution is on.
    pub(super) fn visit(&self, graph: &Graph, path: StepPath) -> u32 {
        match graph.step(path.step).kind {
            Kind::Handler => self.requeues + self.retries,
            Kind::Forward | Kind::Compensation => {
                let undoes = self.effects.compensating.filter(|_| self.compensates(graph, path).is_some());
                undoes.map_or_else(|| self.visit_of(path.step), |(_, visit)| visit)
            }
        }
    }

    /// When a running attempt is stopped.
    fn attempt_deadline(
        &self,
        graph: &Graph,
        id: StepId,
        attempts: &Attempts,
        started: Millis,
    ) -> Option<Millis> {
        let began = started.saturating_add(attempts.waited);
        let timeout = graph.step(id).timeout.map(|timeout| began.saturating_add(millis(timeout)));
        [timeout, self.step_deadline(graph, id, attempts)].into_iter().flatten().min()
    }

    /// Whether a running attempt is to be stopped now.
    pub fn is_attempt_overdue(&self, graph: &Graph, path: StepPath, now: Millis) -> bool {
        let StepState::Running { attempts, started, waits: None, .. } = self.state(path) else {
            return false;
        };
        self.attempt_deadline(graph, path.step, attempts, *started).is_some_and(|due| due <= now)
    }

    /// The timers of the item and its running attempts, after their deadlines have moved.
    pub fn moved_timers(&self, graph: &Graph) -> Vec<Effect> {
        let attempts = self.running().filter_map(|(step, attempt)| {
            let due = self.call(graph, step)?.deadline?;
            let timer = Timer::Attempt { item: self.id, step, attempt };
            Some(Effect::Timer { due, timer })
        });
        self.deadline(graph).into_iter().chain(attempts).collect()
    }

    /// When the step must end: by its own deadline, or that of a group around it.
    pub(super) fn step_deadline(&self, graph: &Graph, id: StepId, attempts: &Attempts) -> Option<Millis> {
        let own = self.own_deadline(graph, id, attempts);
        own.into_iter().chain(self.group_deadline(graph, id)).min()
    }

    /// When the step's own deadline passes.
    pub(super) fn own_deadline(&self, graph: &Graph, id: StepId, attempts: &Attempts) -> Option<Millis> {
        let since = self.repeated_since(graph, id).or(attempts.since)?;
        Some(since.saturating_add(millis(graph.step(id).deadline?)))
    }

    pub(super) fn group_deadline(&self, graph: &Graph, id: StepId) -> Option<Millis> {
        // A compensation has its own deadline.
        if graph.step(id).kind == Kind::Compensation {
            return None;
        }
        let due = |group: usize| {
            if self.stands_still(Some(group)) {
                return None;
            }
            Some(self.groups.get(&group)?.saturating_add(millis(graph.groups[group].deadline?)))
        };
        graph.around(id).filter_map(due).min()
    }

    /// Why an attempt that exceeded its time is stopped.
    pub fn overdue(&self, graph: &Graph, path: StepPath, now: Millis) -> StopReason {
        let passed = |due: Option<Millis>| due.is_some_and(|due| due <= now);
        match self.state(path) {
            StepState::Running { attempts, .. } if passed(self.own_deadline(graph, path.step, attempts)) => {
                StopReason::StepDeadline
            }
            StepState::Running { .. } if passed(self.group_deadline(graph, path.step)) => {
                StopReason::GroupDeadline
            }
            _ => StopReason::Timeout,
        }
    }

    /// The end of a step that has not begun when its group's deadline passes.
    pub fn late(
        &self,
        graph: &Graph,
        path: StepPath,
        waited: impl FnOnce() -> Option<String>,
        now: Millis,
    ) -> Option<Event> {
        let StepState::Ready(attempts @ Attempts { tries: 0, .. }) = self.state(path) else { return None };
        let passed = |due: Option<Millis>| due.is_some_and(|due| due <= now);
        let why = match () {
            () if passed(self.group_deadline(graph, path.step)) => Some(StopReason::GroupDeadline),
            () if passed(self.own_deadline(graph, path.step, attempts)) => Some(StopReason::StepDeadline),
            () => None,
        };
        why.map(|why| {
            let why = with_wait(why, waited().as_deref());
            self.row_without_attempt(graph, path, Status::Timeout, Some(why), now)
        })
    }

    pub(super) fn inputs(&self, graph: &Graph, path: StepPath) -> Values {
        let step = graph.step(path.step);
        let element = || {
            let value = self.elements.get(&path.step)?.value(path.element?)?;
            Some(Arc::new(value.clone()))
        };
        let payload = step.awaits.as_ref().map(|awaits| awaits.payload);
        let shared = |id: ValueId| match step.each {
            Some(each) if each.element == id => Some((id, element()?)),
            // Another step may have taken a later event meanwhile.
            _ if payload == Some(id) => Some((id, self.payload(path.step)?)),
            _ => Some((id, self.value(id)?.clone())),
        };
        let taken = |input: &crate::graph::Input| match input.feedback {
            Some(_) => Some((input.value, self.taken_value(input)?.clone())),
            None => shared(input.value),
        };
        match step.kind {
            Kind::Handler => {
                let failed = Arc::new(self.report(graph));
                let reports: Vec<ValueId> = graph.failure_inputs(path.step).collect();
                let takes = |input: &crate::graph::Input| match shared(input.value) {
                    // The steps for all items get a list of failures, or none.
                    None if reports.contains(&input.value) && !self.is_run() => {
                        Some((input.value, failed.clone()))
                    }
                    found => found,
                };
                step.inputs.iter().filter_map(takes).collect()
            }
            Kind::Forward if !step.has_signature() => step.takes(&graph.inputs).filter_map(shared).collect(),
            Kind::Forward => {
                let made = |input: &&crate::graph::Input| {
                    input.feedback.is_some() || self.is_made(graph, input.makers.iter())
                };
                let given = step.given().filter(made).filter_map(taken);
                let unnamed = payload.filter(|id| step.given().all(|input| input.value != *id));
                given.chain(unnamed.into_iter().filter_map(shared)).collect()
            }
            Kind::Compensation => self.compensation_inputs(graph, path),
        }
    }

    /// The report that a failure handler gets: `{item, key, step, error: {message, code}, attempts, values}`.
    pub fn report(&self, graph: &Graph) -> Value {
        let named = |ids: &mut dyn Iterator<Item = ValueId>| -> Object {
            ids.filter_map(|id| Some((graph.value(id).name.clone(), (**self.value(id)?).clone()))).collect()
        };
        let item = match graph.inputs.as_slice() {
            [only] => self.value(*only).map_or(Value::Null, |value| (**value).clone()),
            several => Value::Object(named(&mut several.iter().copied())),
        };
        let error = self.error.as_ref();
        let step = error.and_then(|error| error.step).map(|id| graph.step(id).phase.clone());
        let mut report = Object::new();
        report.insert("item".into(), item);
        report.insert("key".into(), self.key.to_string().into());
        report.insert("step".into(), step.into());
        let mut failure = Object::new();
        failure.insert("message".into(), error.map(|error| error.message.clone()).into());
        failure.insert("code".into(), error.and_then(|error| error.code.clone()).into());
        report.insert("error".into(), failure.into());
        report.insert("attempts".into(), error.map_or(0, |error| error.attempts).into());
        // Outputs of handlers are left out: the report must not depend on which other handler has ended.
        let handled: Vec<ValueId> = graph
            .handlers()
            .flat_map(|id| graph.step(id).outputs.iter().map(|output| output.value))
            .collect();
        let made = |id: &ValueId| !graph.inputs.contains(id) && !handled.contains(id);
        let mut all = (0..graph.values.len() as u32).map(ValueId).filter(made);
        report.insert("values".into(), named(&mut all).into());
        Value::Object(report)
    }

    /// The calls and timers that a folded item still waits for.
    pub fn outstanding(&self, graph: &Graph) -> Vec<Effect> {
        let mut effects = Vec::new();
        for path in self.steps.paths() {
            match self.state(path) {
                StepState::Running { stop, .. } => {
                    let Some(call) = self.call(graph, path) else { continue };
                    let attempt = call.attempt;
                    effects.push(Effect::Call(call));
                    let stop = stop.map(|why| Effect::Stop { item: self.id, step: path, attempt, why });
                    effects.extend(stop);
                }
                StepState::Backoff { attempts, due } => {
                    let timer = Timer::Retry { item: self.id, step: path, attempt: attempts.number + 1 };
                    effects.push(Effect::Timer { due: *due, timer });
                }
                StepState::Waiting { .. }
                | StepState::Deciding
                | StepState::Gated(_)
                | StepState::Awaiting
                | StepState::Ready(_)
                | StepState::Spread { .. }
                | StepState::Answered { .. }
                | StepState::Ended(_)
                | StepState::Idle => {}
            }
        }
        effects.extend(self.deadline(graph));
        effects.extend(self.pauses());
        effects
    }

    /// The timer of the item's deadline.
    pub fn deadline(&self, graph: &Graph) -> Option<Effect> {
        Some(Effect::Timer { due: self.due(graph)?, timer: Timer::ItemDeadline { item: self.id } })
    }

    pub(super) fn due(&self, graph: &Graph) -> Option<Millis> {
        let deadline = graph.settings.deadline.filter(|_| !self.is_run() && !self.stands_still(None))?;
        Some(self.since.saturating_add(millis(deadline)))
    }

    /// Whether the item's deadline has passed and still has an effect.
    pub fn is_overdue(&self, graph: &Graph, now: Millis) -> bool {
        let passed = self.due(graph).is_some_and(|due| due <= now);
        passed && self.stage == Stage::Forward && self.stop.is_none()
    }
}
