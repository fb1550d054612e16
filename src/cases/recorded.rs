//! A case from what happened to an item of a run: its inputs, the answers of its agents, decisions and events, and its end.

use super::model::StepEnd;
use crate::event::{
    Answer, Arrival, AttemptEvent, Cause, Decision, Event, EventKind, GateId, ItemEvent, ItemId, Millis,
    Outcome, RunEvent, Settlement, StepEvent, StepPath, ValueId, Values,
};
use crate::graph::{Graph, Kind, StepId};
use crate::value::{Object, Value, words};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// How long an attempt takes that was stopped before it answered.
const STOPPED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Collects the events of an item.
pub struct RecordedCase<'a> {
    graph: &'a Graph,
    key: String,
    item: Option<ItemId>,
    admitted: Millis,
    inputs: Values,
    /// The attempts of each step in the order in which they started.
    attempts: BTreeMap<StepId, Vec<RecordedAttempt>>,
    gates: BTreeMap<GateId, Vec<Decision>>,
    /// All events from outside, and the subjects of those that the item waited for.
    events: Vec<(Millis, Arc<Arrival>)>,
    subjects: BTreeSet<Arc<str>>,
    ends: Vec<(StepId, StepEnd)>,
    settlement: Option<Settlement>,
}

struct RecordedAttempt {
    step: StepPath,
    attempt: u32,
    started: Millis,
    end: Option<(Millis, Answer)>,
}

impl<'a> RecordedCase<'a> {
    pub fn new(graph: &'a Graph, key: &str) -> Self {
        RecordedCase {
            graph,
            key: key.to_owned(),
            item: None,
            admitted: 0,
            inputs: Vec::new(),
            attempts: BTreeMap::new(),
            gates: BTreeMap::new(),
            events: Vec::new(),
            subjects: BTreeSet::new(),
            ends: Vec::new(),
            settlement: None,
        }
    }

    /// The next event of the run.
    pub fn take(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Run(RunEvent::Received(arrival) | RunEvent::Emitted(arrival)) => {
                self.events.push((event.at, arrival.clone()))
            }
            EventKind::Item(item, ItemEvent::Admitted { key, inputs }) if **key == self.key => {
                (self.item, self.admitted) = (Some(*item), event.at);
                self.inputs = inputs.clone();
            }
            _ if event.item().is_none() || event.item() != self.item => {}
            EventKind::Item(_, ItemEvent::Decided { gate, decision }) => {
                self.gates.entry(*gate).or_default().push(decision.clone());
            }
            EventKind::Item(_, ItemEvent::Settled { end, .. }) => self.settlement = Some(end.clone()),
            EventKind::Step(_, StepEvent::AwaitBegan { subject, .. }) => {
                self.subjects.insert(subject.clone());
            }
            EventKind::Step(_, StepEvent::Ended(execution)) => {
                self.ends.push((execution.step, StepEnd::Row(execution.status)));
            }
            EventKind::Attempt(_, step, attempt, AttemptEvent::Started) => {
                let (step, attempt, started) = (*step, *attempt, event.at);
                let one = RecordedAttempt { step, attempt, started, end: None };
                self.attempts.entry(step.step).or_default().push(one);
            }
            EventKind::Attempt(_, step, attempt, AttemptEvent::Finished(answer)) => {
                let all = self.attempts.entry(step.step).or_default();
                if let Some(one) = all.iter_mut().find(|one| (one.step, one.attempt) == (*step, *attempt)) {
                    one.end = Some((event.at, answer.clone()));
                }
            }
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
    }

    /// The item, if the run has it.
    pub fn item(&self) -> Option<ItemId> {
        self.item
    }

    /// Whether the item has ended, so that a case can expect the same.
    pub fn is_settled(&self) -> bool {
        self.settlement.is_some()
    }

