//! The run: admits items, allocates places, and evaluates failures over all items. Knows an item only by its next
//! event, which `Item` computes.

mod apply;
mod past;
mod queries;
mod refuse;
mod resume;

pub use resume::is_lost;

use super::item::Item;
use super::limits::{Next, ReadyLine};
use super::once::Once;
use super::tally::{DeadLetter, Tally};
use super::unavailable::Bounds;
use super::{Effect, EngineInput, Limits, Out, Timer};
use crate::event::{
    AttemptEvent, Decision, DrainReason, Event, EventKind, GateId, ItemEvent, ItemId, Millis, RunEvent,
    StepEvent, StepPath, StopReason, WaitsFor,
};
use crate::graph::Graph;
use crate::spec::{OnItemError, Tolerance};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Items in flight per place, so that a busy agent does not leave the other places empty.
const WINDOW: usize = 4;

/// How a run treats failed items, and how much it does at once.
#[derive(Clone, Debug)]
pub struct Policy {
    pub limits: Limits,
    pub tolerate: Tolerance,
    pub on_item_error: OnItemError,
}

impl Policy {
    /// The policy of the document, within these limits.
    pub fn of(graph: &Graph, limits: Limits) -> Policy {
        let settings = &graph.settings;
        Policy { limits, tolerate: settings.tolerate, on_item_error: settings.on_item_error }
    }
}

/// Items that changed since they were last asked to stop.
#[derive(Debug, Default)]
struct Unstopped {
    /// Since the last interruption.
    paused: BTreeSet<ItemId>,
    /// Since they were last stopped for another reason; the first one counts.
    ended: BTreeSet<ItemId>,
}

impl Unstopped {
    fn of(&mut self, why: StopReason) -> &mut BTreeSet<ItemId> {
        if why == StopReason::Interrupted { &mut self.paused } else { &mut self.ended }
    }

    fn changed(&mut self, item: ItemId) {
        self.paused.insert(item);
        self.ended.insert(item);
    }

    fn forget(&mut self, item: ItemId) {
        self.paused.remove(&item);
        self.ended.remove(&item);
    }
}

/// The state machine of a run: inputs change it, and give events and effects. Has no clock and starts nothing. Equal inputs
/// give equal events.
#[derive(Debug)]
pub struct Run {
    graph: Arc<Graph>,
    policy: Policy,
    items: BTreeMap<ItemId, Item>,
    line: ReadyLine,
    tally: Tally,
    dead_letters: Vec<DeadLetter>,
    abandoned: Vec<DeadLetter>,
    /// A failure counts before the item is compensated: no handler requeues items.
    early: bool,
    drained: Option<DrainReason>,
    stopped: Option<StopReason>,
    /// Failures before items were last retried: they no longer stop the run.
    forgiven: u64,
    /// Items in flight that are being compensated again, and those that failed and are still being compensated.
    reopened: u64,
    failing: u64,
    /// Items in flight that only people can move on.
    resting: u64,
    /// Items that changed since they were last asked to stop: a stop does not concern the others.
    unstopped: Unstopped,
    once: Once,
    bounds: Bounds,
    /// Attempts that waited for their time when their agent became unavailable.
    interrupted: BTreeSet<(ItemId, StepPath, u32)>,
    /// Items whose state changed since their next event was last computed.
    touched: Vec<ItemId>,
}

impl Run {
    pub fn new(graph: Arc<Graph>, policy: Policy) -> Self {
        let early = graph.compensates() && graph.handlers().next().is_none();
        Run {
            line: ReadyLine::new(&graph, &policy.limits),
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
            failing: 0,
            resting: 0,
            unstopped: Unstopped::default(),
            once: Once::default(),
            bounds: Bounds::default(),
            interrupted: BTreeSet::new(),
            touched: Vec::new(),
        }
    }

