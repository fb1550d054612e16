//! Budgets: no attempt starts once one is spent, in any session and by any item.

use super::*;
use crate::engine::Call;
use crate::event::BUDGET;
use crate::spec::{Backoff, Retry};
use crate::value::budget::{Budget, Spent};
use crate::value::dollars::Dollars;

/// What was spent, by item and step.
type Spendings = BTreeMap<(ItemId, StepId), Spent>;

fn take(spent: &mut Spendings, event: &Event) {
    let EventKind::Attempt(item, path, _, AttemptEvent::Finished(answer)) = &event.kind else { return };
    let (tokens, columns) = match answer {
        Ok(reply) => (reply.tokens_used, &reply.columns),
        Err(failure) => (failure.tokens_used, &failure.columns),
    };
    let cost = columns.iter().find(|(name, _)| **name == *"cost_usd");
    let dollars = cost.map(|(_, cost)| Dollars::parse(&cost.to_string()).unwrap());
    spent.entry((*item, path.step)).or_default().add(Spent { tokens: tokens.unwrap_or(0), dollars });
}

fn sum(spent: &Spendings, of: impl Fn(ItemId, StepId) -> bool) -> Spent {
    let mut sum = Spent::default();
    spent.iter().filter(|((item, step), _)| of(*item, *step)).for_each(|(_, one)| sum.add(*one));
    sum
}

/// The budgets that this step of this item spends from, and what was spent of each.
fn budgets(graph: &Graph, spent: &Spendings, item: ItemId, id: StepId) -> Vec<(Budget, Spent)> {
    let step = graph.step(id);
    let own = |budget| (budget, sum(spent, |of, step| of == item && step == id));
    let mut all: Vec<_> = step.budget.map(own).into_iter().collect();
    for (index, group) in graph.groups.iter().enumerate() {
        let inside = |id: StepId| {
            let mut group = graph.step(id).group;
            while group.is_some_and(|group| group != index) {
                group = group.and_then(|group| graph.groups[group].parent);
            }
            group.is_some()
        };
        if let Some(budget) = group.budget.filter(|_| inside(id)) {
            all.push((budget, sum(spent, |of, step| of == item && inside(step))));
        }
    }
    let of_item = graph.settings.budget.filter(|_| item != ItemId::RUN);
    all.extend(of_item.map(|budget| (budget, sum(spent, |of, _| of == item))));
    all.extend(
        graph.settings.run_budget.filter(|_| !step.always).map(|budget| (budget, sum(spent, |_, _| true))),
    );
    all
}

fn is_over((budget, spent): &(Budget, Spent)) -> bool {
    budget.tokens.is_some_and(|most| spent.tokens >= most)
        || budget.dollars.is_some_and(|most| spent.dollars.unwrap_or_default() >= most)
}

/// Checks every start and every refusal. Returns how many executions were refused, and how many compensations started
/// although a budget was spent.
fn check(seed: u64, graph: &Graph, events: &[Event]) -> (u32, u32) {
    let (mut refused, mut undone) = (0, 0);
    let mut spent = Spendings::new();
    for event in events {
        match &event.kind {
            EventKind::Attempt(item, path, _, AttemptEvent::Started) => {
                let over = budgets(graph, &spent, *item, path.step).iter().any(is_over);
                match graph.step(path.step).kind {
                    Kind::Compensation => undone += u32::from(over),
                    Kind::Forward | Kind::Handler => {
                        assert!(!over, "seed {seed}: {path:?} of {item:?} starts over budget: {events:#?}");
                    }
                }
            }
            EventKind::Step(item, StepEvent::Ended(end)) if end.code.as_deref() == Some(BUDGET) => {
                let over = budgets(graph, &spent, *item, end.step).iter().any(is_over);
                assert!(over, "seed {seed}: {end:?} of {item:?} is refused within its budget: {events:#?}");
                // A timeout that is not retried remains one.
                assert!(matches!(end.status, Status::Failed | Status::Timeout), "seed {seed}: {end:?}");
                refused += 1;
            }
            _ => {}
        }
        take(&mut spent, event);
    }
    (refused, undone)
}

