//! Exchanges with models: recorded without secrets, and answered from the file without a network or a key.

use crate::place::Place;
use crate::program::{Told, told};
use crate::services::Service;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const LETTERS: &str = "---\nitems: items.jsonl\n---\n\n# Letters\n\n\
    ## Write @writer [retry:: 2 fixed 1ms]\nname::String, pin::Secret → subject::String, friendly::Boolean\n\n\
    Write to {{ name }}.\n\n## Sign @writer\nsubject → letter::String\n\nSign it.\n";

static ASKED: AtomicUsize = AtomicUsize::new(0);
static BEN: AtomicBool = AtomicBool::new(false);

/// Counts its answers, so that no two are alike; Ben's first attempt fails, and Ada's first answer does not fit.
fn writer() -> Service {
    Service::new(|seen| {
        let messages = seen.body["messages"].as_array().unwrap();
        let prompt = messages[0]["content"].as_str().unwrap();
        let number = ASKED.fetch_add(1, Ordering::SeqCst);
        if prompt.contains("Ben") && !BEN.swap(true, Ordering::SeqCst) {
            return Some((503, json!({"error": {"message": "busy"}})));
        }
        let text = match (prompt.contains("Sign"), messages.len()) {
            (true, _) => format!("letter {number}"),
            (false, 1) if prompt.contains("Ada") => format!("pin 4711-0815 of {}", seen.token),
            (false, _) => json!({"subject": format!("subject {number}"), "friendly": true}).to_string(),
        };
        let choice = json!({"finish_reason": "stop", "message": {"role": "assistant", "content": text}});
        let usage = json!({"prompt_tokens": 20, "completion_tokens": 10});
        Some((200, json!({"model": "small-1", "choices": [choice], "usage": usage})))
    })
}

fn place(address: &str) -> Place {
    let place = Place::new(LETTERS);
    place.write(
        "orderflow.toml",
        &format!(
            "[providers.local]\nurl = \"http://{address}/v1\"\nkey = \"secret:LOCAL_KEY\"\n\
             [agents.writer]\nmodel = \"local/small\"\n"
        ),
    );
    let items = [("q1", "Ada"), ("q2", "Ben"), ("q3", "Cem")];
    let item = |(id, name): (&str, &str)| json!({"id": id, "name": name, "pin": "4711-0815"}).to_string();
    place.write("items.jsonl", &items.map(item).join("\n"));
    place
}

fn with_key(place: &Place, args: &str) -> Told {
    told(place.command(args).env("LOCAL_KEY", "sk-very-secret").output().unwrap())
}

/// Outputs by item and step, and the attempts that they took.
fn made(place: &Place) -> Vec<Value> {
    let shown = ["q1", "q2", "q3"].map(|item| {
        let shown = place.orderflow(&format!("show last --item {item} --format json")).out;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let steps = shown["steps"].as_array().unwrap().iter();
        let outputs = |step: &Value| {
            let attempts = step["attempts"].as_array().unwrap();
            json!([step["phase"], attempts.len(), attempts.last().unwrap()["outputs"]])
        };
        Value::Array(steps.map(outputs).collect())
    });
    shown.to_vec()
}

#[test]
fn a_recorded_run_is_repeated_exactly_without_a_network_and_a_key() {
    let service = writer();
    let place = place(&service.address.to_string());
    let told = with_key(&place, "run flow.md --quiet --record exchanges.jsonl");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let (first, asked) = (made(&place), service.seen().len());
    let recorded = place.read("exchanges.jsonl");
    assert_eq!(recorded.lines().count(), asked);
    assert_eq!(asked, 8, "three items of two steps, a correction and a retry");
    assert!(!recorded.contains("sk-very-secret") && !recorded.contains("4711"), "{recorded}");
    assert!(recorded.contains("[secret:pin]") && recorded.contains("[secret:LOCAL_KEY]"), "{recorded}");
    let line: Value = serde_json::from_str(recorded.lines().next().unwrap()).unwrap();
    let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["step", "item", "element", "attempt", "request", "body", "response"]);

    // Twice, with other concurrency; another address, as on another machine.
    drop(service);
    for jobs in [1, 8] {
        place.write("orderflow.toml", &place.read("orderflow.toml").replace("127.0.0.1", "localhost"));
        let told = place.orderflow(&format!("run flow.md --quiet --jobs {jobs} --exchanges exchanges.jsonl"));
        assert_eq!(told.exit, Some(0), "{}", told.err);
        assert_eq!(made(&place), first);
    }
}

