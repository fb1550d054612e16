//! Failed items that run again after the steps for all items: those run again for all results, on a new visit.

use crate::forged::{read, write};
use crate::place::{Place, says};
use orderflow::event::{EventKind, ItemEvent, ItemId, RunEvent};
use orderflow::journal::Record;

/// Two orders, of which one can be picked only where there is stock, and a report on all of them.
const NIGHTLY: &str = "\
# Nightly

## Pick
order::Integer → picked::Integer

```sh run
test \"$IN_ORDER\" != 2 || test -e stock || { echo 'out of stock' >&2; exit 65; }
echo \"$IN_ORDER\"
```

## Report [per:: run]
picked → report::String

```sh run
echo \"report $ORDERFLOW_KEY $ORDERFLOW_ATTEMPT $IN_PICKED\" >> asked
if test -e hold; then : > held; while test -e hold; do sleep 0.05; done; fi
echo \"$IN_PICKED\"
```

## Mail
report → mailed::String

```sh run
echo \"mail $ORDERFLOW_KEY $IN_REPORT\" >> asked
test ! -e closed || exit 65
echo \"sent $IN_REPORT\"
```
";

const ITEMS: &str = "{\"id\": \"a\", \"order\": 1}\n{\"id\": \"b\", \"order\": 2}\n";

fn nightly() -> Place {
    let place = Place::new(NIGHTLY);
    place.write("items.jsonl", ITEMS);
    place
}

/// What was asked of steps for all items, without the keys, and how many keys there were.
fn asked(place: &Place, what: &str) -> (Vec<String>, usize) {
    let text = place.read("asked");
    let lines = text.lines().filter(|line| line.starts_with(what));
    let parts: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(' ')?.1.split_once(' ')).collect();
    let keys: std::collections::BTreeSet<&str> = parts.iter().map(|(key, _)| *key).collect();
    (parts.iter().map(|(_, rest)| (*rest).to_owned()).collect(), keys.len())
}

#[test]
fn the_steps_for_all_items_run_again_over_all_results() {
    let place = nightly();
    assert_eq!(place.run("--items items.jsonl").exit, Some(1));
    assert_eq!(asked(&place, "report"), (vec!["1 [1]".into()], 1));
    assert!(place.orderflow("resume last").err.contains("; retry what failed: orderflow retry "));
    place.write("stock", "");
    let told = place.orderflow("retry last --trust");
    let err = "retrying 1 failed item, then the steps that run once for all items\n\
               continuing: 1 of 2 items done\n2 items: 2 succeeded\ntrace written to session.toon\n\
               run [..]: orderflow show [..]\n";
    says(&told, 0, &told.out, err);
    assert_eq!(asked(&place, "report"), (vec!["1 [1]".into(), "2 [1,2]".into()], 2));
    assert_eq!(asked(&place, "mail"), (vec!["[1]".into(), "[1,2]".into()], 2));
    let error = "exited with 65 (bad input): out of stock";
    assert_eq!(
        place.rows("session.toon"),
        [
            "Pick a #1 success",
            &format!("Pick b #1 failed ({error})"),
            "Pick b #1 success",
            "Report - #1 success",
            "Report - #1 success",
            "Mail - #1 success",
            "Mail - #1 success",
        ]
    );
    place.orderflow("show last --session again.toon");
    assert_eq!(place.read("again.toon"), place.read("session.toon"));
    let shown = place.orderflow("show last --item :run").out;
    let lines: Vec<&str> = shown.lines().filter(|line| !line.contains("attempt")).collect();
    assert_eq!(
        lines,
        [
            ":run: succeeded",
            "",
            "Report: success",
            "    takes picked: [1]",
            "    makes report: \"[1]\"",
            "    takes picked: [1,2]",
            "    makes report: \"[1,2]\"",
            "",
            "Mail: success",
            "    takes report: \"[1]\"",
            "    makes mailed: \"sent [1]\"",
            "    takes report: \"[1,2]\"",
            "    makes mailed: \"sent [1,2]\"",
        ]
    );
    assert!(place.orderflow("show last").out.contains("\nstate      done\n"));
    assert!(place.orderflow("runs").out.contains(" done "));
    let again = place.orderflow("retry last");
    assert_eq!((again.err.as_str(), again.exit), ("no item of this run failed\n", Some(0)));
}

