//! The events that the steps of runs of documents have taken. A step takes an event once, also if another run of its
//! document follows: in the next round of a loop, and after a compensation.

use super::History;
use super::earlier::run_id;
use crate::adapter::{Call, Context, UsedEvents};
use crate::event::{EventKind, ItemEvent, ItemId, StepEvent};
use crate::journal;
use crate::runtime::{self, NestedRun};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// How deep documents are looked for within each other.
const DEEPEST: usize = 100;

/// The events that the steps of a run have taken, and those of the documents that it runs, as long as at most `most` runs
/// of documents are read. Returns whether all were.
///
/// # Errors
/// A journal is damaged.
pub fn taken(history: &History, most: &mut usize, into: &mut UsedEvents) -> anyhow::Result<bool> {
    add(history, "", (most, 0), into)
}

fn add(
    history: &History,
    above: &str,
    (most, deep): (&mut usize, usize),
    into: &mut UsedEvents,
) -> anyhow::Result<bool> {
    let graph = &history.graph;
    let mut keys: BTreeMap<ItemId, Arc<str>> = BTreeMap::from([(ItemId::RUN, "run".into())]);
    history.fold(|event, run| match &event.kind {
        EventKind::Item(item, ItemEvent::Admitted { key, .. }) => drop(keys.insert(*item, key.clone())),
        EventKind::Step(_, StepEvent::EventTaken { step, event, .. }) => {
            if let Some(arrival) = run.event(*event) {
                let path = format!("{above}{}", graph.step(*step).phase);
                into.entry(path).or_default().insert(arrival.id.clone());
            }
        }
        _ => {}
    })?;
    if deep > DEEPEST {
        return Ok(false);
    }
    for (step, _) in graph.documents().filter(|(step, _)| !graph.step(*step).revokes) {
        let phase = &graph.step(step).phase;
        for (item, key) in &keys {
            for run in runtime::nested_runs(history.home(), &runtime::folder_name(*item, key), phase) {
                if *most == 0 {
                    return Ok(false);
                }
                *most -= 1;
                if !journal::is_there(&run.home) {
                    continue;
                }
                let within = format!("{above}{}/", of(phase, run.element));
                if !add(&History::open(&run.home)?, &within, (most, deep + 1), into)? {
                    return Ok(false);
                }
            }
        }
    }
    Ok(true)
}

/// What a step, or one of its executions for an element, is called here.
fn of(phase: &str, element: Option<u32>) -> String {
    element.map_or_else(|| phase.to_owned(), |element| format!("{phase}[{element}]"))
}

/// The run of a document that a step has begun.
pub struct Begun<'a> {
    /// The folder of the run around it, and the name of the item's folder there.
    pub home: &'a Path,
    pub folder: &'a str,
    pub phase: &'a str,
    pub element: Option<u32>,
    /// The attempt that has begun it.
    pub attempt: u32,
    /// The key of the step's effect, which is another one on another visit.
    pub key: &'a str,
}

impl Begun<'_> {
    /// The events that the steps of the document took before this run of it; `outer` are those that the steps of the run
    /// around it took.
    ///
    /// # Errors
    /// The journal of an earlier run is damaged.
    pub fn used(&self, outer: &UsedEvents) -> anyhow::Result<UsedEvents> {
        let within = format!("{}/", of(self.phase, self.element));
        let inner = |(path, ids): (&String, &BTreeSet<String>)| {
            Some((path.strip_prefix(&within)?.to_owned(), ids.clone()))
        };
        let mut all: UsedEvents = outer.iter().filter_map(inner).collect();
        let earlier = |run: &NestedRun| run.element == self.element && run.attempt < self.attempt;
        let runs = runtime::nested_runs(self.home, self.folder, self.phase).into_iter().filter(earlier);
        for run in runs.filter(|run| journal::is_there(&run.home)) {
            let history = History::open(&run.home)?;
            let name = runtime::attempt_name(self.phase, run.element, run.attempt);
            let same_visit = history.header().run == run_id(self.key, &name);
            // A step that was not compensated keeps the event that it had.
            if !same_visit || is_compensated(&history)? {
                let mut most = usize::MAX;
                taken(&history, &mut most, &mut all)?;
            }
        }
        Ok(all)
    }
}

/// The same for the run that a call continues or begins.
///
/// # Errors
/// The journal of an earlier run is damaged.
pub fn before(call: &Call, began_by: u32) -> anyhow::Result<UsedEvents> {
    let Context { step, element, idempotency_key, .. } = &call.context;
    let begun = Begun {
        home: &call.home,
        folder: &call.place.0,
        phase: step,
        element: *element,
        attempt: began_by,
        key: idempotency_key,
    };
    begun.used(call.events.used())
}

fn is_compensated(history: &History) -> anyhow::Result<bool> {
    let counts = history.outline()?.counts(history.basis());
    Ok(counts.compensated > 0 || counts.compensation_failed > 0)
}

/// The ids of all of these events.
pub fn ids(used: &UsedEvents) -> BTreeSet<&str> {
    used.values().flatten().map(String::as_str).collect()
}
