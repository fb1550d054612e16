//! Failed items by cause, each with what its first item was given, logged and compensated.

use super::data::{PageCause, PageText};
use super::details::{KnownDetails, number};
use super::moments::Moments;
use crate::adapter::redact::Redactor;
use crate::diag::render::visible;
use crate::event::{ItemError, ItemId, Settlement};
use crate::graph::Graph;
use crate::view::causes::Causes;
use std::collections::BTreeMap;

/// The most causes of a page, and the most of their items that are linked.
const CAUSES: usize = 50;
const ITEMS: usize = 5;

/// The causes, the most frequent first; each item gets the index of its own.
pub fn of(
    graph: &Graph,
    failed: &BTreeMap<ItemId, Settlement>,
    details: &KnownDetails,
    redactor: &Redactor,
    moments: &mut Moments,
) -> Vec<PageCause> {
    let mut causes = Causes::default();
    // What is known of each besides, by its place, its items, and the messages of those that are linked.
    let mut abouts: Vec<(PageCause, Vec<i64>, Vec<String>)> = Vec::new();
    for (item, end) in failed {
        let unknown = ItemError { step: None, message: String::new(), code: None, attempts: 0 };
        let error = end.error.as_ref().or(end.uncompensated.first()).unwrap_or(&unknown);
        let shown = |text: &str| {
            let mut text = text.to_owned();
            redactor.shown_text(*item, &mut text);
            visible(&text)
        };
        let known = number(*item);
        let key = usize::try_from(known).ok().and_then(|at| moments.items.keys.get(at));
        let (key, message) = (key.map_or("run", String::as_str), shown(&error.message));
        let code = error.code.as_deref().map(shown);
        let title = |step: &ItemError| step.step.map(|step| visible(&graph.step(step).title));
        let place = causes.add(title(error).as_deref(), key, &message, code.as_deref());
        if abouts.len() <= place {
            let step = error.step.map(|step| step.index());
            let (given, log) = step.map(|step| details.last(*item, step)).unwrap_or_default();
            let given = given.into_iter().map(|given| PageText {
                html: None,
                text: shown_lines(&given.text, redactor, *item),
                ..given
            });
            let left = end.uncompensated.iter();
            let left =
                left.map(|error| format!("{}: {}", title(error).unwrap_or_default(), shown(&error.message)));
            let about = PageCause {
                step,
                log: log.iter().map(|line| shown(line)).collect(),
                given: given.collect(),
                compensated: moments.compensated(graph, known),
                uncompensated: left.collect(),
                ..PageCause::default()
            };
            abouts.push((about, Vec::new(), Vec::new()));
        }
        let (_, items, messages) = &mut abouts[place];
        items.push(known);
        if messages.len() < ITEMS {
            messages.push(message);
        }
    }
    let sorted = causes.sorted().into_iter().take(CAUSES);
    let all = sorted.zip(0..).map(|((place, cause), index)| {
        let (about, items, mut messages) = std::mem::take(&mut abouts[place]);
        if messages.iter().all(|message| *message == messages[0]) {
            messages.clear();
        }
        for item in &items {
            if let Some(known) = usize::try_from(*item).ok().and_then(|at| moments.items.cause.get_mut(at)) {
                *known = index;
            }
        }
        PageCause {
            code: cause.code.clone(),
            message: cause.message.clone(),
            count: cause.count,
            messages,
            items: items.into_iter().take(ITEMS).collect(),
            keys: cause.keys.clone(),
            ..about
        }
    });
    all.collect()
}

fn shown_lines(text: &str, redactor: &Redactor, item: ItemId) -> String {
    let mut text = text.to_owned();
    redactor.shown_text(item, &mut text);
    text
}
