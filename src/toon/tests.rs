//! The reader as a whole: what it accepts, what it refuses and where, and that no input breaks it.

use super::{Node, Problem, Reader, Scalar, write};
use crate::value::Value;
use proptest::prelude::*;
use serde_json::json;
use std::io::{self, Read};

/// A text as a flat list of lines: headers, rows, fields and problems.
fn read(input: impl Read) -> Vec<String> {
    let mut reader = Reader::new(input);
    let mut seen = Vec::new();
    while let Some(node) = reader.next().unwrap() {
        seen.push(match node {
            Ok(Node::Table(table)) => {
                let names: Vec<_> = table.columns.iter().map(super::Column::name).collect();
                format!("table {} {}", table.key.as_deref().unwrap_or("-"), names.join(" "))
            }
            Ok(Node::Row(row)) => {
                let cells: Vec<_> = row.cells().map(|cell| cell.scalar().value().to_string()).collect();
                format!("row {}", cells.join(" "))
            }
            Ok(Node::Field(field)) => format!("field {} {}", field.key.unwrap_or_default(), field.value),
            Err(problem) => shown(&problem),
        });
    }
    seen
}

fn shown(problem: &Problem) -> String {
    let before = problem.text.get(..problem.span.start).map_or(0, |text| text.chars().count());
    let marked = problem.text.get(problem.span.clone()).unwrap_or("?");
    format!("{}:{}: {} `{marked}`", problem.line, before + 1, problem.fault)
}

#[test]
fn tables_and_fields_stand_side_by_side() {
    let text = "# a note\norderflow: 1\nname: \"a:b\"\nt[2]{a,b}:\n  1,\"x,y\"\n  # inside\n  null,145.50\n\nt[1|]{c}:\n  z\nsummary:\n  rows: 3\n  by:\n    failed: 1\nlist[2]: 1,two\nexecution: []\n";
    assert_eq!(
        read(text.as_bytes()),
        [
            "field orderflow 1",
            "field name \"a:b\"",
            "table t a b",
            "row 1 \"x,y\"",
            "row null 145.50",
            "table t c",
            "row \"z\"",
            "field summary {\"rows\":3,\"by\":{\"failed\":1}}",
            "field list [1,\"two\"]",
            "field execution []",
        ]
    );
}

#[test]
fn rows_may_be_indented_by_any_number_of_spaces_but_all_alike() {
    assert_eq!(read(&b"t[2]{a}:\n x\n y\n"[..]), ["table t a", "row \"x\"", "row \"y\""]);
    assert_eq!(
        read(&b"t[3]{a}:\n x\n  y\n z"[..]),
        ["table t a", "row \"x\"", "3:1: indented by 2 spaces, expected 1 `  `", "row \"z\""]
    );
}

#[test]
fn a_name_is_that_of_tables_or_of_one_field() {
    let text = "t[0]{a}:\nt[0]{a}:\nt: 1\nu: 1\nu[1]{a}:\n  1\n";
    assert_eq!(
        read(text.as_bytes()),
        [
            "table t a",
            "table t a",
            "3:1: duplicate field \"t\" `t: 1`",
            "field u 1",
            "5:1: duplicate field \"u\" `u[1]{a}:`",
        ]
    );
}

#[test]
fn every_problem_is_found_in_its_place_and_once() {
    let text = "t[2]{a,b}:\n  1,2\n\n  3\n  é,\"x\n  1,2,3\n  10:30,x\n\tz\nt [1]{a}:\n  lost\n  lost\nword\n  stray\na: 1\na: 2\nbad: \"x\nt[3]{a}:\n  1\n";
    assert_eq!(
        read(text.as_bytes()),
        [
            "table t a b",
            "row 1 2",
            "3:1: blank line inside a table ``",
            "4:4: the header has 2 columns, this row has 1 ``",
            "5:5: the quote is never closed `\"x`",
            "6:7: the header has 2 columns, this row has 3 `3`",
            "7:5: the colon in the first cell ends the table `:`",
            "8:1: the line is indented with a tab `\t`",
            "1:3: the header declares 2 rows, the table has 6 `2`",
            "9:2: space between the name and the brackets ` `",
            "12:1: expected `key: value` or the header of a table `word`",
            "field a 1",
            "15:1: duplicate field \"a\" `a: 2`",
            "16:1: unterminated string: missing closing quote `bad: \"x`",
            "table t a",
            "row 1",
            "17:3: the header declares 3 rows, the table has 1 `3`",
        ]
    );
}

