//! The forms of item sources, chosen by the path, and how each is opened.

use super::raw::{Raws, SourcePlace};
use super::shape::Shape;
use super::{csv, file, folder, lines, table};
use crate::disk::{self, Folder, Named, read_at_most};
use anyhow::{Context, bail};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// The most that is read from a device, in bytes: it may have no end.
const LARGEST_DEVICE: usize = 256 << 20;

/// A source of items. It can be read repeatedly.
#[derive(Debug)]
pub struct Source {
    /// The name in messages.
    pub name: String,
    form: SourceForm,
}

#[derive(Debug)]
enum SourceForm {
    /// JSON lines.
    Lines(Named),
    /// JSON lines from a pipe, stored in an unnamed file.
    Kept(File),
    /// One value that fills the file: a list of items, or one item.
    Json(Named),
    Csv(Named, u8),
    Toon(Named),
    /// One item a file.
    Files(Vec<Named>),
}

impl Source {
    /// Finds the form of a path: a file by its extension, a folder, or else a glob. A pipe contains JSON lines.
    ///
    /// # Errors
    /// When it is none of these, or a folder cannot be read.
    pub fn find(named: &Named) -> anyhow::Result<Self> {
        let path = named.path();
        let name = path.display().to_string();
        let files = |searched: &Path, paths: Vec<PathBuf>| {
            let found = paths.into_iter().map(|path| named.found(searched, path));
            found.collect::<io::Result<_>>().with_context(|| format!("cannot read the items in {name}"))
        };
        if named.exists() && !named.is_folder() && !path.is_file() {
            // A path in a document must be a file; opening it reports otherwise.
            let input = named.open().with_context(|| format!("cannot read the items in {name}"))?;
            let device = input.metadata().is_ok_and(|about| about.file_type().is_char_device());
            let kept = match device {
                true => read_at_most(input, LARGEST_DEVICE)
                    .and_then(|items| Source::keep(&name, items.as_slice())),
                false => Source::keep(&name, input),
            };
            return kept.with_context(|| format!("cannot read the items in {name}"));
        }
        let form = if named.is_folder() {
            SourceForm::Files(files(path, folder::list(path)?)?)
        } else if folder::is_glob(path) && !named.exists() {
            let matching = folder::matching(path)?;
            if matching.is_empty() {
                bail!("no file matches {name}");
            }
            SourceForm::Files(files(&folder::above(path), matching)?)
        } else {
            let named = named.clone();
            match file::extension(path).as_str() {
                "jsonl" | "ndjson" => SourceForm::Lines(named),
                "json" => SourceForm::Json(named),
                "csv" => SourceForm::Csv(named, b','),
                "tsv" => SourceForm::Csv(named, b'\t'),
                "toon" => SourceForm::Toon(named),
                _ => bail!("no form of items is known by the name {name}"),
            }
        };
        Ok(Source { name, form })
    }

    /// Whether the path exists.
    pub fn is_there(named: &Named) -> bool {
        let path = named.path();
        let matches = || folder::matching(path).is_ok_and(|files| !files.is_empty());
        named.exists() || (folder::is_glob(path) && matches())
    }

    /// JSON lines from an input that can be read only once; they are stored on disk during the run.
    ///
    /// # Errors
    /// When the input cannot be read or stored.
    pub fn keep(name: &str, mut input: impl Read) -> io::Result<Self> {
        let mut file = disk::nameless()?;
        io::copy(&mut input, &mut file)?;
        Ok(Source { name: name.to_owned(), form: SourceForm::Kept(file) })
    }

    /// Writes items from a pipe to a file in a folder, so that they can be read later; returns whether that was
    /// needed.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep_in(&mut self, folder: &Folder, name: &str) -> io::Result<bool> {
        let SourceForm::Kept(file) = &self.form else { return Ok(false) };
        let mut from = file.try_clone()?;
        from.seek(SeekFrom::Start(0))?;
        let mut to = folder.create_new(name)?;
        io::copy(&mut from, &mut to)?;
        to.sync_all()?;
        self.form = SourceForm::Lines(Named::by_document(folder.path(), Path::new(name)));
        Ok(true)
    }

    /// A hash of all the source's bytes: equal for equal items.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn digest(&self) -> anyhow::Result<String> {
        let mut hasher = blake3::Hasher::new();
        let add = |hasher: &mut blake3::Hasher, named: &Named| {
            let file = named.open().and_then(|file| hasher.update_reader(file).map(drop));
            file.with_context(|| format!("cannot read the items in {}", named.path().display()))
        };
        match &self.form {
            SourceForm::Lines(named)
            | SourceForm::Json(named)
            | SourceForm::Csv(named, _)
            | SourceForm::Toon(named) => add(&mut hasher, named)?,
            SourceForm::Kept(file) => {
                let mut file = file.try_clone()?;
                file.seek(SeekFrom::Start(0))?;
                hasher.update_reader(file)?;
            }
            SourceForm::Files(all) => {
                for named in all {
                    let name = named.path().file_name().unwrap_or_default();
                    hasher.update(name.as_encoded_bytes()).update(&[0]);
                    let size = named.about().map(|about| about.len()).unwrap_or_default();
                    hasher.update(&size.to_le_bytes());
                    add(&mut hasher, named)?;
                }
            }
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    pub(super) fn read<'a>(&'a self, shape: &'a Shape) -> anyhow::Result<Raws<'a>> {
        self.open(shape).with_context(|| format!("cannot read the items in {}", self.name))
    }

    fn open<'a>(&'a self, shape: &'a Shape) -> anyhow::Result<Raws<'a>> {
        Ok(match &self.form {
            SourceForm::Lines(named) => Box::new(lines::Lines::new(BufReader::new(named.open()?))),
            SourceForm::Kept(file) => {
                let mut file = file.try_clone()?;
                file.seek(SeekFrom::Start(0))?;
                Box::new(lines::Lines::new(BufReader::new(file)))
            }
            SourceForm::Json(named) => file::items(named)?,
            SourceForm::Csv(named, delimiter) => Box::new(csv::Rows::open(named.open()?, *delimiter, shape)?),
            SourceForm::Toon(named) => Box::new(table::Rows::open(named.open()?, shape)),
            SourceForm::Files(all) => Box::new(all.iter().map(|named| folder::item(named, shape))),
        })
    }

    /// Line and column of a place, from 1.
    pub(super) fn locate(&self, place: SourcePlace) -> (u64, u64) {
        match (place, &self.form) {
            (SourcePlace::At { line, column }, _) => (line, column),
            (SourcePlace::Cell { byte, line, cell }, SourceForm::Csv(named, delimiter)) => {
                let found = named.open().and_then(|file| csv::locate(file, *delimiter, byte, line, cell));
                found.unwrap_or((line, 1))
            }
            (SourcePlace::Cell { line, .. }, _) => (line, 1),
        }
    }
}
