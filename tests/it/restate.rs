//! Runs on a real Restate server: the same documents here and there give the same events, but for their times; and nothing
//! is lost when the server, a worker or the follower dies.

use crate::deploy::Host;
use crate::place::Place;
use crate::program::{Told, told};
use crate::python;
use crate::restate_server::{PUBLIC, Restate};
use crate::services::Service;
use crate::workflows::workflows;
use orderflow::event::{Event, EventKind};
use orderflow::history::History;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

/// Does as `plan.json` says for the attempt, the item or the step, and makes what its step declares.
const AGENT: &str = r#"
import json, os, sqlite3, sys, time
step, item, attempt, key = (os.environ["ORDERFLOW_" + name] for name in ("STEP", "ITEM", "ATTEMPT", "KEY"))
database = sqlite3.connect("effects.db", timeout=60)
with database:
    call = database.execute("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, NULL)", (step, item, attempt, key, os.getppid(), time.time())).lastrowid
print(f"{step} of {item}, attempt {attempt}", file=sys.stderr)
plan = json.load(open("plan.json"))
names = (f"{step} {item} {attempt}", f"{step} {item}", step)
todo = next((plan[name] for name in names if name in plan), {})
time.sleep(todo.get("sleep", 0))
while "await" in todo and not os.path.exists(todo["await"]):
    time.sleep(0.02)
with database:
    database.execute("UPDATE calls SET ended = ? WHERE rowid = ?", (time.time(), call))
if "exit" in todo:
    sys.exit(todo["exit"])
if "refuse" in todo:
    error = {"code": todo["refuse"], "message": "refused", "retryable": todo.get("again", False)}
    print(json.dumps({"error": error | todo.get("error", {})}))
    sys.exit(0)
made = {}
for output in json.loads(os.environ["ORDERFLOW_OUTPUTS"]):
    kind = output.get("type")
    like = {"Boolean": True, "Integer": 7, "JSON": {"left": 3}, "String[]": ["x", "y"]}
    made[output["name"]] = like.get(kind, f"{step} of {item}")
made.update(todo.get("give", {}))
print(json.dumps(made))
"#;

const SETTINGS: &str = "\
[agents.a]\ncommand = [\"python3\", \"-S\", \"agent.py\"]\n\
[agents.b]\ncommand = [\"python3\", \"-S\", \"agent.py\"]\nconcurrency = 2\n";

/// A document with its items and what its agents do.
struct Case {
    name: &'static str,
    document: &'static str,
    items: usize,
    plan: &'static str,
    args: &'static str,
    /// What people do once the run waits for them, a command a line.
    then: &'static str,
}

const fn case(name: &'static str, document: &'static str, items: usize, plan: &'static str) -> Case {
    Case { name, document, items, plan, args: "", then: "" }
}

const CHAIN: &str =
    "# Orders\n\n## Reserve @a\nname::String → held::String\n\n## Pay @b\nheld → paid::String\n";

