//! The turns of the loop: take all that has come, let the engine decide, write, show and begin what it decided, then
//! wait for more.

use super::calls::Calls;
use super::durable::{Durable, Pending, on_disk};
use super::live::LiveBoard;
use super::logs::RunLogs;
use super::timers::Timers;
use super::{
    DecisionRequest, ItemStream, Loop, NewItem, Outbox, Request, Requests, SignalRequest, events, outbox,
    outer, signals, unix_millis,
};
use crate::adapter::{self, Said, Spawned};
use crate::engine::{Call, Effect, EngineInput, Out, Run};
use crate::event::{Millis, StopReason};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How many ends of attempts one turn takes.
const LARGEST_BATCH: usize = 1024;

/// What is reported once everything so far is durable.
pub(super) enum Reply {
    /// A file of the inbox has been taken.
    File(String),
    /// An event of a source has.
    Source(oneshot::Sender<()>),
}

/// The time of a run: it counts the time of each process that has run it, up to its last event.
#[derive(Clone, Copy)]
struct RunClock {
    begin: Instant,
    /// What it was when this process began.
    past: Millis,
}

impl RunClock {
    fn now(self) -> Millis {
        self.past.saturating_add(millis(self.begin.elapsed()))
    }

    /// When it is this time; `None` beyond the range of the clock: it never comes.
    fn at(self, time: Millis) -> Option<Instant> {
        self.begin.checked_add(Duration::from_millis(time.saturating_sub(self.past)))
    }
}

/// What the loop does after it has shown a turn.
enum Next {
    Wait,
    Turn,
    End,
}

/// A run under way.
pub(super) struct Driving<'l, 'a> {
    pub io: &'l mut Loop<'a>,
    run: &'l mut Run,
    clock: RunClock,
    pub calls: Calls,
    pub timers: Timers,
    /// How attempts have ended.
    answers: UnboundedReceiver<EngineInput>,
    spawned: UnboundedReceiver<Spawned>,
    said: UnboundedReceiver<Said>,
    /// What the engine has decided in this turn.
    out: Out,
    /// No item is left to read.
    exhausted: bool,
    /// Decisions that wait until they are durable.
    held: Pending,
    /// The last batch that is durable.
    kept: u64,
    /// The run has no journal, and never had one.
    fleeting: bool,
    /// Why the run is interrupted: the first problem.
    trouble: Option<anyhow::Error>,
    /// Since when only people can move the run on. That time does not count for its deadline.
    rests: Option<Instant>,
    rested: Duration,
    /// Requests that the engine has heard in this turn.
    heard: Vec<Reply>,
    /// Requests, and the batch after which they are answered.
    unanswered: Vec<(u64, Reply)>,
    /// The files of the inbox that were there at the beginning.
    stored: BTreeSet<String>,
}

impl Loop<'_> {
    /// Runs until no item is in flight and no more are admitted.
    ///
    /// # Errors
    /// Items that cannot be read any more, or an observer that failed. Running attempts have been stopped by then;
    /// nothing runs after return in either case.
    pub async fn drive(
        &mut self,
        run: &mut Run,
        items: ItemStream<'_>,
        mut requests: Requests,
    ) -> anyhow::Result<()> {
        let clock = RunClock { begin: Instant::now(), past: self.since.unwrap_or(0) };
        // Without a journal they are not stored.
        let logs = match self.durable.is_some() {
            true => {
                Some(RunLogs::start(self.workspace.root(), self.bindings.redactor().clone(), move || {
                    clock.now()
                })?)
            }
            false => None,
        };
        let burying = self.alone.then(|| {
            adapter::adopt();
            signals::bury()
        });
        let mut driving = Driving::new(self, run, clock, logs.as_ref());
        driving.begin();
        loop {
            driving.admit(items);
            driving.note();
            let Some(shown) = driving.write() else { continue };
            if let Err(error) = driving.show(shown) {
                driving.interrupt(error);
                continue;
            }
            driving.answer();
            match driving.next() {
                Next::Wait => driving.wait(&mut requests).await,
                Next::Turn => {}
                Next::End => break,
            }
        }
        let (urgency, trouble) = driving.end().await;
        drop(burying);
        self.close(urgency, requests).await;
        if let Some(Err(why)) = logs.map(RunLogs::close) {
            self.observers.iter_mut().for_each(|observer| observer.warn(&why));
        }
        trouble.map_or(Ok(()), Err)
    }
}

