//! What undoes, against the times of an item's rows: after all that it undoes, one step after the other, what was done
//! last first. Judges only rows that say when they began; of a moment at which much happened it takes any order.

use super::super::document::Cell;
use super::Record;
use crate::diag::{Diagnostic, catalogue};
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
    fn is_moment(&self) -> bool {
        self.start == self.end
    }

    /// Whether nothing tells which of the two was first.
    fn at_once_with(&self, other: &Timed) -> bool {
        self.is_moment() && (self.start, self.end) == (other.start, other.end)
    }
}

/// A step that was undone, with the row that tells of it first.
struct Undone {
    step: StepId,
    by: Timed,
    /// Its place among those that were undone with it; those of one moment share theirs.
    rank: usize,
    /// When it was done, where that is certain.
    done: Option<f64>,
}

/// What follows on a step and was undone with it.
#[derive(Clone, Copy, Default)]
struct Behind {
    /// The last of it, with its place.
    last: Option<(usize, StepId)>,
    /// Nothing tells when all of it was.
    unsure: bool,
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
    /// Holds the compensations of one item against what they undo. `rows` are those of each step, as recorded.
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
        let Some(phases) = undoing.beside(&timed) else { return };
        phases.iter().for_each(|phase| undoing.order(phase));
    }
}

impl Undoing<'_, '_> {
    fn status(&self, row: usize) -> Status {
        self.record.rows[row].status
    }

    fn title(&self, timed: &Timed) -> &str {
        self.record.title(timed.step)
    }

    fn place(&self, timed: &Timed) -> crate::diag::Span {
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

    /// What ran and what was undone, in the order of their times; none unless all of it tells them.
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
        let mut first: BTreeMap<StepId, &Timed> = BTreeMap::new();
        for one in timed.iter().filter(|one| !one.undoes) {
            if let Some(by) = self.record.graph.step(one.step).compensate {
                let known = first.entry(by).or_insert(one);
                if one.end < known.end {
                    *known = one;
                }
            }
        }
        for one in timed.iter().filter(|one| one.undoes) {
            let Some(done) = first.get(&one.step).filter(|done| one.start < done.end) else { continue };
            let (by, step) = (self.title(one), self.title(done));
            let (here, there) = (self.place(one), self.place(done));
            let told = catalogue::row_undone_early(here, there, by, self.key, step, done.end as u64);
            self.differences.push(told);
        }
    }

    /// Nothing runs beside what undoes, but other elements of the same list. Returns what was undone together, in its
    /// order, with what ran before; none where that is not certain.
    fn beside(&mut self, timed: &[Timed]) -> Option<Vec<(Vec<Timed>, Vec<Timed>)>> {
        let (mut forward, mut undoing): (Option<Timed>, Option<Timed>) = (None, None);
        let mut phases: Vec<(Vec<Timed>, Vec<Timed>)> = vec![Default::default()];
        let mut sound = true;
        for one in timed {
            let before =
                [forward.filter(|_| one.undoes), undoing.filter(|other| !self.may_share(one, other))];
            for other in before.into_iter().flatten() {
                sound &= !one.at_once_with(&other) || one.undoes == other.undoes;
                if one.start < other.end {
                    sound = false;
                    self.told_beside(one, &other);
                }
            }
            let last = if one.undoes { &mut undoing } else { &mut forward };
            if last.is_none_or(|last| last.end <= one.end) {
                *last = Some(*one);
            }
            if !one.undoes && phases.last().is_some_and(|(_, undone)| !undone.is_empty()) {
                phases.push(Default::default());
            }
            if let Some((done, undone)) = phases.last_mut() {
                if one.undoes { undone.push(*one) } else { done.push(*one) }
            }
        }
        sound.then_some(phases)
    }

    /// Whether two compensations may run side by side: for elements of one list.
    fn may_share(&self, one: &Timed, other: &Timed) -> bool {
        let graph = self.record.graph;
        one.step == other.step
            && self.undone_by[one.step.index()].iter().any(|id| graph.step(*id).each.is_some())
    }

