//! Finds the folders of runs: `last`, the beginning of a name, a path.

use super::super::exit::{Exit, Stop};
use super::super::trust::{self, runs::Owner};
use crate::diag::render::visible;
use crate::disk::{self, Folder, Kind};
use crate::journal;
use crate::runtime::RunsFolder;
use anyhow::Context;
use jiff::Timestamp;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The least characters of a name that are shown.
const SHORT: usize = 12;

/// The folder of runs, if the command line or the environment names one; else it is beside the document or its
/// settings.
static STORE: OnceLock<PathBuf> = OnceLock::new();

/// Stores runs in this folder, and searches it, too.
pub fn store_in(folder: PathBuf) {
    let _ = STORE.set(folder);
}

/// The folder that the command line or the environment names.
pub fn stored_in() -> Option<&'static Path> {
    STORE.get().map(PathBuf::as_path)
}

/// Where a new run of a document with its settings in `folder` is stored.
pub fn store(folder: &Path) -> RunsFolder {
    STORE.get().map_or_else(|| RunsFolder::Beside(folder.to_owned()), |store| RunsFolder::In(store.clone()))
}

/// The folder of the named run. `last` is the latest of the user's own; a name or a path may refer to one that came
/// from elsewhere.
///
/// # Errors
/// Stops if it does not exist, or the name is ambiguous.
pub fn one(said: &str) -> anyhow::Result<PathBuf> {
    find(said, false)
}

/// The same for a command that acts on own runs only: a run from elsewhere does not make the name of an own one
/// ambiguous.
///
/// # Errors
/// As for [`one`].
pub fn one_to_act_on(said: &str) -> anyhow::Result<PathBuf> {
    find(said, true)
}

fn find(said: &str, own_first: bool) -> anyhow::Result<PathBuf> {
    if said.is_empty() {
        let help = "give the beginning of a name, last, or a run's folder";
        return Err(Stop::new(Exit::Usage, "the name of the run is empty").help(help).into());
    }
    let path = Path::new(said);
    let is_run = || disk::is_there(&path.join(journal::FILE));
    let absolute = || std::path::absolute(path).context("cannot read the current folder");
    if said.contains('/') && is_run() {
        return absolute();
    }
    let all = all()?;
    let name = |folder: &PathBuf| name(folder);
    if said == "last" {
        return last(&all)?.ok_or_else(|| match all.last() {
            None => none(),
            Some(other) => {
                // A folder of this name is only found by its path.
                let name = Some(name(other)).filter(|name| name != "last");
                let name = name.unwrap_or_else(|| other.display().to_string());
                let help = format!(
                    "name one, such as orderflow show {}; orderflow adopt takes it over",
                    visible(&name)
                );
                Stop::new(Exit::Usage, "no run here was started by you").help(help).into()
            }
        });
    }
    let mut found: Vec<PathBuf> =
        all.iter().filter(|folder| name(folder).starts_with(said)).cloned().collect();
    // A whole name may be the beginning of another one.
    if found.iter().filter(|folder| name(folder) == said).count() == 1 {
        found.retain(|folder| name(folder) == said);
    }
    if own_first && found.len() > 1 {
        let own = own(&found)?;
        found = if own.is_empty() { found } else { own };
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        // Only now: a folder that happens to be here must not take precedence over a run of that name.
        [] if is_run() => absolute(),
        [] if all.is_empty() => Err(none()),
        [] => {
            let last = last(&all)?.as_ref().map(name);
            let last = last.map(|last| format!("the latest one is {}; ", visible(&last))).unwrap_or_default();
            Err(Stop::new(Exit::Usage, format!("no run is called {}", visible(said)))
                .help(format!("{last}give the beginning of a name, last, or a run's folder"))
                .into())
        }
        several => {
            let names: Vec<String> = several.iter().map(|folder| visible(&name(folder))).collect();
            Err(Stop::new(Exit::Usage, format!("{} runs begin with {}", several.len(), visible(said)))
                .help(format!("write more of it: {}", names.join(", ")))
                .into())
        }
    }
}

fn none() -> anyhow::Error {
    Stop::new(Exit::Usage, "no runs are stored here")
        .help("runs are in .orderflow beside orderflow.toml or the document; go there, or give the run's folder")
        .into()
}

/// The latest of these runs that is the user's own, by the user's own records.
fn last(all: &[PathBuf]) -> anyhow::Result<Option<PathBuf>> {
    Ok(own(all)?.pop())
}

/// Those of these runs that are the user's own, the oldest first.
///
/// # Errors
/// When a folder cannot be read.
pub fn own(all: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut own: Vec<(SortKey, &PathBuf)> = Vec::new();
    let known = trust::runs::known();
    for folder in all {
        let listed = known.get(&disk::real(folder)?);
        match trust::runs::owner(folder) {
            Ok(Owner::Own(known)) => own.push((place(&known.started, folder), folder)),
            Ok(Owner::Elsewhere) => {}
            // A folder that cannot be read is still at the path of an own run.
            Err(_) => own.extend(listed.map(|known| (place(&known.started, folder), folder))),
        }
    }
    own.sort();
    Ok(own.into_iter().map(|(_, folder)| folder.clone()).collect())
}

/// The sort key of a run: its start, then its name.
type SortKey = (Timestamp, OsString);

fn place(started: &str, folder: &Path) -> SortKey {
    (started.parse().unwrap_or(Timestamp::MIN), folder.file_name().unwrap_or_default().to_owned())
}

