//! Replays past events one by one; an impossible one is rejected.

use super::super::{Impossible, Retries};
use super::{Item, Policy, Run};
use crate::event::{AttemptEvent, Event, EventKind, ItemEvent, ItemId, RunEvent, StepEvent};
use crate::graph::Graph;
use std::sync::Arc;

impl Run {
    /// Applies a past event.
    ///
    /// # Errors
    /// When it is impossible after the events before it. Then nothing is changed, and the run must not continue.
    pub fn recall(&mut self, event: &Event) -> Result<(), Impossible> {
        if let EventKind::Attempt(item, _, _, AttemptEvent::Started) = &event.kind
            && let Some(known) = self.items.get_mut(item)
        {
            known.pass_over(&self.graph);
            self.line_up(*item, event.at);
        }
        if !self.fits(event) {
            return Err(Impossible);
        }
        for published in self.publications(event) {
            self.bounds.arrivals.publish(&published);
        }
        self.apply(event);
        // The events that follow have been decided before, too.
        self.touched.clear();
        Ok(())
    }

    /// The same for an event of a run with retried items. Returns whether it is a void end, which is not shown: the
    /// item stays as it was, so that it can continue.
    ///
    /// # Errors
    /// As for [`recall`](Self::recall).
    pub fn recall_past(&mut self, event: &Event, retries: &mut Retries) -> Result<bool, Impossible> {
        let void = retries.void(event);
        match &event.kind {
            EventKind::Item(item, ItemEvent::Settled { end, .. }) if void => {
                if !self.fits(event) {
                    return Err(Impossible);
                }
                // The steps that then ran once after all items had its outputs.
                if let Some(known) = self.items.get(item) {
                    self.once.keep(&self.graph, *item, known, end.state);
                }
            }
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {
                self.recall(event)?;
            }
        }
        Ok(void)
    }

    /// A run as it was after these events.
    ///
    /// # Errors
    /// As for [`recall`](Self::recall).
    pub fn fold<'a>(
        graph: Arc<Graph>,
        policy: Policy,
        events: impl IntoIterator<Item = &'a Event>,
    ) -> Result<Self, Impossible> {
        let mut run = Run::new(graph, policy);
        events.into_iter().try_for_each(|event| run.recall(event))?;
        Ok(run)
    }

    /// Whether an event is possible now.
    fn fits(&self, event: &Event) -> bool {
        let fits = |known: Option<&Item>| known.is_some_and(|known| known.fits(&self.graph, event));
        match &event.kind {
            EventKind::Run(RunEvent::StepsBegan) => {
                !self.once.began && !self.items.contains_key(&ItemId::RUN)
            }
            EventKind::Run(RunEvent::StepsEnded(_)) => fits(self.items.get(&ItemId::RUN)),
            EventKind::Run(RunEvent::Decided { gate, decision }) => {
                let known = self.bounds.standing.get(gate);
                self.graph.gate(*gate).is_some() && known.is_none_or(|known| known.at < decision.at)
            }
            EventKind::Run(RunEvent::Received(arrival) | RunEvent::Emitted(arrival)) => {
                !self.bounds.arrivals.knows(&arrival.id)
            }
            EventKind::Step(item, StepEvent::EventTaken { step, event, .. }) => {
                let known = self.items.get(item);
                known.is_some_and(|known| known.can_take(&self.graph, &self.bounds.arrivals, *step, *event))
            }
            EventKind::Run(RunEvent::Published { .. } | RunEvent::NotPublished { .. }) => true,
            EventKind::Run(RunEvent::ItemsExhausted | RunEvent::Drained(_) | RunEvent::Stopped(_)) => true,
            EventKind::Item(item, ItemEvent::Admitted { .. }) => item.0 == self.tally.admitted,
            EventKind::Item(item, ItemEvent::Retried { .. }) => {
                fits(self.items.get(item).or_else(|| self.ended(*item)))
            }
            EventKind::Item(item, _) | EventKind::Step(item, _) | EventKind::Attempt(item, ..) => {
                fits(self.items.get(item))
            }
        }
    }
}
