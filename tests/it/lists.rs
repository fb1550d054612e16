//! Steps for each element of a list and steps for all items, from the command line.

use crate::place::Place;
use crate::python;
use serde_json::Value;
use std::fs;
use std::process::{Command, Output};
use tempfile::TempDir;

const DOCUMENT: &str = r#"# Parcels

## Pack
boxes::String[] → packed::String[]

```sh run
cat "$ORDERFLOW_INPUT" | tr -d ' ' | sed 's/"boxes"/"packed"/'
```

## Weigh [retry:: 1 fixed 1ms]
[each:: box in packed]
box → weight::Integer

```sh run
test "$IN_BOX" != "heavy$ORDERFLOW_ATTEMPT" || exit 75
test "$IN_BOX" != lost || { echo "no such box" >&2; exit 65; }
echo "$ORDERFLOW_STEP $ORDERFLOW_ELEMENT $ORDERFLOW_KEY" >> calls
printf '%s' "$IN_BOX" | wc -c
```

## Sum
weight::Integer[] → total::Integer

```python run
import json, sys
print(sum(json.load(sys.stdin)["weight"]))
```

## Bill [per:: run]
total::Integer[] → bill::JSON

```python run
import json, sys
print(json.dumps({"bill": {"id": "bill", "totals": json.load(sys.stdin)["total"]}}))
```

## Send Bill @post
bill → sent::Integer

```python run
import json, sys
totals = json.load(sys.stdin)["bill"]["totals"]
assert totals, "nothing to bill"
print(json.dumps({"sent": sum(totals), "totals": len(totals)}))
```
"#;

fn orderflow(folder: &TempDir, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderflow"));
    command.args(args).env("PATH", python::path()).current_dir(folder.path()).output().unwrap()
}

/// Runs the document; its rows as `item: phase input → output status attempt`, and the exit code.
fn run(folder: &TempDir, items: &str, more: &[&str]) -> (String, Option<i32>) {
    fs::write(folder.path().join("w.md"), DOCUMENT).unwrap();
    fs::write(folder.path().join("items.jsonl"), items).unwrap();
    let args = [&["run", "w.md", "--items", "items.jsonl", "--trust", "--quiet"], more].concat();
    let output = orderflow(folder, &args);
    let mut told = String::new();
    let session = fs::File::open(folder.path().join("session.toon")).unwrap();
    let read = orderflow::session::read_session(session, |_, row| {
        let row = row.to_row();
        let [item, input, output] = [row.item.as_deref(), row.input.as_deref(), row.output.as_deref()]
            .map(|label| label.unwrap_or("-").to_owned());
        let (status, attempt) = (row.status.name(), row.attempt.unwrap_or(0));
        told += &format!("{item}: {} {input} → {output} {status} {attempt}\n", row.phase);
    });
    assert!(read.unwrap().problems.is_empty());
    (told, output.status.code())
}

#[test]
fn elements_and_run_steps_leave_their_rows_in_order() {
    let folder = TempDir::new().unwrap();
    let items = "{\"id\": \"a\", \"boxes\": [\"xx\", \"heavy1\"]}\n{\"id\": \"b\", \"boxes\": []}\n";
    let (rows, code) = run(&folder, items, &[]);
    assert_eq!(
        rows,
        "a: Pack boxes_a → packed_a success 1\n\
         a: Weigh xx → 2 success 1\n\
         a: Weigh heavy1 → 6 success 2\n\
         a: Sum weight_a → 8 success 1\n\
         b: Pack boxes_b → packed_b success 1\n\
         b: Sum weight_b → 0 success 1\n\
         -: Bill total_run → bill success 1\n\
         -: SendBill bill → 8 success 1\n"
    );
    assert_eq!(code, Some(0));
    let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
    let mut calls: Vec<Vec<&str>> = calls.lines().map(|line| line.split(' ').collect()).collect();
    calls.sort();
    assert_eq!([&calls[0][..2], &calls[1][..2]], [["Weigh", "0"], ["Weigh", "1"]]);
    assert_ne!(calls[0][2], calls[1][2], "each element has an idempotency key of its own");
    let stats = orderflow(&folder, &["stats", "session.toon", "--format", "json"]);
    let stats: Value = serde_json::from_slice(&stats.stdout).unwrap();
    assert_eq!(stats["run"]["items"], 2);
    assert_eq!(stats["run"]["items_by_status"], serde_json::json!({"succeeded": 2}));
    let saved = |of: &str| stats["run"][of].as_f64().unwrap();
    let once: f64 = stats["groups"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|group| ["Bill", "SendBill"].contains(&group["by"]["phase"].as_str().unwrap()))
        .map(|group| group["mean_ms"].as_f64().unwrap())
        .sum();
    let most = saved("sequential_ms") - saved("elapsed_ms") - once;
    assert!((saved("saved_ms") - most.max(0.0)).abs() < 2.0, "what ran once was not saved: {stats}");
    let replay = orderflow(&folder, &["run", "w.md", "--replay=session.toon"]);
    assert_eq!(replay.status.code(), Some(0), "{}", String::from_utf8_lossy(&replay.stderr));
}

