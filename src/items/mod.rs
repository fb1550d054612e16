//! Where the items of a run come from: files read twice, first checked whole, then streamed. Knows how an item
//! becomes the workflow's inputs and what its key is; knows nothing of running.

mod file;
mod shape;

pub use file::{Items, Problem};
pub use shape::{Given, Shape};
