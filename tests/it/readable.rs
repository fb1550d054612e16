//! Whatever a run writes is read again: long names, keys and values in one row.

use crate::place::Place;
use serde_json::{Map, Value, json};

/// A run whose agent answers so, for an item with this key; all it says on standard error.
fn answered(answer: &Value, key: &str, exit: i32) -> (Place, String) {
    let place = Place::new("");
    place.write("answer.json", &answer.to_string());
    let file = place.path("answer.json");
    let flow = format!(
        "---\nitems: items.jsonl\n---\n\n# Flow\n\n## Copy\norder::JSON -> out::String, two::String\n\n```sh run\ncat {}\n```\n",
        file.display()
    );
    place.write("flow.md", &flow);
    place.write("items.jsonl", &json!({ "id": key }).to_string());
    let told = place.run("");
    let why = format!("{:.1000}", told.err);
    assert_eq!(told.exit, Some(exit), "{why}");
    (place, why)
}

/// All that reads what a run has written.
fn is_read(place: &Place) {
    for args in ["stats session.toon", "show last", "run --replay=session.toon flow.md --session again.toon"]
    {
        let done = place.command(args).output().unwrap();
        let err = String::from_utf8_lossy(&done.stderr);
        assert!(matches!(done.status.code(), Some(0 | 1)), "{args}: {:.1000}", err);
        assert!(!err.contains("error: ") && !err.contains("error["), "{args}: {:.1000}", err);
    }
}

fn columns(names: impl Iterator<Item = String>) -> Value {
    let out = ["out", "two"].map(|name| (name.to_owned(), json!("o")));
    Value::Object(out.into_iter().chain(names.map(|name| (name, json!(1)))).collect::<Map<_, _>>())
}

#[test]
fn many_columns_with_long_names_are_read_or_fail_the_step() {
    let (place, _) = answered(&columns((0..200).map(|n| format!("{n:\">256}"))), "a", 0);
    is_read(&place);
    let (place, why) = answered(&columns((0..200).map(|n| format!("{n:n>60000}"))), "a", 1);
    let long = format!("the name of a column is longer than 256 bytes: `{}…`", "n".repeat(40));
    assert!(why.contains(&long), "{why}");
    is_read(&place);
}

#[test]
fn a_long_key_and_long_values_are_read_or_refused() {
    // Nearly the largest answer, which a row of the trace holds whole, and a key all of escapes.
    let answer = json!({ "out": "o", "two": "o", "a": "\"".repeat(4_100_000), "b": "\n".repeat(4_270_000) });
    let (place, _) = answered(&answer, &"\u{1}".repeat(4096), 0);
    is_read(&place);
    let (_, why) = answered(&answer, &"k".repeat(4097), 3);
    assert!(why.contains("items.jsonl:1:1: the item's key is longer than 4096 bytes: \"kkk"), "{why}");
}

#[test]
fn a_failure_that_shows_a_long_answer_is_read() {
    let long = "n".repeat(8_000_000);
    let (place, why) = answered(&json!({ "ou": 1, &long: 2 }), "a", 1);
    assert!(why.len() < 10_000, "{why}");
    is_read(&place);
    let (place, why) = answered(&json!({ "out": "o", "two": "o", "tokens_used": long }), "a", 1);
    let short = format!("`tokens_used` must be a whole number, not \"{}…", "n".repeat(39));
    assert!(why.contains(&short), "{why}");
    is_read(&place);
}
