//! A stored run: its state, the requests that it allows, and its resumption. Shows nothing and asks no questions;
//! callers decide first whether the run is the user's own.
//!
//! - [`History`]: a run for reading, also while it is active.
//! - [`Outline`], [`Failures`], [`dead_letters`]: its state.
//! - [`LockedRun`]: a locked run, to be resumed or changed.
//! - [`Runner`]: a run to be driven, new or resumed.

mod child_end;
mod children;
pub mod dead_letters;
mod declared;
mod difference;
mod documents;
mod earlier;
mod end;
mod error;
mod events;
mod failures;
mod follow;
mod gates;
mod inner_ends;
mod inside;
mod lock;
mod logs;
mod nested;
mod options;
mod outline;
mod revise;
mod revoker;
mod runner;
mod sequence;
mod source;
mod taken;
mod traced;
mod used;
mod within;

pub use child_end::KeptRun;
pub use children::{ChildAgent, ChildDocument};
pub use documents::definition;
#[cfg(feature = "restate")]
pub use documents::graph_of;
pub use end::RunEnd;
pub use error::{Error, ErrorKind};
pub use events::{AwaitingStep, EventLog, Prospect, UntakenEvent};
pub use failures::{Failed, Failures};
pub use follow::{FollowedEvent, Follower};
pub use gates::{GateLog, Ruling, Waiting, is_late};
pub use inner_ends::{InnerEnds, JournalEnd, leave, take_left};
pub use inside::{InnerAwaiting, InnerRun};
pub use lock::{lock, try_lock};
pub use logs::{InnerLogs, WantedLogs};
pub use nested::{NestedRows, NestedTrace};
pub use options::{RunOptions, StoredAgent, StoredDocument};
pub use outline::{Basis, Counts, Outline, State};
pub use revise::Replacement;
pub use revoker::ChildRevoker;
pub use runner::{DriveOutcome, New, People, Prepared, Runner};
pub use source::{ItemsFrom, PIPED};
pub use taken::{LockedRun, is_cancelled, request_cancel, withdraw_cancel};
pub use traced::{SpanDestination, SpanSink, Tracing};

use crate::engine::{Limits, Policy, Retries, Run, Unavailable, UnavailableAgents, spend};
use crate::event::{Event, ItemId, Millis};
use crate::graph::Graph;
use crate::journal::{self, Header, Message, Record, Records, Revision, Spot};
use crate::runtime::{ReportedColumns, unix_millis};
use crate::session::Head;
use crate::spec::{OnItemError, Tolerance};
use crate::value::budget::Spent;
use documents::{Documents, Renumbering, another};
use sequence::Sequence;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The time since the runner of a run wrote to the journal in its folder, or since it locked the run.
pub fn quiet(home: &Path) -> Millis {
    let latest = journal::last_sign(home).and_then(|latest| Millis::try_from(latest).ok());
    latest.map_or(0, |latest| unix_millis().saturating_sub(latest))
}

/// A stored run as its journal was when it was opened. Takes no lock and changes nothing, so the run may be active.
pub struct History {
    home: PathBuf,
    documents: Documents,
    pub options: RunOptions,
    /// The steps that are run, by the newest document. All events are translated to it.
    pub graph: Arc<Graph>,
    /// How many items it began with; `None` if its journal does not record it.
    pub total: Option<u64>,
    pub tolerate: Tolerance,
    records: Records,
    /// For each document that it has followed, the newest last.
    numbers: Vec<Renumbering>,
    summary: OnceCell<Summary>,
}

/// How many runs of documents are looked at for events that have come for them.
const MOVED_ON: usize = 1000;

/// The results of one pass over all events.
#[derive(Default)]
struct Summary {
    outline: Outline,
    failures: Failures,
    retries: Retries,
    unavailable: UnavailableAgents,
    spent: Spent,
}

impl History {
    /// Opens the run in the folder `home`.
    ///
    /// # Errors
    /// When its journal cannot be read, or this version gives a document or the options another meaning than the
    /// version that started the run.
    pub fn open(home: &Path) -> anyhow::Result<History> {
        let (header, records) = journal::read(home)?;
        History::of(home, header, records)
    }

