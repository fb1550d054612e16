//! The documents that one run has followed, the newest last, and the translation of events from an earlier one to the
//! newest. Does not know whether a document may replace another.

use super::declared::Declared;
use super::error::{Error, ErrorKind};
use super::options::RunOptions;
use crate::diag::Source;
use crate::event::{
    AttemptEvent, Event, EventKind, ItemEvent, RunEvent, Settlement, StepEvent, StepId, StepPath, ValueId,
    Values,
};
use crate::graph::{self, Gate, GateId, Graph, Repeat, RepeatId};
use crate::journal::{Header, Records, Revision, Spot, StepDefinition, Unreadable};
use crate::spec;
use std::collections::HashMap;
use std::mem;

/// The documents in the journal of a run.
pub struct Documents {
    /// The header, with the newest document.
    pub header: Header,
    /// The documents before it.
    earlier: Vec<Revision>,
}

impl Documents {
    /// The document with which a run began.
    pub fn first(header: Header) -> Documents {
        Documents { header, earlier: Vec::new() }
    }

    /// Reads the documents of a run.
    ///
    /// # Errors
    /// When the journal is damaged.
    pub fn of(header: Header, records: &Records) -> Result<Documents, Unreadable> {
        let mut documents = Documents::first(header);
        records.revisions()?.into_iter().for_each(|newer| documents.push(newer));
        Ok(documents)
    }

    /// Makes this the newest document.
    pub fn push(&mut self, newest: Revision) {
        let document = mem::replace(&mut self.header.document, newest.document);
        let definition = mem::replace(&mut self.header.definition, newest.definition);
        self.earlier.push(Revision { document, definition });
    }

    /// The graph of the newest document, for the part that is run.
    ///
    /// # Errors
    /// When this version of the program gives the document another meaning than the version that started the run.
    pub fn graph(&self, options: &RunOptions) -> Result<Graph, Error> {
        let Header { document, definition, .. } = &self.header;
        let newest = Revision { document: document.clone(), definition: definition.clone() };
        self.built(options, &newest)
    }

    /// For each document, the newest last, the translation of its ids to the newest graph.
    ///
    /// # Errors
    /// As [`graph`](Self::graph), for an earlier document.
    pub fn numbers(&self, options: &RunOptions, newest: &Graph) -> Result<Vec<Renumbering>, Error> {
        let of = |earlier: &Revision| Ok(Renumbering::between(&self.built(options, earlier)?, newest));
        let mut numbers = self.earlier.iter().map(of).collect::<Result<Vec<Renumbering>, Error>>()?;
        numbers.push(Renumbering::between(newest, newest));
        Ok(numbers)
    }

    fn built(&self, options: &RunOptions, one: &Revision) -> Result<Graph, Error> {
        if one.document.text.len() > spec::LARGEST {
            return Err(another(&self.header));
        }
        let source = Source::new(one.document.path.clone(), one.document.text.clone());
        let (spec, _) = spec::parse(&source);
        let graph = graph::build(&source, &spec).0.ok_or_else(|| another(&self.header))?;
        let mut graph = graph;
        graph.leave_uncompensated(&options.uncompensated);
        graph.restore_events(&options.inner_events);
        let graph = options.part(graph).map_err(|_| another(&self.header))?.graph;
        let phases = one.definition.iter().map(|step| &step.phase);
        if !phases.eq(graph.steps.iter().map(|step| &step.phase)) {
            return Err(another(&self.header));
        }
        Ok(graph)
    }
}

/// The graph of a run by its header.
///
/// # Errors
/// As for [`Documents::graph`], or when a step has another meaning.
#[cfg(feature = "restate")]
pub fn graph_of(header: &Header, options: &RunOptions) -> Result<Graph, Error> {
    let graph = Documents::first(header.clone()).graph(options)?;
    if header.definition == definition(&graph) { Ok(graph) } else { Err(another(header)) }
}

/// The meaning of each step, without prose, as a hash.
pub fn definition(graph: &Graph) -> Vec<StepDefinition> {
    let hash = |id| blake3::hash(graph.meaning(id).as_bytes()).to_hex()[..32].to_owned();
    graph.ids().map(|id| StepDefinition { phase: graph.step(id).phase.clone(), hash: hash(id) }).collect()
}

/// The error for a document whose meaning differs from the run's.
pub fn another(header: &Header) -> Error {
    let message =
        format!("this version reads the document of run {} differently than its own did", header.run);
    Error::new(ErrorKind::Journal, message).help("read it with the version that wrote it")
}

/// The error for an event with a step or value that the document does not have.
pub fn unknown(spot: Spot<'_>) -> Unreadable {
    spot.damaged("an event names a step or a value that the document does not have")
}

/// Translates the ids of one document to another; steps are matched by their phases, values by their names.
pub struct Renumbering {
    steps: Vec<Option<StepId>>,
    gates: Vec<Option<GateId>>,
    repeats: Vec<Option<RepeatId>>,
    values: Vec<Option<ValueId>>,
    /// What values are by the first.
    pub declared: Declared,
}

