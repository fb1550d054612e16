//! What each step waits for, and why: data, an order that the author wrote, or where the step stands.

use super::branches::Branches;
use super::flow::{Flow, Origin, who};
use super::names::Names;
use super::outline::{ancestors, within};
use super::{Kind, ValueId};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::{After, GroupId, Spanned, Spec};
use std::rc::Rc;

/// Two parallel groups in a row need an order for every pair of their steps; this many still fit well.
const MOST: usize = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Data(ValueId),
    /// `[after:: …]` on the step or on a group around it.
    Written,
    /// The step stands below the other.
    Place,
}

/// `to` waits for `from`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub from: usize,
    pub to: usize,
    pub why: Why,
    /// Where the document says so.
    pub at: Span,
}

/// All links between forward steps.
pub(super) fn collect(
    spec: &Spec,
    flow: &Flow,
    branches: &Branches,
    names: &Names,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Link> {
    let mut links = Links { spec, all: Vec::new(), full: None };
    for (to, ports) in flow.steps.iter().enumerate().filter(|(step, _)| flow.kinds[*step] == Kind::Forward) {
        for (port, origin) in ports.inputs.iter().zip(&ports.origins) {
            for made in flow.makers[port.value.index()].iter().filter(|_| *origin == Origin::Made) {
                links.add(Link { from: made.step, to, why: Why::Data(port.value), at: port.span });
            }
        }
    }
    for link in branches.links.iter().filter(|link| flow.kinds[link.to] == Kind::Forward) {
        links.add(*link);
    }
    let written = Written::read(spec, flow, names, diagnostics);
    follow(spec, flow, branches, &written, &mut links);
    guard(spec, flow, &written, &mut links);
    if let Some(title) = links.full.map(|step| &spec.steps[step].title).or(written.full) {
        diagnostics.push(catalogue::too_many_orders(&title.value, title.span, MOST));
    }
    links.all
}

struct Links<'a> {
    spec: &'a Spec,
    all: Vec<Link>,
    /// The first step whose links found no more room.
    full: Option<usize>,
}

impl Links<'_> {
    fn add(&mut self, link: Link) {
        if self.all.len() < MOST {
            self.all.push(link);
        } else {
            self.full.get_or_insert(link.to);
        }
    }

    /// `to` comes after all of these.
    fn follow(&mut self, before: &[Before], to: usize) {
        for (from, said) in before.iter().take(MOST + 1 - self.all.len()) {
            let why = if said.is_some() { Why::Written } else { Why::Place };
            let at = said.unwrap_or(self.spec.steps[to].title.span);
            self.add(Link { from: *from, to, why, at });
        }
    }
}

/// A step that comes first, with the place that says so; without, where it merely stands above.
type Before = (usize, Option<Span>);

/// The orders that the author wrote, resolved; none where there is no `[after:: …]` at all.
struct Written<'a> {
    steps: Vec<Option<Vec<Before>>>,
    groups: Vec<Option<Vec<Before>>>,
    /// The first step or group whose orders found no more room.
    full: Option<&'a Spanned<String>>,
}

impl<'a> Written<'a> {
    fn read(spec: &'a Spec, flow: &Flow, names: &Names, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut members = vec![Vec::new(); spec.groups.len()];
        for step in (0..spec.steps.len()).filter(|step| flow.kinds[*step] == Kind::Forward) {
            ancestors(spec, spec.steps[step].group).for_each(|(group, _)| members[group].push(step));
        }
        let targets = Targets { spec, flow, names, members };
        let (mut room, mut full) = (MOST, None);
        let mut resolve = |after: &[Spanned<After>], title: &'a Spanned<String>, owner: Owner| {
            let mut all: Vec<Before> = Vec::new();
            for one in after {
                match targets.of(one, owner, diagnostics) {
                    Ok(steps) => {
                        if steps.len() > room {
                            full.get_or_insert(title);
                        }
                        all.extend(steps.iter().take(room).map(|step| (*step, Some(one.span))));
                        room = room.saturating_sub(steps.len());
                    }
                    Err(diagnostic) => diagnostics.push(*diagnostic),
                }
            }
            (!after.is_empty()).then_some(all)
        };
        let groups = spec.groups.iter().enumerate();
        let groups =
            groups.map(|(id, group)| resolve(&group.annotations.after, &group.title, Owner::Group(id)));
        let groups = groups.collect();
        let steps = spec.steps.iter();
        let steps = steps.map(|step| resolve(&step.annotations.after, &step.title, Owner::Step(step.group)));
        let steps = steps.collect();
        for (step, kind) in spec.steps.iter().zip(&flow.kinds) {
            if let (Kind::Handler | Kind::Compensation, [after, ..]) =
                (kind, step.annotations.after.as_slice())
            {
                let title = &step.title;
                diagnostics.push(catalogue::ordered_handler(
                    &title.value,
                    who(*kind),
                    after.span,
                    title.span,
                ));
            }
        }
        Written { steps, groups, full }
    }
}

/// Who waits: a step, with the group around it, or the steps of a group.
#[derive(Clone, Copy)]
enum Owner {
    Step(Option<GroupId>),
    Group(GroupId),
}

/// What `[after:: …]` can name.
struct Targets<'a, 'n> {
    spec: &'a Spec,
    flow: &'n Flow<'a>,
    names: &'n Names<'a>,
    /// The forward steps of each group, those of the groups in it too.
    members: Vec<Vec<usize>>,
}

