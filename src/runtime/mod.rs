//! The loop that provides the engine with time, processes and signals. Decides nothing: the engine decides what
//! happens next, and adapters run the steps.
//!
//! Every turn: collect all inputs, pass them to the engine, write the events to the journal, show them to the
//! observers, and only then start the effects that the engine requires.

mod asked;
mod bindings;
mod calls;
mod columns;
mod drive;
mod durable;
mod effects;
mod events;
mod files;
mod identity;
mod inbox;
mod live;
mod logs;
#[cfg(feature = "restate")]
mod mirror;
mod names;
mod nested;
mod observer;
mod outbox;
mod outer;
mod prepare;
mod questions;
mod signals;
#[cfg(feature = "restate")]
mod single;
mod slots;
#[cfg(test)]
mod tests;
pub(crate) mod timers;
mod workspace;

pub use asked::{OtherInputs, UsedKeys};
pub use bindings::Bindings;
pub use columns::{ROW as LARGEST_ROW, ReportedColumns};
pub use durable::Durable;
pub use events::Sources;
pub use files::{Finder, MovedFiles, below_items, by_name, paths};
pub use identity::{clock, keys_of, new_run_id, now, unix_millis};
pub use inbox::{DecisionRequest, Inbox, InboxKey, InboxRequest, SignalRequest};
#[cfg(feature = "restate")]
pub use logs::ReceivedLogs;
#[cfg(feature = "restate")]
pub use mirror::{Mirror, News, NewsFeed, RequestSender};
pub use names::{attempt_name, folder_name};
pub use nested::{nested, woken};
pub use observer::{LastWords, Observer};
pub use outbox::{BoundSink, Outbox, event_source};
pub use outer::{Border, for_each};
pub use questions::{Answering, OpenQuestion, QuestionAnswer, QuestionDesk, answer_question, open_questions};
pub use signals::{Caught, listen, outlive_large_files};
#[cfg(feature = "restate")]
pub use single::{Attempts, Made};
pub use workspace::{
    NestedRun, RunsFolder, Workspace, nested_home, nested_homes, nested_item, nested_items, nested_run,
    nested_runs,
};

use crate::adapter::question::Question;
use crate::adapter::{self, Said, Spawned, Stop, Urgency};
use crate::engine::{Ask, EngineInput, RetryRequest, Run};
use crate::event::{Arrival, Decision, GateId, ItemId, Millis, StepId, StopReason, Values};
use crate::graph::Graph;
use crate::spans::TraceContext;
use drive::millis;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The next item of a run.
#[derive(Clone, Debug)]
pub struct NewItem {
    pub key: Arc<str>,
    pub inputs: Values,
}

/// The items in order, read as they are needed.
pub type ItemStream<'a> = &'a mut dyn Iterator<Item = anyhow::Result<NewItem>>;

/// A request from outside during a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Start nothing more and ask running attempts to stop.
    Stop,
    /// Kill running attempts.
    Kill,
    /// Start nothing more, and never resume: the run is cancelled, for this reason.
    Cancel(StopReason),
    /// A person decided at a gate.
    Decide(DecisionRequest),
    /// An event was sent by hand.
    Signal(SignalRequest),
    /// The person who was asked about an item decided.
    Answer(ItemId, GateId, Decision),
    /// The person who was asked about an item does not decide now.
    Later(ItemId, GateId),
    /// The same for an item in a document: the run may end.
    LaterInside,
}

impl From<InboxRequest> for Request {
    fn from(request: InboxRequest) -> Self {
        match request {
            InboxRequest::Decide(request) => Request::Decide(request),
            InboxRequest::Signal(request) => Request::Signal(request),
        }
    }
}

/// Where items that wait for a person are sent.
pub type Asks = mpsc::UnboundedSender<Ask>;

/// Where the questions of agents are sent.
pub type AgentQuestions = mpsc::UnboundedSender<Question>;

/// The channel of requests.
pub type Requests = mpsc::Receiver<Request>;

