//! Checks expectations against statistics: the actual value, and whether it is as expected. A value that a record
//! lacks meets no expectation.

use super::model::{Figure, Group, Judged, NumericColumn, RunStats, Stats};
use crate::diag::nearest;
use crate::graph::{Graph, Step};
use crate::spec::title::key;
use crate::spec::{Bound, Expectation, QUANTITIES, Quantity, Relation, phase, quoted};
use crate::value::Decimal;
use crate::value::words;
use serde::Serialize;
use serde_json::Number;
use std::collections::HashSet;

/// The most names that a message lists.
const NAMED: usize = 20;

/// The result of one expectation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// As written.
    pub expectation: String,
    /// A step's title or phase; `None` for the run as a whole.
    pub step: Option<String>,
    /// In milliseconds, as a share from 0 to 1 or as the number itself; `None` if the record lacks it.
    pub found: Option<FoundValue>,
    /// `None` if the step was not executed, so that there is nothing to judge.
    pub met: Option<bool>,
    /// Whether the found value is an estimate, which is never too small: see [`Group::percentile_error`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

/// A figure with its kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FoundValue {
    /// As written.
    Number(Box<Number>),
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

/// Judges expectations that name their step or concern the whole run; an error for names that the record does not
/// have.
pub fn judge(expectations: &[Expectation], judged: &Judged, run: &RunStats) -> Vec<Result<Verdict, Unknown>> {
    let one = |expectation: &Expectation| {
        let group = match &expectation.step {
            None => Ok(judged.all.as_ref()),
            Some(step) => find(step, judged),
        };
        let estimated = matches!(group, Ok(Some(group)) if is_estimate(expectation, group));
        let found = group.and_then(|group| found(expectation, group, run));
        let met = |found: Option<&Measured>| Some(found.is_some_and(|found| found.meets(expectation)));
        verdict(expectation, expectation.step.as_deref(), found, estimated, met)
    };
    expectations.iter().map(one).collect()
}

/// Judges what a document expects of its steps by the statistics of a whole run. A column that no agent reported meets
/// no expectation.
pub fn judge_all(graph: &Graph, stats: &Stats) -> Vec<Verdict> {
    let verdicts = judge_steps(graph.steps.iter().map(expectant), &stats.groups, &stats.run);
    verdicts.into_iter().map(|verdict| verdict.unwrap_or_else(|unknown| unknown.verdict)).collect()
}

/// A step's name for people, its phase and its expectations in the document.
pub fn expectant(step: &Step) -> (&str, &str, &[Expectation]) {
    // If titles are ambiguous, phases are used.
    let name = if step.phase.contains('/') { &step.phase } else { &step.title };
    (name, &step.phase, &step.expectations)
}

