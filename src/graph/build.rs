//! From a `Spec` to a `Graph`: runs the checks in order and puts their results together.

use super::branches::{self, Branches};
use super::flow::{self, Flow, Origin, Port};
use super::instructions;
use super::links::{self, Link, Why};
use super::names::Names;
use super::once::{self, Once};
use super::outline::inherited;
use super::repeat::Loops;
use super::saga::Saga;
use super::sort::Followers;
use super::targets::Targets;
use super::{
    Edge, Graph, Group, Input, Kind, Need, Output, Settings, Step, StepId, ValueId, absence, always,
    collisions, definitions, elements, events, gates, inputs, interface, members, reuse, saga, states, tags,
    types, ways,
};
use crate::diag::{Diagnostic, Source, catalogue};
use crate::spec::{self, Backoff, Retry, Spec};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// The graph of a document; `None` if at least one diagnostic is an error. A `Spec` with errors of the parser still
/// shows its further problems here; its graph, if any, must not be run.
pub fn build(source: &Source, spec: &Spec) -> (Option<Graph>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let names = Names::new(spec, &mut diagnostics);
    let saga = saga::resolve(spec, &names, &mut diagnostics);
    let mut flow = Flow::new(spec, &names, &saga, &mut diagnostics);
    if let (Some(step), false) = (spec.steps.first(), flow.kinds.contains(&Kind::Forward)) {
        diagnostics.push(catalogue::only_handlers(step.title.span));
    }
    let targets = Targets::new(spec, &flow.kinds, &names);
    let loops = Loops::find(spec, &flow, &mut diagnostics);
    let mut branches = branches::resolve(spec, &flow, (&names, &loops), &targets, &mut diagnostics);
    flow::trace_origins(spec, &mut flow, &branches, (&names, &loops), &mut diagnostics);
    collisions::check(spec, &flow, &mut diagnostics);
    elements::check(spec, &flow, &saga, &names, &mut diagnostics);
    events::check(spec, &flow, &names, &mut diagnostics);
    let mut links = links::collect(spec, &flow, &branches, &targets, &mut diagnostics);
    loops.order(&flow, &branches, &mut links);
    let once = Once::decide(spec, &links);
    once.check(spec, &flow, &branches, &names, &mut diagnostics);
    report_shared(spec, &saga, &once, &mut diagnostics);
    let states = states::resolve(spec, &once, &names, &mut diagnostics);
    types::decide(spec, &mut flow, &once, &mut diagnostics);
    tags::check(spec, &mut diagnostics);
    let known = definitions::compile(spec, &names, &mut diagnostics);
    types::resolve(&mut flow, &known);
    members::check(spec, &flow, &once, &names, &mut diagnostics);
    events::check_types(spec, &flow, &names, &mut diagnostics);
    types::check_absence(&flow, &mut diagnostics);
    let inputs = inputs::collect(spec, &flow, &names, &mut diagnostics);
    interface::check(spec, &flow, &names, &mut diagnostics);
    reuse::check(spec, &mut diagnostics);
    report_undone(spec, &flow, &mut diagnostics);
    let exits = loops.exits(&links);
    let waits = links.iter().chain(&exits);
    let followers = Followers::new(spec.steps.len(), waits.clone().map(|link| (link.from, link.to)));
    let before = diagnostics.len();
    report_cycles(&followers, waits, &flow, (&names, &loops), &mut diagnostics);
    // The error of the loop is the reason.
    if spec.loops_unread && diagnostics.len() > before {
        diagnostics.truncate(before);
        return (None, diagnostics);
    }
    diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return (None, diagnostics);
    }
    let order = followers.order().into_iter().filter(|step| flow.kinds[*step] == Kind::Forward);
    let order = order.map(id).collect();
    let edges = edges(&links);
    let gathered = once.gathered(&flow, &branches);
    let untils = std::mem::take(&mut branches.untils);
    let mut steps: Vec<Step> =
        (0..spec.steps.len()).map(|step| assemble(source, spec, &flow, &once, &names, step)).collect();
    branch(&mut steps, branches);
    for (step, (by, state)) in saga.undone_by.into_iter().zip(states.passages).enumerate() {
        steps[step].state = state;
        let Some(by) = by else { continue };
        steps[step].compensate = Some(id(by));
        steps[by].once |= steps[step].once;
        steps[by].retry.get_or_insert(UNDOING);
    }
    connect(&mut steps, &edges);
    let mut graph = Graph {
        title: title(source, spec),
        description: spec.front.description.clone().unwrap_or_else(|| spec.description.clone()),
        steps,
        values: flow.values,
        edges,
        inputs,
        order,
        groups: spec.groups.iter().map(group).collect(),
        gates: Vec::new(),
        repeats: Vec::new(),
        gathered,
        states: states.names,
        initial: states.initial,
        settings: settings(&spec.front),
    };
    loops.add(source, spec, &mut graph, (&once, untils), &mut diagnostics);
    gates::add(source, spec, &mut graph, &names, &mut diagnostics);
    always::check(spec, &graph, &mut diagnostics);
    instructions::check(spec, &graph, &names, &mut diagnostics);
    absence::never(spec, &graph, &mut diagnostics);
    ways::check(spec, &graph, &mut diagnostics);
    diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    (Some(graph).filter(|_| !diagnostics.iter().any(Diagnostic::is_error)), diagnostics)
}

