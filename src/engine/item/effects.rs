//! The effects of an item's steps that may have to be compensated, in all rounds of loops, and their order. Does not know
//! why the item failed.

use super::{Elements, Item};
use crate::event::{Answer, Execution, ItemError, Outcome, Status, StepPath};
use crate::graph::{Graph, Repeat, StepId, ValueId};
use crate::value::Value;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The effects of steps that have a compensation or are irreversible.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// By the execution that had the effect, or may have had it, and its visit.
    pub uncompensated: BTreeMap<(StepPath, u32), StepEffect>,
    /// The lists of steps that run for each element of one, of earlier rounds: by step and visit.
    pub elements: BTreeMap<(StepId, u32), Elements>,
    /// Counts the effects, to order them.
    count: u32,
    /// The step whose effects are being compensated, and their visit.
    pub compensating: Option<(StepId, u32)>,
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
    /// Its round in each loop around its step.
    pub rounds: Vec<u32>,
    /// The values of its round, once another has begun.
    pub kept: BTreeMap<ValueId, Option<Arc<Value>>>,
}

impl Effects {
    /// Registers an attempt that may have had an effect.
    fn register(&mut self, path: StepPath, visit: u32, rounds: Vec<u32>) {
        self.count += 1;
        let effect = StepEffect { number: self.count, error: None, rounds, kept: BTreeMap::new() };
        self.uncompensated.insert((path, visit), effect);
    }

    /// Whether the effects of a step need to be registered.
    pub fn matters(graph: &Graph, step: StepId) -> bool {
        graph.step(step).compensate.is_some() || graph.step(step).irreversible
    }

    pub fn is_open(&self, path: StepPath, visit: u32) -> bool {
        self.uncompensated.get(&(path, visit)).is_some_and(|effect| effect.error.is_none())
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
        self.compensated.extend(failed.map(|((path, _), _)| path.step));
        self.uncompensated.retain(|_, effect| effect.error.is_none());
    }

