//! A run to be driven: new, or resumed from its journal.

use super::documents::definition;
use super::error::{Error, ErrorKind};
use super::options::RunOptions;
use super::taken::{LockedRun, Recalled, is_cancelled};
use super::traced::{Traced, Tracing};
use super::{ItemsFrom, RunEnd, lock};
use crate::adapter::orphans::OrphanReport;
use crate::adapter::{InnerGates, Rests};
use crate::engine::{Policy, RetryRequest, Run};
use crate::event::{ItemId, ItemState, Millis, StopReason, TypePattern};
use crate::graph::Graph;
use crate::journal::{self, Header, Lock, Store, Trouble, Version};
use crate::runtime::{
    AgentQuestions, Asks, Bindings, Border, Durable, ItemStream, Loop, Observer, OtherInputs, Outbox,
    ReportedColumns, Requests, Sources, UsedKeys, Workspace,
};
#[cfg(feature = "restate")]
use crate::runtime::{Mirror, NewsFeed, ReceivedLogs, RequestSender};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The requirements of a run, new or resumed.
pub struct Prepared {
    pub graph: Arc<Graph>,
    pub policy: Policy,
    pub bindings: Bindings,
    /// The run's own folder.
    pub workspace: Workspace,
    /// The deadline of the whole run; it counts from when the run begins or resumes.
    pub deadline: Option<Duration>,
    /// No other part of this process starts programs: all orphaned programs belong to this run and are ended with it.
    pub owns_orphans: bool,
    /// The channels to which events of steps are published, with the types that each takes.
    pub sinks: Vec<(Arc<str>, Vec<TypePattern>)>,
    /// The trace to which the run belongs, and where its spans are sent.
    pub tracing: Tracing,
}

/// The header of a new run, for its journal.
pub struct New {
    /// The run's id.
    pub run: String,
    /// RFC 3339.
    pub started: String,
    pub document: journal::DocumentText,
    pub options: RunOptions,
    /// The source of its items; `None` if it runs once, without items.
    pub items: Option<ItemsFrom>,
}

impl New {
    /// The header of its journal.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn header(&self, graph: &Graph) -> serde_json::Result<Header> {
        Ok(Header {
            version: Version::CURRENT,
            run: self.run.clone(),
            started: self.started.clone(),
            document: self.document.clone(),
            definition: definition(graph),
            options: serde_json::to_value(&self.options)?,
            items: serde_json::to_value(&self.items)?,
        })
    }
}

/// How people take part in a run.
#[derive(Default)]
pub struct People {
    /// Where to send the items that wait for a person.
    pub asks: Option<Asks>,
    /// Where the questions of agents are sent.
    pub questions: Option<AgentQuestions>,
    /// Where the gates of documents are reported.
    pub inner_gates: InnerGates,
    /// Whether somebody is asked about each of them: the run waits for the answers.
    pub answers: bool,
    /// Whether to wait for people when nothing else can happen. Otherwise the run is left as it is and can be resumed.
    pub waits: bool,
    /// The attempt of another run that this run is.
    pub within: Option<Rests>,
    /// The run that this process drives, if this one is within it.
    pub outermost: Option<Arc<str>>,
    /// The key of what this run compensates, if it is one of a document that does.
    pub forward_key: Option<Arc<str>>,
    /// Where events come from.
    pub sources: Option<Sources>,
    /// Where events of steps are published.
    pub outbox: Option<Outbox>,
    /// The events of the outermost run, if this one is within it.
    pub border: Option<Border>,
}

/// A run that is ready to run.
pub struct Runner {
    pub run: Run,
    id: Arc<str>,
    prepared: Prepared,
    durable: Option<Durable>,
    /// Held until the end, and while the trace is written.
    lock: Option<Lock>,
    /// The time at which a resumed run was left, in its own time.
    since: Option<Millis>,
    asked: UsedKeys,
    columns: ReportedColumns,
    retry: Vec<RetryRequest>,
    revoke: Option<ItemId>,
    /// How many events it had when it was resumed.
    known: u64,
    /// Makes its spans, if they are sent somewhere.
    traced: Option<Traced>,
}

/// The result of driving a run.
pub struct DriveOutcome {
    pub run: Run,
    /// The error that stopped it: items that cannot be read any more, or a journal that cannot be written.
    pub trouble: Option<anyhow::Error>,
    /// If the run was left because it waits: how long until it is to continue at the latest.
    pub wakes: Option<Duration>,
    /// The run was left while it is driven elsewhere.
    pub left: bool,
    _lock: Option<Lock>,
}

/// What a dead runner has left runs beside the repeated attempts.
fn not_recovered(why: String) -> Error {
    Error::new(ErrorKind::Io, format!("cannot end what the last runner has left running: {why}"))
        .help("end it, or start what has to answer, and resume the run again")
}

