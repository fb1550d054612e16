//! The engine's promises, held over simulated worlds and spelled out on small ones.

use super::simulator::{World, graph, random_graph, random_policy, roll, step};
use super::{Effect, Input, Limits, Out, Policy, Retries, Retry, Run, Timer};
use crate::event::{
    Cause, Event, Failure, ItemId, ItemState, Millis, Outcome, Reply, Status, StepPath, StopReason,
};
use crate::graph::{
    Each, Graph, Group, Input as Takes, Kind, Output, Role, StepId, Taken, ValueId, ValueInfo,
};
use crate::spec::{Mark, OnItemError, Tolerance};
use crate::value::Value;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

mod states;
mod undoing;

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
            run.resume(&[], world.now, &mut out);
            let lived = world.live(&mut run, &mut out);
            same(seed, &lived, rest, &format!("cut after {cut} events"));
            cuts += 1;
        }
    }
    assert!(cuts > 1000);
}

/// What was lived after a cut is what would have been lived without, but for what is told of attempts that nobody saw
/// end. In odd worlds that makes a difference: what such an attempt did is undone, whatever is answered the second time.
fn same(seed: u64, lived: &[Event], rest: &[Event], what: &str) {
    let told = |events: &[Event]| -> Vec<Event> {
        let repeated = |event: &&Event| matches!(event, Event::AttemptRepeated { .. });
        events.iter().filter(|event| !repeated(event)).cloned().collect()
    };
    let (lived, rest) = (told(lived), told(rest));
    assert!(seed % 2 == 1 || lived == rest, "seed {seed}, {what}: {lived:#?}\ninstead of {rest:#?}");
}

/// Goes on after these events, in which those of the retried items that are not yet so are so now.
fn go_on(
    seed: u64,
    (graph, policy): (&Arc<Graph>, &Policy),
    seen: &[Event],
    retried: &[ItemId],
) -> (Vec<Event>, Run) {
    let again = |event: &Event| matches!(event, Event::ItemRetried { .. });
    let already = seen.iter().filter(|event| again(event)).count();
    let (mut retries, ahead) = (Retries::default(), &retried[already..]);
    seen.iter().for_each(|event| retries.see(event));
    ahead.iter().for_each(|item| retries.add(*item));
    let folded: Vec<&Event> = seen.iter().filter(|event| !retries.void(event)).collect();
    let mut run = Run::fold(graph.clone(), policy.clone(), folded);
    let mut world = World::new(seed, graph.clone()).after_crash(seen);
    let mut out = Out::default();
    let ahead: Vec<Retry> = ahead.iter().map(|item| Retry { item: *item, inputs: None }).collect();
    run.resume(&ahead, world.now, &mut out);
    (world.live(&mut run, &mut out), run)
}

#[test]
fn failed_items_run_again_and_their_run_can_be_cut_anywhere_too() {
    let (mut cuts, mut cured) = (0, 0);
    for seed in seeds(300) {
        let (graph, policy, _, first, run) = simulate(seed);
        let mut retried: Vec<ItemId> = run.dead_letters().iter().map(|letter| letter.item).collect();
        // All of them, or only some.
        retried.retain(|item| seed % 2 == 0 || roll(seed, &[50, item.0], 2) == 0);
        if retried.is_empty() || graph.has_run_steps() {
            continue;
        }
        let (second, after) = go_on(seed, (&graph, &policy), &first, &retried);
        let before: BTreeSet<(ItemId, StepPath)> = succeeded(&first).collect();
        let is_undone = |event: &&Event| match event {
            Event::StepEnded { execution, .. } => execution.status == Status::Compensated,
            _ => false,
        };
        let undone: BTreeSet<ItemId> =
            [first.as_slice(), &second].concat().iter().filter(is_undone).filter_map(item_of).collect();
        for done in succeeded(&second) {
            let anew = graph.step(done.1.step).kind == Kind::Handler || undone.contains(&done.0);
            assert!(anew || !before.contains(&done), "seed {seed}: {done:?} ran again");
        }
        let settled = |item: &ItemId| {
            let is =
                |event: &&Event| matches!(event, Event::ItemSettled { item: other, .. } if other == item);
            second.iter().filter(is).count()
        };
        assert!(retried.iter().all(|item| settled(item) == 1), "seed {seed}");
        assert_eq!(after.tally().settled(), run.tally().settled(), "seed {seed}");
        let at = |is: &dyn Fn(&Event) -> bool| second.iter().position(is).unwrap_or(usize::MAX);
        let stopped = at(&|event| matches!(event, Event::RunStopped { why: StopReason::ItemError, .. }));
        let failed = at(&|event| match event {
            Event::ItemSettled { state, .. } => state.is_failure(),
            Event::CompensationBegan { .. } => true,
            _ => false,
        });
        assert!(failed <= stopped, "seed {seed}: an old failure stops a retry");
        cured += run.tally().failures() - after.tally().failures();
        let all = [first.as_slice(), &second].concat();
        for cut in first.len()..=all.len() {
            let (seen, rest) = all.split_at(cut);
            let (lived, _) = go_on(seed, (&graph, &policy), seen, &retried);
            same(seed, &lived, rest, &format!("cut {} events after", cut - first.len()));
            cuts += 1;
        }
    }
    assert!(cuts > 300 && cured > 30, "{cuts} cuts, {cured} cured");
}

