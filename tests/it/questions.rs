//! Questions that agents ask a person at the terminal: permissions of coding agents, and values for tools of MCP servers.

use crate::coding::stand_in;
use crate::dialogue::dialogue;
use crate::mcp;
use crate::place::{Place, says};
use crate::program::told;
use crate::serving::Serving;
use serde_json::{Value, json};

const PROMPT: &str = "allow it? [y]es, once, [n]o; a note may follow: ";

/// An agent that asks to edit and to run, one after the other, and then answers.
fn asks() -> Value {
    let ask = |kind: &str| {
        let call = json!({"toolCallId": kind, "kind": kind, "title": "a.txt"});
        let options =
            json!([{"optionId": "once", "kind": "allow_once"}, {"optionId": "no", "kind": "reject_once"}]);
        json!({"ask": {"method": "session/request_permission",
            "params": {"sessionId": "s-1", "toolCall": call, "options": options}}})
    };
    json!({"session/prompt": [[ask("read"), ask("edit"), ask("execute"), {"say": "Done."}, {"end": "end_turn"}]]})
}

/// A document whose agent asks, with these settings of it.
pub fn place(settings: &str) -> Place {
    let place =
        Place::new("# Fix\n\n## Fix @coder\ntask::String → summary::String\n\nFix this: {{ task }}.\n");
    let agent = stand_in(&place, "coder", &asks());
    place.write("orderflow.toml", &format!("[agents.coder]\n{agent}{settings}\n"));
    place
}

/// What was decided about its permissions.
pub fn decisions(place: &Place) -> Vec<String> {
    let conversation = place.orderflow("show last --item 1 --conversation").out;
    let lines = conversation.lines().filter_map(|line| line.strip_prefix("  permission: "));
    lines.map(str::to_owned).collect()
}

#[test]
fn a_person_at_the_terminal_gives_permissions_that_the_settings_do_not() {
    let place = place("allow = [\"read\"]\nask = true");
    let answers = [(PROMPT, "y, only this once"), (PROMPT, "perhaps"), (PROMPT, "no: not here")];
    let (said, exit) = dialogue(&place, "run flow.md --input task=x", &answers);
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.contains("1: @coder of Fix asks\r\n  permission to edit a.txt\r\n"), "{said}");
    let decided = decisions(&place);
    assert_eq!(decided.len(), 3, "{decided:?}");
    assert_eq!(decided[0], "permission to read a.txt: allowed");
    let (edit, execute) = (&decided[1], &decided[2]);
    assert!(
        edit.starts_with("permission to edit a.txt: allowed by ") && edit.ends_with(": only this once"),
        "{edit}"
    );
    assert!(execute.starts_with("permission to execute a.txt: rejected by "), "{execute}");
    assert!(execute.ends_with(": not here"), "{execute}");
}

#[test]
fn without_a_person_or_without_ask_the_settings_alone_decide() {
    let expected = ["read a.txt: allowed", "edit a.txt: rejected", "execute a.txt: rejected"];
    let expected = expected.map(|line| format!("permission to {line}"));
    let asking = place("allow = [\"read\"]\nask = true");
    let told = asking.orderflow("run flow.md --quiet --input task=x");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(decisions(&asking), expected);
    let silent = place("allow = [\"read\"]");
    let (said, exit) = dialogue(&silent, "run flow.md --input task=x", &[]);
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(decisions(&silent), expected);
}