/// A listener to which no connection may be made.
#[test]
fn an_exchange_that_is_not_recorded_fails_its_step_and_touches_no_network() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let place = place(&listener.local_addr().unwrap().to_string());
    place.write("none.jsonl", "");
    let told = place.orderflow("run flow.md --exchanges none.jsonl");
    assert_eq!(told.exit, Some(1));
    let expected = "q1: Write failed: none.jsonl has no answer for `Write` of the item `q1`, attempt 1: \
        record it with --record none.jsonl\n";
    assert!(told.err.contains(expected), "{}", told.err);
    let item: Value =
        serde_json::from_str(&place.orderflow("show last --item q1 --format json").out).unwrap();
    let attempts = item["steps"][0]["attempts"].as_array().unwrap();
    assert_eq!((attempts.len(), &attempts[0]["error"]["outcome"]), (1, &json!("not_executed")));
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn files_that_do_not_fit_are_named_before_anything_runs() {
    let place = place("127.0.0.1:9");
    place.write("broken.jsonl", "\n{\"request\": 5}\n");
    let told = place.orderflow("run flow.md --exchanges broken.jsonl");
    assert!(
        told.err.starts_with("error: cannot read broken.jsonl: line 2 is not an exchange: "),
        "{}",
        told.err
    );
    let told = place.orderflow("run flow.md --exchanges nowhere.jsonl");
    assert!(told.err.starts_with("error: cannot read nowhere.jsonl: No such file"), "{}", told.err);
    let told = with_key(&place, "run flow.md --record .");
    assert_eq!(told.err, "error: cannot write .: it is not a regular file\n");
    let told = place.orderflow("run flow.md --record a --exchanges b");
    assert_eq!(told.exit, Some(2), "{}", told.err);
    assert!(!place.path(".orderflow").exists());
}

const STOPPED: &str = "# Letters\n\n## Write @writer [timeout:: 2s] [retry:: 2 fixed 1ms]\n\
    name::String → letter::String, friendly::Boolean\n\nWrite a test for {{ name }}.\n";

/// Its first answer does not fit, and it does not answer the correction in time. A key whose value occurs in the prompt
/// changes nothing, nor does its absence.
#[test]
fn a_request_that_was_stopped_is_repeated_as_one() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let service = Service::new(|_| {
        let text = match ASKED.fetch_add(1, Ordering::SeqCst) {
            0 => "no".to_owned(),
            1 => return None,
            _ => json!({"letter": "Dear", "friendly": true}).to_string(),
        };
        let choice = json!({"finish_reason": "stop", "message": {"role": "assistant", "content": text}});
        let usage = json!({"prompt_tokens": 1000, "completion_tokens": 234});
        Some((200, json!({"model": "small-1", "choices": [choice], "usage": usage})))
    });
    let place = place(&service.address.to_string());
    place.write("flow.md", STOPPED);
    place.write("orderflow.toml", &place.read("orderflow.toml").replace("LOCAL_KEY", "NUMBER"));
    let args = "run flow.md --quiet --input name=1234 --record exchanges.jsonl";
    let recorded = told(place.command(args).env("NUMBER", "1234").output().unwrap());
    assert_eq!(recorded.exit, Some(0), "{}", recorded.err);
    let attempts = |place: &Place| {
        let shown = place.orderflow("show last --item 1 --format json").out;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let step = &shown["steps"][0];
        let spent: Vec<Value> = step["attempts"].as_array().unwrap().iter().map(spent).collect();
        (spent, step["attempts"][1]["outputs"].clone())
    };
    fn spent(attempt: &Value) -> Value {
        attempt["tokens_used"].clone()
    }
    let first = attempts(&place);
    assert_eq!(first.0, [json!(1234), json!(1234)], "{first:?}");
    assert_eq!(place.read("exchanges.jsonl").lines().count(), 3);
    drop(service);
    let told = place.orderflow("run flow.md --quiet --input name=1234 --exchanges exchanges.jsonl");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(attempts(&place), first);
}

#[test]
fn a_run_that_is_refused_leaves_an_earlier_record_as_it_is() {
    let place = place("127.0.0.1:9");
    place.write("exchanges.jsonl", "earlier\n");
    let told = place.orderflow("run flow.md --record exchanges.jsonl");
    assert_eq!(told.exit, Some(3), "{}", told.err);
    assert_eq!(place.read("exchanges.jsonl"), "earlier\n");
    for option in ["--record", "--exchanges"] {
        let told = place.orderflow(&format!("run flow.md --replay {option} exchanges.jsonl"));
        assert_eq!(told.exit, Some(2), "{}", told.err);
    }
}

const PRICES: &str = "# Prices\n\n## Price @pricing\nname::String → price::Number\n";

/// From the record the service is neither started nor asked, and its secrets are not needed.
#[test]
fn a_recorded_service_is_neither_started_nor_asked() {
    let service = Service::new(|_| Some((200, json!({"price": 12.5}))));
    let place = Place::new(PRICES);
    let settings = format!(
        "[agents.pricing]\nhttp = \"http://{}/prices\"\nkey = \"secret:PRICE_KEY\"\n",
        service.address
    );
    place.write("orderflow.toml", &settings);
    let mut command = place.command("run flow.md --quiet --input name=Ada --record exchanges.jsonl");
    let recorded = told(command.env("PRICE_KEY", "sk-very-secret").output().unwrap());
    assert_eq!(recorded.exit, Some(0), "{}", recorded.err);
    assert_eq!(place.read("exchanges.jsonl").lines().count(), 1);
    drop(service);
    place.write("orderflow.toml", &format!("{settings}start = [\"not-installed\"]\n"));
    let again = place.orderflow("run flow.md --quiet --input name=Ada --exchanges exchanges.jsonl");
    assert_eq!((again.exit, again.err.as_str()), (Some(0), ""));
    assert!(place.orderflow("show last --item 1").out.contains("12.5"));
}
