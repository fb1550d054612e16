//! The run: admits items, gives out places, judges failures over all items. Knows an item only through what
//! `Item` says must happen next.

mod past;
mod told;

use super::item::Item;
use super::limits::{Line, Next};
use super::once::Once;
use super::tally::{DeadLetter, Tally};
use super::{Effect, Input, Limits, Out, Retry, Timer};
use crate::event::{Cause, DrainReason, Event, Failure, ItemId, Millis, Outcome, StepPath, StopReason};
use crate::graph::Graph;
use crate::spec::{OnItemError, Tolerance};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Items in flight for each place, so that a busy agent does not leave the other places empty.
const WINDOW: usize = 4;

/// Dead letters that are kept; the events have them all.
const LETTERS: usize = 1000;

/// What a run does about failed items, and how much it does at once.
#[derive(Clone, Debug)]
pub struct Policy {
    pub limits: Limits,
    pub tolerate: Tolerance,
    pub on_item_error: OnItemError,
}

impl Policy {
    /// What the document says, within these limits.
    pub fn of(graph: &Graph, limits: Limits) -> Policy {
        let settings = &graph.settings;
        Policy { limits, tolerate: settings.tolerate, on_item_error: settings.on_item_error }
    }
}

/// What an input comes to.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once and never kept")]
enum Meaning {
    Event(Event),
    /// Only that time has passed.
    Time,
    Nothing,
}

#[derive(Debug)]
pub struct Run {
    graph: Arc<Graph>,
    policy: Policy,
    items: BTreeMap<ItemId, Item>,
    line: Line,
    tally: Tally,
    dead_letters: Vec<DeadLetter>,
    abandoned: Vec<DeadLetter>,
    /// A failure is certain before the item is undone: nothing puts items back.
    early: bool,
    drained: Option<DrainReason>,
    stopped: Option<StopReason>,
    /// Failures that were known when items were last retried: they stop nothing any more.
    forgiven: u64,
    /// Items in flight that are undone once more.
    reopened: u64,
    once: Once,
    /// Items whose state changed since they were last asked what comes next.
    touched: Vec<ItemId>,
}

impl Run {
    pub fn new(graph: Arc<Graph>, policy: Policy) -> Self {
        let early = graph.compensates() && graph.handlers().next().is_none();
        Run {
            line: Line::new(&graph, &policy.limits),
            graph,
            policy,
            items: BTreeMap::new(),
            tally: Tally::default(),
            dead_letters: Vec::new(),
            abandoned: Vec::new(),
            early,
            drained: None,
            stopped: None,
            forgiven: 0,
            reopened: 0,
            once: Once::default(),
            touched: Vec::new(),
        }
    }

    /// Goes on with a folded run: attempts that were under way are made again under the same number, timers
    /// are set again, and what had been decided but not yet done follows.
    ///
    /// Items that are `retried` run again; the fold knew of them ([`recall_past`](Self::recall_past)).
    pub fn resume(&mut self, retried: &[Retry], now: Millis, out: &mut Out) {
        for Retry { item, inputs } in retried {
            let known = self.items.get(item).or_else(|| self.ended(*item));
            if let Some(key) = known.map(|known| known.key().clone()) {
                self.emit(Event::ItemRetried { item: *item, key, inputs: inputs.clone(), at: now }, out);
            }
        }
        self.take_up(now, out);
        self.recover(&|_| true, now, out);
        self.touched = self.items.keys().copied().collect();
        self.advance(now, out);
    }

    /// Decides what a folded run has not decided yet, before anything begins. What had been told to stop is over: it is
    /// not made again, and nobody will say any more what it came to.
    pub fn take_up(&mut self, now: Millis, out: &mut Out) {
        self.touched = self.items.keys().copied().collect();
        loop {
            self.decide(now, out);
            let stopped = |known: &Item| -> Vec<(StepPath, u32)> {
                known.running().filter(|(step, _)| known.is_stopping(*step)).collect()
            };
            let all = self.items.iter();
            let over = all.flat_map(|(item, known)| stopped(known).into_iter().map(move |one| (*item, one)));
            let over: Vec<_> = over.collect();
            if over.is_empty() {
                return;
            }
            for (item, (step, attempt)) in over {
                let result = Err(lost(STOPPED));
                self.emit(Event::AttemptFinished { item, step, attempt, result, at: now }, out);
            }
        }
    }

