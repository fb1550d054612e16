//! Steps that run for each element of a list: checks that only they use the name of the element.

use super::flow::{Flow, Port};
use super::names::Names;
use super::saga::Saga;
use super::{Kind, ValueId};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::{self, Each, Spanned, Spec};
use std::collections::{HashMap, HashSet};

/// The first step that uses a value as an element of a list, and where, by value.
pub(super) type Known = HashMap<ValueId, (usize, Span)>;

pub(super) fn known(spec: &Spec, flow: &Flow) -> Known {
    let mut known = Known::new();
    for (step, each) in flow.each.iter().enumerate() {
        let free =
            |each: &super::Each| flow.makers[each.element.index()].is_empty() && each.element != each.list;
        let listed = |each: &spec::Each| {
            spec.front.inputs.iter().flatten().any(|(name, _)| name.value == each.element.value)
        };
        if let (Some(each), Some(written)) = (each.filter(free), &spec.steps[step].annotations.each)
            && !listed(&written.value)
        {
            known.entry(each.element).or_insert((step, written.span));
        }
    }
    known
}

pub(super) fn check(spec: &Spec, flow: &Flow, saga: &Saga, names: &Names, diagnostics: &mut Vec<Diagnostic>) {
    for (index, step) in spec.steps.iter().enumerate() {
        let Some(each) = &step.annotations.each else { continue };
        if flow.kinds[index] != Kind::Forward {
            diagnostics.push(catalogue::each_of_handler(&step.title.value, each.span, step.title.span));
        }
        diagnostics.extend(taken(spec, flow, names, each));
    }
    let known = known(spec, flow);
    let done = saga.undone_by.iter().zip(&flow.each);
    let undone: HashSet<(usize, ValueId)> =
        done.filter_map(|(by, each)| Some(((*by)?, each.as_ref()?.element))).collect();
    for (step, ports) in flow.steps.iter().enumerate() {
        let own = flow.each[step].map(|each| each.element);
        // A compensation of such a step runs for each of its elements, and gets the element.
        let undoes = |port: &&Port| undone.contains(&(step, port.value));
        let foreign = ports.inputs.iter().filter(|port| Some(port.value) != own && !undoes(port));
        for port in foreign {
            if let Some((other, at)) = known.get(&port.value) {
                let (name, other) = (flow.name(port.value), names.title(*other));
                diagnostics.push(catalogue::element_outside(name, port.span, other, *at));
            }
        }
    }
}

/// Another meaning of the element's name.
fn taken(spec: &Spec, flow: &Flow, names: &Names, each: &Spanned<Each>) -> Option<Diagnostic> {
    let Each { element, list, .. } = &each.value;
    let name = &element.value;
    if *name == list.value {
        let why = "it is the name of the list";
        return Some(catalogue::element_taken(name, element.span, why, list.span));
    }
    let value = flow.find(name)?;
    let makers = flow.makers[value.index()].first().or(flow.late_makers[value.index()].first());
    if let Some(made) = makers {
        let why = format!("`{}` makes a value of that name", names.title(made.step));
        return Some(catalogue::element_taken(name, element.span, &why, made.port.span));
    }
    let (listed, _) = spec.front.inputs.iter().flatten().find(|(listed, _)| listed.value == *name)?;
    let why = "an input of the workflow has that name";
    Some(catalogue::element_taken(name, element.span, why, listed.span))
}
