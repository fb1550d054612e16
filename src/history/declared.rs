//! Whether the values and texts in an event are those that its document lets come about. A journal may come from anybody.

use crate::adapter::redact;
use crate::event::{
    Arrival, AttemptEvent, Decision, EVENT_COLUMNS, Event, EventKind, Execution, Failure, GATE_COLUMNS,
    ItemEvent, ROUND_COLUMN, RunEvent, STANDARD, StepEvent, TAIL, ValueId, Values,
};
use crate::graph::Graph;
use crate::items::LONGEST_KEY;
use crate::runtime::{LARGEST_ROW, ReportedColumns};
use crate::value::{Type, Value, kind};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What a document declares of its values.
pub struct Declared {
    /// What each step makes.
    made: Vec<Vec<Slot>>,
    /// The types of all values.
    types: Vec<(String, Option<Type>)>,
}

struct Slot {
    value: ValueId,
    /// Of one element, where the step runs for each of a list.
    ty: Option<Type>,
    optional: bool,
}

impl Declared {
    pub fn by(graph: &Graph) -> Declared {
        let slots = |id| {
            let outputs = graph.step(id).outputs.iter();
            let slot = |output: &crate::graph::Output| Slot {
                value: output.value,
                ty: graph.made_type(id, output),
                optional: output.optional,
            };
            outputs.map(slot).collect()
        };
        let types = graph.values.iter().map(|value| (value.name.clone(), value.ty.clone()));
        Declared { made: graph.ids().map(slots).collect(), types: types.collect() }
    }

    /// Why an event is impossible in a run of this document, as far as its values and texts show. Unknown steps and
    /// values are detected elsewhere.
    pub fn misfit(&self, event: &Event) -> Option<String> {
        match &event.kind {
            EventKind::Item(_, change) => match change {
                ItemEvent::Admitted { key, inputs }
                | ItemEvent::Retried { key, inputs: Some(inputs), .. } => {
                    too_long(key).or_else(|| self.inputs(inputs))
                }
                ItemEvent::Settled { key, .. }
                | ItemEvent::Retried { key, inputs: None, .. }
                | ItemEvent::Resolved { key, .. }
                | ItemEvent::Revoked { key } => too_long(key),
                ItemEvent::DeadlinePassed { .. }
                | ItemEvent::CompensationBegan(_)
                | ItemEvent::Failed
                | ItemEvent::Requeued
                | ItemEvent::GateExpired(_)
                | ItemEvent::RoundBegan { .. }
                | ItemEvent::RoundScheduled { .. }
                | ItemEvent::RepeatEnded(_) => None,
                ItemEvent::GateReached { question, .. } => too_large([Some(question), None, None, None]),
                ItemEvent::Decided { decision, .. } => too_large(decision_texts(decision)),
            },
            EventKind::Run(RunEvent::Decided { decision, .. }) => too_large(decision_texts(decision)),
            EventKind::Run(RunEvent::Received(arrival)) => arrival.fault(),
            // Its data is what a step made: it has no limit of its own.
            EventKind::Run(RunEvent::Emitted(arrival)) => {
                let Arrival { id, kind, subject, source, .. } = &**arrival;
                too_large([Some(id), Some(kind), Some(subject), source.as_ref()])
            }
            EventKind::Run(RunEvent::NotPublished { id, why, .. }) => {
                too_large([Some(id), Some(why), None, None])
            }
            EventKind::Step(_, StepEvent::AwaitBegan { subject, .. }) => {
                (subject.len() > LARGEST_ROW).then(|| "its subject is too long".to_owned())
            }
            EventKind::Attempt(_, step, _, AttemptEvent::Finished(Ok(reply))) => {
                self.outputs(self.made.get(step.index())?, &reply.outputs)
            }
            EventKind::Attempt(_, _, _, AttemptEvent::Finished(Err(failure))) => {
                too_large(failure_texts(failure))
            }
            EventKind::Step(_, StepEvent::Ended(execution)) => too_large(row_texts(execution)),
            EventKind::Run(_) | EventKind::Step(..) | EventKind::Attempt(..) => None,
        }
    }

    fn outputs(&self, declared: &[Slot], made: &Values) -> Option<String> {
        let mut found: HashMap<ValueId, &Arc<Value>> = HashMap::new();
        for (id, value) in made {
            let (name, _) = self.types.get(id.index())?;
            if found.insert(*id, value).is_some() {
                return Some(format!("it has output `{name}` twice"));
            }
        }
        for slot in declared {
            let (name, _) = self.types.get(slot.value.index())?;
            match found.remove(&slot.value) {
                None if slot.optional => {}
                None => return Some(format!("output `{name}` is missing")),
                Some(value) => {
                    let wrong = slot.ty.as_ref().and_then(|ty| misfit(ty, value, name));
                    if let Some(wrong) = wrong {
                        return Some(format!("output {wrong}"));
                    }
                }
            }
        }
        let other = made.iter().find(|(id, _)| found.contains_key(id))?;
        Some(format!("its step does not declare output `{}`", self.types.get(other.0.index())?.0))
    }

