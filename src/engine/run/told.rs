//! What a run tells of itself: what it wants, what is ahead, and how it stands.

use super::super::item::Item;
use super::super::tally::{DeadLetter, Tally};
use super::super::{Ahead, Call};
use super::{Run, WINDOW};
use crate::event::{DrainReason, ItemError, ItemId, Settlement, StepPath, StopReason};
use crate::graph::{StateId, StepId};
use std::sync::Arc;

impl Run {
    /// Whether another item is welcome: places are free and nothing waits for them.
    pub fn wants_item(&self) -> bool {
        self.drained.is_none()
            && self.stopped.is_none()
            && self.items.len() < self.policy.limits.jobs.max(1).saturating_mul(WINDOW)
            && self.line.idle()
    }

    /// Whether all that is ahead depends on it if there are more items: none of them is welcome, but steps run once
    /// after the last.
    pub fn asks_for_the_end(&self) -> bool {
        let drained = self.drained.is_some() && self.stopped.is_none() && self.items.is_empty();
        drained && !self.once.exhausted && self.graph.has_run_steps()
    }

    /// The steps that run once after all items, where they never will, as not all items came to be done.
    pub fn not_run(&self) -> impl Iterator<Item = StepId> {
        let paused = self.stopped == Some(StopReason::Interrupted);
        let not_run = self.drained.is_some() && !paused && self.is_idle() && !self.once.began;
        self.graph.ids().filter(move |id| not_run && self.graph.step(*id).once)
    }

    /// How the steps that run once after all items ended, and why.
    pub fn run_steps(&self) -> Option<&Settlement> {
        self.once.end.as_ref()
    }

    /// The first items that were cancelled with effects that are not compensated, by step.
    pub fn abandoned(&self) -> &[DeadLetter] {
        &self.abandoned
    }

    /// An attempt that is under way, as it was asked for.
    pub fn call(&self, item: ItemId, step: StepPath) -> Option<Call> {
        self.items.get(&item)?.call(&self.graph, step)
    }

    /// The state that an item in flight is in, in the sense of the document's diagram.
    pub fn lifecycle(&self, item: ItemId) -> Option<StateId> {
        self.items.get(&item)?.lifecycle()
    }

    /// The key of an item in flight where it is not the turn of this step, so that nothing can have come of it.
    pub fn awaits(&self, item: ItemId, step: StepPath) -> Option<&Arc<str>> {
        self.items.get(&item).filter(|known| known.awaits(step)).map(Item::key)
    }

    /// What is ahead of the items in flight, in the order of their admission.
    pub fn ahead(&self) -> impl Iterator<Item = (ItemId, &Arc<str>, StepPath, Ahead)> {
        self.items.iter().flat_map(|(id, item)| {
            item.ahead(&self.graph).into_iter().map(|(path, ahead)| (*id, item.key(), path, ahead))
        })
    }

    /// Why an item in flight ends without success, where it does.
    pub fn reason(&self, item: ItemId) -> Option<ItemError> {
        self.items.get(&item)?.reason()
    }

    /// Attempts that have begun and have not ended.
    pub fn under_way(&self) -> usize {
        self.items.values().map(|item| item.running().count()).sum()
    }

    /// Holds what is counted, and the line of ready steps, against the states of all steps.
    #[cfg(test)]
    pub fn recount(&self) {
        self.items.values().for_each(Item::recount);
        let ready = self.items.iter().flat_map(|(id, item)| item.ready().into_iter().map(|step| (*id, step)));
        assert_eq!(self.line.ready(), ready.collect());
    }

    /// Whether no item is in flight.
    pub fn is_idle(&self) -> bool {
        self.items.is_empty()
    }

    pub fn tally(&self) -> Tally {
        self.tally
    }

    pub fn stopped(&self) -> Option<StopReason> {
        self.stopped
    }

    pub fn drained(&self) -> Option<DrainReason> {
        self.drained
    }

    /// The first items that failed for good.
    pub fn dead_letters(&self) -> &[DeadLetter] {
        &self.dead_letters
    }

    /// Keys of the items in flight.
    pub fn in_flight(&self) -> impl Iterator<Item = &Arc<str>> {
        self.items.iter().filter(|(id, _)| **id != ItemId::RUN).map(|(_, item)| item.key())
    }

    /// Whether the failures so far are within what the run tolerates.
    pub fn tolerated(&self) -> bool {
        self.tally.within(self.policy.tolerate)
    }
}
