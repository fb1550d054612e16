//! What a user sees, tested from outside: one binary, a file a feature.

mod docs;
mod layers;
mod order_processing;
mod shop;
mod spec;
