//! Steps that undo others: what `validate` and `graph` say of them, and what `run` does with them.

use crate::place::Place;

/// Reserve, Pay, Ship; each keeps what it is asked for in a file, and the item's key says what goes wrong.
const SHOP: &str = "\
# Shop

## Reserve [compensate:: Release]
order -> reservation::String

```sh run
echo \"reserve $ORDERFLOW_ITEM $ORDERFLOW_KEY\" >> log
echo \"r-$ORDERFLOW_ITEM\"
```

## Pay [compensate:: Refund]
order, reservation -> receipt::String

```sh run
echo \"pay $ORDERFLOW_ITEM $ORDERFLOW_KEY\" >> log
case \"$ORDERFLOW_ITEM\" in
    declined) echo '{\"error\": \"card declined\"}' ;;
    lost) exit 3 ;;
    *) echo \"p-$ORDERFLOW_ITEM\" ;;
esac
```

## Ship
receipt -> label::String

```sh run
[ \"$ORDERFLOW_ITEM\" = good ] || [ -e open ] || { echo '{\"error\": \"no carrier\"}'; exit; }
echo \"ship $ORDERFLOW_ITEM\" >> log
echo \"l-$ORDERFLOW_ITEM\"
```

## Compensations

### Release
reservation -> released::String

```sh run
echo \"release $ORDERFLOW_ITEM $ORDERFLOW_FORWARD_KEY $IN_RESERVATION\" >> log
echo gone
```

### Refund [retry:: 1 fixed 10ms]

```sh run
echo \"refund $ORDERFLOW_ITEM $ORDERFLOW_FORWARD_KEY $(cat)\" >> log
[ \"$ORDERFLOW_ITEM\" != stuck ] || [ -e open ] || exit 3
```
";

fn shop(keys: &[&str]) -> Place {
    let place = Place::new(SHOP);
    place.write("items.csv", &format!("id\n{}\n", keys.join("\n")));
    place
}

/// What was asked for an item: the words of the log, keys by the step that they were first seen at.
fn asked(place: &Place, item: &str) -> Vec<String> {
    let mut keys: std::collections::HashMap<String, String> = std::collections::HashMap::new();
    let log = place.read("log");
    let lines = log.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let own = lines.filter(|words| words[1] == item);
    own.map(|words| {
        let Some(key) = words.get(2) else { return words[0].to_owned() };
        let number = keys.len();
        let of = keys.entry((*key).to_owned()).or_insert_with(|| format!("{}{number}", words[0])).clone();
        let rest = words[3..].join(" ");
        format!("{} {of} {rest}", words[0]).trim_end().to_owned()
    })
    .collect()
}

/// The rows of an item: phase and status, in the order of their start.
fn rows(place: &Place, item: &str) -> Vec<String> {
    let session = place.read("session.toon");
    let rows = session.lines().filter(|line| line.starts_with("  ") && line.contains(&format!(",{item},")));
    let mut rows: Vec<(u64, String)> = rows
        .map(|line| {
            let cells: Vec<&str> = line.trim().split(',').collect();
            (cells[10].parse().unwrap(), format!("{} {}", cells[0], cells[6]))
        })
        .collect();
    rows.sort();
    rows.into_iter().map(|(_, row)| row).collect()
}

