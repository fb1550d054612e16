//! Adds the rows of a run to their document: to a table below their step that has their columns, else to a new fence
//! at the end of the step's body. Of the document's existing text only counts change.

use super::columns::TableColumns;
use super::document::recorded;
use super::row::{Row, STANDARD};
use crate::diag::{Source, Span};
use crate::spec::{self, Spec, Step, TraceFence};
use crate::toon::write::header;
use crate::toon::{Node, Reader};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// The most rows that one run adds to a document.
pub const MOST_ROWS: usize = 1000;

/// Why a document accepts no more rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This many rows.
    TooMany(usize),
    /// With them it would have this many bytes.
    TooLarge(usize),
    /// The result would not read as it should: a bug of this program.
    Unreadable,
}

/// The columns at the end of a new fence's tables. Starts are left out, because several runs have no common beginning.
const OWN_TAIL: [&str; 3] = ["item", "attempt", "error"];

/// The document's text with these rows added. `phases` are those of the document's steps; `run` is put before the
/// items' keys.
///
/// # Errors
/// When there are too many rows.
pub fn append(
    source: &Source,
    spec: &Spec,
    phases: &[String],
    run: &str,
    rows: &[Row],
) -> Result<String, Refusal> {
    if rows.len() > MOST_ROWS {
        return Err(Refusal::TooMany(rows.len()));
    }
    let rows: Vec<Row> = rows.iter().map(|row| named(row, run)).collect();
    let mut writer = DocumentWriter::new(source, spec);
    for (step, phase) in spec.steps.iter().zip(phases) {
        let own: Vec<&Row> = rows.iter().filter(|row| *row.phase == **phase).collect();
        if !own.is_empty() {
            writer.step(place(spec, step), phase, &own);
        }
    }
    let written = writer.finish();
    if written.len() > spec::LARGEST {
        return Err(Refusal::TooLarge(written.len()));
    }
    let before = recorded(source, spec).rows.len();
    if count(&written) == Some(before + rows.len()) { Ok(written) } else { Err(Refusal::Unreadable) }
}

/// The step below whose heading the rows of a step are. A compensation that follows from `[document:: …]` has no heading:
/// its rows are with those of the step that it compensates.
fn place<'a>(spec: &'a Spec, step: &'a Step) -> &'a Step {
    let compensates =
        |other: &&Step| other.annotations.compensate.as_ref().is_some_and(|by| by.value == step.title.value);
    { spec.steps.iter() }.find(|other| step.implied && compensates(other)).unwrap_or(step)
}

/// The row with its run's name before its item's key.
fn named(row: &Row, run: &str) -> Row {
    let key = row.item.as_deref().unwrap_or_default();
    Row { item: Some(Arc::from(format!("{run}:{key}"))), ..row.clone() }
}

/// The rows of a run that a document does not record yet. `run` precedes the items' keys there. An execution is
/// identified by its step, item, end and attempt; all else may have been edited.
pub fn missing(rows: Vec<Row>, there: &[Row], run: &str) -> Vec<Row> {
    let about =
        |row: &Row| (row.phase.clone(), row.item.clone(), row.status.name(), row.attempt.unwrap_or(1));
    let mut found: HashMap<_, usize> = HashMap::new();
    for row in there {
        *found.entry(about(row)).or_default() += 1;
    }
    let mut absent = |row: &Row| match found.get_mut(&about(&named(row, run))) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    rows.into_iter().filter(|row| absent(row)).collect()
}

/// How many rows a text records; `None` if it is malformed.
fn count(text: &str) -> Option<usize> {
    let source = Source::new("", text);
    let recorded = recorded(&source, &spec::parse(&source).0);
    recorded.problems.is_empty().then_some(recorded.rows.len())
}

struct DocumentWriter<'a> {
    source: &'a Source,
    /// Replacement texts by the start of their span; an insertion has an empty span.
    edits: BTreeMap<usize, (Span, String)>,
    newline: &'static str,
    /// The default indentation of rows.
    indent: String,
}

/// A table of one step's executions.
struct StepTable {
    delimiter: char,
    columns: Vec<String>,
    count: u64,
    count_place: Span,
    indent: Option<String>,
    /// Where the next row goes.
    end: usize,
    /// Whether all rows are of the step.
    own: bool,
}

