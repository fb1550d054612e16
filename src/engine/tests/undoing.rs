//! What an item did and must not have done: every effect that can be undone is, or somebody is told that it stands.

use super::*;

/// An execution on one of its visits.
type Done = (StepPath, u32);

/// What the events say of one item, counted without the engine.
#[derive(Default)]
struct Account {
    /// Executions that had or may have had an effect which nothing has undone, with their rounds by loop.
    effects: BTreeMap<Done, BTreeMap<RepeatId, u32>>,
    /// Of these, whose compensation failed.
    standing: BTreeSet<Done>,
    undoing: Option<(StepId, u32)>,
    undone: bool,
    running: BTreeSet<StepPath>,
    /// By loop: its round, and how many it has had in all.
    rounds: BTreeMap<RepeatId, (u32, u32)>,
}

/// By step: all that must be settled before it.
fn befores(graph: &Graph) -> Vec<BTreeSet<StepId>> {
    let mut before = vec![BTreeSet::new(); graph.steps.len()];
    for id in &graph.order {
        for need in &graph.step(*id).needs {
            let more = before[need.step.index()].clone();
            before[id.index()].extend(more);
            before[id.index()].insert(need.step);
        }
    }
    before
}

impl Account {
    /// Whether an effect was before another in any case: in an earlier round, or in the same by the order of the steps.
    fn was_before(&self, before: &[BTreeSet<StepId>], one: &Done, other: &Done) -> bool {
        let [mine, theirs] = [one, other].map(|done| self.effects.get(done).cloned().unwrap_or_default());
        let shared = mine.iter().filter_map(|(id, round)| Some((*round, *theirs.get(id)?)));
        match { shared }.find(|(one, other)| one != other) {
            Some((one, other)) => one < other,
            None => before[other.0.index()].contains(&one.0.step),
        }
    }

    /// Effects that stay as they are, since something that follows on them cannot be undone.
    fn kept(&self, graph: &Graph, before: &[BTreeSet<StepId>]) -> BTreeSet<Done> {
        let lasting = || self.effects.keys().filter(|(path, _)| graph.step(path.step).irreversible);
        let kept = |done: &&Done| lasting().any(|last| last == *done || self.was_before(before, done, last));
        self.effects.keys().filter(kept).copied().collect()
    }

    /// What is still to be undone.
    fn open(&self, graph: &Graph, before: &[BTreeSet<StepId>]) -> BTreeSet<Done> {
        let kept = self.kept(graph, before);
        let open = |done: &&Done| {
            let named = graph.step(done.0.step).compensate.is_some();
            named && !kept.contains(*done) && !self.standing.contains(*done)
        };
        self.effects.keys().filter(open).copied().collect()
    }

    /// An execution as it is now.
    fn now(&self, graph: &Graph, path: StepPath) -> (Done, BTreeMap<RepeatId, u32>) {
        let repeats = &graph.step(path.step).repeats;
        let round = |id: &RepeatId| self.rounds.get(id).copied().unwrap_or((1, 0));
        let visit = repeats.iter().map(|id| round(id).1).sum();
        ((path, visit), repeats.iter().map(|id| (*id, round(id).0)).collect())
    }

    fn have_effect(&mut self, graph: &Graph, path: StepPath) {
        let step = graph.step(path.step);
        if step.compensate.is_some() || step.irreversible {
            let (done, rounds) = self.now(graph, path);
            self.effects.insert(done, rounds);
        }
    }

