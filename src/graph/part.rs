//! Some steps of a workflow as a workflow of their own. The outputs of the other steps become inputs, and their
//! decisions count as taken: the selected steps run.

use super::{Edge, GateId, GateOf, Graph, Kind, Need, RepeatOf, Step, StepId, Taken, Target, ValueId};
use crate::diag::nearest;
use crate::spec::title::key;
use crate::value::words;
use std::collections::{BTreeSet, HashSet};
use std::fmt;

/// A part of a workflow, and the values that it needs from the rest.
#[derive(Clone, Debug)]
pub struct Part {
    /// Values keep their ids, steps do not. The workflow's inputs remain, even if they are not taken any more.
    pub graph: Graph,
    /// Values that steps of the part require and only others make, in order of first use.
    pub upstream: Vec<Upstream>,
}

/// A value that a part of a workflow takes, and that a step outside of the part makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    pub value: ValueId,
    /// The title of the first step that makes it.
    pub maker: String,
    /// Whether it is optional for every step that takes it.
    pub optional: bool,
}

/// Why a step cannot be run by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAlone {
    /// The name that the user gave.
    pub name: String,
    pub why: &'static str,
    pub help: Option<String>,
}

impl fmt::Display for NotAlone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.why)
    }
}

impl std::error::Error for NotAlone {}

impl Part {
    /// The selected part: `from` a step on, or `only` these steps; all steps without a selection.
    ///
    /// # Errors
    /// A name has no step, several steps, or a step that does not run by itself.
    pub fn choose(graph: Graph, only: &[String], from: Option<&str>) -> Result<Part, NotAlone> {
        if let Some(first) = from {
            return Ok(Part::from(&graph, forward(&graph, first)?));
        }
        if only.is_empty() {
            return Ok(Part::whole(graph));
        }
        let kept = only.iter().map(|name| forward(&graph, name)).collect::<Result<BTreeSet<_>, _>>()?;
        Ok(Part::of(&graph, &kept))
    }

    /// The whole workflow.
    pub fn whole(graph: Graph) -> Part {
        Part { graph, upstream: Vec::new() }
    }

    /// Only these steps, with their compensations and the edges between them.
    pub fn of(graph: &Graph, kept: &BTreeSet<StepId>) -> Part {
        let undoing = kept.iter().filter_map(|id| graph.step(*id).compensate);
        let kept = &kept.iter().copied().chain(undoing).collect();
        let numbers = Numbers::new(graph, kept);
        let forward = kept.iter().filter(|id| graph.step(**id).kind == Kind::Forward);
        let groups: HashSet<usize> = forward.flat_map(|id| graph.around(*id)).collect();
        let steps: Vec<Step> = kept.iter().map(|id| numbers.step(graph.step(*id), &groups)).collect();
        let edge = |edge: &Edge| {
            Some(Edge { from: numbers.new_id(edge.from)?, to: numbers.new_id(edge.to)?, value: edge.value })
        };
        let edges = graph.edges.iter().filter_map(edge).collect();
        let order = graph.order.iter().filter_map(|id| numbers.new_id(*id)).collect();
        let upstream = upstream(graph, &steps);
        let mut part = Graph { steps, edges, order, initial: None, ..graph.clone() };
        numbers.gates(&mut part);
        numbers.repeats(&mut part);
        Part { graph: part, upstream }
    }

    /// This step, all that follow from it, the failure handlers and the compensations.
    pub fn from(graph: &Graph, first: StepId) -> Part {
        let mut kept: BTreeSet<StepId> = graph.handlers().chain(graph.compensations()).collect();
        let mut open = vec![first];
        while let Some(id) = open.pop() {
            if kept.insert(id) {
                open.extend(&graph.step(id).dependents);
            }
        }
        Part::of(graph, &kept)
    }
}

fn forward(graph: &Graph, name: &str) -> Result<StepId, NotAlone> {
    let refuse = |why, help| Err(NotAlone { name: name.to_owned(), why, help });
    match graph.called(name).as_slice() {
        [only] if graph.step(*only).kind == Kind::Handler => {
            refuse("a failure handler runs only for items that have failed", None)
        }
        [only] if graph.step(*only).kind == Kind::Compensation => {
            refuse("a compensation runs only for items that have failed", None)
        }
        [only] => Ok(*only),
        [] => {
            let titles = graph.steps.iter().map(|step| step.title.as_str());
            let help = match nearest(name, titles.clone()) {
                Some(near) => words::did_you_mean(near),
                None => format!("its steps: {}", titles.collect::<Vec<_>>().join(", ")),
            };
            refuse("the workflow has no such step", Some(help))
        }
        several => {
            let phases: Vec<&str> = several.iter().map(|id| graph.step(*id).phase.as_str()).collect();
            refuse("several steps have this name", Some(format!("name one of {}", phases.join(", "))))
        }
    }
}

