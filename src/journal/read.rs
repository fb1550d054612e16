//! Reads a journal, also while another process writes it: row by row, each checked before it is used.

use super::chain::Checksum;
use super::record::Kind;
use super::store::{TABLES, identity};
use super::{FILE, Header, Record, Revision, Unreadable, Version, log, record};
use crate::disk::Folder;
use crate::value::json;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row};
use serde::Deserialize;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long to wait for a writer; only one that recovers the log of a killed runner blocks readers.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest row in bytes: an answer has at most 16 MiB, and a few times that as JSON in JSON.
const LONGEST: i32 = 256 << 20;

/// The most values of a header or of a row, which take many times the memory of their text.
pub(super) const MOST_VALUES: usize = 4 * json::MOST_VALUES;

/// The smallest page of SQLite, in bytes.
const PAGE: u64 = 512;

const NO_TABLES: &str = "its tables are not those of a journal";

/// A consistent view of the records of a journal, as they were when it was opened.
#[derive(Debug)]
pub struct Records {
    connection: Connection,
    path: PathBuf,
    /// The checksum of the header.
    chain: Checksum,
}

/// The place behind a row, from which later rows are read.
#[derive(Clone, Copy, Debug)]
pub struct RowPlace {
    chain: Checksum,
    row: i64,
}

/// The place of a record in its journal.
#[derive(Clone, Copy, Debug)]
pub struct Spot<'a> {
    path: &'a Path,
    row: i64,
}

impl Spot<'_> {
    /// The number of its row, from 1.
    pub fn row(&self) -> i64 {
        self.row
    }

    /// The error for a record with impossible contents.
    pub fn damaged(&self, why: impl Into<String>) -> Unreadable {
        Unreadable::damaged(self.path, Some(self.row), None, why)
    }
}

/// Opens the journal in a run's folder for reading.
///
/// # Errors
/// It does not exist, cannot be read, is of another version, or its header is damaged.
pub fn read(folder: &Path) -> Result<(Header, Records), Unreadable> {
    open(folder, false)
}

/// The same for a run without an active runner; leaves no files beside the journal.
///
/// # Errors
/// As for [`read`].
pub fn read_at_rest(folder: &Path) -> Result<(Header, Records), Unreadable> {
    open(folder, true)
}

fn open(folder: &Path, at_rest: bool) -> Result<(Header, Records), Unreadable> {
    let path = folder.join(FILE);
    let folder = Folder::open(folder).map_err(|error| Unreadable::io(&path, error))?;
    recognise(&folder, FILE, &path)?;
    let has_log = check_log(&folder, &path)?;
    let connection = if at_rest && !has_log { as_it_is(&path) } else { connect(&path, has_log) };
    let connection = connection.map_err(|error| unopened(&path, error))?;
    // One snapshot of all tables, however often they are read and whatever is written meanwhile.
    connection.execute_batch("BEGIN").map_err(|error| Unreadable::sqlite(&path, None, error))?;
    check_tables(&connection, &path, TABLES)?;
    let (header, chain) = header(&connection, &path)?;
    Ok((header, Records { connection, path, chain }))
}

/// The error for a database that cannot be opened, or takes too long.
pub(super) fn unopened(path: &Path, error: rusqlite::Error) -> Unreadable {
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => Unreadable::damaged(path, None, None, NO_TABLES),
        _ => Unreadable::sqlite(path, None, error),
    }
}

impl Records {
    /// A hash in hex that identifies the run and its header.
    pub fn seal(&self) -> String {
        self.chain.hex()
    }

    /// The number of rows, and the checksum of the last one over all of them, in hex, unchecked: equal values mean
    /// that nothing was added since.
    ///
    /// # Errors
    /// The storage cannot be read.
    pub fn tip(&self) -> Result<(i64, String), Unreadable> {
        let sql = |error| Unreadable::sqlite(&self.path, None, error);
        let last = "SELECT number, hex(sum) FROM batch ORDER BY number DESC LIMIT 1";
        let last = self.connection.query_row(last, [], |row| Ok((row.get(0)?, row.get(1)?)));
        Ok(last.optional().map_err(sql)?.unwrap_or((0, String::new())))
    }

    /// The checksum of a row over all rows up to it, in hex; `None` if the row does not exist. As with
    /// [`tip`](Self::tip), it is unchecked.
    ///
    /// # Errors
    /// The storage cannot be read.
    pub fn sum(&self, number: i64) -> Result<Option<String>, Unreadable> {
        let sql = |error| Unreadable::sqlite(&self.path, Some(number), error);
        let sum = "SELECT hex(sum) FROM batch WHERE number = ?1";
        self.connection.query_row(sum, [number], |row| row.get(0)).optional().map_err(sql)
    }

