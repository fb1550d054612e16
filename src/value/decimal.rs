//! Exact arithmetic. A result has at most [`LONGEST`] digits, which bounds its time and memory.
//!
//! The digits are bigdecimal's: it is maintained, knows integers of any size, and builds on num-bigint, which the
//! schemas need anyway. rust_decimal ends at 28 digits, fastnum at a size chosen in advance, and dashu rounds to a
//! precision that each number carries. What bigdecimal would take long for is bounded here: exponents have a limit,
//! and quotients and remainders are computed without writing their operands out.

use super::number::{Digits, LONGEST};
use bigdecimal::num_bigint::{BigInt, Sign};
use bigdecimal::{BigDecimal, RoundingMode, Zero};
use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU64;

/// The significant digits of a quotient that does not end: those of decimal128.
pub const QUOTIENT: u64 = 34;

/// The largest exponent that is computed with: sums of two of them fit into 64 bits.
const FURTHEST: i64 = 1 << 60;

/// A decimal number of up to [`LONGEST`] digits and any exponent. Zeros after the point are preserved: the sum of
/// `0.50` and `1.50` is `2.00`.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal(BigDecimal);

impl Decimal {
    /// Reads a JSON number. `None` for any other text, or with too many digits.
    pub fn parse(text: &str) -> Option<Decimal> {
        let digits = Digits::parse(text)?;
        if digits.is_zero() || digits.count() > LONGEST {
            return digits.is_zero().then(Decimal::default);
        }
        let (number, exponent) = digits.scaled();
        let exponent = i64::try_from(exponent).ok().filter(|exponent| exponent.abs() <= FURTHEST)?;
        let number = BigDecimal::new(BigInt::parse_bytes(number.as_bytes(), 10)?, -exponent);
        // Zeros after the point are part of an amount.
        let places = text.split_once('.').map_or("", |(_, fraction)| fraction);
        let written = if places.contains(['e', 'E']) { 0 } else { i64::try_from(places.len()).ok()? };
        let scale = written.max(-exponent).max(0);
        let room = digits.count() as i64 + scale + exponent <= LONGEST as i64;
        Some(Decimal(if room { number.with_scale(scale) } else { number }))
    }

    /// The decimal that a float is written as: 0.1 is a tenth. `None` for infinities and NaN.
    pub fn of_float(number: f64) -> Option<Decimal> {
        Decimal::parse(&number.to_string())
    }

    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// The sum; `None` if it has too many digits. The other operations have the same limit.
    pub fn add(&self, other: &Decimal) -> Option<Decimal> {
        if self.is_zero() || other.is_zero() {
            let sum = if self.is_zero() { other } else { self };
            return Some(sum.clone());
        }
        // From the first digit of either to the last of either.
        let first = self.first().max(other.first());
        let last = (-self.0.fractional_digit_count()).min(-other.0.fractional_digit_count());
        if first - last > LONGEST as i64 {
            return None;
        }
        bounded(&self.0 + &other.0)
    }

    pub fn subtract(&self, other: &Decimal) -> Option<Decimal> {
        self.add(&Decimal(-&other.0))
    }

    pub fn multiply(&self, other: &Decimal) -> Option<Decimal> {
        bounded(&self.0 * &other.0)
    }

    /// The quotient, exact if it ends, else rounded half to even to [`QUOTIENT`] digits. Also `None` if `other` is
    /// zero.
    pub fn divide(&self, other: &Decimal) -> Option<Decimal> {
        if self.is_zero() || other.is_zero() {
            return (!other.is_zero()).then(Decimal::default);
        }
        let ((a, a_scale), (b, b_scale)) = (self.parts(), other.parts());
        let scale = a_scale - b_scale;
        // It ends where only twos and fives of the divisor are left, and then after as many places as either.
        let twos = b.trailing_zeros().unwrap_or(0);
        let (fives, rest) = without_fives(&b >> twos);
        if (&a % &rest).is_zero() {
            let places = u32::try_from(twos).ok()?.max(fives);
            let ends = a * power(10, places) / b;
            return bounded(BigDecimal::new(ends, scale + i64::from(places)).normalized());
        }
        let spare = QUOTIENT as i64 + 2 + digits(&b) - digits(&a);
        let spare = u32::try_from(spare.max(0)).ok()?;
        let quotient = a * power(10, spare) / &b;
        // The remainder is not zero, so a last digit of one decides on which side of a half the quotient is.
        let sticky = quotient * 10 + sign(self, other);
        let quotient = BigDecimal::new(sticky, scale + i64::from(spare) + 1);
        bounded(quotient.with_precision_round(NonZeroU64::new(QUOTIENT)?, RoundingMode::HalfEven))
    }

