//! What undoes, against the times of an item's rows: after all that it undoes, one step after the other, in the order
//! in which the engine undoes. Judges only rows that say when they began; of one moment it takes any order.

use super::super::document::Cell;
use super::Record;
use crate::diag::{Diagnostic, Span, catalogue};
use crate::engine::undone_next;
use crate::event::Status;
use crate::graph::{Kind, StepId};
use std::collections::BTreeMap;

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
    /// Whether nothing shows which of the two was first.
    fn at_once_with(&self, other: &Timed) -> bool {
        self.start == self.end && (self.start, self.end) == (other.start, other.end)
    }
}

/// A step that was undone, with the first row of its compensation.
struct Undone {
    step: StepId,
    by: Timed,
    /// Its place among those that were undone with it; those of one moment share theirs.
    rank: usize,
    /// When it was done, where that is certain.
    done: Option<f64>,
}

/// What ran before something was undone, and what was undone then.
#[derive(Default)]
struct Phase {
    done: Vec<Timed>,
    by: Vec<Timed>,
}

/// The rows of one item, and what is found of them.
struct Undoing<'a, 'f> {
    record: Record<'a>,
    key: &'f str,
    rows: &'f [Vec<usize>],
    /// The steps that each compensation undoes.
    undone_by: Vec<Vec<StepId>>,
    differences: &'f mut Vec<Diagnostic>,
}

impl Record<'_> {
    /// Checks the compensations of one item against what they undo. `rows` are those of each step, as recorded.
    pub(super) fn undoing(self, key: &str, rows: &[Vec<usize>], differences: &mut Vec<Diagnostic>) {
        if self.graph.compensations().all(|id| rows[id.index()].is_empty()) {
            return;
        }
        let mut undone_by = vec![Vec::new(); self.graph.steps.len()];
        for id in &self.graph.order {
            self.graph.step(*id).compensate.iter().for_each(|by| undone_by[by.index()].push(*id));
        }
        let mut undoing = Undoing { record: self, key, rows, undone_by, differences };
        undoing.again();
        let Some(timed) = undoing.timed() else { return };
        undoing.early(&timed);
        for phase in undoing.beside(&timed).unwrap_or_default() {
            undoing.order(&phase);
        }
    }
}

impl Undoing<'_, '_> {
    fn status(&self, row: usize) -> Status {
        self.record.rows[row].status
    }

    fn title(&self, timed: &Timed) -> &str {
        self.record.title(timed.step)
    }

    fn place(&self, timed: &Timed) -> Span {
        self.record.places[timed.row].cell(Cell::Started)
    }

    /// Every execution of a step is undone once.
    fn again(&mut self) {
        for by in self.record.graph.compensations() {
            let ran = |row: &&usize| self.status(**row) != Status::Skipped;
            let undoes = &self.undone_by[by.index()];
            let done = undoes.iter().flat_map(|id| &self.rows[id.index()]).filter(ran).count();
            let undone = self.rows[by.index()].iter().copied();
            let undone: Vec<usize> = undone.filter(|row| self.status(*row) == Status::Compensated).collect();
            if let (Some(second), true) = (undone.get(done), done > 0) {
                let places = [*second, undone[done - 1]].map(|row| self.record.places[row].cell(Cell::Phase));
                let title = self.record.title(by);
                self.differences.push(catalogue::row_undone_again(places[0], places[1], title, self.key));
            }
        }
    }

    /// What ran and what was undone, in the order of their times; none unless all rows have them.
    fn timed(&self) -> Option<Vec<Timed>> {
        let graph = self.record.graph;
        let mut timed = Vec::new();
        for (step, rows) in graph.ids().zip(self.rows) {
            let undoes = graph.step(step).kind == Kind::Compensation;
            let skipped = |row: usize| self.status(row) == Status::Skipped;
            let counts = |row: &&usize| undoes || (graph.step(step).kind == Kind::Forward && !skipped(**row));
            for row in rows.iter().filter(counts).copied() {
                let recorded = &self.record.rows[row];
                let start = recorded.started_ms? as f64;
                let duration = recorded.duration_ms.or(skipped(row).then_some(0.0))?;
                timed.push(Timed { row, step, undoes, start, end: start + duration.floor() });
            }
        }
        timed.sort_by(|one, other| one.start.total_cmp(&other.start).then(one.end.total_cmp(&other.end)));
        Some(timed)
    }

    /// Nothing is undone before it was done.
    fn early(&mut self, timed: &[Timed]) {
        for one in timed.iter().filter(|one| one.undoes) {
            let undoes = |done: &&Timed| self.undoes(one, done);
            let first = timed.iter().filter(undoes).min_by(|one, other| one.end.total_cmp(&other.end));
            let Some(done) = first.filter(|done| one.start < done.end) else { continue };
            let (by, step) = (self.title(one), self.title(done));
            let (here, there) = (self.place(one), self.place(done));
            let early = catalogue::row_undone_early(here, there, by, self.key, step, done.end as u64);
            self.differences.push(early);
        }
    }

