//! `orderflow worker`: does the steps of agents for runs that a Restate server drives, and drives the runs themselves there.

use super::exit::{Exit, Stop};
use super::help::with_exits;
use super::run::{self, Served};
use super::settings;
use super::terminal::Terminal;
use crate::cluster::Worker;
use crate::diag::render::visible;
use anyhow::Context;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Do the steps of agents for runs on Restate
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow worker --engine restate                        all agents of orderflow.toml here
  orderflow worker --engine restate shop/orders.md         those for this document
  orderflow worker --engine restate --agents payment       only this agent
  orderflow worker --engine restate --programs             programs in documents, too
  orderflow worker --engine restate --listen 0.0.0.0:9080  for servers on other machines

Register its address with the server once: restate deployments register http://HOST:9080. It needs no document: \
runs bring their own. Its agents, their limits and their secrets are those of orderflow.toml here; secrets do not \
leave it.", &[Exit::Invalid]))]
pub struct Args {
    /// A document, to find its orderflow.toml [default: the current folder]
    file: Option<PathBuf>,
    /// What drives the runs
    #[arg(long, value_enum)]
    engine: Engine,
    /// Serve only these agents
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    agents: Vec<String>,
    /// Also run the programs of documents, with the variables and secrets that they name
    #[arg(long)]
    programs: bool,
    /// The address to listen at
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9080")]
    listen: SocketAddr,
    /// Answer only servers with this public key, such as publickeyv1_…; repeatable
    #[arg(long, value_name = "KEY")]
    identity_key: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    /// A Restate server
    Restate,
}

pub fn run(args: Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let Args { file, engine: Engine::Restate, agents, programs, listen, identity_key } = args;
    let settings = settings::load(&file.unwrap_or_else(|| "orderflow.md".into()), false, terminal)?;
    let known = settings.agents.iter().filter(|(_, agent)| agent.reach.is_some());
    let all: Vec<String> = known.map(|(name, _)| name.clone()).collect();
    let missing: Vec<&String> = agents.iter().filter(|name| !all.contains(name)).collect();
    if let Some(first) = missing.first() {
        let file = visible(&settings.path().display().to_string());
        let message =
            format!("{file} has no agent {} with a way to call it; nothing was served", visible(first));
        return Err(Stop::new(Exit::Invalid, message)
            .help("add it there, or name another one with --agents")
            .into());
    }
    let agents = if agents.is_empty() { all } else { agents };
    let limits = agents.iter().map(|name| {
        let most = settings.agents.get(name).and_then(|agent| agent.concurrency);
        (name.clone(), most)
    });
    let limits = limits.collect();
    let folder = std::path::absolute(&settings.folder).context("cannot read the current folder")?;
    let folder = folder.join(".orderflow").join(format!("worker-{}", std::process::id()));
    let mut names: Vec<String> = agents.iter().map(|name| format!("@{name}")).collect();
    names.extend(programs.then(|| "the programs of documents".to_owned()));
    let here = Arc::new(Served { settings, agents, folder });
    let bind = Box::new(move |header: &_, options: &_, route| run::served(&here, header, options, route));
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let tokio = tokio.context("cannot start the runtime")?;
    tokio.block_on(async {
        let listener = tokio::net::TcpListener::bind(listen).await;
        let listener = listener.with_context(|| format!("cannot listen at {listen}"))?;
        let address = listener.local_addr()?;
        let served = if names.is_empty() { "no agent".to_owned() } else { names.join(", ") };
        terminal.talk(&format!("serving {} at http://{address}\n", visible(&served)));
        let mut terminate = signal(SignalKind::terminate())?;
        let end = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        };
        Worker { agents: limits, programs, bind, identity_keys: identity_key }.serve(listener, end).await
    })?;
    Ok(Exit::Ok)
}
