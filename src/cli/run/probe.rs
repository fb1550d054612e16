//! The questions for the agents of a document: whether each is there. Missing programs and secrets are answers, not
//! errors.

use super::super::settings::{Agent, Coder, Header, McpServer, Reach, Settings};
use super::bind::{ENGINE, environment, filled, instructions, variables, workable};
use super::programs::{engine_of, installation, located};
use super::secrets;
use crate::adapter::container::Container;
use crate::adapter::fence;
use crate::adapter::http::{self, HeaderName, HeaderValue};
use crate::adapter::launch::Launch;
use crate::adapter::mcp::{Mcp, Server, StepInputs};
use crate::adapter::probe::{Missing, Presence, Probe};
use crate::adapter::program::Program;
use crate::adapter::redact::Redactor;
use crate::graph::{Graph, Role, Step};
use crate::value::words;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinSet;

/// An agent of a document, and what it answered.
#[derive(Clone, Debug)]
pub struct Probed {
    /// `None` for a program of the document whose step has no agent.
    pub agent: Option<String>,
    pub kind: &'static str,
    pub presence: Presence,
}

/// Asks every agent of these documents at the same time, each for so long at most. They are in the order of the steps.
///
/// # Errors
/// When the system's certificates cannot be read, or the current folder.
pub async fn probe(graphs: &[&Graph], settings: &Settings, most: Duration) -> anyhow::Result<Vec<Probed>> {
    let mut names: Vec<Option<&str>> = Vec::new();
    let mut asking = JoinSet::new();
    let mut all: Vec<Probed> = Vec::new();
    let steps = graphs.iter().flat_map(|graph| graph.steps.iter().map(move |step| (*graph, step)));
    for (graph, step) in steps.filter(|(_, step)| step.document.is_none()) {
        let (name, bound) = match settings.bound(step.agent.as_deref()) {
            Some((name, agent)) => (Some(name), Some(agent)),
            None => (step.agent.as_deref(), None),
        };
        // Programs of the document are asked one by one.
        if (bound.is_some() || step.program.is_none()) && names.contains(&name) && name.is_some() {
            continue;
        }
        names.push(name);
        let (kind, question, redactor) = match bound {
            Some(agent) => {
                let asked = Asked::of(name.unwrap_or_default(), agent, graph, settings)?;
                (kind(agent), asked.question()?.map(|probe| (probe, asked.key())), asked.redactor())
            }
            None if step.program.is_some() => {
                ("program", program(step).map(|probe| (probe, String::new())), Redactor::new([]))
            }
            None if name.is_some_and(|name| settings.agents.contains_key(name)) => {
                let help = "add command = […] or another key to it";
                let what = "orderflow.toml does not say how it is called";
                ("unbound", Err(Presence::missing(what, help)), Redactor::new([]))
            }
            None => ("unbound", program(step).map(|probe| (probe, String::new())), Redactor::new([])),
        };
        let (number, agent) = (all.len(), name.map(str::to_owned));
        all.push(Probed { agent, kind, presence: Presence::default() });
        match question {
            Ok((probe, key)) => {
                asking.spawn(async move { (number, redacted(probe.ask(most, &key).await, &redactor)) });
            }
            Err(presence) => all[number].presence = presence,
        }
    }
    while let Some(answered) = asking.join_next().await {
        if let Ok((number, presence)) = answered
            && let Some(probed) = all.get_mut(number)
        {
            probed.presence = presence;
        }
    }
    Ok(all)
}

/// An answer may repeat the key.
fn redacted(mut presence: Presence, redactor: &Redactor) -> Presence {
    let missing = presence.missing.iter_mut().flat_map(|missing| [&mut missing.what, &mut missing.help]);
    let texts = std::iter::once(&mut presence.answers).chain(&mut presence.has).chain(missing);
    texts.for_each(|text| redactor.text(text));
    presence
}

/// The key in `orderflow.toml` that binds an agent.
fn kind(agent: &Agent) -> &'static str {
    match &agent.reach {
        Some(Reach::Command(_)) => "command",
        Some(Reach::Worker { .. }) => "worker",
        Some(Reach::Container { .. }) => "container",
        Some(Reach::Http { .. }) => "http",
        Some(Reach::Mcp { .. }) => "mcp",
        Some(Reach::Model { .. }) => "model",
        Some(Reach::Coder(Coder { headless: Some(_), .. })) => "headless",
        Some(Reach::Coder(_)) => "acp",
        None => "unbound",
    }
}

