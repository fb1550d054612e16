//! Whether a step runs: by the ends of the steps before it, the decisions that lead to it, its own conditions, and the
//! item's state. Changes nothing, and does not know the limits.

use super::Item;
use super::state::End;
use crate::condition::Fault;
use crate::event::{Event, Execution, Millis, Status, StepEvent, StepPath};
use crate::graph::{Chain, Graph, Guard, Input, Kind, StateId, StepId, Taken, Target, ValueId};
use crate::value::Value;
use std::sync::Arc;

/// Why a step cannot run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A step before it failed or did not run.
    Blocked(StepId),
    /// No decision led to it.
    NoDecision,
    /// No step made a value that it requires.
    Lacks(ValueId),
}

impl Obstacle {
    /// The end of a step with this obstacle.
    pub(super) fn end(&self) -> End {
        match self {
            Obstacle::Blocked(_) => End::Blocked,
            Obstacle::NoDecision | Obstacle::Lacks(_) => End::Absent,
        }
    }
}

impl Item {
    /// The end of a step that cannot run, apart from its conditions.
    pub(super) fn unrunnable(&self, graph: &Graph, id: StepId) -> Option<End> {
        let step = graph.step(id);
        let undecided = |guard: &Guard| self.condition(graph, id, guard).is_none();
        match self.obstacle(graph, id) {
            Some(Obstacle::Lacks(_)) => {}
            None if !self.is_refused(graph, id) && step.when.iter().any(undecided) => {}
            other => return other.as_ref().map(Obstacle::end),
        }
        // Its own conditions are also decided first, if their values are present.
        let refuses = |guard: &Guard| matches!(self.condition(graph, id, guard), Some(Ok(false)));
        (!step.when.iter().any(refuses)).then_some(End::Absent)
    }

    /// The obstacle to running a step, once its needs have ended.
    pub(super) fn obstacle(&self, graph: &Graph, id: StepId) -> Option<Obstacle> {
        let step = graph.step(id);
        let needs = step.needs.iter().filter(|need| self.is_own(graph, need.step));
        let mut needs = needs.filter(|need| step.requires(need)).map(|need| need.step);
        if let Some(need) = needs.find(|need| self.end(*need).is_none_or(End::blocks)) {
            return Some(Obstacle::Blocked(need));
        }
        if let Some(failed) = self.failed_loop(graph, id) {
            return Some(Obstacle::Blocked(failed));
        }
        // A decision takes precedence over missing values; without one, the step is only absent.
        if self.is_refused(graph, id) {
            return None;
        }
        if self.lacks_decision(graph, id) {
            return Some(Obstacle::NoDecision);
        }
        let lacking = step.inputs.iter().find(|input| self.lacks(graph, input));
        lacking.map(|input| Obstacle::Lacks(input.value))
    }

    /// Whether decisions lead to a step and none of them was made.
    pub(super) fn lacks_decision(&self, graph: &Graph, id: StepId) -> bool {
        let guards = &graph.step(id).guards;
        !guards.is_empty() && !guards.iter().any(|guard| self.has_taken(*guard))
    }

    /// Whether a required value of a step is absent.
    pub(super) fn lacks(&self, graph: &Graph, input: &Input) -> bool {
        let own = input.makers.iter().any(|maker| self.is_own(graph, *maker));
        let there = || self.value(input.value).is_some() && self.is_made(graph, input.makers.iter());
        !input.optional && own && !there()
    }

    /// The result of a step's own condition; `None` if it reads a value that was not made.
    pub(super) fn condition(&self, graph: &Graph, id: StepId, guard: &Guard) -> Option<Result<bool, Fault>> {
        let there = |value: ValueId| !self.is_absent(graph, id, value);
        let held = self.holds(graph, guard, graph.step(id).kind, &there);
        let whole = held.is_ok() || guard.names.iter().all(|(_, value)| there(*value));
        whole.then_some(held)
    }