    /// The case as TOML; `shown` is a value as people may see it.
    pub fn text(&self, name: &str, shown: &dyn Fn(ValueId, &Value) -> Value) -> String {
        let mut out = format!("[[case]]\nname = {}\nkey = {}\n", quoted(name), quoted(&self.key));
        let named = |id: ValueId, value: &Value| {
            format!("{} = {}", bare(&self.graph.value(id).name), toml_of(&shown(id, value)))
        };
        for (id, value) in &self.inputs {
            let _ = writeln!(out, "inputs.{}", named(*id, value));
        }
        for (id, all) in &self.attempts {
            let ended = all.iter().filter_map(|one| Some((one, one.end.as_ref()?)));
            for (one, (at, answer)) in ended {
                let _ = write!(out, "\n[[case.answers.{}]]\n", bare(&self.graph.step(*id).phase));
                let stopped = answer.as_ref().is_err_and(|failure| failure.cause == Cause::Stopped);
                let took = Duration::from_millis(at.saturating_sub(one.started));
                let takes = if stopped { STOPPED } else { took };
                let _ = writeln!(out, "takes = \"{}\"", words::duration(takes));
                match answer {
                    Ok(reply) => {
                        for (id, value) in &reply.outputs {
                            let _ = writeln!(out, "outputs.{}", named(*id, value));
                        }
                    }
                    Err(_) if stopped => {}
                    Err(failure) => {
                        let mut error = Object::new();
                        error.insert("message".into(), failure.message.as_str().into());
                        error.insert("code".into(), failure.code.clone().into());
                        error.insert("retryable".into(), failure.retryable.into());
                        let outcome = match failure.outcome {
                            Outcome::Failed => "failed",
                            Outcome::NotExecuted => "not executed",
                            Outcome::Unknown => "unknown",
                        };
                        error.insert("outcome".into(), outcome.into());
                        error.insert("retry_after_ms".into(), failure.retry_after_ms.into());
                        let _ = writeln!(out, "error = {}", toml_of(&Value::Object(error)));
                    }
                }
            }
        }
        for (gate, all) in &self.gates {
            let Some(gate) = self.graph.gate(*gate) else { continue };
            for Decision { approved, by, note, .. } in all {
                let _ = write!(out, "\n[[case.gates.{}]]\n", bare(&self.graph.gate_name(gate)));
                let _ = writeln!(out, "decision = \"{}\"", if *approved { "approve" } else { "reject" });
                let _ = writeln!(out, "by = {}", quoted(by));
                if let Some(note) = note {
                    let _ = writeln!(out, "note = {}", quoted(note));
                }
            }
        }
        let awaited = self.graph.awaited_here();
        let meant = |event: &&(Millis, Arc<Arrival>)| {
            awaited.contains(event.1.kind.as_str()) && self.subjects.contains(event.1.subject.as_str())
        };
        for (at, event) in self.events.iter().filter(meant) {
            let after = words::duration(Duration::from_millis(at.saturating_sub(self.admitted)));
            let _ = write!(out, "\n[[case.events]]\ntype = {}\n", quoted(&event.kind));
            let _ = writeln!(out, "subject = {}\nafter = \"{after}\"", quoted(&event.subject));
            let _ = writeln!(out, "data = {}", toml_of(&event.data));
        }
        out.push_str(&self.expected());
        out
    }

    fn expected(&self) -> String {
        let mut out = "\n[case.expect]\n".to_owned();
        if let Some(end) = &self.settlement {
            let _ = writeln!(out, "state = \"{}\"", end.state.name());
            if let Some(step) = end.error.as_ref().and_then(|error| error.step) {
                let _ = writeln!(out, "failed = {}", quoted(&self.graph.step(step).phase));
            }
        }
        let mut steps: BTreeMap<StepId, Vec<String>> = BTreeMap::new();
        for (step, end) in &self.ends {
            steps.entry(*step).or_default().push(quoted(end.name()));
        }
        for (step, ends) in &steps {
            let _ = write!(out, "steps.{} = ", bare(&self.graph.step(*step).phase));
            let _ = match ends.as_slice() {
                [only] => writeln!(out, "{only}"),
                several => writeln!(out, "[{}]", several.join(", ")),
            };
        }
        let compensations = self.ends.iter().map(|(step, _)| self.graph.step(*step));
        let compensations = compensations.filter(|step| step.kind == Kind::Compensation);
        let compensations: Vec<String> = compensations.map(|step| quoted(&step.phase)).collect();
        let _ = writeln!(out, "compensations = [{}]", compensations.join(", "));
        out
    }
}

/// A key as TOML has it.
fn bare(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.chars().all(plain) { name.to_owned() } else { quoted(name) }
}

/// A text as TOML has it, with the escapes of JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A value in one line. TOML has no null: such members and elements are left out.
fn toml_of(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(list) => {
            let all: Vec<String> = list.iter().filter(|one| !one.is_null()).map(toml_of).collect();
            format!("[{}]", all.join(", "))
        }
        Value::Object(members) => {
            let all = members.iter().filter(|(_, value)| !value.is_null());
            let all: Vec<String> =
                all.map(|(name, value)| format!("{} = {}", bare(name), toml_of(value))).collect();
            if all.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", all.join(", ")) }
        }
        Value::Null => "\"\"".to_owned(),
        other => other.to_string(),
    }
}
