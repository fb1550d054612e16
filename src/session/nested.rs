//! The rows of documents that steps run: each directly before the row of its step, and counted in no total of the run.

use super::layout::{Layout, Phase};
use super::row::{Custom, Row, RowRef};
use crate::event::Millis;
use crate::value::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// The column that marks such a row: the runs of documents on the way to it, such as `Review.1` for the first attempt of
/// `Review`, and `Review.0.1` for that of its first element.
pub(super) const WITHIN: &str = "within";

/// An execution of a step of a document that a step of the run has run.
#[derive(Clone, Debug, PartialEq)]
pub struct NestedRow {
    pub row: Row,
    /// Its step, as session files describe it.
    pub phase: Phase,
    /// The places of the steps on the way to it, each in the layout of its document.
    pub path: Vec<usize>,
}

/// The run of a document in which a row was made.
pub struct OuterRun<'a> {
    /// The phase of the step that ran the document, and its place.
    pub phase: &'a str,
    pub place: usize,
    pub element: Option<u32>,
    pub attempt: u32,
    /// When it began, in milliseconds since the outer run did.
    pub began: Millis,
    /// The item of the outer row.
    pub item: Option<&'a Arc<str>>,
}

impl NestedRow {
    /// A row of a step at a place in its own layout.
    pub fn of(layout: &Layout, place: usize, row: Row) -> NestedRow {
        let phase = layout.phases.get(place).cloned().unwrap_or_default();
        let phase = Phase { nested: true, once: false, needs: Vec::new(), ..phase };
        NestedRow { row, phase, path: vec![place] }
    }

    /// The same row as one of the run whose step ran the document.
    pub fn within(mut self, outer: &OuterRun<'_>) -> NestedRow {
        let name = |inner: &str| -> Arc<str> { Arc::from(format!("{}/{inner}", outer.phase)) };
        self.phase.name = name(&self.phase.name);
        let row = &mut self.row;
        row.phase = name(&row.phase);
        row.item = outer.item.cloned();
        row.started_ms = row.started_ms.map(|started| started.saturating_add(outer.began));
        let element = outer.element.map(|element| format!(".{element}")).unwrap_or_default();
        let mut runs = format!("{}{element}.{}", outer.phase, outer.attempt);
        let columns = std::mem::take(&mut row.columns).into_iter();
        let (before, columns): (Vec<_>, Vec<_>) = columns.partition(|(name, _)| **name == *WITHIN);
        // A step of the document itself has none, whatever its agent reports.
        if let [(_, Value::String(inner))] = before.as_slice()
            && self.path.len() > 1
        {
            runs = format!("{runs}/{inner}");
        }
        row.columns = columns;
        row.columns.push((Arc::from(WITHIN), Value::String(runs)));
        self.path.insert(0, outer.place);
        self
    }
}

impl RowRef<'_> {
    /// The phase of the step that ran the document of this row; `None` for a row of the run's own steps.
    pub fn outer(&self) -> Option<String> {
        let within = match &self.custom {
            Custom::Cells(columns, row) => {
                row.cell(columns.within?).filter(|cell| cell.raw() != "null")?.text()
            }
            Custom::Values(values) => {
                let (_, value) = values.iter().find(|(name, _)| **name == *WITHIN)?;
                Cow::Borrowed(value.as_str()?)
            }
        };
        let steps: Vec<&str> =
            within.split('/').map(|run| run.split_once('.').map_or(run, |(step, _)| step)).collect();
        let outer = steps.join("/");
        self.phase.strip_prefix(&*outer)?.starts_with('/').then_some(outer)
    }

    /// Whether it is a row of a document that a step has run.
    pub fn is_nested(&self) -> bool {
        self.outer().is_some()
    }
}

/// The rows of a record, those of documents apart from those of the run's own steps.
#[derive(Debug, Default)]
pub struct RowsApart {
    pub own: Vec<Row>,
    /// The nested rows before an own row, by its index.
    pub nested: HashMap<usize, Vec<NestedRow>>,
    /// The phases of nested rows that no row of their step follows.
    pub alone: Vec<Arc<str>>,
}

impl RowsApart {
    /// Separates rows in the order of their record. `layout` is that of their file, if it has one, and `own`
    /// that of the run's own steps.
    pub fn of(rows: Vec<Row>, layout: Option<&Layout>, own: &Layout) -> RowsApart {
        let mut apart = RowsApart::default();
        let mut seen: HashMap<Arc<str>, usize> = HashMap::new();
        let mut before: Vec<NestedRow> = Vec::new();
        for row in rows {
            if !row.borrowed().is_nested() {
                let way = format!("{}/", row.phase);
                let fits =
                    |nested: &NestedRow| nested.row.phase.starts_with(&way) && nested.row.item == row.item;
                let (mut fit, alone): (Vec<_>, Vec<_>) =
                    std::mem::take(&mut before).into_iter().partition(fits);
                apart.alone.extend(alone.into_iter().map(|nested| nested.row.phase));
                if !fit.is_empty() {
                    let place = own.place(&row.phase).unwrap_or_default();
                    fit.iter_mut().for_each(|nested| nested.path.insert(0, place));
                    apart.nested.insert(apart.own.len(), fit);
                }
                apart.own.push(row);
                continue;
            }
            let number = seen.len();
            let number = *seen.entry(Arc::clone(&row.phase)).or_insert(number);
            let place = layout.and_then(|layout| Some((layout, layout.place(&row.phase)?)));
            let known = place.and_then(|(layout, place)| Some((layout.phases.get(place)?.clone(), place)));
            let (phase, number) = known.unwrap_or_else(|| {
                let (name, agent, channel) = (row.phase.clone(), row.agent.clone(), row.channel.clone());
                (Phase { name, agent, channel, ..Phase::default() }, number)
            });
            let phase = Phase { nested: true, needs: Vec::new(), fields: Vec::new(), ..phase };
            before.push(NestedRow { row, phase, path: vec![number] });
        }
        apart.alone.extend(before.into_iter().map(|nested| nested.row.phase));
        apart
    }
}
