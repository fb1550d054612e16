//! A run can be cut anywhere, in every simulated world, also after its failed items were retried.

use super::*;

#[test]
fn a_run_cut_after_any_event_goes_on_as_if_nothing_had_happened() {
    let (mut cuts, mut alike) = (0, 0);
    for seed in seeds(100) {
        let (graph, policy, world, events, _) = simulate(seed);
        for cut in 0..=events.len() {
            let (seen, rest) = events.split_at(cut);
            let mut run = folded(seed, &graph, &policy, seen);
            let mut world = world.after_crash(seen);
            let mut out = Out::default();
            run.resume(&[], world.now, &mut out);
            let lived = world.live(&mut run, &mut out);
            alike += u32::from(same(seed, &lived, rest, &format!("cut after {cut} events")));
            cuts += 1;
        }
    }
    assert!(cuts > 1000 && alike * 2 > cuts, "{alike} of {cuts} cuts are alike");
}

/// What was lived after a cut is what would have been lived without, but where nobody can know what an attempt came to:
/// it had been told to stop and is over, or it is made again with its whole time, and what it did is undone, whatever is
/// answered the second time. Returns whether that is so.
pub(super) fn same(seed: u64, lived: &[Event], rest: &[Event], what: &str) -> bool {
    let repeated: BTreeSet<(ItemId, StepPath, u32)> = lived
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Attempt(item, step, attempt, AttemptEvent::Repeated) => Some((*item, *step, *attempt)),
            _ => None,
        })
        .collect();
    let unlike = |event: &Event| match &event.kind {
        EventKind::Attempt(item, step, attempt, AttemptEvent::Finished(Err(failure))) => {
            let again = repeated.contains(&(*item, *step, *attempt)) && failure.outcome != Outcome::Unknown;
            again || failure.cause == Cause::Stopped
        }
        EventKind::Attempt(item, step, attempt, AttemptEvent::Stopped(StopReason::Timeout)) => {
            repeated.contains(&(*item, *step, *attempt))
        }
        _ => false,
    };
    if lived.iter().chain(rest).any(unlike) {
        return false;
    }
    let told = |events: &[Event]| -> Vec<Event> {
        // What was reported before is reported again.
        let again = |event: &&Event| match &event.kind {
            EventKind::Run(RunEvent::Published { .. } | RunEvent::NotPublished { .. }) => true,
            EventKind::Attempt(_, _, _, change) => {
                matches!(
                    change,
                    AttemptEvent::Repeated
                        | AttemptEvent::Waits
                        | AttemptEvent::Awaits
                        | AttemptEvent::Continues
                )
            }
            _ => false,
        };
        let mut events: Vec<Event> = events.iter().filter(|event| !again(event)).cloned().collect();
        for event in &mut events {
            if let EventKind::Step(item, StepEvent::Ended(execution)) = &mut event.kind
                && repeated.iter().any(|(of, path, _)| (*of, *path) == (*item, execution.path()))
            {
                (execution.started_ms, execution.duration_ms) = (None, None);
            }
        }
        events
    };
    let (lived, rest) = (told(lived), told(rest));
    if lived != rest {
        let at = lived.iter().zip(&rest).take_while(|(one, other)| one == other).count();
        let (one, other) = (&lived[at.saturating_sub(4)..], &rest[at.saturating_sub(4)..]);
        let few =
            |events: &[Event]| events.iter().take(8).map(|event| format!("{event:?}\n")).collect::<String>();
        panic!("seed {seed}, {what}, from event {at}:\n{}instead of\n{}", few(one), few(other));
    }
    true
}

