//! How events change an item: the only file, with `compensate`, that changes one. Does not know which event comes
//! next, or whether an event is valid now.

use super::state::{Attempts, End, LastAnswer, StepState};
use super::{Item, Stage, is_own, is_unstoppable};
use crate::event::{
    Answer, AttemptEvent, Event, EventKind, Execution, ItemError, ItemEvent, Millis, RunEvent, StepEvent,
    StepPath, StopReason, Values, WaitsFor,
};
use crate::graph::{Graph, Kind, Passage, StepId, Target};
use crate::spec::Mark;
use std::sync::Arc;

impl Item {
    /// Applies an event of this item.
    pub fn apply(&mut self, graph: &Graph, event: &Event) {
        match &event.kind {
            EventKind::Run(RunEvent::Stopped(why)) => self.stop(graph, *why, event.at),
            EventKind::Run(_) => {}
            EventKind::Item(_, change) => self.apply_own(graph, change, event.at),
            EventKind::Step(_, change) => self.apply_to_step(graph, change, event.at),
            EventKind::Attempt(_, step, _, change) => self.apply_to_attempt(graph, *step, change, event.at),
        }
    }

    fn apply_own(&mut self, graph: &Graph, change: &ItemEvent, at: Millis) {
        match change {
            ItemEvent::Admitted { .. } | ItemEvent::Settled { .. } => {}
            ItemEvent::DeadlinePassed { waited } => {
                let why = with_wait(StopReason::ItemDeadline, waited.as_deref());
                self.error.get_or_insert_with(|| ItemError::without_step(why));
                self.halt(graph, StopReason::ItemDeadline, at);
            }
            ItemEvent::CompensationBegan(step) => self.compensate(graph, *step),
            ItemEvent::Failed => self.call_handlers(graph),
            ItemEvent::Requeued => match self.new_inputs.take() {
                Some(inputs) => self.restart(graph, &inputs, at),
                None => {
                    self.requeues += 1;
                    self.requeue(graph, at);
                }
            },
            ItemEvent::Retried { inputs: Some(inputs), .. } => self.restart(graph, inputs, at),
            ItemEvent::Retried { inputs: None, .. } => {
                self.retries += 1;
                self.stop = None;
                if self.effects.reopen() {
                    self.stage = Stage::Compensating;
                    return;
                }
                self.cancelled = None;
                match self.new_inputs {
                    Some(_) => self.stage = Stage::Compensating,
                    None => self.requeue(graph, at),
                }
            }
            ItemEvent::Resolved { .. } => self.effects.resolve(),
            ItemEvent::Revoked { .. } => {
                self.cancelled = Some(StopReason::Revoked);
                self.stage = Stage::Compensating;
            }
            ItemEvent::GateReached { gate, since, .. } => self.reach(graph, *gate, *since, at),
            ItemEvent::Decided { gate, decision } => self.decided(graph, *gate, decision, at),
            ItemEvent::GateExpired(gate) => self.expired(graph, *gate, at),
            ItemEvent::RoundBegan { repeat, .. } => self.begin_round(graph, *repeat),
            ItemEvent::RoundScheduled { repeat, due } => self.schedule_round(*repeat, *due),
            ItemEvent::RepeatEnded(repeat) => self.end_repeat(graph, *repeat),
        }
    }

    fn apply_to_step(&mut self, graph: &Graph, change: &StepEvent, at: Millis) {
        match change {
            StepEvent::ConditionHeld(step) => self.pass(graph, *step),
            StepEvent::BranchTaken { step, chain, arm } => self.branch(graph, (*step, *chain, *arm), at),
            StepEvent::Ended(execution) => self.ended(graph, execution, at),
            StepEvent::ElementsEnded(step) => {
                if graph.step(*step).kind == Kind::Compensation {
                    self.effects.compensating = None;
                }
                self.settle(graph, *step, self.steps.end_of_elements(*step));
            }
            StepEvent::AwaitBegan { step, subject, since } => {
                self.begin_await(graph, *step, (subject, *since), at);
            }
            StepEvent::EventTaken { step, event, at: taken } => {
                self.take_arrival(graph, *step, (*event, *taken), at);
            }
            StepEvent::AwaitExpired(step) => self.expire_await(graph, *step, at),
        }
    }

