//! Runs that a Restate server drives: what they cannot have, and how this process follows them.

use super::super::document::Document;
use super::super::exit::{Exit, Stop};
use super::super::settings::Settings;
use super::super::terminal::Terminal;
use super::Launch;
use super::bind::{Doer, Doers};
use super::inputs::Work;
use super::secrets::Secrets;
use super::threads::Threads;
use crate::engine::{Policy, RetryRequest};
use crate::event::Event;
use crate::graph::Graph;
use crate::history::{DriveOutcome, LockedRun, RunOptions, Runner};
use crate::journal::Header;
use crate::runtime::{Caught, Observer};
use crate::value::Type;
use std::sync::Arc;

/// Doers for a run whose steps are done by workers: none of them is called here.
///
/// # Errors
/// Stops with everything of the run that a server cannot drive.
pub fn doers<'a>(
    launch: &Launch,
    document: &'a Document,
    graph: &'a Graph,
    settings: &Settings,
    terminal: &mut Terminal,
) -> anyhow::Result<Doers<'a>> {
    let reasons = unfit(launch, document, graph, settings);
    if !reasons.is_empty() {
        terminal.talk(&format!("what Restate cannot drive:\n{}", reasons.concat()));
        let message = "this run cannot be driven by Restate; nothing was run";
        return Err(Stop::new(Exit::Invalid, message)
            .help("change this, or run it here: leave out --engine restate")
            .into());
    }
    let steps = graph.steps.iter().map(|step| (step, Doer::Stub)).collect();
    Ok(Doers { steps, children: Vec::new(), secrets: Secrets::default() })
}

/// A run as it is when it is followed.
#[cfg_attr(not(feature = "restate"), expect(dead_code, reason = "nothing is followed without Restate"))]
pub struct Before {
    pub header: Header,
    pub policy: Policy,
    /// Failed items that run again, after these events; empty to follow it as it is.
    pub retry: Vec<RetryRequest>,
    pub past: Vec<Event>,
    pub graph: Arc<Graph>,
    /// Who makes the attempts of its steps, if workers were asked.
    pub routes: Option<Routes>,
}

impl Before {
    /// Of a run that was begun.
    ///
    /// # Errors
    /// Its journal cannot be read.
    pub fn of(
        taken: &LockedRun,
        policy: Policy,
        graph: Arc<Graph>,
        routes: Option<Routes>,
    ) -> anyhow::Result<Before> {
        let mut past = Vec::new();
        if !taken.retry.is_empty() {
            taken.history.events(|event| {
                past.push(event.clone());
                Ok(())
            })?;
        }
        let (header, retry) = (taken.history.header().clone(), taken.retry.clone());
        Ok(Before { header, policy, retry, past, graph, routes })
    }
}

/// Everything that a server cannot drive, a line each.
fn unfit(launch: &Launch, document: &Document, graph: &Graph, settings: &Settings) -> Vec<String> {
    let mut all = Vec::new();
    let mut add = |line: String| all.push(format!("  {}\n", crate::diag::render::visible(&line)));
    if cfg!(not(feature = "restate")) {
        add("this program was built without Restate: cargo install --path . --features restate".to_owned());
    }
    for step in &graph.steps {
        let title = &step.title;
        match (&step.agent, &step.program) {
            _ if document.child_of(step).is_some() => {
                add(format!("{title} runs another document, which only runs here can"));
            }
            (None, None) if !launch.options.stub => {
                add(format!(
                    "{title} has neither an agent nor a program: give it one, or stub it with --stub"
                ));
            }
            _ => {}
        }
    }
    for info in &graph.values {
        let (name, ty) = (&info.name, info.ty.as_ref());
        if ty.is_some_and(Type::holds_files) {
            add(format!("{name} is a file: workers do not share files; pass its address or its content"));
        }
        if ty.is_some_and(Type::holds_secrets) {
            add(format!("{name} is a secret: the server would store it; give it to its agent as a secret"));
        }
    }
    for (name, channel) in &settings.channels {
        let is_of = |kind: &str| channel.types.iter().any(|one| one.matches(kind));
        let routed = channel.route.is_some();
        if routed && graph.steps.iter().flat_map(|step| &step.emits).any(|kind| is_of(kind)) {
            add(format!("channel {name} takes events of its steps: only runs here publish"));
        }
        if graph.awaited().iter().any(|kind| is_of(kind) && settings.brings(kind)) {
            add(format!(
                "channel {name} brings events: only runs here listen; send them with orderflow signal"
            ));
        }
    }
    if launch.exchanges.record.is_some() || launch.exchanges.exchanges.is_some() {
        add("exchanges with models and services are made by workers: leave out --record and --exchanges"
            .to_owned());
    }
    all
}

