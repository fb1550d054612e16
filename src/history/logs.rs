//! Which logs of a run are asked for: its own, and those of the documents that its steps have run, also below each other.
//! Reads no logs.

use super::History;
use crate::event::{EventKind, ItemEvent, ItemId};
use crate::graph::Step;
use crate::journal::{
    self,
    logs::{LogFilter, LogPart},
};
use crate::runtime::{self, NestedRun};
use std::path::{Path, PathBuf};

/// How deep documents are looked for within each other.
const DEEPEST: usize = 100;

/// Some of the logs of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct WantedLogs<'a> {
    /// A step, or one within the document that a step runs, as in `Review/Check`.
    pub step: Option<&'a str>,
    /// The key of an item; `run` for the steps for all items.
    pub item: Option<&'a str>,
    /// The number of an attempt of the step; without a step, of any step of the run itself.
    pub attempt: Option<u32>,
}

/// The run of a document whose logs are asked for.
pub struct InnerLogs {
    pub home: PathBuf,
    pub filter: LogFilter,
    around: Around,
}

/// The steps around the run of a document, each with a slash behind it, and when it began after the outermost run.
#[derive(Clone, Default)]
struct Around {
    title: String,
    phase: String,
    since: i64,
}

impl Around {
    fn in_step(&self, step: &Step, since: i64) -> Around {
        let Around { title, phase, since: before } = self;
        Around {
            title: format!("{title}{}/", step.title),
            phase: format!("{phase}{}/", step.phase),
            since: before + since,
        }
    }
}

impl InnerLogs {
    /// A part of its log as the outermost run has it.
    pub fn outside(&self, part: LogPart) -> LogPart {
        let title = format!("{}{}", self.around.title, part.title);
        let phase = format!("{}{}", self.around.phase, part.phase);
        LogPart { title, phase, at: part.at.saturating_add_signed(self.around.since), ..part }
    }
}

impl WantedLogs<'_> {
    /// Those of the run in `home` itself; `None` if the step is not its own.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn own(&self, home: &Path) -> anyhow::Result<Option<LogFilter>> {
        let (key, attempt) = (self.item.map(str::to_owned), self.attempt);
        let Some(name) = self.step else { return Ok(Some(LogFilter { key, steps: None, attempt })) };
        let steps = phases(&History::open(home)?, name);
        Ok((!steps.is_empty()).then_some(LogFilter { key, steps: Some(steps), attempt }))
    }

    /// Those of documents that steps of the run in `home` have run. `None` if the step is neither in the run nor in one of
    /// these documents.
    ///
    /// # Errors
    /// A journal is damaged.
    pub fn inner(&self, home: &Path) -> anyhow::Result<Option<Vec<InnerLogs>>> {
        let items = match self.item {
            Some(key) => items_of(home, key),
            None => runtime::nested_items(home),
        };
        if items.is_empty() && self.step.is_none() {
            return Ok(Some(Vec::new()));
        }
        let mut all = Vec::new();
        let known = self.add(&History::open(home)?, items, &Around::default(), &mut all)?;
        Ok(known.then_some(all))
    }

    /// Adds those of the runs within this one. Returns whether the step is known.
    fn add(
        &self,
        outer: &History,
        items: Vec<String>,
        around: &Around,
        all: &mut Vec<InnerLogs>,
    ) -> anyhow::Result<bool> {
        let graph = &outer.graph;
        let own = self.step.map(|name| phases(outer, name)).filter(|phases| !phases.is_empty());
        let deeper = self.step.filter(|_| own.is_none());
        let (first, rest) = match deeper {
            Some(path) => match path.split_once('/') {
                Some((first, rest)) => (Some(phases(outer, first)), Some(rest)),
                None => return Ok(false),
            },
            None => (own, None),
        };
        let wanted =
            |step: &&Step| !step.revokes && first.as_ref().is_none_or(|phases| phases.contains(&step.phase));
        let documents = graph.documents().map(|(id, _)| graph.step(id)).filter(wanted);
        let documents: Vec<&Step> = documents.collect();
        // Whether a document has the step is known once it has run.
        let (mut known, mut runs) = (rest.is_none(), 0);
        for item in items {
            for step in &documents {
                // One that was refused, or whose runner died as it began, has a folder only.
                let found = runtime::nested_runs(outer.home(), &item, &step.phase).into_iter();
                for run in found.filter(|run| journal::is_there(&run.home)) {
                    let inner = History::open(&run.home)?;
                    if inner.home().components().filter(|part| part.as_os_str() == "children").count()
                        > DEEPEST
                    {
                        continue;
                    }
                    let around = around.in_step(step, begin(&inner).saturating_sub(begin(outer)));
                    if rest.is_none() && !self.ran_in(&run, &inner)? {
                        continue;
                    }
                    runs += 1;
                    let within = match rest {
                        Some(_) => WantedLogs { step: rest, ..*self },
                        None => WantedLogs::default(),
                    };
                    if let Some(filter) = within.own(&run.home)? {
                        all.push(InnerLogs { home: run.home, filter, around: around.clone() });
                        known = true;
                    }
                    let items = runtime::nested_items(inner.home());
                    known |= within.add(&inner, items, &around, all)?;
                }
            }
        }
        Ok(known || runs == 0 && !documents.is_empty())
    }

    /// Whether the wanted attempt of its step has begun or continued the run.
    fn ran_in(&self, run: &NestedRun, inner: &History) -> anyhow::Result<bool> {
        let Some(wanted) = self.attempt.filter(|wanted| *wanted != run.attempt) else { return Ok(true) };
        let mut found = false;
        inner.events(|event| {
            if let EventKind::Item(_, ItemEvent::Retried { attempt: Some(by), .. }) = &event.kind {
                found |= *by == wanted;
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// The phases of the steps that a name means.
fn phases(history: &History, name: &str) -> Vec<String> {
    history.graph.called(name).into_iter().map(|id| history.graph.step(id).phase.clone()).collect()
}

/// The names of the folders of an item with this key for which the run in `home` has run documents; `run` means the
/// steps for all items, unless an item has this key.
fn items_of(home: &Path, key: &str) -> Vec<String> {
    let (own, once): (Vec<String>, Vec<String>) =
        runtime::nested_items(home).into_iter().partition(|folder| folder.contains('-'));
    let is = |folder: &String| {
        let number = folder.split_once('-').and_then(|(number, _)| number.parse().ok());
        number.is_some_and(|number| runtime::nested_item(ItemId(number), key) == *folder)
    };
    let own: Vec<String> = own.into_iter().filter(is).collect();
    if own.is_empty() && key == "run" { once } else { own }
}

/// When a run began, in milliseconds.
fn begin(history: &History) -> i64 {
    history.header().started.parse().map_or(0, |began: jiff::Timestamp| began.as_millisecond())
}
