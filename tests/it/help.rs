//! The help of every command, at 80 columns.

use crate::program::command;
use std::path::Path;

/// The widest line.
const WIDTH: usize = 80;

/// Commands and subcommands, each with its long help at 80 columns.
pub fn all() -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut open = vec![String::new()];
    while let Some(name) = open.pop() {
        let help = help(&name, "--help");
        let names = commands(&help).into_iter().filter(|name| *name != "help");
        open.extend(names.map(|sub| format!("{name} {sub}").trim().to_owned()));
        all.push((format!("orderflow {name} --help"), help));
    }
    all
}

/// The names of the commands that a help lists.
pub fn commands(help: &str) -> Vec<&str> {
    // What wraps is further in.
    let lines = section(help, "Commands:").into_iter();
    let first = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    first.filter_map(|line| line.split_whitespace().next()).collect()
}

pub fn help(name: &str, option: &str) -> String {
    let mut command = command(Path::new("."));
    command.args(name.split_whitespace()).arg(option).env("COLUMNS", WIDTH.to_string());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The paragraph below a heading.
fn section<'a>(help: &'a str, heading: &str) -> Vec<&'a str> {
    help.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.is_empty()).collect()
}

#[test]
fn no_line_is_too_wide_and_the_first_says_what_the_command_does() {
    let mut wrong = Vec::new();
    let all = all();
    assert!(all.len() > 18, "{}", all.len());
    for (command, long) in &all {
        let name = command.trim_start_matches("orderflow").trim_end_matches("--help");
        for text in [long, &help(name, "-h")] {
            let wide = text.lines().filter(|line| line.chars().count() > WIDTH);
            wrong.extend(wide.map(|line| format!("{command}: wide: {line}")));
            let first = text.lines().next().unwrap_or_default();
            if first.is_empty() || first.chars().count() >= 60 || first.contains(['.', ';']) {
                wrong.push(format!("{command}: first line: {first}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_help_has_examples_and_the_same_exit_codes() {
    let all = all();
    let every = section(&all[0].1, "Exit codes:");
    assert_eq!(every.len(), 14, "{every:?}");
    for (command, text) in &all {
        let examples = section(text, "Examples:");
        assert!(examples.iter().any(|line| line.contains("orderflow ")), "{command}: {text}");
        let exits = section(text, "Exit codes:");
        assert!(exits.iter().all(|line| every.contains(line)), "{command}: {exits:?}");
        let codes: Vec<&str> = exits.iter().filter_map(|line| line.split_whitespace().next()).collect();
        assert!(["0", "2", "70", "74"].iter().all(|code| codes.contains(code)), "{command}: {codes:?}");
        assert!(text.trim_end().ends_with(exits.last().unwrap()), "{command}: {text}");
    }
}

/// Words of other tools lead to the command that does it.
#[test]
fn other_names_lead_to_the_right_commands() {
    for (written, right) in [
        ("list", "'runs'"),
        ("status", "'show'"),
        ("start", "'run'"),
        ("deny", "'reject'"),
        ("continue", "'resume'"),
        ("emit", "'signal'"),
        ("lint", "'validate'"),
        ("approve last --reason x", "'--note'"),
        ("reject last Deploy --by ops", "'--as'"),
        ("signal last paid --payload {}", "'--data'"),
    ] {
        let told = crate::program::orderflow(&written.split(' ').collect::<Vec<_>>());
        assert_eq!(told.exit, Some(2), "{written}");
        assert!(told.err.contains(right), "{written}: {}", told.err);
    }
}
