//! Where items come from: every form gives the same run, every problem is told with its place before anything
//! starts, and a run can be narrowed.

use crate::place::{Place, says};
use crate::program::Told;
use std::fs::File;

const SHOP: &str = "\
---
tolerate: 100%
---
# Shop

## Price
id::String, quantity::Integer, gift::Boolean, note?::String → line::String

```sh run
echo \"$IN_ID x $IN_QUANTITY, gift $IN_GIFT, note ${IN_NOTE-none}\"
```
";

fn with(document: &str, files: &[(&str, &str)]) -> Place {
    let place = Place::new(document);
    files.iter().for_each(|(name, text)| place.write(name, text));
    place
}

/// The labels of all outputs that the last run tells, sorted.
fn outputs(place: &Place) -> Vec<String> {
    let mut outputs = Vec::new();
    let file = File::open(place.path("session.toon")).unwrap();
    let read = orderflow::session::read_session(file, |_, row| outputs.extend(row.to_row().output));
    assert!(read.unwrap().problems.is_empty());
    outputs.sort();
    outputs
}

/// A run with this text on standard input.
fn run_reading(place: &Place, args: &str, input: &str) -> Told {
    place.write("input", input);
    let mut command = place.command(&format!("run flow.md --trust {args}"));
    crate::program::told(command.stdin(File::open(place.path("input")).unwrap()).output().unwrap())
}

#[test]
fn every_form_of_items_gives_the_same_run() {
    let lines = "{\"id\":\"007\",\"quantity\":2,\"gift\":true,\"note\":\"soon\"}\n{\"id\":\"b\",\"quantity\":1,\"gift\":false}\n";
    let forms = [
        ("orders.jsonl", lines),
        (
            "orders.json",
            "[{\"id\":\"007\",\"quantity\":2,\"gift\":true,\"note\":\"soon\"},\n{\"id\":\"b\",\"quantity\":1,\"gift\":false}]",
        ),
        ("orders.csv", "id,quantity,gift,note,other\r\n007, 2 ,TRUE,soon,x\r\nb,1,false,,y\r\n"),
        ("orders.tsv", "id\tquantity\tgift\tnote\n007\t2\ttrue\tsoon\nb\t1\tfalse\t\n"),
        ("orders.toon", "orders[2]{id,quantity,gift,note}:\n  007,2,true,soon\n  b,1,false,null\n"),
    ];
    let place = with(SHOP, &forms);
    place.write("orders/1.json", lines.lines().next().unwrap());
    place.write("orders/2.json", lines.lines().nth(1).unwrap());
    let expected = ["007 x 2, gift true, note soon", "b x 1, gift false, note none"];
    for items in
        ["orders.jsonl", "orders.json", "orders.csv", "orders.tsv", "orders.toon", "orders", "orders/*.json"]
    {
        let told = place.run(&format!("--items {items}"));
        assert_eq!(told.exit, Some(0), "{items}: {}", told.err);
        assert_eq!(outputs(&place), expected, "{items}");
    }
    let told = run_reading(&place, "--items -", lines);
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(outputs(&place), expected);
}

#[test]
fn the_front_matter_names_the_same_forms() {
    let document = |items: &str| SHOP.replace("tolerate: 100%", &format!("items: '{items}'"));
    let place = with("", &[("orders/1.json", "{\"id\":\"a\",\"quantity\":1,\"gift\":true}")]);
    for items in ["orders/*.json", "orders"] {
        place.write("flow.md", &document(items));
        let told = place.run("");
        assert_eq!(told.exit, Some(0), "{items}: {}", told.err);
        assert_eq!(outputs(&place), ["a x 1, gift true, note none"], "{items}");
    }
    place.write("flow.md", &document("-"));
    let told = run_reading(&place, "", "{\"id\":\"a\",\"quantity\":1,\"gift\":true}");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(outputs(&place), ["a x 1, gift true, note none"]);
}

#[test]
fn all_that_is_wrong_is_told_before_anything_starts() {
    let csv = "id,quantity,gift\na,two,true\nb,3\nc,1,perhaps\nd,1.5,\na,1,true\nd,1,\"tr\nue\"\n";
    let place = with(SHOP, &[("orders.csv", csv)]);
    let told = place.run("--items orders.csv");
    says(
        &told,
        3,
        "",
        "\
orders.csv:2:3: `quantity` is not of type Integer: found \"two\"
orders.csv:3:3: the header has 3 columns, this row has 2
orders.csv:4:5: `gift` is not of type Boolean: found \"perhaps\"
orders.csv:5:3: `quantity` is not of type Integer: found \"1.5\"
orders.csv:5:7: `gift` is not of type Boolean: found \"\"
orders.csv:7:5: `gift` is not of type Boolean: found \"tr[..]ue\"
error: 6 problems in orders.csv; 0 of 6 items started
",
    );
    assert_eq!(told.exit, Some(3));
    assert!(!place.path("session.toon").exists() && !place.path(".orderflow").exists());
}

