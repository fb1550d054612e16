//! What single items took, made and reported, as far as a page has room for it. Failed items come first.

use super::data::PageText;
use super::document::rendered;
use crate::adapter::redact::Redactor;
use crate::diag::render::{visible, visible_json};
use crate::engine::{Run, is_lost};
use crate::event::{Answer, Failure, ItemId, Outcome, StepPath, StopReason, Values};
use crate::graph::Graph;
use crate::journal::Message;
use crate::runtime::keys_of;
use crate::value::Value;
use crate::view::presentable;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

/// The most characters of a value and of a log that a page shows.
const VALUE: usize = 2000;
const LOG: usize = 8000;

/// How many bytes all details of failed and open items may take, those of the others, and those of conversations.
const FAILED: usize = 6 << 20;
const OTHERS: usize = 3 << 20;
const MESSAGES: usize = 3 << 20;

/// The overhead of an attempt in bytes, besides its texts.
const EACH: usize = 200;

/// What an item took and made.
#[derive(Default, Serialize)]
pub struct ItemDetail {
    inputs: Vec<PageText>,
    attempts: Vec<AttemptDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved: Option<String>,
    #[serde(skip)]
    size: usize,
}

#[derive(Default, Serialize)]
struct AttemptDetail {
    step: u32,
    element: i64,
    number: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    round: Option<Value>,
    /// The idempotency key of its effect.
    key: String,
    inputs: Vec<PageText>,
    outputs: Vec<PageText>,
    columns: Vec<PageText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorDetail>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<Value>,
}

#[derive(Serialize)]
struct ErrorDetail {
    message: String,
    code: Option<String>,
    outcome: &'static str,
    log: String,
}

/// The details of all items, as far as there is room.
#[derive(Default)]
pub struct Details {
    open: BTreeMap<ItemId, ItemDetail>,
    failed: BTreeMap<ItemId, ItemDetail>,
    others: BTreeMap<ItemId, ItemDetail>,
    failed_size: usize,
    others_size: usize,
    /// Items whose details had no room.
    pub left_out: u64,
}

impl Details {
    /// Begins an item, or continues one that is retried.
    pub fn begin(&mut self, item: ItemId, inputs: Option<&Values>, shown: &Shown<'_>) {
        let failed = self.failed.remove(&item);
        self.failed_size -= failed.as_ref().map_or(0, |known| known.size);
        let other = self.others.remove(&item);
        self.others_size -= other.as_ref().map_or(0, |known| known.size);
        let mut detail = failed.or(other).unwrap_or_default();
        if let Some(inputs) = inputs {
            detail.inputs = shown.values(item, inputs);
            detail.size += detail.inputs.iter().map(size).sum::<usize>();
        }
        self.open.insert(item, detail);
    }

    pub fn resolve(&mut self, item: ItemId, note: &str) {
        if let Some(detail) = self.open.get_mut(&item) {
            detail.resolved = Some(visible(note));
        }
    }

    pub fn started(&mut self, item: ItemId, path: StepPath, number: u32, run: &Run, shown: &Shown<'_>) {
        let Some(detail) = self.open.get_mut(&item) else { return };
        let call = run.call(item, path);
        let inputs = call.as_ref().map(|call| shown.values(item, &call.inputs)).unwrap_or_default();
        let key = call.map(|call| keys_of(shown.run, shown.graph, &call).0).unwrap_or_default();
        detail.size += EACH + inputs.iter().map(size).sum::<usize>();
        detail.attempts.push(AttemptDetail {
            step: path.step.0,
            element: path.element.map_or(-1, i64::from),
            number,
            round: run.round(item, path.step),
            key,
            inputs,
            ..AttemptDetail::default()
        });
    }

    pub fn stopped(&mut self, item: ItemId, path: StepPath, number: u32, why: StopReason) {
        if let Some(attempt) = self.attempt(item, path, number) {
            attempt.stopped = Some(why.to_string());
        }
    }

    pub fn finished(
        &mut self,
        item: ItemId,
        path: StepPath,
        number: u32,
        answer: &Answer,
        shown: &Shown<'_>,
    ) {
        let Some(attempt) = self.attempt(item, path, number) else { return };
        let (outputs, reported) = match answer {
            Ok(reply) => (shown.values(item, &reply.outputs), &reply.columns),
            Err(failure) => {
                attempt.error = Some(shown.error(item, failure));
                (Vec::new(), &failure.columns)
            }
        };
        attempt.outputs = outputs;
        attempt.columns = reported.iter().map(|(name, value)| shown.text(item, name, value)).collect();
        let mut grown: usize = attempt.outputs.iter().chain(&attempt.columns).map(size).sum();
        grown += attempt.error.as_ref().map_or(0, |error| error.log.len() + error.message.len());
        if let Some(detail) = self.open.get_mut(&item) {
            detail.size += grown;
        }
    }

    /// Ends an item: what has no room is dropped.
    pub fn settle(&mut self, item: ItemId, failed: bool) {
        let Some(detail) = self.open.remove(&item) else { return };
        let (kept, sum, most) = match failed {
            true => (&mut self.failed, &mut self.failed_size, FAILED),
            false => (&mut self.others, &mut self.others_size, OTHERS),
        };
        if *sum + detail.size > most {
            self.left_out += 1;
        } else {
            *sum += detail.size;
            kept.insert(item, detail);
        }
    }

    fn attempt(&mut self, item: ItemId, path: StepPath, number: u32) -> Option<&mut AttemptDetail> {
        let element = path.element.map_or(-1, i64::from);
        let all = self.open.get_mut(&item)?.attempts.iter_mut().rev();
        all.into_iter().find(|one| (one.step, one.element, one.number) == (path.step.0, element, number))
    }

