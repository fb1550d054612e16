//! The files that a run's steps made, copied out of its folder.

use super::super::exit::{Exit, Stop};
use super::super::terminal::Terminal;
use crate::diag::render::visible;
use crate::disk::Folder;
use crate::event::{AttemptEvent, EventKind, ItemEvent, ItemId, StepPath};
use crate::history::History;
use crate::runtime::{Finder, paths};
use crate::value::{Type, Value, words};
use anyhow::Context;
use serde_json::json;
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// An answer with files.
struct FileAnswer {
    item: ItemId,
    key: Arc<str>,
    step: StepPath,
    attempt: u32,
    value: Arc<Value>,
}

fn answers(history: &History) -> anyhow::Result<Vec<FileAnswer>> {
    let graph = &history.graph;
    let mut keys: HashMap<ItemId, Arc<str>> = HashMap::new();
    let mut answers = Vec::new();
    history.events(|event| {
        match &event.kind {
            EventKind::Item(item, ItemEvent::Admitted { key, .. }) => drop(keys.insert(*item, key.clone())),
            EventKind::Attempt(item, step, attempt, AttemptEvent::Finished(Ok(reply))) => {
                let is_file = |id| graph.value(id).ty.as_ref().is_some_and(Type::holds_files);
                let key = keys.get(item).cloned().unwrap_or_else(|| "run".into());
                let of = |value: &Arc<Value>| {
                    let (key, value) = (key.clone(), value.clone());
                    FileAnswer { item: *item, key, step: *step, attempt: *attempt, value }
                };
                let files = reply.outputs.iter().filter(|(id, _)| is_file(*id));
                answers.extend(files.map(|(_, value)| of(value)));
            }
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
        Ok(())
    })?;
    Ok(answers)
}

/// The files of a run: `[{path, item, step, element, attempt, bytes}]`. A file that is gone has no `bytes`.
///
/// # Errors
/// Its journal is damaged.
pub fn list(history: &History) -> anyhow::Result<Value> {
    let finder = Finder::open(history.home());
    let mut all = Vec::new();
    for answer in answers(history)? {
        for path in paths(&answer.value) {
            let found = finder.as_ref().ok().and_then(|finder| finder.file(path, answer.of()).ok());
            let bytes = found.as_ref().and_then(|(_, file)| Some(file.metadata().ok()?.len()));
            all.push(json!({
                "path": found.map_or_else(|| path.to_owned(), |(below, _)| below),
                "item": &*answer.key,
                "step": history.graph.step(answer.step.step).title,
                "element": answer.step.element,
                "attempt": answer.attempt,
                "bytes": bytes,
            }));
        }
    }
    Ok(all.into())
}

/// Opens the file that [`list`] shows with this path; `None` if it shows none.
///
/// # Errors
/// Its journal is damaged.
pub fn open(history: &History, path: &str) -> anyhow::Result<Option<File>> {
    let Ok(finder) = Finder::open(history.home()) else { return Ok(None) };
    let answers = answers(history)?;
    let mut files = answers.iter().flat_map(|answer| {
        let of = |path: &str| finder.file(path, answer.of()).ok();
        paths(&answer.value).into_iter().filter_map(of).collect::<Vec<_>>()
    });
    Ok(files.find(|(below, _)| below == path).map(|(_, file)| file))
}

impl FileAnswer {
    fn of(&self) -> (ItemId, &str) {
        (self.item, &self.key)
    }
}

/// Copies every file of an answer to `<target>/<item>/<step>.<attempt>/<path>`.
///
/// # Errors
/// Stops if a file is missing, or its target exists: nothing is overwritten.
pub fn export(history: &History, target: &Path, terminal: &mut Terminal) -> anyhow::Result<()> {
    let answers = answers(history)?;
    let name = visible(&target.display().to_string());
    let mut copied = Vec::new();
    if !answers.is_empty() {
        let files = Finder::open(history.home()).context("cannot read the run's files")?;
        let target = Folder::ensure(target).with_context(|| format!("cannot use the folder {name}"))?;
        for FileAnswer { item, key, value, .. } in answers {
            let done = files.export(&value, (item, &key), &target);
            copied.extend(done.map_err(|error| {
                Stop::new(Exit::Io, visible(&format!("{error:#}")))
                    .help("give an empty folder, or one that is not there yet")
            })?);
        }
    }
    // Answers come in the order of time.
    copied.sort_unstable();
    for path in &copied {
        terminal.data(&format!("{}\n", visible(&path.display().to_string())));
    }
    let many = match copied.len() {
        0 => "no step of this run made a file".to_owned(),
        several => format!("{} copied to {name}", words::count(several, "file")),
    };
    terminal.talk(&format!("{many}\n"));
    Ok(())
}
