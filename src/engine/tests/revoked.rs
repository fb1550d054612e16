//! An item that has succeeded and is compensated later, on request: what is compensated, and that a runner may die at any
//! moment of it.

use super::*;

const PAY: u32 = 0;
const SHIP: u32 = 1;
const REFUND: u32 = 2;
const RECALL: u32 = 3;

/// Two steps with compensations, and a failure handler.
fn shop() -> Graph {
    let mut steps = vec![
        step("Pay", &[], None),
        step("Ship", &[(0, true)], None),
        step("Refund", &[], None),
        step("Recall", &[], None),
        step("Notify", &[], None),
    ];
    steps[2].kind = Kind::Compensation;
    steps[3].kind = Kind::Compensation;
    steps[4].kind = Kind::Handler;
    steps[0].compensate = Some(StepId(REFUND));
    steps[1].compensate = Some(StepId(RECALL));
    graph(steps)
}

/// The run of these events after its runner has died, with its item revoked if it has succeeded.
fn taken_up(events: &[Event], now: Millis) -> Hand {
    let mut retries = Retries::default();
    events.iter().for_each(|event| retries.see(event));
    let revoked =
        events.iter().any(|event| matches!(event.kind, EventKind::Item(_, ItemEvent::Revoked { .. })));
    if !revoked {
        retries.revoke(ItemId(0));
    }
    let mut run = Run::new(Arc::new(shop()), policy());
    for event in events {
        run.recall_past(event, &mut retries).unwrap();
    }
    let mut hand = Hand { run, out: Out { events: events.to_vec(), ..Out::default() }, now };
    match revoked {
        true => hand.run.resume(&[], now, &mut hand.out),
        false => hand.run.revoke(ItemId(0), now, &mut hand.out),
    }
    hand
}

fn ends(hand: &Hand) -> Vec<ItemState> {
    let end = |event: &Event| match &event.kind {
        EventKind::Item(_, ItemEvent::Settled { end, .. }) => Some(end.state),
        _ => None,
    };
    hand.out.events.iter().filter_map(end).collect()
}

fn asked(hand: &Hand) -> Vec<u32> {
    let of = |effect: &Effect| match effect {
        Effect::Call(call) => Some(call.step.step.0),
        _ => None,
    };
    hand.out.effects.iter().filter_map(of).collect()
}

fn succeeded() -> Vec<Event> {
    let mut hand = Hand::new(shop());
    hand.give(EngineInput::NoMoreItems);
    hand.answer(PAY, Ok(1.into()));
    hand.answer(SHIP, Ok(2.into()));
    assert_eq!(ends(&hand), [ItemState::Succeeded]);
    hand.out.events
}

#[test]
fn what_it_did_is_compensated_in_reverse_order_and_no_handler_is_called() {
    let mut hand = taken_up(&succeeded(), 50);
    assert_eq!(asked(&hand), [RECALL]);
    hand.answer(RECALL, Ok(3.into()));
    assert_eq!(asked(&hand), [RECALL, REFUND]);
    hand.answer(REFUND, Ok(4.into()));
    assert_eq!(ends(&hand), [ItemState::Succeeded, ItemState::Compensated]);
    assert_eq!(asked(&hand), [RECALL, REFUND], "a handler would have been asked here");
    assert_eq!((hand.run.tally().compensated, hand.run.is_idle()), (1, true));
}

