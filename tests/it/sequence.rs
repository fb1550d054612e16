//! `graph --format sequence`: what happened to an item, between its agents and those that they report messages of.

use crate::place::{Place, says};

const DOCUMENT: &str = "\
# Shop

## Check Stock @stock
order::String → stock::String

## Take Order @sales !
order, stock → number::String

## Send Letter
number → letter::String

```sh run
[ \"$IN_NUMBER\" = no-2 ] && { echo 'no paper; #7' >&2; exit 65; }
echo \"Dear $IN_NUMBER\"
```
";

const SETTINGS: &str = r#"
fences = true
[agents.stock]
command = ["sh", "-c", "echo 12 left"]
[agents.sales]
command = ["sh", "sales.sh"]
"#;

const SALES: &str = r#"
cat > /dev/null
printf '{"number": "no-%s", "messages": [{"from": "customer", "text": "POST /orders"}, {"to": "sales-db", "text": "COMMIT; BEGIN"},
  {"to": "customer", "text": "201"}, {"to": "x", "from": "y", "text": "neither"}, {"to": "z"}]}' "$ORDERFLOW_ITEM"
"#;

fn place() -> Place {
    let place = Place::new(DOCUMENT);
    place.write("orderflow.toml", SETTINGS);
    place.write("sales.sh", SALES);
    place.write("items.jsonl", "{\"id\": 1, \"order\": \"a\"}\n{\"id\": 2, \"order\": \"b\"}\n");
    let told = place.run("--items items.jsonl");
    assert_eq!(told.exit, Some(1), "{}", told.err);
    place
}

#[test]
fn a_run_is_drawn_with_its_answers_and_reported_messages() {
    let place = place();
    let told = place.orderflow("graph --format sequence --run last --item 1");
    says(
        &told,
        0,
        "\
sequenceDiagram
    participant p1 as orderflow
    participant p2 as stock
    participant p3 as sales
    participant p4 as customer
    participant p5 as sales-db
    participant p6 as Send Letter
    p1->>p2: Check Stock
    p2->>p3: Take Order (stock)
    p4->>p3: POST /orders
    p3->>p5: COMMIT#59; BEGIN
    p3-->>p4: 201
    p3->>p6: Send Letter (number)
",
        "",
    );
    let told = place.orderflow("graph --format sequence --run last --item 2");
    assert!(
        told.out.ends_with(
            "    Note over p6: Send Letter failed: exited with 65 (bad input): no paper#59; #35;7\n    Note over p1: the item failed\n"
        ),
        "{}",
        told.out
    );
    let talk = place.orderflow("show last --item 1 --conversation");
    let expected = "Take Order, attempt 1\n  received from (customer): POST /orders\n  sent to (sales-db): COMMIT; BEGIN\n  sent to (customer): 201\n";
    says(&talk, 0, expected, "");
}

#[test]
fn a_drawing_of_a_run_needs_the_run_and_the_item() {
    let place = place();
    let told = place.orderflow("graph --format sequence flow.md");
    says(
        &told,
        2,
        "",
        "error: --format sequence draws what happened in a run\n  help: name the run: orderflow graph --format sequence --run last\n",
    );
    let told = place.orderflow("graph --run last");
    assert!(told.err.contains("--run is for --format sequence"), "{}", told.err);
    let told = place.orderflow("graph --format sequence --run last");
    says(&told, 2, "", "error: the run has several items\n  help: name one: --item 1\n");
    let told = place.orderflow("graph --format sequence --run last --item 3");
    assert_eq!(told.exit, Some(3), "{}", told.err);
}