/// The questions of real servers of both eras of the protocol.
#[test]
fn a_person_at_the_terminal_answers_the_questions_of_tools() {
    let Some(packages) = mcp::packages() else { return };
    let document = "# Ask\n\n## Trigger Elicitation Request @every [timeout:: 60s]\nstart → form::String\n\n\
        ## Ask Size @stock [after:: Trigger Elicitation Request]\narticle::String → size::String\n";
    let place = mcp::stock(document, &packages);
    let every = "[agents.every]\nmcp = [\"node\", \"node_modules/.bin/mcp-server-everything\"]\nask = true\n";
    place.write(
        "orderflow.toml",
        &format!("{every}[agents.stock]\nmcp = [\"node\", \"stock.mjs\"]\nask = true\n"),
    );
    let answer = "answer it? [y]es, [n]o; a note may follow: ";
    let answers = [
        (answer, "yes"),
        ("name: Your full, legal name: ", ""),
        ("name: Your full, legal name: ", "Ada"),
        ("(optional): ", "yes"),
        ("otherwise It was a dark and stormy night. (optional): ", ""),
        ("email: ", "nowhere"),
        ("email: ", "ada@example.org"),
        (" (optional): ", ""),
        (" (optional): ", ""),
        ("otherwise 42 (optional): ", "seven"),
        ("otherwise 42 (optional): ", "101"),
        ("otherwise 42 (optional): ", "7"),
        (" (optional): ", ""),
        (" (optional): ", "Ross"),
        (" (optional): ", "Piano, Drums"),
        (" (optional): ", ""),
        (" (optional): ", ""),
        (" (optional): ", ""),
        (answer, "y"),
        ("size (optional): ", "large"),
    ];
    let (said, exit) = dialogue(&place, "run flow.md --input article=hat --input start=1", &answers);
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.contains("  write a number\r\n"), "{said}");
    let item: Value = serde_json::from_str(&place.orderflow("show last --item 1 --format json").out).unwrap();
    let outputs = |step: usize, name: &str| item["steps"][step]["attempts"][0]["outputs"][name].to_string();
    let form = outputs(0, "form");
    for part in ["Ada", "ada@example.org", "7", "Ross", "Piano", "Drums"] {
        assert!(form.contains(part), "{part}: {form}");
    }
    assert_eq!(outputs(1, "size"), r#""the answer was accept: large""#, "{item}");
}

/// The only question that is open, once it has this text.
fn asked(place: &Place, server: &Serving, text: &str) -> Value {
    let open = || server.json("/api/runs/last/questions");
    place.until(text, || open()[0]["question"] == text);
    let all = open();
    assert_eq!(all.as_array().map(Vec::len), Some(1), "{all}");
    all[0].clone()
}

#[test]
fn a_person_elsewhere_answers_over_http_and_only_the_first_answer_counts() {
    let place = place("allow = [\"read\"]\nask = true");
    assert_eq!(place.orderflow("run flow.md --quiet --input task=x").exit, Some(0));
    let server = Serving::start(place.command("serve"));
    let earlier = server.json("/api/runs")[0]["name"].as_str().unwrap().to_owned();
    let started =
        server.post("/api/runs", &json!({"document": "flow.md", "inputs": {"task": "x"}}).to_string());
    assert_eq!(started.status, 201, "{started:?}");
    let edit = asked(&place, &server, "permission to edit a.txt");
    assert_eq!(
        [&edit["item"], &edit["step"], &edit["agent"], &edit["values"]],
        [&json!("1"), &json!("Fix"), &json!("coder"), &json!([])]
    );
    let answer = |question: &Value, more: Value| {
        let mut body = json!({"question": question["id"], "agrees": true});
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        server.post("/api/runs/last/answer", &body.to_string())
    };
    let page = format!("/runs/{}", started.json()["run"].as_str().unwrap());
    let shown = server.get(&page).text();
    assert!(
        shown.contains("An agent asks a person") && shown.contains("permission to edit a.txt"),
        "{shown}"
    );
    // It is active, and compared with the run that is chosen.
    assert!(
        shown.contains(&format!("<a class=\"mono\" href=\"?baseline={earlier}#view=compare\">")),
        "{shown}"
    );
    let beside = server.get(&format!("{page}?baseline={earlier}")).text();
    assert!(beside.contains(&format!("Compared with <span class=\"mono\">{earlier}</span>")), "{beside}");
    let unfit = answer(&edit, json!({"values": {"size": 1}}));
    assert_eq!(
        (unfit.status, &unfit.json()["error"]),
        (422, &json!("the question does not ask for a value `size`"))
    );
    assert_eq!(answer(&edit, json!({"by": " "})).status, 422);
    let yes = answer(&edit, json!({"by": "@ops", "note": "only this once"}));
    assert_eq!(
        (yes.status, &yes.json()["by"], &yes.json()["agrees"]),
        (200, &json!("ops"), &json!(true)),
        "{yes:?}"
    );
    for question in [&edit, &json!({"id": "never"})] {
        let late = answer(question, json!({"agrees": false}));
        let why = "the question was answered before, or its attempt has ended; the answer changes nothing";
        assert_eq!((late.status, &late.json()["error"]), (409, &json!(why)), "{late:?}");
    }
    let execute = asked(&place, &server, "permission to execute a.txt");
    assert_eq!(answer(&execute, json!({"agrees": false, "by": "bo"})).status, 200);
    place.until("done", || server.json("/api/runs/last")["state"] == "done");
    assert_eq!(server.json("/api/runs/last/questions"), json!([]));
    assert_eq!(
        decisions(&place),
        [
            "permission to read a.txt: allowed",
            "permission to edit a.txt: allowed by ops: only this once",
            "permission to execute a.txt: rejected by bo",
        ]
    );
}

