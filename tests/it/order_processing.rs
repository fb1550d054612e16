//! The order workflow of `workflows/`: it is the original document, made runnable, with all that is done for failed
//! orders. A run is judged by its exit, its trace and the books that its agents kept.

use crate::shop_floor::Floor;
use orderflow::diag::Source;
use orderflow::event::Status;
use orderflow::graph::{self, Graph, Kind};
use orderflow::session::Row;
use orderflow::spec;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

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
        // What undoes a step is added; what does the work is as it was.
        let steps = graph.steps.iter().filter(|step| step.kind != Kind::Compensation).map(|step| {
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

/// All of the document, the compensations in the order in which they stand there.
const PHASES: [&str; 10] = [
    "ReceiveOrder",
    "CheckInventory",
    "ProcessPayment",
    "ReserveInventory",
    "CreateShipment",
    "NotifyCustomer",
    "HandleFailedOrders",
    "CancelOrder",
    "RefundPayment",
    "ReleaseInventory",
];

const RUN: &str = "order-processing.md";

/// Orders whose failures the day's batch does not have.
const TROUBLE: &str = "order-processing.md --items orders/order-processing-trouble.jsonl";

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
        Status::Compensated => 'c',
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
        3 => "ss fs ss s s s s c c .",
        4 | 10 | 17 => "f . . . . . s . . .",
        14 | 19 => "s f s . . . s c c .",
        21 => "s - f . . . s c . .",
        _ => "s s s s s s . . . .",
    };
    (1..=24).map(|number| (format!("order_{number:03}"), fate(number).to_owned())).collect()
}

#[test]
fn a_batch_runs_and_the_next_day_runs_as_well() {
    let floor = Floor::new();
    for _ in 0..2 {
        let told = floor.orderflow(&format!("run {RUN}"));
        assert_eq!(told.exit, Some(0), "{}", told.err);
        assert!(told.err.contains("24 items: 18 succeeded, 3 failed, 3 compensated"), "{}", told.err);
        let rows = floor.trace();
        assert_eq!(fates(&rows), expected_fates());
        hiccup_is_tried_again(&rows);
        check_and_payment_overlap(&rows);
    }
    assert_eq!(floor.ask("shop", "SELECT count(*) FROM days"), "2\n");
    for run in floor.ask("shop", "SELECT run FROM days").lines() {
        books_agree(&floor, run);
    }
}

#[test]
fn a_day_that_is_killed_in_the_middle_ends_like_any_other() {
    let floor = Floor::new();
    floor.run(&format!("{RUN} --item order_001"), 0);
    let amid = "SELECT count(*) > 4 FROM payments WHERE status = 'captured'";
    let told = floor.kill_amid(&format!("{RUN} --jobs 2"), "shop", amid);
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let (mut fates, expected) = (fates(&floor.trace()), expected_fates());
    // Nobody saw what came of an attempt that was under way: where it fails when it is made again, it is undone, too.
    let unseen =
        [("f . . . . . s . . .", "f . . . . . s c . ."), ("s - f . . . s c . .", "s - f . . . s c c .")];
    for (order, fate) in &mut fates {
        if unseen.contains(&(&*expected[order], &**fate)) {
            fate.clone_from(&expected[order]);
        }
    }
    assert_eq!(fates, expected);
    books_agree(&floor, floor.ask("shop", "SELECT run FROM days ORDER BY rowid DESC LIMIT 1").trim());
}

