//! The order creation of `workflows/`: what its requests come to, what the three databases hold afterwards, and that
//! events which come twice, late or after a crash count once.

use crate::shop_floor::Floor;

const RUN: &str = "order-creation.md";

/// Steps of a request whose goods are there.
const DELIVERED: [&str; 12] = [
    "ValidateOrder success",
    "CheckAvailability success",
    "RefuseOrder skipped",
    "CreateOrder success",
    "PublishOrderCreated success",
    "CreateShipment success",
    "Ship success",
    "PublishOrderShipped success",
    "RecordShipped success",
    "Deliver success",
    "PublishOrderDelivered success",
    "RecordDelivered success",
];

/// All orders are delivered, and the two services agree on each.
#[track_caller]
fn books_agree(floor: &Floor, expected: &str) {
    let orders = "SELECT request_id, status, carrier FROM orders ORDER BY request_id";
    assert_eq!(floor.ask("sales", orders), expected);
    let status = "SELECT order_id, status, carrier, tracking_number, delivered_at FROM";
    assert_eq!(
        floor.ask("sales", &format!("{status} orders ORDER BY 1")),
        floor.ask("delivery", &format!("{status} shipments ORDER BY 1"))
    );
    assert_eq!(
        floor.ask("sales", "SELECT order_id, product_id, quantity FROM order_items ORDER BY 1, 2"),
        floor.ask(
            "delivery",
            "SELECT order_id, product_id, quantity FROM parcels JOIN shipments USING (shipment_id) ORDER BY 1, 2"
        )
    );
    // Every event was published by the one, and had its effect at the other.
    for (from, to) in [("sales", "delivery"), ("delivery", "sales")] {
        let published = "SELECT event_id FROM outbox WHERE published_at IS NOT NULL ORDER BY 1";
        assert_eq!(floor.ask(from, published), floor.ask(to, "SELECT event_id FROM inbox ORDER BY 1"));
        assert_eq!(floor.ask(from, "SELECT count(*) FROM outbox WHERE published_at IS NULL"), "0\n");
    }
    let lines = expected.lines().count();
    assert_eq!(floor.ask("sales", "SELECT count(*) FROM outbox"), format!("{lines}\n"));
    assert_eq!(floor.ask("delivery", "SELECT count(*) FROM outbox"), format!("{}\n", 2 * lines));
}

const BATCH: &str = "\
req_001 DELIVERED FedEx\nreq_003 DELIVERED DHL\nreq_005 DELIVERED FedEx\nreq_008 DELIVERED DHL\n";

#[test]
fn orders_are_made_of_what_is_there_and_of_nothing_else() {
    let floor = Floor::new();
    let told = floor.run(RUN, 0);
    books_agree(&floor, BATCH);
    for item in ["req_001", "req_003", "req_005", "req_008"] {
        assert_eq!(floor.fate(item), DELIVERED, "{item}");
    }
    for (item, short) in [
        ("req_002", "product_101: 1 wanted, 0 there"),
        ("req_004", "product_789: 60 wanted, 50 there"),
        ("req_006", "product_555: 1 wanted, 0 there"),
    ] {
        let fate = [
            "ValidateOrder success",
            "CheckAvailability success",
            "RefuseOrder failed",
            "CreateOrder skipped",
        ];
        assert_eq!(floor.fate(item), fate, "{item}");
        let line = format!("{item}: Refuse Order failed: 400 Bad Request: product unavailable ({short})\n");
        assert!(told.err.contains(&line), "{}", told.err);
    }
    assert_eq!(floor.fate("req_007"), ["ValidateOrder failed"]);
    let line = "req_007: Validate Order failed: 400 Bad Request: customer.email is missing; items[0].quantity is 0, ";
    assert!(told.err.contains(line), "{}", told.err);

    let items =
        "SELECT request_id, product_id, quantity FROM order_items JOIN orders USING (order_id) ORDER BY 1, 2";
    assert_eq!(
        floor.ask("sales", items),
        "req_001 product_456 2\nreq_001 product_789 1\nreq_003 product_789 50\nreq_005 product_321 1\n\
         req_008 product_321 6\nreq_008 product_456 1\n"
    );
    let left_at = "SELECT delivery_location FROM shipments ORDER BY 1";
    assert_eq!(
        floor.ask("delivery", left_at),
        "Front door\nFront door\nWarehouse, gate 3\nWith the neighbours\n"
    );
}

