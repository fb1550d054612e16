//! The lock of a run's runner.

use super::error::{Error, ErrorKind};
use crate::journal::{Lock, LockError};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::path::Path;
use std::time::Duration;

/// How often to retry a lock that has outlived its holder, and the pause between tries.
const TRIES: u32 = 2000;
const PAUSE: Duration = Duration::from_millis(5);

/// Whether the process has exited.
fn is_gone(process: u32) -> bool {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    process.is_some_and(|process| test_kill_process(process) == Err(Errno::SRCH))
}

/// Acquires the run's lock unless an active runner holds it.
///
/// # Errors
/// The holder of the lock.
pub fn try_lock(home: &Path) -> Result<Lock, LockError> {
    for _ in 0..TRIES {
        match Lock::acquire(home) {
            // A program that was just being started when its runner was killed holds the lock until it executes.
            Err(LockError::By(Some(process))) if is_gone(process) => std::thread::sleep(PAUSE),
            acquired => return acquired,
        }
    }
    Lock::acquire(home)
}

/// Acquires the run's lock.
///
/// # Errors
/// Another runner holds it, or it cannot be acquired.
pub fn lock(home: &Path) -> anyhow::Result<Lock> {
    try_lock(home).map_err(|held| match held {
        LockError::By(process) => {
            let process = process.map(|process| format!(" (process {process})")).unwrap_or_default();
            let message = format!("the run in {} is active{process}", home.display());
            Error::new(ErrorKind::Locked, message)
                .help("wait until it has ended, or stop it with Ctrl-C there")
                .into()
        }
        LockError::Storage(error) => {
            anyhow::Error::new(error).context(format!("cannot lock {}", home.display()))
        }
    })
}
