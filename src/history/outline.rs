//! The progress and state of a stored run, folded from its events: counts, and the failed items.

use crate::engine::Tally;
use crate::event::{
    AttemptEvent, Event, EventKind, GateId, ItemEvent, ItemId, ItemState, Millis, RunEvent, StepEvent,
    StepId, StepPath, StopReason,
};
use crate::graph::Graph;
use crate::runtime::Observer;
use crate::session::Entries;
use crate::spec::Tolerance;
use crate::stats::{self, Dimension, Live, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A runner holds its lock.
    Running,
    /// It was interrupted or killed; `orderflow resume` continues it.
    Paused,
    /// No process runs it, and its items wait for a person at a gate, or for an event.
    Waiting,
    /// It ended with no more failures than tolerated.
    Done,
    /// It ended like a done run, but an expectation of its document is not met.
    Unmet,
    /// It ended with more failures, its deadline passed, or a compensation failed.
    Failed,
    /// It was cancelled, and its effects were compensated.
    Cancelled,
}

impl State {
    pub const ALL: [State; 7] = [
        State::Running,
        State::Paused,
        State::Waiting,
        State::Done,
        State::Unmet,
        State::Failed,
        State::Cancelled,
    ];

    pub fn name(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Paused => "paused",
            State::Waiting => "waiting",
            State::Done => "done",
            State::Unmet => "unmet",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
        }
    }
}

/// How many items are in each state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// `None` if the journal does not record it.
    pub total: Option<u64>,
    pub succeeded: u64,
    pub failed: u64,
    pub compensated: u64,
    pub compensation_failed: u64,
    pub cancelled: u64,
    pub in_flight: u64,
    /// Items in flight that wait for a person at a gate.
    #[serde(default)]
    pub waiting: u64,
    /// Those that wait for an event, and at no gate.
    #[serde(default)]
    pub awaiting: u64,
    pub not_started: Option<u64>,
    /// Events of steps that channels did not accept: resuming the run publishes them.
    #[serde(default)]
    pub unpublished: u64,
}

/// The facts that an outline needs besides the events.
#[derive(Clone, Copy, Debug)]
pub struct Basis {
    /// How many items there are; `None` if the journal does not record it.
    pub total: Option<u64>,
    pub tolerate: Tolerance,
    /// Whether steps run once after all items.
    pub once: bool,
    /// Whether some of them run also if the run failed or was stopped.
    pub always: bool,
    /// Whether events of its steps may still have to be published, although all of its items have ended.
    pub publishes: bool,
}

/// What an item waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Waits {
    /// A person, in the document that this execution runs.
    Inside(StepPath),
    /// A person, at this gate.
    Gate(GateId),
    /// An event, in the document that this execution runs.
    EventInside(StepPath),
    /// An event, before this step.
    Event(StepId),
}

/// What a list of runs shows of a run, folded from its events: counts of items, how they ended, and what they wait for.
#[derive(Debug, Default)]
pub struct Outline {
    tally: Tally,
    /// How the items ended that did not succeed.
    failures: BTreeMap<ItemId, ItemState>,
    /// Whether the steps that run once after all items have begun and must begin again for retried items.
    once: bool,
    again: bool,
    /// How they last ended.
    ended: Option<ItemState>,
    stopped: Option<StopReason>,
    drained: bool,
    /// What items wait for.
    waiting: BTreeSet<(ItemId, Waits)>,
    /// Events that channels did not accept, with the channel.
    unpublished: BTreeSet<(Arc<str>, String)>,
    /// Whether an expectation of the document is not met.
    pub unmet: bool,
    /// In milliseconds since the run began, without pauses.
    pub last: Millis,
}

impl Outline {
    /// Whether an effect remains that should have been compensated.
    pub fn stands(&self) -> bool {
        self.tally.compensation_failed > 0 || self.ended == Some(ItemState::CompensationFailed)
    }