#[test]
fn text_that_is_not_utf8_is_refused_and_the_rest_is_read() {
    let seen = read(&b"t[2]{a}:\n  x\xffy\n  z\n"[..]);
    assert_eq!(seen, ["table t a", "2:4: the line is not valid UTF-8 `\u{fffd}`", "row \"z\""]);
}

#[test]
fn places_count_bytes_of_the_input() {
    let text = "\u{feff}t[1]{a}:\r\n  é\r\nx\r\n";
    let mut reader = Reader::new(text.as_bytes());
    let mut starts = Vec::new();
    while let Some(node) = reader.next().unwrap() {
        starts.push(match node {
            Ok(Node::Table(table)) => table.line_start,
            Ok(Node::Row(row)) => row.line_start,
            Ok(Node::Field(field)) => field.line_start,
            Err(problem) => problem.line_start,
        });
    }
    assert_eq!(starts, [3, 13, 19]);
}

/// Hands out its text in pieces of the given sizes.
struct Pieces<'a>(&'a [u8], Vec<usize>);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.1.pop().unwrap_or(1).clamp(1, buffer.len()).min(self.0.len());
        let (piece, rest) = self.0.split_at(size);
        buffer[..size].copy_from_slice(piece);
        self.0 = rest;
        Ok(size)
    }
}

fn scalar() -> impl Strategy<Value = Value> {
    let texts = prop_oneof![
        any::<String>(),
        "[-+]?[0-9]{0,3}(\\.[0-9]{0,2})?(e[0-9])?",
        "[ \"\\\\:,|#\\[\\]{}\n\r\t-]{0,6}",
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("\u{feff}".to_owned()),
    ];
    let numbers = "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,10})?";
    prop_oneof![
        3 => texts.prop_map(Value::String),
        1 => numbers.prop_map(|text| Value::Number(text.parse().unwrap())),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => Just(Value::Null),
    ]
}

fn table() -> impl Strategy<Value = (Vec<String>, Vec<Vec<Value>>)> {
    proptest::collection::hash_set(any::<String>(), 1..5).prop_flat_map(|names| {
        let width = names.len();
        let names: Vec<String> = names.into_iter().collect();
        let rows = proptest::collection::vec(proptest::collection::vec(scalar(), width), 0..6);
        (Just(names), rows)
    })
}

fn written(names: &[String], rows: &[Vec<Value>]) -> String {
    let mut text = String::new();
    write::header(&mut text, "rows", rows.len() as u64, ',', names.iter().map(String::as_str));
    for row in rows {
        text.push_str("\n  ");
        for (index, value) in row.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            write::cell(&mut text, value, ',');
        }
    }
    text
}

