//! A run told again from its record: no agents, no grants, no decisions.

use super::super::document::Document;
use super::super::exit::{Exit, Stop};
use super::super::terminal::Terminal;
use super::super::trace;
use super::Args;
use super::report::{Record, show, written};
use crate::diag::render::visible;
use crate::graph::Graph;
use crate::runtime::Observer;
use crate::session::{self, Head, Row};
use anyhow::Context;
use std::fs::File;
use std::path::Path;

pub fn replay(
    args: &Args,
    session: Option<&Path>,
    document: &Document,
    graph: &Graph,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let rows = match session {
        // The document has been checked, its record with it.
        None => session::recorded(&document.source, &document.spec).rows,
        Some(path) => of_session(path, terminal)?,
    };
    if rows.is_empty() {
        let message = format!("{} records no executions; nothing was told", visible(&document.source.name));
        let help = "name a session file that does: --replay=session.toon";
        return Err(Stop::new(Exit::Invalid, message).help(help).into());
    }
    let events = session::replay(graph, &rows).map_err(|unknown| {
        let phases: Vec<&str> = unknown.iter().map(|row| &*rows[*row].phase).collect();
        let message = format!("the record has phases that no step has: {}", phases.join(", "));
        Stop::new(Exit::Invalid, message)
    })?;
    let mut record = Record::new(graph, args.session.as_deref())?;
    for event in &events {
        record.see(event)?;
    }
    let source = document.source.name.clone();
    let head = Head { run: "replay".into(), workflow: graph.title.clone(), source, started: String::new() };
    let told = record.finish(&head)?;
    show(args, &told, terminal)?;
    if !args.quiet {
        let items = told.stats.run.items.unwrap_or(0);
        terminal.talk(&format!("{} recorded executions of {items} items told again\n", rows.len()));
        written(&told, terminal);
    }
    Ok(Exit::Ok)
}

/// Reads the rows of a session file.
fn of_session(path: &Path, terminal: &mut Terminal) -> anyhow::Result<Vec<Row>> {
    let name = path.display().to_string();
    let mut rows = Vec::new();
    let read =
        File::open(path).and_then(|file| session::read_session(file, |_, row| rows.push(row.to_row())));
    let read = read.with_context(|| format!("cannot read {name}"))?;
    if read.problems.is_empty() {
        return Ok(rows);
    }
    trace::tell(&name, &read, terminal);
    Err(Stop::new(Exit::Invalid, format!("{} is not valid; nothing was told", visible(&name))).into())
}
