//! `orderflow runs prune`: removes old runs. Active runs are never removed, and resumable ones only on request.

use super::super::exit::Exit;
use super::super::terminal::Terminal;
use super::super::trust;
use super::{began_since, find};
use crate::cli::help::with_exits;
use crate::diag::render::visible;
use crate::disk::{self, Folder, Kind};
use crate::history::{History, State, lock};
use crate::journal;
use crate::value::words;
use crate::view::{bytes, count};
use anyhow::Context;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The prefix of a run's folder while it is removed.
const REMOVED: &str = ".removed-";

/// Remove ended runs
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow runs prune --keep 20                  all but the latest 20
  orderflow runs prune --older-than 30d           started over 30 days ago
  orderflow runs prune --older-than 30d --keep 5  but never the latest 5
  orderflow runs prune --keep 0 --dry-run         show what would be removed

An active run is never removed. A paused run, and one whose journal cannot be read, are removed only with \
--unfinished.", &[]))]
pub struct Args {
    /// Never remove this many of the latest runs
    #[arg(long, value_name = "N", required_unless_present = "older_than")]
    keep: Option<usize>,
    /// Remove only runs that started longer ago than this, such as 30d
    #[arg(long, value_name = "TIME", value_parser = super::super::run::duration)]
    older_than: Option<Duration>,
    /// Also remove runs that could be resumed
    #[arg(long)]
    unfinished: bool,
    /// Show what would be removed; remove nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
}

/// The space that was freed, or would be.
#[derive(Default)]
struct Freed {
    runs: u64,
    bytes: u64,
}

pub fn run(args: &Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let all = find::all()?;
    let short: BTreeMap<&PathBuf, String> = all.iter().zip(find::short_names(&all)).collect();
    // Runs from elsewhere do not count, and are not removed.
    let folders = find::own(&all)?;
    let names: Vec<String> = folders.iter().map(|folder| short[folder].clone()).collect();
    let old = folders.len().saturating_sub(args.keep.unwrap_or(0));
    let mut freed = Freed::default();
    let mut failed = None;
    let mut removed = BTreeSet::new();
    for (folder, name) in folders.iter().zip(&names).take(old) {
        let real = disk::real(folder);
        match one(args, folder, name, terminal) {
            Ok(None) => {}
            Ok(Some(bytes)) => {
                freed = Freed { runs: freed.runs + 1, bytes: freed.bytes + bytes };
                removed.extend(real);
            }
            Err(error) => {
                terminal.error(&error);
                failed = Some(Exit::of(&error));
            }
        }
    }
    if !args.dry_run {
        freed.bytes += sweep(&folders);
        trust::runs::forget(&removed);
    }
    let runs = words::by_count(freed.runs, "run", "runs");
    let (did, frees) = if args.dry_run { ("would remove", "would free") } else { ("removed", "freed") };
    terminal.talk(&format!("{did} {} {runs}, {frees} {}\n", count(freed.runs), bytes(freed.bytes)));
    Ok(failed.unwrap_or(Exit::Ok))
}

/// Removes one run if it matches; returns the size of its files in bytes.
fn one(args: &Args, folder: &Path, name: &str, terminal: &mut Terminal) -> anyhow::Result<Option<u64>> {
    // Held until it is removed, so that no other process resumes it meanwhile.
    let lock = match lock(folder) {
        Ok(lock) => lock,
        Err(error) if Exit::of(&error) == Exit::Locked => return Ok(None),
        Err(error) => return Err(error),
    };
    // A run of unknown age is not old.
    let young = |age| journal::read(folder).map_or(true, |(header, _)| began_since(&header, Some(age)));
    if args.older_than.is_some_and(young) {
        return Ok(None);
    }
    if let Err(why) = over(folder)
        && !args.unfinished
    {
        terminal.talk(&format!("{} stays: {}\n", visible(name), visible(&why)));
        return Ok(None);
    }
    let bytes = Folder::open(folder)?.size();
    if !args.dry_run {
        remove(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    drop(lock);
    let verb = if args.dry_run { "would go" } else { "removed" };
    terminal.data(&format!("{} {verb}\n", visible(name)));
    Ok(Some(bytes))
}

/// Whether a run has no work left to resume; else why not.
fn over(folder: &Path) -> Result<(), String> {
    let state = || -> anyhow::Result<State> {
        let history = History::open(folder)?;
        Ok(history.outline()?.state(history.basis(), false))
    };
    match state() {
        Ok(State::Done | State::Unmet | State::Failed | State::Cancelled) => Ok(()),
        Ok(State::Paused | State::Running) => Err("it is paused; --unfinished removes it".to_owned()),
        Ok(State::Waiting) => {
            Err("its items wait for a person or an event; --unfinished removes it".to_owned())
        }
        Err(why) => Err(format!("{why:#}; --unfinished removes it")),
    }
}

fn remove(folder: &Path) -> std::io::Result<()> {
    let (runs, name) = Folder::above(folder)?;
    let mut aside = OsString::from(REMOVED);
    aside.push(&name);
    runs.rename(&name, &aside)?;
    runs.remove_all(&aside)
}

/// Removes folders of interrupted removals; returns their size in bytes.
fn sweep(folders: &[PathBuf]) -> u64 {
    let parents: BTreeSet<&Path> = folders.iter().filter_map(|folder| folder.parent()).collect();
    let mut freed = 0;
    for runs in parents.into_iter().filter_map(|parent| Folder::open(parent).ok()) {
        for (name, kind) in runs.entries().unwrap_or_default() {
            if kind == Kind::Folder && name.as_encoded_bytes().starts_with(REMOVED.as_bytes()) {
                let bytes = runs.folder(&name).map_or(0, |left| left.size());
                freed += runs.remove_all(&name).map_or(0, |()| bytes);
            }
        }
    }
    freed
}
