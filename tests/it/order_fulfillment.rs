//! The order fulfilment of `workflows/`: what its orders come to, what the books hold afterwards, and what is undone in
//! which order.

use crate::shop_floor::Floor;
use orderflow::session::Row;
use serde_json::Value;

const RUN: &str = "order-fulfillment.md";

/// Orders that are fulfilled, with the number of the attempt at their payment.
const FULFILLED: [(&str, u32); 4] =
    [("ORDER-1001", 1), ("ORDER-1002", 2), ("ORDER-1003", 2), ("ORDER-1004", 1)];

fn steps(fate: &[String]) -> Vec<&str> {
    fate.iter().map(String::as_str).collect()
}

/// When a step of an item began.
#[track_caller]
fn began(rows: &[Row], item: &str, phase: &str) -> u64 {
    let is = |row: &&Row| row.item.as_deref() == Some(item) && *row.phase == *phase;
    rows.iter().find(is).and_then(|row| row.started_ms).unwrap_or_else(|| panic!("no {phase} of {item}"))
}

#[test]
fn every_order_ends_as_the_document_says() {
    let floor = Floor::new();
    let told = floor.run(RUN, 1);
    for (item, tries) in FULFILLED {
        let paid = if tries == 1 { "ProcessPayment success" } else { "ProcessPayment success #2" };
        let told = if item == "ORDER-1004" { "NotifyCustomer failed" } else { "NotifyCustomer success" };
        let fate = [
            "ValidateOrder success",
            "CheckInventory success",
            paid,
            "WriteConfirmation success",
            "FulfillOrder success",
            told,
        ];
        assert_eq!(steps(&floor.fate(item)), fate, "{item}");
    }
    let (valid, released) = ("ValidateOrder success", "ReleaseInventory compensated");
    let (held, paid, refunded) =
        ("CheckInventory success", "ProcessPayment success", "RefundPayment compensated");
    let failed = "ProcessPayment failed";
    for (item, fate) in [
        ("ORDER-INVALID", vec!["ValidateOrder failed"]),
        ("ORDER-INSUFFICIENT", vec![valid, "CheckInventory failed"]),
        ("ORDER-PARTIAL", vec![valid, "CheckInventory failed"]),
        ("ORDER-PAYMENT-FAIL", vec![valid, held, failed, released]),
        ("ORDER-EXPIRED", vec![valid, held, failed, released]),
        ("ORDER-GATEWAY-ERROR", vec![valid, held, failed, released]),
        ("ORDER-NO-ANSWER", vec![valid, held, "ProcessPayment failed #3", released, refunded]),
        (
            "ORDER-NO-CARRIER",
            vec![valid, held, paid, "WriteConfirmation success", "FulfillOrder failed", released, refunded],
        ),
    ] {
        assert_eq!(steps(&floor.fate(item)), fate, "{item}");
    }
    let rows = floor.trace();
    for item in ["ORDER-NO-ANSWER", "ORDER-NO-CARRIER"] {
        let at = |phase| began(&rows, item, phase);
        assert!(at("RefundPayment") < at("ReleaseInventory"), "{item}: the later step is undone first");
    }
    for line in [
        "ORDER-INVALID: Validate Order failed: missing: customer_id, items; total_amount must be positive\n",
        "ORDER-INSUFFICIENT: Check Inventory failed: insufficient stock for OUT-OF-STOCK: 100 wanted, 0 there\n",
        "ORDER-PAYMENT-FAIL: Process Payment failed: the card was declined\n",
    ] {
        assert!(told.err.contains(line), "{}", told.err);
    }
    books_are_right(&floor);
}

