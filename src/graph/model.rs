//! The resolved workflow. Steps and values are known by their index; names are for people.

use super::Instructions;
use crate::condition::Condition;
use crate::spec::{Expectation, Mark, OnItemError, Program, Retry, Tolerance};
use crate::value::Type;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// Index into [`Graph::steps`], which stand in document order.
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
    /// What must be there before a step: with a value, data; without, an order. Sorted by `to`, then `from`.
    pub edges: Vec<Edge>,
    /// Values that no step makes, in order of first use: the workflow's inputs.
    pub inputs: Vec<ValueId>,
    /// Forward steps so that each follows all that it depends on; among the free, document order.
    pub order: Vec<StepId>,
    pub groups: Vec<Group>,
    /// What steps that run once take from the items: lists over the items that have a value.
    pub gathered: Vec<ValueId>,
    /// What an item may be, as the document's diagram draws it.
    pub states: Vec<String>,
    /// What every item begins as; none without states, and where the steps that lead to the first are left out.
    pub initial: Option<StateId>,
    pub settings: Settings,
}

/// What the front matter says about a run; the command line may say otherwise.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub items: Option<String>,
    pub key: Option<String>,
    pub jobs: Option<usize>,
    pub tolerate: Tolerance,
    pub on_item_error: OnItemError,
    /// Of one item.
    pub deadline: Option<Duration>,
    /// Names of environment variables that the document asks for.
    pub env: Vec<String>,
    /// Names of secrets that it asks for.
    pub secrets: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct ValueInfo {
    pub name: String,
    pub ty: Option<Type>,
}

#[derive(Clone, Debug)]
pub struct Group {
    pub title: String,
    pub parent: Option<usize>,
    pub parallel: bool,
    /// From the start of its first step: shared by all of them.
    pub deadline: Option<Duration>,
}

/// How a step comes to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Forward,
    /// Runs once for each failed item.
    Handler,
    /// Undoes another step.
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
    /// Of the heading, from 1.
    pub line: usize,
    /// Index into [`Graph::groups`].
    pub group: Option<usize>,
    pub inputs: Vec<Input>,
    pub outputs: Vec<Output>,
    /// Runs for each element of a list.
    pub each: Option<Each>,
    /// How it finds that list in the value, where the value is not itself the list.
    pub way: Option<Guard>,
    /// Runs once, after all items, and so do all that follow it.
    pub once: bool,
    pub retry: Option<Retry>,
    pub timeout: Option<Duration>,
    pub deadline: Option<Duration>,
    /// The step that undoes this one when the item fails.
    pub compensate: Option<StepId>,
    /// Once done, what precedes it is never undone.
    pub irreversible: bool,
    /// It only looks or computes: `[effects:: none]`.
    pub pure: bool,
    /// What its item is when it starts, and becomes when it succeeds.
    pub state: Option<Passage>,
    pub program: Option<Program>,
    /// What the document claims of its figures.
    pub expectations: Vec<Expectation>,
    pub instructions: Instructions,
    /// All must hold for the step to run: its own `[when:: …]` and those of its groups.
    pub when: Vec<Guard>,
    /// Decided in order when the step has succeeded.
    pub chains: Vec<Chain>,
    /// Decisions of which one must lead here; empty where the step needs none.
    pub guards: Vec<Taken>,
    /// Decisions of which none may be taken.
    pub skips: Vec<Taken>,
    /// Steps that must be settled before this one, through data or order; each once, sorted.
    pub needs: Vec<Need>,
    /// Steps that have this one among their needs, sorted.
    pub dependents: Vec<StepId>,
}

/// A list and the name by which a step knows its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Each {
    pub element: ValueId,
    pub list: ValueId,
}

/// In which states a step starts, and to which its success leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Never empty.
    pub from: Vec<StateId>,
    /// None where the state stays as it is.
    pub to: Option<StateId>,
}

/// One step that another waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    pub step: StepId,
    /// Whether a value that cannot do without flows: then only success will do.
    pub data: bool,
}

/// A condition with the values that it speaks of, by the names that it uses.
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
    /// None for `Otherwise`.
    pub guard: Option<Guard>,
    pub target: Target,
}

/// Where an arm leads.
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
    /// The steps that make it, several only on branches that exclude each other; none for a workflow input and
    /// for a handler's `failed_…`.
    pub makers: Vec<StepId>,
}

/// What an input is to its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Handed to the agent.
    Given,
    /// A list of which the agent is handed an element; only waited for.
    List,
    /// Tells a failure handler of the failure.
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
    /// None for an order without data.
    pub value: Option<ValueId>,
}

