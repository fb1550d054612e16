//! A coding agent: a process for each attempt, the step's instructions and inputs as the prompt. Does not know where its
//! command line and its permissions come from.
//!
//! - Over the Agent Client Protocol: `message` is the wire, `peer` the process, `turn` the meaning of updates,
//!   `permission` what the agent may do, `session` the requests.
//! - Without a protocol: `cli` is the command lines and the forms of their output, `headless` an attempt.
//! - This is an attempt over the protocol, and what is common to both.
//!
//! Few agents can be given the form of an answer, so the prompt describes it, and every answer is checked. One that does
//! not fit is corrected once, in the same session.

mod cli;
mod headless;
mod message;
mod peer;
mod permission;
mod session;
mod turn;

pub use cli::Cli;
pub use permission::KINDS;

use super::program::{GRACE, Program, aside, ended, last_word};
use super::variables::Variables;
use super::workfolder::{Change, Place, WorkFolder};
use super::{Adapter, AttemptLog, Call, Conversation, Declared, Ending, Stop, Urgency, contract, prompt};
use crate::event::{Answer, BUDGET, Cause, Failure, Outcome, Reply, UNAVAILABLE};
use crate::value::Value;
use crate::value::budget::Budget;
use session::{End, Over, Session};
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use turn::Spent;

/// Coding agents by name, with the command line that makes each speak the protocol. `docs/agents.md` says how to install
/// them.
pub const PRESETS: [(&str, &[&str]); 4] = [
    ("claude", &["claude-agent-acp"]),
    ("codex", &["codex-acp"]),
    ("gemini", &["gemini", "--acp"]),
    ("opencode", &["opencode", "acp"]),
];

/// A coding agent that is started for every attempt.
pub struct CodingAgent {
    pub program: Program,
    /// How it is spoken to; by default over the protocol.
    pub headless: Option<Cli>,
    /// Precedes every prompt.
    pub instructions: Option<String>,
    pub work: WorkFolder,
    /// The kinds of tools that it may use when it asks.
    pub allow: Vec<String>,
    /// Whether a person is asked for what `allow` does not give.
    pub ask: bool,
    /// The time between the request to stop and the kill.
    pub grace: Duration,
}

impl CodingAgent {
    pub fn new(program: Program) -> Self {
        CodingAgent {
            program,
            headless: None,
            instructions: None,
            work: WorkFolder::default(),
            allow: Vec::new(),
            ask: false,
            grace: GRACE,
        }
    }
}

/// Starts a coding agent, greets it and ends it. Returns its name and version, as far as it says them.
///
/// # Errors
/// Why it cannot be talked to.
pub async fn greet(program: &Program) -> Result<String, Box<Failure>> {
    let (_stopper, stop) = Stop::new();
    let started =
        program.start(super::probe::RUN, |_| ()).await.map_err(|error| program.not_started(&error))?;
    let mut ending = stop.clone();
    let conversation = Conversation::default();
    let talk = async |peer| Session::new(peer, &conversation, &[], GRACE, stop).greet().await;
    let (greeted, status, log) = peer::attend(started, AttemptLog::default(), &mut ending, talk).await;
    let greeted = greeted.map_err(|end| failure(end, Progress::None, status, &log, &[]))?;
    let said = |name: &str| greeted.get("agentInfo")?.get(name)?.as_str().map(str::to_owned);
    let words: Vec<String> = [said("name"), said("version")].into_iter().flatten().collect();
    Ok(words.join(" "))
}

impl Adapter for CodingAgent {
    fn call(&self, call: Call, stop: Stop) -> Ending<'_> {
        Box::pin(self.attempt(call, stop))
    }
}

impl CodingAgent {
    async fn attempt(&self, call: Call, stop: Stop) -> Answer {
        let place = self.work.open(&self.program, &call, &stop).await?;
        let (given, asked): (Vec<Declared>, Vec<Declared>) =
            call.outputs.iter().cloned().partition(|output| self.work.makes(&output.name));
        let answer = match self.begin(&call, &stop) {
            Err(failure) => Err(failure),
            Ok(()) => match self.headless {
                Some(cli) => headless::converse(self, cli, &call, &asked, &place, stop).await,
                None => self.converse(&call, &asked, &place, stop).await,
            },
        };
        let declares = |name: &str| given.iter().any(|output| output.name == name);
        let closed = place.close(&call, declares("branch"), declares("diff") && answer.is_ok()).await;
        settle(answer, closed, &given)
    }

