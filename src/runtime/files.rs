//! The files of attempts. Each attempt writes into an empty folder of its own; if it succeeds, that folder is moved,
//! in one step, to its final place in the run's folder, and its files are known by their paths from there. So no file
//! is overwritten, the files of a failed attempt are never used, and a run's folder can be copied. A step that takes a
//! file gets its absolute path.
//!
//! Agents may leave anything, and a run's folder may come from elsewhere: every part of a path is opened relative to
//! its folder, without following links, and only a regular file with a single link is accepted.

use super::names::old_folder_name;
use super::slots::{Slot, Slots};
use super::workspace::outermost_home;
use crate::adapter::{Declared, contract};
use crate::disk::{self, Folder, Kind};
use crate::event::{Answer, ItemId, Reply};
use crate::value::{Type, Value};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The folder in a run's folder with the files of all items, and the beginning of every path to one.
pub(super) const ITEMS: &str = "items";

/// The folder of one attempt.
pub(super) struct Room {
    scratch: Arc<Folder>,
    items: Arc<Folder>,
    /// The name in the scratch folder.
    name: String,
    /// Its place among the folders that are used again, if its step makes no files.
    slot: Option<Slot>,
    /// The item's folder, and the attempt's place in it.
    item: String,
    place: String,
    outputs: Arc<[Declared]>,
    /// Whether it has a folder: its step makes files, or its adapter always needs one.
    wanted: bool,
    /// Its files must be durable before its answer is.
    lasting: bool,
}

impl Room {
    pub fn new(
        (scratch, slots, items): (&Arc<Folder>, &Arc<Slots>, &Arc<Folder>),
        (item, place): (String, String),
        attempt_id: &str,
        outputs: Arc<[Declared]>,
        wanted: bool,
    ) -> Room {
        let makes_files = outputs.iter().any(|output| output.ty.as_ref().is_some_and(Type::holds_files));
        let slot = (wanted && !makes_files).then(|| slots.take());
        let name = slot.as_ref().map_or_else(|| format!("{attempt_id}.files"), Slot::name);
        let wanted = wanted || makes_files;
        Room {
            scratch: scratch.clone(),
            items: items.clone(),
            name,
            slot,
            item,
            place,
            outputs,
            wanted,
            lasting: false,
        }
    }

    /// The same, with files that are on disk before an answer names them.
    pub fn lasting(self) -> Room {
        Room { lasting: true, ..self }
    }

    /// Whether closing it may wait for a disk.
    pub fn is_slow(&self) -> bool {
        self.lasting && self.makes_files()
    }

    fn makes_files(&self) -> bool {
        self.outputs.iter().any(|output| output.ty.as_ref().is_some_and(Type::holds_files))
    }

    /// Where the attempt writes its files; empty without a folder.
    pub fn path(&self) -> PathBuf {
        if self.wanted { self.scratch.path().join(&self.name) } else { PathBuf::new() }
    }

    /// A file for the inputs that attempts use one after the other; `None` if the attempt makes its own.
    pub fn input(&self) -> Option<PathBuf> {
        self.slot.as_ref().map(Slot::input)
    }

