//! The columns of one table of executions, and its rows read by them.

use super::nested::WITHIN;
use super::problem::TraceProblem;
use super::row::{Custom, RowRef, STANDARD, TAIL};
use crate::diag::catalogue;
use crate::event::{Spelled, Status};
use crate::toon::{Cell, Row, Scalar, Table};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// Thirty years: a longer duration is not a measurement, and sums stay exact below.
const LONGEST_MS: f64 = 1e12;

/// The positions of the known columns, and the names of all others.
#[derive(Clone, Debug)]
pub struct TableColumns {
    /// By their order in [`STANDARD`], then [`TAIL`].
    known: [Option<usize>; STANDARD.len() + TAIL.len()],
    pub(super) custom: Vec<(usize, Arc<str>)>,
    /// That of rows of documents.
    pub(super) within: Option<usize>,
}

const PHASE: usize = 0;
const AGENT: usize = 1;
const CHANNEL: usize = 2;
const INPUT: usize = 3;
const OUTPUT: usize = 4;
const DURATION: usize = 5;
const STATUS: usize = 6;
const TOKENS: usize = 7;
const ITEM: usize = 8;
const ATTEMPT: usize = 9;
const STARTED: usize = 10;
const ERROR: usize = 11;

impl TableColumns {
    /// Whether a table is one of executions: by its name, or by its columns.
    pub fn fit(table: &Table) -> bool {
        let has = |name: &str| table.columns.iter().any(|column| column.path == [name]);
        table.key.as_deref() == Some("execution") || (has("phase") && has("status"))
    }

    /// The columns of a table.
    ///
    /// # Errors
    /// The name of a required column that is missing.
    pub fn of(table: &Table) -> Result<TableColumns, &'static str> {
        let mut known = [None; STANDARD.len() + TAIL.len()];
        let mut custom = Vec::new();
        for (index, column) in table.columns.iter().enumerate() {
            let name = column.name();
            match STANDARD.iter().chain(&TAIL).position(|standard| *standard == name) {
                Some(meaning) => known[meaning] = Some(index),
                None => custom.push((index, Arc::from(name))),
            }
        }
        match [PHASE, STATUS].into_iter().find(|needed| known[*needed].is_none()) {
            Some(missing) => Err(STANDARD[missing]),
            None => {
                let within = custom.iter().find(|(_, name)| **name == *WITHIN).map(|(index, _)| *index);
                Ok(TableColumns { known, custom, within })
            }
        }
    }

    /// Reads a row; else all its problems.
    pub fn read<'a>(&'a self, row: Row<'a>) -> Result<RowRef<'a>, Vec<TraceProblem>> {
        let mut cells = Cells { columns: self, row, problems: Vec::new() };
        let phase = cells.needed(PHASE);
        let status = cells.status();
        let read = RowRef {
            phase,
            agent: cells.text(AGENT),
            channel: cells.text(CHANNEL),
            input: cells.text(INPUT),
            output: cells.text(OUTPUT),
            duration_ms: cells.milliseconds(),
            status,
            tokens_used: cells.whole(TOKENS, 0, u64::MAX),
            item: cells.text(ITEM),
            attempt: cells.whole(ATTEMPT, 1, u64::from(u32::MAX)).and_then(|count| count.try_into().ok()),
            started_ms: cells.whole(STARTED, 0, LONGEST_MS as u64),
            error: cells.text(ERROR),
            place: None,
            owned: None,
            custom: Custom::Cells(self, row),
        };
        if cells.problems.is_empty() { Ok(read) } else { Err(cells.problems) }
    }

    /// The cells of a row that this program would write differently. Those that another table would not accept are
    /// left out.
    pub(super) fn spelled(&self, cells: &Row<'_>, row: &super::row::Row) -> Spelled {
        let names = STANDARD.iter().chain(&TAIL).map(|name| Cow::Borrowed(*name));
        let known = self.known.iter().zip(names).filter_map(|(index, name)| Some((index.as_ref()?, name)));
        let custom = self.custom.iter().map(|(index, name)| (index, Cow::Borrowed(&**name)));
        let mut spelled = Spelled::new();
        for (index, name) in known.chain(custom).filter(|(_, name)| name != STANDARD[PHASE]) {
            let Some(cell) = cells.cell(*index) else { continue };
            let mut ours = String::new();
            row.cell(&mut ours, &name, ',');
            let taken = cell.raw().starts_with('"') || !cell.raw().contains(',');
            if taken && ours != cell.raw() {
                spelled.push((Arc::from(&*name), Box::from(cell.raw())));
            }
        }
        spelled
    }

    /// The place of a phase's name in rows of this table.
    pub(super) fn phase(&self) -> usize {
        self.known[PHASE].unwrap_or_default()
    }

    /// The bytes of a row's cells in its line, by the order of [`STANDARD`], then [`TAIL`].
    pub(super) fn spans(&self, row: &Row<'_>) -> [Option<Range<usize>>; STANDARD.len() + TAIL.len()] {
        self.known.map(|column| column.map(|column| row.span(column)))
    }
}

