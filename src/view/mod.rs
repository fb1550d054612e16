//! Tables, progress and drawings: what people and scripts are shown, as text. Prints nothing.

pub mod graph;
pub mod plan;
mod stages;
pub mod table;
pub mod text;

pub use stages::stages;
