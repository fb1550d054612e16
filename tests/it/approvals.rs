//! Gates: an item waits for a person, at the terminal, from another process, in CI, and whatever happens meanwhile.

use crate::dialogue::dialogue;
use crate::place::{Place, says};
use crate::program::{Told, told};
use serde_json::Value;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Two steps of which the second waits, and leaves a trace of each deploy.
pub const RELEASE: &str = "\
# Release

## Build
name::String -> built::String

```sh run
echo \"built $IN_NAME\"
```

## Deploy
built -> deployed::String

> [!gate by @ops] Needs sign-off by ops

```sh run
echo \"$IN_BUILT\" >> deployed.log
echo \"deployed $IN_BUILT\"
```
";

pub const THREE: &str =
    "{\"id\":\"a\",\"name\":\"A\"}\n{\"id\":\"b\",\"name\":\"B\"}\n{\"id\":\"c\",\"name\":\"C\"}\n";

pub fn release() -> Place {
    let place = Place::new(RELEASE);
    place.write("items.jsonl", THREE);
    place
}

pub fn waiting() -> Place {
    let place = release();
    let ran = place.run("--items items.jsonl");
    assert_eq!(ran.exit, Some(5), "{}", ran.err);
    place
}

pub fn json(told: &Told) -> Value {
    serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{}{}", told.out, told.err))
}

pub fn show(place: &Place, item: &str) -> Value {
    json(&place.orderflow(&format!("show last --format json --item {item}")))
}

