//! The failed items of a run as a table that people edit: its form, and the requests in an edited copy. Knows nothing
//! of how items are retried.

mod edited;
mod table;

pub use edited::{EditProblem, Edited, read};
pub use table::LetterTable;

use super::History;
use crate::event::{EventKind, ItemError, ItemEvent, ItemId, Values};
use std::collections::HashMap;
use std::sync::Arc;

/// A failed item.
pub struct Letter {
    pub item: ItemId,
    pub key: Arc<str>,
    pub error: Option<ItemError>,
    pub inputs: Values,
    /// Whether a compensation of it failed.
    pub uncompensated: bool,
}

/// The letters of a run that can be retried: of a cancelled one, only those whose compensation failed.
///
/// # Errors
/// The journal is damaged, or the run does not continue.
pub fn retryable(history: &History) -> anyhow::Result<Vec<Letter>> {
    let failures = history.retryable()?;
    let mut letters = of(history)?;
    letters.retain(|letter| failures.items.contains_key(&letter.key));
    Ok(letters)
}

/// The letters of a run, in the order in which their items were admitted. All are in memory.
///
/// # Errors
/// The journal is damaged.
pub fn of(history: &History) -> anyhow::Result<Vec<Letter>> {
    let mut retries = history.retries()?;
    let mut open: HashMap<ItemId, Values> = HashMap::new();
    let mut letters = Vec::new();
    history.events(|event| {
        let void = retries.void(event);
        match &event.kind {
            EventKind::Item(
                item,
                ItemEvent::Admitted { inputs, .. } | ItemEvent::Retried { inputs: Some(inputs), .. },
            ) => drop(open.insert(*item, inputs.clone())),
            EventKind::Item(item, ItemEvent::Settled { key, end }) if !void => {
                let inputs = open.remove(item).unwrap_or_default();
                if end.state.is_failure() {
                    letters.push(Letter {
                        item: *item,
                        key: key.clone(),
                        error: end.error.clone(),
                        inputs,
                        uncompensated: !end.uncompensated.is_empty(),
                    });
                }
            }
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
        Ok(())
    })?;
    letters.sort_by_key(|letter| letter.item);
    Ok(letters)
}
