//! Steps that run more than once for an item: failed steps that were retried, and failure handlers, which are called
//! once for each failure.

use super::super::document::Cell;
use super::super::row::Row;
use super::DocumentRecord;
use super::item::{Checker, ItemRows, is_done};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::engine::is_failed;
use crate::event::Status;
use crate::graph::{StateId, StepId};
use std::collections::BTreeSet;

impl ItemRows<'_> {
    /// Whether a step ran again after one was compensated, or from the start with other inputs.
    pub fn began_again(&self) -> bool {
        let started = |row: usize| self.record.rows[row].started_ms;
        let undone = self.graph().compensations().flat_map(|id| self.of_step(id)).copied();
        let undone: Vec<Option<u64>> =
            undone.filter(|row| self.record.status(*row) == Status::Compensated).map(started).collect();
        let timed = self.all().any(|row| started(row).is_some());
        let between = |first: usize, second: usize| {
            undone.iter().any(|undone| match (started(first), undone, started(second)) {
                (Some(first), Some(undone), Some(second)) => {
                    first < second && first <= *undone && *undone <= second
                }
                // Rows that a run writes into its document have no times. Others count no attempts either, and then
                // only a handler can have requeued the item.
                _ => self.put_backs() > 0 || !timed && self.counts_attempts(),
            })
        };
        let again = |pair: &[usize]| between(pair[0], pair[1]) || self.renewed(pair[0], pair[1]);
        let again = |rows: &Vec<usize>| rows.windows(2).any(again);
        self.graph().order.iter().any(|id| self.executions_of_all_rounds(*id).iter().any(again))
    }

    /// Whether the second of two rows is of another visit than the first without a compensation: all earlier rows had
    /// ended, and failed; or the step runs for all items, and one of them ran again between.
    fn renewed(&self, first: usize, second: usize) -> bool {
        if !matches!(self.record.status(first), Status::Success | Status::Skipped) {
            return false;
        }
        let times = |row: usize| self.record.times(row);
        let (Some((before, ended)), Some((from, _))) = (times(first), times(second)) else {
            return self.items_ran_again() || self.began_over();
        };
        let apart = |(_, row)| times(row).is_some_and(|(start, end)| end <= from || start >= from);
        let failed = |(id, row)| {
            let failed = is_failed(self.graph().step(id), self.record.status(row));
            failed && times(row).is_some_and(|(start, _)| start < from)
        };
        let ended_badly = || self.forward().any(failed) || self.items_ran(ended, from);
        before < from && self.forward().all(apart) && ended_badly()
    }

    /// Without times: whether a step of the item failed, and every step that waits for no other ran again.
    fn began_over(&self) -> bool {
        let graph = self.graph();
        let failed = self.forward().any(|(id, row)| is_failed(graph.step(id), self.record.status(row)));
        let first = |id: &StepId| graph.step(*id).needs.is_empty() && !self.of_step(*id).is_empty();
        let again = |id: StepId| self.executions(id).iter().all(|rows| rows.len() > 1);
        failed && self.counts_attempts() && { graph.order.iter() }.copied().filter(first).all(again)
    }

    fn counts_attempts(&self) -> bool {
        self.all().any(|row| self.record.rows[row].attempt.is_some())
    }

    /// Whether these are steps for all items, and one of the items ran after they had begun.
    pub fn items_ran_after(&self) -> bool {
        match self.all().filter_map(|row| self.record.rows[row].started_ms).min() {
            Some(began) => self.items_ran(began as f64 + 1.0, f64::INFINITY),
            None => self.items_ran_again(),
        }
    }

    /// Whether these are steps for all items, and one of the items ran in this period, or may have waited in it.
    fn items_ran(&self, from: f64, to: f64) -> bool {
        let started = |row: &Row| row.started_ms.map(|start| start as f64);
        let ran = |row: &Row| started(row).is_some_and(|start| (from..=to).contains(&start));
        self.of_items().any(ran) || self.items_waited(|row| started(row) <= Some(to))
    }

    /// The same without times: whether an item has several rows of an execution.
    fn items_ran_again(&self) -> bool {
        let mut seen = BTreeSet::new();
        self.of_items().any(|row| !seen.insert((&row.phase, &row.item, &row.input)))
            || self.items_waited(|_| true)
    }

    /// Whether an item may have waited after one of these rows, in which it failed: an item that is cancelled while it
    /// waits for a person or an event leaves no row.
    fn items_waited(&self, failed: impl Fn(&Row) -> bool) -> bool {
        let waits = self
            .graph()
            .steps
            .iter()
            .any(|step| !step.once && (step.awaits.is_some() || !step.gates.is_empty()));
        waits && self.of_items().any(|row| row.status.is_failure() && failed(row))
    }

    /// The rows of items, if these are the steps for all of them.
    fn of_items(&self) -> impl Iterator<Item = &Row> {
        let DocumentRecord { rows, layout, .. } = self.record;
        rows.iter().filter(|row| self.once && !layout.is_of_run(&row.borrowed()))
    }

    /// How often failure handlers requeued the item.
    fn put_backs(&self) -> usize {
        let asks = |id: &StepId| {
            let outputs = &self.graph().step(*id).outputs;
            outputs.iter().any(|output| self.graph().value(output.value).name.starts_with("retry"))
        };
        let rows = self.graph().handlers().filter(asks).flat_map(|id| self.of_step(id));
        rows.filter(|row| self.record.status(**row) == Status::Success).count()
    }

    /// How often the item can have failed after it was requeued: a step must have run again, or another one failed.
    fn returns(&self) -> usize {
        let executions = self.graph().order.iter().flat_map(|id| self.executions_of_all_rounds(*id));
        let again = executions.map(|rows| rows.len().saturating_sub(1));
        let failed =
            |(id, row): &(StepId, usize)| is_failed(self.graph().step(*id), self.record.status(*row));
        // With times, the rows between two calls show why the second one was made.
        match self.all().any(|row| self.record.rows[row].started_ms.is_some()) {
            true => again.max().unwrap_or(0),
            false => self.forward().filter(failed).count().saturating_sub(1).max(again.sum()),
        }
    }

    /// Whether a step ran between two rows, as far as their times show.
    fn went_on(&self, first: usize, second: usize) -> bool {
        let started = |row: usize| self.record.rows[row].started_ms;
        let (Some(first), Some(second)) = (started(first), started(second)) else { return false };
        self.forward().any(|(_, row)| started(row).is_some_and(|at| first <= at && at <= second))
    }

    fn ran_again(&self, id: StepId, pair: &[usize], done: bool) -> Diagnostic {
        let place = |row: usize| self.record.place(row, Cell::Phase);
        catalogue::row_repeated(place(pair[1]), place(pair[0]), self.record.title(id), self.key, done)
    }

    /// A row of a step that does not start in the states that the item can have been in.
    pub fn misplaced(
        &self,
        row: usize,
        id: StepId,
        from: &[StateId],
        now: &[StateId],
        led: Option<(Span, &str)>,
    ) -> Diagnostic {
        let names = |states: &[StateId]| states.iter().map(|id| self.graph().state(*id)).collect::<Vec<_>>();
        let (place, title) = (self.record.place(row, Cell::Phase), self.record.title(id));
        catalogue::row_state(place, title, self.key, &names(from), &names(now), led)
    }
}

