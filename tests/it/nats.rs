//! Channels of NATS JetStream with a real server, which is killed and started again: to it, from it, and both.

use crate::channels::{SHOP, WAREHOUSE, place, read, until_waiting};
use crate::jetstream::{Nats, NatsClient};
use crate::order_creation::{BATCH, RUN, books_agree, is_the_sequence};
use crate::place::Place;
use crate::program::told;
use crate::shop_floor::Floor;
use async_nats::ConnectOptions;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

fn event(id: &str, kind: &str, subject: &str) -> String {
    let data = json!({"total": 11});
    json!({"specversion": "1.0", "id": id, "source": "s", "type": kind, "subject": subject, "data": data})
        .to_string()
}

fn run_of(place: &Place) -> String {
    read(&place.orderflow("runs --format json"))[0]["run"].as_str().unwrap().to_owned()
}

fn received(place: &Place) -> Value {
    read(&place.orderflow("show last --format json"))["events"]["received"].clone()
}

/// Waits until this many items have succeeded.
fn until_succeeded(place: &Place, count: u64) {
    place.until("items succeed", || {
        let runs = serde_json::from_str::<Value>(&place.orderflow("runs --format json").out).ok();
        runs.is_some_and(|runs| runs[0]["counts"]["succeeded"] == count)
    });
}

/// Waits until the run has asked the server for events.
fn until_consuming(place: &Place, client: &NatsClient) -> String {
    let mut consumer = String::new();
    place.until("there is a consumer", || {
        let runs = serde_json::from_str::<Value>(&place.orderflow("runs --format json").out).ok();
        let run = runs.and_then(|runs| Some(runs[0]["run"].as_str()?.to_owned()));
        consumer = format!("orderflow-{}-orders", run.unwrap_or_default());
        client.left(&consumer).is_some()
    });
    consumer
}

#[test]
fn what_one_run_publishes_to_a_stream_another_takes() {
    let Some(nats) = Nats::start(&[]) else { return };
    let client = nats.client(ConnectOptions::new());
    let pack = "## Pack\n\nname::String -> packed::String\n\n```sh run\nuntil test -e go; do sleep 0.02; done\n\
                echo packed\n```\n\n## Ship\n";
    let document =
        WAREHOUSE.replace("## Ship\n", pack).replace("name::String, order_paid", "packed, order_paid");
    let house = place(&document, &nats.channel("\"order.paid\"", "prefix = \"shop\"\n"));
    let child = house.begin("--items items.jsonl");
    until_consuming(&house, &client);
    let shop = place(SHOP, &nats.channel("\"order.*\"", "prefix = \"shop\"\n"));
    let sold = shop.run("--items items.jsonl");
    assert_eq!(sold.exit, Some(0), "{}", sold.err);
    let mut stored = client.stored();
    stored.sort();
    let run = run_of(&shop);
    let (subject, id, body) = &stored[0];
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&**subject, id.as_deref()), ("shop.order.paid", Some(&*format!("{run}/0/Pay/0/order.paid"))));
    assert_eq!(
        body.to_string(),
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{run}/0/Pay/0/order.paid\",\"source\":\"orderflow/flow.md\",\
             \"type\":\"order.paid\",\"subject\":\"a\",\"time\":{},\"datacontenttype\":\"application/json\",\
             \"data\":{{\"total\":12.50,\"name\":\"A\"}}}}",
            body["time"]
        )
    );
    assert_eq!(stored.len(), 2);
    // The events come before the step that waits for them.
    house.until("the events are there", || received(&house) == 2);
    house.write("go", "");
    let ended = told(child.wait_with_output().unwrap());
    assert_eq!(ended.exit, Some(0), "{}", ended.err);
    assert_eq!(house.read("shipped.log").lines().count(), 2);
    assert_eq!(received(&house), 2);
}

