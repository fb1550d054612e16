//! Nothing that a run has started outlives it, whatever it does to get away and whenever the run is cancelled.

use crate::place::Place;
use crate::program::told;
use rustix::process::{Pid, Signal, kill_process};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Processes that live and carry this in their environment: `LEFT=<folder>`, as every agent here exports it.
fn survivors(place: &Place) -> Vec<String> {
    let mark = format!("LEFT={}", place.folder().display());
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let carries = |folder: &Path| {
        let environment = std::fs::read(folder.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
    };
    let name = |folder: &Path| {
        let words = std::fs::read(folder.join("cmdline")).unwrap_or_default();
        format!("{}: {}", folder.display(), String::from_utf8_lossy(&words).replace('\0', " "))
    };
    processes.filter(|folder| carries(folder)).map(|folder| name(&folder)).collect()
}

/// How a process gets away, in sh; each writes its number into the file `away`.
const WAYS: [(&str, &str); 6] = [
    ("in the background, with the pipes", "sh -c 'echo $$ > part; mv part away; exec sleep 1000' &"),
    ("in a session of its own", "setsid sh -c 'echo $$ > part; mv part away; exec sleep 1000' &"),
    (
        "as a daemon",
        "(setsid sh -c '(echo $$ > /dev/null; exec sh -c \"echo \\$\\$ > part; mv part away; exec sleep 1000\") &' \
         > /dev/null 2>&1 < /dev/null &)",
    ),
    (
        "deaf to SIGTERM",
        "setsid sh -c 'trap \"\" TERM; echo $$ > part; mv part away; while :; do sleep 1000; done' &",
    ),
    (
        "under another environment",
        "(env -i LEFT=\"$LEFT\" PATH=\"$PATH\" setsid sh -c 'echo $$ > part; mv part away; exec sleep 1000' \
         > /dev/null 2>&1 < /dev/null &)",
    ),
    (
        "as a grandchild of what waits for it",
        "setsid sh -c 'sh -c \"echo \\$\\$ > part; mv part away; exec sleep 1000\" & wait' &",
    ),
];

/// A workflow whose first step lets something get away; its second sees whether it is still there, in any state.
fn leaves(way: &str) -> Place {
    let document = format!(
        "# T\n## A\no -> a\n```sh run\nexport LEFT=\"$PWD\"\n{way}\nuntil test -e away; do sleep 0.01; done\necho 1\n```\n\
         ## B\na -> b\n```sh run\ntest ! -e /proc/$(cat away)\necho 2\n```\n"
    );
    Place::new(&document)
}

#[test]
fn what_a_step_leaves_behind_is_ended_with_it() {
    for (name, way) in WAYS {
        let place = leaves(way);
        let told = place.run("--input o=1");
        assert_eq!(told.exit, Some(0), "{name}: {}", told.err);
        assert_eq!(place.rows("session.toon"), ["A 1 #1 success", "B 1 #1 success"], "{name}");
        assert_eq!(survivors(&place), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_a_worker_leaves_behind_is_ended_with_it() {
    for (name, way) in WAYS {
        let place = Place::new("# T\n## A @keeper\no -> a\n");
        place.write("orderflow.toml", "[agents.keeper]\nworker = [\"sh\", \"worker.sh\"]\n");
        let worker = format!(
            "export LEFT=\"$PWD\"\nread -r line\nid=${{line#*\\\"id\\\":}}\nid=${{id%%[!0-9]*}}\n{way}\nuntil test -e away; do sleep 0.01; done\n\
             echo '{{\"jsonrpc\":\"2.0\",\"id\":'\"$id\"',\"result\":1}}'\nread -r line\n"
        );
        place.write("worker.sh", &worker);
        let told = place.run("--input o=1");
        assert_eq!(told.exit, Some(0), "{name}: {}", told.err);
        assert_eq!(survivors(&place), Vec::<String>::new(), "{name}");
    }
}

/// What a killed runner has left is ended before its work is done again.
#[test]
fn what_a_dead_runner_has_left_is_ended_first() {
    // One that has left its parents and dropped its environment cannot be known any more.
    let known = WAYS.iter().filter(|(name, _)| *name != "under another environment");
    let resumed = |name: &str, way: &str| {
        let document = format!(
            "# T\n## A\no -> a\n```sh run\nexport LEFT=\"$PWD\"\n\
             if test -e ready; then if grep -q ') [^Z] ' /proc/$(cat away)/stat; then exit 65; fi; echo 1; exit; fi\n\
             {way}\nuntil test -e away; do sleep 0.01; done\n: > ready\nsleep 1000\n```\n"
        );
        let place = Place::new(&document);
        let mut child = place.begin("--input o=1");
        place.await_file("ready");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!survivors(&place).is_empty(), "{name}");
        let told = place.orderflow("resume last");
        assert_eq!(told.exit, Some(0), "{name}: {}", told.err);
        assert!(told.err.starts_with("ended "), "{name}: {}", told.err);
        assert!(told.err.contains(" processes that the last runner had left\n"), "{name}: {}", told.err);
        assert_eq!(survivors(&place), Vec::<String>::new(), "{name}");
    };
    std::thread::scope(|scope| known.for_each(|(name, way)| drop(scope.spawn(|| resumed(name, way)))));
}

/// The daemon of one item is its own while the step runs that started it, whatever else ends meanwhile.
#[test]
fn what_another_step_has_started_is_let_live() {
    for environment in ["", "env -i LEFT=\"$LEFT\" PATH=\"$PATH\" "] {
        let document = format!(
            "# T\n## A\norder -> a\n```sh run\nexport LEFT=\"$PWD\"\n\
             if grep -q quick \"$ORDERFLOW_INPUT\"; then until test -e away; do sleep 0.01; done; echo 1; exit; fi\n\
             ({environment}setsid sh -c 'echo $$ > part; mv part away; exec sleep 1000' > /dev/null 2>&1 < /dev/null &)\n\
             until test -e over; do sleep 0.01; done\nkill -0 $(cat away)\necho 2\n```\n\
             ## B\na -> b\n```sh run\n: > over\necho 3\n```\n"
        );
        let place = Place::new(&document);
        place.write("items.jsonl", "{\"id\":\"slow\"}\n{\"id\":\"quick\"}\n");
        let told = place.run("--items items.jsonl --jobs 2");
        assert_eq!(told.exit, Some(0), "{}", told.err);
        assert_eq!(survivors(&place), Vec::<String>::new());
    }
}

/// What a shell has in the background when it becomes orderflow is its child, but none of its business; what an agent
/// has started is told from it, even without its environment.
#[test]
fn a_child_that_was_there_before_is_let_live() {
    for (name, way) in [WAYS[2], WAYS[4]] {
        let place = leaves(way);
        let script = "(setsid sh -c 'sleep 1000 & echo $! > theirs; wait' > /dev/null 2>&1 &)\n\
                      sleep 1000 > /dev/null 2>&1 & echo $! > stranger; until test -s theirs; do sleep 0.01; done\n\
                      exec \"$0\" run flow.md --trust --input o=1";
        let mut command = Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_orderflow")]).current_dir(place.folder());
        command.env("XDG_STATE_HOME", place.path(".state"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let told = told(command.output().unwrap());
        let lives = ["stranger", "theirs"].map(|file| {
            let pid = Pid::from_raw(place.read(file).trim().parse().unwrap()).unwrap();
            kill_process(pid, Signal::KILL)
        });
        assert_eq!(told.exit, Some(0), "{name}: {}", told.err);
        assert_eq!(lives, [Ok(()), Ok(())], "{name}: the shell's own children were ended");
        assert_eq!(survivors(&place), Vec::<String>::new(), "{name}");
    }
}

/// A program that is deaf to SIGTERM, and goes on as another process in another session as fast as it can.
const FORKER: &str = "\
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
null = os.open('/dev/null', os.O_RDWR)
for fd in range(3): os.dup2(null, fd)
while True:
    if os.fork(): os._exit(0)
    os.setsid()
";

#[test]
fn what_goes_on_as_another_process_again_and_again_is_ended_with_its_step() {
    let place = Place::new(
        "# T\n## A [retry:: 0]\norder -> a\n```sh run\nexport LEFT=\"$PWD\"\npython3 -S forker.py\necho 1\n```\n",
    );
    place.write("forker.py", FORKER);
    place.write("items.jsonl", &(0..16).map(|number| format!("{{\"id\":{number}}}\n")).collect::<String>());
    let told = place.run("--items items.jsonl --jobs 4");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert_eq!(survivors(&place), Vec::<String>::new());
}

#[test]
fn what_goes_on_as_another_process_again_and_again_is_ended_by_a_cancel() {
    let cancelled = |environment: &str| {
        let place = Place::new(&format!(
            "# T\n## A\norder -> a\n```sh run\nexport LEFT=\"$PWD\"\n\
             {environment} python3 -S forker.py\necho 1 > ready\nsleep 1000\n```\n",
        ));
        place.write("forker.py", FORKER);
        let mut child = place.begin("--input order=1");
        place.await_file("ready");
        // Two signals: the second has what runs killed. Two of a kind might be heard as one.
        send(&child);
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert!(matches!(child.wait().unwrap().code(), Some(130 | 143)));
        assert_eq!(survivors(&place), Vec::<String>::new(), "{environment}");
    };
    for _ in 0..6 {
        cancelled("");
        cancelled("env -i LEFT=\"$LEFT\" PATH=\"$PATH\"");
    }
}

#[test]
fn orphans_that_end_are_buried_while_the_run_goes_on() {
    let place = Place::new(
        "# T\n## A [timeout:: 50s]\no -> a\n```sh run\n\
         for number in 1 2 3 4 5 6 7 8; do (setsid sh -c 'echo $$ >> gone' &); done\n\
         until test $(wc -l < gone) = 8; do sleep 0.01; done\n\
         while for pid in $(cat gone); do test ! -e /proc/$pid || echo there; done | grep -q there; do sleep 0.01; done\n\
         echo 1\n```\n",
    );
    place.write("gone", "");
    let told = place.run("--input o=1");
    assert_eq!(told.exit, Some(0), "{}", told.err);
}

#[test]
fn a_third_signal_leaves() {
    let place = Place::new("# T\n## A @nobody\no -> a\n");
    // Nobody reads what it prints, and no more of it goes into the pipe.
    let (unread, full) = std::io::pipe().unwrap();
    let mut other_end = std::fs::OpenOptions::new();
    other_end.write(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
    let mut other_end = other_end.open(format!("/proc/self/fd/{}", full.as_raw_fd())).unwrap();
    while other_end.write(b" ").is_ok() {}
    let mut command = place.command("run flow.md --input o=1 --stub");
    let mut child = command.stdout(full).stderr(Stdio::null()).spawn().unwrap();
    drop(command);
    place.await_file("session.toon");
    let begin = Instant::now();
    let status = loop {
        assert!(begin.elapsed() < PATIENCE, "it does not leave");
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        let _ = kill_process(Pid::from_child(&child), Signal::INT);
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(130));
    drop(unread);
}

/// Items whose agents get away in every way at once, hold the pipes, hear no SIGTERM or end at once.
fn unruly() -> Place {
    let ways: String = WAYS.iter().map(|(_, way)| format!("{way}\n")).collect();
    let [pipes, .., deaf, _, _] = WAYS.map(|(_, way)| way);
    let daemon = WAYS[2].1;
    let document = format!(
        "# T\n## A\norder -> a\n```sh run\nexport LEFT=\"$PWD\"\nmkdir -p $$\ncd $$\ncase \"$ORDERFLOW_ITEM\" in\n\
         *0)\n{pipes}\nwait;;\n*1)\ntrap '' TERM\n{deaf}\nwhile :; do sleep 1000; done;;\n\
         *2)\n{daemon}\nexec >&- 2>&-\nsleep 1000;;\n*3)\necho 1;;\n*)\n{ways}sleep 0.05\necho 1;;\nesac\n```\n\
         ## B @keeper\na -> b\n"
    );
    let place = Place::new(&document);
    let worker =
        format!("export LEFT=\"$PWD\"\nwhile read -r line; do\n{}\n{}\ndone\n", WAYS[1].1, WAYS[4].1);
    place.write("worker.sh", &worker);
    place.write("orderflow.toml", "[agents.keeper]\nworker = [\"sh\", \"worker.sh\"]\nprocesses = 2\n");
    place.write("items.jsonl", &(0..40).map(|number| format!("{{\"id\":{number}}}\n")).collect::<String>());
    place
}

/// A stream of numbers that look random; a seed gives the same again.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Cancels one run at a random moment, and most a second time at another.
fn cancel(seed: u64) {
    let mut random = Random(seed);
    let place = unruly();
    let mut child = place.begin(&format!("--items items.jsonl --jobs {}", 1 + random.below(8)));
    let said = std::thread::scope(|scope| {
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        scope.spawn(move || std::io::read_to_string(out));
        let err = scope.spawn(move || std::io::read_to_string(err));
        std::thread::sleep(Duration::from_millis(random.below(700)));
        send(&child);
        // Who is not asked again waits for the whole grace.
        if random.below(20) > 0 {
            std::thread::sleep(Duration::from_millis(random.below(300)));
            send(&child);
        }
        let begin = Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < PATIENCE, "seed {seed}: the run does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
        err.join().unwrap().unwrap()
    });
    let left = survivors(&place);
    assert!(left.is_empty(), "seed {seed}: {left:#?}\n{said}");
    let status = child.wait().unwrap();
    if status.signal() == Some(Signal::INT.as_raw()) {
        // It came before anybody listened, and so before anything was begun.
        assert!(!place.path("session.toon").exists(), "seed {seed}: {said}");
        return;
    }
    assert_eq!(status.code(), Some(130), "seed {seed}: {said}");
    assert!(place.read("session.toon").ends_with("\ncomplete: false\n"), "seed {seed}");
    let rows = place.rows("session.toon");
    let known = |row: &String| row.contains("success") || row.contains("cancelled");
    assert!(rows.iter().all(known), "seed {seed}: {rows:#?}");
}

fn send(child: &Child) {
    let _ = kill_process(Pid::from_child(child), Signal::INT);
}

/// `ORDERFLOW_CANCELS=500` tries more of them, `ORDERFLOW_SEED` begins with another.
#[test]
fn random_cancels_leave_no_survivor() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let count: u64 = number("ORDERFLOW_CANCELS").unwrap_or(24);
    let first: u64 = number("ORDERFLOW_SEED").unwrap_or(1);
    let next = Mutex::new(first..first + count);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let Some(seed) = next.lock().unwrap().next() else { return };
                    cancel(seed);
                }
            });
        }
    });
}
