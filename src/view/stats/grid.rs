//! Figures as tables, before they are drawn in a form: names as they are, numbers as text.

use super::super::measure::{about, amount, count, decimal, milliseconds, percent};
use crate::event::Status;
use crate::stats::{Change, Dimension, Figure, FoundValue, Group, Measure, NumericColumn, Stats, Verdict};
use crate::value::Value;

/// The cell of an unknown value.
const UNKNOWN: &str = "–";

/// A table whose first columns are names, as written by people and agents.
pub(super) struct Grid {
    pub header: Vec<&'static str>,
    /// How many columns are names.
    pub names: usize,
    /// How many columns, including names, are texts.
    pub texts: usize,
    pub rows: Vec<Vec<String>>,
}

/// A line for each group.
pub(super) fn groups(stats: &Stats) -> Grid {
    let mut header = dimensions(&stats.groups);
    let names = header.len();
    header.extend(["count", "failed"]);
    let mut some: Vec<Status> = vec![Status::Skipped, Status::Compensated, Status::CompensationFailed];
    some.retain(|status| stats.groups.iter().any(|group| group.with(*status) > 0));
    header.extend(some.iter().map(|status| status.name()));
    header.extend(["success", "mean", "p50", "p95", "p99", "max", "tokens"]);
    let rows = stats.groups.iter().map(|group| {
        let mut row = by(group);
        row.push(count(group.count));
        row.push(count(group.failed()));
        row.extend(some.iter().map(|status| count(group.with(*status))));
        row.push(share(group.success_rate));
        row.push(time(group.mean_ms));
        for percentile in [group.p50_ms, group.p95_ms, group.p99_ms] {
            row.push(if group.estimated() { about(&time(percentile)) } else { time(percentile) });
        }
        row.push(time(group.max_ms));
        row.push(group.tokens_used.map_or_else(unknown, count));
        row
    });
    Grid { header, names, texts: names, rows: rows.collect() }
}

/// A line for each numeric column of each group.
pub(super) fn columns(stats: &Stats) -> Grid {
    let mut header = dimensions(&stats.groups);
    header.push("column");
    let names = header.len();
    header.extend(["count", "sum", "mean", "min", "max"]);
    let rows = stats.groups.iter().flat_map(|group| {
        group.columns.iter().map(|(name, column)| {
            let NumericColumn { count: number, sum, mean, min, max } = column;
            let mut row = by(group);
            row.push(name.to_string());
            row.push(count(*number));
            row.push(sum.as_ref().map_or_else(unknown, Value::to_string));
            row.push(mean.as_ref().and_then(Value::as_f64).map_or_else(unknown, amount));
            row.push(min.to_string());
            row.push(max.to_string());
            row
        })
    });
    Grid { header, names, texts: names, rows: rows.collect() }
}

/// A line for each figure that changed.
pub(super) fn changes(changes: &[Change]) -> Grid {
    let rows = changes.iter().map(|change| {
        let Change { phase, figure, before, now, difference, share, worse, noise } = change;
        let value = |value: Option<Figure>| value.map_or_else(unknown, |value| measured(*figure, value.0));
        let signed = |value: Option<Figure>, show: &dyn Fn(f64) -> String| {
            value.map_or_else(unknown, |value| {
                format!("{}{}", if value.0 < 0.0 { "-" } else { "+" }, show(value.0.abs()))
            })
        };
        let difference = signed(*difference, &|difference| match figure {
            Measure::Success => format!("{} points", decimal(difference * 100.0)),
            _ => measured(*figure, difference),
        });
        vec![
            phase.as_deref().map_or_else(unknown, str::to_owned),
            label(*figure).to_owned(),
            value(*before),
            value(*now),
            difference,
            signed(*share, &|share| format!("{} %", decimal((share * 1000.0).round() / 10.0))),
            match (worse, noise) {
                (true, _) => "worse".to_owned(),
                (_, true) => "noise".to_owned(),
                _ => String::new(),
            },
        ]
    });
    let mut header = vec!["step", "figure", "before", "now", "difference", "percent"];
    let mut rows: Vec<Vec<String>> = rows.collect();
    if changes.iter().any(|change| change.worse || change.noise) {
        header.push("");
    } else {
        rows.iter_mut().for_each(|row| drop(row.pop()));
    }
    Grid { header, names: 1, texts: 2, rows }
}

/// A line for each expectation.
pub(super) fn verdicts(verdicts: &[Verdict]) -> Grid {
    let rows = verdicts.iter().map(|verdict| {
        let met = match verdict.met {
            Some(true) => "yes",
            Some(false) => "no",
            None => UNKNOWN,
        };
        vec![verdict.text(), found(verdict), met.to_owned()]
    });
    Grid { header: vec!["expectation", "found", "met"], names: 1, texts: 1, rows: rows.collect() }
}

/// The value that an expectation found.
pub(super) fn found(verdict: &Verdict) -> String {
    match (&verdict.found, verdict.met) {
        (Some(FoundValue::Number(number)), _) => number.as_u64().map_or_else(|| number.to_string(), count),
        (Some(FoundValue::Milliseconds(time)), _) if verdict.estimated => about(&milliseconds(time.0)),
        (Some(FoundValue::Milliseconds(time)), _) => milliseconds(time.0),
        (Some(FoundValue::Share(share)), _) => percent(share.0),
        (None, Some(_)) => "unknown".to_owned(),
        (None, None) => "not executed".to_owned(),
    }
}

fn dimensions(groups: &[Group]) -> Vec<&'static str> {
    // People say step where traces say phase.
    let label = |dimension: Dimension| match dimension {
        Dimension::Phase => "step",
        Dimension::Agent | Dimension::Channel | Dimension::Status => dimension.name(),
    };
    groups.first().map(|group| group.by.iter().map(|(by, _)| label(*by)).collect()).unwrap_or_default()
}

fn label(figure: Measure) -> &'static str {
    match figure {
        Measure::Count => "count",
        Measure::Success => "success",
        Measure::Mean => "mean",
        Measure::P50 => "p50",
        Measure::P95 => "p95",
    }
}

fn measured(figure: Measure, value: f64) -> String {
    match figure {
        Measure::Count => count(value as u64),
        Measure::Success => percent(value),
        Measure::Mean | Measure::P50 | Measure::P95 => milliseconds(value),
    }
}

fn by(group: &Group) -> Vec<String> {
    group.by.iter().map(|(_, value)| value.as_deref().map_or_else(unknown, str::to_owned)).collect()
}

fn share(figure: Option<Figure>) -> String {
    figure.map_or_else(unknown, |figure| percent(figure.0))
}

fn time(figure: Option<Figure>) -> String {
    figure.map_or_else(unknown, |figure| milliseconds(figure.0))
}

fn unknown() -> String {
    UNKNOWN.to_owned()
}