#[test]
fn a_failed_element_fails_its_step_and_a_failed_run_step_the_run() {
    let folder = TempDir::new().unwrap();
    let items = "{\"id\": \"a\", \"boxes\": [\"lost\", \"x\"]}\n";
    let (rows, code) = run(&folder, items, &["--tolerate", "100%"]);
    assert_eq!(
        rows,
        "a: Pack boxes_a → packed_a success 1\n\
         a: Weigh lost → - failed 1\n\
         a: Weigh x → 1 success 1\n\
         -: Bill total_run → bill success 1\n\
         -: SendBill bill → - failed 1\n"
    );
    assert_eq!(code, Some(1), "a step that runs once failed");
}

#[test]
fn steps_for_all_items_run_unless_items_were_left() {
    let folder = TempDir::new().unwrap();
    let lost = |key: &str| format!("{{\"id\": \"{key}\", \"boxes\": [\"lost\"]}}\n");
    let good = "{\"id\": \"c\", \"boxes\": [\"x\"]}\n";
    let items = format!("{}{}{good}", lost("a"), lost("b"));
    let (rows, code) = run(&folder, &items, &["--tolerate", "1"]);
    assert!(rows.ends_with("-: Bill total_run → bill success 1\n-: SendBill bill → 1 success 1\n"), "{rows}");
    assert_eq!(code, Some(1), "more than one has failed");

    let many: String = (0..200).map(|n| good.replace('c', &format!("c{n}"))).collect();
    let (rows, code) = run(&folder, &(items + &many), &["--tolerate", "1", "--jobs", "1"]);
    assert!(!rows.contains("Bill"), "{rows}");
    assert_eq!(code, Some(1));
    let args =
        ["run", "w.md", "--items", "items.jsonl", "--trust", "--quiet", "--tolerate", "1", "--jobs", "1"];
    let told = String::from_utf8(orderflow(&folder, &args).stderr).unwrap();
    assert!(told.contains("not run, since items were left: the steps `Bill`, `Send Bill`\n"), "{told}");
    let told = orderflow(&folder, &["resume", "last", "--explain"]).stdout;
    assert!(!String::from_utf8(told).unwrap().contains("Bill"));
}

#[test]
fn what_was_run_verifies_in_the_document() {
    let folder = TempDir::new().unwrap();
    let items = "{\"id\": \"a\", \"boxes\": [\"xx\", \"yyy\"]}\n{\"id\": \"b\", \"boxes\": [\"z\"]}\n";
    let (_, code) = run(&folder, items, &["--write"]);
    assert_eq!(code, Some(0));
    let verified = orderflow(&folder, &["verify", "w.md"]);
    let told = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert_eq!(verified.status.code(), Some(0), "{told}");
    let graph = orderflow(&folder, &["graph", "w.md", "--format", "json"]);
    let graph: Value = serde_json::from_slice(&graph.stdout).unwrap();
    let told: Vec<(&Value, &Value)> =
        graph["steps"].as_array().unwrap().iter().map(|step| (&step["per"], &step["each"])).collect();
    let each = serde_json::json!({"element": "box", "list": "packed"});
    let (item, once, none) = ("item".into(), "run".into(), Value::Null);
    assert_eq!(told, [(&item, &none), (&item, &each), (&item, &none), (&once, &none), (&once, &none)]);
}

#[test]
fn a_list_can_be_a_part_of_a_value() {
    let place = Place::new(
        "# Shop\n\n## Pick [effects:: none]\n[each:: line in order.lines[1].parts]\norder, line → picked::String\n\n```sh run\necho \"$IN_LINE!\"\n```\n",
    );
    let items = "{\"id\":\"a\",\"lines\":[{},{\"parts\":[\"x\",\"y\"]}]}\n{\"id\":\"b\",\"lines\":[]}\n";
    place.write("items.jsonl", items);
    let told = place.run("--items items.jsonl --quiet");
    assert_eq!(told.exit, Some(1), "{}", told.err);
    assert_eq!(
        place.rows("session.toon"),
        [
            "Pick a #1 success",
            "Pick a #1 success",
            "Pick b #0 failed (`order.lines[1].parts` is not a list: the list has no element 1)"
        ]
    );
}
