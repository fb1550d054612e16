//! A folder with a document in it, and `orderflow run` on that document.

use crate::program::{Told, command, told};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Place {
    folder: TempDir,
}

impl Place {
    /// A folder whose only file is `flow.md`.
    pub fn new(document: &str) -> Place {
        let place = Place { folder: TempDir::new().unwrap() };
        place.write("flow.md", document);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, with the folders that it lies in.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Everything in the folder, sorted, but for the state folder, which is the user's and lies here for the test.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != ".state");
        names.sort();
        names
    }

    /// `orderflow` with these arguments, parted by spaces.
    pub fn command(&self, args: &str) -> Command {
        let mut command = command(self.folder.path());
        command.args(args.split(' ').filter(|arg| !arg.is_empty())).stdin(Stdio::null());
        command.env("XDG_STATE_HOME", self.path(".state"));
        command
    }

    /// `orderflow` with these arguments at a terminal where somebody types this; all it says, and its exit.
    pub fn at_terminal(&self, args: &str, typed: &str) -> (String, Option<i32>) {
        let program = format!("{} {args}", env!("CARGO_BIN_EXE_orderflow"));
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &program, "/dev/null"]).current_dir(self.folder());
        terminal.env("XDG_STATE_HOME", self.path(".state")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = terminal.spawn().unwrap();
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (mut said, mut typed, mut chunk) = (Vec::new(), Some(typed), [0; 4096]);
        loop {
            let read = std::io::Read::read(&mut stdout, &mut chunk).unwrap();
            said.extend_from_slice(&chunk[..read]);
            // An answer that comes before its question counts as none.
            if String::from_utf8_lossy(&said).contains("[N]o ")
                && let Some(typed) = typed.take()
            {
                std::io::Write::write_all(&mut stdin, typed.as_bytes()).unwrap();
            }
            if read == 0 {
                break;
            }
        }
        let status = child.wait().unwrap();
        (String::from_utf8(said).unwrap(), status.code())
    }

    /// The same where this was typed before the program starts, and nothing afterwards.
    pub fn typed_ahead(&self, args: &str, typed: &str) -> (String, Option<i32>) {
        let script = format!(
            "until test -e typed-in; do sleep 0.01; done; {} {args}; echo \"exit $?\"",
            env!("CARGO_BIN_EXE_orderflow")
        );
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &script, "/dev/null"]).current_dir(self.folder());
        terminal.env("XDG_STATE_HOME", self.path(".state")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = terminal.spawn().unwrap();
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        std::io::Write::write_all(&mut stdin, typed.as_bytes()).unwrap();
        // The terminal echoes what has reached it.
        let (mut said, mut chunk) = (Vec::new(), [0; 4096]);
        while String::from_utf8_lossy(&said).matches('y').count() < typed.matches('y').count() {
            let read = std::io::Read::read(&mut stdout, &mut chunk).unwrap();
            assert!(read > 0, "the terminal has gone");
            said.extend_from_slice(&chunk[..read]);
        }
        self.write("typed-in", "");
        // The question waits for an answer; the end of what is typed is one.
        drop(stdin);
        std::io::Read::read_to_end(&mut stdout, &mut said).unwrap();
        child.wait().unwrap();
        let said = String::from_utf8(said).unwrap();
        let exit = said.lines().rev().find_map(|line| line.strip_prefix("exit ")?.trim().parse().ok());
        (said, exit)
    }

    pub fn orderflow(&self, args: &str) -> Told {
        told(self.command(args).output().unwrap())
    }

    /// `orderflow run flow.md --trust` with further arguments.
    pub fn run(&self, args: &str) -> Told {
        self.orderflow(&format!("run flow.md --trust {args}"))
    }

    /// The same, under way.
    pub fn begin(&self, args: &str) -> Child {
        let mut command = self.command(&format!("run flow.md --trust {args}"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The rows of a session file: phase, item, attempt, status and error.
    pub fn rows(&self, session: &str) -> Vec<String> {
        let text = self.read(session);
        let mut rows = Vec::new();
        let read = orderflow::session::read_session(text.as_bytes(), |_, row| {
            let row = row.to_row();
            let error = row.error.as_deref().map(|error| format!(" ({error})")).unwrap_or_default();
            let (item, attempt) = (row.item.as_deref().unwrap_or("-"), row.attempt.unwrap_or(0));
            rows.push(format!("{} {item} #{attempt} {}{error}", row.phase, row.status.name()));
        });
        assert!(read.unwrap().problems.is_empty(), "{text}");
        rows
    }

    /// Waits until a file is there.
    pub fn await_file(&self, name: &str) {
        self.until(name, || self.path(name).exists());
    }

    /// Waits for what must come to be true soon.
    pub fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !holds() {
            assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Asserts all that a command said; `[..]` stands for any text within a line.
#[track_caller]
pub fn says(told: &Told, exit: i32, out: &str, err: &str) {
    assert_eq!(told.exit, Some(exit), "{}{}", told.out, told.err);
    snapbox::Assert::new().eq(&*told.out, out);
    snapbox::Assert::new().eq(&*told.err, err);
}
