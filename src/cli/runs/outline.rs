//! How far a kept run is, folded from its events: counts, and which items did not come through.

use super::super::run::KeptRun;
use crate::engine::Tally;
use crate::event::{Event, ItemId, ItemState, Millis, StopReason};
use crate::journal::Records;
use serde::Serialize;
use std::collections::BTreeMap;

/// What has become of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A runner has it.
    Running,
    /// It was interrupted or killed; `orderflow resume` goes on with it.
    Paused,
    /// It came to its end, with no more failures than tolerated.
    Done,
    /// It came to its end with more failures, its deadline passed, or it was given up.
    Failed,
}

impl State {
    pub const ALL: [State; 4] = [State::Running, State::Paused, State::Done, State::Failed];

    pub fn name(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Paused => "paused",
            State::Done => "done",
            State::Failed => "failed",
        }
    }
}

/// How many items are where.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Counts {
    /// None where the journal does not say.
    pub total: Option<u64>,
    pub succeeded: u64,
    pub failed: u64,
    pub compensated: u64,
    pub compensation_failed: u64,
    pub cancelled: u64,
    pub in_flight: u64,
    pub not_started: Option<u64>,
}

#[derive(Debug, Default)]
pub struct Outline {
    tally: Tally,
    /// How the items ended that did not come through.
    failures: BTreeMap<ItemId, ItemState>,
    /// The steps that run once after all items have begun.
    once: bool,
    /// How they have ended.
    ended: Option<ItemState>,
    stopped: Option<StopReason>,
    drained: bool,
    /// Since the run began; pauses do not count.
    pub last: Millis,
}

impl Outline {
    /// That of a whole journal.
    ///
    /// # Errors
    /// Stops where it is damaged.
    pub fn of(kept: &KeptRun, records: Records) -> anyhow::Result<Outline> {
        let mut outline = Outline::default();
        kept.events(records, |event| {
            outline.see(event);
            Ok(())
        })?;
        Ok(outline)
    }

    /// Whether something stands that should have been undone.
    pub fn stands(&self) -> bool {
        self.tally.compensation_failed > 0 || self.ended == Some(ItemState::CompensationFailed)
    }

    pub fn see(&mut self, event: &Event) {
        self.last = self.last.max(event.at());
        match event {
            Event::ItemAdmitted { .. } => self.tally.admitted += 1,
            Event::ItemSettled { item, state, .. } => {
                *self.tally.of(*state) += 1;
                if state.is_failure() {
                    self.failures.insert(*item, *state);
                }
            }
            Event::ItemRetried { item, .. } if *item == ItemId::RUN => {
                self.ended = None;
                self.stopped = None;
            }
            Event::ItemRetried { item, .. } => {
                self.void(*item);
                self.stopped = None;
            }
            Event::ItemResolved { item, .. } => self.void(*item),
            Event::RunStepsBegan { .. } => self.once = true,
            Event::RunStepsEnded { state, .. } => self.ended = Some(*state),
            Event::RunDrained { .. } => self.drained = true,
            Event::RunStopped { why, .. } => self.stopped = Some(*why),
            Event::AttemptStarted { .. }
            | Event::AttemptStopped { .. }
            | Event::AttemptRepeated { .. }
            | Event::AttemptFinished { .. }
            | Event::RetryScheduled { .. }
            | Event::RetryDue { .. }
            | Event::BranchTaken { .. }
            | Event::ConditionHeld { .. }
            | Event::StepEnded { .. }
            | Event::ElementsEnded { .. }
            | Event::ItemDeadlinePassed { .. }
            | Event::CompensationBegan { .. }
            | Event::ItemFailed { .. }
            | Event::ItemPutBack { .. }
            | Event::ItemsExhausted { .. } => {}
        }
    }

    /// The end that an item came to counts no more.
    fn void(&mut self, item: ItemId) {
        if let Some(state) = self.failures.remove(&item) {
            let count = self.tally.of(state);
            *count = count.saturating_sub(1);
        }
    }

    pub fn counts(&self, kept: &KeptRun) -> Counts {
        Counts {
            total: kept.total,
            succeeded: self.tally.succeeded,
            failed: self.tally.failed,
            compensated: self.tally.compensated,
            compensation_failed: self.tally.compensation_failed,
            cancelled: self.tally.cancelled,
            in_flight: self.in_flight(),
            not_started: kept.total.map(|total| total.saturating_sub(self.tally.admitted)),
        }
    }

    /// What has become of the run; `held` where a runner has it.
    pub fn state(&self, kept: &KeptRun, held: bool) -> State {
        let ended = [Some(StopReason::RunDeadline), Some(StopReason::Cancelled)];
        let failed = ended.contains(&self.stopped)
            || !self.tally.within(kept.tolerate)
            || self.stands()
            || self.ended.is_some_and(ItemState::is_failure);
        match (held, self.is_over(kept)) {
            (true, _) => State::Running,
            (false, false) => State::Paused,
            (false, true) if failed => State::Failed,
            (false, true) => State::Done,
        }
    }

    /// Whether every item came to its end.
    pub fn is_complete(&self, kept: &KeptRun) -> bool {
        self.is_over(kept) && self.stopped.is_none() && self.left(kept) == 0
    }

    /// Items that were never started.
    pub fn left(&self, kept: &KeptRun) -> u64 {
        kept.total.unwrap_or(0).saturating_sub(self.tally.admitted)
    }

    /// Whether there is nothing to go on with.
    pub fn is_over(&self, kept: &KeptRun) -> bool {
        let open = self.in_flight() > 0 || (self.once && self.ended.is_none());
        let left = self.left(kept) > 0;
        let items = left && !self.drained;
        let once = kept.graph.has_run_steps() && self.ended.is_none() && !(left && self.drained);
        !open && (self.stopped.is_some() || !(items || once))
    }

    /// How the steps that run once after all items have ended, where they have.
    pub fn run_steps(&self) -> Option<ItemState> {
        self.ended
    }

    /// Why all work was told to stop.
    pub fn stopped(&self) -> Option<StopReason> {
        self.stopped
    }

    fn in_flight(&self) -> u64 {
        self.tally.admitted.saturating_sub(self.tally.settled())
    }
}
