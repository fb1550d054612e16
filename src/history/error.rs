//! Why a stored run cannot be read, or rejects a request.

use std::fmt;

/// The kind of an error; it decides a command's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The run does not allow the request, such as a retry after it was cancelled.
    Request,
    /// The item does not exist, or an edited table is wrong.
    Invalid,
    /// The items, or started steps of the document, have changed.
    Changed,
    /// This version cannot resume from the contents of the journal.
    Journal,
    /// Steps of an adopted run would get secrets by names that somebody else has written.
    Named,
    /// Somebody else may have written a journal.
    Foreign,
    /// Another runner holds the lock.
    Locked,
    /// A file or process cannot be accessed.
    Io,
}

/// An error with its help.
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
