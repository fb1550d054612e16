//! A worker: serves the coordinators of runs and the attempts of its agents to a Restate server.

use super::agent::Agent;
use super::coordinator::Runs;
use super::entrance::Entrance;
use super::limits::AgentLimits;
use super::wire::{self, Request, Response, Route};
use crate::adapter::{Stop, orphans};
use crate::engine::Call;
use crate::event::{Cause, Failure, Outcome, StopReason};
use crate::graph::Graph;
use crate::history::{RunOptions, graph_of};
use crate::journal::Header;
use crate::runtime::{Attempts, Made, unix_millis};
use anyhow::Context as _;
use restate_sdk::prelude::*;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// How long the server may wait for a handler before it asks for progress, and then before it breaks it off: longer than
/// any attempt.
const PATIENCE: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long the events of a run and its inputs are kept after its end.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// How many runs a worker remembers.
const RUNS: usize = 64;

/// How much of an attempt's log the server stores, in bytes.
const LOGGED: usize = 16 << 10;

/// How long the log and the conversation of an attempt are kept for a server that asks again.
const SAID: Duration = Duration::from_secs(20);

/// How long the result of an attempt is kept for a server that asks again.
const RESULT: Duration = Duration::from_secs(600);

/// Makes what the attempts of a run are made with, in this process.
pub type Bind = Box<dyn Fn(&Header, &RunOptions, Route) -> anyhow::Result<Bound> + Send + Sync>;

/// What the attempts of a run are made with.
pub type Bound = Attempts;

/// What a worker serves.
pub struct Worker {
    /// The agents whose attempts it makes, with the most at once, over all runs and workers.
    pub agents: Vec<(String, Option<usize>)>,
    /// Whether it runs the programs of documents.
    pub programs: bool,
    pub bind: Bind,
    /// The public keys of the servers that may call it; empty for all.
    pub identity_keys: Vec<String>,
}

impl Worker {
    /// Serves until `end`.
    ///
    /// # Errors
    /// A key is not one.
    pub async fn serve(self, listener: TcpListener, end: impl Future<Output = ()>) -> anyhow::Result<()> {
        let knowledge = Arc::new(Knowledge {
            bind: self.bind,
            graphs: Mutex::default(),
            runs: Mutex::default(),
            under_way: Mutex::default(),
        });
        // A worker or an agent that is away is called again for as long as it takes.
        let patient = || {
            ServiceOptions::new()
                .inactivity_timeout(PATIENCE)
                .abort_timeout(PATIENCE)
                .journal_retention(Duration::ZERO)
                .retry_policy_initial_interval(Duration::from_millis(100))
                .retry_policy_exponentiation_factor(2.0)
                .retry_policy_max_interval(Duration::from_secs(5))
                .retry_policy_max_attempts(u64::from(u32::MAX))
        };
        let lasting = HandlerOptions::new().workflow_retention(KEPT);
        let runs = Runs { knowledge: knowledge.clone() }.into_service_definition();
        let runs = runs.options(patient().enable_lazy_state(true).handler("run", lasting));
        let mut endpoint = Endpoint::builder()
            .bind(runs)
            .bind(Entrance.into_service_definition().options(patient()))
            .bind(AgentLimits.into_service_definition().options(patient()));
        let agents = self.agents.iter().map(|(name, most)| (Route::Agent, name.as_str(), *most));
        let programs = self.programs.then_some((Route::Program, "", None));
        for (route, name, concurrency) in agents.chain(programs).chain([(Route::Stub, "", None)]) {
            let agent = Agent { concurrency, route, knowledge: knowledge.clone() };
            endpoint = endpoint.bind(agent.named(&route.service(Some(name)))?.options(patient()));
        }
        for key in &self.identity_keys {
            endpoint = endpoint
                .identity_key(key)
                .with_context(|| format!("{key} is not a public key of Restate"))?;
        }
        HttpServer::new(endpoint.build()).serve_with_cancel(listener, end).await;
        knowledge.close().await;
        Ok(())
    }
}

/// A document with the options of its run.
pub type Meaning = (Arc<Graph>, Arc<RunOptions>);

/// The digest of a document and the options of its run, and who makes its attempts.
type Served = (Arc<str>, Route);

/// What a worker knows of runs, and the attempts that it makes.
pub struct Knowledge {
    bind: Bind,
    graphs: Mutex<HashMap<String, Meaning>>,
    runs: Mutex<HashMap<Served, Arc<Attempts>>>,
    under_way: Mutex<HashMap<String, UnderWay>>,
}

