//! The order pipeline with agents that do nothing, in process: the engine alone, the real loop around it, and
//! the loop with the trace recorded, each beside a bare channel that carries as many messages.

use super::Sizes;
use super::pair::{Case, Once, Unit};
use anyhow::{Context, ensure};
use orderflow::adapter::{Adapter, Call, Declared, Ending, Stop};
use orderflow::diag::Source;
use orderflow::engine::{Effect, EngineInput, Limits, Out, Policy, Run};
use orderflow::event::{Event, Reply, ValueId, Values};
use orderflow::graph::{self, Graph};
use orderflow::runtime::{Bindings, Durable, Loop, NewItem, Observer, RunsFolder, UsedKeys, Workspace};
use orderflow::session::{Entries, Head, Recorder};
use orderflow::spans::TraceContext;
use orderflow::spec::{self, OnItemError, Tolerance};
use orderflow::stats::{Dimension, Live};
use orderflow::value::Value;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// Steps of one order.
pub const STEPS: u64 = 6;

/// Steps at once, as `orderflow run` has it.
pub const JOBS: usize = 16;

const PIPELINE: &str = "\
# Orders

## Receive @shop
order::Integer → received::Boolean

## Check @warehouse
received → checked::Boolean

## Pay @bank
received → paid::Boolean

## Reserve @warehouse
checked, paid → reserved::Boolean

## Ship @warehouse
reserved → shipped::Boolean

## Notify @shop
shipped → notified::Boolean
";

pub fn cases<'a>(sizes: &Sizes) -> anyhow::Result<Vec<Case<'a>>> {
    let orders = sizes.orders;
    let case = |name: &str, ours: Once<'a>| Case {
        name: format!("pipeline: {name}"),
        unit: Unit::StepsPerSecond,
        floor_name: "tokio channel, there and back",
        ours,
        floor: Box::new(move || rate(orders, || channel(orders * STEPS))),
    };
    Ok(vec![
        case("engine alone", Box::new(move || rate(orders, || engine(orders, |_| Ok(()))))),
        case("engine and loop", Box::new(move || rate(orders, || looped(orders, JOBS, false, None)))),
        case("engine, loop and trace", Box::new(move || rate(orders, || looped(orders, JOBS, true, None)))),
    ])
}

pub fn rate(orders: u64, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let begin = Instant::now();
    work()?;
    Ok((orders * STEPS) as f64 / begin.elapsed().as_secs_f64())
}

pub fn graph() -> anyhow::Result<Graph> {
    let source = Source::new("pipeline.md", PIPELINE);
    let (spec, _) = spec::parse(&source);
    graph::build(&source, &spec).0.context("the pipeline is a valid document")
}

fn run(graph: &Arc<Graph>, jobs: usize) -> Run {
    let limits = Limits::jobs(jobs);
    let (tolerate, on_item_error) = (Tolerance::default(), OnItemError::default());
    Run::new(graph.clone(), Policy { limits, tolerate, on_item_error })
}

fn order(graph: &Graph, number: u64) -> (Arc<str>, Values) {
    let inputs = graph.inputs.iter().map(|id| (*id, Arc::new(Value::from(number))));
    (format!("order-{number}").into(), inputs.collect())
}

/// Every output is there.
fn reply(outputs: impl Iterator<Item = ValueId>) -> Reply {
    Reply { outputs: outputs.map(|id| (id, Arc::new(Value::Bool(true)))).collect(), ..Reply::default() }
}

/// The engine by itself: every call is answered a millisecond later.
pub fn engine(orders: u64, mut see: impl FnMut(&Event) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let graph = Arc::new(graph()?);
    let mut run = run(&graph, JOBS);
    let (mut out, mut calls, mut now) = (Out::default(), VecDeque::new(), 0);
    loop {
        while run.tally().admitted < orders && run.wants_item() {
            let (key, inputs) = order(&graph, run.tally().admitted);
            run.handle(EngineInput::Admit { key, inputs }, now, &mut out);
        }
        for event in out.events.drain(..) {
            see(&event)?;
        }
        for effect in out.effects.drain(..) {
            if let Effect::Call(call) = effect {
                calls.push_back(call);
            }
        }
        let Some(call) = calls.pop_front() else { break };
        now += 1;
        let result = Ok(reply(graph.step(call.step.step).outputs.iter().map(|output| output.value)));
        let (item, step, attempt) = (call.item, call.step, call.attempt);
        run.handle(EngineInput::Finished { item, step, attempt, result }, now, &mut out);
    }
    ensure!(run.tally().succeeded == orders, "every order succeeds: {:?}", run.tally());
    Ok(())
}

