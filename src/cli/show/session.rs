//! The session file of a run, written again from its journal.

use super::super::run::{Trace, copy_trace, open_trace, trace_name};
use super::super::stream;
use super::super::terminal::Terminal;
use crate::diag::render::visible;
use crate::disk::{Named, Target};
use crate::history::History;
use crate::runtime::Observer;
use anyhow::Context;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Writes the file and reports it.
///
/// # Errors
/// When the journal cannot be read or the file cannot be written.
pub fn write(history: &History, target: &Path, terminal: &mut Terminal) -> anyhow::Result<()> {
    let complete = make(history, Trace::new(&history.graph, Some(target), None)?)?;
    if stream::is_standard(target) {
        return Ok(());
    }
    let far = if complete { "" } else { ", as far as the run has come" };
    terminal.talk(&format!("trace written to {}{far}\n", visible(&target.display().to_string())));
    Ok(())
}

/// The session file that a run has left, if it is unchanged: neither edited nor overwritten by another run.
///
/// # Errors
/// When the journal cannot be read, or the run's folder cannot be written to.
pub fn left(history: &History) -> anyhow::Result<Option<PathBuf>> {
    let home = history.home();
    let Some(file) = history.options.left_trace(home) else { return Ok(None) };
    if open_trace(home).is_err() {
        // Runs of earlier versions have none.
        make(history, Trace::own(&history.graph, home, None)?)?;
    }
    Ok(same(&file, home).unwrap_or(false).then_some(file))
}

/// Writes the run's own trace again from the whole journal, and the session file that the run has left, if it still
/// exists.
///
/// # Errors
/// When the journal cannot be read or a file cannot be written.
pub fn anew(history: &History, file: Option<&Path>, terminal: &mut Terminal) -> anyhow::Result<()> {
    let home = history.home();
    make(history, Trace::own(&history.graph, home, None)?)?;
    let Some(file) = file else {
        terminal.talk(&format!(
            "trace written to {}; the session file is gone, or not as the run has left it, and stays so\n",
            trace_name(home)
        ));
        return Ok(());
    };
    let here = std::env::current_dir().unwrap_or_default();
    let name = visible(&file.strip_prefix(here).unwrap_or(file).display().to_string());
    let copied = Target::of(file).and_then(|target| copy_trace(home, &target));
    copied.with_context(|| format!("cannot write {name}"))?;
    terminal.talk(&format!("trace written to {name}\n"));
    Ok(())
}

/// Whether the file is equal to the run's own trace.
fn same(file: &Path, home: &Path) -> io::Result<bool> {
    let (one, other) = (Named::by_user(file).open()?, open_trace(home)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let mut bytes = BufReader::new(one).bytes().zip(BufReader::new(other).bytes());
    Ok(bytes.all(|pair| matches!(pair, (Ok(one), Ok(other)) if one == other)))
}

/// Writes the file completely or not at all; returns whether the run had completed.
fn make(history: &History, trace: Trace) -> anyhow::Result<bool> {
    let mut trace = trace.nested_in(&history.graph, history.home());
    history.replay(|event| trace.see(event))?;
    let (outline, basis) = (history.outline()?, history.basis());
    let complete = outline.is_complete(basis);
    trace.finish(&history.head(complete), outline.left(basis))?;
    Ok(complete)
}