/// The program of a step without an agent, or what the step lacks.
fn program(step: &Step) -> Result<Probe, Presence> {
    let Some(program) = &step.program else {
        let (what, help) = match &step.agent {
            Some(agent) => (
                "orderflow.toml does not bind it".to_owned(),
                format!("add [agents.{agent}] to orderflow.toml, or run with --stub"),
            ),
            None => (
                format!("the step {} has neither an agent nor a program", step.title),
                "name an agent in its heading, or run with --stub".to_owned(),
            ),
        };
        return Err(Presence::missing(what, help));
    };
    let language = &program.language.value;
    let words = fence::interpreter(language).ok_or_else(|| {
        let help = format!("known languages: {}", fence::LANGUAGES.join(", "));
        Presence::missing(format!("unknown language `{language}`"), help)
    })?;
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    Ok(Probe::Program(place(&words, Path::new("."))?.into_iter().next().unwrap_or_default()))
}

/// The command with the path of its program.
fn place(words: &[String], folder: &Path) -> Result<Vec<String>, Presence> {
    located(words, folder).map_err(|searched| {
        let program = words.first().map_or("", String::as_str);
        let help = match installation(program) {
            Some(install) => install,
            None => {
                format!("looked for it in {searched}; install it, or correct the command in orderflow.toml")
            }
        };
        Presence::missing(format!("the program `{program}` was not found"), help)
    })
}

/// An agent with its secrets, as far as they are there.
struct Asked<'a> {
    agent: &'a Agent,
    settings: &'a Settings,
    steps: Vec<StepInputs>,
    secrets: BTreeMap<String, String>,
    missing: Vec<Missing>,
}

impl<'a> Asked<'a> {
    fn of(name: &str, agent: &'a Agent, graph: &Graph, settings: &'a Settings) -> anyhow::Result<Self> {
        let (mut secrets, mut missing) = (BTreeMap::new(), Vec::new());
        for secret in &agent.secrets {
            match secrets::value(secret, &settings.folder) {
                Ok(value) => drop(secrets.insert(secret.name.clone(), value)),
                Err(why) => missing.push(Missing {
                    what: format!("the secret {} {why}", secret.name),
                    help: "set it in the environment, or name its place in orderflow.toml".to_owned(),
                }),
            }
        }
        let (file, work) = match &agent.reach {
            Some(Reach::Model { system, .. }) => (system.as_deref(), Ok(())),
            Some(Reach::Coder(coder)) => (coder.instructions.as_deref(), workable(coder, settings)),
            _ => (None, Ok(())),
        };
        if let Some(Err(why)) = file.map(|file| instructions(&settings.folder, file)) {
            missing.push(Missing {
                what: format!("its instructions cannot be read: {why}"),
                help: "`instructions` in orderflow.toml is a path relative to that file".to_owned(),
            });
        }
        if let Err(why) = work {
            missing.push(Missing {
                what: format!("it works in a worktree, but {why}"),
                help:
                    "run `git init` and commit once, or set folder = \"copy\" or \"shared\" in orderflow.toml"
                        .to_owned(),
            });
        }
        let own = graph.steps.iter().filter(|step| step.agent.as_deref() == Some(name));
        let steps = own.map(|step| inputs(step, graph)).collect();
        Ok(Asked { agent, settings, steps, secrets, missing })
    }

