//! TOON text to values and back. Tables at the top level are read and written as streams, row by row, with the raw
//! text of every cell; every other field goes through `toon-format`. Knows nothing of traces.
//!
//! Reading is strict, with one exception: several tables may have the same key, where a document would otherwise lose
//! all but the last.

mod cell;
mod fault;
mod header;
mod lines;
mod reader;
mod split;
pub mod write;

pub use cell::{Cell, Scalar};
pub use fault::{Fault, Problem};
pub use header::{Column, Table};
pub use reader::{Field, Node, Reader, Row};
pub use split::words;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;