impl Knowledge {
    /// The graph of a run.
    ///
    /// # Errors
    /// This version reads its document differently.
    pub fn graph(&self, header: &Header) -> anyhow::Result<Meaning> {
        let digest = wire::digest(header);
        let mut graphs = self.graphs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = graphs.get(&digest) {
            return Ok(known.clone());
        }
        let options = wire::options(header)?;
        let graph = graph_of(header, &options)?;
        let known = (Arc::new(graph), Arc::new(options));
        if graphs.len() >= RUNS {
            graphs.clear();
        }
        graphs.insert(digest, known.clone());
        Ok(known)
    }

    /// Begins an attempt, or finds it; `None` if the document is not known.
    pub fn attempt(self: &Arc<Self>, route: Route, request: Request) -> Option<UnderWay> {
        let name = format!("{} {}", request.run, request.call.name());
        let mut all = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(&name) {
            return Some(known.clone());
        }
        let (attempts, is_new) = match self.attempts(&request, route)? {
            Ok(known) => known,
            Err(why) => return Some(UnderWay::failed(format!("{why:#}"))),
        };
        let (stops, stopped) = mpsc::unbounded_channel();
        let (report, ended) = watch::channel(None);
        let under_way = UnderWay { stops, ended };
        all.insert(name.clone(), under_way.clone());
        drop(all);
        let knowledge = self.clone();
        let now = request.now;
        let call = Call::from(request.call);
        let run = request.run;
        tokio::spawn(async move {
            if is_new {
                // What a worker before this one has left would run beside it.
                let (_stopper, mut stop) = Stop::new();
                orphans::end(&run, &[], crate::adapter::GRACE, &mut stop).await;
            }
            let Made { mut result, messages, log } = attempts.make(call, now, stopped, LOGGED).await;
            // Secrets stay with the worker: the server stores what it is sent.
            if let Ok(reply) = &mut result {
                attempts.bindings.redactor().conceal_values(&mut reply.outputs);
            }
            let _ = report.send(Some(Response::Made { result, at: unix_millis(), messages, log }));
            tokio::time::sleep(SAID).await;
            report.send_modify(|made| {
                if let Some(Response::Made { messages, log, .. }) = made {
                    (*messages, *log) = (Vec::new(), Vec::new());
                }
            });
            tokio::time::sleep(RESULT).await;
            knowledge.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        });
        Some(under_way)
    }

    /// Ends the programs that stay between attempts, such as services that it has started.
    async fn close(&self) {
        let runs = std::mem::take(&mut *self.runs.lock().unwrap_or_else(PoisonError::into_inner));
        for attempts in runs.into_values() {
            attempts.close().await;
        }
    }

    /// What the attempts of a run are made with, and whether that is new; `None` if its document is not known.
    fn attempts(&self, request: &Request, route: Route) -> Option<anyhow::Result<(Arc<Attempts>, bool)>> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let of = (request.digest.clone(), route);
        if let Some(known) = runs.get(&of) {
            return Some(Ok((known.clone(), false)));
        }
        let header = request.header.as_ref()?;
        let mut made = || {
            let made = Arc::new((self.bind)(header, &wire::options(header)?, route)?);
            if runs.len() >= RUNS {
                // Those that are not in use; they are made again if they are needed.
                runs.retain(|_, known| Arc::strong_count(known) > 1);
            }
            runs.insert(of.clone(), made.clone());
            Ok((made, true))
        };
        Some(made())
    }
}

/// An attempt that runs in this process, for all that ask for its result.
#[derive(Clone)]
pub struct UnderWay {
    stops: mpsc::UnboundedSender<StopReason>,
    ended: watch::Receiver<Option<Response>>,
}

impl UnderWay {
    /// An attempt that cannot be made here.
    fn failed(why: String) -> UnderWay {
        let failure = Failure::new(Cause::Start, why, Outcome::NotExecuted, true);
        let (messages, log) = (Vec::new(), Vec::new());
        let made = Response::Made { result: Err(Box::new(failure)), at: unix_millis(), messages, log };
        UnderWay { stops: mpsc::unbounded_channel().0, ended: watch::channel(Some(made)).1 }
    }

    pub fn stop(&self, why: StopReason) {
        // It may have ended.
        let _ = self.stops.send(why);
    }

    /// How it ended.
    pub async fn ended(&mut self) -> Response {
        let made = self.ended.wait_for(Option::is_some).await.ok().and_then(|made| made.clone());
        match made {
            Some(made) => made,
            // Only if the task broke off, which is a bug that must not look like an answer.
            None => std::future::pending().await,
        }
    }
}
