//! Checks that conditions use members that the types of values have. Values without a defined type may have any.

use super::ValueId;
use super::flow::Flow;
use super::names::Names;
use super::once::Once;
use crate::condition::{Condition, Step};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::{Piece, Spanned, Spec};
use crate::value::{Part, Type, in_conditions};
use std::collections::HashMap;

/// Reports members in conditions that the type does not have, and steps for the elements of a value that is not a
/// list.
pub(super) fn check(spec: &Spec, flow: &Flow, once: &Once, names: &Names, diagnostics: &mut Vec<Diagnostic>) {
    let values = flow.values.iter().enumerate();
    let values: HashMap<String, ValueId> =
        values.map(|(id, value)| (in_conditions(&value.name), ValueId(id as u32))).collect();
    let groups = spec.groups.iter().filter_map(|group| group.annotations.when.as_ref());
    let steps = spec.steps.iter().filter_map(|step| step.annotations.when.as_ref());
    let groups_of = spec.groups.iter().filter_map(|group| group.annotations.repeat.as_ref());
    let loops = groups_of.chain(spec.steps.iter().filter_map(|step| step.annotations.repeat.as_ref()));
    let untils = loops.map(|repeat| &repeat.value.until);
    let arms = spec.steps.iter().flat_map(|step| step.chains.iter().flatten());
    let pieces = spec.steps.iter().flat_map(|step| &step.instructions.pieces);
    let filled = pieces.filter_map(|piece| match piece {
        Piece::Value(value) => Some(value),
        _ => None,
    });
    let conditions = groups.chain(steps).chain(untils).chain(arms.filter_map(|arm| arm.condition.as_ref()));
    for condition in conditions.chain(filled) {
        report(condition, flow, &values, names, diagnostics);
    }
    for (index, (step, way)) in spec.steps.iter().zip(&flow.ways).enumerate() {
        let Some(each) = &step.annotations.each else { continue };
        let Some((way, list)) = way.as_ref().zip(each.value.way.as_ref()) else {
            // Scalars have been reported with the types.
            let list = flow.each[index]
                .map(|each| each.list)
                .filter(|list| !(once.is(index) && once.gathers(flow, *list)));
            let ty = list.and_then(|list| flow.values[list.index()].ty.as_ref());
            if let Some(ty @ (Type::Defined(_) | Type::Nullable(_))) = ty.filter(|ty| !ty.may_be_list()) {
                let list = &each.value.list;
                diagnostics.push(catalogue::no_list(&list.value, list.span, &ty.to_string(), list.span));
            }
            continue;
        };
        let before = diagnostics.len();
        report(list, flow, &values, names, diagnostics);
        if let Some(ty) = at_end(&way.condition, flow, &values)
            && diagnostics.len() == before
            && !ty.may_be_list()
        {
            let text = &*way.condition.text;
            diagnostics.push(catalogue::no_list(text, list.span, &ty.to_string(), list.span));
        }
    }
}

/// The type at the end of a path into a value, as far as it is known.
fn at_end(way: &Condition, flow: &Flow, values: &HashMap<String, ValueId>) -> Option<Type> {
    let ways = way.ways();
    let [way] = ways.as_slice() else { return None };
    behind(flow.values[values.get(way.name)?.index()].ty.clone()?, &way.steps)
}

fn behind(mut ty: Type, steps: &[Step]) -> Option<Type> {
    for step in steps {
        if let Type::Nullable(inner) = ty {
            ty = *inner;
        }
        ty = match (step, ty) {
            (Step::Member(name, _), ty) => ty.member(name)?.0,
            (Step::Element(_), Type::List(one)) => *one,
            (Step::Element(_), _) => return None,
        };
    }
    Some(ty)
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
            Step::Element(_) => Part::Element,
        };
        let parts: Vec<Part> = way.steps.iter().map(part).collect();
        let Some(lack) = ty.lacks(&parts) else { continue };
        let (Some(step), ahead) = (way.steps.get(lack.at), &way.steps[..lack.at]) else { continue };
        let (Step::Member(_, written) | Step::Element(written)) = step;
        let from = condition.span.start;
        let at = Span::new(from + written.start, from + written.end);
        match step {
            Step::Member(name, _) if !lack.members.is_empty() => {
                let near = names.near(name, lack.members.iter().map(String::as_str));
                diagnostics.push(catalogue::unknown_member(at, name, &ty.to_string(), near, &lack.members));
            }
            _ => {
                let end = match ahead.last() {
                    Some(Step::Member(_, before) | Step::Element(before)) => before.end,
                    None => written.start + way.name.len(),
                };
                let of = condition.value.text.get(written.start..end).unwrap_or(way.name);
                let here = behind(ty.clone(), ahead).map(|ty| ty.to_string());
                let member = if let Step::Member(name, _) = step { Some(*name) } else { None };
                diagnostics.push(catalogue::no_members(at, of, here.as_deref(), member));
            }
        }
    }
}
