//! The order of steps, through any number of steps between. Knows nothing of conditions.

use super::{Graph, StepId};
use std::collections::BTreeSet;

/// For each step the steps that have ended before it begins: a bit a step.
pub(super) struct Before(Vec<Vec<u64>>);

impl Before {
    pub fn new(graph: &Graph) -> Before {
        let words = graph.steps.len().div_ceil(64);
        let mut before = vec![Vec::new(); graph.steps.len()];
        for id in &graph.order {
            let mut bits = vec![0_u64; words];
            for need in &graph.step(*id).needs {
                let earlier: &[u64] = &before[need.step.index()];
                bits.iter_mut().zip(earlier).for_each(|(bit, earlier)| *bit |= earlier);
                bits[need.step.index() / 64] |= 1 << (need.step.index() % 64);
            }
            before[id.index()] = bits;
        }
        Before(before)
    }

    /// Whether `earlier` has always ended when `step` begins.
    pub fn holds(&self, step: StepId, earlier: StepId) -> bool {
        let word = self.0[step.index()].get(earlier.index() / 64);
        word.is_some_and(|word| word & (1 << (earlier.index() % 64)) != 0)
    }
}

impl Graph {
    /// These steps and all that must end before them.
    pub fn upstream(&self, steps: impl IntoIterator<Item = StepId>) -> BTreeSet<StepId> {
        upstream(steps, |step| self.step(step).needs.iter().map(|need| need.step))
    }

    /// Whether a step that depends on this one, directly or through others, is `wanted`.
    pub fn leads_to(&self, step: StepId, wanted: &dyn Fn(StepId) -> bool) -> bool {
        let mut seen = BTreeSet::new();
        let mut ahead: Vec<StepId> = self.step(step).dependents.clone();
        while let Some(next) = ahead.pop() {
            if wanted(next) {
                return true;
            }
            if seen.insert(next) {
                ahead.extend(&self.step(next).dependents);
            }
        }
        false
    }
}

/// These and all that must end before them.
pub fn upstream<T: Copy + Ord, N: Iterator<Item = T>>(
    from: impl IntoIterator<Item = T>,
    needs: impl Fn(T) -> N,
) -> BTreeSet<T> {
    let mut found = BTreeSet::new();
    let mut ahead: Vec<T> = from.into_iter().collect();
    while let Some(next) = ahead.pop() {
        if found.insert(next) {
            ahead.extend(needs(next));
        }
    }
    found
}
