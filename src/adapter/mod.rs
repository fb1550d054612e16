//! How a step reaches whoever does it. An adapter makes one attempt and reports how it ended; it never retries,
//! keeps time, journals or prints. Knows nothing of the engine.
//!
//! The contract is the same for all: an object of inputs goes in, an object of outputs comes out, context
//! travels beside it. [`contract`] holds what the words mean.

mod adopted;
pub mod check;
pub mod contract;
#[cfg(test)]
pub mod fake;
pub mod fence;
pub mod http;
pub mod model;
pub mod orphans;
pub mod process;
pub mod program;
pub mod redact;
mod spawned;
mod stray;
pub mod stub;
mod system;
#[cfg(test)]
mod tests;
mod tree;
mod variables;
pub mod worker;

pub use adopted::{adopt, bury, shield};
pub use program::GRACE;
pub use spawned::{Attempt, Process, Spawned, Spawns};
pub use tree::sweep;

use crate::event::{Answer, ValueId};
use crate::value::{Type, Value};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::watch;

/// The end of an attempt, some time from now.
pub type Ending<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// The end of all that an adapter keeps running.
pub type Closing<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What bounds how many attempts of an adapter make sense at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The processors of this machine: a process of it does the work.
    Processors,
    /// Nothing here: it waits for others, or has nothing to do.
    Elsewhere,
}

pub trait Adapter: Send + Sync {
    /// Makes one attempt. After `stop` asks for it the attempt ends soon, and still says how it ended.
    fn call(&self, call: Call, stop: Stop) -> Ending<'_>;

    /// Whether every attempt has a folder for files; else only those of steps that make files have one.
    fn has_folder(&self) -> bool {
        false
    }

    fn bound(&self) -> Bound {
        Bound::Processors
    }

    /// Ends what is kept running between calls, at once where `stop` says so. Nothing is in flight by then.
    fn close(&self, _stop: Stop) -> Closing<'_> {
        Box::pin(std::future::ready(()))
    }
}

/// One attempt, with everything its agent may want to know.
#[derive(Clone, Debug)]
pub struct Call {
    pub context: Context,
    /// By name; absent optional inputs are left out.
    pub inputs: Vec<(Arc<str>, Arc<Value>)>,
    /// What the step declares to make.
    pub outputs: Arc<[Declared]>,
    /// What the document asks of it, with the values in their places; empty where it says nothing.
    pub instructions: String,
    /// An empty folder of this attempt alone, for the files that it makes; empty where it has none.
    pub dir: PathBuf,
    /// A folder for the adapter's own files of this attempt; their names must hold `attempt_id`.
    pub scratch: PathBuf,
    /// Tells this attempt's files from those of others.
    pub attempt_id: String,
    /// Where each process is told of that is started for this attempt.
    pub spawns: Spawns,
}

/// What is said beside the inputs.
#[derive(Clone, Debug)]
pub struct Context {
    pub run: Arc<str>,
    /// The step's phase.
    pub step: Arc<str>,
    /// The item's key.
    pub item: Arc<str>,
    pub attempt: u32,
    /// The element's place in its list, from 0, where the step runs for each element of one.
    pub element: Option<u32>,
    /// Equal on every attempt for the same effect.
    pub idempotency_key: String,
    /// Where the step undoes another: the key under which that one worked.
    pub forward_key: Option<String>,
    pub agent: Option<Arc<str>>,
    pub channel: Option<Arc<str>>,
    /// When the attempt will be stopped, as RFC 3339.
    pub deadline: Option<String>,
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

/// How urgently an attempt is asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    #[default]
    None,
    /// Finish what cannot be left, then go.
    Terminate,
    /// Now.
    Kill,
}

/// The attempt's end of a stop request.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Urgency>);

/// The asking end of a stop request.
#[derive(Debug)]
pub struct Stopper(watch::Sender<Urgency>);

impl Stop {
    pub fn new() -> (Stopper, Stop) {
        let (sender, receiver) = watch::channel(Urgency::None);
        (Stopper(sender), Stop(receiver))
    }

    /// What is asked for so far.
    pub fn urgency(&self) -> Urgency {
        *self.0.borrow()
    }

    /// Returns once at least this urgency is asked for; never, if it is not.
    pub async fn asked(&mut self, urgency: Urgency) {
        if self.0.wait_for(|asked| *asked >= urgency).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Stopper {
    /// Asks; an earlier, more urgent request stands.
    pub fn ask(&self, urgency: Urgency) {
        self.0.send_if_modified(|asked| {
            let more = urgency > *asked;
            *asked = urgency.max(*asked);
            more
        });
    }
}
