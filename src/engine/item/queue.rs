//! A queue from which any step may leave, in time that hardly grows with its length.

use crate::event::StepPath;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct Queue {
    order: BTreeMap<u64, StepPath>,
    places: BTreeMap<StepPath, u64>,
    /// The position of the next one.
    next: u64,
}

impl Queue {
    pub fn first(&self) -> Option<StepPath> {
        self.order.first_key_value().map(|(_, step)| *step)
    }

    /// Adds a step at the end; a step that is already waiting keeps its position.
    pub fn push(&mut self, step: StepPath) {
        self.places.entry(step).or_insert_with(|| {
            self.next += 1;
            self.order.insert(self.next, step);
            self.next
        });
    }

    #[cfg(test)]
    pub fn to_vec(&self) -> Vec<StepPath> {
        self.order.values().copied().collect()
    }

    pub fn remove(&mut self, step: StepPath) {
        if let Some(place) = self.places.remove(&step) {
            self.order.remove(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::StepId;
    use std::time::{Duration, Instant};

    #[test]
    fn the_first_that_came_is_the_first_and_any_may_leave() {
        let step = |element| StepPath::element(StepId(0), element);
        let mut queue = Queue::default();
        [2, 0, 1, 2].into_iter().for_each(|element| queue.push(step(element)));
        queue.remove(step(0));
        queue.remove(step(7));
        assert_eq!(queue.first(), Some(step(2)));
        queue.remove(step(2));
        assert_eq!((queue.first(), queue.to_vec()), (Some(step(1)), vec![step(1)]));
        queue.remove(step(1));
        assert_eq!(queue.first(), None);
    }

    /// If each looked at all others, these would take minutes.
    #[test]
    fn many_leave_in_any_order() {
        let begin = Instant::now();
        let mut queue = Queue::default();
        let steps = || (0..200_000).map(|element| StepPath::element(StepId(0), element));
        steps().for_each(|step| queue.push(step));
        steps().rev().for_each(|step| queue.remove(step));
        assert_eq!(queue.first(), None);
        assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    }
}
