//! The loops of an item: which round each is in, what ends it, and the values that go from one round to the next. Knows
//! neither the limits nor the other items.

use super::super::backoff::millis;
use super::super::{Effect, Timer};
use super::decide::condition_error;
use super::state::{End, StepState};
use super::{Item, Stage};
use crate::event::{
    Event, Execution, ItemEvent, Millis, NOT_REACHED, ROUND_COLUMN, RepeatId, Status, StepEvent, StepId,
    ValueId,
};
use crate::graph::{GateOf, Graph, Input, Kind, Repeat, RepeatOf, StateId};
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The loops that have begun another round or have ended, and what goes from round to round.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    loops: BTreeMap<RepeatId, LoopState>,
    /// What the steps of a loop made in the round before.
    feedback: BTreeMap<(RepeatId, ValueId), Arc<Value>>,
    /// Steps that failed since the rounds of their loop did not suffice.
    missed: BTreeSet<StepId>,
}

#[derive(Clone, Debug, Default)]
struct LoopState {
    /// Rounds before this one.
    passed: u32,
    ended: bool,
    /// When the next round begins, during a pause.
    due: Option<Millis>,
    /// The item's state before the first step of the loop changed it.
    began_in: Option<StateId>,
    /// When its first step began.
    since: Option<Millis>,
}

/// What follows a round.
enum Verdict {
    Held,
    Again,
    /// Why the loop fails, and the code of it.
    Fails(String, Option<String>),
}

impl Rounds {
    fn of(&self, id: RepeatId) -> LoopState {
        self.loops.get(&id).cloned().unwrap_or_default()
    }

    fn state(&mut self, id: RepeatId) -> &mut LoopState {
        self.loops.entry(id).or_default()
    }

    /// The round that a loop is in, from 1.
    pub fn round(&self, id: RepeatId) -> u32 {
        self.loops.get(&id).map_or(0, |state| state.passed).saturating_add(1)
    }

    /// What the round before made.
    pub fn feedback(&self, id: RepeatId, value: ValueId) -> Option<&Arc<Value>> {
        self.feedback.get(&(id, value))
    }

    fn has_ended(&self, id: RepeatId) -> bool {
        self.loops.get(&id).is_some_and(|state| state.ended)
    }

    fn forget(&mut self, id: RepeatId) {
        self.loops.remove(&id);
        self.feedback.retain(|(of, _), _| *of != id);
    }

    /// Whether a loop around a step pauses before its next round.
    pub fn begins_again(&self, graph: &Graph, step: StepId) -> bool {
        let pauses =
            |id: &RepeatId| self.loops.get(id).is_some_and(|state| state.due.is_some() && !state.ended);
        graph.step(step).repeats.iter().any(pauses)
    }

    /// Whether a pause between two rounds will end.
    pub fn pauses(&self) -> bool {
        self.loops.values().any(|state| state.due.is_some() && !state.ended)
    }
}

impl Item {
    /// The round of a step in each loop around it, the outermost first.
    pub(super) fn rounds_of(&self, graph: &Graph, step: StepId) -> Vec<u32> {
        graph.step(step).repeats.iter().map(|id| self.rounds.round(*id)).collect()
    }

    /// How often a step has begun again, with another idempotency key.
    pub(super) fn visit_of(&self, step: StepId) -> u32 {
        self.visits.get(&step).copied().unwrap_or(0)
    }

    /// The column of a row for the round of its step; a compensation has the round that it compensates.
    pub(super) fn round_column(&self, graph: &Graph, id: StepId) -> Option<(Arc<str>, Value)> {
        Some((Arc::from(ROUND_COLUMN), self.round_of(graph, id)?))
    }

    /// The round of a step as a number, or as a text such as `2/1` in a loop within a loop.
    pub fn round_of(&self, graph: &Graph, id: StepId) -> Option<Value> {
        let rounds = match self.effects.compensating.filter(|_| graph.step(id).kind == Kind::Compensation) {
            Some(undoes) => self.rounds_then(graph, undoes),
            None => self.rounds_of(graph, id),
        };
        match rounds.as_slice() {
            [] => None,
            [only] => Some((*only).into()),
            several => Some(several.iter().map(u32::to_string).collect::<Vec<_>>().join("/").into()),
        }
    }

