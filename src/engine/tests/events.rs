//! Events on small graphs: who takes which, and the time that does not count.

use super::*;

const SHIPPED: &str = "order.shipped";

/// `A` before `B`, which waits for an event; its payload is value 2.
fn awaiting(filter: Option<&str>, within: Option<u64>) -> Graph {
    let mut graph = graph(vec![step("A", &[], None), step("B", &[(0, true)], None)]);
    graph.values.push(ValueInfo { name: "order_shipped".into(), ty: None, adopted: false });
    graph.steps[1].awaits = Some(shipped(ValueId(2), filter, within));
    graph
}

fn shipped(payload: ValueId, filter: Option<&str>, within: Option<u64>) -> Await {
    let guard = |text: &str| crate::graph::Guard {
        condition: crate::condition::parse(text).unwrap(),
        names: vec![("A".into(), ValueId(0))],
    };
    Await {
        event: SHIPPED.into(),
        payload,
        subject: None,
        filter: filter.map(guard),
        within: within.map(Duration::from_millis),
    }
}

fn arrival(id: &str, subject: &str, data: Value) -> EngineInput {
    let (id, kind, subject) = (id.to_owned(), SHIPPED.to_owned(), subject.to_owned());
    EngineInput::Receive(Arc::new(Arrival { id, kind, subject, source: None, data: Arc::new(data), at: 7 }))
}

fn row(hand: &Hand, id: u32) -> Option<&crate::event::Execution> {
    hand.out.events.iter().rev().find_map(|event| match &event.kind {
        EventKind::Step(_, StepEvent::Ended(row)) if row.step == StepId(id) => Some(row),
        _ => None,
    })
}

fn taken(events: &[Event]) -> Vec<(u64, u32, u64)> {
    let taken = events.iter().filter_map(|event| match &event.kind {
        EventKind::Step(item, StepEvent::EventTaken { step, event, .. }) => Some((item.0, step.0, *event)),
        _ => None,
    });
    taken.collect()
}

#[test]
fn a_step_starts_when_its_event_has_come_and_gets_its_payload() {
    let mut hand = Hand::new(awaiting(None, None));
    hand.answer(0, Ok(json!(1)));
    assert_eq!((hand.starts(1), hand.run.rests()), (0, true));
    hand.give(arrival("1", "other", json!({"n": 0})));
    assert_eq!(hand.starts(1), 0);
    hand.give(arrival("2", "k", json!({"n": 1})));
    assert_eq!((hand.starts(1), hand.run.rests()), (1, false));
    let inputs = hand.inputs(ItemId(0), StepId(1).into());
    assert_eq!(inputs, [(0, json!(1)), (2, json!({"n": 1}))]);
    hand.answer(1, Ok(json!(2)));
    assert_eq!(hand.state(), Some(ItemState::Succeeded));
    let columns = row(&hand, 1).unwrap().columns.iter().map(|(name, value)| (&**name, value.clone()));
    let said = [("event", json!(SHIPPED)), ("event_id", json!("2")), ("event_ms", json!(2))];
    assert_eq!(columns.collect::<Vec<_>>(), said);
    assert_eq!(row(&hand, 0).unwrap().columns, []);
}

#[test]
fn an_event_that_comes_early_waits_for_its_step_and_one_that_comes_twice_counts_once() {
    let mut hand = Hand::new(awaiting(None, None));
    hand.give(arrival("1", "k", json!(1)));
    hand.give(arrival("1", "k", json!(2)));
    let received = |event: &&Event| matches!(&event.kind, EventKind::Run(RunEvent::Received(_)));
    assert_eq!(hand.out.events.iter().filter(received).count(), 1);
    hand.answer(0, Ok(json!(1)));
    assert_eq!((hand.starts(1), taken(&hand.out.events)), (1, vec![(0, 1, 0)]));
}