/// The trace of such a run verifies, is told again alike, and has its figures.
#[test]
fn the_trace_has_both_visits() {
    let place = nightly();
    assert_eq!(place.run("--items items.jsonl --quiet").exit, Some(1));
    place.write("stock", "");
    assert_eq!(place.orderflow("retry last --trust --quiet").exit, Some(0));
    assert_eq!(place.orderflow("show last --write").exit, Some(0));
    let verified = place.orderflow("verify flow.md");
    assert_eq!(verified.exit, Some(0), "{}{}", verified.out, verified.err);
    let stats = place.orderflow("stats session.toon --format json");
    let stats: serde_json::Value = serde_json::from_str(&stats.out).unwrap();
    let report = stats["groups"].as_array().unwrap().iter().find(|group| group["by"]["phase"] == "Report");
    assert_eq!(report.unwrap()["count"], 2, "{stats}");
    let told = place.orderflow("run --replay=session.toon flow.md --session told.toon");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(place.rows("told.toon"), place.rows("session.toon"));
}

#[test]
fn a_retry_may_follow_a_retry() {
    let place = nightly();
    place.write("closed", "");
    assert_eq!(place.run("--items items.jsonl --quiet").exit, Some(1));
    let told = place.orderflow("retry last --trust");
    assert_eq!(told.exit, Some(1));
    assert_eq!(
        told.err.lines().next(),
        Some("retrying 1 failed item, then the steps that run once for all items")
    );
    // What for all items has failed alone runs again under its keys, for what there is.
    let alone = place.orderflow("retry last --trust --item run --quiet");
    assert_eq!(alone.exit, Some(1));
    assert_eq!(asked(&place, "report"), (vec!["1 [1]".into(), "2 [1]".into()], 2));
    assert_eq!(asked(&place, "mail"), (vec!["[1]".into(); 3], 2));
    place.write("stock", "");
    std::fs::remove_file(place.path("closed")).unwrap();
    assert_eq!(place.orderflow("retry last --trust --quiet").exit, Some(0));
    assert_eq!(asked(&place, "report").0.last().map(String::as_str), Some("3 [1,2]"));
    assert_eq!(asked(&place, "mail"), (vec!["[1]".into(), "[1]".into(), "[1]".into(), "[1,2]".into()], 3));
}

/// Without items that failed, only those of the run that failed run again.
#[test]
fn where_no_item_has_failed_only_they_run_again() {
    let place = nightly();
    place.write("stock", "");
    place.write("closed", "");
    assert_eq!(place.run("--items items.jsonl --quiet").exit, Some(1));
    std::fs::remove_file(place.path("closed")).unwrap();
    let told = place.orderflow("retry last --trust");
    assert_eq!(told.err.lines().next(), Some("retrying the steps for all items"));
    assert_eq!(told.exit, Some(0));
    assert_eq!(asked(&place, "report"), (vec!["1 [1,2]".into()], 1));
    assert_eq!(asked(&place, "mail"), (vec!["[1,2]".into(); 2], 1));
}

