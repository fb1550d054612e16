//! Decisions about a run that is active, or was when they were made.

use crate::approvals::{deployed, ended, json, release, until_waiting, waiting};
use crate::place::{Place, says};
use crate::program::idle;
use rustix::process::{Pid, Signal, kill_process};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn a_live_run_hears_an_approval_at_once() {
    let place = release();
    let child = place.begin("--items items.jsonl --wait");
    until_waiting(&place, 3);
    let begin = Instant::now();
    let one = place.orderflow("approve last Deploy --as ops --item a --format json");
    assert_eq!(one.exit, Some(0), "{}", one.err);
    place.until("the item goes on", || deployed(&place) == ["built A"]);
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert_eq!(json(&one)["gates"][0]["items"], serde_json::json!(["a"]));
    let no = place.orderflow("reject last Deploy --as ops --item b --note never");
    says(&no, 0, "", "rejected Deploy for b\n");
    assert_eq!(place.orderflow("approve last Deploy --as ops").exit, Some(0));
    let told = ended(child);
    assert_eq!(told.exit, Some(1), "{}", told.err);
    assert_eq!(deployed(&place), ["built A", "built C"]);
    assert!(told.err.contains("b: Deploy failed: rejected by ops: never\n"), "{}", told.err);
    assert_eq!(std::fs::read_dir(place.path(".orderflow/runs")).unwrap().count(), 1);
}

#[test]
fn the_second_approver_is_told() {
    let place = waiting();
    assert_eq!(place.orderflow("approve last Deploy --as ops --note first").exit, Some(0));
    // The same again is no contradiction; the opposite is.
    let same = place.orderflow("approve last Deploy --as ops --note second");
    says(
        &same,
        0,
        "",
        "Deploy was already approved by ops: first, at [..]; nothing was recorded\n  continue the run with orderflow resume [..]\n",
    );
    let other = place.orderflow("reject last Deploy --as ops");
    says(
        &other,
        1,
        "",
        "Deploy was already approved by ops: first, at [..]; nothing was recorded\n  continue the run with orderflow resume [..]\n",
    );
}

/// Both ask the same live run at the same time: one of them decides each item.
#[test]
fn of_two_approvers_at_once_one_decides() {
    let place = release();
    let child = place.begin("--items items.jsonl --wait");
    until_waiting(&place, 3);
    let ask = |verb: &str| {
        let mut command = place.command(&format!("{verb} last Deploy --as ops --note {verb}"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [ask("approve"), ask("reject")].map(ended);
    let won: Vec<bool> = both.iter().map(|told| told.err.contains("for all items")).collect();
    assert_eq!(won.iter().filter(|won| **won).count(), 1, "{both:?}");
    let (winner, loser) = if won[0] { (&both[0], &both[1]) } else { (&both[1], &both[0]) };
    assert_eq!((winner.exit, loser.exit), (Some(0), Some(1)), "{both:?}");
    assert!(loser.err.contains("was already "), "{both:?}");
    let told = ended(child);
    assert_eq!(told.exit, Some(if won[0] { 0 } else { 1 }), "{}", told.err);
    assert_eq!(deployed(&place).len(), if won[0] { 3 } else { 0 });
}

#[test]
fn a_run_that_was_killed_while_it_waited_loses_nothing() {
    let place = release();
    let child = place.begin("--items items.jsonl --wait");
    until_waiting(&place, 3);
    assert_eq!(place.orderflow("approve last Deploy --as ops --item c").exit, Some(0));
    place
        .until("c has ended", || json(&place.orderflow("runs --format json"))[0]["counts"]["succeeded"] == 1);
    assert_eq!(deployed(&place), ["built C"]);
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    ended(child);
    let approved = place.orderflow("approve last Deploy --as ops --item a --item b");
    says(&approved, 0, "", "approved Deploy for 2 items\n  continue the run with orderflow resume [..]\n");
    let resumed = place.orderflow("resume last --quiet");
    assert_eq!(resumed.exit, Some(0), "{}", resumed.err);
    assert_eq!(deployed(&place), ["built A", "built B", "built C"]);
}

/// A request that no runner has taken is taken by the next one.
#[test]
fn a_decision_that_was_handed_to_a_dead_runner_counts() {
    let place = release();
    let child = place.begin("--items items.jsonl --wait");
    until_waiting(&place, 3);
    kill_process(Pid::from_child(&child), Signal::STOP).unwrap();
    let mut approver = place.command("approve last Deploy --as ops").spawn().unwrap();
    let runs = place.path(".orderflow/runs");
    let home = std::fs::read_dir(runs).unwrap().next().unwrap().unwrap().path();
    let inbox = home.join("inbox");
    // A draft has a name that begins with a dot.
    let is_request = |file: std::io::Result<std::fs::DirEntry>| {
        !file.unwrap().file_name().to_string_lossy().starts_with('.')
    };
    let files = || {
        std::fs::read_dir(&inbox)
            .map_or(0, |files| files.filter_map(|file| is_request(file).then_some(())).count())
    };
    place.until("the request is there", || files() == 1);
    approver.kill().unwrap();
    approver.wait().unwrap();
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    ended(child);
    let resumed = place.orderflow("resume last --quiet --wait");
    assert_eq!(resumed.exit, Some(0), "{}", resumed.err);
    assert_eq!((deployed(&place).len(), files()), (3, 0));
}

#[test]
fn ten_thousand_items_wait_at_once_for_nothing() {
    let place = Place::new(
        "# Many\n\n## Ask\nnumber::Integer -> asked::Integer\n\n> [!gate] May it go?\n\n```sh run\necho 1\n```\n",
    );
    let items: String =
        (0..10_000).map(|number| format!("{{\"id\":\"i{number}\",\"number\":{number}}}\n")).collect();
    place.write("items.jsonl", &items);
    let child = place.begin("--items items.jsonl --wait --quiet");
    until_waiting(&place, 10_000);
    let memory = idle(child.id(), || drop(place.orderflow("show last")));
    assert!(memory < 400, "{memory} MiB");
    // One of them goes on at once.
    says(&place.orderflow("approve last Ask --item i7"), 0, "", "approved Ask for i7\n");
    place.until("it has ended", || {
        json(&place.orderflow("runs --format json"))[0]["counts"]["succeeded"] == 1
    });
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let told = ended(child);
    assert_eq!(told.exit, Some(130), "{}", told.err);
}

#[test]
fn cancelling_ends_those_who_wait() {
    let place = waiting();
    let cancelled = place.orderflow("cancel last --quiet");
    assert_eq!(cancelled.exit, Some(0), "{}", cancelled.err);
    assert_eq!(json(&place.orderflow("runs --format json"))[0]["state"], "cancelled");
    let late = place.orderflow("approve last Deploy --as ops --item a");
    assert_eq!(late.exit, Some(3), "{}", late.err);
}