#[test]
fn only_an_event_that_is_meant_and_fits_is_taken() {
    let mut graph = awaiting(Some("n > A and n < 9"), None);
    graph.values[2].ty = Some(crate::value::Type::Json);
    let mut hand = Hand::new(graph);
    hand.answer(0, Ok(json!(5)));
    // Not more than 5; no `n`; not a number.
    for (id, data) in [("1", json!({"n": 5})), ("2", json!({})), ("3", json!({"n": "6"}))] {
        hand.give(arrival(id, "k", data));
        assert_eq!(hand.starts(1), 0, "{id}");
    }
    hand.give(arrival("4", "k", json!({"n": 6})));
    assert_eq!(taken(&hand.out.events), [(0, 1, 3)]);
    let mut graph = awaiting(None, None);
    graph.values[2].ty = Some(crate::value::Type::Integer);
    let mut hand = Hand::new(graph);
    hand.answer(0, Ok(json!(5)));
    let unfit = Arrival {
        id: "1".into(),
        kind: SHIPPED.into(),
        subject: "k".into(),
        source: None,
        data: Arc::new(json!("x")),
        at: 7,
    };
    let why = hand.run.refusal_of(ItemId(0), StepId(1), &unfit).unwrap();
    assert!(why.starts_with("`order_shipped`") || why.contains("order_shipped"), "{why}");
    hand.give(EngineInput::Receive(Arc::new(unfit)));
    assert_eq!(hand.starts(1), 0);
    hand.give(arrival("2", "k", json!(3)));
    assert_eq!(hand.starts(1), 1);
}

#[test]
fn each_step_takes_an_event_once_and_several_may_take_the_same() {
    let mut graph = graph(vec![step("A", &[], None), step("B", &[], None)]);
    graph.values.push(ValueInfo { name: "order_shipped".into(), ty: None, adopted: false });
    graph.steps.iter_mut().for_each(|step| step.awaits = Some(shipped(ValueId(2), None, None)));
    let mut hand = Hand::new(graph);
    hand.give(arrival("1", "k", json!(1)));
    let mut both = taken(&hand.out.events);
    both.sort_unstable();
    assert_eq!(both, [(0, 0, 0), (0, 1, 0)]);
}

#[test]
fn an_event_of_another_subject_is_found_by_a_value() {
    let mut graph = awaiting(None, None);
    let condition = crate::condition::parse("A.id").unwrap();
    let subject = crate::graph::Guard { condition, names: vec![("A".into(), ValueId(0))] };
    graph.steps[1].awaits.as_mut().unwrap().subject = Some(subject);
    let mut hand = Hand::new(graph.clone());
    hand.give(arrival("1", "k", json!(1)));
    hand.give(arrival("2", "17", json!(2)));
    hand.answer(0, Ok(json!({"id": 17})));
    assert_eq!(taken(&hand.out.events), [(0, 1, 1)]);
    // Without the value the step fails.
    let mut hand = Hand::new(graph);
    hand.answer(0, Ok(json!({"id": [1]})));
    let error = "`for A.id` is a list, and a subject is a text";
    assert_eq!(row(&hand, 1).unwrap().error.as_deref(), Some(error));
}

#[test]
fn an_event_that_does_not_come_in_time_fails_the_step_by_the_clock() {
    let within = || awaiting(None, Some(50));
    let mut hand = Hand::new(within());
    hand.run.set_clock(1_000_000);
    hand.answer(0, Ok(json!(1)));
    let (events, since) = (hand.out.events.clone(), hand.now);
    let fold = |clock: u64| {
        let mut run = Run::fold(Arc::new(within()), policy(), &events).unwrap();
        run.set_clock(clock);
        let mut out = Out::default();
        run.resume(&[], since, &mut out);
        let timers = out.effects.iter().filter_map(|effect| match effect {
            Effect::Timer { due, timer: timer @ Timer::Await { .. } } => Some((*due, *timer)),
            _ => None,
        });
        let (due, timer) = timers.collect::<Vec<_>>().pop().unwrap();
        run.handle(EngineInput::Due(timer), since, &mut out);
        let ended = out.events.iter().find_map(|event| match &event.kind {
            EventKind::Step(_, StepEvent::Ended(row)) => Some((row.code.clone()?, row.error.clone()?)),
            _ => None,
        });
        (due, ended)
    };
    assert_eq!(fold(1_000_000), (since + 50, None));
    // The run was paused for 49 ms, and for 50.
    assert_eq!(fold(1_000_049), (since + 1, None));
    let late = (EVENT_TIMEOUT.to_owned(), "no event order.shipped within 50ms".to_owned());
    assert_eq!(fold(1_000_050), (since, Some(late)));
}

