//! One item's rows checked against the graph, in graph order: the engine decides what each step would have waited for.

use super::super::document::Cell;
use super::super::link::LinkedItem;
use super::rounds::last_rounds;
use super::{DocumentRecord, Findings};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::engine::{Obstacle, Refusal, Retraced};
use crate::event::Status;
use crate::graph::{Graph, StateId, StepId, Taken, Target};
use crate::spec::Mark;
use std::collections::{BTreeMap, BTreeSet};

/// The rows of one item.
pub(super) struct ItemRows<'a> {
    pub record: DocumentRecord<'a>,
    pub key: &'a str,
    /// Whether they are of the steps that run once after all items.
    pub once: bool,
    /// By step, as recorded: of steps in loops, the rows of the last round.
    steps: Vec<Vec<usize>>,
    /// The same with the rows of all rounds.
    every: Vec<Vec<usize>>,
    /// A step ran that may end the item.
    may_have_ended: bool,
}

/// Checks the steps of one item and collects the differences.
pub(super) struct Checker<'a, 'f> {
    pub rows: &'f ItemRows<'a>,
    /// The engine's state for them.
    pub retraced: Retraced<'a>,
    pub found: &'f mut Findings,
}

impl<'a> DocumentRecord<'a> {
    /// Checks an item; `once` for the rows of the steps that run once after all items.
    pub(super) fn item(self, item: &'a LinkedItem, once: bool, found: &mut Findings) {
        let rows = &ItemRows::of(self, item, once);
        let mut retraced = Retraced::new(self.graph, once);
        let last: Vec<usize> =
            item.rows.iter().copied().filter(|row| rows.all().any(|one| one == *row)).collect();
        let of_last = if self.graph.repeats.is_empty() { &item.rows } else { &last };
        self.learn(of_last, &mut retraced);
        let again = rows.began_again();
        let mut checker = Checker { rows, retraced, found };
        checker.compensations(again);
        // An item that was compensated and restarted has rows of several visits, which cannot be distinguished.
        if !again {
            let Checker { retraced, found, .. } = &mut checker;
            rows.rounds(&|step| retraced.is_own(step), &mut found.differences);
            let states = checker.forward();
            checker.handlers();
            checker.states(states);
        }
    }
}

impl<'a> ItemRows<'a> {
    fn of(record: DocumentRecord<'a>, item: &'a LinkedItem, once: bool) -> Self {
        let mut steps = vec![Vec::new(); record.graph.steps.len()];
        let mut may_have_ended = false;
        for (row, id) in item.rows.iter().filter_map(|row| Some((*row, record.step(*row)?))) {
            let mut arms = record.graph.step(id).chains.iter().flatten();
            may_have_ended |= arms.any(|arm| arm.target == Target::End);
            steps[id.index()].push(row);
        }
        let every = steps;
        let steps = if record.graph.repeats.is_empty() { every.clone() } else { last_rounds(record, &every) };
        ItemRows { record, key: &item.key, once, steps, every, may_have_ended }
    }

    /// The rows of all rounds, by step.
    pub fn every(&self) -> &[Vec<usize>] {
        &self.every
    }