    fn apply_to_attempt(&mut self, graph: &Graph, step: StepPath, change: &AttemptEvent, at: Millis) {
        match change {
            AttemptEvent::Started => {
                if let StepState::Ready(attempts) = self.state(step) {
                    let attempts = attempts.clone().began(at);
                    self.set(step, StepState::Running { attempts, started: at, stop: None, waits: None });
                }
                self.note_start(graph, step.step, at);
                let compensates = graph.step(step.step).kind == Kind::Compensation;
                let around = graph.around(step.step).filter(|_| !compensates);
                for group in around.filter(|group| graph.groups[*group].deadline.is_some()) {
                    self.groups.entry(group).or_insert(at);
                }
            }
            AttemptEvent::Stopped(why) => {
                if let StepState::Running { attempts, started, waits, .. } = self.state(step) {
                    let (attempts, started, waits) = (attempts.clone(), *started, *waits);
                    self.set(step, StepState::Running { attempts, started, stop: Some(*why), waits });
                }
            }
            AttemptEvent::Repeated => {
                if !self.effects.uncompensated.contains_key(&(step, self.visit_of(step.step))) {
                    self.register(graph, step);
                }
                // It has its full time again. What it runs still waits until it says otherwise.
                if let StepState::Running { attempts, stop, waits, .. } = self.state(step) {
                    let (attempts, stop) = (attempts.clone(), *stop);
                    let waited = waits.map_or(0, |(since, _)| at.saturating_sub(since));
                    let since = attempts.since.map(|since| since.saturating_add(waited));
                    let waits = waits.map(|(_, what)| (at, what));
                    let attempts = Attempts { repeated: true, waited: 0, since, ..attempts };
                    self.set(step, StepState::Running { attempts, started: at, stop, waits });
                }
            }
            AttemptEvent::Waits => self.wait_inside(graph, step, Some(WaitsFor::People), at),
            AttemptEvent::Awaits => self.wait_inside(graph, step, Some(WaitsFor::Events), at),
            AttemptEvent::Continues => self.wait_inside(graph, step, None, at),
            AttemptEvent::Finished(result) => {
                self.wait_inside(graph, step, None, at);
                self.finished(graph, step, result, at);
            }
            AttemptEvent::RetryScheduled { due } => {
                if let StepState::Answered { attempts, started, finished, result, .. } = self.state(step) {
                    let last = LastAnswer { started: *started, finished: *finished, result: result.clone() };
                    let attempts = Attempts { last: Some(Arc::new(last)), ..attempts.clone() };
                    self.set(step, StepState::Backoff { attempts, due: *due });
                }
            }
            AttemptEvent::RetryDue => {
                if let StepState::Backoff { attempts, .. } = self.state(step) {
                    self.set(step, StepState::Ready(attempts.clone()));
                }
            }
        }
    }

    /// The run stops. Only an interruption stops a compensation.
    fn stop(&mut self, graph: &Graph, why: StopReason, at: Millis) {
        match self.stage == Stage::Compensating && why != StopReason::Interrupted {
            true => drop(self.cancelled.get_or_insert(why)),
            false => self.halt(graph, why, at),
        }
    }

