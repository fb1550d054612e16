//! Finds the states in which an item can be when a step begins, by following every path of an item through the
//! document: each branch, each optional step with and without success, each moment at which the item may fail or be
//! cancelled.
//!
//! Paths that differ only in facts on which no later step depends are one path, so there are few of them. Conditions
//! are known only as far as two of them are equal or contrary; otherwise each may hold or not.

mod conditions;

use super::before::Before;
use super::{Arm, Chain, Graph, Guard, Input, Kind, Passage, StateId, Step, StepId, Taken, Target, ValueId};
use crate::diag::catalogue::{self, Stand};
use crate::diag::{Diagnostic, Span};
use crate::spec::{Mark, Spec};
use conditions::Conditions;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The most paths that are followed in parallel.
const MOST_WAYS: usize = 500;

/// The most steps whose combinations are all checked: steps that are compensated in states, or that end a
/// compensation.
const MOST_UNDONE: usize = 200;

/// Reports steps that start in a state in which the item cannot be then, or may not be.
pub(super) fn check(spec: &Spec, graph: &Graph, diagnostics: &mut Vec<Diagnostic>) {
    let Some(initial) = graph.initial.filter(|_| graph.steps.iter().any(|step| step.state.is_some())) else {
        return;
    };
    let mut walk = Walk::new(spec, graph, diagnostics);
    let mut ways = BTreeSet::from([Way::new(initial)]);
    for (at, id) in graph.order.iter().enumerate().filter(|(_, id)| !graph.step(**id).once) {
        let gone: Vec<Way> = ways.iter().flat_map(|way| walk.through(way, *id)).collect();
        ways = gone.into_iter().map(|way| walk.forget(way, at)).collect();
        if ways.len() > MOST_WAYS {
            let step = &spec.steps[id.index()].title;
            walk.diagnostics.push(catalogue::too_many_ways(step.span, &step.value, MOST_WAYS));
            break;
        }
    }
    walk.report();
}

/// The progress of an item, as far as later steps depend on it. Lists are sorted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Way {
    state: StateId,
    /// The step that led there.
    by: Option<StepId>,
    /// Steps that have succeeded.
    done: Vec<StepId>,
    /// Chains that are decided, with the arm that was taken.
    taken: Vec<(StepId, u32, Option<u32>)>,
    /// Conditions that are known to hold, or not to.
    held: Vec<(usize, bool)>,
    /// The step that ended the path for this item.
    ended: Option<StepId>,
}

impl Way {
    fn new(state: StateId) -> Way {
        let (done, taken, held) = Default::default();
        Way { state, by: None, done, taken, held, ended: None }
    }

    fn has_done(&self, step: StepId) -> bool {
        self.done.binary_search(&step).is_ok()
    }

    fn succeed(mut self, step: StepId) -> Way {
        if let Err(at) = self.done.binary_search(&step) {
            self.done.insert(at, step);
        }
        self
    }
}

/// The results for one step.
#[derive(Default)]
struct Found {
    starts: bool,
    /// States in which it does not start, with the steps that led there.
    wrong: BTreeMap<StateId, Option<StepId>>,
}

struct Walk<'a, 'd> {
    spec: &'a Spec,
    graph: &'a Graph,
    before: Before,
    /// By step: its position in the order.
    places: Vec<usize>,
    /// By step that was queried: those earlier in the order that may be running beside it.
    company: HashMap<StepId, Vec<StepId>>,
    diagnostics: &'d mut Vec<Diagnostic>,
    conditions: Conditions,
    /// By step: the position in the order up to which its success or decisions matter.
    live: Vec<usize>,
    /// By value: the steps that make it.
    makers: Vec<Vec<StepId>>,
    /// Whether a compensation or a handler has states.
    undoes: bool,
    /// By step.
    found: Vec<Found>,
    /// Moments at which an item may end that have been checked, and whether it fails then.
    seen: HashSet<(StateId, Option<StepId>, Vec<StepId>, bool)>,
    raced: BTreeSet<StepId>,
}

