//! Finding the folders of runs: `last`, the beginning of a name, a path.

use super::super::exit::{Exit, Stop};
use crate::diag::render::visible;
use crate::journal;
use anyhow::Context;
use std::path::{Path, PathBuf};

/// Where runs lie, below the folder of a document's settings.
const RUNS: &str = ".orderflow/runs";

/// Characters of a name that are shown at least.
const SHORT: usize = 12;

/// The folder of the run that is meant.
///
/// # Errors
/// Stops where there is none, or several begin so.
pub fn one(said: &str) -> anyhow::Result<PathBuf> {
    let path = Path::new(said);
    if path.join(journal::FILE).is_file() {
        return std::path::absolute(path).context("cannot tell the current folder");
    }
    let all = all()?;
    let name = |folder: &PathBuf| name(folder);
    let found: Vec<&PathBuf> = match said {
        "last" => all.last().into_iter().collect(),
        _ => all.iter().filter(|folder| name(folder).starts_with(said)).collect(),
    };
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] if all.is_empty() => Err(Stop::new(Exit::Usage, "there are no kept runs here")
            .help("runs lie in .orderflow beside orderflow.toml or the document; go there, or give the run's folder")
            .into()),
        [] => {
            let last = all.last().map(name).unwrap_or_default();
            Err(Stop::new(Exit::Usage, format!("no run is called {}", visible(said)))
                .help(format!("the latest one is {last}; give the beginning of a name, last, or a run's folder"))
                .into())
        }
        several => {
            let names: Vec<String> = several.iter().map(|folder| name(folder)).collect();
            Err(Stop::new(Exit::Usage, format!("{} runs begin with {}", several.len(), visible(said)))
                .help(format!("say more of it: {}", names.join(", ")))
                .into())
        }
    }
}

/// The run's name, as its folder has it.
pub fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// For each of the folders, in their order, as much of its name as tells it apart. A name that there is twice is
/// told in full; only a path tells such runs apart.
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

/// As much of a run's name as tells it apart from the others here; all of it where it lies elsewhere.
///
/// # Errors
/// As [`all`].
pub fn short_name(folder: &Path) -> anyhow::Result<String> {
    Ok(here(folder)?.unwrap_or_else(|| name(folder)))
}

/// What commands here call a run: its short name, or the path of its folder where it lies elsewhere.
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

/// The folders of all runs that lie here: in the current folder, in those right below it, and in those above it up
/// to the repository's root; the oldest first.
///
/// # Errors
/// Where a folder of runs cannot be read.
pub fn all() -> anyhow::Result<Vec<PathBuf>> {
    let here = std::env::current_dir().context("cannot tell the current folder")?;
    let mut bases: Vec<PathBuf> = Vec::new();
    let root = here.ancestors().position(|folder| folder.join(".git").exists()).unwrap_or(0);
    bases.extend(here.ancestors().take(root + 1).map(Path::to_owned));
    let below = std::fs::read_dir(&here).into_iter().flatten().flatten();
    bases.extend(below.map(|entry| entry.path()).filter(|path| path.is_dir()));
    let mut all = Vec::new();
    for base in bases {
        let runs = base.join(RUNS);
        let entries = match std::fs::read_dir(&runs) {
            Ok(entries) => entries,
            Err(_) => continue,
        };
        let named = entries.flatten().filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
        let folders = named.map(|entry| entry.path());
        all.extend(folders.filter(|folder| folder.join(journal::FILE).is_file()));
    }
    // Names are in the order of time, wherever the folders lie.
    all.sort_by(|one, other| one.file_name().cmp(&other.file_name()));
    Ok(all)
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
