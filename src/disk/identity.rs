//! Which file a path leads to: two paths may lead to the same one.

use super::{Target, real};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A regular file, whatever path leads to it.
#[derive(PartialEq, Eq)]
pub enum FileIdentity {
    /// It exists on this device, with this number.
    Inode(u64, u64),
    /// It does not exist yet.
    Path(PathBuf),
}

impl FileIdentity {
    /// `None` for folders, pipes and devices, and for paths that lead nowhere.
    pub fn of(path: &Path) -> Option<FileIdentity> {
        if let Ok(about) = fs::metadata(path) {
            return about.is_file().then(|| FileIdentity::Inode(about.dev(), about.ino()));
        }
        let Ok(Target::File(file)) = Target::of(path) else { return None };
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = real(folder.unwrap_or(Path::new("."))).ok()?;
        Some(FileIdentity::Path(folder.join(file.file_name()?)))
    }
}
