//! What holds in every simulated world: order, limits, totals, and that a run can be cut anywhere.

use super::*;

#[test]
fn two_runs_of_a_seed_are_identical() {
    for seed in seeds(300) {
        assert_eq!(simulate(seed).3, simulate(seed).3, "seed {seed}");
    }
}

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

#[test]
fn every_item_ends_in_exactly_one_state_and_the_totals_agree() {
    for seed in seeds(1000) {
        let (_, _, _, events, run) = simulate(seed);
        let mut open = BTreeSet::new();
        let mut by_state = BTreeMap::new();
        for event in &events {
            match &event.kind {
                EventKind::Item(item, ItemEvent::Admitted { .. }) => {
                    assert!(open.insert(*item), "seed {seed}")
                }
                EventKind::Item(item, ItemEvent::Settled { end: Settlement { state, error, .. }, .. }) => {
                    assert!(open.remove(item), "seed {seed}: {item:?} settled twice");
                    assert_eq!(state.is_failure(), error.is_some(), "seed {seed}: {item:?}");
                    *by_state.entry(*state).or_insert(0u64) += 1;
                }
                _ => {}
            }
        }
        assert!(open.is_empty(), "seed {seed}: {open:?} never settled");
        let tally = run.tally();
        let counted = |state| by_state.get(&state).copied().unwrap_or(0);
        assert_eq!(tally.succeeded, counted(ItemState::Succeeded), "seed {seed}");
        assert_eq!(tally.failed, counted(ItemState::Failed), "seed {seed}");
        assert_eq!(tally.compensated, counted(ItemState::Compensated), "seed {seed}");
        assert_eq!(tally.compensation_failed, counted(ItemState::CompensationFailed), "seed {seed}");
        assert_eq!(tally.failures(), run.dead_letters().len() as u64, "seed {seed}");
        assert_eq!(tally.settled(), tally.admitted, "seed {seed}");
    }
}

#[test]
fn the_schedule_respects_needs_limits_and_critical_failures() {
    for seed in seeds(1000) {
        let (graph, policy, _, events, _) = simulate(seed);
        let mut running: BTreeSet<(ItemId, StepPath)> = BTreeSet::new();
        let (mut resting, mut rested) = (BTreeSet::new(), false);
        let mut ended: BTreeMap<(ItemId, StepPath), Status> = BTreeMap::new();
        let mut halted: BTreeSet<ItemId> = BTreeSet::new();
        let mut taken: BTreeSet<(ItemId, Taken)> = BTreeSet::new();
        // Items that begin anew after they were undone, some of what they did kept.
        let (mut undone, mut anew) = (BTreeSet::new(), BTreeSet::new());
        for event in &events {
            match &event.kind {
                EventKind::Attempt(item, step, _, AttemptEvent::Started) => {
                    assert!(running.insert((*item, *step)), "seed {seed}: started twice");
                    // What waits for people or events takes no place.
                    let resting = resting.clone();
                    let running: BTreeSet<_> = running.difference(&resting).copied().collect();
                    let path = step;
                    let step = &step.step;
                    let forward = graph.step(*step).kind == Kind::Forward;
                    let once = graph.step(*step).once;
                    assert_eq!(once, *item == ItemId::RUN, "seed {seed}: {path:?}");
                    let undoes = graph.step(*step).kind == Kind::Compensation;
                    let each = graph.step(*step).each.is_some();
                    assert!(undoes || path.element.is_some() == each, "seed {seed}");
                    assert!(
                        !(forward && halted.contains(item)) || graph.step(*step).always,
                        "seed {seed}: started after a critical failure"
                    );
                    if anew.contains(item) {
                        continue;
                    }
                    let led = |guard: &Taken| taken.contains(&(*item, *guard));
                    let (guards, skips) = (&graph.step(*step).guards, &graph.step(*step).skips);
                    assert!(
                        guards.is_empty() || guards.iter().any(led),
                        "seed {seed}: nobody led to {step:?}"
                    );
                    assert!(!skips.iter().any(led), "seed {seed}: {step:?} was to be skipped");
                    let own =
                        graph.step(*step).needs.iter().filter(|need| graph.step(need.step).once == once);
                    for need in own {
                        let status = ended.get(&(*item, need.step.into()));
                        let optional = graph.step(need.step).mark == Some(Mark::Optional);
                        match status {
                            Some(Status::Success) => {}
                            Some(Status::Skipped) => {
                                assert!(!need.data, "seed {seed}: {step:?} lacks {need:?}")
                            }
                            Some(status) => assert!(
                                !need.data && (optional && status.is_failure() || graph.step(*step).always),
                                "seed {seed}: {step:?} started after {status:?} of {need:?}"
                            ),
                            // Never ran, for want of what an optional failure did not make.
                            None => assert!(!need.data, "seed {seed}: {step:?} started without {need:?}"),
                        }
                    }
                    if rested {
                        continue;
                    }
                    assert!(running.len() <= policy.limits.jobs, "seed {seed}: too many at once");
                    if let Some(programs) = &policy.limits.programs {
                        let busy = running.iter().filter(|(_, id)| programs.steps.contains(&id.step));
                        assert!(busy.count() <= programs.most, "seed {seed}: too many programs");
                    }
                    for (agent, most) in &policy.limits.agents {
                        let busy = running
                            .iter()
                            .filter(|(_, id)| graph.step(id.step).agent.as_ref() == Some(agent));
                        assert!(busy.count() <= *most, "seed {seed}: agent {agent}");
                    }
                    let narrow = |id: StepId| graph.step(id).channel.as_deref() == Some("narrow");
                    assert!(running.iter().filter(|(_, id)| narrow(id.step)).count() <= 1, "seed {seed}");
                }
                EventKind::Attempt(item, step, _, AttemptEvent::Waits | AttemptEvent::Awaits) => {
                    assert!(resting.insert((*item, *step)), "seed {seed}");
                }
                // It takes a place again, even if none is free.
                EventKind::Attempt(item, step, _, AttemptEvent::Continues) => {
                    assert!(resting.remove(&(*item, *step)), "seed {seed}");
                    rested = true;
                }
                EventKind::Attempt(item, step, _, AttemptEvent::Finished(_)) => {
                    assert!(running.remove(&(*item, *step)), "seed {seed}");
                    resting.remove(&(*item, *step));
                }
                EventKind::Step(item, StepEvent::Ended(execution)) => {
                    ended.insert((*item, execution.path()), execution.status);
                    undone.extend((execution.status == Status::Compensated).then_some(*item));
                    let step = graph.step(execution.step);
                    let critical = step.mark == Some(Mark::Critical) && step.kind == Kind::Forward;
                    if critical && execution.status.is_failure() {
                        halted.insert(*item);
                    }
                }
                EventKind::Step(item, StepEvent::ElementsEnded(step)) => {
                    let own = ended.iter().filter(|((of, path), _)| of == item && path.step == *step);
                    let elements = own.filter(|((_, path), _)| path.element.is_some());
                    let worst =
                        elements.map(|(_, status)| *status).max_by_key(|status| *status != Status::Success);
                    ended.insert((*item, (*step).into()), worst.unwrap_or(Status::Success));
                }
                EventKind::Step(item, StepEvent::BranchTaken { step, chain, arm: Some(arm) }) => {
                    taken.insert((*item, Taken { step: *step, chain: *chain, arm: *arm }));
                }
                EventKind::Item(item, ItemEvent::RoundBegan { repeat, .. }) => {
                    let inside = |step: StepId| graph.repeats[repeat.index()].contains(step);
                    taken.retain(|(of, taken)| of != item || !inside(taken.step));
                    ended.retain(|(of, path), _| of != item || !inside(path.step));
                }
                EventKind::Item(item, ItemEvent::Requeued) => {
                    halted.remove(item);
                    anew.extend(undone.remove(item).then_some(*item));
                }
                EventKind::Run(RunEvent::Stopped(_)) => {
                    halted.extend((0..100).map(ItemId).chain([ItemId::RUN]))
                }
                _ => {}
            }
        }
        assert!(running.is_empty(), "seed {seed}");
    }
}

