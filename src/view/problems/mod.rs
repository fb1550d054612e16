//! Problems of documents in the forms of code hosts and build servers. `diag` draws them for people.

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

/// A checked document with its problems.
#[derive(Clone, Copy)]
pub struct Checked<'a> {
    pub source: &'a Source,
    pub spec: &'a Spec,
    pub problems: &'a [Diagnostic],
}

/// The path of a document in the form of code hosts.
fn path(source: &Source) -> &str {
    let mut path = source.name.as_str();
    while let Some(rest) = path.strip_prefix("./") {
        path = rest.trim_start_matches('/');
    }
    path
}

/// Whether a span extends beyond its line.
fn over_lines(source: &Source, problem: &Diagnostic) -> bool {
    source.position(problem.span.start).line != source.position(problem.span.end).line
}

/// The message and its help, in two lines.
fn message_of(problem: &Diagnostic) -> String {
    match &problem.help {
        Some(help) => format!("{}\nhelp: {help}", problem.message),
        None => problem.message.clone(),
    }
}
