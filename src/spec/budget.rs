//! Budgets as authors write them: `20000 tokens`, `$0.50`, or both.

use crate::value::budget::Budget;
use crate::value::dollars::Dollars;

/// Other names of the field, in lower case with `-` between words.
pub(super) const NAMES: [&str; 16] = [
    "cost",
    "costs",
    "max-cost",
    "max-costs",
    "cost-limit",
    "cost-budget",
    "token-budget",
    "token-limit",
    "tokens",
    "max-tokens",
    "max-budget",
    "max-spend",
    "spend",
    "spending",
    "spend-limit",
    "budgets",
];

/// A budget in its right spelling, or what it surely means in another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Budget(Budget),
    /// Its right spelling.
    Almost(String),
    /// What it may mean.
    Perhaps(Vec<String>),
    Unknown,
}

/// Reads `20000 tokens`, `20,000 tokens`, `$0.50`, and both with a comma or `and` between them.
pub(super) fn read(text: &str) -> Read {
    if let Some(meant) = doubtful(text.trim()) {
        return Read::Perhaps(meant);
    }
    let mut budget = Budget::default();
    let (mut right, mut exact) = (Vec::new(), true);
    for part in parts(text) {
        let Some((amount, is_right)) = amount(part) else { return Read::Unknown };
        match amount {
            Amount::Tokens(tokens) if budget.tokens.is_none() => {
                budget.tokens = Some(tokens);
                right.push(format!("{tokens} {}", if tokens == 1 { "token" } else { "tokens" }));
            }
            Amount::Dollars(dollars) if budget.dollars.is_none() => {
                budget.dollars = Some(dollars);
                right.push(dollars.to_string());
            }
            Amount::Tokens(_) | Amount::Dollars(_) => return Read::Unknown,
        }
        exact &= is_right;
    }
    match (right.is_empty(), exact) {
        (true, _) => Read::Unknown,
        (false, true) => Read::Budget(budget),
        (false, false) => Read::Almost(right.join(", ")),
    }
}

/// The right spelling of a budget, if it is understood.
pub(super) fn right(text: &str) -> Option<String> {
    match read(text) {
        Read::Budget(_) => Some(text.to_owned()),
        Read::Almost(right) => Some(right),
        Read::Perhaps(_) | Read::Unknown => None,
    }
}

/// What a single amount may mean, if it is not certain: `20000` without a unit, and `$1.000`, whose thousands may be
/// grouped by a point.
fn doubtful(text: &str) -> Option<Vec<String>> {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if is_digits(text) && (4..=12).contains(&text.len()) && !text.starts_with('0') {
        return Some(vec![format!("{text} tokens")]);
    }
    let number = text.strip_prefix('$').or_else(|| text.strip_suffix('$')).unwrap_or(text);
    let number = number.to_lowercase();
    let number =
        number.trim().trim_start_matches("usd").trim_end_matches("usd").trim_end_matches("dollars").trim();
    let (whole, fraction) = number.split_once('.')?;
    let grouped = fraction.len() == 3 && fraction.ends_with('0') && (1..=3).contains(&whole.len());
    let is_dollars = number.len() < text.len() && !whole.starts_with('0');
    (grouped && is_dollars && is_digits(whole) && is_digits(fraction)).then(|| {
        let read = [number.to_owned(), format!("{whole}{fraction}")];
        read.iter().filter_map(|number| Some(dollars(number)?.to_string())).collect()
    })
}

/// A number of tokens whose thousands are grouped by points, as `20.000`, without the points.
fn ungrouped(number: &str) -> Option<String> {
    let groups: Vec<&str> = number.split('.').collect();
    let [first, rest @ ..] = groups.as_slice() else { return None };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let grouped = !rest.is_empty() && rest.iter().all(|group| group.len() == 3) && first.len() <= 3;
    (grouped && !first.starts_with('0') && groups.iter().all(|group| is_digits(group)))
        .then(|| groups.concat())
}

enum Amount {
    Tokens(u64),
    Dollars(Dollars),
}

/// The amounts between `, `, `and`, `or` and `+`. A comma within a number has no space after it.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(", ").flat_map(|part| part.split(" and ")).flat_map(|part| part.split(" or "));
    words.flat_map(|part| part.split(" + ")).map(str::trim)
}

