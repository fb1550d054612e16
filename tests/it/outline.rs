//! The outline of a run: its states, its time while it lives, and where it is read from.

use crate::place::Place;
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const WAITING: &str = "# Flow\n\n## Wait\nname::String → waited::String\n\n```sh run\ntouch \"$HERE/began\"\n\
                       until test -e \"$HERE/go\"; do sleep 0.05; done\necho done\n```\n";

/// A place whose step waits for the file `go`.
fn waiting() -> Place {
    let place = Place::new("");
    let here = place.folder().to_str().unwrap().to_owned();
    place.write("flow.md", &WAITING.replace("$HERE", &here));
    place
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what} does not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn json(place: &Place, args: &str) -> Value {
    let told = place.orderflow(&format!("{args} --format json"));
    assert_eq!(told.exit, Some(0), "{}", told.err);
    serde_json::from_str(&told.out).unwrap()
}

#[test]
fn the_time_of_a_run_that_lives_goes_on_and_a_cancelled_run_is_called_so() {
    let place = waiting();
    let mut run = place.command("run flow.md --trust --quiet --input name=Ada").spawn().unwrap();
    until("the step", || place.path("began").exists());
    let time = || json(&place, "show last")["wall_ms"].as_u64().unwrap();
    let first = time();
    until("time", || time() >= first + 300);
    let line = &json(&place, "runs")[0];
    assert_eq!(line["state"], "running");
    assert!(line["wall_ms"].as_u64().unwrap() >= 300);
    assert!(!place.orderflow("show last").out.contains("time       0 ms"));
    assert_eq!(place.orderflow("cancel last").exit, Some(0));
    run.wait().unwrap();
    assert_eq!(json(&place, "runs")[0]["state"], "cancelled");
    assert_eq!(json(&place, "show last")["state"], "cancelled");
    assert_eq!(json(&place, "runs --status cancelled").as_array().unwrap().len(), 1);
    assert_eq!(json(&place, "runs --status failed,done,unmet").as_array().unwrap().len(), 0);
    // It is over: what prune may remove.
    assert_eq!(place.orderflow("runs prune --keep 0").exit, Some(0));
    assert_eq!(json(&place, "runs").as_array().unwrap().len(), 0);
}

#[test]
fn a_run_that_does_not_meet_its_expectations_is_called_unmet() {
    let document = "# Flow\n\n## Say\nname::String → said::String\n\n> [!expect] count == 2\n\n```sh run\necho hi\n```\n";
    let place = Place::new(document);
    assert_eq!(place.run("--quiet --input name=Ada").exit, Some(1));
    let states =
        |place: &Place| (json(place, "runs")[0]["state"].clone(), json(place, "show last")["state"].clone());
    assert_eq!(states(&place), ("unmet".into(), "unmet".into()));
    // Also where it is computed from the journal.
    std::fs::remove_dir_all(place.path(".state/orderflow/outlines")).unwrap();
    assert_eq!(states(&place), ("unmet".into(), "unmet".into()));
    assert_eq!(json(&place, "runs --status unmet").as_array().unwrap().len(), 1);
    let show = place.orderflow("show last").out;
    assert!(show.contains("state      unmet") && show.contains("count == 2"), "{show}");
    place.write("flow.md", &document.replace("== 2", "== 1"));
    assert_eq!(place.run("--quiet --input name=Ada").exit, Some(0));
    assert_eq!(states(&place), ("done".into(), "done".into()));
}

/// The only outline that is stored.
fn stored(place: &Place) -> PathBuf {
    let folder = std::fs::read_dir(place.path(".state/orderflow/outlines")).unwrap();
    let all: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    let [only] = all.as_slice() else { panic!("{all:?}") };
    only.clone()
}

#[test]
fn a_list_reads_an_outline_and_whatever_acts_reads_the_journal() {
    let document = "# Flow\n\n## Say\nname::String → said::String\n\n```sh run\ntest \"$IN_NAME\" != Bo || test -e mended || exit 3\necho hi\n```\n";
    let place = Place::new(document);
    place.write("items.jsonl", "{\"id\": \"a\", \"name\": \"Ada\"}\n{\"id\": \"b\", \"name\": \"Bo\"}\n");
    assert_eq!(place.run("--quiet --items items.jsonl").exit, Some(1));
    let listed = json(&place, "runs");
    assert_eq!((&listed[0]["state"], &listed[0]["counts"]["failed"]), (&"failed".into(), &1.into()));
    // What is stored at the end of a run is what the journal says.
    let outline = stored(&place);
    let text = std::fs::read_to_string(&outline).unwrap();
    std::fs::remove_file(&outline).unwrap();
    assert_eq!(json(&place, "runs"), listed);
    assert_eq!(std::fs::read_to_string(&outline).unwrap(), text);
    // It is read: who changes it in the user's own state changes the list, and nothing else.
    let forged = text
        .replace("\"failed\": 1", "\"failed\": 0")
        .replace("\"state\": \"failed\"", "\"state\": \"done\"");
    assert_ne!(forged, text);
    std::fs::write(&outline, &forged).unwrap();
    assert_eq!(json(&place, "runs")[0]["state"], "done");
    assert_eq!(json(&place, "show last")["state"], "failed");
    assert_eq!(json(&place, "runs --step Say --status failed").as_array().unwrap().len(), 1);
    // A copy of the run's folder is another run, whose outline is its own.
    let home = listed[0]["path"].as_str().unwrap();
    let copy = place.path(".orderflow/runs/copy");
    let copied = std::process::Command::new("cp").args(["-r", home, copy.to_str().unwrap()]).status();
    assert!(copied.unwrap().success());
    let states: Vec<_> =
        json(&place, "runs").as_array().unwrap().iter().map(|run| run["state"].clone()).collect();
    assert!(states.contains(&"done".into()) && states.contains(&"failed".into()), "{states:?}");
    std::fs::remove_dir_all(&copy).unwrap();
    // It is of no use where others than the user may have written it, or where it makes no sense.
    for broken in ["", "{}", &text[..text.len() / 2]] {
        std::fs::write(&outline, broken).unwrap();
        assert_eq!(json(&place, "runs"), listed);
    }
    // A retry takes the journal's word, and its outcome is listed.
    std::fs::write(&outline, &forged).unwrap();
    let told = place.orderflow("retry last --trust --quiet");
    assert!(told.exit == Some(1) && !told.err.contains("no item"), "{}", told.err);
    assert_eq!(json(&place, "runs")[0]["state"], "failed");
    // Where the journal was changed, it is read.
    let journal = PathBuf::from(home).join("journal.db");
    let mut bytes = std::fs::read(&journal).unwrap();
    let at = bytes.windows(9).position(|part| part == b"\"started\"").unwrap();
    bytes[at + 1] = b'X';
    std::fs::write(&journal, bytes).unwrap();
    assert_eq!(json(&place, "runs")[0]["state"], "unreadable");
}
