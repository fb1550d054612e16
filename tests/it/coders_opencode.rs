//! OpenCode as a coding agent, by its own program.

use crate::coders::item;
use crate::coding::{Opencode, commit_all};
use crate::place::Place;
use serde_json::json;

/// A real coding agent with a mocked model: it asks, edits in its worktree, and is corrected once.
#[test]
fn opencode_works_in_a_worktree_and_is_corrected() {
    let content =
        |text: &str| json!({"content": text, "usage": {"prompt_tokens": 50, "completion_tokens": 10}});
    let write = json!({"toolCalls": [{"name": "write", "arguments": "{\"filePath\": \"made.txt\", \"content\": \"made\\n\"}"}]});
    let fixtures = json!({"fixtures": [
        {"match": {"userMessage": "That answer cannot be used"}, "response": content("{\"done\": true}")},
        {"match": {"userMessage": "Make the file", "hasToolResult": true}, "response": content("It is made.")},
        {"match": {"userMessage": "Make the file", "hasToolResult": false}, "response": write},
        {"match": {}, "response": content("A title")},
    ]});
    let Some(opencode) = Opencode::start(&fixtures) else { return };
    let place = Place::new(
        "# T\n\n## Make @coder [timeout:: 2m]\nname::String → done::Boolean, diff::String\n\nMake the file {{ name }}.\n",
    );
    place.write(
        "orderflow.toml",
        &format!("[agents.coder]\n{}folder = \"worktree\"\nallow = [\"edit\"]\n", opencode.table()),
    );
    commit_all(place.folder());
    let told = place.orderflow("run flow.md --quiet --input name=made.txt");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let attempt = &item(&place)["steps"][0]["attempts"][0];
    assert_eq!(attempt["outputs"]["done"], true);
    assert!(attempt["outputs"]["diff"].as_str().unwrap().ends_with("+made\n"), "{attempt}");
    assert!(attempt["tokens_used"].as_u64().unwrap() > 100, "{attempt}");
    assert!(attempt["columns"]["cost_usd"].as_f64().unwrap() > 0.0, "{attempt}");
    assert_eq!(attempt["columns"]["model"], "mock/small");
    assert!(attempt["columns"]["session"].as_str().unwrap().starts_with("ses_"), "{attempt}");
    let conversation = place.orderflow("show last --item 1 --conversation").out;
    assert!(
        conversation.contains("permission to edit") && conversation.contains("made.txt: allowed"),
        "{conversation}"
    );
}

/// opencode does not pass on the status, so its attempts may have done something.
#[test]
fn opencode_reports_an_error_of_its_provider() {
    let error =
        json!({"error": {"message": "Incorrect API key provided", "type": "api_error"}, "status": 401});
    let fixtures = json!({"fixtures": [{"match": {}, "response": error}]});
    let Some(opencode) = Opencode::start(&fixtures) else { return };
    let place = Place::new("# T\n\n## Do @coder [timeout:: 2m]\n→ done::Boolean\n\nOpen the door.\n");
    place.write("orderflow.toml", &format!("[agents.coder]\n{}", opencode.table()));
    let told = place.orderflow("run flow.md --quiet");
    assert_eq!(told.exit, Some(1), "{}", told.err);
    let error = &item(&place)["steps"][0]["attempts"][0]["error"];
    assert_eq!(error["message"], "Internal error: Incorrect API key provided");
    assert_eq!((&error["outcome"], &error["retryable"]), (&json!("unknown"), &json!(true)));
}
