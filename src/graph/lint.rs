//! Checks the design of a workflow: steps whose effects remain when their item fails, critical steps that depend on
//! optional ones, compensations without the values that they need, and steps that depend on others without a
//! condition.

use super::absence::{self, port};
use super::assumed;
use super::before::Before;
use super::{Graph, Kind, Step, StepId, Target, ValueId};
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::{Mark, Spec};
use std::collections::{BTreeSet, HashSet};

/// The shortest timeout that is probably meant for waiting.
const LONG: std::time::Duration = std::time::Duration::from_secs(3600);

/// Warns of each such place, in the order of the places. `graph` is built from `spec`; `effects` is whether a step has
/// effects.
pub fn lint(spec: &Spec, graph: &Graph, effects: &dyn Fn(&Step) -> bool) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let lint = Lint { spec, graph };
    lint.dependence(&mut diagnostics);
    lint.lacks(&mut diagnostics);
    lint.waiting(&mut diagnostics);
    super::prose::check(spec, graph, &mut diagnostics);
    absence::unsaid(spec, graph, &mut diagnostics);
    absence::beside(spec, graph, effects, &mut diagnostics);
    assumed::check(spec, graph, effects, &mut diagnostics);
    super::anyway::check(spec, graph, effects, &mut diagnostics);
    if spec.steps.iter().any(|step| step.annotations.compensate.is_some() && !runs_a_document(step)) {
        lint.uncompensated(effects, &mut diagnostics);
    }
    // These fixes add what a spelling that is not fixed yet may say.
    if spec.unsettled {
        diagnostics.iter_mut().for_each(|diagnostic| diagnostic.fixes.clear());
    }
    diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    diagnostics
}

struct Lint<'a> {
    spec: &'a Spec,
    graph: &'a Graph,
}

