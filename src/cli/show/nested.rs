//! The history of an item, and the runs of documents that its steps have run, below its steps.

use super::conversation::Filter;
use super::item::Story;
use crate::adapter::redact::Redactor;
use crate::diag::render::visible;
use crate::event::{EventKind, ItemEvent, ItemId, RunEvent, StepPath, Values};
use crate::history::History;
use crate::runtime::{self, NestedRun};
use crate::value::Value;
use crate::view::execution;
use serde_json::json;

/// How deep documents are shown within each other.
const DEEPEST: usize = 100;

/// The runs of an item's steps, in the order of the steps.
fn runs(history: &History, (item, key): (ItemId, &str)) -> Vec<(StepPath, NestedRun)> {
    let graph = &history.graph;
    let folder = runtime::folder_name(item, key);
    // A journal from elsewhere may lead in a circle of folders.
    if history.home().components().filter(|part| part.as_os_str() == "children").count() > DEEPEST {
        return Vec::new();
    }
    let mut all = Vec::new();
    for (id, _) in graph.documents().filter(|(id, _)| !graph.step(*id).revokes) {
        for run in runtime::nested_runs(history.home(), &folder, &graph.step(id).phase) {
            let path = run.element.map_or(id.into(), |element| StepPath::element(id, element));
            all.push((path, run));
        }
    }
    all
}

/// The last run of the document whose step a filter names, as in `Review/Check`, and the name of the step in it.
pub(super) fn within(history: &History, key: &str, filter: &Filter<'_>) -> Option<(History, String)> {
    let (outer, inner) = filter.step?.split_once('/')?;
    let [id] = history.graph.called(outer)[..] else { return None };
    let (story, ..) = story_of(history, key).ok()?;
    let mut all = runs(history, (story?.id, key)).into_iter().filter(|(path, _)| path.step == id);
    Some((History::open(&all.next_back()?.1.home).ok()?, inner.to_owned()))
}

/// Each run with its steps, indented; `held` is whether the outer run is active.
pub(super) fn text(history: &History, item: (ItemId, &str), held: bool) -> String {
    let mut out = String::new();
    for (path, run) in runs(history, item) {
        let shown = History::open(&run.home).and_then(|child| {
            let text = text_of(&child, item.1, held)?.unwrap_or_else(|| "not begun\n".to_owned());
            anyhow::Ok(format!("{}: {text}", visible(&child.header().document.path)))
        });
        let shown = shown.unwrap_or_else(|error| format!("{}\n", visible(&format!("{error:#}"))));
        out.push_str(&format!("\n{}, attempt {} ran\n", execution(path, &history.graph), run.attempt));
        for line in shown.lines() {
            let indent = if line.is_empty() { "" } else { "    " };
            out.push_str(&format!("{indent}{line}\n"));
        }
    }
    out
}

/// The same as a list in `object`, if there are any.
pub(super) fn json(history: &History, item: (ItemId, &str), held: bool, object: &mut Value) {
    let runs = runs(history, item).into_iter().map(|(path, run)| {
        let step = history.graph.step(path.step);
        let shown = History::open(&run.home).and_then(|child| json_of(&child, item.1, held));
        let shown = shown.unwrap_or_else(|error| json!({ "error": format!("{error:#}") }));
        json!({ "phase": step.phase, "element": run.element, "attempt": run.attempt, "ran": shown })
    });
    let runs: Vec<Value> = runs.collect();
    if !runs.is_empty() {
        object["documents"] = runs.into();
    }
}

/// The history of an item; whether it hides the steps that run once; and what removes its secrets.
pub(super) fn story_of(history: &History, key: &str) -> anyhow::Result<(Option<Story>, bool, Redactor)> {
    let graph = &history.graph;
    let mut story: Option<Story> = None;
    let mut hidden = false;
    let redactor = Redactor::default().of_values(graph.secrets());
    history.fold(|event, run| {
        redactor.learn(event);
        match &event.kind {
            EventKind::Item(item, ItemEvent::Admitted { key: admitted, inputs }) if **admitted == *key => {
                story = Some(Story::new(*item, inputs.clone()));
            }
            EventKind::Run(RunEvent::StepsBegan) if matches!(key, "run" | ":run") => match story {
                Some(Story { id: ItemId::RUN, .. }) => {}
                Some(_) => hidden = key == "run",
                None => story = Some(Story::new(ItemId::RUN, Values::new())),
            },
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
        if let Some(story) = &mut story {
            story.see(event, run);
        }
    })?;
    Ok((story, hidden, redactor))
}

/// The item of the run of a document, as text; `None` if it has not begun. Fails if its journal cannot be read.
fn text_of(history: &History, key: &str, held: bool) -> anyhow::Result<Option<String>> {
    let (Some(story), _, redactor) = story_of(history, key)? else { return Ok(None) };
    let mut shown = story.text(&history.graph, held);
    redactor.shown_text(story.id, &mut shown);
    shown.push_str(&text(history, (story.id, key), held));
    Ok(Some(shown))
}

/// The same as JSON.
fn json_of(history: &History, key: &str, held: bool) -> anyhow::Result<Value> {
    let (story, _, redactor) = story_of(history, key)?;
    let mut object = json!({ "run": history.header().run, "document": history.header().document.path });
    if let Some(story) = story {
        story.json(&history.graph, held, &mut object);
        redactor.shown(story.id, &mut object);
        json(history, (story.id, key), held, &mut object);
    }
    Ok(object)
}
