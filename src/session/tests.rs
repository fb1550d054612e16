//! Traces end to end: documents, files, replay and recording agree with each other.

use super::*;
use crate::diag::{Severity, Source};
use crate::event::{
    Event, EventKind, Execution, ItemEvent, ItemId, ItemState, RunEvent, Settlement, Status, StepEvent,
};
use crate::graph::{self, Graph, StepId};
use crate::spec;
use crate::value::{Object, Value};
use proptest::prelude::*;
use serde_json::json;
use std::path::Path;
use std::sync::{Arc, OnceLock};

mod refused;

pub(crate) const ORIGINAL: &str = include_str!("../../tests/fixtures/order-processing-original.md");

/// The graph of a document and the rows in it.
pub(crate) fn document(text: &str) -> (Graph, Vec<Row>) {
    let source = Source::new("x.md", text);
    let (spec, problems) = spec::parse(&source);
    assert!(problems.iter().all(|problem| problem.severity == Severity::Warning), "{problems:?}");
    let (graph, problems) = graph::build(&source, &spec);
    let graph = graph.unwrap_or_else(|| panic!("{problems:?}"));
    assert_eq!(check(&source, &spec, Some(&graph)), []);
    (graph, recorded(&source, &spec).rows)
}

/// The graph of the original document, built once.
pub(crate) fn original() -> &'static Graph {
    static GRAPH: OnceLock<Graph> = OnceLock::new();
    GRAPH.get_or_init(|| document(ORIGINAL).0)
}

pub(crate) fn head() -> Head {
    Head {
        run: "r1".to_owned(),
        workflow: "A: b".to_owned(),
        source: "x.md".to_owned(),
        started: "2026-11-20T08:00:00Z".to_owned(),
        complete: true,
    }
}

/// Records events; the file's text.
pub(crate) fn record(graph: &Graph, events: &[Event], summary: &Object) -> String {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("session.toon");
    record_into(&target, graph, events, summary).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    std::fs::read_to_string(target).unwrap()
}

fn record_into(target: &Path, graph: &Graph, events: &[Event], summary: &Object) -> std::io::Result<u64> {
    let mut recorder = Recorder::new(graph, target)?;
    let mut entries = Entries::new(graph);
    for entry in events.iter().filter_map(|event| entries.take(event)) {
        recorder.take(entry)?;
    }
    recorder.finish(&head(), summary)
}

pub(crate) fn read(text: &str) -> (Vec<Row>, Session) {
    let mut rows = Vec::new();
    let session = read_session(text.as_bytes(), |_, row| rows.push(row.to_row())).unwrap();
    (rows, session)
}

fn states(events: &[Event]) -> Vec<(String, ItemState)> {
    let settled = events.iter().filter_map(|event| match &event.kind {
        EventKind::Item(item, ItemEvent::Settled { key, end: Settlement { state, .. } }) => {
            Some((*item, key.to_string(), *state))
        }
        _ => None,
    });
    let mut settled: Vec<_> = settled.collect();
    settled.sort();
    settled.into_iter().map(|(_, key, state)| (key, state)).collect()
}

/// A row without what recording adds: the item, and nulls where other phases have columns.
fn bare(row: &Row) -> String {
    let mut row = row.clone();
    row.item = None;
    row.columns.retain(|(_, value)| !value.is_null());
    row.columns.sort_by(|one, other| one.0.cmp(&other.0));
    format!("{row:?}")
}

fn sorted(rows: &[Row]) -> Vec<String> {
    let mut rows: Vec<_> = rows.iter().map(bare).collect();
    rows.sort();
    rows
}

