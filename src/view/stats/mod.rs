//! Statistics as a table for people, as CSV and as JSON.

use super::measure::{count, decimal, milliseconds, percent};
use super::table::figures;
use crate::diag::render::visible;
use crate::stats::{Column, Dimension, Figure, Group, Run, Stats};
use crate::value::Value;
use std::fmt::Display;

/// Columns of a terminal whose width nobody knows.
const WIDTH: usize = 100;

/// Where the values of the run's block start.
const INDENT: usize = 15;

/// What a cell shows of something unknown.
const UNKNOWN: &str = "–";

/// The groups, their agents' numbers and the run, for a terminal of so many columns.
pub fn table(stats: &Stats, width: Option<usize>) -> String {
    let width = width.unwrap_or(WIDTH);
    let mut out = groups(stats, width);
    out.push_str(&columns(stats, width));
    out.push_str(&run(&stats.run, width));
    out
}

fn groups(stats: &Stats, width: usize) -> String {
    let Some(first) = stats.groups.first() else { return String::new() };
    let mut header: Vec<&str> = first.by.iter().map(|(dimension, _)| label(*dimension)).collect();
    let labels = header.len();
    header.extend(["count", "failed", "success", "mean", "p50", "p95", "p99", "max", "tokens"]);
    let rows = stats.groups.iter().map(|group| {
        let mut row = by(group);
        row.push(count(group.count));
        row.push(count(
            group.by_status.iter().filter(|(status, _)| status.is_failure()).map(|(_, count)| count).sum(),
        ));
        row.push(group.success_rate.map_or_else(unknown, |rate| percent(rate.0)));
        for duration in [group.mean_ms, group.p50_ms, group.p95_ms, group.p99_ms, group.max_ms] {
            row.push(time(duration));
        }
        row.push(group.tokens_used.map_or_else(unknown, count));
        row
    });
    figures(&header, labels, rows, width) + "\n"
}

fn columns(stats: &Stats, width: usize) -> String {
    let Some(first) = stats.groups.iter().find(|group| !group.columns.is_empty()) else {
        return String::new();
    };
    let mut header: Vec<&str> = first.by.iter().map(|(dimension, _)| label(*dimension)).collect();
    header.push("column");
    let labels = header.len();
    header.extend(["count", "sum", "mean", "min", "max"]);
    let rows = stats.groups.iter().flat_map(|group| {
        group.columns.iter().map(|(name, column)| {
            let Column { count: number, sum, mean, min, max } = column;
            let mut row = by(group);
            row.push(visible(name));
            row.push(count(*number));
            row.push(sum.as_ref().map_or_else(unknown, Value::to_string));
            row.push(mean.map_or_else(unknown, |mean| decimal(mean.0)));
            row.push(min.to_string());
            row.push(max.to_string());
            row
        })
    });
    figures(&header, labels, rows, width) + "\n"
}

/// The run as a block of lines.
pub fn run(run: &Run, width: usize) -> String {
    let saved = run.saved_ms.map(|saved| {
        let share = run.sequential_ms.filter(|all| all.0 > 0.0).map(|all| percent(saved.0 / all.0));
        let share = share.map(|share| format!(" ({share})")).unwrap_or_default();
        format!("{}{share} by running steps side by side", milliseconds(saved.0))
    });
    let slowest = run.slowest_step.as_ref().map(|slowest| {
        format!("{}, {} on average", visible(&slowest.phase), milliseconds(slowest.mean_ms.0))
    });
    let path =
        run.critical_path.as_ref().map(|path| path.iter().map(|phase| visible(phase)).collect::<Vec<_>>());
    let unstarted = "unknown: rows do not say when they started";
    let lines = [
        ("items", Some(items(run))),
        ("executions", Some(count(run.rows))),
        ("wall time", Some(run.wall_ms.map_or_else(|| unstarted.to_owned(), |wall| milliseconds(wall.0)))),
        (
            "in sequence",
            run.sequential_ms
                .map(|all| format!("{}, had every step waited for the one before", milliseconds(all.0))),
        ),
        ("saved", saved),
        ("an item", mean_item(run)),
        ("slowest step", slowest),
        ("tokens", run.tokens_used.map(count)),
    ];
    let mut out = String::new();
    for (name, value) in lines {
        if let Some(value) = value {
            out.push_str(&format!("{name:<INDENT$}{value}\n"));
        }
    }
    if let Some(path) = path {
        out.push_str(&wrapped("critical path", &path, width));
    }
    out
}

