//! What is shown of runs that are not over: paused, killed or active, and of which of them is the latest.

use crate::place::{Place, says};
use orderflow::journal::{self, Header, Journal, Record, Store};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Child;

/// Two steps, one after the other; the second waits for a file.
const DOCUMENT: &str = "\
# Parcels

## Weigh
name::String → weight::Integer

```sh run
echo \"${#IN_NAME}\"
```

## Send
weight → sent::String

```sh run
until test -e courier; do : > waiting; sleep 0.02; done
echo \"sent $IN_WEIGHT\"
```
";

fn place() -> Place {
    let place = Place::new(DOCUMENT);
    place.write("i.csv", "id,name\na,Ada\nb,Bo\nc,Cy\n");
    place
}

/// A run in which two items wait for the courier.
fn waiting(place: &Place) -> Child {
    let run = place.begin("--items i.csv --jobs 2");
    place.until("two items are under way", || {
        place.path(".orderflow").exists()
            && steps(place, "b").iter().filter(|step| *step == "Send").count() == 1
    });
    run
}

fn show(place: &Place, args: &str) -> Value {
    serde_json::from_str(&place.orderflow(&format!("show last {args} --format json")).out).unwrap_or_default()
}

/// The steps that are under way for an item.
fn steps(place: &Place, key: &str) -> Vec<String> {
    let shown = show(place, "");
    let item = shown["items"].as_array().into_iter().flatten().find(|item| item["item"] == key);
    let steps = item.and_then(|item| item["steps"].as_array()).into_iter().flatten();
    steps.map(|step| step["step"].as_str().unwrap().to_owned()).collect()
}

fn homes(place: &Place) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.path(".orderflow/runs")).unwrap();
    let mut homes: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    homes.sort();
    homes
}

/// Steps that follow each other save nothing, also while some items have ended and others have not.
#[test]
fn items_in_flight_save_no_time() {
    let place = place();
    let mut run = waiting(&place);
    let figures = |place: &Place| show(place, "")["figures"]["run"].clone();
    let live = figures(&place);
    assert_eq!(
        (&live["saved_ms"], &live["items"], &live["in_flight"]),
        (&json!(0), &json!(0), &json!(2)),
        "{live}"
    );
    assert_eq!(live["elapsed_ms"], live["sequential_ms"], "{live}");
    let shown = place.orderflow("show last").out;
    assert!(shown.contains("\nitems          0 ended: 2 in flight, 1 not started\n"), "{shown}");
    assert!(!shown.contains("saved") && !shown.contains("\nan item"), "{shown}");
    run.kill().unwrap();
    run.wait().unwrap();
    let paused = figures(&place);
    assert_eq!((&paused["saved_ms"], &paused["in_flight"]), (&json!(0), &json!(2)), "{paused}");

    // The file of a run that was not over says the same.
    place.orderflow("show last --session s.toon");
    let told = place.orderflow("stats s.toon --format json");
    let file = serde_json::from_str::<Value>(&told.out).unwrap()["run"].clone();
    for name in ["items", "in_flight", "not_started", "saved_ms", "elapsed_ms", "mean_item_ms"] {
        assert_eq!(file[name], paused[name], "{name}");
    }
    place.write("courier", "");
    assert_eq!(place.orderflow("resume last").exit, Some(0));
    let over = figures(&place);
    assert_eq!(
        (&over["saved_ms"], &over["items"], &over["in_flight"]),
        (&json!(0), &json!(3), &Value::Null),
        "{over}"
    );
}

/// Writes another run that says to have begun at another time than its name does.
fn another(place: &Place, name: &str, started: &str) {
    let (header, records) = journal::read(&homes(place)[0]).unwrap();
    let home = place.path(&format!(".orderflow/runs/{name}"));
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let header = Header { run: name.to_owned(), started: started.to_owned(), ..header };
    let mut store = Store::create(&home, &header).unwrap();
    let mut all: Vec<Record> = Vec::new();
    records
        .each(|record| {
            all.push(record);
            Ok::<(), journal::Unreadable>(())
        })
        .unwrap();
    store.append(&all).unwrap();
    drop(store);
    assert_eq!(place.orderflow(&format!("adopt --yes {name}")).exit, Some(0));
}

/// Of runs that began in the same moment a name may be before the other and the start after it.
#[test]
fn last_is_the_first_run_of_the_list() {
    let place = place();
    place.write("courier", "");
    assert_eq!(place.run("--input name=Ada").exit, Some(0));
    another(&place, "00000000000000000000000000000000", "2199-01-01T00:00:00.002Z");
    another(&place, "ffffffffffffffffffffffffffffffff", "2199-01-01T00:00:00.001Z");
    let listed: Value = serde_json::from_str(&place.orderflow("runs --format json").out).unwrap();
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().map(|run| &run["run"].as_str().unwrap()[..4]).collect();
    assert_eq!(names[..2], ["0000", "ffff"], "the latest first");
    assert_eq!(show(&place, "")["run"], listed[0]["run"]);
    let rows: Value = serde_json::from_str(&place.orderflow("runs --step Weigh --format json").out).unwrap();
    assert_eq!(rows[0]["run"], listed[0]["run"]);
    let pruned = place.orderflow("runs prune --keep 1 --dry-run").out;
    assert!(!pruned.contains("0000") && pruned.starts_with("0"), "{pruned}");

    // In the same moment the name decides.
    another(&place, "11111111111111111111111111111111", "2199-01-01T00:00:00.002Z");
    assert_eq!(show(&place, "")["run"], "11111111111111111111111111111111");
}

