//! The run's folder: a folder for each item's own files, and one for what travels beside the pipes.

use super::folder_name;
use crate::event::ItemId;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// `.orderflow/runs/<run>/`, made when the run begins. What is empty at the end is taken away.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Makes the run's folder below `base`, the folder that holds `.orderflow`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(base: &Path, run_id: &str) -> io::Result<Self> {
        let home = base.join(".orderflow");
        let root = home.join("runs").join(run_id);
        std::fs::create_dir_all(home.join("runs"))?;
        private(&root)?;
        std::fs::create_dir_all(root.join("items"))?;
        private(&root.join("scratch"))?;
        let ignore = home.join(".gitignore");
        if !ignore.exists() {
            std::fs::write(ignore, "*\n")?;
        }
        Ok(Workspace { root: std::path::absolute(root)? })
    }

    /// The run's folder, there already.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub fn open(root: &Path) -> io::Result<Self> {
        let root = std::path::absolute(root)?;
        std::fs::create_dir_all(root.join("items"))?;
        private(&root.join("scratch"))?;
        Ok(Workspace { root })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of one item; made by the first attempt that needs it.
    pub(super) fn item(&self, item: ItemId, key: &str) -> PathBuf {
        self.root.join("items").join(folder_name(item, key))
    }

    pub(super) fn scratch(&self) -> PathBuf {
        self.root.join("scratch")
    }

    /// Where a program from the document is kept while the run lasts.
    pub fn program(&self, name: &str) -> PathBuf {
        self.root.join("scratch").join(name)
    }

    /// Takes away the item's folder if nothing was left in it.
    pub(super) fn settle(&self, item: ItemId, key: &str) {
        let _ = std::fs::remove_dir(self.item(item, key));
    }
}

/// Makes a folder that nobody else may look into: what agents take and make lies there.
fn private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

impl Drop for Workspace {
    /// Leaves what agents have left, takes away the rest.
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.scratch());
        let _ = std::fs::remove_dir(self.root.join("items"));
        for folder in self.root.ancestors().take(3) {
            if std::fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
}
