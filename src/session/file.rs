//! Session files of any size: rows are shown one by one, the rest is stored. Bare tables and the tables of other tools
//! are accepted; files of this program must be complete.

use super::layout::{Edge, Layout, Phase};
use super::problem::{MOST, TraceProblem, TraceProblems};
use super::read::{Part, read};
use super::row::RowRef;
use super::write::Head;
use crate::diag::catalogue;
use crate::toon::{self, Scalar};
use crate::value::{Object, Value};
use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::sync::Arc;

/// A file's contents without its rows.
#[derive(Debug, Default)]
pub struct Session {
    /// Only in files of this program.
    pub head: Option<Head>,
    /// Only in files of this program.
    pub layout: Option<Layout>,
    pub summary: Object,
    pub rows: u64,
    pub problems: TraceProblems,
}

/// Reads a file; calls `show` with each row and the layout before it, if any.
///
/// # Errors
/// Read errors of the input. Problems of the text are in [`Session::problems`].
pub fn read_session(
    input: impl Read,
    mut show: impl FnMut(Option<&Layout>, &RowRef<'_>),
) -> io::Result<Session> {
    let mut file = FileReader::default();
    let last = read(input, |part| match part {
        Part::Executions => {
            file.executions = true;
            file.lay_out();
        }
        Part::Execution(read, row, columns) => {
            let layout = file.session.layout.as_ref();
            let place = layout.and_then(|layout| layout.place(&read.phase));
            if let (Some(layout), None) = (layout, place) {
                // A phase is reported once, at its first row, up to a limit of names.
                if file.unknown.len() < MOST && file.unknown.insert(read.phase.to_string()) {
                    let known = layout.phases.iter().map(|phase| &*phase.name);
                    let make = |span| catalogue::unknown_phase(span, &read.phase, known);
                    let problem = TraceProblem::cell(&row, columns.phase(), make);
                    file.session.problems.push(problem);
                }
            } else {
                file.session.rows += 1;
                let phase = layout.zip(place).and_then(|(layout, place)| layout.phases.get(place));
                let owned = phase.map(|phase| phase.fields.as_slice());
                show(layout, &RowRef { place, owned, ..read });
            }
        }
        Part::Table(_) => {}
        Part::Row(table, row) if file.own => file.own_row(table, row),
        Part::Row(..) => {}
        Part::Field(field) => file.field(field),
        Part::Problem(problem) => file.session.problems.push(problem),
    })?;
    file.lay_out();
    if file.own && !file.ended {
        file.session.problems.push(last.problem(catalogue::incomplete_session));
    }
    if !file.executions && file.session.problems.is_empty() {
        file.session.problems.push(last.problem(catalogue::no_executions));
    }
    file.session.head = file.own.then_some(file.head);
    Ok(file.session)
}

#[derive(Default)]
struct FileReader {
    session: Session,
    /// `orderflow: 1` was seen.
    own: bool,
    /// The last field was seen, whatever its value.
    ended: bool,
    executions: bool,
    /// Phases of rows that are not in `phases`.
    unknown: HashSet<String>,
    head: Head,
    phases: Vec<Phase>,
    /// By name.
    places: HashMap<Arc<str>, usize>,
    edges: Vec<Edge>,
}

impl FileReader {
    fn field(&mut self, field: toon::Field) {
        let text = || field.value.as_str().unwrap_or_default().to_owned();
        let head = &mut self.head;
        match (field.key.as_deref().unwrap_or_default(), &field.value) {
            ("orderflow", version) => {
                self.own = true;
                if version.as_u64() != Some(1) {
                    let make = |span| catalogue::unknown_session_version(span, &version.to_string());
                    self.session.problems.push(TraceProblem::field(&field, make));
                }
            }
            ("run", _) => head.run = text(),
            ("workflow", _) => head.workflow = text(),
            ("source", _) => head.source = text(),
            ("started", _) => head.started = text(),
            ("summary", Value::Object(summary)) => self.session.summary = summary.clone(),
            ("complete", Value::Bool(complete)) => (self.ended, head.complete) = (true, *complete),
            ("execution", Value::Array(rows)) if rows.is_empty() => self.executions = true,
            ("execution", _) => {
                self.executions = true;
                self.session.problems.push(TraceProblem::field(&field, catalogue::no_execution_table));
            }
            _ => {}
        }
    }

    /// Reads a row of `phases` or `edges`.
    fn own_row(&mut self, table: &toon::Table, row: toon::Row<'_>) {
        let cell = |name: &str| {
            let column = table.columns.iter().position(|column| column.path == [name])?;
            row.cell(column).map(toon::Cell::scalar)
        };
        let text = |name: &str| -> Option<Arc<str>> {
            match cell(name)? {
                Scalar::Null => None,
                Scalar::Text(text) => Some(Arc::from(&*text)),
                Scalar::Bool(_) | Scalar::Number(_) => None,
            }
        };
        let kind: Option<Arc<str>> = text("kind");
        let is = |word: &str| kind.as_deref().unwrap_or_default().split(' ').any(|known| known == word);
        let done = match table.key.as_deref() {
            Some("phases") => text("name").map(|name: Arc<str>| {
                self.places.entry(Arc::clone(&name)).or_insert(self.phases.len());
                self.phases.push(Phase {
                    name,
                    agent: text("agent"),
                    channel: text("channel"),
                    critical: cell("critical") == Some(Scalar::Bool(true)),
                    optional: cell("optional") == Some(Scalar::Bool(true)),
                    handler: is("handler") || is("compensation"),
                    undoes: is("compensation"),
                    undoable: false,
                    irreversible: false,
                    each: is("each"),
                    once: is("run"),
                    nested: is("nested"),
                    step: None,
                    needs: Vec::new(),
                    fields: text("fields").map(|fields| names(&fields)).unwrap_or_default(),
                });
            }),
            Some("edges") => self.edge(text("from"), text("to"), text("value")),
            _ => Some(()),
        };
        if done.is_none() {
            let what = "a phase has a name; an edge leads from one phase to a later one";
            let make = |span| catalogue::bad_session(span, what);
            let problem = TraceProblem::line(row.line, row.line_start, row.text, 0..row.text.len(), make);
            self.session.problems.push(problem);
        }
    }

    fn edge(&mut self, from: Option<Arc<str>>, to: Option<Arc<str>>, value: Option<Arc<str>>) -> Option<()> {
        let (from, to) = (*self.places.get(&from?)?, *self.places.get(&to?)?);
        if from >= to {
            return None;
        }
        // An edge after the executions has no effect.
        self.phases.get_mut(to)?.needs.push((from, value.is_some()));
        self.edges.push(Edge { from, to, value });
        Some(())
    }

    /// The phases and edges are known once the executions begin.
    fn lay_out(&mut self) {
        if self.own && self.session.layout.is_none() {
            let (phases, edges) = (std::mem::take(&mut self.phases), std::mem::take(&mut self.edges));
            self.session.layout = Some(Layout::new(phases, edges));
        }
    }
}

/// The columns in a `fields` cell.
fn names(fields: &str) -> Vec<Arc<str>> {
    toon::words(fields).into_iter().map(Arc::from).collect()
}
