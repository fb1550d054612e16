//! Where grants are stored: a file for each document in the user's own state folder, out of reach of any document.
//! Knows nothing of what a grant is for.

use super::wanted::{RequestedNames, Wanted};
use crate::disk::{self, Folder};
use anyhow::{Context, anyhow, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The version of the records.
const VERSION: u32 = 1;

/// What the user has allowed the programs of a document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Grant {
    version: u32,
    /// Its path, for people.
    pub document: String,
    pub asks: RequestedNames,
    pub programs: Vec<Granted>,
}

/// A program that may run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The title of its step, for people.
    pub step: String,
    pub language: String,
    pub hash: String,
}

impl Grant {
    pub fn covers(&self, hash: &str) -> bool {
        self.programs.iter().any(|program| program.hash == hash)
    }
}

/// The folder of all records.
pub struct Grants(PathBuf);

impl Grants {
    /// The user's own folder.
    ///
    /// # Errors
    /// When the environment names none. Relative folders are ignored: they may be beside a document.
    pub fn open() -> anyhow::Result<Grants> {
        Ok(Grants(state()?.join("orderflow/grants")))
    }

    /// The document's grant, if it has one.
    ///
    /// # Errors
    /// When the record cannot be read, or others than its owner may have written it.
    pub fn of(&self, document: &Path) -> anyhow::Result<Option<Grant>> {
        let (place, record) = self.record(document)?;
        let Some(records) = self.records()? else { return Ok(None) };
        let grant = known(&records, &record).with_context(|| self.cannot("read", &record))?;
        // A record under another document's name is not valid for this one.
        Ok(grant.filter(|grant| grant.document == place.to_string_lossy()))
    }

    /// Replaces the document's grant; `beside` keeps the permissions of the old one, too.
    pub fn keep(&self, document: &Path, wanted: &Wanted<'_>, beside: Option<Grant>) -> anyhow::Result<()> {
        let (place, record) = self.record(document)?;
        let granted = |(step, language, hash): (&str, &str, String)| Granted {
            step: step.to_owned(),
            language: language.to_owned(),
            hash,
        };
        let mut programs: Vec<Granted> = beside.into_iter().flat_map(|grant| grant.programs).collect();
        for program in wanted.programs().map(granted) {
            if !programs.contains(&program) {
                programs.push(program);
            }
        }
        let document = place.to_string_lossy().into_owned();
        let grant = Grant { version: VERSION, document, asks: wanted.asks().clone(), programs };
        let written = Ours::ensure(self.0.clone()).and_then(|records| records.write(&record, &grant));
        written.with_context(|| self.cannot("write", &record))
    }

    /// Removes a grant; false if there was none.
    pub fn forget(&self, document: &Path) -> anyhow::Result<bool> {
        let (_, record) = self.record(document)?;
        match self.records()? {
            Some(records) => records.remove(&record).with_context(|| self.cannot("remove", &record)),
            None => Ok(false),
        }
    }

    /// All grants, by document; those that cannot be read as errors.
    pub fn all(&self) -> anyhow::Result<Vec<anyhow::Result<Grant>>> {
        let Some(records) = self.records()? else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for name in records.names().with_context(|| format!("cannot read {}", self.0.display()))? {
            all.extend(known(&records, &name).with_context(|| self.cannot("read", &name)).transpose());
        }
        all.sort_by(|one, two| {
            let name = |grant: &anyhow::Result<Grant>| grant.as_ref().ok().map(|g| g.document.clone());
            name(one).cmp(&name(two))
        });
        Ok(all)
    }

    /// The folder of records, if it exists.
    fn records(&self) -> anyhow::Result<Option<Ours>> {
        match Ours::open(self.0.clone()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            records => Ok(Some(records.with_context(|| format!("cannot read {}", self.0.display()))?)),
        }
    }

    fn cannot(&self, verb: &str, record: &str) -> String {
        format!("cannot {verb} the grant {}", self.0.join(record).display())
    }

    /// The document as its programs see it, and its record. A link has a record under its own name: its programs would
    /// run in another folder than those of the file that it leads to.
    fn record(&self, document: &Path) -> anyhow::Result<(PathBuf, String)> {
        let name = document.file_name().ok_or_else(|| anyhow!("{} is not a file", document.display()))?;
        let folder = document.parent().unwrap_or(Path::new("")).join(".");
        // The grant of a removed document can still be revoked.
        let folder = disk::real(&folder).or_else(|_| std::path::absolute(&folder));
        let place = folder.context("cannot read the current folder")?.join(name);
        let record = format!("{}.json", blake3::hash(place.as_os_str().as_bytes()).to_hex());
        Ok((place, record))
    }
}

/// The user's own folder for the state of programs.
///
/// # Errors
/// When the environment names none. Relative folders are ignored: they may be beside a document.
pub(super) fn state() -> anyhow::Result<PathBuf> {
    let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let home = || std::env::home_dir().filter(|home| home.is_absolute());
    let state = named("XDG_STATE_HOME").or_else(|| Some(home()?.join(".local/state")));
    state.ok_or_else(|| anyhow!("cannot find your state folder: HOME is not set"))
}

/// The largest record, in bytes.
const LARGEST: usize = 1 << 20;

/// A folder of records that only this user may have written.
pub(super) struct Ours(Folder);

impl Ours {
    /// Opens the folder.
    ///
    /// # Errors
    /// It does not exist, or belongs to another user.
    pub fn open(path: PathBuf) -> io::Result<Ours> {
        Ok(Ours(Folder::open(&path)?))
    }

    /// Opens the folder, created if missing.
    ///
    /// # Errors
    /// It cannot be created, or belongs to another user.
    pub fn ensure(path: PathBuf) -> io::Result<Ours> {
        Ok(Ours(Folder::ensure(&path)?))
    }

    /// The names of all records.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let names = self.0.entries()?.into_iter().map(|(name, _)| name.to_string_lossy().into_owned());
        Ok(names.filter(|name| name.ends_with(".json")).collect())
    }

    /// Writes a record, completely or not at all.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn write(&self, name: &str, content: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(content)?;
        text.push(b'\n');
        self.0.replace(name, &text)
    }

    /// A record, if it exists.
    ///
    /// # Errors
    /// When it cannot be read, or others than its owner may have written it.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> anyhow::Result<Option<T>> {
        self.read_up_to(name, LARGEST)
    }

    /// A record of at most this many bytes, if it exists.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn read_up_to<T: DeserializeOwned>(&self, name: &str, most: usize) -> anyhow::Result<Option<T>> {
        let file = match self.0.open_file(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let about = file.metadata()?;
        if about.uid() != rustix::process::geteuid().as_raw() || about.permissions().mode() & 0o022 != 0 {
            bail!("others than you may have written it");
        }
        Ok(Some(serde_json::from_slice(&disk::read_at_most(file, most)?)?))
    }

    /// Removes a record; false if it did not exist.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn remove(&self, name: &str) -> io::Result<bool> {
        self.0.remove(name)
    }
}

fn known(records: &Ours, name: &str) -> anyhow::Result<Option<Grant>> {
    let grant: Option<Grant> = records.read(name)?;
    if let Some(Grant { version, .. }) = grant
        && version != VERSION
    {
        bail!("it is of version {version}, and this program knows version {VERSION}");
    }
    Ok(grant)
}
