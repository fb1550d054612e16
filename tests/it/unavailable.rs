//! An agent that reports that it cannot work at all: it is not asked for every item, and works again once that is solved.

use crate::place::Place;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// The writer needs a key; the reader does not.
const LETTERS: &str = "\
---
tolerate: 100%
---
# Letters

## Read @reader
order::Integer → name::String

## Write @writer [retry:: 3 fixed 30s]
name → letter::String

## File @reader
letter → filed::String
";

const READER: &str = r#"#!/bin/sh
case "$ORDERFLOW_STEP $IN_ORDER" in
"Read 7") if test -e hold; then : > holding; while test -e hold; do sleep 0.02; done; fi ;;
esac
echo "x$IN_ORDER$IN_LETTER"
"#;

const WRITER: &str = r#"#!/bin/sh
echo "$ORDERFLOW_ITEM" >> asked
test -e key || { echo '{"error": {"message": "no key", "unavailable": true}}'; exit 1; }
echo "dear $IN_NAME"
"#;

fn letters(concurrency: usize) -> Place {
    let place = Place::new(LETTERS);
    place.write("reader.sh", READER);
    place.write("writer.sh", WRITER);
    let settings = format!(
        "[agents.reader]\ncommand = [\"sh\", \"reader.sh\"]\n\
         [agents.writer]\ncommand = [\"sh\", \"writer.sh\"]\nconcurrency = {concurrency}\n"
    );
    place.write("orderflow.toml", &settings);
    let items = (1..=133).map(|order| format!("{{\"id\": \"{order}\", \"order\": {order}}}\n"));
    place.write("items.jsonl", &items.collect::<String>());
    place
}

fn asked(place: &Place) -> usize {
    place.read("asked").lines().count()
}

fn shown(place: &Place) -> Value {
    serde_json::from_str(&place.orderflow("show last --format json").out).unwrap()
}

#[test]
fn it_is_asked_once_for_133_items_and_again_with_a_retry() {
    let place = letters(1);
    let told = place.run("--items items.jsonl --jobs 8");
    assert_eq!((told.exit, asked(&place)), (Some(0), 1), "{}", told.err);
    let why = "agent `writer` is unavailable: no key";
    let lines: Vec<&str> = told.err.lines().collect();
    let first = lines.iter().filter(|line| line.ends_with(": Write failed: no key")).count();
    assert_eq!(first, 1, "{}", told.err);
    assert_eq!(lines[0], format!("{why}; its other steps fail without an attempt"));
    let end = lines.iter().position(|line| line.starts_with("133 items: ")).unwrap();
    assert_eq!(lines[end], "133 items: 0 succeeded, 133 failed");
    assert_eq!(lines[end + 1], format!("  {why}; 132 executions failed without an attempt"));
    assert_eq!(lines.iter().filter(|line| line.contains("failed: agent")).count(), 0, "{}", told.err);

    let rows = place.rows("session.toon");
    let ended = |what: &str| rows.iter().filter(|row| row.contains(what)).count();
    assert_eq!((ended("Read"), ended("#1 failed (no key)"), rows.len()), (133, 1, 266));
    assert_eq!(ended(&format!("#0 failed ({why})")), 132);
    let shown_text = place.orderflow("show last").out;
    assert!(
        shown_text.contains(&format!("\n{why}; 132 executions failed without an attempt\n")),
        "{shown_text}"
    );
    let unavailable = &shown(&place)["unavailable"];
    assert_eq!(*unavailable, json!([{"agent": "writer", "step": null, "message": "no key", "refused": 132}]));
    let refused = shown(&place)["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["error"]["code"] == "agent_unavailable" && item["error"]["message"] == why)
        .count();
    assert_eq!(refused, 132);

    // Without the key it is asked once more, and with it once for every item.
    let told = place.orderflow("retry last --trust");
    assert_eq!((told.exit, asked(&place)), (Some(0), 2), "{}", told.err);
    place.write("key", "");
    let told = place.orderflow("retry last --trust");
    assert_eq!((told.exit, asked(&place)), (Some(0), 2 + 133), "{}", told.err);
    assert!(told.err.contains("133 items: 133 succeeded\n"), "{}", told.err);
    assert!(!told.err.contains("unavailable"), "{}", told.err);
    assert_eq!(shown(&place)["unavailable"], json!([]));
}

#[test]
fn side_by_side_it_is_asked_as_often_as_it_works_at_once() {
    let place = letters(4);
    let told = place.run("--items items.jsonl --jobs 8");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert!((1..=4).contains(&asked(&place)), "{}", place.read("asked"));
    let at_once = "agent `writer` is unavailable: no key; its other steps fail without an attempt\n";
    assert_eq!(told.err.matches(at_once).count(), 1, "{}", told.err);
    assert_eq!(place.orderflow("show last --write").exit, Some(0));
    let verified = place.orderflow("verify flow.md");
    assert_eq!(verified.exit, Some(0), "{}{}", verified.out, verified.err);
}

#[test]
fn a_resumed_run_asks_it_again() {
    let place = letters(1);
    place.write("hold", "");
    let child = place.begin("--items items.jsonl --jobs 8");
    place.await_file("holding");
    place.until("all other items fail", || shown(&place)["counts"]["failed"] == 132);
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    let told = crate::program::told(child.wait_with_output().unwrap());
    assert_eq!((told.exit, asked(&place)), (None, 1), "{}", told.err);
    place.write("key", "");
    std::fs::remove_file(place.path("hold")).unwrap();
    let told = place.orderflow("resume last --trust");
    assert_eq!((told.exit, asked(&place)), (Some(0), 2), "{}", told.err);
    assert!(told.err.contains("133 items: 1 succeeded, 132 failed\n"), "{}", told.err);
    assert_eq!(shown(&place)["unavailable"], json!([]));
}

/// The bank becomes unavailable with the second payment, before the first is refunded.
#[test]
fn its_compensations_fail_too() {
    let place = Place::new(
        "# Shop\n\n## Pay @bank [compensate:: Refund]\norder::Integer → paid::String\n\n## Ship\npaid → shipped::String\n\n\
         ```sh run\nwhile ! test -e go; do sleep 0.02; done; exit 65\n```\n\n## Refund @bank\npaid → refunded::String\n",
    );
    let bank = "echo \"$ORDERFLOW_STEP$IN_ORDER\" >> asked\ncase \"$ORDERFLOW_STEP$IN_ORDER\" in Pay1) echo paid ;; \
                *) echo '{\"error\": {\"message\": \"no credit\", \"unavailable\": true}}' ;; esac\n";
    place.write("bank.sh", bank);
    place.write("orderflow.toml", "[agents.bank]\ncommand = [\"sh\", \"bank.sh\"]\n");
    place.write("items.jsonl", "{\"id\": \"a\", \"order\": 1}\n{\"id\": \"b\", \"order\": 2}\n");
    let child = place.begin("--items items.jsonl --jobs 2");
    place.until("the second payment", || {
        let shown = place.orderflow("show last --format json");
        shown.exit == Some(0)
            && serde_json::from_str::<Value>(&shown.out).unwrap()["unavailable"] != json!([])
    });
    place.write("go", "");
    let told = crate::program::told(child.wait_with_output().unwrap());
    assert_eq!(told.exit, Some(5), "{}", told.err);
    let why = "not compensated: Refund: agent `bank` is unavailable: no credit\n";
    assert!(told.err.contains(why), "{}", told.err);
    let mut asked: Vec<String> = place.read("asked").lines().map(str::to_owned).collect();
    asked.sort();
    assert_eq!(asked, ["Pay1", "Pay2"]);
}
