//! What a finished run leaves: the session file, tables and figures on standard output, a last word on
//! standard error.

use super::super::terminal::Terminal;
use super::{Args, Format};
use crate::diag::render::visible;
use crate::engine::{DeadLetter, Run, Tally};
use crate::event::Event;
use crate::graph::Graph;
use crate::runtime::Observer;
use crate::session::{Head, Recorder};
use crate::stats::{Dimension, Live, Stats};
use anyhow::Context;
use std::path::{Path, PathBuf};

/// Dead letters that are named.
const LETTERS: usize = 10;

/// The trace and its figures, gathered while the run lives.
pub struct Record {
    recorder: Option<(Recorder, PathBuf)>,
    live: Live,
}

impl Record {
    /// # Errors
    /// When the folder of the session file cannot be written to.
    pub fn new(graph: &Graph, target: Option<&Path>) -> anyhow::Result<Self> {
        let recorder = match target {
            Some(target) => {
                let recorder = Recorder::new(graph, target);
                let recorder = recorder.with_context(|| format!("cannot write {}", target.display()))?;
                Some((recorder, target.to_owned()))
            }
            None => None,
        };
        Ok(Record { recorder, live: Live::new(graph, vec![Dimension::Phase]) })
    }

    /// Writes the session file and closes the figures.
    ///
    /// # Errors
    /// When the session file cannot be written.
    pub fn finish(self, head: &Head) -> anyhow::Result<(Stats, Option<PathBuf>)> {
        let stats = self.live.finish();
        let Some((recorder, target)) = self.recorder else { return Ok((stats, None)) };
        let written = recorder.finish(head, &stats.run.summary());
        written.with_context(|| format!("cannot write {}", target.display()))?;
        Ok((stats, Some(target)))
    }
}

impl Observer for Record {
    fn see(&mut self, event: &Event) -> anyhow::Result<()> {
        self.live.observe(event);
        if let Some((recorder, target)) = &mut self.recorder {
            recorder
                .observe(event)
                .with_context(|| format!("cannot keep the trace for {}", target.display()))?;
        }
        Ok(())
    }
}

/// Shows the result on standard output.
pub fn show(args: &Args, stats: &Stats, terminal: &mut Terminal) -> anyhow::Result<()> {
    match args.format {
        Format::Table => {}
        Format::Json => terminal.data(&(serde_json::to_string_pretty(stats)? + "\n")),
    }
    Ok(())
}

/// The last word: how the items ended, which failed for good, where the trace lies.
pub fn conclude(run: &Run, total: u64, graph: &Graph, session: Option<&Path>, terminal: &mut Terminal) {
    let Tally { admitted, succeeded, failed, cancelled } = run.tally();
    let mut parts = vec![format!("{succeeded} succeeded")];
    let left = total.saturating_sub(admitted);
    for (count, what) in [(failed, "failed"), (cancelled, "cancelled"), (left, "not started")] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    let verdict = if run.tolerated() { "" } else { ", more than tolerated" };
    let items = if total == 1 { "item" } else { "items" };
    terminal.talk(&format!("{total} {items}: {}{verdict}\n", parts.join(", ")));
    for letter in run.dead_letters().iter().take(LETTERS) {
        terminal.talk(&format!("  {}\n", describe(letter, graph)));
    }
    let more = run.dead_letters().len().saturating_sub(LETTERS);
    if more > 0 {
        terminal.talk(&format!("  … and {more} more\n"));
    }
    if let Some(session) = session {
        terminal.talk(&format!("trace written to {}\n", session.display()));
    }
}

fn describe(letter: &DeadLetter, graph: &Graph) -> String {
    let Some(error) = &letter.error else { return visible(&letter.key) };
    let step = error.step.map(|step| format!("{}: ", visible(&graph.step(step).title)));
    format!("{}: {}{}", visible(&letter.key), step.unwrap_or_default(), visible(&error.message))
}
