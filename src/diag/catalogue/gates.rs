//! Problems of gates: how they are written, and where none can be.

use super::spec::a;
use crate::diag::{Diagnostic, Span};

/// A part of a gate's mark that is not read.
pub fn bad_gate(span: Span, what: String, help: &str) -> Diagnostic {
    Diagnostic::error("bad-gate", span, what).help(help)
}

/// A gate outside of a quote.
pub fn gate_unread(span: Span, holder: &str) -> Diagnostic {
    Diagnostic::error("gate-unread", span, format!("this gate is not read, because it is in {}", a(holder)))
        .help("write it as a quote of its own: `> [!gate] Needs sign-off by ops`")
}

/// A second gate of one heading.
pub fn second_gate(span: Span, first: Span) -> Diagnostic {
    Diagnostic::error("second-gate", span, "a step or group has one gate")
        .related(first, "the first")
        .help("put the second one on a step of its own, or on a group around the step")
}

/// A quote that looks like a gate.
pub fn almost_a_gate(line: Span, right: &str) -> Diagnostic {
    Diagnostic::warning("almost-a-gate", line, "this is prose: the step does not wait for a person")
        .help(format!("to let it wait for an approval, write `> {right} …`"))
}

/// A gate before a compensation.
pub fn gate_of_compensation(gate: Span, title: &str) -> Diagnostic {
    let message = format!("the compensation `{title}` cannot wait for a person: the item has failed already");
    misplaced_gate(gate, message).help("put the gate before the step that it compensates")
}

/// A time limit that is meant for the waiting before a step; `part` is where its right place is.
pub fn waits_without_limit(at: Span, time: &str, part: &str) -> Diagnostic {
    let message =
        format!("`{time}` limits an attempt, and the step waits before its first one without limit");
    Diagnostic::warning("waits-without-limit", at, message)
        .help(format!("to limit the waiting, write {part}"))
}

fn misplaced_gate(gate: Span, message: String) -> Diagnostic {
    Diagnostic::error("misplaced-gate", gate, message)
}

/// A gate of a group in which nothing runs before a failure.
pub fn gate_without_steps(gate: Span) -> Diagnostic {
    misplaced_gate(gate, "no step of this group waits at its gate".to_owned())
        .help("the gate of a group is not one of its compensations and failure handlers: put it into the step that is to wait")
}
