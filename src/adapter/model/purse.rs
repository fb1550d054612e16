//! What an attempt of a model may still spend. A budget that cannot be enforced lets no attempt begin or continue.

use super::Model;
use super::protocol::Usage;
use crate::adapter::{Call, contract};
use crate::event::{BUDGET, Cause, Failure, Outcome};
use crate::value::budget::Budget;
use crate::value::dollars::Dollars;

/// The budget of an attempt, and the model that spends it.
pub(super) struct Purse<'a> {
    model: &'a Model,
    budget: Option<Budget>,
}

impl<'a> Purse<'a> {
    /// The purse for a call.
    ///
    /// # Errors
    /// The budget is in dollars, and nothing says what the model costs.
    pub fn of(model: &'a Model, call: &Call) -> Result<Self, Box<Failure>> {
        let budget = call.context.budget;
        let in_dollars = budget.is_some_and(|budget| budget.dollars.is_some());
        if in_dollars && model.price.is_none() && !model.reports_cost {
            let name = &model.name;
            let why = format!(
                "the budget is in dollars, and the price of `{name}` is unknown: set `price` of its provider in orderflow.toml"
            );
            return Err(failure(why, Outcome::NotExecuted));
        }
        Ok(Purse { model, budget })
    }

    /// The most tokens of the next answer; `None` if nothing is left for one.
    pub fn most(&self, spent: &Usage) -> Option<u32> {
        let Some(Budget { tokens, dollars }) = self.budget else { return Some(self.model.max_tokens) };
        let dollars = dollars.map(|most| most.less(self.model.cost(spent).unwrap_or_default()));
        if dollars.is_some_and(Dollars::is_zero) {
            return None;
        }
        let price = self.model.price.map(|price| price.output);
        let by_dollars = dollars.zip(price).and_then(|(dollars, price)| dollars.buys(price));
        let by_tokens = tokens.map(|most| most.saturating_sub(spent.tokens().unwrap_or(0)));
        let most = by_dollars.into_iter().chain(by_tokens).min().unwrap_or(u64::MAX);
        let most = u32::try_from(most).unwrap_or(u32::MAX).min(self.model.max_tokens);
        (most > 0).then_some(most)
    }

    /// Checks that what was spent is known.
    ///
    /// # Errors
    /// The provider did not report it.
    pub fn check(&self, spent: &Usage) -> Result<(), Box<Failure>> {
        let Some(Budget { tokens, dollars }) = self.budget else { return Ok(()) };
        let what = if tokens.is_some() && spent.tokens().is_none() {
            "tokens"
        } else if dollars.is_some() && self.model.cost(spent).is_none() {
            "cost"
        } else {
            return Ok(());
        };
        let why = format!("the provider reported no {what}, so the budget cannot be enforced");
        Err(failure(why, Outcome::Failed))
    }

    /// The failure of an attempt for which nothing is left.
    pub fn spent() -> Box<Failure> {
        failure("the budget is spent".to_owned(), Outcome::NotExecuted)
    }

    /// The failure of an answer that its part of the budget cut off.
    pub fn cut(most: u32) -> Box<Failure> {
        let tokens = crate::value::words::tokens(most.into());
        failure(format!("the answer was cut off: the budget allowed {tokens} for it"), Outcome::Failed)
    }

    /// The failure of an answer that does not fit, without anything left for another.
    pub fn uncorrected(misfit: &Failure) -> Box<Failure> {
        failure(format!("{}; not corrected: the budget is spent", misfit.message), Outcome::Failed)
    }
}

fn failure(why: String, outcome: Outcome) -> Box<Failure> {
    let mut failure = contract::failure(Cause::Refused, why, outcome, false);
    failure.code = Some(BUDGET.to_owned());
    failure
}
