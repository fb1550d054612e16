//! The run's folder: a folder for each item's own files, and a scratch folder for data that is passed to agents in
//! files.

use super::files::{Finder, ITEMS, Room};
use super::names::{folder_name, safe, short, short_attempt};
use super::slots::Slots;
use super::{Inbox, InboxKey};
use crate::adapter::Declared;
use crate::disk::Folder;
use crate::event::ItemId;
use crate::journal;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The prefix of the name of the scratch folder.
const SCRATCH: &str = "scratch";

/// The folder in a run's folder with the runs of documents that its steps run.
const CHILDREN: &str = "children";

/// A run of a document that a step has run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NestedRun {
    pub element: Option<u32>,
    pub attempt: u32,
    pub home: PathBuf,
}

/// The runs that a step of an item has begun within the run in `home`, in the order of its elements and attempts. `item`
/// is the name of the item's folder.
pub fn nested_runs(home: &Path, item: &str, phase: &str) -> Vec<NestedRun> {
    let children = Folder::open(home).and_then(|home| home.folder(CHILDREN));
    let folder = children.and_then(|all| all.folder(short(item)));
    let Ok(folder) = folder else { return Vec::new() };
    let prefix = format!("{}.", short(&safe(phase)));
    let numbers = |name: &str| -> Option<(Option<u32>, u32)> {
        let rest = name.strip_prefix(&prefix)?;
        match rest.split_once('.') {
            Some((element, attempt)) => Some((Some(element.parse().ok()?), attempt.parse().ok()?)),
            None => Some((None, rest.parse().ok()?)),
        }
    };
    let entries = folder.entries().unwrap_or_default().into_iter();
    let mut all: Vec<NestedRun> = entries
        .filter_map(|(name, _)| name.into_string().ok())
        .filter_map(|name| {
            let (element, attempt) = numbers(&name)?;
            Some(NestedRun { element, attempt, home: folder.path().join(name) })
        })
        .collect();
    all.sort_unstable_by_key(|run| (run.element, run.attempt));
    all
}

/// The run of a document in which an attempt of a step is or was: its own, or that of an earlier attempt that it continues.
pub fn nested_run(
    home: &Path,
    item: &str,
    phase: &str,
    element: Option<u32>,
    attempt: u32,
) -> Option<NestedRun> {
    let own = |run: &NestedRun| run.element == element && run.attempt <= attempt;
    let runs = nested_runs(home, item, phase).into_iter().filter(own);
    runs.rev().find(|run| journal::is_there(&run.home))
}

/// The names of the folders of the items for which the run in `home` has run documents.
pub fn nested_items(home: &Path) -> Vec<String> {
    let children = Folder::open(home).and_then(|home| home.folder(CHILDREN));
    let entries = children.and_then(|all| all.entries()).unwrap_or_default().into_iter();
    let mut all: Vec<String> = entries.filter_map(|(name, _)| name.into_string().ok()).collect();
    all.sort_unstable();
    all
}

/// The name of the folder of an item for which documents were run.
pub fn nested_item(item: ItemId, key: &str) -> String {
    short(&folder_name(item, key))
}

/// The folders of all runs of documents of an item of the run in `home`.
pub fn nested_homes(home: &Path, item: &str) -> Vec<PathBuf> {
    let children = Folder::open(home).and_then(|home| home.folder(CHILDREN));
    let Ok(folder) = children.and_then(|all| all.folder(short(item))) else { return Vec::new() };
    let entries = folder.entries().unwrap_or_default().into_iter();
    entries.map(|(name, _)| folder.path().join(name)).collect()
}

/// The folder of the run that an attempt of a step has begun within the run in `home`. `item` and `attempt` are the names
/// of the item's folder and of the attempt.
pub fn nested_home(home: &Path, (item, attempt): (&str, &str)) -> PathBuf {
    home.join(CHILDREN).join(short(item)).join(short_attempt(attempt))
}

/// The folder of the outermost run around the run in `home`.
pub(super) fn outermost_home(home: &Path) -> &Path {
    let mut above = home.ancestors().skip(2);
    match (above.next().and_then(Path::file_name), above.next()) {
        (Some(name), Some(outer)) if name == CHILDREN => outermost_home(outer),
        _ => home,
    }
}

/// Where runs are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunsFolder {
    /// In `.orderflow` in this folder.
    Beside(PathBuf),
    /// In this folder itself.
    In(PathBuf),
}

