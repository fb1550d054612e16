//! What a step takes and makes that runs for each element of a list.

use super::Item;
use super::state::{End, StepState};
use crate::event::{Event, Millis, Status, StepPath, Values};
use crate::graph::{Graph, StepId};
use crate::value::Value;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Elements {
    pub list: Arc<Value>,
    pub outputs: Vec<Values>,
}

impl Elements {
    /// The elements of a list, of which none has made anything.
    pub fn of(list: Arc<Value>) -> Self {
        let count = list.as_array().map_or(0, Vec::len);
        Elements { list, outputs: vec![Values::new(); count] }
    }

    pub fn count(&self) -> u32 {
        self.outputs.len() as u32
    }

    pub fn value(&self, element: u32) -> Option<&Value> {
        self.list.as_array()?.get(element as usize)
    }
}

impl Item {
    /// Why a step cannot run for each element of its list.
    pub(super) fn no_list(&self, graph: &Graph, id: StepId) -> Option<String> {
        let step = graph.step(id);
        let list = graph.list(step, step.each?);
        match self.list(graph, id) {
            Ok(value) if value.is_array() => None,
            Ok(value) => Some(format!("`{list}` is no list but {}", crate::value::kind(&value))),
            Err(why) => Some(format!("`{list}` is no list: {why}")),
        }
    }

    /// The list for whose elements a step runs.
    fn list(&self, graph: &Graph, id: StepId) -> Result<Arc<Value>, String> {
        let step = graph.step(id);
        let Some(way) = &step.way else {
            let whole = step.each.and_then(|each| self.value(each.list));
            return whole.cloned().ok_or_else(|| "it is absent".to_owned());
        };
        let value = |name: &str| {
            let (_, id) = way.names.iter().find(|(known, _)| known == name)?;
            self.value(*id).map(|value| &**value)
        };
        way.condition.value(&value).map(Arc::new).map_err(|fault| fault.message)
    }

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

    /// Once all elements have succeeded, their outputs become lists in the elements' order.
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

    /// What follows when all elements have ended: the step's decisions, then its end.
    pub(super) fn follow_elements(&self, graph: &Graph, id: StepId, at: Millis) -> Event {
        let succeeded = self.steps.end_of_elements(id) == End::Succeeded;
        match succeeded.then(|| self.next_branch(graph, id, at)).flatten() {
            Some(Ok(event)) => event,
            Some(Err(reason)) => self.unrun(graph, id, Status::Failed, Some(reason), at),
            None => Event::ElementsEnded { item: self.id, step: id, at },
        }
    }
}
