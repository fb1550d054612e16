//! Items that failed and were retried or resolved: which of their ends are void. Folding past a void end leaves the
//! item as it was, so that it can continue.
//!
//! The steps that run once after all items get a new end with every item that runs again.

use crate::event::{Event, EventKind, ItemEvent, ItemId, ItemState, RunEvent, Values};
use std::collections::{BTreeMap, BTreeSet};

/// A failed item to retry: from the steps that failed, or, with other inputs, from the beginning. The steps that run
/// once after all items are retried together, with the items' current outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryRequest {
    pub item: ItemId,
    pub inputs: Option<Values>,
    /// The attempt of the outer run that continues this one.
    pub attempt: Option<u32>,
}

impl RetryRequest {
    /// From the steps that failed.
    pub fn of(item: ItemId) -> RetryRequest {
        RetryRequest { item, inputs: None, attempt: None }
    }
}

/// How many ends of each item are void.
#[derive(Clone, Debug, Default)]
pub struct Retries {
    items: BTreeMap<ItemId, u32>,
    /// Ends of the steps that run once after all items, and how many of them are void.
    ends: u32,
    void: u32,
    /// Items whose success is void.
    revoked: BTreeSet<ItemId>,
}

impl Retries {
    /// Counts an event; called for all events before the first is folded.
    pub fn see(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Item(item, ItemEvent::Retried { .. }) => self.add(*item),
            EventKind::Item(item, ItemEvent::Revoked { .. }) => self.revoke(*item),
            EventKind::Item(item, ItemEvent::Resolved { .. }) => *self.items.entry(*item).or_default() += 1,
            EventKind::Run(RunEvent::StepsBegan) => self.void = self.ends,
            EventKind::Run(RunEvent::StepsEnded(_)) => self.ends += 1,
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
    }

    /// The item will run again.
    pub fn add(&mut self, item: ItemId) {
        *self.items.entry(item).or_default() += 1;
        self.void = self.ends;
    }

    /// The success of the item is void.
    pub fn revoke(&mut self, item: ItemId) {
        self.revoked.insert(item);
    }

    /// Whether the next event is a void end, which is not shown. Called for every event, in order.
    pub fn void(&mut self, event: &Event) -> bool {
        match &event.kind {
            EventKind::Item(item, ItemEvent::Settled { end, .. }) if end.state == ItemState::Succeeded => {
                self.revoked.remove(item)
            }
            // The item of a document is also retried if its run was cancelled.
            EventKind::Item(item, ItemEvent::Settled { .. }) => {
                let left = self.items.get_mut(item).filter(|left| **left > 0);
                left.map(|left| *left -= 1).is_some()
            }
            EventKind::Run(RunEvent::StepsEnded(_)) => {
                let void = self.void > 0;
                self.void = self.void.saturating_sub(1);
                void
            }
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => false,
        }
    }
}