impl<'a, 'd> Walk<'a, 'd> {
    fn new(spec: &'a Spec, graph: &'a Graph, diagnostics: &'d mut Vec<Diagnostic>) -> Self {
        let before = Before::new(graph);
        let late = |id: StepId| graph.step(id).kind != Kind::Forward && graph.step(id).state.is_some();
        let undone: Vec<StepId> = graph.order.iter().copied().filter(|id| matters(graph, *id)).collect();
        let speaks = graph.ids().any(late);
        if let (Some(step), true) = (undone.get(MOST_UNDONE), speaks) {
            let step = &spec.steps[step.index()].title;
            diagnostics.push(catalogue::too_many_ways(step.span, &step.value, MOST_UNDONE));
        }
        let undoes = speaks && undone.len() <= MOST_UNDONE;
        let mut makers = vec![Vec::new(); graph.values.len()];
        for id in &graph.order {
            for output in &graph.step(*id).outputs {
                makers[output.value.index()].push(*id);
            }
        }
        let places = places(graph);
        let live = live(graph, &before, &places, undoes);
        Walk {
            spec,
            graph,
            before,
            places,
            company: HashMap::new(),
            diagnostics,
            conditions: Conditions::new(graph),
            live,
            makers,
            undoes,
            found: graph.steps.iter().map(|_| Found::default()).collect(),
            seen: HashSet::new(),
            raced: BTreeSet::new(),
        }
    }

    /// All paths that follow from a step.
    fn through(&mut self, way: &Way, id: StepId) -> Vec<Way> {
        let mut ways = Vec::new();
        if let Some(decider) = way.ended {
            ways.push(way.clone());
            if self.before.holds(id, decider) {
                return ways;
            }
        }
        if self.cannot_run(way, id) {
            return vec![way.clone()];
        }
        let mut open = vec![way.clone()];
        for guard in &self.graph.step(id).when {
            let class = self.conditions.class(guard);
            for way in std::mem::take(&mut open) {
                for holds in self.conditions.may_be(&way.held, class) {
                    let mut way = way.clone();
                    way.held.push((class, holds));
                    way.held.sort_unstable();
                    way.held.dedup();
                    if holds { open.push(way) } else { ways.push(way) }
                }
            }
        }
        for way in open {
            self.run(way, id, &mut ways);
        }
        ways
    }

    /// Whether earlier events prevent a step from running.
    fn cannot_run(&self, way: &Way, id: StepId) -> bool {
        let step = self.graph.step(id);
        let took = |taken: &Taken| way.taken.contains(&(taken.step, taken.chain, Some(taken.arm)));
        let led = step.guards.is_empty() || step.guards.iter().any(took);
        let lacks =
            |makers: &[StepId]| !makers.is_empty() && !makers.iter().any(|maker| way.has_done(*maker));
        let asks = step.when.iter().flat_map(Guard::needs);
        let needs = |input: &&Input| !input.optional;
        !led || step.skips.iter().any(took)
            || step.inputs.iter().filter(needs).any(|input| lacks(&input.makers))
            || asks.into_iter().any(|value| lacks(self.makers_of(value)))
    }

    fn makers_of(&self, value: ValueId) -> &[StepId] {
        &self.makers[value.index()]
    }

    /// The paths on which a step runs; those on which the item fails end here.
    fn run(&mut self, way: Way, id: StepId, ways: &mut Vec<Way>) {
        let step = self.graph.step(id);
        if let Some(passage) = &step.state {
            self.starts(id, passage, way.state, way.by);
            self.races(&way, id);
        }
        let optional = step.mark == Some(Mark::Optional);
        let fails = self.fails_item(id);
        self.ends(&way, None, fails);
        self.ends(&way, matters(self.graph, id).then_some(id), fails);
        if optional {
            ways.push(way.clone());
        }
        let mut after = way.clone().succeed(id);
        if let Some(to) = step.state.as_ref().and_then(|passage| passage.to) {
            (after.state, after.by) = (to, Some(id));
            for fails in self.company(&after, id) {
                self.ends(&after, None, fails);
            }
        }
        let mut open = vec![after];
        for (chain, arms) in (0..).zip(&step.chains) {
            let fails = arms.iter().any(|arm| matches!(arm.target, Target::Fail(_)));
            ways.extend((optional && fails).then(|| way.clone()));
            open = open.iter().flat_map(|after| decisions(after, id, chain, arms)).collect();
        }
        ways.extend(open);
    }