    /// Makes the folder for files; fails if the attempt was stopped meanwhile.
    fn begin(&self, call: &Call, stop: &Stop) -> Result<(), Box<Failure>> {
        if stop.urgency() > Urgency::None {
            let message = "stopped before it started".to_owned();
            return Err(contract::failure(Cause::Stopped, message, Outcome::NotExecuted, true));
        }
        let dir = &call.dir;
        let prepared = aside(|| match dir.as_os_str().is_empty() {
            true => Ok(()),
            false => std::fs::create_dir_all(dir),
        });
        prepared.map_err(|error| {
            let message = format!("cannot prepare the attempt: {error}");
            contract::failure(Cause::Start, message, Outcome::NotExecuted, true)
        })
    }

    /// Starts the agent, lets it do the step, and ends it.
    async fn converse(&self, call: &Call, asked: &[Declared], place: &Place, stop: Stop) -> Answer {
        let program = Program { folder: place.folder.clone(), ..self.program.clone() };
        let variables = Variables::of_context(call).all;
        let prepare = |command: &mut Command| {
            command.envs(variables);
        };
        let started = program.start(&call.context.outermost, prepare).await;
        let started = started.map_err(|error| program.not_started(&error))?;
        call.spawns.tell(started.process.as_ref(), false);
        let mut ending = stop.clone();
        let talk = |peer| async move {
            let mut session = Session::new(peer, &call.conversation, &self.allow, self.grace, stop.clone());
            session.live = call.live.clone();
            if self.ask {
                session.questions = call.questions.clone();
            }
            let answer = self.talk(&mut session, call, asked, place, &stop).await;
            (answer, session.over())
        };
        let ((answer, over), status, log) = peer::attend(started, call.log.clone(), &mut ending, talk).await;
        let Over { spent, id, progress, rejected } = over;
        let columns = columns(&spent, id);
        match answer {
            Ok(reply) => Ok(Reply { tokens_used: spent.tokens, columns, ..reply }),
            Err(end) => {
                let mut failure = failure(end, progress, status, &log, &rejected);
                (failure.tokens_used, failure.columns, failure.log) = (spent.tokens, columns, log);
                Err(failure)
            }
        }
    }

    async fn talk(
        &self,
        session: &mut Session<'_>,
        call: &Call,
        asked: &[Declared],
        place: &Place,
        stop: &Stop,
    ) -> Result<Reply, End> {
        session.begin(&place.folder).await?;
        let form = prompt::form(asked);
        let mut text = prompt::for_coder(call, asked, form.as_ref(), self.instructions.as_deref());
        let mut corrected = false;
        loop {
            let said = session.prompt(&text).await?;
            match answer(asked, form.is_some(), &said, session.progress()) {
                Ok(reply) => return Ok(reply),
                Err(misfit) if corrected => return Err(End::Unfit(misfit)),
                Err(misfit) => {
                    let left = call.context.budget.map(|budget| session.left(budget));
                    text = correction(misfit, left, stop)?;
                    corrected = true;
                }
            }
        }
    }
}

/// The outputs in an agent's answer, or its error. One that cannot do its step may have changed something.
fn answer(asked: &[Declared], formed: bool, said: &str, progress: Progress) -> Answer {
    let outcome = if progress == Progress::Working { Outcome::Unknown } else { Outcome::Failed };
    let text = contract::text(said.as_bytes().to_vec())?;
    match text.trim() {
        some if formed && !some.is_empty() => prompt::result(asked, some, outcome),
        other => contract::done_assuming(asked, other, outcome),
    }
}

/// The correction to ask for after the first answer that does not fit, or why it is not asked for.
fn correction(mut misfit: Box<Failure>, left: Option<Budget>, stop: &Stop) -> Result<String, End> {
    if misfit.cause == Cause::Refused {
        return Err(End::Unfit(misfit));
    }
    if stop.urgency() > Urgency::None {
        (misfit.cause, misfit.retryable) = (Cause::Stopped, true);
        misfit.message.push_str("; not corrected: it was stopped");
        return Err(End::Unfit(misfit));
    }
    if left.is_some_and(|left| left.is_spent()) {
        (misfit.cause, misfit.code) = (Cause::Refused, Some(BUDGET.to_owned()));
        misfit.message.push_str("; not corrected: the budget is spent");
        return Err(End::Unfit(misfit));
    }
    Ok(prompt::correction(&misfit.message))
}

