//! Two records compared step by step: which figures changed, by how much, and which of them worsened.

use super::model::{Figure, Group};
use crate::value::Decimal;
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

/// A figure that changed, or is known on one side only.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    pub phase: Option<Arc<str>>,
    pub figure: Measure,
    pub before: Option<Figure>,
    pub now: Option<Figure>,
    /// The new value minus the old one.
    pub difference: Option<Figure>,
    /// The difference as a share of the old value; `None` if that is zero.
    pub share: Option<Figure>,
    /// Whether it is worse than before by more than is allowed; always false without a threshold.
    pub worse: bool,
    /// Whether it would be worse, but is below the noise floor.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub noise: bool,
}

/// By how much a step may be worse than before.
#[derive(Clone, Debug)]
pub struct Threshold {
    /// The allowed share of the old value, in percent.
    pub percent: Decimal,
    /// The noise floor of times: with fewer executions on either side, or a smaller difference, none is worse. A
    /// success rate has no such floor, because failures do not depend on the machine's load.
    pub executions: u64,
    pub milliseconds: Decimal,
}

/// Two records, compared.
#[derive(Debug)]
pub struct Changes {
    pub all: Vec<Change>,
    /// The steps that only one record has.
    pub only_before: Vec<Arc<str>>,
    pub only_now: Vec<Arc<str>>,
    /// How many figures a threshold could compare.
    pub compared: usize,
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

    /// The exact value as a fraction, if the measure has a good and a bad direction.
    fn exact(self, group: &Group) -> Option<(Decimal, Decimal)> {
        match self {
            Measure::Success => (group.tried() > 0).then(|| (group.done().into(), group.tried().into())),
            Measure::P95 => Some((Decimal::of_float(group.p95_ms?.0)?, 1.into())),
            Measure::Count | Measure::Mean | Measure::P50 => None,
        }
    }

    /// The largest error of the value, in percent of it.
    fn error(self, group: &Group) -> Option<Decimal> {
        let share = if self == Measure::P95 { group.percentile_error.0 } else { 0.0 };
        Decimal::of_float(share)?.multiply(&100.into())
    }
}

/// The changes from the groups of steps in `old` to those in `new`, in the order of `new`; removed steps come last.
/// With a threshold, a success rate or 95th percentile that worsened by more than it allows is marked.
pub fn changes(old: &[Group], new: &[Group], threshold: Option<&Threshold>) -> Changes {
    let same = |one: &Group, other: &Group| one.phase() == other.phase();
    let pairs = new.iter().map(|now| (old.iter().find(|before| same(before, now)), Some(now)));
    let gone = old.iter().filter(|before| !new.iter().any(|now| same(before, now)));
    let pairs = pairs.chain(gone.map(|before| (Some(before), None)));
    let mut found = Changes { all: Vec::new(), only_before: Vec::new(), only_now: Vec::new(), compared: 0 };
    for (before, now) in pairs {
        match (before, now) {
            (Some(before), Some(now)) => {
                let both = |figure: &&Measure| figure.exact(before).is_some() && figure.exact(now).is_some();
                found.compared += Measure::ALL.iter().filter(both).count();
            }
            (Some(before), None) => found.only_before.extend(before.phase().cloned()),
            (None, now) => found.only_now.extend(now.and_then(Group::phase).cloned()),
        }
        // For a step that only one record has, only its existence is compared.
        let all = before.is_some() && now.is_some();
        let figures = if all { &Measure::ALL[..] } else { &[Measure::Count] };
        found.all.extend(figures.iter().filter_map(|figure| change(*figure, before, now, threshold)));
    }
    found
}

fn change(
    figure: Measure,
    before: Option<&Group>,
    now: Option<&Group>,
    threshold: Option<&Threshold>,
) -> Option<Change> {
    let phase = now.or(before)?.phase().cloned();
    let worse = threshold
        .zip(before.zip(now))
        .and_then(|(threshold, (before, now))| worse(figure, before, now, threshold));
    let (before, now) = (before.and_then(|group| figure.of(group)), now.and_then(|group| figure.of(group)));
    if before == now {
        return None;
    }
    let difference = before.zip(now).map(|(before, now)| Figure(rounded(now.0 - before.0)));
    let share = difference.zip(before).filter(|(_, before)| before.0 != 0.0);
    let share = share.map(|(difference, before)| Figure(difference.0 / before.0));
    let is = |wanted: Worse| worse == Some(wanted);
    Some(Change {
        phase,
        figure,
        before,
        now,
        difference,
        share,
        worse: is(Worse::Yes),
        noise: is(Worse::Noise),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Worse {
    Yes,
    /// By more than is allowed, but below the noise floor.
    Noise,
}

fn worse(figure: Measure, before: &Group, now: &Group, threshold: &Threshold) -> Option<Worse> {
    let ((was, was_of), (is, is_of)) = (figure.exact(before)?, figure.exact(now)?);
    // Both over one denominator; any increase from zero exceeds every share.
    let (was, is) = (was.multiply(&is_of)?, is.multiply(&was_of)?);
    let by = if figure == Measure::Success { was.subtract(&is) } else { is.subtract(&was) }?;
    // The error of an estimate does not count as a change.
    let percent = threshold.percent.add(&figure.error(before)?.max(figure.error(now)?))?;
    if by <= Decimal::default() || by.multiply(&100.into())? <= was.multiply(&percent)? {
        return None;
    }
    let few = before.count.min(now.count) < threshold.executions;
    let noise = figure == Measure::P95 && (few || by < threshold.milliseconds);
    Some(if noise { Worse::Noise } else { Worse::Yes })
}

/// Rounds away the error of subtracting decimal fractions.
fn rounded(difference: f64) -> f64 {
    (difference * 1e9).round() / 1e9
}