/// These runs, which must be all runs found here, the latest first, each with its short name. If a journal cannot be
/// read, the start of an own run is in the user's own records.
pub fn latest_first(all: &[PathBuf]) -> Vec<(&PathBuf, String)> {
    let known = trust::runs::known();
    let started = |folder: &PathBuf| match journal::read(folder) {
        Ok((header, _)) => Some(header.started),
        Err(_) => known.get(&disk::real(folder).ok()?).map(|known| known.started.clone()),
    };
    let mut runs: Vec<(&PathBuf, String)> = all.iter().zip(short_names(all)).collect();
    runs.sort_by_cached_key(|(folder, _)| Reverse(place(&started(folder).unwrap_or_default(), folder)));
    runs
}

/// The run's name, from its folder.
pub fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// For each of the folders, in order, the shortest unambiguous beginning of its name. If two have the same name, it is
/// shown in full, and only paths are unambiguous.
pub fn short_names(folders: &[PathBuf]) -> Vec<String> {
    let names: Vec<Vec<char>> = folders.iter().map(|folder| name(folder).chars().collect()).collect();
    let common = |one: &[char], other: &[char]| one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let short = |at: usize, name: &Vec<char>| {
        let neighbours = [at.checked_sub(1).and_then(|at| names.get(at)), names.get(at + 1)];
        let alike = neighbours.into_iter().flatten().map(|other| common(name, other)).max();
        name.iter().take(SHORT.max(alike.unwrap_or(0) + 1)).collect()
    };
    names.iter().enumerate().map(|(at, name)| short(at, name)).collect()
}

/// The shortest unambiguous beginning of a run's name among the runs here; the whole name if it is elsewhere.
///
/// # Errors
/// As [`all`].
pub fn short_name(folder: &Path) -> anyhow::Result<String> {
    Ok(here(folder)?.unwrap_or_else(|| name(folder)))
}

/// The run's name in commands here: its short name, or the path of its folder if it is elsewhere.
///
/// # Errors
/// As [`all`].
pub fn called(folder: &Path) -> anyhow::Result<String> {
    Ok(here(folder)?.unwrap_or_else(|| folder.display().to_string()))
}

fn here(folder: &Path) -> anyhow::Result<Option<String>> {
    let all = all()?;
    let found = all.iter().position(|other| other == folder);
    Ok(found.and_then(|at| short_names(&all).into_iter().nth(at)))
}

/// The folders of all runs that are stored here: in the current folder, in those directly below it, in those further below
/// that have own runs, in those above it up to the repository's root, and in that of `--state`; by name.
///
/// # Errors
/// When the current folder cannot be determined.
pub fn all() -> anyhow::Result<Vec<PathBuf>> {
    let here = std::env::current_dir().context("cannot read the current folder")?;
    let below = disk::entries(&here, usize::MAX).unwrap_or_default();
    let below = below.into_iter().filter(|(_, kind)| *kind == Kind::Folder).map(|(name, _)| here.join(name));
    let below: BTreeSet<PathBuf> = below.chain(further_below(&here)).collect();
    if let Some(named) = STORE.get() {
        readable(named)?;
    }
    let bases = disk::up_to_repository(&here).into_iter().chain(below).map(RunsFolder::Beside);
    let stores = bases.chain(STORE.get().cloned().map(RunsFolder::In));
    let mut all = Vec::new();
    for runs in stores.filter_map(|store| store.find()) {
        for (name, kind) in runs.entries().unwrap_or_default() {
            let hidden = name.as_encoded_bytes().starts_with(b".");
            if kind == Kind::Folder
                && !hidden
                && runs.folder(&name).is_ok_and(|folder| folder.has_file(journal::FILE))
            {
                all.push(runs.path().join(name));
            }
        }
    }
    all.sort_by(|one, other| (one.file_name(), one).cmp(&(other.file_name(), other)));
    all.dedup();
    Ok(all)
}

/// The folders further below with own runs, by the user's own records: others would have to be searched for.
fn further_below(here: &Path) -> Vec<PathBuf> {
    let Ok(real) = disk::real(here) else { return Vec::new() };
    let below = |home: PathBuf| {
        let base = home.ancestors().nth(3)?;
        let usual = RunsFolder::Beside(base.to_owned()).path() == home.parent()?;
        let path = base.strip_prefix(&real).ok()?;
        (usual && path.components().count() > 1).then(|| here.join(path))
    };
    trust::runs::known().into_keys().filter_map(below).collect()
}

/// Refuses a folder that the user has named and that is not his, or not a folder. It need not exist.
fn readable(store: &Path) -> anyhow::Result<()> {
    match Folder::open(store) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            let why = match error.kind() {
                ErrorKind::NotADirectory => "it is not a folder".to_owned(),
                _ => visible(&error.to_string()),
            };
            let message = format!("cannot read the runs in {}: {why}", visible(&store.display().to_string()));
            Err(Stop::new(Exit::Io, message)
                .help("name another folder with --state DIR or ORDERFLOW_STATE")
                .into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_short_as_tells_them_apart() {
        let short = |names: &[&str]| {
            let folders: Vec<PathBuf> = names.iter().map(|name| Path::new("runs").join(name)).collect();
            short_names(&folders).join(" ")
        };
        assert_eq!(short(&["0123456789abcdef"]), "0123456789ab");
        assert_eq!(
            short(&["0123456789abaa1", "0123456789abab1", "0123456789abab2", "1"]),
            "0123456789abaa 0123456789abab1 0123456789abab2 1"
        );
        assert_eq!(
            short(&["same-in-two-places", "same-in-two-places"]),
            "same-in-two-places same-in-two-places"
        );
    }
}
