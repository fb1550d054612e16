//! Each run's own trace, which no other run replaces, and the rows that `show --write` adds later.

use crate::place::Place;
use std::fs;
use std::path::PathBuf;
use std::process::{Output, Stdio};

const WAITS: &str = "# T\n\n## Echo\nuser::String -> said::String\n\n```sh run\n: > began.$IN_USER\n\
                     until test -e go; do sleep 0.02; done\ntest \"$IN_USER\" != bad || exit 65\nprintf '%s' \"$IN_USER\"\n```\n";

/// The folders of all runs, the latest last.
fn homes(place: &Place, store: &str) -> Vec<PathBuf> {
    let runs = fs::read_dir(place.path(store).join("runs")).unwrap();
    let mut homes: Vec<PathBuf> = runs.map(|entry| entry.unwrap().path()).collect();
    homes.sort();
    homes
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn what_runs_at_once_could_not_write_is_added_later_and_once() {
    let place = Place::new(WAITS);
    let users = ["Ada", "Bo", "Cy"];
    let runners = users.map(|user| {
        let args = format!("run flow.md --trust --write --quiet --input user={user}");
        let runner = place.command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        place.until("the step has begun", || place.path(&format!("began.{user}")).exists());
        runner
    });
    place.write("go", "");
    let ended = runners.map(|runner| runner.wait_with_output().unwrap());
    let mut exits: Vec<_> = ended.iter().map(|output| output.status.code().unwrap()).collect();
    exits.sort_unstable();
    assert_eq!(exits, [0, 6, 6], "{}", ended.iter().map(err).collect::<String>());
    for ((user, home), output) in users.iter().zip(homes(&place, ".orderflow")).zip(&ended) {
        let own = fs::read_to_string(home.join("session.toon")).unwrap();
        assert!(own.contains(&format!(",{user},{user},")), "{own}");
        if output.status.code() == Some(0) {
            continue;
        }
        let err = err(output);
        let help = err.lines().find_map(|line| line.strip_prefix("  help: ")).unwrap();
        let (command, place_of_rows) = help.split_once(" adds them; they are in ").unwrap();
        assert_eq!(place.path(place_of_rows), home.join("session.toon"));
        let told = place.orderflow(command.strip_prefix("orderflow ").unwrap());
        assert_eq!((told.exit, told.err.as_str()), (Some(0), "1 execution written into flow.md\n"));
    }
    let text = place.read("flow.md");
    assert!(users.iter().all(|user| text.contains(&format!(",{user},{user},"))), "{text}");
    assert!(text.contains("execution[3]{"), "{text}");
    for home in homes(&place, ".orderflow") {
        let told = place.orderflow(&format!("show {} --write", home.display()));
        assert_eq!((told.exit, told.err.as_str()), (Some(0), "flow.md has all executions of the run\n"));
    }
    assert_eq!(place.read("flow.md"), text);
    assert_eq!(place.orderflow("verify flow.md").exit, Some(0));
}

#[test]
fn a_retry_adds_only_its_own_rows() {
    let place = Place::new(&WAITS.replace("!= bad", "!= bad -o -e mended"));
    place.write("go", "");
    assert_eq!(place.run("--write --input user=bad").exit, Some(1));
    assert_eq!(place.read("flow.md").matches(",failed,").count(), 1);
    place.write("mended", "");
    assert_eq!(place.orderflow("retry last --quiet").exit, Some(0));
    for said in ["1 execution written into flow.md\n", "flow.md has all executions of the run\n"] {
        let told = place.orderflow("show last --write");
        assert_eq!((told.exit, told.err.as_str()), (Some(0), said));
        let text = place.read("flow.md");
        assert_eq!((text.matches(",failed,").count(), text.matches(",success,").count()), (1, 1), "{text}");
    }
}

#[test]
fn rows_are_added_to_the_document_of_an_own_run_that_has_ended() {
    let place = Place::new(WAITS);
    let refused = |args: &str, exit: i32, why: &str| {
        let told = place.orderflow(args);
        assert_eq!(told.exit, Some(exit), "{args}: {}", told.err);
        assert!(told.err.contains(why), "{args}: {}", told.err);
    };
    let mut runner = place.begin("--input user=Ada");
    place.until("the step has begun", || place.path("began.Ada").exists());
    refused("show last --write", 2, "the run has not ended; nothing was written");
    rustix::process::kill_process(rustix::process::Pid::from_child(&runner), rustix::process::Signal::TERM)
        .unwrap();
    assert_eq!(runner.wait().unwrap().code(), Some(143));
    refused("show last --write", 2, "help: continue it with orderflow resume RUN");
    place.write("go", "");
    assert_eq!(place.orderflow("resume last --trust --quiet").exit, Some(0));
    let before = place.read("flow.md");
    place.write("flow.md", &before.replace("printf", "printf  "));
    refused("show last --write", 6, "flow.md: its steps have changed since the run started");
    place.write("flow.md", &before.replace("# T\n", "# T\n\nProse.\n"));
    let home = homes(&place, ".orderflow").pop().unwrap();
    let foreign = place
        .command(&format!("show {} --write", home.display()))
        .env("XDG_STATE_HOME", place.path("none"))
        .output();
    assert_eq!(foreign.unwrap().status.code(), Some(4), "a run of others names no file to write");
    assert!(!place.read("flow.md").contains("session-toon"));
    assert_eq!(place.orderflow("show last --write").exit, Some(0));
    assert_eq!(place.run("--input user=Bo --only Echo --quiet").exit, Some(0));
    refused("show last --write", 2, "is not written into its document");
}

#[test]
fn a_folder_without_room_for_the_trace_is_only_noted() {
    let place = Place::new(WAITS);
    place.write("go", "");
    let document = place.path("flow.md");
    let run = |more: &str| {
        let args = format!(
            "run {} --trust --input user=Ada --state {}{more}",
            document.display(),
            place.path("state").display()
        );
        let mut command = place.command(&args);
        // Nobody makes files there, not even root.
        let output = command.current_dir("/sys").output().unwrap();
        (output.status.code(), err(&output))
    };
    let work = fs::read_to_string(&document)
        .unwrap()
        .replace(": > began.$IN_USER\nuntil test -e go; do sleep 0.02; done\n", "");
    place.write("flow.md", &work);
    let (exit, told) = run("");
    assert_eq!(exit, Some(0), "{told}");
    let home = homes(&place, "state").pop().unwrap();
    assert!(told.contains("note: cannot write session.toon here: "), "{told}");
    assert!(
        told.contains(&format!("\ntrace written to {}\nrun ", home.join("session.toon").display())),
        "{told}"
    );
    assert!(fs::read_to_string(home.join("session.toon")).unwrap().ends_with("complete: true\n"));
    for refused in [" --session here.toon", " --no-journal"] {
        let (exit, told) = run(refused);
        assert!(exit == Some(2) || exit == Some(74), "{told}");
        assert!(told.contains("; nothing was run\n"), "{told}");
    }
    assert_eq!(homes(&place, "state").len(), 1);
}
