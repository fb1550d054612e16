//! How many items ended in which state, and the failed ones.

use crate::event::{ItemId, ItemState, Settlement};
use crate::spec::Tolerance;
use crate::value::Decimal;
use std::sync::Arc;

/// How many items ended in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub admitted: u64,
    pub succeeded: u64,
    /// Failed items without compensated effects.
    pub failed: u64,
    pub compensated: u64,
    pub compensation_failed: u64,
    pub cancelled: u64,
}

impl Tally {
    pub fn settled(&self) -> u64 {
        self.succeeded + self.failures() + self.cancelled
    }

    /// Failed items, compensated or not.
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

    /// Whether this number of failures is within the tolerance.
    pub fn within(&self, tolerate: Tolerance) -> bool {
        match tolerate {
            Tolerance::Count(most) => self.failures() <= most,
            Tolerance::Percent(most) => {
                let failed = Decimal::from(self.failures()).multiply(&100.into());
                let most = Decimal::of_float(most).and_then(|most| most.multiply(&self.settled().into()));
                failed.zip(most).is_some_and(|(failed, most)| failed <= most)
            }
        }
    }
}

/// A failed item.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    pub item: ItemId,
    pub key: Arc<str>,
    pub end: Settlement,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_just_tolerated_is() {
        // 0.57 * 10000 is less than 5700 in floats.
        for (failed, all, most) in [(57, 10_000, 0.57), (29, 10_000, 0.29), (7, 100, 7.0), (1, 3, 33.4)] {
            let tally = Tally { failed, succeeded: all - failed, ..Tally::default() };
            assert!(tally.within(Tolerance::Percent(most)), "{failed} of {all} by {most}");
            let worse = Tally { failed: failed + 1, succeeded: all - failed - 1, ..Tally::default() };
            assert!(!worse.within(Tolerance::Percent(most)), "{failed} and one of {all} by {most}");
        }
    }
}
