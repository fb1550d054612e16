//! The rows of documents that the steps of a run have run, read from the journals of their runs.

use super::History;
use crate::event::{AttemptEvent, Event, EventKind, ItemEvent, ItemId, Millis, StepId, StepPath};
use crate::graph::Graph;
use crate::journal;
use crate::runtime::{self, NestedRun};
use crate::session::{Entries, Entry, Layout, NestedRow, OuterRun, Row};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How deep documents are read within each other.
const DEEPEST: usize = 100;

/// The rows of documents, in groups: each comes before the row that an item got at this position.
pub type NestedRows = Vec<(usize, Vec<NestedRow>)>;

/// Follows a run, and finds the runs of documents that belong to the rows of its items.
pub struct NestedTrace {
    home: PathBuf,
    layout: Layout,
    /// The steps that run a document.
    steps: HashSet<StepId>,
    /// The attempts since the last row of a step, with their starts.
    begun: HashMap<(ItemId, StepPath), Vec<(u32, Millis)>>,
    items: HashMap<ItemId, ItemRows>,
}

/// The rows of an item in flight.
#[derive(Default)]
struct ItemRows {
    count: usize,
    /// Those of steps that run a document, with their positions.
    ran: Vec<(usize, RanDocument)>,
}

struct RanDocument {
    place: usize,
    path: StepPath,
    attempts: Vec<(u32, Millis)>,
    key: Option<Arc<str>>,
}

impl NestedTrace {
    /// For the run in the folder `home`.
    pub fn new(graph: &Graph, home: &Path) -> NestedTrace {
        let steps = graph.documents().map(|(id, _)| id).filter(|id| !graph.step(*id).revokes);
        NestedTrace {
            home: home.to_owned(),
            layout: Layout::of(graph),
            steps: steps.collect(),
            begun: HashMap::new(),
            items: HashMap::new(),
        }
    }

    /// Takes each event, before the entry that it makes.
    pub fn see(&mut self, event: &Event) {
        if let EventKind::Attempt(item, path, attempt, AttemptEvent::Started) = &event.kind
            && self.steps.contains(&path.step)
        {
            self.begun.entry((*item, *path)).or_default().push((*attempt, event.at));
        }
    }

    /// Takes each row.
    pub fn row(&mut self, item: ItemId, place: usize, element: Option<u32>, row: &Row) {
        let Some(step) = self.layout.phases.get(place).and_then(|phase| phase.step) else { return };
        if self.steps.is_empty() {
            return;
        }
        let rows = self.items.entry(item).or_default();
        let path = StepPath { step, element };
        if let Some(attempts) = self.begun.remove(&(item, path)) {
            let key = row.item.clone();
            rows.ran.push((rows.count, RanDocument { place, path, attempts, key }));
        }
        rows.count += 1;
    }

    /// The items with rows, without those whose rows have been taken.
    pub fn items(&self) -> Vec<ItemId> {
        let mut items: Vec<ItemId> = self.items.keys().copied().collect();
        items.sort_unstable();
        items
    }

    /// Reads the rows of the documents of an item that ends.
    ///
    /// # Errors
    /// The journal of such a run is damaged.
    pub fn take(&mut self, item: ItemId) -> anyhow::Result<NestedRows> {
        let Some(ItemRows { ran, .. }) = self.items.remove(&item) else { return Ok(Vec::new()) };
        // A journal from elsewhere may lead in a circle of folders.
        if self.home.components().filter(|part| part.as_os_str() == "children").count() > DEEPEST {
            return Ok(Vec::new());
        }
        let mut folders: HashMap<usize, Vec<NestedRun>> = HashMap::new();
        let mut read: HashMap<PathBuf, Vec<AttemptRows>> = HashMap::new();
        let mut all = Vec::new();
        for (position, RanDocument { place, path, attempts, key }) in ran {
            let Some(phase) = self.layout.phases.get(place) else { continue };
            let runs = folders.entry(place).or_insert_with(|| {
                let folder = runtime::folder_name(item, key.as_deref().unwrap_or("run"));
                runtime::nested_runs(&self.home, &folder, &phase.name)
            });
            let mut rows = Vec::new();
            for (attempt, began) in attempts {
                // It may have continued the run of an earlier one.
                let own = runs.iter().filter(|run| run.element == path.element && run.attempt <= attempt);
                let Some(run) = own.rev().find(|run| journal::is_there(&run.home)) else { continue };
                if !read.contains_key(&run.home) {
                    read.insert(run.home.clone(), rows_of(&run.home, run.attempt)?);
                }
                let parts = read.get_mut(&run.home).into_iter().flatten();
                for part in parts.filter(|part| part.attempt == attempt) {
                    let (phase, element, item) = (&*phase.name, path.element, key.as_ref());
                    let began = began.saturating_sub(part.since);
                    let outer = OuterRun { phase, place, element, attempt, began, item };
                    rows.extend(std::mem::take(&mut part.rows).into_iter().map(|row| row.within(&outer)));
                }
            }
            if !rows.is_empty() {
                all.push((position, rows));
            }
        }
        Ok(all)
    }
}

/// The rows that a run of a document got in an attempt of its step.
struct AttemptRows {
    attempt: u32,
    /// When the attempt began, in the time of the run.
    since: Millis,
    rows: Vec<NestedRow>,
}

/// The rows of the run of a document by the attempts that have moved it on, each in the order of its own trace; `began_by`
/// is the first of them.
fn rows_of(home: &Path, began_by: u32) -> anyhow::Result<Vec<AttemptRows>> {
    let part = |attempt, since| AttemptRows { attempt, since, rows: Vec::new() };
    let history = History::open(home)?;
    let (mut entries, layout) = (Entries::new(&history.graph), Layout::of(&history.graph));
    let mut nested = NestedTrace::new(&history.graph, home);
    let (mut rows, mut parts) = (Vec::new(), vec![part(began_by, 0)]);
    history.replay(|event| {
        if let EventKind::Item(_, ItemEvent::Retried { attempt: Some(attempt), .. }) = &event.kind {
            parts.push(part(*attempt, event.at));
        }
        nested.see(event);
        if let Some(Entry::Row { item, place, element, row, .. }) = entries.take(event) {
            nested.row(item, place, element, &row);
            rows.push((place, element, Vec::new(), row, parts.len() - 1));
        }
        Ok(())
    })?;
    // It has one item.
    for (position, before) in nested.take(ItemId(0))? {
        if let Some(row) = rows.get_mut(position) {
            row.2 = before;
        }
    }
    rows.sort_by_key(|(place, element, ..)| (*place, *element));
    for (place, _, before, row, at) in rows {
        if let Some(part) = parts.get_mut(at) {
            part.rows.extend(before.into_iter().chain([NestedRow::of(&layout, place, row)]));
        }
    }
    Ok(parts)
}
