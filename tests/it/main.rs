//! What a user sees, tested from outside: one binary, a file a feature.

mod diagnostics;
mod docs;
mod graph;
mod layers;
mod mutations;
mod order_processing;
mod plan;
mod program;
mod python;
mod shop;
mod spec;
mod stats;
mod validate;
