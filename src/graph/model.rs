//! The resolved workflow. Steps and values are known by their index; names are for people.

use super::{Await, Gate, GateId, InnerEvents, Instructions, Repeat, RepeatId};
use crate::condition::Condition;
use crate::spec::{Expectation, Mark, OnItemError, Program, Retry, Tolerance};
use crate::value::Type;
use crate::value::budget::Budget;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Index into [`Graph::steps`], which are in document order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepId(pub u32);

impl StepId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Index into [`Graph::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ValueId(pub u32);

impl ValueId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Index into [`Graph::states`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StateId(pub u32);

impl StateId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A workflow that can be run.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub title: String,
    pub description: String,
    /// In document order.
    pub steps: Vec<Step>,
    /// All values that flow, in order of first mention.
    pub values: Vec<ValueInfo>,
    /// What each step waits for: with a value, data; without, an order. Sorted by `to`, then `from`.
    pub edges: Vec<Edge>,
    /// Values that no step makes, in order of first use: the workflow's inputs.
    pub inputs: Vec<ValueId>,
    /// Forward steps, each after all that it depends on; independent ones in document order.
    pub order: Vec<StepId>,
    pub groups: Vec<Group>,
    /// In document order.
    pub gates: Vec<Gate>,
    /// Each after those around it.
    pub repeats: Vec<Repeat>,
    /// The values that steps that run once take from the items: lists over the items that have a value.
    pub gathered: Vec<ValueId>,
    /// The states of an item in the document's diagram.
    pub states: Vec<String>,
    /// The initial state of every item; `None` without states, and for a part without the steps from the initial
    /// state.
    pub initial: Option<StateId>,
    pub settings: Settings,
}

/// The front matter's settings of a run; options of the command line take precedence.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub items: Option<String>,
    pub key: Option<String>,
    pub jobs: Option<usize>,
    pub tolerate: Tolerance,
    pub on_item_error: OnItemError,
    /// The deadline of one item.
    pub deadline: Option<Duration>,
    /// What one item may spend.
    pub budget: Option<Budget>,
    /// What the run may spend.
    pub run_budget: Option<Budget>,
    /// Names of environment variables that the document asks for.
    pub env: Vec<String>,
    /// Names of secrets that it asks for.
    pub secrets: Vec<String>,
}

/// A value that flows: its name and its type.
#[derive(Clone, Debug)]
pub struct ValueInfo {
    pub name: String,
    pub ty: Option<Type>,
    /// Whether the type is only that of a document which a step runs: no part of the meaning of this document.
    pub adopted: bool,
}

/// A group of steps, or of groups.
#[derive(Clone, Debug)]
pub struct Group {
    pub title: String,
    pub parent: Option<usize>,
    pub parallel: bool,
    /// From the start of its first step: shared by all of them.
    pub deadline: Option<Duration>,
    /// What its steps together may spend on an item.
    pub budget: Option<Budget>,
}

/// The kind of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Forward,
    /// Runs once for each failed item.
    Handler,
    /// Compensates another step.
    Compensation,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Forward => "forward",
            Kind::Handler => "handler",
            Kind::Compensation => "compensation",
        }
    }
}

/// A step with all that it means: what it takes and makes, when it runs, and what follows.
#[derive(Clone, Debug)]
pub struct Step {
    pub title: String,
    /// The name in traces; `Group/Step` where needed to be unique.
    pub phase: String,
    pub kind: Kind,
    pub agent: Option<String>,
    pub channel: Option<String>,
    pub mark: Option<Mark>,
    /// The line of its heading, from 1.
    pub line: usize,
    /// Index into [`Graph::groups`].
    pub group: Option<usize>,
    pub inputs: Vec<Input>,
    pub outputs: Vec<Output>,
    /// Runs for each element of a list.
    pub each: Option<Each>,
    /// The path to that list in the value, if the value itself is not the list.
    pub way: Option<Guard>,
    /// Runs once after all items, like all steps after it.
    pub once: bool,
    /// Of those, one that runs also if the run failed or was stopped.
    pub always: bool,
    pub retry: Option<Retry>,
    pub timeout: Option<Duration>,
    pub deadline: Option<Duration>,
    /// What it may spend on an item, with all its elements and attempts.
    pub budget: Option<Budget>,
    /// The step that compensates this one when the item fails.
    pub compensate: Option<StepId>,
    /// Once it has run, steps before it are not compensated any more.
    pub irreversible: bool,
    /// It only reads or computes: `[effects:: none]`.
    pub pure: bool,
    /// The states in which it starts, and the one that its success leads to.
    pub state: Option<Passage>,
    pub program: Option<Program>,
    /// The path of the document that is run as the step, as written.
    pub document: Option<String>,
    /// It compensates a step that runs this document, by the compensations of the document.
    pub revokes: bool,
    /// The inputs of the workflow that its document needs, if it has no signature, which would say so.
    pub needs_inside: Vec<ValueId>,
    /// The document's expectations of its statistics.
    pub expectations: Vec<Expectation>,
    pub instructions: Instructions,
    /// All must hold for the step to run: its own `[when:: …]` and those of its groups.
    pub when: Vec<Guard>,
    /// Decided in order when the step has succeeded.
    pub chains: Vec<Chain>,
    /// Decisions of which one must lead here; empty for a step that needs none.
    pub guards: Vec<Taken>,
    /// Decisions of which none may be taken.
    pub skips: Vec<Taken>,
    /// Steps that must end before this one, for data or order; each once, sorted.
    pub needs: Vec<Need>,
    /// Steps that have this one among their needs, sorted.
    pub dependents: Vec<StepId>,
    /// The gates that an item passes before it: those of its groups, the outermost first, then its own.
    pub gates: Vec<GateId>,
    /// The event that an item waits for before it.
    pub awaits: Option<Await>,
    /// The types of the events that its success publishes, each once.
    pub emits: Vec<String>,
    /// The events of the document that it runs.
    pub inside: InnerEvents,
    /// The loops that it is in, the outermost first.
    pub repeats: Vec<RepeatId>,
}

/// A list and the name by which a step knows its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Each {
    pub element: ValueId,
    pub list: ValueId,
}

/// The states in which a step starts, and the one that its success leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Never empty.
    pub from: Vec<StateId>,
    /// `None` if the state does not change.
    pub to: Option<StateId>,
}

/// One step that another waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    pub step: StepId,
    /// Whether a required value flows: then the other step must succeed.
    pub data: bool,
}

/// A condition with its values, by the names that it uses.
#[derive(Clone, Debug)]
pub struct Guard {
    pub condition: Condition,
    pub names: Vec<(String, ValueId)>,
}

impl Guard {
    /// The values without which it cannot be decided.
    pub fn needs(&self) -> impl Iterator<Item = ValueId> + '_ {
        let needs = self.condition.needs();
        self.names.iter().filter(move |(name, _)| needs.contains(&name.as_str())).map(|(_, value)| *value)
    }
}

/// If / else-if / else: the first arm that holds is taken.
pub type Chain = Vec<Arm>;

/// One arm of a decision.
#[derive(Clone, Debug)]
pub struct Arm {
    /// `None` for `Otherwise`.
    pub guard: Option<Guard>,
    pub target: Target,
}

/// The target of an arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Step(StepId),
    /// To those steps of a group that have this arm among their guards.
    Group(usize),
    Skip(StepId),
    SkipToGroup(usize),
    /// The item is done.
    End,
    /// The deciding step fails, for this reason.
    Fail(String),
    /// To a step outside of the part that is run.
    Elsewhere,
}

/// One arm of one chain of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Taken {
    pub step: StepId,
    pub chain: u32,
    pub arm: u32,
}

/// A value that a step takes.
#[derive(Clone, Debug)]
pub struct Input {
    pub value: ValueId,
    /// `name?`: may be absent.
    pub optional: bool,
    pub role: Role,
    /// In this loop a later step makes it: absent in the first round, then the value of the round before. The step does
    /// not wait for it.
    pub feedback: Option<RepeatId>,
    /// The steps that make it, several only on branches that exclude each other; empty for a workflow input and for a
    /// handler's `failed_…`.
    pub makers: Vec<StepId>,
}

/// The use of an input by its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Passed to the agent.
    Given,
    /// A list of which the agent gets an element; the step only waits for it.
    List,
    /// The failure, for a failure handler.
    Failure,
}

/// A value that a step makes.
#[derive(Clone, Debug)]
pub struct Output {
    pub value: ValueId,
    pub optional: bool,
}

/// What one step waits for: a value of another one, or its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    pub from: StepId,
    pub to: StepId,
    /// `None` for an order without data.
    pub value: Option<ValueId>,
}
