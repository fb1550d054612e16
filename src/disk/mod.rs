//! The only room that opens files and folders. The contents of a repository, a document, its settings or a run's
//! folder may be hostile: a link, a pipe, a device, another user's file, or endless. Knows nothing of the meaning of
//! files.
//!
//! - [`Folder`]: an open folder; its files are opened relative to it, by one name, without following links, without blocking, and only if they are regular files of an accepted owner.
//! - [`Named`]: a file that a document, its settings or the user names.
//! - [`FileIdentity`]: which file a path leads to.
//! - [`Target`]: a file that is written completely or not at all.
//!
//! Built on `cap-std`, which restricts a path to its folder by `openat2`, or step by step if the kernel lacks it.

mod folder;
mod identity;
mod named;
mod owner;
#[cfg(test)]
mod tests;
mod whole;

pub use folder::{Folder, Kind};
pub use identity::FileIdentity;
pub use named::{Named, create_new, read_at_most};
pub use owner::accept_owner;
pub use whole::{Target, copy, exchange, try_room};

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

/// An unnamed file that vanishes with the process.
///
/// # Errors
/// An error of the file system.
pub fn nameless() -> io::Result<File> {
    tempfile::tempfile()
}

/// A temporary folder that is removed when it is dropped.
///
/// # Errors
/// An error of the file system.
pub fn temporary() -> io::Result<tempfile::TempDir> {
    tempfile::tempdir()
}

/// The path without links, `.` and `..`; it must exist.
///
/// # Errors
/// An error of the file system.
pub fn real(path: &Path) -> io::Result<PathBuf> {
    path.canonicalize()
}

/// The text of a virtual file of the kernel, such as `/proc/self/status`.
///
/// # Errors
/// An error of the file system.
pub fn of_the_kernel(path: &str) -> io::Result<String> {
    debug_assert!(path.starts_with("/proc/"));
    std::fs::read_to_string(path)
}

/// All entries of a folder of any owner, with their kinds; links are not followed.
///
/// # Errors
/// An error of the file system, or there are more than `most`.
pub fn entries(folder: &Path, most: usize) -> io::Result<Vec<(std::ffi::OsString, Kind)>> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    Folder::shared(folder)?.entries_up_to(most)
}

/// A path without `.` and without `..` behind a folder: one name for one file.
pub fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(normal.components().next_back(), Some(Component::Normal(_))) => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

/// A folder and its parents, up to the root of its repository; alone if it is not in one. A `.git` of another user is
/// ignored.
pub fn up_to_repository(folder: &Path) -> Vec<PathBuf> {
    let root = folder.ancestors().position(|folder| Folder::shared(folder).is_ok_and(|it| it.owns(".git")));
    folder.ancestors().take(root.unwrap_or(0) + 1).map(Path::to_owned).collect()
}

/// Whether a path exists, even as a broken link.
pub fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
