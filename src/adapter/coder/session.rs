//! A session with a coding agent: the requests to it in their order, and the answers to its own. Knows nothing of steps.

use super::message::{self, METHOD_NOT_FOUND, Message, RpcError};
use super::peer::Peer;
use super::permission::{Calls, PermissionReply, ToolCall, Verdict};
use super::turn::{Ended, Spent, Turn};
use super::{Conversation, Failure, Progress, Stop, Urgency, is_closed};
use crate::adapter::LiveWords;
use crate::adapter::question::{PersonReply, Questions};
use crate::event::Role;
use crate::value::Value;
use crate::value::budget::Budget;
use serde_json::json;
use std::path::Path;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::oneshot;

/// The version of the protocol.
const VERSION: u64 = 1;

/// The most requests for permission that a person is asked about at once.
const ASKED: usize = 64;

/// The protocol's code for an agent that needs a login.
const AUTH_REQUIRED: i64 = -32000;

/// Why an answer is missing.
pub enum End {
    /// The agent's output ended.
    Lost,
    Stopped,
    Malformed(String),
    Failed {
        message: String,
        retryable: bool,
    },
    Unavailable(String),
    /// The agent stopped at its budget.
    Spent(String),
    /// The answer does not fit the step.
    Unfit(Box<Failure>),
}

/// What is known of a session at its end.
pub struct Over {
    pub spent: Spent,
    /// `None` if it was never opened.
    pub id: Option<String>,
    pub progress: Progress,
    /// The kinds of tools that the agent asked for and may not use.
    pub rejected: Vec<String>,
}

/// The conversation of one attempt with its agent, from the greeting to the last message.
pub struct Session<'a> {
    peer: Peer,
    talk: &'a Conversation,
    /// Where the agent's messages and tool calls are shown as they arrive.
    pub live: LiveWords,
    /// Who is asked for a permission that `allow` does not give.
    pub questions: Questions,
    /// The requests for permission that a person is asked about.
    asked: Vec<AskedPermission>,
    allow: &'a [String],
    grace: Duration,
    stop: Stop,
    /// The number of the last request.
    last: u64,
    id: Option<String>,
    progress: Progress,
    /// The turn was cancelled.
    cancelled: bool,
    turn: Turn,
    calls: Calls,
    spent: Spent,
    /// The kinds of tools that were rejected.
    rejected: Vec<String>,
}

/// A request for permission that waits for the answer of a person.
struct AskedPermission {
    id: Value,
    params: Value,
    reply: oneshot::Receiver<PersonReply>,
}

impl<'a> Session<'a> {
    pub fn new(peer: Peer, talk: &'a Conversation, allow: &'a [String], grace: Duration, stop: Stop) -> Self {
        Session {
            peer,
            talk,
            live: LiveWords::default(),
            questions: Questions::default(),
            asked: Vec::new(),
            allow,
            grace,
            stop,
            last: 0,
            id: None,
            progress: Progress::None,
            cancelled: false,
            turn: Turn::default(),
            calls: Calls::default(),
            spent: Spent::default(),
            rejected: Vec::new(),
        }
    }

    /// Greets the agent, and returns what it says of itself.
    pub async fn greet(&mut self) -> Result<Value, End> {
        let no_files = json!({"readTextFile": false, "writeTextFile": false});
        let client = json!({"name": "orderflow", "version": env!("CARGO_PKG_VERSION")});
        let greeting = json!({
            "protocolVersion": VERSION, "clientCapabilities": {"fs": no_files, "terminal": false}, "clientInfo": client,
        });
        let answer = self.ask("initialize", greeting).await?;
        let version = answer.get("protocolVersion").unwrap_or(&Value::Null);
        if version.as_u64() != Some(VERSION) {
            let message = format!("the agent speaks version {version} of the protocol, not {VERSION}");
            return Err(End::Failed { message, retryable: false });
        }
        Ok(answer)
    }

    /// Greets the agent and opens the session.
    pub async fn begin(&mut self, folder: &Path) -> Result<(), End> {
        self.greet().await?;
        let answer =
            self.ask("session/new", json!({"cwd": folder.to_string_lossy(), "mcpServers": []})).await?;
        self.spent.configured(&answer);
        let Some(id) = answer.get("sessionId").and_then(Value::as_str) else {
            return Err(End::Malformed("the agent opened a session without an id".to_owned()));
        };
        self.id = Some(id.to_owned());
        Ok(())
    }

