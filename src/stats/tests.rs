//! The figures: checked by hand where they can be, and equal however the rows come.

use super::*;
use crate::session::tests::{ORIGINAL, document, execution, original, record, told};
use crate::session::{Entries, Layout, replay};
use proptest::prelude::*;
use serde_json::{Value, json};

fn of_document(text: &str, by: &[Dimension]) -> Value {
    let (graph, rows) = document(text);
    let mut fold = Fold::new(by.to_vec());
    fold.document(&Layout::of(&graph), &rows);
    serde_json::to_value(fold.finish()).unwrap()
}

fn of_text(text: &str, by: &[Dimension]) -> Value {
    let mut fold = Fold::new(by.to_vec());
    let session = fold.session(text.as_bytes()).unwrap();
    assert!(session.problems.is_empty(), "{:?}", session.problems);
    serde_json::to_value(fold.finish()).unwrap()
}

#[test]
fn the_original_document_has_these_true_figures() {
    let stats = of_document(ORIGINAL, &[Dimension::Phase]);
    // By hand: order_001 takes 120 + max(340, 1240) + 680 + 2100 + 450 = 4590 ms, order_002 5125,
    // order_005 4645; order_003 takes 110 + 290 + 850 = 1250 and order_004 80 + 790 = 870.
    let elapsed = 4590 + 5125 + 4645 + 1250 + 870;
    let sequential = 530 + 1360 + 4140 + 2090 + 6400 + 1390 + 1640;
    assert_eq!(sequential - elapsed, 340 + 380 + 350);
    assert_eq!(
        stats["run"],
        json!({
            "rows": 23,
            "items": 5,
            "items_by_status": {"succeeded": 3, "failed": 2},
            "wall_ms": null,
            "sequential_ms": sequential,
            "elapsed_ms": elapsed,
            "saved_ms": 1070,
            "mean_item_ms": 3296,
            "mean_succeeded_item_ms": 4786.667,
            "critical_path": ["ReceiveOrder", "ProcessPayment", "ReserveInventory", "CreateShipment", "NotifyCustomer"],
            "slowest_step": {"phase": "CreateShipment", "mean_ms": serde_json::from_str::<Value>("2133.333").unwrap()},
            "tokens_used": 9990,
        })
    );
    let groups = stats["groups"].as_array().unwrap();
    let phases: Vec<_> = groups.iter().map(|group| group["by"]["phase"].as_str().unwrap()).collect();
    assert_eq!(phases.first(), Some(&"ReceiveOrder"));
    assert_eq!(phases.last(), Some(&"HandleFailedOrders"));
    let receive = json!({
        "by": {"phase": "ReceiveOrder"},
        "count": 5,
        "by_status": {"success": 4, "failed": 1},
        "success_rate": serde_json::from_str::<Value>("0.8").unwrap(),
        "mean_ms": 106,
        "p50_ms": 110,
        "p95_ms": 125,
        "p99_ms": 125,
        "max_ms": 125,
        "percentile_error": 0,
        "tokens_used": 1625,
        "columns": {},
    });
    assert_eq!(groups[0], receive);
    let payment = &groups[2]["columns"]["amount_usd"];
    assert_eq!(
        payment.to_string(),
        r#"{"count":3,"sum":302.74,"mean":100.9133333333333333333333333333333,"min":67.25,"max":145.50}"#
    );
}

