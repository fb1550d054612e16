//! Steps with `[always]`, which run also after a run that failed or was stopped: what they cannot have.

use super::absence::port;
use super::{Graph, Kind, StepId};
use crate::diag::{Diagnostic, catalogue};
use crate::spec::Spec;

/// Nothing may keep such a step waiting, reverse it, or leave it without a value.
pub(super) fn check(spec: &Spec, graph: &Graph, diagnostics: &mut Vec<Diagnostic>) {
    for (index, written) in spec.steps.iter().enumerate() {
        let Some(always) = &written.annotations.always else { continue };
        let id = StepId(index as u32);
        let step = graph.step(id);
        if !step.once || step.kind == Kind::Compensation {
            diagnostics.push(catalogue::always_of_item(always.span, &step.title));
            continue;
        }
        let said = &written.annotations;
        let gate = step.gates.first().map(|_| (written.title.span, "gate"));
        let awaits = said.awaits.as_ref().map(|awaits| (awaits.span, "event to wait for"));
        let around = step.repeats.first().map(|_| (written.title.span, "loop around it"));
        let undone = said.compensate.as_ref().map(|by| (by.span, "compensation"));
        let lasting = said.irreversible.as_ref().map(|flag| (flag.span, "`[irreversible]`"));
        for (at, what) in [gate, awaits, around, undone, lasting].into_iter().flatten() {
            diagnostics.push(catalogue::always_with(at, &step.title, what, always.span));
        }
        for input in step.inputs.iter().filter(|input| !input.optional) {
            let may_lack = |maker: &&StepId| graph.step(**maker).once && !graph.step(**maker).always;
            if let Some(maker) = input.makers.iter().find(may_lack) {
                let (name, maker) = (&graph.value(input.value).name, &graph.step(*maker).title);
                let at = port(spec, id, name);
                diagnostics.push(catalogue::always_may_lack(at, &step.title, name, maker));
            }
        }
    }
}
