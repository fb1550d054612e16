//! Expectations against figures: what was found, and whether it is what was expected. What a record does not
//! tell meets no expectation.

use super::model::{Column, Figure, Group, Judged, Run};
use crate::diag::nearest;
use crate::event::Status;
use crate::spec::title::key;
use crate::spec::{Bound, Expectation, QUANTITIES, Quantity, Relation, phase, quoted};
use serde::Serialize;
use std::collections::HashSet;

/// An expectation that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// As written.
    pub expectation: String,
    /// A step's title or phase; none for the run as a whole.
    pub step: Option<String>,
    /// In milliseconds, as a share from 0 to 1 or as the number that it is; none where the record does not tell.
    pub found: Option<Found>,
    /// None where the step was not executed, so that there is nothing to judge.
    pub met: Option<bool>,
    /// Whether what was found is an estimate, which is never too small: see [`Group::percentile_error`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

/// A figure with its kind.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Found {
    Number(Figure),
    Milliseconds(Figure),
    /// From 0 to 1.
    Share(Figure),
}

/// A name that the record does not have.
#[derive(Clone, Debug, PartialEq)]
pub struct Unknown {
    /// The expectation, not met.
    pub verdict: Verdict,
    pub what: String,
    pub help: String,
}

/// Judges expectations that name their step or speak of the whole run; in place of a verdict, what the record
/// does not have.
pub fn judge(expectations: &[Expectation], judged: &Judged, run: &Run) -> Vec<Result<Verdict, Unknown>> {
    let one = |expectation: &Expectation| {
        let group = match &expectation.step {
            None => Ok(judged.all.as_ref()),
            Some(step) => find(step, judged),
        };
        let estimated = matches!(group, Ok(Some(group)) if is_estimate(expectation, group));
        let found = group.and_then(|group| found(expectation, group, run));
        let met = |found: Option<Found>| Some(found.is_some_and(|found| found.meets(expectation)));
        verdict(expectation, expectation.step.as_deref(), found, estimated, met)
    };
    expectations.iter().map(one).collect()
}

/// Judges what a document expects of its steps, each with its title and phase. A step that was not executed
/// is not judged, unless by how often.
pub fn judge_steps<'a>(
    steps: impl IntoIterator<Item = (&'a str, &'a str, &'a [Expectation])>,
    groups: &[Group],
    run: &Run,
) -> Vec<Result<Verdict, Unknown>> {
    let step = |(title, phase, expectations): (&'a str, &'a str, &'a [Expectation])| {
        let group = groups.iter().find(|group| group.phase().is_some_and(|known| **known == *phase));
        expectations.iter().map(move |expectation| {
            let met = |figure: Option<Found>| match (figure, group) {
                (None, None) => None,
                (figure, _) => Some(figure.is_some_and(|figure| figure.meets(expectation))),
            };
            let estimated = group.is_some_and(|group| is_estimate(expectation, group));
            verdict(expectation, Some(title), found(expectation, group, run), estimated, met)
        })
    };
    steps.into_iter().flat_map(step).collect()
}

fn verdict(
    expectation: &Expectation,
    step: Option<&str>,
    found: Result<Option<Found>, Told>,
    estimated: bool,
    met: impl FnOnce(Option<Found>) -> Option<bool>,
) -> Result<Verdict, Unknown> {
    let verdict = |found, met| Verdict {
        expectation: expectation.text.clone(),
        step: step.map(str::to_owned),
        found,
        met,
        estimated,
    };
    match found {
        Ok(found) => Ok(verdict(found, met(found))),
        Err((what, help)) => Err(Unknown { verdict: verdict(None, Some(false)), what, help }),
    }
}

impl Verdict {
    /// The expectation with its step.
    pub fn text(&self) -> String {
        match &self.step {
            Some(step) => format!("'{step}'.{}", self.expectation),
            None => self.expectation.clone(),
        }
    }

    pub fn failed(&self) -> bool {
        self.met == Some(false)
    }
}

impl Found {
    fn meets(self, expectation: &Expectation) -> bool {
        let (Found::Share(found) | Found::Number(found) | Found::Milliseconds(found)) = self;
        let (found, bound) = match expectation.bound {
            Bound::Percent(percent) => (found.0, percent / 100.0),
            bound => (found.0, bound.number()),
        };
        match expectation.relation {
            Relation::Less => found < bound,
            Relation::LessOrEqual => found <= bound,
            Relation::Greater => found > bound,
            Relation::GreaterOrEqual => found >= bound,
            Relation::Equal => found == bound,
        }
    }
}

/// What is unknown, and what to do about it.
type Told = (String, String);

