//! Where items come from: every form gives the same run, every problem is told with its place before anything
//! starts, and a run can be narrowed.

use snapbox::{assert_data_eq, str};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

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

/// A folder with a document and files beside it.
struct Desk(TempDir);

/// What a run said, and how it ended.
struct Told {
    err: String,
    exit: Option<i32>,
    /// The labels of the first step's outputs, sorted.
    outputs: Vec<String>,
}

impl Desk {
    fn new(document: &str, files: &[(&str, &str)]) -> Desk {
        let desk = Desk(TempDir::new().unwrap());
        desk.write("flow.md", document);
        files.iter().for_each(|(name, text)| desk.write(name, text));
        desk
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    fn run(&self, args: &[&str]) -> Told {
        self.run_reading(args, "")
    }

    fn run_reading(&self, args: &[&str], input: &str) -> Told {
        let mut child = Command::new(env!("CARGO_BIN_EXE_orderflow"))
            .args([&["run", "flow.md", "--trust"], args].concat())
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The program may end without reading.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        Told { err, exit: output.status.code(), outputs: outputs(&self.path("session.toon")) }
    }
}

/// The labels of all outputs that a session file tells.
fn outputs(session: &Path) -> Vec<String> {
    let mut outputs = Vec::new();
    if let Ok(file) = std::fs::File::open(session) {
        let mut show =
            |row: &orderflow::session::RowRef<'_>| outputs.extend(row.output.as_deref().map(str::to_owned));
        orderflow::session::read_session(file, |_, row| show(row)).unwrap();
    }
    outputs.sort();
    outputs
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
    let desk = Desk::new(SHOP, &forms);
    desk.write("orders/1.json", lines.lines().next().unwrap());
    desk.write("orders/2.json", lines.lines().nth(1).unwrap());
    let expected = ["007 x 2, gift true, note soon", "b x 1, gift false, note none"];
    for items in
        ["orders.jsonl", "orders.json", "orders.csv", "orders.tsv", "orders.toon", "orders", "orders/*.json"]
    {
        let told = desk.run(&["--items", items]);
        assert_eq!(
            (told.exit, told.outputs),
            (Some(0), expected.map(str::to_owned).to_vec()),
            "{items}: {}",
            told.err
        );
    }
    let told = desk.run_reading(&["--items", "-"], lines);
    assert_eq!((told.exit, told.outputs), (Some(0), expected.map(str::to_owned).to_vec()), "{}", told.err);
}

#[test]
fn the_front_matter_names_the_same_forms() {
    let document = |items: &str| {
        format!(
            "---\nitems: \"{items}\"\n---\n{}",
            SHOP.split_once("---\n#").unwrap().1.replacen(' ', "# ", 1)
        )
    };
    let desk = Desk::new("", &[("orders/1.json", "{\"id\":\"a\",\"quantity\":1,\"gift\":true}")]);
    for items in ["orders/*.json", "orders"] {
        desk.write("flow.md", &document(items));
        let told = desk.run(&[]);
        assert_eq!((told.exit, told.outputs.len()), (Some(0), 1), "{items}: {}", told.err);
    }
    desk.write("flow.md", &document("-"));
    let told = desk.run_reading(&[], "{\"id\":\"a\",\"quantity\":1,\"gift\":true}");
    assert_eq!((told.exit, told.outputs.len()), (Some(0), 1), "{}", told.err);
}

#[test]
fn all_that_is_wrong_is_told_before_anything_starts() {
    let csv = "id,quantity,gift\na,two,true\nb,3\nc,1,perhaps\nd,1.5,\na,1,true\nd,1,\"tr\nue\"\n";
    let desk = Desk::new(SHOP, &[("orders.csv", csv)]);
    let told = desk.run(&["--items", "orders.csv"]);
    assert_data_eq!(
        told.err,
        str![[r#"
orders.csv:2:3: "quantity" is no Integer: found "two"
orders.csv:3:3: the header has 3 columns, this row has 2
orders.csv:4:5: "gift" is no Boolean: found "perhaps"
orders.csv:5:3: "quantity" is no Integer: found "1.5"
orders.csv:5:7: "gift" is no Boolean: found ""
orders.csv:7:5: "gift" is no Boolean: found "tr[..]ue"
error: 6 problems in orders.csv; 0 of 6 items started

"#]]
    );
    assert_eq!(told.exit, Some(3));
    assert!(!desk.path("session.toon").exists() && !desk.path(".orderflow").exists());
}

#[test]
fn problems_in_files_name_the_file() {
    let files = [
        ("in/a.json", "{\"id\":\"a\",\"quantity\":1}"),
        ("in/b.json", "{\n \"id\": oops}"),
        ("in/c.txt", "text"),
    ];
    let told = Desk::new(SHOP, &files).run(&["--items", "in"]);
    assert_data_eq!(
        told.err,
        str![[r#"
in/a.json:1:1: missing "gift"
in/b.json:2:8: no valid JSON: expected value
in/c.txt:1:1: expected an object with "id", "quantity", "gift", "note", found a string
error: 3 problems in in; 0 of 3 items started

"#]]
    );
}

#[test]
fn sources_that_are_none_say_what_would_be() {
    let desk = Desk::new(SHOP, &[("orders.xls", "")]);
    for (items, message) in [
        ("orders.xls", "error: no form of items is known by the name orders.xls; nothing was run"),
        ("*.csv", "error: no file matches *.csv; nothing was run"),
    ] {
        let told = desk.run(&["--items", items]);
        assert!(
            told.err.contains(message) && told.err.contains("help: items come as .jsonl"),
            "{}",
            told.err
        );
        assert_eq!(told.exit, Some(3));
    }
    let told = desk.run(&["--items", "none.csv"]);
    assert_eq!(told.exit, Some(74));
    assert!(told.err.contains("cannot read the items in none.csv: No such file"), "{}", told.err);
}

#[test]
fn a_document_that_takes_a_file_gets_paths() {
    let document =
        "# Count\n\n## Count\nphoto::File → bytes::Integer\n\n```sh run\nwc -c < \"$IN_PHOTO\"\n```\n";
    let desk = Desk::new(document, &[("photos/a.png", "12345"), ("photos/b.json", "no json")]);
    std::fs::write(desk.path("photos/c.raw"), b"\xff\xfe").unwrap();
    let told = desk.run(&["--items", "photos"]);
    assert_eq!((told.exit, told.outputs.join(" ")), (Some(0), "2 5 7".to_owned()), "{}", told.err);
}

#[test]
fn a_key_that_stands_twice_is_refused_or_processed_once() {
    let csv = "id,quantity,gift\na,1,true\nb,1,true\na,2,true\n\"b\",3,true\n";
    let desk = Desk::new(SHOP, &[("orders.csv", csv)]);
    let told = desk.run(&["--items", "orders.csv"]);
    assert_data_eq!(
        told.err,
        str![[r#"
orders.csv:4:1: the key "a" stands already on line 2
orders.csv:5:1: the key "b" stands already on line 3
error: 2 problems in orders.csv; 0 of 4 items started

"#]]
    );
    let told = desk.run(&["--items", "orders.csv", "--duplicates", "skip"]);
    assert_eq!(told.exit, Some(0));
    assert!(told.err.starts_with("2 items were skipped: their keys stand already before\n"), "{}", told.err);
    assert!(told.err.contains("2 items: 2 succeeded"), "{}", told.err);
    assert!(told.outputs.iter().all(|output| output.contains("x 1,")), "{:?}", told.outputs);
}

#[test]
fn items_are_chosen_by_their_keys() {
    let csv = "id,quantity,gift\nanna,1,true\nb,1,true\nc,2,true\n";
    let desk = Desk::new(SHOP, &[("orders.csv", csv)]);
    let told = desk.run(&["--items", "orders.csv", "--item", "c", "--item", "anna"]);
    assert!(told.err.contains("2 items: 2 succeeded"), "{}", told.err);
    let told = desk.run(&["--items", "orders.csv", "--item", "ana", "--item", "c", "--item", "zzz"]);
    assert_data_eq!(
        told.err,
        str![[r#"
error: no item has the key "ana" or "zzz"; nothing was run
  help: did you mean "anna" for "ana"?

"#]]
    );
    assert_eq!(told.exit, Some(3));
    let told = desk.run(&["--item", "c", "--input", "id=a", "--input", "quantity=1", "--input", "gift=true"]);
    assert_eq!(told.exit, Some(3));
    assert!(told.err.contains("--item chooses among items, and this run has none"), "{}", told.err);
}

#[test]
fn items_that_never_started_are_counted() {
    let lines: String =
        (0..40).map(|n| format!("{{\"id\":\"{n}\",\"quantity\":{n},\"gift\":true}}\n")).collect();
    let document = SHOP.replace("tolerate: 100%", "on-item-error: drain").replace("echo", "exit 65; echo");
    let desk = Desk::new(&document, &[("orders.jsonl", &lines)]);
    let told = desk.run(&["--items", "orders.jsonl", "--jobs", "1"]);
    assert_eq!(told.exit, Some(1));
    let last = told.err.lines().find(|line| line.starts_with("40 items: ")).unwrap();
    assert!(last.ends_with(" not started, more than tolerated"), "{last}");
}
