//! Runners that are killed together with their agents, between any two commits: what an agent had answered by then may
//! be lost, and the second answer may be another.

use super::*;

type Attempt = (ItemId, StepPath, u32);

/// Takes a seed, its graph, the folded run, what came before and after, the second world, and what was asked for at once.
type Show<'a> = dyn FnMut(u64, &Graph, &Run, &[Event], &[Event], &World, &[Effect]) + 'a;

/// Cuts a run wherever its journal may end, goes on, and shows what came before, what follows, and what was asked for.
fn each_cut(seeds: std::ops::Range<u64>, show: &mut Show<'_>) {
    for seed in seeds {
        let (graph, policy, world, events, _) = simulate(seed);
        for &cut in &world.kept {
            let seen = &events[..cut];
            if cut == events.len()
                || seen.iter().any(|event| matches!(&event.kind, EventKind::Run(RunEvent::Stopped(_))))
            {
                continue;
            }
            let mut before = folded(seed, &graph, &policy, seen);
            before.take_up(seen.iter().map(|event| event.at).max().unwrap_or(0), &mut Out::default());
            let mut run = folded(seed, &graph, &policy, seen);
            let mut later = world.after_kill(seen);
            let mut out = Out::default();
            run.resume(&[], later.now, &mut out);
            let asked = out.effects.clone();
            let rest = later.live(&mut run, &mut out);
            show(seed, &graph, &before, seen, &rest, &later, &asked);
        }
    }
}

/// What had begun and had not ended, in the order of its start; those that had been told to stop apart.
fn under_way(seen: &[Event]) -> (BTreeSet<Attempt>, BTreeSet<Attempt>) {
    let (mut running, mut stopped) = (BTreeSet::new(), BTreeSet::new());
    for event in seen {
        match &event.kind {
            EventKind::Attempt(item, step, attempt, AttemptEvent::Started) => {
                running.insert((*item, *step, *attempt));
            }
            EventKind::Attempt(item, step, attempt, AttemptEvent::Stopped(_)) => {
                running.remove(&(*item, *step, *attempt));
                stopped.insert((*item, *step, *attempt));
            }
            EventKind::Attempt(item, step, attempt, AttemptEvent::Finished(_)) => {
                running.remove(&(*item, *step, *attempt));
                stopped.remove(&(*item, *step, *attempt));
            }
            _ => {}
        }
    }
    (running, stopped)
}

#[test]
fn what_is_announced_is_made_again_and_nothing_else() {
    let (mut again, mut over, mut missed) = (0, 0, 0);
    each_cut(seeds(50), &mut |seed, graph, before, seen, rest, _, asked| {
        let (running, stopped) = under_way(seen);
        let announced: BTreeSet<Attempt> = before
            .ahead()
            .filter_map(|(item, _, path, ahead)| match ahead {
                Ahead::Again(attempt) | Ahead::WaitsInside(attempt) => Some((item, path, attempt)),
                _ => None,
            })
            .collect();
        assert!(announced.is_subset(&running), "seed {seed}, after {} events", seen.len());
        missed += running.len() - announced.len();
        let begun: BTreeSet<Attempt> = rest
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::Attempt(item, step, attempt, AttemptEvent::Started) => {
                    Some((*item, *step, *attempt))
                }
                _ => None,
            })
            .collect();
        let repeated: BTreeSet<Attempt> = asked
            .iter()
            .filter_map(|effect| match effect {
                Effect::Call(call) => Some((call.item, call.step, call.attempt)),
                _ => None,
            })
            .filter(|call| !begun.contains(call))
            .collect();
        assert_eq!(repeated, announced, "seed {seed}, after {} events", seen.len());
        // None of them is told to stop at once, unless a sibling comes too late for its group.
        for effect in asked.iter().filter(|_| graph.groups.is_empty()) {
            if let Effect::Stop { item, step, attempt, .. } = effect {
                assert!(
                    !repeated.contains(&(*item, *step, *attempt)),
                    "seed {seed}: begun only to be stopped"
                );
            }
        }
        for stop in &stopped {
            let ends = |event: &Event| match &event.kind {
                EventKind::Attempt(item, step, attempt, AttemptEvent::Finished(Err(failure))) => {
                    (*item, *step, *attempt) == *stop && failure.outcome == Outcome::Unknown
                }
                _ => false,
            };
            assert!(rest.iter().any(ends), "seed {seed}: {stop:?} has no end");
        }
        (again, over) = (again + repeated.len(), over + stopped.len());
    });
    // Where a critical step had been told to stop, and is over now, its siblings are, too.
    assert!(again > 100 && over > 10 && missed * 20 < again, "{again} made again, {over} over, {missed} not");
}

#[test]
fn an_attempt_that_is_made_again_has_its_whole_time() {
    let mut timed = 0;
    each_cut(seeds(50), &mut |seed, graph, _, seen, rest, _, asked| {
        let at = rest.iter().map(|event| event.at).min().unwrap_or(0);
        for effect in asked {
            let Effect::Call(call) = effect else { continue };
            let step = graph.step(call.step.step);
            let (running, _) = under_way(seen);
            if running.contains(&(call.item, call.step, call.attempt))
                && step.deadline.is_none()
                && graph.groups.is_empty()
            {
                // While it waits for people or events, its time does not count.
                let Some(deadline) = call.deadline else { continue };
                let timeout = step.timeout.unwrap().as_millis() as u64;
                assert!(deadline >= at + timeout, "seed {seed}: {call:?}");
                timed += 1;
            }
        }
    });
    assert!(timed > 50, "{timed}");
}

