//! What an item has spent, and which budget keeps a step from another attempt. Changes nothing but the sums of what
//! was spent, which remain when the item runs again.

use super::super::budget::{Scope, SpentBudget, spent_by};
use super::Item;
use crate::event::{Answer, StepPath};
use crate::graph::{Graph, Kind, StepId};
use crate::value::budget::{Budget, Spent};
use std::collections::BTreeMap;

/// What each step of an item has spent.
#[derive(Debug, Default)]
pub(super) struct Spendings(BTreeMap<StepId, Spent>);

impl Spendings {
    /// Adds what an attempt has spent, if a budget needs to know it.
    pub fn take(&mut self, graph: &Graph, step: StepId, answer: &Answer) {
        let spent = spent_by(answer);
        if graph.has_item_budgets() && !spent.is_nothing() {
            self.0.entry(step).or_default().add(spent);
        }
    }

    fn of(&self, steps: impl Fn(StepId) -> bool) -> Spent {
        let mut sum = Spent::default();
        self.0.iter().filter(|(step, _)| steps(**step)).for_each(|(_, spent)| sum.add(*spent));
        sum
    }
}

impl Item {
    /// The budgets that limit a step, with what has been spent of each. Nothing limits a compensation.
    fn budgets(&self, graph: &Graph, run: &Spent, step: StepId) -> Vec<(Scope, Budget, Spent)> {
        if !graph.has_budgets() || graph.step(step).kind == Kind::Compensation {
            return Vec::new();
        }
        let spent = &self.spent;
        let own = graph.step(step).budget.map(|budget| (Scope::Step, budget, spent.of(|id| id == step)));
        let groups = graph.around(step).filter_map(|group| {
            let budget = graph.groups[group].budget?;
            Some((Scope::Group(group), budget, spent.of(|id| graph.around(id).any(|around| around == group))))
        });
        let item = graph.settings.budget.filter(|_| !self.is_run());
        let item = item.map(|budget| (Scope::Item, budget, spent.of(|_| true)));
        // What runs always runs also when the run may not spend more.
        let run_budget = graph.settings.run_budget.filter(|_| !graph.step(step).always);
        let run = run_budget.map(|budget| (Scope::Run, budget, *run));
        own.into_iter().chain(groups).chain(item).chain(run).collect()
    }

    /// The budget that is spent, so that no attempt of a step starts. `run` is what the run has spent.
    pub fn spent_budget(&self, graph: &Graph, run: &Spent, path: StepPath) -> Option<SpentBudget> {
        let budgets = self.budgets(graph, run, path.step).into_iter();
        let mut spent = budgets.filter(|(_, budget, spent)| budget.left(spent).is_spent());
        spent.next().map(|(scope, budget, spent)| SpentBudget { scope, budget, spent })
    }

    /// What is left for an attempt of a step; `None` without a budget.
    pub fn left(&self, graph: &Graph, run: &Spent, path: StepPath) -> Option<Budget> {
        let budgets = self.budgets(graph, run, path.step).into_iter();
        budgets.map(|(_, budget, spent)| budget.left(&spent)).reduce(Budget::least)
    }
}
