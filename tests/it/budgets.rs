//! Budgets: what a document may spend is enforced over attempts, sessions and retries, and shown.

use crate::place::{Place, says};
use serde_json::{Value, json};

/// Each question costs 600 tokens and 3 cents; the second item fails once.
const DOCUMENT: &str = "---
items: items.jsonl
jobs: 1
budget: 2,000 tokens, $5
run-budget: $0.14
tolerate: 100%
---

# Questions

## Ask @asker [retry:: 3 fixed 1ms] [budget:: 1,000 tokens]
question::String → answer::String

## Check
answer → words::Integer

```sh run
echo 1
```
";

const ASKER: &str = r#"echo "$IN_QUESTION $ORDERFLOW_ATTEMPT $ORDERFLOW_BUDGET" >> asked
spent='"tokens_used": 600, "cost_usd": 0.03'
case $IN_QUESTION in
  bad) echo "{\"error\": {\"message\": \"busy\"}, $spent}";;
  *) echo "{\"answer\": \"yes\", $spent}";;
esac
"#;

fn place(items: &[&str]) -> Place {
    let place = Place::new(DOCUMENT);
    place.write("orderflow.toml", "fences = true\n[agents.asker]\ncommand = [\"sh\", \"asker.sh\"]\n");
    place.write("asker.sh", ASKER);
    let item = |(index, question): (usize, &&str)| {
        json!({"id": format!("q{index}"), "question": question}).to_string()
    };
    place.write("items.jsonl", &items.iter().enumerate().map(item).collect::<Vec<_>>().join("\n"));
    place
}

#[test]
fn a_run_stops_at_its_budget_in_all_sessions() {
    let place = place(&["good"; 6]);
    let told = place.orderflow("run flow.md --format json");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let expected = "6 items: 4 succeeded, 2 failed
  spent $0.15 of $0.14 and 3,000 tokens
  q4: Check: the run's budget is spent: $0.15 of $0.14
  q5: Ask: the run's budget is spent: $0.15 of $0.14
";
    assert!(told.err.contains(expected), "{}", told.err);
    let result: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(result["spent"], json!({"tokens": 3000, "usd": 0.15}));
    assert_eq!(result["budget"], json!({"tokens": null, "usd": 0.14}));
    assert_eq!(result["unavailable"], json!([]));
    let left = |usd: &str| format!("good 1 {{\"tokens\":1000,\"usd\":{usd}}}\n");
    let asked: String = ["0.14", "0.11", "0.08", "0.05", "0.02"].map(left).concat();
    assert_eq!(place.read("asked"), asked);

    // What is spent stays spent.
    let told = place.orderflow("retry last");
    assert!(told.err.contains("q5: Ask: the run's budget is spent: $0.15 of $0.14"), "{}", told.err);
    assert_eq!(place.read("asked"), asked);
    let shown = place.orderflow("show last").out;
    assert!(shown.contains("\nspent      $0.15 of $0.14 and 3,000 tokens\n"), "{shown}");
    let shown: Value = serde_json::from_str(&place.orderflow("show last --format json").out).unwrap();
    assert_eq!(shown["spent"], json!({"tokens": 3000, "usd": 0.15}));
    assert_eq!(shown["budget"], json!({"tokens": null, "usd": 0.14}));
    let item: Value =
        serde_json::from_str(&place.orderflow("show last --item q5 --format json").out).unwrap();
    assert_eq!(item["error"]["code"], "budget");

    // Its executions fit the document.
    let told = place.orderflow("show last --write");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let told = place.orderflow("verify flow.md");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
}

#[test]
fn what_failed_attempts_spend_counts() {
    let place = place(&["bad"]);
    let told = place.orderflow("run flow.md");
    let expected = "1 item: 0 succeeded, 1 failed
  spent $0.06 of $0.14 and 1,200 tokens
  q0: Ask: busy; not retried: the step's budget is spent: 1,200 of 1,000 tokens
";
    assert!(told.err.contains(expected), "{}", told.err);
    let asked = "bad 1 {\"tokens\":1000,\"usd\":0.14}\nbad 2 {\"tokens\":400,\"usd\":0.11}\n";
    assert_eq!(place.read("asked"), asked);
}