    fn see(&mut self, seed: u64, graph: &Graph, before: &[BTreeSet<StepId>], event: &Event) {
        match &event.kind {
            EventKind::Attempt(_, step, _, AttemptEvent::Started) => {
                self.running.insert(*step);
            }
            EventKind::Attempt(_, step, _, AttemptEvent::Finished(result)) => {
                self.running.remove(step);
                if result.as_ref().map_or_else(|why| why.outcome == Outcome::Unknown, |_| true) {
                    self.have_effect(graph, *step);
                }
            }
            EventKind::Attempt(_, step, _, AttemptEvent::Repeated) => self.have_effect(graph, *step),
            EventKind::Item(_, ItemEvent::RoundBegan { repeat, round }) => {
                let (known, all) = self.rounds.get(repeat).copied().unwrap_or((1, 0));
                assert_eq!(known + 1, *round, "seed {seed}: a round is missing");
                assert!(*round <= graph.repeats[repeat.index()].most, "seed {seed}: too many rounds");
                let inside = |inner: &RepeatId| {
                    let repeats = &graph.step(graph.repeats[inner.index()].steps[0]).repeats;
                    repeats.iter().position(|id| id == repeat) < repeats.iter().position(|id| id == inner)
                        && repeats.contains(repeat)
                };
                self.rounds.iter_mut().filter(|(inner, _)| inside(inner)).for_each(|(_, round)| round.0 = 1);
                self.rounds.insert(*repeat, (*round, all + 1));
            }
            EventKind::Item(_, ItemEvent::CompensationBegan(undoes)) => {
                assert!(self.running.is_empty(), "seed {seed}: undone while {:?} run", self.running);
                let open = self.open(graph, before);
                let own =
                    open.iter().filter(|(path, _)| path.step == *undoes).max_by_key(|(_, visit)| *visit);
                let one = *own.unwrap_or_else(|| panic!("seed {seed}: {undoes:?} has no effect"));
                let later = open.iter().find(|other| self.was_before(before, &one, other));
                assert_eq!(later, None, "seed {seed}: {one:?} is undone before what depends on it");
                self.undoing = Some((*undoes, one.1));
            }
            EventKind::Step(_, StepEvent::Ended(execution))
                if graph.step(execution.step).kind == Kind::Compensation =>
            {
                let (step, visit) = self.undoing.expect("an undoing that began");
                let path = (StepPath { step, element: execution.element }, visit);
                assert!(self.effects.contains_key(&path), "seed {seed}: {path:?} had no effect");
                match execution.status {
                    Status::Compensated => {
                        self.effects.remove(&path);
                        self.undone = true;
                    }
                    Status::CompensationFailed => {
                        self.standing.insert(path);
                    }
                    Status::Cancelled => {}
                    other => panic!("seed {seed}: a compensation is {other:?}"),
                }
            }
            EventKind::Item(_, ItemEvent::Retried { .. }) if !self.standing.is_empty() => {
                self.standing.clear()
            }
            // What they did before is undone now.
            EventKind::Run(RunEvent::StepsBegan) => self.standing.clear(),
            EventKind::Item(_, ItemEvent::Requeued) | EventKind::Item(_, ItemEvent::Retried { .. }) => {
                assert_eq!(self.standing, BTreeSet::new(), "seed {seed}: runs again though something stands");
                assert_eq!(self.open(graph, before), BTreeSet::new(), "seed {seed}: runs again too early");
                // Loops begin anew, with other visits, unless a step of theirs stays.
                let lasting = self.effects.keys().map(|(path, _)| path.step);
                let lasting: Vec<StepId> = lasting.filter(|id| graph.step(*id).irreversible).collect();
                let stays =
                    |id: &StepId| lasting.iter().any(|last| last == id || before[last.index()].contains(id));
                for (id, (round, all)) in self.rounds.iter_mut().filter(|_| self.undone) {
                    *all += 1;
                    let all_begin = !graph.repeats[id.index()].steps.iter().any(stays);
                    *round = if all_begin { 1 } else { *round };
                }
                self.undone = false;
                // What stays of the run's steps was done for other results, and is no matter of the next visit.
                if matches!(&event.kind, EventKind::Item(ItemId::RUN, ItemEvent::Requeued)) {
                    self.effects.clear();
                }
            }
            _ => {}
        }
    }

    fn settled(&self, seed: u64, graph: &Graph, before: &[BTreeSet<StepId>], state: ItemState, told: usize) {
        let open = self.open(graph, before);
        if state == ItemState::Succeeded {
            return assert!(self.standing.is_empty() && told == 0, "seed {seed}");
        }
        assert!(open.is_empty(), "seed {seed}: {state:?} with effects {open:?}");
        let kept = self.kept(graph, before);
        let keeps = self.effects.keys().filter(|done| {
            graph.step(done.0.step).compensate.is_some()
                && kept.contains(*done)
                && !self.standing.contains(*done)
        });
        let keeps = keeps.count();
        assert_eq!(
            told,
            if state == ItemState::Cancelled { 0 } else { self.standing.len() + keeps },
            "seed {seed}"
        );
        let keeps = keeps > 0;
        let is = match (self.standing.is_empty(), keeps, self.undone) {
            (false, ..) => &[ItemState::CompensationFailed][..],
            (true, false, true) => &[ItemState::Compensated],
            (true, true, _) => &[ItemState::Failed],
            (true, false, false) => &[ItemState::Failed, ItemState::Cancelled],
        };
        assert!(is.contains(&state), "seed {seed}: {state:?}, expected {is:?}");
    }
}

