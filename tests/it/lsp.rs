//! `orderflow lsp`: what an editor gets, over standard input and output.

use crate::editor::{Editor, place as range, uri};
use crate::place::Place;
use serde_json::{Value, json};

const FLOW: &str = "---\ninputs: {order: Order}\n---\n# Shop\n\n## Pay @bank #money [retry:: 2]\norder → payment::Payment\n\nPay {{ order.total }}.\n\n## Packing\n\n### Ship Order @depot [after:: Pay] [when:: payment.ok]\npayment → parcel\n\nIf parcel == \"big\" → Load Van\nOtherwise → end\n\n### Load Van @depot\nparcel → van\n\n## Types\n\n```ts\ninterface Order { total: number }\ninterface Payment { ok: boolean }\n```\n";

fn place() -> Place {
    let place = Place::new(FLOW);
    place.write("orderflow.toml", "[agents.bank]\ncommand = [\"bank\"]\neffects = { Pay = true }\n\n[agents.depot]\ncommand = [\"depot\"]\n\n[channels.money]\nconcurrency = 2\n");
    place
}

fn start() -> (Place, Editor, String) {
    let place = place();
    let mut editor = Editor::start(&place, json!({}));
    let uri = uri(&place, "flow.md");
    editor.open(&uri, FLOW);
    assert_eq!(editor.problems(&uri), [""; 0]);
    (place, editor, uri)
}

#[test]
fn problems_appear_and_disappear_as_one_types() {
    let (_place, mut editor, uri) = start();
    editor.change(&uri, ((13, 0), (13, 7)), "paymnt");
    let problems = editor.problems(&uri);
    assert!(problems.iter().any(|problem| problem.starts_with("13:0-13:6 ")), "{problems:?}");
    editor.change(&uri, ((13, 0), (13, 6)), "payment");
    assert_eq!(editor.problems(&uri), [""; 0]);
    // A duration that is none, with the help of the diagnostic.
    editor.change(&uri, ((5, 7), (5, 7)), " [timeout:: 10x]");
    let problems = editor.problems(&uri);
    assert!(problems[0].contains(" bad-duration `10x` is not a duration"), "{problems:?}");
    assert!(problems[0].contains("\nhelp: the units are"), "{problems:?}");
    editor.say("textDocument/didClose", json!({"textDocument": {"uri": uri}}));
    assert_eq!(editor.problems(&uri), [""; 0]);
    assert_eq!(editor.end(), (Some(0), String::new()));
}

/// Columns are units of UTF-16, or bytes where the editor offers them.
#[test]
fn columns_are_those_that_the_editor_counts() {
    let text = "# F\n\n## \u{1f600}\u{e4} @bank [retry:: x]\na → b\n";
    for (offered, column) in
        [(json!({}), 22), (json!({"general": {"positionEncodings": ["utf-16", "utf-8"]}}), 25)]
    {
        let place = place();
        let mut editor = Editor::start(&place, offered);
        let uri = uri(&place, "flow.md");
        editor.open(&uri, text);
        let problems = editor.problems(&uri);
        assert!(problems[0].starts_with(&format!("2:{column}-2:{} bad-retry", column + 1)), "{problems:?}");
        editor.change(&uri, ((2, column), (2, column + 1)), "3");
        assert_eq!(editor.problems(&uri), [""; 0]);
    }
}

#[test]
fn settings_and_documents_in_the_editor_take_precedence_over_files() {
    let place = Place::new("## Check @bank [document:: inner.md]\norder → mark\n");
    place.write("inner.md", "## Look @bank\norder → mark\n");
    place.write("orderflow.toml", "[agents.bank]\ncommand = [\"x\"]\n");
    let mut editor = Editor::start(&place, json!({}));
    let (outer, inner, settings) =
        (uri(&place, "flow.md"), uri(&place, "inner.md"), uri(&place, "orderflow.toml"));
    editor.open(&outer, "## Check [document:: inner.md]\norder → mark\n");
    assert_eq!(editor.problems(&outer), [""; 0]);
    editor.open(&inner, "## Look @bank\norder → other\n");
    let problems = editor.problems(&outer);
    assert!(problems.len() == 1 && problems[0].contains("mark"), "{problems:?}");
    editor.open(&settings, "[agents.bank]\ncommand = 7\n");
    let problems = editor.problems(&settings);
    assert!(problems.len() == 1 && problems[0].starts_with("1:10-1:11 "), "{problems:?}");
    // After the text is closed, the file counts.
    editor.say("textDocument/didClose", json!({"textDocument": {"uri": inner}}));
    assert_eq!(editor.problems(&outer), [""; 0]);
}

