//! The meaning of a document: every name resolved, types checked, no cycles. Only [`build()`] makes a graph, from a
//! `Spec`; it never returns one with errors, so every graph can be run.

mod absence;
mod always;
mod anyway;
mod assumed;
mod before;
mod branches;
mod build;
mod claims;
mod collisions;
mod definitions;
mod elements;
mod events;
mod flow;
mod gates;
mod inputs;
mod inside;
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
mod queries;
mod referred;
mod repeat;
mod reuse;
mod saga;
mod sort;
mod states;
mod tags;
mod targets;
#[cfg(test)]
mod tests;
mod types;
mod ways;

pub use before::upstream;
pub use build::build;
pub use events::Await;
pub use gates::{Gate, GateId, GateOf};
pub use inside::{InnerAwait, InnerEvents, InnerSubject};
pub use lint::lint;
pub use model::*;
pub use part::{NotAlone, Part, Upstream};
pub use referred::{Referred, phases, referred};
pub use repeat::{Repeat, RepeatId, RepeatOf};
pub use reuse::{Reused, agree};

// Rooms below know only these types of the document.
pub use crate::spec::Instructions;
