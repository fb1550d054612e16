//! Resolves conditions: the values that they use, their targets, and which steps can never both run.

use super::claims::{self, Decisive};
use super::elements;
use super::flow::{Flow, who};
use super::links::{Before, Link, MOST, Why};
use super::names::Names;
use super::outline::ancestors;
use super::repeat::Loops;
use super::targets::{Named, Namer, Targets};
use super::{Arm, Await, Chain, Guard, Kind, StepId, Taken, Target, ValueId};
use crate::condition::Condition;
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::{self, GroupId, Spanned, Spec};
use crate::value::{Type, in_conditions};
use std::collections::{BTreeSet, HashMap};

/// The effects of conditions on the steps, by step.
pub(super) struct Branches {
    pub when: Vec<Vec<Guard>>,
    pub awaits: Vec<Option<Await>>,
    pub chains: Vec<Vec<Chain>>,
    pub guards: Vec<Vec<Taken>>,
    pub skips: Vec<Vec<Taken>>,
    /// Whether a condition decides the order of the step, instead of its position.
    pub placed: Vec<bool>,
    /// By group: the decisions that lead to all of it.
    pub led: Vec<Vec<Before>>,
    /// By group: the decisions that skip to it.
    pub reached: Vec<Vec<Before>>,
    /// By loop: the condition that ends it.
    pub untils: Vec<Option<Guard>>,
    /// The orders that conditions require.
    pub links: Vec<Link>,
}

pub(super) fn resolve(
    spec: &Spec,
    flow: &Flow,
    (names, loops): (&Names, &Loops),
    targets: &Targets,
    diagnostics: &mut Vec<Diagnostic>,
) -> Branches {
    let none = || vec![Vec::new(); spec.steps.len()];
    let branches = Branches {
        when: vec![Vec::new(); spec.steps.len()],
        awaits: vec![None; spec.steps.len()],
        chains: vec![Vec::new(); spec.steps.len()],
        guards: none(),
        skips: none(),
        placed: vec![false; spec.steps.len()],
        led: vec![Vec::new(); spec.groups.len()],
        reached: vec![Vec::new(); spec.groups.len()],
        untils: Vec::new(),
        links: Vec::new(),
    };
    let values = flow.values.iter().enumerate();
    let values = values.map(|(id, value)| (in_conditions(&value.name), ValueId(id as u32))).collect();
    let elements = elements::known(spec, flow);
    let several = Vec::new();
    let mut resolver =
        Resolver { spec, flow, names, targets, values, elements, branches, several, diagnostics };
    for step in 0..spec.steps.len() {
        resolver.when(step);
        resolver.awaits(step);
        resolver.chains(step);
    }
    resolver.lead_to_groups();
    for until in loops.untils() {
        let guard = resolver.guard(until);
        resolver.branches.untils.push(guard);
    }
    resolver.branches
}

