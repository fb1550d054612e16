//! Reads the logs of a run, also while they are written. The file may come from elsewhere.

use super::super::Unreadable;
use super::super::read::{bytes, check_tables, connect, recognise, unopened};
use super::{LOGS, RUN_STEPS, TABLES};
use crate::disk::Folder;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Which logs to read; `None` does not restrict them.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    pub key: Option<String>,
    /// The phases of steps.
    pub steps: Option<Vec<String>>,
    pub attempt: Option<u32>,
}

/// A part of an attempt's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPart {
    pub id: i64,
    /// The id of its attempt, which differs each time that the attempt is repeated.
    pub log: i64,
    /// In milliseconds since the run began.
    pub at: u64,
    pub stream: u8,
    /// So many bytes are left out here.
    pub left_out: u64,
    /// Any number of lines, of which the last one may continue.
    pub text: String,
    /// The number of the item; the steps that run once have the largest one.
    pub item: u64,
    pub key: String,
    pub phase: String,
    pub title: String,
    pub element: Option<u32>,
    pub attempt: u32,
}

impl LogPart {
    /// The key of the item; `run` for the steps that run once.
    pub fn item_key(&self) -> &str {
        if self.key == RUN_STEPS { "run" } else { &self.key }
    }
}

/// Why logs cannot be read.
#[derive(Debug)]
pub struct UnreadableLogs(pub Unreadable);

impl fmt::Display for UnreadableLogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Unreadable::Damaged { path, why, .. } => {
                write!(f, "the logs {} are damaged: {why}", path.display())
            }
            Unreadable::Storage { path, cause } => {
                write!(f, "cannot read the logs {}: {cause}", path.display())
            }
            other @ (Unreadable::Missing { .. } | Unreadable::Version { .. }) => other.fmt(f),
        }
    }
}

impl std::error::Error for UnreadableLogs {}

/// Whether the run in `folder` has a file of logs.
pub fn has_logs(folder: &Path) -> bool {
    Folder::open(folder).is_ok_and(|folder| folder.has_file(LOGS))
}

/// The logs of a run, open for reading.
#[derive(Debug)]
pub struct LogReader {
    connection: Connection,
    path: PathBuf,
}

/// The most SQLite steps of a query for a byte of the file, and how often they are counted. A part takes fewer than a
/// hundred steps, and more than twenty bytes.
const STEPS_A_BYTE: u64 = 20;
const EVERY: std::ffi::c_int = 10_000;

const WHAT: &str = "SELECT c.id, c.attempt, c.at, c.stream, c.left_out, c.text, a.item, a.key, a.phase, a.title, a.element, a.number";

impl LogReader {
    /// Opens the logs of a run in its folder; `None` if nothing is logged.
    ///
    /// # Errors
    /// The file cannot be read, or its contents are not logs.
    pub fn open(folder: &Path) -> Result<Option<LogReader>, UnreadableLogs> {
        LogReader::opened(folder).map_err(UnreadableLogs)
    }

    fn opened(folder: &Path) -> Result<Option<LogReader>, Unreadable> {
        let path = folder.join(LOGS);
        let io = |error| Unreadable::io(&path, error);
        let folder = Folder::open(folder).map_err(io)?;
        match recognise(&folder, LOGS, &path) {
            Err(Unreadable::Missing { .. }) => return Ok(None),
            recognised => recognised?,
        }
        let has_log = match folder.length(format!("{LOGS}-wal")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            length => length.map_err(io)? > 0,
        };
        let connection = connect(&path, has_log).map_err(|error| match unopened(&path, error) {
            Unreadable::Damaged { path, place, .. } => {
                Unreadable::Damaged { path, place, why: NO_LOGS.to_owned() }
            }
            other => other,
        })?;
        check_tables(&connection, &path, TABLES).map_err(|error| match error {
            Unreadable::Damaged { path, place, .. } => {
                Unreadable::Damaged { path, place, why: NO_LOGS.to_owned() }
            }
            other => other,
        })?;
        Ok(Some(LogReader { connection, path }))
    }

    fn damaged(&self, why: &str) -> UnreadableLogs {
        UnreadableLogs(Unreadable::damaged(&self.path, None, None, why))
    }

