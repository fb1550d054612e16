//! The event-sourced orders of `workflows/`: what happens to each, that its state is what its events come to, and that
//! nothing happens twice.

use crate::python::python;
use crate::shop_floor::Floor;
use orderflow::diag::Source;
use orderflow::spec;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Child, Stdio};

const RUN: &str = "order-events.md";

/// What an event makes of an order, and which arrows there are: told by the document, not by its agents.
fn diagram(floor: &Floor) -> (String, BTreeSet<(String, String)>) {
    let text = std::fs::read_to_string(floor.path(RUN)).unwrap();
    let (spec, problems) = spec::parse(&Source::new(RUN, text));
    assert_eq!(problems, []);
    let diagram = spec.diagram.unwrap();
    let name = |state: usize| diagram.states[state].value.clone();
    let moves = diagram.moves.iter().map(|(from, to)| (name(*from), name(*to))).collect();
    (name(diagram.initial.unwrap().value), moves)
}

fn leads_to(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "OrderCreated" => "pending",
        "PaymentProcessing" => "payment_processing",
        "PaymentCompleted" => "payment_completed",
        "InventoryReserved" => "inventory_reserved",
        "OrderConfirmed" => "confirmed",
        "OrderCancelled" => "cancelled",
        _ => return None,
    })
}

/// The streams, each with its events in the order of their versions, which have no gaps.
fn streams(floor: &Floor) -> BTreeMap<String, Vec<String>> {
    let mut streams: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in floor.ask("ledger", "SELECT order_id, version, type FROM events ORDER BY 1, 2").lines() {
        let [order, version, kind] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let stream = streams.entry(order.to_owned()).or_default();
        stream.push(kind.to_owned());
        assert_eq!(version, stream.len().to_string(), "{line}");
    }
    streams
}

/// Rebuilds every order from its events, along the arrows of the diagram, and compares it with what the ledger says.
#[track_caller]
fn states_are_what_the_events_come_to(floor: &Floor) {
    let (initial, moves) = diagram(floor);
    let mut rebuilt = String::new();
    for (order, events) in streams(floor) {
        let mut state: Option<String> = None;
        for to in events.iter().filter_map(|kind| leads_to(kind)) {
            match &state {
                None => assert_eq!(to, initial, "{order}"),
                Some(from) => {
                    assert!(moves.contains(&(from.clone(), to.to_owned())), "{order}: {from} to {to}")
                }
            }
            state = Some(to.to_owned());
        }
        rebuilt += &format!("{order} {} {}\n", state.unwrap(), events.len());
    }
    assert_eq!(floor.ask("ledger", "SELECT order_id, status, version FROM orders ORDER BY 1"), rebuilt);
}

fn events_of(floor: &Floor, order: &str) -> String {
    streams(floor).get(order).map(|events| events.join(" ")).unwrap_or_default()
}

