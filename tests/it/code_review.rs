//! The example of a code review: three reviewers side by side and an editor, with the stand-in that its settings bind, and
//! with four real coding agents.

use crate::coding::{Opencode, commit_all, git};
use crate::place::Place;
use crate::program::told;
use crate::python::path;
use crate::workflows::workflows;
use serde_json::{Value, json};

const CHANGE: &str = "--- a/shop/pay.py\n+++ b/shop/pay.py\n@@ -10,2 +10,4 @@ def pay(order):\n     total = order.total\n\
    +    if order.card == None:\n+        subprocess.run(\"pay \" + order.name, shell=True)\n     return total\n";

fn run(place: &Place, document: &str) {
    place.write("a.diff", CHANGE);
    let mut command = place.command(&format!("run {document} --quiet --input change=@a.diff"));
    let told = told(command.env("PATH", path()).output().unwrap());
    assert_eq!(told.exit, Some(0), "{}", told.err);
}

/// The only attempt of each step, by its phase.
fn attempts(place: &Place, run: &str) -> Vec<(String, Value)> {
    let shown = place.orderflow(&format!("show {run} --item 1 --format json"));
    let shown: Value = serde_json::from_str(&shown.out).unwrap_or_else(|_| panic!("{}", shown.err));
    let steps = shown["steps"].as_array().unwrap().clone();
    steps
        .iter()
        .map(|step| (step["phase"].as_str().unwrap().to_owned(), step["attempts"][0].clone()))
        .collect()
}

fn last_run(place: &Place, folder: &str) -> String {
    let runs = std::fs::read_dir(place.path(folder)).unwrap();
    let runs: Vec<_> = runs.map(|run| run.unwrap().path()).collect();
    let [run] = &runs[..] else { panic!("{runs:?}") };
    run.display().to_string()
}

#[test]
fn without_a_coding_agent_patterns_review_a_change_and_say_so() {
    let place = workflows();
    run(&place, "workflows/code-review.md");
    let attempts = attempts(&place, &last_run(&place, "workflows/.orderflow/runs"));
    assert!(
        attempts.iter().all(|(_, attempt)| attempt["columns"]["reviewed_by"] == "patterns"),
        "{attempts:?}"
    );
    let (phase, editor) = &attempts[3];
    assert_eq!(phase, "MergeFindings");
    let finding = |severity: &str, line: Option<u32>, title: &str, detail: &str| {
        let mut finding =
            json!({"file": "shop/pay.py", "severity": severity, "title": title, "detail": detail});
        if let Some(line) = line {
            finding["line"] = line.into();
        }
        finding
    };
    assert_eq!(
        editor["outputs"]["review"],
        json!({
            "verdict": "request_changes",
            "summary": "3 findings by patterns.",
            "findings": [
                finding("blocker", Some(12), "a command goes through a shell", "A value with a `;` in it starts another command."),
                finding("warning", None, "the change has no test", "Write a test for shop/pay.py."),
                finding("note", Some(11), "None is compared by value", "Compare with `is None`."),
            ],
        })
    );
}

#[test]
fn a_reviewer_that_fails_is_missing_from_the_review() {
    let place = workflows();
    let settings = place.read("workflows/orderflow.toml");
    let agent = "[agents.security-reviewer]\nworker = [\"python3\", \"-S\", \"agents/code-review.py\"]";
    assert!(settings.contains(agent));
    let broken =
        settings.replace(agent, "[agents.security-reviewer]\ncommand = [\"sh\", \"-c\", \"exit 65\"]");
    place.write("workflows/orderflow.toml", &broken);
    run(&place, "workflows/code-review.md");
    let attempts = attempts(&place, &last_run(&place, "workflows/.orderflow/runs"));
    let review = &attempts[3].1["outputs"]["review"];
    assert_eq!(review["summary"], "2 findings by patterns. Missing: holes.");
    assert_eq!(review["verdict"], "approve");
}

/// Four real agents at a time, each in a worktree and a session of its own.
#[test]
fn four_coding_agents_review_a_change_in_their_worktrees() {
    let finding = |title: &str| json!({"file": "shop/pay.py", "line": 12, "severity": "blocker", "title": title, "detail": "…"});
    let says = |words: &str, content: Value| json!({"match": {"userMessage": words}, "response": {"content": content.to_string()}});
    let review =
        json!({"verdict": "request_changes", "summary": "One hole.", "findings": [finding("a shell")]});
    let fixtures = json!({"fixtures": [
        says("mistakes in what it does", json!({"bugs": [finding("no card")]})),
        says("what an attacker could use", json!({"holes": [finding("a shell")]})),
        says("with its tests", json!({"gaps": []})),
        says("Merge the findings", json!({"review": review})),
        {"match": {}, "response": {"content": "A title"}},
    ]});
    let Some(opencode) = Opencode::start(&fixtures) else { return };
    let place = Place::new(&workflows().read("workflows/code-review.md"));
    let table =
        |name: &str| format!("[agents.{name}]\n{}folder = \"worktree\"\n", opencode.table_apart(name));
    let names = ["bug-reviewer", "security-reviewer", "test-reviewer", "review-editor"];
    place.write("orderflow.toml", &names.map(table).concat());
    commit_all(place.folder());
    run(&place, "flow.md");
    let attempts = attempts(&place, "last");
    assert_eq!(attempts[3].1["outputs"]["review"], review);
    assert_eq!(attempts[1].1["outputs"]["holes"], json!([finding("a shell")]));
    let mut sessions: Vec<String> =
        attempts.iter().map(|(_, attempt)| attempt["columns"]["session"].to_string()).collect();
    sessions.sort();
    sessions.dedup();
    assert_eq!(sessions.len(), 4);
    assert!(attempts.iter().all(|(_, attempt)| attempt["tokens_used"].as_u64() > Some(0)), "{attempts:?}");
    assert_eq!(git(place.folder(), "worktree list").lines().count(), 1);
    assert_eq!(git(place.folder(), "branch --list").lines().count(), 1, "no reviewer has changed anything");
}