#[test]
fn groups_may_be_by_anything_together() {
    let stats = of_document(ORIGINAL, &[Dimension::Agent, Dimension::Status]);
    let first = stats["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| (group["by"].to_string(), group["count"].as_u64().unwrap()));
    let groups: Vec<_> = first.take(4).collect();
    assert_eq!(
        groups,
        [
            (r#"{"agent":"order-api","status":"success"}"#.to_owned(), 6),
            (r#"{"agent":"order-api","status":"failed"}"#.to_owned(), 1),
            (r#"{"agent":"inventory-service","status":"success"}"#.to_owned(), 6),
            (r#"{"agent":"inventory-service","status":"failed"}"#.to_owned(), 1),
        ]
    );
    assert_eq!(of_document(ORIGINAL, &[])["groups"].as_array().unwrap().len(), 1);
}

#[test]
fn what_a_bare_table_does_not_tell_is_null() {
    let stats = of_text(
        "execution[2]{phase,status,duration_ms}:\n  A,success,10\n  B,skipped,null\n",
        &[Dimension::Phase],
    );
    let run = &stats["run"];
    for unknown in
        ["items", "items_by_status", "wall_ms", "elapsed_ms", "saved_ms", "critical_path", "tokens_used"]
    {
        assert_eq!(run[unknown], Value::Null, "{unknown}");
    }
    assert_eq!((&run["rows"], &run["sequential_ms"]), (&json!(2), &json!(10)));
    assert_eq!(stats["groups"][1]["success_rate"], Value::Null);
    assert_eq!(stats["groups"][1]["mean_ms"], Value::Null);
}

#[test]
fn starts_tell_wall_time_and_overlap() {
    let text = "t[4]{phase,status,duration_ms,item,started_ms}:\n  A,success,10,i,100\n  B,success,10,j,105\n  B,success,20,i,105\n  C,skipped,null,j,120\n";
    let run = &of_text(text, &[])["run"];
    assert_eq!(run["wall_ms"], json!(25));
    assert_eq!(run["elapsed_ms"], json!(25 + 10));
    assert_eq!(run["saved_ms"], json!(5));
    assert_eq!(run["items"], json!(2));
    assert_eq!(run["items_by_status"], Value::Null);
}

#[test]
fn columns_that_are_not_numbers_are_left_out_and_lost_sums_are_null() {
    let text =
        "t[3]{phase,status,a,b,c}:\n  A,success,1,2,1e99999\n  A,success,x,null,1\n  A,success,3,0.5,1\n";
    let columns = &of_text(text, &[])["groups"][0]["columns"];
    assert_eq!(columns["a"], Value::Null);
    assert_eq!(columns["b"]["sum"].to_string(), "2.5");
    assert_eq!(columns["c"]["sum"], Value::Null);
    assert_eq!(columns["c"]["count"], json!(3));
}

#[test]
fn rounds_of_loops_are_not_summed() {
    let text = "t[2]{phase,status,round,cost}:\n  A,success,1,2\n  A,success,2,3\n";
    let columns = &of_text(text, &[])["groups"][0]["columns"];
    assert_eq!(columns["round"], Value::Null);
    assert_eq!(columns["cost"]["sum"], json!(5));
}

#[test]
fn sums_means_and_extremes_are_exact() {
    let column = |numbers: &[&str]| {
        let rows: String = numbers.iter().map(|number| format!("  A,success,{number}\n")).collect();
        let text = format!("t[{}]{{phase,status,n}}:\n{rows}", numbers.len());
        of_text(&text, &[])["groups"][0]["columns"]["n"].to_string()
    };
    for (numbers, found) in [
        (
            vec!["9007199254740993", "9007199254740993.0", "9007199254740992"],
            r#"{"count":3,"sum":27021597764222978.0,"mean":9007199254740992.666666666666666667,"min":9007199254740992,"max":9007199254740993}"#,
        ),
        (vec!["0.1", "0.1", "0.1"], r#"{"count":3,"sum":0.3,"mean":0.1,"min":0.1,"max":0.1}"#),
        (vec!["0.70", "0.10"], r#"{"count":2,"sum":0.80,"mean":0.4,"min":0.10,"max":0.70}"#),
        (
            vec!["1e400", "1e400"],
            // As long as they are, numbers of more digits than a float has are numbers.
            r#"{"count":2,"sum":SUM,"mean":MEAN,"min":1e+400,"max":1e+400}"#,
        ),
    ] {
        let zeros = "0".repeat(400);
        let found = found.replace("SUM", &format!("2{zeros}")).replace("MEAN", &format!("1{zeros}"));
        assert_eq!(column(&numbers), found, "{numbers:?}");
    }
}

#[test]
fn a_share_is_compared_exactly() {
    use crate::spec::expectations;
    // 999 of 1000 are 99.9 %, although 99.9 / 100 is more than 0.999 in floats.
    let rows = "  A,success,9007199254740993\n".repeat(999) + "  A,failed,9007199254740993\n";
    let mut fold = Fold::new(Vec::new()).judged();
    fold.session(format!("t[1000]{{phase,status,n}}:\n{rows}").as_bytes()).unwrap();
    let (stats, judged) = fold.finish_judged();
    let text = "success >= 99.9%, success == 99.9%, errors <= 0.1%, errors < 0.1%, n == 9007199254740993, \
                n < 9007199254740993, n >= 9007199254740992.5";
    let expected: Vec<_> = expectations(text).0.into_iter().map(|(one, _)| one).collect();
    let met: Vec<_> = judge(&expected, &judged, &stats.run).into_iter().map(|one| one.unwrap().met).collect();
    assert_eq!(met, [true, true, true, false, true, false, true].map(Some));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_mean_is_never_out_of_its_range(
        numbers in proptest::collection::vec(("-?[1-9][0-9]{0,45}(\\.[0-9]{1,45})?(e-?[0-9]{1,2})?", 0u64..2000), 1..6),
        same in any::<bool>(),
    ) {
        let first = numbers[0].clone();
        let numbers: Vec<_> = numbers.into_iter().map(|number| if same { first.clone() } else { number }).collect();
        // Durations of fractions of a microsecond, too.
        let rows: String = numbers
            .iter()
            .map(|(number, spent)| format!("  A,success,{},{number}\n", *spent as f64 * 1e-4))
            .collect();
        let mut fold = Fold::new(vec![Dimension::Phase]);
        fold.session(format!("t[{}]{{phase,status,duration_ms,n}}:\n{rows}", numbers.len()).as_bytes()).unwrap();
        let stats = fold.finish();
        let group = &stats.groups[0];
        let column = &group.columns[0].1;
        let exact = |value: &Value| crate::value::Decimal::parse(&value.to_string()).unwrap();
        let mean = exact(column.mean.as_ref().unwrap());
        prop_assert!(exact(&column.min) <= mean && mean <= exact(&column.max));
        let spent = numbers.iter().map(|(_, spent)| *spent as f64 * 1e-4);
        let (least, most) = (spent.clone().fold(f64::MAX, f64::min), spent.fold(0.0, f64::max));
        let mean = group.mean_ms.unwrap().0;
        prop_assert!(least <= mean && mean <= most);
        prop_assert_eq!(stats.run.slowest_step.unwrap().mean_ms.0, mean);
    }
}

#[test]
fn several_inputs_are_summed() {
    let (graph, rows) = document(ORIGINAL);
    let layout = Layout::of(&graph);
    let mut fold = Fold::new(vec![Dimension::Phase]);
    fold.document(&layout, &rows);
    fold.document(&layout, &rows);
    let twice = fold.finish();
    let text = serde_json::to_value(&twice.run).unwrap();
    assert_eq!((&text["rows"], &text["items"], &text["saved_ms"]), (&json!(46), &json!(10), &json!(2140)));
    assert_eq!(twice.run.critical_path.map(|path| path.len()), Some(5));
    assert_eq!(twice.groups[0].count, 10);

    let mut fold = Fold::new(Vec::new());
    fold.document(&layout, &rows);
    fold.session(&b"t[1]{phase,status}:\n  A,success\n"[..]).unwrap();
    let mixed = fold.finish().run;
    assert_eq!((mixed.rows, mixed.items, mixed.critical_path), (24, None, None));
}

#[test]
fn a_summary_beyond_counting_is_not_believed() {
    let told = |summary: Value| record(original(), &[], summary.as_object().unwrap());
    let most = told(json!({"items": u64::MAX, "items_by_status": {"succeeded": u64::MAX}}));
    let wraps = told(json!({"items": 1, "items_by_status": {"succeeded": u64::MAX, "failed": 2}}));
    assert_eq!(of_text(&wraps, &[])["run"]["items"], json!(0));
    let mut fold = Fold::new(Vec::new());
    fold.session(most.as_bytes()).unwrap();
    fold.session(most.as_bytes()).unwrap();
    let run = fold.finish().run;
    assert_eq!((run.items, run.items_by_status), (None, None));
}

#[test]
fn a_replayed_document_has_the_figures_of_the_document() {
    let (graph, rows) = document(ORIGINAL);
    let events = replay(&graph, &rows).unwrap();
    let mut live = Live::new(&graph, vec![Dimension::Phase]);
    let mut entries = Entries::new(&graph);
    events.iter().filter_map(|event| entries.take(event)).for_each(|entry| live.take(&entry));
    let live = live.finish();
    let text = record(&graph, &events, &live.run.summary());
    assert_eq!(serde_json::to_value(&live).unwrap(), of_document(ORIGINAL, &[Dimension::Phase]));
    assert_eq!(of_text(&text, &[Dimension::Phase]), of_document(ORIGINAL, &[Dimension::Phase]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn live_figures_equal_those_of_the_file(
        items in proptest::collection::vec(proptest::collection::vec(execution(), 0..5), 0..5),
        by in proptest::sample::subsequence(vec![Dimension::Phase, Dimension::Agent, Dimension::Channel, Dimension::Status], 0..=4),
    ) {
        let graph = original();
        let events = told(&items);
        let mut live = Live::new(graph, by.clone());
        let mut entries = Entries::new(graph);
        events.iter().filter_map(|event| entries.take(event)).for_each(|entry| live.take(&entry));
        let mut live = live.finish();
        let text = record(graph, &events, &live.run.summary());
        let mut fold = Fold::new(by);
        let session = fold.session(text.as_bytes()).unwrap();
        prop_assert!(session.problems.is_empty());
        let mut from_file = fold.finish();
        // Groups and columns stand as they were first seen, which is another order in the file.
        for stats in [&mut live, &mut from_file] {
            stats.groups.sort_by_key(|group| format!("{:?}", group.by));
            stats.groups.iter_mut().for_each(|group| group.columns.sort_by(|one, other| one.0.cmp(&other.0)));
        }
        prop_assert_eq!(serde_json::to_value(&live.run).unwrap(), serde_json::to_value(&from_file.run).unwrap());
        prop_assert_eq!(live.groups.len(), from_file.groups.len());
        for (mut one, mut other) in live.groups.into_iter().zip(from_file.groups) {
            // Of equal numbers the one that was seen first is shown as it was written.
            for group in [&mut one, &mut other] {
                for (_, column) in &mut group.columns {
                    for end in [&mut column.min, &mut column.max] {
                        *end = json!(end.as_f64());
                    }
                }
            }
            prop_assert_eq!(one, other);
        }
    }
}
