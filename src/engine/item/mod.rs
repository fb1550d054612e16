//! One item on its way through the graph: its values, and the queries of the run. `apply` changes it, `next` computes
//! its next event, `call` its calls and timers. Knows neither the other items nor the limits.

mod ahead;
mod apply;
mod awaits;
mod budget;
mod call;
mod compensate;
mod decide;
mod effects;
mod elements;
mod fits;
mod gates;
mod next;
mod not_run;
mod queue;
mod refuse;
mod retraced;
mod retry;
mod rounds;
mod state;
mod steps;

pub use compensate::Compensations;
pub use decide::Obstacle;
pub use effects::{OpenEffect, next_compensated};
pub use retraced::{Refusal, Retraced};
pub use state::is_failed;

use crate::event::{ItemError, ItemId, Millis, StepPath, StopReason, Values};
use crate::graph::{Graph, Kind, StateId, Step, StepId, ValueId};
use crate::value::Value;
use awaits::Awaits;
use budget::Spendings;
use effects::Effects;
use gates::Gates;
use rounds::Rounds;
use state::{End, StepState};
use std::collections::BTreeMap;
use std::sync::Arc;
use steps::Steps;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Forward,
    /// Forward work has ended and failed or was cancelled: its effects are compensated.
    Compensating,
    /// Compensation has ended: failure handlers run.
    Handling,
}

/// Steps that became ready, and steps that left the ready ones without being started; to be processed in this order.
#[derive(Debug, Default)]
pub(super) struct Moves {
    pub ready: Vec<StepPath>,
    pub withdrawn: Vec<StepPath>,
}

#[derive(Debug)]
pub(super) struct Item {
    id: ItemId,
    key: Arc<str>,
    /// When it was admitted or last requeued: its deadline counts from here.
    since: Millis,
    stage: Stage,
    /// Of the steps for all items, only those run that run always: the run failed or was stopped before them.
    only_always: bool,
    steps: Steps,
    /// By step that runs for each element of a list, once it runs.
    elements: BTreeMap<StepId, Elements>,
    /// When the first step of each group with a deadline began.
    groups: BTreeMap<usize, Millis>,
    values: Vec<Option<Arc<Value>>>,
    /// Chains that are decided, with the arm that was taken.
    taken: Vec<(StepId, u32, Option<u32>)>,
    /// Its state in the document's diagram.
    lifecycle: Option<StateId>,
    /// The first failure of a step that is not optional: it decides the item's end.
    error: Option<ItemError>,
    /// No further step starts.
    stop: Option<StopReason>,
    /// The stop of the run that ended the forward work, during compensation.
    cancelled: Option<StopReason>,
    effects: Effects,
    gates: Gates,
    awaits: Awaits,
    rounds: Rounds,
    /// How often each step restarted, after its compensation or with other inputs; steps that never did are absent.
    visits: BTreeMap<StepId, u32>,
    /// The inputs with which it restarts, once its effects are compensated.
    new_inputs: Option<Values>,
    requeues: u32,
    retries: u32,
    /// On all visits.
    spent: Spendings,
}

/// The inputs and outputs of a step that runs for each element of a list.
#[derive(Debug)]
struct Elements {
    pub list: Arc<Value>,
    pub outputs: Vec<Values>,
}

impl Elements {
    /// The elements of a list, without outputs.
    pub fn of(list: Arc<Value>) -> Self {
        let count = list.as_array().map_or(0, Vec::len);
        Elements { list, outputs: vec![Values::new(); count] }
    }

    pub fn count(&self) -> u32 {
        self.outputs.len() as u32
    }

    pub fn value(&self, element: u32) -> Option<&Value> {
        self.list.as_array()?.get(element as usize)
    }
}

impl Item {
    pub fn new(graph: &Graph, id: ItemId, key: Arc<str>, inputs: &Values, at: Millis) -> Self {
        let once = id == ItemId::RUN;
        let is_called = |step: &Step| {
            let is_given = |id: ValueId| inputs.iter().any(|(known, _)| *known == id);
            once && step.inputs.iter().all(|input| input.optional || is_given(input.value))
        };
        let mut steps = Steps::new(graph.steps.len());
        for id in graph.ids() {
            let step = graph.step(id);
            let waits = match step.kind {
                Kind::Forward => true,
                Kind::Handler => is_called(step),
                Kind::Compensation => false,
            };
            if waits && step.once == once {
                let own = step.needs.iter().filter(|need| graph.step(need.step).once == once);
                steps.set(id.into(), StepState::Waiting { missing: own.count() as u32 });
            }
        }
        let mut values = vec![None; graph.values.len()];
        for (id, value) in inputs {
            if let Some(known) = values.get_mut(id.index()) {
                *known = Some(value.clone());
            }
        }
        Item {
            id,
            key,
            since: at,
            stage: Stage::Forward,
            only_always: false,
            steps,
            elements: BTreeMap::new(),
            groups: BTreeMap::new(),
            values,
            taken: Vec::new(),
            lifecycle: graph.initial,
            error: None,
            stop: None,
            cancelled: None,
            effects: Effects::default(),
            gates: Gates::default(),
            awaits: Awaits::default(),
            rounds: Rounds::default(),
            visits: BTreeMap::new(),
            new_inputs: None,
            requeues: 0,
            retries: 0,
            spent: Spendings::default(),
        }
    }

    /// The steps for all items of a run that failed or was stopped before them: only those that run always.
    pub fn begin_always(&mut self, graph: &Graph) {
        self.only_always = true;
        for id in graph.ids().filter(|id| !graph.step(*id).always) {
            if matches!(self.state(id), StepState::Waiting { .. }) {
                self.set(id, StepState::Ended(End::Blocked));
            }
        }
        self.release_always(graph);
    }

