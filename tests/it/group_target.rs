//! `If … → Group`, `Otherwise → Group` and `skip to Group`: decisions about all steps of a group.

use crate::place::{Place, says};
use snapbox::{assert_data_eq, str};

const ORDERS: &str = "\
# Orders

## Check
n::Integer → total::Integer

If n > 5 → Checks
Otherwise → Delivery

```sh run
echo check >> log
echo \"$IN_N\"
```

## Checks (parallel)

### Lint

```sh run
echo lint >> log
```

### Deep

#### Probe
total → found::Integer

If found > 7 → Dig

```sh run
echo probe >> log
echo \"$IN_TOTAL\"
```

#### Dig

```sh run
echo dig >> log
```

#### Fill

```sh run
echo fill >> log
```

## Delivery [when:: n < 3]

### Pack

```sh run
echo pack >> log
```

### Ship

```sh run
echo ship >> log
```
";

/// What the steps of a run wrote, sorted: parallel ones write in any order.
fn done(place: &Place, args: &str) -> Vec<String> {
    place.write("log", "");
    let told = place.run(args);
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    let mut lines: Vec<String> = place.read("log").lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_decision_leads_to_all_steps_of_a_group_or_to_none() {
    let place = Place::new(ORDERS);
    assert_eq!(done(&place, "--quiet --input n=9"), ["check", "dig", "fill", "lint", "probe"]);
    let rows = place.rows("session.toon");
    let skipped: Vec<&String> = rows.iter().filter(|row| row.ends_with("skipped")).collect();
    assert_eq!(skipped, ["Pack 1 #0 skipped", "Ship 1 #0 skipped"]);
    // Within the group a decision leads to one of its steps, and to that one alone.
    assert_eq!(done(&place, "--quiet --input n=6"), ["check", "fill", "lint", "probe"]);
    // The group's own condition holds besides.
    assert_eq!(done(&place, "--quiet --input n=4"), ["check"]);
    assert_eq!(done(&place, "--quiet --input n=2"), ["check", "pack", "ship"]);
    let left_out = "    Dig,false,1,no decision led to it (Probe was skipped),true";
    assert!(place.read("session.toon").contains(left_out), "{}", place.read("session.toon"));
    let shown = place.orderflow("show last").out;
    assert!(shown.contains("\nleft out       by decisions: 1 Dig\n"), "{shown}");
    assert_eq!(place.orderflow("validate --strict flow.md").exit, Some(0));
}

/// What the decision waits for fails optionally: then nothing leads to the group, and each step's reason says so.
#[test]
fn a_decider_that_did_not_run_is_named_for_each_step_of_the_group() {
    let text = "# T\n\n## Look [when:: n > 5]\nn::Integer → a\n\nIf n > 7 → Both\n\n```sh run\necho a\n```\n\n\
        ## Both\n\n### One\n\n```sh run\ntrue\n```\n\n### Two\n\n```sh run\ntrue\n```\n\n\
        ## Last\n\n```sh run\ntrue\n```\n";
    let place = Place::new(text);
    assert_eq!(done(&place, "--quiet --input n=1"), [""; 0]);
    assert_eq!(place.rows("session.toon"), ["Look 1 #0 skipped", "Last 1 #1 success"]);
    let trace = place.read("session.toon");
    for step in ["One", "Two"] {
        let left_out = format!("    {step},false,1,no decision led to it (Look was skipped),true\n");
        assert!(trace.contains(&left_out), "{trace}");
    }
}

#[test]
fn a_decision_skips_to_a_group() {
    let text = "# T\n\n## Look\nn::Integer → a\n\nIf n > 5, skip to Both\n\n```sh run\necho look >> log; echo a\n```\n\n\
        ## Between\n\n### Early\n\n```sh run\necho early >> log\n```\n\n## Late\n\n```sh run\necho late >> log\n```\n\n\
        ## Both (parallel)\n\n### One [after:: start]\n\n```sh run\necho one >> log\n```\n\n\
        ### Two\n\n```sh run\necho two >> log\n```\n\n### Three [after:: Two]\n\n```sh run\necho three >> log\n```\n";
    let place = Place::new(text);
    assert_eq!(done(&place, "--quiet --input n=1"), ["early", "late", "look", "one", "three", "two"]);
    assert_eq!(done(&place, "--quiet --input n=9"), ["look", "one", "three", "two"]);
    // The steps with which the group begins wait for the decision, the others for them.
    let graph = place.orderflow("graph flow.md --format json").out;
    let graph: serde_json::Value = serde_json::from_str(&graph).unwrap();
    let edges = graph["edges"].as_array().unwrap().iter();
    let edges: Vec<String> = edges
        .map(|edge| format!("{} {}", edge["from"].as_str().unwrap(), edge["to"].as_str().unwrap()))
        .collect();
    assert_eq!(
        edges,
        ["Look Early", "Look Late", "Early Late", "Look One", "Look Two", "Late Two", "Two Three"]
    );
    assert_eq!(
        graph["steps"][0]["decisions"].to_string(),
        r#"[[{"if":"n > 5","then":"skip","to":null,"reason":null,"group":"Both"}]]"#
    );
    let told = place.orderflow("graph flow.md --format mermaid").out;
    let lines: Vec<&str> = told.lines().filter(|line| line.contains("->") && line.contains("s0")).collect();
    assert_eq!(
        lines,
        ["    v0 --> s0", "    s0 -.->|\"If n #62; 5, skip\"| g1", "    s0 -.-> s1", "    s0 -.-> s2"]
    );
    assert!(place.orderflow("plan flow.md").out.contains("\nLook  n > 5  skip to Both\n"));
}

#[test]
fn plan_and_graph_show_the_group() {
    let place = Place::new(ORDERS);
    let plan = place.orderflow("plan flow.md").out;
    let decided = &plan[plan.find("step   if").unwrap()..plan.find("\nThe steps of one").unwrap()];
    assert_data_eq!(
        decided,
        str![[r#"
step   if         then
───────────────────────────
Check  n > 5      Checks
       otherwise  Delivery
Probe  found > 7  Dig
Pack   n < 3      it runs
Ship   n < 3      it runs

"#]]
    );
    assert_data_eq!(
        place.orderflow("graph flow.md").out,
        str![[r#"
Orders
7 steps in 4 stages, from n

○          Check
├─┬─┬─┬─╮  n → total
╷ │ ╷ ╷ ╷  If n > 5 → Checks
╷ │ ╷ ╷ ╷  Otherwise → Delivery
○ │ ╷ ╷ ╷  Lint
  │ ╷ ╷ ╷
  ○ ╷ ╷ ╷  Probe
  ╷ ╷ ╷ ╷  total → found
  ╷ ╷ ╷ ╷  If found > 7 → Dig
  ○ ╷ ╷ ╷  Dig
  ├─╯ ╷ ╷
  ╷   ╷ ╷
  ○   ╷ ╷  Fill
      ╷ ╷
      ○ ╷  Pack
      ├─╯  when n < 3
      ╷
      ○  Ship
         when n < 3

"#]]
    );
    assert_data_eq!(
        place.orderflow("graph flow.md --format mermaid").out,
        str![[r#"
flowchart TD
    v0[/"n"/]:::input
    s0["Check"]
    subgraph g0["Checks"]
        s1["Lint"]
        subgraph g1["Deep"]
            s2["Probe"]
            s3["Dig"]
            s4["Fill"]
        end
    end
    subgraph g2["Delivery"]
        s5["Pack<br/>when n #60; 3"]
        s6["Ship<br/>when n #60; 3"]
    end
    v0 --> s0
    s0 -.->|"If n #62; 5"| g0
    s0 -.->|"Otherwise"| g2
    s0 -->|"total"| s2
    s2 -.->|"If found #62; 7"| s3
    s3 -.-> s4
    s5 -.-> s6
    classDef input fill:none,stroke-dasharray:2 2
    classDef critical stroke-width:3px
    classDef optional stroke-dasharray:6 4
    classDef handler stroke-dasharray:6 4,stroke-width:2px

"#]]
    );
    let told = place.orderflow("graph flow.md --format json").out;
    let graph: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_data_eq!(
        graph["steps"][0]["decisions"].to_string(),
        str![[
            r#"[[{"if":"n > 5","then":"step","to":null,"reason":null,"group":"Checks","steps":["Lint","Probe","Fill"]},{"if":null,"then":"step","to":null,"reason":null,"group":"Delivery","steps":["Pack","Ship"]}]]"#
        ]]
    );
    let told = place.orderflow("plan flow.md --format json").out;
    let plan: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(plan["steps"][0]["decisions"], graph["steps"][0]["decisions"]);
}

/// What all ways make is certain, also where a decision within the group leads to the step that takes it.
#[test]
fn plan_knows_what_a_group_makes() {
    let text = "# T\n\n## Look @x\nn::Integer → a\n\nIf n > 5 → Both\nOtherwise → Other\n\n\
        ## Both\n\n### One @x\na → made\n\nIf made → Two\n\n### Side @x\na → side\n\n\
        ### Two @x\nmade, side → two\n\n## Other @x\na → made\n\n## Last @x\nmade → last\n";
    let place = Place::new(text);
    let plan = place.orderflow("plan flow.md").out;
    assert!(!plan.contains("may not run"), "{plan}");
    assert!(plan.contains("\nLook  n > 5      Both\n"), "{plan}");
    let place = Place::new(&text.replace("Otherwise → Other\n", "Otherwise → end\n"));
    assert_eq!(place.orderflow("plan flow.md").exit, Some(3));
}

#[test]
fn parts_of_a_document_decide_on_what_is_left_of_a_group() {
    let place = Place::new(ORDERS);
    assert_eq!(done(&place, "--quiet --only Lint --input n=1"), ["lint"]);
    assert_eq!(done(&place, "--quiet --only Check --only Lint --input n=1"), ["check"]);
    assert_eq!(done(&place, "--quiet --only Check --only Lint --input n=9"), ["check", "lint"]);
    assert_eq!(done(&place, "--quiet --only Check --input n=9"), ["check"]);
    assert_eq!(done(&place, "--quiet --from Probe --input n=9 --input total=3"), ["fill", "probe"]);
    assert_eq!(done(&place, "--quiet --from Check --input n=2"), ["check", "pack", "ship"]);
}

const CLAIMS: &str = "\
# Claims

## Assess
n::Integer → damage::Integer

If n > 5 → Inspection
Otherwise → fail \"small\"

```sh run
echo assess >> log
echo \"$IN_N\"
```

## Inspection

### Visit [compensate:: Cancel]
damage → report::String

```sh run
echo visit >> log
echo seen
```

### Sign
report → signed::String

```sh run
echo sign >> log
test -e pen || exit 65
echo signed
```

### Cancel
report → cancelled::Boolean

```sh run
echo cancel >> log
echo true
```

### Look After Failed ?
failed_orders → retry_later::Boolean

```sh run
echo failed >> log
echo false
```
";

/// Compensations and handlers in a group are nothing to decide on.
#[test]
fn a_group_that_was_decided_on_is_compensated() {
    let place = Place::new(CLAIMS);
    let told = place.run("--quiet --input n=9");
    assert_eq!(told.exit, Some(1), "{}{}", told.out, told.err);
    let first = place.read("log");
    assert_eq!(first, "assess\nvisit\nsign\ncancel\nfailed\n");
    place.write("pen", "");
    let told = place.orderflow("retry last --trust --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    assert_eq!(place.read("log")[first.len()..], *"assess\nvisit\nsign\n");
    // A decision that fails the step leads to no group.
    place.write("log", "");
    assert_eq!(place.run("--quiet --input n=1").exit, Some(1));
    assert_eq!(place.read("log"), "assess\nfailed\n");
}

/// What follows one group only is left out by the decision where that leads to the other.
#[test]
fn what_follows_an_alternative_of_groups_is_named_shortly() {
    let fence = "\n```sh run\necho x\n```\n\n";
    let text = format!(
        "# T\n\n## Look\nn::Integer → found::String\n\nIf n > 5 → Booking\nOtherwise → Refusing\n{fence}\
         ## Booking\n\n### Book\nfound → booking::String\n{fence}### Note\nfound → note::String\n{fence}\
         ## Refusing\n\n### Refuse\nfound → refusal::String\n{fence}\
         ## Ship !\nbooking → parcel::String\n{fence}## Thank\nparcel → thanks::String\n{fence}"
    );
    let place = Place::new(&text);
    let told = place.run("--input n=1");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert!(told.err.contains("left out by decisions: 1 Ship (critical), 1 Thank\n"), "{}", told.err);
    assert!(!place.run("--input n=9").err.contains("left out"));
    let both = format!("{text}## Send\nbooking, refusal → sent::String\n{fence}");
    let told = Place::new(&both).orderflow("validate flow.md");
    assert!(told.out.starts_with("error[never-runs]: `Send` can never run: "), "{}", told.out);
}

/// A step that joins the group later is led to by the decision that was made.
#[test]
fn a_group_that_has_grown_goes_on_with_its_decision() {
    let text = ORDERS.replace("echo fill >> log", "echo fill >> log\ntest -e pen || exit 65");
    let place = Place::new(&text);
    assert_eq!(place.run("--quiet --input n=6").exit, Some(1));
    place.write("pen", "");
    place.write("log", "");
    let more = "### More\n\n```sh run\necho more >> log\n```\n\n## Delivery [";
    place.write("flow.md", &text.replace("## Delivery [", more));
    let told = place.orderflow("retry last --use-current --trust --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    let mut lines: Vec<String> = place.read("log").lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["fill", "more"]);
}

/// A retry goes on below the decision that was made.
#[test]
fn a_failed_step_of_a_group_is_retried() {
    let place = Place::new(&ORDERS.replace("echo fill >> log", "echo fill >> log\ntest -e pen || exit 65"));
    assert_eq!(place.run("--quiet --input n=6").exit, Some(1));
    place.write("pen", "");
    place.write("log", "");
    let told = place.orderflow("retry last --trust --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    assert_eq!(place.read("log"), "fill\n");
}

#[test]
fn a_run_that_was_killed_within_a_group_goes_on_there() {
    let slow = ORDERS.replace("echo fill >> log", "echo fill >> log\ntouch begun\ntest -e go || sleep 60");
    let place = Place::new(&slow);
    let mut runner = place.begin("--quiet --input n=6");
    place.await_file("begun");
    runner.kill().unwrap();
    runner.wait().unwrap();
    place.write("go", "");
    place.write("log", "");
    let told = place.orderflow("resume last --trust --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    assert_eq!(place.read("log"), "fill\n");
    let mut rows = place.rows("session.toon");
    rows.sort();
    assert_data_eq!(
        rows.join("\n"),
        str![[r#"
Check 1 #1 success
Dig 1 #0 skipped
Fill 1 #1 success
Lint 1 #1 success
Pack 1 #0 skipped
Probe 1 #1 success
Ship 1 #0 skipped
"#]]
    );
}

#[test]
fn records_are_held_against_decisions_about_groups() {
    let place = Place::new(ORDERS);
    assert_eq!(place.run("--quiet --write --input n=1").exit, Some(0));
    let told = place.orderflow("verify flow.md");
    says(&told, 0, "", "flow.md: 6 rows of 1 item, no difference\n");
    let text = place.read("flow.md");
    let wrong =
        text.replace("  Fill,null,null,null,null,null,skipped,", "  Fill,null,null,null,null,5,success,");
    assert_ne!(wrong, text);
    place.write("flow.md", &wrong);
    let told = place.orderflow("verify flow.md");
    assert_eq!(told.exit, Some(1), "{}", told.out);
    assert!(told.out.starts_with("error[row-branch]: `Fill` cannot have run for "), "{}", told.out);
    assert!(told.out.contains(": the condition of `Check` leads elsewhere\n"), "{}", told.out);
}

/// As many orders as a document may have, and no more memory than for those.
#[test]
fn decisions_about_groups_have_a_limit() {
    let mut text = "# T\n\n".to_owned();
    for n in 0..2000 {
        text += &format!("## d {n} @x [after:: start]\nv → d{n}\n\nIf v → A\nOtherwise → skip to A\n\n");
    }
    text += "## A (parallel)\n\n";
    (0..2000).for_each(|n| text += &format!("### a {n} @x\n\n"));
    let place = Place::new(&text);
    let told = place.orderflow("validate flow.md");
    assert_eq!(told.exit, Some(3));
    assert!(told.out.contains("error[too-many-orders]"), "{told:?}");
}
