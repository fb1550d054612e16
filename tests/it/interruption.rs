//! Signals and deadlines from outside: what stops, what is left, what the trace says.

use crate::place::Place;
use crate::program::{Told, told};
use rustix::process::{Pid, Signal, kill_process};
use std::process::Child;
use std::time::{Duration, Instant};

/// Two items of two steps; the first step of the second item waits to be stopped.
const WAITING: &str = "\
# T
## A
order -> a
```sh run
grep -q '\"wait\"' || { echo 1; exit 0; }
trap 'echo $$ > stopped; exit 7' TERM
sh -c 'echo $$ > number; mv number sleeper; exec sleep 1000' &
wait
```
## B
a -> b
```sh run
echo 2
```
";

fn place() -> Place {
    let place = Place::new(WAITING);
    place.write("items.jsonl", "{\"id\":\"quick\"}\n{\"id\":\"wait\"}\n{\"id\":\"later\"}\n");
    place
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn ended(child: Child) -> Told {
    told(child.wait_with_output().unwrap())
}

/// Whether the process whose number stands in the file is gone.
fn is_gone(place: &Place, file: &str) -> bool {
    let pid = place.read(file);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

/// Whether a run that is started from here ignores a signal, as after nohup.
fn is_ignored_here(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    u64::from_str_radix(mask, 16).unwrap() >> (signal.as_raw() - 1) & 1 == 1
}

#[test]
fn a_signal_lets_the_steps_end_and_is_told_by_the_exit() {
    for (signal, exit) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)] {
        if is_ignored_here(signal) {
            eprintln!("not tried: these tests were started to ignore {signal:?}");
            continue;
        }
        let place = place();
        let child = place.begin("--items items.jsonl --jobs 1");
        place.await_file("sleeper");
        send(&child, signal);
        let told = ended(child);
        assert_eq!(told.exit, Some(exit), "{}", told.err);
        assert!(place.path("stopped").exists(), "the program was asked to end");
        place.until("what the program has started ends", || is_gone(&place, "sleeper"));
        let expected = "\
stopping: the run was interrupted; 1 running step was asked to end and may take 10s; Ctrl-C again kills at once
3 items: 1 succeeded, 1 in flight, 1 not started
the run is paused; continue it with orderflow resume NAME
trace written to session.toon
";
        let words: Vec<&str> = told.err.split(' ').collect();
        let name = words.iter().skip_while(|word| **word != "resume").nth(1).unwrap_or(&"");
        let name = name.lines().next().unwrap_or_default();
        assert_eq!(told.err.replace(&format!("resume {name}\n"), "resume NAME\n"), expected);
        // It says how far the run has come, and no more than its journal.
        assert_eq!(place.rows("session.toon"), ["A quick #1 success", "B quick #1 success"]);
        assert!(place.read("session.toon").contains("succeeded: 1\n  in_flight: 1\n  not_started: 1\n"));
        assert_eq!(place.orderflow("show last --session shown.toon").exit, Some(0));
        assert_eq!(place.read("shown.toon"), place.read("session.toon"));
        assert!(place.read("session.toon").ends_with("\ncomplete: false\n"));
        assert!(told.out.contains("1 succeeded, 1 in flight, 1 not started"), "{}", told.out);
        let stats = place.orderflow("stats session.toon");
        assert_eq!(stats.exit, Some(0));
        assert_eq!(stats.err, "session.toon: the run was stopped before it had done all its items\n");
        // Rows do not say which item was in flight, so the mean of those that ended is known to the run alone.
        let known = |line: &&str| !line.starts_with("an item ");
        let all = |text: &str| text.split_inclusive('\n').filter(known).collect::<String>();
        assert!(all(&told.out).ends_with(&stats.out), "{}", stats.out);
        let again = place.orderflow("run flow.md --replay=session.toon --session again.toon --quiet");
        assert_eq!((again.exit, again.err.as_str()), (Some(0), ""));
        assert!(again.out.contains("1 succeeded, 1 not started"), "{}", again.out);
        assert!(place.read("again.toon").ends_with("\ncomplete: false\n"));
    }
}

/// What a paused run has done comes into its document once it has come to its end, all of it.
#[test]
fn a_paused_run_leaves_its_document_alone() {
    let document = "# T\n## A\no -> a\n```sh run\n: > ready\ntest -e go || sleep 1000\necho 1\n```\n";
    let place = Place::new(document);
    let child = place.begin("--input o=1 --write");
    place.await_file("ready");
    send(&child, Signal::TERM);
    let told = ended(child);
    assert_eq!(told.exit, Some(143), "{}", told.err);
    assert_eq!(place.read("flow.md"), document);
    place.write("go", "");
    let told = place.orderflow("resume last --trust");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert!(told.err.ends_with("1 execution written into flow.md\n"), "{}", told.err);
    assert_eq!(place.orderflow("verify flow.md").err, "flow.md: 1 row of 1 item, no difference\n");
}

