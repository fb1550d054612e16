//! Steps that had run once for all items, and run again because an item did: what they take, under which visit, and what
//! becomes of what they did before.

use super::*;

const SUM: u32 = 1;
const TELL: u32 = 2;
const UNSUM: u32 = 3;

/// A step of each item, and two for all of them, of which the first can be undone.
fn summed() -> Graph {
    let mut steps = vec![
        step("A", &[], None),
        step("Sum", &[(0, true)], None),
        step("Tell", &[(1, true)], None),
        step("Unsum", &[], None),
    ];
    steps[3].kind = Kind::Compensation;
    let takes =
        |value| Takes { value, optional: false, role: Role::Given, feedback: None, makers: Vec::new() };
    steps[3].inputs = vec![takes(ValueId(0)), takes(ValueId(1))];
    steps[1].compensate = Some(StepId(UNSUM));
    steps[1..].iter_mut().for_each(|step| step.once = true);
    let mut graph = graph(steps);
    graph.gathered = vec![ValueId(0)];
    graph
}

/// Two items, of which the second fails.
fn failed(graph: Graph) -> Hand {
    let mut hand = Hand::new(graph);
    hand.give(EngineInput::Admit { key: "l".into(), inputs: Vec::new() });
    hand.give(EngineInput::NoMoreItems);
    hand.answer(0, Ok(10.into()));
    hand.answer_as(ItemId(1), StepId(0).into(), Err("no"));
    hand
}

impl Hand {
    fn answer_run(&mut self, step: u32, result: Result<Value, &str>) {
        self.answer_as(ItemId::RUN, StepId(step).into(), result);
    }

    /// The same run after its runner has died, with these items to run again.
    fn again(self, graph: Graph, retried: &[ItemId]) -> Hand {
        let Hand { out, now, .. } = self;
        let mut retries = Retries::default();
        out.events.iter().for_each(|event| retries.see(event));
        retried.iter().for_each(|item| retries.add(*item));
        let mut run = Run::new(Arc::new(graph), policy());
        for event in &out.events {
            run.recall_past(event, &mut retries).unwrap();
        }
        let mut hand = Hand { run, out, now };
        let retried: Vec<RetryRequest> = retried.iter().map(|item| RetryRequest::of(*item)).collect();
        hand.run.resume(&retried, now, &mut hand.out);
        hand
    }

    /// Visits and inputs of all that was asked of a step for all items, by the number of the attempt.
    fn asked(&self, step: u32) -> Vec<(u32, u32, Vec<Value>)> {
        let of = |effect: &Effect| match effect {
            Effect::Call(call) if (call.item, call.step.step) == (ItemId::RUN, StepId(step)) => {
                let inputs = call.inputs.iter().map(|(_, value)| (**value).clone()).collect();
                Some((call.attempt, call.visit, inputs))
            }
            _ => None,
        };
        self.out.effects.iter().filter_map(of).collect()
    }

    fn ends(&self) -> Vec<ItemState> {
        let end = |event: &Event| match &event.kind {
            EventKind::Run(RunEvent::StepsEnded(Settlement { state, .. })) => Some(*state),
            _ => None,
        };
        self.out.events.iter().filter_map(end).collect()
    }
}

#[test]
fn what_was_done_before_is_undone_and_all_is_done_anew_for_all_results() {
    let mut hand = failed(summed());
    hand.answer_run(SUM, Ok(1.into()));
    hand.answer_run(TELL, Ok(2.into()));
    assert_eq!(hand.ends(), [ItemState::Succeeded]);
    let mut hand = hand.again(summed(), &[ItemId(1)]);
    assert_eq!(hand.asked(UNSUM), [], "nothing before the item has ended");
    hand.answer_as(ItemId(1), StepId(0).into(), Ok(20.into()));
    assert_eq!(hand.asked(UNSUM), [(1, 0, vec![json!([10]), json!(1)])], "by what it was done for");
    assert_eq!(hand.asked(SUM).len(), 1, "not before that is undone");
    hand.answer_run(UNSUM, Ok(3.into()));
    hand.answer_run(SUM, Ok(4.into()));
    hand.answer_run(TELL, Ok(5.into()));
    assert_eq!(hand.asked(SUM), [(1, 0, vec![json!([10])]), (2, 1, vec![json!([10, 20])])]);
    assert_eq!(hand.asked(TELL), [(1, 0, vec![json!(1)]), (2, 1, vec![json!(4)])]);
    assert_eq!(hand.ends(), [ItemState::Succeeded; 2]);
    assert_eq!(hand.run.run_steps().map(|end| end.state), Some(ItemState::Succeeded));
}

