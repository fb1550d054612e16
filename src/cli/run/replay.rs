//! A replay of a recorded run: without agents, grants or decisions.

use super::super::document::Document;
use super::super::exit::{Exit, Stop};
use super::super::stream;
use super::super::terminal::Terminal;
use super::super::trace;
use super::Args;
use super::record::Trace;
use super::report::{show, written};
use super::within::Within;
use crate::diag::render::visible;
use crate::graph::Graph;
use crate::runtime::Observer;
use crate::session::{self, Head, Layout, Row, RowsApart};
use crate::value::words;
use anyhow::Context;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::Path;

/// The most unknown phases that are named.
const PHASES: usize = 10;

pub fn replay(
    args: &Args,
    session: Option<&Path>,
    document: &Document,
    graph: &Graph,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    let ReplaySource { rows, layout, complete, left } = match session {
        // The document has been checked, including its record.
        None => {
            let rows = session::recorded(&document.source, &document.spec).rows;
            ReplaySource { rows, layout: None, complete: true, left: 0 }
        }
        Some(path) => of_session(path, terminal)?,
    };
    if rows.is_empty() {
        let message =
            format!("{} records no executions; nothing was replayed", visible(&document.source.name));
        let help = "name a session file that does: --replay=session.toon";
        return Err(Stop::new(Exit::Invalid, message).help(help).into());
    }
    let RowsApart { own: rows, nested, alone } = RowsApart::of(rows, layout.as_ref(), &Layout::of(graph));
    if let Some(phase) = alone.first() {
        let phase = visible(phase);
        let message = format!(
            "the record has a row of {phase} without the row of its step after it; nothing was replayed"
        );
        let help = "rows of a document come directly before the row of the step that runs it";
        return Err(Stop::new(Exit::Invalid, message).help(help).into());
    }
    let events = session::replay(graph, &rows).map_err(|unknown| {
        let mut seen = HashSet::new();
        let phases = unknown.iter().map(|row| &*rows[*row].phase).filter(|phase| seen.insert(*phase));
        let phases: Vec<String> = phases.map(visible).collect();
        let phases = words::first(&phases, PHASES, phases.len());
        let message = format!("the record has phases that no step has: {phases}");
        Stop::new(Exit::Invalid, message).help("replay it with the document that it was recorded from")
    })?;
    let record = Trace::new(graph, args.session.as_deref(), None)?;
    let mut record = record.within(Within::Record(nested));
    for event in &events {
        record.see(event)?;
    }
    let source = document.source.name.clone();
    let head = Head {
        run: "replay".into(),
        workflow: graph.title.clone(),
        source,
        started: String::new(),
        complete,
    };
    let finished = record.finish(&head, left)?;
    show(args.show.format, &finished, None, ("", args.show.tables), terminal)?;
    if !args.show.quiet {
        let items = finished.stats.run.items.unwrap_or(0);
        terminal.talk(&format!("{} recorded executions of {items} items replayed\n", rows.len()));
        written(&finished, terminal);
    }
    Ok(Exit::Ok)
}

/// The record to replay.
struct ReplaySource {
    rows: Vec<Row>,
    /// Of a session file.
    layout: Option<Layout>,
    /// Whether the run completed, and how many items it had not started.
    complete: bool,
    left: u64,
}

/// Explains how to pass a session file after `--replay`, which takes its value with `=`.
pub fn hint(error: &mut clap::Error, args: &[OsString]) {
    let named = |arg: &OsString| !arg.as_encoded_bytes().starts_with(b"-");
    let session = args.windows(2).find(|pair| pair[0] == "--replay" && named(&pair[1]));
    // One argument too many: the session was taken for the document, or the other way around.
    let surplus = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(arg)) => !arg.starts_with('-'),
        _ => false,
    };
    if let (ErrorKind::UnknownArgument, true, Some(pair)) = (error.kind(), surplus, session) {
        let tip =
            format!("to re-enact a session file, write --replay={}", visible(&pair[1].to_string_lossy()));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
}

/// Rejects a session file in place of the document.
///
/// # Errors
/// Stops if the document's name is that of a session file.
pub fn refuse_session(args: &Args) -> Result<(), Stop> {
    let standard = |path: &Path| stream::is_standard(path);
    if standard(&args.file) && args.replay.iter().flatten().any(|session| standard(session)) {
        let message =
            "the document and its record cannot both come from standard input; nothing was replayed";
        return Err(Stop::new(Exit::Usage, message));
    }
    if args.replay != Some(None) || args.file.extension().is_none_or(|end| end != "toon") {
        return Ok(());
    }
    let name = args.file.display().to_string();
    let name = visible(&name);
    Err(Stop::new(Exit::Usage, format!("{name} is a session file, not a document; nothing was replayed"))
        .help(format!("name both: orderflow run --replay={name} workflow.md")))
}

/// Reads a session file.
fn of_session(path: &Path, terminal: &mut Terminal) -> anyhow::Result<ReplaySource> {
    let name = if stream::is_standard(path) { "<stdin>".to_owned() } else { path.display().to_string() };
    let mut rows = Vec::new();
    let read =
        stream::open(path).and_then(|file| session::read_session(file, |_, row| rows.push(row.to_row())));
    let read = read.with_context(|| format!("cannot read {name}"))?;
    if read.problems.is_empty() {
        let complete = read.head.as_ref().is_none_or(|head| head.complete);
        let left = read.summary.get("not_started").and_then(|left| left.as_u64()).unwrap_or(0);
        return Ok(ReplaySource { rows, layout: read.layout, complete, left });
    }
    trace::tell(&name, &read, terminal);
    Err(Stop::new(Exit::Invalid, format!("{} is not valid; nothing was replayed", visible(&name))).into())
}
