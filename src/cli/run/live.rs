//! A run with real agents.

use super::super::allowed;
use super::super::document::Document;
use super::super::exit::{Exit, Stop};
use super::super::runs::find;
use super::super::serve::is_served;
use super::super::settings::Settings;
use super::super::terminal::Terminal;
use super::super::trust;
use super::adapters::Bound;
use super::channels::Channels;
use super::ending::Driven;
use super::inputs::{self, Before, Work};
use super::people::{DecidedHere, Desk, Reached};
use super::progress::Progress;
use super::record::Trace;
use super::results::Results;
use super::telemetry::Telemetry;
use super::threads::{Threads, is_sequence};
use super::write::{self, NewRows};
use super::{Launch, bind, described, elsewhere, limits, not_alone, notices, paths};
use crate::diag::render::visible;
use crate::engine::Policy;
use crate::graph::Graph;
use crate::history::{
    Basis, DriveOutcome, ItemsFrom, LockedRun, New, Outline, People, Prepared, Runner, Tracing, is_cancelled,
};
use crate::journal;
use crate::runtime::{self, Bindings, Caught, Observer, RunsFolder, Workspace};
use crate::session::Head;
use crate::spans::TraceContext;
use anyhow::Context;
use std::cell::Cell;
use std::io::{ErrorKind, IsTerminal};
use std::path::Path;
use std::sync::Arc;

