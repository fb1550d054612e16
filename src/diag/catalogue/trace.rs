//! Problems of recorded executions.

use crate::diag::{Diagnostic, Span, nearest};
use crate::value::words;

/// A table whose header has a wrong number of rows.
pub fn trace_count(span: Span, what: &str, help: Option<String>) -> Diagnostic {
    helped(Diagnostic::error("trace-count", span, what), help)
}

/// A row with more or fewer cells than its header has columns.
pub fn trace_width(span: Span, what: &str, help: Option<String>) -> Diagnostic {
    helped(Diagnostic::error("trace-width", span, what), help)
}

pub fn trace_header(span: Span, what: &str, help: Option<String>) -> Diagnostic {
    helped(Diagnostic::error("trace-header", span, what), help)
}

/// Lines in a wrong place.
pub fn trace_layout(span: Span, what: &str, help: Option<String>) -> Diagnostic {
    helped(Diagnostic::error("trace-layout", span, what), help)
}

/// A cell that is not well-formed TOON.
pub fn trace_cell(span: Span, what: &str, help: Option<String>) -> Diagnostic {
    helped(Diagnostic::error("trace-cell", span, what), help)
}

/// Any other text that is not well-formed TOON.
pub fn trace_text(span: Span, what: &str, help: Option<String>) -> Diagnostic {
    helped(Diagnostic::error("trace-text", span, what), help)
}

fn helped(diagnostic: Diagnostic, help: Option<String>) -> Diagnostic {
    match help {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

pub fn missing_trace_column(span: Span, column: &str) -> Diagnostic {
    Diagnostic::error("trace-column", span, format!("an execution table needs the column {column:?}")).help(
        "the columns are phase,agent,channel,input,output,duration_ms,status,tokens_used and any of your own",
    )
}

/// A cell of a standard column with a malformed value.
pub fn bad_trace_cell(span: Span, column: &str, expected: &str) -> Diagnostic {
    Diagnostic::error("trace-value", span, format!("`{column}` is {expected}"))
}

pub fn unknown_status(span: Span, found: &str, known: &[&str]) -> Diagnostic {
    let help = match nearest(found, known.iter().copied()) {
        Some(name) => words::did_you_mean(name),
        None => format!("a status is one of {}", known.join(", ")),
    };
    Diagnostic::error("unknown-status", span, format!("unknown status {found:?}")).help(help)
}

/// A row with an unknown phase.
pub fn unknown_phase<'a>(span: Span, found: &str, known: impl IntoIterator<Item = &'a str>) -> Diagnostic {
    let diagnostic = Diagnostic::error("unknown-phase", span, format!("no step has the phase {found:?}"));
    match nearest(found, known) {
        Some(name) => diagnostic.help(words::did_you_mean(name)),
        None => diagnostic.help("a phase is a step's title in PascalCase: `Receive Order` is ReceiveOrder"),
    }
}

/// Part of a trace that is not a table of executions.
pub fn no_execution_table(span: Span) -> Diagnostic {
    Diagnostic::error("trace-table", span, "this is not a table of executions")
        .help("a trace holds tables such as execution[3]{phase,status,duration_ms}:")
}
