//! Events: what a step waits for and publishes, and whether it can.

use super::flow::{Flow, who};
use super::names::Names;
use super::{Graph, Guard, Kind, StepId, ValueId};
use crate::condition::Condition;
use crate::diag::{Diagnostic, Span, catalogue};
use crate::spec::{Annotations, Spanned, Spec};
use crate::value::{Part, Type, in_conditions, words};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// The most types that are compared with one that is awaited.
const COMPARED: usize = 200;

/// The event that an item waits for before a step.
#[derive(Clone, Debug)]
pub struct Await {
    /// Its type.
    pub event: String,
    /// The value that its payload becomes.
    pub payload: ValueId,
    /// What its subject is; the item's key without one.
    pub subject: Option<Guard>,
    /// Whether it is meant. A name is a member of the payload, or else a value of the item.
    pub filter: Option<Guard>,
    /// How long the item waits.
    pub within: Option<Duration>,
}

impl Await {
    /// The expressions that select the event.
    pub fn guards(&self) -> impl Iterator<Item = &Guard> {
        self.subject.iter().chain(&self.filter)
    }

    /// As a document writes it: `order.shipped where total > 0 within 7d`.
    pub fn text(&self) -> String {
        let part = |word, guard: &Option<Guard>| {
            guard.as_ref().map(|guard| format!(" {word} {}", guard.condition.text.trim())).unwrap_or_default()
        };
        let within = self.within.map(|time| format!(" within {}", words::duration(time))).unwrap_or_default();
        format!("{}{}{}{within}", self.event, part("for", &self.subject), part("where", &self.filter))
    }
}

impl Graph {
    /// Whether any step publishes events, also in a document that a step runs.
    pub fn publishes(&self) -> bool {
        self.emitted().next().is_some()
    }

    /// The types of events that steps publish, also in documents that steps run.
    pub fn emitted(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().flat_map(|step| step.emits.iter().chain(&step.inside.emits)).map(String::as_str)
    }

    /// Whether the success of a step publishes events.
    pub fn emits(&self, step: StepId) -> bool {
        self.steps.get(step.index()).is_some_and(|step| !step.emits.is_empty())
    }

    /// The types of events that steps of this document wait for, each once.
    pub fn awaited_here(&self) -> BTreeSet<&str> {
        self.steps.iter().filter_map(|step| step.awaits.as_ref()).map(|awaits| &*awaits.event).collect()
    }

    /// The types of events that steps wait for, also in documents that steps run, each once.
    pub fn awaited(&self) -> BTreeSet<&str> {
        let own = self.awaited_here().into_iter();
        let inside = self.steps.iter().flat_map(|step| &step.inside.awaits).map(|awaits| &*awaits.event);
        own.chain(inside).collect()
    }
}

/// The types that a step publishes, each once.
pub(super) fn emits(said: &Annotations) -> Vec<String> {
    let mut seen = BTreeSet::new();
    said.emits.iter().map(|event| event.value.clone()).filter(|event| seen.insert(event.clone())).collect()
}

/// Reports what cannot wait, payloads with the names of other values, and types that are probably misspelt.
pub(super) fn check(spec: &Spec, flow: &Flow, names: &Names, diagnostics: &mut Vec<Diagnostic>) {
    let mut emitted: HashMap<&str, Span> = HashMap::new();
    for event in spec.steps.iter().flat_map(|step| &step.annotations.emits) {
        emitted.entry(&event.value).or_insert(event.span);
    }
    for (index, step) in spec.steps.iter().enumerate() {
        let Some(awaits) = &step.annotations.awaits else { continue };
        let (span, awaits) = (awaits.span, &awaits.value);
        let kind = flow.kinds[index];
        if kind != Kind::Forward {
            diagnostics.push(catalogue::await_of_handler(span, who(kind), &step.title.value));
        }
        let Some(value) = flow.payloads[index] else { continue };
        if let Some(port) = flow.steps[index].outputs.iter().find(|port| port.value == value) {
            let why = format!("`{}` makes a value of that name", names.title(index));
            diagnostics.push(catalogue::payload_taken(awaits.event.span, &awaits.payload, &why, port.span));
        } else if flow.each[index].is_some_and(|each| each.element == value) {
            let why = "it is the name of the elements";
            diagnostics.push(catalogue::payload_taken(awaits.event.span, &awaits.payload, why, span));
        }
        let event = awaits.event.value.as_str();
        if !emitted.contains_key(event) {
            let near =
                emitted.iter().take(COMPARED).filter(|(other, _)| strsim::osa_distance(event, other) <= 1);
            if let Some((other, at)) = near.min() {
                diagnostics.push(catalogue::almost_emitted(awaits.event.span, event, other, *at));
            }
        }
    }
}

/// Reports secrets that would be published, and names in `where` that are neither members nor values.
pub(super) fn check_types(spec: &Spec, flow: &Flow, names: &Names, diagnostics: &mut Vec<Diagnostic>) {
    let known: BTreeSet<String> = flow.values.iter().map(|value| in_conditions(&value.name)).collect();
    for (index, step) in spec.steps.iter().enumerate() {
        if let Some(event) = step.annotations.emits.first() {
            let secret =
                |value: &ValueId| flow.values[value.index()].ty.as_ref().is_some_and(Type::holds_secrets);
            let outputs = flow.steps[index].outputs.iter().map(|port| port.value);
            diagnostics.extend(
                outputs.filter(secret).map(|value| catalogue::secret_emitted(event.span, flow.name(value))),
            );
        }
        let Some((awaits, value)) = step.annotations.awaits.as_ref().zip(flow.payloads[index]) else {
            continue;
        };
        diagnostics.extend(awaits.value.subject.as_ref().and_then(|subject| wrong_subject(subject, flow)));
        let Some(ty) = &flow.values[value.index()].ty else { continue };
        if ty.holds_secrets() {
            diagnostics.push(catalogue::secret_awaited(awaits.value.event.span, flow.name(value)));
        }
        let Some(filter) = &awaits.value.condition else { continue };
        for (name, at) in filter.value.names().into_iter().filter(|(name, _)| !known.contains(*name)) {
            let Some(lack) = ty.lacks(&[Part::Member(name.to_owned())]) else { continue };
            let at = Span::new(filter.span.start + at.start, filter.span.start + at.end);
            let near = names.near(name, lack.members.iter().map(String::as_str));
            diagnostics.push(catalogue::unknown_value(at, name, near));
        }
    }
}

/// A subject is a text or a number: reports a value or a member of one with another type.
fn wrong_subject(subject: &Spanned<Condition>, flow: &Flow) -> Option<Diagnostic> {
    let text = subject.value.text.trim();
    let mut parts = text.split('.');
    let name = parts.next()?;
    let value = flow.values.iter().find(|value| in_conditions(&value.name) == name)?;
    let ty = parts.try_fold(value.ty.clone()?, |ty, part| Some(ty.member(part)?.0))?;
    (!may_be_subject(&ty)).then(|| catalogue::bad_subject(subject.span, text, &ty.to_string()))
}

fn may_be_subject(ty: &Type) -> bool {
    match ty {
        Type::String | Type::Integer | Type::Number | Type::File | Type::Json | Type::Named(_) => true,
        Type::Secret | Type::Boolean | Type::List(_) => false,
        Type::Nullable(ty) => may_be_subject(ty),
        Type::Defined(definition) => definition.may_be_scalar(),
    }
}
