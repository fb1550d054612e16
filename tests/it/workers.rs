//! Workers in a run: their settings, their restarts, and that none of them outlives it.

use crate::place::Place;
use crate::python::path;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const DOCUMENT: &str = "\
---
items: items.jsonl
jobs: 16
---
# Talk

## Open @clerk [retry:: 2 fixed 10ms]
name::String → opened::String

## Close @clerk
opened → closed::String
";

const HEAD: &str = "\
import json, os, sys, time
def note(file, text):
    with open(file, 'a') as notes: notes.write(f'{text}\\n')
def tell(id, **answer): print(json.dumps({'jsonrpc': '2.0', 'id': id, **answer}), flush=True)
note('pids', os.getpid())
for line in sys.stdin:
    message = json.loads(line)
    params = message['params']
    if message['method'] == 'step/cancel':
        note('cancels', params['id'])
        tell(params['id'], error={'code': -32000, 'message': 'cancelled', 'data': {'outcome': 'not executed'}})
        continue
    note('runs', f\"{params['step']} {params['item']} {params['attempt']}\")
";

fn scene(body: &str, processes: usize) -> TempDir {
    let folder = TempDir::new().unwrap();
    let items: String = (0..8).map(|n| format!("{{\"id\": \"i{n}\", \"name\": \"n{n}\"}}\n")).collect();
    let settings =
        format!("[agents.clerk]\nworker = [\"python3\", \"-S\", \"clerk.py\"]\nprocesses = {processes}\n");
    for (name, text) in [
        ("talk.md", DOCUMENT),
        ("items.jsonl", &items),
        ("clerk.py", &format!("{HEAD}{body}\n")),
        ("orderflow.toml", &settings),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn start(folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_orderflow"))
        .args(["run", "--quiet", "talk.md"])
        .current_dir(folder)
        .env("PATH", path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn lines(folder: &Path, file: &str) -> Vec<String> {
    let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn nobody_is_left(folder: &Path) {
    let begin = Instant::now();
    let lives = |pid: &String| {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("clerk.py"))
    };
    while lines(folder, "pids").iter().any(lives) {
        assert!(begin.elapsed() < Duration::from_secs(30), "a worker is left");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_steps_of_an_agent_share_its_processes() {
    let folder = scene("    tell(message['id'], result='so')", 2);
    let output = start(folder.path()).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(lines(folder.path(), "runs").len(), 16);
    assert!(lines(folder.path(), "pids").len() <= 2);
    nobody_is_left(folder.path());
}

#[test]
fn a_death_is_survived_where_the_step_may_be_retried_and_nothing_finished_runs_again() {
    let body = "    if params['step'] == 'Open' and params['item'] == 'i3' and params['attempt'] == 1:\n        \
        os._exit(9)\n    tell(message['id'], result='so')";
    let folder = scene(body, 1);
    // One call at a time, so that the death costs one call.
    let settings = fs::read_to_string(folder.path().join("orderflow.toml")).unwrap();
    fs::write(folder.path().join("orderflow.toml"), format!("{settings}concurrency = 1\n")).unwrap();
    let output = start(folder.path()).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let mut runs = lines(folder.path(), "runs");
    assert_eq!(runs.len(), 17);
    runs.sort_unstable();
    runs.dedup();
    assert_eq!(runs.len(), 17, "no attempt is made twice");
    assert!(runs.contains(&"Open i3 2".to_owned()));
    assert_eq!(lines(folder.path(), "pids").len(), 2);
    nobody_is_left(folder.path());
}

#[test]
fn chatter_is_named_in_the_result() {
    let folder = scene("    print('working on it', flush=True)", 1);
    let output = start(folder.path()).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let talk = String::from_utf8_lossy(&output.stderr);
    let expected = "worker wrote non-JSON on stdout: log to stderr (it wrote \"working on it\")";
    assert!(talk.contains(expected), "{talk}");
    nobody_is_left(folder.path());
}

#[test]
fn an_interrupted_run_cancels_its_calls_and_leaves_no_worker() {
    let folder = scene("    pass", 2);
    let child = start(folder.path());
    let begin = Instant::now();
    while lines(folder.path(), "runs").len() < 8 {
        assert!(begin.elapsed() < Duration::from_secs(60), "the calls come in");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(lines(folder.path(), "cancels").len(), 8);
    nobody_is_left(folder.path());
}

/// The earlier one of timeout and deadline counts, and programs and workers are told of the same.
#[test]
fn programs_and_workers_know_when_they_will_be_stopped() {
    const WORKER: &str = "import json, sys\nfor line in sys.stdin:\n    call = json.loads(line)\n    if call['method'] == 'step/run':\n        print(json.dumps({'jsonrpc': '2.0', 'id': call['id'], 'result': {'b': call['params']['deadline']}}), flush=True)\n";
    for (timeout, deadline, seconds) in [("1m", "1h", 60), ("1h", "1m", 60), ("2m", "", 120), ("", "3m", 180)]
    {
        let front =
            if deadline.is_empty() { String::new() } else { format!("---\ndeadline: {deadline}\n---\n") };
        let field = if timeout.is_empty() { String::new() } else { format!(" [timeout:: {timeout}]") };
        let place = Place::new(&format!(
            "{front}# T\n\n## A{field}\no -> a\n\n```sh run\necho \"$ORDERFLOW_DEADLINE\"\n```\n\n## B @w{field}\no -> b\n\n\
             ## C\na, b -> c?\n\n```sh run\necho \"$IN_A $IN_B\" > seen\n```\n"
        ));
        place.write("orderflow.toml", "[agents.w]\nworker = [\"python3\", \"w.py\"]\n");
        place.write("w.py", WORKER);
        let before = jiff::Timestamp::now();
        let ran = place.orderflow("run flow.md --trust --input o=1 --quiet");
        let after = jiff::Timestamp::now();
        assert_eq!(ran.exit, Some(0), "{}", ran.err);
        let seen = place.read("seen");
        let moments: Vec<jiff::Timestamp> =
            seen.split_whitespace().map(|moment| moment.parse().unwrap()).collect();
        assert_eq!(moments.len(), 2, "{seen}");
        for moment in moments {
            let began = moment.as_millisecond() - seconds * 1000;
            let between = before.as_millisecond() - 20..=after.as_millisecond() + 20;
            assert!(between.contains(&began), "{timeout} {deadline}: {seen}");
        }
    }
}
