//! The items of a run: the state of each, and the steps of those in flight.

use crate::diag::render::visible;
use crate::event::{
    AttemptEvent, Event, EventKind, Execution, GateId, ItemError, ItemEvent, ItemId, ItemState, RunEvent,
    Settlement, StepEvent, StepId, StepPath,
};
use crate::graph::Graph;
use crate::spec::Mark;
use crate::value::Value;
use crate::view::happening::error_json;
use crate::view::table::table;
use crate::view::{count, execution};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The most settled items that a table shows: of successful ones, and of others.
const SHOWN: usize = 50;

/// The name of the steps that run once, shown like an item, as in traces.
const RUN: &str = "run";

/// Follows items through events. Stores those in flight, and as many others as a table shows.
pub struct ItemTable<'a> {
    graph: &'a Graph,
    /// Whether a runner holds the run's lock.
    held: bool,
    open: BTreeMap<ItemId, ShownItem>,
    succeeded: Vec<ShownItem>,
    others: Vec<ShownItem>,
    more: u64,
}

/// An item, in flight or settled.
#[derive(Clone, Debug)]
pub struct ShownItem {
    id: ItemId,
    key: Arc<str>,
    /// `None` while it is in flight.
    state: Option<ItemState>,
    error: Option<ItemError>,
    /// Why its effects are not compensated.
    uncompensated: Vec<ItemError>,
    /// Its running executions, in the order in which they began.
    steps: BTreeMap<u64, (StepPath, u32, Doing)>,
    /// The index of each of them.
    places: HashMap<StepPath, u64>,
    next: u64,
    /// The gates at which it waits.
    gates: BTreeSet<GateId>,
    /// The steps that wait for an event.
    awaits: BTreeSet<StepId>,
}

/// The state of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Running,
    /// Its runner has exited; the attempt is repeated when the run resumes.
    Interrupted,
    /// The next attempt waits for its time.
    Waiting,
    /// Its document waits for people or events.
    WaitsInside,
}

impl Doing {
    fn name(self) -> &'static str {
        match self {
            Doing::Running => "running",
            Doing::Interrupted => "interrupted",
            Doing::Waiting | Doing::WaitsInside => "waiting",
        }
    }
}

impl<'a> ItemTable<'a> {
    pub fn new(graph: &'a Graph, held: bool) -> Self {
        ItemTable { graph, held, open: BTreeMap::new(), succeeded: Vec::new(), others: Vec::new(), more: 0 }
    }

    /// Processes an event; returns the item if it is now settled.
    pub fn see(&mut self, event: &Event) -> Option<ShownItem> {
        match &event.kind {
            EventKind::Run(RunEvent::StepsBegan) => self.begin(ItemId::RUN, RUN.into()),
            EventKind::Run(RunEvent::StepsEnded(end)) => return self.settle(ItemId::RUN, end),
            EventKind::Item(item, change) => match change {
                ItemEvent::Admitted { key, .. }
                | ItemEvent::Retried { key, .. }
                | ItemEvent::Resolved { key, .. }
                | ItemEvent::Revoked { key } => self.begin(*item, key.clone()),
                ItemEvent::Settled { end, .. } => return self.settle(*item, end),
                ItemEvent::Requeued => {
                    if let Some(known) = self.open.get_mut(item) {
                        known.error = None;
                        known.gates.clear();
                        known.awaits.clear();
                    }
                }
                ItemEvent::GateReached { gate, .. } => self.wait(*item, *gate, true),
                ItemEvent::Decided { gate, .. } | ItemEvent::GateExpired(gate) => {
                    self.wait(*item, *gate, false);
                }
                ItemEvent::RoundBegan { .. }
                | ItemEvent::RoundScheduled { .. }
                | ItemEvent::RepeatEnded(_) => {}
                ItemEvent::DeadlinePassed { .. } | ItemEvent::CompensationBegan(_) | ItemEvent::Failed => {
                    if let Some(known) = self.open.get_mut(item) {
                        known.gates.clear();
                        known.awaits.clear();
                    }
                }
            },
            EventKind::Step(item, change) => match change {
                StepEvent::Ended(execution) => {
                    self.await_event(*item, execution.step, false);
                    self.ended(*item, execution);
                }
                StepEvent::AwaitBegan { step, .. } => self.await_event(*item, *step, true),
                StepEvent::EventTaken { step, .. } | StepEvent::AwaitExpired(step) => {
                    self.await_event(*item, *step, false);
                }
                StepEvent::ConditionHeld(_) | StepEvent::BranchTaken { .. } | StepEvent::ElementsEnded(_) => {
                }
            },
            EventKind::Attempt(item, step, attempt, change) => match change {
                AttemptEvent::Started => {
                    let doing = if self.held { Doing::Running } else { Doing::Interrupted };
                    self.at(*item, *step, Some((*attempt, doing)));
                }
                AttemptEvent::RetryScheduled { .. } => {
                    self.at(*item, *step, Some((*attempt, Doing::Waiting)));
                }
                AttemptEvent::Finished(_) => self.at(*item, *step, None),
                AttemptEvent::Waits | AttemptEvent::Awaits => {
                    self.at(*item, *step, Some((*attempt, Doing::WaitsInside)));
                }
                AttemptEvent::Continues => {
                    let doing = if self.held { Doing::Running } else { Doing::Interrupted };
                    self.continues(*item, *step, doing);
                }
                AttemptEvent::Stopped(_) | AttemptEvent::Repeated | AttemptEvent::RetryDue => {}
            },
            EventKind::Run(_) => {}
        }
        None
    }

