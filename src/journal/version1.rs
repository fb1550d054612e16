//! Events in the form of version 1 of the journal: one flat list of kinds. They are only read; a resumed run is stored
//! in the current form, also after records of this one.

use crate::event::{
    Answer, AttemptEvent, DrainReason, Event, Execution, ItemError, ItemEvent, ItemId, ItemState, Millis,
    NotRun, RunEvent, Settlement, StepEvent, StepId, StepPath, StopReason, Values,
};
use crate::value::restore;
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
struct FlatLine {
    event: FlatEvent,
}

/// A line each: a table of the kinds.
#[rustfmt::skip]
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum FlatEvent {
    ItemAdmitted { item: ItemId, key: Arc<str>, #[serde(deserialize_with = "restore::pairs")] inputs: Values, at: Millis },
    AttemptStarted { item: ItemId, step: StepPath, attempt: u32, at: Millis },
    AttemptStopped { item: ItemId, step: StepPath, attempt: u32, why: StopReason, at: Millis },
    AttemptRepeated { item: ItemId, step: StepPath, attempt: u32, at: Millis },
    AttemptFinished { item: ItemId, step: StepPath, attempt: u32, result: Answer, at: Millis },
    RetryScheduled { item: ItemId, step: StepPath, attempt: u32, due: Millis, at: Millis },
    RetryDue { item: ItemId, step: StepPath, attempt: u32, at: Millis },
    BranchTaken { item: ItemId, step: StepId, chain: u32, arm: Option<u32>, at: Millis },
    ConditionHeld { item: ItemId, step: StepId, at: Millis },
    StepEnded { item: ItemId, execution: Execution },
    ElementsEnded { item: ItemId, step: StepId, at: Millis },
    ItemDeadlinePassed { item: ItemId, waited: Option<String>, at: Millis },
    CompensationBegan { item: ItemId, undoes: StepId, at: Millis },
    ItemFailed { item: ItemId, at: Millis },
    ItemPutBack { item: ItemId, at: Millis },
    ItemRetried { item: ItemId, key: Arc<str>, #[serde(default, deserialize_with = "restore::some_pairs")] inputs: Option<Values>, at: Millis },
    ItemResolved { item: ItemId, key: Arc<str>, note: String, at: Millis },
    ItemSettled { item: ItemId, key: Arc<str>, state: ItemState, error: Option<ItemError>, #[serde(default)] standing: Vec<ItemError>, #[serde(default)] left_out: Vec<NotRun>, at: Millis },
    ItemsExhausted { at: Millis },
    RunStepsBegan { at: Millis },
    RunStepsEnded { state: ItemState, error: Option<ItemError>, #[serde(default)] standing: Vec<ItemError>, #[serde(default)] left_out: Vec<NotRun>, at: Millis },
    RunDrained { why: DrainReason, at: Millis },
    RunStopped { why: StopReason, at: Millis },
}

/// The event in a record's line.
///
/// # Errors
/// When it is not an event of this form.
pub(super) fn event(line: &str) -> serde_json::Result<Event> {
    Ok(serde_json::from_str::<FlatLine>(line)?.event.into())
}

#[rustfmt::skip]
impl From<FlatEvent> for Event {
    fn from(event: FlatEvent) -> Event {
        use FlatEvent::*;
        let end = |state, error, uncompensated, not_run| Settlement { state, error, uncompensated, not_run };
        match event {
            ItemAdmitted { item, key, inputs, at } => ItemEvent::Admitted { key, inputs }.of(item, at),
            AttemptStarted { item, step, attempt, at } => AttemptEvent::Started.of(item, step, attempt, at),
            AttemptStopped { item, step, attempt, why, at } => AttemptEvent::Stopped(why).of(item, step, attempt, at),
            AttemptRepeated { item, step, attempt, at } => AttemptEvent::Repeated.of(item, step, attempt, at),
            AttemptFinished { item, step, attempt, result, at } => AttemptEvent::Finished(result).of(item, step, attempt, at),
            RetryScheduled { item, step, attempt, due, at } => AttemptEvent::RetryScheduled { due }.of(item, step, attempt, at),
            RetryDue { item, step, attempt, at } => AttemptEvent::RetryDue.of(item, step, attempt, at),
            BranchTaken { item, step, chain, arm, at } => StepEvent::BranchTaken { step, chain, arm }.of(item, at),
            ConditionHeld { item, step, at } => StepEvent::ConditionHeld(step).of(item, at),
            StepEnded { item, execution } => { let at = execution.ended_ms(); StepEvent::Ended(execution).of(item, at) }
            ElementsEnded { item, step, at } => StepEvent::ElementsEnded(step).of(item, at),
            ItemDeadlinePassed { item, waited, at } => ItemEvent::DeadlinePassed { waited }.of(item, at),
            CompensationBegan { item, undoes, at } => ItemEvent::CompensationBegan(undoes).of(item, at),
            ItemFailed { item, at } => ItemEvent::Failed.of(item, at),
            ItemPutBack { item, at } => ItemEvent::Requeued.of(item, at),
            ItemRetried { item, key, inputs, at } => ItemEvent::Retried { key, inputs, attempt: None }.of(item, at),
            ItemResolved { item, key, note, at } => ItemEvent::Resolved { key, note }.of(item, at),
            ItemSettled { item, key, state, error, standing, left_out, at } => ItemEvent::Settled { key, end: end(state, error, standing, left_out) }.of(item, at),
            ItemsExhausted { at } => RunEvent::ItemsExhausted.at(at),
            RunStepsBegan { at } => RunEvent::StepsBegan.at(at),
            RunStepsEnded { state, error, standing, left_out, at } => RunEvent::StepsEnded(end(state, error, standing, left_out)).at(at),
            RunDrained { why, at } => RunEvent::Drained(why).at(at),
            RunStopped { why, at } => RunEvent::Stopped(why).at(at),
        }
    }
}
