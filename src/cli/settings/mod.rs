//! `orderflow.toml`: who does the work, with what limits and grants. Written by the operator, never by the
//! document.

mod channels;
mod clear;
mod coder;
mod containers;
mod names;
mod notify;
mod providers;
mod read;
mod schema;
mod secrets;
mod services;
#[cfg(test)]
mod tests;

pub use clear::without_keys;
pub use names::names;
pub use notify::Notify;
pub use read::read;
pub use schema::schema;

use super::exit::{Exit, Stop};
use super::terminal::Terminal;
use crate::adapter::coder::Cli;
use crate::adapter::http::{HeaderName, Url};
use crate::adapter::model::{Price, Protocol};
use crate::adapter::workfolder::WorkFolder;
use crate::diag::{Diagnostic, Source, render};
use crate::disk::{self, Folder};
use crate::event::TypePattern;
use anyhow::Context;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The name of the file.
pub const FILE: &str = "orderflow.toml";

/// The contents of the file. Without a file, no agent is bound, nothing is limited, and no fence may run.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The file itself, if it exists.
    pub file: Option<PathBuf>,
    /// The folder of the file, else of the document; `.orderflow` is in it.
    pub folder: PathBuf,
    /// Program fences of documents may run.
    pub fences: bool,
    pub agents: BTreeMap<String, Agent>,
    pub channels: BTreeMap<String, Channel>,
    /// The command that is run when someone has to act.
    pub notify: Option<Notify>,
}

impl Settings {
    /// The binding of a step's agent, if it has a way to call it.
    pub fn bound<'a>(&self, agent: Option<&'a str>) -> Option<(&'a str, &Agent)> {
        let name = agent?;
        Some((name, self.agents.get(name).filter(|agent| agent.reach.is_some())?))
    }

    /// Whether a step with this agent is done by a model or a coding agent, so that its instructions are what it does.
    pub fn prompts(&self, agent: Option<&str>) -> bool {
        let reach = self.bound(agent).and_then(|(_, agent)| agent.reach.as_ref());
        match reach {
            Some(Reach::Model { .. } | Reach::Coder(_)) => true,
            Some(
                Reach::Command(_)
                | Reach::Worker { .. }
                | Reach::Container { .. }
                | Reach::Http { .. }
                | Reach::Mcp { .. },
            )
            | None => false,
        }
    }

    /// Whether a channel may bring events of this type.
    pub fn brings(&self, kind: &str) -> bool {
        let is_source = |channel: &Channel| {
            matches!(
                channel.route,
                Some(EventRoute::Follow(_) | EventRoute::Listen { .. } | EventRoute::Nats(_))
            )
        };
        let mut sources = self.channels.values().filter(|channel| is_source(channel));
        sources.any(|channel| channel.types.iter().any(|one| one.matches(kind)))
    }

    /// Whether the programs of a document may run without a grant: those of documents in the folder of the settings, not
    /// of documents elsewhere that a step here runs.
    pub fn allows_fences(&self, document: &Path) -> bool {
        let real =
            |path: &Path| disk::real(if path.as_os_str().is_empty() { Path::new(".") } else { path }).ok();
        // A document that is gone, which a run has stored, was in its folder.
        let place =
            || real(document).or_else(|| Some(real(folder_of(document))?.join(document.file_name()?)));
        let is_here = || Some(place()?.starts_with(real(&self.folder)?));
        self.fences && (document == Path::new("-") || is_here().unwrap_or(false))
    }

    /// The path of the file, whether or not it exists.
    pub fn path(&self) -> PathBuf {
        self.file.clone().unwrap_or_else(|| self.folder.join(FILE))
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agent {
    /// How it is called; `None` if the table does not define it.
    pub reach: Option<Reach>,
    pub concurrency: Option<usize>,
    /// Names of environment variables that it gets.
    pub env: Vec<String>,
    /// Those of them that are optional: written with a `?`.
    pub may_lack: Vec<String>,
    /// The secrets that only this agent gets, as variables.
    pub secrets: Vec<Secret>,
    /// Whether a person is asked what it asks: for permissions that `allow` does not give, or for values.
    pub ask: bool,
    pub effects: AgentEffects,
    pub idempotent: Option<bool>,
}

/// How an agent is called.
#[derive(Clone, Debug, PartialEq)]
pub enum Reach {
    /// A program that is started for every attempt, with its arguments.
    Command(Vec<String>),
    /// A program that stays and answers many calls, with its arguments and the most processes.
    Worker { command: Vec<String>, processes: usize },
    /// A program in a container, which is started for every attempt.
    Container { image: String, command: Vec<String>, network: bool, engine: Option<Engine> },
    /// A service that answers POST at this address, or at those of single steps, by their phases; the program that
    /// starts it, with its arguments, if orderflow does.
    Http { url: Url, urls: BTreeMap<String, Url>, headers: Vec<(HeaderName, Header)>, start: Vec<String> },
    /// A tool of an MCP server, by its name; without one, each step calls the tool of its own name.
    Mcp { server: McpServer, tool: Option<String> },
    /// A provider's model, by the names of both; the file of its system prompt; the most tokens of an answer.
    Model { name: String, provider: Provider, system: Option<PathBuf>, max_tokens: u32 },
    /// A coding agent that is started for every attempt.
    Coder(Coder),
}

/// A coding agent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coder {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How it is spoken to without a protocol.
    pub headless: Option<Cli>,
    /// The file of the instructions that precede every prompt.
    pub instructions: Option<PathBuf>,
    pub work: WorkFolder,
    /// The kinds of tools that it may use when it asks.
    pub allow: Vec<String>,
}

