//! The executions that a document's trace fences record.

use super::problem::{MOST, TraceProblem};
use super::read::{Part, read};
use super::row::{Row, STANDARD, TAIL};
use crate::diag::{Diagnostic, Source, Span, catalogue};
use crate::graph::Graph;
use crate::spec::Spec;
use std::collections::HashSet;

/// The most unknown phases for which the nearest known one is searched.
const COMPARED: usize = 50;

/// The rows of a document and the problems of its fences.
#[derive(Debug, Default)]
pub struct Recorded {
    /// In document order.
    pub rows: Vec<Row>,
    /// The place of each row.
    pub places: Vec<CellPlaces>,
    pub problems: Vec<Diagnostic>,
}

/// The place of a row in the document, with the cells of known columns.
#[derive(Clone, Debug, Default)]
pub struct CellPlaces {
    cells: [Option<Span>; STANDARD.len() + TAIL.len()],
}

/// A known column, by its order in [`STANDARD`], then [`TAIL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    Phase = 0,
    Agent = 1,
    Channel = 2,
    Output = 4,
    Status = 6,
    Attempt = 9,
    Started = 10,
}

impl CellPlaces {
    /// A cell; the phase's if the table has no such column.
    pub fn cell(&self, cell: Cell) -> Span {
        self.cells[cell as usize].or(self.cells[Cell::Phase as usize]).unwrap_or_default()
    }
}

/// Reads all trace fences of a document.
pub fn recorded(source: &Source, spec: &Spec) -> Recorded {
    let mut recorded = Recorded::default();
    for fence in spec.steps.iter().flat_map(|step| &step.traces) {
        recorded.fence(fence.content.start, source.slice(fence.content));
    }
    recorded
}

/// The problems of a document's trace fences: their text, their values, and, if the graph is known, unknown phases.
pub fn check(source: &Source, spec: &Spec, graph: Option<&Graph>) -> Vec<Diagnostic> {
    let Recorded { rows, places, mut problems } = recorded(source, spec);
    if let Some(graph) = graph {
        let known: HashSet<&str> = graph.steps.iter().map(|step| &*step.phase).collect();
        let documents: Vec<&str> = graph.documents().map(|(id, _)| &*graph.step(id).phase).collect();
        // A step of a document that a step runs is known only by the step that runs it.
        let is_within = |row: &Row| {
            row.borrowed().outer().is_some_and(|outer| {
                let below = |rest: &str| rest.is_empty() || rest.starts_with('/');
                documents.iter().any(|step| outer.strip_prefix(step).is_some_and(below))
            })
        };
        let mut unknown: HashSet<&str> = HashSet::new();
        for (row, place) in rows.iter().zip(places) {
            // A phase is reported once, at its first row, and only the first few are compared with all others.
            let place = place.cell(Cell::Phase);
            if !known.contains(&*row.phase) && !is_within(row) && unknown.insert(&row.phase) {
                let compared = if unknown.len() <= COMPARED { graph.steps.as_slice() } else { &[] };
                let phases = compared.iter().map(|step| &*step.phase);
                problems.push(catalogue::unknown_phase(place, &row.phase, phases));
            }
        }
    }
    problems.sort_by_key(|problem| problem.span);
    if problems.len() > MOST {
        let rest = catalogue::too_many_problems(&problems.split_off(MOST));
        problems.push(rest);
    }
    problems
}

impl Recorded {
    fn fence(&mut self, base: usize, text: &str) {
        let done = read(text.as_bytes(), |part| match part {
            Part::Executions | Part::Row(..) => {}
            Part::Execution(read, row, columns) => {
                let start = base + usize::try_from(row.line_start).unwrap_or_default();
                let cells = columns.spans(&row);
                let cells =
                    cells.map(|cell| cell.map(|cell| Span::new(start + cell.start, start + cell.end)));
                self.places.push(CellPlaces { cells });
                self.rows.push(read.to_row());
            }
            Part::Table(table) => {
                self.problems.push(TraceProblem::table(table, catalogue::no_execution_table).at(base));
            }
            // The form of an empty trace.
            Part::Field(field)
                if field.key.as_deref() == Some("execution")
                    && field.value.as_array().is_some_and(Vec::is_empty) => {}
            Part::Field(field) => {
                self.problems.push(TraceProblem::field(&field, catalogue::no_execution_table).at(base));
            }
            Part::Problem(problem) => self.problems.push(problem.at(base)),
        });
        // Reading from memory does not fail.
        debug_assert!(done.is_ok());
    }
}