    /// Calls `each` with all records in order, from the first one at every call. Memory holds one row at a time.
    ///
    /// # Errors
    /// An error of `each`, or damage of the journal; records before it were intact.
    pub fn each<E: From<Unreadable>>(&self, mut each: impl FnMut(Record) -> Result<(), E>) -> Result<(), E> {
        self.select(|_| true, |record, _| each(record))
    }

    /// The same without messages, which are not parsed, and with the place of each record.
    ///
    /// # Errors
    /// As for [`each`](Self::each).
    pub fn each_at<E: From<Unreadable>>(
        &self,
        each: impl FnMut(Record, Spot<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.select(|line| !Kind::Message.is(line), each)
    }

    /// Calls `each` with all messages and all documents in order. Memory holds one row at a time, and other records
    /// are not parsed.
    ///
    /// # Errors
    /// As for [`each`](Self::each).
    pub fn messages<E: From<Unreadable>>(
        &self,
        mut each: impl FnMut(Record) -> Result<(), E>,
    ) -> Result<(), E> {
        self.select(|line| Kind::Message.is(line) || Kind::Revised.is(line), |record, _| each(record))
    }

    /// The place before the first row.
    pub fn begin(&self) -> RowPlace {
        RowPlace { chain: self.chain, row: 0 }
    }

    /// The same as [`each_at`](Self::each_at) for the rows after a place, until `enough` holds after a row. Returns the
    /// place behind the last one.
    ///
    /// # Errors
    /// As for [`each`](Self::each); also if the rows are not those that follow the place.
    pub fn each_after<E: From<Unreadable>>(
        &self,
        place: RowPlace,
        mut each: impl FnMut(Record, Spot<'_>) -> Result<(), E>,
        enough: impl Fn() -> bool,
    ) -> Result<RowPlace, E> {
        let is_wanted = |line: &str| !Kind::Message.is(line);
        let (chain, row) = self.rows_after::<E>(place, |row, text| {
            let damaged = |byte, why| E::from(Unreadable::damaged(&self.path, Some(row), Some(byte), why));
            record::decode(text, is_wanted, damaged, |record| each(record, Spot { path: &self.path, row }))?;
            Ok(!enough())
        })?;
        Ok(RowPlace { chain, row })
    }

    fn select<E: From<Unreadable>>(
        &self,
        is_wanted: impl Fn(&str) -> bool,
        mut each: impl FnMut(Record, Spot<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.rows(|row, text| {
            let damaged = |byte, why| E::from(Unreadable::damaged(&self.path, Some(row), Some(byte), why));
            record::decode(text, &is_wanted, damaged, |record| each(record, Spot { path: &self.path, row }))
        })?;
        Ok(())
    }

    /// The documents that replaced the header's, in order. Other records are not parsed.
    ///
    /// # Errors
    /// As for [`each`](Self::each).
    pub fn revisions(&self) -> Result<Vec<Revision>, Unreadable> {
        let mut revisions = Vec::new();
        self.select(
            |line| Kind::Revised.is(line),
            |record, _| {
                if let Record::Revised(revision) = record {
                    revisions.push(revision);
                }
                Ok::<_, Unreadable>(())
            },
        )?;
        Ok(revisions)
    }

    /// Checks all rows. Returns the checksum and number of the last one.
    pub(super) fn check(&self) -> Result<(Checksum, i64), Unreadable> {
        self.rows(|_, _| Ok(()))
    }

    /// The size of its files in bytes. Data that is moved from the log into the main file meanwhile is counted twice,
    /// never left out.
    fn room(&self) -> io::Result<u64> {
        let folder = Folder::open(self.path.parent().unwrap_or(Path::new("")))?;
        let log = match folder.length(format!("{FILE}-wal")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            log => log?,
        };
        Ok(folder.length(FILE)?.saturating_add(log))
    }

    fn rows<E: From<Unreadable>>(
        &self,
        mut each: impl FnMut(i64, &str) -> Result<(), E>,
    ) -> Result<(Checksum, i64), E> {
        self.rows_after(self.begin(), |row, text| each(row, text).map(|()| true))
    }

    /// Calls `each` with the rows after a place, as long as it returns true.
    fn rows_after<E: From<Unreadable>>(
        &self,
        place: RowPlace,
        mut each: impl FnMut(i64, &str) -> Result<bool, E>,
    ) -> Result<(Checksum, i64), E> {
        let (mut chain, mut number, mut size, mut room) = (place.chain, place.row, 0_u64, 0);
        let sql = |row: i64| move |error| Unreadable::sqlite(&self.path, Some(row), error);
        let kept: Option<i64> = self
            .connection
            .query_row("SELECT number FROM tail", [], |row| row.get(0))
            .optional()
            .map_err(|error| Unreadable::sqlite(&self.path, None, error))?;
        let after = "SELECT number, records, sum FROM batch WHERE number > ?1 ORDER BY number";
        let mut statement = self.connection.prepare(after).map_err(sql(number + 1))?;
        // From the beginning with rows that must not be there, such as -1.
        let from = if number == 0 { i64::MIN } else { number };
        let mut rows = statement.query([from]).map_err(sql(number + 1))?;
        while let Some(row) = rows.next().map_err(sql(number + 1))? {
            number += 1;
            let damaged = |byte, why: &str| Unreadable::damaged(&self.path, Some(number), byte, why);
            let (Ok(ValueRef::Integer(found)), Some(text), Some(sum)) =
                (row.get_ref(0), bytes(row, 1), bytes(row, 2))
            else {
                return Err(damaged(None, "it is not what a row is").into());
            };
            size = size.saturating_add(text.len() as u64 + sum.len() as u64);
            if size > room {
                // It may have been written to since.
                room = self.room().map_err(|error| Unreadable::io(&self.path, error))?;
            }
            if size > room {
                // Rows that share pages could take unlimited time.
                return Err(damaged(None, "its rows are larger than its file").into());
            }
            if found != number {
                return Err(damaged(None, &format!("row {found} is in its place")).into());
            }
            chain = chain.next(number, text);
            if chain.bytes() != sum {
                return Err(damaged(None, "its checksum does not fit").into());
            }
            let text = std::str::from_utf8(text)
                .map_err(|error| damaged(Some(error.valid_up_to()), "it is not UTF-8"))?;
            if text.lines().any(|record| json::most_values(record) > MOST_VALUES) {
                return Err(damaged(None, "a record of it has more values than there can be").into());
            }
            if !each(number, text)? {
                return Ok((chain, number));
            }
        }
        if kept != Some(number) {
            let kept = kept.map_or("an unknown number of".to_owned(), |kept| kept.to_string());
            let why = format!("{kept} rows were written, and the last one here is {number}");
            return Err(Unreadable::damaged(&self.path, None, None, why).into());
        }
        Ok((chain, number))
    }
}

/// The bytes of a text or a blob.
pub(super) fn bytes<'a>(row: &'a Row<'_>, column: usize) -> Option<&'a [u8]> {
    match row.get_ref(column).ok()? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => None,
    }
}

/// Rejects an empty file, which SQLite would take for a new database and discard the log beside it, and a file that is
/// not a regular one of this user. Opens nothing: closing the file again would release the locks of a writer in this
/// process.
pub(super) fn recognise(folder: &Folder, file: &str, path: &Path) -> Result<(), Unreadable> {
    let io = |error| Unreadable::io(path, error);
    identity(folder, file).map_err(io)?;
    // SQLite would replay it when it opens the file for writing: the checked contents would not be the final ones.
    if folder.kind(format!("{file}-journal")).map_err(io)?.is_some() {
        return Err(Unreadable::damaged(
            path,
            None,
            None,
            "a rollback journal of another program is next to it",
        ));
    }
    let size = folder.length(file).map_err(io)?;
    match size < PAGE {
        true => Err(Unreadable::damaged(path, None, None, "it is too short")),
        false => Ok(()),
    }
}

/// Rejects tables and indexes that `tables` does not create, and any other schema objects: a view or a trigger in a
/// forged file could compute forever.
pub(super) fn check_tables(connection: &Connection, path: &Path, tables: &str) -> Result<(), Unreadable> {
    let found = || -> rusqlite::Result<bool> {
        let mut statement = connection.prepare("SELECT type, sql FROM sqlite_schema LIMIT 9")?;
        let rows = statement.query_map([], |row| {
            let kind: &[u8] = if bytes(row, 0) == Some(b"index") { b"CREATE INDEX" } else { b"CREATE TABLE" };
            let is_made =
                |sql: &[u8]| sql.starts_with(kind) && made(tables).any(|made| made.as_bytes() == sql);
            Ok(bytes(row, 1).is_some_and(is_made))
        })?;
        let rows = rows.collect::<rusqlite::Result<Vec<bool>>>()?;
        Ok(rows.len() == made(tables).count() && rows.into_iter().all(|known| known))
    };
    match found().map_err(|error| Unreadable::sqlite(path, None, error))? {
        true => Ok(()),
        false => Err(Unreadable::damaged(path, None, None, NO_TABLES)),
    }
}

/// The statements that create tables and indexes, as SQLite stores them.
fn made(tables: &str) -> impl Iterator<Item = &str> {
    tables.split(';').map(str::trim).filter(|sql| sql.starts_with("CREATE"))
}

/// Opens the file for reading. If SQLite cannot create the files that it shares with a writer, as in a folder of
/// another user, and no such file exists, then no writer exists and the file is read as it is.
pub(super) fn connect(path: &Path, has_log: bool) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    match guarded(Connection::open_with_flags(path, flags)?) {
        Err(rusqlite::Error::SqliteFailure(failure, _))
            if matches!(failure.code, ErrorCode::CannotOpen | ErrorCode::ReadOnly) && !has_log =>
        {
            as_it_is(path)
        }
        tried => tried,
    }
}

/// Opens a file that has no writer.
fn as_it_is(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    guarded(Connection::open_with_flags(immutable(path), flags)?)
}

/// Makes SQLite read the names of the tables, with a bound: in a forged file their pages may form a cycle.
fn guarded(mut connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(PATIENCE)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST)?;
    connection.progress_handler(STEPS, Some(|| true))?;
    connection.execute_batch(GUARDED)?;
    connection.progress_handler(STEPS, None::<fn() -> bool>)?;
    Ok(connection)
}

