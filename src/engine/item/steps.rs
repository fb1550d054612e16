//! The states of all executions of an item, and counts of them, so that none of its questions goes through all steps.

use super::Moves;
use super::queue::Queue;
use super::state::{Attempts, End, StepState};
use crate::event::StepPath;
use crate::graph::StepId;
use std::collections::{BTreeMap, BTreeSet};

/// The states of all steps of an item, changed only by `set`, and counts of them.
#[derive(Debug, Default)]
pub(super) struct Steps {
    states: Vec<StepState>,
    /// The states of the elements of each spread step.
    elements: BTreeMap<StepId, Vec<StepState>>,
    /// The number of each execution's last attempt.
    numbers: BTreeMap<StepPath, u32>,
    /// Steps that have begun to wait and have not ended.
    open: u32,
    /// Executions that move on by themselves.
    active: u32,
    /// Steps that wait at a gate.
    gated: BTreeSet<StepPath>,
    /// Steps that wait for an event.
    awaiting: BTreeSet<StepPath>,
    /// Executions whose attempts wait for people or events, within the documents that they run.
    inside: BTreeSet<StepPath>,
    /// Executions whose answer is to be processed, in the order of their answers.
    answered: Queue,
    /// Steps whose conditions are to be decided, first come first.
    deciding: Vec<StepPath>,
    /// By these a stop finds what it concerns among very many elements.
    pending: BTreeSet<StepPath>,
    running: BTreeSet<StepPath>,
    unstopped: BTreeSet<StepPath>,
    /// Changes that the queue of ready steps has not taken over yet.
    pub moves: Moves,
}

impl Steps {
    /// `count` idle steps.
    pub fn new(count: usize) -> Steps {
        Steps { states: vec![StepState::Idle; count], ..Steps::default() }
    }

    /// Continues the attempt numbers of earlier steps, so that a late answer or timer of those never matches one of
    /// these.
    pub fn number_after(&mut self, earlier: Steps) {
        self.numbers = earlier.numbers;
    }

    pub fn state(&self, path: StepPath) -> &StepState {
        let state = match path.element {
            None => self.states.get(path.index()),
            Some(element) => self.elements.get(&path.step).and_then(|states| states.get(element as usize)),
        };
        state.unwrap_or(&StepState::Idle)
    }

    /// The only transition: sets the state of an execution and updates the counts.
    pub fn set(&mut self, path: StepPath, state: StepState) {
        let slot = match path.element {
            None => self.states.get_mut(path.index()),
            Some(element) => {
                self.elements.get_mut(&path.step).and_then(|states| states.get_mut(element as usize))
            }
        };
        let Some(slot) = slot else { return };
        // A forged journal may require other transitions; it is folded as far as its events are valid.
        assert!(!cfg!(test) || slot.may_become(&state), "{path:?} becomes {state:?} from {slot:?}");
        let before = std::mem::replace(slot, state);
        let now = &*slot;
        match (before.is_answered(), now.is_answered()) {
            (true, false) => self.answered.remove(path),
            (false, true) => self.answered.push(path),
            _ => {}
        }
        track(&mut self.deciding, path, before.is_deciding(), now.is_deciding());
        keep(&mut self.pending, path, before.is_pending(), now.is_pending());
        keep(&mut self.running, path, before.is_running(), now.is_running());
        keep(&mut self.unstopped, path, before.is_unstopped(), now.is_unstopped());
        keep(&mut self.gated, path, before.is_gated(), now.is_gated());
        keep(&mut self.awaiting, path, before.is_awaiting(), now.is_awaiting());
        keep(&mut self.inside, path, before.is_waiting_inside(), now.is_waiting_inside());
        let (was_active, is_active) = (before.is_active(), now.is_active());
        match now {
            StepState::Ready(_) => self.moves.ready.extend((!before.is_ready()).then_some(path)),
            StepState::Running { attempts, .. } => drop(self.numbers.insert(path, attempts.number)),
            _ => self.moves.withdrawn.extend(before.is_ready().then_some(path)),
        }
        let (was_open, is_open) = (before.is_open(), now.is_open());
        self.active = (self.active + u32::from(is_active)).saturating_sub(u32::from(was_active));
        if path.element.is_none() {
            self.open = (self.open + u32::from(is_open)).saturating_sub(u32::from(was_open));
        } else if was_open
            && !is_open
            && let StepState::Spread { open } = self.state(path.step.into())
        {
            let open = open.saturating_sub(1);
            self.set(path.step.into(), StepState::Spread { open });
        }
    }

    /// Makes an execution ready.
    pub fn make_ready(&mut self, path: StepPath) {
        let number = self.numbers.get(&path).copied().unwrap_or(0);
        self.set(path, StepState::Ready(Attempts { number, ..Attempts::default() }));
    }

    /// Spreads a step over the elements of a list; those that `runs` excludes have already succeeded.
    pub fn spread(&mut self, id: StepId, runs: &[bool]) {
        self.forget_elements(id);
        self.elements.insert(id, vec![StepState::Idle; runs.len()]);
        let open = runs.iter().filter(|runs| **runs).count() as u32;
        self.set(id.into(), StepState::Spread { open });
        for (runs, element) in runs.iter().zip(0..) {
            let path = StepPath::element(id, element);
            if *runs {
                self.make_ready(path);
            } else {
                self.set(path, StepState::Ended(End::Succeeded));
            }
        }
    }

