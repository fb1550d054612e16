//! Expectations and comparisons as a gate: how they are asked for, and what they make of the exit code.

use super::super::exit::Exit;
use super::super::terminal::Terminal;
use crate::diag::Span;
use crate::graph::{Graph, Step};
use crate::spec::{Expectation, Misread, Spec, expectations};
use crate::stats::{self, Stats, Unknown, Verdict};
use crate::view::stats::Report;

/// The expectations of one `--expect`.
#[derive(Clone, Debug)]
pub struct Expected(pub Vec<Expectation>);

/// # Errors
/// All that is wrong with the text, with its columns.
pub fn expected(text: &str) -> Result<Expected, String> {
    let (found, faults) = expectations(text);
    if faults.is_empty() {
        return Ok(Expected(found.into_iter().map(|(expectation, _)| expectation).collect()));
    }
    let told = faults.iter().map(|Misread { span, what, help }| {
        let column = text.get(..span.start).map_or(0, |before| before.chars().count()) + 1;
        format!("{what} at column {column}\n  help: {help}")
    });
    Err(told.collect::<Vec<_>>().join("\n"))
}

/// # Errors
/// Where the text is no percentage.
pub fn threshold(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|percent| percent.parse::<f64>().ok());
    let percent = percent.filter(|percent| percent.is_finite() && *percent >= 0.0);
    percent.map(|percent| percent / 100.0).ok_or_else(|| "write a percentage such as 10%".to_owned())
}

/// What a document expects of its steps, each with its place, judged by these figures of its phases.
pub fn claims(spec: &Spec, graph: &Graph, stats: &Stats) -> Vec<(Span, Result<Verdict, Unknown>)> {
    let places = spec.steps.iter().flat_map(|step| &step.expectations).map(|expectation| expectation.span);
    let verdicts = stats::judge_steps(graph.steps.iter().map(expectant), &stats.groups, &stats.run);
    places.zip(verdicts).collect()
}

/// A step's name for people, its phase and what the document expects of it.
pub fn expectant(step: &Step) -> (&str, &str, &[Expectation]) {
    // Where titles alone do not tell steps apart, phases do.
    let name = if step.phase.contains('/') { &step.phase } else { &step.title };
    (name, &step.phase, &step.expectations)
}

/// Says what is not as it should be.
pub fn exit(report: &Report, threshold: Option<f64>, terminal: &mut Terminal) -> Exit {
    let worse = report.changes.unwrap_or_default().iter().filter(|change| change.worse).count();
    if worse > 0 {
        let figures = if worse == 1 { "figure is" } else { "figures are" };
        let percent = threshold.unwrap_or_default() * 100.0;
        terminal.talk(&format!("{worse} {figures} worse by more than {percent}%\n"));
    }
    let met = all_met(report.expectations, terminal);
    if worse == 0 && met { Exit::Ok } else { Exit::Failed }
}

/// Whether all expectations are met; how many are not is said.
pub fn all_met(verdicts: &[Verdict], terminal: &mut Terminal) -> bool {
    let failed = verdicts.iter().filter(|verdict| verdict.failed()).count();
    if failed > 0 {
        let all = verdicts.len();
        let expectations = if all == 1 { "expectation is" } else { "expectations are" };
        terminal.talk(&format!("{failed} of {all} {expectations} not met\n"));
    }
    failed == 0
}