/// A step that declares a value and prints none has not made it.
#[test]
fn a_text_that_was_not_printed_is_no_text() {
    let place = Place::new(
        "# Pay\n\n## Take Payment\nid::String -> receipt::String\n\n```sh run\ntrue\n```\n\n\
         ## Ship\nreceipt -> parcel::String\n\n```sh run\necho shipped\n```\n",
    );
    says(
        &place.run("--input id=1 --session s.toon --quiet"),
        1,
        "...\n",
        "1: Take Payment failed: expected the output `receipt`; the answer is empty\n",
    );
    place.write("flow.md", &place.read("flow.md").replace("\ntrue\n", "\necho\n"));
    assert_eq!(place.run("--input id=1").exit, Some(0), "an empty line is an empty text");
    let item = show(&place, "--item 1");
    assert_eq!(item["steps"][0]["attempts"][0]["outputs"], json!({"receipt": ""}));
}

/// What has not failed goes on, whichever command asks for it.
#[test]
fn a_retry_of_a_paused_run_without_failures_goes_on() {
    let place = place();
    let mut run = waiting(&place);
    run.kill().unwrap();
    run.wait().unwrap();
    place.write("courier", "");
    let told = place.orderflow("retry last");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let first = "no item of this run failed; the run was paused and continues\n";
    assert!(told.err.starts_with(first) && told.err.contains("\n3 items: 3 succeeded\n"), "{}", told.err);
    let told = place.orderflow("retry last");
    assert_eq!((&*told.err, told.exit), ("no item of this run failed\n", Some(0)));
}

/// An item of a run that lives, of one that was killed, and one that has not started.
#[test]
fn an_item_shows_what_was_interrupted() {
    let place = place();
    let mut run = waiting(&place);
    let told = place.orderflow("show last --item b").out;
    assert!(told.starts_with("b: in flight\n") && told.contains("\nSend: running\n"), "{told}");
    assert!(told.contains(", without an answer so far\n"), "{told}");
    assert_eq!(show(&place, "--item b")["steps"][1]["status"], "running");
    run.kill().unwrap();
    run.wait().unwrap();
    says(
        &place.orderflow("show last --item b"),
        0,
        "b: in flight; the run is paused\n  name: \"Bo\"\n\nWeigh: success\n  attempt 1 after [..], took [..]\n    \
         takes name: \"Bo\"\n    makes weight: 2\n\nSend: interrupted\n  attempt 1 after [..], interrupted before it \
         had answered\n    takes weight: 2\n",
        "",
    );
    let shown = show(&place, "--item b");
    let status = |step: usize| shown["steps"][step]["status"].clone();
    assert_eq!(
        (status(0), status(1), &shown["state"]),
        (json!("success"), json!("interrupted"), &json!("in_flight"))
    );
    let told = place.orderflow("show last --item c");
    let why = " has started no item with the key c; 1 item has not started yet\n";
    assert!(told.exit == Some(3) && told.err.contains(why), "{}", told.err);
    let told = place.orderflow("show last").out;
    assert!(told.contains(" up to the last event\n"), "{told}");
    place.write("courier", "");
    assert_eq!(place.orderflow("resume last").exit, Some(0));
    assert!(!place.orderflow("show last").out.contains("up to the last event"));
}

/// The progress line of a run that goes on says at once what runs, and an item that Ctrl-C has stopped is not done.
#[test]
fn progress_counts_what_is_done() {
    let place = place();
    let mut run = waiting(&place);
    run.kill().unwrap();
    run.wait().unwrap();
    let script = format!("{} resume last & echo $! > pid; wait $!", env!("CARGO_BIN_EXE_orderflow"));
    let mut terminal = std::process::Command::new("script");
    terminal.args(["-qefc", &script, "said"]).current_dir(place.folder());
    terminal.env("XDG_STATE_HOME", place.path(".state"));
    let (stdin, stdout) = (std::process::Stdio::null(), std::process::Stdio::null());
    let mut terminal = terminal.stdin(stdin).stdout(stdout).spawn().unwrap();
    let said = || fs::read(place.path("said")).map(|said| String::from_utf8_lossy(&said).into_owned());
    place.until("two steps run again", || {
        said().is_ok_and(|said| said.contains(" s  a: Send") && said.contains(" s  b: Send"))
    });
    let pid = place.read("pid");
    assert!(std::process::Command::new("kill").args(["-TERM", pid.trim()]).status().unwrap().success());
    terminal.wait().unwrap();
    let said = said().unwrap();
    assert!(said.contains("0/3 items · "), "{:.2000}", said);
    assert!(!said.contains("3/3") && !said.contains("2/3"), "{:.2000}", said);
}

/// A run that has ended says why its exit is what it is.
#[test]
fn a_run_that_does_not_meet_what_is_expected_says_so() {
    let place = place();
    place.write("flow.md", &DOCUMENT.replace("## Send\n", "## Send\n\n> [!expect] count > 5\n\n"));
    place.write("courier", "");
    assert_eq!(place.run("--input name=Ada --quiet").exit, Some(1));
    let ended = "the run [..] has ended: 1 succeeded, and an expectation of its document is not met; details: orderflow show [..]\n";
    says(&place.orderflow("resume last"), 1, "", ended);
}

/// A number below zero is a wrong value, not an unknown option.
#[test]
fn numbers_below_zero_are_refused_as_values() {
    let place = place();
    let why = "error: invalid value '-1' for '--tolerate <COUNT|PERCENT>': write a count such as 3, or a share of at most 100%, such as 2%\n";
    let told = place.orderflow("run flow.md --tolerate -1");
    assert!(told.exit == Some(2) && told.err.starts_with(why), "{}", told.err);
    let told = place.orderflow("run flow.md --jobs -1");
    assert!(
        told.err.starts_with("error: invalid value '-1' for '--jobs <N>': write a whole number above 0\n"),
        "{}",
        told.err
    );
}