#[test]
fn what_failed_items_did_is_undone_in_reverse() {
    let place = shop(&["good", "declined", "lost", "late", "stuck"]);
    let told = place.orderflow("run flow.md --trust --items items.csv");
    assert_eq!(told.exit, Some(5), "{told:?}");
    assert!(
        told.err.contains("5 items: 1 succeeded, 3 compensated, 1 with a failed compensation, more than"),
        "{}",
        told.err
    );
    assert!(
        told.err.contains("stuck: Ship: no carrier\n    not compensated: Refund: exited with 3"),
        "{}",
        told.err
    );
    assert_eq!(asked(&place, "good"), ["reserve reserve0", "pay pay1", "ship"]);
    assert_eq!(
        asked(&place, "declined"),
        ["reserve reserve0", "pay pay1", "release reserve0 r-declined"],
        "what certainly had no effect is not undone"
    );
    let lost = r#"refund pay1 {"order":{"id":"lost"},"reservation":"r-lost","receipt":null}"#;
    assert_eq!(asked(&place, "lost"), ["reserve reserve0", "pay pay1", lost, "release reserve0 r-lost"]);
    let late = r#"refund pay1 {"order":{"id":"late"},"reservation":"r-late","receipt":"p-late"}"#;
    assert_eq!(asked(&place, "late"), ["reserve reserve0", "pay pay1", late, "release reserve0 r-late"]);
    assert_eq!(
        rows(&place, "stuck"),
        [
            "Reserve success",
            "Pay success",
            "Ship failed",
            "Refund compensation_failed",
            "Release compensated"
        ]
    );
    let stats = place.orderflow("stats session.toon --format json");
    let stats: serde_json::Value = serde_json::from_str(&stats.out).unwrap();
    let states = serde_json::json!({"succeeded": 1, "compensated": 3, "compensation_failed": 1});
    assert_eq!(stats["run"]["items_by_status"], states);
    let csv = place.orderflow("stats session.toon --format csv").out;
    let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    let of = |phase: &str| cells(csv.lines().find(|line| line.starts_with(phase)).unwrap());
    assert_eq!(cells(csv.lines().next().unwrap())[13..15], ["compensated", "compensation_failed"], "{csv}");
    assert_eq!(
        (&of("Release")[13..15], &of("Refund")[13..15]),
        (&["4", "0"].map(str::to_owned)[..], &["2", "1"].map(str::to_owned)[..]),
        "{csv}"
    );
    let table = place.orderflow("stats session.toon").out;
    assert!(
        table.starts_with("step     count  failed  compensated  compensation_failed  success "),
        "{table}"
    );
    let rate = |phase: &str| {
        let of = |group: &&serde_json::Value| group["by"]["phase"] == phase;
        stats["groups"].as_array().unwrap().iter().find(of).unwrap()["success_rate"].as_f64().unwrap()
    };
    assert_eq!((rate("Release"), (rate("Refund") * 3.0).round()), (1.0, 2.0));
}

/// A retry of what could not be undone undoes it; the next one runs the item anew, under new keys.
#[test]
fn a_retry_first_undoes_and_then_begins_anew() {
    let place = shop(&["stuck"]);
    assert_eq!(place.orderflow("run flow.md --trust --items items.csv").exit, Some(5));
    place.write("open", "");
    let told = place.orderflow("retry last --trust");
    assert_eq!(told.exit, Some(1), "{told:?}");
    assert!(told.err.contains("1 item: 0 succeeded, 1 compensated"), "{}", told.err);
    let told = place.orderflow("retry last --trust");
    assert_eq!(told.exit, Some(0), "{told:?}");
    let asked = asked(&place, "stuck");
    let words: Vec<&str> = asked.iter().map(|line| line.split(" {").next().unwrap()).collect();
    assert_eq!(
        words,
        [
            "reserve reserve0",
            "pay pay1",
            "refund pay1",
            "refund pay1",
            "release reserve0 r-stuck",
            "refund pay1",
            "reserve reserve2",
            "pay pay3",
            "ship"
        ]
    );
    let told = place.orderflow("runs");
    assert!(told.out.contains(" done ") && told.out.contains("1 succeeded"), "{}", told.out);
}

/// A runner that is killed saw no end of what it had begun: whatever is answered the second time, it is undone.
#[test]
fn what_nobody_saw_the_end_of_is_undone() {
    let place = Place::new(
        "# T\n\n## Charge [compensate:: Refund]\no -> receipt::String\n\n```sh run\necho charge >> log\n\
         test ! -e again || exit 75\ntouch again\nwhile test -e log; do sleep 0.02; done\n```\n\n\
         ## Refund\n\n```sh run\necho refund >> log\n```\n",
    );
    let mut runner = place.begin("--input o=1 --quiet");
    place.await_file("again");
    runner.kill().unwrap();
    runner.wait().unwrap();
    let told = place.orderflow("resume last --trust");
    assert_eq!(told.exit, Some(1), "{told:?}");
    assert_eq!(place.read("log"), "charge\ncharge\nrefund\n");
    assert!(told.err.contains("1 compensated"), "{}", told.err);
}

