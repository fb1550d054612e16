//! Binds each step to an adapter: an agent from `orderflow.toml`, else the document's own program, if it may run. All
//! missing ones are reported before anything starts.

use super::super::document::Document;
use super::super::exit::{Exit, Stop};
use super::super::given;
use super::super::settings::{Coder, Header, McpServer, Provider, Reach, Secret, Settings};
use super::super::terminal::Terminal;
use super::programs::{engine_of, installation, located};
use super::secrets::Secrets;
use crate::adapter::coder::CodingAgent;
use crate::adapter::container::Container;
use crate::adapter::http::{self, HeaderName, HeaderValue, Service, Url};
use crate::adapter::launch::Launch;
use crate::adapter::mcp::{Mcp, Server};
use crate::adapter::model::{Exchanges, Model};
use crate::adapter::process::ProgramAgent;
use crate::adapter::program::Program;
use crate::adapter::repository;
use crate::adapter::stub::{Furnished, StubAgent};
use crate::adapter::worker::Worker;
use crate::adapter::workfolder::WorkFolder;
use crate::adapter::{Adapter, fence};
use crate::diag::render::{self, visible};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::disk::{self, Named};
use crate::graph::{Graph, Kind, Step};
use crate::runtime::{Bindings, Workspace};
use crate::value::Type;
use crate::value::words;
use crate::view::plan::Given;
use anyhow::Context;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

/// Variables that every program gets.
const ENVIRONMENT: [&str; 3] = ["PATH", "HOME", "LANG"];

/// Variables that the programs that run containers need.
pub(super) const ENGINE: [&str; 19] = [
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "CONTAINER_HOST",
    "CONTAINER_CONNECTION",
    "CONTAINER_SSHKEY",
    "CONTAINERS_CONF",
    "CONTAINERS_REGISTRIES_CONF",
    "CONTAINERS_STORAGE_CONF",
    "REGISTRY_AUTH_FILE",
    "STORAGE_DRIVER",
    "STORAGE_OPTS",
    "SSH_AUTH_SOCK",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
];

/// What runs a step, found but not yet prepared.
enum Doer<'a> {
    Command {
        command: Vec<String>,
        env: &'a [String],
    },
    Worker {
        agent: &'a str,
        worker: Vec<String>,
        processes: usize,
        env: &'a [String],
    },
    Container {
        agent: &'a str,
        engine: String,
        image: &'a str,
        command: &'a [String],
        network: bool,
        env: &'a [String],
    },
    Service {
        agent: &'a str,
        url: &'a Url,
        urls: &'a BTreeMap<String, Url>,
        headers: &'a [(HeaderName, Header)],
        /// The program that starts it; empty if it is started elsewhere.
        start: Vec<String>,
        env: &'a [String],
    },
    Tool {
        agent: &'a str,
        server: Tools<'a>,
        tool: Option<String>,
        env: &'a [String],
    },
    Model {
        agent: &'a str,
        name: &'a str,
        provider: &'a Provider,
        system: Option<String>,
        max_tokens: u32,
    },
    Coder {
        command: Vec<String>,
        coder: &'a Coder,
        instructions: Option<String>,
        env: &'a [String],
    },
    Program {
        interpreter: Vec<String>,
        source: &'a str,
    },
    /// A stub: its outputs are samples of their types.
    Stub,
}

/// Where the server of a tool is.
enum Tools<'a> {
    Program(Vec<String>),
    Http { url: &'a Url, headers: &'a [(HeaderName, Header)] },
}

/// The steps with their doers, in the order of the steps.
pub struct Doers<'a> {
    steps: Vec<(&'a Step, Doer<'a>)>,
    secrets: Secrets,
}

/// Finds the doer of each step; with `stub`, steps without one are stubbed. A run that `replays` asks no models.
///
/// # Errors
/// Stops after showing every step without a doer, and every missing secret.
pub fn find<'a>(
    document: &Document,
    graph: &'a Graph,
    settings: &'a Settings,
    stub: bool,
    replays: bool,
    terminal: &mut Terminal,
) -> anyhow::Result<Doers<'a>> {
    let mut problems = Vec::new();
    let mut doers = Vec::new();
    for step in &graph.steps {
        match doer(document, step, settings) {
            Ok(Some(doer)) => doers.push((step, doer)),
            Ok(None) if stub => doers.push((step, Doer::Stub)),
            Ok(None) => problems.push(unbound(document, step, settings)),
            Err(problem) => problems.push(*problem),
        }
    }
    // A model that is not asked needs no key.
    let asked = doers.iter().filter(|(_, doer)| !(replays && matches!(doer, Doer::Model { .. })));
    let wanted = asked.flat_map(|(step, _)| gives(step, graph, settings)).collect();
    let secrets = Secrets::fetch(&wanted, settings, terminal);
    if problems.is_empty() {
        return Ok(Doers { steps: doers, secrets: secrets? });
    }
    // A problem that was shown as a warning is not shown again.
    let told = |problem: &Diagnostic| {
        document.problems.iter().any(|known| (known.code, known.span) == (problem.code, problem.span))
    };
    problems.retain(|problem| !told(problem));
    problems.sort_by_key(|problem| problem.span);
    terminal.talk(&render::human(&document.source, &problems, terminal.talk_colour()));
    Err(Stop::new(Exit::Invalid, "not every step can be done; nothing was run").into())
}