/// What runs containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Docker,
    Podman,
}

impl Engine {
    /// Every engine, in the order in which one is searched.
    pub const ALL: [Engine; 2] = [Engine::Docker, Engine::Podman];

    pub fn name(self) -> &'static str {
        match self {
            Engine::Docker => "docker",
            Engine::Podman => "podman",
        }
    }
}

/// Where the server of an agent's tools is.
#[derive(Clone, Debug, PartialEq)]
pub enum McpServer {
    /// A program that stays, with its arguments.
    Program(Vec<String>),
    Http {
        url: Url,
        headers: Vec<(HeaderName, Header)>,
    },
}

/// Who has models, and how they are reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    pub protocol: Protocol,
    pub url: Url,
    pub headers: Vec<(HeaderName, Header)>,
    pub price: Option<Price>,
    /// It reports the cost of each answer.
    pub reports_cost: bool,
}

impl Coder {
    /// Whether it reports what its work costs. Programs that are not known may.
    pub fn reports_cost(&self) -> bool {
        let program = self.command.first().map(|program| program.rsplit('/').next().unwrap_or(program));
        !matches!(program, Some("codex" | "codex-acp" | "gemini"))
    }
}

/// The value of a header of requests to a service: a text, followed by a secret if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub text: String,
    /// The name of one of the agent's secrets.
    pub secret: Option<String>,
}

/// Whether an agent has effects, rather than only reading and computing; by default it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentEffects {
    pub all: Option<bool>,
    /// The values for single steps, by their phases.
    pub of: BTreeMap<String, bool>,
}

impl AgentEffects {
    pub fn any(&self) -> bool {
        self.all.unwrap_or(true)
    }

    pub fn of(&self, phase: &str) -> bool {
        self.of.get(phase).copied().unwrap_or_else(|| self.any())
    }
}

/// A secret by its name; its value is read when a run needs it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Secret {
    /// The name of the variable that contains it.
    pub name: String,
    pub from: Origin,
}

/// The source of a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// In a variable of this name.
    Environment(String),
    /// In a file, without its final newline.
    File(PathBuf),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Channel {
    pub concurrency: Option<usize>,
    /// Starts per second.
    pub rate: Option<f64>,
    /// The types of its events.
    pub types: Vec<TypePattern>,
    /// Where its events go to or come from.
    pub route: Option<EventRoute>,
}

/// The way of the events of a channel.
#[derive(Clone, Debug, PartialEq)]
pub enum EventRoute {
    /// They are appended to this file.
    Append(PathBuf),
    /// They are lines of this file.
    Follow(PathBuf),
    /// They are posted to this address.
    Post { url: Url, key: Option<Header> },
    /// They are posted to this address by others.
    Listen { address: SocketAddr, key: Option<Header> },
    /// They are published to a stream of NATS, and taken from it.
    Nats(NatsRoute),
}