#[test]
fn a_runner_that_is_killed_in_their_second_visit_goes_on_with_it() {
    let place = nightly();
    assert_eq!(place.run("--items items.jsonl --quiet").exit, Some(1));
    place.write("stock", "");
    place.write("hold", "");
    let mut runner = place.command("retry last --trust --quiet").spawn().unwrap();
    place.await_file("held");
    runner.kill().unwrap();
    runner.wait().unwrap();
    let told = place.orderflow("resume last --explain --format json");
    let told: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!((&told["state"], &told["again"][0]["item"]), (&"paused".into(), &"run".into()), "{told}");
    assert_eq!((&told["again"][0]["step"], &told["again"][0]["attempt"]), (&"Report".into(), &2.into()));
    assert_eq!(told["begin"][0]["step"], "Mail");
    assert!(place.orderflow("show last").out.contains("Report, attempt 2 was interrupted"));
    std::fs::remove_file(place.path("hold")).unwrap();
    assert_eq!(place.orderflow("resume last --trust --quiet").exit, Some(0));
    let (reports, keys) = asked(&place, "report");
    assert_eq!((reports, keys), (vec!["1 [1]".into(), "2 [1,2]".into(), "2 [1,2]".into()], 2));
    assert_eq!(asked(&place, "mail").0, ["[1]", "[1,2]"]);
    assert_eq!(place.rows("session.toon").len(), 7);
}

/// A runner that dies while the items run again has the steps for all items ahead still.
#[test]
fn a_runner_that_is_killed_before_their_second_visit_comes_to_it() {
    let place = Place::new(&NIGHTLY.replace(
        "test \"$IN_ORDER\"",
        "if test -e stock; then : > picking; while test -e hold; do sleep 0.05; done; fi\ntest \"$IN_ORDER\"",
    ));
    place.write("items.jsonl", ITEMS);
    assert_eq!(place.run("--items items.jsonl --quiet").exit, Some(1));
    place.write("stock", "");
    place.write("hold", "");
    let mut runner = place.command("retry last --trust --quiet").spawn().unwrap();
    place.await_file("picking");
    runner.kill().unwrap();
    runner.wait().unwrap();
    assert!(place.orderflow("show last").out.contains("\nstate      paused\n"));
    std::fs::remove_file(place.path("hold")).unwrap();
    assert_eq!(place.orderflow("resume last --trust --quiet").exit, Some(0));
    assert_eq!(asked(&place, "report"), (vec!["1 [1]".into(), "2 [1,2]".into()], 2));
}

#[test]
fn a_run_that_is_cancelled_in_their_second_visit_does_no_more() {
    let place = nightly();
    assert_eq!(place.run("--items items.jsonl --quiet").exit, Some(1));
    place.write("stock", "");
    place.write("hold", "");
    let mut runner = place.command("retry last --trust --quiet").spawn().unwrap();
    place.await_file("held");
    assert_eq!(place.orderflow("cancel last").exit, Some(0));
    assert_eq!(runner.wait().unwrap().code(), Some(1));
    assert_eq!(asked(&place, "mail").0, ["[1]"]);
    assert!(place.orderflow("show last").out.contains("\nstate      cancelled\n"));
    assert!(place.orderflow("retry last").err.contains("was cancelled and does not continue"));
}

/// A report that can be withdrawn.
fn withdrawn() -> Place {
    let place = Place::new(&NIGHTLY.replace("## Report [per:: run]", "## Report [per:: run] [compensate:: Withdraw]").replace(
        "## Mail",
        "## Withdraw [retry:: 1 fixed 1ms]\npicked, report → withdrawn::String\n\n```sh run\n\
         echo \"withdraw $ORDERFLOW_KEY $IN_PICKED $IN_REPORT\" >> asked\ntest ! -e stuck || exit 65\necho done\n```\n\n## Mail",
    ));
    place.write("items.jsonl", ITEMS);
    place
}

#[test]
fn what_they_did_before_is_compensated_first() {
    let place = withdrawn();
    assert_eq!(place.run("--items items.jsonl --quiet").exit, Some(1));
    place.write("stock", "");
    assert_eq!(place.orderflow("retry last --trust --quiet").exit, Some(0));
    let order: Vec<String> =
        place.read("asked").lines().filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect();
    assert_eq!(order, ["report", "mail", "withdraw", "report", "mail"]);
    assert_eq!(asked(&place, "withdraw").0, ["[1] [1]"], "by what it was made of");
    assert_eq!(asked(&place, "report"), (vec!["1 [1]".into(), "2 [1,2]".into()], 2));
    assert!(place.orderflow("show last").out.contains("\nrun   succeeded"));
    assert_eq!(place.orderflow("show last --write").exit, Some(0));
    let verified = place.orderflow("verify flow.md");
    assert_eq!(verified.exit, Some(0), "{}{}", verified.out, verified.err);
}

