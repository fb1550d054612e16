//! The engine's promises, held over simulated worlds and spelled out on small ones.

use super::simulator::{World, graph, random_graph, random_policy, step};
use super::{Effect, Input, Limits, Out, Policy, Run};
use crate::event::{Cause, Event, Failure, ItemId, ItemState, Millis, Outcome, Reply, Status, StopReason};
use crate::graph::{Graph, Kind, StepId, Taken, ValueId};
use crate::spec::{Mark, OnItemError, Tolerance};
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Simulated worlds a test run; `ORDERFLOW_SEEDS` asks for more.
fn seeds(default: u64) -> std::ops::Range<u64> {
    0..std::env::var("ORDERFLOW_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(default)
}

fn simulate(seed: u64) -> (Arc<Graph>, Policy, World, Vec<Event>, Run) {
    let graph = Arc::new(random_graph(seed));
    let policy = random_policy(seed);
    let mut run = Run::new(graph.clone(), policy.clone());
    let mut world = World::new(seed, graph.clone());
    let events = world.live(&mut run, &mut Out::default());
    (graph, policy, world, events, run)
}

#[test]
fn two_runs_of_a_seed_are_identical() {
    for seed in seeds(300) {
        assert_eq!(simulate(seed).3, simulate(seed).3, "seed {seed}");
    }
}

#[test]
fn a_run_cut_after_any_event_goes_on_as_if_nothing_had_happened() {
    let mut cuts = 0;
    for seed in seeds(300) {
        let (graph, policy, world, events, _) = simulate(seed);
        for cut in 0..=events.len() {
            let (seen, rest) = events.split_at(cut);
            let mut run = Run::fold(graph.clone(), policy.clone(), seen);
            let mut world = world.after_crash(seen);
            let mut out = Out::default();
            run.resume(world.now, &mut out);
            assert_eq!(world.live(&mut run, &mut out), rest, "seed {seed}, cut after {cut} events");
            cuts += 1;
        }
    }
    assert!(cuts > 1000);
}

#[test]
fn every_item_ends_in_exactly_one_state_and_the_totals_agree() {
    for seed in seeds(3000) {
        let (_, _, _, events, run) = simulate(seed);
        let mut open = BTreeSet::new();
        let mut by_state = BTreeMap::new();
        for event in &events {
            match event {
                Event::ItemAdmitted { item, .. } => assert!(open.insert(*item), "seed {seed}"),
                Event::ItemSettled { item, state, error, .. } => {
                    assert!(open.remove(item), "seed {seed}: {item:?} settled twice");
                    assert_eq!(*state == ItemState::Failed, error.is_some(), "seed {seed}: {item:?}");
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
        assert_eq!(tally.failed, run.dead_letters().len() as u64, "seed {seed}");
        assert_eq!(tally.settled(), tally.admitted, "seed {seed}");
    }
}

#[test]
fn the_schedule_respects_needs_limits_and_critical_failures() {
    for seed in seeds(3000) {
        let (graph, policy, _, events, _) = simulate(seed);
        let mut running: BTreeSet<(ItemId, StepId)> = BTreeSet::new();
        let mut ended: BTreeMap<(ItemId, StepId), Status> = BTreeMap::new();
        let mut halted: BTreeSet<ItemId> = BTreeSet::new();
        let mut taken: BTreeSet<(ItemId, Taken)> = BTreeSet::new();
        for event in &events {
            match event {
                Event::AttemptStarted { item, step, .. } => {
                    let forward = graph.step(*step).kind == Kind::Forward;
                    assert!(running.insert((*item, *step)), "seed {seed}: started twice");
                    assert!(
                        !(forward && halted.contains(item)),
                        "seed {seed}: started after a critical failure"
                    );
                    let led = |guard: &Taken| taken.contains(&(*item, *guard));
                    let (guards, skips) = (&graph.step(*step).guards, &graph.step(*step).skips);
                    assert!(
                        guards.is_empty() || guards.iter().any(led),
                        "seed {seed}: nobody led to {step:?}"
                    );
                    assert!(!skips.iter().any(led), "seed {seed}: {step:?} was to be skipped");
                    for need in &graph.step(*step).needs {
                        let status = ended.get(&(*item, need.step));
                        let optional = graph.step(need.step).mark == Some(Mark::Optional);
                        match status {
                            Some(Status::Success) => {}
                            Some(Status::Skipped) => {
                                assert!(!need.data, "seed {seed}: {step:?} lacks {need:?}")
                            }
                            Some(status) => assert!(
                                !need.data && optional && status.is_failure(),
                                "seed {seed}: {step:?} started after {status:?} of {need:?}"
                            ),
                            // Never ran, for want of what an optional failure did not make.
                            None => assert!(!need.data, "seed {seed}: {step:?} started without {need:?}"),
                        }
                    }
                    assert!(running.len() <= policy.limits.jobs, "seed {seed}: too many at once");
                    for (agent, most) in &policy.limits.agents {
                        let busy =
                            running.iter().filter(|(_, id)| graph.step(*id).agent.as_ref() == Some(agent));
                        assert!(busy.count() <= *most, "seed {seed}: agent {agent}");
                    }
                    let narrow = |id: StepId| graph.step(id).channel.as_deref() == Some("narrow");
                    assert!(running.iter().filter(|(_, id)| narrow(*id)).count() <= 1, "seed {seed}");
                }
                Event::AttemptFinished { item, step, .. } => {
                    assert!(running.remove(&(*item, *step)), "seed {seed}");
                }
                Event::StepEnded { item, execution } => {
                    ended.insert((*item, execution.step), execution.status);
                    let step = graph.step(execution.step);
                    let critical = step.mark == Some(Mark::Critical) && step.kind == Kind::Forward;
                    if critical && execution.status.is_failure() {
                        halted.insert(*item);
                    }
                }
                Event::BranchTaken { item, step, chain, arm: Some(arm), .. } => {
                    taken.insert((*item, Taken { step: *step, chain: *chain, arm: *arm }));
                }
                Event::ItemPutBack { item, .. } => {
                    halted.remove(item);
                }
                Event::RunStopped { .. } => halted.extend((0..100).map(ItemId)),
                _ => {}
            }
        }
        assert!(running.is_empty(), "seed {seed}");
    }
}

#[test]
fn every_execution_that_began_has_one_row() {
    for seed in seeds(3000) {
        let (_, _, _, events, _) = simulate(seed);
        let mut open: BTreeMap<(ItemId, StepId), u32> = BTreeMap::new();
        for event in &events {
            match event {
                Event::AttemptStarted { item, step, .. } => *open.entry((*item, *step)).or_default() += 1,
                Event::StepEnded { item, execution } => {
                    let begun = open.remove(&(*item, execution.step));
                    assert_eq!(execution.attempt, begun, "seed {seed}: {execution:?}");
                }
                Event::ItemSettled { item, .. } => {
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
    for seed in seeds(1000) {
        let (graph, _, _, events, _) = simulate(seed);
        let slow = |id: &StepId| graph.step(*id).channel.as_deref() == Some("slow");
        let starts: Vec<Millis> = events
            .iter()
            .filter_map(|event| match event {
                Event::AttemptStarted { step, at, .. } if slow(step) => Some(*at),
                _ => None,
            })
            .collect();
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= 5), "seed {seed}: {starts:?}");
    }
}

/// A hand-driven run over one item.
struct Hand {
    run: Run,
    out: Out,
    now: Millis,
}

impl Hand {
    fn new(graph: Graph) -> Self {
        let policy = Policy {
            limits: Limits::jobs(10),
            tolerate: Tolerance::Count(0),
            on_item_error: OnItemError::Continue,
        };
        let mut hand = Hand { run: Run::new(Arc::new(graph), policy), out: Out::default(), now: 0 };
        hand.give(Input::Admit { key: "k".into(), inputs: Vec::new() });
        hand
    }

    fn give(&mut self, input: Input) {
        self.now += 1;
        self.run.handle(input, self.now, &mut self.out);
    }

    fn answer(&mut self, step: u32, result: Result<Value, &str>) {
        let attempt = self.starts(step);
        let result = match result {
            Ok(value) => Ok(Reply { outputs: vec![(ValueId(step), Arc::new(value))], ..Reply::default() }),
            Err(message) => Err(Box::new(Failure {
                cause: Cause::Exit(1),
                code: None,
                message: message.into(),
                outcome: Outcome::Unknown,
                retryable: false,
                tokens_used: None,
                columns: Vec::new(),
                log: String::new(),
            })),
        };
        self.give(Input::Finished { item: ItemId(0), step: StepId(step), attempt, result });
    }

    /// The number of the step's last attempt.
    fn starts(&self, id: u32) -> u32 {
        let attempt = |event: &Event| match event {
            Event::AttemptStarted { step, attempt, .. } if step.0 == id => Some(*attempt),
            _ => None,
        };
        self.out.events.iter().rev().find_map(attempt).unwrap_or(0)
    }

    fn state(&self) -> Option<ItemState> {
        self.out.events.iter().find_map(|event| match event {
            Event::ItemSettled { state, .. } => Some(*state),
            _ => None,
        })
    }
}

#[test]
fn a_plain_failure_lets_independent_branches_finish() {
    let steps = vec![
        step("A", &[], None),
        step("B", &[], None),
        step("C", &[(0, true)], None),
        step("D", &[(1, true)], None),
    ];
    let mut hand = Hand::new(graph(steps));
    hand.answer(0, Err("no"));
    assert_eq!(hand.state(), None);
    hand.answer(1, Ok(1.into()));
    hand.answer(3, Ok(1.into()));
    assert_eq!(hand.starts(2), 0);
    assert_eq!(hand.state(), Some(ItemState::Failed));
}

#[test]
fn a_critical_failure_stops_running_siblings_before_the_item_settles() {
    let steps =
        vec![step("A", &[], Some(Mark::Critical)), step("B", &[], None), step("C", &[(1, true)], None)];
    let mut hand = Hand::new(graph(steps));
    hand.answer(0, Err("no"));
    let told = |event: &Event| matches!(event, Event::AttemptStopped { step: StepId(1), why, .. } if *why == StopReason::Critical);
    assert!(hand.out.events.iter().any(told));
    assert_eq!(hand.state(), None, "the sibling has not finished");
    hand.answer(1, Ok(1.into()));
    assert_eq!(hand.starts(2), 0);
    assert_eq!(hand.state(), Some(ItemState::Failed));
}

#[test]
fn an_optional_failure_leaves_out_only_what_cannot_do_without() {
    let mut steps = vec![
        step("A", &[], Some(Mark::Optional)),
        step("Must", &[(0, true)], None),
        step("May", &[(0, true)], None),
        step("AfterMust", &[(1, false)], None),
    ];
    steps[2].inputs[0].optional = true;
    steps[2].needs[0].data = false;
    let mut hand = Hand::new(graph(steps));
    hand.answer(0, Err("no"));
    assert_eq!((hand.starts(1), hand.starts(2), hand.starts(3)), (0, 1, 1));
    hand.answer(2, Ok(1.into()));
    hand.answer(3, Ok(1.into()));
    assert_eq!(hand.state(), Some(ItemState::Succeeded));
}

#[test]
fn a_handler_puts_an_item_back_once_and_only_what_failed_runs_again() {
    let mut handler = step("H", &[], Some(Mark::Optional));
    handler.kind = Kind::Handler;
    let steps =
        vec![step("A", &[], None), step("B", &[(0, true)], None), step("C", &[(1, true)], None), handler];
    let mut hand = Hand::new(graph(steps));
    hand.answer(0, Ok(1.into()));
    hand.answer(1, Err("out of stock"));
    hand.answer(3, Ok(true.into()));
    assert_eq!(hand.state(), None);
    hand.answer(1, Err("still out of stock"));
    hand.answer(3, Ok(true.into()));
    assert_eq!(hand.state(), Some(ItemState::Failed));
    let starts = |id: u32| {
        let is = |event: &&Event| matches!(event, Event::AttemptStarted { step, .. } if step.0 == id);
        hand.out.events.iter().filter(is).count()
    };
    assert_eq!((starts(0), starts(1), starts(2), starts(3)), (1, 2, 0, 2));
    let visits = |id: u32| -> Vec<u32> {
        let visit = |effect: &Effect| match effect {
            Effect::Call(call) if call.step.0 == id => Some(call.visit),
            _ => None,
        };
        hand.out.effects.iter().filter_map(visit).collect()
    };
    assert_eq!(visits(1), [0, 0], "what never had its effect is asked for under the same key");
    assert_eq!(visits(3), [0, 1], "the handler is told of another failure");
}

#[test]
fn an_interrupted_item_is_cancelled_and_no_handler_runs() {
    let mut handler = step("H", &[], None);
    handler.kind = Kind::Handler;
    let mut hand = Hand::new(graph(vec![step("A", &[], None), step("B", &[(0, true)], None), handler]));
    hand.give(Input::Stop(StopReason::Interrupted));
    hand.answer(0, Err("killed"));
    assert_eq!(hand.state(), Some(ItemState::Cancelled));
    assert_eq!(hand.starts(2), 0);
    assert!(!hand.run.wants_item());
}
