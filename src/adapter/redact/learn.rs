//! Values of type `Secret`: they become known when an item has them as an input or a step outputs them, and from then
//! on all reports of the same item are searched for them. The steps that run once for all items know those of all.

use super::{Known, Needle, Redactor};
use crate::event::{AttemptEvent, Event, EventKind, ItemEvent, ItemId, ValueId, Values};
use crate::value::Value;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

#[derive(Default)]
pub(super) struct Learned {
    /// The names of the values that are secrets.
    names: HashMap<ValueId, String>,
    needles: RwLock<HashMap<ItemId, Vec<Arc<Needle>>>>,
}

impl Redactor {
    /// Sets the values that are secrets, with their names.
    pub fn of_values<'a>(self, values: impl IntoIterator<Item = (ValueId, &'a str)>) -> Self {
        let names = values.into_iter().map(|(id, name)| (id, name.to_owned())).collect();
        let learned = Learned { names, needles: RwLock::default() };
        Redactor { learned: Arc::new(learned), ..self }
    }

    /// Learns the secrets of an event.
    pub fn learn(&self, event: &Event) {
        match &event.kind {
            EventKind::Item(
                item,
                ItemEvent::Admitted { inputs, .. } | ItemEvent::Retried { inputs: Some(inputs), .. },
            ) => self.learn_values(*item, inputs),
            EventKind::Attempt(item, _, _, AttemptEvent::Finished(Ok(reply))) => {
                self.learn_values(*item, &reply.outputs);
            }
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
    }

    pub(super) fn learn_values(&self, item: ItemId, values: &Values) {
        let Learned { names, needles } = &*self.learned;
        for (id, value) in values.iter().filter(|_| !names.is_empty()) {
            let Some(name) = names.get(id) else { continue };
            let mut found = Vec::new();
            strings(value, &mut found);
            let mut needles = needles.write().unwrap_or_else(PoisonError::into_inner);
            let known = needles.entry(item).or_default();
            for needle in found.into_iter().flat_map(|text| super::needles(name, text)) {
                if !known.iter().any(|other| other.units == needle.units) {
                    known.push(Arc::new(needle));
                }
            }
        }
    }

    /// Redacts all texts in a value for display.
    pub fn shown(&self, item: ItemId, value: &mut Value) {
        self.with_learned(Some(item)).texts(value);
    }

    fn texts(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(all) => all.iter_mut().for_each(|one| self.texts(one)),
            Value::Object(object) => object.values_mut().for_each(|one| self.texts(one)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Redacts a text for display.
    pub fn shown_text(&self, item: ItemId, text: &mut String) {
        self.with_learned(Some(item)).text(text);
    }

    /// Whether a text contains a secret.
    pub fn finds(&self, item: ItemId, text: &str) -> bool {
        let mut shown = text.to_owned();
        self.shown_text(item, &mut shown);
        shown != text
    }

    /// What removes secrets from the log of an item, or of a `shared` process, which serves all items.
    pub fn of_log(&self, item: ItemId, shared: bool) -> Redactor {
        self.with_learned((!shared).then_some(item))
    }

    /// This redactor with the secrets of the item, or of all items.
    pub(super) fn with_learned(&self, item: Option<ItemId>) -> Redactor {
        if self.learned.names.is_empty() {
            return self.clone();
        }
        self.of(self.known.needles.iter().cloned().chain(self.learned_by(item)).collect())
    }

    /// The secrets in inputs and outputs of the item, or of all items.
    pub(super) fn learned_by(&self, item: Option<ItemId>) -> Vec<Arc<Needle>> {
        let learned = self.learned.needles.read().unwrap_or_else(PoisonError::into_inner);
        match item.filter(|item| *item != ItemId::RUN) {
            Some(item) => learned.get(&item).cloned().unwrap_or_default(),
            None => learned.values().flatten().cloned().collect(),
        }
    }

    pub(super) fn of(&self, needles: Vec<Arc<Needle>>) -> Redactor {
        let known = Known { secrets: Vec::new(), needles, named: None };
        Redactor { known: Arc::new(known), learned: self.learned.clone() }
    }
}

/// A redactor with the secrets of one item.
#[derive(Clone)]
pub struct ItemRedactor {
    redactor: Redactor,
    item: ItemId,
}

/// Without secrets.
impl Default for ItemRedactor {
    fn default() -> Self {
        ItemRedactor { redactor: Redactor::default(), item: ItemId::RUN }
    }
}

impl ItemRedactor {
    pub fn new(redactor: Redactor, item: ItemId) -> Self {
        ItemRedactor { redactor, item }
    }

    /// Redacts a text, with the secrets that are known by now.
    pub fn text(&self, text: &mut String) {
        self.redactor.shown_text(self.item, text);
    }

    /// Redacts all texts in a value.
    pub fn value(&self, value: &mut Value) {
        self.redactor.shown(self.item, value);
    }

    /// Redacts only the secrets that the inputs and outputs of the item contain: unlike those of the settings, they are
    /// the same on every machine.
    pub fn value_by_item(&self, value: &mut Value) {
        self.redactor.of(self.redactor.learned_by(Some(self.item))).texts(value);
    }
}

impl std::fmt::Debug for ItemRedactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ItemRedactor").field("item", &self.item).finish_non_exhaustive()
    }
}

/// The texts of a secret or of a list of them.
fn strings<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => into.push(text),
        Value::Array(all) => all.iter().for_each(|one| strings(one, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
    }
}