const CASES: [Case; 18] = [
    case("a chain", CHAIN, 3, "{}"),
    case(
        "retries",
        "# Orders\n\n## Reserve @a [retry:: 2 exponential 10ms..40ms]\nname::String → held::String\n\n\
         ## Pay @b\nheld → paid::String\n",
        3,
        r#"{"Reserve k1 1": {"refuse": "busy", "again": true}, "Reserve k1 2": {"exit": 3},
            "Reserve k2": {"refuse": "gone", "again": true}}"#,
    ),
    case(
        "a timeout",
        "# Orders\n\n## Reserve @a\n[timeout:: 2s]\n\nname::String → held::String\n\n## Pay @b\nheld → paid::String\n",
        2,
        r#"{"Reserve k1": {"sleep": 30}}"#,
    ),
    case(
        "a deadline of items",
        "---\ndeadline: 2s\n---\n\n# Orders\n\n## Reserve @a\nname::String → held::String\n\n## Pay @b\nheld → paid::String\n",
        2,
        r#"{"Pay k1": {"sleep": 30}}"#,
    ),
    case(
        "conditions",
        "# Orders\n\n## Check @a\nname::String → stock::JSON\n\nIf stock.left > 5 → Pay\nIf stock.left > 1 → Order More\n\
         Otherwise → fail \"out of stock\"\n\n## Pay @b\nname → outcome::String\n\n## Order More @b\nstock → outcome::String\n\n\
         ## Tell @a\noutcome → told::Boolean\n",
        3,
        r#"{"Check k0": {"give": {"stock": {"left": 9}}}, "Check k1": {"give": {"stock": {"left": 0}}}}"#,
    ),
    case(
        "a group in parallel with optional steps",
        "# Orders\n\n## Write @a\nname::String → text::String\n\n## Reviews (parallel) @b [timeout:: 20s]\n\n\
         ### Check Facts\ntext → facts::Boolean\n\n### Check Style ?\ntext → style::Boolean\n\n## Publish @a\nfacts, style? → out::String\n",
        3,
        r#"{"CheckStyle k1": {"refuse": "bad"}, "CheckFacts k2": {"refuse": "bad"}}"#,
    ),
    case(
        "a step for each element, and steps for all items",
        "# Orders\n\n## Split @a\nname::String → parts::String[]\n\n## Send @b\n[each:: part in parts]\n\npart → sent::String\n\n\
         ## Count @a\n[per:: run]\n\nsent::String[][] → total::Integer\n\n## Report @a [per:: run] [always]\ntotal? → told::Boolean\n",
        3,
        r#"{"Split k1": {"give": {"parts": []}}, "Send k2": {"refuse": "bad"}}"#,
    ),
    case(
        "a loop",
        "# Letters\n\n## Draft [repeat:: 3 until review.approved every 50ms]\n\n### Write @a\nname::String, review? → letter::String\n\n\
         ### Review @b\nletter → review::JSON\n\n## Send @a\nletter → sent::String\n",
        2,
        r#"{"Review k0 1": {"give": {"review": {"approved": false}}}, "Review k0 2": {"give": {"review": {"approved": true}}},
            "Review k1": {"give": {"review": {"approved": false}}}}"#,
    ),
    case(
        "compensations",
        "# Orders\n\n## Reserve @a\nname::String → held::String\n\n[compensate:: Release]\n\n## Pay @b\nheld → paid::String\n\n\
         [compensate:: Refund]\n\n## Ship @a\npaid → shipped::String\n\n## Compensations\n\n### Release @a\nheld → released::Boolean\n\n\
         ### Refund @b [retry:: 1 fixed 10ms]\npaid → refunded::Boolean\n",
        3,
        r#"{"Ship k1": {"refuse": "lost"}, "Ship k2": {"exit": 9}, "Refund k2": {"refuse": "closed"}}"#,
    ),
    case(
        "a failure handler that requeues",
        "---\ntolerate: 50%\n---\n\n# Orders\n\n## Reserve @a\nname::String → held::String\n\n## Pay @b\nheld → paid::String\n\n\
         ## Look After @a ?\nfailed_orders → retry_later::Boolean\n",
        3,
        r#"{"Pay k1 1": {"refuse": "busy"}, "Pay k2": {"refuse": "gone"}, "LookAfter k2": {"give": {"retry_later": false}}}"#,
    ),
    Case {
        args: "--jobs 1 --on-item-error stop",
        ..case(
            "a failed item that stops the run",
            "# Orders\n\n## Reserve @a\nname::String → held::String\n\n[compensate:: Release]\n\n## Pay @b\nheld → paid::String\n\n\
             ## Compensations\n\n### Release @a\nheld → released::Boolean\n\n## Clean @a [per:: run] [always]\nheld? → clean::Boolean\n",
            4,
            r#"{"Pay k1": {"refuse": "no"}}"#,
        )
    },
    case(
        "budgets",
        "---\nbudget: 1,000 tokens\n---\n\n# Orders\n\n## Reserve @a\nname::String → held::String\n\n\
         ## Pay @b\nheld → paid::String\n\n## Ship @a\npaid → shipped::String\n",
        2,
        r#"{"Reserve": {"give": {"tokens_used": 600}}, "Pay k1": {"give": {"tokens_used": 600}}}"#,
    ),
    case(
        "an irreversible step, and an agent that asks for time",
        "# Orders\n\n## Reserve @a\nname::String → held::String\n\n[compensate:: Release]\n\n\
         ## Pay @b [irreversible]\nheld → paid::String\n\n## Ship @a [retry:: 1 fixed 10ms]\npaid → shipped::String\n\n\
         ## Compensations\n\n### Release @a\nheld → released::Boolean\n",
        3,
        r#"{"Pay k1": {"refuse": "no"}, "Ship k2": {"refuse": "lost", "again": true, "error": {"retry_after_ms": 50}}}"#,
    ),
    Case {
        args: "--jobs 1",
        ..case(
            "an agent that cannot work",
            CHAIN,
            2,
            r#"{"Pay": {"refuse": "closed", "error": {"unavailable": true}}}"#,
        )
    },
    Case {
        args: "--jobs 1 --on-item-error drain",
        ..case("a failed item that drains the run", CHAIN, 4, r#"{"Pay k1": {"refuse": "no"}}"#)
    },
    Case {
        args: "--jobs 1 --tolerate 1",
        ..case("tolerance", CHAIN, 6, r#"{"Pay k1": {"refuse": "no"}, "Pay k2": {"refuse": "no"}}"#)
    },
    Case {
        then: "approve last Pay --item k0\nreject last Pay --item k1 --note no",
        ..case(
            "gates",
            "# Orders\n\n## Reserve @a\nname::String → held::String\n\n## Pay @b\nheld → paid::String\n\n> [!gate] Pay {{ held }}?\n",
            2,
            "{}",
        )
    },
    Case {
        then: "signal last order.shipped --item k1 --id e1\nsignal last order.shipped --item k0 --id e2",
        ..case(
            "events",
            "# Orders\n\n## Pack @a\nname::String → packed::String\n\n## Close @b\n[await:: order.shipped within 7d]\n\n\
             packed, order_shipped::JSON → closed::String\n",
            2,
            "{}",
        )
    },
];

fn place(document: &str, items: usize, plan: &str) -> Place {
    let place = Place::new(document);
    place.write("agent.py", AGENT);
    place.write("orderflow.toml", SETTINGS);
    let lines = (0..items).map(|number| format!("{}\n", json!({"id": format!("k{number}"), "name": "Ada"})));
    place.write("items.jsonl", &lines.collect::<String>());
    place.write("plan.json", plan);
    let calls =
        "PRAGMA journal_mode = WAL; CREATE TABLE calls (step, item, attempt, key, worker, began, ended)";
    database(&place).execute_batch(calls).unwrap();
    place
}

/// The calls of the agents.
fn database(place: &Place) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(place.path("effects.db")).unwrap();
    database.busy_timeout(Duration::from_secs(60)).unwrap();
    database
}