#[test]
fn the_original_document_is_linked_and_replayed_as_recorded() {
    let (graph, rows) = document(ORIGINAL);
    assert_eq!(rows.len(), 23);
    let layout = Layout::of(&graph);
    let items = link(&layout, &rows);
    let phases = |item: &link::LinkedItem| {
        item.rows.iter().map(|row| rows[*row].phase.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(items.len(), 5);
    assert_eq!(phases(&items[2]), ["ReceiveOrder", "CheckInventory", "HandleFailedOrders"]);
    // Nothing but its failure leads the second handler row to the fourth order.
    assert_eq!(phases(&items[3]), ["ReceiveOrder", "HandleFailedOrders"]);
    assert_eq!(rows[items[3].rows[1]].input.as_deref(), Some("order_004"));
    assert_eq!(phases(&items[0]).len(), 6);

    let events = replay(&graph, &rows).unwrap();
    let (succeeded, failed) = (ItemState::Succeeded, ItemState::Failed);
    let key = |number: u32| format!("req_00{number}.json");
    assert_eq!(
        states(&events),
        [(key(1), succeeded), (key(2), succeeded), (key(3), failed), (key(4), failed), (key(5), succeeded)]
    );
    let (read_back, session) = read(&record(&graph, &events, &Object::new()));
    assert!(session.problems.is_empty(), "{:?}", session.problems);
    assert_eq!(session.head, Some(head()));
    assert_eq!(sorted(&read_back), sorted(&rows));
    let owned = session.layout.unwrap().phases[2].fields.clone();
    assert_eq!(owned, [Arc::from("amount_usd")]);
}

#[test]
fn a_session_file_shows_items_in_graph_order_with_all_columns() {
    let (graph, rows) = document(ORIGINAL);
    let mut summary = Object::new();
    summary.insert("rows".to_owned(), json!(23));
    summary.insert("mean_ms".to_owned(), json!(1.5));
    let text = record(&graph, &replay(&graph, &rows).unwrap(), &summary);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "orderflow: 1");
    assert_eq!(lines[2], "workflow: \"A: b\"");
    assert_eq!(lines[5], "phases[7]{name,agent,channel,critical,optional,fields,kind}:");
    assert_eq!(lines[8], "  ProcessPayment,payment-service,payments,true,false,amount_usd,forward");
    assert_eq!(lines[12], "  HandleFailedOrders,order-api,orders,false,true,retry_count,handler");
    let from = lines.iter().position(|line| line.starts_with("execution")).unwrap();
    assert_eq!(
        lines[from],
        "execution[23]{phase,agent,channel,input,output,duration_ms,status,tokens_used,customer_id,items_count,amount_usd,carrier,email_sent,retry_count,item,attempt,started_ms,error}:"
    );
    assert_eq!(
        lines[from + 3],
        "  ProcessPayment,payment-service,payments,order_001,receipt_001,1240,success,520,null,null,89.99,null,null,null,req_001.json,null,null,null"
    );
    assert_eq!(&lines[from + 24..], ["summary:", "  rows: 23", "  mean_ms: 1.5", "complete: true"]);
}

#[test]
fn a_session_told_again_makes_the_same_file() {
    let (graph, rows) = document(ORIGINAL);
    let text = record(&graph, &replay(&graph, &rows).unwrap(), &Object::new());
    let (read_back, _) = read(&text);
    assert_eq!(record(&graph, &replay(&graph, &read_back).unwrap(), &Object::new()), text);
}

#[test]
fn a_run_without_rows_is_a_whole_file() {
    let (graph, _) = document(ORIGINAL);
    let text = record(&graph, &[], &Object::new());
    assert!(text.contains("\nexecution: []\n"), "{text}");
    let (rows, session) = read(&text);
    assert!(rows.is_empty() && session.problems.is_empty(), "{:?}", session.problems);
}

/// `a` makes what `b` needs; `h` handles failed items.
const RETURNING: &str = "# T\n\n## A @x\nreq → a\n\n```session-toon\nexecution[2]{phase,input,output,duration_ms,status,item}:\n A,r1,a1,10,success,one\n A,r2,a2,20,success,two\n```\n\n## B @x\na → b\n\n```session-toon\nexecution[3]{phase,input,output,duration_ms,status,item}:\n B,a1,null,5,failed,one\n B,a1,b1,6,success,one\n B,a2,b2,7,success,two\n```\n\n## C @x\nb → c\n\n```session-toon\nexecution[2]{phase,input,output,duration_ms,status,item}:\n C,b1,c1,1,success,one\n C,b2,c2,1,success,two\n```\n\n## H @x\nfailed_items → retry::Boolean\n\n```session-toon\nexecution[1]{phase,input,output,duration_ms,status,item}:\n H,one,true,3,success,one\n```\n";

#[test]
fn an_item_that_a_handler_put_back_runs_again_and_succeeds() {
    let (graph, rows) = document(RETURNING);
    let events = replay(&graph, &rows).unwrap();
    let story: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            Event { kind: EventKind::Step(ItemId(0), StepEvent::Ended(execution)), .. } => {
                Some(format!("{} {}", graph.step(execution.step).phase, execution.status.name()))
            }
            Event { at, kind: EventKind::Item(ItemId(0), ItemEvent::Failed) } => {
                Some(format!("failed at {at}"))
            }
            Event { at, kind: EventKind::Item(ItemId(0), ItemEvent::Requeued) } => {
                Some(format!("back at {at}"))
            }
            Event {
                at,
                kind: EventKind::Item(ItemId(0), ItemEvent::Settled { end: Settlement { state, .. }, .. }),
            } => Some(format!("{} at {at}", state.name())),
            _ => None,
        })
        .collect();
    assert_eq!(
        story,
        [
            "A success",
            "B failed",
            "failed at 15",
            "H success",
            "back at 18",
            "B success",
            "C success",
            "succeeded at 25"
        ]
    );
}

