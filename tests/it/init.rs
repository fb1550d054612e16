//! The starter runs as it is, and is never written over anything; the manual and the completions are whole.

use crate::program::orderflow;
use std::fs;
use std::process::Command;
use tempfile::TempDir;

#[test]
fn the_starter_runs_as_it_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("parcels");
    let told = orderflow(&["init", path.to_str().unwrap()]);
    assert_eq!((told.exit, told.out.as_str()), (Some(0), ""));
    assert!(told.err.contains("try: orderflow run"), "{}", told.err);
    let checked = orderflow(&["validate", "--strict", path.join("workflow.md").to_str().unwrap()]);
    assert!(checked.err.ends_with("4 steps, no problems\n"), "{}{}", checked.out, checked.err);
    let run = Command::new(env!("CARGO_BIN_EXE_orderflow"))
        .args(["run", "workflow.md"])
        .current_dir(&path)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && err.contains("3 items: 3 succeeded"), "{out}{err}");
    assert!(out.contains("p2 goes by freight") && out.contains("p3 goes by letter"), "{out}");
}

#[test]
fn nothing_that_is_there_is_overwritten() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("orderflow.toml"), "mine").unwrap();
    let told = orderflow(&["init", folder.path().to_str().unwrap()]);
    assert_eq!(told.exit, Some(2));
    assert!(told.err.contains("orderflow.toml is there already; nothing was written"), "{}", told.err);
    assert_eq!(fs::read_to_string(folder.path().join("orderflow.toml")).unwrap(), "mine");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn manual_and_completions_know_every_command() {
    let help = orderflow(&["--help"]).out;
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 6, "{help}");
    let manual = orderflow(&["man"]).out;
    for command in &commands {
        assert!(manual.contains(&format!("orderflow\\-{command}(1)")), "{command} is not in the manual");
        let own = orderflow(&["man", command]);
        assert!(*command == "help" || own.out.contains(".SH SYNOPSIS"), "{command}: {}", own.err);
    }
    let own = orderflow(&["man", "run"]).out;
    let title = format!(".TH orderflow-run 1  \"orderflow {}\"", env!("CARGO_PKG_VERSION"));
    assert!(own.contains(&title) && !own.contains("run 0."), "{own}");
    for shell in ["bash", "zsh", "fish"] {
        let script = orderflow(&["completions", shell]).out;
        assert!(commands.iter().all(|command| script.contains(command)), "{shell}");
    }
    assert_eq!(orderflow(&["man", "wash"]).exit, Some(2));
}
