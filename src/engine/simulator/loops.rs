//! Random loops of random graphs, with feedback, pauses and loops in loops.

use super::roll;
use crate::condition;
use crate::graph::{Graph, Group, Guard, Input as Takes, Repeat, RepeatId, RepeatOf, Role, StepId, ValueId};
use std::time::Duration;

/// Repeats some of these adjacent steps until one of them makes a high number, and perhaps some of them within that.
pub(super) fn repeat(seed: u64, graph: &mut Graph, depth: u64, within: std::ops::Range<u32>) {
    let dice = |what: u64, below: u32| roll(seed, &[101, depth, what], below.max(1).into()) as u32;
    let first = within.start + dice(0, within.len() as u32);
    let steps: Vec<StepId> = (first..within.end).take(1 + dice(1, 4) as usize).map(StepId).collect();
    let once = graph.step(steps[0]).once;
    if steps.iter().any(|step| graph.step(*step).once != once) || depth > 2 {
        return;
    }
    let decider = steps[dice(2, steps.len() as u32) as usize];
    let id = RepeatId(graph.repeats.len() as u32);
    steps.iter().for_each(|step| graph.steps[step.index()].repeats.push(id));
    for step in &steps {
        let later = StepId(step.0 + dice(10 + u64::from(step.0), 3));
        let known = |input: &Takes| input.value == ValueId(later.0);
        if steps.contains(&later) && !graph.step(*step).inputs.iter().any(known) {
            graph.steps[step.index()].inputs.push(Takes {
                value: ValueId(later.0),
                optional: true,
                role: Role::Given,
                feedback: Some(id),
                makers: vec![later],
            });
        }
    }
    let name = format!("S{}", decider.0);
    let group = graph.groups.len();
    let of = if steps.len() == 1 { RepeatOf::Step(steps[0]) } else { RepeatOf::Group(group) };
    graph.groups.push(Group {
        title: format!("R{depth}"),
        parent: None,
        parallel: false,
        deadline: None,
        budget: None,
    });
    graph.repeats.push(Repeat {
        of,
        most: 2 + dice(3, 3),
        every: (dice(4, 3) == 0).then(|| Duration::from_millis(1 + u64::from(dice(5, 20)))),
        until: Guard {
            condition: condition::parse(&format!("{name} > 500")).unwrap(),
            names: vec![(name, ValueId(decider.0))],
        },
        makes: steps.iter().map(|step| ValueId(step.0)).collect(),
        deciders: vec![decider],
        line: 1,
        steps: steps.clone(),
    });
    if dice(6, 2) == 0 {
        repeat(seed, graph, depth + 1, steps[0].0..steps[0].0 + steps.len() as u32);
    }
}
