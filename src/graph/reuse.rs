//! Steps that run another document: whether the two agree. Does not read documents.

use super::absence::port;
use super::{Graph, Kind, Step, StepId, ValueId};
use crate::diag::{Diagnostic, Source, Span, catalogue, nearest};
use crate::spec::{Spanned, Spec};
use crate::value::{Type, TypeSchema, Value};
use std::sync::Arc;

/// A step that runs a document has nothing else that does its work.
pub(super) fn check(spec: &Spec, diagnostics: &mut Vec<Diagnostic>) {
    for step in &spec.steps {
        let Some(document) = &step.annotations.document else { continue };
        if let Some(agent) = &step.annotations.agent {
            diagnostics.push(catalogue::document_with(agent.span, "agent", document.span));
        }
        if let Some(program) = &step.program {
            diagnostics.push(catalogue::document_with(program.language.span, "program", document.span));
        }
    }
}

/// A document that a step runs, with its meaning.
#[derive(Clone, Copy)]
pub struct Reused<'a> {
    /// Its name in messages.
    pub name: &'a str,
    pub source: &'a Source,
    pub spec: &'a Spec,
    pub graph: &'a Graph,
}

impl Graph {
    /// The steps that run a document, with its path as the document writes it.
    pub fn documents(&self) -> impl Iterator<Item = (StepId, &str)> {
        self.ids().filter_map(|id| Some((id, self.step(id).document.as_deref()?)))
    }

    /// The compensations, without those that documents make unnecessary.
    pub fn compensations(&self) -> impl Iterator<Item = StepId> + '_ {
        self.of_kind(Kind::Compensation).filter(|id| self.is_used(*id))
    }

    /// Whether a step can run: not the compensation of a document that has none.
    pub fn is_used(&self, id: StepId) -> bool {
        !self.step(id).revokes || self.steps.iter().any(|step| step.compensate == Some(id))
    }

    /// The step that a compensation compensates; the first, if it compensates several.
    pub fn compensated_by(&self, by: StepId) -> Option<StepId> {
        self.ids().find(|id| self.step(*id).compensate == Some(by))
    }

    /// The phases of steps whose documents have nothing to compensate.
    pub fn without_compensation(&self) -> Vec<String> {
        let plain = |id: &StepId| {
            let step = self.step(*id);
            step.kind == Kind::Forward && step.document.is_some() && step.compensate.is_none()
        };
        self.ids().filter(plain).map(|id| self.step(id).phase.clone()).collect()
    }

    /// Leaves these steps, which run documents, without a compensation.
    pub fn leave_uncompensated(&mut self, phases: &[String]) {
        for step in self.steps.iter_mut().filter(|step| phases.contains(&step.phase)) {
            step.compensate = None;
        }
    }

    /// The same for those of these steps that only their documents would compensate.
    pub fn leave_uncompensated_by_themselves(&mut self, phases: &[String]) {
        let implied = |step: &Step| step.compensate.is_some_and(|by| self.step(by).revokes);
        let found = self.steps.iter().filter(|step| implied(step) && phases.contains(&step.phase));
        let found: Vec<String> = found.map(|step| step.phase.clone()).collect();
        self.leave_uncompensated(&found);
    }

    /// Gives the values of a step that have no type here the types that they have in the document which it runs.
    pub fn adopt_types(&mut self, id: StepId, child: &Graph) {
        let step = &self.steps[id.index()];
        let taken: Vec<ValueId> = step.takes(&self.inputs).collect();
        let name = |id: ValueId| self.value(id).name.as_str();
        let typed = |other: &ValueId| child.value(*other).ty.clone().filter(|ty| !is_special(ty));
        let inner = |id: ValueId| child.inputs.iter().find(|other| child.value(**other).name == name(id));
        let inputs = taken.into_iter().filter_map(|id| Some((id, typed(inner(id)?)?)));
        let outputs = step.outputs.iter().filter_map(|output| {
            let ty = typed(&child.given_by(name(output.value))?)?;
            let ty = if step.each.is_some() { Type::List(Box::new(ty)) } else { ty };
            Some((output.value, ty))
        });
        for (id, ty) in inputs.chain(outputs).collect::<Vec<_>>() {
            let value = &mut self.values[id.index()];
            if value.ty.is_none() {
                (value.ty, value.adopted) = (Some(ty), true);
            }
        }
    }

    /// A step without a signature gets all inputs of the workflow: those that its document needs, an item needs.
    pub fn adopt_needs(&mut self, id: StepId, child: &Graph) {
        let step = &self.steps[id.index()];
        if step.has_signature() {
            return;
        }
        let needs = |own: &ValueId| {
            let needed = |other: &&ValueId| child.value(**other).name == self.value(*own).name;
            child.inputs.iter().find(needed).is_some_and(|other| !child.may_lack(*other))
        };
        let needs = step.takes(&self.inputs).filter(needs).collect();
        self.steps[id.index()].needs_inside = needs;
    }

    /// The values that a document can give to a step of another one.
    pub fn gives(&self) -> impl Iterator<Item = ValueId> + '_ {
        let forward = self.steps.iter().filter(|step| step.kind == Kind::Forward && !step.once);
        forward.flat_map(|step| step.outputs.iter().map(|output| output.value))
    }

    /// The value of this name that a document gives.
    pub fn given_by(&self, name: &str) -> Option<ValueId> {
        self.gives().find(|id| self.value(*id).name == name)
    }
}