    /// Creates the folder.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn open(&self) -> io::Result<()> {
        match &self.slot {
            Some(slot) => slot.open(),
            None if self.wanted => self.scratch.add(&self.name),
            None => Ok(()),
        }
    }

    /// The answer with the final paths of its files; the files of a failed attempt are removed.
    pub fn close(mut self, mut answer: Answer) -> Answer {
        let slot = self.slot.take();
        // Most programs leave it empty.
        let as_made = slot.as_ref().is_some_and(Slot::is_as_made);
        if self.wanted && !as_made {
            if let Ok(reply) = &mut answer
                && let Err(wrong) = self.keep(reply)
            {
                answer = Err(contract::bad(wrong));
            }
            // This includes files that could not be moved.
            let _ = self.scratch.remove_all(&self.name);
        }
        if let Some(slot) = slot {
            slot.leave(as_made);
        }
        answer
    }

    fn keep(&self, reply: &mut Reply) -> Result<(), String> {
        let gone = |error: io::Error| format!("the folder ORDERFLOW_DIR is lost: {error}");
        let folder = self.scratch.folder(&self.name).map_err(gone)?;
        let mut files = Vec::new();
        for output in self.outputs.iter() {
            let Some(ty) = output.ty.as_ref().filter(|ty| ty.holds_files()) else { continue };
            let Some((_, value)) = reply.outputs.iter().find(|(id, _)| *id == output.id) else { continue };
            let check = |path: &str| check(&folder, path).map(|_| files.push(plain(path)));
            each(ty, value, check).map_err(|wrong| format!("output `{}`: {wrong}", output.name))?;
        }
        if files.is_empty() && self.scratch.remove_empty(&self.name).is_ok() {
            return Ok(());
        }
        let lost = |error: io::Error| format!("cannot store the files of ORDERFLOW_DIR: {error}");
        let (item, place) = self.moved().map_err(lost)?;
        if self.lasting {
            // Only when all files are in place, so that the file system can write them together.
            files.iter().try_for_each(|path| store(&folder, path)).map_err(lost)?;
            item.sync().and_then(|()| self.items.sync()).map_err(lost)?;
        }
        for output in self.outputs.iter().filter(|output| output.ty.as_ref().is_some_and(Type::holds_files)) {
            if let Some((_, value)) = reply.outputs.iter_mut().find(|(id, _)| *id == output.id) {
                *value = Arc::new(renamed(value, &|path| format!("{place}/{}", plain(path))));
            }
        }
        Ok(())
    }

    /// Moves the folder. Returns the new folder and its path from the run's folder.
    fn moved(&self) -> io::Result<(Folder, String)> {
        let item = self.items.make(&self.item)?;
        // A runner that died before the answer was stored may have used the place.
        let places = (2..).map(|number| format!("{}-{number}", self.place));
        for place in std::iter::once(self.place.clone()).chain(places) {
            match self.scratch.move_to(&self.name, &item, &place) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let path = format!("{ITEMS}/{}/{place}", self.item);
                    return Ok((item, path));
                }
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }
}

/// Where the files are that an outer run has given to one within it, if its folder was moved since.
#[derive(Clone, Debug, Default)]
pub struct MovedFiles {
    from: PathBuf,
    to: PathBuf,
}

impl MovedFiles {
    /// For a run that was in the folder `then` and is in the folder `now`.
    pub fn between(then: &Path, now: &Path) -> MovedFiles {
        MovedFiles { from: outermost_home(then).to_owned(), to: outermost_home(now).to_owned() }
    }

    /// A value of files with their paths of today.
    pub(super) fn today(&self, value: &Value) -> Value {
        let inside =
            |path: &str| Path::new(path).strip_prefix(&self.from).ok().map(|path| self.to.join(path));
        renamed(value, &|path| match inside(path).filter(|_| self.from != self.to) {
            Some(moved) => moved.to_string_lossy().into_owned(),
            None => path.to_owned(),
        })
    }
}

/// Finds the files of a run.
#[derive(Debug)]
pub struct Finder {
    items: Arc<Folder>,
}

impl Finder {
    pub(super) fn new(items: Arc<Folder>) -> Finder {
        Finder { items }
    }

    /// Opens the run's folder at `root`.
    ///
    /// # Errors
    /// It has no files, or belongs to another user.
    pub fn open(root: &Path) -> io::Result<Finder> {
        Ok(Finder { items: Arc::new(Folder::open(root)?.folder(ITEMS)?) })
    }

    /// A value of files with absolute paths, as a step gets it.
    ///
    /// # Errors
    /// The problem of the first path that does not lead to a file.
    pub(super) fn absolute(&self, value: &Value, item: ItemId, key: &str) -> Result<Value, String> {
        match value {
            // In a run of an earlier version the item that made the file is unknown.
            Value::String(path) if item == ItemId::RUN && is_old(path) => Ok(value.clone()),
            Value::String(path) => self.path_of(path, item, key).map(Value::String),
            Value::Array(values) => {
                let values = values.iter().map(|value| self.absolute(value, item, key));
                values.collect::<Result<Vec<Value>, String>>().map(Value::Array)
            }
            other => Ok(other.clone()),
        }
    }