#[test]
fn rows_of_phases_that_no_step_has_are_not_replayed() {
    let (graph, mut rows) = document(ORIGINAL);
    rows[3].phase = Arc::from("Nobody");
    assert_eq!(replay(&graph, &rows), Err(vec![3]));
}

#[test]
fn surplus_rows_and_equal_labels_find_an_item_too() {
    let (graph, rows) = document(
        "# T\n\n## A @x\nreq → a\n\n```session-toon\nexecution[2]{phase,input,output,status}:\n A,r,a,success\n A,r,a,success\n```\n\n## B @x\na → b\n\n```session-toon\nexecution[4]{phase,input,output,status}:\n B,z,b,success\n B,a,b,success\n B,y,b,success\n B,x,b,success\n```\n",
    );
    let items = link(&Layout::of(&graph), &rows);
    let keys: Vec<&str> = items.iter().map(|item| &*item.key).collect();
    assert_eq!(keys, ["r", "r#2"]);
    assert_eq!(items[0].rows, [0, 3]);
    assert_eq!(items[1].rows, [1, 2, 4, 5]);
}

/// Steps that run once for all items end as items do.
#[test]
fn steps_of_the_run_are_told_to_end_as_they_did() {
    let ended = |rows: &[&str]| {
        let count = rows.len() + 1;
        let (graph, rows) = document(&format!(
            "# T\n\n## A @x\nreq -> a\n\n## B @x [per:: run] [compensate:: U]\na -> b\n\n\
             ## C @x\nb -> c\n\n## U @x\nb -> u\n\n## Tell @x [per:: run]\nfailed_items -> told\n\n\
             ```session-toon\nexecution[{count}]{{phase,input,output,status}}:\n A,r,a,success\n{}\n```\n",
            rows.join("\n")
        ));
        let state = |event: &Event| match &event.kind {
            EventKind::Run(RunEvent::StepsEnded(Settlement { state, .. })) => Some(*state),
            _ => None,
        };
        replay(&graph, &rows).unwrap().iter().find_map(state)
    };
    let failed = [" B,a,b,success", " C,b,null,failed"];
    let undone = |row: &'static str| ended(&[&failed[..], &[row]].concat());
    assert_eq!(ended(&[" B,a,b,success", " C,b,c,success"]), Some(ItemState::Succeeded));
    assert_eq!(ended(&failed), Some(ItemState::Failed));
    assert_eq!(undone(" U,b,null,compensation_failed"), Some(ItemState::CompensationFailed));
    assert_eq!(undone(" U,b,u,compensated"), Some(ItemState::Compensated));
    assert_eq!(ended(&[" Tell,x,null,failed"]), Some(ItemState::Failed));
}