/// Holds all events of a run to account. Returns how many effects were undone, and how many stand.
fn audit(seed: u64, graph: &Graph, events: &[Event]) -> (usize, usize) {
    let before = befores(graph);
    let mut accounts: BTreeMap<ItemId, Account> = BTreeMap::new();
    let (mut undone, mut standing, mut interrupted) = (0, 0, false);
    for event in events {
        let item = match &event.kind {
            EventKind::Attempt(item, _, _, AttemptEvent::Started)
            | EventKind::Attempt(item, _, _, AttemptEvent::Finished(_))
            | EventKind::Attempt(item, _, _, AttemptEvent::Repeated)
            | EventKind::Item(item, ItemEvent::CompensationBegan(_))
            | EventKind::Item(item, ItemEvent::RoundBegan { .. })
            | EventKind::Item(item, ItemEvent::Requeued)
            | EventKind::Item(item, ItemEvent::Retried { .. })
            | EventKind::Step(item, StepEvent::Ended(_)) => *item,
            EventKind::Run(RunEvent::StepsBegan) => ItemId::RUN,
            EventKind::Item(
                item,
                ItemEvent::Settled { end: Settlement { state, uncompensated: told, .. }, .. },
            ) if !interrupted => {
                let account = accounts.entry(*item).or_default();
                account.settled(seed, graph, &before, *state, told.len());
                standing += told.len();
                continue;
            }
            EventKind::Run(RunEvent::Stopped(StopReason::Interrupted)) => {
                interrupted = true;
                continue;
            }
            _ => continue,
        };
        let row = |event: &Event| matches!(&event.kind, EventKind::Step(_, StepEvent::Ended(execution)) if execution.status == Status::Compensated);
        undone += usize::from(row(event));
        accounts.entry(item).or_default().see(seed, graph, &before, event);
    }
    (undone, standing)
}

#[test]
fn every_effect_of_an_item_that_fails_is_undone_in_reverse_or_told_of() {
    let (mut undone, mut standing) = (0, 0);
    for seed in seeds(1000) {
        let (graph, _, _, events, _) = simulate(seed);
        let (more, left) = audit(seed, &graph, &events);
        undone += more;
        standing += left;
    }
    assert!(undone > 500 && standing > 100, "{undone} undone, {standing} stand");
}

/// Wherever a runner is killed, what it had begun is undone.
#[test]
fn a_run_that_is_cut_anywhere_accounts_for_all_it_did() {
    let mut undone = 0;
    for seed in seeds(100) {
        let (graph, policy, _, events, _) = simulate(seed);
        for cut in 0..=events.len() {
            let seen = &events[..cut];
            let mut run = folded(seed, &graph, &policy, seen);
            let mut world = World::new(seed, graph.clone()).after_crash(seen);
            let mut out = Out::default();
            run.resume(&[], world.now, &mut out);
            let rest = world.live(&mut run, &mut out);
            undone += audit(seed, &graph, &[seen, &rest].concat()).0;
        }
    }
    assert!(undone > 1000, "{undone} undone");
}