    fn redactor(&self) -> Redactor {
        Redactor::new(self.secrets.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// What to do if the agent refuses its key.
    fn key(&self) -> String {
        let headers = match &self.agent.reach {
            Some(
                Reach::Http { headers, .. } | Reach::Mcp { server: McpServer::Http { headers, .. }, .. },
            ) => headers.as_slice(),
            Some(Reach::Model { provider, .. }) => &provider.headers,
            _ => &[],
        };
        let secrets: Vec<&str> = headers.iter().filter_map(|(_, header)| header.secret.as_deref()).collect();
        match secrets.as_slice() {
            [] => "set `key` or `headers` in orderflow.toml to a key that is accepted".to_owned(),
            names => format!("correct the value of {}", words::and(names.iter().map(words::code))),
        }
    }

    /// The question, or what is missing before it can be asked.
    fn question(&self) -> anyhow::Result<Result<Probe, Presence>> {
        Ok(match self.probe()? {
            Ok(_) if !self.missing.is_empty() => {
                Err(Presence { missing: self.missing.clone(), ..Presence::default() })
            }
            Err(mut presence) => {
                presence.missing.extend(self.missing.iter().cloned());
                Err(presence)
            }
            Ok(probe) => Ok(probe),
        })
    }

    fn probe(&self) -> anyhow::Result<Result<Probe, Presence>> {
        let folder = std::path::absolute(&self.settings.folder)?;
        let program = |words: &[String]| {
            let command = place(words, &self.settings.folder)?;
            let env = environment(&self.agent.env).into_iter().chain(self.variables()).collect();
            Ok::<Program, Presence>(Program { command, folder: folder.clone(), env })
        };
        Ok(match &self.agent.reach {
            None => Err(Presence::missing(
                "orderflow.toml does not say how it is called",
                "add command = […] or another key",
            )),
            Some(Reach::Command(words)) => place(words, &self.settings.folder)
                .map(|words| Probe::Program(words.into_iter().next().unwrap_or_default())),
            Some(Reach::Worker { command, .. }) => program(command).map(Probe::Worker),
            Some(Reach::Coder(Coder { command, headless, .. })) => match headless {
                Some(_) => program(command).map(Probe::Headless),
                None => program(command).map(Probe::Coder),
            },
            Some(Reach::Container { image, command, engine, .. }) => match engine_of(*engine) {
                Ok(engine) => Ok(Probe::Container(Container {
                    own: environment(&ENGINE.map(str::to_owned)),
                    env: variables(&self.agent.env).collect(),
                    ..Container::new(engine, image.clone(), command.clone(), folder)
                })),
                Err((engines, searched)) => Err(Presence::missing(
                    format!("{} was not found", words::or(engines.iter().map(words::code))),
                    format!("looked for it in {searched}; install docker or podman"),
                )),
            },
            Some(Reach::Http { url, headers, start, .. }) => {
                let launch = match start.as_slice() {
                    [] => None,
                    start => match program(start) {
                        Ok(program) => Launch::new(program, url),
                        Err(missing) => return Ok(Err(missing)),
                    },
                };
                let (client, headers) = (http::Client::new()?, self.headers(headers)?);
                Ok(Probe::Service { client, url: url.clone(), headers, launch })
            }
            Some(Reach::Mcp { server, tool }) => {
                let server = match server {
                    McpServer::Program(command) => match program(command) {
                        Ok(program) => Server::Program(program),
                        Err(missing) => return Ok(Err(missing)),
                    },
                    McpServer::Http { url, headers } => Server::Http {
                        client: http::Client::new()?,
                        url: url.clone(),
                        headers: self.headers(headers)?,
                    },
                };
                let is_started = matches!(server, Server::Program(_));
                Ok(Probe::Tools {
                    is_started,
                    mcp: Mcp::new(server, tool.clone()),
                    steps: self.steps.clone(),
                })
            }
            Some(Reach::Model { name, provider, .. }) => Ok(Probe::Model {
                client: http::Client::new()?,
                protocol: provider.protocol,
                url: provider.url.clone(),
                headers: self.headers(&provider.headers)?,
                name: name.split_once('/').map_or(name.as_str(), |(_, model)| model).to_owned(),
            }),
        })
    }

    fn variables(&self) -> impl Iterator<Item = (String, OsString)> {
        self.secrets.iter().map(|(name, value)| (name.clone(), value.clone().into()))
    }

    fn headers(&self, headers: &[(HeaderName, Header)]) -> anyhow::Result<Vec<(HeaderName, HeaderValue)>> {
        filled(headers, |name| self.secrets.get(name).map(String::as_str))
    }
}

/// What a step passes to its agent.
fn inputs(step: &Step, graph: &Graph) -> StepInputs {
    let given = step.inputs.iter().filter(|input| input.role == Role::Given);
    let input = |input: &crate::graph::Input| {
        let value = graph.value(input.value);
        (value.name.clone(), value.ty.clone(), input.optional)
    };
    StepInputs { phase: step.phase.clone(), inputs: given.map(input).collect() }
}
