//! `resume --use-current`: a run goes on with its document as it is now, where what has begun is what it was.

use crate::place::{Place, says};
use serde_json::Value;

/// The first order goes all the way; the second waits at Pay until it may go.
const DOCUMENT: &str = "\
---
items: items.jsonl
jobs: 1
---
# Orders

Takes orders.

## Pay [timeout:: 5m] [after:: start]
order::Integer → paid::Integer

```sh run
echo \"pay $IN_ORDER $ORDERFLOW_KEY\" >> work.log
if [ \"$IN_ORDER\" = 2 ]; then touch waiting; until test -e go; do sleep 0.02; done; fi
echo \"$IN_ORDER\"
```

## Ship
paid → shipped::Integer

```sh run
echo \"ship $IN_PAID\" >> work.log
echo \"$IN_PAID\"
```
";

fn scene(orders: &str) -> Place {
    let place = Place::new(DOCUMENT);
    let item = |n: &str| format!("{{\"id\": \"o{n}\", \"order\": {n}}}\n");
    place.write("items.jsonl", &orders.split(' ').map(item).collect::<String>());
    let mut runner = place.begin("--quiet");
    place.await_file("waiting");
    runner.kill().unwrap();
    runner.wait().unwrap();
    place.write("go", "");
    place
}

fn change(place: &Place, changes: &[(&str, &str)]) {
    let mut text = DOCUMENT.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    place.write("flow.md", &text);
}

const SHIP: (&str, &str) = ("echo \"ship $IN_PAID\"", "echo \"send $IN_PAID\"");

