//! `orderflow run` from the command line: what it says, how it ends, and what it leaves, with small documents.

use crate::place::{Place, says};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

pub const GREET: &str = "\
# Greeting
## Say Hello @greeter
name::String -> greeting::String
```sh run
echo \"Hello, $IN_NAME\"
```
";

/// Orders are checked; those with a reason are refused for it.
pub const ORDERS: &str = "\
# Orders
## Check Order @checker
order::Order -> fine::Boolean
```python run
import json, sys
order = json.load(sys.stdin)['order']
if 'why' in order:
    print('looked at', order['id'], file=sys.stderr)
    sys.exit(order['why'])
print('true')
```
";

/// What agents take and make is nobody else's business, whatever files are made with.
#[test]
fn a_runs_folder_is_its_users_alone() {
    let place = Place::new(
        "# T\n## A\no -> a\n```sh run\nscratch=${ORDERFLOW_INPUT%/*}\nstat -c %a \"$scratch\" \"${scratch%/*}\" > \"$PWD/modes\"\n\
         test -e go || sleep 1000\necho 1\n```\n",
    );
    let mut run = place.begin("--input o=1");
    place.until("the step has looked", || {
        place.path("modes").exists() && place.read("modes").lines().count() == 2
    });
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!(place.read("modes"), "700\n700\n");
    let runs = std::fs::read_dir(place.path(".orderflow/runs")).unwrap();
    let home = runs.map(|entry| entry.unwrap().path()).next().unwrap();
    // As where it was carried elsewhere, and in a place where others may look.
    let left =
        std::fs::read_dir(&home).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.starts_with("scratch.")).count(), 1, "it was killed");
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o755)).unwrap();
    place.write("go", "");
    assert_eq!(place.orderflow("resume last --trust").exit, Some(0));
    assert_eq!(place.read("modes"), "700\n755\n");
}

#[test]
fn a_finished_run_shows_its_table_and_its_figures() {
    let place = Place::new(GREET);
    let out = "\
SayHello @greeter
item  input  output      status[..]time
──────────────────────────────────[..]
1     Ada    Hello, Ada  success  [..]s

results; all inputs and outputs: orderflow show [..] --item 1
  greeting: Hello, Ada
";
    says(
        &place.run("--input name=Ada"),
        0,
        out,
        "1 item: 1 succeeded\ntrace written to session.toon\nrun [..]: orderflow show [..]\n",
    );
    assert_eq!(place.rows("session.toon"), ["SayHello 1 #1 success"]);
    let all = place.run("--input name=Ada --tables").out;
    assert!(
        all.contains("\nitems          1: 1 succeeded\n") && all.contains("critical path  SayHello\n"),
        "{all}"
    );
    assert_eq!(place.files(), [".orderflow", "flow.md", "session.toon"]);
    let run = std::fs::read_dir(place.path(".orderflow/runs")).unwrap().next().unwrap().unwrap().path();
    let mut left: Vec<_> = std::fs::read_dir(&run)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(
        left,
        ["ended", "journal.db", "lock", "session.toon"],
        "nothing else is left of a run without files"
    );

    let quiet = place.run("--input name=Ada --quiet --format json --session other.toon");
    assert_eq!((quiet.exit, quiet.err.as_str()), (Some(0), ""));
    assert!(quiet.out.starts_with("{\n  \"run\": {"), "{}", quiet.out);
    assert_eq!(place.rows("other.toon"), ["SayHello 1 #1 success"]);
}

#[test]
fn programs_without_a_grant_are_listed_and_nothing_runs() {
    let place = Place::new(
        "# T\n## A\no -> a\n```sh run\ntouch ran\necho \"\u{1b}[2J\"\n```\n## B\na -> b\n```python run\nprint(1)\n```\n",
    );
    let err = "\
programs in this document want to run:
  flow.md:2: A (sh)
    touch ran
    echo \"\u{fffd}[2J\"
  flow.md:8: B (python)
    print(1)
error: programs in the document have no grant; nothing was run
  help: check them, then run again with --trust, grant them with orderflow trust flow.md, or set fences = true in orderflow.toml
";
    says(&place.orderflow("run flow.md --input o=1"), 4, "", err);
    assert_eq!(place.files(), ["flow.md"]);

    place.write("orderflow.toml", "fences = true\n");
    assert_eq!(place.orderflow("run flow.md --input o=1").exit, Some(0));
    assert!(place.files().contains(&"ran".to_owned()));
}

