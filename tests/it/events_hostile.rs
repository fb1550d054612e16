//! Events that come late, while nothing runs, with secrets in them, or under a name that means something else.

use crate::place::Place;
use crate::program::{Told, told};
use orderflow::runtime::{Inbox, InboxKey};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const AWAIT: &str = "\
# Orders

## Close
[await:: order.shipped]

name::String -> closed::String

```sh run
echo \"$IN_ORDER_SHIPPED\" >> closed.log
echo closed
```
";

const GATE: &str = "\
# Orders

## Close
name::String -> closed::String

> [!gate] Close it?

```sh run
echo closed
```
";

const TWO: &str = "{\"id\":\"a\",\"name\":\"A\"}\n{\"id\":\"b\",\"name\":\"B\"}\n";

const TOKEN: &str = "s3cr3t-value-1234";

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A run of two items that wait, and that no process runs.
fn waiting(document: &str) -> Place {
    let place = Place::new(document);
    place.write("items.jsonl", TWO);
    let ran = place.run("--items items.jsonl");
    assert_eq!(ran.exit, Some(5), "{}", ran.err);
    place
}

fn read(told: &Told) -> Value {
    serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{}{}", told.out, told.err))
}

fn signal(place: &Place, args: &str, data: &str) -> Told {
    let mut command = place.command(&format!("signal last {args}"));
    told(command.args(["--data", data]).output().unwrap())
}

/// Two items for each of which the time to wait passed while no process ran the run.
fn overdue(document: &str) -> Place {
    let place = waiting(document);
    let until = now() + 3_000;
    place.until("the time has passed", || now() > until);
    place
}

/// The run's folder below the place.
fn home(place: &Place) -> String {
    let run = read(&place.orderflow("runs --format json"))[0]["run"].as_str().unwrap().to_owned();
    format!(".orderflow/runs/{run}")
}

fn inbox(place: &Place) -> Inbox {
    let key = InboxKey::in_folder(place.path(".state/orderflow"));
    Inbox::of(&place.path(&home(place)), &key)
}

/// What a command leaves for a runner that ended before it took it.
fn store(place: &Place, request: &Value) {
    inbox(place).put(request).unwrap();
}

fn stored_signal(id: &str, item: &str, data: &Value, at: u64) -> Value {
    json!({"signal": {"id": id, "type": "order.shipped", "subject": item, "data": data, "at": at}})
}

fn code(place: &Place, item: &str) -> Value {
    read(&place.orderflow(&format!("show last --format json --item {item}")))["error"]["code"].clone()
}

/// Who can write into the folder of a run, for example by an archive that is unpacked there, approves and sends nothing.
#[test]
fn what_no_command_of_this_user_has_stored_is_not_taken() {
    let place = waiting(GATE);
    let decision = json!({"approved": true, "by": "ops", "note": null, "at": now()});
    let forged = json!({"gate": "Close", "items": ["a"], "decision": decision}).to_string();
    let name = |end: &str| format!("{}/inbox/{}{end}.json", home(&place), orderflow::runtime::new_run_id());
    place.write(&name(""), &forged);
    place.write(&name("-0123456789abcdef0123456789abcdef"), &forged);
    let shown = place.orderflow("show last").out;
    assert!(!shown.contains("stored "), "{shown}");
    let resumed = place.orderflow("resume last");
    assert_eq!(resumed.exit, Some(5), "{}", resumed.err);
    assert!(resumed.err.contains("2 waiting for a person"), "{}", resumed.err);
    assert!(
        resumed.err.contains("inbox ignored: your commands on this machine did not write them"),
        "{}",
        resumed.err
    );
}

#[test]
fn what_was_stored_for_a_runner_that_ended_is_taken_by_resume() {
    let place = waiting(AWAIT);
    store(&place, &stored_signal("s1", "b", &json!(1), now()));
    let resumed = place.orderflow("resume last");
    assert_eq!(resumed.exit, Some(5), "{}", resumed.err);
    assert!(resumed.err.contains("1 succeeded, 1 waiting for an event"), "{}", resumed.err);
    assert_eq!(place.read("closed.log"), "1\n");
    assert_eq!(std::fs::read_dir(place.path(&format!("{}/inbox", home(&place)))).unwrap().count(), 0);
    let again = signal(&place, "order.shipped --item b --id s1", "2");
    assert!(again.err.starts_with("an event with the id s1 came before"), "{}", again.err);

    let place = waiting(GATE);
    let decision = json!({"approved": true, "by": "ops", "note": null, "at": now()});
    store(&place, &json!({"gate": "Close", "items": ["a"], "decision": decision}));
    let resumed = place.orderflow("resume last");
    assert_eq!(resumed.exit, Some(5), "{}", resumed.err);
    assert!(resumed.err.contains("1 succeeded, 1 waiting"), "{}", resumed.err);
}