#[test]
fn what_cannot_be_undone_keeps_them_from_running_again_until_it_is() {
    let mut hand = failed(summed());
    hand.answer_run(SUM, Ok(1.into()));
    hand.answer_run(TELL, Err("no"));
    hand.answer_run(UNSUM, Err("closed"));
    assert_eq!(hand.ends(), [ItemState::CompensationFailed]);
    let mut hand = hand.again(summed(), &[ItemId(1)]);
    hand.answer_as(ItemId(1), StepId(0).into(), Ok(20.into()));
    hand.answer_run(UNSUM, Err("still closed"));
    assert_eq!(hand.ends(), [ItemState::CompensationFailed; 2]);
    let Settlement { error, uncompensated, .. } = hand.run.run_steps().unwrap();
    let why = "what they did before cannot be compensated, so they did not run again";
    assert_eq!(error.as_ref().map(|error| error.message.as_str()), Some(why));
    assert_eq!(
        uncompensated.iter().map(|error| error.message.as_str()).collect::<Vec<_>>(),
        ["still closed"]
    );
    // They are what has failed now, and go on with what the items have made.
    let mut hand = hand.again(summed(), &[ItemId::RUN]);
    hand.answer_run(UNSUM, Ok(3.into()));
    hand.answer_run(SUM, Ok(4.into()));
    hand.answer_run(TELL, Ok(5.into()));
    let visits: Vec<(u32, u32)> =
        hand.asked(UNSUM).iter().map(|(attempt, visit, _)| (*attempt, *visit)).collect();
    assert_eq!(visits, [(1, 0), (2, 0), (3, 0)], "one effect, undone under one key");
    assert_eq!(hand.asked(SUM), [(1, 0, vec![json!([10])]), (2, 1, vec![json!([10, 20])])]);
    assert_eq!(hand.ends().last(), Some(&ItemState::Succeeded));
}

/// Whoever gives a run up in between has what the earlier visit did undone no further, and nothing done again.
#[test]
fn a_run_that_is_given_up_meanwhile_does_not_begin_them_again() {
    let mut hand = failed(summed());
    hand.answer_run(SUM, Ok(1.into()));
    hand.answer_run(TELL, Ok(2.into()));
    let mut hand = hand.again(summed(), &[ItemId(1)]);
    hand.give(EngineInput::Stop(StopReason::Cancelled));
    hand.answer_as(ItemId(1), StepId(0).into(), Err("stopped"));
    assert!(hand.run.is_idle());
    assert_eq!((hand.asked(SUM).len(), hand.asked(UNSUM).len()), (1, 0));
    assert_eq!(hand.run.run_steps().map(|end| end.state), Some(ItemState::Succeeded), "as they ended");
    let left: Vec<StepId> = hand.run.not_run().collect();
    assert!(left.contains(&StepId(SUM)) && left.contains(&StepId(TELL)), "{left:?}");
}

#[test]
fn one_that_is_given_up_while_they_are_undone_does_not_begin_them_again_either() {
    let mut hand = failed(summed());
    hand.answer_run(SUM, Ok(1.into()));
    hand.answer_run(TELL, Ok(2.into()));
    let mut hand = hand.again(summed(), &[ItemId(1)]);
    hand.answer_as(ItemId(1), StepId(0).into(), Ok(20.into()));
    hand.give(EngineInput::Stop(StopReason::Cancelled));
    hand.answer_run(UNSUM, Ok(3.into()));
    assert!(hand.run.is_idle());
    assert_eq!(hand.asked(SUM).len(), 1);
    assert_eq!(hand.ends(), [ItemState::Succeeded, ItemState::Compensated]);
}

/// A handler for all items is called for the failures of a first visit, and not where there are none any more.
#[test]
fn handlers_for_all_items_are_told_of_the_failures_of_their_visit() {
    let handled = || {
        let mut steps = vec![step("A", &[], None), step("H", &[], None)];
        (steps[1].kind, steps[1].once) = (Kind::Handler, true);
        let failures = ValueId(2);
        steps[1].inputs = vec![Takes {
            value: failures,
            optional: false,
            role: Role::Failure,
            feedback: None,
            makers: Vec::new(),
        }];
        let mut graph = graph(steps);
        graph.values.push(ValueInfo { name: "failed_items".into(), ty: None, adopted: false });
        graph
    };
    let mut hand = failed(handled());
    let told = |hand: &Hand| -> Vec<(u32, usize)> {
        let told = hand.asked(1).into_iter();
        told.map(|(_, visit, inputs)| (visit, inputs[0].as_array().map_or(0, Vec::len))).collect()
    };
    assert_eq!(told(&hand), [(0, 1)]);
    hand.answer_run(1, Ok(1.into()));
    let mut hand = hand.again(handled(), &[ItemId(1)]);
    hand.answer_as(ItemId(1), StepId(0).into(), Err("no"));
    assert_eq!(told(&hand).last(), Some(&(1, 1)), "of another failure, under another key");
    hand.answer_run(1, Ok(1.into()));
    let mut hand = hand.again(handled(), &[ItemId(1)]);
    hand.answer_as(ItemId(1), StepId(0).into(), Ok(20.into()));
    assert_eq!(told(&hand).len(), 2, "nothing has failed any more");
    assert_eq!(hand.ends(), [ItemState::Succeeded; 3]);
}
