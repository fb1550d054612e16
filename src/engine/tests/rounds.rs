//! Loops, spelled out on small graphs: rounds, feedback, what ends them, and what is undone of them.

use super::*;
use crate::condition;
use crate::event::NOT_REACHED;
use crate::graph::{Guard, Passage, StateId};
use crate::spec::Mark;

/// Repeats these steps until step `decider` makes a number above 500.
fn repeat(graph: &mut Graph, steps: std::ops::RangeInclusive<u32>, decider: u32, most: u32) -> RepeatId {
    let id = RepeatId(graph.repeats.len() as u32);
    let steps: Vec<StepId> = steps.map(StepId).collect();
    let name = graph.values[decider as usize].name.clone();
    steps.iter().for_each(|step| graph.steps[step.index()].repeats.push(id));
    graph.repeats.push(Repeat {
        of: if steps.len() == 1 { RepeatOf::Step(steps[0]) } else { RepeatOf::Group(0) },
        most,
        every: None,
        until: Guard {
            condition: condition::parse(&format!("{name} > 500")).unwrap(),
            names: vec![(name, ValueId(decider))],
        },
        makes: steps.iter().map(|step| ValueId(step.0)).collect(),
        deciders: vec![StepId(decider)],
        line: 1,
        steps,
    });
    id
}

/// Write takes what Review made in the round before; Publish comes after both.
fn article(most: u32) -> Graph {
    let mut steps = vec![
        step("Write", &[], None),
        step("Review", &[(0, true)], None),
        step("Publish", &[(0, true)], None),
    ];
    steps[0].inputs.push(Takes {
        value: ValueId(1),
        optional: true,
        role: Role::Given,
        feedback: Some(RepeatId(0)),
        makers: vec![StepId(1)],
    });
    let mut graph = graph(steps);
    repeat(&mut graph, 0..=1, 1, most);
    graph
}

/// The rows of a step: status, error code and round.
fn rows(hand: &Hand, id: u32) -> Vec<(Status, Option<String>, Value)> {
    let row = |event: &Event| match &event.kind {
        EventKind::Step(_, StepEvent::Ended(row)) if row.step == StepId(id) => {
            let round = row.columns.iter().find(|(name, _)| **name == *"round");
            Some((row.status, row.code.clone(), round.map_or(Value::Null, |(_, round)| round.clone())))
        }
        _ => None,
    };
    hand.out.events.iter().filter_map(row).collect()
}

/// The visits and inputs of the calls of a step.
fn calls(hand: &Hand, id: u32) -> Vec<(u32, Vec<(u32, Value)>)> {
    let call = |effect: &Effect| match effect {
        Effect::Call(call) if call.step.step == StepId(id) => {
            let inputs = call.inputs.iter().map(|(id, value)| (id.0, (**value).clone()));
            Some((call.visit, inputs.collect()))
        }
        _ => None,
    };
    hand.out.effects.iter().filter_map(call).collect()
}

#[test]
fn a_group_runs_again_with_the_feedback_of_the_round_before_and_what_follows_runs_once() {
    let mut hand = Hand::new(article(3));
    for (draft, review) in [("a", json!(1)), ("b", json!(900))] {
        assert_eq!(hand.starts(2), 0, "before the end of the loop");
        hand.answer(0, Ok(json!(draft)));
        hand.answer(1, Ok(review));
    }
    hand.answer(2, Ok(json!("done")));
    assert_eq!(hand.state(), Some(ItemState::Succeeded));
    assert_eq!(calls(&hand, 0), [(0, vec![]), (1, vec![(1, json!(1))])]);
    assert_eq!(calls(&hand, 1), [(0, vec![(0, json!("a"))]), (1, vec![(0, json!("b"))])]);
    assert_eq!(calls(&hand, 2), [(0, vec![(0, json!("b"))])]);
    let ok = |round: u32| (Status::Success, None, json!(round));
    assert_eq!((rows(&hand, 0), rows(&hand, 1)), (vec![ok(1), ok(2)], vec![ok(1), ok(2)]));
    assert_eq!(rows(&hand, 2), [(Status::Success, None, Value::Null)]);
}

#[test]
fn the_step_that_decides_fails_where_the_rounds_do_not_suffice() {
    let mut hand = Hand::new(article(2));
    for _ in 0..2 {
        hand.answer(0, Ok(json!("a")));
        hand.answer(1, Ok(json!(1)));
    }
    let failed = (Status::Failed, Some(NOT_REACHED.to_owned()), json!(2));
    assert_eq!(rows(&hand, 1), [(Status::Success, None, json!(1)), failed]);
    assert_eq!((hand.starts(2), hand.state()), (0, Some(ItemState::Failed)));
}