/// Judges what a document expects of its steps, each with its title and phase. A step that was not executed is not
/// judged, except by its count.
pub fn judge_steps<'a>(
    steps: impl IntoIterator<Item = (&'a str, &'a str, &'a [Expectation])>,
    groups: &[Group],
    run: &RunStats,
) -> Vec<Result<Verdict, Unknown>> {
    let step = |(title, phase, expectations): (&'a str, &'a str, &'a [Expectation])| {
        let group = groups.iter().find(|group| group.phase().is_some_and(|known| **known == *phase));
        let group = group.filter(|group| group.count > 0);
        expectations.iter().map(move |expectation| {
            let met = |found: Option<&Measured>| match (found, group) {
                (None, None) => None,
                (found, _) => Some(found.is_some_and(|found| found.meets(expectation))),
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
    found: Result<Option<Measured>, UnknownName>,
    estimated: bool,
    met: impl FnOnce(Option<&Measured>) -> Option<bool>,
) -> Result<Verdict, Unknown> {
    let verdict = |found, met| Verdict {
        expectation: expectation.text.clone(),
        step: step.map(str::to_owned),
        found,
        met,
        estimated,
    };
    match found {
        Ok(found) => {
            let met = met(found.as_ref());
            Ok(verdict(found.map(|found| found.shown), met))
        }
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

/// A figure for display, and its exact value: a share is a fraction.
struct Measured {
    shown: FoundValue,
    number: Decimal,
    of: Decimal,
}

impl Measured {
    fn count(count: u64) -> Measured {
        Measured { shown: FoundValue::Number(Box::new(count.into())), number: count.into(), of: 1.into() }
    }

    fn milliseconds(figure: Figure) -> Option<Measured> {
        Some(Measured {
            shown: FoundValue::Milliseconds(figure),
            number: Decimal::of_float(figure.0)?,
            of: 1.into(),
        })
    }

    fn meets(&self, expectation: &Expectation) -> bool {
        let sides = match &expectation.bound {
            Bound::Percent(percent) => self.number.multiply(&100.into()).zip(self.of.multiply(percent)),
            Bound::Number(bound) | Bound::Milliseconds(bound) => Some((self.number.clone(), bound.clone())),
        };
        sides.is_some_and(|(found, bound)| match expectation.relation {
            Relation::Less => found < bound,
            Relation::LessOrEqual => found <= bound,
            Relation::Greater => found > bound,
            Relation::GreaterOrEqual => found >= bound,
            Relation::Equal => found == bound,
        })
    }
}

/// The unknown name, and what to do about it.
type UnknownName = (String, String);

/// The group of a step named by its title or phase; `None` if it has no rows.
fn find<'a>(step: &str, judged: &'a Judged) -> Result<Option<&'a Group>, UnknownName> {
    // A title may be within a group: `Group/Step`.
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
            let mut listed = HashSet::new();
            let names: Vec<&str> = known().filter(|name| listed.insert(*name)).collect();
            format!("the record has {}", words::first(&names, NAMED, names.len()))
        }
    };
    Err((format!("the record has no step '{step}'"), help))
}

fn is_estimate(expectation: &Expectation, group: &Group) -> bool {
    group.estimated() && matches!(expectation.quantity, Quantity::P50 | Quantity::P95 | Quantity::P99)
}

fn found(
    expectation: &Expectation,
    group: Option<&Group>,
    run: &RunStats,
) -> Result<Option<Measured>, UnknownName> {
    let time = |figure: Option<Figure>| figure.and_then(Measured::milliseconds);
    let share = matches!(expectation.bound, Bound::Percent(_));
    let counted = |count: fn(&Group) -> u64| match group {
        Some(group) if share => {
            let (count, tried) = (count(group), group.tried());
            let shown = FoundValue::Share(Figure(count as f64 / tried as f64));
            (tried > 0).then(|| Measured { shown, number: count.into(), of: tried.into() })
        }
        None if share => None,
        group => Some(Measured::count(group.map_or(0, count))),
    };
    let saved = |saved: Figure, all: Figure| {
        let shown = FoundValue::Share(Figure(saved.0 / all.0));
        Some(Measured { shown, number: Decimal::of_float(saved.0)?, of: Decimal::of_float(all.0)? })
    };
    Ok(match &expectation.quantity {
        Quantity::Count => Some(Measured::count(group.map_or(0, |group| group.count))),
        Quantity::Errors => counted(Group::failed),
        Quantity::Success => counted(Group::done),
        Quantity::Mean => time(group.and_then(|group| group.mean_ms)),
        Quantity::P50 => time(group.and_then(|group| group.p50_ms)),
        Quantity::P95 => time(group.and_then(|group| group.p95_ms)),
        Quantity::P99 => time(group.and_then(|group| group.p99_ms)),
        Quantity::Max => time(group.and_then(|group| group.max_ms)),
        Quantity::Tokens => group.and_then(|group| group.tokens_used).map(Measured::count),
        Quantity::Saved if share => {
            run.saved_ms.zip(run.sequential_ms).filter(|(_, all)| all.0 > 0.0).and_then(|(a, b)| saved(a, b))
        }
        Quantity::Saved => time(run.saved_ms),
        Quantity::Column(name) => match group {
            Some(group) => column(name, expectation, group)?,
            None => None,
        },
    })
}

/// The number of a column that is hardest to meet: if it does, all do.
fn column(name: &str, expectation: &Expectation, group: &Group) -> Result<Option<Measured>, UnknownName> {
    let Some((_, NumericColumn { min, max, .. })) = group.columns.iter().find(|(known, _)| **known == *name)
    else {
        let columns = group.columns.iter().map(|(name, _)| &**name);
        let names: Vec<&str> = QUANTITIES.into_iter().map(|(name, _)| name).chain(columns).collect();
        let near = || nearest(name, names.iter().copied()).map(str::to_owned);
        let help = match quoted(name).or_else(near) {
            Some(near) => words::did_you_mean(near),
            None if name.contains('.') => "write a step in quotes: 'Process Payment'.p95".to_owned(),
            None => format!("the figures are {}", words::first(&names, NAMED, names.len())),
        };
        return Err((format!("the record has no numeric column `{name}` there"), help));
    };
    let (Some(min), Some(max)) = (min.as_number(), max.as_number()) else { return Ok(None) };
    let exact = |number: &Number| Decimal::parse(number.as_str());
    let hardest = match expectation.relation {
        Relation::Less | Relation::LessOrEqual => max,
        Relation::Greater | Relation::GreaterOrEqual => min,
        Relation::Equal if exact(min).as_ref() == Some(expectation.bound.number()) => max,
        Relation::Equal => min,
    };
    // A number with too many digits cannot be compared.
    Ok(exact(hardest).map(|number| Measured {
        shown: FoundValue::Number(Box::new(hardest.clone())),
        number,
        of: 1.into(),
    }))
}
