//! Conditions from the command line: branches, joins, skips, and what cannot be decided.

use crate::place::Place;
use crate::python;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Runs a document for items; a line an item with its executions, and the exit code.
fn run(document: &str, items: &str) -> (String, Option<i32>) {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("w.md"), document).unwrap();
    fs::write(folder.path().join("items.jsonl"), items).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_orderflow"))
        .args(["run", "w.md", "--items", "items.jsonl", "--trust", "--quiet", "--jobs", "4"])
        .env("PATH", python::path())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(folder.path().join("session.toon").exists(), "{told}");
    (rows(&folder.path().join("session.toon")), output.status.code())
}

fn rows(session: &Path) -> String {
    let mut told: Vec<(String, String)> = Vec::new();
    let read = orderflow::session::read_session(fs::File::open(session).unwrap(), |_, row| {
        let row = row.to_row();
        let item = row.item.unwrap().to_string();
        let mark = match row.status.name() {
            "success" => String::new(),
            status => format!("={status}"),
        };
        let why = row.error.map(|error| format!(" ({error})")).unwrap_or_default();
        let cell = format!("{}{mark}{why}", row.phase);
        match told.last_mut() {
            Some((last, cells)) if *last == item => *cells += &format!(", {cell}"),
            _ => told.push((item, cell)),
        }
    });
    assert!(read.unwrap().problems.is_empty());
    told.into_iter().map(|(item, cells)| format!("{item}: {cells}\n")).collect()
}