    /// Which inputs an item brings depends on how the run was started.
    fn inputs(&self, brought: &Values) -> Option<String> {
        brought.iter().find_map(|(id, value)| {
            let (name, ty) = self.types.get(id.index())?;
            misfit(ty.as_ref()?, value, name).map(|wrong| format!("input {wrong}"))
        })
    }
}

/// Why a value does not fit a type. Values of `--stub` may break the rules of a type, and so may the names that
/// replace secrets.
fn misfit(ty: &Type, value: &Value, name: &str) -> Option<String> {
    let misfits = ty.fits(value).err()?;
    let stubbed = || match (ty.sample(), value) {
        // The stub of a failure handler does not requeue an item.
        (Value::Bool(_), Value::Bool(_)) => true,
        (stubbed, value) => stubbed == *value,
    };
    (!names_secrets(ty, value) && !stubbed()).then(|| misfits.of(name))
}

/// Whether a value would fit a type if it were not for names of secrets in it.
fn names_secrets(ty: &Type, value: &Value) -> bool {
    match ty {
        Type::Defined(_) => ty.fits(value).is_ok() || has_name(value),
        Type::Nullable(inner) => value.is_null() || names_secrets(inner, value),
        Type::List(inner) => {
            value.as_array().is_some_and(|all| all.iter().all(|one| names_secrets(inner, one)))
        }
        Type::String
        | Type::Secret
        | Type::Boolean
        | Type::Integer
        | Type::Number
        | Type::Json
        | Type::File
        | Type::Named(_) => ty.fits(value).is_ok(),
    }
}

fn has_name(value: &Value) -> bool {
    match value {
        Value::String(text) => redact::names_a_secret(text),
        Value::Array(all) => all.iter().any(has_name),
        Value::Object(all) => all.iter().any(|(name, one)| redact::names_a_secret(name) || has_name(one)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn too_long(key: &str) -> Option<String> {
    (key.len() > LONGEST_KEY).then(|| format!("the item's key is longer than {LONGEST_KEY} bytes"))
}

fn too_large(texts: [Option<&String>; 4]) -> Option<String> {
    let size: usize = texts.into_iter().flatten().map(String::len).sum();
    (size > LARGEST_ROW).then(|| format!("its texts take more than {} MiB", LARGEST_ROW >> 20))
}

fn failure_texts(failure: &Failure) -> [Option<&String>; 4] {
    [Some(&failure.message), failure.code.as_ref(), Some(&failure.log), None]
}

fn decision_texts(decision: &Decision) -> [Option<&String>; 4] {
    [Some(&decision.by), decision.note.as_ref(), None, None]
}

fn row_texts(row: &Execution) -> [Option<&String>; 4] {
    [row.input.as_ref(), row.output.as_ref(), row.error.as_ref(), row.code.as_ref()]
}

/// Why a trace does not take the columns of an event, after those of all before it.
pub fn too_many(known: &mut ReportedColumns, event: &Event) -> Option<String> {
    let (step, columns) = match &event.kind {
        EventKind::Attempt(_, path, _, AttemptEvent::Finished(Ok(reply))) => (path.step, &reply.columns),
        EventKind::Attempt(_, path, _, AttemptEvent::Finished(Err(failure))) => (path.step, &failure.columns),
        EventKind::Step(_, StepEvent::Ended(execution)) => (execution.step, &execution.columns),
        EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {
            return None;
        }
    };
    let mut names = HashSet::new();
    for (name, value) in columns {
        if STANDARD.into_iter().chain(TAIL).any(|standard| *standard == **name) || !names.insert(name) {
            return Some(format!("it has column `{name}` twice"));
        }
        if value.is_array() || value.is_object() {
            return Some(format!("column `{name}` is {}", kind(value)));
        }
    }
    // The columns of gates, events and loops come beside those that agents report.
    let reported: Vec<_> = columns.iter().filter(|(name, _)| !is_own(name)).cloned().collect();
    known.too_many(step, &reported)
}

fn is_own(column: &str) -> bool {
    GATE_COLUMNS.contains(&column) || EVENT_COLUMNS.contains(&column) || column == ROUND_COLUMN
}
