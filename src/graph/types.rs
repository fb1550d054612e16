//! The type of each value, and whether all mentions agree. Also checks that optional values are only used where they
//! may be absent.

use super::flow::{Flow, Origin, Port};
use super::once::Once;
use super::{Kind, ValueId};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::{self, Spanned, Spec};
use crate::value::{Type, TypeSchema};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Determines the type of every value: that in the front matter, else its maker's, else its users'.
pub(super) fn decide(spec: &Spec, flow: &mut Flow, once: &Once, diagnostics: &mut Vec<Diagnostic>) {
    let mut types: Vec<Option<Spanned<Type>>> = vec![None; flow.values.len()];
    for (name, ty) in spec.front.inputs.iter().flatten() {
        if let (Some(value), Some(ty)) = (flow.find(&name.value), ty) {
            types[value.index()] = Some(Spanned::new(ty.clone(), name.span));
        }
    }
    let made = flow.steps.iter().enumerate();
    let made = made.flat_map(|(step, ports)| ports.outputs.iter().map(move |port| (step, port)));
    for (value, ty) in made.filter_map(|(step, port)| Some((port.value, made_as(flow, step, port)?))) {
        match &types[value.index()] {
            None => types[value.index()] = Some(ty.into_owned()),
            Some(known) => diagnostics.extend(disagree(flow, value, known, &ty)),
        }
    }
    let fixed: Vec<bool> = types.iter().map(Option::is_some).collect();
    for (value, ty) in users(spec, flow, once, diagnostics) {
        match &types[value.index()] {
            None => types[value.index()] = Some(ty.into_owned()),
            // Without a maker the narrowest of the uses is chosen, in any order.
            Some(known) if !fixed[value.index()] && ty.value.serves_as(&known.value) => {
                types[value.index()] = Some(ty.into_owned());
            }
            Some(known) => diagnostics.extend(disagree(flow, value, known, &ty)),
        }
    }
    elements(flow, once, &mut types, diagnostics);
    for (value, ty) in flow.values.iter_mut().zip(types) {
        value.ty = ty.map(|ty| ty.value);
    }
}

/// Replaces names by their definitions. Until then types are compared by name.
pub(super) fn resolve(flow: &mut Flow, known: &HashMap<String, Arc<TypeSchema>>) {
    for value in flow.values.iter_mut().filter(|_| !known.is_empty()) {
        value.ty = value.ty.as_ref().map(|ty| ty.resolved(known));
    }
}

/// An output's type as other steps see it: for a step that runs for each element of a list, a list.
fn made_as<'a>(flow: &Flow<'a>, step: usize, port: &Port<'a>) -> Option<Cow<'a, Spanned<Type>>> {
    let ty = port.ty?;
    Some(match flow.each[step] {
        None => Cow::Borrowed(ty),
        Some(_) => {
            let one = Box::new(ty.value.clone());
            let one = if port.optional { Box::new(Type::Nullable(one)) } else { one };
            Cow::Owned(Spanned::new(Type::List(one), ty.span))
        }
    })
}

/// An input's type as the value has it: a step that runs once for all items takes lists over them.
fn taken_as<'a>(
    flow: &Flow<'a>,
    once: &Once,
    step: usize,
    port: &Port<'a>,
) -> Result<Option<Cow<'a, Spanned<Type>>>, Span> {
    let Some(ty) = port.ty else { return Ok(None) };
    let element = flow.each[step].is_some_and(|each| each.element == port.value);
    match (once.said(step).filter(|_| !element && once.gathers(flow, port.value)), &ty.value) {
        (None, _) => Ok(Some(Cow::Borrowed(ty))),
        (Some(_), Type::List(one)) => Ok(Some(Cow::Owned(Spanned::new((**one).clone(), ty.span)))),
        (Some(_), Type::Json) => Ok(None),
        (Some(said), _) => Err(said),
    }
}

