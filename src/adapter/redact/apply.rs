//! Redacts answers and events.

use super::Redactor;
use crate::event::{Answer, Event, EventKind, Execution, ItemError, ItemEvent, ItemId, RunEvent, StepEvent};
use crate::value::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

type Columns = Vec<(Arc<str>, Value)>;

impl Redactor {
    /// Redacts all of an answer except the declared outputs. A failure of a `shared` process is searched for the
    /// secrets of all items, which it serves at the same time.
    pub fn answer(&self, item: ItemId, shared: bool, answer: &mut Answer) {
        if let Ok(reply) = answer {
            self.learn_values(item, &reply.outputs);
        }
        let all = shared && answer.is_err();
        self.with_learned((!all).then_some(item)).own_answer(answer);
    }

    fn own_answer(&self, answer: &mut Answer) {
        if self.is_empty() {
            return;
        }
        match answer {
            Ok(reply) => self.columns(&mut reply.columns),
            Err(failure) => {
                // First, because the end of the log in the message is redacted with it.
                self.log(&mut failure.log);
                self.text(&mut failure.message);
                self.maybe(&mut failure.code);
                self.columns(&mut failure.columns);
            }
        }
    }

    /// Redacts data that the engine derived from redacted answers: labels of values, and messages about them. Learns
    /// the secrets in inputs and outputs.
    pub fn event(&self, event: &mut Event) {
        self.learn(event);
        self.with_learned(event.item()).own_event(event);
    }

    fn own_event(&self, event: &mut Event) {
        if self.is_empty() {
            return;
        }
        match &mut event.kind {
            EventKind::Run(RunEvent::StepsEnded(end))
            | EventKind::Item(_, ItemEvent::Settled { end, .. }) => {
                end.error.iter_mut().chain(&mut end.uncompensated).for_each(|error| self.error(error));
            }
            EventKind::Step(_, StepEvent::Ended(execution)) => self.execution(execution),
            EventKind::Item(_, ItemEvent::GateReached { question, .. }) => self.text(question),
            // Its data is the value of a step, as an input is.
            EventKind::Run(RunEvent::Received(_) | RunEvent::Emitted(_)) => {}
            EventKind::Run(RunEvent::Decided { decision, .. })
            | EventKind::Item(_, ItemEvent::Decided { decision, .. }) => {
                self.text(&mut decision.by);
                self.maybe(&mut decision.note);
            }
            EventKind::Run(_) | EventKind::Item(..) | EventKind::Step(..) | EventKind::Attempt(..) => {}
        }
    }

    fn execution(&self, execution: &mut Execution) {
        self.maybe(&mut execution.input);
        self.maybe(&mut execution.output);
        self.maybe(&mut execution.error);
        self.maybe(&mut execution.code);
    }

    fn error(&self, error: &mut ItemError) {
        self.text(&mut error.message);
        self.maybe(&mut error.code);
    }

    fn maybe(&self, text: &mut Option<String>) {
        if let Some(text) = text {
            self.text(text);
        }
    }

    /// Columns whose names become equal by redaction are merged: the first remains.
    fn columns(&self, columns: &mut Columns) {
        for (name, value) in columns.iter_mut() {
            let mut redacted = name.to_string();
            self.text(&mut redacted);
            if redacted != **name {
                *name = redacted.into();
            }
            self.value(value);
        }
        let mut seen = BTreeSet::new();
        columns.retain(|(name, _)| seen.insert(name.clone()));
    }

    fn value(&self, value: &mut Value) {
        let text = match value {
            Value::String(text) => return self.text(text),
            Value::Number(number) => number.to_string(),
            // Columns hold scalars.
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return,
        };
        let mut redacted = text.clone();
        self.text(&mut redacted);
        if redacted != text {
            *value = Value::String(redacted);
        }
    }
}
