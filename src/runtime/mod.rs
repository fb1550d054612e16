//! The loop that provides the engine with time, processes and signals. Decides nothing: the engine decides what
//! happens next, and adapters run the steps.
//!
//! Every turn: collect all inputs, pass them to the engine, write the events to the journal, show them to the
//! observers, and only then start the effects that the engine requires.

mod asked;
mod calls;
mod columns;
mod durable;
mod events;
mod files;
mod identity;
mod inbox;
mod live;
mod logs;
#[cfg(feature = "restate")]
mod mirror;
mod nested;
mod observer;
mod outbox;
mod outer;
mod questions;
mod signals;
#[cfg(feature = "restate")]
mod single;
#[cfg(test)]
mod tests;
pub(crate) mod timers;
mod workspace;

pub use asked::{OtherInputs, UsedKeys};
pub use calls::Bindings;
pub use columns::{ROW as LARGEST_ROW, ReportedColumns};
pub use durable::Durable;
pub use events::Sources;
pub use files::{Finder, MovedFiles, below_items, by_name, paths};
pub use identity::{clock, keys_of, new_run_id, now, unix_millis};
pub use inbox::{DecisionRequest, Inbox, InboxRequest, SignalRequest, sign_requests};
#[cfg(feature = "restate")]
pub use mirror::{Mirror, News, NewsFeed, RequestSender};
pub use nested::{nested, woken};
pub use observer::{LastWords, Observer};
pub use outbox::{BoundSink, Outbox, event_source};
pub use outer::{Border, for_each};
pub use questions::{Answering, OpenQuestion, QuestionAnswer, QuestionDesk, answer_question, open_questions};
pub use signals::{Caught, listen, outlive_large_files};
#[cfg(feature = "restate")]
pub use single::Attempts;
pub use workspace::{
    NestedRun, RunsFolder, Workspace, attempt_name, nested_home, nested_homes, nested_item, nested_items,
    nested_run, nested_runs,
};

use crate::adapter::question::Question;
use crate::adapter::{self, Said, Spawned, Stop, Urgency};
use crate::engine::{Ask, Call, Effect, EngineInput, Out, RetryRequest, Run};
use crate::event::{
    Arrival, Decision, EventKind, GateId, ItemEvent, ItemId, Millis, StepId, StopReason, Values,
};
use crate::graph::Graph;
use crate::journal::Trouble;
use crate::spans::TraceContext;
use calls::Calls;
use durable::Pending;
use live::LiveBoard;
use logs::RunLogs;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use timers::Timers;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// The next item of a run.
#[derive(Clone, Debug)]
pub struct NewItem {
    pub key: Arc<str>,
    pub inputs: Values,
}

/// The items in order, read as they are needed.
pub type ItemStream<'a> = &'a mut dyn Iterator<Item = anyhow::Result<NewItem>>;

/// A request from outside during a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Start nothing more and ask running attempts to stop.
    Stop,
    /// Kill running attempts.
    Kill,
    /// Start nothing more, and never resume: the run is cancelled, for this reason.
    Cancel(StopReason),
    /// A person decided at a gate.
    Decide(DecisionRequest),
    /// An event was sent by hand.
    Signal(SignalRequest),
    /// The person who was asked about an item decided.
    Answer(ItemId, GateId, Decision),
    /// The person who was asked about an item does not decide now.
    Later(ItemId, GateId),
    /// The same for an item in a document: the run may end.
    LaterInside,
}

impl From<InboxRequest> for Request {
    fn from(request: InboxRequest) -> Self {
        match request {
            InboxRequest::Decide(request) => Request::Decide(request),
            InboxRequest::Signal(request) => Request::Signal(request),
        }
    }
}

/// What is reported once everything so far is durable.
enum Reply {
    /// A file of the inbox has been taken.
    File(String),
    /// An event of a source has.
    Source(oneshot::Sender<()>),
}

/// Where items that wait for a person are sent.
pub type Asks = mpsc::UnboundedSender<Ask>;

/// Where the questions of agents are sent.
pub type AgentQuestions = mpsc::UnboundedSender<Question>;

/// The channel of requests.
pub type Requests = mpsc::Receiver<Request>;

