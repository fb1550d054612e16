//! Checks the times of compensations: after the steps that they compensate, one step after the other, in the order of
//! the engine. Judges only rows with a start; simultaneous rows may be in any order.

use super::super::document::Cell;
use super::item::{Checker, ItemRows};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::engine::{OpenEffect, next_compensated};
use crate::event::Status;
use crate::graph::{Kind, StepId};

/// A row with its times, in milliseconds since the run began.
#[derive(Clone, Copy, Debug)]
struct Timed {
    row: usize,
    step: StepId,
    undoes: bool,
    start: f64,
    end: f64,
}

impl Timed {
    /// Whether it is unknown which of the two was first.
    fn at_once_with(&self, other: &Timed) -> bool {
        self.start == self.end && (self.start, self.end) == (other.start, other.end)
    }
}

/// A step that was compensated, with the first row of its compensation.
struct UndoneStep {
    step: StepId,
    /// The round of each loop around it.
    rounds: Vec<u32>,
    by: Timed,
    /// Its position among the steps that were compensated with it; simultaneous ones share theirs.
    rank: usize,
    /// When it ended, if that is certain.
    done: Option<f64>,
}

/// The rows before a compensation, and the rows of the compensation.
#[derive(Default)]
struct CompensationGroup {
    done: Vec<Timed>,
    by: Vec<Timed>,
}

/// The compensations of one item.
struct Undoing<'a, 'f> {
    rows: &'f ItemRows<'a>,
    /// The steps that each compensation compensates.
    undone_by: Vec<Vec<StepId>>,
    differences: &'f mut Vec<Diagnostic>,
}

impl Checker<'_, '_> {
    /// Checks compensations against the steps that they compensate. `again` is whether the item restarted.
    pub fn compensations(&mut self, again: bool) {
        let rows = self.rows;
        let graph = rows.graph();
        if graph.compensations().all(|id| rows.of_step(id).is_empty()) {
            return;
        }
        let mut undone_by = vec![Vec::new(); graph.steps.len()];
        for id in &graph.order {
            graph.step(*id).compensate.iter().for_each(|by| undone_by[by.index()].push(*id));
        }
        // The number of elements in a list is unknown, and which ones a deadline ended.
        let succeeded = |id: StepId| {
            let known = graph.step(id).each.is_none() && !rows.of_step(id).is_empty();
            known && rows.every()[id.index()].iter().all(|row| rows.record.status(*row) == Status::Success)
        };
        let no_failure = !again
            && !rows.items_ran_after()
            && graph.settings.deadline.is_none()
            && graph.repeats.is_empty()
            && self.own().into_iter().all(succeeded);
        let mut undoing = Undoing { rows, undone_by, differences: &mut self.found.differences };
        graph
            .compensations()
            .filter(|id| self.retraced.is_own(*id))
            .for_each(|by| undoing.reason(by, no_failure));
        graph.compensations().for_each(|by| undoing.again(by));
        let Some(timed) = undoing.timed() else { return };
        undoing.early(&timed);
        for phase in undoing.beside(&timed).unwrap_or_default() {
            undoing.order(&phase);
        }
    }
}

impl Undoing<'_, '_> {
    fn title(&self, timed: &Timed) -> &str {
        self.rows.record.title(timed.step)
    }

    fn place(&self, timed: &Timed) -> Span {
        self.rows.record.place(timed.row, Cell::Started)
    }

    /// Only steps that ran are compensated, and only for an item that did not succeed.
    fn reason(&mut self, by: StepId, no_failure: bool) {
        let Some(first) = self.rows.of_step(by).first() else { return };
        let (place, title) = (self.rows.record.place(*first, Cell::Phase), self.rows.record.title(by));
        if !self.undone_by[by.index()].iter().any(|id| self.ran(*id)) {
            self.differences.push(catalogue::row_undoes_nothing(place, title, self.rows.key));
        } else if no_failure {
            self.differences.push(catalogue::row_handler(place, title, self.rows.key));
        }
    }

    /// Whether a step ran in any round.
    fn ran(&self, id: StepId) -> bool {
        let rows = self.rows.every()[id.index()].iter();
        { rows }.any(|row| self.rows.record.status(*row) != Status::Skipped)
    }

