//! The page of a run in a real browser: without a request, by keyboard, for screen readers, at any moment of the run, and
//! served, while the run is active.

use crate::page::parcels;
use crate::parts::found;
use crate::place::Place;
use crate::questions::{decisions, place as asking};
use crate::serving::Serving;
use std::path::Path;
use std::process::Command;

#[test]
fn the_page_works_in_a_browser_without_a_network_and_without_a_mouse() {
    let Some(mut browser) = browser("browse.mjs") else { return };
    let place = parcels();
    let items = place.read("items.jsonl");
    place.write("items.jsonl", "{\"id\": \"p2\", \"parcel\": \"light stone\"}\n");
    assert_eq!(place.run("--key id --quiet").exit, Some(0));
    place.write("items.jsonl", &items);
    assert_eq!(place.run("--key id --quiet --jobs 1").exit, Some(0));
    assert_eq!(place.orderflow("report last -o page.html").exit, Some(0));
    let gate = Place::new(
        "# Pay\n\n## Refund\nsum::Integer, order::JSON → paid::Integer\n\n> [!gate by @ops] Refund {{ sum }}?\n\n```sh run\necho 1\n```\n",
    );
    let order = r#"order={"lines":[{"sku":"a","price":1.50},{"sku":"b","price":2}],"by":"{"}"#;
    assert_eq!(gate.run(&format!("--input sum=534 --input {order} --quiet")).exit, Some(5));
    assert_eq!(gate.orderflow("report last -o gate.html").exit, Some(0));
    browser.args([place.path("page.html"), gate.path("gate.html")]);
    assert_well(browser);
}

const NIGHT: &str = "\
---
items: items.jsonl
key: id
tolerate: 100%
---
# Night shift

## Weigh [effects:: none]
parcel::String → grams::Integer

```sh run
echo \"weighing the $IN_PARCEL\" >&2
until test -e GO; do sleep 0.05; done
test \"$IN_PARCEL\" != stone || { echo 'it is too heavy' >&2; exit 65; }
printf '%s' \"$IN_PARCEL\" | wc -c
```

## Sign [effects:: none]
grams → signed::Boolean

> [!gate by @ops] Sign for it?

```sh run
echo true
```
";

#[test]
fn a_run_is_followed_in_a_browser_and_decided_there() {
    let Some(mut browser) = browser("follow.mjs") else { return };
    let place = Place::new("");
    let go = place.path("go");
    place.write("flow.md", &NIGHT.replace("GO", &go.to_string_lossy()));
    place.write("orderflow.toml", "fences = true\n");
    let items = ["vase", "stone", "book"].iter().zip(1..);
    let items =
        items.map(|(parcel, number)| format!("{{\"id\": \"p{number}\", \"parcel\": \"{parcel}\"}}\n"));
    place.write("items.jsonl", &items.collect::<String>());
    let server = Serving::start(place.command("serve"));
    let started = server.post("/api/runs", "{\"document\": \"flow.md\"}");
    assert_eq!(started.status, 201, "{started:?}");
    browser.arg(format!("http://{}/?token={}", server.address, server.token)).arg(&go);
    assert_well(browser);
    let story = place.orderflow("show last --item p1").out;
    assert!(story.contains("approved by ops: it looks right"), "{story}");
    let story = place.orderflow("show last --item p3").out;
    assert!(story.contains("rejected by ops"), "{story}");
    let story = place.orderflow("show last --item p2").out;
    assert!(story.contains("pebble"), "{story}");
}

#[test]
fn what_an_agent_asks_is_answered_in_a_browser() {
    let Some(mut browser) = browser("asked.mjs") else { return };
    let place = asking("allow = [\"read\"]\nask = true");
    let server = Serving::start(place.command("serve"));
    let started = server.post("/api/runs", "{\"document\": \"flow.md\", \"inputs\": {\"task\": \"x\"}}");
    assert_eq!(started.status, 201, "{started:?}");
    let run = started.json()["run"].as_str().unwrap().to_owned();
    browser.arg(format!("http://{}/?token={}", server.address, server.token)).arg(format!("/runs/{run}"));
    assert_well(browser);
    let told = decisions(&place);
    assert!(
        told[1].starts_with("permission to edit a.txt: allowed by ") && told[1].ends_with(": it is fine"),
        "{told:?}"
    );
    assert!(told[2].starts_with("permission to execute a.txt: rejected by "), "{told:?}");
}

/// A script in Node with Chromium, if both are there.
fn browser(script: &str) -> Option<Command> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules = root.join("target/chrome/node_modules");
    let chromium =
        ["/usr/bin/chromium", "/usr/bin/chromium-browser"].into_iter().find(|path| Path::new(path).exists());
    let there =
        chromium.filter(|_| modules.join("puppeteer-core").is_dir() && modules.join("axe-core").is_dir());
    let chromium = found("chrome", "chromium, and puppeteer-core and axe-core from npm", there)?;
    let mut node = Command::new("node");
    node.arg(root.join("tests/it/support").join(script)).arg(root.join("target/chrome")).arg(chromium);
    Some(node)
}

#[track_caller]
fn assert_well(mut browser: Command) {
    let said = browser.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{out}\n{err}");
    assert!(out.ends_with("all is well\n"), "{out}\n{err}");
}
