//! Loops: which steps run again, what ends the rounds, and which values go from one round to the next.

use super::branches::Branches;
use super::flow::{Flow, Made, who};
use super::links::{Link, MOST, Why};
use super::once::Once;
use super::outline::within;
use super::{Graph, Guard, Kind, StepId, ValueId};
use crate::diag::{Diagnostic, Source, Span, catalogue};
use crate::spec::{self, Spanned, Spec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// Index into [`Graph::repeats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RepeatId(pub u32);

impl RepeatId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A loop: steps that run again while a condition is false.
#[derive(Clone, Debug)]
pub struct Repeat {
    pub of: RepeatOf,
    /// The most rounds, with the first.
    pub most: u32,
    /// The pause between two rounds.
    pub every: Option<Duration>,
    pub until: Guard,
    /// The steps of a round, sorted; empty if a part of a workflow has only some of them.
    pub steps: Vec<StepId>,
    /// Those of them that make values of the condition: the last of them fails if the rounds do not suffice.
    pub deciders: Vec<StepId>,
    /// The values that its steps make.
    pub makes: Vec<ValueId>,
    /// The line of its heading, from 1.
    pub line: usize,
}

/// What a loop repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepeatOf {
    Step(StepId),
    Group(usize),
}

impl Repeat {
    pub fn contains(&self, step: StepId) -> bool {
        self.steps.binary_search(&step).is_ok()
    }
}

impl Graph {
    pub fn repeat(&self, id: RepeatId) -> Option<&Repeat> {
        self.repeats.get(id.index())
    }

    /// What a loop repeats, as people name it.
    pub fn repeated(&self, repeat: &Repeat) -> String {
        match repeat.of {
            RepeatOf::Step(step) => self.step(step).title.clone(),
            RepeatOf::Group(group) => self.group_name(group),
        }
    }

    /// The unambiguous name of what a loop repeats: a phase, or the name of a group.
    pub fn repeat_name(&self, repeat: &Repeat) -> String {
        match repeat.of {
            RepeatOf::Step(step) => self.step(step).phase.clone(),
            RepeatOf::Group(group) => self.group_name(group),
        }
    }

    /// The outermost loop of a step that another one is not in: the other one waits for its end.
    pub fn exit(&self, step: StepId, other: StepId) -> Option<RepeatId> {
        let others = &self.step(other).repeats;
        self.step(step).repeats.iter().copied().find(|id| !others.contains(id))
    }
}

/// The loops of a document, each after those around it.
pub(super) struct Loops<'a> {
    all: Vec<Found<'a>>,
    /// By step: its loops, the outermost first.
    of: Vec<Vec<usize>>,
}

struct Found<'a> {
    written: &'a Spanned<spec::Repeat>,
    heading: Span,
    /// The group, or else the step.
    group: Option<usize>,
    steps: Vec<usize>,
}

