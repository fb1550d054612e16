//! An agent that is a tool of an MCP server: the inputs are the tool's arguments, its result is the answer. Does not
//! know where the server's command, its address and its keys come from.
//!
//! - `pipe` is the server's process, `log` what it reports, `session` the conversation, `stream` its HTTP, `tools` chooses
//!   the tool, `answer` reads its result, this is an attempt.
//!
//! A server is started or connected to when a call needs it, serves all calls of its agent, and is started again after
//! it has ended. A call that was in flight then fails with an unknown outcome.

mod answer;
mod log;
mod pipe;
mod session;
mod stream;
mod tools;

pub use session::{Greeting, Tool};
pub use tools::StepInputs;

use super::http::{Client, HeaderName, HeaderValue, Url};
use super::program::{GRACE, Program};
use super::question::Questions;
use super::restarts::Restarts;
use super::spawned::Spawns;
use super::{Adapter, AttemptLog, Bound, Call, Closing, Ending, Stop, Urgency, contract};
use crate::event::{Answer, Cause, Failure, Outcome, UNAVAILABLE};
use crate::value::Type;
use log::Log;
use pipe::Process;
use session::{Lost, Session, Unanswered};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where a server is.
pub enum Server {
    Program(Program),
    Http { client: Client, url: Url, headers: Vec<(HeaderName, HeaderValue)> },
}

/// The tools of one server.
pub struct Mcp {
    server: Server,
    /// The name of the tool; without it, each step calls the tool of its own name.
    tool: Option<String>,
    /// Whether a person is asked what the server asks.
    asks: bool,
    /// The time between the request to end and the kill.
    grace: Duration,
    seat: tokio::sync::Mutex<Seat>,
}

#[derive(Default)]
struct Seat {
    live: Option<Arc<Live>>,
    restarts: Restarts,
}

/// A server that answers, or has ended.
struct Live {
    session: Session,
    /// `None` for a server elsewhere.
    process: Option<Process>,
    log: Arc<Log>,
    tools: Mutex<Arc<[Tool]>>,
    answered: AtomicBool,
}

impl Mcp {
    pub fn new(server: Server, tool: Option<String>) -> Self {
        Mcp { server, tool, asks: false, grace: GRACE, seat: tokio::sync::Mutex::default() }
    }

    /// Sets the time between the request to end and the kill.
    pub fn with_grace(self, grace: Duration) -> Self {
        Mcp { grace, ..self }
    }

    /// Sets whether a person is asked what the server asks; otherwise its questions are declined.
    pub fn with_questions(self, asks: bool) -> Self {
        Mcp { asks, ..self }
    }

    /// What the server says of itself, and its tools.
    ///
    /// # Errors
    /// Why it cannot be reached.
    pub async fn greet(&self) -> Result<(Greeting, Arc<[Tool]>), Box<Failure>> {
        let live = self.live(super::probe::RUN, &Spawns::default(), &AttemptLog::default()).await?;
        Ok((live.session.greeting(), live.tools().clone()))
    }

    /// Why the inputs of a step are not the arguments of its tool.
    pub fn gaps(&self, step: &StepInputs, tools: &[Tool]) -> Vec<String> {
        match self.choose(&step.phase, tools) {
            Ok(tool) => tools
                .iter()
                .filter(|known| known.name == tool)
                .flat_map(|tool| tools::gaps(step, tool))
                .collect(),
            Err(why) => vec![why],
        }
    }

    /// The name of the tool that does a step.
    fn choose(&self, step: &str, tools: &[Tool]) -> Result<String, String> {
        match &self.tool {
            Some(name) if tools.iter().any(|tool| tool.name == *name) => Ok(name.clone()),
            Some(name) => Err(tools::missing(name, tools)),
            None => tools::of_step(step, tools).map(str::to_owned),
        }
    }
}

impl Adapter for Mcp {
    fn call(&self, call: Call, stop: Stop) -> Ending<'_> {
        Box::pin(self.attempt(call, stop))
    }

    fn bound(&self) -> Bound {
        match self.server {
            Server::Program(_) => Bound::Processors,
            Server::Http { .. } => Bound::Elsewhere,
        }
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn close(&self, mut stop: Stop) -> Closing<'_> {
        Box::pin(async move {
            let live = self.seat.lock().await.live.take();
            if let Some(process) = live.as_ref().and_then(|live| live.process.as_ref()) {
                process.close(&mut stop).await;
            }
        })
    }
}