fn mean_item(run: &Run) -> Option<String> {
    let all = run.mean_item_ms?;
    let succeeded = run.mean_succeeded_item_ms.filter(|succeeded| *succeeded != all);
    let succeeded = succeeded.map(|mean| format!("; {} where it succeeded", milliseconds(mean.0)));
    Some(format!("{} on average{}", milliseconds(all.0), succeeded.unwrap_or_default()))
}

fn items(run: &Run) -> String {
    let Some(items) = run.items else {
        return "unknown: rows do not say to which item they belong".to_owned();
    };
    let states = run.items_by_status.iter().flatten();
    let states: Vec<_> =
        states.map(|(state, number)| format!("{} {}", count(*number), state.name())).collect();
    if states.is_empty() { count(items) } else { format!("{}: {}", count(items), states.join(", ")) }
}

/// Names with arrows between, broken where the line is full.
fn wrapped(name: &str, path: &[String], width: usize) -> String {
    let mut out = format!("{name:<INDENT$}");
    let mut column = INDENT;
    for (index, phase) in path.iter().enumerate() {
        let length = phase.chars().count();
        if index > 0 && column + 3 + length > width {
            out.push_str(&format!(" →\n{:<INDENT$}", ""));
            column = INDENT;
        } else if index > 0 {
            out.push_str(" → ");
            column += 3;
        }
        out.push_str(phase);
        column += length;
    }
    out + "\n"
}

/// One line a group; an agent's numeric column is spread over several.
pub fn csv(stats: &Stats) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in stats.groups.iter().flat_map(|group| &group.columns) {
        if !names.contains(&&**name) {
            names.push(name);
        }
    }
    let dimensions = stats.groups.first().map(|group| group.by.as_slice()).unwrap_or_default();
    let mut header: Vec<String> =
        dimensions.iter().map(|(dimension, _)| dimension.name().to_owned()).collect();
    header.extend(
        [
            "count",
            "success",
            "failed",
            "success_rate",
            "mean_ms",
            "p50_ms",
            "p95_ms",
            "p99_ms",
            "max_ms",
            "tokens_used",
        ]
        .map(str::to_owned),
    );
    for name in &names {
        header.extend(["count", "sum", "mean", "min", "max"].map(|figure| format!("{name}.{figure}")));
    }
    writer.write_record(&header)?;
    for group in &stats.groups {
        writer.write_record(record(group, &names))?;
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn record(group: &Group, names: &[&str]) -> Vec<String> {
    let number = |failure: bool| -> u64 {
        let counted = |status: crate::event::Status| {
            if failure { status.is_failure() } else { status == crate::event::Status::Success }
        };
        group.by_status.iter().filter(|(status, _)| counted(*status)).map(|(_, count)| count).sum()
    };
    let mut record: Vec<String> =
        group.by.iter().map(|(_, value)| value.as_deref().unwrap_or_default().to_owned()).collect();
    record.extend([group.count, number(false), number(true)].map(|count| count.to_string()));
    record.push(shown(group.success_rate.map(|rate| rate.0)));
    for duration in [group.mean_ms, group.p50_ms, group.p95_ms, group.p99_ms, group.max_ms] {
        record.push(shown(duration.map(|figure| figure.0)));
    }
    record.push(shown(group.tokens_used));
    for name in names {
        match group.columns.iter().find(|(known, _)| &**known == *name) {
            Some((_, Column { count, sum, mean, min, max })) => record.extend([
                count.to_string(),
                shown(sum.as_ref()),
                shown(mean.map(|figure| figure.0)),
                min.to_string(),
                max.to_string(),
            ]),
            None => record.extend(std::iter::repeat_n(String::new(), 5)),
        }
    }
    record
}

fn shown(value: Option<impl Display>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn by(group: &Group) -> Vec<String> {
    group.by.iter().map(|(_, value)| value.as_deref().map_or_else(unknown, visible)).collect()
}

/// People speak of steps where traces say phase.
fn label(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Phase => "step",
        Dimension::Agent | Dimension::Channel | Dimension::Status => dimension.name(),
    }
}

fn time(figure: Option<Figure>) -> String {
    figure.map_or_else(unknown, |figure| milliseconds(figure.0))
}

fn unknown() -> String {
    UNKNOWN.to_owned()
}