/// A compensation of an item's step cannot also compensate a step of the run, and does not decide for elements.
fn report_shared(spec: &Spec, saga: &Saga, once: &Once, diagnostics: &mut Vec<Diagnostic>) {
    let mut first: HashMap<usize, usize> = HashMap::new();
    for (step, by) in saga.undone_by.iter().enumerate() {
        let Some(by) = by else { continue };
        let other = *first.entry(*by).or_insert(step);
        if once.is(step) != once.is(other) {
            let why = "it would compensate a step of one item and one for all items";
            let (here, there) = (spec.steps[step].title.span, spec.steps[other].title.span);
            diagnostics.push(catalogue::bad_compensation(here, why, there));
        }
        let said = spec.steps[*by].annotations.when.as_ref();
        if let (Some(when), Some(each)) = (said, &spec.steps[step].annotations.each) {
            let why = "a condition is decided once, and this step compensates each element of a list";
            diagnostics.push(catalogue::bad_compensation(when.span, why, each.span));
        }
    }
}

/// The default retries of a compensation: five attempts.
const UNDOING: Retry = Retry {
    retries: 4,
    backoff: Backoff::Exponential { first: Duration::from_secs(1), most: Duration::from_secs(60) },
};

fn id(step: usize) -> StepId {
    StepId(step as u32)
}

/// The front matter's title, else the first heading, else the file's name.
fn title(source: &Source, spec: &Spec) -> String {
    let written = spec.front.title.as_ref().or(spec.title.as_ref()).map(|title| title.value.clone());
    written.unwrap_or_else(|| {
        let path = std::path::Path::new(&source.name);
        path.file_stem().map_or_else(|| source.name.clone(), |stem| stem.to_string_lossy().into_owned())
    })
}

fn group(group: &spec::Group) -> Group {
    Group {
        title: group.title.value.clone(),
        parent: group.parent,
        parallel: group.parallel,
        deadline: group.annotations.deadline.as_ref().map(|deadline| deadline.value),
        budget: group.annotations.budget.as_ref().map(|budget| budget.value),
    }
}

fn settings(front: &spec::Front) -> Settings {
    let text = |text: &spec::Spanned<String>| text.value.clone();
    Settings {
        items: front.items.as_ref().map(text),
        key: front.key.as_ref().map(text),
        jobs: front.jobs.as_ref().map(|jobs| jobs.value),
        tolerate: front.tolerate.as_ref().map(|tolerate| tolerate.value).unwrap_or_default(),
        on_item_error: front.on_item_error.as_ref().map(|rule| rule.value).unwrap_or_default(),
        deadline: front.deadline.as_ref().map(|deadline| deadline.value),
        budget: front.budget.as_ref().map(|budget| budget.value),
        run_budget: front.run_budget.as_ref().map(|budget| budget.value),
        env: front.env.iter().map(text).collect(),
        secrets: front.secrets.iter().map(text).collect(),
    }
}