/// The inputs and outputs of the loop.
pub struct Loop<'a> {
    pub graph: Arc<Graph>,
    pub run_id: Arc<str>,
    /// The run that this process drives, which this one may be within.
    pub outermost: Arc<str>,
    /// The trace to which this run belongs.
    pub trace: TraceContext,
    /// The key of what this run compensates, if it is one of a document that does.
    pub forward_key: Option<Arc<str>>,
    pub bindings: Bindings,
    pub workspace: Workspace,
    pub observers: Vec<&'a mut dyn Observer>,
    /// The deadline of the whole run.
    pub deadline: Option<Duration>,
    /// Where events are written before they are shown; `None` for a run that cannot be resumed.
    pub durable: Option<Durable>,
    /// When a resumed run continues, in its own time; `None` for a new one.
    pub since: Option<Millis>,
    /// No other part of this process starts programs: all orphaned programs belong to this run and are ended with it.
    pub alone: bool,
    /// Cancel a run that was left, instead of resuming it.
    pub cancel: bool,
    /// The keys used so far by a resumed run.
    pub asked: UsedKeys,
    /// The columns that the steps of a resumed run have reported so far.
    pub columns: ReportedColumns,
    /// Where to send the items that wait for a person.
    pub asks: Option<Asks>,
    /// Where the questions of agents are sent; `None` if no person can be asked.
    pub questions: Option<AgentQuestions>,
    /// Those that a person at the terminal is asked about; `None` without one.
    pub asked_now: Option<BTreeSet<(ItemId, GateId)>>,
    /// Whether to wait for people when nothing else can happen, instead of leaving the run as it is.
    pub waits: bool,
    /// The attempt of another run that this run is. It hears when only people and events can move this run on.
    pub within: Option<adapter::Rests>,
    /// If the run was left because it waits: how long until it is to continue at the latest.
    pub wakes: Option<Duration>,
    /// Where events come from.
    pub sources: Option<Sources>,
    /// Where events of steps are published.
    pub outbox: Option<Outbox>,
    /// The events of the outermost run.
    pub border: Border,
    /// Failed items to retry when a run resumes; the fold has left out their ends.
    pub retry: Vec<RetryRequest>,
    /// An item that has succeeded and is to be compensated; the fold has left out its end.
    pub revoke: Option<ItemId>,
}
impl Loop<'_> {
    /// An event from outside as the journal has it: conditions, types and steps see the same live and after a restart.
    fn received(&self, mut arrival: Arc<Arrival>) -> EngineInput {
        self.bindings.redactor().conceal_arrival(&mut arrival);
        EngineInput::Receive(arrival)
    }

    /// An event of a step of a document, which has a time of the clock unless it was published before that run was left.
    fn emitted(&self, mut arrival: Arc<Arrival>) -> EngineInput {
        self.bindings.redactor().conceal_arrival(&mut arrival);
        if !arrival.has_time() {
            Arc::make_mut(&mut arrival).at = unix_millis();
        }
        EngineInput::Emit(arrival)
    }

    /// Whether the run stays alive although only people and events can move it on: one is asked, a source may bring
    /// what is awaited, or `waits` is set.
    fn stays(&self, run: &Run) -> bool {
        let brought = |sources: &Sources| {
            let event = |step: StepId| self.graph.step(step).awaits.as_ref().map(|awaits| &awaits.event);
            run.awaiting().any(|(_, _, step, ..)| event(step).is_some_and(|event| sources.bring(event)))
        };
        let asked = |(item, _, gate, _): (ItemId, &Arc<str>, GateId, u64)| {
            self.asked_now.as_ref().is_some_and(|asked| asked.contains(&(item, gate)))
        };
        // A run within this one is woken by its own loop.
        let nested = self.within.is_some() && run.under_way() > 0;
        let inside = |sources: &Sources| self.border.events.awaits(|kind| sources.bring(kind));
        nested
            || self.waits
            || run.stopped().is_none() && self.border.is_busy()
            || self.sources.as_ref().is_some_and(|sources| brought(sources) || inside(sources))
            || self.asked_now.is_some() && run.waiting().any(asked)
    }

    /// When the run's deadline passes, in its own time: it counts from when this process resumed it.
    fn until(&self) -> Option<Millis> {
        Some(self.since.unwrap_or(0).saturating_add(millis(self.deadline?)))
    }

    /// Ends the programs that adapters leave running.
    async fn close(&self, urgency: Urgency, mut requests: Requests) {
        let (stopper, stop) = Stop::new();
        stopper.ask(urgency);
        let closing = async {
            self.bindings.close(&stop).await;
            if self.alone {
                adapter::sweep(&mut stop.clone()).await;
            }
        };
        tokio::pin!(closing);
        loop {
            tokio::select! {
                () = &mut closing => return,
                Some(request) = requests.recv() => if request == Request::Kill {
                    stopper.ask(Urgency::Kill);
                },
            }
        }
    }

    fn keep(&mut self, process: Spawned) {
        if let Some(durable) = &mut self.durable {
            durable.started(process);
        }
    }

    fn message(&mut self, message: Said, now: Millis) {
        if let Some(durable) = &mut self.durable {
            durable.said(message, now);
        }
    }
}