/// All that the attempts of one visit came to, by what the events say.
#[derive(Default)]
struct Visit {
    made: BTreeMap<StepPath, Value>,
    /// May have had an effect: succeeded, failed without saying that there was none, or was cut off.
    doubtful: BTreeSet<StepPath>,
    undoing: Option<StepId>,
    undone: bool,
}

#[test]
fn what_may_have_happened_is_undone_with_the_values_it_made_and_what_did_not_is_let_be() {
    let (mut undone, mut valued) = (0, 0);
    each_cut(seeds(75), &mut |seed, graph, _, seen, rest, world, _| {
        // The rounds of loops have their own accounts.
        if !graph.repeats.is_empty() {
            return;
        }
        let mut visits: BTreeMap<ItemId, Visit> = BTreeMap::new();
        for event in seen.iter().chain(rest) {
            match &event.kind {
                EventKind::Attempt(item, step, _, AttemptEvent::Repeated) => {
                    visits.entry(*item).or_default().doubtful.insert(*step);
                }
                EventKind::Attempt(item, step, _, AttemptEvent::Finished(result)) => {
                    let visit = visits.entry(*item).or_default();
                    match result {
                        Ok(reply) => {
                            visit.doubtful.insert(*step);
                            visit
                                .made
                                .extend(reply.outputs.iter().map(|(_, value)| (*step, (**value).clone())));
                        }
                        Err(failure) if failure.outcome == Outcome::Unknown => {
                            visit.doubtful.insert(*step);
                        }
                        Err(_) => {}
                    }
                }
                EventKind::Item(item, ItemEvent::CompensationBegan(undoes)) => {
                    let visit = visits.entry(*item).or_default();
                    let may = visit.doubtful.iter().any(|path| path.step == *undoes);
                    assert!(may, "seed {seed}: {undoes:?} of {item:?} certainly did nothing");
                    visit.undoing = Some(*undoes);
                }
                EventKind::Attempt(item, step, attempt, AttemptEvent::Started) => {
                    let by = graph.step(step.step);
                    let Some(visit) = visits.get(item).filter(|_| by.kind == Kind::Compensation) else {
                        continue;
                    };
                    let path = StepPath { step: visit.undoing.unwrap(), element: step.element };
                    let Some(inputs) = world.calls.get(&(*item, *step, *attempt)) else { continue };
                    assert!(visit.doubtful.contains(&path), "seed {seed}: {path:?} certainly did nothing");
                    undone += 1;
                    let made = ValueId(path.step.0);
                    for (_, value) in inputs.iter().filter(|(id, _)| *id == made) {
                        let expected = visit.made.get(&path).cloned().unwrap_or(Value::Null);
                        assert_eq!(**value, expected, "seed {seed}: what {path:?} of {item:?} made");
                        valued += 1;
                    }
                }
                EventKind::Step(item, StepEvent::Ended(execution))
                    if execution.status == Status::Compensated =>
                {
                    let visit = visits.entry(*item).or_default();
                    visit.undone = true;
                    if let Some(step) = visit.undoing {
                        visit.doubtful.remove(&StepPath { step, element: execution.element });
                    }
                }
                EventKind::Item(item, ItemEvent::Requeued) => {
                    let visit = visits.entry(*item).or_default();
                    if std::mem::take(&mut visit.undone) {
                        visit.made.clear();
                    }
                }
                // Nothing that may have happened is left, unless it stays for good.
                EventKind::Item(
                    item,
                    ItemEvent::Settled { end: Settlement { state: ItemState::Compensated, .. }, .. },
                ) => {
                    let visit = visits.entry(*item).or_default();
                    let left = visit.doubtful.iter().find(|path| graph.step(path.step).compensate.is_some());
                    let lasting = visit.doubtful.iter().any(|path| graph.step(path.step).irreversible);
                    assert!(lasting || left.is_none(), "seed {seed}: {left:?} of {item:?} stands");
                }
                _ => {}
            }
        }
    });
    assert!(undone > 50 && valued > 10, "{undone} undone, {valued} values");
}

#[test]
fn a_run_that_goes_on_runs_every_step_that_has_what_it_needs() {
    let mut checked = 0;
    each_cut(seeds(50), &mut |seed, graph, _, seen, rest, _, _| {
        let mut succeeded: BTreeSet<(ItemId, StepId)> = BTreeSet::new();
        let (mut rows, mut over) = (succeeded.clone(), BTreeSet::new());
        for event in seen.iter().chain(rest) {
            match &event.kind {
                EventKind::Step(item, StepEvent::Ended(execution)) => {
                    rows.insert((*item, execution.step));
                    if execution.status != Status::Success {
                        succeeded.remove(&(*item, execution.step));
                    } else if execution.element.is_none() {
                        succeeded.insert((*item, execution.step));
                    }
                }
                EventKind::Step(item, StepEvent::ElementsEnded(step)) => {
                    rows.insert((*item, *step));
                }
                EventKind::Step(item, StepEvent::BranchTaken { step, chain, arm: Some(arm) }) => {
                    let target = &graph.step(*step).chains[*chain as usize][*arm as usize].target;
                    over.extend((*target == crate::graph::Target::End).then_some(*item));
                }
                EventKind::Item(
                    item,
                    ItemEvent::Settled { end: Settlement { state: ItemState::Succeeded, .. }, .. },
                ) if !over.contains(item) => {
                    for id in &graph.order {
                        let step = graph.step(*id);
                        let all = step.needs.iter().all(|need| succeeded.contains(&(*item, need.step)));
                        if !step.once && step.when.is_empty() && step.guards.is_empty() && all {
                            assert!(
                                rows.contains(&(*item, *id)),
                                "seed {seed}: {id:?} of {item:?} did not run"
                            );
                            checked += 1;
                        }
                    }
                }
                _ => {}
            }
        }
    });
    assert!(checked > 100, "{checked}");
}
