//! The executions of one step in all runs that are stored here, run by run, in the order of their ends.

use super::super::exit::{Exit, Stop};
use super::super::terminal::Terminal;
use super::{Args, began_since, find};
use crate::cli::format::TableFormat;
use crate::diag::nearest;
use crate::diag::render::{visible, visible_json};
use crate::event::Status;
use crate::history::{History, NestedTrace};
use crate::session::{Entries, Entry, NestedRow, Row};
use crate::value::words;
use crate::view::table::table;
use crate::view::{count, milliseconds};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;

/// The most rows that a table shows.
const ROWS: usize = 1000;

/// Where rows go as they are found.
struct Sink<'a> {
    format: TableFormat,
    terminal: &'a mut Terminal,
    rows: Vec<Vec<String>>,
    found: u64,
}

/// What the search has covered.
#[derive(Default)]
struct Searched {
    /// Runs with such a step.
    known: bool,
    titles: BTreeSet<String>,
}

pub fn run(args: &Args, step: &str, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let wanted = statuses(&args.status)?;
    let folders = find::all()?;
    let mut looked = Searched::default();
    let mut exit = Exit::Ok;
    let mut sink = Sink { format: args.format, terminal, rows: Vec::new(), found: 0 };
    for (folder, name) in find::latest_first(&folders) {
        if let Err(error) = one(args, step, &wanted, (folder, &name), &mut looked, &mut sink) {
            sink.terminal.error(&error);
            exit = Exit::of(&error);
        }
    }
    if !looked.known && exit == Exit::Ok {
        let message = format!("no run here has a step {}", visible(step));
        let near = nearest(step, looked.titles.iter().map(String::as_str));
        let stop = Stop::new(Exit::Invalid, message);
        return Err(match near {
            Some(near) => stop.help(words::did_you_mean(visible(near))).into(),
            None => stop.into(),
        });
    }
    sink.end();
    Ok(exit)
}

/// Reads names of statuses.
///
/// # Errors
/// Stops at an unknown status.
fn statuses(said: &[String]) -> anyhow::Result<Vec<Status>> {
    let status = |name: &String| {
        Status::parse(name).ok_or_else(|| {
            let known: Vec<&str> = Status::ALL.iter().map(|status| status.name()).collect();
            Stop::new(Exit::Usage, format!("no execution has the status {}", visible(name)))
                .help(format!("they are {}", known.join(", ")))
                .into()
        })
    };
    said.iter().map(status).collect()
}

/// Shows the executions of one run.
fn one(
    args: &Args,
    step: &str,
    wanted: &[Status],
    (folder, name): (&Path, &str),
    looked: &mut Searched,
    sink: &mut Sink<'_>,
) -> anyhow::Result<()> {
    let history = History::open(folder)?;
    if !began_since(history.header(), args.since) {
        return Ok(());
    }
    let graph = &history.graph;
    let steps = graph.called(step);
    if steps.is_empty() && step.contains('/') && inner(step, wanted, (&history, name), looked, sink)? {
        return Ok(());
    }
    if steps.is_empty() {
        looked.titles.extend(graph.steps.iter().map(|step| step.title.clone()));
        return Ok(());
    }
    looked.known = true;
    let mut entries = Entries::new(graph);
    history.events(|event| {
        let Some(Entry::Row { element, row, .. }) = entries.take(event) else { return Ok(()) };
        let step = steps.iter().map(|id| graph.step(*id)).find(|step| *step.phase == *row.phase);
        let wanted = wanted.is_empty() || wanted.contains(&row.status);
        if let Some(step) = step.filter(|_| wanted) {
            sink.take(&history, name, &step.title, element, &row);
        }
        Ok(())
    })
}

/// Shows the executions of a step of a document that a step has run, such as `Review/Check`. Whether there are any.
fn inner(
    step: &str,
    wanted: &[Status],
    (history, name): (&History, &str),
    looked: &mut Searched,
    sink: &mut Sink<'_>,
) -> anyhow::Result<bool> {
    let letters = |name: &str| -> String {
        let kept = name.chars().filter(|sign| sign.is_alphanumeric() || *sign == '/');
        kept.flat_map(char::to_lowercase).collect()
    };
    let mut entries = Entries::new(&history.graph);
    let mut nested = NestedTrace::new(&history.graph, history.home());
    history.replay(|event| {
        nested.see(event);
        if let Some(Entry::Row { item, place, element, row, .. }) = entries.take(event) {
            nested.row(item, place, element, &row);
        }
        Ok(())
    })?;
    let mut known = false;
    for item in nested.items() {
        for (_, rows) in nested.take(item)? {
            for NestedRow { row, .. } in
                rows.into_iter().filter(|row| letters(&row.row.phase) == letters(step))
            {
                known = true;
                if wanted.is_empty() || wanted.contains(&row.status) {
                    sink.take(history, name, &row.phase, None, &row);
                }
            }
        }
    }
    looked.known |= known;
    Ok(known)
}

impl Sink<'_> {
    fn take(&mut self, history: &History, name: &str, title: &str, element: Option<u32>, row: &Row) {
        self.found += 1;
        match self.format {
            TableFormat::Table if self.rows.len() < ROWS => self.rows.push(cells(name, element, row)),
            TableFormat::Table => {}
            TableFormat::Json => {
                let line = json!({
                    "run": history.header().run,
                    "workflow": history.graph.title,
                    "step": title,
                    "phase": &*row.phase,
                    "item": row.item.as_deref(),
                    "element": element,
                    "status": row.status.name(),
                    "attempt": row.attempt,
                    "error": row.error,
                    "duration_ms": row.duration_ms,
                    "started_ms": row.started_ms,
                    "tokens_used": row.tokens_used,
                });
                let begin = if self.found == 1 { "[\n" } else { ",\n" };
                self.terminal.data(&format!("{begin}  {}", visible_json(&line.to_string())));
            }
        }
    }

    fn end(self) {
        match self.format {
            TableFormat::Json if self.found == 0 => self.terminal.data("[]\n"),
            TableFormat::Json => self.terminal.data("\n]\n"),
            TableFormat::Table if self.found == 0 => self.terminal.talk("no executions\n"),
            TableFormat::Table => {
                let header = ["run", "item", "element", "status", "tries", "time", "error"];
                let more = self.found - self.rows.len() as u64;
                self.terminal.data(&table(&header, self.rows, self.terminal.width()));
                if more > 0 {
                    self.terminal.data(&format!("… {} more; --format json has them all\n", count(more)));
                }
            }
        }
    }
}

fn cells(name: &str, element: Option<u32>, row: &Row) -> Vec<String> {
    vec![
        visible(name),
        row.item.as_deref().map(visible).unwrap_or_default(),
        element.map(|element| element.to_string()).unwrap_or_default(),
        row.status.name().to_owned(),
        row.attempt.map(|attempt| attempt.to_string()).unwrap_or_default(),
        row.duration_ms.map(milliseconds).unwrap_or_default(),
        row.error.as_deref().map(visible).unwrap_or_default(),
    ]
}
