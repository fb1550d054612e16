//! Durations of a group, kept whole so that percentiles are exact: four bytes each while they are whole
//! milliseconds, eight otherwise.

use super::model::Figure;

#[derive(Clone, Debug)]
pub(super) enum Samples {
    Whole(Vec<u32>),
    /// Never NaN.
    Any(Vec<f64>),
}

impl Default for Samples {
    fn default() -> Self {
        Samples::Whole(Vec::new())
    }
}

impl Samples {
    pub fn push(&mut self, milliseconds: f64) {
        match self {
            Samples::Whole(values) => {
                let whole = milliseconds as u32;
                if f64::from(whole) == milliseconds {
                    values.push(whole);
                } else {
                    let mut values: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
                    values.push(milliseconds);
                    *self = Samples::Any(values);
                }
            }
            Samples::Any(values) => values.push(milliseconds),
        }
    }

    /// The smallest value that at least this many percent of all values do not exceed, for each percentage.
    pub fn percentiles<const N: usize>(mut self, percents: [u64; N]) -> [Option<Figure>; N] {
        match &mut self {
            Samples::Whole(values) => values.sort_unstable(),
            Samples::Any(values) => values.sort_unstable_by(f64::total_cmp),
        }
        percents.map(|percent| {
            match &self {
                Samples::Whole(values) => rank(values, percent).map(f64::from),
                Samples::Any(values) => rank(values, percent),
            }
            .map(Figure)
        })
    }
}

fn rank<T: Copy>(sorted: &[T], percent: u64) -> Option<T> {
    let nth = (sorted.len() as u64 * percent).div_ceil(100).max(1);
    sorted.get(usize::try_from(nth).ok()? - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> [Option<f64>; 4] {
        let mut samples = Samples::default();
        values.iter().for_each(|value| samples.push(*value));
        samples.percentiles([50, 95, 99, 100]).map(|figure| figure.map(|figure| figure.0))
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
}
