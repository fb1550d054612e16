//! Statistics of a run while it lives: the same fold, fed by events.

use super::fold::{Fold, Input};
use super::items::Mark;
use super::model::{By, Stats};
use crate::event::{Event, ItemId};
use crate::graph::Graph;
use crate::session::Layout;
use std::collections::HashMap;
use std::sync::Arc;

pub struct Live {
    fold: Fold,
    layout: Layout,
    input: Input,
    in_flight: HashMap<ItemId, (Arc<str>, Vec<Mark>)>,
}

impl Live {
    pub fn new(graph: &Graph, by: By) -> Live {
        Live {
            fold: Fold::new(by),
            layout: Layout::of(graph),
            input: Input::new(),
            in_flight: HashMap::new(),
        }
    }

    pub fn observe(&mut self, event: &Event) {
        match event {
            Event::ItemAdmitted { item, key, .. } => {
                self.in_flight.insert(*item, (Arc::clone(key), Vec::new()));
            }
            Event::StepEnded { item, execution } => {
                if let Some((key, marks)) = self.in_flight.get_mut(item)
                    && let Some(row) = self.layout.row(key, execution)
                {
                    let row = row.borrowed();
                    let mark = Mark::of(Some(&self.layout), &row);
                    self.input.mark(&mark);
                    self.fold.row(&row);
                    marks.push(mark);
                }
            }
            Event::ItemSettled { item, state, .. } => {
                if let Some((_, marks)) = self.in_flight.remove(item) {
                    self.input.item(Some(&self.layout), &marks, Some(*state));
                }
            }
            // Nothing else leaves a row or ends an item.
            _ => {}
        }
    }

    /// The figures of all items that have settled, and of all rows.
    pub fn finish(mut self) -> Stats {
        self.fold.end_input(self.input, Some(&self.layout));
        self.fold.finish()
    }
}
