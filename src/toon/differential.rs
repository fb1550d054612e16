//! Held against `toon-format`, the official crate, in both directions: it reads what is written here, what it
//! writes is read here, and each accepts what the other does, with the same meaning.

use super::conformance::{plain, table, value};
use crate::value::{Object, Value};
use proptest::prelude::*;
use serde_json::json;
use toon_format::{Delimiter, EncodeOptions};

fn delimiter() -> impl Strategy<Value = (char, Delimiter)> {
    proptest::sample::select(vec![(',', Delimiter::Comma), ('|', Delimiter::Pipe), ('\t', Delimiter::Tab)])
}

/// Scalars that nobody writes in two ways.
fn scalar() -> impl Strategy<Value = Value> {
    let texts = prop_oneof![
        any::<String>(),
        "[-+]?[0-9]{0,3}(\\.[0-9]{0,2})?(e[0-9])?",
        "[ \"\\\\:,|#\\[\\]{}\n\r\t-]{0,6}",
        "(null|true|false|NaN|Infinity|\u{feff}| x |é|\u{1f680}|-|- x|# x)",
    ];
    let numbers = prop_oneof![
        any::<i32>().prop_map(|number| json!(number)),
        (-1_000_000i32..1_000_000).prop_map(|eighths| match eighths % 8 {
            0 => json!(eighths / 8),
            _ => json!(f64::from(eighths) / 8.0),
        }),
    ];
    prop_oneof![
        3 => texts.prop_map(Value::String),
        2 => numbers,
        1 => any::<bool>().prop_map(Value::Bool),
        1 => Just(Value::Null),
    ]
}

/// A row's shape: its columns, some of which are groups of columns.
fn shape() -> impl Strategy<Value = Vec<(String, Vec<String>)>> {
    let names = |some| proptest::collection::hash_set(any::<String>(), some);
    let names = move |some| names(some).prop_map(|names| names.into_iter().collect::<Vec<_>>());
    names(1..5).prop_flat_map(move |columns| {
        let width = columns.len();
        let groups = proptest::collection::vec(prop_oneof![4 => Just(Vec::new()), 1 => names(1..4)], width);
        groups.prop_map(move |groups| columns.iter().cloned().zip(groups).collect())
    })
}

/// A named list of objects of one shape, with groups or without.
fn records(grouped: bool) -> impl Strategy<Value = Value> {
    (shape(), any::<String>()).prop_flat_map(move |(mut shape, name)| {
        if !grouped {
            shape.iter_mut().for_each(|(_, group)| group.clear());
        }
        let width = shape.iter().map(|(_, group)| group.len().max(1)).sum::<usize>();
        proptest::collection::vec(proptest::collection::vec(scalar(), width), 1..5).prop_map(move |rows| {
            let rows: Vec<Value> = rows.into_iter().map(|row| record(&shape, row)).collect();
            Value::Object(Object::from_iter([(name.clone(), json!(rows))]))
        })
    })
}

fn record(shape: &[(String, Vec<String>)], cells: Vec<Value>) -> Value {
    let mut cells = cells.into_iter();
    let columns = shape.iter().map(|(name, group)| {
        let value = match group.as_slice() {
            [] => cells.next().unwrap(),
            names => names.iter().cloned().zip(&mut cells).collect(),
        };
        (name.clone(), value)
    });
    columns.collect()
}

/// Text near that of a table, whole lines of it and single bytes changed.
fn nearly() -> impl Strategy<Value = String> {
    let cell = prop_oneof![3 => "[a-c\"\\\\:,|#\\[\\]{}n0 -]{0,4}", 1 => "[0129.eE+-]{1,6}"];
    let row = proptest::collection::vec(cell, 1..4).prop_map(|cells| format!("  {}", cells.join(",")));
    let fields = vec!["a", "a,b", "a,b{c,d}", "\"x y\",b", "a|b", "a\tb"];
    let header = prop_oneof![
        4 => (0u32..4, "[a-c]{0,1}", "[|\t]{0,1}", proptest::sample::select(fields))
            .prop_map(|(count, key, mark, fields)| format!("{key}[{count}{mark}]{{{fields}}}:")),
        1 => "[a-c\\[\\]{}:,\"|0-2 ]{1,10}",
    ];
    let other =
        prop_oneof![Just(String::new()), Just("k: 1".to_owned()), Just("# x".to_owned()), "[ a:\"]{0,6}"];
    let line = prop_oneof![6 => row, 1 => other];
    (header, proptest::collection::vec(line, 0..4))
        .prop_map(|(header, lines)| [vec![header], lines].concat().join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_is_written_here_is_what_toon_format_writes_and_reads(rows in records(false), (mark, delimiter) in delimiter()) {
        let ours = table(&rows, mark).unwrap();
        let theirs = toon_format::encode(&rows, &EncodeOptions::new().with_delimiter(delimiter)).unwrap();
        prop_assert_eq!(&ours, &theirs);
        let read: Value = toon_format::decode_default(&ours).unwrap();
        prop_assert_eq!(plain(&read), plain(&rows));
    }

    #[test]
    fn what_toon_format_writes_is_read_here(rows in records(true), (_, delimiter) in delimiter(), indent in 1usize..5) {
        let options = EncodeOptions::new().with_delimiter(delimiter).with_spaces(indent);
        let theirs = toon_format::encode(&rows, &options).unwrap();
        let read = value(&theirs).map_err(|problem| TestCaseError::fail(format!("{problem:?} in {theirs}")))?;
        prop_assert_eq!(plain(&read), plain(&rows), "{}", theirs);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_either_accepts_the_other_reads_alike(text in nearly()) {
        // Here the first row decides how far rows are indented, there it is always two spaces.
        let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
        prop_assume!(text.lines().all(|line| matches!(indent(line), 0 | 2)));
        let theirs = toon_format::decode_default::<Value>(&text);
        // A text that is one scalar is no trace.
        prop_assume!(theirs.as_ref().map_or(true, |value| value.is_object() || value.is_array()));
        let (ours, theirs) = (value(&text).ok(), theirs.ok());
        prop_assert_eq!(ours.as_ref().map(plain), theirs.as_ref().map(plain), "{:?}", text);
    }
}

/// What no float holds is a number here and a text there, and lost in neither.
#[test]
fn numbers_beyond_floats_are_kept() {
    let text = "[1]{a,b{c,d}}:\n  1,9E909,-12e400";
    let theirs: Value = toon_format::decode_default(text).unwrap();
    assert_eq!(theirs[0]["b"], json!({"c": "9E909", "d": "-12e400"}));
    assert_eq!(plain(&value(text).unwrap()), plain(&theirs));
}