/// Starts or resumes a run.
///
/// # Errors
/// Why it cannot run, or cannot be stored.
pub fn run(
    mut launch: Launch,
    document: &Document,
    graph: Graph,
    settings: &Settings,
    taken: Option<LockedRun>,
    terminal: &mut Terminal,
) -> anyhow::Result<Exit> {
    allowed::check_run()?;
    paths::check(&launch.options)?;
    launch.check_trace()?;
    launch.check_clashes(document, &graph, settings)?;
    let phases: Vec<String> = graph.steps.iter().map(|step| step.phase.clone()).collect();
    let part = launch.options.part(graph).map_err(|why| not_alone(why, &launch.options))?;
    let (stub, replays) = (launch.options.stub, launch.exchanges.replays());
    // Its steps are done by workers of a server, which drives it.
    let away = !launch.options.ingress.is_empty();
    let doers = match away {
        true => elsewhere::doers(&launch, document, &part.graph, settings, terminal),
        false => bind::find(document, &part.graph, settings, stub, replays, terminal),
    };
    let before = taken.as_ref().map(before).transpose()?;
    refuse_unstored(&launch, document, &part.graph, settings, terminal)?;
    // Asked before its items are read, which may take long.
    let agreed = Cell::new(false);
    let allowed = |terminal: &mut Terminal| match doers.is_err() || launch.trust {
        true => Ok(()),
        false => {
            trust::allow(&launch.options.file, document, &part.graph, settings, terminal)
                .map(|once| agreed.set(once))?;
            for (child, graph) in document.run_by(&part.graph) {
                trust::allow(child.path(), child, graph, settings, terminal)
                    .map(|once| agreed.set(agreed.get() || once))?;
            }
            Ok(())
        }
    };
    let work = inputs::work(&launch, &part, before.as_ref(), allowed, terminal);
    launch.trust |= agreed.get();
    let (doers, mut work) = match (doers, work) {
        (Err(one), Err(other)) => {
            terminal.error(&one);
            return Err(other);
        }
        (doers, work) => (doers?, work?),
    };
    write::prepare(&launch.options, work.total())?;
    if !launch.show.is_quiet() && !away {
        bind::warn_of_unset(&part.graph, settings, terminal);
        for (_, child) in document.run_by(&part.graph) {
            bind::warn_of_unset(child, settings, terminal);
        }
    }
    // A cancelled run begins no more items.
    if let Some(before) = before.as_ref().filter(|before| !is_cancelled(before.home)) {
        work.same(before.items.as_ref())?;
    }
    let begins = taken.as_ref().is_none_or(|taken| !taken.retry.is_empty());
    let routes = match away && begins {
        true => Some(elsewhere::ready((&launch.options.ingress, stub), &part.graph, terminal)?),
        false => None,
    };
    let exchanges = launch.exchanges.open(taken.is_some())?;
    let (id, workspace) = folder(&mut launch, settings, taken.as_ref())?;
    let home = workspace.root().to_owned();
    let channels = Channels::bind(&part.graph, settings)?;
    let telemetry = Telemetry::start(terminal);
    let context = launch.options.traceparent.as_deref().and_then(TraceContext::parse);
    let sinks = channels.sinks();
    let bound = Bound {
        settings,
        workspace: &workspace,
        exchanges: Arc::new(exchanges),
        jobs: launch.options.jobs,
        journaled: !launch.no_journal,
        spans: telemetry.as_ref().map(Telemetry::sink),
    };
    let bindings = doers.bind(document, &part.graph, bound, &work.stubbed)?;
    let spans = telemetry.as_ref().map(|to| doers.destination(&to.sink(), &document.source.name));
    let stored_agents = (!away).then(|| described::agents(&doers, settings, bindings.redactor()));
    let stubbed_steps = match away {
        true => elsewhere::stubbed(routes.as_ref(), &part.graph),
        false => doers.stubbed_steps(),
    };
    let graph = Arc::new(part.graph);
    let mut policy = policy(&launch, (&graph, &bindings), settings, terminal);
    if away {
        policy.limits = limits::elsewhere(&launch, &graph, settings, terminal);
    }
    let sent = policy.clone();
    let basis = Basis {
        total: Some(work.total()),
        tolerate: policy.tolerate,
        once: graph.has_run_steps(),
        always: graph.has_always(),
        publishes: false,
    };
    let mut results = Results::new(graph.clone(), bindings.redactor().clone(), work.total());
    let deadline = launch.options.deadline;
    let prepared = Prepared {
        graph: graph.clone(),
        policy,
        bindings,
        workspace,
        deadline,
        owns_orphans: true,
        sinks,
        tracing: Tracing { context, spans },
    };
    let started = match &taken {
        Some(taken) => taken.history.header().started.clone(),
        None => format!("{:.3}", runtime::now()),
    };
    let (workflow, source) = (graph.title.clone(), document.source.name.clone());
    let head = Head { run: id.clone(), workflow, source, started: started.clone(), complete: false };
    let rows = launch.options.write.then(NewRows::default);
    let record = match launch.no_journal {
        true => Trace::new(&graph, Some(launch.options.trace()), rows)?,
        false => Trace::own(&graph, &home, rows)?.nested_in(&graph, &home),
    };
    let mut record = record.journaled(!launch.no_journal);
    if let Some(notice) = launch.notice.as_ref().filter(|_| !launch.show.is_quiet()) {
        terminal.talk(notice);
    }
    let mut progress = Progress::new(graph.clone(), work.total(), launch.show, terminal);
    let one_by_one = !away && (sent.limits.jobs == 1 || work.total() == 1 && is_sequence(&graph));
    let threads = Threads::start(one_by_one)?;
    // Without this record, the run must be adopted before it can be resumed.
    let own = |trusted| trust::runs::Writing::begin(&home, &document.with_run_by(&graph), trusted).map(Some);
    let gone_on = if taken.is_some() { own(launch.trust) } else { Ok(None) };
    let mut followed = None;
    let runner = match taken {
        Some(taken) => {
            if away {
                followed = Some(elsewhere::Before::of(&taken, sent, graph.clone(), routes)?);
            }
            let mut past = progress.past();
            let observers: &mut [&mut dyn Observer] = &mut [&mut record, &mut past, &mut results];
            let (runner, orphans) = threads.run().block_on(Runner::resume(taken, prepared, observers))?;
            progress.orphans(&orphans);
            if !away {
                progress.resumed(&runner.run);
            }
            runner
        }
        None if launch.no_journal => Runner::fleeting(id, prepared),
        None => {
            let text = journal::DocumentText {
                path: document.source.name.clone(),
                text: document.source.text.clone(),
            };
            launch.options.home.clone_from(&home);
            launch.options.given = work.given.clone();
            launch.options.children = document.children.stored();
            launch.options.uncompensated = graph.without_compensation();
            launch.options.inner_events = graph.inner_events();
            launch.options.agents = stored_agents;
            let (options, items) = (launch.options.clone(), work.store(&home)?);
            let new = New { run: id, started, document: text, options, items };
            if away {
                let header = new.header(&graph)?;
                let (retry, past, graph) = (Vec::new(), Vec::new(), graph.clone());
                followed = Some(elsewhere::Before { header, policy: sent, retry, past, graph, routes });
            }
            // If this cannot be stored, the next call fails too, and reports it.
            let _ = trust::runs::Writing::expect(
                &home,
                &new.header(&graph)?,
                &document.with_run_by(&graph),
                launch.trust,
            );
            Runner::begin(new, prepared)?
        }
    };
    let resumed = runner.is_resumed();
    let remembered = match resumed || launch.no_journal {
        true => gone_on,
        false => own(launch.trust),
    };
    progress.began((&head.run, &find::called(&home)?), &graph.title, &document.source.name);
    let mut outline = Outline::default();
    let mut decided = DecidedHere::default();
    let desk = Desk {
        graph: graph.clone(),
        run: head.run.clone(),
        name: find::called(&home)?,
        document: document.source.name.clone(),
        home: home.clone(),
        notify: notices::notifier(settings)?,
        display: progress.display().filter(|_| std::io::stdin().is_terminal()),
        away: !launch.no_journal && (launch.wait || is_served()),
    };
    let attending = (desk, decided.clone(), launch.wait, channels.of(&head.run, &head.started));
    let observers: Vec<&mut dyn Observer> =
        vec![&mut record, &mut progress, &mut outline, &mut decided, &mut results];
    let (outcome, caught) = match followed {
        Some(before) => {
            let to = (launch.options.ingress.as_slice(), launch.wait);
            elsewhere::follow(threads, runner, &work, observers, before, to)?
        }
        None => drive(threads, runner, &work, observers, attending)?,
    };
    if let Some(telemetry) = telemetry {
        telemetry.finish(&launch.show, terminal);
    }
    // While the lock is still held.
    let remembered = remembered.map(drop);
    progress.finish();
    if let Err(error) = remembered
        && !launch.show.is_quiet()
    {
        let why = visible(&format!("{error:#}"));
        terminal.talk(&format!("warning: cannot store that you started this run: {why}\n"));
        terminal.talk("  help: set XDG_STATE_HOME to a folder of yours, or orderflow adopt has to take the run over before it can be resumed\n");
    }
    let called = find::called(&home)?;
    let results = results.text((!launch.no_journal).then_some(&called));
    let driven = Driven {
        launch: &launch,
        document,
        graph: &graph,
        phases: &phases,
        home: &home,
        head,
        total: work.total(),
        outcome,
        caught,
        results,
        stubbed: (stubbed_steps, &work.stubbed),
        outline: (!resumed).then_some(outline),
        basis,
    };
    driven.end(record, terminal)
}

