//! A conformance kit for authors of agents: probes that every agent must pass. They request a step that does not
//! exist, without inputs, so an agent that checks either does nothing.
//!
//! Talks to programs directly, not through the adapters, because it also sends messages that those never send.

mod process;
mod worker;

pub use process::process;
pub use worker::worker;

use super::child::Child;
use super::program::{LOG, Started, Tail, ended, last_word};
use super::question::Questions;
use super::tree::Tree;
use super::{AttemptLog, Call, Context, Conversation, LiveWords, Spawns};
use rustix::process::Signal;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The requested step.
pub const STEP: &str = "OrderflowCheck";

/// The run in the request.
const RUN: &str = "check";

/// The result of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The requirement.
    pub must: &'static str,
    /// The agent's behaviour.
    pub did: String,
    pub passed: bool,
}

/// A call without inputs for a step that does not exist; its files are in `folder`.
fn call(folder: &Path) -> Call {
    Call {
        context: Context {
            run: RUN.into(),
            outermost: RUN.into(),
            step: STEP.into(),
            item: "check".into(),
            attempt: 1,
            repeated: false,
            element: None,
            idempotency_key: "orderflow-check".into(),
            forward_key: None,
            agent: None,
            channel: None,
            deadline: None,
            budget: None,
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
        },
        inputs: Vec::new(),
        files: Vec::new(),
        instructions: String::new(),
        outputs: Arc::new([]),
        dir: folder.to_owned(),
        scratch: folder.to_owned(),
        input: None,
        attempt_id: "check".to_owned(),
        home: Default::default(),
        place: Default::default(),
        spawns: Spawns::default(),
        conversation: Conversation::default(),
        live: LiveWords::default(),
        questions: Questions::default(),
        log: AttemptLog::default(),
        rests: crate::adapter::Rests::default(),
        events: crate::adapter::OuterEvents::default(),
        gates: crate::adapter::InnerGates::default(),
        redactor: Default::default(),
    }
}

/// A JSON text of more than a mebibyte, which exceeds every pipe.
fn large() -> String {
    format!("\"{}\"", "x".repeat(1 << 20))
}

/// A program under test; it is killed when this is dropped.
struct Patient {
    child: Child,
    tree: Tree,
    log: Arc<Mutex<Tail>>,
}

impl Patient {
    fn new(started: Started) -> Self {
        let Started { mut child, tree, .. } = started;
        let log = Arc::new(Mutex::new(Tail::new(LOG)));
        let (stderr, heard) = (child.stderr.take(), log.clone());
        tokio::spawn(super::program::hear(stderr, move |chunk| {
            heard.lock().unwrap_or_else(PoisonError::into_inner).take(chunk);
        }));
        Patient { child, tree, log }
    }

    fn signal(&self, which: Signal) {
        self.tree.signal(which);
    }

    /// How it ended, with the end of its log; `None` if it is still running after this time.
    async fn ended(&mut self, within: Duration) -> Option<String> {
        let status = tokio::time::timeout(within, self.child.wait()).await.ok()?;
        let end = ended(status).1;
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner).text();
        Some(format!("{end}{}", last_word(&log)))
    }
}

impl Drop for Patient {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
