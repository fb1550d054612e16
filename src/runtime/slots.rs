//! Folders that attempts use one after the other. Some file systems take long to make a folder or a file where others
//! were just removed: ext4 passes over every inode that it has freed in the last five seconds. So a folder that an
//! attempt has left as it was is kept for another one, and so is the file with its inputs, which is emptied.
//!
//! Only for steps that make no files: what a process may still write there is in no answer.

use crate::disk::Folder;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The folders of a run's scratch folder.
#[derive(Debug)]
pub(super) struct Slots {
    scratch: Arc<Folder>,
    free: Mutex<Free>,
}

#[derive(Debug, Default)]
struct Free {
    /// Those that no attempt has: each with whether its folder exists.
    slots: Vec<(u32, bool)>,
    /// How many there are, with those that attempts have.
    all: u32,
}

/// The place of one attempt. If it is dropped, it is not used again.
#[derive(Debug)]
pub(super) struct Slot {
    of: Arc<Slots>,
    number: u32,
    exists: bool,
}

impl Slots {
    pub fn new(scratch: Arc<Folder>) -> Slots {
        Slots { scratch, free: Mutex::default() }
    }

    pub fn take(self: &Arc<Self>) -> Slot {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let (number, exists) = free.slots.pop().unwrap_or_else(|| {
            free.all += 1;
            (free.all, false)
        });
        Slot { of: self.clone(), number, exists }
    }
}

impl Slot {
    /// The name of its folder.
    pub fn name(&self) -> String {
        format!("slot-{}.files", self.number)
    }

    /// The file with the inputs.
    pub fn input(&self) -> PathBuf {
        self.of.scratch.path().join(format!("slot-{}.in.json", self.number))
    }

    /// Creates the folder, unless it exists.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn open(&self) -> io::Result<()> {
        if self.exists { Ok(()) } else { self.of.scratch.add(self.name()) }
    }

    /// Whether the folder can be used again: it is as it was made. Outside of Linux, processes may be left that write
    /// into it.
    pub fn is_as_made(&self) -> bool {
        cfg!(target_os = "linux") && self.of.scratch.is_as_made(self.name())
    }

    /// Leaves it to another attempt.
    pub fn leave(self, exists: bool) {
        let mut free = self.of.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.slots.push((self.number, exists));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    #[cfg(target_os = "linux")]
    fn only_a_folder_that_is_as_it_was_made_is_used_again() {
        let root = tempfile::tempdir().unwrap();
        let slots = Arc::new(Slots::new(Arc::new(Folder::open(root.path()).unwrap())));
        let slot = slots.take();
        slot.open().unwrap();
        let folder = root.path().join(slot.name());
        assert_ne!(slots.take().name(), slot.name(), "two attempts at the same time have one each");
        assert!(slot.is_as_made());
        fs::write(folder.join("note"), "").unwrap();
        assert!(!slot.is_as_made(), "it has a file");
        fs::remove_file(folder.join("note")).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(!slot.is_as_made(), "others may read it");
        fs::remove_dir(&folder).unwrap();
        assert!(!slot.is_as_made(), "it is gone");
        std::os::unix::fs::symlink("/", &folder).unwrap();
        assert!(!slot.is_as_made(), "it is a link");
        fs::remove_file(&folder).unwrap();
        let name = slot.name();
        slot.leave(false);
        let again = slots.take();
        assert_eq!(again.name(), name);
        again.open().unwrap();
        assert!(again.is_as_made());
        again.leave(true);
        slots.take().open().unwrap();
    }
}
