//! A process that was started: its pipes, and how it ended.

use rustix::process::Pid;
use std::io;
use std::process::{ExitStatus, Stdio};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};

/// A running process, killed when this is dropped.
#[derive(Debug)]
pub struct Child {
    pub stdin: Option<ChildStdin>,
    pub stdout: Option<ChildStdout>,
    pub stderr: Option<ChildStderr>,
    end: End,
}

#[derive(Debug)]
enum End {
    Watched(Box<tokio::process::Child>),
    #[cfg(target_os = "linux")]
    Held(super::apart::Held),
}

impl Child {
    /// Starts a command with three pipes, apart from all others: in a process group of its own and without a terminal.
    /// Reading from the terminal as a background group would stop a program forever, so where this process has one,
    /// the program gets a session of its own, in which `/dev/tty` cannot be opened.
    ///
    /// # Errors
    /// Those of the system.
    pub fn apart(command: &mut Command) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        if super::apart::is_at_terminal()
            && let Some(started) = super::apart::start(command.as_std())
        {
            let (end, [stdin, stdout, stderr]) = started?;
            return Ok(Child {
                stdin: Some(ChildStdin::from_std(stdin.into())?),
                stdout: Some(ChildStdout::from_std(stdout.into())?),
                stderr: Some(ChildStderr::from_std(stderr.into())?),
                end: End::Held(end),
            });
        }
        super::apart::detach(command)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        Ok(Child {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            end: End::Watched(Box::new(child)),
        })
    }

    /// Its number; `None` once it is known to have ended.
    pub fn id(&self) -> Option<Pid> {
        match &self.end {
            End::Watched(child) => super::system::pid(i32::try_from(child.id()?).ok()?),
            #[cfg(target_os = "linux")]
            End::Held(held) => held.id(),
        }
    }

    /// Waits for its end, after closing its input if that is still here.
    ///
    /// # Errors
    /// Those of the system.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        match &mut self.end {
            End::Watched(child) => child.wait().await,
            #[cfg(target_os = "linux")]
            End::Held(held) => held.wait().await,
        }
    }
}