    /// Takes the items in flight, too, and leaves all that are shown.
    pub fn close(mut self) -> KnownDetails {
        for (item, detail) in std::mem::take(&mut self.open) {
            if self.failed_size + detail.size > FAILED {
                self.left_out += 1;
            } else {
                self.failed_size += detail.size;
                self.failed.insert(item, detail);
            }
        }
        self.failed.append(&mut self.others);
        KnownDetails { items: self.failed, left_out: self.left_out, messages: 0, silent: 0 }
    }
}

/// The details that a page shows.
pub struct KnownDetails {
    items: BTreeMap<ItemId, ItemDetail>,
    pub left_out: u64,
    messages: usize,
    /// Messages without room.
    pub silent: u64,
}

impl KnownDetails {
    /// Adds a message to its attempt.
    pub fn hear(&mut self, message: &Message) {
        let Some(detail) = self.items.get_mut(&message.item) else { return };
        let element = message.step.element.map_or(-1, i64::from);
        let wanted = (message.step.step.0, element, message.attempt);
        let mut all = detail.attempts.iter_mut().rev();
        let Some(attempt) = all.find(|one| (one.step, one.element, one.number) == wanted) else { return };
        let (text, whole) = cut(&message.text, VALUE * 2);
        self.messages += text.len() + EACH;
        if self.messages > MESSAGES {
            self.silent += 1;
            return;
        }
        attempt.messages.push(json!({
            "at": message.at,
            "role": message.role.to_string(),
            "name": message.name.as_deref().map(visible),
            "text": lines(&text),
            "cut": whole,
        }));
    }

    /// All as JSON without secrets, by item.
    pub fn json(self, redactor: &Redactor) -> BTreeMap<i64, Value> {
        let shown = self.items.into_iter().map(|(item, detail)| {
            let mut json = serde_json::to_value(&detail).unwrap_or_default();
            redactor.shown(item, &mut json);
            (number(item), json)
        });
        shown.collect()
    }

    /// The inputs of the last attempt at a step of an item, and the last lines of its log.
    pub fn last(&self, item: ItemId, step: usize) -> (Vec<PageText>, Vec<String>) {
        let attempts = self.items.get(&item).into_iter().flat_map(|detail| detail.attempts.iter().rev());
        let Some(last) = attempts.into_iter().find(|one| one.step as usize == step) else {
            return Default::default();
        };
        let log = last.error.as_ref().map_or("", |error| &error.log);
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.len().saturating_sub(6);
        (last.inputs.clone(), lines[tail..].iter().map(|line| (*line).to_owned()).collect())
    }
}

/// An item's number on the page.
pub fn number(item: ItemId) -> i64 {
    if item == ItemId::RUN { -1 } else { i64::try_from(item.0).unwrap_or(i64::MAX) }
}

/// How values become texts.
pub struct Shown<'a> {
    pub run: &'a str,
    pub graph: &'a Graph,
    pub redactor: &'a Redactor,
}

impl Shown<'_> {
    pub fn values(&self, item: ItemId, values: &Values) -> Vec<PageText> {
        let name = |id: &crate::event::ValueId| &self.graph.value(*id).name;
        values
            .iter()
            .map(|(id, value)| self.text(item, name(id), &presentable(*id, value, self.graph)))
            .collect()
    }

    fn text(&self, item: ItemId, name: &str, value: &Value) -> PageText {
        let (mut text, json) = match value {
            Value::String(text) => (text.clone(), false),
            other => (serde_json::to_string_pretty(other).unwrap_or_default(), true),
        };
        // Before it is cut, so that no part of a secret remains at the end.
        self.redactor.shown_text(item, &mut text);
        let (text, whole) = cut(&text, VALUE);
        let html = Some(&text).filter(|text| !json && is_markdown(text)).map(|text| rendered(text));
        let text = if json { visible_json(&text) } else { lines(&text) };
        PageText { name: visible(name), text, json, cut: whole, html }
    }

    fn error(&self, item: ItemId, failure: &Failure) -> ErrorDetail {
        let mut log = failure.log.clone();
        self.redactor.shown_text(item, &mut log);
        let from = log.len().saturating_sub(LOG);
        let from = (from..=log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(0);
        ErrorDetail {
            message: if is_lost(failure) {
                "its end was not seen".to_owned()
            } else {
                visible(&failure.message)
            },
            code: failure.code.as_deref().map(visible),
            outcome: match failure.outcome {
                Outcome::Failed => "it had no effect",
                Outcome::NotExecuted => "it never began",
                Outcome::Unknown => "it may have had an effect",
            },
            log: lines(&log[from..]),
        }
    }
}

fn size(text: &PageText) -> usize {
    text.name.len() + text.text.len() + text.html.as_ref().map_or(0, String::len) + 40
}

/// A text of at most so many characters; with the whole size in bytes if it was longer.
fn cut(text: &str, most: usize) -> (String, Option<usize>) {
    match text.char_indices().nth(most) {
        Some((end, _)) => (text[..end].to_owned(), Some(text.len())),
        None => (text.to_owned(), None),
    }
}

/// A text of several lines without the characters that change its direction.
pub fn lines(text: &str) -> String {
    text.split('\n').map(|line| visible(line.trim_end_matches('\r'))).collect::<Vec<_>>().join("\n")
}

/// Whether a text reads better rendered.
fn is_markdown(text: &str) -> bool {
    let marked = |line: &str| line.starts_with("# ") || line.starts_with("## ") || line.starts_with("- ");
    text.contains('\n') && (text.lines().any(marked) || text.contains("**"))
}
