//! Identifiers that agents see: of the run, of an effect, of a trace.

use crate::engine::Call;
use crate::event::{StepPath, UnixMillis};
use crate::graph::Graph;
use jiff::Timestamp;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

/// What orders the names that this process makes in the same millisecond.
static ORDER: Mutex<uuid::ContextV7> = Mutex::new(uuid::ContextV7::new());

/// A new run's name: unique, and ordered by time; those of one process are in their order.
pub fn new_run_id() -> String {
    let now = now();
    let seconds = now.as_second().unsigned_abs();
    let nanoseconds = now.subsec_nanosecond().unsigned_abs();
    let now = uuid::Timestamp::from_unix(&ORDER, seconds, nanoseconds);
    uuid::Uuid::new_v7(now).simple().to_string()
}

/// The current time. A clock before 1970 or after the year 9999 counts as the first or the last moment between them,
/// because RFC 3339 cannot write others.
pub fn now() -> Timestamp {
    time_of(SystemTime::now())
}

/// The clock in milliseconds since 1970.
pub fn unix_millis() -> UnixMillis {
    UnixMillis::try_from(now().as_millisecond()).unwrap_or(0)
}

/// A time of the clock as in `2026-11-20T14:43:02Z`.
pub fn clock(time: UnixMillis) -> String {
    let time = i64::try_from(time).ok().and_then(|time| Timestamp::from_millisecond(time).ok());
    format!("{:.0}", time.unwrap_or(Timestamp::MAX))
}

fn time_of(clock: SystemTime) -> Timestamp {
    match clock.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => Timestamp::UNIX_EPOCH.checked_add(since).unwrap_or(Timestamp::MAX),
        Err(_) => Timestamp::UNIX_EPOCH,
    }
}

/// The keys of a call's effect, equal for all its attempts: its own, and for a compensation that of the compensated
/// step.
pub fn keys_of(run: &str, graph: &Graph, call: &Call) -> (String, Option<String>) {
    let key = |of: StepPath, direction| {
        let phase = &graph.step(of.step).phase;
        let path = of.element.map_or_else(|| phase.clone(), |element| format!("{phase}[{element}]"));
        idempotency_key(run, &call.key, &path, call.visit, direction)
    };
    match call.compensates {
        Some(undone) => (key(undone, "compensation"), Some(key(undone, "forward"))),
        None => (key(call.step, "forward"), None),
    }
}

/// The same for every attempt at the same effect: blake3 over run, item, step, visit and direction, in hex. A
/// compensation uses the step that it compensates.
fn idempotency_key(run: &str, item: &str, step: &str, visit: u32, direction: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in ["orderflow 1", run, item, step, &visit.to_string(), direction] {
        // Lengths separate parts that would otherwise run together.
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// The time in `from_now` milliseconds, as RFC 3339.
pub(super) fn moment(from_now: u64) -> String {
    let then = now().checked_add(Duration::from_millis(from_now)).unwrap_or(Timestamp::MAX);
    format!("{then:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_process_are_in_their_order() {
        let names: Vec<String> = (0..2000).map(|_| new_run_id()).collect();
        assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
    }

    #[test]
    fn a_clock_that_is_far_off_is_no_panic() {
        let at = |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap();
        let before = |seconds| SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(seconds)).unwrap();
        let shown = |clock| format!("{:.3}", time_of(clock));
        assert_eq!(shown(at(1_000_000_000)), "2001-09-09T01:46:40.000Z");
        for early in [before(1), before(315_619_200), before(1 << 40)] {
            assert_eq!(shown(early), "1970-01-01T00:00:00.000Z");
        }
        for late in [at(253_402_300_800), at(1 << 60)] {
            assert_eq!(time_of(late), Timestamp::MAX);
        }
    }
}
