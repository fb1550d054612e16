//! The files that a run's steps made, copied out of its folder.

use super::super::exit::{Exit, Stop};
use super::super::terminal::Terminal;
use crate::diag::render::visible;
use crate::disk::Folder;
use crate::event::{AttemptEvent, EventKind, ItemEvent, ItemId};
use crate::history::History;
use crate::runtime::Finder;
use crate::value::{Type, words};
use anyhow::Context;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Copies every file of an answer to `<target>/<item>/<step>.<attempt>/<path>`.
///
/// # Errors
/// Stops if a file is missing, or its target exists: nothing is overwritten.
pub fn export(history: &History, target: &Path, terminal: &mut Terminal) -> anyhow::Result<()> {
    let graph = &history.graph;
    let mut keys: HashMap<ItemId, Arc<str>> = HashMap::new();
    let mut answers = Vec::new();
    history.events(|event| {
        match &event.kind {
            EventKind::Item(item, ItemEvent::Admitted { key, .. }) => drop(keys.insert(*item, key.clone())),
            EventKind::Attempt(item, _, _, AttemptEvent::Finished(Ok(reply))) => {
                let is_file = |id| graph.value(id).ty.as_ref().is_some_and(Type::holds_files);
                let files = reply.outputs.iter().filter(|(id, _)| is_file(*id));
                answers.extend(files.map(|(_, value)| (*item, value.clone())));
            }
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
        Ok(())
    })?;
    let name = visible(&target.display().to_string());
    let mut copied = Vec::new();
    if !answers.is_empty() {
        let files = Finder::open(history.home()).context("cannot read the run's files")?;
        let target = Folder::ensure(target).with_context(|| format!("cannot use the folder {name}"))?;
        for (item, value) in answers {
            let key = keys.get(&item).map_or("run", |key| &**key);
            let done = files.export(&value, (item, key), &target);
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
