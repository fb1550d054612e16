//! The items of a run that failed for good, as a table that people edit: what it looks like, and what an edited one
//! asks for. Knows nothing of how items run again.

mod edited;
mod table;

pub use edited::{Edited, Problem, read};
pub use table::Table;

use super::run::KeptRun;
use crate::engine::Retries;
use crate::event::{Event, ItemError, ItemId, Values};
use crate::journal::Records;
use std::collections::HashMap;
use std::sync::Arc;

/// An item that failed for good.
pub struct Letter {
    pub item: ItemId,
    pub key: Arc<str>,
    pub error: Option<ItemError>,
    pub inputs: Values,
    /// Whether something that it did should have been undone and is not.
    pub stands: bool,
}

/// The letters of a run, in the order in which their items were admitted. Memory holds them all.
///
/// # Errors
/// Stops where the journal is damaged.
pub fn of(kept: &KeptRun, (records, mut retries): (Records, Retries)) -> anyhow::Result<Vec<Letter>> {
    let mut open: HashMap<ItemId, Values> = HashMap::new();
    let mut letters = Vec::new();
    kept.events(records, |event| {
        let void = retries.void(event);
        match event {
            Event::ItemAdmitted { item, inputs, .. }
            | Event::ItemRetried { item, inputs: Some(inputs), .. } => {
                open.insert(*item, inputs.clone());
            }
            Event::ItemSettled { item, key, state, error, standing, .. } if !void => {
                let inputs = open.remove(item).unwrap_or_default();
                if state.is_failure() {
                    letters.push(Letter {
                        item: *item,
                        key: key.clone(),
                        error: error.clone(),
                        inputs,
                        stands: !standing.is_empty(),
                    });
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    letters.sort_by_key(|letter| letter.item);
    Ok(letters)
}
