//! The results of a run of one item at its end, and the conversation of the only item.

use crate::place::{Place, says};
use crate::program::told;
use crate::services::Service;
use serde_json::{Value, json};
use std::time::Duration;

const LETTERS: &str = "# Letters

## Write
name::String, pin::Secret → letter::String, draft::String

```sh run
printf '{\"letter\":\"Dear %s,\\\\n\\\\npin %s\\\\n\",\"draft\":\"d\"}' \"$IN_NAME\" \"$IN_PIN\"
```

## Split
draft → words::String[], sizes::Json

```sh run
echo '{\"words\": [\"a\", \"b\"], \"sizes\": {\"all\": [1, 2]}}'
```

## Count [each:: word in words]
word::String → count::Integer

```sh run
test \"$IN_WORD\" != b || sleep 0.3
echo 1
```
";

/// The results at the end of standard output.
fn results(out: &str) -> &str {
    out.split_once("\nresults; ").map_or("", |(_, results)| results)
}

#[test]
fn the_results_of_one_item_are_shown_as_text_without_secrets() {
    let place = Place::new(LETTERS);
    let run = place.run("--input name=Ada --input pin=4711-0815");
    assert_eq!(run.exit, Some(0), "{}", run.err);
    let shown = results(&run.out);
    let (command, values) = shown.split_once('\n').unwrap();
    let expected =
        "  letter:\n    Dear Ada,\n\n    pin [secret:pin]\n  sizes: {\"all\":[1,2]}\n  count: [1,1]\n";
    assert_eq!(values, expected);
    let args = command.strip_prefix("all inputs and outputs: orderflow ").unwrap();
    let item = place.orderflow(args);
    assert!(item.out.starts_with("1: succeeded\n"), "{}", item.out);

    // Quiet is the result and errors; JSON and a trace on standard output are for programs.
    let quiet = place.run("--input name=Ada --input pin=none --quiet");
    assert!(results(&quiet.out).ends_with("  count: [1,1]\n"), "{}", quiet.out);
    let json = place.run("--input name=Ada --input pin=none --format json");
    serde_json::from_str::<Value>(&json.out).unwrap();
    let fleeting = place.run("--input name=Ada --input pin=none --no-journal");
    assert!(fleeting.out.contains("\nresults\n  letter:\n"), "{}", fleeting.out);
}

#[test]
fn a_resumed_run_shows_the_results_of_all_its_sessions() {
    let place = Place::new(
        "# T\n\n## A\na::String → b::String, c::String\n\n```sh run\necho '{\"b\": \"first\", \"c\": \"x\"}'\n```\n\n\
         ## D\nc → d::String\n\n```sh run\ntest -e there || exit 65\necho second\n```\n",
    );
    let failed = place.run("--input a=1");
    assert_eq!((failed.exit, results(&failed.out)), (Some(1), ""));
    place.write("there", "");
    let retried = place.orderflow("retry last");
    assert_eq!(retried.exit, Some(0), "{}", retried.err);
    assert!(results(&retried.out).ends_with(" --item 1\n  b: first\n  d: second\n"), "{}", retried.out);
}

#[test]
fn several_items_show_no_results() {
    let place = Place::new("# T\n\n## A\na::String → b::String\n\n```sh run\necho x\n```\n");
    place.write("items.jsonl", "{\"id\":\"1\",\"a\":\"1\"}\n{\"id\":\"2\",\"a\":\"2\"}\n");
    let run = place.run("--items items.jsonl");
    assert_eq!((run.exit, results(&run.out)), (Some(0), ""));
    let several = place.orderflow("show last --conversation");
    let help = "error: the run has 2 items; --conversation shows those of one item\n  help: name it, such as --item 1\n";
    says(&several, 2, "", help);
}

#[test]
fn the_conversation_of_a_failed_attempt_says_how_it_ended() {
    let service = Service::new(|seen| {
        Some(match seen.body["messages"][0]["content"].as_str().is_some_and(|text| text.contains("Ada")) {
            true => (400, json!({"error": {"message": "the model hunter22-key is not here"}})),
            false => (200, Value::Null),
        })
    });
    let place = Place::new("# T\n\n## Write @writer\nname::String → letter::String\n\nThank {{ name }}.\n");
    let settings = format!(
        "[agents.writer]\nmodel = \"local/small\"\n[providers.local]\nurl = \"http://{}/v1\"\nkey = \"secret:KEY\"\n",
        service.address
    );
    place.write("orderflow.toml", &settings);
    let mut run = place.command("run flow.md --input name=Ada");
    let run = told(run.env("KEY", "hunter22-key").output().unwrap());
    assert_eq!(run.exit, Some(1), "{}", run.err);
    let shown = place.orderflow("show last --conversation");
    let end = "  notice: failed: the model's provider answered 400 Bad Request: the model [secret:KEY] is not here (400)\n";
    assert!(shown.out.starts_with("Write, attempt 1\n  user:\n"), "{}", shown.out);
    assert!(shown.out.ends_with(end), "{}", shown.out);
    let lines = place.orderflow("show last --conversation --format json");
    let last: Value = serde_json::from_str(lines.out.lines().last().unwrap()).unwrap();
    assert_eq!(last["role"], "notice");
    assert!(last["text"].as_str().unwrap().starts_with("failed: the model's provider"), "{last}");
    assert!(last["at_ms"].is_u64());
}

