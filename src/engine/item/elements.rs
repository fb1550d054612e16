//! A step that runs for each element of a list: its executions are states of their own, and together they are
//! the step.

use super::super::step::{Attempts, End, StepState};
use super::{Item, Moves};
use crate::event::{Event, Millis, Status, StepPath, Values};
use crate::graph::{Graph, StepId};
use crate::value::Value;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Elements {
    pub list: Arc<Value>,
    pub states: Vec<StepState>,
    /// The number of each one's last attempt.
    pub numbers: Vec<u32>,
    pub outputs: Vec<Values>,
}

impl Elements {
    /// The elements of a list. Their attempts are numbered on from those of an earlier one, so that an answer or a
    /// timer of those is never taken for one of these.
    pub fn after(list: Arc<Value>, earlier: Option<&Elements>) -> Self {
        let count = list.as_array().map_or(0, Vec::len);
        let mut numbers = earlier.map_or_else(Vec::new, |earlier| earlier.numbers.clone());
        numbers.resize(count.max(numbers.len()), 0);
        Elements { list, states: vec![StepState::Idle; count], numbers, outputs: vec![Values::new(); count] }
    }

    /// None of them is done.
    pub fn forget(&mut self) {
        self.states.fill(StepState::Idle);
        self.outputs.iter_mut().for_each(Values::clear);
    }

    pub fn value(&self, element: u32) -> Option<&Value> {
        self.list.as_array()?.get(element as usize)
    }

    fn end(&self) -> End {
        let ends = self.states.iter().map(|state| match state {
            StepState::Ended(end) => *end,
            _ => End::Blocked,
        });
        ends.max().unwrap_or(End::Succeeded)
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
    pub(super) fn spread(&mut self, graph: &Graph, id: StepId, moves: &mut Moves) {
        let list = self.list(graph, id).unwrap_or_else(|_| Arc::new(Value::Array(Vec::new())));
        let mut elements = match self.elements.remove(&id) {
            Some(known) if known.list == list => known,
            earlier => Elements::after(list, earlier.as_ref()),
        };
        let mut open = 0;
        for (element, state) in (0..).zip(&mut elements.states) {
            if matches!(state, StepState::Ended(End::Succeeded)) {
                continue;
            }
            let number = elements.numbers.get(element as usize).copied().unwrap_or(0);
            *state = StepState::Ready(Attempts { number, ..Attempts::default() });
            moves.ready.push(StepPath::element(id, element));
            open += 1;
        }
        self.elements.insert(id, elements);
        self.set(id, StepState::Spread { open });
        if open == 0 {
            self.gather(graph, id);
        }
    }

    /// Ends one element, and with the last of them the list is complete.
    pub(super) fn element_ended(&mut self, graph: &Graph, id: StepId, element: u32, end: End) {
        let Some(state) = self.state_mut(StepPath::element(id, element)) else { return };
        if matches!(std::mem::replace(state, StepState::Ended(end)), StepState::Ended(_)) {
            return;
        }
        if let Some(StepState::Spread { open }) = self.steps.get_mut(id.index()) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                self.gather(graph, id);
            }
        }
    }

    /// All elements have ended: their outputs become lists in the elements' order.
    fn gather(&mut self, graph: &Graph, id: StepId) {
        self.answered.push(id.into());
        let Some(elements) = self.elements.get(&id).filter(|elements| elements.end() == End::Succeeded)
        else {
            return;
        };
        for output in &graph.step(id).outputs {
            let made = |values: &Values| {
                let found = values.iter().find(|(id, _)| *id == output.value);
                found.map_or(Value::Null, |(_, value)| (**value).clone())
            };
            let list = Value::Array(elements.outputs.iter().map(made).collect());
            self.values[output.value.index()] = Some(Arc::new(list));
        }
    }

    /// What the ends of its elements mean for a step.
    pub(super) fn elements_end(&self, id: StepId) -> End {
        self.elements.get(&id).map_or(End::Blocked, Elements::end)
    }

    /// What follows when all elements have ended: the step's decisions, then its end.
    pub(super) fn follow_elements(&self, graph: &Graph, id: StepId, at: Millis) -> Event {
        let succeeded = self.elements_end(id) == End::Succeeded;
        match succeeded.then(|| self.next_branch(graph, id, at)).flatten() {
            Some(Ok(event)) => event,
            Some(Err(reason)) => self.unrun(graph, id, Status::Failed, Some(reason), at),
            None => Event::ElementsEnded { item: self.id, step: id, at },
        }
    }
}