#[test]
fn notes_in_markdown_have_no_problems() {
    let place = place();
    let mut editor = Editor::start(&place, json!({}));
    let uri = uri(&place, "notes.md");
    editor.open(&uri, "# Notes\n\n## Pay the bill\n\nIf I can.\n");
    assert_eq!(editor.problems(&uri), [""; 0]);
}

#[test]
fn the_outline_has_groups_steps_and_types() {
    let (_place, mut editor, uri) = start();
    let symbols = editor.ask("textDocument/documentSymbol", json!({"textDocument": {"uri": uri}}));
    fn lines(symbols: &Value, depth: usize, out: &mut Vec<String>) {
        for symbol in symbols.as_array().into_iter().flatten() {
            let detail = symbol["detail"].as_str().unwrap_or_default();
            let (whole, name) = (range(&symbol["range"]), range(&symbol["selectionRange"]));
            out.push(format!(
                "{}{} ({detail}) {} {whole} {name}",
                "  ".repeat(depth),
                symbol["name"].as_str().unwrap(),
                symbol["kind"]
            ));
            lines(&symbol["children"], depth + 1, out);
        }
    }
    let mut out = Vec::new();
    lines(&symbols, 0, &mut out);
    assert_eq!(
        out,
        [
            "Pay (@bank #money) 12 5:0-8:22 5:3-5:6",
            "Packing () 3 10:3-19:12 10:3-10:10",
            "  Ship Order (@depot) 12 12:0-16:15 12:4-12:14",
            "  Load Van (@depot) 12 18:0-19:12 18:4-18:12",
            "Order () 23 24:10-24:15 24:10-24:15",
            "Payment () 23 25:10-25:17 25:10-25:17",
        ]
    );
}

#[test]
fn a_hover_shows_what_a_name_means() {
    let (_place, mut editor, uri) = start();
    let mut hover = |line, column| {
        let hover = editor.at("textDocument/hover", &uri, (line, column), json!({}));
        hover["contents"]["value"].as_str().unwrap_or("nothing").to_owned()
    };
    assert_eq!(
        hover(5, 4),
        "**Pay**\n\nagent `bank` · channel `money` · 2 retries\n\n```\norder::Order → payment::Payment\n```\n\nThe last run has no execution of it."
    );
    assert_eq!(hover(6, 10), "value `payment::Payment`\n\nmade by Pay\n\ntaken by Ship Order");
    assert_eq!(
        hover(8, 9),
        "value `order::Order`\n\nan input of the workflow, or an element of a list\n\ntaken by Pay"
    );
    assert_eq!(
        hover(5, 9),
        "agent `bank`\n\n```toml\n[agents.bank]\ncommand = [\"bank\"]\neffects = { Pay = true }\n```"
    );
    assert_eq!(hover(5, 14), "channel `money`\n\n```toml\n[channels.money]\nconcurrency = 2\n```");
    assert_eq!(hover(10, 4), "**Packing**, group\n\nShip Order, Load Van");
    assert!(hover(1, 18).starts_with("type `Order`\n\n```json\n{"));
    assert_eq!(hover(3, 0), "nothing");
}

/// The places of an answer: `file place`, sorted.
fn locations(answer: &Value) -> Vec<String> {
    let one = |location: &Value| {
        let file = location["uri"].as_str().unwrap().rsplit('/').next().unwrap();
        format!("{file} {}", range(&location["range"]))
    };
    let mut all: Vec<String> = answer.as_array().unwrap().iter().map(one).collect();
    all.sort();
    all
}

#[test]
fn a_name_leads_to_its_definition_and_its_uses() {
    let (_place, mut editor, uri) = start();
    for (at, definition, uses) in [
        // The step, from an order; the value, from a condition; the input, from the text of a step.
        ((12, 33), "flow.md 5:3-5:6", vec!["flow.md 12:31-12:34", "flow.md 5:3-5:6"]),
        ((12, 47), "flow.md 6:8-6:15", vec!["flow.md 12:44-12:51", "flow.md 13:0-13:7", "flow.md 6:8-6:15"]),
        ((8, 8), "flow.md 1:9-1:14", vec!["flow.md 1:9-1:14", "flow.md 6:0-6:5", "flow.md 8:7-8:12"]),
        ((15, 24), "flow.md 18:4-18:12", vec!["flow.md 15:21-15:29", "flow.md 18:4-18:12"]),
        ((5, 8), "orderflow.toml 0:8-0:12", vec!["flow.md 5:8-5:12"]),
        ((5, 14), "orderflow.toml 7:10-7:15", vec!["flow.md 5:14-5:19"]),
        ((6, 19), "flow.md 25:10-25:17", vec!["flow.md 25:10-25:17", "flow.md 6:17-6:24"]),
    ] {
        let found = editor.at("textDocument/definition", &uri, at, json!({}));
        assert_eq!(locations(&found), [definition], "{at:?}");
        let found =
            editor.at("textDocument/references", &uri, at, json!({"context": {"includeDeclaration": true}}));
        assert_eq!(locations(&found), uses, "{at:?}");
    }
    let nothing = editor.at("textDocument/definition", &uri, (4, 0), json!({}));
    assert_eq!(nothing, json!([]));
}