#[cfg(feature = "restate")]
pub use restate::{Routes, Served, deliver, follow, ready, served, stubbed};

#[cfg(not(feature = "restate"))]
pub use without::{Routes, deliver, follow, ready, stubbed};

#[cfg(feature = "restate")]
mod restate {
    use super::super::adapters::Bound;
    use super::super::{bind, live::leave};
    use super::*;
    use crate::adapter::exchanges::Exchanges;
    use crate::cli::trust;
    use crate::cluster::{self, Client, Followed, Item, Route, SentRetry, Start};
    use crate::diag::render::visible;
    use crate::history::{Tracing, graph_of, is_cancelled};
    use crate::runtime::{self, Attempts, NewItem, RunsFolder, Workspace, unix_millis};
    use crate::spans::TraceContext;
    use anyhow::Context;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    /// What workers serve of the run.
    pub type Routes = cluster::Served;

    /// Checks that a server answers, and that workers serve all agents of the run.
    ///
    /// # Errors
    /// Stops with all that is missing.
    pub fn ready(
        (ingress, stub): (&[String], bool),
        graph: &Graph,
        terminal: &mut Terminal,
    ) -> anyhow::Result<Routes> {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let tokio = tokio.context("cannot start the runtime")?;
        // No run has this name.
        let client = client(ingress, "-")?;
        let served = tokio.block_on(client.served(graph, stub)).map_err(|error| {
            Stop::new(Exit::Io, visible(&format!("{error}; nothing was run")))
                .help("start the server, or name its address with --ingress")
        })?;
        if served.missing.is_empty() {
            return Ok(served);
        }
        let list: String = served.missing.iter().map(|line| format!("  {}\n", visible(line))).collect();
        terminal.talk(&format!("what Restate lacks for this run:\n{list}"));
        Err(Stop::new(Exit::Invalid, "workers are missing; nothing was run")
            .help("start orderflow worker with these agents, and register its address with the server")
            .into())
    }

    /// The titles of the steps that are stubbed.
    pub fn stubbed(routes: Option<&Routes>, graph: &Graph) -> Vec<String> {
        let steps = routes.into_iter().flat_map(|served| &served.routes).zip(&graph.steps);
        steps.filter(|(route, _)| **route == Route::Stub).map(|(_, step)| step.title.clone()).collect()
    }

    fn client(ingress: &[String], run: &str) -> anyhow::Result<Client> {
        Client::new(ingress, run).map_err(|error| {
            Stop::new(Exit::Usage, format!("--ingress {}; nothing was run", visible(&format!("{error:#}"))))
                .help("write addresses such as http://localhost:8080")
                .into()
        })
    }

    /// Begins the run on the server, unless it has begun, and follows it.
    ///
    /// # Errors
    /// It cannot be begun.
    pub fn follow(
        threads: Threads,
        runner: Runner,
        work: &Work,
        observers: Vec<&mut dyn Observer>,
        before: Before,
        (ingress, waits): (&[String], bool),
    ) -> anyhow::Result<(DriveOutcome, Caught)> {
        let Before { header, policy, retry, past, graph, routes } = before;
        let home = runner.home().to_owned();
        let client = Arc::new(client(ingress, &header.run)?);
        let driven = threads.pool().block_on(async {
            let current = client.current().await.map_err(not_begun)?;
            let (generation, known) = match current {
                Some((generation, before)) if retry.is_empty() => {
                    (generation, runner.known().saturating_sub(before))
                }
                current => {
                    let items = work.stream(0)?.map(|item| {
                        let NewItem { key, inputs } = item?;
                        anyhow::Ok(Item { key, inputs })
                    });
                    let items = items.collect::<anyhow::Result<Vec<Item>>>()?;
                    let served = match routes {
                        Some(served) => served,
                        None => client.served(&graph, true).await.map_err(|error| not_begun(error.into()))?,
                    };
                    let passed = past.iter().map(|event| event.at).max().unwrap_or(0);
                    let start = Start {
                        header,
                        policy: policy.into(),
                        items,
                        routes: served.routes,
                        limits: served.limits,
                        began: unix_millis().saturating_sub(passed),
                        past,
                        retry: retry.into_iter().map(SentRetry::from).collect(),
                    };
                    let next = current.map_or(1, |(generation, _)| generation + 1);
                    (client.begin(&start, next).await.map_err(not_begun)?, 0)
                }
            };
            let cancelled = {
                let home = home.clone();
                move || is_cancelled(&home)
            };
            let listened = runtime::listen(leave, cancelled, trust::inbox(&home));
            let (requests, _sender, caught) = listened.context("cannot listen for signals")?;
            let Followed { news, requests: pass_on } = client.follow(generation, known, trust::inbox(&home));
            let outcome = runner.follow(observers, requests, (news, pass_on), waits).await;
            anyhow::Ok((outcome, caught))
        });
        threads.leave();
        driven
    }

