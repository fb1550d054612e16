//! The engine's promises spelled out on small graphs, driven by hand.

use super::*;

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
    let told = |event: &Event| matches!(&event.kind, EventKind::Attempt(_, step, _, AttemptEvent::Stopped(why)) if (step.step, *why) == (StepId(1), StopReason::Critical));
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
        let is = |event: &&Event| matches!(&event.kind, EventKind::Attempt(_, step, _, AttemptEvent::Started) if step.step.0 == id);
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
    hand.give(EngineInput::Stop(StopReason::Interrupted));
    hand.answer(0, Err("killed"));
    assert_eq!(hand.state(), Some(ItemState::Cancelled));
    assert_eq!(hand.starts(2), 0);
    assert!(!hand.run.wants_item());
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
    let labels = hand.out.events.iter().filter_map(|event| match &event.kind {
        EventKind::Step(_, StepEvent::Ended(execution)) => {
            Some((execution.element?, execution.input.clone()?))
        }
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
    assert_eq!(
        hand.run.dead_letters()[0].end.error.as_ref().unwrap().message,
        "`A` is not a list but a string"
    );
}

#[test]
fn one_failed_element_fails_the_step_once_the_others_have_finished() {
    let mut graph = spread();
    let mut handler = step("H", &[], None);
    handler.kind = Kind::Handler;
    handler.outputs = vec![Output { value: ValueId(4), optional: false }];
    graph.steps.push(handler);
    graph.values.push(ValueInfo { name: "retry".into(), ty: None, adopted: false });
    let mut hand = Hand::new(graph);
    let item = ItemId(0);
    hand.answer(0, Ok(json!([1, 2])));
    hand.answer_as(item, element(0), Err("no"));
    assert_eq!(hand.starts(3), 0, "the other element has not finished");
    hand.answer_as(item, element(1), Ok(json!("second")));
    let outputs = vec![(ValueId(4), Arc::new(json!(true)))];
    let attempt = hand.starts(3);
    let result = Ok(Reply { outputs, ..Reply::default() });
    hand.give(EngineInput::Finished { item, step: StepId(3).into(), attempt, result });
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
        hand.give(EngineInput::Admit { key: "k".into(), inputs: Vec::new() });
    }
    hand.give(EngineInput::NoMoreItems);
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
    let Settlement { state, error, .. } = hand.run.run_steps().unwrap();
    assert_eq!((*state, error.as_ref().unwrap().message.as_str()), (ItemState::Failed, "nobody listens"));
    assert_eq!((hand.run.tally().succeeded, hand.run.tally().failed), (2, 1));
}

#[test]
fn the_steps_of_a_group_share_its_deadline() {
    let mut steps = vec![step("A", &[], None), step("B", &[(0, true)], None), step("C", &[], None)];
    (steps[0].group, steps[1].group) = (Some(1), Some(1));
    let mut graph = graph(steps);
    let group =
        |parent, deadline| Group { title: "G".into(), parent, parallel: false, deadline, budget: None };
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
    hand.give(EngineInput::Due(Timer::Attempt { item: ItemId(0), step: StepId(1).into(), attempt: 1 }));
    hand.answer(1, Err("stopped"));
    let row = hand.out.events.iter().find_map(|event| match &event.kind {
        EventKind::Step(_, StepEvent::Ended(execution)) if execution.step == StepId(1) => {
            Some(execution.clone())
        }
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
    graph.groups = vec![Group { title: "G".into(), parent: None, parallel: false, deadline, budget: None }];
    let mut hand = Hand::new(graph);
    hand.now = 200;
    hand.answer(0, Ok(json!(1)));
    assert_eq!(hand.starts(1), 0);
    assert_eq!(hand.state(), Some(ItemState::Failed));
}