/// The text with the edits of a rename, by file.
fn renamed(answer: &Value, name: &str, text: &str) -> String {
    let changes = answer["changes"].as_object().unwrap_or_else(|| panic!("{answer}"));
    let uri = changes.keys().find(|uri| uri.ends_with(name));
    let Some(uri) = uri else { return text.to_owned() };
    let mut edits: Vec<&Value> = answer["changes"][uri].as_array().unwrap().iter().collect();
    edits.sort_by_key(|edit| {
        std::cmp::Reverse((
            edit["range"]["start"]["line"].as_u64(),
            edit["range"]["start"]["character"].as_u64(),
        ))
    });
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    for edit in edits {
        let line = edit["range"]["start"]["line"].as_u64().unwrap() as usize;
        let column = |end: &str| edit["range"][end]["character"].as_u64().unwrap() as usize;
        let units: Vec<u16> = lines[line].encode_utf16().collect();
        let part = |from: usize, to: usize| String::from_utf16(&units[from..to]).unwrap();
        let new = edit["newText"].as_str().unwrap();
        lines[line] = part(0, column("start")) + new + &part(column("end"), units.len());
    }
    lines.join("\n")
}

#[test]
fn names_are_changed_wherever_they_are_written() {
    let (place, mut editor, uri) = start();
    let (flow, settings) = (FLOW, place.read("orderflow.toml"));
    let mut rename = |at, new: &str| editor.at("textDocument/rename", &uri, at, json!({"newName": new}));
    let step = rename((5, 4), "Take Money");
    let expected =
        flow.replace("## Pay @", "## Take Money @").replace("[after:: Pay]", "[after:: Take Money]");
    assert_eq!(renamed(&step, "flow.md", flow), expected);
    assert_eq!(renamed(&step, "orderflow.toml", &settings), settings.replace("{ Pay =", "{ TakeMoney ="));
    let value = rename((13, 0), "bank-answer");
    let expected = flow
        .replace("payment::", "bank-answer::")
        .replace("payment →", "bank-answer →")
        .replace("payment.ok", "bank_answer.ok");
    assert_eq!(renamed(&value, "flow.md", flow), expected);
    let agent = rename((12, 17), "carrier");
    assert_eq!(renamed(&agent, "flow.md", flow), flow.replace("@depot", "@carrier"));
    assert_eq!(
        renamed(&agent, "orderflow.toml", &settings),
        settings.replace("agents.depot", "agents.carrier")
    );
    let channel = rename((5, 15), "cash");
    assert_eq!(
        renamed(&channel, "orderflow.toml", &settings),
        settings.replace("channels.money", "channels.cash")
    );
    let ty = rename((6, 18), "Receipt");
    assert_eq!(renamed(&ty, "flow.md", flow), flow.replace("Payment", "Receipt"));
    for (at, new, why) in [
        ((13, 0), "parcel", "`parcel` is already used in this document"),
        ((13, 0), "a b", "with this name the document would mean something else"),
        ((13, 0), "", "a name is one line of text"),
        ((18, 5), "Ship Order", "with this name the document would mean something else"),
        ((5, 4), "Pay @depot", "with this name the document would mean something else"),
        ((5, 8), "depot", "`depot` is already a name in orderflow.toml"),
        ((3, 0), "x", "this is not a name"),
    ] {
        assert_eq!(rename(at, new)["error"], json!({"code": -32803, "message": why}), "{at:?} {new}");
    }
}

