//! The compensation of an item: in which order its effects are compensated, with which values, and which of them
//! remain. Steps are compensated one after the other, the elements of a list in parallel. Does not know why the item
//! failed.

use super::super::Ahead;
use super::effects::{OpenEffect, by_round, next_compensated};
use super::state::StepState;
use super::{Elements, Item, Stage, is_own};
use crate::event::{Event, Execution, ItemError, ItemEvent, ItemState, Millis, StepPath, StopReason, Values};
use crate::graph::{Graph, Kind, StepId, ValueId};
use crate::value::Value;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The result of compensating an item.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compensations {
    /// At least one effect was compensated.
    pub any: bool,
    /// At least one compensation failed.
    pub failed: bool,
    /// An effect with a compensation remains, because an irreversible step follows it.
    pub committed: bool,
}

impl ItemState {
    /// The end state of an unsuccessful item, by whether it failed and the result of its compensation.
    pub fn unsuccessful(failed: bool, compensations: Compensations) -> ItemState {
        match compensations {
            Compensations { failed: true, .. } => ItemState::CompensationFailed,
            // A remaining effect needs a person's attention, even if the item was only cancelled.
            Compensations { committed: true, .. } => ItemState::Failed,
            Compensations { any: true, .. } => ItemState::Compensated,
            Compensations { .. } if failed => ItemState::Failed,
            Compensations { .. } => ItemState::Cancelled,
        }
    }
}

impl Item {
    /// The next event of an item that failed or was cancelled, once all its steps have stopped.
    pub(super) fn unwind(&self, graph: &Graph, at: Millis) -> Event {
        let interrupted = self.stop == Some(StopReason::Interrupted);
        let next = self.next_to_compensate(graph);
        if interrupted && (next.is_some() || self.error.is_none()) {
            // The compensation continues when the run resumes.
            return self.settled(graph, ItemState::Cancelled, at);
        }
        if let Some(step) = next {
            return ItemEvent::CompensationBegan(step).of(self.id, at);
        }
        // Of a run that was stopped meanwhile, what runs always still runs.
        let restarts = self.run_stop().is_none_or(|why| why != StopReason::Interrupted && graph.has_always());
        if self.new_inputs.is_some() && restarts && !self.effects.any_failed() {
            return ItemEvent::Requeued.of(self.id, at);
        }
        let is_handled = self.handlers(graph).any(|id| matches!(self.state(id), StepState::Idle));
        if is_handled && self.error.is_some() && self.run_stop().is_none() {
            return ItemEvent::Failed.of(self.id, at);
        }
        self.settled(graph, self.end_state(graph), at)
    }

    /// The state of an unsuccessful item at its end.
    pub(super) fn end_state(&self, graph: &Graph) -> ItemState {
        let compensations = Compensations {
            any: !self.effects.compensated.is_empty(),
            failed: self.effects.any_failed(),
            committed: self.has_committed(graph),
        };
        ItemState::unsuccessful(self.error.is_some(), compensations)
    }

    pub(super) fn uncompensated(&self, graph: &Graph, state: ItemState) -> Vec<ItemError> {
        if state != ItemState::Cancelled {
            return self.effects.errors().cloned().chain(self.committed_effects(graph)).collect();
        }
        let open =
            self.effects.uncompensated.keys().filter(|(path, _)| graph.step(path.step).compensate.is_some());
        let left = |(path, _): &(StepPath, u32)| ItemError {
            step: Some(path.step),
            ..ItemError::without_step("interrupted before it was compensated".to_owned())
        };
        open.map(left).collect()
    }

    /// The effects that have a compensation but remain, because an irreversible step follows them.
    fn committed_effects(&self, graph: &Graph) -> Vec<ItemError> {
        let lasting = self.lasting(graph);
        let stays = self.effects.uncompensated.iter().filter_map(|((path, _), effect)| {
            let stays = effect.error.is_none() && graph.step(path.step).compensate.is_some();
            let pivot = lasting.iter().find(|lasting| lasting.commits(graph, path.step, &effect.rounds))?;
            stays.then_some((path, pivot.step))
        });
        let error = |(path, pivot): (&StepPath, StepId)| {
            let title = &graph.step(pivot).title;
            let message = format!("`{title}`, which is irreversible, was done or may have been");
            ItemError { step: Some(path.step), ..ItemError::without_step(message) }
        };
        stays.map(error).collect()
    }

    /// The steps that were compensated since the item last began.
    pub fn compensated_steps(&self) -> &BTreeSet<StepId> {
        &self.effects.compensated
    }

    /// Whether the item has failed; its state shows that only after the compensation.
    pub fn is_failing(&self) -> bool {
        self.stage == Stage::Compensating && self.error.is_some() && !self.effects.reopened
    }

    /// Whether a failed compensation is being retried.
    pub fn is_reopened(&self) -> bool {
        self.effects.reopened
    }

    /// Why the item ends without success.
    pub fn reason(&self) -> Option<ItemError> {
        let cancelled = || self.run_stop().map(|why| ItemError::without_step(why.to_string()));
        if self.new_inputs.is_some() && self.run_stop().is_none() {
            let why = "what they did before cannot be compensated, so they did not run again";
            return Some(ItemError::without_step(why.to_owned()));
        }
        self.error.clone().or_else(cancelled)
    }

