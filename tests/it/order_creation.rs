//! The order creation of `workflows/`: what its requests come to, what the three databases hold afterwards, and that
//! events which come twice, late or after a crash count once.

use crate::shop_floor::Floor;

pub const RUN: &str = "order-creation.md";

/// Steps of a request whose goods are there.
const DELIVERED: [&str; 9] = [
    "ValidateOrder success",
    "CheckAvailability success",
    "RefuseOrder skipped",
    "CreateOrder success",
    "CreateShipment success",
    "Ship success",
    "RecordShipped success",
    "Deliver success",
    "RecordDelivered success",
];

/// All orders are delivered, and the two services agree on each.
#[track_caller]
pub fn books_agree(floor: &Floor, expected: &str) {
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
}

pub const BATCH: &str = "\
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
    for table in ["orders", "order_items", "answers"] {
        assert_eq!(floor.ask("sales", &format!("SELECT count(*) FROM {table}")), "0\n", "{table}");
    }
    assert!(!floor.database("delivery").exists(), "the delivery service has heard of nothing");
    floor.run(&format!("{RUN} --item req_001"), 0);
    books_agree(&floor, "req_001 DELIVERED FedEx\n");
}

/// The messages of both ways through the sequence of the services: who sends to whom, and a word of what.
const AVAILABLE: [(&str, &str, &str); 23] = [
    ("customer", "sales-api", "POST /orders"),
    ("sales-api", "sales-api", "Validate"),
    ("sales-api", "product-service", "Check Availability"),
    ("product-service", "product-service", "Check stock levels"),
    ("product-service", "sales-api", "availability"),
    ("sales-api", "sales-db", "BEGIN"),
    ("sales-api", "sales-db", "INSERT order (status=\"PENDING_SHIPMENT\")"),
    ("sales-api", "sales-db", "INSERT order_items"),
    ("sales-api", "sales-db", "COMMIT"),
    ("sales-api", "customer", "PENDING_SHIPMENT"),
    ("sales-api", "order-events", "order.created"),
    ("order-events", "delivery-api", "order.created"),
    ("delivery-api", "delivery-db", "INSERT shipment"),
    ("delivery-api", "delivery-api", "SHIPPED"),
    ("delivery-api", "delivery-db", "UPDATE shipment (status=\"SHIPPED\", tracking_number"),
    ("delivery-api", "order-events", "order.status_updated"),
    ("order-events", "sales-api", "order.status_updated"),
    ("sales-api", "sales-db", "UPDATE order (status=\"SHIPPED\")"),
    ("delivery-api", "delivery-api", "DELIVERED"),
    ("delivery-api", "delivery-db", "UPDATE shipment (status=\"DELIVERED\", delivered_at"),
    ("delivery-api", "order-events", "order.status_updated"),
    ("order-events", "sales-api", "order.status_updated"),
    ("sales-api", "sales-db", "UPDATE order (status=\"DELIVERED\")"),
];

const UNAVAILABLE: [(&str, &str, &str); 6] = [
    ("customer", "sales-api", "POST /orders"),
    ("sales-api", "sales-api", "Validate"),
    ("sales-api", "product-service", "Check Availability"),
    ("product-service", "product-service", "Check stock levels"),
    ("product-service", "sales-api", "availability"),
    ("sales-api", "customer", "400 Bad Request"),
];

/// The messages of a sequence diagram, with the names of its participants.
fn messages(diagram: &str) -> Vec<(String, String, String)> {
    let mut names = std::collections::BTreeMap::new();
    let mut messages = Vec::new();
    for line in diagram.lines().map(str::trim) {
        if let Some((id, name)) = line.strip_prefix("participant ").and_then(|line| line.split_once(" as ")) {
            names.insert(id.to_owned(), name.to_owned());
        }
        let Some((ends, text)) = line.split_once(": ") else { continue };
        let Some((from, to)) = ends.split_once("-->>").or_else(|| ends.split_once("->>")) else { continue };
        messages.push((names[from].clone(), names[to].clone(), text.to_owned()));
    }
    messages
}

#[test]
fn a_run_is_the_sequence_that_the_services_have_agreed_upon() {
    let floor = Floor::new();
    floor.run(&format!("{RUN} --tolerate 1 --item req_001 --item req_002"), 0);
    is_the_sequence(&floor);
}

