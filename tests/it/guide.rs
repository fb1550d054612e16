//! The pages of `orderflow guide`: each is short, and each example in them is a document that is valid and runs.

use crate::program::orderflow;
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use std::fs;
use tempfile::TempDir;

/// The fences of a page that are documents.
fn examples(page: &str) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), None);
    for event in Parser::new(page) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) if &*info == "markdown" => {
                open = Some(String::new());
            }
            Event::Text(text) => open.iter_mut().for_each(|example| example.push_str(&text)),
            Event::End(TagEnd::CodeBlock) => found.extend(open.take()),
            _ => {}
        }
    }
    found
}

fn topics() -> Vec<String> {
    let list = orderflow(&["guide", "--list"]);
    list.out.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// What is wrong with an example.
fn problem(example: &str) -> Option<String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("workflow.md");
    let path = path.to_str().unwrap();
    fs::write(path, example).unwrap();
    let checked = orderflow(&["validate", "--strict", path]);
    if checked.exit != Some(0) {
        return Some(checked.err);
    }
    let mut words = vec!["run", "--stub", "--trust", path];
    let plan: serde_json::Value =
        serde_json::from_str(&orderflow(&["plan", path, "--format", "json"]).out).unwrap();
    let given: Vec<String> = plan["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|input| format!("{}={}", input["name"].as_str().unwrap(), sample(input)))
        .collect();
    words.extend(given.iter().flat_map(|given| ["--input", given]));
    let run = orderflow(&words);
    // 5: it waits at a gate or for an event, which the page is about.
    let waits = example.contains("[!gate") || example.contains("[await::");
    match run.exit {
        Some(0) => None,
        Some(5) if waits => None,
        exit => Some(format!("exit {exit:?}: {}{}", run.out, run.err)),
    }
}

/// A value for an input, by its type.
fn sample(input: &serde_json::Value) -> &'static str {
    match input["type"].as_str() {
        Some("Integer") => "1",
        Some("String?") => "null",
        Some("Order") => r#"{"id": "o1", "items": [], "total": 3}"#,
        Some("JSON") | None => r#"{"id": "o1", "quantity": 1, "country": "DE"}"#,
        _ => "text",
    }
}

#[test]
fn every_example_of_every_page_is_valid_and_runs() {
    let topics = topics();
    let (mut all, mut wrong) = (0, Vec::new());
    for topic in &topics {
        let page = orderflow(&["guide", topic]);
        assert_eq!(page.exit, Some(0), "{topic}: {}", page.err);
        let examples = examples(&page.out);
        assert!(!examples.is_empty(), "{topic} has no example");
        all += examples.len();
        let problems = examples.iter().filter_map(|example| problem(example));
        wrong.extend(problems.map(|problem| format!("{topic}: {problem}")));
    }
    let share = (all - wrong.len()) * 100 / all;
    println!("{share} % of {all} examples on {} pages are valid and run", topics.len());
    assert!(all >= topics.len() && wrong.is_empty(), "{share} % of {all}:\n{}", wrong.join("\n"));
}

#[test]
fn the_pages_are_short_and_their_cases_pass() {
    let topics = topics();
    assert_eq!(
        topics,
        [
            "steps",
            "values",
            "decisions",
            "failures",
            "compensation",
            "loops",
            "gates",
            "events",
            "lists",
            "agents",
            "testing"
        ]
    );
    for topic in &topics {
        let page = orderflow(&["guide", topic]).out;
        assert!(page.starts_with("# ") && page.lines().count() < 60, "{topic}: {}", page.lines().count());
        let wide = page.lines().find(|line| line.chars().count() > 88);
        assert_eq!(wide, None, "{topic}");
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("parcel.md");
    fs::write(&path, &examples(&orderflow(&["guide", "testing"]).out)[0]).unwrap();
    let cases = orderflow(&["test", path.to_str().unwrap()]);
    assert!(cases.exit == Some(0) && cases.err.ends_with("2 cases: all passed\n"), "{}", cases.err);
}

#[test]
fn a_wrong_topic_names_the_nearest() {
    let refused = orderflow(&["guide", "compensations"]);
    assert_eq!((refused.exit, refused.out.as_str()), (Some(2), ""));
    assert!(
        refused.err.contains("'compensation'") && refused.err.contains("possible values: steps, "),
        "{}",
        refused.err
    );
}
