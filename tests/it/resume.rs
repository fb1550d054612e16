//! Runs that are killed and go on: nothing that was completed runs again, nothing is lost, and the trace in the end
//! is that of a run that nobody touched.

use crate::place::Place;
use orderflow::event::{AttemptEvent, Event, EventKind, ItemEvent};
use orderflow::journal::{self, Record, Unreadable};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Every step writes its effect under its key, before and after some work.
pub const DOCUMENT: &str = r#"---
items: items.jsonl
tolerate: 100%
jobs: 4
---
# Effects

## Reserve [compensate:: Release]
order::Integer → reserved::Integer

```sh run
echo "begin $ORDERFLOW_STEP $ORDERFLOW_ITEM $ORDERFLOW_KEY" >> effects
sleep 0.02
echo "end $ORDERFLOW_STEP $ORDERFLOW_ITEM $ORDERFLOW_KEY" >> effects
echo "$IN_ORDER"
```

## Pay [retry:: 1 fixed 10ms]
reserved → paid::Integer

```sh run
echo "begin $ORDERFLOW_STEP $ORDERFLOW_ITEM $ORDERFLOW_KEY" >> effects
sleep 0.02
echo "end $ORDERFLOW_STEP $ORDERFLOW_ITEM $ORDERFLOW_KEY" >> effects
test "$IN_RESERVED" != 3 || exit 65
echo "$IN_RESERVED"
```

## Parcels
paid → parcels::Integer[]

```sh run
echo "begin $ORDERFLOW_STEP $ORDERFLOW_ITEM $ORDERFLOW_KEY" >> effects
echo "end $ORDERFLOW_STEP $ORDERFLOW_ITEM $ORDERFLOW_KEY" >> effects
echo "[1, 2]"
```

## Ship [compensate:: Recall]
[each:: parcel in parcels]
parcel → shipped::Integer

```sh run
echo "begin $ORDERFLOW_STEP[$ORDERFLOW_ELEMENT] $ORDERFLOW_ITEM $ORDERFLOW_KEY" >> effects
sleep 0.01
echo "end $ORDERFLOW_STEP[$ORDERFLOW_ELEMENT] $ORDERFLOW_ITEM $ORDERFLOW_KEY" >> effects
echo "$IN_PARCEL"
```

## Count [per:: run]
shipped::Integer[][] → count::Integer

```sh run
echo "begin $ORDERFLOW_STEP $ORDERFLOW_ITEM $ORDERFLOW_KEY" >> effects
sleep 0.02
echo "end $ORDERFLOW_STEP $ORDERFLOW_ITEM $ORDERFLOW_KEY" >> effects
tr -cd '[' < "$ORDERFLOW_INPUT" | wc -c
```

## Hand Over
shipped, reserved → handed::Integer

```sh run
echo "begin $ORDERFLOW_STEP $ORDERFLOW_ITEM $ORDERFLOW_KEY" >> effects
echo "end $ORDERFLOW_STEP $ORDERFLOW_ITEM $ORDERFLOW_KEY" >> effects
test "$IN_RESERVED" -lt 5 || exit 65
echo "$IN_RESERVED"
```

## Compensations

### Release
reserved → released::String

```sh run
echo "begin $ORDERFLOW_STEP $ORDERFLOW_ITEM $ORDERFLOW_KEY" >> effects
sleep 0.02
echo "end $ORDERFLOW_STEP $ORDERFLOW_ITEM $ORDERFLOW_KEY" >> effects
echo "$IN_RESERVED"
```

### Recall
shipped

```sh run
echo "begin $ORDERFLOW_STEP[$ORDERFLOW_ELEMENT] $ORDERFLOW_ITEM $ORDERFLOW_KEY" >> effects
sleep 0.01
echo "end $ORDERFLOW_STEP[$ORDERFLOW_ELEMENT] $ORDERFLOW_ITEM $ORDERFLOW_KEY" >> effects
```
"#;

const ITEMS: usize = 6;

pub fn scene() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("w.md"), DOCUMENT).unwrap();
    fs::write(folder.path().join("orderflow.toml"), "fences = true\n").unwrap();
    let items: String =
        (1..=ITEMS).map(|number| format!("{{\"id\": \"o{number}\", \"order\": {number}}}\n")).collect();
    fs::write(folder.path().join("items.jsonl"), items).unwrap();
    folder
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderflow"));
    command.args(args).current_dir(folder).stdin(Stdio::null());
    command.env("XDG_STATE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/state"));
    command
}