#[test]
fn problems_in_files_name_the_file() {
    let files = [
        ("in/a.json", "{\"id\":\"a\",\"quantity\":1}"),
        ("in/b.json", "{\n \"id\": oops}"),
        ("in/c.txt", "text"),
    ];
    let told = with(SHOP, &files).run("--items in");
    says(
        &told,
        3,
        "",
        "\
in/a.json:1:1: missing `gift`
in/b.json:2:8: invalid JSON: expected a value
in/c.txt:1:1: expected an object with `id`, `quantity`, `gift`, `note`, found a string
error: 3 problems in in; 0 of 3 items started
",
    );
}

#[test]
fn sources_that_are_none_say_what_would_be() {
    let place = with(SHOP, &[("orders.xls", "")]);
    for (items, message) in [
        ("orders.xls", "error: no form of items is known by the name orders.xls"),
        ("*.csv", "error: no file matches *.csv"),
    ] {
        let told = place.run(&format!("--items {items}"));
        says(&told, 3, "", &format!("{message}; nothing was run\n  help: items come as .jsonl, [..]\n"));
    }
    let told = place.run("--items none.csv");
    assert_eq!(told.exit, Some(74));
    assert!(told.err.contains("cannot read the items in none.csv: No such file"), "{}", told.err);
}

#[test]
fn a_document_that_takes_a_file_gets_paths() {
    let document =
        "# Count\n\n## Count\nphoto::File → bytes::Integer\n\n```sh run\nwc -c < \"$IN_PHOTO\"\n```\n";
    let place = with(document, &[("photos/a.png", "12345"), ("photos/b.json", "no json")]);
    std::fs::write(place.path("photos/c.raw"), b"\xff\xfe").unwrap();
    let told = place.run("--items photos");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(outputs(&place), ["2", "5", "7"]);
}

#[test]
fn a_key_that_stands_twice_is_refused_or_processed_once() {
    let csv = "id,quantity,gift\na,1,true\nb,1,true\na,2,true\n\"b\",3,true\n";
    let place = with(SHOP, &[("orders.csv", csv)]);
    let told = place.run("--items orders.csv");
    says(
        &told,
        3,
        "",
        "\
orders.csv:4:1: duplicate key `a`, first used on line 2
orders.csv:5:1: duplicate key `b`, first used on line 3
error: 2 problems in orders.csv; 0 of 4 items started
",
    );
    let told = place.run("--items orders.csv --duplicates skip");
    assert_eq!(told.exit, Some(0));
    assert!(
        told.err.starts_with("2 items were skipped: their keys are used by an earlier item\n"),
        "{}",
        told.err
    );
    assert!(told.err.contains("2 items: 2 succeeded"), "{}", told.err);
    assert_eq!(outputs(&place), ["a x 1, gift true, note none", "b x 1, gift true, note none"]);
}

#[test]
fn items_are_chosen_by_their_keys() {
    let csv = "id,quantity,gift\nanna,1,true\nb,1,true\nc,2,true\n";
    let place = with(SHOP, &[("orders.csv", csv)]);
    let told = place.run("--items orders.csv --item c --item anna");
    assert!(told.err.contains("2 items: 2 succeeded"), "{}", told.err);
    let told = place.run("--items orders.csv --item ana --item c --item zzz");
    says(
        &told,
        3,
        "",
        "\
error: no item has the key `ana` or `zzz`; nothing was run
  help: did you mean `anna` for `ana`?
",
    );
    let told = place.run("--item c --input id=a --input quantity=1 --input gift=true");
    assert_eq!(told.exit, Some(3));
    assert!(told.err.contains("--item chooses among items, and this run has none"), "{}", told.err);
}

#[test]
fn items_that_never_started_are_counted() {
    let lines: String =
        (0..40).map(|n| format!("{{\"id\":\"{n}\",\"quantity\":{n},\"gift\":true}}\n")).collect();
    let document = SHOP.replace("tolerate: 100%", "on-item-error: drain").replace("echo", "exit 65; echo");
    let place = with(&document, &[("orders.jsonl", &lines)]);
    let told = place.run("--items orders.jsonl --jobs 1");
    assert_eq!(told.exit, Some(1));
    let last = told.err.lines().find(|line| line.starts_with("40 items: ")).unwrap();
    assert!(last.ends_with(" not started, more than tolerated"), "{last}");
}

