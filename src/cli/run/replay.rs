//! A run told again from its record: no agents, no grants, no decisions.

use super::super::document::Document;
use super::super::exit::{Exit, Stop};
use super::super::terminal::Terminal;
use super::Args;
use super::report::{Record, show};
use crate::diag::{Diagnostic, Source, render};
use crate::graph::Graph;
use crate::runtime::Observer;
use crate::session::{self, Head, Row};
use anyhow::Context;
use std::path::Path;

pub fn replay(
    args: &Args,
    session: Option<&Path>,
    document: &Document,
    graph: &Graph,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let rows = match session {
        None => recorded(document, terminal)?,
        Some(path) => of_session(path, terminal)?,
    };
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
    let (stats, _) = record.finish(&head)?;
    show(args, &stats, terminal)?;
    Ok(Exit::Ok)
}

fn recorded(document: &Document, terminal: &mut Terminal) -> anyhow::Result<Vec<Row>> {
    let recorded = session::recorded(&document.source, &document.spec);
    if recorded.problems.iter().any(Diagnostic::is_error) {
        terminal.talk(&render::human(&document.source, &recorded.problems, terminal.talk_colour()));
        let message = format!("the record in {} is not valid; nothing was told", document.source.name);
        return Err(Stop::new(Exit::Invalid, message).into());
    }
    Ok(recorded.rows)
}

/// Reads the rows of a session file.
fn of_session(path: &Path, terminal: &mut Terminal) -> anyhow::Result<Vec<Row>> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    let mut rows = Vec::new();
    let read = session::read_session(&*bytes, |_, row| rows.push(row.to_row()))?;
    if read.problems.is_empty() {
        return Ok(rows);
    }
    let source = Source::new(name.clone(), String::from_utf8_lossy(&bytes));
    let problems: Vec<Diagnostic> = read.problems.shown.into_iter().map(|problem| problem.at(0)).collect();
    terminal.talk(&render::human(&source, &problems, terminal.talk_colour()));
    Err(Stop::new(Exit::Invalid, format!("{name} is not valid; nothing was told")).into())
}
