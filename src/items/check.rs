//! Items are checked whole before the first one runs, then streamed in the same order.

use super::keys::{Keys, Suspects};
use super::raw::{Fault, Item, Raw, SourcePlace};
use super::{Shape, Source};
use crate::diag::nearest;
use crate::event::Values;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// The most problems that are stored; the others are only counted.
const KEPT: usize = 20;

/// How a second item with the same key is treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Duplicates {
    #[default]
    Error,
    /// Only the first item of a key runs.
    Skip,
}

/// Items that have not been checked yet.
#[derive(Debug)]
pub struct Items {
    pub source: Source,
    pub shape: Shape,
    pub duplicates: Duplicates,
    /// The keys of the only items to run; empty for all.
    pub only: Vec<String>,
}

/// Items that have been read and checked once.
pub struct Checked {
    items: Items,
    suspects: Suspects,
    only: HashSet<String>,
    /// How many items the source has.
    read: u64,
    /// How many items are to run.
    pub total: u64,
    /// How many are left out because an earlier item has the same key.
    pub skipped: u64,
    pub problems: ItemProblems,
    /// Keys of `only` that no item has, each with the nearest existing one.
    pub unknown: Vec<(String, Option<String>)>,
}

/// The problems of the items: the first ones, and their number.
#[derive(Debug, Default)]
pub struct ItemProblems {
    pub first: Vec<ItemProblem>,
    pub count: u64,
}

/// One problem of an item, or of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemProblem {
    /// The file, or a name for a source without one.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The column in characters, from 1.
    pub column: u64,
    pub message: String,
}

/// The error when the keys of many items cannot be written to disk.
const ASIDE: &str = "cannot set the keys of the items aside in the folder for temporary files";

type Good = (Arc<str>, Values);

impl Items {
    /// Reads and checks all items.
    ///
    /// # Errors
    /// When they cannot be read, or have problems.
    pub fn check(mut self) -> anyhow::Result<Checked> {
        let mut keys = Keys::default();
        let mut problems = ItemProblems::default();
        let only: HashSet<String> = self.only.iter().cloned().collect();
        let mut found: HashSet<String> = HashSet::new();
        let (mut read, mut total) = (0, 0);
        for raw in self.source.read(&self.shape)? {
            let item = match raw.with_context(|| self.cannot())? {
                Raw::Fault(fault) => {
                    self.add(&mut problems, None, &fault);
                    continue;
                }
                Raw::Item(item) => item,
            };
            read += 1;
            let file = item.file.clone();
            match self.good(item, read) {
                Ok((key, _)) => {
                    keys.push(&key).context(ASIDE)?;
                    if only.contains(&*key) {
                        found.insert(key.to_string());
                    }
                    total += u64::from(only.is_empty() || only.contains(&*key));
                }
                Err(faults) => {
                    faults.iter().for_each(|fault| self.add(&mut problems, file.as_deref(), fault))
                }
            }
        }
        let suspects = keys.suspects().context(ASIDE)?;
        let doubles = self.doubles(&suspects, &only)?;
        let mut skipped = 0;
        match self.duplicates {
            Duplicates::Error => problems.add_all(doubles),
            Duplicates::Skip => skipped = doubles.count,
        }
        problems.sort();
        let unknown = self.only.iter().filter(|key| !found.contains(*key)).cloned().collect();
        // From here on a step may move a file away that an item names.
        self.shape.files.checked = false;
        let unknown = if problems.count == 0 { self.with_nearest(unknown)? } else { Vec::new() };
        Ok(Checked { items: self, suspects, only, read, total: total - skipped, skipped, problems, unknown })
    }

    /// The items whose key is a duplicate; with `skip`, among those that are to run.
    fn doubles(&self, suspects: &Suspects, only: &HashSet<String>) -> anyhow::Result<ItemProblems> {
        let mut firsts: HashMap<Arc<str>, (SourcePlace, Option<Arc<Path>>)> = HashMap::new();
        let mut problems = ItemProblems::default();
        if suspects.is_empty() {
            return Ok(problems);
        }
        for (number, item) in (1..).zip(self.items()?) {
            let item = item?;
            let (place, file) = (item.place, item.file.clone());
            let Ok((key, _)) = self.good(item, number) else { continue };
            let counts = self.duplicates == Duplicates::Error || only.is_empty() || only.contains(&*key);
            if !suspects.holds(&key) || !counts {
                continue;
            }
            let Some((first, first_file)) = firsts.get(&key) else {
                firsts.insert(key, (place, file));
                continue;
            };
            let before = match first_file {
                Some(file) => format!("in {}", file.display()),
                None => format!("on line {}", self.source.locate(*first).0),
            };
            let fault = place.fault(format!("duplicate key `{key}`, first used {before}"));
            self.add(&mut problems, file.as_deref(), &fault);
        }
        Ok(problems)
    }

