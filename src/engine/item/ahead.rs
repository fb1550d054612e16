//! The pending work of an item when its run resumes, as far as it is decided: conditions may still skip a step, and
//! further failures would add compensations. Changes nothing.

use super::super::Ahead;
use super::state::{Attempts, End, StepState};
use super::{Item, Stage};
use crate::event::{StepPath, StopReason};
use crate::graph::{Graph, Input, Kind, Step, StepId, Taken};
use std::collections::BTreeSet;

impl Item {
    /// Executions that have not ended and will, with the pending work of each; then the item's compensations if it
    /// fails, in order; then its failure handlers.
    pub fn ahead(&self, graph: &Graph) -> Vec<(StepPath, Ahead)> {
        let never = self.unreachable(graph);
        let compensating = self.effects.compensating;
        let all = self.steps.paths().filter(|path| !never.contains(&path.step));
        let mut ahead: Vec<(StepPath, Ahead)> = all
            .filter_map(|path| {
                let undoes = compensating.filter(|_| graph.step(path.step).kind == Kind::Compensation);
                let begin = undoes.map_or(Ahead::Begin, |(step, _)| Ahead::Compensate(step));
                let ahead = match self.state(path) {
                    StepState::Gated(gate) if self.waits_at(*gate) => Ahead::Wait(*gate),
                    StepState::Awaiting if self.waits_for_event(path.step) => Ahead::Await,
                    StepState::Waiting { .. }
                    | StepState::Deciding
                    | StepState::Gated(_)
                    | StepState::Awaiting => begin,
                    StepState::Ready(Attempts { tries: 0, .. }) => begin,
                    StepState::Ready(attempts) | StepState::Backoff { attempts, .. } => {
                        Ahead::Next(attempts.number + 1)
                    }
                    StepState::Running { attempts, waits: Some(_), stop: None, .. } => {
                        Ahead::WaitsInside(attempts.number)
                    }
                    StepState::Running { attempts, .. } => Ahead::Again(attempts.number),
                    // A round follows the pause of its loop.
                    StepState::Ended(_) if self.rounds.begins_again(graph, path.step) => Ahead::Begin,
                    StepState::Answered { .. }
                    | StepState::Spread { .. }
                    | StepState::Ended(_)
                    | StepState::Idle => return None,
                };
                Some((path, ahead))
            })
            .collect();
        let stopped = self.run_stop().filter(|why| *why != StopReason::Interrupted);
        let fails = self.error.is_some() || stopped.is_some();
        if self.stage == Stage::Compensating || self.stage == Stage::Forward && fails {
            let undoes = self.to_compensate_after(graph, &ahead).into_iter();
            let undoes =
                undoes.filter_map(|step| Some((graph.step(step).compensate?, Ahead::Compensate(step))));
            ahead.extend(undoes.map(|(by, ahead)| (by.into(), ahead)));
        }
        if self.new_inputs.is_some() && stopped.is_none() {
            let own = graph.order.iter().filter(|id| self.is_own(graph, **id));
            ahead.extend(own.map(|id| ((*id).into(), Ahead::Begin)));
        }
        if self.stage != Stage::Handling && self.error.is_some() && stopped.is_none() {
            let idle = |id: &StepId| matches!(self.state(*id), StepState::Idle);
            ahead.extend(self.handlers(graph).filter(idle).map(|id| (id.into(), Ahead::Begin)));
        }
        ahead
    }

    /// Steps that are waiting and will not run: a step before them failed, or a decision took another branch.
    fn unreachable(&self, graph: &Graph) -> BTreeSet<StepId> {
        let (mut blocked, mut absent) = (BTreeSet::new(), BTreeSet::new());
        for id in &graph.order {
            if !matches!(self.state(*id), StepState::Waiting { .. }) {
                continue;
            }
            let step = graph.step(*id);
            let blocks = |id: StepId| blocked.contains(&id) || self.end(id).is_some_and(End::blocks);
            let gone = |other: StepId| {
                let ended = self.end(other).is_some_and(|end| end != End::Succeeded);
                // Another round may run what this one did not.
                let ended = ended && !self.waits_for_loop(graph, other, *id);
                ended || blocked.contains(&other) || absent.contains(&other)
            };
            let mut needs = step.needs.iter().filter(|need| step.requires(need));
            if needs.any(|need| self.is_own(graph, need.step) && blocks(need.step)) {
                blocked.insert(*id);
            } else if self.is_routed_away(step, &gone) || self.lacks_makers(graph, step, &gone) {
                absent.insert(*id);
            }
        }
        blocked.extend(absent);
        blocked
    }

    /// Whether no decision can lead to a step any more.
    fn is_routed_away(&self, step: &Step, gone: &dyn Fn(StepId) -> bool) -> bool {
        let arm = |taken: &Taken| {
            let decided =
                |(step, chain, _): &&(StepId, u32, Option<u32>)| (*step, *chain) == (taken.step, taken.chain);
            self.taken.iter().find(decided).map(|(_, _, arm)| *arm)
        };
        let other = |guard: &Taken| match arm(guard) {
            Some(arm) => arm != Some(guard.arm),
            None => gone(guard.step),
        };
        let skipped = step.skips.iter().any(|skip| arm(skip) == Some(Some(skip.arm)));
        skipped || !step.guards.is_empty() && step.guards.iter().all(other)
    }

    /// Whether no step can make a required input of this one any more.
    fn lacks_makers(&self, graph: &Graph, step: &Step, gone: &dyn Fn(StepId) -> bool) -> bool {
        let lost = |input: &Input| {
            let mut makers = input.makers.iter().filter(|maker| self.is_own(graph, **maker)).peekable();
            !input.optional && makers.peek().is_some() && makers.all(|maker| gone(*maker))
        };
        step.inputs.iter().any(lost)
    }
}
