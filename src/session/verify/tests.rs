//! What the engine does is never a difference, and a trace that was tampered with is.

use super::super::document::CellPlaces;
use super::super::layout::Layout;
use super::super::row::Row;
use super::{Findings, hold};
use crate::diag::{Diagnostic, Source};
use crate::engine::simulator::{World, random_graph, random_policy};
use crate::engine::tests::states::document;
use crate::engine::{Out, Retries, RetryRequest, Run};
use crate::event::{Event, EventKind, ItemEvent, ItemId, RunEvent, Settlement, Status, StepEvent, StepId};
use crate::graph::{Graph, Kind};
use crate::value::Type;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// A run of a simulated world: its graph and the rows that it leaves. Values have types, so that labels tell
/// what conditions were decided by.
fn run(seed: u64) -> (Graph, Vec<Row>) {
    let graph = simulated(seed);
    let rows = rows(&graph, &live(seed, &graph));
    (graph, rows)
}

fn simulated(seed: u64) -> Graph {
    let mut graph = random_graph(seed);
    for step in &graph.steps {
        let ty = if step.kind == Kind::Handler { Type::Boolean } else { Type::Integer };
        for output in &step.outputs {
            graph.values[output.value.index()].ty = Some(ty.clone());
        }
    }
    // Steps that change the state side by side are an error in a document.
    let speaking = || graph.order.iter().copied().filter(|id| graph.step(*id).state.is_some());
    let ordered = |one: StepId, other: StepId| one == other || graph.leads_to(one, &|step| step == other);
    let sound = speaking().all(|one| speaking().all(|other| ordered(one, other) || ordered(other, one)));
    if !sound {
        graph.initial = None;
        graph.steps.iter_mut().for_each(|step| step.state = None);
    }
    graph
}

fn live(seed: u64, graph: &Graph) -> Vec<Event> {
    let graph = Arc::new(graph.clone());
    let mut run = Run::new(graph.clone(), random_policy(seed));
    World::new(seed, graph).live(&mut run, &mut Out::default())
}

/// What happened before and after the runner died, or, with `retried`, before and after failed items ran again.
fn go_on(seed: u64, graph: &Graph, mut seen: Vec<Event>, retried: bool) -> Vec<Event> {
    let graph = Arc::new(graph.clone());
    let mut failed = BTreeSet::new();
    let mut retries = Retries::default();
    for event in &seen {
        retries.see(event);
        let (item, state) = match &event.kind {
            EventKind::Item(item, ItemEvent::Settled { end: Settlement { state, .. }, .. }) => {
                (*item, *state)
            }
            EventKind::Run(RunEvent::StepsEnded(Settlement { state, .. })) => (ItemId::RUN, *state),
            _ => continue,
        };
        failed.remove(&item);
        failed.extend(state.is_failure().then_some(item));
    }
    // The steps of the run run again alone, or for what comes of the items.
    let alone = failed.len() == 1;
    let again = failed.into_iter().filter(|item| retried && (alone || *item != ItemId::RUN));
    let again: Vec<RetryRequest> = again.map(RetryRequest::of).collect();
    again.iter().for_each(|retry| retries.add(retry.item));
    let mut run = Run::new(graph.clone(), random_policy(seed));
    for event in &seen {
        run.recall_past(event, &mut retries).unwrap();
    }
    let mut world = World::new(seed, graph).after_crash(&seen);
    let mut out = Out::default();
    run.resume(&again, world.now, &mut out);
    seen.extend(world.live(&mut run, &mut out));
    seen
}

fn rows(graph: &Graph, events: &[Event]) -> Vec<Row> {
    let layout = Layout::of(graph);
    let mut keys = HashMap::new();
    let mut rows = Vec::new();
    for event in events {
        match &event.kind {
            EventKind::Item(item, ItemEvent::Admitted { key, .. }) => drop(keys.insert(*item, key)),
            EventKind::Step(item, StepEvent::Ended(execution)) => {
                rows.extend(layout.row(keys.get(item).unwrap_or(&&"run".into()), execution))
            }
            _ => {}
        }
    }
    rows
}

