//! Steps that run for each element of a list: they spread over the elements, and what these make becomes lists.

use super::state::{End, StepState};
use super::{Elements, Item};
use crate::event::{StepPath, Values};
use crate::graph::{Graph, StepId};
use crate::value::Value;
use std::sync::Arc;

impl Item {
    /// Makes all elements ready that have not succeeded on an earlier visit.
    pub(super) fn spread(&mut self, graph: &Graph, id: StepId) {
        let list = self.list(graph, id).unwrap_or_else(|_| Arc::new(Value::Array(Vec::new())));
        if self.elements.get(&id).is_none_or(|known| known.list != list) {
            self.elements.insert(id, Elements::of(list));
            self.steps.forget_elements(id);
        }
        let done = |element| self.state(StepPath::element(id, element)).end() == Some(End::Succeeded);
        let count = self.elements.get(&id).map_or(0, Elements::count);
        let runs: Vec<bool> = (0..count).map(|element| !done(element)).collect();
        self.steps.spread(id, &runs);
        self.gather(graph, id);
    }

    pub(super) fn end_element(&mut self, graph: &Graph, path: StepPath, end: End) {
        self.set(path, StepState::Ended(end));
        self.gather(graph, path.step);
    }

    /// Once all elements have succeeded, their outputs become lists in the order of the elements.
    fn gather(&mut self, graph: &Graph, id: StepId) {
        let Some(elements) = self.elements.get(&id) else { return };
        if !matches!(self.state(id), StepState::Spread { open: 0 })
            || self.steps.end_of_elements(id) != End::Succeeded
        {
            return;
        }
        for output in &graph.step(id).outputs {
            let made = |values: &Values| {
                let found = values.iter().find(|(id, _)| *id == output.value);
                found.map_or(Value::Null, |(_, value)| (**value).clone())
            };
            let list = Value::Array(elements.outputs.iter().map(made).collect());
            self.values[output.value.index()] = Some(Arc::new(list));
        }
    }
}
