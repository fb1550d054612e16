//! An agent that reports that it cannot work at all is not asked again in this session; whatever does not need it goes on.

use super::*;
use crate::event::UNAVAILABLE;
use crate::spec::{Backoff, Retry as Retries};

fn broke(message: &str) -> Box<Failure> {
    let failure = Failure::new(Cause::Refused, message.into(), Outcome::Failed, true);
    Box::new(Failure { unavailable: true, ..failure })
}

fn busy() -> Box<Failure> {
    Box::new(Failure::new(Cause::Refused, "busy".into(), Outcome::Failed, true))
}

/// A step of the agent `writer`, with retries.
fn written(phase: &str, needs: &[(u32, bool)]) -> crate::graph::Step {
    let mut step = step(phase, needs, None);
    step.agent = Some("writer".into());
    step.retry = Some(Retries { retries: 3, backoff: Backoff::Fixed(Duration::from_secs(60)) });
    step
}

fn admitted(hand: &mut Hand) {
    hand.give(EngineInput::Admit { key: "k".into(), inputs: Vec::new() });
}

fn finish(hand: &mut Hand, item: u64, step: u32, result: crate::event::Answer) {
    let (item, step) = (ItemId(item), StepPath::from(StepId(step)));
    let attempt = hand.last(item, step);
    hand.give(EngineInput::Finished { item, step, attempt, result });
}

/// The rows, each as `item step status #attempts [code]: error`.
fn rows(events: &[Event]) -> Vec<String> {
    let row = |event: &Event| match &event.kind {
        EventKind::Step(item, StepEvent::Ended(execution)) => {
            let attempt = execution.attempt.map_or("-".into(), |attempt| attempt.to_string());
            let code = execution.code.as_ref().map(|code| format!(" [{code}]")).unwrap_or_default();
            let error = execution.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
            let (step, status) = (execution.step.0, execution.status.name());
            Some(format!("{} {step} {status} #{attempt}{code}{error}", item.0))
        }
        _ => None,
    };
    events.iter().filter_map(row).collect()
}

#[test]
fn other_steps_of_the_agent_fail_without_an_attempt_and_other_agents_go_on() {
    let mut other = step("B", &[], None);
    other.agent = Some("printer".into());
    let mut hand = Hand::new(graph(vec![written("A", &[]), other, written("C", &[(1, false)])]));
    finish(&mut hand, 0, 0, Err(broke("no credit")));
    admitted(&mut hand);
    finish(&mut hand, 0, 1, Ok(Reply::default()));
    finish(&mut hand, 1, 1, Ok(Reply::default()));
    let why = "[agent_unavailable]: agent `writer` is unavailable: no credit";
    assert_eq!(
        rows(&hand.out.events),
        [
            "0 0 failed #1: no credit".to_owned(),
            format!("1 0 failed #- {why}"),
            "0 1 success #1".to_owned(),
            format!("0 2 failed #- {why}"),
            "1 1 success #1".to_owned(),
            format!("1 2 failed #- {why}"),
        ]
    );
    let [unavailable] = hand.run.unavailable() else { panic!("{:?}", hand.run.unavailable()) };
    assert_eq!((unavailable.message.as_str(), unavailable.refused), ("no credit", 3));
    assert!(hand.run.is_idle());
}

#[test]
fn a_step_without_an_agent_is_alone() {
    let mut hand = Hand::new(graph(vec![step("A", &[], None), step("B", &[], None)]));
    finish(&mut hand, 0, 0, Err(broke("no key")));
    admitted(&mut hand);
    finish(&mut hand, 0, 1, Ok(Reply::default()));
    finish(&mut hand, 1, 1, Ok(Reply::default()));
    let why = "1 0 failed #- [agent_unavailable]: the agent of `A` is unavailable: no key";
    assert_eq!(rows(&hand.out.events), ["0 0 failed #1: no key", why, "0 1 success #1", "1 1 success #1"]);
}