#[test]
fn an_optional_loop_lets_the_item_continue_with_the_last_draft() {
    let mut graph = article(2);
    graph.steps[1].mark = Some(Mark::Optional);
    let mut hand = Hand::new(graph);
    for draft in ["a", "b"] {
        hand.answer(0, Ok(json!(draft)));
        hand.answer(1, Ok(json!(1)));
    }
    assert_eq!(calls(&hand, 2), [(0, vec![(0, json!("b"))])]);
    hand.answer(2, Ok(json!("done")));
    assert_eq!(hand.state(), Some(ItemState::Succeeded));
}

#[test]
fn a_failure_within_a_round_ends_the_loop() {
    let mut hand = Hand::new(article(3));
    hand.answer(0, Ok(json!("a")));
    hand.answer(1, Ok(json!(1)));
    hand.answer(0, Err("no words"));
    assert_eq!((hand.starts(0), hand.starts(1), hand.state()), (2, 1, Some(ItemState::Failed)));
}

#[test]
fn a_loop_that_has_failed_is_tried_once_more_by_a_retry() {
    let mut hand = Hand::new(article(2));
    for _ in 0..2 {
        hand.answer(0, Ok(json!("a")));
        hand.answer(1, Ok(json!(1)));
    }
    let mut retries = Retries::default();
    hand.out.events.iter().for_each(|event| retries.see(event));
    retries.add(ItemId(0));
    let mut run = Run::new(Arc::new(article(2)), policy());
    for event in &hand.out.events {
        run.recall_past(event, &mut retries).unwrap();
    }
    hand = Hand { run, out: Out::default(), now: hand.now };
    hand.run.resume(&[RetryRequest::of(ItemId(0))], hand.now, &mut hand.out);
    assert_eq!(calls(&hand, 1), [(2, vec![(0, json!("a"))])]);
    hand.answer(1, Ok(json!(900)));
    hand.answer(2, Ok(json!("done")));
    assert_eq!(rows(&hand, 1), [(Status::Success, None, json!(2))]);
    assert_eq!(hand.out.events.len(), hand.out.events.iter().filter(|event| hand.now >= event.at).count());
    assert!(hand.run.is_idle());
}

#[test]
fn the_effects_of_all_rounds_are_undone_the_last_first_with_their_own_values() {
    let mut steps = vec![
        step("Write", &[], None),
        step("Review", &[(0, true)], None),
        step("Publish", &[(1, true)], None),
        step("Delete", &[], None),
    ];
    steps[3].kind = Kind::Compensation;
    steps[0].compensate = Some(StepId(3));
    let takes =
        |value| Takes { value, optional: false, role: Role::Given, feedback: None, makers: Vec::new() };
    steps[3].inputs = vec![takes(ValueId(1)), takes(ValueId(0))];
    steps[0].inputs.push(Takes {
        value: ValueId(1),
        optional: true,
        role: Role::Given,
        feedback: Some(RepeatId(0)),
        makers: vec![StepId(1)],
    });
    let mut graph = graph(steps);
    repeat(&mut graph, 0..=1, 1, 3);
    let mut hand = Hand::new(graph);
    for (draft, review) in [("a", json!(1)), ("b", json!(2)), ("c", json!(900))] {
        hand.answer(0, Ok(json!(draft)));
        hand.answer(1, Ok(review));
    }
    hand.answer(2, Err("offline"));
    for _ in 0..3 {
        hand.answer(3, Ok(json!("gone")));
    }
    let taken = |review: Value, draft: &str| vec![(1, review), (0, json!(draft))];
    let calls = calls(&hand, 3);
    assert_eq!(calls, [(2, taken(json!(2), "c")), (1, taken(json!(1), "b")), (0, taken(Value::Null, "a"))]);
    let undone = |round: u32| (Status::Compensated, None, json!(round));
    assert_eq!(rows(&hand, 3), [undone(3), undone(2), undone(1)]);
    assert_eq!(hand.state(), Some(ItemState::Compensated));
}

#[test]
fn a_round_begins_after_its_pause_also_after_a_kill() {
    let mut graph = graph(vec![step("Look", &[], None), step("Next", &[(0, true)], None)]);
    repeat(&mut graph, 0..=0, 0, 3);
    graph.repeats[0].every = Some(Duration::from_millis(50));
    let mut hand = Hand::new(graph.clone());
    hand.answer(0, Ok(json!(0)));
    let due = hand.now + 50;
    let timer = |out: &Out| {
        out.effects.iter().find_map(|effect| match effect {
            Effect::Timer { due, timer: timer @ Timer::Round { .. } } => Some((*due, *timer)),
            _ => None,
        })
    };
    let (known, round) = timer(&hand.out).unwrap();
    assert_eq!((known, hand.starts(0), hand.run.rests()), (due, 1, false));
    let mut run = Run::fold(Arc::new(graph), policy(), &hand.out.events).unwrap();
    let mut out = Out::default();
    run.resume(&[], hand.now + 10, &mut out);
    assert_eq!(timer(&out), Some((due, round)));
    hand = Hand { run, out, now: due - 2 };
    hand.give(EngineInput::Due(round));
    assert_eq!(calls(&hand, 0), [], "too early");
    hand.give(EngineInput::Due(round));
    assert_eq!(calls(&hand, 0), [(1, vec![])]);
    hand.answer(0, Ok(json!(900)));
    hand.answer(1, Ok(json!(1)));
    assert_eq!(rows(&hand, 0), [(Status::Success, None, json!(2))]);
}

