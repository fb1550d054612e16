//! Asks an agent whether it is there, without calling a step. Does not know where its command, its address and its keys
//! come from.

use super::coder;
use super::container::Container;
use super::http::{self, Client, HeaderName, HeaderValue, Url};
use super::launch::Launch;
use super::mcp::{Mcp, StepInputs};
use super::model::{self, Protocol};
use super::program::{LINGER, LOG, Program, Start, Started, Tail, ended, hear, last_word};
use super::spawned::Spawns;
use super::worker::message::{self, Message};
use super::{Adapter, Stop, Urgency, contract};
use crate::event::Failure;
use crate::value::words;
use reqwest::Method;
use std::path::Path;
use std::time::Duration;

/// How long a worker must stay.
const STAYS: Duration = Duration::from_secs(1);

/// The run that the processes of probes belong to.
pub(super) const RUN: &str = "probe";

/// What an agent answers when it is asked whether it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// Its name and version, or what else it is; empty if it does not say.
    pub answers: String,
    /// Its model, or its tools.
    pub has: Vec<String>,
    pub missing: Vec<Missing>,
}

/// Something that is missing, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub what: String,
    pub help: String,
}

impl Presence {
    pub fn there(answers: impl Into<String>) -> Self {
        Presence { answers: answers.into(), ..Presence::default() }
    }

    pub fn missing(what: impl Into<String>, help: impl Into<String>) -> Self {
        Presence { missing: vec![Missing { what: what.into(), help: help.into() }], ..Presence::default() }
    }
}

/// A question for an agent, by its kind.
pub enum Probe {
    /// A program that is started only for an attempt, by its path.
    Program(String),
    Worker(Program),
    Coder(Program),
    /// A coding agent without a protocol: it shows its version.
    Headless(Program),
    Container(Container),
    Service {
        client: Client,
        url: Url,
        headers: Vec<(HeaderName, HeaderValue)>,
        /// Its program, if orderflow starts it.
        launch: Option<Launch>,
    },
    /// The tools of a server, and the steps that call them.
    Tools {
        mcp: Mcp,
        /// It is a program, which the question starts.
        is_started: bool,
        steps: Vec<StepInputs>,
    },
    Model {
        client: Client,
        protocol: Protocol,
        url: Url,
        headers: Vec<(HeaderName, HeaderValue)>,
        name: String,
    },
}

impl Probe {
    /// Asks, for so long at most. `key` is what to do if the agent refuses its key.
    pub async fn ask(self, most: Duration, key: &str) -> Presence {
        let help = match &self {
            Probe::Service { .. } | Probe::Model { .. } | Probe::Tools { is_started: false, .. } => {
                "start it, or wait longer with --timeout"
            }
            _ => "start its command by hand, or wait longer with --timeout",
        };
        let asked = async {
            match self {
                Probe::Program(path) => Presence::there(path),
                Probe::Worker(program) => worker(&program).await,
                Probe::Coder(program) => match coder::greet(&program).await {
                    Ok(answers) => Presence::there(answers),
                    Err(failure) => refused(&failure),
                },
                Probe::Headless(program) => version(program).await,
                Probe::Container(container) => engine(&container).await,
                Probe::Service { client, url, headers, launch: None } => {
                    service(&client, &url, headers, key).await
                }
                Probe::Service { client, url, headers, launch: Some(launch) } => {
                    let presence = started(&launch, &client, url, headers, key).await;
                    let (stopper, mut stop) = Stop::new();
                    stopper.ask(Urgency::Terminate);
                    launch.close(&mut stop).await;
                    presence
                }
                Probe::Tools { mcp, is_started, steps } => {
                    let presence = tools(&mcp, is_started, &steps, key).await;
                    let (stopper, stop) = Stop::new();
                    stopper.ask(Urgency::Terminate);
                    mcp.close(stop).await;
                    presence
                }
                Probe::Model { client, protocol, url, headers, name } => {
                    model::present(&client, protocol, &url, headers, &name, key).await
                }
            }
        };
        tokio::time::timeout(most, asked).await.unwrap_or_else(|_| {
            let what = format!("it did not answer within {}", words::duration(most));
            Presence::missing(what, help)
        })
    }
}

/// Starts a worker and sees whether it stays.
async fn worker(program: &Program) -> Presence {
    let Started { mut child, tree, .. } = match program.start(RUN, |_| ()).await {
        Ok(started) => started,
        Err(error) => return refused(&program.not_started(&error)),
    };
    let (mut log, mut out) = (Tail::new(LOG), Start::new(LOG));
    // Waiting would close its input.
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let waited = async {
        let (hears, reads) = (hear(stderr, |chunk| log.take(chunk)), hear(stdout, |chunk| out.take(chunk)));
        tokio::join!(child.wait(), hears, reads).0
    };
    let waited = tokio::time::timeout(STAYS, waited).await;
    drop(stdin);
    tree.end(LINGER, &mut Stop::new().1).await;
    match waited {
        Err(_) => match unasked(&out.bytes) {
            Some(why) => Presence::missing(why, "let it print its log to standard error"),
            None => Presence::there("stays"),
        },
        Ok(status) => {
            let (end, why) = (ended(status).1, last_word(&log.text()));
            let what = format!("it {end} instead of waiting for calls{why}");
            Presence::missing(what, "test it: orderflow agents --check -- and its command")
        }
    }
}