/// What precedes a step that cannot be undone stays done, with all that it made, when the item runs again.
#[test]
fn what_stays_done_keeps_what_it_made() {
    let place = Place::new(
        "# T\n\n## Choose\no -> size::String\n\n```sh run\necho big\n```\n\n\
         If size == \"big\" -> Big\nOtherwise -> Small\n\n\
         ## Big [irreversible]\nsize -> receipt::String\n\n```sh run\necho big >> log; echo R\n```\n\n\
         ## Small\nsize -> receipt::String\n\n```sh run\necho small >> log; echo r\n```\n\n\
         ## Pack [compensate:: Unpack]\nreceipt -> parcel::String\n\n```sh run\necho \"pack $IN_RECEIPT\" >> log; echo P\n```\n\n\
         ## Ship\nparcel -> label::String\n\n```sh run\ntest -e open || exit 65\necho ship >> log; echo L\n```\n\n\
         ## Unpack\nparcel -> unpacked::String\n\n```sh run\necho unpack >> log; echo U\n```\n",
    );
    assert_eq!(place.run("--input o=1").exit, Some(1));
    place.write("open", "");
    let told = place.orderflow("retry last --trust");
    assert_eq!(told.exit, Some(0), "{told:?}");
    assert_eq!(place.read("log"), "big\npack R\nunpack\npack R\nship\n");
}

/// A run that ended with something standing has ended: it is not given up, and what stands can still be undone.
#[test]
fn a_run_that_ended_with_something_standing_is_over() {
    let place = shop(&["stuck"]);
    assert_eq!(place.orderflow("run flow.md --trust --items items.csv").exit, Some(5));
    let told = place.orderflow("resume last --trust");
    assert!(told.exit == Some(5) && told.err.contains("has ended"), "{told:?}");
    let told = place.orderflow("cancel last");
    assert!(told.err.contains("has ended") && told.err.contains("orderflow retry"), "{told:?}");
    place.write("open", "");
    assert_eq!(place.orderflow("retry last --trust").exit, Some(1));
    assert!(place.orderflow("runs").out.contains("1 compensated"));
}

/// Other inputs would have an item done twice of which something stands.
#[test]
fn what_still_stands_is_not_begun_anew_with_other_inputs() {
    let place = Place::new(SHOP);
    place.write("items.csv", "id,price\nstuck,7531\n");
    assert_eq!(place.orderflow("run flow.md --trust --items items.csv").exit, Some(5));
    let table = place.orderflow("show last --dead-letters").out;
    place.write("letters.toon", &table.replace("7531", "7532"));
    let told = place.orderflow("retry last --trust --items letters.toon");
    assert!(
        told.exit == Some(3) && told.err.contains("compensation failed for this item"),
        "{told:?} {table}"
    );
    place.write("open", "");
    place.write("letters.toon", &table);
    assert_eq!(place.orderflow("retry last --trust --items letters.toon").exit, Some(1));
    place.write("letters.toon", &table.replace("7531", "7532"));
    let told = place.orderflow("retry last --trust --items letters.toon");
    assert_eq!(told.exit, Some(0), "{told:?}");
}

/// One failure stops the run when it comes, not when it is undone.
#[test]
fn a_failure_stops_the_run_before_it_is_undone() {
    let document = SHOP
        .replace("# Shop\n", "---\non-item-error: stop\njobs: 1\n---\n# Shop\n")
        .replace("[retry:: 1 fixed 10ms]", "[retry:: 1 fixed 300ms]");
    let place = Place::new(&document);
    let keys: String = (0..20).map(|number| format!("good{number}\n")).collect();
    place.write("items.csv", &format!("id\nstuck\n{keys}"));
    let told = place.orderflow("run flow.md --trust --items items.csv");
    assert_eq!(told.exit, Some(5), "{told:?}");
    assert!(!place.read("log").contains("ship"), "{}", place.read("log"));
}

/// Without a journal nothing goes on: what an interruption leaves is told.
#[test]
fn what_an_interruption_leaves_without_a_journal_is_told() {
    let document = SHOP.replace("case \"$ORDERFLOW_ITEM\" in\n", "touch paying; sleep 600\ncase x in\n");
    let place = Place::new(&document);
    place.write("items.csv", "id\nslow\n");
    let mut command = place.command("run flow.md --trust --items items.csv --no-journal");
    let child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn();
    let child = child.unwrap();
    place.await_file("paying");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(143), "{err}");
    assert!(err.contains("slow: not compensated: Reserve: interrupted before it was compensated"), "{err}");
}

/// A session file that is another's by now is left alone.
#[test]
fn what_is_resolved_by_hand_changes_no_file_but_its_own() {
    let place = shop(&["stuck"]);
    assert_eq!(place.orderflow("run flow.md --trust --items items.csv --session own.toon").exit, Some(5));
    let changed = place.read("own.toon").replacen("stuck", "stack", 1);
    place.write("own.toon", &changed);
    let told = place.orderflow("resolve last --item stuck --note refunded");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let left = "session.toon; the session file is gone, or not as the run has left it, and stays so\n";
    assert!(told.err.ends_with(left), "{}", told.err);
    assert_eq!(place.read("own.toon"), changed);
    assert!(!place.path("session.toon").exists());
    let runs = std::fs::read_dir(place.path(".orderflow/runs")).unwrap();
    let own = runs.map(|entry| entry.unwrap().path().join("session.toon")).next().unwrap();
    assert!(
        std::fs::read_to_string(own).unwrap().contains("    compensated: 1\n"),
        "its own is another matter"
    );
}

