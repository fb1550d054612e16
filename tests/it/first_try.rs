//! Documents by authors who know little of the language: what is valid as written, what one `validate --fix` makes of
//! them, and whether the order of their steps is then the one that was meant. The smallest forms of what was misread
//! all have a diagnostic.

use crate::program::orderflow;
use orderflow::diag::Source;
use orderflow::graph::{self, Graph, Kind};
use orderflow::spec;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A document, how many errors it has as written and after one `--fix`, and of how many edges that were meant the
/// fixed document has how many.
const MEASURED: [(&str, usize, usize, &str); 11] = [
    ("customer-onboarding", 0, 0, "9 of 9"),
    ("deploy-service", 2, 2, "-"),
    ("insurance-claim", 1, 0, "9 of 9"),
    ("invoice-matching", 11, 0, "11 of 11"),
    ("newsroom-article", 4, 3, "-"),
    ("nightly-pipeline", 4, 1, "9 of 11"),
    ("pull-request", 1, 1, "13 of 13"),
    ("refund-request", 0, 0, "8 of 12"),
    ("research-report", 11, 7, "-"),
    ("restaurant-order", 4, 0, "7 of 10"),
    ("weekly-newsletter", 3, 1, "8 of 9"),
];

/// The same with the likely fixes: errors, and the edges that were meant.
const LIKELY: [(&str, usize, &str); 11] = [
    ("customer-onboarding", 0, "9 of 9"),
    ("deploy-service", 0, "8 of 10"),
    ("insurance-claim", 0, "9 of 9"),
    ("invoice-matching", 0, "11 of 11"),
    ("newsroom-article", 3, "-"),
    ("nightly-pipeline", 1, "8 of 11"),
    ("pull-request", 1, "13 of 13"),
    ("refund-request", 0, "11 of 12"),
    ("research-report", 5, "-"),
    ("restaurant-order", 0, "10 of 10"),
    ("weekly-newsletter", 0, "9 of 9"),
];

