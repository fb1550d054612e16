//! An item reconstructed from the rows of a trace, which contain less than a journal: how its steps ended, and some
//! values. Everything else is unknown, and nothing is concluded from it.

use super::Item;
use super::decide::{Obstacle, first_that_holds};
use super::state::{End, StepState};
use crate::event::{ItemId, Status, Values};
use crate::graph::{Graph, Guard, StateId, StepId, Taken, Target, ValueId};
use crate::value::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// One item. Its steps end in the order of the graph.
pub struct Retraced<'a> {
    graph: &'a Graph,
    item: Item,
    /// For all other values only their presence is known.
    known: BTreeSet<ValueId>,
    /// Chains that known values decided; others are inferred from the rows after them.
    certain: BTreeSet<(StepId, u32)>,
}

/// Why a step does not run although it has no obstacle.
pub enum Refusal<'a> {
    /// A decision led elsewhere.
    Elsewhere(Taken),
    /// A decision skips it.
    Skipped,
    /// A condition of its own does not hold.
    Condition(&'a Guard),
}

impl<'a> Retraced<'a> {
    /// An item of which no step has run. `once` is for the steps that run once after all items.
    pub fn new(graph: &'a Graph, once: bool) -> Self {
        let id = if once { ItemId::RUN } else { ItemId(0) };
        let mut item = Item::new(graph, id, Arc::from(""), &Values::new(), 0);
        item.values.fill(Some(Arc::new(Value::Null)));
        Retraced { graph, item, known: BTreeSet::new(), certain: BTreeSet::new() }
    }

    /// Stores a value, unless it is known already.
    pub fn learn(&mut self, id: ValueId, value: Value) {
        if self.known.insert(id) {
            self.item.values[id.index()] = Some(Arc::new(value));
        }
    }

    /// Whether a step belongs to this item, or to the run if this is the run.
    pub fn is_own(&self, id: StepId) -> bool {
        self.item.is_own(self.graph, id)
    }

    /// Whether the end of a step is known.
    pub fn has_ended(&self, id: StepId) -> bool {
        self.item.end(id).is_some()
    }

    /// The obstacle to running a step now. All steps before it must have ended, except steps whose rows are missing.
    pub fn obstacle(&self, id: StepId) -> Option<Obstacle> {
        self.item.obstacle(self.graph, id)
    }

    /// Ends a step with the end of its last execution, for each element of a list. `taken` gives the arm that later
    /// rows show, for chains that values do not decide.
    pub fn end(
        &mut self,
        id: StepId,
        executions: impl Iterator<Item = Status>,
        taken: &dyn Fn(u32) -> Option<u32>,
    ) {
        let step = self.graph.step(id);
        let end = executions.map(|status| End::of(step, status)).max().unwrap_or(End::Absent);
        if end == End::Succeeded {
            for chain in 0..step.chains.len() as u32 {
                let arm = self.arm(id, chain);
                self.certain.extend(arm.map(|_| (id, chain)));
                let arm = arm.or_else(|| taken(chain).map(Some));
                self.item.taken.extend(arm.map(|arm| (id, chain, arm)));
            }
            self.item.advance_state(self.graph, id);
        }
        self.item.set(id, StepState::Ended(end));
    }

    /// Ends a step without rows. Returns whether it had no obstacle, for a step that must have left a row.
    pub fn end_unrecorded(&mut self, id: StepId, may_be_absent: bool, halted: bool) -> bool {
        let step = self.graph.step(id);
        // The list may have been empty.
        if step.each.is_some() {
            self.assume_led(id);
        }
        let end = match self.obstacle(id) {
            Some(obstacle) => Some(obstacle.end()),
            None if step.each.is_some() => Some(End::Succeeded),
            None if may_be_absent => Some(End::Absent),
            None if halted => Some(End::Blocked),
            None => None,
        };
        if step.state.is_some() && end.is_none_or(|end| end == End::Succeeded) {
            self.forget_state();
        }
        if let Some(end) = end {
            self.item.set(id, StepState::Ended(end));
        }
        end.is_none()
    }

