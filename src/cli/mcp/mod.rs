//! `orderflow mcp`: the documents and runs of this folder as tools of an MCP server, on standard input and output.

mod server;
mod tools;

use super::allowed;
use super::exit::{Exit, Stop};
use super::help::with_exits;
use super::serve::FolderDesk;
use super::terminal::Terminal;
use anyhow::Context;
use rmcp::service::{QuitReason, ServerInitializeError, ServiceExt};
use server::ToolServer;
use std::sync::Arc;

/// Serve coding agents: documents and runs as MCP tools
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow mcp                           started by an agent's client
  claude mcp add orderflow orderflow mcp  add it to Claude Code

It speaks the Model Context Protocol on standard input and output. Its tools are guide, validate, plan, test, run, \
status, show, logs, resume, retry, cancel, approve, reject, signal and stats, for the documents and runs of this folder. They run no program \
without a grant, and give none. docs/mcp.md shows how to add it to Codex, Gemini CLI and opencode.", &[]))]
pub struct Args {}

pub fn run(_: &Args, _: &mut Terminal) -> anyhow::Result<Exit> {
    let folder = std::env::current_dir().context("cannot read the current folder")?;
    let server = ToolServer::new(Arc::new(FolderDesk::new(folder.clone(), false)?), folder);
    let (workers, blocking) = allowed::run_threads();
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(blocking)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let ended = tokio.block_on(async {
        match server.serve((tokio::io::stdin(), tokio::io::stdout())).await {
            Ok(running) => match running.waiting().await {
                Ok(QuitReason::Closed | QuitReason::Cancelled) => Ok(Exit::Ok),
                Ok(QuitReason::JoinError(error)) | Err(error) => Err(error).context("cannot serve"),
                Ok(_) => Ok(Exit::Ok),
            },
            Err(ServerInitializeError::ConnectionClosed(_)) => Ok(Exit::Ok),
            Err(ServerInitializeError::TransportError { error, .. }) => {
                Err(anyhow::anyhow!("cannot write to the client: {error}"))
            }
            Err(_) => {
                let stop = Stop::new(Exit::Usage, "the input is not of an MCP client");
                Err(stop.help("start it from a coding agent, as docs/mcp.md shows").into())
            }
        }
    });
    // Questions that still read a journal are not waited for.
    tokio.shutdown_background();
    ended
}
