//! The records of a run, and their form: a line of JSON for each record, several lines a row.

use super::{DocumentText, StepDefinition, Trouble, version1};
use crate::event::{Event, ItemId, StepPath};
use serde::{Deserialize, Serialize};
use std::cmp::max_by_key;
use std::path::Path;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// An event of the engine.
    Event(Event),
    /// A program was started for an attempt.
    Spawned(Process),
    /// The first use of an idempotency key.
    Asked(Asked),
    /// The run continues with another document; later records refer to its steps.
    Revised(Revision),
}

/// The inputs of the first call with an idempotency key, so that the key is never used with others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub item: ItemId,
    pub key: String,
    /// A hash of the inputs.
    pub input: String,
}

/// A document that replaces the previous one completely.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    pub document: DocumentText,
    /// For each step in document order.
    pub definition: Vec<StepDefinition>,
}

/// A process, with what distinguishes it from a later one with the same number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub item: ItemId,
    pub step: StepPath,
    pub attempt: u32,
    pub pid: u32,
    /// Its process group.
    pub group: u32,
    /// When it started, in the ticks of `/proc/<pid>/stat`.
    pub started: u64,
    /// The kernel's identifier of the machine's current boot.
    pub boot: String,
}

/// A record's line: an object with one key. A later minor version may have others, which are ignored.
#[derive(Deserialize)]
struct RecordLine {
    event: Option<Event>,
    spawned: Option<Process>,
    asked: Option<Asked>,
    revised: Option<Revision>,
}

/// Adds the record's line to `row`.
pub(super) fn encode(record: &Record, row: &mut Vec<u8>, path: &Path) -> Result<(), Trouble> {
    serde_json::to_writer(&mut *row, record).map_err(|error| Trouble::new(path, error))?;
    row.push(b'\n');
    Ok(())
}

/// Whether a row may contain a document, decided without parsing its records.
pub(super) fn may_revise(row: &str) -> bool {
    row.split_terminator('\n').any(|line| line.starts_with("{\"revised\""))
}

/// Calls `each` with the records of a row in order.
///
/// # Errors
/// An error of `each`, or, through `damaged`, the byte of a line that is not a record, and why.
pub(super) fn decode<E>(
    row: &str,
    damaged: impl Fn(usize, String) -> E,
    mut each: impl FnMut(Record) -> Result<(), E>,
) -> Result<(), E> {
    let mut begin = 0;
    for line in row.split_terminator('\n') {
        let RecordLine { event, spawned, asked, revised } = parse(line).map_err(|error| {
            let byte = begin + error.column().saturating_sub(1);
            damaged(byte, error.to_string())
        })?;
        let records = [
            event.map(Record::Event),
            spawned.map(Record::Spawned),
            asked.map(Record::Asked),
            revised.map(Record::Revised),
        ];
        records.into_iter().flatten().try_for_each(&mut each)?;
        begin += line.len() + 1;
    }
    Ok(())
}

/// The record in a line. If it fits neither form, the error of the form that it fits longer.
fn parse(line: &str) -> serde_json::Result<RecordLine> {
    serde_json::from_str(line).or_else(|error| match version1::event(line) {
        Ok(event) => Ok(RecordLine { event: Some(event), spawned: None, asked: None, revised: None }),
        Err(earlier) => Err(max_by_key(earlier, error, serde_json::Error::column)),
    })
}
