//! One runner for a run: a lock that the kernel holds on a file in the run's folder and lets go of when the
//! process ends, however it ends. Knows nothing of journals.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The lock's file. It stays when the run is over; only the kernel's lock says that a run lives.
const FILE: &str = "lock";

/// Held until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Let go of by name: a child that this process is just starting has the file open too until it has become its
/// program, so closing the file is not enough.
impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// Why there is no lock.
#[derive(Debug)]
pub enum Held {
    /// Another runner has it; with its process, where it said so.
    By(Option<u32>),
    /// The storage's trouble.
    Storage(io::Error),
}

impl From<io::Error> for Held {
    fn from(error: io::Error) -> Self {
        Held::Storage(error)
    }
}

impl Lock {
    /// Takes the lock of the run in `folder`, which must be there, without waiting for another runner.
    ///
    /// # Errors
    /// Another runner has it, or the file cannot be made or locked.
    pub fn acquire(folder: &Path) -> Result<Lock, Held> {
        let path = folder.join(FILE);
        loop {
            let mut file =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            if !exclusively(&file)? {
                return Err(Held::By(holder(&mut file)));
            }
            let mut lock = Lock { file };
            // Whoever held it before us may have removed the folder: then we hold what nobody sees.
            if same(&lock.file, &path)? {
                sign(&mut lock.file);
                return Ok(lock);
            }
        }
    }

    /// Whether a runner holds the lock of the run in `folder`.
    ///
    /// # Errors
    /// The file cannot be opened or asked.
    pub fn is_held(folder: &Path) -> io::Result<bool> {
        let file = match File::open(folder.join(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => file.unlock().map(|()| false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Takes the lock unless a runner has it. Whoever only asks for it holds a shared lock for a moment, which is no
/// reason to give up: where a shared lock can be had, no runner has it.
fn exclusively(file: &File) -> io::Result<bool> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        match file.try_lock_shared() {
            Ok(()) => file.unlock()?,
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => return Ok(false),
        }
        std::thread::yield_now();
    }
}

fn same(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((held.dev(), held.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Says who holds it, for people. Not needed for the lock, so a full disk does not matter.
fn sign(file: &mut File) {
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
