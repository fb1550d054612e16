//! What holds in every simulated world: order, limits, totals.

use super::*;

#[test]
fn two_runs_of_a_seed_are_identical() {
    for seed in seeds(300) {
        assert_eq!(simulate(seed).3, simulate(seed).3, "seed {seed}");
    }
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