    /// Begins again what was under way, and sets the timers of these items.
    fn recover(&mut self, wanted: &dyn Fn(&Item) -> bool, now: Millis, out: &mut Out) {
        let items = self.items.iter().filter(|(_, known)| wanted(known)).map(|(item, _)| *item);
        for item in items.collect::<Vec<_>>() {
            let running = self.items.get(&item).map(|known| known.running().collect::<Vec<_>>());
            for (step, attempt) in running.unwrap_or_default() {
                self.emit(Event::AttemptRepeated { item, step, attempt, at: now }, out);
            }
            let outstanding = self.items.get(&item).map(|known| known.outstanding(&self.graph));
            out.effects.extend(outstanding.into_iter().flatten());
        }
    }

    /// Ends a folded run whose runner is gone: nothing begins but what undoes, and of the attempts that were under way
    /// nobody will say any more what they came to. What was being undone goes on.
    pub fn cancel(&mut self, now: Millis, out: &mut Out) {
        self.take_up(now, out);
        self.recover(&Item::is_compensating, now, out);
        self.touched = self.items.keys().copied().collect();
        self.handle(Input::Stop(StopReason::Cancelled), now, out);
        let under_way: Vec<_> = self
            .items
            .iter()
            .filter(|(_, known)| !known.is_compensating())
            .flat_map(|(item, known)| known.running().map(|(step, attempt)| (*item, step, attempt)))
            .collect();
        for (item, step, attempt) in under_way {
            let failure = lost(GIVEN_UP);
            self.handle(Input::Finished { item, step, attempt, result: Err(failure) }, now, out);
        }
        self.advance(now, out);
    }

    /// Takes one input; what happened and what is to be done are added to `out`, in order. An input that means
    /// nothing any more, such as a late answer, changes nothing.
    pub fn handle(&mut self, input: Input, now: Millis, out: &mut Out) {
        match self.meaning(input, now) {
            Meaning::Nothing => return,
            Meaning::Time => {}
            Meaning::Event(event) => self.emit(event, out),
        }
        self.advance(now, out);
    }

    fn meaning(&self, input: Input, at: Millis) -> Meaning {
        let known = |item: &ItemId| self.items.get(item);
        let event = match input {
            Input::Admit { key, inputs } => {
                Some(Event::ItemAdmitted { item: ItemId(self.tally.admitted), key, inputs, at })
            }
            Input::Finished { item, step, attempt, result } => known(&item)
                .filter(|known| known.is_running(step, attempt))
                .map(|_| Event::AttemptFinished { item, step, attempt, result, at }),
            Input::NoMoreItems => {
                let waits = !self.once.exhausted && self.graph.has_run_steps();
                waits.then_some(Event::ItemsExhausted { at })
            }
            Input::Stop(why) => {
                // While a run that was stopped is being undone, it can still be interrupted.
                let before = self.stopped.filter(|_| why != StopReason::Interrupted);
                let again = self.stopped == Some(StopReason::Interrupted);
                (before.is_none() && !again).then_some(Event::RunStopped { why, at })
            }
            Input::Due(Timer::Rate) => return Meaning::Time,
            Input::Due(Timer::Attempt { item, step, attempt }) => known(&item)
                .filter(|known| known.is_running(step, attempt) && !known.is_stopping(step))
                .map(|known| known.overdue(&self.graph, step, at))
                .map(|why| Event::AttemptStopped { item, step, attempt, why, at }),
            Input::Due(Timer::Retry { item, step, attempt }) => known(&item)
                .filter(|known| known.awaits_retry(step, attempt))
                .map(|_| Event::RetryDue { item, step, attempt, at }),
            Input::Due(Timer::ItemDeadline { item }) => {
                known(&item).filter(|known| known.is_overdue(&self.graph, at)).map(|_| {
                    let waited = self.line.waited(item, at);
                    Event::ItemDeadlinePassed { item, waited, at }
                })
            }
        };
        event.map_or(Meaning::Nothing, Meaning::Event)
    }

