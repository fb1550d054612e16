//! The forms in which items come, told apart by the path, and how each is opened.

use super::raw::{Place, Raws};
use super::shape::Shape;
use super::{csv, file, folder, lines, table};
use anyhow::{Context, bail};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Where items come from. It can be read again and again.
#[derive(Debug)]
pub struct Source {
    /// As messages name it.
    pub name: String,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// JSON lines.
    Lines(PathBuf),
    /// JSON lines that came by a pipe, kept in a file without a name.
    Kept(File),
    /// One value that fills the file: a list of items, or one item.
    Json(PathBuf),
    Csv(PathBuf, u8),
    Toon(PathBuf),
    /// A file an item.
    Files(Vec<PathBuf>),
}

impl Source {
    /// What a path stands for: a file by the end of its name, a folder, or else a glob. A pipe holds JSON lines.
    ///
    /// # Errors
    /// When it is none of these, or a folder cannot be read.
    pub fn find(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        if path.exists() && !path.is_dir() && !path.is_file() {
            let input = File::open(path).with_context(|| format!("cannot read the items in {name}"))?;
            return Ok(Source::keep(&name, input)?);
        }
        let form = if path.is_dir() {
            Form::Files(folder::list(path)?)
        } else if folder::is_glob(path) && !path.exists() {
            let files = folder::matching(path)?;
            if files.is_empty() {
                bail!("no file matches {name}");
            }
            Form::Files(files)
        } else {
            let path = path.to_owned();
            match file::extension(&path).as_str() {
                "jsonl" | "ndjson" => Form::Lines(path),
                "json" => Form::Json(path),
                "csv" => Form::Csv(path, b','),
                "tsv" => Form::Csv(path, b'\t'),
                "toon" => Form::Toon(path),
                _ => bail!("no form of items is known by the name {name}"),
            }
        };
        Ok(Source { name, form })
    }

    /// Whether there is anything at a path.
    pub fn is_there(path: &Path) -> bool {
        let matches = || folder::matching(path).is_ok_and(|files| !files.is_empty());
        path.exists() || (folder::is_glob(path) && matches())
    }

    /// JSON lines from an input that can be read only once; they are kept on disk while the run lasts.
    ///
    /// # Errors
    /// When the input cannot be read or kept.
    pub fn keep(name: &str, mut input: impl Read) -> io::Result<Self> {
        let mut file = tempfile::tempfile()?;
        io::copy(&mut input, &mut file)?;
        Ok(Source { name: name.to_owned(), form: Form::Kept(file) })
    }

    /// Puts items that came by a pipe into a file, so that they can be read another time; true where that was
    /// needed.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep_in(&mut self, path: &Path) -> io::Result<bool> {
        let Form::Kept(file) = &self.form else { return Ok(false) };
        let mut from = file.try_clone()?;
        from.seek(SeekFrom::Start(0))?;
        let mut to = File::create(path)?;
        io::copy(&mut from, &mut to)?;
        to.sync_all()?;
        self.form = Form::Lines(path.to_owned());
        Ok(true)
    }

    /// A hash of all that is read: equal for equal items.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn digest(&self) -> anyhow::Result<String> {
        let mut hasher = blake3::Hasher::new();
        let add = |hasher: &mut blake3::Hasher, path: &Path| {
            let file = File::open(path).and_then(|file| hasher.update_reader(file).map(drop));
            file.with_context(|| format!("cannot read the items in {}", path.display()))
        };
        match &self.form {
            Form::Lines(path) | Form::Json(path) | Form::Csv(path, _) | Form::Toon(path) => {
                add(&mut hasher, path)?
            }
            Form::Kept(file) => {
                let mut file = file.try_clone()?;
                file.seek(SeekFrom::Start(0))?;
                hasher.update_reader(file)?;
            }
            Form::Files(paths) => {
                for path in paths {
                    let name = path.file_name().unwrap_or_default();
                    hasher.update(name.as_encoded_bytes()).update(&[0]);
                    let size = std::fs::metadata(path).map(|about| about.len()).unwrap_or_default();
                    hasher.update(&size.to_le_bytes());
                    add(&mut hasher, path)?;
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
            Form::Lines(path) => Box::new(lines::Lines::new(BufReader::new(File::open(path)?))),
            Form::Kept(file) => {
                let mut file = file.try_clone()?;
                file.seek(SeekFrom::Start(0))?;
                Box::new(lines::Lines::new(BufReader::new(file)))
            }
            Form::Json(path) => file::items(path)?,
            Form::Csv(path, delimiter) => Box::new(csv::Rows::open(path, *delimiter, shape)?),
            Form::Toon(path) => Box::new(table::Rows::open(path, shape)?),
            Form::Files(paths) => Box::new(paths.iter().map(|path| folder::item(path, shape))),
        })
    }

    /// Line and column of a place, from 1.
    pub(super) fn locate(&self, place: Place) -> (u64, u64) {
        match (place, &self.form) {
            (Place::At { line, column }, _) => (line, column),
            (Place::Cell { byte, line, cell }, Form::Csv(path, delimiter)) => {
                csv::locate(path, *delimiter, byte, line, cell).unwrap_or((line, 1))
            }
            (Place::Cell { line, .. }, _) => (line, 1),
        }
    }
}