    /// The remainder of the whole quotient, with the sign of `self`. Also `None` if `other` is zero.
    pub fn remainder(&self, other: &Decimal) -> Option<Decimal> {
        if other.is_zero() {
            return None;
        }
        let ((a, a_scale), (b, b_scale)) = (self.parts(), other.parts());
        if a.is_zero() || self.first() < other.first() {
            return Some(self.clone());
        }
        match a_scale.cmp(&b_scale) {
            Ordering::Less => {
                // 10^n modulo b needs no number larger than b squared, however large n is.
                let by = BigInt::from(b.magnitude().clone());
                let raised = BigInt::from(10).modpow(&BigInt::from(b_scale - a_scale), &by);
                bounded(BigDecimal::new(a * raised % by, b_scale))
            }
            // Its first digit is not before that of `self`, so it is not longer than `self`.
            Ordering::Equal | Ordering::Greater => {
                let by = b * power(10, u32::try_from(a_scale - b_scale).ok()?);
                bounded(BigDecimal::new(a % by, a_scale))
            }
        }
    }

    /// Digits without zeros at the end, and how many of them are places after the point.
    fn parts(&self) -> (BigInt, i64) {
        self.0.normalized().into_bigint_and_scale()
    }

    /// The power of ten above its first digit.
    fn first(&self) -> i64 {
        digits(self.0.as_bigint_and_scale().0.as_ref()) - self.0.fractional_digit_count()
    }
}

fn bounded(number: BigDecimal) -> Option<Decimal> {
    let fits = |number: &BigDecimal| {
        let furthest = if number.is_zero() { LONGEST as i64 } else { FURTHEST };
        number.digits() <= LONGEST as u64 && number.fractional_digit_count().abs() <= furthest
    };
    if fits(&number) {
        return Some(Decimal(number));
    }
    // Zero has no exponent.
    let number = number.normalized();
    fits(&number).then_some(Decimal(number))
}

fn sign(one: &Decimal, other: &Decimal) -> i32 {
    if (one.0.sign() == Sign::Minus) == (other.0.sign() == Sign::Minus) { 1 } else { -1 }
}

fn digits(number: &BigInt) -> i64 {
    BigDecimal::new(number.clone(), 0).digits() as i64
}

fn power(base: u32, exponent: u32) -> BigInt {
    BigInt::from(base).pow(exponent)
}

/// How often a number is divisible by five, and the number divided by all of them.
fn without_fives(mut number: BigInt) -> (u32, BigInt) {
    let mut times = 0;
    // In large steps first: each costs a division.
    for step in [1024, 32, 1] {
        let by = power(5, step);
        while (&number % &by).is_zero() {
            number /= &by;
            times += step;
        }
    }
    (times, number)
}

