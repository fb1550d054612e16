//! Checks whether the events of a journal are possible in their order, as far as that is visible without folding them:
//! times, numbers of items, and which of them are in flight. Memory holds the items in flight.

use crate::engine::Impossible;
use crate::event::{AttemptEvent, Event, EventKind, ItemEvent, ItemId, Millis, RunEvent, StepEvent};
use crate::journal::{Spot, Unreadable};
use serde_json::Value;
use std::collections::HashSet;

/// The longest run in milliseconds: sums of times stay exact below.
const LONGEST: Millis = 1 << 53;

/// The items in the events so far.
#[derive(Debug, Default)]
pub struct Sequence {
    admitted: u64,
    in_flight: HashSet<ItemId>,
    /// Whether the steps that run once after all items have begun and must begin again for retried items.
    once: bool,
    again: bool,
}

impl Sequence {
    /// Checks the next event.
    ///
    /// # Errors
    /// It is impossible after those before it.
    pub fn take(&mut self, event: &Event, spot: Spot<'_>) -> Result<(), Unreadable> {
        if !in_time(event) {
            return Err(spot.damaged(format!("the time of {} is out of range", name(event))));
        }
        if self.fits(event) { Ok(()) } else { Err(misplaced(event, spot)) }
    }

    fn fits(&mut self, event: &Event) -> bool {
        match &event.kind {
            EventKind::Run(RunEvent::StepsBegan) => {
                let due = !std::mem::replace(&mut self.once, true) || std::mem::take(&mut self.again);
                due && self.in_flight.insert(ItemId::RUN)
            }
            EventKind::Run(RunEvent::StepsEnded(_)) => self.in_flight.remove(&ItemId::RUN),
            EventKind::Run(
                RunEvent::ItemsExhausted
                | RunEvent::Drained(_)
                | RunEvent::Stopped(_)
                | RunEvent::Decided { .. }
                | RunEvent::Received(_)
                | RunEvent::Emitted(_)
                | RunEvent::Published { .. }
                | RunEvent::NotPublished { .. },
            ) => true,
            EventKind::Item(item, ItemEvent::Admitted { .. }) => {
                let next = item.0 == self.admitted;
                self.admitted += 1;
                next && self.in_flight.insert(*item)
            }
            EventKind::Item(item, ItemEvent::Settled { .. }) => {
                *item != ItemId::RUN && self.in_flight.remove(item)
            }
            // They begin again without a request.
            EventKind::Item(ItemId::RUN, ItemEvent::Retried { .. }) if self.again => {
                !self.in_flight.contains(&ItemId::RUN)
            }
            EventKind::Item(ItemId::RUN, ItemEvent::Retried { .. }) => {
                self.once && self.in_flight.insert(ItemId::RUN)
            }
            EventKind::Item(item, ItemEvent::Retried { .. }) => {
                self.again = self.once;
                item.0 < self.admitted && self.in_flight.insert(*item)
            }
            EventKind::Item(item, ItemEvent::Resolved { .. } | ItemEvent::Revoked { .. }) => {
                item.0 < self.admitted && self.in_flight.insert(*item)
            }
            EventKind::Item(item, _) | EventKind::Step(item, _) | EventKind::Attempt(item, ..) => {
                self.in_flight.contains(item)
            }
        }
    }
}

fn in_time(event: &Event) -> bool {
    let due = match &event.kind {
        EventKind::Attempt(_, _, _, AttemptEvent::RetryScheduled { due }) => *due,
        EventKind::Item(_, ItemEvent::RoundScheduled { due, .. }) => *due,
        EventKind::Step(_, StepEvent::Ended(execution)) => {
            let duration = execution.duration_ms.unwrap_or(0.0);
            if !(0.0..=LONGEST as f64).contains(&duration) {
                return false;
            }
            execution.ended_ms()
        }
        EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => 0,
    };
    event.at.max(due) <= LONGEST
}

/// The error for an event that is impossible after those before it.
pub fn misplaced(event: &Event, spot: Spot<'_>) -> Unreadable {
    spot.damaged(format!("{} cannot follow what is before it", described(event)))
}

/// The error where an event has values or texts that its document does not let come about.
pub fn unfit(event: &Event, why: &str, spot: Spot<'_>) -> Unreadable {
    spot.damaged(format!("{}: {why}", described(event)))
}

fn described(event: &Event) -> String {
    let of = match event.item() {
        Some(ItemId::RUN) => " of the run".to_owned(),
        Some(item) => format!(" of item {}", item.0),
        None => String::new(),
    };
    format!("{}{of}", name(event))
}

/// The same if the consumer of the event reports it.
pub fn judged(error: anyhow::Error, event: &Event, spot: Spot<'_>) -> anyhow::Error {
    if error.is::<Impossible>() { misplaced(event, spot).into() } else { error }
}

/// The journal's name for an event, such as `item_settled`.
fn name(event: &Event) -> String {
    let kind = serde_json::to_value(&event.kind).unwrap_or_default();
    let (level, parts) = kind.as_object().and_then(|kind| kind.iter().next()).unzip();
    let change = parts.map(|parts| parts.as_array().and_then(|parts| parts.last()).unwrap_or(parts));
    let tag = |change: &Value| match change {
        Value::Object(change) => change.keys().next().cloned(),
        change => change.as_str().map(str::to_owned),
    };
    format!("`{}_{}`", level.map_or("", String::as_str), change.and_then(tag).unwrap_or_default())
}
