//! A world for the engine to live in, made from a seed: random graphs, agents that succeed, fail, hang, answer
//! twice or answer although they were told to stop. Time is a number; two worlds of a seed are identical.

mod graphs;
mod loops;
mod waits;

use super::{Effect, EngineInput, Out, Run, Timer};
use crate::event::{
    Answer, Arrival, AttemptEvent, Cause, Decision, Event, EventKind, Failure, GateId, ItemEvent, ItemId,
    Millis, Outcome, Reply, RunEvent, StepPath, StopReason, TypePattern, Values, WaitsFor,
};
use crate::graph::{Graph, Kind, ValueId};
use crate::value::Value;
use graphs::makes_list;
pub use graphs::{graph, random_graph, random_policy, step};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A number from 0 up to `below` that depends on nothing but its arguments.
pub fn roll(seed: u64, salt: &[u64], below: u64) -> u64 {
    let mut bytes = seed.to_le_bytes().to_vec();
    salt.iter().for_each(|part| bytes.extend(part.to_le_bytes()));
    let hash = blake3::hash(&bytes);
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap()) % below.max(1)
}

/// A step's number for dice, its element told apart.
fn number(path: StepPath) -> u64 {
    u64::from(path.step.0) + path.element.map_or(0, |element| 1000 * (u64::from(element) + 1))
}

/// The column with a cost of so many cents, which some agents do not report.
fn cost(cents: u64) -> Vec<(Arc<str>, Value)> {
    let number = format!("0.{cents:02}").parse().map(Value::Number);
    number.into_iter().filter(|_| cents > 5).map(|cost| (Arc::from("cost_usd"), cost)).collect()
}

/// The channels of this world, with the types of events that each takes.
pub fn sinks(seed: u64) -> Vec<(Arc<str>, Vec<TypePattern>)> {
    let kinds = waits::KINDS.map(|kind| TypePattern(kind.to_owned()));
    let all = [("one", vec![kinds[0].clone()]), ("all", vec![TypePattern("e.*".to_owned())])];
    let some = all.into_iter().take(1 + roll(seed, &[86], 2) as usize);
    some.map(|(name, types)| (name.into(), types)).collect()
}

/// Whether agents of this world may become unavailable.
pub fn loses_agents(seed: u64) -> bool {
    roll(seed, &[15], 4) == 0
}

/// Something that will reach the engine, ordered by when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Coming {
    Answer {
        item: ItemId,
        step: StepPath,
        attempt: u32,
        started: Millis,
    },
    Timer(Timer),
    Stop,
    /// What an attempt runs waits for people or events, or does no longer.
    Rest {
        item: ItemId,
        step: StepPath,
        attempt: u32,
        waits: Option<WaitsFor>,
    },
    /// A channel answers for an event, by the hash of both.
    Published(u64),
    /// An event comes from outside, the `number`th of its type for the item.
    Signal {
        item: u64,
        kind: usize,
        number: u64,
    },
    /// A person decides about an item, or about all that wait at a gate.
    Decide {
        asked: Option<(ItemId, Millis)>,
        gate: GateId,
        approved: bool,
    },
}

/// A visit of a step: the item, the step, the number of the visit, and what it undoes.
type Visit = (ItemId, StepPath, u32, Option<StepPath>);

/// The agents, the clock and the door.
pub struct World {
    seed: u64,
    pub now: Millis,
    graph: Arc<Graph>,
    coming: BTreeSet<(Millis, Coming)>,
    /// When the attempts under way began, whoever asks again.
    under_way: BTreeMap<(ItemId, StepPath, u32), Millis>,
    /// When attempts were told to stop.
    told: BTreeMap<(ItemId, StepPath, u32), Millis>,
    /// What was asked for on each visit of a step, whichever life asked, and by which attempt first.
    asked: BTreeMap<Visit, (u32, Values)>,
    /// What each attempt was given.
    pub calls: BTreeMap<(ItemId, StepPath, u32), Values>,
    /// After how many events of a life something came from outside: a runner that dies has kept all up to one of these.
    pub kept: Vec<usize>,
    /// What was published to channels in this life.
    pub sent: BTreeMap<u64, (Arc<str>, String)>,
    /// The events that were handed to documents in this life, by their ids.
    pub delivered: Vec<String>,
    offered: u64,
    items: u64,
}

