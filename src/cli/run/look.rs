//! A kept run that is only looked at: what its events speak of. Takes no lock and changes nothing, so it does not
//! matter whether a runner has the run.

use super::generations::{self, Generations, Numbers, another};
use super::inputs;
use super::keep::{self, Options, unreadable};
use super::sequence::{self, Sequence};
use crate::diag::render::visible;
use crate::event::{Event, StepPath};
use crate::graph::Graph;
use crate::journal::{Header, Record, Records, Unreadable};
use crate::session::Head;
use crate::spec::Tolerance;
use crate::value::Object;
use std::sync::Arc;

/// What a run is by its newest document.
pub struct KeptRun {
    pub header: Header,
    /// The steps that were to run, in terms of which its events speak.
    pub graph: Arc<Graph>,
    /// For each document that it has gone by.
    numbers: Vec<Numbers>,
    /// How many items it began with; none where its journal does not say.
    pub total: Option<u64>,
    pub tolerate: Tolerance,
    /// The inputs that are the same for all items.
    pub given: Object,
}

impl KeptRun {
    /// # Errors
    /// Stops where this version reads a document or the options in another way than the run's own did.
    pub fn of(header: Header, records: &Records) -> anyhow::Result<KeptRun> {
        let Options { args, .. } = keep::options(&header)?;
        let generations = Generations::of(header, records)?;
        let graph = generations.graph(&args)?;
        let numbers = generations.numbers(&args, &graph)?;
        let header = generations.header;
        Ok(KeptRun {
            total: inputs::total(&header.items),
            tolerate: args.tolerate.unwrap_or(graph.settings.tolerate),
            graph: Arc::new(graph),
            numbers,
            given: args.given.unwrap_or_default(),
            header,
        })
    }

    /// Shows all events in their order, in terms of the newest document. Memory holds a few at a time.
    ///
    /// # Errors
    /// What `see` says, and stops where the journal is damaged.
    pub fn events(
        &self,
        records: Records,
        mut see: impl FnMut(&Event) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut numbers = self.numbers.iter();
        let mut current = numbers.next();
        let mut sequence = Sequence::default();
        let done = records.each_at(|record, spot| match record {
            Record::Event(mut event) => {
                let current = current.ok_or_else(|| another(&self.header))?;
                if !current.translate(&mut event, &self.graph) {
                    return Err(generations::unknown(spot).into());
                }
                sequence.take(&event, spot)?;
                see(&event).map_err(|error| sequence::judged(error, &event, spot))
            }
            Record::Revised(_) => {
                current = numbers.next();
                Ok(())
            }
            Record::Spawned(_) | Record::Asked(_) => Ok(()),
        });
        done.map_err(damaged)
    }

    /// Its newest document.
    pub fn text(&self) -> Vec<u8> {
        self.header.document.text.clone().into_bytes()
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