impl Graph {
    /// The steps that a name means: by title, by phase, or by title behind that of the group.
    pub fn called(&self, name: &str) -> Vec<StepId> {
        let meant = key(name);
        let is_meant = |id: &StepId| {
            let step = self.step(*id);
            let group = step.group.and_then(|group| self.groups.get(group));
            key(&step.title) == meant
                || step.phase == meant
                || group.is_some_and(|group| key(&format!("{}/{}", group.title, step.title)) == meant)
        };
        self.ids().filter(is_meant).collect()
    }
}

/// The new ids of steps.
struct Numbers(Vec<Option<StepId>>);

impl Numbers {
    fn new(graph: &Graph, kept: &BTreeSet<StepId>) -> Numbers {
        let mut numbers = vec![None; graph.steps.len()];
        for (number, id) in (0..).zip(kept) {
            numbers[id.index()] = Some(StepId(number));
        }
        Numbers(numbers)
    }

    fn new_id(&self, old: StepId) -> Option<StepId> {
        self.0.get(old.index()).copied().flatten()
    }

    /// Leaves only the gates before selected steps.
    fn gates(&self, part: &mut Graph) {
        let mut new = vec![None; part.gates.len()];
        let mut kept = Vec::new();
        for id in part.steps.iter().flat_map(|step| &step.gates).collect::<BTreeSet<_>>() {
            let mut gate = part.gates[id.index()].clone();
            if let GateOf::Step(step) = gate.of {
                let Some(step) = self.new_id(step) else { continue };
                gate.of = GateOf::Step(step);
            }
            new[id.index()] = Some(GateId(kept.len() as u32));
            kept.push(gate);
        }
        for step in &mut part.steps {
            step.gates = step.gates.iter().filter_map(|id| new[id.index()]).collect();
        }
        part.gates = kept;
    }

    /// A loop of which only a part is selected runs once.
    fn repeats(&self, part: &mut Graph) {
        for repeat in &mut part.repeats {
            let all: Option<Vec<StepId>> = repeat.steps.iter().map(|id| self.new_id(*id)).collect();
            repeat.steps = all.unwrap_or_default();
            repeat.deciders = repeat.deciders.iter().filter_map(|id| self.new_id(*id)).collect();
            if let (RepeatOf::Step(step), [only]) = (&mut repeat.of, repeat.steps.as_slice()) {
                *step = *only;
            }
        }
        for step in &mut part.steps {
            step.repeats.retain(|id| !part.repeats[id.index()].steps.is_empty());
        }
    }

    /// `groups` are those that contain selected steps.
    fn step(&self, step: &Step, groups: &HashSet<usize>) -> Step {
        let mut step = step.clone();
        let need = |need: &Need| Some(Need { step: self.new_id(need.step)?, ..*need });
        let taken = |taken: &Taken| Some(Taken { step: self.new_id(taken.step)?, ..*taken });
        step.needs = step.needs.iter().filter_map(need).collect();
        step.guards = step.guards.iter().filter_map(taken).collect();
        step.skips = step.skips.iter().filter_map(taken).collect();
        step.compensate = step.compensate.and_then(|id| self.new_id(id));
        step.dependents = step.dependents.iter().filter_map(|id| self.new_id(*id)).collect();
        for input in &mut step.inputs {
            input.makers = input.makers.iter().filter_map(|id| self.new_id(*id)).collect();
        }
        for arm in step.chains.iter_mut().flatten() {
            let known =
                |id: &StepId, make: fn(StepId) -> Target| self.new_id(*id).map_or(Target::Elsewhere, make);
            arm.target = match &arm.target {
                Target::Step(id) => known(id, Target::Step),
                Target::Skip(id) => known(id, Target::Skip),
                Target::Group(group) | Target::SkipToGroup(group) if !groups.contains(group) => {
                    Target::Elsewhere
                }
                other => other.clone(),
            };
        }
        step
    }
}

fn upstream(graph: &Graph, kept: &[Step]) -> Vec<Upstream> {
    let payloads = kept.iter().filter_map(|step| step.awaits.as_ref()).map(|awaits| awaits.payload);
    let outputs = kept.iter().flat_map(|step| &step.outputs).map(|output| output.value);
    let made: HashSet<ValueId> = outputs.chain(payloads).collect();
    let mut upstream: Vec<Upstream> = Vec::new();
    for (value, optional) in kept.iter().filter(|step| step.kind == Kind::Forward).flat_map(uses) {
        let makes = |step: &&Step| step.makes(value);
        let Some(maker) = graph.steps.iter().find(makes).filter(|_| !made.contains(&value)) else { continue };
        match upstream.iter_mut().find(|known| known.value == value) {
            Some(known) => known.optional &= optional,
            None => upstream.push(Upstream { value, maker: maker.title.clone(), optional }),
        }
    }
    upstream
}

/// The values that a step takes and uses, and whether they are optional.
fn uses(step: &Step) -> impl Iterator<Item = (ValueId, bool)> + '_ {
    let takes = step.inputs.iter().map(|input| (input.value, input.optional));
    takes.chain(step.asks().map(|value| (value, false)))
}
