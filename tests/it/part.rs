//! A run of some steps only, and stand-ins for agents that do not exist yet.

use crate::place::{Place, says};
use crate::program::told;

const SHOP: &str = "\
---
items: orders.jsonl
---
# Shop

## Check @clerk
order::Order → checked::Order, total::Number

## Pay @bank !
checked, total → receipt::String

## Pack
checked, receipt → parcel::JSON

```sh run
tee seen
```

If total > 5 → Insure
Otherwise → Send Plainly

## Insure @insurer
parcel → insured::Boolean

## Send Plainly
parcel → sent::Boolean

```sh run
echo true
```

## Look After Failed @desk ?
failed_orders → retry_later::Boolean
";

fn shop() -> Place {
    let place = Place::new(SHOP);
    place.write("orders.jsonl", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n");
    place
}

#[test]
fn stand_ins_do_what_nobody_is_bound_to() {
    let place = shop();
    let told = place.run("--stub --item a");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let rows = ["Check a #1 success", "Pay a #1 success", "Pack a #1 success"];
    assert_eq!(place.rows("session.toon")[..3], rows);
    assert_eq!(place.rows("session.toon")[3..], ["Insure a #0 skipped", "SendPlainly a #1 success"]);
    assert!(told.err.contains("stubbed: the steps Check, Pay, Insure, Look After Failed\n"), "{}", told.err);
    let marked: Vec<bool> = place
        .read("session.toon")
        .lines()
        .filter(|line| line.contains(",a,"))
        .map(|line| line.contains(",true,a,"))
        .collect();
    assert_eq!(marked, [true, true, false, false, false], "{}", place.read("session.toon"));
    assert_eq!(place.run("").exit, Some(3), "without --stub nobody steps in");
}

#[test]
fn a_stand_in_that_handles_failures_puts_nothing_back() {
    let place = Place::new(&SHOP.replace("\ntee seen\n", "\nexit 65\n"));
    place.write("orders.jsonl", "{\"id\":\"a\"}\n");
    let told = place.run("--stub");
    assert_eq!(told.exit, Some(1), "{}", told.err);
    let rows = place.rows("session.toon");
    assert_eq!(rows.iter().filter(|row| row.starts_with("Pack")).count(), 1, "{rows:?}");
    assert_eq!(rows.last().unwrap(), "LookAfterFailed a #1 success");
}

#[test]
fn a_file_that_is_made_up_can_be_opened() {
    let document = "# T\n## Print @printer\ntext → page::File\n## Weigh\npage → grams::Integer\n```sh run\nwc -c < \"$IN_PAGE\"\n```\n";
    let told = Place::new(document).run("--stub --input text=x");
    assert_eq!(told.exit, Some(0), "{}", told.err);
}

#[test]
fn a_file_of_a_step_that_is_not_run_can_be_opened_for_every_item() {
    let document = "# T\n## Print @printer\ntext → page::File\n## Weigh\npage::File → grams::Integer\n```sh run\nwc -c < \"$IN_PAGE\"\n```\n";
    let place = Place::new(document);
    place.write("texts.jsonl", "{\"id\":\"a\",\"text\":\"x\"}\n{\"id\":\"b\",\"text\":\"y\"}\n");
    let told = place.run("--stub --only Weigh --items texts.jsonl");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(place.rows("session.toon"), ["Weigh a #1 success", "Weigh b #1 success"]);
}

#[test]
fn one_step_runs_with_what_is_given_or_made_up() {
    let place = shop();
    says(
        &place.run("--only Pack --input total=1"),
        3,
        "",
        "error: no value for `checked` from Check, `receipt` from Pay; nothing was run\n  \
         help: give --input checked=VALUE, or --stub for a stubbed value\n",
    );
    let told = place.run("--only Pack --input checked={} --input total=1 --input receipt=r1");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(place.rows("session.toon"), ["Pack 1 #1 success"]);
    assert_eq!(place.read("seen"), r#"{"checked":{},"receipt":"r1"}"#);
    assert!(!told.err.contains("stubbed"), "{}", told.err);

    let told = place.run("--only Pack --stub --input receipt=r1 --items orders.jsonl");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(place.rows("session.toon"), ["Pack a #1 success", "Pack b #1 success"]);
    assert!(told.err.contains("stubbed: the values checked, total\n"), "{}", told.err);
}

#[test]
fn several_steps_keep_their_order_and_their_decisions() {
    let place = shop();
    let told = place.run("--only SendPlainly --only Pack --stub --item b");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(place.rows("session.toon"), ["Pack b #1 success", "SendPlainly b #1 success"]);
    let told = place.run("--only SendPlainly --only Pack --stub --input total=6 --item b");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(place.rows("session.toon"), ["Pack b #1 success", "SendPlainly b #0 skipped"]);
}

#[test]
fn a_run_from_a_step_goes_on_to_the_end() {
    let place = shop();
    let told = place.run("--from Pack --stub --item a");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let rows = ["Pack a #1 success", "Insure a #0 skipped", "SendPlainly a #1 success"];
    assert_eq!(place.rows("session.toon"), rows);
    // A step that was led to by a decision before runs: it is what was asked for.
    assert_eq!(place.run("--from Insure --stub --item a").exit, Some(0));
    assert_eq!(place.rows("session.toon"), ["Insure a #1 success"]);
}

#[test]
fn an_item_that_is_not_taken_any_more_is_no_other_input() {
    let place = shop();
    let told = place.run("--only Insure --stub --input parcel={}");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(place.rows("session.toon"), ["Insure 1 #1 success"]);
    let asked = Place::new("# T\n## A @x\nn::Integer → a\n## B @x\n[when:: n > 1]\na → b\n");
    let told = asked.run("--only B --stub");
    says(&told, 3, "", "error: the workflow has no value for its input `n`; nothing was run\n  help: [..]\n");
    assert_eq!(asked.run("--only B --stub --input n=2").exit, Some(0));
    assert_eq!(asked.rows("session.toon"), ["B 1 #1 success"]);
    let two = Place::new("# T\n## A @x\na, b → c\n## B @x\nb, c → d\n");
    two.write("i.jsonl", "{\"a\":1}\n");
    let told = two.run("--only B --stub --items i.jsonl");
    says(&told, 3, "", "i.jsonl:1:1: missing `b`\nerror: 1 problem in i.jsonl; 0 of 1 item started\n");
}

#[test]
fn steps_that_cannot_run_alone_are_refused() {
    for (args, err) in [
        (
            "--only Pak",
            "error: --only Pak: the workflow has no such step; nothing was run\n  help: did you mean `Pack`?\n",
        ),
        (
            "--from LookAfterFailed",
            "error: --from LookAfterFailed: a failure handler runs only for items that have failed; nothing was run\n",
        ),
        (
            "--only Pack --input parsel=1",
            "error: the workflow has no input `parsel`; nothing was run\n  help: [..]\n",
        ),
    ] {
        says(&shop().run(args), 3, "", err);
    }
    assert_eq!(shop().run("--only Pack --from Pack").exit, Some(2));
    assert_eq!(shop().run("--replay --stub").exit, Some(2));
}

#[test]
fn a_step_is_named_as_it_is_read() {
    let place = Place::new(
        "# Shop\n\n## 1. **Check**  It @clerk\norder → checked\n\n## 2. Pay &amp; Go @bank\norder → paid\n",
    );
    for name in
        ["--only=Pay\u{a0}&\u{a0}Go", "--only=2. Pay &amp;  Go", "--from=**Pay** & Go", "--only=PayGo"]
    {
        let mut command = place.command("run flow.md --stub --input order=1");
        let told = told(command.arg(name).output().unwrap());
        assert_eq!(told.exit, Some(0), "{name}: {}", told.err);
        assert_eq!(place.rows("session.toon"), ["PayGo 1 #1 success"], "{name}");
    }
}
