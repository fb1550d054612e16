//! Problems of the form of session files.

use crate::diag::{Diagnostic, Span};

/// A file without a single table of executions.
pub fn no_executions(span: Span) -> Diagnostic {
    Diagnostic::error("trace-empty", span, "no table of executions in this file")
        .help("a trace holds tables such as execution[3]{phase,status,duration_ms}:")
}

/// A session file of this program that was cut off.
pub fn incomplete_session(span: Span) -> Diagnostic {
    Diagnostic::error("session-incomplete", span, "the session ends without `complete: true`")
        .help("the file was cut off; record the session again")
}

/// A session file whose format this program does not know.
pub fn unknown_session_version(span: Span, found: &str) -> Diagnostic {
    Diagnostic::error("session-version", span, format!("session format {found} is not known here"))
        .help("this program reads `orderflow: 1`; a newer version may read the file")
}

/// A malformed part of a session file.
pub fn bad_session(span: Span, what: &str) -> Diagnostic {
    Diagnostic::error("session-layout", span, what)
}

/// An expectation about a column that the record does not have.
pub fn unknown_figure(span: Span, what: &str, help: &str) -> Diagnostic {
    Diagnostic::error("unknown-figure", span, what).help(help)
}
