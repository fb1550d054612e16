//! Tables, progress and drawings: what people and scripts are shown, as text. Prints nothing.

pub mod agents;
mod decisions;
mod difference;
mod executions;
pub mod graph;
mod measure;
pub mod plan;
pub mod problems;
mod stages;
pub mod stats;
pub mod table;
pub mod text;

pub use difference::difference;
pub use executions::Executions;
pub use measure::{bytes, count, milliseconds};
pub use stages::stages;
