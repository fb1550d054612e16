//! What the engine does is never a difference, and a trace that was tampered with is.

use super::super::document::Place;
use super::super::layout::Layout;
use super::super::row::Row;
use super::{Found, hold};
use crate::diag::Diagnostic;
use crate::engine::simulator::{World, random_graph, random_policy};
use crate::engine::{Out, Run};
use crate::event::{Event, Status};
use crate::graph::{Graph, Kind};
use crate::value::Type;
use std::collections::HashMap;
use std::sync::Arc;

/// A run of a simulated world: its graph and the rows that it leaves. Values have types, so that labels tell
/// what conditions were decided by.
fn run(seed: u64) -> (Graph, Vec<Row>) {
    let mut graph = random_graph(seed);
    for step in &graph.steps {
        let ty = if step.kind == Kind::Handler { Type::Boolean } else { Type::Integer };
        for output in &step.outputs {
            graph.values[output.value.index()].ty = Some(ty.clone());
        }
    }
    let shared = Arc::new(graph.clone());
    let mut run = Run::new(shared.clone(), random_policy(seed));
    let events = World::new(seed, shared).live(&mut run, &mut Out::default());
    let layout = Layout::of(&graph);
    let mut keys = HashMap::new();
    let mut rows = Vec::new();
    for event in events {
        match event {
            Event::ItemAdmitted { item, key, .. } => drop(keys.insert(item, key)),
            Event::StepEnded { item, execution } => {
                rows.extend(layout.row(keys.get(&item).unwrap_or(&"run".into()), &execution))
            }
            _ => {}
        }
    }
    (graph, rows)
}

fn differences(graph: &Graph, rows: &[Row]) -> Vec<Diagnostic> {
    let places = vec![Place::default(); rows.len()];
    let Found { differences, .. } = hold(graph, rows, &places);
    differences
}

#[test]
fn what_the_engine_does_verifies() {
    let mut conditional = 0;
    for seed in 0..600 {
        let (graph, rows) = run(seed);
        let told: Vec<String> =
            differences(&graph, &rows).into_iter().map(|difference| difference.message).collect();
        assert!(told.is_empty(), "seed {seed}: {told:#?} of {rows:?}");
        conditional += rows.iter().filter(|row| row.status == Status::Skipped).count();
    }
    assert!(conditional > 100, "{conditional} rows tell of conditions");
}

#[test]
fn a_trace_that_was_tampered_with_does_not() {
    let mut tampered = 0;
    for seed in 0..300 {
        let (graph, rows) = run(seed);
        for (index, row) in rows.iter().enumerate() {
            let step = graph.step(graph.by_phase(&row.phase).unwrap());
            let of_item = |phase: &str| {
                rows.iter().any(|other| {
                    *other.phase == *phase && other.item == row.item && other.status != Status::Skipped
                })
            };
            let waits = |id: &crate::graph::StepId| {
                let dependent = graph.step(*id);
                let data = dependent.inputs.iter().any(|input| {
                    !input.optional && step.outputs.iter().any(|output| output.value == input.value)
                });
                data && dependent.once == step.once && of_item(&dependent.phase)
            };
            // Rows of several visits stand for each other.
            let undone = |other: &Row| other.item == row.item && other.status == Status::Compensated;
            if row.status != Status::Success || !step.dependents.iter().any(waits) || rows.iter().any(undone)
            {
                continue;
            }
            tampered += 3;
            let mut changed = rows.clone();
            changed[index].status = Status::Cancelled;
            assert!(!differences(&graph, &changed).is_empty(), "seed {seed}: {index} cancelled");
            let mut changed = rows.clone();
            changed.remove(index);
            // How many elements a list had is told by their rows alone.
            assert!(
                step.each.is_some() || !differences(&graph, &changed).is_empty(),
                "seed {seed}: {index} removed"
            );
            let mut changed = rows.clone();
            changed.insert(index, row.clone());
            assert!(!differences(&graph, &changed).is_empty(), "seed {seed}: {index} doubled");
        }
    }
    assert!(tampered > 500, "only {tampered} rows were tampered with");
}
