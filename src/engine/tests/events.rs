//! Events on small graphs: who takes which, and the time that does not count.

use super::*;

pub(super) const SHIPPED: &str = "order.shipped";

/// `A` before `B`, which waits for an event; its payload is value 2.
pub(super) fn awaiting(filter: Option<&str>, within: Option<u64>) -> Graph {
    let mut graph = graph(vec![step("A", &[], None), step("B", &[(0, true)], None)]);
    graph.values.push(ValueInfo { name: "order_shipped".into(), ty: None, adopted: false });
    graph.steps[1].awaits = Some(shipped(ValueId(2), filter, within));
    graph
}

pub(super) fn shipped(payload: ValueId, filter: Option<&str>, within: Option<u64>) -> Await {
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

pub(super) fn arrival(id: &str, subject: &str, data: Value) -> EngineInput {
    let (id, kind, subject) = (id.to_owned(), SHIPPED.to_owned(), subject.to_owned());
    EngineInput::Receive(Arc::new(Arrival { id, kind, subject, source: None, data: Arc::new(data), at: 7 }))
}

pub(super) fn row(hand: &Hand, id: u32) -> Option<&crate::event::Execution> {
    hand.out.events.iter().rev().find_map(|event| match &event.kind {
        EventKind::Step(_, StepEvent::Ended(row)) if row.step == StepId(id) => Some(row),
        _ => None,
    })
}

pub(super) fn taken(events: &[Event]) -> Vec<(u64, u32, u64)> {
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
