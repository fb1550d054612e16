//! The steps that a successful item did not run, and why. A step that a condition skipped has a row and is not listed;
//! a step that needed the output of a skipped one has none, and is listed here.

use super::Item;
use super::state::End;
use crate::event::{NotRun, StepId, ValueId};
use crate::graph::{Graph, Taken, Target};
use std::collections::{BTreeMap, BTreeSet};

/// Why a step did not run, by the other steps involved.
#[derive(Default)]
struct NotRunReason {
    text: String,
    /// A decision took another branch: nothing is missing.
    decided: bool,
    /// The steps that ran in its place; empty if none did.
    instead: BTreeSet<StepId>,
}

impl Item {
    /// In the order of the graph.
    pub(super) fn not_run(&self, graph: &Graph) -> Vec<NotRun> {
        let ended = |id: StepId, end: End| self.is_own(graph, id) && self.end(id) == Some(end);
        if !graph.order.iter().any(|id| ended(*id, End::Absent)) {
            return Vec::new();
        }
        let mut reasons: BTreeMap<StepId, NotRunReason> = BTreeMap::new();
        let mut not_run = Vec::new();
        for &id in &graph.order {
            if ended(id, End::Skipped) {
                let instead = self.instead(graph, id);
                reasons.insert(id, NotRunReason { instead, decided: true, ..NotRunReason::default() });
            } else if ended(id, End::Absent) {
                let reason = self.why_absent(graph, id, &reasons);
                let (because, decided) = (reason.text.clone(), reason.decided);
                not_run.push(NotRun { step: id, because, decided });
                reasons.insert(id, reason);
            }
        }
        not_run
    }

    /// The steps that a decision led to instead of a skipped one.
    fn instead(&self, graph: &Graph, id: StepId) -> BTreeSet<StepId> {
        let chains: BTreeSet<(StepId, u32)> =
            graph.step(id).guards.iter().map(|guard| (guard.step, guard.chain)).collect();
        let taken = self.taken.iter().filter(|(step, chain, _)| chains.contains(&(*step, *chain)));
        let targets = |(step, chain, arm): &(StepId, u32, Option<u32>)| {
            let arms = graph.step(*step).chains.get(*chain as usize)?;
            let taken = Taken { step: *step, chain: *chain, arm: (*arm)? };
            match arms.get(taken.arm as usize)?.target {
                Target::Step(target) => Some(vec![target]),
                Target::Group(_) => Some(graph.led_by(taken).collect()),
                _ => None,
            }
        };
        taken.filter_map(targets).flatten().collect()
    }

    fn why_absent(
        &self,
        graph: &Graph,
        id: StepId,
        reasons: &BTreeMap<StepId, NotRunReason>,
    ) -> NotRunReason {
        let step = graph.step(id);
        if self.lacks_decision(graph, id) {
            let deciders: BTreeSet<StepId> = step.guards.iter().map(|guard| guard.step).collect();
            let all: Vec<&NotRunReason> = deciders.iter().filter_map(|id| reasons.get(id)).collect();
            let every = all.len() == deciders.len();
            let whys: Vec<String> = deciders.iter().map(|id| self.why_not(graph, *id)).collect();
            let apart = every && all.iter().all(|reason| !reason.instead.is_empty());
            return NotRunReason {
                text: format!("no decision led to it ({})", whys.join(", ")),
                decided: every && all.iter().all(|reason| reason.decided),
                instead: if apart { instead(&all) } else { BTreeSet::new() },
            };
        }
        let lacks: Vec<ValueId> =
            step.inputs.iter().filter(|input| self.lacks(graph, input)).map(|input| input.value).collect();
        let (missing, what_for) = match lacks.as_slice() {
            [] => (self.unasked(graph, id), " for its condition"),
            _ => (lacks, ""),
        };
        let makers: Vec<Vec<StepId>> = missing.iter().map(|value| self.makers(graph, *value)).collect();
        let needs: Vec<String> = missing
            .iter()
            .zip(&makers)
            .map(|(value, makers)| {
                let whys: Vec<String> = makers.iter().map(|id| self.why_not(graph, *id)).collect();
                format!("{} ({})", graph.value(*value).name, whys.join(", "))
            })
            .collect();
        let all: Vec<Option<&NotRunReason>> = makers.iter().flatten().map(|id| reasons.get(id)).collect();
        let whole = all.len() == all.iter().flatten().count();
        let all: Vec<&NotRunReason> = all.into_iter().flatten().collect();
        let instead = instead(&all);
        let apart = whole && !all.is_empty() && all.iter().all(|reason| !reason.instead.is_empty());
        // A step that takes values of branches that exclude each other never runs.
        let decided = apart && !self.draws_on(graph, id, &instead) && !instead.contains(&id);
        NotRunReason {
            text: format!("needs {}{what_for}", needs.join(" and ")),
            decided,
            instead: if decided { instead } else { BTreeSet::new() },
        }
    }

    /// The values that a step's conditions read and that were not made.
    fn unasked(&self, graph: &Graph, id: StepId) -> Vec<ValueId> {
        let guards = graph.step(id).when.iter().filter(|guard| self.condition(graph, id, guard).is_none());
        let values = guards.flat_map(|guard| guard.names.iter().map(|(_, value)| *value));
        let absent: BTreeSet<ValueId> = values.filter(|value| self.is_absent(graph, id, *value)).collect();
        absent.into_iter().collect()
    }

    fn makers(&self, graph: &Graph, value: ValueId) -> Vec<StepId> {
        let makes = |id: &StepId| graph.step(*id).outputs.iter().any(|output| output.value == value);
        graph.order.iter().copied().filter(|id| self.is_own(graph, *id) && makes(id)).collect()
    }

    fn why_not(&self, graph: &Graph, id: StepId) -> String {
        let why = match self.end(id) {
            Some(End::Skipped) => "was skipped",
            Some(End::FailedOptional) => "failed",
            Some(End::Succeeded) => "left it out",
            _ => "did not run",
        };
        format!("{} {why}", graph.step(id).title)
    }

    /// Whether a step depends on the output of one of these, directly or through others.
    fn draws_on(&self, graph: &Graph, id: StepId, sources: &BTreeSet<StepId>) -> bool {
        let mut seen = BTreeSet::new();
        let mut ahead = vec![id];
        while let Some(next) = ahead.pop() {
            for maker in graph.step(next).inputs.iter().flat_map(|input| &input.makers) {
                if sources.contains(maker) {
                    return true;
                }
                if seen.insert(*maker) {
                    ahead.push(*maker);
                }
            }
        }
        false
    }
}

fn instead(reasons: &[&NotRunReason]) -> BTreeSet<StepId> {
    reasons.iter().flat_map(|reason| reason.instead.iter().copied()).collect()
}
