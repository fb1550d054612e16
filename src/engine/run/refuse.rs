//! Steps that end without an attempt: their agent is unavailable, until another session tries it again, or a budget is
//! spent.

use super::super::Call;
use super::super::item::Item;
use super::super::unavailable::{Unavailable, UnavailableAgent};
use super::Run;
use crate::event::{AttemptEvent, BUDGET, Event, Failure, ItemId, Millis, StepPath, UNAVAILABLE};
use crate::graph::StepId;
use crate::value::budget::Spent;

impl Run {
    /// Agents that are unavailable, in the order of their first failures.
    pub fn unavailable(&self) -> &[Unavailable] {
        self.bounds.unavailable.all()
    }

    /// Another session begins: agents that were unavailable are tried again.
    pub fn restore_agents(&mut self) {
        let agents = std::mem::take(&mut self.bounds.unavailable);
        agents.all().iter().for_each(|one| self.restored(&one.agent));
    }

    /// The run is stopped at this time, whatever it has done by then.
    pub fn stop_at(&mut self, until: Option<Millis>) {
        self.bounds.until = until;
    }

    /// Takes note of the failure of an attempt.
    pub(super) fn take_failure(&mut self, step: StepPath, failure: &Failure) {
        let graph = self.graph.clone();
        let Some(lost) = self.bounds.unavailable.take(&graph, step.step, failure) else { return };
        let agent = lost.agent.clone();
        let waits = |(id, item): (&ItemId, &Item)| -> Vec<(ItemId, StepPath, u32)> {
            let own = item.backing_off().filter(|(path, _)| agent.makes(&graph, path.step));
            own.map(|(path, attempt)| (*id, path, attempt)).collect()
        };
        self.interrupted.extend(self.items.iter().flat_map(waits));
        self.line.refuse(self.steps_of(&agent).into_iter());
    }

    /// An attempt of an agent starts that was unavailable: another session tries it again.
    pub(super) fn take_start(&mut self, step: StepPath) {
        if let Some(agent) = self.bounds.unavailable.restore(&self.graph, step.step) {
            self.restored(&agent);
        }
    }

    fn restored(&mut self, agent: &UnavailableAgent) {
        let graph = &self.graph;
        self.interrupted.retain(|(_, path, _)| !agent.makes(graph, path.step));
        self.line.restore(self.steps_of(agent).into_iter());
    }

    fn steps_of(&self, agent: &UnavailableAgent) -> Vec<StepId> {
        self.graph.ids().filter(|id| agent.makes(&self.graph, *id)).collect()
    }

    /// What the run has spent in all sessions.
    pub fn spent(&self) -> &Spent {
        &self.bounds.spent
    }

    /// The end of a ready execution if a budget is spent that it would spend from.
    pub(super) fn over_budget(&self, item: ItemId, step: StepPath, at: Millis) -> Option<Event> {
        let known = self.items.get(&item)?;
        let spent = known.spent_budget(&self.graph, &self.bounds.spent, step)?;
        Some(known.refused(&self.graph, step, BUDGET, spent.why(&self.graph), at))
    }

    /// A call with what is left for it.
    pub(super) fn within_budget(&self, call: Call) -> Call {
        let known = self.items.get(&call.item);
        let left = known.and_then(|known| known.left(&self.graph, &self.bounds.spent, call.step));
        Call { left, ..call }
    }

    /// The end of an execution whose agent is unavailable. One that waits for another attempt waits no longer.
    pub(super) fn refusal(&self, at: Millis) -> Option<Event> {
        let waits = |(item, step, attempt): &&(ItemId, StepPath, u32)| {
            self.items.get(item).is_some_and(|known| known.awaits_retry(*step, *attempt))
        };
        if let Some((item, step, attempt)) = self.interrupted.iter().find(waits) {
            return Some(AttemptEvent::RetryDue.of(*item, *step, *attempt, at));
        }
        let (item, step) = self.line.first_refused()?;
        let why = self.bounds.unavailable.of(&self.graph, step.step)?.why(&self.graph);
        Some(self.items.get(&item)?.refused(&self.graph, step, UNAVAILABLE, why, at))
    }
}