pub fn orderflow(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().unwrap()
}

/// A runner in a process group of its own, with all that it starts in groups of theirs.
pub fn start(folder: &Path, args: &[&str]) -> Child {
    let mut command = command(folder, args);
    command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The folder of the run that has a journal: a runner that was killed before it had one has begun nothing.
fn home(folder: &Path) -> Option<PathBuf> {
    let runs = fs::read_dir(folder.join(".orderflow/runs")).ok()?;
    runs.map(|entry| entry.unwrap().path()).find(|home| home.join(journal::FILE).exists())
}

/// The executions that the journal knows as completed, as the effects name them.
fn completed(home: &Path) -> BTreeSet<String> {
    let (_, records) = journal::read(home).unwrap();
    let mut keys = BTreeMap::new();
    let mut done = BTreeSet::new();
    let phases = ["Reserve", "Pay", "Parcels", "Ship", "Count", "HandOver", "Release", "Recall"];
    let each = |record| -> Result<(), Unreadable> {
        match record {
            Record::Event(Event { kind: EventKind::Item(item, ItemEvent::Admitted { key, .. }), .. }) => {
                drop(keys.insert(item, key.to_string()))
            }
            Record::Event(Event {
                kind: EventKind::Attempt(item, step, _, AttemptEvent::Finished(Ok(_))),
                ..
            }) => {
                let phase = phases[step.index()];
                let phase = step.element.map_or(phase.to_owned(), |element| format!("{phase}[{element}]"));
                let key = keys.get(&item).map_or("run", String::as_str);
                done.insert(format!("{phase} {key}"));
            }
            _ => {}
        }
        Ok(())
    };
    records.each(each).unwrap();
    done
}

/// How often each effect was begun, and under which keys.
pub fn effects(folder: &Path) -> BTreeMap<String, (usize, BTreeSet<String>)> {
    let mut effects: BTreeMap<String, (usize, BTreeSet<String>)> = BTreeMap::new();
    let text = fs::read_to_string(folder.join("effects")).unwrap_or_default();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["begin", step, item, key] = words.as_slice() {
            let (count, keys) = effects.entry(format!("{step} {item}")).or_default();
            *count += 1;
            keys.insert((*key).to_owned());
        }
    }
    effects
}

/// The rows of a trace without their times.
pub fn rows(session: &Path) -> Vec<String> {
    let mut rows = Vec::new();
    let read = orderflow::session::read_session(fs::File::open(session).unwrap(), |_, row| {
        let row = row.to_row();
        let (item, status, attempt) = (row.item, row.status.name(), row.attempt);
        rows.push(format!(
            "{item:?} {} {:?} {:?} {status} {attempt:?} {:?}",
            row.phase, row.input, row.output, row.error
        ));
    });
    assert!(read.unwrap().problems.is_empty());
    rows
}

/// Times a run is killed; `ORDERFLOW_KILLS` asks for more.
fn kills() -> usize {
    std::env::var("ORDERFLOW_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(12)
}

pub fn kill(runner: &mut Child) {
    runner.kill().unwrap();
    runner.wait().unwrap();
}

/// Ends all that the runner had started: what works in this folder and is no test of ours.
pub fn kill_tree(folder: &Path) {
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let works_here = fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == folder);
        if let (true, Ok(pid)) = (works_here, process.file_name().to_string_lossy().parse::<i32>()) {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
        }
    }
}

#[test]
fn a_run_that_is_killed_again_and_again_goes_on_where_it_was() {
    let untouched = scene();
    assert_eq!(orderflow(untouched.path(), &["run", "w.md", "--quiet"]).status.code(), Some(0));
    let expected = rows(&untouched.path().join("session.toon"));
    let undone =
        |phase: &str| effects(untouched.path()).keys().filter(|name| name.starts_with(phase)).count();
    assert_eq!((undone("Release "), undone("Recall[")), (3, 4));

    let mut left = kills();
    let mut number = 0;
    while left > 0 {
        let scene = scene();
        left = left.saturating_sub(torment(scene.path(), &mut number));
        assert_eq!(rows(&scene.path().join("session.toon")), expected);
        let had = effects(scene.path());
        for (effect, (count, keys)) in &had {
            assert_eq!(keys.len(), 1, "{effect} ran {count} times under {keys:?}");
        }
        assert_eq!(had.len(), effects(untouched.path()).len(), "every effect was had");
    }
}

