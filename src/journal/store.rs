//! A journal as one SQLite file: a row for the header, a row for some records, each with its checksum.

use super::chain::Checksum;
use super::read;
use super::{FILE, Header, Journal, Record, Trouble, Unreadable, record};
use crate::disk::Folder;
use crate::value::json;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A row ends once it has this many bytes; a longer record has a row of its own.
const ROW: usize = 256 << 10;

/// How long to wait for a reader, such as one that recovers the log of a killed runner.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the end of a run waits for readers.
const COURTESY: Duration = Duration::from_secs(1);

/// The journal while it is created.
const DRAFT: &str = "journal.new";

/// The files that SQLite has beside a database, by the ends of their names.
pub(super) const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

pub(super) const TABLES: &str = "
    CREATE TABLE header (text TEXT NOT NULL, sum BLOB NOT NULL);
    CREATE TABLE batch (number INTEGER PRIMARY KEY, records TEXT NOT NULL, sum BLOB NOT NULL);
    CREATE TABLE tail (number INTEGER NOT NULL);
    INSERT INTO tail VALUES (0);";

/// The journal of one run, open for writing. Only one may exist: hold the [`Lock`](super::Lock).
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    folder: Folder,
    path: PathBuf,
    /// The identity of the main file, which may be removed during the run.
    file: (u64, u64),
    /// The checksum of the last row, with its number.
    chain: Checksum,
    number: i64,
    row: Vec<u8>,
    trouble: Option<Trouble>,
}

impl Store {
    /// Creates the journal of a run in its folder, which must exist and have none.
    ///
    /// # Errors
    /// The storage failed, or a journal exists already.
    pub fn create(folder: &Path, header: &Header) -> Result<Store, Trouble> {
        let path = folder.join(FILE);
        let trouble = |error: Box<dyn std::error::Error + Send + Sync>| Trouble::new(&path, error);
        let folder = Folder::open(folder).map_err(|error| trouble(error.into()))?;
        if folder.kind(FILE).map_err(|error| trouble(error.into()))?.is_some() {
            return Err(trouble("there is one already".into()));
        }
        let text = header.text().map_err(|error| trouble(error.into()))?;
        if json::most_values(&text) > read::MOST_VALUES {
            return Err(trouble("the inputs that are given have too many values".into()));
        }
        let chain = Checksum::begin(&text);
        // Created under another name and renamed, so that the journal is whole or absent.
        draw_up(&folder, DRAFT, &text, chain).map_err(trouble)?;
        let placed = folder.rename(DRAFT, FILE).and_then(|()| folder.sync());
        placed.map_err(|error| trouble(error.into()))?;
        let file = identity(&folder, FILE).map_err(|error| trouble(error.into()))?;
        let connection = connect(&path).map_err(|error| trouble(error.into()))?;
        Ok(Store { connection, folder, file, chain, number: 0, row: Vec::new(), trouble: None, path })
    }

    /// Opens the journal of a run to resume it. All its rows are checked first.
    ///
    /// # Errors
    /// As for [`read()`](super::read()).
    pub fn open(folder: &Path) -> Result<(Store, Header), Unreadable> {
        let (header, records) = read::read(folder)?;
        let path = folder.join(FILE);
        let (chain, number) = records.check()?;
        // Its snapshot is outdated and would block the writer.
        drop(records);
        let io = |error| Unreadable::io(&path, error);
        let folder = Folder::open(folder).map_err(io)?;
        let file = identity(&folder, FILE).map_err(io)?;
        let connection = connect(&path).map_err(|error| Unreadable::sqlite(&path, None, error))?;
        Ok((Store { connection, folder, file, path, chain, number, row: Vec::new(), trouble: None }, header))
    }

    /// Moves all records into the main file. If readers block that, they remain durable in the log beside it.
    fn checkpoint(&self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(COURTESY)?;
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        self.connection.busy_timeout(PATIENCE)
    }

    fn commit(&mut self, records: &[Record]) -> Result<(), Trouble> {
        let Store { connection, folder, path, row, .. } = self;
        let sql = |error: rusqlite::Error| Trouble::new(path, error);
        let (mut chain, mut number) = (self.chain, self.number);
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
        let mut insert = transaction.prepare_cached("INSERT INTO batch VALUES (?1, ?2, ?3)").map_err(sql)?;
        let mut records = records.iter().peekable();
        row.clear();
        while let Some(record) = records.next() {
            record::encode(record, row, path)?;
            if row.len() < ROW && records.peek().is_some() {
                continue;
            }
            number += 1;
            chain = chain.next(number, row);
            let text = std::str::from_utf8(row).map_err(|error| Trouble::new(path, error))?;
            insert.execute(params![number, text, chain.bytes()]).map_err(sql)?;
            row.clear();
        }
        drop(insert);
        // Stores the number of rows on a page of its own, so that missing rows at the end are detected.
        let update = transaction.prepare_cached("UPDATE tail SET number = ?1");
        update.and_then(|mut update| update.execute([number])).map_err(sql)?;
        transaction.commit().map_err(sql)?;
        match folder.check(FILE, true) {
            Ok(Some(file)) if file == self.file => {}
            _ => return Err(Trouble::new(path, "it was removed while the run went on")),
        }
        (self.chain, self.number) = (chain, number);
        Ok(())
    }
}

impl Journal for Store {
    fn append(&mut self, records: &[Record]) -> Result<(), Trouble> {
        if let Some(trouble) = &self.trouble {
            return Err(trouble.clone());
        }
        if records.is_empty() {
            return Ok(());
        }
        self.commit(records).inspect_err(|trouble| {
            self.trouble = Some(trouble.clone());
            // Closing would move data into the main file that may not have reached the disk.
            let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        })
    }

    fn tidy(&mut self) -> Result<(), Trouble> {
        if let Some(trouble) = &self.trouble {
            return Err(trouble.clone());
        }
        self.checkpoint().map_err(|error| Trouble::new(&self.path, error))
    }
}

/// Creates the file with its tables and the header, durably, and leaves no files beside it.
fn draw_up(
    folder: &Folder,
    name: &str,
    header: &str,
    chain: Checksum,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Left by a runner that was killed here, or put there by somebody else.
    for left in ["", "-journal", "-wal", "-shm"] {
        folder.remove(format!("{name}{left}"))?;
    }
    let path = folder.path().join(name);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut connection = Connection::open_with_flags(&path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    transaction.execute("INSERT INTO header VALUES (?1, ?2)", params![header, chain.bytes()])?;
    transaction.commit()?;
    // Only now, so that the log is empty and nothing is lost with it.
    settle(&connection)?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(())
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    settle(&connection)?;
    Ok(connection)
}

/// The identity of a database file. It and SQLite's files beside it must be regular files of this user without
/// other links: SQLite follows links and waits for pipes.
pub(super) fn identity(folder: &Folder, file: &str) -> std::io::Result<(u64, u64)> {
    for beside in BESIDE {
        folder.check(format!("{file}{beside}"), true)?;
    }
    folder.check(file, true)?.ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

/// Durable at every commit, with readers that do not wait.
fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    let mode: String = connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
        let why = "this file system allows no write-ahead log".to_owned();
        return Err(rusqlite::Error::SqliteFailure(code, Some(why)));
    }
    connection.execute_batch("PRAGMA synchronous=FULL; PRAGMA trusted_schema=OFF;")
}
