//! What a document means: every name resolved, types agreed, no cycles. Made only by [`build`] from a
//! `Spec`; a graph with errors is never handed out, so whoever holds one can run it.

mod model;

pub use model::*;