impl<'l, 'a> Driving<'l, 'a> {
    fn new(io: &'l mut Loop<'a>, run: &'l mut Run, clock: RunClock, logs: Option<&RunLogs>) -> Self {
        let (sender, answers) = mpsc::unbounded_channel();
        let (starts, spawned) = mpsc::unbounded_channel();
        let (talk, said) = mpsc::unbounded_channel();
        let live = LiveBoard::new(io.room() > 0);
        let calls = Calls::new(sender, starts, talk, live, logs.map(|logs| logs.intake.clone()));
        let fleeting = io.durable.is_none();
        run.stop_at(io.until());
        run.set_clock(unix_millis().saturating_sub(clock.past));
        let redactor = io.bindings.redactor().clone();
        run.set_secret_check(move |item, text| redactor.finds(item, text));
        Driving {
            io,
            run,
            clock,
            calls,
            timers: Timers::default(),
            answers,
            spawned,
            said,
            out: Out::default(),
            exhausted: false,
            held: Pending::default(),
            kept: 0,
            fleeting,
            trouble: None,
            rests: None,
            rested: Duration::ZERO,
            heard: Vec::new(),
            unanswered: Vec::new(),
            stored: BTreeSet::new(),
        }
    }

    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    fn handle(&mut self, input: EngineInput) {
        self.run.handle(input, self.clock.now(), &mut self.out);
    }

    /// Stops the run, so that it can be resumed. Only the first error is reported.
    fn interrupt(&mut self, error: anyhow::Error) {
        self.trouble.get_or_insert(error);
        self.handle(EngineInput::Stop(StopReason::Interrupted));
    }

    fn is_interrupted(&self) -> bool {
        self.run.stopped() == Some(StopReason::Interrupted)
    }

    /// Stops writing. Decisions that are not on disk do not take effect, nor do later ones: they are only shown.
    fn abandon(&mut self, error: impl Into<anyhow::Error>) {
        self.io.durable = None;
        let (rest, unmade) = self.held.abandon();
        unmade.iter().for_each(|call| self.calls.refuse(call));
        self.out = rest;
        self.interrupt(error.into());
    }

    /// Continues a run that was left.
    fn begin(&mut self) {
        if self.io.since.is_none() {
            return;
        }
        let now = self.now();
        self.run.restore_agents();
        match self.io.revoke {
            // A cancelled retry begins first, so that its items get an end.
            _ if self.io.cancel && self.io.retry.is_empty() => self.run.cancel(now, &mut self.out),
            Some(item) => self.run.revoke(item, now, &mut self.out),
            None => self.run.resume(&self.io.retry, now, &mut self.out),
        }
        // Documents that waited run again until they report that they still do.
        let waits = |effect: &Effect| match effect {
            Effect::Call(Call { item, step, attempt, repeated: true, .. }) => {
                Some(EngineInput::Waits { item: *item, step: *step, attempt: *attempt, waits: None })
            }
            _ => None,
        };
        let repeated: Vec<EngineInput> = self.out.effects.iter().filter_map(waits).collect();
        repeated.into_iter().for_each(|input| self.handle(input));
        // What was stored while no process ran the run comes before the times that have passed since.
        let stored = self.io.workspace.inbox().take(&mut self.stored);
        stored.into_iter().for_each(|request| self.hear(request.into()));
    }

    /// Takes what runs within the outermost one have published, and as many items as the engine wants.
    fn admit(&mut self, items: ItemStream<'_>) {
        self.hear_outer();
        while !self.exhausted && self.run.wants_item() {
            match items.next() {
                Some(Ok(NewItem { key, inputs })) => self.handle(EngineInput::Admit { key, inputs }),
                Some(Err(error)) => self.interrupt(error),
                None => {
                    self.exhausted = true;
                    self.handle(EngineInput::NoMoreItems);
                }
            }
        }
        if !self.exhausted && self.run.asks_for_the_end() {
            self.exhausted = true;
            // An item read here is not admitted.
            let left = items.next().is_some();
            self.handle(if left { EngineInput::ItemsLeft } else { EngineInput::NoMoreItems });
        }
    }

