//! The results of cases for scripts.

use super::{TestedDocument, TriedCase, way};
use crate::cases::CoveredParts;
use crate::diag::render::{self, visible_json};
use crate::graph::{Graph, StepId};
use serde::Serialize;

#[derive(Serialize)]
struct JsonDocument<'a> {
    document: &'a str,
    cases: Vec<JsonCase<'a>>,
    coverage: JsonCoverage,
}

#[derive(Serialize)]
struct JsonCase<'a> {
    name: &'a str,
    file: &'a str,
    line: usize,
    passed: bool,
    state: &'a str,
    takes_ms: u64,
    steps: Vec<JsonStep<'a>>,
    unmet: Vec<render::Json>,
}

/// An execution of a step.
#[derive(Serialize)]
struct JsonStep<'a> {
    phase: &'a str,
    element: Option<u32>,
    status: &'static str,
    attempt: Option<u32>,
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct JsonCoverage {
    steps: JsonParts,
    decisions: JsonParts,
    compensations: JsonParts,
}

#[derive(Serialize)]
struct JsonParts {
    covered: usize,
    all: usize,
    missing: Vec<String>,
}

/// A list with an object for each document.
///
/// # Errors
/// An error of the writer.
pub fn json(tested: &[TestedDocument]) -> serde_json::Result<String> {
    let documents: Vec<JsonDocument> = tested.iter().map(document).collect();
    Ok(visible_json(&serde_json::to_string_pretty(&documents)?) + "\n")
}

fn document<'a>(tested: &'a TestedDocument) -> JsonDocument<'a> {
    let graph = tested.graph;
    let steps = |parts: CoveredParts<StepId>| {
        let missing = parts.missing.iter().map(|id| graph.step(*id).phase.clone()).collect();
        JsonParts { covered: parts.covered(), all: parts.all, missing }
    };
    let ways = tested.coverage.decisions(graph);
    let missing = ways.missing.iter().map(|one| way(graph, *one)).collect();
    JsonDocument {
        document: tested.name,
        cases: tested.cases.iter().map(|tried| case(graph, tried)).collect(),
        coverage: JsonCoverage {
            steps: steps(tested.coverage.steps(graph)),
            decisions: JsonParts { covered: ways.covered(), all: ways.all, missing },
            compensations: steps(tested.coverage.compensations(graph)),
        },
    }
}

fn case<'a>(graph: &'a Graph, tried: &'a TriedCase) -> JsonCase<'a> {
    let steps = tried.executions.iter().map(|one| JsonStep {
        phase: &graph.step(one.step).phase,
        element: one.element,
        status: one.status.name(),
        attempt: one.attempt,
        error: one.error.as_deref(),
    });
    JsonCase {
        name: tried.name,
        file: &tried.source.name,
        line: tried.line,
        passed: tried.unmet.is_empty(),
        state: tried.state,
        takes_ms: tried.takes_ms,
        steps: steps.collect(),
        unmet: render::json(tried.source, tried.unmet),
    }
}
