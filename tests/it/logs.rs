//! What attempts log is stored with the run and printed by `orderflow logs`, also while they run.

use crate::place::{Place, says};
use crate::program::told;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

const ORDERS: &str = "\
---
items: items.jsonl
jobs: 1
tolerate: 100%
---

# Orders

## Pay [retry:: 1 fixed 1ms]
order::Integer → receipt::String

```sh run
echo \"paying $IN_ORDER\" >&2
if [ \"$IN_ORDER\" = 8 ]; then echo 'not an answer'; exit 1; fi
printf 'half' >&2
echo \"receipt $IN_ORDER\"
```

## Notify

```sh run
echo \"notified $ORDERFLOW_ITEM\"
```

## Summarise [per:: run]
receipt → summary::String

```sh run
echo summing >&2
echo done > \"$ORDERFLOW_OUTPUT\"
echo 'two lines
of output'
```
";

fn orders() -> Place {
    let place = Place::new(ORDERS);
    place.write("items.jsonl", "{\"id\": \"a\", \"order\": 7}\n{\"id\": \"b\", \"order\": 8}\n");
    place
}

#[test]
fn every_attempt_has_its_log_and_output_that_is_no_answer_is_in_it() {
    let place = orders();
    place.run("--quiet");
    says(
        &place.orderflow("logs last"),
        0,
        "\
a: Pay: paying 7
a: Pay: half
a: Notify: notified a
b: Pay: paying 8
b: Pay: not an answer
b: Pay (attempt 2): paying 8
b: Pay (attempt 2): not an answer
run: Summarise: summing
run: Summarise: two lines
run: Summarise: of output
",
        "",
    );
}

#[test]
fn a_log_is_chosen_by_item_step_and_attempt() {
    let place = orders();
    place.run("--quiet");
    let b = place.orderflow("logs last --item b --attempt 2");
    says(&b, 0, "paying 8\nnot an answer\n", "");
    let pay = place.orderflow("logs last --step Pay --item b --attempt 1 --format json");
    let line = |text: &str, stream: &str| {
        format!(
            "{{\"item\":\"b\",\"step\":\"Pay\",\"phase\":\"Pay\",\"element\":null,\"attempt\":1,\"at_ms\":[..],\"stream\":\"{stream}\",\"text\":\"{text}\",\"left_out\":null}}\n"
        )
    };
    let lines = line("paying 8", "stderr") + &line("not an answer", "stdout");
    says(&pay, 0, &lines, "");
    says(
        &place.orderflow("logs last --item run --times"),
        0,
        "[..]s  summing\n[..]s  two lines\n[..]s  of output\n",
        "",
    );
    says(&place.orderflow("logs last --item c"), 0, "", "no such log is stored\n");
    says(&place.orderflow("logs last --step Ship"), 3, "", "error: the run has no step Ship\n");
    let shown = place.orderflow("show last --item b");
    assert!(
        shown.err.contains("all that it logged: orderflow logs ") && shown.err.ends_with(" --item b\n"),
        "{}",
        shown.err
    );
    assert!(shown.out.contains("    | paying 8\n"), "{}", shown.out);
}

#[test]
fn a_run_that_logs_nothing_makes_no_file_and_pruning_removes_the_others() {
    let quiet = Place::new("# A\n\n## B\na::String → b::String\n\n```sh run\necho x\n```\n");
    quiet.run("--quiet --input a=1");
    assert!(!logs_of(&quiet).exists());
    says(&quiet.orderflow("logs last"), 0, "", "no attempt has logged anything\n");
    assert!(quiet.orderflow("show last --item 1").err.is_empty());

    let place = orders();
    place.run("--quiet");
    let logs = logs_of(&place);
    assert!(logs.exists());
    let beside = std::fs::read_dir(logs.parent().unwrap()).unwrap();
    let names: Vec<_> = beside.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!names.iter().any(|name| name.starts_with("logs.db-")), "one file can be copied: {names:?}");
    place.orderflow("runs prune --keep 0");
    assert!(!logs.exists());
    let fleeting = orders();
    fleeting.run("--quiet --no-journal");
    assert!(fleeting.files().iter().all(|name| !name.contains("logs")));
}