impl From<u64> for Decimal {
    fn from(count: u64) -> Decimal {
        Decimal(BigDecimal::from(count))
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Decimal {
    /// Without an exponent, unless that would be longer than [`LONGEST`] digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (digits, scale) = self.0.as_bigint_and_scale();
        if scale.unsigned_abs() <= LONGEST as u64 {
            f.write_str(&self.0.to_plain_string())
        } else {
            write!(f, "{digits}e{}", -scale)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn sum(texts: &[&str]) -> Option<String> {
        let sum = |sum: Decimal, text: &&str| sum.add(&Decimal::parse(text)?);
        texts.iter().try_fold(Decimal::default(), sum).map(|sum| sum.to_string())
    }

    #[test]
    fn sums_are_exact_and_keep_their_cents() {
        assert_eq!(sum(&["89.99", "145.50", "67.25"]).as_deref(), Some("302.74"));
        assert_eq!(sum(&["0.1"; 10]).as_deref(), Some("1.0"));
        assert_eq!(sum(&["100.00", "0.50", "1.50"]).as_deref(), Some("102.00"));
        assert_eq!(sum(&["-0.05", "0.04"]).as_deref(), Some("-0.01"));
        assert_eq!(sum(&["1e3", "5E-1"]).as_deref(), Some("1000.5"));
        assert_eq!(sum(&["1000"; 2]).as_deref(), Some("2000"));
        assert_eq!(sum(&[&"9".repeat(40), "1"]), Some(format!("1{}", "0".repeat(40))));
        assert_eq!(sum(&[]).as_deref(), Some("0"));
    }

    #[test]
    fn nothing_is_written_out_that_has_too_many_digits() {
        let read = |text: &str| Decimal::parse(text).unwrap();
        let (huge, tiny) = (read("1e999999999"), read("-1e-999999999"));
        assert_eq!(huge.add(&tiny), None);
        assert_eq!(huge.add(&read("0")), Some(huge.clone()));
        assert_eq!(huge.subtract(&huge).map(|none| none.to_string()).as_deref(), Some("0"));
        assert_eq!(huge.multiply(&tiny).unwrap().to_string(), "-1");
        assert_eq!(huge.multiply(&huge).unwrap().to_string(), "1e1999999998");
        assert_eq!(huge.divide(&tiny).unwrap().to_string(), "-1e1999999998");
        assert_eq!(huge.remainder(&read("7")).unwrap().to_string(), "6");
        assert_eq!(huge.remainder(&read("2")).unwrap().to_string(), "0");
        assert_eq!(tiny.remainder(&huge), Some(tiny.clone()));
        assert_eq!(read("3").remainder(&huge).unwrap().to_string(), "3");
        assert!(tiny < huge);
        let long = read(&"7".repeat(LONGEST));
        assert_eq!(long.add(&long), None);
        assert_eq!(long.multiply(&long), None);
        assert_eq!(Decimal::parse(&"7".repeat(LONGEST + 1)), None);
        assert_eq!(Decimal::parse("1e9999999999999999999"), None);
        assert_eq!(read("1").divide(&read("0")), None);
        assert_eq!(read("1").remainder(&read("0.0")), None);
    }

    /// Reads `operator a b` in every line and says the result as a fraction.
    const ORACLE: &str = r#"
import sys
from decimal import Decimal, Context, ROUND_HALF_EVEN
from fractions import Fraction

def ends(f):
    d = f.denominator
    for prime in (2, 5):
        while d % prime == 0: d //= prime
    return d == 1

rounding = Context(prec=34, rounding=ROUND_HALF_EVEN, Emax=10**6, Emin=-10**6)
for line in sys.stdin:
    operator, a, b = line.split()
    a, b = Fraction(a), Fraction(b)
    if operator in '/%' and b == 0: print('none'); continue
    if operator == '+': found = a + b
    if operator == '-': found = a - b
    if operator == '*': found = a * b
    if operator == '%':
        q = abs(a) // abs(b)
        found = a - b * (q if (a < 0) == (b < 0) else -q)
    if operator == '/':
        found = a / b
        if not ends(found):
            found = Fraction(rounding.divide(Decimal(found.numerator), Decimal(found.denominator)))
    print(found)
"#;

    /// Numbers as JSON has them, and the results that Python's fractions give.
    #[test]
    fn results_are_those_of_fractions() {
        let mut state: u64 = 7;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        let mut number = |text: &mut String| {
            if next(2) == 0 {
                text.push('-');
            }
            let longest = if next(4) == 0 { 60 } else { 6 };
            let (whole, places) = (1 + next(longest), next(8));
            let first = next(10);
            text.push(char::from(b'0' + first as u8));
            if first > 0 {
                (1..whole).for_each(|_| text.push(char::from(b'0' + next(10) as u8)));
            }
            if places > 0 {
                text.push('.');
                (0..places).for_each(|_| text.push(char::from(b'0' + next(10) as u8)));
            }
            if next(4) == 0 {
                text.push_str(&format!("e{}", next(41) as i64 - 20));
            }
        };
        let cases: Vec<(char, String, String)> = (0..5000)
            .map(|case| {
                let (mut a, mut b) = (String::new(), String::new());
                number(&mut a);
                number(&mut b);
                (['+', '-', '*', '/', '%'][case % 5], a, b)
            })
            .collect();
        let input: String = cases.iter().map(|(operator, a, b)| format!("{operator} {a} {b}\n")).collect();
        let told = python(ORACLE, &input);
        let told: Vec<&str> = told.lines().collect();
        assert_eq!(told.len(), cases.len());
        let own: Vec<Option<Decimal>> = cases
            .iter()
            .map(|(operator, a, b)| {
                let (a, b) = (Decimal::parse(a).unwrap(), Decimal::parse(b).unwrap());
                match operator {
                    '+' => a.add(&b),
                    '-' => a.subtract(&b),
                    '*' => a.multiply(&b),
                    '/' => a.divide(&b),
                    _ => a.remainder(&b),
                }
            })
            .collect();
        // Back through the oracle, so that both are written in one way.
        let own: String = own
            .into_iter()
            .map(|found| found.map_or("/ 1 0\n".to_owned(), |found| format!("+ {found} 0\n")))
            .collect();
        for (case, (own, told)) in cases.iter().zip(python(ORACLE, &own).lines().zip(told)) {
            assert_eq!(own, told, "{case:?}");
        }
    }

    fn python(script: &str, input: &str) -> String {
        let mut python = Command::new("python3")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is there");
        let mut stdin = python.stdin.take().unwrap();
        let input = input.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = python.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }

    proptest! {
        #[test]
        fn reading_and_showing_are_inverse(digits in any::<i64>(), scale in 0i64..12) {
            let decimal = Decimal(BigDecimal::new(digits.into(), scale));
            prop_assert_eq!(Decimal::parse(&decimal.to_string()).unwrap().to_string(), decimal.to_string());
        }

        #[test]
        fn no_text_breaks_it(text in "-?[0-9.]{0,50}(e[+-]?[0-9]{0,12})?") {
            let _ = Decimal::parse(&text).map(|decimal| decimal.to_string());
        }
    }
}
