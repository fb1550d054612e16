//! The workflow data that a trace needs: the phases in graph order and their dependencies. It comes from a graph, and
//! session files contain it, so that statistics need no document.

use super::row::{Row, RowRef};
use crate::event::Execution;
use crate::graph::{Graph, Kind, StepId};
use crate::spec::Mark;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The steps of a trace and their order, of a graph or as a file has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// Forward steps, each after all that it waits for, then failure handlers and compensations.
    pub phases: Vec<Phase>,
    /// By places in `phases`, sorted.
    pub edges: Vec<Edge>,
    by_name: HashMap<Arc<str>, usize>,
    /// The place of every step of the graph; empty for a layout from a file.
    of_step: Vec<usize>,
}

/// A step of a trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Phase {
    pub name: Arc<str>,
    pub agent: Option<Arc<str>>,
    pub channel: Option<Arc<str>>,
    pub critical: bool,
    pub optional: bool,
    /// A failure handler or a compensation.
    pub handler: bool,
    /// Whether it compensates another step.
    pub undoes: bool,
    /// Whether it has a compensation or is irreversible. Not in session files, whose summary has the items' ends.
    pub undoable: bool,
    pub irreversible: bool,
    /// Runs for each element of a list.
    pub each: bool,
    /// Runs once after all items, so that its rows have no item.
    pub once: bool,
    /// A step of a document that a step runs; only in session files.
    pub nested: bool,
    /// The graph's step; `None` for a layout from a file.
    pub step: Option<StepId>,
    /// The phases that must end before this one, and whether they must succeed.
    pub needs: Vec<(usize, bool)>,
    /// The columns that its agent reports; only in session files.
    pub fields: Vec<Arc<str>>,
}

/// A step that another one waits for, by their places.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    /// `None` for an order without data.
    pub value: Option<Arc<str>>,
}

impl Layout {
    pub fn of(graph: &Graph) -> Layout {
        let order = graph.order.iter().copied().chain(graph.handlers()).chain(graph.compensations());
        let order: Vec<StepId> = order.collect();
        let mut of_step = vec![0; graph.steps.len()];
        for (place, id) in order.iter().enumerate() {
            of_step[id.index()] = place;
        }
        // A step behind a loop waits for its end; the rows of steps for all items are not those of an item.
        let behind = |id: StepId| {
            let once = graph.step(id).once;
            graph.exits(id).into_iter().filter(move |exit| graph.step(*exit).once == once)
        };
        let phases = order.iter().map(|id| {
            let step = graph.step(*id);
            Phase {
                name: Arc::from(&*step.phase),
                agent: step.agent.as_deref().map(Arc::from),
                channel: step.channel.as_deref().map(Arc::from),
                critical: step.mark == Some(Mark::Critical),
                optional: step.mark == Some(Mark::Optional),
                handler: step.kind != Kind::Forward,
                undoes: step.kind == Kind::Compensation,
                undoable: step.compensate.is_some(),
                irreversible: step.irreversible,
                each: step.each.is_some(),
                once: step.once,
                nested: false,
                step: Some(*id),
                needs: step
                    .needs
                    .iter()
                    .map(|need| (of_step[need.step.index()], need.data))
                    .chain(behind(*id).map(|exit| (of_step[exit.index()], false)))
                    .collect(),
                fields: Vec::new(),
            }
        });
        let phases = phases.collect();
        let edges = graph.edges.iter().map(|edge| Edge {
            from: of_step[edge.from.index()],
            to: of_step[edge.to.index()],
            value: edge.value.map(|value| Arc::from(&*graph.value(value).name)),
        });
        let after_loops = order.iter().flat_map(|id| behind(*id).map(|exit| (exit, *id)));
        let after_loops = after_loops.map(|(from, to)| Edge {
            from: of_step[from.index()],
            to: of_step[to.index()],
            value: None,
        });
        let edges = edges.chain(after_loops).collect();
        let mut layout = Layout::new(phases, edges);
        layout.of_step = of_step;
        layout
    }

