//! Gates on small graphs: who decides about what, what a rejection is, and the time that does not count.

use super::*;

/// `A` before `B`, which waits for a person.
fn gated(within: Option<Duration>) -> Graph {
    let mut graph = graph(vec![step("A", &[], None), step("B", &[(0, true)], None)]);
    add(&mut graph, GateOf::Step(StepId(1)), &[1], within);
    graph
}

fn add(graph: &mut Graph, of: GateOf, before: &[usize], within: Option<Duration>) {
    let id = GateId(graph.gates.len() as u32);
    before.iter().for_each(|step| graph.steps[*step].gates.push(id));
    graph.gates.push(Gate { of, within, by: None, question: Default::default(), line: 1 });
}

fn decision(approved: bool, by: &str, at: u64) -> Decision {
    Decision { approved, by: by.into(), note: Some("because".into()), at }
}

fn decide(hand: &mut Hand, item: Option<ItemId>, approved: bool, by: &str) {
    let decision = decision(approved, by, hand.now + 1);
    hand.give(EngineInput::Decide { gate: GateId(0), item, decision });
}

fn row(hand: &Hand, item: ItemId, id: u32) -> Option<&crate::event::Execution> {
    hand.out.events.iter().rev().find_map(|event| match &event.kind {
        EventKind::Step(of, StepEvent::Ended(row)) if *of == item && row.step == StepId(id) => Some(row),
        _ => None,
    })
}

fn columns(row: &crate::event::Execution) -> Vec<(String, Value)> {
    row.columns.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
}

#[test]
fn a_step_starts_when_a_person_has_approved_and_its_row_says_who() {
    let mut hand = Hand::new(gated(None));
    hand.answer(0, Ok(json!(1)));
    assert_eq!((hand.starts(1), hand.run.rests()), (0, true));
    decide(&mut hand, Some(ItemId(0)), true, "ops");
    assert_eq!((hand.starts(1), hand.run.rests()), (1, false));
    hand.answer(1, Ok(json!(2)));
    assert_eq!(hand.state(), Some(ItemState::Succeeded));
    let said = |name: &str, value: Value| (name.to_owned(), value);
    assert_eq!(
        columns(row(&hand, ItemId(0), 1).unwrap()),
        [
            said("gate", json!("approved")),
            said("gate_by", json!("ops")),
            said("gate_note", json!("because")),
            said("gate_ms", json!(1))
        ]
    );
    assert_eq!(columns(row(&hand, ItemId(0), 0).unwrap()), []);
}

#[test]
fn a_rejection_fails_the_step_with_its_note_and_no_attempt() {
    let mut graph = gated(None);
    graph.steps[1].retry = Some(crate::spec::Retry { retries: 3, backoff: Default::default() });
    let mut hand = Hand::new(graph);
    hand.answer(0, Ok(json!(1)));
    decide(&mut hand, Some(ItemId(0)), false, "ann");
    let row = row(&hand, ItemId(0), 1).unwrap();
    assert_eq!(
        (row.status, row.attempt, row.error.as_deref()),
        (Status::Failed, None, Some("rejected by ann: because"))
    );
    assert_eq!((hand.starts(1), hand.state()), (0, Some(ItemState::Failed)));
}

#[test]
fn the_first_decision_counts_and_the_second_changes_nothing() {
    let mut hand = Hand::new(gated(None));
    hand.answer(0, Ok(json!(1)));
    decide(&mut hand, Some(ItemId(0)), true, "ops");
    let before = hand.out.events.len();
    decide(&mut hand, Some(ItemId(0)), false, "ann");
    assert_eq!(hand.out.events.len(), before);
    decide(&mut hand, None, true, "ops");
    decide(&mut hand, None, false, "ann");
    assert_eq!(hand.run.standing(GateId(0)).unwrap().by, "ops");
}

#[test]
fn a_decision_about_all_is_for_those_who_come_later_too_and_a_retry_ends_a_rejection() {
    let mut hand = Hand::new(gated(None));
    hand.give(EngineInput::Admit { key: "l".into(), inputs: Vec::new() });
    hand.answer(0, Ok(json!(1)));
    decide(&mut hand, None, false, "ann");
    assert_eq!(hand.state(), Some(ItemState::Failed));
    hand.answer_as(ItemId(1), StepId(0).into(), Ok(json!(1)));
    assert_eq!(row(&hand, ItemId(1), 1).unwrap().error.as_deref(), Some("rejected by ann: because"));
    // The retry asks again.
    let (run, out) = retried(&hand, ItemId(1));
    assert!(run.rests() && run.standing(GateId(0)).is_none(), "{:#?}", out.events);
    assert!(out.effects.iter().any(|effect| matches!(effect, Effect::Ask(ask) if ask.item == ItemId(1))));
}

