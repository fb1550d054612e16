//! One item's rows against the graph: what each step waits for, in graph order, then its failure handlers.

mod handlers;

use super::super::document::Cell;
use super::super::link::Item;
use super::super::row::Row;
use super::{Found, Record};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::engine::{Obstacle, Refusal, Retraced};
use crate::event::Status;
use crate::graph::{Graph, StateId, StepId, Taken, Target};
use crate::spec::Mark;
use std::collections::{BTreeMap, BTreeSet};

struct Checker<'a, 'f> {
    record: Record<'a>,
    /// Whether these are the steps that run once after all items.
    once: bool,
    key: &'f str,
    /// The rows of each step, as recorded.
    rows: Vec<Vec<usize>>,
    /// What the engine makes of them.
    retraced: Retraced<'a>,
    /// A critical failure or somebody stopped the item.
    halted: bool,
    /// A step ran that may end the item.
    may_have_ended: bool,
    found: &'f mut Found,
}

impl<'a> Record<'a> {
    /// `once` for the rows of the steps that run once after all items.
    pub(super) fn item(self, item: &Item, once: bool, found: &mut Found) {
        let mut rows = vec![Vec::new(); self.graph.steps.len()];
        for row in &item.rows {
            if let Some(step) = self.step(*row) {
                rows[step.index()].push(*row);
            }
        }
        let (halted, may_have_ended) = (self.halted(&item.rows), self.may_have_ended(&item.rows));
        let mut retraced = Retraced::new(self.graph, once);
        self.learn(&item.rows, &mut retraced);
        let mut checker =
            Checker { record: self, once, key: &item.key, rows, retraced, halted, may_have_ended, found };
        checker.compensations();
        self.undoing(checker.key, &checker.rows, &mut checker.found.differences);
        // What was undone and begun again has rows of several visits, which nothing tells apart.
        if !checker.begun_anew() {
            let states = checker.forward();
            checker.handlers(states);
        }
    }

    fn halted(self, rows: &[usize]) -> bool {
        rows.iter().any(|row| {
            let critical = |id| self.graph.step(id).mark == Some(Mark::Critical);
            let status = self.rows[*row].status;
            status == Status::Cancelled || (status.is_failure() && self.step(*row).is_some_and(critical))
        })
    }

    fn may_have_ended(self, rows: &[usize]) -> bool {
        rows.iter().filter_map(|row| self.step(*row)).any(|id| {
            let arms = self.graph.step(id).chains.iter().flatten();
            arms.into_iter().any(|arm| arm.target == Target::End)
        })
    }
}