/// What is wrong with the lines that a worker has written before any call; each would end it in a run.
fn unasked(out: &[u8]) -> Option<String> {
    let lines = out.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    lines.map(message::read).find_map(|read| match read {
        Err(why) => Some(why),
        Ok(Some(Message::Over { .. })) => Some("worker answered before it was called".to_owned()),
        Ok(Some(Message::Log { .. } | Message::Progress { .. } | Message::Other) | None) => None,
    })
}

/// The first line that a program prints for `--version`.
async fn version(mut program: Program) -> Presence {
    program.command.truncate(1);
    program.command.push("--version".to_owned());
    let Started { mut child, tree, .. } = match program.start(RUN, |_| ()).await {
        Ok(started) => started,
        Err(error) => return refused(&program.not_started(&error)),
    };
    drop(child.stdin.take());
    let (mut out, mut log) = (Start::new(LOG), Tail::new(LOG));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let status = tokio::join!(
        child.wait(),
        hear(stdout, |chunk| out.take(chunk)),
        hear(stderr, |chunk| log.take(chunk))
    )
    .0;
    tree.end(LINGER, &mut Stop::new().1).await;
    if status.is_ok_and(|status| status.success()) {
        let text = String::from_utf8_lossy(&out.bytes).into_owned();
        return Presence::there(text.lines().next().unwrap_or_default().trim());
    }
    let what = format!("it does not show its version{}", last_word(&log.text()));
    Presence::missing(what, "start it with --version by hand, and read what it says")
}

fn refused(failure: &Failure) -> Presence {
    Presence::missing(failure.message.clone(), "start its command by hand, and read what it says")
}

async fn engine(container: &Container) -> Presence {
    let name = Path::new(&container.engine).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let format = if name == "podman" { "{{.Client.Version}}" } else { "{{.Server.Version}}" };
    let version = match container.ask(RUN, &["version", &format!("--format={format}")]).await {
        Ok(version) => version,
        Err(why) => {
            return Presence::missing(why, format!("start {name}: {name} version must show a server"));
        }
    };
    let mut presence = Presence::there(format!("{name} {}", version.trim()));
    match container.ask(RUN, &["image", "inspect", "--format={{.Id}}", &container.image]).await {
        Ok(_) => presence.has.push(container.image.clone()),
        Err(_) => presence.missing.push(Missing {
            what: format!("the image {} is not on this machine", container.image),
            help: format!("{name} pull {}", container.image),
        }),
    }
    presence
}

/// Asks a service with HEAD, which has no effect. Any status shows that it is there; one that says that the service
/// does not know HEAD says nothing about the key.
async fn service(client: &Client, url: &Url, headers: Vec<(HeaderName, HeaderValue)>, key: &str) -> Presence {
    let has_key = !headers.is_empty();
    let headers = headers.into_iter().collect();
    let request = client.request(Method::HEAD, url.clone()).headers(headers);
    let response = match client.send(request).await {
        Ok(response) => response,
        Err(error) => {
            let failure = http::lost(url, &error);
            return Presence::missing(
                failure.message,
                "start the service, or correct `http` in orderflow.toml",
            );
        }
    };
    let status = response.status();
    let server =
        response.headers().get("server").and_then(|server| server.to_str().ok()).unwrap_or("a service");
    if matches!(status.as_u16(), 405 | 501) {
        let unchecked = if has_key { ", key not checked" } else { "" };
        return Presence::there(format!("{server}{unchecked}"));
    }
    let mut presence = Presence::there(server);
    presence.missing.extend(closed(status.as_u16(), None, key).or_else(|| {
        status.is_server_error().then(|| Missing {
            what: format!("it answers {status}"),
            help: "see the log of the service".to_owned(),
        })
    }));
    presence
}

/// Starts a service and asks it.
async fn started(
    launch: &Launch,
    client: &Client,
    mut url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    key: &str,
) -> Presence {
    match launch.running(RUN, &Spawns::default()).await {
        Ok(running) => {
            let _ = url.set_port(Some(running.port()));
            service(client, &url, headers, key).await
        }
        Err(failure) => refused(&failure),
    }
}

/// The key that is missing or wrong, by the status of an answer and its reason.
pub(super) fn closed(status: u16, why: Option<String>, key: &str) -> Option<Missing> {
    let why = why.map(|why| format!(", {why}")).unwrap_or_default();
    contract::CLOSED_BY_PROVIDER
        .contains(&status)
        .then(|| Missing { what: format!("it refuses the key: {status}{why}"), help: key.to_owned() })
}

async fn tools(mcp: &Mcp, is_started: bool, steps: &[StepInputs], key: &str) -> Presence {
    let (greeting, tools) = match mcp.greet().await {
        Ok(greeted) => greeted,
        Err(failure) if failure.unavailable => {
            return Presence::missing(failure.message, key);
        }
        Err(failure) if is_started => return refused(&failure),
        Err(failure) => {
            return Presence::missing(
                failure.message,
                "start the server, or correct `mcp` in orderflow.toml",
            );
        }
    };
    let named = [greeting.name, greeting.version].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let protocol = format!("MCP {}", greeting.protocol);
    let mut presence =
        Presence::there(if named.is_empty() { protocol } else { format!("{named}, {protocol}") });
    presence.has = tools.iter().map(|tool| tool.name.clone()).collect();
    for step in steps {
        let gaps = mcp.gaps(step, &tools);
        let gap = |what: String| Missing {
            what,
            help: format!("change the inputs of {}, or name another tool: tool = \"…\"", step.phase),
        };
        presence.missing.extend(gaps.into_iter().map(gap));
    }
    presence
}

/// `None` for an answer that is too large or not UTF-8.
pub(super) fn text(bytes: Vec<u8>) -> Option<String> {
    contract::text(bytes).ok()
}
