//! Continues a run that was folded from its journal: what was under way is repeated, or known to be lost.

use super::Run;
use crate::engine::item::Item;
use crate::engine::{Effect, EngineInput, Out, RetryRequest};
use crate::event::{AttemptEvent, Cause, Failure, ItemEvent, ItemId, Millis, Outcome, StepPath, StopReason};

impl Run {
    /// Resumes a folded run: running attempts are repeated under the same number, timers are set again, and decided
    /// but unfinished work follows. Items that are `retried` run again; they were passed to
    /// [`recall_past`](Self::recall_past).
    pub fn resume(&mut self, retried: &[RetryRequest], now: Millis, out: &mut Out) {
        self.deliver(0, out);
        for RetryRequest { item, inputs, attempt } in retried {
            let known = self.items.get(item).or_else(|| self.ended(*item));
            if let Some(key) = known.map(|known| known.key().clone()) {
                let (inputs, attempt) = (inputs.clone(), *attempt);
                self.emit(ItemEvent::Retried { key, inputs, attempt }.of(*item, now), out);
            }
        }
        self.take_up(now, out);
        self.recover(&|_, _| true, now, out);
        self.publish_again(out);
        self.touched = self.items.keys().copied().collect();
        self.advance(now, out);
    }

    /// Resumes a run whose item has succeeded, and compensates what it did.
    pub fn revoke(&mut self, item: ItemId, now: Millis, out: &mut Out) {
        if let Some(key) = self.items.get(&item).map(|known| known.key().clone()) {
            self.emit(ItemEvent::Revoked { key }.of(item, now), out);
        }
        self.resume(&[], now, out);
    }

    /// Decides what a folded run has not decided yet, before anything starts. Attempts that had been asked to stop
    /// count as ended: they are not repeated, and their result stays unknown.
    pub fn take_up(&mut self, now: Millis, out: &mut Out) {
        self.touched = self.items.keys().copied().collect();
        loop {
            self.decide(now, out);
            let stopped = |known: &Item| -> Vec<(StepPath, u32)> {
                known.running().filter(|(step, _)| known.is_stopping(*step)).collect()
            };
            let all = self.items.iter();
            let over = all.flat_map(|(item, known)| stopped(known).into_iter().map(move |one| (*item, one)));
            let over: Vec<_> = over.collect();
            if over.is_empty() {
                return;
            }
            for (item, (step, attempt)) in over {
                let result = Err(lost(STOPPING));
                self.emit(AttemptEvent::Finished(result).of(item, step, attempt, now), out);
            }
        }
    }

    /// Repeats running attempts, and sets the timers of these items.
    fn recover(&mut self, wanted: &dyn Fn(&Item, StepPath) -> bool, now: Millis, out: &mut Out) {
        for item in self.items.keys().copied().collect::<Vec<_>>() {
            let wants = |known: &Item| known.running().filter(|(step, _)| wanted(known, *step)).collect();
            let running: Option<Vec<_>> = self.items.get(&item).map(wants);
            for (step, attempt) in running.unwrap_or_default() {
                self.emit(AttemptEvent::Repeated.of(item, step, attempt, now), out);
            }
            let Some(known) = self.items.get(&item) else { continue };
            let outstanding = known.outstanding(&self.graph).into_iter();
            let outstanding = outstanding.filter_map(|effect| match effect {
                Effect::Call(call) => {
                    wanted(known, call.step).then(|| Effect::Call(self.within_budget(call)))
                }
                Effect::Stop { step, .. } => wanted(known, step).then_some(effect),
                Effect::Timer { .. } | Effect::Ask(_) | Effect::Publish { .. } | Effect::Deliver(_) => {
                    Some(effect)
                }
            });
            out.effects.extend(outstanding);
            let awaits = known.awaiting().map(|(step, ..)| step);
            out.effects.extend(awaits.filter_map(|step| known.await_timer(&self.graph, &self.bounds, step)));
            let gates = known.waiting().map(|(gate, _)| gate);
            out.effects.extend(gates.flat_map(|gate| known.at_gate(&self.graph, &self.bounds, gate, true)));
        }
    }

    /// Cancels a folded run whose runner has exited: only compensations start, and the result of attempts that were
    /// running stays unknown. Running compensations continue.
    pub fn cancel(&mut self, now: Millis, out: &mut Out) {
        self.deliver(0, out);
        self.take_up(now, out);
        let graph = self.graph.clone();
        self.recover(&|known, step| known.outlasts_cancel(&graph, step), now, out);
        self.touched = self.items.keys().copied().collect();
        self.handle(EngineInput::Stop(StopReason::Cancelled), now, out);
        let under_way: Vec<_> = self
            .items
            .iter()
            .flat_map(|(item, known)| {
                let ends = known.running().filter(|(step, _)| !known.outlasts_cancel(&self.graph, *step));
                ends.map(|(step, attempt)| (*item, step, attempt))
            })
            .collect();
        for (item, step, attempt) in under_way {
            let failure = lost(CANCELLED);
            self.handle(EngineInput::Finished { item, step, attempt, result: Err(failure) }, now, out);
        }
        self.advance(now, out);
    }

    /// Sends the events again that channels have not accepted.
    fn publish_again(&mut self, out: &mut Out) {
        let outgoing = self
            .bounds
            .arrivals
            .outgoing()
            .map(|(channel, event)| Effect::Publish { channel: channel.clone(), event: event.clone() });
        out.effects.extend(outgoing);
    }

    /// The steps that ran once after all items, as they ended.
    pub(super) fn ended(&self, item: ItemId) -> Option<&Item> {
        self.once.last.as_ref().filter(|_| item == ItemId::RUN)
    }
}

/// Why attempts ended whose end was not recorded.
const STOPPING: &str = "interrupted while it was stopping, and not retried";
const CANCELLED: &str = "interrupted, and not retried, because the run was cancelled";

/// Whether an attempt is known to have ended, but not when.
pub fn is_lost(failure: &Failure) -> bool {
    failure.cause == Cause::Stopped && [STOPPING, CANCELLED].contains(&&*failure.message)
}

/// The end of an attempt that was not observed: it may have had its effect.
fn lost(message: &str) -> Box<Failure> {
    // Its time was over, and another attempt has its own.
    Box::new(Failure::new(Cause::Stopped, message.to_owned(), Outcome::Unknown, true))
}
