//! The events of the documents that steps run: which of them a step waits for inside, and which it may publish there.

use super::{Graph, StepId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The events of a document that a step runs, with those of the documents that it runs in turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InnerEvents {
    pub awaits: BTreeSet<InnerAwait>,
    /// The types that it may publish.
    pub emits: BTreeSet<String>,
}

/// An event that a step in a document waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InnerAwait {
    pub event: String,
    pub subject: InnerSubject,
}

/// The subject of an event that a step in a document waits for, as seen from the run around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InnerSubject {
    /// The key of the item.
    Key,
    /// `run`, for a step for all items.
    Run,
    /// A value of the item.
    Value,
}

/// The subject of events for the steps for all items.
const RUN: &str = "run";

impl InnerEvents {
    /// Whether it has no events.
    pub fn is_empty(&self) -> bool {
        self.awaits.is_empty() && self.emits.is_empty()
    }

    /// Those of this graph, as a step that runs its document has them.
    pub fn of(graph: &Graph) -> InnerEvents {
        let mut all = InnerEvents::default();
        for step in &graph.steps {
            if let Some(awaits) = &step.awaits {
                let subject = match awaits.subject {
                    Some(_) => InnerSubject::Value,
                    None if step.once => InnerSubject::Run,
                    None => InnerSubject::Key,
                };
                all.awaits.insert(InnerAwait { event: awaits.event.clone(), subject });
            }
            all.emits.extend(step.emits.iter().cloned());
            for inner in &step.inside.awaits {
                // The item of a document that runs for all items has the key `run`.
                let subject = match inner.subject {
                    InnerSubject::Key if step.once => InnerSubject::Run,
                    subject => subject,
                };
                all.awaits.insert(InnerAwait { subject, ..inner.clone() });
            }
            all.emits.extend(step.inside.emits.iter().cloned());
        }
        all
    }
}

impl Graph {
    /// Makes the events known of the document that a step runs.
    pub fn adopt_events(&mut self, id: StepId, child: &Graph) {
        if let Some(step) = self.steps.get_mut(id.index()) {
            step.inside = InnerEvents::of(child);
        }
    }

    /// The events of the documents that steps run, each with its path as the document writes it.
    pub fn inner_events(&self) -> Vec<(String, InnerEvents)> {
        let mut all: Vec<(String, InnerEvents)> = Vec::new();
        for step in self.steps.iter().filter(|step| !step.inside.is_empty()) {
            let Some(path) = &step.document else { continue };
            if !all.iter().any(|(known, _)| known == path) {
                all.push((path.clone(), step.inside.clone()));
            }
        }
        all
    }

    /// Makes the events of documents known, by their paths as the document writes them.
    pub fn restore_events(&mut self, all: &[(String, InnerEvents)]) {
        for step in &mut self.steps {
            let known = all.iter().find(|(path, _)| step.document.as_ref() == Some(path));
            step.inside = known.map(|(_, events)| events.clone()).unwrap_or_default();
        }
    }

    /// Whether steps of documents wait for events or publish some.
    pub fn has_inner_events(&self) -> bool {
        self.steps.iter().any(|step| !step.inside.is_empty())
    }

    /// Whether a step of a document waits for events of this type.
    pub fn is_awaited_inside(&self, kind: &str) -> bool {
        self.steps.iter().flat_map(|step| &step.inside.awaits).any(|awaits| awaits.event == kind)
    }

    /// Whether a step, also of a document, waits for events of this type.
    pub fn is_awaited(&self, kind: &str) -> bool {
        let own =
            self.steps.iter().filter_map(|step| step.awaits.as_ref()).any(|awaits| awaits.event == kind);
        own || self.is_awaited_inside(kind)
    }

    /// Whether an event of this type and subject may be taken after the item with this subject as its key has ended: a
    /// step finds it by a value, or runs once for all items.
    pub fn outlives(&self, kind: &str, subject: &str) -> bool {
        self.steps.iter().any(|step| {
            let own = step.awaits.as_ref().filter(|awaits| awaits.event == kind);
            let own = own.is_some_and(|awaits| awaits.subject.is_some() || step.once && subject == RUN);
            own || step.inside.awaits.iter().filter(|awaits| awaits.event == kind).any(|awaits| match awaits
                .subject
            {
                InnerSubject::Value => true,
                InnerSubject::Run => subject == RUN,
                InnerSubject::Key => step.once && subject == RUN,
            })
        })
    }

    /// The events that the steps of this document itself wait for with a subject that is known before: each type, and
    /// whether it is for the steps for all items instead of the item.
    pub fn awaited_by_key(&self) -> BTreeSet<(&str, bool)> {
        let waits = self.steps.iter().filter_map(|step| Some((step.awaits.as_ref()?, step.once)));
        let by_key = waits.filter(|(awaits, _)| awaits.subject.is_none());
        by_key.map(|(awaits, once)| (&*awaits.event, once)).collect()
    }
}
