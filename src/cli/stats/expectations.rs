//! Expectations and comparisons: their arguments, and their effect on the exit code.

use super::super::exit::{Exit, Stop};
use super::super::terminal::Terminal;
use crate::diag::Span;
use crate::diag::render::visible;
use crate::graph::Graph;
use crate::spec::{Expectation, Misread, Spec, expectations};
use crate::stats::{self, Change, Changes, Stats, Threshold, Unknown, Verdict};
use crate::value::Decimal;
use crate::value::words;
use crate::view::stats::Report;
use std::sync::Arc;

/// The expectations of one `--expect`.
#[derive(Clone, Debug)]
pub struct Expected(pub Vec<Expectation>);

/// Reads expectations.
///
/// # Errors
/// All problems of the text, with their columns.
pub fn expected(text: &str) -> Result<Expected, String> {
    let (found, faults) = expectations(text);
    if faults.is_empty() {
        return Ok(Expected(found.into_iter().map(|(expectation, _)| expectation).collect()));
    }
    let messages = faults.iter().map(|Misread { span, what, help }| {
        let column = text.get(..span.start).map_or(0, |before| before.chars().count()) + 1;
        format!("{what} at column {column}\n  help: {help}")
    });
    Err(messages.collect::<Vec<_>>().join("\n"))
}

/// Reads a percentage.
///
/// # Errors
/// When the text is not a percentage.
pub fn threshold(text: &str) -> Result<Decimal, String> {
    let percent = text.strip_suffix('%').and_then(Decimal::parse);
    let percent = percent.filter(|percent| *percent >= Decimal::default());
    percent.ok_or_else(|| "write a percentage such as 10%".to_owned())
}

/// What a document expects of its steps, each with its place, judged by these statistics of its phases.
pub fn claims(spec: &Spec, graph: &Graph, stats: &Stats) -> Vec<(Span, Result<Verdict, Unknown>)> {
    let places = spec.steps.iter().flat_map(|step| &step.expectations).map(|expectation| expectation.span);
    let verdicts = stats::judge_steps(graph.steps.iter().map(stats::expectant), &stats.groups, &stats.run);
    places.zip(verdicts).collect()
}

/// Shows the failed checks.
///
/// # Errors
/// Stops if a threshold had nothing to compare, which must not look like success.
pub fn exit(
    report: &Report,
    threshold: Option<(&Threshold, &Changes)>,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let worse = match threshold {
        Some((threshold, changes)) => regressions(threshold, changes, report.baseline, terminal)?,
        None => 0,
    };
    let met = all_met(report.expectations, terminal);
    Ok(if worse == 0 && met { Exit::Ok } else { Exit::Failed })
}

/// How many figures are worse than a threshold allows.
fn regressions(
    threshold: &Threshold,
    changes: &Changes,
    baseline: &str,
    terminal: &mut Terminal,
) -> anyhow::Result<usize> {
    let baseline = visible(baseline);
    if changes.compared == 0 {
        let message =
            format!("nothing to compare: no step has a time or a success rate here and in {baseline}");
        let help = match (names(&changes.only_now), names(&changes.only_before)) {
            (now, before) if now.is_empty() && before.is_empty() => {
                "both have the same steps, but without times and outcomes".to_owned()
            }
            (now, before) => format!("steps only here: {now}; only there: {before}"),
        };
        return Err(Stop::new(Exit::Invalid, message).help(help).into());
    }
    for (steps, place) in [(&changes.only_before, "only in"), (&changes.only_now, "not in")] {
        if !steps.is_empty() {
            terminal.talk(&format!("{place} {baseline}, not compared: {}\n", names(steps)));
        }
    }
    let count = |is: fn(&Change) -> bool| changes.all.iter().filter(|change| is(change)).count();
    let Threshold { percent, executions, milliseconds } = threshold;
    let noise = count(|change| change.noise);
    if noise > 0 {
        terminal.talk(&format!(
            "{} {} worse by more than {percent}%, but below the noise floor: fewer than {executions} executions, \
             or a difference of less than {milliseconds} ms\n",
            words::count(noise, "figure"),
            words::by_count(noise, "is", "are")
        ));
    }
    let worse = count(|change| change.worse);
    if worse > 0 {
        let (figures, are) = (words::count(worse, "figure"), words::by_count(worse, "is", "are"));
        terminal.talk(&format!("{figures} {are} worse by more than {percent}%\n"));
    }
    Ok(worse)
}

/// Up to ten names, and how many more there are.
fn names(steps: &[Arc<str>]) -> String {
    const MOST: usize = 10;
    words::first(steps.iter().map(|step| visible(step)), MOST, steps.len())
}

/// Whether all expectations are met; shows how many are not.
pub fn all_met(verdicts: &[Verdict], terminal: &mut Terminal) -> bool {
    let failed = verdicts.iter().filter(|verdict| verdict.failed()).count();
    if failed > 0 {
        let all = verdicts.len();
        let (all, are) = (words::count(all, "expectation"), words::by_count(all, "is", "are"));
        terminal.talk(&format!("{failed} of {all} {are} not met\n"));
    }
    failed == 0
}
