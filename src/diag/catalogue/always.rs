//! Problems of steps that run also after a run that failed or was stopped.

use crate::diag::{Diagnostic, Span};

/// `[always]` on a step that runs for each item.
pub fn always_of_item(span: Span, title: &str) -> Diagnostic {
    let message =
        format!("`[always]` has no effect on `{title}`: it is for a step that runs once for all items");
    Diagnostic::warning("always-of-item", span, message).help(
        "write `[per:: run] [always]`; for each failed item, a failure handler or a compensation does the work",
    )
}

/// A step with `[always]` and something that could keep it from running, or reverse it.
pub fn always_with(span: Span, title: &str, what: &str, always: Span) -> Diagnostic {
    let message = format!("`{title}` runs always, also when the run is cancelled, so it has no {what}");
    Diagnostic::error("always-with", span, message)
        .related(always, "it runs always")
        .help("remove one of the two")
}

/// A step with `[always]` that needs a value which may be missing when it runs.
pub fn always_may_lack(span: Span, title: &str, name: &str, maker: &str) -> Diagnostic {
    let message = format!("`{title}` runs always, and `{name}` is missing if `{maker}` has not succeeded");
    Diagnostic::error("always-may-lack", span, message)
        .help(format!("write `{name}?`, or mark `{maker}` with `[always]` as well"))
}