/// Who can write into an inbox may put a file there again that was taken.
#[test]
fn a_decision_does_not_count_a_second_time() {
    let mut hand = Hand::new(gated(None));
    hand.answer(0, Ok(json!(1)));
    let (gate, item) = (GateId(0), Some(ItemId(0)));
    let taken = decision(false, "ann", 7);
    hand.give(EngineInput::Decide { gate, item, decision: taken.clone() });
    assert_eq!(hand.state(), Some(ItemState::Failed));
    let (mut run, mut out) = retried(&hand, ItemId(0));
    let before = out.events.len();
    run.handle(EngineInput::Decide { gate, item, decision: taken }, 101, &mut out);
    assert_eq!((run.waiting().count(), out.events.len()), (1, before));
    run.handle(EngineInput::Decide { gate, item, decision: decision(true, "ann", 8) }, 102, &mut out);
    assert_eq!(run.waiting().count(), 0);
}

/// The run of a hand that is continued with one failed item.
fn retried(hand: &Hand, item: ItemId) -> (Run, Out) {
    let mut retries = Retries::default();
    hand.out.events.iter().for_each(|event| retries.see(event));
    retries.add(item);
    let mut run = Run::new(Arc::new(gated(None)), policy());
    for event in &hand.out.events {
        run.recall_past(event, &mut retries).unwrap();
    }
    let mut out = Out::default();
    run.resume(&[RetryRequest::of(item)], 100, &mut out);
    (run, out)
}

#[test]
fn only_the_named_approver_decides() {
    let mut graph = gated(None);
    graph.gates[0].by = Some("ops".into());
    let mut hand = Hand::new(graph);
    hand.answer(0, Ok(json!(1)));
    decide(&mut hand, Some(ItemId(0)), true, "ann");
    decide(&mut hand, None, true, "ann");
    assert!(hand.run.rests());
    decide(&mut hand, None, true, "ops");
    assert_eq!(hand.starts(1), 1);
}

#[test]
fn time_to_decide_is_that_of_the_clock() {
    let mut hand = Hand::new(gated(Some(Duration::from_millis(50))));
    hand.run.set_clock(1_000_000);
    hand.answer(0, Ok(json!(1)));
    let events = hand.out.events.clone();
    let fold = |clock: u64, now: Millis| {
        let mut run = Run::fold(Arc::new(gated(Some(Duration::from_millis(50)))), policy(), &events).unwrap();
        run.set_clock(clock);
        let mut out = Out::default();
        run.resume(&[], now, &mut out);
        let mut timers = out.effects.iter().filter_map(|effect| match effect {
            Effect::Timer { due, timer: timer @ Timer::Gate { .. } } => Some((*due, *timer)),
            _ => None,
        });
        let (due, timer) = timers.next_back().unwrap();
        run.handle(EngineInput::Due(timer), now, &mut out);
        (
            due,
            out.events.iter().find_map(|event| match &event.kind {
                EventKind::Step(_, StepEvent::Ended(row)) => {
                    Some((row.code.clone().unwrap(), row.error.clone().unwrap()))
                }
                _ => None,
            }),
        )
    };
    let since = hand.now;
    assert_eq!(fold(1_000_000, since), (since + 50, None));
    // The run was paused for 49 ms, and for 50.
    assert_eq!(fold(1_000_049, since), (since + 1, None));
    let late = (GATE_TIMEOUT.to_owned(), "no approval within 50ms".to_owned());
    assert_eq!(fold(1_000_050, since), (since, Some(late)));
}

