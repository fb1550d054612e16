//! What coordinators, agents and clients send to each other, as JSON.

use crate::engine::{Call, ChannelLimit, Limits, Policy, RetryRequest};
use crate::event::{Answer, Event, GateId, ItemId, Millis, StepPath, StopReason, UnixMillis, Values};
use crate::history::RunOptions;
use crate::journal::logs::LogChange;
use crate::journal::{Header, Message};
use crate::runtime::{DecisionRequest, SignalRequest};
use crate::spec::{OnItemError, Tolerance};
use crate::value::budget::Budget;
use crate::value::dollars::Dollars;
use crate::value::restore;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The service that drives runs, and the one that begins them and takes their inputs, keyed by the run's name.
pub const RUNS: &str = "orderflow.run";
pub const ENTRANCE: &str = "orderflow.entrance";

/// The service that makes the attempts of an agent.
pub fn agent_service(agent: &str) -> String {
    format!("agent.{agent}")
}

/// The services of the programs in documents, and of stubs.
pub const PROGRAMS: &str = "orderflow.programs";
pub const STUBS: &str = "orderflow.stubs";

/// The object that limits the attempts of an agent.
pub const LIMITS: &str = "orderflow.limits";

/// What a worker says of an agent that it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Of the program.
    pub version: String,
    /// The most attempts at once, over all runs and workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<usize>,
}

/// Who makes the attempts of a step: decided before a run begins, from what workers serve then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// The worker of its agent.
    #[default]
    Agent,
    /// A worker that runs the programs of documents.
    Program,
    /// Any worker, which stubs its outputs.
    Stub,
}

impl Route {
    /// The service that makes the attempts of a step with this agent.
    pub fn service(self, agent: Option<&str>) -> String {
        match self {
            Route::Agent => agent_service(agent.unwrap_or_default()),
            Route::Program => PROGRAMS.to_owned(),
            Route::Stub => STUBS.to_owned(),
        }
    }
}

/// The key of a generation of a run.
pub fn key(run: &str, generation: u64) -> String {
    format!("{run}.{generation}")
}

/// A run that begins: everything that it depends on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    pub header: Header,
    pub policy: RunPolicy,
    pub items: Vec<Item>,
    /// By step.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// The most attempts at once of agents, over all runs and workers.
    #[serde(default)]
    pub limits: BTreeMap<String, usize>,
    /// When its own time was zero, by the clock of the client.
    pub began: UnixMillis,
    /// What has happened before, in an earlier generation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<Event>,
    /// Failed items that run again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retry: Vec<SentRetry>,
}

/// [`RetryRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SentRetry {
    item: ItemId,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "restore::some_pairs")]
    inputs: Option<Values>,
    attempt: Option<u32>,
}

impl From<RetryRequest> for SentRetry {
    fn from(RetryRequest { item, inputs, attempt }: RetryRequest) -> SentRetry {
        SentRetry { item, inputs, attempt }
    }
}

impl From<SentRetry> for RetryRequest {
    fn from(SentRetry { item, inputs, attempt }: SentRetry) -> RetryRequest {
        RetryRequest { item, inputs, attempt }
    }
}

/// An item with its workflow inputs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Item {
    pub key: Arc<str>,
    #[serde(deserialize_with = "restore::pairs")]
    pub inputs: Values,
}

/// [`Policy`] without the processors of one machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunPolicy {
    jobs: usize,
    agents: BTreeMap<String, usize>,
    channels: BTreeMap<String, (Option<usize>, Option<f64>)>,
    tolerate: Tolerance,
    on_item_error: OnItemError,
}

impl From<Policy> for RunPolicy {
    fn from(policy: Policy) -> RunPolicy {
        let Limits { jobs, agents, channels, .. } = policy.limits;
        let channels = channels.into_iter().map(|(name, limit)| (name, (limit.concurrency, limit.rate)));
        RunPolicy {
            jobs,
            agents: agents.into_iter().collect(),
            channels: channels.collect(),
            tolerate: policy.tolerate,
            on_item_error: policy.on_item_error,
        }
    }
}

