//! What can be asked about the steps and values of a graph, without changing it.

use super::{
    Await, Each, Graph, Guard, Input, Kind, Need, Output, Role, StateId, Step, StepId, Taken, ValueId,
    ValueInfo,
};
use crate::value::Type;
use std::collections::BTreeSet;

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
    pub fn failure_inputs(&self, handler: StepId) -> impl Iterator<Item = ValueId> + '_ {
        let is_failure = |input: &&Input| input.role == Role::Failure;
        self.step(handler).inputs.iter().filter(is_failure).map(|input| input.value)
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
