//! What the author wrote: markdown in, [`Spec`] out. Resolves no names: that is `graph`'s work.
//!
//! [`parse`] never fails. What is wrong is recorded as a diagnostic and reading goes on, so that one pass
//! shows every problem; a step that is partly wrong is kept with what could be read.

mod model;

pub use model::*;
