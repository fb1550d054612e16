//! The trace in a run's own folder, which no other run overwrites. Knows nothing of its contents.

use crate::diag::render::visible;
use crate::disk::{Folder, Target};
use std::io;
use std::path::{Path, PathBuf};

/// The file in a run's folder.
const FILE: &str = "session.toon";

/// The place of a run's own trace.
pub fn target(home: &Path) -> Target {
    Target::Within(home.to_owned(), FILE)
}

pub fn path(home: &Path) -> PathBuf {
    home.join(FILE)
}

/// Its name in messages: its path from here.
pub fn name(home: &Path) -> String {
    let path = path(home);
    let here = std::env::current_dir().unwrap_or_default();
    visible(&path.strip_prefix(here).unwrap_or(&path).display().to_string())
}

/// Opens it; links are not followed.
///
/// # Errors
/// As for [`Folder::open_file`].
pub fn open(home: &Path) -> io::Result<std::fs::File> {
    Folder::open(home)?.open_file(FILE)
}

/// Copies it to another place.
///
/// # Errors
/// An error of the file system.
pub fn copy(home: &Path, to: &Target) -> io::Result<()> {
    let mut from = open(home)?;
    to.write(|out| io::copy(&mut from, out).map(drop))
}
