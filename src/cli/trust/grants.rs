//! Where grants are kept: a file for each document in the user's own state folder, out of reach of any document.
//! Knows nothing of what a grant is for.

use super::wanted::{Asks, Wanted};
use anyhow::{Context, anyhow, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Of the records, for versions to come.
const VERSION: u32 = 1;

/// What the user has let the programs of a document do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Grant {
    version: u32,
    /// Its path, for people.
    pub document: String,
    pub asks: Asks,
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
    /// The user's own.
    ///
    /// # Errors
    /// Where the environment names none. Relative folders are passed over: they may lie beside a document.
    pub fn open() -> anyhow::Result<Grants> {
        Ok(Grants(state()?.join("orderflow/grants")))
    }

    /// The document's grant, where there is one.
    ///
    /// # Errors
    /// Where the record cannot be read, or others than its owner may have written it.
    pub fn of(&self, document: &Path) -> anyhow::Result<Option<Grant>> {
        let (place, record) = self.record(document)?;
        let grant = known(&record).with_context(|| format!("cannot read the grant {}", record.display()))?;
        // A record that lies under another document's name is none of this one's.
        Ok(grant.filter(|grant| grant.document == place.to_string_lossy()))
    }

    /// Puts the grant in the place of the document's former one; `beside` keeps what that one allows, too.
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
        write(&self.0, &record, &grant)
            .with_context(|| format!("cannot write the grant {}", record.display()))
    }

    /// False where there was none.
    pub fn forget(&self, document: &Path) -> anyhow::Result<bool> {
        let (_, record) = self.record(document)?;
        match fs::remove_file(&record) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot remove the grant {}", record.display())),
        }
    }

    /// All grants, by document; those that cannot be read as errors.
    pub fn all(&self) -> anyhow::Result<Vec<anyhow::Result<Grant>>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("cannot read {}", self.0.display()))?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| format!("cannot read {}", self.0.display()))?.path();
            if path.extension().is_none_or(|end| end != "json") {
                continue;
            }
            let grant = known(&path).with_context(|| format!("cannot read the grant {}", path.display()));
            all.extend(grant.transpose());
        }
        all.sort_by(|one, two| {
            let name = |grant: &anyhow::Result<Grant>| grant.as_ref().ok().map(|g| g.document.clone());
            name(one).cmp(&name(two))
        });
        Ok(all)
    }

    /// The document as its programs see it, and its record. A link keeps its own name: its programs would work in
    /// another folder than the file that it leads to.
    fn record(&self, document: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
        let name = document.file_name().ok_or_else(|| anyhow!("{} is no file", document.display()))?;
        let folder = document.parent().unwrap_or(Path::new("")).join(".");
        // What is gone still has a grant to be taken back.
        let folder = folder.canonicalize().or_else(|_| std::path::absolute(&folder));
        let place = folder.context("cannot tell the current folder")?.join(name);
        let record = format!("{}.json", blake3::hash(place.as_os_str().as_bytes()).to_hex());
        Ok((place, self.0.join(record)))
    }
}

/// The user's own folder for what programs keep.
///
/// # Errors
/// Where the environment names none. Relative folders are passed over: they may lie beside a document.
pub(super) fn state() -> anyhow::Result<PathBuf> {
    let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let state = named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state")));
    state.ok_or_else(|| anyhow!("cannot tell where grants are kept: HOME is not set"))
}

/// Writes a record into its folder.
pub(super) fn write(folder: &Path, record: &Path, content: &impl Serialize) -> anyhow::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // The file is made for its owner only, and is whole before it has its name.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut file, content)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(record)?;
    Ok(())
}

/// A record, where there is one.
///
/// # Errors
/// Where it cannot be read, or others than its owner may have written it.
pub(super) fn read<T: DeserializeOwned>(record: &Path) -> anyhow::Result<Option<T>> {
    let mut file = match File::open(record) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let about = file.metadata()?;
    if about.uid() != rustix::process::geteuid().as_raw() || about.permissions().mode() & 0o022 != 0 {
        bail!("others than you may have written it");
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(Some(serde_json::from_str(&text)?))
}

fn known(record: &Path) -> anyhow::Result<Option<Grant>> {
    let grant: Option<Grant> = read(record)?;
    if let Some(Grant { version, .. }) = grant
        && version != VERSION
    {
        bail!("it is of version {version}, and this program knows version {VERSION}");
    }
    Ok(grant)
}
