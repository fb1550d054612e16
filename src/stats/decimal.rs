//! Exact decimal numbers: money is summed as it is written, not as floats that drift.

use std::fmt;

/// `digits` / 10^`scale`, in up to 38 digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decimal {
    digits: i128,
    scale: u32,
}

impl Decimal {
    /// Reads a number of JSON. None where it does not fit.
    pub fn parse(text: &str) -> Option<Decimal> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let negative = number.starts_with('-');
        let mut digits: i128 = 0;
        let mut scale: i32 = 0;
        let mut fraction = false;
        for byte in number.bytes().skip(usize::from(negative)) {
            if byte == b'.' {
                fraction = true;
                continue;
            }
            let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
            digits = digits.checked_mul(10)?.checked_add(i128::from(digit))?;
            scale += i32::from(fraction);
        }
        let scale = scale.checked_sub(exponent)?;
        let digits = if negative { -digits } else { digits };
        match u32::try_from(scale) {
            Ok(scale) if scale <= 38 || digits == 0 => Some(Decimal { digits, scale: scale.min(38) }),
            Ok(_) => None,
            Err(_) => Some(Decimal { digits: scaled(digits, scale.unsigned_abs())?, scale: 0 }),
        }
    }

    pub fn checked_add(self, other: Decimal) -> Option<Decimal> {
        let scale = self.scale.max(other.scale);
        let one = scaled(self.digits, scale - self.scale)?;
        let digits = one.checked_add(scaled(other.digits, scale - other.scale)?)?;
        Some(Decimal { digits, scale })
    }

    /// The nearest float.
    pub fn to_f64(self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }
}

fn scaled(digits: i128, by: u32) -> Option<i128> {
    if digits == 0 { Some(0) } else { digits.checked_mul(10i128.checked_pow(by)?) }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.digits < 0 { "-" } else { "" };
        let scale = self.scale as usize;
        let digits = format!("{:0>width$}", self.digits.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        if scale == 0 { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{fraction}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(texts: &[&str]) -> Option<String> {
        texts
            .iter()
            .try_fold(Decimal::default(), |sum, text| sum.checked_add(Decimal::parse(text)?))
            .map(|sum| sum.to_string())
    }

    #[test]
    fn sums_are_exact_and_keep_their_cents() {
        assert_eq!(sum(&["89.99", "145.50", "67.25"]).as_deref(), Some("302.74"));
        assert_eq!(sum(&["0.1"; 10]).as_deref(), Some("1.0"));
        assert_eq!(sum(&["-0.05", "0.04"]).as_deref(), Some("-0.01"));
        assert_eq!(sum(&["1e3", "5E-1"]).as_deref(), Some("1000.5"));
        assert_eq!(sum(&[]).as_deref(), Some("0"));
    }

    #[test]
    fn what_does_not_fit_is_no_number() {
        assert_eq!(sum(&["1e400"]), None);
        assert_eq!(sum(&["1e-400"]), None);
        assert_eq!(sum(&["1e-99999999999"]), None);
        assert_eq!(sum(&[&"9".repeat(40)]), None);
        assert_eq!(sum(&["0e400"]).as_deref(), Some("0"));
    }

    proptest! {
        #[test]
        fn reading_and_showing_are_inverse(digits in any::<i64>(), scale in 0u32..12) {
            let decimal = Decimal { digits: digits.into(), scale };
            prop_assert_eq!(Decimal::parse(&decimal.to_string()), Some(decimal));
        }

        #[test]
        fn no_text_breaks_it(text in "-?[0-9.]{0,50}(e[+-]?[0-9]{0,12})?") {
            let _ = Decimal::parse(&text).map(|decimal| decimal.to_string());
        }
    }
}
