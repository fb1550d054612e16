//! Writes the logs of a run. Only one writer may exist: hold the run's lock.

use super::{LOGS, LogReader, TABLES};
use crate::disk::Folder;
use rusqlite::{CachedStatement, Connection, OpenFlags, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file while it is created.
const DRAFT: &str = "logs.new";

/// How long to wait for a reader that recovers the file of a killed runner.
const PATIENCE: Duration = Duration::from_secs(10);

/// A change of the stored logs. Ids are given by the caller, from those that [`LogStore::open`] returns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogChange {
    /// An attempt that logs, again if it is repeated.
    Attempt {
        id: i64,
        item: u64,
        key: String,
        phase: String,
        title: String,
        element: Option<u32>,
        number: u32,
    },
    /// A part of an attempt's log, by the attempt's id; `at` is in milliseconds since the run began.
    Chunk { id: i64, attempt: i64, at: u64, stream: u8, text: String },
    /// The place where bytes of an attempt's log are left out.
    LeftOut { id: i64, attempt: i64, at: u64, bytes: u64 },
    /// Removes a part.
    Remove { id: i64 },
}

impl LogChange {
    /// Its id: of an attempt, or of a part.
    pub fn id(&self) -> i64 {
        match self {
            LogChange::Attempt { id, .. }
            | LogChange::Chunk { id, .. }
            | LogChange::LeftOut { id, .. }
            | LogChange::Remove { id } => *id,
        }
    }

    /// Adds to the ids of attempts and of parts.
    pub fn shift(&mut self, attempts: i64, parts: i64) {
        match self {
            LogChange::Attempt { id, .. } => *id += attempts,
            LogChange::Chunk { id, attempt, .. } | LogChange::LeftOut { id, attempt, .. } => {
                *id += parts;
                *attempt += attempts;
            }
            LogChange::Remove { id } => *id += parts,
        }
    }
}

/// The logs of a run, open for writing.
pub struct LogStore {
    connection: Connection,
    path: PathBuf,
}

impl LogStore {
    /// Opens the logs of a run in its folder, or creates them. Returns the last ids of an attempt and of a part, too.
    ///
    /// # Errors
    /// Why they cannot be written; a file that is not a log, or damaged, stays as it is.
    pub fn open(folder: &Path) -> Result<(LogStore, i64, i64), String> {
        let path = folder.join(LOGS);
        let wrong =
            |error: &dyn std::fmt::Display| format!("cannot write the logs {}: {error}", path.display());
        let folder = Folder::open(folder).map_err(|error| wrong(&error))?;
        let last = match folder.kind(LOGS).map_err(|error| wrong(&error))? {
            None => {
                create(&folder).map_err(|error| wrong(&error))?;
                (0, 0)
            }
            Some(_) => {
                let reader = LogReader::open(folder.path()).map_err(|error| error.to_string())?;
                reader.map_or(Ok((0, 0)), |mut reader| reader.last()).map_err(|error| error.to_string())?
            }
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).map_err(|error| wrong(&error))?;
        let settle = |connection: &Connection| {
            connection.busy_timeout(PATIENCE)?;
            connection.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(()))?;
            connection.execute_batch("PRAGMA synchronous=OFF; PRAGMA trusted_schema=OFF;")
        };
        settle(&connection).map_err(|error| wrong(&error))?;
        Ok((LogStore { connection, path }, last.0, last.1))
    }

    /// Stores changes, in order and all together.
    ///
    /// # Errors
    /// The storage failed.
    pub fn append(&mut self, changes: &[LogChange]) -> Result<(), String> {
        let LogStore { connection, path } = self;
        let mut store = || -> rusqlite::Result<()> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut statements = Statements::new(&transaction)?;
            changes.iter().try_for_each(|change| statements.apply(change))?;
            drop(statements);
            transaction.commit()
        };
        store().map_err(|error| format!("cannot write the logs {}: {error}", path.display()))
    }

    /// Moves all into the main file, so that it can be copied.
    pub fn close(self) {
        // If a reader prevents that, the file beside it has the rest.
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }
}

/// The statements of a batch.
struct Statements<'c> {
    attempt: CachedStatement<'c>,
    chunk: CachedStatement<'c>,
    left_out: CachedStatement<'c>,
    remove: CachedStatement<'c>,
}

impl<'c> Statements<'c> {
    fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Statements {
            attempt: connection.prepare_cached("INSERT INTO attempt VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?,
            chunk: connection.prepare_cached("INSERT INTO chunk VALUES (?1, ?2, ?3, ?4, 0, ?5)")?,
            left_out: connection
                .prepare_cached("INSERT OR REPLACE INTO chunk VALUES (?1, ?2, ?3, 0, ?4, '')")?,
            remove: connection.prepare_cached("DELETE FROM chunk WHERE id = ?1")?,
        })
    }

    fn apply(&mut self, change: &LogChange) -> rusqlite::Result<()> {
        match change {
            LogChange::Attempt { id, item, key, phase, title, element, number } => {
                // The steps that run once have the largest number.
                let item = item.cast_signed();
                self.attempt.execute(params![id, item, key, phase, title, element, number])
            }
            LogChange::Chunk { id, attempt, at, stream, text } => {
                self.chunk.execute(params![id, attempt, at.cast_signed(), stream, text])
            }
            LogChange::LeftOut { id, attempt, at, bytes } => {
                self.left_out.execute(params![id, attempt, at.cast_signed(), bytes.cast_signed()])
            }
            LogChange::Remove { id } => self.remove.execute([id]),
        }?;
        Ok(())
    }
}

/// Creates the file under another name and renames it, so that it is whole or absent.
fn create(folder: &Folder) -> Result<(), Box<dyn std::error::Error>> {
    for left in ["", "-journal", "-wal", "-shm"] {
        folder.remove(format!("{DRAFT}{left}"))?;
        // Files beside a removed one would be taken for those of the new one.
        if !left.is_empty() {
            folder.remove(format!("{LOGS}{left}"))?;
        }
    }
    let path = folder.path().join(DRAFT);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let connection = Connection::open_with_flags(&path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.execute_batch("PRAGMA synchronous=OFF; BEGIN;")?;
    connection.execute_batch(TABLES)?;
    connection.execute_batch("COMMIT;")?;
    connection.close().map_err(|(_, error)| error)?;
    folder.rename(DRAFT, LOGS)?;
    Ok(())
}