#[test]
fn numbers_are_exact_and_integers_are_plain() {
    let document = r#"# Orders

## Check
net::Number, tax::Number, total::Number, count::Number → half::Integer, all::JSON

If net + tax == total and count % 2 == 1 → Book
Otherwise → Refuse

```sh run
echo '{"half": 5.0, "all": [1.0, {"a": 1e2}]}'
```

## Book [when:: half == 5 and [1, half] == [1.0, 5] and 1.0 in all]
half, all → next::Integer, big::Integer

```sh run
echo "{\"next\": $((IN_HALF + 1)).0, \"big\": 12e2}"
```

## Send [when:: next * 100 + 600 == big]
next, big → sent::String

```sh run
echo "$IN_NEXT $IN_BIG $(grep -o '"big":[0-9.e+]*' "$ORDERFLOW_INPUT")"
```

## Refuse
half → refused::String

```sh run
echo "$IN_HALF"
```
"#;
    let items = "{\"id\": 1, \"net\": 0.10, \"tax\": 0.20, \"total\": 0.30, \"count\": 9007199254740993}\n\
                 {\"id\": 2.0, \"net\": 0.10, \"tax\": 0.20, \"total\": 0.31, \"count\": 1}\n";
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("w.md"), document).unwrap();
    fs::write(folder.path().join("items.jsonl"), items).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_orderflow"))
        .args(["run", "w.md", "--items", "items.jsonl", "--trust", "--quiet"])
        .env("PATH", python::path())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let mut labels = Vec::new();
    let session = fs::File::open(folder.path().join("session.toon")).unwrap();
    orderflow::session::read_session(session, |_, row| {
        let row = row.to_row();
        labels.push(format!("{} {} {:?}", row.item.unwrap(), row.phase, row.output.as_deref()));
    })
    .unwrap();
    labels.sort();
    assert_eq!(
        labels,
        [
            "1 Book Some(\"6\")",
            "1 Check Some(\"5\")",
            "1 Refuse None",
            "1 Send Some(\"6 1200 \\\"big\\\":1200\")",
            "2 Book None",
            "2 Check Some(\"5\")",
            "2 Refuse Some(\"5\")",
        ]
    );
    // The same number twice is the same item twice, and what is not whole is no integer.
    let run = |items: &str| {
        fs::write(folder.path().join("items.jsonl"), items).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_orderflow"))
            .args(["run", "w.md", "--items", "items.jsonl", "--trust", "--quiet"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        (String::from_utf8_lossy(&output.stderr).into_owned(), output.status.code())
    };
    let item = |id: &str| format!("{{\"id\": {id}, \"net\": 1, \"tax\": 1, \"total\": 2, \"count\": 1}}\n");
    let (told, exit) = run(&(item("5") + &item("5.0")));
    assert!(exit == Some(3) && told.contains("duplicate key `5`"), "{told}");
    let text = fs::read_to_string(folder.path().join("w.md")).unwrap();
    for answer in ["5.5", "1e999999999"] {
        fs::write(folder.path().join("w.md"), text.replace("\"half\": 5.0", &format!("\"half\": {answer}")))
            .unwrap();
        let (told, exit) = run(&item("5"));
        assert!(exit == Some(1) && told.contains("`half` is not of type Integer"), "{told}");
    }
}

const SHOP: &str = r#"# Shop

## Check Stock
order::JSON → stock::JSON

If stock.left > 0 → Take Payment
If stock.supplier is not none, proceed to Order More
Otherwise → Refuse Order

```sh run
printf '{"stock": %s}' "$(sed 's/.*"order":\({[^}]*}\).*/\1/' "$ORDERFLOW_INPUT")"
```

## Take Payment
order → outcome::String, paid::Boolean

```sh run
echo '{"outcome": "paid", "paid": true}'
```

## Order More
stock → outcome::String

If outcome == "no" → fail "the supplier does not answer"

```sh run
grep -q '"supplier":"ok"' "$ORDERFLOW_INPUT" && echo ordered || echo no
```

## Refuse Order
stock → outcome::String

```sh run
echo refused
```

## Tell Customer
outcome → told::String

```sh run
echo "$IN_OUTCOME"
```

## Add Gift [when:: paid and order.total > 100]
order → gift::String

```sh run
echo mug
```
"#;

#[test]
fn one_branch_is_taken_and_the_others_are_skipped() {
    let items = r#"{"id":"plenty","left":3,"total":150}
{"id":"cheap","left":3,"total":50}
{"id":"reorder","left":0,"supplier":"ok"}
{"id":"silent","left":0,"supplier":"no"}
{"id":"none","left":0,"supplier":null}
{"id":"typo","left":3,"totl":1}
"#;
    let (told, exit) = run(SHOP, items);
    let expected = "\
plenty: CheckStock, TakePayment, OrderMore=skipped, RefuseOrder=skipped, TellCustomer, AddGift
cheap: CheckStock, TakePayment, OrderMore=skipped, RefuseOrder=skipped, TellCustomer, AddGift=skipped
reorder: CheckStock, TakePayment=skipped, OrderMore, RefuseOrder=skipped, TellCustomer
silent: CheckStock, TakePayment=skipped, OrderMore=failed (the supplier does not answer), RefuseOrder=skipped
none: CheckStock, TakePayment=skipped, OrderMore=skipped, RefuseOrder, TellCustomer
typo: CheckStock, TakePayment, OrderMore=skipped, RefuseOrder=skipped, TellCustomer, \
AddGift=failed (the condition `paid and order.total > 100`: it has no `total`; did you mean `totl`?)
";
    assert_eq!(told, expected);
    assert_eq!(exit, Some(1));
}

#[test]
fn a_skip_leaves_out_what_lies_between_and_end_ends_the_item() {
    let document = r#"# Review

## Draft
size::Integer → draft::String

If size < 10 → skip to Publish
If size > 100 → end

```sh run
echo text
```

## Review (parallel)

### Check Facts
draft → facts::Boolean

```sh run
echo true
```

### Check Style
draft → style::Boolean

```sh run
echo true
```

## Publish
draft → page::String

```sh run
echo page
```
"#;
    let (told, exit) = run(
        document,
        "{\"id\":\"short\",\"size\":3}\n{\"id\":\"usual\",\"size\":50}\n{\"id\":\"long\",\"size\":500}\n",
    );
    let expected = "\
short: Draft, CheckFacts=skipped, CheckStyle=skipped, Publish
usual: Draft, CheckFacts, CheckStyle, Publish
long: Draft
";
    assert_eq!((told.as_str(), exit), (expected, Some(0)));
}

#[test]
fn a_condition_guards_a_whole_group() {
    let document = r#"# Parcel

## Weigh
parcel::JSON → heavy::Boolean

```sh run
grep -q heavy "$ORDERFLOW_INPUT" && echo true || echo false
```

## Freight [when:: heavy]

### Call Truck
parcel → truck::String

```sh run
echo truck
```

### Load Truck
truck → loaded::Boolean

```sh run
echo true
```

## Post It [when:: not heavy]
parcel → posted::Boolean

```sh run
echo true
```
"#;
    let (told, _) = run(document, "{\"id\":\"a\",\"w\":\"heavy\"}\n{\"id\":\"b\",\"w\":\"light\"}\n");
    let expected = "\
a: Weigh, CallTruck, LoadTruck, PostIt=skipped
b: Weigh, CallTruck=skipped, LoadTruck=skipped, PostIt
";
    assert_eq!(told, expected);
}

#[test]
fn a_session_with_skipped_rows_is_told_again_as_it_was() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("w.md"), SHOP).unwrap();
    fs::write(folder.path().join("i.jsonl"), "{\"id\":\"cheap\",\"left\":3,\"total\":50}\n").unwrap();
    let orderflow = |args: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_orderflow")).args(args).current_dir(folder.path()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    orderflow(&["run", "w.md", "--items", "i.jsonl", "--trust"]);
    let live: Value =
        serde_json::from_slice(&orderflow(&["stats", "session.toon", "--format", "json"])).unwrap();
    let told = orderflow(&["run", "w.md", "--replay=session.toon", "--format", "json"]);
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told, live);
    assert_eq!(live["run"]["items_by_status"], serde_json::json!({"succeeded": 1}));
}

