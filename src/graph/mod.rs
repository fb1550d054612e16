//! What a document means: every name resolved, types agreed, no cycles. Made only by [`build()`] from a
//! `Spec`; a graph with errors is never handed out, so whoever holds one can run it.

mod absence;
mod assumed;
mod before;
mod branches;
mod build;
mod claims;
mod collisions;
mod definitions;
mod elements;
mod flow;
mod inputs;
mod instructions;
mod interface;
mod links;
mod lint;
mod meaning;
mod members;
mod model;
mod names;
mod once;
mod outline;
mod part;
mod prose;
mod saga;
mod sort;
mod states;
mod tags;
mod targets;
#[cfg(test)]
mod tests;
mod types;
mod ways;

pub use build::build;
pub use lint::lint;
pub use model::*;
pub use part::{NotAlone, Part, Upstream};

// Rooms below know the document only by these.
pub use crate::spec::Instructions;
