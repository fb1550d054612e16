//! Events of runs as JSON for programs that follow one: what happened to which item and step, without values.

use crate::event::{
    AttemptEvent, Decision, Event, EventKind, Failure, GateId, ItemError, ItemEvent, RunEvent, Settlement,
    StepEvent, StepId, StepPath,
};
use crate::graph::Graph;
use serde_json::{Map, Value, json};

/// `{event, at_ms, change, item, …}`: `number` is that of the event in the journal, `key` that of its item.
pub fn event_json(number: u64, event: &Event, key: Option<&str>, graph: &Graph) -> Value {
    let mut object = Map::new();
    object.insert("event".into(), number.into());
    object.insert("at_ms".into(), event.at.into());
    let (change, more) = match &event.kind {
        EventKind::Run(change) => of_run(change, graph),
        EventKind::Item(_, change) => of_item(change, graph),
        EventKind::Step(_, change) => of_step(change, graph),
        EventKind::Attempt(_, path, number, change) => of_attempt(*path, *number, change, graph),
    };
    object.insert("change".into(), change.into());
    object.insert("item".into(), key.into());
    if let Value::Object(more) = more {
        object.extend(more);
    }
    Value::Object(object)
}

fn of_run(change: &RunEvent, graph: &Graph) -> (&'static str, Value) {
    match change {
        RunEvent::ItemsExhausted => ("run.items_exhausted", json!({})),
        RunEvent::StepsBegan => ("run.steps_began", json!({})),
        RunEvent::StepsEnded(end) => ("run.steps_ended", settlement(end, graph)),
        RunEvent::Drained(_) => ("run.drained", json!({})),
        RunEvent::Stopped(why) => ("run.stopped", json!({ "why": why.to_string() })),
        RunEvent::Decided { gate, decision } => ("run.decided", decided(*gate, decision, graph)),
        RunEvent::Received(arrival) => (
            "run.event_received",
            json!({ "id": arrival.id, "type": arrival.kind, "subject": arrival.subject }),
        ),
        RunEvent::Emitted(arrival) => (
            "run.event_emitted",
            json!({ "id": arrival.id, "type": arrival.kind, "subject": arrival.subject }),
        ),
        RunEvent::Published { channel, id } => {
            ("run.event_published", json!({ "channel": &**channel, "id": id }))
        }
        RunEvent::NotPublished { channel, id, why } => {
            ("run.event_not_published", json!({ "channel": &**channel, "id": id, "why": why }))
        }
    }
}

fn of_item(change: &ItemEvent, graph: &Graph) -> (&'static str, Value) {
    match change {
        ItemEvent::Admitted { .. } => ("item.admitted", json!({})),
        ItemEvent::DeadlinePassed { waited } => ("item.deadline_passed", json!({ "waited": waited })),
        ItemEvent::CompensationBegan(id) => ("item.compensation_began", step((*id).into(), graph)),
        ItemEvent::Failed => ("item.failed", json!({})),
        ItemEvent::Requeued => ("item.requeued", json!({})),
        ItemEvent::Retried { .. } => ("item.retried", json!({})),
        ItemEvent::Resolved { note, .. } => ("item.resolved", json!({ "note": note })),
        ItemEvent::Revoked { .. } => ("item.revoked", json!({})),
        ItemEvent::GateReached { gate, question, .. } => {
            ("item.gate_reached", json!({ "step": gated(*gate, graph), "question": question }))
        }
        ItemEvent::Decided { gate, decision } => ("item.decided", decided(*gate, decision, graph)),
        ItemEvent::GateExpired(gate) => ("item.gate_expired", json!({ "step": gated(*gate, graph) })),
        ItemEvent::RoundBegan { round, .. } => ("item.round_began", json!({ "round": round })),
        ItemEvent::RoundScheduled { due, .. } => ("item.round_scheduled", json!({ "due_ms": due })),
        ItemEvent::RepeatEnded(_) => ("item.loop_ended", json!({})),
        ItemEvent::Settled { end, .. } => ("item.settled", settlement(end, graph)),
    }
}

