//! The loop under a clock that stands still: real time, order and signals are what the engine was promised.
//! Agents are closures; nothing here waits for real.

use super::{Bindings, Items, Loop, NewItem, Observer, Request, Store, Workspace};
use crate::adapter::fake::fake;
use crate::adapter::{Adapter, Call, Stop, Urgency, contract};
use crate::diag::Source;
use crate::engine::{ChannelLimit, Limits, Policy, Run};
use crate::event::{
    Answer, AttemptEvent, Cause, Event, EventKind, ItemEvent, ItemId, Outcome, Reply, RunEvent, Settlement,
    StepEvent, StepPath,
};
use crate::graph::{self, Graph};
use crate::spec::{self, OnItemError, Tolerance};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

/// A run that is about to begin.
struct Scene {
    graph: Arc<Graph>,
    policy: Policy,
    deadline: Option<Duration>,
    /// After so many milliseconds each.
    requests: Vec<(u64, Request)>,
    items: u64,
    /// The number of the event at which the observer fails.
    trouble: Option<usize>,
}

fn scene(document: &str, items: u64) -> Scene {
    let source = Source::new("test.md", document.to_owned());
    let (spec, mut problems) = spec::parse(&source);
    let (graph, further) = graph::build(&source, &spec);
    problems.extend(further);
    assert!(problems.is_empty(), "{problems:?}");
    Scene {
        graph: Arc::new(graph.unwrap()),
        policy: Policy {
            limits: Limits::jobs(100),
            tolerate: Tolerance::Count(0),
            on_item_error: OnItemError::Continue,
        },
        deadline: None,
        requests: Vec::new(),
        items,
        trouble: None,
    }
}

impl Scene {
    /// What happened, a line an event, and what the run came to.
    async fn play(self, agent: Arc<dyn Adapter>) -> (String, anyhow::Result<Run>) {
        let folder = tempfile::tempdir().unwrap();
        let (sender, receiver) = mpsc::channel(4);
        let requests = self.requests;
        tokio::spawn(async move {
            for (at, request) in requests {
                tokio::time::sleep_until(super::Instant::now() + Duration::from_millis(at)).await;
                sender.send(request).await.unwrap();
            }
            std::future::pending::<()>().await;
        });
        let agents = vec![agent; self.graph.steps.len()];
        let mut script =
            Script { graph: self.graph.clone(), lines: String::new(), count: 0, trouble: self.trouble };
        let mut second = Count(0);
        let mut all = Loop {
            graph: self.graph.clone(),
            run_id: "run-1".into(),
            bindings: Bindings::new(&self.graph, agents),
            workspace: Workspace::create(&Store::Beside(folder.path().to_owned()), "run-1").unwrap(),
            observers: vec![&mut script, &mut second],
            deadline: self.deadline,
            durable: None,
            since: None,
            alone: false,
            cancel: false,
            asked: crate::runtime::Asked::default(),
            retry: Vec::new(),
        };
        let mut run = Run::new(self.graph.clone(), self.policy);
        let mut items = (0..self.items).map(|number| {
            let inputs = self.graph.inputs.iter().map(|id| (*id, Arc::new(number.into()))).collect();
            Ok(NewItem { key: format!("i{number}").into(), inputs })
        });
        let items: Items<'_> = &mut items;
        let driven = all.drive(&mut run, items, receiver).await;
        drop(all);
        assert_eq!(second.0, script.count, "every observer sees every event");
        (script.lines, driven.map(|()| run))
    }
}

struct Count(usize);

impl Observer for Count {
    fn see(&mut self, _: &Event) -> anyhow::Result<()> {
        self.0 += 1;
        Ok(())
    }
}

struct Script {
    graph: Arc<Graph>,
    lines: String,
    count: usize,
    trouble: Option<usize>,
}

impl Observer for Script {
    fn see(&mut self, event: &Event) -> anyhow::Result<()> {
        self.count += 1;
        self.lines.push_str(&line(&self.graph, event));
        anyhow::ensure!(self.trouble != Some(self.count), "the disk is full");
        Ok(())
    }
}

