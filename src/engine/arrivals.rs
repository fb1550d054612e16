//! The events that a run has got, from outside and from its own steps, as long as a step may still take them. Does not
//! know who takes which.

use crate::event::{Arrival, ItemId, StepId, TypePattern};
use crate::graph::Graph;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most events that a run holds for steps, and the most bytes of their data. Beyond, none is accepted from outside.
const MOST: usize = 100_000;
const LARGEST: usize = 64 << 20;

/// The key of the steps that run once after all items; an item may have it, too.
pub(super) const RUN_KEY: &str = "run";

/// A text by its hash, so that many ids and keys take little memory.
type Digest = [u8; 16];

#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// The run's name: the ids of its own events begin with it.
    pub run: Arc<str>,
    /// The ids of all events so far.
    ids: BTreeSet<Digest>,
    /// How many events there were.
    count: u64,
    /// Those that steps took on earlier visits of the document, in other runs of it.
    used: BTreeSet<(StepId, Digest)>,
    /// Those that a step may take, by number.
    held: BTreeMap<u64, Arc<Arrival>>,
    /// The same by type and subject.
    by: BTreeMap<String, BTreeMap<String, BTreeSet<u64>>>,
    /// The bytes of their data.
    size: usize,
    /// The items that wait for an event with this subject, and those that did.
    waiters: BTreeMap<Arc<str>, BTreeSet<ItemId>>,
    /// The keys of items that have ended.
    ended: BTreeSet<Digest>,
    /// The channels to which events of steps are published, with the types that each takes.
    pub sinks: Vec<(Arc<str>, Vec<TypePattern>)>,
    /// Events of steps that a channel has not accepted yet, by channel and id.
    outgoing: BTreeMap<Outgoing, Arc<Arrival>>,
    /// Those that a channel did not accept at last, with the reason.
    refused: BTreeMap<Outgoing, String>,
}

/// A channel, and the id of an event.
type Outgoing = (Arc<str>, String);

impl Arrivals {
    /// A step does not take the event with this id.
    pub fn use_up(&mut self, step: StepId, id: &str) {
        self.used.insert((step, digest(id)));
    }

    pub fn is_used(&self, step: StepId, id: &str) -> bool {
        !self.used.is_empty() && self.used.contains(&(step, digest(id)))
    }

    /// Whether an event with this id came before.
    pub fn knows(&self, id: &str) -> bool {
        self.ids.contains(&digest(id))
    }

    /// Whether another event can be held.
    pub fn has_room(&self) -> bool {
        self.held.len() < MOST && self.size < LARGEST
    }

    /// Adds an event, unless its id is known.
    pub fn add(&mut self, graph: &Graph, arrival: &Arc<Arrival>) {
        if !self.ids.insert(digest(&arrival.id)) {
            return;
        }
        let number = self.count;
        self.count += 1;
        let over = self.ended.contains(&digest(&arrival.subject));
        if !graph.is_awaited(&arrival.kind) || over && !graph.outlives(&arrival.kind, &arrival.subject) {
            return;
        }
        self.size = self.size.saturating_add(size(arrival));
        let subjects = self.by.entry(arrival.kind.clone()).or_default();
        subjects.entry(arrival.subject.clone()).or_default().insert(number);
        self.held.insert(number, arrival.clone());
    }

    /// Notes an event of a step for each channel that takes its type, and returns these.
    pub fn publish(&mut self, arrival: &Arc<Arrival>) -> Vec<Arc<str>> {
        let takes = |(_, types): &&(_, Vec<TypePattern>)| types.iter().any(|one| one.matches(&arrival.kind));
        let channels: Vec<Arc<str>> = self.sinks.iter().filter(takes).map(|(name, _)| name.clone()).collect();
        for channel in &channels {
            self.outgoing.insert((channel.clone(), arrival.id.clone()), arrival.clone());
        }
        channels
    }

    /// A channel has accepted an event, or has not, for this reason.
    pub fn published(&mut self, channel: &Arc<str>, id: &str, why: Option<&String>) {
        let one = (channel.clone(), id.to_owned());
        match why {
            Some(why) => drop(self.refused.insert(one, why.clone())),
            None => {
                self.outgoing.remove(&one);
                self.refused.remove(&one);
            }
        }
    }

    /// The events that channels have not accepted.
    pub fn outgoing(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Arrival>)> {
        self.outgoing.iter().map(|((channel, _), arrival)| (channel, arrival))
    }

    /// The events that channels have refused, by channel and id, with the reason.
    pub fn refused(&self) -> impl Iterator<Item = (&Arc<str>, &str, &str)> {
        self.refused.iter().map(|((channel, id), why)| (channel, id.as_str(), why.as_str()))
    }

    /// How many events there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn get(&self, number: u64) -> Option<&Arc<Arrival>> {
        self.held.get(&number)
    }

    /// Those from a number on that steps of documents may take, in their order.
    pub fn for_documents(&self, graph: &Graph, from: u64) -> impl Iterator<Item = &Arc<Arrival>> {
        self.held.range(from..).map(|(_, arrival)| arrival).filter(|one| graph.is_awaited_inside(&one.kind))
    }

    /// Whether a channel takes events of this type.
    pub fn has_sink(&self, kind: &str) -> bool {
        self.sinks.iter().flat_map(|(_, types)| types).any(|one| one.matches(kind))
    }

    /// Those of this type and subject from a number on, in their order.
    pub fn of(
        &self,
        kind: &str,
        subject: &str,
        from: u64,
    ) -> impl Iterator<Item = (u64, &Arc<Arrival>)> + use<'_> {
        let numbers = self.by.get(kind).and_then(|subjects| subjects.get(subject));
        let numbers = numbers.into_iter().flat_map(move |numbers| numbers.range(from..));
        numbers.filter_map(|number| Some((*number, self.held.get(number)?)))
    }

    /// An item waits for an event with this subject.
    pub fn wait(&mut self, subject: &Arc<str>, item: ItemId) {
        self.waiters.entry(subject.clone()).or_default().insert(item);
    }

    /// The items that may wait for an event with this subject.
    pub fn waiters(&self, subject: &str) -> impl Iterator<Item = ItemId> + use<'_> {
        self.waiters.get(subject).into_iter().flatten().copied()
    }

    /// An item has ended: nothing takes the events any more that are only for its key.
    pub fn end(&mut self, graph: &Graph, item: ItemId, key: &str, subjects: impl Iterator<Item = Arc<str>>) {
        for subject in subjects {
            if let Some(items) = self.waiters.get_mut(&subject) {
                items.remove(&item);
                if items.is_empty() {
                    self.waiters.remove(&subject);
                }
            }
        }
        if graph.awaited().is_empty() {
            return;
        }
        self.ended.insert(digest(key));
        for (kind, all) in &mut self.by {
            if graph.outlives(kind, key) {
                continue;
            }
            for number in all.remove(key).into_iter().flatten() {
                if let Some(arrival) = self.held.remove(&number) {
                    self.size = self.size.saturating_sub(size(&arrival));
                }
            }
        }
    }
}

fn digest(text: &str) -> Digest {
    let mut short = Digest::default();
    short.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
    short
}

fn size(arrival: &Arrival) -> usize {
    arrival.data.to_string().len()
}