/// Sentences that begin as decisions do are no decisions, and a value may be called `when`.
#[test]
fn honest_sentences_and_signatures_are_no_decisions() {
    let place = Place::new(
        "\
# Shop

## Count @shop
order::JSON → total::Number, approved::Boolean, when::String

## Take Payment @bank [when:: approved]
total → paid::String

If approved, take the payment.
If total > 100, Take Payment is skipped by hand.
If not approved, then Take Payment never happens.
If total > 100, take care.
If total > 100, reviewing takes longer.
If total == 0, shipping is free.
If total == 0: Nothing is packed
When total > 100, Ada looks at it
If total > 3, Rome is not far

## Review @boss
when → done::String

## Done @shop
when → finished::String

## Ship Order @depot
done → parcel::String
",
    );
    let told = place.orderflow("validate --strict flow.md");
    assert_eq!((told.exit, told.out.as_str()), (Some(0), ""), "{}", told.err);
    let graph: Value = serde_json::from_str(&place.orderflow("graph flow.md --format json").out).unwrap();
    let steps = graph["steps"].as_array().unwrap();
    let review = steps.iter().find(|step| step["title"] == "Review").unwrap();
    assert_eq!((&review["inputs"], &review["outputs"]), (&json!(["when"]), &json!(["done"])));
}

#[test]
fn a_condition_may_ask_whether_a_value_was_made() {
    let document = "# Shop\n\n## Ask\norder::JSON → ok::Boolean\n\n```sh run\nsed 's/.*\"ok\": *\\([a-z]*\\).*/\\1/' \"$ORDERFLOW_INPUT\"\n```\n\n\
        ## Review [when:: ok]\norder → review::String\n\n```sh run\necho fine\n```\n\n\
        ## Thank [when:: review is defined and review == \"fine\"]\nreview? → thanked::String\n\n```sh run\necho thanks\n```\n\n\
        ## Remind [when:: review is not defined]\nreview? → reminded::String\n\n```sh run\necho please\n```\n";
    let items = "{\"id\":\"a\",\"ok\":true}\n{\"id\":\"b\",\"ok\":false}\n";
    let (rows, exit) = run(document, items);
    assert_eq!(
        rows,
        "a: Ask, Review, Thank, Remind=skipped\nb: Ask, Review=skipped, Thank=skipped, Remind\n"
    );
    assert_eq!(exit, Some(0));
}
