//! Traces: the rows of past executions, their form in files and documents, and their replay.

mod append;
mod columns;
mod document;
mod entries;
mod file;
mod layout;
mod link;
mod nested;
mod problem;
mod read;
mod record;
mod replay;
mod row;
mod spool;
mod verify;
mod write;

pub use append::{MOST_ROWS, Refusal, append, missing};
pub use document::{Recorded, check, recorded};
pub use entries::{Entries, Entry, LeftOut};
pub use file::{Session, read_session};
pub use layout::{Edge, Layout, Phase};
pub use link::{link, state};
pub use nested::{NestedRow, OuterRun, RowsApart};
pub use problem::{TraceProblem, TraceProblems};
pub use record::Recorder;
pub use replay::replay;
pub use row::*;
pub use verify::{Verified, verify};
pub use write::Head;

pub use crate::toon::Scalar;

#[cfg(test)]
pub(crate) mod tests;