#[test]
fn an_order_that_no_carrier_takes_is_undone_in_reverse() {
    let floor = Floor::new();
    floor.run(&format!("{TROUBLE} --item order_101"), 1);
    assert_eq!(fates(&floor.trace())["order_101"], "s s s s f . s c c c");
    assert_eq!(
        floor.ask(
            "shop",
            "SELECT step FROM answers WHERE step NOT IN ('CheckInventory', 'ReceiveOrder') ORDER BY rowid"
        ),
        "ProcessPayment\nReserveInventory\nReleaseInventory\nRefundPayment\nCancelOrder\nHandleFailedOrders\n"
    );
    let ask = |sql: &str| floor.ask("shop", sql);
    assert_eq!(ask("SELECT status FROM orders"), "cancelled\n");
    assert_eq!(ask("SELECT charged, refunded FROM gateway"), "5000 5000\n");
    assert_eq!(ask("SELECT on_hand FROM stock WHERE sku = 'KETTLE'"), "500\n");
    // It can be tried again when a carrier goes there.
    floor.write_to("shop", "INSERT INTO destinations VALUES ('AQ', 30)");
    let told = floor.orderflow("retry last --quiet");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(ask("SELECT status FROM orders"), "shipped\n");
    assert_eq!(ask("SELECT sum(charged), sum(refunded) FROM gateway"), "10000 5000\n");
}

#[test]
fn a_letter_is_sent_again_and_what_was_shipped_is_not_taken_back_for_it() {
    let floor = Floor::new();
    floor.run(&format!("{TROUBLE} --item order_102"), 0);
    assert_eq!(floor.fate("order_102").last().unwrap(), "NotifyCustomer success #3");

    // Put back once, as far as the letter; then it is for somebody to see to.
    floor.run(&format!("{TROUBLE} --item order_103"), 1);
    assert_eq!(fates(&floor.trace())["order_103"], "s s s s s ff ss . . .");
    let order = "SELECT orders.status, payments.status, shipments.status FROM orders
                 JOIN payments USING (run, order_id) JOIN shipments USING (run, order_id) WHERE order_id = 'order_103'";
    assert_eq!(floor.ask("shop", order), "shipped captured announced\n");
    floor.write_to("shop", "DELETE FROM mail_servers");
    let told = floor.orderflow("retry last --quiet");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(floor.ask("shop", order), "shipped captured announced\n");
    assert_eq!(
        floor.ask("shop", "SELECT recipient FROM letters ORDER BY 1"),
        "noor@grey.example\notto@closed.example\n"
    );
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
#[track_caller]
fn books_agree(floor: &Floor, run: &str) {
    let ask = |sql: &str| floor.ask("shop", &sql.replace("RUN", &format!("'{run}'")));
    assert_eq!(
        ask("SELECT orders.status, payments.status, count(*), sum(total), sum(amount) FROM orders
             LEFT JOIN payments USING (run, order_id) WHERE run = RUN GROUP BY 1, 2 ORDER BY 1, 2"),
        "cancelled None 1 5250 None\ncancelled refunded 2 62020 62020\nshipped captured 18 155514 155514\n\
         shipped refunded 1 25800 25800\n"
    );
    let gateway = "SELECT sum(charged - refunded) FROM gateway JOIN payments USING (key) WHERE run = RUN";
    assert_eq!(ask(gateway), "155514\n", "the gateway has what the receipts say");
    let shipped = "SELECT order_id FROM orders WHERE run = RUN AND status = 'shipped' ORDER BY 1";
    for table in ["shipments", "letters"] {
        assert_eq!(ask(&format!("SELECT order_id FROM {table} WHERE run = RUN ORDER BY 1")), ask(shipped));
    }
    assert_eq!(
        ask("SELECT sku, shelf + supplier - on_hand - at_supplier - coalesce(sum(quantity), 0) AS lost
             FROM stock JOIN catalogue USING (sku) LEFT JOIN reservations USING (run, sku)
             WHERE run = RUN GROUP BY sku HAVING lost <> 0"),
        ""
    );
    let held = "SELECT DISTINCT order_id FROM reservations WHERE run = RUN AND status = 'held' ORDER BY 1";
    assert_eq!(ask(held), ask(shipped));
    let scarce = "SELECT sku, on_hand, at_supplier FROM stock WHERE run = RUN AND on_hand < 100 ORDER BY 1";
    assert_eq!(ask(scarce), "CHAIR-OAK 0 8\nCLOCK-BRASS 0 0\nRUG-WOOL 4 1\n");
}