/// The problems of a step with the document that it runs.
pub fn agree(spec: &Spec, graph: &Graph, id: StepId, child: Reused<'_>) -> Vec<Diagnostic> {
    let (Some(step), Some(written)) = (graph.steps.get(id.index()), spec.steps.get(id.index())) else {
        return Vec::new();
    };
    let Some(document) = &written.annotations.document else { return Vec::new() };
    let mut pair = Agreement { spec, graph, id, step, document, child, problems: Vec::new() };
    pair.inputs();
    pair.outputs();
    pair.problems
}

struct Agreement<'a> {
    spec: &'a Spec,
    graph: &'a Graph,
    id: StepId,
    step: &'a Step,
    document: &'a Spanned<String>,
    child: Reused<'a>,
    problems: Vec<Diagnostic>,
}

impl Agreement<'_> {
    fn path(&self) -> &str {
        &self.document.value
    }

    fn inputs(&mut self) {
        let child = self.child.graph;
        let taken: Vec<ValueId> = self.step.takes(&self.graph.inputs).collect();
        let name = |id: &ValueId| self.graph.value(*id).name.as_str();
        let has_signature = self.step.has_signature();
        let (mut problems, mut needed) = (Vec::new(), Vec::new());
        for input in &child.inputs {
            let wanted = child.value(*input).name.as_str();
            let known = taken.iter().find(|id| name(id) == wanted);
            let place = self.place_of_use(wanted);
            match known {
                None if child.may_lack(*input) => {}
                None if !has_signature => needed.push((wanted, place)),
                None => {
                    let unused = taken.iter().map(name).filter(|name| !self.takes(name));
                    let near = nearest(wanted, unused);
                    let at = self.signature();
                    problems.push(catalogue::document_needs(at, self.path(), wanted, &place, near));
                }
                Some(id) => {
                    let optional = self.step.inputs.iter().any(|input| input.value == *id && input.optional);
                    if optional && !child.may_lack(*input) {
                        let at = self.port(wanted);
                        problems.push(catalogue::document_may_lack(at, self.path(), wanted, &place));
                    }
                    let own = self.graph.value(*id).ty.as_ref();
                    let other = child.value(*input).ty.as_ref();
                    problems.extend(self.types(wanted, own, other, true));
                }
            }
        }
        if has_signature {
            let all: Vec<&str> = child.inputs.iter().map(|id| child.value(*id).name.as_str()).collect();
            for name in taken.iter().map(name).filter(|name| !self.takes(name)) {
                let free = all
                    .iter()
                    .copied()
                    .filter(|other| !taken.iter().any(|id| self.graph.value(*id).name == *other));
                let near = nearest(name, free);
                let at = self.port(name);
                problems.push(catalogue::document_takes_not(at, self.path(), name, near, &all));
            }
        }
        if let Some((_, place)) = needed.first() {
            let names: Vec<&str> = needed.iter().map(|(name, _)| *name).collect();
            let line = self.line();
            problems.push(catalogue::document_needs_line(
                self.signature(),
                self.path(),
                &names,
                line.as_deref(),
                place,
            ));
        }
        self.problems.extend(problems);
    }

    /// A signature for a step without one: all that the document takes, and what it makes and others take here, or else
    /// what it makes at last. `None` if it makes nothing: a signature has outputs.
    fn line(&self) -> Option<String> {
        let child = self.child.graph;
        let inputs = child.inputs.iter().map(|id| {
            let end = if child.may_lack(*id) { "?" } else { "" };
            format!("{}{end}", child.value(*id).name)
        });
        let inputs: Vec<String> = inputs.collect();
        let name = |id: &ValueId| child.value(*id).name.as_str();
        let gives: Vec<&str> = child.gives().map(|id| name(&id)).collect();
        let wanted = |name: &&str| self.graph.inputs.iter().any(|id| self.graph.value(*id).name == **name);
        let taken = |name: &&str| {
            let all = child.steps.iter().flat_map(|step| &step.inputs);
            all.into_iter().any(|input| child.value(input.value).name == **name)
        };
        let here: Vec<&str> = gives.iter().copied().filter(|name| wanted(name)).collect();
        let last = || gives.iter().copied().filter(|name| !taken(name)).collect();
        let outputs: Vec<&str> = if here.is_empty() { last() } else { here };
        (!outputs.is_empty()).then(|| format!("{} → {}", inputs.join(", "), outputs.join(", ")))
    }

    /// Whether the document has an input of this name.
    fn takes(&self, name: &str) -> bool {
        let child = self.child.graph;
        child.inputs.iter().any(|id| child.value(*id).name == name)
    }

    fn outputs(&mut self) {
        let child = self.child.graph;
        let mut problems = Vec::new();
        for output in &self.step.outputs {
            let name = self.graph.value(output.value).name.as_str();
            match child.given_by(name) {
                None => {
                    let mut all: Vec<&str> = child.gives().map(|id| child.value(id).name.as_str()).collect();
                    all.dedup();
                    let near = nearest(name, all.iter().copied());
                    let at = self.port(name);
                    problems.push(catalogue::document_makes_not(at, self.path(), name, near, &all));
                }
                Some(id) => {
                    let own = self.graph.made_type(self.id, output);
                    problems.extend(self.types(name, own.as_ref(), child.value(id).ty.as_ref(), false));
                }
            }
        }
        self.problems.extend(problems);
    }

    /// A value that crosses the border of the document, inwards or outwards.
    fn types(
        &self,
        name: &str,
        own: Option<&Type>,
        other: Option<&Type>,
        inwards: bool,
    ) -> Option<Diagnostic> {
        if let (Some(one), Some(two)) = (own.and_then(defined), other.and_then(defined))
            && one.name() == two.name()
            && shape(one.schema()) != shape(two.schema())
        {
            let at = self.spec.types.iter().find(|ty| ty.name.value == one.name());
            let at = at.map_or_else(|| self.port(name), |ty| ty.name.span);
            let place = self.child.spec.types.iter().find(|ty| ty.name.value == two.name());
            let place = self.place(place.map_or(Span::new(0, 0), |ty| ty.name.span));
            return Some(catalogue::document_type_shape(at, one.name(), &place));
        }
        let fits = match (own, other) {
            (Some(own), Some(other)) => {
                let (from, to) = if inwards { (own, other) } else { (other, own) };
                serves(from, to) && is_special(own) == is_special(other)
            }
            (Some(one), None) | (None, Some(one)) => !is_special(one),
            (None, None) => true,
        };
        let said = |ty: Option<&Type>| ty.map_or("without a type".to_owned(), |ty| format!("`{ty}`"));
        let place = self.place_of_use(name);
        (!fits).then(|| catalogue::document_type(self.port(name), name, &said(own), &said(other), &place))
    }

    /// Where the document mentions a value first, with a type if it has one.
    fn place_of_use(&self, name: &str) -> String {
        let listed = self.child.spec.front.inputs.iter().flatten();
        let listed = listed.filter(|(input, _)| input.value == name).map(|(input, _)| input.span);
        let steps = self.child.spec.steps.iter().filter_map(|step| step.signature.as_ref());
        let ports = || steps.clone().flat_map(|signature| signature.inputs.iter().chain(&signature.outputs));
        let named = |typed: bool| {
            let mut ports = ports().filter(|port| port.name.value == name && (!typed || port.ty.is_some()));
            ports.next().map(|port| port.name.span)
        };
        let at = listed.into_iter().next().or_else(|| named(true)).or_else(|| named(false));
        self.place(at.unwrap_or_default())
    }

    fn place(&self, at: Span) -> String {
        let position = self.child.source.position(at.start);
        format!("{}:{}:{}", self.child.name, position.line, position.column)
    }

    fn port(&self, name: &str) -> Span {
        let each = self.spec.steps[self.id.index()].annotations.each.as_ref();
        match each.filter(|each| each.value.element.value == name) {
            Some(each) => each.value.element.span,
            None => port(self.spec, self.id, name),
        }
    }

    fn signature(&self) -> Span {
        let step = &self.spec.steps[self.id.index()];
        step.signature.as_ref().map_or(self.document.span, |signature| signature.span)
    }
}

