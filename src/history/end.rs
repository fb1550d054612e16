//! How a run has ended, as its folder says: a file that is written when its trace is. Where it is missing, a runner was
//! killed between the last event and the trace, and whoever goes on has the trace to write.

use super::History;
use super::outline::State;
use crate::disk::Folder;
use std::path::Path;

/// The file in a run's folder.
const FILE: &str = "ended";

/// How a run has ended that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With no more failures than tolerated, and as its document expects.
    Ok,
    Failed,
    /// A compensation failed.
    CompensationFailed,
    /// Its deadline passed.
    Deadline,
}

impl Ending {
    const ALL: [Ending; 4] = [Ending::Ok, Ending::Failed, Ending::CompensationFailed, Ending::Deadline];

    /// As the file says it: the exit code of a run that ended so.
    fn name(self) -> &'static str {
        match self {
            Ending::Ok => "0\n",
            Ending::Failed => "1\n",
            Ending::CompensationFailed => "5\n",
            Ending::Deadline => "124\n",
        }
    }

    /// Stores how the run in `home` has ended. Without it the end is shown once more, so that trouble is none of the run's.
    pub fn store(self, home: &Path) {
        let _ = Folder::open(home).and_then(|home| home.replace(FILE, self.name().as_bytes()));
    }

    /// Takes the file away: the run goes on.
    pub fn clear(home: &Path) {
        let _ = Folder::open(home).and_then(|home| home.remove(FILE));
    }

    fn stored(home: &Path) -> Option<Ending> {
        let said = Folder::open(home).and_then(|home| home.read(FILE, 16)).ok()??;
        Ending::ALL.into_iter().find(|ending| ending.name().as_bytes() == said)
    }
}

impl History {
    /// How the run has ended; none where there is something left to do, be it only to write the trace.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn ending(&self) -> anyhow::Result<Option<Ending>> {
        let Some(ending) = Ending::stored(&self.home) else { return Ok(None) };
        let outline = self.outline()?;
        // A failed compensation may have been resolved by hand since.
        let ending = match outline.state(self.basis(), false) {
            State::Done if ending == Ending::CompensationFailed => Ending::Ok,
            _ if ending == Ending::CompensationFailed && !outline.stands() => Ending::Failed,
            _ => ending,
        };
        Ok(outline.is_over(self.basis()).then_some(ending))
    }
}
