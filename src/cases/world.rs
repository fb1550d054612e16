//! The world of a case: its agents, people and events, and a clock that jumps to what comes next.

use super::answers::stubbed;
use super::model::{Case, CaseAnswer, CaseDecision, CaseEnd};
use crate::engine::{Ask, Call, Effect, EngineInput, Limits, Out, Policy, Run, Timer};
use crate::event::{
    Arrival, Cause, Decision, Event, EventKind, Failure, GateId, ItemEvent, ItemId, Millis, Outcome, Reply,
    Settlement, StepEvent, StepPath, StopReason, TypePattern,
};
use crate::event::{AttemptEvent, Execution};
use crate::graph::{Graph, StateId, StepId};
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most inputs of a case.
const MOST: usize = 100_000;

/// The item of a case.
const ITEM: ItemId = ItemId(0);

/// What happened in a case.
#[derive(Debug)]
pub struct CaseOutcome {
    pub end: CaseEnd,
    /// How the item ended; `None` if it waits.
    pub settlement: Option<Settlement>,
    /// Of the item, then of the steps that run once, in the order in which they ended.
    pub executions: Vec<Execution>,
    /// The steps at which the item waits.
    pub waiting: BTreeSet<StepId>,
    /// By value.
    pub values: Vec<Option<Arc<Value>>>,
    pub lifecycle: Option<StateId>,
    /// How often each step was attempted.
    pub attempts: BTreeMap<StepId, u64>,
    /// The types of the events that steps published.
    pub published: Vec<String>,
    pub events: Vec<Event>,
    /// How long it took in its own time.
    pub takes: Millis,
    /// It was ended because it did not end by itself.
    pub endless: bool,
}

/// Something that will reach the engine. Of what comes at the same time, answers come before timers.
#[derive(Debug)]
enum Coming {
    Answer { step: StepPath, item: ItemId, attempt: u32 },
    Decision { gate: GateId, item: ItemId },
    Event(usize),
    Cancel,
    Timer(Timer),
}

impl Coming {
    fn rank(&self) -> u8 {
        match self {
            Coming::Answer { .. } | Coming::Decision { .. } | Coming::Event(_) | Coming::Cancel => 0,
            Coming::Timer(_) => 1,
        }
    }
}

struct CaseWorld<'a> {
    case: &'a Case,
    graph: &'a Graph,
    now: Millis,
    coming: BTreeMap<(Millis, u8, u64), Coming>,
    number: u64,
    /// The attempts under way, with their answers.
    under_way: BTreeMap<(ItemId, StepPath, u32), crate::event::Answer>,
    /// How often each step was called, and each gate was reached.
    called: BTreeMap<StepId, usize>,
    reached: BTreeMap<GateId, usize>,
    decisions: BTreeMap<(ItemId, GateId), Decision>,
    /// The time of the latest decision of each; the next one is later, or it would be the same one again.
    decided: BTreeMap<(ItemId, GateId), Millis>,
    published: Vec<Arc<Arrival>>,
    /// Published events, for which the channel answers.
    sent: Vec<(Arc<str>, String)>,
}

/// Runs a case to its end.
pub fn run(graph: &Arc<Graph>, case: &Case) -> CaseOutcome {
    let policy = Policy::of(graph, Limits::jobs(graph.settings.jobs.unwrap_or(MOST)));
    let mut run = Run::new(graph.clone(), policy.clone());
    // The same run, event by event: what was known before the item ended.
    let mut past = Run::new(graph.clone(), policy);
    for run in [&mut run, &mut past] {
        run.set_name("test");
        run.set_clock(0);
        run.set_sinks(vec![(Arc::from("test"), vec![TypePattern("*".to_owned())])]);
    }
    let mut world = CaseWorld::new(case, graph);
    let mut out = Out::default();
    let mut seen = Seen::new(graph);
    run.handle(EngineInput::Admit { key: (*case.key).into(), inputs: case.inputs.clone() }, 0, &mut out);
    run.handle(EngineInput::NoMoreItems, 0, &mut out);
    let mut endless = true;
    for _ in 0..MOST {
        for effect in out.effects.drain(..).collect::<Vec<_>>() {
            world.take(effect);
        }
        for event in out.events.drain(..) {
            seen.take(&event, &mut past);
            seen.events.push(event);
        }
        while let Some((channel, id)) = world.sent.pop() {
            run.handle(EngineInput::Published { channel, id, failed: None }, world.now, &mut out);
        }
        if !(out.events.is_empty() && out.effects.is_empty()) {
            continue;
        }
        if run.is_idle() {
            endless = false;
            break;
        }
        let over = |due: Millis| case.until.is_some_and(|until| due > until);
        let next = world.coming.pop_first().filter(|((due, ..), _)| !over(*due));
        let Some(((due, ..), coming)) = next else {
            endless = false;
            break;
        };
        world.now = world.now.max(due);
        if let Some(input) = world.arrive(coming, &run) {
            run.handle(input, world.now, &mut out);
        }
    }
    seen.look(&run);
    let published = world.published.iter().map(|event| event.kind.clone()).collect();
    seen.outcome(&run, published, world.now, endless)
}