fn item_of(event: &Event) -> Option<ItemId> {
    match event {
        Event::StepEnded { item, .. } => Some(*item),
        _ => None,
    }
}

/// The executions that succeeded.
fn succeeded(events: &[Event]) -> impl Iterator<Item = (ItemId, StepPath)> {
    events.iter().filter_map(|event| match event {
        Event::StepEnded { item, execution } if execution.status == Status::Success => {
            Some((*item, execution.path()))
        }
        _ => None,
    })
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
    for seed in seeds(3000) {
        let (graph, policy, _, events, _) = simulate(seed);
        let mut running: BTreeSet<(ItemId, StepPath)> = BTreeSet::new();
        let mut ended: BTreeMap<(ItemId, StepPath), Status> = BTreeMap::new();
        let mut halted: BTreeSet<ItemId> = BTreeSet::new();
        let mut taken: BTreeSet<(ItemId, Taken)> = BTreeSet::new();
        // Items that begin anew after they were undone, some of what they did kept.
        let (mut undone, mut anew) = (BTreeSet::new(), BTreeSet::new());
        for event in &events {
            match event {
                Event::AttemptStarted { item, step, .. } => {
                    assert!(running.insert((*item, *step)), "seed {seed}: started twice");
                    let path = step;
                    let step = &step.step;
                    let forward = graph.step(*step).kind == Kind::Forward;
                    let once = graph.step(*step).once;
                    assert_eq!(once, *item == ItemId::RUN, "seed {seed}: {path:?}");
                    let undoes = graph.step(*step).kind == Kind::Compensation;
                    let each = graph.step(*step).each.is_some();
                    assert!(undoes || path.element.is_some() == each, "seed {seed}");
                    assert!(
                        !(forward && halted.contains(item)),
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
                                !need.data && optional && status.is_failure(),
                                "seed {seed}: {step:?} started after {status:?} of {need:?}"
                            ),
                            // Never ran, for want of what an optional failure did not make.
                            None => assert!(!need.data, "seed {seed}: {step:?} started without {need:?}"),
                        }
                    }
                    assert!(running.len() <= policy.limits.jobs, "seed {seed}: too many at once");
                    for (agent, most) in &policy.limits.agents {
                        let busy = running
                            .iter()
                            .filter(|(_, id)| graph.step(id.step).agent.as_ref() == Some(agent));
                        assert!(busy.count() <= *most, "seed {seed}: agent {agent}");
                    }
                    let narrow = |id: StepId| graph.step(id).channel.as_deref() == Some("narrow");
                    assert!(running.iter().filter(|(_, id)| narrow(id.step)).count() <= 1, "seed {seed}");
                }
                Event::AttemptFinished { item, step, .. } => {
                    assert!(running.remove(&(*item, *step)), "seed {seed}");
                }
                Event::StepEnded { item, execution } => {
                    ended.insert((*item, execution.path()), execution.status);
                    undone.extend((execution.status == Status::Compensated).then_some(*item));
                    let step = graph.step(execution.step);
                    let critical = step.mark == Some(Mark::Critical) && step.kind == Kind::Forward;
                    if critical && execution.status.is_failure() {
                        halted.insert(*item);
                    }
                }
                Event::ElementsEnded { item, step, .. } => {
                    let own = ended.iter().filter(|((of, path), _)| of == item && path.step == *step);
                    let elements = own.filter(|((_, path), _)| path.element.is_some());
                    let worst =
                        elements.map(|(_, status)| *status).max_by_key(|status| *status != Status::Success);
                    ended.insert((*item, (*step).into()), worst.unwrap_or(Status::Success));
                }
                Event::BranchTaken { item, step, chain, arm: Some(arm), .. } => {
                    taken.insert((*item, Taken { step: *step, chain: *chain, arm: *arm }));
                }
                Event::ItemPutBack { item, .. } => {
                    halted.remove(item);
                    anew.extend(undone.remove(item).then_some(*item));
                }
                Event::RunStopped { .. } => halted.extend((0..100).map(ItemId).chain([ItemId::RUN])),
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
        let mut open: BTreeMap<(ItemId, StepPath), u32> = BTreeMap::new();
        for event in &events {
            match event {
                Event::AttemptStarted { item, step, .. } => *open.entry((*item, *step)).or_default() += 1,
                Event::StepEnded { item, execution } => {
                    let begun = open.remove(&(*item, execution.path()));
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
        let slow = |id: &StepPath| graph.step(id.step).channel.as_deref() == Some("slow");
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

fn policy() -> Policy {
    Policy { limits: Limits::jobs(10), tolerate: Tolerance::Count(0), on_item_error: OnItemError::Continue }
}

/// A hand-driven run over one item.
struct Hand {
    run: Run,
    out: Out,
    now: Millis,
}

impl Hand {
    fn new(graph: Graph) -> Self {
        let mut hand = Hand { run: Run::new(Arc::new(graph), policy()), out: Out::default(), now: 0 };
        hand.give(Input::Admit { key: "k".into(), inputs: Vec::new() });
        hand
    }

    fn give(&mut self, input: Input) {
        self.now += 1;
        self.run.handle(input, self.now, &mut self.out);
    }

    fn answer(&mut self, step: u32, result: Result<Value, &str>) {
        self.answer_as(ItemId(0), StepId(step).into(), result);
    }

    fn answer_as(&mut self, item: ItemId, path: StepPath, result: Result<Value, &str>) {
        let step = path.step.0;
        let attempt = self.last(item, path);
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
        self.give(Input::Finished { item, step: path, attempt, result });
    }

    fn last(&self, item: ItemId, path: StepPath) -> u32 {
        let attempt = |event: &Event| match event {
            Event::AttemptStarted { item: of, step, attempt, .. } if (*of, *step) == (item, path) => {
                Some(*attempt)
            }
            _ => None,
        };
        self.out.events.iter().rev().find_map(attempt).unwrap_or(0)
    }

    /// What a step was last given.
    fn inputs(&self, item: ItemId, path: StepPath) -> Vec<(u32, Value)> {
        let of = |effect: &Effect| match effect {
            Effect::Call(call) if (call.item, call.step) == (item, path) => {
                Some(call.inputs.iter().map(|(id, value)| (id.0, (**value).clone())).collect())
            }
            _ => None,
        };
        self.out.effects.iter().rev().find_map(of).unwrap_or_default()
    }

    /// The number of the step's last attempt.
    fn starts(&self, id: u32) -> u32 {
        self.last(ItemId(0), StepId(id).into())
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
    let told = |event: &Event| matches!(event, Event::AttemptStopped { step, why, .. } if (step.step, *why) == (StepId(1), StopReason::Critical));
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

/// A step that decides against itself has made its value, and failed all the same.
#[test]
fn what_a_step_made_that_failed_after_all_is_absent() {
    let mut steps = vec![
        step("A", &[], Some(Mark::Optional)),
        step("Takes", &[(0, true)], None),
        step("Asks", &[(0, false)], None),
    ];
    steps[0].chains =
        vec![vec![crate::graph::Arm { guard: None, target: crate::graph::Target::Fail("no".into()) }]];
    (steps[1].inputs[0].optional, steps[1].needs[0].data) = (true, false);
    let condition = crate::condition::parse("A == 1").unwrap();
    steps[2].when = vec![crate::graph::Guard { condition, names: vec![("A".into(), ValueId(0))] }];
    let mut hand = Hand::new(graph(steps));
    hand.answer(0, Ok(1.into()));
    assert_eq!((hand.starts(1), hand.starts(2)), (1, 0));
    assert_eq!(hand.inputs(ItemId(0), StepId(1).into()), []);
    hand.answer(1, Ok(1.into()));
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
        let is = |event: &&Event| matches!(event, Event::AttemptStarted { step, .. } if step.step.0 == id);
        hand.out.events.iter().filter(is).count()
    };
    assert_eq!((starts(0), starts(1), starts(2), starts(3)), (1, 2, 0, 2));
    let visits = |id: u32| -> Vec<u32> {
        let visit = |effect: &Effect| match effect {
            Effect::Call(call) if call.step.step.0 == id => Some(call.visit),
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

/// A list-maker, a step for each element of its list, and one that takes what they made.
fn spread() -> Graph {
    let mut steps = vec![step("A", &[], None), step("B", &[(0, true)], None), step("C", &[(1, true)], None)];
    steps[1].inputs[0].role = Role::List;
    let element = ValueId(3);
    steps[1].inputs.push(Takes { value: element, optional: false, role: Role::Given, makers: Vec::new() });
    steps[1].each = Some(Each { element, list: ValueId(0) });
    let mut graph = graph(steps);
    graph.values.push(ValueInfo { name: "element".into(), ty: None });
    graph
}

fn element(element: u32) -> StepPath {
    StepPath::element(StepId(1), element)
}

#[test]
fn a_step_runs_for_each_element_and_its_outputs_are_a_list_in_their_order() {
    let mut hand = Hand::new(spread());
    hand.answer(0, Ok(json!(["x", "y", "z"])));
    let item = ItemId(0);
    assert_eq!(hand.inputs(item, element(1)), [(3, json!("y"))]);
    for (at, made) in [(2, "Z"), (0, "X"), (1, "Y")] {
        assert_eq!(hand.starts(2), 0);
        hand.answer_as(item, element(at), Ok(json!(made)));
    }
    assert_eq!(hand.inputs(item, StepId(2).into()), [(1, json!(["X", "Y", "Z"]))]);
    hand.answer(2, Ok(json!(1)));
    assert_eq!(hand.state(), Some(ItemState::Succeeded));
    let labels = hand.out.events.iter().filter_map(|event| match event {
        Event::StepEnded { execution, .. } => Some((execution.element?, execution.input.clone()?)),
        _ => None,
    });
    assert_eq!(labels.collect::<Vec<_>>(), [(2, "z".into()), (0, "x".into()), (1, "y".into())]);
}

#[test]
fn an_empty_list_is_done_at_once_and_what_is_no_list_fails_the_step() {
    let mut hand = Hand::new(spread());
    hand.answer(0, Ok(json!([])));
    assert_eq!(hand.inputs(ItemId(0), StepId(2).into()), [(1, json!([]))]);
    let mut hand = Hand::new(spread());
    hand.answer(0, Ok(json!("x")));
    assert_eq!(hand.state(), Some(ItemState::Failed));
    assert_eq!(hand.run.dead_letters()[0].error.as_ref().unwrap().message, "`A` is no list but a string");
}

#[test]
fn one_failed_element_fails_the_step_once_the_others_have_finished() {
    let mut graph = spread();
    let mut handler = step("H", &[], None);
    handler.kind = Kind::Handler;
    handler.outputs = vec![Output { value: ValueId(4), optional: false }];
    graph.steps.push(handler);
    graph.values.push(ValueInfo { name: "retry".into(), ty: None });
    let mut hand = Hand::new(graph);
    let item = ItemId(0);
    hand.answer(0, Ok(json!([1, 2])));
    hand.answer_as(item, element(0), Err("no"));
    assert_eq!(hand.starts(3), 0, "the other element has not finished");
    hand.answer_as(item, element(1), Ok(json!("second")));
    let outputs = vec![(ValueId(4), Arc::new(json!(true)))];
    let attempt = hand.starts(3);
    let result = Ok(Reply { outputs, ..Reply::default() });
    hand.give(Input::Finished { item, step: StepId(3).into(), attempt, result });
    hand.answer_as(item, element(0), Ok(json!("first")));
    assert_eq!(hand.last(item, element(0)), 2);
    assert_eq!(hand.last(item, element(1)), 1, "what has succeeded does not run again");
    assert_eq!(hand.inputs(item, StepId(2).into()), [(1, json!(["first", "second"]))]);
}

#[test]
fn a_step_per_run_takes_lists_over_the_items_in_the_order_of_their_admission() {
    let mut steps =
        vec![step("A", &[], None), step("Sum", &[(0, true)], None), step("Tell", &[(1, true)], None)];
    (steps[1].once, steps[2].once) = (true, true);
    let mut graph = graph(steps);
    graph.gathered = vec![ValueId(0)];
    let mut hand = Hand::new(graph);
    for _ in 0..2 {
        hand.give(Input::Admit { key: "k".into(), inputs: Vec::new() });
    }
    hand.give(Input::NoMoreItems);
    let first = StepPath::from(StepId(0));
    hand.answer_as(ItemId(2), first, Ok(json!("third")));
    hand.answer_as(ItemId(1), first, Err("no"));
    let once = StepPath::from(StepId(1));
    assert_eq!(hand.last(ItemId::RUN, once), 0, "an item is still in flight");
    hand.answer_as(ItemId(0), first, Ok(json!("first")));
    assert_eq!(hand.inputs(ItemId::RUN, once), [(0, json!(["first", "third"]))]);
    hand.answer_as(ItemId::RUN, once, Ok(json!(2)));
    assert_eq!(hand.inputs(ItemId::RUN, StepId(2).into()), [(1, json!(2))]);
    hand.answer_as(ItemId::RUN, StepId(2).into(), Err("nobody listens"));
    assert!(hand.run.is_idle());
    let (state, error, _) = hand.run.run_steps().unwrap();
    assert_eq!((state, error.unwrap().message.as_str()), (ItemState::Failed, "nobody listens"));
    assert_eq!((hand.run.tally().succeeded, hand.run.tally().failed), (2, 1));
}

#[test]
fn the_steps_of_a_group_share_its_deadline() {
    let mut steps = vec![step("A", &[], None), step("B", &[(0, true)], None), step("C", &[], None)];
    (steps[0].group, steps[1].group) = (Some(1), Some(1));
    let mut graph = graph(steps);
    let group = |parent, deadline| Group { title: "G".into(), parent, parallel: false, deadline };
    graph.groups = vec![group(None, Some(Duration::from_millis(100))), group(Some(0), None)];
    let mut hand = Hand::new(graph);
    let due = |hand: &Hand, id: u32| {
        let call = |effect: &Effect| match effect {
            Effect::Call(call) if call.step.step.0 == id => Some(call.deadline),
            _ => None,
        };
        hand.out.effects.iter().find_map(call).flatten()
    };
    assert_eq!((due(&hand, 0), due(&hand, 2)), (Some(101), None));
    hand.now = 60;
    hand.answer(0, Ok(json!(1)));
    assert_eq!(due(&hand, 1), Some(101), "counted from the first step's start");
    hand.now = 100;
    hand.give(Input::Due(Timer::Attempt { item: ItemId(0), step: StepId(1).into(), attempt: 1 }));
    hand.answer(1, Err("stopped"));
    let row = hand.out.events.iter().find_map(|event| match event {
        Event::StepEnded { execution, .. } if execution.step == StepId(1) => Some(execution.clone()),
        _ => None,
    });
    let row = row.unwrap();
    assert_eq!(
        (row.status, row.error.as_deref()),
        (Status::Timeout, Some("the group's deadline passed after 100ms"))
    );
}

#[test]
fn a_step_that_comes_too_late_for_its_group_does_not_begin() {
    let mut steps = vec![step("A", &[], None), step("B", &[(0, false)], None)];
    steps.iter_mut().for_each(|step| step.group = Some(0));
    let mut graph = graph(steps);
    let deadline = Some(Duration::from_millis(100));
    graph.groups = vec![Group { title: "G".into(), parent: None, parallel: false, deadline }];
    let mut hand = Hand::new(graph);
    hand.now = 200;
    hand.answer(0, Ok(json!(1)));
    assert_eq!(hand.starts(1), 0);
    assert_eq!(hand.state(), Some(ItemState::Failed));
}
