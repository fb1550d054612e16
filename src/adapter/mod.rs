//! Runs the attempts of steps. An adapter makes one attempt and reports how it ended; it never retries, measures time,
//! journals or prints. Knows nothing of the engine.
//!
//! The contract is the same for all: an object of inputs goes in, an object of outputs comes out, with context beside
//! it. [`contract`] defines its meaning.

mod adopted;
mod apart;
pub mod channel;
pub mod check;
mod child;
mod client;
pub mod coder;
pub mod container;
pub mod contract;
pub mod conversation;
pub mod exchanges;
#[cfg(test)]
pub mod fake;
pub mod fence;
mod gates;
pub mod http;
#[cfg(feature = "restate")]
pub mod ingress;
pub mod launch;
mod live;
pub mod logs;
pub mod mcp;
pub mod model;
pub mod notify;
pub mod orphans;
mod outer;
pub mod probe;
pub mod process;
pub mod program;
mod prompt;
pub mod question;
pub mod redact;
mod reported;
pub mod repository;
mod restarts;
mod rests;
mod spawned;
mod stray;
pub mod stub;
mod system;
#[cfg(feature = "telemetry")]
pub mod telemetry;
#[cfg(test)]
mod tests;
mod tree;
mod variables;
pub mod worker;
pub mod workfolder;

pub use adopted::{adopt, bury, shield};
pub use conversation::{Conversation, Said};
pub use gates::{InnerGate, InnerGates, ShownGate};
pub use live::{LiveWords, Spoken};
pub use logs::{AttemptLog, LogIntake, LogPlace, LogStream};
pub use outer::{Hearing, HearingEnd, OuterEvents, Topic, Upward, UsedEvents};
pub use program::GRACE;
pub use rests::Rests;
pub use spawned::{Attempt, ProcessIdentity, Spawned, Spawns};
pub use tree::sweep;

use crate::event::{Answer, StopReason, ValueId};
use crate::value::budget::Budget;
use crate::value::{Type, Value};
use question::Questions;
use redact::ItemRedactor;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::watch;

/// The future end of an attempt.
pub type Ending<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// The future end of all that an adapter leaves running.
pub type Closing<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The future end of what a dead runner has left; an error names what could not be ended.
pub type Recovery<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// What limits how many attempts of an adapter can usefully run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The processors of this machine: a local process does the work.
    Processors,
    /// No local resource: it waits for other machines, or has nothing to do.
    Elsewhere,
}

/// Calls what does a step: a program, a worker, a service, a model, a person. One call is one attempt; retries, deadlines and
/// limits are decided elsewhere. Implement it for agents of your own, as `lib.rs` shows.
pub trait Adapter: Send + Sync {
    /// Makes one attempt. After `stop` requests it the attempt ends soon, and still reports how it ended.
    fn call(&self, call: Call, stop: Stop) -> Ending<'_>;

    /// Whether every attempt has a folder for files; else only those of steps that make files do.
    fn has_folder(&self) -> bool {
        false
    }

    fn bound(&self) -> Bound {
        Bound::Processors
    }

    /// Whether one process, or one server's log, serves the attempts of several items at the same time, so that the
    /// failure of one attempt can show what another one wrote.
    fn is_shared(&self) -> bool {
        false
    }

    /// Ends what a dead runner of this run has left, other than processes of this machine. Comes before any call.
    fn recover<'a>(&'a self, _run: &'a str) -> Recovery<'a> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Ends all that is left running between calls, at once if `stop` requests it. No call is running by then.
    fn close(&self, _stop: Stop) -> Closing<'_> {
        Box::pin(std::future::ready(()))
    }
}