impl<'a> CaseWorld<'a> {
    fn new(case: &'a Case, graph: &'a Graph) -> Self {
        let mut world = CaseWorld {
            case,
            graph,
            now: 0,
            coming: BTreeMap::new(),
            number: 0,
            under_way: BTreeMap::new(),
            called: BTreeMap::new(),
            reached: BTreeMap::new(),
            decisions: BTreeMap::new(),
            decided: BTreeMap::new(),
            published: Vec::new(),
            sent: Vec::new(),
        };
        for (place, event) in case.events.iter().enumerate() {
            world.comes(event.after, Coming::Event(place));
        }
        if let Some(at) = case.cancel {
            world.comes(at, Coming::Cancel);
        }
        world
    }

    fn comes(&mut self, due: Millis, coming: Coming) {
        self.number += 1;
        self.coming.insert((due.max(self.now), coming.rank(), self.number), coming);
    }

    fn take(&mut self, effect: Effect) {
        match effect {
            Effect::Call(call) => self.call(&call),
            Effect::Stop { item, step, attempt, .. } => {
                let Some(answer) = self.under_way.get_mut(&(item, step, attempt)) else { return };
                let message = "stopped while it was running".to_owned();
                *answer = Err(Box::new(Failure::new(Cause::Stopped, message, Outcome::Unknown, true)));
                self.comes(self.now, Coming::Answer { step, item, attempt });
            }
            Effect::Timer { due, timer } => self.comes(due, Coming::Timer(timer)),
            Effect::Ask(ask) => self.ask(&ask),
            // A case answers for the documents that steps run.
            Effect::Deliver(_) => {}
            Effect::Publish { channel, event } => {
                self.sent.push((channel, event.id.clone()));
                self.published.push(event);
            }
        }
    }

    fn call(&mut self, call: &Call) {
        let id = call.step.step;
        let count = self.called.entry(id).or_default();
        *count += 1;
        let given = self.case.answers.get(&id).and_then(|all| nth(all, *count));
        let CaseAnswer { answer, takes } = given.cloned().unwrap_or_else(|| {
            let outputs = stubbed(self.graph, id, Vec::new(), false);
            CaseAnswer { answer: Ok(Reply { outputs, ..Reply::default() }), takes: 0 }
        });
        let (item, step, attempt) = (call.item, call.step, call.attempt);
        self.under_way.insert((item, step, attempt), answer);
        self.comes(self.now.saturating_add(takes), Coming::Answer { step, item, attempt });
        if let Some(due) = call.deadline {
            self.comes(due, Coming::Timer(Timer::Attempt { item, step, attempt }));
        }
    }

    fn ask(&mut self, ask: &Ask) {
        let count = self.reached.entry(ask.gate).or_default();
        *count += 1;
        let Some(given) = self.case.gates.get(&ask.gate).and_then(|all| nth(all, *count)) else { return };
        let CaseDecision { approved, by, note, after } = given.clone();
        let asked = self.graph.gate(ask.gate).and_then(|gate| gate.by.clone());
        let by = by.or(asked).unwrap_or_else(|| "test".to_owned());
        let next = self.decided.get(&(ask.item, ask.gate)).map_or(0, |last| last.saturating_add(1));
        let at = self.now.saturating_add(after).max(next);
        self.decided.insert((ask.item, ask.gate), at);
        self.decisions.insert((ask.item, ask.gate), Decision { approved, by, note, at });
        self.comes(at, Coming::Decision { gate: ask.gate, item: ask.item });
    }