/// The folder of the only run below a folder.
fn home(folder: &Path) -> PathBuf {
    let runs = std::fs::read_dir(folder.join(".orderflow/runs")).unwrap();
    let mut runs: Vec<PathBuf> = runs.map(|run| run.unwrap().path()).collect();
    runs.retain(|run| run.join("journal.db").exists());
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.remove(0)
}

/// All events of the only run, without times: those of each step of each item in their order, so that what happens at the
/// same time is not compared. Events of the run have a place of their own.
fn events(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let history = History::open(&home(folder)).unwrap();
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut keys = BTreeMap::new();
    let see = |event: &Event| {
        let place = match &event.kind {
            EventKind::Run(_) => "run".to_owned(),
            EventKind::Item(item, change) => {
                if let orderflow::event::ItemEvent::Admitted { key, .. } = change {
                    keys.insert(*item, key.to_string());
                }
                format!("{item:?}")
            }
            EventKind::Step(item, _) => format!("{item:?} decisions"),
            EventKind::Attempt(item, step, ..) => format!("{item:?} {step:?}"),
        };
        let mut value = serde_json::to_value(event).unwrap();
        timeless(&mut value);
        all.entry(place).or_default().push(value.to_string());
        Ok(())
    };
    history.events(see).unwrap();
    // Branches of an item end in any order.
    all.iter_mut().filter(|(place, _)| place.ends_with("decisions")).for_each(|(_, events)| events.sort());
    all
}

fn timeless(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !name.ends_with("_at"));
            // Its number is its place among the events of all items.
            if let Some(taken) = members.get_mut("event_taken").and_then(Value::as_object_mut) {
                taken.remove("event");
            }
            for name in ["at", "due", "duration_ms", "started_ms", "since", "waited"] {
                members.remove(name);
            }
            members.iter_mut().for_each(|(_, member)| timeless(member));
        }
        Value::Array(all) => {
            // A column.
            if all.first().and_then(Value::as_str).is_some_and(|name| name.ends_with("_ms")) {
                all.truncate(1);
            }
            all.iter_mut().for_each(timeless);
        }
        Value::String(text) if text.contains("last lines of its log") => text.clear(),
        _ => {}
    }
}