    /// What an input of a step is now.
    pub(super) fn taken_value(&self, input: &Input) -> Option<&Arc<Value>> {
        match input.feedback.filter(|_| !input.makers.is_empty()) {
            Some(repeat) => self.rounds.feedback(repeat, input.value),
            None => self.value(input.value),
        }
    }

    /// Whether a step waits for the end of a loop that another one is in.
    pub(super) fn waits_for_loop(&self, graph: &Graph, other: StepId, step: StepId) -> bool {
        let exit = graph.exit(other, step).filter(|_| self.is_own(graph, other));
        exit.is_some_and(|id| !self.rounds.has_ended(id))
    }

    /// The step by which a loop has failed whose end a step waits for.
    pub(super) fn failed_loop(&self, graph: &Graph, id: StepId) -> Option<StepId> {
        let step = graph.step(id);
        let needs = step.needs.iter().filter(|need| self.is_own(graph, need.step) && step.requires(need));
        let exits: BTreeSet<RepeatId> = needs.filter_map(|need| graph.exit(need.step, id)).collect();
        let steps = exits.into_iter().filter_map(|exit| graph.repeat(exit)).flat_map(|repeat| &repeat.steps);
        steps.copied().find(|step| self.end(*step).is_some_and(End::blocks))
    }

    /// The loops of this item, each before those around it.
    fn loops<'a>(&self, graph: &'a Graph) -> impl Iterator<Item = (RepeatId, &'a Repeat)> + use<'a> {
        let once = self.is_run();
        let own =
            move |repeat: &Repeat| repeat.steps.first().is_some_and(|step| graph.step(*step).once == once);
        let all = graph.repeats.iter().enumerate().rev().map(|(id, repeat)| (RepeatId(id as u32), repeat));
        all.filter(move |(_, repeat)| own(repeat))
    }

    /// The event that follows the end of a round. `Some(None)` while a pause lasts.
    pub(super) fn next_round(&self, graph: &Graph, now: Millis) -> Option<Option<Event>> {
        if graph.repeats.is_empty() || self.stage != Stage::Forward || self.stop.is_some() {
            return None;
        }
        let mut pauses = None;
        for (id, repeat) in self.loops(graph).filter(|(id, repeat)| self.is_round_over(graph, *id, repeat)) {
            let state = self.rounds.of(id);
            match state.due {
                // The timer ends the pause.
                Some(_) => pauses = Some(None),
                None => {
                    return Some(Some(match self.after_round(graph, id, repeat, now) {
                        None | Some(Verdict::Held) => ItemEvent::RepeatEnded(id).of(self.id, now),
                        Some(Verdict::Again) => match repeat.every {
                            Some(pause) => {
                                let due = now.saturating_add(millis(pause));
                                ItemEvent::RoundScheduled { repeat: id, due }.of(self.id, now)
                            }
                            None => self.round_began(id, now),
                        },
                        Some(Verdict::Fails(why, code)) => self.missed_row(graph, repeat, why, code, now),
                    }));
                }
            }
        }
        pauses
    }

    /// Why another round cannot begin after its pause: a deadline is earlier. That of the item has a timer of its own.
    fn too_late(&self, graph: &Graph, id: RepeatId, repeat: &Repeat, now: Millis) -> Option<Verdict> {
        let due = now.saturating_add(millis(repeat.every?));
        let own = match repeat.of {
            RepeatOf::Step(step) => graph.step(step).deadline.zip(self.rounds.of(id).since),
            RepeatOf::Group(_) => None,
        };
        let own = own.map(|(deadline, since)| since.saturating_add(millis(deadline)));
        let group = self.group_deadline(graph, *repeat.steps.first()?);
        let mut deadlines = [(own, "step"), (group, "group")].into_iter();
        let (_, of) = deadlines.find(|(deadline, _)| deadline.is_some_and(|end| end <= due))?;
        let text = repeat.until.condition.text.trim();
        let why = format!("`{text}` does not hold, and the next round would begin after the {of}'s deadline");
        Some(Verdict::Fails(why, None))
    }

    /// Whether all steps of a loop have ended, and the loops in it.
    fn is_round_over(&self, graph: &Graph, id: RepeatId, repeat: &Repeat) -> bool {
        !self.rounds.has_ended(id)
            && repeat.steps.iter().all(|step| self.end(*step).is_some())
            && inner(graph, id).all(|inner| self.rounds.has_ended(inner))
    }

    /// What follows a round whose steps have all ended; `None` if they ended the loop.
    fn after_round(&self, graph: &Graph, id: RepeatId, repeat: &Repeat, now: Millis) -> Option<Verdict> {
        let ends = || repeat.steps.iter().filter_map(|step| self.end(*step));
        if ends().any(|end| end.blocks() || end == End::ItemEnded) {
            return None;
        }
        // A loop that a condition skips has one round without executions.
        let ran = ends().any(|end| matches!(end, End::Succeeded | End::FailedOptional));
        if !ran && self.rounds.round(id) == 1 {
            return None;
        }
        let verdict = match self.verdict(graph, id, repeat, None) {
            Verdict::Again => self.too_late(graph, id, repeat, now).unwrap_or(Verdict::Again),
            other => other,
        };
        let failed = repeat.deciders.iter().any(|step| self.end(*step) == Some(End::FailedOptional));
        // An optional step that failed lets the item continue.
        Some(verdict).filter(|verdict| !(failed && matches!(verdict, Verdict::Fails(..))))
    }

    /// Whether the condition holds; `with` is a step that has succeeded and has not ended.
    fn verdict(&self, graph: &Graph, id: RepeatId, repeat: &Repeat, with: Option<StepId>) -> Verdict {
        let there = |value: ValueId| self.value(value).is_some() && self.has_made(graph, value, with);
        let round = self.rounds.round(id);
        let text = repeat.until.condition.text.trim();
        match self.holds(graph, &repeat.until, Kind::Forward, &there) {
            Ok(true) => Verdict::Held,
            Err(fault) if repeat.until.names.iter().all(|(_, value)| there(*value)) => {
                Verdict::Fails(condition_error(&repeat.until, &fault), None)
            }
            Ok(false) | Err(_) if round < repeat.most => Verdict::Again,
            Ok(false) | Err(_) => {
                let rounds = if round == 1 { "1 round".to_owned() } else { format!("{round} rounds") };
                Verdict::Fails(format!("`{text}` does not hold after {rounds}"), Some(NOT_REACHED.to_owned()))
            }
        }
    }

    /// Why a step fails that has succeeded otherwise: it was the last to make a value of the condition, in the last
    /// round.
    pub(super) fn miss(&self, graph: &Graph, id: StepId) -> Option<(String, Option<String>)> {
        let inner = *graph.step(id).repeats.last()?;
        let repeat = graph.repeat(inner).filter(|_| self.stop.is_none() && self.stage == Stage::Forward)?;
        let others = || repeat.deciders.iter().filter(|step| **step != id);
        let ended = |step: &StepId| self.end(*step).is_some() && !self.is_in_open_loop(graph, *step, inner);
        if self.rounds.has_ended(inner) || !repeat.deciders.contains(&id) || !others().all(ended) {
            return None;
        }
        match self.verdict(graph, inner, repeat, Some(id)) {
            Verdict::Fails(why, code) => Some((why, code)),
            Verdict::Held | Verdict::Again => None,
        }
    }

    /// Whether a step is in a loop within this one that may have another round.
    fn is_in_open_loop(&self, graph: &Graph, step: StepId, within: RepeatId) -> bool {
        let loops = graph.step(step).repeats.iter().rev().take_while(|id| **id != within);
        { loops }.any(|id| !self.rounds.has_ended(*id))
    }

    /// The row by which a loop fails if no execution of its last round does.
    fn missed_row(
        &self,
        graph: &Graph,
        repeat: &Repeat,
        error: String,
        code: Option<String>,
        at: Millis,
    ) -> Event {
        let last = graph.order.iter().rev().find(|step| repeat.deciders.contains(step));
        let step = last.copied().or(repeat.steps.last().copied()).unwrap_or(StepId(0));
        let row = self.row(graph, step.into(), Status::Failed, at);
        let execution = Execution { duration_ms: Some(0.0), error: Some(error), code, ..row };
        StepEvent::Ended(execution).of(self.id, at)
    }

    /// Whether this is the row of a loop whose rounds did not suffice.
    pub(super) fn is_missed_row(&self, graph: &Graph, execution: &Execution) -> bool {
        let over =
            |id: &RepeatId| graph.repeat(*id).is_some_and(|repeat| self.is_round_over(graph, *id, repeat));
        execution.status == Status::Failed
            && execution.element.is_none()
            && execution.attempt.is_none()
            && graph.step(execution.step).repeats.iter().any(over)
    }

    /// The timer of the pause that a loop is in.
    pub(super) fn pauses(&self) -> impl Iterator<Item = Effect> + '_ {
        let paused = self.rounds.loops.iter().filter(|(_, state)| !state.ended);
        paused.filter_map(|(id, state)| {
            let timer = Timer::Round { item: self.id, repeat: *id };
            state.due.map(|due| Effect::Timer { due, timer })
        })
    }

    fn round_began(&self, id: RepeatId, at: Millis) -> Event {
        let round = self.rounds.round(id).saturating_add(1);
        ItemEvent::RoundBegan { repeat: id, round }.of(self.id, at)
    }

    /// The next round of a loop, if the pause before it is over.
    pub fn round_due(&self, id: RepeatId, now: Millis) -> Option<Event> {
        let waits = self.stage == Stage::Forward && self.stop.is_none() && !self.rounds.has_ended(id);
        let due = self.rounds.of(id).due.is_some_and(|due| due <= now);
        (waits && due).then(|| self.round_began(id, now))
    }

    /// Whether an event of a loop is possible now. Another document may have had another condition.
    pub(super) fn fits_round(&self, graph: &Graph, change: &ItemEvent) -> bool {
        let (id, round) = match change {
            ItemEvent::RoundBegan { repeat, round } => (*repeat, Some(*round)),
            ItemEvent::RoundScheduled { repeat, .. } | ItemEvent::RepeatEnded(repeat) => (*repeat, None),
            _ => return false,
        };
        let Some((_, repeat)) = self.loops(graph).find(|(own, _)| *own == id) else { return false };
        let next = self.rounds.round(id).checked_add(1);
        self.stage == Stage::Forward
            && self.is_round_over(graph, id, repeat)
            && round.is_none_or(|round| Some(round) == next)
            && (round.is_some() || self.rounds.of(id).due.is_none())
    }

    pub(super) fn schedule_round(&mut self, id: RepeatId, due: Millis) {
        self.rounds.state(id).due = Some(due);
    }

    /// A loop ends: steps that wait for it are released.
    pub(super) fn end_repeat(&mut self, graph: &Graph, id: RepeatId) {
        let state = self.rounds.state(id);
        (state.ended, state.due) = (true, None);
        let Some(repeat) = graph.repeat(id) else { return };
        for step in &repeat.steps {
            for &dependent in &graph.step(*step).dependents {
                if graph.exit(*step, dependent) == Some(id)
                    && let Some(end) = self.release(graph, dependent)
                {
                    self.settle(graph, dependent, end);
                }
            }
        }
    }

    /// No loop begins another round.
    pub(super) fn end_repeats(&mut self, graph: &Graph) {
        for (id, _) in self.loops(graph) {
            self.rounds.state(id).ended = true;
        }
    }

    /// The steps of a loop are pending again, without the values that they made; each is on a new visit.
    pub(super) fn begin_round(&mut self, graph: &Graph, id: RepeatId) {
        let Some(repeat) = graph.repeat(id) else { return };
        self.keep_round(graph, repeat);
        for value in &repeat.makes {
            match self.value(*value).filter(|_| self.has_made(graph, *value, None)).cloned() {
                Some(made) => drop(self.rounds.feedback.insert((id, *value), made)),
                None => drop(self.rounds.feedback.remove(&(id, *value))),
            }
        }
        inner(graph, id).for_each(|inner| self.rounds.forget(inner));
        let state = self.rounds.state(id);
        state.passed = state.passed.saturating_add(1);
        state.due = None;
        if let Some(began_in) = state.began_in {
            self.lifecycle = Some(began_in);
        }
        for step in &repeat.steps {
            self.clear(graph, *step);
        }
        self.taken.retain(|(step, ..)| !repeat.contains(*step));
        self.forget_gates_of(graph, repeat);
        self.await_again(graph, &repeat.steps.iter().copied().collect());
        let missing = |step: &StepId| {
            let needs = graph.step(*step).needs.iter();
            needs.filter(|need| repeat.contains(need.step)).count() as u32
        };
        for step in &repeat.steps {
            self.set(*step, StepState::Waiting { missing: missing(step) });
        }
        for step in repeat.steps.iter().filter(|step| missing(step) == 0) {
            if let Some(end) = self.arrive(graph, *step) {
                self.settle(graph, *step, end);
            }
        }
    }

    /// A step begins on a new visit, without what it made.
    pub(super) fn clear(&mut self, graph: &Graph, id: StepId) {
        *self.visits.entry(id).or_default() += 1;
        // Another step may have made the value instead.
        let idle = matches!(self.end(id), Some(End::Skipped | End::Absent | End::ItemEnded | End::Blocked));
        for output in graph.step(id).outputs.iter().filter(|_| !idle) {
            self.values[output.value.index()] = None;
        }
        self.elements.remove(&id);
        self.steps.forget_elements(id);
    }

    /// The item runs again from these steps: their loops continue, and begin with the first round if all of their steps
    /// do.
    pub(super) fn reopen_loops(&mut self, graph: &Graph, again: &[StepId], revisited: &BTreeSet<StepId>) {
        for (id, repeat) in self.loops(graph) {
            if repeat.steps.iter().all(|step| revisited.contains(step)) {
                self.rounds.forget(id);
                continue;
            }
            let state = self.rounds.state(id);
            state.due = None;
            state.ended &= !repeat.steps.iter().any(|step| again.contains(step) || revisited.contains(step));
        }
        // What did not suffice is tried once more, which is another execution.
        for step in std::mem::take(&mut self.rounds.missed) {
            if again.contains(&step) && !revisited.contains(&step) {
                *self.visits.entry(step).or_default() += 1;
            }
        }
    }

    /// Takes note of the end of an execution.
    pub(super) fn note_miss(&mut self, execution: &Execution) {
        if execution.code.as_deref() == Some(NOT_REACHED) {
            self.rounds.missed.insert(execution.step);
        }
    }

    /// Takes note of the beginning of a step.
    pub(super) fn note_start(&mut self, graph: &Graph, id: StepId, at: Millis) {
        for repeat in &graph.step(id).repeats {
            self.rounds.state(*repeat).since.get_or_insert(at);
        }
    }

    /// Takes note of the state before a step changes it.
    pub(super) fn note_state(&mut self, graph: &Graph, id: StepId) {
        for repeat in &graph.step(id).repeats {
            let now = self.lifecycle;
            let state = self.rounds.state(*repeat);
            state.began_in = state.began_in.or(now);
        }
    }

    /// Since when the deadline of a repeated step counts: it is one for all rounds.
    pub(super) fn repeated_since(&self, graph: &Graph, id: StepId) -> Option<Millis> {
        let own = graph.step(id).repeats.last()?;
        graph.repeat(*own).filter(|repeat| repeat.of == RepeatOf::Step(id))?;
        self.rounds.of(*own).since
    }

    /// What a gate in a loop asks, with the round.
    pub(super) fn round_of_gate(&self, graph: &Graph, of: GateOf) -> Option<String> {
        let loops = graph.repeats.iter().zip(0..).filter(|(repeat, _)| !repeat.steps.is_empty());
        let rounds = loops.filter(|(repeat, _)| is_gate_in(graph, repeat, of));
        let said = rounds.map(|(repeat, id)| {
            format!("round {} of at most {}", self.rounds.round(RepeatId(id)), repeat.most)
        });
        Some(said.collect::<Vec<_>>().join(", ")).filter(|said| !said.is_empty())
    }
}

