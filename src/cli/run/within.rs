//! Where a trace finds the rows of documents that the steps of its run have run.

use crate::event::{Event, ItemId};
use crate::history::NestedTrace;
use crate::session::{Entry, NestedRow};
use std::collections::HashMap;

/// The source of these rows.
pub enum Within {
    /// They are left out.
    Nothing,
    /// The folder of the run.
    Run(Box<NestedTrace>),
    /// The record that is replayed: by the index of the row that they come before.
    Record(HashMap<usize, Vec<NestedRow>>),
}

/// Rows before the one that the item got at this position; `None` is its last one.
pub type Group = (Option<usize>, Vec<NestedRow>);

impl Within {
    /// Takes each event.
    pub fn see(&mut self, event: &Event) {
        if let Within::Run(trace) = self {
            trace.see(event);
        }
    }

    /// Takes each entry; returns the rows that belong to rows of the item so far.
    ///
    /// # Errors
    /// The journal of the run of a document is damaged.
    pub fn take(&mut self, entry: &Entry) -> anyhow::Result<Vec<Group>> {
        match (self, entry) {
            (Within::Run(trace), Entry::Row { item, place, element, row, .. }) => {
                trace.row(*item, *place, *element, row);
                Ok(Vec::new())
            }
            // The steps for all items may run again.
            (Within::Run(trace), Entry::Settled { item, .. }) if *item != ItemId::RUN => rows(trace, *item),
            (Within::Record(rows), Entry::Row { recorded: Some(index), .. }) => {
                Ok(rows.remove(index).map(|rows| (None, rows)).into_iter().collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The rows that belong to rows of items in flight, and to those of the steps for all items.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    pub fn left(&mut self) -> anyhow::Result<Vec<(ItemId, Vec<Group>)>> {
        let Within::Run(trace) = self else { return Ok(Vec::new()) };
        trace.items().into_iter().map(|item| Ok((item, rows(trace, item)?))).collect()
    }
}

fn rows(trace: &mut NestedTrace, item: ItemId) -> anyhow::Result<Vec<Group>> {
    Ok(trace.take(item)?.into_iter().map(|(position, rows)| (Some(position), rows)).collect())
}
