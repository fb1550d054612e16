//! The last run of a document: its figures by step, and its last failure.

use super::super::runs::find;
use super::super::trust::runs::{Owner, owner};
use crate::diag::render::visible;
use crate::disk::normal;
use crate::event::{EventKind, ItemError, ItemEvent};
use crate::history::History;
use crate::value::words;
use crate::view::milliseconds;
use crate::{journal, session, stats};
use std::collections::BTreeMap;
use std::path::Path;

/// How many runs are searched, the latest first.
const SEARCHED: usize = 30;

/// The largest journal that is read while an editor waits, in bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

/// What an editor shows of a run.
#[derive(Default)]
pub struct LastRun {
    /// Its short name.
    pub name: String,
    /// By the names of steps in traces.
    pub figures: BTreeMap<String, String>,
    pub failure: Option<LastFailure>,
}

/// The item that failed last.
pub struct LastFailure {
    pub key: String,
    /// The name of the step in traces, if one failed.
    pub phase: Option<String>,
    pub message: String,
}

/// The latest of the user's own runs of a document, whose runs are in `folder`; `None` without one that can be read.
pub fn of(document: &Path, folder: &Path) -> Option<LastRun> {
    let runs = find::store(folder).find()?;
    let names = runs.entries().ok()?;
    let homes = names.into_iter().rev().take(SEARCHED).map(|(name, _)| runs.path().join(name));
    homes.into_iter().find_map(|home| {
        if home.join(journal::FILE).metadata().ok()?.len() > LARGEST {
            return None;
        }
        let history = History::open(&home).ok()?;
        let file = normal(&history.options.folder.join(&history.options.file));
        let is_own = || matches!(owner(&home), Ok(Owner::Own(_)));
        (file == normal(document) && is_own()).then(|| read(&history).ok())?
    })
}

fn read(history: &History) -> anyhow::Result<LastRun> {
    let graph = &history.graph;
    let mut entries = session::Entries::new(graph);
    let mut figures = stats::Live::new(graph, vec![stats::Dimension::Phase]);
    let mut failed: Option<(String, Option<ItemError>)> = None;
    history.replay(|event| {
        entries.take(event).iter().for_each(|entry| figures.take(entry));
        if let EventKind::Item(_, ItemEvent::Settled { key, end }) = &event.kind
            && end.state.is_failure()
        {
            failed = Some((key.to_string(), end.error.clone()));
        }
        Ok(())
    })?;
    let name: String = find::name(history.home()).chars().take(12).collect();
    let shown = |group: &stats::Group| {
        let phase = group.phase()?.to_string();
        let mut text = words::count(group.count, "execution");
        if group.failed() > 0 {
            text.push_str(&format!(", {} failed", group.failed()));
        }
        for (quantile, time) in [("p50", group.p50_ms), ("p95", group.p95_ms)] {
            text.extend(time.map(|time| format!(", {quantile} {}", milliseconds(time.0))));
        }
        Some((phase, format!("Last run `{name}`: {text}.")))
    };
    let figures = figures.finish().groups.iter().filter(|group| !group.nested).filter_map(shown).collect();
    let failure = failed.map(|(key, error)| LastFailure {
        phase: error.as_ref().and_then(|error| error.step).map(|step| graph.step(step).phase.clone()),
        message: error.map_or_else(|| "it failed".to_owned(), |error| visible(&error.message)),
        key,
    });
    Ok(LastRun { name, figures, failure })
}
