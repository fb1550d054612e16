//! Numbers by value: `1`, `1.0` and `10e-1` are equal. Reads their digits where they are written, so that a
//! comparison takes no longer than the text is long: `1e999999999` is never written out. Computes nothing.

use super::{Value, json};
use std::cmp::Ordering;

/// The most digits to which a number is written out or computed.
pub const LONGEST: usize = 10_000;

/// A number of JSON as its value: ±0.d₁d₂… × 10^`lead`, with neither leading nor trailing zeros among the digits.
#[derive(Clone, Copy, Debug)]
pub struct Digits<'a> {
    negative: bool,
    /// Those before the point and those after it; both empty for zero.
    whole: &'a str,
    fraction: &'a str,
    lead: i128,
}

impl<'a> Digits<'a> {
    /// Reads a number of JSON. `None` for any other text, and where the exponent is beyond 128 bits.
    pub fn parse(text: &'a str) -> Option<Digits<'a>> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(unsigned) => (true, unsigned),
            None => (false, text),
        };
        let (number, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, Some(exponent)),
            None => (unsigned, None),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let is_digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let unsigned = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
        if unsigned.is_some_and(|exponent| exponent.is_empty() || !is_digits(exponent)) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let significant = if whole.is_empty() { fraction.trim_start_matches('0') } else { fraction };
        let skipped = fraction.len() - significant.len();
        let fraction = significant.trim_end_matches('0');
        let trimmed = if fraction.is_empty() { whole.trim_end_matches('0') } else { whole };
        if trimmed.is_empty() && fraction.is_empty() {
            return Some(Digits { negative: false, whole: "", fraction: "", lead: 0 });
        }
        let exponent: i128 = exponent.map_or(Some(0), |exponent| exponent.parse().ok())?;
        // A text's length is far below the bound of an exponent that could be read.
        let lead = exponent.checked_add(whole.len() as i128)?.checked_sub(skipped as i128)?;
        Some(Digits { negative, whole: trimmed, fraction, lead })
    }

    pub fn is_zero(&self) -> bool {
        self.count() == 0
    }

    /// Whether it has no fraction, however it is written: `1.0` and `1e3` have none.
    pub fn is_whole(&self) -> bool {
        self.lead >= self.count() as i128
    }

    /// How many digits it has from the first to the last that is not zero.
    pub fn count(&self) -> usize {
        self.whole.len() + self.fraction.len()
    }

    fn bytes(&self) -> impl Iterator<Item = u8> + use<'a> {
        self.whole.bytes().chain(self.fraction.bytes())
    }

    /// The digits without point and zeros around them, and the power of ten by which they count.
    pub fn scaled(&self) -> (String, i128) {
        let sign = if self.negative { "-" } else { "" };
        (format!("{sign}{}{}", self.whole, self.fraction), self.lead - self.count() as i128)
    }

    /// The shortest text without an exponent: `1e3` as `1000`, `1.50` as `1.5`. `None` where it would have more than
    /// [`LONGEST`] digits.
    pub fn plain(&self) -> Option<String> {
        if self.is_zero() {
            return Some("0".to_owned());
        }
        let lead = isize::try_from(self.lead).ok().filter(|lead| lead.unsigned_abs() <= LONGEST)?;
        let count = self.count();
        if count > LONGEST {
            return None;
        }
        let digits = format!("{}{}", self.whole, self.fraction);
        let sign = if self.negative { "-" } else { "" };
        Some(match usize::try_from(lead) {
            Ok(lead) if lead >= count => format!("{sign}{digits:0<lead$}"),
            Ok(lead @ 1..) => format!("{sign}{}.{}", &digits[..lead], &digits[lead..]),
            Ok(_) | Err(_) => format!("{sign}0.{}{digits}", "0".repeat(lead.unsigned_abs())),
        })
    }
}

impl PartialEq for Digits<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Digits<'_> {}

impl PartialOrd for Digits<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Digits<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.is_zero(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        sign(self).cmp(&sign(other)).then_with(|| {
            let size = self.lead.cmp(&other.lead).then_with(|| self.bytes().cmp(other.bytes()));
            if self.negative { size.reverse() } else { size }
        })
    }
}

/// Whether two values are equal, with numbers compared by value wherever they are.
pub fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other
                || Digits::parse(one.as_str())
                    .zip(Digits::parse(other.as_str()))
                    .is_some_and(|(one, other)| one == other)
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let same =
                |(name, value): (&String, &Value)| other.get(name).is_some_and(|other| equal(value, other));
            one.len() == other.len() && one.iter().all(same)
        }
        (one, other) => one == other,
    }
}

/// A whole number from 0, however it is written; `None` for all else.
pub fn whole(value: &Value) -> Option<u64> {
    let digits = Digits::parse(value.as_number()?.as_str())?;
    if digits.is_whole() { digits.plain()?.parse().ok() } else { None }
}