    /// The gates at which items in flight wait.
    pub fn gates(&self) -> BTreeSet<GateId> {
        self.open.values().flat_map(|item| item.gates.iter().copied()).collect()
    }

    /// Items in flight, by admission.
    pub fn open(&self) -> impl Iterator<Item = &ShownItem> {
        self.open.values()
    }

    /// Stores a settled item for the table.
    pub fn keep(&mut self, item: ShownItem) {
        let list =
            if item.state == Some(ItemState::Succeeded) { &mut self.succeeded } else { &mut self.others };
        if list.len() < SHOWN {
            list.push(item);
        } else {
            self.more += 1;
        }
    }

    /// The table, by admission, for a terminal of this width in columns.
    pub fn draw(&self, width: Option<usize>) -> String {
        let mut items: Vec<&ShownItem> =
            self.succeeded.iter().chain(&self.others).chain(self.open.values()).collect();
        items.sort_by_key(|item| item.id);
        let header = ["item", "state", "at", "error"];
        let mut out = table(&header, items.iter().map(|item| item.cells(self.graph)), width);
        if self.more > 0 {
            out.push_str(&format!("… {} more; --format json has them all\n", count(self.more)));
        }
        out
    }

    fn begin(&mut self, id: ItemId, key: Arc<str>) {
        let (uncompensated, steps, places, gates, awaits) = Default::default();
        let (state, error, next) = (None, None, 0);
        let item = ShownItem { id, key, state, error, uncompensated, steps, places, next, gates, awaits };
        self.open.insert(id, item);
    }

    fn wait(&mut self, item: ItemId, gate: GateId, waits: bool) {
        if let Some(known) = self.open.get_mut(&item) {
            match waits {
                true => drop(known.gates.insert(gate)),
                false => drop(known.gates.remove(&gate)),
            }
        }
    }

    fn await_event(&mut self, item: ItemId, step: StepId, waits: bool) {
        if let Some(known) = self.open.get_mut(&item) {
            match waits {
                true => drop(known.awaits.insert(step)),
                false => drop(known.awaits.remove(&step)),
            }
        }
    }

    fn at(&mut self, item: ItemId, step: StepPath, now: Option<(u32, Doing)>) {
        let Some(known) = self.open.get_mut(&item) else { return };
        if let Some(place) = known.places.remove(&step) {
            known.steps.remove(&place);
        }
        if let Some((attempt, doing)) = now {
            known.places.insert(step, known.next);
            known.steps.insert(known.next, (step, attempt, doing));
            known.next += 1;
        }
    }

    /// An attempt whose document has waited continues.
    fn continues(&mut self, item: ItemId, step: StepPath, now: Doing) {
        let Some(known) = self.open.get_mut(&item) else { return };
        let place = known.places.get(&step).and_then(|place| known.steps.get_mut(place));
        if let Some((_, _, doing @ Doing::WaitsInside)) = place {
            *doing = now;
        }
    }