    /// The stop of the run that ended the item, if one did.
    pub(super) fn run_stop(&self) -> Option<StopReason> {
        self.stop.filter(|why| !is_own(*why)).or(self.cancelled)
    }

    /// The step to compensate next: only after the steps that depend on it, and among independent ones the last that
    /// ran.
    fn next_to_compensate(&self, graph: &Graph) -> Option<StepId> {
        if self.effects.uncompensated.is_empty() {
            return None;
        }
        let open = self.open(graph, &self.lasting(graph));
        next_compensated(graph, &open).map(|at| open[at].step)
    }

    /// The effects to compensate; all elements of a visit are one.
    fn open(&self, graph: &Graph, lasting: &[Lasting]) -> Vec<OpenEffect> {
        let mut open: BTreeMap<(StepId, u32), OpenEffect> = BTreeMap::new();
        for ((path, visit), effect) in &self.effects.uncompensated {
            let step = path.step;
            let is_open = graph.step(step).compensate.is_some() && effect.error.is_none();
            if is_open && !lasting.iter().any(|lasting| lasting.commits(graph, step, &effect.rounds)) {
                let new = || OpenEffect { step, rounds: effect.rounds.clone(), number: 0 };
                let known = open.entry((step, *visit)).or_insert_with(new);
                known.number = effect.number.max(known.number);
            }
        }
        open.into_values().collect()
    }

    /// The steps that are compensated after all that is `ahead` of a failing item, in this order.
    pub(super) fn to_compensate_after(&self, graph: &Graph, ahead: &[(StepPath, Ahead)]) -> Vec<StepId> {
        // A running attempt may already have had its effect.
        let running: Vec<StepId> = self.running().map(|(path, _)| path.step).collect();
        let mut lasting = self.lasting(graph);
        let may_last = running.iter().copied().filter(|step| graph.step(*step).irreversible);
        lasting.extend(may_last.map(|step| Lasting::of(graph, step, self.rounds_of(graph, step))));
        let mut open = self.open(graph, &lasting);
        let later = ahead.iter().map(|(path, _)| path.step).chain(running);
        for step in later.filter(|step| graph.step(*step).compensate.is_some()).collect::<BTreeSet<_>>() {
            let rounds = self.rounds_of(graph, step);
            if !lasting.iter().any(|lasting| lasting.commits(graph, step, &rounds)) {
                open.retain(|known| (known.step, &known.rounds) != (step, &rounds));
                open.push(OpenEffect { step, rounds, number: u32::MAX });
            }
        }
        if let Some((step, visit)) = self.effects.compensating {
            let of = |(path, other): &(StepPath, u32)| (path.step, *other) == (step, visit);
            let rounds =
                self.effects.uncompensated.iter().find(|(key, _)| of(key)).map(|(_, known)| &known.rounds);
            open.retain(|known| known.step != step || rounds.is_none_or(|rounds| *rounds != known.rounds));
        }
        let mut order = Vec::new();
        while let Some(at) = next_compensated(graph, &open) {
            order.push(open.remove(at).step);
        }
        order
    }

    /// Steps that are never compensated: irreversible steps that have run, or may have, and all steps before them.
    fn committed(&self, graph: &Graph) -> BTreeSet<StepId> {
        let lasting = self.effects.uncompensated.keys().map(|(path, _)| path.step);
        graph.upstream(lasting.filter(|step| graph.step(*step).irreversible))
    }

    /// The irreversible effects of this item.
    fn lasting(&self, graph: &Graph) -> Vec<Lasting> {
        let all = self.effects.uncompensated.iter();
        let lasting = all.filter(|((path, _), _)| graph.step(path.step).irreversible);
        lasting.map(|((path, _), effect)| Lasting::of(graph, path.step, effect.rounds.clone())).collect()
    }

    /// Whether an effect that has a compensation remains permanently.
    fn has_committed(&self, graph: &Graph) -> bool {
        let lasting = self.lasting(graph);
        self.effects.uncompensated.iter().any(|((path, _), effect)| {
            let stays = |lasting: &Lasting| lasting.commits(graph, path.step, &effect.rounds);
            graph.step(path.step).compensate.is_some() && lasting.iter().any(stays)
        })
    }

    /// Begins to compensate a step: its latest effects.
    pub(super) fn compensate(&mut self, graph: &Graph, undoes: StepId) {
        let Some(by) = graph.step(undoes).compensate else { return };
        self.stage = Stage::Compensating;
        // The stop that ended the forward work does not stop its compensation.
        self.cancelled = self.run_stop();
        self.stop = None;
        let of_step = self.effects.uncompensated.iter().filter(|((path, _), _)| path.step == undoes);
        let open =
            of_step.filter(|(_, effect)| effect.error.is_none()).max_by_key(|(_, effect)| effect.number);
        let visit = open.map_or_else(|| self.visit_of(undoes), |((_, visit), _)| *visit);
        self.effects.compensating = Some((undoes, visit));
        if graph.step(by).is_conditional() {
            self.set(by, StepState::Deciding);
        } else {
            self.make_ready(graph, by);
        }
    }

