//! A stored run that this process has locked, to resume or change it.

use super::documents::{another, definition};
use super::error::{Error, ErrorKind};
use super::sequence;
use super::{History, InnerEnds, RunEnd, lock};
use crate::adapter::orphans::{self, OrphanReport};
use crate::adapter::redact::Redactor;
use crate::adapter::{self, ProcessIdentity};
use crate::diag::render::visible;
use crate::disk::Folder;
use crate::engine::{RetryRequest, Run};
use crate::event::{AttemptEvent, Event, EventKind, ItemEvent, ItemId, Millis, StepId, StepPath};
use crate::journal::{self, Journal, Lock, Record, Revision, Store};
use crate::runtime::{Observer, ReportedColumns, UsedKeys};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

/// The file in a run's folder that requests its cancellation.
const CANCEL: &str = "cancel";

/// Whether the run in `home` has been cancelled.
pub fn is_cancelled(home: &Path) -> bool {
    Folder::open(home).is_ok_and(|home| home.has_file(CANCEL))
}

/// Asks the current or next runner of the run in `home` to cancel it.
///
/// # Errors
/// The request cannot be written.
pub fn request_cancel(home: &Path) -> io::Result<()> {
    Folder::open(home)?.replace(CANCEL, b"")
}

/// Withdraws the request.
pub fn withdraw_cancel(home: &Path) {
    let _ = Folder::open(home).and_then(|home| home.remove(CANCEL));
}

/// What a step has made for an item in flight that names a secret.
struct Named {
    step: StepId,
    secret: String,
    /// From before the run was adopted: the name would become the secret for the step that takes it. Else this name has no
    /// secret any more, and the step would get the name.
    foreign: bool,
}

/// A stored run with its lock.
pub struct LockedRun {
    pub history: History,
    /// A document that the run follows from now on.
    revision: Option<Revision>,
    /// Failed items to retry.
    pub retry: Vec<RetryRequest>,
    /// An item that has succeeded and is to be compensated.
    pub revoke: Option<ItemId>,
    /// This many of its first rows were written by somebody else and may name secrets that no step has made.
    pub foreign: i64,
    /// What is known of the runs within it.
    pub inner: InnerEnds,
    pub(super) lock: Lock,
    pub(super) store: Store,
}

/// The state of a run when it was left.
pub(super) struct Recalled {
    /// The time since it began.
    pub last: Millis,
    /// Processes whose end was not recorded.
    pub started: Vec<ProcessIdentity>,
    pub asked: UsedKeys,
    pub columns: ReportedColumns,
    /// How many events there are.
    pub events: u64,
}

impl LockedRun {
    /// Locks the run in `home`.
    ///
    /// # Errors
    /// Another runner holds the lock, or its journal cannot be read.
    pub fn take(home: &Path) -> anyhow::Result<LockedRun> {
        LockedRun::locked(home, lock(home)?)
    }

    /// The same with a lock that is already held.
    ///
    /// # Errors
    /// Its journal cannot be read.
    pub fn locked(home: &Path, lock: Lock) -> anyhow::Result<LockedRun> {
        let (store, _) = Store::open(home)?;
        Ok(LockedRun {
            history: History::open(home)?,
            revision: None,
            retry: Vec::new(),
            revoke: None,
            foreign: 0,
            inner: InnerEnds::default(),
            lock,
            store,
        })
    }

