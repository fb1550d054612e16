//! Why a stored run cannot be read, or does not do what is asked of it.

use std::fmt;

/// What kind of trouble it is; commands exit by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The run does not take such a request, as a retry after it was cancelled.
    Request,
    /// There is no such item, or an edited table is wrong.
    Invalid,
    /// The items or what has begun of the document have changed.
    Changed,
    /// What the journal says is not what this version can go on from.
    Journal,
    /// Another runner has the run.
    Locked,
    /// Something cannot be read, written or ended.
    Io,
}

/// What is wrong, and what to do about it.
#[derive(Clone, Debug)]
pub struct Error {
    pub kind: ErrorKind,
    pub message: String,
    pub help: Option<String>,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), help: None }
    }

    pub fn help(self, help: impl Into<String>) -> Error {
        Error { help: Some(help.into()), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
