//! The links between steps that wait for each other, with their reasons: data, an order in the document, or the
//! position of the step.

use super::branches::Branches;
use super::flow::{Flow, Origin, who};
use super::outline::{ancestors, within};
use super::targets::{Named, Namer, Targets};
use super::{Kind, ValueId};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::{After, GroupId, Spanned, Spec};
use std::rc::Rc;

/// The most links: two adjacent parallel groups need one for every pair of their steps.
pub(super) const MOST: usize = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Data(ValueId),
    /// `[after:: …]` on the step or on a group around it.
    Written,
    /// The step is below the other.
    Place,
    /// The other is in a loop, for whose end the step waits.
    Loop,
}

/// `to` waits for `from`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub from: usize,
    pub to: usize,
    pub why: Why,
    /// The place of the reason.
    pub at: Span,
}

/// All links between forward steps.
pub(super) fn collect(
    spec: &Spec,
    flow: &Flow,
    branches: &Branches,
    targets: &Targets,
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
    let written = Written::read(spec, flow, targets, diagnostics);
    follow(spec, flow, branches, &written, &mut links);
    guard(spec, flow, branches, &written, &mut links);
    if let Some(title) = links.full.map(|step| &spec.steps[step].title).or(written.full) {
        diagnostics.push(catalogue::too_many_orders(&title.value, title.span, MOST));
    }
    links.all
}

struct Links<'a> {
    spec: &'a Spec,
    all: Vec<Link>,
    /// The first step whose links exceeded the limit.
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

/// A step that comes first, with the place of the reason; `None` if it is just above.
pub(super) type Before = (usize, Option<Span>);

/// The `[after:: …]` orders, resolved; `None` for a step without any.
struct Written<'a> {
    steps: Vec<Option<Vec<Before>>>,
    groups: Vec<Option<Vec<Before>>>,
    /// The first step or group whose orders exceeded the limit.
    full: Option<&'a Spanned<String>>,
}

impl<'a> Written<'a> {
    fn read(spec: &'a Spec, flow: &Flow, targets: &Targets, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let (mut room, mut full) = (MOST, None);
        let mut resolve = |after: &[Spanned<After>], title: &'a Spanned<String>, owner: Namer| {
            let mut all: Vec<Before> = Vec::new();
            for one in after {
                match first(flow, spec, targets, one, owner, diagnostics) {
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
            groups.map(|(id, group)| resolve(&group.annotations.after, &group.title, Namer::Group(id)));
        let groups = groups.collect();
        let steps = spec.steps.iter();
        let steps = steps.map(|step| resolve(&step.annotations.after, &step.title, Namer::Step(step.group)));
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

/// The forward steps that `[after:: …]` names: all of a group; none for `start`.
fn first(
    flow: &Flow,
    spec: &Spec,
    targets: &Targets,
    after: &Spanned<After>,
    owner: Namer,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Vec<usize>, Box<Diagnostic>> {
    let After::Step(written) = &after.value else { return Ok(Vec::new()) };
    let step = match targets.find(written, after.span, owner, diagnostics)? {
        Named::Group(group) => return Ok(targets.members[group].clone()),
        Named::Step(step) => step,
    };
    let title = &spec.steps[step].title;
    match flow.kinds[step] {
        kind @ (Kind::Handler | Kind::Compensation) => {
            Err(Box::new(catalogue::ordered_handler(&title.value, who(kind), after.span, title.span)))
        }
        Kind::Forward => Ok(vec![step]),
    }
}

/// A group that is being walked through.
struct Open {
    group: GroupId,
    /// The steps that the group follows.
    entry: Rc<Vec<Before>>,
    /// All forward steps in it so far.
    members: Vec<usize>,
}

/// Adds the implicit order: walks the steps in document order and stores what the next one follows.
fn follow(spec: &Spec, flow: &Flow, branches: &Branches, written: &Written, links: &mut Links) {
    let mut walk = Walk { spec, open: Vec::new(), current: Rc::default() };
    for (step, kind) in flow.kinds.iter().enumerate() {
        if *kind != Kind::Forward {
            continue;
        }
        walk.enter(spec.steps[step].group, branches, written);
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
    /// The steps that the next step follows.
    current: Rc<Vec<Before>>,
}

impl Walk<'_> {
    /// Leaves and enters groups until `group` is the innermost open one.
    fn enter(&mut self, group: Option<GroupId>, branches: &Branches, written: &Written) {
        let mut path: Vec<GroupId> = ancestors(self.spec, group).map(|(id, _)| id).collect();
        path.reverse();
        let common = self.open.iter().zip(&path).take_while(|(open, id)| open.group == **id).count();
        while self.open.len() > common {
            self.leave();
        }
        for group in path.into_iter().skip(common) {
            let (after, led) = (&written.groups[group], &branches.led[group]);
            if after.is_some() || !led.is_empty() {
                self.current = Rc::new(after.iter().flatten().chain(led).copied().collect());
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

    /// Moves on after a step.
    fn pass(&mut self, step: usize) {
        self.current = Rc::new(vec![(step, None)]);
        self.pass_on(vec![step]);
    }

    /// Passes the steps of a group to the group around it; the children of a parallel one do not wait for each other.
    fn pass_on(&mut self, steps: Vec<usize>) {
        if let Some(around) = self.open.last_mut() {
            around.members.extend(steps);
            if self.spec.groups[around.group].parallel {
                self.current = around.entry.clone();
            }
        }
    }
}

/// Every step in a group comes after the steps that the group comes after: by the group's `[after:: …]`, or by a
/// decision that skips to it. A step that waits for another of the group waits through that one. Decisions that lead
/// to the group have their own links.
fn guard(spec: &Spec, flow: &Flow, branches: &Branches, written: &Written, links: &mut Links) {
    if written.groups.iter().all(Option::is_none) && branches.reached.iter().all(Vec::is_empty) {
        return;
    }
    let mut waits_for: Vec<Vec<usize>> = vec![Vec::new(); spec.steps.len()];
    for link in &links.all {
        waits_for[link.to].push(link.from);
    }
    for step in (0..spec.steps.len()).filter(|step| flow.kinds[*step] == Kind::Forward) {
        for (group, _) in ancestors(spec, spec.steps[step].group) {
            let (after, reached) = (written.groups[group].as_deref(), &branches.reached[group]);
            if (after.is_some() || !reached.is_empty())
                && !waits_for[step].iter().any(|from| within(spec, *from, group))
            {
                links.follow(after.unwrap_or_default(), step);
                links.follow(reached, step);
            }
        }
    }
}
