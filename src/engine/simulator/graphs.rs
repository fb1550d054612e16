//! Random graphs and limits, made from a seed.

use super::super::{ChannelLimit, Limits, Policy, Programs};
use super::{roll, waits};
use crate::condition;
use crate::graph::{
    Arm, Each, Edge, Graph, Group, Guard, Input as Takes, Kind, Need, Output, Passage, Role, StateId, Step,
    StepId, Taken, Target, ValueId, ValueInfo,
};
use crate::spec::{Backoff, Mark, OnItemError, Retry, Tolerance};
use crate::value::budget::Budget;
use crate::value::dollars::Dollars;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A step that makes one value named after it.
pub fn step(title: &str, needs: &[(u32, bool)], mark: Option<Mark>) -> Step {
    let inputs = needs.iter().filter(|(_, data)| *data);
    let from = |&(id, _): &(u32, bool)| Takes {
        value: ValueId(id),
        optional: false,
        role: Role::Given,
        feedback: None,
        makers: vec![StepId(id)],
    };
    Step {
        title: title.to_owned(),
        phase: title.to_owned(),
        kind: Kind::Forward,
        agent: None,
        channel: None,
        mark,
        line: 1,
        group: None,
        inputs: inputs.map(from).collect(),
        outputs: Vec::new(),
        each: None,
        once: false,
        always: false,
        retry: None,
        timeout: None,
        deadline: None,
        budget: None,
        compensate: None,
        irreversible: false,
        pure: false,
        way: None,
        state: None,
        program: None,
        document: None,
        revokes: false,
        needs_inside: Vec::new(),
        expectations: Vec::new(),
        instructions: Default::default(),
        when: Vec::new(),
        chains: Vec::new(),
        guards: Vec::new(),
        skips: Vec::new(),
        needs: needs.iter().map(|&(id, data)| Need { step: StepId(id), data }).collect(),
        dependents: Vec::new(),
        gates: Vec::new(),
        awaits: None,
        emits: Vec::new(),
        inside: Default::default(),
        repeats: Vec::new(),
    }
}

/// A graph of these steps, whose needs point backwards; step `n` makes value `n`.
pub fn graph(mut steps: Vec<Step>) -> Graph {
    let mut graph = Graph { title: "simulated".into(), ..Graph::default() };
    for index in 0..steps.len() {
        let id = StepId(index as u32);
        steps[index].outputs = vec![Output { value: ValueId(id.0), optional: false }];
        let name = match steps[index].kind {
            Kind::Forward | Kind::Compensation => steps[index].title.clone(),
            Kind::Handler => format!("retry_{index}"),
        };
        graph.values.push(ValueInfo { name, ty: None, adopted: false });
        if steps[index].kind == Kind::Forward {
            graph.order.push(id);
        }
        for need in steps[index].needs.clone() {
            steps[need.step.index()].dependents.push(id);
            let value = need.data.then_some(ValueId(need.step.0));
            graph.edges.push(Edge { from: need.step, to: id, value });
        }
    }
    graph.steps = steps;
    graph
}