/// The items of a resumed run.
fn before(taken: &LockedRun) -> anyhow::Result<Before<'_>> {
    Ok(Before {
        home: taken.history.home(),
        items: ItemsFrom::of(&taken.history.header().items),
        has_all: taken.has_all_items()?,
        begins_nothing: taken.begins_nothing(),
    })
}

/// Refuses a run without a journal that needs one.
fn refuse_unstored(
    launch: &Launch,
    document: &Document,
    graph: &Graph,
    settings: &Settings,
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    if !launch.no_journal {
        return Ok(());
    }
    let alone = launch.show.is_quiet() || !trust::answers(terminal);
    let lacks_source = graph.awaited().iter().any(|kind| !settings.brings(kind));
    let inner_gates = document.run_by(graph).into_iter().any(|(_, child)| !child.gates.is_empty());
    let waits = alone && !graph.gates.is_empty() || inner_gates || lacks_source;
    if !launch.wait && waits {
        let message =
            "a run that waits for a person or an event is resumed from its journal; nothing was run";
        let help = "leave out --no-journal, or give --wait to keep the run alive";
        return Err(Stop::new(Exit::Usage, message).help(help).into());
    }
    let compensates = |graph: &Graph| graph.steps.iter().any(|step| step.compensate.is_some());
    if document.run_by(graph).into_iter().any(|(_, graph)| compensates(graph)) {
        let message = "a document that a step runs is compensated from its journal, and one has compensations; nothing was run";
        return Err(Stop::new(Exit::Usage, message).help("leave out --no-journal").into());
    }
    Ok(())
}