#[test]
fn every_order_is_confirmed_or_cancelled_and_its_events_say_why() {
    let floor = Floor::new();
    let told = floor.run(RUN, 5);
    let confirmed = "OrderCreated PaymentProcessing PaymentCompleted InventoryReserved OrderConfirmed";
    let failed = "OrderCreated PaymentProcessing PaymentCompleted InventoryReservationFailed";
    for (order, events) in [
        ("order-123", confirmed.to_owned()),
        ("order-124", confirmed.to_owned()),
        ("order-125", "OrderCreated PaymentProcessing PaymentFailed OrderCancelled".to_owned()),
        ("order-126", format!("{failed} PaymentRefunded OrderCancelled")),
        ("order-127", format!("{failed} InventoryReleased PaymentRefunded OrderCancelled")),
        ("order-128", "OrderCreated PaymentProcessing PaymentFailed OrderCancelled".to_owned()),
        ("order-129", format!("{failed} OrderCancelled")),
        ("order-130", String::new()),
    ] {
        assert_eq!(events_of(&floor, order), events, "{order}");
    }
    states_are_what_the_events_come_to(&floor);

    let (created, begun) = ("CreateOrder success", "StartPayment success");
    let undone = ["GiveUpPayment compensated", "CancelOrder compensated"];
    let dead = "RecordDeadLetter success";
    let fate = |order: &str| floor.fate(order).join(", ");
    assert_eq!(fate("order-130"), format!("CreateOrder failed, {dead}"));
    assert_eq!(
        fate("order-128"),
        [created, begun, "ProcessPayment failed #4", dead, undone[0], undone[1]].join(", "),
        "the bank is asked again three times"
    );
    let paid = [created, begun, "ProcessPayment success", "ReserveInventory failed", dead];
    let with = |undoing: &[&str]| [&paid, undoing, &undone].concat().join(", ");
    assert_eq!(fate("order-126"), with(&["RefundPayment compensated"]));
    assert_eq!(fate("order-127"), with(&["ReleaseInventory compensated", "RefundPayment compensated"]));
    assert_eq!(
        fate("order-129"),
        with(&["RefundPayment compensation_failed #3"]),
        "what undoes is tried three times, and does not keep the others from it"
    );
    assert!(
        told.err.contains("order-129: Refund Payment failed: the bank Prepaid does not take refunds now"),
        "{}",
        told.err
    );
    assert_eq!(
        fate("order-123"),
        "CreateOrder success, StartPayment success, ProcessPayment success, ReserveInventory success, \
         ConfirmOrder success, TellCustomer success"
    );
    in_reverse(&floor);
    books_are_right(&floor);
    assert_eq!(
        floor.ask("ledger", "SELECT type, count(*) FROM events GROUP BY type"),
        "InventoryReleased 1\nInventoryReservationFailed 3\nInventoryReserved 2\nOrderCancelled 5\nOrderConfirmed 2\n\
         OrderCreated 7\nPaymentCompleted 5\nPaymentFailed 2\nPaymentProcessing 7\nPaymentRefunded 2\n"
    );
    assert!(floor.orderflow("stats session.toon").out.contains("\nan item        "));
    let resolved =
        floor.command("resolve last --item order-129 --note").arg("returned by hand").output().unwrap();
    assert_eq!(resolved.status.code(), Some(0));
    let shown = floor.orderflow("show last --item order-129").out;
    assert!(shown.starts_with("order-129: compensated\n") && shown.contains("returned by hand"), "{shown}");
}

/// Products are let go, then the money goes back, then the payment is closed, then the order is cancelled; and then only
/// it is a dead letter.
fn in_reverse(floor: &Floor) {
    let rows = floor.trace();
    let order = ["ReleaseInventory", "RefundPayment", "GiveUpPayment", "CancelOrder", "RecordDeadLetter"];
    for item in ["order-127", "order-129"] {
        let its = rows.iter().filter(|row| row.item.as_deref() == Some(item));
        let mut undone: Vec<(u64, usize)> = its
            .filter_map(|row| Some((row.started_ms?, order.iter().position(|phase| **phase == *row.phase)?)))
            .collect();
        undone.sort_unstable();
        assert!(undone.is_sorted_by_key(|(_, place)| *place), "{item}: {undone:?}");
    }
}

