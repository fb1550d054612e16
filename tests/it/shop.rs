//! The agents of the order workflow as programs: what they answer, what they leave in the books, and that a
//! repeated idempotency key changes nothing. Knows nothing of orderflow itself.

use crate::python::{python, query};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A shop whose books no agent has opened yet.
struct Shop {
    folder: TempDir,
}

/// An agent's exit code, and what it wrote to standard output and to standard error.
#[derive(Debug, PartialEq)]
struct Answer {
    exit: Option<i32>,
    text: String,
    log: String,
}

impl Shop {
    fn new() -> Shop {
        Shop { folder: TempDir::new().unwrap() }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("books/shop.db")
    }

    /// The agent for one step, in a clean environment as orderflow has it.
    fn agent(&self, agent: &str, step: &str, key: &str, run: &str) -> Command {
        let mut command = python();
        command
            .arg(workflows().join("agents").join(agent).with_extension("py"))
            .envs([("ORDERFLOW_STEP", step), ("ORDERFLOW_KEY", key), ("ORDERFLOW_RUN", run)])
            .env("SHOP_DB", self.database());
        command
    }

    fn start(&self, agent: &str, step: &str, key: &str, run: &str, inputs: &Value) -> Child {
        begin(self.agent(agent, step, key, run), inputs)
    }

    fn ask(&self, agent: &str, step: &str, key: &str, inputs: &Value) -> Answer {
        finish(self.start(agent, step, key, "run-1", inputs))
    }

    /// Asks for the compensation of what was done, or was to be done, under a key.
    fn undo(&self, agent: &str, step: &str, forward_key: &str, inputs: &Value) -> Answer {
        let mut command = self.agent(agent, step, &format!("undo {forward_key}"), "run-1");
        command.env("ORDERFLOW_FORWARD_KEY", forward_key);
        finish(begin(command, inputs))
    }

    fn receive(&self, request: Value) -> Answer {
        let key = format!("receive {}", request["order_id"]);
        self.ask("order-api", "ReceiveOrder", &key, &json!({ "order_request": request }))
    }

    fn check(&self, order: &Value) -> Answer {
        let key = format!("check {}", order["validated_order"]["id"]);
        self.ask("inventory-service", "CheckInventory", &key, order)
    }

    fn pay(&self, order: &Value) -> Answer {
        let key = format!("pay {}", order["validated_order"]["id"]);
        self.ask("payment-service", "ProcessPayment", &key, order)
    }

    fn reserve(&self, check: &Answer, payment: &Answer) -> Answer {
        let inputs = json!({
            "inventory_check": check.outputs()["inventory_check"],
            "payment_result": payment.outputs()["payment_result"],
        });
        let key = format!("reserve {}", inputs["inventory_check"]["order_id"]);
        self.ask("inventory-service", "ReserveInventory", &key, &inputs)
    }

    fn ship(&self, reservation: &Answer) -> Answer {
        let reservation = reservation.outputs();
        let key = format!("ship {}", reservation["reservation"]["order_id"]);
        self.ask("fulfillment-service", "CreateShipment", &key, &reservation)
    }

    fn notify(&self, shipment: &Answer, payment: &Answer) -> Answer {
        let inputs = json!({
            "tracking_number": shipment.outputs()["tracking_number"],
            "payment_result": payment.outputs()["payment_result"],
        });
        let key = format!("notify {}", inputs["payment_result"]["order_id"]);
        self.ask("notification-service", "NotifyCustomer", &key, &inputs)
    }

    fn handle(&self, order: &str) -> Answer {
        self.handle_failed(order, "CheckInventory", "out_of_stock")
    }

    fn handle_failed(&self, order: &str, step: &str, code: &str) -> Answer {
        let failed = json!({
            "item": {"order_id": order},
            "key": order,
            "step": step,
            "error": {"message": "it failed", "code": code},
            "attempts": 1,
            "values": {},
        });
        let inputs = json!({ "failed_orders": failed });
        self.ask("order-api", "HandleFailedOrders", &format!("handle {order} {step} {code}"), &inputs)
    }

    fn books(&self, sql: &str) -> String {
        query(&self.database(), sql)
    }

    fn write(&self, sql: &str) {
        rusqlite::Connection::open(self.database()).unwrap().execute_batch(sql).unwrap();
    }

    fn on_hand(&self, sku: &str) -> String {
        self.books(&format!("SELECT on_hand, at_supplier FROM stock WHERE sku = '{sku}'"))
    }
}

