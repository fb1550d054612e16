//! Binds each step to an adapter: an agent from `orderflow.toml`, else the document's own program, if it may run. All
//! missing ones are reported before anything starts.

use super::super::children::Children;
use super::super::document::Document;
use super::super::exit::{Exit, Stop};
use super::super::given;
use super::super::settings::{Coder, Header, McpServer, Provider, Reach, Secret, Settings};
use super::super::terminal::Terminal;
use super::programs::{engine_of, installation, located};
use super::secrets::Secrets;
use crate::adapter::fence;
use crate::adapter::http::{HeaderName, HeaderValue, Url};
use crate::adapter::repository;
use crate::adapter::workfolder::WorkFolder;
#[cfg(feature = "restate")]
use crate::cluster::Route;
use crate::diag::render::{self, visible};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::disk::{self, Named};
use crate::graph::{Graph, Step};
use crate::value::words;
use crate::view::plan::Given;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

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
pub(super) enum Doer<'a> {
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
        ask: bool,
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
        ask: bool,
        env: &'a [String],
    },
    Program {
        interpreter: Vec<String>,
        source: &'a str,
    },
    /// A document, by its place among the children.
    Document(usize),
    /// A stub: its outputs are samples of their types.
    Stub,
}

/// Where the server of a tool is.
pub(super) enum Tools<'a> {
    Program(Vec<String>),
    Http { url: &'a Url, headers: &'a [(HeaderName, Header)] },
}

/// The steps of a document with their doers, in the order of the steps.
pub(super) type DoneBy<'a> = Vec<(&'a Step, Doer<'a>)>;

/// The doers of all steps of a run.
pub struct Doers<'a> {
    pub(super) steps: DoneBy<'a>,
    /// By the document's place among the children; empty for one that does not run.
    pub(super) children: Vec<DoneBy<'a>>,
    pub(super) secrets: Secrets,
}

/// Finds the doer of each step; with `stub`, steps without one are stubbed. A run that `replays` asks no models.
///
/// # Errors
/// Stops after showing every step without a doer, and every missing secret.
pub fn find<'a>(
    document: &'a Document,
    graph: &'a Graph,
    settings: &'a Settings,
    stub: bool,
    replays: bool,
    terminal: &mut Terminal,
) -> anyhow::Result<Doers<'a>> {
    let mut search = Search { settings, stub, replays, problems: Vec::new(), all: Vec::new() };
    search.document(document, graph, &document.children);
    let mut wanted = BTreeSet::new();
    for (_, graph, steps) in &search.all {
        // What is not asked needs no key.
        let recorded = |doer: &Doer<'_>| replays && matches!(doer, Doer::Model { .. } | Doer::Service { .. });
        let asked = steps.iter().filter(|(_, doer)| !recorded(doer));
        wanted.extend(asked.flat_map(|(step, _)| gives(step, graph, settings)));
    }
    let secrets = Secrets::fetch(&wanted, settings, terminal);
    if search.problems.iter().all(|(_, problems)| problems.is_empty()) {
        let mut steps = Vec::new();
        let mut children: Vec<DoneBy<'a>> = document.children.0.iter().map(|_| Vec::new()).collect();
        for (of, _, found) in search.all {
            match document.children.place(of).and_then(|place| children.get_mut(place)) {
                Some(child) => *child = found,
                None => steps = found,
            }
        }
        return Ok(Doers { steps, children, secrets: secrets? });
    }
    for (document, mut problems) in search.problems {
        // A problem that was shown as a warning is not shown again.
        let is_reported = |problem: &Diagnostic| {
            document.problems.iter().any(|known| (known.code, known.span) == (problem.code, problem.span))
        };
        problems.retain(|problem| !is_reported(problem));
        problems.sort_by_key(|problem| problem.span);
        terminal.talk(&render::human(&document.source, &problems, terminal.talk_colour()));
    }
    Err(Stop::new(Exit::Invalid, "not every step can be done; nothing was run").into())
}