fn books_are_right(floor: &Floor) {
    let ask = |sql: &str| floor.ask("ledger", sql);
    assert_eq!(
        ask("SELECT order_id, amount, status FROM charges ORDER BY 1"),
        "order-123 135997 captured\norder-124 5998 captured\norder-126 18900 refunded\norder-127 24898 refunded\n\
         order-129 18900 captured\n"
    );
    assert_eq!(ask("SELECT account FROM charges WHERE order_id = 'order-124'"), "grace@example.com\n");
    assert_eq!(
        ask("SELECT order_id, product_id, quantity, status FROM reservations ORDER BY 1, 2"),
        "order-123 laptop-x1 1 held\norder-123 mouse-m2 2 held\norder-124 mouse-m2 2 held\n\
         order-127 mouse-m2 2 released\n"
    );
    assert_eq!(ask("SELECT * FROM stock ORDER BY 1"), "dock-d3 0\nlaptop-x1 9\nmouse-m2 36\n");
    assert_eq!(
        ask(
            "SELECT order_id, json_extract(data, '$.reason') FROM events WHERE type = 'OrderCancelled' ORDER BY 1"
        ),
        "order-125 payment failed: the card does not cover the amount\norder-126 inventory unavailable: dock-d3\n\
         order-127 inventory unavailable: dock-d3\norder-128 payment failed: given up\n\
         order-129 inventory unavailable: dock-d3\n"
    );
    assert_eq!(
        ask("SELECT order_id, step, attempts, reason, review FROM dead_letters ORDER BY 1"),
        "order-125 ProcessPayment 1 the card does not cover the amount None\n\
         order-126 ReserveInventory 1 dock-d3: 1 wanted, 0 there None\n\
         order-127 ReserveInventory 1 dock-d3: 1 wanted, 0 there None\n\
         order-128 ProcessPayment 4 the bank Remote cannot be reached None\n\
         order-129 ReserveInventory 1 dock-d3: 1 wanted, 0 there return 189.00 USD by hand\n\
         order-130 CreateOrder 1 items is missing None\n"
    );
    assert_eq!(
        ask("SELECT order_id, recipient, subject FROM outbox ORDER BY 1"),
        "order-123 customer-456 Your order is confirmed\norder-124 customer-789 Your order is confirmed\n\
         order-129 operations Please return 189.00 USD by hand\n"
    );
}

#[test]
fn an_order_that_comes_again_is_processed_once() {
    let floor = Floor::new();
    floor.run(&format!("{RUN} --item order-123 --item order-125"), 1);
    let all = "SELECT * FROM events ORDER BY 1, 2";
    let (events, stock) = (floor.ask("ledger", all), floor.ask("ledger", "SELECT * FROM stock"));
    // What is confirmed is confirmed again, by the same events; what is cancelled stays so.
    floor.run(&format!("{RUN} --item order-123"), 0);
    let told = floor.run(&format!("{RUN} --item order-125"), 1);
    assert!(told.err.contains("order-125: Create Order failed: order-125 is cancelled\n"), "{}", told.err);
    assert_eq!(floor.ask("ledger", all), events);
    assert_eq!(floor.ask("ledger", "SELECT * FROM stock"), stock);
    assert_eq!(floor.ask("ledger", "SELECT count(*) FROM charges"), "1\n");
    assert_eq!(floor.ask("ledger", "SELECT count(*) FROM outbox"), "1\n");

    let orders = std::fs::read_to_string(floor.path("orders/order-events.jsonl")).unwrap();
    let order = orders.lines().find(|line| line.contains("order-124")).unwrap();
    floor.write("orders/twice.jsonl", &format!("{order}\n{order}\n"));
    let told = floor.run(&format!("{RUN} --items orders/twice.jsonl"), 3);
    assert!(told.err.contains("duplicate key `order-124`, first used on line 1"), "{}", told.err);
    assert_eq!(events_of(&floor, "order-124"), "");
    floor.run(&format!("{RUN} --items orders/twice.jsonl --duplicates skip"), 0);
    assert_eq!(streams(&floor)["order-124"].len(), 5);
    states_are_what_the_events_come_to(&floor);
}

/// The ten minutes of the document are eight seconds here.
#[test]
fn an_order_that_waits_too_long_is_cancelled() {
    let floor = Floor::new();
    let text = std::fs::read_to_string(floor.path(RUN)).unwrap();
    assert!(text.contains("\ndeadline: 10m\n"));
    floor.write("hasty.md", &text.replace("\ndeadline: 10m\n", "\ndeadline: 8s\n"));
    let told = floor.run("hasty.md --items orders/order-events-waiting.jsonl", 1);
    assert!(told.err.contains("order-131: the item's deadline passed\n"), "{}", told.err);
    assert_eq!(events_of(&floor, "order-131"), "OrderCreated PaymentProcessing PaymentFailed OrderCancelled");
    assert_eq!(floor.ask("ledger", "SELECT count(*) FROM charges"), "0\n");
    let told = floor.orderflow("show last --item order-131 --format json");
    let shown: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!((&shown["state"], &shown["lifecycle"]), (&"compensated".into(), &"cancelled".into()));
    states_are_what_the_events_come_to(&floor);
}

