//! The effects of an item's steps and their compensation: which effects are registered, in which order they are
//! compensated, and which remain. Steps are compensated one after the other, the elements of a list in parallel. Does
//! not know why the item failed.

use super::super::Ahead;
use super::state::{End, StepState};
use super::{Elements, Item, Stage, is_own};
use crate::event::{
    Answer, Event, Execution, ItemError, ItemEvent, ItemState, Millis, Outcome, Status, StepPath, StopReason,
    Values,
};
use crate::graph::{Graph, Kind, StepId, ValueId};
use crate::value::Value;
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

/// The effects of steps that have a compensation or are irreversible.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// By the execution that had the effect, or may have had it.
    pub uncompensated: BTreeMap<StepPath, StepEffect>,
    /// Counts the effects, to order them.
    count: u32,
    /// The step whose effects are being compensated.
    pub compensating: Option<StepId>,
    /// The steps that were compensated on this visit.
    pub compensated: BTreeSet<StepId>,
    /// A failed compensation is being retried.
    pub reopened: bool,
}

#[derive(Debug)]
pub(super) struct StepEffect {
    pub number: u32,
    /// Why its compensation failed.
    pub error: Option<ItemError>,
}

impl Effects {
    /// Registers the effect of an attempt; an attempt that certainly had none needs no compensation.
    pub fn register_answer(&mut self, graph: &Graph, path: StepPath, result: &Answer) {
        if result.as_ref().map_or_else(|failure| failure.outcome == Outcome::Unknown, |_| true) {
            self.register(graph, path);
        }
    }

    /// Registers an attempt that may have had an effect.
    pub fn register(&mut self, graph: &Graph, path: StepPath) {
        if Effects::matters(graph, path.step) {
            self.count += 1;
            self.uncompensated.insert(path, StepEffect { number: self.count, error: None });
        }
    }

    /// Whether the effects of a step need to be registered.
    pub fn matters(graph: &Graph, step: StepId) -> bool {
        graph.step(step).compensate.is_some() || graph.step(step).irreversible
    }

    pub fn is_open(&self, path: StepPath) -> bool {
        self.uncompensated.get(&path).is_some_and(|effect| effect.error.is_none())
    }

    /// Why compensations failed.
    pub fn errors(&self) -> impl Iterator<Item = &ItemError> {
        self.uncompensated.values().filter_map(|effect| effect.error.as_ref())
    }

    pub fn any_failed(&self) -> bool {
        self.errors().next().is_some()
    }

    /// Marks failed compensations for retry. Returns whether there were any.
    pub fn reopen(&mut self) -> bool {
        let failed = self.any_failed();
        self.reopened |= failed;
        self.uncompensated.values_mut().for_each(|effect| effect.error = None);
        failed
    }

    /// Marks failed compensations as resolved by hand.
    pub fn resolve(&mut self) {
        let failed = self.uncompensated.iter().filter(|(_, effect)| effect.error.is_some());
        self.compensated.extend(failed.map(|(path, _)| path.step));
        self.uncompensated.retain(|_, effect| effect.error.is_none());
    }

