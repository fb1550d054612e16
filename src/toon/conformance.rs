//! The TOON project's own examples: what is read here is what they mean, and what is written here is how they
//! look, but for the differences that are named with their reasons.

use super::{Node, Problem, Reader, write};
use crate::value::{Object, Value};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct File {
    tests: Vec<Example>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Example {
    name: String,
    input: Value,
    expected: Value,
    #[serde(default)]
    should_error: bool,
    #[serde(default)]
    options: Options,
}

#[derive(Default, Deserialize)]
struct Options {
    strict: Option<bool>,
    delimiter: Option<char>,
}

/// A file of examples, with its name.
macro_rules! examples_of {
    ($folder:literal, $name:literal) => {
        ($name, include_str!(concat!("../../tests/fixtures/toon/", $folder, "/", $name, ".json")))
    };
}

const DECODE: [(&str, &str); 11] = [
    examples_of!("decode", "arrays-nested"),
    examples_of!("decode", "arrays-tabular"),
    examples_of!("decode", "blank-lines"),
    examples_of!("decode", "comments"),
    examples_of!("decode", "delimiters"),
    examples_of!("decode", "indentation-errors"),
    examples_of!("decode", "numbers"),
    examples_of!("decode", "objects"),
    examples_of!("decode", "primitives"),
    examples_of!("decode", "validation-errors"),
    examples_of!("decode", "whitespace"),
];

const ENCODE: [(&str, &str); 5] = [
    examples_of!("encode", "arrays-nested"),
    examples_of!("encode", "arrays-objects"),
    examples_of!("encode", "arrays-tabular"),
    examples_of!("encode", "delimiters"),
    examples_of!("encode", "objects"),
];

/// All examples of these files, with their names: the file's, then their own.
fn examples(files: &[(&str, &str)]) -> Vec<(String, Example)> {
    let mut found = Vec::new();
    for (file, text) in files {
        let examples: File = serde_json::from_str(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        found
            .extend(examples.tests.into_iter().map(|example| (format!("{file}: {}", example.name), example)));
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}

/// A text as one value; else its first problem. Tables of one name are one after the other.
pub(super) fn value(text: &str) -> Result<Value, Problem> {
    let mut whole = Object::new();
    let mut lone = None;
    let mut name = None;
    let mut columns: Vec<Vec<String>> = Vec::new();
    let mut reader = Reader::new(text.as_bytes());
    while let Some(node) = reader.next().unwrap() {
        match node? {
            Node::Table(table) => {
                name.clone_from(&table.key);
                columns = table.columns.iter().map(|column| column.path.clone()).collect();
                rows(&mut whole, &mut lone, name.as_deref());
            }
            Node::Row(row) => {
                let cells = row.cells().map(|cell| cell.scalar().value());
                let mut object = Value::Object(Object::new());
                for (path, cell) in columns.iter().zip(cells) {
                    let place = path.iter().fold(&mut object, |place, name| {
                        place.as_object_mut().unwrap().entry(name).or_insert_with(|| json!({}))
                    });
                    *place = cell;
                }
                rows(&mut whole, &mut lone, name.as_deref()).push(object);
            }
            Node::Field(field) => match field.key {
                Some(key) => drop(whole.insert(key, field.value)),
                None => lone = Some(field.value),
            },
        }
    }
    Ok(lone.unwrap_or(Value::Object(whole)))
}

/// The rows under a name, or those of a text that is one table.
fn rows<'a>(whole: &'a mut Object, lone: &'a mut Option<Value>, name: Option<&str>) -> &'a mut Vec<Value> {
    let place = match name {
        Some(name) => whole.entry(name).or_insert_with(|| json!([])),
        None => lone.get_or_insert_with(|| json!([])),
    };
    place.as_array_mut().unwrap()
}

/// A value with its numbers as what floats are, since other tools keep no more of them. What no float holds is
/// text to some, a number to others.
pub(super) fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64().filter(|float| float.is_finite()) {
            // Minus zero is zero.
            Some(float) => json!(float + 0.0),
            None => json!("beyond floats"),
        },
        Value::String(text) => match serde_json::from_str::<serde_json::Number>(text) {
            Ok(number) if number.as_f64().is_none_or(f64::is_infinite) => json!("beyond floats"),
            _ => value.clone(),
        },
        Value::Array(values) => values.iter().map(plain).collect(),
        Value::Object(object) => object.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        Value::Null | Value::Bool(_) => value.clone(),
    }
}

/// What is read otherwise here, and why.
const READ: [(&str, &[&str]); 2] = [
    (
        "a trace has no settings: its first indented line shows how wide a level is",
        &[
            "indentation-errors: throws on depth jump of more than one level",
            "indentation-errors: throws on list item with non-multiple indentation (3 spaces with indentSize 2)",
            "indentation-errors: throws on non-multiple indentation with custom indentSize 4 (3 spaces)",
            "indentation-errors: throws on object field with non-multiple indentation (3 spaces with indentSize 2)",
        ],
    ),
    (
        "a text that is one scalar is no trace; the same scalars are read as cells",
        &[
            "numbers: parses exponent notation",
            "numbers: parses exponent notation with uppercase E",
            "numbers: parses negative exponent notation",
            "numbers: treats unquoted leading-zero number as string",
            "numbers: treats unquoted multi-leading-zero as string",
            "numbers: treats unquoted negative leading-zero number as string",
            "numbers: treats unquoted octal-like as string",
            "primitives: decodes supplementary scalar (U+1F680) in quoted string as literal UTF-8",
            "primitives: parses Chinese characters",
            "primitives: parses Unicode string",
            "primitives: parses decimal number",
            "primitives: parses emoji",
            "primitives: parses empty quoted string",
            "primitives: parses false",
            "primitives: parses negative integer",
            "primitives: parses null",
            "primitives: parses positive integer",
            "primitives: parses quoted string with backslash escape",
            "primitives: parses quoted string with carriage return escape",
            "primitives: parses quoted string with escaped quotes",
            "primitives: parses quoted string with newline escape",
            "primitives: parses quoted string with tab escape",
            "primitives: parses safe unquoted string",
            "primitives: parses string with emoji and spaces",
            "primitives: parses true",
            "primitives: parses unquoted string with underscore and numbers",
            "primitives: respects ambiguity quoting for false",
            "primitives: respects ambiguity quoting for integer",
            "primitives: respects ambiguity quoting for leading-zero",
            "primitives: respects ambiguity quoting for negative decimal",
            "primitives: respects ambiguity quoting for null",
            "primitives: respects ambiguity quoting for scientific notation",
            "primitives: respects ambiguity quoting for true",
        ],
    ),
];

/// What is not written here, and why.
const WRITTEN: [(&str, &[&str]); 2] = [
    (
        "a table that is written stands beside others and has a name",
        &[
            "arrays-nested: encodes root-level array of uniform objects in tabular form",
            "delimiters: encodes root-level array of objects with pipe delimiter",
            "delimiters: encodes root-level array of objects with tab delimiter",
        ],
    ),
    (
        "a cell that is written is a scalar: agents report nothing else, so there are no groups of columns",
        &[
            "arrays-objects: encodes a keyed-eligible object in a tabular column as a nested field group",
            "arrays-tabular: collapses a uniform nested object column into a nested field group",
            "arrays-tabular: collapses nested field groups recursively without a depth cap",
            "arrays-tabular: collapses sibling nested field groups with depth-first row layout",
            "arrays-tabular: quotes subfield names inside nested field groups per key encoding",
            "arrays-tabular: uses the active delimiter inside nested field groups",
        ],
    ),
];

/// Holds the examples that came out otherwise against those that are known to.
fn compare(found: &[String], known: &[(&str, &[&str])]) {
    let mut known: Vec<&str> = known.iter().flat_map(|(_, names)| *names).copied().collect();
    known.sort_unstable();
    assert!(found == known, "other differences than are named:\n{}", found.join("\n"));
}

#[test]
fn texts_mean_what_the_project_says() {
    let examples = examples(&DECODE);
    assert!(examples.len() > 200, "{}", examples.len());
    let mut different = Vec::new();
    for (name, example) in examples {
        let read = value(example.input.as_str().unwrap()).ok();
        let same = match &read {
            Some(read) => !example.should_error && plain(read) == plain(&example.expected),
            // Reading is always strict: what others make of a broken text is no matter.
            None => example.should_error || example.options.strict == Some(false),
        };
        if !same {
            different.push(name);
        }
    }
    compare(&different, &READ);
}

#[test]
fn cells_mean_what_the_project_says_of_values() {
    let mut lifted = 0;
    for (name, example) in examples(&DECODE) {
        if !name.starts_with("numbers: ") && !name.starts_with("primitives: ") {
            continue;
        }
        let text = example.input.as_str().unwrap();
        if text.contains('\n') {
            continue;
        }
        let cells = match text.split_once(": ") {
            Some((_, cells)) if !text.starts_with('"') => cells,
            _ => text,
        };
        let expected: Vec<Value> = match &example.expected {
            Value::Object(object) => match object.values().next() {
                Some(Value::Array(values)) => values.clone(),
                value => value.into_iter().cloned().collect(),
            },
            value => vec![value.clone()],
        };
        let columns: Vec<String> = (0..expected.len()).map(|column| column.to_string()).collect();
        let row: Object = columns.iter().cloned().zip(expected).collect();
        let table = format!("t[1]{{{}}}:\n  {cells}", columns.join(","));
        let read = value(&table).unwrap_or_else(|problem| panic!("{name}: {problem:?}"));
        assert_eq!(plain(&read), plain(&json!({ "t": [row] })), "{name}");
        lifted += 1;
    }
    assert_eq!(lifted, 54);
}

/// A named list of objects with the same scalars each, as a table; none for any other value.
pub(super) fn table(value: &Value, delimiter: char) -> Option<String> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let (name, rows) = object.iter().next()?;
    let rows: Vec<&Object> = rows.as_array()?.iter().map(Value::as_object).collect::<Option<_>>()?;
    let columns: Vec<&String> = rows.first()?.keys().collect();
    let mut text = String::new();
    write::header(&mut text, name, rows.len() as u64, delimiter, columns.iter().map(|name| name.as_str()));
    for row in rows {
        if row.len() != columns.len() || row.values().any(|cell| cell.is_array() || cell.is_object()) {
            return None;
        }
        text.push_str("\n  ");
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                text.push(delimiter);
            }
            write::cell(&mut text, row.get(*column)?, delimiter);
        }
    }
    Some(text)
}

#[test]
fn tables_look_as_the_project_says() {
    let mut different = Vec::new();
    let mut tables = 0;
    for (name, example) in examples(&ENCODE) {
        let expected = example.expected.as_str().unwrap_or_default();
        let header = expected.lines().next().unwrap_or_default();
        // Of the texts that begin with a table.
        if !matches!(super::header::read(header), Ok(super::header::Line::Table(_))) {
            continue;
        }
        tables += 1;
        let written = table(&example.input, example.options.delimiter.unwrap_or(','));
        if written.as_deref() != Some(expected) {
            different.push(name);
        }
    }
    assert_eq!(tables, 22);
    compare(&different, &WRITTEN);
}