struct Resolver<'a> {
    spec: &'a Spec,
    flow: &'a Flow<'a>,
    names: &'a Names<'a>,
    targets: &'a Targets<'a>,
    /// As conditions write them.
    values: HashMap<String, ValueId>,
    elements: elements::Known,
    branches: Branches,
    /// Decisions that lead to groups.
    several: Vec<(GroupId, Taken, Span)>,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Resolver<'_> {
    /// The step's own condition and those of its groups.
    fn when(&mut self, step: usize) {
        let own = self.spec.steps[step].annotations.when.as_ref();
        let around = ancestors(self.spec, self.spec.steps[step].group);
        let around = around.filter_map(|(_, group)| group.annotations.when.as_ref());
        for (condition, is_own) in
            own.map(|own| (own, true)).into_iter().chain(around.map(|when| (when, false)))
        {
            let Some(guard) = self.guard(condition) else { continue };
            for (name, value) in &guard.names {
                if self.makes(step, *value) {
                    self.diagnostics.push(catalogue::own_output(condition.span, name));
                } else {
                    self.branches.placed[step] |= is_own && !self.flow.makers[value.index()].is_empty();
                    self.after_makers(*value, step, condition.span);
                }
            }
            self.branches.when[step].push(guard);
        }
    }

    fn makes(&self, step: usize, value: ValueId) -> bool {
        let awaited = self.flow.payloads[step] == Some(value);
        awaited || self.flow.steps[step].outputs.iter().any(|port| port.value == value)
    }

    /// The event that the step waits for: the values that select it are those of steps before it.
    fn awaits(&mut self, step: usize) {
        let Some(written) = &self.spec.steps[step].annotations.awaits else { return };
        let Some(payload) = self.flow.payloads[step] else { return };
        let written = &written.value;
        let subject = written.subject.as_ref().and_then(|subject| self.names_of(subject));
        let filter = written.condition.as_ref().map(|condition| {
            let known = |(name, _): (&str, _)| Some((name.to_owned(), *self.values.get(name)?));
            let names = condition.value.names().into_iter().filter_map(known);
            let names = names.filter(|(_, value)| !self.elements.contains_key(value)).collect();
            Guard { condition: condition.value.clone(), names }
        });
        for guard in subject.iter().chain(&filter) {
            for (name, value) in guard.names.iter().filter(|(_, value)| *value != payload) {
                if self.makes(step, *value) {
                    self.diagnostics.push(catalogue::own_output(written.span, name));
                } else {
                    self.branches.placed[step] |= !self.flow.makers[value.index()].is_empty();
                    self.after_makers(*value, step, written.span);
                }
            }
        }
        self.branches.awaits[step] = Some(Await {
            event: written.event.value.clone(),
            payload,
            subject,
            filter,
            within: written.within.as_ref().map(|time| time.value),
        });
    }

    fn after_makers(&mut self, value: ValueId, step: usize, at: Span) {
        for made in self.flow.makers[value.index()].iter().filter(|made| made.step != step) {
            self.link(Link { from: made.step, to: step, why: Why::Data(value), at });
        }
    }

    /// Finds the values of a condition, which must be true or false.
    fn guard(&mut self, condition: &Spanned<Condition>) -> Option<Guard> {
        let guard = self.names_of(condition);
        if let Some([(name, value)]) = guard.as_ref().map(|guard| guard.names.as_slice())
            && condition.value.text.trim() == name
            && let Some(ty) = self.declared(*value).filter(|ty| never_boolean(ty))
        {
            self.diagnostics.push(catalogue::never_boolean(condition.span, name, &ty.to_string()));
        }
        guard
    }

    /// Finds the values of an expression.
    fn names_of(&mut self, condition: &Spanned<Condition>) -> Option<Guard> {
        let mut found = Vec::new();
        let mut whole = true;
        for (name, at) in condition.value.names() {
            let at = Span::new(condition.span.start + at.start, condition.span.start + at.end);
            match self.values.get(name) {
                Some(value) if self.elements.contains_key(value) => {
                    let (step, each) = self.elements[value];
                    let title = self.names.title(step);
                    self.diagnostics.push(catalogue::element_outside(name, at, title, each));
                    whole = false;
                }
                Some(value) => found.push((name.to_owned(), *value)),
                None => {
                    let near = self.names.near(name, self.values.keys().map(String::as_str));
                    let member = self.member(name);
                    let near = member.as_deref().or(near);
                    self.diagnostics.push(catalogue::unknown_value(at, name, near));
                    whole = false;
                }
            }
        }
        whole.then(|| Guard { condition: condition.value.clone(), names: found })
    }

    /// The value that has a member of this name, such as `review.approved`, if there is one.
    fn member(&self, name: &str) -> Option<String> {
        let ports = self.flow.steps.iter().flat_map(|ports| ports.outputs.iter().chain(&ports.inputs));
        let has = |ty: &Type| {
            let Type::Named(ty) = ty else { return false };
            let defined = self.spec.types.iter().find(|defined| defined.name.value == *ty);
            let members = defined.and_then(|defined| defined.schema.get("properties"));
            members.is_some_and(|members| members.get(name).is_some())
        };
        let mut having = ports.filter(|port| port.ty.is_some_and(|ty| has(&ty.value)));
        let first = having.next()?;
        let shown = format!("{}.{name}", in_conditions(self.flow.name(first.value)));
        having.all(|port| port.value == first.value).then_some(shown)
    }

    fn declared(&self, value: ValueId) -> Option<&Type> {
        let ports = self.flow.steps.iter().flat_map(|ports| ports.outputs.iter().chain(&ports.inputs));
        ports.filter(|port| port.value == value).find_map(|port| port.ty).map(|ty| &ty.value)
    }

    fn chains(&mut self, step: usize) {
        for (chain, arms) in self.spec.steps[step].chains.iter().enumerate() {
            let mut resolved = Vec::new();
            for (index, arm) in arms.iter().enumerate() {
                let kind = self.flow.kinds[step];
                if kind != Kind::Forward {
                    let title = self.names.title(step);
                    let why = &format!("a {} decides nothing", who(kind));
                    self.diagnostics.push(catalogue::bad_target(
                        arm.span,
                        title,
                        why,
                        ("this step", self.spec.steps[step].title.span),
                    ));
                    continue;
                }
                let taken = Taken { step: StepId(step as u32), chain: chain as u32, arm: index as u32 };
                if let Some(arm) = self.arm(step, arm, taken) {
                    resolved.push(arm);
                }
            }
            self.branches.chains[step].push(resolved);
        }
    }

    fn arm(&mut self, step: usize, arm: &spec::Arm, taken: Taken) -> Option<Arm> {
        let guard = match &arm.condition {
            Some(condition) => {
                let guard = self.guard(condition)?;
                for (_, value) in &guard.names {
                    // A step may decide on its own outputs.
                    if !self.makes(step, *value) {
                        self.after_makers(*value, step, condition.span);
                    }
                }
                Some(guard)
            }
            None => None,
        };
        let target = match &arm.target.value {
            spec::Target::End => Target::End,
            spec::Target::Fail(reason) => Target::Fail(reason.clone()),
            spec::Target::Step(title) => match self.target(step, title, arm.target.span)? {
                Named::Step(to) => {
                    self.branches.guards[to].push(taken);
                    self.branches.placed[to] = true;
                    self.leads(step, to, arm.target.span);
                    Target::Step(StepId(to as u32))
                }
                Named::Group(group) => {
                    self.several.push((group, taken, arm.target.span));
                    self.branches.led[group].push((step, Some(arm.target.span)));
                    Target::Group(group)
                }
            },
            spec::Target::Skip(title) => {
                let named = self.target(step, title, arm.target.span)?;
                let (to, stands) = match named {
                    Named::Step(to) => (to, ("this step", self.spec.steps[to].title.span)),
                    Named::Group(group) => {
                        let first = self.targets.members[group].first().copied()?;
                        (first, ("the group", self.spec.groups[group].title.span))
                    }
                };
                if to < step {
                    let why = "it is above, so no step is between";
                    self.diagnostics.push(catalogue::bad_target(arm.target.span, title, why, stands));
                    return None;
                }
                for between in (step + 1..to).filter(|between| self.flow.kinds[*between] == Kind::Forward) {
                    if !self.leads(step, between, arm.target.span) {
                        break;
                    }
                    self.branches.skips[between].push(taken);
                }
                match named {
                    Named::Step(to) => {
                        self.leads(step, to, arm.target.span);
                        Target::Skip(StepId(to as u32))
                    }
                    Named::Group(group) => {
                        self.branches.reached[group].push((step, Some(arm.target.span)));
                        Target::SkipToGroup(group)
                    }
                }
            }
        };
        Some(Arm { guard, target })
    }

    /// Guards each step of a group by the decisions that lead to the group, except steps with a decision of their own
    /// in the group.
    fn lead_to_groups(&mut self) {
        let around = |step: usize| ancestors(self.spec, self.spec.steps[step].group).map(|(group, _)| group);
        // By step and by group: the groups of the steps that decide on it.
        let mut of_steps: Vec<BTreeSet<GroupId>> = vec![BTreeSet::new(); self.spec.steps.len()];
        let mut of_groups: Vec<BTreeSet<GroupId>> = vec![BTreeSet::new(); self.spec.groups.len()];
        for (within, guards) in of_steps.iter_mut().zip(&self.branches.guards) {
            within.extend(guards.iter().flat_map(|taken| around(taken.step.index())));
        }
        for (group, taken, _) in &self.several {
            of_groups[*group].extend(around(taken.step.index()));
        }
        for (group, taken, at) in std::mem::take(&mut self.several) {
            for &step in &self.targets.members[group] {
                let inside = of_steps[step].contains(&group)
                    || ancestors(self.spec, self.spec.steps[step].group)
                        .any(|(inner, _)| of_groups[inner].contains(&group));
                if inside {
                    continue;
                }
                if !self.leads(taken.step.index(), step, at) {
                    return;
                }
                self.branches.guards[step].push(taken);
            }
        }
    }

    /// Whether there was room for one more order.
    fn leads(&mut self, from: usize, to: usize, at: Span) -> bool {
        self.link(Link { from, to, why: Why::Written, at })
    }

    /// One link too many is enough to show that there are too many.
    fn link(&mut self, link: Link) -> bool {
        let room = self.branches.links.len() <= MOST;
        if room {
            self.branches.links.push(link);
        }
        room
    }

    fn target(&mut self, step: usize, title: &str, at: Span) -> Option<Named> {
        let to = match self.targets.find(title, at, Namer::Decider(step), self.diagnostics) {
            Ok(Named::Step(to)) => to,
            Ok(group) => return Some(group),
            Err(problem) => {
                self.diagnostics.push(*problem);
                return None;
            }
        };
        let why = match self.flow.kinds[to] {
            Kind::Handler => "it is a failure handler",
            Kind::Compensation => "it compensates another step",
            Kind::Forward if to == step => "it is the step that decides",
            Kind::Forward => return Some(Named::Step(to)),
        };
        let place = ("this step", self.spec.steps[to].title.span);
        let problem = catalogue::bad_target(at, title, why, place);
        self.diagnostics.push(match self.flow.kinds[to] {
            Kind::Forward => problem,
            _ => catalogue::target_of_failure(problem, at, self.names.title(step)),
        });
        None
    }
}

