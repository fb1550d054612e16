//! `orderflow resume --use-current`: whether the document as it is now can take the place of the one that a run has gone
//! by so far. What has begun must be what it was; all else may change.

use super::super::document::Document;
use super::super::exit::{Exit, Stop};
use super::super::terminal::Terminal;
use super::generations::Numbers;
use super::keep::{self, Past};
use super::look::KeptRun;
use super::{Args, inputs, part, retries, unreadable};
use crate::diag::nearest;
use crate::diag::render::visible;
use crate::engine::{Limits, Policy, Run};
use crate::event::{Event, ItemId, StepId, StepPath, Values};
use crate::graph::Graph;
use crate::items::Shape;
use crate::journal::{self, Revision};
use crate::spec::OnItemError;
use crate::view::difference;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Lines of a difference that are shown.
const LINES: usize = 20;

/// What a run has begun by the document of before.
struct Begun {
    /// How many items have begun a step, and the first of them.
    steps: BTreeMap<StepId, (usize, Arc<str>)>,
    /// What items lack that may still go on, by the item.
    lacking: BTreeMap<ItemId, (Arc<str>, String)>,
}

/// A document that is to take the place of another.
pub struct Current<'a> {
    document: &'a Document,
    /// The steps that are to run.
    graph: Graph,
    /// What each item must bring.
    shape: Shape,
}

