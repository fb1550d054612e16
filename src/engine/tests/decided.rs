//! What follows from answers that come late, from decisions against oneself and from waiting.

use super::*;
use crate::condition;
use crate::engine::ChannelLimit;
use crate::graph::{Arm, Guard, Target};
use crate::spec::{Backoff, Retry as Retries};

/// Fails by its own decision.
fn refuses(step: &mut crate::graph::Step) {
    step.chains = vec![vec![Arm { guard: None, target: Target::Fail("no".into()) }]];
}

fn asks(condition: &str, value: u32) -> Guard {
    let name = condition.split(' ').next().unwrap().to_owned();
    Guard { condition: condition::parse(condition).unwrap(), names: vec![(name, ValueId(value))] }
}

fn with(cause: Cause, outcome: Outcome, retryable: bool) -> Box<Failure> {
    Box::new(Failure::new(cause, "declined".into(), outcome, retryable))
}

/// What a step that timed out and then answered comes to: another attempt, or its error.
fn late_answer(failure: Box<Failure>) -> Option<String> {
    let mut one = step("A", &[], None);
    one.timeout = Some(Duration::from_millis(10));
    one.retry = Some(Retries { retries: 3, backoff: Backoff::Fixed(Duration::from_millis(5)) });
    let mut hand = Hand::new(graph(vec![one]));
    let path = StepPath::from(StepId(0));
    hand.now = 10;
    hand.give(EngineInput::Due(Timer::Attempt { item: ItemId(0), step: path, attempt: 1 }));
    hand.give(EngineInput::Finished { item: ItemId(0), step: path, attempt: 1, result: Err(failure) });
    hand.out.events.iter().find_map(|event| match &event.kind {
        EventKind::Step(_, StepEvent::Ended(execution)) => {
            Some(format!("{}: {}", execution.status.name(), execution.error.as_deref().unwrap()))
        }
        _ => None,
    })
}

#[test]
fn an_attempt_that_timed_out_and_says_that_another_is_pointless_is_its_last() {
    let said = |outcome| late_answer(with(Cause::Refused, outcome, false));
    for outcome in [Outcome::Failed, Outcome::NotExecuted, Outcome::Unknown] {
        assert_eq!(said(outcome).as_deref(), Some("timeout: timed out after 10ms; declined"));
    }
    // A program that exits with 65, and a worker that refuses what it was given.
    assert_eq!(
        late_answer(with(Cause::Stopped, Outcome::Failed, false)).as_deref(),
        Some("timeout: timed out after 10ms")
    );
    for again in [
        with(Cause::Refused, Outcome::Failed, true),
        with(Cause::Stopped, Outcome::Unknown, true),
        // What it had written by then is no answer.
        with(Cause::BadOutput, Outcome::Unknown, false),
    ] {
        assert_eq!(late_answer(again), None);
    }
}

#[test]
fn a_step_for_all_items_gets_nothing_of_a_step_that_refused_its_own_result() {
    let mut steps = vec![step("A", &[], Some(Mark::Optional)), step("R", &[(0, true)], None)];
    steps[0].chains = vec![vec![Arm { guard: Some(asks("A > 5", 0)), target: Target::Fail("no".into()) }]];
    steps[1].once = true;
    let mut graph = graph(steps);
    graph.gathered = vec![ValueId(0)];
    let mut hand = Hand::new(graph);
    hand.give(EngineInput::Admit { key: "l".into(), inputs: Vec::new() });
    hand.give(EngineInput::NoMoreItems);
    hand.answer_as(ItemId(0), StepId(0).into(), Ok(9.into()));
    hand.answer_as(ItemId(1), StepId(0).into(), Ok(3.into()));
    assert_eq!(hand.inputs(ItemId::RUN, StepId(1).into()), [(0, json!([3]))]);
}

#[test]
fn what_a_refused_step_made_is_no_value_for_the_decisions_of_others() {
    let mut steps = vec![
        step("A", &[], Some(Mark::Optional)),
        step("B", &[(0, false)], None),
        step("C", &[(1, false)], None),
    ];
    refuses(&mut steps[0]);
    steps[1].chains = vec![vec![
        Arm { guard: Some(asks("A is defined", 0)), target: Target::Step(StepId(2)) },
        Arm { guard: None, target: Target::End },
    ]];
    let mut hand = Hand::new(graph(steps));
    hand.answer(0, Ok(1.into()));
    hand.answer(1, Ok(1.into()));
    assert_eq!((hand.starts(2), hand.state()), (0, Some(ItemState::Succeeded)));
}

