//! The ends of the journals within this user's runs: a file for each run whose steps run documents, beside the records of
//! the runs. Knows nothing of journals.

use super::grants::{Ours, state};
use super::runs::beginning;
use crate::history::{InnerEnds, JournalEnd};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The largest file that is read, in bytes: some 500,000 runs.
const LARGEST: usize = 64 << 20;

#[derive(Default, Serialize, Deserialize)]
struct Stored {
    /// Whether there may be runs and rows that are not known.
    open: bool,
    /// By the paths of the runs in the folder of the outermost one.
    ends: BTreeMap<PathBuf, JournalEnd>,
}

/// What is known of the runs within a run.
pub fn read(run: &str, seal: &str) -> InnerEnds {
    let stored = folder().and_then(|folder| match Ours::open(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Some(Stored::default())),
        folder => folder?.read_up_to(&name(run, seal), LARGEST),
    });
    // What cannot be read is not known: nothing within the run counts then.
    let Stored { open, ends } = stored.ok().flatten().unwrap_or_default();
    InnerEnds { ends, open }
}

/// Adds what a command has left.
///
/// # Errors
/// It cannot be stored.
pub fn store(run: &str, seal: &str, left: BTreeMap<PathBuf, JournalEnd>, open: bool) -> anyhow::Result<()> {
    let InnerEnds { mut ends, open: before } = read(run, seal);
    if left.is_empty() && open == before {
        return Ok(());
    }
    ends.extend(left);
    Ok(Ours::ensure(folder()?)?.write(&name(run, seal), &Stored { open: open || before, ends })?)
}

/// Removes what is known.
pub fn forget(run: &str, seal: &str) {
    let _ = folder().and_then(|folder| Ok(Ours::open(folder)?.remove(&name(run, seal))?));
}

fn folder() -> anyhow::Result<PathBuf> {
    Ok(state()?.join("orderflow/inner"))
}

fn name(run: &str, seal: &str) -> String {
    format!("{}{}.json", beginning(run), seal.get(..32).unwrap_or(seal))
}