#[test]
fn a_pipe_with_a_name_is_read_once() {
    let place = with(SHOP, &[]);
    let pipe = place.path("orders.jsonl");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::write(pipe, "{\"id\":\"a\",\"quantity\":1,\"gift\":true}\n")
    });
    let told = place.run("--items orders.jsonl");
    writer.join().unwrap().unwrap();
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(outputs(&place), ["a x 1, gift true, note none"]);
}

#[test]
fn links_that_lead_around_in_circles_are_not_followed_and_those_that_lead_nowhere_are_told() {
    let place = with(SHOP, &[("orders/a.json", "{\"id\":\"a\",\"quantity\":1,\"gift\":true}")]);
    place.write("orders/more/b.json", "{\"id\":\"b\",\"quantity\":1,\"gift\":true}");
    place.write("orders/.kept/c.json", "{}");
    for link in ["one", "two", "more/three"] {
        std::os::unix::fs::symlink(place.path("orders"), place.path("orders").join(link)).unwrap();
    }
    for glob in ["orders/**/*.json", "./orders/**/*.json", "**/[ab].json", "**/orders/**/?.json"] {
        let told = place.run(&format!("--items {glob}"));
        assert_eq!(told.exit, Some(0), "{glob}: {}", told.err);
        assert_eq!(outputs(&place), ["a x 1, gift true, note none", "b x 1, gift true, note none"], "{glob}");
    }
    std::os::unix::fs::symlink("nowhere", place.path("orders/d.json")).unwrap();
    for items in ["orders", "orders/*.json", "orders/**/*.json"] {
        let told = place.run(&format!("--items {items}"));
        let expected =
            "error: cannot read the item in orders/d.json: No such file or directory (os error 2)\n";
        assert_eq!((told.exit, told.err.as_str()), (Some(74), expected), "{items}");
    }
}

#[test]
fn a_header_of_many_columns_takes_no_long_time() {
    let place = with(SHOP, &[]);
    let names: String = (0..200_000).map(|n| format!("c{n},")).collect();
    place.write("wide.csv", &format!("{names}c7,id\n"));
    let begin = std::time::Instant::now();
    let told = place.run("--items wide.csv");
    assert!(told.err.contains("duplicate column `c7`"), "{}", told.err);
    // Were every name compared with all before it, this would take minutes.
    assert!(begin.elapsed() < std::time::Duration::from_secs(200), "{:?}", begin.elapsed());
}

#[test]
fn a_long_list_is_not_held_as_values() {
    let place = with("# Note\n\n## Note @clerk\nnumber::Integer → noted\n", &[]);
    let items: Vec<String> =
        (0..300_000).map(|n| format!("{{\"id\":{n},\"number\":\"{n}\",\"more\":{{\"c\":[{n}]}}}}")).collect();
    place.write("notes.json", &format!("[{}]", items.join(",\n")));
    // As values they would be more than this.
    let limited = "ulimit -v 250000; exec \"$0\" run flow.md --stub --items notes.json";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_orderflow")]).current_dir(place.folder());
    let told = crate::program::told(command.output().unwrap());
    assert!(told.err.starts_with("notes.json:1:1: `number` is not of type Integer"), "{:.300}", told.err);
    assert!(
        told.err.ends_with("300000 problems in notes.json; 0 of 300000 items started\n"),
        "{:?}",
        told.exit
    );
}

#[test]
fn what_is_probably_meant_is_named() {
    let place = with(
        "# Shop\n\n## Price @a\nname::String, order::Order → line::String\n\n## Types\n\n```ts\n\
         interface Order { quantity: Integer; note?: string }\n```\n",
        &[(
            "slip.jsonl",
            "{\"nmae\": \"Ada\", \"order\": {}}\n{\"name\": \"Ada\", \"order\": {\"quantiy\": 1.0}}\n",
        )],
    );
    let told = place.run("--stub --items slip.jsonl");
    assert_eq!(told.exit, Some(3));
    assert!(told.err.contains("slip.jsonl:1:1: missing `name` (is `nmae` meant?)"), "{}", told.err);
    let member = "order.quantity: expected a whole number, found nothing (is \"quantiy\" meant?)";
    assert!(told.err.contains(member), "{}", told.err);
    place.write("whole.jsonl", "{\"name\": \"Ada\", \"order\": {\"quantity\": 1.0}}\n");
    assert_eq!(place.run("--stub --items whole.jsonl").exit, Some(0));
}

#[test]
fn a_document_laid_out_over_lines_is_no_json_lines() {
    let place = with(SHOP, &[("items.jsonl", "[\n  {\n    \"id\": 1\n  }\n]\n")]);
    let told = place.run("--items items.jsonl");
    assert_eq!(told.exit, Some(3));
    assert!(told.err.starts_with("items.jsonl:1:1: the value continues in the next line"), "{}", told.err);
    assert!(
        told.err.contains("name it .json") && told.err.contains("1 problem in items.jsonl"),
        "{}",
        told.err
    );
}