#[test]
fn a_yes_at_the_terminal_is_a_grant() {
    let place = Place::new(GREET);
    let ask = |answer: &str| place.at_terminal("run flow.md --input name=Ada", answer);
    let (text, exit) = ask("n\n");
    assert_eq!(exit, Some(4), "{text}");
    assert!(text.contains("run them? [y]es, [a]lways, [N]o"), "{text}");
    let (text, exit) = ask("y\n");
    assert_eq!(exit, Some(0), "{text}");
    assert!(text.contains("Hello, Ada"), "{text}");
}

#[test]
fn everything_that_is_missing_is_told_before_anything_runs() {
    let document = "# T\n## A @payer\norder::Order -> a\n## B @payer\na -> b\n## C\nb -> c\n```sh run\ntouch ran\n```\n## D\nc -> d\n```cobol run\n1\n```\n";
    let place = Place::new(document);
    place.write("orderflow.toml", "[agents.pay]\ncommand = [\"./pay.sh\"]\n");
    place.write("orders.jsonl", "{\"id\":1}\n{\"id\":\n7\n{\"id\":1}\n");
    let told = place.run("--items orders.jsonl");
    assert_eq!((told.exit, told.out.as_str()), (Some(3), ""), "{}", told.err);
    for part in [
        "flow.md:2:",
        "flow.md:4:",
        "flow.md:13:4",
        "error: not every step can be done; nothing was run\n",
        "orders.jsonl:2:6: invalid JSON: it ends in the middle of a value\n",
        "orders.jsonl:4:1: duplicate key `1`, first used on line 1\n",
        "error: 2 problems in orders.jsonl; 0 of 4 items started\n",
    ] {
        assert!(told.err.contains(part), "{part} in\n{}", told.err);
    }
    assert_eq!(place.files(), ["flow.md", "orderflow.toml", "orders.jsonl"]);
}