/// What somebody has undone by hand counts as undone, and runs anew when it is retried.
#[test]
fn what_could_not_be_undone_can_be_resolved_by_hand() {
    let place = shop(&["good", "late", "stuck"]);
    assert_eq!(place.orderflow("run flow.md --trust --items items.csv").exit, Some(5));
    let resolve = |args: &[&str]| {
        let told = place.command("resolve last").args(args).output().unwrap();
        (told.status.code(), String::from_utf8(told.stderr).unwrap())
    };
    let (exit, err) = resolve(&["--item", "late", "--note", "x"]);
    assert!(exit == Some(3) && err.contains("item `late` has no failed compensation"), "{err}");
    let (exit, err) = resolve(&["--item", "stack", "--note", "x"]);
    assert!(exit == Some(3) && err.contains("did you mean `stuck`?"), "{err}");
    assert_eq!(resolve(&["--item", "stuck", "--note", " "]).0, Some(2));
    let (exit, err) = resolve(&["--item", "stuck", "--note", "refunded, ticket 4711"]);
    assert_eq!((exit, err.as_str()), (Some(0), "1 item resolved\ntrace written to session.toon\n"));
    let followed = place.read("session.toon");
    assert!(followed.contains("    compensated: 2\n"), "{followed}");
    assert_eq!(resolve(&["--item", "stuck", "--note", "again"]).0, Some(3));
    assert_eq!(place.orderflow("resume last").exit, Some(1), "nothing stands any more");

    let told = place.orderflow("show last --item stuck");
    assert!(told.out.starts_with("stuck: compensated\n") && told.out.contains("ticket 4711"), "{}", told.out);
    let told = place.orderflow("runs --format json");
    let runs: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    let counts = &runs[0]["counts"];
    assert_eq!((&counts["compensated"], &counts["compensation_failed"]), (&2.into(), &0.into()), "{runs}");
    place.orderflow("show last --session again.toon");
    assert_eq!(place.read("again.toon"), followed);

    place.write("open", "");
    let told = place.orderflow("retry last --trust");
    assert_eq!(told.exit, Some(1), "what was resolved runs again only by name: {told:?}");
    assert!(told.err.contains("2 succeeded, 1 compensated"), "{}", told.err);
    let told = place.orderflow("retry last --trust --item stuck");
    assert_eq!(told.exit, Some(0), "{told:?}");
    let asked = asked(&place, "stuck");
    assert_eq!(asked[asked.len() - 3..], ["reserve reserve2", "pay pay3", "ship"]);
}

/// Given up, a run undoes what its items did.
#[test]
fn a_cancelled_run_is_undone() {
    let document = SHOP.replace("case \"$ORDERFLOW_ITEM\" in\n", "touch paying; sleep 600\ncase x in\n");
    let place = Place::new(&document);
    place.write("items.csv", "id\nslow\n");
    let mut run = place.command("run flow.md --trust --items items.csv").spawn().unwrap();
    place.await_file("paying");
    assert_eq!(place.orderflow("cancel last").exit, Some(0));
    assert_eq!(run.wait().unwrap().code(), Some(1));
    let asked = asked(&place, "slow");
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert!(asked[2].starts_with("refund pay1") && asked[3].starts_with("release reserve0"), "{asked:?}");
    assert_eq!(
        rows(&place, "slow"),
        ["Reserve success", "Pay cancelled", "Refund compensated", "Release compensated"]
    );
}

/// A document that says nothing of undoing is held to it as well: with `--strict`, nothing is run.
#[test]
fn strict_runs_nothing_that_is_doubtful() {
    let place = Place::new(
        "# Orders\n\n## Guess @a ?\norder::String -> guess::String\n\n```sh run\necho maybe\n```\n\n\
         ## Act @b !\nguess -> act::String\n\n```sh run\necho done\n```\n",
    );
    let strict = place.orderflow("run flow.md --strict --trust --input order=1");
    assert_eq!((strict.exit, strict.out.as_str()), (Some(3), ""));
    assert!(strict.err.contains("`Act` is critical, yet needs `guess` from `Guess`"), "{}", strict.err);
    assert_eq!(place.orderflow("run flow.md --trust --input order=1").exit, Some(0));
}

