//! The program of a service that orderflow starts itself: it is started when a call needs it, serves all calls, is
//! started again after it has ended, and ends with the run. Does not know what the service is asked.

use super::child::Child;
use super::http::Url;
use super::program::{GRACE, LINGER, LOG, Program, Started, Tail, ended, hear, last_word};
use super::restarts::Restarts;
use super::spawned::Spawns;
use super::tree::Tree;
use super::{Stop, Stopper, Urgency, contract};
use crate::event::{Cause, Failure, Outcome};
use crate::value::words;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The variable with the port at which the service must listen.
const PORT: &str = "PORT";

/// How long a service may take until it accepts connections.
const READY: Duration = Duration::from_secs(30);

/// The pause between two attempts to connect: at first, and at most.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LONGEST_LOOK: Duration = Duration::from_millis(100);

/// A program that listens on this machine.
pub struct Launch {
    program: Program,
    /// Where it listens; port 0 is a free one.
    address: SocketAddr,
    seat: tokio::sync::Mutex<Seat>,
}

#[derive(Default)]
struct Seat {
    live: Option<Arc<Running>>,
    restarts: Restarts,
}

/// A program that runs, or has ended.
pub struct Running {
    port: u16,
    stopper: Stopper,
    /// How it ended, once it has.
    ended: watch::Receiver<Option<String>>,
    log: Arc<Mutex<Tail>>,
    tree: Arc<Tree>,
    /// It has accepted a connection.
    ready: watch::Sender<bool>,
}

impl Launch {
    /// A program that listens at the address of this URL, if that is an address of this machine only.
    pub fn new(program: Program, url: &Url) -> Option<Self> {
        Some(Launch { program, address: local(url)?, seat: tokio::sync::Mutex::default() })
    }

    /// The program, which accepts connections; it is started if it does not run.
    ///
    /// # Errors
    /// When it cannot be started, ends, or accepts no connection in time.
    pub async fn running(&self, run: &str, spawns: &Spawns) -> Result<Arc<Running>, Box<Failure>> {
        let mut seat = self.seat.lock().await;
        if let Some(live) = seat.live.clone() {
            match live.end() {
                None => {
                    drop(seat);
                    return live.accepting(self.address).await;
                }
                Some(end) => {
                    let was_ready = *live.ready.borrow();
                    seat.restarts.died((!was_ready).then_some(end));
                    seat.live = None;
                }
            }
        }
        seat.restarts.wait("service").await?;
        let live = Arc::new(self.start(run, spawns).await?);
        seat.live = Some(live.clone());
        drop(seat);
        live.accepting(self.address).await
    }

    async fn start(&self, run: &str, spawns: &Spawns) -> Result<Running, Box<Failure>> {
        let unusable = |why: String| contract::failure(Cause::Start, why, Outcome::NotExecuted, true);
        let listening = TcpListener::bind(self.address).await.and_then(|listener| listener.local_addr());
        let address = listening.map_err(|error| {
            unusable(format!(
                "cannot start the service at {}: {error}; something else may listen there",
                self.address
            ))
        })?;
        let started = self.program.start(run, |command| {
            command.env(PORT, address.port().to_string());
        });
        let started = started.await.map_err(|error| self.program.not_started(&error))?;
        spawns.tell(started.process.as_ref(), true);
        let (stopper, stop) = Stop::new();
        let (ending, over) = watch::channel(None);
        let log = Arc::new(Mutex::new(Tail::new(LOG)));
        let own = log.clone();
        let Started { child, tree, .. } = started;
        let tree = Arc::new(tree);
        let whole = tree.clone();
        tokio::spawn(async move {
            let (cause, ended) = ended(attend(child, &whole, stop, &own).await);
            let hint = if cause == Cause::Exit(0) { ", and must stay in the foreground" } else { "" };
            let end = format!("the service {ended}{hint}{}", last_word(&lock(&own).text()));
            ending.send_replace(Some(end));
        });
        let ready = watch::channel(false).0;
        Ok(Running { port: address.port(), stopper, ended: over, log, tree, ready })
    }