impl From<RunPolicy> for Policy {
    fn from(policy: RunPolicy) -> Policy {
        let channels = policy.channels.into_iter();
        let channels = channels.map(|(name, (concurrency, rate))| (name, ChannelLimit { concurrency, rate }));
        Policy {
            limits: Limits {
                agents: policy.agents.into_iter().collect(),
                channels: channels.collect(),
                ..Limits::jobs(policy.jobs)
            },
            tolerate: policy.tolerate,
            on_item_error: policy.on_item_error,
        }
    }
}

/// A request to make an attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    pub run: Arc<str>,
    /// Of the document and the options.
    pub digest: Arc<str>,
    /// They themselves, if the worker may not know them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Arc<Header>>,
    pub call: SentCall,
    /// The run's own time.
    pub now: Millis,
}

/// How a request was answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Response {
    /// The worker does not know the document.
    Unknown,
    /// The attempt ended.
    Made {
        result: Answer,
        at: UnixMillis,
        /// Its conversation.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        messages: Vec<Message>,
        /// What it has logged, as changes of a file without other logs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        log: Vec<LogChange>,
    },
}

/// What has happened since the chunk before it, in the state of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Chunk {
    pub events: Vec<Event>,
    /// The conversations of attempts that have ended, and their logs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<Vec<LogChange>>,
}

/// [`Call`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SentCall {
    item: ItemId,
    key: Arc<str>,
    step: StepPath,
    attempt: u32,
    repeated: bool,
    visit: u32,
    compensates: Option<StepPath>,
    #[serde(deserialize_with = "restore::pairs")]
    inputs: Values,
    deadline: Option<Millis>,
    until: Option<Millis>,
    tokens: Option<u64>,
    dollars: Option<String>,
}

impl From<Call> for SentCall {
    fn from(call: Call) -> SentCall {
        SentCall {
            item: call.item,
            key: call.key,
            step: call.step,
            attempt: call.attempt,
            repeated: call.repeated,
            visit: call.visit,
            compensates: call.compensates,
            inputs: call.inputs,
            deadline: call.deadline,
            until: call.until,
            tokens: call.left.and_then(|left| left.tokens),
            dollars: call.left.and_then(|left| left.dollars).map(|dollars| dollars.value().to_string()),
        }
    }
}

impl From<SentCall> for Call {
    fn from(sent: SentCall) -> Call {
        let dollars = sent.dollars.as_deref().and_then(Dollars::parse);
        let left = Budget { tokens: sent.tokens, dollars };
        Call {
            item: sent.item,
            key: sent.key,
            step: sent.step,
            attempt: sent.attempt,
            repeated: sent.repeated,
            visit: sent.visit,
            compensates: sent.compensates,
            inputs: sent.inputs,
            deadline: sent.deadline,
            until: sent.until,
            left: (left != Budget::default()).then_some(left),
        }
    }
}

impl SentCall {
    pub fn attempt(&self) -> Attempt {
        (self.item, self.step, self.attempt)
    }

    /// It begins so much later than was planned: its own time begins then.
    pub fn begins_later(&mut self, by: Millis) {
        self.deadline = self.deadline.map(|due| due.saturating_add(by));
        self.until = self.until.map(|due| due.saturating_add(by));
    }

    /// When its own time has passed.
    pub fn deadline(&self) -> Option<Millis> {
        self.deadline
    }

    /// Distinguishes the attempt from all others of its run.
    pub fn name(&self) -> String {
        let SentCall { item, step, attempt, visit, .. } = self;
        let element = step.element.map(|element| format!(".{element}")).unwrap_or_default();
        format!("{}-{}{element}-{visit}-{attempt}", item.0, step.step.0)
    }
}

/// An attempt: its item, its step and its number.
pub type Attempt = (ItemId, StepPath, u32);

/// An input from outside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Input {
    pub at: UnixMillis,
    pub what: What,
}

/// What is asked of a run from outside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum What {
    Decide(DecisionRequest),
    Signal(SignalRequest),
    Answer(ItemId, GateId, crate::event::Decision),
    Stop(StopReason),
}

/// The hash of what a worker has to know of a run.
pub fn digest(header: &Header) -> String {
    let mut hasher = blake3::Hasher::new();
    let options = header.options.to_string();
    for part in [&header.run, &header.document.path, &header.document.text, &options] {
        // Lengths separate parts that would otherwise run together.
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// The options of a run.
///
/// # Errors
/// They are not of this program's form.
pub fn options(header: &Header) -> Result<RunOptions, crate::history::Error> {
    RunOptions::of(header)
}