#[test]
fn each_round_begins_in_the_state_in_which_the_loop_began() {
    let mut graph = article(3);
    graph.states = ["new", "written", "reviewed", "out"].map(str::to_owned).to_vec();
    graph.initial = Some(StateId(0));
    for (step, (from, to)) in [(0, 1), (1, 2), (2, 3)].into_iter().enumerate() {
        graph.steps[step].state = Some(Passage { from: vec![StateId(from)], to: Some(StateId(to)) });
    }
    let mut hand = Hand::new(graph);
    for review in [json!(1), json!(900)] {
        hand.answer(0, Ok(json!("a")));
        hand.answer(1, Ok(review));
    }
    hand.answer(2, Ok(json!("done")));
    assert_eq!(hand.state(), Some(ItemState::Succeeded));
}

#[test]
fn a_loop_in_a_loop_begins_anew_in_each_round_of_the_outer_one() {
    let steps = vec![
        step("Write", &[], None),
        step("Spell", &[(0, true)], None),
        step("Review", &[(1, true)], None),
        step("Publish", &[(2, true)], None),
    ];
    let mut graph = graph(steps);
    repeat(&mut graph, 0..=2, 2, 2);
    repeat(&mut graph, 0..=1, 1, 2);
    let mut hand = Hand::new(graph);
    for (spelt, reviewed) in [(false, None), (true, Some(false)), (false, None), (true, Some(true))] {
        hand.answer(0, Ok(json!("a")));
        hand.answer(1, Ok(json!(if spelt { 900 } else { 0 })));
        if let Some(reviewed) = reviewed {
            hand.answer(2, Ok(json!(if reviewed { 900 } else { 0 })));
        }
    }
    hand.answer(3, Ok(json!("done")));
    assert_eq!(hand.state(), Some(ItemState::Succeeded));
    let rounds = |id| rows(&hand, id).into_iter().map(|(_, _, round)| round).collect::<Vec<_>>();
    assert_eq!(rounds(1), ["1/1", "1/2", "2/1", "2/2"]);
    assert_eq!(rounds(2), [json!(1), json!(2)]);
    let visits = |id| calls(&hand, id).into_iter().map(|(visit, _)| visit).collect::<Vec<_>>();
    assert_eq!((visits(0), visits(2)), (vec![0, 1, 2, 3], vec![0, 1]));
}

#[test]
fn forged_rounds_are_refused() {
    let mut hand = Hand::new(article(3));
    hand.answer(0, Ok(json!("a")));
    let before = hand.out.events.clone();
    hand.answer(1, Ok(json!(1)));
    let began = |round| ItemEvent::RoundBegan { repeat: RepeatId(0), round }.of(ItemId(0), 9);
    let after: Vec<Event> = {
        let is_round =
            |event: &&Event| matches!(&event.kind, EventKind::Item(_, ItemEvent::RoundBegan { .. }));
        let at = hand.out.events.iter().position(|event| is_round(&event)).unwrap();
        hand.out.events[..at].to_vec()
    };
    let fold = |events: &[Event], forged: Event| {
        let events = events.iter().cloned().chain([forged]).collect::<Vec<_>>();
        Run::fold(Arc::new(article(3)), policy(), &events).is_ok()
    };
    assert!(fold(&after, began(2)));
    assert!(!fold(&after, began(3)) && !fold(&before, began(2)));
    assert!(!fold(&before, ItemEvent::RepeatEnded(RepeatId(0)).of(ItemId(0), 9)));
    let unknown = ItemEvent::RoundBegan { repeat: RepeatId(7), round: 2 }.of(ItemId(0), 9);
    assert!(!fold(&after, unknown));
}

#[test]
fn what_runs_always_waits_for_no_loop_that_has_stopped() {
    let mut report = step("Report", &[], None);
    report.always = true;
    report.needs = [0, 1].map(|other| crate::graph::Need { step: StepId(other), data: false }).to_vec();
    let mut check = step("Check", &[], None);
    check.mark = Some(Mark::Critical);
    let mut graph = graph(vec![step("Write", &[], None), check, report]);
    graph.steps[..2].iter_mut().for_each(|step| step.dependents = vec![StepId(2)]);
    repeat(&mut graph, 0..=1, 0, 3);
    let mut hand = Hand::new(graph);
    hand.answer(1, Err("wrong"));
    assert_eq!(hand.starts(2), 0, "Write ends first");
    hand.answer(0, Ok(json!(1)));
    assert_eq!(hand.starts(2), 1);
    hand.answer(2, Ok(json!("reported")));
    assert_eq!(hand.state(), Some(ItemState::Failed));
}
