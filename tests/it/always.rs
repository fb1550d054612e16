//! `[always]`: a step for all items that runs also after a run that failed, was stopped or was cancelled.

use crate::place::Place;
use crate::program::told;
use rustix::process::{Pid, Signal, kill_process};

/// *Pay* fails for the order 13 and waits for the order 99; *Sum Up* fails if there is a file `broken`.
const DOCUMENT: &str = "\
---
items: items.jsonl
jobs: 1
---

# Orders

## Pay
order::Integer → paid::String

```sh run
echo \"pay $IN_ORDER\" >> work.log
case $IN_ORDER in
  13) exit 65;;
  99) : > waiting; exec sleep 1000;;
esac
echo \"paid $IN_ORDER\"
```

## Sum Up [per:: run] !
paid → total::Integer

```sh run
echo sum >> work.log
test ! -e broken
echo 7
```

## Clean Up [per:: run] [always]
paid, total?, failed_orders? → cleaned::String

```python run
import json, os, sys, time
given = json.load(sys.stdin)
with open(\"work.log\", \"a\") as log:
    failed = [one[\"key\"] for one in given.get(\"failed_orders\", [])]
    log.write(f\"clean {given['paid']} {given.get('total')} {failed} {os.environ['ORDERFLOW_KEY']}\\n\")
if os.path.exists(\"slow\"):
    open(\"cleaning\", \"w\").close()
    time.sleep(1000)
print(\"clean\")
```
";

fn place(orders: &[u32]) -> Place {
    let place = Place::new(DOCUMENT);
    let items: Vec<String> =
        orders.iter().map(|order| format!("{{\"id\": \"o{order}\", \"order\": {order}}}")).collect();
    place.write("items.jsonl", &items.join("\n"));
    place
}

/// The log without idempotency keys.
fn log(place: &Place) -> Vec<String> {
    let line = |line: &str| match line.strip_prefix("clean ") {
        Some(rest) => format!("clean {}", rest.rsplit_once(' ').unwrap().0),
        None => line.to_owned(),
    };
    place.read("work.log").lines().map(line).collect()
}

#[test]
fn it_runs_once_in_a_run_that_succeeds() {
    let place = place(&[1, 2]);
    let told = place.run("--quiet");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(log(&place), ["pay 1", "pay 2", "sum", "clean ['paid 1', 'paid 2'] 7 []"]);
    let shown = place.orderflow("graph flow.md").out;
    assert!(shown.contains("once, after all items, always"), "{shown}");
    let plan = place.orderflow("plan flow.md").out;
    assert!(plan.contains("once, after all items, always"), "{plan}");
    let json: serde_json::Value =
        serde_json::from_str(&place.orderflow("plan flow.md --format json").out).unwrap();
    let always: Vec<&serde_json::Value> =
        json["steps"].as_array().unwrap().iter().filter(|step| step["always"] == true).collect();
    assert_eq!(always.len(), 1);
    assert_eq!(always[0]["title"], "Clean Up");
}

#[test]
fn it_runs_after_a_run_that_a_failed_item_stops() {
    let place = place(&[1, 13, 2]);
    let told = place.run("--on-item-error stop");
    assert_eq!(told.exit, Some(1), "{}", told.err);
    assert_eq!(log(&place), ["pay 1", "pay 13", "clean ['paid 1'] None ['o13']"]);
    assert!(told.err.contains("not run, since the run was stopped: the step `Sum Up`\n"), "{}", told.err);
    // Its trace fits the document.
    let told = place.orderflow("show last --write");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let told = place.orderflow("verify flow.md");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    // After the retry it cleans up again, with another key.
    place.write("flow.md", &DOCUMENT.replace("13) exit 65;;", ""));
    let told = place.orderflow("retry last --use-current --trust --quiet");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let lines = log(&place);
    assert_eq!(lines[3..], ["pay 13", "clean ['paid 1', 'paid 13'] None []"], "{lines:?}");
    let keys: Vec<String> = place
        .read("work.log")
        .lines()
        .filter(|line| line.starts_with("clean"))
        .map(|line| line.rsplit_once(' ').unwrap().1.to_owned())
        .collect();
    assert_ne!(keys[0], keys[1]);
}

