//! How many items ended how, and which did not come through.

use crate::event::{ItemError, ItemId, ItemState};
use crate::spec::Tolerance;
use std::sync::Arc;

/// How many items ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub admitted: u64,
    pub succeeded: u64,
    /// Of these nothing was undone.
    pub failed: u64,
    pub compensated: u64,
    pub compensation_failed: u64,
    pub cancelled: u64,
}

impl Tally {
    pub fn settled(&self) -> u64 {
        self.succeeded + self.failures() + self.cancelled
    }

    /// Items that did not come through, whether undone or not.
    pub fn failures(&self) -> u64 {
        self.failed + self.compensated + self.compensation_failed
    }

    /// How many items are in this state.
    pub fn of(&mut self, state: ItemState) -> &mut u64 {
        match state {
            ItemState::Succeeded => &mut self.succeeded,
            ItemState::Failed => &mut self.failed,
            ItemState::Compensated => &mut self.compensated,
            ItemState::CompensationFailed => &mut self.compensation_failed,
            ItemState::Cancelled => &mut self.cancelled,
        }
    }

    /// Whether so many failures are within what is tolerated.
    pub fn within(&self, tolerate: Tolerance) -> bool {
        match tolerate {
            Tolerance::Count(most) => self.failures() <= most,
            Tolerance::Percent(most) => self.failures() as f64 * 100.0 <= most * self.settled() as f64,
        }
    }
}

/// An item that did not come through.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    pub item: ItemId,
    pub key: Arc<str>,
    pub state: ItemState,
    pub error: Option<ItemError>,
    /// By compensation: why an effect still stands.
    pub standing: Vec<ItemError>,
}