/// One order of the last run was delivered and one refused, each as the services have agreed.
pub fn is_the_sequence(floor: &Floor) {
    for (item, expected) in [("req_001", &AVAILABLE[..]), ("req_002", &UNAVAILABLE[..])] {
        let told = floor.orderflow(&format!("graph --format sequence --run last --item {item}"));
        let found = messages(&told.out);
        let same = |(expected, found): (&(&str, &str, &str), &(String, String, String))| {
            (expected.0, expected.1) == (&*found.0, &*found.1) && found.2.contains(expected.2)
        };
        assert!(
            found.len() == expected.len() && expected.iter().zip(&found).all(same),
            "{found:#?}\n{}",
            told.out
        );
    }
}

/// Another run gets the same events again, under keys of its own.
#[test]
fn an_event_that_comes_twice_counts_once_and_one_out_of_order_not_at_all() {
    let floor = Floor::new();
    floor.run(&format!("{RUN} --item req_001"), 0);
    let order = floor.ask("sales", "SELECT order_id FROM orders").trim().to_owned();
    let shipped = |status: &str| {
        format!(
            r#"{{"order_id": "{order}", "previous_status": "{status}", "current_status": "SHIPPED", "carrier": "UPS", "tracking_number": "1Z"}}"#
        )
    };
    floor.write("event.json", &shipped("PENDING_SHIPMENT"));
    let late = format!("{RUN} --item req_001 --tolerate 0 --only RecordShipped");
    let told = floor.orderflow(&format!("run --quiet {late}"));
    assert_eq!(told.exit, Some(5), "{}", told.err);
    let signal = "signal last order.status_updated --item req_001 --data @event.json --id evt-late";
    for _ in 0..2 {
        let told = floor.orderflow(signal);
        assert_eq!(told.exit, Some(0), "{}", told.err);
    }
    let told = floor.orderflow("resume last --quiet");
    assert_eq!(told.exit, Some(1), "{}", told.err);
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
    assert_eq!(floor.ask("sales", "SELECT status FROM orders"), "PENDING_SHIPMENT\n");

    let told = floor.orderflow("retry last --quiet");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    books_agree(&floor, "req_005 DELIVERED FedEx\n");
}

#[test]
fn a_run_that_is_killed_makes_no_order_and_no_shipment_twice() {
    let floor = Floor::new();
    floor.run(&format!("{RUN} --item req_001"), 0);
    let made = || floor.ask("sales", "SELECT count(*) FROM orders") == "5\n";
    let told = floor.kill_and_resume(RUN, "delivery", made);
    assert_eq!(told.exit, Some(0), "{}", told.err);
    books_agree(&floor, &format!("req_001 DELIVERED FedEx\n{BATCH}"));
    for item in ["req_001", "req_003", "req_005", "req_008"] {
        let phases: Vec<String> = floor.fate(item).iter().map(|row| row.replace(" #2", "")).collect();
        assert_eq!(phases, DELIVERED, "{item}");
    }
}

/// The services answer any other client, too, as their own examples say.
#[test]
fn the_services_answer_clients_other_than_orderflow() {
    let floor = Floor::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut service = crate::python::python()
        .args(["-S", "agents/product-service.py"])
        .env("PORT", port.to_string())
        .current_dir(floor.path(""))
        .spawn()
        .unwrap();
    let body = r#"{"items": [{"product_id": "product_456", "quantity": 2}, {"product_id": "product_789", "quantity": 51}]}"#;
    let answer = post(port, "/api/v1/products/check-availability", body);
    service.kill().unwrap();
    service.wait().unwrap();
    let expected = serde_json::json!({
        "all_available": false,
        "items": [
            {"product_id": "product_456", "requested": 2, "available": 150, "is_available": true},
            {"product_id": "product_789", "requested": 51, "available": 50, "is_available": false},
        ],
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&answer).unwrap(), expected);
}

/// The body of an answer.
fn post(port: u16, path: &str, body: &str) -> String {
    use std::io::{Read, Write};
    let begin = std::time::Instant::now();
    let mut stream = loop {
        match std::net::TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(error) => assert!(begin.elapsed().as_secs() < 60, "{error}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    write!(stream, "POST {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}
