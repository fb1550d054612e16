//! An edited table of dead letters: which items to retry, and with which inputs.

use super::Letter;
use super::table::{ABOUT, LetterColumn, LetterTable};
use crate::diag::nearest;
use crate::engine::RetryRequest;
use crate::event::Values;
use crate::items;
use crate::toon::{self, Cell, Node, Reader, Row, Scalar};
use crate::value::words;
use crate::value::{Value, equal, json, kind};
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// A problem with its line and column, from 1.
pub struct EditProblem {
    pub line: u64,
    pub column: u64,
    pub message: String,
}

/// The meaning of a column of the edited table.
enum Meaning<'a> {
    Key,
    /// Informational; edits are ignored.
    About,
    Input(&'a LetterColumn),
    /// An unknown column, already reported.
    Unknown,
}

/// The items that a row may refer to.
struct Known<'a> {
    letters: HashMap<&'a str, &'a Letter>,
    /// All others, with their state.
    others: &'a BTreeMap<Arc<str>, &'static str>,
}

impl Known<'_> {
    /// Why no dead letter has this key.
    fn lacks(&self, key: &str) -> String {
        if let Some(state) = self.others.get(key) {
            return format!("the item `{key}` {state}; take its row out");
        }
        let near = match nearest(key, self.letters.keys().copied()) {
            Some(near) => words::did_you_mean(near),
            None => "orderflow show RUN --dead-letters lists those that have".to_owned(),
        };
        format!("no item `{key}` has failed; {near}")
    }
}

/// The rows of the edited table, for the letters that were printed.
pub struct Edited {
    pub retries: Vec<RetryRequest>,
    pub problems: Vec<EditProblem>,
}

/// Reads an edited copy of `table`; rows and columns may be missing, and cells may be changed. `others` has the states
/// of the items without a letter; relative paths in edited cells start from the folder `base`.
///
/// # Errors
/// When the table cannot be read. Problems of its contents are returned in [`Edited`].
pub fn read(
    table: &LetterTable<'_>,
    others: &BTreeMap<Arc<str>, &'static str>,
    text: impl Read,
    base: &Path,
) -> std::io::Result<Edited> {
    let mut edited = Edited { retries: Vec::new(), problems: Vec::new() };
    let letters = table.letters.iter().map(|letter| (&*letter.key, letter)).collect();
    let known = Known { letters, others };
    let mut lines: HashMap<Arc<str>, u64> = HashMap::new();
    let mut reader = Reader::new(text);
    let (mut meanings, mut tables) = (Vec::new(), 0);
    while let Some(node) = reader.next()? {
        match node {
            Err(problem) => edited.problems.push(refused(&problem)),
            Ok(Node::Table(header)) => {
                tables += 1;
                if tables == 1 {
                    meanings = understood(table, header, &mut edited.problems);
                }
            }
            Ok(Node::Row(row)) if tables == 1 => {
                if let Some(letter) = edited.known(&row, &meanings, &known, &mut lines) {
                    edited.take(table, letter, &row, &meanings, base);
                }
            }
            Ok(Node::Row(_) | Node::Field(_)) => {}
        }
    }
    if tables == 0 && edited.problems.is_empty() {
        let message = "no table found; orderflow show RUN --dead-letters writes one".to_owned();
        edited.problems.push(EditProblem { line: 1, column: 1, message });
    }
    edited.retries.sort_by_key(|retry| retry.item);
    Ok(edited)
}

fn understood<'a>(
    table: &'a LetterTable<'_>,
    header: &toon::Table,
    problems: &mut Vec<EditProblem>,
) -> Vec<Meaning<'a>> {
    let known = || ABOUT.into_iter().chain(table.columns.iter().map(|column| column.name.as_str()));
    let mut problem = |at: usize, message: String| {
        let column = column(&header.text, at);
        problems.push(EditProblem { line: header.line, column, message });
    };
    let mut meaning = |given: &toon::Column| {
        let name = given.name();
        if name == "key" {
            return Meaning::Key;
        }
        if ABOUT.contains(&&*name) {
            return Meaning::About;
        }
        if let Some(column) = table.columns.iter().find(|column| column.name == name) {
            return Meaning::Input(column);
        }
        let near = match nearest(&name, known()) {
            Some(near) => words::did_you_mean(near),
            None => format!("there are {}", known().collect::<Vec<_>>().join(", ")),
        };
        problem(given.span.start, format!("no item brings `{name}`; {near}"));
        Meaning::Unknown
    };
    let meanings: Vec<Meaning<'_>> = header.columns.iter().map(&mut meaning).collect();
    if !meanings.iter().any(|meaning| matches!(meaning, Meaning::Key)) {
        problem(0, "the table has no column `key`".to_owned());
    }
    meanings
}

impl Edited {
    fn problem(&mut self, row: &Row<'_>, cell: usize, message: String) {
        let column = column(row.text, row.span(cell).start);
        self.problems.push(EditProblem { line: row.line, column, message });
    }

