//! How an item ended, or the steps that run once: its state, and what is left behind.

use super::StepId;
use serde::{Deserialize, Serialize};

/// How an item ended, or the steps that run once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settlement {
    pub state: ItemState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ItemError>,
    /// By compensation: why an effect is left that should have been compensated. Of an item that was cancelled, by
    /// step: what is left because the run was interrupted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncompensated: Vec<ItemError>,
    /// Steps of an item that succeeded which did not run and have no row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_run: Vec<NotRun>,
}

impl Settlement {
    /// With nothing left to compensate, and no step that did not run.
    pub fn new(state: ItemState, error: Option<ItemError>) -> Settlement {
        Settlement { state, error, uncompensated: Vec::new(), not_run: Vec::new() }
    }
}

/// An item's final state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    Succeeded,
    /// It failed, and nothing had to be compensated or could be.
    Failed,
    Cancelled,
    /// It failed or was cancelled, and all that it had done is compensated.
    Compensated,
    /// It failed or was cancelled, and an effect of it is not compensated.
    CompensationFailed,
}

impl ItemState {
    pub const ALL: [ItemState; 5] = [
        ItemState::Succeeded,
        ItemState::Failed,
        ItemState::Cancelled,
        ItemState::Compensated,
        ItemState::CompensationFailed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            ItemState::Succeeded => "succeeded",
            ItemState::Failed => "failed",
            ItemState::Cancelled => "cancelled",
            ItemState::Compensated => "compensated",
            ItemState::CompensationFailed => "compensation_failed",
        }
    }

    /// Whether the item is a dead letter: it may be run again.
    pub fn is_failure(self) -> bool {
        match self {
            ItemState::Failed | ItemState::Compensated | ItemState::CompensationFailed => true,
            ItemState::Succeeded | ItemState::Cancelled => false,
        }
    }
}

/// The failure that decided an item's fate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemError {
    /// The step that failed; none where the item's deadline passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    pub message: String,
    /// The agent's own code for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    pub attempts: u32,
}

/// A forward step that did not run although its item succeeded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotRun {
    pub step: StepId,
    /// Such as `needs b (Review was skipped)`.
    pub because: String,
    /// A decision took another way, so that it was not to run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub decided: bool,
}
