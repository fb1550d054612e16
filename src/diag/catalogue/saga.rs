//! Problems of undoing: what a document says of compensations, and what it leaves unsaid.

use crate::diag::{Diagnostic, Span};

/// A flag that somebody gave a value.
pub fn flag_with_value(field: Span, key: &str) -> Diagnostic {
    Diagnostic::error("flag-with-value", field, format!("`{key}` takes no value"))
        .help(format!("write [{key}]"))
}

/// A compensation that cannot be one. `why` is a whole clause; `other` is the place that it speaks of.
pub fn bad_compensation(at: Span, why: &str, other: Span) -> Diagnostic {
    let start = Diagnostic::error("bad-compensation", at, why);
    let start = if at == other { start } else { start.related(other, "this one") };
    start
        .help("`compensate` names the step that undoes the one it stands in; that step runs for nothing else")
}

/// A step in the list of compensations that undoes nothing.
pub fn unused_compensation(title: Span) -> Diagnostic {
    Diagnostic::warning(
        "unused-compensation",
        title,
        "no step names this one as its compensation, so it never runs",
    )
    .help("write [compensate:: its title] in the step that it undoes")
}

/// A step whose effects would stay. `risk` is a step whose failure can come after it.
pub fn uncompensated_step(title: Span, agent: Option<&str>, risk: &str, risk_at: Span) -> Diagnostic {
    let message = "nothing undoes this step when the item fails after it";
    let start = Diagnostic::warning("uncompensated-step", title, message);
    let start = if title == risk_at {
        start.label("it may itself fail the item once it is done")
    } else {
        start.related(risk_at, format!("`{risk}` can fail once it is done"))
    };
    let effects = agent.map(|agent| format!("; or say effects = false of {agent} in orderflow.toml"));
    start.help(format!(
        "write [compensate:: Step Title], or [irreversible] if nothing can{}",
        effects.unwrap_or_default()
    ))
}

/// A critical step that hangs on what an optional step makes.
pub fn critical_needs_optional(
    at: Span,
    title: &str,
    value: &str,
    maker: &str,
    maker_at: Span,
) -> Diagnostic {
    let message = format!("`{title}` is critical, yet needs `{value}` from `{maker}`, which is optional");
    Diagnostic::warning("critical-needs-optional", at, message)
        .related(maker_at, "may fail, and the item goes on without what it makes")
        .help(format!("write `{value}?` here to do without it, or let `{maker}` not be optional"))
}

/// A step of one branch that takes what only another branch makes.
pub fn never_arrives(at: Span, title: &str, value: &str, maker: &str, maker_at: Span) -> Diagnostic {
    let message =
        format!("`{value}` never comes to `{title}`: an item that goes to `{maker}` does not go there");
    Diagnostic::warning("never-arrives", at, message)
        .related(maker_at, "made here, on another branch")
        .help(format!("let the decision lead to `{maker}` only, so that `{title}` follows it for all items"))
}

/// A compensation that wants what the step that it undoes does not have; `known` is what that step has.
pub fn compensation_lacks(
    at: Span,
    title: &str,
    value: &str,
    undone: &str,
    undone_at: Span,
    known: &[&str],
) -> Diagnostic {
    let message = format!("`{title}` needs `{value}`, which `{undone}` neither takes nor makes");
    let known = match known {
        [] => format!("`{undone}` takes and makes nothing"),
        known => format!("`{undone}` has {}", known.join(", ")),
    };
    Diagnostic::warning("compensation-lacks", at, message)
        .related(undone_at, "the step that is undone")
        .help(format!("a compensation gets what the step that it undoes takes and makes; {known}"))
}

/// A compensation that takes what the step that it undoes may be without.
pub fn compensation_may_lack(at: Span, by: &str, value: &str, step: &str, may: Span) -> Diagnostic {
    let message = format!("`{value}` may be absent, and `{by}` gets null then");
    Diagnostic::warning("compensation-may-lack", at, message)
        .related(may, format!("`{step}` can do without it"))
        .help(format!("write `{value}?` here, and let `{by}` do without it, too"))
}