#[test]
fn what_is_in_flight_ends_by_its_answer_and_what_waits_for_another_attempt_waits_no_longer() {
    let mut hand = Hand::new(graph(vec![written("A", &[])]));
    (0..4).for_each(|_| admitted(&mut hand));
    finish(&mut hand, 4, 0, Err(busy()));
    finish(&mut hand, 0, 0, Err(broke("no credit")));
    finish(&mut hand, 1, 0, Ok(Reply::default()));
    finish(&mut hand, 2, 0, Err(busy()));
    finish(&mut hand, 3, 0, Err(broke("still no credit")));
    assert_eq!(
        rows(&hand.out.events),
        [
            "0 0 failed #1: no credit",
            "4 0 failed #1 [agent_unavailable]: busy; not retried: agent `writer` is unavailable: no credit",
            "1 0 success #1",
            "2 0 failed #1: busy; not retried: agent `writer` is unavailable: no credit",
            "3 0 failed #1: still no credit",
        ]
    );
    // The timer of the attempt that never came changes nothing.
    let before = hand.out.events.len();
    let step = StepPath::from(StepId(0));
    hand.give(EngineInput::Due(Timer::Retry { item: ItemId(4), step, attempt: 2 }));
    assert_eq!(hand.out.events.len(), before);
    assert_eq!((hand.run.unavailable().len(), hand.run.unavailable()[0].refused), (1, 0));
}

#[test]
fn the_code_alone_makes_an_agent_unavailable_too() {
    let mut hand = Hand::new(graph(vec![written("A", &[])]));
    let failure = Failure { code: Some(UNAVAILABLE.into()), ..*busy() };
    finish(&mut hand, 0, 0, Err(Box::new(failure)));
    admitted(&mut hand);
    let why = "agent `writer` is unavailable: busy";
    assert_eq!(
        rows(&hand.out.events),
        [
            "0 0 failed #1 [agent_unavailable]: busy".to_owned(),
            format!("1 0 failed #- [agent_unavailable]: {why}")
        ]
    );
}

#[test]
fn a_compensation_by_the_agent_fails_and_is_tried_again_with_a_retry() {
    let mut back = written("Back", &[]);
    back.kind = Kind::Compensation;
    let mut pay = step("Pay", &[], None);
    pay.compensate = Some(StepId(1));
    let graph = Arc::new(graph(vec![pay, back, written("Ship", &[(0, false)])]));
    let mut hand = Hand { run: Run::new(graph.clone(), policy()), out: Out::default(), now: 0 };
    admitted(&mut hand);
    finish(&mut hand, 0, 0, Ok(Reply::default()));
    finish(&mut hand, 0, 2, Err(broke("no credit")));
    let why = "[agent_unavailable]: agent `writer` is unavailable: no credit";
    assert_eq!(rows(&hand.out.events)[2], format!("0 1 compensation_failed #- {why}"));
    assert_eq!(hand.state(), Some(ItemState::CompensationFailed));

    let mut retries = crate::engine::Retries::default();
    retries.add(ItemId(0));
    let mut run = Run::new(graph, policy());
    for event in &hand.out.events {
        run.recall_past(event, &mut retries).unwrap();
    }
    let mut out = Out::default();
    run.resume(&[RetryRequest::of(ItemId(0))], 100, &mut out);
    let calls =
        out.effects.iter().filter(|effect| matches!(effect, Effect::Call(call) if call.step.step.0 == 1));
    assert_eq!((calls.count(), run.unavailable().len()), (1, 0));
}

/// The agents that are unavailable after these events: named ones by name, others by their step.
fn lost(graph: &Graph, events: &[Event]) -> BTreeSet<Result<String, StepId>> {
    let mut lost = BTreeSet::new();
    for event in events {
        match &event.kind {
            EventKind::Attempt(_, step, _, AttemptEvent::Finished(Err(failure))) if failure.unavailable => {
                lost.insert(graph.step(step.step).agent.clone().ok_or(step.step));
            }
            EventKind::Item(_, ItemEvent::Retried { .. }) => lost.clear(),
            _ => {}
        }
    }
    lost
}

