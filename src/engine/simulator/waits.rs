//! What items of random graphs wait for: people, and events.

use super::roll;
use crate::condition;
use crate::graph::{
    Await, Gate, GateId, GateOf, Graph, Guard, InnerAwait, InnerEvents, InnerSubject, Kind, StepId, ValueId,
    ValueInfo,
};
use crate::value::Type;
use std::collections::BTreeSet;
use std::time::Duration;

/// Lets a person decide before some groups and steps.
pub(super) fn gates(seed: u64, graph: &mut Graph) {
    let groups = (0..graph.groups.len()).map(GateOf::Group);
    let steps = graph.ids().filter(|id| graph.step(*id).kind != Kind::Compensation).map(GateOf::Step);
    for of in groups.chain(steps).collect::<Vec<_>>() {
        let number = match of {
            GateOf::Group(group) => 1000 + group as u64,
            GateOf::Step(step) => step.0.into(),
        };
        let dice = |what: u64, below| roll(seed, &[96, what, number], below);
        if dice(0, 3) > 0 {
            continue;
        }
        let before: Vec<StepId> = match of {
            GateOf::Step(step) => vec![step],
            GateOf::Group(group) => {
                let inside = |id: &StepId| graph.around(*id).any(|around| around == group);
                graph.order.iter().copied().filter(inside).collect()
            }
        };
        let id = GateId(graph.gates.len() as u32);
        before.iter().for_each(|step| graph.steps[step.index()].gates.push(id));
        let within = (dice(1, 2) == 0).then(|| Duration::from_millis(1 + dice(2, 60)));
        graph.gates.push(Gate { of, within, by: None, question: Default::default(), line: 1 });
    }
}

/// The types of events in these worlds.
pub const KINDS: [&str; 2] = ["e.one", "e.two"];

/// Lets some steps wait for events, and some publish them.
pub(super) fn events(seed: u64, graph: &mut Graph) {
    for id in graph.ids() {
        let dice = |what: u64, below| roll(seed, &[99, what, id.0.into()], below);
        let kind = |salt| KINDS[dice(salt, 2) as usize].to_owned();
        if dice(0, 3) == 0 {
            graph.steps[id.index()].emits = vec![kind(1)];
        }
        if dice(7, 4) == 0 {
            let subject = [InnerSubject::Key, InnerSubject::Run, InnerSubject::Value][dice(8, 3) as usize];
            let awaits = BTreeSet::from([InnerAwait { event: kind(9), subject }]);
            graph.steps[id.index()].inside = InnerEvents { awaits, ..InnerEvents::default() };
        }
        if graph.step(id).kind != Kind::Forward || dice(2, 3) > 0 {
            continue;
        }
        let payload = ValueId(graph.values.len() as u32);
        let ty = (dice(3, 4) == 0).then_some(Type::Json);
        graph.values.push(ValueInfo { name: format!("payload_{}", id.0), ty, adopted: false });
        let condition = condition::parse("n > 400").unwrap();
        let filter = (dice(4, 2) == 0).then_some(Guard { condition, names: Vec::new() });
        let within = Some(Duration::from_millis(1 + dice(5, 90)));
        graph.steps[id.index()].awaits =
            Some(Await { event: kind(6), payload, subject: None, filter, within });
    }
}
