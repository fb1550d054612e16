//! Events are written before they are shown and before their effects begin. The engine continues meanwhile: its
//! decisions wait here, in order, until the log reports that they are on disk.

use crate::adapter::redact::Redactor;
use crate::adapter::{self, Said, Spawned};
use crate::engine::{Effect, Out};
use crate::event::{AttemptEvent, Cause, Event, EventKind, ItemId, Millis, StepId};
use crate::journal::{Journal, Message, Process, Record, Trouble, Writer, WriterReport};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::Instant;

/// How long the start of a process, or a message, may wait to share a commit.
const SOON: Duration = Duration::from_millis(20);

/// The log of an active run.
pub struct Durable {
    writer: Writer,
    /// The number of the last batch on disk, or why no more will be.
    kept: UnboundedReceiver<Result<u64, Trouble>>,
    sent: u64,
    /// Starts of processes and messages that are not sent yet, with the time until which they may wait to share a commit.
    waiting: Vec<Record>,
    due: Option<Instant>,
    /// The run was interrupted: it can be resumed from here.
    paused: bool,
}

/// Decisions that are not on disk yet, with the number of the batch that they wait for.
#[derive(Default)]
pub(super) struct Pending(VecDeque<(u64, Out)>);

/// A message as a record.
pub(super) fn message(said: Said, at: Millis) -> Message {
    let Said { attempt: (item, step, attempt), role, name, text } = said;
    Message { at, item, step, attempt, role, name, text }
}

impl Durable {
    /// Writes everything from now on to `journal`.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(journal: impl Journal + 'static) -> io::Result<Self> {
        let (sender, kept) = mpsc::unbounded_channel();
        let notify = move |report| {
            let durable = match report {
                WriterReport::Durable { up_to, .. } => Ok(up_to),
                WriterReport::Trouble(trouble) => Err(trouble),
            };
            // The receiver is gone once the run is over.
            let _ = sender.send(durable);
        };
        Ok(Durable {
            writer: Writer::start(journal, notify)?,
            kept,
            sent: 0,
            waiting: Vec::new(),
            due: None,
            paused: false,
        })
    }

    /// From here on only the ends of running attempts are written, not that they were asked to stop, because a resumed
    /// run repeats them.
    pub(super) fn pause(&mut self) {
        self.paused = true;
    }

    /// Sends a batch to the log, without its secrets. Its events may be shown and its effects begun once `held`
    /// returns it. The records in `asked` are written with it.
    pub(super) fn keep(
        &mut self,
        out: &mut Out,
        asked: Vec<Record>,
        held: &mut Pending,
        redactor: &Redactor,
    ) {
        let paused = self.paused;
        let lasting = out.events.iter().filter(|event| !paused || came_of_itself(event));
        let record = |mut event: Event| {
            redactor.conceal(&mut event);
            Record::Event(event)
        };
        let records: Vec<Record> = lasting.cloned().map(record).chain(asked).collect();
        if !records.is_empty() {
            self.send(records);
        }
        held.0.push_back((self.sent, std::mem::take(out)));
    }

    /// Writes soon that a process was started; a process whose start was not on disk when a runner died is found by
    /// its mark. A commit for each start would delay programs that end at the same time.
    pub(super) fn started(&mut self, spawned: Spawned) {
        self.soon(Record::Spawned(noted(spawned)));
    }

    /// Writes a message soon.
    pub(super) fn said(&mut self, said: Said, at: Millis) {
        self.soon(Record::Message(message(said, at)));
    }

    /// Writes messages of attempts that were made elsewhere, with what is written next.
    #[cfg(feature = "restate")]
    pub(super) fn received(&mut self, messages: Vec<Message>) {
        messages.into_iter().for_each(|message| self.soon(Record::Message(message)));
    }

    fn soon(&mut self, record: Record) {
        self.waiting.push(record);
        self.due.get_or_insert_with(|| Instant::now() + SOON);
    }

    /// Sends the records that wait to share a commit.
    pub(super) fn send_waiting(&mut self) {
        self.send(Vec::new());
    }

    /// Sends records, preceded by those that wait to share a commit.
    fn send(&mut self, records: Vec<Record>) {
        self.due = None;
        let mut all = std::mem::take(&mut self.waiting);
        all.extend(records);
        if !all.is_empty() {
            self.sent += 1;
            self.writer.send(self.sent, all);
        }
    }

    /// When the waiting records have to be sent.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Waits until more is on disk.
    pub(super) async fn kept(&mut self) -> Result<u64, Trouble> {
        match self.kept.recv().await {
            Some(kept) => kept,
            // The writer ended without a report; closing it returns the error.
            None => std::future::pending().await,
        }
    }

    /// Waits for the last batch and completes the log, so that it can be copied.
    ///
    /// # Errors
    /// A failure of the log, now or before.
    pub fn close(mut self) -> Result<(), Trouble> {
        self.send_waiting();
        self.writer.close()
    }
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of the batch that all decisions so far wait for.
    pub(super) fn number(&self) -> Option<u64> {
        self.0.back().map(|(number, _)| *number)
    }

    /// Adds decisions that will not be written.
    pub(super) fn last(&mut self, out: &mut Out) {
        self.0.push_back((u64::MAX, std::mem::take(out)));
    }

    /// The decisions that wait for this batch or an earlier one, in order.
    pub(super) fn up_to(&mut self, number: u64) -> Out {
        let mut all = Out::default();
        while self.0.front().is_some_and(|(waits_for, _)| *waits_for <= number)
            && let Some((_, out)) = self.0.pop_front()
        {
            all.events.extend(out.events);
            all.effects.extend(out.effects);
        }
        all
    }

    /// All decisions, and the calls among them that must not be made any more.
    pub(super) fn abandon(&mut self) -> (Out, Vec<crate::engine::Call>) {
        let mut all = self.up_to(u64::MAX);
        let mut unmade = Vec::new();
        all.effects.retain(|effect| match effect {
            Effect::Call(call) => {
                unmade.push(call.clone());
                false
            }
            Effect::Publish { .. } | Effect::Deliver(_) => false,
            Effect::Stop { .. } | Effect::Timer { .. } | Effect::Ask(_) => true,
        });
        (all, unmade)
    }
}

/// The last batch on disk, once there are more; never, without a journal.
pub(super) async fn on_disk(durable: &mut Option<Durable>) -> Result<u64, Trouble> {
    match durable {
        Some(durable) => durable.kept().await,
        None => std::future::pending().await,
    }
}

/// A process in the form of the journal. One that outlives its attempt belongs to the run.
fn noted(spawned: Spawned) -> Process {
    let Spawned { attempt, stays, process } = spawned;
    let (item, step, attempt) = if stays { (ItemId::RUN, StepId(0).into(), 0) } else { attempt };
    let adapter::ProcessIdentity { pid, group, started, boot } = process;
    Process { item, step, attempt, pid, group, started, boot: boot.to_string() }
}

/// Whether an attempt ended without being asked to stop, or succeeded anyway.
fn came_of_itself(event: &Event) -> bool {
    let EventKind::Attempt(_, _, _, AttemptEvent::Finished(answer)) = &event.kind else { return false };
    answer.as_ref().err().is_none_or(|failure| failure.cause != Cause::Stopped)
}