    /// Does all that the state calls for until it calls for nothing more.
    fn advance(&mut self, now: Millis, out: &mut Out) {
        loop {
            self.decide(now, out);
            if !self.dispatch(now, out) {
                break;
            }
        }
    }

    /// Does all of that but for what begins.
    fn decide(&mut self, now: Millis, out: &mut Out) {
        loop {
            while let Some(&item) = self.touched.last() {
                match self.items.get(&item).and_then(|known| known.next(&self.graph, now)) {
                    Some(event) => self.emit(event, out),
                    None => {
                        self.touched.pop();
                    }
                }
            }
            match self.consequence(now) {
                Some(event) => self.emit(event, out),
                None => break,
            }
        }
    }

    /// Items that failed, those too that are still being undone.
    fn failures(&self) -> u64 {
        if !self.early {
            return self.tally.failures();
        }
        let items = self.items.iter().filter(|(id, _)| **id != ItemId::RUN);
        self.tally.failures() + items.filter(|(_, item)| item.is_failing()).count() as u64
    }

    /// What failed items mean for the run.
    fn consequence(&self, at: Millis) -> Option<Event> {
        let stops = self.policy.on_item_error == OnItemError::Stop;
        if stops && self.stopped.is_none() && self.failures() > self.forgiven {
            return Some(Event::RunStopped { why: StopReason::ItemError, at });
        }
        let drains = match (self.policy.on_item_error, self.policy.tolerate) {
            _ if self.drained.is_some() => None,
            _ if self.stopped.is_some() => Some(DrainReason::Stopped),
            (OnItemError::Drain, _) if self.failures() > 0 => Some(DrainReason::ItemError),
            (_, Tolerance::Count(most)) if most > 0 && self.failures() > most => Some(DrainReason::Tolerance),
            _ => None,
        };
        let last = self.once.exhausted && !self.once.began && self.items.is_empty();
        let begins = last && self.stopped.is_none();
        drains
            .map(|why| Event::RunDrained { why, at })
            .or_else(|| begins.then_some(Event::RunStepsBegan { at }))
    }

    /// Starts what the limits allow; true where a step has ended for want of time instead.
    fn dispatch(&mut self, now: Millis, out: &mut Out) -> bool {
        loop {
            match self.line.next(now) {
                Next::Step(item, step) => {
                    let waited = || self.line.waited(item, now);
                    let known = self.items.get(&item);
                    let late = known.and_then(|known| known.late(&self.graph, step, waited, now));
                    if let Some(event) = late {
                        self.emit(event, out);
                        return true;
                    }
                    let attempt = self.items.get(&item).map_or(1, |known| known.attempt(step));
                    self.emit(Event::AttemptStarted { item, step, attempt, at: now }, out);
                    // A start leaves nothing to decide.
                    self.touched.clear();
                }
                Next::At(due) => {
                    out.effects.push(Effect::Timer { due, timer: Timer::Rate });
                    return false;
                }
                Next::Nothing => return false,
            }
        }
    }

