//! The runs of documents that the items in flight of a run are in: what waits within them for people or events.

use super::History;
use super::gates::Waiting;
use crate::engine::{Ahead, RetryRequest};
use crate::event::{EventKind, GateId, ItemEvent, ItemId, RunEvent};
use crate::journal;
use crate::runtime;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// How deep documents are looked for within each other.
const DEEPEST: usize = 100;

/// The run of a document within the run of another one, in flight.
pub struct InnerRun {
    pub home: PathBuf,
    /// The phases of the steps that lead to it, joined by `/`.
    pub path: String,
    /// The key of the item of the outermost run.
    pub key: Arc<str>,
    pub history: History,
}

impl InnerRun {
    /// What a gate of it is before, such as `Review/Check`.
    pub fn gated(&self, gate: GateId) -> String {
        let graph = &self.history.graph;
        let name = graph.gate(gate).map(|gate| graph.gate_name(gate)).unwrap_or_default();
        format!("{}/{name}", self.path)
    }

    /// Those that wait at its gates.
    ///
    /// # Errors
    /// Its journal is damaged.
    pub fn waiting(&self) -> anyhow::Result<Vec<Waiting>> {
        Ok(self.history.gates()?.waiting)
    }
}

impl History {
    /// Checks the journals of the documents that the items in flight, and those that are retried, have run: their steps
    /// or their compensations will need them.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn check_inner(&self, retried: &[RetryRequest]) -> anyhow::Result<()> {
        let retried: BTreeSet<ItemId> = retried.iter().map(|retry| retry.item).collect();
        self.check_items(&|item, settled| !settled || retried.contains(&item), 0)
    }

    fn check_items(&self, wanted: &dyn Fn(ItemId, bool) -> bool, deep: usize) -> anyhow::Result<()> {
        if self.graph.documents().next().is_none() || deep > DEEPEST {
            return Ok(());
        }
        let mut items: BTreeMap<ItemId, (Arc<str>, bool)> = BTreeMap::new();
        self.events(|event| {
            match &event.kind {
                EventKind::Item(item, ItemEvent::Settled { key, .. }) => match wanted(*item, true) {
                    true => drop(items.insert(*item, (key.clone(), true))),
                    false => drop(items.remove(item)),
                },
                EventKind::Item(
                    item,
                    ItemEvent::Admitted { key, .. }
                    | ItemEvent::Retried { key, .. }
                    | ItemEvent::Resolved { key, .. }
                    | ItemEvent::Revoked { key },
                ) => drop(items.insert(*item, (key.clone(), false))),
                EventKind::Run(RunEvent::StepsBegan) => {
                    items.insert(ItemId::RUN, ("run".into(), false));
                }
                EventKind::Run(RunEvent::StepsEnded(_)) => {
                    items.insert(ItemId::RUN, ("run".into(), true));
                }
                _ => {}
            }
            Ok(())
        })?;
        for (item, (key, settled)) in items {
            if !wanted(item, settled) {
                continue;
            }
            let name = if item == ItemId::RUN { "run" } else { &*key };
            for home in runtime::nested_homes(self.home(), &runtime::folder_name(item, name)) {
                if journal::is_there(&home) {
                    let inner = History::open(&home)?;
                    inner.outline()?;
                    inner.check_items(&|_, _| true, deep + 1)?;
                }
            }
        }
        Ok(())
    }

    /// The runs of documents in which items in flight are, and those within them; at most so many.
    ///
    /// # Errors
    /// A journal is damaged.
    pub fn inner_runs(&self, most: usize) -> anyhow::Result<Vec<InnerRun>> {
        let mut all = Vec::new();
        self.add_inner_runs(None, most, &mut all)?;
        Ok(all)
    }

    fn add_inner_runs(
        &self,
        outer: Option<(&str, &Arc<str>)>,
        most: usize,
        all: &mut Vec<InnerRun>,
    ) -> anyhow::Result<()> {
        let graph = &self.graph;
        let deep = outer.map_or(0, |(path, _)| path.split('/').count());
        if graph.documents().next().is_none() || deep > DEEPEST {
            return Ok(());
        }
        let run = self.fold(|_, _| {})?;
        for (item, key, at, ahead) in run.ahead() {
            let (Ahead::Again(attempt) | Ahead::WaitsInside(attempt)) = ahead else { continue };
            let step = graph.step(at.step);
            if step.document.is_none() || step.revokes || all.len() >= most {
                continue;
            }
            let name = if item == ItemId::RUN { "run" } else { &**key };
            let folder = runtime::folder_name(item, name);
            let Some(found) = runtime::nested_run(self.home(), &folder, &step.phase, at.element, attempt)
            else {
                continue;
            };
            let path = outer.map_or(step.phase.clone(), |(path, _)| format!("{path}/{}", step.phase));
            let key = outer.map_or(key, |(_, key)| key).clone();
            let history = History::open(&found.home)?;
            let inner = InnerRun { home: found.home, path, key, history };
            let at = all.len();
            all.push(inner);
            let InnerRun { path, key, .. } = &all[at];
            let (path, key) = (path.clone(), key.clone());
            let mut within = Vec::new();
            all[at].history.add_inner_runs(Some((&path, &key)), most - all.len(), &mut within)?;
            all.extend(within);
        }
        Ok(())
    }
}
