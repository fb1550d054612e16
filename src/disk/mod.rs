//! The only room that opens files and folders. What a repository, a document, its settings or a run's folder
//! brings along may be hostile: a link, a pipe, a device, another user's, without an end. Knows nothing of what
//! the files mean.
//!
//! - [`Folder`]: a folder that is held open; its files are opened from there, by one name, without following links,
//!   without waiting, and only where they are regular files of an accepted owner.
//! - [`Named`]: a file that a document, its settings or the user names.
//! - [`Target`]: a file that is written whole or not at all.
//!
//! Built on `cap-std`, which keeps a path below a folder by `openat2`, or step by step where the kernel has none.

mod folder;
mod named;
mod owner;
#[cfg(test)]
mod tests;
mod whole;

pub use folder::{Folder, Kind};
pub use named::{Named, read_at_most};
pub use owner::accept_owner;
pub use whole::{Target, exchange, try_room};

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A file without a name, for what is only needed while the program lives.
///
/// # Errors
/// What the file system reports.
pub fn nameless() -> io::Result<File> {
    tempfile::tempfile()
}

/// A folder of its own that goes when it is dropped.
///
/// # Errors
/// What the file system reports.
pub fn temporary() -> io::Result<tempfile::TempDir> {
    tempfile::tempdir()
}

/// The path without links, `.` and `..`; it must be there.
///
/// # Errors
/// What the file system reports.
pub fn real(path: &Path) -> io::Result<PathBuf> {
    path.canonicalize()
}

/// A file that the kernel makes up, such as `/proc/self/status`.
///
/// # Errors
/// What the file system reports.
pub fn of_the_kernel(path: &str) -> io::Result<String> {
    debug_assert!(path.starts_with("/proc/"));
    std::fs::read_to_string(path)
}

/// All names in a folder, whoever owns it, with what lies there; links are not followed.
///
/// # Errors
/// What the file system reports, and where there are more than `most`.
pub fn entries(folder: &Path, most: usize) -> io::Result<Vec<(std::ffi::OsString, Kind)>> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    Folder::shared(folder)?.entries_up_to(most)
}

/// A folder and those above it, up to the root of its repository; alone where it is in none. A `.git` that is another
/// user's makes no repository.
pub fn up_to_repository(folder: &Path) -> Vec<PathBuf> {
    let root = folder.ancestors().position(|folder| Folder::shared(folder).is_ok_and(|it| it.owns(".git")));
    folder.ancestors().take(root.unwrap_or(0) + 1).map(Path::to_owned).collect()
}

/// Whether there is anything at a path, be it a link that leads nowhere.
pub fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Makes a file that was not there before, with the folders above it.
///
/// # Errors
/// There is something at its path, or it cannot be made.
pub fn create_new(path: &Path) -> io::Result<File> {
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
    File::options().write(true).create_new(true).open(path)
}