    /// Pairs each unknown key with the nearest key of an item.
    fn with_nearest(&self, unknown: Vec<String>) -> anyhow::Result<Vec<(String, Option<String>)>> {
        let mut unknown: Vec<(String, Option<String>)> = unknown.into_iter().map(|key| (key, None)).collect();
        if unknown.is_empty() {
            return Ok(unknown);
        }
        for (number, item) in (1..).zip(self.items()?) {
            let Ok((key, _)) = self.good(item?, number) else { continue };
            for (written, near) in &mut unknown {
                let known = near.as_deref().into_iter().chain([&*key]);
                *near = nearest(written, known).map(str::to_owned);
            }
        }
        Ok(unknown)
    }

    fn items(&self) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Item>> + '_> {
        let item = |raw: anyhow::Result<Raw>| match raw.with_context(|| self.cannot()) {
            Ok(Raw::Item(item)) => Some(Ok(item)),
            Ok(Raw::Fault(_)) => None,
            Err(error) => Some(Err(error)),
        };
        Ok(self.source.read(&self.shape)?.filter_map(item))
    }

    fn cannot(&self) -> String {
        format!("cannot read the items in {}", self.source.name)
    }

    fn good(&self, item: Item, number: u64) -> Result<Good, Vec<Fault>> {
        let value = item.value?;
        let wrong = |message: String| vec![item.place.fault(message)];
        let number = number.to_string();
        let key = self.shape.key(&value, item.name.as_deref().unwrap_or(&number)).map_err(wrong)?;
        Ok((key, self.shape.inputs(value, item.file.as_deref()).map_err(wrong)?))
    }

    fn add(&self, problems: &mut ItemProblems, file: Option<&Path>, fault: &Fault) {
        problems.count += 1;
        if problems.first.len() < KEPT {
            problems.first.push(self.problem(file, fault));
        }
    }

    fn problem(&self, file: Option<&Path>, fault: &Fault) -> ItemProblem {
        let (line, column) = self.source.locate(fault.place);
        let file = file.map_or_else(|| self.source.name.clone(), |file| file.display().to_string());
        ItemProblem { file, line, column, message: fault.message.clone() }
    }
}

impl ItemProblems {
    fn add_all(&mut self, other: ItemProblems) {
        self.count += other.count;
        self.first.extend(other.first);
    }

    fn sort(&mut self) {
        self.first.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        self.first.truncate(KEPT);
    }
}

impl Checked {
    /// The source of the items.
    pub fn source(&mut self) -> &mut Source {
        &mut self.items.source
    }

    /// How many items the source has.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Streams the items to run.
    ///
    /// # Errors
    /// When they cannot be read again. The iterator returns an error if they have changed since the check.
    pub fn stream(&self) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Good>> + '_> {
        let mut number = 0;
        let mut seen: HashSet<Arc<str>> = HashSet::new();
        Ok(self.items.items()?.filter_map(move |item| {
            let item = match item {
                Ok(item) => item,
                Err(error) => return Some(Err(error)),
            };
            number += 1;
            let (file, place) = (item.file.clone(), item.place);
            let (key, values) = match self.items.good(item, number) {
                Ok(good) => good,
                Err(faults) => {
                    // The problems of a header are not repeated for its rows.
                    let columns = place.fault("the columns are others");
                    return Some(Err(self.changed(file.as_deref(), faults.first().unwrap_or(&columns))));
                }
            };
            let wanted = self.only.is_empty() || self.only.contains(&*key);
            let double = self.suspects.holds(&key) && !seen.insert(key.clone());
            (wanted && !double).then_some(Ok((key, values)))
        }))
    }

    fn changed(&self, file: Option<&Path>, fault: &Fault) -> anyhow::Error {
        let ItemProblem { file, line, message, .. } = self.items.problem(file, fault);
        anyhow::anyhow!("{file}:{line}: {message}; the file has changed since it was checked")
    }
}
