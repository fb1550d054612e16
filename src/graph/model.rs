//! The resolved workflow. Steps and values are known by their index; names are for people.

use super::{Await, Gate, GateId, InnerEvents, Instructions, Repeat, RepeatId};
use crate::condition::Condition;
use crate::spec::{Expectation, Mark, OnItemError, Program, Retry, Tolerance};
use crate::value::Type;
use crate::value::budget::Budget;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
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

#[derive(Clone, Debug)]
pub struct ValueInfo {
    pub name: String,
    pub ty: Option<Type>,
    /// Whether the type is only that of a document which a step runs: no part of the meaning of this document.
    pub adopted: bool,
}

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

#[derive(Clone, Debug)]
pub struct Output {
    pub value: ValueId,
    pub optional: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    pub from: StepId,
    pub to: StepId,
    /// `None` for an order without data.
    pub value: Option<ValueId>,
}

impl Step {
    /// Whether it cannot run unless this need has succeeded; a step that runs always only needs values.
    pub fn requires(&self, need: &Need) -> bool {
        !self.always || need.data
    }

    /// The values that its conditions use.
    pub fn asks(&self) -> impl Iterator<Item = ValueId> + '_ {
        let arms = self.chains.iter().flatten().filter_map(|arm| arm.guard.as_ref());
        self.when
            .iter()
            .chain(arms)
            .chain(self.awaits.iter().flat_map(Await::guards))
            .flat_map(|guard| guard.names.iter().map(|(_, value)| *value))
    }

    /// Those of them without which a condition cannot be decided.
    fn asks_for(&self) -> impl Iterator<Item = ValueId> + '_ {
        let arms = self.chains.iter().flatten().filter_map(|arm| arm.guard.as_ref());
        self.when.iter().chain(arms).flat_map(Guard::needs)
    }

    /// The inputs that its agent gets.
    pub fn given(&self) -> impl Iterator<Item = &Input> + Clone {
        self.inputs.iter().filter(|input| input.role != Role::List)
    }

    /// Whether it has a signature.
    pub fn has_signature(&self) -> bool {
        self.given().next().is_some() || !self.outputs.is_empty()
    }

    /// The values that its agent gets: without a signature all `inputs` of the workflow, and its element.
    pub fn takes<'a>(&'a self, inputs: &'a [ValueId]) -> impl Iterator<Item = ValueId> + 'a {
        let all = if self.has_signature() { &[] } else { inputs };
        let element = self.each.map(|each| each.element).filter(|_| !self.has_signature());
        let named = |value: &ValueId| self.given().any(|input| input.value == *value);
        let payload = self.awaits.as_ref().map(|awaits| awaits.payload).filter(|payload| !named(payload));
        self.given().map(|input| input.value).chain(element).chain(payload).chain(all.iter().copied())
    }

    /// Whether its success makes a value known.
    pub fn makes(&self, value: ValueId) -> bool {
        let awaited = self.awaits.as_ref().is_some_and(|awaits| awaits.payload == value);
        awaited || self.outputs.iter().any(|output| output.value == value)
    }

    /// Whether its failure fails its item.
    pub fn counts(&self) -> bool {
        self.kind == Kind::Forward || self.once
    }

    /// Whether a condition or decision determines whether it runs.
    pub fn is_conditional(&self) -> bool {
        !(self.when.is_empty() && self.guards.is_empty() && self.skips.is_empty())
    }
}

impl Graph {
    /// Whether anything limits what an item, a group or a step may spend on an item.
    pub fn has_item_budgets(&self) -> bool {
        self.settings.budget.is_some()
            || self.groups.iter().any(|group| group.budget.is_some())
            || self.steps.iter().any(|step| step.budget.is_some())
    }

    /// Whether anything limits what may be spent.
    pub fn has_budgets(&self) -> bool {
        self.settings.run_budget.is_some() || self.has_item_budgets()
    }

    pub fn step(&self, id: StepId) -> &Step {
        &self.steps[id.index()]
    }

    pub fn value(&self, id: ValueId) -> &ValueInfo {
        &self.values[id.index()]
    }

    pub fn ids(&self) -> impl Iterator<Item = StepId> + use<> {
        (0..self.steps.len() as u32).map(StepId)
    }

    /// The step of that name in traces.
    pub fn by_phase(&self, phase: &str) -> Option<StepId> {
        self.ids().find(|id| self.step(*id).phase == phase)
    }

    /// The values that are secrets, with their names.
    pub fn secrets(&self) -> impl Iterator<Item = (ValueId, &str)> {
        let all = (0..).map(ValueId).zip(&self.values);
        let secret = |info: &ValueInfo| info.ty.as_ref().is_some_and(Type::holds_secrets);
        all.filter(move |(_, info)| secret(info)).map(|(id, info)| (id, info.name.as_str()))
    }

    /// Whether there are steps that run once after all items.
    pub fn has_run_steps(&self) -> bool {
        self.steps.iter().any(|step| step.once)
    }