fn unbound(document: &Document, step: &Step, settings: &Settings) -> Diagnostic {
    let file = visible(&settings.path().display().to_string());
    let known = settings.agents.keys().map(String::as_str);
    catalogue::unbound_step(document.source.line(step.line), step.agent.as_deref(), known, &file)
}

/// The doer of a step; `None` without a binding.
fn doer<'a>(
    document: &Document,
    step: &'a Step,
    settings: &'a Settings,
) -> Result<Option<Doer<'a>>, Box<Diagnostic>> {
    let heading = document.source.line(step.line);
    if let Some((name, agent)) = settings.bound(step.agent.as_deref()) {
        let found = |words: &[String]| {
            located(words, &settings.folder).map_err(|searched| missing(heading, name, words, &searched))
        };
        let read_instructions = |path: Option<&Path>| {
            let read = path.map(|path| instructions(&settings.folder, path)).transpose();
            read.map_err(|why| Box::new(catalogue::unread_instructions(heading, name, &why)))
        };
        return Ok(match &agent.reach {
            Some(Reach::Command(command)) => {
                Some(Doer::Command { command: found(command)?, env: &agent.env })
            }
            Some(Reach::Worker { command, processes }) => {
                let worker = found(command)?;
                Some(Doer::Worker { agent: name, worker, processes: *processes, env: &agent.env })
            }
            Some(Reach::Container { image, command, network, engine }) => {
                let engine = engine_of(*engine).map_err(|(engines, searched)| {
                    Box::new(catalogue::missing_engine(heading, name, &engines, &searched))
                })?;
                Some(Doer::Container {
                    agent: name,
                    engine,
                    image,
                    command,
                    network: *network,
                    env: &agent.env,
                })
            }
            Some(Reach::Http { url, urls, headers, start }) => {
                let start = if start.is_empty() { Vec::new() } else { found(start)? };
                Some(Doer::Service { agent: name, url, urls, headers, start, env: &agent.env })
            }
            Some(Reach::Mcp { server, tool }) => {
                let server = match server {
                    McpServer::Program(command) => Tools::Program(found(command)?),
                    McpServer::Http { url, headers } => Tools::Http { url, headers },
                };
                Some(Doer::Tool { agent: name, server, tool: tool.clone(), env: &agent.env })
            }
            Some(Reach::Model { name: model, provider, system, max_tokens }) => {
                let system = read_instructions(system.as_deref())?;
                Some(Doer::Model { agent: name, name: model, provider, system, max_tokens: *max_tokens })
            }
            Some(Reach::Coder(coder)) => {
                let work = workable(coder, settings);
                work.map_err(|why| Box::new(catalogue::no_repository(heading, name, &visible(&why))))?;
                let command = found(&coder.command)?;
                let instructions = read_instructions(coder.instructions.as_deref())?;
                Some(Doer::Coder { command, coder, instructions, env: &agent.env })
            }
            None => None,
        });
    }
    let Some(program) = &step.program else { return Ok(None) };
    let language = &program.language;
    let unknown = || Box::new(catalogue::unknown_language(language.span, &language.value, &fence::LANGUAGES));
    let words = fence::interpreter(&language.value).ok_or_else(unknown)?;
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let interpreter = located(&words, Path::new("."))
        .map_err(|searched| missing(language.span, &language.value, &words, &searched))?;
    Ok(Some(Doer::Program { interpreter, source: &program.source }))
}

/// Whether the folder that a coding agent works in can be made.
///
/// # Errors
/// What is missing, as the rest of a sentence.
pub(super) fn workable(coder: &Coder, settings: &Settings) -> Result<(), String> {
    if coder.work != WorkFolder::Worktree {
        return Ok(());
    }
    let folder = std::path::absolute(&settings.folder).unwrap_or_else(|_| settings.folder.clone());
    if !folder.ancestors().any(|folder| disk::is_there(&folder.join(".git"))) {
        return Err(format!("{} is not in a git repository", folder.display()));
    }
    repository::has_commit(&folder, environment(&[]))
}