    /// Removes the elements of a step.
    pub fn forget_elements(&mut self, id: StepId) {
        for (state, element) in self.elements.remove(&id).into_iter().flatten().zip(0..) {
            self.active = self.active.saturating_sub(u32::from(state.is_active()));
            if state.is_open() {
                let path = StepPath::element(id, element);
                self.inside.remove(&path);
                self.pending.remove(&path);
                self.running.remove(&path);
                self.unstopped.remove(&path);
            }
        }
    }

    /// The end of a step whose elements have ended.
    pub fn end_of_elements(&self, id: StepId) -> End {
        let Some(states) = self.elements.get(&id) else { return End::Blocked };
        let ends = states.iter().map(|state| state.end().unwrap_or(End::Blocked));
        ends.max().unwrap_or(End::Succeeded)
    }

    /// Whether every step has ended.
    pub fn all_ended(&self) -> bool {
        self.open == 0
    }

    pub fn answered(&self) -> Option<StepPath> {
        self.answered.first()
    }

    /// Steps that wait at a gate.
    pub fn gated(&self) -> &BTreeSet<StepPath> {
        &self.gated
    }

    /// Steps that wait for an event.
    pub fn awaiting(&self) -> &BTreeSet<StepPath> {
        &self.awaiting
    }

    /// Executions whose attempts wait within the documents that they run.
    pub fn inside(&self) -> &BTreeSet<StepPath> {
        &self.inside
    }

    /// Whether nothing moves on before a person has decided at a gate, or an event has come.
    pub fn rests(&self) -> bool {
        let waits = [&self.gated, &self.awaiting, &self.inside];
        self.active == 0 && waits.iter().any(|waits| !waits.is_empty())
    }

    pub fn deciding(&self) -> &[StepPath] {
        &self.deciding
    }

    /// Executions that have not started, or wait for their next attempt, in the order of `paths`.
    pub fn pending(&self) -> impl Iterator<Item = StepPath> + '_ {
        self.pending.iter().copied()
    }

    /// Running executions, in the order of `paths`.
    pub fn running(&self) -> impl Iterator<Item = StepPath> + '_ {
        self.running.iter().copied()
    }

    /// The running executions that have not been asked to stop.
    pub fn unstopped(&self) -> impl Iterator<Item = StepPath> + '_ {
        self.unstopped.iter().copied()
    }

    /// All executions: the elements of spread steps, and all other steps.
    pub fn paths(&self) -> impl Iterator<Item = StepPath> + '_ {
        self.states.iter().zip(0..).flat_map(|(state, id)| {
            let elements = match state {
                StepState::Spread { .. } => self.elements.get(&StepId(id)),
                _ => None,
            };
            let count = elements.map_or(0, |states| states.len() as u32);
            let whole = elements.is_none().then_some(StepPath::from(StepId(id)));
            whole.into_iter().chain((0..count).map(move |element| StepPath::element(StepId(id), element)))
        })
    }

    /// Checks the counts against the states.
    #[cfg(test)]
    pub fn recount(&self) {
        let is_open = |states: &[StepState]| states.iter().filter(|state| state.is_open()).count() as u32;
        assert_eq!(self.open, is_open(&self.states), "{self:#?}");
        let states = self.states.iter().chain(self.elements.values().flatten());
        let active = states.filter(|state| state.is_active()).count();
        assert_eq!(self.active as usize, active, "{self:#?}");
        for (id, states) in &self.elements {
            if let StepState::Spread { open } = self.states[id.index()] {
                assert_eq!(open, is_open(states), "{id:?} of {self:#?}");
            }
        }
        let whole = (0..self.states.len() as u32).map(|id| StepPath::from(StepId(id)));
        let elements = self.paths().filter(|path| path.element.is_some());
        let all: BTreeSet<StepPath> = whole.chain(elements).collect();
        let tracks = |set: &[StepPath], is: fn(&StepState) -> bool| {
            let mut set = set.to_vec();
            set.sort();
            assert!(set.iter().eq(all.iter().filter(|path| is(self.state(**path)))), "{set:?} of {self:#?}");
        };
        tracks(&self.answered.to_vec(), StepState::is_answered);
        tracks(&self.deciding, StepState::is_deciding);
        tracks(&Vec::from_iter(self.pending()), StepState::is_pending);
        tracks(&Vec::from_iter(self.running()), StepState::is_running);
        tracks(&Vec::from_iter(self.unstopped.iter().copied()), StepState::is_unstopped);
        tracks(&Vec::from_iter(self.gated.iter().copied()), StepState::is_gated);
        tracks(&Vec::from_iter(self.awaiting.iter().copied()), StepState::is_awaiting);
        tracks(&Vec::from_iter(self.inside.iter().copied()), StepState::is_waiting_inside);
        for path in all {
            if let StepState::Running { attempts, .. } = self.state(path) {
                assert_eq!(self.numbers.get(&path), Some(&attempts.number), "{path:?} of {self:#?}");
            }
        }
    }
}

/// Adds an execution to a set that it enters, and removes it from one that it leaves.
fn track(set: &mut Vec<StepPath>, path: StepPath, was_in: bool, is_in: bool) {
    if was_in && !is_in {
        set.retain(|other| *other != path);
    } else if is_in && !was_in {
        set.push(path);
    }
}

/// The same for a set in which each execution is once.
fn keep(set: &mut BTreeSet<StepPath>, path: StepPath, was_in: bool, is_in: bool) {
    if was_in && !is_in {
        set.remove(&path);
    } else if is_in && !was_in {
        set.insert(path);
    }
}