pub fn random_graph(seed: u64) -> Graph {
    let size = 1 + roll(seed, &[1], 8) as u32;
    let mut steps = Vec::new();
    for id in 0..size {
        let dice = |what: u64, below| roll(seed, &[2, id.into(), what], below);
        let mut needs = Vec::new();
        for other in 0..id {
            match roll(seed, &[3, id.into(), other.into()], 6) {
                0 | 1 => needs.push((other, true)),
                2 => needs.push((other, false)),
                _ => {}
            }
        }
        let mark = match dice(0, 4) {
            0 => Some(Mark::Critical),
            1 => Some(Mark::Optional),
            _ => None,
        };
        let mut step = step(&format!("S{id}"), &needs, mark);
        for input in &mut step.inputs {
            input.optional = roll(seed, &[4, id.into(), input.value.0.into()], 4) == 0;
        }
        for need in &mut step.needs {
            let optional = |input: &Takes| input.makers.contains(&need.step) && input.optional;
            need.data &= !step.inputs.iter().any(optional);
        }
        step.agent = [None, Some("one"), Some("two")][dice(1, 3) as usize].map(str::to_owned);
        step.channel = [None, Some("slow"), Some("narrow")][dice(2, 3) as usize].map(str::to_owned);
        let pause = Duration::from_millis(5);
        let backoff = match dice(3, 2) {
            0 => Backoff::Fixed(pause),
            _ => Backoff::Exponential { first: pause, most: pause * 4 },
        };
        step.retry = (dice(4, 2) == 0).then_some(Retry { retries: dice(5, 3) as u32, backoff });
        // Whoever may hang is given a time, so that every run ends.
        step.timeout = Some(Duration::from_millis(10 + dice(6, 30)));
        step.deadline = (dice(7, 4) == 0).then(|| Duration::from_millis(20 + dice(8, 60)));
        steps.push(step);
    }
    branch(seed, &mut steps);
    for handler in 0..roll(seed, &[5], 3) {
        let mut step = step(&format!("H{handler}"), &[], Some(Mark::Optional));
        step.kind = Kind::Handler;
        step.timeout = Some(Duration::from_millis(20));
        steps.push(step);
    }
    for undoing in 0..roll(seed, &[60], 5) {
        let mut step = step(&format!("U{undoing}"), &[], None);
        step.kind = Kind::Compensation;
        step.timeout = Some(Duration::from_millis(20));
        let backoff = Backoff::Fixed(Duration::from_millis(3));
        step.retry = Some(Retry { retries: roll(seed, &[61, undoing], 3) as u32, backoff });
        steps.push(step);
    }
    let mut graph = graph(steps);
    spread(seed, &mut graph);
    once(seed, &mut graph);
    undo(seed, &mut graph);
    if roll(seed, &[70], 4) == 0 {
        states(seed, &mut graph);
    }
    if roll(seed, &[40], 3) == 0 {
        let deadline = Some(Duration::from_millis(20 + roll(seed, &[41], 40)));
        let group =
            |parent, deadline| Group { title: "G".into(), parent, parallel: false, deadline, budget: None };
        graph.groups = vec![group(None, deadline), group(Some(0), None)];
        for (step, id) in graph.steps.iter_mut().zip(0..) {
            step.group = [None, Some(0), Some(1)][roll(seed, &[42, id], 3) as usize];
        }
    }
    lead_to_group(seed, &mut graph);
    limit_spending(seed, &mut graph);
    if roll(seed, &[95], 4) == 0 {
        waits::gates(seed, &mut graph);
    }
    if roll(seed, &[98], 4) == 0 {
        waits::events(seed, &mut graph);
    }
    if roll(seed, &[100], 3) == 0 {
        let all = graph.order.len() as u32;
        super::loops::repeat(seed, &mut graph, 0, 0..all);
    }
    always(seed, &mut graph);
    graph.settings.deadline = (roll(seed, &[6], 4) == 0).then(|| Duration::from_millis(60));
    graph
}

/// Gives some steps, groups, items and runs a budget.
fn limit_spending(seed: u64, graph: &mut Graph) {
    let budget = |what: u64, index: u64, one_of: u64, most: u64| {
        let dice = |salt, below| roll(seed, &[80, what, index, salt], below);
        let cents = Dollars::parse(&format!("0.{:02}", 1 + dice(3, most.min(99))));
        let tokens = (dice(1, 3) > 0).then(|| 1 + dice(2, most));
        let dollars = if tokens.is_none() || dice(4, 3) == 0 { cents } else { None };
        (dice(0, one_of) == 0).then_some(Budget { tokens, dollars })
    };
    if roll(seed, &[81], 4) > 0 {
        return;
    }
    for (step, id) in graph.steps.iter_mut().zip(0..) {
        step.budget = budget(0, id, 6, 15);
    }
    for (group, id) in graph.groups.iter_mut().zip(0..) {
        group.budget = budget(1, id, 2, 20);
    }
    graph.settings.budget = budget(2, 0, 3, 30);
    graph.settings.run_budget = budget(3, 0, 3, 150);
}

/// Whether what a step makes is a list, as a rule.
pub(super) fn makes_list(seed: u64, step: StepId) -> bool {
    roll(seed, &[30, step.0.into()], 3) == 0
}

/// Lets some steps run for each element of what another makes.
fn spread(seed: u64, graph: &mut Graph) {
    for id in 0..graph.steps.len() {
        let inputs = graph.steps[id].inputs.iter().filter(|input| !input.optional);
        let list = inputs.map(|input| input.value).find(|value| makes_list(seed, StepId(value.0)));
        if let Some(list) = list.filter(|_| roll(seed, &[31, id as u64], 3) > 0) {
            let element = ValueId(graph.values.len() as u32);
            graph.values.push(ValueInfo { name: format!("element_{id}"), ty: None, adopted: false });
            graph.steps[id].each = Some(Each { element, list });
        }
    }
}

