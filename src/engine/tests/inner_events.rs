//! Events of the documents that steps run.

use super::events::*;
use super::*;

/// The events, by their ids, that documents may take after these, and whether each still may: its item has not ended.
fn for_documents(graph: &Graph, events: &[Event]) -> Vec<(String, bool)> {
    let mut all: Vec<(Arc<Arrival>, bool)> = Vec::new();
    let mut ended: BTreeSet<&str> = BTreeSet::new();
    for event in events {
        match &event.kind {
            EventKind::Run(RunEvent::Received(arrival) | RunEvent::Emitted(arrival))
                if graph.is_awaited_inside(&arrival.kind) =>
            {
                let over = ended.contains(&*arrival.subject);
                if !over || graph.outlives(&arrival.kind, &arrival.subject) {
                    all.push((arrival.clone(), true));
                }
            }
            EventKind::Item(_, ItemEvent::Settled { key, .. }) => {
                ended.insert(key);
                let gone = |one: &&mut (Arc<Arrival>, bool)| {
                    one.0.subject == **key && !graph.outlives(&one.0.kind, &one.0.subject)
                };
                all.iter_mut().filter(gone).for_each(|one| one.1 = false);
            }
            _ => {}
        }
    }
    all.into_iter().map(|(arrival, open)| (arrival.id.clone(), open)).collect()
}

/// In random worlds: what came for documents is handed to them once in each life and in its order, wherever the runner
/// dies, as long as their items have not ended.
#[test]
fn documents_get_what_came_for_them_wherever_the_runner_dies() {
    let (mut handed, mut again, mut emitted) = (0, 0, 0);
    for seed in seeds(600) {
        let (graph, policy, world, events, _) = simulate(seed);
        let came = for_documents(&graph, &events);
        let known: BTreeSet<&String> = came.iter().map(|(id, _)| id).collect();
        let delivered: Vec<&String> = world.delivered.iter().filter(|id| known.contains(id)).collect();
        assert_eq!(delivered, came.iter().map(|(id, _)| id).collect::<Vec<_>>(), "seed {seed}");
        handed += delivered.len();
        emitted +=
            events.iter().filter(|one| matches!(one.kind, EventKind::Run(RunEvent::Emitted(_)))).count();
        let cut = roll(seed, &[88], events.len() as u64 + 1) as usize;
        let seen = &events[..cut];
        let mut run = folded(seed, &graph, &policy, seen);
        let mut world = world.after_crash(seen);
        let mut out = Out::default();
        run.resume(&[], world.now, &mut out);
        let lived = world.live(&mut run, &mut out);
        let before = for_documents(&graph, seen);
        let both: Vec<Event> = seen.iter().chain(&lived).cloned().collect();
        let came = for_documents(&graph, &both);
        let open = before.iter().filter(|(_, open)| *open).map(|(id, _)| id);
        let expected: Vec<&String> = open.chain(came[before.len()..].iter().map(|(id, _)| id)).collect();
        let known: BTreeSet<&String> = came.iter().map(|(id, _)| id).collect();
        let delivered: Vec<&String> = world.delivered.iter().filter(|id| known.contains(id)).collect();
        assert_eq!(delivered, expected, "seed {seed}: cut after {cut} events");
        again += before.len();
    }
    assert!(handed > 100 && again > 50 && emitted > 50, "{handed} handed, {again} again, {emitted} emitted");
}

/// An event of a step in a document is taken once, published to the channels, and handed to other documents.
#[test]
fn an_event_of_a_document_counts_once() {
    let mut graph = awaiting(None, None);
    graph.steps[0].inside.awaits.insert(InnerAwait { event: SHIPPED.into(), subject: InnerSubject::Key });
    let mut hand = Hand::new(graph);
    let EngineInput::Receive(event) = arrival("x/0/S/0/order.shipped", "k", json!({"n": 1})) else {
        unreachable!()
    };
    hand.give(EngineInput::Emit(event.clone()));
    hand.give(EngineInput::Emit(event.clone()));
    hand.give(EngineInput::Receive(event.clone()));
    let other = Arrival { id: "y".into(), kind: "other".into(), ..(*event).clone() };
    hand.give(EngineInput::Emit(Arc::new(other)));
    let count = |is: &dyn Fn(&Event) -> bool| hand.out.events.iter().filter(|event| is(event)).count();
    assert_eq!(count(&|event| matches!(event.kind, EventKind::Run(RunEvent::Emitted(_)))), 1);
    assert_eq!(count(&|event| matches!(event.kind, EventKind::Run(RunEvent::Received(_)))), 0);
    let delivered = hand.out.effects.iter().filter(|effect| matches!(effect, Effect::Deliver(_)));
    assert_eq!(delivered.count(), 1);
    hand.answer(0, Ok(json!(1)));
    assert_eq!(hand.starts(1), 1);
}

/// A step does not take an event that it took on an earlier visit in another run of its document.
#[test]
fn an_event_that_is_used_up_is_not_taken() {
    let mut hand = Hand::new(awaiting(None, None));
    hand.run.use_up(StepId(1), &BTreeSet::from(["1".to_owned()]));
    hand.answer(0, Ok(json!(1)));
    hand.give(arrival("1", "k", json!({"n": 1})));
    assert_eq!(hand.starts(1), 0);
    hand.give(arrival("2", "k", json!({"n": 2})));
    assert_eq!(hand.starts(1), 1);
    assert_eq!(hand.inputs(ItemId(0), StepId(1).into())[1], (2, json!({"n": 2})));
}