/// An agent that does nothing, at once.
struct NoOp;

impl Adapter for NoOp {
    fn call(&self, call: Call, _stop: Stop) -> Ending<'_> {
        let ids = call.outputs.iter().map(|output: &Declared| output.id);
        Box::pin(std::future::ready(Ok(reply(ids))))
    }
}

/// What `orderflow run` keeps of a run.
struct Trace {
    entries: Entries,
    recorder: Recorder,
    live: Live,
}

impl Observer for Trace {
    fn see(&mut self, event: &Event) -> anyhow::Result<()> {
        let Some(entry) = self.entries.take(event) else { return Ok(()) };
        self.live.take(&entry);
        Ok(self.recorder.take(entry)?)
    }
}

/// The engine with the loop that drives it in a run, and with the journal that it is to be kept in.
pub fn looped(orders: u64, jobs: usize, traced: bool, durable: Option<Durable>) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let target = folder.path().join("session.toon");
    let graph = Arc::new(graph()?);
    let mut run = run(&graph, jobs);
    let mut trace = Trace {
        entries: Entries::new(&graph),
        recorder: Recorder::new(&graph, &target)?,
        live: Live::new(&graph, vec![Dimension::Phase]),
    };
    let adapters = graph.steps.iter().map(|_| Arc::new(NoOp) as Arc<dyn Adapter>).collect();
    let mut all = Loop {
        questions: None,
        asks: None,
        asked_now: None,
        waits: false,
        within: None,
        wakes: None,
        sources: None,
        outbox: None,
        border: orderflow::runtime::Border::default(),
        columns: orderflow::runtime::ReportedColumns::default(),
        graph: graph.clone(),
        run_id: "run".into(),
        outermost: "run".into(),
        trace: TraceContext::of_run("run"),
        forward_key: None,
        bindings: Bindings::new(&graph, adapters),
        workspace: Workspace::create(&RunsFolder::Beside(folder.path().to_owned()), "run")?,
        observers: if traced { vec![&mut trace] } else { Vec::new() },
        deadline: None,
        durable,
        since: None,
        alone: false,
        cancel: false,
        asked: UsedKeys::default(),
        retry: Vec::new(),
        revoke: None,
    };
    let mut items = (0..orders).map(|number| {
        let (key, inputs) = order(&graph, number);
        Ok(NewItem { key, inputs })
    });
    let (_requests, receiver) = mpsc::channel(1);
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    tokio.block_on(all.drive(&mut run, &mut items, receiver))?;
    if let Some(durable) = all.durable.take() {
        durable.close()?;
    }
    drop(all);
    if traced {
        let rows = trace.recorder.finish(&Head::default(), &trace.live.finish().run.summary())?;
        ensure!(rows == orders * STEPS, "every step leaves a row, not {rows}");
    }
    ensure!(run.tally().succeeded == orders, "every order succeeds: {:?}", run.tally());
    Ok(())
}

/// A task that sends messages to two others and waits for them to come back, as many on the way as steps run.
fn channel(messages: u64) -> anyhow::Result<()> {
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let main = tokio.spawn(async move {
        let (back, mut answers) = mpsc::channel::<u64>(JOBS);
        let workers: Vec<mpsc::Sender<u64>> = (0..2).map(|_| worker(back.clone())).collect();
        let mut sent = 0;
        let mut received = 0;
        while received < messages {
            while sent < messages && sent - received < JOBS as u64 {
                workers[(sent % 2) as usize].send(sent).await?;
                sent += 1;
            }
            answers.recv().await.context("the workers are there")?;
            received += 1;
        }
        anyhow::Ok(())
    });
    tokio.block_on(main)?
}

fn worker(back: mpsc::Sender<u64>) -> mpsc::Sender<u64> {
    let (sender, mut receiver) = mpsc::channel(JOBS);
    tokio::spawn(async move {
        while let Some(message) = receiver.recv().await {
            if back.send(message).await.is_err() {
                break;
            }
        }
    });
    sender
}
