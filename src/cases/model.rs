//! What a case says: inputs, answers, decisions and events, and what is expected.

use crate::diag::Span;
use crate::event::{Answer, ItemState, Millis, Status, Values};
use crate::graph::{GateId, StateId, StepId, ValueId};
use crate::value::Value;
use std::collections::BTreeMap;

/// One item of a document with all that comes from outside.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    /// Of its name.
    pub span: Span,
    /// The item's key.
    pub key: String,
    pub inputs: Values,
    /// By step: the answers of its attempts, in the order in which they start; the last one repeats.
    pub answers: BTreeMap<StepId, Vec<CaseAnswer>>,
    /// By gate: what is decided each time, in order; the last one repeats.
    pub gates: BTreeMap<GateId, Vec<CaseDecision>>,
    pub events: Vec<CaseEvent>,
    /// When nothing more is waited for.
    pub until: Option<Millis>,
    /// When the run is cancelled.
    pub cancel: Option<Millis>,
    pub expect: CaseExpectations,
}

/// What an agent answers in a case.
#[derive(Clone, Debug)]
pub struct CaseAnswer {
    pub answer: Answer,
    /// How long the attempt takes.
    pub takes: Millis,
}

/// What a person decides in a case.
#[derive(Clone, Debug)]
pub struct CaseDecision {
    pub approved: bool,
    /// The name of the person; by default the one that the gate asks for.
    pub by: Option<String>,
    pub note: Option<String>,
    /// After the item has reached the gate.
    pub after: Millis,
}

/// An event that comes from outside.
#[derive(Clone, Debug)]
pub struct CaseEvent {
    pub kind: String,
    pub data: Value,
    /// By default the key of the item.
    pub subject: Option<String>,
    /// Since the run began.
    pub after: Millis,
    pub id: Option<String>,
}

/// What is expected, each with its place.
#[derive(Clone, Debug, Default)]
pub struct CaseExpectations {
    pub state: Option<(CaseEnd, Span)>,
    /// The step whose failure decided the item's fate.
    pub failed: Option<(StepId, Span)>,
    /// A part of the reason.
    pub error: Option<(String, Span)>,
    /// The item's state in the document's diagram.
    pub lifecycle: Option<(StateId, Span)>,
    pub steps: Vec<(StepId, ExpectedEnds, Span)>,
    pub values: Vec<(ValueId, Value, Span)>,
    pub attempts: Vec<(StepId, u64, Span)>,
    /// The compensations that ran, in order.
    pub compensations: Option<(Vec<StepId>, Span)>,
    /// The types of the events that steps published, in order.
    pub published: Option<(Vec<String>, Span)>,
}

/// The ends of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedEnds {
    /// Each execution has this one.
    All(StepEnd),
    /// The executions have these, in order.
    Each(Vec<StepEnd>),
}

/// How an execution of a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEnd {
    Row(Status),
    /// The item waits there.
    Waiting,
    NotRun,
}

impl StepEnd {
    pub fn all() -> impl Iterator<Item = StepEnd> {
        Status::ALL.into_iter().map(StepEnd::Row).chain([StepEnd::Waiting, StepEnd::NotRun])
    }

    pub fn name(self) -> &'static str {
        match self {
            StepEnd::Row(status) => status.name(),
            StepEnd::Waiting => "waiting",
            StepEnd::NotRun => "not_run",
        }
    }
}

/// How a case ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseEnd {
    Settled(ItemState),
    /// For a person or an event.
    Waiting,
    /// Its time was over while attempts were running or waited for their time.
    InFlight,
}

impl CaseEnd {
    pub fn all() -> impl Iterator<Item = CaseEnd> {
        ItemState::ALL.into_iter().map(CaseEnd::Settled).chain([CaseEnd::Waiting, CaseEnd::InFlight])
    }

    pub fn name(self) -> &'static str {
        match self {
            CaseEnd::Settled(state) => state.name(),
            CaseEnd::Waiting => "waiting",
            CaseEnd::InFlight => "in_flight",
        }
    }
}