#[test]
fn time_passes_while_no_process_runs_the_run() {
    let place = overdue(&AWAIT.replace("order.shipped]", "order.shipped within 3s]"));
    let resumed = place.orderflow("resume last");
    assert_eq!(resumed.exit, Some(1), "{}", resumed.err);
    for item in ["a", "b"] {
        assert_eq!(code(&place, item), "event_timeout");
    }
    let place = overdue(&GATE.replace("[!gate]", "[!gate within 3s]"));
    let resumed = place.orderflow("resume last");
    assert_eq!(resumed.exit, Some(1), "{}", resumed.err);
    for item in ["a", "b"] {
        assert_eq!(code(&place, item), "gate_timeout");
    }
}

#[test]
fn only_the_time_at_which_an_event_came_and_a_person_decided_counts() {
    let place = overdue(&AWAIT.replace("order.shipped]", "order.shipped within 3s]"));
    let late = signal(&place, "order.shipped --item a", "1");
    let why = "Close does not take it: it came after `within 3s`\n";
    assert!(late.exit == Some(0) && late.err.ends_with(why), "{}", late.err);
    // Stored in time, though nothing looked at it.
    let story = read(&place.orderflow("show last --format json --item b"));
    assert_eq!(story["events"][0]["state"], "waiting");
    store(&place, &stored_signal("s1", "b", &json!(2), 1));
    let resumed = place.orderflow("resume last");
    assert_eq!(resumed.exit, Some(1), "{}", resumed.err);
    assert_eq!((code(&place, "a"), code(&place, "b")), (json!("event_timeout"), Value::Null));
    assert_eq!(place.read("closed.log"), "2\n");

    let place = overdue(&GATE.replace("[!gate]", "[!gate within 3s]"));
    for (item, at) in [("a", now()), ("b", 1)] {
        let decision = json!({"approved": true, "by": "ops", "note": null, "at": at});
        store(&place, &json!({"gate": "Close", "items": [item], "decision": decision}));
    }
    let resumed = place.orderflow("resume last");
    assert_eq!(resumed.exit, Some(1), "{}", resumed.err);
    assert_eq!((code(&place, "a"), code(&place, "b")), (json!("gate_timeout"), Value::Null));
}

const BANK: &str =
    "[agents.bank]\ncommand = [\"sh\", \"-c\", \"echo \\\"r $TOK\\\"\"]\nsecrets = { TOK = \"env:MYTOK\" }\n";

const ECHO: &str = "\
# Orders

## Use @bank
name::String -> receipt::String

## Wait
[await:: order.shipped where carrier != \"[secret:X]\"]

receipt, order_shipped::JSON -> got::String

```sh run
printf '%s\\n' \"$IN_ORDER_SHIPPED\" >> seen.log
test -e go || { touch started; sleep 60; }
echo got
```
";

fn with_token(place: &Place, args: &str) -> std::process::Command {
    let mut command = place.command(args);
    command.env("MYTOK", TOKEN).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    command
}

fn holds_token(place: &Place) -> bool {
    let has = |path: &std::path::Path| {
        std::fs::read(path).unwrap().windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes())
    };
    let files = std::fs::read_dir(place.path(&home(place))).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).any(|path| has(&path))
}

