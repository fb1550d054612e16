//! A step that runs a document and is attempted again: no effect that was done and not compensated is repeated, and no
//! key changes.

use crate::place::Place;
use crate::program::told;
use std::fs;
use std::process::Stdio;

/// The second step fails until there is a file `open`. Each call leaves a line with its key.
const SUB: &str = r#"# Sub

## One
order::Integer → one::String

```sh run
echo "one $ORDERFLOW_KEY $ORDERFLOW_FORWARD_KEY" >> work.log
echo one
```

## Two
one → two::String

```sh run
echo "two $ORDERFLOW_KEY" >> work.log
test ! -e hang || { : > waiting; sleep 60; }
test -e open || exit 75
echo two
```
"#;

fn place(fields: &str) -> Place {
    let place = Place::new(&format!(
        "# Orders\n\n## Sub [document:: sub.md]{fields}\norder::Integer → two::String\n"
    ));
    place.write("sub.md", SUB);
    place
}

/// The keys of all calls of this name.
fn keys(place: &Place, name: &str) -> Vec<String> {
    let text = fs::read_to_string(place.path("work.log")).unwrap_or_default();
    let of = |line: &str| line.strip_prefix(name)?.strip_prefix(' ').map(|key| key.trim().to_owned());
    text.lines().filter_map(of).collect()
}

/// That this many calls were made, all with one key.
#[track_caller]
fn one_key(place: &Place, name: &str, calls: usize) {
    let keys = keys(place, name);
    assert_eq!(keys.len(), calls, "{name}: {keys:?}");
    assert!(keys.iter().all(|key| *key == keys[0]), "{name}: {keys:?}");
}

#[track_caller]
fn exits(place: &Place, args: &str, exit: i32) {
    let told = place.orderflow(args);
    assert_eq!(told.exit, Some(exit), "{args}: {}{}", told.out, told.err);
}

const RUN: &str = "run flow.md --trust --input order=7 --quiet --session s.toon";

#[test]
fn a_retry_keeps_what_is_done() {
    let place = place(" [retry:: 2 fixed 1ms]");
    exits(&place, RUN, 1);
    one_key(&place, "one", 1);
    one_key(&place, "two", 3);
    exits(&place, "retry last --quiet", 1);
    place.write("open", "");
    exits(&place, "retry last --quiet", 0);
    one_key(&place, "one", 1);
    one_key(&place, "two", 7);
    // Each attempt has its rows, and no row is there twice.
    let two = |error: &str| format!("Sub/Two 1 #1 failed (exited with {error})");
    let rows = place.rows("s.toon");
    let of = |row: &str| rows.iter().filter(|known| known.starts_with(row)).count();
    assert_eq!((of("Sub/One"), of("Sub/Two"), of("Sub ")), (1, 7, 3), "{rows:?} {}", two("75"));
    assert_eq!(rows[rows.len() - 2..], ["Sub/Two 1 #1 success", "Sub 1 #1 success"]);
    let within = place.read("s.toon");
    assert!(["Sub.1", "Sub.2", "Sub.3", "Sub.6", "Sub.7"].iter().all(|run| within.contains(run)), "{within}");
    let told = place.orderflow("show last --item 1");
    assert_eq!(told.out.matches("sub.md: succeeded").count(), 1, "{}", told.out);
}

/// Also if the runner is killed within the second attempt.
#[test]
fn a_killed_retry_continues_the_same_run() {
    let place = place(" [retry:: 1 fixed 1ms]");
    place.write("sub.md", &SUB.replace("test ! -e hang ||", "test ! -e again ||"));
    place.write(
        "sub.md",
        &place.read("sub.md").replace("test -e open ||", "test -e open || : > again; test -e open ||"),
    );
    let mut run = place.begin("--input order=7");
    place.await_file("waiting");
    run.kill().unwrap();
    run.wait().unwrap();
    fs::remove_file(place.path("again")).unwrap();
    place.write("open", "");
    exits(&place, "resume last --quiet", 0);
    one_key(&place, "one", 1);
    one_key(&place, "two", 3);
}

