//! The engine's promises, held over simulated worlds and spelled out on small ones.

use super::simulator::{World, graph, loses_agents, random_graph, random_policy, roll, sinks, step};
use super::{Ahead, Effect, EngineInput, Limits, Out, Policy, Retries, RetryRequest, Run, Timer};
use crate::event::{
    Arrival, AttemptEvent, Cause, Decision, EVENT_TIMEOUT, Event, EventKind, Failure, GATE_TIMEOUT, GateId,
    ItemEvent, ItemId, ItemState, Millis, Outcome, Reply, RunEvent, Settlement, Status, StepEvent, StepPath,
    StopReason,
};
use crate::graph::{
    Await, Each, Gate, GateOf, Graph, Group, InnerAwait, InnerSubject, Input as Takes, Kind, Output, Repeat,
    RepeatId, RepeatOf, Role, StepId, Taken, ValueId, ValueInfo,
};
use crate::spec::{Mark, OnItemError, Tolerance};
use crate::value::Value;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

mod ahead;
mod budgets;
mod cuts;
mod decided;
mod events;
mod examples;
mod gates;
mod inner_events;
mod killed;
mod publishing;
mod retry_after;
mod revisit;
mod revoked;
mod rounds;
pub(crate) mod states;
mod unavailable;
mod undoing;
mod worlds;

/// Simulated worlds a test run; `ORDERFLOW_SEEDS` asks for more.
fn seeds(default: u64) -> std::ops::Range<u64> {
    0..std::env::var("ORDERFLOW_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(default)
}

fn simulate(seed: u64) -> (Arc<Graph>, Policy, World, Vec<Event>, Run) {
    let graph = Arc::new(random_graph(seed));
    let policy = random_policy(seed);
    let mut run = Run::new(graph.clone(), policy.clone());
    run.set_sinks(sinks(seed));
    let mut world = World::new(seed, graph.clone());
    let events = world.live(&mut run, &mut Out::default());
    (graph, policy, world, events, run)
}

/// The run of a simulated world as it was after these events.
fn folded(seed: u64, graph: &Arc<Graph>, policy: &Policy, seen: &[Event]) -> Run {
    let mut run = Run::new(graph.clone(), policy.clone());
    run.set_sinks(sinks(seed));
    seen.iter().for_each(|event| run.recall(event).unwrap());
    run
}

/// Goes on after these events, in which those of the retried items that are not yet so are so now.
fn go_on(
    seed: u64,
    (graph, policy): (&Arc<Graph>, &Policy),
    seen: &[Event],
    retried: &[ItemId],
) -> (Vec<Event>, Run) {
    let (events, run, _) = go_on_in(&World::new(seed, graph.clone()), (graph, policy), seen, retried);
    (events, run)
}

/// The same in a world that knows what was asked for before.
fn go_on_in(
    world: &World,
    (graph, policy): (&Arc<Graph>, &Policy),
    seen: &[Event],
    retried: &[ItemId],
) -> (Vec<Event>, Run, World) {
    let again = |event: &Event| matches!(&event.kind, EventKind::Item(_, ItemEvent::Retried { .. }));
    let already = seen.iter().filter(|event| again(event)).count();
    let (mut retries, ahead) = (Retries::default(), &retried[already..]);
    seen.iter().for_each(|event| retries.see(event));
    ahead.iter().for_each(|item| retries.add(*item));
    let mut run = Run::new(graph.clone(), policy.clone());
    run.set_sinks(sinks(world.seed()));
    for event in seen {
        run.recall_past(event, &mut retries).unwrap();
    }
    let mut world = world.after_crash(seen);
    let mut out = Out::default();
    let ahead: Vec<RetryRequest> = ahead.iter().map(|item| RetryRequest::of(*item)).collect();
    run.resume(&ahead, world.now, &mut out);
    (world.live(&mut run, &mut out), run, world)
}

fn policy() -> Policy {
    Policy { limits: Limits::jobs(10), tolerate: Tolerance::Count(0), on_item_error: OnItemError::Continue }
}

/// A hand-driven run over one item.
struct Hand {
    run: Run,
    out: Out,
    now: Millis,
}

impl Hand {
    fn new(graph: Graph) -> Self {
        let mut hand = Hand { run: Run::new(Arc::new(graph), policy()), out: Out::default(), now: 0 };
        hand.give(EngineInput::Admit { key: "k".into(), inputs: Vec::new() });
        hand
    }

    fn give(&mut self, input: EngineInput) {
        self.now += 1;
        self.run.handle(input, self.now, &mut self.out);
    }

    fn answer(&mut self, step: u32, result: Result<Value, &str>) {
        self.answer_as(ItemId(0), StepId(step).into(), result);
    }

    fn answer_as(&mut self, item: ItemId, path: StepPath, result: Result<Value, &str>) {
        let step = path.step.0;
        let attempt = self.last(item, path);
        let result = match result {
            Ok(value) => Ok(Reply { outputs: vec![(ValueId(step), Arc::new(value))], ..Reply::default() }),
            Err(message) => {
                Err(Box::new(Failure::new(Cause::Exit(1), message.into(), Outcome::Unknown, false)))
            }
        };
        self.give(EngineInput::Finished { item, step: path, attempt, result });
    }

    fn last(&self, item: ItemId, path: StepPath) -> u32 {
        let attempt = |event: &Event| match &event.kind {
            EventKind::Attempt(of, step, attempt, AttemptEvent::Started) if (*of, *step) == (item, path) => {
                Some(*attempt)
            }
            _ => None,
        };
        self.out.events.iter().rev().find_map(attempt).unwrap_or(0)
    }

    /// What a step was last given.
    fn inputs(&self, item: ItemId, path: StepPath) -> Vec<(u32, Value)> {
        let of = |effect: &Effect| match effect {
            Effect::Call(call) if (call.item, call.step) == (item, path) => {
                Some(call.inputs.iter().map(|(id, value)| (id.0, (**value).clone())).collect())
            }
            _ => None,
        };
        self.out.effects.iter().rev().find_map(of).unwrap_or_default()
    }

    /// The number of the step's last attempt.
    fn starts(&self, id: u32) -> u32 {
        self.last(ItemId(0), StepId(id).into())
    }

    fn state(&self) -> Option<ItemState> {
        self.out.events.iter().find_map(|event| match &event.kind {
            EventKind::Item(_, ItemEvent::Settled { end: Settlement { state, .. }, .. }) => Some(*state),
            _ => None,
        })
    }
}

/// A list-maker, a step for each element of its list, and one that takes what they made.
fn spread() -> Graph {
    let mut steps = vec![step("A", &[], None), step("B", &[(0, true)], None), step("C", &[(1, true)], None)];
    steps[1].inputs[0].role = Role::List;
    let element = ValueId(3);
    steps[1].inputs.push(Takes {
        value: element,
        optional: false,
        role: Role::Given,
        feedback: None,
        makers: Vec::new(),
    });
    steps[1].each = Some(Each { element, list: ValueId(0) });
    let mut graph = graph(steps);
    graph.values.push(ValueInfo { name: "element".into(), ty: None, adopted: false });
    graph
}
