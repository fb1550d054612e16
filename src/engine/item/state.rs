//! The states of an item's steps, the transitions between them, and counts of them. Does not know why a step changes
//! its state, or what follows from it.
//!
//! ```text
//! Waiting → Deciding → Ready → Running → Answered → Ended
//!              ↓         ↑ ↑                 ↓
//!            Gated ──────┘ └──── Backoff ←───┘
//! ```
//!
//! A step that waits for an event is Awaiting between its gates and Ready.
//!
//! A step that runs for each element of a list goes from Deciding to Spread; its elements go from Ready to Ended, and
//! it ends after the last of them.

use super::Moves;
use super::queue::Queue;
use crate::event::{Answer, GateId, Millis, Status, StepPath, StopReason, WaitsFor};
use crate::graph::{Step, StepId};
use crate::spec::Mark;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The state of one execution: a step, or one element of a step that runs for each element of a list.
#[derive(Clone, Debug)]
pub(super) enum StepState {
    /// Not called yet: a failure handler, a compensation, or a step of another item.
    Idle,
    /// This many of its needs have not ended.
    Waiting {
        missing: u32,
    },
    /// Its needs have ended; its conditions are to be decided.
    Deciding,
    /// It could start, but waits at this gate; or the gate was shut, and its end is to be decided.
    Gated(GateId),
    /// It could start, but waits for an event; or that did not come in time, and its end is to be decided.
    Awaiting,
    /// Can start as soon as the limits allow.
    Ready(Attempts),
    Running {
        attempts: Attempts,
        started: Millis,
        stop: Option<StopReason>,
        /// Since when it waits for people or events, within the document that it runs.
        waits: Option<(Millis, WaitsFor)>,
    },
    /// The attempt has ended; the next event is not decided yet.
    Answered {
        attempts: Attempts,
        started: Millis,
        finished: Millis,
        stop: Option<StopReason>,
        result: Answer,
    },
    /// The next attempt waits for its time.
    Backoff {
        attempts: Attempts,
        due: Millis,
    },
    /// This many of its elements have not ended.
    Spread {
        open: u32,
    },
    Ended(End),
}

impl StepState {
    /// All transitions: the states from which each can be reached.
    fn may_become(&self, next: &StepState) -> bool {
        use StepState::*;
        match next {
            // The item is requeued: any step that is not running may become pending again.
            Idle | Waiting { .. } => !matches!(self, Running { .. } | Answered { .. } | Backoff { .. }),
            // A compensation starts from Idle, or from Ended after it compensated another step.
            Deciding => matches!(self, Idle | Waiting { .. } | Ended(_)),
            Gated(_) => matches!(self, Idle | Waiting { .. } | Deciding | Gated(_)),
            Awaiting => matches!(self, Idle | Waiting { .. } | Deciding | Gated(_)),
            Ready(_) => {
                let waits = matches!(self, Waiting { .. } | Deciding | Gated(_) | Awaiting);
                waits || matches!(self, Idle | Backoff { .. } | Ended(_))
            }
            Spread { .. } => {
                let waits = matches!(self, Waiting { .. } | Deciding | Gated(_) | Awaiting);
                waits || matches!(self, Idle | Spread { .. } | Ended(_))
            }
            // From Running when it is asked to stop, or repeated by another runner.
            Running { .. } => matches!(self, Ready(_) | Running { .. }),
            // If it is stopped before another attempt, the answer of the last one counts.
            Answered { .. } => matches!(self, Running { .. } | Ready(_) | Backoff { .. }),
            Backoff { .. } => matches!(self, Answered { .. }),
            Ended(_) => !matches!(self, Running { .. } | Backoff { .. }),
        }
    }

    /// Whether the item waits for this execution to end.
    fn is_open(&self) -> bool {
        !matches!(self, StepState::Idle | StepState::Ended(_))
    }

    /// Whether its answer, or those of all its elements, is to be processed.
    fn is_answered(&self) -> bool {
        matches!(self, StepState::Answered { .. } | StepState::Spread { open: 0 })
    }

    /// Whether it may start without another event of its own.
    fn is_pending(&self) -> bool {
        use StepState::*;
        matches!(self, Waiting { .. } | Deciding | Gated(_) | Awaiting | Ready(_) | Backoff { .. })
    }

    fn is_running(&self) -> bool {
        matches!(self, StepState::Running { .. })
    }

    /// Whether it is running and has not been asked to stop.
    fn is_unstopped(&self) -> bool {
        matches!(self, StepState::Running { stop: None, .. })
    }

