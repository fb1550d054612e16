//! How long an item took and how it ended, computed from its rows.

use super::group::nanoseconds;
use crate::event::{ItemState, Status};
use crate::session::{Layout, RowRef, state};
use std::collections::BTreeMap;

/// The data of a row that count for its item. Times are nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowMark {
    /// The execution's identity in the layout; `None` without one.
    execution: Option<(usize, u64)>,
    status: Status,
    started: Option<u64>,
    /// Attempts before the last, which the row does not show, began earlier.
    again: bool,
    duration: Option<u64>,
}

impl RowMark {
    pub fn of(layout: Option<&Layout>, row: &RowRef<'_>) -> RowMark {
        RowMark {
            execution: layout.and_then(|layout| layout.execution(row)),
            status: row.status,
            started: row.started_ms.map(|started| started.saturating_mul(1_000_000)),
            again: row.attempt.is_some_and(|attempt| attempt > 1),
            duration: row.duration_ms.map(nanoseconds),
        }
    }

    /// When it began and ended, if both are known. A skipped step took no time.
    pub fn interval(&self) -> Option<(u64, u64)> {
        let started = self.started?;
        let duration = self.duration.or((self.status == Status::Skipped).then_some(0))?;
        Some((started, started.saturating_add(duration)))
    }

    /// The same with its earlier attempts, which began after the run did.
    pub fn whole_interval(&self) -> Option<(u64, u64)> {
        self.interval().map(|(started, end)| (if self.again { 0 } else { started }, end))
    }
}

/// The data of an item while its rows come: what each step did, and when the item ran. It does not grow with the rows
/// of a step, nor with rows that follow each other without a pause.
#[derive(Debug)]
pub(super) struct Trail {
    rows: u64,
    /// When it ran; `None` as soon as one row does not have its times.
    ran: Option<Intervals>,
    /// By execution, as identified by the layout.
    steps: BTreeMap<(usize, u64), Ran>,
}

#[derive(Debug)]
struct Ran {
    /// How it ended last.
    status: Status,
    /// The time of all its rows, in nanoseconds.
    spent: u64,
    /// It has several rows.
    again: bool,
}

impl Default for Trail {
    fn default() -> Self {
        Trail { rows: 0, ran: Some(Intervals::default()), steps: BTreeMap::new() }
    }
}

impl Trail {
    pub fn add(&mut self, mark: &RowMark) {
        self.rows += 1;
        match (&mut self.ran, mark.interval()) {
            (Some(ran), Some(interval)) => ran.add(interval),
            (ran, _) => *ran = None,
        }
        if let Some(execution) = mark.execution {
            let spent = mark.duration.unwrap_or(0);
            let ran = self.steps.entry(execution);
            ran.and_modify(|ran| {
                *ran = Ran { status: mark.status, spent: ran.spent.saturating_add(spent), again: true };
            })
            .or_insert(Ran { status: mark.status, spent, again: false });
        }
    }

    /// Whether no row has come yet.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The time that the item took, in nanoseconds: the union of its rows' intervals, or, without starts, their
    /// longest path through the graph. `None` if neither is known.
    pub fn elapsed(&self, layout: Option<&Layout>) -> Option<u64> {
        match &self.ran {
            Some(ran) => Some(ran.covered()),
            None => layout.map(|layout| self.longest_path(layout)),
        }
    }

    /// Executions of one step follow each other; failure handlers follow everything and each other.
    fn longest_path(&self, layout: &Layout) -> u64 {
        let mut ends: Vec<u64> = Vec::with_capacity(layout.phases.len());
        let mut handled: u64 = 0;
        for (place, phase) in layout.phases.iter().enumerate() {
            let own = self.steps.range((place, 0)..=(place, u64::MAX)).map(|(_, ran)| ran.spent);
            let spent = own.fold(0, u64::saturating_add);
            let before = phase.needs.iter().filter_map(|(need, _)| ends.get(*need)).max();
            ends.push(if phase.handler { 0 } else { before.copied().unwrap_or(0).saturating_add(spent) });
            handled = handled.saturating_add(if phase.handler { spent } else { 0 });
        }
        ends.into_iter().max().unwrap_or(0).saturating_add(handled)
    }

    /// How the item ended; `None` without a layout, which is needed to know whose failure counts.
    pub fn outcome(&self, layout: Option<&Layout>) -> Option<ItemState> {
        let executions = self.steps.iter().map(|(execution, ran)| (*execution, ran.status, ran.again));
        layout.map(|layout| state(layout, executions))
    }
}

/// Time intervals. Adjoining ones are joined whenever the capacity is used up.
#[derive(Debug, Default)]
struct Intervals(Vec<(u64, u64)>);

impl Intervals {
    fn add(&mut self, interval: (u64, u64)) {
        if self.0.len() == self.0.capacity() {
            self.0 = joined(&self.0);
            // Doubles the capacity: so joining costs little for each interval in any case.
            self.0.reserve_exact(self.0.len().max(1));
        }
        self.0.push(interval);
    }

    fn covered(&self) -> u64 {
        let lengths = joined(&self.0).into_iter().map(|(start, end)| end.saturating_sub(start));
        lengths.fold(0, u64::saturating_add)
    }
}

/// The same time in disjoint intervals, sorted.
fn joined(intervals: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut sorted = intervals.to_vec();
    sorted.sort_unstable();
    let mut apart: Vec<(u64, u64)> = Vec::new();
    for (start, end) in sorted {
        match apart.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => apart.push((start, end)),
        }
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn covered(intervals: &[(u64, u64)]) -> u64 {
        let mut all = Intervals::default();
        intervals.iter().for_each(|interval| all.add(*interval));
        all.covered()
    }

    #[test]
    fn overlapping_intervals_count_once_and_gaps_do_not() {
        assert_eq!(covered(&[(5, 10), (0, 4), (7, 12), (20, 21)]), 4 + 7 + 1);
        assert_eq!(covered(&[(0, 10), (2, 3)]), 10);
        assert_eq!(covered(&[]), 0);
    }

    #[test]
    fn rows_that_follow_each_other_take_no_room() {
        let mut all = Intervals::default();
        (0..100_000).for_each(|number| all.add((number, number + 1)));
        assert!(all.0.capacity() <= 4, "{}", all.0.capacity());
        assert_eq!(all.covered(), 100_000);
    }

    proptest! {
        #[test]
        fn joining_early_changes_nothing(intervals in proptest::collection::vec((0u64..200, 0u64..20), 0..100)) {
            let intervals: Vec<(u64, u64)> = intervals.into_iter().map(|(start, length)| (start, start + length)).collect();
            let expected = (0..220).filter(|time| intervals.iter().any(|(start, end)| (start..end).contains(&time))).count();
            prop_assert_eq!(covered(&intervals), expected as u64);
        }
    }
}