impl World {
    pub fn new(seed: u64, graph: Arc<Graph>) -> Self {
        let mut coming = BTreeSet::new();
        if roll(seed, &[8], 6) == 0 {
            coming.insert((roll(seed, &[9], 150), Coming::Stop));
        }
        for gate in (0..graph.gates.len() as u32).map(GateId) {
            let dice = |what, below| roll(seed, &[80, what, gate.0.into()], below);
            if dice(0, 5) == 0 {
                coming.insert((dice(1, 120), Coming::Decide { asked: None, gate, approved: dice(2, 3) > 0 }));
            }
        }
        let items = roll(seed, &[10], 7);
        let awaits = !graph.awaited().is_empty();
        for (item, kind) in (0..=items).filter(|_| awaits).flat_map(|item| [(item, 0), (item, 1)]) {
            let dice = |what, below| roll(seed, &[82, what, item, kind as u64], below);
            for number in 0..dice(0, 4) {
                coming.insert((dice(1 + number, 160), Coming::Signal { item, kind, number }));
            }
        }
        World {
            seed,
            now: 0,
            graph,
            coming,
            under_way: BTreeMap::new(),
            told: BTreeMap::new(),
            asked: BTreeMap::new(),
            calls: BTreeMap::new(),
            kept: Vec::new(),
            sent: BTreeMap::new(),
            delivered: Vec::new(),
            offered: 0,
            items,
        }
    }

