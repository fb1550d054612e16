//! How events change the run: the only file that changes one. Does not know which event comes next.

use super::super::arrivals::RUN_KEY;
use super::super::budget::spend;
use super::super::item::Item;
use super::super::tally::DeadLetter;
use super::Run;
use crate::event::{
    Arrival, AttemptEvent, Event, EventKind, ItemEvent, ItemId, Millis, RunEvent, Settlement, StepEvent,
};
use std::sync::Arc;

/// The most dead letters that are stored; the journal has them all.
const LETTERS: usize = 1000;

impl Run {
    /// Applies an event.
    pub(super) fn apply(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Run(change) => self.apply_to_run(change, event),
            EventKind::Item(item, change) => self.apply_to_item(*item, change, event),
            EventKind::Step(item, change) => {
                match change {
                    StepEvent::Ended(execution) => {
                        self.bounds.unavailable.count(&self.graph, execution);
                        // They reach the items of the run.
                        self.publications(event).iter().for_each(|arrival| self.receive(arrival));
                    }
                    StepEvent::AwaitBegan { subject, .. } => self.bounds.arrivals.wait(subject, *item),
                    StepEvent::EventTaken { event, .. } => {
                        let arrival = self.bounds.arrivals.get(*event);
                        if let Some((arrival, known)) = arrival.zip(self.items.get_mut(item)) {
                            known.hand(arrival);
                        }
                    }
                    StepEvent::ConditionHeld(_)
                    | StepEvent::BranchTaken { .. }
                    | StepEvent::ElementsEnded(_)
                    | StepEvent::AwaitExpired(_) => {}
                }
                self.apply_to(*item, event);
            }
            EventKind::Attempt(item, step, attempt, change) => {
                let waits = self.items.get(item).is_some_and(|known| known.waits_inside(*step).is_some());
                match change {
                    AttemptEvent::Started => {
                        self.take_start(*step);
                        self.line.started(*item, *step, event.at);
                    }
                    // What waits for people or events takes no place.
                    AttemptEvent::Waits | AttemptEvent::Awaits => self.line.finished(*step),
                    AttemptEvent::Continues => self.line.returned(*step),
                    AttemptEvent::Finished(result) => {
                        if !waits {
                            self.line.finished(*step);
                        }
                        spend(&mut self.bounds.spent, event);
                        if let Err(failure) = result {
                            self.take_failure(*step, failure);
                        }
                    }
                    AttemptEvent::RetryDue => {
                        self.interrupted.remove(&(*item, *step, *attempt));
                    }
                    AttemptEvent::Stopped(_)
                    | AttemptEvent::Repeated
                    | AttemptEvent::RetryScheduled { .. } => {}
                }
                self.apply_to(*item, event);
            }
        }
    }

    fn apply_to_run(&mut self, change: &RunEvent, event: &Event) {
        match change {
            RunEvent::ItemsExhausted => self.once.exhausted = true,
            RunEvent::StepsBegan => {
                self.once.began = true;
                self.once.end = None;
                let inputs = self.once.take(&self.graph);
                // Not all items have ended by themselves.
                let only_always = self.stopped.is_some() || !self.once.exhausted;
                let run = match self.once.last.take() {
                    Some(mut last) => {
                        last.restart_after_compensation(inputs, only_always);
                        last
                    }
                    None => {
                        let mut run = Item::new(&self.graph, ItemId::RUN, RUN_KEY.into(), &inputs, event.at);
                        match only_always {
                            true => run.begin_always(&self.graph),
                            false => run.begin(&self.graph),
                        }
                        run
                    }
                };
                self.items.insert(ItemId::RUN, run);
                self.unstopped.changed(ItemId::RUN);
                self.line_up(ItemId::RUN, event.at);
            }
            RunEvent::StepsEnded(end) => {
                self.withdraw(ItemId::RUN, event.at);
                self.once.last = self.items.remove(&ItemId::RUN);
                if let Some(last) = &self.once.last {
                    self.count(weight(ItemId::RUN, last), Weight::default());
                }
                self.unstopped.forget(ItemId::RUN);
                self.once.end = Some(end.clone());
            }
            RunEvent::Drained(why) => self.drained = Some(*why),
            RunEvent::Received(arrival) | RunEvent::Emitted(arrival) => self.receive(arrival),
            RunEvent::Published { channel, id } => self.bounds.arrivals.published(channel, id, None),
            RunEvent::NotPublished { channel, id, why } => {
                self.bounds.arrivals.published(channel, id, Some(why));
            }
            RunEvent::Decided { gate, decision } => {
                self.bounds.standing.insert(*gate, decision.clone());
                let waits = self.items.iter().filter(|(_, known)| known.waits_at(*gate));
                self.touched.extend(waits.map(|(item, _)| *item));
            }
            RunEvent::Stopped(why) => {
                self.stopped = Some(*why);
                let items = std::mem::take(self.unstopped.of(*why));
                items.into_iter().for_each(|item| self.take_event(item, event));
            }
        }
    }

    /// An event came: those who may wait for it look at it.
    fn receive(&mut self, arrival: &Arc<Arrival>) {
        self.bounds.arrivals.add(&self.graph, arrival);
        let waiters = self.bounds.arrivals.waiters(&arrival.subject);
        self.touched.extend(waiters.filter(|item| self.items.contains_key(item)));
    }

    /// The events that a step publishes by this event, which is to be applied; also a step of a document.
    pub(super) fn publications(&self, event: &Event) -> Vec<Arc<Arrival>> {
        if let EventKind::Run(RunEvent::Emitted(arrival)) = &event.kind {
            return vec![arrival.clone()];
        }
        let EventKind::Step(item, StepEvent::Ended(execution)) = &event.kind else { return Vec::new() };
        let known = self.items.get(item).filter(|_| self.graph.emits(execution.step));
        let at = self.bounds.clock.saturating_add(event.at);
        let published =
            known.map(|known| known.published(&self.graph, &self.bounds.arrivals.run, execution, at));
        published.unwrap_or_default().into_iter().map(Arc::new).collect()
    }

    fn apply_to_item(&mut self, item: ItemId, change: &ItemEvent, event: &Event) {
        match change {
            ItemEvent::Admitted { key, inputs } => {
                self.tally.admitted += 1;
                let mut admitted = Item::new(&self.graph, item, key.clone(), inputs, event.at);
                admitted.begin(&self.graph);
                self.items.insert(item, admitted);
                self.unstopped.changed(item);
                self.line_up(item, event.at);
            }
            ItemEvent::Settled { key, end } => self.settled(item, key, end, event.at),
            ItemEvent::Retried { .. } => {
                // A run that resumes is no longer stopped.
                self.stopped = None;
                // A retry asks again.
                self.bounds.standing.retain(|_, decision| decision.approved);
                self.restore_agents();
                if item != ItemId::RUN {
                    // The steps that ran once after all items run again with the new outputs.
                    self.once.began = false;
                    self.once.reopen();
                } else if let Some(last) = self.once.last.take_if(|_| self.once.began) {
                    self.once.end = None;
                    self.items.insert(ItemId::RUN, last);
                }
                self.apply_anew(item, event);
                self.forgiven = self.tally.failures() + self.reopened;
            }
            ItemEvent::Revoked { .. } => {
                self.stopped = None;
                self.once.reopen();
                self.apply_to(item, event);
            }
            ItemEvent::Resolved { .. } => {
                self.once.reopen();
                self.apply_to(item, event);
            }
            ItemEvent::Requeued => self.apply_anew(item, event),
            ItemEvent::DeadlinePassed { .. }
            | ItemEvent::CompensationBegan(_)
            | ItemEvent::Failed
            | ItemEvent::GateReached { .. }
            | ItemEvent::Decided { .. }
            | ItemEvent::GateExpired(_)
            | ItemEvent::RoundBegan { .. }
            | ItemEvent::RoundScheduled { .. }
            | ItemEvent::RepeatEnded(_) => {
                self.apply_to(item, event);
            }
        }
    }

    fn settled(&mut self, item: ItemId, key: &Arc<str>, end: &Settlement, at: Millis) {
        self.withdraw(item, at);
        self.line.forget(item, at);
        self.unstopped.forget(item);
        if let Some(settled) = self.items.remove(&item) {
            self.count(weight(item, &settled), Weight::default());
            self.bounds.arrivals.end(&self.graph, item, key, settled.subjects());
            self.once.keep(&self.graph, item, &settled, end.state);
        }
        *self.tally.of(end.state) += 1;
        let letters = match (end.state.is_failure(), end.uncompensated.is_empty()) {
            (true, _) => &mut self.dead_letters,
            (false, false) => &mut self.abandoned,
            (false, true) => return,
        };
        if letters.len() < LETTERS {
            letters.push(DeadLetter { item, key: key.clone(), end: end.clone() });
        }
    }

    fn apply_to(&mut self, item: ItemId, event: &Event) {
        if self.items.contains_key(&item) {
            self.unstopped.changed(item);
            self.take_event(item, event);
        }
    }

    fn take_event(&mut self, item: ItemId, event: &Event) {
        if let Some(known) = self.items.get_mut(&item) {
            let before = weight(item, known);
            known.apply(&self.graph, event);
            let after = weight(item, known);
            self.count(before, after);
            self.line_up(item, event.at);
        }
    }

    /// Updates the counters of items.
    fn count(&mut self, before: Weight, after: Weight) {
        self.reopened = (self.reopened + after.reopened).saturating_sub(before.reopened);
        self.failing = (self.failing + after.failing).saturating_sub(before.failing);
        self.resting = (self.resting + after.resting).saturating_sub(before.resting);
    }

    /// Applies an event that makes steps of an item pending again: its ready steps leave the queue and are queued
    /// again.
    fn apply_anew(&mut self, item: ItemId, event: &Event) {
        self.withdraw(item, event.at);
        self.line.forget(item, event.at);
        self.apply_to(item, event);
        for step in self.items.get(&item).map(Item::ready).unwrap_or_default() {
            self.line.push(item, step, event.at);
        }
    }

    /// Removes an item's ready steps from the queue.
    fn withdraw(&mut self, item: ItemId, at: Millis) {
        for step in self.items.get(&item).map(Item::ready).unwrap_or_default() {
            self.line.remove(item, step, at);
        }
    }

    pub(super) fn line_up(&mut self, item: ItemId, at: Millis) {
        if let Some(known) = self.items.get_mut(&item) {
            let moves = known.moves();
            moves.ready.drain(..).for_each(|step| self.line.push(item, step, at));
            moves.withdrawn.drain(..).for_each(|step| self.line.remove(item, step, at));
        }
        if self.touched.last() != Some(&item) {
            self.touched.push(item);
        }
    }
}

/// What an item counts for: as compensated again, as failing, and as resting. The run's own steps are not an item that
/// can fail.
#[derive(Clone, Copy, Default)]
struct Weight {
    reopened: u64,
    failing: u64,
    resting: u64,
}

fn weight(id: ItemId, item: &Item) -> Weight {
    let counts = |is| u64::from(id != ItemId::RUN && is);
    Weight {
        reopened: counts(item.is_reopened()),
        failing: counts(item.is_failing()),
        resting: u64::from(item.rests()),
    }
}
