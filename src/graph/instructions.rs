//! Checks that the values in a step's instructions are values that its agent gets.

use super::names::Names;
use super::{Graph, Instructions, Kind, Step};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::{Piece, Spec};
use crate::value::in_conditions;
use std::collections::HashMap;

/// Reports each value that a step does not take, that may be missing, or that is a secret.
pub(super) fn check(spec: &Spec, graph: &Graph, names: &Names, diagnostics: &mut Vec<Diagnostic>) {
    for (written, step) in spec.steps.iter().zip(&graph.steps) {
        if !written.instructions.is_empty() {
            let taken = taken(graph, step);
            check_values(&written.instructions, graph, &taken, &step.title, names, diagnostics);
        }
    }
}

/// The same for one text, of what has this title and gets these values.
pub(super) fn check_values(
    text: &Instructions,
    graph: &Graph,
    taken: &HashMap<String, bool>,
    title: &str,
    names: &Names,
    diagnostics: &mut Vec<Diagnostic>,
) {
    // Most instructions have no values, so the values of the graph are only searched for those that do.
    let is_secret = |name: &str| graph.secrets().any(|(_, secret)| in_conditions(secret) == name);
    for piece in &text.pieces {
        let Piece::Value(value) = piece else { continue };
        for (name, at) in value.value.names() {
            let at = Span::new(value.span.start + at.start, value.span.start + at.end);
            match taken.get(name) {
                Some(_) if is_secret(name) => {
                    diagnostics.push(catalogue::secret_in_instructions(at, name));
                }
                Some(optional) if *optional && value.value.needs().contains(&name) => {
                    diagnostics.push(catalogue::instructions_may_lack(at, name));
                }
                Some(_) => {}
                None => {
                    let near = names.near(name, taken.keys().map(String::as_str));
                    diagnostics.push(catalogue::instructions_lack(at, name, title, near));
                }
            }
        }
    }
}

/// The values that a step gets, by their names in conditions, and whether they may be absent. A compensation or
/// handler without a signature gets all available values.
pub(super) fn taken(graph: &Graph, step: &Step) -> HashMap<String, bool> {
    let name = |id| in_conditions(&graph.value(id).name);
    if step.kind != Kind::Forward && !step.has_signature() {
        return graph.values.iter().map(|value| (in_conditions(&value.name), false)).collect();
    }
    let mut taken: HashMap<String, bool> = step.takes(&graph.inputs).map(|id| (name(id), false)).collect();
    for input in step.given().filter(|input| input.optional) {
        taken.insert(name(input.value), true);
    }
    taken
}
