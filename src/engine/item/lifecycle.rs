//! Which of the document's states an item is in. Knows nothing of how steps run, only that they start and succeed.

use super::Item;
use crate::graph::{Graph, Kind, Passage, StateId, StepId};

impl Item {
    /// The state that it is in; none without states, and where nothing says how a part of a workflow begins.
    pub fn lifecycle(&self) -> Option<StateId> {
        self.lifecycle
    }

    /// The states in which a step starts and the one that the item is in, where it must not start in that. What a step did
    /// is undone in any state: an effect that stays would be worse.
    pub(super) fn misplaced<'a>(&self, graph: &'a Graph, id: StepId) -> Option<(&'a [StateId], StateId)> {
        let step = graph.step(id);
        let passage = step.state.as_ref().filter(|_| step.kind != Kind::Compensation)?;
        let now = self.lifecycle.filter(|now| !passage.from.contains(now))?;
        Some((&passage.from, now))
    }

    /// Why a step must not start, if the item is in a state in which it does not.
    pub(super) fn wrong_state(&self, graph: &Graph, id: StepId) -> Option<String> {
        let (from, now) = self.misplaced(graph, id)?;
        let from: Vec<String> = from.iter().map(|state| format!("`{}`", graph.state(*state))).collect();
        let (from, now) = (from.join(" or "), graph.state(now));
        Some(format!("it starts in the state {from}, and the item is in `{now}`"))
    }

    /// A step has succeeded.
    pub(super) fn pass(&mut self, graph: &Graph, id: StepId) {
        let Some(Passage { from, to }) = &graph.step(id).state else { return };
        if self.lifecycle.is_none_or(|now| from.contains(&now)) {
            let only = if let [only] = from.as_slice() { Some(*only) } else { None };
            self.lifecycle = to.or(self.lifecycle).or(only);
        }
    }

    /// The item runs again: it is in the state that the steps have led to which stay done, in their order.
    pub(super) fn rewind(&mut self, graph: &Graph) {
        self.lifecycle = graph.initial;
        for id in &graph.order {
            if self.has_succeeded(*id) {
                self.pass(graph, *id);
            }
        }
    }
}