    /// Every execution of a step is compensated once.
    fn again(&mut self, by: StepId) {
        let record = self.rows.record;
        let done = self.undone_by[by.index()].iter().flat_map(|id| &self.rows.every()[id.index()]);
        let done = done.filter(|row| record.status(**row) != Status::Skipped).count();
        let undone = self.rows.of_step(by).iter().copied();
        let undone: Vec<usize> = undone.filter(|row| record.status(*row) == Status::Compensated).collect();
        if let (Some(second), true) = (undone.get(done), done > 0) {
            let [here, there] = [*second, undone[done - 1]].map(|row| record.place(row, Cell::Phase));
            let again = catalogue::row_undone_again(here, there, record.title(by), self.rows.key);
            self.differences.push(again);
        }
    }

    /// The rows and compensations in the order of their times; `None` unless all rows have times.
    fn timed(&self) -> Option<Vec<Timed>> {
        let record = self.rows.record;
        let mut timed = Vec::new();
        for step in record.graph.ids() {
            let undoes = match record.graph.step(step).kind {
                Kind::Compensation => true,
                Kind::Forward => false,
                Kind::Handler => continue,
            };
            let counts = |row: &&usize| undoes || record.status(**row) != Status::Skipped;
            for row in self.rows.every()[step.index()].iter().filter(counts).copied() {
                let (start, end) = record.times(row)?;
                timed.push(Timed { row, step, undoes, start, end });
            }
        }
        timed.sort_by(|one, other| one.start.total_cmp(&other.start).then(one.end.total_cmp(&other.end)));
        Some(timed)
    }

    /// A step is not compensated before it ended.
    fn early(&mut self, timed: &[Timed]) {
        for one in timed.iter().filter(|one| one.undoes) {
            let undoes = |done: &&Timed| self.undoes(one, done);
            let first = timed.iter().filter(undoes).min_by(|one, other| one.end.total_cmp(&other.end));
            let Some(done) = first.filter(|done| one.start < done.end) else { continue };
            let (by, step) = (self.title(one), self.title(done));
            let (here, there) = (self.place(one), self.place(done));
            let early = catalogue::row_undone_early(here, there, by, self.rows.key, step, done.end as u64);
            self.differences.push(early);
        }
    }

    fn undoes(&self, one: &Timed, other: &Timed) -> bool {
        one.undoes && self.undone_by[one.step.index()].contains(&other.step)
    }

    /// Only other elements of the same list run during a compensation. Returns groups of compensations; `None` if they
    /// are uncertain.
    fn beside(&mut self, timed: &[Timed]) -> Option<Vec<CompensationGroup>> {
        // The last end of a step, and of a compensation.
        let mut last: [Option<Timed>; 2] = [None, None];
        let mut phases = vec![CompensationGroup::default()];
        let mut sound = true;
        for one in timed {
            let forward = last[0].filter(|_| one.undoes);
            let undoing = last[1].filter(|other| !self.may_share(one, other));
            for other in forward.into_iter().chain(undoing) {
                sound &= !one.at_once_with(&other) || one.undoes == other.undoes;
                if one.start < other.end {
                    sound = false;
                    self.overlap(one, &other);
                }
            }
            let last = &mut last[usize::from(one.undoes)];
            if last.is_none_or(|last| last.end <= one.end) {
                *last = Some(*one);
            }
            if !one.undoes && phases.last().is_some_and(|phase| !phase.by.is_empty()) {
                phases.push(CompensationGroup::default());
            }
            if let Some(CompensationGroup { done, by }) = phases.last_mut() {
                if one.undoes { by.push(*one) } else { done.push(*one) }
            }
        }
        sound.then_some(phases)
    }

    /// Whether two compensations may run in parallel: for elements of one list.
    fn may_share(&self, one: &Timed, other: &Timed) -> bool {
        let each = |id: &StepId| self.rows.graph().step(*id).each.is_some();
        one.step == other.step && self.undone_by[one.step.index()].iter().any(each)
    }

    fn overlap(&mut self, one: &Timed, other: &Timed) {
        // A compensation that began before its step had ended is already a difference.
        if !self.undoes(one, other) {
            let (here, there) = (self.place(one), self.place(other));
            let (step, beside) = (self.title(one), self.title(other));
            let overlap =
                catalogue::row_undone_beside(here, there, step, self.rows.key, beside, other.end as u64);
            self.differences.push(overlap);
        }
    }

