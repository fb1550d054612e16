//! Whether conditions ask values for members that their types have. Values without a defined type may have any.

use super::ValueId;
use super::flow::Flow;
use super::names::Names;
use crate::condition::{Condition, Step};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::{Spanned, Spec};
use crate::value::{Part, in_conditions};
use std::collections::HashMap;

/// Reports what a condition asks for and no value of the type has.
pub(super) fn check(spec: &Spec, flow: &Flow, names: &Names, diagnostics: &mut Vec<Diagnostic>) {
    let values = flow.values.iter().enumerate();
    let values: HashMap<String, ValueId> =
        values.map(|(id, value)| (in_conditions(&value.name), ValueId(id as u32))).collect();
    let groups = spec.groups.iter().filter_map(|group| group.annotations.when.as_ref());
    let steps = spec.steps.iter().filter_map(|step| step.annotations.when.as_ref());
    let arms = spec.steps.iter().flat_map(|step| step.chains.iter().flatten());
    for condition in groups.chain(steps).chain(arms.filter_map(|arm| arm.condition.as_ref())) {
        report(condition, flow, &values, names, diagnostics);
    }
}

fn report(
    condition: &Spanned<Condition>,
    flow: &Flow,
    values: &HashMap<String, ValueId>,
    names: &Names,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for way in condition.value.ways() {
        let ty = values.get(way.name).and_then(|value| flow.values[value.index()].ty.as_ref());
        let Some(ty) = ty else { continue };
        let part = |step: &Step<'_>| match step {
            Step::Member(name, _) => Part::Member((*name).to_owned()),
            Step::Element => Part::Element,
        };
        let parts: Vec<Part> = way.steps.iter().map(part).collect();
        let Some(lack) = ty.lacks(&parts) else { continue };
        let Some(Step::Member(name, at)) = way.steps.get(lack.at) else { continue };
        let from = condition.span.start;
        let at = Span::new(from + at.start, from + at.end);
        let near = names.near(name, lack.members.iter().map(String::as_str));
        diagnostics.push(catalogue::unknown_member(at, name, &ty.to_string(), near, &lack.members));
    }
}