struct Cells<'a> {
    columns: &'a TableColumns,
    row: Row<'a>,
    problems: Vec<TraceProblem>,
}

impl<'a> Cells<'a> {
    fn cell(&self, meaning: usize) -> Option<(usize, Cell<'a>)> {
        let index = self.columns.known[meaning]?;
        self.row.cell(index).map(|cell| (index, cell))
    }

    /// A label; a number or Boolean is its own text.
    fn text(&self, meaning: usize) -> Option<Cow<'a, str>> {
        let (_, cell) = self.cell(meaning)?;
        (cell.raw() != "null").then(|| cell.text())
    }

    fn needed(&mut self, meaning: usize) -> Cow<'a, str> {
        let text = self.text(meaning).filter(|text| !text.is_empty());
        text.unwrap_or_else(|| {
            self.refuse(meaning, "the name of a step's phase, never null or empty");
            Cow::Borrowed("")
        })
    }

    fn status(&mut self) -> Status {
        let Some((index, cell)) = self.cell(STATUS) else { return Status::Failed };
        let text = cell.text();
        Status::parse(&text).unwrap_or_else(|| {
            let make = |span| catalogue::unknown_status(span, &text, &Status::ALL.map(Status::name));
            self.problems.push(TraceProblem::cell(&self.row, index, make));
            Status::Failed
        })
    }

    fn milliseconds(&mut self) -> Option<f64> {
        let (_, cell) = self.cell(DURATION)?;
        let number = match cell.scalar() {
            Scalar::Null => return None,
            Scalar::Number(text) => text.parse::<f64>().ok(),
            Scalar::Bool(_) | Scalar::Text(_) => None,
        };
        // Minus zero becomes zero, also in all that is computed from it.
        let number = number.filter(|number| (0.0..=LONGEST_MS).contains(number)).map(f64::abs);
        if number.is_none() {
            self.refuse(DURATION, "a number of milliseconds, from 0 to 10^12, or null");
        }
        number
    }

    fn whole(&mut self, meaning: usize, least: u64, most: u64) -> Option<u64> {
        let (_, cell) = self.cell(meaning)?;
        let number = match cell.raw() {
            "null" => return None,
            // Rust also accepts a sign and leading zeros.
            raw if raw.starts_with('+') || (raw.len() > 1 && raw.starts_with('0')) => None,
            raw => raw.parse::<u64>().ok(),
        };
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.refuse(
                meaning,
                if least == 0 { "a whole number from 0, or null" } else { "a whole number from 1, or null" },
            );
        }
        number
    }

    fn refuse(&mut self, meaning: usize, expected: &str) {
        let Some(index) = self.columns.known[meaning] else { return };
        let name = STANDARD.iter().chain(&TAIL).nth(meaning).copied().unwrap_or_default();
        let make = |span| catalogue::bad_trace_cell(span, name, expected);
        self.problems.push(TraceProblem::cell(&self.row, index, make));
    }
}
