//! The header of a journal: with it, a run can be resumed from its records alone.

use super::chain::Checksum;
use crate::value::{Value, restore};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The data of a run that is stored once: enough to resume from the run's folder alone, on another machine too. A
/// later minor version may have more keys; unknown keys are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the journal's format.
    pub version: Version,
    /// The run's name.
    pub run: String,
    /// RFC 3339; the times of events count from here.
    pub started: String,
    pub document: DocumentText,
    /// For each step in document order, to detect later which steps changed.
    pub definition: Vec<StepDefinition>,
    /// The options of the run: inputs, limits, grants and the like.
    #[serde(deserialize_with = "restore::value")]
    pub options: Value,
    /// The source of the items, with a digest to recognise them; or the items themselves.
    #[serde(deserialize_with = "restore::value")]
    pub items: Value,
}

impl Header {
    /// The header as text in the journal.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub(super) fn text(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// The value that [`Records::seal`](super::Records::seal) returns for a journal with this header.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn seal(&self) -> serde_json::Result<String> {
        Ok(Checksum::begin(&self.text()?).hex())
    }
}

/// The workflow as it was when the run began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentText {
    /// The path as given by the user.
    pub path: String,
    pub text: String,
}

/// A step's name in traces and the hash of its meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepDefinition {
    pub phase: String,
    pub hash: String,
}

/// The version of the journal's format. Other major versions are rejected; a minor one adds keys that older readers
/// may ignore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Version {
    pub major: u32,
    pub minor: u32,
}

impl Version {
    /// The version that this program writes. Since 1.1 a run may be resumed with another document; since 2.0 an event
    /// has its time first, then the event of the run, an item, a step or an attempt; 2.1 adds messages; since
    /// 3.0 there are events of gates, since 4.0 of events that steps wait for, of revoked items and of loops, and since 5.0 of
    /// events of documents that steps run.
    pub const CURRENT: Version = Version { major: 5, minor: 0 };

    /// Whether this program reads this version.
    pub fn is_known(self) -> bool {
        (1..=Version::CURRENT.major).contains(&self.major)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.to_string()
    }
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.split_once('.');
        let parts = parts.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        match parts {
            Some((major, minor)) => Ok(Version { major, minor }),
            None => Err(format!("{text:?} is not a version such as {}", Version::CURRENT)),
        }
    }
}
