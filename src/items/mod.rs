//! The items of a run: read twice, first checked whole, then streamed. Knows the forms of files, how an item becomes
//! the workflow's inputs and how it gets its key; knows nothing of running.

mod check;
mod csv;
mod file;
mod folder;
mod json;
mod keys;
mod lines;
mod paths;
mod raw;
mod scan;
mod shape;
mod source;
mod table;
#[cfg(test)]
mod tests;

pub use check::{Checked, Duplicates, ItemProblem, ItemProblems, Items};
pub use paths::{Files, absolute};
pub use shape::{Given, LONGEST_KEY, Shape};
pub use source::Source;