#[test]
fn no_attempt_starts_with_an_unavailable_agent_and_all_others_do() {
    let (mut worlds, mut refused, mut others) = (0, 0, 0);
    for seed in seeds(1000).filter(|seed| loses_agents(*seed)) {
        let (graph, _, _, events, run) = simulate(seed);
        let agent = |path: &StepPath| graph.step(path.step).agent.clone().ok_or(path.step);
        let mut lost = BTreeSet::new();
        for event in &events {
            match &event.kind {
                EventKind::Attempt(_, step, _, AttemptEvent::Started) => {
                    assert!(!lost.contains(&agent(step)), "seed {seed}: {event:?}");
                    others += usize::from(!lost.is_empty());
                }
                EventKind::Attempt(_, step, _, AttemptEvent::RetryScheduled { .. }) => {
                    assert!(!lost.contains(&agent(step)), "seed {seed}: {event:?}");
                }
                EventKind::Attempt(_, step, _, AttemptEvent::Finished(Err(failure)))
                    if failure.unavailable =>
                {
                    lost.insert(agent(step));
                }
                EventKind::Step(_, StepEvent::Ended(execution)) => {
                    let is_refused = execution.code.as_deref() == Some(UNAVAILABLE);
                    assert!(!is_refused || lost.contains(&agent(&execution.path())), "seed {seed}");
                    refused += u64::from(is_refused && execution.attempt.is_none());
                }
                _ => {}
            }
        }
        let mut read = crate::engine::UnavailableAgents::default();
        events.iter().for_each(|event| read.see(&graph, event));
        assert_eq!((run.unavailable().len(), run.unavailable()), (lost.len(), read.all()), "seed {seed}");
        worlds += usize::from(!lost.is_empty());
    }
    assert!(
        worlds > 50 && refused > 50 && others > 50,
        "{worlds} worlds, {refused} refused, {others} others"
    );
}

/// Another session tries them again, and can itself be cut anywhere.
#[test]
fn a_resumed_run_tries_its_agents_again() {
    let (mut tried, mut cuts) = (0, 0);
    for seed in seeds(750).filter(|seed| loses_agents(*seed)) {
        let (graph, policy, _, events, _) = simulate(seed);
        let go_on = |seen: &[Event], restores: bool| {
            let mut run = folded(seed, &graph, &policy, seen);
            let mut world = World::new(seed, graph.clone()).after_crash(seen);
            let mut out = Out::default();
            if restores {
                run.restore_agents();
            }
            run.resume(&[], world.now, &mut out);
            world.live(&mut run, &mut out)
        };
        let Some(cut) = (0..events.len()).find(|cut| !lost(&graph, &events[..*cut]).is_empty()) else {
            continue;
        };
        let seen = &events[..cut];
        let second = go_on(seen, true);
        let before = lost(&graph, seen);
        let starts = |event: &Event| match &event.kind {
            EventKind::Attempt(_, step, _, AttemptEvent::Started) => {
                before.contains(&graph.step(step.step).agent.clone().ok_or(step.step))
            }
            _ => false,
        };
        tried += usize::from(second.iter().any(starts));
        let all = [seen, &second].concat();
        let begun = seen.len();
        for cut in begun..=all.len() {
            let (seen, rest) = all.split_at(cut);
            // What it had not lost once more by then, the third session tries as the second did.
            if lost(&graph, &second[..cut - begun]).is_empty() {
                let lived = go_on(seen, true);
                cuts::same(seed, &lived, rest, &format!("cut after {cut} events"));
                cuts += 1;
            }
        }
    }
    assert!(tried > 20 && cuts > 1000, "{tried} tried again, {cuts} cuts");
}