    fn finished(&mut self, graph: &Graph, step: StepPath, result: &Answer, at: Millis) {
        self.register_answer(graph, step, result);
        self.spent.take(graph, step.step, result);
        if let Ok(reply) = result {
            match (step.element, self.elements.get_mut(&step.step)) {
                (Some(element), Some(elements)) => {
                    put(&mut elements.outputs, element as usize, reply.outputs.clone());
                }
                _ => {
                    for (id, value) in &reply.outputs {
                        put(&mut self.values, id.index(), Some(value.clone()));
                    }
                }
            }
        }
        let tokens = match result {
            Ok(reply) => reply.tokens_used,
            Err(failure) => failure.tokens_used,
        };
        if let StepState::Running { attempts, started, stop, .. } = self.state(step) {
            let attempts = attempts.clone().spent(tokens);
            let (started, stop, result) = (*started, *stop, result.clone());
            self.set(step, StepState::Answered { attempts, started, finished: at, stop, result });
        }
    }

    fn ended(&mut self, graph: &Graph, execution: &Execution, at: Millis) {
        let (id, path) = (execution.step, execution.path());
        let step = graph.step(id);
        if step.kind == Kind::Compensation {
            self.effects.settle(execution);
        }
        let end = End::of(step, execution.status);
        self.note_miss(execution);
        if end == End::Failed && step.counts() && self.error.is_none() {
            self.error = Some(ItemError::of(execution));
        }
        match execution.element {
            Some(_) => self.end_element(graph, path, end),
            None => self.settle(graph, id, end),
        }
        if end == End::Failed && step.counts() && step.mark == Some(Mark::Critical) {
            self.halt(graph, StopReason::Critical, at);
        }
    }

    /// Ends a step, and then every step that can now be decided.
    pub(super) fn settle(&mut self, graph: &Graph, id: StepId, end: End) {
        let mut ends = vec![(id, end)];
        while let Some((id, end)) = ends.pop() {
            if end == End::Succeeded {
                self.advance_state(graph, id);
            }
            self.set(id, StepState::Ended(end));
            // A step outside of a loop waits for its end, which does not come if the item stops or ends in it.
            let free =
                |dependent: &&StepId| !self.waits_for_loop(graph, id, **dependent) || self.stop.is_some();
            let free: Vec<StepId> = graph.step(id).dependents.iter().filter(free).copied().collect();
            for dependent in free {
                ends.extend(self.release(graph, dependent).map(|end| (dependent, end)));
            }
        }
    }

    /// One of the steps that a step waits for has ended. Returns its end if it cannot run.
    pub(super) fn release(&mut self, graph: &Graph, dependent: StepId) -> Option<End> {
        let StepState::Waiting { missing } = *self.state(dependent) else { return None };
        let missing = missing.saturating_sub(1);
        self.set(dependent, StepState::Waiting { missing });
        if missing == 0 { self.arrive(graph, dependent) } else { None }
    }

    /// No further step of this item starts; `next` stops running ones. A failed step that was waiting for another
    /// attempt does not get it.
    fn halt(&mut self, graph: &Graph, why: StopReason, at: Millis) {
        // A stop of the run takes precedence over one of the item, because no handler follows it. An interruption
        // takes precedence over all, because what it leaves continues later.
        if self.stop.is_none_or(is_own) || why == StopReason::Interrupted {
            self.stop = Some(why);
        }
        let stays = |path: &StepPath| is_unstoppable(graph, path.step, why);
        for path in self.steps.pending().filter(|path| !stays(path)).collect::<Vec<_>>() {
            match self.state(path) {
                state @ (StepState::Waiting { .. }
                | StepState::Deciding
                | StepState::Gated(_)
                | StepState::Awaiting
                | StepState::Ready(_)
                | StepState::Backoff { .. }) => match state.without_retry(why) {
                    Some(answered) => self.set(path, answered),
                    None => self.end_unstarted(graph, path, End::Blocked),
                },
                StepState::Running { .. }
                | StepState::Spread { .. }
                | StepState::Answered { .. }
                | StepState::Ended(_)
                | StepState::Idle => {}
            }
        }
        self.abandon_gates(graph, at);
        self.abandon_awaits(graph, at);
        if why != StopReason::Interrupted {
            self.release_always(graph);
        }
    }