    /// Processes one input; appends the resulting events and effects to `out`, in order. An input that has become
    /// irrelevant, such as a late answer, changes nothing.
    pub fn handle(&mut self, input: EngineInput, now: Millis, out: &mut Out) {
        // The rate's timer only matters because time has passed.
        let of_rate = matches!(input, EngineInput::Due(Timer::Rate));
        match self.meaning(input, now) {
            Some(event) => self.emit(event, out),
            None if !of_rate => return,
            None => {}
        }
        self.advance(now, out);
    }

    fn meaning(&self, input: EngineInput, at: Millis) -> Option<Event> {
        let known = |item: &ItemId| self.items.get(item);
        match input {
            EngineInput::Admit { key, inputs } => {
                Some(ItemEvent::Admitted { key, inputs }.of(ItemId(self.tally.admitted), at))
            }
            EngineInput::Finished { item, step, attempt, result } => known(&item)
                .filter(|known| known.is_running(step, attempt))
                .map(|_| AttemptEvent::Finished(result).of(item, step, attempt, at)),
            EngineInput::Waits { item, step, attempt, waits } => known(&item)
                .filter(|known| known.is_running(step, attempt))
                .filter(|known| known.waits_inside(step).is_some() != waits.is_some())
                .map(|_| match waits {
                    Some(WaitsFor::People) => AttemptEvent::Waits.of(item, step, attempt, at),
                    Some(WaitsFor::Events) => AttemptEvent::Awaits.of(item, step, attempt, at),
                    None => AttemptEvent::Continues.of(item, step, attempt, at),
                }),
            EngineInput::NoMoreItems => {
                let waits = !self.once.exhausted && self.graph.has_run_steps();
                waits.then_some(RunEvent::ItemsExhausted.at(at))
            }
            EngineInput::ItemsLeft => {
                let drained = self.drained.is_some() && self.stopped.is_none() && !self.once.exhausted;
                (drained && self.begins_always()).then_some(RunEvent::StepsBegan.at(at))
            }
            EngineInput::Stop(why) => {
                // A stopped run can still be interrupted while it is compensated.
                let before = self.stopped.filter(|_| why != StopReason::Interrupted);
                let again = self.stopped == Some(StopReason::Interrupted);
                (before.is_none() && !again).then_some(RunEvent::Stopped(why).at(at))
            }
            EngineInput::Decide { gate, item, decision } => self.decision(gate, item, decision, at),
            EngineInput::Due(Timer::Gate { item, gate }) => known(&item)
                .filter(|known| known.is_expired(&self.graph, &self.bounds, gate, at))
                .map(|_| ItemEvent::GateExpired(gate).of(item, at)),
            EngineInput::Receive(arrival) => {
                (!self.bounds.arrivals.knows(&arrival.id)).then(|| RunEvent::Received(arrival).at(at))
            }
            EngineInput::Emit(arrival) => {
                let arrivals = &self.bounds.arrivals;
                let used = self.graph.is_awaited(&arrival.kind) || arrivals.has_sink(&arrival.kind);
                (used && !arrivals.knows(&arrival.id)).then(|| RunEvent::Emitted(arrival).at(at))
            }
            EngineInput::Published { channel, id, failed } => Some(match failed {
                None => RunEvent::Published { channel, id }.at(at),
                Some(why) => RunEvent::NotPublished { channel, id, why }.at(at),
            }),
            EngineInput::Due(Timer::Await { item, step }) => known(&item)
                .filter(|known| known.is_await_expired(&self.graph, &self.bounds, step, at))
                .map(|_| StepEvent::AwaitExpired(step).of(item, at)),
            EngineInput::Due(Timer::Round { item, repeat }) => known(&item)?.round_due(repeat, at),
            EngineInput::Due(Timer::Rate) => None,
            EngineInput::Due(Timer::Attempt { item, step, attempt }) => known(&item)
                .filter(|known| known.is_running(step, attempt) && !known.is_stopping(step))
                .filter(|known| known.is_attempt_overdue(&self.graph, step, at))
                .map(|known| known.overdue(&self.graph, step, at))
                .map(|why| AttemptEvent::Stopped(why).of(item, step, attempt, at)),
            EngineInput::Due(Timer::Retry { item, step, attempt }) => known(&item)
                .filter(|known| known.awaits_retry(step, attempt))
                .map(|_| AttemptEvent::RetryDue.of(item, step, attempt, at)),
            EngineInput::Due(Timer::ItemDeadline { item }) => {
                known(&item).filter(|known| known.is_overdue(&self.graph, at)).map(|_| {
                    let waited = self.line.waited(item, at);
                    ItemEvent::DeadlinePassed { waited }.of(item, at)
                })
            }
        }
    }

