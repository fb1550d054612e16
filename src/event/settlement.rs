//! How an item, or the steps that run once, ended: the state, and effects that remain.

use super::StepId;
use serde::{Deserialize, Serialize};

/// How an item, or the steps that run once, ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settlement {
    pub state: ItemState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ItemError>,
    /// By compensation: why an effect remains that should have been compensated. For a cancelled item, by step:
    /// effects that remain because the run was interrupted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncompensated: Vec<ItemError>,
    /// Steps of a successful item that did not run and have no row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_run: Vec<NotRun>,
}

impl Settlement {
    /// A settlement without uncompensated effects and with no step left out.
    pub fn new(state: ItemState, error: Option<ItemError>) -> Settlement {
        Settlement { state, error, uncompensated: Vec::new(), not_run: Vec::new() }
    }
}

/// An item's final state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    Succeeded,
    /// It failed, and there was nothing to compensate, or nothing that could be compensated.
    Failed,
    Cancelled,
    /// It failed or was cancelled, and all its effects are compensated.
    Compensated,
    /// It failed or was cancelled, and at least one effect is not compensated.
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

    /// Whether the item is a dead letter, which may be retried.
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
    /// The step that failed; `None` if the item's deadline passed.
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
    /// A decision took another branch, so it was not meant to run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub decided: bool,
}