    /// Whether of the steps for all items only those run that run always.
    pub fn is_only_always(&self) -> bool {
        self.only_always
    }

    /// Makes the steps without needs ready.
    pub fn begin(&mut self, graph: &Graph) {
        for id in graph.ids() {
            if matches!(self.state(id), StepState::Waiting { missing: 0 }) {
                self.arrive(graph, id);
            }
        }
    }

    fn make_ready(&mut self, graph: &Graph, id: StepId) {
        let step = graph.step(id);
        match self.effects.compensating {
            Some(undoes) if step.kind == Kind::Compensation && graph.step(undoes.0).each.is_some() => {
                self.spread_compensation(undoes, id);
            }
            _ if step.each.is_some() => self.spread(graph, id),
            _ => self.steps.make_ready(id.into()),
        }
    }

    /// Whether these are the steps that run once for all items.
    fn is_run(&self) -> bool {
        self.id == ItemId::RUN
    }

    /// Whether a step belongs to this item; of other steps, a run step sees the outputs for all items.
    fn is_own(&self, graph: &Graph, id: StepId) -> bool {
        graph.step(id).once == self.is_run()
    }

    /// The failure handlers that are called for this item.
    fn handlers<'a>(&self, graph: &'a Graph) -> impl Iterator<Item = StepId> + use<'a> {
        let none = self.is_run();
        graph.handlers().filter(move |id| !none && !graph.step(*id).once)
    }

    fn state(&self, path: impl Into<StepPath>) -> &StepState {
        self.steps.state(path.into())
    }

    /// How a step ended, if it has.
    fn end(&self, id: StepId) -> Option<End> {
        self.state(id).end()
    }

    fn has_succeeded(&self, id: StepId) -> bool {
        self.end(id) == Some(End::Succeeded)
    }

    /// Sets the state of an execution; the only place that does.
    fn set(&mut self, path: impl Into<StepPath>, state: StepState) {
        self.steps.set(path.into(), state);
    }

    /// The changes for the queue of ready steps.
    pub fn moves(&mut self) -> &mut Moves {
        &mut self.steps.moves
    }

    #[cfg(test)]
    pub fn recount(&self) {
        self.steps.recount();
    }

    /// Its current state; `None` without a diagram, and if a part of a workflow does not define its initial state.
    pub fn lifecycle(&self) -> Option<StateId> {
        self.lifecycle
    }

    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Whether its effects are being compensated.
    pub fn is_compensating(&self) -> bool {
        self.stage == Stage::Compensating
    }

    /// Whether a running attempt continues although the run is cancelled.
    pub fn outlasts_cancel(&self, graph: &Graph, path: StepPath) -> bool {
        self.is_compensating() || graph.step(path.step).always
    }

    pub fn is_ready(&self, step: StepPath) -> bool {
        self.state(step).is_ready()
    }

    /// The executions that can start as soon as the limits allow.
    pub fn ready(&self) -> Vec<StepPath> {
        self.steps.pending().filter(|path| self.is_ready(*path)).collect()
    }

    /// Running attempts, with their numbers.
    pub fn running(&self) -> impl Iterator<Item = (StepPath, u32)> + '_ {
        self.steps.running().filter_map(|path| match self.state(path) {
            StepState::Running { attempts, .. } => Some((path, attempts.number)),
            _ => None,
        })
    }

    /// The number of the attempt that would start now.
    pub fn attempt(&self, step: StepPath) -> u32 {
        match self.state(step) {
            StepState::Ready(attempts) => attempts.number.saturating_add(1),
            _ => 0,
        }
    }

    pub fn is_running(&self, step: StepPath, number: u32) -> bool {
        matches!(self.state(step), StepState::Running { attempts, .. } if attempts.number == number)
    }

    /// Whether an execution cannot start yet, or at all.
    pub fn awaits(&self, step: StepPath) -> bool {
        matches!(self.state(step), StepState::Waiting { .. } | StepState::Idle)
    }

    pub fn is_stopping(&self, step: StepPath) -> bool {
        matches!(self.state(step), StepState::Running { stop: Some(_), .. })
    }

    pub fn awaits_retry(&self, step: StepPath, number: u32) -> bool {
        matches!(self.state(step), StepState::Backoff { attempts, .. } if attempts.number + 1 == number)
    }

    /// Whether a value counts as made: it is a workflow input, or a step that makes it succeeded; `with` has, too.
    pub fn has_made(&self, graph: &Graph, value: ValueId, with: Option<StepId>) -> bool {
        let makes = |id: &StepId| graph.step(*id).makes(value);
        let makers: Vec<StepId> = graph.ids().filter(makes).collect();
        with.is_some_and(|with| makers.contains(&with)) || self.is_made(graph, makers.iter())
    }

    pub fn value(&self, id: ValueId) -> Option<&Arc<Value>> {
        self.values.get(id.index())?.as_ref()
    }
}

/// Whether a stop does not concern a step: it runs always.
fn is_unstoppable(graph: &Graph, id: StepId, why: StopReason) -> bool {
    graph.step(id).always && why != StopReason::Interrupted
}

/// Whether a stop concerns only this item.
fn is_own(why: StopReason) -> bool {
    match why {
        StopReason::Timeout
        | StopReason::StepDeadline
        | StopReason::GroupDeadline
        | StopReason::ItemDeadline
        | StopReason::Critical => true,
        StopReason::ItemError
        | StopReason::RunDeadline
        | StopReason::Interrupted
        | StopReason::Cancelled
        | StopReason::Revoked
        | StopReason::Outer(_) => false,
    }
}
