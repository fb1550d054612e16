//! A replayed row is the recorded row: every cell of any table, in a document or a session file, comes out of
//! `run --replay --session` as it was written.

use crate::place::Place;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The rows of all tables of executions in a text, each by column, in their order.
fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut rows = Vec::new();
    let mut table: Option<(char, Vec<String>)> = None;
    for line in text.lines() {
        if let Some(header) = line.strip_prefix("execution[").filter(|header| header.ends_with("}:")) {
            let delimiter = ['|', '\t'].into_iter().find(|mark| header.contains(&format!("{mark}]{{")));
            let delimiter = delimiter.unwrap_or(',');
            let names = &header[header.find('{').unwrap() + 1..header.len() - 2];
            table = Some((delimiter, cells(names, delimiter)));
        } else if !line.starts_with(' ') {
            table = None;
        } else if let Some((delimiter, columns)) = &table {
            rows.push(columns.iter().cloned().zip(cells(line.trim(), *delimiter)).collect());
        }
    }
    rows
}

/// The cells of a line as they stand there.
fn cells(line: &str, delimiter: char) -> Vec<String> {
    let (mut cells, mut quoted, mut escaped) = (vec![String::new()], false, false);
    for letter in line.chars() {
        match letter {
            '"' if !escaped => quoted = !quoted,
            _ if letter == delimiter && !quoted => {
                cells.push(String::new());
                continue;
            }
            _ => {}
        }
        escaped = quoted && letter == '\\' && !escaped;
        cells.last_mut().unwrap().push(letter);
    }
    cells
}

/// Asserts that every row stands among the others in its order within its item and step, cell for cell.
/// Columns that a table of several steps adds are null.
fn assert_kept(recorded: &[BTreeMap<String, String>], again: &[BTreeMap<String, String>], more: &[&str]) {
    assert_eq!(recorded.len(), again.len());
    let mut left: Vec<_> = again.iter().collect();
    for row in recorded {
        let same = |other: &&BTreeMap<String, String>| {
            other.iter().all(|(name, cell)| match row.get(name) {
                Some(recorded) if name == "item" && recorded == "null" => true,
                // Only a comma cannot stand there as it was.
                Some(recorded) => recorded == cell || *cell == format!("\"{recorded}\""),
                None => cell == "null" || more.contains(&&**name),
            })
        };
        let place = left.iter().position(same).unwrap_or_else(|| panic!("{row:?} is not among {left:#?}"));
        left.remove(place);
    }
}

/// Labels as people and programs write them.
fn label() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("\"\"".to_owned()),
        Just("\"null\"".to_owned()),
        Just("true".to_owned()),
        "[a-c]{1,2}",
        "\"[a-c, :|]{0,4}\"",
        Just("\"say \\\"no\\\", \\\\ \\n \\u00e9 ☂\"".to_owned()),
        "(0|[1-9][0-9]{0,2})(\\.[0-9]{1,3}|e5|E\\+2)?",
        "0[0-9]{1,3}",
        "2026-0[1-9]-[0-3][0-9]",
        Just("2026-11-20T08:00:00.500Z".to_owned()),
        "[a-z]{1,4} [a-z]{1,4}",
    ]
}

/// What a cell of this column may hold.
fn value(column: &str) -> BoxedStrategy<String> {
    match column {
        "duration_ms" => prop_oneof![
            Just("null".to_owned()),
            "(0|[1-9][0-9]{0,3})",
            "[1-9][0-9]{0,2}\\.[0-9]{0,2}0",
            Just("1.5e2".to_owned())
        ]
        .boxed(),
        "status" => proptest::sample::select(vec![
            "success",
            "\"success\"",
            "failed",
            "timeout",
            "skipped",
            "cancelled",
            "compensated",
            "compensation_failed",
        ])
        .prop_map(str::to_owned)
        .boxed(),
        "tokens_used" => prop_oneof![Just("null".to_owned()), "(0|[1-9][0-9]{0,3})"].boxed(),
        "item" => prop_oneof![Just("null".to_owned()), "k[1-3]", "\"k:[1-2]\"", "[1-3]"].boxed(),
        "attempt" => prop_oneof![Just("null".to_owned()), "[1-9]"].boxed(),
        "started_ms" => prop_oneof![Just("null".to_owned()), "(0|[1-9][0-9]{0,2})"].boxed(),
        _ => label().boxed(),
    }
}

