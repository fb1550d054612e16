//! Recorded rows that their document could not have produced, and rows that are missing.

use super::state::either;
use crate::diag::{Diagnostic, Span};
use crate::value::words;
use std::sync::Arc;

/// The most items that a note on a missing row names.
pub const MISSING_NAMED: usize = 5;

/// A row by another agent or through another channel than its step's.
pub fn row_doer(span: Span, step: &str, what: &str, found: &str, own: Option<&str>) -> Diagnostic {
    let own = own.map_or_else(|| format!("no {what}"), |own| format!("the {what} `{own}`"));
    Diagnostic::error(
        if what == "agent" { "row-agent" } else { "row-channel" },
        span,
        format!("`{step}` has {own}, this row has `{found}`"),
    )
}

pub fn row_status(span: Span, step: &str, status: &str, why: &str, help: &str) -> Diagnostic {
    Diagnostic::error("row-status", span, format!("`{step}` cannot end as {status}: it {why}")).help(help)
}

pub fn row_attempt(span: Span, step: &str, attempt: u32, most: u32) -> Diagnostic {
    let times = if most == 1 { "once".to_owned() } else { format!("{most} times") };
    Diagnostic::error("row-attempt", span, format!("attempt {attempt} of `{step}`, which is tried {times}"))
        .help("[retry:: 3] allows three attempts more")
}

/// A row of a step that began although its gate was not open.
pub fn row_gate(span: Span, step: &str, why: &str) -> Diagnostic {
    Diagnostic::error("row-gate", span, format!("`{step}` cannot have begun: {why}"))
}

/// A row of a step that began without the event that it waits for.
pub fn row_event(span: Span, step: &str, why: &str) -> Diagnostic {
    Diagnostic::error("row-event", span, format!("`{step}` cannot have begun: {why}"))
}

/// A row of a document without the row of the step that ran it.
pub fn row_nested(span: Span, phase: &str, outer: &str, item: Option<&str>) -> Diagnostic {
    let item = item.map(|item| format!(" for {item}")).unwrap_or_default();
    let message = format!("`{phase}` cannot have run{item}: `{outer}`, which runs it, has no row");
    Diagnostic::error("row-nested", span, message)
}

/// A label that is not a value of the declared type.
pub fn row_type(span: Span, label: &str, expected: &str, found: &str) -> Diagnostic {
    Diagnostic::error("row-type", span, format!("{label} is {found}, and the step declares {expected}"))
}

/// A row of a step that an earlier step's end prevents from running.
pub fn row_order(
    span: Span,
    step: &str,
    item: &str,
    need: &str,
    why: &str,
    other: Option<Span>,
) -> Diagnostic {
    let message = format!("`{step}` cannot have run for {item}: `{need}`, which it waits for, {why}");
    let diagnostic = Diagnostic::error("row-order", span, message);
    match other {
        Some(other) => diagnostic.related(other, format!("`{need}` {why}")),
        None => diagnostic,
    }
}

/// Rows of a step whose predecessor has no rows.
pub fn row_unrecorded(span: Span, step: &str, need: &str) -> Diagnostic {
    Diagnostic::error("row-order", span, format!("`{step}` waits for `{need}`, which has no row at all"))
        .help(format!("record `{need}` too"))
}

pub fn row_lacks(span: Span, step: &str, item: &str, value: &str) -> Diagnostic {
    let message = format!("`{step}` cannot have run for {item}: no step made its `{value}`");
    Diagnostic::error("row-order", span, message)
}

pub fn row_early(span: Span, other: Span, step: &str, item: &str, need: &str, ended: u64) -> Diagnostic {
    let message =
        format!("`{step}` started for {item} before `{need}`, which it waits for, ended at {ended}");
    Diagnostic::error("row-order", span, message).related(other, format!("`{need}` started"))
}

pub fn row_without_decision(span: Span, step: &str, item: &str) -> Diagnostic {
    let message = format!("`{step}` cannot have run for {item}: no step that leads to it succeeded");
    Diagnostic::error("row-branch", span, message)
}

pub fn row_refused(span: Span, step: &str, item: &str, why: &str) -> Diagnostic {
    Diagnostic::error("row-branch", span, format!("`{step}` cannot have run for {item}: {why}"))
}

pub fn row_not_refused(span: Span, step: &str, item: &str) -> Diagnostic {
    let message = format!("`{step}` cannot have been skipped for {item}: its conditions hold");
    Diagnostic::error("row-branch", span, message)
}

pub fn row_fails(span: Span, step: &str, item: &str, reason: &str) -> Diagnostic {
    let message = format!("`{step}` cannot have succeeded for {item}: its condition makes it fail");
    Diagnostic::error("row-branch", span, message).help(format!("it fails with \"{reason}\""))
}