/// The most SQLite steps until the names of the tables are read; a journal takes a few hundred.
const STEPS: std::ffi::c_int = 20_000;

/// A journal may come from elsewhere: its schema is not trusted, its pages are checked twice.
const GUARDED: &str = "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; SELECT 1 FROM sqlite_schema;";

/// Whether SQLite's write-ahead log has contents; fails if it is damaged.
fn check_log(folder: &Folder, path: &Path) -> Result<bool, Unreadable> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let log = PathBuf::from(log);
    let why = "commits follow a broken one";
    let open = || match folder.open_file(format!("{FILE}-wal")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        file => file.map(Some),
    };
    let io = |error| Unreadable::io(&log, error);
    match log::damage(open).map_err(io)? {
        None => {
            Ok(open().and_then(|file| file.map_or(Ok(0), |file| Ok(file.metadata()?.len()))).map_err(io)? > 0)
        }
        Some(at) => Err(Unreadable::damaged(&log, None, usize::try_from(at).ok(), why)),
    }
}

/// The address of a file that does not change.
fn immutable(path: &Path) -> PathBuf {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut address = b"file:".to_vec();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'%' | b'?' | b'#' => address.extend(format!("%{byte:02x}").bytes()),
            _ => address.push(*byte),
        }
    }
    address.extend(b"?immutable=1");
    OsString::from_vec(address).into()
}