    /// Applies the end of one execution of a compensation; without an element, the end of all that remains of its
    /// step.
    pub fn settle(&mut self, execution: &Execution) {
        let Some(step) = self.compensating else { return };
        let one = execution.element.map(|element| StepPath::element(step, element));
        let concerned = |path: StepPath| path.step == step && one.is_none_or(|one| one == path);
        match execution.status {
            Status::Compensated | Status::Skipped => {
                self.compensated.extend((execution.status == Status::Compensated).then_some(step));
                self.uncompensated.retain(|path, _| !concerned(*path));
            }
            Status::CompensationFailed => {
                let open = self.uncompensated.iter_mut().filter(|(path, _)| concerned(**path));
                for (_, effect) in open {
                    effect.error.get_or_insert_with(|| ItemError::of(execution));
                }
            }
            // It stopped with the run and is still to be compensated.
            Status::Cancelled | Status::Success | Status::Failed | Status::Timeout => {}
        }
        if one.is_none() {
            self.compensating = None;
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
        if self.new_inputs.is_some() && self.run_stop().is_none() && !self.effects.any_failed() {
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
            self.effects.uncompensated.keys().filter(|path| graph.step(path.step).compensate.is_some());
        let left = |path: &StepPath| ItemError {
            step: Some(path.step),
            ..ItemError::without_step("interrupted before it was compensated".to_owned())
        };
        open.map(left).collect()
    }

    /// The effects that have a compensation but remain, because an irreversible step follows them.
    fn committed_effects(&self, graph: &Graph) -> Vec<ItemError> {
        let committed = self.committed(graph);
        let stays = self.effects.uncompensated.iter().filter(|(path, effect)| {
            effect.error.is_none()
                && committed.contains(&path.step)
                && graph.step(path.step).compensate.is_some()
        });
        let error = |(path, _): (&StepPath, &StepEffect)| {
            let after =
                |id: &StepId| graph.step(*id).irreversible && graph.upstream([*id]).contains(&path.step);
            let pivot = self.effects.uncompensated.keys().map(|path| path.step).find(after);
            let title = pivot.map_or("", |id| graph.step(id).title.as_str());
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
        next_compensated(graph, &self.open(graph, &self.committed(graph)))
    }

    /// The steps to compensate, with the number of their last effect.
    fn open(&self, graph: &Graph, committed: &BTreeSet<StepId>) -> BTreeMap<StepId, u32> {
        let mut open: BTreeMap<StepId, u32> = BTreeMap::new();
        for (path, effect) in &self.effects.uncompensated {
            let is_open = graph.step(path.step).compensate.is_some() && effect.error.is_none();
            if is_open && !committed.contains(&path.step) {
                let last = open.entry(path.step).or_default();
                *last = effect.number.max(*last);
            }
        }
        open
    }

    /// The steps that are compensated after all that is `ahead` of a failing item, in this order.
    pub(super) fn to_compensate_after(&self, graph: &Graph, ahead: &[(StepPath, Ahead)]) -> Vec<StepId> {
        // A running attempt may already have had its effect.
        let running: Vec<StepId> = self.running().map(|(path, _)| path.step).collect();
        let lasting = running.iter().copied().filter(|step| graph.step(*step).irreversible);
        let mut committed = self.committed(graph);
        committed.extend(graph.upstream(lasting));
        let mut open = self.open(graph, &committed);
        let later = ahead.iter().map(|(path, _)| path.step).chain(running);
        let later = later.filter(|step| graph.step(*step).compensate.is_some() && !committed.contains(step));
        open.extend(later.map(|step| (step, u32::MAX)));
        if let Some(compensating) = self.effects.compensating {
            open.remove(&compensating);
        }
        let mut order = Vec::new();
        while let Some(step) = next_compensated(graph, &open) {
            open.remove(&step);
            order.push(step);
        }
        order
    }

    /// Steps that are never compensated: irreversible steps that have run, or may have, and all steps before them.
    fn committed(&self, graph: &Graph) -> BTreeSet<StepId> {
        let lasting = self.effects.uncompensated.keys().map(|path| path.step);
        graph.upstream(lasting.filter(|step| graph.step(*step).irreversible))
    }

    /// Whether an effect that has a compensation remains permanently.
    fn has_committed(&self, graph: &Graph) -> bool {
        let committed = self.committed(graph);
        let could =
            |path: &StepPath| graph.step(path.step).compensate.is_some() && committed.contains(&path.step);
        self.effects.uncompensated.keys().any(could)
    }

    /// Begins to compensate a step.
    pub(super) fn compensate(&mut self, graph: &Graph, undoes: StepId) {
        let Some(by) = graph.step(undoes).compensate else { return };
        self.stage = Stage::Compensating;
        // The stop that ended the forward work does not stop its compensation.
        self.cancelled = self.run_stop();
        self.stop = None;
        self.effects.compensating = Some(undoes);
        if graph.step(by).is_conditional() {
            self.set(by, StepState::Deciding);
        } else {
            self.make_ready(graph, by);
        }
    }

    /// Makes a compensation ready for each element whose effect is to be compensated.
    pub(super) fn spread_compensation(&mut self, undoes: StepId, by: StepId) {
        let Some(done) = self.elements.get(&undoes) else { return };
        let elements = Elements::of(done.list.clone());
        let is_open = |element| self.effects.is_open(StepPath::element(undoes, element));
        let runs: Vec<bool> = (0..elements.count()).map(is_open).collect();
        self.elements.insert(by, elements);
        self.steps.spread(by, &runs);
    }

    /// The inputs of a compensation: the named inputs and outputs of the compensated step, with null for absent ones;
    /// all of them if it names none.
    pub(super) fn compensation_inputs(&self, graph: &Graph, path: StepPath) -> Values {
        let Some(undoes) = self.effects.compensating else { return Values::new() };
        let (by, done) = (graph.step(path.step), graph.step(undoes));
        let made = |id: ValueId| {
            let (element, elements) = (path.element?, self.elements.get(&undoes)?);
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
            _ => self.value(id).cloned(),
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
        let step = self.effects.compensating.filter(|_| graph.step(path.step).kind == Kind::Compensation)?;
        Some(StepPath { step, ..path })
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
            *self.visits.entry(*id).or_default() += 1;
            // Another step with a lasting effect may have made the value instead.
            let idle =
                matches!(self.end(*id), Some(End::Skipped | End::Absent | End::ItemEnded | End::Blocked));
            for output in graph.step(*id).outputs.iter().filter(|_| !idle) {
                self.values[output.value.index()] = None;
            }
            self.elements.remove(id);
            self.steps.forget_elements(*id);
        }
        self.effects.uncompensated.retain(|path, _| committed.contains(&path.step));
        ahead
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

/// The step to compensate next: only after the steps that depend on it, and among independent ones the one with the
/// latest effect. Effects are ordered by their numbers.
pub fn next_compensated(graph: &Graph, open: &BTreeMap<StepId, u32>) -> Option<StepId> {
    let mut latest: Vec<(u32, StepId)> = open.iter().map(|(step, number)| (*number, *step)).collect();
    latest.sort_unstable();
    let free = |step: &StepId| !graph.leads_to(*step, &|other| open.contains_key(&other));
    latest.into_iter().rev().map(|(_, step)| step).find(free)
}