/// Two branches of which only one can have been taken.
pub fn row_exclusive(second: Span, first: Span, step: &str, item: &str, by: &str) -> Diagnostic {
    let message = format!("`{step}` cannot have run for {item}: `{by}` leads to one branch only");
    Diagnostic::error("row-branch", second, message).related(first, "the branch that ran")
}

pub fn row_repeated(second: Span, first: Span, step: &str, item: &str, done: bool) -> Diagnostic {
    let why = if done { "it was done" } else { "nothing put the item back" };
    Diagnostic::error("row-repeated", second, format!("`{step}` cannot have run again for {item}: {why}"))
        .related(first, "the execution before")
        .help("attempts of one execution are one row; their number is in `attempt`")
}

/// A round of a loop that cannot have been.
pub fn row_round(span: Span, step: &str, item: &str, round: u32, why: &str) -> Diagnostic {
    Diagnostic::error(
        "row-round",
        span,
        format!("`{step}` cannot have run in round {round} for {item}: {why}"),
    )
}

pub fn row_handler(span: Span, step: &str, item: &str) -> Diagnostic {
    let message = format!("`{step}` cannot have run for {item}, which did not fail");
    Diagnostic::error("row-handler", span, message)
}

/// A compensation in an item where it has nothing to compensate.
pub fn row_undoes_nothing(span: Span, step: &str, item: &str) -> Diagnostic {
    let message = format!("`{step}` cannot have run for {item}: no step that it compensates ran");
    Diagnostic::error("row-compensates-nothing", span, message)
}

/// A compensation that began before the step that it compensates ended.
pub fn row_undone_early(span: Span, other: Span, by: &str, item: &str, step: &str, ended: u64) -> Diagnostic {
    let message =
        format!("`{by}` started for {item} before `{step}`, which it compensates, ended at {ended}");
    Diagnostic::error("row-compensation", span, message)
        .related(other, format!("`{step}` started"))
        .help("an item is compensated when nothing of it runs any more")
}

/// A row that overlaps another, of which one is a compensation and the other must not run at that time.
pub fn row_undone_beside(
    span: Span,
    other: Span,
    step: &str,
    item: &str,
    beside: &str,
    ended: u64,
) -> Diagnostic {
    let message = format!("`{step}` started for {item} before `{beside}` ended at {ended}");
    Diagnostic::error("row-compensation", span, message)
        .related(other, format!("`{beside}` started"))
        .help("an item is compensated when nothing of it runs any more, one step after the other")
}

/// A compensation that ran before another that had to come first, and why.
pub fn row_undone_order(span: Span, other: Span, by: &str, item: &str, first: &str, why: &str) -> Diagnostic {
    let message = format!("`{by}` cannot have run for {item} before `{first}`: {why}");
    Diagnostic::error("row-compensation", span, message)
        .related(other, format!("`{first}` started"))
        .help("dependents are compensated first; of independent steps, the last one that ended")
}

/// More compensations than effects to compensate.
pub fn row_undone_again(second: Span, first: Span, by: &str, item: &str) -> Diagnostic {
    let message = format!("`{by}` cannot have run again for {item}: all that it compensates was compensated");
    Diagnostic::error("row-compensation", second, message).related(first, "the execution before")
}

/// A row of a step that does not start in the item's state at that time. `led` is the step that led to the state.
pub fn row_state(
    span: Span,
    step: &str,
    item: &str,
    from: &[&str],
    now: &[&str],
    led: Option<(Span, &str)>,
) -> Diagnostic {
    let (from, now) = (either(from), either(now));
    let message =
        format!("`{step}` cannot have run for {item}: it starts in {from}, and the item was in {now}");
    let diagnostic = Diagnostic::error("row-state", span, message);
    let diagnostic = match led {
        Some((place, by)) => diagnostic.related(place, format!("`{by}` left it there")),
        None => diagnostic,
    };
    diagnostic.help("a step whose turn comes in another state fails and is not started")
}

/// A step without a row for items for which it should have run.
pub fn missing_row(span: Span, step: &str, first: &[Arc<str>], count: usize) -> Diagnostic {
    let message = format!("`{step}` has no row for {}", words::first(first, MISSING_NAMED, count));
    Diagnostic::note("missing-row", span, message)
        .help("no recorded row explains why it did not run, and no step depends on it")
}

/// Statistics that do not meet the document's expectation.
pub fn unmet_expectation(span: Span, what: &str, found: &str) -> Diagnostic {
    Diagnostic::error("unmet-expectation", span, format!("{what} is not met: found {found}"))
}
