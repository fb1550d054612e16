//! The rail beside the document: a lane for each branch, from step to step in the order of the document.

use crate::graph::{Graph, StepId};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};

/// The most lanes; further branches share the last one.
const LANES: usize = 6;

/// A line of the rail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RailEdge {
    /// Steps by index: what runs first, then what waits for it.
    pub from: usize,
    pub to: usize,
    /// The lane between them, from 0.
    pub lane: usize,
    /// From a step to the one that compensates it.
    pub compensates: bool,
}

/// The lane of each step, and the lines between them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rail {
    pub lanes: Vec<usize>,
    pub edges: Vec<RailEdge>,
}

impl Rail {
    pub fn of(graph: &Graph) -> Rail {
        let count = graph.steps.len();
        let mut edges: Vec<RailEdge> = direct(graph)
            .into_iter()
            .map(|(from, to)| RailEdge { from, to, lane: 0, compensates: false })
            .collect();
        for (from, step) in graph.steps.iter().enumerate() {
            let by = step.compensate.map(|by| by.index());
            edges.extend(by.map(|to| RailEdge { from, to, lane: 0, compensates: true }));
        }
        edges.sort_by_key(|edge| (edge.compensates, edge.from.min(edge.to), edge.from.max(edge.to)));
        let mut lanes = Vec::with_capacity(count);
        // For each lane the edge that occupies it.
        let mut open: Vec<Option<usize>> = Vec::new();
        for step in 0..count {
            let ends = |edge: &RailEdge| edge.from.max(edge.to) == step;
            let own = open.iter().position(|lane| lane.is_some_and(|edge| ends(&edges[edge])));
            for lane in &mut open {
                if lane.is_some_and(|edge| ends(&edges[edge])) {
                    *lane = None;
                }
            }
            let own = own.unwrap_or_else(|| free(&mut open, 0));
            lanes.push(own.min(LANES - 1));
            let begins = |edge: &RailEdge| edge.from.min(edge.to) == step && edge.from != edge.to;
            for (index, edge) in edges.iter_mut().enumerate().filter(|(_, edge)| begins(edge)) {
                // Compensations are drawn beside all others.
                let lane = if edge.compensates { free(&mut open, own + 1) } else { free(&mut open, own) };
                open[lane] = Some(index);
                edge.lane = lane.min(LANES - 1);
            }
        }
        Rail { lanes, edges }
    }
}

/// The first free lane from this one on, else before it.
fn free(open: &mut Vec<Option<usize>>, from: usize) -> usize {
    let found = (from..open.len()).find(|lane| open[*lane].is_none());
    found.or_else(|| (0..from.min(open.len())).find(|lane| open[*lane].is_none())).unwrap_or_else(|| {
        open.push(None);
        open.len() - 1
    })
}

/// The needs of each step that do not follow from its others.
fn direct(graph: &Graph) -> BTreeSet<(usize, usize)> {
    let mut before: HashMap<StepId, BTreeSet<StepId>> = HashMap::new();
    let mut edges = BTreeSet::new();
    for id in &graph.order {
        let needs = &graph.step(*id).needs;
        let mut all = BTreeSet::new();
        for need in needs {
            all.extend(before.get(&need.step).into_iter().flatten().copied());
        }
        for need in needs.iter().filter(|need| !all.contains(&need.step)) {
            edges.insert((need.step.index(), id.index()));
        }
        all.extend(needs.iter().map(|need| need.step));
        before.insert(*id, all);
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Source;

    fn rail(document: &str) -> Rail {
        let source = Source::new("", document);
        let (spec, _) = crate::spec::parse(&source);
        Rail::of(&crate::graph::build(&source, &spec).0.unwrap())
    }

    #[test]
    fn branches_have_lanes_of_their_own_and_come_together_again() {
        let rail = rail("## A\nx → a\n\n## B\na → b\n\n## C\na → c\n\n## D\nb, c → d\n");
        let edge = |from, to, lane| RailEdge { from, to, lane, compensates: false };
        assert_eq!(rail.lanes, [0, 0, 1, 0]);
        assert_eq!(rail.edges, [edge(0, 1, 0), edge(0, 2, 1), edge(1, 3, 0), edge(2, 3, 1)]);
    }

    #[test]
    fn an_order_that_others_imply_has_no_line() {
        let rail = rail("## A\nx → a\n\n## B\na → b\n\n## C\na, b → c\n");
        assert_eq!(rail.edges.iter().map(|edge| (edge.from, edge.to)).collect::<Vec<_>>(), [(0, 1), (1, 2)]);
    }

    #[test]
    fn there_are_only_so_many_lanes() {
        let steps: String = (0..20).map(|step| format!("## S{step}\na → s{step}\n\n")).collect();
        let rail = rail(&format!("## A\nx → a\n\n{steps}"));
        assert!(rail.edges.iter().all(|edge| edge.lane < LANES), "{rail:?}");
        assert_eq!(rail.edges.len(), 20);
    }
}