    /// Processes all events that the state requires.
    fn advance(&mut self, now: Millis, out: &mut Out) {
        loop {
            self.decide(now, out);
            if !self.dispatch(now, out) {
                break;
            }
        }
    }

    /// Processes all events that the state requires, but starts nothing.
    fn decide(&mut self, now: Millis, out: &mut Out) {
        loop {
            while let Some(&item) = self.touched.last() {
                match self.items.get(&item).and_then(|known| known.next(&self.graph, &self.bounds, now)) {
                    Some(event) => self.emit(event, out),
                    None => {
                        self.touched.pop();
                    }
                }
            }
            match self.consequence(now).or_else(|| self.refusal(now)) {
                Some(event) => self.emit(event, out),
                None => break,
            }
        }
    }

    /// The event by which a person decides, unless it is decided already or not for that person to decide.
    fn decision(&self, gate: GateId, item: Option<ItemId>, decision: Decision, at: Millis) -> Option<Event> {
        let may = self.graph.gate(gate)?.by.as_ref().is_none_or(|by| *by == decision.by);
        let is_in_time = |known: &Item| {
            known.is_new_at(gate, decision.at) && !known.is_late(&self.graph, gate, decision.at)
        };
        let takes = |known: &Item| known.waits_at(gate) && is_in_time(known);
        let waits = |item: &ItemId| self.items.get(item).is_some_and(takes);
        match item {
            _ if !may => None,
            Some(item) => waits(&item).then(|| ItemEvent::Decided { gate, decision }.of(item, at)),
            None => {
                let known = self.bounds.standing.get(&gate);
                let open = known.is_none_or(|known| known.at < decision.at && self.items.values().any(takes));
                open.then(|| RunEvent::Decided { gate, decision }.at(at))
            }
        }
    }

    /// Items that failed, including those that are still being compensated.
    fn failures(&self) -> u64 {
        self.tally.failures() + if self.early { self.failing } else { 0 }
    }

    /// The consequence of failed items for the run.
    fn consequence(&self, at: Millis) -> Option<Event> {
        let stops = self.policy.on_item_error == OnItemError::Stop;
        if stops && self.stopped.is_none() && self.failures() > self.forgiven {
            return Some(RunEvent::Stopped(StopReason::ItemError).at(at));
        }
        let drains = match (self.policy.on_item_error, self.policy.tolerate) {
            _ if self.drained.is_some() => None,
            _ if self.stopped.is_some() => Some(DrainReason::Stopped),
            (OnItemError::Drain, _) if self.failures() > 0 => Some(DrainReason::ItemError),
            (_, Tolerance::Count(most)) if most > 0 && self.failures() > most => Some(DrainReason::Tolerance),
            _ => None,
        };
        let last = self.once.exhausted && !self.once.began && self.items.is_empty();
        let begins = match self.stopped {
            None => last,
            Some(StopReason::Interrupted) => false,
            Some(_) => self.begins_always(),
        };
        drains
            .map(|why| RunEvent::Drained(why).at(at))
            .or_else(|| begins.then_some(RunEvent::StepsBegan.at(at)))
    }