/// The path of the logs of the only run.
fn logs_of(place: &Place) -> std::path::PathBuf {
    let mut runs = std::fs::read_dir(place.path(".orderflow/runs")).unwrap();
    runs.next().unwrap().unwrap().path().join("logs.db")
}

#[test]
fn the_middle_of_a_long_log_is_left_out_and_its_size_is_shown() {
    let lines = "\
# A

## B
a::String → b::String

```sh run
i=0; while [ $i -lt 300 ]; do
  echo \"$i ----------------------------------------------------------------------------------------------\" | head -c 99
  echo
  i=$((i+1))
done > block
for j in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40; do
  cat block block block >&2
done
echo last >&2
echo x
```
";
    let place = Place::new(lines);
    assert_eq!(place.run("--quiet --input a=1").exit, Some(0));
    let written = place.read("block").len() * 120 + "last\n".len();
    let shown = place.orderflow("logs last").out;
    let gap = shown.lines().find(|line| line.contains("are not stored")).expect("a gap");
    let left_out: usize = gap.split(' ').nth(1).unwrap().parse().unwrap();
    let (first, last) = shown.split_once(gap).unwrap();
    // A line that the gap divides gets an end.
    let joined = usize::from(!first.is_empty());
    let stored = first.len() + last.len();
    assert!(
        (1..=2).contains(&(stored + left_out - written + 1 - joined)),
        "{stored} + {left_out} of {written}"
    );
    assert!(first.len() >= 512 << 10 && last.len() >= 512 << 10, "{} and {}", first.len(), last.len());
    assert!(stored < 1100 << 10 && last.ends_with("last\n"), "{stored}");
    let size = std::fs::metadata(logs_of(&place)).unwrap().len();
    assert!(size < 8 << 20, "{size}");
}

#[test]
fn a_secret_that_arrives_in_parts_is_in_no_log() {
    let document = "\
# A

## Use @user
name::Secret, a::String → b::String

## Make
b → token::Secret

```sh run
echo 'the token is 4711-0815' >&2
echo 4711-0815
```
";
    let place = Place::new(document);
    let settings = "fences = true\n[agents.user]\ncommand = [\"sh\", \"use.sh\"]\nsecrets = [\"KEY\"]\n";
    place.write("orderflow.toml", settings);
    let script = "\
printf 'key %s' \"${KEY%??????}\" >&2
sleep 0.2
printf '%s end\\n' \"${KEY#??????}\" >&2
echo \"for $IN_NAME\" >&2
echo x
";
    place.write("use.sh", script);
    let mut command = place.command("run flow.md --trust --quiet --input a=1 --input name=grace-hopper");
    assert_eq!(told(command.env("KEY", "hunter222222").output().unwrap()).exit, Some(0));
    let shown = place.orderflow("logs last");
    says(
        &shown,
        0,
        "1: Use: key [secret:KEY] end\n1: Use: for [secret:name]\n1: Make: [not stored: the step makes a secret]\n",
        "",
    );
    let bytes = std::fs::read(logs_of(&place)).unwrap();
    for secret in ["hunter", "grace-", "4711"] {
        assert!(memchr::memmem::find(&bytes, secret.as_bytes()).is_none(), "{secret}");
    }
}

#[test]
fn following_shows_what_is_logged_until_the_run_ends() {
    let document = "\
# A

## Wait
a::String → b::String

```sh run
echo begun >&2
until test -e go; do sleep 0.01; done
echo ended >&2
echo x
```
";
    let place = Place::new(document);
    let mut run = place.begin("--quiet --input a=1");
    place.until("the run", || place.orderflow("logs last").out == "begun\n");
    let mut follow = place.command("logs last -f").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "1: Wait: begun");
    place.write("go", "");
    assert_eq!(lines.next().unwrap().unwrap(), "1: Wait: ended");
    assert!(lines.next().is_none(), "it ends with the run");
    assert!(follow.wait().unwrap().success() && run.wait().unwrap().success());
}

