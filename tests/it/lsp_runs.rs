//! `orderflow lsp`: runs that an editor starts, and what it shows of the last one.

use crate::editor::{Editor, place as range, uri};
use crate::place::Place;
use serde_json::{Value, json};

const FLOW: &str = "---\ninputs: [name]\n---\n# Flow\n\n## Greet\nname -> text::String\n\n```sh run\ntest \"$IN_NAME\" != bad || { echo \"no such name\" >&2; exit 65; }\necho hello\n```\n\n## Shout\ntext -> loud::String\n\n```sh run\necho HELLO\n```\n";

fn place(settings: &str) -> Place {
    let place = Place::new(FLOW);
    place.write("orderflow.toml", settings);
    place
}

fn start(place: &Place, capabilities: Value) -> (Editor, String) {
    let mut editor = Editor::start(place, capabilities);
    let uri = uri(place, "flow.md");
    editor.open(&uri, &place.read("flow.md"));
    assert_eq!(editor.problems(&uri), [""; 0]);
    (editor, uri)
}

fn command(editor: &mut Editor, name: &str, uri: &str) -> Value {
    editor.ask("workspace/executeCommand", json!({"command": name, "arguments": [uri]}))
}

#[test]
fn commands_are_above_the_title() {
    let place = place("");
    let (mut editor, uri) = start(&place, json!({}));
    let lenses = editor.ask("textDocument/codeLens", json!({"textDocument": {"uri": uri}}));
    let shown: Vec<String> = lenses
        .as_array()
        .unwrap()
        .iter()
        .map(|lens| {
            let command = &lens["command"];
            assert_eq!(command["arguments"], json!([uri]));
            format!(
                "{} {} {}",
                range(&lens["range"]),
                command["title"].as_str().unwrap(),
                command["command"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "3:2-3:2 Run orderflow.run",
            "3:2-3:2 Run with stubs orderflow.stub",
            "3:2-3:2 Open the last failure orderflow.openLastFailure"
        ]
    );
}

/// A run from an editor has no more rights than one from a shell, and none from a question.
#[test]
fn a_run_needs_the_grants_that_every_run_needs() {
    let place = place("");
    let (mut editor, uri) = start(&place, json!({}));
    assert_eq!(command(&mut editor, "orderflow.run", &uri), Value::Null);
    let shown = editor.notice("window/showMessage");
    assert_eq!(shown["type"], 1);
    let message = shown["message"].as_str().unwrap();
    assert!(message.starts_with("flow.md: "), "{message}");
    assert!(message.contains("orderflow trust") || message.contains("grant"), "{message}");
    assert!(!place.path(".orderflow").exists());
    assert_eq!(
        command(&mut editor, "orderflow.other", &uri)["error"]["message"],
        "unknown command orderflow.other"
    );
    assert_eq!(
        command(&mut editor, "orderflow.run", "untitled:1")["error"]["message"],
        "only a file can be run"
    );
    editor.change(&uri, ((4, 0), (4, 0)), "x");
    let unsaved = command(&mut editor, "orderflow.run", &uri);
    assert_eq!(unsaved["error"]["message"], "save the document first: a run reads the file");
    let none = command(&mut editor, "orderflow.openLastFailure", &uri);
    assert_eq!(none["error"]["message"], "the last run of this document has no failed item");
}

#[test]
fn figures_and_failures_of_the_last_run_are_shown() {
    let place = place("fences = true\n");
    assert_eq!(place.run("--input name=you --quiet").exit, Some(0));
    let (mut editor, uri) = start(&place, json!({"window": {"showDocument": {"support": true}}}));
    let hover = |editor: &mut Editor| {
        let hover = editor.at("textDocument/hover", &uri, (5, 4), json!({}));
        hover["contents"]["value"].as_str().unwrap().to_owned()
    };
    let text = hover(&mut editor);
    assert!(text.contains(": 1 execution, p50 ") && text.contains("Last run `"), "{text}");
    let none = command(&mut editor, "orderflow.openLastFailure", &uri);
    assert_eq!(none["error"]["code"], -32803);
    // The server reads the journal of the next run, too.
    assert_eq!(place.run("--input name=bad --quiet").exit, Some(1));
    assert!(hover(&mut editor).contains(": 1 execution, 1 failed"), "{}", hover(&mut editor));
    let found = command(&mut editor, "orderflow.openLastFailure", &uri);
    assert_eq!((found["uri"].as_str(), range(&found["range"])), (Some(&*uri), "5:3-5:8".to_owned()));
    let message = editor.notice("window/showMessage")["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("item 1 failed at Greet: "), "{message}");
    let again = message.lines().last().unwrap();
    assert!(again.starts_with("orderflow show ") && again.ends_with(" --item 1"), "{again}");
    assert_eq!(place.orderflow(again.trim_start_matches("orderflow ")).exit, Some(0));
    let opened = editor.notice("window/showDocument");
    assert_eq!((opened["uri"].as_str(), range(&opened["selection"])), (Some(&*uri), "5:3-5:8".to_owned()));
}

#[test]
fn a_run_from_an_editor_reports_its_end() {
    let place = Place::new(
        "---\nitems: items.jsonl\n---\n## Greet\nname -> text::String\n\n```sh run\necho hello\n```\n",
    );
    place.write("orderflow.toml", "fences = true\n");
    place.write("items.jsonl", "{\"name\": \"a\"}\n{\"name\": \"b\"}\n");
    let (mut editor, uri) = start(&place, json!({}));
    for name in ["orderflow.run", "orderflow.stub"] {
        assert_eq!(command(&mut editor, name, &uri), Value::Null);
        assert_eq!(editor.notice("window/showMessage"), json!({"type": 3, "message": "flow.md: success"}));
        let log = editor.notice("window/logMessage")["message"].as_str().unwrap().to_owned();
        assert!(log.contains("Greet"), "{log}");
    }
    assert_eq!(editor.end().0, Some(0));
}
