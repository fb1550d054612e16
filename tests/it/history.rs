//! Kept runs as they are listed, shown, asked about and removed, also while one lives.

use orderflow::journal;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Three orders: the second is refused by Pay. A courier is waited for where the folder says so.
const DOCUMENT: &str = r#"---
items: items.jsonl
tolerate: 1
---
# Parcels

## Pay Order @bank
order::Integer → paid::Integer

```sh run
echo "asking the bank" >&2
test "$IN_ORDER" != 2 || { echo "card declined" >&2; exit 65; }
echo "$IN_ORDER"
```

## Pack
paid → boxes::Integer[]

```sh run
while test -e wait-for-courier; do touch "waiting-$ORDERFLOW_RUN"; sleep 0.02; done
echo "[$IN_PAID, 7]"
```

## Send
[each:: box in boxes]
box → sent::Integer

```sh run
echo "$IN_BOX"
```

## Count [per:: run]
sent::Integer[][] → count::Integer

```sh run
tr -cd '[' < "$ORDERFLOW_INPUT" | wc -c
```
"#;

pub fn scene() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("w.md"), DOCUMENT).unwrap();
    fs::write(folder.path().join("orderflow.toml"), "fences = true\n").unwrap();
    let item = |number| format!("{{\"id\": \"o{number}\", \"order\": {number}}}\n");
    fs::write(folder.path().join("items.jsonl"), (1..=3).map(item).collect::<String>()).unwrap();
    folder
}

pub fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderflow"));
    command.args(args).current_dir(folder).stdin(Stdio::null());
    command
}

pub fn orderflow(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().unwrap()
}

/// What a command says on standard output, when it ends well.
pub fn said(folder: &Path, args: &[&str]) -> String {
    let output = orderflow(folder, args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What it says on standard error, and its exit.
pub fn told(folder: &Path, args: &[&str]) -> (String, Option<i32>) {
    let output = orderflow(folder, args);
    (String::from_utf8(output.stderr).unwrap(), output.status.code())
}

pub fn data(folder: &Path, args: &[&str]) -> Value {
    let args = [args, &["--format", "json"]].concat();
    serde_json::from_str(&said(folder, &args)).unwrap()
}

pub fn ran(folder: &Path) {
    said(folder, &["run", "w.md", "--quiet"]);
}

/// A run that waits for its courier. What an earlier one had started may still be at its end.
pub fn waiting(folder: &Path) -> Child {
    fs::write(folder.join("wait-for-courier"), "").unwrap();
    let before = homes(folder);
    let mut command = command(folder, &["run", "w.md", "--quiet"]);
    let mut runner = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let waits = |home: &PathBuf| {
        let mark = format!("waiting-{}", home.file_name().unwrap().to_str().unwrap());
        !before.contains(home) && folder.join(mark).exists()
    };
    while !homes(folder).iter().any(waits) {
        assert!(runner.try_wait().unwrap().is_none(), "the run ended early");
        std::thread::sleep(Duration::from_millis(2));
    }
    runner
}

pub fn killed(folder: &Path) {
    let mut runner = waiting(folder);
    runner.kill().unwrap();
    runner.wait().unwrap();
    // What it had started goes on by itself until then.
    fs::remove_file(folder.join("wait-for-courier")).unwrap();
}

pub fn homes(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join(".orderflow/runs")).into_iter().flatten();
    let mut homes: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    homes.sort();
    homes
}

fn damage(home: &Path) {
    let path = home.join(journal::FILE);
    let mut bytes = fs::read(&path).unwrap();
    let places: Vec<usize> =
        (0..bytes.len() - 9).filter(|at| bytes[*at..].starts_with(b"\"started\"]")).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|at| bytes[*at] ^= 1);
    fs::write(&path, bytes).unwrap();
}