/// The loops within a loop.
fn inner(graph: &Graph, id: RepeatId) -> impl Iterator<Item = RepeatId> + '_ {
    let place = |repeats: &[RepeatId], wanted: RepeatId| repeats.iter().position(|known| *known == wanted);
    let all = graph.repeats.iter().zip(0..).map(|(repeat, other)| (RepeatId(other), repeat));
    let within = move |(other, repeat): &(RepeatId, &Repeat)| {
        let around =
            repeat.steps.first().map(|step| graph.step(*step).repeats.as_slice()).unwrap_or_default();
        place(around, id).zip(place(around, *other)).is_some_and(|(outer, inner)| outer < inner)
    };
    all.filter(within).map(|(other, _)| other)
}

/// Whether a gate is passed in each round of a loop.
pub(super) fn is_gate_in(graph: &Graph, repeat: &Repeat, of: GateOf) -> bool {
    match (of, repeat.of) {
        (GateOf::Step(step), _) => repeat.contains(step),
        (GateOf::Group(group), RepeatOf::Group(around)) => {
            let parent = |group: &usize| graph.groups.get(*group).and_then(|group| group.parent);
            std::iter::successors(Some(group), parent).any(|group| group == around)
        }
        (GateOf::Group(_), RepeatOf::Step(_)) => false,
    }
}
