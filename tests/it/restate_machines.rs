//! Runs on several machines, as docs/cluster.md says: its own commands, in network namespaces of this machine. Servers and
//! workers fail in the middle of a run; no item is lost, and no effect happens twice.

use crate::docs::fences;
use crate::parts::found;
use crate::place::Place;
use crate::restate_server;
use std::process::{Command, Stdio};

const DOCUMENT: &str =
    "# Orders\n\n## Reserve @shop\nname::String → held::String\n\n## Pay @bank\nheld → paid::String\n";

const SETTINGS: &str = "\
[agents.shop]\ncommand = [\"python3\", \"-S\", \"agent.py\"]\n\n\
[agents.bank]\ncommand = [\"python3\", \"-S\", \"agent.py\"]\n";

/// Has one effect for an idempotency key, and counts its calls.
const AGENT: &str = r#"
import json, os, sqlite3, time
step, item, key = (os.environ["ORDERFLOW_" + name] for name in ("STEP", "ITEM", "KEY"))
database = sqlite3.connect("effects.db", timeout=60)
with database:
    database.execute("INSERT INTO calls VALUES (?, ?, ?, ?)", (key, step, item, os.getppid()))
time.sleep(0.5)
with database:
    database.execute("INSERT OR IGNORE INTO effects VALUES (?, ?, ?)", (key, step, item))
print(json.dumps({output["name"]: f"{step} of {item}" for output in json.loads(os.environ["ORDERFLOW_OUTPUTS"])}))
"#;

const JOBS: usize = 6;

/// A namespace in which this is root of a network, mounts and processes of its own.
fn isolated(command: &[&str]) -> Command {
    let mut isolated = Command::new("unshare");
    let own =
        ["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    isolated.args(own).args(command).stdin(Stdio::null());
    isolated
}

/// Carries out the commands of a section of the page with what `machines.sh` does to them, and looks at what came of it;
/// `None`, after a notice, where that is impossible.
fn carry_out(section: &str, scene: &str, items: usize) -> Option<Place> {
    let server = restate_server::program()?;
    let works =
        isolated(&["sh", "-c", "mount -t tmpfs none /run && ip link add name hub type bridge"]).output();
    let works = works.is_ok_and(|output| output.status.success());
    found(
        "machines",
        "`unshare`, `ip`, and a kernel that allows namespaces and bridges",
        works.then_some(()),
    )?;
    let has_curl = Command::new("curl").arg("--version").output().is_ok();
    found("curl", "the commands of the page use it", has_curl.then_some(()))?;
    let place = Place::new("");
    let lines = (0..items).map(|number| format!("{{\"id\":\"k{number}\",\"name\":\"Ada\"}}\n"));
    for (name, text) in [
        ("orders.md", DOCUMENT),
        ("orderflow.toml", SETTINGS),
        ("agent.py", AGENT),
        ("orders.jsonl", &lines.collect::<String>()),
    ] {
        place.write(name, text);
    }
    let page = include_str!("../../docs/cluster.md");
    let (_, text) = page.split_once(&format!("\n## {section}\n")).unwrap();
    let text = text.split("\n## ").next().unwrap();
    let mut steps = 0;
    for fence in fences(text) {
        if let Some(name) = &fence.name {
            place.write(name, &fence.content);
        } else if fence.language == "bash" {
            steps += 1;
            let command =
                fence.content.replace("orderflow run ", &format!("orderflow run --trust --jobs {JOBS} "));
            place.write(&format!("step-{steps}.sh"), &command);
        }
    }
    if steps == 4 {
        let run = "orderflow run orders.md --trust --items orders.jsonl --engine restate --ingress http://127.0.0.1:8080";
        place.write("step-5.sh", &format!("{run} --jobs {JOBS}\n"));
    }
    let ours = std::path::Path::new(env!("CARGO_BIN_EXE_orderflow")).parent().unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let folders = [ours, server.parent().unwrap()].map(std::path::Path::to_owned);
    let path = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&path))).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/machines.sh");
    let mut command = isolated(&["bash", script, scene]);
    command.current_dir(place.folder()).env("PATH", path).env("XDG_STATE_HOME", place.path(".state"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    eprintln!("{said}");
    assert!(output.status.success(), "{}", place.read("run.log"));
    // No item is lost, and every effect happened once.
    let expected = 2 * items;
    let mut rows = place.rows("session.toon");
    rows.sort();
    rows.dedup();
    assert_eq!(rows.iter().filter(|row| row.ends_with(" success")).count(), expected, "{rows:?}");
    assert_eq!(count(&place, "SELECT count(*) FROM effects"), expected);
    assert_eq!(count(&place, "SELECT count(DISTINCT step || ' ' || item) FROM effects"), expected);
    Some(place)
}

fn count(place: &Place, query: &str) -> usize {
    let database = rusqlite::Connection::open(place.path("effects.db")).unwrap();
    let counted: u32 = database.query_row(query, [], |row| row.get(0)).unwrap();
    usize::try_from(counted).unwrap()
}

#[test]
#[ignore = "takes a minute, most of it waiting: see CONTRIBUTING.md"]
fn a_cluster_of_three_survives_a_server_that_is_killed_and_one_that_is_cut_off() {
    let Some(place) = carry_out("Three nodes", "nodes", 100) else { return };
    // The workers lived on: what they had under way, and what was stored, was not done again.
    assert_eq!(count(&place, "SELECT count(*) FROM calls"), 200);
}

#[test]
#[ignore = "takes half a minute: see CONTRIBUTING.md"]
fn a_worker_that_is_killed_behind_a_balancer_leaves_its_work_to_the_other() {
    let has_haproxy = Command::new("haproxy").arg("-v").output().is_ok_and(|output| output.status.success());
    let haproxy = found("haproxy", "Debian's package `haproxy`", has_haproxy.then_some(()));
    let Some(place) =
        haproxy.and_then(|()| carry_out("Several workers with the same agents", "balancer", 40))
    else {
        return;
    };
    assert!(count(&place, "SELECT count(DISTINCT worker) FROM calls WHERE worker > 1") >= 2);
    // Only what was under way was done again.
    let calls = count(&place, "SELECT count(*) FROM calls");
    assert!(calls <= 80 + JOBS, "{calls}");
    let most = "SELECT max(calls) FROM (SELECT count(*) AS calls FROM calls GROUP BY key)";
    assert!(count(&place, most) <= 2);
}