#[test]
fn failed_items_run_again_and_their_run_can_be_cut_anywhere_too() {
    let (mut cuts, mut cured) = (0, 0);
    for seed in seeds(150) {
        let (graph, policy, _, first, run) = simulate(seed);
        let mut retried: Vec<ItemId> = run.dead_letters().iter().map(|letter| letter.item).collect();
        // All of them, or only some.
        retried.retain(|item| seed % 2 == 0 || roll(seed, &[50, item.0], 2) == 0);
        if retried.is_empty() {
            continue;
        }
        let (second, after) = go_on(seed, (&graph, &policy), &first, &retried);
        let before: BTreeSet<(ItemId, StepPath)> = succeeded(&first).collect();
        let is_undone = |event: &&Event| match &event.kind {
            EventKind::Step(_, StepEvent::Ended(execution)) => execution.status == Status::Compensated,
            _ => false,
        };
        let undone: BTreeSet<ItemId> =
            [first.as_slice(), &second].concat().iter().filter(is_undone).filter_map(item_of).collect();
        for done in succeeded(&second) {
            let step = graph.step(done.1.step);
            let again = step.kind == Kind::Handler || done.0 == ItemId::RUN || !step.repeats.is_empty();
            let anew = again || undone.contains(&done.0);
            assert!(anew || !before.contains(&done), "seed {seed}: {done:?} ran again");
        }
        let settled = |item: &ItemId| {
            let is = |event: &&Event| matches!(&event.kind, EventKind::Item(other, ItemEvent::Settled { .. }) if other == item);
            second.iter().filter(is).count()
        };
        assert!(retried.iter().all(|item| settled(item) == 1), "seed {seed}");
        assert_eq!(after.tally().settled(), run.tally().settled(), "seed {seed}");
        let at = |is: &dyn Fn(&Event) -> bool| second.iter().position(is).unwrap_or(usize::MAX);
        let stopped =
            at(&|event| matches!(&event.kind, EventKind::Run(RunEvent::Stopped(StopReason::ItemError))));
        let failed = at(&|event| match &event.kind {
            EventKind::Item(_, ItemEvent::Settled { end: Settlement { state, .. }, .. }) => {
                state.is_failure()
            }
            EventKind::Item(_, ItemEvent::CompensationBegan(_)) => true,
            _ => false,
        });
        assert!(failed <= stopped, "seed {seed}: an old failure stops a retry");
        cured += run.tally().failures() - after.tally().failures();
        let all = [first.as_slice(), &second].concat();
        // A part of them, as this takes the most time.
        let cut_at = if seed % 4 == 0 { first.len()..=all.len() } else { all.len()..=all.len() };
        for cut in cut_at {
            let (seen, rest) = all.split_at(cut);
            let (lived, _) = go_on(seed, (&graph, &policy), seen, &retried);
            same(seed, &lived, rest, &format!("cut {} events after", cut - first.len()));
            cuts += 1;
        }
    }
    assert!(cuts > 300 && cured > 30, "{cuts} cuts, {cured} cured");
}

/// Steps that had run for all items do so again after a retry: on a new visit, with numbers that go on, for what has come
/// of all items.
#[test]
fn steps_for_all_items_run_again_after_retried_items_and_can_be_cut_anywhere_too() {
    let (mut cuts, mut revisited, mut undone) = (0, 0, 0);
    for seed in seeds(1500) {
        let (graph, policy, world, first, run) = simulate(seed);
        let retried: Vec<ItemId> = run.dead_letters().iter().map(|letter| letter.item).collect();
        let count =
            |events: &[Event], is: fn(&Event) -> bool| events.iter().filter(|event| is(event)).count();
        let begins = |event: &Event| matches!(&event.kind, EventKind::Run(RunEvent::StepsBegan));
        let ends = |event: &Event| matches!(&event.kind, EventKind::Run(RunEvent::StepsEnded(_)));
        if retried.is_empty() || count(&first, begins) == 0 {
            continue;
        }
        // When they had ended, or in their midst.
        let began = first.iter().position(begins).unwrap();
        let killed = seed % 3 == 0 && run.stopped().is_none();
        let life = if killed {
            began + 1 + roll(seed, &[51], (first.len() - began) as u64) as usize
        } else {
            first.len()
        };
        let first = &first[..life.min(first.len())];
        let (second, after, _) = go_on_in(&world, (&graph, &policy), first, &retried);
        assert!(after.is_idle(), "seed {seed}");
        if after.stopped().is_none() {
            assert_eq!(count(&second, begins), 1, "seed {seed}: {second:#?}");
            let last = second
                .iter()
                .rposition(|event| matches!(&event.kind, EventKind::Item(_, ItemEvent::Settled { .. })))
                .unwrap();
            let again = second.iter().position(begins).unwrap();
            // Channels may answer later.
            let told = |event: &&Event| {
                !matches!(
                    &event.kind,
                    EventKind::Run(RunEvent::Published { .. } | RunEvent::NotPublished { .. })
                )
            };
            assert!(last < again && second.iter().rfind(told).is_some_and(ends), "seed {seed}");
            revisited += 1;
        }
        let numbers = |events: &[Event]| -> Vec<(StepPath, u32)> {
            let number = |event: &Event| match &event.kind {
                EventKind::Attempt(ItemId::RUN, step, attempt, AttemptEvent::Started) => {
                    Some((*step, *attempt))
                }
                _ => None,
            };
            events.iter().filter_map(number).collect()
        };
        let all = [first, &second].concat();
        let mut seen: BTreeMap<StepPath, u32> = BTreeMap::new();
        for (path, number) in numbers(&all) {
            assert_eq!(seen.insert(path, number).unwrap_or(0) + 1, number, "seed {seed}: {path:?}");
        }
        let of_run = |event: &&Event| match &event.kind {
            EventKind::Step(ItemId::RUN, StepEvent::Ended(execution)) => {
                execution.status == Status::Compensated
            }
            _ => false,
        };
        undone += second.iter().filter(of_run).count();
        for cut in first.len()..=all.len() {
            let (seen, rest) = all.split_at(cut);
            let (lived, _) = go_on(seed, (&graph, &policy), seen, &retried);
            same(seed, &lived, rest, &format!("cut {} events after", cut - first.len()));
            cuts += 1;
        }
        // And once more.
        let retried: Vec<ItemId> = after.dead_letters().iter().map(|letter| letter.item).collect();
        if !retried.is_empty() && after.stopped().is_none() {
            let before = all
                .iter()
                .filter(|event| matches!(&event.kind, EventKind::Item(_, ItemEvent::Retried { .. })))
                .count();
            let so_far = vec![ItemId(0); before];
            let (third, last, _) = go_on_in(&world, (&graph, &policy), &all, &[so_far, retried].concat());
            assert!(
                last.is_idle() && (last.stopped().is_some() || count(&third, begins) == 1),
                "seed {seed}"
            );
        }
    }
    assert!(cuts > 500 && revisited > 50 && undone > 2, "{cuts} cuts, {revisited} visits, {undone} undone");
}

