//! The limits of this process, checked in advance, because libraries panic, hang or end the process when they exceed
//! them.

use super::exit::{Exit, Stop};
use rustix::process::{Resource, getrlimit};
use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

/// The files that every command has open at once.
const FILES: usize = 12;

/// The files that a run has open at once while one program runs.
const FILES_OF_A_RUN: usize = 26;

/// The most open files from which a run has two runtimes.
const FILES_OF_TWO: u64 = 64;

/// The address space of the smallest run, in MiB.
const SPACE_OF_A_RUN: u64 = 16;

/// The address space of a thread's stack, in bytes.
const STACK: u64 = 2 * MIB;

const MIB: u64 = 1 << 20;

/// The variable with the number of heaps that glibc's allocator may have.
const ARENAS: &str = "MALLOC_ARENA_MAX";

/// Checks the limits for any command.
///
/// # Errors
/// Stops if a limit is too low.
pub fn check() -> Result<(), Stop> {
    files(FILES, "orderflow")
}

/// Checks the limits for a run.
///
/// # Errors
/// Stops if a limit is too low.
pub fn check_run() -> Result<(), Stop> {
    files(FILES_OF_A_RUN, "a run")?;
    if !is_left(SPACE_OF_A_RUN * MIB) {
        return Err(no_space());
    }
    let (workers, blocking) = run_threads();
    // The others are the journal's.
    threads(workers + blocking.min(3) + 1)
}

/// The numbers of worker threads and of blocking threads of a run. All together may take an eighth of the address
/// space.
pub fn run_threads() -> (usize, usize) {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let most = space().map_or(usize::MAX, |bytes| usize::try_from(bytes / 8 / STACK).unwrap_or(usize::MAX));
    let workers = cpus.min(most / 2).max(1);
    (workers, most.saturating_sub(workers).clamp(2, 512))
}

/// Whether a run may have a second runtime, which keeps some files open.
pub fn second_runtime() -> bool {
    getrlimit(Resource::Nofile).current.is_none_or(|files| files >= FILES_OF_TWO)
}

/// How many connections a server may have, at most `most`: a part of the files that the process may open.
pub fn connections(most: usize) -> usize {
    let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    most.min(files.unwrap_or(most) / 4 * 3).max(8)
}

/// Restarts this program with an allocator that suits a limit of the address space. By default glibc reserves 64 MiB
/// for each thread, and memory reserved for one is not available to another.
pub fn fit_allocator(args: &[OsString]) {
    let Some(space) = space().filter(|_| cfg!(target_env = "gnu") && env::var_os(ARENAS).is_none()) else {
        return;
    };
    let (Ok(program), Some((name, rest))) = (env::current_exe(), args.split_first()) else { return };
    let most = (space / 8 / (64 * MIB)).max(1);
    // It returns only on failure; then the run continues as it is.
    let _ = Command::new(program).arg0(name).args(rest).env(ARENAS, most.to_string()).exec();
}

/// The limit of the address space in bytes; `None` if unlimited.
fn space() -> Option<u64> {
    getrlimit(Resource::As).current
}

/// Whether this many bytes can be allocated; they are freed at once.
fn is_left(bytes: u64) -> bool {
    usize::try_from(bytes).is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok())
}

fn no_space() -> Stop {
    let allowed = space().map_or(0, |bytes| bytes / MIB);
    let message =
        format!("only {allowed} MiB of memory are allowed (ulimit -v), too few for a run; nothing was run");
    Stop::new(Exit::Io, message).help(format!("allow {} MiB or more", allowed + SPACE_OF_A_RUN))
}

/// Whether this many more files can be open.
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

/// Whether this many more threads can run.
fn threads(least: usize) -> Result<(), Stop> {
    let mut all = Vec::new();
    for _ in 0..least {
        let (ending, end) = mpsc::channel::<()>();
        // Ends when its channel is closed.
        let thread = thread::Builder::new().spawn(move || end.recv());
        let thread = thread.map_err(|error| {
            if !is_left(STACK) {
                return no_space();
            }
            let message = format!("cannot start the threads of a run: {error}; nothing was run");
            Stop::new(Exit::Io, message).help("allow this user more processes: ulimit -u")
        });
        all.push((ending, thread?));
    }
    for (ending, thread) in all {
        drop(ending);
        // The thread cannot fail.
        let _ = thread.join();
    }
    Ok(())
}
