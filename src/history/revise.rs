//! `orderflow resume --use-current`: whether the current document can replace the one that a run has followed so far.
//! Started steps must be unchanged; all else may change.

use super::History;
use super::difference::difference;
use super::documents::{Renumbering, definition};
use crate::diag::nearest;
use crate::diag::render::visible;
use crate::engine::{RetryRequest, Run};
use crate::event::{
    AttemptEvent, Event, EventKind, ItemEvent, ItemId, ItemState, Settlement, StepEvent, StepId, StepPath,
    Values,
};
use crate::graph::{Graph, NotAlone, Step};
use crate::items::Shape;
use crate::journal::{DocumentText, Revision};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most lines of a difference that are shown.
const LINES: usize = 20;

/// The steps that a run has started by its previous document.
struct Begun {
    /// The items that have started a step and need it unchanged.
    steps: BTreeMap<StepId, BTreeMap<ItemId, Arc<str>>>,
    /// Items that have started it and will not use its outputs any more: its program may have changed.
    over: BTreeMap<StepId, BTreeMap<ItemId, Arc<str>>>,
    /// Inputs that unfinished items lack, by the item.
    lacking: BTreeMap<ItemId, (Arc<str>, String)>,
}

/// A document that is to replace another.
pub struct Replacement<'a> {
    history: &'a History,
    document: DocumentText,
    /// The steps that are to run.
    graph: Graph,
    /// The inputs that each item must provide.
    shape: Shape,
    /// The phases of steps whose instructions are what they do, because a model or a coding agent does them.
    prompted: BTreeSet<String>,
}

impl<'a> Replacement<'a> {
    /// `graph` is that of the whole document; `prompted` has the phases of the steps that a model or a coding agent
    /// does.
    ///
    /// # Errors
    /// The document lacks a step that is selected to run.
    pub fn new(
        history: &'a History,
        document: DocumentText,
        graph: Graph,
        prompted: BTreeSet<String>,
    ) -> Result<Replacement<'a>, NotAlone> {
        let graph = history.options.part(graph)?.graph;
        let shape = Shape::new(&graph, history.options.given_in(&graph), None);
        Ok(Replacement { history, document, graph, shape, prompted })
    }

    /// The journal's record of the replacement, `None` if the text is unchanged; else all reasons against it.
    /// `retried` are the items to retry.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn check(&self, retried: &[RetryRequest]) -> anyhow::Result<Result<Option<Revision>, Vec<String>>> {
        if self.history.header().document.text == self.document.text {
            return Ok(Ok(None));
        }
        let begun = Begun::by(self, retried)?;
        let mut problems = self.changed(&begun);
        let name = visible(&self.document.path);
        problems.extend(begun.lacking.values().next().map(|(item, why)| {
            let (item, why) = (visible(item), visible(why));
            format!("{name}: {item} was admitted without what it needs now: {why}")
        }));
        if problems.is_empty() {
            problems.extend(self.impossible()?);
        }
        Ok(match problems.is_empty() {
            true => {
                Ok(Some(Revision { document: self.document.clone(), definition: definition(&self.graph) }))
            }
            false => Err(problems),
        })
    }

    /// The started steps that have changed.
    fn changed(&self, begun: &Begun) -> Vec<String> {
        let before = &self.history.graph;
        let name = visible(&self.document.path);
        let mut problems = Vec::new();
        let strict = begun.steps.iter().map(|(id, items)| (id, items, true));
        let over = begun.over.iter().filter(|(id, _)| !begun.steps.contains_key(id));
        for (id, items, whole) in strict.chain(over.map(|(id, items)| (id, items, false))) {
            let old = before.step(*id);
            let Some(first) = items.values().next() else { continue };
            let (title, first) = (visible(&old.title), visible(first));
            let items = match items.len() {
                1 => first,
                2 => format!("{first} and another item"),
                more => format!("{first} and {} other items", more - 1),
            };
            let Some(new) = self.graph.by_phase(&old.phase) else {
                let near = nearest(&old.title, self.graph.steps.iter().map(|step| &*step.title));
                let near =
                    near.map(|near| format!("; if it is called {} now, restore its title", visible(near)));
                let near = near.unwrap_or_default();
                problems.push(format!("{name}: {title} has started for {items} and is gone{near}"));
                continue;
            };
            let prompted = self.prompted.contains(&old.phase);
            let (was, is) = match whole {
                true if prompted => (
                    before.meaning(*id) + &instructions(old),
                    self.graph.meaning(new) + &instructions(self.graph.step(new)),
                ),
                true => (before.meaning(*id), self.graph.meaning(new)),
                false => (before.meaning_beside_program(*id), self.graph.meaning_beside_program(new)),
            };
            if was != is {
                let line = self.graph.step(new).line;
                let all = difference(&was, &is);
                let lines = all.iter().take(LINES).map(|line| format!("\n    {}", visible(line)));
                let more = all.len().saturating_sub(LINES);
                let more = (more > 0).then(|| format!("\n    … and {more} more lines"));
                let lines: String = lines.chain(more).collect();
                problems
                    .push(format!("{name}:{line}: {title} has started for {items} and has changed:{lines}"));
            }
        }
        problems
    }

    /// The input that an admitted item lacks, as a message.
    fn lacks(&self, inputs: &Values) -> Option<String> {
        let before = &self.history.graph;
        self.shape.lacking().into_iter().find_map(|name| {
            let Some((_, value)) = inputs.iter().find(|(id, _)| before.value(*id).name == name) else {
                return Some(format!("`{name}`"));
            };
            let info = self.graph.values.iter().find(|info| info.name == name)?;
            Some(info.ty.as_ref()?.fits(value).err()?.of(name))
        })
    }

    /// Why past events would be impossible with this document, although each step is unchanged.
    fn impossible(&self) -> anyhow::Result<Option<String>> {
        let numbers = Renumbering::between(&self.history.graph, &self.graph);
        let graph = Arc::new(self.graph.clone());
        let mut run = Run::new(graph.clone(), self.history.unlimited());
        let mut retries = self.history.retries()?;
        let mut why = None;
        self.history.events(|event| {
            let mut event = event.clone();
            if why.is_some() || !numbers.translate(&mut event, &graph) {
                return Ok(());
            }
            if let Some((item, path)) = begins(&event)
                && let Some(key) = run.awaits(item, path)
            {
                let step = graph.step(path.step);
                let (name, title) = (visible(&self.document.path), visible(&step.title));
                let key = visible(key);
                why = Some(format!(
                    "{name}:{}: {title} has started for {key}, and waits for other steps now",
                    step.line
                ));
            }
            if run.recall_past(&event, &mut retries).is_err() && why.is_none() {
                let name = visible(&self.document.path);
                why = Some(format!("{name}: what the run has done cannot have happened by this document"));
            }
            Ok(())
        })?;
        Ok(why)
    }
}