    pub fn see(&mut self, event: &Event) {
        self.last = self.last.max(event.at);
        match &event.kind {
            EventKind::Run(change) => match change {
                RunEvent::StepsBegan => {
                    (self.once, self.again) = (true, false);
                    self.ended = None;
                }
                RunEvent::StepsEnded(end) => {
                    self.forget(ItemId::RUN);
                    self.ended = Some(end.state);
                }
                RunEvent::Drained(_) => self.drained = true,
                RunEvent::Stopped(why) => self.stopped = Some(*why),
                RunEvent::Published { channel, id } => {
                    self.unpublished.remove(&(channel.clone(), id.to_string()));
                }
                RunEvent::NotPublished { channel, id, .. } => {
                    self.unpublished.insert((channel.clone(), id.to_string()));
                }
                RunEvent::ItemsExhausted
                | RunEvent::Decided { .. }
                | RunEvent::Received(_)
                | RunEvent::Emitted(_) => {}
            },
            EventKind::Item(item, change) => {
                self.wait(*item, change);
                self.see_item(*item, change);
            }
            EventKind::Step(item, change) => self.wait_for_event(*item, change),
            EventKind::Attempt(item, path, _, change) => match change {
                AttemptEvent::Waits => drop(self.waiting.insert((*item, Waits::Inside(*path)))),
                AttemptEvent::Awaits => drop(self.waiting.insert((*item, Waits::EventInside(*path)))),
                AttemptEvent::Continues | AttemptEvent::Finished(_) => {
                    self.waiting.remove(&(*item, Waits::Inside(*path)));
                    self.waiting.remove(&(*item, Waits::EventInside(*path)));
                }
                AttemptEvent::Started
                | AttemptEvent::Repeated
                | AttemptEvent::Stopped(_)
                | AttemptEvent::RetryScheduled { .. }
                | AttemptEvent::RetryDue => {}
            },
        }
    }

    /// Notes whether an item waits for an event.
    fn wait_for_event(&mut self, item: ItemId, change: &StepEvent) {
        match change {
            StepEvent::AwaitBegan { step, .. } => drop(self.waiting.insert((item, Waits::Event(*step)))),
            StepEvent::EventTaken { step, .. } | StepEvent::AwaitExpired(step) => {
                self.waiting.remove(&(item, Waits::Event(*step)));
            }
            StepEvent::Ended(execution) => {
                self.waiting.remove(&(item, Waits::Event(execution.step)));
            }
            StepEvent::ConditionHeld(_) | StepEvent::BranchTaken { .. } | StepEvent::ElementsEnded(_) => {}
        }
    }

    /// Notes whether an item waits at a gate.
    fn wait(&mut self, item: ItemId, change: &ItemEvent) {
        match change {
            ItemEvent::GateReached { gate, .. } => drop(self.waiting.insert((item, Waits::Gate(*gate)))),
            ItemEvent::Decided { gate, .. } | ItemEvent::GateExpired(gate) => {
                self.waiting.remove(&(item, Waits::Gate(*gate)));
            }
            ItemEvent::Admitted { .. }
            | ItemEvent::Resolved { .. }
            | ItemEvent::Revoked { .. }
            | ItemEvent::RoundBegan { .. }
            | ItemEvent::RoundScheduled { .. }
            | ItemEvent::RepeatEnded(_) => {}
            ItemEvent::DeadlinePassed { .. }
            | ItemEvent::CompensationBegan(_)
            | ItemEvent::Failed
            | ItemEvent::Requeued
            | ItemEvent::Retried { .. }
            | ItemEvent::Settled { .. } => self.forget(item),
        }
    }

    fn forget(&mut self, item: ItemId) {
        let all = (item, Waits::Inside(StepId(0).into()))..=(item, Waits::Event(StepId(u32::MAX)));
        let own: Vec<(ItemId, Waits)> = self.waiting.range(all).copied().collect();
        for one in own {
            self.waiting.remove(&one);
        }
    }

    fn see_item(&mut self, item: ItemId, change: &ItemEvent) {
        match change {
            ItemEvent::Admitted { .. } => self.tally.admitted += 1,
            ItemEvent::Settled { end, .. } => {
                *self.tally.of(end.state) += 1;
                if end.state != ItemState::Succeeded {
                    self.failures.insert(item, end.state);
                }
            }
            ItemEvent::Retried { .. } => {
                self.stopped = None;
                match item {
                    ItemId::RUN => self.ended = None,
                    item => {
                        self.void(item);
                        self.again = self.once;
                    }
                }
            }
            ItemEvent::Resolved { .. } => self.void(item),
            ItemEvent::Revoked { .. } => {
                self.stopped = None;
                self.tally.succeeded = self.tally.succeeded.saturating_sub(1);
            }
            ItemEvent::DeadlinePassed { .. }
            | ItemEvent::CompensationBegan(_)
            | ItemEvent::Failed
            | ItemEvent::Requeued
            | ItemEvent::GateReached { .. }
            | ItemEvent::Decided { .. }
            | ItemEvent::GateExpired(_)
            | ItemEvent::RoundBegan { .. }
            | ItemEvent::RoundScheduled { .. }
            | ItemEvent::RepeatEnded(_) => {}
        }
    }

    /// Makes the end of an item void.
    fn void(&mut self, item: ItemId) {
        if let Some(state) = self.failures.remove(&item) {
            let count = self.tally.of(state);
            *count = count.saturating_sub(1);
        }
    }

