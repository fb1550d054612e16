//! One item's rows against the graph: what each step waits for, in graph order, then its failure handlers.

mod handlers;

use super::super::document::Cell;
use super::super::link::Item;
use super::known::{Branch, Known};
use super::{Found, Record};
use crate::diag::{Span, catalogue};
use crate::event::Status;
use crate::graph::{Graph, Step, StepId, Taken, Target, ValueId};
use crate::spec::Mark;
use std::collections::BTreeMap;

/// What became of a step for the item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Succeeded,
    FailedOptional,
    Failed,
    Cancelled,
    /// It never ran, because something before it failed.
    Blocked,
    /// It never ran, and rightly so.
    Absent,
    /// It has no row, though nothing kept it from running.
    Missing,
}

impl Fate {
    /// Whether the steps behind it must not run.
    fn blocks(self) -> bool {
        match self {
            Fate::Failed | Fate::Cancelled | Fate::Blocked => true,
            Fate::Succeeded | Fate::FailedOptional | Fate::Absent | Fate::Missing => false,
        }
    }
}

/// What keeps a step from running.
enum Obstacle {
    /// A step before it that failed or did not run itself.
    Blocking(StepId),
    /// A step before it that has no row.
    Missing(StepId),
    /// A value that nobody made.
    Lacks(ValueId),
    /// Nobody decided to come here.
    Unled,
}

