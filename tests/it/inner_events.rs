//! Events inside documents that steps run: waited for, published, over kills and resumes, and two levels deep.

use crate::place::{Place, says};
use crate::program::told;
use serde_json::Value;

pub const ORDERS: &str = "\
---
items: orders.jsonl
jobs: 1
---

# Orders

## Review [document:: review.md] [timeout:: 30s]
amount::Integer → approved::Boolean

## Ship [when:: approved] [await:: review.done]
amount, review_done::JSON → sent::String

```sh run
echo \"ship $IN_AMOUNT $IN_REVIEW_DONE\" >> work.log
echo sent
```
";

const REVIEW: &str = "\
# Review

## Look
amount::Integer → looked::String

```sh run
echo \"look $IN_AMOUNT\" >> work.log
echo looked
```

## Check [await:: order.checked where ok] [emit:: review.done]
looked, amount, order_checked::JSON → approved::Boolean

```sh run
echo \"check $IN_AMOUNT $IN_ORDER_CHECKED\" >> work.log
echo true
```
";

pub fn place() -> Place {
    let place = Place::new(ORDERS);
    place.write("review.md", REVIEW);
    place.write("orders.jsonl", "{\"id\": \"a\", \"amount\": 3}\n{\"id\": \"b\", \"amount\": 40}\n");
    place
}

pub fn signal(place: &Place, kind: &str, item: &str, data: &str, rest: &str) -> (Option<i32>, String) {
    let mut command = place.command(&format!("signal last {kind} --item {item}"));
    command.args(["--data", data]).args(rest.split(' ').filter(|word| !word.is_empty()));
    let said = told(command.output().unwrap());
    (said.exit, said.err)
}

