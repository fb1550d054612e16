//! The failures of a run by cause, each with the last lines of a log and what came of the effects.

use super::super::format::TableFormat;
use super::super::report;
use super::super::run::{by_cause, word};
use super::super::runs::find;
use super::super::terminal::Terminal;
use crate::adapter::redact::Redactor;
use crate::diag::render::{visible, visible_json};
use crate::event::{AttemptEvent, EventKind, ItemEvent, ItemId, ItemState, RunEvent, Settlement};
use crate::graph::StepId;
use crate::history::History;
use crate::view::causes::Causes;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};

/// The most lines of a log that are shown.
const LINES: usize = 10;

/// What is known of a cause besides its message.
#[derive(Default)]
struct About {
    /// The end of the log of its first item.
    log: String,
    /// How its items ended.
    states: BTreeMap<&'static str, u64>,
    /// Why a compensation failed, of the first item.
    uncompensated: Vec<String>,
}

#[derive(Default)]
struct Failed {
    causes: Causes,
    abouts: Vec<About>,
    /// The ends of logs of failed attempts, of items in flight.
    logs: HashMap<ItemId, Vec<(StepId, String)>>,
}

/// Shows the failures of a run.
///
/// # Errors
/// The journal cannot be read.
pub fn show(history: &History, format: TableFormat, terminal: &mut Terminal) -> anyhow::Result<()> {
    let graph = &history.graph;
    let title = |step: StepId| graph.step(step).title.clone();
    let redactor = Redactor::default().of_values(graph.secrets());
    let mut failed = Failed::default();
    history.replay(|event| {
        redactor.learn(event);
        match &event.kind {
            EventKind::Attempt(item, step, _, AttemptEvent::Finished(Err(failure))) => {
                let logs = failed.logs.entry(*item).or_default();
                logs.retain(|(id, _)| *id != step.step);
                logs.push((step.step, failure.log.clone()));
            }
            EventKind::Item(item, ItemEvent::Settled { key, end }) => {
                failed.settle((*item, key), end, &redactor, title);
            }
            EventKind::Run(RunEvent::StepsEnded(end)) => {
                failed.settle((ItemId::RUN, "the steps for all items"), end, &redactor, title);
            }
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
        Ok(())
    })?;
    let sorted = failed.causes.sorted();
    let all = sorted.into_iter().filter_map(|(place, cause)| Some((cause, failed.abouts.get(place)?)));
    if format == TableFormat::Json {
        let causes = all.map(|(cause, about)| {
            json!({
                "step": cause.step, "message": cause.message, "count": cause.count, "items": cause.keys,
                "states": about.states, "uncompensated": about.uncompensated, "log": about.log,
            })
        });
        let causes = serde_json::Value::Array(causes.collect());
        terminal.data(&(visible_json(&serde_json::to_string_pretty(&causes)?) + "\n"));
        return Ok(());
    }
    let run = word(&find::called(history.home())?);
    let mut text = String::new();
    for (cause, about) in all {
        if !text.is_empty() {
            text.push('\n');
        }
        let lines = by_cause(cause);
        text.extend(lines.lines().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))));
        let lines: Vec<&str> = about.log.lines().collect();
        for line in &lines[lines.len().saturating_sub(LINES)..] {
            text.push_str(&format!("  | {}\n", visible(line)));
        }
        let states = about.states.iter().filter(|(state, _)| **state != ItemState::Failed.name());
        let states: Vec<String> =
            states.map(|(state, count)| format!("{count} {}", state.replace('_', " "))).collect();
        if !states.is_empty() {
            text.push_str(&format!("  {}\n", states.join(", ")));
        }
        for why in &about.uncompensated {
            text.push_str(&format!("  not compensated: {}\n", visible(why)));
        }
        if let Some(key) = cause.keys.first().filter(|_| !about.log.is_empty()) {
            text.push_str(&format!("  orderflow logs {run} --item {}\n", word(key)));
        }
    }
    terminal.data(&text);
    if text.is_empty() {
        terminal.talk("no item of this run failed\n");
    } else if let Some((good, changed)) = report::changed_since_good(history)
        && !changed.is_empty()
    {
        let (good, changed) = (visible(&good), changed.join(", "));
        terminal.talk(&format!("changed since {good}, the last run without a failure: {changed}\n"));
    }
    Ok(())
}

impl Failed {
    fn settle(
        &mut self,
        (item, key): (ItemId, &str),
        end: &Settlement,
        redactor: &Redactor,
        title: impl Fn(StepId) -> String,
    ) {
        let logs = self.logs.remove(&item).unwrap_or_default();
        if !end.state.is_failure() {
            return;
        }
        let step = end.error.as_ref().and_then(|error| error.step);
        let message = end.error.as_ref().map_or_else(String::new, |error| error.message.clone());
        let code = end.error.as_ref().and_then(|error| error.code.as_deref());
        let place = self.causes.add(step.map(&title).as_deref(), key, &message, code);
        if self.abouts.len() <= place {
            let log = logs.into_iter().find(|(id, _)| Some(*id) == step).map(|(_, log)| log);
            let mut log = log.unwrap_or_default();
            redactor.shown_text(item, &mut log);
            let described = |error: &crate::event::ItemError| {
                let step = error.step.map(|step| format!("{}: ", title(step))).unwrap_or_default();
                step + &error.message
            };
            let uncompensated = end.uncompensated.iter().map(described).collect();
            self.abouts.push(About { log, states: BTreeMap::new(), uncompensated });
        }
        if let Some(about) = self.abouts.get_mut(place) {
            *about.states.entry(end.state.name()).or_default() += 1;
        }
    }
}
