//! The results of the cases of documents: tables, and forms for scripts and build servers.

mod json;
mod junit;

pub use json::json;
pub use junit::junit;

use super::decisions::texts;
use super::table::table;
use crate::cases::{Coverage, CoveredParts, DecisionWay};
use crate::diag::render::{self, visible};
use crate::diag::{Diagnostic, Source};
use crate::event::Execution;
use crate::graph::{Graph, StepId};
use crate::value::words;
use std::time::Duration;

/// The most parts that the table lists as not covered.
const LISTED: usize = 10;

/// A case that has run.
pub struct TriedCase<'a> {
    pub name: &'a str,
    pub source: &'a Source,
    /// The line of its name, from 1.
    pub line: usize,
    /// How it ended.
    pub state: &'static str,
    pub executions: &'a [Execution],
    /// How long it took in its own time, in milliseconds.
    pub takes_ms: u64,
    /// Expectations that were not met.
    pub unmet: &'a [Diagnostic],
}

/// A document with its cases.
pub struct TestedDocument<'a> {
    pub name: &'a str,
    pub graph: &'a Graph,
    pub cases: Vec<TriedCase<'a>>,
    pub coverage: &'a Coverage,
}

/// The cases, what was not met, and what they cover.
pub fn text(tested: &TestedDocument, colour: bool, width: Option<usize>) -> String {
    let mut out = format!("{}\n\n", visible(tested.name));
    let rows = tested.cases.iter().map(|case| {
        let result = if case.unmet.is_empty() { "passed" } else { "FAILED" };
        let takes = words::measured(Duration::from_millis(case.takes_ms));
        vec![visible(case.name), result.to_owned(), case.state.to_owned(), takes]
    });
    out.push_str(&table(&["case", "result", "ended as", "takes"], rows, width));
    out.push('\n');
    for case in &tested.cases {
        for problem in case.unmet {
            out.push_str(&render::one(case.source, problem, colour));
        }
    }
    let graph = tested.graph;
    let line = |id: StepId| format!("{} (line {})", visible(&graph.step(id).phase), graph.step(id).line);
    let steps = |parts: CoveredParts<StepId>| row(&parts, parts.missing.iter().map(|id| line(*id)).collect());
    let ways = tested.coverage.decisions(graph);
    let rows = [
        ("steps", steps(tested.coverage.steps(graph))),
        ("decisions", row(&ways, ways.missing.iter().map(|one| way(graph, *one)).collect())),
        ("compensations", steps(tested.coverage.compensations(graph))),
    ];
    let rows = rows.into_iter().filter_map(|(name, row)| {
        let (covered, missing) = row?;
        Some(vec![name.to_owned(), covered, missing])
    });
    out.push_str(&table(&["covered", "parts", "not covered"], rows, width));
    out
}

/// How many parts are covered, and the others; `None` if the document has none.
fn row<T>(parts: &CoveredParts<T>, missing: Vec<String>) -> Option<(String, String)> {
    let covered = format!("{} of {}", parts.covered(), parts.all);
    (parts.all > 0).then(|| (covered, words::first(&missing, LISTED, missing.len())))
}

/// A way of a decision in words: `Check Stock (line 9): Otherwise → Refuse`.
fn way(graph: &Graph, way: DecisionWay) -> String {
    let of = |id: StepId| format!("{} (line {})", visible(&graph.step(id).phase), graph.step(id).line);
    match way {
        DecisionWay::Skipped(id) => format!("{}: its condition does not hold", of(id)),
        DecisionWay::Arm { step, arm: None, .. } => format!("{}: no condition holds", of(step)),
        DecisionWay::Arm { step, chain, arm: Some(arm) } => {
            let chains = texts(graph, graph.step(step));
            let arm = chains.get(chain as usize).and_then(|arms| arms.get(arm as usize));
            let arm = arm.map(|arm| format!("{} → {}", arm.asks(), arm.target));
            format!("{}: {}", of(step), arm.unwrap_or_default())
        }
    }
}
