//! Earlier runs of the same document: their figures by step, and what was changed since.

use super::collect::figures;
use crate::diag::render::visible;
use crate::history::{History, State};
use std::collections::BTreeMap;

/// The figures of an earlier run.
pub struct PastRun {
    /// What commands call it.
    pub name: String,
    /// Whether it ended without any failure.
    pub good: bool,
    /// By phase: the 95th percentile in milliseconds.
    pub p95: BTreeMap<String, f64>,
    /// By phase: the share of successes.
    pub success: BTreeMap<String, f64>,
    /// Each step with the hash of its meaning.
    definition: BTreeMap<String, String>,
}

impl PastRun {
    /// # Errors
    /// Its journal is damaged.
    pub fn of(history: &History, name: &str) -> anyhow::Result<PastRun> {
        let (stats, _) = figures(history)?;
        let outline = history.outline()?;
        let counts = outline.counts(history.basis());
        let failed = counts.failed + counts.compensated + counts.compensation_failed + counts.cancelled;
        let (mut p95, mut success) = (BTreeMap::new(), BTreeMap::new());
        for group in stats.groups.iter().filter(|group| !group.nested) {
            let Some(phase) = group.phase() else { continue };
            p95.extend(group.p95_ms.map(|time| (phase.to_string(), time.0)));
            success.extend(group.success_rate.map(|share| (phase.to_string(), share.0)));
        }
        Ok(PastRun {
            name: visible(name),
            good: failed == 0 && outline.state(history.basis(), false) == State::Done,
            p95,
            success,
            definition: definition(history),
        })
    }

    /// The steps that `history` has otherwise than this run, as people read them.
    pub fn changed(&self, history: &History) -> Vec<String> {
        let now = definition(history);
        let title = |phase: &String| {
            let id = history.graph.by_phase(phase);
            visible(id.map_or(phase, |id| &history.graph.step(id).title))
        };
        let changed = now.iter().filter(|(phase, hash)| self.definition.get(*phase) != Some(hash));
        let removed = self.definition.keys().filter(|phase| !now.contains_key(*phase));
        changed.map(|(phase, _)| title(phase)).chain(removed.map(title)).collect()
    }
}

fn definition(history: &History) -> BTreeMap<String, String> {
    let steps = history.header().definition.iter();
    steps.map(|step| (step.phase.clone(), step.hash.clone())).collect()
}