/// Nothing is held, paid or sent but for the orders that were fulfilled.
fn books_are_right(floor: &Floor) {
    let ask = |sql: &str| floor.ask("store", sql);
    assert_eq!(
        ask(
            "SELECT status, order_id, product_id, quantity FROM reservations WHERE status != 'released' ORDER BY 2, 3"
        ),
        "shipped ORDER-1001 LAPTOP 1\nshipped ORDER-1002 KEYBOARD 1\nshipped ORDER-1002 MOUSE 2\n\
         shipped ORDER-1003 MOUSE 3\nshipped ORDER-1004 KEYBOARD 1\n"
    );
    assert_eq!(
        ask("SELECT order_id, product_id FROM reservations WHERE status = 'released' ORDER BY 1, 2"),
        "ORDER-EXPIRED LAPTOP\nORDER-GATEWAY-ERROR LAPTOP\nORDER-NO-ANSWER LAPTOP\nORDER-NO-CARRIER LAPTOP\n\
         ORDER-NO-CARRIER MOUSE\nORDER-PARTIAL MOUSE\nORDER-PAYMENT-FAIL LAPTOP\n"
    );
    assert_eq!(
        ask("SELECT product_id, available FROM stock ORDER BY 1"),
        "KEYBOARD 3\nLAPTOP 19\nMOUSE 45\nOUT-OF-STOCK 0\n"
    );
    assert_eq!(
        ask("SELECT order_id, amount, calls, status FROM charges WHERE status != 'refused' ORDER BY 1"),
        "ORDER-1001 99999 1 captured\nORDER-1002 13948 2 captured\nORDER-1003 8997 2 captured\n\
         ORDER-1004 7950 1 captured\nORDER-NO-ANSWER 199998 3 refunded\nORDER-NO-CARRIER 102998 1 refunded\n"
    );
    assert_eq!(
        ask("SELECT order_id, amount, fee, status FROM payments ORDER BY 1"),
        "ORDER-1001 99999 2900 charged\nORDER-1002 13948 404 charged\nORDER-1003 8997 261 charged\n\
         ORDER-1004 7950 231 charged\nORDER-NO-CARRIER 102998 2987 refunded\n"
    );
    assert_eq!(
        ask("SELECT order_id, carrier, status FROM shipments ORDER BY 1"),
        "ORDER-1001 UPS label_created\nORDER-1002 UPS label_created\nORDER-1003 DHL label_created\n\
         ORDER-1004 DHL label_created\n"
    );
    let closed = "ORDER-1001\nORDER-1002\nORDER-1003\n";
    assert_eq!(ask("SELECT order_id FROM completions ORDER BY 1"), closed);
    assert_eq!(ask("SELECT order_id FROM crm ORDER BY 1"), closed);
    assert_eq!(
        ask("SELECT order_id, recipient, subject FROM outbox ORDER BY 1"),
        "ORDER-1001 ada@example.com Your order ORDER-1001\nORDER-1002 grace@example.com Your order ORDER-1002\n\
         ORDER-1003 edsger@example.com Your order ORDER-1003\n\
         ORDER-NO-ANSWER grace@example.com Your payment comes back\n\
         ORDER-NO-CARRIER edsger@example.com Your payment comes back\n"
    );
    let letter =
        ask("SELECT body FROM outbox JOIN shipments USING (run, order_id) WHERE order_id = 'ORDER-1001'");
    let number = ask("SELECT tracking_number FROM shipments WHERE order_id = 'ORDER-1001'");
    assert!(
        letter.starts_with("Dear Ada Lovelace,\n\nthank you for your order: 1 x LAPTOP at 999.99. "),
        "{letter}"
    );
    assert!(letter.contains(number.trim()), "{letter}");
}

#[test]
fn each_order_by_itself_has_its_exit_and_its_state() {
    let floor = Floor::new();
    floor.run(&format!("{RUN} --item ORDER-1001"), 0);
    for (item, state) in [("ORDER-INSUFFICIENT", "failed"), ("ORDER-PAYMENT-FAIL", "compensated")] {
        floor.run(&format!("{RUN} --item {item}"), 1);
        let told = floor.orderflow(&format!("show last --item {item} --format json"));
        let shown: Value = serde_json::from_str(&told.out).unwrap();
        assert_eq!(shown["state"], state);
    }
    // Each run was a day of its own.
    assert_eq!(
        floor.ask("store", "SELECT available FROM stock WHERE product_id = 'LAPTOP' ORDER BY 1"),
        "19\n20\n20\n"
    );
}

/// The advice of the gateway decides, and stands in the trace.
#[test]
fn a_payment_fails_with_a_code_and_an_advice() {
    let floor = Floor::new();
    for (item, code, outcome, advice) in [
        ("ORDER-PAYMENT-FAIL", "card_declined", "failed", false),
        ("ORDER-EXPIRED", "expired_card", "failed", false),
        ("ORDER-GATEWAY-ERROR", "gateway_error", "failed", false),
        ("ORDER-NO-ANSWER", "gateway_timeout", "unknown", true),
    ] {
        floor.run(&format!("{RUN} --item {item}"), 1);
        let told = floor.orderflow(&format!("show last --item {item} --format json"));
        let shown: Value = serde_json::from_str(&told.out).unwrap();
        let payment =
            shown["steps"].as_array().unwrap().iter().find(|step| step["phase"] == "ProcessPayment").unwrap();
        for attempt in payment["attempts"].as_array().unwrap() {
            let error = &attempt["error"];
            assert_eq!((&error["code"], &error["outcome"]), (&code.into(), &outcome.into()), "{item}");
            assert_eq!(error["retryable"], advice, "{item}");
            assert_eq!(attempt["columns"]["retry_recommended"], advice, "{item}");
        }
    }
}