/// `<milliseconds> i<item> <step>#<attempt> <what>`
fn line(graph: &Graph, event: &Event) -> String {
    let name = |item: &ItemId, step: StepPath| {
        let element = step.element.map(|element| format!("[{element}]")).unwrap_or_default();
        format!("i{} {}{element}", item.0, graph.step(step.step).phase)
    };
    let at = event.at;
    let text = match &event.kind {
        EventKind::Item(item, ItemEvent::Admitted { .. }) => {
            format!("{at} i{} admitted", item.0)
        }
        EventKind::Attempt(item, step, attempt, AttemptEvent::Started) => {
            format!("{at} {}#{attempt} starts", name(item, *step))
        }
        EventKind::Attempt(item, step, attempt, AttemptEvent::Stopped(why)) => {
            format!("{at} {}#{attempt} is stopped: {why}", name(item, *step))
        }
        EventKind::Attempt(item, step, attempt, AttemptEvent::Repeated) => {
            format!("{at} {}#{attempt} is made again", name(item, *step))
        }
        EventKind::Attempt(item, step, attempt, AttemptEvent::Finished(result)) => {
            let how = result.as_ref().map_or_else(|failure| failure.message.as_str(), |_| "ok");
            format!("{at} {}#{attempt} {how}", name(item, *step))
        }
        EventKind::Attempt(item, step, attempt, AttemptEvent::RetryScheduled { due }) => {
            format!("{at} {}#{attempt} is due at {due}", name(item, *step))
        }
        EventKind::Attempt(item, step, attempt, AttemptEvent::RetryDue) => {
            format!("{at} {}#{attempt} is due", name(item, *step))
        }
        EventKind::Step(item, StepEvent::BranchTaken { step, chain, arm }) => {
            format!("{at} {} decides chain {chain}: {arm:?}", name(item, (*step).into()))
        }
        EventKind::Step(item, StepEvent::ConditionHeld(step)) => {
            format!("{at} {} may run", name(item, (*step).into()))
        }
        EventKind::Step(item, StepEvent::Ended(execution)) => {
            let (status, error) = (execution.status.name(), execution.error.as_deref());
            let error = error.map(|error| format!(" ({error})")).unwrap_or_default();
            format!("{} {status}{error}", name(item, execution.path()))
        }
        EventKind::Item(item, ItemEvent::DeadlinePassed { .. }) => {
            format!("{at} i{} is overdue", item.0)
        }
        EventKind::Item(item, ItemEvent::Failed) => {
            format!("{at} i{} has failed", item.0)
        }
        EventKind::Item(item, ItemEvent::CompensationBegan(undoes)) => {
            format!("{at} {} is undone", name(item, (*undoes).into()))
        }
        EventKind::Item(item, ItemEvent::Resolved { .. }) => {
            format!("{at} i{} is resolved", item.0)
        }
        EventKind::Item(item, ItemEvent::Requeued) => {
            format!("{at} i{} is put back", item.0)
        }
        EventKind::Item(item, ItemEvent::Retried { .. }) => {
            format!("{at} i{} is retried", item.0)
        }
        EventKind::Item(item, ItemEvent::Settled { end: Settlement { state, .. }, .. }) => {
            format!("{at} i{} {}", item.0, state.name())
        }
        EventKind::Step(item, StepEvent::ElementsEnded(step)) => {
            format!("{at} {} is complete", name(item, (*step).into()))
        }
        EventKind::Run(RunEvent::ItemsExhausted) => format!("{at} no more items"),
        EventKind::Run(RunEvent::StepsBegan) => format!("{at} run steps begin"),
        EventKind::Run(RunEvent::StepsEnded(Settlement { state, .. })) => {
            format!("{at} run steps {}", state.name())
        }
        EventKind::Run(RunEvent::Drained(why)) => format!("{at} drained: {why:?}"),
        EventKind::Run(RunEvent::Stopped(why)) => format!("{at} stopped: {why:?}"),
    };
    text + "\n"
}

/// What an agent does with an attempt.
#[derive(Clone, Copy)]
enum Does {
    /// Answers after so many milliseconds.
    Ok(u64),
    Fails(u64),
    /// Answers only when asked to stop, after so many milliseconds more.
    Finishes(u64),
    /// Ends only when killed.
    Ignores,
    Panics,
}

/// An agent that does what `plan` says for a step, an item and an attempt.
fn agent(plan: fn(&str, &str, u32) -> Does) -> Arc<dyn Adapter> {
    fake(move |call, stop| {
        let does = plan(&call.context.step, &call.context.item, call.context.attempt);
        act(does, call, stop)
    })
}

