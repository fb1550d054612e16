//! Starts, stops and reads the programs of agents. Knows nothing of the contents that are exchanged.

use super::child::Child;
use super::spawned::{ProcessIdentity, new_mark};
use super::tree::Tree;
use super::{adopted, contract, system};
use crate::event::{Cause, Failure, Outcome};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::runtime::{Handle, RuntimeFlavor};

/// The default time between the request to stop and the kill.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long a pipe may stay open after the program itself has ended, before other holders are killed.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// How long a program's file may be busy while it is being written.
const BUSY: Duration = Duration::from_secs(2);

/// How much of the end of a log is stored, in bytes.
pub(super) const LOG: usize = 8 * 1024;

/// The longest last line of a log in a message, in characters.
const LONGEST_REASON: usize = 200;

const ETXTBSY: i32 = rustix::io::Errno::TXTBSY.raw_os_error();

/// A program in a clean environment.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program and its arguments; never empty.
    pub command: Vec<String>,
    /// The working directory.
    pub folder: PathBuf,
    /// Its whole environment, except variables that each call adds.
    pub env: Vec<(String, OsString)>,
}

/// A program that is running, or has ended.
#[derive(Debug)]
pub(super) struct Started {
    pub child: Child,
    /// The program with its descendants.
    pub tree: Tree,
    /// `None` if the system does not provide it.
    pub process: Option<ProcessIdentity>,
}

impl Program {
    /// Starts it for a run with all three pipes, in a process group of its own and without a terminal. `prepare` adds
    /// what only this start needs.
    ///
    /// # Errors
    /// Those of the system; a busy file only if it stays busy for longer than a moment.
    pub(super) async fn start(&self, run: &str, prepare: impl FnOnce(&mut Command)) -> io::Result<Started> {
        let (program, arguments) = self.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.folder);
        command.env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        prepare(&mut command);
        let mark = new_mark(run);
        command.env(system::MARK, &*mark);
        let mut waited = Duration::ZERO;
        loop {
            match aside(|| adopted::start(|| Child::apart(&mut command))) {
                Err(error) if error.raw_os_error() == Some(ETXTBSY) && waited < BUSY => {
                    let pause = Duration::from_millis(20);
                    tokio::time::sleep(pause).await;
                    waited += pause;
                }
                started => {
                    let (child, leader, entry) = started?;
                    let process = ProcessIdentity::of(leader);
                    let started = process.as_ref().map(|process| process.started);
                    let tree = Tree::new(leader, started, mark, entry);
                    return Ok(Started { child, tree, process });
                }
            }
        }
    }

    pub(super) fn not_started(&self, error: &io::Error) -> Box<Failure> {
        let program = self.command.first().map_or("", String::as_str);
        let path = self.env.iter().find(|(name, _)| name == "PATH");
        let path = path.map(|(_, value)| value.to_string_lossy()).unwrap_or_default();
        let missing = error.kind() == io::ErrorKind::NotFound;
        let message = match missing {
            true if !self.folder.is_dir() => {
                format!("cannot start {program}: its folder {} does not exist", self.folder.display())
            }
            true if program.contains('/') => {
                format!("cannot start {program}: no such file in {}", self.folder.display())
            }
            true => format!("cannot start {program}: not found in PATH ({path})"),
            false => format!("cannot start {program}: {error}"),
        };
        contract::failure(Cause::Start, message, Outcome::NotExecuted, !missing)
    }
}

/// Runs blocking work without delaying the tasks of this thread: starting a program is slow on a busy machine, as it
/// is with many jobs.
pub(super) fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// How a process ended, such as `exited with 1`.
pub(super) fn ended(status: io::Result<ExitStatus>) -> (Cause, String) {
    match status.map(|status| (status.code(), status.signal().unwrap_or(0))) {
        Ok((Some(code), _)) => (Cause::Exit(code), format!("exited with {code}")),
        Ok((None, number)) => (Cause::Signal(number), format!("ended by signal {number}")),
        Err(error) => (Cause::Protocol, format!("cannot be waited for: {error}")),
    }
}

/// The last line of a log as the end of a message: `: out of paper`; empty without one.
pub(super) fn last_word(log: &str) -> String {
    let last = telling(log);
    let short = |line: &str| line.trim().chars().take(LONGEST_REASON).collect::<String>();
    last.map(|line| format!(": {}", short(line))).unwrap_or_default()
}

