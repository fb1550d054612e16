//! The trace and the statistics of a run, collected from its events.

use super::super::stream;
use super::own;
use super::report::Finished;
use super::within::{Group, Within};
use super::write::NewRows;
use crate::disk::Target;
use crate::event::{Event, EventKind, ItemId, RunEvent, StopReason};
use crate::graph::Graph;
use crate::history::NestedTrace;
use crate::runtime::Observer;
use crate::session::{Entries, Entry, Head, Layout, Recorder};
use crate::stats::{Dimension, Live};
use crate::view::Executions;
use anyhow::Context;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The trace and statistics, collected during the run.
pub struct Trace {
    entries: Entries,
    recorder: Option<(Recorder, PathBuf)>,
    live: Live,
    executions: Executions,
    kept: Option<NewRows>,
    within: Within,
    /// Whether events that are not in the journal are left out, because a resumed run has them again.
    journaled: bool,
    paused: bool,
}

impl Trace {
    /// Rows that are to be added to the document are collected in `kept`.
    ///
    /// # Errors
    /// When the folder of the session file cannot be written to.
    pub fn new(graph: &Graph, target: Option<&Path>, kept: Option<NewRows>) -> anyhow::Result<Self> {
        let target = target.map(|path| (stream::target(path), path.to_owned()));
        Trace::into(graph, target, kept)
    }

    /// The same for the trace in a run's own folder.
    ///
    /// # Errors
    /// When that folder cannot be written to.
    pub fn own(graph: &Graph, home: &Path, kept: Option<NewRows>) -> anyhow::Result<Self> {
        Trace::into(graph, Some((Ok(own::target(home)), own::path(home))), kept)
    }

    fn into(
        graph: &Graph,
        target: Option<(io::Result<Target>, PathBuf)>,
        kept: Option<NewRows>,
    ) -> anyhow::Result<Self> {
        let recorder = match target {
            Some((target, path)) => {
                let recorder = target.and_then(|target| Recorder::into(graph, target));
                let recorder = recorder.with_context(|| format!("cannot write {}", path.display()))?;
                Some((recorder, path))
            }
            None => None,
        };
        let live = Live::new(graph, vec![Dimension::Phase]);
        let executions = Executions::new(&Layout::of(graph));
        let entries = Entries::new(graph);
        let within = Within::Nothing;
        Ok(Trace { entries, recorder, live, executions, kept, within, journaled: false, paused: false })
    }

    /// Sets whether the run has a journal and can be resumed after an interruption.
    pub fn journaled(self, journaled: bool) -> Self {
        Trace { journaled, ..self }
    }

    /// Sets where the rows of documents are that steps ran.
    pub fn within(self, within: Within) -> Self {
        Trace { within, ..self }
    }

    /// The same for the run in the folder `home`.
    pub fn nested_in(self, graph: &Graph, home: &Path) -> Self {
        self.within(Within::Run(Box::new(NestedTrace::new(graph, home))))
    }

    /// Adds rows of documents.
    fn nest(&mut self, item: ItemId, groups: Vec<Group>) {
        for (position, rows) in groups {
            rows.iter().for_each(|nested| self.live.nested(&nested.row.borrowed()));
            if let Some((recorder, _)) = &mut self.recorder {
                recorder.nest(item, position, rows);
            }
        }
    }

    /// Writes the session file and completes the statistics. `left` items were never started.
    ///
    /// # Errors
    /// When the session file cannot be written.
    pub fn finish(mut self, head: &Head, left: u64) -> anyhow::Result<Finished> {
        for (item, groups) in self.within.left()? {
            self.nest(item, groups);
        }
        let Trace { entries, recorder, live, executions, kept, .. } = self;
        let mut stats = live.finish();
        stats.run.in_flight = Some(entries.in_flight()).filter(|count| *count > 0);
        stats.run.not_started = (left > 0).then_some(left);
        let Some((recorder, target)) = recorder else {
            let verdicts = Vec::new();
            return Ok(Finished { stats, verdicts, executions, kept, session: None, on_output: false });
        };
        let on_output = stream::is_standard(&target);
        match recorder.finish(head, &stats.run.summary()) {
            // The reader closed its end.
            Err(error) if on_output && error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) if on_output => return Err(error).context("cannot write to standard output"),
            written => {
                written.with_context(|| format!("cannot write {}", target.display()))?;
            }
        }
        let session = Some(target).filter(|_| !on_output);
        Ok(Finished { stats, verdicts: Vec::new(), executions, kept, session, on_output })
    }
}

impl Observer for Trace {
    fn see(&mut self, event: &Event) -> anyhow::Result<()> {
        self.paused |= self.journaled && is_interruption(event);
        if self.paused {
            return Ok(());
        }
        self.within.see(event);
        let Some(entry) = self.entries.take(event) else { return Ok(()) };
        let groups = self.within.take(&entry)?;
        // The rows of an item that has settled are written.
        let (item, after) = match &entry {
            Entry::Row { item, .. } => (*item, groups),
            Entry::Settled { item, .. } => {
                self.nest(*item, groups);
                (*item, Vec::new())
            }
        };
        self.live.take(&entry);
        if let Entry::Row { item, element, row, .. } = &entry {
            self.executions.push((item.0, *element), &row.borrowed());
            if let Some(kept) = &mut self.kept {
                kept.push(*item, *element, row);
            }
        }
        if let Some((recorder, target)) = &mut self.recorder {
            recorder
                .take(entry)
                .with_context(|| format!("cannot write the trace for {}", target.display()))?;
        }
        self.nest(item, after);
        Ok(())
    }
}

fn is_interruption(event: &Event) -> bool {
    matches!(&event.kind, EventKind::Run(RunEvent::Stopped(StopReason::Interrupted)))
}
