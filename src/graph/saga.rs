//! Which steps compensate which, as declared in the document. Knows nothing of values, nor whether the compensation
//! works, which `lint` checks.

use super::names::Names;
use super::outline::ancestors;
use crate::diag::{Diagnostic, catalogue};
use crate::spec::title::key;
use crate::spec::{COMPENSATIONS, Spec};

/// By step.
pub(super) struct Saga {
    /// The compensation of the step.
    pub undone_by: Vec<Option<usize>>,
    /// Whether it is a compensation, or in a group for them; it never runs forward then.
    pub undoes: Vec<bool>,
}

pub(super) fn resolve(spec: &Spec, names: &Names, diagnostics: &mut Vec<Diagnostic>) -> Saga {
    let listed = |step: &crate::spec::Step| {
        ancestors(spec, step.group).any(|(_, group)| key(&group.title.value) == COMPENSATIONS)
    };
    let mut saga =
        Saga { undone_by: vec![None; spec.steps.len()], undoes: spec.steps.iter().map(listed).collect() };
    for (step, said) in spec.steps.iter().enumerate() {
        let Some(written) = &said.annotations.compensate else { continue };
        match names.find(&written.value, written.span) {
            Ok(to) if to == step => {
                let why = "a step cannot compensate itself";
                diagnostics.push(catalogue::bad_compensation(written.span, why, said.title.span));
            }
            Ok(to) => {
                saga.undone_by[step] = Some(to);
                saga.undoes[to] = true;
            }
            Err(problem) => diagnostics.push(*problem),
        }
    }
    saga.report_contradictions(spec, diagnostics);
    saga
}

impl Saga {
    /// A compensation is not compensated itself, nor is an irreversible step.
    fn report_contradictions(&self, spec: &Spec, diagnostics: &mut Vec<Diagnostic>) {
        for (step, said) in spec.steps.iter().enumerate() {
            let undo = said.annotations.compensate.as_ref().map(|by| by.span);
            let lasting = said.annotations.irreversible.as_ref().map(|flag| flag.span);
            if let (Some(undo), Some(lasting)) = (undo, lasting) {
                let why = "an irreversible step has no compensation";
                diagnostics.push(catalogue::bad_compensation(undo, why, lasting));
            }
            let pure = said.annotations.pure.as_ref().map(|pure| pure.span);
            if let (Some(pure), Some(other)) = (pure, undo.or(lasting)) {
                let why = "a step without effects has nothing to compensate";
                diagnostics.push(catalogue::bad_compensation(pure, why, other));
            }
            if self.undoes[step] {
                let why = "a compensation is not compensated itself";
                diagnostics
                    .extend(undo.or(lasting).map(|at| catalogue::bad_compensation(at, why, said.title.span)));
            }
        }
        let named: std::collections::HashSet<usize> = self.undone_by.iter().copied().flatten().collect();
        let idle = (0..spec.steps.len()).filter(|step| self.undoes[*step] && !named.contains(step));
        diagnostics.extend(idle.map(|step| self.unused(spec, step)));
    }

    /// A compensation that no step names, with the one step that it can be meant for.
    fn unused(&self, spec: &Spec, step: usize) -> Diagnostic {
        let own = &spec.steps[step];
        let takes = own.signature.iter().flat_map(|signature| &signature.inputs);
        let takes: Vec<&str> =
            takes.filter(|port| !port.optional).map(|port| port.name.value.as_str()).collect();
        let names = |other: usize, taken: bool| {
            let signature = spec.steps[other].signature.iter();
            let ports = signature.flat_map(move |all| if taken { &all.inputs } else { &all.outputs });
            ports.map(|port| port.name.value.as_str())
        };
        let fits = |other: &usize| {
            let said = &spec.steps[*other].annotations;
            !self.undoes[*other]
                && said.compensate.is_none()
                && said.irreversible.is_none()
                && said.pure.is_none()
                && names(*other, false).any(|made| takes.contains(&made))
                && takes
                    .iter()
                    .all(|taken| names(*other, false).chain(names(*other, true)).any(|name| name == *taken))
        };
        let mut all = (0..spec.steps.len()).filter(fits);
        let (Some(other), None) = (all.next(), all.next()) else {
            return catalogue::unused_compensation(own.title.span);
        };
        let other = &spec.steps[other];
        if other.unread {
            return catalogue::unused_compensation(own.title.span);
        }
        let title = &own.title;
        catalogue::unused_compensation_of(title.span, &title.value, &other.title.value, other.annotated)
    }
}