#[test]
fn what_cannot_be_compensated_keeps_them_from_running_again() {
    let place = withdrawn();
    assert_eq!(place.run("--items items.jsonl --quiet").exit, Some(1));
    place.write("stock", "");
    place.write("stuck", "");
    let told = place.orderflow("retry last --trust");
    assert_eq!(told.exit, Some(5));
    let why = "a step for all items failed: what they did before cannot be compensated, so they did not run again\n";
    assert!(
        told.err.contains(&format!("{why}    not compensated: Withdraw: exited with 65 (bad input)\n")),
        "{}",
        told.err
    );
    assert_eq!(asked(&place, "report").0, ["1 [1]"]);
    let by_hand = place.orderflow("resolve last --item run --note done");
    assert_eq!(by_hand.exit, Some(2));
    let shown = place.orderflow("show last");
    assert!(shown.out.contains("run   compensation_failed"), "{}", shown.out);
    std::fs::remove_file(place.path("stuck")).unwrap();
    let told = place.orderflow("retry last --trust");
    assert_eq!(told.err.lines().next(), Some("retrying the steps for all items"));
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(asked(&place, "report").0, ["1 [1]", "2 [1,2]"]);
    assert_eq!(asked(&place, "withdraw").1, 1, "under one key");
}

/// A journal in which they begin a second time though nothing ran again, or begin anew though they had ended, is refused.
#[test]
fn a_journal_in_which_they_begin_again_for_nothing_is_damaged() {
    let place = nightly();
    assert_eq!(place.run("--items items.jsonl --quiet").exit, Some(1));
    place.write("stock", "");
    assert_eq!(place.orderflow("retry last --trust --quiet").exit, Some(0));
    let home = std::fs::read_dir(place.path(".orderflow/runs")).unwrap().next().unwrap().unwrap().path();
    let (header, records) = read(&home);
    let events = || {
        records.iter().filter_map(|record| if let Record::Event(event) = record { Some(event) } else { None })
    };
    let retried = events()
        .position(|event| matches!(&event.kind, EventKind::Item(_, ItemEvent::Retried { .. })))
        .unwrap();
    let first: Vec<Record> = events().take(retried).cloned().map(Record::Event).collect();
    let forged = place.path(".orderflow/runs/forged");
    let last = events().map(|event| event.at).max().unwrap();
    for (event, what) in [
        (RunEvent::StepsBegan.at(last), "run_steps_began"),
        (ItemEvent::Requeued.of(ItemId::RUN, last), "item_requeued"),
    ] {
        write(&forged, &header, &[first.as_slice(), &[Record::Event(event)]].concat());
        let told = place.orderflow("show .orderflow/runs/forged --item :run");
        assert_eq!(told.exit, Some(7), "{}", told.err);
        assert!(
            told.err.ends_with(&format!("`{what}` of the run cannot follow what is before it\n")),
            "{}",
            told.err
        );
    }
}

/// A mended document: the program of a step may change that has succeeded for items which are over.
#[test]
fn a_retry_by_the_document_of_now_runs_them_again_too() {
    let place = nightly();
    place.write("closed", "");
    assert_eq!(place.run("--items items.jsonl --quiet").exit, Some(1));
    let mended = NIGHTLY.replace("test ! -e closed || exit 65\n", "").replace("|| test -e stock ||", "||");
    place.write(
        "flow.md",
        &mended.replace("test \"$IN_ORDER\" != 2 || { echo 'out of stock' >&2; exit 65; }\n", ""),
    );
    let told = place.orderflow("retry last --trust --use-current --quiet");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(asked(&place, "mail").0, ["[1]", "[1,2]"]);
}