    /// Records in which state a step begins.
    fn starts(&mut self, id: StepId, passage: &Passage, state: StateId, by: Option<StepId>) {
        let found = &mut self.found[id.index()];
        if passage.from.contains(&state) {
            found.starts = true;
        } else {
            found.wrong.entry(state).or_insert(by);
        }
    }

    /// Reports another step on the same path that may run at the same time.
    fn races(&mut self, way: &Way, id: StepId) {
        let moves =
            |id: StepId| self.graph.step(id).state.as_ref().is_some_and(|passage| passage.to.is_some());
        let races = |other: &&StepId| {
            self.graph.step(**other).state.is_some()
                && (moves(id) || moves(**other))
                && !self.before.holds(id, **other)
        };
        if let Some(other) = way.done.iter().find(races)
            && self.raced.insert(id)
        {
            let (step, other) = (&self.spec.steps[id.index()], &self.spec.steps[other.index()].title);
            let at = place(step);
            self.diagnostics.push(catalogue::state_race(at, &step.title.value, &other.value, other.span));
        }
    }

    /// Whether the item fails while a step is running: with it, or because its deadline passes.
    fn fails_item(&self, id: StepId) -> bool {
        self.graph.step(id).mark != Some(Mark::Optional) || self.graph.settings.deadline.is_some()
    }

    /// How the item may end although this step has run: with steps earlier in the order that are still running, or
    /// late. Each result is whether it fails then.
    fn company(&mut self, way: &Way, id: StepId) -> BTreeSet<bool> {
        if !self.undoes {
            return BTreeSet::new();
        }
        let (graph, before) = (self.graph, &self.before);
        let company = self.company.entry(id).or_insert_with(|| {
            let earlier = graph.order.iter().copied().take_while(|other| *other != id);
            earlier.filter(|other| !before.holds(id, *other) && !graph.exclude(id, *other)).collect()
        });
        let there = |other: &&StepId| graph.step(**other).state.is_none() || way.has_done(**other);
        let there: Vec<StepId> = company.iter().filter(there).copied().collect();
        // A step that succeeds although it was stopped is too late for its item.
        let late = graph.settings.deadline.map(|_| true);
        there.into_iter().map(|other| self.fails_item(other)).chain(late).collect()
    }

    /// The item fails here, or is only cancelled: its effects are compensated, and then, if it fails, handlers run.
    /// `unknown` is a step of which it is unknown whether it had its effect.
    fn ends(&mut self, way: &Way, unknown: Option<StepId>, fails: bool) {
        if !self.undoes {
            return;
        }
        let graph = self.graph;
        let counts = |id: &StepId| matters(graph, *id);
        let mut done: Vec<StepId> = way.done.iter().copied().chain(unknown).filter(counts).collect();
        done.sort_unstable_by_key(|id| Reverse(self.places[id.index()]));
        done.dedup();
        if !self.seen.insert((way.state, way.by, done.clone(), fails)) {
            return;
        }
        let stays = |id: StepId| {
            done.iter().any(|last| graph.step(*last).irreversible && self.before.holds(*last, id))
        };
        let undoing = done.iter().filter(|id| !stays(**id)).filter_map(|id| undo(graph, *id));
        let handlers = graph.handlers().filter(|id| fails && !graph.step(*id).once);
        let late: Vec<StepId> = undoing.chain(handlers).collect();
        let (mut state, mut by) = (way.state, way.by);
        for id in late {
            let Some(passage) = &graph.step(id).state else { continue };
            self.starts(id, passage, state, by);
            if let Some(to) = passage.to.filter(|_| passage.from.contains(&state)) {
                (state, by) = (to, Some(id));
            }
        }
    }

    /// A path without facts on which no step after this position depends.
    fn forget(&self, mut way: Way, at: usize) -> Way {
        way.done.retain(|step| self.live[step.index()] > at);
        way.taken.retain(|(step, ..)| self.live[step.index()] > at);
        way.held.retain(|(class, _)| self.conditions.last_use(*class) > at);
        way
    }