impl Answer {
    #[track_caller]
    fn outputs(&self) -> Value {
        assert_eq!(self.exit, Some(0), "{}{}", self.text, self.log);
        serde_json::from_str(&self.text).unwrap()
    }

    /// Asserts a refusal: its exit, code and message.
    #[track_caller]
    fn refused(&self, exit: i32, code: &str, message: &str) {
        let answer: Value = serde_json::from_str(&self.text).unwrap();
        let error = json!({"message": message, "code": code, "retryable": exit == 75, "outcome": "failed"});
        assert_eq!((self.exit, &answer["error"]), (Some(exit), &error));
    }
}

fn begin(mut command: Command, inputs: &Value) -> Child {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(inputs.to_string().as_bytes()).unwrap();
    child
}

fn finish(child: Child) -> Answer {
    let output = child.wait_with_output().unwrap();
    let [text, log] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    Answer { exit: output.status.code(), text, log }
}

fn workflows() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workflows")
}

/// An order of the batch as its customer sent it.
fn request(order: &str) -> Value {
    let batch = std::fs::read_to_string(workflows().join("orders/order-processing.jsonl")).unwrap();
    let orders = batch.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    orders.into_iter().find(|request| request["order_id"] == order).unwrap()
}

#[test]
fn an_order_passes_through_every_step() {
    let shop = Shop::new();
    let received = shop.receive(request("order_002"));
    let order = received.outputs();
    assert!(received.text.contains(r#""total": 145.50,"#), "amounts keep their digits: {}", received.text);
    assert_eq!(order["customer_id"], "cust_456");

    let check = shop.check(&order);
    assert_eq!(
        check.outputs(),
        json!({
            "inventory_check": {
                "id": "inventory_ok_002",
                "order_id": "order_002",
                "lines": [
                    {"sku": "LAMP-DESK", "quantity": 2},
                    {"sku": "KETTLE", "quantity": 2},
                    {"sku": "NOTEBOOK-A5", "quantity": 1},
                ],
                "grams": 7800,
            },
            "items_count": 5,
        })
    );
    let payment = shop.pay(&order);
    assert_eq!(
        payment.text,
        "{\"payment_result\": {\"id\": \"receipt_002\", \"order_id\": \"order_002\", \"amount\": 145.50}, \
         \"amount_usd\": 145.50}\n"
    );
    let reservation = shop.reserve(&check, &payment);
    assert_eq!(reservation.outputs()["reservation"]["id"], "reservation_002");
    let shipment = shop.ship(&reservation);
    assert_eq!(shipment.outputs()["carrier"], "FedEx");
    let notice = shop.notify(&shipment, &payment);
    assert_eq!(notice.outputs(), json!({"notification_sent": true, "email_sent": true}));

    assert_eq!(shop.books("SELECT order_id, total, status FROM orders"), "order_002 14550 shipped\n");
    assert_eq!(shop.books("SELECT receipt, amount, status FROM payments"), "receipt_002 14550 captured\n");
    assert_eq!(shop.on_hand("LAMP-DESK"), "498 0\n");
    let tracking_number = shipment.outputs()["tracking_number"].as_str().unwrap().to_owned();
    assert!(shop.books("SELECT recipient, body FROM letters").contains(&tracking_number));
}

#[test]
fn the_same_key_has_one_effect_and_one_answer() {
    let shop = Shop::new();
    let twice = |ask: &dyn Fn() -> Answer| {
        let (first, second) = (ask(), ask());
        assert_eq!(first, second);
        first
    };
    let order = twice(&|| shop.receive(request("order_001"))).outputs();
    let check = twice(&|| shop.check(&order));
    let payment = twice(&|| shop.pay(&order));
    let reservation = twice(&|| shop.reserve(&check, &payment));
    let shipment = twice(&|| shop.ship(&reservation));
    twice(&|| shop.notify(&shipment, &payment));
    for table in ["orders", "payments", "shipments", "letters"] {
        assert_eq!(shop.books(&format!("SELECT count(*) FROM {table}")), "1\n", "{table}");
    }
    assert_eq!(shop.on_hand("KETTLE"), "499 0\n");
    assert_eq!(
        shop.books("SELECT calls FROM gateway"),
        "2\n",
        "the gateway is asked again, and knows the key"
    );
}

#[test]
fn many_agents_may_open_an_empty_shop_at_once() {
    let shop = Shop::new();
    let children: Vec<Child> = (0..16)
        .map(|number| {
            let mut request = request("order_005");
            request["order_id"] = json!(format!("order_{number}"));
            let key = format!("key {number}");
            shop.start("order-api", "ReceiveOrder", &key, "run-1", &json!({ "order_request": request }))
        })
        .collect();
    for child in children {
        finish(child).outputs();
    }
    assert_eq!(shop.books("SELECT count(*), sum(total) FROM orders"), "16 107600\n");
    assert_eq!(shop.books("SELECT count(*) FROM stock"), shop.books("SELECT count(*) FROM catalogue"));
    let files = std::fs::read_dir(shop.database().parent().unwrap()).unwrap();
    let strange: Vec<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("shop.db"))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
fn an_invalid_order_hears_all_that_is_wrong_with_it() {
    let shop = Shop::new();
    let refused = |change: &dyn Fn(&mut Value), message: &str| {
        let mut request = request("order_001");
        change(&mut request);
        shop.receive(request).refused(65, "invalid_order", message);
    };
    refused(&|order| order["total"] = json!(90), "total is 90, the items come to 89.99");
    refused(&|order| order["items"] = json!([]), "items is missing");
    refused(
        &|order| order["items"] = json!([7]),
        "items[0].sku is missing; items[0].quantity is None, not a whole \
        number from 1 to 9999; items[0].price is not an amount in dollars and cents",
    );
    refused(
        &|order| order["items"][1]["price"] = json!(0.001),
        "items[1].price is not an amount in dollars and cents",
    );
    refused(
        &|order| order["items"][1]["price"] = json!(1e300),
        "items[1].price is not an amount in dollars and cents",
    );
    refused(
        &|order| {
            order["customer"] = json!({"id": "cust_1"});
            order["items"][2]["quantity"] = json!(0);
        },
        "customer.email is missing; items[2].quantity is 0, not a whole number from 1 to 9999",
    );
    shop.ask("order-api", "ReceiveOrder", "key", &json!({"order_request": "?"})).refused(
        65,
        "invalid_order",
        "order_id is missing; customer.id is missing; customer.email is missing; ship_to.country is missing; \
         payment.token is missing; items is missing",
    );
    assert_eq!(shop.books("SELECT * FROM orders"), "");
}

#[test]
fn an_order_number_is_received_once_a_day() {
    let shop = Shop::new();
    shop.receive(request("order_001")).outputs();
    let inputs = json!({"order_request": request("order_001")});
    shop.ask("order-api", "ReceiveOrder", "another key", &inputs).refused(
        65,
        "duplicate_order",
        "order_001 was received before",
    );
    finish(shop.start("order-api", "ReceiveOrder", "the next day's key", "run-2", &inputs)).outputs();
    assert_eq!(
        shop.undo("order-api", "CancelOrder", "another key", &inputs).outputs()["order_cancelled"],
        false
    );
    let orders = "SELECT run, order_id, status FROM orders ORDER BY run";
    assert_eq!(shop.books(orders), "run-1 order_001 received\nrun-2 order_001 received\n");

    // One that was cancelled may be taken up again.
    shop.undo("order-api", "CancelOrder", "receive \"order_001\"", &inputs).outputs();
    assert_eq!(shop.books(orders), "run-1 order_001 cancelled\nrun-2 order_001 received\n");
    shop.ask("order-api", "ReceiveOrder", "a third key", &inputs).outputs();
    assert_eq!(shop.books(orders), "run-1 order_001 received\nrun-2 order_001 received\n");
    assert_eq!(shop.books("SELECT count(*) FROM order_lines WHERE run = 'run-1'"), "3\n");
}

#[test]
fn what_the_supplier_has_is_put_on_the_shelf_and_tried_again() {
    let shop = Shop::new();
    let order = shop.receive(request("order_003")).outputs();
    let payment = shop.pay(&order);
    shop.check(&order).refused(65, "out_of_stock", "CHAIR-OAK: 2 wanted, 0 on the shelf");
    let put_back = shop.handle("order_003");
    assert_eq!(put_back.outputs(), json!({"retry_scheduled": true, "retry_count": 1}));
    assert_eq!(shop.handle("order_003"), put_back, "the same key orders once");
    assert_eq!(shop.on_hand("CHAIR-OAK"), "2 8\n");
    let again = shop.handle_failed("order_003", "ReserveInventory", "out_of_stock");
    assert_eq!(again.outputs(), json!({"retry_scheduled": false, "retry_count": 1}), "put back once");

    let check = shop.check(&order);
    let shipment = shop.ship(&shop.reserve(&check, &payment));
    assert_eq!(shipment.outputs()["carrier"], "FedEx");
    assert_eq!(shop.on_hand("CHAIR-OAK"), "0 8\n");
}

#[test]
fn an_order_that_cannot_be_had_is_refunded_and_cancelled_and_nothing_is_ordered_for_it() {
    let shop = Shop::new();
    for (order, message) in [
        ("order_014", "CLOCK-BRASS: 1 wanted, 0 on the shelf"),
        ("order_019", "RUG-WOOL: 6 wanted, 4 on the shelf"),
    ] {
        let received = shop.receive(request(order)).outputs();
        shop.pay(&received).outputs();
        shop.check(&received).refused(65, "out_of_stock", message);
        let refund = shop.undo("payment-service", "RefundPayment", &format!("pay \"{order}\""), &received);
        assert_eq!(refund.outputs()["refunded"], received["validated_order"]["total"]);
        let cancel = shop.undo("order-api", "CancelOrder", &format!("receive \"{order}\""), &json!({}));
        assert_eq!(cancel.outputs(), json!({"order_cancelled": true}));
        assert_eq!(shop.handle(order).outputs(), json!({"retry_scheduled": false, "retry_count": 0}));
    }
    assert_eq!(
        shop.books(
            "SELECT order_id, orders.status, payments.status FROM orders JOIN payments USING (run, order_id)"
        ),
        "order_014 cancelled refunded\norder_019 cancelled refunded\n"
    );
    assert_eq!(shop.books("SELECT sum(charged), sum(refunded) FROM gateway"), "62020 62020\n");
    assert_eq!(shop.on_hand("RUG-WOOL"), "4 1\n", "what does not help is not ordered");
}

/// The forward attempt was cut off before it did anything, or is still on its way.
#[test]
fn what_is_undone_before_it_was_done_is_not_done_any_more() {
    let shop = Shop::new();
    let order = shop.receive(request("order_001")).outputs();
    let check = shop.check(&order);
    let undone = [
        ("payment-service", "RefundPayment", "pay \"order_001\"", "{\"refunded\": 0.00}\n"),
        ("inventory-service", "ReleaseInventory", "reserve \"order_001\"", "{\"released\": 0}\n"),
    ];
    let nothing = json!({"validated_order": null, "inventory_check": null});
    for (agent, step, key, answer) in undone {
        assert_eq!(shop.undo(agent, step, key, &nothing).text, answer);
    }
    shop.pay(&order).refused(65, "undone", "ProcessPayment comes too late: it has been undone");
    let paid = json!({"payment_result": {"id": "receipt_001", "order_id": "order_001", "amount": 89.99}});
    let payment = Answer { exit: Some(0), text: paid.to_string(), log: String::new() };
    let late = "ReserveInventory comes too late: it has been undone";
    shop.reserve(&check, &payment).refused(65, "undone", late);
    assert_eq!(shop.books("SELECT * FROM payments"), "");
    assert_eq!(shop.books("SELECT * FROM gateway"), "");
    assert_eq!(shop.books("SELECT * FROM reservations"), "");
}

/// The gateway was paid, and the agent ended before it wrote the receipt.
#[test]
fn a_charge_without_a_receipt_is_refunded_once() {
    let shop = Shop::new();
    let order = shop.receive(request("order_001")).outputs();
    shop.pay(&order).outputs();
    shop.write("DELETE FROM payments; DELETE FROM answers WHERE step = 'ProcessPayment'");
    let refund = || shop.undo("payment-service", "RefundPayment", "pay \"order_001\"", &order);
    assert_eq!(refund().outputs(), json!({"refunded": 89.99}));
    assert_eq!(refund(), refund());
    assert_eq!(shop.books("SELECT charged, refunded FROM gateway"), "8999 8999\n");
    shop.pay(&order).refused(65, "undone", "ProcessPayment comes too late: it has been undone");
}

#[test]
fn a_compensation_that_is_not_told_what_it_undoes_undoes_nothing() {
    let shop = Shop::new();
    let order = shop.receive(request("order_001")).outputs();
    shop.pay(&order).outputs();
    let message = "RefundPayment undoes another step, and was not told which";
    shop.ask("payment-service", "RefundPayment", "key", &order).refused(65, "no_forward_key", message);
    assert_eq!(shop.books("SELECT status FROM payments"), "captured\n");
}

#[test]
fn an_unknown_article_and_an_order_not_in_the_books() {
    let shop = Shop::new();
    let mut strange = request("order_001");
    strange["items"][0]["sku"] = json!("PIANO");
    let order = shop.receive(strange).outputs();
    shop.check(&order).refused(65, "unknown_article", "PIANO is not in the catalogue");
    assert_eq!(shop.handle("order_004").outputs()["retry_scheduled"], false);
    let reservation = json!({"reservation": {"order_id": "order_004", "grams": 1}});
    shop.ask("fulfillment-service", "CreateShipment", "key", &reservation).refused(
        65,
        "unknown_order",
        "order_004 is not in the books",
    );
}

#[test]
fn the_last_of_an_article_goes_to_one_order_only() {
    let shop = Shop::new();
    let rugs = |order: &str| {
        let mut request = request("order_019");
        request["order_id"] = json!(order);
        request["items"][0]["quantity"] = json!(3);
        request["total"] = json!(267);
        let order = shop.receive(request).outputs();
        (shop.check(&order), shop.pay(&order))
    };
    let (quick, slow) = (rugs("order_quick"), rugs("order_slow"));
    let reservation = shop.reserve(&quick.0, &quick.1);
    assert_eq!(reservation.outputs()["reservation"]["id"], "reservation_quick");
    let late = shop.reserve(&slow.0, &slow.1);
    late.refused(65, "out_of_stock", "RUG-WOOL: 3 wanted, 1 on the shelf");
    assert_eq!(shop.on_hand("RUG-WOOL"), "1 1\n");

    assert_eq!(shop.handle("order_slow").outputs()["retry_scheduled"], false);
    let release = |key| shop.undo("inventory-service", "ReleaseInventory", key, &json!({}));
    assert_eq!(release("reserve \"order_slow\"").outputs(), json!({"released": 0}));
    assert_eq!(release("reserve \"order_quick\"").outputs(), json!({"released": 3}));
    assert_eq!(shop.on_hand("RUG-WOOL"), "4 1\n", "the goods are back on the shelf");
    assert_eq!(shop.books("SELECT order_id, status FROM reservations"), "order_quick released\n");
}

#[test]
fn a_busy_gateway_answers_the_second_time_and_a_declined_card_never() {
    let shop = Shop::new();
    let order = shop.receive(request("order_008")).outputs();
    shop.pay(&order).refused(75, "gateway_busy", "the gateway is busy, try again");
    assert_eq!(shop.pay(&order).outputs()["amount_usd"].to_string(), "47.50");
    let order = shop.receive(request("order_021")).outputs();
    for _ in 0..2 {
        shop.pay(&order).refused(65, "card_declined", "the card was declined");
    }
    assert_eq!(shop.books("SELECT order_id FROM payments"), "order_008\n");
    let handled = shop.handle_failed("order_021", "ProcessPayment", "card_declined");
    assert_eq!(handled.outputs(), json!({"retry_scheduled": false, "retry_count": 0}));
}

#[test]
fn a_new_run_finds_full_shelves() {
    let shop = Shop::new();
    let order = shop.receive(request("order_003")).outputs();
    shop.handle("order_003").outputs();
    shop.check(&order).outputs();
    let inputs = json!({"order_request": request("order_003")});
    finish(shop.start("order-api", "ReceiveOrder", "key", "run-2", &inputs)).outputs();
    let check = shop.start("inventory-service", "CheckInventory", "another key", "run-2", &order);
    finish(check).refused(65, "out_of_stock", "CHAIR-OAK: 2 wanted, 0 on the shelf");
    let stock = "SELECT run, on_hand, at_supplier FROM stock WHERE sku = 'CHAIR-OAK'";
    assert_eq!(shop.books(stock), "run-1 2 8\nrun-2 0 10\n");
}

#[test]
fn a_step_that_an_agent_does_not_know_is_named() {
    let child = Shop::new().start("payment-service", "Pay", "key", "run-1", &json!({}));
    let Answer { exit, text, log } = finish(child);
    assert_eq!((exit, text.as_str()), (Some(1), ""));
    assert!(log.starts_with("no 'Pay' here; this agent needs"), "{log}");
}
