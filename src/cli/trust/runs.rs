//! The runs that this user has started or adopted on this machine, and what their programs may do. Stored in the
//! user's own state folder, because a run's folder may have been written by somebody else.

use super::super::exit::{Exit, Stop};
use super::grants::{Ours, state};
use super::inner;
use super::wanted::{RequestedNames, digest};
use crate::diag::render::visible;
use crate::disk::{self, Folder};
use crate::graph::Graph;
use crate::history::{self, InnerEnds};
use crate::journal::{self, Header, Records};
use crate::runtime;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The version of the records. Since 3 they have the creation time of the journal's file, since 4 the end of its rows,
/// since 5 there are those of runs within the run.
const VERSION: u32 = 5;

/// The oldest version of records that is read.
const OLDEST: u32 = 2;

/// The age at which the record of a missing run is removed.
const FORGOTTEN: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// A run that is this user's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KnownRun {
    version: u32,
    run: String,
    /// The run's folder, without links.
    home: PathBuf,
    /// A hash of its journal's header: a run with other options is another run.
    seal: String,
    /// The file system and the inode of its journal; `None` until it is created.
    journal: Option<(u64, u64)>,
    /// When its journal's file was created, in nanoseconds since 1970, if the file system stores it: inodes are
    /// reused.
    #[serde(default)]
    born: Option<u64>,
    /// The last row that one of this user's commands is known to have written: its number, and its checksum over all
    /// rows up to it.
    #[serde(default)]
    tip: Option<(i64, String)>,
    /// Whether that command has ended since, so that there must not be more rows. A killed command may have added
    /// some.
    #[serde(default)]
    closed: bool,
    /// RFC 3339.
    pub started: String,
    /// Hashes of the programs that may run, and of the variables and secrets that they get.
    programs: BTreeSet<String>,
    /// The number of rows when the run was adopted: somebody else has written them.
    #[serde(default)]
    pub foreign: i64,
}

impl KnownRun {
    fn is_read(&self) -> bool {
        (OLDEST..=VERSION).contains(&self.version)
    }

    /// Whether the journal's rows are those that this user's commands have left. The checksums themselves are checked
    /// whenever the rows are read.
    fn has_rows(&self, records: &Records) -> bool {
        let Some((rows, sum)) = &self.tip else { return true };
        match self.closed {
            true => records.tip().is_ok_and(|tip| tip == (*rows, sum.clone())),
            false => *rows == 0 || records.sum(*rows).is_ok_and(|found| found.as_ref() == Some(sum)),
        }
    }
}

/// The owner of a run.
#[derive(Clone, Debug)]
pub enum Owner {
    /// This user's: started or taken over here.
    Own(Box<KnownRun>),
    /// It came from elsewhere, or its record is lost.
    Elsewhere,
}

/// An own run while a command of this user writes to its journal. When dropped, it stores the ends of its journal and of
/// those within it.
#[must_use]
pub struct Writing {
    home: PathBuf,
    /// Whether the journals within it may have rows that are not known.
    open: bool,
}

impl Writing {
    /// Stores that a run that is about to begin is this user's: it may be killed as soon as it has a journal.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin).
    pub fn expect(home: &Path, header: &Header, graphs: &[&Graph], trusted: bool) -> anyhow::Result<()> {
        store(&KnownRun {
            version: VERSION,
            run: header.run.clone(),
            home: disk::real(home)?,
            seal: header.seal()?,
            journal: None,
            born: None,
            tip: Some((0, String::new())),
            closed: true,
            started: header.started.clone(),
            programs: if trusted { programs(graphs) } else { BTreeSet::new() },
            foreign: 0,
        })
    }

    /// Stores that a run is this user's, that its journal may get more rows, and that the programs of `graphs` may run
    /// if `trusted`. The caller holds the run's lock and has checked its owner.
    ///
    /// # Errors
    /// Without a state folder, or when it cannot be written.
    pub fn begin(home: &Path, graphs: &[&Graph], trusted: bool) -> anyhow::Result<Writing> {
        let (header, records) = journal::read(home)?;
        let (held, foreign, open) = match owner_of(home, &header, &records) {
            Ok(Owner::Own(known)) => {
                let open = inner_ends(&known).open;
                (known.programs, known.foreign, open)
            }
            Ok(Owner::Elsewhere) | Err(_) => (BTreeSet::new(), 0, true),
        };
        let programs = if trusted { programs(graphs) } else { held };
        store(&KnownRun { closed: false, foreign, ..of(home, &header, &records, programs)? })?;
        Ok(Writing { home: home.to_owned(), open })
    }