    fn told_beside(&mut self, one: &Timed, other: &Timed) {
        // That is told already.
        if one.undoes && self.record.graph.step(other.step).compensate == Some(one.step) {
            return;
        }
        let (here, there) = (self.place(one), self.place(other));
        let (step, beside) = (self.title(one), self.title(other));
        let told = catalogue::row_undone_beside(here, there, step, self.key, beside, other.end as u64);
        self.differences.push(told);
    }

    /// Of what was undone together, what follows on a step comes before it, and what was done last comes first.
    fn order(&mut self, (done, by): &(Vec<Timed>, Vec<Timed>)) {
        let undone = self.undone(done, by);
        let behind = self.behind(&undone);
        for (at, one) in undone.iter().enumerate() {
            let late = behind[one.step.index()].last.filter(|(rank, _)| *rank > one.rank);
            let first = match late {
                Some((_, step)) => undone.iter().find(|other| other.step == step).map(|other| (other, true)),
                None => {
                    let later = undone[at + 1..].iter().filter(|other| other.rank > one.rank);
                    let free = |other: &&Undone| {
                        let behind = behind[other.step.index()];
                        !behind.unsure && behind.last.is_none_or(|(rank, _)| rank < one.rank)
                    };
                    let after = |other: &&Undone| other.done.zip(one.done).is_some_and(|(b, a)| b > a);
                    { later }.find(|other| free(other) && after(other)).map(|other| (other, false))
                }
            };
            if let Some((first, depends)) = first {
                self.told_order(one, first, depends);
            }
        }
    }

    fn told_order(&mut self, one: &Undone, first: &Undone, depends: bool) {
        let (step, last) = (self.record.title(one.step), self.record.title(first.step));
        let why = match depends {
            true => format!("`{last}` depends on `{step}`"),
            false => format!("`{last}` was done after `{step}`"),
        };
        let (here, there) = (self.place(&one.by), self.place(&first.by));
        let (by, before) = (self.title(&one.by), self.title(&first.by));
        let told = catalogue::row_undone_order(here, there, by, self.key, before, &why);
        self.differences.push(told);
    }

    /// The steps that were undone and that nothing else can be taken for, by the first of their rows: what could not
    /// be undone may be tried again later.
    fn undone(&self, done: &[Timed], by: &[Timed]) -> Vec<Undone> {
        let mut undone: Vec<Undone> = Vec::new();
        for one in by {
            let &[step] = self.undone_by[one.step.index()].as_slice() else { continue };
            if undone.iter().any(|known| known.step == step) {
                continue;
            }
            let rank = match undone.last() {
                Some(last) => last.rank + usize::from(!last.by.at_once_with(one)),
                None => 0,
            };
            undone.push(Undone { step, by: *one, rank, done: self.done(step, done) });
        }
        undone
    }

    /// When a step had its effect: certain where it succeeded.
    fn done(&self, step: StepId, done: &[Timed]) -> Option<f64> {
        let succeeded = |one: &&Timed| self.status(one.row) == Status::Success;
        let mut own = done.iter().filter(|one| one.step == step).peekable();
        if self.record.graph.step(step).each.is_none() {
            return own.last().filter(succeeded).map(|one| one.end);
        }
        let some = own.peek().is_some();
        let all = own.try_fold(0.0, |last, one| succeeded(&one).then(|| f64::max(last, one.end)));
        all.filter(|_| some)
    }

    /// By step.
    fn behind(&self, undone: &[Undone]) -> Vec<Behind> {
        let graph = self.record.graph;
        let ranks: BTreeMap<StepId, usize> = undone.iter().map(|one| (one.step, one.rank)).collect();
        let shared = |id: StepId| {
            let by = graph.step(id).compensate.filter(|by| !self.rows[by.index()].is_empty());
            by.is_some_and(|by| self.undone_by[by.index()].len() > 1)
        };
        let mut behind = vec![Behind::default(); graph.steps.len()];
        for id in graph.order.iter().rev() {
            let mut all = Behind::default();
            for next in &graph.step(*id).dependents {
                let further = behind[next.index()];
                all.unsure |= further.unsure || shared(*next);
                let own = ranks.get(next).map(|rank| (*rank, *next));
                all.last = all.last.max(further.last).max(own);
            }
            behind[id.index()] = all;
        }
        behind
    }
}
