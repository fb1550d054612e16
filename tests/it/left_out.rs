//! Steps that did not run although their item succeeded are named with the reason, by run, show, stats and plan.

use crate::program::{Told, command, orderflow_reading, told};
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

/// A step that is skipped by its condition, and one that needs what it makes.
const REVIEW: &str = "\
# Review

## Review [when:: ok]
in::String, ok::Boolean → b::String

```sh run
echo reviewed
```

## Publish !
in, b → c::String

```sh run
echo published
```
";

fn run(folder: &TempDir, document: &str, items: &str, more: &[&str]) -> Told {
    fs::write(folder.path().join("w.md"), document).unwrap();
    fs::write(folder.path().join("items.jsonl"), items).unwrap();
    let mut command = command(folder.path());
    told(command.args(["run", "w.md", "--items", "items.jsonl", "--trust"]).args(more).output().unwrap())
}

fn orderflow(folder: &TempDir, args: &[&str]) -> Told {
    told(command(folder.path()).args(args).output().unwrap())
}

/// The lines that name what was left out.
fn named(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| line.contains("not run") || line.contains("by decisions"));
    lines.map(str::to_owned).collect()
}

#[test]
fn the_end_of_a_run_show_and_stats_name_a_step_that_vanished() {
    let folder = TempDir::new().unwrap();
    let items = "{\"id\": 1, \"in\": \"x\", \"ok\": false}\n{\"id\": 2, \"in\": \"y\", \"ok\": true}\n{\"id\": 3, \"in\": \"z\", \"ok\": false}\n";
    let ended = run(&folder, REVIEW, items, &[]);
    assert_eq!(ended.exit, Some(0), "{}", ended.err);
    let line = "Publish (critical): 2 not run, need b (Review was skipped)";
    assert_eq!(named(&ended.err), [line]);
    assert_eq!(named(&ended.out), [format!("left out       {line}")]);
    assert_eq!(named(&orderflow(&folder, &["show", "last"]).out), [format!("left out       {line}")]);
    let stats = orderflow(&folder, &["stats", "session.toon"]);
    assert_eq!(named(&stats.out), [format!("left out       {line}")]);
    let page = orderflow(&folder, &["stats", "session.toon", "--format", "markdown"]);
    let line = "- left out: `Publish` (critical): 2 not run, `need b (Review was skipped)`";
    assert_eq!(named(&page.out), [line]);
    let object = json!([{"phase": "Publish", "critical": true, "items": 2,
        "because": "needs b (Review was skipped)", "decided": false}]);
    let of = |text: &str, at: &str| serde_json::from_str::<Value>(text).unwrap().pointer(at).cloned();
    let stats = orderflow(&folder, &["stats", "session.toon", "--format", "json"]);
    assert_eq!(of(&stats.out, "/run/left_out"), Some(object.clone()));
    let shown = orderflow(&folder, &["show", "last", "--format", "json"]);
    assert_eq!(of(&shown.out, "/figures/run/left_out"), Some(object));
    // Two records together count both.
    let both = orderflow(&folder, &["stats", "session.toon", "session.toon"]);
    assert_eq!(
        named(&both.out),
        ["left out       Publish (critical): 4 not run, need b (Review was skipped)"]
    );
    // Quietly, it is named all the same.
    let quiet = run(&folder, REVIEW, "{\"id\": 1, \"in\": \"x\", \"ok\": false}\n", &["--quiet"]);
    let line = "  Publish (critical): 1 not run, needs b (Review was skipped)\n";
    assert!(quiet.err.starts_with("warning[runs-only-when]: ") && quiet.err.ends_with(line), "{}", quiet.err);
}

/// Runs a document for one item and says what is named at the end.
fn left_out(document: &str, item: &str) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let ended = run(&folder, document, &format!("{item}\n"), &[]);
    assert_eq!(ended.exit, Some(0), "{}{}", ended.out, ended.err);
    named(&ended.err)
}

const FENCE: &str = "\n```sh run\necho x\n```\n\n";

#[test]
fn what_follows_an_alternative_that_was_not_taken_is_named_shortly() {
    let document = format!(
        "# Orders\n\n## Check\nn::Integer → found::String\n\nIf n > 5 → Book\nOtherwise → Refuse\n{FENCE}\
         ## Book\nfound → booking::String\n{FENCE}## Refuse\nfound → refusal::String\n{FENCE}\
         ## Ship !\nbooking → parcel::String\n{FENCE}## Thank\nparcel → thanks::String\n{FENCE}"
    );
    assert_eq!(left_out(&document, "{\"n\": 1}"), ["left out by decisions: 1 Ship (critical), 1 Thank"]);
    assert_eq!(left_out(&document, "{\"n\": 9}"), [""; 0]);
    // A step that takes from both ways never runs.
    let both = format!("{document}## Send\nbooking, refusal → sent::String\n{FENCE}");
    let folder = TempDir::new().unwrap();
    let refused = run(&folder, &both, "{\"n\": 9}\n", &[]);
    assert_eq!(refused.exit, Some(3), "{}", refused.err);
    assert!(refused.err.starts_with("error[never-runs]: `Send` can never run: "), "{}", refused.err);
    // One that a decision leads to, and that lacks what the decision skipped.
    let skipping = format!(
        "# Orders\n\n## Check\nn::Integer → found::String\n\nIf n > 5 → skip to Send\n{FENCE}\
         ## Review\nfound → b::String\n{FENCE}## Send !\nb → sent::String\n{FENCE}"
    );
    assert_eq!(
        left_out(&skipping, "{\"n\": 9}"),
        ["Send (critical): 1 not run, needs b (Review was skipped)"]
    );
    // An item that is done early has left nothing out.
    let ends = format!(
        "# Orders\n\n## Check\nn::Integer → found::String\n\nIf n > 5 → end\n{FENCE}\
         ## Review\nfound → b::String\n{FENCE}"
    );
    assert_eq!(left_out(&ends, "{\"n\": 9}"), [""; 0]);
}