impl Mcp {
    async fn attempt(&self, call: Call, mut stop: Stop) -> Answer {
        if let Some(file) =
            call.outputs.iter().find(|output| output.ty.as_ref().is_some_and(Type::holds_files))
        {
            let why = format!("a tool makes no files: give the output `{}` another type", file.name);
            return Err(contract::failure(Cause::Start, why, Outcome::NotExecuted, false));
        }
        let (live, since, result) = loop {
            let begun = async {
                let live = self.live(&call.context.outermost, &call.spawns, &call.log).await?;
                let tool = self.tool(&live, &call.context.step).await?;
                Ok::<_, Box<Failure>>((live, tool))
            };
            let (live, tool) = tokio::select! {
                biased;
                begun = begun => begun?,
                () = stop.asked(Urgency::Terminate) => return Err(not_begun()),
            };
            let since = live.log.total();
            let _attended = live.log.attend(&call.log);
            let (arguments, meta) = (answer::arguments(&call), answer::meta(&call));
            let questions = if self.asks { call.questions.clone() } else { Questions::default() };
            let watched = (&call.live, &questions);
            let asked = live.session.call(&tool, arguments, meta, self.url(), watched);
            let result = tokio::select! {
                biased;
                result = asked => result,
                () = stop.asked(Urgency::Terminate) => {
                    Err(Unanswered { lost: Lost::Cancelled, progress: String::new(), begun: true })
                }
            };
            if !matches!(result, Err(Unanswered { lost: Lost::NeverSent, .. })) {
                break (live, since, result);
            }
            // Sending it to the next process is not a repetition.
            tokio::select! {
                () = live.over() => {}
                () = stop.asked(Urgency::Terminate) => return Err(not_begun()),
            }
        };
        let (answer, progress) = match result {
            Ok((result, progress)) => {
                live.answered.store(true, Ordering::Relaxed);
                (answer::read(&call, &result), progress)
            }
            Err(Unanswered { lost: Lost::Cancelled, progress, .. }) => {
                (Err(self.cancelled(&live, &call, &mut stop).await), progress)
            }
            Err(Unanswered { lost, progress, begun }) => {
                let mut failure = self.failure(lost, &live).await;
                if begun {
                    failure.outcome = Outcome::Unknown;
                }
                (Err(failure), progress)
            }
        };
        answer.map_err(|mut failure| {
            failure.log = live.log.since(since);
            if !progress.is_empty() {
                failure.log.push_str(&format!("progress: {progress}\n"));
            }
            failure
        })
    }

    /// The server, started or connected to if it is not there.
    async fn live(
        &self,
        run: &str,
        spawns: &Spawns,
        attempt: &AttemptLog,
    ) -> Result<Arc<Live>, Box<Failure>> {
        let mut seat = self.seat.lock().await;
        if let Some(live) = &seat.live {
            if !live.is_over() {
                return Ok(live.clone());
            }
            let ended = match &live.process {
                Some(process) if !live.answered.load(Ordering::Relaxed) => {
                    Some(process.loss().await.message(""))
                }
                Some(_) | None => None,
            };
            if let Some(process) = &live.process {
                process.end().await;
            }
            seat.live = None;
            seat.restarts.died(ended);
        }
        seat.restarts.wait("server").await?;
        match self.connect(run, spawns, attempt).await {
            Ok(live) => {
                let live = Arc::new(live);
                seat.live = Some(live.clone());
                Ok(live)
            }
            Err(failure) => {
                if matches!(self.server, Server::Program(_)) {
                    seat.restarts.died(Some(failure.message.clone()));
                }
                Err(failure)
            }
        }
    }

    async fn connect(&self, run: &str, spawns: &Spawns, attempt: &AttemptLog) -> Result<Live, Box<Failure>> {
        let log = Arc::new(Log::new());
        let _attended = log.attend(attempt);
        let (session, process) = match &self.server {
            Server::Program(program) => {
                let started = Process::start(program, run, spawns, self.grace, log.clone()).await;
                let (process, pipe) = started.map_err(|error| program.not_started(&error))?;
                (Session::over_pipe(pipe, log.clone()).await, Some(process))
            }
            Server::Http { client, url, headers } => {
                (Session::over_http(client, url, headers, log.clone()).await, None)
            }
        };
        let tools = async { session?.listed(self.url()).await };
        match tools.await {
            Ok((session, tools)) => {
                let tools = Mutex::new(tools.into());
                Ok(Live { session, process, log, tools, answered: AtomicBool::new(false) })
            }
            Err(lost) => Err(unreached(lost, process.as_ref(), &log).await),
        }
    }

