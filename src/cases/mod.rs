//! Cases of a document: an item whose answers, decisions and events are given, and what is expected of it. They run on the
//! engine alone, in a time of their own. Reads no files and calls no agents.

mod answers;
mod coverage;
mod expected;
mod judge;
mod model;
mod read;
mod reader;
mod recorded;
#[cfg(test)]
mod tests;
mod world;

pub use coverage::{Coverage, CoveredParts, DecisionWay};
pub use judge::judge;
pub use model::{Case, CaseEnd};
pub use read::{fences, read};
pub use recorded::RecordedCase;
pub use world::{CaseOutcome, run};