/// Attempts before the last have no row of their own, and the waits between them took time, too.
#[test]
fn the_wall_time_of_a_run_includes_earlier_attempts() {
    let place = Place::new(
        "# T\n\n## A [retry:: 2 fixed 400ms]\na::String → b::String\n\n```sh run\ntest \"$ORDERFLOW_ATTEMPT\" = 3 || exit 75\necho x\n```\n",
    );
    let begun = std::time::Instant::now();
    let run = place.run("--input a=1 --format json");
    let most = begun.elapsed();
    assert_eq!(run.exit, Some(0), "{}", run.err);
    let figures: Value = serde_json::from_str(&run.out).unwrap();
    let stats: Value =
        serde_json::from_str(&place.orderflow("stats session.toon --format json").out).unwrap();
    let shown: Value = serde_json::from_str(&place.orderflow("show last --format json").out).unwrap();
    for wall in [&figures["run"]["wall_ms"], &stats["run"]["wall_ms"], &shown["figures"]["run"]["wall_ms"]] {
        let wall = Duration::from_secs_f64(wall.as_f64().unwrap() / 1000.0);
        assert!(wall >= Duration::from_millis(800) && wall <= most, "{wall:?} of {most:?}");
    }
}

/// Of a run with an item for each way to end.
const ORDERS: &str = "\
---
items: items.jsonl
jobs: 1
tolerate: 100%
---
# Orders

## Pay [compensate:: Refund]
order::String → receipt::String, amount::Integer

```sh run
case $IN_ORDER in
  bad*) echo \"no account for $ORDERFLOW_ITEM\" >&2; exit 65;;
esac
printf '{\"receipt\": \"=%s, paid\", \"amount\": 7}' \"$IN_ORDER\"
```

## Ship
receipt → parcels::String[]

```sh run
if [ \"$IN_RECEIPT\" = '=closed, paid' ]; then echo closed >&2; exit 1; fi
echo '[\"a\", \"b\"]'
```

## Refund
receipt → refund::String

```sh run
echo refunded
```
";

fn orders() -> Place {
    let place = Place::new(ORDERS);
    let items = ["one", "bad1", "bad2", "closed", "bad3", "bad4", "bad5", "bad6"];
    let items = items
        .iter()
        .enumerate()
        .map(|(at, order)| format!("{{\"id\": \"item_{at}\", \"order\": \"{order}\"}}\n"));
    place.write("items.jsonl", &items.collect::<String>());
    place
}

#[test]
fn failures_are_grouped_by_cause_at_the_end_and_later() {
    let place = orders();
    let run = place.run("");
    let summary = "\
8 items: 1 succeeded, 6 failed, 1 compensated
  6 items: Pay: exited with 65 (bad input): no account for item_1
    item_1, item_2, item_4, item_5, item_6, … and 1 more
  item_3: Ship: exited with 1: closed (compensated)
trace written to session.toon
run [..]:
  orderflow show [..] --failed  failures by cause, with their logs
  orderflow retry [..]          retry the failed items
";
    let at = run.err.find("8 items: ").unwrap();
    snapbox::Assert::new().eq(&run.err[at..], summary);
    let failed = "\
6 items: Pay: exited with 65 (bad input): no account for item_1
  item_1, item_2, item_4, item_5, item_6, … and 1 more
  | no account for item_1
  orderflow logs [..] --item item_1

1 item: Ship: exited with 1: closed
  item_3
  | closed
  1 compensated
  orderflow logs [..] --item item_3
";
    says(&place.orderflow("show last --failed"), 0, failed, "");
    let json: Value = serde_json::from_str(&place.orderflow("show last --failed --format json").out).unwrap();
    assert_eq!((&json[0]["count"], &json[0]["states"]["failed"]), (&6.into(), &6.into()));
    assert_eq!((&json[1]["step"], &json[1]["log"]), (&"Ship".into(), &"closed\n".into()));
}

#[test]
fn the_outputs_of_all_items_are_printed_for_spreadsheets_and_scripts() {
    let place = orders();
    place.run("--quiet");
    let csv = place.orderflow("show last --results csv").out;
    let head = "item,state,receipt,amount,parcels\nitem_0,succeeded,\"'=one, paid\",7,\"[\"\"a\"\",\"\"b\"\"]\"\nitem_1,failed,,,\n";
    assert!(csv.starts_with(head) && csv.contains("\nitem_3,compensated,\"'=closed, paid\",7,\n"), "{csv}");
    assert_eq!(csv.lines().count(), 9);
    let lines = place.orderflow("show last --results jsonl").out;
    let first = "{\"item\":\"item_0\",\"state\":\"succeeded\",\"outputs\":{\"receipt\":\"=one, paid\",\"amount\":7,\"parcels\":[\"a\",\"b\"]}}";
    assert_eq!(lines.lines().next(), Some(first));
    let all: Value = serde_json::from_str(&place.orderflow("show last --results json").out).unwrap();
    assert_eq!((all.as_array().unwrap().len(), &all[0]["outputs"]["amount"]), (8, &7.into()));
}

#[test]
fn the_execution_tables_of_many_items_are_left_out_unless_asked_for() {
    let place = Place::new(
        "---\nitems: items.jsonl\n---\n# A\n\n## B\nid::String → b::String\n\n```sh run\necho x\n```\n",
    );
    for (items, shown) in [(10, true), (11, false)] {
        let lines = (0..items).map(|at| format!("{{\"id\": \"i{at}\"}}\n"));
        place.write("items.jsonl", &lines.collect::<String>());
        let out = place.run("").out;
        assert_eq!(out.starts_with("B\nitem  "), shown, "{out}");
        assert!(out.contains("\nitems          ") || out.starts_with("step  "), "{out}");
    }
    assert!(place.run("--tables").out.starts_with("B\nitem  "));
}