/// The same of a value from another program, which may write its numbers as text.
pub fn reported(value: &Value) -> Option<u64> {
    whole(value).or_else(|| whole(&json::parse(value.as_str()?).ok()?))
}

/// The value with every number in its shortest form: of equal values the same text but for the order of members.
pub fn canonical(value: &Value) -> Value {
    match value {
        Value::Number(number) => {
            let digits = Digits::parse(number.as_str());
            let text = digits.map(|digits| {
                let exponent = || {
                    let (digits, exponent) = digits.scaled();
                    format!("{digits}e{exponent}")
                };
                digits.plain().unwrap_or_else(exponent)
            });
            text.and_then(|text| text.parse().ok()).map_or_else(|| value.clone(), Value::Number)
        }
        Value::Array(elements) => elements.iter().map(canonical).collect(),
        Value::Object(members) => {
            let mut members: Vec<_> =
                members.iter().map(|(name, value)| (name.clone(), canonical(value))).collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            Value::Object(members.into_iter().collect())
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn number(text: &str) -> Value {
        Value::Number(text.parse().unwrap())
    }

    #[test]
    fn equal_numbers_are_equal_wherever_they_are() {
        for (one, other) in [
            ("1", "1.0"),
            ("1", "10e-1"),
            ("0", "-0.0e-99999999999999999999999999999999999999999999"),
            ("1E+400", "10e399"),
            ("0.00120", "12e-4"),
            ("1e999999999", "0.1e1000000000"),
            ("12345678901234567890", "12345678901234567890.0"),
        ] {
            let (one, other) = (number(one), number(other));
            assert!(equal(&one, &other), "{one} {other}");
            assert!(equal(&json!([{"a": one, "b": 1}]), &json!([{"b": 1, "a": other}])));
            assert_eq!(canonical(&one), canonical(&other));
        }
        for (one, other) in [
            ("9007199254740993", "9007199254740992"),
            ("0.1", "0.10000000000000000001"),
            ("1", "-1"),
            ("1e999999999", "1e999999998"),
            ("0", "1e-999999999"),
        ] {
            let (one, other) = (number(one), number(other));
            assert!(!equal(&one, &other), "{one} {other}");
            assert!(!equal(&json!([[one]]), &json!([[other]])));
            assert_ne!(canonical(&one), canonical(&other));
        }
        assert!(!equal(&json!([1]), &json!([1, 2])) && !equal(&json!({"a": 1}), &json!({"b": 1})));
        assert!(!equal(&json!("1"), &json!(1)));
    }

    #[test]
    fn numbers_are_in_order_of_their_values() {
        let sorted = [
            "-1e999999999",
            "-10",
            "-9.5",
            "-1e-999999999",
            "0",
            "1e-999999999",
            "0.099",
            "0.1",
            "0.11",
            "2",
            "10",
            "18446744073709551616",
            "18446744073709551617",
            "1e999999999",
        ];
        let read = |text: &'static str| Digits::parse(text).unwrap();
        for (at, one) in sorted.into_iter().enumerate() {
            for (place, other) in sorted.into_iter().enumerate() {
                assert_eq!(read(one).cmp(&read(other)), at.cmp(&place), "{one} {other}");
            }
        }
    }

    #[test]
    fn a_number_is_written_plainly_unless_that_is_too_long() {
        let plain = |text: &str| Digits::parse(text).unwrap().plain();
        for (written, shortest) in [
            ("5.0", "5"),
            ("-1e3", "-1000"),
            ("1.50", "1.5"),
            ("-0.0", "0"),
            ("12.5e-3", "0.0125"),
            ("120e-1", "12"),
            ("0.1e3", "100"),
        ] {
            assert_eq!(plain(written).as_deref(), Some(shortest), "{written}");
        }
        assert_eq!(plain("1e9999").map(|text| text.len()), Some(LONGEST));
        for long in ["1e10000", "1e999999999", "1e-999999999"] {
            assert_eq!(plain(long), None, "{long}");
        }
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        let is_whole = |text: &str| Digits::parse(text).unwrap().is_whole();
        for yes in ["0", "-7", "1.0", "1.50e1", "-2.000", "1e3", "1E+3", "120e-1", "0e-5", "0.0", "1e400"] {
            assert!(is_whole(yes), "{yes}");
        }
        for no in ["1.5", "-0.1", "1.25e1", "12e-2", "1e-1", "1.0e-1", "1e-99999999999999999999"] {
            assert!(!is_whole(no), "{no}");
        }
        assert_eq!(whole(&number("5e2")), Some(500));
        assert_eq!(whole(&number("-1")), None);
        assert_eq!(whole(&number("1e999999999")), None);
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in [
            "",
            "-",
            "x",
            ".5",
            "1e",
            "0e",
            "0ex",
            "1e1.5",
            "1e+-1",
            "0x10",
            "1e99999999999999999999999999999999999999999999",
        ] {
            assert!(Digits::parse(text).is_none(), "{text}");
        }
    }
}