impl<'a> Checker<'a, '_> {
    fn graph(&self) -> &'a Graph {
        self.record.graph
    }

    fn status(&self, row: usize) -> Status {
        self.record.rows[row].status
    }

    /// Only what was done is undone.
    fn compensations(&mut self) {
        let own: Vec<StepId> = self.graph().compensations().filter(|id| self.retraced.is_own(*id)).collect();
        // What was done for all items is undone also because one of them ran again.
        let began = self.rows.iter().flatten().filter_map(|row| self.record.rows[*row].started_ms).min();
        let again = match began {
            Some(began) => self.items_ran(began as f64 + 1.0, f64::INFINITY),
            None => self.items_ran_again(),
        };
        let came_through = self.came_through() && !self.begun_anew() && !again;
        for id in own {
            let undoes = |step: &StepId| self.graph().step(*step).compensate == Some(id);
            let done =
                self.graph().order.iter().filter(|step| undoes(step)).any(|step| {
                    self.rows[step.index()].iter().any(|row| self.status(*row) != Status::Skipped)
                });
            let first = self.rows[id.index()].first().copied();
            if let (Some(row), true) = (first, done && came_through) {
                let place = self.record.places[row].cell(Cell::Phase);
                let difference = catalogue::row_handler(place, self.record.title(id), self.key);
                self.found.differences.push(difference);
            }
            if let (Some(row), false) = (first, done) {
                let place = self.record.places[row].cell(Cell::Phase);
                let difference = catalogue::row_undoes_nothing(place, self.record.title(id), self.key);
                self.found.differences.push(difference);
            }
        }
    }

    /// Whether every step has a row that says that it succeeded, and nothing else can have ended the item. How many
    /// elements a list had is not told.
    fn came_through(&self) -> bool {
        let own = self.graph().order.iter().filter(|id| self.retraced.is_own(**id));
        let done = |id: &StepId| {
            let rows = &self.rows[id.index()];
            let known = self.graph().step(*id).each.is_none() && !rows.is_empty();
            known && rows.iter().all(|row| self.status(*row) == Status::Success)
        };
        self.graph().settings.deadline.is_none() && { own }.all(done)
    }

    /// Whether a step ran again after one was undone, or from the start with other inputs.
    fn begun_anew(&self) -> bool {
        let started = |row: usize| self.record.rows[row].started_ms;
        let undone = self.graph().compensations().flat_map(|id| &self.rows[id.index()]);
        let undone: Vec<Option<u64>> =
            undone.filter(|row| self.status(**row) == Status::Compensated).map(|row| started(*row)).collect();
        let between = |first: usize, second: usize| {
            undone.iter().any(|undone| match (started(first), undone, started(second)) {
                (Some(first), Some(undone), Some(second)) => {
                    first < second && first <= *undone && *undone <= second
                }
                // Where times are not told, only a handler can have put the item back.
                _ => self.put_backs() > 0,
            })
        };
        let anew = |first: usize, second: usize| between(first, second) || self.renewed(first, second);
        let again = |rows: &Vec<usize>| rows.windows(2).any(|pair| anew(pair[0], pair[1]));
        self.graph().order.iter().any(|id| self.executions(*id).iter().any(again))
    }

    /// Whether the second of two rows is of another visit than the first though nothing was undone: all that ran before
    /// had ended, and badly; or it ran for all items, and one of them ran again between.
    fn renewed(&self, first: usize, second: usize) -> bool {
        let times = |row: usize| {
            let recorded = &self.record.rows[row];
            let start = recorded.started_ms? as f64;
            Some((start, start + recorded.duration_ms.unwrap_or(0.0).floor()))
        };
        let done = matches!(self.status(first), Status::Success | Status::Skipped);
        let (Some((before, ended)), Some((from, _))) = (times(first), times(second)) else {
            return done && self.items_ran_again();
        };
        let forward = || self.graph().order.iter().flat_map(|id| &self.rows[id.index()]);
        let apart = |row: &usize| times(*row).is_some_and(|(start, end)| end <= from || start >= from);
        let failed = |row: &usize| {
            let id = self.record.step(*row).filter(|id| self.graph().step(*id).mark != Some(Mark::Optional));
            let status = self.status(*row);
            let badly = status.is_failure() || status == Status::Cancelled;
            badly && id.is_some() && times(*row).is_some_and(|(start, _)| start < from)
        };
        let anew = || forward().any(failed) || self.items_ran(ended, from);
        done && before < from && forward().all(apart) && anew()
    }

    /// Whether these are steps for all items, and an item ran in this time.
    fn items_ran(&self, from: f64, to: f64) -> bool {
        let started = |row: &Row| row.started_ms.is_some_and(|start| (from..=to).contains(&(start as f64)));
        self.of_items().any(started)
    }

    /// The same where times are not told: whether an item has several rows of an execution.
    fn items_ran_again(&self) -> bool {
        let mut seen = BTreeSet::new();
        self.of_items().any(|row| !seen.insert((&row.phase, &row.item, &row.input)))
    }

    /// The rows of items, where these are the steps for all of them.
    fn of_items(&self) -> impl Iterator<Item = &'a Row> {
        let Record { rows, layout, .. } = self.record;
        let once = self.once;
        rows.iter().filter(move |row| once && !layout.is_of_run(&row.borrowed()))
    }

    /// Goes through the forward steps. Returns the states that the item was in.
    fn forward(&mut self) -> BTreeSet<StateId> {
        let mut missing = Vec::new();
        let mut states: BTreeSet<StateId> = self.retraced.state().into_iter().collect();
        let own: Vec<StepId> =
            self.graph().order.iter().copied().filter(|id| self.retraced.is_own(*id)).collect();
        for id in own {
            if let Some(first) = self.rows[id.index()].first().copied() {
                self.executed(id, first);
                let executions = self.executions(id).into_iter();
                let last: Vec<Status> =
                    executions.filter_map(|rows| Some(self.status(*rows.last()?))).collect();
                let taken: Vec<Option<u32>> = (0..self.graph().step(id).chains.len())
                    .map(|chain| self.followed(id, chain as u32))
                    .collect();
                self.retraced.end(id, last.into_iter(), &|chain| *taken.get(chain as usize)?);
            } else {
                let may_be_absent = self.may_be_absent(id);
                if self.retraced.end_unrecorded(id, may_be_absent, self.halted) {
                    missing.push(id);
                }
            }
            states.extend(self.retraced.state());
        }
        // Where another step ran all the same, that is a difference already.
        for id in missing {
            let waited = |step: &StepId| !self.rows[step.index()].is_empty();
            if !self.graph().step(id).dependents.iter().any(waited) {
                self.found.missing.entry(id).or_default().add(self.key);
            }
        }
        states
    }

    /// Whether a step has rows, and not only of having been skipped.
    fn ran(&self, id: StepId) -> bool {
        self.rows[id.index()].iter().any(|row| self.status(*row) != Status::Skipped)
    }

    /// The arm of a chain that was taken, as the rows of the steps show which depend on it: the one that leads to a step
    /// which ran, or skips one which was skipped and nothing else could have skipped.
    fn followed(&self, id: StepId, chain: u32) -> Option<u32> {
        let own = |taken: &&Taken| (taken.step, taken.chain) == (id, chain);
        let dependents = || self.graph().step(id).dependents.iter().map(|id| (*id, self.graph().step(*id)));
        let led = dependents().filter(|(id, _)| self.ran(*id));
        let led = led.filter_map(|(_, step)| Some((step.guards.len(), step.guards.iter().find(own)?.arm)));
        let skipped = dependents().filter(|(id, step)| {
            let alone = step.guards.is_empty() && step.when.is_empty() && step.skips.len() == 1;
            alone && !self.ran(*id) && !self.rows[id.index()].is_empty()
        });
        let skipped = skipped.filter_map(|(_, step)| Some(step.skips.iter().find(own)?.arm));
        led.min_by_key(|(ways, _)| *ways).map(|(_, arm)| arm).or_else(|| { skipped }.next())
    }

    /// The rows of a step, those of each element of a list apart.
    fn executions(&self, id: StepId) -> Vec<Vec<usize>> {
        let mut executions: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
        let each = self.graph().step(id).each.is_some();
        for row in &self.rows[id.index()] {
            let element = self.record.rows[*row].input.as_deref().filter(|_| each);
            executions.entry(element).or_default().push(*row);
        }
        executions.into_values().collect()
    }

    /// Whether conditions may have kept a step from running: people seldom record what was skipped.
    fn may_be_absent(&self, id: StepId) -> bool {
        self.graph().step(id).is_conditional() || self.may_have_ended
    }

    /// A step that has rows: could it have?
    fn executed(&mut self, id: StepId, row: usize) {
        let skipped = self.status(row) == Status::Skipped;
        let title = self.record.title(id);
        let place = self.record.places[row].cell(Cell::Phase);
        let key = self.key;
        let difference = match self.retraced.obstacle(id) {
            Some(Obstacle::Blocked(need)) if !self.retraced.has_ended(need) => {
                let other = self.record.title(need);
                if self.found.recorded.contains(&need) {
                    Some(catalogue::row_order(place, title, key, other, "has no row", None))
                } else if self.found.unrecorded.insert(need) {
                    Some(catalogue::row_unrecorded(place, title, other))
                } else {
                    None
                }
            }
            Some(Obstacle::Blocked(need)) => {
                let last = self.rows[need.index()].last().copied();
                let why = match last.map(|row| self.status(row)) {
                    Some(Status::Cancelled) => "was cancelled",
                    Some(_) => "failed",
                    None => "did not run",
                };
                let other = last.map(|row| self.record.places[row].cell(Cell::Status));
                Some(catalogue::row_order(place, title, key, self.record.title(need), why, other))
            }
            Some(Obstacle::Lacks(value)) if !skipped => {
                Some(catalogue::row_lacks(place, title, key, &self.graph().value(value).name))
            }
            // A step that fails by its own decision has made it.
            Some(Obstacle::Unled) if !skipped => Some(catalogue::row_unled(place, title, key)),
            Some(Obstacle::Lacks(_) | Obstacle::Unled) | None => self.decided(id, row),
        };
        self.found.differences.extend(difference);
        self.repeated(id);
        self.early(id);
        self.misplaced(id);
    }

    /// Conditions whose values are known, and decisions that other rows tell.
    fn decided(&self, id: StepId, row: usize) -> Option<Diagnostic> {
        let step = self.graph().step(id);
        let place = self.record.places[row].cell(Cell::Status);
        let refused = |why: &str| Some(catalogue::row_refused(place, &step.title, self.key, why));
        if self.status(row) == Status::Skipped {
            // That it has no condition at all is told of its status.
            let runs = step.is_conditional() && self.retraced.certainly_runs(id);
            return runs.then(|| catalogue::row_not_refused(place, &step.title, self.key));
        }
        match self.retraced.refusal(id) {
            Some(Refusal::Elsewhere(guard)) => {
                let by = self.record.title(guard.step);
                let instead = self.retraced.instead(guard).filter(|_| !self.retraced.is_certain(&guard));
                match instead.and_then(|arm| self.led_by(arm)) {
                    Some(first) => {
                        let place = self.record.places[row].cell(Cell::Phase);
                        Some(catalogue::row_exclusive(place, first, &step.title, self.key, by))
                    }
                    None => refused(&format!("the condition of `{by}` leads elsewhere")),
                }
            }
            Some(Refusal::Skipped) => refused("a condition skips it"),
            Some(Refusal::Condition(guard)) => {
                refused(&format!("`{}` does not hold", guard.condition.text.trim()))
            }
            None => {
                let fails = self.retraced.fails(id).filter(|_| self.status(row) == Status::Success);
                fails.map(|reason| catalogue::row_fails(place, &step.title, self.key, reason))
            }
        }
    }

    /// The row of a step that ran because an arm led to it.
    fn led_by(&self, arm: Taken) -> Option<Span> {
        let dependents = &self.graph().step(arm.step).dependents;
        let led =
            dependents.iter().find(|id| self.ran(**id) && self.graph().step(**id).guards.contains(&arm))?;
        let row = self.rows[led.index()].first()?;
        Some(self.record.places[*row].cell(Cell::Phase))
    }

    /// A step starts only in its states.
    fn misplaced(&mut self, id: StepId) {
        let (Some((from, now)), Some(row)) = (self.retraced.misplaced(id), self.started(id)) else { return };
        let led = self.graph().order.iter().rev().filter(|id| self.graph().step(**id).state.is_some());
        let led = { led }.find(|step| {
            self.retraced.has_ended(**step) && self.rows[step.index()].iter().any(|row| self.is_done(*row))
        });
        let led = led.and_then(|step| Some((*self.rows[step.index()].last()?, self.record.title(*step))));
        let led = led.map(|(row, title)| (self.record.places[row].cell(Cell::Phase), title));
        self.found.differences.push(self.record.misplaced(self.key, row, id, from, &[now], led));
        // What follows is held against what the row says.
        self.retraced.forget_state();
    }

    /// The first row of a step that was begun: nothing was asked to do what failed because of its state.
    fn started(&self, id: StepId) -> Option<usize> {
        let started = |row: &&usize| self.is_done(**row) || self.record.rows[**row].attempt.is_some();
        self.rows[id.index()].iter().find(started).copied()
    }

    fn is_done(&self, row: usize) -> bool {
        matches!(self.status(row), Status::Success | Status::Compensated)
    }

    /// How often failure handlers put the item back.
    fn put_backs(&self) -> usize {
        let asks = |id: &StepId| {
            let outputs = &self.graph().step(*id).outputs;
            outputs.iter().any(|output| self.graph().value(output.value).name.starts_with("retry"))
        };
        let rows = self.graph().handlers().filter(asks).flat_map(|id| &self.rows[id.index()]);
        rows.filter(|row| self.status(**row) == Status::Success).count()
    }

    /// Whether rows count their attempts, so that none of them is one: somebody can have had an item run again then.
    fn is_counted(&self) -> bool {
        let told = |row: &usize| &self.record.rows[*row];
        self.rows.iter().flatten().any(|row| told(row).attempt.is_some() || told(row).started_ms.is_some())
    }

    /// A step runs again only where it failed, and a handler or somebody put the item back.
    fn repeated(&mut self, id: StepId) {
        let back = if self.is_counted() { usize::MAX } else { self.put_backs() };
        let executions = self.executions(id);
        let again = executions.iter().flat_map(|rows| rows.windows(2).enumerate());
        for (nth, pair) in again {
            let &[first, second] = pair else { continue };
            let done = matches!(self.status(first), Status::Success | Status::Skipped);
            if done || nth >= back {
                let places = [first, second].map(|row| self.record.places[row].cell(Cell::Phase));
                let title = self.record.title(id);
                let difference = catalogue::row_repeated(places[1], places[0], title, self.key, done);
                self.found.differences.push(difference);
            }
        }
    }

    /// A step cannot start before what it waits for has ended.
    fn early(&mut self, id: StepId) {
        let Some(row) = self.rows[id.index()].first().copied() else { return };
        let Some(started) = self.record.rows[row].started_ms else { return };
        for need in &self.graph().step(id).needs {
            if !self.retraced.is_own(need.step) {
                continue;
            }
            let Some(before) = self.rows[need.step.index()].first().copied() else { continue };
            let recorded = &self.record.rows[before];
            let ended = recorded.started_ms.zip(recorded.duration_ms);
            let Some(ended) = ended.map(|(start, duration)| start as f64 + duration.floor()) else {
                continue;
            };
            if (started as f64) < ended && self.rows[id.index()].len() == 1 {
                let title = self.record.title(id);
                let place = self.record.places[row].cell(Cell::Started);
                let other = self.record.places[before].cell(Cell::Started);
                let need = self.record.title(need.step);
                let difference = catalogue::row_early(place, other, title, self.key, need, ended as u64);
                self.found.differences.push(difference);
            }
        }
    }
}