    /// Makes a compensation ready for each element whose effect is to be compensated.
    pub(super) fn spread_compensation(&mut self, undoes: (StepId, u32), by: StepId) {
        let Some(done) = self.elements_then(undoes) else { return };
        let elements = Elements::of(done.list.clone());
        let (step, visit) = undoes;
        let is_open = |element| self.effects.is_open(StepPath::element(step, element), visit);
        let runs: Vec<bool> = (0..elements.count()).map(is_open).collect();
        self.elements.insert(by, elements);
        self.steps.spread(by, &runs);
    }

    /// The inputs of a compensation: the named inputs and outputs of the compensated step, with null for absent ones;
    /// all of them if it names none.
    pub(super) fn compensation_inputs(&self, graph: &Graph, path: StepPath) -> Values {
        let Some(undoes) = self.effects.compensating else { return Values::new() };
        let (by, done) = (graph.step(path.step), graph.step(undoes.0));
        let made = |id: ValueId| {
            let (element, elements) = (path.element?, self.elements_then(undoes)?);
            match done.each {
                Some(each) if each.element == id => Some(Arc::new(elements.value(element)?.clone())),
                _ => {
                    let outputs = elements.outputs.get(element as usize)?;
                    outputs.iter().find(|(known, _)| *known == id).map(|(_, value)| value.clone())
                }
            }
        };
        let whole = |id: ValueId| match path.element {
            // The list of all elements' outputs is not an output of a single element.
            Some(_) if done.outputs.iter().any(|output| output.value == id) => None,
            _ => self.value_then(graph, undoes, id),
        };
        let value = |id| (id, made(id).or_else(|| whole(id)).unwrap_or_else(|| Arc::new(Value::Null)));
        if by.has_signature() {
            return by.given().map(|input| value(input.value)).collect();
        }
        let outputs = done.outputs.iter().map(|output| output.value);
        // A step without a signature gets all inputs that are present.
        let given = done.takes(&graph.inputs).map(value);
        let given = given.filter(|(_, value)| done.has_signature() || !value.is_null());
        given.chain(outputs.map(value)).collect()
    }

    /// The execution that an attempt compensates.
    pub(super) fn compensates(&self, graph: &Graph, path: StepPath) -> Option<StepPath> {
        let of = self.effects.compensating.filter(|_| graph.step(path.step).kind == Kind::Compensation)?;
        Some(StepPath { step: of.0, ..path })
    }

    /// If anything was compensated, an item that runs again restarts, with a new visit of its steps; committed steps
    /// are not repeated. Returns the steps that are pending again.
    pub(super) fn revisit(&mut self, graph: &Graph) -> BTreeSet<StepId> {
        self.effects.compensating = None;
        self.effects.reopened = false;
        if std::mem::take(&mut self.effects.compensated).is_empty() {
            return BTreeSet::new();
        }
        let committed = self.committed(graph);
        let own = graph.order.iter().copied().filter(|id| self.is_own(graph, *id) && !committed.contains(id));
        let ahead: BTreeSet<StepId> = own.collect();
        for id in &ahead {
            self.clear(graph, *id);
        }
        let lasting = self.lasting(graph);
        let effects = &mut self.effects;
        effects.uncompensated.retain(|(path, _), effect| {
            lasting.iter().any(|lasting| lasting.commits(graph, path.step, &effect.rounds))
        });
        let left = &effects.uncompensated;
        let is_left =
            |(step, visit): &(StepId, u32)| left.keys().any(|(path, of)| (path.step, of) == (*step, visit));
        effects.elements.retain(|key, _| is_left(key));
        ahead
    }
}

/// An irreversible effect: neither it nor what was before it is compensated.
struct Lasting {
    step: StepId,
    rounds: Vec<u32>,
    /// The step and those before it in the same round.
    before: BTreeSet<StepId>,
}

impl Lasting {
    fn of(graph: &Graph, step: StepId, rounds: Vec<u32>) -> Lasting {
        Lasting { step, rounds, before: graph.upstream([step]) }
    }

    /// Whether an effect of a step in these rounds was before it.
    fn commits(&self, graph: &Graph, step: StepId, rounds: &[u32]) -> bool {
        match by_round(graph, (self.step, &self.rounds), (step, rounds)) {
            Ordering::Greater => true,
            Ordering::Equal => self.before.contains(&step),
            Ordering::Less => false,
        }
    }
}

impl ItemError {
    /// The failure of a step.
    pub(super) fn of(execution: &Execution) -> ItemError {
        ItemError {
            step: Some(execution.step),
            message: execution.error.clone().unwrap_or_default(),
            code: execution.code.clone(),
            attempts: execution.attempt.unwrap_or(0),
        }
    }

    /// A failure that no step caused.
    pub(super) fn without_step(message: String) -> ItemError {
        ItemError { step: None, message, code: None, attempts: 0 }
    }
}
