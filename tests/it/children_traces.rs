//! The rows of documents that steps run: in the session file, in statistics, replayed and verified.

use crate::place::{Place, says};
use std::fs;
use std::process::Stdio;

const FLOW: &str = "\
# Orders

## Receive
order::Integer → amount::Integer

```sh run
echo 5
```

## Review [retry:: 1 fixed 1ms] [document:: review.md]
amount → approved::Boolean

## Ship
approved → sent::String

```sh run
echo \"sent $IN_APPROVED\"
```
";

/// Its first attempt fails in its last step.
const REVIEW: &str = "\
# Review

## Check #office [effects:: none]
amount::Integer → checked::Integer

```python run
print('{\"checked\": 5, \"tokens_used\": 7, \"cost_usd\": 0.25, \"pages\": 2}')
```

## Ask [document:: ask.md] [effects:: none]
checked → answer::String

## Decide [effects:: none]
answer → approved::Boolean

```sh run
test -e once || { : > once; exit 1; }
: > waiting
until test -e go; do sleep 0.02; done
echo true
```
";

const ASK: &str = "\
# Ask

## Answer
checked::Integer → answer::String

```python run
print('{\"answer\": \"yes\", \"tokens_used\": 3, \"cost_usd\": 0.5}')
```
";

fn place() -> Place {
    let place = Place::new(FLOW);
    place.write("review.md", REVIEW);
    place.write("ask.md", ASK);
    place
}

