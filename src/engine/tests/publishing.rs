//! Events that steps publish: to the steps of their item, and to channels.

use super::events::*;
use super::*;

#[test]
fn what_a_step_publishes_reaches_the_steps_of_its_item() {
    let mut graph = awaiting(Some("n == 4"), None);
    graph.steps.push(step("E", &[], None));
    let mut steps = graph.steps.clone();
    steps[2].emits = vec![SHIPPED.into(), "order.other".into()];
    let mut graph = super::graph(steps);
    graph.values.push(ValueInfo { name: "order_shipped".into(), ty: None, adopted: false });
    graph.steps[1].awaits.as_mut().unwrap().payload = ValueId(3);
    let mut run = Run::new(Arc::new(graph), policy());
    run.set_name("run-1");
    let mut hand = Hand { run, out: Out::default(), now: 0 };
    hand.give(EngineInput::Admit { key: "k".into(), inputs: Vec::new() });
    hand.answer(0, Ok(json!(1)));
    assert_eq!(hand.starts(1), 0);
    hand.answer(2, Ok(json!({"n": 4})));
    assert_eq!(
        (hand.starts(1), hand.inputs(ItemId(0), StepId(1).into()).pop()),
        (1, Some((3, json!({"n": 4}))))
    );
    hand.answer(1, Ok(json!(2)));
    let id = row(&hand, 1).unwrap().columns.iter().find(|(name, _)| **name == *"event_id").unwrap().1.clone();
    assert_eq!(id, json!("run-1/0/E/0/order.shipped"));
    // It may come back from where it was published.
    let events = hand.out.events.len();
    hand.give(arrival("run-1/0/E/0/order.shipped", "k", json!({"n": 4})));
    assert_eq!(hand.out.events.len(), events);
}

#[test]
fn what_a_channel_has_not_accepted_is_published_again() {
    let mut steps = vec![step("E", &[], None)];
    steps[0].emits = vec![SHIPPED.into(), "stock.low".into()];
    let graph = Arc::new(graph(steps));
    let sinks = || vec![("out".into(), vec![crate::event::TypePattern("order.*".into())])];
    let published = |out: &Out| -> Vec<String> {
        let events = out.effects.iter().filter_map(|effect| match effect {
            Effect::Publish { event, .. } => Some(event.id.clone()),
            _ => None,
        });
        events.collect()
    };
    let mut run = Run::new(graph.clone(), policy());
    run.set_sinks(sinks());
    let mut hand = Hand { run, out: Out::default(), now: 0 };
    hand.give(EngineInput::Admit { key: "k".into(), inputs: Vec::new() });
    hand.answer(0, Ok(json!(1)));
    let id = "/0/E/0/order.shipped".to_owned();
    assert_eq!(published(&hand.out), vec![id.clone()]);
    let again = |events: &[Event]| {
        let mut run = Run::new(graph.clone(), policy());
        run.set_sinks(sinks());
        events.iter().for_each(|event| run.recall(event).unwrap());
        let mut out = Out::default();
        run.resume(&[], 100, &mut out);
        (published(&out), run.not_published().count())
    };
    assert_eq!(again(&hand.out.events), (vec![id.clone()], 0));
    let done = |failed: Option<&str>| EngineInput::Published {
        channel: "out".into(),
        id: id.clone(),
        failed: failed.map(str::to_owned),
    };
    hand.give(done(Some("503")));
    assert_eq!(again(&hand.out.events), (vec![id.clone()], 1));
    hand.give(done(None));
    assert_eq!(again(&hand.out.events), (vec![], 0));
}

/// In random worlds: whatever a step publishes is answered for by each of its channels, also if the runner died before.
#[test]
fn what_is_published_is_answered_for_wherever_the_runner_dies() {
    let (mut published, mut again) = (0, 0);
    for seed in seeds(600) {
        let (graph, policy, world, events, _) = simulate(seed);
        let answered = |events: &[Event]| -> BTreeSet<(Arc<str>, String)> {
            let one = |event: &Event| match &event.kind {
                EventKind::Run(
                    RunEvent::Published { channel, id } | RunEvent::NotPublished { channel, id, .. },
                ) => Some((channel.clone(), id.clone())),
                _ => None,
            };
            events.iter().filter_map(one).collect()
        };
        let sent: BTreeSet<(Arc<str>, String)> = world.sent.values().cloned().collect();
        assert_eq!(answered(&events), sent, "seed {seed}");
        published += sent.len();
        if sent.is_empty() {
            continue;
        }
        let cut = roll(seed, &[87], events.len() as u64 + 1) as usize;
        let seen = &events[..cut];
        let mut run = folded(seed, &graph, &policy, seen);
        let mut world = world.after_crash(seen);
        let mut out = Out::default();
        run.resume(&[], world.now, &mut out);
        let lived = world.live(&mut run, &mut out);
        let sent: BTreeSet<(Arc<str>, String)> = world.sent.values().cloned().collect();
        assert_eq!(answered(&lived), sent, "seed {seed}: cut after {cut} events");
        again += usize::from(!sent.is_empty());
    }
    assert!(published > 100 && again > 20, "{published} published, {again} cuts");
}
