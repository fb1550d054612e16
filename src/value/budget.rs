//! Budgets: what may be spent, in tokens, in dollars or in both, and what has been spent.

use super::Value;
use super::dollars::Dollars;
use super::words;
use std::fmt;

/// What may be spent. A unit without a limit is absent; at least one has a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    pub tokens: Option<u64>,
    pub dollars: Option<Dollars>,
}

/// What has been spent. Dollars are absent as long as no price is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    pub tokens: u64,
    pub dollars: Option<Dollars>,
}

impl Spent {
    pub fn add(&mut self, other: Spent) {
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.dollars = match (self.dollars, other.dollars) {
            (Some(one), Some(other)) => Some(one.plus(other)),
            (one, other) => one.or(other),
        };
    }

    /// What was spent since.
    pub fn less(self, before: &Spent) -> Spent {
        let dollars = match (self.dollars, before.dollars) {
            (Some(all), Some(before)) if all == before => None,
            (Some(all), before) => Some(all.less(before.unwrap_or_default())),
            (None, _) => None,
        };
        Spent { tokens: self.tokens.saturating_sub(before.tokens), dollars }
    }

    pub fn is_nothing(&self) -> bool {
        *self == Spent::default()
    }

    /// `{tokens, usd}`; `usd` is null as long as no price is known.
    pub fn json(&self) -> Value {
        serde_json::json!({ "tokens": self.tokens, "usd": self.dollars.map(Dollars::value) })
    }
}

impl Budget {
    /// What is left, at least nothing.
    pub fn left(&self, spent: &Spent) -> Budget {
        Budget {
            tokens: self.tokens.map(|most| most.saturating_sub(spent.tokens)),
            dollars: self.dollars.map(|most| most.less(spent.dollars.unwrap_or_default())),
        }
    }

    /// The limits with what was spent before.
    pub fn after(self, before: &Spent) -> Budget {
        Budget {
            tokens: self.tokens.map(|left| left.saturating_add(before.tokens)),
            dollars: self.dollars.map(|left| left.plus(before.dollars.unwrap_or_default())),
        }
    }

    /// Whether nothing is left in one of its units.
    pub fn is_spent(&self) -> bool {
        self.tokens == Some(0) || self.dollars.is_some_and(Dollars::is_zero)
    }

    /// The lower of two limits in each unit.
    pub fn least(self, other: Budget) -> Budget {
        fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
            match (one, other) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            }
        }
        Budget { tokens: least(self.tokens, other.tokens), dollars: least(self.dollars, other.dollars) }
    }

    /// What has been spent of it, such as `21,340 of 20,000 tokens and $0.12 of $0.50`.
    pub fn spending(&self, spent: &Spent) -> String {
        let tokens = self
            .tokens
            .map(|most| format!("{} of {} tokens", words::number(spent.tokens), words::number(most)));
        let dollars = self.dollars.map(|most| match spent.dollars {
            Some(dollars) => format!("{} of {most}", dollars.rounded()),
            None => format!("nothing priced of {most}"),
        });
        tokens.into_iter().chain(dollars).collect::<Vec<_>>().join(" and ")
    }

    /// `{tokens, usd}`; a unit without a limit is null.
    pub fn json(&self) -> Value {
        serde_json::json!({ "tokens": self.tokens, "usd": self.dollars.map(Dollars::value) })
    }
}

/// Such as `20,000 tokens and $0.50`.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens = self.tokens.map(words::tokens);
        let dollars = self.dollars.map(|dollars| dollars.to_string());
        f.write_str(&tokens.into_iter().chain(dollars).collect::<Vec<_>>().join(" and "))
    }
}

/// Such as `21,340 tokens and $0.12`.
impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&words::tokens(self.tokens))?;
        match self.dollars {
            Some(dollars) => write!(f, " and {}", dollars.rounded()),
            None => Ok(()),
        }
    }
}
