//! Which steps can run in parallel.

use crate::graph::{Graph, StepId};

/// The forward steps by stage: a step is in the first stage after all that it waits for, so the steps of one stage are
/// parallel. Within a stage they are in the document's order.
pub fn stages(graph: &Graph) -> Vec<Vec<StepId>> {
    let mut stage = vec![0; graph.steps.len()];
    let mut stages: Vec<Vec<StepId>> = Vec::new();
    for id in ordered(graph) {
        let needs = graph.step(id).needs.iter().map(|need| need.step);
        let after = needs.chain(graph.exits(id)).map(|step| stage[step.index()] + 1).max();
        let at = after.unwrap_or(0);
        stage[id.index()] = at;
        if stages.len() <= at {
            stages.resize(at + 1, Vec::new());
        }
        stages[at].push(id);
    }
    for stage in &mut stages {
        stage.sort_unstable();
    }
    stages
}

/// The forward steps in an order in which they can run: those of the items before those that run once after all items.
pub fn ordered(graph: &Graph) -> Vec<StepId> {
    let once = |id: &&StepId| graph.step(**id).once;
    let (once, items): (Vec<&StepId>, Vec<&StepId>) = graph.order.iter().partition(once);
    items.into_iter().chain(once).copied().collect()
}