    fn sql(&self, error: rusqlite::Error) -> UnreadableLogs {
        match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => self.damaged("its parts are larger than its file"),
            _ => UnreadableLogs(Unreadable::sqlite(&self.path, None, error)),
        }
    }

    /// The last ids of an attempt and of a part.
    pub(super) fn last(&mut self) -> Result<(i64, i64), UnreadableLogs> {
        self.bound().map_err(|error| self.sql(error))?;
        let last = |sql: &str| self.connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
        let read = || -> rusqlite::Result<(i64, i64)> {
            let attempt = last("SELECT max(id) FROM attempt")?.unwrap_or(0);
            Ok((attempt, last("SELECT max(id) FROM chunk")?.unwrap_or(0)))
        };
        let (attempt, chunk) = read().map_err(|error| self.sql(error))?;
        // A forged id leaves no room for those that follow.
        let is_sane = |id: i64| (0..i64::MAX / 2).contains(&id);
        match is_sane(attempt) && is_sane(chunk) {
            true => Ok((attempt, chunk)),
            false => Err(self.damaged("its ids are too large")),
        }
    }

    /// Bounds the next query by the size of the file: pages of a forged one may be shared by any number of others.
    fn bound(&mut self) -> rusqlite::Result<()> {
        let folder = Folder::open(self.path.parent().unwrap_or(Path::new(""))).ok();
        let length = |name: &str| folder.as_ref().and_then(|folder| folder.length(name).ok()).unwrap_or(0);
        let size = length(LOGS).saturating_add(length(&format!("{LOGS}-wal")));
        let (most, mut done) = (size.saturating_mul(STEPS_A_BYTE) / u64::from(EVERY.unsigned_abs()) + 100, 0);
        let handler = move || {
            done += 1;
            done > most
        };
        self.connection.progress_handler(EVERY, Some(handler))
    }

    /// Whether an item has a log.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn has_item(&mut self, key: &str) -> Result<bool, UnreadableLogs> {
        self.bound().map_err(|error| self.sql(error))?;
        let sql = "SELECT 1 FROM attempt WHERE key = ?1 LIMIT 1";
        let found = self.connection.query_row(sql, [key], |_| Ok(())).optional();
        found.map(|found| found.is_some()).map_err(|error| self.sql(error))
    }

    /// Whether at most one attempt has such a log.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn is_one(&mut self, filter: &LogFilter) -> Result<bool, UnreadableLogs> {
        self.bound().map_err(|error| self.sql(error))?;
        let count = || -> rusqlite::Result<usize> {
            let sql = "SELECT DISTINCT key, phase, element, number FROM attempt WHERE (?1 IS NULL OR key = ?1) AND (?2 IS NULL OR number = ?2)";
            let mut statement = self.connection.prepare(sql)?;
            let mut rows = statement.query(params![filter.key, filter.attempt])?;
            let mut count = 0;
            while count < 2
                && let Some(row) = rows.next()?
            {
                let phase = bytes(row, 1).map(String::from_utf8_lossy).unwrap_or_default();
                let is_wanted =
                    filter.steps.as_ref().is_none_or(|steps| steps.iter().any(|step| **step == *phase));
                count += usize::from(is_wanted);
            }
            Ok(count)
        };
        count().map(|count| count < 2).map_err(|error| self.sql(error))
    }

    /// Calls `each` with the parts behind the one with the id `after`, in the order of time. Memory holds one at a time.
    ///
    /// # Errors
    /// An error of `each`, or the file is damaged.
    pub fn each<E: From<UnreadableLogs>>(
        &mut self,
        filter: &LogFilter,
        after: i64,
        mut each: impl FnMut(LogPart) -> Result<(), E>,
    ) -> Result<(), E> {
        // Without a restriction the parts are read in their order, else by the attempts.
        let tables = match &filter.key {
            None => "FROM chunk c CROSS JOIN attempt a ON a.id = c.attempt WHERE ?2 IS NULL",
            Some(_) => "FROM attempt a CROSS JOIN chunk c ON c.attempt = a.id WHERE a.key = ?2",
        };
        let text = format!("{WHAT} {tables} AND c.id > ?1 ORDER BY c.id");
        self.bound().map_err(|error| self.sql(error))?;
        let sql = |error| E::from(self.sql(error));
        let mut statement = self.connection.prepare(&text).map_err(sql)?;
        let mut rows = statement.query(params![after, filter.key]).map_err(sql)?;
        let mut last = after;
        while let Some(row) = rows.next().map_err(sql)? {
            let line = line(row).ok_or_else(|| self.damaged("a part of it is not what a part is"))?;
            // Rows that share pages could take unlimited time.
            if line.id <= last {
                return Err(self.damaged("its parts are not in order").into());
            }
            last = line.id;
            let is_wanted = filter.attempt.is_none_or(|number| number == line.attempt)
                && filter.steps.as_ref().is_none_or(|steps| steps.contains(&line.phase));
            if is_wanted {
                each(line)?;
            }
        }
        Ok(())
    }
}

const NO_LOGS: &str = "its tables are not those of logs";

/// A row, if its values are possible.
fn line(row: &Row<'_>) -> Option<LogPart> {
    let text = |column| Some(String::from_utf8_lossy(bytes(row, column)?).into_owned());
    let number = |column| row.get::<_, i64>(column).ok();
    Some(LogPart {
        id: number(0)?,
        log: number(1)?,
        at: number(2)?.try_into().ok()?,
        stream: number(3)?.try_into().ok()?,
        left_out: number(4)?.try_into().ok()?,
        text: text(5)?,
        item: number(6)?.cast_unsigned(),
        key: text(7)?,
        phase: text(8)?,
        title: text(9)?,
        element: row.get::<_, Option<u32>>(10).ok()?,
        attempt: row.get(11).ok()?,
    })
}