impl<'a> Current<'a> {
    /// # Errors
    /// Stops where the document lacks a step that alone is to run.
    pub fn of(args: &Args, document: &'a Document, graph: &Graph) -> anyhow::Result<Current<'a>> {
        let part = part::choose(args, graph.clone())?;
        let given = args.given.as_ref().map(|given| inputs::given_before(given, &part)).unwrap_or_default();
        let shape = Shape::new(&part.graph, given, None);
        Ok(Current { document, graph: part.graph, shape })
    }

    /// What the journal is to keep of it; none where the text is the same.
    ///
    /// # Errors
    /// Stops, after showing why, where it cannot take the other one's place.
    pub fn revision(&self, past: &Past, terminal: &mut Terminal) -> anyhow::Result<Option<Revision>> {
        let source = &self.document.source;
        if past.header().document.text == source.text {
            return Ok(None);
        }
        let (header, records) = journal::read(&past.home).map_err(unreadable)?;
        let before = KeptRun::of(header, &records)?;
        let begun = Begun::by(&before, records, self, !past.retry.is_empty())?;
        let mut problems = self.changed(&before.graph, &begun);
        let name = visible(&source.name);
        problems.extend(begun.lacking.values().next().map(|(item, why)| {
            let (item, why) = (visible(item), visible(why));
            format!("{name}: {item} was admitted without what it needs now: {why}")
        }));
        if problems.is_empty() {
            problems.extend(self.impossible(&past.home, &before)?);
        }
        if !problems.is_empty() {
            problems.iter().for_each(|problem| terminal.talk(&format!("{problem}\n")));
            let message = format!("the run cannot go on with {name} as it is now; nothing was run");
            let help =
                "steps that have not begun may change; bring back what has, or go on without --use-current";
            return Err(Stop::new(Exit::Changed, message).help(help).into());
        }
        let document = journal::Document { path: source.name.clone(), text: source.text.clone() };
        Ok(Some(Revision { document, definition: keep::definition(&self.graph) }))
    }

    /// What has begun and is not what it was.
    fn changed(&self, before: &Graph, begun: &Begun) -> Vec<String> {
        let name = visible(&self.document.source.name);
        let mut problems = Vec::new();
        for (id, (count, first)) in &begun.steps {
            let old = before.step(*id);
            let (title, first) = (visible(&old.title), visible(first));
            let items = match count {
                1 => first,
                2 => format!("{first} and another item"),
                more => format!("{first} and {} other items", more - 1),
            };
            let Some(new) = self.graph.by_phase(&old.phase) else {
                let near = nearest(&old.title, self.graph.steps.iter().map(|step| &*step.title));
                let near =
                    near.map(|near| format!("; if it is called {} now, bring back its title", visible(near)));
                let near = near.unwrap_or_default();
                problems.push(format!("{name}: {title} has begun for {items} and is gone{near}"));
                continue;
            };
            let (was, is) = (before.meaning(*id), self.graph.meaning(new));
            if was != is {
                let line = self.graph.step(new).line;
                let all = difference(&was, &is);
                let lines = all.iter().take(LINES).map(|line| format!("\n    {}", visible(line)));
                let more = all.len().saturating_sub(LINES);
                let more = (more > 0).then(|| format!("\n    … and {more} more lines"));
                let lines: String = lines.chain(more).collect();
                problems
                    .push(format!("{name}:{line}: {title} has begun for {items} and has changed:{lines}"));
            }
        }
        problems
    }

    /// What an item that was admitted does not bring.
    fn lacks(&self, inputs: &Values, before: &Graph) -> Option<String> {
        self.shape.lacking().into_iter().find_map(|name| {
            let Some((_, value)) = inputs.iter().find(|(id, _)| before.value(*id).name == name) else {
                return Some(format!("\"{name}\""));
            };
            let info = self.graph.values.iter().find(|info| info.name == name)?;
            Some(info.ty.as_ref()?.fits(value).err()?.of(name))
        })
    }

    /// Why what has happened could not have happened by this document, though each step is what it was.
    fn impossible(&self, home: &Path, before: &KeptRun) -> anyhow::Result<Option<String>> {
        let mut retries = retries(home)?;
        let (_, records) = journal::read(home).map_err(unreadable)?;
        let numbers = Numbers::between(&before.graph, &self.graph);
        let policy = Policy {
            limits: Limits::jobs(usize::MAX),
            tolerate: before.tolerate,
            on_item_error: OnItemError::Continue,
        };
        let graph = Arc::new(self.graph.clone());
        let mut run = Run::new(graph.clone(), policy);
        let mut why = None;
        before.events(records, |event| {
            let mut event = event.clone();
            if why.is_some() || !numbers.translate(&mut event, &graph) {
                return Ok(());
            }
            if let Some((item, path)) = begins(&event)
                && let Some(key) = run.awaits(item, path)
            {
                let step = graph.step(path.step);
                let (name, title) = (visible(&self.document.source.name), visible(&step.title));
                let key = visible(key);
                why = Some(format!(
                    "{name}:{}: {title} has begun for {key}, and waits for other steps now",
                    step.line
                ));
            }
            if run.recall_past(&event, &mut retries).is_err() && why.is_none() {
                let name = visible(&self.document.source.name);
                why = Some(format!("{name}: what the run has done cannot have happened by this document"));
            }
            Ok(())
        })?;
        Ok(why)
    }
}

/// What an event says to have come to its turn.
fn begins(event: &Event) -> Option<(ItemId, StepPath)> {
    match event {
        Event::AttemptStarted { item, step, .. } => Some((*item, *step)),
        Event::ConditionHeld { item, step, .. } => Some((*item, (*step).into())),
        Event::StepEnded { item, execution } => Some((*item, execution.path())),
        _ => None,
    }
}

impl Begun {
    /// Where items are retried, a step that has failed for one is ahead of it once more, as it is now.
    fn by(
        before: &KeptRun,
        records: journal::Records,
        current: &Current<'_>,
        retried: bool,
    ) -> anyhow::Result<Begun> {
        let mut done: BTreeSet<(ItemId, StepId)> = BTreeSet::new();
        let mut begun = Begun { steps: BTreeMap::new(), lacking: BTreeMap::new() };
        let mut keys: BTreeMap<ItemId, Arc<str>> = BTreeMap::new();
        let mut seen: BTreeSet<(ItemId, StepId)> = BTreeSet::new();
        before.events(records, |event| {
            match event {
                Event::ItemAdmitted { item, key, inputs, .. }
                | Event::ItemRetried { item, key, inputs: Some(inputs), .. } => {
                    keys.insert(*item, key.clone());
                    if let Some(why) = current.lacks(inputs, &before.graph) {
                        begun.lacking.insert(*item, (key.clone(), why));
                    }
                }
                Event::ItemSettled { item, state, .. } => {
                    keys.remove(item);
                    seen.retain(|(other, _)| other != item);
                    // Whatever failed may be asked to run again.
                    if !state.is_failure() {
                        begun.lacking.remove(item);
                    }
                }
                _ => {}
            }
            let step = begins(event).map(|(item, path)| (item, path.step));
            if let Some((item, step)) = step.filter(|both| seen.insert(*both)) {
                let key = keys.get(&item).cloned().unwrap_or_else(|| "run".into());
                begun.steps.entry(step).or_insert((0, key)).0 += 1;
            }
            if let Event::StepEnded { item, execution } = event {
                let one = (*item, execution.step);
                if !execution.status.is_failure() {
                    done.insert(one);
                } else if retried && !done.contains(&one) && seen.remove(&one) {
                    if let Some((count, _)) = begun.steps.get_mut(&one.1) {
                        *count -= 1;
                    }
                    begun.steps.retain(|_, (count, _)| *count > 0);
                }
            }
            Ok(())
        })?;
        Ok(begun)
    }
}
