//! Expectations: `p95 < 2s, 'Process Payment'.errors < 1%`. Reads them; `stats` checks them.

use super::duration::duration;
use crate::diag::nearest;
use crate::value::Decimal;
use crate::value::space::is_space;
use crate::value::words;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_until, take_while, take_while1};
use nom::character::complete::{char, digit1};
use nom::combinator::{opt, recognize, value};
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};
use std::ops::Range;

/// One expectation about the statistics of a step or of a whole run.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// A step's title or phase, as written; `None` for the step or run of the context.
    pub step: Option<String>,
    pub quantity: Quantity,
    pub relation: Relation,
    pub bound: Bound,
    /// Without the step, as written.
    pub text: String,
}

/// The measured quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quantity {
    Count,
    /// Executions that failed: their number, or their share of those that were tried.
    Errors,
    /// Executions that succeeded, likewise.
    Success,
    Mean,
    P50,
    P95,
    P99,
    Max,
    Tokens,
    /// The time saved by parallel steps, or its share of the sequential time.
    Saved,
    /// Every number in a column that an agent reports.
    Column(String),
}

/// How a figure is compared with the bound of an expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
}

/// The bound of an expectation, with its unit.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    Number(Decimal),
    Milliseconds(Decimal),
    /// `2%` is 2.
    Percent(Decimal),
}

impl Bound {
    /// The number alone.
    pub fn number(&self) -> &Decimal {
        match self {
            Bound::Number(number) | Bound::Milliseconds(number) | Bound::Percent(number) => number,
        }
    }
}

/// Why a text is not a list of expectations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misread {
    /// The bytes of the text with the problem.
    pub span: Range<usize>,
    pub what: String,
    pub help: String,
}

/// The names of all quantities except columns.
pub const QUANTITIES: [(&str, Quantity); 10] = [
    ("count", Quantity::Count),
    ("errors", Quantity::Errors),
    ("success", Quantity::Success),
    ("mean", Quantity::Mean),
    ("p50", Quantity::P50),
    ("p95", Quantity::P95),
    ("p99", Quantity::P99),
    ("max", Quantity::Max),
    ("tokens", Quantity::Tokens),
    ("saved", Quantity::Saved),
];

/// Reads expectations separated by commas, each with its bytes in the text, and all problems.
pub fn expectations(text: &str) -> (Vec<(Expectation, Range<usize>)>, Vec<Misread>) {
    let mut reader = Reader { text, rest: text };
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    loop {
        reader.space();
        let start = reader.at();
        let one = reader.one();
        let whole = one.is_ok();
        match one {
            Ok(expectation) => found.push((expectation, start..reader.at())),
            Err(misread) => faults.push(misread),
        }
        reader.space();
        let more = reader.rest.find(',').unwrap_or(reader.rest.len());
        if whole && more > 0 {
            let what = "expected a comma or the end".to_owned();
            faults.push(misread(reader.at()..reader.at() + more, what, EXAMPLE.to_owned()));
        }
        // The text after the next comma is another expectation.
        reader.rest = &reader.rest[more..];
        if !reader.take(char(',')) {
            return (found, faults);
        }
    }
}

