//! The loop under a clock that stands still: real time, order and signals are what the engine was promised.
//! Agents are closures; nothing here waits for real.

use super::{Bindings, Border, ItemStream, Loop, NewItem, Observer, Request, RunsFolder, Workspace};
use crate::adapter::fake::fake;
use crate::adapter::{Adapter, Call, Stop, Urgency, contract};
use crate::diag::Source;
use crate::engine::{ChannelLimit, Limits, Policy, Run};
use crate::event::{
    Answer, AttemptEvent, Cause, Event, EventKind, ItemEvent, ItemId, Outcome, Reply, RunEvent, Settlement,
    StepEvent, StepPath,
};
use crate::graph::{self, Graph};
use crate::spans::TraceContext;
use crate::spec::{self, OnItemError, Tolerance};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

mod order;

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
                tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_millis(at)).await;
                sender.send(request).await.unwrap();
            }
            std::future::pending::<()>().await;
        });
        let agents = vec![agent; self.graph.steps.len()];
        let mut script =
            Script { graph: self.graph.clone(), lines: String::new(), count: 0, trouble: self.trouble };
        let mut second = Count(0);
        let mut all = Loop {
            questions: None,
            asks: None,
            asked_now: None,
            waits: false,
            within: None,
            wakes: None,
            sources: None,
            outbox: None,
            border: Border::default(),
            columns: super::ReportedColumns::default(),
            graph: self.graph.clone(),
            run_id: "run-1".into(),
            outermost: "run-1".into(),
            trace: TraceContext::of_run("run-1"),
            forward_key: None,
            bindings: Bindings::new(&self.graph, agents),
            workspace: Workspace::create(&RunsFolder::Beside(folder.path().to_owned()), "run-1").unwrap(),
            observers: vec![&mut script, &mut second],
            deadline: self.deadline,
            durable: None,
            since: None,
            alone: false,
            cancel: false,
            asked: crate::runtime::UsedKeys::default(),
            retry: Vec::new(),
            revoke: None,
        };
        let mut run = Run::new(self.graph.clone(), self.policy);
        let mut items = (0..self.items).map(|number| {
            let inputs = self.graph.inputs.iter().map(|id| (*id, Arc::new(number.into()))).collect();
            Ok(NewItem { key: format!("i{number}").into(), inputs })
        });
        let items: ItemStream<'_> = &mut items;
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
        EventKind::Attempt(item, step, attempt, AttemptEvent::Waits) => {
            format!("{at} {}#{attempt} waits", name(item, *step))
        }
        EventKind::Attempt(item, step, attempt, AttemptEvent::Awaits) => {
            format!("{at} {}#{attempt} awaits", name(item, *step))
        }
        EventKind::Attempt(item, step, attempt, AttemptEvent::Continues) => {
            format!("{at} {}#{attempt} continues", name(item, *step))
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
        EventKind::Run(RunEvent::Decided { gate, decision }) => {
            format!("{at} gate {} {}", gate.0, decision.said())
        }
        EventKind::Run(RunEvent::Published { channel, id }) => format!("{at} {channel} took {id}"),
        EventKind::Run(RunEvent::NotPublished { channel, id, .. }) => {
            format!("{at} {channel} refused {id}")
        }
        EventKind::Run(RunEvent::Received(arrival)) => format!("{at} received {}", arrival.kind),
        EventKind::Run(RunEvent::Emitted(arrival)) => format!("{at} emitted {}", arrival.kind),
        EventKind::Step(item, StepEvent::AwaitBegan { step, .. }) => {
            format!("{at} {} waits", name(item, (*step).into()))
        }
        EventKind::Step(item, StepEvent::EventTaken { step, event, .. }) => {
            format!("{at} {} takes event {event}", name(item, (*step).into()))
        }
        EventKind::Step(item, StepEvent::AwaitExpired(step)) => {
            format!("{at} {} waits no more", name(item, (*step).into()))
        }
        EventKind::Item(item, ItemEvent::GateReached { gate, .. }) => {
            format!("{at} i{} at gate {}", item.0, gate.0)
        }
        EventKind::Item(item, ItemEvent::Decided { gate, decision }) => {
            format!("{at} i{} gate {} {}", item.0, gate.0, decision.said())
        }
        EventKind::Item(item, ItemEvent::Revoked { .. }) => format!("{at} i{} revoked", item.0),
        EventKind::Item(item, ItemEvent::RoundBegan { repeat, round }) => {
            format!("{at} i{} round {round} of loop {}", item.0, repeat.0)
        }
        EventKind::Item(item, ItemEvent::RoundScheduled { repeat, due }) => {
            format!("{at} i{} another round of loop {} at {due}", item.0, repeat.0)
        }
        EventKind::Item(item, ItemEvent::RepeatEnded(repeat)) => {
            format!("{at} i{} loop {} ended", item.0, repeat.0)
        }
        EventKind::Item(item, ItemEvent::GateExpired(gate)) => {
            format!("{at} i{} gate {} expired", item.0, gate.0)
        }
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
