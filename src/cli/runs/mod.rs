//! Runs that are kept: where they lie.

pub mod find;
