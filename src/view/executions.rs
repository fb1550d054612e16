//! The execution table of each step: the first rows of a trace for people, and the number of the others.

use super::measure::{count, milliseconds};
use super::table::figures;
use crate::diag::render::visible;
use crate::event::StepPath;
use crate::graph::Graph;
use crate::session::{Layout, Row, RowRef};
use crate::value::Value;
use std::collections::HashMap;

/// The most rows shown of each step.
const ROWS: usize = 20;

/// The most characters shown of a cell.
const CELL: usize = 40;

/// Collects the visible rows of a trace of any length.
#[derive(Default)]
pub struct Executions {
    /// In graph order if it is known, else as first seen.
    steps: Vec<ShownStep>,
    by_phase: HashMap<String, usize>,
}

struct ShownStep {
    phase: String,
    /// The first ones, by the number of their item and the place of their element in its list.
    rows: Vec<Row>,
    items: Vec<(u64, Option<u32>)>,
    count: u64,
}

impl Executions {
    /// Steps without executions are not shown.
    pub fn new(layout: &Layout) -> Executions {
        let mut executions = Executions::default();
        for phase in &layout.phases {
            executions.step(&phase.name);
        }
        executions
    }

    /// Adds an execution of the item with this number, and of the element at this position of its list; finally the
    /// first items are shown.
    pub fn push(&mut self, item: (u64, Option<u32>), row: &RowRef<'_>) {
        let step = self.step(&row.phase);
        step.count += 1;
        let at = step.items.partition_point(|other| *other <= item);
        if at < ROWS {
            step.items.insert(at, item);
            step.rows.insert(at, row.to_row());
            step.items.truncate(ROWS);
            step.rows.truncate(ROWS);
        }
    }

    /// The tables for a terminal of this width in columns. `rest` names where all rows are.
    pub fn draw(&self, width: Option<usize>, rest: &str) -> String {
        self.steps.iter().filter(|step| step.count > 0).map(|step| step.draw(width, rest)).collect()
    }

    fn step(&mut self, phase: &str) -> &mut ShownStep {
        let at = match self.by_phase.get(phase) {
            Some(at) => *at,
            None => {
                self.steps.push(ShownStep {
                    phase: phase.to_owned(),
                    rows: Vec::new(),
                    items: Vec::new(),
                    count: 0,
                });
                self.by_phase.insert(phase.to_owned(), self.steps.len() - 1);
                self.steps.len() - 1
            }
        };
        &mut self.steps[at]
    }
}

impl ShownStep {
    fn draw(&self, width: Option<usize>, rest: &str) -> String {
        let mut out = visible(&self.phase);
        if let Some(row) = self.rows.first() {
            for (mark, name) in [('@', &row.agent), ('#', &row.channel)] {
                if let Some(name) = name {
                    out.push_str(&format!(" {mark}{}", visible(name)));
                }
            }
        }
        out.push('\n');
        let columns = self.columns();
        let header: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let rows =
            (0..self.rows.len()).map(|row| columns.iter().map(|(_, cells)| cells[row].clone()).collect());
        // Labels first, then figures: the order of `columns`.
        let labels = columns.iter().take_while(|(name, _)| LABELS.contains(&name.as_str())).count();
        out.push_str(&figures(&header, labels, rows, width));
        let more = self.count - self.rows.len() as u64;
        if more > 0 {
            out.push_str(&format!("… {} more in {}\n", count(more), visible(rest)));
        }
        out + "\n"
    }

    /// The columns that have any value, with the cells of all rows.
    fn columns(&self) -> Vec<(String, Vec<String>)> {
        type ShownCell = fn(&Row) -> Option<String>;
        let standard: [(&str, ShownCell); 8] = [
            ("item", |row| row.item.as_deref().map(cut)),
            ("input", |row| row.input.as_deref().map(cut)),
            ("output", |row| row.output.as_deref().map(cut)),
            ("status", |row| Some(row.status.name().to_owned())),
            ("error", |row| row.error.as_deref().map(cut)),
            ("time", |row| row.duration_ms.map(milliseconds)),
            ("tries", |row| row.attempt.filter(|attempt| *attempt > 1).map(|attempt| attempt.to_string())),
            ("tokens", |row| row.tokens_used.map(count)),
        ];
        let mut columns: Vec<(String, Vec<Option<String>>)> = standard
            .iter()
            .map(|(name, cell)| ((*name).to_owned(), self.rows.iter().map(cell).collect()))
            .collect();
        let mut places: HashMap<String, usize> = HashMap::new();
        for (row, name, value) in self
            .rows
            .iter()
            .enumerate()
            .flat_map(|(at, row)| row.columns.iter().map(move |(name, value)| (at, name, value)))
        {
            let name = visible(name);
            let at = *places.entry(name).or_insert_with_key(|name| {
                columns.push((name.clone(), vec![None; self.rows.len()]));
                columns.len() - 1
            });
            columns[at].1[row] = shown(value);
        }
        columns.retain(|(_, cells)| cells.iter().any(Option::is_some));
        let filled = |cells: Vec<Option<String>>| cells.into_iter().map(Option::unwrap_or_default).collect();
        columns.into_iter().map(|(name, cells)| (name, filled(cells))).collect()
    }
}

const LABELS: [&str; 5] = ["item", "input", "output", "status", "error"];

fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(cut(text)),
        other => Some(cut(&other.to_string())),
    }
}

/// A text short enough for a cell, and harmless.
fn cut(text: &str) -> String {
    match text.char_indices().nth(CELL) {
        Some((end, _)) => visible(&text[..end]) + "…",
        None => visible(text),
    }
}

/// A step's title, with the place of its element: `Ship[2]`.
pub fn execution(path: StepPath, graph: &Graph) -> String {
    let title = visible(&graph.step(path.step).title);
    path.element.map_or(title.clone(), |element| format!("{title}[{element}]"))
}