#[test]
fn items_that_settle_in_another_order_make_the_same_file() {
    let (graph, rows) = document(ORIGINAL);
    let events = replay(&graph, &rows).unwrap();
    let (settled, other): (Vec<_>, Vec<_>) = events
        .iter()
        .cloned()
        .partition(|event| matches!(&event.kind, EventKind::Item(_, ItemEvent::Settled { .. })));
    let backwards: Vec<Event> = other.into_iter().chain(settled.into_iter().rev()).collect();
    assert_eq!(record(&graph, &events, &Object::new()), record(&graph, &backwards, &Object::new()));
}

#[test]
fn a_target_that_cannot_be_replaced_is_an_error_and_leaves_nothing() {
    let (graph, _) = document(ORIGINAL);
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("taken");
    let recorder = Recorder::new(&graph, &target).unwrap();
    std::fs::create_dir(&target).unwrap();
    assert!(recorder.finish(&head(), &Object::new()).is_err());
    assert!(Recorder::new(&graph, &target).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(Recorder::new(&graph, &folder.path().join("no/where")).is_err());
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::String),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,6})?".prop_map(|text| Value::Number(text.parse().unwrap())),
        any::<bool>().prop_map(Value::Bool),
    ]
}

pub(crate) fn execution() -> impl Strategy<Value = Execution> {
    let label = || proptest::option::of(any::<String>());
    let columns = proptest::collection::btree_map("[a-c \",]{1,3}", value(), 0..3);
    let numbers = (
        proptest::option::of((0u32..5_000_000).prop_map(|thirds| f64::from(thirds) / 3.0)),
        proptest::option::of(0u64..1 << 40),
        proptest::option::of(1u32..9),
        proptest::option::of(0u64..100_000),
    );
    let status = proptest::sample::select(Status::ALL.to_vec());
    (0u32..7, status, label(), label(), label(), columns, numbers).prop_map(
        |(step, status, input, output, error, columns, (duration_ms, tokens_used, attempt, started_ms))| {
            Execution {
                element: None,
                step: StepId(step),
                status,
                input,
                output,
                duration_ms,
                tokens_used,
                columns: columns.into_iter().map(|(name, value)| (Arc::from(name), value)).collect(),
                attempt,
                started_ms,
                error,
                code: None,
                recorded: None,
            }
        },
    )
}

/// The events of items with these executions, settled in turn.
pub(crate) fn told(items: &[Vec<Execution>]) -> Vec<Event> {
    let id = |item: usize| ItemId(item as u64);
    let key = |item: usize| Arc::from(format!("k{item}"));
    let admitted = (0..items.len())
        .map(|item| ItemEvent::Admitted { key: key(item), inputs: Vec::new() }.of(id(item), 0));
    let ended = items.iter().enumerate().rev().flat_map(|(item, executions)| {
        let ended = executions.iter().cloned().map(move |execution| {
            let at = execution.ended_ms();
            StepEvent::Ended(execution).of(id(item), at)
        });
        let state = ItemState::ALL[item % ItemState::ALL.len()];
        ended.chain([ItemEvent::Settled {
            key: key(item),
            end: Settlement { state, error: None, uncompensated: Vec::new(), not_run: Vec::new() },
        }
        .of(id(item), 1)])
    });
    admitted.chain(ended).collect()
}

