//! Failed items, grouped by cause: the same step failed with the same code, or with messages that differ in numbers only.

use super::data::{PageCause, PageText};
use super::details::{KnownDetails, number};
use super::moments::Moments;
use crate::adapter::redact::Redactor;
use crate::diag::render::visible;
use crate::event::{ItemError, ItemId, Settlement};
use crate::graph::Graph;
use std::collections::{BTreeMap, HashMap};

/// The most causes of a page, and the most keys of each.
const CAUSES: usize = 50;
const KEYS: usize = 5;

/// What makes two failures the same.
type CauseKey = (Option<usize>, String);

/// The causes, the most frequent first; each item gets the index of its own.
pub fn of(
    graph: &Graph,
    failed: &BTreeMap<ItemId, Settlement>,
    details: &KnownDetails,
    redactor: &Redactor,
    moments: &mut Moments,
) -> Vec<PageCause> {
    let mut causes: Vec<(PageCause, Vec<i64>)> = Vec::new();
    let mut places: HashMap<CauseKey, usize> = HashMap::new();
    for (item, end) in failed {
        let unknown = ItemError { step: None, message: String::new(), code: None, attempts: 0 };
        let error = end.error.as_ref().or(end.uncompensated.first()).unwrap_or(&unknown);
        let shown = |text: &str| {
            let mut text = text.to_owned();
            redactor.shown_text(*item, &mut text);
            visible(&text)
        };
        let (message, code) = (shown(&error.message), error.code.as_deref().map(shown));
        let step = error.step.map(|step| step.index());
        let same = code.clone().unwrap_or_else(|| without_numbers(&message));
        let place = *places.entry((step, same)).or_insert_with(|| {
            let (given, log) = step.map(|step| details.last(*item, step)).unwrap_or_default();
            let given = given.into_iter().map(|given| PageText {
                html: None,
                text: shown_lines(&given.text, redactor, *item),
                ..given
            });
            let title = |step: &ItemError| step.step.map_or("", |step| &graph.step(step).title);
            let left = end.uncompensated.iter();
            let left = left.map(|error| format!("{}: {}", visible(title(error)), shown(&error.message)));
            let cause = PageCause {
                step,
                code,
                message,
                count: 0,
                items: Vec::new(),
                keys: Vec::new(),
                log: log.iter().map(|line| shown(line)).collect(),
                given: given.collect(),
                compensated: Vec::new(),
                uncompensated: left.collect(),
            };
            causes.push((cause, Vec::new()));
            causes.len() - 1
        });
        let (cause, all) = &mut causes[place];
        cause.count += 1;
        let known = number(*item);
        all.push(known);
        if cause.items.len() < KEYS {
            cause.items.push(known);
            let key = usize::try_from(known).ok().and_then(|at| moments.items.keys.get(at));
            cause.keys.push(key.map_or("run", String::as_str).to_owned());
        }
    }
    causes.sort_by_key(|(cause, all)| (std::cmp::Reverse(cause.count), all.first().copied()));
    causes.truncate(CAUSES);
    for (index, (cause, all)) in causes.iter_mut().enumerate() {
        cause.compensated =
            cause.items.first().map(|item| moments.compensated(graph, *item)).unwrap_or_default();
        for item in all {
            if let Some(known) = usize::try_from(*item).ok().and_then(|at| moments.items.cause.get_mut(at)) {
                *known = index as i64;
            }
        }
    }
    causes.into_iter().map(|(cause, _)| cause).collect()
}

fn shown_lines(text: &str, redactor: &Redactor, item: ItemId) -> String {
    let mut text = text.to_owned();
    redactor.shown_text(item, &mut text);
    text
}

/// A message in which every number is the same.
fn without_numbers(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for c in message.chars() {
        match c.is_ascii_digit() {
            true if out.ends_with('#') => {}
            true => out.push('#'),
            false => out.push(c),
        }
    }
    out
}
