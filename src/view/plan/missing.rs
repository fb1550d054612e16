//! Steps that may not run although their item succeeds: their required inputs come from steps that may not run. A
//! step's own conditions are shown elsewhere. A plan shows all of them; `graph/absence.rs` warns of those that are hardly
//! meant.

use super::super::decisions;
use crate::diag::render::visible;
use crate::graph::{Graph, Kind, Step, StepId, Taken, Target, ValueId};
use crate::spec::Mark;
use serde::Serialize;
use std::collections::BTreeSet;

/// A required value that may not be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct MissingInput {
    pub value: String,
    /// The phases of the steps that make it.
    pub makers: Vec<String>,
    /// Such as `Review runs only if ok`.
    pub because: String,
}

/// By step.
pub(super) fn missing(graph: &Graph) -> Vec<Vec<MissingInput>> {
    let mut all = vec![Vec::new(); graph.steps.len()];
    for &id in &graph.order {
        let step = graph.step(id);
        for input in step.inputs.iter().filter(|input| !input.optional) {
            let own = |maker: &StepId| {
                graph.step(*maker).kind == Kind::Forward && graph.step(*maker).once == step.once
            };
            let makers: Vec<StepId> = input.makers.iter().copied().filter(own).collect();
            if makers.is_empty() || is_certain(graph, id, input.value, &makers, &all) {
                continue;
            }
            let whys: Vec<String> =
                makers.iter().map(|maker| why(graph, *maker, input.value, &all)).collect();
            all[id.index()].push(MissingInput {
                value: graph.value(input.value).name.clone(),
                makers: makers.iter().map(|maker| graph.step(*maker).phase.clone()).collect(),
                because: whys.join(", "),
            });
        }
    }
    all
}

/// Whether a value is present whenever a step runs by its own conditions.
fn is_certain(
    graph: &Graph,
    id: StepId,
    value: ValueId,
    makers: &[StepId],
    all: &[Vec<MissingInput>],
) -> bool {
    let known = led_by(graph, id);
    let one = |maker: &StepId| {
        let made = graph.step(*maker);
        makes(made, value)
            && (known.contains(maker) || succeeds(graph, *maker, all) || runs_along(graph, id, *maker, all))
    };
    makers.iter().any(one) || covers_all_arms(graph, makers, &known, all) || complement(graph, makers, all)
}

/// Whether two makers have conditions of which exactly one is true.
fn complement(graph: &Graph, makers: &[StepId], all: &[Vec<MissingInput>]) -> bool {
    let asks = |maker: &StepId| {
        let made = graph.step(*maker);
        let other = !made.guards.is_empty() || !made.skips.is_empty() || made.mark == Some(Mark::Optional);
        match &made.when[..] {
            [only] if !other && all[maker.index()].is_empty() => Some(&only.condition),
            _ => None,
        }
    };
    let asked: Vec<_> = makers.iter().filter_map(asks).collect();
    asked.iter().any(|one| asked.iter().any(|other| one.complements(other)))
}

/// The steps that must have succeeded for a decision to lead to this one.
fn led_by(graph: &Graph, id: StepId) -> BTreeSet<StepId> {
    let deciders: BTreeSet<StepId> = graph.step(id).guards.iter().map(|guard| guard.step).collect();
    let [only] = deciders.iter().copied().collect::<Vec<_>>()[..] else { return BTreeSet::new() };
    let (mut known, mut ahead) = (BTreeSet::new(), vec![only]);
    while let Some(step) = ahead.pop() {
        if known.insert(step) {
            let inputs = graph.step(step).inputs.iter().filter(|input| !input.optional);
            ahead.extend(inputs.filter_map(|input| match input.makers[..] {
                [only] => Some(only),
                _ => None,
            }));
        }
    }
    known
}

/// Whether a step succeeds in every successful item.
fn succeeds(graph: &Graph, id: StepId, all: &[Vec<MissingInput>]) -> bool {
    let step = graph.step(id);
    !step.is_conditional() && step.mark != Some(Mark::Optional) && all[id.index()].is_empty()
}

/// Whether a maker runs whenever the step does: the same decisions lead to both, on the same conditions.
fn runs_along(graph: &Graph, id: StepId, maker: StepId, all: &[Vec<MissingInput>]) -> bool {
    let (step, made) = (graph.step(id), graph.step(maker));
    let asks = |text: &str| step.when.iter().any(|guard| guard.condition.text.trim() == text);
    let required = graph.required(id);
    let led = made.guards.is_empty()
        || !step.guards.is_empty() && step.guards.iter().all(|guard| made.guards.contains(guard))
        || made.guards.iter().any(|guard| required.contains(guard));
    let asked = made.when.iter().all(|guard| asks(guard.condition.text.trim()));
    let skipped = made.skips.iter().all(|skip| step.skips.contains(skip));
    led && asked && skipped && made.mark != Some(Mark::Optional) && all[maker.index()].is_empty()
}

/// Whether a decision that is always made leads to one of the makers on every branch.
fn covers_all_arms(
    graph: &Graph,
    makers: &[StepId],
    known: &BTreeSet<StepId>,
    all: &[Vec<MissingInput>],
) -> bool {
    let guards = makers.iter().flat_map(|maker| &graph.step(*maker).guards);
    let chains: BTreeSet<(StepId, u32)> = guards.map(|guard| (guard.step, guard.chain)).collect();
    let serves = |target: StepId| {
        let made = graph.step(target);
        let certain = made.when.is_empty() && made.skips.is_empty() && made.mark != Some(Mark::Optional);
        makers.contains(&target) && certain && all[target.index()].is_empty()
    };
    chains.iter().any(|(decider, chain)| {
        let arms = graph.step(*decider).chains.get(*chain as usize).map_or(&[][..], Vec::as_slice);
        let each = arms.iter().zip(0..).all(|(said, arm)| match said.target {
            Target::Step(target) => serves(target),
            Target::Group(_) => graph.led_by(Taken { step: *decider, chain: *chain, arm }).any(&serves),
            Target::End | Target::Fail(_) => true,
            Target::Skip(_) | Target::SkipToGroup(_) | Target::Elsewhere => false,
        });
        let decides = known.contains(decider) || succeeds(graph, *decider, all);
        decides && each && arms.last().is_some_and(|arm| arm.guard.is_none())
    })
}

/// Whether a step that succeeds has always made a value, or got it with the event that it waits for.
fn makes(step: &Step, value: ValueId) -> bool {
    step.makes(value) && !step.outputs.iter().any(|output| output.value == value && output.optional)
}

fn why(graph: &Graph, id: StepId, value: ValueId, all: &[Vec<MissingInput>]) -> String {
    let step = graph.step(id);
    let title = |id: StepId| visible(&graph.step(id).title);
    let own = title(id);
    if let Some(when) = decisions::when(step) {
        return format!("{own} runs only if {when}");
    }
    let leads = step.guards.first().map(|guard| title(guard.step));
    let skips = step.skips.first().map(|skip| title(skip.step));
    match (leads, skips) {
        (Some(decider), _) => format!("{own} runs only if {decider} leads to it"),
        (None, Some(decider)) => format!("{decider} may skip {own}"),
        _ if !all[id.index()].is_empty() => format!("{own} may not run"),
        _ if step.mark == Some(Mark::Optional) => format!("{own} may fail"),
        _ if !makes(step, value) => format!("{own} may leave it out"),
        _ => format!("{own} may not run"),
    }
}