/// Also if the timeout of the step stops the document.
#[test]
fn a_timeout_keeps_what_is_done() {
    let place = place(" [timeout:: 400ms]");
    place.write("hang", "");
    exits(&place, RUN, 1);
    fs::remove_file(place.path("hang")).unwrap();
    place.write("open", "");
    exits(&place, "retry last --quiet", 0);
    one_key(&place, "one", 1);
    one_key(&place, "two", 2);
}

/// A step whose effect is unknown keeps its key.
#[test]
fn an_effect_that_may_have_happened_keeps_its_key() {
    let place = place(" [retry:: 1 fixed 1ms]");
    place.write("sub.md", &SUB.replace("echo one\n", "exit 1\n"));
    exits(&place, RUN, 1);
    one_key(&place, "one", 2);
}

/// Documents within documents, for each element.
#[test]
fn a_retry_keeps_what_documents_within_documents_have_done() {
    let place = Place::new(
        "# Orders\n\n## Ask [document:: mid.md] [each:: order in orders] [retry:: 1 fixed 1ms]\n\
         order::Integer → two::String\n",
    );
    place.write("mid.md", "# Mid\n\n## Inner [document:: sub.md]\norder::Integer → two::String\n");
    place.write(
        "sub.md",
        &SUB.replace("work.log", "work-$ORDERFLOW_ITEM.log").replace("echo \"", "echo \"$IN_ORDER$IN_ONE "),
    );
    exits(&place, "run flow.md --trust --input orders=[1,2] --quiet", 1);
    place.write("open", "");
    exits(&place, "retry last --quiet", 0);
    let log = place.read("work-1.log");
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    // One key for each effect: two of the first step, done once, and two of the second.
    assert_eq!(lines.len(), 4, "{log}");
    assert_eq!((log.matches("1 one ").count(), log.matches("2 one ").count()), (1, 1), "{log}");
}

/// An irreversible step that is done is not done again.
#[test]
fn an_irreversible_step_is_not_repeated() {
    let place = place("");
    place.write("sub.md", &SUB.replace("## One\n", "## One [irreversible]\n"));
    exits(&place, RUN, 1);
    place.write("open", "");
    exits(&place, "retry last --quiet", 0);
    one_key(&place, "one", 1);
    one_key(&place, "two", 2);
}

/// A document that has succeeded, but did not make what the step has to make.
#[test]
fn what_has_succeeded_is_not_repeated() {
    let place = place("");
    place.write("open", "");
    place.write("sub.md", &SUB.replace("## Two\n", "## Two [when:: order == 8]\n"));
    exits(&place, RUN, 1);
    exits(&place, "retry last --quiet", 1);
    one_key(&place, "one", 1);
}

/// A document that was continued is compensated once, and what it had compensated before is not.
#[test]
fn a_continued_run_is_compensated_once() {
    let place = place(" [retry:: 1 fixed 1ms]");
    let flow = place.read("flow.md") + "\n## Final\ntwo → end::String\n\n```sh run\nexit 65\n```\n";
    place.write("flow.md", &flow);
    let back = "\n## Back\none → back::String\n\n```sh run\necho \"back $ORDERFLOW_FORWARD_KEY\" >> work.log\necho ok\n```\n";
    let log = "## Log\norder::Integer → logged::String\n\n```sh run\necho logged\n```\n\n## One [compensate:: Back]\nlogged, ";
    let sub =
        SUB.replace("## One\n", log).replace("test -e open || exit", "test -e open || : > open && exit");
    place.write(
        "sub.md",
        &(sub.replace("test -e open || : > open && exit 75", "test -e open || { : > open; exit 75; }")
            + back),
    );
    exits(&place, RUN, 1);
    let (one, back) = (keys(&place, "one"), keys(&place, "back"));
    assert_eq!(one.len(), 2);
    assert_ne!(one[0], one[1]);
    assert_eq!(back, one);
    assert!(place.orderflow("show last --item 1").out.starts_with("1: compensated"));
}

