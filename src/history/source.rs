//! What a journal says of the items of its run, so that they are known again.

use crate::value::Value;
use serde::{Deserialize, Serialize};

/// The file in a run's folder with items that came by a pipe.
pub const PIPED: &str = "items.jsonl";

/// Where the items of a run came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemsFrom {
    /// As messages name it.
    pub name: String,
    /// They came by a pipe, and the run's folder has them.
    pub kept: bool,
    /// Of all that was read.
    pub hash: String,
    pub total: u64,
}

impl ItemsFrom {
    /// What a header says; none for a run without items, or of another form.
    pub fn of(items: &Value) -> Option<ItemsFrom> {
        ItemsFrom::deserialize(items).ok()
    }
}

/// How many items a run began with; none where its journal does not say.
pub fn total(items: &Value) -> Option<u64> {
    if items.is_null() { Some(1) } else { Some(ItemsFrom::of(items)?.total) }
}