    fn arrive(&mut self, coming: Coming, run: &Run) -> Option<EngineInput> {
        match coming {
            Coming::Answer { step, item, attempt } => {
                let result = self.under_way.remove(&(item, step, attempt))?;
                Some(EngineInput::Finished { item, step, attempt, result })
            }
            Coming::Decision { gate, item } => {
                let decision = self.decisions.remove(&(item, gate))?;
                Some(EngineInput::Decide { gate, item: Some(item), decision })
            }
            Coming::Event(place) => {
                let event = self.case.events.get(place)?;
                let arrival = Arrival {
                    id: event.id.clone().unwrap_or_else(|| format!("event {}", place + 1)),
                    kind: event.kind.clone(),
                    subject: event.subject.clone().unwrap_or_else(|| self.case.key.clone()),
                    source: None,
                    data: Arc::new(event.data.clone()),
                    at: self.now,
                };
                (run.has_room() && run.stopped().is_none()).then(|| EngineInput::Receive(Arc::new(arrival)))
            }
            Coming::Cancel => Some(EngineInput::Stop(StopReason::Cancelled)),
            Coming::Timer(timer) => Some(EngineInput::Due(timer)),
        }
    }
}

/// The one of this number, from 1, or the last one.
fn nth<T>(all: &[T], number: usize) -> Option<&T> {
    all.get(number - 1).or(all.last())
}

/// What is known of a case so far.
struct Seen {
    events: Vec<Event>,
    settlement: Option<Settlement>,
    executions: Vec<Execution>,
    values: Vec<Option<Arc<Value>>>,
    lifecycle: Option<StateId>,
    attempts: BTreeMap<StepId, u64>,
}

impl Seen {
    fn new(graph: &Graph) -> Seen {
        Seen {
            events: Vec::new(),
            settlement: None,
            executions: Vec::new(),
            values: vec![None; graph.values.len()],
            lifecycle: None,
            attempts: BTreeMap::new(),
        }
    }

    fn take(&mut self, event: &Event, past: &mut Run) {
        match &event.kind {
            EventKind::Item(ITEM, ItemEvent::Settled { end, .. }) => self.settlement = Some(end.clone()),
            EventKind::Step(_, StepEvent::Ended(execution)) => self.executions.push(execution.clone()),
            EventKind::Attempt(_, step, _, AttemptEvent::Started) => {
                *self.attempts.entry(step.step).or_default() += 1;
            }
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
        self.look(past);
        // It follows from the events before it, so it is possible.
        let _ = past.recall(event);
    }

    /// Notes the values of the item, and its state in the diagram, as long as it is in flight.
    fn look(&mut self, run: &Run) {
        if run.key(ITEM).is_none() {
            return;
        }
        self.lifecycle = run.lifecycle(ITEM).or(self.lifecycle);
        for (id, value) in self.values.iter_mut().enumerate() {
            let id = crate::graph::ValueId(u32::try_from(id).unwrap_or(u32::MAX));
            *value = run.value(ITEM, id).cloned();
        }
    }

    fn outcome(self, run: &Run, published: Vec<String>, takes: Millis, endless: bool) -> CaseOutcome {
        let gated = run.graph().ids().filter(|id| {
            let waits = |gate: &GateId| run.waiting().any(|(item, _, at, _)| item == ITEM && at == *gate);
            run.graph().step(*id).gates.iter().any(waits)
        });
        let awaiting = run.awaiting().map(|(_, _, step, ..)| step);
        let mut waiting: BTreeSet<StepId> = gated.collect();
        waiting.extend(awaiting);
        CaseOutcome {
            end: match &self.settlement {
                Some(end) => CaseEnd::Settled(end.state),
                None if run.rests() => CaseEnd::Waiting,
                None => CaseEnd::InFlight,
            },
            settlement: self.settlement,
            executions: self.executions,
            waiting,
            values: self.values,
            lifecycle: self.lifecycle,
            attempts: self.attempts,
            published,
            events: self.events,
            takes,
            endless,
        }
    }
}
