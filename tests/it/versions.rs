//! Runs that earlier versions have stored, with what they were asked for: they are shown, taken over, and go on.

use crate::place::Place;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A folder with the document, its items and a stored run, called `stored`.
fn stored(run: &str) -> Place {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/runs");
    let place = Place::new("");
    for file in ["w.md", "orders.csv"] {
        fs::copy(fixtures.join(file), place.path(file)).unwrap();
    }
    copy(&fixtures.join(run), &place.path("stored"));
    place
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

fn shown(place: &Place) -> Value {
    serde_json::from_str(&place.orderflow("show ./stored --format json").out).unwrap()
}

#[test]
fn a_run_of_1_1_that_has_ended_is_shown_and_stays_over() {
    let place = stored("1.1-ended");
    let run = shown(&place);
    assert_eq!((&run["state"], &run["counts"]["succeeded"]), (&json!("done"), &json!(2)));
    let item = place.orderflow("show ./stored --item o2").out;
    assert!(item.contains("currency: \"EUR\"") && item.contains("fails: exited with 65"), "{item}");
    assert_eq!(place.orderflow("show ./stored --files made").exit, Some(0));
    assert_eq!(place.read("made/000000-o1/Pack.1/box.txt"), "10.00 EUR\n");

    assert_eq!(place.orderflow("adopt --yes ./stored").exit, Some(0));
    let resumed = place.orderflow("resume ./stored");
    assert_eq!(resumed.exit, Some(0), "{resumed:?}");
    assert!(resumed.err.contains("has ended: 2 succeeded, 1 failed"), "{}", resumed.err);
}

/// It was asked for with `--only Pay --only Pack --item o1 --item o3 --duplicates skip --tolerate 50%`.
#[test]
fn a_run_of_1_1_that_was_killed_goes_on_as_it_was_asked_for() {
    let place = stored("1.1-killed");
    assert_eq!(shown(&place)["state"], "paused");
    assert_eq!(place.orderflow("adopt --yes ./stored").exit, Some(0));
    let resumed = place.orderflow("resume ./stored --trust");
    assert_eq!(resumed.exit, Some(0), "{resumed:?}");
    let mut rows = place.rows("stored/session.toon");
    rows.sort();
    assert_eq!(rows, ["Pack o1 #1 success", "Pack o3 #1 success", "Pay o1 #1 success", "Pay o3 #1 success"]);
    assert_eq!(shown(&place)["counts"]["total"], 2);
}