const STEPS: [(&str, &str); 4] = [
    ("Take", "## Take @clerk #desk\norder -> taken\n"),
    ("Sort", "## Sort @clerk [each:: x in taken]\nx -> sorted\n"),
    ("Send", "## Send\nsorted -> sent\n"),
    ("Sum", "## Sum [per:: run]\nsent -> sum\n"),
];
const OTHERS: [&str; 12] = [
    "agent",
    "channel",
    "input",
    "output",
    "duration_ms",
    "tokens_used",
    "item",
    "attempt",
    "started_ms",
    "error",
    "weight",
    "\"due, by\"",
];

/// A table of this step's executions: any columns in any order, any of the delimiters.
fn table(phase: &'static str) -> impl Strategy<Value = String> {
    let columns = proptest::sample::subsequence(OTHERS.to_vec(), 0..OTHERS.len()).prop_shuffle();
    let shape = (columns, proptest::sample::select(vec![',', '|', '\t']), 0..4usize, 0..3usize);
    shape.prop_flat_map(move |(mut columns, delimiter, count, at)| {
        columns.insert(at.min(columns.len()), "status");
        // In the first cell a colon would end the table.
        columns.insert(0, "phase");
        let row: Vec<BoxedStrategy<String>> = columns
            .iter()
            .map(|name| if *name == "phase" { Just(phase.to_owned()).boxed() } else { value(name) })
            .collect();
        proptest::collection::vec(row, count).prop_map(move |rows| {
            let separator = delimiter.to_string();
            let mark = if delimiter == ',' { "" } else { &separator };
            let mut text = format!("execution[{count}{mark}]{{{}}}:\n", columns.join(&separator));
            for row in rows {
                text.push_str(&format!(" {}\n", row.join(&separator)));
            }
            text
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_recorded_is_replayed_cell_for_cell(
        tables in (table("Take"), table("Sort"), table("Send"), table("Sum")),
    ) {
        let tables = [tables.0, tables.1, tables.2, tables.3];
        let mut document = "# T\n\n".to_owned();
        for ((_, step), table) in STEPS.iter().zip(&tables) {
            document.push_str(&format!("{step}\n```session-toon\n{table}```\n\n"));
        }
        let recorded = rows(&document);
        prop_assume!(!recorded.is_empty());
        let place = Place::new(&document);
        let told = place.orderflow("run flow.md --replay --session once.toon --quiet");
        prop_assert_eq!(told.exit, Some(0), "{}{}", told.err, document);
        let once = place.read("once.toon");
        assert_kept(&recorded, &rows(&once), &["item"]);

        let told = place.orderflow("run flow.md --replay=once.toon --session twice.toon --quiet");
        prop_assert_eq!(told.exit, Some(0), "{}", told.err);
        prop_assert_eq!(rows(&place.read("twice.toon")), rows(&once));
    }
}

/// A session file of another tool, in the order that it chose, with agents of its own.
#[test]
fn a_session_is_replayed_row_for_row() {
    let document = STEPS.map(|(_, step)| step).join("\n");
    let place = Place::new(&format!("# T\n\n{document}"));
    let table = "execution[5]{phase,agent,channel,input,output,duration_ms,status,tokens_used,weight,item,attempt,started_ms,error}:
  Send,robot,null,s,\"t\",1.50,success,null,2.0,b,1,40,null
  Take,\"clerk-2\",counter,o,null,12,success,0,null,a,2,30,\"\"
  Sort,clerk,desk,x1,y,3,failed,null,\"\",a,1,90,full
  Sort,null,desk,x1,y,3,success,null,1e3,a,2,20,null
  Sum,clerk,desk,t,9,1,success,null,null,null,null,null,null
";
    place.write("s.toon", table);
    let told = place.orderflow("run flow.md --replay=s.toon --session again.toon --quiet");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert!(place.read("again.toon").contains(table), "{}", place.read("again.toon"));
}