    /// Among steps that were compensated together, each is the one that the engine would compensate next.
    fn order(&mut self, phase: &CompensationGroup) {
        let graph = self.rows.graph();
        let undone = self.undone(phase);
        // A shared compensation may belong to any of its steps, so its position in the order is unknown.
        let shared = |id: StepId| {
            let by = graph.step(id).compensate.filter(|by| !self.rows.of_step(*by).is_empty());
            by.is_some_and(|by| self.undone_by[by.index()].len() > 1)
        };
        // Even numbers, so that there is one between any two.
        let number = |one: &UndoneStep| {
            let earlier = undone.iter().filter(|other| other.done.is_some() && other.done < one.done);
            one.done.map_or(0, |_| 2 * (earlier.count() as u32 + 1))
        };
        let open =
            |one: &UndoneStep, number: u32| OpenEffect { step: one.step, rounds: one.rounds.clone(), number };
        let mut wrong = Vec::new();
        for one in &undone {
            let later = |effect: &OpenEffect| {
                let is_it =
                    |other: &&UndoneStep| (other.step, &other.rounds) == (effect.step, &effect.rounds);
                undone.iter().find(is_it).filter(|other| other.rank > one.rank)
            };
            // Rounds decide before the order of the steps.
            let depends = |other: &&UndoneStep| {
                let pair = [open(one, 1), open(other, 0)];
                pair[0].rounds == pair[1].rounds && graph.leads_to(one.step, &|step| step == other.step)
                    || pair[0].rounds != pair[1].rounds && next_compensated(graph, &pair) == Some(1)
            };
            if let Some(first) = undone.iter().rev().take_while(|other| other.rank > one.rank).find(depends) {
                wrong.push(self.misordered(one, first, true));
                continue;
            }
            let others = undone.iter().filter(|other| other.rank >= one.rank && !std::ptr::eq(*other, one));
            let mut left: Vec<OpenEffect> = others.map(|other| open(other, number(other))).collect();
            // Among equals this one may be next, and a step without a certain time is not certainly earlier than any.
            let own = open(one, if one.done.is_some() { number(one) + 1 } else { u32::MAX });
            left.push(own.clone());
            while let Some(next) = next_compensated(graph, &left).filter(|next| left[*next] != own) {
                let next = left.remove(next);
                if let Some(first) = later(&next).filter(|_| !graph.leads_to(next.step, &shared)) {
                    wrong.push(self.misordered(one, first, false));
                    break;
                }
            }
        }
        self.differences.append(&mut wrong);
    }

    fn misordered(&self, one: &UndoneStep, first: &UndoneStep, depends: bool) -> Diagnostic {
        let (step, last) = (self.rows.record.title(one.step), self.rows.record.title(first.step));
        let why = match depends {
            true => format!("`{last}` depends on `{step}`"),
            false => format!("`{last}` was done after `{step}`"),
        };
        let (here, there) = (self.place(&one.by), self.place(&first.by));
        let (by, before) = (self.title(&one.by), self.title(&first.by));
        catalogue::row_undone_order(here, there, by, self.rows.key, before, &why)
    }

    /// The steps that were compensated, by the first row of a compensation that is not shared: a failed compensation
    /// may be retried later.
    fn undone(&self, phase: &CompensationGroup) -> Vec<UndoneStep> {
        let mut undone: Vec<UndoneStep> = Vec::new();
        for one in &phase.by {
            let &[step] = self.undone_by[one.step.index()].as_slice() else { continue };
            let rounds = self.rows.record.rounds(one.row);
            if undone.iter().any(|known| (known.step, &known.rounds) == (step, &rounds)) {
                continue;
            }
            let rank = undone.last().map_or(0, |last| last.rank + usize::from(!last.by.at_once_with(one)));
            let done = self.done(step, &rounds, &phase.done);
            undone.push(UndoneStep { step, rounds, by: *one, rank, done });
        }
        undone
    }

    /// When a step had its effect: certain if its last execution succeeded, or those of all elements.
    fn done(&self, step: StepId, rounds: &[u32], done: &[Timed]) -> Option<f64> {
        let is_own = |one: &&Timed| one.step == step && self.rows.record.rounds(one.row) == rounds;
        let own: Vec<&Timed> = done.iter().filter(is_own).collect();
        let each = self.rows.graph().step(step).each.is_some();
        let decisive = if each { own.as_slice() } else { &own[own.len().saturating_sub(1)..] };
        let succeeded = decisive.iter().all(|one| self.rows.record.status(one.row) == Status::Success);
        decisive.iter().map(|one| one.end).max_by(f64::total_cmp).filter(|_| succeeded)
    }
}