#[test]
fn a_compensation_without_a_signature_is_handed_what_its_step_was_given() {
    // Pack and Unpack name nothing; the workflow's input is taken by another step.
    let mut steps =
        vec![step("Pack", &[], None), step("Fail", &[(0, false)], None), step("Unpack", &[], None)];
    steps[2].kind = Kind::Compensation;
    steps[0].compensate = Some(StepId(2));
    let mut graph = graph(steps);
    graph.steps[0].outputs.clear();
    graph.steps[2].outputs.clear();
    let (given, absent) = (ValueId(3), ValueId(4));
    graph.values.extend(["n", "m"].map(|name| ValueInfo { name: name.into(), ty: None, adopted: false }));
    graph.inputs = vec![given, absent];
    let mut hand = Hand { run: Run::new(Arc::new(graph), policy()), out: Out::default(), now: 0 };
    hand.give(EngineInput::Admit { key: "k".into(), inputs: vec![(given, Arc::new(7.into()))] });
    let pack = hand.inputs(ItemId(0), StepId(0).into());
    assert_eq!(pack, [(3, 7.into())]);
    let reply = Ok(Reply::default());
    hand.give(EngineInput::Finished { item: ItemId(0), step: StepId(0).into(), attempt: 1, result: reply });
    hand.answer(1, Err("no"));
    assert_eq!(hand.inputs(ItemId(0), StepId(2).into()), pack);
}

#[test]
fn an_agent_is_told_of_the_first_time_that_stops_it() {
    let deadline = |undo: bool| {
        let mut one = step("A", &[], None);
        one.timeout = Some(Duration::from_secs(30));
        let mut steps = vec![one];
        if undo {
            let mut by = step("U", &[], None);
            (by.kind, by.timeout) = (Kind::Compensation, Some(Duration::from_secs(9)));
            steps[0].compensate = Some(StepId(2));
            steps.extend([step("F", &[(0, false)], None), by]);
        }
        let mut graph = graph(steps);
        graph.settings.deadline = Some(Duration::from_secs(2));
        let mut hand = Hand::new(graph);
        if undo {
            hand.answer(0, Ok(1.into()));
            hand.answer(1, Err("no"));
        }
        hand.out.effects.iter().rev().find_map(|effect| match effect {
            Effect::Call(call) => Some((call.deadline, call.until)),
            _ => None,
        })
    };
    assert_eq!(deadline(false), Some((Some(30_001), Some(2001))));
    // What undoes has a time of its own.
    assert_eq!(deadline(true), Some((Some(9003), Some(9003))));
}

#[test]
fn a_deadline_that_passed_while_an_item_waited_says_for_what_and_how_long() {
    let told = |limits: &dyn Fn(&mut Limits), group: bool| {
        let mut one = step("A", &[], None);
        (one.channel, one.agent) = (Some("pay".into()), Some("bank".into()));
        one.group = group.then_some(0);
        let mut other = step("B", &[], None);
        other.group = one.group;
        let mut graph = graph(vec![one, other]);
        if group {
            let deadline = Some(Duration::from_secs(2));
            graph.groups =
                vec![Group { title: "G".into(), parent: None, parallel: false, deadline, budget: None }];
        } else {
            graph.settings.deadline = Some(Duration::from_secs(2));
        }
        let mut policy = policy();
        limits(&mut policy.limits);
        let mut hand = Hand { run: Run::new(Arc::new(graph), policy), out: Out::default(), now: 0 };
        for key in ["k", "l"] {
            hand.give(EngineInput::Admit { key: key.into(), inputs: Vec::new() });
        }
        hand.now = 2010;
        if group {
            hand.answer(0, Ok(1.into()));
        } else {
            hand.give(EngineInput::Due(Timer::ItemDeadline { item: ItemId(1) }));
            hand.answer_as(ItemId(1), StepId(1).into(), Ok(1.into()));
            hand.answer_as(ItemId(1), StepId(0).into(), Err("stopped"));
        }
        hand.out.events.iter().find_map(|event| match &event.kind {
            EventKind::Item(ItemId(1), ItemEvent::Settled { end: Settlement { error, .. }, .. }) => {
                error.as_ref().map(|error| error.message.clone())
            }
            EventKind::Step(ItemId(1), StepEvent::Ended(execution)) => execution.error.clone(),
            _ => None,
        })
    };
    let channel = |limits: &mut Limits| {
        limits.channels.insert("pay".into(), ChannelLimit { concurrency: Some(1), rate: None });
    };
    let agent = |limits: &mut Limits| {
        limits.agents.insert("bank".into(), 1);
    };
    let said = |what: &str| Some(format!("the item's deadline passed; it had waited 2s for {what}"));
    let group = Some("the group's deadline passed; it had waited 2s for the channel pay".to_owned());
    assert_eq!(told(&channel, false), said("the channel pay"));
    assert_eq!(told(&agent, false), said("the agent bank"));
    assert_eq!(told(&channel, true), group);
    assert_eq!(told(&|_| {}, false), Some("the item's deadline passed after 2s".to_owned()));
}