/// Runs the case and does what people do; the ends of all commands.
fn carry_out(place: &Place, case: &Case, options: &str) -> Vec<Option<i32>> {
    let ran = place.run(&format!("--items items.jsonl {} {options}", case.args));
    let mut exits = vec![ran.exit];
    for line in case.then.lines() {
        let done = place.orderflow(line);
        assert_eq!(done.exit, Some(0), "{}: {line}: {}{}", case.name, done.out, done.err);
    }
    if !case.then.is_empty() {
        let resumed = place.orderflow("resume last");
        exits.push(resumed.exit);
    }
    exits
}

#[test]
fn the_same_documents_give_the_same_events_here_and_there() {
    let Some(mut server) = Restate::start() else { return };
    for case in &CASES {
        let here = place(case.document, case.items, case.plan);
        let there = place(case.document, case.items, case.plan);
        let (exits, others, worker) = std::thread::scope(|scope| {
            let local = scope.spawn(|| carry_out(&here, case, ""));
            let (worker, _) = server.worker(&there, ".", "");
            let others = carry_out(&there, case, &server.options());
            (local.join().unwrap(), others, worker)
        });
        assert_eq!(others, exits, "{}", case.name);
        let (expected, found) = (events(here.folder()), events(there.folder()));
        for (place, expected) in &expected {
            let found = found.get(place).map_or(&[][..], Vec::as_slice);
            assert_eq!(found, expected, "{}: {place}", case.name);
        }
        assert_eq!(found.len(), expected.len(), "{}", case.name);
        let rows = |place: &Place| {
            let mut rows = place.rows("session.toon");
            rows.sort();
            rows
        };
        assert_eq!(rows(&there), rows(&here), "{}", case.name);
        let logs = |place: &Place| {
            let mut logs: Vec<String> = place.orderflow("logs last").out.lines().map(str::to_owned).collect();
            logs.sort();
            logs
        };
        assert!(!logs(&here).is_empty() && logs(&there) == logs(&here), "{}: {:?}", case.name, logs(&there));
        server.kill_worker(worker);
    }
}

/// A document of `workflows/` with what its run needs.
struct Example {
    name: &'static str,
    args: &'static str,
    /// A command that prepares its folder.
    before: &'static str,
    /// A variable that names a folder; the folder has its name in small letters.
    known: &'static str,
    /// What people decide once the run waits for them.
    then: &'static str,
}

const fn example(name: &'static str) -> Example {
    Example { name, args: "", before: "true", known: "", then: "" }
}

/// All documents of `workflows/`.
const EXAMPLES: [Example; 11] = [
    example("order-processing"),
    example("order-saga"),
    example("order-creation"),
    example("order-fulfillment"),
    example("order-events"),
    Example { known: "METER_DATA", ..example("data-pipeline") },
    Example {
        args: "--input change=@change.diff",
        before: "printf -- '--- a/pay.py\\n+++ b/pay.py\\n@@ -1 +1,2 @@\\n total = 1\\n+if card == None: pass\\n' > change.diff",
        ..example("code-review")
    },
    Example {
        args: "--input topic=Bees --input notes=@workflows/articles/bees.json",
        then: "Publish --as editor",
        ..example("article")
    },
    Example { args: "--input version=2", known: "SITE", then: "MakeLive --as ops", ..example("deploy") },
    Example { before: "sh workflows/incident/fleet.sh fleet", known: "FLEET", ..example("incident-runbook") },
    Example {
        args: "--input repository=../tideline",
        before: "sh workflows/release/scratch.sh tideline",
        ..example("release")
    },
];

impl Example {
    /// A copy of the folder, prepared, and a host if the document needs one.
    fn place(&self) -> (Place, Option<Host>) {
        let place = workflows();
        place.sh(self.before);
        let host = (self.known == "SITE").then(|| Host::start(&place));
        (place, host)
    }

    /// What the processes of a run know besides.
    fn environment(&self, place: &Place) -> Vec<(String, String)> {
        let folder = place.path(&self.known.to_lowercase()).display().to_string();
        let known = (!self.known.is_empty()).then(|| (self.known.to_owned(), folder));
        known.into_iter().collect()
    }