impl Step {
    /// The values that its conditions speak of.
    pub fn asks(&self) -> impl Iterator<Item = ValueId> + '_ {
        let arms = self.chains.iter().flatten().filter_map(|arm| arm.guard.as_ref());
        self.when.iter().chain(arms).flat_map(|guard| guard.names.iter().map(|(_, value)| *value))
    }

    /// Those of them without which a condition cannot be decided.
    fn asks_for(&self) -> impl Iterator<Item = ValueId> + '_ {
        let arms = self.chains.iter().flatten().filter_map(|arm| arm.guard.as_ref());
        self.when.iter().chain(arms).flat_map(Guard::needs)
    }

    /// What its agent is handed.
    pub fn given(&self) -> impl Iterator<Item = &Input> + Clone {
        self.inputs.iter().filter(|input| input.role != Role::List)
    }

    /// Whether it names what it takes or makes.
    pub fn has_signature(&self) -> bool {
        self.given().next().is_some() || !self.outputs.is_empty()
    }

    /// The values that its agent is handed: without a signature all `inputs` of the workflow, and its element.
    pub fn takes<'a>(&'a self, inputs: &'a [ValueId]) -> impl Iterator<Item = ValueId> + 'a {
        let all = if self.has_signature() { &[] } else { inputs };
        let element = self.each.map(|each| each.element).filter(|_| !self.has_signature());
        self.given().map(|input| input.value).chain(element).chain(all.iter().copied())
    }

    /// Whether its failure decides over what it is part of.
    pub fn counts(&self) -> bool {
        self.kind == Kind::Forward || self.once
    }

    /// Whether anything decides on whether it runs.
    pub fn is_conditional(&self) -> bool {
        !(self.when.is_empty() && self.guards.is_empty() && self.skips.is_empty())
    }
}

impl Graph {
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

    /// Whether a run can do without an input. Where no step takes it, a condition can still ask for it.
    pub fn may_lack(&self, id: ValueId) -> bool {
        let takes = self.steps.iter().flat_map(|step| &step.inputs).filter(|input| input.value == id);
        let takes: Vec<bool> = takes.map(|input| input.optional).collect();
        match takes.as_slice() {
            [] => !self.steps.iter().any(|step| step.asks_for().any(|asked| asked == id)),
            takes => takes.iter().all(|optional| *optional),
        }
    }

    /// The inputs of a failure handler that tell it of the failure.
    pub fn told(&self, handler: StepId) -> impl Iterator<Item = ValueId> + '_ {
        let told = |input: &&Input| input.role == Role::Failure;
        self.step(handler).inputs.iter().filter(told).map(|input| input.value)
    }

    /// The type of one output as its step makes it: a step that runs for each element of a list makes one
    /// element of what the others see.
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

    /// The list for whose elements a step runs, as the document names it.
    pub fn list<'a>(&'a self, step: &'a Step, each: Each) -> &'a str {
        step.way.as_ref().map_or(&self.value(each.list).name, |way| &way.condition.text)
    }

    /// The steps that run only if this arm is taken, or another one that leads to them.
    pub fn led_by(&self, taken: Taken) -> impl Iterator<Item = StepId> + '_ {
        let dependents = self.steps.get(taken.step.index()).map_or(&[][..], |step| &step.dependents);
        dependents.iter().copied().filter(move |id| self.step(*id).guards.contains(&taken))
    }

    /// The arms without which a step does not run, those without which they are not decided included.
    pub fn required(&self, step: StepId) -> BTreeSet<Taken> {
        let mut required = BTreeSet::new();
        let mut next = Some(step);
        while let Some([only]) = next.map(|step| self.step(step).guards.as_slice()) {
            next = required.insert(*only).then_some(only.step);
        }
        required
    }

    /// What a group is called where several may be meant: its title, with that of the group around it if another
    /// group has the same.
    pub fn group_name(&self, group: usize) -> String {
        let Some(own) = self.groups.get(group) else { return String::new() };
        let alike = self.groups.iter().filter(|other| other.title == own.title).count();
        match own.parent.and_then(|parent| self.groups.get(parent)) {
            Some(around) if alike > 1 => format!("{}/{}", around.title, own.title),
            _ => own.title.clone(),
        }
    }

    /// A step's groups, innermost first.
    pub fn around(&self, step: StepId) -> impl Iterator<Item = usize> + '_ {
        let parent = |group: &usize| self.groups.get(*group).and_then(|group| group.parent);
        std::iter::successors(self.step(step).group, parent)
    }

    /// These steps and all that must be settled before them.
    pub fn upstream(&self, steps: impl IntoIterator<Item = StepId>) -> BTreeSet<StepId> {
        upstream(steps, |step| self.step(step).needs.iter().map(|need| need.step))
    }

    /// Whether one of those that depend on a step, through others too, is `wanted`.
    pub fn leads_to(&self, step: StepId, wanted: &dyn Fn(StepId) -> bool) -> bool {
        let mut seen = BTreeSet::new();
        let mut ahead: Vec<StepId> = self.step(step).dependents.clone();
        while let Some(next) = ahead.pop() {
            if wanted(next) {
                return true;
            }
            if seen.insert(next) {
                ahead.extend(&self.step(next).dependents);
            }
        }
        false
    }

    pub fn handlers(&self) -> impl Iterator<Item = StepId> + '_ {
        self.of_kind(Kind::Handler)
    }

    /// Whether anything in it is undone when an item fails.
    pub fn compensates(&self) -> bool {
        self.steps.iter().any(|step| step.compensate.is_some())
    }

    pub fn compensations(&self) -> impl Iterator<Item = StepId> + '_ {
        self.of_kind(Kind::Compensation)
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = StepId> + '_ {
        self.ids().filter(move |id| self.step(*id).kind == kind)
    }
}

/// These and all that must be settled before them.
pub fn upstream<T: Copy + Ord, N: Iterator<Item = T>>(
    from: impl IntoIterator<Item = T>,
    needs: impl Fn(T) -> N,
) -> BTreeSet<T> {
    let mut found = BTreeSet::new();
    let mut ahead: Vec<T> = from.into_iter().collect();
    while let Some(next) = ahead.pop() {
        if found.insert(next) {
            ahead.extend(needs(next));
        }
    }
    found
}