#[test]
fn inputs_come_as_text_as_json_and_from_files() {
    let document =
        "# T\n## A\nname::String, order::JSON, count::Integer -> told::String\n```sh run\ncat\n```\n";
    let place = Place::new(document);
    place.write("order.json", "{\"id\": 7}\n");
    let told = place.run("--input name=5 --input order=@order.json --input count=2 --quiet");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert!(told.out.contains(r#"{"name":"5","order":{"id":7},"count":2}"#), "{}", told.out);

    for (args, exit, err) in [
        ("--input name", 2, "error: --input name: write NAME=VALUE\n"),
        (
            "--input nam=x",
            3,
            "error: the workflow has no input `nam`; nothing was run\n  help: did you mean `name`?\n",
        ),
        ("--input count=two", 3, "error: --input count: expected Integer, found `two`; nothing was run\n"),
        ("--input count={", 3, "error: --input count: invalid JSON: [..]; nothing was run\n"),
        ("--input count=2.5", 3, "error: --input count: expected Integer, found [..]; nothing was run\n"),
        (
            "--input order=@none",
            74,
            "error: --input order: cannot read none: No such file or directory (os error 2); nothing was run\n  \
             help: for the text @none, write --input order=@@none\n",
        ),
        (
            "--input name=x",
            3,
            "error: the workflow has no value for its input `order`, `count`; nothing was run\n  \
             help: give --items FILE, or --input NAME=VALUE for each input\n",
        ),
    ] {
        says(&place.run(args), exit, "", err);
    }
    assert_eq!(place.files(), [".orderflow", "flow.md", "order.json", "session.toon"]);
}

#[test]
fn items_have_the_key_that_is_asked_for() {
    let place =
        Place::new("---\nitems: orders.json\n---\n# T\n## A\norder\n```sh run\ncat > /dev/null\n```\n");
    place.write("orders.json", r#"[{"id": "a", "nr": 17}, {"id": "b", "nr": 4}]"#);
    assert_eq!(place.run("").exit, Some(0));
    assert_eq!(place.rows("session.toon"), ["A a #1 success", "A b #1 success"]);
    assert_eq!(place.run("--key nr").exit, Some(0));
    assert_eq!(place.rows("session.toon"), ["A 17 #1 success", "A 4 #1 success"]);
    let told = place.run("--key no");
    assert_eq!(told.exit, Some(3));
    assert!(told.err.contains("orders.json:1:1: missing `no`, the item's key\n"), "{}", told.err);
}

#[test]
fn agents_are_found_above_the_document_in_the_repository() {
    let place = Place::new("");
    for folder in [".git", "flows", "agents"] {
        std::fs::create_dir(place.path(folder)).unwrap();
    }
    place.write("flows/flow.md", "# T\n## A @pay\norder -> where::String\n");
    place.write("agents/pay.sh", "#!/bin/sh\npwd\n");
    place.write("orderflow.toml", "[agents.pay]\ncommand = [\"agents/pay.sh\"]\n");
    let refused = place.orderflow("run flows/flow.md --input order=1");
    assert_eq!(refused.exit, Some(3), "a file that may not be executed is no program: {}", refused.err);
    assert!(refused.err.contains("agents/pay.sh"), "{}", refused.err);

    std::fs::set_permissions(place.path("agents/pay.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    let told = place.orderflow("run flows/flow.md --input order=1 --format json");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let folder = std::fs::canonicalize(place.folder()).unwrap();
    let label = folder.file_name().unwrap().to_str().unwrap();
    assert!(place.read("session.toon").contains(label), "it works in the folder of its orderflow.toml");
}

#[test]
fn programs_get_the_variables_that_are_named_and_no_others() {
    let place = Place::new(
        "---\nenv: [SHOP_DB]\n---\n# T\n## A\no -> told::String\n```sh run\necho \"$SHOP_DB,$TOKEN,$HOME\"\n```\n",
    );
    let run = place
        .command("run flow.md --trust --input o=1 --quiet")
        .envs([("SHOP_DB", "s.db"), ("TOKEN", "t"), ("HOME", "/h")])
        .output();
    let out = String::from_utf8(run.unwrap().stdout).unwrap();
    assert!(out.contains("s.db,,/h"), "{out}");
}

#[test]
fn an_answer_with_too_many_columns_does_not_fit() {
    let place = Place::new(
        "# T\n## A\norder -> out\n```python run\nimport json\nprint(json.dumps({'out': 1} | {f'c{n}': n for n in range(300)}))\n```\n",
    );
    assert_eq!(place.run("--input order=1").exit, Some(1));
    let error = "\"c256\" is one column too many: a step has at most 256 over all its items";
    assert_eq!(place.rows("session.toon"), [format!("A 1 #1 failed ({error})")]);
}

#[test]
fn a_closed_output_stops_no_run() {
    let place = Place::new(
        "# T\n## A\no -> a\n```sh run\n: > ready\nuntil test -e go; do sleep 0.01; done\necho 1\n```\n",
    );
    let mut child = place.begin("--input o=1");
    place.await_file("ready");
    drop(child.stdout.take());
    drop(child.stderr.take());
    place.write("go", "");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(place.rows("session.toon"), ["A 1 #1 success"]);
}

/// As many programs as there are CPUs, and two more, run at once, unless somebody names a number. The first ones wait
/// until so many are there.
#[test]
fn programs_run_by_the_cpus() {
    let usual = std::thread::available_parallelism().unwrap().get() + 2;
    let agents = "[agents.many]\ncommand = [\"sh\", \"many.sh\"]\nconcurrency = 9\n";
    let fence = |most: usize| {
        format!(
            "mkdir -p here ever; touch here/$ORDERFLOW_ITEM ever/$ORDERFLOW_ITEM\nfor _ in $(seq 3000); do\n\
             [ $(ls ever | wc -l) -ge {most} ] && ls here | wc -l >> seen && rm here/$ORDERFLOW_ITEM && exit\n\
             sleep 0.01\ndone\nexit 1"
        )
    };
    for (front, agent, args, most) in [
        ("", "", "", usual),
        ("", "", " --jobs 1", 1),
        ("jobs: 7\n", "", "", 7),
        ("jobs: 7\n", " @many", " -j 8", 8),
        ("", " @many", "", 9),
    ] {
        let program = fence(most);
        let place =
            Place::new(&format!("---\n{front}---\n# T\n## A{agent}\nid -> a?\n```sh run\n{program}\n```\n"));
        place.write("orderflow.toml", agents);
        place.write("many.sh", &program);
        let items: String = (0..3 * most).map(|id| format!("{{\"id\": {id}}}\n")).collect();
        place.write("items.jsonl", &items);
        let ran = place.orderflow(&format!("run flow.md --trust --items items.jsonl --quiet{args}"));
        assert_eq!(ran.exit, Some(0), "{}", ran.err);
        let seen = place.read("seen").lines().map(|line| line.trim().parse::<usize>().unwrap()).max();
        assert_eq!(seen, Some(most), "{front:?} {agent:?} {args:?}");
    }
}

#[test]
fn a_few_open_files_are_enough() {
    let place = Place::new("# T\n## A\no -> a\n```sh run\nsleep 0.02; echo 1\n```\n");
    place.write("items.jsonl", &"{}\n".repeat(60));
    let script = "ulimit -n 64; exec \"$0\" run flow.md --trust --items items.jsonl --jobs 100";
    let output = Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_orderflow")])
        .current_dir(place.folder())
        .output();
    let output = output.unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{err}");
    let err = err.split_once('\n').unwrap();
    assert!(
        err.0.starts_with("at most ") && err.0.ends_with(", not 100: only 64 files may be open (ulimit -n)"),
        "{}",
        err.0
    );
    assert!(err.1.starts_with("60 items: 60 succeeded\ntrace written to session.toon\nrun "), "{}", err.1);
}

#[test]
fn items_that_change_during_the_run_end_it() {
    for (change, said) in [
        ("echo '{}' >> items.jsonl", "error: there are more items than when they were checked\n"),
        (
            "head -n 40 items.jsonl > kept; cat kept > items.jsonl",
            "error: 20 items are gone since they were checked\n",
        ),
        (
            "echo oops > items.jsonl",
            "error: items.jsonl:[..]: invalid JSON: [..]; the file has changed since it was checked\n",
        ),
    ] {
        let place = Place::new(&format!(
            "# T\n## A\no -> a\n```sh run\ntest -e changed || {{ {change}; : > changed; }}\necho 1\n```\n"
        ));
        // More than is read ahead at once.
        let filling = "x".repeat(1000);
        let lines: String =
            (0..60).map(|id| format!("{{\"id\":{id},\"filling\":\"{filling}\"}}\n")).collect();
        place.write("items.jsonl", &lines);
        let told = place.run("--items items.jsonl --jobs 1");
        assert_eq!(told.exit, Some(6), "{}", told.err);
        let told = told.err.lines().find(|line| line.starts_with("error: ")).unwrap();
        snapbox::Assert::new().eq(format!("{told}\n"), said);
        assert!(place.rows("session.toon").iter().any(|row| row.ends_with("success")));
    }
}

#[test]
fn a_trace_that_cannot_be_written_is_told_before_anything_runs() {
    let place = Place::new("# T\n## A\no -> a\n```sh run\ntouch ran\n```\n");
    let told = place.run("--input o=1 --session missing/session.toon");
    let help = "help: name a file in a folder that you can write to: --session FILE";
    says(
        &told,
        2,
        "",
        &format!(
            "error: cannot write the trace to `missing/session.toon`: [..]; nothing was run\n  {help}\n"
        ),
    );
    let long = "x".repeat(300);
    std::fs::create_dir(place.path("folder")).unwrap();
    std::os::unix::net::UnixListener::bind(place.path("socket")).unwrap();
    for bad in ["folder", "folder/", "new/", "flow.md/x", "socket", "/proc/x", "..", "missing/..", &long] {
        for replay in ["", " --replay=session.toon"] {
            let told = place
                .run(&format!("--session {bad}{}", if replay.is_empty() { " --input o=1" } else { replay }));
            assert_eq!(told.exit, Some(2), "{bad}: {}", told.err);
            assert!(told.err.contains("; nothing was run\n"), "{bad}: {}", told.err);
            assert!(told.err.ends_with(&format!("{help}\n")), "{bad}: {}", told.err);
        }
    }
    assert!(!place.path("ran").exists());
    assert_eq!(place.files(), ["flow.md", "folder", "socket"]);
}
