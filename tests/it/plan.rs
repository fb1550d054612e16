//! `orderflow plan`: what a run would do, without doing it.

use crate::graph::DECISIONS;
use crate::place::Place;
use crate::program::{orderflow, orderflow_reading, told};
use snapbox::{assert_data_eq, str};

#[test]
fn the_original_order_workflow() {
    let told = orderflow(&["plan", "tests/fixtures/order-processing-original.md"]);
    assert_eq!((told.err.as_str(), told.exit), ("", Some(0)));
    assert_data_eq!(
        told.out,
        str![[r#"
E-Commerce Order Processing

inputs    order_request::JSON
items     one, from --input, or many, from --items
failures  no item may fail; a failed item does not stop the others
jobs      CPUs + 2 steps at a time

stage   step                    agent                 channel         done by
──────────────────────────────────────────────────────────────────────────────
1       Receive Order           order-api             orders          unbound
2       Check Inventory         inventory-service     warehouse       unbound
2       Process Payment !       payment-service       payments        unbound
3       Reserve Inventory !     inventory-service     warehouse       unbound
4       Create Shipment         fulfillment-service   warehouse       unbound
5       Notify Customer         notification-service  communications  unbound
failed  Handle Failed Orders ?  order-api             orders          unbound

The steps of one stage are parallel. Those of stage failed run once for each failed item.
7 of the 7 steps have no agent or program yet: bind agents in orderflow.toml, or add program fences.

"#]]
    );
}

const PROGRAMS: &str = "\
---
items: topics.jsonl
key: topic
jobs: 2
tolerate: 10%
on-item-error: drain
deadline: 10m
---
# Publish

## Write @author #desk [retry:: 3] [timeout:: 90s]
topic::String → text::String

```sh run
cat
```

## Print [retry:: 2 fixed 1s] [deadline:: 5m]
text → book

```python run
print()
```
";

#[test]
fn programs_limits_and_settings_are_seen() {
    assert_data_eq!(
        orderflow_reading(&["plan", "-"], PROGRAMS).out,
        str![[r#"
Publish

inputs    topic::String
items     topics.jsonl
failures  10% of the items may fail; after a failed item no further one starts
key       topic
jobs      2 steps at a time
deadline  10m an item

stage  step   agent   channel  limits                         done by
───────────────────────────────────────────────────────────────────────────────────────────────────────
1      Write  author  desk     retry 3, timeout 90s           sh program at line 14, needs a grant
2      Print  -       -        retry 2 fixed 1s, deadline 5m  python program at line 21, needs a grant

The steps of one stage are parallel.
Programs of the document run only after orderflow trust, with --trust, or with fences = true in orderflow.toml.

"#]]
    );
}

#[test]
fn what_the_operator_binds_comes_before_a_program_of_the_document() {
    let folder = tempfile::tempdir().unwrap();
    let document = folder.path().join("publish.md");
    std::fs::write(&document, PROGRAMS).unwrap();
    let settings = "fences = true\n[agents.author]\ncommand = [\"python3\", \"agents/author.py\"]\n";
    std::fs::write(folder.path().join("orderflow.toml"), settings).unwrap();
    let out = orderflow(&["plan", document.to_str().unwrap()]).out;
    let table: Vec<&str> = out.lines().skip_while(|line| !line.starts_with("stage")).collect();
    assert_data_eq!(
        table.join("\n"),
        str![[r#"
stage  step   agent   channel  limits                         done by
────────────────────────────────────────────────────────────────────────────────────────
1      Write  author  desk     retry 3, timeout 90s           python3 agents/author.py
2      Print  -       -        retry 2 fixed 1s, deadline 5m  python program at line 21

The steps of one stage are parallel.
The sh program of Write is not used: orderflow.toml binds author.
"#]]
    );
}

#[test]
fn the_order_workflow_of_the_repository_has_someone_for_every_step() {
    let told = orderflow(&["plan", "workflows/order-processing.md"]);
    assert_eq!((told.err.as_str(), told.exit), ("", Some(0)));
    assert!(!told.out.contains("unbound") && !told.out.contains("grant"), "{}", told.out);
}

#[test]
fn scripts_get_the_same() {
    let told = orderflow_reading(&["plan", "--format", "json", "-"], PROGRAMS);
    let plan: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    let rest = |key: &str| serde_json::to_string(&plan[key]).unwrap();
    assert_data_eq!(rest("inputs"), str![[r#"[{"name":"topic","type":"String"}]"#]]);
    assert_data_eq!(
        ["items", "key", "jobs", "tolerate", "on_item_error", "deadline_ms"].map(rest).join(" "),
        str![[r#""topics.jsonl" "topic" 2 "10%" "drain" 600000"#]]
    );
    assert_data_eq!(
        serde_json::to_string(&plan["steps"][0]).unwrap(),
        str![[
            r#"{"stage":1,"title":"Write","phase":"Write","kind":"forward","agent":"author","channel":"desk","mark":null,"per":"item","each":null,"state":null,"when":[],"decisions":[],"may_lack":[],"retry":{"retries":3,"backoff":"exponential","first_ms":1000,"most_ms":30000},"timeout_ms":90000,"deadline_ms":null,"by":{"kind":"fence","language":"sh","line":14,"granted":false},"replaces":null}"#
        ]]
    );
    assert_data_eq!(
        serde_json::to_string(&plan["steps"][1]["retry"]).unwrap(),
        str![[r#"{"retries":2,"backoff":"fixed","pause_ms":1000}"#]]
    );
}

const SHOP: &str = "\
---
env: [PAPER, SHELF]
secrets: [PRESS_KEY]
---
# Print

## Write @author
topic::String → text::String

## Print @press
text → book::String

```sh run
cat
```

## Read @reader
book → read::String
";

const SETTINGS: &str = "\
fences = true
[agents.author]
command = [\"cat\"]
env = [\"INK\"]
secrets = { DESK = \"file:desk.key\", DRAWER = \"file:drawer.key\" }
[agents.press]
secrets = [\"PRESS_KEY\", \"UNASKED\"]
[agents.reader]
command = [\"cat\"]
";

fn shop() -> Place {
    let place = Place::new(SHOP);
    place.write("orderflow.toml", SETTINGS);
    place.write("desk.key", "oak");
    place
}

#[test]
fn who_gets_which_names_is_told_and_which_are_not_there() {
    let place = shop();
    let plan = |more: &str| {
        let mut command = place.command(&format!("plan flow.md{more}"));
        told(command.env("SHELF", "").env("PRESS_KEY", "brass").env("UNASKED", "1").output().unwrap())
    };
    let out = plan("").out;
    let end = out.split_once("parallel.\n").unwrap().1;
    assert_data_eq!(
        end,
        str![[r#"

agent   environment           secrets
───────────────────────────────────────────────────
author  INK (unset)           DESK, DRAWER (unset)
press   PAPER (unset), SHELF  PRESS_KEY

Nothing runs before all secrets are there.

"#]]
    );
    assert!(!out.contains("brass") && !out.contains("oak"));
    let json: serde_json::Value = serde_json::from_str(&plan(" --format json").out).unwrap();
    assert_data_eq!(
        serde_json::to_string(&json["given"][0]).unwrap(),
        str![[
            r#"{"agent":"author","env":[{"name":"INK","set":false}],"secrets":[{"name":"DESK","set":true},{"name":"DRAWER","set":false}]}"#
        ]]
    );
}

#[test]
fn what_is_not_set_is_told_before_a_run() {
    let place = shop();
    let run = |more: &str| {
        let mut command = place.command(&format!("run flow.md --input topic=Ink{more}"));
        told(command.env("PRESS_KEY", "brass").env("UNASKED", "1").output().unwrap())
    };
    let stopped = run("");
    assert_eq!(stopped.exit, Some(3), "{}", stopped.err);
    assert!(stopped.err.contains("author: DRAWER cannot be read"), "{}", stopped.err);
    place.write("drawer.key", "pine");
    let done = run("");
    let warnings = "\
warning: INK is not set in the environment; @author goes without
warning: PAPER, SHELF are not set in the environment; @press goes without
";
    assert!(done.err.starts_with(warnings), "{}", done.err);
    assert_eq!((done.exit, run(" --quiet").err.as_str()), (Some(0), ""));
    let part = run(" --only Write");
    assert!(part.err.contains("INK") && !part.err.contains("PAPER"), "{}", part.err);
    place.write("orderflow.toml", &place.read("orderflow.toml").replace("\"INK\"", "\"INK?\""));
    assert!(!run(" --only Write").err.contains("INK"));
}

#[test]
fn decisions_and_states_are_seen() {
    assert_data_eq!(
        orderflow_reading(&["plan", "-"], DECISIONS).out,
        str![[r#"
Orders

inputs    order::JSON
items     one, from --input, or many, from --items
failures  no item may fail; a failed item does not stop the others
jobs      CPUs + 2 steps at a time

stage  step           agent      channel  state           done by
──────────────────────────────────────────────────────────────────
1      Check Stock    warehouse  -                        unbound
2      Take Payment   bank       -        pending → paid  unbound
3      Add Gift ?     warehouse  -                        unbound
3      Tell Customer  mailer     -        paid            unbound

step          if                 then
───────────────────────────────────────────────────────
Check Stock   stock.left >= 1    Take Payment
              stock.gone         end
              otherwise          fail "out of stock"
Take Payment  outcome == "slow"  skip to Tell Customer
Add Gift      order.total > 100  it runs

The steps of one stage are parallel.
4 of the 4 steps have no agent or program yet: bind agents in orderflow.toml, or add program fences.

"#]]
    );
    let told = orderflow_reading(&["plan", "--format", "json", "-"], DECISIONS);
    let plan: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    let step = &plan["steps"][1];
    assert_data_eq!(
        format!("{} {}", step["decisions"], step["state"]),
        str![[
            r#"[[{"if":"outcome == /"slow/"","then":"skip","to":"TellCustomer","reason":null}]] {"from":["pending"],"to":"paid"}"#
        ]]
    );
}

#[test]
fn a_program_that_is_not_used_is_told() {
    let place = Place::new(
        "# T\n\n## Write @author\ntopic → text\n\n```sh run\ncat\n```\n\n## Print\ntext → book\n\n```sh run\ncat\n```\n",
    );
    let note = "The sh program of Write is not used: orderflow.toml binds author.\n";
    assert!(!place.orderflow("plan flow.md").out.contains("is not used"));
    place.write("orderflow.toml", "[agents.author]\ncommand = [\"cat\"]\n");
    let told = place.orderflow("plan flow.md");
    assert!(told.out.contains(note) && told.out.matches("is not used").count() == 1, "{}", told.out);
    let plan: serde_json::Value =
        serde_json::from_str(&place.orderflow("plan flow.md --format json").out).unwrap();
    let replaces: Vec<_> =
        plan["steps"].as_array().unwrap().iter().map(|step| step["replaces"].as_str()).collect();
    assert_eq!(replaces, [Some("sh"), None]);
}

/// One of the two makers always runs.
#[test]
fn a_step_behind_conditions_of_which_one_is_true_always_runs() {
    let document = |other: &str| {
        format!(
            "# T\n\n## Sort @a\nmail::String → urgent::Boolean\n\n## Answer @a [when:: not urgent]\nmail → letter::String\n\n\
             ## Call @a [when:: {other}]\nmail → letter::String\n\n## File @a\nletter → stored::Boolean\n"
        )
    };
    for (other, missing) in [("urgent", false), ("urgent and mail != \"\"", true)] {
        let told = orderflow_reading(&["plan", "-"], &document(other));
        assert_eq!(told.exit, Some(0), "{}", told.err);
        assert_eq!(told.out.contains("may not run"), missing, "{}", told.out);
    }
}