/// The largest file of instructions, in bytes.
const LARGEST_INSTRUCTIONS: usize = 1 << 20;

/// The instructions of an agent, from a file beside the settings.
pub(super) fn instructions(folder: &Path, path: &Path) -> Result<String, String> {
    let named = Named::by_document(folder, path);
    let bytes = named.read(LARGEST_INSTRUCTIONS).map_err(|error| format!("{}: {error}", path.display()))?;
    String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", path.display()))
}

fn missing(span: Span, name: &str, command: &[String], searched: &str) -> Box<Diagnostic> {
    let program = command.first().map_or("", String::as_str);
    let problem = catalogue::missing_program(span, name, program, searched);
    Box::new(match installation(program) {
        Some(install) => problem.help(install),
        None => problem,
    })
}

impl Doers<'_> {
    /// The titles of stubbed steps.
    pub fn stubbed_steps(&self) -> Vec<String> {
        let stubbed_steps = self.steps.iter().filter(|(_, doer)| matches!(doer, Doer::Stub));
        stubbed_steps.map(|(step, _)| step.title.clone()).collect()
    }

    /// Prepares everything for the run. `made_up` names stubbed values of steps that are not run.
    ///
    /// # Errors
    /// When a program cannot be written to the run's folder.
    pub fn bind(
        &self,
        file: &Path,
        graph: &Graph,
        settings: &Settings,
        workspace: &Workspace,
        stubbed: &[String],
        exchanges: Exchanges,
    ) -> anyhow::Result<Bindings> {
        let exchanges = Arc::new(exchanges);
        let mut adapters: Vec<Arc<dyn Adapter>> = Vec::new();
        let document = std::path::absolute(file.parent().unwrap_or(Path::new("")).join("."))?;
        let folder = std::path::absolute(&settings.folder)?;
        // The steps of an agent share its processes.
        let mut workers: BTreeMap<&str, Arc<Worker>> = BTreeMap::new();
        let mut containers: BTreeMap<&str, Arc<Container>> = BTreeMap::new();
        let mut servers: BTreeMap<&str, Arc<Mcp>> = BTreeMap::new();
        let mut services: BTreeMap<&str, Arc<Service>> = BTreeMap::new();
        let elsewhere = |doer: &Doer<'_>| {
            matches!(
                doer,
                Doer::Service { .. } | Doer::Model { .. } | Doer::Tool { server: Tools::Http { .. }, .. }
            )
        };
        let client = if self.steps.iter().any(|(_, doer)| elsewhere(doer)) {
            Some(http::Client::new()?)
        } else {
            None
        };
        let client = || client.clone().context("HTTP is not set up");
        for (number, (step, doer)) in self.steps.iter().enumerate() {
            let program = |command: &[String], folder: &Path, env: &[String]| Program {
                command: command.to_owned(),
                folder: folder.to_owned(),
                env: environment(env)
                    .into_iter()
                    .chain(self.secrets.variables(gives(step, graph, settings)))
                    .collect(),
            };
            let adapter: Arc<dyn Adapter> = match doer {
                Doer::Command { command, env, .. } => {
                    Arc::new(ProgramAgent::new(program(command, &folder, env)))
                }
                Doer::Worker { agent, worker, processes, env } => {
                    let new = || Arc::new(Worker::new(program(worker, &folder, env), *processes));
                    workers.entry(agent).or_insert_with(new).clone()
                }
                Doer::Container { agent, engine, image, command, network, env } => containers
                    .entry(agent)
                    .or_insert_with(|| {
                        let env = variables(env).chain(self.secrets.variables(gives(step, graph, settings)));
                        let (image, command) = ((*image).to_owned(), command.to_vec());
                        Arc::new(Container {
                            network: *network,
                            own: environment(&ENGINE.map(str::to_owned)),
                            env: env.collect(),
                            ..Container::new(engine.clone(), image, command, folder.clone())
                        })
                    })
                    .clone(),
                Doer::Service { agent, url, urls, headers, start, env } => match services.get(agent) {
                    Some(known) => known.clone(),
                    None => {
                        let headers = self.headers(agent, headers)?;
                        let service =
                            Service::new(client()?, (*url).clone(), headers).with_urls((*urls).clone());
                        let launch = match start.as_slice() {
                            [] => None,
                            start => Launch::new(program(start, &folder, env), url),
                        };
                        let service = match launch {
                            Some(launch) => service.started_by(launch),
                            None => service,
                        };
                        services.entry(agent).or_insert(Arc::new(service)).clone()
                    }
                },
                Doer::Tool { agent, server, tool, env } => match servers.get(agent) {
                    Some(known) => known.clone(),
                    None => {
                        let server = match server {
                            Tools::Program(command) => Server::Program(program(command, &folder, env)),
                            Tools::Http { url, headers } => Server::Http {
                                client: client()?,
                                url: (*url).clone(),
                                headers: self.headers(agent, headers)?,
                            },
                        };
                        servers.entry(agent).or_insert(Arc::new(Mcp::new(server, tool.clone()))).clone()
                    }
                },
                Doer::Model { agent, name, provider, system, max_tokens } => Arc::new(Model {
                    client: client()?,
                    protocol: provider.protocol,
                    url: provider.url.clone(),
                    headers: match &*exchanges {
                        Exchanges::Replay(_) => Vec::new(),
                        Exchanges::Live | Exchanges::Record(_) => self.headers(agent, &provider.headers)?,
                    },
                    name: name.split_once('/').map_or(*name, |(_, model)| model).to_owned(),
                    system: system.clone(),
                    max_tokens: *max_tokens,
                    price: provider.price,
                    reports_cost: provider.reports_cost,
                    exchanges: exchanges.clone(),
                }),
                Doer::Coder { command, coder, instructions, env } => Arc::new(CodingAgent {
                    headless: coder.headless,
                    instructions: instructions.clone(),
                    work: coder.work,
                    allow: coder.allow.clone(),
                    ..CodingAgent::new(program(command, &folder, env))
                }),
                Doer::Stub => Arc::new(StubAgent::new(step.kind == Kind::Handler)),
                Doer::Program { interpreter, source } => {
                    let path = workspace
                        .program(&format!("program-{number}"), source)
                        .context("cannot write a program of the document into the run's folder")?;
                    let mut command = interpreter.clone();
                    command.push(path.to_string_lossy().into_owned());
                    Arc::new(ProgramAgent::new(program(&command, &document, &graph.settings.env)))
                }
            };
            let files = files(step, graph, stubbed);
            adapters.push(if files.is_empty() { adapter } else { Arc::new(Furnished::new(adapter, files)) });
        }
        Ok(Bindings::new(graph, adapters).with_redactor(self.secrets.redactor().of_values(graph.secrets())))
    }
}