/// The doers of the steps that a worker serves on a route: those of its agents, those with programs, or none but stubs.
/// The other steps are never called there.
///
/// # Errors
/// What is missing for a step, or a secret.
#[cfg(feature = "restate")]
pub fn some<'a>(
    document: &'a Document,
    graph: &'a Graph,
    settings: &'a Settings,
    (route, agents): (Route, &[String]),
    terminal: &mut Terminal,
) -> anyhow::Result<Doers<'a>> {
    let (mut steps, mut wanted) = (Vec::new(), BTreeSet::new());
    for step in &graph.steps {
        let is_ours = step.agent.as_ref().is_some_and(|agent| agents.contains(agent));
        let found = match route {
            Route::Agent if is_ours => doer(document, step, settings, false),
            Route::Program => program(step),
            Route::Agent | Route::Stub => Ok(None),
        };
        let found = found.map_err(|problem| anyhow::anyhow!("{}: {}", step.title, problem.message))?;
        // The secrets of an agent are not for a program in its place.
        let is_bound = settings.bound(step.agent.as_deref()).is_some();
        if found.is_some() && is_bound == (route == Route::Agent) {
            wanted.extend(gives(step, graph, settings));
        }
        steps.push((step, found.unwrap_or(Doer::Stub)));
    }
    let secrets = Secrets::fetch(&wanted, settings, terminal)?;
    Ok(Doers { steps, children: Vec::new(), secrets })
}

/// The search for the doers of the steps of a document, and of the documents that they run.
struct Search<'a> {
    settings: &'a Settings,
    stub: bool,
    replays: bool,
    problems: Vec<(&'a Document, Vec<Diagnostic>)>,
    all: Vec<(&'a Document, &'a Graph, DoneBy<'a>)>,
}

impl<'a> Search<'a> {
    fn document(&mut self, document: &'a Document, graph: &'a Graph, children: &'a Children) {
        let (mut problems, mut doers, mut inner) = (Vec::new(), Vec::new(), Vec::new());
        for step in &graph.steps {
            if let Some(child) = document.child_of(step) {
                doers.push((step, Doer::Document(child)));
                inner.push(child);
                continue;
            }
            match doer(document, step, self.settings, self.replays) {
                Ok(Some(doer)) => doers.push((step, doer)),
                Ok(None) if self.stub => doers.push((step, Doer::Stub)),
                Ok(None) => problems.push(unbound(document, step, self.settings)),
                Err(problem) => problems.push(*problem),
            }
        }
        self.problems.push((document, problems));
        self.all.push((document, graph, doers));
        for child in inner.into_iter().filter_map(|child| children.0.get(child)) {
            let is_new = !self.all.iter().any(|(known, ..)| std::ptr::eq(*known, child));
            if let Some(graph) = child.graph.as_ref().filter(|_| is_new) {
                self.document(child, graph, children);
            }
        }
    }
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
    replays: bool,
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
                // A service that is not asked is not started.
                let start = if start.is_empty() || replays { Vec::new() } else { found(start)? };
                Some(Doer::Service { agent: name, url, urls, headers, start, env: &agent.env })
            }
            Some(Reach::Mcp { server, tool }) => {
                let server = match server {
                    McpServer::Program(command) => Tools::Program(found(command)?),
                    McpServer::Http { url, headers } => Tools::Http { url, headers },
                };
                Some(Doer::Tool { agent: name, server, tool: tool.clone(), ask: agent.ask, env: &agent.env })
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
                Some(Doer::Coder { command, coder, instructions, ask: agent.ask, env: &agent.env })
            }
            None => None,
        });
    }
    program(step)
}

/// The program of a step in its document.
fn program(step: &Step) -> Result<Option<Doer<'_>>, Box<Diagnostic>> {
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

/// The secrets for a step, each with the agent that gets it.
pub(super) fn gives<'a>(
    step: &'a Step,
    graph: &'a Graph,
    settings: &'a Settings,
) -> Vec<(&'a str, &'a Secret)> {
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
