//! Durations of a group. Up to a bound all are stored, so that percentiles are exact: four bytes each while they are
//! whole milliseconds, eight otherwise. Beyond it they are counted in a sketch, which does not grow with their number.

use super::group::{mean_within, nanoseconds};
use super::model::Figure;
use hdrhistogram::Histogram;

/// Percentiles of up to this many durations are exact.
pub const EXACT: usize = 100_000;

/// By how much a percentile of more durations may exceed the exact one, as a share of it. It is never less.
pub const ERROR: f64 = 0.001;

/// [`ERROR`] in significant digits.
const DIGITS: u8 = 3;

#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    kept: Kept,
    /// Exact, however many there are.
    smallest: Option<f64>,
    largest: Option<f64>,
}

#[derive(Clone, Debug)]
enum Kept {
    Whole(Vec<u32>),
    /// Never NaN.
    Any(Vec<f64>),
    /// In nanoseconds.
    Sketch(Histogram<u64>),
}

impl Default for Kept {
    fn default() -> Self {
        Kept::Whole(Vec::new())
    }
}

impl Samples {
    pub fn push(&mut self, milliseconds: f64) {
        self.smallest = Some(self.smallest.map_or(milliseconds, |smallest| smallest.min(milliseconds)));
        self.largest = Some(self.largest.map_or(milliseconds, |largest| largest.max(milliseconds)));
        let full = match &self.kept {
            Kept::Whole(values) => values.len() >= EXACT,
            Kept::Any(values) => values.len() >= EXACT,
            Kept::Sketch(_) => false,
        };
        if full {
            self.kept = Kept::Sketch(self.kept.sketch());
        }
        match &mut self.kept {
            Kept::Whole(values) => {
                let whole = milliseconds as u32;
                if f64::from(whole) == milliseconds {
                    values.push(whole);
                } else {
                    let mut values: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
                    values.push(milliseconds);
                    self.kept = Kept::Any(values);
                }
            }
            Kept::Any(values) => values.push(milliseconds),
            Kept::Sketch(sketch) => count(sketch, milliseconds),
        }
    }

    /// Adds the durations of another group: the result is as if all had been pushed here.
    pub fn absorb(&mut self, other: &Samples) {
        match &other.kept {
            Kept::Whole(values) => values.iter().for_each(|value| self.push(f64::from(*value))),
            Kept::Any(values) => values.iter().for_each(|value| self.push(*value)),
            Kept::Sketch(more) => {
                let mut sketch = self.kept.sketch();
                let added = sketch.add(more);
                debug_assert!(added.is_ok(), "a sketch grows as it needs");
                self.kept = Kept::Sketch(sketch);
                self.smallest = self.smallest.into_iter().chain(other.smallest).reduce(f64::min);
                self.largest = self.largest.into_iter().chain(other.largest).reduce(f64::max);
            }
        }
    }

    /// The smallest value that at least this many percent of all values do not exceed, for each percentage; in a
    /// sketch the end of the narrow range that contains it.
    pub fn percentiles<const N: usize>(&mut self, percents: [u64; N]) -> [Option<Figure>; N] {
        match &mut self.kept {
            Kept::Whole(values) => values.sort_unstable(),
            Kept::Any(values) => values.sort_unstable_by(f64::total_cmp),
            Kept::Sketch(_) => {}
        }
        percents.map(|percent| {
            match &self.kept {
                Kept::Whole(values) => nth(values, percent).map(f64::from),
                Kept::Any(values) => nth(values, percent),
                Kept::Sketch(sketch) => self.largest.map(|largest| estimate(sketch, percent).min(largest)),
            }
            .map(Figure)
        })
    }

    /// Their mean, computed from their sum and number.
    pub fn mean(&self, nanoseconds: u128, count: u64) -> Option<Figure> {
        mean_within(nanoseconds, count, (self.smallest?, self.largest?))
    }

    pub fn largest(&self) -> Option<Figure> {
        self.largest.map(Figure)
    }

    /// By how much percentiles may exceed the exact ones, as a share.
    pub fn error(&self) -> Figure {
        match self.kept {
            Kept::Whole(_) | Kept::Any(_) => Figure(0.0),
            Kept::Sketch(_) => Figure(ERROR),
        }
    }
}

impl Kept {
    /// All stored values, counted. The counts do not depend on the order of the values.
    fn sketch(&self) -> Histogram<u64> {
        let mut sketch = match self {
            Kept::Sketch(sketch) => return sketch.clone(),
            Kept::Whole(_) | Kept::Any(_) => Histogram::new(DIGITS).expect("it takes up to five digits"),
        };
        match self {
            Kept::Whole(values) => values.iter().for_each(|value| count(&mut sketch, f64::from(*value))),
            Kept::Any(values) => values.iter().for_each(|value| count(&mut sketch, *value)),
            Kept::Sketch(_) => {}
        }
        sketch
    }
}

fn count(sketch: &mut Histogram<u64>, milliseconds: f64) {
    let counted = sketch.record(nanoseconds(milliseconds));
    debug_assert!(counted.is_ok(), "a sketch grows as it needs");
}

/// The position from 1 of a percentile among this many values: nearest rank.
fn rank(count: u64, percent: u64) -> u64 {
    u64::try_from((u128::from(count) * u128::from(percent)).div_ceil(100)).unwrap_or(count).max(1)
}

fn nth<T: Copy>(sorted: &[T], percent: u64) -> Option<T> {
    let rank = rank(sorted.len() as u64, percent);
    sorted.get(usize::try_from(rank).ok()? - 1).copied()
}

