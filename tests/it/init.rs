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
fn every_starter_is_valid_passes_its_cases_and_runs() {
    let folder = TempDir::new().unwrap();
    let list = orderflow(&["init", "--list"]);
    let names: Vec<&str> = list.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["parcels", "orders", "release", "code-review", "data-pipeline"], "{}", list.out);
    let ends = [
        ("3 items: 3 succeeded\n", "p2 goes by freight"),
        ("4 items: 3 succeeded, 1 compensated\n", "refunded receipt-o4"),
        ("1 item: 1 succeeded\n", "https://registry.example.org/demo-1.4.0.tar.gz"),
        ("1 item: 1 succeeded\n", "\"verdict\": \"request_changes\""),
        ("3 items: 2 succeeded, 1 failed\n", "out/summary.txt"),
    ];
    for (name, (counts, made)) in names.into_iter().zip(ends) {
        let path = folder.path().join(name);
        let written = orderflow(&["init", path.to_str().unwrap(), "--starter", name]);
        assert_eq!(written.exit, Some(0), "{name}: {}", written.err);
        let workflow = path.join("workflow.md");
        let workflow = workflow.to_str().unwrap();
        let checked = orderflow(&["validate", "--strict", workflow]);
        assert!(checked.exit == Some(0) && checked.err.ends_with("no problems\n"), "{name}: {}", checked.err);
        let cases = orderflow(&["test", workflow]);
        assert!(cases.exit == Some(0) && cases.err.ends_with("cases: all passed\n"), "{name}: {}", cases.out);
        let run = orderflow(&["run", workflow]);
        assert!(run.exit == Some(0) && run.err.contains(counts), "{name}: {}{}", run.out, run.err);
        assert!(run.out.contains(made), "{name}: {}", run.out);
    }
    let sum = fs::read_to_string(folder.path().join("data-pipeline/out/summary.txt")).unwrap();
    assert_eq!(sum, "harbour: 2 readings, 19.9 kWh\nmarket: 2 readings, 23.1 kWh\n");
}

#[test]
fn the_commented_lines_of_the_code_review_bind_coding_agents() {
    let folder = TempDir::new().unwrap();
    assert_eq!(
        orderflow(&["init", folder.path().to_str().unwrap(), "--starter", "code-review"]).exit,
        Some(0)
    );
    let settings = folder.path().join("orderflow.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let bound: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("command"))
        .map(|line| line.strip_prefix("# ").filter(|line| line.contains(" = ")).unwrap_or(line))
        .collect();
    fs::write(&settings, bound.join("\n")).unwrap();
    let agents = orderflow(&["agents", folder.path().join("workflow.md").to_str().unwrap()]);
    assert_eq!(agents.exit, Some(0), "{}{}", agents.out, agents.err);
    assert_eq!(agents.out.matches("claude").count(), 2, "{}", agents.out);
    assert_eq!(agents.out.matches("codex").count(), 1, "{}", agents.out);
}

#[test]
fn an_unknown_starter_names_the_nearest_and_all() {
    let refused = orderflow(&["init", "--starter", "ordres"]);
    assert_eq!((refused.exit, refused.out.as_str()), (Some(2), ""));
    let all = "[possible values: parcels, orders, release, code-review, data-pipeline]";
    assert!(refused.err.contains(all) && refused.err.contains("'orders'"), "{}", refused.err);
}

#[test]
fn the_skill_alone_is_written_beside_workflows() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("workflow.md"), "# Mine\n").unwrap();
    let path = folder.path().to_str().unwrap();
    let written = orderflow(&["init", path, "--skill-only"]);
    assert_eq!(
        (written.err, written.exit),
        (format!("wrote {path}/.claude/skills/orderflow/SKILL.md\n"), Some(0))
    );
    let there: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(there.len(), 2, "{there:?}");
    assert_eq!(orderflow(&["init", path, "--skill-only"]).exit, Some(2), "nothing is overwritten");
    assert_eq!(orderflow(&["init", path, "--skill-only", "--starter", "orders"]).exit, Some(2));
}

#[test]
fn the_skill_has_front_matter_and_the_whole_card() {
    let folder = TempDir::new().unwrap();
    let written = orderflow(&["init", folder.path().to_str().unwrap(), "--skill"]);
    assert!(written.err.starts_with("wrote 8 files; "), "{}", written.err);
    let skill = fs::read_to_string(folder.path().join(".claude/skills/orderflow/SKILL.md")).unwrap();
    assert!(skill.starts_with("---\nname: orderflow\ndescription: "), "{skill}");
    assert!(skill.ends_with(&format!("```text\n{}```\n", orderflow(&["guide"]).out)), "{skill}");
    let help = orderflow(&["--help"]).out;
    for command in skill.split("`orderflow ").skip(1).filter_map(|rest| rest.split([' ', '`']).next()) {
        assert!(help.contains(&format!("\n  {command} ")), "no command {command}");
    }
}

/// In a clone a folder in it may be a link to any other.
#[test]
fn nothing_is_written_through_a_link_out_of_the_folder() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink(outside.path(), folder.path().join(".claude")).unwrap();
    let told = orderflow(&["init", folder.path().to_str().unwrap(), "--skill-only"]);
    assert_eq!(told.exit, Some(74), "{}", told.err);
    assert!(told.err.contains("a symbolic link leads out of "), "{}", told.err);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
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
