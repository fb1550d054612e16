//! `-` as a file name: standard input for reading, standard output for writing.

use crate::disk::{Named, Target};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Whether a path that the user has given is `-`.
pub fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// Opens a path from the user for reading.
///
/// # Errors
/// As for [`Named::open`].
pub fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    match is_standard(path) {
        true => Ok(Box::new(io::stdin().lock())),
        false => Ok(Box::new(Named::by_user(path).open()?)),
    }
}

/// The target of a path from the user.
///
/// # Errors
/// As for [`Target::of`].
pub fn target(path: &Path) -> io::Result<Target> {
    match is_standard(path) {
        true => Ok(Target::Open(File::from(io::stdout().as_fd().try_clone_to_owned()?))),
        false => Target::of(path),
    }
}

/// Reads the name of a folder; `-` is rejected.
///
/// # Errors
/// How to write a folder of that name.
pub fn folder(text: &str) -> Result<PathBuf, String> {
    match text {
        "-" => Err("a folder is needed here; write ./- for one of this name".into()),
        text => Ok(text.into()),
    }
}
