//! What an item did that may have to be undone, and what came of undoing it. Knows nothing of the order.

use crate::event::{Answer, Execution, ItemError, Outcome, Status, StepPath};
use crate::graph::{Graph, StepId};
use std::collections::{BTreeMap, BTreeSet};

/// What steps did that name who undoes them, or that cannot be undone.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// By the execution that had it, or may have had it.
    pub standing: BTreeMap<StepPath, Effect>,
    /// Counts the effects, to tell the later from the earlier.
    count: u32,
    /// The step whose effects are being undone.
    pub undoing: Option<StepId>,
    /// What was undone on this visit.
    pub undone: BTreeSet<StepId>,
    /// What stands is what an earlier attempt to undo it left.
    pub reopened: bool,
}

#[derive(Debug)]
pub(super) struct Effect {
    pub number: u32,
    /// Why its compensation failed.
    pub error: Option<ItemError>,
}

impl Effects {
    /// Takes note of what an attempt came to; one that certainly did nothing leaves nothing to undo.
    pub fn see(&mut self, graph: &Graph, path: StepPath, result: &Answer) {
        if result.as_ref().map_or_else(|failure| failure.outcome == Outcome::Unknown, |_| true) {
            self.may_stand(graph, path);
        }
    }

    /// An attempt may have had an effect.
    pub fn may_stand(&mut self, graph: &Graph, path: StepPath) {
        if Effects::count(graph, path.step) {
            self.count += 1;
            self.standing.insert(path, Effect { number: self.count, error: None });
        }
    }

    /// Whether it matters if a step had an effect.
    pub fn count(graph: &Graph, step: StepId) -> bool {
        graph.step(step).compensate.is_some() || graph.step(step).irreversible
    }

    /// Whether something failed on its way forward, and is being undone for the first time.
    pub fn is_fresh(&self) -> bool {
        !self.reopened
    }

    /// The step that is being undone.
    pub fn undoing(&self) -> Option<StepId> {
        self.undoing
    }

    pub fn is_open(&self, path: StepPath) -> bool {
        self.standing.get(&path).is_some_and(|effect| effect.error.is_none())
    }

    /// Why something still stands that should not.
    pub fn errors(&self) -> impl Iterator<Item = &ItemError> {
        self.standing.values().filter_map(|effect| effect.error.as_ref())
    }

    pub fn any_failed(&self) -> bool {
        self.errors().next().is_some()
    }

    /// What failed to be undone is to be undone once more. Returns whether there was any.
    pub fn reopen(&mut self) -> bool {
        let failed = self.any_failed();
        self.reopened |= failed;
        self.standing.values_mut().for_each(|effect| effect.error = None);
        failed
    }

    /// What failed to be undone was undone by somebody.
    pub fn resolve(&mut self) {
        let failed = self.standing.iter().filter(|(_, effect)| effect.error.is_some());
        self.undone.extend(failed.map(|(path, _)| path.step));
        self.standing.retain(|_, effect| effect.error.is_none());
    }

    /// What comes of one execution of a compensation; without an element, of all that is left of its step.
    pub fn over(&mut self, execution: &Execution) {
        let Some(step) = self.undoing else { return };
        let one = execution.element.map(|element| StepPath::element(step, element));
        let concerned = |path: StepPath| path.step == step && one.is_none_or(|one| one == path);
        match execution.status {
            Status::Compensated | Status::Skipped => {
                self.undone.extend((execution.status == Status::Compensated).then_some(step));
                self.standing.retain(|path, _| !concerned(*path));
            }
            Status::CompensationFailed => {
                let open = self.standing.iter_mut().filter(|(path, _)| concerned(**path));
                for (_, effect) in open {
                    effect.error.get_or_insert_with(|| ItemError::of(execution));
                }
            }
            // Stopped with the run, it is to be undone still.
            Status::Cancelled | Status::Success | Status::Failed | Status::Timeout => {}
        }
    }
}

impl ItemError {
    /// The failure of a step.
    pub(super) fn of(execution: &Execution) -> ItemError {
        ItemError {
            step: Some(execution.step),
            message: execution.error.clone().unwrap_or_default(),
            code: execution.code.clone(),
            attempts: execution.attempt.unwrap_or(0),
        }
    }

    /// One that no step has brought about.
    pub(super) fn without_step(message: String) -> ItemError {
        ItemError { step: None, message, code: None, attempts: 0 }
    }
}