    /// Applies the end of one execution of a compensation; without an element, the end of all that remains of its
    /// step.
    pub fn settle(&mut self, execution: &Execution) {
        let Some((step, visit)) = self.compensating else { return };
        let one = execution.element.map(|element| StepPath::element(step, element));
        let concerned = |(path, of): (StepPath, u32)| {
            (path.step, of) == (step, visit) && one.is_none_or(|one| one == path)
        };
        match execution.status {
            Status::Compensated | Status::Skipped => {
                self.compensated.extend((execution.status == Status::Compensated).then_some(step));
                self.uncompensated.retain(|key, _| !concerned(*key));
            }
            Status::CompensationFailed => {
                let open = self.uncompensated.iter_mut().filter(|(key, _)| concerned(**key));
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
    /// Registers the effect of an attempt; an attempt that certainly had none needs no compensation.
    pub(super) fn register_answer(&mut self, graph: &Graph, path: StepPath, result: &Answer) {
        if result.as_ref().map_or_else(|failure| failure.outcome == Outcome::Unknown, |_| true) {
            self.register(graph, path);
        }
    }

    /// Registers an attempt that may have had an effect.
    pub(super) fn register(&mut self, graph: &Graph, path: StepPath) {
        if Effects::matters(graph, path.step) {
            self.effects.register(path, self.visit_of(path.step), self.rounds_of(graph, path.step));
        }
    }

    /// Keeps the values of a round for the compensation of its effects.
    pub(super) fn keep_round(&mut self, graph: &Graph, repeat: &Repeat) {
        let values = &self.values;
        for ((path, visit), effect) in &mut self.effects.uncompensated {
            let step = path.step;
            if !repeat.contains(step) {
                continue;
            }
            let makes = |value: ValueId| graph.step(step).outputs.iter().any(|output| output.value == value);
            for input in graph.step(step).inputs.iter().filter(|input| !input.makers.is_empty()) {
                if let Some(of) = input.feedback.filter(|_| !makes(input.value)) {
                    let value = self.rounds.feedback(of, input.value).cloned();
                    effect.kept.entry(input.value).or_insert(value);
                }
            }
            for value in &repeat.makes {
                let made = values.get(value.index()).cloned().flatten();
                effect.kept.entry(*value).or_insert(made);
            }
            let is_now = self.visits.get(&step).copied().unwrap_or(0) == *visit;
            if is_now
                && path.element.is_some()
                && let Some(elements) = self.elements.remove(&step)
            {
                self.effects.elements.insert((step, *visit), elements);
            }
        }
    }

    /// The round of an effect that is compensated.
    pub(super) fn rounds_then(&self, graph: &Graph, (step, visit): (StepId, u32)) -> Vec<u32> {
        let mut all = self.effects.uncompensated.iter();
        let known = all.find(|((path, of), _)| (path.step, *of) == (step, visit));
        known.map_or_else(|| self.rounds_of(graph, step), |(_, effect)| effect.rounds.clone())
    }

    /// A value as it was in the round that is compensated.
    pub(super) fn value_then(
        &self,
        graph: &Graph,
        (step, visit): (StepId, u32),
        id: ValueId,
    ) -> Option<Arc<Value>> {
        let mut all = self.effects.uncompensated.iter();
        let effect = all.find(|((path, of), _)| (path.step, *of) == (step, visit)).map(|(_, effect)| effect);
        if let Some(kept) = effect.and_then(|effect| effect.kept.get(&id)) {
            return kept.clone();
        }
        let done = graph.step(step);
        let own = done.outputs.iter().any(|output| output.value == id);
        let input = done.inputs.iter().find(|input| input.value == id && input.feedback.is_some() && !own);
        match input {
            Some(input) => self.taken_value(input).cloned(),
            None => self.value(id).cloned(),
        }
    }

    /// The elements of a step as they were in the round that is compensated.
    pub(super) fn elements_then(&self, undoes: (StepId, u32)) -> Option<&Elements> {
        self.effects.elements.get(&undoes).or_else(|| self.elements.get(&undoes.0))
    }
}

/// An effect to compensate: of a step, in a round of each loop around it. Later effects have higher numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenEffect {
    pub step: StepId,
    pub rounds: Vec<u32>,
    pub number: u32,
}

/// Compares the rounds of two steps in the loops that both are in.
pub(super) fn by_round(graph: &Graph, one: (StepId, &[u32]), other: (StepId, &[u32])) -> Ordering {
    let loops = graph.step(one.0).repeats.iter().zip(&graph.step(other.0).repeats);
    let shared = loops.take_while(|(one, other)| one == other).count();
    let rounds = one.1.iter().zip(other.1).take(shared);
    rounds.map(|(one, other)| one.cmp(other)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// The effect to compensate next: only after those of later rounds and of the steps that depend on it, and among
/// independent ones the latest.
pub fn next_compensated(graph: &Graph, open: &[OpenEffect]) -> Option<usize> {
    let mut by_step: BTreeMap<StepId, Vec<&OpenEffect>> = BTreeMap::new();
    open.iter().for_each(|effect| by_step.entry(effect.step).or_default().push(effect));
    let order = |one: &OpenEffect, other: &OpenEffect| {
        by_round(graph, (one.step, &one.rounds), (other.step, &other.rounds))
    };
    let free = |effect: &OpenEffect| {
        let later = !effect.rounds.is_empty() && open.iter().any(|other| order(other, effect).is_gt());
        let depends = |other: StepId| {
            by_step.get(&other).is_some_and(|all| all.iter().any(|other| order(other, effect).is_ge()))
        };
        !later && !graph.leads_to(effect.step, &depends)
    };
    let mut latest: Vec<usize> = (0..open.len()).collect();
    latest.sort_by_key(|at| std::cmp::Reverse((open[*at].number, open[*at].step)));
    latest.into_iter().find(|at| free(&open[*at]))
}
