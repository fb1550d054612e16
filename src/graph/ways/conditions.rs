//! The conditions of steps, as far as they are known to agree or to contradict each other.

use crate::graph::{Graph, Guard};
use std::collections::HashMap;

/// The most different conditions that are compared with each other.
const MOST: usize = 500;

/// The `when` conditions of a document, equal ones being one.
pub(super) struct Conditions {
    classes: HashMap<String, usize>,
    /// By class: the classes that never hold with it, and whether one of the two always does.
    contrary: Vec<Vec<(usize, bool)>>,
    /// By class: the last position in the order at which it, or its contrary, decides.
    last: Vec<usize>,
}

impl Conditions {
    pub fn new(graph: &Graph) -> Conditions {
        let mut classes: HashMap<String, usize> = HashMap::new();
        let (mut samples, mut last): (Vec<&Guard>, Vec<usize>) = Default::default();
        for (at, id) in graph.order.iter().enumerate() {
            for guard in &graph.step(*id).when {
                let class = *classes.entry(text(guard)).or_insert_with(|| {
                    samples.push(guard);
                    last.push(at);
                    samples.len() - 1
                });
                last[class] = at;
            }
        }
        let few = &samples[..samples.len().min(MOST)];
        let contrary = |one: &&Guard| {
            let others = few.iter().enumerate();
            others
                .filter(|(_, other)| one.condition.excludes(&other.condition))
                .map(|(class, other)| (class, one.condition.complements(&other.condition)))
                .collect()
        };
        let contrary: Vec<Vec<(usize, bool)>> = samples.iter().map(contrary).collect();
        let decided =
            |class: usize| contrary[class].iter().map(|(other, _)| last[*other]).chain([last[class]]).max();
        let last = (0..last.len()).map(|class| decided(class).unwrap_or(0)).collect();
        Conditions { classes, contrary, last }
    }

    pub fn class(&self, guard: &Guard) -> usize {
        self.classes.get(&text(guard)).copied().unwrap_or_default()
    }

    pub fn last_use(&self, class: usize) -> usize {
        self.last.get(class).copied().unwrap_or_default()
    }

    /// The possible results of a condition, given those of others.
    pub fn may_be(&self, held: &[(usize, bool)], class: usize) -> Vec<bool> {
        let known = held.iter().find_map(|(other, holds)| {
            if *other == class {
                return Some(*holds);
            }
            let (_, complement) = self.contrary[class].iter().find(|(contrary, _)| contrary == other)?;
            (*holds || *complement).then_some(!holds)
        });
        known.map_or_else(|| vec![true, false], |holds| vec![holds])
    }
}

fn text(guard: &Guard) -> String {
    guard.condition.text.trim().to_owned()
}