impl<'a> DocumentWriter<'a> {
    fn new(source: &'a Source, spec: &Spec) -> DocumentWriter<'a> {
        let fences = spec.steps.iter().flat_map(|step| &step.traces);
        let indent = fences.flat_map(|fence| tables(source, fence, "")).find_map(|table| table.indent);
        let first = source.text.find('\n');
        let crlf = first.is_some_and(|at| source.text[..at].ends_with('\r'));
        DocumentWriter {
            source,
            edits: BTreeMap::new(),
            newline: if crlf { "\r\n" } else { "\n" },
            indent: indent.unwrap_or_else(|| "  ".to_owned()),
        }
    }

    fn step(&mut self, step: &Step, phase: &str, rows: &[&Row]) {
        let needed = needed(rows);
        let mut tables = step.traces.iter().flat_map(|fence| tables(self.source, fence, phase));
        let fits = |table: &StepTable| table.own && needed.iter().all(|name| table.columns.contains(name));
        match tables.find(fits) {
            Some(table) => self.append(&table, rows),
            None => self.open(step, rows),
        }
    }

    fn append(&mut self, table: &StepTable, rows: &[&Row]) {
        let count = (table.count + rows.len() as u64).to_string();
        self.edits.insert(table.count_place.start, (table.count_place, count));
        let indent = table.indent.as_ref().unwrap_or(&self.indent);
        let before = &self.source.text[..table.end];
        // The line above shows which line ending this fence uses.
        let newline = if before.ends_with("\r\n") { "\r\n" } else { "\n" };
        let mut added = String::new();
        for row in rows {
            added.push_str(indent);
            line(&mut added, row, table.columns.iter().map(String::as_str), table.delimiter);
            added.push_str(newline);
        }
        self.edits.insert(table.end, (Span::new(table.end, table.end), added));
    }

    fn open(&mut self, step: &Step, rows: &[&Row]) {
        let custom = custom(rows);
        let columns: Vec<&str> =
            STANDARD.into_iter().chain(custom.iter().map(|name| &**name)).chain(OWN_TAIL).collect();
        let newline = self.newline;
        let mut added = format!("{newline}{newline}```session-toon{newline}");
        header(&mut added, "execution", rows.len() as u64, ',', columns.iter().copied());
        for row in rows {
            added.push_str(newline);
            added.push_str(&self.indent);
            line(&mut added, row, columns.iter().copied(), ',');
        }
        added.push_str(newline);
        added.push_str("```");
        if step.end == self.source.text.len() {
            added.push_str(newline);
        }
        let (_, before) =
            self.edits.entry(step.end).or_insert((Span::new(step.end, step.end), String::new()));
        before.truncate(before.trim_end().len());
        before.push_str(&added);
    }

    fn finish(self) -> String {
        let mut text = self.source.text.clone();
        for (place, replacement) in self.edits.into_values().rev() {
            text.replace_range(place.start..place.end, &replacement);
        }
        text
    }
}

/// The tables of executions in a fence, with what is needed to add rows to them.
fn tables(source: &Source, fence: &TraceFence, phase: &str) -> Vec<StepTable> {
    let base = fence.content.start;
    let content = source.slice(fence.content);
    let offset = |at: u64| usize::try_from(at).unwrap_or_default();
    let line_end = |start: usize| content[start..].find('\n').map_or(content.len(), |at| start + at + 1);
    let mut found: Vec<StepTable> = Vec::new();
    let mut reader = Reader::new(content.as_bytes());
    let mut columns = None;
    // Reading from memory does not fail; rows are not added to a malformed table.
    while let Ok(Some(Ok(node))) = reader.next() {
        match node {
            Node::Table(table) => {
                columns = TableColumns::of(table).ok().filter(|_| TableColumns::fit(table));
                let start = offset(table.line_start);
                let place = base + start;
                found.push(StepTable {
                    delimiter: char::from(table.delimiter),
                    columns: table.columns.iter().map(|column| column.name()).collect(),
                    count: table.count,
                    count_place: Span::new(place + table.count_span.start, place + table.count_span.end),
                    indent: None,
                    end: base + line_end(start),
                    own: columns.is_some(),
                });
            }
            Node::Row(row) => {
                let Some(table) = found.last_mut() else { continue };
                table.end = base + line_end(offset(row.line_start));
                let width = row.text.len() - row.text.trim_start_matches(' ').len();
                table.indent.get_or_insert_with(|| " ".repeat(width));
                let name = columns.as_ref().and_then(|columns| row.cell(columns.phase()));
                table.own &= name.is_some_and(|name| name.text() == phase);
            }
            Node::Field(_) => {}
        }
    }
    // Within a fence all rows are indented alike.
    let indent = found.iter().find_map(|table| table.indent.clone());
    found.iter_mut().for_each(|table| table.indent.clone_from(&indent));
    found
}

/// The columns that a table must have to take these rows.
fn needed(rows: &[&Row]) -> Vec<String> {
    let any = |has: fn(&Row) -> bool| rows.iter().any(|row| has(row));
    let mut needed: Vec<String> = ["phase", "status", "item"].map(str::to_owned).to_vec();
    let optional = [
        ("agent", any(|row| row.agent.is_some())),
        ("channel", any(|row| row.channel.is_some())),
        ("input", any(|row| row.input.is_some())),
        ("output", any(|row| row.output.is_some())),
        ("duration_ms", any(|row| row.duration_ms.is_some())),
        ("tokens_used", any(|row| row.tokens_used.is_some())),
        ("attempt", any(|row| row.attempt.is_some_and(|attempt| attempt > 1))),
        ("error", any(|row| row.error.is_some())),
    ];
    needed.extend(optional.into_iter().filter(|(_, there)| *there).map(|(name, _)| name.to_owned()));
    needed.extend(custom(rows).iter().map(|name| name.to_string()));
    needed
}

/// The columns that agents reported, in the order that they first did.
fn custom(rows: &[&Row]) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = Vec::new();
    for (name, value) in rows.iter().flat_map(|row| &row.columns) {
        if !value.is_null() && !names.contains(name) {
            names.push(Arc::clone(name));
        }
    }
    names
}

/// Appends a row's cells, null for missing ones.
fn line<'a>(out: &mut String, row: &Row, columns: impl Iterator<Item = &'a str>, delimiter: char) {
    for (index, name) in columns.enumerate() {
        if index > 0 {
            out.push(delimiter);
        }
        row.cell(out, name, delimiter);
    }
}