/// The most informative line of a log about a failure: the last one, except lines that interpreters add, such as the
/// stack and the version.
fn telling(log: &str) -> Option<&str> {
    let noise = |line: &str| {
        line.trim().is_empty()
            || line.starts_with("Node.js v")
            || line.starts_with("note: run with `RUST_BACKTRACE")
    };
    let frame = |line: &str| {
        let bare = line.trim_start();
        bare.len() < line.len() && (bare.starts_with("at ") || bare.starts_with("from "))
    };
    let lines: Vec<&str> = log.lines().filter(|line| !noise(line)).collect();
    let last = *lines.last()?;
    let Some(lowest) = lines.iter().rposition(|line| frame(line)) else { return Some(last) };
    // Below its stack, node shows an error's members in braces.
    if lowest + 1 < lines.len() && !lines[lowest].ends_with('{') {
        return Some(last);
    }
    lines[..lowest].iter().rev().find(|line| !frame(line)).copied().or(Some(last))
}

/// Reads a stream to its end. A read error counts as its end. `take` may discard excess data: it may turn out to be
/// log, and an endless program ends by its timeout.
pub(super) async fn hear(stream: Option<impl AsyncRead + Unpin>, mut take: impl FnMut(&[u8])) {
    let Some(mut stream) = stream else { return };
    let mut chunk = [0; 8192];
    while let Ok(read @ 1..) = stream.read(&mut chunk).await {
        take(&chunk[..read]);
    }
}

/// The start of a stream of bytes.
pub(super) struct Start {
    pub bytes: Vec<u8>,
    most: usize,
}

impl Start {
    pub fn new(most: usize) -> Self {
        Start { bytes: Vec::new(), most }
    }

    pub fn take(&mut self, chunk: &[u8]) {
        let room = self.most.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&chunk[..room.min(chunk.len())]);
    }
}

/// The end of a stream of bytes, at least the requested length if available.
#[derive(Debug)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    most: usize,
    /// The number of all bytes.
    total: u64,
}

impl Tail {
    pub fn new(most: usize) -> Self {
        Tail { bytes: Vec::new(), most, total: 0 }
    }

    pub fn take(&mut self, chunk: &[u8]) {
        self.total += chunk.len() as u64;
        self.bytes.extend_from_slice(&chunk[chunk.len().saturating_sub(2 * self.most)..]);
        if self.bytes.len() > 2 * self.most {
            let surplus = self.bytes.len() - self.most;
            self.bytes.drain(..surplus);
        }
    }

    /// How many bytes have come so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The text after the first `from` bytes, as far as it is stored.
    pub fn since(&self, from: u64) -> String {
        let wanted = usize::try_from(self.total - from).unwrap_or(usize::MAX);
        let start = self.bytes.len().saturating_sub(wanted);
        String::from_utf8_lossy(&self.bytes[start..]).into_owned()
    }

    pub fn text(&self) -> String {
        self.since(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_is_what_was_wrong_and_not_where() {
        let node = "/tmp/x.js:3\n  throw new Error('out of paper')\n  ^\n\nError: out of paper\n    at print (/tmp/x.js:3:9)\n    \
                    at node:internal/main:28:49";
        let python = "Traceback (most recent call last):\n  File \"x.py\", line 3, in <module>\n    print(paper)\nValueError: out of paper\n";
        let ruby = "x.rb:1:in `print': out of paper (RuntimeError)\n\tfrom x.rb:4:in `<main>'\n";
        let rust = "thread 'main' panicked at src/main.rs:2:5:\nout of paper\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        for (log, word) in [
            (format!("{node}\n\nNode.js v20.11.0\n"), ": Error: out of paper"),
            (format!("{node} {{\n  code: 'PAPER'\n}}\n\nNode.js v20.11.0\n"), ": Error: out of paper"),
            (format!("{node}\n\nNode.js v20.11.0\nprinter: off\n"), ": printer: off"),
            (python.to_owned(), ": ValueError: out of paper"),
            (ruby.to_owned(), ": x.rb:1:in `print': out of paper (RuntimeError)"),
            (rust.to_owned(), ": out of paper"),
            ("sh: 1: printt: not found\n\n".to_owned(), ": sh: 1: printt: not found"),
            ("    at the printer\n".to_owned(), ":     at the printer".trim_end()),
            (String::new(), ""),
        ] {
            assert_eq!(last_word(&log), word.replace(":     at", ": at"));
        }
    }
}
