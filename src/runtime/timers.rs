//! Which timers are due when. Timers that have become irrelevant are removed, so that they do not accumulate in a long
//! run.

use crate::engine::Timer;
use crate::event::{ItemId, Millis};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_due: BTreeSet<(Millis, Timer)>,
    /// Due times of all timers that belong to an item.
    by_item: BTreeMap<ItemId, Vec<(Millis, Timer)>>,
}

impl Timers {
    pub fn add(&mut self, due: Millis, timer: Timer) {
        self.by_due.insert((due, timer));
        if let Some(item) = owner(&timer) {
            self.by_item.entry(item).or_default().push((due, timer));
        }
    }

    pub fn next(&self) -> Option<Millis> {
        self.by_due.first().map(|(due, _)| *due)
    }

    /// Removes and returns one timer that is due.
    pub fn take(&mut self, now: Millis) -> Option<Timer> {
        let (due, timer) = *self.by_due.first().filter(|(due, _)| *due <= now)?;
        self.by_due.pop_first();
        if let Some(all) = owner(&timer).and_then(|item| self.by_item.get_mut(&item)) {
            all.retain(|other| *other != (due, timer));
        }
        Some(timer)
    }

    /// Removes the timer of an attempt that has ended.
    pub fn cancel(&mut self, timer: Timer) {
        let Some(all) = owner(&timer).and_then(|item| self.by_item.get_mut(&item)) else { return };
        all.retain(|(due, other)| {
            let keep = *other != timer;
            if !keep {
                self.by_due.remove(&(*due, timer));
            }
            keep
        });
    }

    /// Removes the timers of an item that has settled.
    pub fn forget(&mut self, item: ItemId) {
        for timer in self.by_item.remove(&item).unwrap_or_default() {
            self.by_due.remove(&timer);
        }
    }
}

fn owner(timer: &Timer) -> Option<ItemId> {
    match timer {
        Timer::Attempt { item, .. }
        | Timer::Retry { item, .. }
        | Timer::ItemDeadline { item }
        | Timer::Gate { item, .. }
        | Timer::Await { item, .. }
        | Timer::Round { item, .. } => Some(*item),
        Timer::Rate => None,
    }
}