    pub(super) fn new(phases: Vec<Phase>, mut edges: Vec<Edge>) -> Layout {
        edges.sort();
        let by_name = phases.iter().enumerate().map(|(place, phase)| (Arc::clone(&phase.name), place));
        Layout { by_name: by_name.collect(), phases, edges, of_step: Vec::new() }
    }

    /// The place of a phase in [`Layout::phases`].
    pub fn place(&self, phase: &str) -> Option<usize> {
        self.by_name.get(phase).copied()
    }

    /// A number by which phases can be sorted: those of documents come before the step that ran them.
    pub fn rank(&self, phase: &str) -> Option<usize> {
        if let Some(place) = self.place(phase) {
            return Some(2 * place + 1);
        }
        let ways = phase.match_indices('/').map(|(end, _)| &phase[..end]);
        ways.rev().find_map(|outer| self.place(outer)).map(|place| 2 * place)
    }

    /// The place of a step, if the layout comes from its graph.
    pub fn place_of(&self, step: StepId) -> Option<usize> {
        self.of_step.get(step.index()).copied()
    }

    /// Identifies an item's execution, over all its repetitions: its phase's place, and a hash of the row's label if
    /// the phase runs for each element of a list or compensates.
    pub fn execution(&self, row: &RowRef<'_>) -> Option<(usize, u64)> {
        let place = row.place(self)?;
        // A compensation may serve several steps, and each element of a list.
        let each = self.phases.get(place).is_some_and(|phase| phase.each || phase.undoes);
        let element = row.input.as_deref().filter(|_| each).map_or(0, |label| {
            let mut hasher = std::hash::DefaultHasher::new();
            label.hash(&mut hasher);
            hasher.finish()
        });
        Some((place, element))
    }

    /// Whether a row belongs to the run and not to one of its items.
    pub fn is_of_run(&self, row: &RowRef<'_>) -> bool {
        row.place(self).and_then(|place| self.phases.get(place)).is_some_and(|phase| phase.once)
    }

    /// The row that records an execution of the item with this key; `None` for a step of another graph.
    pub fn row(&self, key: &Arc<str>, execution: &Execution) -> Option<Row> {
        let phase = self.phases.get(self.place_of(execution.step)?)?;
        let recorded = execution.recorded.as_deref();
        let item = recorded.and_then(|recorded| recorded.item.clone());
        Some(Row {
            phase: Arc::clone(&phase.name),
            agent: recorded.map_or(&phase.agent, |recorded| &recorded.agent).clone(),
            channel: recorded.map_or(&phase.channel, |recorded| &recorded.channel).clone(),
            input: execution.input.clone(),
            output: execution.output.clone(),
            duration_ms: execution.duration_ms,
            status: execution.status,
            tokens_used: execution.tokens_used,
            columns: execution.columns.clone(),
            item: item.or_else(|| (!phase.once).then(|| Arc::clone(key))),
            attempt: execution.attempt,
            started_ms: execution.started_ms,
            error: execution.error.clone(),
            spelled: recorded.map(|recorded| recorded.spelled.clone()).unwrap_or_default(),
        })
    }

    /// Whether two runs are of the same workflow, whatever columns their agents reported.
    pub fn same(&self, other: &Layout) -> bool {
        self.own_names() == other.own_names() && self.own_edges() == other.own_edges()
    }

    /// The phases without those of documents that steps run, which depend on what the runs did.
    fn own_names(&self) -> Vec<&str> {
        self.phases.iter().filter(|phase| !phase.nested).map(|phase| &*phase.name).collect()
    }

    /// The edges by the places of their phases among [`Layout::own_names`].
    fn own_edges(&self) -> Vec<(usize, usize, Option<&str>)> {
        let mut own = 0;
        let places = self.phases.iter().map(|phase| {
            own += usize::from(!phase.nested);
            own
        });
        let places: Vec<usize> = places.collect();
        let place = |at: usize| places.get(at).copied().unwrap_or_default();
        let edges = self.edges.iter();
        edges.map(|edge| (place(edge.from), place(edge.to), edge.value.as_deref())).collect()
    }
}
