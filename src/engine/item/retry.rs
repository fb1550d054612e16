//! Whether a failed attempt is followed by another, and when. Changes nothing; knows neither the limits nor the other items.

use super::super::backoff::{asked_pause, pause};
use super::super::unavailable::Bounds;
use super::state::Attempts;
use super::{Item, Stage, is_unstoppable};
use crate::event::{Cause, Failure, Millis, StepPath, StopReason};
use crate::graph::{Graph, Kind};
use crate::value::words;
use std::time::Duration;

/// What follows a failed attempt.
pub(super) enum Retried {
    /// Another one, at this time.
    At(Millis),
    /// There would be another one, but for this reason.
    Prevented(String),
    /// There would be another one, but a budget is spent.
    Spent(String),
    Never,
}

impl Item {
    /// What follows the failure of these attempts, the last of which was perhaps asked to stop.
    pub(super) fn retry(
        &self,
        graph: &Graph,
        bounds: &Bounds,
        path: StepPath,
        (attempts, failure, stop): (&Attempts, &Failure, Option<StopReason>),
        now: Millis,
    ) -> Retried {
        let retryable = match stop {
            None => failure.retryable,
            // A truncated answer does not decide about retries; a complete one does.
            Some(StopReason::Timeout) => failure.retryable || failure.cause == Cause::BadOutput,
            Some(_) => false,
        };
        let stops = self.stop.is_some_and(|why| !is_unstoppable(graph, path.step, why));
        if !retryable || failure.is_unavailable() || stops {
            return Retried::Never;
        }
        let Some(backoff) = pause(graph.step(path.step).retry.as_ref(), self.id, path, attempts.tries) else {
            return Retried::Never;
        };
        if let Some(unavailable) = bounds.unavailable.of(graph, path.step) {
            return Retried::Prevented(unavailable.why(graph));
        }
        if let Some(spent) = self.spent_budget(graph, &bounds.spent, path) {
            return Retried::Spent(spent.why(graph));
        }
        // What still runs after the run's deadline.
        let lasts = graph.step(path.step).kind == Kind::Compensation || graph.step(path.step).always;
        let asked = asked_pause(failure);
        let due = now.saturating_add(backoff.max(asked));
        let deadlines = [
            (self.own_deadline(graph, path.step, attempts), "step"),
            (self.group_deadline(graph, path.step), "group"),
            (self.forward_deadline(graph, path), "item"),
            (bounds.until.filter(|_| !lasts), "run"),
        ];
        let deadlines = deadlines.into_iter().filter_map(|(deadline, of)| Some((deadline?, of)));
        match deadlines.filter(|(deadline, _)| *deadline <= due).min_by_key(|(deadline, _)| *deadline) {
            None => Retried::At(due),
            Some((_, of)) if asked > backoff => {
                let asked = words::duration(Duration::from_millis(asked));
                Retried::Prevented(format!(
                    "the agent asks for a pause of {asked}, and the {of}'s deadline is earlier"
                ))
            }
            Some((_, of)) => {
                let backoff = words::duration(Duration::from_millis(backoff));
                Retried::Prevented(format!("the backoff is {backoff}, and the {of}'s deadline is earlier"))
            }
        }
    }

    /// When the item's deadline ends a forward step of it.
    fn forward_deadline(&self, graph: &Graph, path: StepPath) -> Option<Millis> {
        let forward = self.stage == Stage::Forward && graph.step(path.step).kind == Kind::Forward;
        self.due(graph).filter(|_| forward)
    }
}
