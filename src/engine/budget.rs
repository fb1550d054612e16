//! Budgets of the run, its items, groups and steps: what an attempt has spent, and what follows when a budget is
//! spent. Knows neither items nor limits.

use crate::event::{Answer, AttemptEvent, Event, EventKind};
use crate::graph::Graph;
use crate::value::Value;
use crate::value::budget::{Budget, Spent};
use crate::value::dollars::Dollars;
use std::sync::Arc;

/// The column in which agents report dollars.
const COST: &str = "cost_usd";

/// What a budget is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Step,
    /// By its index in [`Graph::groups`].
    Group(usize),
    Item,
    Run,
}

/// A budget that is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpentBudget {
    pub scope: Scope,
    pub budget: Budget,
    pub spent: Spent,
}

impl SpentBudget {
    /// Such as `the item's budget is spent: $0.52 of $0.50`.
    pub fn why(&self, graph: &Graph) -> String {
        let of = match self.scope {
            Scope::Step => "the step's budget".to_owned(),
            Scope::Group(group) => {
                let title = graph.groups.get(group).map_or("", |group| group.title.as_str());
                format!("the budget of `{title}`")
            }
            Scope::Item => "the item's budget".to_owned(),
            Scope::Run => "the run's budget".to_owned(),
        };
        // Only the units in which it is spent.
        let left = self.budget.left(&self.spent);
        let shown = Budget {
            tokens: self.budget.tokens.filter(|_| left.tokens == Some(0)),
            dollars: self.budget.dollars.filter(|_| left.dollars.is_some_and(Dollars::is_zero)),
        };
        format!("{of} is spent: {}", shown.spending(&self.spent))
    }
}

/// What an attempt has spent, whether or not it succeeded.
pub(super) fn spent_by(answer: &Answer) -> Spent {
    let (tokens, columns): (_, &[(Arc<str>, Value)]) = match answer {
        Ok(reply) => (reply.tokens_used, &reply.columns),
        Err(failure) => (failure.tokens_used, &failure.columns),
    };
    let cost = columns.iter().find(|(name, _)| **name == *COST);
    Spent { tokens: tokens.unwrap_or(0), dollars: cost.and_then(|(_, cost)| Dollars::of(cost)) }
}

/// Adds what an event says was spent.
pub fn spend(sum: &mut Spent, event: &Event) {
    if let EventKind::Attempt(_, _, _, AttemptEvent::Finished(answer)) = &event.kind {
        sum.add(spent_by(answer));
    }
}
