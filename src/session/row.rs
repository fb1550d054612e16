//! One row of a trace: one execution of one step.

use super::columns::TableColumns;
use super::layout::Layout;
use crate::event::{Spelled, Status};
use crate::toon::write::{cell, text};
use crate::toon::{self, Cell, Scalar};
use crate::value::Value;
use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::sync::Arc;

pub use crate::event::{STANDARD, TAIL};

/// One execution as a trace records it. Absent cells are `None` and written as `null` in tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub phase: Arc<str>,
    pub agent: Option<Arc<str>>,
    pub channel: Option<Arc<str>>,
    pub input: Option<String>,
    pub output: Option<String>,
    pub duration_ms: Option<f64>,
    pub status: Status,
    pub tokens_used: Option<u64>,
    /// Columns that agents report, in first-seen order; numbers keep their text.
    pub columns: Vec<(Arc<str>, Value)>,
    /// The item's key.
    pub item: Option<Arc<str>>,
    pub attempt: Option<u32>,
    /// In milliseconds since the run began.
    pub started_ms: Option<u64>,
    pub error: Option<String>,
    /// Only in a row that was read.
    pub spelled: Spelled,
}

/// A row by reference, in a table or in a [`Row`]: the input of folds over rows.
#[derive(Clone, Debug)]
pub struct RowRef<'a> {
    pub phase: Cow<'a, str>,
    pub agent: Option<Cow<'a, str>>,
    pub channel: Option<Cow<'a, str>>,
    pub input: Option<Cow<'a, str>>,
    pub output: Option<Cow<'a, str>>,
    pub duration_ms: Option<f64>,
    pub status: Status,
    pub tokens_used: Option<u64>,
    pub item: Option<Cow<'a, str>>,
    pub attempt: Option<u32>,
    pub started_ms: Option<u64>,
    pub error: Option<Cow<'a, str>>,
    /// The phase's place in the layout of its file, if it has one.
    pub(super) place: Option<usize>,
    /// The columns that the phase's agent reports; all others are null because their table has them.
    pub(super) owned: Option<&'a [Arc<str>]>,
    pub(super) custom: Custom<'a>,
}

/// Where the columns of the agents are.
#[derive(Clone, Debug)]
pub(super) enum Custom<'a> {
    Cells(&'a TableColumns, toon::Row<'a>),
    Values(&'a [(Arc<str>, Value)]),
}

impl RowRef<'_> {
    /// The place of its phase in a layout, which must be that of its file if the row comes from one.
    pub fn place(&self, layout: &Layout) -> Option<usize> {
        self.place.or_else(|| layout.place(&self.phase))
    }

    /// Calls `show` with each column that an agent reported, in order.
    pub fn each_column(&self, mut show: impl FnMut(&Arc<str>, Scalar<'_>)) {
        match &self.custom {
            Custom::Cells(columns, row) => {
                for (index, name) in &columns.custom {
                    let Some(value) = row.cell(*index).map(Cell::scalar) else { continue };
                    let missing =
                        value == Scalar::Null && self.owned.is_some_and(|owned| !owned.contains(name));
                    if !missing {
                        show(name, value);
                    }
                }
            }
            Custom::Values(values) => {
                for (name, value) in *values {
                    show(name, scalar(value));
                }
            }
        }
    }

    pub fn to_row(&self) -> Row {
        let mut columns = Vec::new();
        self.each_column(|name, value| columns.push((Arc::clone(name), value.value())));
        let text = |cell: &Option<Cow<'_, str>>| cell.as_deref().map(str::to_owned);
        let mut row = Row {
            phase: Arc::from(&*self.phase),
            agent: self.agent.as_deref().map(Arc::from),
            channel: self.channel.as_deref().map(Arc::from),
            input: text(&self.input),
            output: text(&self.output),
            duration_ms: self.duration_ms,
            status: self.status,
            tokens_used: self.tokens_used,
            columns,
            item: self.item.as_deref().map(Arc::from),
            attempt: self.attempt,
            started_ms: self.started_ms,
            error: text(&self.error),
            spelled: Vec::new(),
        };
        if let Custom::Cells(columns, cells) = &self.custom {
            row.spelled = columns.spelled(cells, &row);
        }
        row
    }
}

impl Row {
    /// Appends the cell of a column, null if the row lacks it.
    pub(super) fn cell(&self, out: &mut String, column: &str, delimiter: char) {
        if delimiter == ','
            && let Some((_, raw)) = self.spelled.iter().find(|(name, _)| **name == *column)
        {
            out.push_str(raw);
            return;
        }
        let mut label = |value: Option<&str>| match value {
            Some(value) => text(out, value, delimiter),
            None => out.push_str("null"),
        };
        match column {
            "phase" => label(Some(&self.phase)),
            "agent" => label(self.agent.as_deref()),
            "channel" => label(self.channel.as_deref()),
            "input" => label(self.input.as_deref()),
            "output" => label(self.output.as_deref()),
            "status" => label(Some(self.status.name())),
            "item" => label(self.item.as_deref()),
            "error" => label(self.error.as_deref()),
            "duration_ms" => number(out, self.duration_ms),
            "tokens_used" => number(out, self.tokens_used),
            "attempt" => number(out, self.attempt),
            "started_ms" => number(out, self.started_ms),
            custom => {
                let value = self.columns.iter().find(|(name, _)| **name == *custom);
                cell(out, value.map_or(&Value::Null, |(_, value)| value), delimiter);
            }
        }
    }

    pub fn borrowed(&self) -> RowRef<'_> {
        RowRef {
            phase: Cow::Borrowed(&self.phase),
            agent: self.agent.as_deref().map(Cow::Borrowed),
            channel: self.channel.as_deref().map(Cow::Borrowed),
            input: self.input.as_deref().map(Cow::Borrowed),
            output: self.output.as_deref().map(Cow::Borrowed),
            duration_ms: self.duration_ms,
            status: self.status,
            tokens_used: self.tokens_used,
            item: self.item.as_deref().map(Cow::Borrowed),
            attempt: self.attempt,
            started_ms: self.started_ms,
            error: self.error.as_deref().map(Cow::Borrowed),
            place: None,
            owned: None,
            custom: Custom::Values(&self.columns),
        }
    }
}

fn number(out: &mut String, value: Option<impl Display>) {
    // Writing to a String does not fail.
    let _ = match value {
        Some(value) => write!(out, "{value}"),
        None => write!(out, "null"),
    };
}

fn scalar(value: &Value) -> Scalar<'_> {
    match value {
        Value::Null => Scalar::Null,
        Value::Bool(flag) => Scalar::Bool(*flag),
        Value::Number(number) => Scalar::Number(number.as_str()),
        Value::String(text) => Scalar::Text(Cow::Borrowed(text)),
        Value::Array(_) | Value::Object(_) => Scalar::Text(Cow::Owned(value.to_string())),
    }
}
