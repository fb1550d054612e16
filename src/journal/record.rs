//! The records of a run, and their form: a line of JSON for each record, several lines a row.

use super::{DocumentText, StepDefinition, Trouble, version1};
use crate::event::{Event, ItemId, Millis, Role, StepPath};
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
    /// A message between orderflow and an agent; nothing depends on it.
    Message(Message),
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

/// A message of an attempt, for people to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// When it was reported, in the run's own time.
    pub at: Millis,
    pub item: ItemId,
    pub step: StepPath,
    pub attempt: u32,
    pub role: Role,
    /// Of a tool or a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub text: String,
}

/// A record's line: an object with one key. A later minor version may have others, which are ignored.
#[derive(Default, Deserialize)]
struct RecordLine {
    event: Option<Event>,
    spawned: Option<Process>,
    asked: Option<Asked>,
    revised: Option<Revision>,
    message: Option<Message>,
}

/// Adds the record's line to `row`.
pub(super) fn encode(record: &Record, row: &mut Vec<u8>, path: &Path) -> Result<(), Trouble> {
    serde_json::to_writer(&mut *row, record).map_err(|error| Trouble::new(path, error))?;
    row.push(b'\n');
    Ok(())
}

/// A kind of records that is read without parsing the others, or left out without parsing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Revised,
    Message,
}

impl Kind {
    /// Whether a line is of this kind, decided without parsing it.
    pub fn is(self, line: &str) -> bool {
        line.starts_with(match self {
            Kind::Revised => "{\"revised\"",
            Kind::Message => "{\"message\"",
        })
    }
}

/// Calls `each` with the records of a row in order, of the lines that are wanted.
///
/// # Errors
/// An error of `each`, or, through `damaged`, the byte of a line that is not a record, and why.
pub(super) fn decode<E>(
    row: &str,
    is_wanted: impl Fn(&str) -> bool,
    damaged: impl Fn(usize, String) -> E,
    mut each: impl FnMut(Record) -> Result<(), E>,
) -> Result<(), E> {
    let mut begin = 0;
    for line in row.split_terminator('\n') {
        let start = begin;
        begin += line.len() + 1;
        if !is_wanted(line) {
            continue;
        }
        let RecordLine { event, spawned, asked, revised, message } = parse(line).map_err(|error| {
            let byte = start + error.column().saturating_sub(1);
            damaged(byte, error.to_string())
        })?;
        let records = [
            event.map(Record::Event),
            spawned.map(Record::Spawned),
            asked.map(Record::Asked),
            revised.map(Record::Revised),
            message.map(Record::Message),
        ];
        records.into_iter().flatten().try_for_each(&mut each)?;
    }
    Ok(())
}

/// The record in a line. If it fits neither form, the error of the form that it fits longer.
fn parse(line: &str) -> serde_json::Result<RecordLine> {
    serde_json::from_str(line).or_else(|error| match version1::event(line) {
        Ok(event) => Ok(RecordLine { event: Some(event), ..RecordLine::default() }),
        Err(earlier) => Err(max_by_key(earlier, error, serde_json::Error::column)),
    })
}
