//! The order saga of `workflows/`: every order goes the way that its data sends it, and what was done for those that
//! fail is undone in reverse, once, whatever becomes of the runner meanwhile.

use crate::shop_floor::Floor;
use std::fmt::Write;

const RUN: &str = "order-saga.md";

/// The steps of an order that goes well.
const DONE: [&str; 4] = [
    "ReserveInventory success",
    "ProcessPayment success",
    "CreateShipment success",
    "SendConfirmationEmail success",
];

/// No goods are lost, and of the orders that were not confirmed nobody has paid anything and nothing is on its way.
#[track_caller]
fn books_agree(floor: &Floor, shipped: &str) {
    let ask = |sql: &str| floor.ask("shop", sql);
    assert_eq!(
        ask("SELECT run, sku, shelf - on_hand - coalesce(sum(quantity), 0) AS lost FROM stock
             JOIN catalogue USING (sku) LEFT JOIN reservations USING (run, sku)
             WHERE status = 'held' OR status IS NULL GROUP BY run, sku HAVING lost <> 0"),
        ""
    );
    assert_eq!(ask("SELECT DISTINCT order_id FROM reservations WHERE status = 'held' ORDER BY 1"), shipped);
    assert_eq!(ask("SELECT order_id FROM payments WHERE status = 'captured' ORDER BY 1"), shipped);
    assert_eq!(ask("SELECT order_id FROM shipments WHERE status = 'announced' ORDER BY 1"), shipped);
    // The gateway has what the receipts say, and no cent more.
    let receipts = "SELECT sum(amount * (status = 'captured')) FROM payments";
    assert_eq!(ask("SELECT sum(charged - refunded) FROM gateway"), ask(receipts));
    // Who was told that his order is confirmed and does not get it was told that, too.
    assert_eq!(ask("SELECT order_id FROM letters GROUP BY order_id HAVING count(*) = 1 ORDER BY 1"), shipped);
}

/// The compensations of an item in the order in which they began, with their statuses.
fn undone(floor: &Floor, item: &str) -> Vec<String> {
    let mut rows = floor.trace();
    rows.retain(|row| row.item.as_deref() == Some(item) && row.status.name().starts_with("compensat"));
    rows.sort_by_key(|row| row.started_ms);
    rows.iter().map(|row| format!("{} {}", row.phase, row.status.name())).collect()
}

#[test]
fn every_order_goes_its_way() {
    let floor = Floor::new();
    let told = floor.run(RUN, 0);
    let mail_lost = ["SendConfirmationEmail failed #2"];
    for (item, forward, failed, back) in [
        ("ORD-101", 4, &[][..], &[][..]),
        ("ORD-102", 0, &["ReserveInventory failed"], &[]),
        ("ORD-103", 1, &["ProcessPayment failed"], &["ReleaseInventory"]),
        ("ORD-104", 2, &["CreateShipment failed"], &["RefundPayment", "ReleaseInventory"]),
        (
            "ORD-105",
            3,
            &["SendConfirmationEmail failed"],
            &["CancelShipment", "RefundPayment", "ReleaseInventory"],
        ),
        (
            "ORD-106",
            3,
            &mail_lost,
            &["SendCancellationEmail", "CancelShipment", "RefundPayment", "ReleaseInventory"],
        ),
        ("ORD-108", 4, &[], &[]),
    ] {
        let back: Vec<String> = back.iter().map(|phase| format!("{phase} compensated")).collect();
        let fate = floor.fate(item);
        let begun: Vec<_> = DONE[..forward].iter().chain(failed).copied().collect();
        assert_eq!(fate[..begun.len()], begun, "{item}");
        assert_eq!(fate.len(), begun.len() + back.len(), "{item}: {fate:?}");
        assert_eq!(undone(&floor, item), back, "{item}");
    }
    let mut busy = DONE.map(String::from);
    busy[1].push_str(" #2");
    assert_eq!(floor.fate("ORD-107"), busy);
    assert!(told.err.contains("ORD-103: Process Payment failed: the card was declined"), "{}", told.err);

    books_agree(&floor, "ORD-101\nORD-107\nORD-108\n");
    let letters = "SELECT subject FROM letters WHERE order_id = 'ORD-106' ORDER BY rowid";
    assert_eq!(
        floor.ask("shop", letters),
        "Your order ORD-106 is confirmed\nYour order ORD-106 is cancelled\n"
    );
    let calls = "SELECT calls FROM gateway WHERE card = 'tok_busy'";
    assert_eq!(floor.ask("shop", calls), "2\n", "asked twice, and paid once");
}

#[test]
fn five_failures_are_tolerated_and_no_sixth() {
    let floor = Floor::new();
    floor.run(&format!("{RUN} --tolerate 4"), 1);
    floor.run(&format!("{RUN} --item ORD-102 --tolerate 0"), 1);
    floor.run(&format!("{RUN} --item ORD-101 --tolerate 0"), 0);
}

/// The books tell in which order their pages were written.
#[test]
fn what_was_done_last_is_undone_first() {
    let floor = Floor::new();
    floor.run(&format!("{RUN} --item ORD-105"), 0);
    assert_eq!(
        floor.ask("shop", "SELECT step FROM answers ORDER BY rowid"),
        "ReserveInventory\nProcessPayment\nCreateShipment\nCancelShipment\nRefundPayment\nReleaseInventory\n"
    );
}

#[test]
fn a_refund_that_fails_is_for_a_person_and_keeps_nothing_else_from_being_undone() {
    let floor = Floor::new();
    let told = floor.run(&format!("{RUN} --items orders/order-saga-stuck.jsonl"), 5);
    assert_eq!(
        undone(&floor, "ORD-109"),
        ["RefundPayment compensation_failed", "ReleaseInventory compensated"]
    );
    assert!(told.err.contains("the account of the card is closed"), "{}", told.err);
    let ask = |sql: &str| floor.ask("shop", sql);
    assert_eq!(ask("SELECT status FROM payments"), "captured\n");
    assert_eq!(ask("SELECT charged, refunded FROM gateway"), "4000 0\n");
    assert_eq!(ask("SELECT status FROM reservations"), "released\n");
    assert_eq!(ask("SELECT on_hand FROM stock WHERE sku = 'LAMP-DESK'"), "500\n");

    let told = floor.orderflow("resolve last --item ORD-109 --note refunded-by-cheque");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let shown = floor.orderflow("show last --item ORD-109").out;
    assert!(shown.contains("ORD-109: compensated") && shown.contains("refunded-by-cheque"), "{shown}");
}

/// Orders that no carrier takes, and whose payments are to be given back.
fn far_away(count: usize) -> String {
    (0..count).fold(String::new(), |mut orders, number| {
        let order = format!(
            "{{\"order_id\": \"FAR-{number:03}\", \"user_id\": \"u\", \"email\": \"u@example.com\", \"items\": [{{\"sku\": \
             \"MUG-BLUE\", \"quantity\": 1}}], \"total_amount\": 12.50, \"card\": \"tok_visa\", \"country\": \"AQ\"}}"
        );
        writeln!(orders, "{order}").unwrap();
        orders
    })
}

#[test]
fn a_run_that_is_killed_while_it_undoes_undoes_everything_once() {
    const ORDERS: usize = 40;
    let floor = Floor::new();
    floor.run(&format!("{RUN} --item ORD-101"), 0);
    floor.write("orders/far.jsonl", &far_away(ORDERS));
    let args = format!("{RUN} --items orders/far.jsonl --jobs 4 --tolerate 100%");
    let refunds = "SELECT count(*) > 2 FROM payments WHERE status = 'refunded'";
    let told = floor.kill_amid(&args, "shop", refunds);
    assert_eq!(told.exit, Some(0), "{}", told.err);
    books_agree(&floor, "ORD-101\n");
    for number in 0..ORDERS {
        let item = format!("FAR-{number:03}");
        let mut undone = undone(&floor, &item);
        // Nobody saw what came of a shipment that was under way when the runner was killed: it is cancelled, too.
        undone.retain(|row| row != "CancelShipment compensated");
        assert_eq!(undone, ["RefundPayment compensated", "ReleaseInventory compensated"], "{item}");
    }
    // One charge and one refund an order, and one key for each: an attempt that was made again had the key of the first.
    assert_eq!(
        floor.ask("shop", "SELECT count(*), sum(refunded) FROM gateway WHERE card = 'tok_visa'"),
        "41 50000\n"
    );
    let answers =
        "SELECT step, count(*) FROM answers WHERE step <> 'CancelShipment' GROUP BY step ORDER BY step";
    assert_eq!(
        floor.ask("shop", answers),
        "CreateShipment 1\nProcessPayment 41\nRefundPayment 40\nReleaseInventory 40\nReserveInventory 41\n"
    );
}
