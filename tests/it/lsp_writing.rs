//! `orderflow lsp`: what an editor offers to write, and how it colours names.

use crate::editor::{Editor, place as range, uri};
use crate::place::Place;
use serde_json::{Value, json};

const FLOW: &str = "---\ninputs: {order: Order}\n---\n# Shop\n\n## Pay @bank #money\norder → payment::Payment\n\n## Ship @depot\npayment → parcel-label\n\n## Types\n\n```ts\ninterface Order { total: number, lines: Line[] }\ninterface Line { price: number }\ninterface Payment { ok: boolean }\n```\n";

fn start() -> (Place, Editor, String) {
    let place = Place::new(FLOW);
    place.write("orderflow.toml", "[agents.bank]\ncommand = [\"bank\"]\n\n[agents.carrier]\ncommand = [\"x\"]\n\n[channels.post]\nconcurrency = 2\n");
    place.write("other.md", "## Look @bank\norder → mark\n");
    let mut editor = Editor::start(&place, json!({}));
    let uri = uri(&place, "flow.md");
    editor.open(&uri, FLOW);
    assert_eq!(editor.problems(&uri), [""; 0]);
    (place, editor, uri)
}

/// The texts that are offered behind this line, written below the step *Ship*.
fn offered(editor: &mut Editor, uri: &str, line: &str) -> Vec<String> {
    editor.change(uri, ((9, 22), (9, 22)), &format!("\n{line}"));
    let column = line.encode_utf16().count() as u32;
    let items = editor.at("textDocument/completion", uri, (10, column), json!({}));
    editor.change(uri, ((9, 22), (10, column)), "");
    items
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["textEdit"]["newText"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_can_be_written_is_offered() {
    let (_place, mut editor, uri) = start();
    let mut after = |line: &str| offered(&mut editor, &uri, line);
    // Agents and channels of the settings and of the document.
    assert_eq!(after("## Send @ca"), ["bank", "carrier", "depot"]);
    assert_eq!(after("## Send #"), ["post", "money"]);
    // Fields, and their values.
    let fields = after("[re");
    assert!(
        fields.contains(&"retry:: 3]".to_owned()) && fields.contains(&"irreversible]".to_owned()),
        "{fields:?}"
    );
    assert_eq!(fields.len(), 17);
    assert_eq!(after("[after:: "), ["Pay", "start"]);
    assert_eq!(after("[compensate:: P"), ["Pay"]);
    assert_eq!(after("[document:: "), ["other.md"]);
    assert_eq!(after("[per:: "), ["run"]);
    // Values, as conditions write them, and their members.
    assert_eq!(after("[when:: pay"), ["order", "payment", "parcel_label"]);
    assert_eq!(after("If payment."), ["ok"]);
    assert_eq!(after("Send {{ order."), ["total", "lines"]);
    assert_eq!(after("Send {{ order.lines[0].pr"), ["price"]);
    assert_eq!(after("If payment.ok → "), ["Pay", "end", "fail \"\""]);
    // Types.
    let types = after("payment → parcel::");
    assert_eq!(types[..3], ["Order", "Line", "Payment"]);
    assert!(types.contains(&"String".to_owned()), "{types:?}");
    // Nothing where nothing has a meaning.
    assert_eq!(after("Some {{ order.total }}. @x"), ["bank", "carrier", "depot"]);
    assert_eq!(after("{{ unknown."), [""; 0]);
}

/// A value that only a later step makes cannot flow back.
#[test]
fn only_values_that_can_flow_are_offered() {
    let place = Place::new("");
    let mut editor = Editor::start(&place, json!({}));
    let uri = uri(&place, "flow.md");
    let text = "## First @a\nraw → one\n\n## Second @a\none → two\n\n## Third @a\ntwo → three\n\n## Apart @a\nraw → four\n";
    editor.open(&uri, text);
    let mut at = |line: u32, column: u32| -> Vec<String> {
        let items = editor.at("textDocument/completion", &uri, (line, column), json!({}));
        items.as_array().unwrap().iter().map(|item| item["label"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(at(4, 0), ["raw", "one", "four"]);
    assert_eq!(at(10, 0), ["raw", "one", "two", "three"]);
}

#[test]
fn the_front_matter_has_keys_and_names() {
    let place = Place::new("");
    place.write("orderflow.toml", "[agents.bank]\ncommand = [\"bank\"]\n");
    let mut editor = Editor::start(&place, json!({}));
    let uri = uri(&place, "flow.md");
    editor.open(&uri, "---\n\nagent: \non-item-error: \n---\n## Pay\na → b\n");
    let mut at = |line: u32, column: u32| -> Vec<String> {
        let items = editor.at("textDocument/completion", &uri, (line, column), json!({}));
        items.as_array().unwrap().iter().map(|item| item["label"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(at(1, 0).len(), 14);
    assert_eq!(at(2, 7), ["bank"]);
    assert_eq!(at(3, 15), ["continue", "drain", "stop"]);
}

/// Every problem of the broken documents that has fixes has a code action for each, and the first safe ones lead to the
/// document that `validate --fix` writes.
#[test]
fn every_fix_is_a_code_action() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/diagnostics");
    let place = Place::new("");
    let mut editor = Editor::start(&place, json!({}));
    let (mut fixes, mut all) = (0, 0);
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if path.extension().is_none_or(|end| end != "md") || text.len() > 100_000 {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        place.write(&name, &text);
        let reported: Vec<Value> = {
            let told = place.orderflow(&format!("validate --format json {name}"));
            let found: Value = serde_json::from_str(&told.out).unwrap_or_default();
            let diagnostics = found["diagnostics"].as_array().or(found.as_array());
            diagnostics
                .cloned()
                .unwrap_or_default()
                .into_iter()
                .filter(|one| one["file"] == name.as_str())
                .collect()
        };
        let expected: usize = reported.iter().map(|one| one["fixes"].as_array().map_or(0, Vec::len)).sum();
        let uri = uri(&place, &name);
        editor.open(&uri, &text);
        let whole = json!({"start": {"line": 0, "character": 0}, "end": {"line": 99_999, "character": 0}});
        let params = json!({"textDocument": {"uri": uri}, "range": whole, "context": {"diagnostics": []}});
        let actions = editor.ask("textDocument/codeAction", params);
        let actions = actions.as_array().unwrap_or_else(|| panic!("{name}"));
        let quick = actions.iter().filter(|action| action["kind"] == "quickfix").count();
        assert!(quick <= expected || expected == 0, "{name}: {quick} of {expected}");
        fixes += quick;
        all += expected;
        for action in actions {
            let title = action["title"].as_str().unwrap();
            assert!(!title.is_empty() && !title.contains('\n'), "{name}: {title}");
            assert!(
                action["edit"]["changes"][&uri].as_array().is_some_and(|edits| !edits.is_empty()),
                "{name}: {action}"
            );
        }
        editor.notices.clear();
    }
    assert!(fixes > 100, "{fixes} of {all}");
    assert_eq!(editor.end().0, Some(0));
}

#[test]
fn a_code_action_shows_what_it_changes() {
    let (_place, mut editor, uri) = start();
    editor.change(&uri, ((8, 14), (8, 14)), " [retry: 3]");
    let here = json!({"start": {"line": 8, "character": 16}, "end": {"line": 8, "character": 16}});
    let params = json!({"textDocument": {"uri": uri}, "range": here, "context": {"diagnostics": []}});
    let actions = editor.ask("textDocument/codeAction", params);
    let shown: Vec<String> = actions
        .as_array()
        .unwrap()
        .iter()
        .map(|action| {
            let edit = &action["edit"]["changes"][&uri][0];
            format!(
                "{} {}: {} {}",
                action["kind"].as_str().unwrap(),
                action["title"].as_str().unwrap(),
                range(&edit["range"]),
                edit["newText"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "quickfix Replace `[retry: 3]` by `[retry:: 3]`: 8:15-8:25 [retry:: 3]",
            "source.fixAll Apply all safe fixes: 8:15-8:25 [retry:: 3]",
        ]
    );
    assert_eq!(actions[0]["isPreferred"], true);
    assert_eq!(actions[0]["diagnostics"][0]["code"], "almost-a-field");
}

#[test]
fn names_are_coloured_by_what_they_mean() {
    let (_place, mut editor, uri) = start();
    let decode = |tokens: &Value| -> Vec<String> {
        let numbers: Vec<u64> =
            tokens["data"].as_array().unwrap().iter().map(|one| one.as_u64().unwrap()).collect();
        let (mut line, mut column) = (0, 0);
        let one = |token: &[u64]| {
            line += token[0];
            column = if token[0] == 0 { column + token[1] } else { token[1] };
            let text: Vec<u16> = FLOW.lines().nth(line as usize).unwrap().encode_utf16().collect();
            let text = String::from_utf16(&text[column as usize..(column + token[2]) as usize]).unwrap();
            format!("{text} {}{}", token[3], if token[4] == 1 { "!" } else { "" })
        };
        numbers.chunks(5).map(one).collect()
    };
    let all = editor.ask("textDocument/semanticTokens/full", json!({"textDocument": {"uri": uri}}));
    assert_eq!(
        decode(&all),
        [
            "order 2!",
            "Order 5",
            "Pay 0!",
            "bank 3",
            "money 4",
            "order 2",
            "payment 2!",
            "Payment 5",
            "Ship 0!",
            "depot 3",
            "payment 2",
            "parcel-label 2!",
            "Order 5!",
            "Line 5",
            "Line 5!",
            "Payment 5!",
        ]
    );
    let part = json!({"start": {"line": 5, "character": 0}, "end": {"line": 6, "character": 0}});
    let some =
        editor.ask("textDocument/semanticTokens/range", json!({"textDocument": {"uri": uri}, "range": part}));
    assert_eq!(decode(&some), ["Pay 0!", "bank 3", "money 4"]);
}