async fn act(does: Does, call: Call, mut stop: Stop) -> Answer {
    let sleep = |ms| tokio::time::sleep(Duration::from_millis(ms));
    let fails = |message: &str| contract::failure(Cause::Exit(1), message.to_owned(), Outcome::Unknown, true);
    match does {
        Does::Fails(ms) => {
            sleep(ms).await;
            return Err(fails("no"));
        }
        Does::Ignores => {
            stop.asked(Urgency::Kill).await;
            return Err(fails("killed"));
        }
        Does::Panics => panic!("an adapter that panics, as this test wants it to"),
        Does::Finishes(ms) => {
            stop.asked(Urgency::Terminate).await;
            sleep(ms).await;
        }
        // Whoever sleeps hears that it is to stop.
        Does::Ok(ms) => tokio::select! {
            () = sleep(ms) => {}
            () = stop.asked(Urgency::Terminate) => return Err(fails("left")),
        },
    }
    let outputs = call.outputs.iter().map(|output| (output.id, Arc::new(true.into()))).collect();
    Ok(Reply { outputs, ..Reply::default() })
}

async fn told(scene: Scene, plan: fn(&str, &str, u32) -> Does) -> (String, Run) {
    let (lines, run) = scene.play(agent(plan)).await;
    (lines, run.unwrap())
}

