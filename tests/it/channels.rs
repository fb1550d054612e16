//! Channels: files and HTTP addresses to which events are published and from which they come.

use crate::page;
use crate::place::Place;
use crate::program::{Told, idle, told};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Publishes one event an item.
pub const SHOP: &str = "\
# Shop

## Pay
[emit:: order.paid]

name::String -> receipt::Receipt

```sh run
echo \"{\\\"total\\\": 12.50, \\\"name\\\": \\\"$IN_NAME\\\"}\"
```

```ts
interface Receipt { total: number; name: string }
```
";

/// Waits for it.
pub const WAREHOUSE: &str = "\
# Warehouse

## Ship
[await:: order.paid where total > 10]

name::String, order_paid::JSON -> shipped::String

```sh run
echo \"$IN_NAME $IN_ORDER_PAID\" >> shipped.log
echo shipped
```
";

const TWO: &str = "{\"id\":\"a\",\"name\":\"A\"}\n{\"id\":\"b\",\"name\":\"B\"}\n";

pub fn place(document: &str, settings: &str) -> Place {
    let place = Place::new(&document.replace("```ts", "## Types\n\n```ts"));
    place.write("items.jsonl", TWO);
    place.write("orderflow.toml", settings);
    place
}

pub fn read(told: &Told) -> Value {
    serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{}{}", told.out, told.err))
}

fn lines(place: &Place, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(place.path(name)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn until_waiting(place: &Place, count: u64) {
    place.until("items wait", || {
        let runs = serde_json::from_str::<Value>(&place.orderflow("runs --format json").out).ok();
        runs.is_some_and(|runs| runs[0]["counts"]["awaiting"] == count)
    });
}

/// A request that a test's service got.
#[derive(Clone, Debug)]
struct Got {
    head: String,
    body: Value,
}

/// Answers each POST with the next of these statuses, and then with 202; 0 never answers.
fn service(statuses: &[u16]) -> (String, Arc<Mutex<Vec<Got>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/events", listener.local_addr().unwrap());
    let got: Arc<Mutex<Vec<Got>>> = Arc::default();
    let statuses: Vec<u16> = statuses.into();
    let (kept, mut statuses) = (got.clone(), statuses.into_iter());
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Some((head, body)) = request(&stream) else { continue };
            kept.lock().unwrap().push(Got { head, body: serde_json::from_str(&body).unwrap() });
            match statuses.next().unwrap_or(202) {
                0 => open.push(stream),
                status => {
                    let _ = write!(
                        stream,
                        "HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                    );
                }
            }
        }
    });
    (address, got)
}

fn request(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.trim().parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8(body).ok()?))
}

/// The status and the body of the answer to a POST.
fn post(port: u16, headers: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn what_one_run_appends_to_a_file_another_follows() {
    let shop = place(SHOP, "[channels.orders]\ntypes = [\"order.*\"]\nappend = \"events.jsonl\"\n");
    let sold = shop.run("--items items.jsonl");
    assert_eq!(sold.exit, Some(0), "{}", sold.err);
    let mut events = lines(&shop, "events.jsonl");
    events.sort_by_key(|event| event["subject"].to_string());
    let run = read(&shop.orderflow("runs --format json"))[0]["run"].as_str().unwrap().to_owned();
    let time = events[0]["time"].as_str().unwrap().to_owned();
    assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    assert_eq!(
        events[0].to_string(),
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{run}/0/Pay/0/order.paid\",\"source\":\"orderflow/flow.md\",\
             \"type\":\"order.paid\",\"subject\":\"a\",\"time\":\"{time}\",\"datacontenttype\":\"application/json\",\
             \"data\":{{\"total\":12.50,\"name\":\"A\"}}}}"
        )
    );
    assert_eq!((events.len(), &events[1]["subject"]), (2, &json!("b")));
    // The other run has the source, so it waits without --wait; what is no event is passed over.
    let house = place(WAREHOUSE, "[channels.orders]\ntypes = [\"order.paid\"]\nfollow = \"in.jsonl\"\n");
    let child = house.begin("--items items.jsonl");
    until_waiting(&house, 2);
    house.write("in.jsonl", &format!("not json\n{}\n{}\n{}\n", events[0], events[0], events[1]));
    let ended = told(child.wait_with_output().unwrap());
    assert_eq!(ended.exit, Some(0), "{}", ended.err);
    assert!(ended.err.contains("warning: an event was not read: "), "{}", ended.err);
    let shipped = house.read("shipped.log");
    assert_eq!(shipped.lines().count(), 2, "{shipped}");
    assert_eq!(read(&house.orderflow("show last --format json"))["events"]["received"], 2);
}

