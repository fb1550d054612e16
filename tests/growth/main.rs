//! Work grows in proportion to what there is to do. It is counted and not timed: calls for memory and bytes asked for and,
//! where valgrind is, instructions (`cargo test --test growth -- --ignored`).

use orderflow::diag::{Source, render};
use orderflow::disk::Named;
use orderflow::engine::{Limits, Policy, Run};
use orderflow::event::{
    AttemptEvent, Event, ItemEvent, ItemId, RunEvent, StepEvent, StepId, StepPath, StopReason,
};
use orderflow::items::{self, Duplicates, Items, Shape};
use orderflow::stats::{Dimension, Fold};
use orderflow::value::Value;
use orderflow::{graph, journal, session, spec, view};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Four times as much to do may be at most so many times the work.
const MOST: f64 = 5.0;

type Text = (&'static str, fn(usize) -> String);

fn each(count: usize, text: impl Fn(usize) -> String) -> String {
    (0..count).map(text).collect()
}

fn joined(count: usize, with: &str, text: impl Fn(usize) -> String) -> String {
    (0..count).map(text).collect::<Vec<_>>().join(with)
}

fn trace(count: usize) -> String {
    let rows = each(count, |at| format!(" A,a,null,x{at},y{at},{},success,{at},0.{at},i{at}\n", 10 + at % 7));
    format!(
        "execution[{count}]{{phase,agent,channel,input,output,duration_ms,status,tokens_used,usd,item}}:\n{rows}"
    )
}

/// A document with one step, and this below it.
fn below(text: &str) -> String {
    format!("# T\n\n## A @a\nx::Integer -> y\n\n{text}\n")
}

fn typed(text: &str) -> String {
    format!("# T\n\n## A @a\nx::T -> y\n\n## Types\n\n```ts\n{text}\n```\n")
}

const DOCUMENTS: [Text; 25] = [
    ("steps in a row", |n| {
        format!("# T\n\n{}", each(n, |at| format!("## S{at} @a\nv{at} -> v{}\n\n", at + 1)))
    }),
    ("steps side by side", |n| {
        format!("# T\n\n{}", each(n, |at| format!("## S{at} @a{at} #c{at}\nx -> v{at}\n\n")))
    }),
    ("groups", |n| {
        format!("# T\n\n{}", each(n, |at| format!("## G{at}\n\n### S @a\nv{at} -> v{}\n\n", at + 1)))
    }),
    ("compensations", |n| {
        let pair = |at| format!("## S{at} [compensate:: U{at}]\nx -> v{at}\n\n## U{at}\nv{at} -> w{at}\n\n");
        format!("# T\n\n{}", each(n, pair))
    }),
    ("values of a step", |n| {
        let made = joined(n, ", ", |at| format!("v{at}"));
        format!("# T\n\n## A @a\nx -> {made}\n\n## B\n{made} -> z\n")
    }),
    ("steps that make one value", |n| {
        format!("# T\n\n{}", each(n, |at| format!("## S{at}\nv{at} -> w\n\n")))
    }),
    ("states", |n| {
        let rows = each(n, |at| format!("    S{at} --> S{}\n", at + 1));
        below(&format!("## States\n\n```mermaid\nstateDiagram-v2\n{rows}```\n"))
    }),
    ("types", |n| {
        typed(&format!("type T = string\n{}", each(n, |at| format!("type U{at} = {{ a: string }}\n"))))
    }),
    ("fields of a type", |n| {
        typed(&format!("type T = {{ {} }}", joined(n, ", ", |at| format!("f{at}: string"))))
    }),
    ("words of a type", |n| typed(&format!("type T = {}", joined(n, " | ", |at| format!("\"s{at}\""))))),
    ("cells of a table", |n| {
        let cells = |text: &str| format!("| {} |\n", joined(n, " | ", |at| format!("{text}{at}")));
        below(&format!("{}|{}\n{}", cells("c"), "---|".repeat(n), cells("v")))
    }),
    ("rows of a table", |n| {
        below(&format!("| a | b |\n|---|---|\n{}", each(n, |at| format!("| {at} | x |\n"))))
    }),
    ("one word", |n| below(&"w".repeat(20 * n))),
    ("a long title", |n| format!("# T\n\n## {} @a\nx -> y\n", "A".repeat(5 * n))),
    ("a long name", |n| format!("# T\n\n## A @a\nx -> {}\n", "y".repeat(5 * n))),
    ("a pattern", |n| {
        let pattern = "a".repeat(n);
        let schema = format!("{{\"$defs\":{{\"T\":{{\"type\":\"string\",\"pattern\":\"{pattern}\"}}}}}}");
        format!("# T\n\n## A @a\nx::T -> y\n\n## Types\n\n```json schema\n{schema}\n```\n")
    }),
    ("decisions", |n| {
        format!("{}\n## B\ny -> z\n", below(&each(n, |at| format!("- If x == {at}, go to B\n"))))
    }),
    ("conditions", |n| below(&each(n, |at| format!("## B{at} [when:: x == {at}]\ny -> z{at}\n\n")))),
    ("one condition", |n| {
        below(&format!("## B [when:: {} == x]\ny -> z\n", joined(n, " + ", |_| "x".into())))
    }),
    ("quotes", |n| below(&each(n, |at| format!("> quote {at}\n\n")))),
    ("expectations", |n| below(&format!("> [!expect] {}\n", joined(n, ", ", |at| format!("p95 < {at}s"))))),
    ("fields", |n| below(&each(n, |at| format!("[x-f{at}:: {at}]\n")))),
    ("fences", |n| below(&each(n, |at| format!("```\n{at}\n```\n\n")))),
    ("front matter", |n| format!("---\n{}---\n{}", each(n, |at| format!("x-a{at}: 1\n")), below(""))),
    ("executions", |n| below(&format!("```session-toon\n{}```\n", trace(n)))),
];

/// Reads, links, draws, plans and verifies a document, and shows its problems.
fn use_document(text: &str) {
    let source = Source::new("x.md", text);
    let (spec, mut problems) = spec::parse(&source);
    let (graph, more) = graph::build(&source, &spec);
    problems.extend(more);
    problems.extend(session::check(&source, &spec, graph.as_ref()));
    render::human(&source, &problems, false);
    let Some(graph) = graph else { return };
    view::graph::text(&graph);
    view::graph::mermaid(&graph);
    view::graph::json(&graph);
    view::plan::text(&graph, &[], &[], Some(80));
    view::plan::json(&graph, &[], &[]);
    session::verify(&source, &spec, &graph);
}

/// Calls for memory, and bytes, beyond those of the least.
fn used(work: &dyn Fn(usize), size: usize) -> (f64, f64) {
    let count = |size| {
        let region = Region::new(MEMORY);
        work(size);
        let change = region.change();
        ((change.allocations + change.reallocations) as f64, change.bytes_allocated as f64)
    };
    let (calls, bytes) = count(1);
    let (more, larger) = count(size);
    (more - calls, larger - bytes)
}

/// What grows faster than what there is to do.
fn too_fast(name: &str, size: usize, work: &dyn Fn(usize)) -> Option<String> {
    work(1);
    let (once, four) = (used(work, size), used(work, 4 * size));
    // What takes next to nothing may take some steps at once.
    let ratio = |four: f64, once: f64| four / once.max(100.0);
    let (calls, bytes) = (ratio(four.0, once.0), ratio(four.1, once.1));
    (calls > MOST || bytes > MOST)
        .then(|| format!("{name}: {calls:.1} times the calls, {bytes:.1} times the bytes"))
}

fn read_items(folder: &Path, count: usize) {
    let source = Source::new("x.md", "# T\n\n## A @a\nid::Integer, total::Number?, note -> b\n");
    let graph = graph::build(&source, &spec::parse(&source).0).0.unwrap();
    let path = folder.join("items.csv");
    fs::write(&path, format!("id,total,note\n{}", each(count, |at| format!("{at},{at}.5,n{at}\n")))).unwrap();
    let source = items::Source::find(&Named::by_user(&path)).unwrap();
    let shape = Shape::new(&graph, Vec::new(), None);
    let checked = Items { source, shape, duplicates: Duplicates::Error, only: Vec::new() }.check().unwrap();
    assert_eq!(checked.problems.count, 0);
    assert_eq!(checked.stream().unwrap().map(Result::unwrap).count(), count);
}

fn fold(session: &[u8]) {
    let mut fold = Fold::new(vec![Dimension::Agent, Dimension::Status]).judged();
    fold.session(session).unwrap();
    fold.finish_judged();
}

/// The folder of a run with so many items.
fn run(folder: &Path, count: usize) -> std::path::PathBuf {
    let place = folder.join(count.to_string());
    fs::create_dir(&place).unwrap();
    fs::write(place.join("x.md"), "# T\n\n## A @a\nx -> y\n\n## B @b\ny -> z\n").unwrap();
    fs::write(place.join("items.jsonl"), each(count, |at| format!("{{\"id\": {at}, \"x\": \"{at}\"}}\n")))
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderflow"));
    command.args(["run", "x.md", "--stub", "--items", "items.jsonl", "--quiet"]);
    let ran = command.current_dir(&place).env("XDG_STATE_HOME", folder.join("state")).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let mut runs = fs::read_dir(place.join(".orderflow/runs")).unwrap();
    runs.next().unwrap().unwrap().path()
}

/// Folds a run that was interrupted again and again, each time with all of its items in flight.
fn interruptions(count: usize) {
    let source = Source::new("x.md", "# T\n\n## A @a\nx -> y\n\n## B @b\ny -> z\n");
    let graph = Arc::new(graph::build(&source, &spec::parse(&source).0).0.unwrap());
    let items = || (0..count as u64).map(ItemId);
    let attempt = |item, change: AttemptEvent| change.of(item, StepId(0), 1, 1);
    let admitted = |item: ItemId| ItemEvent::Admitted { key: item.0.to_string().into(), inputs: Vec::new() };
    let begun = |item| [admitted(item).of(item, 0), attempt(item, AttemptEvent::Started)];
    let again = |item| {
        let stopped = |why| RunEvent::Stopped(why).at(1);
        let repeated = attempt(item, AttemptEvent::Repeated);
        [stopped(StopReason::Interrupted), repeated, stopped(StopReason::Cancelled)]
    };
    let events: Vec<Event> = items().flat_map(begun).chain(items().flat_map(again)).collect();
    let policy = Policy::of(&graph, Limits::jobs(usize::MAX));
    let run = Run::fold(graph, policy, &events).unwrap();
    assert_eq!((run.under_way(), run.stopped()), (count, Some(StopReason::Cancelled)));
}

/// Folds a run of one item with so many elements in flight, which is stopped as often.
fn stops(count: usize) {
    let source = Source::new("x.md", "# T\n\n## A @a [each:: x in xs]\nx -> y\n");
    let graph = Arc::new(graph::build(&source, &spec::parse(&source).0).0.unwrap());
    let list = Value::Array((0..count).map(Value::from).collect());
    let inputs = vec![(graph.inputs[0], Arc::new(list))];
    let admitted = ItemEvent::Admitted { key: "1".into(), inputs }.of(ItemId(0), 0);
    let attempt = |element, change: AttemptEvent| {
        change.of(ItemId(0), StepPath::element(StepId(0), element as u32), 1, 1)
    };
    let begun = (0..count).map(|element| attempt(element, AttemptEvent::Started));
    let again = |element| {
        let stopped = |why| RunEvent::Stopped(why).at(1);
        let repeated = attempt(element, AttemptEvent::Repeated);
        [stopped(StopReason::Interrupted), repeated, stopped(StopReason::Cancelled)]
    };
    let events: Vec<Event> = [admitted, StepEvent::ConditionHeld(StepId(0)).of(ItemId(0), 0)]
        .into_iter()
        .chain(begun)
        .chain((0..count).flat_map(again))
        .collect();
    let policy = Policy::of(&graph, Limits::jobs(usize::MAX));
    let run = Run::fold(graph, policy, &events).unwrap();
    assert_eq!((run.under_way(), run.stopped()), (count, Some(StopReason::Cancelled)));
}

#[test]
fn memory_is_asked_for_in_proportion() {
    let folder = tempfile::tempdir().unwrap();
    let mut found = Vec::new();
    for (name, document) in DOCUMENTS {
        found.extend(too_fast(name, 256, &|size| use_document(&document(size))));
    }
    found.extend(too_fast("rows of items", 500, &|size| read_items(folder.path(), size)));
    found.extend(too_fast("interruptions", 256, &interruptions));
    found.extend(too_fast("stops of one item", 256, &stops));
    found.extend(too_fast("rows of a session", 500, &|size| fold(trace(size).as_bytes())));
    let homes = [1, 50, 200].map(|count| run(folder.path(), count));
    let events = |size| {
        let home = &homes[match size {
            1 => 0,
            50 => 1,
            _ => 2,
        }];
        let (_, records) = journal::read_at_rest(home).unwrap();
        let mut count = 0;
        let mut each = |_| -> Result<(), journal::Unreadable> {
            count += 1;
            Ok(())
        };
        records.each(&mut each).unwrap();
        assert!(count >= size);
    };
    found.extend(too_fast("events of a journal", 50, &events));
    assert_eq!(found, [""; 0]);
}