#[test]
fn an_event_counts_by_the_time_at_which_it_came() {
    for (at, starts) in [(1_000_051, 1), (1_000_052, 0)] {
        let mut hand = Hand::new(awaiting(None, Some(50)));
        hand.run.set_clock(1_000_000);
        hand.answer(0, Ok(json!(1)));
        let EngineInput::Receive(mut event) = arrival("1", "k", json!(1)) else { return };
        Arc::make_mut(&mut event).at = at;
        hand.give(EngineInput::Receive(event));
        assert_eq!((at, hand.starts(1)), (at, starts), "{:#?}", hand.out.events);
        Run::fold(Arc::new(awaiting(None, Some(50))), policy(), &hand.out.events).unwrap();
    }
}

#[test]
fn no_other_deadline_counts_the_time_of_waiting() {
    let mut graph = awaiting(None, None);
    graph.settings.deadline = Some(Duration::from_millis(100));
    let mut hand = Hand::new(graph);
    hand.now = 20;
    hand.answer(0, Ok(json!(1)));
    hand.now = 1000;
    hand.give(EngineInput::Due(Timer::ItemDeadline { item: ItemId(0) }));
    hand.give(arrival("1", "k", json!(1)));
    assert_eq!(hand.starts(1), 1, "{:#?}", hand.out.events);
    let due = 1 + 100 + (hand.now - 21);
    let timer = Effect::Timer { due, timer: Timer::ItemDeadline { item: ItemId(0) } };
    assert!(hand.out.effects.iter().any(|effect| format!("{effect:?}") == format!("{timer:?}")));
}

#[test]
fn a_retried_step_keeps_its_event_and_a_new_visit_waits_for_another() {
    let retry = |undone: bool| {
        let mut steps =
            vec![step("A", &[], None), step("B", &[(0, true)], None), step("D", &[(1, true)], None)];
        if undone {
            let mut undo = step("C", &[], None);
            undo.kind = Kind::Compensation;
            steps.push(undo);
            steps[1].compensate = Some(StepId(3));
        }
        let mut graph = super::graph(steps);
        let payload = ValueId(graph.values.len() as u32);
        graph.values.push(ValueInfo { name: "order_shipped".into(), ty: None, adopted: false });
        graph.steps[1].awaits = Some(shipped(payload, None, None));
        let mut hand = Hand::new(graph.clone());
        hand.give(arrival("1", "k", json!(1)));
        hand.give(arrival("2", "k", json!(2)));
        hand.answer(0, Ok(json!(1)));
        // Without a compensation `B` itself fails.
        match undone {
            true => {
                hand.answer(1, Ok(json!(2)));
                hand.answer(2, Err("no"));
                hand.answer(3, Ok(json!(3)));
            }
            false => hand.answer(1, Err("no")),
        }
        assert!(hand.state().unwrap().is_failure());
        let mut retries = Retries::default();
        hand.out.events.iter().for_each(|event| retries.see(event));
        retries.add(ItemId(0));
        let mut run = Run::new(Arc::new(graph), policy());
        for event in &hand.out.events {
            run.recall_past(event, &mut retries).unwrap();
        }
        let mut hand = Hand { run, out: Out::default(), now: 100 };
        hand.run.resume(&[RetryRequest::of(ItemId(0))], 100, &mut hand.out);
        if undone {
            hand.answer(0, Ok(json!(1)));
        }
        (hand.inputs(ItemId(0), StepId(1).into()).pop().unwrap().1, taken(&hand.out.events))
    };
    assert_eq!(retry(false), (json!(1), vec![]));
    assert_eq!(retry(true), (json!(2), vec![(0, 1, 1)]));
}

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