    /// The name of the tool that does a step; the server is asked again if it is not known.
    async fn tool(&self, live: &Live, step: &str) -> Result<String, Box<Failure>> {
        let tools = live.tools().clone();
        if let Ok(name) = self.choose(step, &tools) {
            return Ok(name);
        }
        // It may have come since the server was asked.
        let tools = live.session.tools(self.url()).await.unwrap_or_default();
        let found = self.choose(step, &tools);
        *live.tools() = tools.into();
        found.map_err(|why| {
            let mut failure = contract::failure(Cause::Start, why, Outcome::NotExecuted, false);
            if self.tool.is_some() {
                (failure.unavailable, failure.code) = (true, Some(UNAVAILABLE.to_owned()));
            }
            failure
        })
    }

    fn url(&self) -> Option<&Url> {
        match &self.server {
            Server::Program(_) => None,
            Server::Http { url, .. } => Some(url),
        }
    }

    /// The end of a call that was stopped; the server was asked to end it, and need not answer. A process that answers
    /// nothing else either is killed.
    async fn cancelled(&self, live: &Live, call: &Call, stop: &mut Stop) -> Box<Failure> {
        if let Some(process) = &live.process {
            tokio::select! {
                _ = live.session.tools(None) => {}
                () = stop.asked(Urgency::Kill) => {}
                () = tokio::time::sleep(self.grace) => {
                    let (step, item) = (&call.context.step, &call.context.item);
                    process.kill(format!(
                        "the server was killed while this call was in flight: it did not answer after {step} of {item} was cancelled"
                    ));
                    process.loss().await;
                }
            }
        }
        let message = "the call was cancelled before an answer".to_owned();
        contract::failure(Cause::Stopped, message, Outcome::Unknown, true)
    }

    /// The failure of a call without a result.
    async fn failure(&self, lost: Lost, live: &Live) -> Box<Failure> {
        match (lost, &live.process) {
            (Lost::Gone, Some(process)) => {
                let loss = process.loss().await;
                let message = loss.message(" while this call was in flight");
                contract::failure(loss.cause, message, Outcome::Unknown, loss.retryable)
            }
            (lost, _) => unanswered(lost),
        }
    }
}

impl Session {
    async fn listed(self, url: Option<&Url>) -> Result<(Session, Vec<Tool>), Lost> {
        let tools = self.tools(url).await?;
        Ok((self, tools))
    }
}

impl Live {
    fn is_over(&self) -> bool {
        self.session.is_closed() || self.process.as_ref().is_some_and(Process::has_ended)
    }

    /// Returns once its process has ended.
    async fn over(&self) {
        if let Some(process) = &self.process {
            process.loss().await;
        }
    }

    fn tools(&self) -> MutexGuard<'_, Arc<[Tool]>> {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The failure of a call, by what its server said or did.
fn unanswered(lost: Lost) -> Box<Failure> {
    match lost {
        Lost::Error { code, message } => {
            let (outcome, retryable) = match code {
                // It could not read the call, has no such method, or rejects the arguments.
                -32700 | -32602..=-32600 => (Outcome::Failed, false),
                _ => (Outcome::Unknown, true),
            };
            let message = format!("the server answered with the error {code}: {message}");
            contract::failure(Cause::Refused, message, outcome, retryable)
        }
        Lost::Failed(failure) => failure,
        Lost::Strange(why) => {
            contract::bad(format!("the server's answer is not the result of a tool: {why}"))
        }
        Lost::Gone => {
            let message = "the server closed the connection before an answer".to_owned();
            contract::failure(Cause::Protocol, message, Outcome::Unknown, true)
        }
        Lost::NeverSent | Lost::Cancelled => not_begun(),
    }
}

/// The failure of an attempt whose server could not be reached.
async fn unreached(lost: Lost, process: Option<&Process>, log: &Log) -> Box<Failure> {
    let mut failure = match (lost, process) {
        (Lost::Gone | Lost::NeverSent, Some(process)) => {
            let loss = process.loss().await;
            let message = loss.message("");
            contract::failure(loss.cause, message, Outcome::NotExecuted, loss.retryable)
        }
        (lost, process) => {
            // The next one is not started beside it.
            if let Some(process) = process {
                process.end().await;
            }
            unanswered(lost)
        }
    };
    // Nothing was called.
    failure.outcome = Outcome::NotExecuted;
    failure.log = log.since(0);
    failure
}

fn not_begun() -> Box<Failure> {
    contract::failure(Cause::Stopped, "stopped before it started".to_owned(), Outcome::NotExecuted, true)
}
