//! The events of a run as they are written, each with its number and its item's key. Reads only the rows that were added
//! since the last call, and holds no lock and no open file between calls.

use super::documents::{Documents, Renumbering, another, unknown};
use super::options::RunOptions;
use super::sequence::Sequence;
use crate::adapter::redact::Redactor;
use crate::event::{Event, EventKind, ItemEvent, ItemId, RunEvent};
use crate::graph::Graph;
use crate::journal::{self, Record, RowPlace};
use std::cell::Cell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The key of the steps that run once after all items.
const RUN: &str = "run";

/// A reader of one run, at a place in its journal.
pub struct Follower {
    home: PathBuf,
    /// Which journal it is.
    seal: String,
    place: RowPlace,
    /// How many events have been read.
    count: Cell<u64>,
    state: FollowState,
}

/// What is known from the records before the place.
struct FollowState {
    documents: Documents,
    options: RunOptions,
    /// By the document that the run follows at the place.
    graph: Arc<Graph>,
    numbers: Renumbering,
    redactor: Redactor,
    has_secrets: bool,
    sequence: Sequence,
    /// The keys of items in flight.
    keys: HashMap<ItemId, Arc<str>>,
}

/// An event that was read.
pub struct FollowedEvent<'a> {
    /// From 1, in the order of the journal.
    pub number: u64,
    pub event: &'a Event,
    /// The key of its item.
    pub key: Option<&'a str>,
    pub graph: &'a Graph,
    /// It knows the secrets of the events so far; `None` if the document has none.
    pub redactor: Option<&'a Redactor>,
}

impl Follower {
    /// At the beginning of the run in the folder `home`.
    ///
    /// # Errors
    /// As for [`History::open`](super::History::open).
    pub fn open(home: &Path) -> anyhow::Result<Follower> {
        let (header, records) = journal::read(home)?;
        let (seal, place) = (records.seal(), records.begin());
        let options = RunOptions::of(&header)?;
        let documents = Documents::first(header);
        let graph = Arc::new(documents.graph(&options)?);
        let numbers = Renumbering::between(&graph, &graph);
        let redactor = Redactor::default().of_values(graph.secrets());
        let has_secrets = graph.secrets().next().is_some();
        let (sequence, keys) = Default::default();
        let state = FollowState { documents, options, graph, numbers, redactor, has_secrets, sequence, keys };
        Ok(Follower { home: home.to_owned(), seal, place, count: Cell::new(0), state })
    }

    /// How many events have been read.
    pub fn count(&self) -> u64 {
        self.count.get()
    }

    /// Reads about `most` further events, or those up to the current end. Returns whether the end was reached.
    ///
    /// # Errors
    /// The journal is damaged, or another one is in its place.
    pub fn read(&mut self, most: u64, mut see: impl FnMut(FollowedEvent<'_>)) -> anyhow::Result<bool> {
        let Follower { home, seal, place, count, state } = self;
        let (header, records) = journal::read(home)?;
        if records.seal() != *seal {
            return Err(another(&header).into());
        }
        let from = count.get();
        let enough = Cell::new(false);
        *place = records.each_after(
            *place,
            |record, spot| -> anyhow::Result<()> {
                match record {
                    Record::Revised(revision) => state.revise(revision)?,
                    Record::Event(mut event) => {
                        if !state.numbers.translate(&mut event, &state.graph) {
                            return Err(unknown(spot).into());
                        }
                        state.sequence.take(&event, spot)?;
                        count.set(count.get() + 1);
                        enough.set(count.get() - from >= most);
                        state.show(count.get(), &event, &mut see);
                    }
                    Record::Spawned(_) | Record::Asked(_) | Record::Message(_) => {}
                }
                Ok(())
            },
            || enough.get(),
        )?;
        Ok(!enough.get())
    }
}

impl FollowState {
    fn revise(&mut self, revision: journal::Revision) -> anyhow::Result<()> {
        self.documents.push(revision);
        self.graph = Arc::new(self.documents.graph(&self.options)?);
        self.numbers = Renumbering::between(&self.graph, &self.graph);
        Ok(())
    }

    fn show(&mut self, number: u64, event: &Event, see: &mut impl FnMut(FollowedEvent<'_>)) {
        self.redactor.learn(event);
        match &event.kind {
            EventKind::Item(item, change) => {
                self.keys.extend(change.begins().map(|key| (*item, key.clone())));
            }
            EventKind::Run(RunEvent::StepsBegan) => drop(self.keys.insert(ItemId::RUN, RUN.into())),
            EventKind::Run(_) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
        let key = event.item().and_then(|item| self.keys.get(&item));
        see(FollowedEvent {
            number,
            event,
            key: key.map(|key| &**key),
            graph: &self.graph,
            redactor: self.has_secrets.then_some(&self.redactor),
        });
        if let EventKind::Item(item, ItemEvent::Settled { .. }) = &event.kind {
            self.keys.remove(item);
        }
    }
}