/// A stream of a NATS server.
#[derive(Clone, Debug, PartialEq)]
pub struct NatsRoute {
    pub server: String,
    pub stream: String,
    /// The beginning of the subjects, before the type.
    pub prefix: Option<String>,
    /// With a user, the key is the password; without one, a token.
    pub user: Option<String>,
    pub key: Option<Header>,
}

/// Reads the settings for a document: the nearest file in its folder or above it, up to the repository's root; outside
/// a repository only in the document's own folder.
///
/// # Errors
/// When the file cannot be read, or stops with all its problems shown; with `strict`, also on a warning.
pub fn load(document: &Path, strict: bool, terminal: &mut Terminal) -> anyhow::Result<Settings> {
    let Looked { settings, wrong } = look(document)?;
    let Some((source, problems)) = wrong else { return Ok(settings) };
    terminal.talk(&render::human(&source, &problems, terminal.talk_colour()));
    if !strict && !problems.iter().any(Diagnostic::is_error) {
        return Ok(settings);
    }
    Err(Stop::new(Exit::Invalid, format!("{} is not valid; nothing was run", source.name)).into())
}

/// Settings as far as they could be read, and their problems.
#[derive(Default)]
pub struct Looked {
    pub settings: Settings,
    /// The file, without keys in clear text, and its problems, if it has any.
    pub wrong: Option<(Source, Vec<Diagnostic>)>,
}

/// The same as [`load`], but returns the problems instead of showing them.
///
/// # Errors
/// When the file cannot be read.
pub fn look(document: &Path) -> anyhow::Result<Looked> {
    look_at(document, &|_| None)
}

/// The same, where an editor may have changed the file.
///
/// # Errors
/// When the file cannot be read.
pub fn look_at(document: &Path, edited: &dyn Fn(&Path) -> Option<String>) -> anyhow::Result<Looked> {
    let own = folder_of(document);
    let Some(file) = find(own)? else {
        let settings = Settings { folder: own.to_owned(), ..Settings::default() };
        return Ok(Looked { settings, wrong: None });
    };
    let name = file.display().to_string();
    let text = match edited(&file) {
        Some(text) => text,
        None => text(&file).with_context(|| format!("cannot read {name}"))?,
    };
    let source = Source::new(name, text);
    let (mut settings, problems, shown) = read_shown(&source);
    settings.folder = file.parent().unwrap_or(own).to_owned();
    settings.file = Some(file);
    Ok(Looked { settings, wrong: (!problems.is_empty()).then_some((shown, problems)) })
}

/// The problems of a settings file, with its text as it is shown.
pub fn problems(source: &Source) -> (Source, Vec<Diagnostic>) {
    let (_, problems, shown) = read_shown(source);
    (shown, problems)
}

/// Reads the text of the file; the problems are those of the text as it is shown, without keys in clear text.
fn read_shown(source: &Source) -> (Settings, Vec<Diagnostic>, Source) {
    let (settings, mut problems) = read(source);
    let shown = clear::masked(source);
    if !problems.is_empty() && shown.text != source.text {
        problems = read(&shown).1;
    }
    (settings, problems, shown)
}

/// The text of a settings file.
///
/// # Errors
/// It cannot be read, or does not belong to this user.
pub fn text_of(file: &Path) -> std::io::Result<String> {
    text(file)
}

/// The file for a document, if it exists.
///
/// # Errors
/// When the current folder cannot be read.
pub fn file_of(document: &Path) -> anyhow::Result<Option<PathBuf>> {
    find(folder_of(document))
}

fn folder_of(document: &Path) -> &Path {
    match document.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The largest file of settings, in bytes.
const LARGEST: usize = 1 << 20;

/// Reads a settings file. As it names programs to run, it must be a file of this user, in a folder of this user.
fn text(file: &Path) -> std::io::Result<String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = Folder::shared(folder)?.open_file(FILE)?;
    String::from_utf8(disk::read_at_most(file, LARGEST)?).map_err(std::io::Error::other)
}

fn find(own: &Path) -> anyhow::Result<Option<PathBuf>> {
    let here = own.join(FILE);
    if disk::is_there(&here) {
        return Ok(Some(here));
    }
    let absolute = std::path::absolute(own).context("cannot read the current folder")?;
    let up = disk::up_to_repository(&absolute).into_iter().map(|folder| folder.join(FILE));
    Ok(up.skip(1).find(|file| disk::is_there(file)))
}