    /// Applies an event, records it, and adds what it asks of the outside.
    fn emit(&mut self, event: Event, out: &mut Out) {
        self.apply(&event);
        #[cfg(test)]
        self.recount();
        match &event {
            Event::AttemptStarted { item, step, .. } => {
                if let Some(call) = self.items.get(item).and_then(|known| known.call(&self.graph, *step)) {
                    out.effects.push(Effect::Call(call));
                }
            }
            Event::AttemptStopped { item, step, attempt, .. } => {
                out.effects.push(Effect::Stop { item: *item, step: *step, attempt: *attempt });
            }
            Event::RetryScheduled { item, step, attempt, due, .. } => {
                let timer = Timer::Retry { item: *item, step: *step, attempt: *attempt };
                out.effects.push(Effect::Timer { due: *due, timer });
            }
            Event::ItemAdmitted { item, .. } | Event::ItemPutBack { item, .. } => {
                let deadline = self.items.get(item).and_then(|known| known.deadline(&self.graph));
                out.effects.extend(deadline);
            }
            Event::AttemptFinished { .. }
            | Event::AttemptRepeated { .. }
            | Event::RetryDue { .. }
            | Event::BranchTaken { .. }
            | Event::ConditionHeld { .. }
            | Event::StepEnded { .. }
            | Event::ElementsEnded { .. }
            | Event::ItemDeadlinePassed { .. }
            | Event::ItemFailed { .. }
            | Event::CompensationBegan { .. }
            | Event::ItemRetried { .. }
            | Event::ItemResolved { .. }
            | Event::ItemSettled { .. }
            | Event::ItemsExhausted { .. }
            | Event::RunStepsBegan { .. }
            | Event::RunStepsEnded { .. }
            | Event::RunDrained { .. }
            | Event::RunStopped { .. } => {}
        }
        out.events.push(event);
    }

    /// The only thing that changes the run.
    fn apply(&mut self, event: &Event) {
        match event {
            Event::ItemAdmitted { item, key, inputs, at } => {
                self.tally.admitted += 1;
                let mut admitted = Item::new(&self.graph, *item, key.clone(), inputs, *at);
                admitted.begin(&self.graph);
                self.items.insert(*item, admitted);
                self.line_up(*item, *at);
            }
            Event::ItemSettled { item, key, state, error, standing, at, .. } => {
                self.withdraw(*item, *at);
                self.line.forget(*item, *at);
                if let Some(settled) = self.items.remove(item) {
                    self.reopened = self.reopened.saturating_sub(u64::from(settled.is_reopened()));
                    self.once.keep(&self.graph, *item, &settled, *state);
                }
                *self.tally.of(*state) += 1;
                let letters = match (state.is_failure(), standing.is_empty()) {
                    (true, _) => &mut self.dead_letters,
                    (false, false) => &mut self.abandoned,
                    (false, true) => return,
                };
                if letters.len() < LETTERS {
                    letters.push(DeadLetter {
                        item: *item,
                        key: key.clone(),
                        state: *state,
                        error: error.clone(),
                        standing: standing.clone(),
                    });
                }
            }
            Event::ItemRetried { item, .. } => {
                // Whatever had stopped the run is over, or it would not go on.
                self.stopped = None;
                if *item != ItemId::RUN {
                    // The steps that ran once after all items do so for what has come of it, too.
                    self.once.began = false;
                    self.once.reopen();
                } else if let Some(last) = self.once.last.take_if(|_| self.once.began) {
                    self.once.end = None;
                    self.items.insert(ItemId::RUN, last);
                }
                self.apply_anew(*item, event);
                self.forgiven = self.tally.failures() + self.reopened;
            }
            Event::ItemsExhausted { .. } => self.once.exhausted = true,
            Event::RunStepsBegan { at } => {
                self.once.began = true;
                self.once.end = None;
                let inputs = self.once.take(&self.graph);
                let run = match self.once.last.take() {
                    Some(mut last) => {
                        last.restart_after_compensation(inputs);
                        last
                    }
                    None => {
                        let mut run = Item::new(&self.graph, ItemId::RUN, "run".into(), &inputs, *at);
                        run.begin(&self.graph);
                        run
                    }
                };
                self.items.insert(ItemId::RUN, run);
                self.line_up(ItemId::RUN, *at);
            }
            Event::RunStepsEnded { state, error, standing, .. } => {
                self.withdraw(ItemId::RUN, event.at());
                self.once.last = self.items.remove(&ItemId::RUN);
                self.once.end = Some((*state, error.clone(), standing.clone()));
            }
            Event::RunDrained { why, .. } => self.drained = Some(*why),
            Event::RunStopped { why, .. } => {
                self.stopped = Some(*why);
                let items: Vec<ItemId> = self.items.keys().copied().collect();
                items.into_iter().for_each(|item| self.apply_to(item, event));
            }
            Event::AttemptStarted { item, step, at, .. } => {
                self.line.started(*item, *step, *at);
                self.apply_to(*item, event);
            }
            Event::AttemptFinished { item, step, .. } => {
                self.line.finished(*step);
                self.apply_to(*item, event);
            }
            Event::AttemptStopped { item, .. }
            | Event::AttemptRepeated { item, .. }
            | Event::RetryScheduled { item, .. }
            | Event::RetryDue { item, .. }
            | Event::BranchTaken { item, .. }
            | Event::ConditionHeld { item, .. }
            | Event::StepEnded { item, .. }
            | Event::ElementsEnded { item, .. }
            | Event::ItemDeadlinePassed { item, .. }
            | Event::CompensationBegan { item, .. }
            | Event::ItemFailed { item, .. } => self.apply_to(*item, event),
            Event::ItemResolved { item, .. } => {
                self.once.reopen();
                self.apply_to(*item, event);
            }
            Event::ItemPutBack { item, .. } => self.apply_anew(*item, event),
        }
    }

