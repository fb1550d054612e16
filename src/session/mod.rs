//! Traces: the rows of past executions, where they stand in files and documents, and their re-enactment.

mod row;

pub use row::*;
