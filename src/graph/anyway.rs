//! Warns of steps that `[after:: …]` orders after one that a condition may exclude: the order alone does not exclude
//! them, too.

use super::claims::{self, Claims};
use super::names::Names;
use super::targets::{Named, Namer, Targets};
use super::{Graph, Kind, Step, StepId, Taken};
use crate::diag::{Diagnostic, catalogue};
use crate::spec::{After, Spanned, Spec};
use std::collections::BTreeSet;

/// How many steps are followed to know what must have run before a step.
const MOST: usize = 200;

/// `effects` is whether a step has effects: only they are worth a warning.
pub(super) fn check(
    spec: &Spec,
    graph: &Graph,
    effects: &dyn Fn(&Step) -> bool,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let groups = spec.groups.iter().map(|group| &group.annotations);
    let mut annotations = groups.chain(spec.steps.iter().map(|step| &step.annotations));
    if annotations.all(|said| said.after.is_empty()) {
        return;
    }
    let names = Names::new(spec, &mut Vec::new());
    let kinds: Vec<Kind> = graph.steps.iter().map(|step| step.kind).collect();
    let targets = Targets::new(spec, &kinds, &names);
    for (id, step) in (0..).map(StepId).zip(&graph.steps).filter(|(_, step)| step.kind == Kind::Forward) {
        let said = &spec.steps[id.index()];
        let mut all: Vec<(&Spanned<After>, Namer)> =
            said.annotations.after.iter().map(|after| (after, Namer::Step(said.group))).collect();
        if said.annotations.after.is_empty() {
            let around = graph.around(id).find(|group| !spec.groups[*group].annotations.after.is_empty());
            let after = around.map(|group| (&spec.groups[group].annotations.after, Namer::Group(group)));
            all = after.into_iter().flat_map(|(after, by)| after.iter().map(move |one| (one, by))).collect();
        }
        if !effects(step) || all.is_empty() {
            continue;
        }
        let after = Ordered { graph, id, behind: Behind::of(graph, id) };
        let known: Vec<(&Spanned<After>, Vec<StepId>)> =
            { all.into_iter() }.filter_map(|(one, by)| Some((one, named(&targets, one, by)?))).collect();
        let first: Vec<StepId> = known.iter().flat_map(|(_, steps)| steps).copied().collect();
        for (one, steps) in &known {
            let After::Step(title) = &one.value else { continue };
            let title = title.as_str();
            let said = !names.is_step(title) && title.ends_with('?');
            let mut why = steps.iter().map(|other| after.excluded(*other, &first));
            if let (false, Some(Some(reason))) = (said, why.next())
                && why.all(|why| why.is_some())
                && !diagnostics.iter().any(|known| known.code == "runs-anyway" && known.span == one.span)
            {
                let place = spec.steps[steps[0].index()].title.span;
                diagnostics.push(catalogue::runs_anyway(one.span, &step.title, title, place, &reason));
            }
        }
    }
}

/// The steps that an order names; at least one.
fn named(targets: &Targets, after: &Spanned<After>, by: Namer) -> Option<Vec<StepId>> {
    let After::Step(title) = &after.value else { return None };
    let steps = match targets.find(title, after.span, by, &mut Vec::new()).ok()? {
        Named::Step(step) => vec![step],
        Named::Group(group) => targets.members[group].clone(),
    };
    let steps: Vec<StepId> =
        steps.into_iter().filter_map(|step| Some(StepId(step.try_into().ok()?))).collect();
    (!steps.is_empty()).then_some(steps)
}

/// What holds when a step runs, by itself and by the steps whose values it needs.
struct Behind<'a> {
    steps: BTreeSet<StepId>,
    claims: Claims<'a>,
    led: BTreeSet<Taken>,
}

impl<'a> Behind<'a> {
    fn of(graph: &'a Graph, id: StepId) -> Behind<'a> {
        let mut behind = Behind { steps: BTreeSet::new(), claims: Claims::new(), led: BTreeSet::new() };
        let mut open = vec![id];
        while let Some(id) = open.pop().filter(|_| behind.steps.len() < MOST) {
            if behind.steps.insert(id) {
                behind.claims.extend(claims::of_step(graph, id));
                behind.led.extend(graph.required(id));
                let required = graph.step(id).inputs.iter().filter(|input| !input.optional);
                open.extend(required.filter_map(|input| match input.makers.as_slice() {
                    [maker] => Some(*maker),
                    _ => None,
                }));
            }
        }
        behind
    }

    fn implies(&self, graph: &Graph, taken: Taken) -> bool {
        let holds = claims::taken(&graph.step(taken.step).chains, taken);
        !holds.is_empty() && holds.iter().all(|(condition, is)| claims::imply(&self.claims, condition, *is))
    }
}

/// A step with an order.
struct Ordered<'a> {
    graph: &'a Graph,
    id: StepId,
    behind: Behind<'a>,
}

impl Ordered<'_> {
    /// What may exclude a step that comes first, and not the ordered one. `first` are all that come first.
    fn excluded(&self, other: StepId, first: &[StepId]) -> Option<catalogue::Absence> {
        use catalogue::Absence;
        let (graph, made) = (self.graph, self.graph.step(other));
        let joins = |id: &StepId| *id != other && super::absence::never_both(graph, *id, other);
        if graph.step(self.id).once != made.once
            || self.behind.steps.contains(&other)
            || first.iter().any(joins)
        {
            return None;
        }
        let open = |guard: &&super::Guard| !claims::imply(&self.behind.claims, &guard.condition, true);
        if let Some(guard) = made.when.iter().find(open) {
            return Some(Absence::When(guard.condition.text.trim().to_owned()));
        }
        let known = |taken: &Taken| self.behind.led.contains(taken) || self.behind.implies(graph, *taken);
        if !made.guards.is_empty() && !made.guards.iter().any(known) {
            return Some(Absence::Unless(graph.step(made.guards[0].step).title.clone()));
        }
        let own = &graph.step(self.id).skips;
        let skipped = made.skips.iter().find(|taken| !own.contains(taken))?;
        Some(Absence::Skipped(graph.step(skipped.step).title.clone()))
    }
}
