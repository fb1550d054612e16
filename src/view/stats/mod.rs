//! Statistics as tables for people and pull requests, and as text for spreadsheets and scripts.

mod csv;
mod facts;
mod grid;
mod markdown;

pub use facts::{decided, missing};
pub use markdown::code;

use super::table::figures;
use crate::diag::render::visible;
use crate::stats::{Change, Stats, Verdict};
use grid::Grid;
use serde::Serialize;

/// The column where the values of the run's block start.
const INDENT: usize = 15;

/// Statistics with their expectations and comparisons.
#[derive(Serialize)]
pub struct Report<'a> {
    #[serde(flatten)]
    pub stats: &'a Stats,
    /// The changes against another record; `None` without a baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<&'a [Change]>,
    /// The other record's name.
    #[serde(skip)]
    pub baseline: &'a str,
    #[serde(skip_serializing_if = "<[Verdict]>::is_empty")]
    pub expectations: &'a [Verdict],
}

impl<'a> Report<'a> {
    /// Statistics without expectations and comparisons.
    pub fn of(stats: &'a Stats) -> Report<'a> {
        Report { stats, changes: None, baseline: "", expectations: &[] }
    }

    /// The groups, their agents' numbers, the run and the requested checks, for a terminal of this width in columns.
    pub fn table(&self, width: Option<usize>) -> String {
        let mut out = drawn(grid::groups(self.stats), width);
        out.push_str(&drawn(grid::columns(self.stats), width));
        out.push_str(&run(self.stats, width));
        match self.changes {
            None => {}
            Some([]) => {
                out.push_str(&format!("\nno step has other figures than in {}\n", visible(self.baseline)));
            }
            Some(changes) => {
                out.push_str(&format!("\nchanges since {}\n\n", visible(self.baseline)));
                out.push_str(drawn(grid::changes(changes), width).trim_end_matches('\n'));
                out.push('\n');
            }
        }
        if !self.expectations.is_empty() {
            out.push('\n');
            out.push_str(&verdicts(self.expectations, width));
        }
        out
    }

    /// The same in Markdown. All names are code, so that none is a mention.
    pub fn markdown(&self) -> String {
        markdown::page(self)
    }

    /// One line a group; an agent's numeric column becomes several.
    ///
    /// # Errors
    /// An error of the CSV writer.
    pub fn csv(&self) -> Result<String, ::csv::Error> {
        csv::csv(self.stats)
    }
}

/// Expectations with the values found.
pub fn verdicts(verdicts: &[Verdict], width: Option<usize>) -> String {
    drawn(grid::verdicts(verdicts), width).trim_end_matches('\n').to_owned() + "\n"
}

/// The value that an expectation found.
pub fn found(verdict: &Verdict) -> String {
    grid::found(verdict)
}

/// A grid with an empty line after it; empty without rows.
fn drawn(grid: Grid, width: Option<usize>) -> String {
    let Grid { header, names, texts, mut rows } = grid;
    if rows.is_empty() {
        return String::new();
    }
    for name in rows.iter_mut().flat_map(|row| row.iter_mut().take(names)) {
        *name = visible(name);
    }
    figures(&header, texts, rows, width) + "\n"
}

/// The run as a block of lines.
fn run(stats: &Stats, width: Option<usize>) -> String {
    let mut out = String::new();
    for (name, value) in facts::facts(stats, &visible) {
        let words: Vec<&str> = value.split(' ').collect();
        out.push_str(&wrapped(name, &words, " ", width));
    }
    if let Some(path) = facts::path(&stats.run, &visible) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        out.push_str(&wrapped("critical path", &path, " → ", width));
    }
    out
}

/// Words with a separator, broken when the line is full.
fn wrapped(name: &str, words: &[&str], between: &str, width: Option<usize>) -> String {
    let mut out = format!("{name:<INDENT$}");
    let mut column = INDENT;
    let gap = between.chars().count();
    for (index, word) in words.iter().enumerate() {
        let length = word.chars().count();
        if index > 0 && width.is_some_and(|width| column + gap + length > width) {
            out.push_str(&format!("{}\n{:<INDENT$}", between.trim_end(), ""));
            column = INDENT;
        } else if index > 0 {
            out.push_str(between);
            column += gap;
        }
        out.push_str(word);
        column += length;
    }
    out + "\n"
}