/// Kills a run at any moment of its life and goes on with it, until it ends. Returns how often it was killed.
fn torment(folder: &Path, number: &mut usize) -> usize {
    let mut killed = 0;
    loop {
        let (args, before): (&[&str], _) = match home(folder) {
            Some(home) => (&["resume", "last", "--quiet"], (completed(&home), effects(folder))),
            None => (&["run", "w.md", "--quiet"], Default::default()),
        };
        let mut runner = start(folder, args);
        *number += 1;
        // Anywhere, from its first moments on; a run that never gets far is let go in the end.
        let moment = (*number as u64 * 37 + u64::from(std::process::id())) % 150;
        let ended = wait(&mut runner, Duration::from_millis(if killed < 40 { moment } else { 60_000 }));
        if !ended {
            killed += 1;
            kill(&mut runner);
            if number.is_multiple_of(2) {
                kill_tree(folder);
            }
        }
        let after = effects(folder);
        for done in &before.0 {
            assert_eq!(before.1.get(done), after.get(done), "{done} was completed and ran again");
        }
        if ended {
            assert_eq!(
                runner.wait().unwrap().code(),
                Some(0),
                "{args:?} of {folder:?}, killed {killed} times before"
            );
            return killed;
        }
    }
}

/// Waits so long for a runner to end; whether it has.
pub fn wait(runner: &mut Child, most: Duration) -> bool {
    let until = std::time::Instant::now() + most;
    loop {
        if runner.try_wait().unwrap().is_some() {
            return true;
        }
        if std::time::Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn an_interrupted_run_is_paused_and_goes_on() {
    let scene = scene();
    let folder = scene.path();
    let mut runner = start(folder, &["run", "w.md", "--quiet"]);
    while effects(folder).is_empty() {
        assert!(runner.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    let told = Command::new("kill").args(["-TERM", &runner.id().to_string()]).status().unwrap();
    assert!(told.success());
    assert_eq!(runner.wait().unwrap().code(), Some(143));
    let paused = completed(&home(folder).unwrap());
    assert!(paused.len() < ITEMS * 5);
    let output = orderflow(folder, &["resume", "last"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("continuing: "), "{told}");
    assert!(told.contains("6 items: 3 succeeded, 3 compensated"), "{told}");
    let again = orderflow(folder, &["resume", "last"]);
    assert_eq!(again.status.code(), Some(0));
    assert_eq!(effects(folder)["Count run"].0, 1, "a run that is over does nothing more");
}

/// Items that are in the journal need not be in their file any more, and a run that is given up needs no others.
#[test]
fn items_that_are_gone_matter_only_where_some_were_not_admitted() {
    const WAITING: &str =
        "# W\n## Wait\norder -> done\n```sh run\n: > $ORDERFLOW_ITEM\ntest -e go || sleep 600\necho 1\n```\n";
    let paused = |jobs: &str, waited: &str| {
        let place = Place::new(WAITING);
        place.write(
            "items.jsonl",
            "{\"id\": \"one\"}\n{\"id\": \"two\"}\n{\"id\": \"six\"}\n{\"id\": \"ten\"}\n{\"id\": \"elf\"}\n",
        );
        let mut runner = place.begin(&format!("--items items.jsonl --jobs {jobs}"));
        place.await_file(waited);
        kill_process(Pid::from_child(&runner), Signal::TERM).unwrap();
        assert_eq!(runner.wait().unwrap().code(), Some(143));
        fs::remove_file(place.path("items.jsonl")).unwrap();
        place.write("go", "");
        place
    };
    let place = paused("5", "elf");
    let told = place.orderflow("resume last --trust");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert!(told.err.contains("5 items: 5 succeeded\n"), "{}", told.err);

    let place = paused("1", "one");
    let told = place.orderflow("resume last --trust");
    assert!(told.exit == Some(74) && told.err.contains("items.jsonl"), "{}", told.err);
    let told = place.orderflow("cancel last --trust");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert!(told.err.contains("not started"), "{}", told.err);
    assert!(place.read("session.toon").contains("not_started: "), "{}", place.read("session.toon"));
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let scene = scene();
    let folder = scene.path();
    let told = |args: &[&str]| {
        let output = orderflow(folder, args);
        (String::from_utf8_lossy(&output.stderr).into_owned(), output.status.code())
    };
    assert_eq!(told(&["resume", "last"]).1, Some(2), "there is no run yet");
    assert_eq!(told(&["run", "w.md", "--quiet"]).1, Some(0));
    let home = home(folder).unwrap();
    let (message, code) = told(&["resume", "nonsense"]);
    assert_eq!(code, Some(2), "{message}");

    let lock = journal::Lock::acquire(&home).unwrap();
    let (message, code) = told(&["resume", "last"]);
    assert_eq!(code, Some(8), "{message}");
    drop(lock);

    fs::write(folder.join("items.jsonl"), "{\"id\": \"o1\", \"order\": 7}\n").unwrap();
    // As a runner leaves it that was killed before the trace was written.
    fs::remove_file(home.join("ended")).unwrap();
    let (message, code) = told(&["resume", "last"]);
    assert_eq!(code, Some(6), "{message}");

    let path = home.join(journal::FILE);
    let mut bytes = fs::read(&path).unwrap();
    // Wherever it stands: pages may be left over that nobody reads any more.
    let places: Vec<usize> =
        (0..bytes.len() - 9).filter(|at| bytes[*at..].starts_with(b"\"started\"]")).collect();
    places.iter().for_each(|at| bytes[*at] ^= 1);
    fs::write(&path, bytes).unwrap();
    let (message, code) = told(&["resume", "last"]);
    assert_eq!(code, Some(7), "{message}");
    assert!(message.contains("is damaged at row"), "{message}");
}

#[test]
fn a_run_is_a_folder_that_can_be_carried_elsewhere() {
    let scene = scene();
    let folder = scene.path();
    let items = fs::read(folder.join("items.jsonl")).unwrap();
    fs::remove_file(folder.join("items.jsonl")).unwrap();
    let mut command = command(folder, &["run", "w.md", "--quiet", "--items", "-"]);
    let mut runner =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(&mut runner.stdin.take().unwrap(), &items).unwrap();
    while effects(folder).is_empty() {
        assert!(runner.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    Command::new("kill").args(["-TERM", &runner.id().to_string()]).status().unwrap();
    assert_eq!(runner.wait().unwrap().code(), Some(143));

    let elsewhere = TempDir::new().unwrap();
    let copied =
        Command::new("cp").arg("-r").arg(home(folder).unwrap()).arg(elsewhere.path().join("run")).status();
    assert!(copied.unwrap().success());
    let refused = orderflow(elsewhere.path(), &["resume", "run"]);
    assert_eq!(refused.status.code(), Some(4), "it was not started there");
    assert_eq!(orderflow(elsewhere.path(), &["adopt", "run", "--yes"]).status.code(), Some(0));
    let output = orderflow(elsewhere.path(), &["resume", "run"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("6 items: 3 succeeded, 3 compensated"), "{told}");
    assert!(elsewhere.path().join("session.toon").exists());
}

#[test]
fn what_a_dead_runner_has_left_is_ended_before_the_run_goes_on() {
    let folder = TempDir::new().unwrap();
    let document = "# T\n\n## Work\nname::String → made::String\n\n```sh run\n\
        test ! -e pid || { cat pid; exit; }\necho $$ > pid.new\nmv pid.new pid\nsleep 600 & wait\n```\n";
    fs::write(folder.path().join("w.md"), document).unwrap();
    let mut runner = start(folder.path(), &["run", "w.md", "--trust", "--quiet", "--input", "name=x"]);
    let pid = folder.path().join("pid");
    while !pid.exists() {
        assert!(runner.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    let left = PathBuf::from("/proc").join(fs::read_to_string(&pid).unwrap().trim());
    // That it was started is kept soon after.
    while journal_size(folder.path()) == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    kill(&mut runner);
    assert!(left.exists(), "it outlives its runner");
    let output = orderflow(folder.path(), &["resume", "last", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!left.join("cmdline").exists() || fs::read(left.join("cmdline")).unwrap().is_empty());
}

/// Processes that the journal knows.
fn journal_size(folder: &Path) -> usize {
    let (_, records) = journal::read(&home(folder).unwrap()).unwrap();
    let mut count = 0;
    let each = |record| -> Result<(), Unreadable> {
        count += usize::from(matches!(record, Record::Spawned(_)));
        Ok(())
    };
    records.each(each).unwrap();
    count
}
