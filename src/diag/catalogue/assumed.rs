//! Problems of unstated assumptions: answers that no step reads, orders that nothing enforces.

use crate::diag::{Diagnostic, Span};
use crate::value::words;

/// An answer that no step and no condition reads. `next` is a later step with effects, `condition` one that it could
/// have, `decision` a line that the answering step could have.
pub fn unread_answer(
    at: Span,
    value: &str,
    title: &str,
    next: (&str, Span),
    (condition, decision): (&str, &str),
) -> Diagnostic {
    let (next, place) = next;
    let message = format!("`{value}` stops nothing: no step and no condition reads it");
    Diagnostic::warning("unread-answer", at, message)
        .related(place, format!("`{next}` runs whatever the answer of `{title}` is"))
        .help(format!("write [when:: {condition}] in `{next}`, or a line `{decision}` below `{title}`"))
}

/// A last step, by its title one that closes or removes something, and the ends of what runs beside it; `place` is where
/// a further annotation of it goes.
pub fn closes_early(at: Span, title: &str, ends: &[&str], place: usize) -> Diagnostic {
    let named = words::first(ends.iter().map(words::code), 3, ends.len());
    let field = format!("[after:: {}]", ends.join(", "));
    Diagnostic::warning("does-not-wait", at, format!("`{title}` does not wait for {named}"))
        .help(format!("write `{field}` if it comes last, or [after:: start] if it does not"))
        .maybe(Span::new(place, place), format!(" {field}"))
}

/// Steps of a group whose text says that they are parallel, but that wait for each other.
pub fn almost_parallel(at: Span, group: &str, later: (&str, Span), earlier: &str) -> Diagnostic {
    let (later, place) = later;
    let message = format!("the steps of `{group}` run one after another");
    Diagnostic::warning("almost-parallel", at, message)
        .related(place, format!("it waits for `{earlier}`, because it is below it"))
        .help(format!(
            "write `(parallel)` at the end of the heading to run `{earlier}` and `{later}` at the same time"
        ))
}

/// Two steps with the same number, one of which waits for the other. `start` is what the other waits for.
pub fn numbered_alike(at: Span, later: &str, earlier: (&str, Span), start: &str) -> Diagnostic {
    let (earlier, place) = earlier;
    let message = format!("`{later}` waits for `{earlier}`, because it is below it");
    Diagnostic::warning("almost-parallel", at, message)
        .related(place, "the two are numbered alike")
        .help(format!(
            "write [after:: {start}] in `{later}` to run both at the same time, or put both in a group marked `(parallel)`; number them apart if one follows the other"
        ))
}