fn differences(graph: &Graph, rows: &[Row]) -> Vec<Diagnostic> {
    let places = vec![CellPlaces::default(); rows.len()];
    let Findings { differences, .. } = hold(graph, rows, &places);
    differences
}

fn shown(rows: &[Row]) -> String {
    let line = |row: &Row| {
        let Row { phase, item, status, attempt, started_ms, duration_ms, error, .. } = row;
        format!("{item:?} {phase} {status:?} #{attempt:?} {started_ms:?}+{duration_ms:?} {error:?}\n")
    };
    rows.iter().map(line).collect()
}

/// What is told of rows that nobody tampered with: nothing.
fn assert_sound(seed: u64, graph: &Graph, rows: &[Row]) {
    let told: Vec<String> =
        differences(graph, rows).into_iter().map(|difference| difference.message).collect();
    assert!(told.is_empty(), "seed {seed}: {told:#?} of\n{}", shown(rows));
}

#[test]
fn what_the_engine_does_verifies() {
    let mut conditional = 0;
    // The last has a step for each element of an empty list behind a decision.
    for seed in (0..600).chain([5699]) {
        let (graph, rows) = run(seed);
        assert_sound(seed, &graph, &rows);
        conditional += rows.iter().filter(|row| row.status == Status::Skipped).count();
    }
    assert!(conditional > 100, "{conditional} rows tell of conditions");
}

#[test]
fn what_the_engine_does_verifies_where_its_runner_died_and_where_items_ran_again() {
    let mut undone = 0;
    for seed in 0..250 {
        let graph = simulated(seed);
        let events = live(seed, &graph);
        for part in 1..4 {
            let cut = go_on(seed, &graph, events[..events.len() * part / 4].to_vec(), false);
            assert_sound(seed, &graph, &rows(&graph, &cut));
        }
        let twice = go_on(seed, &graph, events, true);
        let thrice = go_on(seed, &graph, twice, true);
        let rows = rows(&graph, &thrice);
        assert_sound(seed, &graph, &rows);
        // A document has the rows without times.
        let untimed: Vec<Row> = rows.iter().map(|row| Row { started_ms: None, ..row.clone() }).collect();
        assert_sound(seed, &graph, &untimed);
        undone += rows.iter().filter(|row| row.status == Status::Compensated).count();
    }
    assert!(undone > 300, "{undone} executions were undone");
}

/// A compensation whose row is changed in one way, and all that it can be told by.
#[test]
fn what_undoes_too_early_or_twice_or_out_of_order_is_told() {
    let (mut early, mut again, mut order) = (0, 0, 0);
    for seed in 0..800 {
        let (graph, rows) = run(seed);
        let step = |row: &Row| graph.by_phase(&row.phase).unwrap();
        let differs = |changed: Vec<Row>, what: &str| {
            let told = differences(&graph, &changed);
            assert!(
                told.iter().any(|told| told.code == "row-compensation"),
                "seed {seed}, {what}:\n{}",
                shown(&changed)
            );
        };
        let undone: Vec<usize> =
            (0..rows.len()).filter(|row| rows[*row].status == Status::Compensated).collect();
        for &index in &undone {
            let by = &rows[index];
            let own = |row: &&Row| row.item == by.item && graph.step(step(row)).compensate == Some(step(by));
            let mut before: Vec<&Row> = rows.iter().filter(own).collect();
            before.sort_by_key(|row| row.started_ms);
            let mut changed = rows.clone();
            let copy = Row { started_ms: Some(1_000_000), ..by.clone() };
            let copies = 1 + before.len();
            changed.extend(std::iter::repeat_n(copy, copies));
            again += 1;
            differs(changed, "again");
            if let Some(first) = before.first().filter(|first| first.duration_ms > Some(0.0)) {
                let mut changed = rows.clone();
                changed[index].started_ms = first.started_ms;
                early += 1;
                differs(changed, "early");
            }
        }
        let pairs = undone.iter().flat_map(|one| undone.iter().map(|other| [*one, *other]));
        for pair in pairs.filter(|[one, other]| one != other) {
            let [one, other] = pair.map(|row| &rows[row]);
            let alone = |row: &Row| {
                let names = graph.order.iter().filter(|id| graph.step(**id).compensate == Some(step(row)));
                let names: Vec<_> = names.collect();
                let count = |step: StepId| {
                    let same =
                        |other: &&Row| other.item == row.item && graph.by_phase(&other.phase) == Some(step);
                    rows.iter().filter(same).count()
                };
                let once = graph.order.iter().all(|id| count(*id) <= 1) && count(step(row)) == 1;
                (names.len() == 1 && once).then(|| *names[0])
            };
            let (Some(last), Some(first), true) = (alone(one), alone(other), one.item == other.item) else {
                continue;
            };
            if graph.leads_to(first, &|step| step == last) && one.duration_ms > Some(0.0) {
                let mut changed = rows.clone();
                changed[pair[0]].started_ms =
                    other.started_ms.zip(other.duration_ms).map(|(start, lasts)| start + lasts as u64);
                changed[pair[1]].started_ms = one.started_ms;
                order += 1;
                differs(changed, "order");
            }
        }
    }
    assert!(early > 100 && again > 100 && order > 5, "{early} early, {again} again, {order} out of order");
}