#[test]
fn every_execution_that_began_has_one_row() {
    for seed in seeds(1000) {
        let (_, _, _, events, _) = simulate(seed);
        let mut open: BTreeMap<(ItemId, StepPath), u32> = BTreeMap::new();
        for event in &events {
            match &event.kind {
                EventKind::Attempt(item, step, _, AttemptEvent::Started) => {
                    *open.entry((*item, *step)).or_default() += 1
                }
                EventKind::Step(item, StepEvent::Ended(execution)) => {
                    let begun = open.remove(&(*item, execution.path()));
                    assert_eq!(execution.attempt, begun, "seed {seed}: {execution:?}");
                }
                EventKind::Item(item, ItemEvent::Settled { .. }) => {
                    let left = open.keys().filter(|(other, _)| other == item).count();
                    assert_eq!(left, 0, "seed {seed}: {item:?} settled with executions that left no row");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_channel_starts_no_more_often_than_its_rate() {
    for seed in seeds(500) {
        let (graph, _, _, events, _) = simulate(seed);
        let slow = |id: &StepPath| graph.step(id.step).channel.as_deref() == Some("slow");
        let starts: Vec<Millis> = events
            .iter()
            .filter_map(|event| match event {
                Event { at, kind: EventKind::Attempt(_, step, _, AttemptEvent::Started) } if slow(step) => {
                    Some(*at)
                }
                _ => None,
            })
            .collect();
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= 5), "seed {seed}: {starts:?}");
    }
}

#[test]
fn an_item_is_told_of_the_first_failure_that_decided_its_fate() {
    let mut several = 0;
    for seed in seeds(1000) {
        let (graph, _, _, events, _) = simulate(seed);
        let mut first: BTreeMap<ItemId, (StepId, u32)> = BTreeMap::new();
        for event in &events {
            match &event.kind {
                EventKind::Step(item, StepEvent::Ended(execution)) => {
                    let step = graph.step(execution.step);
                    let counts = step.counts() && step.mark != Some(Mark::Optional);
                    let failed = execution.status.is_failure() && step.kind == Kind::Forward;
                    if counts && failed {
                        first.entry(*item).or_insert((execution.step, 0)).1 += 1;
                    }
                }
                EventKind::Item(item, ItemEvent::DeadlinePassed { .. }) => {
                    first.entry(*item).or_insert((StepId(u32::MAX), 0));
                }
                EventKind::Item(item, ItemEvent::Requeued) => drop(first.remove(item)),
                EventKind::Item(item, ItemEvent::Settled { end: Settlement { state, error, .. }, .. })
                    if state.is_failure() =>
                {
                    let Some((step, count)) = first.get(item) else { continue };
                    let told = error.as_ref().unwrap().step.unwrap_or(StepId(u32::MAX));
                    assert_eq!(told, *step, "seed {seed}: {item:?}");
                    several += u32::from(*count > 1);
                }
                _ => {}
            }
        }
    }
    assert!(several > 50, "{several} items failed in several steps");
}