struct Checker<'a, 'f> {
    record: Record<'a>,
    /// Whether these are the steps that run once after all items.
    once: bool,
    key: &'f str,
    /// The rows of each step, as recorded.
    rows: Vec<Vec<usize>>,
    fates: Vec<Fate>,
    /// A critical failure or somebody stopped the item.
    halted: bool,
    /// A step ran that may end the item.
    may_have_ended: bool,
    known: Known<'a>,
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
        let known = Known::of(self, &item.rows);
        // Nothing has happened before the first step.
        let fates = vec![Fate::Absent; self.graph.steps.len()];
        let (halted, may_have_ended) = (self.halted(&item.rows), self.may_have_ended(&item.rows));
        let mut checker =
            Checker { record: self, once, key: &item.key, rows, fates, halted, may_have_ended, known, found };
        checker.compensations();
        self.undoing(checker.key, &checker.rows, &mut checker.found.differences);
        // What was undone and begun anew has rows of several visits, which nothing tells apart.
        if !checker.begun_anew() {
            checker.forward();
            checker.handlers();
            checker.exclusive();
            if !once {
                let may_have_run = |id: StepId| {
                    let fate = checker.fates[id.index()];
                    matches!(fate, Fate::Succeeded | Fate::Missing) && checker.rows[id.index()].is_empty()
                };
                let differences = &mut checker.found.differences;
                self.states(checker.key, &checker.rows, &may_have_run, differences);
            }
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

    fn is_own(&self, id: StepId) -> bool {
        self.graph().step(id).once == self.once
    }

    fn status(&self, row: usize) -> Status {
        self.record.rows[row].status
    }

    /// Only what was done is undone.
    fn compensations(&mut self) {
        let own: Vec<StepId> = self.graph().compensations().filter(|id| self.is_own(*id)).collect();
        let came_through = self.came_through() && !self.begun_anew();
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
        let own = self.graph().order.iter().filter(|id| self.is_own(**id));
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
    /// had ended, and badly.
    fn renewed(&self, first: usize, second: usize) -> bool {
        let times = |row: usize| {
            let recorded = &self.record.rows[row];
            let start = recorded.started_ms? as f64;
            Some((start, start + recorded.duration_ms.unwrap_or(0.0).floor()))
        };
        let (Some((before, _)), Some((from, _))) = (times(first), times(second)) else { return false };
        let forward = || self.graph().order.iter().flat_map(|id| &self.rows[id.index()]);
        let apart = |row: &usize| times(*row).is_some_and(|(start, end)| end <= from || start >= from);
        let failed = |row: &usize| {
            let id = self.record.step(*row).filter(|id| self.graph().step(*id).mark != Some(Mark::Optional));
            let status = self.status(*row);
            let badly = status.is_failure() || status == Status::Cancelled;
            badly && id.is_some() && times(*row).is_some_and(|(start, _)| start < from)
        };
        let done = matches!(self.status(first), Status::Success | Status::Skipped);
        done && before < from && forward().all(apart) && forward().any(failed)
    }

    fn forward(&mut self) {
        let mut missing = Vec::new();
        let own: Vec<StepId> = self.graph().order.iter().copied().filter(|id| self.is_own(*id)).collect();
        for id in own {
            let obstacle = self.obstacle(id);
            self.fates[id.index()] = match (self.rows[id.index()].first().copied(), obstacle) {
                (Some(row), obstacle) => {
                    self.executed(id, row, obstacle);
                    self.fate(id)
                }
                (None, Some(Obstacle::Blocking(_) | Obstacle::Missing(_))) => Fate::Blocked,
                (None, Some(Obstacle::Lacks(_) | Obstacle::Unled)) => Fate::Absent,
                // The list may well have been empty.
                (None, None) if self.graph().step(id).each.is_some() => Fate::Succeeded,
                (None, None) if self.may_be_absent(id) => Fate::Absent,
                (None, None) if self.halted => Fate::Blocked,
                (None, None) => {
                    missing.push(id);
                    Fate::Missing
                }
            };
        }
        // Where another step ran all the same, that is a difference already.
        for id in missing {
            let waited = |step: &StepId| !self.rows[step.index()].is_empty();
            if !self.graph().step(id).dependents.iter().any(waited) {
                self.found.missing.entry(id).or_default().add(self.key);
            }
        }
    }

    /// What a step's last row says.
    fn fate(&self, id: StepId) -> Fate {
        let optional = self.graph().step(id).mark == Some(Mark::Optional);
        let last =
            self.executions(id).into_iter().filter_map(|rows| rows.last().map(|row| self.status(*row)));
        // One failed element fails the step.
        match last.max_by_key(|status| (status.is_failure(), *status == Status::Cancelled)) {
            Some(Status::Success | Status::Compensated) => Fate::Succeeded,
            Some(Status::Skipped) | None => Fate::Absent,
            Some(Status::Cancelled) => Fate::Cancelled,
            Some(Status::Failed | Status::Timeout | Status::CompensationFailed) => {
                if optional {
                    Fate::FailedOptional
                } else {
                    Fate::Failed
                }
            }
        }
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

    fn obstacle(&self, id: StepId) -> Option<Obstacle> {
        let step = self.graph().step(id);
        let fate = |id: StepId| self.fates[id.index()];
        let need = |wanted: &dyn Fn(Fate) -> bool| {
            let own = step.needs.iter().map(|need| need.step).filter(|need| self.is_own(*need));
            { own }.find(|need| wanted(fate(*need)))
        };
        if let Some(need) = need(&Fate::blocks) {
            return Some(Obstacle::Blocking(need));
        }
        if let Some(need) = need(&|fate| fate == Fate::Missing) {
            return Some(Obstacle::Missing(need));
        }
        let unled = |guard: &Taken| fate(guard.step) != Fate::Succeeded;
        if !step.guards.is_empty() && step.guards.iter().all(unled) {
            return Some(Obstacle::Unled);
        }
        let lacks = step.inputs.iter().find(|input| {
            let own = || input.makers.iter().filter(|maker| self.is_own(**maker));
            let made = own().any(|maker| fate(*maker) == Fate::Succeeded);
            !input.optional && own().next().is_some() && !made
        });
        lacks.map(|input| Obstacle::Lacks(input.value))
    }

    /// A step that has rows: could it have?
    fn executed(&mut self, id: StepId, row: usize, obstacle: Option<Obstacle>) {
        let skipped = self.status(row) == Status::Skipped;
        let title = self.record.title(id);
        let place = self.record.places[row].cell(Cell::Phase);
        let key = self.key;
        match obstacle {
            Some(Obstacle::Blocking(need)) => {
                let other = self.place_of(need);
                let why = match self.rows[need.index()].last() {
                    Some(row) if self.status(*row) == Status::Cancelled => "was cancelled",
                    Some(_) => "failed",
                    None => "did not run",
                };
                let need = self.record.title(need);
                self.found.differences.push(catalogue::row_order(place, title, key, need, why, other));
            }
            Some(Obstacle::Missing(need)) => {
                let other = self.record.title(need);
                if self.found.recorded.contains(&need) {
                    let why = "has no row";
                    self.found.differences.push(catalogue::row_order(place, title, key, other, why, None));
                } else if self.found.unrecorded.insert(need) {
                    self.found.differences.push(catalogue::row_unrecorded(place, title, other));
                }
            }
            Some(Obstacle::Lacks(value)) if !skipped => {
                let value = &self.graph().value(value).name;
                self.found.differences.push(catalogue::row_lacks(place, title, key, value));
            }
            // A step that fails by its own decision has made it.
            Some(Obstacle::Unled) if !skipped => {
                self.found.differences.push(catalogue::row_unled(place, title, key));
            }
            Some(Obstacle::Lacks(_) | Obstacle::Unled) | None => self.decided(id, row),
        }
        self.repeated(id);
        self.early(id);
    }

    /// Conditions whose values are known.
    fn decided(&mut self, id: StepId, row: usize) {
        let step = self.graph().step(id);
        let skipped = self.status(row) == Status::Skipped;
        let refusal = self.refusal(step);
        let place = self.record.places[row].cell(Cell::Status);
        let difference = match refusal {
            Some(Some(why)) if !skipped => catalogue::row_refused(place, &step.title, self.key, &why),
            // That it has no condition at all is told of its status.
            Some(None) if skipped && step.is_conditional() => {
                catalogue::row_not_refused(place, &step.title, self.key)
            }
            _ => match self.known.fails(id).filter(|_| self.status(row) == Status::Success) {
                Some(reason) => catalogue::row_fails(place, &step.title, self.key, reason),
                None => return,
            },
        };
        self.found.differences.push(difference);
    }

    /// What refuses a step: none where that is unknown, `Some(None)` where nothing does.
    fn refusal(&self, step: &Step) -> Option<Option<String>> {
        let branch = |taken: &Taken| match self.known.branch(taken.step, taken.chain) {
            Branch::Arm(arm) => Some(arm == Some(taken.arm)),
            Branch::Unknown => None,
        };
        let led: Vec<Option<bool>> = step.guards.iter().map(branch).collect();
        if !led.is_empty() && led.iter().all(|led| *led == Some(false)) {
            let by = step.guards.first().map(|guard| self.record.title(guard.step)).unwrap_or_default();
            return Some(Some(format!("the condition of `{by}` leads elsewhere")));
        }
        let passed: Vec<Option<bool>> = step.skips.iter().map(branch).collect();
        if passed.contains(&Some(true)) {
            return Some(Some("a condition skips it".to_owned()));
        }
        let mut certain = (led.is_empty() || led.contains(&Some(true))) && !passed.contains(&None);
        for guard in &step.when {
            match self.known.holds(guard) {
                Some(true) => {}
                Some(false) => {
                    return Some(Some(format!("`{}` does not hold", guard.condition.text.trim())));
                }
                None => certain = false,
            }
        }
        certain.then_some(None)
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
            if !self.is_own(need.step) {
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

    /// Of the arms of one chain only one is taken, whatever the values.
    fn exclusive(&mut self) {
        let mut taken: BTreeMap<(StepId, u32), (u32, Span)> = BTreeMap::new();
        for &id in &self.graph().order {
            let step = self.graph().step(id);
            let ran = self.rows[id.index()].iter().find(|row| self.status(**row) != Status::Skipped);
            let (&[guard], Some(row)) = (step.guards.as_slice(), ran) else { continue };
            if self.known.branch(guard.step, guard.chain) != Branch::Unknown {
                // Whether it can have run is told by the values themselves.
                continue;
            }
            let place = self.record.places[*row].cell(Cell::Phase);
            let (arm, first) = *taken.entry((guard.step, guard.chain)).or_insert((guard.arm, place));
            if arm != guard.arm {
                let by = self.record.title(guard.step);
                let difference = catalogue::row_exclusive(place, first, &step.title, self.key, by);
                self.found.differences.push(difference);
            }
        }
    }

    fn place_of(&self, step: StepId) -> Option<Span> {
        let row = *self.rows[step.index()].last()?;
        Some(self.record.places[row].cell(Cell::Status))
    }
}