/// Documents whose steps speak of states, well or badly: what comes in a wrong one fails in the engine, and had it
/// run, that is told.
#[test]
fn states_verify_as_the_engine_holds_them() {
    let (mut sound, mut told) = (0, 0);
    for seed in 0..400 {
        let source = Source::new("test.md", document(seed));
        let (spec, _) = crate::spec::parse(&source);
        let (Some(mut graph), _) = crate::graph::build(&source, &spec) else { continue };
        graph.steps.iter_mut().for_each(|step| step.timeout = Some(Duration::from_millis(20)));
        for world in 0..4 {
            let events = live(seed * 100 + world, &graph);
            let rows = rows(&graph, &events);
            assert_sound(seed, &graph, &rows);
            assert_sound(seed, &graph, &self::rows(&graph, &go_on(seed * 100 + world, &graph, events, true)));
            sound += 1;
            for index in 0..rows.len() {
                let wrong = rows[index]
                    .error
                    .as_ref()
                    .is_some_and(|error| error.starts_with("it starts in the state"));
                let visits =
                    rows.iter().filter(|row| row.item == rows[index].item && row.phase == rows[index].phase);
                // A handler comes at any time, and may have come in another state.
                let forward = graph.step(graph.by_phase(&rows[index].phase).unwrap()).kind == Kind::Forward;
                if wrong && forward && visits.count() == 1 {
                    let mut changed = rows.clone();
                    changed[index] = Row {
                        status: Status::Success,
                        attempt: Some(1),
                        error: None,
                        ..changed[index].clone()
                    };
                    let differences = differences(&graph, &changed);
                    let codes: Vec<&str> = differences.iter().map(|told| told.code).collect();
                    assert!(
                        codes.contains(&"row-state"),
                        "seed {seed}: {codes:?} of\n{}\n{}",
                        shown(&changed),
                        source.text
                    );
                    told += 1;
                }
            }
        }
    }
    assert!(sound > 100 && told > 10, "{sound} runs, {told} of them tampered with");
}

#[test]
fn a_trace_that_was_tampered_with_does_not() {
    let mut tampered = 0;
    for seed in 0..500 {
        let (graph, rows) = run(seed);
        for (index, row) in rows.iter().enumerate() {
            let step = graph.step(graph.by_phase(&row.phase).unwrap());
            let of_item = |phase: &str| {
                rows.iter().any(|other| {
                    *other.phase == *phase && other.item == row.item && other.status != Status::Skipped
                })
            };
            let waits = |id: &crate::graph::StepId| {
                let dependent = graph.step(*id);
                let data = dependent.inputs.iter().any(|input| {
                    !input.optional && step.outputs.iter().any(|output| output.value == input.value)
                });
                data && dependent.once == step.once && of_item(&dependent.phase)
            };
            // Rows of several visits stand for each other.
            let undone = |other: &Row| other.item == row.item && other.status == Status::Compensated;
            // In loops the rows of another round may stand for it.
            let unsure = !graph.repeats.is_empty() || rows.iter().any(undone);
            if row.status != Status::Success || !step.dependents.iter().any(waits) || unsure {
                continue;
            }
            tampered += 3;
            let mut changed = rows.clone();
            changed[index].status = Status::Cancelled;
            assert!(!differences(&graph, &changed).is_empty(), "seed {seed}: {index} cancelled");
            let mut changed = rows.clone();
            changed.remove(index);
            // How many elements a list had is told by their rows alone.
            assert!(
                step.each.is_some() || !differences(&graph, &changed).is_empty(),
                "seed {seed}: {index} removed"
            );
            let mut changed = rows.clone();
            changed.insert(index, row.clone());
            assert!(!differences(&graph, &changed).is_empty(), "seed {seed}: {index} doubled");
        }
    }
    assert!(tampered > 300, "only {tampered} rows were tampered with");
}

