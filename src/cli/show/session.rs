//! The session file of a run, made anew from its journal.

use super::super::run::{KeptRun, Trace};
use super::super::runs::outline::Outline;
use super::super::terminal::Terminal;
use crate::diag::render::visible;
use crate::engine::Retries;
use crate::journal::Records;
use crate::runtime::Observer;
use std::path::Path;

/// Writes the file whole or not at all; it says whether the run had come to its end.
///
/// # Errors
/// Where the journal cannot be read or the file cannot be written.
pub fn write(
    kept: &KeptRun,
    (records, mut retries): (Records, Retries),
    target: &Path,
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    let mut outline = Outline::default();
    let mut trace = Trace::new(&kept.graph, Some(target), None)?;
    kept.events(records, |event| {
        outline.see(event);
        if retries.void(event) { Ok(()) } else { trace.see(event) }
    })?;
    let complete = outline.is_complete(kept);
    trace.finish(&kept.head(complete), outline.left(kept))?;
    let far = if complete { "" } else { ", as far as the run has come" };
    terminal.talk(&format!("trace written to {}{far}\n", visible(&target.display().to_string())));
    Ok(())
}
