//! Which of the document's states an item can have been in when its steps ran, as its rows tell. Steps that change the
//! state are in the order of the graph, so no times are needed.

use super::super::document::Cell;
use super::Record;
use crate::diag::{Diagnostic, catalogue};
use crate::event::Status;
use crate::graph::{Kind, Passage, StateId, StepId};
use std::collections::{BTreeMap, BTreeSet};

/// The states of one item, and what is found of them.
struct States<'a, 'f> {
    record: Record<'a>,
    key: &'f str,
    rows: &'f [Vec<usize>],
    /// Those that it can be in; several where the rows leave that open.
    now: BTreeSet<StateId>,
    /// The row whose step led there last.
    by: Option<usize>,
    differences: &'f mut Vec<Diagnostic>,
}

impl Record<'_> {
    /// Holds one item's rows against the states that they go through. `rows` are those of each step, as recorded;
    /// of some steps that have none it is not certain that they did not run.
    pub(super) fn states(
        self,
        key: &str,
        rows: &[Vec<usize>],
        may_have_run: &dyn Fn(StepId) -> bool,
        differences: &mut Vec<Diagnostic>,
    ) {
        let Some(initial) = self.graph.initial else { return };
        let now = BTreeSet::from([initial]);
        let mut states = States { record: self, key, rows, now, by: None, differences };
        let ever = states.forward(may_have_run);
        states.behind(ever);
    }
}

impl<'a> States<'a, '_> {
    fn passage(&self, id: StepId) -> Option<&'a Passage> {
        self.record.graph.step(id).state.as_ref()
    }

    fn status(&self, row: usize) -> Status {
        self.record.rows[row].status
    }

    /// Goes through the forward steps. Returns all states that the item can ever have been in.
    fn forward(&mut self, may_have_run: &dyn Fn(StepId) -> bool) -> BTreeSet<StateId> {
        let graph = self.record.graph;
        let mut ever = self.now.clone();
        for id in &graph.order {
            let Some(passage) = self.passage(*id) else { continue };
            self.start(*id, passage);
            let led = lead(&self.now, passage);
            match self.succeeded(*id) {
                Some(true) => {
                    self.by = self.rows[id.index()].last().copied();
                    self.now = led;
                }
                Some(false) => {}
                None if may_have_run(*id) => self.now.extend(led),
                None => {}
            }
            ever.extend(&self.now);
        }
        ever
    }

    /// Goes through failure handlers and what undoes, which come at any time.
    fn behind(&mut self, ever: BTreeSet<StateId>) {
        let graph = self.record.graph;
        self.now = ever;
        let behind = || graph.compensations().chain(graph.handlers());
        let led: Vec<&Passage> = behind()
            .filter(|id| self.rows[id.index()].iter().any(|row| is_done(self.status(*row))))
            .filter_map(|id| self.passage(id))
            .collect();
        // Each may make another possible.
        for _ in &led {
            let further: Vec<StateId> = led.iter().flat_map(|passage| lead(&self.now, passage)).collect();
            self.now.extend(further);
        }
        self.by = None;
        for id in graph.handlers() {
            self.passage(id).into_iter().for_each(|passage| self.start(id, passage));
        }
    }

    /// Whether all that is recorded of a step succeeded in the end; none where nothing is.
    fn succeeded(&self, id: StepId) -> Option<bool> {
        let each = self.record.graph.step(id).each.is_some();
        let mut last: BTreeMap<Option<&str>, Status> = BTreeMap::new();
        for row in &self.rows[id.index()] {
            let element = self.record.rows[*row].input.as_deref().filter(|_| each);
            last.insert(element, self.status(*row));
        }
        (!last.is_empty()).then(|| last.into_values().all(is_done))
    }

    /// A step starts only in its states.
    fn start(&mut self, id: StepId, passage: &Passage) {
        if self.record.graph.step(id).kind == Kind::Compensation
            || passage.from.iter().any(|state| self.now.contains(state))
        {
            return;
        }
        // Nobody was asked to do what failed because of its state.
        let ran = |row: &&usize| is_done(self.status(**row)) || self.record.rows[**row].attempt.is_some();
        let Some(row) = self.rows[id.index()].iter().find(ran) else { return };
        let names = |states: &mut dyn Iterator<Item = &StateId>| {
            states.map(|state| self.record.graph.state(*state)).collect::<Vec<_>>()
        };
        let (from, now) = (names(&mut passage.from.iter()), names(&mut self.now.iter()));
        let place = self.record.places[*row].cell(Cell::Phase);
        let title = self.record.title(id);
        let led = self.by.and_then(|row| Some((row, self.record.title(self.record.step(row)?))));
        let led = led.map(|(row, title)| (self.record.places[row].cell(Cell::Phase), title));
        self.differences.push(catalogue::row_state(place, title, self.key, &from, &now, led));
        // What follows is held against what the row says.
        self.now = passage.from.iter().copied().collect();
    }
}

fn is_done(status: Status) -> bool {
    matches!(status, Status::Success | Status::Compensated)
}

/// Where the success of a step leads from those states in which it starts.
fn lead(now: &BTreeSet<StateId>, passage: &Passage) -> BTreeSet<StateId> {
    let starts = now.iter().filter(|state| passage.from.contains(state));
    starts.map(|state| passage.to.unwrap_or(*state)).collect()
}