    fn path_of(&self, path: &str, item: ItemId, key: &str) -> Result<String, String> {
        let below = self.below(path, item, key)?;
        let absolute = self.items.path().join(below);
        absolute
            .into_os_string()
            .into_string()
            .map_err(|_| "the run's folder has a name that is not UTF-8".to_owned())
    }

    /// The path to a file from the folder of all items. Runs of earlier versions have paths from the folder of the
    /// item.
    fn below(&self, path: &str, item: ItemId, key: &str) -> Result<String, String> {
        let below = path.strip_prefix(ITEMS).and_then(|rest| rest.strip_prefix('/'));
        let found = below.map(|below| check(&self.items, below).map(|_| below.to_owned()));
        if let Some(Ok(below)) = found {
            return Ok(below);
        }
        let old = format!("{}/{}", old_folder_name(item, key), path);
        let wrong = match (check(&self.items, &old), found) {
            (Ok(_), _) => return Ok(old),
            (Err(_), Some(Err(wrong))) | (Err(wrong), _) => wrong,
        };
        Err(format!("the file {} is not in the run's folder: {wrong}", Value::from(path)))
    }

    /// Opens the file at a path of an answer. Returns its path from the folder of all items, too.
    ///
    /// # Errors
    /// The file is missing, or the path leads elsewhere.
    pub fn file(&self, path: &str, (item, key): (ItemId, &str)) -> Result<(String, File), String> {
        let below = self.below(path, item, key)?;
        let file = check(&self.items, &below)?;
        Ok((below, file))
    }

    /// Copies the files of a value to a folder without overwriting any; returns the value with their new paths.
    ///
    /// # Errors
    /// A file is missing, or its target exists.
    pub fn export(
        &self,
        value: &Value,
        (item, key): (ItemId, &str),
        to: &Folder,
    ) -> anyhow::Result<Vec<PathBuf>> {
        let mut copied = Vec::new();
        each(&Type::List(Box::new(Type::File)), value, |path| {
            let (below, from) = self.file(path, (item, key))?;
            let target = to.path().join(&below);
            let copy = create(to, &below).and_then(|file| disk::copy(&from, &file));
            copy.map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => {
                    format!("{} exists already; nothing is overwritten", target.display())
                }
                _ => format!("cannot write {}: {error}", target.display()),
            })?;
            copied.push(target);
            Ok(())
        })
        .map_err(anyhow::Error::msg)?;
        Ok(copied)
    }
}

/// Creates a file below a folder, with its parent folders.
fn create(folder: &Folder, path: &str) -> io::Result<File> {
    match path.split_once('/') {
        Some((first, rest)) => create(&folder.make(first)?, rest),
        None => folder.create_new(path),
    }
}

/// The regular file that a path leads to without links and without leaving the folder.
fn check(folder: &Folder, path: &str) -> Result<File, String> {
    let named = Value::from(path);
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => parts.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err(format!("{named} leads out of the folder ORDERFLOW_DIR")),
            Component::RootDir | Component::Prefix(_) => {
                return Err(format!("{named} is an absolute path; write it as seen from ORDERFLOW_DIR"));
            }
        }
    }
    let missing = || format!("no file {named} in the folder ORDERFLOW_DIR");
    let (last, above) = parts.split_last().ok_or_else(missing)?;
    let explain = |folder: &Folder, part, error: io::Error| match folder.kind(part) {
        Ok(Some(kind @ (Kind::Link | Kind::Special))) => format!("{named} is {}, and no file", kind.name()),
        Ok(Some(Kind::File)) if error.kind() != ErrorKind::NotFound => {
            format!("{named} cannot be taken: {error}")
        }
        _ => missing(),
    };
    let Some((first, between)) = above.split_first() else {
        return folder.open_file(last).map_err(|error| explain(folder, last, error));
    };
    let mut inner = folder.folder(first).map_err(|error| explain(folder, first, error))?;
    for part in between {
        inner = inner.folder(part).map_err(|error| explain(&inner, part, error))?;
    }
    inner.open_file(last).map_err(|error| explain(&inner, last, error))
}