impl Renumbering {
    pub fn between(old: &Graph, new: &Graph) -> Renumbering {
        let named: HashMap<&str, ValueId> =
            new.values.iter().zip(0..).map(|(value, id)| (value.name.as_str(), ValueId(id))).collect();
        let gate = |gate: &Gate| {
            let name = old.gate_name(gate);
            new.gates
                .iter()
                .zip(0..)
                .find(|(other, _)| new.gate_name(other) == name)
                .map(|(_, id)| GateId(id))
        };
        let repeat = |repeat: &Repeat| {
            let name = old.repeat_name(repeat);
            let same = |other: &Repeat| new.repeat_name(other) == name;
            new.repeats.iter().position(same).map(|id| RepeatId(id as u32))
        };
        Renumbering {
            repeats: old.repeats.iter().map(repeat).collect(),
            gates: old.gates.iter().map(gate).collect(),
            steps: old.steps.iter().map(|step| new.by_phase(&step.phase)).collect(),
            values: old.values.iter().map(|value| named.get(value.name.as_str()).copied()).collect(),
            declared: Declared::by(old),
        }
    }

    /// Replaces the ids of an event. Returns false if the event has steps or values that do not exist; such an event
    /// is checked by its consumer.
    pub fn translate(&self, event: &mut Event, new: &Graph) -> bool {
        match &mut event.kind {
            EventKind::Run(RunEvent::StepsEnded(end)) => self.settlement(end),
            EventKind::Run(RunEvent::Decided { gate, .. }) => self.gate(gate),
            EventKind::Run(_) => true,
            EventKind::Item(_, change) => match change {
                ItemEvent::Admitted { inputs, .. } | ItemEvent::Retried { inputs: Some(inputs), .. } => {
                    self.inputs(inputs)
                }
                ItemEvent::CompensationBegan(step) => self.step(step) && new.step(*step).compensate.is_some(),
                ItemEvent::Settled { end, .. } => self.settlement(end),
                ItemEvent::GateReached { gate, .. }
                | ItemEvent::Decided { gate, .. }
                | ItemEvent::GateExpired(gate) => self.gate(gate),
                ItemEvent::RoundBegan { repeat, .. }
                | ItemEvent::RoundScheduled { repeat, .. }
                | ItemEvent::RepeatEnded(repeat) => self.repeat(repeat),
                ItemEvent::DeadlinePassed { .. }
                | ItemEvent::Failed
                | ItemEvent::Requeued
                | ItemEvent::Retried { inputs: None, .. }
                | ItemEvent::Resolved { .. }
                | ItemEvent::Revoked { .. } => true,
            },
            EventKind::Step(_, change) => match change {
                StepEvent::ConditionHeld(step) | StepEvent::ElementsEnded(step) => self.step(step),
                StepEvent::BranchTaken { step, chain, .. } => {
                    self.step(step) && (*chain as usize) < new.step(*step).chains.len()
                }
                StepEvent::Ended(execution) => self.step(&mut execution.step),
                StepEvent::AwaitBegan { step, .. }
                | StepEvent::EventTaken { step, .. }
                | StepEvent::AwaitExpired(step) => self.step(step) && new.step(*step).awaits.is_some(),
            },
            EventKind::Attempt(_, step, _, AttemptEvent::Finished(Ok(reply))) => {
                self.path(step) && self.values(&mut reply.outputs)
            }
            EventKind::Attempt(_, step, ..) => self.path(step),
        }
    }

    fn settlement(&self, end: &mut Settlement) -> bool {
        let errors = end.error.iter_mut().chain(&mut end.uncompensated);
        let known = errors.filter_map(|error| error.step.as_mut()).all(|step| self.step(step));
        // A step that did not run may be missing in the newest document.
        end.not_run.retain_mut(|one| self.step(&mut one.step));
        known
    }

    /// The same for an execution, which stays unchanged if the step does not exist.
    pub fn path(&self, path: &mut StepPath) -> bool {
        self.step(&mut path.step)
    }

    fn step(&self, id: &mut StepId) -> bool {
        let new = self.steps.get(id.index()).copied().flatten();
        new.inspect(|new| *id = *new).is_some()
    }

    fn gate(&self, id: &mut GateId) -> bool {
        let new = self.gates.get(id.index()).copied().flatten();
        new.inspect(|new| *id = *new).is_some()
    }

    fn repeat(&self, id: &mut RepeatId) -> bool {
        let new = self.repeats.get(id.index()).copied().flatten();
        new.inspect(|new| *id = *new).is_some()
    }

    fn values(&self, values: &mut Values) -> bool {
        values.iter_mut().all(|(id, _)| {
            let new = self.values.get(id.index()).copied().flatten();
            new.inspect(|new| *id = *new).is_some()
        })
    }

    /// Leaves out inputs that no step takes any more.
    fn inputs(&self, inputs: &mut Values) -> bool {
        let known = inputs.iter().all(|(id, _)| id.index() < self.values.len());
        inputs.retain(|(id, _)| self.values.get(id.index()).is_some_and(Option::is_some));
        known && self.values(inputs)
    }
}
