//! Two records compared step by step: which figures changed, by how much, and which of them worsened.

use super::model::{Figure, Group};
use serde::Serialize;
use std::sync::Arc;

/// A figure that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Measure {
    #[serde(rename = "count")]
    Count,
    /// From 0 to 1.
    #[serde(rename = "success_rate")]
    Success,
    #[serde(rename = "mean_ms")]
    Mean,
    #[serde(rename = "p50_ms")]
    P50,
    #[serde(rename = "p95_ms")]
    P95,
}

/// A figure that is another than before, or known on one side only.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    pub phase: Option<Arc<str>>,
    pub figure: Measure,
    pub before: Option<Figure>,
    pub now: Option<Figure>,
    /// Now less before.
    pub difference: Option<Figure>,
    /// The difference as a share of what was before; none where that is zero.
    pub share: Option<Figure>,
    /// Whether it is worse than before by more than is allowed; always false where nothing is said of that.
    pub worse: bool,
}

impl Measure {
    const ALL: [Measure; 5] = [Measure::Count, Measure::Success, Measure::Mean, Measure::P50, Measure::P95];

    fn of(self, group: &Group) -> Option<Figure> {
        match self {
            Measure::Count => Some(Figure(group.count as f64)),
            Measure::Success => group.success_rate,
            Measure::Mean => group.mean_ms,
            Measure::P50 => group.p50_ms,
            Measure::P95 => group.p95_ms,
        }
    }

    /// By how much it may be too large, as a share of it.
    fn error(self, group: &Group) -> f64 {
        match self {
            Measure::P50 | Measure::P95 => group.percentile_error.0,
            Measure::Count | Measure::Success | Measure::Mean => 0.0,
        }
    }

    /// Whether a difference in this direction is for the worse; none where neither is.
    fn worsens(self, difference: f64) -> Option<bool> {
        match self {
            Measure::Success => Some(difference < 0.0),
            Measure::P95 => Some(difference > 0.0),
            Measure::Count | Measure::Mean | Measure::P50 => None,
        }
    }
}

/// What changed from the groups of steps in `old` to those in `new`, in the order of `new`; steps that are no
/// more come last. A success rate or 95th percentile that worsened by more than `threshold`, a share of what
/// it was, is marked.
pub fn changes(old: &[Group], new: &[Group], threshold: Option<f64>) -> Vec<Change> {
    let same = |one: &Group, other: &Group| one.phase() == other.phase();
    let pairs = new.iter().map(|now| (old.iter().find(|before| same(before, now)), Some(now)));
    let gone = old.iter().filter(|before| !new.iter().any(|now| same(before, now)));
    let pairs = pairs.chain(gone.map(|before| (Some(before), None)));
    pairs
        .flat_map(|(before, now)| {
            // Of a step that only one record has there is nothing to compare but that it is there.
            let all = before.is_some() && now.is_some();
            let figures = if all { &Measure::ALL[..] } else { &[Measure::Count] };
            figures.iter().filter_map(move |figure| change(*figure, before, now, threshold))
        })
        .collect()
}

fn change(
    figure: Measure,
    before: Option<&Group>,
    now: Option<&Group>,
    threshold: Option<f64>,
) -> Option<Change> {
    let phase = now.or(before)?.phase().cloned();
    let error = |group: Option<&Group>| group.map_or(0.0, |group| figure.error(group));
    let error = error(before).max(error(now));
    let (before, now) = (before.and_then(|group| figure.of(group)), now.and_then(|group| figure.of(group)));
    if before == now {
        return None;
    }
    let difference = before.zip(now).map(|(before, now)| Figure(rounded(now.0 - before.0)));
    let share = difference.zip(before).filter(|(_, before)| before.0 != 0.0);
    let share = share.map(|(difference, before)| Figure(difference.0 / before.0));
    let worsened = difference.and_then(|difference| figure.worsens(difference.0)) == Some(true);
    // From nothing to something is more than any share. What an estimate alone may have added is no reason.
    let worse = worsened
        && threshold.is_some_and(|threshold| share.is_none_or(|share| share.0.abs() > threshold + error));
    Some(Change { phase, figure, before, now, difference, share, worse })
}

/// Without the dust that subtracting decimal fractions leaves.
fn rounded(difference: f64) -> f64 {
    (difference * 1e9).round() / 1e9
}
