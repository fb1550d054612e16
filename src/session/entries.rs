//! Turns events into entries of a trace: the only place that knows which events leave rows, live or replayed. Knows
//! nothing of files, statistics or tables, which consume the entries.

use super::layout::Layout;
use super::row::Row;
use crate::event::{self, Event, EventKind, ItemEvent, ItemId, ItemState, RunEvent, Settlement, StepEvent};
use crate::graph::Graph;
use std::collections::HashMap;
use std::sync::Arc;

/// The entry of a trace for an event.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every entry is a row, and none is stored as an entry")]
pub enum Entry {
    /// An execution has ended. `place` is that of its phase in the layout, `element` that of its element in its list,
    /// `recorded` the row's index in the record that is replayed.
    Row { item: ItemId, place: usize, element: Option<u32>, recorded: Option<usize>, row: Row },
    /// The item reached its final state: no row of it follows.
    Settled { item: ItemId, state: ItemState, left_out: Vec<LeftOut> },
}

/// A step of a successful item that did not run and has no row.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOut {
    pub phase: Arc<str>,
    pub critical: bool,
    /// Such as `needs b (Review was skipped)`.
    pub because: String,
    /// A decision took another branch.
    pub decided: bool,
}

/// The items in flight, which provide the keys of rows.
pub struct Entries {
    layout: Layout,
    keys: HashMap<ItemId, Arc<str>>,
}

impl Entries {
    pub fn new(graph: &Graph) -> Entries {
        // A step that runs once after all items has no item; its rows have no key.
        let keys = HashMap::from([(ItemId::RUN, Arc::from("run"))]);
        Entries { layout: Layout::of(graph), keys }
    }

    /// How many items have begun and not settled.
    pub fn in_flight(&self) -> u64 {
        self.keys.keys().filter(|item| **item != ItemId::RUN).count() as u64
    }

    /// The entry for the next event, if any.
    pub fn take(&mut self, event: &Event) -> Option<Entry> {
        match &event.kind {
            EventKind::Run(RunEvent::StepsEnded(end)) => Some(self.settled(ItemId::RUN, end)),
            EventKind::Item(item, ItemEvent::Settled { end, .. }) => {
                self.keys.remove(item)?;
                Some(self.settled(*item, end))
            }
            EventKind::Item(item, change) => {
                self.keys.extend(change.begins().map(|key| (*item, key.clone())));
                None
            }
            EventKind::Step(item, StepEvent::Ended(execution)) => {
                let row = self.layout.row(self.keys.get(item)?, execution)?;
                let place = self.layout.place_of(execution.step)?;
                let recorded = execution.recorded.as_ref().map(|recorded| recorded.index);
                Some(Entry::Row { item: *item, place, element: execution.element, recorded, row })
            }
            EventKind::Run(_) | EventKind::Step(..) | EventKind::Attempt(..) => None,
        }
    }

    fn settled(&self, item: ItemId, end: &Settlement) -> Entry {
        Entry::Settled { item, state: end.state, left_out: self.left_out(&end.not_run) }
    }

    fn left_out(&self, left_out: &[event::NotRun]) -> Vec<LeftOut> {
        let named = |one: &event::NotRun| {
            let phase = self.layout.phases.get(self.layout.place_of(one.step)?)?;
            Some(LeftOut {
                phase: Arc::clone(&phase.name),
                critical: phase.critical,
                because: one.because.clone(),
                decided: one.decided,
            })
        };
        left_out.iter().filter_map(named).collect()
    }
}