#[test]
fn an_event_is_acknowledged_once_it_is_durable_and_counts_once() {
    let Some(nats) = Nats::start(&[]) else { return };
    let house = place(WAREHOUSE, &nats.channel("\"order.*\"", ""));
    let child = house.begin("--items items.jsonl");
    until_waiting(&house, 2);
    let client = nats.client(ConnectOptions::new());
    let consumer = until_consuming(&house, &client);
    let a = event("1", "order.paid", "a");
    // Without an id in the header the stream stores both.
    for body in ["not json", &a, &a, &event("2", "stock.low", "a"), &event("3", "order.paid", "c")] {
        client.publish("order.paid", None, body);
    }
    house.until("all is acknowledged", || client.left(&consumer) == Some((0, 0)));
    assert_eq!(received(&house), 2);
    client.publish("order.paid", None, &event("4", "order.paid", "b"));
    let ended = told(child.wait_with_output().unwrap());
    assert_eq!(ended.exit, Some(0), "{}", ended.err);
    let address = format!("nats://127.0.0.1:{}", nats.port);
    let warning = format!("warning: channel orders: {address}: an event was not read: it is not JSON: ");
    assert!(ended.err.contains(&warning), "{}", ended.err);
    assert_eq!(house.read("shipped.log").lines().count(), 2);
    // What was not acknowledged comes again to a run that resumes, and is known.
    assert_eq!(house.orderflow("resume last --quiet").exit, Some(0));
    assert_eq!(received(&house), 3);
}

#[test]
fn a_run_waits_for_a_server_that_is_away_and_one_that_comes_again() {
    let Some(mut nats) = Nats::start(&[]) else { return };
    nats.kill();
    let house = place(WAREHOUSE, &nats.channel("\"order.*\"", ""));
    let child = house.begin("--items items.jsonl");
    until_waiting(&house, 2);
    nats.up();
    let client = nats.client(ConnectOptions::new());
    until_consuming(&house, &client);
    client.publish("order.paid", Some("1"), &event("1", "order.paid", "a"));
    until_succeeded(&house, 1);
    drop(client);
    nats.kill();
    nats.up();
    nats.client(ConnectOptions::new()).publish("order.paid", Some("2"), &event("2", "order.paid", "b"));
    let ended = told(child.wait_with_output().unwrap());
    assert_eq!(ended.exit, Some(0), "{}", ended.err);
    assert_eq!(house.read("shipped.log").lines().count(), 2);
    assert_eq!(received(&house), 2);
    // One that publishes waits for it, too.
    nats.kill();
    let shop = place(SHOP, &nats.channel("\"order.*\"", ""));
    let child = shop.begin("--items items.jsonl");
    until_succeeded(&shop, 2);
    nats.up();
    let ended = told(child.wait_with_output().unwrap());
    assert_eq!(ended.exit, Some(0), "{}", ended.err);
    assert_eq!(nats.client(ConnectOptions::new()).stored().len(), 4);
}

#[test]
fn a_run_that_is_killed_before_it_has_published_publishes_once_for_each_id() {
    let Some(mut nats) = Nats::start(&[]) else { return };
    nats.kill();
    let shop = place(SHOP, &nats.channel("\"order.*\"", ""));
    let mut child = shop.begin("--items items.jsonl");
    until_succeeded(&shop, 2);
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    nats.up();
    let resumed = shop.orderflow("resume last --quiet");
    assert_eq!(resumed.exit, Some(0), "{}", resumed.err);
    let client = nats.client(ConnectOptions::new());
    let ids =
        |client: &NatsClient| client.stored().into_iter().map(|(_, id, _)| id.unwrap()).collect::<Vec<_>>();
    let run = run_of(&shop);
    let mut found = ids(&client);
    found.sort();
    let id = |run: &str, item: u32| format!("{run}/{item}/Pay/0/order.paid");
    assert_eq!(found, [id(&run, 0), id(&run, 1)]);
    assert_eq!(shop.orderflow("resume last --quiet").exit, Some(0));
    assert_eq!(ids(&client).len(), 2);
    // The stream has the event, but the run was killed before it heard so: the stream knows the id.
    drop(client);
    nats.kill();
    let mut child = shop.begin("--item a --items items.jsonl");
    until_succeeded(&shop, 1);
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    nats.up();
    let client = nats.client(ConnectOptions::new());
    let run = run_of(&shop);
    client.publish("order.paid", Some(&id(&run, 0)), "{}");
    assert_eq!(shop.orderflow("resume last --quiet").exit, Some(0));
    assert_eq!(ids(&client).into_iter().filter(|found| *found == id(&run, 0)).count(), 1);
}

