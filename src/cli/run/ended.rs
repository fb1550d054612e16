//! Runs that are over: how that is known for sure, and what is said instead of going on with them.

use super::super::exit::Exit;
use super::super::runs::find;
use super::super::runs::outline::{Outline, State};
use super::super::terminal::Terminal;
use super::look::KeptRun;
use super::{keep, unreadable};
use crate::diag::render::visible;
use crate::disk::Folder;
use crate::event::StopReason;
use crate::journal;
use std::path::Path;

/// The file in a run's folder that says how the run has exited, written when its trace is. Where it is missing, a
/// runner was killed between the last event and the trace, and whoever goes on has the trace to write.
const FILE: &str = "ended";

/// With these a run is over; other exits are those of runs that can go on, or of none.
const OVER: [Exit; 4] = [Exit::Ok, Exit::Failed, Exit::Standing, Exit::Deadline];

/// Keeps how a run has exited. Without it the end is told once more, so that trouble is none of the run's.
pub fn mark(home: &Path, exit: Exit) {
    if OVER.contains(&exit) {
        let text = format!("{}\n", exit.code());
        let _ = Folder::open(home).and_then(|home| home.replace(FILE, text.as_bytes()));
    }
}

/// Takes the mark away: the run goes on.
pub fn unmark(home: &Path) {
    let _ = Folder::open(home).and_then(|home| home.remove(FILE));
}

/// A run that is over, with how it came to its end.
pub struct Ended {
    pub exit: Exit,
    outline: Outline,
    kept: KeptRun,
}

impl Ended {
    /// None where there is something left to do, be it only to write the trace.
    ///
    /// # Errors
    /// Stops where the journal cannot be read.
    pub fn of(home: &Path) -> anyhow::Result<Option<Ended>> {
        let Ok(Some(said)) = Folder::open(home).and_then(|home| home.read(FILE, 16)) else {
            return Ok(None);
        };
        let Some(exit) = OVER.into_iter().find(|exit| format!("{}\n", exit.code()).as_bytes() == said) else {
            return Ok(None);
        };
        let (header, records) = journal::read(home).map_err(unreadable)?;
        let kept = KeptRun::of(header, &records)?;
        let outline = Outline::of(&kept, records)?;
        // What stood then, somebody may have undone by hand since.
        let exit = match outline.state(&kept, false) {
            State::Done if exit == Exit::Standing => Exit::Ok,
            _ if exit == Exit::Standing && !outline.stands() => Exit::Failed,
            _ => exit,
        };
        let over = outline.is_over(&kept);
        Ok(over.then_some(Ended { exit, outline, kept }))
    }

    /// One line: how it has ended, and what can be done now. `name` is what the run is called here.
    pub fn told(&self, name: &str, home: &Path) -> String {
        let counts = self.outline.counts(&self.kept);
        let given_up = keep::is_given_up(home) || self.outline.stopped() == Some(StopReason::Cancelled);
        let how = match self.outline.stopped() {
            _ if given_up => "was given up",
            Some(StopReason::RunDeadline) => "has ended by its deadline",
            _ => "has ended",
        };
        let failed = counts.failed + counts.compensated + counts.compensation_failed;
        let retry = match self.outline.run_steps() {
            _ if given_up => String::new(),
            _ if failed > 0 => format!("; orderflow retry {name} has what failed run again"),
            Some(state) if state.is_failure() => {
                format!("; orderflow retry {name} --item run has the failed steps of the run run again")
            }
            _ => String::new(),
        };
        format!("the run {name} {how}: {}; orderflow show {name} tells more{retry}", counts.in_words())
    }

    /// Says so.
    ///
    /// # Errors
    /// Where the folders of other runs cannot be read.
    pub fn tell(&self, home: &Path, terminal: &mut Terminal) -> anyhow::Result<()> {
        let told = self.told(&visible(&find::called(home)?), home);
        terminal.talk(&(told + "\n"));
        Ok(())
    }
}
