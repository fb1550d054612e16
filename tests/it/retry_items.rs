//! The dead letters of a run as a table that people edit, and what comes of it: rows that stayed go on where they
//! failed, rows that were changed begin anew.

use crate::place::{Place, says};
use serde_json::Value;

const DOCUMENT: &str = "\
---
items: items.jsonl
tolerate: 100%
---
# Orders

## Pay
order::Order → paid::Integer

```sh run
order=$(tr -d '\\n ' < \"$ORDERFLOW_INPUT\")
printf '%s pay %s %s\\n' \"$order\" \"$ORDERFLOW_ITEM\" \"$ORDERFLOW_KEY\" >> work.log
echo 1
```

## Ship
order, paid → shipped::String

```sh run
echo \"ship $ORDERFLOW_ITEM $ORDERFLOW_KEY\" >> work.log
grep -q '\"address\":\"[A-Z]' \"$ORDERFLOW_INPUT\" || test -e van || { echo \"no, there\" >&2; exit 65; }
echo shipped
```

## Types

```ts
interface Order {
  address: string;
  total: number;
  tags?: string[];
  key?: string | null;
}
```
";

const ITEMS: &str = r#"{"id": "o1", "order": {"address": "Rome", "total": 1}}
{"id": "o2", "order": {"address": "here, \"there\"", "total": 2.50, "tags": ["a", "b,c"]}}
{"id": "007", "order": {"address": "5", "total": 3, "key": "k\u001b"}}
{"id": "o4", "order": {"address": "", "total": 4}}
"#;

fn scene() -> Place {
    let place = Place::new(DOCUMENT);
    place.write("items.jsonl", ITEMS);
    assert_eq!(place.run("--quiet").exit, Some(0));
    place
}

const TABLE: &str = r#"dead_letters[3]{key,step,error,attempts,address,total,tags,input.key}:
  o2,Ship,"exited with 65 (bad input): no, there",1,"here, \"there\"",2.50,"[\"a\",\"b,c\"]",null
  "007",Ship,"exited with 65 (bad input): no, there",1,"5",3,null,"k\u001b"
  o4,Ship,"exited with 65 (bad input): no, there",1,"",4,null,null
"#;

