//! The logs of a run's attempts: one SQLite file next to the journal, made once something is logged. No state depends on
//! it, so it is not durable at once, and a damaged one only hides the logs.

mod reader;
mod store;
#[cfg(test)]
mod tests;

pub use reader::{LogFilter, LogPart, LogReader, UnreadableLogs, has_logs};
pub use store::{LogChange, LogStore};

/// The file's name in the run's folder.
pub const LOGS: &str = "logs.db";

/// The key of the steps that run once, which no item has.
pub const RUN_STEPS: &str = ":run";

/// Attempts, and parts of their logs in the order of time. A part with `left_out` has no text: so many bytes are left
/// out there.
pub(super) const TABLES: &str = "
    CREATE TABLE attempt (id INTEGER PRIMARY KEY, item INTEGER NOT NULL, key TEXT NOT NULL, phase TEXT NOT NULL, title TEXT NOT NULL, element INTEGER, number INTEGER NOT NULL);
    CREATE TABLE chunk (id INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, at INTEGER NOT NULL, stream INTEGER NOT NULL, left_out INTEGER NOT NULL, text TEXT NOT NULL);
    CREATE INDEX attempt_by_place ON attempt (key, phase, element, number);
    CREATE INDEX chunk_by_attempt ON chunk (attempt);";