    /// Steps that run always no longer wait for those that have ended without having begun.
    pub(super) fn release_always(&mut self, graph: &Graph) {
        for id in graph.ids().filter(|id| graph.step(*id).always) {
            if !matches!(self.state(id), StepState::Waiting { .. }) {
                continue;
            }
            let needs = graph.step(id).needs.iter().map(|need| need.step);
            let open = needs.filter(|need| self.is_own(graph, *need) && self.end(*need).is_none());
            let missing = open.count() as u32;
            self.set(id, StepState::Waiting { missing });
            if missing == 0
                && let Some(end) = self.arrive(graph, id)
            {
                self.settle(graph, id, end);
            }
        }
    }

    /// Ends an execution that has not begun; the steps after it are not decided.
    pub(super) fn end_unstarted(&mut self, graph: &Graph, path: StepPath, end: End) {
        match path.element {
            Some(_) => self.end_element(graph, path, end),
            None => self.set(path, StepState::Ended(end)),
        }
    }

    fn call_handlers(&mut self, graph: &Graph) {
        self.stage = Stage::Handling;
        // A critical failure stops only the forward work; a stop of the run remains.
        self.stop = self.stop.filter(|why| !is_own(*why));
        for id in self.handlers(graph) {
            if let Some(end) = self.arrive(graph, id) {
                self.settle(graph, id, end);
            }
        }
    }

    /// It ended with inputs that have changed: it restarts with the new ones once its effects are compensated.
    pub fn restart_after_compensation(&mut self, inputs: Values, only_always: bool) {
        (self.new_inputs, self.only_always) = (Some(inputs), only_always);
        self.stage = Stage::Compensating;
        (self.error, self.stop, self.cancelled) = (None, None, None);
        self.effects.reopen();
    }

    /// Restarts the item with other inputs; all its steps are then on a new visit.
    fn restart(&mut self, graph: &Graph, inputs: &Values, at: Millis) {
        let mut visits = std::mem::take(&mut self.visits);
        graph.ids().for_each(|id| *visits.entry(id).or_default() += 1);
        let earlier = std::mem::take(&mut self.steps);
        let only_always = self.only_always || self.is_run() && self.cancelled.is_some();
        *self = Item {
            visits,
            requeues: self.requeues,
            retries: self.retries + 1,
            spent: std::mem::take(&mut self.spent),
            awaits: std::mem::take(&mut self.awaits).again(),
            ..Item::new(graph, self.id, self.key.clone(), inputs, at)
        };
        self.steps.number_after(earlier);
        match only_always {
            true => self.begin_always(graph),
            false => self.begin(graph),
        }
    }

    /// Failed steps, and steps that did not run because of them, are pending again.
    fn requeue(&mut self, graph: &Graph, at: Millis) {
        self.since = at;
        self.stage = Stage::Forward;
        self.error = None;
        self.groups.clear();
        for id in self.handlers(graph).chain(graph.compensations()) {
            self.set(id, StepState::Idle);
        }
        let revisited = self.revisit(graph);
        self.forget_gates(graph, &revisited);
        self.forget_awaits(graph, &revisited);
        let left_out = |id: &StepId| self.only_always && !graph.step(*id).always;
        let again =
            |id: &StepId| (self.end(*id).is_some_and(End::blocks) || revisited.contains(id)) && !left_out(id);
        let ahead: Vec<StepId> = graph.ids().filter(again).collect();
        self.reopen_loops(graph, &ahead, &revisited);
        self.taken.retain(|(step, ..)| ahead.binary_search(step).is_err());
        let is_ahead = |id: StepId| ahead.binary_search(&id).is_ok();
        let missing = |id: StepId| {
            let open = |need: StepId| is_ahead(need) || self.waits_for_loop(graph, need, id);
            graph.step(id).needs.iter().filter(|need| open(need.step)).count()
        };
        let counts: Vec<(StepId, usize)> = ahead.iter().map(|id| (*id, missing(*id))).collect();
        for &(id, missing) in &counts {
            self.set(id, StepState::Waiting { missing: missing as u32 });
        }
        self.recompute_state(graph);
        for (id, _) in counts.into_iter().filter(|(_, missing)| *missing == 0) {
            if let Some(end) = self.arrive(graph, id) {
                self.settle(graph, id, end);
            }
        }
    }

