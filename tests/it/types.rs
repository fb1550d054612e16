//! Named types at work: items and inputs before anything starts, outputs when they come back, files where they
//! must lie.

use crate::place::Place;
use serde_json::Value;

const SHOP: &str = r#"# Shop

## Price
order::Order -> priced::Priced

```python run
import json, sys
order = json.load(sys.stdin)["order"]
sys.stdout.write(order.get("answer") or '{"priced": {"state": "open", "total": %s}}' % order["total"])
```

## Types

```ts
// What a customer wants.
interface Order {
  order_id: string
  total: number
  items?: Item[]
  answer?: string
}

interface Item { sku: string; price: number }

interface Priced { state: State; total: number }

type State = "open" | "paid"
```
"#;

#[test]
fn items_are_held_against_their_type_before_any_starts() {
    let place = Place::new(SHOP);
    place.write(
        "orders.jsonl",
        "{\"order_id\":\"a\",\"total\":145.50}\n{\"order_id\":\"b\",\"total\":\"1\"}\n\
         {\"order_id\":\"c\",\"total\":1,\"items\":[{\"sku\":\"x\",\"price\":1},{\"sku\":\"y\",\"price\":\"2\"},{\"sku\":3}]}\n[]\n",
    );
    let told = place.run("--items orders.jsonl");
    let err = "\
orders.jsonl:2:1: order.total: expected a number, found a string
orders.jsonl:3:1: order.items[1].price: expected a number, found a string; order.items[2].sku: expected a string, found a number; order.items[2].price: expected a number, found nothing
orders.jsonl:4:1: `order` is not of type Order: expected an object, found a list
error: 3 problems in orders.jsonl; 0 of 4 items started
";
    assert_eq!((told.exit, told.err.as_str()), (Some(3), err));
    assert_eq!(place.files(), ["flow.md", "orders.jsonl"]);

    let told = place.run("--input order={\"order_id\":5}");
    let err = "error: --input order.order_id: expected a string, found a number; \
               order.total: expected a number, found nothing; nothing was run\n";
    assert_eq!((told.exit, told.err.as_str()), (Some(3), err));
}

#[test]
fn columns_of_a_table_take_the_types_of_the_members() {
    let place = Place::new(SHOP);
    place.write("orders.csv", "order_id,total,answer\n007,145.50,\n8,1,\n");
    let told = place.run("--items orders.csv");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(place.rows("session.toon"), ["Price 007 #1 success", "Price 8 #1 success"]);
    place.write("orders.csv", "order_id,total\n007,much\n");
    let told = place.run("--items orders.csv");
    assert!(
        told.err.starts_with("orders.csv:2:5: `total` is not of type Number: found \"much\"\n"),
        "{}",
        told.err
    );
}