    /// Runs it and decides; the ends of all commands, with the last messages.
    fn run(&self, number: usize, place: &Place, options: &str) -> (Vec<Option<i32>>, String) {
        let orderflow = |args: &str| {
            let mut command = place.command(args);
            command.env("PATH", python::path()).envs(self.environment(place));
            told(command.output().unwrap())
        };
        // What the agents make depends on their idempotency keys.
        let id = format!("{number:08}-example");
        let Example { name, args, then, .. } = self;
        let ran =
            orderflow(&format!("run workflows/{name}.md --trust --quiet --run-id {id} {args} {options}"));
        let mut exits = vec![ran.exit];
        let mut said = ran.err;
        if !then.is_empty() {
            let run = home(&place.path("workflows")).display().to_string();
            for command in [format!("approve {run} {then}"), format!("resume {run} --quiet")] {
                let done = orderflow(&command);
                exits.push(done.exit);
                said.push_str(&done.err);
            }
        }
        (exits, said)
    }
}

/// Events without what differs from run to run: hashes and sizes of commits.
fn without_hashes(event: &str) -> String {
    let mut text = String::new();
    for word in event.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_hash = bare.len() >= 3 && bare.chars().all(|c| c.is_ascii_hexdigit());
        text.push_str(if is_hash { "#" } else { bare });
        text.push_str(&word[bare.len()..]);
    }
    text
}