    pub fn graph(&self) -> &'a Graph {
        self.record.graph
    }

    pub fn of_step(&self, id: StepId) -> &[usize] {
        &self.steps[id.index()]
    }

    pub fn all(&self) -> impl Iterator<Item = usize> + '_ {
        self.steps.iter().flatten().copied()
    }

    /// The rows of the forward steps, in all rounds.
    pub fn forward(&self) -> impl Iterator<Item = (StepId, usize)> + '_ {
        self.graph().order.iter().flat_map(|id| self.every[id.index()].iter().map(|row| (*id, *row)))
    }

    /// Whether a step has a row with such a status.
    pub fn any(&self, id: StepId, wanted: impl Fn(Status) -> bool) -> bool {
        self.of_step(id).iter().any(|row| wanted(self.record.status(*row)))
    }

    /// Whether a step has rows other than of having been skipped.
    pub fn ran(&self, id: StepId) -> bool {
        self.any(id, |status| status != Status::Skipped)
    }

    fn was_skipped(&self, id: StepId) -> bool {
        !self.of_step(id).is_empty() && !self.ran(id)
    }

    /// The rows of a step, grouped by element of a list.
    pub fn executions(&self, id: StepId) -> Vec<Vec<usize>> {
        self.grouped(id, self.of_step(id))
    }

    /// The rows of a step in all rounds, grouped by round and element of a list.
    pub fn executions_of_all_rounds(&self, id: StepId) -> Vec<Vec<usize>> {
        self.grouped(id, &self.every[id.index()])
    }

    fn grouped(&self, id: StepId, rows: &[usize]) -> Vec<Vec<usize>> {
        let mut executions: BTreeMap<(Vec<u32>, Option<&str>), Vec<usize>> = BTreeMap::new();
        let step = self.graph().step(id);
        for row in rows {
            let element = self.record.rows[*row].input.as_deref().filter(|_| step.each.is_some());
            let rounds = if step.repeats.is_empty() { Vec::new() } else { self.record.rounds(*row) };
            executions.entry((rounds, element)).or_default().push(*row);
        }
        executions.into_values().collect()
    }

    /// Whether a row is that of a loop that failed, and not of an execution.
    pub fn is_of_loop(&self, id: StepId, row: usize) -> bool {
        let recorded = &self.record.rows[row];
        let failed = recorded.status == Status::Failed && recorded.attempt.is_none();
        failed
            && recorded.duration_ms.is_none_or(|lasted| lasted == 0.0)
            && !self.graph().step(id).repeats.is_empty()
    }

    /// Whether a step is in a loop that failed after its rounds: what the row of that names, others had not waited for.
    fn is_in_missed_loop(&self, id: StepId) -> bool {
        let loops = self.graph().step(id).repeats.iter().filter_map(|id| self.graph().repeat(*id));
        let missed = |step: &StepId| self.of_step(*step).iter().any(|row| self.is_of_loop(*step, *row));
        loops.flat_map(|repeat| &repeat.steps).any(missed)
    }

    pub fn is_cancelled(&self) -> bool {
        self.all().any(|row| self.record.status(row) == Status::Cancelled)
    }

    /// Whether a critical step failed.
    pub fn failed_critically(&self) -> bool {
        let critical = |id: StepId| self.graph().step(id).mark == Some(Mark::Critical);
        self.graph().ids().any(|id| critical(id) && self.any(id, Status::is_failure))
    }

    /// Whether conditions may have skipped a step: skipped steps are seldom recorded.
    pub fn may_be_absent(&self, id: StepId) -> bool {
        self.may_have_ended || self.graph().step(id).is_conditional()
    }

    /// The first row of a step that was begun; a step that failed because of the item's state was not.
    pub fn begun(&self, id: StepId) -> Option<usize> {
        let row = |row: usize| &self.record.rows[row];
        let begun = |at: &&usize| is_done(row(**at).status) || row(**at).attempt.is_some();
        self.of_step(id).iter().find(begun).copied()
    }

    /// The arm of a chain that was taken, inferred from the row of a step that depends on nothing else: it ran, or was
    /// skipped.
    fn followed(&self, id: StepId, chain: u32) -> Option<u32> {
        self.graph().step(id).dependents.iter().find_map(|next| {
            let step = self.graph().step(*next);
            let taken = match (step.guards.as_slice(), step.skips.as_slice()) {
                ([led], _) if self.ran(*next) => led,
                ([], [skip]) if step.when.is_empty() && self.was_skipped(*next) => skip,
                _ => return None,
            };
            ((taken.step, taken.chain) == (id, chain)).then_some(taken.arm)
        })
    }

    /// The row of a step that ran because an arm led to it.
    fn led_by(&self, arm: Taken) -> Option<Span> {
        let led = |id: &&StepId| self.ran(**id) && self.graph().step(**id).guards.contains(&arm);
        let led = self.graph().step(arm.step).dependents.iter().find(led)?;
        Some(self.record.place(*self.of_step(*led).first()?, Cell::Phase))
    }
}