/// Lets some steps speak of the item's state, well or badly.
fn states(seed: u64, graph: &mut Graph) {
    graph.states = ["a", "b", "c"].map(str::to_owned).to_vec();
    graph.initial = Some(StateId(0));
    for (step, id) in graph.steps.iter_mut().zip(0..).filter(|(step, _)| !step.once) {
        let dice = |what: u64, below| roll(seed, &[71, id, what], below);
        if dice(0, 3) == 0 {
            let from = (0..3).filter(|state| dice(1 + state, 2) == 0).map(|state| StateId(state as u32));
            let from: Vec<StateId> = from.collect();
            let to = (dice(4, 2) == 0).then(|| StateId(dice(5, 3) as u32));
            step.state = (!from.is_empty()).then_some(Passage { from, to });
        }
    }
}

/// Lets some steps run once after all items, where no item decides over them.
fn once(seed: u64, graph: &mut Graph) {
    let mut once: Vec<bool> = (0..graph.steps.len()).map(|id| roll(seed, &[32, id as u64], 9) == 0).collect();
    for id in graph.compensations() {
        once[id.index()] = false;
    }
    for id in graph.order.clone() {
        once[id.index()] |= graph.step(id).needs.iter().any(|need| once[need.step.index()]);
    }
    let decided = |step: &Step| step.guards.iter().chain(&step.skips).any(|taken| !once[taken.step.index()]);
    if graph.steps.iter().zip(&once).any(|(step, once)| *once && decided(step)) {
        return;
    }
    let mut gathered = BTreeSet::new();
    for (id, once_too) in once.iter().enumerate().filter(|(_, once)| **once) {
        let failures = ValueId(graph.values.len() as u32);
        let step = &mut graph.steps[id];
        step.once = *once_too;
        let taken = step.inputs.iter().map(|input| input.value).chain(step.asks());
        gathered.extend(taken.filter(|value| !once[value.index()]).collect::<Vec<_>>());
        if step.kind == Kind::Handler {
            step.inputs.push(Takes {
                value: failures,
                optional: false,
                role: Role::Failure,
                feedback: None,
                makers: Vec::new(),
            });
            graph.values.push(ValueInfo { name: "failed_items".into(), ty: None, adopted: false });
        }
    }
    graph.gathered = gathered.into_iter().collect();
}

/// Lets some steps for all items run always: they need nothing of the others.
fn always(seed: u64, graph: &mut Graph) {
    let fits = |step: &Step| {
        let free = step.gates.is_empty() && step.awaits.is_none() && step.repeats.is_empty();
        step.once
            && step.kind != Kind::Compensation
            && free
            && step.compensate.is_none()
            && !step.irreversible
    };
    let all: Vec<StepId> = graph.ids().filter(|id| fits(graph.step(*id))).collect();
    let all: Vec<StepId> = all.into_iter().filter(|id| roll(seed, &[33, id.0.into()], 2) == 0).collect();
    all.iter().for_each(|id| graph.steps[id.index()].always = true);
    for id in &all {
        let others: BTreeSet<StepId> =
            graph.ids().filter(|id| graph.step(*id).once && !all.contains(id)).collect();
        let step = &mut graph.steps[id.index()];
        for input in &mut step.inputs {
            input.optional |= input.makers.iter().any(|maker| others.contains(maker));
        }
        for need in step.needs.iter_mut().filter(|need| others.contains(&need.step)) {
            need.data = false;
        }
    }
}

/// Lets some steps be undone, several of them perhaps by one, and makes others irreversible.
fn undo(seed: u64, graph: &mut Graph) {
    let undoing: Vec<StepId> = graph.compensations().collect();
    let mut of_run: BTreeMap<StepId, bool> = BTreeMap::new();
    for id in graph.order.clone() {
        let dice = |what: u64, below| roll(seed, &[62, id.0.into(), what], below);
        if let (Some(by), true) = (undoing.get(dice(0, 5) as usize), dice(1, 4) > 0) {
            let once = graph.step(id).once;
            if *of_run.entry(*by).or_insert(once) == once {
                graph.steps[id.index()].compensate = Some(*by);
                graph.steps[by.index()].once = once;
                let takes = |value| Takes {
                    value,
                    optional: false,
                    role: Role::Given,
                    feedback: None,
                    makers: Vec::new(),
                };
                if dice(3, 2) == 0 {
                    graph.steps[by.index()].inputs.push(takes(ValueId(id.0)));
                }
            }
        } else {
            graph.steps[id.index()].irreversible = dice(2, 6) == 0;
        }
    }
}

