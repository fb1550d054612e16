//! The durable log of a run: the run's header, and all its events, written before they take effect. One SQLite file in
//! the run's folder. Knows nothing of the meaning of events.
//!
//! - [`Header`] and [`Record`]: the contents.
//! - [`Journal`]: stores records; [`Store`] does so in a file.
//! - [`Writer`]: a thread that commits all waiting records at once.
//! - [`read()`]: reads the records, also while another process writes.
//! - [`Lock`]: one runner per run.

mod chain;
mod header;
mod lock;
mod log;
pub mod logs;
mod read;
mod record;
mod space;
mod store;
#[cfg(test)]
mod tests;
mod unreadable;
mod version1;
mod writer;

pub use header::{DocumentText, Header, StepDefinition, Version};
pub use lock::{Lock, LockError, last_holder};
pub use read::{Records, RowPlace, Spot, read, read_at_rest};
pub use record::{Asked, Message, Process, Record, Revision};
pub use store::Store;
pub use unreadable::{DamagePlace, Unreadable};
pub use writer::{Writer, WriterReport};

use crate::disk::Folder;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The journal's name in the run's folder. Beside it are SQLite's own `journal.db-wal` and `journal.db-shm` while the
/// run is active and after it was killed; they are part of it.
pub const FILE: &str = "journal.db";

/// Records that were committed since a runner began and are not yet moved into the main file.
const LOG: &str = "journal.db-wal";

/// Whether `folder` has a journal.
pub fn is_there(folder: &Path) -> bool {
    Folder::open(folder).is_ok_and(|folder| folder.has_file(FILE))
}

/// When a runner of the run in `folder` last wrote to the journal, or else took the lock, in milliseconds since 1970.
/// `None` if neither is known.
pub fn last_sign(folder: &Path) -> Option<i64> {
    let folder = Folder::open(folder).ok()?;
    // Does not open the main file: closing it would release SQLite's locks on it.
    let sign = |name: &str| {
        let about = folder.open_file(name)?.metadata()?;
        io::Result::Ok(about.mtime().saturating_mul(1000).saturating_add(about.mtime_nsec() / 1_000_000))
    };
    [LOG, lock::FILE].into_iter().filter_map(|name| sign(name).ok()).max()
}

/// The records in the text of a row, whatever its origin.
///
/// # Errors
/// The byte of a line that is not a record, and why.
pub fn records(row: &str) -> Result<Vec<Record>, (usize, String)> {
    let mut all = Vec::new();
    record::decode(
        row,
        |_| true,
        |byte, why| (byte, why),
        |record| {
            all.push(record);
            Ok(())
        },
    )?;
    Ok(all)
}

/// Stores records in order.
pub trait Journal: Send {
    /// Commits records: all of them are durable when it returns, or, after an error, any first part of them may be.
    ///
    /// # Errors
    /// The storage failed. All later records are rejected, because their order could not be guaranteed.
    fn append(&mut self, records: &[Record]) -> Result<(), Trouble>;

    /// Completes the journal, so that its folder can be copied. More may be appended afterwards.
    ///
    /// # Errors
    /// The storage failed. Appended records remain durable.
    fn tidy(&mut self) -> Result<(), Trouble>;
}

/// Why records could not be stored.
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

    /// How to make room for them, if there was none.
    pub fn makes_room(&self) -> Option<&'static str> {
        match self.room()?.kind() {
            io::ErrorKind::FileTooLarge => Some("allow larger files (ulimit -f)"),
            _ => Some("free some space there"),
        }
    }

    /// The cause, if it is a lack of room.
    fn room(&self) -> Option<&io::Error> {
        self.cause.downcast_ref::<io::Error>().filter(|error| space::is_room(error))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.room() {
            Some(error) => write!(f, "cannot write the journal {path}: {}", space::reason(error)),
            None => write!(f, "cannot write the journal {path}: {}", self.cause),
        }
    }
}

// The message includes its cause, so it has no further source.
impl std::error::Error for Trouble {}