#[test]
fn a_second_signal_kills() {
    let place = Place::new(
        "# T\n## A\no -> a\n```sh run\ntrap ': > asked' TERM\n: > ready\nwhile :; do sleep 1000 & wait; done\n```\n",
    );
    let child = place.begin("--input o=1");
    place.await_file("ready");
    let begin = Instant::now();
    send(&child, Signal::TERM);
    place.await_file("asked");
    send(&child, Signal::TERM);
    let told = ended(child);
    assert_eq!(told.exit, Some(143), "{}", told.err);
    assert!(begin.elapsed() < Duration::from_secs(9), "it did not wait for the end of the grace");
    assert_eq!(place.rows("session.toon"), [""; 0]);
}

#[test]
fn signals_that_were_ignored_at_the_start_stay_so() {
    for (name, signal) in [("HUP", Signal::HUP), ("INT", Signal::INT)] {
        let place = Place::new(
            "# T\n## A\no -> a\n```sh run\n: > ready\nuntil test -e go; do sleep 0.01; done\necho 1\n```\n",
        );
        let script = format!("trap '' {name}; exec \"$0\" run flow.md --trust --input o=1");
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_orderflow")]).current_dir(place.folder());
        let quiet = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut child = quiet.spawn().unwrap();
        place.await_file("ready");
        send(&child, signal);
        place.write("go", "");
        assert_eq!(child.wait().unwrap().code(), Some(0), "{name}");
    }
}

/// A terminal that is closed hangs up on all that runs in it; nobody can read what is said then.
#[test]
fn a_closed_terminal_pauses_a_run() {
    let place =
        Place::new("# T\n## A\no -> a\n```sh run\n: > ready\ntest -e go || sleep 1000\necho 1\n```\n");
    // The shell of the terminal ends, and with it all in its foreground hear of it, of which one tells of the exit.
    place.write(
        "inner.sh",
        &format!(
            "trap : HUP\n{} run flow.md --trust --input o=1\necho $? > part\nmv part exit\n",
            env!("CARGO_BIN_EXE_orderflow")
        ),
    );
    let mut terminal = std::process::Command::new("script");
    terminal.args(["-qec", "sh inner.sh; true", "/dev/null"]).current_dir(place.folder());
    terminal.env("XDG_STATE_HOME", place.path(".state"));
    terminal.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let mut terminal = terminal.spawn().unwrap();
    place.await_file("ready");
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    place.await_file("exit");
    assert_eq!(place.read("exit"), "143\n");
    assert!(place.read("session.toon").ends_with("\ncomplete: false\n"));
    place.write("go", "");
    let told = place.orderflow("resume last --trust");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(place.rows("session.toon"), ["A 1 #1 success"]);
}

#[test]
fn a_run_that_takes_too_long_is_stopped() {
    let place = place();
    let told = place.run("--items items.jsonl --jobs 1 --deadline 4s");
    assert_eq!(told.exit, Some(124), "{}", told.err);
    assert!(told.err.contains("3 items: 1 succeeded, 1 cancelled, 1 not started\n"), "{}", told.err);
    let rows = place.rows("session.toon");
    assert_eq!(rows.last().unwrap(), "A wait #1 cancelled (cancelled: the run's deadline passed)");
}

#[test]
fn a_step_that_takes_too_long_is_stopped_with_all_that_it_started() {
    let place = place();
    let limited =
        |limit: &str| place.write("flow.md", &WAITING.replace("## A\n", &format!("## A {limit}\n")));
    limited("[deadline:: 3s]");
    let told = place.run("--items items.jsonl");
    assert!(told.err.contains("wait: A: the step's deadline passed after 3s\n"), "{}", told.err);
    limited("[timeout:: 3s]");
    let told = place.run("--items items.jsonl");
    assert_eq!(told.exit, Some(1), "{}", told.err);
    assert!(told.err.contains("wait: A: timed out after 3s\n"), "{}", told.err);
    assert_eq!(place.rows("session.toon")[2], "A wait #1 timeout (timed out after 3s)");
    place.until("what the program has started ends", || is_gone(&place, "sleeper"));
}

#[test]
fn a_stopped_attempt_of_a_run_that_is_given_up_later_says_what_is_known_of_it() {
    let place = place();
    let child = place.begin("--items items.jsonl --jobs 1");
    place.await_file("sleeper");
    send(&child, Signal::TERM);
    assert_eq!(ended(child).exit, Some(143));
    let told = place.orderflow("cancel last --trust");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let told = place.orderflow("show last --item wait");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    let known = "    fails: interrupted, and not retried, because the run was cancelled\n";
    assert!(told.out.contains(known), "{}", told.out);
}
