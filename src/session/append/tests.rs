//! Writing into a document adds rows and changes nothing else, however often and whatever the document looks
//! like.

use super::super::layout::Layout;
use super::super::tests::{ORIGINAL, execution, original};
use super::super::verify;
use super::*;
use crate::event::{Execution, Status, StepId};
use crate::graph;
use crate::value::Value;
use proptest::prelude::*;
use serde_json::json;

/// A document with what is needed to write into it.
struct Written {
    source: Source,
    spec: Spec,
    phases: Vec<String>,
}

impl Written {
    fn of(text: &str) -> Written {
        let source = Source::new("x.md", text);
        let (spec, _) = spec::parse(&source);
        let (graph, problems) = graph::build(&source, &spec);
        let graph = graph.unwrap_or_else(|| panic!("{problems:?}"));
        let phases = graph.steps.iter().map(|step| step.phase.clone()).collect();
        Written { source, spec, phases }
    }

    fn append(&self, run: &str, rows: &[Row]) -> String {
        append(&self.source, &self.spec, &self.phases, run, rows).unwrap()
    }

    fn rows(&self) -> Vec<Row> {
        let recorded = recorded(&self.source, &self.spec);
        assert_eq!(recorded.problems, []);
        recorded.rows
    }
}

fn row(step: u32, item: &str, columns: &[(&str, Value)]) -> Row {
    let execution = Execution {
        element: None,
        step: StepId(step),
        status: Status::Success,
        input: Some(item.to_owned()),
        output: Some(format!("{item}_out")),
        duration_ms: Some(12.5),
        tokens_used: Some(3),
        columns: columns.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect(),
        attempt: Some(1),
        started_ms: Some(7),
        error: None,
        code: None,
        recorded: None,
    };
    Layout::of(original()).row(&Arc::from(item), &execution).unwrap()
}

#[test]
fn rows_go_where_their_columns_are_else_into_a_fence_of_their_own() {
    let first = Written::of(ORIGINAL).append("r1", &[row(0, "a", &[("customer_id", json!("c"))])]);
    let shown = |before: &str, after: &str| -> String {
        let old: Vec<&str> = before.lines().collect();
        let mut at = 0;
        let mut added = String::new();
        for line in after.lines() {
            if old.get(at) == Some(&line) {
                at += 1;
            } else {
                added.push_str(&format!("{line}\n"));
            }
        }
        assert_eq!(at, old.len(), "a line is gone: {:?}", old.get(at));
        added
    };
    // The table of the document has no column for the item.
    assert_eq!(
        shown(ORIGINAL, &first),
        "```session-toon\nexecution[1]{phase,agent,channel,input,output,duration_ms,status,tokens_used,customer_id,item,attempt,error}:\n ReceiveOrder,order-api,orders,a,a_out,12.5,success,3,c,\"r1:a\",1,null\n```\n\n"
    );
    let place = first.find("r1:a").unwrap();
    assert!(first[..place].contains("cust_234") && first[place..].contains("## Check Inventory"));

    let second = Written::of(&first).append("r2", &[row(0, "b", &[])]);
    let counted = first.replace("execution[1]", "execution[2]");
    assert_eq!(
        shown(&counted, &second),
        " ReceiveOrder,order-api,orders,b,b_out,12.5,success,3,null,\"r2:b\",1,null\n"
    );
    // A column that is in none of the tables opens another fence.
    let third = Written::of(&second).append("r3", &[row(0, "c", &[("weight", json!(1.50))])]);
    assert_eq!(third.matches("execution[1]{").count(), 1);
    assert_eq!(Written::of(&third).rows().len(), 26);
}

#[test]
fn other_delimiters_endings_and_empty_tables_are_kept() {
    let text = "# T\r\n\r\n## A @x\r\nreq → a\r\n\r\n```session-toon\r\nexecution[1|]{phase|status|item|input|output|duration_ms|tokens_used|agent}:\r\n    A|success|\"k:1\"|x|y|1|2|x\r\n    # a remark\r\n```\r\n\r\n## B @x\r\na → b\r\n\r\n***\r\n\r\n## C\r\nb → c\r\n\r\n```session-toon\r\nexecution[0]{phase,status,item,input,output,duration_ms,tokens_used,agent,started_ms}:\r\n```";
    let document = Written::of(text);
    let rows: Vec<Row> = ["A", "B", "C"]
        .map(|phase| Row {
            phase: Arc::from(phase),
            agent: Some(Arc::from("x")),
            channel: None,
            output: Some("p|q,r".to_owned()),
            ..row(0, "i", &[])
        })
        .to_vec();
    assert_eq!(
        document.append("r", &rows),
        text.replace("[1|]", "[2|]")
            .replace("|1|2|x\r\n", "|1|2|x\r\n    A|success|\"r:i\"|i|\"p|q,r\"|12.5|3|x\r\n")
            .replace(
                "a → b\r\n",
                "a → b\r\n\r\n```session-toon\r\nexecution[1]{phase,agent,channel,input,output,duration_ms,status,tokens_used,item,attempt,error}:\r\n    B,x,null,i,\"p|q,r\",12.5,success,3,\"r:i\",1,null\r\n```\r\n"
            )
            .replace("[0]", "[1]")
            .replace("started_ms}:\r\n", "started_ms}:\r\n    C,success,\"r:i\",i,\"p|q,r\",12.5,3,x,7\r\n")
    );
}