#[test]
fn outputs_that_do_not_fit_fail_their_step() {
    let place = Place::new(SHOP);
    let item = |id: &str, answer: &str| {
        format!("{}\n", serde_json::json!({"order_id": id, "total": 1, "answer": answer}))
    };
    let items = [
        item("fits", r#"{"priced": {"state": "paid", "total": 0.10, "more": 1}}"#),
        item("bare", r#"{"state": "open", "total": 2}"#),
        item("wrong", r#"{"priced": {"state": "late", "total": "5"}}"#),
        item("list", r#"{"priced": []}"#),
    ];
    place.write("orders.jsonl", &items.concat());
    assert_eq!(place.run("--items orders.jsonl").exit, Some(1));
    let rows = [
        "Price fits #1 success",
        "Price bare #1 success",
        "Price wrong #1 failed (output priced.state: expected \"open\" or \"paid\", found \"late\"; \
         priced.total: expected a number, found a string)",
        "Price list #1 failed (output `priced` is not of type Priced: expected an object, found a list)",
    ];
    assert_eq!(place.rows("session.toon"), rows);
}

#[test]
fn a_type_of_words_is_read_as_text() {
    let place = Place::new(
        "# T\n## Ask\nquestion::Question -> answer::Answer\n```sh run\necho \"$IN_QUESTION\"\n```\n\n## Types\n\n\
         ```ts\ntype Question = 'yes' | '5'\ntype Answer = 'yes'\n```\n",
    );
    assert_eq!(place.run("--input question=yes").exit, Some(0));
    let told = place.run("--input question=5");
    assert!(
        told.err.contains("output `answer` is not of type Answer: expected \"yes\", found \"5\""),
        "{}",
        told.err
    );
    let told = place.run("--input question=no");
    let err = "error: --input question: expected \"yes\" or \"5\", found \"no\"; nothing was run\n";
    assert_eq!((told.exit, told.err.as_str()), (Some(3), err));
}

#[test]
fn agents_are_told_the_schema() {
    let place = Place::new(
        "# T\n## Ask\na::JSON -> b::Answer[], told?::JSON\n```python run\nimport json, os\nprint(json.dumps({'b': [], \
         'told': 1}))\nopen('told.json', 'w').write(os.environ['ORDERFLOW_OUTPUTS'])\n```\n\n## Types\n\n\
         ```json schema\n{\"title\": \"Answer\", \"type\": \"number\", \"minimum\": 0.50}\n```\n",
    );
    assert_eq!(place.run("--input a=1").exit, Some(0));
    let told = place.read("told.json");
    let schema = r##"{"type":"array","items":{"$ref":"#/$defs/Answer"},"$defs":{"Answer":{"title":"Answer","type":"number","minimum":0.50}}}"##;
    assert!(told.contains(&format!("\"schema\":{schema}}}")), "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told[1]["schema"], Value::Null);
}

#[test]
fn a_file_lies_in_the_attempts_own_folder() {
    let place = Place::new(
        "# T\n## Make\nname::String -> pages::File[], cover?::File\n```python run\nimport json, os, sys\n\
         name = json.load(sys.stdin)['name']\nfolder = os.environ['ORDERFLOW_DIR']\nos.makedirs(folder + '/deep')\n\
         open(folder + '/deep/a.txt', 'w').write('x')\nos.symlink('/etc/hostname', folder + '/link')\n\
         os.symlink('deep/a.txt', folder + '/within')\nos.symlink('deep', folder + '/folder')\nos.mkfifo(folder + '/pipe')\nprint(json.dumps({'pages': ['deep/a.txt', name]}))\n```\n",
    );
    for (name, wrong) in [
        ("deep/a.txt", None),
        ("./deep/a.txt", None),
        ("within", Some("\"within\" is a symbolic link, and no file")),
        ("pipe", Some("\"pipe\" is a pipe, a device or a socket, and no file")),
        ("deep/../deep/a.txt", Some("\"deep/../deep/a.txt\" leads out of the folder ORDERFLOW_DIR")),
        ("folder/a.txt", Some("\"folder/a.txt\" is a symbolic link, and no file")),
        ("b.txt", Some("no file \"b.txt\" in the folder ORDERFLOW_DIR")),
        ("deep", Some("no file \"deep\" in the folder ORDERFLOW_DIR")),
        ("", Some("no file \"\" in the folder ORDERFLOW_DIR")),
        ("deep/../deep/a.txt", Some("\"deep/../deep/a.txt\" leads out of the folder ORDERFLOW_DIR")),
        ("link", Some("\"link\" is a symbolic link, and no file")),
        ("/etc/hostname", Some("\"/etc/hostname\" is an absolute path; write it as seen from ORDERFLOW_DIR")),
    ] {
        let told = place.run(&format!("--input name={name}"));
        match wrong {
            None => assert_eq!(told.exit, Some(0), "{name}: {}", told.err),
            Some(wrong) => {
                let row = format!("Make 1 #1 failed (output `pages`: {wrong})");
                assert_eq!((told.exit, place.rows("session.toon")), (Some(1), vec![row]), "{name}");
            }
        }
    }
}