    /// Assumes, for a step that ran, that a decision led to it whose branch is otherwise unknown.
    pub fn assume_led(&mut self, id: StepId) {
        let guards = &self.graph.step(id).guards;
        let open = |guard: &&Taken| self.item.has_succeeded(guard.step) && self.decided(guard).is_none();
        if !guards.iter().any(|guard| self.item.has_taken(*guard))
            && let Some(Taken { step, chain, arm }) = guards.iter().find(open)
        {
            self.item.taken.push((*step, *chain, Some(*arm)));
        }
    }

    /// Why a step does not run, counting only what is certain.
    pub fn refusal(&self, id: StepId) -> Option<Refusal<'a>> {
        let step = self.graph.step(id);
        if self.item.is_refused(self.graph, id) {
            if step.skips.iter().any(|skip| self.item.has_taken(*skip)) {
                return Some(Refusal::Skipped);
            }
            // The rows do not show which of several decisions led to a step.
            let certain = step.guards.len() == 1 || step.guards.iter().all(|guard| self.is_certain(guard));
            return step.guards.first().filter(|_| certain).map(|guard| Refusal::Elsewhere(*guard));
        }
        let refuses = |guard: &&Guard| self.holds(id, guard) == Some(false);
        step.when.iter().find(refuses).map(Refusal::Condition)
    }

    /// Whether everything that decides about a step is known, and lets it run.
    pub fn certainly_runs(&self, id: StepId) -> bool {
        let step = self.graph.step(id);
        let led = step.guards.is_empty()
            || step.guards.iter().any(|guard| self.item.has_taken(*guard) && self.is_certain(guard));
        let passed = step.skips.iter().all(|skip| self.is_certain(skip));
        led && passed
            && self.refusal(id).is_none()
            && step.when.iter().all(|guard| self.holds(id, guard) == Some(true))
    }

    /// Whether known values decided the chain of an arm.
    pub fn is_certain(&self, taken: &Taken) -> bool {
        self.certain.contains(&(taken.step, taken.chain))
    }

    /// The arm that was taken instead of this one.
    pub fn instead(&self, taken: Taken) -> Option<Taken> {
        Some(Taken { arm: self.decided(&taken)??, ..taken })
    }

    /// The arm that a chain took.
    fn decided(&self, taken: &Taken) -> Option<Option<u32>> {
        let same =
            |(step, chain, _): &&(StepId, u32, Option<u32>)| (*step, *chain) == (taken.step, taken.chain);
        self.item.taken.iter().find(same).map(|(_, _, arm)| *arm)
    }

    /// The reason for which a chain would have failed a step that succeeded otherwise.
    pub fn fails(&self, id: StepId) -> Option<&'a str> {
        let chains = &self.graph.step(id).chains;
        chains.iter().zip(0..).find_map(|(arms, chain)| {
            match &arms.get(self.arm(id, chain)?? as usize)?.target {
                Target::Fail(reason) => Some(reason.as_str()),
                Target::Step(_)
                | Target::Group(_)
                | Target::Skip(_)
                | Target::SkipToGroup(_)
                | Target::Elsewhere
                | Target::End => None,
            }
        })
    }

    /// The states in which a step starts, and the item's state if it is not one of them.
    pub fn misplaced(&self, id: StepId) -> Option<(&'a [StateId], StateId)> {
        self.item.misplaced(self.graph, id)
    }

    pub fn state(&self) -> Option<StateId> {
        self.item.lifecycle()
    }

    /// Marks the item's state as unknown.
    pub fn forget_state(&mut self) {
        self.item.lifecycle = None;
    }

    /// The arm that known values choose, `Some(None)` if they choose none; `None` if values are unknown.
    fn arm(&self, id: StepId, chain: u32) -> Option<Option<u32>> {
        let arms = self.graph.step(id).chains.get(chain as usize)?;
        first_that_holds(arms, |guard| self.holds(id, guard).ok_or(())).ok()
    }

    /// Whether a condition of a step holds; `None` if values are unknown.
    fn holds(&self, id: StepId, guard: &Guard) -> Option<bool> {
        let known = guard.names.iter().all(|(_, value)| self.known.contains(value));
        self.item.condition(self.graph, id, guard).filter(|_| known)?.ok()
    }
}