#[test]
fn a_person_at_another_terminal_answers_and_is_informed() {
    let place = place("allow = [\"read\"]\nask = true");
    let settings = place.read("orderflow.toml");
    place.write("orderflow.toml", &format!("{settings}\n[notify]\ncommand = [\"sh\", \"note.sh\"]\n"));
    place.write("note.sh", "cat > \"$$.part\"; mv \"$$.part\" \"noted-$$.json\"\n");
    let run = place.begin("--input task=x --quiet --wait");
    let open = || place.orderflow("answer last --format json");
    let asks = |text: &str| place.until(text, || open().out.contains(text));
    asks("permission to edit a.txt");
    let shown = place.orderflow("answer last");
    let command = "  answer it with orderflow answer [..] Fix --item 1 --yes, or reject it with --no\n";
    says(&shown, 0, &format!("1: @coder of Fix asks: permission to edit a.txt\n{command}"), "");
    assert!(place.orderflow("runs").out.contains(", 1 question "), "{}", place.orderflow("runs").out);
    assert!(place.orderflow("top").out.contains(", 1 question "), "{}", place.orderflow("top").out);
    let line = "asks       1: an agent asks: permission to edit a.txt: orderflow answer ";
    assert!(place.orderflow("show last").out.contains(line), "{}", place.orderflow("show last").out);
    says(&place.orderflow("answer last Ship --yes"), 3, "", "error: no agent of this run asks this\n");
    let unfit = place.orderflow("answer last --yes --value size=1");
    says(&unfit, 3, "", "error: the question does not ask for a value `size`\n");
    let yes = place.orderflow("answer last Fix --item 1 --yes --as ops --note fine");
    says(&yes, 0, "answered: permission to edit a.txt\n", "");
    asks("permission to execute a.txt");
    says(&place.orderflow("answer last --no --as bo"), 0, "rejected: permission to execute a.txt\n", "");
    let told = told(run.wait_with_output().unwrap());
    assert_eq!(told.exit, Some(0), "{}", told.err);
    says(&place.orderflow("answer last"), 0, "", "no agent of this run asks anything\n");
    assert_eq!(
        decisions(&place)[1..],
        ["permission to edit a.txt: allowed by ops: fine", "permission to execute a.txt: rejected by bo"]
    );
    let notes = place.files().into_iter().filter(|name| name.starts_with("noted-"));
    let mut notes: Vec<Value> = notes.map(|name| serde_json::from_str(&place.read(&name)).unwrap()).collect();
    notes.sort_by_key(|note| note["question"].to_string());
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert_eq!([&notes[0]["agent"], &notes[0]["question"]], ["coder", "permission to edit a.txt"]);
    assert_eq!(notes[0]["approve"].as_array().unwrap()[3..], ["Fix", "--item", "1", "--yes"]);
}
