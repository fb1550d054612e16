//! Agents that have reported that they cannot work at all: none of their steps starts an attempt until a person has changed
//! something. Knows neither items nor limits.

use super::arrivals::Arrivals;
use crate::event::{
    AttemptEvent, Decision, Event, EventKind, Execution, Failure, GateId, ItemEvent, ItemId, Millis,
    StepEvent, UnixMillis,
};
use crate::graph::{Graph, StepId};
use crate::value::budget::Spent;
use std::collections::BTreeMap;

/// What is unavailable: an agent by its name, or the agent of one step that names none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnavailableAgent {
    Named(String),
    Of(StepId),
}

impl UnavailableAgent {
    pub fn of(graph: &Graph, step: StepId) -> Self {
        match &graph.step(step).agent {
            Some(name) => UnavailableAgent::Named(name.clone()),
            None => UnavailableAgent::Of(step),
        }
    }

    /// Whether a step is made by it.
    pub fn makes(&self, graph: &Graph, step: StepId) -> bool {
        match self {
            UnavailableAgent::Named(name) => graph.step(step).agent.as_ref() == Some(name),
            UnavailableAgent::Of(own) => *own == step,
        }
    }

    /// Such as ``agent `writer` ``.
    pub fn name(&self, graph: &Graph) -> String {
        match self {
            UnavailableAgent::Named(name) => format!("agent `{name}`"),
            UnavailableAgent::Of(step) => format!("the agent of `{}`", graph.step(*step).title),
        }
    }
}

/// An agent that is unavailable, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    pub agent: UnavailableAgent,
    /// The message of its first failure that said so.
    pub message: String,
    /// Executions that failed without an attempt because of it.
    pub refused: u64,
}

impl Unavailable {
    /// Such as ``agent `writer` is unavailable: no credit``.
    pub fn why(&self, graph: &Graph) -> String {
        format!("{} is unavailable: {}", self.agent.name(graph), self.message)
    }
}

/// The agents that are unavailable, in the order of their first failures.
#[derive(Clone, Debug, Default)]
pub struct UnavailableAgents(Vec<Unavailable>);

impl UnavailableAgents {
    pub fn all(&self) -> &[Unavailable] {
        &self.0
    }

    /// Takes an event of a run that is only read.
    pub fn see(&mut self, graph: &Graph, event: &Event) {
        match &event.kind {
            EventKind::Attempt(_, path, _, AttemptEvent::Started) => drop(self.restore(graph, path.step)),
            EventKind::Attempt(_, path, _, AttemptEvent::Finished(Err(failure))) => {
                self.take(graph, path.step, failure);
            }
            EventKind::Step(_, StepEvent::Ended(execution)) => self.count(graph, execution),
            EventKind::Item(_, ItemEvent::Retried { .. }) => self.0.clear(),
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
    }

    /// The unavailable agent of a step.
    pub(super) fn of(&self, graph: &Graph, step: StepId) -> Option<&Unavailable> {
        self.0.iter().find(|one| one.agent.makes(graph, step))
    }

    /// Takes note of a failure. Returns the agent that is unavailable from now on and was not before.
    pub fn take(&mut self, graph: &Graph, step: StepId, failure: &Failure) -> Option<&Unavailable> {
        if !failure.is_unavailable() || self.of(graph, step).is_some() {
            return None;
        }
        let agent = UnavailableAgent::of(graph, step);
        self.0.push(Unavailable { agent, message: failure.message.clone(), refused: 0 });
        self.0.last()
    }

    /// An attempt at a step started, so another session tries its agent again.
    pub(super) fn restore(&mut self, graph: &Graph, step: StepId) -> Option<UnavailableAgent> {
        let at = self.0.iter().position(|one| one.agent.makes(graph, step))?;
        Some(self.0.remove(at).agent)
    }

    /// Counts the end of an execution if it failed because its agent is unavailable.
    pub(super) fn count(&mut self, graph: &Graph, execution: &Execution) {
        let counted = self.0.iter_mut().find(|one| one.agent.makes(graph, execution.step));
        if let Some(one) = counted.filter(|_| execution.is_refused()) {
            one.refused += 1;
        }
    }
}

/// What all items have to respect.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// When the run is stopped at the latest.
    pub until: Option<Millis>,
    pub unavailable: UnavailableAgents,
    /// What the run has spent.
    pub spent: Spent,
    /// What people decided about all items, by gate.
    pub standing: BTreeMap<GateId, Decision>,
    /// The events that the run has got.
    pub arrivals: Arrivals,
    /// What must not be stored.
    pub secrets: SecretCheck,
    /// When the run's time was zero, by the clock and without its pauses.
    pub clock: UnixMillis,
}

/// Finds out whether a text of an item contains a secret.
#[derive(Default)]
pub(super) struct SecretCheck(Option<Box<Check>>);

type Check = dyn Fn(ItemId, &str) -> bool + Send + Sync;

impl SecretCheck {
    pub fn of(check: impl Fn(ItemId, &str) -> bool + Send + Sync + 'static) -> Self {
        SecretCheck(Some(Box::new(check)))
    }

    pub fn finds(&self, item: ItemId, text: &str) -> bool {
        self.0.as_ref().is_some_and(|check| check(item, text))
    }
}

impl std::fmt::Debug for SecretCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretCheck")
    }
}
