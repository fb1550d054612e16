//! What a run says, to people, to scripts and to terminals.

use crate::place::{Place, says};
use crate::run::{GREET, ORDERS};
use serde_json::{Value, json};
use std::process::Command;

#[test]
fn failures_are_shown_with_the_last_lines_of_the_log() {
    let place = Place::new(ORDERS);
    place.write("orders.jsonl", "{\"id\":\"o1\"}\n{\"id\":\"o2\",\"why\":\"no stock\"}\n{\"id\":\"o3\"}\n");
    let err = "\
o2: Check Order failed: exited with 1: no stock
  | looked at o2
  | no stock
3 items: 2 succeeded, 1 failed, more than tolerated
  o2: Check Order: exited with 1: no stock
trace written to session.toon
run [..]:
  orderflow show [..] --failed  failures by cause, with their logs
  orderflow retry [..]          retry the failed items
";
    let told = place.run("--items orders.jsonl --jobs 1");
    says(&told, 1, "...\n", err);
    let rows = [
        "CheckOrder o1 #1 success",
        "CheckOrder o2 #1 failed (exited with 1: no stock)",
        "CheckOrder o3 #1 success",
    ];
    assert_eq!(place.rows("session.toon"), rows);

    let tolerated = err.replace(", more than tolerated", "");
    says(&place.run("--items orders.jsonl --jobs 1 --tolerate 1"), 0, "...\n", &tolerated);
    says(&place.run("--items orders.jsonl --jobs 1 --tolerate 34%"), 0, "...\n", &tolerated);
    says(&place.run("--items orders.jsonl --jobs 1 --tolerate 33%"), 1, "...\n", err);
    let stopped = place.run("--items orders.jsonl --jobs 1 --on-item-error stop");
    assert_eq!(stopped.exit, Some(1));
    assert!(stopped.err.contains("1 not started"), "{}", stopped.err);
}

#[test]
fn usage_is_told_apart_from_data() {
    let place = Place::new(GREET);
    for args in [
        "run",
        "run flow.md --jobs 0",
        "run flow.md --deadline soon",
        "run flow.md --tolerate x%",
        "run flow.md --nonsense",
    ] {
        let told = place.orderflow(args);
        assert_eq!((told.exit, told.out.as_str()), (Some(2), ""), "{args}");
        assert!(told.err.starts_with("error: "), "{args}: {}", told.err);
    }
    let missing = place.orderflow("run missing.md");
    says(&missing, 74, "", "error: cannot read missing.md: No such file or directory (os error 2)\n");
    assert_eq!(place.files(), ["flow.md"]);
}

#[test]
fn what_agents_say_reaches_no_terminal_as_it_is() {
    let document = "# T\n## A\no -> a::String\n```sh run\nprintf '\\033]0;title\\007answer'\n```\n## B\na -> b\n```sh run\nprintf '\\033[31mred\\n' >&2\necho '{\"error\": \"\\u001b[2Jgone\"}'\n```\n";
    let place = Place::new(document);
    place.write("items.jsonl", "{\"id\": \"k\\u001b[2J\"}\n");
    let told = place.run("--items items.jsonl");
    assert_eq!(told.exit, Some(1));
    assert!(told.err.contains("| \u{fffd}[31mred\n"), "{}", told.err);
    assert!(told.err.contains("\u{fffd}[2Jgone"), "{}", told.err);
    for text in [&told.out, &told.err] {
        let hidden = text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(hidden, None, "{text}");
    }
}

#[test]
fn names_of_files_reach_no_terminal_as_they_are() {
    let place = Place::new(GREET);
    let name = "a\u{1b}[2J.jsonl";
    place.write(name, "{\"id\": \"Ada\", \"name\": \"Ada\"}\n");
    let refused = place.run(&format!("--items {name} --item unknown"));
    assert_eq!(refused.exit, Some(3));
    assert!(refused.err.contains("a\u{fffd}[2J.jsonl holds 1 item\n"), "{}", refused.err);
    let told = place.run("--input name=Ada --session a\u{1b}[2J.toon");
    assert!(told.err.contains("\ntrace written to a\u{fffd}[2J.toon\nrun "), "{}", told.err);
    assert!(!refused.err.contains('\u{1b}') && !told.err.contains('\u{1b}'));
}

#[test]
fn a_terminal_is_coloured_unless_it_wants_none() {
    let place = Place::new(GREET);
    let terminal = |env: &[(&str, &str)], args: &str| {
        let program = format!("{} {args}", env!("CARGO_BIN_EXE_orderflow"));
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &program, "/dev/null"]).current_dir(place.folder()).env("TERM", "xterm");
        terminal.env_remove("NO_COLOR").env_remove("CI").envs(env.iter().copied());
        String::from_utf8(terminal.stdin(std::process::Stdio::null()).output().unwrap().stdout).unwrap()
    };
    let args = "run flow.md --input nam=1";
    assert!(terminal(&[], args).contains("\u{1b}[1m\u{1b}[31merror"), "{:?}", terminal(&[], args));
    assert!(!terminal(&[("NO_COLOR", "1")], args).contains('\u{1b}'));
    let escapes = place.run("--input nam=1");
    assert!(!escapes.err.contains('\u{1b}'));
}