/// The group of a step that is named by its title or phase; none where it has no rows.
fn find<'a>(step: &str, judged: &'a Judged) -> Result<Option<&'a Group>, Told> {
    // A title may stand in a group: `Group/Step`.
    let of_title = key(step).split('/').map(phase).collect::<Vec<_>>().join("/");
    let is_named = |name: &str| name == step || name == of_title;
    let group = judged.steps.iter().find(|group| group.phase().is_some_and(|name| is_named(name)));
    if group.is_some() || judged.known.iter().any(|name| is_named(name)) {
        return Ok(group);
    }
    let rows = judged.steps.iter().filter_map(|group| group.phase().map(|name| &**name));
    let known = || rows.clone().chain(judged.known.iter().map(|name| &**name));
    let help = match nearest(&of_title, known()) {
        Some(name) => format!("did you mean '{name}'?"),
        None => {
            let mut told = HashSet::new();
            let names: Vec<&str> = known().filter(|name| told.insert(*name)).collect();
            format!("the record has {}", list(&names))
        }
    };
    Err((format!("the record has no step '{step}'"), help))
}

fn is_estimate(expectation: &Expectation, group: &Group) -> bool {
    group.estimated() && matches!(expectation.quantity, Quantity::P50 | Quantity::P95 | Quantity::P99)
}

fn found(expectation: &Expectation, group: Option<&Group>, run: &Run) -> Result<Option<Found>, Told> {
    let number = |count: u64| Some(Found::Number(Figure(count as f64)));
    let time = |figure: Option<Figure>| figure.map(Found::Milliseconds);
    let share = matches!(expectation.bound, Bound::Percent(_));
    let counted = |count: fn(&Group) -> u64| match group {
        Some(group) if share => {
            let tried = group.tried();
            (tried > 0).then(|| Found::Share(Figure(count(group) as f64 / tried as f64)))
        }
        None if share => None,
        group => number(group.map_or(0, count)),
    };
    Ok(match &expectation.quantity {
        Quantity::Count => number(group.map_or(0, |group| group.count)),
        Quantity::Errors => counted(Group::failed),
        Quantity::Success => counted(|group| group.with(Status::Success) + group.with(Status::Compensated)),
        Quantity::Mean => time(group.and_then(|group| group.mean_ms)),
        Quantity::P50 => time(group.and_then(|group| group.p50_ms)),
        Quantity::P95 => time(group.and_then(|group| group.p95_ms)),
        Quantity::P99 => time(group.and_then(|group| group.p99_ms)),
        Quantity::Max => time(group.and_then(|group| group.max_ms)),
        Quantity::Tokens => group.and_then(|group| group.tokens_used).and_then(number),
        Quantity::Saved if share => run
            .saved_ms
            .zip(run.sequential_ms)
            .and_then(|(saved, all)| (all.0 > 0.0).then(|| Found::Share(Figure(saved.0 / all.0)))),
        Quantity::Saved => time(run.saved_ms),
        Quantity::Column(name) => match group {
            Some(group) => Some(column(name, expectation, group)?),
            None => None,
        },
    })
}

/// The number of a column that is the hardest to meet: if it does, all do.
fn column(name: &str, expectation: &Expectation, group: &Group) -> Result<Found, Told> {
    let Some((_, Column { min, max, .. })) = group.columns.iter().find(|(known, _)| **known == *name) else {
        let columns = group.columns.iter().map(|(name, _)| &**name);
        let names: Vec<&str> = QUANTITIES.into_iter().map(|(name, _)| name).chain(columns).collect();
        let near = || nearest(name, names.iter().copied()).map(str::to_owned);
        let help = match quoted(name).or_else(near) {
            Some(near) => format!("did you mean `{near}`?"),
            None if name.contains('.') => "a step stands in quotes: 'Process Payment'.p95".to_owned(),
            None => format!("the figures are {}", list(&names)),
        };
        return Err((format!("the record has no numeric column `{name}` there"), help));
    };
    let number = |value: &serde_json::Value| value.as_f64().unwrap_or(f64::NAN);
    let (min, max) = (number(min), number(max));
    let bound = expectation.bound.number();
    Ok(Found::Number(Figure(match expectation.relation {
        Relation::Less | Relation::LessOrEqual => max,
        Relation::Greater | Relation::GreaterOrEqual => min,
        Relation::Equal if min == bound => max,
        Relation::Equal => min,
    })))
}

/// Names in a sentence; of many, the first.
fn list(names: &[&str]) -> String {
    const MOST: usize = 20;
    let more = if names.len() > MOST { ", …" } else { "" };
    names.iter().take(MOST).copied().collect::<Vec<_>>().join(", ") + more
}
