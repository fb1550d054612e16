//! Tables, progress and drawings as text, for people and scripts. Prints nothing.

pub mod agents;
pub mod cases;
pub mod causes;
mod decisions;
mod executions;
pub mod graph;
pub mod happening;
mod measure;
pub mod plan;
mod presentable;
pub mod problems;
mod stages;
pub mod stats;
pub mod table;
pub mod text;

pub use executions::{Executions, execution};
pub use measure::{bytes, count, milliseconds, outcome, percent};
pub use presentable::presentable;
pub use stages::stages;