#[test]
fn rows_are_indented_as_the_others_in_their_fence() {
    let text = "# T\n\n## A\nreq → a\n\n```session-toon\nexecution[1]{phase,status}:\n A,success\n```\n\n## B\na → b\n\n```session-toon\nexecution[1]{phase,status}:\n    B,success\nexecution[0]{phase,status,item,input,output,duration_ms,tokens_used}:\n```\n";
    let row = Row { phase: Arc::from("B"), agent: None, channel: None, ..row(0, "i", &[]) };
    assert_eq!(
        Written::of(text).append("r", &[row]),
        text.replace("[0]", "[1]")
            .replace("tokens_used}:\n", "tokens_used}:\n    B,success,\"r:i\",i,i_out,12.5,3\n")
    );
}

#[test]
fn too_much_is_refused() {
    let document = Written::of(ORIGINAL);
    let add = |rows: &[Row]| append(&document.source, &document.spec, &document.phases, "r", rows);
    assert_eq!(add(&vec![row(0, "a", &[]); 1001]), Err(Refusal::TooMany(1001)));
    let long = json!("x".repeat(2000));
    let refused = add(&vec![row(0, "a", &[("note", long)]); 1000]);
    assert!(matches!(refused, Err(Refusal::TooLarge(bytes)) if bytes > 2_000_000), "{refused:?}");
}

/// The original document as other people might have written it.
fn document() -> impl Strategy<Value = String> {
    (any::<bool>(), 1usize..5, any::<bool>(), any::<bool>()).prop_map(|(crlf, indent, bare, open)| {
        let mut text = ORIGINAL.replace("\n ", &format!("\n{}", " ".repeat(indent)));
        if bare {
            // Without any trace at all.
            while let Some(start) = text.find("```session-toon") {
                let end = start + 3 + text[start + 3..].find("```").unwrap() + 3;
                text.replace_range(start..end, "");
            }
        }
        if open {
            text.truncate(text.find("## Workflow Summary").unwrap());
            text.truncate(text.trim_end().len());
        }
        if crlf { text.replace('\n', "\r\n") } else { text }
    })
}

/// A document with every count of rows blotted out.
fn uncounted(text: &str) -> Vec<String> {
    let blot = |line: &str| match line.split_once(']') {
        Some((_, rest)) if line.starts_with("execution[") => format!("execution[]{rest}"),
        _ => line.to_owned(),
    };
    text.split_inclusive('\n').map(blot).collect()
}

/// A row without its run's name, and without what documents do not keep.
fn kept(row: &Row) -> Row {
    let item = row.item.as_deref().map(|item| item.split_once(':').map_or(item, |(_, key)| key).into());
    let attempt = row.attempt.filter(|attempt| *attempt > 1);
    let columns = row.columns.iter().filter(|(_, value)| !value.is_null()).cloned();
    let mut columns: Vec<_> = columns.collect();
    columns.sort_by(|one, other| one.0.cmp(&other.0));
    Row { item, attempt, columns, started_ms: None, ..row.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn writing_adds_rows_and_changes_nothing_else(
        text in document(),
        runs in proptest::collection::vec(proptest::collection::vec(execution(), 0..6), 1..4),
    ) {
        let layout = Layout::of(original());
        let mut text = text;
        for (number, executions) in runs.iter().enumerate() {
            let document = Written::of(&text);
            let rows: Vec<Row> = executions
                .iter()
                .enumerate()
                .filter_map(|(item, execution)| layout.row(&Arc::from(format!("k{item}")), execution))
                .collect();
            let written = document.append(&format!("run{number}"), &rows);
            let after = Written::of(&written);

            // All lines are still there, in their order; only counts differ.
            let mut lines = uncounted(&written).into_iter();
            for line in uncounted(&text) {
                let found = lines.any(|other| other.trim_end_matches(['\r', '\n']) == line.trim_end_matches(['\r', '\n']));
                prop_assert!(found, "{line:?} is gone");
            }
            prop_assert_eq!(written.contains("\r\n"), text.contains("\r\n"));
            prop_assert!(!written.contains("\r\n") || !written.replace("\r\n", "").contains('\n'));

            // The old rows are as they were, the new ones as they came.
            let (old, new) = (document.rows(), after.rows());
            let is_new = |row: &&Row| row.item.as_deref().is_some_and(|item| item.starts_with(&format!("run{number}:")));
            let stayed: Vec<&Row> = new.iter().filter(|row| !is_new(row)).collect();
            prop_assert_eq!(stayed.len(), old.len());
            for (one, other) in old.iter().zip(stayed) {
                prop_assert_eq!(one, other);
            }
            let mut came: Vec<String> = new.iter().filter(is_new).map(|row| format!("{:?}", kept(row))).collect();
            let mut expected: Vec<String> = rows.iter().map(|row| format!("{:?}", kept(row))).collect();
            came.sort();
            expected.sort();
            prop_assert_eq!(came, expected);
            text = written;
        }
        prop_assert_eq!(Written::of(&text).append("none", &[]), text);
    }
}

#[test]
fn what_was_replayed_and_written_verifies() {
    let document = Written::of(ORIGINAL);
    let rows = document.rows();
    let layout = Layout::of(original());
    let keyed: Vec<Row> = super::super::link(&layout, &rows)
        .iter()
        .flat_map(|item| {
            item.rows.iter().map(|row| Row { item: Some(item.key.clone()), ..rows[*row].clone() })
        })
        .collect();
    let text = document.append("again", &keyed);
    let source = Source::new("x.md", text.as_str());
    let (spec, _) = spec::parse(&source);
    let graph = graph::build(&source, &spec).0.unwrap();
    let verified = verify(&source, &spec, &graph);
    assert_eq!((verified.rows, verified.items), (46, 10));
    assert!(verified.differences.iter().all(|difference| !difference.is_error()), "{verified:#?}");
}
