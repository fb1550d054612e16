//! Runs of documents further down than the next folder.

use crate::place::Place;

/// Own runs are found from above, however deep their document is; those of others only one folder down.
#[test]
fn own_runs_of_documents_further_down_are_found() {
    let place = Place::new("");
    let document = "# T\n\n## A\nx -> y::String\n\n```sh run\necho yes\n```\n";
    for folder in ["a", "a/b", "a/b/c"] {
        std::fs::create_dir_all(place.path(folder)).unwrap();
        place.write(&format!("{folder}/flow.md"), document);
        place.write(&format!("{folder}/orderflow.toml"), "fences = true\n");
        let run = place.orderflow(&format!(
            "run {folder}/flow.md --input x=1 --run-id run-of-{}",
            folder.replace('/', "-")
        ));
        assert_eq!(run.exit, Some(0), "{}", run.err);
    }
    let listed = |place: &Place| {
        let all: serde_json::Value =
            serde_json::from_str(&place.orderflow("runs --format json").out).unwrap();
        let runs = all.as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap().to_owned());
        let mut runs: Vec<String> = runs.collect();
        runs.sort();
        runs
    };
    assert_eq!(listed(&place), ["run-of-a", "run-of-a-b", "run-of-a-b-c"]);
    assert!(place.orderflow("show last").out.contains("run-of-a-b-c"));
    assert_eq!(place.orderflow("show run-of-a-b").exit, Some(0));
    // Without this user's records, nothing but the next folders is searched.
    std::fs::remove_dir_all(place.path(".state")).unwrap();
    assert_eq!(listed(&place), ["run-of-a"]);
}