#[test]
fn a_chain_of_steps_and_an_optional_failure_are_followed() {
    let document = format!(
        "# Chain\n\n## A ?\nn::Integer → a::String\n\n```sh run\nexit 65\n```\n\n## B\na → b::String\n{FENCE}\
         ## C\nb, n → c::String\n{FENCE}"
    );
    assert_eq!(
        left_out(&document, "{\"n\": 1}"),
        ["B: 1 not run, needs a (A failed)", "C: 1 not run, needs b (B did not run)"]
    );
    // What a decision of a step that did not run leads to.
    let unled = format!(
        "# Unled\n\n## A ?\nn::Integer → a::String\n\nIf n > 0 → B\n\n```sh run\nexit 65\n```\n\n## B\nn → b::String\n{FENCE}"
    );
    assert_eq!(left_out(&unled, "{\"n\": 1}"), ["B: 1 not run, no decision led to it (A failed)"]);
}

#[test]
fn a_condition_of_its_own_is_asked_though_a_value_is_missing() {
    let folder = TempDir::new().unwrap();
    let document = format!(
        "# Defined\n\n## A [when:: ok]\nok::Boolean → x::String\n{FENCE}\
         ## With [when:: x is defined]\nx? → y::String\n{FENCE}\
         ## Without [when:: x is not defined]\nx?, ok → z::String\n{FENCE}\
         ## Late [when:: ok]\nx → w::String\n{FENCE}## Asks [when:: x == \"x\"]\nok → v::String\n{FENCE}"
    );
    let ended = run(&folder, &document, "{\"ok\": false}\n", &["--format", "json"]);
    assert_eq!(named(&ended.err), ["Asks: 1 not run, needs x (A was skipped) for its condition"]);
    let shown = orderflow(&folder, &["show", "last", "--item", "1", "--format", "json"]);
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    let steps = shown["steps"].as_array().unwrap();
    let steps: Vec<_> = steps.iter().map(|step| (step["step"].as_str(), step["status"].as_str())).collect();
    let skipped = Some("skipped");
    assert_eq!(
        steps,
        [
            (Some("A"), skipped),
            (Some("With"), skipped),
            (Some("Late"), skipped),
            (Some("Without"), Some("success")),
        ]
    );
}

#[test]
fn a_step_for_all_items_is_named_without_a_number() {
    let document = format!(
        "# Nightly\n\n## A\nn::Integer → a::Integer\n\n```sh run\necho 1\n```\n\n## Sum ? [per:: run]\na → sum::Integer\n\n```sh run\nexit 65\n```\n\n\
         ## Report [per:: run]\nsum → report::String\n{FENCE}"
    );
    assert_eq!(left_out(&document, "{\"n\": 1}"), ["Report: not run, needs sum (Sum failed)"]);
}

#[test]
fn plan_says_which_steps_may_not_run() {
    let shown = orderflow_reading(&["plan", "-"], REVIEW);
    let table = "\
may not run  needs  but
───────────────────────────────────────────
Publish !    b      Review runs only if ok
";
    assert!(shown.out.contains(table), "{}", shown.out);
    let plan = orderflow_reading(&["plan", "-", "--format", "json"], REVIEW);
    let plan: Value = serde_json::from_str(&plan.out).unwrap();
    let lacks = json!([{"value": "b", "makers": ["Review"], "because": "Review runs only if ok"}]);
    assert_eq!([&plan["steps"][0]["may_lack"], &plan["steps"][1]["may_lack"]], [&json!([]), &lacks]);
    // Alternatives that are complete leave nothing out, and what a decision leads to has what the decision took.
    let whole = format!(
        "# Orders\n\n## Check\nn::Integer → found::String\n\nIf n > 5 → Book\nOtherwise → Refuse\n{FENCE}\
         ## Book\nfound → outcome::String\n{FENCE}## Refuse\nfound → outcome::String\n{FENCE}\
         ## Mail\noutcome, found → mail::String\n{FENCE}"
    );
    assert!(!orderflow_reading(&["plan", "-"], &whole).out.contains("may not run"));
}