    fn ended(&mut self, item: ItemId, execution: &Execution) {
        self.at(item, execution.path(), None);
        let Some(known) = self.open.get_mut(&item) else { return };
        let minded = self.graph.step(execution.step).mark != Some(Mark::Optional);
        if execution.status.is_failure() && minded && known.error.is_none() {
            known.error = Some(ItemError {
                step: Some(execution.step),
                message: execution.error.clone().unwrap_or_default(),
                code: execution.code.clone(),
                attempts: execution.attempt.unwrap_or(0),
            });
        }
    }

    fn settle(&mut self, item: ItemId, end: &Settlement) -> Option<ShownItem> {
        let known = self.open.remove(&item)?;
        let Settlement { state, error, uncompensated, .. } = end.clone();
        let (steps, places) = Default::default();
        Some(ShownItem { state: Some(state), error, uncompensated, steps, places, ..known })
    }
}

impl ShownItem {
    /// `{item, state, steps: [{step, phase, element, attempt, state}], error: {step, phase, message, code, attempts},
    /// uncompensated: [error]}`.
    pub fn json(&self, graph: &Graph) -> Value {
        let steps = self.steps.values().map(|(path, attempt, doing)| {
            let step = graph.step(path.step);
            json!({
                "step": step.title,
                "phase": step.phase,
                "element": path.element,
                "attempt": attempt,
                "state": doing.name(),
            })
        });
        json!({
            "item": &*self.key,
            "state": self.state.map_or("in_flight", ItemState::name),
            "steps": steps.collect::<Vec<_>>(),
            "waits": self.waits(graph).collect::<Vec<_>>(),
            "awaits": self.awaited(graph).collect::<Vec<_>>(),
            "error": self.error.as_ref().map(|error| error_json(error, graph)),
            "uncompensated": self.uncompensated.iter().map(|error| error_json(error, graph)).collect::<Vec<_>>(),
        })
    }

    /// What the gates at which it waits are before.
    fn waits<'a>(&'a self, graph: &'a Graph) -> impl Iterator<Item = String> + 'a {
        let gates = self.gates.iter().filter(|_| self.state.is_none());
        gates.filter_map(|gate| graph.gate(*gate).map(|gate| graph.gated(gate)))
    }

    /// The types of the events that it waits for.
    fn awaited<'a>(&'a self, graph: &'a Graph) -> impl Iterator<Item = &'a str> + 'a {
        let steps = self.awaits.iter().filter(|_| self.state.is_none());
        steps.filter_map(|step| graph.step(*step).awaits.as_ref().map(|awaits| &*awaits.event))
    }

    fn cells(&self, graph: &Graph) -> Vec<String> {
        let at = self.steps.values().map(|(path, attempt, doing)| {
            let title = execution(*path, graph);
            match doing {
                Doing::Running => format!("{title}, attempt {attempt}"),
                Doing::Interrupted => format!("{title}, attempt {attempt} was interrupted"),
                Doing::Waiting => format!("{title}, attempt {attempt} waits"),
                Doing::WaitsInside => format!("{title} waits in its document"),
            }
        });
        let waits = self.waits(graph).map(|title| format!("the gate of {}", visible(&title)));
        let awaits = self.awaited(graph).map(|event| format!("waits for {}", visible(event)));
        let at: Vec<String> = at.chain(waits).chain(awaits).collect();
        let uncompensated =
            self.uncompensated.iter().map(|error| format!("not compensated: {}", error_text(error, graph)));
        let errors = self.error.iter().map(|error| error_text(error, graph)).chain(uncompensated);
        let errors: Vec<String> = errors.collect();
        vec![
            visible(&self.key),
            self.state.map_or("in flight", ItemState::name).to_owned(),
            at.join("; "),
            errors.join("; "),
        ]
    }
}

/// `Process Payment: card declined`.
pub fn error_text(error: &ItemError, graph: &Graph) -> String {
    let step = error.step.map(|step| format!("{}: ", visible(&graph.step(step).title)));
    step.unwrap_or_default() + &visible(&error.message)
}
