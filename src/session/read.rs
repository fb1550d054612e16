//! Reads executions from any TOON text, row by row; passes on all other contents.

use super::columns::TableColumns;
use super::problem::TraceProblem;
use super::row::RowRef;
use crate::diag::{Diagnostic, Span, catalogue};
use crate::toon::{self, Node, Reader};
use std::io::{self, Read};

/// A part of a trace.
pub(super) enum Part<'a> {
    /// A table of executions begins.
    Executions,
    /// One execution, with its place.
    Execution(RowRef<'a>, toon::Row<'a>, &'a TableColumns),
    /// Another table begins.
    Table(&'a toon::Table),
    /// A row of a table that is not of executions.
    Row(&'a toon::Table, toon::Row<'a>),
    Field(toon::Field),
    Problem(TraceProblem),
}

/// The last line of a text: the place of problems about missing contents.
pub(super) struct Last {
    line: u64,
    line_start: u64,
    text: String,
}

impl Last {
    pub fn problem(&self, make: impl FnOnce(Span) -> Diagnostic) -> TraceProblem {
        TraceProblem::line(self.line, self.line_start, &self.text, 0..self.text.len(), make)
    }
}

/// Calls `show` with every part of a text in order; returns its last line.
///
/// # Errors
/// Read errors of the input.
pub(super) fn read(input: impl Read, mut show: impl FnMut(Part<'_>)) -> io::Result<Last> {
    let mut reader = Reader::new(input);
    // The columns of the current table; `None` for a table that is not of executions or was rejected.
    let mut columns = None;
    let mut other = None;
    while let Some(node) = reader.next()? {
        match node {
            Err(problem) => show(Part::Problem(problem.into())),
            Ok(Node::Field(field)) => show(Part::Field(field)),
            Ok(Node::Table(table)) if TableColumns::fit(table) => {
                show(Part::Executions);
                other = None;
                columns = TableColumns::of(table)
                    .map_err(|missing| {
                        let make = |span| catalogue::missing_trace_column(span, missing);
                        show(Part::Problem(TraceProblem::table(table, make)));
                    })
                    .ok();
            }
            Ok(Node::Table(table)) => {
                show(Part::Table(table));
                columns = None;
                other = Some(table.clone());
            }
            Ok(Node::Row(row)) => match (&columns, &other) {
                (Some(columns), _) => match columns.read(row) {
                    Ok(read) => show(Part::Execution(read, row, columns)),
                    Err(problems) => problems.into_iter().for_each(|problem| show(Part::Problem(problem))),
                },
                (None, Some(table)) => show(Part::Row(table, row)),
                (None, None) => {}
            },
        }
    }
    let (line, line_start, text) = reader.last_line();
    Ok(Last { line, line_start, text })
}
