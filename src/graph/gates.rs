//! Gates: before which step or group an item waits for a person, and whether it can.

use super::names::Names;
use super::outline::within;
use super::{Graph, Instructions, Kind, StepId, instructions};
use crate::diag::{Diagnostic, Source, catalogue};
use crate::spec::{self, Spec, title};
use crate::value::in_conditions;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::Duration;

/// Index into [`Graph::gates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GateId(pub u32);

impl GateId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where an item waits for a person.
#[derive(Clone, Debug)]
pub struct Gate {
    pub of: GateOf,
    /// How long it waits.
    pub within: Option<Duration>,
    /// Who may approve.
    pub by: Option<String>,
    pub question: Instructions,
    /// The line of its mark, from 1.
    pub line: usize,
}

/// What a gate is before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateOf {
    Step(StepId),
    Group(usize),
}

impl Graph {
    /// What a gate is before, as people name it: the title of a step, or the name of a group.
    pub fn gated(&self, gate: &Gate) -> String {
        match gate.of {
            GateOf::Step(step) => self.step(step).title.clone(),
            GateOf::Group(group) => self.group_name(group),
        }
    }

    /// The unambiguous name of what a gate is before: a phase, or the name of a group.
    pub fn gate_name(&self, gate: &Gate) -> String {
        match gate.of {
            GateOf::Step(step) => self.step(step).phase.clone(),
            GateOf::Group(group) => self.group_name(group),
        }
    }

    /// The unambiguous name of a group: its title, with that of the group around it if another group has the same.
    pub fn group_name(&self, group: usize) -> String {
        let Some(own) = self.groups.get(group) else { return String::new() };
        let alike = self.groups.iter().filter(|other| other.title == own.title).count();
        match own.parent.and_then(|parent| self.groups.get(parent)) {
            Some(around) if alike > 1 => format!("{}/{}", around.title, own.title),
            _ => own.title.clone(),
        }
    }

    pub fn gate(&self, id: GateId) -> Option<&Gate> {
        self.gates.get(id.index())
    }

    /// The gates of what has this name: of a step by its title or phase, or of a group.
    pub fn gates_called(&self, name: &str) -> Vec<GateId> {
        let steps = self.called(name);
        let meant = title::key(name);
        let is_meant = |gate: &Gate| match gate.of {
            GateOf::Step(step) => steps.contains(&step),
            GateOf::Group(group) => {
                let title = self.groups.get(group).map(|group| group.title.as_str());
                [title, Some(&self.group_name(group))]
                    .into_iter()
                    .flatten()
                    .any(|title| title::key(title) == meant)
            }
        };
        let all = self.gates.iter().zip(0..).filter(|(gate, _)| is_meant(gate));
        all.map(|(_, id)| GateId(id)).collect()
    }
}

/// Adds the gates of all groups and steps, in document order, and reports those at which nothing can wait.
pub(super) fn add(
    source: &Source,
    spec: &Spec,
    graph: &mut Graph,
    names: &Names,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let groups = spec.groups.iter().enumerate();
    let groups = groups.filter_map(|(at, group)| Some((group.gate.as_ref()?, GateOf::Group(at))));
    let steps = spec.steps.iter().zip(0..);
    let steps = steps.filter_map(|(step, at)| Some((step.gate.as_ref()?, GateOf::Step(StepId(at)))));
    let mut all: Vec<(&spec::Gate, GateOf)> = groups.chain(steps).collect();
    all.sort_by_key(|(gate, _)| gate.span);
    for (written, of) in all {
        let id = GateId(graph.gates.len() as u32);
        let before: Vec<StepId> = match of {
            GateOf::Step(step) if graph.step(step).kind == Kind::Compensation => {
                let title = &graph.step(step).title;
                diagnostics.push(catalogue::gate_of_compensation(written.span, title));
                continue;
            }
            GateOf::Step(step) => vec![step],
            // As for decisions, handlers and compensations in a group are not concerned.
            GateOf::Group(group) => {
                let forward = graph.ids().filter(|id| graph.step(*id).kind == Kind::Forward);
                forward.filter(|id| within(spec, id.index(), group)).collect()
            }
        };
        if before.is_empty() {
            diagnostics.push(catalogue::gate_without_steps(written.span));
            continue;
        }
        let gate = gate(source, written, of);
        let title = graph.gated(&gate);
        // A value that is missing is shown as it is written.
        let taken: HashMap<String, bool> = match of {
            GateOf::Step(step) => {
                let taken = instructions::taken(graph, graph.step(step));
                taken.into_keys().map(|name| (name, false)).collect()
            }
            GateOf::Group(_) => {
                graph.inputs.iter().map(|id| (in_conditions(&graph.value(*id).name), false)).collect()
            }
        };
        instructions::check_values(&written.question, graph, &taken, &title, names, diagnostics);
        // Groups come before what they contain.
        before.iter().for_each(|step| graph.steps[step.index()].gates.push(id));
        graph.gates.push(gate);
    }
}

fn gate(source: &Source, written: &spec::Gate, of: GateOf) -> Gate {
    Gate {
        of,
        within: written.within.as_ref().map(|time| time.value),
        by: written.by.as_ref().map(|who| who.value.clone()),
        question: written.question.clone(),
        line: source.position(written.span.start).line,
    }
}
