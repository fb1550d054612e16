//! No command writes a file that it also uses for something else, whatever path leads to it.

use crate::place::{Place, says};

const ECHO: &str = "# T\n\n## Echo\nuser::String -> said::String\n\n```sh run\ntouch ran\ntest \"$IN_USER\" != bad || exit 65\nprintf '%s' \"$IN_USER\"\n```\n";

fn place() -> Place {
    let place = Place::new(ECHO);
    place.write("orderflow.toml", "# no agents\n");
    place.write("items.csv", "user\nAda\n");
    place.write("in/exchanges.jsonl", "");
    std::os::unix::fs::symlink("flow.md", place.path("link.md")).unwrap();
    std::os::unix::fs::symlink("new.toon", place.path("dangling")).unwrap();
    std::os::unix::fs::symlink("orderflow.toml", place.path("link.toml")).unwrap();
    std::fs::hard_link(place.path("items.csv"), place.path("hard.csv")).unwrap();
    place
}

#[test]
fn a_run_writes_no_file_for_two_things() {
    let place = place();
    let before = place.files();
    for (args, why) in [
        ("--session flow.md", "`--session` names the document: flow.md"),
        ("--session in/../flow.md", "`--session` names the document: in/../flow.md"),
        ("--session link.md", "`--session` names the document: link.md"),
        ("--session orderflow.toml", "`--session` names the settings: orderflow.toml"),
        ("--session link.toml", "`--session` names the settings: link.toml"),
        ("--session hard.csv --items items.csv", "`--session` and `--items` name the same file: hard.csv"),
        (
            "--session new.toon --record in/../new.toon",
            "`--session` and `--record` name the same file: new.toon",
        ),
        ("--session new.toon --record dangling", "`--session` and `--record` name the same file: new.toon"),
        ("--record flow.md", "`--record` names the document: flow.md"),
        ("--record link.toml", "`--record` names the settings: link.toml"),
        ("--record in/../session.toon", "`--record` names the trace: in/../session.toon"),
        (
            "--session in/exchanges.jsonl --exchanges in/../in/exchanges.jsonl",
            "`--session` and `--exchanges` name the same file: in/exchanges.jsonl",
        ),
        (
            "--replay=items.csv --session items.csv",
            "`--session` and `--replay` name the same file: items.csv",
        ),
        ("--replay --session link.md", "`--session` names the document: link.md"),
    ] {
        let told = place.run(args);
        let (option, _) = args
            .trim_start_matches("--replay=items.csv ")
            .trim_start_matches("--replay ")
            .split_once(' ')
            .unwrap();
        let end = if args.contains("--replay") { "nothing was replayed" } else { "nothing was run" };
        says(&told, 2, "", &format!("error: {why}; {end}\n  help: name another file with {option}\n"));
        assert_eq!(place.files(), before, "{args}");
    }
    assert_eq!(place.read("flow.md"), ECHO);
    let told = place.run("--input user=Ada --session /dev/null --quiet");
    assert_eq!(told.exit, Some(0), "{}", told.err);
}

#[test]
fn show_and_retry_write_no_file_for_two_things() {
    let place = place();
    assert_eq!(place.run("--input user=bad --quiet").exit, Some(1));
    for (args, why) in [
        ("show last --session flow.md", "`--session` names the document: flow.md; nothing was written"),
        ("show last --session link.md", "`--session` names the document: link.md; nothing was written"),
        (
            "show last --dead-letters --force --output link.toml",
            "`--output` names the settings: link.toml; nothing was written",
        ),
        (
            "show last --dead-letters --output orderflow.toml",
            "`--output` names the settings: orderflow.toml; nothing was written",
        ),
        ("retry last --trust --record flow.md", "`--record` names the document: flow.md; nothing was run"),
        (
            "retry last --trust --record session.toon",
            "`--record` names the trace: session.toon; nothing was run",
        ),
    ] {
        let told = place.orderflow(args);
        let option = why.split('`').nth(1).unwrap();
        says(&told, 2, "", &format!("error: {why}\n  help: name another file with {option}\n"));
    }
    assert_eq!(
        (place.read("flow.md").as_str(), place.read("orderflow.toml").as_str()),
        (ECHO, "# no agents\n")
    );
    assert_eq!(place.rows("session.toon").len(), 1);
}

/// The documents of steps are the run's, too.
#[test]
fn a_run_does_not_write_the_document_of_a_step() {
    let place = Place::new("# T\n\n## Review\n[document:: review.md]\nuser::String -> said::String\n");
    place.write("review.md", &ECHO.replace("# T", "# Review"));
    let told = place.run("--input user=Ada --session ./review.md");
    let why = "error: `--session` names a document that a step runs: ./review.md; nothing was run\n  \
               help: name another file with --session\n";
    says(&told, 2, "", why);
    assert_eq!(place.read("review.md"), ECHO.replace("# T", "# Review"));
}