const EXAMPLE: &str = "an expectation is a figure, a relation and a bound: p95 < 2s, errors < 1%";

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn at(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches(is_space);
    }

    /// Runs a parser on the rest.
    fn read<T>(&mut self, mut parser: impl Parser<&'a str, Output = T, Error = Error<'a>>) -> Option<T> {
        let (rest, found) = parser.parse(self.rest).ok()?;
        self.rest = rest;
        Some(found)
    }

    fn take<T>(&mut self, parser: impl Parser<&'a str, Output = T, Error = Error<'a>>) -> bool {
        self.read(parser).is_some()
    }

    fn one(&mut self) -> Result<Expectation, Misread> {
        let step = self.read(step).map(str::to_owned);
        let start = self.at();
        let name = self.read(name);
        let Some(name) = name else {
            return Err(self.here("expected the name of a figure", &figures()));
        };
        let named = start..self.at();
        self.space();
        let Some(relation) = self.read(relation) else {
            let help = "the relations are <, <=, >, >= and ==";
            return Err(self.here("expected a relation", help));
        };
        self.space();
        let from = self.at();
        let written = self.read(bound).unwrap_or_default();
        let Some(bound) = measure(written) else {
            let what = if written.is_empty() {
                "expected a bound".to_owned()
            } else {
                format!("`{written}` is not a bound")
            };
            let help = "a bound is a number, a duration such as 200ms, 2s or 5m, or a percentage such as 1%";
            let span = if written.is_empty() { self.place() } else { from..self.at() };
            return Err(misread(span, what, help.to_owned()));
        };
        let known = QUANTITIES.into_iter().find(|(known, _)| *known == name);
        let quantity = known.map_or_else(|| Quantity::Column(name.to_owned()), |(_, quantity)| quantity);
        quantity.check(name, named, &bound, from..self.at())?;
        let text = self.text[start..self.at()].to_owned();
        Ok(Expectation { step, quantity, relation, bound, text })
    }

    fn here(&self, what: &str, help: &str) -> Misread {
        misread(self.place(), what.to_owned(), help.to_owned())
    }

    /// The next word, or the end.
    fn place(&self) -> Range<usize> {
        let word = self.rest.split(|c| is_space(c) || c == ',').next().unwrap_or_default();
        self.at()..self.at() + word.len()
    }
}

type Error<'a> = nom::error::Error<&'a str>;

/// `'Step Title'.`
fn step(input: &str) -> IResult<&str, &str> {
    terminated(delimited(char('\''), take_until("'."), char('\'')), char('.')).parse(input)
}

/// The name of a quantity; the name of a column in quotes if it is not plain.
fn name(input: &str) -> IResult<&str, &str> {
    let plain = take_while1(|c: char| c.is_alphanumeric() || "_-./".contains(c));
    alt((delimited(char('\''), take_while1(|c| c != '\''), char('\'')), plain)).parse(input)
}

fn relation(input: &str) -> IResult<&str, Relation> {
    alt((
        value(Relation::LessOrEqual, tag("<=")),
        value(Relation::GreaterOrEqual, tag(">=")),
        value(Relation::Equal, tag("==")),
        value(Relation::Less, tag("<")),
        value(Relation::Greater, tag(">")),
    ))
    .parse(input)
}

fn bound(input: &str) -> IResult<&str, &str> {
    let number = (opt(char('-')), digit1, opt(preceded(char('.'), digit1)));
    recognize((number, take_while(|c: char| c.is_alphanumeric() || "%.".contains(c)))).parse(input)
}

fn measure(written: &str) -> Option<Bound> {
    if let Some(duration) = duration(written) {
        let milliseconds = u64::try_from(duration.as_millis()).ok()?;
        return Some(Bound::Milliseconds(milliseconds.into()));
    }
    match written.strip_suffix('%') {
        Some(percent) => Decimal::parse(percent).map(Bound::Percent),
        None => Decimal::parse(written).map(Bound::Number),
    }
}

impl Quantity {
    /// Checks that the bound has the right unit; zero has every unit.
    fn check(
        &self,
        name: &str,
        named: Range<usize>,
        bound: &Bound,
        place: Range<usize>,
    ) -> Result<(), Misread> {
        let zero = matches!(bound, Bound::Number(number) if number.is_zero());
        let (fits, wanted) = match self {
            Quantity::Count | Quantity::Tokens => (matches!(bound, Bound::Number(_)), "a number"),
            Quantity::Errors | Quantity::Success => {
                (!matches!(bound, Bound::Milliseconds(_)), "a percentage such as 1%, or a number")
            }
            Quantity::Mean | Quantity::P50 | Quantity::P95 | Quantity::P99 | Quantity::Max => {
                (zero || matches!(bound, Bound::Milliseconds(_)), "a duration such as 200ms, 2s or 5m")
            }
            Quantity::Saved => {
                (zero || !matches!(bound, Bound::Number(_)), "a duration such as 2s, a percentage, or 0")
            }
            // A column of numbers has no unit: most likely another quantity was meant.
            Quantity::Column(_) if !matches!(bound, Bound::Number(_)) => {
                let near =
                    || nearest(name, QUANTITIES.into_iter().map(|(known, _)| known)).map(str::to_owned);
                let help = match quoted(name).or_else(near) {
                    Some(near) => words::did_you_mean(near),
                    None => figures(),
                };
                return Err(misread(named, format!("`{name}` is not a figure"), help));
            }
            Quantity::Column(_) => return Ok(()),
        };
        match fits {
            true => Ok(()),
            false => Err(misread(place, format!("`{name}` is compared with {wanted}"), EXAMPLE.to_owned())),
        }
    }
}