impl Checker<'_, '_> {
    /// A step runs again only if it failed, and the item was requeued or retried.
    pub fn repeated(&mut self, id: StepId) {
        let rows = self.rows;
        let row = |row: usize| &rows.record.rows[row];
        // If rows count their attempts or have times, the item may have been retried.
        let counted = |at: usize| row(at).attempt.is_some() || row(at).started_ms.is_some();
        for execution in rows.executions(id).iter().filter(|rows| rows.len() > 1) {
            let back =
                if rows.forward().any(|(_, row)| counted(row)) { usize::MAX } else { rows.put_backs() };
            for (nth, pair) in execution.windows(2).enumerate() {
                let done = matches!(row(pair[0]).status, Status::Success | Status::Skipped);
                // Without an attempt, for a spent budget, an unavailable agent or a deadline, no row of the item may
                // have one.
                let refused = row(pair[0]).status.is_failure()
                    && row(pair[0]).attempt.is_none()
                    && row(pair[0]).duration_ms == Some(0.0);
                let missed = rows.is_of_loop(id, pair[1]);
                if (done || nth >= back && !refused) && !missed {
                    self.found.differences.push(rows.ran_again(id, pair, done));
                }
            }
        }
    }

    /// A failure handler is called only if the item failed.
    pub fn handlers(&mut self) {
        let rows = self.rows;
        let graph = rows.graph();
        let failed = rows.forward().any(|(id, row)| is_failed(graph.step(id), rows.record.status(row)));
        // A deadline can pass while no step runs, and then no row shows it.
        let may_be_late = graph.settings.deadline.is_some();
        // A stopped run does not call handlers.
        let stopped = rows.is_cancelled() && !rows.failed_critically();
        // The rows of the run do not show whether any item failed.
        for id in graph.handlers().filter(|id| !rows.once && !graph.step(*id).once) {
            match rows.of_step(id) {
                [first, ..] if !failed && !may_be_late => {
                    let place = rows.record.place(*first, Cell::Phase);
                    let difference = catalogue::row_handler(place, rows.record.title(id), rows.key);
                    self.found.differences.push(difference);
                }
                [] if failed && !stopped && !rows.may_be_absent(id) => {
                    self.found.missing.entry(id).or_default().add(rows.key);
                }
                called if called.len() > 1 && !may_be_late => {
                    let again = called.windows(2).skip(rows.returns());
                    let again = again.filter(|pair| !rows.went_on(pair[0], pair[1]));
                    self.found.differences.extend(again.map(|pair| rows.ran_again(id, pair, true)));
                }
                _ => {}
            }
        }
    }

    /// A handler may run at any time, so it may start in any state that the item was in, if all of them are known.
    pub fn states(&mut self, states: Option<BTreeSet<StateId>>) {
        let rows = self.rows;
        let Some(mut states) = states else { return };
        let passage = |id: StepId| rows.graph().step(id).state.as_ref();
        let done = |id: &StepId| rows.any(*id, is_done);
        let behind = rows.graph().compensations().chain(rows.graph().handlers()).filter(done);
        states.extend(behind.filter_map(|id| passage(id)?.to));
        let now: Vec<StateId> = states.iter().copied().collect();
        for id in rows.graph().handlers() {
            let (Some(passage), Some(row)) = (passage(id), rows.begun(id)) else { continue };
            if !passage.from.iter().any(|state| states.contains(state)) {
                self.found.differences.push(rows.misplaced(row, id, &passage.from, &now, None));
            }
        }
    }
}