/// Wherever the runner dies, the next one continues with the compensation that is due, and all is compensated once.
/// In random worlds, too: a revoked item ends once more, without success, wherever its runner dies meanwhile.
#[test]
fn items_of_random_worlds_are_revoked_and_can_be_cut_anywhere() {
    let (mut revoked, mut cuts, mut undone) = (0, 0, 0);
    for seed in seeds(600) {
        let (graph, policy, world, first, run) = simulate(seed);
        let succeeded = first.iter().find_map(|event| match &event.kind {
            EventKind::Item(item, ItemEvent::Settled { end, .. }) if end.state == ItemState::Succeeded => {
                Some(*item)
            }
            _ => None,
        });
        let Some(item) = succeeded.filter(|_| !graph.has_run_steps() && run.stopped().is_none()) else {
            continue;
        };
        let go_on = |seen: &[Event], begins: bool| {
            let mut retries = Retries::default();
            seen.iter().for_each(|event| retries.see(event));
            if begins {
                retries.revoke(item);
            }
            let mut run = Run::new(graph.clone(), policy.clone());
            run.set_sinks(sinks(seed));
            for event in seen {
                run.recall_past(event, &mut retries).unwrap();
            }
            let mut world = world.after_crash(seen);
            let mut out = Out::default();
            match begins {
                true => run.revoke(item, world.now, &mut out),
                false => run.resume(&[], world.now, &mut out),
            }
            (world.live(&mut run, &mut out), run)
        };
        let (second, after) = go_on(&first, true);
        let ends: Vec<ItemState> = second
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::Item(other, ItemEvent::Settled { end, .. }) if *other == item => Some(end.state),
                _ => None,
            })
            .collect();
        assert!(after.is_idle() && ends.len() == 1, "seed {seed}: {ends:?}");
        assert_ne!(ends[0], ItemState::Succeeded, "seed {seed}");
        revoked += 1;
        undone += u32::from(ends[0] == ItemState::Compensated);
        let all = [first.as_slice(), &second].concat();
        for cut in first.len() + 1..=all.len() {
            let (seen, rest) = all.split_at(cut);
            let (lived, _) = go_on(seen, false);
            cuts::same(seed, &lived, rest, &format!("cut {} events after", cut - first.len()));
            cuts += 1;
        }
    }
    assert!(revoked > 50 && undone > 10 && cuts > 100, "{revoked} revoked, {undone} undone, {cuts} cuts");
}

#[test]
fn it_continues_after_every_event() {
    let mut whole = taken_up(&succeeded(), 50);
    whole.answer(RECALL, Ok(3.into()));
    whole.answer(REFUND, Ok(4.into()));
    let began = succeeded().len();
    for cut in began + 1..whole.out.events.len() {
        let mut hand = taken_up(&whole.out.events[..cut], 60);
        for _ in 0..2 {
            let running: Vec<u32> = asked(&hand);
            let Some(step) = running.last() else { break };
            hand.answer(*step, Ok(5.into()));
        }
        assert_eq!(ends(&hand).last(), Some(&ItemState::Compensated), "cut at {cut}");
        let done = |step: u32| {
            let ended = |event: &&Event| match &event.kind {
                EventKind::Step(_, StepEvent::Ended(execution)) => execution.step == StepId(step),
                _ => false,
            };
            hand.out.events.iter().filter(ended).count()
        };
        assert_eq!((done(RECALL), done(REFUND)), (1, 1), "cut at {cut}");
    }
}

/// A compensation that failed is retried by itself.
#[test]
fn a_failed_compensation_is_retried() {
    let mut hand = taken_up(&succeeded(), 50);
    hand.answer(RECALL, Err("closed"));
    hand.answer(REFUND, Ok(4.into()));
    assert_eq!(ends(&hand).last(), Some(&ItemState::CompensationFailed));
    let events = hand.out.events;
    let mut retries = Retries::default();
    events.iter().for_each(|event| retries.see(event));
    retries.add(ItemId(0));
    let mut run = Run::new(Arc::new(shop()), policy());
    for event in &events {
        run.recall_past(event, &mut retries).unwrap();
    }
    let mut hand = Hand { run, out: Out::default(), now: 90 };
    hand.run.resume(&[RetryRequest::of(ItemId(0))], 90, &mut hand.out);
    assert_eq!(asked(&hand), [RECALL]);
    hand.answer(RECALL, Ok(3.into()));
    assert_eq!(ends(&hand), [ItemState::Compensated]);
}