    /// How long a decision or an event is tried to be delivered.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// Delivers what people have decided, and the events that they have sent, to the server that drives the run in `home`.
    /// What it does not get stays there, and is delivered when the run is followed.
    pub fn deliver(home: &Path, options: &RunOptions, run: &str) {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (Ok(tokio), Ok(client)) = (tokio, Client::new(&options.ingress, run)) else { return };
        let inbox = trust::inbox(home);
        tokio.block_on(async {
            // The rest is delivered later.
            let _ = tokio::time::timeout(PATIENCE, client.deliver(&inbox)).await;
        });
    }

    fn not_begun(error: anyhow::Error) -> anyhow::Error {
        let message = visible(&format!("the run is stored here, but cannot be reached: {error:#}"));
        Stop::new(Exit::Io, message).help("resume it once a server answers: orderflow resume last").into()
    }

    /// What a worker has in this process.
    pub struct Served {
        pub settings: Settings,
        pub agents: Vec<String>,
        /// Where it works.
        pub folder: PathBuf,
    }

    /// What the attempts of a run that come on a route are made with in this process.
    ///
    /// # Errors
    /// An agent of the run cannot be called here.
    pub fn served(
        here: &Served,
        header: &Header,
        options: &RunOptions,
        route: Route,
    ) -> anyhow::Result<Attempts> {
        let graph = Arc::new(graph_of(header, options)?);
        let text = header.document.text.clone().into_bytes();
        // Its programs work in the folder of the settings here: the document's own is on another machine.
        let file = Path::new(&header.document.path).file_name().unwrap_or_default();
        let document = Document::of(here.settings.folder.join(file).display().to_string(), text);
        let mut terminal = Terminal::new();
        let doers = bind::some(&document, &graph, &here.settings, (route, &here.agents), &mut terminal)?;
        let name = format!("{}-{route:?}-{}", header.run, unix_millis());
        let workspace = Workspace::create(&RunsFolder::In(here.folder.clone()), &name)
            .with_context(|| format!("cannot make a folder in {}", here.folder.display()))?;
        let bound = Bound {
            settings: &here.settings,
            workspace: &workspace,
            exchanges: Arc::new(Exchanges::Live),
            jobs: None,
            journaled: false,
            spans: None,
        };
        let bindings = doers.bind(&document, &graph, bound, &[])?;
        let context = options.traceparent.as_deref().and_then(TraceContext::parse);
        let tracing = Tracing { context, spans: None };
        Ok(Attempts {
            graph: graph.clone(),
            run_id: header.run.as_str().into(),
            trace: tracing.context(&header.run),
            bindings,
            workspace,
            deadline: options.deadline,
        })
    }
}

#[cfg(not(feature = "restate"))]
mod without {
    use super::*;

    pub type Routes = ();

    /// Never called: such a run was refused.
    pub fn ready(_: (&[String], bool), _: &Graph, _: &mut Terminal) -> anyhow::Result<Routes> {
        Ok(())
    }

    pub fn stubbed(_: Option<&Routes>, _: &Graph) -> Vec<String> {
        Vec::new()
    }

    pub fn follow(
        _: Threads,
        _: Runner,
        _: &Work,
        _: Vec<&mut dyn Observer>,
        _: Before,
        _: (&[String], bool),
    ) -> anyhow::Result<(DriveOutcome, Caught)> {
        anyhow::bail!("this program was built without Restate")
    }

    /// A program with Restate delivers it.
    pub fn deliver(_: &std::path::Path, _: &RunOptions, _: &str) {}
}