/// The name of the run and its folder, which is made for a new one.
fn folder(
    launch: &mut Launch,
    settings: &Settings,
    taken: Option<&LockedRun>,
) -> anyhow::Result<(String, Workspace)> {
    let (id, workspace) = match taken {
        Some(taken) => {
            let home = taken.history.home();
            let workspace = Workspace::open(home).map_err(|error| unusable(home, &error))?;
            (taken.history.header().run.clone(), workspace)
        }
        None => {
            let id = launch.id.take().unwrap_or_else(runtime::new_run_id);
            let store = find::store(&settings.folder);
            let (RunsFolder::Beside(folder) | RunsFolder::In(folder)) = &store;
            paths::text("the path of the run's folder", folder)?;
            let workspace = Workspace::create(&store, &id).map_err(|error| no_folder(&store, &error))?;
            (id, workspace)
        }
    };
    paths::text("the path of the run's folder", workspace.root())?;
    Ok((id, workspace.with_key(trust::inbox_key())))
}

fn no_folder(store: &RunsFolder, error: &std::io::Error) -> Stop {
    let (folder, named) = match store {
        RunsFolder::Beside(folder) => (folder, false),
        RunsFolder::In(folder) => (folder, true),
    };
    let why = match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory if named => "it is not a folder".to_owned(),
        _ => visible(&error.to_string()),
    };
    let folder = visible(&folder.display().to_string());
    let message = format!("cannot make the run's folder in {folder}: {why}; nothing was run");
    Stop::new(Exit::Io, message).help(match named {
        true => "name a folder that you may write to, with --state DIR or ORDERFLOW_STATE",
        false => "a run stores its files in .orderflow there: make the folder writable, or name another one with --state DIR",
    })
}

/// Why a run cannot be resumed in its folder; for a refused folder, with help.
fn unusable(home: &Path, error: &std::io::Error) -> Stop {
    let home = visible(&home.display().to_string());
    let error = visible(&error.to_string());
    Stop::new(Exit::Io, format!("cannot use the run's folder {home}: {error}; nothing was run"))
}

/// Runs all pending work, and reacts to the signals of this process.
fn drive(
    threads: Threads,
    runner: Runner,
    work: &Work,
    observers: Vec<&mut dyn Observer>,
    (desk, decided, waits, channels): (Desk, DecidedHere, bool, Channels),
) -> anyhow::Result<(DriveOutcome, Caught)> {
    let home = runner.home().to_owned();
    let mut items = work.stream(runner.run.tally().admitted)?;
    let entered = threads.pool().enter();
    let inbox = trust::inbox(&home);
    let cancelled = move || is_cancelled(&home);
    let listened = runtime::listen(leave, cancelled, inbox);
    let (requests, sender, caught) = listened.context("cannot listen for signals")?;
    let answers = desk.asks();
    let document = desk.document.clone();
    let (Reached { asks, questions, inner }, attendance) = desk.open(sender, decided);
    let (outbox, sources, tasks) = channels.open(&document);
    drop(entered);
    let people =
        People { asks, questions, inner_gates: inner, answers, waits, sources, outbox, ..People::default() };
    let outcome = threads.run().block_on(runner.drive(&mut *items, observers, requests, people));
    drop(tasks);
    threads.pool().block_on(attendance.close(&mut Terminal::new()));
    // Every attempt has been reported.
    threads.leave();
    Ok((outcome, caught))
}

fn policy(
    launch: &Launch,
    (graph, bindings): (&Graph, &Bindings),
    settings: &Settings,
    terminal: &mut Terminal,
) -> Policy {
    Policy {
        limits: limits::limits(launch, (graph, bindings), settings, terminal),
        tolerate: launch.options.tolerate.unwrap_or(graph.settings.tolerate),
        on_item_error: launch.options.on_item_error.unwrap_or(graph.settings.on_item_error),
    }
}

/// The third signal: exits at once and may lose data.
pub(super) fn leave(signal: i32) -> ! {
    std::process::exit(128 + signal)
}