/// Makes a file durable, with its parent folders.
fn store(folder: &Folder, path: &str) -> io::Result<()> {
    match path.split_once('/') {
        Some((first, rest)) => store(&folder.folder(first)?, rest)?,
        None => folder.open_file(path)?.sync_all()?,
    }
    folder.sync()
}

/// Whether a path is in the form of an earlier version, and does not lead upwards.
fn is_old(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    !path.is_empty()
        && !Path::new(path).starts_with(ITEMS)
        && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// A path without `.` in it.
fn plain(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.collect::<Vec<&str>>().join("/")
}

/// Calls `check` with each path of a value of files.
fn each(ty: &Type, value: &Value, mut check: impl FnMut(&str) -> Result<(), String>) -> Result<(), String> {
    fn all(value: &Value, check: &mut dyn FnMut(&str) -> Result<(), String>) -> Result<(), String> {
        match value {
            Value::String(path) => check(path),
            Value::Array(values) => values.iter().try_for_each(|value| all(value, check)),
            // These do not occur in a value of files.
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Ok(()),
        }
    }
    if ty.holds_files() { all(value, &mut check) } else { Ok(()) }
}

/// A value of files with other paths.
pub(super) fn renamed(value: &Value, to: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(path) => Value::String(to(path)),
        Value::Array(values) => Value::Array(values.iter().map(|value| renamed(value, to)).collect()),
        other => other.clone(),
    }
}

/// The paths in a value of files.
pub fn paths(value: &Value) -> Vec<&str> {
    match value {
        Value::String(path) => vec![path],
        Value::Array(values) => values.iter().flat_map(paths).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

/// A value of files with their paths from the folder of all items.
pub fn below_items(value: &Value) -> Value {
    renamed(value, &|path| path.strip_prefix("items/").unwrap_or(path).to_owned())
}

/// A value of files for display: by the names of the files.
pub fn by_name(value: &Value) -> Value {
    renamed(value, &|path| path.rsplit('/').next().unwrap_or(path).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn files_of_an_outer_run_are_where_its_folder_is() {
        let moved = MovedFiles::between(
            Path::new("/a/runs/1/children/000000-k/Read.1/children/0/Deep.1"),
            Path::new("/b/c/children/000000-k/Read.1/children/0/Deep.1"),
        );
        let value =
            json!(["/a/runs/1/items/x/f", "/a/runs/1/children/0/A.1/items/f", "/a/runs/12/f", "/a/f", null]);
        let today = json!(["/b/c/items/x/f", "/b/c/children/0/A.1/items/f", "/a/runs/12/f", "/a/f", null]);
        assert_eq!(moved.today(&value), today);
        let own = MovedFiles::between(Path::new("/a/runs/1"), Path::new("/a/runs/1"));
        assert_eq!(own.today(&value), value);
        assert_eq!(MovedFiles::default().today(&value), value);
    }

    #[test]
    fn files_of_earlier_versions_and_of_copied_runs_are_found() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = root.path().join("items/000007-k").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        ["label.txt", "items/deep.txt", "Print.1/label.txt"].iter().for_each(|file| write(file));
        let finder = Finder::open(root.path()).unwrap();
        let found = |value: Value, item| finder.absolute(&value, item, "k");
        let at = |path: &str| root.path().join(path).to_string_lossy().into_owned();
        for (value, expected) in [
            (json!("label.txt"), json!(at("items/000007-k/label.txt"))),
            (json!("items/deep.txt"), json!(at("items/000007-k/items/deep.txt"))),
            (json!("items/000007-k/Print.1/label.txt"), json!(at("items/000007-k/Print.1/label.txt"))),
            (json!(["label.txt", null]), json!([at("items/000007-k/label.txt"), null])),
        ] {
            assert_eq!(found(value.clone(), ItemId(7)), Ok(expected), "{value}");
        }
        for path in
            ["../000007-k/label.txt", "/etc/passwd", "items/../../etc/passwd", "items/000007-k/none", ""]
        {
            assert!(found(json!(path), ItemId(7)).is_err(), "{path}");
            let of_the_run = found(json!(path), ItemId::RUN);
            assert!(of_the_run.is_err(), "{path}: {of_the_run:?}");
        }
        assert_eq!(found(json!("label.txt"), ItemId::RUN), Ok(json!("label.txt")));
    }
}
