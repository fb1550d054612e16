//! The runs of documents that the items in flight of a run are in: what waits within them for people or events.

use super::gates::Waiting;
use super::used::Begun;
use super::{History, InnerEnds};
use crate::adapter::UsedEvents;
use crate::engine::{Ahead, RetryRequest, Run};
use crate::event::{Arrival, EventKind, GateId, ItemEvent, ItemId, RunEvent, UnixMillis};
use crate::journal;
use crate::runtime;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How deep documents are looked for within each other.
const DEEPEST: usize = 100;

/// The run of a document within the run of another one, in flight.
pub struct InnerRun {
    pub home: PathBuf,
    /// The phases of the steps that lead to it, joined by `/`.
    pub path: String,
    /// The item of the outermost run, and its key.
    pub item: ItemId,
    pub key: Arc<str>,
    pub history: History,
    /// The events that its steps took on earlier visits.
    used: UsedEvents,
}

/// A step of a document that waits for an event.
#[derive(Clone, Debug)]
pub struct InnerAwaiting {
    /// The phases of the steps that lead to it, and its own, such as `Review/Check`.
    pub title: String,
    /// The type of the event.
    pub event: String,
    /// What the event's subject must be.
    pub subject: Arc<str>,
    /// The item of the outermost run, and its key.
    pub item: ItemId,
    pub key: Arc<str>,
    pub since: UnixMillis,
    /// Whether its event has come meanwhile: it is taken once the run continues.
    pub stored: bool,
    /// Why it does not take an event that is to be sent to it; `None` if it takes it.
    pub refusal: Option<String>,
}

impl InnerRun {
    /// What a gate of it is before, such as `Review/Check`.
    pub fn gated(&self, gate: GateId) -> String {
        let graph = &self.history.graph;
        let name = graph.gate(gate).map(|gate| graph.gate_name(gate)).unwrap_or_default();
        format!("{}/{name}", self.path)
    }

    /// The steps of it that wait for an event; `outer` is the outermost run, which holds what has come. With an event
    /// that is to be sent, only those for which it is meant.
    pub(super) fn awaiting(&self, outer: &Run, sent: Option<&Arrival>) -> anyhow::Result<Vec<InnerAwaiting>> {
        let graph = &self.history.graph;
        if graph.awaited_here().is_empty() {
            return Ok(Vec::new());
        }
        let mut run = self.history.fold(|_, _| {})?;
        for (phase, ids) in &self.used {
            graph.by_phase(phase).into_iter().for_each(|step| run.use_up(step, ids));
        }
        let mut all = Vec::new();
        for (item, _, step, subject, since) in run.awaiting() {
            let Some(awaits) = &graph.step(step).awaits else { continue };
            let is_for = |sent: &Arrival| sent.kind == awaits.event && *sent.subject == **subject;
            if sent.is_some_and(|sent| !is_for(sent)) {
                continue;
            }
            let come = outer.events_for(&awaits.event, subject);
            let mut new = come.filter(|event| !run.knows_event(&event.id));
            let stored =
                run.stored_event(item, step).is_some() || new.any(|event| run.takes(item, step, event));
            all.push(InnerAwaiting {
                title: format!("{}/{}", self.path, graph.step(step).phase),
                event: awaits.event.clone(),
                subject: subject.clone(),
                item: self.item,
                key: self.key.clone(),
                since,
                stored,
                refusal: sent.and_then(|sent| run.refusal_of(item, step, sent)),
            });
        }
        Ok(all)
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
    /// or their compensations will need them. `known` is what this user's commands have left there.
    ///
    /// # Errors
    /// One of them cannot be read, or has other rows.
    pub fn check_inner(&self, retried: &[RetryRequest], known: &InnerEnds) -> anyhow::Result<()> {
        let retried: BTreeSet<ItemId> = retried.iter().map(|retry| retry.item).collect();
        self.check_items(&|item, settled| !settled || retried.contains(&item), (self.home(), known), 0)
    }

    fn check_items(
        &self,
        wanted: &dyn Fn(ItemId, bool) -> bool,
        (outermost, known): (&Path, &InnerEnds),
        deep: usize,
    ) -> anyhow::Result<()> {
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
                    known.check(outermost, &inner)?;
                    inner.outline()?;
                    inner.check_items(&|_, _| true, (outermost, known), deep + 1)?;
                }
            }
        }
        Ok(())
    }

    /// The steps in these runs of documents that wait for an event; with one that is to be sent, those for which it is
    /// meant.
    ///
    /// # Errors
    /// A journal is damaged.
    pub fn inner_awaits(
        &self,
        runs: &[InnerRun],
        sent: Option<&Arrival>,
    ) -> anyhow::Result<Vec<InnerAwaiting>> {
        if !self.graph.has_inner_events() || runs.is_empty() {
            return Ok(Vec::new());
        }
        let outer = self.fold(|_, _| {})?;
        let mut all = Vec::new();
        for run in runs {
            all.extend(run.awaiting(&outer, sent)?);
        }
        Ok(all)
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
        outer: Option<&InnerRun>,
        most: usize,
        all: &mut Vec<InnerRun>,
    ) -> anyhow::Result<()> {
        let graph = &self.graph;
        let deep = outer.map_or(0, |outer| outer.path.split('/').count());
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
            let path = outer.map_or(step.phase.clone(), |outer| format!("{}/{}", outer.path, step.phase));
            let history = History::open(&found.home)?;
            let used = match step.inside.awaits.is_empty() {
                true => UsedEvents::new(),
                false => {
                    let call = run.call(item, at);
                    let key = call.map(|call| runtime::keys_of(&self.header().run, graph, &call).0);
                    let key = key.unwrap_or_default();
                    let (home, phase, element) = (self.home(), step.phase.as_str(), at.element);
                    let attempt = found.attempt;
                    let begun = Begun { home, folder: &folder, phase, element, attempt, key: &key };
                    begun.used(outer.map_or(&UsedEvents::new(), |outer| &outer.used))?
                }
            };
            let (item, key) = outer.map_or((item, key), |outer| (outer.item, &outer.key));
            let inner = InnerRun { home: found.home, path, item, key: key.clone(), history, used };
            let mut within = Vec::new();
            inner.history.add_inner_runs(Some(&inner), most - all.len() - 1, &mut within)?;
            all.push(inner);
            all.extend(within);
        }
        Ok(())
    }
}
