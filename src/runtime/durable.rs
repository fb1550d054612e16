//! Events are kept before they are shown and before their effects begin. The engine goes on meanwhile: what it
//! decides waits here, in order, until the log says that it is on disk.

use crate::adapter::redact::Redactor;
use crate::adapter::{self, Spawned};
use crate::engine::{Effect, Out};
use crate::event::{AttemptEvent, Cause, Event, EventKind, ItemId, StepId};
use crate::journal::{Journal, Process, Record, Trouble, Writer, WriterReport};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::Instant;

/// How long the start of a process may wait to be committed with something else.
const SOON: Duration = Duration::from_millis(20);

/// The log of a run that lives.
pub struct Durable {
    writer: Writer,
    /// The number of the last batch that is on disk, or why none will be any more.
    kept: UnboundedReceiver<Result<u64, Trouble>>,
    sent: u64,
    /// Starts that are not on their way yet, with the moment until which they may wait for company.
    starts: Vec<Record>,
    due: Option<Instant>,
    /// The run was interrupted: it is to go on from here another time.
    paused: bool,
}

/// What was decided and is not on disk yet, with the number of the batch that it waits for.
#[derive(Default)]
pub(super) struct Held(VecDeque<(u64, Out)>);

impl Durable {
    /// Keeps everything from now on in `journal`.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(journal: impl Journal + 'static) -> io::Result<Self> {
        let (sender, kept) = mpsc::unbounded_channel();
        let told = move |told| {
            let told = match told {
                WriterReport::Durable { up_to, .. } => Ok(up_to),
                WriterReport::Trouble(trouble) => Err(trouble),
            };
            // Nobody listens any more once the run is over.
            let _ = sender.send(told);
        };
        Ok(Durable {
            writer: Writer::start(journal, told)?,
            kept,
            sent: 0,
            starts: Vec::new(),
            due: None,
            paused: false,
        })
    }

    /// From here on only what attempts under way have come to is kept; that they were asked to stop is not, for
    /// a run that goes on makes them again.
    pub(super) fn pause(&mut self) {
        self.paused = true;
    }

    /// Hands a batch to the log, without its secrets. What is in it may be shown and begun once `held` gives it back.
    /// What is `asked` for with it is kept beside it.
    pub(super) fn keep(&mut self, out: &mut Out, asked: Vec<Record>, held: &mut Held, redactor: &Redactor) {
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

    /// Keeps that a process was started, soon: what was not on disk when a runner died is found by its mark. A commit
    /// of its own for each would hold up what programs come to that end at once.
    pub(super) fn started(&mut self, spawned: Spawned) {
        self.starts.push(Record::Spawned(noted(spawned)));
        self.due.get_or_insert_with(|| Instant::now() + SOON);
    }

    /// Hands over the starts that wait for company.
    pub(super) fn send_starts(&mut self) {
        self.send(Vec::new());
    }

    /// Hands over records, and before them the starts that wait for company.
    fn send(&mut self, records: Vec<Record>) {
        self.due = None;
        let mut all = std::mem::take(&mut self.starts);
        all.extend(records);
        if !all.is_empty() {
            self.sent += 1;
            self.writer.send(self.sent, all);
        }
    }

    /// When the starts that wait for company have waited long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Waits until more is on disk.
    pub(super) async fn kept(&mut self) -> Result<u64, Trouble> {
        match self.kept.recv().await {
            Some(kept) => kept,
            // The writer is gone without a word; it says so when it is closed.
            None => std::future::pending().await,
        }
    }

    /// Waits for the last batch and brings the log into a state that can be carried elsewhere.
    ///
    /// # Errors
    /// What went wrong with the log, now or before.
    pub fn close(mut self) -> Result<(), Trouble> {
        self.send_starts();
        self.writer.close()
    }
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what will not be kept.
    pub(super) fn last(&mut self, out: &mut Out) {
        self.0.push_back((u64::MAX, std::mem::take(out)));
    }

    /// What waits for no later batch than this one, in order.
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

    /// All of it, and the calls among it that must not be made any more.
    pub(super) fn abandon(&mut self) -> (Out, Vec<crate::engine::Call>) {
        let mut all = self.up_to(u64::MAX);
        let mut unmade = Vec::new();
        all.effects.retain(|effect| match effect {
            Effect::Call(call) => {
                unmade.push(call.clone());
                false
            }
            Effect::Stop { .. } | Effect::Timer { .. } => true,
        });
        (all, unmade)
    }
}

/// A process as the journal names it. One that stays for other attempts is the run's.
fn noted(spawned: Spawned) -> Process {
    let Spawned { attempt, stays, process } = spawned;
    let (item, step, attempt) = if stays { (ItemId::RUN, StepId(0).into(), 0) } else { attempt };
    let adapter::Process { pid, group, started, boot } = process;
    Process { item, step, attempt, pid, group, started, boot: boot.to_string() }
}

/// The end of an attempt that nobody asked to stop, or that ended well all the same.
fn came_of_itself(event: &Event) -> bool {
    let EventKind::Attempt(_, _, _, AttemptEvent::Finished(answer)) = &event.kind else { return false };
    answer.as_ref().err().is_none_or(|failure| failure.cause != Cause::Stopped)
}
