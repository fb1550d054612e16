//! The copy of a folder for an attempt: without what git ignores, without runs, and never through a link.

use super::STOPPED;
use crate::disk;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where runs are stored, as it is called in the folder that is copied, if it is in it. A copy is in the scratch folder
/// of a run, such as `.orderflow/runs/RUN/scratch`.
pub(super) fn store(from: &Path, to: &Path) -> Option<PathBuf> {
    let (from, scratch) = (from.canonicalize().ok()?, to.parent()?.canonicalize().ok()?);
    let above = [3, 2, 1, 0].into_iter().filter_map(|count| scratch.ancestors().nth(count));
    let mut within = above.filter_map(|folder| folder.strip_prefix(&from).ok());
    within.find(|name| !name.as_os_str().is_empty()).map(Path::to_owned)
}

/// A folder that is being copied.
pub(super) struct Copied {
    pub from: PathBuf,
    pub to: PathBuf,
    pub store: Option<PathBuf>,
    pub is_over: Arc<AtomicBool>,
}

impl Copied {
    fn leaves_out(&self, name: &Path) -> bool {
        // A prepared index may name a path outside.
        !name.components().all(|part| matches!(part, Component::Normal(_)))
            || name.iter().any(|part| part == ".git" || part == ".orderflow")
            || self.store.as_ref().is_some_and(|store| name.starts_with(store))
    }

    pub fn one(&self, name: &Path) -> io::Result<()> {
        if self.is_over.load(Ordering::Relaxed) {
            return Err(io::Error::other(STOPPED));
        }
        // A link in place of a folder leads elsewhere, on both sides: what is behind it is not a part of this one.
        if self.leaves_out(name) || leads_away(&self.from, name) || leads_away(&self.to, name) {
            return Ok(());
        }
        copy_one(&self.from.join(name), &self.to.join(name))
    }

    pub fn all(&self) -> io::Result<()> {
        let mut folders = vec![PathBuf::new()];
        while let Some(below) = folders.pop() {
            std::fs::create_dir_all(self.to.join(&below))?;
            for entry in std::fs::read_dir(self.from.join(&below))? {
                let entry = entry?;
                let name = below.join(entry.file_name());
                match entry.file_type()?.is_dir() {
                    true if self.leaves_out(&name) => {}
                    true => folders.push(name),
                    false => self.one(&name)?,
                }
            }
        }
        Ok(())
    }
}

/// Whether a folder above the file is a link.
fn leads_away(folder: &Path, name: &Path) -> bool {
    let above = name.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
    above.map(|above| folder.join(above)).any(|above| above.is_symlink())
}

/// Copies a file or a link, with the folders above it; what is neither, or has been removed, is left out.
fn copy_one(from: &Path, to: &Path) -> io::Result<()> {
    let about = match std::fs::symlink_metadata(from) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(());
        }
        about => about?,
    };
    if let (true, Some(above)) = (about.is_file() || about.is_symlink(), to.parent()) {
        std::fs::create_dir_all(above)?;
    }
    if about.is_symlink() {
        std::os::unix::fs::symlink(std::fs::read_link(from)?, to)
    } else if about.is_file() {
        // Its permissions follow when it is written.
        let copy = File::options().write(true).create(true).truncate(true).mode(0o600).open(to)?;
        let from = File::open(from)?;
        disk::copy(&from, &copy)?;
        copy.set_permissions(about.permissions())
    } else {
        Ok(())
    }
}