impl Doers<'_> {
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

/// Headers with secrets inserted, by their names.
///
/// # Errors
/// When a secret does not fit a header.
pub(super) fn filled<'a>(
    headers: &[(HeaderName, Header)],
    secret: impl Fn(&str) -> Option<&'a str>,
) -> anyhow::Result<Vec<(HeaderName, HeaderValue)>> {
    let filled = headers.iter().map(|(name, header)| {
        let secret = header.secret.as_deref().and_then(&secret).unwrap_or_default();
        let mut value = HeaderValue::from_str(&format!("{}{secret}", header.text))?;
        value.set_sensitive(true);
        Ok((name.clone(), value))
    });
    filled.collect()
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

/// The secrets for a step, each with the agent that gets it.
fn gives<'a>(step: &'a Step, graph: &'a Graph, settings: &'a Settings) -> Vec<(&'a str, &'a Secret)> {
    let agent = step.agent.as_deref().unwrap_or_default();
    given::names(step, graph, settings).1.into_iter().map(|secret| (agent, secret)).collect()
}

/// Warns of variables for agents that are not set. Missing secrets are an error.
pub fn warn_of_unset(graph: &Graph, settings: &Settings, terminal: &mut Terminal) {
    for Given { agent, env, .. } in given::given(graph, settings) {
        let known = agent.as_deref().and_then(|agent| settings.agents.get(agent));
        let needed = |name: &str| known.is_none_or(|agent| !agent.may_lack.iter().any(|other| other == name));
        let unset = env.iter().filter(|name| !name.set && needed(&name.name));
        let unset: Vec<&str> = unset.map(|name| name.name.as_str()).collect();
        if !unset.is_empty() {
            let who = agent.map_or("the document's program".to_owned(), |agent| format!("@{agent}"));
            let are = words::by_count(unset.len(), "is", "are");
            let names = unset.join(", ");
            terminal.talk(&visible(&format!(
                "warning: {names} {are} not set in the environment; {who} goes without"
            )));
            terminal.talk("\n");
        }
    }
}

/// The variables of these names and those that every program gets, as far as they are set.
pub fn environment(names: &[String]) -> Vec<(String, OsString)> {
    let usual = ENVIRONMENT.map(str::to_owned);
    variables(&usual).chain(variables(names)).collect()
}

/// The variables of these names, as far as they are set.
pub(super) fn variables(names: &[String]) -> impl Iterator<Item = (String, OsString)> {
    names.iter().filter_map(|name| Some((name.clone(), std::env::var_os(name)?)))
}
