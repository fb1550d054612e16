//! One item on its way through the graph. Its states stand here; `apply` is the only thing that changes them,
//! `next` reads them and says what must happen next, `call` says what the outside must know. Knows nothing of
//! other items or of limits.

mod apply;
mod branch;
mod call;
mod next;

use super::step::{Attempts, StepState};
use crate::event::{ItemError, ItemId, Millis, StopReason, Values};
use crate::graph::{Graph, Kind, StepId, ValueId};
use crate::value::Value;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Forward,
    /// Forward work is settled and failed; failure handlers run.
    Handling,
}

/// Steps that joined the ready ones, and steps that left them without being started; in this order.
#[derive(Debug, Default)]
pub(super) struct Moves {
    pub ready: Vec<StepId>,
    pub withdrawn: Vec<StepId>,
}

#[derive(Debug)]
pub(super) struct Item {
    id: ItemId,
    key: Arc<str>,
    /// When it was admitted or last put back: its deadline counts from here.
    since: Millis,
    stage: Stage,
    steps: Vec<StepState>,
    /// The number of each step's last attempt.
    numbers: Vec<u32>,
    values: Vec<Option<Arc<Value>>>,
    /// Steps of this stage that have not ended.
    open: u32,
    /// Steps whose answer is not dealt with yet.
    answered: Vec<StepId>,
    /// Steps whose conditions are not decided yet.
    deciding: Vec<StepId>,
    /// Chains that are decided, with the arm that was taken.
    taken: Vec<(StepId, u32, Option<u32>)>,
    /// The failure that decides the item's fate: the first that is not optional.
    error: Option<ItemError>,
    /// No step starts any more.
    stop: Option<StopReason>,
    put_backs: u32,
}

impl Item {
    pub fn new(graph: &Graph, id: ItemId, key: Arc<str>, inputs: &Values, at: Millis) -> Self {
        let waiting = |step: &crate::graph::Step| match step.kind {
            Kind::Forward => StepState::Waiting { missing: step.needs.len() as u32 },
            Kind::Handler | Kind::Compensation => StepState::Idle,
        };
        let mut values = vec![None; graph.values.len()];
        for (id, value) in inputs {
            values[id.index()] = Some(value.clone());
        }
        Item {
            id,
            key,
            since: at,
            stage: Stage::Forward,
            steps: graph.steps.iter().map(waiting).collect(),
            numbers: vec![0; graph.steps.len()],
            values,
            open: graph.order.len() as u32,
            answered: Vec::new(),
            deciding: Vec::new(),
            taken: Vec::new(),
            error: None,
            stop: None,
            put_backs: 0,
        }
    }

    /// Steps without needs, ready from the start.
    pub fn begin(&mut self, graph: &Graph, moves: &mut Moves) {
        for &id in &graph.order {
            if graph.step(id).needs.is_empty() {
                self.arrive(graph, id, moves);
            }
        }
    }

    fn make_ready(&mut self, id: StepId, moves: &mut Moves) {
        let number = self.numbers[id.index()];
        self.steps[id.index()] = StepState::Ready(Attempts { number, ..Attempts::default() });
        moves.ready.push(id);
    }

    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    pub fn is_ready(&self, step: StepId) -> bool {
        matches!(self.steps[step.index()], StepState::Ready(_))
    }

    /// The number of the attempt that would start now.
    pub fn attempt(&self, step: StepId) -> u32 {
        match &self.steps[step.index()] {
            StepState::Ready(attempts) => attempts.number + 1,
            _ => 0,
        }
    }

    pub fn is_running(&self, step: StepId, number: u32) -> bool {
        matches!(&self.steps[step.index()], StepState::Running { attempts, .. } if attempts.number == number)
    }

    pub fn is_told_to_stop(&self, step: StepId) -> bool {
        matches!(self.steps[step.index()], StepState::Running { stop: Some(_), .. })
    }

    pub fn awaits_retry(&self, step: StepId, number: u32) -> bool {
        matches!(&self.steps[step.index()], StepState::Backoff { attempts, .. } if attempts.number + 1 == number)
    }

    fn value(&self, id: ValueId) -> Option<&Arc<Value>> {
        self.values[id.index()].as_ref()
    }
}

/// Whether a stop concerns this item alone.
fn is_own(why: StopReason) -> bool {
    match why {
        StopReason::Timeout | StopReason::StepDeadline | StopReason::ItemDeadline | StopReason::Critical => {
            true
        }
        StopReason::ItemError | StopReason::RunDeadline | StopReason::Interrupted => false,
    }
}