#[test]
fn a_given_up_run_is_undone_too_and_so_is_one_that_was_retried() {
    let mut undone = 0;
    for seed in seeds(1000) {
        let (graph, policy, _, events, run) = simulate(seed);
        let retried: Vec<ItemId> = run.dead_letters().iter().map(|letter| letter.item).collect();
        if !retried.is_empty() && run.stopped().is_none() {
            let (second, _) = go_on(seed, (&graph, &policy), &events, &retried);
            undone += audit(seed, &graph, &[events.as_slice(), &second].concat()).0;
        }
        // Cut anywhere and given up instead of resumed.
        let cut = roll(seed, &[70], events.len() as u64 + 1) as usize;
        let seen = &events[..cut];
        if seen.iter().any(|event| matches!(&event.kind, EventKind::Run(RunEvent::Stopped(_)))) {
            continue;
        }
        let mut run = folded(seed, &graph, &policy, seen);
        let mut world = World::new(seed, graph.clone()).after_crash(seen);
        let mut out = Out::default();
        run.cancel(world.now, &mut out);
        let rest = world.live(&mut run, &mut out);
        assert!(run.is_idle(), "seed {seed}");
        let forward = |event: &&Event| match &event.kind {
            EventKind::Attempt(_, step, _, AttemptEvent::Started) => {
                let step = graph.step(step.step);
                step.kind != Kind::Compensation && !step.always
            }
            _ => false,
        };
        assert_eq!(rest.iter().filter(forward).count(), 0, "seed {seed}: begun after it was given up");
        undone += audit(seed, &graph, &[seen, &rest].concat()).0;
    }
    assert!(undone > 500, "{undone} undone");
}

/// A step that undoes others and takes these values.
fn undoing(title: &str, takes: &[u32]) -> crate::graph::Step {
    let mut step = step(title, &[], None);
    step.kind = Kind::Compensation;
    let take = |id: &u32| Takes {
        value: ValueId(*id),
        optional: false,
        role: Role::Given,
        feedback: None,
        makers: Vec::new(),
    };
    step.inputs = takes.iter().map(take).collect();
    step
}

#[test]
fn what_precedes_an_irreversible_step_stays_and_what_follows_is_undone() {
    let mut steps = vec![
        step("A", &[], None),
        step("B", &[(0, true)], None),
        step("C", &[(1, true)], None),
        step("D", &[(2, true)], None),
        undoing("UA", &[0]),
        undoing("UC", &[2]),
    ];
    steps[0].compensate = Some(StepId(4));
    steps[1].irreversible = true;
    steps[2].compensate = Some(StepId(5));
    let mut hand = Hand::new(graph(steps));
    for id in 0..3 {
        hand.answer(id, Ok((10 + id).into()));
    }
    hand.answer(3, Err("no"));
    assert_eq!(hand.inputs(ItemId(0), StepId(5).into()), [(2, 12.into())]);
    hand.answer(5, Ok(1.into()));
    assert_eq!((hand.starts(4), hand.starts(5)), (0, 1));
    assert_eq!(hand.state(), Some(ItemState::Failed), "A stands, though it could have been undone alone");
    let standing = &hand.run.dead_letters()[0].end.uncompensated;
    assert_eq!(standing[0].step, Some(StepId(0)));
    assert!(standing[0].message.starts_with("`B`, which is irreversible"), "{standing:?}");
}

#[test]
fn the_elements_of_a_list_are_undone_side_by_side_each_with_its_own_values() {
    let mut graph = spread();
    graph.steps[2].inputs.clear();
    let (element, id) = (ValueId(3), StepId(graph.steps.len() as u32));
    graph.steps[1].compensate = Some(id);
    graph.steps.push(undoing("U", &[element.0, 1, 0]));
    let mut hand = Hand::new(graph);
    let of = |element: u32| StepPath { step: StepId(1), element: Some(element) };
    hand.answer(0, Ok(json!(["x", "y", "z"])));
    hand.answer_as(ItemId(0), of(0), Ok("made of x".into()));
    hand.answer_as(ItemId(0), of(1), Err("lost"));
    hand.answer_as(ItemId(0), of(2), Ok("made of z".into()));
    let undo = |element: u32| StepPath { step: id, element: Some(element) };
    let list = json!(["x", "y", "z"]);
    assert_eq!(
        hand.inputs(ItemId(0), undo(0)),
        [(3, "x".into()), (1, "made of x".into()), (0, list.clone())]
    );
    assert_eq!(hand.inputs(ItemId(0), undo(1)), [(3, "y".into()), (1, Value::Null), (0, list)]);
    for element in [2, 0] {
        hand.answer_as(ItemId(0), undo(element), Ok(1.into()));
    }
    assert_eq!(hand.state(), None);
    hand.answer_as(ItemId(0), undo(1), Err("nobody there"));
    assert_eq!(hand.state(), Some(ItemState::CompensationFailed));
    let letter = &hand.run.dead_letters()[0];
    let standing: Vec<&str> = letter.end.uncompensated.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(standing, ["nobody there"]);
}
