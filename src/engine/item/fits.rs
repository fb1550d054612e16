//! Whether an event is valid after the events before it. A journal may be forged: an impossible event is not folded.
//! Events that an earlier version of the program or document allowed are.

use super::state::StepState;
use super::{Item, Stage};
use crate::event::{AttemptEvent, Event, EventKind, ItemEvent, RunEvent, StepEvent, StepId, StepPath};
use crate::graph::Graph;

impl Item {
    /// Whether an event of this item is valid now.
    pub fn fits(&self, graph: &Graph, event: &Event) -> bool {
        match &event.kind {
            EventKind::Run(RunEvent::StepsEnded(_)) => self.is_at_rest(),
            EventKind::Run(_) => true,
            EventKind::Item(_, change) => self.fits_own(graph, change),
            EventKind::Step(_, change) => self.fits_step(graph, change),
            EventKind::Attempt(_, step, attempt, change) => self.fits_attempt(*step, *attempt, change),
        }
    }

    fn fits_own(&self, graph: &Graph, change: &ItemEvent) -> bool {
        match change {
            ItemEvent::Admitted { .. } | ItemEvent::Resolved { .. } => true,
            ItemEvent::DeadlinePassed { .. } => self.stage == Stage::Forward,
            ItemEvent::CompensationBegan(step) => {
                let has_effect = self.effects.uncompensated.keys().any(|(path, _)| path.step == *step);
                let by = graph.steps.get(step.index()).and_then(|step| step.compensate);
                let idle = |by: StepId| matches!(self.state(by), StepState::Idle | StepState::Ended(_));
                has_effect && self.effects.compensating.is_none() && by.is_some_and(idle)
            }
            ItemEvent::Failed => self.stage != Stage::Handling,
            ItemEvent::Requeued => {
                let from = if self.new_inputs.is_some() { Stage::Compensating } else { Stage::Handling };
                self.stage == from && self.effects.compensating.is_none() && self.is_at_rest()
            }
            ItemEvent::GateReached { gate, .. } => self.arrives_at(*gate),
            ItemEvent::Decided { gate, .. } | ItemEvent::GateExpired(gate) => self.waits_at(*gate),
            ItemEvent::Revoked { .. } => {
                self.stage == Stage::Forward && self.error.is_none() && self.is_at_rest()
            }
            ItemEvent::RoundBegan { .. } | ItemEvent::RoundScheduled { .. } | ItemEvent::RepeatEnded(_) => {
                self.fits_round(graph, change)
            }
            ItemEvent::Retried { .. } | ItemEvent::Settled { .. } => self.is_at_rest(),
        }
    }

    fn fits_step(&self, graph: &Graph, change: &StepEvent) -> bool {
        match change {
            // A step that an earlier version ended early has not ended here yet, and the steps after it still wait.
            StepEvent::ConditionHeld(step) => {
                matches!(self.state(*step), StepState::Deciding | StepState::Waiting { .. })
            }
            StepEvent::BranchTaken { step, chain, arm } => self.can_branch(graph, *step, *chain, *arm),
            StepEvent::Ended(execution)
                if self.end(execution.step).is_some() && execution.element.is_none() =>
            {
                self.is_missed_row(graph, execution)
            }
            StepEvent::Ended(execution) => matches!(
                self.state(execution.path()),
                StepState::Waiting { .. }
                    | StepState::Deciding
                    | StepState::Gated(_)
                    | StepState::Awaiting
                    | StepState::Ready(_)
                    | StepState::Answered { .. }
                    | StepState::Spread { open: 0 }
            ),
            StepEvent::ElementsEnded(step) => matches!(self.state(*step), StepState::Spread { open: 0 }),
            StepEvent::AwaitBegan { step, subject, .. } => self.begins_await(*step, subject),
            StepEvent::EventTaken { step, .. } | StepEvent::AwaitExpired(step) => self.waits_for_event(*step),
        }
    }

    fn fits_attempt(&self, step: StepPath, attempt: u32, change: &AttemptEvent) -> bool {
        match change {
            AttemptEvent::Started => matches!(self.state(step), StepState::Ready(attempts)
                if attempts.number.checked_add(1) == Some(attempt)),
            AttemptEvent::Stopped(_) | AttemptEvent::Repeated | AttemptEvent::Finished(_) => {
                self.is_running(step, attempt)
            }
            AttemptEvent::Waits | AttemptEvent::Awaits => {
                self.is_running(step, attempt) && self.waits_inside(step).is_none()
            }
            AttemptEvent::Continues => self.is_running(step, attempt) && self.waits_inside(step).is_some(),
            AttemptEvent::RetryScheduled { .. } => {
                matches!(self.state(step), StepState::Answered { attempts, .. }
                    if attempts.number.checked_add(1) == Some(attempt))
            }
            AttemptEvent::RetryDue => self.awaits_retry(step, attempt),
        }
    }

    /// Whether a decision can be taken: it is still open, and the arm exists.
    fn can_branch(&self, graph: &Graph, step: StepId, chain: u32, arm: Option<u32>) -> bool {
        let chains = graph.steps.get(step.index()).map(|step| &step.chains);
        let arms = chains.and_then(|chains| chains.get(chain as usize));
        let there = arms.is_some_and(|arms| arm.is_none_or(|arm| (arm as usize) < arms.len()));
        let turn = matches!(self.state(step), StepState::Answered { .. } | StepState::Spread { open: 0 });
        there && turn && !self.taken.iter().any(|(known, other, _)| (*known, *other) == (step, chain))
    }

    /// Whether no execution of it is running.
    fn is_at_rest(&self) -> bool {
        let retries = |path: StepPath| matches!(self.state(path), StepState::Backoff { .. });
        let moves = self.steps.answered().is_some() || self.steps.running().next().is_some();
        !moves && !self.steps.pending().any(retries)
    }
}
