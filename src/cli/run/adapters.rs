//! The adapters of a run: those that do the steps of its document, and of the documents that they run. The steps of an
//! agent share its processes, in all of them.

use super::super::document::Document;
use super::super::settings::Settings;
use super::bind::{Doer, Doers, DoneBy, ENGINE, Tools, environment, filled, gives, variables};
use super::limits;
use super::telemetry::destination;
use crate::adapter::Adapter;
use crate::adapter::coder::CodingAgent;
use crate::adapter::container::Container;
use crate::adapter::exchanges::Exchanges;
use crate::adapter::http::{self, HeaderName, HeaderValue, Service};
use crate::adapter::launch::Launch;
use crate::adapter::mcp::{Mcp, Server};
use crate::adapter::model::Model;
use crate::adapter::process::ProgramAgent;
use crate::adapter::program::Program;
use crate::adapter::stub::{Furnished, StubAgent};
use crate::adapter::worker::Worker;
use crate::cli::settings::Header;
use crate::engine::Policy;
use crate::graph::{Graph, Kind, Step};
use crate::history::{ChildAgent, ChildDocument, ChildRevoker, KeptRun, SpanSink};
use crate::journal::DocumentText;
use crate::runtime::{Bindings, Workspace};
use crate::value::Type;
use anyhow::Context;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Doers<'_> {
    /// The titles of stubbed steps.
    pub fn stubbed_steps(&self) -> Vec<String> {
        let stubbed_steps = self.steps.iter().filter(|(_, doer)| matches!(doer, Doer::Stub));
        stubbed_steps.map(|(step, _)| step.title.clone()).collect()
    }

    /// Prepares everything for the run. `stubbed` names stubbed values of steps that are not run.
    ///
    /// # Errors
    /// When a program cannot be written to the run's folder.
    pub fn bind(
        &self,
        document: &Document,
        graph: &Graph,
        bound: Bound<'_>,
        stubbed: &[String],
    ) -> anyhow::Result<Bindings> {
        let all = || std::iter::once(&self.steps).chain(&self.children).flatten();
        let client = match all().any(|(_, doer)| doer.is_elsewhere()) {
            true => Some(http::Client::new()?),
            false => None,
        };
        let mut making = Making {
            doers: self,
            folder: std::path::absolute(&bound.settings.folder)?,
            bound,
            client,
            workers: BTreeMap::new(),
            containers: BTreeMap::new(),
            servers: BTreeMap::new(),
            services: BTreeMap::new(),
            known: BTreeMap::new(),
            all: Vec::new(),
        };
        let adapters = making.steps(document, document, graph, &self.steps, "", stubbed)?;
        let redactor = self.secrets.redactor().of_values(graph.secrets());
        Ok(Bindings::new(graph, adapters).with_redactor(redactor).with_nested(making.all))
    }

    /// The headers of requests to an agent, with its secrets inserted.
    fn headers(
        &self,
        agent: &str,
        headers: &[(HeaderName, Header)],
    ) -> anyhow::Result<Vec<(HeaderName, HeaderValue)>> {
        filled(headers, |secret| self.secrets.value(agent, secret))
            .with_context(|| format!("the secret of {agent} does not fit a header"))
    }
}

impl Doer<'_> {
    fn is_elsewhere(&self) -> bool {
        matches!(
            self,
            Doer::Service { .. } | Doer::Model { .. } | Doer::Tool { server: Tools::Http { .. }, .. }
        )
    }
}

/// What adapters are made for.
pub struct Bound<'a> {
    pub settings: &'a Settings,
    pub workspace: &'a Workspace,
    pub exchanges: Arc<Exchanges>,
    /// How many steps run at once, if the user said so.
    pub jobs: Option<usize>,
    pub journaled: bool,
    /// Where spans are sent.
    pub spans: Option<SpanSink>,
}

/// The adapters that are made so far.
struct Making<'a> {
    doers: &'a Doers<'a>,
    bound: Bound<'a>,
    folder: PathBuf,
    client: Option<http::Client>,
    workers: BTreeMap<&'a str, Arc<Worker>>,
    containers: BTreeMap<&'a str, Arc<Container>>,
    servers: BTreeMap<&'a str, Arc<Mcp>>,
    services: BTreeMap<&'a str, Arc<Service>>,
    /// The documents that steps run, by their places.
    known: BTreeMap<usize, Arc<ChildDocument>>,
    /// The adapters of these documents.
    all: Vec<Arc<dyn Adapter>>,
}

