//! The events of an active run as JSON for programs, an object a line (`--log-format json`).

use super::board::Board;
use crate::diag::render::visible_json;
use crate::event::{
    AttemptEvent, Event, EventKind, ItemError, ItemEvent, ItemId, RunEvent, StepEvent, StepPath,
};
use crate::graph::{Graph, StepId};
use crate::value::Value;
use serde_json::json;

/// The line of an event; `None` for one that only matters to the engine. The board has not seen it yet, so that it
/// knows the keys of items that end.
pub fn line(event: &Event, board: &Board, graph: &Graph) -> Option<String> {
    let (kind, more) = described(&event.kind, board, graph)?;
    let mut line = json!({ "at_ms": event.at, "event": kind });
    if let (Value::Object(line), Value::Object(more)) = (&mut line, more) {
        line.extend(more);
    }
    Some(text(&line))
}

/// A line of these members.
pub fn text(members: &Value) -> String {
    visible_json(&members.to_string()) + "\n"
}

fn described(kind: &EventKind, board: &Board, graph: &Graph) -> Option<(&'static str, Value)> {
    let key = |item: ItemId| match item {
        ItemId::RUN => "run",
        item => board.key(item),
    };
    let step = |id: StepId| &graph.step(id).title;
    let error = |error: &ItemError| json!({ "step": error.step.map(step), "message": error.message, "code": error.code });
    Some(match kind {
        EventKind::Run(RunEvent::StepsBegan) => ("item-began", json!({ "item": "run" })),
        EventKind::Run(RunEvent::StepsEnded(end)) => (
            "item-ended",
            json!({ "item": "run", "state": end.state.name(), "error": end.error.as_ref().map(error) }),
        ),
        EventKind::Run(RunEvent::Stopped(why)) => ("run-stopping", json!({ "why": why.to_string() })),
        EventKind::Run(RunEvent::NotPublished { channel, id, why }) => {
            ("not-published", json!({ "channel": channel, "id": id, "why": why }))
        }
        EventKind::Run(_) => return None,
        EventKind::Item(item, change) => match change {
            ItemEvent::Admitted { key, .. } | ItemEvent::Retried { key, .. } => {
                ("item-began", json!({ "item": key }))
            }
            ItemEvent::Settled { key, end } => (
                "item-ended",
                json!({ "item": key, "state": end.state.name(), "error": end.error.as_ref().map(error) }),
            ),
            ItemEvent::GateReached { gate, question, .. } => {
                let step = graph.gate(*gate).map(|gate| graph.gated(gate));
                ("person-awaited", json!({ "item": key(*item), "step": step, "question": question }))
            }
            ItemEvent::Decided { gate, decision } => {
                let step = graph.gate(*gate).map(|gate| graph.gated(gate));
                let (approved, by, note) = (decision.approved, &decision.by, &decision.note);
                (
                    "decided",
                    json!({ "item": key(*item), "step": step, "approved": approved, "by": by, "note": note }),
                )
            }
            ItemEvent::DeadlinePassed { .. } => ("deadline-passed", json!({ "item": key(*item) })),
            ItemEvent::CompensationBegan(id) => {
                ("compensation-began", json!({ "item": key(*item), "step": step(*id) }))
            }
            _ => return None,
        },
        EventKind::Step(item, change) => match change {
            StepEvent::Ended(end) => (
                "step-ended",
                json!({
                    "item": key(*item), "step": step(end.step), "phase": graph.step(end.step).phase, "element": end.element,
                    "status": end.status.name(), "error": end.error, "code": end.code, "attempt": end.attempt,
                    "duration_ms": end.duration_ms, "tokens_used": end.tokens_used,
                }),
            ),
            StepEvent::AwaitBegan { step: id, subject, .. } => {
                let kind = graph.step(*id).awaits.as_ref().map(|awaits| &awaits.event);
                (
                    "event-awaited",
                    json!({ "item": key(*item), "step": step(*id), "type": kind, "subject": subject }),
                )
            }
            _ => return None,
        },
        EventKind::Attempt(item, path, attempt, change) => {
            let place = |StepPath { step: id, element }: StepPath| {
                json!({
                    "item": key(*item), "step": step(id), "phase": graph.step(id).phase, "element": element, "attempt": attempt,
                })
            };
            let mut place = place(*path);
            match change {
                AttemptEvent::Started | AttemptEvent::Repeated => ("attempt-began", place),
                AttemptEvent::Finished(answer) => {
                    let error = answer.as_ref().err();
                    place["error"] = error
                        .map(|error| json!({ "message": error.message, "code": error.code, "retryable": error.retryable }))
                        .into();
                    ("attempt-ended", place)
                }
                AttemptEvent::RetryScheduled { due } => {
                    place["due_ms"] = (*due).into();
                    ("retry-scheduled", place)
                }
                AttemptEvent::Stopped(_)
                | AttemptEvent::RetryDue
                | AttemptEvent::Waits
                | AttemptEvent::Awaits
                | AttemptEvent::Continues => return None,
            }
        }
    })
}