    /// Whether it moves on without a person, an event, or a step before it.
    fn is_active(&self) -> bool {
        match self {
            StepState::Running { waits: Some(_), stop: None, .. } => false,
            StepState::Deciding
            | StepState::Ready(_)
            | StepState::Running { .. }
            | StepState::Answered { .. }
            | StepState::Backoff { .. }
            | StepState::Spread { open: 0 } => true,
            // Its elements may be.
            StepState::Spread { .. }
            | StepState::Idle
            | StepState::Waiting { .. }
            | StepState::Gated(_)
            | StepState::Awaiting
            | StepState::Ended(_) => false,
        }
    }

    /// Whether its attempt waits for people or events.
    fn is_waiting_inside(&self) -> bool {
        matches!(self, StepState::Running { waits: Some(_), .. })
    }

    fn is_gated(&self) -> bool {
        matches!(self, StepState::Gated(_))
    }

    fn is_awaiting(&self) -> bool {
        matches!(self, StepState::Awaiting)
    }

    fn is_deciding(&self) -> bool {
        matches!(self, StepState::Deciding)
    }

    pub fn is_ready(&self) -> bool {
        matches!(self, StepState::Ready(_))
    }

    pub fn end(&self) -> Option<End> {
        if let StepState::Ended(end) = self { Some(*end) } else { None }
    }

    /// An execution whose next attempt is cancelled ends with the answer of its last one.
    pub fn without_retry(&self, why: StopReason) -> Option<StepState> {
        let (StepState::Backoff { attempts, .. } | StepState::Ready(attempts)) = self else { return None };
        let LastAnswer { started, finished, result } = &**attempts.last.as_ref()?;
        Some(StepState::Answered {
            attempts: attempts.clone(),
            started: *started,
            finished: *finished,
            stop: Some(why),
            result: result.clone(),
        })
    }
}

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

/// The attempts of one execution so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempts {
    /// The number of the last attempt. Numbers continue over the executions of a step, so that an answer or a timer of
    /// an earlier execution never matches this one.
    pub number: u32,
    /// Attempts begun in this execution.
    pub tries: u32,
    /// When the first began, without the time that they waited for people or events.
    pub since: Option<Millis>,
    /// How long the last one waited for them.
    pub waited: Millis,
    /// The last attempt was made before, by a runner that has exited.
    pub repeated: bool,
    pub tokens: Option<u64>,
    /// How the last attempt ended, while another is planned: if that is cancelled, this was the execution's end.
    pub last: Option<Arc<LastAnswer>>,
}

#[derive(Clone, Debug)]
pub(super) struct LastAnswer {
    pub started: Millis,
    pub finished: Millis,
    pub result: Answer,
}

impl Attempts {
    pub fn began(self, at: Millis) -> Attempts {
        Attempts {
            number: self.number + 1,
            tries: self.tries + 1,
            last: None,
            since: self.since.or(Some(at)),
            waited: 0,
            repeated: false,
            ..self
        }
    }

    pub fn spent(self, tokens: Option<u64>) -> Attempts {
        let sum = |a: u64, b: u64| a.saturating_add(b);
        let tokens = match (self.tokens, tokens) {
            (Some(a), Some(b)) => Some(sum(a, b)),
            (a, b) => a.or(b),
        };
        Attempts { tokens, ..self }
    }
}

/// In the order in which the end of one element determines that of its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Succeeded,
    /// Did not run because a condition skipped it: it has a row.
    Skipped,
    /// Did not run because something it needs is absent: a value, or the decision that leads to it.
    Absent,
    /// Did not run because a decision ended the item.
    ItemEnded,
    /// Failed, but is optional.
    FailedOptional,
    /// Did not run because a step before it failed or the item was stopped.
    Blocked,
    Cancelled,
    Failed,
}

impl End {
    /// The end of a step by the status of an execution.
    pub fn of(step: &Step, status: Status) -> End {
        match status {
            Status::Success | Status::Compensated => End::Succeeded,
            Status::Cancelled => End::Cancelled,
            Status::Skipped => End::Skipped,
            Status::Failed | Status::Timeout | Status::CompensationFailed => match step.mark {
                Some(Mark::Optional) => End::FailedOptional,
                Some(Mark::Critical) | None => End::Failed,
            },
        }
    }

    /// Whether this end prevents the steps after it from running.
    pub fn blocks(self) -> bool {
        match self {
            End::Failed | End::Cancelled | End::Blocked => true,
            End::Succeeded | End::Skipped | End::Absent | End::ItemEnded | End::FailedOptional => false,
        }
    }
}

/// Whether the end of an execution prevents the steps after it from running.
pub fn is_failed(step: &Step, status: Status) -> bool {
    End::of(step, status).blocks()
}
