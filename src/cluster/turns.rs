//! The turns of a run that Restate drives: what the engine decides after each input, without the SDK. Knows nothing of
//! how an effect is carried out.

use super::wire::{Input, Start, What};
use crate::engine::{Call, Effect, EngineInput, Impossible, Out, Retries, RetryRequest, Run};
use crate::event::{Answer, Event, EventKind, ItemEvent, ItemId, Millis, StepPath, StopReason, UnixMillis};
use crate::graph::Graph;
use crate::runtime::timers::Timers;
use crate::runtime::{NewItem, ReportedColumns};
use std::sync::Arc;
use std::time::Duration;

/// A run at a moment.
pub struct Turns {
    pub graph: Arc<Graph>,
    run: Run,
    timers: Timers,
    items: std::vec::IntoIter<super::Item>,
    exhausted: bool,
    columns: ReportedColumns,
    /// When its own time was zero, by the clock.
    began: UnixMillis,
    now: Millis,
    deadline: Option<Millis>,
    /// The time for which nothing but people could move it on, and since when that is so.
    rested: Millis,
    rests: Option<Millis>,
    out: Out,
}

/// What is to be done after an input.
#[derive(Default)]
pub struct Turn {
    pub events: Vec<Event>,
    pub calls: Vec<Call>,
    pub stops: Vec<((ItemId, StepPath, u32), StopReason)>,
}

