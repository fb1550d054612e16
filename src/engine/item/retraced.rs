//! An item retraced from the rows of a trace, which know less than a journal: how its steps ended, and some values.
//! What they do not show stays open, and nothing is concluded from it.

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
    /// Of all other values it is only known whether a step made them.
    known: BTreeSet<ValueId>,
    /// Chains that known values decided; others are told by what followed on them.
    certain: BTreeSet<(StepId, u32)>,
}

/// Why a step does not run though nothing before it keeps it from running.
pub enum Refusal<'a> {
    /// A decision led elsewhere.
    Elsewhere(Taken),
    /// A decision skips it.
    Skipped,
    /// A condition of its own does not hold.
    Condition(&'a Guard),
}

impl<'a> Retraced<'a> {
    /// An item of which no step has run. `once` for the steps that run once after all items.
    pub fn new(graph: &'a Graph, once: bool) -> Self {
        let id = if once { ItemId::RUN } else { ItemId(0) };
        let mut item = Item::new(graph, id, Arc::from(""), &Values::new(), 0);
        item.values.fill(Some(Arc::new(Value::Null)));
        Retraced { graph, item, known: BTreeSet::new(), certain: BTreeSet::new() }
    }

    /// Takes note of a value. What is known first is right.
    pub fn learn(&mut self, id: ValueId, value: Value) {
        if self.known.insert(id) {
            self.item.values[id.index()] = Some(Arc::new(value));
        }
    }

    /// Whether a step is one of the item, and not of the run, or the other way round.
    pub fn is_own(&self, id: StepId) -> bool {
        self.item.is_own(self.graph, id)
    }

    /// Whether it is known what became of a step.
    pub fn has_ended(&self, id: StepId) -> bool {
        self.item.end(id).is_some()
    }

    /// What keeps a step from running now. All before it has ended, but for steps that should have rows.
    pub fn obstacle(&self, id: StepId) -> Option<Obstacle> {
        self.item.obstacle(self.graph, id)
    }

    /// Ends a step as the last of its executions did, each element of a list by itself. Where values do not decide a
    /// chain, `taken` says what followed on it.
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

    /// Ends a step that has no rows. Returns whether nothing kept it from running, where it cannot have run unnoticed.
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

    /// A step ran: where nothing shows which decision led to it, one did of which nothing shows where it led.
    pub fn assume_led(&mut self, id: StepId) {
        let guards = &self.graph.step(id).guards;
        let open = |guard: &&Taken| self.item.has_succeeded(guard.step) && self.decided(guard).is_none();
        if !guards.iter().any(|guard| self.item.has_taken(*guard))
            && let Some(Taken { step, chain, arm }) = guards.iter().find(open)
        {
            self.item.taken.push((*step, *chain, Some(*arm)));
        }
    }

    /// Why a step does not run. Only what is certain counts.
    pub fn refusal(&self, id: StepId) -> Option<Refusal<'a>> {
        let step = self.graph.step(id);
        if self.item.is_refused(self.graph, id) {
            if step.skips.iter().any(|skip| self.item.has_taken(*skip)) {
                return Some(Refusal::Skipped);
            }
            // Which of several decisions led to a step, and which elsewhere, other rows do not show.
            let certain = step.guards.len() == 1 || step.guards.iter().all(|guard| self.is_certain(guard));
            return step.guards.first().filter(|_| certain).map(|guard| Refusal::Elsewhere(*guard));
        }
        let refuses = |guard: &&Guard| self.holds(id, guard) == Some(false);
        step.when.iter().find(refuses).map(Refusal::Condition)
    }

    /// Whether all that decides on a step is known, and lets it run.
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

    /// Where the chain of an arm led.
    fn decided(&self, taken: &Taken) -> Option<Option<u32>> {
        let same =
            |(step, chain, _): &&(StepId, u32, Option<u32>)| (*step, *chain) == (taken.step, taken.chain);
        self.item.taken.iter().find(same).map(|(_, _, arm)| *arm)
    }

    /// The reason for which a chain would have made a step fail that succeeded otherwise.
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

    /// The states in which a step starts and the one that the item is in, where it does not start in that.
    pub fn misplaced(&self, id: StepId) -> Option<(&'a [StateId], StateId)> {
        self.item.misplaced(self.graph, id)
    }

    pub fn state(&self) -> Option<StateId> {
        self.item.lifecycle()
    }

    /// It is not known any more which state the item is in.
    pub fn forget_state(&mut self) {
        self.item.lifecycle = None;
    }

    /// The arm of a chain that known values lead to, none where they lead to none; none at all where they do not decide.
    fn arm(&self, id: StepId, chain: u32) -> Option<Option<u32>> {
        let arms = self.graph.step(id).chains.get(chain as usize)?;
        first_that_holds(arms, |guard| self.holds(id, guard).ok_or(())).ok()
    }

    /// Whether a condition of a step holds, where all its values are known.
    fn holds(&self, id: StepId, guard: &Guard) -> Option<bool> {
        let known = guard.names.iter().all(|(_, value)| self.known.contains(value));
        self.item.condition(self.graph, id, guard).filter(|_| known)?.ok()
    }
}
