//! The order of steps, through any number of steps between. Knows nothing of conditions.

use super::{Graph, StepId};

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