    /// A step whose needs have all ended becomes ready, or its conditions are decided; otherwise this is its end.
    pub(super) fn arrive(&mut self, graph: &Graph, id: StepId) -> Option<End> {
        let end = self.unrunnable(graph, id);
        if end.is_none() {
            let step = graph.step(id);
            let decides = step.is_conditional() || step.each.is_some() || step.state.is_some();
            if !decides && step.gates.is_empty() && step.awaits.is_none() {
                self.make_ready(graph, id);
            } else {
                self.set(id, StepState::Deciding);
            }
        }
        end
    }

    /// Ends steps that an earlier version ended without their conditions because they lacked a value: the events after
    /// that in such a journal depend on it.
    pub fn pass_over(&mut self, graph: &Graph) {
        for StepPath { step: id, .. } in self.steps.deciding().to_vec() {
            let step = graph.step(id);
            let lacks = step.inputs.iter().any(|input| self.lacks(graph, input));
            if lacks || step.when.iter().any(|guard| self.condition(graph, id, guard).is_none()) {
                self.settle(graph, id, End::Absent);
            }
        }
    }

    pub(super) fn branch(
        &mut self,
        graph: &Graph,
        (step, chain, arm): (StepId, u32, Option<u32>),
        at: Millis,
    ) {
        self.taken.push((step, chain, arm));
        let arms = graph.step(step).chains.get(chain as usize);
        let target = arm.and_then(|arm| arms?.get(arm as usize)).map(|arm| &arm.target);
        if target == Some(&Target::End) {
            self.end_item(graph, at);
        }
    }

    /// The item ends: running steps may finish, and no others begin.
    fn end_item(&mut self, graph: &Graph, at: Millis) {
        self.end_repeats(graph);
        for path in self.steps.pending().collect::<Vec<_>>() {
            let begun = match self.state(path) {
                StepState::Waiting { .. }
                | StepState::Deciding
                | StepState::Gated(_)
                | StepState::Awaiting => graph.step(path.step).always,
                StepState::Ready(attempts) => attempts.tries > 0,
                StepState::Running { .. }
                | StepState::Spread { .. }
                | StepState::Answered { .. }
                | StepState::Backoff { .. }
                | StepState::Ended(_)
                | StepState::Idle => true,
            };
            if !begun {
                self.end_unstarted(graph, path, End::ItemEnded);
            }
        }
        self.abandon_gates(graph, at);
        self.abandon_awaits(graph, at);
        self.release_always(graph);
    }

    /// A step has succeeded: the item enters the step's state.
    pub(super) fn advance_state(&mut self, graph: &Graph, id: StepId) {
        let Some(Passage { from, to }) = &graph.step(id).state else { return };
        self.note_state(graph, id);
        if self.lifecycle.is_none_or(|now| from.contains(&now)) {
            let only = if let [only] = from.as_slice() { Some(*only) } else { None };
            self.lifecycle = to.or(self.lifecycle).or(only);
        }
    }

    /// The item runs again: it is in the state that the remaining finished steps led to, in their order.
    pub(super) fn recompute_state(&mut self, graph: &Graph) {
        self.lifecycle = graph.initial;
        for id in &graph.order {
            if self.has_succeeded(*id) {
                self.advance_state(graph, *id);
            }
        }
    }
}

/// Stores a value if the index exists.
fn put<T>(places: &mut [T], at: usize, value: T) {
    if let Some(place) = places.get_mut(at) {
        *place = value;
    }
}

/// Why something was stopped on a deadline, and what it had waited for.
pub(super) fn with_wait(why: StopReason, waited: Option<&str>) -> String {
    match waited {
        Some(waited) => format!("{why}; {waited}"),
        None => why.to_string(),
    }
}