#[test]
fn a_followed_file_is_read_again_after_a_kill_and_no_event_counts_twice() {
    let house = place(WAREHOUSE, "[channels.orders]\ntypes = [\"order.*\"]\nfollow = \"in.jsonl\"\n");
    let event = |id: &str, subject: &str| {
        let data = json!({"total": 11});
        let event = json!({"specversion": "1.0", "id": id, "source": "s", "type": "order.paid", "subject": subject, "data": data});
        format!("{event}\n")
    };
    house.write("in.jsonl", &event("1", "a"));
    let mut child = house.begin("--items items.jsonl");
    house.until("a is shipped", || {
        let runs = serde_json::from_str::<Value>(&house.orderflow("runs --format json").out).ok();
        runs.is_some_and(|runs| runs[0]["counts"]["succeeded"] == 1)
    });
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    house.write("in.jsonl", &(event("1", "a") + &event("2", "b")));
    let resumed = house.orderflow("resume last --quiet");
    assert_eq!(resumed.exit, Some(0), "{}", resumed.err);
    assert_eq!(house.read("shipped.log").lines().count(), 2);
    assert_eq!(read(&house.orderflow("show last --format json"))["events"]["received"], 2);
}

#[test]
fn an_event_is_posted_until_it_is_accepted() {
    let (address, got) = service(&[503]);
    let shop = place(
        SHOP,
        &format!(
            "[channels.out]\ntypes = [\"order.paid\"]\npost = \"{address}\"\nkey = \"secret:SHOP_KEY\"\n"
        ),
    );
    let mut command = shop.command("run flow.md --trust --input name=A");
    let sold = told(command.env("SHOP_KEY", "s3cret").output().unwrap());
    assert_eq!(sold.exit, Some(0), "{}", sold.err);
    let got = got.lock().unwrap().clone();
    assert_eq!(got.len(), 2);
    let id = got[0].body["id"].as_str().unwrap();
    assert_eq!(got[1].body["id"], id);
    assert!(got[1].head.contains("content-type: application/cloudevents+json\r\n"), "{}", got[1].head);
    let key = format!("idempotency-key: {}\r\n", id.to_ascii_lowercase());
    assert!(got[1].head.contains(&key), "{}", got[1].head);
    assert!(got[1].head.contains("authorization: bearer s3cret\r\n"), "{}", got[1].head);
    // Without the key nothing is run.
    let refused = shop.run("--input name=A");
    assert_eq!(refused.exit, Some(3), "{}", refused.err);
    assert!(
        refused.err.contains("channel out: its key SHOP_KEY is not set in the environment; nothing was run")
    );
}

#[test]
fn an_event_of_a_run_that_was_killed_before_it_was_accepted_is_posted_again_with_its_id() {
    let (address, got) = service(&[0]);
    let shop = place(SHOP, &format!("[channels.out]\ntypes = [\"order.*\"]\npost = \"{address}\"\n"));
    let mut child = shop.begin("--input name=A");
    shop.until("the event is posted", || got.lock().unwrap().len() == 1);
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    // It has an event to publish, so it has not ended.
    assert_eq!(read(&shop.orderflow("runs --format json"))[0]["state"], "paused");
    let pruned = shop.orderflow("runs prune --keep 0 --dry-run");
    assert!(pruned.out.contains("would remove 0 runs") || !pruned.out.contains("would go"), "{}", pruned.out);
    let resumed = shop.orderflow("resume last --quiet");
    assert_eq!(resumed.exit, Some(0), "{}", resumed.err);
    assert_eq!(read(&shop.orderflow("runs --format json"))[0]["state"], "done");
    let ids: Vec<Value> = got.lock().unwrap().iter().map(|got| got.body["id"].clone()).collect();
    // At least once on the wire, once by its id.
    assert_eq!((ids.len(), &ids[0]), (2, &ids[1]));
    // It was accepted: nothing is left to publish.
    assert_eq!(shop.orderflow("resume last --quiet").exit, Some(0));
    assert_eq!(got.lock().unwrap().len(), 2);
}

