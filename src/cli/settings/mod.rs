//! `orderflow.toml`: who does the work, with what limits and grants. Written by the operator, never by the
//! document.

mod providers;
mod read;

pub use read::read;

use super::exit::{Exit, Stop};
use super::terminal::Terminal;
use crate::adapter::http::{HeaderName, Url};
use crate::adapter::model::{Price, Protocol};
use crate::diag::{Diagnostic, Source, render};
use crate::disk::{self, Folder};
use anyhow::Context;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const FILE: &str = "orderflow.toml";

/// What the file says. Without a file: nothing is bound, nothing is limited, no fence may run.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The file itself, where there is one.
    pub file: Option<PathBuf>,
    /// The folder of the file, else of the document: `.orderflow` lies here.
    pub folder: PathBuf,
    /// Program fences of documents may run.
    pub fences: bool,
    pub agents: BTreeMap<String, Agent>,
    pub channels: BTreeMap<String, Channel>,
}

impl Settings {
    /// What is bound to a step's agent, with a way to reach it.
    pub fn bound<'a>(&self, agent: Option<&'a str>) -> Option<(&'a str, &Agent)> {
        let name = agent?;
        Some((name, self.agents.get(name).filter(|agent| agent.reach.is_some())?))
    }

    /// The file that was read, or would be if it were there.
    pub fn path(&self) -> PathBuf {
        self.file.clone().unwrap_or_else(|| self.folder.join(FILE))
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agent {
    /// How it is reached; none where the table does not say.
    pub reach: Option<Reach>,
    pub concurrency: Option<usize>,
    /// Names of environment variables that it gets.
    pub env: Vec<String>,
    /// Those of them that it can do without: written with a `?`.
    pub may_lack: Vec<String>,
    /// What it alone is given, as variables.
    pub secrets: Vec<Secret>,
    pub effects: Effects,
    pub idempotent: Option<bool>,
}

/// How an agent is reached.
#[derive(Clone, Debug, PartialEq)]
pub enum Reach {
    /// The program that is started for every attempt, and its arguments.
    Command(Vec<String>),
    /// The program that stays and answers many calls, with its arguments, in up to so many processes.
    Worker { command: Vec<String>, processes: usize },
    /// The service that answers POST at this address.
    Http { url: Url, headers: Vec<(HeaderName, Header)> },
    /// A provider's model, by the names of both; the file of what it is told before every prompt; the most tokens of an
    /// answer.
    Model { name: String, provider: Provider, system: Option<PathBuf>, max_tokens: u32 },
}

/// Who has models, and how they are reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    pub protocol: Protocol,
    pub url: Url,
    pub headers: Vec<(HeaderName, Header)>,
    pub price: Option<Price>,
}

/// What a header of requests to a service holds: text before, and after it a secret where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub text: String,
    /// The name of one of the agent's secrets.
    pub secret: Option<String>,
}

/// Whether an agent changes anything, rather than to look and compute only; where nothing is said, it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    pub all: Option<bool>,
    /// What is said of single steps, by their phases.
    pub of: BTreeMap<String, bool>,
}

impl Effects {
    pub fn any(&self) -> bool {
        self.all.unwrap_or(true)
    }

    pub fn of(&self, phase: &str) -> bool {
        self.of.get(phase).copied().unwrap_or_else(|| self.any())
    }
}

/// A secret by its name; its value is fetched when a run needs it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Secret {
    /// Of the variable that holds it.
    pub name: String,
    pub from: Origin,
}

/// Where a secret is.
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
}

/// Reads the settings that hold for a document: the nearest file at or above it, up to the repository's root;
/// outside a repository only in the document's own folder.
///
/// # Errors
/// When the file cannot be read, or stops with all its problems shown.
pub fn load(document: &Path, terminal: &mut Terminal) -> anyhow::Result<Settings> {
    let Looked { settings, wrong } = look(document)?;
    let Some((source, problems)) = wrong else { return Ok(settings) };
    terminal.talk(&render::human(&source, &problems, terminal.talk_colour()));
    Err(Stop::new(Exit::Invalid, format!("{} is not valid; nothing was run", source.name)).into())
}

/// Settings as far as they could be read, and what is wrong with them.
#[derive(Default)]
pub struct Looked {
    pub settings: Settings,
    /// The file and its problems, where there are any.
    pub wrong: Option<(Source, Vec<Diagnostic>)>,
}

/// The same as [`load`], with the problems handed on and not shown.
///
/// # Errors
/// When the file cannot be read.
pub fn look(document: &Path) -> anyhow::Result<Looked> {
    let own = match document.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Some(file) = find(own)? else {
        let settings = Settings { folder: own.to_owned(), ..Settings::default() };
        return Ok(Looked { settings, wrong: None });
    };
    let name = file.display().to_string();
    let text = text(&file).with_context(|| format!("cannot read {name}"))?;
    let source = Source::new(name, text);
    let (mut settings, problems) = read(&source);
    settings.folder = file.parent().unwrap_or(own).to_owned();
    settings.file = Some(file);
    Ok(Looked { settings, wrong: (!problems.is_empty()).then_some((source, problems)) })
}

/// The largest file of settings, in bytes.
const LARGEST: usize = 1 << 20;

/// A file that says what is run: obeyed only where it is a file of this user's, in its folder.
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
