//! Problems of traces: a diagnostic and its line.

use crate::diag::{Diagnostic, Span, catalogue};
use crate::toon::{self, Fault};
use std::ops::Range;

/// The most problems of one text that are stored; the others are only counted.
pub(super) const MOST: usize = 100;

/// One problem with its line, so that it can be shown without the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceProblem {
    /// Its span counts bytes of `text`.
    pub diagnostic: Diagnostic,
    /// From 1.
    pub line: u64,
    /// Where the line starts in the input, in bytes.
    pub line_start: u64,
    pub text: String,
}

impl TraceProblem {
    /// The diagnostic with its span in a whole text in which the trace starts at `base`.
    pub fn at(self, base: usize) -> Diagnostic {
        let start = base + usize::try_from(self.line_start).unwrap_or(usize::MAX - base);
        let shift = |span: Span| Span::new(start.saturating_add(span.start), start.saturating_add(span.end));
        Diagnostic { span: shift(self.diagnostic.span), ..self.diagnostic }
    }

    /// A problem of one cell of a row.
    pub(super) fn cell(
        row: &toon::Row<'_>,
        column: usize,
        make: impl FnOnce(Span) -> Diagnostic,
    ) -> TraceProblem {
        TraceProblem::line(row.line, row.line_start, row.text, row.span(column), make)
    }

    pub(super) fn line(
        line: u64,
        line_start: u64,
        text: &str,
        span: Range<usize>,
        make: impl FnOnce(Span) -> Diagnostic,
    ) -> TraceProblem {
        TraceProblem { diagnostic: make(span.into()), line, line_start, text: text.to_owned() }
    }

    pub(super) fn table(table: &toon::Table, make: impl FnOnce(Span) -> Diagnostic) -> TraceProblem {
        TraceProblem::line(table.line, table.line_start, &table.text, 0..table.text.len(), make)
    }

    pub(super) fn field(field: &toon::Field, make: impl FnOnce(Span) -> Diagnostic) -> TraceProblem {
        TraceProblem::line(field.line, field.line_start, &field.text, 0..field.text.len(), make)
    }
}

impl From<toon::Problem> for TraceProblem {
    fn from(problem: toon::Problem) -> Self {
        let toon::Problem { fault, line, line_start, text, span } = problem;
        let make = match fault {
            Fault::Count { .. } => catalogue::trace_count,
            Fault::Width { .. } => catalogue::trace_width,
            Fault::Header(_) | Fault::DuplicateColumn(_) | Fault::NoKey | Fault::NotAlone => {
                catalogue::trace_header
            }
            Fault::Tab | Fault::Indent { .. } | Fault::Stray | Fault::Blank => catalogue::trace_layout,
            Fault::ColonFirst | Fault::OpenQuote | Fault::AfterQuote | Fault::Escape => catalogue::trace_cell,
            Fault::NotUtf8 | Fault::TooLong(_) | Fault::DuplicateField(_) | Fault::Field(_) => {
                catalogue::trace_text
            }
        };
        TraceProblem {
            diagnostic: make(span.into(), &fault.to_string(), fault.help()),
            line,
            line_start,
            text,
        }
    }
}

/// The problems of one input, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceProblems {
    pub shown: Vec<TraceProblem>,
    /// How many more there are.
    pub more: u64,
}

impl TraceProblems {
    pub fn push(&mut self, problem: TraceProblem) {
        if self.shown.len() < MOST { self.shown.push(problem) } else { self.more += 1 }
    }

    pub fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }
}
