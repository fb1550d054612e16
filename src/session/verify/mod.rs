//! A document as the test of its own record: finds recorded rows that its graph could not have produced, and expected
//! rows that are missing. Does not judge statistics.

mod item;
mod labels;
mod rounds;
mod row;
#[cfg(test)]
mod tests;
mod undoing;
mod visits;

use super::document::{Cell, CellPlaces, Recorded, recorded};
use super::layout::Layout;
use super::link::{LinkedItem, link};
use super::row::Row;
use crate::diag::{Diagnostic, Source, Span, catalogue};
use crate::event::{ROUND_COLUMN, Status};
use crate::graph::{Graph, StepId};
use crate::spec::Spec;
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The result of checking a record against its document.
#[derive(Debug, Default)]
pub struct Verified {
    pub rows: usize,
    pub items: usize,
    /// Differences are errors, notes are notes; in the order of the places.
    pub differences: Vec<Diagnostic>,
}

/// Checks every recorded row of a valid document against its graph.
pub fn verify(source: &Source, spec: &Spec, graph: &Graph) -> Verified {
    let Recorded { rows, places, .. } = recorded(source, spec);
    let Findings { items, mut differences, missing, unrecorded, .. } = hold(graph, &rows, &places);
    for (step, items) in missing.into_iter().filter(|(step, _)| !unrecorded.contains(step)) {
        let Some(written) = spec.steps.get(step.index()) else { continue };
        differences.push(catalogue::missing_row(
            written.title.span,
            &written.title.value,
            &items.first,
            items.count,
        ));
    }
    differences.sort_by_key(|difference| (difference.span, difference.severity));
    Verified { rows: rows.len(), items, differences }
}

/// Checks rows against a graph.
fn hold(graph: &Graph, rows: &[Row], places: &[CellPlaces]) -> Findings {
    let layout = Layout::of(graph);
    let record = DocumentRecord { graph, layout: &layout, rows, places };
    let items = link(&layout, rows);
    let recorded = (0..rows.len()).filter_map(|row| record.step(row)).collect();
    let mut found = Findings { items: items.len(), recorded, ..Findings::default() };
    for row in 0..rows.len() {
        record.row(row, &mut found.differences);
    }
    record.nested(&mut found.differences);
    for item in &items {
        record.item(item, false, &mut found);
    }
    let of_run: Vec<usize> = (0..rows.len()).filter(|row| layout.is_of_run(&rows[*row].borrowed())).collect();
    if graph.has_run_steps() && !rows.is_empty() {
        record.item(&LinkedItem { key: Arc::from("run"), rows: of_run }, true, &mut found);
    }
    found
}

/// A document's rows and the graph to check them against.
#[derive(Clone, Copy)]
struct DocumentRecord<'a> {
    graph: &'a Graph,
    layout: &'a Layout,
    rows: &'a [Row],
    places: &'a [CellPlaces],
}

/// What has been found so far, over all items.
#[derive(Default)]
struct Findings {
    items: usize,
    differences: Vec<Diagnostic>,
    /// The items without a row of a step that had no obstacle.
    missing: BTreeMap<StepId, MissingRows>,
    /// Steps with a row.
    recorded: BTreeSet<StepId>,
    /// Steps without rows that others waited for: reported once.
    unrecorded: BTreeSet<StepId>,
}

/// Items without a row: the first ones, and their number.
#[derive(Default)]
struct MissingRows {
    first: Vec<Arc<str>>,
    count: usize,
}

impl MissingRows {
    fn add(&mut self, item: &str) {
        if self.first.len() < catalogue::MISSING_NAMED {
            self.first.push(item.into());
        }
        self.count += 1;
    }
}

impl<'a> DocumentRecord<'a> {
    /// The step of a row.
    fn step(&self, row: usize) -> Option<StepId> {
        self.layout.phases[self.layout.place(&self.rows[row].phase)?].step
    }

    fn is_same_step(self, row: usize, other: usize) -> bool {
        self.rows[row].phase == self.rows[other].phase
    }

    fn title(self, step: StepId) -> &'a str {
        &self.graph.step(step).title
    }

    fn status(self, row: usize) -> Status {
        self.rows[row].status
    }

    /// The round of a row in each loop around its step, the outermost first; empty without loops.
    fn rounds(self, row: usize) -> Vec<u32> {
        let cell = self.rows[row].columns.iter().find(|(name, _)| **name == *ROUND_COLUMN);
        match cell.map(|(_, value)| value) {
            Some(Value::String(text)) => {
                text.split('/').map(|round| round.parse().ok()).collect::<Option<_>>().unwrap_or_default()
            }
            Some(value) => value.as_u64().and_then(|round| u32::try_from(round).ok()).into_iter().collect(),
            None => Vec::new(),
        }
    }

    fn place(self, row: usize, cell: Cell) -> Span {
        self.places[row].cell(cell)
    }

    /// When a row began and ended, in milliseconds since the run began.
    fn times(self, row: usize) -> Option<(f64, f64)> {
        let recorded = &self.rows[row];
        let start = recorded.started_ms? as f64;
        let skipped = recorded.status == Status::Skipped;
        let duration = recorded.duration_ms.or(skipped.then_some(0.0))?;
        Some((start, start + duration.floor()))
    }
}