/// A killed runner leaves the logs so far, and a resumed run adds to them.
#[test]
fn logs_outlive_a_killed_runner_and_a_damaged_file_stops_nothing() {
    let document = "\
# A

## Wait
a::String → b::String

```sh run
echo \"begun $ORDERFLOW_REPEATED\" >&2
test -e go || { touch waiting; sleep 60; }
echo x
```
";
    let place = Place::new(document);
    let mut run = place.begin("--quiet --input a=1");
    place.await_file("waiting");
    place.until("the log", || place.orderflow("logs last").out.starts_with("begun"));
    run.kill().unwrap();
    run.wait().unwrap();
    place.write("go", "");
    assert!(place.orderflow("logs last").out.starts_with("begun"));
    assert_eq!(place.orderflow("resume last --quiet").exit, Some(0));
    assert_eq!(place.orderflow("logs last").out.matches("begun").count(), 2);

    let logs = logs_of(&place);
    std::fs::write(&logs, "not a database, and longer than the shortest page of one".repeat(100)).unwrap();
    let shown = place.orderflow("logs last");
    assert_eq!(shown.exit, Some(7));
    assert!(
        shown.err.contains("/logs.db are damaged: ")
            && shown.err.contains("\n  help: the run itself is intact"),
        "{}",
        shown.err
    );
    let item = place.orderflow("show last --item 1");
    assert_eq!((item.exit, &*item.err), (Some(0), ""));
    assert_eq!(place.orderflow("show last").exit, Some(0));
}

#[test]
fn a_run_whose_logs_cannot_be_stored_warns_and_continues() {
    let place = Place::new(
        "# A\n\n## B\na::String → b::String\n\n```sh run\necho x >&2\ntest -e go || exit 1\necho x\n```\n",
    );
    place.run("--quiet --input a=1");
    std::fs::write(logs_of(&place), "no database").unwrap();
    place.write("go", "");
    let retried = place.orderflow("retry last");
    assert_eq!(retried.exit, Some(0), "{}", retried.err);
    assert!(
        retried.err.contains("warning: the logs ") && retried.err.contains("are damaged: "),
        "{}",
        retried.err
    );
}

/// Lines of its own calls, and its standard error, which is taken for all calls in flight.
#[test]
fn a_worker_logs_for_its_calls() {
    let worker = "\
import json, sys
for line in sys.stdin:
    call = json.loads(line)
    print('at work', file=sys.stderr, flush=True)
    def tell(**message): print(json.dumps({'jsonrpc': '2.0', **message}), flush=True)
    tell(method='step/log', params={'id': call['id'], 'message': 'for ' + call['params']['item']})
    tell(id=call['id'], result='done')
";
    let place =
        Place::new("---\nitems: items.jsonl\njobs: 1\n---\n# A\n\n## Do @clerk\nid::String → b::String\n");
    place.write("items.jsonl", "{\"id\": \"a\"}\n{\"id\": \"b\"}\n");
    place.write("orderflow.toml", "[agents.clerk]\nworker = [\"python3\", \"-S\", \"worker.py\"]\n");
    place.write("worker.py", worker);
    assert_eq!(place.run("--quiet").exit, Some(0));
    for item in ["a", "b"] {
        let log = place.orderflow(&format!("logs last --item {item}")).out;
        assert_eq!(log.matches("for ").collect::<Vec<_>>().len(), 1, "{log}");
        assert!(log.contains(&format!("for {item}\n")), "{log}");
    }
    // It comes by another pipe than the answer, so it may be too late for one of the calls.
    assert!(place.orderflow("logs last").out.contains("at work\n"));
}

