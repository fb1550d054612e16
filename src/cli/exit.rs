//! How the process ends. Scripts rely on these numbers.

use crate::history::{self, ErrorKind, RunEnd};
use crate::journal::Unreadable;
use std::process::{ExitCode, Termination};

/// The exit codes of all commands, as their help lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok,
    /// More items failed than tolerated, or an expectation was not met.
    Failed,
    Usage,
    /// Document or data are invalid; nothing was run.
    Invalid,
    /// A program in the document has no grant; nothing was run.
    NotTrusted,
    /// A person has to act: items wait at a gate or for an event, or a compensation failed.
    NeedsPerson,
    /// The items changed during the run, or the document to which its rows are added.
    Changed,
    /// The journal of a run cannot be read.
    Journal,
    /// Another runner holds the run's lock.
    Locked,
    /// A bug of this program.
    Internal,
    /// A file could not be read or written.
    Io,
    /// The run's deadline passed.
    Deadline,
    /// Ctrl-C.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl Exit {
    pub const ALL: [Exit; 14] = [
        Exit::Ok,
        Exit::Failed,
        Exit::Usage,
        Exit::Invalid,
        Exit::NotTrusted,
        Exit::NeedsPerson,
        Exit::Changed,
        Exit::Journal,
        Exit::Locked,
        Exit::Internal,
        Exit::Io,
        Exit::Deadline,
        Exit::Interrupted,
        Exit::Terminated,
    ];

    /// Its description in help texts.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Ok => "success",
            Exit::Failed => "too many items failed, or a check or expectation was not met",
            Exit::Usage => "wrong arguments, or no such run",
            Exit::Invalid => "invalid document, settings or data; nothing was run",
            Exit::NotTrusted => "a program has no grant, or the run is not yours",
            Exit::NeedsPerson => "items wait for a person or an event, or a compensation failed",
            Exit::Changed => "the items or the document changed",
            Exit::Journal => "the journal of a run cannot be read",
            Exit::Locked => "the run is active in another process",
            Exit::Internal => "a bug in orderflow",
            Exit::Io => "a file could not be read or written",
            Exit::Deadline => "the deadline of the run passed",
            Exit::Interrupted => "interrupted by Ctrl-C",
            Exit::Terminated => "terminated by SIGTERM, or the terminal was closed",
        }
    }

    /// Whether every command can end this way.
    pub fn is_of_all_commands(self) -> bool {
        matches!(self, Exit::Ok | Exit::Usage | Exit::Internal | Exit::Io)
    }

    pub fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Invalid => 3,
            Exit::NotTrusted => 4,
            Exit::NeedsPerson => 5,
            Exit::Changed => 6,
            Exit::Journal => 7,
            Exit::Locked => 8,
            Exit::Internal => 70,
            Exit::Io => 74,
            Exit::Deadline => 124,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        }
    }

    /// The exit of an error, or that of an I/O error. Bugs are panics.
    pub fn of(error: &anyhow::Error) -> Exit {
        if let Some(stop) = error.downcast_ref::<Stop>() {
            return stop.exit;
        }
        if let Some(error) = error.downcast_ref::<history::Error>() {
            return match error.kind {
                ErrorKind::Request => Exit::Usage,
                ErrorKind::Invalid => Exit::Invalid,
                ErrorKind::Changed => Exit::Changed,
                ErrorKind::Journal | ErrorKind::Named => Exit::Journal,
                ErrorKind::Foreign => Exit::NotTrusted,
                ErrorKind::Locked => Exit::Locked,
                ErrorKind::Io => Exit::Io,
            };
        }
        if let Some(why) = error.downcast_ref::<Unreadable>() {
            return match why {
                Unreadable::Missing { .. } => Exit::Usage,
                Unreadable::Storage { .. } => Exit::Io,
                Unreadable::Version { .. } | Unreadable::Damaged { .. } => Exit::Journal,
            };
        }
        Exit::Io
    }
}

impl From<RunEnd> for Exit {
    fn from(ending: RunEnd) -> Exit {
        match ending {
            RunEnd::Ok => Exit::Ok,
            RunEnd::Failed => Exit::Failed,
            RunEnd::CompensationFailed => Exit::NeedsPerson,
            RunEnd::Deadline => Exit::Deadline,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

/// An error that determines the exit code, with its help.
#[derive(Debug)]
pub struct Stop {
    pub exit: Exit,
    pub message: String,
    pub help: Option<String>,
}

impl Stop {
    /// Whether an error shows that nothing was run.
    pub fn before_anything(error: &anyhow::Error) -> bool {
        let exits = [Exit::Usage, Exit::Invalid, Exit::NotTrusted, Exit::Changed];
        let stored = error.downcast_ref::<history::Error>();
        let decides = error.is::<Stop>() || stored.is_some();
        decides && exits.contains(&Exit::of(error))
            || stored.is_some_and(|error| error.kind == ErrorKind::Named)
    }

    /// An error's help.
    pub fn help_of(error: &anyhow::Error) -> Option<&str> {
        let stop = error.downcast_ref::<Stop>().and_then(|stop| stop.help.as_deref());
        stop.or_else(|| error.downcast_ref::<history::Error>().and_then(|error| error.help.as_deref()))
    }

    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Stop { exit, message: message.into(), help: None }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Stop {}
