//! What documents mean, and what must hold for every graph.

mod meaning;
mod properties;
mod size;
mod spaces;
mod states;

use super::{Graph, StepId, build};
use crate::diag::{Diagnostic, Source};
use crate::spec;

/// The problems of a document, the parser's before the graph's.
fn problems(text: &str) -> (Option<Graph>, Vec<Diagnostic>) {
    let source = Source::new("test.md", text);
    let (spec, mut problems) = spec::parse(&source);
    let (graph, more) = build(&source, &spec);
    problems.extend(more);
    (graph, problems)
}

/// The graph of a document without problems.
fn graph(text: &str) -> Graph {
    let (graph, problems) = problems(text);
    assert_eq!(problems, []);
    graph.unwrap()
}

/// `Code: message` of every problem.
fn told(text: &str) -> Vec<String> {
    problems(text).1.iter().map(|problem| format!("{}: {}", problem.code, problem.message)).collect()
}

/// Every step with what it waits for: `ReserveInventory: CheckInventory inventory_check, …`.
fn needs(graph: &Graph) -> Vec<String> {
    let line = |id: StepId| {
        let into = graph.edges.iter().filter(|edge| edge.to == id);
        let edge = into.map(|edge| {
            let value = edge.value.map_or("-", |value| graph.value(value).name.as_str());
            format!("{} {value}", graph.step(edge.from).phase)
        });
        format!("{}: {}", graph.step(id).phase, edge.collect::<Vec<_>>().join(", "))
    };
    graph.ids().map(line).collect()
}
