//! `orderflow stats`: the figures of documents and sessions, and what is said of broken ones.

use crate::place::Place;
use crate::program::{orderflow, orderflow_reading};
use snapbox::{assert_data_eq, str};

const ORIGINAL: &str = "tests/fixtures/order-processing-original.md";

#[test]
fn the_original_order_workflow_as_a_table() {
    let told = orderflow(&["stats", ORIGINAL]);
    assert_eq!((told.err.as_str(), told.exit), ("", Some(0)));
    assert!(told.out.lines().all(|line| line.chars().count() <= 100), "{}", told.out);
    assert_data_eq!(
        told.out,
        str![[r#"
step                count  failed  success    mean     p50     p95     p99     max  tokens
───────────────────────────────────────────────────────────────────────────────────────────
ReceiveOrder            5       1     80 %  106 ms  110 ms  125 ms  125 ms  125 ms   1,625
CheckInventory          4       1     75 %  340 ms  340 ms  380 ms  380 ms  380 ms   1,670
ProcessPayment          3       0    100 %  1.38 s  1.32 s  1.58 s  1.58 s  1.58 s   1,640
ReserveInventory        3       0    100 %  697 ms  690 ms  720 ms  720 ms  720 ms   1,195
CreateShipment          3       0    100 %  2.13 s  2.10 s  2.25 s  2.25 s  2.25 s   2,070
NotifyCustomer          3       0    100 %  463 ms  460 ms  480 ms  480 ms  480 ms     980
HandleFailedOrders      2       0    100 %  820 ms  790 ms  850 ms  850 ms  850 ms     810

step                column       count     sum    mean    min     max
──────────────────────────────────────────────────────────────────────
CheckInventory      items_count      4      14     3.5      2       5
ProcessPayment      amount_usd       3  302.74  100.91  67.25  145.50
HandleFailedOrders  retry_count      2       2       1      1       1

items          5: 3 succeeded, 2 failed
executions     23
wall time      unknown: rows do not say when they started
work           17.55 s; parallel steps saved 214 ms an item
an item        3.30 s on average; 4.79 s where it succeeded
slowest step   CreateShipment, 2.13 s on average
tokens         9,990
critical path  ReceiveOrder → ProcessPayment → ReserveInventory → CreateShipment → NotifyCustomer

"#]]
    );
}

#[test]
fn the_original_order_workflow_for_a_spreadsheet() {
    let told = orderflow(&["stats", "--by", "channel,status", "--format", "csv", ORIGINAL]);
    assert_eq!((told.err.as_str(), told.exit), ("", Some(0)));
    assert_data_eq!(
        told.out,
        str![[r#"
channel,status,count,success,failed,success_rate,mean_ms,p50_ms,p95_ms,p99_ms,max_ms,percentile_error,tokens_used,skipped,compensated,compensation_failed,retry_count.count,retry_count.sum,retry_count.mean,retry_count.min,retry_count.max,items_count.count,items_count.sum,items_count.mean,items_count.min,items_count.max,amount_usd.count,amount_usd.sum,amount_usd.mean,amount_usd.min,amount_usd.max
orders,success,6,6,0,1,348.333,120,850,850,850,0,2155,0,0,0,2,2,1,1,1,,,,,,,,,,
orders,failed,1,0,1,0,80,80,80,80,80,0,280,0,0,0,,,,,,,,,,,,,,,
warehouse,success,9,9,0,1,1062.222,690,2250,2250,2250,0,4555,0,0,0,,,,,,3,12,4,3,5,,,,,
warehouse,failed,1,0,1,0,290,290,290,290,290,0,380,0,0,0,,,,,,1,2,2,2,2,,,,,
payments,success,3,3,0,1,1380,1320,1580,1580,1580,0,1640,0,0,0,,,,,,,,,,,3,302.74,100.9133333333333333333333333333333,67.25,145.50
communications,success,3,3,0,1,463.333,460,480,480,480,0,980,0,0,0,,,,,,,,,,,,,,,

"#]]
    );
}

#[test]
fn the_original_order_workflow_for_scripts() {
    let told = orderflow(&["stats", "--by", "agent,agent", "--format", "json", ORIGINAL]);
    assert_eq!((told.err.as_str(), told.exit), ("", Some(0)));
    let (run, groups) = told.out.split_once("\"groups\"").unwrap();
    assert_data_eq!(
        run.to_owned(),
        str![[r#"
{
  "run": {
    "rows": 23,
    "items": 5,
    "items_by_status": {
      "succeeded": 3,
      "failed": 2
    },
    "wall_ms": null,
    "sequential_ms": 17550,
    "elapsed_ms": 16480,
    "saved_ms": 1070,
    "mean_item_ms": 3296,
    "mean_succeeded_item_ms": 4786.667,
    "critical_path": [
      "ReceiveOrder",
      "ProcessPayment",
      "ReserveInventory",
      "CreateShipment",
      "NotifyCustomer"
    ],
    "slowest_step": {
      "phase": "CreateShipment",
      "mean_ms": 2133.333
    },
    "tokens_used": 9990
  },
  
"#]]
    );
    let payment = groups.find("\"payment-service\"").unwrap();
    let payment: Vec<&str> = groups[payment..].lines().take(26).collect();
    assert_data_eq!(
        payment.join("\n"),
        str![[r#"
"payment-service"
      },
      "count": 3,
      "by_status": {
        "success": 3
      },
      "success_rate": 1,
      "mean_ms": 1380,
      "p50_ms": 1320,
      "p95_ms": 1580,
      "p99_ms": 1580,
      "max_ms": 1580,
      "percentile_error": 0,
      "tokens_used": 1640,
      "columns": {
        "amount_usd": {
          "count": 3,
          "sum": 302.74,
          "mean": 100.9133333333333333333333333333333,
          "min": 67.25,
          "max": 145.50
        }
      }
    },
    {
      "by": {
"#]]
    );
}

#[test]
fn a_broken_session_hears_every_problem_with_its_place() {
    let session = "orderflow: 1\nexecution[9]{phase,status,duration_ms,tokens_used}:\n  Pay,sucess,12,1\n  Pay,failed,\"x,1\n\n  Pay,success,-5,2.5\n  Pay,success,1\n  10:30,success,1,1\n  é,success,1,\"a\\q\"\n";
    let told = orderflow_reading(&["stats", "-"], session);
    assert_eq!((told.out.as_str(), told.exit), ("", Some(3)));
    // Backslashes in the help are escapes, not paths.
    snapbox::Assert::new().normalize_paths(false).eq(
        told.err,
        str![[r#"
error[unknown-status]: unknown status "sucess"
 --> <stdin>:3:7
  |
3 |   Pay,sucess,12,1
  |       ^^^^^^
  |
  = help: did you mean `success`?

error[trace-cell]: the quote is never closed
 --> <stdin>:4:14
  |
4 |   Pay,failed,"x,1
  |              ^^^^
  |
  = help: close it on the same line; a newline is written \n, a quote \"

error[trace-layout]: blank line inside a table
 --> <stdin>:5:1
  |
5 |
  | ^
  |
  = help: remove the line, or start another table with its own header

error[trace-value]: `duration_ms` is a number of milliseconds, from 0 to 10^12, or null
 --> <stdin>:6:15
  |
6 |   Pay,success,-5,2.5
  |               ^^

error[trace-value]: `tokens_used` is a whole number from 0, or null
 --> <stdin>:6:18
  |
6 |   Pay,success,-5,2.5
  |                  ^^^

error[trace-width]: the header has 4 columns, this row has 3
 --> <stdin>:7:16
  |
7 |   Pay,success,1
  |                ^
  |
  = help: quote a cell that contains the delimiter; write null for an unknown one

error[trace-cell]: the colon in the first cell ends the table
 --> <stdin>:8:5
  |
8 |   10:30,success,1,1
  |     ^
  |
  = help: quote the cell: "10:30"

error[trace-cell]: unknown escape in a quoted text
 --> <stdin>:9:17
  |
9 |   é,success,1,"a\q"
  |                 ^^
  |
  = help: the escapes are \\ \" \n \r \t and \u with four hexadecimal digits

error[trace-count]: the header declares 9 rows, the table has 6
 --> <stdin>:2:11
  |
2 | execution[9]{phase,status,duration_ms,tokens_used}:
  |           ^
  |
  = help: write [6], or restore what is missing

error[session-incomplete]: the session ends without `complete: true`
 --> <stdin>:9:1
  |
9 |   é,success,1,"a\q"
  | ^^^^^^^^^^^^^^^^^^^
  |
  = help: the file was cut off; record the session again

<stdin>: 10 errors

"#]],
    );
}

#[test]
fn a_broken_fence_is_shown_in_its_document() {
    let text = std::fs::read_to_string(ORIGINAL).unwrap().replace(
        "ProcessPayment,payment-service,payments,order_002",
        "ProcesPayment,payment-service,payments,order_002",
    );
    let folder = tempfile::tempdir().unwrap();
    let document = folder.path().join("broken.md");
    std::fs::write(&document, text).unwrap();
    for command in ["stats", "validate"] {
        let told = orderflow(&[command, document.to_str().unwrap()]);
        assert_eq!(told.exit, Some(3));
        let said = (told.out + &told.err).replace(folder.path().to_str().unwrap(), "[folder]");
        assert_data_eq!(
            said,
            str![[r#"
error[unknown-phase]: no step has the phase "ProcesPayment"
  --> [folder]/broken.md:43:2
   |
43 |  ProcesPayment,payment-service,payments,order_002,receipt_002,1580,success,580,145.50
   |  ^^^^^^^^^^^^^
   |
   = help: did you mean `ProcessPayment`?

[folder]/broken.md: 1 error

"#]]
        );
    }
}

#[test]
fn several_inputs_are_summed_and_all_bad_ones_are_named() {
    let table = "[2]{phase,status,item}:\n  A,success,x\n  A,skipped,y\n";
    let told = orderflow_reading(&["stats", "--by", "status", "-", ORIGINAL], table);
    assert_eq!((told.err.as_str(), told.exit), ("", Some(0)));
    assert_data_eq!(
        told.out,
        str![[r#"
status   count  failed  skipped  success    mean     p50     p95     p99     max  tokens
─────────────────────────────────────────────────────────────────────────────────────────
success     22       0        0    100 %  818 ms  680 ms  2.10 s  2.25 s  2.25 s   9,330
failed       2       2        0      0 %  185 ms   80 ms  290 ms  290 ms  290 ms     660
skipped      0       0        1        –       –       –       –       –       –       –

status   column       count     sum    mean    min     max
───────────────────────────────────────────────────────────
success  items_count      3      12       4      3       5
success  amount_usd       3  302.74  100.91  67.25  145.50
success  retry_count      2       2       1      1       1
failed   items_count      1       2       2      2       2

items          7
executions     24
wall time      unknown: rows do not say when they started
work           17.55 s
slowest step   CreateShipment, 2.13 s on average
tokens         9,990

"#]]
    );

    let told = orderflow_reading(&["stats", "nowhere.toon", "-", "nowhere.md"], "");
    assert_eq!((told.out.as_str(), told.exit), ("", Some(74)));
    assert_data_eq!(
        told.err,
        str![[r#"
error[trace-empty]: no table of executions in this file
 --> <stdin>:1:1
  |
1 |
  | ^
  |
  = help: a trace holds tables such as execution[3]{phase,status,duration_ms}:

<stdin>: 1 error
error: cannot read nowhere.md: No such file or directory (os error 2)
error: cannot read nowhere.toon: No such file or directory (os error 2)

"#]]
    );
}

#[test]
fn what_steers_a_terminal_is_not_obeyed() {
    let session = "[1]{phase,status,\"n\u{1b}[2J\"}:\n  \"A\\u001b[31m\u{202e}\",success,1\n";
    let told = orderflow_reading(&["stats", "-"], session);
    assert_eq!(told.exit, Some(0));
    assert!(!told.out.contains(['\u{1b}', '\u{202e}']), "{}", told.out);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_read_once_and_whole() {
    let session = "execution[1]{phase,status,duration_ms}:\n  Pay,success,10\n";
    let told = orderflow_reading(&["stats", "--format", "csv", "/dev/stdin"], session);
    let of_argument = orderflow_reading(&["stats", "--format", "csv", "-"], session);
    assert_eq!((told.err.as_str(), told.exit), ("", Some(0)));
    assert_eq!(told.out, of_argument.out);
}

#[test]
fn no_form_obeys_or_loses_what_a_terminal_would_obey() {
    let session = "execution[1]{phase,agent,channel,input,output,duration_ms,status,tokens_used}:\n  \"A\u{1b}]0;x\",g\u{9b}31m,c,i,o,5,success,0\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toon");
    std::fs::write(&file, session).unwrap();
    for form in ["table", "json", "csv", "toon", "markdown"] {
        let told = crate::program::orderflow(&[
            "stats",
            "--by",
            "step,agent",
            "--format",
            form,
            file.to_str().unwrap(),
        ]);
        assert_eq!(told.exit, Some(0), "{}", told.err);
        assert!(!told.out.contains(|c: char| c.is_control() && c != '\n'), "{form}: {:?}", told.out);
        // What follows the escape is there: nothing was taken for a part of it.
        assert!(told.out.contains("]0;x") && told.out.contains("31m"), "{form}: {:?}", told.out);
    }
}

/// A table of so many executions that take 1 ms, 2 ms, 3 ms and so on.
fn long(rows: usize) -> String {
    let mut text = format!("execution[{rows}]{{phase,status,duration_ms}}:\n");
    (1..=rows).for_each(|row| text += &format!(" Work,success,{row}\n"));
    text
}

#[test]
fn percentiles_of_more_than_the_bound_are_told_to_be_estimates() {
    let bound = orderflow::stats::EXACT;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (at, above) = (path("at.toon"), path("above.toon"));
    std::fs::write(&at, long(bound)).unwrap();
    std::fs::write(&above, long(bound + 1)).unwrap();

    let told = orderflow(&["stats", &at]);
    assert!(told.out.contains(" 50.00 s  1 min 35 s  1 min 39 s  1 min 40 s "), "{}", told.out);
    assert!(!told.out.contains('≈'), "{}", told.out);
    let told = orderflow(&["stats", &above, "--expect", "p95 < 2m"]);
    assert_data_eq!(
        told.out,
        str![[r#"
step    count  failed  success     mean       p50          p95          p99         max  tokens
────────────────────────────────────────────────────────────────────────────────────────────────
Work  100,001       0    100 %  50.00 s  ≈50.03 s  ≈1 min 35 s  ≈1 min 39 s  1 min 40 s       –

items          unknown: rows do not say to which item they belong
executions     100,001
wall time      unknown: rows do not say when they started
work           1388 h 56 min
slowest step   Work, 50.00 s on average
percentiles    ≈ is at most 0.1 % too high; up to 100,000 executions of a group they are exact

expectation        found  met
──────────────────────────────
p95 < 2m     ≈1 min 35 s  yes

"#]]
    );
    let told = orderflow(&["stats", &above, "--format", "markdown"]);
    assert!(told.out.contains("| ≈1 min 35 s |"), "{}", told.out);
    let told = orderflow(&["stats", &above, "--format", "json", "--expect", "p95 < 2m, max < 1s"]);
    let told: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    let group = &told["groups"][0];
    assert_eq!(group["percentile_error"], 0.001);
    assert_eq!(group["max_ms"], bound + 1);
    let p99 = group["p99_ms"].as_f64().unwrap();
    assert!((99_001.0..=99_001.0 * 1.001).contains(&p99), "{p99}");
    assert_eq!(
        (&told["expectations"][0]["estimated"], told["expectations"][1].get("estimated")),
        (&true.into(), None)
    );
    // An estimate beside an exact figure is no reason for alarm.
    let told = orderflow(&["stats", &above, "--baseline", &at, "--threshold", "0%"]);
    assert_eq!(told.exit, Some(0), "{}", told.out);
}

/// What `orderflow` shows in a terminal of 50 columns.
fn narrow(place: &Place, args: &str) -> String {
    let program = format!("stty cols 50 && {} {args}", env!("CARGO_BIN_EXE_orderflow"));
    let mut terminal = std::process::Command::new("script");
    terminal.args(["-qec", &program, "/dev/null"]).current_dir(place.folder()).env("NO_COLOR", "1");
    terminal.env("XDG_STATE_HOME", place.path(".state"));
    let output = terminal.stdin(std::process::Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn nothing_is_wider_than_a_narrow_terminal() {
    let place = Place::new(
        "# Greetings\n\n## Greet The Customer @greeter #desk [retry:: 3] [timeout:: 30s]\nname::String → greeting::String\n\n```sh run\necho hello\n```\n",
    );
    assert_eq!(place.run("--quiet --input name=Ada").exit, Some(0));
    for args in ["stats session.toon", "show last", "runs", "agents flow.md", "plan flow.md"] {
        let shown = narrow(&place, args);
        // Only a path or a sentence of a page is left to the terminal.
        let whole = |line: &&str| line.starts_with("folder ") || line.ends_with('.');
        let widest = shown.lines().filter(|line| !whole(line)).map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|widest| widest <= 50), "{args}:\n{shown}");
    }
    assert!(narrow(&place, "stats session.toon").contains("\nstep              "), "the labels stand again");
    assert!(narrow(&place, "runs").contains("\nstarted (UTC)  20"), "a run is a block of lines");
}