    fn end(&self) -> anyhow::Result<()> {
        let (header, records) = journal::read_at_rest(&self.home)?;
        match owner_of(&self.home, &header, &records)? {
            Owner::Own(known) => {
                if !runtime::nested_items(&self.home).is_empty() {
                    inner::store(&known.run, &known.seal, history::take_left(&self.home), self.open)?;
                }
                let KnownRun { programs, foreign, .. } = *known;
                store(&KnownRun { foreign, ..of(&self.home, &header, &records, programs)? })
            }
            Owner::Elsewhere => Ok(()),
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // If this cannot be stored, the run looks like one whose runner was killed.
        let _ = self.end();
    }
}

/// The record of a run whose journal has been read, and is not being written to.
fn of(
    home: &Path,
    header: &Header,
    records: &Records,
    programs: BTreeSet<String>,
) -> anyhow::Result<KnownRun> {
    Ok(KnownRun {
        version: VERSION,
        run: header.run.clone(),
        home: disk::real(home)?,
        seal: records.seal(),
        journal: Some(identity(home)?),
        born: Folder::open(home)?.born(journal::FILE),
        tip: Some(records.tip()?),
        closed: true,
        started: header.started.clone(),
        programs,
        foreign: 0,
    })
}

fn store(known: &KnownRun) -> anyhow::Result<()> {
    Ok(Ours::ensure(folder()?)?.write(&record(&known.run, &known.home), known)?)
}

/// The owner of a run. A run that was moved within its file system remains its owner's, and its record is moved, too.
///
/// # Errors
/// When its journal cannot be read.
pub fn owner(home: &Path) -> anyhow::Result<Owner> {
    let (header, records) = journal::read(home)?;
    Ok(owner_of(home, &header, &records)?)
}

fn owner_of(home: &Path, header: &Header, records: &Records) -> io::Result<Owner> {
    let Ok(state) = folder().and_then(|folder| Ok(Ours::open(folder)?)) else {
        return Ok(Owner::Elsewhere);
    };
    let (real, journal, seal) = (disk::real(home)?, identity(home)?, records.seal());
    let born = Folder::open(home)?.born(journal::FILE);
    let known = |known: &KnownRun| {
        // A copy that preserves times still has another creation time.
        let same_birth = known.born.is_none() || born.is_none() || known.born == born;
        let same = known.is_read() && known.run == header.run && known.seal == seal && same_birth;
        same && known.has_rows(records)
    };
    let here = record(&header.run, &real);
    // The number of a file system may change when the machine restarts.
    if let Ok(Some(found)) = state.read::<KnownRun>(&here)
        && known(&found)
        && found.home == real
        && found.journal.is_none_or(|found| found.1 == journal.1)
    {
        return Ok(Owner::Own(Box::new(found)));
    }
    let beginning = beginning(&header.run);
    for name in state.names()?.into_iter().filter(|name| name.starts_with(&beginning)) {
        if let Ok(Some(found)) = state.read::<KnownRun>(&name)
            && known(&found)
            && found.journal == Some(journal)
        {
            let moved = KnownRun { home: real, ..found };
            if state.write(&here, &moved).is_ok() && name != here {
                let _ = state.remove(&name);
            }
            return Ok(Owner::Own(Box::new(moved)));
        }
    }
    Ok(Owner::Elsewhere)
}

/// Refuses to act on a run that came from elsewhere, because its journal decides what is run, written and read; else
/// returns its record.
///
/// # Errors
/// Stops with how to adopt it.
pub fn refuse_foreign(home: &Path) -> anyhow::Result<KnownRun> {
    match owner(home)? {
        Owner::Own(known) => Ok(*known),
        Owner::Elsewhere => {
            let path = visible(&home.display().to_string());
            let message = "this run was not started here by you; nothing was run";
            Err(Stop::new(Exit::NotTrusted, message)
                .help(format!(
                    "orderflow adopt {path} shows what it would run, write and read, and takes it over"
                ))
                .into())
        }
    }
}

/// What this user's commands have left in the journals within a run.
pub fn inner_ends(known: &KnownRun) -> InnerEnds {
    let ends = inner::read(&known.run, &known.seal);
    // A killed command may have added some, and a command of an earlier version has stored none.
    InnerEnds { open: ends.open || !known.closed || known.version < 5, ..ends }
}

/// Adopts a run, with its programs.
///
/// # Errors
/// When the record cannot be stored.
pub fn adopt(home: &Path, header: &Header, records: &Records, graph: &Graph) -> anyhow::Result<()> {
    let foreign = records.tip()?.0;
    store(&KnownRun { foreign, ..of(home, header, records, programs(&[graph]))? })
}

/// Whether all programs of a run were allowed when it began or was resumed before, here.
pub fn holds(home: &Path, graphs: &[&Graph]) -> bool {
    matches!(owner(home), Ok(Owner::Own(known)) if programs(graphs).is_subset(&known.programs))
}

/// All runs with a record, by their folders; whether they still exist is not checked.
pub fn known() -> BTreeMap<PathBuf, KnownRun> {
    let all = || -> anyhow::Result<BTreeMap<PathBuf, KnownRun>> {
        let state = Ours::open(folder()?)?;
        let read = |name: String| state.read::<KnownRun>(&name).ok().flatten();
        let all = state.names()?.into_iter().filter_map(read).filter(KnownRun::is_read);
        Ok(all.map(|known| (known.home.clone(), known)).collect())
    };
    all().unwrap_or_default()
}

/// A cached result about a run's journal. It is in the user's own state folder: neither the sender of a run's folder
/// nor a program of the run without this user's rights can have written it. It is for display only; commands that act
/// on a run read the journal.
#[derive(Serialize, Deserialize)]
struct CachedResult<T> {
    version: u32,
    home: PathBuf,
    seal: String,
    journal: (u64, u64),
    /// The size and modification time of the journal's file.
    stamp: (u64, i64),
    tip: (i64, String),
    found: T,
}

impl<T> CachedResult<T> {
    fn of(home: &Path, records: &Records, found: T) -> anyhow::Result<CachedResult<T>> {
        Ok(CachedResult {
            version: VERSION,
            home: disk::real(home)?,
            seal: records.seal(),
            journal: identity(home)?,
            stamp: Folder::open(home)?.stamp(journal::FILE)?,
            tip: records.tip()?,
            found,
        })
    }
}

/// Stores a result about a run's journal.
///
/// # Errors
/// When it cannot be stored.
pub fn store_found<T: Serialize>(
    home: &Path,
    header: &Header,
    records: &Records,
    found: T,
) -> anyhow::Result<()> {
    let finding = CachedResult::of(home, records, found)?;
    Ok(Ours::ensure(findings()?)?.write(&record(&header.run, &finding.home), &finding)?)
}

/// The stored result about a run's journal, if the journal is unchanged.
pub fn found<T: DeserializeOwned>(home: &Path, header: &Header, records: &Records) -> Option<T> {
    let now = CachedResult::of(home, records, ()).ok()?;
    let stored = Ours::open(findings().ok()?).ok()?;
    let stored = stored.read::<CachedResult<T>>(&record(&header.run, &now.home)).ok()??;
    let CachedResult { version, home, seal, journal, stamp, tip, found } = stored;
    let same = (version, home, seal, journal, stamp, tip)
        == (now.version, now.home, now.seal, now.journal, now.stamp, now.tip);
    same.then_some(found)
}

fn findings() -> anyhow::Result<PathBuf> {
    Ok(state()?.join("orderflow/outlines"))
}

/// Removes the records of removed runs, by their folders, and of runs that have been missing for long. A missing run
/// may have been moved, or its disk is not mounted.
pub fn forget(removed: &BTreeSet<PathBuf>) {
    let Ok(state) = folder().and_then(|folder| Ok(Ours::open(folder)?)) else { return };
    let findings = findings().and_then(|folder| Ok(Ours::open(folder)?)).ok();
    let gone = |known: &KnownRun| !disk::is_there(&known.home.join(journal::FILE));
    let old = |known: &KnownRun| {
        let then = crate::runtime::now().checked_sub(FORGOTTEN).unwrap_or(Timestamp::MIN);
        known.started.parse::<Timestamp>().map_or(true, |started| started < then)
    };
    for (home, known) in known() {
        if gone(&known) && (removed.contains(&home) || old(&known)) {
            // A missing record need not be removed, and a remaining one has no effect without its journal.
            let _ = state.remove(&record(&known.run, &home));
            if let Some(findings) = &findings {
                let _ = findings.remove(&record(&known.run, &home));
            }
            inner::forget(&known.run, &known.seal);
        }
    }
}

fn folder() -> anyhow::Result<PathBuf> {
    Ok(state()?.join("orderflow/runs"))
}

fn record(run: &str, real: &Path) -> String {
    format!("{}{}.json", beginning(run), &blake3::hash(real.as_os_str().as_bytes()).to_hex()[..32])
}

pub(super) fn beginning(run: &str) -> String {
    format!("{}-", &blake3::hash(run.as_bytes()).to_hex()[..16])
}

fn identity(home: &Path) -> io::Result<(u64, u64)> {
    Folder::open(home)?.check(journal::FILE, true)?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn programs(graphs: &[&Graph]) -> BTreeSet<String> {
    let of = |graph: &&Graph| {
        let asks = RequestedNames::of(graph);
        graph.steps.iter().filter_map(|step| digest(step, &asks)).collect::<Vec<_>>()
    };
    graphs.iter().flat_map(of).collect()
}