#[test]
fn a_step_that_began_without_its_approval_is_found() {
    let mut tampered = 0;
    for seed in 0..600 {
        let (graph, rows) = run(seed);
        for index in 0..rows.len() {
            let open = |(name, value): &(Arc<str>, crate::value::Value)| {
                **name == *"gate" && value.as_str().is_some_and(|said| said.starts_with("approved"))
            };
            let Some(at) = rows[index].columns.iter().position(open) else { continue };
            if rows[index].attempt.is_none() {
                continue;
            }
            let differs = |said: crate::value::Value| {
                let mut changed = rows.clone();
                changed[index].columns[at].1 = said;
                let found = differences(&graph, &changed);
                let code = found.iter().any(|found| found.code == "row-gate");
                assert!(code, "seed {seed}: {found:?} of\n{}", shown(&changed));
            };
            differs(crate::value::Value::Null);
            differs("rejected".into());
            tampered += 2;
        }
    }
    assert!(tampered > 100, "only {tampered} rows were tampered with");
}

#[test]
fn a_step_that_began_without_its_event_is_found() {
    let mut tampered = 0;
    for seed in 0..400 {
        let (graph, rows) = run(seed);
        for index in (0..rows.len()).filter(|index| rows[*index].attempt.is_some()) {
            let is_id = |(name, _): &(Arc<str>, crate::value::Value)| **name == *"event_id";
            let Some(at) = rows[index].columns.iter().position(is_id) else { continue };
            let mut changed = rows.clone();
            changed[index].columns[at].1 = crate::value::Value::Null;
            let found = differences(&graph, &changed);
            assert!(found.iter().any(|found| found.code == "row-event"), "seed {seed}: {found:?}");
            tampered += 1;
        }
    }
    assert!(tampered > 30, "only {tampered} rows were tampered with");
}

/// How many of the traces are found wrong that differ from what the engine did in one thing: a status, a row that is
/// dropped or doubled, the times of two rows. Many of them the engine could have done too.
#[test]
fn most_changes_of_one_row_are_found() {
    let mut found: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for seed in 0..300 {
        let (graph, rows) = run(seed);
        // What a round of a loop came to is mostly settled by the next one.
        if !graph.repeats.is_empty() {
            continue;
        }
        let mut change = |kind: &'static str, change: &dyn Fn(&mut Vec<Row>)| {
            let mut changed = rows.clone();
            change(&mut changed);
            let [wrong, all] = found.entry(kind).or_default();
            *wrong += usize::from(!differences(&graph, &changed).is_empty());
            *all += 1;
        };
        for (index, row) in rows.iter().enumerate() {
            for status in Status::ALL.into_iter().filter(|status| *status != row.status) {
                change(status.name(), &|rows| rows[index].status = status);
            }
            change("dropped", &|rows| drop(rows.remove(index)));
            change("doubled", &|rows| rows.insert(index, row.clone()));
            for (other, second) in rows.iter().enumerate().skip(index + 1) {
                if second.item == row.item && second.started_ms != row.started_ms {
                    change("swapped", &|rows| {
                        rows[index].started_ms = second.started_ms;
                        rows[other].started_ms = row.started_ms;
                    });
                }
            }
        }
    }
    let all = found.values().fold([0, 0], |sum, count| [sum[0] + count[0], sum[1] + count[1]]);
    assert!(all[0] * 100 > all[1] * 58, "{all:?}: {found:?}");
}
