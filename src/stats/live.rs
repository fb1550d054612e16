//! Statistics of an active run: the same fold, fed by its rows as they come.

use super::fold::{Fold, FoldInput};
use super::items::{RowMark, Trail};
use super::model::{By, Stats};
use crate::event::ItemId;
use crate::graph::Graph;
use crate::session::{Entry, Layout, RowRef};
use std::collections::HashMap;

/// Statistics of a run while it runs, by the same fold as those of a trace.
pub struct Live {
    fold: Fold,
    layout: Layout,
    input: FoldInput,
    in_flight: HashMap<ItemId, Trail>,
}

impl Live {
    pub fn new(graph: &Graph, by: By) -> Live {
        Live {
            fold: Fold::new(by),
            layout: Layout::of(graph),
            input: FoldInput::new(),
            in_flight: HashMap::new(),
        }
    }

    pub fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::Row { item, row, .. } => {
                let row = row.borrowed();
                let mark = RowMark::of(Some(&self.layout), &row);
                self.input.mark(&mark);
                self.fold.row(&row);
                let trail = match *item {
                    ItemId::RUN => &mut self.input.once,
                    item => self.in_flight.entry(item).or_default(),
                };
                trail.add(&mark);
            }
            Entry::Settled { item, state, left_out } => {
                self.input.left_out(left_out, *item == ItemId::RUN);
                if *item != ItemId::RUN {
                    let trail = self.in_flight.remove(item).unwrap_or_default();
                    self.input.item(Some(&self.layout), &trail, Some(*state));
                }
            }
        }
    }

    /// Counts a row of a document that a step ran.
    pub fn nested(&mut self, row: &RowRef<'_>) {
        self.fold.nested(row);
    }

    /// The statistics of all items that have settled, and of all rows.
    pub fn finish(mut self) -> Stats {
        self.in_flight.values().for_each(|trail| self.input.in_flight(Some(&self.layout), trail));
        self.fold.end_input(self.input, Some(&self.layout));
        self.fold.finish()
    }
}