/// The type of elements is that of their list's elements.
fn elements(
    flow: &Flow,
    once: &Once,
    types: &mut [Option<Spanned<Type>>],
    diagnostics: &mut Vec<Diagnostic>,
) {
    for (step, each) in flow.each.iter().enumerate() {
        let whole = each.filter(|_| flow.ways[step].is_none());
        let Some((each, list)) = whole.and_then(|each| Some((each, types[each.list.index()].clone()?)))
        else {
            continue;
        };
        let one = match &list.value {
            _ if once.is(step) && once.gathers(flow, each.list) => list.clone(),
            Type::List(one) => Spanned::new((**one).clone(), list.span),
            Type::String | Type::Secret | Type::Boolean | Type::Integer | Type::Number | Type::File => {
                let at = flow.steps[step].inputs.iter().find(|port| port.value == each.list);
                let at = at.map_or(list.span, |port| port.span);
                let ty = list.value.to_string();
                diagnostics.push(catalogue::no_list(flow.name(each.list), at, &ty, list.span));
                continue;
            }
            Type::Json | Type::Named(_) | Type::Defined(_) | Type::Nullable(_) => continue,
        };
        match &types[each.element.index()] {
            None => types[each.element.index()] = Some(one),
            Some(known) => diagnostics.extend(disagree(flow, each.element, &one, known)),
        }
    }
}

/// The typed inputs of steps and the typed names of groups' interfaces.
fn users<'a>(
    spec: &'a Spec,
    flow: &Flow<'a>,
    once: &Once,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<(ValueId, Cow<'a, Spanned<Type>>)> {
    let mut steps = Vec::new();
    for (step, ports) in flow.steps.iter().enumerate() {
        for port in &ports.inputs {
            match taken_as(flow, once, step, port) {
                Ok(ty) => steps.extend(ty.map(|ty| (port.value, ty))),
                Err(said) => {
                    let (name, title) = (flow.name(port.value), &spec.steps[step].title.value);
                    let ty = port.ty.map(|ty| ty.value.to_string()).unwrap_or_default();
                    diagnostics.push(catalogue::not_gathered(name, port.span, &ty, title, said));
                }
            }
        }
    }
    let interfaces = spec.groups.iter().filter_map(|group| group.signature.as_ref());
    let names = interfaces.flat_map(|signature| signature.inputs.iter().chain(&signature.outputs));
    let named = |port: &'a spec::Port| Some((flow.find(&port.name.value)?, Cow::Borrowed(port.ty.as_ref()?)));
    steps.extend(names.filter_map(named));
    steps
}

fn disagree(flow: &Flow, value: ValueId, known: &Spanned<Type>, used: &Spanned<Type>) -> Option<Diagnostic> {
    // A name with a target is one mention seen from two sides.
    let agree = known.span == used.span || known.value.serves_as(&used.value);
    let (known_as, used_as) = (known.value.to_string(), used.value.to_string());
    let problem = || catalogue::type_mismatch(flow.name(value), used.span, &used_as, known.span, &known_as);
    (!agree).then(problem)
}

/// Rejects an optional output that a forward step requires.
pub(super) fn check_absence(flow: &Flow, diagnostics: &mut Vec<Diagnostic>) {
    let forward = flow.steps.iter().zip(&flow.kinds).filter(|(_, kind)| **kind == Kind::Forward);
    for (ports, _) in forward {
        for (port, origin) in ports.inputs.iter().zip(&ports.origins) {
            let Some(made) = made_by(flow, port.value, *origin) else { continue };
            if made.1 && !port.optional {
                diagnostics.push(catalogue::optional_into_required(flow.name(port.value), port.span, made.0));
            }
        }
    }
}

/// The place where a value is made, and whether it may be absent.
fn made_by(flow: &Flow, value: ValueId, origin: Origin) -> Option<(Span, bool)> {
    match origin {
        Origin::Made => flow.makers[value.index()].first().map(|made| (made.port.span, made.port.optional)),
        Origin::Outside | Origin::Feedback(_) | Origin::Element | Origin::Unclear => None,
    }
}
