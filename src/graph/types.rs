//! Each value's one type, and whether all who name it agree. Also whether what may be absent goes only
//! where that is accepted.

use super::flow::{Flow, Origin};
use super::{Kind, ValueId};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::{self, Spanned, Spec};
use crate::value::{Definition, Type};
use std::collections::HashMap;
use std::sync::Arc;

/// Decides the type of every value: what the front matter says of it, else its maker, else its users.
pub(super) fn decide(spec: &Spec, flow: &mut Flow, diagnostics: &mut Vec<Diagnostic>) {
    let mut types: Vec<Option<Spanned<Type>>> = vec![None; flow.values.len()];
    for (name, ty) in spec.front.inputs.iter().flatten() {
        if let (Some(value), Some(ty)) = (flow.find(&name.value), ty) {
            types[value.index()] = Some(Spanned::new(ty.clone(), name.span));
        }
    }
    let made = flow.steps.iter().flat_map(|ports| &ports.outputs);
    for (value, ty) in made.filter_map(|port| Some((port.value, port.ty?))) {
        match &types[value.index()] {
            None => types[value.index()] = Some(ty.clone()),
            Some(known) => diagnostics.extend(disagree(flow, value, known, ty)),
        }
    }
    let fixed: Vec<bool> = types.iter().map(Option::is_some).collect();
    for (value, ty) in users(spec, flow) {
        match &types[value.index()] {
            None => types[value.index()] = Some(ty.clone()),
            // Without a maker the narrowest of the uses holds, whichever comes first.
            Some(known) if !fixed[value.index()] && ty.value.serves_as(&known.value) => {
                types[value.index()] = Some(ty.clone());
            }
            Some(known) => diagnostics.extend(disagree(flow, value, known, ty)),
        }
    }
    for (value, ty) in flow.values.iter_mut().zip(types) {
        value.ty = ty.map(|ty| ty.value);
    }
}

/// Gives names their definitions. Until then they are compared as names: a type serves as no other.
pub(super) fn resolve(flow: &mut Flow, known: &HashMap<String, Arc<Definition>>) {
    for value in flow.values.iter_mut().filter(|_| !known.is_empty()) {
        value.ty = value.ty.as_ref().map(|ty| ty.resolved(known));
    }
}

/// The typed inputs of steps and the typed names of groups' interfaces.
fn users<'a>(spec: &'a Spec, flow: &Flow<'a>) -> Vec<(ValueId, &'a Spanned<Type>)> {
    let inputs = flow.steps.iter().flat_map(|ports| &ports.inputs);
    let steps = inputs.filter_map(|port| Some((port.value, port.ty?)));
    let interfaces = spec.groups.iter().filter_map(|group| group.signature.as_ref());
    let names = interfaces.flat_map(|signature| signature.inputs.iter().chain(&signature.outputs));
    let named = |port: &'a spec::Port| Some((flow.find(&port.name.value)?, port.ty.as_ref()?));
    steps.chain(names.filter_map(named)).collect()
}

fn disagree(flow: &Flow, value: ValueId, known: &Spanned<Type>, used: &Spanned<Type>) -> Option<Diagnostic> {
    // A name that is handed over is one mention seen from two sides.
    let agree = known.span == used.span || known.value.serves_as(&used.value);
    let (known_as, used_as) = (known.value.to_string(), used.value.to_string());
    let problem = || catalogue::type_mismatch(flow.name(value), used.span, &used_as, known.span, &known_as);
    (!agree).then(problem)
}

/// Refuses an output that may be absent where a forward step cannot do without it.
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

/// Where a value is made and whether it may be absent.
fn made_by(flow: &Flow, value: ValueId, origin: Origin) -> Option<(Span, bool)> {
    match origin {
        Origin::Made => flow.makers[value.index()].first().map(|made| (made.port.span, made.port.optional)),
        Origin::Outside | Origin::Unclear => None,
    }
}
