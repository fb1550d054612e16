//! The runs of documents that the items in flight of a run are in: what waits within them for people or events.

use super::History;
use super::gates::Waiting;
use crate::engine::Ahead;
use crate::event::{GateId, ItemId};
use crate::journal;
use crate::runtime;
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
            let runs = runtime::nested_runs(self.home(), &folder, &step.phase).into_iter();
            let same = |run: &runtime::NestedRun| (run.element, run.attempt) == (at.element, attempt);
            let Some(found) = runs.into_iter().find(same).filter(|run| journal::is_there(&run.home)) else {
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
