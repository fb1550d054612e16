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

/// Asserts that a process does not work while something else does, which takes a while. Returns its memory in MiB.
#[cfg(target_os = "linux")]
pub fn idle(pid: u32, meanwhile: impl FnOnce()) -> u64 {
    let used = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        let ticks = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        ticks / 100.0
    };
    let (before, begin) = (used(), std::time::Instant::now());
    meanwhile();
    let (used, time) = (used() - before, begin.elapsed().as_secs_f64());
    assert!(used < 0.1 + time / 4.0, "{used} s of CPU time in {time} s: it works while it waits");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    memory.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}
