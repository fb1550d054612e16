//! `-` in the place of a file is standard input or output, and `@` in the place of a value is a file.

use crate::place::{Place, says};
use std::io::Write;
use std::process::Stdio;

const ECHO: &str = "# T\n\n## Echo\nuser::String -> said::String\n\n```sh run\ntouch ran\ntest \"$IN_USER\" != bad || exit 65\nprintf '%s' \"$IN_USER\"\n```\n";

/// What `orderflow` says with this on standard input.
fn reading(place: &Place, args: &str, text: &str) -> (String, String, Option<i32>) {
    let mut command = place.command(args);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

#[test]
fn a_trace_on_standard_output_stands_alone_there() {
    let place = Place::new(ECHO);
    let told = place.run("--input user=Ada --session -");
    assert_eq!(told.exit, Some(0), "{}", told.err);
    assert!(told.err.starts_with("1 item: 1 succeeded\nrun "), "{}", told.err);
    assert!(told.out.starts_with("orderflow: 1\n") && told.out.ends_with("complete: true\n"), "{}", told.out);
    let shown = place.orderflow("show last --session -");
    assert_eq!((shown.exit, shown.out.as_str(), shown.err.as_str()), (Some(0), told.out.as_str(), ""));
    let (again, err, exit) = reading(&place, "run flow.md --replay=- --session -", &told.out);
    assert_eq!(exit, Some(0), "{err}");
    let rows = |text: &str| text.lines().filter(|line| line.starts_with("  Echo,null,null,Ada,Ada,")).count();
    assert_eq!((rows(&again), rows(&told.out)), (1, 1), "{again}");
    assert_eq!(place.files(), [".orderflow", "flow.md", "ran"], "no file is called -");

    let both = place.run("--input user=Ada --session - --format json");
    let why = "error: --session - and --format json both write to standard output; nothing was run\n  \
               help: name a file for the trace: --session FILE\n";
    says(&both, 2, "", why);
}

#[test]
fn failed_items_go_through_pipes() {
    let place = Place::new(ECHO);
    let failed = place.run("--input user=bad --session -");
    assert_eq!(failed.exit, Some(1), "{}", failed.err);
    let letters = place.orderflow("show last --dead-letters -o -");
    assert_eq!((letters.exit, letters.err.as_str()), (Some(0), ""));
    assert!(letters.out.starts_with("dead_letters[1]{"), "{}", letters.out);
    assert_eq!(place.orderflow("show last --dead-letters").out, letters.out);
    let (out, err, exit) = reading(&place, "retry last --items -", &letters.out);
    assert_eq!(exit, Some(1), "{err}");
    assert!(out.starts_with("orderflow: 1\n") && err.starts_with("retrying 1 failed item\n"), "{out}{err}");
    let (out, err, exit) = reading(&place, "retry last --items - --format json", &letters.out);
    assert!(exit == Some(1) && out.starts_with('{'), "{out}{err}");
    for folder in ["show last --files -", "runs --state -", "init -"] {
        let told = place.orderflow(folder);
        assert_eq!(told.exit, Some(2), "{folder}");
        assert!(told.err.contains("a folder is needed here; write ./- for one of this name"), "{}", told.err);
    }
    assert!(!place.path("-").exists());
}

#[test]
fn nobody_needs_to_read_the_whole_trace() {
    let place = Place::new(ECHO);
    let mut command = place.command("run flow.md --trust --quiet --input user=Ada --session -");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}

#[test]
fn a_text_may_begin_with_the_sign_for_a_file() {
    let place = Place::new(ECHO);
    for (given, said) in [("@@alice", "@alice"), ("@@", "@"), ("@@@a", "@@a"), ("a@b", "a@b")] {
        let told = place.run(&format!("--input user={given} --session -"));
        assert_eq!(told.exit, Some(0), "{}", told.err);
        assert!(told.out.contains(&format!(",{said},{said},")), "{given}: {}", told.out);
    }
    let (out, err, exit) = reading(&place, "run flow.md --trust --input user=@- --session -", "Bo\n");
    assert!(exit == Some(0) && out.contains(",Bo,Bo,"), "{out}{err}");
    let twice = place.run("--input user=Ada --input user=@@Bo");
    let why = "error: --input user is given twice: `Ada` and `@@Bo`; nothing was run\n  help: leave out one of them\n";
    says(&twice, 2, "", why);
    let missing = place.run("--input user=@alice");
    assert_eq!(missing.exit, Some(74));
    assert!(
        missing.err.ends_with("help: for the text @alice, write --input user=@@alice\n"),
        "{}",
        missing.err
    );
}
