//! How long an agent asks to be left alone: the longer of that and the backoff, and never past a deadline.

use super::*;
use crate::spec::{Backoff, Retry as Retries};

fn busy(asked: u64) -> Box<Failure> {
    let failure = Failure::new(Cause::Refused, "busy".into(), Outcome::Failed, true);
    Box::new(Failure { retry_after_ms: Some(asked), ..failure })
}

/// What follows a failure at 2 ms that asks for this pause, where the backoff is 100 ms.
fn after(asked: u64, change: impl FnOnce(&mut Graph), until: Option<Millis>) -> String {
    let mut one = step("A", &[], None);
    one.retry = Some(Retries { retries: 3, backoff: Backoff::Fixed(Duration::from_millis(100)) });
    let mut graph = graph(vec![one]);
    change(&mut graph);
    let mut hand = Hand { run: Run::new(Arc::new(graph), policy()), out: Out::default(), now: 0 };
    hand.run.stop_at(until);
    hand.give(EngineInput::Admit { key: "k".into(), inputs: Vec::new() });
    hand.give(EngineInput::Finished {
        item: ItemId(0),
        step: StepId(0).into(),
        attempt: 1,
        result: Err(busy(asked)),
    });
    let told = hand.out.events.iter().find_map(|event| match &event.kind {
        EventKind::Attempt(_, _, 2, AttemptEvent::RetryScheduled { due }) => Some(format!("due at {due}")),
        EventKind::Step(_, StepEvent::Ended(execution)) => {
            Some(format!("{}: {}", execution.status.name(), execution.error.as_deref().unwrap()))
        }
        _ => None,
    });
    told.unwrap()
}

#[test]
fn the_longer_pause_counts_up_to_an_hour() {
    for (asked, expected) in [
        (0, "due at 102"),
        (99, "due at 102"),
        (101, "due at 103"),
        (90_000, "due at 90002"),
        (3_600_000, "due at 3600002"),
        (3_600_001, "due at 3600002"),
        (u64::MAX, "due at 3600002"),
    ] {
        assert_eq!(after(asked, |_| {}, None), expected, "{asked}");
    }
}

#[test]
fn a_pause_that_passes_a_deadline_fails_the_step_at_once() {
    let time = |millis| Some(Duration::from_millis(millis));
    let grouped = |graph: &mut Graph| {
        graph.groups = vec![Group {
            title: "G".into(),
            parent: None,
            parallel: false,
            deadline: time(5000),
            budget: None,
        }];
        graph.steps[0].group = Some(0);
    };
    let stepped = |deadline| move |graph: &mut Graph| graph.steps[0].deadline = time(deadline);
    let asks = "failed: busy; not retried: the agent asks for a pause of";
    assert_eq!(after(4998, stepped(5000), None), "due at 5000");
    assert_eq!(after(5000, stepped(5000), None), format!("{asks} 5s, and the step's deadline is earlier"));
    assert_eq!(after(6000, grouped, None), format!("{asks} 6s, and the group's deadline is earlier"));
    let item = |graph: &mut Graph| graph.settings.deadline = time(5000);
    assert_eq!(after(90_000, item, None), format!("{asks} 90s, and the item's deadline is earlier"));
    assert_eq!(after(4000, item, None), "due at 4002");
    assert_eq!(after(90_000, |_| {}, Some(5000)), format!("{asks} 90s, and the run's deadline is earlier"));
    assert_eq!(after(4000, |_| {}, Some(5000)), "due at 4002");
    // The earliest of them is named.
    assert_eq!(after(9000, item, Some(4000)), format!("{asks} 9s, and the run's deadline is earlier"));
    // So is a backoff that is too long by itself.
    let backoff = "failed: busy; not retried: the backoff is 100ms, and the step's deadline is earlier";
    assert_eq!(after(0, stepped(50), None), backoff);
}
