//! The gates of an item: where it waits for a person, what was decided, and the time that does not count meanwhile.
//! Does not know who is asked, or how.

use super::super::backoff::millis;
use super::super::unavailable::Bounds;
use super::super::{Ask, Effect, Timer};
use super::Item;
use super::rounds::is_gate_in;
use super::state::StepState;
use crate::event::{
    Decision, Event, Execution, GATE_COLUMNS, GATE_TIMEOUT, GateId, ItemEvent, Millis, Status, StepEvent,
    StepId, StepPath, UnixMillis, Values, WaitsFor,
};
use crate::graph::{GateOf, Graph, Repeat, ValueId};
use crate::value::{Value, in_conditions, words};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The gates that an item has reached, and its deadlines that are paused meanwhile.
#[derive(Debug, Default)]
pub(super) struct Gates {
    reached: BTreeMap<GateId, Reached>,
    /// When the last decision that it had at a gate was made. What was decided about all items before counts for it once:
    /// a new visit, and another round, ask again.
    used: BTreeMap<GateId, UnixMillis>,
    /// The deadlines that are paused, by group; `None` is the item's own.
    stopped: BTreeMap<Option<usize>, Standstill>,
    /// Deadlines have moved: their timers are to be set again.
    moved: bool,
}

#[derive(Debug)]
struct Reached {
    since: UnixMillis,
    outcome: Option<GateOutcome>,
}

#[derive(Debug)]
enum GateOutcome {
    Decided(Decision),
    Expired,
}

/// A deadline that is paused while the item waits at so many gates and for so many events.
#[derive(Debug)]
struct Standstill {
    waits: u32,
    since: Millis,
}

impl Reached {
    fn is_open(&self) -> bool {
        matches!(&self.outcome, Some(GateOutcome::Decided(decision)) if decision.approved)
    }

    fn waits(&self) -> bool {
        self.outcome.is_none()
    }
}

impl Item {
    /// A step whose conditions hold goes through its gates, as far as they are open.
    pub(super) fn pass(&mut self, graph: &Graph, id: StepId) {
        let shut = |gate: &&GateId| !self.gates.reached.get(gate).is_some_and(Reached::is_open);
        match graph.step(id).gates.iter().find(shut) {
            Some(gate) => self.set(id, StepState::Gated(*gate)),
            None => self.await_event(graph, id),
        }
    }

    /// The event that follows for the steps that are at a gate, unless they wait for a person.
    pub(super) fn next_at_gates(&self, graph: &Graph, bounds: &Bounds, now: Millis) -> Option<Event> {
        self.steps.gated().iter().find_map(|path| {
            let StepState::Gated(gate) = self.state(*path) else { return None };
            let standing = || self.standing(graph, bounds, *gate).cloned();
            match self.gates.reached.get(gate) {
                None => {
                    let question = self.question(graph, *gate);
                    let since = bounds.clock.saturating_add(now);
                    Some(ItemEvent::GateReached { gate: *gate, question, since }.of(self.id, now))
                }
                Some(reached) if reached.waits() => {
                    standing().map(|decision| ItemEvent::Decided { gate: *gate, decision }.of(self.id, now))
                }
                Some(reached) => Some(self.refused_at(graph, path.step, reached, now)),
            }
        })
    }

    /// Whether a decision of this time is later than the one that the item had at the gate: an earlier one, put into the
    /// inbox a second time, does not count on a new visit or in another round.
    pub fn is_new_at(&self, gate: GateId, at: UnixMillis) -> bool {
        self.gates.used.get(&gate).is_none_or(|used| *used < at)
    }