impl Targets<'_, '_> {
    /// The forward steps that must come first: all of a group; none for `start`.
    fn of(
        &self,
        after: &Spanned<After>,
        owner: Owner,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Result<Vec<usize>, Box<Diagnostic>> {
        let After::Step(written) = &after.value else { return Ok(Vec::new()) };
        let group = self.names.find_group(written).filter(|(group, _)| !self.members[*group].is_empty());
        if let Some((group, false)) = group {
            self.refuse_own(group, after.span, owner)?;
            return Ok(self.members[group].clone());
        }
        let step = self.names.find(written, after.span)?;
        let title = &self.spec.steps[step].title;
        if let kind @ (Kind::Handler | Kind::Compensation) = self.flow.kinds[step] {
            return Err(Box::new(catalogue::ordered_handler(
                &title.value,
                who(kind),
                after.span,
                title.span,
            )));
        }
        if let Some((group, true)) = group
            && self.members[group] != [step]
        {
            let place = self.spec.groups[group].title.span;
            diagnostics.push(catalogue::step_and_group(&title.value, after.span, title.span, place));
        }
        Ok(vec![step])
    }

    /// What is in a group cannot wait for all of it.
    fn refuse_own(&self, group: GroupId, at: Span, owner: Owner) -> Result<(), Box<Diagnostic>> {
        let holds = |outer: GroupId, inner| ancestors(self.spec, inner).any(|(id, _)| id == outer);
        let title = &self.spec.groups[group].title;
        let first = self.members[group].first().map(|step| self.names.title(*step));
        let own = match owner {
            Owner::Step(around) => holds(group, around),
            Owner::Group(own) => holds(group, Some(own)) || holds(own, Some(group)),
        };
        match own {
            true => Err(Box::new(catalogue::own_group(&title.value, at, title.span, first))),
            false => Ok(()),
        }
    }
}

/// A group that is being walked through.
struct Open {
    group: GroupId,
    /// What the group itself follows.
    entry: Rc<Vec<Before>>,
    /// All forward steps in it so far.
    members: Vec<usize>,
}

/// Adds the implicit order: walks the steps as they stand and keeps what the next one follows.
fn follow(spec: &Spec, flow: &Flow, branches: &Branches, written: &Written, links: &mut Links) {
    let mut walk = Walk { spec, open: Vec::new(), current: Rc::default() };
    for (step, kind) in flow.kinds.iter().enumerate() {
        if *kind != Kind::Forward {
            continue;
        }
        walk.enter(spec.steps[step].group, written);
        let takes = branches.placed[step]
            || flow.steps[step].origins.iter().any(|origin| matches!(origin, Origin::Made | Origin::Unclear));
        match &written.steps[step] {
            Some(after) => links.follow(after, step),
            None if takes => {}
            None => links.follow(&walk.current, step),
        }
        walk.pass(step);
    }
}

struct Walk<'a> {
    spec: &'a Spec,
    open: Vec<Open>,
    /// What the next step follows.
    current: Rc<Vec<Before>>,
}

impl Walk<'_> {
    /// Leaves and enters groups until `group` is the innermost open one.
    fn enter(&mut self, group: Option<GroupId>, written: &Written) {
        let mut path: Vec<GroupId> = ancestors(self.spec, group).map(|(id, _)| id).collect();
        path.reverse();
        let common = self.open.iter().zip(&path).take_while(|(open, id)| open.group == **id).count();
        while self.open.len() > common {
            self.leave();
        }
        for group in path.into_iter().skip(common) {
            if let Some(after) = &written.groups[group] {
                self.current = Rc::new(after.clone());
            }
            self.open.push(Open { group, entry: self.current.clone(), members: Vec::new() });
        }
    }

    fn leave(&mut self) {
        let Some(open) = self.open.pop() else { return };
        if open.members.is_empty() {
            return;
        }
        if self.spec.groups[open.group].parallel {
            self.current = Rc::new(open.members.iter().map(|step| (*step, None)).collect());
        }
        self.pass_on(open.members);
    }

    /// Goes on below a step.
    fn pass(&mut self, step: usize) {
        self.current = Rc::new(vec![(step, None)]);
        self.pass_on(vec![step]);
    }

    /// Tells the group around what it now holds; the children of a parallel one are free of each other.
    fn pass_on(&mut self, steps: Vec<usize>) {
        if let Some(around) = self.open.last_mut() {
            around.members.extend(steps);
            if self.spec.groups[around.group].parallel {
                self.current = around.entry.clone();
            }
        }
    }
}

/// A group's `[after:: …]` guards every step in it. A step that waits for another of the group is guarded
/// through that one.
fn guard(spec: &Spec, flow: &Flow, written: &Written, links: &mut Links) {
    if written.groups.iter().all(Option::is_none) {
        return;
    }
    let mut waits_for: Vec<Vec<usize>> = vec![Vec::new(); spec.steps.len()];
    for link in &links.all {
        waits_for[link.to].push(link.from);
    }
    for step in (0..spec.steps.len()).filter(|step| flow.kinds[*step] == Kind::Forward) {
        for (group, _) in ancestors(spec, spec.steps[step].group) {
            let inside = || waits_for[step].iter().any(|from| within(spec, *from, group));
            if let Some(after) = &written.groups[group]
                && !inside()
            {
                links.follow(after, step);
            }
        }
    }
}