/// Rules of the desk, one broken at a time.
#[test]
fn an_invalid_order_hears_all_that_is_wrong_with_it() {
    let floor = Floor::new();
    let order = |change: &dyn Fn(&mut Value)| {
        let mut order = serde_json::json!({"id": "ORDER-1", "customer_id": "CUST-123", "total_amount": 20.0,
            "items": [{"product_id": "MOUSE", "quantity": 2, "price": 10.0}]});
        change(&mut order);
        floor.write("orders/one.json", &order.to_string());
        floor.run(&format!("{RUN} --items orders/one.json --key customer_id --only ValidateOrder"), 1).err
    };
    let wrong = |change: &dyn Fn(&mut Value), message: &str| {
        let told = order(change);
        assert!(told.contains(&format!("Validate Order failed: {message}\n")), "{told}");
    };
    wrong(&|order| drop(order.as_object_mut().unwrap().remove("id")), "missing: id");
    wrong(&|order| order["items"] = serde_json::json!([]), "missing: items");
    wrong(
        &|order| order["total_amount"] = 20.02.into(),
        "total mismatch: the items come to 20.0, declared is 20.02",
    );
    wrong(
        &|order| order["items"][0] = serde_json::json!({"quantity": 0, "price": -1}),
        "item 0: missing product_id; item 0: quantity must be a positive whole number; item 0: price must be positive",
    );
}

/// What the document says of monitoring: each figure, from the command that it names.
#[test]
fn the_figures_of_a_run_are_those_of_its_trace() {
    let floor = Floor::new();
    floor.run(RUN, 1);
    let rows = floor.trace();
    let stats = |by: &str| -> Value {
        let told = floor.orderflow(&format!("stats --by {by} --format json session.toon"));
        assert_eq!(told.exit, Some(0), "{}", told.err);
        serde_json::from_str(&told.out).unwrap()
    };
    let agents = stats("agent");
    assert_eq!(agents["run"]["rows"], rows.len());
    let items = &agents["run"]["items_by_status"];
    assert_eq!(
        (&items["succeeded"], &items["failed"], &items["compensated"]),
        (&4.into(), &3.into(), &5.into())
    );
    let groups = agents["groups"].as_array().unwrap();
    let group = |name: &str| groups.iter().find(|group| group["by"]["agent"] == name).unwrap();
    // 9 payments of which 4 fail, and 2 refunds.
    let gateway = group("card-gateway");
    assert_eq!(gateway["count"], 11);
    assert_eq!(gateway["success_rate"].as_f64().map(|rate| (rate * 1000.0).round()), Some(636.0));
    assert!(gateway["mean_ms"].is_number() && gateway["p95_ms"].is_number(), "{gateway}");
    assert_eq!(group("order-validator")["count"], 12);
    let table = floor.orderflow("stats session.toon").out;
    assert!(table.contains(&format!("executions     {}\n", rows.len())), "{table}");
    assert!(table.contains("items          12: 4 succeeded, 3 failed, 5 compensated\n"), "{table}");
    let status = stats("status");
    let count = |name: &str| {
        let groups = status["groups"].as_array().unwrap();
        groups
            .iter()
            .find(|group| group["by"]["status"] == name)
            .map_or(0, |group| group["count"].as_u64().unwrap())
    };
    assert_eq!((count("success"), count("failed"), count("compensated")), (37, 9, 7));
    let alert = |expected: &str| {
        floor.command("stats session.toon --expect").arg(expected).output().unwrap().status.code()
    };
    assert_eq!(alert("'Process Payment'.errors < 5%"), Some(1));
    assert_eq!(alert("'Validate Order'.errors < 10%"), Some(0));
}

/// The runner is killed while the store cannot write; what it was at is done afterwards, and undone.
#[test]
fn an_order_that_was_cut_off_ends_as_if_it_had_not_been() {
    let floor = Floor::new();
    floor.run(&format!("{RUN} --item ORDER-1001"), 0);
    let at_work = || {
        let told = floor.orderflow("show last --item ORDER-NO-CARRIER");
        told.out.contains("Check Inventory: running")
    };
    let told = floor.kill_and_resume(&format!("{RUN} --item ORDER-NO-CARRIER"), "store", at_work);
    assert_eq!(told.exit, Some(1), "{}", told.err);
    let of = "FROM reservations WHERE order_id = 'ORDER-NO-CARRIER' ORDER BY 1";
    assert_eq!(
        floor.ask("store", &format!("SELECT product_id, status {of}")),
        "LAPTOP released\nMOUSE released\n"
    );
    let charge = "SELECT calls, status FROM charges WHERE order_id = 'ORDER-NO-CARRIER'";
    assert_eq!(floor.ask("store", charge), "1 refunded\n");
}