impl Turns {
    /// A run that begins, or continues after what has happened before.
    ///
    /// # Errors
    /// That is impossible.
    pub fn begin(graph: Arc<Graph>, start: Start, deadline: Option<Duration>) -> Result<Turns, Impossible> {
        let mut run = Run::new(graph.clone(), start.policy.into());
        run.set_name(&start.header.run);
        run.set_clock(start.began);
        let deadline = deadline.map(|time| Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX));
        run.stop_at(deadline);
        let mut turns = Turns {
            graph,
            run,
            timers: Timers::default(),
            items: start.items.into_iter(),
            exhausted: false,
            columns: ReportedColumns::default(),
            began: start.began,
            now: 0,
            deadline,
            rested: 0,
            rests: None,
            out: Out::default(),
        };
        let retry: Vec<RetryRequest> = start.retry.into_iter().map(RetryRequest::from).collect();
        let mut retries = Retries::default();
        start.past.iter().for_each(|event| retries.see(event));
        retry.iter().for_each(|one| retries.add(one.item));
        for event in &start.past {
            turns.now = turns.now.max(event.at);
            turns.run.recall_past(event, &mut retries)?;
        }
        if !start.past.is_empty() {
            let admitted = usize::try_from(turns.run.tally().admitted).unwrap_or(usize::MAX);
            turns.items.by_ref().take(admitted).for_each(drop);
            turns.deadline = turns.deadline.map(|end| end.saturating_add(turns.now));
            turns.run.stop_at(turns.deadline);
            turns.run.restore_agents();
            turns.run.resume(&retry, turns.now, &mut turns.out);
        }
        turns.admit();
        Ok(turns)
    }

    /// When its own time was zero, by the clock.
    pub fn began(&self) -> UnixMillis {
        self.began
    }

    /// The run's own time.
    pub fn now(&self) -> Millis {
        self.now
    }

    /// Time never goes back, whatever the clocks of workers say.
    fn at(&mut self, clock: UnixMillis) {
        self.now = self.now.max(clock.saturating_sub(self.began));
    }

    /// An attempt whose time did not count before may begin.
    pub fn begins(&mut self, call: &mut super::wire::SentCall, asked: Millis, at: UnixMillis) {
        self.at(at);
        self.due_before();
        call.begins_later(self.now.saturating_sub(asked));
        if let Some(due) = call.deadline() {
            let (item, step, attempt) = call.attempt();
            self.timers.add(due, crate::engine::Timer::Attempt { item, step, attempt });
        }
    }

    /// An attempt has ended.
    pub fn ended(&mut self, (item, step, attempt): (ItemId, StepPath, u32), result: Answer, at: UnixMillis) {
        self.at(at);
        self.due_before();
        let mut input = EngineInput::Finished { item, step, attempt, result };
        self.columns.hold(&mut input);
        self.timers.cancel(crate::engine::Timer::Attempt { item, step, attempt });
        self.give(input);
    }

    /// The time that [`next_due`](Self::next_due) named has come.
    pub fn due(&mut self, due: Millis) {
        self.now = self.now.max(due);
        self.due_before();
        if self.deadline_due().is_some_and(|end| end <= self.now) && self.run.stopped().is_none() {
            self.give(EngineInput::Stop(StopReason::RunDeadline));
        }
        self.admit();
    }

    /// Timers come before an input that is later.
    fn due_before(&mut self) {
        while let Some(timer) = self.timers.take(self.now) {
            self.give(EngineInput::Due(timer));
        }
    }

    /// Something came from outside.
    pub fn hear(&mut self, input: Input) {
        self.at(input.at);
        self.due_before();
        if self.run.stopped().is_some() {
            return;
        }
        match input.what {
            What::Decide(request) => {
                request.inputs(&self.graph, &self.run).into_iter().for_each(|input| self.give(input));
            }
            What::Answer(item, gate, decision) => {
                self.give(EngineInput::Decide { gate, item: Some(item), decision });
            }
            What::Signal(request) => self.give(EngineInput::Receive(request.signal)),
            What::Stop(why) => self.give(EngineInput::Stop(why)),
        }
    }

    fn give(&mut self, input: EngineInput) {
        self.run.handle(input, self.now, &mut self.out);
        self.admit();
        match (self.run.rests(), self.rests) {
            (true, None) => self.rests = Some(self.now),
            (false, Some(since)) => {
                self.rested = self.rested.saturating_add(self.now.saturating_sub(since));
                self.rests = None;
                self.run.stop_at(self.deadline.map(|end| end.saturating_add(self.rested)));
            }
            _ => {}
        }
    }

    fn admit(&mut self) {
        while !self.exhausted && self.run.wants_item() {
            let input = match self.items.next() {
                Some(super::Item { key, inputs }) => {
                    let NewItem { key, inputs } = NewItem { key, inputs };
                    EngineInput::Admit { key, inputs }
                }
                None => {
                    self.exhausted = true;
                    EngineInput::NoMoreItems
                }
            };
            self.run.handle(input, self.now, &mut self.out);
        }
        if !self.exhausted && self.run.asks_for_the_end() {
            self.exhausted = true;
            let left = self.items.next().is_some();
            let known = if left { EngineInput::ItemsLeft } else { EngineInput::NoMoreItems };
            self.run.handle(known, self.now, &mut self.out);
        }
    }

    /// What is to be done now; the events come before the effects. The time of attempts that wait for a permit does not
    /// count yet.
    pub fn turn(&mut self, waits: impl Fn(&Call) -> bool) -> Turn {
        let Out { events, effects } = std::mem::take(&mut self.out);
        for event in &events {
            if let EventKind::Item(item, ItemEvent::Settled { .. }) = &event.kind {
                self.timers.forget(*item);
            }
        }
        let mut turn = Turn { events, ..Turn::default() };
        for effect in effects {
            match effect {
                Effect::Timer { due, timer } => self.timers.add(due, timer),
                Effect::Stop { item, step, attempt, why } => turn.stops.push(((item, step, attempt), why)),
                Effect::Call(call) => {
                    if let Some(due) = call.deadline.filter(|_| !waits(&call)) {
                        let Call { item, step, attempt, .. } = call;
                        self.timers.add(due, crate::engine::Timer::Attempt { item, step, attempt });
                    }
                    turn.calls.push(call);
                }
                // Those who follow the run ask. What is published to channels, and documents as steps, are refused
                // before a run begins.
                Effect::Ask(_) | Effect::Publish { .. } | Effect::Deliver(_) => {}
            }
        }
        turn
    }

    fn deadline_due(&self) -> Option<Millis> {
        let counts = self.run.stopped().is_none() && self.rests.is_none();
        self.deadline.filter(|_| counts).map(|end| end.saturating_add(self.rested))
    }

    /// When [`due`](Self::due) is to be called, unless something else happens before.
    pub fn next_due(&self) -> Option<Millis> {
        self.timers.next().into_iter().chain(self.deadline_due()).min()
    }

    /// Whether nothing more happens.
    pub fn is_over(&self) -> bool {
        self.out.events.is_empty() && self.run.is_idle() && (self.exhausted || !self.run.wants_item())
    }
}
