//! The journal's record of the items of its run, to recognise them later.

use crate::value::Value;
use serde::{Deserialize, Serialize};

/// The file in a run's folder with items from a pipe.
pub const PIPED: &str = "items.jsonl";

/// The source of the items of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemsFrom {
    /// The name in messages.
    pub name: String,
    /// Whether they came from a pipe, and are stored in the run's folder.
    pub kept: bool,
    /// The hash of all that was read.
    pub hash: String,
    pub total: u64,
}

impl ItemsFrom {
    /// The source in a header; `None` for a run without items, or of another form.
    pub fn of(items: &Value) -> Option<ItemsFrom> {
        ItemsFrom::deserialize(items).ok()
    }
}

/// How many items a run began with; `None` if its journal does not record it.
pub fn total(items: &Value) -> Option<u64> {
    if items.is_null() { Some(1) } else { Some(ItemsFrom::of(items)?.total) }
}
