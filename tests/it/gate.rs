//! Statistics as a gate: expectations and baselines, on the command line and in documents, and what a pull
//! request is shown.

use crate::program::{Told, orderflow, orderflow_reading};
use serde_json::Value;
use snapbox::{assert_data_eq, str};
use std::fs;

const ORIGINAL: &str = "tests/fixtures/order-processing-original.md";

/// What `stats` says of the original document and these expectations.
fn expect(expectations: &[&str]) -> Told {
    let asked = expectations.iter().flat_map(|expectation| ["--expect", *expectation]);
    orderflow(&[&["stats", ORIGINAL], asked.collect::<Vec<_>>().as_slice()].concat())
}

#[test]
fn expectations_are_judged_and_shown() {
    let told = expect(&[
        "'Process Payment'.p95 < 2s, 'CheckInventory'.errors <= 25%",
        "count == 23, errors == 2, success >= 91.3%, saved > 6%",
        "'Create Shipment'.max < 2250ms, tokens < 9990, amount_usd < 145.51, saved > 1070ms",
    ]);
    assert_eq!(told.exit, Some(1));
    let (_, verdicts) = told.out.split_once("expectation").unwrap();
    assert_data_eq!(
        verdicts.to_owned(),
        str![[r#"
                      found  met
────────────────────────────────────────────
'Process Payment'.p95 < 2s      1.58 s  yes
'CheckInventory'.errors <= 25%    25 %  yes
count == 23                         23  yes
errors == 2                          2  yes
success >= 91.3%                91.3 %  yes
saved > 6%                       6.1 %  yes
'Create Shipment'.max < 2250ms  2.25 s   no
tokens < 9990                    9,990   no
amount_usd < 145.51             145.50  yes
saved > 1070ms                  1.07 s   no

"#]]
    );
    assert_eq!(told.err, "3 of 10 expectations are not met\n");
    assert_eq!(expect(&["count == 23"]).exit, Some(0));
}

#[test]
fn the_steps_of_a_record_are_named_once() {
    let told = expect(&["'x'.p95 < 2s"]);
    let names = "ReceiveOrder, CheckInventory, ProcessPayment, ReserveInventory, CreateShipment, NotifyCustomer, HandleFailedOrders";
    assert!(told.err.ends_with(&format!("the record has {names}\n")), "{}", told.err);
}

#[test]
fn names_that_are_not_there_are_errors_with_the_nearest() {
    let told = expect(&["'Proces Payment'.p95 < 2s, cont > 1", "ProcessPayment.p95 > 1"]);
    assert_eq!((told.out.as_str(), told.exit), ("", Some(3)));
    assert_data_eq!(
        told.err,
        str![[r#"
error: cannot judge 'Proces Payment'.p95 < 2s: the record has no step 'Proces Payment'
  help: did you mean 'ProcessPayment'?
error: cannot judge cont > 1: the record has no numeric column `cont` there
  help: did you mean `count`?
error: cannot judge ProcessPayment.p95 > 1: the record has no numeric column `ProcessPayment.p95` there
  help: did you mean `'ProcessPayment'.p95`?

"#]]
    );
    let told = expect(&["p95 = 2s"]);
    assert_eq!((told.out.as_str(), told.exit), ("", Some(2)));
    assert!(told.err.contains("expected a relation at column 5\n  help: the relations are"), "{}", told.err);
}

#[test]
fn what_a_record_does_not_tell_is_not_met() {
    let table = "t[1]{phase,status}:\n  A,success\n";
    let told = orderflow_reading(&["stats", "-", "--expect", "p95 < 1d, tokens < 9, saved > 0"], table);
    assert_eq!(told.exit, Some(1));
    assert_eq!(told.out.matches("unknown   no").count(), 3, "{}", told.out);
}

const CLAIMS: &str = "# T\n\n## A @x\nreq → a\n\n> [!expect] p95 < 10ms\n\n```session-toon\nexecution[1]{phase,duration_ms,status,cents}:\n A,12,success,5\n```\n\n## B @x\na → b\n\n> [!expect] mean < 1s, count == 0, grams < 3\n";

#[test]
fn documents_are_judged_by_their_own_executions() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claims.md");
    fs::write(&file, CLAIMS).unwrap();
    let told = orderflow(&["stats", file.to_str().unwrap()]);
    assert_eq!(told.exit, Some(1));
    let (_, verdicts) = told.out.split_once("expectation").unwrap();
    assert_data_eq!(
        verdicts.to_owned(),
        str![[r#"
            found  met
──────────────────────────────────
'A'.p95 < 10ms         12 ms   no
'B'.mean < 1s   not executed    –
'B'.count == 0             0  yes
'B'.grams < 3   not executed    –

"#]]
    );
    fs::write(&file, CLAIMS.replace("p95 < 10ms", "cent < 10")).unwrap();
    let told = orderflow(&["stats", file.to_str().unwrap()]);
    assert_eq!((told.out.as_str(), told.exit), ("", Some(3)));
    assert_data_eq!(
        told.err.replace(folder.path().to_str().unwrap(), "[folder]"),
        str![[r#"
error[unknown-figure]: the record has no numeric column `cent` there
 --> [folder]/claims.md:6:13
  |
6 | > [!expect] cent < 10
  |             ^^^^^^^^^
  |
  = help: did you mean `cents`?


"#]]
    );
}

#[test]
fn a_run_is_held_against_what_its_document_expects() {
    let folder = tempfile::tempdir().unwrap();
    let document = |bound: &str| {
        let text = format!(
            "# T\n\n## Say\nword → echo::String\n\n> [!expect] count == {bound}, score > 1\n\n```sh run\necho '{{\"echo\": \"x\", \"score\": 2}}'\n```\n"
        );
        let file = folder.path().join("say.md");
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let session = folder.path().join("session.toon").to_str().unwrap().to_owned();
    let run = |bound: &str, format: &str| {
        let args = ["--trust", "--input", "word=x", "--session", &session, "--format", format];
        orderflow(&[&["run", &document(bound)], &args[..]].concat())
    };
    let told = run("1", "table");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    assert!(
        told.out.contains("'Say'.count == 1      1  yes\n'Say'.score > 1       2  yes\n\nresults; "),
        "{}",
        told.out
    );
    let told = run("2", "json");
    assert_eq!(told.exit, Some(1), "{}", told.err);
    assert!(
        told.err.ends_with("1 of 2 expectations is not met\n") || told.err.contains("1 of 2"),
        "{}",
        told.err
    );
    let json: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(
        json["expectations"][0].to_string(),
        r#"{"expectation":"count == 2","step":"Say","found":1,"met":false}"#
    );
}

/// The original with a slower payment, a failed shipment and a step of another name.
fn changed() -> String {
    let text = fs::read_to_string(ORIGINAL).unwrap();
    text.replace("receipt_002,1580", "receipt_002,1739")
        .replace("track_1Z777,2050,success", "track_1Z777,2050,failed")
        .replace("## Check Inventory", "## Check Stock")
        .replace("CheckInventory", "CheckStock")
}

#[test]
fn a_baseline_shows_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("changed.md");
    fs::write(&file, changed()).unwrap();
    let compare = |args: &[&str]| {
        orderflow(&[&["stats", file.to_str().unwrap(), "--baseline", ORIGINAL], args].concat())
    };
    let told = compare(&["--by", "agent", "--threshold", "10%", "--min-executions", "3"]);
    let uncompared = format!(
        "only in {ORIGINAL}, not compared: CheckInventory\nnot in {ORIGINAL}, not compared: CheckStock\n"
    );
    let worse = format!("{uncompared}2 figures are worse by more than 10%\n");
    assert_eq!((told.err.as_str(), told.exit), (worse.as_str(), Some(1)));
    let (_, changes) = told.out.split_once("changes since ").unwrap();
    assert_data_eq!(
        changes.to_owned(),
        str![[r#"
tests/fixtures/order-processing-original.md

step            figure   before     now     difference  percent
───────────────────────────────────────────────────────────────────────
CheckStock      count         –       4              –        –
ProcessPayment  mean     1.38 s  1.43 s         +53 ms   +3.8 %
ProcessPayment  p95      1.58 s  1.74 s        +159 ms  +10.1 %  worse
CreateShipment  success   100 %  66.7 %  -33.33 points  -33.3 %  worse
CheckInventory  count         4       –              –        –

"#]]
    );
    let told = compare(&["--threshold", "34%"]);
    assert_eq!((told.err.as_str(), told.exit), (uncompared.as_str(), Some(0)));
    assert_eq!(compare(&[]).exit, Some(0));
    let same = orderflow(&["stats", ORIGINAL, "--baseline", ORIGINAL, "--threshold", "0%"]);
    assert_eq!(same.exit, Some(0));
    assert!(same.out.ends_with(&format!("\nno step has other figures than in {ORIGINAL}\n")), "{}", same.out);
    assert_eq!(orderflow(&["stats", ORIGINAL, "--threshold", "10%"]).exit, Some(2));
}

/// A table of executions of the step A that took so long, and its file.
fn table(folder: &tempfile::TempDir, name: &str, step: &str, rows: &[&str]) -> String {
    let path = folder.path().join(name);
    let lines: String = rows.iter().map(|row| format!("  {step},{row}\n")).collect();
    fs::write(&path, format!("t[{}]{{phase,status,duration_ms}}:\n{lines}", rows.len())).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_gate_does_not_pass_on_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let one = table(&folder, "one.toon", "A", &["success,10"]);
    let other = table(&folder, "other.toon", "B", &["success,10"]);
    let told = orderflow(&["stats", &one, "--baseline", &other, "--threshold", "10%"]);
    assert_eq!(told.exit, Some(3));
    assert_eq!(
        told.err,
        format!(
            "error: nothing to compare: no step has a time or a success rate here and in {other}\n\
             \x20 help: steps only here: A; only there: B\n"
        )
    );
    // Nothing was executed on either side, or on one.
    let skipped = table(&folder, "skipped.toon", "A", &["skipped,null"]);
    for baseline in [&skipped, &one] {
        let told = orderflow(&["stats", &skipped, "--baseline", baseline, "--threshold", "10%"]);
        assert_eq!(told.exit, Some(3), "{}", told.err);
    }
    // Without a gate it is a comparison like others.
    assert_eq!(orderflow(&["stats", &one, "--baseline", &other]).exit, Some(0));
    let same = orderflow(&["stats", &one, "--baseline", &one, "--threshold", "0%"]);
    assert_eq!((same.exit, same.err.as_str()), (Some(0), ""));
}

#[test]
fn what_is_below_the_noise_floor_is_not_worse() {
    let folder = tempfile::tempdir().unwrap();
    let before = table(&folder, "before.toon", "A", &["success,16"]);
    let now = table(&folder, "now.toon", "A", &["success,48"]);
    let gate = |now: &str, before: &str, args: &[&str]| {
        let told = orderflow(&[&["stats", now, "--baseline", before, "--threshold", "10%"], args].concat());
        (told.exit, told.err)
    };
    let noise = "1 figure is worse by more than 10%, but below the noise floor: fewer than 5 executions, or a \
                 difference of less than 50 ms\n";
    assert_eq!(gate(&now, &before, &[]), (Some(0), noise.to_owned()));
    let worse = "1 figure is worse by more than 10%\n".to_owned();
    assert_eq!(
        gate(&now, &before, &["--min-executions", "1", "--min-difference", "32ms"]),
        (Some(1), worse.clone())
    );
    assert_eq!(gate(&now, &before, &["--min-executions", "1", "--min-difference", "33ms"]).0, Some(0));
    let json = orderflow(&["stats", &now, "--baseline", &before, "--threshold", "10%", "--format", "json"]);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    let p95 = json["changes"].as_array().unwrap().iter().find(|change| change["figure"] == "p95_ms").unwrap();
    assert_eq!((&p95["worse"], &p95["noise"]), (&false.into(), &true.into()));
    // Enough executions and enough of a difference; exactly as much as is allowed is allowed.
    let many = |name, time| table(&folder, name, "A", &[&*format!("success,{time}"); 5]);
    let (before, just, more) =
        (many("b.toon", "1100.1"), many("j.toon", "1210.11"), many("m.toon", "1210.2"));
    assert_eq!(gate(&just, &before, &[]).0, Some(0));
    assert_eq!(gate(&more, &before, &[]), (Some(1), worse.clone()));
    // A failure is no noise.
    let failed = table(&folder, "failed.toon", "A", &["failed,16"]);
    assert_eq!(gate(&failed, &many("n.toon", "16"), &[]), (Some(1), worse));
    let told = orderflow(&["stats", &more, "--baseline", &before, "--threshold", "7.5%", "--format", "csv"]);
    assert_eq!(told.err, "1 figure is worse by more than 7.5%\n");
}

#[test]
fn skipped_executions_do_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let file = table(&folder, "t.toon", "A", &["success,10", "skipped,null", "skipped,0", "failed,20"]);
    let told = orderflow(&["stats", &file, "--expect", "count == 2"]);
    assert_eq!(told.exit, Some(0));
    assert_data_eq!(
        told.out,
        str![[r#"
step  count  failed  skipped  success   mean    p50    p95    p99    max  tokens
─────────────────────────────────────────────────────────────────────────────────
A         2       1        2     50 %  15 ms  10 ms  20 ms  20 ms  20 ms       –

items          unknown: rows do not say to which item they belong
executions     2
wall time      unknown: rows do not say when they started
work           30 ms
slowest step   A, 15 ms on average

expectation  found  met
────────────────────────
count == 2       2  yes

"#]]
    );
    // A document's expectation of a step that was only skipped is not judged.
    let document = "# T\n\n## A [when:: x]\nx::Boolean → y\n\n> [!expect] p95 < 1ms, count > 3\n\n\
                    ```session-toon\nexecution[1]{phase,agent,channel,input,output,duration_ms,tokens_used,status}:\n  \
                    A,null,null,false,null,null,null,skipped\n```\n";
    let path = folder.path().join("t.md");
    fs::write(&path, document).unwrap();
    let told = orderflow(&["stats", path.to_str().unwrap()]);
    assert!(told.out.contains("'A'.p95 < 1ms  not executed    –"), "{}{}", told.out, told.err);
}

#[test]
fn a_critical_path_keeps_steps_of_no_time_and_is_cut_where_it_is_long() {
    let chain = |steps: usize, time: &str| {
        let step = |at: usize| {
            format!(
                "## Step {at}\nv{at} → v{}\n\n```session-toon\nexecution[1]{{phase,agent,channel,input,output,duration_ms,tokens_used,status}}:\n  Step{at},null,null,x{at},x{},{time},null,success\n```\n\n",
                at + 1,
                at + 1
            )
        };
        format!("# Chain\n\n{}", (0..steps).map(step).collect::<String>())
    };
    let path = |document: &str, format: &str| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chain.md");
        fs::write(&file, document).unwrap();
        let told = orderflow(&["stats", file.to_str().unwrap(), "--format", format]);
        let line = told.out.lines().find(|line| line.contains("critical path"));
        (line.map(str::to_owned).unwrap_or_default(), told.out)
    };
    let all = |steps: usize| (0..steps).map(|at| format!("Step{at}")).collect::<Vec<_>>();
    assert_eq!(path(&chain(3, "0"), "table").0, "critical path  Step0 → Step1 → Step2");
    let mixed = chain(3, "0").replacen("x1,0,", "x1,5,", 1).replacen("x2,0,", "x2,7,", 1);
    assert_eq!(path(&mixed, "table").0, "critical path  Step0 → Step1 → Step2");
    assert_eq!(path(&chain(10, "1"), "table").0, format!("critical path  {}", all(10).join(" → ")));
    let cut = "Step0 → Step1 → Step2 → Step3 → Step4 → … 291 more … → Step296 → Step297 → Step298 → Step299";
    assert_eq!(path(&chain(300, "1"), "table").0, format!("critical path  {cut}"));
    let code =
        cut.split(" → ").map(|name| if name.starts_with('…') { name.into() } else { format!("`{name}`") });
    let code: Vec<String> = code.collect();
    assert_eq!(path(&chain(300, "1"), "markdown").0, format!("- critical path: {}", code.join(" → ")));
    let whole: Value = serde_json::from_str(&path(&chain(300, "1"), "json").1).unwrap();
    assert_eq!(whole["run"]["critical_path"], Value::from(all(300)));
}

#[test]
fn a_pull_request_is_shown_tables_in_which_names_are_code() {
    let table = "t[2]{phase,agent,status,duration_ms,\"a|b\"}:\n  \"A `x` | y\",\"@ops\",success,10,3\n  \"B\\n# c\",null,failed,20,4\n";
    let args = ["stats", "-", "--by", "step,agent", "--format", "markdown", "--expect", "errors < 1%"];
    let told = orderflow_reading(&args, table);
    assert_eq!(told.exit, Some(1));
    // Backslashes keep cells together.
    snapbox::Assert::new().normalize_paths(false).eq(
        told.out,
        str![[r#"
| step | agent | count | failed | success | mean | p50 | p95 | p99 | max | tokens |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| ``A `x` \| y`` | `@ops` | 1 | 0 | 100 % | 10 ms | 10 ms | 10 ms | 10 ms | 10 ms | – |
| `B�# c` | `–` | 1 | 1 | 0 % | 20 ms | 20 ms | 20 ms | 20 ms | 20 ms | – |

| step | agent | column | count | sum | mean | min | max |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |
| ``A `x` \| y`` | `@ops` | `a\|b` | 1 | 3 | 3 | 3 | 3 |
| `B�# c` | `–` | `a\|b` | 1 | 4 | 4 | 4 | 4 |

- items: unknown: rows do not say to which item they belong
- executions: 2
- wall time: unknown: rows do not say when they started
- work: 30 ms
- slowest step: `B�# c`, 20 ms on average

| expectation | found | met |
| --- | ---: | ---: |
| `errors < 1%` | 50 % | no |

"#]],
    );
}

#[test]
fn toon_has_what_json_has() {
    let shown = |format| orderflow(&["stats", ORIGINAL, "--expect", "count > 1", "--format", format]).out;
    let toon: Value = toon_format::decode_default(&shown("toon")).unwrap();
    // Exact decimals are floats there.
    let floats = |value: &Value| {
        value
            .to_string()
            .replace("145.50", "145.5")
            .replace("100.9133333333333333333333333333333", "100.91333333333333")
    };
    let json: Value = serde_json::from_str(&shown("json")).unwrap();
    assert_eq!(floats(&toon), floats(&json));
}

#[test]
fn all_that_is_wrong_with_a_list_of_expectations_is_told_at_once() {
    let told = orderflow(&["stats", ORIGINAL, "--expect", "p95 < 5x, erors < 1%, count > 1"]);
    assert_eq!(told.exit, Some(2));
    for fault in
        ["`5x` is not a bound at column 7", "`erors` is not a figure at column 11", "did you mean `errors`?"]
    {
        assert!(told.err.contains(fault), "{}", told.err);
    }
    let document = "# T\n\n## Pay @bank\norder → receipt\n\n> [!expect] p95 < 5x, erors < 1%, count > 1\n";
    let told = orderflow_reading(&["validate", "-"], document);
    assert!(told.out.contains("<stdin>: 2 errors"), "{}", told.out);
}