    /// Whether the steps that run always can begin although the run failed or was stopped.
    fn begins_always(&self) -> bool {
        !self.once.began && self.items.is_empty() && self.graph.has_always()
    }

    /// Starts steps as far as the limits allow; returns true if a step ended instead, on a deadline
    /// or a budget.
    fn dispatch(&mut self, now: Millis, out: &mut Out) -> bool {
        loop {
            match self.line.next(now) {
                Next::Step(item, step) => {
                    let waited = || self.line.waited(item, now);
                    let known = self.items.get(&item);
                    let late = known.and_then(|known| known.late(&self.graph, step, waited, now));
                    if let Some(event) = late.or_else(|| self.over_budget(item, step, now)) {
                        self.emit(event, out);
                        return true;
                    }
                    let attempt = self.items.get(&item).map_or(1, |known| known.attempt(step));
                    self.emit(AttemptEvent::Started.of(item, step, attempt, now), out);
                    // A start does not require further decisions.
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

    /// Applies an event, records it, and adds the effects that it requires.
    fn emit(&mut self, event: Event, out: &mut Out) {
        let published = self.publications(&event);
        let before = self.bounds.arrivals.count();
        self.apply(&event);
        self.deliver(before, out);
        for event in published {
            let channels = self.bounds.arrivals.publish(&event).into_iter();
            out.effects.extend(channels.map(|channel| Effect::Publish { channel, event: event.clone() }));
        }
        #[cfg(test)]
        self.recount();
        match &event.kind {
            EventKind::Attempt(item, step, attempt, change) => {
                let (item, step, attempt) = (*item, *step, *attempt);
                match change {
                    AttemptEvent::Started => {
                        let call = self.items.get(&item).and_then(|known| known.call(&self.graph, step));
                        out.effects.extend(call.map(|call| Effect::Call(self.within_budget(call))));
                    }
                    AttemptEvent::Stopped(why) => {
                        out.effects.push(Effect::Stop { item, step, attempt, why: *why });
                    }
                    AttemptEvent::RetryScheduled { due } => {
                        let timer = Timer::Retry { item, step, attempt };
                        out.effects.push(Effect::Timer { due: *due, timer });
                    }
                    AttemptEvent::Finished(_)
                    | AttemptEvent::Repeated
                    | AttemptEvent::RetryDue
                    | AttemptEvent::Waits
                    | AttemptEvent::Awaits
                    | AttemptEvent::Continues => {}
                }
            }
            EventKind::Item(item, ItemEvent::GateReached { gate, .. }) => {
                let known = self.items.get(item);
                let effects = known.map(|known| known.at_gate(&self.graph, &self.bounds, *gate, false));
                out.effects.extend(effects.into_iter().flatten());
            }
            EventKind::Step(item, StepEvent::AwaitBegan { step, .. }) => {
                let known = self.items.get(item);
                out.effects
                    .extend(known.and_then(|known| known.await_timer(&self.graph, &self.bounds, *step)));
            }
            EventKind::Item(item, ItemEvent::RoundScheduled { repeat, due }) => {
                let timer = Timer::Round { item: *item, repeat: *repeat };
                out.effects.push(Effect::Timer { due: *due, timer });
            }
            EventKind::Item(item, ItemEvent::Admitted { .. } | ItemEvent::Requeued) => {
                let deadline = self.items.get(item).and_then(|known| known.deadline(&self.graph));
                out.effects.extend(deadline);
            }
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) => {}
        }
        if let Some(known) = event.item().and_then(|item| self.items.get_mut(&item))
            && known.take_moved()
        {
            out.effects.extend(known.moved_timers(&self.graph));
        }
        out.events.push(event);
    }

    /// Hands the events from a number on to documents.
    fn deliver(&self, from: u64, out: &mut Out) {
        if self.bounds.arrivals.count() > from {
            let all = self.bounds.arrivals.for_documents(&self.graph, from).cloned();
            out.effects.extend(all.map(Effect::Deliver));
        }
    }
}
