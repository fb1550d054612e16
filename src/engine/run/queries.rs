//! Queries of a run: whether it admits items, its pending work, and its state.

use super::super::item::Item;
use super::super::tally::{DeadLetter, Tally};
use super::super::unavailable::SecretCheck;
use super::super::{Ahead, Ask, Call, Effect};
use super::{Run, WINDOW};
use crate::event::{
    Arrival, Decision, DrainReason, GateId, ItemError, ItemId, Settlement, StepPath, StopReason, TypePattern,
    UnixMillis, WaitsFor,
};
use crate::graph::{Graph, StateId, StepId, ValueId};
use crate::value::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Run {
    /// Whether another item may be admitted: places are free and no step waits for them.
    pub fn wants_item(&self) -> bool {
        self.drained.is_none()
            && self.stopped.is_none()
            && self.moving() < self.policy.limits.jobs.max(1).saturating_mul(WINDOW)
            && self.line.idle()
    }

    /// Items in flight that neither people nor events move on: others may be admitted beside those that wait for these.
    fn moving(&self) -> usize {
        self.items.len().saturating_sub(usize::try_from(self.resting).unwrap_or(usize::MAX))
    }

    /// Whether nothing can happen before a person has decided or an event has come, unless more items come.
    pub fn rests(&self) -> bool {
        !self.items.is_empty() && self.moving() == 0
    }

    /// A value of a settled item, if it is one that the graph gathers.
    pub fn made_by(&self, item: ItemId, value: ValueId) -> Option<Arc<Value>> {
        self.once.made(item, value)
    }

    /// A value of an item in flight.
    pub fn value(&self, item: ItemId, value: ValueId) -> Option<&Arc<Value>> {
        self.items.get(&item)?.value(value)
    }

    /// The items that wait at gates, with their keys, and since when.
    pub fn waiting(&self) -> impl Iterator<Item = (ItemId, &Arc<str>, GateId, UnixMillis)> {
        self.items
            .iter()
            .flat_map(|(id, item)| item.waiting().map(|(gate, since)| (*id, item.key(), gate, since)))
    }

    /// The steps that wait for events, with the keys of their items, the subjects, and since when.
    pub fn awaiting(&self) -> impl Iterator<Item = (ItemId, &Arc<str>, StepId, &Arc<str>, UnixMillis)> {
        self.items.iter().flat_map(|(id, item)| {
            item.awaiting().map(|(step, subject, since)| (*id, item.key(), step, subject, since))
        })
    }

    /// Whether another event from outside can be held.
    pub fn has_room(&self) -> bool {
        self.bounds.arrivals.has_room()
    }

    /// Whether an event with this id came before.
    pub fn knows_event(&self, id: &str) -> bool {
        self.bounds.arrivals.knows(id)
    }

    /// How many events the run has got, from outside and from its own steps: the number of the next one.
    pub fn events_so_far(&self) -> u64 {
        self.bounds.arrivals.count()
    }

    /// An event that steps may still take, by its number.
    pub fn event(&self, number: u64) -> Option<&Arc<Arrival>> {
        self.bounds.arrivals.get(number)
    }

    /// The events of this type and subject that steps may still take, also in documents, in their order.
    pub fn events_for(&self, kind: &str, subject: &str) -> impl Iterator<Item = &Arc<Arrival>> + use<'_> {
        self.bounds.arrivals.of(kind, subject, 0).map(|(_, arrival)| arrival)
    }

    /// Whether a step of an item in flight takes an event that has not come, though its type and subject are right.
    pub fn takes(&self, item: ItemId, step: StepId, arrival: &Arrival) -> bool {
        !self.bounds.arrivals.is_used(step, &arrival.id) && self.refusal_of(item, step, arrival).is_none()
    }

    /// Why a step of an item in flight does not take an event, though its type and subject are right.
    pub fn refusal_of(&self, item: ItemId, step: StepId, arrival: &Arrival) -> Option<String> {
        self.items.get(&item)?.refusal_of(&self.graph, step, arrival)
    }

    /// How many items wait for a person and for nothing else, but perhaps for an event.
    pub fn waiting_items(&self) -> u64 {
        self.resting_items(Item::waits_for_people)
    }

    /// Who moves on a run that rests.
    pub fn waits_for(&self) -> WaitsFor {
        let people = self.items.values().any(|item| item.rests() && item.waits_for_people());
        if people { WaitsFor::People } else { WaitsFor::Events }
    }

    /// How many items wait for an event and for nothing else.
    pub fn awaiting_items(&self) -> u64 {
        self.resting_items(|item| !item.waits_for_people())
    }

    fn resting_items(&self, which: impl Fn(&Item) -> bool) -> u64 {
        let items = self.items.iter().filter(|(id, item)| **id != ItemId::RUN && item.rests());
        items.filter(|(_, item)| which(item)).count() as u64
    }

    /// What was decided about all items that reach a gate.
    pub fn standing(&self, gate: GateId) -> Option<&Decision> {
        self.bounds.standing.get(&gate)
    }

    /// The decision that is stored for an item that waits at a gate: it counts once the run continues.
    pub fn stored_decision(&self, item: ItemId, gate: GateId) -> Option<&Decision> {
        self.items.get(&item)?.standing(&self.graph, &self.bounds, gate)
    }

    /// The number of the event that has come for a step that waits: it takes it once the run continues.
    pub fn stored_event(&self, item: ItemId, step: StepId) -> Option<u64> {
        self.items.get(&item)?.find(&self.graph, &self.bounds.arrivals, step)
    }

    /// The question and the values of a gate at which an item waits.
    pub fn ask(&self, item: ItemId, gate: GateId) -> Option<Ask> {
        let effects = self.items.get(&item)?.at_gate(&self.graph, &self.bounds, gate, true);
        effects.into_iter().find_map(|effect| match effect {
            Effect::Ask(ask) => Some(ask),
            Effect::Call(_)
            | Effect::Stop { .. }
            | Effect::Timer { .. }
            | Effect::Publish { .. }
            | Effect::Deliver(_) => None,
        })
    }

    /// The channels to which events of steps are published, with the types that each takes; to be set first.
    pub fn set_sinks(&mut self, sinks: Vec<(Arc<str>, Vec<TypePattern>)>) {
        self.bounds.arrivals.sinks = sinks;
    }

    /// The events, by their ids, that a step took on earlier visits in other runs of the document: it takes others.
    pub fn use_up(&mut self, step: StepId, ids: &BTreeSet<String>) {
        ids.iter().for_each(|id| self.bounds.arrivals.use_up(step, id));
    }

    /// The events of steps that channels did not accept: channel, id, and the reason.
    pub fn not_published(&self) -> impl Iterator<Item = (&Arc<str>, &str, &str)> {
        self.bounds.arrivals.refused()
    }

    /// The run's name, which the ids of its own events begin with.
    pub fn set_name(&mut self, run: &str) {
        self.bounds.arrivals.run = run.into();
    }

    /// How to find secrets in the texts of an item: they are not stored.
    pub fn set_secret_check(&mut self, check: impl Fn(ItemId, &str) -> bool + Send + Sync + 'static) {
        self.bounds.secrets = SecretCheck::of(check);
    }

    /// The run's time was zero at this time of the clock, without its pauses.
    pub fn set_clock(&mut self, zero: UnixMillis) {
        self.bounds.clock = zero;
    }

    /// Whether the run cannot continue without knowing if there are more items: none may be admitted, but steps run
    /// once after the last.
    pub fn asks_for_the_end(&self) -> bool {
        let drained = self.drained.is_some() && self.stopped.is_none() && self.items.is_empty();
        drained && !self.once.exhausted && self.graph.has_run_steps()
    }

    /// The steps that run once after all items, if they never will because not all items ended.
    pub fn not_run(&self) -> impl Iterator<Item = StepId> {
        let paused = self.stopped == Some(StopReason::Interrupted);
        let ended = self.drained.is_some() && !paused && self.is_idle();
        let only_always = self.once.last.as_ref().is_some_and(Item::is_only_always);
        self.graph.ids().filter(move |id| {
            let step = self.graph.step(*id);
            ended && step.once && (!self.once.began || only_always && !step.always)
        })
    }

    /// How the steps that run once after all items ended, and why.
    pub fn run_steps(&self) -> Option<&Settlement> {
        self.once.end.as_ref()
    }

    /// The first items that were cancelled with uncompensated effects, by step.
    pub fn abandoned(&self) -> &[DeadLetter] {
        &self.abandoned
    }

    /// The call of a running attempt.
    pub fn call(&self, item: ItemId, step: StepPath) -> Option<Call> {
        self.items.get(&item)?.call(&self.graph, step)
    }

    /// The round of a step in the loops around it, as its rows have it.
    pub fn round(&self, item: ItemId, step: StepId) -> Option<Value> {
        self.items.get(&item)?.round_of(&self.graph, step)
    }

    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The key of an item in flight.
    pub fn key(&self, item: ItemId) -> Option<&Arc<str>> {
        self.items.get(&item).map(Item::key)
    }

    /// The state of an item in flight in the document's diagram.
    pub fn lifecycle(&self, item: ItemId) -> Option<StateId> {
        self.items.get(&item)?.lifecycle()
    }

    /// The key of an item in flight if this step has not started there, so that it cannot have had an effect.
    pub fn awaits(&self, item: ItemId, step: StepPath) -> Option<&Arc<str>> {
        self.items.get(&item).filter(|known| known.awaits(step)).map(Item::key)
    }

    /// The pending work of the items in flight, in the order of their admission.
    pub fn ahead(&self) -> impl Iterator<Item = (ItemId, &Arc<str>, StepPath, Ahead)> {
        self.items.iter().flat_map(|(id, item)| {
            item.ahead(&self.graph).into_iter().map(|(path, ahead)| (*id, item.key(), path, ahead))
        })
    }

    /// Why an item in flight ends without success, if so.
    pub fn reason(&self, item: ItemId) -> Option<ItemError> {
        self.items.get(&item)?.reason()
    }

    /// How many attempts are running.
    pub fn under_way(&self) -> usize {
        self.items.values().map(|item| item.running().count()).sum()
    }

    /// Checks the counts and the queue of ready steps against the states of all steps.
    #[cfg(test)]
    pub fn recount(&self) {
        self.items.values().for_each(Item::recount);
        let ready = self.items.iter().flat_map(|(id, item)| item.ready().into_iter().map(|step| (*id, step)));
        assert_eq!(self.line.ready(), ready.collect());
        let items = || self.items.iter().filter(|(id, _)| **id != ItemId::RUN).map(|(_, item)| item);
        assert_eq!(self.failing, items().filter(|item| item.is_failing()).count() as u64);
        assert_eq!(self.resting, self.items.values().filter(|item| item.rests()).count() as u64);
        assert_eq!(self.reopened, items().filter(|item| item.is_reopened()).count() as u64);
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

    /// Whether the failures so far are within the run's tolerance.
    pub fn tolerated(&self) -> bool {
        self.tally.within(self.policy.tolerate)
    }
}
