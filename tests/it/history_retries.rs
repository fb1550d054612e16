//! Failed items and failed steps of stored runs, retried.

use crate::history::{command, data, homes, orderflow, ran, said, scene, told};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// Orders that are paid, and shipped once there is a van; the first needs none.
const VAN: &str = r#"---
items: items.jsonl
---
# Orders

## Pay
order::Integer → paid::Integer

```sh run
echo "pay $ORDERFLOW_ITEM $ORDERFLOW_KEY" >> effects
echo "$IN_ORDER"
```

## Ship
paid → shipped::Integer

```sh run
echo "ship $ORDERFLOW_ITEM $ORDERFLOW_KEY" >> effects
test -e van || test "$IN_PAID" = 1 || { echo "no van" >&2; exit 65; }
while test -e wait-for-courier; do touch waiting; sleep 0.02; done
echo "$IN_PAID"
```
"#;

/// How often an effect was begun, under the one key that it has.
fn effects(folder: &Path, what: &str) -> usize {
    let text = fs::read_to_string(folder.join("effects")).unwrap();
    let mut keys: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix(what)).map(str::trim).collect();
    let count = keys.len();
    keys.dedup();
    assert_eq!(keys.len(), 1, "{what} has one key");
    count
}

#[test]
fn failed_items_run_again_where_they_failed_under_the_same_keys() {
    let scene = scene();
    let folder = scene.path();
    fs::write(folder.join("w.md"), VAN).unwrap();
    assert_eq!(orderflow(folder, &["run", "w.md", "--quiet"]).status.code(), Some(1));
    assert_eq!(data(folder, &["runs"])[0]["counts"]["failed"], 2);
    let (message, code) = told(folder, &["retry", "last", "--item", "o1"]);
    assert_eq!(code, Some(3), "{message}");
    assert!(message.contains("item `o1` has succeeded; nothing was run"), "{message}");
    let shown = data(folder, &["show", "last", "--item", "o2"]);
    let attempt =
        shown["steps"].as_array().unwrap().iter().flat_map(|step| step["attempts"].as_array().unwrap());
    let failed = attempt.clone().find(|attempt| !attempt["error"].is_null()).unwrap();
    let keys = |attempt: &Value| attempt.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!((&failed["outputs"], &failed["columns"]), (&json!({}), &json!({})));
    assert!(attempt.clone().all(|one| keys(one).len() == keys(failed).len()), "{shown}");

    fs::write(folder.join("van"), "").unwrap();
    let (message, code) = told(folder, &["retry", "last", "--item", "o2"]);
    assert_eq!(code, Some(1), "the third has still failed: {message}");
    assert!(message.contains("retrying 1 failed item"), "{message}");
    assert!(message.contains("3 items: 2 succeeded, 1 failed"), "{message}");
    let of = |what: &str| effects(folder, what);
    assert_eq!((of("pay o2"), of("ship o2"), of("ship o3"), of("ship o1")), (1, 2, 1, 1));

    // A retry that is killed goes on like any run.
    fs::write(folder.join("wait-for-courier"), "").unwrap();
    let mut retry = command(folder, &["retry", "last", "--quiet"]);
    let mut runner = retry.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !folder.join("waiting").exists() {
        assert!(runner.try_wait().unwrap().is_none(), "the retry ended early");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(data(folder, &["runs"])[0]["state"], "running");
    runner.kill().unwrap();
    runner.wait().unwrap();
    let line = &data(folder, &["runs"])[0];
    assert_eq!((&line["state"], &line["counts"]["in_flight"]), (&json!("paused"), &json!(1)));
    fs::remove_file(folder.join("wait-for-courier")).unwrap();
    said(folder, &["resume", "last", "--quiet"]);
    assert_eq!((of("pay o3"), of("ship o3"), of("ship o2")), (1, 3, 2));

    let show = data(folder, &["show", "last"]);
    assert_eq!((&show["state"], &show["counts"]["succeeded"]), (&json!("done"), &json!(3)));
    assert_eq!(show["items"].as_array().unwrap().len(), 3, "each item stands there once: {show}");
    assert_eq!(show["figures"]["run"]["items_by_status"], json!({"succeeded": 3}));
    let steps = data(folder, &["show", "last", "--item", "o2"])["steps"].clone();
    let attempts = steps[1]["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2);
    assert_eq!((&attempts[1]["attempt"], &attempts[1]["inputs"]), (&json!(2), &json!({"paid": 2})));
    said(folder, &["show", "last", "--session", "again.toon"]);
    let [written, again] =
        ["session.toon", "again.toon"].map(|file| fs::read_to_string(folder.join(file)).unwrap());
    assert_eq!(written, again);
    assert_eq!(told(folder, &["retry", "last"]), ("no item of this run failed\n".to_owned(), Some(0)));
}

#[test]
fn a_run_that_was_given_up_is_not_retried() {
    let scene = scene();
    let folder = scene.path();
    fs::write(folder.join("w.md"), VAN).unwrap();
    assert_eq!(orderflow(folder, &["run", "w.md", "--quiet"]).status.code(), Some(1));
    fs::write(homes(folder)[0].join("cancel"), "").unwrap();
    let (message, code) = told(folder, &["retry", "last"]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("was cancelled and does not continue"), "{message}");
}

/// A step that runs once after all items is asked again under its key, with what the items had made.
#[test]
fn failed_steps_of_the_run_run_again() {
    let place = crate::place::Place::new(
        "# T\n\n## Make\norder -> made::Integer\n\n```sh run\n[ $ORDERFLOW_ITEM != bad ] || exit 65\necho 1\n```\n\n\
         ## Sum [per:: run]\nmade::Integer[] -> sum::Integer\n\n```sh run\n\
         echo \"$ORDERFLOW_KEY $(cat)\" >> asked\n[ -e open ] || exit 65\necho 2\n```\n\n\
         ## Tell\nsum -> told::Integer\n\n```sh run\necho 3\n```\n",
    );
    place.write("items.jsonl", "{\"id\": \"good\"}\n{\"id\": \"bad\"}\n");
    assert_eq!(place.run("--items items.jsonl --tolerate 1").exit, Some(1));
    let told = place.orderflow("resume last");
    assert!(told.err.contains("; retry what failed: orderflow retry "), "{}", told.err);
    assert_eq!(place.orderflow("retry last --trust --item run").exit, Some(1), "it fails once more");
    place.write("open", "");
    let told = place.orderflow("retry last --trust --item run");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert!(told.err.starts_with("retrying the steps for all items\n"), "{}", told.err);
    let asked = place.read("asked");
    let asked: Vec<&str> = asked.lines().collect();
    assert!(asked.len() == 3 && asked.iter().all(|line| *line == asked[0]), "{asked:?}");
    let rows = place.rows("session.toon");
    let error = "exited with 65 (bad input)";
    let failed = format!("Sum - #1 failed ({error})");
    assert_eq!(rows[2..], [&failed, &failed, "Sum - #1 success", "Tell - #1 success"], "{rows:?}");
    place.orderflow("show last --session again.toon");
    assert_eq!(place.read("again.toon"), place.read("session.toon"));
    assert!(place.orderflow("show last --item run").out.starts_with("run: succeeded\n"));
    assert_eq!(place.orderflow("retry last --trust --item run").exit, Some(3), "they have not failed");
    assert_eq!(place.orderflow("resume last").exit, Some(0));
}

#[test]
fn a_run_with_failed_items_says_that_they_can_run_again_also_after_the_steps_for_all_items() {
    let scene = scene();
    let folder = scene.path();
    ran(folder);
    let (message, _) = told(folder, &["resume", "last"]);
    assert!(
        message.contains(" has ended: ") && message.contains("; retry what failed: orderflow retry "),
        "{message}"
    );
    let (message, code) = told(folder, &["retry", "last", "--item", "run"]);
    assert_eq!(code, Some(3));
    let why = "the steps that run once for all items have not failed; nothing was run\n";
    assert!(message.contains(why), "{message}");
}
