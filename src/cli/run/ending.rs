//! What follows when this command drives a run no more: what is shown, what is stored, and the exit code.

use super::super::exit::Exit;
use super::super::runs::find;
use super::super::runs::gist::Gist;
use super::super::stats::expectations;
use super::super::terminal::Terminal;
use super::record::Trace;
use super::report::{self, Finished, conclude, show, tell_trouble, written};
use super::{Launch, LogFormat, logged, waits, write};
use crate::cli::document::Document;
use crate::diag::render::visible;
use crate::event::StopReason;
use crate::graph::Graph;
use crate::history::{Basis, DriveOutcome, History, Outline, RunEnd};
use crate::runtime::Caught;
use crate::session::Head;
use std::path::Path;

/// A run that this command has driven or followed, until it ended or was left.
pub struct Driven<'a> {
    pub launch: &'a Launch,
    pub document: &'a Document,
    pub graph: &'a Graph,
    /// The phases of all steps of the document, also of those that this run does not have.
    pub phases: &'a [String],
    pub home: &'a Path,
    pub head: Head,
    /// How many items the run has.
    pub total: u64,
    pub outcome: DriveOutcome,
    pub caught: Caught,
    /// What the run has made, as text.
    pub results: String,
    /// The titles of the steps and the names of the values that were stubbed.
    pub stubbed: (Vec<String>, &'a [String]),
    /// What a list of runs shows; `None` for a resumed run, of which only a part was seen.
    pub outline: Option<Outline>,
    pub basis: Basis,
}

impl Driven<'_> {
    /// Shows how the run ended, and stores what is known of it.
    ///
    /// # Errors
    /// Why the run was interrupted, or its trace could not be written.
    pub fn end(mut self, record: Trace, terminal: &mut Terminal) -> anyhow::Result<Exit> {
        let (launch, outcome) = (self.launch, &self.outcome);
        let left = self.total.saturating_sub(outcome.run.tally().admitted);
        let done = outcome.run.stopped().is_none() && !outcome.waits() && !outcome.left;
        self.head.complete = outcome.trouble.is_none() && done && left == 0;
        // Whatever failed, the events so far are shown.
        let finished = record.finish(&self.head, left).map(|mut finished| {
            finished.judge(self.graph);
            let published = match launch.no_journal {
                true => Ok(()),
                false => finished.publish(launch, self.home, terminal),
            };
            (finished, published)
        });
        let called = find::called(self.home)?;
        self.show(finished.as_ref().ok().map(|(finished, _)| finished), terminal)?;
        self.next(&visible(&called), terminal)?;
        let (finished, published) = match (&outcome.trouble, finished) {
            (Some(one), Err(other)) => {
                terminal.error(one);
                return Err(other);
            }
            (_, finished) => finished?,
        };
        if !launch.show.is_quiet() {
            written(&finished, terminal);
            if !launch.no_journal && outcome.ending().is_some() {
                report::next(&outcome.run, &called, terminal);
            }
        }
        if let Some(trouble) = self.outcome.trouble.take() {
            return Err(trouble);
        }
        published?;
        let met = expectations::all_met(&finished.verdicts, terminal);
        let exit = self.exit(met);
        if launch.show.log_format == LogFormat::Json {
            let run = &self.outcome.run;
            let tally = finished.tally(run.tally().admitted);
            let ended = report::ended(run, tally, self.total, (&self.head.run, &called), exit.code());
            terminal.talk(&logged::text(&ended));
        }
        // The rows of a paused run are added when it has ended.
        let paused = self.outcome.ending().is_none() && !launch.no_journal;
        let place = (self.head.run.as_str(), self.home);
        if let Some(kept) = finished.kept.filter(|_| !paused)
            && let Err(error) = write::write(launch, self.document, self.phases, place, kept, terminal)
        {
            // The end of the run takes precedence over the error.
            if !matches!(exit, Exit::Ok | Exit::Failed | Exit::NeedsPerson) {
                terminal.error(&error);
                return Ok(exit);
            }
            return Err(error);
        }
        if !launch.no_journal {
            self.store(met);
        }
        Ok(exit)
    }

    /// Shows how the run ended.
    fn show(&self, finished: Option<&Finished>, terminal: &mut Terminal) -> anyhow::Result<()> {
        let (launch, run) = (self.launch, &self.outcome.run);
        if let Some(finished) = finished {
            let ended = (self.head.run.as_str(), run, self.graph);
            let results = (self.results.as_str(), launch.show.tables);
            show(launch.show.format, finished, Some(ended), results, terminal)?;
        }
        if !launch.show.is_quiet() {
            let tally = finished.map_or(run.tally(), |finished| finished.tally(run.tally().admitted));
            conclude(run, tally, self.total, self.graph, terminal);
        }
        if let Some(finished) = finished {
            report::left_out(finished, self.graph, !launch.show.is_quiet(), terminal);
        }
        tell_trouble(run, self.graph, launch.no_journal, terminal);
        if !launch.show.is_quiet() {
            report::stubbed(&self.stubbed.0, self.stubbed.1, terminal);
        }
        Ok(())
    }

    /// Shows how a run that has not ended continues.
    fn next(&self, name: &str, terminal: &mut Terminal) -> anyhow::Result<()> {
        let (launch, outcome) = (self.launch, &self.outcome);
        let quiet = launch.show.is_quiet();
        if outcome.run.stopped() == Some(StopReason::Interrupted) && !launch.no_journal && !quiet {
            terminal.talk(&format!("the run is paused; continue it with orderflow resume {name}\n"));
        }
        if outcome.left && !quiet {
            terminal.talk(&format!(
                "the run continues without this command; follow it with orderflow resume {name}, or end it with orderflow cancel {name}\n"
            ));
        }
        if launch.show.log_format == LogFormat::Json {
            // Events have it already.
            return Ok(());
        }
        // The reason of the exit code, so also where only the result is shown.
        if outcome.waits() {
            waits::waiting(&outcome.run, self.graph, name, terminal);
            if !launch.no_journal && self.graph.documents().next().is_some() {
                waits::waiting_inside(&History::open(self.home)?, name, terminal)?;
            }
            waits::awaiting(&outcome.run, self.graph, name, terminal);
        }
        report::not_published(&outcome.run, launch.show.quiet, terminal);
        Ok(())
    }

    /// Whether channels have not accepted events. Resuming the run publishes them.
    fn is_unpublished(&self) -> bool {
        self.outcome.run.not_published().next().is_some()
    }

    /// The exit code; `met`: whether the expectations of the document are.
    fn exit(&self, met: bool) -> Exit {
        let exit = match self.outcome.ending() {
            Some(ending) => Exit::from(ending),
            None if self.outcome.waits() => Exit::NeedsPerson,
            None if self.caught.number() == Some(15) => Exit::Terminated,
            None => Exit::Interrupted,
        };
        if exit == Exit::Ok && (!met || self.is_unpublished()) { Exit::Failed } else { exit }
    }

    /// Stores how the run ended, for those who list it.
    fn store(self, met: bool) {
        let ending = self.outcome.ending();
        match ending {
            Some(_) if self.is_unpublished() => {}
            Some(RunEnd::Ok) if !met => RunEnd::Failed.store(self.home),
            Some(ending) => ending.store(self.home),
            None => {}
        }
        // The effects of an interruption are not in the journal.
        if let Some(mut outline) = self.outline.filter(|_| ending.is_some()) {
            outline.unmet = !met;
            let document = &self.document.source.name;
            Gist::new(&self.graph.title, document, &outline, self.basis, false).store(self.home);
        }
    }
}
