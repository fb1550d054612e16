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
        let executions = self.out.events.iter().filter_map(|event| match &event.kind {
            EventKind::Step(_, StepEvent::Ended(execution)) => Some(execution),
            _ => None,
        });
        executions.filter_map(|execution| execution.error.as_deref()).collect()
    }

    /// The state that the item was in before it ended.
    fn last_lifecycle(&self, graph: Graph) -> Option<u32> {
        let ended = self
            .out
            .events
            .iter()
            .take_while(|event| !matches!(&event.kind, EventKind::Item(_, ItemEvent::Settled { .. })));
        Run::fold(Arc::new(graph), policy(), ended).unwrap().lifecycle(ItemId(0)).map(|state| state.0)
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
    hand_over.values.push(crate::graph::ValueInfo { name: "undone".into(), ty: None, adopted: false });
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
    graph.values.push(crate::graph::ValueInfo { name: "retry_it".into(), ty: None, adopted: false });
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

/// A document whose steps speak of states at random; step `n` makes the value `v<n>`.
pub fn document(seed: u64) -> String {
    let dice = |step: u64, what: u64, below| roll(seed, &[80, step, what], below);
    let states = ["a", "b", "c"];
    let arrows = states.iter().flat_map(|from| states.map(|to| format!("    {from} --> {to}\n")));
    let hurry = if dice(0, 22, 4) == 0 { "---\ndeadline: 30ms\n---\n\n" } else { "" };
    let mut text = format!(
        "{hurry}# Test\n\n```mermaid\nstateDiagram-v2\n    [*] --> a\n{}```\n",
        arrows.collect::<String>()
    );
    let passage = |step: u64| {
        let from: Vec<&str> =
            (0..3).filter(|at| dice(step, 10 + at, 5) < 3).map(|at| states[at as usize]).collect();
        let to = (dice(step, 13, 3) > 0).then(|| format!(" -> {}", states[dice(step, 14, 3) as usize]));
        let said = format!("[state:: {}{}]", from.join(", "), to.unwrap_or_default());
        if from.is_empty() || dice(step, 15, 3) == 0 { String::new() } else { said }
    };
    let (forward, undoing) = (2 + dice(0, 20, 5), dice(0, 21, 3));
    for step in 0..forward {
        let mark = ["", "!", "?", "?"][dice(step, 1, 4) as usize];
        let takes: Vec<String> = (0..step)
            .filter(|other| dice(step, 30 + other, 3) == 0)
            .map(|other| format!("v{other}{}", if dice(step, 40 + other, 2) == 0 { "?" } else { "" }))
            .collect();
        let when = match dice(step, 2, 6) {
            0 if step > 0 => format!("[when:: v0 {} 400]", [">", "<="][dice(step, 3, 2) as usize]),
            _ => String::new(),
        };
        let lasting = if dice(step, 4, 6) == 0 { "[irreversible]" } else { "" };
        let undo = match dice(step, 5, 2) {
            0 if undoing > 0 && lasting.is_empty() => format!("[compensate:: U{}]", dice(step, 6, undoing)),
            _ => String::new(),
        };
        let makes = if takes.is_empty() { format!("-> v{step}") } else { String::new() };
        text += &format!("\n## S{step} {makes} @x {mark} {when} {lasting} {undo} {}\n", passage(step));
        if !takes.is_empty() {
            text += &format!("\n{} -> v{step}\n", takes.join(", "));
        }
        let later = step + 1 + dice(step, 7, 3);
        match dice(step, 8, 4) {
            0 if later < forward => text += &format!("\nIf v{step} > 300 -> S{later}\n"),
            1 if later + 1 < forward => {
                text += &format!("\nIf v{step} > 300 -> S{later}\nOtherwise -> S{}\n", later + 1);
            }
            2 => {
                text +=
                    &format!("\nIf v{step} > 700 -> {}\n", ["end", "fail \"no\""][dice(step, 9, 2) as usize])
            }
            _ => {}
        }
    }
    for undo in 0..undoing {
        text += &format!("\n## U{undo} -> u{undo} @x {}\n", passage(100 + undo));
    }
    text + &format!("\n## Tell @x {}\n\nfailed_items -> told\n", passage(200))
}

/// What is not told beforehand does not happen: on no way does a step come in a state in which it does not start. Only
/// compensations are taken to succeed.
#[test]
fn no_item_is_in_a_state_that_was_not_foreseen() {
    let (mut clean, mut undone) = (0, 0);
    for seed in seeds(700) {
        let source = crate::diag::Source::new("test.md", document(seed));
        let (spec, problems) = crate::spec::parse(&source);
        assert!(problems.iter().all(|problem| !problem.is_error()), "{problems:?}\n{}", source.text);
        let (Some(mut graph), problems) = crate::graph::build(&source, &spec) else { continue };
        if problems.iter().any(|problem| problem.code == "doubtful-state") {
            continue;
        }
        clean += 1;
        // Whoever may hang is given a time, so that every run ends.
        graph.steps.iter_mut().for_each(|step| step.timeout = Some(Duration::from_millis(20)));
        let graph = Arc::new(graph);
        for world in 0..5 {
            let mut run = Run::new(graph.clone(), policy());
            let events = World::new(seed * 100 + world, graph.clone()).live(&mut run, &mut Out::default());
            undone += foreseen(&graph, &events)
                .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", source.text));
        }
    }
    assert!(clean > 100 && undone > 100, "{clean} documents, {undone} compensations");
}

/// Counts the compensations that speak of states; an error where a step came in one in which it does not start.
fn foreseen(graph: &Arc<Graph>, events: &[Event]) -> Result<u32, String> {
    let mut run = Run::new(graph.clone(), policy());
    let mut stuck: BTreeSet<ItemId> = BTreeSet::new();
    let mut undone = 0;
    for event in events {
        match &event.kind {
            EventKind::Step(item, StepEvent::Ended(execution))
                if execution.status == Status::CompensationFailed =>
            {
                stuck.insert(*item);
            }
            EventKind::Step(item, StepEvent::Ended(execution)) if !stuck.contains(item) => {
                let error = execution.error.as_deref().unwrap_or_default();
                if error.contains("starts in the state") {
                    return Err(format!("{}: {error}", graph.step(execution.step).title));
                }
            }
            EventKind::Attempt(item, step, _, AttemptEvent::Started) if !stuck.contains(item) => {
                let step = graph.step(step.step);
                if let (Some(passage), Some(now)) = (&step.state, run.lifecycle(*item)) {
                    undone += u32::from(step.kind == Kind::Compensation);
                    if !passage.from.contains(&now) {
                        return Err(format!("{} began in {now:?}", step.title));
                    }
                }
            }
            _ => {}
        }
        run.recall(event).unwrap();
    }
    Ok(undone)
}