/// No further items start, but nothing is stopped.
#[test]
fn it_runs_if_items_are_left() {
    let place = place(&[13, 1]);
    let told = place.run("--on-item-error drain");
    assert_eq!(told.exit, Some(1), "{}", told.err);
    assert_eq!(log(&place), ["pay 13", "clean [] None ['o13']"]);
    assert!(told.err.contains("not run, since items were left: the step `Sum Up`\n"), "{}", told.err);
}

#[test]
fn it_runs_after_a_critical_step_for_all_items_that_fails() {
    let place = place(&[1]);
    place.write("broken", "");
    let told = place.run("--quiet");
    assert_eq!(told.exit, Some(1), "{}", told.err);
    assert_eq!(log(&place), ["pay 1", "sum", "clean ['paid 1'] None []"]);
    let shown = place.orderflow("show last --item run").out;
    assert!(shown.contains("Clean Up: success\n"), "{shown}");
}

#[test]
fn it_runs_after_the_deadline_of_the_run() {
    let place = place(&[1, 99]);
    let told = place.run("--deadline 1s --quiet");
    assert_eq!(told.exit, Some(124), "{}", told.err);
    assert_eq!(log(&place), ["pay 1", "pay 99", "clean ['paid 1'] None []"]);
}

/// An interruption only pauses a run, which is then cancelled; the clean-up itself survives the death of its runner.
#[test]
fn it_does_not_run_in_a_paused_run_and_runs_in_a_cancelled_one() {
    let place = place(&[1, 99]);
    let run = place.begin("--quiet");
    place.await_file("waiting");
    kill_process(Pid::from_raw(run.id().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
    assert_eq!(told(run.wait_with_output().unwrap()).exit, Some(143));
    assert_eq!(log(&place), ["pay 1", "pay 99"]);
    place.write("slow", "");
    let mut cancel = place.command("cancel last").spawn().unwrap();
    place.await_file("cleaning");
    cancel.kill().unwrap();
    cancel.wait().unwrap();
    std::fs::remove_file(place.path("slow")).unwrap();
    let told = place.orderflow("cancel last");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    let clean = "clean ['paid 1'] None []";
    assert_eq!(log(&place), ["pay 1", "pay 99", clean, clean]);
    let lines: Vec<String> = place.read("work.log").lines().map(str::to_owned).collect();
    assert_eq!(lines[2], lines[3], "the key is the same");
    let runs = place.orderflow("runs").out;
    assert!(runs.contains("cancelled"), "{runs}");
}

#[test]
fn an_active_run_that_is_cancelled_cleans_up() {
    let place = place(&[1, 99]);
    let run = place.begin("--quiet");
    place.await_file("waiting");
    assert_eq!(place.orderflow("cancel last").exit, Some(0));
    assert_eq!(told(run.wait_with_output().unwrap()).exit, Some(1));
    assert_eq!(log(&place), ["pay 1", "pay 99", "clean ['paid 1'] None []"]);
}

/// What cleans up runs although the run may not spend more.
#[test]
fn it_runs_although_the_budget_of_the_run_is_spent() {
    let place = Place::new(
        "---\nrun-budget: 10 tokens\n---\n\n# Orders\n\n## Ask @asker\norder → answer::String\n\n\
         ## Sum Up @asker [per:: run]\nanswer → total::String\n\n\
         ## Clean Up @asker [per:: run] [always]\nanswer → cleaned::String\n",
    );
    place.write("orderflow.toml", "[agents.asker]\ncommand = [\"sh\", \"asker.sh\"]\n");
    place.write(
        "asker.sh",
        "echo \"$ORDERFLOW_STEP\" >> work.log\necho '{\"answer\": \"a\", \"cleaned\": \"c\", \"tokens_used\": 50}'\n",
    );
    let told = place.run("--input order=1 --quiet");
    assert_eq!(told.exit, Some(1), "{}", told.err);
    assert_eq!(place.read("work.log"), "Ask\nCleanUp\n");
}

/// It is shown where it runs, and not among what runs for failed items.
#[test]
fn plans_and_graphs_show_it_after_all_items() {
    let place = place(&[1]);
    let plan = place.orderflow("plan flow.md").out;
    assert!(plan.contains("\nlast   Clean Up "), "{plan}");
    assert!(plan.contains("Those of stage last run once after all items.\n"), "{plan}");
    assert!(!plan.contains("failed item."), "{plan}");
    let graph = place.orderflow("graph flow.md").out;
    assert!(graph.contains("\nafter all items\n\n◇  Clean Up\n"), "{graph}");
}
