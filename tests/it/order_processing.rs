//! The order workflow of `workflows/`: it is the original document, made runnable. A run is judged by its exit,
//! its trace and the books that its agents kept.

use crate::python::{path, query};
use orderflow::diag::Source;
use orderflow::event::Status;
use orderflow::graph::{self, Graph};
use orderflow::session::{Row, read_session};
use orderflow::spec;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A document of the repository that must be free of problems, with its meaning and its recorded tables.
fn read(name: &str) -> (Graph, Vec<String>) {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let source = Source::new(name, text);
    let (spec, mut problems) = spec::parse(&source);
    let (graph, more) = graph::build(&source, &spec);
    problems.extend(more);
    assert_eq!(problems, []);
    let fences = spec.steps.iter().flat_map(|step| &step.traces);
    (graph.unwrap(), fences.map(|fence| source.slice(fence.content).to_owned()).collect())
}

#[test]
fn it_has_the_steps_and_the_record_of_the_original() {
    let (original, recorded) = read("tests/fixtures/order-processing-original.md");
    let (ours, copied) = read("workflows/order-processing.md");
    assert_eq!(ours.title, original.title);
    assert_eq!(recorded.len(), 7);
    assert_eq!(copied, recorded);
    let steps = |graph: &Graph| -> Vec<String> {
        // A type is compared by its name: only ours says what it means.
        let name = |id: &graph::ValueId| {
            let value = graph.value(*id);
            format!("{}::{:?}", value.name, value.ty.as_ref().map(ToString::to_string))
        };
        let steps = graph.steps.iter().map(|step| {
            let takes: Vec<_> = step.inputs.iter().map(|input| name(&input.value)).collect();
            let makes: Vec<_> = step.outputs.iter().map(|output| name(&output.value)).collect();
            let needs: Vec<_> = step.needs.iter().map(|need| &graph.step(need.step).phase).collect();
            let (phase, kind, mark) = (&step.phase, step.kind, step.mark);
            let (agent, channel) = (&step.agent, &step.channel);
            format!("{phase} {kind:?} {mark:?} {agent:?} {channel:?} {takes:?} {makes:?} {needs:?}")
        });
        steps.collect()
    };
    assert_eq!(steps(&ours), steps(&original));
}

/// Its types are no mere words: what an agent gets wrong does not fit.
#[test]
fn its_values_have_types_that_are_checked() {
    let (graph, _) = read("workflows/order-processing.md");
    let receipt = graph.values.iter().find(|value| value.name == "payment_result").unwrap();
    let fits = |value| receipt.ty.as_ref().unwrap().fits(&value).map_err(|misfits| misfits.of("receipt"));
    let right = serde_json::json!({"id": "receipt_001", "order_id": "order_001", "amount": 89.99});
    assert_eq!(fits(right), Ok(()));
    let wrong = serde_json::json!({"id": "receipt_001", "order_id": "order_001", "amount": "89.99"});
    assert_eq!(fits(wrong).unwrap_err(), "receipt.amount: expected a number, found a string");
}

const PHASES: [&str; 7] = [
    "ReceiveOrder",
    "CheckInventory",
    "ProcessPayment",
    "ReserveInventory",
    "CreateShipment",
    "NotifyCustomer",
    "HandleFailedOrders",
];

/// A copy of `workflows/` that nobody has run yet.
fn copy() -> TempDir {
    let folder = TempDir::new().unwrap();
    for part in ["", "agents", "orders"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("workflows").join(part);
        fs::create_dir_all(folder.path().join(part)).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), folder.path().join(part).join(entry.file_name())).unwrap();
            }
        }
    }
    folder
}

/// Runs the batch and reads its trace.
fn run(folder: &Path) -> Vec<Row> {
    let output = Command::new(env!("CARGO_BIN_EXE_orderflow"))
        .args(["run", "order-processing.md"])
        .current_dir(folder)
        .env("PATH", path())
        .env_remove("SHOP_DB")
        .output()
        .unwrap();
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{talk}");
    assert!(talk.contains("24 items: 18 succeeded, 6 failed"), "{talk}");
    let mut rows = Vec::new();
    let file = fs::File::open(folder.join("session.toon")).unwrap();
    let session = read_session(file, |_, row| rows.push(row.to_row())).unwrap();
    assert!(session.problems.is_empty());
    rows
}