/// A compensation gets null for what its step did without, and says that it can take that.
#[test]
fn what_may_be_absent_is_told_of_a_compensation_too() {
    let document = |undo: &str| {
        format!(
            "# T\n\n## Pay @bank\norder, coupon? → receipt, voucher?\n\n[compensate:: Refund]\n\n## Refund @bank\n{undo} → refund\n"
        )
    };
    let place = Place::new(&document("receipt, voucher, coupon"));
    let told = place.orderflow("validate --strict flow.md");
    assert_eq!(told.exit, Some(3), "{}", told.out);
    let warning =
        "warning[compensation-may-lack]: `voucher`, `coupon` may be absent, and `Refund` gets null then\n";
    assert!(told.out.contains(warning), "{}", told.out);
    assert!(told.out.ends_with("flow.md: 1 warning\n"), "{}", told.out);
    let place = Place::new(&document("receipt, voucher?, coupon?"));
    assert_eq!(place.orderflow("validate --strict flow.md").exit, Some(0));
}

/// What undoes a step that ran for each element is called for each, and may name it.
#[test]
fn what_is_undone_for_each_element_names_it() {
    let place = Place::new(
        "# T\n\n## Grant [each:: right in rights] [compensate:: Revoke]\nrights::String[], right → granted::String\n\n\
         ```sh run\necho \"granted $IN_RIGHT\"\n```\n\n\
         ## Greet\ngranted → greeting\n\n```sh run\nexit 65\n```\n\n\
         ## Revoke\nright, granted → revoked::String\n\n\
         ```sh run\necho \"$IN_RIGHT, was $IN_GRANTED\" >> revoked\necho done\n```\n",
    );
    assert_eq!(place.orderflow("validate --strict flow.md").exit, Some(0));
    place.write("items.jsonl", "{\"id\": \"a\", \"rights\": [\"read\", \"write\"]}\n");
    assert_eq!(place.orderflow("run flow.md --trust --quiet --items items.jsonl").exit, Some(1));
    let revoked = place.read("revoked");
    let mut revoked: Vec<&str> = revoked.lines().collect();
    revoked.sort_unstable();
    assert_eq!(revoked, ["read, was granted read", "write, was granted write"]);
}

/// What fails once for all items fails none of them.
#[test]
fn a_step_for_all_items_puts_no_effect_of_an_item_in_doubt() {
    let document = |field: &str| {
        format!(
            "# T\n\n## Badge @desk [compensate:: Take Back]\nname → badge::String\n\n## Open @door\nbadge → opened::String\n\n\
             ## Report @desk{field}\nopened → report::String\n\n## Take Back @desk\nbadge → taken::String\n"
        )
    };
    let place = Place::new(&document(" [per:: run]"));
    assert_eq!(place.orderflow("validate --strict flow.md").exit, Some(0));
    let place = Place::new(&document(""));
    assert_eq!(place.orderflow("validate --strict flow.md").exit, Some(3));
}

/// What a step for all items did, and could not be undone, is tried again also where the run was given up.
#[test]
fn what_steps_for_all_items_did_is_undone_by_a_retry() {
    let place = Place::new(
        "\
# T

## A
n::Integer → a::Integer

```sh run
echo 1
```

## Sum [per:: run] [compensate:: Unsum]
a → s::Integer

```sh run
echo 5
```

## Mail
s → m::Integer

```sh run
: > mailing
exec sleep 600
```

## Unsum [retry:: 1 fixed 1ms]
s → u::Integer

```sh run
test -e ok || exit 65
echo undone >> ok
echo 1
```
",
    );
    let mut run = place.command("run flow.md --trust --quiet --input n=1").spawn().unwrap();
    place.await_file("mailing");
    assert_eq!(place.orderflow("cancel last").exit, Some(0));
    assert_eq!(run.wait().unwrap().code(), Some(5));
    let told = place.orderflow("resolve last --item run --note done");
    assert_eq!(told.exit, Some(2));
    assert!(told.err.contains("retry their compensation: orderflow retry RUN --item run"), "{}", told.err);

    place.write("ok", "");
    let told = place.orderflow("retry last --trust --item run");
    assert!(told.exit == Some(1) && place.read("ok") == "undone\n", "{told:?}");
    assert!(place.orderflow("show last").out.contains("run   compensated "));
    let told = place.orderflow("retry last --trust");
    assert!(told.exit == Some(2) && told.err.contains("was cancelled and does not continue"), "{told:?}");
}