#[test]
fn what_could_not_be_published_is_reported_and_published_by_resume() {
    let (address, got) = service(&[400]);
    let shop = place(SHOP, &format!("[channels.out]\ntypes = [\"order.*\"]\npost = \"{address}\"\n"));
    let sold = shop.run("--input name=A");
    assert_eq!(sold.exit, Some(1), "{}", sold.err);
    let why = format!("warning: an event was not published to channel out: {address} answered 400 (");
    assert!(
        sold.err.contains(&why) && sold.err.contains("help: orderflow resume sends them again\n"),
        "{}",
        sold.err
    );
    let shown = shop.orderflow("show last").out;
    assert!(shown.contains(&format!("event      not published to out: {address} answered 400 (")), "{shown}");
    assert!(shop.orderflow("runs").out.contains("1 succeeded; 1 event not published"));
    let explained = shop.orderflow("resume --explain last").out;
    assert!(
        explained.contains("1 event not published\n\npublished again: the channel did not accept it:\n"),
        "{explained}"
    );
    assert_eq!(shop.orderflow("resume last --quiet").exit, Some(0));
    assert_eq!(got.lock().unwrap().len(), 2);
    let shown = read(&shop.orderflow("show last --format json"));
    assert_eq!(shown["events"]["unpublished"], json!([]));
}

#[test]
fn a_file_that_a_channel_cannot_use_is_an_error_before_anything_runs() {
    let settings = |way: &str| format!("fences = true\n[channels.log]\ntypes = [\"order.*\"]\n{way}\n");
    for (way, exit, why) in [
        ("append = \"missing/out.jsonl\"", 74, "channel log: cannot append to missing/out.jsonl: "),
        ("append = \"sub\"", 74, "channel log: cannot append to sub: "),
        ("append = \"flow.md\"", 2, "`append of [channels.log]` names the document: "),
        ("append = \"orderflow.toml\"", 2, "`append of [channels.log]` names the settings: "),
        ("append = \"session.toon\"", 2, "`append of [channels.log]` names the trace: "),
    ] {
        let shop = place(SHOP, &settings(way));
        std::fs::create_dir(shop.path("sub")).unwrap();
        let before = (shop.read("flow.md"), shop.read("orderflow.toml"));
        let told = shop.orderflow("run flow.md --input name=A");
        assert_eq!(told.exit, Some(exit), "{way}: {}", told.err);
        assert!(told.err.contains(why) && told.err.contains("; nothing was run\n"), "{way}: {}", told.err);
        assert_eq!(before, (shop.read("flow.md"), shop.read("orderflow.toml")));
    }
    for (way, why) in [
        ("follow = \"sub\"", "channel log: cannot follow sub: it is not a regular file; nothing was run"),
        ("follow = \"missing/in.jsonl\"", "channel log: cannot follow missing/in.jsonl: "),
    ] {
        let warehouse = place(WAREHOUSE, &settings(way));
        std::fs::create_dir(warehouse.path("sub")).unwrap();
        let told = warehouse.orderflow("run flow.md --input name=A");
        assert_eq!(told.exit, Some(74), "{way}: {}", told.err);
        assert!(told.err.contains(why), "{way}: {}", told.err);
    }
}