#[test]
fn no_attempt_starts_after_the_budget_is_spent() {
    let (mut refused, mut undone, mut again) = (0, 0, 0);
    for seed in seeds(1000) {
        let (graph, policy, _, first, run) = simulate(seed);
        let mut total = Spent::default();
        first.iter().for_each(|event| super::super::spend(&mut total, event));
        assert_eq!(*run.spent(), total, "seed {seed}");
        let found = check(seed, &graph, &first);
        refused += found.0;
        undone += found.1;
        // What was spent counts in a retry, too.
        let retried: Vec<ItemId> = run.dead_letters().iter().map(|letter| letter.item).collect();
        if !retried.is_empty() && found.0 > 0 {
            let (second, _) = go_on(seed, (&graph, &policy), &first, &retried);
            again += check(seed, &graph, &[first, second].concat()).0 - found.0;
        }
    }
    assert!(refused > 200 && undone > 20 && again > 50, "{refused} refused, {undone} undone, {again} again");
}

/// One step that is tried three times, and the tokens of each attempt.
fn tried(budget: Budget, tokens: u64) -> Vec<Event> {
    let mut step = step("Ask", &[], None);
    step.retry = Some(Retry { retries: 2, backoff: Backoff::Fixed(Duration::from_millis(5)) });
    step.budget = Some(budget);
    let graph = Arc::new(graph(vec![step]));
    let mut run = Run::new(graph.clone(), Policy::of(&graph, Limits::jobs(1)));
    let mut out = Out::default();
    let (mut now, mut events) = (0, Vec::new());
    run.handle(EngineInput::Admit { key: "one".into(), inputs: Vec::new() }, now, &mut out);
    run.handle(EngineInput::NoMoreItems, now, &mut out);
    while !out.effects.is_empty() {
        events.append(&mut out.events);
        for effect in std::mem::take(&mut out.effects) {
            now += 10;
            match effect {
                Effect::Call(Call { item, step, attempt, left, .. }) => {
                    let left = left.unwrap();
                    assert!(!left.is_spent());
                    let failure = Failure::new(Cause::Exit(1), "busy".into(), Outcome::Failed, true);
                    let result = Err(Box::new(Failure { tokens_used: Some(tokens), ..failure }));
                    run.handle(EngineInput::Finished { item, step, attempt, result }, now, &mut out);
                }
                Effect::Timer { timer, .. } => run.handle(EngineInput::Due(timer), now, &mut out),
                Effect::Stop { .. } | Effect::Ask(_) | Effect::Publish { .. } | Effect::Deliver(_) => {}
            }
        }
    }
    events.append(&mut out.events);
    events
}

#[test]
fn what_failed_attempts_spend_counts_and_the_last_answer_is_kept() {
    let ends = |budget, tokens| {
        let events = tried(Budget { tokens: Some(budget), dollars: None }, tokens);
        let ended = |event: &Event| match &event.kind {
            EventKind::Step(_, StepEvent::Ended(end)) => Some(end.clone()),
            _ => None,
        };
        let end = events.iter().find_map(ended).unwrap();
        (end.attempt, end.tokens_used, end.code, end.error.unwrap())
    };
    let spent = |of: &str| format!("busy; not retried: the step's budget is spent: {of}");
    let code = || Some("budget".to_owned());
    assert_eq!(ends(10, 10), (Some(1), Some(10), code(), spent("10 of 10 tokens")));
    assert_eq!(ends(1500, 1000), (Some(2), Some(2000), code(), spent("2,000 of 1,500 tokens")));
    assert_eq!(ends(21, 10), (Some(3), Some(30), None, "busy".to_owned()));
}
