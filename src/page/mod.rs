//! The page of a run: the author's document, with what happened in its margins. One file without any request, or served.
//! Prints nothing.
//!
//! - [`PageData`]: the run at a moment, as data.
//! - [`render`]: the page.

mod agents;
mod causes;
mod collect;
mod compare;
mod data;
mod details;
mod document;
mod expects;
mod figures;
mod files;
mod gates;
mod glyphs;
mod html;
mod inner;
mod list;
mod logs;
mod margin;
mod moments;
mod needs;
mod past;
mod questions;
mod rail;
mod summary;

pub use compare::Compared;
pub use data::{
    OtherRun, PageAttempts, PageAwait, PageCause, PageData, PageEnds, PageGate, PageInput, PageItems,
    PageRun, PageStep, PageText, PageValue, PageWaits,
};
pub use files::PageFile;
pub use html::{PageMode, json, policy, render};
pub use list::list;
pub use past::{PastRun, changed_since, is_good};
pub use rail::{Rail, RailEdge};
pub use summary::{github, junit, markdown};
