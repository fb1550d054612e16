//! Every problem that a document can have, as one named constructor each. Each code is written in one place only.

mod always;
mod assumed;
mod cases;
mod condition;
mod events;
mod gates;
mod graph;
mod near;
mod repeat;
mod reuse;
mod saga;
mod session;
mod settings;
mod spec;
mod state;
mod trace;
mod types;
mod verify;

pub use always::*;
pub use assumed::*;
pub use cases::*;
pub use condition::*;
pub use events::*;
pub use gates::*;
pub use graph::*;
pub use near::*;
pub use repeat::*;
pub use reuse::*;
pub use saga::*;
pub use session::*;
pub use settings::*;
pub use spec::*;
pub use state::*;
pub use trace::*;
pub use types::*;
pub use verify::*;
