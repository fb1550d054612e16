//! Which steps, ways of decisions and compensations the cases of a document reach.

use crate::event::{AttemptEvent, Event, EventKind, Execution, Status, StepEvent};
use crate::graph::{Graph, Kind, StepId, Taken, Target};
use std::collections::BTreeSet;

/// What the cases so far have reached.
#[derive(Debug, Default)]
pub struct Coverage {
    steps: BTreeSet<StepId>,
    ways: BTreeSet<DecisionWay>,
}

/// A way on which a decision or a condition can lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DecisionWay {
    /// An arm of a decision; `arm` is `None` if no condition holds.
    Arm { step: StepId, chain: u32, arm: Option<u32> },
    /// The condition of a step does not hold.
    Skipped(StepId),
}

/// How many parts were reached, and which were not.
#[derive(Debug)]
pub struct CoveredParts<T> {
    pub all: usize,
    pub missing: Vec<T>,
}

impl<T> CoveredParts<T> {
    fn of(all: impl Iterator<Item = T>, reached: impl Fn(&T) -> bool) -> CoveredParts<T> {
        let all: Vec<T> = all.collect();
        CoveredParts { all: all.len(), missing: all.into_iter().filter(|one| !reached(one)).collect() }
    }

    pub fn covered(&self) -> usize {
        self.all - self.missing.len()
    }
}

impl Coverage {
    /// Adds the events of a case.
    pub fn take(&mut self, graph: &Graph, events: &[Event]) {
        // The arms that were taken, and the steps whose last attempt succeeded.
        let (mut taken, mut succeeded) = (BTreeSet::new(), BTreeSet::new());
        for event in events {
            match &event.kind {
                EventKind::Attempt(_, step, _, AttemptEvent::Started) => {
                    self.steps.insert(step.step);
                }
                EventKind::Step(_, StepEvent::BranchTaken { step, chain, arm }) => {
                    self.ways.insert(DecisionWay::Arm { step: *step, chain: *chain, arm: *arm });
                    taken.extend(arm.map(|arm| Taken { step: *step, chain: *chain, arm }));
                }
                EventKind::Step(_, StepEvent::Ended(execution)) if execution.status == Status::Skipped => {
                    let step = graph.step(execution.step);
                    let led = step.guards.is_empty() || step.guards.iter().any(|one| taken.contains(one));
                    if led && !step.skips.iter().any(|one| taken.contains(one)) {
                        self.ways.insert(DecisionWay::Skipped(execution.step));
                    }
                }
                EventKind::Step(_, StepEvent::Ended(execution)) if succeeded.contains(&execution.step) => {
                    self.failing(graph, execution);
                }
                EventKind::Attempt(_, step, _, AttemptEvent::Finished(Ok(_))) => {
                    succeeded.insert(step.step);
                }
                EventKind::Attempt(_, step, _, AttemptEvent::Finished(Err(_))) => {
                    succeeded.remove(&step.step);
                }
                EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
            }
        }
    }

    /// A step that was answered has failed: by an arm that leads to a failure, if it has this reason. Arms of a step with
    /// the same reason count together.
    fn failing(&mut self, graph: &Graph, execution: &Execution) {
        let step = execution.step;
        for (chain, arms) in (0..).zip(&graph.step(step).chains) {
            for (arm, target) in (0..).zip(arms.iter().map(|arm| &arm.target)) {
                if matches!(target, Target::Fail(reason) if Some(reason) == execution.error.as_ref()) {
                    self.ways.insert(DecisionWay::Arm { step, chain, arm: Some(arm) });
                }
            }
        }
    }

    /// The steps that do the work or handle failures.
    pub fn steps(&self, graph: &Graph) -> CoveredParts<StepId> {
        self.of_kind(graph, |kind| kind != Kind::Compensation)
    }

    pub fn compensations(&self, graph: &Graph) -> CoveredParts<StepId> {
        self.of_kind(graph, |kind| kind == Kind::Compensation)
    }

    fn of_kind(&self, graph: &Graph, meant: impl Fn(Kind) -> bool) -> CoveredParts<StepId> {
        let all = graph.ids().filter(|id| meant(graph.step(*id).kind));
        CoveredParts::of(all, |id| self.steps.contains(id))
    }

    /// The arms of decisions, with the way without one if the last has a condition, and the conditions that do not hold.
    pub fn decisions(&self, graph: &Graph) -> CoveredParts<DecisionWay> {
        let all = graph.ids().flat_map(|id| {
            let step = graph.step(id);
            let skipped = (!step.when.is_empty()).then_some(DecisionWay::Skipped(id));
            let arms = (0..).zip(&step.chains).flat_map(move |(chain, arms)| {
                let none = arms.last().is_some_and(|arm| arm.guard.is_some()).then_some(None);
                let all = (0..).zip(arms).map(|(arm, _)| Some(arm)).chain(none);
                all.map(move |arm| DecisionWay::Arm { step: id, chain, arm })
            });
            skipped.into_iter().chain(arms)
        });
        CoveredParts::of(all, |way| self.ways.contains(way))
    }
}
