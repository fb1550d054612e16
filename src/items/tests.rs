//! Every form of items: what is read from it, what is wrong with it, and where.

use super::{Checked, Duplicates, ItemProblem, Items, Shape, Source};
use crate::disk::Named;
use crate::graph::Graph;
use std::path::Path;

fn items(path: &Path, duplicates: Duplicates, only: &[&str]) -> Checked {
    let shape = Shape::new(&Graph::default(), Vec::new(), None);
    let source = Source::find(&Named::by_user(path)).unwrap();
    let only = only.iter().map(|key| (*key).to_owned()).collect();
    Items { source, shape, duplicates, only }.check().unwrap()
}

fn keys(checked: &Checked) -> String {
    let keys: Vec<_> = checked.stream().unwrap().map(|item| item.unwrap().0.to_string()).collect();
    assert_eq!(checked.total, keys.len() as u64);
    keys.join(" ")
}

/// The keys of the items, or what is wrong with them.
fn read(name: &str, text: impl AsRef<[u8]>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    let checked = items(&path, Duplicates::Error, &[]);
    if checked.problems.count == 0 {
        return keys(&checked);
    }
    let line = |p: &ItemProblem| format!("{}:{} {}", p.line, p.column, p.message);
    checked.problems.first.iter().map(line).collect::<Vec<_>>().join("; ")
}

#[test]
fn lines_arrays_and_single_items_are_read() {
    assert_eq!(read("a.jsonl", "\u{feff}{\"id\":\"a\"}\r\n\n{\"id\":2}\n7"), "a 2 3");
    assert_eq!(read("a.json", "[{\"id\":\"a\"},\n {\"x\":1}]"), "a 2");
    assert_eq!(read("order-7.json", "{\"total\": 1}"), "order-7");
    assert_eq!(read("a.jsonl", ""), "");
}

#[test]
fn every_problem_of_json_is_named_with_its_place() {
    assert_eq!(
        read("a.jsonl", "{\"id\":1}\n{\"id\":\n{\"id\":1}\n{\"a\":1,\"a\":2}\n"),
        "2:6 invalid JSON: it ends in the middle of a value; 3:1 duplicate key `1`, first used on line 1; \
         4:10 invalid JSON: duplicate key `a` in one object"
    );
    assert_eq!(read("a.jsonl", "{\"ä\": \"ö\", oops}"), "1:12 invalid JSON: expected a key in double quotes");
    assert_eq!(read("a.jsonl", b"1\n \"\xc3\xa4\xff\""), "2:4 this is not UTF-8");
    assert_eq!(read("a.json", "[1,\n 2,\n oops]"), "3:2 invalid JSON: expected a value");
    assert_eq!(
        read("a.json", "[1,\n {\"b\":1,\n\"b\":2}]"),
        "3:3 invalid JSON: duplicate key `b` in one object"
    );
}

#[test]
fn rows_of_csv_are_items() {
    assert_eq!(read("a.csv", "\u{feff}id, total\na,1\r\n\n\"b \"\"x\"\"\",\"2\n3\"\nc,4"), "a b \"x\" c");
    assert_eq!(read("a.tsv", "name\torder_id\nx\t7\n"), "7");
    assert_eq!(read("a.csv", "id\n"), "");
}

#[test]
fn every_problem_of_csv_is_named_with_its_place() {
    assert_eq!(
        read("a.csv", b"id,t\n\n\na,\"x\n\"\"\",1\nb\nc,\xc3\xa4\xff\na,2\nd,\"open\n" as &[u8]),
        "5:5 the header has 2 columns, this row has 3; 6:1 the header has 2 columns, this row has 1; \
         7:3 this is not UTF-8; 9:3 the quote is never closed; write a quote inside a cell as \"\""
    );
    assert_eq!(read("a.csv", "id\na\nb\na\n"), "4:1 duplicate key `a`, first used on line 2");
    assert_eq!(read("a.csv", "a,,a\n1,2,3\n"), "1:3 this column has no name; 1:4 duplicate column `a`");
    assert!(read("a.csv", "a;b\n1;2\n").contains("separate columns with commas"));
    assert!(read("a.csv", "").contains("the first line names the columns"));
}

