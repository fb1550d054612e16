//! Statistics: folds over the rows of traces, live, from documents or from files, with equal results. Values that a
//! trace does not have are null, never guessed.

mod change;
mod fold;
mod group;
mod items;
mod judge;
mod left_out;
mod live;
mod model;
mod names;
mod samples;

pub use change::{Change, Changes, Measure, Threshold, changes};
pub use fold::Fold;
pub use judge::{FoundValue, Unknown, Verdict, expectant, judge, judge_all, judge_steps};
pub use live::Live;
pub use model::{By, Dimension, Figure, Group, Judged, LeftOut, NumericColumn, RunStats, Slowest, Stats};
pub use samples::{ERROR, EXACT};

#[cfg(test)]
mod tests;
