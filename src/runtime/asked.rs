//! The inputs used with each idempotency key. The same key with other inputs would be another effect under the name of
//! the first one, so such a call is never made. Knows nothing of adapters.

use super::identity;
use crate::adapter::redact::Redactor;
use crate::engine::{Call, Effect};
use crate::event::{Event, EventKind, ItemEvent, ItemId};
use crate::graph::Graph;
use crate::journal::{self, Record};
use std::collections::HashMap;
use std::fmt;

/// The hashes of inputs by item and key, for items that have not ended.
#[derive(Debug, Default)]
pub struct UsedKeys(HashMap<ItemId, HashMap<String, String>>);

/// A key that was used with other inputs before.
#[derive(Debug)]
pub struct OtherInputs {
    item: String,
    step: String,
    key: String,
}

impl UsedKeys {
    /// Adds a key from a journal.
    pub fn recall(&mut self, asked: journal::Asked) {
        self.0.entry(asked.item).or_default().entry(asked.key).or_insert(asked.input);
    }

    /// Removes an item that ends.
    pub fn see(&mut self, event: &Event) {
        if let EventKind::Item(item, ItemEvent::Settled { .. }) = &event.kind {
            self.0.remove(item);
        }
    }

    /// The records for the calls among these effects: the inputs of those whose keys are new.
    ///
    /// # Errors
    /// The first call whose inputs differ from those used with its key before.
    pub(super) fn take(
        &mut self,
        effects: &[Effect],
        (run, graph): (&str, &Graph),
        redactor: &Redactor,
    ) -> Result<Vec<Record>, OtherInputs> {
        let mut new = Vec::new();
        for effect in effects {
            let Effect::Call(call) = effect else { continue };
            let key = identity::keys_of(run, graph, call).0;
            let input = digest(call, graph, redactor);
            let known = self.0.entry(call.item).or_default();
            match known.get(&key) {
                Some(before) if *before == input => {}
                Some(_) => {
                    let step = graph.step(call.step.step).title.clone();
                    return Err(OtherInputs { item: call.key.to_string(), step, key });
                }
                None => {
                    known.insert(key.clone(), input.clone());
                    new.push(Record::Asked(journal::Asked { item: call.item, key, input }));
                }
            }
        }
        Ok(new)
    }
}

/// A hash of a call's inputs, by name. Secrets are replaced by their names: a hash of a short text reveals it.
fn digest(call: &Call, graph: &Graph, redactor: &Redactor) -> String {
    let mut inputs = call.inputs.clone();
    redactor.conceal_values(&mut inputs);
    let mut hasher = blake3::Hasher::new();
    for (id, value) in &inputs {
        let (name, value) = (&graph.value(*id).name, value.to_string());
        // Lengths separate parts that would otherwise run together.
        for part in [name, &value] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

impl fmt::Display for OtherInputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OtherInputs { item, step, key } = self;
        write!(
            f,
            "{step} of {item} was called with other inputs before, under the same idempotency key {key}; \
             nothing more was begun"
        )
    }
}

impl std::error::Error for OtherInputs {}
