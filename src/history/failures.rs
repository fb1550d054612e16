//! The failed items of a run, and how requests select them.

use super::History;
use super::error::{Error, ErrorKind};
use super::taken::is_cancelled;
use crate::diag::nearest;
use crate::diag::render::visible;
use crate::engine::RetryRequest;
use crate::event::{Event, EventKind, ItemError, ItemEvent, ItemId, ItemState, Millis, RunEvent};
use crate::value::words;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How a failed item ended.
#[derive(Clone, Debug)]
pub struct Failed {
    pub item: ItemId,
    pub state: ItemState,
    pub error: Option<ItemError>,
    /// Its failed compensation was resolved by hand: it is retried only by name.
    pub resolved: bool,
}

/// All failed items of a run.
#[derive(Clone, Debug, Default)]
pub struct Failures {
    /// By key.
    pub items: BTreeMap<Arc<str>, Failed>,
    resolved: BTreeSet<ItemId>,
    /// The time of the run's last event.
    pub last: Millis,
    /// The steps that run once after all items have begun.
    pub once: bool,
    /// How they failed, if they did.
    pub once_failed: Option<ItemState>,
    /// Items with the names of these steps.
    namesakes: BTreeSet<Arc<str>>,
}

/// The names of the steps that run once after all items; the second one if an item has the first.
const RUN: [&str; 2] = ["run", ":run"];

impl Failures {
    pub fn see(&mut self, event: &Event) {
        self.last = self.last.max(event.at);
        match &event.kind {
            EventKind::Run(RunEvent::StepsBegan) => (self.once, self.once_failed) = (true, None),
            EventKind::Run(RunEvent::StepsEnded(end)) => {
                self.once_failed = Some(end.state).filter(|state| state.is_failure());
            }
            EventKind::Item(item, change) => self.see_item(*item, change),
            EventKind::Run(_) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
    }

    fn see_item(&mut self, item: ItemId, change: &ItemEvent) {
        match change {
            ItemEvent::Admitted { key, .. } if RUN.contains(&&**key) => {
                self.namesakes.insert(key.clone());
            }
            ItemEvent::Settled { key, end } if end.state.is_failure() => {
                let resolved = self.resolved.contains(&item);
                let failed = Failed { item, state: end.state, error: end.error.clone(), resolved };
                self.items.insert(key.clone(), failed);
            }
            ItemEvent::Retried { .. } if item == ItemId::RUN => self.once_failed = None,
            ItemEvent::Retried { key, .. } => {
                self.items.remove(key);
                self.resolved.remove(&item);
            }
            ItemEvent::Resolved { .. } => drop(self.resolved.insert(item)),
            ItemEvent::Admitted { .. }
            | ItemEvent::Revoked { .. }
            | ItemEvent::Settled { .. }
            | ItemEvent::DeadlinePassed { .. }
            | ItemEvent::CompensationBegan(_)
            | ItemEvent::Failed
            | ItemEvent::Requeued
            | ItemEvent::GateReached { .. }
            | ItemEvent::Decided { .. }
            | ItemEvent::GateExpired(_)
            | ItemEvent::RoundBegan { .. }
            | ItemEvent::RoundScheduled { .. }
            | ItemEvent::RepeatEnded(_) => {}
        }
    }

    /// Whether these keys, or an empty list without other failures, select the steps that run once after all items.
    fn asks_for_run(&self, keys: &[String]) -> bool {
        let named = match keys {
            [] => self.items.is_empty(),
            keys => keys.iter().all(|key| self.is_run(key)),
        };
        self.once_failed.is_some() && named
    }

    /// Whether the name selects these steps, and not an item.
    pub fn is_run(&self, key: &str) -> bool {
        RUN.contains(&key) && !self.namesakes.contains(key)
    }
}

impl History {
    /// The failures that may be retried.
    ///
    /// # Errors
    /// The run cannot be resumed.
    pub fn retryable(&self) -> anyhow::Result<Failures> {
        let mut failures = self.failures()?.clone();
        if is_cancelled(&self.home) {
            // The compensation of a cancelled run may be retried; its other steps are not.
            failures.items.retain(|_, failed| failed.state == ItemState::CompensationFailed);
            failures.once_failed =
                failures.once_failed.filter(|state| *state == ItemState::CompensationFailed);
            if failures.items.is_empty() && failures.once_failed.is_none() {
                let message =
                    format!("run {} was cancelled and does not continue; nothing was run", self.header().run);
                return Err(Error::new(ErrorKind::Request, message).into());
            }
        }
        Ok(failures)
    }