fn never_boolean(ty: &Type) -> bool {
    match ty {
        Type::String | Type::Secret | Type::Integer | Type::Number | Type::File | Type::List(_) => true,
        Type::Boolean | Type::Json | Type::Named(_) | Type::Defined(_) | Type::Nullable(_) => false,
    }
}

impl Branches {
    /// Whether two steps can never both run: different arms of one chain lead to them, or their conditions exclude
    /// each other.
    pub fn exclude(&self, one: usize, other: usize) -> bool {
        let (mine, theirs) = (self.required(one), self.required(other));
        let apart = |a: &Taken, b: &Taken| (a.step, a.chain) == (b.step, b.chain) && a.arm != b.arm;
        let decisive = |step: usize| Decisive {
            when: &self.when[step],
            chains: &self.chains[step],
            guards: &self.guards[step],
        };
        let claims = |step: usize| claims::of(step, &decisive);
        mine.iter().any(|a| theirs.iter().any(|b| apart(a, b))) || claims::apart(&claims(one), &claims(other))
    }

    /// Decisions without which the step does not run, including those of its deciders.
    fn required(&self, step: usize) -> BTreeSet<Taken> {
        let mut required = BTreeSet::new();
        let mut next = Some(step);
        while let Some([only]) = next.map(|step| self.guards[step].as_slice()) {
            next = required.insert(*only).then_some(only.step.index());
        }
        required
    }
}