/// Where the command line gives everything, items would be read for nothing.
#[test]
fn items_that_could_change_nothing_are_refused() {
    let place = with(
        "# Greet\n\n## Say\nname::String → text::String\n\n```sh run\necho hi\n```\n",
        &[("items.jsonl", "{\"id\": 1}\n{\"id\": 2}\n")],
    );
    let told = place.run("--input name=Ada --items items.jsonl");
    assert_eq!((told.exit, told.out.as_str()), (Some(3), ""));
    assert!(told.err.contains("nothing is left for the items of items.jsonl to bring"), "{}", told.err);
    assert!(!place.path("session.toon").exists());
}

#[test]
fn a_column_that_a_table_lacks_is_told_once_at_its_header() {
    let csv = "id,quantty,gift\na,2,true\nb,3,perhaps\nc,1,true\n";
    let toon = "orders[2]{id,quantty,gift}:\n  a,2,true\n  b,1,true\n";
    let place = with(SHOP, &[("orders.csv", csv), ("orders.toon", toon)]);
    let lacks = "no column `quantity` (is `quantty` meant?)";
    let told = format!(
        "orders.csv:1:4: {lacks}\norders.csv:3:5: `gift` is not of type Boolean: found \"perhaps\"\n\
         error: 2 problems in orders.csv; 0 of 3 items started\n"
    );
    says(&place.run("--items orders.csv"), 3, "", &told);
    let told = format!("orders.toon:1:1: {lacks}\nerror: 1 problem in orders.toon; 0 of 2 items started\n");
    says(&place.run("--items orders.toon"), 3, "", &told);

    place.write("orders.csv", "id,quantity\na,1\nb,2\n");
    let told = "\
orders.csv:1:1: no column `nr`, the items' key
orders.csv:1:1: no column `gift`
error: 2 problems in orders.csv; 0 of 2 items started
";
    says(&place.run("--items orders.csv --key nr"), 3, "", told);

    let typed = "# T\n\n## Take\norder::Order → done::JSON\n\n```sh run\ncat\n```\n\n## Types\n\n```ts\ninterface Order { id: string; total: number; note?: string }\n```\n";
    let place = with(typed, &[("orders.csv", "id,totl\na,1\nb,2\n"), ("good.csv", "id,total\na,1\n")]);
    let told = "orders.csv:1:4: no column `total` (is `totl` meant?)\nerror: 1 problem in orders.csv; 0 of 2 items started\n";
    says(&place.run("--items orders.csv"), 3, "", told);
    assert_eq!(place.run("--items good.csv --quiet").exit, Some(0));
    let place = with(
        "# T\n\n## Take\nname::String → done::JSON\n\n```sh run\ncat\n```\n",
        &[("n.csv", "nam\na\nb\n")],
    );
    let told =
        "n.csv:1:1: no column `name` (is `nam` meant?)\nerror: 1 problem in n.csv; 0 of 2 items started\n";
    says(&place.run("--items n.csv"), 3, "", told);
}

#[test]
fn values_on_lines_in_a_json_file_are_told_by_their_form() {
    let place = crate::place::Place::new("# N\n\n## A @x\nv → b\n");
    place.write("n.json", "{\"id\":1}\n{\"id\":2}\n");
    let told = place.orderflow("run flow.md --items n.json --stub");
    assert_eq!(told.exit, Some(3));
    assert!(
        told.err.starts_with(
            "n.json:2:1: invalid JSON: unexpected text after the value; for a value on each line, name the file .jsonl\n"
        ),
        "{}",
        told.err
    );
}

#[test]
fn a_column_whose_name_has_what_cannot_be_seen_is_named_with_escapes() {
    for (column, shown) in [
        ("\u{200b}quantity", "`\\u{200b}quantity`"),
        ("quan\u{ad}tity", "`quan\\u{ad}tity`"),
        ("Quantity ", "`Quantity`"),
        ("quant ity", "`quant ity`"),
    ] {
        let place = with(SHOP, &[("a.csv", &format!("id,{column},gift\n1,2,true\n"))]);
        let told = place.run("--items a.csv");
        let expected = format!("a.csv:1:4: no column `quantity` (is {shown} meant?)\n");
        assert!(told.err.starts_with(&expected) && told.exit == Some(3), "{}", told.err);
    }
    let place = with(SHOP, &[("a.csv", "id,a\u{200b},a\u{200b}\n1,2,true\n")]);
    let told = place.run("--items a.csv");
    assert!(told.err.starts_with("a.csv:1:7: duplicate column `a\\u{200b}`\n"), "{}", told.err);
}