impl RunsFolder {
    /// The folder of runs, created if missing.
    fn runs(&self) -> io::Result<Folder> {
        let store = match self {
            RunsFolder::Beside(folder) => Folder::shared(folder)?.make(HIDDEN)?,
            RunsFolder::In(folder) => Folder::ensure(folder)?,
        };
        match store.create_new(".gitignore") {
            Ok(mut file) => file.write_all(b"*\n")?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        store.make("runs")
    }

    /// Where the folder of runs is.
    pub fn path(&self) -> PathBuf {
        match self {
            RunsFolder::Beside(folder) => folder.join(HIDDEN).join("runs"),
            RunsFolder::In(folder) => folder.join("runs"),
        }
    }

    /// The folder of runs, if it exists and belongs to this user.
    pub fn find(&self) -> Option<Folder> {
        let store = match self {
            RunsFolder::Beside(folder) => Folder::shared(folder).and_then(|folder| folder.folder(HIDDEN)),
            RunsFolder::In(folder) => Folder::open(folder),
        };
        store.and_then(|store| store.folder("runs")).ok()
    }
}

/// The folder of runs beside a document or its settings.
const HIDDEN: &str = ".orderflow";

/// `runs/<run>/` in the folder of runs, created when the run begins. Empty folders are removed at the end.
#[derive(Debug)]
pub struct Workspace {
    folder: Folder,
    /// Created each time under a new random name, so that nothing can be placed in it in advance.
    scratch: Arc<Folder>,
    slots: Arc<Slots>,
    items: Arc<Folder>,
    key: InboxKey,
}

impl Workspace {
    /// Creates the run's folder in `store`, which is created if missing.
    ///
    /// # Errors
    /// When it cannot be created, or others could change its contents.
    pub fn create(store: &RunsFolder, run_id: &str) -> io::Result<Self> {
        Workspace::of(store.runs()?.make_new(run_id)?)
    }

    /// Creates the folder of a run within the run in `home`, or opens it.
    ///
    /// # Errors
    /// When it cannot be created, or others could change its contents.
    pub fn nested(home: &Path, (item, attempt): (&str, &str)) -> io::Result<Self> {
        Workspace::of(Folder::open(home)?.make(CHILDREN)?.make(short(item))?.make(short_attempt(attempt))?)
    }

    /// Opens an existing run's folder.
    ///
    /// # Errors
    /// When it is not writable, or others could change its contents.
    pub fn open(root: &Path) -> io::Result<Self> {
        Workspace::of(Folder::open(root)?)
    }

    /// Checks whether a run can be resumed in this folder; changes nothing.
    ///
    /// # Errors
    /// When it cannot be used, or others could change its contents.
    pub fn check(root: &Path) -> io::Result<()> {
        Workspace::refuse_open(&Folder::open(root)?)
    }

    fn refuse_open(folder: &Folder) -> io::Result<()> {
        if folder.is_open_to_all()? {
            let path = folder.path().display();
            let message = format!("everybody may write into {path}; take that right away: chmod o-w {path}");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        // Up to the folder of runs.
        folder.refuse_replaceable(2)
    }

    fn of(folder: Folder) -> io::Result<Self> {
        Workspace::refuse_open(&folder)?;
        // Left by a runner that was killed here.
        for (name, _) in folder.entries()? {
            if name.to_string_lossy().starts_with(SCRATCH) {
                folder.remove_all(&name)?;
            }
        }
        let scratch = Arc::new(folder.make_unique(SCRATCH)?);
        let slots = Arc::new(Slots::new(scratch.clone()));
        let items = Arc::new(folder.make(ITEMS)?);
        Ok(Workspace { items, scratch, slots, folder, key: InboxKey::default() })
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Requests of other processes count if they have this key.
    pub fn with_key(mut self, key: InboxKey) -> Self {
        self.key = key;
        self
    }

    pub fn key(&self) -> &InboxKey {
        &self.key
    }

    /// The requests that other processes leave there.
    pub fn inbox(&self) -> Inbox {
        Inbox::of(self.root(), &self.key)
    }

    /// The folder of an attempt of the item; `place` is its name there.
    pub(super) fn room(
        &self,
        (item, key): (ItemId, &str),
        place: &str,
        attempt_id: &str,
        outputs: Arc<[Declared]>,
        wanted: bool,
    ) -> Room {
        let place = (folder_name(item, key), place.to_owned());
        Room::new((&self.scratch, &self.slots, &self.items), place, attempt_id, outputs, wanted)
    }

    /// Finds the files that attempts have made.
    pub(super) fn finder(&self) -> Finder {
        Finder::new(self.items.clone())
    }

    pub(super) fn scratch(&self) -> PathBuf {
        self.scratch.path().to_owned()
    }

    /// Writes a program from the document to a file that exists during the run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn program(&self, name: &str, source: &str) -> io::Result<PathBuf> {
        self.scratch.replace(name, source.as_bytes())?;
        Ok(self.scratch.path().join(name))
    }

    /// Whether the run's folder contains a regular file of this name.
    pub fn has_file(&self, name: &str) -> bool {
        self.folder.has_file(name)
    }

    /// Removes the item's folder if it is empty.
    pub(super) fn settle(&self, item: ItemId, key: &str) {
        let _ = self.items.remove_empty(folder_name(item, key));
    }
}

impl Drop for Workspace {
    /// Removes empty folders; files of agents remain.
    fn drop(&mut self) {
        if let Some(name) = self.scratch.path().file_name() {
            let _ = self.folder.remove_all(name);
        }
        let _ = self.folder.remove_empty(ITEMS);
        // Each only if it is empty.
        let mut path = self.folder.path().to_owned();
        for _ in 0..3 {
            let Ok((above, name)) = Folder::above(&path) else { return };
            if above.remove_empty(name).is_err() {
                return;
            }
            path.pop();
        }
    }
}