/// A document that a step runs, and one below it.
#[test]
fn the_logs_of_documents_follow_those_of_their_run() {
    let place = Place::new(
        "---\nitems: items.jsonl\njobs: 1\n---\n\n# Orders\n\n## Look\norder::Integer → looked::String\n\n```sh run\necho looking >&2\necho ok\n```\n\n\
         ## Review It [document:: review.md] [retry:: 1 fixed 1ms]\nlooked → checked::String\n",
    );
    place.write(
        "review.md",
        "# Review\n\n## Deep [document:: deep.md]\nlooked::String → deep::String\n\n\
         ## Check It [retry:: 1 fixed 1ms]\ndeep → checked::String\n\n```sh run\necho \"check $ORDERFLOW_ATTEMPT\" >&2\ntest $ORDERFLOW_ATTEMPT = 2 || exit 75\necho ok\n```\n",
    );
    place.write(
        "deep.md",
        "# Deep\n\n## Dive\nlooked::String → deep::String\n\n```sh run\necho diving >&2\necho ok\n```\n",
    );
    place.write("items.jsonl", "{\"id\": \"a\", \"order\": 7}\n{\"id\": \"b\", \"order\": 8}\n");
    assert_eq!(place.run("--quiet").exit, Some(0));
    let of = |key: &str| {
        format!(
            "{key}: Review It/Check It: check 1\n{key}: Review It/Check It (attempt 2): check 2\n{key}: Review It/Deep/Dive: diving\n"
        )
    };
    let all = format!("a: Look: looking\nb: Look: looking\n{}{}", of("a"), of("b"));
    says(&place.orderflow("logs last"), 0, &all, "");
    // A runner may die before such a run has a journal.
    let item = std::fs::read_dir(place.path(".orderflow/runs")).unwrap().next().unwrap().unwrap().path();
    let item = std::fs::read_dir(item.join("children")).unwrap().next().unwrap().unwrap().path();
    std::fs::create_dir(item.join("ReviewIt.9")).unwrap();
    says(&place.orderflow("logs last"), 0, &all, "");
    says(&place.orderflow("logs last --step ReviewIt --item b"), 0, &of("b"), "");
    says(&place.orderflow("logs last --step Look --item b"), 0, "looking\n", "");
    let inner = place.orderflow("logs last --step ReviewIt/Deep --item b");
    says(&inner, 0, "b: Review It/Deep/Dive: diving\n", "");
    // An attempt is one of the step that is named: of `Review It` there was only the first.
    let check = |args: &str| place.orderflow(&format!("logs last --step ReviewIt/CheckIt --attempt 2{args}"));
    let second = |key: &str| format!("{key}: Review It/Check It (attempt 2): check 2\n");
    says(&check(""), 0, &(second("a") + &second("b")), "");
    says(&check(" --item b"), 0, "check 2\n", "");
    says(&place.orderflow("logs last --step ReviewIt --item b --attempt 1"), 0, &of("b"), "");
    says(&place.orderflow("logs last --step ReviewIt --attempt 2"), 0, "", "no such log is stored\n");
    says(&place.orderflow("logs last --step ReviewIt --item c"), 0, "", "no such log is stored\n");
    for unknown in ["ReviewIt/Paint", "Paint/Check", "Look/Check", "Paint"] {
        let told = place.orderflow(&format!("logs last --step {unknown}"));
        says(&told, 3, "", &format!("error: the run has no step {unknown}\n"));
    }
    // The documents of the other item are not opened.
    let other = std::fs::read_dir(item.join("ReviewIt.1")).unwrap().next().unwrap().unwrap().path();
    let journal = other.with_file_name("journal.db");
    std::fs::write(&journal, "no journal").unwrap();
    let one = if item.ends_with("000000-a") { "b" } else { "a" };
    says(&place.orderflow(&format!("logs last --item {one} --step ReviewIt")), 0, &of(one), "");
    std::fs::remove_file(journal).unwrap();
    let one = format!("logs last --step ReviewIt --item {one} --format json");
    let parts = place.orderflow(&one).out;
    assert!(parts.contains("\"phase\":\"ReviewIt/Deep/Dive\""), "{parts}");
    let times = place.orderflow("logs last --step ReviewIt --times");
    let first = times.out.trim_start().split(' ').next().unwrap_or_default().to_owned();
    assert!(first.parse::<f64>().is_ok_and(|time| time > 0.0), "{}", times.out);
}
