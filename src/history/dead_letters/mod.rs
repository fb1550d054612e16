//! The items of a run that failed for good, as a table that people edit: what it looks like, and what an edited one
//! asks for. Knows nothing of how items run again.

mod edited;
mod table;

pub use edited::{Edited, Problem, read};
pub use table::Table;

use super::History;
use crate::event::{Event, ItemError, ItemId, Values};
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
/// The journal is damaged.
pub fn of(history: &History) -> anyhow::Result<Vec<Letter>> {
    let mut retries = history.retries()?;
    let mut open: HashMap<ItemId, Values> = HashMap::new();
    let mut letters = Vec::new();
    history.events(|event| {
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