    fn report(self) {
        for id in self.graph.ids() {
            let (step, found) = (self.graph.step(id), &self.found[id.index()]);
            let is_reported = found.wrong.is_empty() || self.raced.contains(&id);
            let Some(passage) = step.state.as_ref().filter(|_| !is_reported) else { continue };
            let from: Vec<&str> = passage.from.iter().map(|state| self.graph.state(*state)).collect();
            let stands: Vec<Stand> = found.wrong.iter().map(|(state, by)| self.stand(*state, *by)).collect();
            let tell = if found.starts { catalogue::doubtful_state } else { catalogue::wrong_state };
            let who = match step.kind {
                Kind::Forward => "step",
                Kind::Handler => "failure handler",
                Kind::Compensation => "compensation",
            };
            let at = place(&self.spec.steps[id.index()]);
            self.diagnostics.push(tell(at, who, &step.title, &catalogue::either(&from), &stands));
        }
    }

    fn stand(&self, state: StateId, by: Option<StepId>) -> Stand<'a> {
        let (graph, spec) = (self.graph, self.spec);
        let first = spec.diagram.iter().filter_map(|diagram| diagram.initial.as_ref()).next();
        Stand {
            state: graph.state(state),
            by: by.map(|id| graph.step(id).title.as_str()),
            place: by.map_or_else(
                || first.map_or_else(Span::default, |first| first.span),
                |id| spec.steps[id.index()].title.span,
            ),
        }
    }
}

/// The paths that follow from the decisions of one chain; without those on which the step fails.
fn decisions(way: &Way, id: StepId, chain: u32, arms: &Chain) -> Vec<Way> {
    let decide = |arm: Option<u32>, ends: bool| {
        let mut way = way.clone();
        way.taken.push((id, chain, arm));
        way.taken.sort_unstable();
        way.ended = way.ended.or(ends.then_some(id));
        way
    };
    let arm = |(arm, number): (&Arm, u32)| match arm.target {
        Target::Fail(_) => None,
        Target::End => Some(decide(Some(number), true)),
        Target::Step(_) | Target::Group(_) | Target::Skip(_) | Target::SkipToGroup(_) | Target::Elsewhere => {
            Some(decide(Some(number), false))
        }
    };
    let mut ways: Vec<Way> = arms.iter().zip(0..).filter_map(arm).collect();
    if arms.iter().all(|arm| arm.guard.is_some()) {
        ways.push(decide(None, false));
    }
    ways
}

/// The place where a step names states.
fn place(step: &crate::spec::Step) -> Span {
    step.annotations.state.as_ref().map_or(step.title.span, |state| state.span)
}

/// The compensation of this step, if it has states.
fn undo(graph: &Graph, id: StepId) -> Option<StepId> {
    graph.step(id).compensate.filter(|by| graph.step(*by).state.is_some())
}

/// Whether it matters, once an item has failed, that a step has run.
fn matters(graph: &Graph, id: StepId) -> bool {
    undo(graph, id).is_some() || graph.step(id).irreversible
}

/// By step: its position in the order.
fn places(graph: &Graph) -> Vec<usize> {
    let mut places = vec![0; graph.steps.len()];
    for (at, id) in graph.order.iter().enumerate() {
        places[id.index()] = at;
    }
    places
}

/// By step: the position in the order of the last step that depends on how it ended.
fn live(graph: &Graph, before: &Before, places: &[usize], undoes: bool) -> Vec<usize> {
    let mut stateful = graph.order.clone();
    stateful.retain(|id| graph.step(*id).state.is_some());
    let last = |id: StepId| {
        let step: &Step = graph.step(id);
        let beside = stateful.iter().rev().find(|other| step.state.is_some() && !before.holds(**other, id));
        let dependents = step.dependents.iter().chain(beside).map(|other| places[other.index()]);
        if undoes && matters(graph, id) { usize::MAX } else { dependents.max().unwrap_or(0) }
    };
    graph.ids().map(last).collect()
}
