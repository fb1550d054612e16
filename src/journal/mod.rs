//! The durable log of a run: what a run is, kept once, and all that happened in it, kept before it is acted on.
//! One SQLite file in the run's folder. Knows nothing of what events mean.
//!
//! - [`Header`] and [`Record`]: what is kept.
//! - [`Journal`]: whoever keeps records; [`Store`] does, in a file.
//! - [`Writer`]: a thread that commits all that waits at once.
//! - [`read`]: what was kept, also while another process writes.
//! - [`Lock`]: one runner for a run.

mod chain;
mod header;
mod lock;
mod log;
mod read;
mod record;
mod store;
#[cfg(test)]
mod tests;
mod unreadable;
mod writer;

pub use header::{Definition, Document, Header, Version};
pub use lock::{Held, Lock};
pub use read::{Records, read};
pub use record::{Asked, Process, Record, Revision};
pub use store::Store;
pub use unreadable::{Place, Unreadable};
pub use writer::{Told, Writer};

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The journal's name in the run's folder. Beside it stand SQLite's own `journal.db-wal` and `journal.db-shm`
/// while the run lives and after it was killed; they belong to it.
pub const FILE: &str = "journal.db";

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
        Trouble { path: path.to_owned(), cause: Arc::from(cause.into()) }
    }

    /// Whether there was no room for them.
    pub fn is_full(&self) -> bool {
        if let Some(error) = self.cause.downcast_ref::<io::Error>() {
            return matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        }
        let sqlite =
            self.cause.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
        sqlite == Some(rusqlite::ErrorCode::DiskFull)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write the journal {}: {}", self.path.display(), self.cause)
    }
}

// What its cause says it says itself, so it has no further source.
impl std::error::Error for Trouble {}
