//! The conversations of an item: what its agents were asked and what they answered, attempt by attempt.

use super::super::exit::{Exit, Stop};
use super::super::format::TableFormat;
use super::super::terminal::Terminal;
use crate::adapter::redact::Redactor;
use crate::diag::render::{visible, visible_json};
use crate::event::{ItemId, Millis, Role, StepPath};
use crate::graph::{Graph, StepId};
use crate::history::History;
use crate::journal::Message;
use crate::value::Value;
use crate::view::execution;
use serde_json::json;
use std::collections::HashMap;

/// Which messages to show.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    /// A step's title or its name in traces.
    pub step: Option<&'a str>,
    pub attempt: Option<u32>,
}

/// When and how an attempt has failed, by its number.
pub type Ends = HashMap<(StepPath, u32), (Millis, String)>;

/// Prints the messages as they are read: for people under a line for each attempt, as JSON one a line. The last message
/// of a failed attempt is followed by its end.
///
/// # Errors
/// Stops if the step is unknown, or the journal cannot be read.
pub fn print(
    history: &History,
    (item, key): (ItemId, &str),
    ends: &Ends,
    filter: &Filter<'_>,
    redactor: &Redactor,
    format: TableFormat,
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    let graph = &history.graph;
    let steps = filter.step.map(|name| steps(graph, name)).transpose()?;
    // Those of several attempts alternate.
    let mut left: HashMap<(StepPath, u32), u64> = HashMap::new();
    history.messages(item, |Message { step, attempt, .. }| {
        *left.entry((step, attempt)).or_default() += 1;
        Ok(())
    })?;
    let mut last: Option<(StepPath, u32)> = None;
    history.messages(item, |mut message| {
        let Message { step, attempt, .. } = message;
        let wanted = steps.as_ref().is_none_or(|steps| steps.contains(&step.step))
            && filter.attempt.is_none_or(|number| number == attempt);
        if !wanted {
            return Ok(());
        }
        redact(&mut message, redactor);
        if format == TableFormat::Table && last != Some((step, attempt)) {
            let gap = if last.is_some() { "\n" } else { "" };
            terminal.data(&format!("{gap}{}, attempt {attempt}\n", execution(step, graph)));
        }
        last = Some((step, attempt));
        let left = left.get_mut(&(step, attempt)).map_or(0, |left| {
            *left = left.saturating_sub(1);
            *left
        });
        let end = ends.get(&(step, attempt)).filter(|_| left == 0);
        let end = end.map(|(at, text)| Message {
            at: *at,
            role: Role::Notice,
            name: None,
            text: text.clone(),
            ..message.clone()
        });
        for message in std::iter::once(&message).chain(&end) {
            terminal.data(&match format {
                TableFormat::Json => format!("{}\n", visible_json(&line(message, graph).to_string())),
                TableFormat::Table => text(message),
            });
        }
        Ok(())
    })?;
    if last.is_none() {
        terminal.talk(&format!("no such messages of {} are stored\n", visible(key)));
    }
    Ok(())
}

fn steps(graph: &Graph, name: &str) -> anyhow::Result<Vec<StepId>> {
    let steps = graph.called(name);
    if steps.is_empty() {
        return Err(Stop::new(Exit::Invalid, format!("the run has no step {}", visible(name))).into());
    }
    Ok(steps)
}

/// Removes the values of secrets that became known later.
pub fn redact(message: &mut Message, redactor: &Redactor) {
    redactor.shown_text(message.item, &mut message.text);
    if let Some(name) = &mut message.name {
        redactor.shown_text(message.item, name);
    }
}

/// `{role, name, text}`
pub fn json(message: &Message) -> Value {
    json!({ "at_ms": message.at, "role": message.role, "name": message.name, "text": message.text })
}

fn line(message: &Message, graph: &Graph) -> Value {
    let step = graph.step(message.step.step);
    let mut line = json!({
        "step": step.title, "phase": step.phase, "element": message.step.element, "attempt": message.attempt,
    });
    if let (Value::Object(line), Value::Object(rest)) = (&mut line, json(message)) {
        line.extend(rest);
    }
    line
}

/// The role on a line of its own, or before a text of one line.
fn text(message: &Message) -> String {
    let name = message.name.as_deref().map(|name| format!(" ({})", visible(name))).unwrap_or_default();
    let mut lines = message.text.lines();
    match (lines.next(), lines.next()) {
        (None, _) => format!("  {}{name}:\n", message.role),
        (Some(only), None) => format!("  {}{name}: {}\n", message.role, visible(only)),
        (Some(_), Some(_)) => {
            let lines = message.text.lines().map(|line| match line {
                "" => "\n".to_owned(),
                line => format!("    {}\n", visible(line)),
            });
            format!("  {}{name}:\n{}", message.role, lines.collect::<String>())
        }
    }
}