pub(super) fn is_done(status: Status) -> bool {
    matches!(status, Status::Success | Status::Compensated)
}

impl<'a> Checker<'a, '_> {
    /// The steps of the item, in graph order.
    pub fn own(&self) -> Vec<StepId> {
        let order = &self.rows.graph().order;
        order.iter().copied().filter(|id| self.retraced.is_own(*id)).collect()
    }

    /// Checks the forward steps. Returns the states that the item was in; `None` if one is unknown.
    fn forward(&mut self) -> Option<BTreeSet<StateId>> {
        let rows = self.rows;
        let halted = rows.is_cancelled() || rows.failed_critically() || self.only_always();
        let mut states = self.retraced.state().map(|state| BTreeSet::from([state]));
        let mut missing = Vec::new();
        for id in self.own() {
            if let Some(first) = rows.of_step(id).first() {
                if rows.ran(id) {
                    self.retraced.assume_led(id);
                }
                let difference = self.executed(id, *first);
                self.found.differences.extend(difference);
                self.repeated(id);
                self.early(id);
                self.misplaced(id);
                let last = |rows: Vec<usize>| Some(self.rows.record.status(*rows.last()?));
                let executions = rows.executions(id).into_iter().filter_map(last);
                self.retraced.end(id, executions, &|chain| rows.followed(id, chain));
            } else if self.retraced.end_unrecorded(id, rows.may_be_absent(id), halted) {
                missing.push(id);
            }
            states = states.zip(self.retraced.state()).map(|(mut states, state)| {
                states.insert(state);
                states
            });
        }
        // If another step ran anyway, that is already a difference.
        for id in missing {
            let dependents = &rows.graph().step(id).dependents;
            if dependents.iter().all(|step| rows.of_step(*step).is_empty()) {
                self.found.missing.entry(id).or_default().add(rows.key);
            }
        }
        states
    }

    /// Whether of the steps for all items only those ran that run always: the run failed or was stopped before them.
    fn only_always(&self) -> bool {
        let ran = |id: &StepId| !self.rows.of_step(*id).is_empty();
        let ran: Vec<StepId> = self.own().into_iter().filter(ran).collect();
        self.rows.once && !ran.is_empty() && ran.iter().all(|id| self.rows.graph().step(*id).always)
    }

    /// Why a step with rows cannot have run.
    fn executed(&mut self, id: StepId, row: usize) -> Option<Diagnostic> {
        let ItemRows { record, key, .. } = *self.rows;
        let (title, place) = (record.title(id), record.place(row, Cell::Phase));
        let skipped = record.status(row) == Status::Skipped;
        if self.rows.is_of_loop(id, row) {
            return None;
        }
        match self.retraced.obstacle(id) {
            Some(Obstacle::Blocked(_)) if self.rows.is_in_missed_loop(id) => None,
            Some(Obstacle::Blocked(need)) if self.retraced.has_ended(need) => {
                let last = self.rows.of_step(need).last().copied();
                let why = match last.map(|row| record.status(row)) {
                    Some(Status::Cancelled) => "was cancelled",
                    Some(_) => "failed",
                    None => "did not run",
                };
                let other = last.map(|row| record.place(row, Cell::Status));
                Some(catalogue::row_order(place, title, key, record.title(need), why, other))
            }
            Some(Obstacle::Blocked(need)) if self.found.recorded.contains(&need) => {
                Some(catalogue::row_order(place, title, key, record.title(need), "has no row", None))
            }
            Some(Obstacle::Blocked(need)) => {
                let first = self.found.unrecorded.insert(need);
                first.then(|| catalogue::row_unrecorded(place, title, record.title(need)))
            }
            Some(Obstacle::Lacks(value)) if !skipped => {
                Some(catalogue::row_lacks(place, title, key, &record.graph.value(value).name))
            }
            Some(Obstacle::NoDecision) if !skipped => {
                Some(catalogue::row_without_decision(place, title, key))
            }
            Some(Obstacle::Lacks(_) | Obstacle::NoDecision) | None => self.decided(id, row),
        }
    }

    /// Why a step cannot have ended this way: by conditions whose values are known, and decisions that other rows
    /// show.
    fn decided(&self, id: StepId, row: usize) -> Option<Diagnostic> {
        let ItemRows { record, key, .. } = *self.rows;
        let (title, place) = (record.title(id), record.place(row, Cell::Status));
        if record.status(row) == Status::Skipped {
            // A step without any condition is already a difference.
            let runs = record.graph.step(id).is_conditional() && self.retraced.certainly_runs(id);
            return runs.then(|| catalogue::row_not_refused(place, title, key));
        }
        let why = match self.retraced.refusal(id) {
            Some(Refusal::Elsewhere(guard)) => {
                let by = record.title(guard.step);
                let instead = self.retraced.instead(guard).filter(|_| !self.retraced.is_certain(&guard));
                if let Some(first) = instead.and_then(|arm| self.rows.led_by(arm)) {
                    let place = record.place(row, Cell::Phase);
                    return Some(catalogue::row_exclusive(place, first, title, key, by));
                }
                format!("the condition of `{by}` leads elsewhere")
            }
            Some(Refusal::Skipped) => "a condition skips it".to_owned(),
            Some(Refusal::Condition(guard)) => format!("`{}` does not hold", guard.condition.text.trim()),
            None => {
                let fails = self.retraced.fails(id).filter(|_| record.status(row) == Status::Success)?;
                return Some(catalogue::row_fails(place, title, key, fails));
            }
        };
        Some(catalogue::row_refused(place, title, key, &why))
    }

    /// A step cannot start before the steps that it waits for have ended. If it has several rows, the first may be of
    /// a visit on which it did not wait. A step that runs always runs after a failure too, and what it waits for when
    /// the failed step is retried.
    fn early(&mut self, id: StepId) {
        let rows = self.rows;
        let ItemRows { record, key, .. } = *rows;
        let &[row] = rows.of_step(id) else { return };
        let Some((start, _)) = record.times(row) else { return };
        let before = |row: usize| record.times(row).is_some_and(|(began, _)| began <= start);
        let failed = |row: usize| record.status(row).is_failure() && before(row);
        if record.graph.step(id).always && self.rows.forward().any(|(_, row)| failed(row)) {
            return;
        }
        let needs = record.graph.step(id).needs.iter().filter(|need| self.retraced.is_own(need.step));
        for need in needs.filter(|_| !rows.is_in_missed_loop(id)) {
            let Some(other) = self.rows.of_step(need.step).first() else { continue };
            if let Some((_, end)) = record.times(*other).filter(|(_, end)| start < *end) {
                let [here, there] = [row, *other].map(|row| record.place(row, Cell::Started));
                let (title, need) = (record.title(id), record.title(need.step));
                self.found.differences.push(catalogue::row_early(here, there, title, key, need, end as u64));
            }
        }
    }

    /// A step starts only in its states.
    fn misplaced(&mut self, id: StepId) {
        let rows = self.rows;
        let (Some((from, now)), Some(row)) = (self.retraced.misplaced(id), rows.begun(id)) else { return };
        let leads = |id: &&StepId| {
            let done = self.retraced.has_ended(**id) && rows.any(**id, is_done);
            done && rows.graph().step(**id).state.is_some()
        };
        let led = rows.graph().order.iter().rev().find(leads);
        let led = led.and_then(|id| Some((rows.of_step(*id).last()?, rows.record.title(*id))));
        let led = led.map(|(row, title)| (rows.record.place(*row, Cell::Phase), title));
        self.found.differences.push(rows.misplaced(row, id, from, &[now], led));
        // Later steps are checked against the row's state.
        self.retraced.forget_state();
    }
}
