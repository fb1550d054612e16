//! Items in the states that the document draws: which step may start, and what its success leads to.

use super::*;
use crate::graph::{Passage, StateId};

fn passage(from: &[u32], to: Option<u32>) -> Option<Passage> {
    Some(Passage { from: from.iter().copied().map(StateId).collect(), to: to.map(StateId) })
}

/// Steps in a row that depend on each other's order only; an item begins in the state 0.
fn row(steps: Vec<(&str, Option<Mark>, Option<Passage>)>) -> Graph {
    let chain = |(index, (title, mark, state)): (usize, (&str, Option<Mark>, Option<Passage>))| {
        let needs = index.checked_sub(1).map(|before| (before as u32, false));
        let mut step = step(title, needs.as_slice(), mark);
        step.state = state;
        step
    };
    let mut graph = graph(steps.into_iter().enumerate().map(chain).collect());
    graph.states = ["open", "paid", "sent", "lost"].map(str::to_owned).to_vec();
    graph.initial = Some(StateId(0));
    graph
}

impl Hand {
    fn lifecycle(&self) -> Option<u32> {
        self.run.lifecycle(ItemId(0)).map(|state| state.0)
    }

    fn errors(&self) -> Vec<&str> {
        let executions = self.out.events.iter().filter_map(|event| match event {
            Event::StepEnded { execution, .. } => Some(execution),
            _ => None,
        });
        executions.filter_map(|execution| execution.error.as_deref()).collect()
    }

    /// The state that the item was in before it ended.
    fn last_lifecycle(&self, graph: Graph) -> Option<u32> {
        let ended = self.out.events.iter().take_while(|event| !matches!(event, Event::ItemSettled { .. }));
        Run::fold(Arc::new(graph), policy(), ended).lifecycle(ItemId(0)).map(|state| state.0)
    }
}

#[test]
fn success_leads_to_the_next_state_and_failure_does_not() {
    let mut hand = Hand::new(row(vec![
        ("Pay", None, passage(&[0], Some(1))),
        ("Look", None, passage(&[0, 1], None)),
        ("Send", Some(Mark::Optional), passage(&[1], Some(2))),
        ("Wait", None, None),
    ]));
    assert_eq!(hand.lifecycle(), Some(0));
    hand.answer(0, Ok(1.into()));
    assert_eq!(hand.lifecycle(), Some(1));
    hand.answer(1, Ok(1.into()));
    assert_eq!(hand.lifecycle(), Some(1));
    hand.answer(2, Err("no"));
    assert_eq!(hand.lifecycle(), Some(1));
    hand.answer(3, Ok(1.into()));
    assert_eq!(hand.state(), Some(ItemState::Succeeded));
}

#[test]
fn a_step_does_not_start_in_another_state() {
    let mut hand = Hand::new(row(vec![
        ("Pay", Some(Mark::Optional), passage(&[0], Some(1))),
        ("Send", None, passage(&[1, 3], Some(2))),
    ]));
    hand.answer(0, Err("no"));
    assert_eq!(hand.starts(1), 0);
    assert_eq!(hand.errors(), ["no", "it starts in the state `paid` or `lost`, and the item is in `open`"]);
    assert_eq!(hand.state(), Some(ItemState::Failed));
}

/// How the part came to its first step, nothing says.
#[test]
fn a_part_of_a_workflow_begins_in_the_state_of_its_first_step() {
    let mut graph = row(vec![("Send", None, passage(&[1], None)), ("Lose", None, passage(&[0], Some(3)))]);
    graph.initial = None;
    let mut hand = Hand::new(graph);
    hand.answer(0, Ok(1.into()));
    assert_eq!(hand.lifecycle(), None, "the item has ended");
    assert_eq!(hand.errors(), ["it starts in the state `open`, and the item is in `paid`"]);
}

fn undoing(mut hand_over: Graph, undone: u32, by: Option<Passage>) -> Graph {
    let id = StepId(hand_over.steps.len() as u32);
    let mut undo = step("Undo", &[], None);
    (undo.kind, undo.state) = (Kind::Compensation, by);
    undo.outputs = vec![crate::graph::Output { value: ValueId(id.0), optional: false }];
    hand_over.values.push(crate::graph::ValueInfo { name: "undone".into(), ty: None });
    hand_over.steps.push(undo);
    hand_over.steps[undone as usize].compensate = Some(id);
    hand_over
}

#[test]
fn what_undoes_a_step_moves_the_item_where_it_may_and_runs_in_any_state() {
    let steps = || row(vec![("Pay", None, passage(&[0], Some(1))), ("Send", None, passage(&[1], None))]);
    for (from, ends) in [(vec![1], 3), (vec![2], 1)] {
        let graph = || undoing(steps(), 0, passage(&from, Some(3)));
        let mut hand = Hand::new(graph());
        hand.answer(0, Ok(1.into()));
        hand.answer(1, Err("no"));
        assert_eq!(hand.starts(2), 1, "from {from:?}");
        hand.answer(2, Ok(1.into()));
        assert_eq!(hand.state(), Some(ItemState::Compensated));
        assert_eq!(hand.last_lifecycle(graph()), Some(ends), "from {from:?}");
    }
}

/// What a handler made of the item is void when it puts the item back; the steps that stay done are not.
#[test]
fn an_item_that_is_put_back_is_where_its_steps_have_led_it() {
    let mut graph = row(vec![("Pay", None, passage(&[0], Some(1))), ("Send", None, passage(&[1], Some(2)))]);
    let mut handler = step("Lose", &[], Some(Mark::Optional));
    (handler.kind, handler.state) = (Kind::Handler, passage(&[1], Some(3)));
    handler.outputs = vec![crate::graph::Output { value: ValueId(2), optional: false }];
    graph.values.push(crate::graph::ValueInfo { name: "retry_it".into(), ty: None });
    graph.steps.push(handler);
    let mut hand = Hand::new(graph);
    hand.answer(0, Ok(1.into()));
    hand.answer(1, Err("no"));
    assert_eq!(hand.lifecycle(), Some(1));
    hand.answer(2, Ok(true.into()));
    assert_eq!((hand.lifecycle(), hand.starts(1)), (Some(1), 2));
    hand.answer(1, Ok(1.into()));
    assert_eq!(hand.state(), Some(ItemState::Succeeded));
}