/// The smallest forms of misreadings, with the codes of what is reported.
const MINIMAL: [(&str, &str); 35] = [
    ("branch-headings", "unread-answer almost-a-decision"),
    ("branch-to-nowhere", "unread-answer almost-a-decision"),
    ("closes-early", "does-not-wait"),
    ("condition-in-words", "unread-answer condition-in-prose"),
    ("decides-on-compensation", "bad-target"),
    ("defined-guard-never-runs", ""),
    ("dot-into-string", "no-members"),
    ("either-or-never-joins", "never-runs"),
    ("even-if-it-fails", "no-effect"),
    ("fails-if", "almost-a-decision"),
    ("gate-unread", "unread-answer"),
    ("group-each", "field-on-group"),
    ("handler-is-ordinary", "almost-a-handler"),
    ("heading-without-evidence", "almost-a-step"),
    ("label", "order-in-prose"),
    ("list-type", "near-type"),
    ("message-several-makers", ""),
    ("not-before", "order-in-prose"),
    ("numbered-not-ordered", "unread-answer does-not-wait"),
    ("optional-failed-drops-next", "runs-only-when"),
    ("overview-table", ""),
    ("parallel-bracket", "almost-a-field"),
    ("prompt-not-sent", "almost-a-value"),
    ("prose-order-and-condition", "unread-answer does-not-wait order-in-prose almost-a-handler"),
    ("same-answer", "does-not-wait"),
    ("secret-type", ""),
    ("skipped-maker-drops-critical", "runs-only-when"),
    ("steps-in-a-list", "almost-a-step"),
    ("steps-in-a-table", "almost-a-step"),
    ("steps-in-part", "almost-a-step"),
    ("table-mermaid-loop", "condition-in-prose no-effect"),
    ("title-bracket", "almost-a-field"),
    ("undo-section", "almost-a-handler"),
    ("unread-bracket", "no-effect"),
    ("values-in-lists", "almost-a-field"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/first_try")
}

/// The codes of the problems of a document, errors first.
fn problems(path: &Path) -> (Vec<String>, Vec<String>) {
    let shown = orderflow(&["validate", "--format", "json", path.to_str().unwrap()]);
    let problems: Vec<Value> = serde_json::from_str(&shown.out).unwrap();
    let (errors, others): (Vec<_>, Vec<_>) =
        problems.iter().partition(|problem| problem["severity"] == "error");
    let codes = |problems: Vec<&Value>| {
        problems.into_iter().map(|problem| problem["code"].as_str().unwrap().to_owned()).collect()
    };
    (codes(errors), codes(others))
}

fn graph(path: &Path) -> Option<Graph> {
    let source = Source::new("x.md", fs::read_to_string(path).unwrap());
    let (spec, _) = spec::parse(&source);
    graph::build(&source, &spec).0
}

/// How many of the edges that were meant are there; panics where steps that were meant to be parallel are not, or a
/// step is of another kind.
fn order(graph: &Graph, intent: &Value) -> String {
    let find = |title: &Value| {
        graph
            .ids()
            .find(|id| graph.step(*id).title == title.as_str().unwrap())
            .unwrap_or_else(|| panic!("{title}"))
    };
    let pairs = |key: &str| -> Vec<_> {
        let pairs = intent[key].as_array().cloned().unwrap_or_default();
        pairs.iter().map(|pair| (find(&pair[0]), find(&pair[1]))).collect()
    };
    let leads = |from, to| graph.leads_to(from, &|step| step == to);
    for title in intent["steps"].as_array().unwrap() {
        assert_eq!(graph.step(find(title)).kind, Kind::Forward, "{title}");
    }
    for title in intent["handlers"].as_array().into_iter().flatten() {
        assert_eq!(graph.step(find(title)).kind, Kind::Handler, "{title}");
    }
    for (by, step) in pairs("compensations") {
        assert_eq!(graph.step(step).compensate, Some(by));
    }
    for (one, other) in pairs("parallel") {
        let titles = (&graph.step(one).title, &graph.step(other).title);
        assert!(!leads(one, other) && !leads(other, one), "{titles:?} are not parallel");
    }
    let edges = pairs("edges");
    let there = edges.iter().filter(|(from, to)| leads(*from, *to)).count();
    format!("{there} of {}", edges.len())
}

/// Of each document the errors as written and after these fixes, and how many of the edges that were meant are there
/// then.
fn measure(fix: &[&str]) -> Vec<(&'static str, usize, usize, String)> {
    let scratch = tempfile::tempdir().unwrap();
    let measured = MEASURED.map(|(name, ..)| {
        let path = scratch.path().join(format!("{name}.md"));
        fs::copy(folder().join(format!("{name}.md")), &path).unwrap();
        let (written, _) = problems(&path);
        let fix = || orderflow(&[&["validate"], fix, &[path.to_str().unwrap()]].concat());
        fix();
        let (fixed, _) = problems(&path);
        let once = fs::read_to_string(&path).unwrap();
        fix();
        assert_eq!(fs::read_to_string(&path).unwrap(), once, "{name}: one round is not enough");
        let intent = fs::read_to_string(folder().join(format!("{name}.intent.json"))).unwrap();
        let intent: Value = serde_json::from_str(&intent).unwrap();
        let order = graph(&path).map_or("-".to_owned(), |graph| order(&graph, &intent));
        (name, written.len(), fixed.len(), order)
    });
    measured.into()
}

#[test]
fn most_documents_are_as_meant_after_one_fix() {
    let expected = MEASURED.map(|(name, written, fixed, order)| (name, written, fixed, order.to_owned()));
    assert_eq!(measure(&["--fix"]), expected);
}

#[test]
fn more_documents_are_valid_after_the_likely_fixes() {
    let measured: Vec<_> = measure(&["--fix", "--unsafe"])
        .into_iter()
        .map(|(name, _, fixed, order)| (name, fixed, order))
        .collect();
    assert_eq!(measured, LIKELY.map(|(name, fixed, order)| (name, fixed, order.to_owned())));
}

#[test]
fn what_is_misread_has_a_diagnostic() {
    let paths: BTreeMap<String, PathBuf> = fs::read_dir(folder().join("minimal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
        .collect();
    let found: Vec<(String, String)> = paths
        .into_iter()
        .map(|(name, path)| {
            let (errors, others) = problems(&path);
            let mut codes = [errors, others].concat();
            codes.dedup();
            (name, codes.join(" "))
        })
        .collect();
    let expected = MINIMAL.map(|(name, codes)| (name.to_owned(), codes.to_owned()));
    assert_eq!(found, expected);
}

#[test]
fn steps_in_blocks_are_steps_after_the_likely_fixes() {
    let scratch = tempfile::tempdir().unwrap();
    for (name, steps) in
        [("steps-in-a-table", 3), ("steps-in-a-list", 3), ("values-in-lists", 2), ("branch-headings", 3)]
    {
        let path = scratch.path().join(format!("{name}.md"));
        fs::copy(folder().join("minimal").join(format!("{name}.md")), &path).unwrap();
        orderflow(&["validate", "--fix", "--unsafe", path.to_str().unwrap()]);
        let (errors, others) = problems(&path);
        // Values below headings of their own are moved by the author.
        let left = if name == "values-in-lists" { vec!["almost-a-field"] } else { Vec::new() };
        assert_eq!((errors, others), (Vec::new(), left.into_iter().map(str::to_owned).collect()), "{name}");
        assert_eq!(graph(&path).unwrap().steps.len(), steps, "{name}");
    }
}
