//! The facts that hold when a step runs, by its conditions and by the decisions that lead to it.

use super::{Chain, Graph, Guard, StepId, Taken};
use crate::condition::Condition;
use std::collections::HashSet;

/// How many conditions of one step are compared.
const MOST: usize = 40;

/// Conditions, and whether they hold.
pub(super) type Claims<'a> = Vec<(&'a Condition, bool)>;

/// The conditions and decisions for one step.
pub(super) struct Decisive<'a> {
    pub when: &'a [Guard],
    pub chains: &'a [Chain],
    pub guards: &'a [Taken],
}

/// All that holds when a step runs: its conditions, the branch that leads to it, and the same of the deciding step.
pub(super) fn of<'a>(step: usize, decisive: &dyn Fn(usize) -> Decisive<'a>) -> Claims<'a> {
    let (mut claims, mut seen, mut next) = (Claims::new(), HashSet::new(), Some(step));
    while let Some(step) = next.filter(|step| claims.len() < MOST && seen.insert(*step)) {
        let Decisive { when, guards, .. } = decisive(step);
        claims.extend(when.iter().map(|guard| (&guard.condition, true)));
        next = match guards {
            [only] => {
                claims.extend(taken(decisive(only.step.index()).chains, *only));
                Some(only.step.index())
            }
            _ => None,
        };
    }
    claims.truncate(MOST);
    claims
}

pub(super) fn of_step(graph: &Graph, id: StepId) -> Claims<'_> {
    of(id.index(), &|step| {
        let step = &graph.steps[step];
        Decisive { when: &step.when, chains: &step.chains, guards: &step.guards }
    })
}

/// All that holds when a branch is taken: its condition, and none of those above it.
pub(super) fn taken(chains: &[Chain], taken: Taken) -> Claims<'_> {
    let arms = chains.get(taken.chain as usize).map_or(&[][..], Vec::as_slice);
    let arm = taken.arm as usize;
    let arms = arms.iter().enumerate().take(arm.saturating_add(1).min(MOST));
    arms.filter_map(|(at, said)| Some((&said.guard.as_ref()?.condition, at == arm))).collect()
}

/// Whether the two sets can never hold together.
pub(super) fn apart(one: &Claims, other: &Claims) -> bool {
    one.iter().any(|(condition, holds)| other.iter().any(|claim| condition.contradicts(*holds, *claim)))
}

/// Whether these claims imply a condition, or its opposite.
pub(super) fn imply(claims: &Claims, condition: &Condition, holds: bool) -> bool {
    claims.iter().any(|(known, is)| known.contradicts(*is, (condition, !holds)))
}
