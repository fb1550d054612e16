//! The attempts at a step of an item: what each took and made, and how it ended.

use crate::diag::render::visible;
use crate::engine::is_lost;
use crate::event::{Answer, Cause, Execution, Failure, Millis, Outcome, StepPath, StopReason, Values};
use crate::graph::Graph;
use crate::value::{Object, Value};
use crate::view::{execution, milliseconds, presentable};
use serde_json::json;

/// The most characters of a value that a line shows.
const VALUE: usize = 2000;

pub(super) struct StoryStep {
    pub path: StepPath,
    pub attempts: Vec<StoryAttempt>,
    /// How its last execution ended; `None` while it continues.
    pub end: Option<Execution>,
}

pub(super) struct StoryAttempt {
    pub number: u32,
    /// The round of its step, as rows have it.
    pub round: Option<Value>,
    pub inputs: Values,
    pub started: Millis,
    pub stopped: Option<StopReason>,
    /// `None` without a stored answer.
    pub finished: Option<(Millis, Answer)>,
    /// Its document waits for people or events.
    pub waits: bool,
    /// Its messages as JSON.
    pub conversation: Vec<Value>,
}

impl StoryStep {
    /// Its end, or its current state.
    fn status(&self, held: bool) -> &'static str {
        let answered = self.attempts.last().is_some_and(|attempt| attempt.finished.is_some());
        match &self.end {
            Some(end) => end.status.name(),
            None if answered || self.waits_inside() => "waiting",
            None if held => "running",
            None => "interrupted",
        }
    }

    /// Whether the document that it runs waits for people or events.
    pub fn waits_inside(&self) -> bool {
        self.end.is_none() && self.attempts.last().is_some_and(|last| last.waits && last.finished.is_none())
    }

    pub fn json(&self, graph: &Graph, held: bool) -> Value {
        let step = graph.step(self.path.step);
        let end = self.end.as_ref();
        json!({
            "step": step.title,
            "phase": step.phase,
            "element": self.path.element,
            "status": self.status(held),
            "error": end.and_then(|end| end.error.as_ref()),
            "attempts": self.attempts.iter().map(|attempt| attempt.json(graph)).collect::<Vec<_>>(),
        })
    }

    pub fn text(&self, out: &mut String, graph: &Graph, held: bool) {
        out.push_str(&format!("\n{}: {}\n", execution(self.path, graph), self.status(held)));
        // The error of the last attempt is shown there.
        let error = self.end.as_ref().and_then(|end| end.error.as_deref());
        if let (Some(error), true) = (error, self.attempts.is_empty()) {
            out.push_str(&format!("  {}\n", visible(error)));
        }
        for attempt in &self.attempts {
            attempt.text(out, graph, held);
        }
        // An answer did not make the step succeed: its loop was not reached, or its own decision refused it.
        let answered = self.attempts.last().is_some_and(|last| matches!(&last.finished, Some((_, Ok(_)))));
        if let (Some(error), true) = (error, answered) {
            out.push_str(&format!("    fails: {}\n", visible(error)));
        }
    }
}

impl StoryAttempt {
    pub fn json(&self, graph: &Graph) -> Value {
        let seen =
            self.finished.as_ref().filter(|(_, answer)| !answer.as_ref().is_err_and(|lost| is_lost(lost)));
        let mut object = json!({
            "attempt": self.number,
            "started_ms": self.started,
            "finished_ms": seen.map(|(at, _)| at),
            "stopped": self.stopped.map(|why| why.to_string()),
            "inputs": named(&self.inputs, graph),
            "outputs": {},
            "tokens_used": null,
            "columns": {},
            "error": null,
            "conversation": self.conversation,
        });
        if let Some(round) = &self.round {
            object["round"] = round.clone();
        }
        match self.finished.as_ref().map(|(_, answer)| answer) {
            Some(Ok(reply)) => {
                object["outputs"] = named(&reply.outputs, graph).into();
                object["tokens_used"] = reply.tokens_used.into();
                object["columns"] = columns(&reply.columns).into();
            }
            Some(Err(failure)) => {
                object["error"] = failure_json(failure);
                object["tokens_used"] = failure.tokens_used.into();
                object["columns"] = columns(&failure.columns).into();
            }
            None => {}
        }
        object
    }

    pub fn text(&self, out: &mut String, graph: &Graph, held: bool) {
        let StoryAttempt { number, started, .. } = self;
        let took = match &self.finished {
            Some((_, Err(failure))) if is_lost(failure) => ", its end was not seen".to_owned(),
            Some((at, _)) => format!(", took {}", milliseconds(at.saturating_sub(*started) as f64)),
            None if self.waits => ", its document waits".to_owned(),
            None if held => ", without an answer so far".to_owned(),
            None => ", interrupted before it had answered".to_owned(),
        };
        let began = milliseconds(*started as f64);
        let round = self.round.as_ref().map(|round| format!("round {}, ", text(round))).unwrap_or_default();
        out.push_str(&format!("  {round}attempt {number} after {began}{took}\n"));
        values(out, "    ", "takes ", &self.inputs, graph);
        if let Some(why) = self.stopped {
            out.push_str(&format!("    {why}\n"));
        }
        match self.finished.as_ref().map(|(_, answer)| answer) {
            Some(Ok(reply)) => {
                values(out, "    ", "makes ", &reply.outputs, graph);
                for (name, value) in &reply.columns {
                    out.push_str(&format!("    reports {}: {}\n", visible(name), short(value)));
                }
            }
            Some(Err(failure)) => {
                let code = failure.code.as_deref().map(|code| format!(" ({})", visible(code)));
                let code = code.unwrap_or_default();
                out.push_str(&format!("    fails: {}{code}\n", visible(&failure.message)));
                for line in failure.log.lines() {
                    out.push_str(&format!("    | {}\n", visible(line)));
                }
            }
            None => {}
        }
    }
}

pub(super) fn named(values: &Values, graph: &Graph) -> Object {
    values
        .iter()
        .map(|(id, value)| (graph.value(*id).name.clone(), presentable(*id, value, graph).into_owned()))
        .collect()
}

fn columns(columns: &[(std::sync::Arc<str>, Value)]) -> Object {
    columns.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
}

pub(super) fn values(out: &mut String, indent: &str, what: &str, values: &Values, graph: &Graph) {
    for (id, value) in values {
        out.push_str(&format!(
            "{indent}{what}{}: {}\n",
            visible(&graph.value(*id).name),
            short(&presentable(*id, value, graph))
        ));
    }
}

/// A text without its quotes.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A value on one line.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(VALUE) {
        Some((end, _)) => visible(&text[..end]) + "… (--format json has it all)",
        None => visible(&text),
    }
}

fn failure_json(failure: &Failure) -> Value {
    let (cause, number) = match failure.cause {
        Cause::Start => ("start", None),
        Cause::Exit(code) => ("exit", Some(code)),
        Cause::Signal(signal) => ("signal", Some(signal)),
        Cause::Stopped => ("stopped", None),
        Cause::Protocol => ("protocol", None),
        Cause::Refused => ("refused", None),
        Cause::BadOutput => ("bad_output", None),
    };
    let outcome = match failure.outcome {
        Outcome::Failed => "failed",
        Outcome::NotExecuted => "not_executed",
        Outcome::Unknown => "unknown",
    };
    json!({
        "message": failure.message,
        "code": failure.code,
        "cause": cause,
        "number": number,
        "outcome": outcome,
        "retryable": failure.retryable,
        "retry_after_ms": failure.retry_after_ms,
        "unavailable": failure.is_unavailable(),
        "log": failure.log,
    })
}