#[test]
fn no_other_deadline_counts_the_time_at_a_gate() {
    let mut graph = gated(None);
    graph.settings.deadline = Some(Duration::from_millis(100));
    graph.groups.push(Group {
        title: "G".into(),
        parent: None,
        parallel: false,
        deadline: Some(Duration::from_millis(60)),
        budget: None,
    });
    graph.steps.iter_mut().for_each(|step| step.group = Some(0));
    let mut hand = Hand::new(graph);
    hand.now = 20;
    hand.answer(0, Ok(json!(1)));
    // At 21 it waits; both deadlines would pass meanwhile.
    hand.now = 1000;
    hand.give(EngineInput::Due(Timer::ItemDeadline { item: ItemId(0) }));
    decide(&mut hand, Some(ItemId(0)), true, "ops");
    assert_eq!(hand.starts(1), 1, "{:#?}", hand.out.events);
    let waited = hand.now - 21;
    let call = hand.out.effects.iter().rev().find_map(|effect| match effect {
        Effect::Call(call) => Some((call.deadline, call.until)),
        _ => None,
    });
    assert_eq!(call, Some((Some(1 + 60 + waited), Some(1 + 60 + waited))));
    let timer = Effect::Timer { due: 1 + 100 + waited, timer: Timer::ItemDeadline { item: ItemId(0) } };
    let moved = |effect: &Effect| format!("{effect:?}") == format!("{timer:?}");
    assert!(hand.out.effects.iter().any(moved), "{:?}", hand.out.effects);
}

#[test]
fn a_running_step_has_the_time_of_its_group_back_that_another_waits() {
    // B runs while C waits; both are in a group with a deadline.
    let mut graph = graph(vec![step("B", &[], None), step("C", &[], None)]);
    graph.groups.push(Group {
        title: "G".into(),
        parent: None,
        parallel: true,
        deadline: Some(Duration::from_millis(60)),
        budget: None,
    });
    graph.steps.iter_mut().for_each(|step| step.group = Some(0));
    add(&mut graph, GateOf::Step(StepId(1)), &[1], None);
    let mut hand = Hand::new(graph);
    let overdue = |hand: &mut Hand| {
        let attempt = Timer::Attempt { item: ItemId(0), step: StepId(0).into(), attempt: 1 };
        hand.give(EngineInput::Due(attempt));
        hand.out
            .events
            .iter()
            .any(|event| matches!(&event.kind, EventKind::Attempt(_, _, _, AttemptEvent::Stopped(_))))
    };
    hand.now = 500;
    assert!(!overdue(&mut hand));
    decide(&mut hand, None, true, "ops");
    assert!(!overdue(&mut hand));
    hand.now = 500 + 65;
    assert!(overdue(&mut hand));
}

#[test]
fn the_gate_of_a_group_is_passed_once_an_item() {
    let mut graph = graph(vec![step("A", &[], None), step("B", &[], None), step("C", &[(0, true)], None)]);
    graph.groups.push(Group {
        title: "G".into(),
        parent: None,
        parallel: true,
        deadline: None,
        budget: None,
    });
    graph.steps.iter_mut().for_each(|step| step.group = Some(0));
    add(&mut graph, GateOf::Group(0), &[0, 1, 2], None);
    let mut hand = Hand::new(graph.clone());
    assert_eq!((hand.starts(0), hand.starts(1)), (0, 0));
    decide(&mut hand, Some(ItemId(0)), true, "ops");
    assert_eq!((hand.starts(0), hand.starts(1)), (1, 1));
    hand.answer(0, Ok(json!(1)));
    assert_eq!(hand.starts(2), 1);
    let reached = |event: &&Event| matches!(&event.kind, EventKind::Item(_, ItemEvent::GateReached { .. }));
    assert_eq!(hand.out.events.iter().filter(reached).count(), 1);
    // A rejection fails those that wait; what depends on them does not run.
    let mut hand = Hand::new(graph);
    decide(&mut hand, Some(ItemId(0)), false, "ann");
    assert_eq!(row(&hand, ItemId(0), 1).unwrap().error.as_deref(), Some("rejected by ann: because"));
    assert!(row(&hand, ItemId(0), 2).is_none());
    assert_eq!(hand.state(), Some(ItemState::Failed));
}

#[test]
fn the_elements_of_a_list_wait_together() {
    let mut graph = spread();
    add(&mut graph, GateOf::Step(StepId(1)), &[1], None);
    let mut hand = Hand::new(graph);
    hand.answer(0, Ok(json!([1, 2])));
    assert!(hand.run.rests());
    decide(&mut hand, None, true, "ops");
    let second = StepPath::element(StepId(1), 1);
    assert_eq!(hand.last(ItemId(0), second), 1);
}