impl<'a> Making<'a> {
    fn client(&self) -> anyhow::Result<http::Client> {
        self.client.clone().context("HTTP is not set up")
    }

    /// The headers of requests to a model or a service; from a record no requests are made.
    fn headers(
        &self,
        agent: &str,
        headers: &[(HeaderName, Header)],
    ) -> anyhow::Result<Vec<(HeaderName, HeaderValue)>> {
        match &*self.bound.exchanges {
            Exchanges::Replay(_) => Ok(Vec::new()),
            Exchanges::Live | Exchanges::Record(_) => self.doers.headers(agent, headers),
        }
    }

    /// A document that a step runs.
    fn child(&mut self, root: &Document, place: usize) -> anyhow::Result<Arc<ChildDocument>> {
        if let Some(known) = self.known.get(&place) {
            return Ok(known.clone());
        }
        let doers = self.doers;
        let found = root.children.0.get(place).zip(doers.children.get(place));
        let (child, steps) = found.context("a document is missing")?;
        let graph = child.graph.as_ref().context("a document has no graph")?;
        let graph = Arc::new(ChildDocument::graph(graph.clone()));
        let adapters = self.steps(root, child, &graph, steps, &format!("{place}-"), &[])?;
        self.all.extend(adapters.iter().cloned());
        let base = Bindings::new(&graph, adapters);
        let limits = limits::of_child(self.bound.jobs, (&graph, &base), self.bound.settings);
        let policy = Policy::of(&graph, limits);
        let redactor = doers.secrets.redactor();
        let secrets = graph.clone();
        let bindings = Box::new(move || base.lend(redactor.clone().of_values(secrets.secrets())));
        let text = DocumentText { path: child.source.name.clone(), text: child.source.text.clone() };
        let spans = self.bound.spans.as_ref().map(|sink| destination(sink, &text.path, steps));
        let inbox_key = self.bound.workspace.key().clone();
        let made = Arc::new(ChildDocument { text, graph, policy, bindings, spans, inbox_key });
        self.known.insert(place, made.clone());
        Ok(made)
    }

