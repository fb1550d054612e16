//! What the page of a run shows, as data: the page's script reads it as JSON, and the templates read it directly. Arrays
//! are by column, so that runs of many items stay small. Items go by their number of admission; -1 is the run itself,
//! where steps run once after all items.

use super::compare::Compared;
use super::files::PageFile;
use super::past::PastRun;
use super::rail::Rail;
use crate::diag::render::visible;
use crate::graph::Graph;
use crate::history::{Counts, History, State};
use crate::runtime::OpenQuestion;
use crate::stats::{Stats, Verdict};
use crate::value::Value;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A run at a moment.
#[derive(Serialize)]
pub struct PageData {
    pub run: PageRun,
    pub steps: Vec<PageStep>,
    pub values: Vec<PageValue>,
    pub items: PageItems,
    pub attempts: PageAttempts,
    pub ends: PageEnds,
    pub waits: PageWaits,
    pub gates: Vec<PageGate>,
    pub awaits: Vec<PageAwait>,
    /// What its agents ask, if it is active; the script needs the ids, items and steps.
    #[serde(serialize_with = "asked")]
    pub questions: Vec<OpenQuestion>,
    /// Events that channels did not accept: the channel and the reason.
    #[serde(skip)]
    pub unpublished: Vec<(String, String)>,
    pub causes: Vec<PageCause>,
    /// Values, logs and messages of items, as far as they fit; by item.
    pub details: BTreeMap<i64, Value>,
    /// The number of the last part of a log, after which the others follow.
    pub logs: i64,
    /// What was left out because the page would be too large.
    pub cut: Vec<String>,
    pub rail: Rail,
    /// Earlier runs of the same document, the oldest first.
    #[serde(skip)]
    pub past: Vec<PastRun>,
    /// Runs that it can be compared with, the oldest first.
    #[serde(skip)]
    pub others: Vec<OtherRun>,
    /// What was changed since the last run without a failure.
    #[serde(skip)]
    pub changed: Option<String>,
    /// The run beside another one.
    #[serde(skip)]
    pub compared: Option<Compared>,
    #[serde(skip)]
    pub graph: Arc<Graph>,
    #[serde(skip)]
    pub document: String,
    #[serde(skip)]
    pub stats: Stats,
    #[serde(skip)]
    pub verdicts: Vec<Verdict>,
}

fn asked<S: Serializer>(questions: &[OpenQuestion], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(questions.iter().map(|one| [&one.id, &one.item, &one.step].map(|text| visible(text))))
}

impl PageData {
    /// Adds earlier runs of the same document, the oldest first, and the one that it is compared with.
    pub fn compare(&mut self, history: &History, past: Vec<PastRun>, compared: Option<Compared>) {
        self.changed = past.iter().rev().find(|run| run.good).map(|run| {
            let changed = run.changed(history);
            match changed.len() {
                0 if run.has_agents() => {
                    format!(
                        "no step and no agent was changed since {}, the last run without a failure",
                        run.name
                    )
                }
                0 => format!("no step was changed since {}, the last run without a failure", run.name),
                _ => format!(
                    "changed since {}, the last run without a failure: {}",
                    run.name,
                    changed.join(", ")
                ),
            }
        });
        let other =
            |run: &PastRun| OtherRun { name: run.name.clone(), started: run.started.clone(), good: run.good };
        self.others = past.iter().map(other).collect();
        self.past = past;
        self.compared = compared;
    }
}

/// A run that the page can be compared with.
#[derive(Clone, Debug)]
pub struct OtherRun {
    pub name: String,
    /// RFC 3339.
    pub started: String,
    /// Whether it is known to have ended without a failure.
    pub good: bool,
}

/// The run as a whole.
#[derive(Serialize)]
pub struct PageRun {
    pub id: String,
    /// What commands call it.
    pub name: String,
    pub workflow: String,
    /// The path of its document.
    pub path: String,
    /// RFC 3339.
    pub started: String,
    pub state: &'static str,
    #[serde(skip)]
    pub status: State,
    /// Whether a process runs it.
    pub live: bool,
    pub counts: Counts,
    /// The time of the last event, in milliseconds since the run began.
    pub end: u64,
    /// The time now if it is active, else that of the last event.
    pub now: u64,
    pub events: u64,
    pub tokens: u64,
    /// Such as `$0.03`; `None` if nothing has a price.
    pub cost: Option<String>,
    /// Whether commands may name several items.
    pub single: bool,
}

/// A step as the script needs it.
#[derive(Serialize)]
pub struct PageStep {
    pub title: String,
    pub phase: String,
    pub kind: &'static str,
    pub who: String,
    pub once: bool,
    pub each: bool,
    /// The step that compensates it, by index.
    pub compensation: Option<usize>,
    /// The steps that it compensates.
    pub compensates: Vec<usize>,
    pub takes: Vec<PageInput>,
    /// Values that it makes.
    pub makes: Vec<usize>,
    /// Steps that end before it begins.
    pub needs: Vec<usize>,
}

