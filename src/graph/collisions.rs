//! Names that become equal in conditions or in the variables of programs, which allow fewer characters.

use super::ValueId;
use super::flow::Flow;
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::{Port, Spanned, Spec};
use crate::value::{in_conditions, variable};
use std::collections::HashMap;

/// Rejects values that share a name with another, and variables of the front matter with the name of a value's
/// variable.
pub(super) fn check(spec: &Spec, flow: &Flow, diagnostics: &mut Vec<Diagnostic>) {
    let places = places(spec, flow);
    let mut conditions: HashMap<String, usize> = HashMap::new();
    let mut variables: HashMap<String, usize> = HashMap::new();
    for (value, at) in places.iter().enumerate() {
        let name = flow.name(ValueId(value as u32));
        let (short, long) = (in_conditions(name), variable(name));
        let first = *conditions.entry(short.clone()).or_insert(value);
        let alike = *variables.entry(long.clone()).or_insert(value);
        let (first, why) = match (first != value, alike != value) {
            (true, _) => (first, format!("conditions write both `{short}`")),
            (_, true) => (alike, format!("programs know both as `{long}`")),
            _ => continue,
        };
        let other = flow.name(ValueId(first as u32));
        diagnostics.push(catalogue::names_collide(name, *at, other, places[first], &why));
    }
    let front = &spec.front;
    let mut asked: HashMap<&str, Span> = HashMap::new();
    for Spanned { value: name, span } in front.env.iter().chain(&front.secrets) {
        if let Some(first) = asked.insert(name, *span) {
            diagnostics.push(catalogue::said_twice(*span, first, name));
        } else if let Some(value) = variables.get(name) {
            let (other, why) = (flow.name(ValueId(*value as u32)), format!("programs know both as `{name}`"));
            diagnostics.push(catalogue::names_collide(name, *span, other, places[*value], &why));
        }
    }
}

/// By value: its first mention.
fn places(spec: &Spec, flow: &Flow) -> Vec<Span> {
    let listed = spec.front.inputs.iter().flatten().map(|(name, _)| name);
    let steps = spec.steps.iter().flat_map(|step| {
        let each = step.annotations.each.iter().flat_map(|each| [&each.value.element, &each.value.list]);
        let signature =
            step.signature.iter().flat_map(|signature| signature.inputs.iter().chain(&signature.outputs));
        signature.map(|port: &Port| &port.name).chain(each)
    });
    let mut places = vec![None; flow.values.len()];
    for name in listed.chain(steps) {
        if let Some(value) = flow.find(&name.value) {
            places[value.index()].get_or_insert(name.span);
        }
    }
    places.into_iter().map(Option::unwrap_or_default).collect()
}