/// A file and a secret need to be known as such on both sides.
fn is_special(ty: &Type) -> bool {
    ty.holds_files() || ty.holds_secrets()
}

/// Whether every value of one type fits the other; definitions are compared by what they accept.
fn serves(from: &Type, to: &Type) -> bool {
    match (from, to) {
        (Type::List(from), Type::List(to)) | (Type::Nullable(from), Type::Nullable(to)) => serves(from, to),
        (from, Type::Nullable(to)) => serves(from, to),
        (Type::Defined(from), Type::Defined(to)) => from.name() == to.name(),
        // A name without a definition takes the other's.
        (Type::Defined(one), Type::Named(name)) | (Type::Named(name), Type::Defined(one)) => {
            one.name() == name
        }
        // What it holds is checked when it arrives.
        (Type::Json, _) => true,
        (from, to) => from.serves_as(to),
    }
}

fn defined(ty: &Type) -> Option<&Arc<TypeSchema>> {
    match ty {
        Type::Defined(schema) => Some(schema),
        Type::List(inner) | Type::Nullable(inner) => defined(inner),
        _ => None,
    }
}

/// A schema without what is only for people.
fn shape(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, value)| !(*name == "description" && value.is_string()));
            Value::Object(kept.map(|(name, value)| (name.clone(), shape(value))).collect())
        }
        Value::Array(all) => Value::Array(all.iter().map(shape).collect()),
        other => other.clone(),
    }
}
