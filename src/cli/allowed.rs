//! What the system allows this process: looked at before it is needed, because libraries panic, hang or end the process
//! where it is missing.

use super::exit::{Exit, Stop};
use rustix::process::{Resource, getrlimit};
use std::sync::mpsc;
use std::thread;

/// Files that any command has open at once.
const FILES: usize = 12;

/// Files that a run has open at once while one program runs.
const FILES_OF_A_RUN: usize = 26;

/// Address space that the threads of a run take, in MiB; more for each CPU.
const SPACE_OF_A_RUN: u64 = 768;

/// Checks what any command needs.
///
/// # Errors
/// Stops where it is not allowed.
pub fn check() -> Result<(), Stop> {
    files(FILES, "orderflow")
}

/// Checks what a run needs.
///
/// # Errors
/// Stops where it is not allowed.
pub fn check_run() -> Result<(), Stop> {
    files(FILES_OF_A_RUN, "a run")?;
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let least = SPACE_OF_A_RUN + 128 * cpus as u64;
    if let Some(space) =
        getrlimit(Resource::As).current.map(|bytes| bytes >> 20).filter(|space| *space < least)
    {
        let message =
            format!("only {space} MiB of memory are allowed (ulimit -v), too few for a run; nothing was run");
        return Err(Stop::new(Exit::Io, message).help(format!("allow {least} MiB or more")));
    }
    // Workers, and those that do what blocks.
    threads(cpus + 4)
}

/// Tries whether so many more files may be open.
fn files(least: usize, who: &str) -> Result<(), Stop> {
    let more = (0..least).map(|_| rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), 3));
    if more.collect::<Result<Vec<_>, _>>().is_ok() {
        return Ok(());
    }
    let most =
        getrlimit(Resource::Nofile).current.map(|most| format!("only {most} files")).unwrap_or_default();
    let message = format!("{most} may be open at once (ulimit -n), too few for {who}; nothing was run");
    Err(Stop::new(Exit::Io, message).help("allow more: ulimit -n 1024"))
}

/// Tries whether so many more threads may run.
fn threads(least: usize) -> Result<(), Stop> {
    let mut all = Vec::new();
    for _ in 0..least {
        let (ending, end) = mpsc::channel::<()>();
        // It ends when its channel is closed.
        let thread = thread::Builder::new().spawn(move || end.recv());
        let thread = thread.map_err(|error| {
            let message = format!("cannot start the threads of a run: {error}; nothing was run");
            Stop::new(Exit::Io, message).help("allow this user more processes: ulimit -u")
        });
        all.push((ending, thread?));
    }
    for (ending, thread) in all {
        drop(ending);
        // It does nothing that could fail.
        let _ = thread.join();
    }
    Ok(())
}