#[test]
fn items_that_wait_stop_no_others() {
    let mut run = Run::new(Arc::new(gated(None)), Policy { limits: Limits::jobs(1), ..policy() });
    let mut out = Out::default();
    for item in 0..200 {
        assert!(run.wants_item(), "{item}");
        run.handle(EngineInput::Admit { key: item.to_string().into(), inputs: Vec::new() }, item, &mut out);
        let result = Ok(Reply { outputs: vec![(ValueId(0), Arc::new(json!(1)))], ..Reply::default() });
        let (item, step) = (ItemId(item), StepId(0).into());
        run.handle(EngineInput::Finished { item, step, attempt: 1, result }, item.0, &mut out);
    }
    assert_eq!((run.waiting_items(), run.rests()), (200, true));
}

/// A gate lets an item through only by a decision, and no decision is lost: whoever waits at the end waited for nobody.
#[test]
fn no_step_starts_before_a_person_has_approved_it() {
    let (mut passed, mut refused, mut expired, mut standing) = (0, 0, 0, 0);
    for seed in seeds(1000) {
        let (graph, _, _, events, _) = simulate(seed);
        let mut open: BTreeSet<(ItemId, GateId)> = BTreeSet::new();
        let mut waits: BTreeSet<(ItemId, GateId)> = BTreeSet::new();
        let mut shut: BTreeSet<(ItemId, GateId)> = BTreeSet::new();
        for (index, event) in events.iter().enumerate() {
            match &event.kind {
                EventKind::Run(RunEvent::Decided { .. }) => standing += 1,
                EventKind::Item(item, ItemEvent::GateReached { gate, since, .. }) => {
                    assert!(waits.insert((*item, *gate)) && !open.contains(&(*item, *gate)), "seed {seed}");
                    assert_eq!(*since, event.at, "seed {seed}");
                }
                EventKind::Item(item, ItemEvent::Decided { gate, decision }) => {
                    assert!(waits.remove(&(*item, *gate)), "seed {seed}: nobody waits");
                    let gates = if decision.approved { &mut open } else { &mut shut };
                    assert!(gates.insert((*item, *gate)), "seed {seed}: decided twice");
                    passed += u32::from(decision.approved);
                    refused += u32::from(!decision.approved);
                }
                EventKind::Item(item, ItemEvent::GateExpired(gate)) => {
                    assert!(waits.remove(&(*item, *gate)), "seed {seed}: nobody waits");
                    shut.insert((*item, *gate));
                    expired += 1;
                }
                EventKind::Item(item, ItemEvent::RoundBegan { repeat, .. }) => {
                    let again = |gate: GateId| match graph.gate(gate).map(|gate| gate.of) {
                        Some(GateOf::Step(step)) => graph.repeats[repeat.index()].contains(step),
                        _ => false,
                    };
                    open.retain(|(other, gate)| other != item || !again(*gate));
                    shut.retain(|(other, gate)| other != item || !again(*gate));
                }
                EventKind::Item(item, ItemEvent::Requeued) => {
                    // What is not asked again on this visit stays open.
                    shut.retain(|(other, _)| other != item);
                    waits.retain(|(other, _)| other != item);
                    let same = |event: &&Event| {
                        let ends = |change: &ItemEvent| {
                            matches!(change, ItemEvent::Requeued | ItemEvent::RoundBegan { .. })
                        };
                        !matches!(&event.kind, EventKind::Item(of, change) if of == item && ends(change))
                    };
                    let visit = || events[index + 1..].iter().take_while(same);
                    open.retain(|(other, gate)| {
                        let again = |event: &Event| matches!(&event.kind, EventKind::Item(of, ItemEvent::GateReached { gate: at, .. }) if (of, at) == (other, gate));
                        other != item || !visit().any(again)
                    });
                }
                EventKind::Item(item, ItemEvent::Settled { .. }) => {
                    waits.retain(|(other, _)| other != item);
                }
                EventKind::Run(RunEvent::StepsEnded(_)) => waits.retain(|(item, _)| *item != ItemId::RUN),
                EventKind::Attempt(item, step, _, AttemptEvent::Started) => {
                    for gate in &graph.step(step.step).gates {
                        assert!(open.contains(&(*item, *gate)), "seed {seed}: {step:?} passed {gate:?}");
                    }
                }
                _ => {}
            }
        }
    }
    let all = (passed, refused, expired, standing);
    assert!(passed > 300 && refused > 100 && expired > 50 && standing > 20, "{all:?}");
}