    /// Whether a value counts as made by these steps: one of them has succeeded. Outputs of a step that its decision
    /// failed are only visible to its compensation.
    pub(super) fn is_made<'a>(&self, graph: &Graph, makers: impl Iterator<Item = &'a StepId>) -> bool {
        let mut own = makers.filter(|maker| self.is_own(graph, **maker)).peekable();
        own.peek().is_none() || own.any(|maker| self.has_succeeded(*maker))
    }

    /// Whether a value that steps make is absent, as seen by the step that reads it.
    pub(super) fn is_absent(&self, graph: &Graph, id: StepId, value: ValueId) -> bool {
        let makes = |step: &&StepId| graph.step(**step).makes(value);
        let needs = graph.step(id).needs.iter().map(|need| &need.step);
        let unmade = self.value(value).is_none() && !graph.inputs.contains(&value);
        unmade || !self.is_made(graph, needs.filter(makes))
    }

    pub(super) fn has_taken(&self, taken: Taken) -> bool {
        self.taken.contains(&(taken.step, taken.chain, Some(taken.arm)))
    }

    /// Whether a decision led elsewhere.
    pub(super) fn is_refused(&self, graph: &Graph, id: StepId) -> bool {
        let step = graph.step(id);
        let decided = |guard: &Taken| {
            self.taken.iter().any(|(step, chain, _)| (*step, *chain) == (guard.step, guard.chain))
        };
        let led = step.guards.is_empty() || step.guards.iter().any(|guard| self.has_taken(*guard));
        (!led && step.guards.iter().any(decided)) || step.skips.iter().any(|skip| self.has_taken(*skip))
    }

    /// The event that decides a step's conditions.
    pub(super) fn decide(&self, graph: &Graph, id: StepId, at: Millis) -> Event {
        let skipped = || self.row_without_attempt(graph, id, Status::Skipped, None, at);
        let failed = |error| self.row_without_attempt(graph, id, Status::Failed, Some(error), at);
        if self.is_refused(graph, id) {
            return skipped();
        }
        for guard in &graph.step(id).when {
            match self.condition(graph, id, guard) {
                // Another condition skips the step; otherwise it would not have been decided.
                None | Some(Ok(true)) => {}
                Some(Ok(false)) => return skipped(),
                Some(Err(fault)) => return failed(condition_error(guard, &fault)),
            }
        }
        match self.wrong_state(graph, id).or_else(|| self.no_list(graph, id)) {
            Some(error) => failed(error),
            None => StepEvent::ConditionHeld(id).of(self.id, at),
        }
    }

    /// The row of a step that ends without an attempt.
    pub(super) fn row_without_attempt(
        &self,
        graph: &Graph,
        path: impl Into<StepPath>,
        status: Status,
        error: Option<String>,
        at: Millis,
    ) -> Event {
        let path = path.into();
        let compensates = graph.step(path.step).kind == Kind::Compensation;
        let status =
            if compensates && status == Status::Failed { Status::CompensationFailed } else { status };
        let duration_ms = (status != Status::Skipped).then_some(0.0);
        let execution = Execution { duration_ms, error, ..self.row(graph, path, status, at) };
        StepEvent::Ended(execution).of(self.id, at)
    }

    /// Whether a condition holds; `there` gives the values.
    pub(super) fn holds(
        &self,
        graph: &Graph,
        guard: &Guard,
        kind: Kind,
        there: &dyn Fn(ValueId) -> bool,
    ) -> Result<bool, Fault> {
        // A compensation gets null for values that the compensated step did not make.
        let absent = (kind == Kind::Compensation).then_some(&Value::Null);
        let undoes = self.effects.compensating.filter(|_| absent.is_some());
        let then = |id: ValueId| undoes.and_then(|undoes| self.value_then(graph, undoes, id));
        let kept: Vec<Option<Arc<Value>>> = guard.names.iter().map(|(_, id)| then(*id)).collect();
        let value = |name: &str| -> Option<&Value> {
            let at = guard.names.iter().position(|(known, _)| known == name)?;
            let id = guard.names[at].1;
            let known = match undoes {
                Some(_) => kept[at].as_ref(),
                None if absent.is_some() || there(id) => self.value(id),
                None => None,
            };
            known.map(|value| &**value).or(absent)
        };
        guard.condition.holds(&value)
    }

    /// The states in which a step starts, and the item's state if it is not one of them. Compensations start in any
    /// state: a remaining effect would be worse.
    pub(super) fn misplaced<'a>(&self, graph: &'a Graph, id: StepId) -> Option<(&'a [StateId], StateId)> {
        let step = graph.step(id);
        let passage = step.state.as_ref().filter(|_| step.kind != Kind::Compensation)?;
        let now = self.lifecycle.filter(|now| !passage.from.contains(now))?;
        Some((&passage.from, now))
    }

    /// Why a step must not start in the item's state, if so.
    pub(super) fn wrong_state(&self, graph: &Graph, id: StepId) -> Option<String> {
        let (from, now) = self.misplaced(graph, id)?;
        let from: Vec<String> = from.iter().map(|state| format!("`{}`", graph.state(*state))).collect();
        let (from, now) = (from.join(" or "), graph.state(now));
        Some(format!("it starts in the state {from}, and the item is in `{now}`"))
    }

    /// Why a step cannot run for each element of its list.
    pub(super) fn no_list(&self, graph: &Graph, id: StepId) -> Option<String> {
        let step = graph.step(id);
        let list = graph.list(step, step.each?);
        match self.list(graph, id) {
            Ok(value) if value.is_array() => None,
            Ok(value) => Some(format!("`{list}` is not a list but {}", crate::value::kind(&value))),
            Err(why) => Some(format!("`{list}` is not a list: {why}")),
        }
    }

    /// The list for whose elements a step runs.
    pub(super) fn list(&self, graph: &Graph, id: StepId) -> Result<Arc<Value>, String> {
        let step = graph.step(id);
        let Some(way) = &step.way else {
            let whole = step.each.and_then(|each| self.value(each.list));
            return whole.cloned().ok_or_else(|| "it is absent".to_owned());
        };
        let value = |name: &str| {
            let (_, id) = way.names.iter().find(|(known, _)| known == name)?;
            self.value(*id).map(|value| &**value)
        };
        way.condition.value(&value).map(Arc::new).map_err(|fault| fault.message)
    }

    /// The next decision of a step that has succeeded: a branch, or why the step fails after all.
    pub(super) fn next_branch(&self, graph: &Graph, id: StepId, at: Millis) -> Option<Result<Event, String>> {
        let chains = graph.step(id).chains.iter().zip(0u32..);
        let open = |chain: u32| !self.taken.iter().any(|(step, known, _)| (*step, *known) == (id, chain));
        let (arms, chain) = chains.into_iter().find(|(_, chain)| open(*chain))?;
        let there = |value: ValueId| !self.is_absent(graph, id, value);
        let holds = |guard: &Guard| {
            let held = self.holds(graph, guard, Kind::Forward, &there);
            held.map_err(|fault| condition_error(guard, &fault))
        };
        let arm = match first_that_holds(arms, holds) {
            Ok(arm) => arm,
            Err(error) => return Some(Err(error)),
        };
        if let Some(Target::Fail(reason)) = arm.and_then(|arm| arms.get(arm as usize)).map(|arm| &arm.target)
        {
            return Some(Err(reason.clone()));
        }
        Some(Ok(StepEvent::BranchTaken { step: id, chain, arm }.of(self.id, at)))
    }
}

/// The arm of a chain that is taken; `None` if no arm's condition holds.
pub(super) fn first_that_holds<E>(
    arms: &Chain,
    holds: impl Fn(&Guard) -> Result<bool, E>,
) -> Result<Option<u32>, E> {
    for (arm, index) in arms.iter().zip(0u32..) {
        if arm.guard.as_ref().map_or(Ok(true), &holds)? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

pub(super) fn condition_error(guard: &Guard, fault: &Fault) -> String {
    let help = fault.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    format!("the condition `{}`: {}{help}", guard.condition.text.trim(), fault.message)
}
