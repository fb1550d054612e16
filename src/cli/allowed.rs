//! What the system allows this process: looked at before it is needed, because libraries panic, hang or end the process
//! where it is missing.

use super::exit::{Exit, Stop};
use rustix::process::{Resource, getrlimit};
use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

/// Files that any command has open at once.
const FILES: usize = 12;

/// Files that a run has open at once while one program runs.
const FILES_OF_A_RUN: usize = 26;

/// Address space that the smallest run takes, in MiB.
const SPACE_OF_A_RUN: u64 = 10;

/// Address space that a thread's stack takes, in bytes.
const STACK: u64 = 2 * MIB;

const MIB: u64 = 1 << 20;

/// Says how many heaps the allocator of glibc may have.
const ARENAS: &str = "MALLOC_ARENA_MAX";

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
    if !is_left(SPACE_OF_A_RUN * MIB) {
        return Err(no_space());
    }
    let (workers, blocking) = run_threads();
    // Besides them the journal's.
    threads(workers + blocking.min(3) + 1)
}

/// Threads of a run that do its work, and at most so many that do what blocks. All of them together may take an
/// eighth of the address space.
pub fn run_threads() -> (usize, usize) {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let most = space().map_or(usize::MAX, |bytes| usize::try_from(bytes / 8 / STACK).unwrap_or(usize::MAX));
    let workers = cpus.min(most / 2).max(1);
    (workers, most.saturating_sub(workers).clamp(2, 512))
}

/// Starts this program again with an allocator that suits a limit of address space. By itself that of glibc reserves
/// 64 MiB for each thread, and memory that is reserved for one cannot be had by another.
pub fn fit_allocator(args: &[OsString]) {
    let Some(space) = space().filter(|_| cfg!(target_env = "gnu") && env::var_os(ARENAS).is_none()) else {
        return;
    };
    let (Ok(program), Some((name, rest))) = (env::current_exe(), args.split_first()) else { return };
    let most = (space / 8 / (64 * MIB)).max(1);
    // It returns where that fails; then the run goes on as it is.
    let _ = Command::new(program).arg0(name).args(rest).env(ARENAS, most.to_string()).exec();
}

/// The address space that is allowed, in bytes; none where it has no bound.
fn space() -> Option<u64> {
    getrlimit(Resource::As).current
}

/// Tries whether so many bytes can be had; they are given back at once.
fn is_left(bytes: u64) -> bool {
    usize::try_from(bytes).is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok())
}

fn no_space() -> Stop {
    let allowed = space().map_or(0, |bytes| bytes / MIB);
    let message =
        format!("only {allowed} MiB of memory are allowed (ulimit -v), too few for a run; nothing was run");
    Stop::new(Exit::Io, message).help(format!("allow {} MiB or more", allowed + SPACE_OF_A_RUN))
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
        // It does nothing that could fail.
        let _ = thread.join();
    }
    Ok(())
}
