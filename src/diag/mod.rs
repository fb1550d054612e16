//! Problems of a document: a span, a code, a message and help. Knows nothing of how documents are parsed, and nothing
//! of terminals: `render` draws, the rooms above print.
//!
//! Diagnostics are collected, never returned as an `Err`, so one reading of a document shows every problem. Only the
//! named constructors in [`catalogue`] make them.

pub mod catalogue;
pub mod fix;
pub mod render;
mod source;

pub use crate::value::nearest;
pub use fix::{Fix, Replacement};
pub use source::{Position, Source, Span};

/// Whether a document with this problem can still be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Error,
    Warning,
    /// Worth knowing; nothing has to change.
    Note,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// A second place that belongs to a problem, such as the first of two equal titles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    pub span: Span,
    pub label: String,
}

/// One problem of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// Stable, kebab-case; scripts may match it.
    pub code: &'static str,
    /// The problem in one line: lower case, no full stop.
    pub message: String,
    /// The place to look at.
    pub span: Span,
    /// A few words at the mark; empty if the message is enough.
    pub label: String,
    /// Other places involved.
    pub related: Vec<Related>,
    /// What to do about it.
    pub help: Option<String>,
    /// Changes that solve it, the best one first.
    pub fixes: Vec<Fix>,
}

impl Diagnostic {
    pub(in crate::diag) fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, span, message.into())
    }

    pub(in crate::diag) fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, span, message.into())
    }

    pub(in crate::diag) fn note(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, span, message.into())
    }

    fn new(severity: Severity, code: &'static str, span: Span, message: String) -> Self {
        let label = String::new();
        Diagnostic {
            severity,
            code,
            message,
            span,
            label,
            related: Vec::new(),
            help: None,
            fixes: Vec::new(),
        }
    }

    pub(in crate::diag) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(in crate::diag) fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push(Related { span, label: label.into() });
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A change whose meaning is certain.
    pub(crate) fn fix(self, span: Span, text: impl Into<String>) -> Self {
        self.fixed(true, vec![Replacement { span, text: text.into() }])
    }

    /// A change whose meaning is likely.
    pub(crate) fn maybe(self, span: Span, text: impl Into<String>) -> Self {
        self.fixed(false, vec![Replacement { span, text: text.into() }])
    }

    /// A safe change that its help shows.
    pub(crate) fn instead(self, span: Span, text: String) -> Self {
        self.help(format!("write `{text}`")).fix(span, text)
    }

    /// A safe change that its help shows, if there is a replacement.
    pub(crate) fn mended(self, span: Span, right: Option<String>) -> Self {
        right.into_iter().fold(self, |problem, right| problem.instead(span, right))
    }

    /// A likely change that its help shows.
    pub(crate) fn likely(self, span: Span, text: String) -> Self {
        self.help(format!("write `{text}`")).maybe(span, text)
    }

    /// Another name: safe if the two differ in one letter or in case.
    pub(crate) fn renamed(self, span: Span, written: &str, right: &str) -> Self {
        let lower = [written, right].map(str::to_lowercase);
        let close = written.len() >= 4 && strsim::damerau_levenshtein(&lower[0], &lower[1]) <= 1;
        self.fixed(close, vec![Replacement { span, text: right.to_owned() }])
    }

    /// A change in several places.
    pub(crate) fn fixed(mut self, safe: bool, replacements: Vec<Replacement>) -> Self {
        self.fixes.push(Fix { safe, replacements });
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
