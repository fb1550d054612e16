//! The counts of one group of rows.

use super::model::{Dimension, Figure, Group, NumericColumn};
use super::samples::Samples;
use crate::event::{ROUND_COLUMN, Status};
use crate::session::{RowRef, Scalar};
use crate::value::number::Digits;
use crate::value::{Decimal, Value};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Default)]
pub(super) struct GroupTally {
    by_status: [u64; Status::ALL.len()],
    /// Whether it counts rows of documents that steps ran.
    pub nested: bool,
    durations: Samples,
    measured: u64,
    nanoseconds: u128,
    tokens_used: Option<u64>,
    columns: Vec<(Arc<str>, Numbers)>,
    /// The position of each column, by name.
    places: HashMap<Arc<str>, usize>,
}

impl GroupTally {
    /// Counts a row; `number` identifies it.
    pub fn add(&mut self, row: &RowRef<'_>, number: u64) {
        self.by_status[row.status as usize] += 1;
        if let Some(milliseconds) = row.duration_ms.filter(|_| row.status != Status::Skipped) {
            self.durations.push(milliseconds);
            self.measured += 1;
            self.nanoseconds += u128::from(nanoseconds(milliseconds));
        }
        add_tokens(&mut self.tokens_used, row.tokens_used);
        let mut next = 0;
        row.each_column(|name, value| {
            // The round of a loop is not an amount.
            if value == Scalar::Null || **name == *ROUND_COLUMN {
                return;
            }
            // Rows of one table have their columns in one order.
            let expected = self.columns.get(next).is_some_and(|(known, _)| Arc::ptr_eq(known, name));
            let index = if expected { next } else { self.place(name, number) };
            self.columns[index].1.add(&value, number);
            next = index + 1;
        });
    }

    /// The position of a column, added if the name is new.
    fn place(&mut self, name: &Arc<str>, number: u64) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        self.columns.push((Arc::clone(name), Numbers::new(number)));
        self.places.insert(Arc::clone(name), self.columns.len() - 1);
        self.columns.len() - 1
    }

    /// The sum of these, as if one had counted all of their rows.
    pub fn together<'a>(tallies: impl IntoIterator<Item = &'a GroupTally>) -> GroupTally {
        let mut all = GroupTally::default();
        tallies.into_iter().for_each(|tally| all.absorb(tally));
        // The columns of one row are in one tally, in their order.
        all.columns.sort_by_key(|(_, numbers)| numbers.first);
        all
    }

    fn absorb(&mut self, other: &GroupTally) {
        self.nested |= other.nested;
        self.by_status.iter_mut().zip(other.by_status).for_each(|(sum, count)| *sum += count);
        self.durations.absorb(&other.durations);
        self.measured += other.measured;
        self.nanoseconds += other.nanoseconds;
        add_tokens(&mut self.tokens_used, other.tokens_used);
        for (name, numbers) in &other.columns {
            let place = self.place(name, numbers.first);
            self.columns[place].1.absorb(numbers);
        }
    }

    pub fn finish(mut self, by: Vec<(Dimension, Option<Arc<str>>)>) -> Group {
        let count = |status: Status| self.by_status[status as usize];
        let executed = self.by_status.iter().sum::<u64>() - count(Status::Skipped);
        let tried = executed - count(Status::Cancelled);
        let done = count(Status::Success) + count(Status::Compensated);
        let [p50_ms, p95_ms, p99_ms] = self.durations.percentiles([50, 95, 99]);
        Group {
            by,
            nested: self.nested,
            count: executed,
            by_status: Status::ALL
                .map(|status| (status, count(status)))
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .collect(),
            success_rate: (tried > 0).then(|| Figure(done as f64 / tried as f64)),
            mean_ms: self.durations.mean(self.nanoseconds, self.measured),
            p50_ms,
            p95_ms,
            p99_ms,
            max_ms: self.durations.largest(),
            percentile_error: self.durations.error(),
            tokens_used: self.tokens_used,
            columns: self
                .columns
                .into_iter()
                .filter_map(|(name, numbers)| Some((name, numbers.finish()?)))
                .collect(),
        }
    }
}

/// Adds a known number; unknown ones add nothing.
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