/// The lines of the log, sorted.
pub fn log(place: &Place) -> Vec<String> {
    let mut lines: Vec<String> = place.read("work.log").lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

pub const DONE: [&str; 6] = [
    "check 3 {\"ok\":true,\"n\":1}",
    "check 40 {\"ok\":true,\"n\":2}",
    "look 3",
    "look 40",
    "ship 3 {\"approved\":true}",
    "ship 40 {\"approved\":true}",
];

#[test]
fn a_run_waits_for_events_inside_its_documents_and_continues() {
    let place = place();
    let ended = place.run("");
    assert_eq!(ended.exit, Some(5), "{}{}", ended.out, ended.err);
    assert_eq!(log(&place), ["look 3", "look 40"]);
    assert!(ended.err.contains("2 items: 0 succeeded, 2 waiting for an event\n"), "{}", ended.err);
    assert!(ended.err.contains("waiting for order.checked before Review/Check: a, b\n"), "{}", ended.err);
    assert!(ended.err.contains(" order.checked --item a --data JSON --resume\n"), "{}", ended.err);
    let shown = place.orderflow("show last").out;
    assert!(shown.contains("state      waiting\n"), "{shown}");
    assert!(shown.contains("items      2 waiting for an event\n"), "{shown}");
    let wants = "waits      for order.checked before Review/Check: orderflow signal ";
    assert!(shown.contains(wants), "{shown}");

    // Resumed without an event, it waits again, and nothing runs twice.
    assert_eq!(place.orderflow("resume last --quiet").exit, Some(5));
    assert_eq!(log(&place), ["look 3", "look 40"]);

    let (exit, said) = signal(&place, "order.checked", "a", "{\"ok\": false}", "--id one");
    assert_eq!(exit, Some(0), "{said}");
    let refused = "  Review/Check does not take it: `where ok` does not hold\n";
    assert_eq!(said, format!("stored order.checked for a: no step waits for it now\n{refused}"));
    let (_, said) = signal(&place, "order.checked", "a", "{\"ok\": true, \"n\": 1}", "--id two");
    assert!(said.starts_with("stored order.checked for a: Review/Check takes it\n"), "{said}");
    let (_, said) = signal(&place, "order.checked", "a", "{\"ok\": true, \"n\": 1}", "--id two");
    assert_eq!(said, "an event with the id two came before; nothing was recorded\n");
    let shown = place.orderflow("show last").out;
    assert!(shown.contains("stored     order.checked for a has come, and Review/Check takes it"), "{shown}");
    assert!(
        shown.contains("was not taken: Review/Check: `where ok` does not hold (one)\n")
            && !shown.contains("(two)"),
        "{shown}"
    );
    let (exit, said) = signal(&place, "order.checked", "b", "{\"ok\": true, \"n\": 2}", "--resume");
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(log(&place), DONE);
    let shown = place.orderflow("show last").out;
    assert!(
        shown.contains("was not taken: its item has ended (one)\n") && !shown.contains("(two)"),
        "{shown}"
    );
    assert_eq!(place.orderflow("show last --write").exit, Some(0));
    let verified = place.orderflow("verify flow.md");
    assert_eq!(verified.exit, Some(0), "{}{}", verified.out, verified.err);
}

/// An event that comes before its step is stored for it, also before the document has begun.
#[test]
fn an_early_event_is_kept_for_a_document_that_has_not_begun() {
    let place = place();
    let gated =
        ORDERS.replace("approved::Boolean\n\n## Ship", "approved::Boolean\n\n> [!gate] Begin?\n\n## Ship");
    place.write("flow.md", &gated);
    assert_eq!(place.run("--quiet").exit, Some(5));
    for (item, n) in [("a", 1), ("b", 2)] {
        let (exit, said) = signal(&place, "order.checked", item, &format!("{{\"ok\":true,\"n\":{n}}}"), "");
        assert_eq!(exit, Some(0), "{said}");
    }
    let ended = place.orderflow("approve last Review --resume --quiet");
    assert_eq!(ended.exit, Some(0), "{}{}", ended.out, ended.err);
    assert_eq!(log(&place), DONE);
}

#[test]
fn an_active_run_takes_events_inside_its_documents() {
    let place = place();
    let run = place.begin("--quiet --wait");
    place.until("both items wait", || {
        place.orderflow("show last").out.matches("waits in its document").count() == 2
    });
    let (exit, said) = signal(&place, "order.checked", "a", "{\"ok\": true, \"n\": 1}", "");
    assert_eq!(said, "sent order.checked for a: Review/Check continues\n");
    assert_eq!(exit, Some(0));
    let (exit, said) = signal(&place, "order.checkd", "b", "{}", "");
    assert_eq!(exit, Some(3));
    assert!(said.contains("help: did you mean `order.checked`?"), "{said}");
    signal(&place, "order.checked", "b", "{\"ok\": true, \"n\": 2}", "");
    let ended = told(run.wait_with_output().unwrap());
    assert_eq!(ended.exit, Some(0), "{}{}", ended.out, ended.err);
    assert_eq!(log(&place), DONE);
}

#[test]
fn the_time_in_which_an_event_can_come_passes_inside_a_document() {
    let place = place();
    place.write("review.md", &REVIEW.replace("where ok", "where ok within 300ms"));
    let ended = place.run("--wait --quiet");
    assert_eq!(ended.exit, Some(1), "{}{}", ended.out, ended.err);
    assert!(ended.err.contains("Check: no event order.checked within 300ms"), "{}", ended.err);
    assert_eq!(log(&place), ["look 3", "look 40"]);
}

#[test]
fn a_document_that_waits_for_an_event_is_cancelled_with_its_run() {
    let place = place();
    assert_eq!(place.run("--quiet").exit, Some(5));
    let ended = place.orderflow("cancel last");
    assert_eq!(ended.exit, Some(0), "{}{}", ended.out, ended.err);
    assert!(place.orderflow("show last").out.contains("2 cancelled"));
}

pub const OUTER: &str = "\
# Outer

## Inner [document:: review.md]
amount::Integer → approved::Boolean

## Tell [await:: review.done]
approved, review_done::JSON → told::String

```sh run
echo \"tell $IN_REVIEW_DONE\" >> work.log
echo told
```
";

/// Two levels deep: events reach the innermost document, and what it publishes reaches both documents around it.
#[test]
fn events_reach_a_document_within_a_document() {
    let place = place();
    place.write("outer.md", OUTER);
    place.write("flow.md", &ORDERS.replace("review.md", "outer.md"));
    let ended = place.run("--quiet");
    assert_eq!(ended.exit, Some(5), "{}{}", ended.out, ended.err);
    assert!(
        ended.err.contains("waiting for order.checked before Review/Inner/Check: a, b\n"),
        "{}",
        ended.err
    );
    let (_, said) = signal(&place, "order.checked", "a", "{\"ok\": true, \"n\": 1}", "");
    assert!(said.starts_with("stored order.checked for a: Review/Inner/Check takes it\n"), "{said}");
    let (exit, said) = signal(&place, "order.checked", "b", "{\"ok\": true, \"n\": 2}", "--resume");
    assert_eq!(exit, Some(0), "{said}");
    let mut done: Vec<&str> = DONE.to_vec();
    done.extend(["tell {\"approved\":true}"; 2]);
    assert_eq!(log(&place), done);
    // While it runs, too.
    std::fs::remove_file(place.path("work.log")).unwrap();
    let run = place.begin("--quiet --wait");
    place.until("both items wait", || {
        place.orderflow("show last").out.matches("waits in its document").count() == 2
    });
    signal(&place, "order.checked", "a", "{\"ok\": true, \"n\": 1}", "");
    signal(&place, "order.checked", "b", "{\"ok\": true, \"n\": 2}", "");
    let ended = told(run.wait_with_output().unwrap());
    assert_eq!(ended.exit, Some(0), "{}{}", ended.out, ended.err);
    assert_eq!(log(&place), done);
}

/// A step of one item publishes what a document of another item waits for: the run does not end before it is taken.
#[test]
fn events_of_steps_reach_documents() {
    let place = Place::new(
        "\
---
items: orders.jsonl
---

# Orders

## Pack [emit:: order.packed] [when:: first]
first::Boolean → packed::JSON

```sh run
echo '{\"packed\": true}'
```

## Send [document:: send.md]
[after:: start]

first → sent::String
",
    );
    place.write(
        "send.md",
        "\
# Send

## Go [await:: order.packed for \"a\"]
first::Boolean, order_packed::JSON → sent::String

```sh run
echo \"$IN_FIRST $IN_ORDER_PACKED\" >> work.log
echo sent
```
",
    );
    place.write("orders.jsonl", "{\"id\": \"a\", \"first\": true}\n{\"id\": \"b\", \"first\": false}\n");
    let ended = place.run("--quiet");
    assert_eq!(ended.exit, Some(0), "{}{}", ended.out, ended.err);
    assert_eq!(log(&place), ["false {\"packed\":true}", "true {\"packed\":true}"]);
}

/// In each round of a loop a document waits for another event.
#[test]
fn a_document_in_a_loop_waits_for_another_event_in_each_round() {
    let place = Place::new(
        "\
# Letter

## Draft [repeat:: 3 until ok]

### Write
topic::String → letter::String

```sh run
echo letter
```

### Review [document:: review.md]
letter → ok::Boolean

## Send
letter → sent::String

```sh run
echo sent >> work.log
echo sent
```
",
    );
    place.write(
        "review.md",
        "\
# Review

## Read [await:: letter.read]
letter::String, letter_read::JSON → ok::Boolean

```python run
import json, sys
given = json.load(sys.stdin)[\"letter_read\"]
open(\"work.log\", \"a\").write(f\"read {given['n']}\\n\")
print(json.dumps(given[\"ok\"]))
```
",
    );
    assert_eq!(place.run("--quiet --input topic=x").exit, Some(5));
    let (_, said) = signal(&place, "letter.read", "1", "{\"n\": 1, \"ok\": false}", "--resume");
    assert!(said.contains("waiting for letter.read before Review/Read: 1\n"), "{said}");
    assert_eq!(log(&place), ["read 1"]);
    // The next round has its event before it begins.
    let (exit, said) = signal(&place, "letter.read", "1", "{\"n\": 2, \"ok\": true}", "--resume");
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(log(&place), ["read 1", "read 2", "sent"]);
}

/// Channels bring events into documents, and publish those of their steps once, as events of the run.
#[test]
fn channels_serve_the_steps_of_documents() {
    let place = place();
    place.write(
        "orderflow.toml",
        "fences = true\n\n[channels.checks]\ntypes = [\"order.checked\"]\nfollow = \"checks.jsonl\"\n\n\
         [channels.reviews]\ntypes = [\"review.*\"]\nappend = \"reviews.jsonl\"\n",
    );
    let event = |id: &str, item: &str, n: u32| {
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"s\",\"type\":\"order.checked\",\"subject\":\"{item}\",\
             \"data\":{{\"ok\":true,\"n\":{n}}}}}\n"
        )
    };
    place.write("checks.jsonl", &(event("1", "a", 1) + &event("2", "b", 2) + &event("2", "b", 7)));
    let ended = told(place.command("run flow.md --quiet").output().unwrap());
    assert_eq!(ended.exit, Some(0), "{}{}", ended.out, ended.err);
    assert_eq!(log(&place), DONE);
    let published: Vec<Value> =
        place.read("reviews.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut subjects: Vec<&str> = published.iter().map(|event| event["subject"].as_str().unwrap()).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["a", "b"]);
    for event in &published {
        assert_eq!(event["source"], "orderflow/review.md", "{event}");
        assert_eq!(event["data"]["approved"], true, "{event}");
    }
}

/// The outer step is retried: its document keeps its event, or waits for another one if it was compensated.
#[test]
fn a_document_that_was_compensated_waits_for_another_event() {
    let place = Place::new(
        "\
# Orders

## Review [document:: review.md]
amount::Integer → approved::Boolean
",
    );
    place.write(
        "review.md",
        "\
# Review

## Check [await:: order.checked] [compensate:: Forget]
amount::Integer, order_checked::JSON → checked::String

```sh run
echo \"check $IN_ORDER_CHECKED\" >> work.log
echo checked
```

## Decide [effects:: none]
checked → approved::Boolean

```sh run
test -e good
echo true
```

## Forget
checked → forgotten::String

```sh run
echo forget >> work.log
echo forgotten
```
",
    );
    assert_eq!(place.run("--quiet --input amount=1").exit, Some(5));
    let (exit, said) = signal(&place, "order.checked", "1", "1", "--resume");
    assert_eq!(exit, Some(1), "{said}");
    assert_eq!(place.read("work.log"), "check 1\nforget\n");
    place.write("good", "");
    let ended = place.orderflow("retry last --quiet");
    assert_eq!(ended.exit, Some(5), "{}{}", ended.out, ended.err);
    let (exit, said) = signal(&place, "order.checked", "1", "2", "--resume");
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(place.read("work.log"), "check 1\nforget\ncheck 2\n");
}

#[test]
fn a_run_without_a_journal_waits_inside_its_documents() {
    let place = place();
    place.write(
        "review.md",
        &REVIEW
            .replace(" [await:: order.checked where ok]", "")
            .replace(", order_checked::JSON", "")
            .replace("$IN_ORDER_CHECKED", "x"),
    );
    let ended = place.run("--no-journal --quiet --wait");
    assert_eq!(ended.exit, Some(0), "{}{}", ended.out, ended.err);
    assert_eq!(log(&place).iter().filter(|line| line.starts_with("ship")).count(), 2);
    says(
        &told(self::place().command("run flow.md --trust --no-journal --quiet").output().unwrap()),
        2,
        "",
        "error: a run that waits for a person or an event is resumed from its journal; nothing was run\n  \
         help: leave out --no-journal, or give --wait to keep the run alive\n",
    );
}