#[test]
fn a_transfer_that_arrives_pays_the_order() {
    let floor = Floor::new();
    floor.run(&format!("{RUN} --item order-124"), 0);
    let database = rusqlite::Connection::open(floor.database("ledger")).unwrap();
    database.execute("INSERT INTO transfers VALUES ('order-131', 5998)", []).unwrap();
    floor.run(&format!("{RUN} --items orders/order-events-waiting.jsonl"), 0);
    assert_eq!(streams(&floor)["order-131"].last().unwrap(), "OrderConfirmed");
}

/// One step of an agent, asked as a command under a key of its own.
fn ask(floor: &Floor, agent: &str, step: &str, key: &str, inputs: &Value) -> Child {
    let mut child = python()
        .arg(floor.path(&format!("agents/{agent}.py")))
        .envs([("ORDERFLOW_STEP", step), ("ORDERFLOW_KEY", key), ("ORDERFLOW_RUN", "by-hand")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(inputs.to_string().as_bytes()).unwrap();
    child
}

fn answer(child: Child) -> Value {
    serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap()
}

/// Whoever has decided on a stream that has grown since is told so, and asked again.
#[test]
fn of_many_at_a_time_one_appends_an_event() {
    let floor = Floor::new();
    let orders = std::fs::read_to_string(floor.path("orders/order-events.jsonl")).unwrap();
    let order: Value = serde_json::from_str(orders.lines().next().unwrap()).unwrap();
    let inputs = json!({ "order": order });
    let at_once = |step: &str, inputs: &Value| -> Vec<Value> {
        let children: Vec<Child> =
            (0..8).map(|n| ask(&floor, "ledger-orders", step, &format!("{step} {n}"), inputs)).collect();
        children.into_iter().map(answer).collect()
    };
    let created = at_once("CreateOrder", &inputs);
    let placed = created.iter().find_map(|answer| answer.get("placed_order")).unwrap();
    let started = at_once("StartPayment", &json!({ "placed_order": placed }));
    for answer in created.iter().chain(&started).filter(|answer| answer.get("error").is_some()) {
        let error = &answer["error"];
        assert_eq!((&error["code"], &error["retryable"]), (&"version_conflict".into(), &true.into()));
    }
    assert_eq!(events_of(&floor, "order-123"), "OrderCreated PaymentProcessing");
    let stale = "import json, ledger\n\
        db = ledger.connect()\n\
        order = ledger.load(db, 'order-123')\n\
        class Call: key = 'another'\n\
        with db: ledger.append(db, Call, order, 1, [('PaymentCompleted', {})])\n";
    let output = python().args(["-c", stale]).current_dir(floor.path("agents")).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("order-123 has changed meanwhile: version 2, not 1"), "{told}");
}

#[test]
fn an_event_that_leads_where_no_arrow_leads_is_refused() {
    let floor = Floor::new();
    let (_, moves) = diagram(&floor);
    let orders = std::fs::read_to_string(floor.path("orders/order-events.jsonl")).unwrap();
    let order: Value = serde_json::from_str(orders.lines().next().unwrap()).unwrap();
    answer(ask(&floor, "ledger-orders", "CreateOrder", "one", &json!({ "order": order })));
    let early = json!({"reservation": {"order_id": "order-123"}});
    let refused = answer(ask(&floor, "ledger-orders", "ConfirmOrder", "two", &early));
    assert_eq!(refused["error"]["code"], "illegal_transition");
    assert_eq!(
        refused["error"]["message"],
        "OrderConfirmed: an order that is pending cannot become confirmed"
    );
    assert_eq!(events_of(&floor, "order-123"), "OrderCreated");

    let table = "import json, ledger; print(json.dumps([[a, b] for a, to in ledger.TRANSITIONS.items() if a for b in to]))";
    let output = python().args(["-c", table]).current_dir(floor.path("agents")).output().unwrap();
    let table: BTreeSet<(String, String)> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(table, moves, "the agents know the arrows of the diagram, and no others");
}
