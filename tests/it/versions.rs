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

/// What the lines of a journal say that hold events, whichever form they have.
fn forms(place: &Place) -> (usize, usize) {
    let home = place.path("stored");
    let lines = rusqlite::Connection::open(home.join(orderflow::journal::FILE)).unwrap();
    let mut rows = lines.prepare("SELECT records FROM batch").unwrap();
    let rows = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let rows: String = rows.map(Result::unwrap).collect();
    let events = rows.lines().filter(|line| line.starts_with("{\"event\""));
    let (current, flat): (Vec<&str>, Vec<&str>) =
        events.partition(|line| line.starts_with("{\"event\":{\"at\":"));
    (flat.len(), current.len())
}

#[test]
fn a_run_that_has_ended_is_shown_listed_and_stays_over() {
    for version in ["1.1", "2.0"] {
        let place = stored(&format!("{version}-ended"));
        let run = shown(&place);
        assert_eq!((&run["state"], &run["counts"]["succeeded"]), (&json!("done"), &json!(2)));
        let item = place.orderflow("show ./stored --item o2").out;
        assert!(item.contains("currency: \"EUR\"") && item.contains("fails: exited with 65"), "{item}");
        assert_eq!(place.orderflow("show ./stored --files made").exit, Some(0));
        assert_eq!(place.read("made/000000-o1/Pack.1/box.txt"), "10.00 EUR\n");

        let runs = place.path(".orderflow/runs");
        fs::create_dir_all(&runs).unwrap();
        copy(&place.path("stored"), &runs.join(run["run"].as_str().unwrap()));
        let listed: Value = serde_json::from_str(&place.orderflow("runs --format json").out).unwrap();
        assert_eq!((&listed[0]["run"], &listed[0]["state"]), (&run["run"], &json!("done")), "{version}");
        assert_eq!(listed[0]["counts"], run["counts"]);

        assert_eq!(place.orderflow("adopt --yes ./stored").exit, Some(0));
        let resumed = place.orderflow("resume ./stored");
        assert_eq!(resumed.exit, Some(0), "{resumed:?}");
        assert!(resumed.err.contains("has ended: 2 succeeded, 1 failed"), "{}", resumed.err);
    }
}

/// They were asked for with `--only Pay --only Pack --item o1 --item o3 --duplicates skip --tolerate 50%`.
#[test]
fn a_run_that_was_killed_goes_on_as_it_was_asked_for() {
    for version in ["1.1", "2.0"] {
        let place = stored(&format!("{version}-killed"));
        assert_eq!(shown(&place)["state"], "paused");
        assert_eq!(place.orderflow("adopt --yes ./stored").exit, Some(0));
        let resumed = place.orderflow("resume ./stored --trust");
        assert_eq!(resumed.exit, Some(0), "{resumed:?}");
        let mut rows = place.rows("stored/session.toon");
        rows.sort();
        assert_eq!(
            rows,
            ["Pack o1 #1 success", "Pack o3 #1 success", "Pay o1 #1 success", "Pay o3 #1 success"],
            "{version}"
        );
        assert_eq!(shown(&place)["counts"]["total"], 2);
    }
}

/// What is added to a journal of an earlier version has the current form, and both forms are one run.
#[test]
fn a_failed_item_of_any_version_is_retried_and_what_is_added_has_the_current_form() {
    for version in ["1.1", "2.0"] {
        let place = stored(&format!("{version}-ended"));
        let (flat, current) = forms(&place);
        assert_eq!((flat > 0, current > 0), (version == "1.1", version == "2.0"));
        assert_eq!(place.orderflow("adopt --yes ./stored").exit, Some(0));
        let document = place.read("w.md");
        place.write("w.md", &document.replace("!= o2", "!= o9"));
        let retried = place.orderflow("retry ./stored --use-current --item o2 --trust");
        assert_eq!(retried.exit, Some(0), "{version}: {retried:?}");
        let counts = &shown(&place)["counts"];
        assert_eq!((&counts["succeeded"], &counts["failed"]), (&json!(3), &json!(0)), "{version}");
        assert_eq!(forms(&place).0, flat);
        assert!(forms(&place).1 > current);
        let mut rows = place.rows("stored/session.toon");
        rows.retain(|row| row.contains(" o2 "));
        assert_eq!(
            rows,
            [
                "Pay o2 #1 failed (exited with 65 (bad input): card declined)",
                "Pay o2 #1 success",
                "Pack o2 #1 success",
                "Ship o2 #1 success"
            ],
            "{version}"
        );
    }
}
