//! Events: an item waits for one, from another process or from a step of its run, and whatever happens meanwhile.

use crate::place::{Place, says};
use crate::program::{Told, told};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::process::Child;

/// Two steps of which the second waits for an event, and leaves a trace of each delivery.
const ORDERS: &str = "\
# Orders

## Pack
name::String -> packed::String

```sh run
echo \"packed $IN_NAME\"
```

## Close
[await:: order.shipped where carrier == \"DHL\" within 7d]

packed, order_shipped::Shipment -> closed::String

```sh run
echo \"$IN_PACKED by $IN_ORDER_SHIPPED\" >> closed.log
echo \"closed $IN_PACKED\"
```

## Types

```ts
interface Shipment {
  carrier: string
  weight: number
}
```
";

const TWO: &str = "{\"id\":\"a\",\"name\":\"A\"}\n{\"id\":\"b\",\"name\":\"B\"}\n";

const DHL: &str = "{\"carrier\":\"DHL\",\"weight\":2}";

fn orders() -> Place {
    let place = Place::new(ORDERS);
    place.write("items.jsonl", TWO);
    place
}

fn waiting() -> Place {
    let place = orders();
    let ran = place.run("--items items.jsonl");
    assert_eq!(ran.exit, Some(5), "{}", ran.err);
    place
}

fn signal(place: &Place, args: &str, data: &str) -> Told {
    let mut command = place.command(&format!("signal last {args}"));
    told(command.args(["--data", data]).output().unwrap())
}

fn read(told: &Told) -> Value {
    serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{}{}", told.out, told.err))
}

fn show(place: &Place, item: &str) -> Value {
    read(&place.orderflow(&format!("show last --format json --item {item}")))
}

fn closed(place: &Place) -> Vec<String> {
    let log = std::fs::read_to_string(place.path("closed.log")).unwrap_or_default();
    let mut lines: Vec<String> = log.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn ended(child: Child) -> Told {
    told(child.wait_with_output().unwrap())
}

/// Waits until this many items of the latest run wait for an event.
fn until_waiting(place: &Place, count: u64) {
    place.until("items wait", || {
        let runs = place.orderflow("runs --format json");
        let runs = serde_json::from_str::<Value>(&runs.out).ok();
        runs.is_some_and(|runs| runs[0]["counts"]["awaiting"] == count)
    });
}

#[test]
fn without_a_source_a_run_ends_with_5_and_says_what_goes_on() {
    let place = orders();
    let ran = place.run("--items items.jsonl --format json");
    let name = read(&place.orderflow("runs --format json"))[0]["name"].as_str().unwrap().to_owned();
    let expected = format!(
        "\
2 items: 0 succeeded, 2 waiting for an event
waiting for order.shipped before Close: a, b
  send it with orderflow signal {name} order.shipped --item a --data JSON --resume
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
[..]  Orders    [..]  waiting  2 waiting for an event  [..]
",
        "waiting runs need a person or an event: orderflow show RUN has the command\n",
    );
    let shown = place.orderflow("show last");
    let line = format!(
        "waits      for order.shipped before Close: orderflow signal {name} order.shipped --item a --data JSON\n"
    );
    assert!(shown.out.contains(&line), "{}", shown.out);
    // What waits costs nothing to resume, and is as it was.
    let again = place.orderflow("resume last --quiet");
    assert_eq!((again.exit, closed(&place)), (Some(5), Vec::new()), "{}", again.err);
    let story = show(&place, "b");
    assert_eq!(
        (&story["events"][0]["state"], &story["events"][0]["subject"]),
        (&json!("waiting"), &json!("b"))
    );
    let explained = read(&place.orderflow("resume --explain last --format json"));
    let waits = |item: &str| json!({"item": item, "step": "Close", "phase": "Close", "element": null});
    assert_eq!(explained["await"], json!([waits("a"), waits("b")]));
}

#[test]
fn an_event_is_stored_and_the_run_continues_with_it() {
    let place = waiting();
    let sent = signal(&place, "order.shipped --item b --id s1", DHL);
    let name = read(&place.orderflow("runs --format json"))[0]["name"].as_str().unwrap().to_owned();
    let expected = format!(
        "stored order.shipped for b: Close takes it\n  continue the run with orderflow resume {name}\n"
    );
    assert_eq!((sent.exit, sent.err), (Some(0), expected));
    let twice = signal(&place, "order.shipped --item b --id s1", DHL);
    says(&twice, 0, "", "an event with the id s1 came before; nothing was recorded\n");
    assert_eq!(place.orderflow("resume last --quiet").exit, Some(5));
    assert_eq!(closed(&place), [format!("packed B by {DHL}")]);
    let rest = signal(&place, "order.shipped --item a --id s2 --resume --quiet", DHL);
    assert_eq!(rest.exit, Some(0), "{}", rest.err);
    assert_eq!(closed(&place), [format!("packed A by {DHL}"), format!("packed B by {DHL}")]);
    let story = show(&place, "b");
    assert_eq!((&story["events"][0]["state"], &story["events"][0]["id"]), (&json!("taken"), &json!("s1")));
    let text = place.orderflow("show last --item b").out;
    assert!(text.contains("\n  order.shipped for Close: s1 at "), "{text}");
    let trace = place.read("session.toon");
    assert!(trace.contains(",event,event_id,event_ms"), "{trace}");
}

#[test]
fn what_does_not_fit_or_is_not_meant_is_not_taken_but_listed_with_the_reason() {
    let place = waiting();
    let unfit = signal(&place, "order.shipped --item a --id u1", "{\"carrier\":\"DHL\"}");
    assert_eq!(unfit.exit, Some(0));
    assert!(unfit.err.starts_with("stored order.shipped for a: no step waits for it now\n"), "{}", unfit.err);
    assert!(unfit.err.contains("Close does not take it: "), "{}", unfit.err);
    let other = signal(&place, "order.shipped --item a --id u2", "{\"carrier\":\"UPS\",\"weight\":1}");
    let why = "Close does not take it: `where carrier == \"DHL\"` does not hold\n";
    assert!(other.err.ends_with(why), "{}", other.err);
    signal(&place, "order.shipped --item nobody --id u3", DHL);
    assert_eq!(place.orderflow("resume last --quiet").exit, Some(5));
    let shown = read(&place.orderflow("show last --format json"));
    let untaken = shown["events"]["untaken"].as_array().unwrap();
    let told = |at: usize| (untaken[at]["id"].as_str().unwrap(), untaken[at]["why"].as_str().unwrap());
    assert_eq!((untaken.len(), told(0).0), (3, "u1"));
    assert!(told(0).1.contains("weight"), "{}", told(0).1);
    assert_eq!(told(1), ("u2", "Close: `where carrier == \"DHL\"` does not hold"));
    assert_eq!(told(2), ("u3", "no item has this key"));
    let wrong = signal(&place, "order.shiped --item a", DHL);
    says(
        &wrong,
        3,
        "",
        "\
error: no step of this workflow waits for an event of the type `order.shiped`; nothing was recorded
  help: did you mean `order.shipped`?
",
    );
    let broken = signal(&place, "order.shipped --item a", "{");
    assert_eq!(broken.exit, Some(3), "{}", broken.err);
    assert_eq!(closed(&place), Vec::<String>::new());
}

#[test]
fn an_active_run_takes_an_event_at_once_and_loses_none_when_it_is_killed() {
    let place = orders();
    let mut child = place.begin("--items items.jsonl --wait");
    until_waiting(&place, 2);
    says(
        &signal(&place, "order.shipped --item a --id s1", DHL),
        0,
        "",
        "sent order.shipped for a: Close continues\n",
    );
    place
        .until("a has ended", || read(&place.orderflow("runs --format json"))[0]["counts"]["succeeded"] == 1);
    assert_eq!(closed(&place).len(), 1);
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    // An event that was answered for is in the journal, whoever was killed.
    assert_eq!(signal(&place, "order.shipped --item b --id s2", DHL).exit, Some(0));
    let child = place.command("resume last --wait").stderr(std::process::Stdio::piped()).spawn().unwrap();
    let ended = ended(child);
    assert_eq!(ended.exit, Some(0), "{}", ended.err);
    assert_eq!(closed(&place), [format!("packed A by {DHL}"), format!("packed B by {DHL}")]);
}

#[test]
fn an_event_that_does_not_come_in_time_fails_the_step() {
    let place = Place::new(&ORDERS.replace("within 7d", "within 50ms"));
    let ran = place.run("--input name=A --wait");
    assert_eq!(ran.exit, Some(1), "{}", ran.err);
    assert!(ran.err.contains("Close: no event order.shipped within 50ms"), "{}", ran.err);
    assert_eq!(show(&place, "1")["error"]["code"], "event_timeout");
}

#[test]
fn what_one_step_publishes_another_waits_for_without_a_broker_and_verify_finds_it() {
    let place = Place::new(
        "\
# Orders

## Pay
[emit:: order.paid]

order::String -> receipt::Receipt

```sh run
echo '{\"total\": 12.50}'
```

## Ship
[after:: start] [await:: order.paid where total > 10]

order, order_paid::Receipt -> shipped::String

```sh run
echo \"$IN_ORDER_PAID\"
```

## Types

```ts
interface Receipt { total: number }
```
",
    );
    let ran = place.run("--input order=o1");
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
    let shown = read(&place.orderflow("show last --format json --item 1"));
    let event = &shown["events"][0];
    let run = shown["run"].as_str().unwrap_or_default();
    assert_eq!((&event["state"], &event["type"]), (&json!("taken"), &json!("order.paid")));
    let id = event["id"].as_str().unwrap();
    assert!(id.ends_with("/0/Pay/0/order.paid") && id.contains(run), "{id}");
    let ship = shown["steps"].as_array().unwrap().iter().find(|step| step["step"] == "Ship").unwrap();
    assert_eq!(ship["attempts"][0]["inputs"]["order_paid"].to_string(), r#"{"total":12.50}"#);
    assert_eq!(place.run("--input order=o2 --write").exit, Some(0));
    let verified = place.orderflow("verify flow.md");
    assert_eq!(verified.exit, Some(0), "{}{}", verified.out, verified.err);
    let plan = place.orderflow("plan flow.md");
    assert!(plan.out.contains("Ship  waits for  order.paid where total > 10"), "{}", plan.out);
    assert!(plan.out.contains("Pay   publishes  order.paid"), "{}", plan.out);
    for format in ["text", "mermaid", "json"] {
        let graph = place.orderflow(&format!("graph flow.md --format {format}"));
        assert!(graph.exit == Some(0) && graph.out.contains("order.paid"), "{}{}", graph.out, graph.err);
    }
}

#[test]
fn a_run_that_waits_can_be_continued_elsewhere() {
    let place = waiting();
    let there = Place::new(ORDERS);
    let copied = std::process::Command::new("cp")
        .args(["-r".as_ref(), place.path(".orderflow").as_os_str(), there.folder().as_os_str()])
        .status();
    assert!(copied.unwrap().success());
    let run = read(&place.orderflow("runs --format json"))[0]["run"].as_str().unwrap().to_owned();
    assert_eq!(there.orderflow(&format!("adopt --yes .orderflow/runs/{run}")).exit, Some(0));
    for item in ["a", "b"] {
        let sent = signal(&there, &format!("order.shipped --item {item}"), DHL);
        assert_eq!(sent.exit, Some(0), "{}", sent.err);
    }
    let resumed = there.orderflow("resume last --trust --quiet");
    assert_eq!(resumed.exit, Some(0), "{}", resumed.err);
}