/// Lets some steps decide which of the others run, and some run only on a condition.
fn branch(seed: u64, steps: &mut [Step]) {
    for id in 1..steps.len() as u32 {
        let dice = |what: u64, below| roll(seed, &[20, id.into(), what], below);
        let decider = dice(1, id.into()) as u32;
        let asks = |of: u32| Guard {
            condition: condition::parse(&format!("S{of} > 400")).unwrap(),
            names: vec![(format!("S{of}"), ValueId(of))],
        };
        match dice(0, 4) {
            0 => {
                order(steps, decider, id);
                let other = match dice(2, 4) {
                    0 => Target::End,
                    1 => Target::Fail("refused".into()),
                    _ => Target::Skip(StepId(id)),
                };
                let chain = vec![
                    Arm { guard: Some(asks(decider)), target: Target::Step(StepId(id)) },
                    Arm { guard: None, target: other },
                ];
                let chains = &mut steps[decider as usize].chains;
                chains.push(chain);
                let taken = Taken { step: StepId(decider), chain: chains.len() as u32 - 1, arm: 0 };
                match dice(3, 3) {
                    0 => steps[id as usize].skips.push(taken),
                    _ => steps[id as usize].guards.push(taken),
                }
            }
            1 => {
                order(steps, decider, id);
                steps[id as usize].when.push(asks(decider));
            }
            _ => {}
        }
    }
}

/// Lets one step decide on a group of others in some graphs: some of them it guards, none or some of the steps between.
fn lead_to_group(seed: u64, graph: &mut Graph) {
    let dice = |what: u64, below| roll(seed, &[90, what], below);
    let forward = graph.order.len() as u32;
    if dice(0, 3) > 0 || forward < 3 {
        return;
    }
    let decider = dice(1, u64::from(forward) - 2) as u32;
    let first = decider + 1 + dice(2, u64::from(forward - decider) - 1) as u32;
    let of_run = |graph: &Graph, id: u32| graph.steps[id as usize].once;
    let members: Vec<u32> =
        (first..forward).filter(|id| of_run(graph, *id) == of_run(graph, decider)).collect();
    let group = graph.groups.len();
    graph.groups.push(Group {
        title: "Led".into(),
        parent: None,
        parallel: false,
        deadline: None,
        budget: None,
    });
    let skips = dice(3, 3) == 0;
    let asks = Guard {
        condition: condition::parse(&format!("S{decider} > 400")).unwrap(),
        names: vec![(format!("S{decider}"), ValueId(decider))],
    };
    let target = if skips { Target::SkipToGroup(group) } else { Target::Group(group) };
    let chains = &mut graph.steps[decider as usize].chains;
    chains.push(vec![Arm { guard: Some(asks), target }]);
    let taken = Taken { step: StepId(decider), chain: chains.len() as u32 - 1, arm: 0 };
    let between = (decider + 1..first).filter(|id| of_run(graph, *id) == of_run(graph, decider)).collect();
    for id in if skips { between } else { members.clone() } {
        let step = &mut graph.steps[id as usize];
        if !step.guards.is_empty() {
            continue;
        }
        if skips {
            step.skips.push(taken)
        } else {
            step.guards.push(taken)
        }
        if !step.needs.iter().any(|need| need.step.0 == decider) {
            step.needs.push(Need { step: StepId(decider), data: false });
            let dependents = &mut graph.steps[decider as usize].dependents;
            dependents.push(StepId(id));
            dependents.sort_unstable();
            graph.edges.push(Edge { from: StepId(decider), to: StepId(id), value: None });
        }
    }
    for id in members {
        graph.steps[id as usize].group.get_or_insert(group);
    }
}

/// `to` needs `from`, if only for its order.
fn order(steps: &mut [Step], from: u32, to: u32) {
    let needs = &mut steps[to as usize].needs;
    if !needs.iter().any(|need| need.step.0 == from) {
        needs.push(Need { step: StepId(from), data: false });
    }
}

pub fn random_policy(seed: u64) -> Policy {
    let dice = |what: u64, below| roll(seed, &[7, what], below);
    let channel = |concurrency, rate| ChannelLimit { concurrency, rate };
    let tolerate = match dice(0, 3) {
        0 => Tolerance::Percent(30.0),
        1 => Tolerance::Count(2),
        _ => Tolerance::Count(0),
    };
    Policy {
        limits: Limits {
            jobs: 1 + dice(1, 5) as usize,
            programs: (dice(3, 2) == 0)
                .then(|| Programs { most: 2, steps: (0..100).step_by(2).map(StepId).collect() }),
            agents: [("one".to_owned(), 1), ("two".to_owned(), 2)].into(),
            channels: [
                ("slow".to_owned(), channel(None, Some(200.0))),
                ("narrow".to_owned(), channel(Some(1), None)),
            ]
            .into(),
        },
        tolerate,
        on_item_error: [OnItemError::Continue, OnItemError::Drain, OnItemError::Stop]
            [dice(2, 5).min(2) as usize],
    }
}