    /// The steps that ran once after all items, as they ended.
    fn ended(&self, item: ItemId) -> Option<&Item> {
        self.once.last.as_ref().filter(|_| item == ItemId::RUN)
    }

    fn apply_to(&mut self, item: ItemId, event: &Event) {
        if let Some(known) = self.items.get_mut(&item) {
            // The run's own steps are no item that fails.
            let reopened = |known: &Item| u64::from(item != ItemId::RUN && known.is_reopened());
            let before = reopened(known);
            known.apply(&self.graph, event);
            self.reopened = (self.reopened + reopened(known)).saturating_sub(before);
            self.line_up(item, event.at());
        }
    }

    /// Applies an event by which steps of an item are ahead once more: its place in the line is made new.
    fn apply_anew(&mut self, item: ItemId, event: &Event) {
        self.withdraw(item, event.at());
        self.line.forget(item, event.at());
        self.apply_to(item, event);
        for step in self.items.get(&item).map(Item::ready).unwrap_or_default() {
            self.line.push(item, step, event.at());
        }
    }

    /// Takes what an item has ready out of the line.
    fn withdraw(&mut self, item: ItemId, at: Millis) {
        for step in self.items.get(&item).map(Item::ready).unwrap_or_default() {
            self.line.remove(item, step, at);
        }
    }

    fn line_up(&mut self, item: ItemId, at: Millis) {
        if let Some(known) = self.items.get_mut(&item) {
            let moves = known.moves();
            moves.ready.drain(..).for_each(|step| self.line.push(item, step, at));
            moves.withdrawn.drain(..).for_each(|step| self.line.remove(item, step, at));
        }
        if self.touched.last() != Some(&item) {
            self.touched.push(item);
        }
    }
}

/// Why attempts have ended whose end nobody saw.
const STOPPED: &str = "interrupted while it was stopping, and not retried";
const GIVEN_UP: &str = "interrupted, and not retried, because the run was cancelled";

/// Whether an attempt is only known to be over, not since when.
pub fn is_lost(failure: &Failure) -> bool {
    failure.cause == Cause::Stopped && [STOPPED, GIVEN_UP].contains(&&*failure.message)
}

/// The end of an attempt that nobody saw end: it may have had its effect.
fn lost(message: &str) -> Box<Failure> {
    Box::new(Failure {
        cause: Cause::Stopped,
        code: None,
        message: message.to_owned(),
        outcome: Outcome::Unknown,
        // Its time was over, and another attempt has its own.
        retryable: true,
        tokens_used: None,
        columns: Vec::new(),
        log: String::new(),
    })
}
