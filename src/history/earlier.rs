//! The run of a document that an earlier attempt of its step has begun: whether the next attempt continues it, or begins
//! another one. A run that has left an effect is never followed by another one for the same effect.

use super::History;
use crate::adapter::Call;
use crate::engine::{RetryRequest, spend};
use crate::event::{
    AttemptEvent, Event, EventKind, ItemEvent, ItemId, ItemState, Outcome, RunEvent, Settlement,
};
use crate::graph::{Graph, Kind};
use crate::journal;
use crate::runtime::{self, Observer};
use crate::value::budget::Spent;
use std::sync::Arc;

/// Collects what a run spends, what it leaves, and how its item ends.
pub struct Watch {
    graph: Arc<Graph>,
    pub end: Option<Settlement>,
    /// How its steps for all items ended.
    pub once: Option<Settlement>,
    pub spent: Spent,
    pub attempts: bool,
    /// Whether a step without a compensation may have had an effect.
    pub lasts: bool,
}

impl Watch {
    pub fn new(graph: Arc<Graph>) -> Watch {
        Watch { graph, end: None, once: None, spent: Spent::default(), attempts: false, lasts: false }
    }
}

impl Observer for Watch {
    fn see(&mut self, event: &Event) -> anyhow::Result<()> {
        spend(&mut self.spent, event);
        match &event.kind {
            EventKind::Item(ItemId(0), ItemEvent::Settled { end, .. }) => self.end = Some(end.clone()),
            EventKind::Run(RunEvent::StepsEnded(end)) => self.once = Some(end.clone()),
            EventKind::Attempt(_, path, _, change) => {
                self.attempts |= matches!(change, AttemptEvent::Started);
                let may_have_had = match change {
                    AttemptEvent::Finished(Ok(_)) => true,
                    AttemptEvent::Finished(Err(failure)) => failure.outcome == Outcome::Unknown,
                    _ => false,
                };
                if may_have_had && let Some(step) = self.graph.steps.get(path.index()) {
                    self.lasts |= step.kind == Kind::Forward && !step.pure && step.compensate.is_none();
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The run of a document that an attempt continues or has begun, as it was left.
pub struct EarlierRun {
    pub watch: Watch,
    /// Whether its item has begun.
    pub began: bool,
    over: bool,
    /// Whether the attempt has already continued it, or has begun it.
    pub own: bool,
    /// What it had spent when the attempt began.
    pub before: Spent,
}

impl EarlierRun {
    /// What `attempt` finds; `began_by` is the attempt that has begun the run.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn of(history: &History, began_by: u32, attempt: u32) -> anyhow::Result<EarlierRun> {
        let mut watch = Watch::new(history.graph.clone());
        let mut before = (began_by == attempt).then(Spent::default);
        history.replay(|event| {
            if let EventKind::Item(_, ItemEvent::Retried { attempt: Some(by), .. }) = &event.kind
                && *by == attempt
            {
                before.get_or_insert(watch.spent);
            }
            watch.see(event)
        })?;
        let outline = history.outline()?;
        let began = outline.admitted() > 0;
        let over = began && outline.is_over(history.basis());
        let before_or_now = before.unwrap_or(watch.spent);
        Ok(EarlierRun { watch, began, over, own: before.is_some(), before: before_or_now })
    }

    /// Whether the attempt continues it. Otherwise it has compensated all that it did, and the attempt begins another run.
    fn continues(&self) -> bool {
        let state = self.watch.end.as_ref().map(|end| end.state);
        let stays = state == Some(ItemState::CompensationFailed)
            || self.watch.end.as_ref().is_some_and(|end| !end.uncompensated.is_empty());
        self.own || !self.over || state == Some(ItemState::Succeeded) || self.watch.lasts || stays
    }

    /// What `attempt` retries in it.
    pub fn retries(&self, attempt: u32) -> Vec<RetryRequest> {
        if self.own || !self.over {
            return Vec::new();
        }
        let attempt = Some(attempt);
        let once_failed = self.watch.once.as_ref().is_some_and(|end| end.state.is_failure());
        match self.watch.end.as_ref().map(|end| end.state) {
            Some(ItemState::Succeeded) if once_failed => {
                vec![RetryRequest { attempt, ..RetryRequest::of(ItemId::RUN) }]
            }
            Some(ItemState::Succeeded) => Vec::new(),
            // What has to be done before the steps that failed may run again.
            Some(ItemState::CompensationFailed) => vec![RetryRequest::of(ItemId(0))],
            _ => vec![RetryRequest { attempt, ..RetryRequest::of(ItemId(0)) }],
        }
    }

    /// Whether the end that follows without these retries is that of an earlier attempt.
    pub fn lags(&self) -> bool {
        let failed = self.watch.end.as_ref().map(|end| end.state) == Some(ItemState::CompensationFailed);
        !self.own && self.began && (!self.over || failed)
    }
}

/// The attempt that has begun the run in which this attempt works: itself, unless it continues that of an earlier one.
///
/// # Errors
/// The journal of an earlier run is damaged.
pub fn began_by(call: &Call) -> anyhow::Result<u32> {
    let context = &call.context;
    let runs = runtime::nested_runs(&call.home, &call.place.0, &context.step).into_iter();
    let own = runs.filter(|run| run.element == context.element && run.attempt <= context.attempt);
    let last = own.rev().find(|run| journal::is_there(&run.home));
    let Some(run) = last.filter(|run| run.attempt != context.attempt) else { return Ok(context.attempt) };
    let (header, records) = journal::read(&run.home)?;
    let name = runtime::attempt_name(&context.step, run.element, run.attempt);
    if header.run != run_id(&context.idempotency_key, &name) {
        return Ok(context.attempt);
    }
    let history = History::of(&run.home, header, records)?;
    let earlier = EarlierRun::of(&history, run.attempt, context.attempt)?;
    Ok(if earlier.continues() { run.attempt } else { context.attempt })
}

/// The id of the run of an attempt with this name, for a step with this idempotency key.
pub fn run_id(key: &str, attempt: &str) -> String {
    blake3::hash(format!("{key} {attempt}").as_bytes()).to_hex()[..32].to_owned()
}
