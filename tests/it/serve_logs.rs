//! What attempts logged, over HTTP, and the page with all runs.

use crate::page::text;
use crate::place::Place;
use crate::serving::Serving;
use serde_json::{Value, json};

const FLOW: &str = "\
---
items: items.jsonl
key: id
tolerate: 100%
---
# Boxes

## Weigh
box::String → grams::Integer

```sh run
echo \"weighing $IN_BOX\" >&2
test \"$IN_BOX\" != lead || exit 65
echo 1
```

## Load
grams → loaded::Integer

> [!gate] Load it?

```sh run
echo loading >&2
echo 1
```
";

fn served() -> (Place, Serving) {
    let place = Place::new(FLOW);
    place.write("orderflow.toml", "fences = true\n");
    place.write("items.jsonl", "{\"id\": \"a\", \"box\": \"vase\"}\n{\"id\": \"b\", \"box\": \"lead\"}\n");
    assert_eq!(place.run("--quiet --jobs 1").exit, Some(5));
    assert_eq!(place.orderflow("approve last Load --resume --quiet").exit, Some(0));
    let server = Serving::start(place.command("serve"));
    (place, server)
}

/// The item, the step and the text of each part.
fn parts(answer: &Value) -> Vec<(&str, &str, &str)> {
    let all = answer["parts"].as_array().unwrap().iter();
    all.map(|one| {
        (one["item"].as_str().unwrap(), one["step"].as_str().unwrap(), one["text"].as_str().unwrap())
    })
    .collect()
}

#[test]
fn logs_are_read_in_parts_and_by_step_and_item() {
    let (_place, server) = served();
    let all = server.json("/api/runs/last/logs");
    assert_eq!(
        parts(&all),
        [("a", "Weigh", "weighing vase\n"), ("b", "Weigh", "weighing lead\n"), ("a", "Load", "loading\n")]
    );
    assert_eq!(all["parts"][0]["stream"], "stderr");
    assert_eq!((&all["parts"][0]["attempt"], &all["parts"][0]["left_out"]), (&json!(1), &Value::Null));
    let first = server.json("/api/runs/last/logs?limit=1");
    assert_eq!(parts(&first), [("a", "Weigh", "weighing vase\n")]);
    let rest = server.json(&format!("/api/runs/last/logs?after={}", first["next"]));
    assert_eq!(parts(&rest), parts(&all)[1..]);
    assert_eq!(rest["next"], all["next"]);
    let none = server.json(&format!("/api/runs/last/logs?after={}", all["next"]));
    assert_eq!((parts(&none).len(), &none["next"]), (0, &all["next"]));
    let one = server.json("/api/runs/last/logs?step=Weigh&item=b&attempt=1");
    assert_eq!(parts(&one), [("b", "Weigh", "weighing lead\n")]);
    assert_eq!(parts(&server.json("/api/runs/last/logs?attempt=2")).len(), 0);
    assert_eq!(parts(&server.json("/api/runs/last/logs?item=nothing")).len(), 0);
    let unknown = server.get("/api/runs/last/logs?step=Paint");
    assert_eq!((unknown.status, &unknown.json()["error"]), (404, &json!("the run has no step Paint")));
    for wrong in ["after=x", "limit=0", "limit=1001", "attempt=-1", "steps=Weigh"] {
        assert_eq!(server.get(&format!("/api/runs/last/logs?{wrong}")).status, 400, "{wrong}");
    }
}

/// With a step, those of the documents that it runs follow, over the pages, too.
#[test]
fn logs_of_documents_are_read_by_the_step_that_runs_them() {
    let place = Place::new(
        "---\nitems: items.jsonl\njobs: 1\n---\n\n# Boxes\n\n## Check [document:: check.md]\nbox::String → grams::Integer\n",
    );
    place.write("orderflow.toml", "fences = true\n");
    place.write(
        "check.md",
        "# Check\n\n## Weigh\nbox::String → grams::Integer\n\n```sh run\necho \"weighing $IN_BOX\" >&2\necho 1\n```\n\n\
         ## Wrap\ngrams → wrapped::Integer\n\n```sh run\necho wrapping >&2\necho 1\n```\n",
    );
    place.write("items.jsonl", "{\"id\": \"a\", \"box\": \"vase\"}\n{\"id\": \"b\", \"box\": \"jug\"}\n");
    assert_eq!(place.run("--quiet").exit, Some(0));
    let server = Serving::start(place.command("serve"));
    let of = |query: &str| server.json(&format!("/api/runs/last/logs?{query}"));
    let all = of("step=Check");
    let (vase, jug) = (("a", "Check/Weigh", "weighing vase\n"), ("b", "Check/Weigh", "weighing jug\n"));
    let wraps = |item| (item, "Check/Wrap", "wrapping\n");
    assert_eq!(parts(&all), [vase, wraps("a"), jug, wraps("b")]);
    let mut after = json!(0);
    for one in parts(&all) {
        let page = of(&format!("step=Check&limit=1&after={after}"));
        assert_eq!(parts(&page), [one]);
        after = page["next"].clone();
    }
    assert_eq!(after, all["next"]);
    assert_eq!(parts(&of(&format!("step=Check&after={after}"))).len(), 0);
    assert_eq!(parts(&of("step=Check/Weigh")), [vase, jug]);
    assert_eq!(parts(&of("step=Check/Weigh&item=b&attempt=1")), [jug]);
    assert_eq!(server.get("/api/runs/last/logs?step=Check/Paint").status, 404);
}

#[test]
fn the_runs_that_need_somebody_are_first_in_the_list() {
    let (place, server) = served();
    let list = server.get("/");
    assert_eq!(list.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(list.header("content-security-policy").unwrap().contains("connect-src 'self'"), "{}", list.head);
    let rows = text(&list.text(), "<tbody", "</tbody>");
    assert!(rows.starts_with("done Boxes 1 failed 1 succeeded 20"), "{rows}");
    assert!(list.text().contains("<title>Runs</title>"));
    place.write("flow.md", &FLOW.replace("# Boxes", "# Crates"));
    assert_eq!(place.run("--quiet").exit, Some(5));
    place.write("flow.md", &FLOW.replace("# Boxes", "# Later").replace("> [!gate] Load it?\n\n", ""));
    assert_eq!(place.run("--quiet").exit, Some(0));
    let list = server.get("/").text();
    assert!(list.contains("<title>(1) Runs</title>"));
    let rows = text(&list, "<tbody", "</tbody>");
    assert!(rows.starts_with("waiting Crates 1 waiting 1 failed 20"), "{rows}");
    let places: Vec<Option<usize>> =
        ["Crates", "Later", "Boxes"].iter().map(|name| rows.find(name)).collect();
    assert!(places.is_sorted() && places[0].is_some(), "{rows}");
}
