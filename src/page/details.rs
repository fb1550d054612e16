//! What single items took, made and reported, as far as a page has room for it. Failed items come first.

use super::data::PageText;
use super::document::rendered;
use super::files::FileReader;
use super::inner::{InnerPage, InnerReader};
use crate::adapter::redact::Redactor;
use crate::diag::render::{visible, visible_json};
use crate::engine::{Run, is_lost};
use crate::event::{Answer, Failure, ItemId, Outcome, StepId, StepPath, StopReason, Values};
use crate::graph::Graph;
use crate::journal::Message;
use crate::journal::logs::LogPart;
use crate::runtime::keys_of;
use crate::value::{Type, Value, words};
use crate::view::presentable;
use anstream::adapter::strip_str;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

/// The most characters of a value and of a log that a page shows.
const VALUE: usize = 2000;
const LOG: usize = 8000;

/// How many bytes all details of failed and open items may take, those of the others, those of conversations, and logs.
const FAILED: usize = 6 << 20;
const OTHERS: usize = 3 << 20;
const MESSAGES: usize = 3 << 20;
const LOGS: usize = 3 << 20;

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
    #[serde(skip)]
    key: String,
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
    /// The end of what it logged.
    #[serde(skip_serializing_if = "String::is_empty")]
    log: String,
    /// The run of the document of its step.
    #[serde(skip_serializing_if = "Option::is_none")]
    ran: Option<InnerPage>,
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
    pub fn begin(&mut self, item: ItemId, key: &str, inputs: Option<&Values>, shown: &Shown<'_>) {
        let failed = self.failed.remove(&item);
        self.failed_size -= failed.as_ref().map_or(0, |known| known.size);
        let other = self.others.remove(&item);
        self.others_size -= other.as_ref().map_or(0, |known| known.size);
        let mut detail = failed.or(other).unwrap_or_default();
        if let Some(inputs) = inputs {
            detail.inputs = shown.values(item, inputs);
            detail.size += detail.inputs.iter().map(size).sum::<usize>();
        }
        key.clone_into(&mut detail.key);
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
        let key = self.open.get(&item).map(|detail| detail.key.clone()).unwrap_or_default();
        let Some(attempt) = self.attempt(item, path, number) else { return };
        let (outputs, reported) = match answer {
            Ok(reply) => (shown.with_files(item, &key, &reply.outputs), &reply.columns),
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
        KnownDetails {
            items: self.failed,
            left_out: self.left_out,
            messages: 0,
            silent: 0,
            logged: 0,
            unlogged: 0,
        }
    }
}

/// The details that a page shows.
pub struct KnownDetails {
    items: BTreeMap<ItemId, ItemDetail>,
    pub left_out: u64,
    messages: usize,
    /// Messages without room.
    pub silent: u64,
    logged: usize,
    /// Parts of logs without room.
    pub unlogged: u64,
}

impl KnownDetails {
    /// Adds a message to its attempt.
    pub fn hear(&mut self, message: &Message) {
        let Some(attempt) = attempt(&mut self.items, message.item, message.step, message.attempt) else {
            return;
        };
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

    /// Adds a part of a log to its attempt at this step.
    pub fn log(&mut self, part: &LogPart, step: u32) {
        let path = StepPath { step: StepId(step), element: part.element };
        let Some(attempt) = attempt(&mut self.items, ItemId(part.item), path, part.attempt) else { return };
        let before = attempt.log.len();
        if self.logged + part.text.len() > LOGS {
            self.unlogged += 1;
            return;
        }
        if part.left_out > 0 {
            attempt.log.push_str(&format!("[… {} are not stored …]\n", words::count(part.left_out, "byte")));
        }
        attempt.log.push_str(&part.text);
        if attempt.log.len() > 2 * LOG {
            attempt.log = end_of(&attempt.log).to_owned();
        }
        self.logged = (self.logged + attempt.log.len()).saturating_sub(before);
    }

    /// Adds the runs of documents, those of failed attempts and those under way first.
    pub fn look_inside(&mut self, graph: &Graph, reader: &mut InnerReader<'_>) {
        for done in [false, true] {
            for (item, detail) in &mut self.items {
                for attempt in &mut detail.attempts {
                    let Some(step) = graph.steps.get(attempt.step as usize) else { continue };
                    let is_done = attempt.error.is_none() && !attempt.outputs.is_empty();
                    if step.document.is_none() || step.revokes || is_done != done {
                        continue;
                    }
                    let element = u32::try_from(attempt.element).ok();
                    let path = StepPath { step: StepId(attempt.step), element };
                    attempt.ran = reader.read((*item, &detail.key), &step.phase, path, attempt.number);
                }
            }
        }
    }

    /// All as JSON without secrets, by item.
    pub fn json(self, redactor: &Redactor) -> BTreeMap<i64, Value> {
        let shown = self.items.into_iter().map(|(item, mut detail)| {
            for attempt in &mut detail.attempts {
                attempt.log = lines(&strip_str(end_of(&attempt.log)).to_string());
                // The stored log has its end, too.
                if let Some(error) = attempt.error.as_mut().filter(|_| !attempt.log.is_empty()) {
                    error.log.clear();
                }
            }
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
        let log = if log.is_empty() { &last.log } else { log };
        let inner = last.ran.as_ref().map_or("", InnerPage::log);
        let log = if log.is_empty() { inner } else { log };
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.len().saturating_sub(6);
        (last.inputs.clone(), lines[tail..].iter().map(|line| strip_str(line).to_string()).collect())
    }
}

/// An item's number on the page.
pub fn number(item: ItemId) -> i64 {
    if item == ItemId::RUN { -1 } else { i64::try_from(item.0).unwrap_or(i64::MAX) }
}

/// How values become texts.
pub struct Shown<'a> {
    pub files: FileReader,
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

    /// The same with the files of each.
    pub fn with_files(&self, item: ItemId, key: &str, values: &Values) -> Vec<PageText> {
        let mut shown = self.values(item, values);
        for (text, (id, value)) in shown.iter_mut().zip(values) {
            if self.graph.value(*id).ty.as_ref().is_some_and(Type::holds_files) {
                text.files = self.files.of(item, key, value, self.redactor);
            }
        }
        shown
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
        PageText { name: visible(name), text, json, cut: whole, html, files: Vec::new() }
    }

    fn error(&self, item: ItemId, failure: &Failure) -> ErrorDetail {
        let mut log = failure.log.clone();
        self.redactor.shown_text(item, &mut log);
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
            log: lines(end_of(&log)),
        }
    }
}

/// The last attempt with this number.
fn attempt(
    items: &mut BTreeMap<ItemId, ItemDetail>,
    item: ItemId,
    path: StepPath,
    number: u32,
) -> Option<&mut AttemptDetail> {
    let wanted = (path.step.0, path.element.map_or(-1, i64::from), number);
    let mut all = items.get_mut(&item)?.attempts.iter_mut().rev();
    all.find(|one| (one.step, one.element, one.number) == wanted)
}

/// The last characters of a log.
pub fn end_of(log: &str) -> &str {
    let from = log.len().saturating_sub(LOG);
    let from = (from..=log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(0);
    &log[from..]
}

fn size(text: &PageText) -> usize {
    let files = text.files.iter().map(|file| file.text.as_ref().map_or(0, String::len) + 80).sum::<usize>();
    text.name.len() + text.text.len() + text.html.as_ref().map_or(0, String::len) + files + 40
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