    /// Why this world is stopped from outside, if it is.
    fn stops(&self) -> StopReason {
        let why = [StopReason::Interrupted, StopReason::Cancelled, StopReason::RunDeadline];
        why[roll(self.seed, &[16], 3) as usize]
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The same world after the runner died: agents work on, the runner's timers are gone.
    pub fn after_crash(&self, seen: &[Event]) -> World {
        let now = seen.iter().map(|event| event.at).max().unwrap_or(0);
        let mut world = World::new(self.seed, self.graph.clone());
        world.now = now;
        let mut started = BTreeSet::new();
        for event in seen {
            match &event.kind {
                EventKind::Item(_, ItemEvent::Admitted { .. }) => world.offered += 1,
                EventKind::Attempt(item, step, attempt, AttemptEvent::Started) => {
                    started.insert((*item, *step, *attempt));
                    world.under_way.insert((*item, *step, *attempt), event.at);
                    world.told.remove(&(*item, *step, *attempt));
                }
                EventKind::Attempt(item, step, attempt, AttemptEvent::Stopped(_)) => {
                    world.told.insert((*item, *step, *attempt), event.at);
                }
                EventKind::Attempt(item, step, attempt, AttemptEvent::Finished(_)) => {
                    world.under_way.remove(&(*item, *step, *attempt));
                }
                EventKind::Run(RunEvent::Stopped(StopReason::Interrupted)) => world.coming.clear(),
                // It is sent once.
                EventKind::Run(RunEvent::Decided { gate, .. }) => world
                    .coming
                    .retain(|(_, coming)| !matches!(coming, Coming::Decide { asked: None, gate: own, .. } if own == gate)),
                // A failed item stops a run too, and the stop from outside still comes.
                EventKind::Run(RunEvent::Stopped(why)) if *why == self.stops() => {
                    world.coming.retain(|(_, coming)| *coming != Coming::Stop);
                }
                EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
            }
        }
        // What the other life asked for later is no matter of this one.
        world.asked = self.asked.clone();
        world.asked.retain(|(item, step, ..), (attempt, _)| started.contains(&(*item, *step, *attempt)));
        world
    }

    /// The same where the agents died with their runner, whatever they had answered that was not kept.
    pub fn after_kill(&self, seen: &[Event]) -> World {
        let mut world = self.after_crash(seen);
        world.under_way.clear();
        world.told.clear();
        world
    }

    /// Lives until nothing more happens. Returns all events.
    pub fn live(&mut self, run: &mut Run, out: &mut Out) -> Vec<Event> {
        run.recount();
        let mut events = Vec::new();
        for _ in 0..100_000 {
            while self.offered < self.items && run.wants_item() {
                let key = format!("item-{}", self.offered).into();
                self.offered += 1;
                run.handle(EngineInput::Admit { key, inputs: Vec::new() }, self.now, out);
            }
            if self.offered == self.items {
                run.handle(EngineInput::NoMoreItems, self.now, out);
            } else if run.asks_for_the_end() {
                run.handle(EngineInput::ItemsLeft, self.now, out);
            }
            for effect in out.effects.drain(..).collect::<Vec<_>>() {
                self.take(effect);
            }
            events.append(&mut out.events);
            self.kept.push(events.len());
            if run.is_idle() && !(self.offered < self.items && run.wants_item()) {
                // A run that is over waits for its channels, and hears nothing else.
                self.coming.retain(|(_, coming)| matches!(coming, Coming::Published(_)));
                if self.coming.is_empty() {
                    return events;
                }
            }
            let Some((due, coming)) = self.coming.pop_first() else {
                panic!("seed {}: the run waits for nothing: {run:#?}", self.seed);
            };
            self.now = self.now.max(due);
            // A run that stops takes no decisions, and an answer is for the time when it was asked.
            if let Coming::Decide { asked, gate, .. } = coming {
                let waits = |asked| run.waiting().any(|(item, _, at, since)| (item, since, at) == asked);
                if run.stopped().is_some() || asked.is_some_and(|(item, since)| !waits((item, since, gate))) {
                    continue;
                }
            }
            if matches!(coming, Coming::Signal { .. }) && run.stopped().is_some() {
                continue;
            }
            for input in self.arrive(coming) {
                run.handle(input, self.now, out);
            }
        }
        panic!("seed {}: the run does not end", self.seed);
    }

    fn take(&mut self, effect: Effect) {
        match effect {
            Effect::Timer { due, timer } => {
                self.coming.insert((due.max(self.now), Coming::Timer(timer)));
            }
            Effect::Deliver(event) => {
                assert!(!self.delivered.contains(&event.id), "seed {}: {} twice", self.seed, event.id);
                self.delivered.push(event.id.clone());
            }
            Effect::Publish { channel, event } => {
                let hash = blake3::hash(format!("{channel} {}", event.id).as_bytes());
                let hash = u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap());
                self.sent.insert(hash, (channel, event.id.clone()));
                self.coming.insert((self.now + roll(self.seed, &[84, hash], 30), Coming::Published(hash)));
            }
            Effect::Ask(ask) => {
                let dice = |what, below| roll(self.seed, &[81, what, ask.item.0, ask.gate.0.into()], below);
                let timed = self.graph.gate(ask.gate).is_some_and(|gate| gate.within.is_some());
                if !timed || dice(0, 3) > 0 {
                    let asked = Some((ask.item, ask.since));
                    let decide = Coming::Decide { asked, gate: ask.gate, approved: dice(1, 4) > 0 };
                    self.coming.insert((ask.since + dice(2, 60), decide));
                }
            }
            Effect::Call(call) => {
                let id = (call.item, call.step, call.attempt);
                self.calls.insert(id, call.inputs.clone());
                let visit = (call.item, call.step, call.visit, call.compensates);
                let before = self.asked.entry(visit).or_insert_with(|| (call.attempt, call.inputs.clone()));
                assert_eq!(before.1, call.inputs, "seed {}: other inputs on the same visit", self.seed);
                if let Some(due) = call.deadline {
                    let timer = Timer::Attempt { item: call.item, step: call.step, attempt: call.attempt };
                    self.coming.insert((due.max(self.now), Coming::Timer(timer)));
                }
                let started = *self.under_way.entry(id).or_insert(self.now);
                let answer =
                    Coming::Answer { item: call.item, step: call.step, attempt: call.attempt, started };
                if let Some(takes) = self.takes(id) {
                    let (item, step, attempt) = id;
                    let dice = |what, below| roll(self.seed, &[17, what, item.0, number(step)], below);
                    let mut due = started + takes;
                    if self.graph.step(step.step).kind == Kind::Forward && dice(0, 10) == 0 {
                        let what = [WaitsFor::People, WaitsFor::Events][dice(3, 2) as usize];
                        let rests = [(1 + dice(1, 10), Some(what)), (11 + dice(2, 40), None)];
                        due += rests[1].0;
                        // What is over by now is not reported again.
                        let over = started + rests[1].0;
                        for (after, waits) in rests {
                            if over > self.now || over == self.now && waits.is_none() {
                                let rest = Coming::Rest { item, step, attempt, waits };
                                self.coming.insert(((started + after).max(self.now), rest));
                            }
                        }
                    }
                    self.coming.insert((due, answer));
                }
            }
            Effect::Stop { item, step, attempt, .. } => {
                let Some(started) = self.under_way.get(&(item, step, attempt)).copied() else { return };
                let told = *self.told.entry((item, step, attempt)).or_insert(self.now);
                let settles = told + roll(self.seed, &[11, item.0, number(step)], 5);
                self.coming.insert((settles, Coming::Answer { item, step, attempt, started }));
            }
        }
    }