/// A document as a compensation: what it has reversed is not reversed again.
#[test]
fn a_compensating_document_keeps_what_is_done() {
    let place = Place::new(
        "# Orders\n\n## Pay [compensate:: Repay]\norder::Integer → paid::Integer\n\n\
         ```sh run\necho \"pay $ORDERFLOW_KEY\" >> work.log\necho 7\n```\n\n\
         ## Repay [document:: sub.md] [retry:: 2 fixed 1ms]\norder → two::String\n\n\
         ## Final\npaid → end::String\n\n```sh run\nexit 65\n```\n",
    );
    place.write("sub.md", SUB);
    exits(&place, RUN, 5);
    one_key(&place, "two", 3);
    place.write("open", "");
    exits(&place, "retry last --quiet", 1);
    one_key(&place, "two", 4);
    // The keys of the step itself and of the payment.
    let one = keys(&place, "one");
    assert_eq!(one.len(), 1, "{one:?}");
    assert_eq!(one[0].split_once(' ').unwrap().1, keys(&place, "pay")[0]);
    assert!(place.orderflow("show last --item 1").out.starts_with("1: compensated"));
}

/// A gate in a run that a later attempt continues.
#[test]
fn people_decide_in_a_continued_run() {
    let place = place(" [retry:: 1 fixed 1ms]");
    let sub = SUB.replace("test -e open || exit 75", "test -e open || { : > open; exit 75; }");
    let gate = "\n## Three\ntwo → three::String\n\n> [!gate] Is {{ two }} all right?\n\n```sh run\necho three\n```\n";
    place.write("sub.md", &(sub + gate));
    place.write("flow.md", &place.read("flow.md").replace("two::String", "three::String"));
    exits(&place, RUN, 5);
    exits(&place, "approve last Sub/Three --quiet", 0);
    exits(&place, "resume last --quiet", 0);
    one_key(&place, "one", 1);
    one_key(&place, "two", 2);
}

/// Nothing runs on top of a journal that cannot be read.
#[test]
fn a_damaged_journal_of_a_document_stops_the_run() {
    let place = place("");
    place.write("hang", "");
    let mut run = place.begin("--input order=7");
    place.await_file("waiting");
    run.kill().unwrap();
    run.wait().unwrap();
    fs::remove_file(place.path("hang")).unwrap();
    place.write("open", "");
    let runs = place.path(".orderflow/runs");
    let run = fs::read_dir(runs).unwrap().next().unwrap().unwrap().path();
    let journal = run.join("children/000000-1/Sub.1/journal.db");
    let whole = fs::read(&journal).unwrap();
    let mut broken = whole.clone();
    broken.iter_mut().skip(4096).take(2048).for_each(|byte| *byte ^= 0x55);
    for damaged in [&broken[..], &whole[..100], b""] {
        fs::write(&journal, damaged).unwrap();
        for command in ["resume last", "cancel last"] {
            let told = place.orderflow(command);
            assert_eq!(told.exit, Some(7), "{}{}", told.out, told.err);
            assert!(told.err.contains("Sub.1"), "{}", told.err);
        }
    }
    fs::write(&journal, whole).unwrap();
    let mut resume = place.command("resume last --quiet");
    let resumed = told(resume.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap());
    assert_eq!(resumed.exit, Some(0), "{}{}", resumed.out, resumed.err);
    one_key(&place, "one", 1);
    one_key(&place, "two", 2);
}

/// A failure handler that requeues the item.
#[test]
fn a_requeued_item_keeps_what_is_done() {
    let place = place("");
    let handler = "\n## Again\nfailed_orders → retry::Boolean\n\n```sh run\n: > open\necho true\n```\n";
    place.write("flow.md", &(place.read("flow.md") + handler));
    exits(&place, RUN, 0);
    one_key(&place, "one", 1);
    one_key(&place, "two", 2);
}

/// Without a journal nothing can be continued, so nothing is attempted again.
#[test]
fn without_a_journal_nothing_is_repeated() {
    let place = place(" [retry:: 2 fixed 1ms]");
    exits(&place, &format!("{RUN} --no-journal"), 1);
    one_key(&place, "one", 1);
    one_key(&place, "two", 1);
    place.write(
        "sub.md",
        &SUB.replace("## One\n", "## One [effects:: none]\n")
            .replace("## Two\n", "## Two [effects:: none]\n"),
    );
    exits(&place, &format!("{RUN} --no-journal"), 1);
    assert_eq!(keys(&place, "two").len(), 4);
}
