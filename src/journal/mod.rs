//! The durable log of a run: what a run is, kept once, and all that happened in it, kept before it is acted on.
//! One SQLite file in the run's folder. Knows nothing of what events mean.
//!
//! - [`Header`] and [`Record`]: what is kept.
//! - [`Journal`]: whoever keeps records; [`Store`] does, in a file.
//! - [`Writer`]: a thread that commits all that waits at once.
//! - [`read()`]: what was kept, also while another process writes.
//! - [`Lock`]: one runner for a run.

mod chain;
mod header;
mod lock;
mod log;
mod read;
mod record;
mod space;
mod store;
#[cfg(test)]
mod tests;
mod unreadable;
mod version1;
mod writer;

pub use header::{Definition, Document, Header, Version};
pub use lock::{Held, Lock};
pub use read::{Records, Spot, read, read_at_rest};
pub use record::{Asked, Process, Record, Revision};
pub use store::Store;
pub use unreadable::{Place, Unreadable};
pub use writer::{Writer, WriterReport};

use crate::disk::Folder;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The journal's name in the run's folder. Beside it stand SQLite's own `journal.db-wal` and `journal.db-shm`
/// while the run lives and after it was killed; they belong to it.
pub const FILE: &str = "journal.db";

/// What has been committed since a runner began, until it is moved into the journal.
const LOG: &str = "journal.db-wal";

/// When a runner of the run in `folder` last journaled something, or else took the run, in milliseconds since 1970. `None`
/// where neither is known.
pub fn last_sign(folder: &Path) -> Option<i64> {
    let folder = Folder::open(folder).ok()?;
    // Not the journal's main file: whoever closes it lets go of the locks that SQLite holds on it.
    let sign = |name: &str| {
        let about = folder.open_file(name)?.metadata()?;
        io::Result::Ok(about.mtime().saturating_mul(1000).saturating_add(about.mtime_nsec() / 1_000_000))
    };
    [LOG, lock::FILE].into_iter().filter_map(|name| sign(name).ok()).max()
}

/// The records in the text of a row, however it came to be.
///
/// # Errors
/// The byte where a line is no record, with what is wrong there.
pub fn records(row: &str) -> Result<Vec<Record>, (usize, String)> {
    let mut all = Vec::new();
    record::decode(
        row,
        |byte, why| (byte, why),
        |record| {
            all.push(record);
            Ok(())
        },
    )?;
    Ok(all)
}

/// Keeps records in order.
pub trait Journal: Send {
    /// One commit: all of them are durable when it returns, or, after an error, any first part of them may be.
    ///
    /// # Errors
    /// The storage's trouble. Nothing can be said of later records then, so all further ones are refused.
    fn append(&mut self, records: &[Record]) -> Result<(), Trouble>;

    /// Puts the journal in order, so that its folder can be copied. More may be appended afterwards.
    ///
    /// # Errors
    /// The storage's trouble. What was appended stays durable.
    fn tidy(&mut self) -> Result<(), Trouble>;
}

/// Why records could not be kept.
#[derive(Clone, Debug)]
pub struct Trouble {
    path: PathBuf,
    cause: Arc<dyn std::error::Error + Send + Sync>,
}

impl Trouble {
    pub fn new(path: &Path, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let mut cause = cause.into();
        if let Some(error) = cause.downcast_ref().and_then(|error| space::missing(path, error)) {
            cause = error.into();
        }
        Trouble { path: path.to_owned(), cause: Arc::from(cause) }
    }

    /// What makes room for them, if there was none.
    pub fn makes_room(&self) -> Option<&'static str> {
        match self.room()?.kind() {
            io::ErrorKind::FileTooLarge => Some("allow larger files (ulimit -f)"),
            _ => Some("free some space there"),
        }
    }

    /// Why there was no room, if that is why.
    fn room(&self) -> Option<&io::Error> {
        self.cause.downcast_ref::<io::Error>().filter(|error| space::is_room(error))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.room() {
            Some(error) => write!(f, "cannot write the journal {path}: {}", space::told(error)),
            None => write!(f, "cannot write the journal {path}: {}", self.cause),
        }
    }
}

// What its cause says it says itself, so it has no further source.
impl std::error::Error for Trouble {}