proptest! {
    #[test]
    fn what_is_written_is_read_back((names, rows) in table()) {
        let text = written(&names, &rows);
        let mut reader = Reader::new(text.as_bytes());
        let mut found = Vec::new();
        while let Some(node) = reader.next().unwrap() {
            match node.unwrap() {
                Node::Table(table) => {
                    let read: Vec<_> = table.columns.iter().map(|column| column.path.concat()).collect();
                    prop_assert_eq!(&read, &names);
                }
                Node::Row(row) => found.push(row.cells().map(|cell| cell.scalar().value()).collect::<Vec<_>>()),
                Node::Field(field) => prop_assert!(false, "{:?}", field),
            }
        }
        prop_assert_eq!(found, rows);
    }

    #[test]
    fn toon_format_reads_the_same((names, rows) in table()) {
        let text = written(&names, &rows);
        let decoded: Value = toon_format::decode_default(&text).unwrap();
        let ours: Vec<Value> = rows.iter().map(|row| names.iter().cloned().zip(row.iter().cloned()).collect()).collect();
        // Numbers beyond 64 bits keep their text here and not there.
        let same = serde_json::from_str::<Value>(&json!({"rows": ours}).to_string()).unwrap();
        prop_assert_eq!(shape(&decoded), shape(&same));
    }

    #[test]
    fn pieces_of_any_size_read_alike((names, rows) in table(), sizes in proptest::collection::vec(1usize..9, 0..200)) {
        let text = written(&names, &rows) + "\nnext:\n  a: 1\n";
        prop_assert_eq!(read(Pieces(text.as_bytes(), sizes)), read(text.as_bytes()));
    }

    #[test]
    fn no_mutation_breaks_the_reader((names, rows) in table(), cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5)) {
        let mut bytes = (written(&names, &rows) + "\nsummary:\n  a: \"b\"\nlist[1]:\n  - x\n").into_bytes();
        for (at, byte) in cuts {
            let at = at.index(bytes.len());
            match byte % 3 {
                0 => bytes[at] = byte,
                1 => bytes.truncate(at + 1),
                _ => bytes.insert(at, b" \"\\:,[]{}\n#-|"[usize::from(byte) % 13]),
            }
        }
        let mut reader = Reader::new(&bytes[..]);
        while let Some(node) = reader.next().unwrap() {
            if let Err(problem) = node {
                prop_assert!(problem.span.end <= problem.text.len(), "{:?}", problem);
                prop_assert!(problem.text.is_char_boundary(problem.span.start), "{:?}", problem);
            }
        }
    }
}

/// A value with each number as a float's text, so that only the grammar is compared.
fn shape(value: &Value) -> String {
    match value {
        Value::Number(number) => format!("{:e}", number.as_f64().unwrap_or(0.0).abs()),
        Value::Array(values) => values.iter().map(shape).collect::<Vec<_>>().join(";"),
        Value::Object(object) => {
            object.iter().map(|(key, value)| format!("{key:?}={}", shape(value))).collect()
        }
        Value::String(text) if text.parse::<f64>().is_ok() && text.len() > 15 => {
            format!("{:e}", text.parse::<f64>().unwrap_or(0.0).abs())
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn a_cell_is_what_it_says() {
    let mut reader = Reader::new(&b"t[1]{a,b,c,d}:\n  1,\"1\",null,\"null\"\n"[..]);
    reader.next().unwrap();
    let Some(Ok(Node::Row(row))) = reader.next().unwrap() else { panic!("no row") };
    let kinds: Vec<_> =
        row.cells().map(|cell| (cell.raw(), cell.raw().starts_with('"'), cell.scalar())).collect();
    assert_eq!(kinds[0], ("1", false, Scalar::Number("1")));
    assert_eq!(kinds[1], ("\"1\"", true, Scalar::Text("1".into())));
    assert_eq!(kinds[2].2, Scalar::Null);
    assert_eq!(kinds[3].2, Scalar::Text("null".into()));
}

#[test]
fn what_a_terminal_would_obey_is_escaped_and_comes_back() {
    let text = "a\u{9b}31m\u{202e}b\u{2028}";
    let mut out = String::new();
    write::cell(&mut out, &Value::from(text), ',');
    assert_eq!(out, "\"a\\u009b31m\\u202eb\\u2028\"");
    assert_eq!(write::document(&json!({"name": text, "n": 1.5})).unwrap(), format!("name: {out}\nn: 1.5"));
    let back: Value = toon_format::decode_default(&format!("name: {out}")).unwrap();
    assert_eq!(back, json!({"name": text}));
}