    /// The adapters of a document's steps. `prefix` distinguishes its programs from those of other documents.
    fn steps(
        &mut self,
        root: &Document,
        document: &Document,
        graph: &Graph,
        steps: &'a DoneBy<'a>,
        prefix: &str,
        stubbed: &[String],
    ) -> anyhow::Result<Vec<Arc<dyn Adapter>>> {
        let path = document.path();
        let own = std::path::absolute(path.parent().unwrap_or(Path::new("")).join("."))?;
        let (folder, settings) = (self.folder.clone(), self.bound.settings);
        let secrets = &self.doers.secrets;
        let mut adapters: Vec<Arc<dyn Adapter>> = Vec::new();
        for (number, (step, doer)) in steps.iter().enumerate() {
            let program = |command: &[String], folder: &Path, env: &[String]| Program {
                command: command.to_owned(),
                folder: folder.to_owned(),
                env: environment(env)
                    .into_iter()
                    .chain(secrets.variables(gives(step, graph, settings)))
                    .collect(),
            };
            let adapter: Arc<dyn Adapter> = match doer {
                Doer::Command { command, env, .. } => {
                    Arc::new(ProgramAgent::new(program(command, &folder, env)))
                }
                Doer::Worker { agent, worker, processes, env } => {
                    let new = || Arc::new(Worker::new(program(worker, &folder, env), *processes));
                    self.workers.entry(agent).or_insert_with(new).clone()
                }
                Doer::Container { agent, engine, image, command, network, env } => self
                    .containers
                    .entry(agent)
                    .or_insert_with(|| {
                        let env = variables(env).chain(secrets.variables(gives(step, graph, settings)));
                        let (image, command) = ((*image).to_owned(), command.to_vec());
                        Arc::new(Container {
                            network: *network,
                            own: environment(&ENGINE.map(str::to_owned)),
                            env: env.collect(),
                            ..Container::new(engine.clone(), image, command, folder.clone())
                        })
                    })
                    .clone(),
                Doer::Service { agent, url, urls, headers, start, env } => match self.services.get(agent) {
                    Some(known) => known.clone(),
                    None => {
                        let service =
                            Service::new(self.client()?, (*url).clone(), self.headers(agent, headers)?)
                                .with_urls((*urls).clone())
                                .with_exchanges(self.bound.exchanges.clone());
                        let launch = match start.as_slice() {
                            [] => None,
                            start => Launch::new(program(start, &folder, env), url),
                        };
                        let service = match launch {
                            Some(launch) => service.started_by(launch),
                            None => service,
                        };
                        self.services.entry(agent).or_insert(Arc::new(service)).clone()
                    }
                },
                Doer::Tool { agent, server, tool, ask, env } => match self.servers.get(agent) {
                    Some(known) => known.clone(),
                    None => {
                        let server = match server {
                            Tools::Program(command) => Server::Program(program(command, &folder, env)),
                            Tools::Http { url, headers } => Server::Http {
                                client: self.client()?,
                                url: (*url).clone(),
                                headers: self.doers.headers(agent, headers)?,
                            },
                        };
                        let mcp = Mcp::new(server, tool.clone()).with_questions(*ask);
                        self.servers.entry(agent).or_insert(Arc::new(mcp)).clone()
                    }
                },
                Doer::Model { agent, name, provider, system, max_tokens } => Arc::new(Model {
                    client: self.client()?,
                    protocol: provider.protocol,
                    url: provider.url.clone(),
                    headers: self.headers(agent, &provider.headers)?,
                    name: name.split_once('/').map_or(*name, |(_, model)| model).to_owned(),
                    system: system.clone(),
                    max_tokens: *max_tokens,
                    price: provider.price,
                    reports_cost: provider.reports_cost,
                    exchanges: self.bound.exchanges.clone(),
                }),
                Doer::Coder { command, coder, instructions, ask, env } => Arc::new(CodingAgent {
                    headless: coder.headless,
                    instructions: instructions.clone(),
                    work: coder.work,
                    allow: coder.allow.clone(),
                    ask: *ask,
                    ..CodingAgent::new(program(command, &folder, env))
                }),
                Doer::Document(place) if step.revokes => {
                    let of = graph.by_phase(&step.phase).and_then(|id| graph.compensated_by(id));
                    Arc::new(ChildRevoker {
                        document: self.child(root, *place)?,
                        phase: of.map_or(String::new(), |of| graph.step(of).phase.clone()),
                    })
                }
                Doer::Document(place) => Arc::new(ChildAgent {
                    document: self.child(root, *place)?,
                    kept: KeptRun {
                        journaled: self.bound.journaled,
                        revoked: step.compensate.is_some_and(|by| graph.step(by).revokes),
                    },
                }),
                Doer::Stub => Arc::new(StubAgent::new(step.kind == Kind::Handler)),
                Doer::Program { interpreter, source } => {
                    let path = self
                        .bound
                        .workspace
                        .program(&format!("program-{prefix}{number}"), source)
                        .context("cannot write a program of the document into the run's folder")?;
                    let mut command = interpreter.clone();
                    command.push(path.to_string_lossy().into_owned());
                    Arc::new(ProgramAgent::new(program(&command, &own, &graph.settings.env)))
                }
            };
            let files = files(step, graph, stubbed);
            adapters.push(if files.is_empty() { adapter } else { Arc::new(Furnished::new(adapter, files)) });
        }
        Ok(adapters)
    }
}

/// Those of these values that are files taken by a step.
fn files(step: &Step, graph: &Graph, stubbed: &[String]) -> Vec<String> {
    let inputs = step.inputs.iter().map(|input| graph.value(input.value));
    let files = inputs.filter(|value| match &value.ty {
        Some(Type::Nullable(inner)) => **inner == Type::File,
        ty => *ty == Some(Type::File),
    });
    files.map(|value| value.name.clone()).filter(|name| stubbed.contains(name)).collect()
}