#[test]
fn times_and_signals_count_while_the_server_is_away() {
    let Some(mut nats) = Nats::start(&[]) else { return };
    nats.kill();
    let settings = nats.channel("\"order.*\"", "");
    let hasty = place(&WAREHOUSE.replace("total > 10", "total > 10 within 3s"), &settings);
    let ended = hasty.run("--items items.jsonl");
    assert_eq!(ended.exit, Some(1), "{}", ended.err);
    let why = format!("warning: channel orders: nats://127.0.0.1:{} cannot be reached: ", nats.port);
    assert!(ended.err.contains(&why), "{}", ended.err);
    assert_eq!(ended.err.matches("cannot be reached").count(), 1, "{}", ended.err);
    let house = place(WAREHOUSE, &settings);
    let child = house.begin("--items items.jsonl");
    until_waiting(&house, 2);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ended = told(child.wait_with_output().unwrap());
    assert_ne!(ended.exit, Some(0), "{}", ended.err);
    nats.up();
    let shop = place(SHOP, &settings);
    assert_eq!(shop.run("--items items.jsonl").exit, Some(0));
    let resumed = house.orderflow("resume last --quiet");
    assert_eq!(resumed.exit, Some(0), "{}", resumed.err);
    assert_eq!(house.read("shipped.log").lines().count(), 2);
}

#[test]
fn a_server_can_ask_for_a_token_or_a_user() {
    let password = ConnectOptions::new().user_and_password("shop".into(), "s3cret".into());
    let token = ConnectOptions::new().token("s3cret".into());
    for (arguments, more, options) in [
        (&["--auth", "s3cret"][..], "", token),
        (&["--user", "shop", "--pass", "s3cret"], "user = \"shop\"\n", password),
    ] {
        let Some(nats) = Nats::start(arguments) else { return };
        let settings = nats.channel("\"order.*\"", &format!("key = \"secret:SHOP_KEY\"\n{more}"));
        let shop = place(SHOP, &settings);
        let mut command = shop.command("run flow.md --trust --input name=A");
        let sold = told(command.env("SHOP_KEY", "s3cret").output().unwrap());
        assert_eq!(sold.exit, Some(0), "{}", sold.err);
        assert_eq!(nats.client(options).stored().len(), 1);
        let house = place(&WAREHOUSE.replace("total > 10", "total > 10 within 3s"), &settings);
        let mut command = house.command("run flow.md --trust --items items.jsonl");
        let refused = told(command.env("SHOP_KEY", "wr0ng").output().unwrap());
        assert_eq!(refused.exit, Some(1), "{}", refused.err);
        assert!(refused.err.contains(" cannot be reached: "), "{}", refused.err);
        assert!(refused.err.to_lowercase().contains("authorization"), "{}", refused.err);
        assert!(!refused.err.contains("wr0ng"), "{}", refused.err);
        let lacks = shop.run("--input name=A");
        assert_eq!(lacks.exit, Some(3), "{}", lacks.err);
        assert!(
            lacks
                .err
                .contains("channel orders: its key SHOP_KEY is not set in the environment; nothing was run"),
            "{}",
            lacks.err
        );
    }
}

/// Each event goes to the server and comes back.
#[test]
fn the_orders_of_the_example_are_the_same_over_nats() {
    let Some(nats) = Nats::start(&[]) else { return };
    let floor = Floor::new();
    let settings = std::fs::read_to_string(floor.path("orderflow.toml")).unwrap();
    floor.write("orderflow.toml", &(settings + "\n" + &nats.channel("\"order.*\"", "")));
    floor.run(RUN, 0);
    books_agree(&floor, BATCH);
    let client = nats.client(ConnectOptions::new());
    let stored = client.stored();
    let of = |kind: &str| stored.iter().filter(|(subject, ..)| subject == kind).count();
    // Four orders were made, shipped and delivered.
    assert_eq!((stored.len(), of("order.created"), of("order.status_updated")), (12, 4, 8));
    // Another run of the same orders takes none of them.
    let other = Floor::new();
    let settings = std::fs::read_to_string(floor.path("orderflow.toml")).unwrap();
    other.write("orderflow.toml", &settings);
    other.run(&format!("{RUN} --tolerate 1 --item req_001 --item req_002"), 0);
    is_the_sequence(&other);
    books_agree(&other, "req_001 DELIVERED FedEx\n");
    assert_eq!(client.stored().len(), 15);
}
