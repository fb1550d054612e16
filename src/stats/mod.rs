//! Statistics: folds over the rows of traces, live, from documents or from files, with equal results. What a
//! trace does not tell is null; nothing is guessed.

mod decimal;
mod fold;
mod group;
mod items;
mod live;
mod model;
mod names;
mod samples;

pub use decimal::Decimal;
pub use fold::Fold;
pub use live::Live;
pub use model::{By, Column, Dimension, Figure, Group, Run, Slowest, Stats};

#[cfg(test)]
mod tests;