fn of_step(change: &StepEvent, graph: &Graph) -> (&'static str, Value) {
    match change {
        StepEvent::ConditionHeld(id) => ("step.condition_held", step((*id).into(), graph)),
        StepEvent::BranchTaken { step: id, .. } => ("step.branch_taken", step((*id).into(), graph)),
        StepEvent::Ended(execution) => {
            let mut object = step(execution.path(), graph);
            object["status"] = execution.status.name().into();
            object["attempts"] = execution.attempt.into();
            object["duration_ms"] = execution.duration_ms.into();
            object["tokens_used"] = execution.tokens_used.into();
            object["error"] = execution.error.clone().into();
            object["code"] = execution.code.clone().into();
            ("step.ended", object)
        }
        StepEvent::ElementsEnded(id) => ("step.elements_ended", step((*id).into(), graph)),
        StepEvent::AwaitBegan { step: id, subject, .. } => {
            let mut object = awaits(*id, graph);
            object["subject"] = (&**subject).into();
            ("step.await_began", object)
        }
        StepEvent::EventTaken { step: id, .. } => ("step.event_taken", awaits(*id, graph)),
        StepEvent::AwaitExpired(id) => ("step.await_expired", awaits(*id, graph)),
    }
}

fn of_attempt(path: StepPath, number: u32, change: &AttemptEvent, graph: &Graph) -> (&'static str, Value) {
    let mut object = step(path, graph);
    object["attempt"] = number.into();
    let change = match change {
        AttemptEvent::Started => "attempt.started",
        AttemptEvent::Stopped(why) => {
            object["why"] = why.to_string().into();
            "attempt.stopped"
        }
        AttemptEvent::Repeated => "attempt.repeated",
        AttemptEvent::Finished(answer) => {
            let failure: Option<&Failure> = answer.as_ref().err().map(|failure| &**failure);
            object["ok"] = failure.is_none().into();
            object["error"] = failure.map(|failure| failure.message.clone()).into();
            object["code"] = failure.and_then(|failure| failure.code.clone()).into();
            "attempt.finished"
        }
        AttemptEvent::RetryScheduled { due } => {
            object["due_ms"] = (*due).into();
            "attempt.retry_scheduled"
        }
        AttemptEvent::RetryDue => "attempt.retry_due",
        AttemptEvent::Waits => "attempt.waits",
        AttemptEvent::Awaits => "attempt.awaits",
        AttemptEvent::Continues => "attempt.continues",
    };
    (change, object)
}

/// `{step, phase, element}`.
fn step(path: StepPath, graph: &Graph) -> Value {
    let step = graph.step(path.step);
    json!({ "step": step.title, "phase": step.phase, "element": path.element })
}

fn awaits(id: StepId, graph: &Graph) -> Value {
    let mut object = step(id.into(), graph);
    object["type"] = graph.step(id).awaits.as_ref().map(|awaits| awaits.event.clone()).into();
    object
}

fn gated(gate: GateId, graph: &Graph) -> Option<String> {
    graph.gate(gate).map(|gate| graph.gated(gate))
}

fn decided(gate: GateId, decision: &Decision, graph: &Graph) -> Value {
    let Decision { approved, by, note, .. } = decision;
    json!({ "step": gated(gate, graph), "approved": approved, "by": by, "note": note })
}

/// `{state, error, uncompensated}`.
fn settlement(end: &Settlement, graph: &Graph) -> Value {
    json!({
        "state": end.state.name(),
        "error": end.error.as_ref().map(|error| error_json(error, graph)),
        "uncompensated": end.uncompensated.iter().map(|error| error_json(error, graph)).collect::<Vec<_>>(),
    })
}

/// `{step, phase, message, code, attempts}`: why an item failed, or was not compensated.
pub fn error_json(error: &ItemError, graph: &Graph) -> Value {
    let step = error.step.map(|step| graph.step(step));
    json!({
        "step": step.map(|step| &step.title),
        "phase": step.map(|step| &step.phase),
        "message": error.message,
        "code": error.code,
        "attempts": error.attempts,
    })
}
