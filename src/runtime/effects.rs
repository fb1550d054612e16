//! Shows what the engine has decided, then begins it.

use super::calls;
use super::drive::Driving;
use crate::engine::{Effect, Out};
use crate::event::{EventKind, ItemEvent, ItemId};
use std::sync::Arc;

impl Driving<'_, '_> {
    /// Shows the events, then begins the effects. Effects begin even when an observer fails: the engine relies on
    /// them.
    ///
    /// # Errors
    /// That of the first observer that failed.
    pub(super) fn show(&mut self, out: Out) -> anyhow::Result<()> {
        let now = self.now();
        let mut shown = Ok(());
        for event in out.events {
            self.io.asked.see(&event);
            for observer in &mut self.io.observers {
                shown = shown.and(observer.see(&event));
            }
            if let EventKind::Item(item, ItemEvent::Settled { key, .. }) = &event.kind {
                self.timers.forget(*item);
                self.io.workspace.settle(*item, key);
                if self.io.border.is_outermost() {
                    self.io.border.events.remove(key, |kind| self.io.graph.outlives(kind, key));
                }
            }
        }
        for effect in out.effects {
            match effect {
                Effect::Timer { due, timer } => self.timers.add(due, timer),
                Effect::Stop { item, step, attempt, why } => self.calls.stop((item, step, attempt), why),
                Effect::Ask(mut ask) => {
                    let redactor = self.io.bindings.redactor();
                    redactor.shown_text(ask.item, &mut ask.question);
                    let values = ask.inputs.iter_mut();
                    values.for_each(|(_, value)| redactor.shown(ask.item, Arc::make_mut(value)));
                    self.io.asked_now.as_mut().map(|asked| asked.insert((ask.item, ask.gate)));
                    if let Some(asks) = &self.io.asks {
                        self.io.border.ask();
                        // The receiver is gone once the run is over.
                        let _ = asks.send(ask);
                    }
                }
                Effect::Publish { channel, mut event } => {
                    let redactor = self.io.bindings.redactor();
                    let shown = Arc::make_mut(&mut event);
                    // The secrets of all items: an event does not say whose it is.
                    redactor.shown(ItemId::RUN, Arc::make_mut(&mut shown.data));
                    if let Some(outbox) = &mut self.io.outbox {
                        outbox.publish(&channel, event);
                    }
                }
                Effect::Deliver(mut event) => {
                    let redactor = self.io.bindings.redactor();
                    redactor.shown(ItemId::RUN, Arc::make_mut(&mut Arc::make_mut(&mut event).data));
                    // Runs within others have no events of their own.
                    if self.io.border.is_outermost() {
                        self.io.border.events.post(event);
                    }
                }
                Effect::Call(call) => {
                    if let Some(due) = call.deadline {
                        self.timers.add(due, calls::timer_of(&call));
                    }
                    self.calls.begin(&self.io.ground(), call, now);
                }
            }
        }
        shown
    }
}
