//! The adapter of each step of a run, and what every attempt of the step has in common.

use super::files::MovedFiles;
use crate::adapter::redact::Redactor;
use crate::adapter::{Adapter, Bound, Declared, Stop};
use crate::graph::{Graph, Instructions, Output, Step, StepId, ValueId};
use crate::value::Type;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::task::JoinSet;

/// The adapter and the name of each step, by step.
pub struct Bindings {
    pub(super) steps: Arc<[BoundStep]>,
    /// The values that are files and made by steps.
    pub(super) files: Arc<HashSet<ValueId>>,
    /// Where the files are that were given to the run.
    pub(super) moved: MovedFiles,
    /// Removes secrets from reports of attempts.
    pub(super) redactor: Redactor,
    /// The adapters belong to another run, which closes them.
    lent: bool,
    /// Adapters of runs within this one, which it closes.
    nested: Vec<Arc<dyn Adapter>>,
}

pub(super) struct BoundStep {
    pub adapter: Arc<dyn Adapter>,
    pub phase: Arc<str>,
    pub title: Arc<str>,
    pub agent: Option<Arc<str>>,
    pub channel: Option<Arc<str>>,
    pub outputs: Arc<[Declared]>,
    pub instructions: Instructions,
}

impl Bindings {
    /// Binds every step of the graph to its adapter, given in the order of the steps.
    pub fn new(graph: &Graph, adapters: Vec<Arc<dyn Adapter>>) -> Self {
        let bind = |((id, step), adapter): ((StepId, &Step), Arc<dyn Adapter>)| BoundStep {
            adapter,
            phase: step.phase.as_str().into(),
            title: step.title.as_str().into(),
            agent: step.agent.as_deref().map(Arc::from),
            channel: step.channel.as_deref().map(Arc::from),
            outputs: step.outputs.iter().map(|output| declared(graph, id, output)).collect(),
            instructions: step.instructions.clone(),
        };
        let steps = graph.ids().zip(&graph.steps).zip(adapters);
        let (steps, files) = (steps.map(bind).collect(), Arc::new(files(graph)));
        let (redactor, moved) = (Redactor::default(), MovedFiles::default());
        Bindings { steps, files, moved, redactor, lent: false, nested: Vec::new() }
    }

    /// The same adapters for another run, which does not close them. `redactor` is for its values.
    pub fn lend(&self, redactor: Redactor) -> Self {
        let (steps, files) = (self.steps.clone(), self.files.clone());
        let moved = MovedFiles::default();
        Bindings { steps, files, moved, redactor, lent: true, nested: Vec::new() }
    }

    /// Also closes these adapters, of runs within this one.
    pub fn with_nested(self, nested: Vec<Arc<dyn Adapter>>) -> Self {
        Bindings { nested, ..self }
    }

    /// Steps get the files that were given to the run from where they are today.
    pub fn with_moved(self, moved: MovedFiles) -> Self {
        Bindings { moved, ..self }
    }

    /// Removes secrets from reports of attempts.
    pub fn with_redactor(self, redactor: Redactor) -> Self {
        Bindings { redactor, ..self }
    }

    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// What limits how many attempts of a step can usefully run at once.
    pub fn bound(&self, step: StepId) -> Bound {
        self.steps.get(step.index()).map_or(Bound::Elsewhere, |binding| binding.adapter.bound())
    }

    /// Each adapter once: steps may share one.
    fn adapters(&self) -> Vec<&Arc<dyn Adapter>> {
        let mut adapters: Vec<&Arc<dyn Adapter>> = Vec::new();
        for BoundStep { adapter, .. } in self.steps.iter() {
            if !adapters.iter().any(|known| Arc::ptr_eq(known, adapter)) {
                adapters.push(adapter);
            }
        }
        adapters
    }

    /// Ends what a dead runner of this run has left elsewhere.
    ///
    /// # Errors
    /// What could not be ended.
    pub async fn recover(&self, run: &str) -> Result<(), String> {
        for adapter in self.adapters() {
            adapter.recover(run).await?;
        }
        Ok(())
    }

    /// Ends programs that adapters leave running between calls.
    pub(super) async fn close(&self, stop: &Stop) {
        if self.lent {
            return;
        }
        let mut closing = JoinSet::new();
        let mut adapters = self.adapters();
        for nested in &self.nested {
            if !adapters.iter().any(|known| Arc::ptr_eq(known, nested)) {
                adapters.push(nested);
            }
        }
        for adapter in adapters {
            let (adapter, stop) = (adapter.clone(), stop.clone());
            closing.spawn(async move { adapter.close(stop).await });
        }
        while closing.join_next().await.is_some() {}
    }
}

fn declared(graph: &Graph, step: StepId, output: &Output) -> Declared {
    let name = graph.value(output.value).name.clone();
    let ty = graph.made_type(step, output);
    Declared { id: output.value, name, ty, optional: output.optional }
}

/// The values that are files and made by steps, with the elements of lists of them.
fn files(graph: &Graph) -> HashSet<ValueId> {
    let made = graph.steps.iter().flat_map(|step| &step.outputs).map(|output| output.value);
    let is_file = |id: &ValueId| graph.value(*id).ty.as_ref().is_some_and(Type::holds_files);
    let mut files: HashSet<ValueId> = made.filter(is_file).collect();
    for each in graph.steps.iter().filter_map(|step| step.each) {
        if files.contains(&each.list) {
            files.insert(each.element);
        }
    }
    files
}
