//! How the process ends. Scripts rely on these numbers.

use std::process::{ExitCode, Termination};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok,
    /// Items failed beyond tolerance, or an expectation was not met.
    Failed,
    Usage,
    /// Document or data are invalid; nothing was run.
    Invalid,
    /// A program in the document has no grant; nothing was run.
    NotTrusted,
    /// What an item did could not be undone.
    Standing,
    /// The items changed while the run went on, or the document that it was to be written into.
    Changed,
    /// The journal of a run cannot be read.
    Journal,
    /// Another runner has the run.
    Locked,
    /// A bug of ours.
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
    pub fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Invalid => 3,
            Exit::NotTrusted => 4,
            Exit::Standing => 5,
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

    /// An error that reached the top carries its exit, or is an I/O matter; a bug of ours is a panic.
    pub fn of(error: &anyhow::Error) -> Exit {
        error.downcast_ref::<Stop>().map_or(Exit::Io, |stop| stop.exit)
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

/// An error that decides how the process ends: what is wrong, what to do about it.
#[derive(Debug)]
pub struct Stop {
    pub exit: Exit,
    pub message: String,
    pub help: Option<String>,
}

impl Stop {
    /// Whether an error says that nothing was run.
    pub fn before_anything(error: &anyhow::Error) -> bool {
        let exits = [Exit::Usage, Exit::Invalid, Exit::NotTrusted, Exit::Changed];
        error.downcast_ref::<Stop>().is_some_and(|stop| exits.contains(&stop.exit))
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