    /// Whether all items of the run are in the journal, so that they need not be read again.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn has_all_items(&self) -> anyhow::Result<bool> {
        let Some(total) = self.history.total.filter(|_| !self.history.header().items.is_null()) else {
            return Ok(false);
        };
        Ok(self.begins_nothing() || self.history.outline()?.admitted() >= total)
    }

    /// Whether the run was cancelled, so that no item begins any more.
    pub fn begins_nothing(&self) -> bool {
        is_cancelled(self.history.home()) && self.retry.is_empty()
    }

    /// Makes the run follow this document from now on.
    ///
    /// # Errors
    /// This version gives a document of the run another meaning than the version that started the run.
    pub fn revise(&mut self, revision: Revision) -> anyhow::Result<()> {
        self.history.revise(&revision)?;
        self.revision = Some(revision);
        Ok(())
    }

    /// Appends events.
    ///
    /// # Errors
    /// They cannot be stored.
    pub fn append(mut self, events: Vec<Event>) -> anyhow::Result<Lock> {
        let records: Vec<Record> = events.into_iter().map(Record::Event).collect();
        self.store.append(&records)?;
        // The events may change the run's end.
        RunEnd::clear(self.history.home());
        drop(self.history);
        self.store.tidy()?;
        Ok(self.lock)
    }

    /// Folds the run to where it was, and passes all past events to the observers.
    ///
    /// # Errors
    /// The journal is damaged, or an observer fails.
    pub(super) fn recall(
        &self,
        run: &mut Run,
        redactor: &Redactor,
        observers: &mut [&mut dyn Observer],
    ) -> anyhow::Result<Recalled> {
        // Events refer to steps by number: the numbers must have the same meaning.
        if self.history.header().definition != definition(&self.history.graph) {
            return Err(another(self.history.header()).into());
        }
        let mut retries = self.history.retries()?;
        self.retry.iter().for_each(|retry| retries.add(retry.item));
        self.revoke.iter().for_each(|item| retries.revoke(*item));
        let (mut last, mut asked, mut events) = (0, UsedKeys::default(), 0);
        let mut started: HashMap<(ItemId, StepPath, u32), Vec<ProcessIdentity>> = HashMap::new();
        // What items that are over have made flows on only into the steps that run once for all items.
        let (mut named, keeps) = (BTreeMap::new(), self.history.graph.has_run_steps());
        let columns = self.history.each(|record, spot| {
            let mut event = match record {
                Record::Event(event) => event,
                Record::Asked(one) => {
                    asked.recall(one);
                    return Ok(());
                }
                Record::Spawned(process) => {
                    let journal::Process { item, step, attempt, pid, group, started: at, boot } = process;
                    let known = started.entry((item, step, attempt)).or_default();
                    known.push(ProcessIdentity { pid, group, started: at, boot: boot.into() });
                    return Ok(());
                }
                Record::Revised(_) | Record::Message(_) => return Ok(()),
            };
            let foreign = spot.row() <= self.foreign;
            if let Some(secret) = redactor.named_in(&event, !foreign)
                && let EventKind::Attempt(item, path, ..) = &event.kind
            {
                named.insert(*item, Named { step: path.step, secret, foreign });
            }
            match foreign {
                true => redactor.learn(&event),
                false => redactor.reveal(&mut event),
            }
            if let EventKind::Attempt(item, step, attempt, AttemptEvent::Finished(_)) = &event.kind {
                started.remove(&(*item, *step, *attempt));
            }
            events += 1;
            last = last.max(event.at);
            asked.see(&event);
            let void = run.recall_past(&event, &mut retries);
            if void.map_err(|_| sequence::misplaced(&event, spot))? {
                return Ok(());
            }
            if let EventKind::Item(item, ItemEvent::Settled { .. }) = &event.kind
                && !keeps
            {
                named.remove(item);
            }
            observers.iter_mut().try_for_each(|observer| observer.see(&event))
        })?;
        self.refuse_named(&named, run)?;
        let started = started.into_values().flatten().collect();
        Ok(Recalled { last, started, asked, columns, events })
    }

    fn refuse_named(&self, named: &BTreeMap<ItemId, Named>, run: &Run) -> Result<(), Error> {
        let Some((item, Named { step, secret, foreign })) = named.first_key_value() else { return Ok(()) };
        let step = visible(&self.history.graph.step(*step).title);
        let of = match run.key(*item).filter(|_| *item != ItemId::RUN) {
            Some(key) => format!(" for item `{}`", visible(key)),
            None => String::new(),
        };
        let others = match named.len() - 1 {
            0 => String::new(),
            1 => " (and for another item)".to_owned(),
            more => format!(" (and for {more} other items)"),
        };
        let secret = visible(secret);
        let (kind, message, help) = match foreign {
            true => (
                ErrorKind::Named,
                format!(
                    "this run was adopted, and what {step} made before that{of}{others} names the secret {secret}, which a \
                     later step would get; nothing was run"
                ),
                "the run may come from someone else, who chose this name: resume it where it was started, or run the items \
                 that have not ended in a new run, which repeats all their steps"
                    .to_owned(),
            ),
            false => (
                ErrorKind::Invalid,
                format!(
                    "what {step} made{of}{others} contained the secret {secret}, which orderflow.toml gives to no agent any \
                     more; nothing was run"
                ),
                format!(
                    "give {secret} to its agent again, or run the items that have not ended in a new run, which repeats all \
                     their steps"
                ),
            ),
        };
        Err(Error::new(kind, message).help(help))
    }

    /// Ends the processes that the last runner left, found by the run's mark; `started` are those in the journal. They
    /// would run beside the repeated attempts.
    ///
    /// # Errors
    /// A process cannot be ended.
    pub(super) async fn end_orphans(&self, started: &[ProcessIdentity]) -> anyhow::Result<OrphanReport> {
        let (_stopper, mut stop) = adapter::Stop::new();
        let report = orphans::end(&self.history.header().run, started, adapter::GRACE, &mut stop).await;
        match report.left.as_slice() {
            [] => Ok(report),
            left => {
                let numbers: Vec<String> = left.iter().map(u32::to_string).collect();
                let message =
                    format!("cannot end what the last runner has left running: {}", numbers.join(", "));
                Err(Error::new(ErrorKind::Io, message)
                    .help("end these processes, which may be another user's, and resume the run again")
                    .into())
            }
        }
    }

    /// Closes the reader, and stores the revision, if any: from here on the journal is written.
    pub(super) fn into_store(mut self) -> anyhow::Result<(Store, Lock)> {
        drop(self.history);
        if let Some(revision) = self.revision {
            self.store.append(&[Record::Revised(revision)])?;
        }
        Ok((self.store, self.lock))
    }
}
