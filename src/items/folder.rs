//! Folders and globs: a file an item. The item is a JSON file's value, or any other file's text; if the workflow takes
//! a `File`, it is the file's path.

use super::file;
use super::json;
use super::raw::{Item, LARGEST, Raw, SourcePlace};
use super::shape::Shape;
use crate::disk::{self, Kind, Named};
use crate::value::Value;
use anyhow::Context;
use glob::{MatchOptions, Pattern};
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most names that are read for a glob or in a folder: a document can name all files of a machine.
const MOST: usize = 1_000_000;

const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// The files of a folder in the order of their names, without hidden files and folders.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn list(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read the items in {}", folder.display());
    let mut files = Vec::new();
    for (name, _) in NameCount::default().names(folder).with_context(cannot)? {
        let path = folder.join(&name);
        if !name.as_encoded_bytes().starts_with(b".") && is_file(&path)? {
            files.push(path);
        }
    }
    Ok(files)
}

/// Whether a path may be a glob.
pub(super) fn is_glob(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

/// The files that a glob matches, in the order of their paths; hidden ones only if the glob names them. `**` descends
/// into folders, but not into links to them, which may form cycles.
///
/// # Errors
/// When the glob is invalid, or a folder or file cannot be read.
pub(super) fn matching(pattern: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let text = pattern.to_str().context("a glob must be UTF-8")?;
    let no_glob = |error: glob::PatternError| anyhow::anyhow!("`{text}` is not a glob: {}", error.msg);
    // Normalises parts that found paths do not have, such as the second `./` of `././**`.
    let plain: PathBuf = pattern.components().collect();
    let whole = Pattern::new(&plain.to_string_lossy()).map_err(no_glob)?;
    let mut found = Vec::new();
    if pattern.components().any(|part| part.as_os_str() == "**") {
        let matches = |path: &Path| whole.matches_with(&path.to_string_lossy(), OPTIONS);
        walk(above(pattern), text.contains("/."), &matches, &mut found)?;
    } else if !text.ends_with('/') {
        found.push(PathBuf::new());
        let mut looked = NameCount::default();
        for part in pattern.components() {
            found = one_further(found, &part.as_os_str().to_string_lossy(), &mut looked)?;
        }
    }
    let mut files = Vec::new();
    for path in found {
        if is_file(&path)? {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The paths that one part of a glob matches in these folders; the crate's own search panics at names that are not
/// UTF-8.
///
/// # Errors
/// When a folder cannot be read.
fn one_further(folders: Vec<PathBuf>, part: &str, looked: &mut NameCount) -> anyhow::Result<Vec<PathBuf>> {
    if !is_glob(Path::new(part)) {
        return Ok(folders
            .into_iter()
            .map(|folder| folder.join(part))
            .filter(|path| disk::is_there(path))
            .collect());
    }
    // The whole glob has been checked before.
    let pattern = Pattern::new(part)?;
    let mut found = Vec::new();
    for folder in folders {
        let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
        if !listed.is_dir() {
            continue;
        }
        let cannot = || format!("cannot read the items in {}", listed.display());
        for (name, _) in looked.names(listed).with_context(cannot)? {
            if pattern.matches_with(&name.to_string_lossy(), OPTIONS) {
                found.push(folder.join(name));
            }
        }
    }
    Ok(found)
}

/// How many names have been read.
#[derive(Default)]
struct NameCount(usize);

impl NameCount {
    /// The names in a folder, up to the limit.
    fn names(&mut self, folder: &Path) -> io::Result<Vec<(OsString, Kind)>> {
        let entries = disk::entries(folder, MOST.saturating_sub(self.0))?;
        self.0 += entries.len();
        Ok(entries)
    }
}

/// The folder that a glob names before its first wildcard.
pub(super) fn above(pattern: &Path) -> PathBuf {
    pattern.components().take_while(|part| !is_glob(Path::new(part.as_os_str()))).collect()
}

/// Adds all matches below a folder; `hidden` decides whether hidden folders are searched.
fn walk(
    folder: PathBuf,
    hidden: bool,
    matches: &dyn Fn(&Path) -> bool,
    found: &mut Vec<PathBuf>,
) -> anyhow::Result<()> {
    let (mut folders, mut looked) = (vec![folder], NameCount::default());
    while let Some(folder) = folders.pop() {
        let cannot = || format!("cannot read the items in {}", folder.display());
        for (name, kind) in looked.names(&folder).with_context(cannot)? {
            let path = folder.join(&name);
            if kind == Kind::Folder {
                if hidden || !name.as_encoded_bytes().starts_with(b".") {
                    folders.push(path);
                }
            } else if matches(&path) {
                found.push(path);
            }
        }
    }
    Ok(())
}

/// Whether it is a file, or a link to one.
///
/// # Errors
/// When this cannot be read, as for a broken link.
fn is_file(path: &Path) -> anyhow::Result<bool> {
    let about = path.metadata().with_context(|| format!("cannot read the item in {}", path.display()))?;
    Ok(about.is_file())
}

/// The item that a file contains.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn item(named: &Named, shape: &Shape) -> anyhow::Result<Raw> {
    let path = named.path();
    let name = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
    let value = if shape.takes_file() {
        // The step opens the file itself and follows links.
        named.open().with_context(|| format!("cannot read the item in {}", path.display()))?;
        let path = std::path::absolute(path)?;
        let text = path.to_str().map(Value::from);
        text.ok_or_else(|| vec![SourcePlace::line(1).fault("the file's path is not UTF-8")])
    } else {
        value(named)?
    };
    Ok(Raw::Item(Item { place: SourcePlace::line(1), value, name, file: Some(Arc::from(path)) }))
}

fn value(named: &Named) -> anyhow::Result<Result<Value, Vec<super::raw::Fault>>> {
    let path = named.path();
    let bytes = match named.read(LARGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::FileTooLarge => {
            let message = format!("{error}; let the workflow take a File");
            return Ok(Err(vec![SourcePlace::line(1).fault(message)]));
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read the item in {}", path.display()));
        }
    };
    Ok(json::text(&bytes, 1).and_then(|text| match file::extension(path).as_str() {
        "json" => json::parse(text, 1),
        _ => Ok(Value::from(text)),
    }))
}