fn keys(place: &Place, what: &str) -> Vec<String> {
    let log = place.read("work.log");
    let lines = log.lines().filter(|line| line.contains(&format!("{what} ")));
    lines.map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn rows_that_stayed_go_on_and_rows_that_changed_begin_anew() {
    let place = scene();
    let told = place.orderflow("show last --dead-letters");
    assert_eq!((told.exit, &*told.out, &*told.err), (Some(0), TABLE, ""));
    let told = place.orderflow("show last --dead-letters -o failed.toon");
    says(&told, 0, "", "3 failed items: written to failed.toon\n");
    assert_eq!(place.read("failed.toon"), TABLE);

    // One is mended, one is left as it is, one is left out.
    let edited = TABLE.replace("\"here, \\\"there\\\"\",2.50", "\"Oslo, \\\"N\\\"\",\"2.75\"");
    let edited: String =
        edited.lines().filter(|line| !line.starts_with("  o4")).map(|line| format!("{line}\n")).collect();
    place.write("edited.toon", &edited.replace("[3]", "[2]").replace("\"2.75\"", "2.75"));
    let told = place.orderflow("retry last --items edited.toon --trust");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let begun = "retrying 2 failed items, 1 of them from the start, with other inputs\n";
    assert!(told.err.starts_with(begun), "{}", told.err);
    assert!(told.err.contains("4 items: 2 succeeded, 2 failed"), "{}", told.err);

    let (paid, shipped) = (keys(&place, "pay o2"), keys(&place, "ship o2"));
    assert!(paid.len() == 2 && paid[0] != paid[1], "another effect has another key: {paid:?}");
    assert!(shipped.len() == 2 && shipped[0] != shipped[1], "{shipped:?}");
    let (paid, shipped) = (keys(&place, "pay 007"), keys(&place, "ship 007"));
    assert!(paid.len() == 1 && shipped.len() == 2 && shipped[0] == shipped[1], "{paid:?} {shipped:?}");
    assert_eq!((keys(&place, "pay o4").len(), keys(&place, "ship o4").len()), (1, 1));
    assert!(place.read("work.log").contains("Oslo,\\\"N\\\"\",\"total\":2.75,\"tags\":[\"a\",\"b,c\"]"));
    let show: Value =
        serde_json::from_str(&place.orderflow("show last --item o2 --format json").out).unwrap();
    assert_eq!(show["inputs"]["order"]["address"], "Oslo, \"N\"");

    // The journal holds the changed inputs: what fails again is printed so, and all of it goes on after a break.
    let left = place.orderflow("show last --dead-letters").out;
    assert!(
        left.contains("dead_letters[2]") && left.contains("  \"007\",Ship") && left.contains("  o4,"),
        "{left}"
    );
    place.write("van", "");
    assert_eq!(place.orderflow("retry last --trust --quiet").exit, Some(0));
    says(
        &place.orderflow("show last --dead-letters"),
        0,
        "dead_letters[0]{key,step,error,attempts,order}:\n",
        "no item of this run failed\n",
    );
    assert_eq!(place.orderflow("show last --session again.toon").exit, Some(0));
    assert_eq!(place.read("again.toon"), place.read("session.toon"));
}

#[test]
fn cells_are_read_as_their_types_want_it() {
    let place = scene();
    let table = "\
dead_letters[3]{input.key,tags,key,address}:
  null,\"[\\\"x\\\"]\",o4,Rome
  12,null,\"007\",5
  null,null,o2,77
";
    place.write("edited.toon", table);
    let told = place.orderflow("retry last --items edited.toon --trust --quiet");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let log = place.read("work.log");
    assert!(log.contains(r#"{"order":{"address":"Rome","total":4,"tags":["x"]}} pay o4"#), "{log}");
    assert!(log.contains(r#"{"order":{"address":"5","total":3,"key":"12"}} pay 007"#), "{log}");
    assert!(log.contains(r#"{"order":{"address":"77","total":2.50}} pay o2"#), "{log}");
}

#[test]
fn all_that_is_wrong_with_an_edited_table_is_told_and_nothing_is_run() {
    let place = scene();
    let log = place.read("work.log");
    let table = "\
dead_letters[5]{key,adress,total,tags}:
  o2,x,many,null
  \"0070\",x,1,null
  o2,x,1,null
  o4,x,4,\"[1, 2]\"
  o1,x,1,null
";
    place.write("edited.toon", table);
    let wrong = "\
edited.toon:1:21: no item brings `adress`; did you mean `address`?
edited.toon:2:8: `total` is not of type Number: found \"many\"
edited.toon:3:3: no item `0070` has failed; did you mean `007`?
edited.toon:4:3: duplicate key `o2`, first used on line 2
edited.toon:5:10: order.tags[0]: expected a string, found a number; order.tags[1]: expected a string, found a number
edited.toon:6:3: the item `o1` has succeeded; take its row out
error: 6 problems in edited.toon; nothing was run
";
    says(&place.orderflow("retry last --items edited.toon"), 3, "", wrong);
    for (table, wrong) in [
        ("dead_letters[1]{step,error}:\n  a,b\n", "edited.toon:1:1: the table has no column `key`\n"),
        (
            "dead_letters[2]{key}:\n  o2\n",
            "edited.toon:1:14: the header declares 2 rows, the table has 1; write [1], or restore what is missing\n",
        ),
        ("nothing: 1\n", "edited.toon:1:1: no table found; orderflow show RUN --dead-letters writes one\n"),
    ] {
        place.write("edited.toon", table);
        let told = place.orderflow("retry last --items edited.toon");
        let last = "error: 1 problem in edited.toon; nothing was run\n";
        says(&told, 3, "", &format!("{wrong}{last}"));
    }
    assert_eq!(place.orderflow("retry last --items gone.toon").exit, Some(74));
    assert_eq!(place.orderflow("retry last --items gone.toon --item o2").exit, Some(2));
    place.write("edited.toon", "dead_letters[0]{key}:\n");
    says(&place.orderflow("retry last --items edited.toon"), 0, "", "no item to retry\n");
    assert_eq!(place.read("work.log"), log);
}

#[test]
fn a_retry_with_other_inputs_that_is_killed_goes_on_with_them() {
    let document = "\
# T

## Pay
name::String, size::Integer → paid::String

```sh run
echo \"pay $IN_NAME $ORDERFLOW_KEY\" >> work.log
echo paid
```

## Ship
name, paid → shipped::String

```sh run
echo \"ship $IN_NAME $ORDERFLOW_KEY\" >> work.log
test \"$IN_NAME\" != bad || exit 65
touch waiting
until test -e go; do sleep 0.02; done
echo shipped
```
";
    let place = Place::new(document);
    place.write("items.csv", "id,name,size\no1,bad,5\n");
    assert_eq!(place.run("--quiet --items items.csv").exit, Some(1));
    let table = place.orderflow("show last --dead-letters").out;
    assert!(table.starts_with("dead_letters[1]{key,step,error,attempts,name,size}:\n  o1,Ship,"), "{table}");
    place.write("edited.toon", &table.replace(",bad,5", ",good,5"));
    let mut runner = place.command("retry last --items edited.toon --trust --quiet").spawn().unwrap();
    place.await_file("waiting");
    runner.kill().unwrap();
    runner.wait().unwrap();
    place.write("go", "");
    assert_eq!(place.orderflow("resume last --trust --quiet").exit, Some(0));
    let (paid, shipped) = (keys(&place, "pay good"), keys(&place, "ship good"));
    assert_eq!((paid.len(), keys(&place, "pay bad").len()), (1, 1));
    assert!(shipped.len() == 2 && shipped[0] == shipped[1], "{shipped:?}");
    assert!(shipped[0] != keys(&place, "ship bad")[0]);
    assert_eq!(place.rows("session.toon").len(), 4);
}

#[test]
fn what_still_stands_is_undone_before_an_item_begins_anew() {
    let step = |heading: &str, ports: &str, program: &str| {
        format!("## {heading}\n{ports}\n\n```sh run\n{program}\n```\n\n")
    };
    let document = [
        "# T\n\n".to_owned(),
        step("Reserve [compensate:: Release]", "name::String → reserved::String", "echo reserved"),
        step("Pay", "reserved → paid::String", "exit 65"),
        step("Release", "name", "test -e open || exit 65"),
    ];
    let place = Place::new(&document.concat());
    place.write("items.csv", "id,name\no1,Ada\n");
    assert_eq!(place.run("--quiet --items items.csv").exit, Some(5));
    let table = place.orderflow("show last --dead-letters").out;
    place.write("edited.toon", &table.replace(",Ada", ",Bo"));
    let wrong = "\
edited.toon:2:[..]: compensation failed for this item: run `orderflow resolve` first, or leave its inputs as they are
error: 1 problem in edited.toon; nothing was run
";
    says(&place.orderflow("retry last --items edited.toon"), 3, "", wrong);
    place.write("open", "");
    place.write("same.toon", &table);
    assert_eq!(
        place.orderflow("retry last --items same.toon --trust --quiet").exit,
        Some(1),
        "it is undone now"
    );
    let told = place.orderflow("retry last --items edited.toon --trust --quiet");
    assert_eq!(told.exit, Some(1), "{}", told.err);
    let rows = place.rows("session.toon");
    let count = |row: &str| rows.iter().filter(|known| known.starts_with(row)).count();
    assert_eq!((count("Reserve o1"), count("Pay o1"), count("Release o1")), (2, 2, 3), "{rows:?}");
    assert_eq!(place.orderflow("resume last").exit, Some(1));
}

#[test]
fn a_row_whose_item_has_succeeded_since_is_told_so() {
    let place = scene();
    place.orderflow("show last --dead-letters -o failed.toon");
    place.write("van", "");
    assert_eq!(place.orderflow("retry last --item o4 --trust --quiet").exit, Some(0));
    let log = place.read("work.log");
    let wrong = "\
failed.toon:4:3: the item `o4` has succeeded; take its row out
error: 1 problem in failed.toon; nothing was run
";
    says(&place.orderflow("retry last --items failed.toon"), 3, "", wrong);
    assert_eq!(place.read("work.log"), log);
}

#[test]
fn a_program_that_was_mended_is_retried_by_the_document_of_now() {
    let folder = tempfile::TempDir::new().unwrap();
    let document = "# T\n\n## A\nn::Integer → a::String\n\n```sh run\necho \"$IN_N\"\n```\n\n## B\na → b::String\n\n```sh run\nexit 65\n```\n";
    let at = folder.path().join("w.md");
    std::fs::write(&at, document).unwrap();
    let run = |args: &[&str]| {
        crate::program::told(crate::program::command(folder.path()).args(args).output().unwrap())
    };
    assert_eq!(run(&["run", "w.md", "--trust", "--quiet", "--input", "n=1"]).exit, Some(1));
    // What has succeeded must be what it was.
    std::fs::write(&at, document.replace("echo \"$IN_N\"", "echo x").replace("exit 65", "echo done"))
        .unwrap();
    let refused = run(&["retry", "last", "--use-current", "--trust", "--quiet"]);
    assert_eq!(refused.exit, Some(6), "{}", refused.err);
    assert!(refused.err.starts_with("w.md:3: A has started for 1 and has changed:"), "{}", refused.err);
    std::fs::write(&at, document.replace("exit 65", "echo done")).unwrap();
    let noted = run(&["retry", "last", "--trust"]);
    assert_eq!(noted.exit, Some(1));
    assert!(noted.err.contains("(retry --use-current takes the new one)"), "{}", noted.err);
    let mended = run(&["retry", "last", "--use-current", "--trust", "--quiet"]);
    assert_eq!((mended.err.as_str(), mended.exit), ("", Some(0)));
    assert!(run(&["show", "last", "--item", "1"]).out.contains("makes b: \"done\""));
}

#[test]
fn an_item_called_run_and_the_steps_for_all_items_are_told_apart() {
    let folder = tempfile::TempDir::new().unwrap();
    let document = "# T\n\n## A\nn::Integer → a::String\n\n```sh run\necho \"$IN_N\"\n```\n\n## Sum [per:: run]\na → sum::String\n\n```sh run\ntest -e ready && echo all || exit 65\n```\n";
    std::fs::write(folder.path().join("w.md"), document).unwrap();
    std::fs::write(folder.path().join("i.jsonl"), "{\"id\": \"run\", \"n\": 1}\n").unwrap();
    let run = |args: &[&str]| {
        crate::program::told(crate::program::command(folder.path()).args(args).output().unwrap())
    };
    assert_eq!(run(&["run", "w.md", "--items", "i.jsonl", "--trust", "--quiet"]).exit, Some(1));
    let item = run(&["show", "last", "--item", "run"]);
    assert!(item.out.starts_with("run: succeeded\n  n: 1\n"), "{}", item.out);
    let note =
        "note: this is the item with the key run; --item :run shows the steps that run once for all items\n";
    assert_eq!(item.err, note);
    let steps = run(&["show", "last", "--item", ":run"]);
    assert!(steps.out.starts_with(":run: failed\n  Sum: "), "{}", steps.out);
    assert_eq!(steps.err, "");
    let refused = run(&["retry", "last", "--item", "run"]);
    assert_eq!(refused.exit, Some(3));
    let help = "help: --item :run names the steps that run once for all items";
    assert!(refused.err.contains(help), "{}", refused.err);
    std::fs::write(folder.path().join("ready"), "").unwrap();
    assert_eq!(run(&["retry", "last", "--item", ":run", "--trust", "--quiet"]).exit, Some(0));
}

/// An item that is over keeps what a program did before it was mended; what an item that runs again has done stands.
#[test]
fn a_program_is_mended_that_has_worked_for_other_items() {
    let document = "# T\n\n## A\nn::Integer → a::Integer\n\n```sh run\necho a >> log\necho $((10 / IN_N))\n```\n\n## B\na → b::Integer\n\n```sh run\necho $((20 / (IN_A - 5)))\n```\n";
    let place = Place::new(document);
    place.write("i.csv", "id,n\nok,1\nzero,0\nlate,2\n");
    assert_eq!(place.run("--items i.csv --quiet").exit, Some(1));
    let mended = document.replace("echo $((10 / IN_N))", "echo $((10 / (IN_N + (IN_N == 0))))");
    place.write("flow.md", &mended);
    // For `late` A has succeeded and B has not: it goes on with what A made.
    let refused = place.orderflow("retry last --use-current --trust --quiet");
    assert_eq!(refused.exit, Some(6), "{}", refused.err);
    assert!(
        refused.err.starts_with("flow.md:3: A has started for late and has changed:\n"),
        "{}",
        refused.err
    );
    assert!(refused.err.contains("orderflow run --items failed.toon --key key\n"), "{}", refused.err);
    // That leads on.
    assert_eq!(place.orderflow("show last --dead-letters -o failed.toon").exit, Some(0));
    let edited = place.read("failed.toon").replace("late,B", "late2,B");
    place.write("failed.toon", &edited);
    let kept = place.orderflow("show last --dead-letters -o failed.toon");
    says(
        &kept,
        74,
        "",
        "error: failed.toon exists already; nothing was written\n  help: name another file, or overwrite it with --force\n",
    );
    assert_eq!(place.read("failed.toon"), edited);
    assert_eq!(place.orderflow("show last --dead-letters -o failed.toon --force").exit, Some(0));
    assert_ne!(place.read("failed.toon"), edited);
    assert_eq!(place.run("--items failed.toon --key key --quiet --tolerate 1").exit, Some(0));

    // With `late` over, the mended program is run for `zero` alone.
    place.write("flow.md", document);
    place.write("i.csv", "id,n\nok,1\nzero,0\n");
    assert_eq!(place.run("--items i.csv --quiet").exit, Some(1));
    place.write("flow.md", &mended.replace("n::Integer", "n::Number"));
    let refused = place.orderflow("retry last --use-current --trust --quiet");
    assert!(
        refused.err.starts_with("flow.md:3: A has started for ok and has changed:\n    takes: n::Integer"),
        "{}",
        refused.err
    );
    place.write("flow.md", &mended);
    place.write("log", "");
    let told = place.orderflow("retry last --use-current --trust --quiet");
    assert_eq!((&*told.err, told.exit), ("", Some(0)));
    assert_eq!(place.read("log"), "a\n");
    assert!(place.orderflow("show last --item ok").out.contains("makes a: 10\n"));
    place.orderflow("show last --session again.toon");
    assert_eq!(place.read("again.toon"), place.read("session.toon"));
    assert_eq!(place.orderflow("resume last").exit, Some(0));
}