/// A budget says nothing of what a step does, so it may be raised while a run waits.
#[test]
fn a_larger_budget_lets_a_retry_go_on() {
    let place = place(&["good"; 6]);
    place.orderflow("run flow.md --quiet");
    place.write("flow.md", &DOCUMENT.replace("run-budget: $0.14", "run-budget: $1"));
    let told = place.orderflow("retry last --use-current");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert!(
        told.err.contains("6 items: 6 succeeded\n  spent $0.18 of $1.00 and 3,600 tokens\n"),
        "{}",
        told.err
    );
}

#[test]
fn a_plan_says_what_may_be_spent() {
    let place = place(&[]);
    let told = place.orderflow("plan flow.md");
    assert!(told.out.contains("budget    2,000 tokens and $5.00 an item, $0.14 the run\n"), "{}", told.out);
    assert!(told.out.contains("retry 3 fixed 1ms, budget 1,000 tokens"), "{}", told.out);
    let plan: Value = serde_json::from_str(&place.orderflow("plan flow.md --format json").out).unwrap();
    assert_eq!(plan["budget"], json!({"tokens": 2000, "usd": 5}));
    assert_eq!(plan["run_budget"], json!({"tokens": null, "usd": 0.14}));
    assert_eq!(plan["steps"][0]["budget"], json!({"tokens": 1000, "usd": null}));
    assert_eq!(plan["steps"][1]["budget"], Value::Null);
}

const GROUP: &str = "# Letters

## Reviews [budget:: $0.50]

### Draft @writer
name::String → draft::String

### Check @sorter [budget:: 100 tokens]
draft → checked::Boolean
";

#[test]
fn a_model_without_a_price_is_named_where_a_budget_is_in_dollars() {
    let place = Place::new(GROUP);
    let models = "[agents.writer]\nmodel = \"local/small\"\n[agents.sorter]\nmodel = \"openrouter/a\"\n";
    let settings = |price: &str| {
        let provider = format!("[providers.local]\nurl = \"http://127.0.0.1:9/v1\"\n{price}\n");
        place.write("orderflow.toml", &(provider + models));
    };
    settings("");
    let told = place.orderflow("validate flow.md");
    let expected =
        "warning[unpriced-budget]: this budget is in dollars, and the model of `writer` has no price";
    assert_eq!(told.exit, Some(0));
    assert!(told.out.contains(expected), "{}", told.out);
    let told = place.orderflow("plan flow.md");
    assert!(told.err.contains(expected) && told.out.contains("budget of Reviews: $0.50"), "{}", told.out);
    let told = place.command("run flow.md --quiet --input name=Ada").env("OPENROUTER_API_KEY", "k").output();
    let told = crate::program::told(told.unwrap());
    let expected = "Draft failed: the budget is in dollars, and the price of `small` is unknown: \
        set `price` of its provider in orderflow.toml";
    assert!(told.err.contains(expected), "{}", told.err);
    settings("price = { input = 0, output = 0 }");
    let told = place.orderflow("validate flow.md");
    assert_eq!((told.out.as_str(), told.err.as_str()), ("", "flow.md: 2 steps, no problems\n"));
}

#[test]
fn a_coding_agent_without_costs_is_named_where_a_budget_is_in_dollars() {
    let place = Place::new(GROUP);
    for (way, warns) in [
        ("preset = \"codex\"", true),
        ("preset = \"codex\"\nmode = \"headless\"", true),
        ("preset = \"gemini\"", true),
        ("acp = [\"/opt/bin/gemini\", \"--acp\"]", true),
        ("preset = \"claude\"", false),
        ("preset = \"opencode\"", false),
        ("acp = [\"other\"]", false),
    ] {
        place.write("orderflow.toml", &format!("[agents.writer]\n{way}\n"));
        let told = place.orderflow("validate flow.md");
        let expected = "warning[unpriced-budget]: this budget is in dollars, and the coding agent `writer` reports no cost";
        assert_eq!((told.exit, told.out.contains(expected)), (Some(0), warns), "{way}: {}", told.out);
    }
}

/// Stubs spend nothing.
#[test]
fn a_run_of_stubs_says_nothing_about_spending() {
    let place = Place::new("# T\n\n## A @a [budget:: 100 tokens]\na::String → b::String\n");
    let told = place.orderflow("run flow.md --input a=1 --stub");
    let expected = "1 item: 1 succeeded\nstubbed: the step A\ntrace written to session.toon\nrun [..]: orderflow show [..]\n";
    says(&told, 0, &told.out, expected);
    let shown = place.orderflow("show last");
    assert!(!shown.out.contains("spent"), "{}", shown.out);
}
