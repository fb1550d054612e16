//! What a run is. Whoever holds it needs nothing else to go on from the run's records.

use super::chain::Checksum;
use crate::value::{Value, restore};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a run is, kept once: enough to go on from the run's folder alone, on another machine too. A later minor
/// version may have more keys; those that are not known are passed over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Of the journal's form.
    pub version: Version,
    /// The run's name.
    pub run: String,
    /// RFC 3339; the times of events count from here.
    pub started: String,
    pub document: Document,
    /// For each step in document order, to tell later which changed.
    pub definition: Vec<Definition>,
    /// How the run was asked for: inputs, limits, grants and the like.
    #[serde(deserialize_with = "restore::value")]
    pub options: Value,
    /// Where the items come from, with what is needed to know them again; or the items themselves.
    #[serde(deserialize_with = "restore::value")]
    pub items: Value,
}

impl Header {
    /// As it stands in the journal.
    ///
    /// # Errors
    /// It has no form as JSON.
    pub(super) fn text(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// What [`Records::seal`](super::Records::seal) says of a journal with this header.
    ///
    /// # Errors
    /// It has no form as JSON.
    pub fn seal(&self) -> serde_json::Result<String> {
        Ok(Checksum::begin(&self.text()?).hex())
    }
}

/// The workflow as it was when the run began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// As it was given.
    pub path: String,
    pub text: String,
}

/// A step's name in traces and the hash of what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    pub phase: String,
    pub hash: String,
}

/// Of the journal's form. Another major version is not read; a minor one adds what older readers may pass over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Version {
    pub major: u32,
    pub minor: u32,
}

impl Version {
    /// What this program writes. Since 1.1 a run may go on with another document; since 2.0 an event says first when it
    /// happened, then what happened to the run, an item, a step or an attempt.
    pub const CURRENT: Version = Version { major: 2, minor: 0 };

    /// Whether this program reads it.
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