impl Runner {
    /// A new run, with its journal in the workspace's folder.
    ///
    /// # Errors
    /// The journal cannot be created.
    pub fn begin(new: New, prepared: Prepared) -> anyhow::Result<Runner> {
        let home = prepared.workspace.root();
        let lock = lock(home)?;
        let header = new.header(&prepared.graph)?;
        let durable = Durable::start(Store::create(home, &header).map_err(not_begun)?)?;
        Ok(Runner { durable: Some(durable), lock: Some(lock), ..Runner::fleeting(new.run, prepared) })
    }

    /// A new run without a journal, which cannot be resumed.
    pub fn fleeting(id: String, prepared: Prepared) -> Runner {
        let mut run = Run::new(prepared.graph.clone(), prepared.policy.clone());
        run.set_name(&id);
        run.set_sinks(prepared.sinks.clone());
        let traced = prepared.tracing.begin(&prepared.graph, &id.as_str().into(), None);
        Runner {
            run,
            id: id.into(),
            prepared,
            durable: None,
            lock: None,
            since: None,
            asked: UsedKeys::default(),
            columns: ReportedColumns::default(),
            retry: Vec::new(),
            revoke: None,
            known: 0,
            traced,
        }
    }

    /// Resumes a run. Passes all past events to the observers, and ends the processes that the last runner left, which
    /// the report lists.
    ///
    /// # Errors
    /// The journal is damaged or cannot be written, an observer fails, or a process cannot be ended.
    pub async fn resume(
        taken: LockedRun,
        prepared: Prepared,
        observers: &mut [&mut dyn Observer],
    ) -> anyhow::Result<(Runner, OrphanReport)> {
        let mut runner = Runner::fleeting(taken.history.header().run.clone(), prepared);
        let Prepared { graph, tracing, bindings, .. } = &runner.prepared;
        let began = taken.history.header().started.as_str();
        runner.traced = tracing.begin(graph, &runner.id, Some(began));
        let mut all: Vec<&mut dyn Observer> = Vec::new();
        for observer in observers.iter_mut() {
            all.push(&mut **observer);
        }
        all.extend(runner.traced.as_mut().map(|traced| traced as &mut dyn Observer));
        let recalled = taken.recall(&mut runner.run, bindings.redactor(), &mut all)?;
        let Recalled { last, started, asked, columns, events } = recalled;
        runner.known = events;
        runner.traced.iter_mut().for_each(Traced::continues);
        let report = taken.end_orphans(&started).await?;
        runner.prepared.bindings.recover(&runner.id).await.map_err(not_recovered)?;
        let (retry, revoke) = (taken.retry.clone(), taken.revoke);
        let (store, lock) = taken.into_store()?;
        let durable = Durable::start(store)?;
        let (durable, lock, since) = (Some(durable), Some(lock), Some(last));
        Ok((Runner { durable, lock, since, asked, columns, retry, revoke, ..runner }, report))
    }

    /// The run's own folder.
    pub fn home(&self) -> &Path {
        self.prepared.workspace.root()
    }

    /// How many events the run had when it was resumed.
    pub fn known(&self) -> u64 {
        self.known
    }

    /// Whether the run was resumed.
    pub fn is_resumed(&self) -> bool {
        self.since.is_some()
    }

    /// Runs until no item is in flight and no more are admitted. `items` are those that were not admitted before.
    pub async fn drive(
        self,
        items: ItemStream<'_>,
        mut observers: Vec<&mut dyn Observer>,
        requests: Requests,
        people: People,
    ) -> DriveOutcome {
        let Runner { mut run, id, prepared, durable, lock, since, asked, columns, retry, revoke, .. } = self;
        let mut traced = self.traced;
        let cancel = is_cancelled(prepared.workspace.root());
        let Prepared { graph, bindings, workspace, deadline, owns_orphans, tracing, .. } = prepared;
        let mut all: Vec<&mut dyn Observer> = Vec::with_capacity(observers.len() + 1);
        for observer in &mut observers {
            all.push(&mut **observer);
        }
        all.extend(traced.as_mut().map(|traced| traced as &mut dyn Observer));
        let border = people.border.unwrap_or_else(|| Border::outermost(&graph, people.inner_gates));
        let mut turns = Loop {
            graph,
            outermost: people.outermost.unwrap_or_else(|| id.clone()),
            trace: tracing.context(&id),
            forward_key: people.forward_key,
            run_id: id,
            bindings,
            workspace,
            observers: all,
            deadline,
            durable,
            since,
            alone: owns_orphans,
            cancel,
            asked,
            columns,
            retry,
            revoke,
            asks: people.asks,
            questions: people.questions,
            asked_now: people.answers.then(BTreeSet::new),
            waits: people.waits,
            within: people.within,
            wakes: None,
            sources: people.sources,
            outbox: people.outbox,
            border,
        };
        let driven = turns.drive(&mut run, items, requests).await;
        let closed = match turns.durable.take() {
            Some(durable) => durable.close().map_err(anyhow::Error::from),
            None => Ok(()),
        };
        let trouble = driven.and(closed).err().map(judged);
        let wakes = turns.wakes;
        drop(turns);
        let outcome = DriveOutcome { run, trouble, wakes, left: false, _lock: lock };
        if let Some((traced, end)) = traced.as_mut().zip(outcome.ending()) {
            traced.end(end);
        }
        outcome
    }
}

