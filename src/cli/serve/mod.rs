//! `orderflow serve`: the runs of this folder over HTTP.

mod children;
mod desk;

use super::exit::{Exit, Stop};
use super::help::with_exits;
use super::terminal::Terminal;
use super::{allowed, stream};
use crate::adapter::http::Url;
use crate::diag::render::visible;
use crate::disk::read_at_most;
use crate::serve::{AccessRules, HttpServer, SHORTEST_TOKEN, is_token};
use anyhow::Context;
pub use children::is_served;
pub use desk::FolderDesk;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// The largest file of a token.
const LARGEST: usize = 4096;

/// The most connections, if the system allows as many files.
const CONNECTIONS: usize = 4096;

/// Serve the runs of this folder over HTTP
#[derive(clap::Args)]
#[command(after_help = with_exits("\
Examples:
  orderflow serve                          at a free port; prints a link
  orderflow serve --addr 8080              at this port of this machine
  orderflow serve --token-file token.txt   with a token that stays the same
  orderflow serve --addr 0.0.0.0:8080 --token-file token.txt \\
    --behind-proxy https://flows.example.org
                                           for a proxy that speaks TLS

It shows the runs that orderflow runs lists, and accepts what approve, reject, signal, cancel, retry, resume and run \
do. A run that it starts is a process of its own, which stays when the server ends.", &[Exit::Invalid]))]
pub struct Args {
    /// Listen at this address and port, or at this port of 127.0.0.1
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0", value_parser = address)]
    addr: SocketAddr,
    /// Take the token from this file, or from standard input (-) [default: a random one]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Listen at an address that others reach, too: a proxy speaks TLS, and browsers reach it at this origin
    #[arg(long, value_name = "ORIGIN", requires = "token_file", value_parser = origin)]
    behind_proxy: Option<String>,
}

pub fn run(args: &Args, terminal: &mut Terminal) -> anyhow::Result<Exit> {
    let Args { addr, token_file, behind_proxy } = args;
    if !addr.ip().is_loopback() && behind_proxy.is_none() {
        let message = format!("{addr} can be reached from other machines, and this server speaks no TLS");
        let help = "put a proxy before it: --behind-proxy https://HOST --token-file FILE";
        return Err(Stop::new(Exit::Usage, message).help(help).into());
    }
    let token = match token_file {
        Some(file) => token_of(file)?,
        None => random_token()?,
    };
    let listener = TcpListener::bind(addr).with_context(|| format!("cannot listen at {addr}"))?;
    let address = listener.local_addr().context("cannot listen")?;
    let folder = std::env::current_dir().context("cannot read the current folder")?;
    let server = HttpServer {
        listener,
        rules: AccessRules::new(&token, address, behind_proxy.as_deref()),
        service: Arc::new(FolderDesk::new(folder.clone(), true)?),
        connections: allowed::connections(CONNECTIONS),
    };
    let (workers, blocking) = allowed::run_threads();
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(blocking)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let ended = tokio.block_on(async {
        let (mut end, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        // Only now: a reader of the link can use it at once.
        let link = if token_file.is_some() { String::new() } else { format!("?token={token}") };
        let folder = visible(&folder.display().to_string());
        terminal.talk(&format!("serving the runs of {folder} until Ctrl-C\n"));
        terminal.data(&format!("http://{address}/{link}\n"));
        tokio::select! {
            served = server.serve() => served,
            _ = end.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        }
    });
    // Questions that still read a journal are not waited for.
    tokio.shutdown_background();
    ended.context("cannot serve")?;
    terminal.finish()?;
    Ok(Exit::Ok)
}

fn token_of(file: &Path) -> anyhow::Result<String> {
    let name = visible(&file.display().to_string());
    let bytes = stream::open(file).and_then(|from| read_at_most(from, LARGEST));
    let bytes = bytes.with_context(|| format!("cannot read {name}"))?;
    let token = String::from_utf8_lossy(&bytes).trim().to_owned();
    if is_token(&token) {
        return Ok(token);
    }
    let message = format!("{name} has no token: at least {SHORTEST_TOKEN} letters, digits, and -_.~");
    Err(Stop::new(Exit::Invalid, message)
        .help("write one: head -c 24 /dev/urandom | base64 | tr +/ -_")
        .into())
}

fn random_token() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system has no random numbers: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn address(said: &str) -> Result<SocketAddr, String> {
    let port = || Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), said.parse().ok()?));
    let known = said.parse().ok().or_else(port);
    known.ok_or_else(|| "write an address and a port, such as 127.0.0.1:8080, or a port".to_owned())
}

/// An origin without a path, in the form in which browsers send it.
fn origin(said: &str) -> Result<String, String> {
    let wrong = || "write the origin of the proxy, such as https://flows.example.org".to_owned();
    let url = Url::parse(said).map_err(|_| wrong())?;
    let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    match matches!(url.scheme(), "https" | "http") && plain && anonymous {
        true => Ok(url.origin().ascii_serialization()),
        false => Err(wrong()),
    }
}