    fn undoes(&self, one: &Timed, other: &Timed) -> bool {
        one.undoes && self.undone_by[one.step.index()].contains(&other.step)
    }

    /// Nothing runs beside what undoes, but other elements of the same list. Returns what was undone together; none
    /// where that is not certain.
    fn beside(&mut self, timed: &[Timed]) -> Option<Vec<Phase>> {
        // Of what ran and of what undoes, that which ended last.
        let mut last: [Option<Timed>; 2] = [None, None];
        let mut phases = vec![Phase::default()];
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
                phases.push(Phase::default());
            }
            if let Some(Phase { done, by }) = phases.last_mut() {
                if one.undoes { by.push(*one) } else { done.push(*one) }
            }
        }
        sound.then_some(phases)
    }

    /// Whether two compensations may run side by side: for elements of one list.
    fn may_share(&self, one: &Timed, other: &Timed) -> bool {
        let each = |id: &StepId| self.record.graph.step(*id).each.is_some();
        one.step == other.step && self.undone_by[one.step.index()].iter().any(each)
    }

    fn overlap(&mut self, one: &Timed, other: &Timed) {
        // That it began before what it undoes had ended is a difference already.
        if !self.undoes(one, other) {
            let (here, there) = (self.place(one), self.place(other));
            let (step, beside) = (self.title(one), self.title(other));
            let overlap = catalogue::row_undone_beside(here, there, step, self.key, beside, other.end as u64);
            self.differences.push(overlap);
        }
    }

    /// Of what was undone together, each step is the one that the engine undoes next of those that are left.
    fn order(&mut self, phase: &Phase) {
        let graph = self.record.graph;
        let undone = self.undone(phase);
        // What several steps share may undo any of them; nothing shows when what they follow on is free.
        let shared = |id: StepId| {
            let by = graph.step(id).compensate.filter(|by| !self.rows[by.index()].is_empty());
            by.is_some_and(|by| self.undone_by[by.index()].len() > 1)
        };
        // Even numbers, so that there is one between each two.
        let number = |one: &Undone| {
            let earlier = undone.iter().filter(|other| other.done.is_some() && other.done < one.done);
            one.done.map_or(0, |_| 2 * (earlier.count() as u32 + 1))
        };
        let mut wrong = Vec::new();
        for one in &undone {
            let later =
                |step: StepId| undone.iter().find(|other| other.step == step && other.rank > one.rank);
            let depends = |other: &&Undone| graph.leads_to(one.step, &|step| step == other.step);
            if let Some(first) = undone.iter().rev().take_while(|other| other.rank > one.rank).find(depends) {
                wrong.push(self.misordered(one, first, true));
                continue;
            }
            let left = undone.iter().filter(|other| other.rank >= one.rank);
            let mut left: BTreeMap<StepId, u32> = left.map(|other| (other.step, number(other))).collect();
            // Of equals this one may be next, and nothing is certainly later than what has no certain time.
            left.insert(one.step, if one.done.is_some() { number(one) + 1 } else { u32::MAX });
            while let Some(next) = undone_next(graph, &left).filter(|next| *next != one.step) {
                left.remove(&next);
                if let Some(first) = later(next).filter(|_| !graph.leads_to(next, &shared)) {
                    wrong.push(self.misordered(one, first, false));
                    break;
                }
            }
        }
        self.differences.append(&mut wrong);
    }

    fn misordered(&self, one: &Undone, first: &Undone, depends: bool) -> Diagnostic {
        let (step, last) = (self.record.title(one.step), self.record.title(first.step));
        let why = match depends {
            true => format!("`{last}` depends on `{step}`"),
            false => format!("`{last}` was done after `{step}`"),
        };
        let (here, there) = (self.place(&one.by), self.place(&first.by));
        let (by, before) = (self.title(&one.by), self.title(&first.by));
        catalogue::row_undone_order(here, there, by, self.key, before, &why)
    }

    /// The steps that were undone, by the first row of a compensation that undoes nothing else: what could not be undone
    /// may be tried again later.
    fn undone(&self, phase: &Phase) -> Vec<Undone> {
        let mut undone: Vec<Undone> = Vec::new();
        for one in &phase.by {
            let &[step] = self.undone_by[one.step.index()].as_slice() else { continue };
            if undone.iter().any(|known| known.step == step) {
                continue;
            }
            let rank = undone.last().map_or(0, |last| last.rank + usize::from(!last.by.at_once_with(one)));
            undone.push(Undone { step, by: *one, rank, done: self.done(step, &phase.done) });
        }
        undone
    }

    /// When a step had its effect: certain where its last execution succeeded, or those of all elements.
    fn done(&self, step: StepId, done: &[Timed]) -> Option<f64> {
        let own: Vec<&Timed> = done.iter().filter(|one| one.step == step).collect();
        let each = self.record.graph.step(step).each.is_some();
        let decisive = if each { own.as_slice() } else { &own[own.len().saturating_sub(1)..] };
        let succeeded = decisive.iter().all(|one| self.status(one.row) == Status::Success);
        decisive.iter().map(|one| one.end).max_by(f64::total_cmp).filter(|_| succeeded)
    }
}