/// The mean of durations, rounded to microseconds but never out of their range, which is in milliseconds.
pub(super) fn mean_within(nanoseconds: u128, count: u64, (smallest, largest): (f64, f64)) -> Option<Figure> {
    let Figure(mean) = mean(nanoseconds, count)?;
    Some(Figure(mean.max(smallest).min(largest)))
}

/// The durations of a phase.
#[derive(Default)]
pub(super) struct PhaseTimes {
    pub count: u64,
    pub nanoseconds: u128,
    /// In milliseconds.
    range: Option<(f64, f64)>,
}

impl PhaseTimes {
    pub fn add(&mut self, milliseconds: f64, spent: u128) {
        self.count += 1;
        self.nanoseconds += spent;
        let (smallest, largest) = self.range.unwrap_or((milliseconds, milliseconds));
        self.range = Some((smallest.min(milliseconds), largest.max(milliseconds)));
    }

    pub fn mean(&self) -> Option<Figure> {
        mean_within(self.nanoseconds, self.count, self.range?)
    }
}

/// A column whose values so far are all numbers.
struct Numbers {
    /// The first row with the column.
    first: u64,
    count: u64,
    sum: Sum,
    min: Option<Extreme>,
    max: Option<Extreme>,
    other: bool,
}

/// The smallest or largest number, by value, as written in the first row that has it.
#[derive(Clone)]
struct Extreme {
    written: Value,
    row: u64,
}

/// An exact sum, while it has few enough digits for one.
enum Sum {
    /// Almost all sums: a count of the last of so many decimal places.
    Small {
        sum: i128,
        places: u32,
    },
    Large(Decimal),
    Lost,
}

/// The most digits of a number that is added as a whole number.
const FEW_DIGITS: usize = 18;

impl Sum {
    /// Adds a JSON number.
    fn add_text(&mut self, text: &str) {
        let small = small(text);
        if let (Sum::Small { sum, places }, Some(more)) = (&*self, small)
            && let Some((sum, places)) = added((*sum, *places), more)
        {
            *self = Sum::Small { sum, places };
            return;
        }
        self.add(Decimal::parse(text).as_ref());
    }

    fn add(&mut self, more: Option<&Decimal>) {
        if let Some(sum) = self.exact() {
            *self = more.and_then(|more| sum.add(more)).map_or(Sum::Lost, Sum::Large);
        }
    }

    fn exact(&self) -> Option<Decimal> {
        match self {
            Sum::Small { sum, places } => decimal(*sum, *places),
            Sum::Large(sum) => Some(sum.clone()),
            Sum::Lost => None,
        }
    }
}

/// A number of few digits without an exponent as a count of the last of its decimal places.
fn small(text: &str) -> Option<(i128, u32)> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    if digits.len() > FEW_DIGITS {
        return None;
    }
    let (mut number, mut places) = (0_i128, None);
    for byte in digits.bytes() {
        match byte {
            b'0'..=b'9' => {
                number = number * 10 + i128::from(byte - b'0');
                places = places.map(|places| places + 1);
            }
            b'.' if places.is_none() => places = Some(0),
            _ => return None,
        }
    }
    Some((sign * number, places.unwrap_or(0)))
}

/// The sum of two numbers with the places of the longer one. As for decimals, a zero has none; `None` if the sum is too
/// large.
fn added((sum, places): (i128, u32), (more, more_places): (i128, u32)) -> Option<(i128, u32)> {
    match (sum, more) {
        (0, 0) => Some((0, 0)),
        (_, 0) => Some((sum, places)),
        (0, _) => Some((more, more_places)),
        _ => {
            let most = places.max(more_places);
            let raised = |number: i128, places: u32| number.checked_mul(10_i128.checked_pow(most - places)?);
            Some((raised(sum, places)?.checked_add(raised(more, more_places)?)?, most))
        }
    }
}

fn decimal(sum: i128, places: u32) -> Option<Decimal> {
    let width = places as usize + 1;
    let digits = |number: u128| {
        let digits = format!("{number:0width$}");
        let (whole, fraction) = digits.split_at(digits.len() - places as usize);
        if places == 0 { whole.to_owned() } else { format!("{whole}.{fraction}") }
    };
    if sum == 0 && places > 0 {
        // A zero that is written has no places, but one that is a sum has.
        let last = Decimal::parse(&digits(1))?;
        return last.subtract(&last);
    }
    let sign = if sum < 0 { "-" } else { "" };
    Decimal::parse(&format!("{sign}{}", digits(sum.unsigned_abs())))
}

