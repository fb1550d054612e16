//! The rounds of loops in a record: each after the one before, not more than the loop has, and none after its condition
//! held. The other checks judge the last round.

use super::super::document::Cell;
use super::DocumentRecord;
use super::item::ItemRows;
use crate::diag::{Diagnostic, catalogue};
use crate::engine::is_failed;
use crate::event::Status;
use crate::graph::{Graph, Repeat, RepeatId, StepId, ValueId};
use crate::value::Value;
use std::collections::BTreeMap;

/// The rows of a loop in one round, by the rounds of the loops around it and its own.
type ByRound = BTreeMap<Vec<u32>, Vec<usize>>;

/// Leaves the rows of the last rounds; those of steps outside of loops stay.
pub(super) fn last_rounds(record: DocumentRecord<'_>, steps: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let graph = record.graph;
    let mut last: BTreeMap<RepeatId, u32> = BTreeMap::new();
    for (id, repeat) in loops(graph) {
        let rows = rows_of(record, steps, id, repeat);
        let around: Vec<RepeatId> = around(graph, repeat, id).to_vec();
        let is_last = |rounds: &&Vec<u32>| {
            around.iter().zip(rounds.iter()).all(|(id, round)| last.get(id).is_none_or(|last| last == round))
        };
        if let Some(round) = rows.keys().filter(is_last).filter_map(|rounds| rounds.last()).max() {
            last.insert(id, *round);
        }
    }
    let in_last = |step: usize, row: usize| {
        let repeats = &graph.steps[step].repeats;
        repeats
            .iter()
            .zip(record.rounds(row))
            .all(|(id, round)| last.get(id).is_none_or(|last| *last == round))
    };
    let left =
        |(step, rows): (usize, &Vec<usize>)| rows.iter().copied().filter(|row| in_last(step, *row)).collect();
    steps.iter().enumerate().map(left).collect()
}

/// The loops, each after those around it.
fn loops(graph: &Graph) -> impl Iterator<Item = (RepeatId, &Repeat)> {
    let all = graph.repeats.iter().zip(0..).map(|(repeat, id)| (RepeatId(id), repeat));
    all.filter(|(_, repeat)| !repeat.steps.is_empty())
}

/// The loops around a loop, the outermost first.
fn around<'g>(graph: &'g Graph, repeat: &Repeat, id: RepeatId) -> &'g [RepeatId] {
    let repeats = repeat.steps.first().map_or(&[][..], |step| graph.step(*step).repeats.as_slice());
    &repeats[..repeats.iter().position(|known| *known == id).unwrap_or(0)]
}

fn rows_of(record: DocumentRecord<'_>, steps: &[Vec<usize>], id: RepeatId, repeat: &Repeat) -> ByRound {
    let depth = around(record.graph, repeat, id).len() + 1;
    let mut found = ByRound::new();
    for row in repeat.steps.iter().flat_map(|step| &steps[step.index()]) {
        let rounds = record.rounds(*row);
        if let Some(rounds) = rounds.get(..depth) {
            found.entry(rounds.to_vec()).or_default().push(*row);
        }
    }
    found
}

impl ItemRows<'_> {
    /// Rounds that cannot have been. The rows of a record without rounds are not judged.
    pub fn rounds(&self, is_own: &dyn Fn(StepId) -> bool, differences: &mut Vec<Diagnostic>) {
        let own = |repeat: &Repeat| repeat.steps.first().is_some_and(|step| is_own(*step));
        for (id, repeat) in loops(self.graph()).filter(|(_, repeat)| own(repeat)) {
            let rows = rows_of(self.record, self.every(), id, repeat);
            for (rounds, of_round) in &rows {
                let (Some((round, outer)), Some(row)) = (rounds.split_last(), of_round.first()) else {
                    continue;
                };
                // Without items, rows of one item may count as those of several.
                if self.record.rows[*row].item.is_none() {
                    continue;
                }
                let before: Vec<u32> = outer.iter().copied().chain([round.saturating_sub(1)]).collect();
                let why = if *round > repeat.most {
                    format!("the loop has at most {} rounds", repeat.most)
                } else if *round < 2 {
                    continue;
                } else {
                    match rows.get(&before) {
                        None => "the round before it has no row".to_owned(),
                        Some(earlier) if self.held(repeat, earlier) => {
                            let until = repeat.until.condition.text.trim();
                            format!("`{until}` held after the round before")
                        }
                        Some(earlier) => match self.failed(earlier) {
                            Some(title) => format!("`{title}` failed in the round before"),
                            None => continue,
                        },
                    }
                };
                let place = self.record.place(*row, Cell::Phase);
                let title = self.record.step(*row).map_or("", |step| self.record.title(step));
                differences.push(catalogue::row_round(place, title, self.key, *round, &why));
            }
        }
    }

    /// The step by which a round ended its loop.
    fn failed(&self, rows: &[usize]) -> Option<&str> {
        let mut last: BTreeMap<(StepId, Vec<u32>, Option<&str>), usize> = BTreeMap::new();
        for row in rows {
            let step = self.record.step(*row)?;
            // A loop that failed since its rounds did not suffice may have been retried.
            if self.is_of_loop(step, *row) {
                continue;
            }
            let each = self.graph().step(step).each.is_some();
            let element = self.record.rows[*row].input.as_deref().filter(|_| each);
            last.insert((step, self.record.rounds(*row), element), *row);
        }
        let failed = |((step, ..), row): (&(StepId, Vec<u32>, Option<&str>), &usize)| {
            let failed = is_failed(self.graph().step(*step), self.record.status(*row));
            failed.then(|| self.record.title(*step))
        };
        last.iter().find_map(failed)
    }

    /// Whether the condition of a loop certainly held after a round.
    fn held(&self, repeat: &Repeat, rows: &[usize]) -> bool {
        let mut known: BTreeMap<ValueId, Value> = BTreeMap::new();
        // A step that was retried may have made a value before, and none in the end.
        let is_last =
            |row: &usize| rows.iter().all(|other| other <= row || !self.record.is_same_step(*row, *other));
        let made = |row: &&usize| self.record.status(**row) == Status::Success && is_last(row);
        for row in rows.iter().filter(made) {
            known.extend(self.record.made(*row));
        }
        let value = |name: &str| {
            let (_, id) = repeat.until.names.iter().find(|(known, _)| known == name)?;
            known.get(id)
        };
        repeat.until.names.iter().all(|(_, id)| known.contains_key(id))
            && repeat.until.condition.holds(&value).unwrap_or(false)
    }
}