/// An amount, and whether it has the right spelling.
fn amount(text: &str) -> Option<(Amount, bool)> {
    if text.len() > 60 {
        return None;
    }
    let lower = text.to_lowercase();
    let split = |text: &str| {
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '_'));
        (text[..text.len() - unit.len()].to_owned(), unit.trim().to_owned())
    };
    if let Some(rest) = lower.strip_prefix('$') {
        let (number, unit) = split(rest.trim_start());
        let is_right = unit.is_empty() && !rest.starts_with(' ');
        let known = matches!(&*unit, "" | "usd" | "dollar" | "dollars");
        return dollars(&number).filter(|_| known).map(|some| (Amount::Dollars(some), is_right));
    }
    if let Some(rest) = ["usd", "us$", "dollars"].iter().find_map(|sign| lower.strip_prefix(sign)) {
        let (number, unit) = split(rest.trim());
        return unit
            .is_empty()
            .then(|| dollars(&number))
            .flatten()
            .map(|some| (Amount::Dollars(some), false));
    }
    let (number, unit) = split(&lower);
    let scaled = |by: u64, unit: &str| -> Option<(Amount, bool)> {
        let known = matches!(unit.trim(), "token" | "tokens" | "tok" | "toks");
        let points = ungrouped(&number);
        // `1.500k` may be 1500 or 1500 thousand.
        let number = match points {
            Some(_) if by > 1 => return None,
            points => points.unwrap_or_else(|| number.clone()),
        };
        // Half a thousand is a whole number.
        let tokens = dollars(&number).filter(|_| known)?.times(by)?;
        let is_right = by == 1 && matches!(unit, "token" | "tokens") && !lower.contains('.');
        Some((Amount::Tokens(tokens), is_right && lower.contains(' ')))
    };
    match &*unit {
        "$" | "usd" | "dollar" | "dollars" | "us dollars" => {
            Some((Amount::Dollars(dollars(&number)?), false))
        }
        "cent" | "cents" | "ct" | "¢" => {
            let cents = dollars(&number)?.value().to_string();
            Some((Amount::Dollars(Dollars::parse(&format!("{cents}e-2"))?), false))
        }
        _ => match unit.strip_prefix('k').or_else(|| unit.strip_prefix("thousand")) {
            Some(rest) => scaled(1000, rest),
            None => match unit.strip_prefix("million").or_else(|| unit.strip_prefix('m')) {
                Some(rest) => scaled(1_000_000, rest),
                None => scaled(1, &unit),
            },
        },
    }
}

/// A number whose thousands may be grouped by `,` or `_`.
fn dollars(text: &str) -> Option<Dollars> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let groups: Vec<&str> = whole.split([',', '_']).collect();
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let grouped = match groups.as_slice() {
        [only] => is_digits(only),
        [first, rest @ ..] => {
            (1..=3).contains(&first.len())
                && !first.starts_with('0')
                && rest.iter().all(|group| group.len() == 3)
                && groups.iter().all(|group| is_digits(group))
        }
        [] => false,
    };
    let fits = grouped && is_digits(fraction) && fraction.len() <= 12 && whole.len() <= 20;
    fits.then(|| Dollars::parse(&format!("{}.{fraction}", groups.concat()))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match read(text) {
            Read::Budget(budget) => budget.to_string(),
            Read::Almost(right) => {
                assert!(matches!(read(&right), Read::Budget(_)), "{right}");
                format!("write {right}")
            }
            Read::Perhaps(meant) => format!("perhaps {}", meant.join(" or ")),
            Read::Unknown => "?".to_owned(),
        }
    }

    #[test]
    fn budgets_are_read_as_people_write_them() {
        for (text, expected) in [
            ("20000 tokens", "20,000 tokens"),
            ("20,000 tokens", "20,000 tokens"),
            ("20_000 tokens", "20,000 tokens"),
            ("1 token", "1 token"),
            ("1,000,000 tokens", "1,000,000 tokens"),
            ("$0.50", "$0.50"),
            ("$1", "$1.00"),
            ("$1,000", "$1000.00"),
            ("$0.0005", "$0.0005"),
            ("20000 tokens, $0.50", "20,000 tokens and $0.50"),
            ("$0.50 and 20,000 tokens", "20,000 tokens and $0.50"),
            ("0 tokens", "0 tokens"),
            ("20k tokens", "write 20000 tokens"),
            ("1.5k tokens", "write 1500 tokens"),
            ("2M tokens", "write 2000000 tokens"),
            ("20000tokens", "write 20000 tokens"),
            ("20000 Tok", "write 20000 tokens"),
            ("0.50 USD", "write $0.50"),
            ("USD 0.50", "write $0.50"),
            ("0.5$", "write $0.50"),
            ("$ 0.50", "write $0.50"),
            ("$0.50 USD", "write $0.50"),
            ("5 dollars", "write $5.00"),
            ("50 cents", "write $0.50"),
            ("20k tokens and 50 cents", "write 20000 tokens, $0.50"),
            ("20.000 tokens", "write 20000 tokens"),
            ("1.000.000 tokens", "write 1000000 tokens"),
            ("20.0 tokens", "write 20 tokens"),
            ("20.000 tokens, $1", "write 20000 tokens, $1.00"),
            ("1.500k tokens", "?"),
            ("0.500 tokens", "?"),
            ("20000", "perhaps 20000 tokens"),
            ("$1.000", "perhaps $1.00 or $1000.00"),
            ("$1.250", "perhaps $1.25 or $1250.00"),
            ("1.000 USD", "perhaps $1.00 or $1000.00"),
            ("$1.234", "$1.234"),
            ("$0.100", "$0.10"),
            ("5", "?"),
            ("20k", "?"),
            ("0.5 tokens", "?"),
            ("1.0005k tokens", "?"),
            ("€5", "?"),
            ("$0,50", "?"),
            ("$0,500", "?"),
            ("1,00 tokens", "?"),
            ("$-1", "?"),
            ("$1 and $2", "?"),
            ("$", "?"),
            ("tokens", "?"),
            ("", "?"),
            ("99999999999999999999 tokens", "?"),
            ("a lot", "?"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