    /// Records every process that was started and every message, before the end of their attempts.
    fn note(&mut self) {
        while let Ok(process) = self.spawned.try_recv() {
            self.io.keep(process);
        }
        while let Ok(message) = self.said.try_recv() {
            self.io.message(message, self.clock.now());
        }
    }

    /// Sends the decisions of this turn to the journal, and returns those that are durable by now. `None` if they
    /// cannot be written.
    fn write(&mut self) -> Option<Out> {
        let interrupted = self.is_interrupted();
        if interrupted {
            self.calls.pause();
        }
        let redactor = self.io.bindings.redactor();
        self.out.events.iter_mut().for_each(|event| redactor.event(event));
        let Some(durable) = &mut self.io.durable else {
            // Nothing is durable any more after trouble with the journal.
            let replies = self.heard.drain(..).filter(|_| self.fleeting);
            self.unanswered.extend(replies.map(|reply| (self.kept, reply)));
            return Some(std::mem::take(&mut self.out));
        };
        if interrupted {
            durable.pause();
        }
        match self.io.asked.take(&self.out.effects, (&self.io.run_id, &self.io.graph), redactor) {
            Ok(asked) if !(self.out.events.is_empty() && self.out.effects.is_empty()) => {
                durable.keep(&mut self.out, asked, &mut self.held, redactor);
            }
            Ok(_) => {}
            Err(error) => {
                self.held.last(&mut self.out);
                self.abandon(error);
                return None;
            }
        }
        let number = self.held.number().unwrap_or(self.kept);
        self.unanswered.extend(self.heard.drain(..).map(|reply| (number, reply)));
        Some(self.held.up_to(self.kept))
    }

    /// Answers the requests that are durable.
    fn answer(&mut self) {
        for (_, reply) in self.unanswered.extract_if(.., |(number, _)| *number <= self.kept) {
            match reply {
                Reply::File(name) => self.io.workspace.inbox().done(&name),
                // A source that is gone asks no more.
                Reply::Source(durable) => drop(durable.send(())),
            }
        }
    }

    /// Whether the loop waits, has more to do at once, or ends: because nothing is left, or only people can move the
    /// run on and none is asked.
    fn next(&mut self) -> Next {
        // An interrupted run publishes the rest when it resumes.
        let published = self.is_interrupted() || self.io.outbox.as_ref().is_none_or(Outbox::is_done);
        let over = self.held.is_empty() && published && (self.exhausted || !self.run.wants_item());
        let rests = over && self.run.rests();
        let leaves = rests && !self.io.stays(self.run) && self.answers.is_empty();
        let now = self.now();
        if leaves && self.run.stopped().is_none() && self.timers.next().is_some_and(|due| due <= now) {
            self.hear_timers();
            return Next::Turn;
        }
        if over && self.run.is_idle() || leaves {
            let due = self.timers.next().map(|due| Duration::from_millis(due.saturating_sub(now)));
            self.io.wakes = due.filter(|_| leaves);
            return Next::End;
        }
        self.rest(rests);
        Next::Wait
    }

    /// Takes note of whether only people can move the run on, and reports a change.
    fn rest(&mut self, rests: bool) {
        let waits = match (rests, self.rests) {
            (true, None) => {
                self.rests = Some(Instant::now());
                Some(self.run.waits_for())
            }
            (false, Some(since)) => {
                self.rested += since.elapsed();
                self.rests = None;
                let until = self.io.until();
                self.run.stop_at(until.map(|until| until.saturating_add(millis(self.rested))));
                None
            }
            _ => return,
        };
        self.io.border.hearing.iter().for_each(|hearing| hearing.rest(rests));
        if let Some(within) = &self.io.within {
            within.say(waits);
        }
    }