#[cfg(feature = "restate")]
impl Runner {
    /// Follows the run, which is driven elsewhere, until it has ended, is left, or waits for people or events. `waits` is
    /// whether to stay then.
    pub async fn follow(
        self,
        mut observers: Vec<&mut dyn Observer>,
        requests: Requests,
        (news, pass_on): (NewsFeed, RequestSender),
        waits: bool,
    ) -> DriveOutcome {
        let Runner { mut run, prepared, durable, lock, mut traced, .. } = self;
        let mut all: Vec<&mut dyn Observer> = Vec::with_capacity(observers.len() + 1);
        for observer in &mut observers {
            all.push(&mut **observer);
        }
        all.extend(traced.as_mut().map(|traced| traced as &mut dyn Observer));
        let inbox = prepared.workspace.inbox();
        let redactor = prepared.bindings.redactor().clone();
        let cancelled = is_cancelled(prepared.workspace.root());
        let logs = ReceivedLogs::new(prepared.workspace.root());
        let mut mirror =
            Mirror { observers: all, durable, redactor, logs, inbox, waits, cancelled, left: false };
        let followed = mirror.follow(&mut run, news, requests, pass_on).await;
        mirror.close_logs();
        let closed = match mirror.durable.take() {
            Some(durable) => durable.close().map_err(anyhow::Error::from),
            None => Ok(()),
        };
        let (trouble, left) = (followed.and(closed).err().map(judged), mirror.left);
        drop(mirror);
        let outcome = DriveOutcome { run, trouble, wakes: None, left, _lock: lock };
        if let Some((traced, end)) = traced.as_mut().zip(outcome.ending()) {
            traced.end(end);
        }
        outcome
    }
}

impl DriveOutcome {
    /// Whether the run was left because nothing can happen before a person has decided or an event has come.
    pub fn waits(&self) -> bool {
        self.run.stopped().is_none() && self.run.rests()
    }

    /// How the run has ended; `None` if it was interrupted, or waits for people or events, and can be resumed.
    pub fn ending(&self) -> Option<RunEnd> {
        if self.waits() || self.left {
            return None;
        }
        let once = self.run.run_steps().map(|end| end.state);
        let compensation_failed =
            self.run.tally().compensation_failed > 0 || once == Some(ItemState::CompensationFailed);
        match self.run.stopped() {
            Some(StopReason::Interrupted) => None,
            Some(StopReason::RunDeadline) => Some(RunEnd::Deadline),
            _ if compensation_failed => Some(RunEnd::CompensationFailed),
            Some(why) if why.cancels() => Some(RunEnd::Failed),
            _ if !self.run.tolerated() || once.is_some_and(ItemState::is_failure) => Some(RunEnd::Failed),
            _ => Some(RunEnd::Ok),
        }
    }
}

/// The error for a journal that could not be created, before any step ran.
fn not_begun(trouble: Trouble) -> anyhow::Error {
    let help = trouble.makes_room().unwrap_or("make its folder writable");
    Error::new(ErrorKind::Io, format!("{trouble}; nothing was run")).help(help).into()
}

/// Classifies an error: a journal that is intact but cannot be followed is as bad as one that cannot be read. One that
/// cannot be written is intact.
fn judged(error: anyhow::Error) -> anyhow::Error {
    if let Some(trouble) = error.downcast_ref::<Trouble>() {
        let first = trouble.makes_room().unwrap_or("make it writable");
        let help = format!("{first}, then continue the run with orderflow resume");
        return Error::new(ErrorKind::Io, trouble.to_string()).help(help).into();
    }
    if !error.is::<OtherInputs>() {
        return error;
    }
    let help = "this is a bug of orderflow, or its journal was written by another program: start a new run for this item";
    Error::new(ErrorKind::Journal, error.to_string()).help(help).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_once_with_what_to_do() {
        let full = rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL),
            Some("database or disk is full".into()),
        );
        let told = |cause: Box<dyn std::error::Error + Send + Sync>| {
            let error = judged(Trouble::new(Path::new("journal.db"), cause).into());
            let error = error.downcast::<Error>().unwrap();
            (error.kind, error.message, error.help.unwrap())
        };
        assert_eq!(
            told(full.into()),
            (
                ErrorKind::Io,
                "cannot write the journal journal.db: no space left on device".to_owned(),
                "free some space there, then continue the run with orderflow resume".to_owned()
            )
        );
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert!(told(full.into()).2.starts_with("free some space"));
        let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        assert!(told(denied.into()).2.starts_with("make it writable"));
    }
}
