//! The program as a user starts it, in the repository's folder.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What the program said and how it ended.
#[derive(Debug)]
pub struct Told {
    pub out: String,
    pub err: String,
    pub exit: Option<i32>,
}

/// Runs `orderflow` with these arguments and nothing on standard input.
pub fn orderflow(args: &[&str]) -> Told {
    orderflow_reading(args, "")
}

/// Runs `orderflow` with a document on standard input, for the argument `-`.
pub fn orderflow_reading(args: &[&str], document: &str) -> Told {
    let mut child = command(Path::new(env!("CARGO_MANIFEST_DIR")))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The program may end without reading.
    let _ = child.stdin.take().unwrap().write_all(document.as_bytes());
    told(child.wait_with_output().unwrap())
}

/// `orderflow` in a folder of the test's.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderflow"));
    command.current_dir(folder);
    command.env("XDG_STATE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/state"));
    command
}

pub fn told(output: Output) -> Told {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Told { out: text(output.stdout), err: text(output.stderr), exit: output.status.code() }
}
