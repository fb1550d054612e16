//! Problems of the cases of a document, and of what they expected.

use super::graph::did_you_mean;
use crate::diag::{Diagnostic, Span, nearest};
use crate::value::words;

/// The most names that a help lists.
const LISTED: usize = 12;

pub fn case_syntax(span: Span, message: &str) -> Diagnostic {
    Diagnostic::error("case-syntax", span, message.trim().to_owned())
}

pub fn case_unknown_key(span: Span, key: &str, known: &[&str]) -> Diagnostic {
    let help = match nearest(key, known.iter().copied()) {
        Some(near) => words::did_you_mean(near),
        None => format!("known here: {}", known.join(", ")),
    };
    Diagnostic::error("case-unknown-key", span, format!("unknown key `{key}`")).help(help)
}

/// `expected` completes "… must be …".
pub fn case_bad_value(span: Span, key: &str, expected: &str, found: &str) -> Diagnostic {
    Diagnostic::error("case-bad-value", span, format!("`{key}` must be {expected}"))
        .label(format!("found {found}"))
}

pub fn case_unknown_word(
    span: Span,
    key: &str,
    written: &str,
    near: Option<&str>,
    known: &[&str],
) -> Diagnostic {
    Diagnostic::error("case-bad-value", span, format!("`{key}` cannot be `{written}`"))
        .help(did_you_mean(near, &format!("write one of {}", known.join(", "))))
}

pub fn case_no_json(span: Span, why: &str) -> Diagnostic {
    Diagnostic::error("case-bad-value", span, why)
}

/// `what` is a step, a value, an input and so on that the document does not have.
pub fn case_unknown_name<'a>(
    span: Span,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Diagnostic {
    let problem = Diagnostic::error("case-unknown-name", span, format!("unknown {what} `{name}`"));
    let all: Vec<&str> = known.clone().collect();
    match nearest(name, known) {
        Some(near) => problem.help(words::did_you_mean(near)),
        None if all.is_empty() => problem.help("the document has none"),
        None => problem.help(format!("the document has {}", words::first(&all, LISTED, all.len()))),
    }
}

pub fn case_ambiguous_step(span: Span, name: &str, phases: &[&str]) -> Diagnostic {
    Diagnostic::error("case-ambiguous-step", span, format!("several steps are called `{name}`"))
        .help(format!("write one of {}", phases.join(", ")))
}

pub fn case_lacks(span: Span, what: &str, help: &str) -> Diagnostic {
    Diagnostic::error("case-lacks", span, format!("this case lacks {what}")).help(help)
}

pub fn case_misfit(span: Span, message: &str) -> Diagnostic {
    Diagnostic::error("case-misfit", span, message)
}

pub fn case_duplicate(span: Span, name: &str, first: Span) -> Diagnostic {
    Diagnostic::error("case-duplicate", span, format!("two cases are called `{name}`"))
        .related(first, "the first one")
}

pub fn case_both(span: Span, one: &str, other: &str) -> Diagnostic {
    Diagnostic::error("case-both", span, format!("an answer has either `{one}` or `{other}`"))
}

/// An expectation of a case that was not met.
pub fn case_unmet(span: Span, message: String, happened: &str) -> Diagnostic {
    let problem = Diagnostic::error("case-unmet", span, message);
    if happened.is_empty() { problem } else { problem.help(happened) }
}
