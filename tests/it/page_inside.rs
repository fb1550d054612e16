//! What is inside the steps of a page: logs, also of attempts that succeeded, files, and the runs of documents.

use crate::page::{data, page, text};
use crate::place::Place;
use serde_json::{Value, json};

#[test]
fn successful_attempts_have_their_logs() {
    let place = Place::new(
        "# Log\n\n## Try\nn::Integer → m::Integer\n\n[retry:: 2 fixed 1ms]\n\n```sh run\nprintf '\\033[31mtry\\033[0m it\\n' >&2\n\
         test -e again || { touch again; exit 75; }\necho $IN_N\n```\n\n\
         ## Silent\nm → o::Integer\n\n```sh run\necho 1\n```\n",
    );
    assert_eq!(place.run("--input n=1 --quiet").exit, Some(0));
    let data = data(&page(&place));
    let attempts = &data["details"]["0"]["attempts"];
    assert_eq!((&attempts[0]["log"], &attempts[0]["error"]["log"]), (&json!("try it\n"), &json!("")));
    assert_eq!((&attempts[1]["log"], &attempts[1]["error"]), (&json!("try it\n"), &Value::Null));
    assert_eq!(attempts[2].get("log"), None);
    assert!(data["logs"].as_i64().unwrap() >= 2, "{}", data["logs"]);
}

#[test]
fn files_have_their_sizes_and_the_beginnings_of_texts() {
    let place = Place::new(
        "# Files\n\n## Make\npin::Secret → all::File[]\n\n```sh run\ncd \"$ORDERFLOW_DIR\"\n\
         printf 'id,pin\\n1,%s\\n' \"$IN_PIN\" > a.csv; head -c 5000 /dev/zero > b.bin\n\
         yes long | head -c 9000 > c.txt; echo '[\"a.csv\", \"b.bin\", \"c.txt\"]'\n```\n\n\
         ## Send\nall → sent::Integer\n\n> [!gate] Send them?\n\n```sh run\necho 1\n```\n",
    );
    assert_eq!(place.run("--input pin=pin-of-ada --quiet").exit, Some(5));
    let shown = page(&place);
    assert!(!shown.contains("pin-of-ada"));
    let files = data(&shown)["details"]["0"]["attempts"][0]["outputs"][0]["files"].clone();
    assert_eq!(
        files[0],
        json!({"path": "000000-1/Make.1/a.csv", "bytes": 20, "text": "id,pin\n1,[secret:pin]\n"})
    );
    assert_eq!(files[1], json!({"path": "000000-1/Make.1/b.bin", "bytes": 5000}));
    assert_eq!((files[2]["bytes"].as_u64(), files[2]["text"].as_str().unwrap().len()), (Some(9000), 4000));
    // Who decides sees what would be sent.
    let needs = text(&shown, "<section class=\"needs\"", "</section>");
    assert!(needs.contains("id,pin 1,[secret:pin]"), "{needs}");
    let run = std::fs::read_dir(place.path(".orderflow/runs")).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_dir_all(run.join("items")).unwrap();
    let files = data(&page(&place))["details"]["0"]["attempts"][0]["outputs"][0].get("files").cloned();
    assert_eq!(files, None);
}

const OUTER: &str = "---\nitems: items.jsonl\ntolerate: 100%\n---\n# Changes\n\n## Fetch [compensate:: Drop]\n\
    change::String → diff::String\n\n```sh run\necho \"$IN_CHANGE\"\n```\n\n\
    ## Review [document:: review.md]\ndiff → ok::Boolean\n\n\
    ## Drop\ndiff → dropped::Boolean\n\n```sh run\necho true\n```\n";

fn changes(review: &str) -> Place {
    let place = Place::new(OUTER);
    place.write("review.md", review);
    place.write(
        "items.jsonl",
        "{\"id\": \"c1\", \"change\": \"small\"}\n{\"id\": \"c2\", \"change\": \"todo\"}\n",
    );
    place
}

/// The title, the state and the log of each step inside a document.
fn steps(ran: &Value) -> Vec<(String, String, String)> {
    let text = |step: &Value, name: &str| step[name].as_str().unwrap_or_default().to_owned();
    let steps = ran["steps"].as_array().unwrap().iter();
    steps.map(|step| (text(step, "title"), text(step, "state"), text(step, "log"))).collect()
}

