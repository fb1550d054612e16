//! How long an item took and how it ended, told from its rows.

use super::group::nanoseconds;
use crate::event::{ItemState, Status};
use crate::session::{Layout, RowRef, state};

/// What counts of a row once it is known whose it is. Times are nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// In the layout; none without one.
    place: Option<usize>,
    status: Status,
    started: Option<u64>,
    duration: Option<u64>,
}

impl Mark {
    pub fn of(layout: Option<&Layout>, row: &RowRef<'_>) -> Mark {
        Mark {
            place: layout.and_then(|layout| row.place(layout)),
            status: row.status,
            started: row.started_ms.map(|started| started.saturating_mul(1_000_000)),
            duration: row.duration_ms.map(nanoseconds),
        }
    }

    /// When it began and ended, where both are known. A skipped step took no time.
    pub fn interval(&self) -> Option<(u64, u64)> {
        let started = self.started?;
        let duration = self.duration.or((self.status == Status::Skipped).then_some(0))?;
        Some((started, started.saturating_add(duration)))
    }
}

/// The time that an item took, in nanoseconds: the union of its rows' intervals, or, where rows have no
/// start, their longest path through the graph. None where neither is known.
pub(super) fn elapsed(layout: Option<&Layout>, marks: &[Mark]) -> Option<u64> {
    let intervals: Option<Vec<_>> = marks.iter().map(Mark::interval).collect();
    match intervals {
        Some(intervals) => Some(union(intervals)),
        None => layout.map(|layout| longest_path(layout, marks)),
    }
}

fn union(mut intervals: Vec<(u64, u64)>) -> u64 {
    intervals.sort_unstable();
    let mut covered: u64 = 0;
    let mut until = 0;
    for (start, end) in intervals {
        covered = covered.saturating_add(end.saturating_sub(start.max(until)));
        until = until.max(end);
    }
    covered
}

/// Executions of one step follow each other; failure handlers follow everything and each other.
fn longest_path(layout: &Layout, marks: &[Mark]) -> u64 {
    let mut own = vec![0u64; layout.phases.len()];
    for mark in marks {
        if let Some(spent) = mark.place.and_then(|place| own.get_mut(place)) {
            *spent = spent.saturating_add(mark.duration.unwrap_or(0));
        }
    }
    let mut ends: Vec<u64> = Vec::with_capacity(own.len());
    let mut handled: u64 = 0;
    for (phase, spent) in layout.phases.iter().zip(own) {
        let before = phase.needs.iter().filter_map(|(need, _)| ends.get(*need)).max();
        ends.push(if phase.handler { 0 } else { before.copied().unwrap_or(0).saturating_add(spent) });
        handled = handled.saturating_add(if phase.handler { spent } else { 0 });
    }
    ends.into_iter().max().unwrap_or(0).saturating_add(handled)
}

/// How an item ended; none without a layout, which alone says whose failure matters.
pub(super) fn outcome(layout: Option<&Layout>, marks: &[Mark]) -> Option<ItemState> {
    let executions = marks.iter().filter_map(|mark| Some((mark.place?, mark.status)));
    layout.map(|layout| state(layout, executions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_intervals_count_once_and_gaps_do_not() {
        assert_eq!(union(vec![(5, 10), (0, 4), (7, 12), (20, 21)]), 4 + 7 + 1);
        assert_eq!(union(vec![(0, 10), (2, 3)]), 10);
        assert_eq!(union(Vec::new()), 0);
    }
}