#[test]
fn failed_steps_of_the_run_run_again_and_can_be_cut_anywhere_too() {
    let (mut cuts, mut cured) = (0, 0);
    for seed in seeds(700) {
        let (graph, policy, _, first, run) = simulate(seed);
        if !run.run_steps().is_some_and(|end| end.state.is_failure()) {
            continue;
        }
        let retried = [ItemId::RUN];
        let (second, after) = go_on(seed, (&graph, &policy), &first, &retried);
        let begins = |event: &Event| matches!(&event.kind, EventKind::Item(item, ItemEvent::Retried { .. }) if *item == ItemId::RUN);
        assert!(second.first().is_some_and(begins), "seed {seed}: {second:#?}");
        let all = [first.as_slice(), &second].concat();
        let undone = all.iter().any(|event| match &event.kind {
            EventKind::Step(item, StepEvent::Ended(execution)) => {
                *item == ItemId::RUN && execution.status == Status::Compensated
            }
            _ => false,
        });
        let before: BTreeSet<(ItemId, StepPath)> = succeeded(&first).collect();
        for done in succeeded(&second) {
            let again = undone || !graph.step(done.1.step).repeats.is_empty();
            assert!(done.0 == ItemId::RUN && (again || !before.contains(&done)), "seed {seed}: {done:?}");
        }
        let ends = second
            .iter()
            .filter(|event| matches!(&event.kind, EventKind::Run(RunEvent::StepsEnded(_))))
            .count();
        assert_eq!((ends, after.is_idle()), (1, true), "seed {seed}");
        assert_eq!(after.tally().settled(), run.tally().settled(), "seed {seed}");
        cured += u32::from(after.run_steps().is_some_and(|end| end.state == ItemState::Succeeded));
        for cut in first.len()..=all.len() {
            let (seen, rest) = all.split_at(cut);
            let (lived, _) = go_on(seed, (&graph, &policy), seen, &retried);
            same(seed, &lived, rest, &format!("cut {} events after", cut - first.len()));
            cuts += 1;
        }
    }
    assert!(cuts > 300 && cured > 10, "{cuts} cuts, {cured} cured");
}

fn item_of(event: &Event) -> Option<ItemId> {
    match &event.kind {
        EventKind::Step(item, StepEvent::Ended(_)) => Some(*item),
        _ => None,
    }
}

/// The executions that succeeded.
fn succeeded(events: &[Event]) -> impl Iterator<Item = (ItemId, StepPath)> {
    events.iter().filter_map(|event| match &event.kind {
        EventKind::Step(item, StepEvent::Ended(execution)) if execution.status == Status::Success => {
            Some((*item, execution.path()))
        }
        _ => None,
    })
}