#[test]
fn a_secret_in_an_event_is_replaced_for_the_run_as_for_its_journal() {
    let place = Place::new(ECHO);
    place.write("orderflow.toml", BANK);
    let mut child = with_token(&place, "run flow.md --trust --input name=A --wait").spawn().unwrap();
    place.until("the item waits", || {
        let runs = place.orderflow("runs --format json");
        serde_json::from_str::<Value>(&runs.out).is_ok_and(|runs| runs[0]["counts"]["awaiting"] == 1)
    });
    let data = json!({"u": TOKEN, "carrier": "[secret:TOK]"}).to_string();
    let sent = signal(&place, "order.shipped --item 1", &data);
    assert!(sent.err.ends_with("Wait continues\n"), "{}", sent.err);
    place.await_file("started");
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    place.write("go", "");
    let resumed = told(with_token(&place, "resume last").output().unwrap());
    assert_eq!(resumed.exit, Some(0), "{}", resumed.err);
    let seen = "{\"u\":\"[secret:TOK]\",\"carrier\":\"[secret:TOK]\"}\n";
    assert_eq!(place.read("seen.log"), seen.repeat(2));
    assert!(!holds_token(&place));
}

#[test]
fn a_secret_is_no_subject_of_an_event() {
    let place = Place::new(&ECHO.replace("where carrier != \"[secret:X]\"", "for receipt"));
    place.write("orderflow.toml", BANK);
    let ran = told(with_token(&place, "run flow.md --trust --input name=A").output().unwrap());
    assert_eq!(ran.exit, Some(1), "{}", ran.err);
    let why = "Wait: `for receipt` contains a secret, and subjects are stored and shown";
    assert!(ran.err.contains(why), "{}", ran.err);
    let shown = place.orderflow("show last --format json --item 1");
    assert!(![&ran.out, &ran.err, &shown.out].iter().any(|text| text.contains(TOKEN)), "{}", ran.err);
    assert!(!holds_token(&place));
}

#[test]
fn an_item_with_the_key_run_does_not_take_the_events_of_the_steps_for_all_items() {
    let place = Place::new(
        "\
# Orders

## One
name::String -> one::String

```sh run
echo one
```

## All
[per:: run] [await:: go.now]

one, go_now::JSON -> all::JSON

```sh run
echo \"$IN_GO_NOW\"
```
",
    );
    place.write("items.jsonl", &TWO.replace("\"a\"", "\"run\""));
    let ran = place.run("--items items.jsonl");
    assert_eq!(ran.exit, Some(5), "{}", ran.err);
    let sent = signal(&place, "go.now --item run", "7");
    assert!(sent.err.starts_with("stored go.now for run: All takes it\n"), "{}", sent.err);
    let resumed = place.orderflow("resume last");
    assert_eq!(resumed.exit, Some(0), "{}", resumed.err);
}

#[test]
fn the_data_of_an_event_may_come_from_standard_input() {
    use std::io::Write;
    use std::process::Stdio;
    let place = waiting(AWAIT);
    let mut command = place.command("signal last order.shipped --item a --data @-");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"{\"carrier\": \"DHL\"}\n").unwrap();
    let told = told(child.wait_with_output().unwrap());
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let told = place.orderflow("resume last --quiet");
    assert_eq!(told.exit, Some(5), "{}", told.err);
    assert_eq!(place.read("closed.log"), "{\"carrier\":\"DHL\"}\n");
}

/// What an item waits for is corrected in the document: it has done nothing there yet.
#[test]
fn a_wrong_event_that_an_item_waits_for_is_corrected() {
    let place = Place::new(
        "# Orders\n\n## Pack\nname → ref::String\n\n```sh run\necho R-7\n```\n\n## Close\n[await:: order.shiped for name]\n\nref, order_shiped → closed::String\n\n```sh run\necho closed\n```\n",
    );
    assert_eq!(place.run("--input name=N --quiet").exit, Some(5));
    let right = place
        .read("flow.md")
        .replace("order.shiped for name", "order.shipped for ref where n > 1")
        .replace("order_shiped", "order_shipped::JSON");
    place.write("flow.md", &right);
    let told = place.orderflow("resume last --use-current --trust --quiet");
    assert_eq!(told.exit, Some(5), "{}{}", told.out, told.err);
    let shown = place.orderflow("show last").out;
    assert!(shown.contains("waits      for order.shipped before Close: orderflow signal"), "{shown}");
    assert!(shown.contains("--item R-7 --data JSON\n"), "{shown}");
    let told = place.orderflow("signal last order.shipped --item R-7 --data {\"n\":2} --resume --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    assert!(place.orderflow("show last --item 1").out.contains("makes closed: \"closed\""));
    // A step that has begun must stay as it was.
    let told = place.orderflow("show last --item 1").out;
    assert_eq!(told.matches("order.shipped for Close: ").count(), 1, "{told}");
}

