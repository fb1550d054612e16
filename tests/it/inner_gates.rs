//! Gates inside documents that steps run: the outer run waits, survives kills, is shown, and continues.

use crate::dialogue::dialogue;
use crate::place::{Place, says};
use crate::program::told;
use serde_json::Value;

const ORDERS: &str = "\
---
items: orders.jsonl
jobs: 1
---

# Orders

## Review [document:: review.md] [timeout:: 1s]
amount::Integer → approved::Boolean

## Ship [when:: approved]
amount → sent::String

```sh run
echo \"ship $IN_AMOUNT\" >> work.log
echo sent
```
";

const REVIEW: &str = "\
# Review

## Look
amount::Integer → looked::String

```sh run
echo \"look $IN_AMOUNT $ORDERFLOW_KEY\" >> work.log
echo looked
```

## Check
looked, amount → approved::Boolean

> [!gate] Is {{ amount }} all right?

```sh run
echo check >> work.log
echo true
```
";

fn place() -> Place {
    let place = Place::new(ORDERS);
    place.write("review.md", REVIEW);
    place.write("orders.jsonl", "{\"id\": \"a\", \"amount\": 3}\n{\"id\": \"b\", \"amount\": 40}\n");
    place
}

/// The log without idempotency keys, sorted.
fn log(place: &Place) -> Vec<String> {
    let mut lines: Vec<String> = place
        .read("work.log")
        .lines()
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_run_waits_for_people_inside_its_documents_and_continues() {
    let place = place();
    let ended = place.run("--quiet");
    // With one job, the second item begins although the first one waits.
    assert_eq!(ended.exit, Some(5), "{}{}", ended.out, ended.err);
    assert_eq!(log(&place), ["look 3", "look 40"]);
    let shown = place.orderflow("show last").out;
    assert!(shown.contains("state      waiting\n"), "{shown}");
    assert!(shown.contains("items      2 waiting for a person\n"), "{shown}");
    let wants = "waits      at the gate of Review/Check (Is {{ amount }} all right?): orderflow approve ";
    assert!(shown.contains(wants), "{shown}");
    assert!(shown.contains("Review waits in its document"), "{shown}");
    let item = place.orderflow("show last --item a").out;
    assert!(item.contains("a: in flight; it waits in a document\n"), "{item}");
    assert!(item.contains("gate of Check: waits since ") && item.contains(": Is 3 all right?\n"), "{item}");
    let explained = place.orderflow("resume last --explain --format json");
    let explained: Value = serde_json::from_str(&explained.out).unwrap();
    assert_eq!(explained["wait"].as_array().unwrap().len(), 2, "{explained}");

    // Resumed without a decision, it waits again, and nothing runs twice.
    let told = place.orderflow("resume last --quiet");
    assert_eq!(told.exit, Some(5), "{}{}", told.out, told.err);
    assert_eq!(log(&place), ["look 3", "look 40"]);

    says(
        &place.orderflow("approve last Review/Check --item a --as ops"),
        0,
        "",
        "approved Review/Check for a\n  a: Is 3 all right?\n  continue the run with orderflow resume [..]\n",
    );
    let told = place.orderflow("approve last Review/Check --item a --as ops");
    assert!(told.err.starts_with("Review/Check was already approved by ops for a, at "), "{}", told.err);
    let told = place.orderflow("resume last");
    assert_eq!(told.exit, Some(5), "{}{}", told.out, told.err);
    assert!(told.err.contains("2 items: 1 succeeded, 1 waiting for a person\n"), "{}", told.err);
    assert!(told.err.contains("waiting at the gate of Review/Check (Is 40 all right?): b\n"), "{}", told.err);
    assert_eq!(log(&place), ["check", "look 3", "look 40", "ship 3"]);

    let told = place.orderflow("reject last Review/Check --note late --resume");
    assert_eq!(told.exit, Some(1), "{}{}", told.out, told.err);
    assert!(told.err.contains("rejected Review/Check for b\n"), "{}", told.err);
    assert!(told.err.contains("b: Review: Check: rejected by "), "{}", told.err);
    // The trace has the rows of the documents, and fits them.
    assert_eq!(place.orderflow("show last --write").exit, Some(0));
    let told = place.orderflow("verify flow.md");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
}

/// A row in the journal of a document that no command of this user has left, for example an approval, is not obeyed.
#[test]
fn a_journal_within_a_run_that_somebody_else_has_written_is_refused() {
    let place = place();
    assert_eq!(place.run("--quiet").exit, Some(5));
    let state = place.path(".state/orderflow/inner");
    let state = std::fs::read_dir(state).unwrap().next().unwrap().unwrap().path();
    let before = std::fs::read(&state).unwrap();
    assert_eq!(place.orderflow("approve last Review/Check --item a").exit, Some(0));
    let after = std::fs::read(&state).unwrap();
    std::fs::write(&state, &before).unwrap();
    let commands = ["resume --quiet last", "cancel last", "approve last Review/Check --item a"];
    for command in commands {
        let told = place.orderflow(command);
        assert_eq!((told.exit, told.out.as_str()), (Some(4), ""), "{command}: {}", told.err);
        let says = "error: the run of review.md in [..]/children/000000-a/Review.1 has rows that no command of yours has written; nothing was run\n  help: [..]\n";
        snapbox::assert_data_eq!(told.err, says);
    }
    assert_eq!(log(&place), ["look 3", "look 40"]);
    // The other item's own journal is as it was left.
    assert_eq!(place.orderflow("approve last Review/Check --item b").exit, Some(0));
    let both = std::fs::read(&state).unwrap();
    assert!(both != before && both != after);
    // With what the first approval has left, all is known again.
    let (mut known, new): (Value, Value) =
        (serde_json::from_slice(&both).unwrap(), serde_json::from_slice(&after).unwrap());
    let path = "children/000000-a/Review.1";
    known["ends"][path] = new["ends"][path].clone();
    std::fs::write(&state, known.to_string()).unwrap();
    let told = place.orderflow("resume last --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    assert_eq!(log(&place), ["check", "check", "look 3", "look 40", "ship 3", "ship 40"]);
}

#[test]
fn an_active_run_hears_a_decision_inside_a_document() {
    let place = place();
    let run = place.begin("--quiet --wait");
    let waits = || {
        let shown = place.orderflow("show last").out;
        shown.matches("waits in its document").count() == 2
    };
    place.until("both items wait", waits);
    let approved = place.orderflow("approve last Review/Check");
    assert_eq!(approved.exit, Some(0), "{}", approved.err);
    let said = "approved Review/Check for 2 items\n  a: Is 3 all right?\n  b: Is 40 all right?\n";
    assert_eq!(approved.err, said);
    let ended = told(run.wait_with_output().unwrap());
    assert_eq!(ended.exit, Some(0), "{}{}", ended.out, ended.err);
    assert_eq!(log(&place), ["check", "check", "look 3", "look 40", "ship 3", "ship 40"]);
}

#[test]
fn a_run_that_is_killed_while_a_document_waits_loses_nothing() {
    let place = place();
    let mut run = place.begin("--quiet --wait");
    place.until("both items wait", || {
        place.orderflow("show last").out.matches("waits in its document").count() == 2
    });
    run.kill().unwrap();
    run.wait().unwrap();
    let told = place.orderflow("approve last Review/Check --resume --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    assert_eq!(log(&place), ["check", "check", "look 3", "look 40", "ship 3", "ship 40"]);
}

/// A waiting document is cancelled with its run, and its time at the gate counts in no limit.
#[test]
fn a_document_that_waits_is_cancelled_with_its_run() {
    let place = place();
    assert_eq!(place.run("--quiet").exit, Some(5));
    let told = place.orderflow("cancel last");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    let shown = place.orderflow("show last").out;
    assert!(shown.contains("2 cancelled"), "{shown}");
    assert_eq!(place.orderflow("resume last").exit, Some(1));
}

#[test]
fn the_time_to_decide_passes_inside_a_document() {
    let place = place();
    place.write("review.md", &REVIEW.replace("[!gate]", "[!gate within 500ms]"));
    let told = place.run("--wait --quiet");
    assert_eq!(told.exit, Some(1), "{}{}", told.out, told.err);
    assert_eq!(log(&place), ["look 3", "look 40"]);
    assert!(told.err.contains("Check: no approval within 500ms"), "{}", told.err);
}

/// Documents within documents wait, too.
#[test]
fn a_document_within_a_document_waits() {
    let place = place();
    place.write(
        "outer.md",
        "# Outer\n\n## Inner [document:: review.md]\namount::Integer → approved::Boolean\n",
    );
    place.write("flow.md", &ORDERS.replace("review.md", "outer.md"));
    assert_eq!(place.run("--quiet").exit, Some(5));
    let told = place.orderflow("approve last Review/Inner/Check --resume --quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    assert_eq!(log(&place), ["check", "check", "look 3", "look 40", "ship 3", "ship 40"]);
}

#[test]
fn names_that_lead_nowhere_are_refused() {
    let place = place();
    assert_eq!(place.run("--quiet").exit, Some(5));
    let told = place.orderflow("approve last Review/Look");
    assert_eq!(told.exit, Some(3));
    assert!(
        told.err.starts_with("error: no item is at `Review/Look`; nothing was recorded\n"),
        "{}",
        told.err
    );
    let told = place.orderflow("approve last Review/Check --item c");
    assert_eq!(told.exit, Some(3));
    assert!(
        told.err.starts_with("error: item `c` is not at `Review/Check`; nothing was recorded\n"),
        "{}",
        told.err
    );
}

/// Steps for all items inside a document run after its one item, and their failure is that of the step.
#[test]
fn steps_for_all_items_run_inside_a_document() {
    let place = place();
    let summary = "\
\n## Sum Up [per:: run]
looked::JSON → summed::String

```sh run
echo \"sum $IN_LOOKED\" >> work.log
test ! -e broken
echo summed
```

## Tidy [per:: run] [always]
looked → tidied::String

```sh run
echo \"tidy $IN_LOOKED\" >> work.log
echo tidied
```
";
    let review = REVIEW.replace("> [!gate] Is {{ amount }} all right?\n\n", "");
    place.write("review.md", &(review.clone() + &summary.replace("looked::JSON", "looked")));
    place.write("orders.jsonl", "{\"id\": \"a\", \"amount\": 3}\n");
    let told = place.run("--quiet");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);
    let done = ["check", "look 3", "ship 3", "sum [\"looked\"]", "tidy [\"looked\"]"];
    assert_eq!(log(&place), done);
    assert_eq!(place.orderflow("show last --write").exit, Some(0));
    let told = place.orderflow("verify flow.md");
    assert_eq!(told.exit, Some(0), "{}{}", told.out, told.err);

    place.write("broken", "");
    let told = place.run("--quiet");
    assert_eq!(told.exit, Some(1), "{}{}", told.out, told.err);
    assert!(told.err.contains("a: Review failed: Sum Up: exited with 1"), "{}", told.err);
    assert_eq!(log(&place).iter().filter(|line| line.starts_with("tidy")).count(), 2);
}

/// At a terminal a person is asked about the gates of documents, too, and the run waits for the answers.
#[test]
fn a_person_at_a_terminal_is_asked_about_gates_inside() {
    let place = place();
    let prompt = "a note may follow: ";
    let (said, exit) = dialogue(&place, "run flow.md --trust", &[(prompt, "yes, fine"), (prompt, "later")]);
    assert_eq!(exit, Some(5), "{said}");
    assert!(said.contains("Review/Check waits for a"), "{said}");
    assert!(said.contains("Is 3 all right?"), "{said}");
    assert!(said.contains("    amount: 3"), "{said}");
    assert_eq!(log(&place), ["check", "look 3", "look 40", "ship 3"]);
    // The other one is asked about again.
    let (said, exit) = dialogue(&place, "resume last", &[(prompt, "no: late")]);
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.contains("Review/Check waits for b"), "{said}");
    assert!(said.contains("b: Review: Check: rejected by "), "{said}");
    assert_eq!(log(&place), ["check", "look 3", "look 40", "ship 3"]);
}

#[test]
fn a_command_informs_people_once_of_each_gate_inside() {
    let place = place();
    place.write("orderflow.toml", "fences = true\n\n[notify]\ncommand = [\"sh\", \"tell.sh\"]\n");
    place.write("tell.sh", "cat > \"$$.part\"; mv \"$$.part\" \"told-$$.json\"\n");
    place.write(
        "outer.md",
        "# Outer\n\n## Inner [document:: review.md]\namount::Integer → approved::Boolean\n",
    );
    place.write("flow.md", &ORDERS.replace("review.md", "outer.md"));
    assert_eq!(place.run("--quiet").exit, Some(5));
    let told = || -> Vec<Value> {
        let names = place.files().into_iter().filter(|name| name.starts_with("told-"));
        let mut all: Vec<Value> =
            names.map(|name| serde_json::from_str(&place.read(&name)).unwrap()).collect();
        all.sort_by_key(|one| one["item"].to_string());
        all
    };
    let all = told();
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(
        (&all[1]["item"], &all[1]["step"], &all[1]["question"], &all[1]["inputs"]["amount"]),
        (&"b".into(), &"Review/Inner/Check".into(), &"Is 40 all right?".into(), &40.into())
    );
    let approve: Vec<&str> =
        all[1]["approve"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(
        (approve[..2].to_vec(), &approve[3..]),
        (vec!["orderflow", "approve"], &["Review/Inner/Check", "--item", "b"][..])
    );
    assert_eq!(place.orderflow("resume last --quiet").exit, Some(5));
    assert_eq!(told().len(), 2);
    let ended = place.orderflow(&(approve[1..].join(" ") + " --resume --quiet"));
    assert_eq!(ended.exit, Some(5), "{}{}", ended.out, ended.err);
    assert_eq!(log(&place), ["check", "look 3", "look 40", "ship 40"]);
}

/// A document that reads a file of the outer run before and after its gate, and once more when it is compensated.
const LETTERS: [(&str, &str); 2] = [
    (
        "flow.md",
        "# Letters\n\n## Write\n→ letter::File\n\n```sh run\necho dear > \"$ORDERFLOW_DIR/letter.txt\"\necho letter.txt\n```\n\n\
         ## Sign [document:: sign.md]\nletter → signed::String\n\n\
         ## Send\nsigned → sent::String\n\n```sh run\nexit 65\n```\n",
    ),
    (
        "sign.md",
        "# Sign\n\n## Read [document:: read.md]\nletter::File → seen::String\n\n\
         ## Sign [compensate:: Strike]\nletter, seen → signed::String\n\n> [!gate] Sign it?\n\n\
         ```sh run\ncat \"$IN_LETTER\"\n```\n\n\
         ## Strike\nletter → struck::String\n\n```sh run\necho \"struck $(cat \"$IN_LETTER\")\" >> letters.log\necho ok\n```\n",
    ),
];

const READ: &str = "# Read\n\n## Read\nletter::File → seen::String\n\n> [!gate] Read it?\n\n```sh run\ncat \"$IN_LETTER\"\n```\n";

#[test]
fn a_file_of_the_outer_run_is_found_after_its_folder_was_moved() {
    let place = Place::new("");
    LETTERS.iter().for_each(|(name, text)| place.write(name, text));
    place.write("read.md", READ);
    let waits = place.orderflow("run flow.md --trust --quiet");
    assert_eq!(waits.exit, Some(5), "{}{}", waits.out, waits.err);
    for (from, to, gate, exit) in
        [(".orderflow", "first", "Sign/Read/Read", 5), ("first", "second", "Sign/Sign", 1)]
    {
        std::fs::rename(place.path(from), place.path(to)).unwrap();
        let runs = std::fs::read_dir(place.path(to).join("runs")).unwrap();
        let run = runs.map(|entry| entry.unwrap().path()).next().unwrap();
        let run = run.display();
        assert_eq!(place.orderflow(&format!("adopt {run} --yes")).exit, Some(0));
        assert_eq!(place.orderflow(&format!("approve {run} {gate} --as Ada")).exit, Some(0));
        let ended = place.orderflow(&format!("resume {run} --quiet"));
        assert_eq!(ended.exit, Some(exit), "{}{}", ended.out, ended.err);
    }
    assert_eq!(place.read("letters.log"), "struck dear\n");
}