#[test]
fn very_many_items_wait_without_stopping_others_and_each_event_finds_its_own() {
    let count = 300;
    let mut run = Run::new(Arc::new(awaiting(None, None)), Policy { limits: Limits::jobs(1), ..policy() });
    let mut out = Out::default();
    for item in 0..count {
        assert!(run.wants_item(), "{item}");
        run.handle(EngineInput::Admit { key: item.to_string().into(), inputs: Vec::new() }, item, &mut out);
        let result = Ok(Reply { outputs: vec![(ValueId(0), Arc::new(json!(1)))], ..Reply::default() });
        let (item, step) = (ItemId(item), StepId(0).into());
        run.handle(EngineInput::Finished { item, step, attempt: 1, result }, item.0, &mut out);
    }
    assert_eq!((run.awaiting_items(), run.rests()), (count, true));
    out = Out::default();
    for item in (0..count).rev() {
        run.handle(arrival(&item.to_string(), &item.to_string(), json!(item)), count, &mut out);
        let step = StepId(1).into();
        let result = Ok(Reply { outputs: vec![(ValueId(1), Arc::new(json!(1)))], ..Reply::default() });
        run.handle(EngineInput::Finished { item: ItemId(item), step, attempt: 1, result }, count, &mut out);
    }
    assert_eq!((taken(&out.events).len() as u64, run.tally().succeeded), (count, count));
    assert!(run.has_room() && run.event(0).is_none());
}

#[test]
fn a_forged_event_is_not_taken() {
    let graph = Arc::new(awaiting(Some("n > 1"), None));
    let mut hand = Hand::new((*graph).clone());
    hand.answer(0, Ok(json!(1)));
    hand.give(arrival("1", "k", json!({"n": 1})));
    hand.give(arrival("2", "other", json!({"n": 2})));
    let before = hand.out.events.clone();
    let take = |event: u64| StepEvent::EventTaken { step: StepId(1), event, at: 9 }.of(ItemId(0), 9);
    let fits = |event: Event| {
        let mut run = Run::fold(graph.clone(), policy(), &before).unwrap();
        run.recall(&event).is_ok()
    };
    // One that is not meant, one for another item, and one that never came.
    assert_eq!([fits(take(0)), fits(take(1)), fits(take(2))], [false; 3]);
    let began = StepEvent::AwaitBegan { step: StepId(1), subject: "k".into(), since: 9 };
    assert!(!fits(began.of(ItemId(0), 9)));
    assert!(!fits(StepEvent::AwaitExpired(StepId(0)).of(ItemId(0), 9)));
    assert!(fits(StepEvent::AwaitExpired(StepId(1)).of(ItemId(0), 9)));
    let EngineInput::Receive(again) = arrival("1", "k", json!({"n": 5})) else { unreachable!() };
    assert!(!fits(RunEvent::Received(again).at(9)));
}

/// A step that waits for an event starts only with one, and takes none twice, whatever fails or is compensated.
#[test]
fn no_step_starts_before_its_event() {
    let (mut took, mut expired, mut own) = (0, 0, 0);
    for seed in seeds(1000) {
        let (graph, _, _, events, _) = simulate(seed);
        let mut has: BTreeSet<(ItemId, StepId)> = BTreeSet::new();
        let mut used: BTreeSet<(ItemId, StepId, u64)> = BTreeSet::new();
        let (mut received, mut emitted) = (BTreeSet::new(), 0u64);
        for event in &events {
            match &event.kind {
                EventKind::Run(RunEvent::Received(arrival) | RunEvent::Emitted(arrival)) => {
                    assert!(received.insert(arrival.id.clone()), "seed {seed}: received twice");
                }
                EventKind::Step(_, StepEvent::Ended(row)) => {
                    let succeeded = matches!(row.status, Status::Success | Status::Compensated);
                    emitted += u64::from(succeeded) * graph.step(row.step).emits.len() as u64;
                }
                EventKind::Step(item, StepEvent::AwaitBegan { step, .. }) => {
                    has.remove(&(*item, *step));
                }
                EventKind::Step(item, StepEvent::EventTaken { step, event, .. }) => {
                    assert!(used.insert((*item, *step, *event)), "seed {seed}: taken twice");
                    assert!(*event < received.len() as u64 + emitted, "seed {seed}: has not come");
                    has.insert((*item, *step));
                    took += 1;
                    own += u64::from(received.len() as u64 <= *event);
                }
                EventKind::Step(_, StepEvent::AwaitExpired(_)) => expired += 1,
                EventKind::Attempt(item, path, _, AttemptEvent::Started)
                    if graph.step(path.step).awaits.is_some() =>
                {
                    assert!(has.contains(&(*item, path.step)), "seed {seed}: {path:?} did not wait");
                }
                _ => {}
            }
        }
    }
    assert!(took > 100 && expired > 100 && own > 10, "{took}, {expired}, {own}");
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