/// In milliseconds. The ranks are counted here, since the crate takes them from a float.
fn estimate(sketch: &Histogram<u64>, percent: u64) -> f64 {
    let rank = rank(sketch.len(), percent);
    let mut seen = 0;
    let reached = sketch.iter_recorded().find(|range| {
        seen += range.count_at_value();
        seen >= rank
    });
    reached.map_or(0.0, |range| sketch.highest_equivalent(range.value_iterated_to()) as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples(values: impl IntoIterator<Item = f64>) -> Samples {
        let mut samples = Samples::default();
        values.into_iter().for_each(|value| samples.push(value));
        samples
    }

    const PERCENTS: [u64; 4] = [50, 95, 99, 100];

    fn figures(samples: &mut Samples) -> [Option<f64>; 4] {
        samples.percentiles(PERCENTS).map(|figure| figure.map(|figure| figure.0))
    }

    fn of(values: &[f64]) -> [Option<f64>; 4] {
        figures(&mut samples(values.iter().copied()))
    }

    /// The exact percentiles by definition: how many values do not exceed them.
    fn exact(values: &[f64]) -> [Option<f64>; 4] {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let enough = |at: usize, percent: u64| (at + 1) as u64 * 100 >= percent * sorted.len() as u64;
        PERCENTS.map(|percent| (0..sorted.len()).find(|at| enough(*at, percent)).map(|at| sorted[at]))
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        assert_eq!(
            of(&[95.0, 120.0, 80.0, 125.0, 110.0]),
            [Some(110.0), Some(125.0), Some(125.0), Some(125.0)]
        );
        assert_eq!(of(&[2.0, 1.0]), [Some(1.0), Some(2.0), Some(2.0), Some(2.0)]);
        assert_eq!(of(&[7.0]), [Some(7.0); 4]);
        assert_eq!(of(&[]), [None; 4]);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(of(&hundred), [Some(50.0), Some(95.0), Some(99.0), Some(100.0)]);
    }

    #[test]
    fn fractions_and_large_numbers_join_whole_ones() {
        assert_eq!(of(&[3.0, 0.5, 2.0]), [Some(2.0), Some(3.0), Some(3.0), Some(3.0)]);
        assert_eq!(of(&[1e11, 1.0]), [Some(1.0), Some(1e11), Some(1e11), Some(1e11)]);
    }

    /// Between a nanosecond and thirty years, every size as likely as another.
    fn spread(seed: u64, count: usize) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as f64 / f64::from(1u32 << 31)
        };
        (0..count).map(|_| 10f64.powf(next() * 18.0 - 6.0)).collect()
    }

    #[test]
    fn up_to_the_bound_percentiles_are_exact_and_one_more_is_within_the_error() {
        let whole = |count: usize| (0..count).map(|number| (number * 7919 % 100_003) as f64).collect();
        for values in [whole(EXACT + 1), spread(1, EXACT + 1)] {
            let values: Vec<f64> = values;
            let mut full = samples(values[..EXACT].iter().copied());
            assert_eq!(full.error(), Figure(0.0));
            assert_eq!(figures(&mut full), exact(&values[..EXACT]));
            full.push(values[EXACT]);
            assert_eq!(full.error(), Figure(ERROR));
            within_the_error(&mut full, &values);
        }
    }

    fn within_the_error(estimated: &mut Samples, values: &[f64]) {
        let exact = exact(values);
        for (estimate, exact) in figures(estimated).into_iter().zip(exact) {
            let (estimate, exact) = (estimate.unwrap(), exact.unwrap());
            // Half a nanosecond goes where durations are counted in whole ones.
            assert!(
                estimate >= exact - 0.5e-6 && estimate <= exact * (1.0 + ERROR) + 0.5e-6,
                "{estimate} for {exact}"
            );
        }
        assert_eq!(estimated.largest().map(|figure| figure.0), exact[3]);
        assert_eq!(figures(estimated)[3], exact[3], "the largest is known");
    }

    #[test]
    fn groups_together_are_as_if_all_had_been_in_one() {
        let values = spread(2, EXACT * 2 + 10);
        for cuts in
            [[10, 20], [10, EXACT], [EXACT, EXACT + 1], [EXACT + 5, 2 * EXACT], [EXACT / 2, EXACT * 2]]
        {
            let parts = [&values[..cuts[0]], &values[cuts[0]..cuts[1]], &values[cuts[1]..]];
            let mut together = Samples::default();
            parts.iter().for_each(|part| together.absorb(&samples(part.iter().copied())));
            let mut one = samples(values.iter().copied());
            assert_eq!(figures(&mut together), figures(&mut one));
            assert_eq!(together.largest(), one.largest());
            let Kept::Sketch(sketch) = &together.kept else { panic!("more than the bound") };
            assert_eq!(sketch.len(), values.len() as u64, "nothing is lost");
            within_the_error(&mut together, &values);
        }
        let mut few = samples(values[..10].iter().copied());
        few.absorb(&samples(values[10..EXACT].iter().copied()));
        assert_eq!((few.error(), figures(&mut few)), (Figure(0.0), exact(&values[..EXACT])));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]

        #[test]
        fn a_sketch_is_within_its_error(values in proptest::collection::vec(prop_oneof![0.0..10.0, 0.0..1e12f64, Just(0.0)], 1..300)) {
            let mut samples = samples(values.iter().copied());
            samples.kept = Kept::Sketch(samples.kept.sketch());
            within_the_error(&mut samples, &values);
        }
    }
}