/// One attempt, with all data that its agent may need.
#[derive(Clone, Debug)]
pub struct Call {
    pub context: Context,
    /// By name; absent optional inputs are left out.
    pub inputs: Vec<(Arc<str>, Arc<Value>)>,
    /// The paths of the inputs that are files.
    pub files: Vec<PathBuf>,
    /// The outputs that the step declares.
    pub outputs: Arc<[Declared]>,
    /// The step's instructions with values inserted; empty if it has none.
    pub instructions: String,
    /// An empty folder for the files of this attempt only; empty if it has none.
    pub dir: PathBuf,
    /// A file for the inputs that attempts use one after the other; `None` if the attempt makes its own.
    pub input: Option<PathBuf>,
    /// A folder for the adapter's own files of this attempt; their names must contain `attempt_id`.
    pub scratch: PathBuf,
    /// Distinguishes this attempt's files from those of others.
    pub attempt_id: String,
    /// The run's folder.
    pub home: PathBuf,
    /// The names of the item and of this attempt in the run's folder.
    pub place: (String, String),
    /// Where to report each process that is started for this attempt.
    pub spawns: Spawns,
    /// Where to report each message between orderflow and the agent, for people to read later.
    pub conversation: Conversation,
    /// Where to report what the agent is just saying, for people who watch.
    pub live: LiveWords,
    /// Where the agent may ask a person.
    pub questions: Questions,
    /// Where to report what the attempt logs.
    pub log: AttemptLog,
    /// Where to report that what the attempt runs waits for people or events.
    pub rests: Rests,
    /// The events of the outermost run, for a document that the attempt runs.
    pub events: OuterEvents,
    /// Where the gates of a document are reported that the attempt runs.
    pub gates: InnerGates,
    /// Removes the secrets of the item from texts that an adapter stores itself.
    pub redactor: ItemRedactor,
}

/// The context of a call.
#[derive(Clone, Debug)]
pub struct Context {
    pub run: Arc<str>,
    /// The run that this process drives, which this one may be within: its mark is on all processes.
    pub outermost: Arc<str>,
    /// The step's phase.
    pub step: Arc<str>,
    /// The item's key.
    pub item: Arc<str>,
    pub attempt: u32,
    /// The same attempt was made before, by a runner that has exited.
    pub repeated: bool,
    /// The element's position in its list, from 0, if the step runs for each element.
    pub element: Option<u32>,
    /// Equal on every attempt for the same effect.
    pub idempotency_key: String,
    /// For a compensation, and for the steps of a document that compensates: the key of the compensated step.
    pub forward_key: Option<String>,
    pub agent: Option<Arc<str>>,
    pub channel: Option<Arc<str>>,
    /// When the attempt will be stopped, as RFC 3339.
    pub deadline: Option<String>,
    /// What it may spend; `None` without a budget.
    pub budget: Option<Budget>,
    /// W3C trace context.
    pub traceparent: String,
}

/// One output that a step declares.
#[derive(Clone, Debug)]
pub struct Declared {
    pub id: ValueId,
    pub name: String,
    pub ty: Option<Type>,
    pub optional: bool,
}

impl Declared {
    pub fn is_secret(&self) -> bool {
        self.ty.as_ref().is_some_and(Type::holds_secrets)
    }
}

/// How urgently an attempt is asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    #[default]
    None,
    /// Finish what cannot be interrupted, then end.
    Terminate,
    /// End now.
    Kill,
}

/// What is requested: how urgently to stop, and whether the attempt is repeated when the run is resumed.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    urgency: Urgency,
    pauses: bool,
    why: Option<StopReason>,
}

/// The receiver of a stop request.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Asked>);

/// The sender of a stop request.
#[derive(Debug)]
pub struct Stopper(watch::Sender<Asked>);

impl Stop {
    pub fn new() -> (Stopper, Stop) {
        let (sender, receiver) = watch::channel(Asked::default());
        (Stopper(sender), Stop(receiver))
    }

    /// The current urgency.
    pub fn urgency(&self) -> Urgency {
        self.0.borrow().urgency
    }

    /// Whether the run pauses, so that the attempt is repeated later.
    pub fn pauses(&self) -> bool {
        self.0.borrow().pauses
    }

    /// Why the attempt is stopped, if that was said.
    pub fn why(&self) -> Option<StopReason> {
        self.0.borrow().why
    }

    /// Returns once at least this urgency is requested; never, if it is not.
    pub async fn asked(&mut self, urgency: Urgency) {
        if self.0.wait_for(|asked| asked.urgency >= urgency).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Returns once something else is requested than when it was looked at; never, if nothing is.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Stopper {
    /// Requests a stop; an earlier, more urgent request remains.
    pub fn ask(&self, urgency: Urgency) {
        self.0.send_if_modified(|asked| {
            let more = urgency > asked.urgency;
            asked.urgency = urgency.max(asked.urgency);
            more
        });
    }

    /// Says why a stop will be requested. By itself it does not request one, and the first reason counts.
    pub fn say(&self, why: StopReason) {
        self.0.send_if_modified(|asked| {
            asked.why.get_or_insert(why);
            false
        });
    }

    /// Says that the run pauses. By itself it does not request a stop.
    pub fn pause(&self) {
        self.0.send_if_modified(|asked| !std::mem::replace(&mut asked.pauses, true));
    }
}