/// Each reason why an event was not taken fits what has happened.
#[test]
fn the_reasons_for_untaken_events_are_right() {
    let place = Place::new(
        "---\nitems: items.jsonl\n---\n\n# Orders\n\n## Pack\nname → ref::String\n\n```sh run\necho \"R-$IN_NAME\"\n```\n\n\
         ## Close\n[await:: order.closed]\n\nref, order_closed::JSON → closed::String\n\n```sh run\necho closed\n```\n\n\
         ## Bill\n[await:: order.billed for ref]\n\nclosed, ref, order_billed::JSON → billed::String\n\n```sh run\necho billed\n```\n",
    );
    place.write("items.jsonl", "{\"id\":\"a\",\"name\":\"A\"}\n{\"id\":\"b\",\"name\":\"B\"}\n");
    assert_eq!(place.run("--quiet").exit, Some(5));
    for args in [
        "order.closed --item a --id first",
        "order.closed --item a --id second",
        "order.closed --item c --id third",
        "order.billed --item R-X --id fourth",
    ] {
        assert_eq!(place.orderflow(&format!("signal last {args}")).exit, Some(0), "{args}");
    }
    assert_eq!(place.orderflow("resume last --quiet").exit, Some(5));
    let shown = place.orderflow("show last").out;
    for line in [
        "event      order.closed for a was not taken: its step has taken another event (second)\n",
        "event      order.closed for c was not taken: no item has this key (third)\n",
        "event      order.billed for R-X was not taken: no step waits for this subject (fourth)\n",
    ] {
        assert!(shown.contains(line), "{line}{shown}");
    }
    assert!(!shown.contains("(first)"), "{shown}");
}

/// What the inbox of a run that no process runs stores is shown, and an event that it stores has come.
#[test]
fn stored_requests_are_shown_and_known() {
    let place = Place::new(
        "# Orders\n\n## Close\n[await:: order.closed]\n\nname, order_closed::JSON → closed::String\n\n```sh run\necho closed\n```\n",
    );
    assert_eq!(place.run("--input name=N --quiet").exit, Some(5));
    store(
        &place,
        &json!({"signal": {"id": "one", "type": "order.closed", "subject": "1", "data": {}, "at": 1}}),
    );
    let shown = place.orderflow("show last").out;
    assert!(shown.contains("stored     1 event: the run takes them when it is resumed\n"), "{shown}");
    let told = place.orderflow("signal last order.closed --item 1 --id one");
    assert_eq!(told.err, "an event with the id one came before; nothing was recorded\n");
    assert_eq!(place.orderflow("resume last --quiet").exit, Some(0));
    let shown = place.orderflow("show last").out;
    assert!(!shown.contains("stored "), "{shown}");
}

/// Rows whose event cannot be that of the step do not fit the document; and an event that a step has taken is there.
#[test]
fn rows_with_another_event_do_not_fit() {
    let flow = "# Orders\n\n## Close @desk\n[await:: order.closed]\n\nname, order_closed::JSON → closed::String\n\n\
        ## Tell @desk\nclosed, order_closed → told::String\n";
    let place = Place::new(flow);
    let plan = place.orderflow("plan flow.md").out;
    assert!(!plan.contains("may leave it out"), "{plan}");
    let row = |event: &str, id: &str, time: &str| {
        let rows = format!(
            "{flow}\n```session-toon\nexecution[2]{{phase,agent,channel,input,output,duration_ms,status,tokens_used,event,event_id,event_ms}}:\n \
             Close,desk,null,a,b,5,success,null,{event},{id},{time}\n Tell,desk,null,b,c,5,success,null,null,null,null\n```\n"
        );
        place.write("rows.md", &rows);
        let told = place.orderflow("verify rows.md");
        (told.exit, told.out + &told.err)
    };
    let (exit, told) = row("order.closed", "e1", "12");
    assert_eq!(exit, Some(0), "{told}");
    for (event, time, why) in [
        ("order.opened", "12", "it waits for `order.closed`, and the event is \"order.opened\""),
        ("order.closed", "-1", "its `event_ms` is not a time"),
    ] {
        let (exit, told) = row(event, "e1", time);
        assert!(exit == Some(1) && told.contains(&format!("`Close` cannot have begun: {why}")), "{told}");
    }
}