fn columns(spent: &Spent, session: Option<String>) -> Vec<(Arc<str>, Value)> {
    let model = spent.model.as_ref().map(|model| ("model", model.as_str().into()));
    let cost = spent.cost.as_ref().map(|cost| ("cost_usd", cost.clone()));
    let session = session.map(|id| ("session", Value::from(id)));
    [model, cost, session].into_iter().flatten().map(|(name, value)| (Arc::from(name), value)).collect()
}

/// How far an attempt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    /// No prompt was sent.
    None,
    Asked,
    /// The agent has used a tool, or may have.
    Working,
}

/// The failure of an attempt that ended without an answer. Before anything was sent, nothing was executed.
fn failure(
    end: End,
    progress: Progress,
    status: io::Result<ExitStatus>,
    log: &str,
    rejected: &[String],
) -> Box<Failure> {
    let outcome = if progress == Progress::None { Outcome::NotExecuted } else { Outcome::Unknown };
    match end {
        End::Lost => {
            let (cause, end) = ended(status);
            let message = format!("the agent {end} before it answered{}", last_word(log));
            contract::failure(cause, message, outcome, true)
        }
        End::Stopped => {
            let message = match ended(status) {
                (Cause::Signal(_), end) => end,
                _ => "cancelled".to_owned(),
            };
            contract::failure(Cause::Stopped, message, outcome, true)
        }
        End::Malformed(why) => contract::failure(Cause::Protocol, why, outcome, false),
        End::Failed { message, retryable } => contract::failure(Cause::Refused, message, outcome, retryable),
        End::Unavailable(message) => {
            // Credit may run out in the middle.
            let outcome = match progress {
                Progress::None | Progress::Asked => Outcome::NotExecuted,
                Progress::Working => Outcome::Unknown,
            };
            let mut failure = contract::failure(Cause::Refused, message, outcome, false);
            failure.unavailable = true;
            failure.code = Some(UNAVAILABLE.to_owned());
            failure
        }
        End::Spent(message) => {
            let mut failure = contract::failure(Cause::Refused, message, outcome, false);
            failure.code = Some(BUDGET.to_owned());
            failure
        }
        End::Unfit(mut misfit) => {
            if !rejected.is_empty() {
                let kinds = rejected.join(", ");
                misfit.message.push_str(&format!("; not allowed: {kinds}"));
            }
            misfit
        }
    }
}

/// Whether a provider's status is caused by a key or an account.
fn is_closed(status: u64) -> bool {
    u16::try_from(status).is_ok_and(|status| contract::CLOSED_BY_PROVIDER.contains(&status))
}

/// A failure with what the answer has cost.
fn paid(mut failure: Box<Failure>, reply: &Reply) -> Box<Failure> {
    (failure.tokens_used, failure.columns) = (reply.tokens_used, reply.columns.clone());
    failure
}

/// The answer with what the folder adds to it.
fn settle(answer: Answer, closed: Result<Option<Change>, String>, given: &[Declared]) -> Answer {
    let change = match (closed, &answer) {
        (Ok(Some(change)), _) => change,
        // An attempt that did not begin has nothing to store.
        (Ok(None), _) => return answer,
        (Err(why), Err(_)) => {
            return answer.map_err(|mut failure| {
                failure.message.push_str(&format!("; its changes could not be stored: {why}"));
                failure
            });
        }
        (Err(why), Ok(reply)) => {
            let message = format!("cannot store the agent's changes: {why}");
            return Err(paid(contract::failure(Cause::Start, message, Outcome::Unknown, true), reply));
        }
    };
    let column = change.any.then(|| (Arc::from("branch"), Value::from(change.branch.as_str())));
    match answer {
        Ok(mut reply) => {
            for output in given {
                let value = match &change.diff {
                    Some(Ok(diff)) if output.name == "diff" => diff,
                    Some(Err(why)) if output.name == "diff" => {
                        reply.columns.extend(column);
                        return Err(paid(contract::bad(format!("output `diff`: {why}")), &reply));
                    }
                    _ => &change.branch,
                };
                reply.outputs.push((output.id, Arc::new(Value::from(value.as_str()))));
            }
            if !given.iter().any(|output| output.name == "branch") {
                reply.columns.extend(column);
            }
            Ok(reply)
        }
        Err(mut failure) => {
            failure.columns.extend(column);
            Err(failure)
        }
    }
}