impl Numbers {
    fn new(first: u64) -> Numbers {
        Numbers { first, count: 0, sum: Sum::Small { sum: 0, places: 0 }, min: None, max: None, other: false }
    }

    fn add(&mut self, value: &Scalar<'_>, row: u64) {
        let Scalar::Number(text) = value else {
            self.other = true;
            return;
        };
        let Some(digits) = Digits::parse(text) else {
            self.other = true;
            return;
        };
        self.count += 1;
        self.sum.add_text(text);
        keep(&mut self.min, &digits, row, Ordering::Less, || value.value());
        keep(&mut self.max, &digits, row, Ordering::Greater, || value.value());
    }

    fn absorb(&mut self, other: &Numbers) {
        self.first = self.first.min(other.first);
        self.count += other.count;
        self.sum.add(other.sum.exact().as_ref());
        self.other |= other.other;
        for (kept, more, wanted) in
            [(&mut self.min, &other.min, Ordering::Less), (&mut self.max, &other.max, Ordering::Greater)]
        {
            if let Some((digits, more)) = more.as_ref().and_then(|more| Some((more.digits()?, more))) {
                keep(kept, &digits, more.row, wanted, || more.written.clone());
            }
        }
    }

    fn finish(self) -> Option<NumericColumn> {
        let (min, max) = (self.min?.written, self.max?.written);
        if self.other {
            return None;
        }
        let sum = self.sum.exact();
        let number = |number: &Decimal| Some(Value::Number(number.to_string().parse().ok()?));
        let written = |value: &Value| Decimal::parse(value.as_number()?.as_str());
        let mean = || {
            let mean = sum.as_ref()?.divide(&Decimal::from(self.count))?;
            // Rounding may leave the range of numbers that are long and close to each other.
            number(&mean.max(written(&min)?).min(written(&max)?))
        };
        Some(NumericColumn { count: self.count, sum: sum.as_ref().and_then(number), mean: mean(), min, max })
    }
}

/// Stores the better of two numbers; of equal ones that of the earlier row.
fn keep(
    kept: &mut Option<Extreme>,
    digits: &Digits<'_>,
    row: u64,
    wanted: Ordering,
    written: impl FnOnce() -> Value,
) {
    let better = kept.as_ref().is_none_or(|best| {
        let order = best.digits().map(|best| digits.cmp(&best));
        order == Some(wanted) || (order == Some(Ordering::Equal) && row < best.row)
    });
    if better {
        *kept = Some(Extreme { written: written(), row });
    }
}

impl Extreme {
    fn digits(&self) -> Option<Digits<'_>> {
        Digits::parse(self.written.as_number()?.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_decimals(texts: &[String]) -> Option<String> {
        let all = texts.iter().map(|text| Decimal::parse(text));
        let sum = all.reduce(|sum, more| sum?.add(&more?))?;
        sum.map(|sum| sum.to_string())
    }

    fn by_sum(texts: &[String]) -> Option<String> {
        let mut sum = Sum::Small { sum: 0, places: 0 };
        texts.iter().for_each(|text| sum.add_text(text));
        sum.exact().map(|sum| sum.to_string())
    }

    #[test]
    fn zeros_after_the_point_are_kept_as_decimals_keep_them() {
        for (texts, sum) in [
            (&["0.50", "1.50"][..], "2.00"),
            (&["1.5", "-1.50"], "0.00"),
            (&["1.5", "-1.50", "2"], "2"),
            (&["1.5", "-1.50", "0.000"], "0"),
            (&["-0", "0.00"], "0"),
            (&["999999999999999999", "1e30", "0.1"], "1000000000000999999999999999999.1"),
            (&["-0.05", "-12"], "-12.05"),
        ] {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(by_sum(&texts).as_deref(), Some(sum));
            assert_eq!(by_sum(&texts), by_decimals(&texts));
        }
    }

    proptest! {
        #[test]
        fn a_sum_is_that_of_decimals(texts in proptest::collection::vec(
            prop_oneof![
                "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?",
                "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,20})?(e[+-]?[0-9]{1,2})?",
                Just("0.00".to_owned()),
                Just("-1.5".to_owned()),
                Just("1.50".to_owned()),
            ],
            1..12,
        )) {
            prop_assert_eq!(by_sum(&texts), by_decimals(&texts));
        }
    }
}