#[test]
fn what_is_odd_about_a_run_is_told_in_words_that_help() {
    let place = Place::new("# D\n\n## Say Yes @yes\no::JSON -> a::Boolean\n");
    place.write("orderflow.toml", "[agents.yes]\nconcurrency = 2\n");
    let told = place.run("--input o=1");
    assert_eq!(told.exit, Some(3));
    assert!(
        told.err.contains(
            "orderflow.toml does not say how it is called: bind it to a program (command, worker, container), a service (http), \
             a tool (mcp), a model (model) or a coding agent (acp, preset), such as command = [\"python3\", \"agent.py\"]\n"
        ),
        "{}",
        told.err
    );

    place.write("orderflow.toml", "[agents.yes]\ncommand = [\"echo\", \"yes\"]\n");
    let told = place.run("--input o=1");
    assert_eq!(told.exit, Some(1));
    assert!(
        told.err.starts_with("1: Say Yes failed: output `a`: expected Boolean, got `yes`\n"),
        "{}",
        told.err
    );

    place.write("none.jsonl", "");
    let told = place.run("--items none.jsonl");
    assert_eq!(told.exit, Some(0));
    assert!(told.err.starts_with("warning: no items in none.jsonl\n"), "{}", told.err);
}

#[test]
fn a_log_that_is_the_message_is_shown_once_and_an_optional_failure_is_told_apart() {
    let place =
        Place::new("# D\n\n## Say ?\no::JSON -> a::Boolean\n\n```sh run\necho gone >&2; exit 1\n```\n");
    let told = place.run("--input o=1");
    assert_eq!(told.exit, Some(0));
    assert!(
        told.err
            .starts_with("1: Say failed: exited with 1: gone (optional step, the item continues)\n1 item:"),
        "{}",
        told.err
    );
}

#[test]
fn a_language_that_nothing_here_runs_is_told_once() {
    let place = Place::new("# Sums\n\n## Add\na::String → b::String\n\n```cobol run\nADD 1 TO A\n```\n");
    let told = place.run("--input a=1");
    assert_eq!(told.exit, Some(3));
    assert_eq!(told.err.matches("unknown language `cobol`").count(), 1, "{}", told.err);
    assert!(told.err.contains("not every step can be done; nothing was run"), "{}", told.err);
}

/// GitHub obeys lines that begin with `::`, wherever they come from.
#[test]
fn no_item_commands_a_ci_system() {
    let place =
        Place::new("# T\n## A\nname::String -> a::String\n```sh run\necho '##[error]x' >&2\nexit 65\n```\n");
    place.write("items.jsonl", "{\"id\": \"::error file=a::no\", \"name\": \"x\"}\n");
    let told = place.run("--items items.jsonl");
    let shown = place.orderflow("show last");
    for text in [&told.out, &told.err, &shown.out] {
        let armed = |line: &str| line.trim_start().starts_with("::") || line.trim_start().starts_with("##[");
        assert_eq!(text.lines().find(|line| armed(line)), None, "{text}");
    }
    assert!(told.out.contains("\u{fffd}:error file=a::no"), "{}", told.out);
}

#[test]
fn the_result_as_json_names_the_run_and_its_failed_items() {
    let place = Place::new(ORDERS);
    place.write("orders.jsonl", "{\"id\":\"o1\"}\n{\"id\":\"o2\",\"why\":\"no stock\"}\n");
    let told = place.run("--items orders.jsonl --format json");
    assert_eq!(told.exit, Some(1), "{}", told.err);
    let result: Value = serde_json::from_str(&told.out).unwrap();
    let failed = json!([{ "key": "o2", "step": "Check Order", "error": "exited with 1: no stock" }]);
    assert_eq!(result["failed"], failed);
    let runs = place.orderflow("runs --format json").out;
    let runs: Value = serde_json::from_str(&runs).unwrap();
    assert_eq!((&result["run"]["id"], runs.as_array().unwrap().len()), (&runs[0]["run"], 1));
    let again = place.orderflow("retry last --trust --format json");
    let again: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!((&again["failed"], &again["run"]["id"]), (&failed, &result["run"]["id"]));
}

/// A program's message is not hidden behind the long path of the program.
#[test]
fn the_path_of_a_program_in_the_document_is_left_out_of_its_error() {
    let place = Place::new("# T\n## A\nx -> y\n```sh run\nno-such-program\n```\n");
    let told = place.run("--input x=1");
    let line = "  1: A: exited with 127: program-0: 1: no-such-program: not found\n";
    assert!(told.err.contains(line), "{}", told.err);
}

#[test]
fn a_retry_that_is_refused_does_not_report_that_it_retries() {
    let place = Place::new(ORDERS);
    place.write("orders.jsonl", "{\"id\":\"o1\",\"why\":\"no stock\"}\n");
    assert_eq!(place.run("--items orders.jsonl --quiet").exit, Some(1));
    let changed = ORDERS.replace("order::Order -> fine::Boolean", "order::Order -> good::Boolean");
    place.write("flow.md", &changed);
    let refused = place.orderflow("retry last --trust --use-current --jobs 0");
    assert!(!refused.err.contains("retrying") && refused.exit == Some(2), "{}", refused.err);
    let told = place.orderflow("retry last --trust");
    assert!(told.err.contains("\nretrying 1 failed item\n"), "{}", told.err);
}