    /// How long an attempt takes; none when it hangs until it is stopped.
    fn takes(&self, (item, step, attempt): (ItemId, StepPath, u32)) -> Option<Millis> {
        let dice = |what| roll(self.seed, &[12, what, item.0, number(step), attempt.into()], 20);
        (dice(0) > 1).then(|| dice(1))
    }

    fn arrive(&mut self, coming: Coming) -> Vec<EngineInput> {
        match coming {
            Coming::Timer(timer) => vec![EngineInput::Due(timer)],
            Coming::Decide { asked, gate, approved } => {
                let item = asked.map(|(item, _)| item);
                let decision = Decision { approved, by: "ops".into(), note: None, at: self.now };
                vec![EngineInput::Decide { gate, item, decision }]
            }
            Coming::Signal { item, kind, number } => {
                let dice = |what, below| roll(self.seed, &[83, what, item, kind as u64, number], below);
                // The last item is the run itself.
                let subject = if item == self.items { "run".into() } else { format!("item-{item}") };
                let data = Value::Object([("n".to_owned(), dice(0, 1000).into())].into_iter().collect());
                let kind = waits::KINDS[kind].to_owned();
                // Some come twice.
                let id = format!("{subject}/{kind}/{}", number - number.min(dice(1, 4) / 3));
                let arrival = Arrival { id, kind, subject, source: None, data: Arc::new(data), at: self.now };
                // A step in a document publishes some.
                vec![match dice(2, 3) {
                    0 => EngineInput::Emit(Arc::new(arrival)),
                    _ => EngineInput::Receive(Arc::new(arrival)),
                }]
            }
            Coming::Rest { item, step, attempt, waits } => {
                vec![EngineInput::Waits { item, step, attempt, waits }]
            }
            Coming::Published(hash) => {
                let Some((channel, id)) = self.sent.get(&hash).cloned() else { return Vec::new() };
                let failed = (roll(self.seed, &[85, hash], 5) == 0).then(|| "busy".to_owned());
                vec![EngineInput::Published { channel, id, failed }]
            }
            Coming::Stop => {
                vec![EngineInput::Stop(self.stops())]
            }
            Coming::Answer { item, step, attempt, started } => {
                // The next execution of the step begins anew.
                self.under_way.remove(&(item, step, attempt));
                self.told.remove(&(item, step, attempt));
                let result = self.answer(item, step, attempt, started);
                let answer = EngineInput::Finished { item, step, attempt, result };
                let doubled = roll(self.seed, &[13, item.0, number(step)], 5) == 0;
                if doubled { vec![answer.clone(), answer] } else { vec![answer] }
            }
        }
    }

    fn answer(&self, item: ItemId, step: StepPath, attempt: u32, started: Millis) -> Answer {
        let dice =
            |what, below| roll(self.seed, &[14, what, item.0, number(step), attempt.into(), started], below);
        if dice(0, 100) < 75 {
            let value = match self.graph.step(step.step).kind {
                Kind::Handler => Value::Bool(dice(1, 2) == 0),
                Kind::Forward if makes_list(self.seed, step.step) && dice(5, 10) > 0 => {
                    Value::Array((0..dice(4, 4)).map(Value::from).collect())
                }
                Kind::Forward | Kind::Compensation => Value::from(dice(2, 1000)),
            };
            let outputs = vec![(ValueId(step.step.0), Arc::new(value))];
            return Ok(Reply {
                outputs,
                tokens_used: Some(dice(3, 10)),
                columns: cost(dice(10, 20)),
                ..Reply::default()
            });
        }
        // In even worlds whatever can be undone is, so that it does not matter who saw the answer.
        let said = self.graph.step(step.step);
        let certain = self.seed % 2 == 1 || (said.compensate.is_none() && !said.irreversible);
        let outcome = if certain && dice(6, 3) == 0 { Outcome::Failed } else { Outcome::Unknown };
        let message = format!("attempt {attempt} failed");
        Err(Box::new(Failure {
            retry_after_ms: (dice(7, 5) == 0).then(|| dice(8, 40)),
            unavailable: loses_agents(self.seed) && dice(9, 3) == 0,
            tokens_used: (dice(11, 3) > 0).then(|| dice(12, 10)),
            columns: cost(dice(10, 20)),
            ..Failure::new(Cause::Exit(1), message, outcome, dice(4, 3) > 0)
        }))
    }
}
