//! Durations and retry policies: `30s`, `5 exponential 200ms..30s`.

use super::model::{Backoff, Retry};
use nom::bytes::complete::tag;
use nom::character::complete::{alpha1, digit1, space0, space1, u32};
use nom::combinator::{all_consuming, opt};
use nom::sequence::{preceded, separated_pair};
use nom::{IResult, Parser};
use std::time::Duration;

/// The longest duration: ten years.
const LONGEST: u64 = 3650 * 24 * 60 * 60 * 1000;

/// Reads `200ms`, `5s`, `5m`, `5h` or `2d`. `None` for anything else and for more than ten years.
pub fn duration(text: &str) -> Option<Duration> {
    all_consuming(length).parse(text).ok().map(|(_, duration)| duration)
}

/// Reads `3`, `3 fixed 1s`, `5 exponential` or `5 exponential 200ms..30s`.
pub(super) fn retry(text: &str) -> Option<Retry> {
    let fixed = preceded((tag("fixed"), space1), length).map(Backoff::Fixed);
    let bounds = preceded(space1, separated_pair(length, (space0, tag(".."), space0), length));
    let exponential = preceded(tag("exponential"), opt(bounds)).map(|bounds| match bounds {
        Some((first, most)) => Backoff::Exponential { first, most },
        None => Backoff::default(),
    });
    let backoff = opt(preceded(space1, nom::branch::alt((fixed, exponential))));
    let (_, (retries, backoff)) =
        all_consuming((u32::<&str, nom::error::Error<&str>>, backoff)).parse(text).ok()?;
    match backoff {
        Some(Backoff::Exponential { first, most }) if first > most => None,
        backoff => Some(Retry { retries, backoff: backoff.unwrap_or_default() }),
    }
}

fn length(input: &str) -> IResult<&str, Duration> {
    let (rest, (number, unit)) = (digit1, alpha1).parse(input)?;
    let millis = number.parse::<u64>().ok().zip(unit_millis(unit)).and_then(|(n, unit)| n.checked_mul(unit));
    match millis {
        Some(millis) if millis <= LONGEST => Ok((rest, Duration::from_millis(millis))),
        _ => Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Verify))),
    }
}

fn unit_millis(unit: &str) -> Option<u64> {
    match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::words;
    use proptest::prelude::*;

    #[test]
    fn durations_have_one_number_and_one_unit() {
        assert_eq!(duration("200ms"), Some(Duration::from_millis(200)));
        assert_eq!(duration("2d"), Some(Duration::from_secs(172_800)));
        for wrong in ["5x", "5", "s", "", "-5s", "1.5s", "5 s", "5s ", "99999999999999999999d", "3651d"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn durations_are_read_as_they_are_shown(number in 0..=LONGEST, unit in prop::sample::select(vec![1, 1000, 60_000, 3_600_000, 86_400_000])) {
            let any = Duration::from_millis(number / unit * unit);
            prop_assert_eq!(duration(&words::duration(any)), Some(any));
        }
    }

    #[test]
    fn retries_have_a_backoff() {
        let secs = Duration::from_secs;
        let of = |retries, backoff| Some(Retry { retries, backoff });
        assert_eq!(retry("3"), of(3, Backoff::default()));
        assert_eq!(retry("3 fixed 1s"), of(3, Backoff::Fixed(secs(1))));
        assert_eq!(retry("5 exponential"), of(5, Backoff::default()));
        let bounded = Backoff::Exponential { first: Duration::from_millis(200), most: secs(30) };
        assert_eq!(retry("5 exponential 200ms..30s"), of(5, bounded));
        for wrong in ["", "x", "3 fixed", "3 linear 1s", "5 exponential 30s..1s", "4294967296", "3fixed 1s"] {
            assert_eq!(retry(wrong), None, "{wrong}");
        }
    }
}
