//! Why the storage rejects a write. SQLite reports "disk I/O error" even if it knows more.

use super::store::BESIDE;
use crate::disk;
use rusqlite::ErrorCode;
use std::io::{self, ErrorKind};
use std::path::Path;

/// The cause of SQLite's error about the file at a path, if it is a lack of room.
pub(super) fn missing(path: &Path, error: &rusqlite::Error) -> Option<io::Error> {
    match error.sqlite_error_code()? {
        ErrorCode::DiskFull => Some(ErrorKind::StorageFull.into()),
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => {
            disk::try_room(path, &BESIDE).err().filter(is_room)
        }
        _ => None,
    }
}

/// Whether an error means a lack of room.
pub(super) fn is_room(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// The message for such an error, the same everywhere.
pub(super) fn reason(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::FileTooLarge => "files may not be so large (ulimit -f)",
        ErrorKind::QuotaExceeded => "the disk quota is used up",
        _ => "no space left on device",
    }
}