    pub fn counts(&self, basis: Basis) -> Counts {
        let Basis { total, .. } = basis;
        Counts {
            total,
            succeeded: self.tally.succeeded,
            failed: self.tally.failed,
            compensated: self.tally.compensated,
            compensation_failed: self.tally.compensation_failed,
            cancelled: self.tally.cancelled,
            in_flight: self.in_flight(),
            waiting: self.waiting_items(),
            awaiting: self.awaiting_items(),
            not_started: total.map(|total| total.saturating_sub(self.tally.admitted)),
            unpublished: self.unpublished.len() as u64,
        }
    }

    /// The run's state; `held` is whether a runner holds its lock.
    pub fn state(&self, basis: Basis, held: bool) -> State {
        let failed = self.stopped == Some(StopReason::RunDeadline)
            || !self.tally.within(basis.tolerate)
            || self.ended.is_some_and(ItemState::is_failure);
        let cancelled = self.stopped.is_some_and(StopReason::cancels);
        match (held, self.is_over(basis)) {
            (true, _) => State::Running,
            (false, false) if self.waits(basis) => State::Waiting,
            (false, false) => State::Paused,
            (false, true) if cancelled && !self.stands() => State::Cancelled,
            (false, true) if failed || self.stands() => State::Failed,
            (false, true) if self.unmet => State::Unmet,
            (false, true) => State::Done,
        }
    }

    /// Whether every item that has not ended waits for a person or an event.
    fn waits(&self, basis: Basis) -> bool {
        let waiting = self.waiting_items() + self.awaiting_items();
        let once = u64::from(self.once && self.ended.is_none());
        waiting > 0 && waiting == self.in_flight() + once && (self.left(basis) == 0 || self.drained)
    }

    /// How many items wait at a gate, or in a document; the steps for all items count as one.
    pub fn waiting_items(&self) -> u64 {
        let people = |waits: &Waits| matches!(waits, Waits::Gate(_) | Waits::Inside(_));
        let gates = self.waiting.iter().filter(|(_, waits)| people(waits));
        gates.map(|(item, _)| *item).collect::<BTreeSet<ItemId>>().len() as u64
    }

    /// How many wait for an event and at no gate.
    fn awaiting_items(&self) -> u64 {
        let all: BTreeSet<ItemId> = self.waiting.iter().map(|(item, _)| *item).collect();
        (all.len() as u64).saturating_sub(self.waiting_items())
    }

    /// Whether every item ended.
    pub fn is_complete(&self, basis: Basis) -> bool {
        self.is_over(basis) && self.stopped.is_none() && self.left(basis) == 0
    }

    /// Items that were never started.
    pub fn left(&self, basis: Basis) -> u64 {
        basis.total.unwrap_or(0).saturating_sub(self.tally.admitted)
    }

    /// Whether no work is left to resume.
    pub fn is_over(&self, basis: Basis) -> bool {
        let open = self.in_flight() > 0 || (self.once && self.ended.is_none());
        let left = self.left(basis) > 0;
        let items = left && !self.drained;
        let due = self.ended.is_none() || self.again;
        let once = basis.once && due && !(left && self.drained);
        let always = basis.always && due && (self.stopped.is_some() || self.drained);
        !open && !always && !basis.publishes && (self.stopped.is_some() || !(items || once))
    }

    /// Items that have been started.
    pub fn admitted(&self) -> u64 {
        self.tally.admitted
    }

    /// How the steps that run once after all items ended, if they have.
    pub fn run_steps(&self) -> Option<ItemState> {
        self.ended
    }

    /// Why all work was asked to stop.
    pub fn stopped(&self) -> Option<StopReason> {
        self.stopped
    }

    fn in_flight(&self) -> u64 {
        self.tally.admitted.saturating_sub(self.tally.settled())
    }
}

impl Observer for Outline {
    fn see(&mut self, event: &Event) -> anyhow::Result<()> {
        Outline::see(self, event);
        Ok(())
    }
}

/// The statistics by which a document's expectations are judged, if it has any.
pub(super) struct ExpectedFigures(Option<(Entries, Live)>);

impl ExpectedFigures {
    pub fn of(graph: &Graph) -> ExpectedFigures {
        let expects = graph.steps.iter().any(|step| !step.expectations.is_empty());
        ExpectedFigures(expects.then(|| (Entries::new(graph), Live::new(graph, vec![Dimension::Phase]))))
    }

    pub fn see(&mut self, event: &Event) {
        if let Some((entries, live)) = &mut self.0
            && let Some(entry) = entries.take(event)
        {
            live.take(&entry);
        }
    }

    pub fn unmet(self, graph: &Graph) -> bool {
        self.0.is_some_and(|(_, live)| stats::judge_all(graph, &live.finish()).iter().any(Verdict::failed))
    }
}