#[test]
fn a_listening_run_answers_once_an_event_is_durable() {
    let port = free_port();
    let settings = format!(
        "[channels.orders]\ntypes = [\"order.*\"]\nlisten = \"127.0.0.1:{port}\"\nkey = \"secret:IN_KEY\"\n"
    );
    let house = place(WAREHOUSE, &settings);
    let mut command = house.command("run flow.md --trust --items items.jsonl");
    let child = command.env("IN_KEY", "k1").stderr(std::process::Stdio::piped()).spawn().unwrap();
    until_waiting(&house, 2);
    let key = "authorization: Bearer k1\r\n";
    let structured = format!("{key}content-type: application/cloudevents+json\r\n");
    let event = |id: &str, kind: &str, subject: &str| {
        json!({"specversion": "1.0", "id": id, "source": "s", "type": kind, "subject": subject, "data": {"total": 11}}).to_string()
    };
    let (a, other) = (event("1", "order.paid", "a"), event("2", "stock.low", "a"));
    assert_eq!(post(port, "content-type: application/cloudevents+json\r\n", &a).0, 401);
    assert_eq!(post(port, &structured, "{}"), (400, "it has no `specversion`\n".into()));
    assert_eq!(
        post(port, &structured, &other),
        (422, "this channel takes no event of the type stock.low\n".into())
    );
    assert_eq!(post(port, key, &a).0, 400);
    assert_eq!(post(port, &structured, &"x".repeat(3 << 20)).0, 413);
    assert_eq!(post(port, &structured, &a), (202, String::new()));
    // Durable: it is in the journal already.
    let received = || read(&house.orderflow("show last --format json"))["events"]["received"].clone();
    assert_eq!(received(), 1);
    assert_eq!(post(port, &structured, &a).0, 202);
    assert_eq!(received(), 1);
    let binary = format!(
        "{key}content-type: application/json\r\nce-specversion: 1.0\r\nce-id: 3\r\nce-source: s\r\nce-type: order.paid\r\nce-subject: b\r\n"
    );
    assert_eq!(post(port, &binary, "{\"total\": 12}").0, 202);
    let ended = told(child.wait_with_output().unwrap());
    assert_eq!(ended.exit, Some(0), "{}", ended.err);
    assert_eq!(house.read("shipped.log").lines().count(), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_items_wait_at_once_without_work_and_each_gets_its_event() {
    const COUNT: usize = 10_000;
    let house = place(WAREHOUSE, "[channels.orders]\ntypes = [\"order.paid\"]\nfollow = \"in.jsonl\"\n");
    let items: String = (0..COUNT).map(|item| format!("{{\"id\":\"o{item}\",\"name\":\"N\"}}\n")).collect();
    house.write("items.jsonl", &items);
    let child = house.begin("--stub --quiet --items items.jsonl");
    until_waiting(&house, COUNT as u64);
    let memory = idle(child.id(), || drop(house.orderflow("show last")));
    assert!(memory < 300, "{memory} MiB");
    let event = |item: usize| {
        let event = json!({"specversion": "1.0", "id": item.to_string(), "source": "s", "type": "order.paid", "subject": format!("o{item}"), "data": {"total": 11}});
        format!("{event}\n")
    };
    house.write("in.jsonl", &(0..COUNT).map(event).collect::<String>());
    let ended = told(child.wait_with_output().unwrap());
    assert_eq!(ended.exit, Some(0), "{}", ended.err);
    let runs = read(&house.orderflow("runs --format json"));
    assert_eq!(runs[0]["counts"]["succeeded"], COUNT);
}

/// The exit code has its reason also with `--quiet`, in one line.
#[test]
fn a_quiet_run_says_that_an_event_was_not_published() {
    let (address, _got) = service(&[400]);
    let shop = place(SHOP, &format!("[channels.out]\ntypes = [\"order.*\"]\npost = \"{address}\"\n"));
    let sold = shop.run("--input name=A --quiet");
    assert_eq!(sold.exit, Some(1), "{}", sold.err);
    let why = format!("warning: an event was not published to channel out: {address} answered 400 (");
    assert!(sold.err.starts_with(&why) && sold.err.lines().count() == 1, "{}", sold.err);
}

/// Programs that follow a run learn it as an event, with the id by which the channel would have known it.
#[test]
fn an_event_that_was_not_published_is_an_event_for_programs() {
    let (address, got) = service(&[400]);
    let shop = place(SHOP, &format!("[channels.out]\ntypes = [\"order.*\"]\npost = \"{address}\"\n"));
    let sold = shop.run("--input name=A --log-format json --format json");
    assert_eq!(sold.exit, Some(1), "{}", sold.err);
    let lines: Vec<Value> = sold.err.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let missed: Vec<&Value> = lines.iter().filter(|line| line["event"] == "not-published").collect();
    let [missed] = missed[..] else { panic!("{}", sold.err) };
    assert_eq!((&missed["channel"], &missed["id"]), (&json!("out"), &got.lock().unwrap()[0].body["id"]));
    let why = format!("{address} answered 400");
    assert_eq!(missed["why"], json!(why));
    assert!(missed["at_ms"].is_u64(), "{missed}");
    let unpublished = json!([{"channel": "out", "id": missed["id"], "why": why}]);
    assert_eq!(read(&sold)["unpublished"], unpublished);
    let last = lines.last().unwrap();
    assert_eq!((&last["event"], &last["exit"]), (&json!("run-ended"), &json!(1)));
    assert_eq!(last["counts"]["unpublished"], json!(1));
    // For people, where they look: in the page and in a pull request.
    let page = page::text(&page::page(&shop), "<section class=\"needs\"", "</section>");
    let said = format!("1 event was not published to out : {why} to publish again: orderflow resume ");
    assert!(page.starts_with(&said), "{page}");
    let summary = shop.orderflow("report last --format markdown").out;
    assert!(summary.contains(&format!("\n- an event was not published to `out`: `{why}`\n")), "{summary}");
}
