//! Answers to an editor: a document and a place in it, to its problems, outline, names, completions and changes. Pure:
//! knows neither files nor the connection; `cli` has both.

mod actions;
mod complete;
mod hover;
mod lenses;
mod mentions;
mod names;
mod outline;
mod places;
mod rename;
mod report;
mod shared;
mod tokens;
mod words;

pub use actions::actions;
pub use complete::{KnownTypes, completions};
pub use hover::{Figures, hover};
pub use lenses::{COMMANDS, lenses};
pub use mentions::{Entity, Mention, Mentions};
pub use names::{OperatorName, OperatorNames};
pub use outline::outline;
pub use places::{Encoding, Places};
pub use rename::{NotRenamed, renamed};
pub use report::report;
pub use shared::LinkedDocuments;
pub use tokens::{KINDS, MARKS, tokens};
pub use words::{FIELDS, KEYS, Word};

use crate::diag::{Diagnostic, Source, Span};
use crate::graph::Graph;
use crate::spec::Spec;
use gen_lsp_types::Range;

/// A document as an editor has it, with what is known of it.
#[derive(Clone, Copy)]
pub struct EditedPage<'a> {
    pub source: &'a Source,
    pub spec: &'a Spec,
    /// `None` if the document has errors.
    pub graph: Option<&'a Graph>,
    pub problems: &'a [Diagnostic],
    pub places: &'a Places,
    /// What `orderflow.toml` names.
    pub settings: &'a OperatorNames,
}

impl EditedPage<'_> {
    /// The editor's range of a span.
    pub fn range(&self, span: Span) -> Range {
        self.places.range(&self.source.text, span)
    }
}
