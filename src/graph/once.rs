//! Which steps run once, after all items: those with `[per:: run]`, and all that follow them.

use super::branches::Branches;
use super::flow::{Flow, Origin};
use super::links::Link;
use super::names::Names;
use super::{Kind, Role, ValueId};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::Spec;
use std::collections::BTreeSet;

/// By step: the place that makes it run once; `None` for those that run for each item.
pub(super) struct Once(Vec<Option<Span>>);

impl Once {
    pub fn decide(spec: &Spec, links: &[Link]) -> Once {
        let said = |step: &crate::spec::Step| step.annotations.once.as_ref().map(|once| once.span);
        let mut once: Vec<Option<Span>> = spec.steps.iter().map(said).collect();
        let mut followers = vec![Vec::new(); once.len()];
        for link in links {
            followers[link.from].push(link.to);
        }
        let mut open: Vec<usize> = (0..once.len()).filter(|step| once[*step].is_some()).collect();
        while let Some(step) = open.pop() {
            for follower in &followers[step] {
                if once[*follower].is_none() {
                    once[*follower] = once[step];
                    open.push(*follower);
                }
            }
        }
        Once(once)
    }

    pub fn is(&self, step: usize) -> bool {
        self.0[step].is_some()
    }

    pub fn said(&self, step: usize) -> Option<Span> {
        self.0[step]
    }

    /// Whether a step that runs once finds this value as a list over the items.
    pub fn gathers(&self, flow: &Flow, value: ValueId) -> bool {
        !flow.makers[value.index()].iter().any(|made| self.is(made.step))
    }

    /// The values that the steps that run once take from the items, sorted.
    pub fn gathered(&self, flow: &Flow, branches: &Branches) -> Vec<ValueId> {
        let mut gathered = BTreeSet::new();
        for step in (0..self.0.len()).filter(|step| self.is(*step)) {
            let ports = flow.steps[step].inputs.iter().zip(&flow.steps[step].origins);
            let taken = ports.filter(|(port, origin)| {
                **origin != Origin::Element && role(flow, step, port.value, port.role) != Role::Failure
            });
            gathered.extend(taken.map(|(port, _)| port.value));
            let arms = branches.chains[step].iter().flatten().filter_map(|arm| arm.guard.as_ref());
            let guards = branches.when[step].iter().chain(arms);
            gathered.extend(guards.flat_map(|guard| guard.names.iter().map(|(_, value)| *value)));
        }
        gathered.into_iter().filter(|value| self.gathers(flow, *value)).collect()
    }

    /// Rejects features of single items on steps that run once, and the reverse.
    pub fn check(
        &self,
        spec: &Spec,
        flow: &Flow,
        branches: &Branches,
        names: &Names,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        for (step, said) in self.0.iter().enumerate() {
            let title = names.title(step);
            let Some(said) = said else {
                let ports = flow.steps[step].inputs.iter().zip(&flow.steps[step].origins);
                let made = ports.filter(|(_, origin)| **origin == Origin::Made);
                for (port, _) in made.filter(|_| flow.kinds[step] == Kind::Handler) {
                    let maker = flow.makers[port.value.index()].iter().find(|made| self.is(made.step));
                    let Some(said) = maker.and_then(|made| self.said(made.step)) else { continue };
                    let name = flow.name(port.value);
                    let message =
                        format!("`{title}` is called for one item, and `{name}` is made once for all");
                    diagnostics.push(catalogue::once_of_item(message, port.span, said));
                }
                continue;
            };
            if flow.kinds[step] == Kind::Compensation {
                let message = format!("`{title}` compensates a step of one item");
                diagnostics.push(catalogue::once_of_item(message, spec.steps[step].title.span, *said));
            }
            let decides = branches.guards[step].iter().chain(&branches.skips[step]);
            let deciders: BTreeSet<usize> = decides.map(|taken| taken.step.index()).collect();
            for decider in deciders.into_iter().filter(|decider| !self.is(*decider)) {
                let other = names.title(decider);
                let message = format!("`{other}` decides for one item, and `{title}` runs once for all");
                diagnostics.push(catalogue::once_of_item(message, spec.steps[decider].title.span, *said));
            }
        }
    }
}

/// The use of an input by its step; distinguishes a failure handler's report.
pub(super) fn role(flow: &Flow, step: usize, value: ValueId, written: Role) -> Role {
    let unmade = flow.makers[value.index()].is_empty();
    match flow.kinds[step] {
        Kind::Handler if unmade && super::flow::names_failures(flow.name(value)) => Role::Failure,
        _ => written,
    }
}
