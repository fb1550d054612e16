//! Names that the outside sees: of the run, of an effect, of a trace.

use crate::engine::Call;
use crate::event::StepPath;
use crate::graph::Graph;
use jiff::Timestamp;
use std::time::Duration;

/// A new run's name: unique, and in the order of time.
pub fn new_run_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// What an agent is given to know an effect again, whichever attempt it is; and where the attempt undoes another
/// step, the key of that.
pub fn keys_of(run: &str, graph: &Graph, call: &Call) -> (String, Option<String>) {
    let key = |of: StepPath, direction| {
        let phase = &graph.step(of.step).phase;
        let path = of.element.map_or_else(|| phase.clone(), |element| format!("{phase}[{element}]"));
        idempotency_key(run, &call.key, &path, call.visit, direction)
    };
    match call.undoes {
        Some(undone) => (key(undone, "compensation"), Some(key(undone, "forward"))),
        None => (key(call.step, "forward"), None),
    }
}

/// The same for every attempt at the same effect: blake3 over run, item, step, visit and direction, in hex. What
/// undoes is known by the step that it undoes.
fn idempotency_key(run: &str, item: &str, step: &str, visit: u32, direction: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in ["orderflow 1", run, item, step, &visit.to_string(), direction] {
        // Lengths keep parts apart that would otherwise run together.
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// W3C trace context: the run is the trace, the attempt the span.
pub(super) fn traceparent(run: &str, attempt: &str) -> String {
    let trace = blake3::hash(run.as_bytes()).to_hex();
    let span = blake3::hash(format!("{run} {attempt}").as_bytes()).to_hex();
    format!("00-{}-{}-01", &trace[..32], &span[..16])
}

/// The moment so many milliseconds from now, as RFC 3339.
pub(super) fn moment(from_now: u64) -> String {
    let now = Timestamp::now();
    let then = now.checked_add(Duration::from_millis(from_now)).unwrap_or(Timestamp::MAX);
    format!("{then:.3}")
}
