//! `orderflow verify`: the document as a test of its own record.

use crate::place::Place;
use crate::program::orderflow;
use serde_json::Value;
use snapbox::{assert_data_eq, str};
use std::fs;

const ORIGINAL: &str = "tests/fixtures/order-processing-original.md";

/// The exit and what is told, a line each, of a document.
fn verify(text: &str) -> (Option<i32>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.md");
    fs::write(&file, text).unwrap();
    let told = orderflow(&["verify", "--format", "json", file.to_str().unwrap()]);
    let problems: Vec<Value> = serde_json::from_str(&told.out).unwrap();
    let line = |problem: &Value| {
        let text = |key: &str| problem[key].as_str().unwrap().to_owned();
        let place = (problem["line"].as_u64().unwrap(), problem["column"].as_u64().unwrap());
        format!("{}:{} {} {}: {}", place.0, place.1, text("severity"), text("code"), text("message"))
    };
    (told.exit, problems.iter().map(line).collect())
}

#[test]
fn the_original_document_verifies() {
    let told = orderflow(&["verify", ORIGINAL]);
    assert_eq!(told.exit, Some(0));
    assert_eq!(told.err, format!("{ORIGINAL}: 23 rows of 5 items, no difference\n"));
    assert_data_eq!(
        told.out,
        str![[r#"
note[missing-row]: `Process Payment` has no row for req_003.json
  --> tests/fixtures/order-processing-original.md:34:4
   |
34 | ## Process Payment @payment-service #payments !
   |    ^^^^^^^^^^^^^^^
   |
   = help: no recorded row explains why it did not run, and no step depends on it

tests/fixtures/order-processing-original.md: 1 note

"#]]
    );
}

/// Only what was done is undone, and what undoes ends in its own way.
#[test]
fn rows_of_compensations_are_held_against_what_they_undo() {
    let document = |rows: &str| {
        let count = rows.lines().count();
        format!(
            "# T\n\n## A @x [compensate:: U]\no -> a\n\n## B @x\na -> b\n\n## U @x\na -> u\n\n\
             ```session-toon\nexecution[{count}]{{phase,agent,input,output,duration_ms,status,item}}:\n{rows}```\n"
        )
    };
    let done = " A,x,o,a,1,success,1\n B,x,a,null,1,failed,1\n";
    let told = verify(&document(&format!("{done} U,x,a,u,1,compensated,1\n")));
    assert_eq!(told, (Some(0), Vec::new()));
    let told = verify(&document(&format!("{done} U,x,a,u,1,success,1\n")));
    assert_eq!(told.1, ["16:12 error row-status: `U` cannot end as success: it compensates another step"]);
    let skipped =
        " A,x,o,a,1,success,1\n B,x,a,b,1,success,1\n A,x,o2,null,1,failed,2\n U,x,a,u,1,compensated,3\n";
    let told = verify(&document(skipped));
    assert_eq!(
        told.1[1..],
        ["17:2 error row-compensates-nothing: `U` cannot have run for 3: no step that it compensates ran"]
    );
}

/// A document whose steps are undone by others, with rows that say when they began.
fn undone(rows: &str) -> (Option<i32>, Vec<String>) {
    let count = rows.lines().count();
    verify(&format!(
        "# T\n\n## A @x [compensate:: UA]\no -> a\n\n## B @x [compensate:: UB]\na -> b\n\n\
         ## C @x [after:: start] [compensate:: UC]\no -> c\n\n## D @x\nb, c -> d\n\n\
         ## Compensations\n\n### UA @x\na -> ua\n\n### UB @x\nb -> ub\n\n### UC @x\nc -> uc\n\n\
         ```session-toon\nexecution[{count}]{{phase,agent,input,output,status,item,started_ms,duration_ms}}:\n{rows}```\n"
    ))
}

/// What is undone is undone after it was done, one after the other, the last first.
#[test]
fn compensations_are_held_against_their_order_and_times() {
    let done = " A,x,o,a,success,1,0,10\n B,x,a,b,success,1,10,10\n C,x,o,c,success,1,0,15\n D,x,b,null,failed,1,20,5\n";
    let sound =
        " UA,x,a,ua,compensated,1,50,5\n UB,x,b,ub,compensated,1,25,5\n UC,x,c,uc,compensated,1,30,5\n";
    assert_eq!(undone(&format!("{done}{sound}")), (Some(0), Vec::new()));
    // One that failed is tried again when somebody asks for it, after the others.
    let again = format!(
        "{done}{} UB,x,b,ub,compensated,1,90,5\n",
        sound.replacen("ub,compensated", "null,compensation_failed", 1)
    );
    assert_eq!(undone(&again), (Some(0), Vec::new()));

    let order = "cannot have run for 1 before";
    for (from, to, expected) in [
        ("1,25,5", "1,24,1", "33:26 error row-compensation: `UB` started for 1 before `D` ended at 25".to_owned()),
        (
            "1,25,5",
            "1,15,5",
            "33:26 error row-compensation: `UB` started for 1 before `B`, which it compensates, ended at 20".to_owned(),
        ),
        ("1,30,5", "1,28,5", "34:26 error row-compensation: `UC` started for 1 before `UB` ended at 30".to_owned()),
        ("1,25,5", "1,60,5", format!("34:26 error row-compensation: `UC` {order} `UB`: `B` was done after `C`")),
        ("1,50,5", "1,25,0", format!("32:26 error row-compensation: `UA` {order} `UB`: `B` depends on `A`")),
        ("1,30,5", "1,60,5", format!("32:26 error row-compensation: `UA` {order} `UC`: `C` was done after `A`")),
        (
            "1,30,5\n",
            "1,30,5\n UC,x,c,uc,compensated,1,60,5\n",
            "35:2 error row-compensation: `UC` cannot have run again for 1: all that it compensates was compensated"
                .to_owned(),
        ),
    ] {
        assert!(sound.contains(from), "{from}");
        let (exit, told) = undone(&format!("{done}{}", sound.replacen(from, to, 1)));
        assert_eq!(exit, Some(1), "{to}: {told:#?}");
        assert!(told.contains(&expected), "{expected}\n{told:#?}");
    }
}

/// An item is in one state at a time, and a step that starts in another cannot have run.
#[test]
fn rows_are_held_against_the_states_of_the_document() {
    let document = |rows: &str| {
        let count = rows.lines().count();
        format!(
            "# T\n\n```mermaid\nstateDiagram-v2\n    [*] --> new\n    new --> paid\n    paid --> sent\n```\n\n\
             ## Pay @x ? [state:: new -> paid]\no -> a\n\n## Send @x [state:: paid -> sent]\no, a? -> b\n\n\
             ## Tell @x [state:: paid]\nfailed_items -> told\n\n\
             ```session-toon\nexecution[{count}]{{phase,agent,input,output,status,item,attempt}}:\n{rows}```\n"
        )
    };
    let told = verify(&document(" Pay,x,o,a,success,1,1\n Send,x,o,b,success,1,1\n"));
    assert_eq!(told, (Some(0), Vec::new()));
    // It failed and was not started.
    let told = verify(&document(" Pay,x,o,null,failed,1,1\n Send,x,o,null,failed,1,null\n"));
    assert_eq!(told.0, Some(0), "{told:?}");
    let told = verify(&document(" Pay,x,o,null,failed,1,1\n Send,x,o,b,success,1,1\n"));
    let wrong = "cannot have run for 1: it starts in `paid`, and the item was in `new`";
    assert_eq!(told, (Some(1), vec![format!("22:2 error row-state: `Send` {wrong}")]));
    let told = verify(&document(
        " Pay,x,o,null,failed,1,1\n Send,x,o,null,failed,1,null\n Tell,x,1,told,success,1,1\n",
    ));
    assert_eq!(told, (Some(1), vec![format!("23:2 error row-state: `Tell` {wrong}")]));
}

/// A document with the rows of a session file.
fn with_rows(document: &str, session: &str) -> String {
    let start = session.find("\nexecution[").unwrap() + 1;
    let end = session[start..].find("\nsummary:").unwrap() + start;
    format!("{document}\n```session-toon\n{}\n```\n", &session[start..end])
}

/// Whatever a run does and however often failed items run again, its own rows are no difference.
#[test]
fn runs_that_were_undone_and_retried_verify() {
    const LETTERS: &str = "# Letters\n\n## Stamp\nname::String, town::String -> stamp::Integer\n\n```sh run\necho 95\n```\n\n\
        ## Send\ntown, stamp -> sent::String\n\n```sh run\n[ \"$IN_TOWN\" != Atlantis ] || exit 65\necho \"to $IN_TOWN\"\n```\n";
    let undone = LETTERS.replace("## Stamp\n", "## Stamp [compensate:: Unstamp]\n")
        + "\n## Unstamp [retry:: 0]\nname -> gone::String\n\n```sh run\n[ -e open ] || exit 3\necho gone\n```\n";
    for (document, edit) in [(LETTERS, true), (LETTERS, false), (&undone, false)] {
        let place = Place::new(document);
        place.write("letters.csv", "id,name,town\na,Ada,Rome\nb,Bo,Atlantis\n");
        let told = place.run("--items letters.csv --session s.toon");
        assert!(matches!(told.exit, Some(1 | 5)), "{}", told.err);
        place.write("open", "");
        for _ in 0..3 {
            place.orderflow("show last --dead-letters -o failed.toon");
            let table = place.read("failed.toon");
            place.write("failed.toon", &if edit { table.replace("Atlantis", "Oslo") } else { table });
            place.orderflow("retry last --items failed.toon --trust");
            place.write("recorded.md", &with_rows(document, &place.read("s.toon")));
            let told = place.orderflow("verify recorded.md");
            assert_eq!(told.exit, Some(0), "{}{}{}", told.out, told.err, place.read("recorded.md"));
        }
        let rows = place.rows("s.toon");
        assert!(rows.iter().filter(|row| row.starts_with("Send b")).count() > 1, "{rows:?}");
        // The document has the rows without times.
        let told = place.orderflow("show last --write");
        assert_eq!(told.err, format!("{} executions written into flow.md\n", rows.len()));
        assert_eq!(place.orderflow("show last --write").err, "flow.md has all executions of the run\n");
        let told = place.orderflow("verify flow.md");
        assert_eq!(told.exit, Some(0), "{}{}{}", told.out, told.err, place.read("flow.md"));
    }
}

/// The original with one thing changed, and what there is to say beside the note on its missing row.
#[test]
fn every_kind_of_difference_is_told_at_its_row() {
    let original = fs::read_to_string(ORIGINAL).unwrap();
    let cases = [
        (
            "inventory-service,warehouse,order_002,inventory_ok_002",
            "order-api,warehouse,order_002,inventory_ok_002",
            "27:17 error row-agent: `Check Inventory` has the agent `inventory-service`, this row has `order-api`",
        ),
        (
            "payments,order_001,receipt_001",
            "orders,order_001,receipt_001",
            "42:33 error row-channel: `Process Payment` has the channel `payments`, this row has `orders`",
        ),
        (
            "receipt_002,1580,success",
            "receipt_002,1580,failed",
            "58:2 error row-order: `Reserve Inventory` cannot have run for req_002.json: `Process Payment`, which it waits for, failed",
        ),
        (
            "receipt_002,1580,success",
            "receipt_002,1580,timeout",
            "43:69 error row-status: `Process Payment` cannot end as timeout: it has neither a timeout nor a deadline",
        ),
        (
            "2050,success",
            "2050,skipped",
            "72:80 error row-status: `Create Shipment` cannot end as skipped: it has no condition",
        ),
        (
            "receipt_001,1240,success",
            "receipt_001,1240,compensated",
            "42:69 error row-status: `Process Payment` cannot end as compensated: it compensates no other step",
        ),
        (
            "execution[3]{phase,agent,channel,input,output,duration_ms,status,tokens_used}:\n ReserveInventory,inventory-service,warehouse,order_001",
            "execution[4]{phase,agent,channel,input,output,duration_ms,status,tokens_used}:\n ReserveInventory,inventory-service,warehouse,order_001,reservation_000,1,success,1\n ReserveInventory,inventory-service,warehouse,order_001",
            "60:2 error row-repeated: `Reserve Inventory` cannot have run again for req_005.json: it was done",
        ),
        (
            "error,80,failed",
            "error,80,success",
            "99:2 error row-repeated: `Handle Failed Orders` cannot have run again for req_003.json: it was done",
        ),
        (
            "execution[2]{phase,agent,channel,input,output,duration_ms,status,tokens_used,retry_count}:\n HandleFailedOrders,order-api,orders,order_003,retry_1,850,success,420,1",
            "execution[2]{phase,agent,channel,input,output,duration_ms,status,tokens_used,item}:\n HandleFailedOrders,order-api,orders,order_003,retry_1,850,success,420,req_001.json",
            "98:2 error row-handler: `Handle Failed Orders` cannot have run for req_001.json, which did not fail",
        ),
        (
            "Verifies all items are in stock.",
            "Verifies all items are in stock.\n\n> [!expect] p95 < 300ms, errors < 30%\n",
            "23:13 error unmet-expectation: 'Check Inventory'.p95 < 300ms is not met: found 380 ms",
        ),
    ];
    for (from, to, expected) in cases {
        assert!(original.contains(from), "{from}");
        let (exit, told) = verify(&original.replacen(from, to, 1));
        assert_eq!(exit, Some(1), "{to}: {told:#?}");
        assert!(told.iter().any(|line| line == expected), "{expected}\n{told:#?}");
    }
}

#[test]
fn a_step_without_any_row_is_told_once() {
    let original = fs::read_to_string(ORIGINAL).unwrap();
    let start = original.find("```session-toon\nexecution[3]{phase,agent,channel,input,output,duration_ms,status,tokens_used,amount_usd}").unwrap();
    let end = start + original[start..].find("---").unwrap();
    let (exit, told) = verify(&format!("{}{}", &original[..start], &original[end..]));
    assert_eq!(exit, Some(1));
    assert_eq!(
        told,
        ["50:2 error row-order: `Reserve Inventory` waits for `Process Payment`, which has no row at all"]
    );
}

const BRANCHES: &str = include_str!("../fixtures/branches.md");

#[test]
fn conditions_are_held_where_labels_are_values() {
    let (exit, told) = verify(BRANCHES);
    assert_eq!(exit, Some(1));
    assert_data_eq!(
        told.join("\n"),
        str![[r#"
16:26 error row-type: 7 is a number, and the step declares Boolean
25:35 error row-branch: `Pack Order` cannot have run for o2: the condition of `Check Order` leads elsewhere
26:37 error row-branch: `Pack Order` cannot have been skipped for o3: its conditions hold
27:45 error row-attempt: attempt 2 of `Pack Order`, which is tried once
28:27 error row-type: 1.5 is a number, and the step declares Integer
28:47 error row-order: `Pack Order` started for o6 before `Check Order`, which it waits for, ended at 10
29:2 error row-order: `Pack Order` cannot have run for o5: `Check Order`, which it waits for, failed
37:30 error row-branch: `Refuse Order` cannot have run for o4: the condition of `Check Order` leads elsewhere
46:2 error row-repeated: `Ship Order` cannot have run again for o1: it was done
"#]]
    );
}

#[test]
fn a_document_that_records_nothing_cannot_be_verified() {
    let (exit, told) = verify("# T\n\n## A @x\nreq → a\n");
    assert_eq!((exit, told.len()), (Some(3), 0));
    let (exit, told) = verify("# T\n\n## A @x\nreq → a\nb → c\n");
    assert_eq!((exit, told.len()), (Some(3), 1));
    assert_eq!(orderflow(&["verify", "nowhere.md"]).exit, Some(74));
}

#[test]
fn a_build_server_sees_a_test_for_each_step() {
    let told = orderflow(&["verify", "--format", "junit", "tests/fixtures/branches.md", ORIGINAL]);
    assert_eq!(told.exit, Some(1));
    assert!(told.out.contains("tests=\"13\" skipped=\"0\" failures=\"4\""), "{}", told.out);
    let told = orderflow(&["verify", "--format", "github", ORIGINAL]);
    assert_data_eq!(
        told.out,
        str![[r#"
::notice file=tests/fixtures/order-processing-original.md,line=34,endLine=34,col=4,endColumn=19,title=orderflow missing-row::`Process Payment` has no row for req_003.json%0Ahelp: no recorded row explains why it did not run, and no step depends on it

"#]]
    );
}

/// A document of steps that wait for nothing, with these rows of the first one.
fn steps_and_rows(steps: usize, rows: usize) -> String {
    let table: String = (0..rows).map(|n| format!(" S0,null,null,i{n},o{n},1,success,0\n")).collect();
    let header = "{phase,agent,channel,input,output,duration_ms,status,tokens_used}";
    let step = |n: usize| format!("## S{n} [after:: start]\n\na::String -> b{n}::String\n\n");
    let steps: Vec<String> = (0..steps).map(step).collect();
    format!(
        "# T\n\n{}```session-toon\nexecution[{rows}]{header}:\n{table}```\n\n{}",
        steps[0],
        steps[1..].concat()
    )
}

#[test]
fn many_steps_and_many_items_take_no_long_time() {
    let begin = std::time::Instant::now();
    let (exit, told) = verify(&steps_and_rows(1_000, 2_000));
    assert_eq!((exit, told.len()), (Some(0), 999));
    assert_eq!(told[0], "2011:4 note missing-row: `S1` has no row for i0, i1, i2, i3, i4 and 1995 more");
    // Were all steps looked at for every step of every item, this would take many minutes.
    assert!(begin.elapsed() < std::time::Duration::from_secs(300), "{:?}", begin.elapsed());
}

#[test]
fn a_trace_is_no_document_to_verify() {
    let place = Place::new("# T\n\n## Greet\nname::String → text::String\n\n```sh run\necho hello\n```\n");
    assert_eq!(place.run("--input name=Ada --quiet").exit, Some(0));
    for command in ["verify session.toon", "validate session.toon", "plan session.toon"] {
        let told = place.orderflow(command);
        assert_eq!(told.exit, Some(3));
        let said = told.out + &told.err;
        assert!(said.contains("error[trace-alone]: this is a trace, not a document"), "{said}");
        assert!(said.contains("orderflow stats") && !said.contains("no-steps"), "{said}");
    }
}