/// A value that a step takes.
#[derive(Serialize)]
pub struct PageInput {
    pub value: usize,
    pub optional: bool,
    /// The steps that make it.
    pub from: Vec<usize>,
}

/// A value that flows in the workflow.
#[derive(Serialize)]
pub struct PageValue {
    pub name: String,
    #[serde(rename = "type")]
    pub ty: Option<String>,
}

/// Keys, and every change of an item's state in the order of time.
#[derive(Default, Serialize)]
pub struct PageItems {
    pub keys: Vec<String>,
    /// For a failed item the index of its cause, else -1.
    pub cause: Vec<i64>,
    /// Times, items, states: 0 in flight, then those of [`crate::event::ItemState::ALL`] from 1.
    pub at: Vec<u64>,
    pub item: Vec<i64>,
    pub state: Vec<u8>,
}

/// All attempts in the order in which they began.
#[derive(Default, Serialize)]
pub struct PageAttempts {
    pub item: Vec<i64>,
    pub step: Vec<u32>,
    /// The place of the element in its list, else -1.
    pub element: Vec<i64>,
    pub number: Vec<u32>,
    pub began: Vec<u64>,
    /// -1 while it runs.
    pub ended: Vec<i64>,
    /// 0 running, 1 success, 2 failed, 3 stopped, 4 its end was not seen.
    pub outcome: Vec<u8>,
    pub tokens: Vec<u64>,
    pub dollars: Vec<f64>,
}

/// All ends of executions in the order of time.
#[derive(Default, Serialize)]
pub struct PageEnds {
    pub at: Vec<u64>,
    pub item: Vec<i64>,
    pub step: Vec<u32>,
    pub element: Vec<i64>,
    /// Index into [`crate::event::Status::ALL`].
    pub status: Vec<u8>,
    pub attempts: Vec<u32>,
    /// In milliseconds, -1 if unknown.
    pub took: Vec<f64>,
}

/// All waits in the order in which they began.
#[derive(Default, Serialize)]
pub struct PageWaits {
    pub item: Vec<i64>,
    pub step: Vec<u32>,
    pub began: Vec<u64>,
    /// -1 while it lasts.
    pub ended: Vec<i64>,
    /// 0 for the next attempt, 1 for a person, 2 for an event, 3 for the next round, 5 within the document of the step.
    pub why: Vec<u8>,
}

/// A gate that an item has reached.
#[derive(Clone, Serialize)]
pub struct PageGate {
    pub item: i64,
    pub key: String,
    /// The first step behind it, by index.
    pub step: usize,
    /// What it is before: a step or a group.
    pub title: String,
    pub question: String,
    /// Who may approve.
    pub by: Option<String>,
    /// When the item reached it, by the clock.
    pub since: String,
    pub until: Option<String>,
    pub at: u64,
    pub ended: Option<u64>,
    /// `waiting`, `approved`, `rejected`, `expired` or `left`.
    pub state: &'static str,
    pub said: Option<String>,
    /// The values that the step gets.
    pub given: Vec<PageText>,
    /// What is compensated if it is rejected.
    pub compensated: Vec<String>,
}

/// A step that waits for an event.
#[derive(Clone, Serialize)]
pub struct PageAwait {
    pub item: i64,
    pub key: String,
    pub step: usize,
    /// What is before the event, if it is in a document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub event: String,
    pub subject: String,
    pub since: String,
}

/// Failed items with the same cause.
#[derive(Default, Serialize)]
pub struct PageCause {
    /// The step that failed; `None` if the item's deadline passed.
    pub step: Option<usize>,
    pub code: Option<String>,
    pub message: String,
    pub count: u64,
    /// Some of the items.
    pub items: Vec<i64>,
    pub keys: Vec<String>,
    /// What each of them says, if that differs.
    #[serde(skip)]
    pub messages: Vec<String>,
    /// The first item's last log lines, what the step was given, and what was compensated.
    pub log: Vec<String>,
    pub given: Vec<PageText>,
    pub compensated: Vec<String>,
    /// Effects that remain.
    pub uncompensated: Vec<String>,
}

/// A value as text.
#[derive(Clone, Default, Serialize)]
pub struct PageText {
    pub name: String,
    /// A text as it is, everything else as JSON.
    pub text: String,
    /// Whether it is JSON.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub json: bool,
    /// The whole size in bytes, if it was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<usize>,
    /// Its files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PageFile>,
    /// A text that is markdown, rendered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}
