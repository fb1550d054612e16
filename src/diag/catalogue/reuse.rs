//! Problems of steps that run another document.

use super::graph::did_you_mean;
use crate::diag::{Diagnostic, Span};

/// The value of `[document:: …]` is not a path.
pub fn bad_document(span: Span, written: &str) -> Diagnostic {
    Diagnostic::error("bad-document", span, format!("{} is not the path of a document", quoted(written)))
        .help("name a file by its path from this document, as in `[document:: review.md]`")
}

/// A step that runs a document and also has what another step does its work with.
pub fn document_with(span: Span, what: &str, document: Span) -> Diagnostic {
    Diagnostic::error("document-with", span, format!("a step that runs a document has no {what}"))
        .related(document, "the document")
        .help(format!("remove the {what}, or the document"))
}

/// The document of a step cannot be read. `near` are files that can be meant.
pub fn unread_document(span: Span, path: &str, why: &str, near: Option<&str>) -> Diagnostic {
    let problem = Diagnostic::error("unread-document", span, format!("cannot read `{path}`: {why}"));
    match near {
        Some(near) => problem.help(did_you_mean(Some(near), "")).renamed(span, path, near),
        None => problem.help("the path is relative to the folder of this document"),
    }
}

/// The document of a step has errors, which are shown as well.
pub fn broken_document(span: Span, path: &str) -> Diagnostic {
    Diagnostic::error("broken-document", span, format!("`{path}` is not valid"))
        .help("solve its problems, which are shown as well")
}

/// A document that runs itself, by itself or through others.
pub fn document_within_itself(span: Span, chain: &[&str]) -> Diagnostic {
    let message = format!("a document cannot run itself: {}", chain.join(" → "));
    Diagnostic::error("document-within-itself", span, message).help(
        "repeat steps with `[repeat:: 3 until …]`, or run them for each element of a list with `[each:: …]`",
    )
}

/// A document takes a value that its step does not have.
pub fn document_needs(span: Span, path: &str, name: &str, place: &str, near: Option<&str>) -> Diagnostic {
    let message = format!("`{path}` takes `{name}`, which this step does not take");
    let otherwise = format!("add `{name}` to the inputs of this step; {place} takes it");
    Diagnostic::error("document-needs", span, message).help(did_you_mean(near, &otherwise))
}

/// A step without a signature does not take what its document needs; `line` is a signature for it.
pub fn document_needs_line(
    span: Span,
    path: &str,
    names: &[&str],
    line: Option<&str>,
    place: &str,
) -> Diagnostic {
    let all: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let message = format!("`{path}` takes {}, which this step does not take", all.join(", "));
    let first = names.first().unwrap_or(&"");
    let what = match line {
        Some(line) => format!("write `{line}` below the heading"),
        None => format!("add `{}` to `inputs` in the front matter", names.join("`, `")),
    };
    Diagnostic::error("document-needs", span, message).help(format!("{what}; {place} takes `{first}`"))
}

/// A step may lack a value that its document needs.
pub fn document_may_lack(span: Span, path: &str, name: &str, place: &str) -> Diagnostic {
    let message = format!("`{name}` may be missing, and `{path}` needs it");
    Diagnostic::error("document-may-lack", span, message)
        .help(format!("write `{name}` here, or `{name}?` in {place}"))
}

/// A step takes a value that its document does not take.
pub fn document_takes_not(
    span: Span,
    path: &str,
    name: &str,
    near: Option<&str>,
    all: &[&str],
) -> Diagnostic {
    let otherwise = match all {
        [] => "the document has no inputs".to_owned(),
        all => format!("its inputs are {}", all.join(", ")),
    };
    let problem = Diagnostic::error("document-takes-not", span, format!("`{path}` has no input `{name}`"));
    problem.help(did_you_mean(near, &otherwise))
}

/// A step makes a value that its document does not make.
pub fn document_makes_not(
    span: Span,
    path: &str,
    name: &str,
    near: Option<&str>,
    all: &[&str],
) -> Diagnostic {
    let otherwise = match all {
        [] => "the document makes nothing".to_owned(),
        all => format!("it makes {}", all.join(", ")),
    };
    Diagnostic::error("document-makes-not", span, format!("no step of `{path}` makes `{name}`"))
        .help(did_you_mean(near, &otherwise))
}

/// A value that has different types in the two documents.
pub fn document_type(span: Span, name: &str, own: &str, other: &str, place: &str) -> Diagnostic {
    let message = format!("`{name}` is {own} here and {other} in {place}");
    Diagnostic::error("document-type", span, message).help("use the same type in both documents")
}

/// A type of one name with two definitions.
pub fn document_type_shape(span: Span, name: &str, place: &str) -> Diagnostic {
    let message = format!("the type `{name}` is defined differently in {place}");
    Diagnostic::error("document-type-shape", span, message)
        .help("types that documents share have the same members in both; descriptions may differ")
}

/// A text in backticks, unless it has some.
fn quoted(text: &str) -> String {
    if text.contains('`') { text.to_owned() } else { format!("`{text}`") }
}
