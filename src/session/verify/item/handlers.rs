//! The rows of an item's failure handlers: each is called where the item failed, and as often as it did.

use super::super::super::document::Cell;
use super::Checker;
use crate::diag::catalogue;
use crate::event::Status;
use crate::graph::{StateId, StepId};
use crate::spec::Mark;
use std::collections::BTreeSet;

impl Checker<'_, '_> {
    /// How often the item failed after it had been put back, at most: something must have run again.
    fn returns(&self) -> usize {
        let executions = self.graph().order.iter().flat_map(|id| self.executions(*id));
        let again = executions.map(|rows| rows.len().saturating_sub(1));
        again.max().unwrap_or(0) + usize::from(self.graph().settings.deadline.is_some())
    }

    /// Whether the item went on between two rows, as far as their times tell.
    fn went_on(&self, first: usize, second: usize) -> bool {
        let started = |row: usize| self.record.rows[row].started_ms;
        let (Some(first), Some(second)) = (started(first), started(second)) else { return false };
        let forward = self.graph().order.iter().flat_map(|id| &self.rows[id.index()]);
        let between = |row: &usize| started(*row).is_some_and(|at| first <= at && at <= second);
        // A deadline can pass while no step runs.
        self.graph().settings.deadline.is_some() || { forward }.any(between)
    }

    /// `states` are those that the item was in.
    pub(super) fn handlers(&mut self, states: BTreeSet<StateId>) {
        self.states(states);
        let failed = self.graph().order.iter().any(|id| {
            let optional = self.graph().step(*id).mark == Some(Mark::Optional);
            self.rows[id.index()]
                .iter()
                .map(|row| self.status(*row))
                .any(|status| status == Status::Cancelled || (status.is_failure() && !optional))
        });
        let (halted_for_good, returns) = (self.halted_for_good(), self.returns());
        // Whether any item failed is not told by the rows of the run.
        let handlers: Vec<StepId> =
            self.graph().handlers().filter(|id| !self.once && self.retraced.is_own(*id)).collect();
        for id in handlers {
            let rows = self.rows[id.index()].clone();
            match rows.first() {
                // A deadline can pass while no step runs, and then no row tells of it.
                Some(row) if !failed && self.graph().settings.deadline.is_none() => {
                    let place = self.record.places[*row].cell(Cell::Phase);
                    let difference = catalogue::row_handler(place, self.record.title(id), self.key);
                    self.found.differences.push(difference);
                }
                None if failed && !halted_for_good && !self.may_be_absent(id) => {
                    self.found.missing.entry(id).or_default().add(self.key);
                }
                _ => {
                    for pair in rows.windows(2).skip(returns) {
                        let &[first, second] = pair else { continue };
                        if self.went_on(first, second) {
                            continue;
                        }
                        let places = [first, second].map(|row| self.record.places[row].cell(Cell::Phase));
                        let title = self.record.title(id);
                        let difference = catalogue::row_repeated(places[1], places[0], title, self.key, true);
                        self.found.differences.push(difference);
                    }
                }
            }
        }
    }

    /// A handler comes at any time, so it starts in any state that the item can have been in.
    fn states(&mut self, mut states: BTreeSet<StateId>) {
        let passages = |id: StepId| self.graph().step(id).state.as_ref();
        let done = |id: &StepId| self.rows[id.index()].iter().any(|row| self.is_done(*row));
        let behind = self.graph().compensations().chain(self.graph().handlers()).filter(done);
        states.extend(behind.filter_map(|id| passages(id)?.to));
        let now: Vec<StateId> = states.iter().copied().collect();
        let mut differences = Vec::new();
        for id in self.graph().handlers().filter(|_| !now.is_empty()) {
            let from = passages(id).map(|passage| passage.from.as_slice()).unwrap_or_default();
            let Some(row) = self.started(id).filter(|_| !from.is_empty()) else { continue };
            if !from.iter().any(|state| states.contains(state)) {
                differences.push(self.record.misplaced(self.key, row, id, from, &now, None));
            }
        }
        self.found.differences.append(&mut differences);
    }

    /// Whether somebody stopped the run: then no handler is called.
    fn halted_for_good(&self) -> bool {
        let critical = self.graph().order.iter().any(|id| {
            let critical = self.graph().step(*id).mark == Some(Mark::Critical);
            critical && self.rows[id.index()].iter().any(|row| self.status(*row).is_failure())
        });
        let cancelled = self.rows.iter().flatten().any(|row| self.status(*row) == Status::Cancelled);
        cancelled && !critical
    }
}