impl Lint<'_> {
    /// Critical steps that require the output of an optional step.
    fn dependence(&self, diagnostics: &mut Vec<Diagnostic>) {
        let critical = self.graph.ids().filter(|id| self.graph.step(*id).mark == Some(Mark::Critical));
        for id in critical {
            for input in self.graph.step(id).inputs.iter().filter(|input| !input.optional) {
                let optional = |maker: &&StepId| self.graph.step(**maker).mark == Some(Mark::Optional);
                let Some(maker) = input.makers.iter().find(optional) else { continue };
                let name = &self.graph.value(input.value).name;
                let at = port(self.spec, id, name);
                let made = self.spec.steps[maker.index()].title.span;
                let (title, maker) = (&self.graph.step(id).title, &self.graph.step(*maker).title);
                diagnostics.push(catalogue::critical_needs_optional(at, title, name, maker, made));
            }
        }
    }

    /// Long timeouts of steps that wait, without a limit, for a person or an event.
    fn waiting(&self, diagnostics: &mut Vec<Diagnostic>) {
        for step in &self.spec.steps {
            let Some(timeout) = &step.annotations.timeout else { continue };
            let time = crate::value::words::duration(timeout.value);
            let awaits = step.annotations.awaits.as_ref().filter(|awaits| awaits.value.within.is_none());
            let gate = step.gate.as_ref().filter(|gate| gate.within.is_none());
            let part = match (awaits, gate) {
                (Some(awaits), _) => format!("`[await:: {} within {time}]`", awaits.value.event.value),
                (None, Some(_)) => format!("`> [!gate within {time}]`"),
                (None, None) => continue,
            };
            if timeout.value >= LONG {
                diagnostics.push(catalogue::waits_without_limit(timeout.span, &time, &part));
            }
        }
    }

    /// Compensations that require a value that the compensated step does not have or may lack: the first such value of
    /// each.
    fn lacks(&self, diagnostics: &mut Vec<Diagnostic>) {
        let mut reported: HashSet<StepId> = HashSet::new();
        for id in self.graph.ids() {
            let step = self.graph.step(id);
            let Some(by) = step.compensate.filter(|by| !reported.contains(by)) else { continue };
            let required = self.graph.step(by).inputs.iter().filter(|input| !input.optional);
            let has: BTreeSet<ValueId> = touches(step).collect();
            let title = &self.graph.step(by).title;
            let name = |id: ValueId| self.graph.value(id).name.as_str();
            let (lacking, there): (Vec<ValueId>, Vec<ValueId>) =
                required.map(|input| input.value).partition(|value| !has.contains(value));
            if let Some(value) = lacking.first() {
                let known: Vec<&str> = has.iter().map(|id| name(*id)).collect();
                let lacking: Vec<&str> = lacking.iter().map(|id| name(*id)).collect();
                diagnostics.push(catalogue::compensation_lacks(
                    port(self.spec, by, name(*value)),
                    title,
                    &lacking,
                    &step.title,
                    self.spec.steps[id.index()].title.span,
                    &known,
                ));
                reported.insert(by);
                continue;
            }
            let takes =
                |value: ValueId| step.inputs.iter().any(|taken| taken.value == value && taken.optional);
            let makes = |value: ValueId| step.outputs.iter().any(|made| made.value == value && made.optional);
            let may = there.into_iter().filter(|value| takes(*value) || makes(*value));
            let may: Vec<&str> = may.map(name).collect();
            if let Some(first) = may.first() {
                let (at, place) = (port(self.spec, by, first), port(self.spec, id, first));
                diagnostics.push(catalogue::compensation_may_lack(at, title, &may, &step.title, place));
                reported.insert(by);
            }
        }
    }

    /// Steps whose effects would remain when a later step fails: one warning for the whole document.
    fn uncompensated(&self, effects: &dyn Fn(&Step) -> bool, diagnostics: &mut Vec<Diagnostic>) {
        let before = Before::new(self.graph);
        let risks: Vec<StepId> =
            self.graph.order.iter().copied().filter(|id| is_risk(self.graph.step(*id))).collect();
        let mut stay: Vec<(StepId, StepId)> = Vec::new();
        for &id in &self.graph.order {
            let step = self.graph.step(id);
            if step.compensate.is_some() || step.irreversible || step.always || !effects(step) {
                continue;
            }
            // The failure of a step for all items does not compensate the items.
            let follows = |other: &&StepId| {
                **other != id
                    && self.graph.step(**other).once == step.once
                    && !before.holds(id, **other)
                    && !self.graph.exclude(id, **other)
            };
            if let Some(risk) = risks.iter().find(follows) {
                stay.push((id, *risk));
            } else if step.chains.iter().flatten().any(|arm| matches!(arm.target, Target::Fail(_))) {
                stay.push((id, id));
            }
        }
        stay.sort_unstable();
        let place = |id: StepId| {
            let step = self.graph.step(id);
            (step.title.as_str(), self.spec.steps[id.index()].title.span)
        };
        let steps: Vec<(&str, Span)> = stay.iter().map(|(id, _)| place(*id)).collect();
        let Some((_, risk)) = stay.first() else { return };
        // An agent may have irreversible effects; a program in the document most likely computes, and so does a step
        // whose title names a question.
        let reads = |id: StepId| assumed::only_reads(self.graph.step(id));
        let lasts = |id: StepId| self.graph.step(id).program.is_none() && !reads(id);
        let agents = stay.iter().any(|(id, _)| lasts(*id));
        let pure: Vec<(&str, usize)> = stay
            .iter()
            .filter(|(id, _)| reads(*id))
            .map(|(id, _)| (self.graph.step(*id).title.as_str(), self.spec.steps[id.index()].annotated))
            .collect();
        let agent = stay.iter().find_map(|(id, _)| self.graph.step(*id).agent.as_deref());
        diagnostics.push(catalogue::uncompensated_steps(&steps, place(*risk), agents, agent, &pure));
    }
}

/// Whether the compensation of a step is that of its document.
fn runs_a_document(step: &crate::spec::Step) -> bool {
    step.annotations.document.is_some()
}

/// What a step takes and makes.
fn touches(step: &Step) -> impl Iterator<Item = ValueId> + '_ {
    let takes = step.inputs.iter().map(|input| input.value);
    takes.chain(step.outputs.iter().map(|output| output.value))
}

/// Whether the item fails when this step does.
fn is_risk(step: &Step) -> bool {
    step.kind == Kind::Forward && step.mark != Some(Mark::Optional)
}