    /// Waits until something comes, and gives it to the engine.
    async fn wait(&mut self, requests: &mut Requests) {
        let (paused, runs) = (self.is_interrupted(), self.run.stopped().is_none());
        let due = self.timers.next().and_then(|due| self.clock.at(due));
        let counts = runs && self.rests.is_none();
        let end = self.io.deadline.filter(|_| counts).map(|end| end.saturating_add(self.rested));
        let end = end.and_then(|end| self.clock.begin.checked_add(end));
        let starts = self.io.durable.as_ref().and_then(Durable::due);
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            Some(request) = requests.recv() => self.take(request),
            number = on_disk(&mut self.io.durable) => match number {
                Ok(number) => self.kept = number,
                Err(error) => self.abandon(error),
            },
            Some(event) = events::next(&mut self.io.sources), if self.run.has_room() && runs => {
                self.handle(self.io.received(event.arrival));
                self.heard.push(Reply::Source(event.durable));
            }
            Some(event) = outer::emitted(&mut self.io.border.emitted), if !paused => {
                self.handle(self.io.emitted(event.arrival));
                self.heard.push(Reply::Source(event.durable));
            }
            () = outer::news(&self.io.border.hearing), if runs => {}
            Some(done) = outbox::next(&mut self.io.outbox) => {
                let outbox::Publication { channel, id, failed } = done;
                self.handle(EngineInput::Published { channel, id, failed });
            }
            Some(process) = self.spawned.recv() => self.io.keep(process),
            Some(message) = self.said.recv() => self.io.message(message, self.clock.now()),
            _ = self.answers.recv_many(&mut batch, LARGEST_BATCH) => {
                for mut input in batch {
                    self.io.columns.hold(&mut input);
                    self.calls.over(&input, &mut self.timers);
                    self.handle(input);
                }
            }
            () = sleep_until(due) => self.hear_timers(),
            () = sleep_until(starts) => self.io.durable.iter_mut().for_each(Durable::send_waiting),
            () = sleep_until(end) => self.handle(EngineInput::Stop(StopReason::RunDeadline)),
            () = self.calls.live.due() => self.io.show_live(&mut self.calls.live),
        }
    }

    /// Takes a request from outside.
    fn take(&mut self, request: Request) {
        match request {
            // It was taken at the beginning.
            Request::Decide(DecisionRequest { name: Some(name), .. })
            | Request::Signal(SignalRequest { name: Some(name), .. })
                if self.stored.contains(&name) => {}
            Request::Decide(_) | Request::Signal(_) => self.hear(request),
            Request::Answer(item, gate, decision) => {
                self.io.asked_now.as_mut().map(|asked| asked.remove(&(item, gate)));
                self.handle(EngineInput::Decide { gate, item: Some(item), decision });
            }
            Request::Later(item, gate) => {
                self.io.asked_now.as_mut().map(|asked| asked.remove(&(item, gate)));
            }
            Request::LaterInside => {}
            Request::Cancel(why) => self.handle(EngineInput::Stop(why)),
            Request::Stop => self.handle(EngineInput::Stop(StopReason::Interrupted)),
            Request::Kill => {
                self.calls.kill_all();
                self.handle(EngineInput::Stop(StopReason::Interrupted));
            }
        }
    }

    /// Takes a decision or an event of another process. A run that stops leaves it to the next runner.
    fn hear(&mut self, request: Request) {
        if self.run.stopped().is_some() {
            return;
        }
        let name = match request {
            Request::Decide(request) => {
                let inputs = request.inputs(&self.io.graph, self.run);
                inputs.into_iter().for_each(|input| self.handle(input));
                request.name
            }
            Request::Signal(request) => {
                self.handle(self.io.received(request.signal));
                request.name
            }
            _ => None,
        };
        self.heard.extend(name.map(Reply::File));
    }

    fn hear_outer(&mut self) {
        self.io.hear_outer(self.run, self.clock.now(), &mut self.out);
    }

    /// Takes the timers that are due, after the events that came before them.
    fn hear_timers(&mut self) {
        self.hear_outer();
        while let Some(timer) = self.timers.take(self.now()) {
            self.handle(EngineInput::Due(timer));
        }
    }

    /// Ends what is still under way: documents that wait, which continue when the run resumes. Returns how urgently
    /// programs that adapters leave running are ended, and why the run was interrupted.
    async fn end(mut self) -> (adapter::Urgency, Option<anyhow::Error>) {
        self.calls.leave();
        while self.calls.any() {
            let Some(input) = self.answers.recv().await else { break };
            self.calls.over(&input, &mut self.timers);
        }
        (self.calls.urgency(), self.trouble)
    }
}

pub(super) fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
