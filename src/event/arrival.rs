//! An event that the run got from outside, as CloudEvents 1.0 has it.

use super::UnixMillis;
use crate::value::{Value, restore};
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;

/// An event from outside. Its id distinguishes it from all others: a second one with the same id is the same event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrival {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about: mostly the key of an item.
    pub subject: String,
    /// Its sender, as the sender names itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(deserialize_with = "shared")]
    pub data: Arc<Value>,
    /// When it came, by the clock.
    pub at: UnixMillis,
}

fn shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Value>, D::Error> {
    restore::value(deserializer).map(Arc::new)
}

/// The earliest time that is a date and not a time of a run.
const YEAR_2000: UnixMillis = 946_684_800_000;

impl Arrival {
    /// Whether it is known when it came: the time of an event is not stored that a step has published, and a run that
    /// resumes publishes again.
    pub fn has_time(&self) -> bool {
        self.at >= YEAR_2000
    }

    /// The longest id, type, subject or source in bytes.
    pub const LONGEST: usize = 1024;

    /// The largest data in bytes, as JSON.
    pub const LARGEST: usize = 1 << 20;

    /// Why it is not accepted, if so.
    pub fn fault(&self) -> Option<String> {
        let texts = [("id", Some(&self.id)), ("type", Some(&self.kind)), ("subject", Some(&self.subject))];
        for (what, text) in texts.into_iter().chain([("source", self.source.as_ref())]) {
            match text.map(String::len) {
                Some(0) => return Some(format!("its {what} is empty")),
                Some(length) if length > Arrival::LONGEST => {
                    return Some(format!("its {what} is longer than {} bytes", Arrival::LONGEST));
                }
                _ => {}
            }
        }
        // The text of a value is about as large as the value.
        let size = self.data.to_string().len();
        (size > Arrival::LARGEST).then(|| format!("its data takes more than {} MiB", Arrival::LARGEST >> 20))
    }
}

/// A type of events, or all that begin with what is before `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypePattern(pub String);

impl TypePattern {
    /// Whether a type is one of these.
    pub fn matches(&self, kind: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(begin) => kind.starts_with(begin),
            None => self.0 == kind,
        }
    }
}

/// The subject of events for the steps for all items.
pub const RUN_SUBJECT: &str = "run";

/// The code of a step whose event did not come in time.
pub const EVENT_TIMEOUT: &str = "event_timeout";

/// The columns of the rows of steps that wait for an event: its type, its id, and how long it took.
pub const EVENT_COLUMNS: [&str; 3] = ["event", "event_id", "event_ms"];
