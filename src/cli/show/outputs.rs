//! The outputs of all items of a run, an item at a time, for spreadsheets and scripts.

use super::super::terminal::Terminal;
use crate::adapter::redact::Redactor;
use crate::diag::render::{visible, visible_json};
use crate::event::{AttemptEvent, EventKind, ItemEvent, ItemId, RunEvent, ValueId};
use crate::graph::{Graph, Kind};
use crate::history::History;
use crate::value::{Object, Value};
use crate::view::presentable;
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// How outputs are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// A row an item, with a column for each output
    Csv,
    /// An object a line
    Jsonl,
    /// A list of objects
    Json,
}

/// The outputs of an item by value and element; an element is `None` where the step has no list.
type Made = BTreeMap<ValueId, BTreeMap<Option<u32>, Arc<Value>>>;

#[derive(Default)]
struct OpenItem {
    key: Arc<str>,
    made: Made,
}

/// Prints the outputs of each item once it has ended, then those of items in flight. Memory holds those in flight.
///
/// # Errors
/// The journal cannot be read.
pub fn print(history: &History, format: OutputFormat, terminal: &mut Terminal) -> anyhow::Result<()> {
    let graph = &history.graph;
    let names = names(graph);
    let redactor = Redactor::default().of_values(graph.secrets());
    let mut items: BTreeMap<ItemId, OpenItem> = BTreeMap::new();
    let mut count = 0_u64;
    if format == OutputFormat::Csv {
        let header = ["item", "state"].into_iter().chain(names.iter().map(|(_, name)| name.as_str()));
        terminal.data(&row(header.map(str::to_owned))?);
    }
    let mut print =
        |item: ItemId, open: OpenItem, state: &str, terminal: &mut Terminal| -> anyhow::Result<()> {
            let mut values = Object::new();
            for (id, name) in &names {
                let Some(made) = open.made.get(id) else { continue };
                let mut shown = match made.iter().next() {
                    Some((None, only)) => presentable(*id, only, graph).into_owned(),
                    _ => made.values().map(|value| presentable(*id, value, graph).into_owned()).collect(),
                };
                redactor.shown(item, &mut shown);
                values.insert(name.clone(), shown);
            }
            let text = match format {
                OutputFormat::Csv => {
                    let cells = names.iter().map(|(_, name)| values.get(name).map(cell).unwrap_or_default());
                    row([open.key.to_string(), state.to_owned()].into_iter().chain(cells))?
                }
                OutputFormat::Jsonl | OutputFormat::Json => {
                    let line = visible_json(
                        &json!({ "item": &*open.key, "state": state, "outputs": values }).to_string(),
                    );
                    match (format, count) {
                        (OutputFormat::Json, 0) => format!("[\n  {line}"),
                        (OutputFormat::Json, _) => format!(",\n  {line}"),
                        _ => line + "\n",
                    }
                }
            };
            count += 1;
            terminal.data(&text);
            Ok(())
        };
    history.replay(|event| {
        redactor.learn(event);
        match &event.kind {
            EventKind::Run(RunEvent::StepsBegan) => {
                items.insert(ItemId::RUN, OpenItem { key: "run".into(), made: Made::new() });
            }
            EventKind::Run(RunEvent::StepsEnded(end)) => {
                if let Some(open) = items.remove(&ItemId::RUN) {
                    print(ItemId::RUN, open, end.state.name(), terminal)?;
                }
            }
            EventKind::Item(item, ItemEvent::Admitted { key, .. }) => {
                items.insert(*item, OpenItem { key: key.clone(), made: Made::new() });
            }
            EventKind::Item(item, ItemEvent::Retried { inputs: Some(_), .. }) => {
                items.entry(*item).and_modify(|open| open.made.clear());
            }
            EventKind::Item(item, ItemEvent::Settled { end, .. }) => {
                if let Some(open) = items.remove(item) {
                    print(*item, open, end.state.name(), terminal)?;
                }
            }
            EventKind::Attempt(item, step, _, AttemptEvent::Finished(Ok(reply)))
                if graph.step(step.step).kind == Kind::Forward =>
            {
                if let Some(open) = items.get_mut(item) {
                    for (id, value) in &reply.outputs {
                        open.made.entry(*id).or_default().insert(step.element, value.clone());
                    }
                }
            }
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
        Ok(())
    })?;
    for (item, open) in std::mem::take(&mut items) {
        print(item, open, IN_FLIGHT, terminal)?;
    }
    if format == OutputFormat::Json {
        terminal.data(if count == 0 { "[]\n" } else { "\n]\n" });
    }
    Ok(())
}

const IN_FLIGHT: &str = "in_flight";

/// The outputs of the steps in their order, each once.
fn names(graph: &Graph) -> Vec<(ValueId, String)> {
    let mut known = HashSet::new();
    let steps = graph.steps.iter().filter(|step| step.kind == Kind::Forward);
    let outputs = steps.flat_map(|step| &step.outputs).map(|output| output.value);
    let outputs = outputs.filter(|id| known.insert(*id));
    outputs.map(|id| (id, graph.value(id).name.clone())).collect()
}

/// A text as it is unless a spreadsheet would read it as a formula, anything else as JSON.
fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
            format!("{}{text}", if formula { "'" } else { "" })
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn row(cells: impl Iterator<Item = String>) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells.map(|cell| {
        // Lines of a text stay; other control characters are replaced.
        let lines: Vec<String> = cell.split('\n').map(visible).collect();
        lines.join("\n")
    }))?;
    let bytes = writer.into_inner().map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