#[test]
fn a_run_is_listed_while_it_lives_after_it_was_killed_and_when_it_is_over() {
    let scene = scene();
    let folder = scene.path();
    assert_eq!(data(folder, &["runs"]), json!([]));
    assert_eq!(told(folder, &["runs"]), ("no runs are stored here\n".to_owned(), Some(0)));

    let mut runner = waiting(folder);
    let list = data(folder, &["runs"]);
    assert_eq!(list[0]["state"], "running");
    assert_eq!(list[0]["workflow"], "Parcels");
    let counts = &list[0]["counts"];
    let sum = ["succeeded", "failed", "cancelled", "in_flight", "not_started"]
        .map(|what| counts[what].as_u64().unwrap())
        .iter()
        .sum::<u64>();
    assert_eq!((sum, counts["total"].as_u64()), (3, Some(3)));
    let item = data(folder, &["show", "last"])["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["steps"][0]["step"] == "Pack")
        .cloned()
        .unwrap();
    assert_eq!((&item["state"], &item["steps"][0]["state"]), (&json!("in_flight"), &json!("running")));
    let (message, code) = told(folder, &["show", "last", "--session", "live.toon"]);
    assert_eq!(code, Some(0));
    assert!(message.contains("as far as the run has come"), "{message}");
    assert!(fs::read_to_string(folder.join("live.toon")).unwrap().ends_with("complete: false\n"));
    runner.kill().unwrap();
    runner.wait().unwrap();

    assert_eq!(data(folder, &["runs", "--status", "paused"]).as_array().unwrap().len(), 1);
    assert!(said(folder, &["show", "last"]).contains("Pack, attempt 1 was interrupted"));
    fs::remove_file(folder.join("wait-for-courier")).unwrap();
    said(folder, &["resume", "last", "--quiet"]);
    let list = data(folder, &["runs"]);
    assert_eq!(list[0]["state"], "done");
    let expected = json!({
        "total": 3, "succeeded": 2, "failed": 1, "compensated": 0, "compensation_failed": 0, "cancelled": 0,
        "in_flight": 0, "waiting": 0, "awaiting": 0, "not_started": 0, "unpublished": 0
    });
    assert_eq!(list[0]["counts"], expected);
    assert_eq!(list[0]["run"], homes(folder)[0].file_name().unwrap().to_str().unwrap());

    let table = said(folder, &["runs"]);
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.contains("2 succeeded, 1 failed"), "{table}");
    assert_eq!(table.lines().next().unwrap().split_whitespace().next(), Some("run"));
    assert!(said(folder, &["runs", "--status", "failed"]).is_empty());
    said(folder, &["run", "w.md", "--quiet", "--tolerate", "5"]);
    assert_eq!(orderflow(folder, &["run", "w.md", "--quiet", "--tolerate", "0"]).status.code(), Some(1));
    let states: Vec<Value> =
        data(folder, &["runs"]).as_array().unwrap().iter().map(|line| line["state"].clone()).collect();
    assert_eq!(states, ["failed", "done", "done"], "the latest first");
    assert_eq!(data(folder, &["runs", "--since", "1h"]).as_array().unwrap().len(), 3);
    assert_eq!(data(folder, &["runs", "--since", "0s"]).as_array().unwrap().len(), 0);
    let (message, code) = told(folder, &["runs", "--status", "faild"]);
    assert_eq!(code, Some(2), "{message}");
}

#[test]
fn the_trace_from_the_journal_is_the_one_of_the_run() {
    let scene = scene();
    let folder = scene.path();
    ran(folder);
    said(folder, &["show", "last", "--session", "again.toon"]);
    let [written, again] =
        ["session.toon", "again.toon"].map(|file| fs::read_to_string(folder.join(file)).unwrap());
    assert_eq!(written, again);
    assert!(written.ends_with("complete: true\n"));

    killed(folder);
    said(folder, &["resume", "last", "--quiet"]);
    said(folder, &["show", "last", "--session", "again.toon"]);
    let [written, again] =
        ["session.toon", "again.toon"].map(|file| fs::read_to_string(folder.join(file)).unwrap());
    assert_eq!(written, again);

    assert_eq!(orderflow(folder, &["run", "w.md", "--quiet", "--only", "Pay Order"]).status.code(), Some(0));
    said(folder, &["show", "last", "--session", "again.toon"]);
    let [written, again] =
        ["session.toon", "again.toon"].map(|file| fs::read_to_string(folder.join(file)).unwrap());
    assert_eq!(written, again, "of a part of the workflow");
}

#[test]
fn an_item_is_shown_with_all_that_was_asked_and_answered() {
    let scene = scene();
    let folder = scene.path();
    ran(folder);
    let item = data(folder, &["show", "last", "--item", "o2"]);
    assert_eq!((&item["state"], &item["inputs"]), (&json!("failed"), &json!({"order": 2})));
    assert_eq!(item["error"]["step"], "Pay Order");
    let attempt = &item["steps"][0]["attempts"][0];
    assert_eq!(attempt["inputs"], json!({"order": 2}));
    assert_eq!((&attempt["error"]["cause"], &attempt["error"]["number"]), (&json!("exit"), &json!(65)));
    assert_eq!(attempt["error"]["log"], "asking the bank\ncard declined\n");

    let item = data(folder, &["show", "last", "--item", "o3"]);
    let steps: Vec<String> = item["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| {
            let attempt = &step["attempts"][0];
            format!(
                "{}[{}] {} {} {}",
                step["phase"].as_str().unwrap(),
                step["element"],
                step["status"].as_str().unwrap(),
                attempt["inputs"],
                attempt["outputs"]
            )
        })
        .collect();
    let expected = [
        r#"PayOrder[null] success {"order":3} {"paid":3}"#,
        r#"Pack[null] success {"paid":3} {"boxes":[3,7]}"#,
        r#"Send[0] success {"box":3} {"sent":3}"#,
        r#"Send[1] success {"box":7} {"sent":7}"#,
    ];
    assert_eq!(steps, expected);
    let run = data(folder, &["show", "last", "--item", "run"]);
    assert_eq!(run["steps"][0]["attempts"][0]["inputs"], json!({"sent": [[1, 7], [3, 7]]}));

    let text = said(folder, &["show", "last", "--item", "o2"]);
    for part in ["o2: failed\n", "Pay Order: failed\n", "    takes order: 2\n", "    | card declined\n"] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    let (message, code) = told(folder, &["show", "last", "--item", "O2"]);
    assert_eq!(code, Some(3), "{message}");
}

