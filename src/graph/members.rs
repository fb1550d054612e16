//! Whether conditions ask values for members that their types have. Values without a defined type may have any.

use super::ValueId;
use super::flow::Flow;
use super::names::Names;
use crate::condition::{Condition, Step};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::{Spanned, Spec};
use crate::value::{Part, Type, in_conditions};
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
    for (step, way) in spec.steps.iter().zip(&flow.ways) {
        let each = step.annotations.each.as_ref().and_then(|each| each.value.way.as_ref());
        let Some((way, list)) = way.as_ref().zip(each) else { continue };
        let before = diagnostics.len();
        report(list, flow, &values, names, diagnostics);
        if let Some(ty) = scalar(&way.condition, flow, &values).filter(|_| diagnostics.len() == before) {
            let text = &*way.condition.text;
            diagnostics.push(catalogue::no_list(text, list.span, &ty.to_string(), list.span));
        }
    }
}

/// The type to which a way into a value leads, where it has a type that is surely no list.
fn scalar(way: &Condition, flow: &Flow, values: &HashMap<String, ValueId>) -> Option<Type> {
    let ways = way.ways();
    let [way] = ways.as_slice() else { return None };
    let mut ty = flow.values[values.get(way.name)?.index()].ty.clone()?;
    for step in &way.steps {
        ty = match (step, ty) {
            (Step::Member(name, _), ty) => ty.member(name)?.0,
            (Step::Element, Type::List(one)) => *one,
            (Step::Element, _) => return None,
        };
    }
    matches!(ty, Type::String | Type::Boolean | Type::Integer | Type::Number | Type::File).then_some(ty)
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
