//! Problems of events: how they are written, and who can wait for or publish them.

use crate::diag::{Diagnostic, Span};

/// A type of events that is not one.
pub fn bad_event_type(span: Span, said: &str) -> Diagnostic {
    Diagnostic::error("bad-event-type", span, format!("`{said}` is not a type of events"))
        .help("write words joined by dots, as in `order.created`")
}

/// A part of `[await:: …]` that is not read.
pub fn bad_await(span: Span, what: String) -> Diagnostic {
    Diagnostic::error("bad-await", span, what)
        .help("write `[await:: order.shipped]`, with `for order.id`, `where total > 0` or `within 7d` behind the type")
}

/// `[await:: …]` on a step that does not run forward.
pub fn await_of_handler(span: Span, who: &str, title: &str) -> Diagnostic {
    misplaced_await(
        span,
        format!("the {who} `{title}` cannot wait for an event: the item has failed already"),
    )
    .help("let a step that runs forward wait for it")
}

fn misplaced_await(span: Span, message: String) -> Diagnostic {
    Diagnostic::error("misplaced-await", span, message)
}

/// The payload has the name of another value.
pub fn payload_taken(span: Span, name: &str, why: &str, other: Span) -> Diagnostic {
    Diagnostic::error(
        "payload-taken",
        span,
        format!("the payload of this event is the value `{name}`, and {why}"),
    )
    .related(other, "there")
    .help("give the other value another name")
}

/// A published event would contain a secret.
pub fn secret_emitted(span: Span, name: &str) -> Diagnostic {
    Diagnostic::error(
        "secret-emitted",
        span,
        format!("the output `{name}` is a secret, and events are public"),
    )
    .help("publish the event in a step without this output")
}

/// A payload with the type of a secret.
pub fn secret_awaited(span: Span, name: &str) -> Diagnostic {
    Diagnostic::error(
        "secret-awaited",
        span,
        format!("`{name}` is a secret, and events are stored as they come"),
    )
    .help("give the payload a type without secrets")
}

/// A subject with a type that no subject has.
pub fn bad_subject(span: Span, name: &str, ty: &str) -> Diagnostic {
    Diagnostic::error(
        "bad-subject",
        span,
        format!("`{name}` is of type {ty}, and the subject of an event is a text or a number"),
    )
    .help("name a text or a number that is not secret, as in `for order.id`")
}

/// An awaited type that is almost that of an event that another step publishes.
pub fn almost_emitted(span: Span, awaited: &str, emitted: &str, other: Span) -> Diagnostic {
    let message = format!("no step publishes `{awaited}`; a step publishes `{emitted}`");
    Diagnostic::warning("almost-emitted", span, message).related(other, "published here").maybe(span, emitted)
}
