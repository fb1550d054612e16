//! The steps that run once after all items: the values that they take from the items, and their end.

use super::item::Item;
use crate::event::{ItemId, ItemState, Settlement, Values};
use crate::graph::{Graph, StepId, ValueId};
use crate::value::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// By the item that made it. Items settle in any order.
type MadeByItem = BTreeMap<ItemId, Arc<Value>>;

/// The steps that run once after all items, and the values that they take from the items.
#[derive(Debug, Default)]
pub(super) struct Once {
    /// All items have been admitted.
    pub exhausted: bool,
    /// They have begun with the items' current outputs.
    pub began: bool,
    values: BTreeMap<ValueId, MadeByItem>,
    /// The failure of each failed item, for failure handlers.
    failures: MadeByItem,
    /// The same as lists, once the steps have begun: an item may still run again.
    lists: BTreeMap<ValueId, List>,
    failed: List,
    pub end: Option<Settlement>,
    /// The steps as they last ended: another visit continues from there.
    pub last: Option<Item>,
}

/// A list over items, and the items of its elements.
#[derive(Debug, Default)]
struct List {
    items: Vec<ItemId>,
    values: Arc<Value>,
}

impl List {
    fn of(made: MadeByItem) -> List {
        let (items, values) =
            made.into_iter().map(|(item, value)| (item, Arc::unwrap_or_clone(value))).unzip();
        List { items, values: Arc::new(Value::Array(values)) }
    }

    fn made(self) -> MadeByItem {
        match Arc::unwrap_or_clone(self.values) {
            Value::Array(values) => self.items.into_iter().zip(values.into_iter().map(Arc::new)).collect(),
            _ => MadeByItem::new(),
        }
    }
}

impl Once {
    /// Stores the values of a settled item that the steps that run once will need, replacing those of an earlier end.
    pub fn keep(&mut self, graph: &Graph, id: ItemId, item: &Item, state: ItemState) {
        self.values.values_mut().for_each(|made| drop(made.remove(&id)));
        self.failures.remove(&id);
        // Compensated outputs count as not made.
        let is_undone = |value: &ValueId| {
            let makes = |step: &StepId| graph.step(*step).outputs.iter().any(|output| output.value == *value);
            item.compensated_steps().iter().any(makes)
        };
        for value in graph.gathered.iter().filter(|value| !is_undone(value)) {
            // Outputs of a step that its own decision failed do not count as made.
            let made = item.value(*value).filter(|_| item.has_made(graph, *value, None));
            if let Some(made) = made {
                self.values.entry(*value).or_default().insert(id, made.clone());
            }
        }
        if state.is_failure() && graph.handlers().any(|id| graph.step(id).once) {
            self.failures.insert(id, Arc::new(item.report(graph)));
        }
    }

    /// Lists over the items, in the order of their admission. Without failures, their list is absent.
    pub fn take(&mut self, graph: &Graph) -> Values {
        let mut made = std::mem::take(&mut self.values);
        let lists =
            graph.gathered.iter().map(|value| (*value, List::of(made.remove(value).unwrap_or_default())));
        self.lists = lists.collect();
        let list = |value: &ValueId| Some((*value, self.lists.get(value)?.values.clone()));
        let mut inputs: Values = graph.gathered.iter().filter_map(list).collect();
        self.failed = List::of(std::mem::take(&mut self.failures));
        if !self.failed.items.is_empty() {
            let failures =
                graph.handlers().filter(|id| graph.step(*id).once).flat_map(|id| graph.failure_inputs(id));
            inputs.extend(failures.map(|value| (value, self.failed.values.clone())));
        }
        inputs
    }

    /// The value that a settled item has made, if it is one that is stored.
    pub fn made(&self, item: ItemId, value: ValueId) -> Option<Arc<Value>> {
        // Once the steps have begun, it is an element of a list.
        let listed = || {
            let list = self.lists.get(&value)?;
            let at = list.items.iter().position(|of| *of == item)?;
            Some(Arc::new(list.values.as_array()?.get(at)?.clone()))
        };
        self.values.get(&value).and_then(|made| made.get(&item).cloned()).or_else(listed)
    }

    /// An item gets a new end: the lists have to be made again.
    pub fn reopen(&mut self) {
        let lists = std::mem::take(&mut self.lists);
        self.values.extend(lists.into_iter().map(|(value, list)| (value, list.made())));
        self.failures.append(&mut std::mem::take(&mut self.failed).made());
    }
}
