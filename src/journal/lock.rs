//! One runner per run: a lock that the kernel holds on a file in the run's folder and releases when the process ends,
//! for whatever reason. Knows nothing of journals.

use crate::disk::Folder;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The lock's file. It remains after the run; only the kernel's lock shows that a run is active.
pub(super) const FILE: &str = "lock";

/// Held until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    /// The folder itself, if the file system can lock one: the file could be replaced under its name.
    folder: Option<File>,
    file: File,
}

/// Unlocks explicitly: a child that this process is just starting shares the open file until it executes its program,
/// so closing the file is not enough.
impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.file.unlock();
        let _ = self.folder.as_ref().map(File::unlock);
    }
}

/// Why the lock was not acquired.
#[derive(Debug)]
pub enum LockError {
    /// Another runner holds it, with its process id if known: not yet while it is acquiring the lock.
    By(Option<u32>),
    /// An error of the storage.
    Storage(io::Error),
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        LockError::Storage(error)
    }
}

impl Lock {
    /// Acquires the lock of the run in `folder`, which must exist, without waiting for another runner.
    ///
    /// # Errors
    /// Another runner holds it, or the file cannot be created or locked.
    pub fn acquire(folder: &Path) -> Result<Lock, LockError> {
        loop {
            let held = Folder::open(folder)?;
            let mut file = held.open_or_create(FILE)?;
            let whole = match held.handle().and_then(|handle| Ok((exclusively(&handle)?, handle))) {
                // Until the file is locked, it may name the previous holder.
                Ok((false, _)) if !is_locked(&file)? => return Err(LockError::By(None)),
                Ok((false, _)) => return Err(LockError::By(holder(&mut file))),
                Ok((true, handle)) => {
                    sign(&mut file);
                    Some(handle)
                }
                // Some network file systems cannot lock folders.
                Err(_) => None,
            };
            if !exclusively(&file)? {
                return Err(LockError::By(holder(&mut file)));
            }
            if whole.is_none() {
                sign(&mut file);
            }
            let lock = Lock { folder: whole, file };
            // The previous holder may have removed the folder: then this lock is on a file without a name.
            if same(&held, &lock.file, folder)? {
                return Ok(lock);
            }
        }
    }

    /// Whether a runner holds the lock of the run in `folder`.
    ///
    /// # Errors
    /// The file cannot be opened or queried.
    pub fn is_held(folder: &Path) -> io::Result<bool> {
        let folder = match Folder::open(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            folder => folder?,
        };
        // If a folder cannot be locked, only the file shows it.
        if folder.handle().and_then(|handle| is_locked(&handle)).unwrap_or(false) {
            return Ok(true);
        }
        match folder.open_file(FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            file => is_locked(&file?),
        }
    }
}

/// The process that holds the lock of the run in `folder`, or held it last; `None` if that is not known.
pub fn last_holder(folder: &Path) -> Option<u32> {
    holder(&mut Folder::open(folder).ok()?.open_file(FILE).ok()?)
}

fn is_locked(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Acquires the lock unless a runner holds it. A query of the lock holds it shared for a moment, which must not fail
/// this call: if a shared lock succeeds, no runner holds it.
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

/// Whether the folder is still the one at its path, and the file the one in it.
fn same(held: &Folder, file: &File, path: &Path) -> io::Result<bool> {
    let there = match Folder::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        there => there?,
    };
    let about = file.metadata()?;
    Ok(there.identity()? == held.identity()? && there.check(FILE, true)? == Some((about.dev(), about.ino())))
}

/// Writes the process id into the file, for messages. The lock does not need it, so a full disk is ignored.
fn sign(file: &mut File) {
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