    /// Whether there are steps that run also if the run failed or was stopped.
    pub fn has_always(&self) -> bool {
        self.steps.iter().any(|step| step.always)
    }

    /// Whether an input is optional for a run. An input that no step takes may still be used by a condition.
    pub fn may_lack(&self, id: ValueId) -> bool {
        if self.steps.iter().any(|step| step.needs_inside.contains(&id)) {
            return false;
        }
        let takes = self.steps.iter().flat_map(|step| &step.inputs).filter(|input| input.value == id);
        let takes: Vec<bool> = takes.map(|input| input.optional).collect();
        match takes.as_slice() {
            [] => !self.steps.iter().any(|step| step.asks_for().any(|asked| asked == id)),
            takes => takes.iter().all(|optional| *optional),
        }
    }

    /// The inputs of a failure handler that contain the failure.
    pub fn told(&self, handler: StepId) -> impl Iterator<Item = ValueId> + '_ {
        let told = |input: &&Input| input.role == Role::Failure;
        self.step(handler).inputs.iter().filter(told).map(|input| input.value)
    }

    /// The type of one output as its step makes it: a step that runs for each element of a list makes one element of
    /// the list that others see.
    pub fn made_type(&self, step: StepId, output: &Output) -> Option<Type> {
        match (self.step(step).each, self.value(output.value).ty.clone()) {
            (Some(_), Some(Type::List(one))) => Some(*one),
            (_, ty) => ty,
        }
    }

    pub fn state(&self, id: StateId) -> &str {
        self.states.get(id.index()).map_or("", String::as_str)
    }

    /// Whether different arms of one chain lead to the two steps, so that never both run.
    pub fn exclude(&self, one: StepId, other: StepId) -> bool {
        let guards = |id: StepId| &self.step(id).guards;
        let apart = |a: &Taken, b: &Taken| (a.step, a.chain) == (b.step, b.chain) && a.arm != b.arm;
        let all = |mine: &[Taken], theirs: &[Taken]| {
            !mine.is_empty() && !theirs.is_empty() && mine.iter().all(|a| theirs.iter().all(|b| apart(a, b)))
        };
        all(guards(one), guards(other))
    }

    /// The list for each of whose elements a step runs, as the document names it.
    pub fn list<'a>(&'a self, step: &'a Step, each: Each) -> &'a str {
        step.way.as_ref().map_or(&self.value(each.list).name, |way| &way.condition.text)
    }

    /// The steps that run only if this arm is taken, or another one that leads to them.
    pub fn led_by(&self, taken: Taken) -> impl Iterator<Item = StepId> + '_ {
        let dependents = self.steps.get(taken.step.index()).map_or(&[][..], |step| &step.dependents);
        dependents.iter().copied().filter(move |id| self.step(*id).guards.contains(&taken))
    }

    /// The arms without which a step does not run, including those that these depend on.
    pub fn required(&self, step: StepId) -> BTreeSet<Taken> {
        let mut required = BTreeSet::new();
        let mut next = Some(step);
        while let Some([only]) = next.map(|step| self.step(step).guards.as_slice()) {
            next = required.insert(*only).then_some(only.step);
        }
        required
    }

    /// The steps that have ended before this one begins although it does not need them: the last ones of loops of which it
    /// needs a step, and, for the first steps that run once after all items, the last ones of the items.
    pub fn exits(&self, id: StepId) -> BTreeSet<StepId> {
        let step = self.step(id);
        let mut exits = BTreeSet::new();
        for need in &step.needs {
            let left = self.step(need.step).repeats.iter().find(|repeat| !step.repeats.contains(repeat));
            let Some(repeat) = left.and_then(|id| self.repeats.get(id.index())) else { continue };
            let ends = |id: &&StepId| !self.step(**id).dependents.iter().any(|next| repeat.contains(*next));
            exits.extend(repeat.steps.iter().filter(ends).copied());
        }
        let first = step.once && !step.needs.iter().any(|need| self.step(need.step).once);
        if first && step.kind == Kind::Forward {
            let of_item = |id: &StepId| !self.step(*id).once;
            let ends = |id: &StepId| of_item(id) && !self.step(*id).dependents.iter().any(of_item);
            exits.extend(self.order.iter().copied().filter(ends));
        }
        exits.retain(|exit| !step.needs.iter().any(|need| need.step == *exit));
        exits
    }

    /// A step's groups, innermost first.
    pub fn around(&self, step: StepId) -> impl Iterator<Item = usize> + '_ {
        let parent = |group: &usize| self.groups.get(*group).and_then(|group| group.parent);
        std::iter::successors(self.step(step).group, parent)
    }

    pub fn handlers(&self) -> impl Iterator<Item = StepId> + '_ {
        self.of_kind(Kind::Handler)
    }

    /// Whether any of its steps is compensated when an item fails.
    pub fn compensates(&self) -> bool {
        self.steps.iter().any(|step| step.compensate.is_some())
    }

    pub(super) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = StepId> + '_ {
        self.ids().filter(move |id| self.step(*id).kind == kind)
    }
}