#[test]
fn a_session_with_many_steps_is_read_in_proportion() {
    const STEPS: usize = 50_000;
    let mut text = format!("orderflow: 1\nphases[{STEPS}]{{name}}:\n");
    text.extend((0..STEPS).map(|step| format!("  Step{step}\n")));
    text.push_str(&format!("edges[{}]{{from,to,value}}:\n", STEPS - 1));
    text.extend((1..STEPS).map(|step| format!("  Step{},Step{step},null\n", step - 1)));
    text.push_str("execution: []\ncomplete: true\n");
    let begin = std::time::Instant::now();
    let session = read(&text).1;
    assert!(session.problems.is_empty());
    assert_eq!(session.layout.unwrap().edges.len(), STEPS - 1);
    // A search through all steps for each edge takes minutes.
    assert!(begin.elapsed() < std::time::Duration::from_secs(200), "{:?}", begin.elapsed());
}

#[cfg(unix)]
#[test]
fn what_a_session_is_written_over_stays_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let write = |target: &Path| record_into(target, original(), &[], &Object::new());
    let link = |name: &str, to: &str| {
        let path = folder.path().join(name);
        std::os::unix::fs::symlink(to, &path).unwrap();
        path
    };
    std::fs::create_dir(folder.path().join("real")).unwrap();
    let chain = link("chain.toon", "real/latest.toon");
    link("real/latest.toon", "monday.toon");
    for _ in 0..2 {
        write(&chain).unwrap();
        assert!(chain.is_symlink() && folder.path().join("real/latest.toon").is_symlink());
        let text = std::fs::read_to_string(folder.path().join("real/monday.toon")).unwrap();
        assert!(text.ends_with("complete: true\n"));
    }
    let device = link("device.toon", "/dev/null");
    write(&device).unwrap();
    assert_eq!(std::fs::read(&device).unwrap(), b"");

    let circle = link("circle.toon", "circle.toon");
    assert_eq!(write(&circle).unwrap_err().to_string(), "too many symbolic links");
    assert_eq!(write(folder.path()).unwrap_err().kind(), std::io::ErrorKind::IsADirectory);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_recorded_is_read_back(items in proptest::collection::vec(proptest::collection::vec(execution(), 0..5), 0..5)) {
        let graph = original();
        let layout = Layout::of(graph);
        let (rows, session) = read(&record(graph, &told(&items), &Object::new()));
        prop_assert!(session.problems.is_empty(), "{:?}", session.problems);
        let mut expected = Vec::new();
        for (item, executions) in items.iter().enumerate() {
            let mut of_item: Vec<_> = executions.iter().collect();
            of_item.sort_by_key(|execution| layout.place_of(execution.step));
            let key = Arc::from(format!("k{item}"));
            expected.extend(of_item.into_iter().filter_map(|execution| layout.row(&key, execution)));
        }
        prop_assert_eq!(rows.len(), expected.len());
        for (mut row, mut expected) in rows.into_iter().zip(expected) {
            row.columns.retain(|(_, value)| !value.is_null());
            row.columns.sort_by(|one, other| one.0.cmp(&other.0));
            expected.columns.sort_by(|one, other| one.0.cmp(&other.0));
            prop_assert_eq!(row, expected);
        }
    }

    #[test]
    fn every_row_is_replayed_exactly_once(items in proptest::collection::vec(proptest::collection::vec(execution(), 0..6), 0..6), keyed in any::<bool>()) {
        let graph = original();
        let layout = Layout::of(graph);
        let mut rows = Vec::new();
        for (item, executions) in items.iter().enumerate() {
            let key = Arc::from(format!("k{}", item / 2));
            rows.extend(executions.iter().filter_map(|execution| layout.row(&key, execution)));
        }
        if !keyed {
            rows.iter_mut().for_each(|row| row.item = None);
        }
        let events = replay(graph, &rows).unwrap();
        let (read_back, session) = read(&record(graph, &events, &Object::new()));
        prop_assert!(session.problems.is_empty());
        prop_assert_eq!(sorted(&read_back), sorted(&rows));
        let admitted = events.iter().filter(|event| matches!(&event.kind, EventKind::Item(_, ItemEvent::Admitted { .. }))).count();
        prop_assert_eq!(states(&events).len(), admitted);
    }
}
