//! What is counted for one group of rows.

use super::decimal::Decimal;
use super::model::{Column, Dimension, Figure, Group};
use super::samples::Samples;
use crate::event::Status;
use crate::session::{RowRef, Scalar};
use crate::value::Value;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Default)]
pub(super) struct Tally {
    count: u64,
    by_status: [u64; Status::ALL.len()],
    durations: Samples,
    measured: u64,
    nanoseconds: u128,
    tokens_used: Option<u64>,
    columns: Vec<(Arc<str>, Numbers)>,
    /// Where each column stands, by its name.
    places: HashMap<Arc<str>, usize>,
}

impl Tally {
    pub fn add(&mut self, row: &RowRef<'_>) {
        self.count += 1;
        self.by_status[row.status as usize] += 1;
        if let Some(milliseconds) = row.duration_ms.filter(|_| row.status != Status::Skipped) {
            self.durations.push(milliseconds);
            self.measured += 1;
            self.nanoseconds += u128::from(nanoseconds(milliseconds));
        }
        add_tokens(&mut self.tokens_used, row.tokens_used);
        let mut next = 0;
        row.each_column(|name, value| {
            if value == Scalar::Null {
                return;
            }
            // Rows of one table have their columns in one order.
            let expected = self.columns.get(next).is_some_and(|(known, _)| Arc::ptr_eq(known, name));
            let index = if expected { next } else { self.place(name) };
            self.columns[index].1.add(&value);
            next = index + 1;
        });
    }

    /// The place of a column, which is a new one where the name is.
    fn place(&mut self, name: &Arc<str>) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        self.columns.push((Arc::clone(name), Numbers::default()));
        self.places.insert(Arc::clone(name), self.columns.len() - 1);
        self.columns.len() - 1
    }

    pub fn finish(self, by: Vec<(Dimension, Option<Arc<str>>)>) -> Group {
        let count = |status: Status| self.by_status[status as usize];
        let tried = self.count - count(Status::Skipped) - count(Status::Cancelled);
        let [p50_ms, p95_ms, p99_ms, max_ms] = self.durations.percentiles([50, 95, 99, 100]);
        Group {
            by,
            count: self.count,
            by_status: Status::ALL
                .map(|status| (status, count(status)))
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .collect(),
            success_rate: (tried > 0).then(|| Figure(count(Status::Success) as f64 / tried as f64)),
            mean_ms: mean(self.nanoseconds, self.measured),
            p50_ms,
            p95_ms,
            p99_ms,
            max_ms,
            tokens_used: self.tokens_used,
            columns: self
                .columns
                .into_iter()
                .filter_map(|(name, numbers)| Some((name, numbers.finish()?)))
                .collect(),
        }
    }
}

/// Adds where something is known; what is unknown adds nothing.
pub(super) fn add_tokens(sum: &mut Option<u64>, tokens: Option<u64>) {
    if let Some(tokens) = tokens {
        *sum = Some(sum.unwrap_or(0).saturating_add(tokens));
    }
}

/// Whole nanoseconds, so that sums do not depend on the order of rows.
pub(super) fn nanoseconds(milliseconds: f64) -> u64 {
    (milliseconds * 1e6).round() as u64
}

pub(super) fn mean(nanoseconds: u128, count: u64) -> Option<Figure> {
    nanoseconds.checked_div(u128::from(count)).map(Figure::milliseconds)
}

/// A column, as long as it holds nothing but numbers.
#[derive(Default)]
struct Numbers {
    count: u64,
    sum: Sum,
    min: Option<(f64, Value)>,
    max: Option<(f64, Value)>,
    other: bool,
}

enum Sum {
    Exact(Decimal),
    /// It needs more digits than there are.
    Lost,
}

impl Default for Sum {
    fn default() -> Self {
        Sum::Exact(Decimal::default())
    }
}

impl Numbers {
    fn add(&mut self, value: &Scalar<'_>) {
        let Scalar::Number(text) = value else {
            self.other = true;
            return;
        };
        self.count += 1;
        if let Sum::Exact(sum) = self.sum {
            let sum = Decimal::parse(text).and_then(|number| sum.checked_add(number));
            self.sum = sum.map_or(Sum::Lost, Sum::Exact);
        }
        let number = text.parse().unwrap_or(f64::NAN);
        keep(&mut self.min, number, value, Ordering::Less);
        keep(&mut self.max, number, value, Ordering::Greater);
    }

    fn finish(self) -> Option<Column> {
        let (min, max) = (self.min?.1, self.max?.1);
        if self.other {
            return None;
        }
        let sum = match self.sum {
            Sum::Exact(sum) => Some(sum),
            Sum::Lost => None,
        };
        Some(Column {
            count: self.count,
            sum: sum.and_then(|sum| sum.to_string().parse().ok()).map(Value::Number),
            mean: sum.map(|sum| Figure(sum.to_f64() / self.count as f64)),
            min,
            max,
        })
    }
}

fn keep(kept: &mut Option<(f64, Value)>, number: f64, value: &Scalar<'_>, wanted: Ordering) {
    if kept.as_ref().is_none_or(|(best, _)| number.total_cmp(best) == wanted) {
        *kept = Some((number, value.value()));
    }
}