/// The meaning of a name like `Pay.p95`: a step's quantity without the quotes around the step.
pub fn quoted(name: &str) -> Option<String> {
    let (step, figure) = name.rsplit_once('.')?;
    let known = QUANTITIES.into_iter().any(|(known, _)| known == figure);
    (known && !step.is_empty()).then(|| format!("'{step}'.{figure}"))
}

fn figures() -> String {
    let names: Vec<&str> = QUANTITIES.into_iter().map(|(name, _)| name).collect();
    format!("the figures are {}, and the numeric columns that agents report", names.join(", "))
}

fn misread(span: Range<usize>, what: String, help: String) -> Misread {
    Misread { span, what, help }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(text: &str) -> String {
        match expectations(text) {
            (found, faults) if faults.is_empty() => found
                .iter()
                .map(|(one, span)| {
                    format!(
                        "{:?}; ",
                        (&one.step, &one.quantity, one.relation, &one.bound, &one.text, &text[span.clone()])
                    )
                })
                .collect(),
            (_, faults) => {
                let told =
                    faults.iter().map(|Misread { span, what, .. }| format!("{}: {what}", span.start + 1));
                told.collect::<Vec<_>>().join("; ")
            }
        }
    }

    #[test]
    fn lists_of_expectations_are_read() {
        assert_eq!(
            told(" 'Pay, then don't wait'.p95<2s , errors <= 0.5%,'net amount' == -1.50 "),
            "(Some(\"Pay, then don't wait\"), P95, Less, Milliseconds(2000), \"p95<2s\", \"'Pay, then don't wait'.p95<2s\"); \
             (None, Errors, LessOrEqual, Percent(0.5), \"errors <= 0.5%\", \"errors <= 0.5%\"); \
             (None, Column(\"net amount\"), Equal, Number(-1.50), \"'net amount' == -1.50\", \"'net amount' == -1.50\"); "
        );
        for good in ["saved > 0", "saved > 5%", "saved >= 1h", "count == 5", "success > 3", "a.b/c-d > 1"] {
            assert!(expectations(good).1.is_empty(), "{good}");
        }
    }

    #[test]
    fn what_is_none_is_told_with_its_place() {
        for (text, expected) in [
            ("", "1: expected the name of a figure"),
            ("p95 2s", "5: expected a relation"),
            ("p95 = 2s", "5: expected a relation"),
            ("p95 < ", "7: expected a bound"),
            ("p95 < fast", "7: expected a bound"),
            ("p95 < 1.5s", "7: `1.5s` is not a bound"),
            ("p95 < 5x, errors < 1%", "7: `5x` is not a bound"),
            ("p95 < 5%", "7: `p95` is compared with a duration such as 200ms, 2s or 5m"),
            ("errors < 2s", "10: `errors` is compared with a percentage such as 1%, or a number"),
            ("saved > 3", "9: `saved` is compared with a duration such as 2s, a percentage, or 0"),
            ("count > 1, p59 < 2s", "12: `p59` is not a figure"),
            ("p95 < 2s errors < 1%", "10: expected a comma or the end"),
            ("p95 < 2s,", "10: expected the name of a figure"),
            ("'Pay.p95 < 2s", "1: expected the name of a figure"),
            (
                "p95 < 5x, max < 1s 2, count > 1, p59 < 2s,, errors",
                "7: `5x` is not a bound; 20: expected a comma or the end; 34: `p59` is not a figure; \
                 43: expected the name of a figure; 51: expected a relation",
            ),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
        for (text, help) in
            [("erors < 1%", "did you mean `errors`?"), ("Pay.p95 < 2s", "did you mean `'Pay'.p95`?")]
        {
            assert_eq!(expectations(text).1[0].help, help);
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "['a-z0-9<>=.,% é-]{0,30}") {
            for Misread { span, .. } in expectations(&text).1 {
                prop_assert!(text.get(span).is_some());
            }
        }
    }
}