    /// The same for an open journal.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn of(home: &Path, header: Header, records: Records) -> anyhow::Result<History> {
        let options = RunOptions::of(&header)?;
        let documents = Documents::of(header, &records)?;
        let graph = documents.graph(&options)?;
        let numbers = documents.numbers(&options, &graph)?;
        Ok(History {
            home: home.to_owned(),
            total: source::total(&documents.header.items),
            tolerate: options.tolerate.unwrap_or(graph.settings.tolerate),
            graph: Arc::new(graph),
            documents,
            options,
            records,
            numbers,
            summary: OnceCell::new(),
        })
    }

    /// The run's folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The run's header, with its newest document.
    pub fn header(&self) -> &Header {
        &self.documents.header
    }

    /// The records of its events.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// Switches to another document, which the run follows from now on.
    fn revise(&mut self, revision: &Revision) -> anyhow::Result<()> {
        self.documents.push(revision.clone());
        let graph = self.documents.graph(&self.options)?;
        self.numbers = self.documents.numbers(&self.options, &graph)?;
        self.tolerate = self.options.tolerate.unwrap_or(graph.settings.tolerate);
        self.graph = Arc::new(graph);
        self.summary = OnceCell::new();
        Ok(())
    }

    /// The run's progress and state.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn outline(&self) -> anyhow::Result<&Outline> {
        Ok(&self.summary()?.outline)
    }

    /// The run's failures.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn failures(&self) -> anyhow::Result<&Failures> {
        Ok(&self.summary()?.failures)
    }

    /// Agents that were unavailable at last.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn unavailable(&self) -> anyhow::Result<&[Unavailable]> {
        Ok(self.summary()?.unavailable.all())
    }

    /// What the run has spent in all sessions.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn spent(&self) -> anyhow::Result<Spent> {
        Ok(self.summary()?.spent)
    }

    /// Which ends of items are void, because the items were retried or resolved later.
    pub(crate) fn retries(&self) -> anyhow::Result<Retries> {
        Ok(self.summary()?.retries.clone())
    }

    fn summary(&self) -> anyhow::Result<&Summary> {
        if let Some(summary) = self.summary.get() {
            return Ok(summary);
        }
        let mut summary = Summary::default();
        let mut expected = outline::ExpectedFigures::of(&self.graph);
        self.events(|event| {
            summary.outline.see(event);
            summary.failures.see(event);
            summary.retries.see(event);
            summary.unavailable.see(&self.graph, event);
            spend(&mut summary.spent, event);
            expected.see(event);
            Ok(())
        })?;
        summary.outline.unmet = expected.unmet(&self.graph);
        Ok(self.summary.get_or_init(|| summary))
    }

    /// Calls `see` with all events in order. Memory holds a few at a time.
    ///
    /// # Errors
    /// An error of `see`, or the journal is damaged.
    pub fn events(&self, mut see: impl FnMut(&Event) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.each(|record, spot| match record {
            Record::Event(event) => see(&event).map_err(|error| sequence::judged(error, &event, spot)),
            Record::Spawned(_) | Record::Asked(_) | Record::Revised(_) | Record::Message(_) => Ok(()),
        })
        .map(drop)
    }

    /// Calls `see` with the messages of an item's attempts, in the order in which they were reported. Memory holds a few
    /// at a time.
    ///
    /// # Errors
    /// An error of `see`, or the journal is damaged.
    pub fn messages(
        &self,
        item: ItemId,
        mut see: impl FnMut(Message) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.all_messages(|message| if message.item == item { see(message) } else { Ok(()) })
    }

    /// The same for all items.
    ///
    /// # Errors
    /// An error of `see`, or the journal is damaged.
    pub fn all_messages(&self, mut see: impl FnMut(Message) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut numbers = self.numbers.iter();
        let mut current = numbers.next();
        self.records.messages(|record| match record {
            Record::Message(mut message) => {
                // A step that the newest document does not have is not shown.
                let known = current.is_some_and(|current| current.path(&mut message.step));
                if known { see(message) } else { Ok(()) }
            }
            Record::Revised(_) => {
                current = numbers.next();
                Ok(())
            }
            Record::Event(_) | Record::Spawned(_) | Record::Asked(_) => Ok(()),
        })
    }

    /// The events without the void ends of items: the input of traces and statistics.
    ///
    /// # Errors
    /// As for [`events`](Self::events).
    pub fn replay(&self, mut see: impl FnMut(&Event) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut retries = self.retries()?;
        self.events(|event| if retries.void(event) { Ok(()) } else { see(event) })
    }

    /// The run as it was left, for queries of its pending work; `see` is called with each event after the run has
    /// applied it.
    ///
    /// # Errors
    /// As for [`events`](Self::events).
    pub fn fold(&self, mut see: impl FnMut(&Event, &Run)) -> anyhow::Result<Run> {
        let mut run = Run::new(self.graph.clone(), self.unlimited());
        run.set_name(&self.header().run);
        let mut retries = self.retries()?;
        self.events(|event| {
            run.recall_past(event, &mut retries)?;
            see(event, &run);
            Ok(())
        })?;
        Ok(run)
    }

    /// How many items wait at a gate, and for an event, although what they wait for is stored: they continue with the run.
    ///
    /// # Errors
    /// As for [`events`](Self::events).
    pub fn moving_on(&self) -> anyhow::Result<(u64, u64)> {
        let run = self.fold(|_, _| {})?;
        let gates = run.waiting().filter(|(item, _, gate, _)| run.stored_decision(*item, *gate).is_some());
        let gates: BTreeSet<ItemId> = gates.map(|(item, ..)| item).collect();
        let events = run.awaiting().filter(|(item, _, step, ..)| run.stored_event(*item, *step).is_some());
        let mut events: BTreeSet<ItemId> = events.map(|(item, ..)| item).collect();
        if self.graph.awaited() != self.graph.awaited_here() {
            let runs = self.inner_runs(MOVED_ON)?;
            let awaits = self.inner_awaits(&runs, None)?;
            events.extend(awaits.iter().filter(|one| one.stored).map(|one| one.item));
        }
        events.retain(|item| !gates.contains(item));
        Ok((gates.len() as u64, events.len() as u64))
    }

    /// For a run that starts nothing.
    fn unlimited(&self) -> Policy {
        Policy {
            limits: Limits::jobs(usize::MAX),
            tolerate: self.tolerate,
            on_item_error: OnItemError::Continue,
        }
    }

    /// Calls `take` with all records, translated to the newest document. Returns the columns that agents have reported.
    fn each(
        &self,
        mut take: impl FnMut(Record, Spot<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<ReportedColumns> {
        let mut numbers = self.numbers.iter();
        let mut current = numbers.next();
        let (mut sequence, mut columns) = (Sequence::default(), ReportedColumns::default());
        self.records.each_at(|mut record, spot| {
            match &mut record {
                Record::Event(event) => {
                    let current = current.ok_or_else(|| another(self.header()))?;
                    let misfit = current.declared.misfit(event);
                    if !current.translate(event, &self.graph) {
                        return Err(documents::unknown(spot).into());
                    }
                    sequence.take(event, spot)?;
                    if let Some(why) = misfit.or_else(|| declared::too_many(&mut columns, event)) {
                        return Err(sequence::unfit(event, &why, spot).into());
                    }
                }
                // A process that serves several attempts has no step.
                Record::Spawned(process) => {
                    let _ = current.is_some_and(|current| current.path(&mut process.step));
                }
                Record::Revised(_) => current = numbers.next(),
                Record::Asked(_) | Record::Message(_) => {}
            }
            take(record, spot)
        })?;
        Ok(columns)
    }

    /// The head of the run's session file.
    pub fn head(&self, complete: bool) -> Head {
        Head {
            run: self.header().run.clone(),
            workflow: self.graph.title.clone(),
            source: self.header().document.path.clone(),
            started: self.header().started.clone(),
            complete,
        }
    }

    /// The basis for its outline.
    pub fn basis(&self) -> Basis {
        Basis {
            total: self.total,
            tolerate: self.tolerate,
            once: self.graph.has_run_steps(),
            always: self.graph.has_always(),
            publishes: self.graph.publishes() && !self.is_ended(),
        }
    }
}
