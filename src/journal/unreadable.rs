//! Why a journal cannot be read: it is missing, inaccessible, of another version, or damaged.

use super::{Version, space};
use rusqlite::ErrorCode;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a journal cannot be read. Shown with the path and what to do.
#[derive(Clone, Debug)]
pub enum Unreadable {
    /// The journal does not exist.
    Missing { path: PathBuf },
    /// The storage denied access; the journal may be intact.
    Storage { path: PathBuf, cause: Arc<dyn std::error::Error + Send + Sync> },
    /// Another major version of the format.
    Version { path: PathBuf, found: Version },
    /// The contents are not the ones that were written.
    Damaged { path: PathBuf, place: DamagePlace, why: String },
}

/// The place of damage in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagePlace {
    /// From 1; `None` for the header or the file as a whole.
    pub row: Option<i64>,
    /// From 0, in the row's text; without a row, in the header or the log beside the file.
    pub byte: Option<usize>,
}

impl Unreadable {
    pub(super) fn io(path: &Path, cause: io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Unreadable::Missing { path: path.to_owned() }
            }
            _ => Unreadable::Storage { path: path.to_owned(), cause: Arc::new(cause) },
        }
    }

    /// An error of SQLite while it reads `row`.
    pub(super) fn sqlite(path: &Path, row: Option<i64>, cause: rusqlite::Error) -> Self {
        if let Some(error) = space::missing(path, &cause) {
            let cause = io::Error::new(error.kind(), space::reason(&error));
            return Unreadable::Storage { path: path.to_owned(), cause: Arc::new(cause) };
        }
        if is_storage(&cause) {
            return Unreadable::Storage { path: path.to_owned(), cause: Arc::new(cause) };
        }
        Unreadable::damaged(path, row, None, cause.to_string())
    }

    pub(super) fn damaged(
        path: &Path,
        row: Option<i64>,
        byte: Option<usize>,
        why: impl Into<String>,
    ) -> Self {
        Unreadable::Damaged { path: path.to_owned(), place: DamagePlace { row, byte }, why: why.into() }
    }
}

/// Whether the storage failed, rather than its contents.
fn is_storage(cause: &rusqlite::Error) -> bool {
    let rusqlite::Error::SqliteFailure(failure, _) = cause else { return false };
    match failure.code {
        ErrorCode::SystemIoFailure => ![
            rusqlite::ffi::SQLITE_IOERR_SHORT_READ,
            rusqlite::ffi::SQLITE_IOERR_DATA,
            rusqlite::ffi::SQLITE_IOERR_CORRUPTFS,
        ]
        .contains(&failure.extended_code),
        ErrorCode::PermissionDenied
        | ErrorCode::CannotOpen
        | ErrorCode::ReadOnly
        | ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::OutOfMemory
        | ErrorCode::DiskFull
        | ErrorCode::AuthorizationForStatementDenied
        | ErrorCode::OperationInterrupted => true,
        _ => false,
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Missing { path } => write!(f, "no journal at {}", path.display()),
            Unreadable::Storage { path, cause } => {
                write!(f, "cannot read the journal {}: {cause}", path.display())
            }
            Unreadable::Version { path, found } => write!(
                f,
                "the journal {} is of version {found}, and this program reads up to version {}",
                path.display(),
                Version::CURRENT
            ),
            Unreadable::Damaged { path, place, why } => {
                write!(f, "the journal {} is damaged{place}: {why}", path.display())
            }
        }
    }
}

impl fmt::Display for DamagePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(row) = self.row {
            write!(f, " at row {row}")?;
        }
        match (self.row, self.byte) {
            (_, None) => Ok(()),
            (None, Some(byte)) => write!(f, " at byte {byte}"),
            (Some(_), Some(byte)) => write!(f, ", byte {byte}"),
        }
    }
}

impl std::error::Error for Unreadable {}
