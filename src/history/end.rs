//! How a run has ended, stored in a file of its folder together with the trace. If the file is missing, the runner was
//! killed between the last event and the trace, and the next runner writes the trace.

use super::History;
use super::outline::State;
use crate::disk::Folder;
use std::path::Path;

/// The file in a run's folder.
const FILE: &str = "ended";

/// How a completed run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// With no more failures than tolerated, and with all expectations of its document met.
    Ok,
    Failed,
    /// A compensation failed.
    CompensationFailed,
    /// Its deadline passed.
    Deadline,
}

impl RunEnd {
    const ALL: [RunEnd; 4] = [RunEnd::Ok, RunEnd::Failed, RunEnd::CompensationFailed, RunEnd::Deadline];

    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            RunEnd::Ok => "succeeded",
            RunEnd::Failed => "failed",
            RunEnd::CompensationFailed => "compensation_failed",
            RunEnd::Deadline => "deadline_passed",
        }
    }

    /// The text in the file, named like the exit code.
    fn name(self) -> &'static str {
        match self {
            RunEnd::Ok => "0\n",
            RunEnd::Failed => "1\n",
            RunEnd::CompensationFailed => "5\n",
            RunEnd::Deadline => "124\n",
        }
    }

    /// Stores how the run in `home` has ended. Errors are ignored: without the file the end is only shown once more.
    pub fn store(self, home: &Path) {
        let _ = Folder::open(home).and_then(|home| home.replace(FILE, self.name().as_bytes()));
    }

    /// Removes the file: the run continues.
    pub fn clear(home: &Path) {
        let _ = Folder::open(home).and_then(|home| home.remove(FILE));
    }

    fn stored(home: &Path) -> Option<RunEnd> {
        let said = Folder::open(home).and_then(|home| home.read(FILE, 16)).ok()??;
        RunEnd::ALL.into_iter().find(|ending| ending.name().as_bytes() == said)
    }
}

impl History {
    /// Whether a runner has stored how the run has ended: nothing is left to do, not even an event to publish.
    pub(super) fn is_ended(&self) -> bool {
        RunEnd::stored(&self.home).is_some()
    }

    /// How the run has ended; `None` if work is left, even if only the trace has to be written.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn ending(&self) -> anyhow::Result<Option<RunEnd>> {
        let Some(ending) = RunEnd::stored(&self.home) else { return Ok(None) };
        let outline = self.outline()?;
        // A failed compensation may have been resolved by hand since.
        let ending = match outline.state(self.basis(), false) {
            State::Done if ending == RunEnd::CompensationFailed => RunEnd::Ok,
            _ if ending == RunEnd::CompensationFailed && !outline.stands() => RunEnd::Failed,
            _ => ending,
        };
        Ok(outline.is_over(self.basis()).then_some(ending))
    }
}
