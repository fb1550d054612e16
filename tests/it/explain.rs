//! What a run that goes on would do, told and not done; and what a run says that has nothing more to do.

use crate::place::{Place, says};
use orderflow::event::{Event, EventKind, ItemEvent};
use orderflow::journal::{self, Journal, Record, Store, Unreadable};
use serde_json::{Value, json};
use std::process::Command;

/// The second order waits at the bank until it may go.
const DOCUMENT: &str = "\
---
items: items.jsonl
jobs: 1
---
# Orders

## Pay @bank
order::Integer → paid::Integer

## Ship
paid → shipped::Integer

```sh run
echo \"ship $IN_PAID $ORDERFLOW_KEY\" >> work.log
echo \"$IN_PAID\"
```

## Thank [when:: shipped > 0]
shipped → thanks::String

```sh run
echo thanks
```
";

const BANK: &str = "\
#!/bin/sh
echo \"pay $IN_ORDER $ORDERFLOW_KEY\" >> work.log
if [ \"$IN_ORDER\" = 2 ]; then touch waiting; while test -e work.log -a ! -e go; do sleep 0.02; done; fi
if [ \"$IN_ORDER\" = 3 ]; then exit 65; fi
echo \"$IN_ORDER\"
";

fn scene(bank: &str) -> Place {
    let place = Place::new(DOCUMENT);
    place.write("bank.sh", BANK);
    place.write("orderflow.toml", &format!("[agents.bank]\ncommand = [\"sh\", \"bank.sh\"]\n{bank}"));
    let items: String = (1..=4).map(|n| format!("{{\"id\": \"o{n}\", \"order\": {n}}}\n")).collect();
    place.write("items.jsonl", &items);
    place
}

/// Kills the run while the second order is at the bank. What it had started ends once it may go, or the place is gone.
fn killed(place: &Place) {
    let mut runner = place.begin("--quiet");
    place.await_file("waiting");
    runner.kill().unwrap();
    runner.wait().unwrap();
}

fn explained(place: &Place) -> Value {
    let told = place.orderflow("resume --explain last --format json");
    assert_eq!((told.exit, &*told.err), (Some(0), ""));
    serde_json::from_str(&told.out).unwrap()
}

#[test]
fn what_would_run_again_is_told_and_nothing_is_run() {
    let place = scene("");
    killed(&place);
    let log = place.read("work.log");
    let key = log.lines().last().unwrap().rsplit(' ').next().unwrap();
    let human = format!(
        "\
Orders, the run [..]: 1 succeeded, 1 in flight, 2 not started

retried with the same idempotency key: the runner exited before a result was recorded:
item  step  attempt  agent  twice                      key
[..]
o2    Pay   1        bank   may have its effect twice  {key}

not started; runs unless a condition excludes it:
item  steps
[..]
o2    Ship, Thank

2 items of items.jsonl are not admitted yet
"
    );
    says(&place.orderflow("resume --explain last"), 0, &human, "");
    let told = explained(&place);
    let again = json!([{
        "item": "o2", "step": "Pay", "phase": "Pay", "element": null, "attempt": 1,
        "agent": "bank", "effects": true, "idempotent": false, "key": key,
    }]);
    assert_eq!(told["again"], again);
    assert_eq!(told["next"], json!([]));
    let begin = |step: &str| json!({"item": "o2", "step": step, "phase": step, "element": null});
    assert_eq!(told["begin"], json!([begin("Ship"), begin("Thank")]));
    assert_eq!((&told["state"], &told["not_admitted"]), (&json!("paused"), &json!(2)));
    assert_eq!(place.read("work.log"), log, "nothing was run");

    place.write("orderflow.toml", "[agents.bank]\ncommand = [\"true\"]\nidempotent = true\n");
    assert!(place.orderflow("resume --explain last").out.contains("has its effect once"));
    place.write("orderflow.toml", "[agents.bank]\ncommand = [\"true\"]\neffects = false\n");
    assert!(place.orderflow("resume --explain last").out.contains("has no effects"));
    place.write("go", "");
}

/// That a step has no effects may stand in the document, of the run as it began.
#[test]
fn a_document_says_that_a_step_has_no_effects() {
    let place = scene("");
    place.write("flow.md", &DOCUMENT.replace("## Pay @bank\n", "## Pay @bank [effects:: none]\n"));
    killed(&place);
    let told = explained(&place);
    assert_eq!(told["again"][0]["effects"], json!(false));
    let shown = place.orderflow("resume --explain last").out;
    assert!(shown.contains("bank   has no effects"), "{shown}");
    place.write("go", "");
}

/// When an attempt ended that was under way when its runner was killed, nobody has seen.
#[test]
fn an_attempt_that_was_cancelled_took_nobody_knows_how_long() {
    let place = scene("");
    killed(&place);
    let cancelled = place.orderflow("cancel last --trust");
    assert_eq!(cancelled.exit, Some(0), "{}", cancelled.err);
    let shown = place.orderflow("show last --item o2").out;
    let attempt = shown.lines().find(|line| line.starts_with("  attempt 1 after ")).unwrap();
    assert!(attempt.ends_with(", its end was not seen"), "{shown}");
    let json: Value =
        serde_json::from_str(&place.orderflow("show last --item o2 --format json").out).unwrap();
    let attempt = json["steps"][0]["attempts"][0].clone();
    assert_eq!((&attempt["attempt"], &attempt["finished_ms"]), (&json!(1), &Value::Null), "{json}");
    place.write("go", "");
}

#[test]
fn a_run_that_lives_is_not_explained_and_one_that_was_cancelled_has_nothing_ahead() {
    let place = scene("");
    let mut runner = place.begin("--quiet");
    place.await_file("waiting");
    let told = place.orderflow("resume --explain last");
    assert_eq!(told.exit, Some(8));
    assert!(told.err.contains("is active in another process"), "{}", told.err);
    runner.kill().unwrap();
    runner.wait().unwrap();
    let home = std::fs::read_dir(place.path(".orderflow/runs")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(home.join("cancel"), "").unwrap();
    assert_eq!(explained(&place)["again"], json!([]));
    assert!(place.orderflow("resume --explain last").out.contains("it was cancelled"));
    place.write("go", "");
}

#[test]
fn a_failed_attempt_that_has_another_ahead_is_no_interrupted_one() {
    let place = Place::new(
        "# T\n\n## Try [retry:: 3 fixed 1h]\nname::String → done::String\n\n```sh run\ntouch tried\nexit 1\n```\n",
    );
    let mut runner = place.begin("--quiet --input name=x");
    place.until("the retry is known", || {
        let show = place.orderflow("show last --format json");
        serde_json::from_str(&show.out)
            .is_ok_and(|show: Value| show["items"][0]["steps"][0]["state"] == "waiting")
    });
    Command::new("kill").args(["-TERM", &runner.id().to_string()]).status().unwrap();
    assert_eq!(runner.wait().unwrap().code(), Some(143));
    let told = explained(&place);
    let next = json!([{"item": "1", "step": "Try", "phase": "Try", "element": null, "attempt": 2}]);
    assert_eq!((&told["again"], &told["next"]), (&json!([]), &next));
}

#[test]
fn a_run_that_has_ended_says_so_and_exits_as_it_did() {
    let place = scene("");
    place.write("go", "");
    assert_eq!(place.run("--quiet").exit, Some(1));
    let (log, session) = (place.read("work.log"), place.read("session.toon"));
    let ended = "\
the run [..] has ended: 3 succeeded, 1 failed; details: orderflow show [..]; retry what failed: orderflow retry [..]
";
    for command in ["resume last", "resume last --format json --jobs 3", "resume last --quiet"] {
        says(&place.orderflow(command), 1, "", ended);
    }
    says(&place.orderflow("resume last --explain"), 0, ended, "");
    assert_eq!(explained(&place)["state"], "failed");
    says(&place.orderflow("cancel last"), 0, "", ended);
    assert_eq!((place.read("work.log"), place.read("session.toon")), (log, session));

    place.write("bank.sh", "echo \"$IN_ORDER\"");
    assert_eq!(place.orderflow("retry last --quiet").exit, Some(0), "what has ended was not given up");
    let ended = "the run [..] has ended: 4 succeeded; details: orderflow show [..]\n";
    says(&place.orderflow("resume last"), 0, "", ended);
}

#[test]
fn a_run_whose_trace_was_never_written_writes_it() {
    let place = scene("");
    place.write("go", "");
    assert_eq!(place.run("--quiet").exit, Some(1));
    let home = std::fs::read_dir(place.path(".orderflow/runs")).unwrap().next().unwrap().unwrap().path();
    // As a runner leaves it that was killed behind the last event.
    std::fs::remove_file(home.join("ended")).unwrap();
    std::fs::remove_file(place.path("session.toon")).unwrap();
    assert!(place.orderflow("resume --explain last").out.contains("nothing would run, only the trace"));
    let told = place.orderflow("resume last");
    assert_eq!(told.exit, Some(1));
    assert!(told.err.contains("4 items: 3 succeeded, 1 failed"), "{}", told.err);
    assert_eq!(place.rows("session.toon").len(), 10);
}

#[test]
fn a_deadline_that_has_passed_stays_passed() {
    let place = Place::new("# T\n\n## Wait\nname::String → done::String\n\n```sh run\nsleep 600\n```\n");
    assert_eq!(place.run("--quiet --input name=x --deadline 200ms").exit, Some(124));
    let told = place.orderflow("resume last");
    assert_eq!(told.exit, Some(124), "{}", told.err);
    assert!(told.err.contains("has ended by its deadline: 1 "), "{}", told.err);
}

/// The journal of a run, written anew with one thing in it changed and every checksum in order.
fn forged(place: &Place, change: fn(&mut Record)) {
    let home = std::fs::read_dir(place.path(".orderflow/runs")).unwrap().next().unwrap().unwrap().path();
    let (header, records) = journal::read(&home).unwrap();
    let mut all = Vec::new();
    let each = |mut record| -> Result<(), Unreadable> {
        change(&mut record);
        all.push(record);
        Ok(())
    };
    records.each(each).unwrap();
    for file in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        let _ = std::fs::remove_file(home.join(file));
    }
    let mut store = Store::create(&home, &header).unwrap();
    store.append(&all).unwrap();
    store.tidy().unwrap();
    drop(store);
    // It is another journal now, which nobody here has started.
    assert_eq!(place.orderflow(&format!("adopt --yes {}", home.display())).exit, Some(0));
}

#[test]
fn what_was_asked_with_other_inputs_is_not_asked_again_under_its_key() {
    let place = scene("");
    killed(&place);
    place.write("go", "");
    let log = place.read("work.log");
    forged(&place, |record| {
        if let Record::Event(Event { kind: EventKind::Item(_, ItemEvent::Admitted { key, inputs }), .. }) =
            record
            && **key == *"o2"
        {
            inputs[0].1 = std::sync::Arc::new(json!(7));
        }
    });
    let told = place.orderflow("resume last --trust --quiet");
    assert_eq!(told.exit, Some(7), "{}", told.err);
    let wrong = "error: Pay of o2 was called with other inputs before, under the same idempotency key ";
    assert!(told.err.contains(wrong) && told.err.contains("nothing more was begun"), "{}", told.err);
    assert_eq!(place.read("work.log"), log, "nothing was begun");

    let told = place.orderflow("show last --item o2 --format json");
    let show: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(show["steps"][0]["attempts"].as_array().unwrap().len(), 1, "{show:#}");
    forged(&place, |record| {
        if let Record::Event(Event { kind: EventKind::Item(_, ItemEvent::Admitted { key, inputs }), .. }) =
            record
            && **key == *"o2"
        {
            inputs[0].1 = std::sync::Arc::new(json!(2));
        }
    });
    assert_eq!(place.orderflow("resume last --trust --quiet").exit, Some(1), "as it was, it goes on");
}

/// An order of which a step has failed while another is under way.
const FAILING: &str = "\
# Orders

## Pay [compensate:: Refund]
order::Integer → paid::Integer

```sh run
echo 1
```

## Reserve
paid → reserved::Integer

```sh run
until test -e waiting; do sleep 0.02; done
echo 'no stock' >&2
exit 65
```

## Pack [compensate:: Unpack]
paid → packed::Integer

```sh run
touch waiting
while test -e flow.md -a ! -e go; do sleep 0.02; done
echo 2
```

## Label
reserved → label::Integer

```sh run
echo 3
```

## Stamp
label → stamped::Integer

```sh run
echo 3
```

## Weigh
packed → weight::Integer

```sh run
echo 4
```

## Refund
paid → refunded::Integer

```sh run
echo refund >> undone.log
echo 5
```

## Unpack
packed → unpacked::Integer

```sh run
echo unpack >> undone.log
echo 6
```

## Handle Failed Orders
failed_orders → told::Boolean

```sh run
echo false
```
";

/// Kills the run once one step has failed and another is under way.
fn killed_while_failing() -> Place {
    let place = Place::new(FAILING);
    let mut runner = place.begin("--quiet --input order=1");
    place.until("the failure is known", || {
        let show = place.orderflow("show last --item 1 --format json");
        show.out.contains("no stock")
    });
    runner.kill().unwrap();
    runner.wait().unwrap();
    place
}

#[test]
fn of_an_item_that_fails_what_will_never_run_is_left_out_and_what_will_be_undone_is_told() {
    let place = killed_while_failing();
    let human = "\
Orders, the run [..]: 1 in flight

retried with the same idempotency key: the runner exited before a result was recorded:
item  step  attempt  twice                      key
[..]
1     Pack  1        may have its effect twice  [..]

not started; runs unless a condition excludes it:
item  steps
[..]
1     Weigh, Handle Failed Orders

compensated when nothing else of the item runs, in this order, if the step was done:
item  step    compensates  because
[..]
1     Unpack  Pack         Reserve: [..]
1     Refund  Pay          Reserve: [..]
";
    says(&place.orderflow("resume --explain last"), 0, human, "");
    let told = explained(&place);
    let steps = |key: &str| {
        let steps = told[key].as_array().unwrap().iter();
        steps.map(|one| one["step"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(steps("again"), ["Pack"]);
    assert_eq!(steps("begin"), ["Weigh", "Handle Failed Orders"]);
    assert_eq!(steps("compensate"), ["Unpack", "Refund"]);
    assert_eq!(
        (&told["compensate"][1]["compensates"], &told["compensate"][1]["because"]["step"]),
        (&json!("Pay"), &json!("Reserve"))
    );
    assert!(!place.path("undone.log").exists(), "nothing was run");

    place.write("go", "");
    assert_eq!(place.orderflow("resume last --quiet --trust").exit, Some(1));
    assert_eq!(place.read("undone.log"), "unpack\nrefund\n");
    let ran = place.rows("session.toon").join("\n");
    assert!(["Weigh", "HandleFailedOrders"].iter().all(|phase| ran.contains(phase)), "{ran}");
    assert!(!["Label", "Stamp"].iter().any(|phase| ran.contains(phase)), "{ran}");
}

#[test]
fn of_a_run_that_was_cancelled_what_will_be_undone_is_told() {
    let place = killed_while_failing();
    let home = std::fs::read_dir(place.path(".orderflow/runs")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(home.join("cancel"), "").unwrap();
    let told = explained(&place);
    assert_eq!((&told["again"], &told["begin"]), (&json!([]), &json!([])));
    let compensated: Vec<&Value> =
        told["compensate"].as_array().unwrap().iter().map(|one| &one["step"]).collect();
    assert_eq!(compensated, ["Unpack", "Refund"]);
    let told = place.orderflow("resume --explain last");
    assert!(
        told.out.contains("it was cancelled") && told.out.contains("compensated when nothing else"),
        "{}",
        told.out
    );
    place.write("go", "");
    place.orderflow("resume last --quiet --trust");
    assert_eq!(place.read("undone.log"), "unpack\nrefund\n");
}