    /// The retries that these keys select, in the order of admission; all failed items without keys.
    ///
    /// # Errors
    /// The run does not allow a retry, or no failed item has such a key.
    pub fn retries_of(&self, keys: &[String]) -> anyhow::Result<Vec<RetryRequest>> {
        let failures = self.retryable()?;
        if failures.asks_for_run(keys) {
            return Ok(vec![RetryRequest::of(ItemId::RUN)]);
        }
        let mut chosen: Vec<ItemId> = match keys {
            [] => {
                failures.items.values().filter(|failed| !failed.resolved).map(|failed| failed.item).collect()
            }
            keys => {
                let chosen = keys.iter().map(|key| Ok(self.failed(&failures, key)?.item));
                chosen.collect::<anyhow::Result<_>>()?
            }
        };
        chosen.sort_unstable();
        chosen.dedup();
        Ok(chosen.into_iter().map(RetryRequest::of).collect())
    }

    /// The failed item with this key.
    ///
    /// # Errors
    /// It does not exist, or the journal is damaged.
    pub fn failed<'a>(&self, failures: &'a Failures, key: &str) -> anyhow::Result<&'a Failed> {
        if let Some(failed) = failures.items.get(key) {
            return Ok(failed);
        }
        if let Some(fate) = self.fates()?.get(key) {
            let message = format!("item `{}` {fate}; nothing was run", visible(key));
            let help = match key {
                "run" if failures.once => "--item :run names the steps that run once for all items",
                _ => "orderflow show RUN lists the items that have failed",
            };
            return Err(Error::new(ErrorKind::Invalid, message).help(help).into());
        }
        if failures.once && failures.is_run(key) {
            let message = "the steps that run once for all items have not failed; nothing was run";
            let error = Error::new(ErrorKind::Invalid, message);
            return Err(error.help("orderflow show RUN lists what has").into());
        }
        let error =
            Error::new(ErrorKind::Invalid, format!("no item `{}` has failed; nothing was run", visible(key)));
        Err(match nearest(key, failures.items.keys().map(|key| &**key)) {
            Some(near) => error.help(words::did_you_mean(visible(near))),
            None => error.help("orderflow show RUN lists the items that have"),
        }
        .into())
    }

    /// The state of each item, in words, by key. All are in memory.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn fates(&self) -> anyhow::Result<BTreeMap<Arc<str>, &'static str>> {
        let mut fates = BTreeMap::new();
        self.events(|event| {
            match &event.kind {
                EventKind::Item(_, ItemEvent::Admitted { key, .. } | ItemEvent::Retried { key, .. }) => {
                    fates.insert(key.clone(), "is in flight");
                }
                EventKind::Item(_, ItemEvent::Settled { key, end }) => {
                    let fate = match end.state {
                        ItemState::Succeeded => "has succeeded",
                        ItemState::Cancelled => "was cancelled",
                        ItemState::Failed => "has failed",
                        ItemState::Compensated => "has failed and was compensated",
                        ItemState::CompensationFailed => "has failed, and so has its compensation",
                    };
                    fates.insert(key.clone(), fate);
                }
                EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
            }
            Ok(())
        })?;
        Ok(fates)
    }
}