#[test]
fn rows_of_a_toon_table_are_items() {
    assert_eq!(read("a.toon", "note: x\norders[2]{id,total}:\n  a,1\n  b,2\nmore[1]{id}:\n  c\n"), "a b");
    assert_eq!(read("a.toon", "[1]{order.id,name_id}:\n  1,2\n"), "2");
    let session = "orderflow: 1\nphases[1]{name}:\n  X\nexecution[1]{id}:\n  e\n";
    assert_eq!(read("a.toon", session), "e");
    assert_eq!(
        read("a.toon", "orders[2]{id,total}:\n  a\n"),
        "1:8 the header declares 2 rows, the table has 1; write [1], or restore what is missing; \
         2:4 the header has 2 columns, this row has 1; quote a cell that contains the delimiter; write null \
         for an unknown one"
    );
    assert!(read("a.toon", "a: 1\n").contains("no table"));
}

#[test]
fn files_of_a_folder_are_items_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    file("b.json", "{\"total\": 1}");
    file("a.txt", "some text");
    file(".hidden", "");
    std::fs::create_dir(folder.path().join("below")).unwrap();
    file("below/c.json", "[1, 2]");
    let of = |pattern: &str| items(&folder.path().join(pattern), Duplicates::Error, &[]);
    assert_eq!(keys(&of("")), "a b");
    assert_eq!(keys(&of("*.json")), "b");
    assert_eq!(keys(&of("**/*.json")), "b c");
    file("below/b.json", "{oops");
    let problems = of("**/*").problems;
    assert_eq!((problems.count, problems.first[0].column), (1, 2));
    file("below/b.json", "{}");
    assert!(of("**/*.json").problems.first[0].message.contains("first used in "));
    assert!(
        Source::find(&Named::by_user(folder.path().join("*.csv")))
            .unwrap_err()
            .to_string()
            .contains("no file matches")
    );
    assert!(Source::find(&Named::by_user("orders.xls")).is_err());
}

#[test]
fn only_wanted_items_are_streamed_and_doubles_can_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    std::fs::write(
        &path,
        "{\"id\":\"anna\"}\n{\"id\":\"b\"}\n{\"id\":\"anna\"}\n{\"id\":\"c\"}\n{\"id\":\"b\"}\n",
    )
    .unwrap();
    let all = items(&path, Duplicates::Skip, &[]);
    assert_eq!((keys(&all), all.skipped, all.read()), ("anna b c".to_owned(), 2, 5));
    let some = items(&path, Duplicates::Skip, &["c", "b"]);
    assert_eq!((keys(&some), some.skipped), ("b c".to_owned(), 1));
    let unknown = items(&path, Duplicates::Skip, &["ana", "c"]).unknown;
    assert_eq!(unknown, [("ana".to_owned(), Some("anna".to_owned()))]);
    assert_eq!(items(&path, Duplicates::Error, &["c"]).problems.count, 2);
}

#[test]
fn a_file_that_changed_in_between_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    std::fs::write(&path, "1\n2\n").unwrap();
    let checked = items(&path, Duplicates::Error, &[]);
    std::fs::write(&path, "1\noops\n").unwrap();
    let error = checked.stream().unwrap().find_map(Result::err).unwrap().to_string();
    assert!(error.contains("a.jsonl:2: invalid JSON"), "{error}");
}

#[test]
fn a_pipe_can_be_read_twice() {
    let source = Source::keep("standard input", "{\"id\":1}\n{\"id\":2}\n".as_bytes()).unwrap();
    let shape = Shape::new(&Graph::default(), Vec::new(), None);
    let items = Items { source, shape, duplicates: Duplicates::Error, only: Vec::new() };
    assert_eq!(keys(&items.check().unwrap()), "1 2");
}
