//! Checks a group's signature against the values that cross its border. It has no other effect: nothing resolves
//! through an interface.

use super::flow::{Flow, Origin};
use super::names::Names;
use super::outline::{ancestors, within};
use super::{Kind, ValueId};
use crate::diag::catalogue::{self, Crossing};
use crate::diag::{Diagnostic, Span};
use crate::spec::{self, GroupId, Spec};
use std::collections::{HashMap, HashSet};

/// The values that cross a group's border, with their first place, and the values made inside.
#[derive(Default)]
struct Border {
    made: HashSet<ValueId>,
    /// In document order of the places.
    crossing: Vec<(ValueId, Crossing, Span)>,
    known: HashSet<(ValueId, Crossing)>,
}

impl Border {
    fn cross(&mut self, value: ValueId, how: Crossing, at: Span) {
        if self.known.insert((value, how)) {
            self.crossing.push((value, how, at));
        }
    }
}

pub(super) fn check(spec: &Spec, flow: &Flow, names: &Names, diagnostics: &mut Vec<Diagnostic>) {
    let borders = borders(spec, flow);
    let nothing = Border::default();
    for (id, group) in spec.groups.iter().enumerate() {
        if let Some(signature) = &group.signature {
            let border = borders.get(&id).unwrap_or(&nothing);
            check_group(&group.title.value, signature, border, flow, names, diagnostics);
        }
    }
}

/// The borders of all groups that have a signature.
fn borders(spec: &Spec, flow: &Flow) -> HashMap<GroupId, Border> {
    let mut borders: HashMap<GroupId, Border> = HashMap::new();
    let signed = |step: usize| {
        ancestors(spec, spec.steps[step].group)
            .filter(|(_, group)| group.signature.is_some())
            .map(|(id, _)| id)
    };
    for (step, ports) in flow.steps.iter().enumerate().filter(|(step, _)| flow.kinds[*step] == Kind::Forward)
    {
        for group in signed(step) {
            borders.entry(group).or_default().made.extend(ports.outputs.iter().map(|port| port.value));
        }
        for (port, origin) in ports.inputs.iter().zip(&ports.origins) {
            let makers: Vec<Option<usize>> = match origin {
                Origin::Outside => vec![None],
                Origin::Made => flow.makers[port.value.index()].iter().map(|made| Some(made.step)).collect(),
                Origin::Feedback(_) | Origin::Element | Origin::Unclear => continue,
            };
            for maker in makers {
                for group in
                    signed(step).filter(|group| !maker.is_some_and(|maker| within(spec, maker, *group)))
                {
                    borders.entry(group).or_default().cross(port.value, Crossing::In, port.span);
                }
                if let Some(maker) = maker {
                    for group in signed(maker).filter(|group| !within(spec, step, *group)) {
                        borders.entry(group).or_default().cross(port.value, Crossing::Out, port.span);
                    }
                }
            }
        }
    }
    borders
}

fn check_group(
    title: &str,
    signature: &spec::Signature,
    border: &Border,
    flow: &Flow,
    names: &Names,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let value = |port: &spec::Port| flow.find(&port.name.value);
    let made: Vec<&str> = border.made.iter().map(|value| flow.name(*value)).collect();
    for port in signature.outputs.iter().filter(|port| !value(port).is_some_and(|v| border.made.contains(&v)))
    {
        let name = &port.name;
        let near = names.near(&name.value, made.iter().copied());
        diagnostics.push(catalogue::interface_not_made(title, &name.value, name.span, near));
    }
    let comes_in = |value: ValueId| border.known.contains(&(value, Crossing::In));
    for port in signature.inputs.iter().filter(|port| !value(port).is_some_and(comes_in)) {
        let name = &port.name;
        let taken = border.crossing.iter().filter(|(_, how, _)| *how == Crossing::In);
        let near = names.near(&name.value, taken.map(|(value, ..)| flow.name(*value)));
        diagnostics.push(catalogue::interface_not_taken(title, &name.value, name.span, near));
    }
    let stated = |ports: &[spec::Port]| ports.iter().filter_map(value).collect::<HashSet<_>>();
    let (inputs, outputs) = (stated(&signature.inputs), stated(&signature.outputs));
    for (value, how, at) in &border.crossing {
        let stated = match how {
            Crossing::In => &inputs,
            Crossing::Out => &outputs,
        };
        if !stated.contains(value) {
            diagnostics.push(catalogue::interface_incomplete(
                title,
                flow.name(*value),
                *how,
                *at,
                signature.span,
            ));
        }
    }
}
