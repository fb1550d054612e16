//! Whether what a document says would do: steps that stay done when their item fails, critical steps that hang on
//! optional ones, compensations that lack what they need, values that never come to where they are wanted.

use super::before::Before;
use super::{Graph, Kind, Step, StepId, Target, ValueId};
use crate::diag::{Diagnostic, catalogue};
use crate::spec::{Mark, Spec};
use std::collections::BTreeSet;

/// Warns of each such place, in the order of the places. `graph` is what `spec` means; `effects` says whether
/// a step changes anything.
pub fn lint(spec: &Spec, graph: &Graph, effects: &dyn Fn(&Step) -> bool) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let lint = Lint { spec, graph };
    lint.dependence(&mut diagnostics);
    lint.lacks(&mut diagnostics);
    lint.absences(&mut diagnostics);
    lint.apart(&mut diagnostics);
    if graph.compensates() {
        lint.uncompensated(effects, &mut diagnostics);
    }
    diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    diagnostics
}

struct Lint<'a> {
    spec: &'a Spec,
    graph: &'a Graph,
}

impl Lint<'_> {
    /// Critical steps that cannot do without what an optional step makes.
    fn dependence(&self, diagnostics: &mut Vec<Diagnostic>) {
        let critical = self.graph.ids().filter(|id| self.graph.step(*id).mark == Some(Mark::Critical));
        for id in critical {
            for input in self.graph.step(id).inputs.iter().filter(|input| !input.optional) {
                let optional = |maker: &&StepId| self.graph.step(**maker).mark == Some(Mark::Optional);
                let Some(maker) = input.makers.iter().find(optional) else { continue };
                let name = &self.graph.value(input.value).name;
                let at = self.port(id, name);
                let made = self.spec.steps[maker.index()].title.span;
                let (title, maker) = (&self.graph.step(id).title, &self.graph.step(*maker).title);
                diagnostics.push(catalogue::critical_needs_optional(at, title, name, maker, made));
            }
        }
    }

    /// Compensations that need a value that the step which they undo neither takes nor makes.
    fn lacks(&self, diagnostics: &mut Vec<Diagnostic>) {
        for id in self.graph.ids() {
            let step = self.graph.step(id);
            let Some(by) = step.compensate else { continue };
            let has: BTreeSet<ValueId> = touches(step).collect();
            let lacks = |input: &&super::Input| !input.optional && !has.contains(&input.value);
            for input in self.graph.step(by).inputs.iter().filter(lacks) {
                let name = &self.graph.value(input.value).name;
                let known: Vec<&str> = has.iter().map(|id| self.graph.value(*id).name.as_str()).collect();
                diagnostics.push(catalogue::compensation_lacks(
                    self.port(by, name),
                    &self.graph.step(by).title,
                    name,
                    &step.title,
                    self.spec.steps[id.index()].title.span,
                    &known,
                ));
            }
        }
    }

    /// Compensations that count on a value which the step that they undo can do without.
    fn absences(&self, diagnostics: &mut Vec<Diagnostic>) {
        for id in self.graph.ids() {
            let step = self.graph.step(id);
            let Some(by) = step.compensate else { continue };
            for input in self.graph.step(by).inputs.iter().filter(|input| !input.optional) {
                let takes = step.inputs.iter().any(|taken| taken.value == input.value && taken.optional);
                let makes = step.outputs.iter().any(|made| made.value == input.value && made.optional);
                if takes || makes {
                    let name = &self.graph.value(input.value).name;
                    diagnostics.push(catalogue::compensation_may_lack(
                        self.port(by, name),
                        &self.graph.step(by).title,
                        name,
                        &step.title,
                        self.port(id, name),
                    ));
                }
            }
        }
    }

    /// Steps that take what is only made where they do not run.
    fn apart(&self, diagnostics: &mut Vec<Diagnostic>) {
        for id in self.graph.ids() {
            let step = self.graph.step(id);
            for input in step.inputs.iter().filter(|input| !input.makers.is_empty()) {
                if let Some(maker) = input.makers.first()
                    && input.makers.iter().all(|maker| self.graph.exclude(*maker, id))
                {
                    let name = &self.graph.value(input.value).name;
                    let at = self.port(id, name);
                    let made = self.spec.steps[maker.index()].title.span;
                    let maker = &self.graph.step(*maker).title;
                    diagnostics.push(catalogue::never_arrives(at, &step.title, name, maker, made));
                }
            }
        }
    }

    /// Steps whose effects would stay when something after them fails.
    fn uncompensated(&self, effects: &dyn Fn(&Step) -> bool, diagnostics: &mut Vec<Diagnostic>) {
        let before = Before::new(self.graph);
        let risks: Vec<StepId> =
            self.graph.order.iter().copied().filter(|id| is_risk(self.graph.step(*id))).collect();
        for &id in &self.graph.order {
            let step = self.graph.step(id);
            if step.compensate.is_some() || step.irreversible || !effects(step) {
                continue;
            }
            // What fails once for all items undoes nothing of theirs.
            let follows = |other: &&StepId| {
                **other != id
                    && self.graph.step(**other).once == step.once
                    && !before.holds(id, **other)
                    && !self.graph.exclude(id, **other)
            };
            let title = self.spec.steps[id.index()].title.span;
            if let Some(risk) = risks.iter().find(follows) {
                let place = self.spec.steps[risk.index()].title.span;
                let risk = &self.graph.step(*risk).title;
                let agent = step.agent.as_deref();
                diagnostics.push(catalogue::uncompensated_step(title, agent, risk, place));
            } else if step.chains.iter().flatten().any(|arm| matches!(arm.target, Target::Fail(_))) {
                let agent = step.agent.as_deref();
                diagnostics.push(catalogue::uncompensated_step(title, agent, &step.title, title));
            }
        }
    }

    /// Where a step's signature names a value; else the step's title.
    fn port(&self, id: StepId, name: &str) -> crate::diag::Span {
        let step = &self.spec.steps[id.index()];
        let ports =
            step.signature.iter().flat_map(|signature| signature.inputs.iter().chain(&signature.outputs));
        let named = ports.map(|port| &port.name).find(|port| port.value == name);
        named.map_or(step.title.span, |port| port.span)
    }
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