/// One step with all inherited annotations; without its neighbours.
fn assemble(source: &Source, spec: &Spec, flow: &Flow, once: &Once, names: &Names, index: usize) -> Step {
    let step = &spec.steps[index];
    let (agent, channel) = doer(spec, flow, index);
    let ports = &flow.steps[index];
    let input = |(port, origin): (&Port, &Origin)| Input {
        value: port.value,
        optional: port.optional,
        feedback: if let Origin::Feedback(repeat) = origin { Some(*repeat) } else { None },
        role: once::role(flow, index, port.value, port.role),
        makers: match origin {
            Origin::Made | Origin::Feedback(_) => {
                flow.makers[port.value.index()].iter().map(|made| id(made.step)).collect()
            }
            Origin::Outside | Origin::Element | Origin::Unclear => Vec::new(),
        },
    };
    Step {
        title: step.title.value.clone(),
        phase: names.phases[index].clone(),
        kind: flow.kinds[index],
        agent,
        channel,
        mark: inherited(spec, step, |said| said.mark.as_ref()).map(|mark| mark.value),
        line: source.position(step.heading.start).line,
        group: step.group,
        inputs: ports.inputs.iter().zip(&ports.origins).map(input).collect(),
        outputs: ports
            .outputs
            .iter()
            .map(|port| Output { value: port.value, optional: port.optional })
            .collect(),
        each: flow.each[index],
        way: flow.ways[index].clone(),
        once: once.is(index),
        always: step.annotations.always.is_some() && once.is(index),
        retry: inherited(spec, step, |said| said.retry.as_ref()).map(|retry| retry.value),
        timeout: inherited(spec, step, |said| said.timeout.as_ref()).map(|timeout| timeout.value),
        // The deadline and the budget of a group are shared by its steps, not inherited by each.
        deadline: step.annotations.deadline.as_ref().map(|deadline| deadline.value),
        budget: step.annotations.budget.as_ref().map(|budget| budget.value),
        compensate: None,
        irreversible: step.annotations.irreversible.is_some(),
        pure: inherited(spec, step, |said| said.pure.as_ref()).is_some(),
        state: None,
        program: step.program.clone(),
        revokes: step.implied,
        needs_inside: Vec::new(),
        inside: Default::default(),
        document: step.annotations.document.as_ref().map(|document| document.value.clone()),
        expectations: step.expectations.iter().map(|expectation| expectation.value.clone()).collect(),
        instructions: step.instructions.clone(),
        when: Vec::new(),
        chains: Vec::new(),
        guards: Vec::new(),
        skips: Vec::new(),
        needs: Vec::new(),
        dependents: Vec::new(),
        gates: Vec::new(),
        awaits: None,
        emits: events::emits(&step.annotations),
        repeats: Vec::new(),
    }
}

/// Gives the steps their conditions.
fn branch(steps: &mut [Step], branches: Branches) {
    let Branches { when, chains, guards, skips, awaits, .. } = branches;
    let all = when.into_iter().zip(chains).zip(guards.into_iter().zip(skips));
    for ((step, ((when, chains), (guards, skips))), awaits) in steps.iter_mut().zip(all).zip(awaits) {
        (step.when, step.chains, step.guards, step.skips) = (when, chains, guards, skips);
        step.awaits = awaits;
    }
}

/// Warns of steps that neither an agent nor a program runs.
fn report_undone(spec: &Spec, flow: &Flow, diagnostics: &mut Vec<Diagnostic>) {
    // An agent in the middle of a title is reported as such.
    let stray = |title: &str| title.split_whitespace().any(|word| word.len() > 1 && word.starts_with('@'));
    let undone = |index: &usize| {
        let step = &spec.steps[*index];
        step.program.is_none()
            && step.annotations.document.is_none()
            && doer(spec, flow, *index).0.is_none()
            && !step.document_unread
            && !stray(&step.title.value)
    };
    let undone = (0..spec.steps.len()).filter(undone);
    diagnostics.extend(undone.map(|index| catalogue::step_without_agent(spec.steps[index].title.span)));
}