/// The execution that an event shows to have started.
fn begins(event: &Event) -> Option<(ItemId, StepPath)> {
    match &event.kind {
        EventKind::Attempt(item, step, _, AttemptEvent::Started) => Some((*item, *step)),
        EventKind::Step(item, StepEvent::ConditionHeld(step)) => Some((*item, (*step).into())),
        EventKind::Step(item, StepEvent::Ended(execution)) => Some((*item, execution.path())),
        EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => None,
    }
}

/// A step's instructions as lines, indented so that none looks like another property.
fn instructions(step: &Step) -> String {
    let text = step.instructions.text();
    let lines = text.lines().map(|line| format!("  {line}\n"));
    std::iter::once("instructions\n".to_owned()).chain(lines).collect()
}

impl Begun {
    /// When items are retried, their failed steps are pending and may change; the results of completed items remain.
    fn by(current: &Replacement<'_>, retried: &[RetryRequest]) -> anyhow::Result<Begun> {
        let mut done: BTreeSet<(ItemId, StepId)> = BTreeSet::new();
        let mut tried: BTreeSet<(ItemId, StepId)> = BTreeSet::new();
        let mut begun = Begun { steps: BTreeMap::new(), over: BTreeMap::new(), lacking: BTreeMap::new() };
        let mut keys: BTreeMap<ItemId, Arc<str>> = BTreeMap::new();
        current.history.events(|event| {
            match &event.kind {
                EventKind::Item(item, ItemEvent::Admitted { key, inputs })
                | EventKind::Item(item, ItemEvent::Retried { key, inputs: Some(inputs), .. }) => {
                    keys.insert(*item, key.clone());
                    if let Some(why) = current.lacks(inputs) {
                        begun.lacking.insert(*item, (key.clone(), why));
                    }
                }
                EventKind::Item(item, ItemEvent::Settled { end: Settlement { state, .. }, .. }) => {
                    // Any failed item may be retried.
                    if !state.is_failure() {
                        keys.remove(item);
                        begun.lacking.remove(item);
                    }
                    // A compensated item restarts from its beginning.
                    if !retried.is_empty() && (!state.is_failure() || *state == ItemState::Compensated) {
                        begun.is_over(*item);
                    }
                }
                EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
            }
            if let EventKind::Attempt(item, path, _, AttemptEvent::Started) = &event.kind {
                tried.insert((*item, path.step));
            }
            if let Some((item, path)) = begins(event) {
                let key = keys.get(&item).cloned().unwrap_or_else(|| "run".into());
                begun.steps.entry(path.step).or_default().insert(item, key);
            }
            if let EventKind::Step(item, StepEvent::Ended(execution)) = &event.kind {
                let one = (*item, execution.step);
                if !execution.status.is_failure() {
                    done.insert(one);
                } else if !retried.is_empty()
                    && !done.contains(&one)
                    && let Some(items) = begun.steps.get_mut(&one.1)
                {
                    items.remove(item);
                }
            }
            Ok(())
        })?;
        // An item that waits for an event before a step has done nothing there: what it waits for may be corrected.
        let waits: Vec<(ItemId, StepId)> =
            current.history.fold(|_, _| {})?.awaiting().map(|(item, _, step, ..)| (item, step)).collect();
        for (item, step) in waits.into_iter().filter(|one| !tried.contains(one)) {
            if let Some(items) = begun.steps.get_mut(&step) {
                items.remove(&item);
            }
        }
        // An item with other inputs restarts from its beginning, and so do the steps for all items after retried ones.
        let anew = retried.iter().filter(|retry| retry.inputs.is_some()).map(|retry| retry.item);
        let once = ItemId::RUN;
        let again = !retried.is_empty() && retried.iter().all(|retry| retry.item != once);
        anew.chain(again.then_some(once)).for_each(|item| begun.is_over(item));
        begun.steps.retain(|_, items| !items.is_empty());
        Ok(begun)
    }

    /// Marks an item whose outputs will not be used any more.
    fn is_over(&mut self, item: ItemId) {
        for (step, items) in &mut self.steps {
            if let Some(key) = items.remove(&item) {
                self.over.entry(*step).or_default().insert(item, key);
            }
        }
    }
}