    /// The letter of a row.
    fn known<'a>(
        &mut self,
        row: &Row<'_>,
        meanings: &[Meaning<'_>],
        known: &Known<'a>,
        lines: &mut HashMap<Arc<str>, u64>,
    ) -> Option<&'a Letter> {
        let at = meanings.iter().position(|meaning| matches!(meaning, Meaning::Key))?;
        let key = row.cell(at)?.text();
        let Some(letter) = known.letters.get(&*key).copied() else {
            self.problem(row, at, known.lacks(&key));
            return None;
        };
        if let Some(first) = lines.insert(letter.key.clone(), row.line) {
            self.problem(row, at, format!("duplicate key `{key}`, first used on line {first}"));
            return None;
        }
        Some(letter)
    }

    /// Requests a retry of a row's item, with other inputs if a cell was changed.
    fn take(
        &mut self,
        table: &LetterTable<'_>,
        letter: &Letter,
        row: &Row<'_>,
        meanings: &[Meaning<'_>],
        base: &Path,
    ) {
        let before = self.problems.len();
        let mut inputs = letter.inputs.clone();
        let mut first = None;
        for (at, (cell, meaning)) in row.cells().zip(meanings).enumerate() {
            let Meaning::Input(column) = meaning else { continue };
            if is_same(cell, column.printed(letter, table.graph).as_deref()) {
                continue;
            }
            first.get_or_insert(at);
            match spelled(cell, column, letter, table, base) {
                Ok(value) => put(&mut inputs, column, value),
                Err(message) => self.problem(row, at, message),
            }
        }
        let Some(first) = first else {
            self.retries.push(RetryRequest::of(letter.item));
            return;
        };
        if letter.uncompensated {
            let message = "compensation failed for this item: run `orderflow resolve` first, or leave its inputs as they are";
            self.problem(row, first, message.to_owned());
        } else if self.problems.len() == before
            && let Some(message) = misfit(table, &inputs)
        {
            self.problem(row, first, message);
        }
        self.retries.push(RetryRequest { inputs: Some(inputs), ..RetryRequest::of(letter.item) });
    }
}

/// Whether a cell is as it was printed for this value.
fn is_same(cell: Cell<'_>, old: Option<&Value>) -> bool {
    match old {
        None | Some(Value::Null) => cell.scalar() == Scalar::Null,
        Some(Value::String(text)) => cell.raw() != "null" && cell.text() == *text,
        Some(old @ (Value::Array(_) | Value::Object(_))) => cell.text() == old.to_string(),
        Some(old) => equal(&cell.scalar().value(), old),
    }
}

/// The value of a cell, read by its type, or else by the kind of the old value; `None` for an absent value.
fn spelled(
    cell: Cell<'_>,
    column: &LetterColumn,
    letter: &Letter,
    table: &LetterTable<'_>,
    base: &Path,
) -> Result<Option<Value>, String> {
    let name = &column.name;
    let declared = column.ty(table.graph);
    let may_lack = match &column.member {
        Some(_) => declared.as_ref().is_some_and(|(_, optional)| *optional),
        None => table.graph.may_lack(column.input),
    };
    let scalar = cell.scalar();
    let value = match (&declared, column.of(letter), &scalar) {
        (_, _, Scalar::Null) if may_lack => return Ok(None),
        (_, _, Scalar::Null) => Value::Null,
        (Some((ty, _)), _, _) if ty.is_text() => Value::from(cell.text()),
        (Some((ty, _)), _, Scalar::Text(text)) => ty
            .read(text)
            .map_err(|_| format!("`{name}` is not of type {ty}: found {}", Value::from(&**text)))?,
        (None, Some(Value::String(_)), _) => Value::from(cell.text()),
        (None, Some(old @ (Value::Array(_) | Value::Object(_))), _) => {
            json::parse(&cell.text()).map_err(|error| {
                format!("`{name}` was {}, and this is not JSON: {}", kind(old), json::problem(&error))
            })?
        }
        _ => scalar.value(),
    };
    match declared {
        Some((ty, _)) => {
            let value = ty.admit(value).map_err(|misfits| misfits.of(name))?;
            items::absolute(value, &ty, base, true).map(Some).map_err(|why| format!("`{name}`: {why}"))
        }
        None => Ok(Some(value)),
    }
}

/// Sets or removes a value.
fn put(inputs: &mut Values, column: &LetterColumn, value: Option<Value>) {
    let at = inputs.iter().position(|(id, _)| *id == column.input);
    match (&column.member, at.and_then(|at| inputs.get_mut(at)), value) {
        (Some(member), Some((_, whole)), value) => {
            let mut changed = (**whole).clone();
            match (changed.as_object_mut(), value) {
                (Some(object), Some(value)) => drop(object.insert(member.clone(), value)),
                (Some(object), None) => drop(object.shift_remove(member)),
                (None, _) => {}
            }
            *whole = Arc::new(changed);
        }
        (None, Some((_, whole)), Some(value)) => *whole = Arc::new(value),
        (None, Some(_), None) => inputs.retain(|(id, _)| *id != column.input),
        (_, None, Some(value)) => inputs.push((column.input, Arc::new(value))),
        (_, None, None) => {}
    }
}

/// The problem of an input as a whole, if each of its members fits.
fn misfit(table: &LetterTable<'_>, inputs: &Values) -> Option<String> {
    inputs.iter().find_map(|(id, value)| {
        let info = table.graph.value(*id);
        Some(info.ty.as_ref()?.fits(value).err()?.of(&info.name))
    })
}

fn refused(problem: &toon::Problem) -> EditProblem {
    let message = match problem.fault.help() {
        Some(help) => format!("{}; {help}", problem.fault),
        None => problem.fault.to_string(),
    };
    EditProblem { line: problem.line, column: column(&problem.text, problem.span.start), message }
}

/// The column of a byte, in characters from 1.
fn column(text: &str, byte: usize) -> u64 {
    text.char_indices().take_while(|(at, _)| *at < byte).count() as u64 + 1
}