#[test]
fn a_failure_inside_documents_has_its_log_at_the_cause() {
    let place = changes(
        "# Review\n\n## Read\ndiff::String → words::Integer\n\n```sh run\necho reading >&2\necho 1\n```\n\n\
        ## Check [document:: check.md]\ndiff, words → ok::Boolean\n",
    );
    place.write(
        "check.md",
        "# Check\n\n## Lint\ndiff::String, words::Integer → ok::Boolean\n\n```sh run\n\
         test \"$IN_DIFF\" != todo || { echo 'a todo is left in line 3' >&2; exit 65; }\necho true\n```\n",
    );
    assert_eq!(place.run("--quiet").exit, Some(0));
    let shown = page(&place);
    let fails = text(&shown, "<section class=\"fails\"", "</section>");
    assert!(fails.contains("a todo is left in line 3 compensated: Fetch by Drop"), "{fails}");
    let data = data(&shown);
    let step = |title: &str, state: &str, log: &str| (title.to_owned(), state.to_owned(), log.to_owned());
    let ran = &data["details"]["1"]["attempts"][1]["ran"];
    assert_eq!(ran["document"], "review.md");
    assert_eq!(
        steps(ran),
        [
            step("Read", "success", "reading\n"),
            step("Check", "failed", ""),
            step("Check/Lint", "failed", "a todo is left in line 3\n"),
        ]
    );
    let ran = &data["details"]["0"]["attempts"][1]["ran"];
    assert_eq!(steps(ran)[2], step("Check/Lint", "success", ""));
}

#[test]
fn a_gate_inside_a_document_is_on_top_of_the_page() {
    let place = changes(
        "# Review\n\n## Read\ndiff::String → words::Integer\n\n```sh run\necho 1\n```\n\n\
        ## Agree\ndiff, words → ok::Boolean\n\n> [!gate by @qa] Is {{ diff }} good?\n\n```sh run\necho true\n```\n",
    );
    assert_eq!(place.run("--quiet").exit, Some(5));
    let shown = page(&place);
    assert!(shown.contains("<title>(2) waiting: Changes · "));
    let needs = text(&shown, "<section class=\"needs\"", "</section>");
    assert!(
        needs.starts_with(
            "2 items wait for a person Review/Agree : 2 items, for qa Approve Review/Agree begins"
        ),
        "{needs}"
    );
    assert!(needs.contains("then compensated: Fetch by Drop orderflow approve"), "{needs}");
    assert!(needs.contains("c2 Is todo good? waits since 20"), "{needs}");
    let margin = text(&shown, "aria-label=\"Review: what happened\"", "</div>");
    assert!(margin.contains("2 wait in its document"), "{margin}");
    let ran = &data(&shown)["details"]["0"]["attempts"][1]["ran"];
    assert_eq!(steps(ran)[1].1, "waiting");
    // The command that the page shows for one item decides about it.
    let command = needs.split("orderflow ").find(|command| command.contains("--item c2")).unwrap().trim();
    assert!(command.starts_with("approve "), "{command}");
    assert_eq!(place.orderflow(&format!("{command} --resume")).exit, Some(5));
    let needs = text(&page(&place), "<section class=\"needs\"", "</section>");
    assert!(needs.starts_with("1 item waits for a person Review/Agree c1 Is small good?"), "{needs}");
    assert_eq!(place.orderflow("reject last Review/Agree --as qa --resume").exit, Some(0));
    assert!(!page(&place).contains("class=\"needs\""));
}

#[test]
fn many_items_at_a_gate_have_one_decision_and_their_own() {
    let place = Place::new(
        "---\nitems: items.jsonl\n---\n# Sign\n\n## Sign\nn::Integer → m::Integer\n\n> [!gate by @ops] Sign {{ n }}?\n\n```sh run\necho 1\n```\n",
    );
    place.write(
        "items.jsonl",
        &(1..=5).map(|n| format!("{{\"id\": \"s{n}\", \"n\": {n}}}\n")).collect::<String>(),
    );
    assert_eq!(place.run("--quiet --jobs 1").exit, Some(5));
    let shown = page(&place);
    let needs = text(&shown, "<section class=\"needs\"", "</section>");
    assert!(
        needs.starts_with("5 items wait for a person Sign : 5 items, for ops Approve Sign begins"),
        "{needs}"
    );
    assert_eq!(needs.matches("Sign begins").count(), 1, "{needs}");
    assert!(needs.contains("s3 Sign 3?"), "{needs}");
    assert!(needs.contains("2 more items s4 Sign 4?"), "{needs}");
    assert_eq!(needs.matches("orderflow approve").count(), 6, "{needs}");
    let all = needs.split("orderflow ").nth(1).unwrap().trim();
    assert_eq!(place.orderflow(&format!("{all} --resume")).exit, Some(0), "{all}");
}
