//! A kept run that is only looked at: what its events speak of. Takes no lock and changes nothing, so it does not
//! matter whether a runner has the run.

use super::super::exit::{Exit, Stop};
use super::keep::{self, Options, unreadable};
use super::{inputs, part};
use crate::diag::Source;
use crate::diag::render::visible;
use crate::event::{Event, Execution, ItemError, StepId, StepPath, Values};
use crate::graph::{self, Graph};
use crate::journal::{Header, Record, Records, Unreadable};
use crate::session::Head;
use crate::spec::{self, Tolerance};
use std::sync::Arc;

/// What a run was when it began.
pub struct KeptRun {
    pub header: Header,
    /// The steps that were to run, in terms of which its events speak.
    pub graph: Arc<Graph>,
    /// How many items it began with; none where its journal does not say.
    pub total: Option<u64>,
    pub tolerate: Tolerance,
}

impl KeptRun {
    /// # Errors
    /// Stops where this version reads the document or the options in another way than the run's own did.
    pub fn of(header: Header) -> anyhow::Result<KeptRun> {
        let Options { args, .. } = keep::options(&header)?;
        let source = Source::new(header.document.path.clone(), header.document.text.clone());
        let (spec, _) = spec::parse(&source);
        let graph = match graph::build(&source, &spec).0 {
            Some(graph) => part::choose(&args, graph)?.graph,
            None => return Err(another(&header)),
        };
        let phases = header.definition.iter().map(|step| &step.phase);
        if !phases.eq(graph.steps.iter().map(|step| &step.phase)) {
            return Err(another(&header));
        }
        let tolerate = args.tolerate.unwrap_or(graph.settings.tolerate);
        Ok(KeptRun { total: inputs::total(&header.items), graph: Arc::new(graph), tolerate, header })
    }

    /// Shows all events in their order. Memory holds a few at a time.
    ///
    /// # Errors
    /// What `see` says, and stops where the journal is damaged.
    pub fn events(
        &self,
        records: Records,
        mut see: impl FnMut(&Event) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let done = records.each(|record| match record {
            Record::Event(event) if !fits(&self.graph, &event) => Err(another(&self.header)),
            Record::Event(event) => see(&event),
            Record::Spawned(_) => Ok(()),
        });
        done.map_err(damaged)
    }

    /// What its session file says of it.
    pub fn head(&self, complete: bool) -> Head {
        Head {
            run: self.header.run.clone(),
            workflow: self.graph.title.clone(),
            source: self.header.document.path.clone(),
            started: self.header.started.clone(),
            complete,
        }
    }
}

/// A step's title, with the place of its element: `Ship[2]`.
pub fn title(path: StepPath, graph: &Graph) -> String {
    let title = visible(&graph.step(path.step).title);
    path.element.map_or(title.clone(), |element| format!("{title}[{element}]"))
}

/// An error in the midst of a journal, with the exit that it means.
pub(super) fn damaged(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Unreadable>() {
        Ok(why) => unreadable(why),
        Err(error) => error,
    }
}

pub(super) fn another(header: &Header) -> anyhow::Error {
    let message = format!("this version does not read the document of the run {} as its own did", header.run);
    Stop::new(Exit::Journal, message).help("look at it with the version that made it").into()
}

/// Whether an event speaks of steps and values that there are: whoever takes it looks them up.
pub(super) fn fits(graph: &Graph, event: &Event) -> bool {
    let step = |id: StepId| id.index() < graph.steps.len();
    let values = |values: &Values| values.iter().all(|(id, _)| id.index() < graph.values.len());
    let error = |error: &Option<ItemError>| error.as_ref().and_then(|error| error.step).is_none_or(step);
    match event {
        Event::ItemAdmitted { inputs, .. } => values(inputs),
        Event::AttemptFinished { step: path, result, .. } => {
            step(path.step) && result.as_ref().map_or(true, |reply| values(&reply.outputs))
        }
        Event::AttemptStarted { step: path, .. }
        | Event::AttemptStopped { step: path, .. }
        | Event::RetryScheduled { step: path, .. }
        | Event::RetryDue { step: path, .. } => step(path.step),
        Event::BranchTaken { step: id, chain, .. } => {
            step(*id) && (*chain as usize) < graph.step(*id).chains.len()
        }
        Event::ConditionHeld { step: id, .. } | Event::ElementsEnded { step: id, .. } => step(*id),
        Event::StepEnded { execution: Execution { step: id, .. }, .. } => step(*id),
        Event::CompensationBegan { undoes, .. } => step(*undoes) && graph.step(*undoes).compensate.is_some(),
        Event::ItemSettled { error: why, standing, .. } => {
            error(why) && standing.iter().all(|error| error.step.is_none_or(step))
        }
        Event::RunStepsEnded { error: why, .. } => error(why),
        Event::ItemDeadlinePassed { .. }
        | Event::ItemFailed { .. }
        | Event::ItemPutBack { .. }
        | Event::ItemRetried { .. }
        | Event::ItemResolved { .. }
        | Event::ItemsExhausted { .. }
        | Event::RunStepsBegan { .. }
        | Event::RunDrained { .. }
        | Event::RunStopped { .. } => true,
    }
}
