//! What a user sees, tested from outside: one binary, a file a feature.

mod agents;
mod conditions;
mod contract;
mod diagnostics;
mod docs;
mod gate;
mod graph;
mod init;
mod interruption;
mod items;
mod layers;
mod mutations;
mod order_processing;
mod part;
mod place;
mod plan;
mod program;
mod python;
mod run;
mod shop;
mod spec;
mod stats;
mod trace;
mod validate;
mod workers;
