//! Reads a document: markdown in, [`Spec`] out. Resolves no names; `graph` does.
//!
//! [`parse`] never fails. Problems become diagnostics and reading continues, so that one pass shows all of them; a
//! step with problems is included as far as it could be read.

mod body;
mod budget;
mod callout;
mod claims;
mod condition;
mod decision;
mod diagram;
mod duration;
mod events;
mod evidence;
mod expect;
mod field;
mod front;
mod gate;
mod heading;
mod instructions;
mod layout;
mod markdown;
mod misses;
mod model;
mod near;
mod phase;
mod repeat;
mod reuse;
mod signature;
mod slip;
mod sounds;
mod steps;
mod stray;
pub mod title;
mod titles;
mod types;
mod yaml;

pub use duration::duration;
pub use events::{is_event_type, payload_name};
pub use expect::{Bound, Expectation, Misread, QUANTITIES, Quantity, Relation, expectations, quoted};
pub use front::{on_item_error, tolerance};
pub use layout::laid_out;
pub use model::*;
pub use phase::phase;

use crate::diag::{Diagnostic, Source, Span, catalogue as problem};
use crate::value::space;
use std::collections::HashSet;

/// The largest document, in bytes.
pub const LARGEST: usize = 1024 * 1024;

/// The most steps of a document.
pub const MOST_STEPS: usize = 10_000;

/// The fields that a heading or a line of a step may have, such as `retry`.
pub fn fields() -> impl Iterator<Item = &'static str> {
    field::READ.into_iter()
}

/// The keys of the front matter, except a document's own, which begin with `x-`.
pub fn keys() -> impl Iterator<Item = &'static str> {
    front::KEYS.into_iter()
}

/// Reads a document. The diagnostics are in the order of their places.
pub fn parse(source: &Source) -> (Spec, Vec<Diagnostic>) {
    let text = source.text.as_str();
    let mut problems = Vec::new();
    if text.len() > LARGEST {
        problems.push(problem::document_too_large(LARGEST));
        return (Spec::default(), problems);
    }
    if let Some(line) = trace(text) {
        problems.push(problem::trace_alone(line));
        return (Spec::default(), problems);
    }
    let (front, start) = front::read(text, &mut problems);
    // Read with plain spaces; texts that must be exact are taken from the original at the same places.
    let plain = &*space::plain(text);
    let blocks = markdown::blocks(plain, start);
    let parts = body::parts(plain, text, &blocks, &mut problems);
    let roles = evidence::roles(plain, &parts);
    let titles = titles::Titles::new(plain, &parts, &roles);
    let mut spec = steps::assemble(plain, text, &parts, &roles, &titles, &mut problems);
    misses::check(plain, &parts, &roles, &titles, front.agent.is_some(), &mut problems);
    let listed = front.inputs.iter().flatten().map(|(name, _)| name.value.as_str()).collect();
    sounds::check(plain, &parts, &roles, &listed, &mut problems);
    if spec.steps.iter().any(|step| step.annotations.state.is_some()) {
        spec.diagram = diagram::read(plain, &parts, &mut problems);
    }
    claims::read(plain, &parts, &roles, &titles, &mut spec);
    spec.types = types::read(plain, text, &parts, &roles, &used(&spec, &front), &mut problems);
    stray::check(plain, &blocks, &mut problems);
    spec.front = front;
    let loops = |problem: &Diagnostic| problem.help.as_ref().is_some_and(|help| help.contains("[repeat:: "));
    spec.loops_unread = problems.iter().any(loops);
    for step in &mut spec.steps {
        let own =
            |problem: &&Diagnostic| step.heading.start <= problem.span.start && problem.span.end <= step.end;
        let names = |problem: &Diagnostic| {
            let help = problem.help.as_deref().unwrap_or_default();
            problem.code == "bad-document" || help.contains("[document:: ")
        };
        step.document_unread = problems.iter().filter(own).any(names);
    }
    spec.unsettled = problems.iter().any(|problem| !problem.fixes.is_empty());
    problems.sort_by_key(|problem| (problem.span, problem.severity));
    (spec, problems)
}

/// The names of types in signatures and in the front matter.
fn used<'a>(spec: &'a Spec, front: &'a Front) -> HashSet<&'a str> {
    let steps = spec.steps.iter().filter_map(|step| step.signature.as_ref());
    let groups = spec.groups.iter().filter_map(|group| group.signature.as_ref());
    let ports = steps.chain(groups).flat_map(|signature| signature.inputs.iter().chain(&signature.outputs));
    let ports = ports.filter_map(|port| port.ty.as_ref()?.value.name());
    let listed = front.inputs.iter().flatten().filter_map(|(_, ty)| ty.as_ref()?.name());
    ports.chain(listed).collect()
}

/// The first line of a text that is a trace and not a document.
fn trace(text: &str) -> Option<Span> {
    let line = markdown::lines(text, Span::new(0, text.len())).find(|line| line.start < line.end)?;
    let said = &text[line.start..line.end];
    let version =
        said.strip_prefix("orderflow: ").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    let table = said.strip_prefix("execution[").is_some_and(|rest| rest.contains("]{") || rest == "]: []");
    (version || table).then_some(line)
}