#[test]
fn what_is_not_the_protocol_ends_with_an_error() {
    let place = place();
    let mut editor = Editor::silent(&place);
    // Before `initialize`, not JSON, no method, unknown methods, no parameters.
    assert_eq!(editor.ask("textDocument/hover", json!({}))["error"]["code"], -32002);
    editor.write(b"Content-Length: 3\r\n\r\n{x}");
    assert_eq!(editor.receive()["error"]["code"], -32700);
    editor.send(&json!({"jsonrpc": "2.0", "id": "a"}));
    assert_eq!(
        editor.receive(),
        json!({"jsonrpc": "2.0", "id": "a", "error": {"code": -32600, "message": "a message has a method"}})
    );
    editor.send(&json!([1]));
    assert_eq!(editor.receive()["error"]["code"], -32600);
    editor.ask("initialize", json!({"capabilities": {}}));
    assert_eq!(editor.ask("initialize", json!({}))["error"]["code"], -32600);
    assert_eq!(
        editor.ask("x/y", json!({}))["error"],
        json!({"code": -32601, "message": "unknown method x/y"})
    );
    assert_eq!(editor.ask("textDocument/hover", json!({}))["error"]["code"], -32602);
    assert_eq!(editor.ask("textDocument/hover", json!(7))["error"]["code"], -32602);
    let nowhere = json!({"textDocument": {"uri": "x"}, "position": {"line": 0, "character": 0}});
    assert_eq!(editor.ask("textDocument/hover", nowhere), Value::Null);
    editor.say("textDocument/didChange", json!({"contentChanges": 7}));
    assert_eq!(editor.notice("window/logMessage")["type"], 2);
    editor.say("textDocument/didOpen", json!({"textDocument": 7}));
    assert_eq!(editor.ask("shutdown", Value::Null), Value::Null);
    assert_eq!(editor.ask("textDocument/hover", json!({}))["error"]["code"], -32600);
    assert_eq!(editor.leave(), (Some(0), String::new()));

    let mut editor = Editor::silent(&place);
    editor.write(b"Content-Length: 99999999999999\r\n\r\n");
    let (code, error) = editor.leave();
    assert_eq!(code, Some(2));
    assert_eq!(
        error,
        "error: the input is not of a language client: Content-Length is a number of at most 67108864\n  help: start it from an editor\n"
    );
    // An editor that goes without a word.
    assert_eq!(Editor::silent(&place).leave(), (Some(1), String::new()));
}

/// A request that was cancelled before its turn gets the error of the protocol.
#[test]
fn cancelled_requests_are_answered_as_cancelled() {
    let (_place, mut editor, uri) = start();
    let params = json!({"textDocument": {"uri": uri}});
    let ask = json!({"jsonrpc": "2.0", "id": "s", "method": "textDocument/documentSymbol", "params": params});
    let cancel = json!({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": "s"}});
    let both: String = [ask, cancel]
        .map(|one| one.to_string())
        .map(|text| format!("Content-Length: {}\r\n\r\n{text}", text.len()))
        .concat();
    editor.write(both.as_bytes());
    // Both answers are right: it depends on what was read at once.
    let answer = editor.receive();
    assert_eq!(answer["id"], "s");
    assert!(answer["result"].is_array() || answer["error"]["code"] == -32800, "{answer}");
}

/// Texts at random, half typed, with places out of range: an answer to every request, and no end of the server.
#[test]
fn no_text_and_no_place_ends_the_server() {
    let (_place, mut editor, uri) = start();
    let mut seed = 7_u64;
    let mut random = |below: u32| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as u32 % below
    };
    let pieces = [
        "\n",
        "## ",
        "@",
        "#",
        "[",
        "[when:: ",
        "::",
        "→",
        "{{ ",
        "order.",
        "\u{1f600}",
        "```",
        "---\n",
        "If ",
        "\r",
        "- ",
        "> [!gate",
        "]",
        "`",
        "\u{0}",
    ];
    let methods = [
        "hover",
        "definition",
        "references",
        "rename",
        "prepareRename",
        "documentHighlight",
        "documentSymbol",
        "completion",
        "codeAction",
        "semanticTokens/full",
        "semanticTokens/range",
        "codeLens",
    ];
    for _ in 0..300 {
        let (line, column) = (random(40), random(60));
        let to = if random(4) == 0 { (line + random(3), random(99)) } else { (line, column) };
        editor.change(&uri, ((line, column), to), pieces[random(pieces.len() as u32) as usize]);
        let at = match random(9) {
            0 => (u32::MAX, u32::MAX),
            1 => (0, u32::MAX),
            _ => (random(40), random(80)),
        };
        let method = methods[random(methods.len() as u32) as usize];
        let place = json!({"line": at.0, "character": at.1});
        let more = json!({"newName": pieces[random(pieces.len() as u32) as usize], "context": {"diagnostics": [], "includeDeclaration": true}, "range": {"start": {"line": 0, "character": 0}, "end": place}});
        editor.at(&format!("textDocument/{method}"), &uri, at, more);
        editor.notices.clear();
    }
    assert_eq!(editor.end(), (Some(0), String::new()));
}