fn header(connection: &Connection, path: &Path) -> Result<(Header, Checksum), Unreadable> {
    #[derive(Deserialize)]
    struct Form {
        version: Version,
    }
    let damaged = |byte, why: &str| Unreadable::damaged(path, None, byte, format!("the header: {why}"));
    let found = connection.query_row("SELECT text, sum FROM header", [], |row| {
        Ok((bytes(row, 0).map(<[u8]>::to_vec), bytes(row, 1).map(<[u8]>::to_vec)))
    });
    let found = found.map_err(|error| Unreadable::sqlite(path, None, error))?;
    let (Some(text), Some(sum)) = found else { return Err(damaged(None, "it is not what a header is")) };
    let text = String::from_utf8(text)
        .map_err(|error| damaged(Some(error.utf8_error().valid_up_to()), "it is not UTF-8"))?;
    let chain = Checksum::begin(&text);
    if chain.bytes() != sum {
        return Err(damaged(None, "its checksum does not fit"));
    }
    let parse =
        |error: serde_json::Error| damaged(Some(error.column().saturating_sub(1)), &error.to_string());
    if json::most_values(&text) > MOST_VALUES {
        return Err(damaged(None, "it has more values than a run can be given"));
    }
    let Form { version } = serde_json::from_str(&text).map_err(parse)?;
    if !version.is_known() {
        return Err(Unreadable::Version { path: path.to_owned(), found: version });
    }
    Ok((serde_json::from_str(&text).map_err(parse)?, chain))
}