    /// Ends the program, at once if `stop` requests it.
    pub async fn close(&self, stop: &mut Stop) {
        let Some(live) = self.seat.lock().await.live.take() else { return };
        live.stopper.ask(Urgency::Terminate);
        tokio::select! {
            () = live.over() => {}
            () = stop.asked(Urgency::Kill) => {
                live.stopper.ask(Urgency::Kill);
                live.over().await;
            }
        }
    }
}

impl Running {
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many bytes its log has so far.
    pub fn logged(&self) -> u64 {
        lock(&self.log).total()
    }

    /// Its log after the first `from` bytes, as far as it is stored.
    pub fn log_since(&self, from: u64) -> String {
        lock(&self.log).since(from)
    }

    fn end(&self) -> Option<String> {
        self.ended.borrow().clone()
    }

    /// How it ended, if it has, or does within a moment.
    pub async fn end_within_a_moment(&self) -> Option<String> {
        tokio::time::timeout(LINGER, self.over()).await.ok()?;
        self.end()
    }

    async fn over(&self) {
        // An error means that the watching task has ended, and with it the program.
        let _ = self.ended.clone().wait_for(Option::is_some).await;
    }

    /// Returns once it accepts a connection.
    async fn accepting(self: Arc<Self>, address: SocketAddr) -> Result<Arc<Self>, Box<Failure>> {
        let failed = |why: String| {
            let mut failure = contract::failure(Cause::Start, why, Outcome::NotExecuted, true);
            failure.log = self.log_since(0);
            failure
        };
        if *self.ready.borrow() {
            return Ok(self);
        }
        let address = SocketAddr::new(address.ip(), self.port);
        let connect = async {
            let mut pause = FIRST_LOOK;
            // Something else may have begun to listen there meanwhile, such as the same service of another run.
            while TcpStream::connect(address).await.is_err() || self.tree.listens_on(self.port) == Some(false)
            {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_LOOK);
            }
        };
        tokio::select! {
            biased;
            () = self.over() => Err(failed(self.end().unwrap_or_else(|| "lost track of the service".to_owned()))),
            connected = tokio::time::timeout(READY, connect) => match connected {
                Ok(()) => {
                    self.ready.send_replace(true);
                    Ok(self.clone())
                }
                Err(_) => {
                    let waited = words::duration(READY);
                    let why = format!("the service does not listen on port {}, {waited} after it was started", self.port);
                    let failure = failed(why);
                    self.stopper.ask(Urgency::Kill);
                    Err(failure)
                }
            }
        }
    }
}

/// The address of a URL, if its host is a loopback address of this machine.
pub fn local(url: &Url) -> Option<SocketAddr> {
    let host = url.host_str()?.trim_matches(['[', ']']);
    let ip = if host == "localhost" { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { host.parse().ok()? };
    let port = url.port_or_known_default()?;
    ip.is_loopback().then(|| SocketAddr::new(ip, port))
}

/// Runs the program to its end.
async fn attend(
    mut child: Child,
    tree: &Tree,
    mut stop: Stop,
    log: &Mutex<Tail>,
) -> std::io::Result<ExitStatus> {
    let (mut urgent, stdin) = (stop.clone(), child.stdin.take());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let exit = async {
        let ended = tokio::select! {
            status = child.wait() => Some(status),
            () = stop.asked(Urgency::Terminate) => None,
        };
        // A service may take the end of its input for a request to end.
        drop(stdin);
        match ended {
            Some(status) => {
                tree.end(GRACE, &mut urgent).await;
                status
            }
            None => tokio::join!(child.wait(), tree.end(GRACE, &mut urgent)).0,
        }
    };
    let pipes = async {
        tokio::join!(hear(stdout, |chunk| lock(log).take(chunk)), hear(stderr, |chunk| lock(log).take(chunk)))
    };
    tokio::join!(exit, pipes).0
}

fn lock(log: &Mutex<Tail>) -> MutexGuard<'_, Tail> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