pub fn deployed(place: &Place) -> Vec<String> {
    let log = std::fs::read_to_string(place.path("deployed.log")).unwrap_or_default();
    let mut lines: Vec<String> = log.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

pub fn ended(child: Child) -> Told {
    told(child.wait_with_output().unwrap())
}

/// Waits until this many items of the latest run wait.
pub fn until_waiting(place: &Place, count: u64) {
    place.until("items wait", || {
        let runs = place.orderflow("runs --format json");
        let waiting = serde_json::from_str::<Value>(&runs.out).ok();
        waiting.is_some_and(|runs| runs[0]["counts"]["waiting"] == count)
    });
}

#[test]
fn without_a_terminal_a_run_ends_with_5_and_says_what_goes_on() {
    let place = release();
    let ran = place.run("--items items.jsonl --format json");
    let name = json(&place.orderflow("runs --format json"))[0]["name"].as_str().unwrap().to_owned();
    let expected = format!(
        "\
3 items: 0 succeeded, 3 waiting for a person
waiting at the gate of Deploy (Needs sign-off by ops): a, b, c
  approve them with orderflow approve {name} Deploy --item a --item b --item c --as ops --resume, or reject them with orderflow reject
trace written to session.toon
"
    );
    assert_eq!((ran.exit, ran.err), (Some(5), expected));
    says(
        &place.orderflow("runs --status waiting"),
        0,
        "\
run[..]
[..]
[..]  Release   [..]  waiting  3 waiting for a person  [..]
",
        "waiting runs need a person or an event: orderflow show RUN has the command\n",
    );
    let shown = place.orderflow("show last");
    let line = format!(
        "waits      at the gate of Deploy (Needs sign-off by ops): orderflow approve {name} Deploy --item a --item b --item c --as ops\n"
    );
    assert!(shown.out.contains(&line), "{}", shown.out);
    // What waits costs nothing to resume, and is as it was.
    let again = place.orderflow("resume last --quiet");
    assert_eq!((again.exit, deployed(&place)), (Some(5), Vec::new()), "{}", again.err);
    let story = show(&place, "b");
    assert_eq!(story["gates"][0]["state"], "waiting");
    assert_eq!(story["gates"][0]["question"], "Needs sign-off by ops");
    assert_eq!(place.read("session.toon").lines().last(), Some("complete: false"));
    let explained = json(&place.orderflow("resume --explain last --format json"));
    let waits =
        |item: &str| serde_json::json!({"item": item, "step": "Deploy", "phase": "Deploy", "element": null});
    assert_eq!(explained["wait"], serde_json::json!([waits("a"), waits("b"), waits("c")]));
    assert_eq!(explained["begin"], serde_json::json!([]));
}

#[test]
fn an_approval_is_recorded_and_the_run_goes_on() {
    let place = waiting();
    let denied = place.orderflow("approve last Deploy --as ann");
    says(
        &denied,
        4,
        "",
        "\
error: only ops decides at the gate of `Deploy`, and you are ann; nothing was recorded
  help: decide in the name of ops: --as ops
",
    );
    let one = place.orderflow("approve last Deploy --as @ops --item b --note go");
    says(&one, 0, "", "approved Deploy for b\n  continue the run with orderflow resume [..]\n");
    assert_eq!(place.orderflow("resume last --quiet").exit, Some(5));
    assert_eq!(deployed(&place), ["built B"]);
    let rest = place.orderflow("approve last Deploy --as ops --resume --quiet");
    assert_eq!(rest.exit, Some(0), "{}", rest.err);
    assert_eq!(deployed(&place), ["built A", "built B", "built C"]);
    let story = show(&place, "b");
    let gate = &story["gates"][0];
    assert_eq!(
        (&gate["state"], &gate["by"], &gate["note"]),
        (&"approved".into(), &"ops".into(), &"go".into())
    );
    // The trace has it, and agrees with the document.
    let session = place.read("session.toon");
    assert!(session.contains("deployed built B,"), "{session}");
    assert!(session.contains(",approved,ops,go,"), "{session}");
    let shown = place.orderflow("show last --session again.toon");
    assert_eq!(shown.exit, Some(0), "{}", shown.err);
    assert_eq!(place.read("again.toon"), session);
}

#[test]
fn a_decision_for_all_is_for_those_who_come_later_too() {
    let place = waiting();
    assert_eq!(place.orderflow("approve last Build").exit, Some(3));
    let place = Place::new(RELEASE);
    place.write("items.jsonl", THREE);
    let held = RELEASE
        .replace("echo \"built", "test $IN_NAME = A || until test -e go; do sleep 0.02; done; echo \"built");
    place.write("flow.md", &held);
    let child = place.begin("--items items.jsonl --jobs 3");
    until_waiting(&place, 1);
    says(
        &place.orderflow("approve last Deploy --as ops"),
        0,
        "",
        "approved Deploy for all items; 1 waits now\n",
    );
    place.write("go", "");
    let told = ended(child);
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(deployed(&place).len(), 3);
}

#[test]
fn a_rejection_compensates_what_was_done() {
    let place = Place::new(
        "\
# Orders

## Charge [compensate:: Refund]
name::String -> receipt::String

```sh run
echo \"receipt of $IN_NAME\"
```

## Ship [retry:: 3]
receipt -> shipped::String

> [!gate] May it go?

```sh run
touch shipped; echo yes
```

## Refund
receipt -> refund::String

```sh run
echo \"refund $IN_RECEIPT\" | tee refunded
```
",
    );
    assert_eq!(place.run("--input name=Ada").exit, Some(5));
    let no = place.orderflow("reject last Ship --as ann --note fraud --resume --quiet");
    assert_eq!(no.exit, Some(1), "{}", no.err);
    assert_eq!(
        (place.read("refunded").trim(), place.path("shipped").exists()),
        ("refund receipt of Ada", false)
    );
    let story = show(&place, "1");
    assert_eq!(
        (&story["state"], &story["error"]["message"]),
        (&"compensated".into(), &"rejected by ann: fraud".into())
    );
    let rows = place.rows("session.toon");
    assert!(rows.contains(&"Ship 1 #0 failed (rejected by ann: fraud)".to_owned()), "{rows:?}");
    // A retry asks again.
    let retried = place.orderflow("retry last --quiet");
    assert_eq!(retried.exit, Some(5), "{}", retried.err);
    assert_eq!(place.orderflow("approve last Ship --resume --quiet").exit, Some(0));
    assert!(place.path("shipped").exists());
}

#[test]
fn a_gate_expires_by_the_clock_also_while_no_process_runs() {
    let place = Place::new(&RELEASE.replace("gate by @ops", "gate within 300ms"));
    place.write("items.jsonl", THREE);
    assert_eq!(place.run("--items items.jsonl").exit, Some(5));
    let ended = Instant::now();
    place.until("the clock is past the time to decide", || ended.elapsed() > Duration::from_millis(300));
    let late = place.orderflow("approve last Deploy --item a");
    says(&late, 1, "", "the time to decide about Deploy for a has passed; nothing was recorded\n");
    // A decision for all is not one for those who came too late.
    assert_eq!(place.orderflow("approve last Deploy").exit, Some(0));
    let resumed = place.orderflow("resume last --format json");
    assert_eq!(resumed.exit, Some(1), "{}", resumed.err);
    let story = show(&place, "a");
    assert_eq!(story["error"]["code"], "gate_timeout");
    assert_eq!(story["error"]["message"], "no approval within 300ms");
    assert_eq!(story["gates"][0]["state"], "expired");
    assert_eq!(deployed(&place), Vec::<String>::new());
    // In a run that waits, too.
    let waited = place.run("--items items.jsonl --wait --quiet");
    assert_eq!(waited.exit, Some(1), "{}", waited.err);
}

/// The folder is an artifact: someone else approves it elsewhere, and the run goes on there.
#[test]
fn in_ci_a_later_job_approves_and_resumes_what_an_earlier_one_left() {
    let place = release();
    assert_eq!(place.run("--items items.jsonl").exit, Some(5));
    let other = release();
    let mut copy = Command::new("cp");
    copy.args(["-r", ".orderflow"]).arg(other.folder()).current_dir(place.folder());
    assert!(copy.status().unwrap().success());
    let run = std::fs::read_dir(other.path(".orderflow/runs")).unwrap().next().unwrap().unwrap().path();
    let run = run.display().to_string();
    let foreign = other.orderflow(&format!("approve {run} Deploy --as ops"));
    assert_eq!(foreign.exit, Some(4), "{}", foreign.err);
    assert_eq!(other.orderflow(&format!("adopt --yes {run}")).exit, Some(0));
    let approved = other.orderflow("approve last Deploy --as ops --note approved-in-ci");
    says(
        &approved,
        0,
        "",
        "approved Deploy for all items; 3 wait now\n  continue the run with orderflow resume [..]\n",
    );
    let resumed = other.orderflow("resume last --quiet");
    assert_eq!(resumed.exit, Some(0), "{}", resumed.err);
    assert_eq!(deployed(&other), ["built A", "built B", "built C"]);
}

#[test]
fn ticked_tasks_of_a_file_are_approvals() {
    let text = RELEASE.replace("by @ops] Needs sign-off by ops", "] Needs **sign-off** by ops");
    let place = Place::new(&text);
    place.write("items.jsonl", THREE);
    assert_eq!(place.run("--items items.jsonl").exit, Some(5));
    place
        .write("approvals.md", "# Approvals\n\n- [ ] Needs sign-off by ops\n- [x] Needs sign-off by legal\n");
    let none = place.orderflow("approve last --from approvals.md --as ann");
    says(&none, 1, "", "no gate of this run has the text `Needs sign-off by legal`\n");
    place.write("approvals.md", "- [x]  Needs sign-off by ops\n");
    let first = place.orderflow("approve last --from approvals.md --as ann");
    says(
        &first,
        0,
        "",
        "approved Deploy for all items; 3 wait now\n  continue the run with orderflow resume [..]\n",
    );
    let again = place.orderflow("approve last --from approvals.md --as ben");
    says(
        &again,
        0,
        "",
        "Deploy was already approved by ann, at [..]; nothing was recorded\n  continue the run with orderflow resume [..]\n",
    );
    assert_eq!(place.orderflow("resume last --quiet").exit, Some(0));
}

#[test]
fn a_question_with_values_is_that_of_its_item() {
    let place = Place::new(&RELEASE.replace("by @ops] Needs sign-off by ops", "] Deploy {{ built }}?"));
    place.write("items.jsonl", THREE);
    assert_eq!(place.run("--items items.jsonl").exit, Some(5));
    assert_eq!(show(&place, "b")["gates"][0]["question"], "Deploy built B?");
    place.write("approvals.md", "* [X] Deploy built B?\n");
    says(
        &place.orderflow("approve last --from approvals.md"),
        0,
        "",
        "approved Deploy for b\n  b: Deploy built B?\n  continue the run with orderflow resume [..]\n",
    );
    assert_eq!(place.orderflow("resume last --quiet").exit, Some(5));
    assert_eq!(deployed(&place), ["built B"]);
    // The same file again, and the tasks of others in it.
    place.write("approvals.md", "* [x] Deploy built B?\n* [x] Changelog written\n");
    let again = place.orderflow("approve last --from approvals.md");
    let text = "Deploy was already approved by [..] for b, at [..]; nothing was recorded\nno gate of this run has the text `Changelog written`\n";
    says(&again, 0, "", text);
}

/// Types answers at the gates of a run at a terminal.
fn at_terminal(place: &Place, args: &str, answers: &[&str]) -> (String, Option<i32>) {
    let answers: Vec<(&str, &str)> = answers.iter().map(|answer| ("a note may follow: ", *answer)).collect();
    dialogue(place, args, &answers)
}

#[test]
fn at_a_terminal_the_run_asks_and_takes_yes_no_and_later() {
    let place = release();
    let answers = ["perhaps", "yes, go", "no: broken", "later"];
    let (said, exit) = at_terminal(&place, "run flow.md --trust --items items.jsonl --jobs 1", &answers);
    assert_eq!(exit, Some(5), "{said}");
    assert!(said.contains("Deploy waits for a, to be decided by ops"), "{said}");
    assert!(said.contains("    built: \"built A\""), "{said}");
    assert_eq!(deployed(&place), ["built A"]);
    assert!(said.contains("b: Deploy failed: rejected by ops: broken"), "{said}");
    assert!(said.contains("waiting at the gate of Deploy (Needs sign-off by ops): c"), "{said}");
    // The next one is asked about again.
    let (said, exit) = at_terminal(&place, "resume last", &["y"]);
    assert_eq!(exit, Some(1), "{said}");
    assert_eq!(deployed(&place), ["built A", "built C"]);
}

#[test]
fn a_command_tells_people_once_for_each_item_that_waits() {
    let place = release();
    place.write("orderflow.toml", "[notify]\ncommand = [\"sh\", \"tell.sh\"]\n");
    place.write("tell.sh", "cat > \"$$.part\"; mv \"$$.part\" \"told-$$.json\"\n");
    assert_eq!(place.run("--items items.jsonl").exit, Some(5));
    let told = |place: &Place| -> Vec<Value> {
        let names = place.files().into_iter().filter(|name| name.starts_with("told-"));
        let mut all: Vec<Value> =
            names.map(|name| serde_json::from_str(&place.read(&name)).unwrap()).collect();
        all.sort_by_key(|one| one["item"].to_string());
        all
    };
    let all = told(&place);
    assert_eq!(all.len(), 3, "{all:?}");
    assert_eq!(
        (&all[0]["item"], &all[0]["step"], &all[0]["question"], &all[0]["by"], &all[0]["inputs"]["built"]),
        (&"a".into(), &"Deploy".into(), &"Needs sign-off by ops".into(), &"ops".into(), &"built A".into())
    );
    // A run that goes on tells nobody again.
    assert_eq!(place.orderflow("resume last").exit, Some(5));
    assert_eq!(told(&place).len(), 3);
    // A failure is a warning.
    place.write("tell.sh", "echo no network >&2; exit 3\n");
    let ran = place.run("--items items.jsonl");
    assert_eq!(ran.exit, Some(5), "{}", ran.err);
    assert!(
        ran.err.contains("warning: the command of [notify] failed: exited with 3: no network\n"),
        "{}",
        ran.err
    );
}

#[test]
fn the_gate_of_a_group_waits_once_an_item_and_of_all_items_once() {
    let place = Place::new(
        "\
# Release

## Ship

> [!gate] May it go?

### Pack
name::String -> packed::String

```sh run
echo \"$IN_NAME\"
```

### Send
packed -> sent::String

```sh run
echo \"$IN_PACKED\"
```

## Report
[per:: run]
sent -> report::String

> [!gate] May it be told?

```sh run
cat > /dev/null; touch told; echo told
```
",
    );
    place.write("items.jsonl", THREE);
    assert_eq!(place.run("--items items.jsonl").exit, Some(5));
    says(
        &place.orderflow("approve last Ship"),
        0,
        "",
        "approved Ship for all items; 3 wait now\n  continue the run with orderflow resume [..]\n",
    );
    let resumed = place.orderflow("resume last");
    assert_eq!(resumed.exit, Some(5), "{}", resumed.err);
    assert!(
        resumed.err.contains("waiting at the gate of Report (May it be told?): the steps for all items\n"),
        "{}",
        resumed.err
    );
    says(
        &place.orderflow("approve last Report --item run"),
        0,
        "",
        "approved Report for run\n  continue the run with orderflow resume [..]\n",
    );
    assert_eq!(place.orderflow("resume last --quiet").exit, Some(0));
    assert!(place.path("told").exists());
}
