//! What the programs of a run that is kept were let do, so that it need not be said again when it goes on. Kept in the
//! user's own state folder: what a run's folder says of itself, whoever hands it over can have written.

use super::grants::{read, state, write};
use super::wanted::{Asks, digest};
use crate::graph::Graph;
use crate::journal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Of the records, for versions to come.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Granted {
    version: u32,
    /// The run's folder.
    home: PathBuf,
    run: String,
    /// The file system and the number of its journal: a copy in the same place is another file.
    journal: (u64, u64),
    /// Hashes of the programs and of what they get to know.
    programs: BTreeSet<String>,
}

/// Lets the programs of a run run until they change, in its place. Without a state folder nothing is kept.
///
/// # Errors
/// Where it cannot be kept.
pub fn remember(home: &Path, run: &str, graph: &Graph) -> anyhow::Result<()> {
    let programs = programs(graph);
    let Ok(folder) = folder() else { return Ok(()) };
    if programs.is_empty() {
        return Ok(());
    }
    sweep(&folder);
    let granted = Granted {
        version: VERSION,
        home: home.to_owned(),
        run: run.to_owned(),
        journal: identity(home)?,
        programs,
    };
    write(&folder, &record(&folder, home), &granted)?;
    Ok(())
}

/// Whether all programs of a run were let run when it began or went on before, here.
pub fn holds(home: &Path, run: &str, graph: &Graph) -> bool {
    let known = || -> anyhow::Result<Option<Granted>> { read(&record(&folder()?, home)) };
    let Ok(Some(granted)) = known() else { return false };
    granted.version == VERSION
        && granted.home == home
        && granted.run == run
        && identity(home).is_ok_and(|journal| journal == granted.journal)
        && programs(graph).is_subset(&granted.programs)
}

/// Takes it back.
pub fn forget(home: &Path) {
    if let Ok(folder) = folder() {
        // What is not there needs no removal, and what stays grants nothing without its journal.
        let _ = fs::remove_file(record(&folder, home));
    }
}

fn folder() -> anyhow::Result<PathBuf> {
    Ok(state()?.join("orderflow/runs"))
}

fn record(folder: &Path, home: &Path) -> PathBuf {
    folder.join(format!("{}.json", blake3::hash(home.as_os_str().as_bytes()).to_hex()))
}

fn identity(home: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(home.join(journal::FILE)).map(|file| (file.dev(), file.ino()))
}

fn programs(graph: &Graph) -> BTreeSet<String> {
    let asks = Asks::of(graph);
    graph.steps.iter().filter_map(|step| Some(digest(step.program.as_ref()?, &asks))).collect()
}

/// Removes the records of runs that are gone.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let gone = |granted: Granted| !granted.home.join(journal::FILE).exists();
        if read(&entry.path()).is_ok_and(|granted| granted.is_some_and(gone)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
