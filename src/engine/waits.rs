//! How long items have waited for a limit: a channel, an agent, or a place among the jobs. Does not know which step is
//! next.

use crate::event::{ItemId, Millis, StepPath};
use std::collections::BTreeMap;

/// The limit that a ready step waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Limit {
    Channel(String),
    Agent(String),
    Programs,
    Jobs,
}

/// The waits of the items in flight. Parallel waits of an item count once.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// The limit that each waiting step waits for.
    waiting: BTreeMap<(ItemId, StepPath), Limit>,
    spent: BTreeMap<(ItemId, Limit), Spent>,
}

#[derive(Debug, Default)]
struct Spent {
    /// Steps that are waiting, and since when.
    steps: u32,
    since: Millis,
    /// In waits that have ended.
    total: Millis,
}

impl Waits {
    pub fn begin(&mut self, item: ItemId, step: StepPath, limit: Limit, at: Millis) {
        if self.waiting.contains_key(&(item, step)) {
            return;
        }
        let spent = self.spent.entry((item, limit.clone())).or_default();
        if spent.steps == 0 {
            spent.since = at;
        }
        spent.steps += 1;
        self.waiting.insert((item, step), limit);
    }

    pub fn end(&mut self, item: ItemId, step: StepPath, at: Millis) {
        let Some(limit) = self.waiting.remove(&(item, step)) else { return };
        let Some(spent) = self.spent.get_mut(&(item, limit)) else { return };
        spent.steps = spent.steps.saturating_sub(1);
        if spent.steps == 0 {
            spent.total = spent.total.saturating_add(at.saturating_sub(spent.since));
        }
    }

    /// Counts an item's waiting time from zero again.
    pub fn forget(&mut self, item: ItemId, at: Millis) {
        let own = self.spent.range_mut((item, Limit::Channel(String::new()))..);
        let mut over = Vec::new();
        for (wait, spent) in own.take_while(|((other, _), _)| *other == item) {
            (spent.since, spent.total) = (at, 0);
            over.extend((spent.steps == 0).then(|| wait.clone()));
        }
        for wait in over {
            self.spent.remove(&wait);
        }
    }

    /// The limits that an item has waited for, the longest wait first; empty without waiting time.
    pub fn of(&self, item: ItemId, now: Millis) -> Vec<(&Limit, Millis)> {
        let own = self.spent.range((item, Limit::Channel(String::new()))..);
        let own = own.take_while(|((other, _), _)| *other == item);
        let mut all: Vec<(&Limit, Millis)> = own
            .map(|((_, limit), spent)| {
                let running = if spent.steps > 0 { now.saturating_sub(spent.since) } else { 0 };
                (limit, spent.total.saturating_add(running))
            })
            .filter(|(_, time)| *time > 0)
            .collect();
        all.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
        all
    }
}