#[test]
fn a_journal_that_is_damaged_is_one_line_of_the_list() {
    let scene = scene();
    let folder = scene.path();
    ran(folder);
    ran(folder);
    damage(&homes(folder)[0]);
    let list = data(folder, &["runs"]);
    assert_eq!((&list[0]["state"], &list[1]["state"]), (&json!("done"), &json!("unreadable")));
    assert!(list[1]["error"].as_str().unwrap().contains("is damaged at row"), "{list}");
    assert!(said(folder, &["runs"]).contains("is damaged at row"));

    let output = orderflow(folder, &["runs", "--step", "Count", "--format", "json"]);
    assert_eq!(output.status.code(), Some(7), "rows may be missing");
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    let (message, code) = told(folder, &["show", list[1]["name"].as_str().unwrap()]);
    assert_eq!(code, Some(7), "{message}");
}

#[test]
fn a_step_is_asked_about_across_runs() {
    let scene = scene();
    let folder = scene.path();
    ran(folder);
    ran(folder);
    let rows = data(folder, &["runs", "--step", "Pay Order", "--status", "failed,timeout", "--since", "1h"]);
    let rows = rows.as_array().unwrap();
    let names: Vec<String> =
        homes(folder).iter().map(|home| home.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    let runs: Vec<&str> = rows.iter().map(|row| row["run"].as_str().unwrap()).collect();
    assert_eq!(runs, [names[1].as_str(), &names[0]], "the latest first");
    for row in rows {
        assert_eq!(
            (&row["item"], &row["status"], &row["attempt"]),
            (&json!("o2"), &json!("failed"), &json!(1))
        );
        assert!(row["error"].as_str().unwrap().contains("card declined"), "{row}");
        assert!(row["duration_ms"].is_number());
    }
    let sent = data(folder, &["runs", "--step", "Send"]);
    let sent = sent.as_array().unwrap();
    let second = sent.iter().filter(|row| row["element"] == 1).count();
    assert_eq!((sent.len(), second), (8, 4));
    let table = said(folder, &["runs", "--step", "PayOrder"]);
    assert_eq!(table.lines().count(), 8, "{table}");
    assert_eq!(data(folder, &["runs", "--step", "Pay Order", "--status", "skipped"]), json!([]));

    let (message, code) = told(folder, &["runs", "--step", "Pay Ordr"]);
    assert_eq!(code, Some(3));
    assert!(message.contains("did you mean `Pay Order`?"), "{message}");
    let (message, code) = told(folder, &["runs", "--step", "Send", "--status", "done"]);
    assert_eq!(code, Some(2), "{message}");
}

#[test]
fn old_runs_are_removed_and_what_could_go_on_stays() {
    let scene = scene();
    let folder = scene.path();
    killed(folder);
    ran(folder);
    ran(folder);
    damage(&homes(folder)[1]);
    ran(folder);
    let (message, code) = told(folder, &["runs", "prune"]);
    assert_eq!(code, Some(2), "{message}");

    let before = homes(folder);
    let (message, code) = told(folder, &["runs", "prune", "--keep", "1", "--dry-run"]);
    assert_eq!((code, homes(folder)), (Some(0), before.clone()));
    assert!(message.contains("would remove 1 run, would free "), "{message}");
    assert!(message.contains("it is paused") && message.contains("is damaged"), "{message}");
    told(folder, &["runs", "prune", "--keep", "0", "--older-than", "1h"]);
    assert_eq!(homes(folder), before, "all are young");

    let (message, code) = told(folder, &["runs", "prune", "--keep", "1"]);
    assert_eq!(code, Some(0), "{message}");
    assert!(message.contains("removed 1 run, freed "), "{message}");
    assert_eq!(homes(folder), [&before[0], &before[1], &before[3]].map(PathBuf::clone));

    // One that lives is left alone, whatever is said; what an interrupted removal left goes.
    let mut runner = waiting(folder);
    let live = homes(folder).pop().unwrap();
    fs::create_dir(folder.join(".orderflow/runs/.removed-0")).unwrap();
    let (message, code) = told(folder, &["runs", "prune", "--keep", "0", "--unfinished"]);
    assert_eq!(code, Some(0), "{message}");
    assert_eq!(homes(folder), [live]);
    fs::remove_file(folder.join("wait-for-courier")).unwrap();
    assert_eq!(runner.wait().unwrap().code(), Some(0), "it came to its end");
    assert_eq!(data(folder, &["runs"])[0]["state"], "done");
}
