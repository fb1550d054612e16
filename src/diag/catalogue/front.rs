//! Problems of the front matter.

use crate::diag::{Diagnostic, Replacement, Span, nearest};

pub fn front_matter_unclosed(span: Span) -> Diagnostic {
    Diagnostic::error("front-matter-unclosed", span, "the front matter is never closed")
        .label("it begins here")
        .help("end it with a line of `---`")
}

pub fn front_matter_late(opening: Span) -> Diagnostic {
    Diagnostic::error("front-matter-late", opening, "this looks like front matter, but is read as prose")
        .help("front matter is between lines of `---`, of which the first is the document's first line")
}

pub fn front_matter_syntax(span: Span, message: &str) -> Diagnostic {
    Diagnostic::error("front-matter-syntax", span, format!("the front matter is not valid YAML: {message}"))
        .help("front matter has lines like `title: Order Processing`")
}

/// `remark` is whether the key only informs people.
pub fn unknown_key<'a>(
    span: Span,
    key: &str,
    remark: bool,
    known: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    let near = nearest(key, known);
    let problem = Diagnostic::error("unknown-key", span, format!("unknown key `{key}` in the front matter"));
    let own = Replacement { span: Span::new(span.start, span.start), text: "x-".to_owned() };
    match near {
        _ if remark => {
            problem.help(format!("write `x-{key}`: keys of your own begin with `x-`")).fixed(true, vec![own])
        }
        Some(near) => problem
            .help(format!("did you mean `{near}`? keys of your own begin with `x-`, as in `x-{key}`"))
            .renamed(span, key, near),
        None => problem
            .help(format!("write `x-{key}` for a key of your own, which orderflow ignores"))
            .fixed(false, vec![own]),
    }
}

/// A key for what is said in another place, or set up outside of the document.
pub fn key_elsewhere(span: Span, key: &str, said: &str) -> Diagnostic {
    let own = Replacement { span: Span::new(span.start, span.start), text: "x-".to_owned() };
    Diagnostic::error("unknown-key", span, format!("unknown key `{key}` in the front matter"))
        .help(format!("{said}; `x-{key}` is a remark for people"))
        .fixed(false, vec![own])
}

/// A key that has another name.
pub fn other_key(span: Span, key: &str, right: &str) -> Diagnostic {
    Diagnostic::error("unknown-key", span, format!("unknown key `{key}` in the front matter"))
        .help(format!("write `{right}`"))
        .maybe(span, right.to_owned())
}

/// A key that surely sets a budget.
pub fn key_of_a_budget(span: Span, key: &str) -> Diagnostic {
    Diagnostic::error("unknown-key", span, format!("unknown key `{key}` in the front matter"))
        .help("write `budget` for what an item may spend, or `run-budget` for what the run may spend")
        .maybe(span, "budget".to_owned())
}

pub fn duplicate_key(span: Span, key: &str) -> Diagnostic {
    Diagnostic::error("duplicate-key", span, format!("duplicate key `{key}` in the front matter"))
        .help("remove one of them")
}

pub fn bad_key_value(span: Span, key: &str, expected: &str) -> Diagnostic {
    Diagnostic::error("front-matter-value", span, format!("`{key}` should be {expected}"))
        .label(format!("expected {expected}"))
}

pub fn key_without_value(span: Span, key: &str, example: &str) -> Diagnostic {
    Diagnostic::error("front-matter-value", span, format!("a value is missing for `{key}`"))
        .help(format!("write `{key}: {example}`, or remove the key"))
}

pub fn heading_in_front_matter(span: Span) -> Diagnostic {
    Diagnostic::error("heading-in-front-matter", span, "this heading is a comment of the front matter")
        .help("the text between the first two lines of `---` is YAML; put an empty line below the first `---` if it was meant as a rule")
}