impl<'a> Loops<'a> {
    /// Finds the loops, and reports those that repeat nothing.
    pub fn find(spec: &'a Spec, flow: &Flow, diagnostics: &mut Vec<Diagnostic>) -> Loops<'a> {
        let mut all = Vec::new();
        for (group, said) in spec.groups.iter().enumerate() {
            let Some(written) = &said.annotations.repeat else { continue };
            let forward = (0..spec.steps.len()).filter(|step| flow.kinds[*step] == Kind::Forward);
            let steps: Vec<usize> = forward.filter(|step| within(spec, *step, group)).collect();
            if steps.is_empty() {
                diagnostics.push(catalogue::repeat_without_steps(written.span));
                continue;
            }
            all.push(Found { written, heading: said.title.span, group: Some(group), steps });
        }
        for (step, said) in spec.steps.iter().enumerate() {
            let Some(written) = &said.annotations.repeat else { continue };
            match flow.kinds[step] {
                Kind::Forward => {
                    let heading = said.title.span;
                    all.push(Found { written, heading, group: None, steps: vec![step] });
                }
                kind => {
                    let (title, who) = (&said.title.value, who(kind));
                    diagnostics.push(catalogue::repeat_of_failure(written.span, title, who));
                }
            }
        }
        all.sort_by_key(|found| found.heading);
        let mut of = vec![Vec::new(); spec.steps.len()];
        for (id, found) in all.iter().enumerate() {
            found.steps.iter().for_each(|step| of[*step].push(id));
        }
        Loops { all, of }
    }

    /// The conditions that end the loops, in their order.
    pub fn untils(&self) -> impl Iterator<Item = &'a Spanned<crate::condition::Condition>> + '_ {
        self.all.iter().map(|found| &found.written.value.until)
    }

    /// The innermost loop in which these steps make an optional input of a step above them, or of the step itself.
    pub fn feedback(&self, step: usize, makers: &[Made]) -> Option<RepeatId> {
        let first = makers.first()?;
        let shared = |id: &&usize| makers.iter().all(|made| self.of[made.step].contains(id));
        let inner = self.of[step].iter().rev().find(|id| self.of[first.step].contains(id) && shared(id))?;
        makers.iter().all(|made| made.step >= step).then_some(RepeatId(*inner as u32))
    }

    /// Whether one step is in a loop of the other, above it.
    pub fn turns_back(&self, from: usize, to: usize) -> bool {
        from >= to && self.of[to].iter().any(|id| self.of[from].contains(id))
    }

    /// Orders the steps of loops after the values that end them and come from elsewhere.
    pub fn order(&self, flow: &Flow, branches: &Branches, links: &mut Vec<Link>) {
        for (found, until) in self.all.iter().zip(&branches.untils) {
            let values = until.iter().flat_map(|guard| &guard.names).map(|(_, value)| *value);
            for value in values.collect::<BTreeSet<_>>() {
                let makers = flow.makers[value.index()].iter().map(|made| made.step);
                let outside = makers.filter(|maker| found.steps.binary_search(maker).is_err());
                for (from, to) in outside.flat_map(|from| found.steps.iter().map(move |to| (from, *to))) {
                    if links.len() < MOST {
                        links.push(Link {
                            from,
                            to,
                            why: Why::Data(value),
                            at: found.written.value.until.span,
                        });
                    }
                }
            }
        }
    }

    /// Steps outside of a loop that wait for its end because they wait for one of its steps.
    pub fn exits(&self, links: &[Link]) -> Vec<Link> {
        let mut known = BTreeSet::new();
        let mut exits = Vec::new();
        for link in links {
            let exit = self.of[link.from].iter().find(|id| !self.of[link.to].contains(id));
            let Some(found) = exit.filter(|id| known.insert((**id, link.to))).map(|id| &self.all[*id]) else {
                continue;
            };
            let others = found.steps.iter().filter(|step| **step != link.from);
            let others = others.map(|from| Link { from: *from, why: Why::Loop, ..*link });
            exits.extend(others.take(MOST.saturating_sub(exits.len())));
        }
        exits
    }

    /// Adds the loops to the graph, and reports those that no round ends.
    pub fn add(
        &self,
        source: &Source,
        spec: &Spec,
        graph: &mut Graph,
        (once, untils): (&Once, Vec<Option<Guard>>),
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        for (found, until) in self.all.iter().zip(untils) {
            let Some(until) = until else { continue };
            let of_run = found.steps.iter().find(|step| once.is(**step));
            if let Some(step) = of_run.filter(|_| !found.steps.iter().all(|step| once.is(*step))) {
                let title = &spec.steps[*step].title.value;
                let said = once.said(*step).unwrap_or_default();
                diagnostics.push(catalogue::repeat_of_both(found.written.span, title, said));
            }
            let steps: Vec<StepId> = found.steps.iter().map(|step| StepId(*step as u32)).collect();
            let made = |step: &StepId| graph.step(*step).outputs.iter().map(|output| output.value);
            let makes: BTreeSet<ValueId> = steps.iter().flat_map(made).collect();
            let decides = |step: &&StepId| {
                graph
                    .step(**step)
                    .outputs
                    .iter()
                    .any(|made| until.names.iter().any(|(_, value)| *value == made.value))
            };
            let deciders: Vec<StepId> = steps.iter().filter(decides).copied().collect();
            if deciders.is_empty() {
                diagnostics.push(catalogue::repeat_changes_nothing(found.written.value.until.span));
            }
            let id = RepeatId(graph.repeats.len() as u32);
            steps.iter().for_each(|step| graph.steps[step.index()].repeats.push(id));
            graph.repeats.push(Repeat {
                of: match (found.group, steps.first()) {
                    (None, Some(step)) => RepeatOf::Step(*step),
                    (group, _) => RepeatOf::Group(group.unwrap_or_default()),
                },
                most: found.written.value.most,
                every: found.written.value.every,
                until,
                steps,
                deciders,
                makes: makes.into_iter().collect(),
                line: source.position(found.heading.start).line,
            });
        }
    }
}