/// What each order went through: a letter for each execution in graph order, `.` where a step was not run.
///
/// The check of an order whose payment is declined may be finished or cancelled by then; its letter is left out.
fn fates(rows: &[Row]) -> BTreeMap<String, String> {
    let mut orders: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        orders.entry(row.item.as_deref().unwrap()).or_default().push(row);
    }
    let letter = |row: &&Row| match row.status {
        Status::Success => 's',
        Status::Failed => 'f',
        other => panic!("{other:?} of {}", row.phase),
    };
    let declined =
        |rows: &[&Row]| rows.iter().any(|row| row.error.as_deref() == Some("the card was declined"));
    let fate = |rows: &[&Row], phase: &str| match phase {
        "CheckInventory" if declined(rows) => "-".to_owned(),
        _ => rows.iter().filter(|row| &*row.phase == phase).map(letter).collect(),
    };
    let fates = |rows: &[&Row]| {
        PHASES.map(|phase| fate(rows, phase)).map(|f| if f.is_empty() { ".".into() } else { f })
    };
    orders.iter().map(|(order, rows)| ((*order).to_owned(), fates(rows).join(" "))).collect()
}

fn expected_fates() -> BTreeMap<String, String> {
    let fate = |number| match number {
        3 => "s fs s s s s s",
        4 | 10 | 17 => "f . . . . . s",
        14 | 19 => "s f s . . . s",
        21 => "s - f . . . s",
        _ => "s s s s s s .",
    };
    (1..=24).map(|number| (format!("order_{number:03}"), fate(number).to_owned())).collect()
}

#[test]
fn a_batch_runs_and_the_next_day_runs_as_well() {
    let folder = copy();
    let first = run(folder.path());
    let second = run(folder.path());
    for rows in [&first, &second] {
        assert_eq!(fates(rows), expected_fates());
        hiccup_is_tried_again(rows);
        check_and_payment_overlap(rows);
    }
    let database = folder.path().join(".data/shop.db");
    assert_eq!(query(&database, "SELECT count(*) FROM days"), "2\n");
    for run in query(&database, "SELECT run FROM days").lines() {
        books_agree(&database, run);
    }
}

fn hiccup_is_tried_again(rows: &[Row]) {
    let attempts: Vec<_> = rows
        .iter()
        .filter(|row| &*row.phase == "ProcessPayment" && row.attempt != Some(1))
        .map(|row| (row.item.as_deref().unwrap(), row.attempt))
        .collect();
    assert_eq!(attempts, [("order_008", Some(2))]);
}

/// Some order's stock was checked while its customer was charged, and no goods were reserved before both ended.
fn check_and_payment_overlap(rows: &[Row]) {
    let span = |order: &str, phase: &str| {
        let of = |row: &&Row| row.item.as_deref() == Some(order) && &*row.phase == phase;
        let row = rows.iter().rfind(of).unwrap();
        let started = row.started_ms.unwrap() as f64;
        (started, started + row.duration_ms.unwrap())
    };
    let mut overlaps = 0;
    for row in rows.iter().filter(|row| &*row.phase == "ReserveInventory") {
        let order = row.item.as_deref().unwrap();
        let (check, payment) = (span(order, "CheckInventory"), span(order, "ProcessPayment"));
        overlaps += usize::from(check.0 < payment.1 && payment.0 < check.1);
        assert!(span(order, "ReserveInventory").0 >= check.1.max(payment.1), "{order}");
    }
    assert!(overlaps > 0);
}

/// Every order of a day is shipped and paid, or cancelled and not, and no article is lost.
fn books_agree(database: &Path, run: &str) {
    let ask = |sql: &str| query(database, &sql.replace("RUN", &format!("'{run}'")));
    assert_eq!(
        ask("SELECT orders.status, payments.status, count(*), sum(total), sum(amount) FROM orders
             LEFT JOIN payments USING (run, order_id) WHERE run = RUN GROUP BY 1, 2 ORDER BY 1, 2"),
        "cancelled None 1 5250 None\ncancelled refunded 2 62020 62020\nshipped captured 18 155514 155514\n"
    );
    let shipped = "SELECT order_id FROM orders WHERE run = RUN AND status = 'shipped' ORDER BY 1";
    for table in ["shipments", "outbox"] {
        assert_eq!(ask(&format!("SELECT order_id FROM {table} WHERE run = RUN ORDER BY 1")), ask(shipped));
    }
    assert_eq!(
        ask("SELECT sku, shelf + supplier - on_hand - at_supplier - coalesce(sum(quantity), 0) AS lost
             FROM stock JOIN catalogue USING (sku) LEFT JOIN reservations USING (run, sku)
             WHERE run = RUN GROUP BY sku HAVING lost <> 0"),
        ""
    );
    assert_eq!(ask("SELECT DISTINCT order_id FROM reservations WHERE run = RUN ORDER BY 1"), ask(shipped));
    let scarce = "SELECT sku, on_hand, at_supplier FROM stock WHERE run = RUN AND on_hand < 100 ORDER BY 1";
    assert_eq!(ask(scarce), "CHAIR-OAK 0 8\nCLOCK-BRASS 0 0\nRUG-WOOL 4 1\n");
}