#[test]
fn the_documents_of_the_examples_give_the_same_events() {
    let Some(mut server) = Restate::start() else { return };
    for (number, example) in EXAMPLES.iter().enumerate() {
        let name = example.name;
        let ((here, _host), (there, _other)) = (example.place(), example.place());
        let (exits, (others, said), worker) = std::thread::scope(|scope| {
            let local = scope.spawn(|| example.run(number, &here, "").0);
            server.environment = example.environment(&there);
            let (worker, _) = server.worker(&there, "workflows", "--programs");
            let others = example.run(number, &there, &server.options());
            (local.join().unwrap(), others, worker)
        });
        assert_eq!(others, exits, "{name}: {said}");
        let all = |place: &Place| {
            let mut all = events(&place.path("workflows"));
            let commits = all.values_mut().flatten().filter(|_| name == "release");
            commits.for_each(|event| *event = without_hashes(event));
            all
        };
        let (expected, found) = (all(&here), all(&there));
        server.end_worker(worker);
        // A loop that looks until a service is up has as many rounds as that takes.
        let rounds = |all: &BTreeMap<String, Vec<String>>| {
            all.values().flatten().filter(|event| event.contains("round_began")).count()
        };
        if name == "deploy" && rounds(&expected) != rounds(&found) {
            continue;
        }
        // Whether an attempt has ended before one beside it fails and stops it is chance.
        let is_chance =
            |events: &[String]| events.iter().any(|event| event.contains(r#"{"stopped":"critical"}"#));
        for (place, expected) in &expected {
            let found = found.get(place).map_or(&[][..], Vec::as_slice);
            if !is_chance(expected) && !is_chance(found) {
                assert_eq!(found, expected, "{name}: {place}");
            }
        }
    }
}

fn begin(place: &Place, args: &str) -> Child {
    let mut command = place.command(&format!("run flow.md --items items.jsonl {args}"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ended(child: Child) -> Told {
    told(child.wait_with_output().unwrap())
}

/// The attempts that agents made, each by its step, item and number, with how often it was made.
fn effects(place: &Place) -> BTreeMap<String, usize> {
    let database = database(place);
    let query = "SELECT step || ' ' || item || ' ' || attempt || ' ' || key AS call, count(*) FROM calls GROUP BY call";
    let mut query = database.prepare(query).unwrap();
    let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))).unwrap();
    rows.map(Result::unwrap).map(|(call, count)| (call, usize::try_from(count).unwrap())).collect()
}

fn until_effects(place: &Place, count: usize) {
    let database = database(place);
    place.until("agents are called", || {
        let calls = database.query_row("SELECT count(*) FROM calls", [], |row| row.get::<_, i64>(0));
        usize::try_from(calls.unwrap()).unwrap() >= count
    });
}

#[test]
fn a_server_and_a_worker_that_are_killed_lose_nothing() {
    let Some(mut server) = Restate::start() else { return };
    let place = place(CHAIN, 30, r#"{"Reserve": {"sleep": 0.2}, "Pay": {"sleep": 0.2}}"#);
    let (worker, port) = server.worker(&place, ".", "");
    let run = begin(&place, &format!("--jobs 4 {}", server.options()));
    until_effects(&place, 6);
    server.kill_worker(worker);
    // The next one serves at the same address, as behind a balancer.
    let (_, same) = server.unregistered(&place, ".", &format!("--listen 127.0.0.1:{port}"));
    assert_eq!(same, port);
    until_effects(&place, 24);
    server.kill();
    server.up();
    let ran = ended(run);
    assert_eq!(ran.exit, Some(0), "{}{}", ran.out, ran.err);
    assert_eq!(place.rows("session.toon").len(), 60);
    let effects = effects(&place);
    // Every attempt was made, under one key; only those that the worker had under way when it died were made again.
    assert_eq!(effects.len(), 60);
    let again = effects.values().filter(|count| **count > 1).count();
    assert!(again <= 4 && effects.values().all(|count| *count <= 2), "{effects:?}");
}

fn count(place: &Place, query: &str) -> i64 {
    database(place).query_row(query, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_document_and_a_worker_are_replaced_while_a_run_is_in_flight() {
    let Some(mut server) = Restate::start() else { return };
    let place = place(CHAIN, 3, r#"{"Reserve k0": {"await": "go"}}"#);
    let (old, port) = server.worker(&place, ".", "");
    let run = begin(&place, &format!("--jobs 1 {}", server.options()));
    until_effects(&place, 1);
    place.write("flow.md", &CHAIN.replace("Pay", "Charge"));
    server.worker(&place, ".", "");
    // The run stays with the worker that began it; the query is that of the page.
    let page = include_str!("../../docs/cluster.md");
    let query =
        page.lines().find_map(|line| line.trim().strip_prefix("curl http://127.0.0.1:9070/query ")).unwrap();
    let query = query.split_once("-d '").unwrap().1.trim_end_matches('\'').replace("'\\''", "'");
    let query = query.replace(":9080", &format!(":{port}"));
    assert!(server.query(&query).contains("orderflow.run"), "{}", server.query(&query));
    place.write("go", "");
    let ran = ended(run);
    assert_eq!(ran.exit, Some(0), "{}{}", ran.out, ran.err);
    assert_eq!(
        count(&place, "SELECT count(*) FROM calls WHERE step = 'Pay'"),
        3,
        "the run keeps its document"
    );
    assert_eq!(count(&place, "SELECT count(DISTINCT worker) FROM calls"), 2, "attempts go to the new worker");
    place.until("the old worker drives nothing", || !server.query(&query).contains("orderflow.run"));
    server.end_worker(old);
    let next = place.run(&format!("--items items.jsonl {}", server.options()));
    assert_eq!(next.exit, Some(0), "{}{}", next.out, next.err);
    assert_eq!(count(&place, "SELECT count(*) FROM calls WHERE step = 'Charge'"), 3);
}

#[test]
fn the_limit_of_an_agent_counts_over_all_runs() {
    let Some(mut server) = Restate::start() else { return };
    let place = place(CHAIN, 4, r#"{"Pay": {"sleep": 60}}"#);
    server.worker(&place, ".", "");
    let options = format!("--jobs 8 {}", server.options());
    let lost = begin(&place, &format!("--jobs 5000 {}", server.options()));
    let paying = "SELECT count(*) FROM calls WHERE step = 'Pay'";
    place.until("all places are taken", || count(&place, paying) == 2);
    // An operator kills the run, and what it has taken is free again.
    server.kill_run();
    let lost = ended(lost);
    assert!(lost.err.contains("at most 900 steps run at once, not 5000"), "{}", lost.err);
    assert!(lost.err.contains("the run was ended on the server: "), "{:?} {}", lost.exit, lost.err);
    place.write("plan.json", r#"{"Pay": {"sleep": 0.1}}"#);
    let runs = [begin(&place, &options), begin(&place, &options)];
    for run in runs.map(ended) {
        assert_eq!(run.exit, Some(0), "{}{}", run.out, run.err);
    }
    assert_eq!(count(&place, paying), 10);
    let most = "SELECT max((SELECT count(*) FROM calls b WHERE b.step = 'Pay' AND b.began <= a.began AND b.ended > a.began)) \
                FROM calls a WHERE a.step = 'Pay'";
    assert!(count(&place, most) <= 2, "{}", count(&place, most));
}

#[test]
fn a_follower_that_is_killed_finds_the_run_again() {
    let Some(mut server) = Restate::start() else { return };
    let place = place(CHAIN, 12, r#"{"Reserve": {"sleep": 0.2}, "Pay": {"sleep": 0.2}}"#);
    server.worker(&place, ".", "");
    let mut run = begin(&place, &format!("--jobs 2 {}", server.options()));
    until_effects(&place, 4);
    run.kill().unwrap();
    run.wait().unwrap();
    // The run needs no follower.
    until_effects(&place, 24);
    let resumed = place.orderflow("resume last");
    assert_eq!(resumed.exit, Some(0), "{}{}", resumed.out, resumed.err);
    assert_eq!(place.rows("session.toon").len(), 24);
    assert_eq!(effects(&place).values().sum::<usize>(), 24);
}

#[test]
fn a_run_can_be_left_and_cancelled() {
    let Some(mut server) = Restate::start() else { return };
    let document = CHAIN.replace("held::String\n", "held::String\n\n[compensate:: Release]\n")
        + "\n## Compensations\n\n### Release @a\nheld → released::Boolean\n";
    let place = place(&document, 20, r#"{"Reserve": {"sleep": 0.1}, "Pay": {"sleep": 20}}"#);
    server.worker(&place, ".", "");
    let run = begin(&place, &format!("--jobs 2 {}", server.options()));
    until_effects(&place, 4);
    kill_process(Pid::from_child(&run), Signal::INT).unwrap();
    let left = ended(run);
    assert_eq!(left.exit, Some(130), "{}", left.err);
    assert!(left.err.contains("the run continues without this command"), "{}", left.err);
    let cancelled = place.orderflow("cancel last");
    assert_eq!(cancelled.exit, Some(0), "{}{}", cancelled.out, cancelled.err);
    let rows = place.rows("session.toon");
    assert!(rows.iter().any(|row| row.starts_with("Release ")), "{rows:?}");
    // What follows has nothing to do.
    let resumed = place.orderflow("resume last");
    assert!(resumed.err.contains("was cancelled"), "{}", resumed.err);
}

#[test]
fn conversations_are_stored_without_the_keys_of_a_worker() {
    let Some(mut server) = Restate::start() else { return };
    let service = Service::new(|seen| {
        let text = format!("key {}\n{{\"subject\":\"Hi\"}}", seen.token);
        let text =
            if seen.body["messages"].as_array().unwrap().len() > 1 { "{\"subject\":\"Hi\"}" } else { &text };
        let choice = json!({"finish_reason": "stop", "message": {"role": "assistant", "content": text}});
        Some((200, json!({"model": "small-1", "choices": [choice]})))
    });
    server.environment = vec![("LOCAL_KEY".to_owned(), "sk-very-secret".to_owned())];
    let said = |options: &str, server: Option<&mut Restate>| {
        let place = place(
            "# Letters\n\n## Write @writer\nname::String → subject::String\n\nWrite to {{ name }}.\n",
            1,
            "{}",
        );
        let settings = "[providers.local]\nurl = \"http://ADDRESS/v1\"\nkey = \"secret:LOCAL_KEY\"\n\
                        [agents.writer]\nmodel = \"local/small\"\n";
        place.write("orderflow.toml", &settings.replace("ADDRESS", &service.address.to_string()));
        if let Some(server) = server {
            server.worker(&place, ".", "");
        }
        let mut command = place.command(&format!("run flow.md --items items.jsonl --quiet {options}"));
        let ran = told(command.env("LOCAL_KEY", "sk-very-secret").output().unwrap());
        assert_eq!(ran.exit, Some(0), "{}", ran.err);
        place.orderflow("show last --item k0 --conversation").out
    };
    let here = said("", None);
    assert!(here.contains("Bearer [secret:LOCAL_KEY]"), "{here}");
    let options = server.options();
    assert_eq!(said(&options, Some(&mut server)), here);
}

#[test]
fn what_failed_is_retried_there() {
    let Some(mut server) = Restate::start() else { return };
    let place = place(CHAIN, 3, r#"{"Pay k1": {"refuse": "no"}}"#);
    server.worker(&place, ".", "");
    let ran = place.run(&format!("--items items.jsonl {}", server.options()));
    assert_eq!(ran.exit, Some(1), "{}", ran.err);
    place.write("plan.json", "{}");
    let retried = place.orderflow("retry last");
    assert_eq!(retried.exit, Some(0), "{}{}", retried.out, retried.err);
    let mut steps: Vec<String> = effects(&place).into_keys().collect();
    steps.retain(|step| step.contains(" k1 "));
    // The step that had succeeded is not done again, and the other one has one key.
    assert_eq!(steps.len(), 3, "{steps:?}");
    let key = |step: &String| step.rsplit(' ').next().unwrap().to_owned();
    assert_eq!(key(&steps[0]), key(&steps[1]));

    // A table of failed items with other inputs.
    place.write("plan.json", r#"{"Reserve k2": {"refuse": "no"}}"#);
    let ran = place.run(&format!("--items items.jsonl {}", server.options()));
    assert_eq!(ran.exit, Some(1), "{}", ran.err);
    place.write("plan.json", "{}");
    assert_eq!(place.orderflow("show last --dead-letters -o failed.toon").exit, Some(0));
    place.write("failed.toon", &place.read("failed.toon").replace("Ada", "Eve"));
    let retried = place.orderflow("retry last --items failed.toon");
    assert_eq!(retried.exit, Some(0), "{}{}", retried.out, retried.err);
    let shown = place.orderflow("show last --item k2");
    assert!(shown.out.contains("Eve"), "{}{}", shown.out, shown.err);
}

#[test]
fn what_a_server_cannot_drive_is_said_before_anything_starts() {
    let program = "# Orders\n\n## Greet\nname::String → greeting::String\n\n```sh run\necho hello\n```\n\n\
                   ## Keep @a\ngreeting → kept::File\n\n## Sign\ngreeting → signed::String\n";
    let place = place(program, 1, "{}");
    let options = "--engine restate --ingress http://127.0.0.1:9";
    let alone = place.run("--items items.jsonl --ingress http://127.0.0.1:9");
    assert_eq!(alone.exit, Some(2), "an address alone drives nothing: {}", alone.err);
    let told = place.run(&format!("--items items.jsonl {options}"));
    assert_eq!(told.exit, Some(3), "{}", told.err);
    for part in [
        "Sign has neither an agent nor a program: give it one, or stub it with --stub",
        "kept is a file: workers do not share files",
        "this run cannot be driven by Restate; nothing was run",
    ] {
        assert!(told.err.contains(part), "{}", told.err);
    }
    place.write("flow.md", CHAIN);
    let told = place.run(&format!("--items items.jsonl {options}"));
    assert!(told.err.contains("no server of Restate can be reached: 127.0.0.1:9: "), "{}", told.err);
    let Some(mut server) = Restate::start() else { return };
    let told = place.run(&format!("--items items.jsonl {}", server.options()));
    assert!(told.err.contains("no worker is registered that drives runs"), "{}", told.err);
    server.worker(&place, ".", "--agents a");
    let told = place.run(&format!("--items items.jsonl {}", server.options()));
    assert!(told.err.contains("no worker is registered that serves @b (agent.b)"), "{}", told.err);
    place.write(
        "flow.md",
        &CHAIN.replace("@b\nheld → paid::String\n", "\nheld → paid::String\n\n```sh run\necho\n```\n"),
    );
    let told = place.run(&format!("--items items.jsonl {}", server.options()));
    let part = "no worker runs the programs of documents, as Pay needs: start one with --programs";
    assert!(told.err.contains(part), "{}", told.err);
    assert!(!place.path(".orderflow/runs").exists(), "a run has begun");
}

#[test]
fn a_second_address_of_the_server_is_used_when_the_first_does_not_answer() {
    let Some(mut server) = Restate::start() else { return };
    let place = place(CHAIN, 2, "{}");
    server.worker(&place, ".", "");
    let both = format!("http://127.0.0.1:9,{}", server.ingress());
    let ran = place.run(&format!("--items items.jsonl --engine restate --ingress {both}"));
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
}

#[test]
fn a_worker_answers_only_servers_that_sign_with_its_key() {
    let Some(mut server) = Restate::start() else { return };
    let place = place(CHAIN, 2, "{}");
    server.worker(&place, ".", &format!("--identity-key {PUBLIC}"));
    let ran = place.run(&format!("--items items.jsonl {}", server.options()));
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
    let other = "publickeyv1_ChjENKeMvCtRnqG2mrBK1HmPKufgFUc98K8B3ononQvp";
    let (_, port) = server.unregistered(&place, ".", &format!("--identity-key {other}"));
    let answer = server.register(port);
    assert!(!answer.starts_with('2') && answer.contains("401"), "{answer}");
    let mut command = place.command("worker --engine restate --listen 127.0.0.1:0 --identity-key secret");
    let refused = told(command.output().unwrap());
    assert!(refused.err.contains("secret is not a public key of Restate"), "{}", refused.err);
}
