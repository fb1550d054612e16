//! The events of an item: since when a step waits, or which it has taken; and those of a run that no step has taken.

use super::super::run::{signal_text, unpublished_json};
use crate::diag::render::visible;
use crate::event::{EventKind, StepEvent, StepId, UnixMillis};
use crate::graph::Graph;
use crate::history::{EventLog, UntakenEvent};
use crate::runtime::clock;
use crate::value::Value;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most events that no step has taken that are shown.
const SHOWN: usize = 10;

/// A step that waits for an event, or has waited for one.
pub(super) struct StoryAwait {
    pub step: StepId,
    pub subject: Arc<str>,
    pub since: UnixMillis,
    pub outcome: StoryAwaitOutcome,
}

pub(super) enum StoryAwaitOutcome {
    Waiting,
    /// The id of the event, and when it was taken.
    Taken(String, UnixMillis),
    Expired,
    /// It was stopped before.
    Left,
}

impl StoryAwait {
    /// Takes an event of the item; `id` is that of the event that a step takes.
    pub fn see(all: &mut Vec<StoryAwait>, kind: &EventKind, id: impl Fn(u64) -> String) {
        let EventKind::Step(_, change) = kind else { return };
        let mut set = |step: StepId, outcome: StoryAwaitOutcome| {
            let open = all.iter_mut().rev().find(|known| known.step == step);
            if let Some(known) = open.filter(|known| matches!(known.outcome, StoryAwaitOutcome::Waiting)) {
                known.outcome = outcome;
            }
        };
        match change {
            StepEvent::AwaitBegan { step, subject, since } => {
                // A step that waits for another event now was corrected.
                all.retain(|known| known.step != *step || !known.waits());
                all.push(StoryAwait {
                    step: *step,
                    subject: subject.clone(),
                    since: *since,
                    outcome: StoryAwaitOutcome::Waiting,
                });
            }
            StepEvent::EventTaken { step, event, at } => {
                set(*step, StoryAwaitOutcome::Taken(id(*event), *at))
            }
            StepEvent::AwaitExpired(step) => set(*step, StoryAwaitOutcome::Expired),
            StepEvent::Ended(execution) => set(execution.step, StoryAwaitOutcome::Left),
            StepEvent::ConditionHeld(_) | StepEvent::BranchTaken { .. } | StepEvent::ElementsEnded(_) => {}
        }
    }

    /// Whether it still waits.
    pub fn waits(&self) -> bool {
        matches!(self.outcome, StoryAwaitOutcome::Waiting)
    }

    fn kind<'a>(&self, graph: &'a Graph) -> &'a str {
        graph.step(self.step).awaits.as_ref().map_or("", |awaits| &awaits.event)
    }

    pub fn json(&self, graph: &Graph) -> Value {
        let (state, id, at) = match &self.outcome {
            StoryAwaitOutcome::Waiting => ("waiting", None, None),
            StoryAwaitOutcome::Taken(id, at) => ("taken", Some(id), Some(clock(*at))),
            StoryAwaitOutcome::Expired => ("expired", None, None),
            StoryAwaitOutcome::Left => ("left", None, None),
        };
        json!({
            "step": graph.step(self.step).title,
            "type": self.kind(graph),
            "subject": &*self.subject,
            "since": clock(self.since),
            "state": state,
            "id": id,
            "at": at,
        })
    }

    pub fn text(&self, out: &mut String, graph: &Graph) {
        let (kind, title) = (visible(self.kind(graph)), visible(&graph.step(self.step).title));
        let how = match &self.outcome {
            StoryAwaitOutcome::Waiting => format!("waits since {}", clock(self.since)),
            StoryAwaitOutcome::Taken(id, at) => format!("{} at {}", visible(id), clock(*at)),
            StoryAwaitOutcome::Expired => {
                format!("did not come in time; it waited since {}", clock(self.since))
            }
            StoryAwaitOutcome::Left => format!("did not come; it waited since {}", clock(self.since)),
        };
        out.push_str(&format!("  {kind} for {title}: {how}\n"));
    }
}

/// The lines of a run about events: what is awaited, and what no step has taken.
pub(super) fn lines(log: &EventLog, graph: &Graph, name: &str) -> String {
    let mut out = String::new();
    let mut steps: BTreeMap<StepId, (&str, u64)> = BTreeMap::new();
    for one in log.awaiting.iter().filter(|one| one.stored.is_some()).take(SHOWN) {
        let step = graph.step(one.step);
        let kind = step.awaits.as_ref().map_or("", |awaits| &awaits.event);
        let [kind, subject, title, run] = [kind, &*one.subject, &*step.title, name].map(visible);
        out.push_str(&format!(
            "{:<10} {kind} for {subject} has come, and {title} takes it: continue with orderflow resume {run}\n",
            "stored"
        ));
    }
    for one in log.awaiting.iter().filter(|one| one.stored.is_none()) {
        steps.entry(one.step).or_insert((&one.subject, 0)).1 += 1;
    }
    for (id, (subject, _)) in steps {
        let step = graph.step(id);
        let Some(awaits) = &step.awaits else { continue };
        let (kind, title) = (visible(&awaits.event), visible(&step.title));
        let command = signal_text(&awaits.event, subject, name);
        out.push_str(&format!("{:<10} for {kind} before {title}: {command}\n", "waits"));
    }
    for one in log.untaken.iter().take(SHOWN) {
        let UntakenEvent { id, kind, subject, why } = one;
        let [id, kind, subject, why] = [id, kind, subject, why].map(|text| visible(text));
        out.push_str(&format!("{:<10} {kind} for {subject} was not taken: {why} ({id})\n", "event"));
    }
    for (channel, id, why) in log.unpublished.iter().take(SHOWN) {
        let [channel, id, why] = [&**channel, id, why].map(visible);
        out.push_str(&format!("{:<10} not published to {channel}: {why} ({id})\n", "event"));
    }
    let more = log.unpublished.len().saturating_sub(SHOWN);
    if more > 0 {
        out.push_str(&format!("{:<10} … and {more} more were not published\n", "event"));
    }
    let more = log.untaken.len().saturating_sub(SHOWN);
    if more > 0 {
        out.push_str(&format!("{:<10} … and {more} more were not taken\n", "event"));
    }
    out
}

/// `{received, untaken: [{id, type, subject, why}], unpublished: [{channel, id, why}]}`.
pub(super) fn json(log: &EventLog) -> Value {
    let untaken = log
        .untaken
        .iter()
        .map(|one| json!({"id": one.id, "type": one.kind, "subject": one.subject, "why": one.why}));
    let unpublished = log.unpublished.iter();
    let unpublished = unpublished.map(|(channel, id, why)| unpublished_json(channel, id, why));
    json!({
        "received": log.received,
        "untaken": untaken.collect::<Vec<_>>(),
        "unpublished": unpublished.collect::<Vec<_>>(),
    })
}
