//! The order in which steps can run, and the cycles that prevent one. Knows steps only as numbers.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

/// For each step, the steps that wait for it.
pub(super) struct Followers(Vec<Vec<usize>>);

impl Followers {
    /// `links` are pairs of a step and one that waits for it, in a stable order.
    pub fn new(steps: usize, links: impl Iterator<Item = (usize, usize)>) -> Self {
        let mut followers = vec![Vec::new(); steps];
        for (from, to) in links {
            followers[from].push(to);
        }
        Followers(followers)
    }

    /// All steps, each after those that it waits for, the lowest number first among independent ones. Steps on a cycle
    /// or after one are left out.
    pub fn order(&self) -> Vec<usize> {
        let mut missing = vec![0_usize; self.0.len()];
        for to in self.0.iter().flatten() {
            missing[*to] += 1;
        }
        let mut free: BinaryHeap<Reverse<usize>> = missing
            .iter()
            .enumerate()
            .filter(|(_, count)| **count == 0)
            .map(|(step, _)| Reverse(step))
            .collect();
        let mut order = Vec::with_capacity(self.0.len());
        while let Some(Reverse(step)) = free.pop() {
            order.push(step);
            for to in &self.0[step] {
                missing[*to] -= 1;
                if missing[*to] == 0 {
                    free.push(Reverse(*to));
                }
            }
        }
        order
    }

    /// One shortest cycle through the lowest step of every strongly connected component. The first step of each is not
    /// repeated at its end.
    pub fn cycles(&self) -> Vec<Vec<usize>> {
        let knots = self.knots();
        let mut lowest: HashMap<usize, usize> = HashMap::new();
        for (step, knot) in knots.iter().enumerate() {
            lowest.entry(*knot).or_insert(step);
        }
        let mut starts: Vec<usize> = lowest.into_values().collect();
        starts.sort_unstable();
        starts.into_iter().filter_map(|start| self.back_to(start, &knots)).collect()
    }

    /// The shortest path from a step to itself, if one exists; it never leaves the step's component.
    fn back_to(&self, start: usize, knots: &[usize]) -> Option<Vec<usize>> {
        let mut came_from: HashMap<usize, usize> = HashMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(step) = queue.pop_front() {
            for next in self.0[step].iter().copied().filter(|next| knots[*next] == knots[start]) {
                if next == start {
                    let back = std::iter::successors(Some(step), |step| came_from.get(step).copied());
                    let mut path: Vec<usize> = back.collect();
                    path.reverse();
                    return Some(path);
                }
                came_from.entry(next).or_insert_with(|| {
                    queue.push_back(next);
                    step
                });
            }
        }
        None
    }

    /// Tarjan's strongly connected components, without recursion: by step, the number of its component.
    fn knots(&self) -> Vec<usize> {
        const UNSEEN: usize = usize::MAX;
        let count = self.0.len();
        let (mut found, mut low) = (vec![UNSEEN; count], vec![0; count]);
        let (mut knots, mut stack, mut clock, mut knot) = (vec![UNSEEN; count], Vec::new(), 0, 0);
        for root in 0..count {
            let mut calls = if found[root] == UNSEEN { vec![(root, 0)] } else { Vec::new() };
            while let Some((step, at)) = calls.pop() {
                if at == 0 {
                    (found[step], low[step]) = (clock, clock);
                    clock += 1;
                    stack.push(step);
                }
                if let Some(next) = self.0[step].get(at).copied() {
                    calls.push((step, at + 1));
                    if found[next] == UNSEEN {
                        calls.push((next, 0));
                    } else if knots[next] == UNSEEN {
                        low[step] = low[step].min(found[next]);
                    }
                    continue;
                }
                if low[step] == found[step] {
                    while let Some(member) = stack.pop() {
                        knots[member] = knot;
                        if member == step {
                            break;
                        }
                    }
                    knot += 1;
                }
                if let Some((caller, _)) = calls.last() {
                    low[*caller] = low[*caller].min(low[step]);
                }
            }
        }
        knots
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn followers(steps: usize, links: &[(usize, usize)]) -> Followers {
        Followers::new(steps, links.iter().copied())
    }

    #[test]
    fn the_free_stand_in_document_order() {
        assert_eq!(followers(5, &[(4, 0), (1, 3)]).order(), [1, 2, 3, 4, 0]);
    }

    #[test]
    fn one_shortest_cycle_a_knot() {
        let found = followers(7, &[(0, 1), (1, 2), (2, 0), (2, 1), (3, 3), (2, 4), (5, 6), (6, 5)]).cycles();
        assert_eq!(found, [vec![0, 1, 2], vec![3], vec![5, 6]]);
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let chain: Vec<_> = (0..100_000).map(|step| (step, (step + 1) % 100_000)).collect();
        assert_eq!(followers(100_000, &chain).cycles()[0].len(), 100_000);
    }

    proptest! {
        #[test]
        fn either_all_are_ordered_or_there_is_a_cycle(links in prop::collection::vec((0..12_usize, 0..12_usize), 0..30)) {
            let followers = followers(12, &links);
            let order = followers.order();
            let cycles = followers.cycles();
            prop_assert_eq!(order.len() == 12, cycles.is_empty());
            let place = |step: usize| order.iter().position(|other| *other == step);
            for (from, to) in &links {
                if let Some(later) = place(*to) {
                    prop_assert!(place(*from).is_some_and(|earlier| earlier < later));
                }
            }
            for cycle in cycles {
                for (index, from) in cycle.iter().enumerate() {
                    prop_assert!(links.contains(&(*from, cycle[(index + 1) % cycle.len()])));
                }
            }
        }
    }
}