#[test]
fn what_has_not_begun_may_change_be_new_and_be_gone() {
    let place = scene("2 3");
    let added = "## Weigh\norder → weight::Integer\n\n```sh run\necho \"weigh $IN_ORDER\" >> work.log\necho 7\n```\n\n## Ship";
    // All ids shift: a step stands before the one that has begun, and another is gone.
    change(
        &place,
        &[
            ("Takes orders.", "Takes all orders, and\n\n- weighs them"),
            ("## Pay", "## Greet [after:: start]\n\n```sh run\necho greet >> work.log\n```\n\n## Pay"),
            ("## Ship", added),
            ("paid → shipped::Integer", "weight, paid → sent::Integer"),
            SHIP,
        ],
    );
    let told = place.orderflow("resume last --trust --use-current");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let log = place.read("work.log");
    let mut lines: Vec<&str> = log.lines().map(|line| line.split(" 0").next().unwrap()).collect();
    lines.sort();
    let pays = lines.iter().filter(|line| line.starts_with("pay 2")).count();
    assert_eq!(pays, 2, "it was interrupted: {log}");
    for line in ["greet", "weigh 2", "weigh 3", "send 2", "send 3"] {
        assert!(log.lines().any(|known| known == line), "{line}: {log}");
    }
    assert!(!log.contains("ship"), "{log}");
    let keys: std::collections::BTreeSet<&str> = log
        .lines()
        .filter(|line| line.starts_with("pay 2"))
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    assert_eq!(keys.len(), 1, "{log}");

    // All that reads the run uses the newest document.
    let show: Value =
        serde_json::from_str(&place.orderflow("show last --item o2 --format json").out).unwrap();
    let steps: Vec<&str> =
        show["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps.len(), 4, "{show:#}");
    assert_eq!(
        show["steps"].as_array().unwrap().iter().filter(|step| step["status"] == "success").count(),
        4
    );
    assert_eq!(show["inputs"]["order"], 2);
    let mut rows = place.rows("session.toon");
    rows.sort();
    let expected: Vec<String> = ["Greet", "Pay", "Ship", "Weigh"]
        .iter()
        .flat_map(|phase| ["o2", "o3"].map(|item| format!("{phase} {item} #1 success")))
        .collect();
    assert_eq!(rows, expected);
    assert_eq!(place.orderflow("show last --session again.toon").exit, Some(0));
    assert_eq!(place.read("again.toon"), place.read("session.toon"));
    assert_eq!(place.orderflow("runs --step Weigh").exit, Some(0));
    let ended = "the run [..] has ended: 2 succeeded; details: orderflow show [..]\n";
    says(&place.orderflow("resume last --use-current"), 0, "", ended);
}

#[test]
fn prose_never_matters_and_a_plain_resume_goes_on_with_the_newest() {
    let place = scene("1 2 3");
    place.write("broken", "");
    change(
        &place,
        &[
            ("Takes orders.", "Takes no orders."),
            ("echo \"$IN_PAID\"\n", "test ! -e broken || exit 75\necho \"$IN_PAID\"\n"),
        ],
    );
    let told = place.orderflow("resume last --trust --use-current --quiet");
    assert_eq!(told.exit, Some(6), "Ship has begun for o1: {}", told.err);
    change(&place, &[("Takes orders.", "Takes no orders."), ("## Ship", "Then they go.\n\n## Ship")]);
    let told = place.orderflow("resume last --use-current");
    assert_eq!(told.exit, Some(0), "programs are what they were, and so is the grant: {}", told.err);
}

#[test]
fn what_has_begun_and_has_changed_is_refused_with_what_it_was() {
    let place = scene("1 2");
    let log = place.read("work.log");
    change(&place, &[("[timeout:: 5m]", "@bank [timeout:: 9m]"), SHIP]);
    let refused = "\
flow.md:9: Pay has started for o1 and another item and has changed:
    timeout: 5m → 9m
    + agent: bank
flow.md:18: Ship has started for o1 and has changed:
    -   echo \"ship $IN_PAID\" >> work.log
    +   echo \"send $IN_PAID\" >> work.log
error: the run cannot continue with flow.md as it is now; nothing was run
  help: only steps that have not started may change: restore the others, or leave out --use-current
";
    says(&place.orderflow("resume last --use-current"), 6, "", refused);

    change(&place, &[("## Pay", "## Pay It"), ("order::Integer", "order::Integer, coupon::String")]);
    let refused = "\
flow.md: Pay has started for o1 and another item and is gone; if it is called Pay It now, restore its title
flow.md:18: Ship has started for o1 and has changed:
    takes: paid::Integer, from Pay → paid::Integer, from PayIt
    after: Pay, whose data it needs → PayIt, whose data it needs
flow.md: o2 was admitted without what it needs now: `coupon`
error: the run cannot continue with flow.md as it is now; nothing was run
  help: only steps that have not started may change: restore the others, or leave out --use-current
";
    says(&place.orderflow("resume last --use-current"), 6, "", refused);
    assert_eq!(place.read("work.log"), log);
    place.write("flow.md", "# Nothing\n\n## Pay @\n");
    assert_eq!(place.orderflow("resume last --use-current").exit, Some(3));
    std::fs::remove_file(place.path("flow.md")).unwrap();
    assert_eq!(place.orderflow("resume last --use-current").exit, Some(74));
    assert_eq!(place.orderflow("resume last --quiet").exit, Some(0), "nothing of all that was kept");
}

#[test]
fn programs_that_are_new_need_a_grant_of_their_own() {
    let place = scene("2");
    change(&place, &[SHIP]);
    let told = place.orderflow("resume last --use-current");
    assert_eq!(told.exit, Some(4), "{}", told.err);
    assert!(told.err.contains("send $IN_PAID"), "{}", told.err);
    assert_eq!(place.orderflow("resume last --quiet").exit, Some(0), "the document of before has its grant");
    assert!(place.read("work.log").contains("ship 2"));
}

#[test]
fn several_documents_follow_on_one_another() {
    let place = scene("2 3");
    std::fs::remove_file(place.path("go")).unwrap();
    std::fs::remove_file(place.path("waiting")).unwrap();
    let first = ("## Pay", "## First [after:: start]\n\n```sh run\ntrue\n```\n\n## Pay");
    change(&place, &[first]);
    let mut command = place.command("resume last --use-current --trust --quiet");
    let mut runner = command.spawn().unwrap();
    place.await_file("waiting");
    runner.kill().unwrap();
    runner.wait().unwrap();
    place.write("go", "");
    change(&place, &[first, ("## First", "## Zero [after:: start]\n\n```sh run\ntrue\n```\n\n## First")]);
    let told = place.orderflow("resume last --use-current --trust");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let mut rows = place.rows("session.toon");
    rows.sort();
    assert_eq!(rows.len(), 8, "{rows:?}");
    assert_eq!(place.orderflow("show last --session again.toon").exit, Some(0));
    assert_eq!(place.read("again.toon"), place.read("session.toon"));
}

#[test]
fn only_a_part_is_compared_where_only_a_part_is_run() {
    let place = Place::new(DOCUMENT);
    let mut runner = place.begin("--quiet --only Pay --input order=2");
    place.await_file("waiting");
    runner.kill().unwrap();
    runner.wait().unwrap();
    place.write("go", "");
    change(&place, &[("## Ship\npaid", "## Send\norder, paid"), SHIP]);
    let told = place.orderflow("resume last --use-current");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(place.rows("session.toon"), ["Pay 1 #1 success"]);
}

#[test]
fn what_happened_must_be_possible_by_the_new_document() {
    let document = "\
# T

## Start
name::String → wanted::Boolean

```sh run
echo false
```

## Wrap [when:: wanted]
wanted → paper::String

```sh run
echo paper
```

## Tie
paper → ribbon::String

```sh run
echo ribbon
```

## Send
wanted, ribbon? → sent::String

```sh run
touch waiting
until test -e go; do sleep 0.02; done
echo sent
```
";
    let place = Place::new(document);
    let mut runner = place.begin("--quiet --input name=x");
    place.await_file("waiting");
    runner.kill().unwrap();
    runner.wait().unwrap();
    place.write("go", "");
    place.write("flow.md", &document.replace("paper → ribbon", "wanted → ribbon"));
    let refused = "\
flow.md:24: Send has started for 1, and waits for other steps now
error: the run cannot continue with flow.md as it is now; nothing was run
  help: only steps that have not started may change: restore the others, or leave out --use-current
";
    says(&place.orderflow("resume last --use-current"), 6, "", refused);
    place.write("flow.md", &document.replace("echo ribbon", "echo a ribbon"));
    assert_eq!(place.orderflow("resume last --use-current --trust --quiet").exit, Some(0));
}
