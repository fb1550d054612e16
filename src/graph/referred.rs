//! The steps and groups that the references of a document mean, for editors. Problems are reported by [`build`](super::build()).

use super::names::{Names, Search};
use crate::diag::Span;
use crate::spec::Spec;

/// The index of a step or of a group of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Referred {
    Step(usize),
    Group(usize),
}

/// What each of these references means: a step with this title or phase, else a group.
pub fn referred(spec: &Spec, references: &[&str]) -> Vec<Option<Referred>> {
    let names = Names::new(spec, &mut Vec::new());
    let find = |written: &str| match names.find_group(written) {
        _ if names.is_step(written) => names.find(written, Span::default()).ok().map(Referred::Step),
        Search::One(group) => Some(Referred::Group(group)),
        Search::Nothing | Search::Several(_) => None,
    };
    // `Review?` is an order after `Review`.
    let optional = |written: &str| written.strip_suffix('?').map(str::trim_end).and_then(find);
    references.iter().map(|written| find(written).or_else(|| optional(written))).collect()
}

/// The name of each step in traces.
pub fn phases(spec: &Spec) -> Vec<String> {
    Names::new(spec, &mut Vec::new()).phases
}