#[tokio::test(start_paused = true)]
async fn steps_run_side_by_side_and_in_order() {
    let document = "# T\n## A @x\no -> a\n## B @x\na -> b\n## C @x\na -> c\n## D @x\nb, c -> d\n";
    let (lines, run) = told(scene(document, 1), |step, _, _| match step {
        "B" => Does::Ok(30),
        _ => Does::Ok(10),
    })
    .await;
    let expected = "\
0 i0 admitted
0 i0 A#1 starts
10 i0 A#1 ok
i0 A success
10 i0 B#1 starts
10 i0 C#1 starts
20 i0 C#1 ok
i0 C success
40 i0 B#1 ok
i0 B success
40 i0 D#1 starts
50 i0 D#1 ok
i0 D success
50 i0 succeeded
";
    assert_eq!(lines, expected);
    assert_eq!(run.tally().succeeded, 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_stopped_and_made_again() {
    let document = "# T\n## A @x [timeout:: 5s] [retry:: 2 fixed 1s]\no -> a\n";
    let (lines, _) = told(scene(document, 1), |_, _, attempt| match attempt {
        1 => Does::Ok(60_000),
        2 => Does::Fails(100),
        _ => Does::Finishes(700),
    })
    .await;
    let expected = "\
0 i0 admitted
0 i0 A#1 starts
5000 i0 A#1 is stopped: timed out
5000 i0 A#1 left
5000 i0 A#2 is due at 6000
6000 i0 A#2 is due
6000 i0 A#2 starts
6100 i0 A#2 no
6100 i0 A#3 is due at 7100
7100 i0 A#3 is due
7100 i0 A#3 starts
12100 i0 A#3 is stopped: timed out
12800 i0 A#3 ok
i0 A success
12800 i0 succeeded
";
    assert_eq!(lines, expected);
}

#[tokio::test(start_paused = true)]
async fn a_step_has_one_deadline_for_all_its_attempts() {
    let document = "# T\n## A @x [deadline:: 10s] [retry:: 9 fixed 1s]\no -> a\n";
    let (lines, _) = told(scene(document, 1), |_, _, attempt| match attempt {
        1 => Does::Fails(4000),
        _ => Does::Ok(60_000),
    })
    .await;
    let expected = "\
0 i0 admitted
0 i0 A#1 starts
4000 i0 A#1 no
4000 i0 A#2 is due at 5000
5000 i0 A#2 is due
5000 i0 A#2 starts
10000 i0 A#2 is stopped: the step's deadline passed
10000 i0 A#2 left
i0 A timeout (the step's deadline passed after 10s)
10000 i0 failed
";
    assert_eq!(lines, expected);
}

#[tokio::test(start_paused = true)]
async fn an_item_has_a_deadline_of_its_own() {
    let document = "---\ndeadline: 5s\n---\n# T\n## A @x\no -> a\n## B @x\na -> b\n";
    let mut scene = scene(document, 2);
    scene.policy.limits.jobs = 1;
    let (lines, _) = told(scene, |_, _, _| Does::Ok(3000)).await;
    let expected = "\
0 i0 admitted
0 i0 A#1 starts
3000 i0 A#1 ok
i0 A success
3000 i0 B#1 starts
5000 i0 is overdue
5000 i0 B#1 is stopped: the item's deadline passed
5000 i0 B#1 left
i0 B cancelled (the item's deadline passed after 5s)
5000 i0 failed
5000 i1 admitted
5000 i1 A#1 starts
8000 i1 A#1 ok
i1 A success
8000 i1 B#1 starts
10000 i1 is overdue
10000 i1 B#1 is stopped: the item's deadline passed
10000 i1 B#1 left
i1 B cancelled (the item's deadline passed after 5s)
10000 i1 failed
";
    assert_eq!(lines, expected);
}

#[tokio::test(start_paused = true)]
async fn the_run_has_a_deadline() {
    let mut scene = scene("# T\n## A @x\no -> a\n", 3);
    scene.policy.limits.jobs = 1;
    scene.deadline = Some(Duration::from_secs(4));
    let (lines, run) = told(scene, |_, _, _| Does::Ok(3000)).await;
    let expected = "\
0 i0 admitted
0 i0 A#1 starts
3000 i0 A#1 ok
i0 A success
3000 i0 succeeded
3000 i1 admitted
3000 i1 A#1 starts
4000 stopped: RunDeadline
4000 i1 A#1 is stopped: cancelled: the run's deadline passed
4000 drained: Stopped
4000 i1 A#1 left
i1 A cancelled (cancelled: the run's deadline passed)
4000 i1 cancelled
";
    assert_eq!(lines, expected);
    assert_eq!((run.tally().succeeded, run.tally().cancelled), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failed_item_stops_or_drains_the_run_where_that_is_asked() {
    let play = async |on_item_error, tolerate| {
        let mut scene = scene("# T\n## A @x\no -> a\n", 10);
        scene.policy = Policy { limits: Limits::jobs(2), on_item_error, tolerate };
        told(scene, |_, item, _| match item {
            "i0" | "i2" => Does::Fails(1000),
            _ => Does::Ok(5000),
        })
        .await
    };
    let (lines, run) = play(OnItemError::Stop, Tolerance::Count(0)).await;
    assert!(
        lines.contains("1000 stopped: ItemError\n1000 i1 A#1 is stopped: cancelled: another item failed\n"),
        "{lines}"
    );
    assert_eq!((run.tally().admitted, run.tally().failed, run.tally().cancelled), (2, 1, 1));

    let (lines, run) = play(OnItemError::Drain, Tolerance::Count(0)).await;
    assert!(lines.contains("1000 drained: ItemError\n5000 i1 A#1 ok\n"), "{lines}");
    assert_eq!((run.tally().admitted, run.tally().failed, run.tally().succeeded), (2, 1, 1));

    let (lines, run) = play(OnItemError::Continue, Tolerance::Count(1)).await;
    assert!(lines.contains("2000 i2 failed\n2000 drained: Tolerance\n"), "{lines}");
    assert_eq!((run.tally().admitted, run.tally().failed, run.tally().succeeded), (3, 2, 1));

    let (_, run) = play(OnItemError::Continue, Tolerance::Count(0)).await;
    assert_eq!((run.tally().admitted, run.tally().failed, run.tally().succeeded), (10, 2, 8));
}

/// When steps started and how many ran at most.
fn starts(lines: &str) -> (Vec<u64>, usize) {
    let (mut starts, mut running, mut most) = (Vec::new(), 0usize, 0);
    for line in lines.lines() {
        if line.ends_with(" starts") {
            starts.push(line.split(' ').next().unwrap().parse().unwrap());
            running += 1;
            most = most.max(running);
        } else if line.ends_with(" ok") {
            running -= 1;
        }
    }
    (starts, most)
}

#[tokio::test(start_paused = true)]
async fn channels_and_agents_hold_their_limits() {
    let document = "# T\n## A @x #slow\no -> a\n";
    let play = async |limits: fn(&mut Limits)| {
        let mut scene = scene(document, 5);
        limits(&mut scene.policy.limits);
        starts(&told(scene, |_, _, _| Does::Ok(900)).await.0)
    };
    let rate = |limits: &mut Limits| {
        let limit = ChannelLimit { rate: Some(2.0), concurrency: None };
        limits.channels.insert("slow".to_owned(), limit);
    };
    assert_eq!(play(rate).await, (vec![0, 500, 1000, 1500, 2000], 2));
    let channel = |limits: &mut Limits| {
        let limit = ChannelLimit { rate: None, concurrency: Some(3) };
        limits.channels.insert("slow".to_owned(), limit);
    };
    assert_eq!(play(channel).await, (vec![0, 0, 0, 900, 900], 3));
    let agent = |limits: &mut Limits| limits.agents = [("x".to_owned(), 2)].into();
    assert_eq!(play(agent).await, (vec![0, 0, 900, 900, 1800], 2));
    assert_eq!(play(|limits| limits.jobs = 1).await, (vec![0, 900, 1800, 2700, 3600], 1));
    assert_eq!(play(|_| {}).await, (vec![0; 5], 5));
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_steps_end_and_a_kill_does_not() {
    let document = "# T\n## A @x\no -> a\n## B @x [after:: start]\no -> b\n## C @x\na -> c\n";
    let mut scene = scene(document, 1);
    scene.requests = vec![(1000, Request::Stop), (2000, Request::Kill)];
    let (lines, run) = told(scene, |step, _, _| match step {
        "A" => Does::Finishes(300),
        _ => Does::Ignores,
    })
    .await;
    let expected = "\
0 i0 admitted
0 i0 A#1 starts
0 i0 B#1 starts
1000 stopped: Interrupted
1000 i0 A#1 is stopped: cancelled: the run was interrupted
1000 i0 B#1 is stopped: cancelled: the run was interrupted
1000 drained: Stopped
1300 i0 A#1 ok
i0 A success
3000 i0 B#1 killed
i0 B cancelled (cancelled: the run was interrupted)
3000 i0 cancelled
";
    assert_eq!(lines, expected);
    assert_eq!(run.tally().cancelled, 1);
}

#[tokio::test(start_paused = true)]
async fn an_adapter_that_panics_has_failed() {
    let document = "# T\n## A @x [retry:: 3]\no -> a\n## B @x [after:: start]\no -> b\n";
    let (lines, run) = told(scene(document, 2), |step, item, _| match (step, item) {
        ("A", "i0") => Does::Panics,
        _ => Does::Ok(10),
    })
    .await;
    assert!(lines.contains("i0 A failed (the adapter broke; this is a bug of orderflow)\n"), "{lines}");
    assert_eq!((run.tally().failed, run.tally().succeeded), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_fails_stops_the_run_in_order() {
    let document = "# T\n## A @x\no -> a\n## B @x\na -> b\n";
    let (whole, _) = scene(document, 1).play(agent(|_, _, _| Does::Ok(10))).await;
    for number in 1..=whole.lines().count() {
        let mut scene = scene(document, 1);
        scene.trouble = Some(number);
        let (lines, ended) = scene.play(agent(|_, _, _| Does::Ok(10))).await;
        assert_eq!(ended.unwrap_err().to_string(), "the disk is full", "event {number}");
        let seen: Vec<&str> = lines.lines().take(number).collect();
        assert_eq!(seen, whole.lines().take(number).collect::<Vec<_>>());
        let count = |what: &str| lines.matches(what).count();
        assert_eq!(
            count("admitted"),
            count("cancelled\n") - count("B cancelled\n") + count("succeeded"),
            "{lines}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_idempotency_key_is_that_of_the_effect() {
    let document = "# T\n## A @x [retry:: 2 fixed 1s]\no -> a\n## B @x [after:: start]\no -> b\n";
    let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let keys = seen.clone();
    let agent = fake(move |call: Call, stop| {
        let context = &call.context;
        let effect = format!("{} {}", context.item, context.step);
        keys.lock().unwrap().push((effect, context.idempotency_key.clone()));
        let does = if &*context.step == "A" { Does::Fails(10) } else { Does::Ok(10) };
        act(does, call, stop)
    });
    scene(document, 2).play(agent).await.1.unwrap();
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    let attempts: Vec<&str> = seen.iter().map(|(effect, _)| effect.as_str()).collect();
    assert_eq!(attempts, ["i0 A", "i0 A", "i0 A", "i0 B", "i1 A", "i1 A", "i1 A", "i1 B"]);
    seen.dedup();
    assert_eq!(seen.len(), 4, "one key for all attempts at an effect: {seen:?}");
    let keys: std::collections::BTreeSet<_> = seen.iter().map(|(_, key)| key).collect();
    assert_eq!(keys.len(), 4, "another key for another effect: {seen:?}");
}
