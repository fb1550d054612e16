//! The steps that run once after all items: what they take from the items, and how they end.

use super::item::Item;
use crate::event::{ItemError, ItemId, ItemState, Values};
use crate::graph::{Graph, StepId, ValueId};
use crate::value::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The steps that run once after all items, and what they take from the items.
#[derive(Debug, Default)]
pub(super) struct Once {
    /// There are no more items to come.
    pub exhausted: bool,
    pub began: bool,
    /// By value: who made it. Items settle in any order.
    values: BTreeMap<ValueId, BTreeMap<ItemId, Arc<Value>>>,
    /// What failure handlers are told of each failed item.
    failures: BTreeMap<ItemId, Value>,
    pub end: Option<(ItemState, Option<ItemError>, Vec<ItemError>)>,
}

impl Once {
    /// Takes from a settled item what the steps that run once will need.
    pub fn keep(&mut self, graph: &Graph, id: ItemId, item: &Item, state: ItemState) {
        // What was undone is as if it had not been made.
        let is_undone = |value: &ValueId| {
            let makes = |step: &StepId| graph.step(*step).outputs.iter().any(|output| output.value == *value);
            item.undone_steps().iter().any(makes)
        };
        for value in graph.gathered.iter().filter(|value| !is_undone(value)) {
            // What a step made that failed after all, by its own decision, does not count as made.
            let made = item.value(*value).filter(|_| item.has_made(graph, *value));
            if let Some(made) = made {
                self.values.entry(*value).or_default().insert(id, made.clone());
            }
        }
        if state.is_failure() && graph.handlers().any(|id| graph.step(id).once) {
            self.failures.insert(id, item.report(graph));
        }
    }

    /// Lists over the items, in the order of their admission. A run without failures has no list of them.
    pub fn take(&mut self, graph: &Graph) -> Values {
        let mut made = std::mem::take(&mut self.values);
        let list = |value: &ValueId| {
            let values = made.remove(value).unwrap_or_default();
            let values = values.into_values().map(Arc::unwrap_or_clone).collect();
            (*value, Arc::new(Value::Array(values)))
        };
        let mut inputs: Values = graph.gathered.iter().map(list).collect();
        let failures: Vec<Value> = std::mem::take(&mut self.failures).into_values().collect();
        if !failures.is_empty() {
            let failures = Arc::new(Value::Array(failures));
            let told = graph.handlers().filter(|id| graph.step(*id).once).flat_map(|id| graph.told(id));
            inputs.extend(told.map(|value| (value, failures.clone())));
        }
        inputs
    }
}