    /// What was decided about all items and counts at a gate of this one.
    pub fn standing<'b>(&self, graph: &Graph, bounds: &'b Bounds, gate: GateId) -> Option<&'b Decision> {
        let standing = bounds.standing.get(&gate).filter(|decision| self.is_new_at(gate, decision.at));
        standing.filter(|decision| !self.is_late(graph, gate, decision.at))
    }

    /// The end of a step whose gate was shut.
    fn refused_at(&self, graph: &Graph, id: StepId, reached: &Reached, at: Millis) -> Event {
        let (error, code) = match &reached.outcome {
            Some(GateOutcome::Decided(decision)) => (decision.said(), None),
            Some(GateOutcome::Expired) | None => {
                let gate = graph.step(id).gates.iter().find(|gate| !self.is_passed(**gate));
                let within = gate.and_then(|gate| graph.gate(*gate)?.within);
                let within = within.map(|time| format!(" within {}", words::duration(time)));
                let error = format!("no approval{}", within.unwrap_or_default());
                (error, Some(GATE_TIMEOUT.to_owned()))
            }
        };
        let row = self.row(graph, id.into(), Status::Failed, at);
        let execution = Execution { duration_ms: Some(0.0), error: Some(error), code, ..row };
        StepEvent::Ended(execution).of(self.id, at)
    }

    fn is_passed(&self, gate: GateId) -> bool {
        self.gates.reached.get(&gate).is_some_and(Reached::is_open)
    }

    /// Whether it waits at a gate for a person.
    pub fn waits_at(&self, gate: GateId) -> bool {
        self.gates.reached.get(&gate).is_some_and(Reached::waits)
            && self.steps.gated().iter().any(|path| self.is_at(*path, gate))
    }

    /// The gates at which it waits, each with the time since when.
    pub fn waiting(&self) -> impl Iterator<Item = (GateId, UnixMillis)> + '_ {
        let waits = |(gate, _): &(&GateId, &Reached)| self.waits_at(**gate);
        self.gates.reached.iter().filter(waits).map(|(gate, reached)| (*gate, reached.since))
    }

    /// Whether it waits at a gate, also in a document that a step runs.
    pub fn waits_for_people(&self) -> bool {
        let inside = |path: &StepPath| self.waits_inside(*path) == Some(WaitsFor::People);
        self.waiting().next().is_some() || self.steps.inside().iter().any(inside)
    }

    /// Whether only people can move it on.
    pub fn rests(&self) -> bool {
        self.steps.rests() && !self.rounds.pauses()
    }

    /// Whether a step is at a gate that it has not reached before, or that is shut.
    pub(super) fn arrives_at(&self, gate: GateId) -> bool {
        !self.gates.reached.contains_key(&gate)
            && self.steps.gated().iter().any(|path| self.is_at(*path, gate))
    }

    fn is_at(&self, path: StepPath, gate: GateId) -> bool {
        matches!(self.state(path), StepState::Gated(at) if *at == gate)
    }

    /// When the time to decide ends, in the run's time.
    fn gate_due(&self, graph: &Graph, bounds: &Bounds, gate: GateId) -> Option<Millis> {
        let reached = self.gates.reached.get(&gate)?;
        let until = reached.since.saturating_add(millis(graph.gate(gate)?.within?));
        Some(until.saturating_sub(bounds.clock))
    }

    /// Whether a decision at this time of the clock is too late.
    pub fn is_late(&self, graph: &Graph, gate: GateId, at: UnixMillis) -> bool {
        let since = self.gates.reached.get(&gate).map(|reached| reached.since);
        let within = graph.gate(gate).and_then(|gate| gate.within);
        since.zip(within).is_some_and(|(since, within)| since.saturating_add(millis(within)) <= at)
    }

    /// Whether the time to decide has passed.
    pub fn is_expired(&self, graph: &Graph, bounds: &Bounds, gate: GateId, now: Millis) -> bool {
        self.waits_at(gate) && self.gate_due(graph, bounds, gate).is_some_and(|due| due <= now)
    }

    /// The timer and the question of a gate at which it waits.
    pub fn at_gate(&self, graph: &Graph, bounds: &Bounds, gate: GateId, again: bool) -> Vec<Effect> {
        let Some(reached) = self.gates.reached.get(&gate) else { return Vec::new() };
        let timer = |due| Effect::Timer { due, timer: Timer::Gate { item: self.id, gate } };
        let timer = self.gate_due(graph, bounds, gate).map(timer);
        let ask = Ask {
            item: self.id,
            key: self.key.clone(),
            gate,
            question: self.question(graph, gate),
            inputs: self.shown(graph, gate),
            since: reached.since,
            again,
        };
        timer.into_iter().chain([Effect::Ask(ask)]).collect()
    }

    /// What a gate asks, with its values; as it is written if one of them is missing.
    fn question(&self, graph: &Graph, gate: GateId) -> String {
        let Some(gate) = graph.gate(gate) else { return String::new() };
        let value = |name: &str| {
            let named = |(_, info): &(u32, &crate::graph::ValueInfo)| in_conditions(&info.name) == name;
            let (id, _) = (0..).zip(&graph.values).find(named)?;
            self.value(ValueId(id)).map(|value| &**value)
        };
        let question = gate.question.filled(&value).unwrap_or_else(|_| gate.question.text());
        match self.round_of_gate(graph, gate.of) {
            Some(round) => format!("{} ({round})", question.trim_end()),
            None => question,
        }
    }

    /// The values that the person who decides sees.
    fn shown(&self, graph: &Graph, gate: GateId) -> Values {
        match graph.gate(gate).map(|gate| gate.of) {
            Some(GateOf::Step(step)) => self.inputs(graph, step.into()),
            _ => {
                let present = |id: &ValueId| Some((*id, self.value(*id)?.clone()));
                graph.inputs.iter().filter_map(present).collect()
            }
        }
    }

    /// It waits at a gate from now on: its deadlines, and those of the groups around the gate, are paused.
    pub(super) fn reach(&mut self, graph: &Graph, gate: GateId, since: UnixMillis, at: Millis) {
        self.gates.reached.insert(gate, Reached { since, outcome: None });
        self.stand_still(clocks(graph, gate), at);
    }

    /// These deadlines are paused; `None` is the item's own.
    pub(super) fn stand_still(&mut self, clocks: Vec<Option<usize>>, at: Millis) {
        for clock in clocks {
            let still = self.gates.stopped.entry(clock).or_insert(Standstill { waits: 0, since: at });
            still.waits += 1;
        }
    }

    pub(super) fn decided(&mut self, graph: &Graph, gate: GateId, decision: &Decision, at: Millis) {
        self.gates.used.insert(gate, decision.at);
        self.leave(graph, gate, at, GateOutcome::Decided(decision.clone()));
        if decision.approved {
            for path in self.steps.gated().iter().copied().collect::<Vec<_>>() {
                if self.is_at(path, gate) {
                    self.pass(graph, path.step);
                }
            }
        }
    }

    pub(super) fn expired(&mut self, graph: &Graph, gate: GateId, at: Millis) {
        self.leave(graph, gate, at, GateOutcome::Expired);
    }

    fn leave(&mut self, graph: &Graph, gate: GateId, at: Millis, outcome: GateOutcome) {
        if let Some(reached) = self.gates.reached.get_mut(&gate) {
            reached.outcome = Some(outcome);
            self.move_on(clocks(graph, gate), at);
        }
    }

    /// A running attempt waits for people or events within the document that it runs, or does no longer. Neither its
    /// time nor the deadlines around its step count meanwhile.
    pub(super) fn wait_inside(&mut self, graph: &Graph, path: StepPath, what: Option<WaitsFor>, at: Millis) {
        let StepState::Running { attempts, started, stop, waits: since } = self.state(path) else { return };
        let (mut attempts, started, stop, since) = (attempts.clone(), *started, *stop, *since);
        let clocks = clocks_of(graph, path.step);
        match (what, since) {
            (Some(what), None) => {
                self.set(path, StepState::Running { attempts, started, stop, waits: Some((at, what)) });
                self.stand_still(clocks, at);
            }
            (None, Some((since, _))) => {
                let waited = at.saturating_sub(since);
                attempts.waited = attempts.waited.saturating_add(waited);
                attempts.since = attempts.since.map(|since| since.saturating_add(waited));
                self.set(path, StepState::Running { attempts, started, stop, waits: None });
                self.move_on(clocks, at);
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    /// What a running attempt waits for within the document that it runs, if it does.
    pub fn waits_inside(&self, path: StepPath) -> Option<WaitsFor> {
        match self.state(path) {
            StepState::Running { waits: Some((_, what)), .. } => Some(*what),
            _ => None,
        }
    }

    /// Paused deadlines count again.
    pub(super) fn move_on(&mut self, clocks: Vec<Option<usize>>, at: Millis) {
        for clock in clocks {
            let Some(still) = self.gates.stopped.get_mut(&clock) else { continue };
            still.waits = still.waits.saturating_sub(1);
            if still.waits > 0 {
                continue;
            }
            let since = still.since;
            self.gates.stopped.remove(&clock);
            self.gates.moved = true;
            let from = match clock {
                None => Some(&mut self.since),
                Some(group) => self.groups.get_mut(&group),
            };
            if let Some(from) = from {
                *from = from.saturating_add(at.saturating_sub(since.max(*from)));
            }
        }
    }

    /// No step waits at its gates any more, though none was decided: it was stopped, or has ended otherwise.
    pub(super) fn abandon_gates(&mut self, graph: &Graph, at: Millis) {
        let left = |(gate, reached): (&GateId, &Reached)| {
            let at = self.steps.gated().iter().any(|path| self.is_at(*path, *gate));
            (reached.waits() && !at).then_some(*gate)
        };
        for gate in self.gates.reached.iter().filter_map(left).collect::<Vec<_>>() {
            self.gates.reached.remove(&gate);
            self.move_on(clocks(graph, gate), at);
        }
    }

    /// The item runs again: gates that were shut, and those before steps on a new visit, are to be passed again.
    pub(super) fn forget_gates(&mut self, graph: &Graph, revisited: &BTreeSet<StepId>) {
        self.gates.stopped.clear();
        let again = |gate: GateId| revisited.iter().any(|id| graph.step(*id).gates.contains(&gate));
        self.gates.reached.retain(|gate, reached| reached.is_open() && !again(*gate));
    }

    /// Another round of a loop begins: its gates are to be passed again.
    pub(super) fn forget_gates_of(&mut self, graph: &Graph, repeat: &Repeat) {
        let again = |gate: &GateId| graph.gate(*gate).is_some_and(|gate| is_gate_in(graph, repeat, gate.of));
        self.gates.reached.retain(|gate, _| !again(gate));
    }

    /// Whether the item's own deadline, or that of a group, is paused.
    pub(super) fn stands_still(&self, group: Option<usize>) -> bool {
        self.gates.stopped.contains_key(&group)
    }

    /// Whether deadlines have moved since this was last asked.
    pub fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.gates.moved)
    }

    /// The columns of a row for the gates of its step that were decided, in their order.
    pub(super) fn gate_columns(&self, graph: &Graph, id: StepId) -> Vec<(Arc<str>, Value)> {
        let gates = graph.step(id).gates.iter();
        let (mut what, mut who, mut notes, mut waited) = (Vec::new(), Vec::new(), Vec::new(), 0u64);
        for reached in gates.filter_map(|gate| self.gates.reached.get(gate)) {
            match &reached.outcome {
                Some(GateOutcome::Decided(decision)) => {
                    what.push(decision.verb());
                    who.push(decision.by.as_str());
                    notes.extend(decision.note.as_deref());
                    waited = waited.saturating_add(decision.at.saturating_sub(reached.since));
                }
                Some(GateOutcome::Expired) => what.push("expired"),
                None => {}
            }
        }
        if what.is_empty() {
            return Vec::new();
        }
        let text = |all: &[&str]| if all.is_empty() { Value::Null } else { all.join("; ").into() };
        let values = [text(&what), text(&who), text(&notes), waited.into()];
        GATE_COLUMNS.into_iter().map(Arc::from).zip(values).collect()
    }
}

/// The deadlines that are paused while a step waits: the item's, and those of the groups around it.
pub(super) fn clocks_of(graph: &Graph, step: StepId) -> Vec<Option<usize>> {
    let timed = graph.around(step).filter(|group| graph.groups[*group].deadline.is_some());
    [None].into_iter().chain(timed.map(Some)).collect()
}

/// The deadlines that are paused at a gate: the item's, and those of the groups around what the gate is before.
fn clocks(graph: &Graph, gate: GateId) -> Vec<Option<usize>> {
    let around: Vec<usize> = match graph.gate(gate).map(|gate| gate.of) {
        Some(GateOf::Step(step)) => graph.around(step).collect(),
        Some(GateOf::Group(group)) => {
            let parent = |group: &usize| graph.groups.get(*group).and_then(|group| group.parent);
            std::iter::successors(Some(group), parent).collect()
        }
        None => Vec::new(),
    };
    let timed = around.into_iter().filter(|group| graph.groups[*group].deadline.is_some());
    [None].into_iter().chain(timed.map(Some)).collect()
}
