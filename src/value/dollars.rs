//! Amounts of dollars, exact to a millionth of a millionth: a token costs less than a millionth.

use super::number::Digits;
use super::{Value, json};
use std::fmt;

/// Digits after the point.
const PLACES: usize = 12;
const ONE: u128 = 10u128.pow(PLACES as u32);

/// An amount of dollars that is not negative. Sums that are too large remain at the largest amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dollars(u128);

impl Dollars {
    pub const ZERO: Dollars = Dollars(0);

    /// Reads a JSON number, rounded up. A negative one is zero, so that no report makes room in a budget.
    pub fn parse(text: &str) -> Option<Dollars> {
        let digits = Digits::parse(text)?;
        let (number, exponent) = digits.scaled();
        if digits.is_zero() || number.starts_with('-') {
            return Some(Dollars::ZERO);
        }
        let count = number.len() as i128;
        // The digits of the number of millionths of a millionth.
        let whole = count.saturating_add(exponent).saturating_add(PLACES as i128);
        if whole > 38 {
            return Some(Dollars(u128::MAX));
        }
        let cut = usize::try_from(whole.clamp(0, count)).ok()?;
        let head: u128 = if cut == 0 { 0 } else { number[..cut].parse().ok()? };
        Some(Dollars(match u32::try_from(whole - count) {
            Ok(zeros) => head.saturating_mul(10u128.pow(zeros)),
            Err(_) => head + 1,
        }))
    }

    /// The amount in a JSON value.
    pub fn of(value: &Value) -> Option<Dollars> {
        value.as_number().and_then(|number| Dollars::parse(&number.to_string()))
    }

    /// The amount that an agent reports. None that is negative, which no work costs.
    pub fn reported(value: &Value) -> Option<Dollars> {
        let is_negative = |value: &Value| value.to_string().starts_with('-');
        Dollars::of(value).filter(|dollars| !dollars.is_zero() || !is_negative(value))
    }

    /// The same of a value from another program, which may write its numbers as text.
    pub fn read(value: &Value) -> Option<Dollars> {
        Dollars::reported(value).or_else(|| Dollars::reported(&json::parse(value.as_str()?).ok()?))
    }

    /// What this many tokens cost where a million of them have this price, rounded up.
    pub fn of_tokens(self, tokens: u64) -> Dollars {
        Dollars(self.0.saturating_mul(tokens.into()).div_ceil(1_000_000))
    }

    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub fn plus(self, other: Dollars) -> Dollars {
        Dollars(self.0.saturating_add(other.0))
    }

    /// The rest; zero where `other` is more.
    pub fn less(self, other: Dollars) -> Dollars {
        Dollars(self.0.saturating_sub(other.0))
    }

    /// The number of it that is `by` times as large, if it is a whole one.
    pub fn times(self, by: u64) -> Option<u64> {
        let product = self.0.checked_mul(by.into())?;
        u64::try_from(product / ONE).ok().filter(|_| product.is_multiple_of(ONE))
    }

    /// How many tokens can be bought where a million of them have this price; `None` if they are free.
    pub fn buys(self, million: Dollars) -> Option<u64> {
        let count = self.0.saturating_mul(1_000_000).checked_div(million.0);
        count.map(|count| u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// The amount as a JSON number.
    pub fn value(self) -> Value {
        json::parse(&self.digits(0)).unwrap_or(Value::Null)
    }

    /// Plain digits with at least this many after the point.
    fn digits(self, least: usize) -> String {
        let fraction = format!("{:0PLACES$}", self.0 % ONE);
        let kept = fraction.trim_end_matches('0').len().max(least);
        let point = if kept == 0 { "" } else { "." };
        format!("{}{point}{}", self.0 / ONE, &fraction[..kept])
    }

    /// The amount to two places after the point, or to two digits where it is less than ten cents.
    pub fn rounded(self) -> String {
        let mut unit = ONE / 100;
        while self.0 > 0 && unit > 1 && self.0 < unit * 10 {
            unit /= 10;
        }
        let units = self.0.saturating_add(unit / 2) / unit;
        Dollars(units.saturating_mul(unit)).to_string()
    }
}

impl fmt::Display for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.digits(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_and_rounded_up() {
        let shown = |text: &str| Dollars::parse(text).map(|dollars| dollars.to_string());
        for (text, expected) in [
            ("0", "$0.00"),
            ("1", "$1.00"),
            ("0.5", "$0.50"),
            ("12.340", "$12.34"),
            ("1.5e-7", "$0.00000015"),
            ("1e-12", "$0.000000000001"),
            ("1e-13", "$0.000000000001"),
            ("1e-999999999999", "$0.000000000001"),
            ("0.1234567890123", "$0.123456789013"),
            ("-5", "$0.00"),
            ("2e3", "$2000.00"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(Dollars::parse("1e99999999"), Some(Dollars(u128::MAX)));
        assert_eq!(Dollars::parse("99999999999999999999999999999999"), Some(Dollars(u128::MAX)));
        assert_eq!(Dollars::parse("five"), None);
        assert_eq!(Dollars::of(&Value::from("5")), None);
        let reported = |text: &str| Dollars::reported(&json::parse(text).unwrap());
        assert_eq!((reported("-0.5"), reported("\"5\""), reported("0")), (None, None, Some(Dollars::ZERO)));
        assert_eq!(reported("1e400000000"), Some(Dollars(u128::MAX)));
        assert_eq!(reported("1e-9223372036854775807"), Some(Dollars(1)));
        let most = Dollars(u128::MAX);
        assert_eq!(most.plus(most), most);
        assert_eq!(Dollars(3).less(Dollars(5)), Dollars::ZERO);
        let dollars = |text| Dollars::parse(text).unwrap();
        assert_eq!(dollars("0.50").buys(dollars("15")), Some(33_333));
        assert_eq!(dollars("0.50").buys(Dollars::ZERO), None);
        assert_eq!((dollars("1.5").times(1000), dollars("0.5").times(1)), (Some(1500), None));
        assert_eq!(Dollars::parse("0.50").unwrap().value().to_string(), "0.5");
        let cost = |price, tokens| dollars(price).of_tokens(tokens).value().to_string();
        assert_eq!((&*cost("0.15", 20), &*cost("0.0000001", 3)), ("0.000003", "0.000000000001"));
        assert_eq!(dollars("1e30").of_tokens(u64::MAX), Dollars(u128::MAX.div_ceil(1_000_000)));
    }

    #[test]
    fn a_sum_is_shown_with_the_digits_that_a_reader_needs() {
        let rounded = |text: &str| Dollars::parse(text).unwrap().rounded();
        for (text, expected) in [
            ("0", "$0.00"),
            ("12.3456", "$12.35"),
            ("0.999", "$1.00"),
            ("0.0456", "$0.046"),
            ("0.00004", "$0.00004"),
            ("0.000041234", "$0.000041"),
            ("0.1234", "$0.12"),
            ("0.000000000001", "$0.000000000001"),
        ] {
            assert_eq!(rounded(text), expected, "{text}");
        }
    }
}
