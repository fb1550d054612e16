//! Problems of documents in the forms that code hosts and build servers read. How people see them is drawn in
//! `diag`.

mod github;
mod gitlab;
mod junit;
mod sarif;

pub use github::github;
pub use gitlab::gitlab;
pub use junit::junit;
pub use sarif::sarif;

use crate::diag::{Diagnostic, Source};
use crate::spec::Spec;

/// A document that was looked at, and what was found.
#[derive(Clone, Copy)]
pub struct Checked<'a> {
    pub source: &'a Source,
    pub spec: &'a Spec,
    pub problems: &'a [Diagnostic],
}

/// The path of a document as code hosts know it.
fn path(source: &Source) -> &str {
    let mut path = source.name.as_str();
    while let Some(rest) = path.strip_prefix("./") {
        path = rest.trim_start_matches('/');
    }
    path
}

/// Whether a span goes over the end of a line.
fn over_lines(source: &Source, problem: &Diagnostic) -> bool {
    source.position(problem.span.start).line != source.position(problem.span.end).line
}

/// What is wrong and what to do about it, in two lines.
fn told(problem: &Diagnostic) -> String {
    match &problem.help {
        Some(help) => format!("{}\nhelp: {help}", problem.message),
        None => problem.message.clone(),
    }
}