/// The 400 is the error's code, and more failures than half are too many.
#[test]
fn a_refused_order_is_an_error_that_leaves_nothing() {
    let floor = Floor::new();
    floor.run(&format!("{RUN} --item req_002 --item req_007"), 1);
    for item in ["req_002", "req_007"] {
        let told = floor.orderflow(&format!("show last --item {item} --format json"));
        let shown: serde_json::Value = serde_json::from_str(&told.out).unwrap();
        assert!(told.out.contains(r#""code": "400""#), "{shown:#}");
    }
    for table in ["orders", "order_items", "outbox", "answers"] {
        assert_eq!(floor.ask("sales", &format!("SELECT count(*) FROM {table}")), "0\n", "{table}");
    }
    assert!(!floor.database("delivery").exists(), "the delivery service has heard of nothing");
    floor.run(&format!("{RUN} --item req_001"), 0);
    books_agree(&floor, "req_001 DELIVERED FedEx\n");
}

/// What an event says is what the sequence of the services has agreed upon.
#[test]
fn events_tell_what_has_changed() {
    let floor = Floor::new();
    floor.run(&format!("{RUN} --item req_003"), 0);
    let told = |database: &str| -> Vec<serde_json::Value> {
        let bodies = floor.ask(database, "SELECT body FROM outbox ORDER BY rowid");
        bodies.lines().map(|body| serde_json::from_str(body).unwrap()).collect()
    };
    let (created, updates) = (&told("sales")[0], told("delivery"));
    let order = floor.ask("sales", "SELECT order_id, tracking_number, delivered_at FROM orders");
    let [order_id, tracking_number, delivered_at] = order.trim().split(' ').collect::<Vec<_>>()[..] else {
        panic!()
    };
    let event = |event_type: &str, source: &str, data: serde_json::Value| serde_json::json!({"event_type": event_type, "source": source, "data": data});
    let head = |event: &serde_json::Value| {
        let mut event = event.as_object().unwrap().clone();
        let (id, time) = (event.remove("event_id").unwrap(), event.remove("timestamp").unwrap());
        assert!(id.as_str().unwrap().starts_with("evt_") && time.as_str().unwrap().ends_with('Z'));
        serde_json::Value::from(event)
    };
    assert_eq!(
        head(created),
        event(
            "order.created",
            "sales-service",
            serde_json::json!({
                "order_id": order_id,
                "status": "PENDING_SHIPMENT",
                "customer_id": "cust_123",
                "items": [{"product_id": "product_789", "quantity": 50}],
                "ship_to": {"country": "FR", "leave_at": "Warehouse, gate 3"},
            })
        )
    );
    assert_eq!(
        head(&updates[0]),
        event(
            "order.status_updated",
            "delivery-service",
            serde_json::json!({
                "order_id": order_id,
                "previous_status": "PENDING_SHIPMENT",
                "current_status": "SHIPPED",
                "tracking_number": tracking_number,
                "carrier": "DHL",
            })
        )
    );
    assert_eq!(
        head(&updates[1]),
        event(
            "order.status_updated",
            "delivery-service",
            serde_json::json!({
                "order_id": order_id,
                "previous_status": "SHIPPED",
                "current_status": "DELIVERED",
                "delivered_at": delivered_at,
                "delivery_location": "Warehouse, gate 3",
            })
        )
    );
}

/// Another run delivers the same events again, under keys of its own.
#[test]
fn an_event_that_comes_twice_counts_once_and_one_out_of_order_not_at_all() {
    let floor = Floor::new();
    floor.run(&format!("{RUN} --item req_001"), 0);
    let again = |database: &str, event: &str, step: &str| {
        let body = format!("SELECT body FROM outbox WHERE event_id LIKE 'evt_{event}%'");
        floor.write("event.json", &floor.ask(database, &body));
        format!("{RUN} --item req_001 --tolerate 0 --only {step} --input order_{event}=@event.json")
    };
    floor.run(&again("sales", "created", "CreateShipment"), 0);
    floor.run(&again("delivery", "shipped", "RecordShipped"), 0);
    floor.write("order.json", r#"{"id": "-", "status": "SHIPPED", "event_id": "-"}"#);
    let delivered = again("delivery", "delivered", "RecordDelivered");
    floor.run(&format!("{delivered} --input shipped_order=@order.json"), 0);
    books_agree(&floor, "req_001 DELIVERED FedEx\n");

    // An event of another name: it says that the order follows from a status that it does not have.
    let late = again("delivery", "shipped", "RecordShipped");
    let event = floor.ask("delivery", "SELECT body FROM outbox WHERE event_id LIKE 'evt_shipped%'");
    floor.write("event.json", &event.replacen("evt_shipped_", "evt_shipped_late_", 1));
    let told = floor.run(&late, 1);
    assert!(told.err.contains("is not PENDING_SHIPMENT"), "{}", told.err);
    books_agree(&floor, "req_001 DELIVERED FedEx\n");
}

/// The order stands while the delivery is out of reach, and is brought when that is back.
#[test]
fn an_order_waits_for_a_delivery_that_is_out_of_reach() {
    let floor = Floor::new();
    let impatient = std::fs::read_to_string(floor.path(RUN)).unwrap().replace("200ms..10s", "1ms..5ms");
    floor.write(RUN, &impatient);
    floor.write("wall", "a file, where the folder of the database should be");
    let args = format!("run {RUN} --quiet --item req_005");
    let output = floor.command(&args).env("DELIVERY_DB", floor.path("wall/delivery.db")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(floor.fate("req_005").last().unwrap(), "CreateShipment failed #6");
    let order = "SELECT status, published_at IS NOT NULL FROM orders JOIN outbox USING (order_id)";
    assert_eq!(floor.ask("sales", order), "PENDING_SHIPMENT 1\n");

    let told = floor.orderflow("retry last --quiet");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    books_agree(&floor, "req_005 DELIVERED FedEx\n");
}

#[test]
fn a_run_that_is_killed_makes_no_order_and_no_shipment_twice() {
    let floor = Floor::new();
    floor.run(&format!("{RUN} --item req_001"), 0);
    let made = || floor.ask("sales", "SELECT count(*) FROM outbox WHERE published_at IS NOT NULL") == "5\n";
    let told = floor.kill_and_resume(RUN, "delivery", made);
    assert_eq!(told.exit, Some(0), "{}", told.err);
    books_agree(&floor, &format!("req_001 DELIVERED FedEx\n{BATCH}"));
    for item in ["req_001", "req_003", "req_005", "req_008"] {
        let phases: Vec<String> = floor.fate(item).iter().map(|row| row.replace(" #2", "")).collect();
        assert_eq!(phases, DELIVERED, "{item}");
    }
}