/// A step's agent and channel. A failure handler without an agent or a program has the agent of the first step.
fn doer(spec: &Spec, flow: &Flow, index: usize) -> (Option<String>, Option<String>) {
    let step = &spec.steps[index];
    // The steps of its document have agents of their own.
    if step.annotations.document.is_some() {
        return (
            None,
            inherited(spec, step, |said| said.channel.as_ref()).map(|channel| channel.value.clone()),
        );
    }
    let said = |step| inherited(spec, step, |said| said.agent.as_ref()).or(spec.front.agent.as_ref());
    let channel = |step| inherited(spec, step, |said| said.channel.as_ref());
    let first = flow.kinds.iter().position(|kind| *kind == Kind::Forward).map(|first| &spec.steps[first]);
    let (agent, channel) = match (said(step), flow.kinds[index]) {
        (None, Kind::Handler) if step.program.is_none() => {
            (first.and_then(said), channel(step).or_else(|| first.and_then(channel)))
        }
        (agent, _) => (agent, channel(step)),
    };
    (agent.map(|agent| agent.value.clone()), channel.map(|channel| channel.value.clone()))
}

/// One edge for each pair of steps and value between them, sorted by `to`, then `from`.
fn edges(links: &[Link]) -> Vec<Edge> {
    let edge = |link: &Link| Edge {
        from: id(link.from),
        to: id(link.to),
        value: match link.why {
            Why::Data(value) => Some(value),
            Why::Written | Why::Place | Why::Loop => None,
        },
    };
    let mut edges: Vec<Edge> = links.iter().map(edge).collect();
    edges.sort_unstable_by_key(|edge| (edge.to, edge.from, edge.value));
    edges.dedup();
    edges
}

/// Gives the steps the neighbours that the edges name.
fn connect(steps: &mut [Step], edges: &[Edge]) {
    let inputs =
        |step: &Step| step.inputs.iter().filter(|input| !input.optional).map(|input| input.value).collect();
    let required: Vec<HashSet<ValueId>> = steps.iter().map(inputs).collect();
    for edge in edges {
        let data = edge.value.is_some_and(|value| required[edge.to.index()].contains(&value));
        let needs = &mut steps[edge.to.index()].needs;
        match needs.last_mut() {
            Some(need) if need.step == edge.from => need.data |= data,
            _ => {
                needs.push(Need { step: edge.from, data });
                steps[edge.from.index()].dependents.push(edge.to);
            }
        }
    }
}

fn report_cycles<'a>(
    followers: &Followers,
    links: impl Iterator<Item = &'a Link>,
    flow: &Flow,
    (names, loops): (&Names, &Loops),
    diagnostics: &mut Vec<Diagnostic>,
) {
    let cycles = followers.cycles();
    if cycles.is_empty() {
        return;
    }
    // If a step waits for another for several reasons, one is shown: data before orders.
    let mut reasons: HashMap<(usize, usize), &Link> = HashMap::new();
    for link in links {
        reasons.entry((link.from, link.to)).or_insert(link);
    }
    for cycle in cycles {
        let around = cycle.iter().zip(cycle.iter().cycle().skip(1));
        let links: Vec<&Link> = around.filter_map(|pair| reasons.get(&(*pair.0, *pair.1)).copied()).collect();
        if let [Link { why: Why::Written, at, to, .. }] = links.as_slice() {
            diagnostics.push(catalogue::after_itself(names.title(*to), *at));
            continue;
        }
        let title = |step: &usize| names.title(*step);
        let path: Vec<&str> = cycle.iter().chain(cycle.first()).map(title).collect();
        let places: Vec<_> = links.iter().map(|link| (reason(link, flow, names), link.at)).collect();
        let implicit = links.iter().find(|link| link.why == Why::Place);
        let implicit = implicit.map(|link| (names.title(link.to), names.title(link.from)));
        let back = links.iter().find_map(|link| match link.why {
            Why::Data(value) if loops.turns_back(link.from, link.to) => Some(flow.name(value)),
            _ => None,
        });
        let problem = catalogue::cycle(&path, &places, implicit);
        diagnostics.push(back.into_iter().fold(problem, catalogue::round_before));
    }
}

fn reason(link: &Link, flow: &Flow, names: &Names) -> String {
    let (from, to) = (names.title(link.from), names.title(link.to));
    match link.why {
        Why::Data(value) => format!("`{to}` takes `{}` from `{from}`", flow.name(value)),
        Why::Written => format!("`{to}` is ordered after `{from}`"),
        Why::Place => format!("`{to}` is below `{from}`"),
        Why::Loop => format!("`{to}` waits for the end of the loop that repeats `{from}`"),
    }
}
