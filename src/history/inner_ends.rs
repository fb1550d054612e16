//! Which rows this user's commands have left in the journals of the runs within a run. Their checksums say only that
//! they are whole.

use super::History;
use super::error::{Error, ErrorKind};
use crate::diag::render::visible;
use crate::{disk, journal};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The number of the last row of a journal, and its checksum over all rows up to it.
pub type JournalEnd = (i64, String);

/// The ends of journals that this process has left, by the folders of their runs.
static LEFT: Mutex<BTreeMap<PathBuf, JournalEnd>> = Mutex::new(BTreeMap::new());

/// This process leaves the run in `home`, which is within another one, as it is now.
pub fn leave(home: &Path) {
    // A journal that cannot be read is refused when the run is resumed.
    let end = disk::real(home).ok().zip(journal::read_at_rest(home).ok().and_then(|(_, all)| all.tip().ok()));
    if let Some((home, end)) = end {
        LEFT.lock().unwrap_or_else(PoisonError::into_inner).insert(home, end);
    }
}

/// The ends of the journals that this process has left within the run in `outer`, by their paths in it; once.
pub fn take_left(outer: &Path) -> BTreeMap<PathBuf, JournalEnd> {
    let Ok(outer) = disk::real(outer) else { return BTreeMap::new() };
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut taken = BTreeMap::new();
    left.retain(|home, end| match home.strip_prefix(&outer) {
        Ok(path) => {
            taken.insert(path.to_owned(), std::mem::take(end));
            false
        }
        Err(_) => true,
    });
    taken
}

/// What is known of the journals within a run.
#[derive(Clone, Debug, Default)]
pub struct InnerEnds {
    /// By the paths of the runs in the folder of the outermost one.
    pub ends: BTreeMap<PathBuf, JournalEnd>,
    /// A command was killed, or was one of an earlier version: there may be further rows, and further runs.
    pub open: bool,
}

impl InnerEnds {
    /// Refuses a run within the one in `outer` whose rows this user's commands have not left.
    ///
    /// # Errors
    /// It has other rows, or they cannot be read.
    pub fn check(&self, outer: &Path, inner: &History) -> anyhow::Result<()> {
        let (real, outer) = (disk::real(inner.home())?, disk::real(outer)?);
        let records = inner.records();
        let is_own = match real.strip_prefix(&outer).ok().and_then(|path| self.ends.get(path)) {
            Some((0, _)) if self.open => true,
            Some((row, sum)) if self.open => records.sum(*row)?.as_ref() == Some(sum),
            Some(end) => records.tip()? == *end,
            None => self.open,
        };
        if is_own {
            return Ok(());
        }
        let document = visible(&inner.header().document.path);
        let message = format!(
            "the run of {document} in {} has rows that no command of yours has written; nothing was run",
            visible(&inner.home().display().to_string())
        );
        Err(Error::new(ErrorKind::Foreign, message)
            .help("somebody else may have written them: run the items that have not ended in a new run")
            .into())
    }
}