/// A run that is not interrupted, with its session in `s.toon`.
fn ended() -> Place {
    let place = place();
    place.write("go", "");
    let told = place.run("--input order=7 --session s.toon --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    place
}

/// The phases, edges and executions of a session file, without times.
fn without_times(session: &str) -> String {
    let mut rows = false;
    let mut out = String::new();
    for line in session.lines().skip_while(|line| !line.starts_with("phases")) {
        if line.starts_with("summary") {
            break;
        }
        let mut cells: Vec<&str> = line.split(',').collect();
        if rows {
            let started = cells.len() - 2;
            (cells[5], cells[started]) = ("T", "T");
        }
        rows |= line.starts_with("execution");
        out.push_str(&cells.join(","));
        out.push('\n');
    }
    out
}

const TRACE: &str = "\
phases[7]{name,agent,channel,critical,optional,fields,kind}:
  Receive,null,null,false,false,\"\",forward
  Review/Check,null,office,false,false,cost_usd pages within,forward nested
  Review/Ask/Answer,null,null,false,false,cost_usd within,forward nested
  Review/Ask,null,null,false,false,cost_usd within,forward nested
  Review/Decide,null,null,false,false,within,forward nested
  Review,null,null,false,false,cost_usd,forward
  Ship,null,null,false,false,\"\",forward
edges[2]{from,to,value}:
  Receive,Review,amount
  Review,Ship,approved
execution[11]{phase,agent,channel,input,output,duration_ms,status,tokens_used,cost_usd,pages,within,item,attempt,started_ms,error}:
  Receive,null,null,\"7\",\"5\",T,success,null,null,null,null,\"1\",1,T,null
  Review/Check,null,office,\"5\",\"5\",T,success,7,0.25,2,Review.1,\"1\",1,T,null
  Review/Ask/Answer,null,null,\"5\",yes,T,success,3,0.5,null,Review.1/Ask.1,\"1\",1,T,null
  Review/Ask,null,null,\"5\",yes,T,success,3,0.5,null,Review.1,\"1\",1,T,null
  Review/Decide,null,null,yes,null,T,failed,null,null,null,Review.1,\"1\",1,T,exited with 1
  Review/Check,null,office,\"5\",\"5\",T,success,7,0.25,2,Review.2,\"1\",1,T,null
  Review/Ask/Answer,null,null,\"5\",yes,T,success,3,0.5,null,Review.2/Ask.1,\"1\",1,T,null
  Review/Ask,null,null,\"5\",yes,T,success,3,0.5,null,Review.2,\"1\",1,T,null
  Review/Decide,null,null,yes,\"true\",T,success,null,null,null,Review.2,\"1\",1,T,null
  Review,null,null,\"5\",\"true\",T,success,20,0.75,null,null,\"1\",2,T,null
  Ship,null,null,\"true\",sent true,T,success,null,null,null,null,\"1\",1,T,null
";

#[test]
fn a_trace_has_the_rows_of_documents_before_those_of_their_steps() {
    let place = ended();
    let session = place.read("s.toon");
    assert_eq!(without_times(&session), TRACE);
    // All of them are within the times of the step, of which the row shows the last attempt.
    let starts: Vec<u64> = session
        .lines()
        .filter(|line| line.starts_with("  Re") && line.contains(",\"1\","))
        .map(|line| line.split(',').rev().nth(1).unwrap().parse().unwrap())
        .collect();
    let [receive, inner @ .., outer] = starts.as_slice() else { panic!("{session}") };
    assert!(inner.iter().all(|started| started >= receive) && inner[..4].iter().all(|start| start <= outer));
    assert!(inner[4..].iter().all(|started| started >= outer), "{session}");
    // The same from the journal.
    let told = place.orderflow("show last --session t.toon");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(place.read("t.toon"), session);
}

/// The executions of a step of a document in all runs.
#[test]
fn runs_shows_the_executions_of_a_step_of_a_document() {
    let place = ended();
    for (step, rows) in [("Review/Decide", 2), ("review/ask/answer", 2)] {
        let told = place.orderflow(&format!("runs --step {step}"));
        assert_eq!(told.exit, Some(0), "{step}: {}", told.err);
        assert_eq!(told.out.lines().count(), rows + 2, "{}", told.out);
    }
    let told = place.orderflow("runs --step Review/Decide --status failed --format json");
    assert_eq!(told.out.matches("\"phase\":\"Review/Decide\"").count(), 1, "{}", told.out);
    assert_eq!(place.orderflow("runs --step Review/Other").exit, Some(3));
}

/// A killed run leaves the same trace as one that is not interrupted.
#[test]
fn a_resumed_run_has_the_same_trace() {
    let place = place();
    let mut run = place.begin("--input order=7 --session s.toon");
    place.await_file("waiting");
    run.kill().unwrap();
    run.wait().unwrap();
    fs::remove_file(place.path("waiting")).unwrap();
    let mut resume = place.command("resume last --quiet");
    let resumed = resume.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    place.await_file("waiting");
    // While the document runs, its step has no row, and so it has none either.
    let told = place.orderflow("show last --session half.toon");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(place.rows("half.toon"), ["Receive 1 #1 success"]);
    place.write("go", "");
    let told = crate::program::told(resumed.wait_with_output().unwrap());
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    assert_eq!(without_times(&place.read("s.toon")), TRACE);
}

/// Statistics by step show the steps of documents; nothing counts twice in a total.
#[test]
fn totals_count_each_figure_once() {
    let place = ended();
    let expected = "tokens == 20, count == 3, errors == 0, 'Review/Check'.tokens == 14, \
        'Review/Check'.p95 > 0, 'Review/Decide'.errors == 50%, 'Review/Ask'.cost_usd < 1";
    let mut stats = place.command("stats s.toon --format json --expect");
    let told = crate::program::told(stats.arg(expected).output().unwrap());
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    let stats: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    let run = &stats["run"];
    assert_eq!((&run["rows"], &run["tokens_used"]), (&3.into(), &20.into()));
    assert_eq!(run["critical_path"], serde_json::json!(["Receive", "Review", "Ship"]));
    assert_eq!(run["slowest_step"]["phase"], "Review");
    let groups = |stats: &serde_json::Value| -> Vec<String> {
        let groups = stats["groups"].as_array().unwrap().iter();
        let shown = groups.map(|group| {
            let name = group["by"].as_object().unwrap().values().next().unwrap().clone();
            format!("{} {} {} {}", name, group["count"], group["tokens_used"], group["nested"])
        });
        shown.collect()
    };
    let steps = [
        "\"Receive\" 1 null null",
        "\"Review/Check\" 2 14 true",
        "\"Review/Ask/Answer\" 2 6 true",
        "\"Review/Ask\" 2 6 true",
        "\"Review/Decide\" 2 null true",
        "\"Review\" 1 20 null",
        "\"Ship\" 1 null null",
    ];
    assert_eq!(groups(&stats), steps);
    // Other groups have the rows of the run's own steps, as their sum is a total.
    let told = place.orderflow("stats s.toon --format json --by status");
    assert_eq!(groups(&serde_json::from_str(&told.out).unwrap()), ["\"success\" 3 20 null"]);
    // What a run and `show` say is the same.
    let shown = place.orderflow("show last --format json");
    let shown: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(groups(&shown["figures"]), steps);
    assert_eq!(shown["figures"]["run"], *run);
    assert!(place.orderflow("stats s.toon").out.contains("\nexecutions     3\n"));
}

/// A table of another tool: its rows count in the same way.
#[test]
fn other_tools_may_write_such_rows() {
    let place = place();
    let table = "execution[4]{phase,status,duration_ms,tokens_used,within,item}:\n  \
        Review/Check,success,5,7,Review.1,a\n  Review,success,9,10,null,a\n  \
        A/B,success,1,1,null,a\n  A/B,success,1,1,Other.1,a\n";
    place.write("other.toon", table);
    let told = place.orderflow("stats other.toon --format json");
    let stats: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    let run = &stats["run"];
    // A slash alone, or a cell that does not name the step before it, makes no such row.
    assert_eq!(
        (&run["rows"], &run["tokens_used"], &run["sequential_ms"]),
        (&3.into(), &12.into(), &11.into())
    );
    assert_eq!(stats["groups"].as_array().unwrap().len(), 3);
}

/// A replay writes each row as it is recorded.
#[test]
fn a_replay_writes_them_unchanged() {
    let place = ended();
    let told = place.orderflow("run --replay=s.toon flow.md --session r.toon");
    says(&told, 0, &told.out, "3 recorded executions of 1 items replayed\ntrace written to r.toon\n");
    let body = |name: &str| {
        let text = place.read(name);
        text[text.find("phases").unwrap()..].to_owned()
    };
    assert_eq!(body("r.toon"), body("s.toon"));
    let row = "  Ship,null,null,\"true\"";
    let session = place.read("s.toon");
    let (rest, last) = session.split_at(session.find(row).unwrap());
    let outer = rest.lines().last().unwrap();
    place.write(
        "alone.toon",
        &format!("{}{last}", rest.replace(&format!("{outer}\n"), "").replace("[11]", "[10]")),
    );
    says(
        &place.orderflow("run --replay=alone.toon flow.md"),
        3,
        "",
        "error: the record has a row of Review/Check without the row of its step after it; nothing was replayed\n  \
         help: rows of a document come directly before the row of the step that runs it\n",
    );
}

/// Rows of documents in a document: they are accepted with the row of the step that ran the document, and not alone.
#[test]
fn verify_finds_rows_without_those_of_their_steps() {
    let place = place();
    let with = |rows: &[&str]| {
        let table = "execution[N]{phase,status,within,item}:".replace('N', &rows.len().to_string());
        let rows: String = rows.iter().map(|row| format!("  {row}\n")).collect();
        place.write("flow.md", &format!("{FLOW}\n```session-toon\n{table}\n{rows}```\n"));
        place.orderflow("verify flow.md")
    };
    let (receive, ship) = ("Receive,success,null,a", "Ship,success,null,a");
    let (check, answer) = ("Review/Check,success,Review.1,a", "Review/Ask/Answer,success,Review.1/Ask.1,a");
    let (ask, review) = ("Review/Ask,success,Review.1,a", "Review,success,null,a");
    let told = with(&[receive, check, answer, ask, review, ship]);
    says(&told, 0, "", "flow.md: 6 rows of 1 item, no difference\n");
    let told = with(&[receive, check, answer, review, ship]);
    assert_eq!(told.exit, Some(1));
    let message = "error[row-nested]: `Review/Ask/Answer` cannot have run for a: `Review/Ask`, which runs it, has no row";
    assert!(
        told.out.contains(message) && told.out.matches("error[").count() == 1,
        "{}{}",
        told.out,
        told.err
    );
    let told = with(&[receive, check, "Review,skipped,null,a", "Review,success,null,b", ship]);
    let message = "`Review/Check` cannot have run for a: `Review`, which runs it, has no row";
    assert!(told.out.contains(message), "{}{}", told.out, told.err);
    // Of a step that runs no document, and without the mark.
    for row in ["Ship/Check,success,Ship.1,a", "Review/Check,success,null,a", "Review/Check,success,Ship.1,a"]
    {
        let told = with(&[receive, review, row, ship]);
        assert!(
            format!("{}{}", told.out, told.err).contains("error[unknown-phase]"),
            "{row}: {}{}",
            told.out,
            told.err
        );
    }
}

/// The rows of elements name their element, and compensations of a document are among its rows.
#[test]
fn elements_and_compensations_have_their_rows() {
    let place = Place::new(
        "# Orders\n\n## Pay [each:: order in orders] [document:: pay.md]\norder → receipt::String\n\n\
         ## Ship\nreceipt → sent::String\n\n```sh run\nexit 65\n```\n",
    );
    let pay = "# Pay\n\n## Charge [compensate:: Refund]\norder::Integer → receipt::String\n\n```sh run\necho paid\n```\n\n\
        ## Refund\norder → refund::String\n\n```sh run\necho back\n```\n";
    place.write("pay.md", pay);
    let told = place.run("--input orders=[7,8] --session s.toon --quiet --write");
    assert_eq!(told.exit, Some(1), "{}{}", told.out, told.err);
    let rows = without_times(&place.read("s.toon"));
    let (_, rows) = rows.split_once("execution").unwrap();
    assert_eq!(
        rows,
        "[9]{phase,agent,channel,input,output,duration_ms,status,tokens_used,within,item,attempt,started_ms,error}:\n  \
         Pay/Charge,null,null,\"7\",paid,T,success,null,Pay.0.1,\"1\",1,T,null\n  \
         Pay/Refund,null,null,\"7\",back,T,compensated,null,Pay.0.1,\"1\",1,T,null\n  \
         Pay,null,null,\"7\",paid,T,success,null,null,\"1\",1,T,null\n  \
         Pay/Charge,null,null,\"8\",paid,T,success,null,Pay.1.1,\"1\",1,T,null\n  \
         Pay/Refund,null,null,\"8\",back,T,compensated,null,Pay.1.1,\"1\",1,T,null\n  \
         Pay,null,null,\"8\",paid,T,success,null,null,\"1\",1,T,null\n  \
         Ship,null,null,receipt_1,null,T,failed,null,null,\"1\",1,T,exited with 65 (bad input)\n  \
         CompensatePay,null,null,\"7\",null,T,compensated,null,null,\"1\",1,T,null\n  \
         CompensatePay,null,null,\"8\",null,T,compensated,null,null,\"1\",1,T,null\n"
    );
    // The document has the rows of its own steps.
    assert!(!place.read("flow.md").contains("Pay/Charge"));
    assert_eq!(place.orderflow("verify flow.md").exit, Some(0));
}
