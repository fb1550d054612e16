//! Earlier runs of the same document: their figures by step, and what was changed since.

use super::agents;
use super::collect::figures;
use crate::diag::render::visible;
use crate::graph::Graph;
use crate::history::{History, State, StoredAgent};
use crate::stats::{self, Verdict};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The figures of an earlier run.
pub struct PastRun {
    /// Its folder.
    pub home: PathBuf,
    /// What commands call it.
    pub name: String,
    /// RFC 3339.
    pub started: String,
    /// Whether it ended without any failure.
    pub good: bool,
    /// By phase: the 95th percentile in milliseconds.
    pub p95: BTreeMap<String, f64>,
    /// Whether it was as the document of this run expects, in the order of its expectations.
    pub verdicts: Vec<Verdict>,
    /// Each step with the hash of its meaning.
    definition: BTreeMap<String, String>,
    /// As they were set when it began, if that is stored.
    agents: Option<Vec<StoredAgent>>,
}

impl PastRun {
    /// The run of `history`, before one of the document `now`.
    ///
    /// # Errors
    /// Its journal is damaged.
    pub fn of(history: &History, name: &str, now: &Graph) -> anyhow::Result<PastRun> {
        let (stats, _) = figures(history)?;
        let mut p95 = BTreeMap::new();
        for group in stats.groups.iter().filter(|group| !group.nested) {
            let Some(phase) = group.phase() else { continue };
            p95.extend(group.p95_ms.map(|time| (phase.to_string(), time.0)));
        }
        Ok(PastRun {
            home: history.home().to_owned(),
            name: visible(name),
            started: visible(&history.header().started),
            good: is_good(history)?,
            p95,
            verdicts: stats::judge_all(now, &stats),
            definition: definition(history),
            agents: history.options.agents.clone(),
        })
    }

    /// Whether it had agents whose settings are stored.
    pub fn has_agents(&self) -> bool {
        self.agents.as_ref().is_some_and(|agents| !agents.is_empty())
    }

    /// The steps and agents that `history` has otherwise than this run, as people read them.
    pub fn changed(&self, history: &History) -> Vec<String> {
        let agents = agents::changed(self.agents.as_deref(), history).unwrap_or_default();
        changed(&self.definition, history).into_iter().chain(agents).collect()
    }
}

/// Whether a run ended without any failure.
///
/// # Errors
/// Its journal is damaged.
pub fn is_good(history: &History) -> anyhow::Result<bool> {
    let outline = history.outline()?;
    let counts = outline.counts(history.basis());
    let failed = counts.failed + counts.compensated + counts.compensation_failed + counts.cancelled;
    Ok(failed == 0 && outline.state(history.basis(), false) == State::Done)
}

/// The steps and agents that `history` has otherwise than the run of `then`, as people read them.
pub fn changed_since(then: &History, history: &History) -> Vec<String> {
    let agents = agents::changed(then.options.agents.as_deref(), history).unwrap_or_default();
    changed(&definition(then), history).into_iter().chain(agents).collect()
}

/// The steps that `history` has otherwise than the run of this definition.
pub fn changed(then: &BTreeMap<String, String>, history: &History) -> Vec<String> {
    let now = definition(history);
    let title = |phase: &String| {
        let id = history.graph.by_phase(phase);
        visible(id.map_or(phase, |id| &history.graph.step(id).title))
    };
    let changed = now.iter().filter(|(phase, hash)| then.get(*phase) != Some(hash));
    let removed = then.keys().filter(|phase| !now.contains_key(*phase));
    changed.map(|(phase, _)| title(phase)).chain(removed.map(title)).collect()
}

/// Each step with the hash of its meaning.
pub fn definition(history: &History) -> BTreeMap<String, String> {
    let steps = history.header().definition.iter();
    steps.map(|step| (step.phase.clone(), step.hash.clone())).collect()
}