    /// Sends a prompt and returns the text of the answer.
    pub async fn prompt(&mut self, text: &str) -> Result<String, End> {
        self.turn = Turn::default();
        self.live.say("");
        self.progress = self.progress.max(Progress::Asked);
        self.talk.say(Role::User, None, text);
        let prompt = json!([{"type": "text", "text": text}]);
        let result = self.ask("session/prompt", json!({"sessionId": self.id, "prompt": prompt})).await;
        if let Some(part) = self.turn.part() {
            self.talk.say(Role::Assistant, None, &part);
        }
        let result = result?;
        let usage = self.spent.add(&result);
        self.talk.say(Role::Usage, self.spent.model.as_deref(), &usage);
        match std::mem::take(&mut self.turn).end(&result) {
            Ended::Said(text) => Ok(text),
            Ended::Cancelled if self.cancelled => Err(End::Stopped),
            Ended::Cancelled => {
                Err(End::Failed { message: "the agent cancelled its turn".to_owned(), retryable: true })
            }
            Ended::Failed { message, retryable } => Err(End::Failed { message, retryable }),
        }
    }

    /// What it has spent leaves this of a budget.
    pub fn left(&self, budget: Budget) -> Budget {
        self.spent.left(budget)
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    pub fn over(self) -> Over {
        Over { spent: self.spent, id: self.id, progress: self.progress, rejected: self.rejected }
    }

    /// Sends a request and handles what the agent says until it answers. A stop cancels a turn, which then has a moment
    /// to end.
    async fn ask(&mut self, method: &str, params: Value) -> Result<Value, End> {
        self.last += 1;
        self.send(message::request(self.last, method, params))?;
        let mut kill = self.stop.clone();
        let late = tokio::time::sleep(self.grace);
        tokio::pin!(late);
        loop {
            tokio::select! {
                biased;
                () = kill.asked(Urgency::Kill) => return Err(End::Stopped),
                () = self.stop.asked(Urgency::Terminate), if !self.cancelled => {
                    self.cancelled = true;
                    let Some(id) = &self.id else { return Err(End::Stopped) };
                    self.send(message::notice("session/cancel", json!({"sessionId": id})))?;
                    for AskedPermission { id, params, .. } in std::mem::take(&mut self.asked) {
                        self.decide(&id, &params, &Verdict::Cancelled)?;
                    }
                    late.set(tokio::time::sleep(self.grace));
                }
                () = &mut late, if self.cancelled => return Err(End::Stopped),
                (at, reply) = first_reply(&mut self.asked) => {
                    let AskedPermission { id, params, .. } = self.asked.swap_remove(at);
                    let by = reply.as_ref().map(PersonReply::said).unwrap_or_default();
                    let verdict = match reply.is_some_and(|reply| reply.agrees) {
                        true => Verdict::AllowedBy(&by),
                        false => Verdict::RejectedBy(&by),
                    };
                    self.decide(&id, &params, &verdict)?;
                }
                // Last, as an agent may never pause.
                heard = self.peer.hear() => match heard {
                    None => return Err(End::Lost),
                    Some(Err(why)) => return Err(End::Malformed(why)),
                    Some(Ok(Message::Answer { id, result })) if id == self.last => {
                        return result.map_err(refused);
                    }
                    Some(Ok(message)) => self.handle(message)?,
                },
            }
        }
    }

    fn send(&self, line: String) -> Result<(), End> {
        self.peer.send(line).map_err(End::Malformed)
    }

    fn handle(&mut self, message: Message) -> Result<(), End> {
        match message {
            Message::Text(line) => self.peer.log().line(&line),
            Message::Request { id, method, params } if method == "session/request_permission" => {
                let request = self.calls.request(&params);
                let is_allowed = self.allow.iter().any(|kind| kind == request.kind);
                if is_allowed || self.cancelled {
                    let verdict = if self.cancelled { Verdict::Cancelled } else { Verdict::Allowed };
                    return self.decide(&id, &params, &verdict);
                }
                let is_asked = request.can_be_allowed() && self.asked.len() < ASKED;
                if !is_asked || !self.questions.is_open() {
                    return self.decide(&id, &params, &Verdict::Rejected);
                }
                let text = request.text();
                self.live.say(&format!("waits for a person: {text}"));
                let reply = self.questions.ask(&text, Vec::new());
                self.asked.push(AskedPermission { id, params, reply });
            }
            // Only what a client asks: the program, such as cat, repeats its input.
            Message::Request { method, .. } if method == "initialize" => {
                let why = "it repeats what it is sent instead of answering: it does not speak the Agent Client Protocol";
                return Err(End::Malformed(why.to_owned()));
            }
            Message::Request { id, .. } => self.send(message::answer(&id, Err(METHOD_NOT_FOUND)))?,
            Message::Notice { method, params } if method == "session/update" => {
                let session = params.get("sessionId").and_then(Value::as_str);
                if let (Some(update), true) = (params.get("update"), session == self.id.as_deref()) {
                    let part = self.turn.take(update);
                    self.show(update, part.is_some());
                    if let Some(part) = part {
                        self.talk.say(Role::Assistant, None, &part);
                    }
                    if update.get("toolCallId").is_some() {
                        self.progress = Progress::Working;
                    }
                    if let Some(ToolCall { name, text }) = self.calls.take(update) {
                        self.talk.say(Role::Tool, Some(&name), &text);
                    }
                    self.spent.take(update);
                }
            }
            // An answer to a request that was cancelled, or a notice that is not known here.
            Message::Answer { .. } | Message::Notice { .. } => {}
        }
        Ok(())
    }

    /// Answers a request for permission.
    fn decide(&mut self, id: &Value, params: &Value, verdict: &Verdict<'_>) -> Result<(), End> {
        let PermissionReply { result, allowed, kind, line } = self.calls.request(params).answer(verdict);
        self.peer.log().line(&line);
        self.talk.say(Role::Permission, None, &line);
        if allowed {
            self.progress = Progress::Working;
        } else if !self.rejected.contains(&kind) {
            self.rejected.push(kind);
        }
        self.send(message::answer(id, Ok(result)))
    }

    /// Shows what the agent is just saying, or the title of the tool that it calls; with `is_new`, another message ends.
    fn show(&self, update: &Value, is_new: bool) {
        let text = |name: &str| update.get(name).and_then(Value::as_str);
        match text("sessionUpdate") {
            Some("agent_message_chunk") => {
                if is_new {
                    self.live.say("");
                }
                let content = update.get("content").and_then(|content| content.get("text"));
                self.live.add(content.and_then(Value::as_str).unwrap_or_default());
            }
            Some("tool_call" | "tool_call_update") => {
                if let Some(title) = text("title") {
                    self.live.say(title);
                }
            }
            _ => {}
        }
    }
}

/// The position of the first request that a person has answered, and the answer, if there is one; never, if none waits.
async fn first_reply(asked: &mut [AskedPermission]) -> (usize, Option<PersonReply>) {
    std::future::poll_fn(|context| {
        let replies = asked.iter_mut().map(|asked| Pin::new(&mut asked.reply).poll(context));
        let ready = replies.enumerate().find_map(|(at, reply)| match reply {
            Poll::Ready(reply) => Some((at, reply.ok())),
            Poll::Pending => None,
        });
        ready.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// The meaning of an error response.
fn refused(error: RpcError) -> End {
    let RpcError { code, message, data } = error;
    let text = |name: &str| data.get(name).and_then(Value::as_str);
    let details =
        data.as_str().or_else(|| text("details")).or_else(|| text("message")).or_else(|| text("error"));
    let message = match (message.trim(), details) {
        ("", None) => format!("the agent answered with error {code}"),
        ("", Some(details)) => details.to_owned(),
        (message, Some(details)) if !message.contains(details) => format!("{message}: {details}"),
        (message, _) => message.to_owned(),
    };
    let status = ["statusCode", "status"].iter().find_map(|name| data.get(*name)?.as_u64());
    let no_key = text("errorName") == Some("ProviderAuthError");
    if code == AUTH_REQUIRED || no_key || status.is_some_and(is_closed) {
        return End::Unavailable(message);
    }
    // Those of JSON-RPC for a request that is wrong in itself.
    let retryable = !(-32602..=-32600).contains(&code);
    End::Failed { message, retryable }
}