/// The inputs and outputs of the loop.
pub struct Loop<'a> {
    pub graph: Arc<Graph>,
    pub run_id: Arc<str>,
    /// The run that this process drives, which this one may be within.
    pub outermost: Arc<str>,
    /// The trace to which this run belongs.
    pub trace: TraceContext,
    /// The key of what this run compensates, if it is one of a document that does.
    pub forward_key: Option<Arc<str>>,
    pub bindings: Bindings,
    pub workspace: Workspace,
    pub observers: Vec<&'a mut dyn Observer>,
    /// The deadline of the whole run.
    pub deadline: Option<Duration>,
    /// Where events are written before they are shown; `None` for a run that cannot be resumed.
    pub durable: Option<Durable>,
    /// When a resumed run continues, in its own time; `None` for a new one.
    pub since: Option<Millis>,
    /// No other part of this process starts programs: all orphaned programs belong to this run and are ended with it.
    pub alone: bool,
    /// Cancel a run that was left, instead of resuming it.
    pub cancel: bool,
    /// The keys used so far by a resumed run.
    pub asked: UsedKeys,
    /// The columns that the steps of a resumed run have reported so far.
    pub columns: ReportedColumns,
    /// Where to send the items that wait for a person.
    pub asks: Option<Asks>,
    /// Where the questions of agents are sent; `None` if no person can be asked.
    pub questions: Option<AgentQuestions>,
    /// Those that a person at the terminal is asked about; `None` without one.
    pub asked_now: Option<BTreeSet<(ItemId, GateId)>>,
    /// Whether to wait for people when nothing else can happen, instead of leaving the run as it is.
    pub waits: bool,
    /// The attempt of another run that this run is. It hears when only people and events can move this run on.
    pub within: Option<adapter::Rests>,
    /// If the run was left because it waits: how long until it is to continue at the latest.
    pub wakes: Option<Duration>,
    /// Where events come from.
    pub sources: Option<Sources>,
    /// Where events of steps are published.
    pub outbox: Option<Outbox>,
    /// The events of the outermost run.
    pub border: Border,
    /// Failed items to retry when a run resumes; the fold has left out their ends.
    pub retry: Vec<RetryRequest>,
    /// An item that has succeeded and is to be compensated; the fold has left out its end.
    pub revoke: Option<ItemId>,
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
        let past = self.since.unwrap_or(0);
        let (begin, start) = (Instant::now(), self.since);
        let elapsed = || u64::try_from(begin.elapsed().as_millis()).unwrap_or(Millis::MAX);
        let now = || past.saturating_add(elapsed());
        let (sender, mut answers) = mpsc::unbounded_channel();
        let (starts, mut spawned) = mpsc::unbounded_channel();
        let (talk, mut said) = mpsc::unbounded_channel();
        let live = LiveBoard::new(self.room() > 0);
        // Without a journal they are not stored.
        let logs = match self.durable.is_some() {
            true => Some(self.begin_logs(begin, past)?),
            false => None,
        };
        let intake = logs.as_ref().map(|logs| logs.intake.clone());
        let mut calls = Calls::new(sender, starts, talk, live, intake);
        let mut timers = Timers::default();
        let mut out = Out::default();
        let mut trouble = None;
        let mut exhausted = false;
        let mut batch = Vec::new();
        let fleeting = self.durable.is_none();
        let (mut held, mut kept) = (Pending::default(), 0);
        // The time that passes while only people can move the run on does not count.
        let (mut rested, mut rests) = (Duration::ZERO, None);
        // Requests of other processes, and the batch after which they are answered.
        let (mut decided, mut answered) = (Vec::<Reply>::new(), Vec::<(u64, Reply)>::new());
        run.stop_at(self.until());
        run.set_clock(unix_millis().saturating_sub(past));
        let redactor = self.bindings.redactor().clone();
        run.set_secret_check(move |item, text| redactor.finds(item, text));
        if start.is_some() {
            run.restore_agents();
        }
        match start {
            // A cancelled retry begins first, so that its items get an end.
            Some(_) if self.cancel && self.retry.is_empty() => run.cancel(now(), &mut out),
            Some(_) if let Some(item) = self.revoke => run.revoke(item, now(), &mut out),
            Some(_) => run.resume(&self.retry, now(), &mut out),
            None => {}
        }
        // Documents that waited run again until they report that they still do.
        let repeated: Vec<EngineInput> = out
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Call(Call { item, step, attempt, repeated: true, .. }) => {
                    Some(EngineInput::Waits { item: *item, step: *step, attempt: *attempt, waits: None })
                }
                _ => None,
            })
            .collect();
        repeated.into_iter().for_each(|input| run.handle(input, now(), &mut out));
        // What was stored while no process ran the run comes before the times that have passed since.
        let mut stored = BTreeSet::new();
        if start.is_some() {
            for request in self.workspace.inbox().take(&mut stored).into_iter().map(Request::from) {
                decided.extend(self.hear(request, run, now(), &mut out));
            }
        }
        let burying = self.alone.then(|| {
            adapter::adopt();
            signals::bury()
        });
        loop {
            self.hear_outer(run, now(), &mut out);
            while !exhausted && run.wants_item() {
                match items.next() {
                    Some(Ok(NewItem { key, inputs })) => {
                        run.handle(EngineInput::Admit { key, inputs }, now(), &mut out)
                    }
                    Some(Err(error)) => {
                        trouble.get_or_insert(error);
                        run.handle(EngineInput::Stop(StopReason::Interrupted), now(), &mut out);
                    }
                    None => {
                        exhausted = true;
                        run.handle(EngineInput::NoMoreItems, now(), &mut out);
                    }
                }
            }
            if !exhausted && run.asks_for_the_end() {
                exhausted = true;
                // An item read here is not admitted.
                let left = items.next().is_some();
                let known = if left { EngineInput::ItemsLeft } else { EngineInput::NoMoreItems };
                run.handle(known, now(), &mut out);
            }
            self.note(&mut spawned, &mut said, now());
            if run.stopped() == Some(StopReason::Interrupted) {
                calls.pause();
            }
            out.events.iter_mut().for_each(|event| self.bindings.redactor().event(event));
            let mut shown = match &mut self.durable {
                Some(durable) => {
                    if run.stopped() == Some(StopReason::Interrupted) {
                        durable.pause();
                    }
                    let redactor = self.bindings.redactor();
                    match self.asked.take(&out.effects, (&self.run_id, &self.graph), redactor) {
                        Ok(asked) if !(out.events.is_empty() && out.effects.is_empty()) => {
                            durable.keep(&mut out, asked, &mut held, redactor);
                        }
                        Ok(_) => {}
                        Err(error) => {
                            held.last(&mut out);
                            trouble.get_or_insert(error.into());
                            out = self.abandon(&mut held, &calls);
                            run.handle(EngineInput::Stop(StopReason::Interrupted), now(), &mut out);
                            continue;
                        }
                    }
                    let number = held.number().unwrap_or(kept);
                    answered.extend(decided.drain(..).map(|reply| (number, reply)));
                    held.up_to(kept)
                }
                None => {
                    // Nothing is durable any more after trouble with the log.
                    let replies = decided.drain(..).filter(|_| fleeting);
                    answered.extend(replies.map(|reply| (kept, reply)));
                    std::mem::take(&mut out)
                }
            };
            if let Err(error) = self.flush(&mut shown, &mut calls, &mut timers, now()) {
                trouble.get_or_insert(error);
                run.handle(EngineInput::Stop(StopReason::Interrupted), now(), &mut out);
                continue;
            }
            for (_, reply) in answered.extract_if(.., |(number, _)| *number <= kept) {
                match reply {
                    Reply::File(name) => self.workspace.inbox().done(&name),
                    // A source that is gone asks no more.
                    Reply::Source(durable) => drop(durable.send(())),
                }
            }
            // An interrupted run publishes the rest when it resumes.
            let paused = run.stopped() == Some(StopReason::Interrupted);
            let published = paused || self.outbox.as_ref().is_none_or(Outbox::is_done);
            let over = held.is_empty() && published && (exhausted || !run.wants_item());
            let rests_here = over && run.rests() && !self.stays(run) && answers.is_empty();
            if rests_here && run.stopped().is_none() && timers.next().is_some_and(|due| due <= now()) {
                self.hear_outer(run, now(), &mut out);
                while let Some(timer) = timers.take(now()) {
                    run.handle(EngineInput::Due(timer), now(), &mut out);
                }
                continue;
            }
            if over && run.is_idle() || rests_here {
                let due = timers.next().map(|due| Duration::from_millis(due.saturating_sub(now())));
                self.wakes = due.filter(|_| rests_here);
                break;
            }
            match (over && run.rests(), rests) {
                (true, None) => {
                    rests = Some(Instant::now());
                    self.border.hearing.iter().for_each(|hearing| hearing.rest(true));
                    self.within.iter().for_each(|within| within.say(Some(run.waits_for())));
                }
                (false, Some(since)) => {
                    rested += since.elapsed();
                    rests = None;
                    self.border.hearing.iter().for_each(|hearing| hearing.rest(false));
                    self.within.iter().for_each(|within| within.say(None));
                    run.stop_at(self.until().map(|until| until.saturating_add(millis(rested))));
                }
                _ => {}
            }
            // A time beyond the clock's range never comes.
            let after = |time| begin.checked_add(time);
            let due = timers.next().and_then(|due| after(Duration::from_millis(due.saturating_sub(past))));
            let counts = run.stopped().is_none() && rests.is_none();
            let end = self.deadline.filter(|_| counts).and_then(|end| after(end.saturating_add(rested)));
            let starts = self.durable.as_ref().and_then(Durable::due);
            tokio::select! {
                biased;
                Some(request) = requests.recv() => match request {
                    Request::Decide(DecisionRequest { name: Some(name), .. })
                    | Request::Signal(SignalRequest { name: Some(name), .. })
                        if stored.contains(&name) => {}
                    request @ (Request::Decide(_) | Request::Signal(_)) => {
                        decided.extend(self.hear(request, run, now(), &mut out));
                    }
                    Request::Answer(item, gate, decision) => {
                        self.asked_now.as_mut().map(|asked| asked.remove(&(item, gate)));
                        let input = EngineInput::Decide { gate, item: Some(item), decision };
                        run.handle(input, now(), &mut out);
                    }
                    Request::Later(item, gate) => {
                        self.asked_now.as_mut().map(|asked| asked.remove(&(item, gate)));
                    }
                    Request::LaterInside => {}
                    Request::Cancel(why) => run.handle(EngineInput::Stop(why), now(), &mut out),
                    Request::Stop => run.handle(EngineInput::Stop(StopReason::Interrupted), now(), &mut out),
                    Request::Kill => {
                        calls.kill_all();
                        run.handle(EngineInput::Stop(StopReason::Interrupted), now(), &mut out);
                    }
                },
                number = on_disk(&mut self.durable) => match number {
                    Ok(number) => kept = number,
                    Err(error) => {
                        trouble.get_or_insert(error.into());
                        out = self.abandon(&mut held, &calls);
                        run.handle(EngineInput::Stop(StopReason::Interrupted), now(), &mut out);
                    }
                },
                Some(event) = events::next(&mut self.sources), if run.has_room() && run.stopped().is_none() => {
                    run.handle(self.received(event.arrival), now(), &mut out);
                    decided.push(Reply::Source(event.durable));
                }
                Some(event) = outer::emitted(&mut self.border.emitted), if !paused => {
                    run.handle(self.emitted(event.arrival), now(), &mut out);
                    decided.push(Reply::Source(event.durable));
                }
                () = outer::news(&self.border.hearing), if run.stopped().is_none() => {}
                Some(done) = outbox::next(&mut self.outbox) => {
                    let outbox::Publication { channel, id, failed } = done;
                    run.handle(EngineInput::Published { channel, id, failed }, now(), &mut out);
                }
                Some(process) = spawned.recv() => self.keep(process),
                Some(message) = said.recv() => self.message(message, now()),
                _ = answers.recv_many(&mut batch, 1024) => {
                    for mut input in batch.drain(..) {
                        self.columns.hold(&mut input);
                        calls.over(&input, &mut timers);
                        run.handle(input, now(), &mut out);
                    }
                }
                () = sleep_until(due) => {
                    self.hear_outer(run, now(), &mut out);
                    while let Some(timer) = timers.take(now()) {
                        run.handle(EngineInput::Due(timer), now(), &mut out);
                    }
                }
                () = sleep_until(starts) => {
                    if let Some(durable) = &mut self.durable {
                        durable.send_waiting();
                    }
                }
                () = sleep_until(end) => run.handle(EngineInput::Stop(StopReason::RunDeadline), now(), &mut out),
                () = calls.live.due() => self.show_live(&mut calls.live),
            }
        }
        // Documents that wait continue when the run resumes; nothing else is under way.
        calls.leave();
        while calls.any() {
            let Some(input) = answers.recv().await else { break };
            calls.over(&input, &mut timers);
        }
        drop(burying);
        self.close(calls.urgency(), requests).await;
        if let Some(Err(why)) = logs.map(RunLogs::close) {
            self.observers.iter_mut().for_each(|observer| observer.warn(&why));
        }
        match trouble {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Begins to store the logs of attempts.
    fn begin_logs(&self, begin: Instant, past: Millis) -> std::io::Result<RunLogs> {
        let clock = move || past.saturating_add(millis(begin.elapsed()));
        RunLogs::start(self.workspace.root(), self.bindings.redactor().clone(), clock)
    }

    /// Handles a request of another process; returns what is reported once it is durable. A run that stops leaves it to
    /// the next runner.
    fn hear(&self, request: Request, run: &mut Run, now: Millis, out: &mut Out) -> Option<Reply> {
        let name = match request {
            _ if run.stopped().is_some() => None,
            Request::Decide(request) => {
                for input in request.inputs(&self.graph, run) {
                    run.handle(input, now, out);
                }
                request.name
            }
            Request::Signal(request) => {
                run.handle(self.received(request.signal), now, out);
                request.name
            }
            _ => None,
        };
        name.map(Reply::File)
    }

    /// An event from outside as the journal has it: conditions, types and steps see the same live and after a restart.
    fn received(&self, mut arrival: Arc<Arrival>) -> EngineInput {
        self.bindings.redactor().conceal_arrival(&mut arrival);
        EngineInput::Receive(arrival)
    }

    /// An event of a step of a document, which has a time of the clock unless it was published before that run was left.
    fn emitted(&self, mut arrival: Arc<Arrival>) -> EngineInput {
        self.bindings.redactor().conceal_arrival(&mut arrival);
        if !arrival.has_time() {
            Arc::make_mut(&mut arrival).at = unix_millis();
        }
        EngineInput::Emit(arrival)
    }

    /// Whether the run stays alive although only people and events can move it on: one is asked, a source may bring
    /// what is awaited, or `waits` is set.
    fn stays(&self, run: &Run) -> bool {
        let brought = |sources: &Sources| {
            let event = |step: StepId| self.graph.step(step).awaits.as_ref().map(|awaits| &awaits.event);
            run.awaiting().any(|(_, _, step, ..)| event(step).is_some_and(|event| sources.bring(event)))
        };
        let asked = |(item, _, gate, _): (ItemId, &Arc<str>, GateId, u64)| {
            self.asked_now.as_ref().is_some_and(|asked| asked.contains(&(item, gate)))
        };
        // A run within this one is woken by its own loop.
        let nested = self.within.is_some() && run.under_way() > 0;
        let inside = |sources: &Sources| self.border.events.awaits(|kind| sources.bring(kind));
        nested
            || self.waits
            || run.stopped().is_none() && self.border.is_busy()
            || self.sources.as_ref().is_some_and(|sources| brought(sources) || inside(sources))
            || self.asked_now.is_some() && run.waiting().any(asked)
    }

    /// When the run's deadline passes, in its own time: it counts from when this process resumed it.
    fn until(&self) -> Option<Millis> {
        Some(self.since.unwrap_or(0).saturating_add(millis(self.deadline?)))
    }

    /// Stops writing. Decisions that are not on disk do not take effect, nor do later ones: they are only shown.
    fn abandon(&mut self, held: &mut Pending, calls: &Calls) -> Out {
        self.durable = None;
        let (rest, unmade) = held.abandon();
        unmade.iter().for_each(|call| calls.refuse(call));
        rest
    }

    /// Ends the programs that adapters leave running.
    async fn close(&self, urgency: Urgency, mut requests: Requests) {
        let (stopper, stop) = Stop::new();
        stopper.ask(urgency);
        let closing = async {
            self.bindings.close(&stop).await;
            if self.alone {
                adapter::sweep(&mut stop.clone()).await;
            }
        };
        tokio::pin!(closing);
        loop {
            tokio::select! {
                () = &mut closing => return,
                Some(request) = requests.recv() => if request == Request::Kill {
                    stopper.ask(Urgency::Kill);
                },
            }
        }
    }

    /// Records every process that was started and every message, before the end of their attempts.
    fn note(
        &mut self,
        spawned: &mut mpsc::UnboundedReceiver<Spawned>,
        said: &mut mpsc::UnboundedReceiver<Said>,
        now: Millis,
    ) {
        while let Ok(process) = spawned.try_recv() {
            self.keep(process);
        }
        while let Ok(message) = said.try_recv() {
            self.message(message, now);
        }
    }

    fn keep(&mut self, process: Spawned) {
        if let Some(durable) = &mut self.durable {
            durable.started(process);
        }
    }

    fn message(&mut self, message: Said, now: Millis) {
        if let Some(durable) = &mut self.durable {
            durable.said(message, now);
        }
    }

    /// Shows the events, then begins the effects. Effects begin even when an observer fails: the engine relies on
    /// them.
    fn flush(
        &mut self,
        out: &mut Out,
        calls: &mut Calls,
        timers: &mut Timers,
        now: Millis,
    ) -> anyhow::Result<()> {
        let mut shown = Ok(());
        for event in out.events.drain(..) {
            self.asked.see(&event);
            for observer in &mut self.observers {
                shown = shown.and(observer.see(&event));
            }
            if let EventKind::Item(item, ItemEvent::Settled { key, .. }) = &event.kind {
                timers.forget(*item);
                self.workspace.settle(*item, key);
                if self.border.is_outermost() {
                    self.border.events.remove(key, |kind| self.graph.outlives(kind, key));
                }
            }
        }
        for effect in out.effects.drain(..) {
            match effect {
                Effect::Timer { due, timer } => timers.add(due, timer),
                Effect::Stop { item, step, attempt, why } => calls.stop((item, step, attempt), why),
                Effect::Ask(mut ask) => {
                    let redactor = self.bindings.redactor();
                    redactor.shown_text(ask.item, &mut ask.question);
                    let values = ask.inputs.iter_mut();
                    values.for_each(|(_, value)| redactor.shown(ask.item, Arc::make_mut(value)));
                    self.asked_now.as_mut().map(|asked| asked.insert((ask.item, ask.gate)));
                    if let Some(asks) = &self.asks {
                        self.border.ask();
                        // The receiver is gone once the run is over.
                        let _ = asks.send(ask);
                    }
                }
                Effect::Publish { channel, mut event } => {
                    let redactor = self.bindings.redactor();
                    let shown = Arc::make_mut(&mut event);
                    // The secrets of all items: an event does not say whose it is.
                    redactor.shown(ItemId::RUN, Arc::make_mut(&mut shown.data));
                    if let Some(outbox) = &mut self.outbox {
                        outbox.publish(&channel, event);
                    }
                }
                Effect::Deliver(mut event) => {
                    let redactor = self.bindings.redactor();
                    redactor.shown(ItemId::RUN, Arc::make_mut(&mut Arc::make_mut(&mut event).data));
                    // Runs within others have no events of their own.
                    if self.border.is_outermost() {
                        self.border.events.post(event);
                    }
                }
                Effect::Call(call) => {
                    if let Some(due) = call.deadline {
                        timers.add(due, calls::timer_of(&call));
                    }
                    calls.begin(&self.ground(), call, now);
                }
            }
        }
        shown
    }
}

fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

async fn on_disk(durable: &mut Option<Durable>) -> Result<u64, Trouble> {
    match durable {
        Some(durable) => durable.kept().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// The name of the item's folder: its number distinguishes keys that look alike once they are made safe for a path.
/// Letters of all scripts are preserved, since a path must be readable.
pub fn folder_name(item: ItemId, key: &str) -> String {
    folder_with(item, key, char::is_alphanumeric)
}

/// The same in runs of earlier versions.
fn old_folder_name(item: ItemId, key: &str) -> String {
    folder_with(item, key, |c| c.is_ascii_alphanumeric())
}

fn folder_with(item: ItemId, key: &str, fits: impl Fn(char) -> bool) -> String {
    if item == ItemId::RUN {
        return "run".to_owned();
    }
    let safe = |c: char| if fits(c) || matches!(c, '-' | '_') { c } else { '_' };
    // File names have up to 255 bytes, and a character up to 4.
    let key: String = key.chars().map(safe).take(60).collect();
    format!("{:06}-{key}", item.0)
}
