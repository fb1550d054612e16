//! Names that are not UTF-8, and arguments with control characters: either they work, or what is wrong is said.

use super::*;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

const FLOW: &str = "---\ntitle: T\n---\n\n## Copy\npath::File -> out::String\n\n\
                    ```sh run\necho x > \"$ORDERFLOW_DIR/$(printf 'a\\377')\"\ncat \"$IN_PATH\"\n```\n";

const ASKS: &str = "# T\n## A @x\n-> a::String\n";

fn odd(end: &str) -> OsString {
    OsString::from_vec([b"n\xff\xfe", end.as_bytes()].concat())
}

/// A project with files of odd names in it.
fn project(top: &TempDir) -> PathBuf {
    let folder = top.path().join("project");
    fs::create_dir_all(folder.join("data")).unwrap();
    for name in [OsString::from("flow.md"), odd(".md")] {
        fs::write(folder.join(name), FLOW).unwrap();
    }
    fs::write(folder.join("asks.md"), ASKS).unwrap();
    let bound = "[agents.x]\ncommand = [\"sh\", \"-c\", \"printf %s \\\"$ODD\\\" | od -An -tx1 | tr -d ' \\n'; frob\"]\nenv = [\"ODD\"]\n";
    fs::write(folder.join("orderflow.toml"), bound).unwrap();
    fs::write(folder.join("data/plain.txt"), "x").unwrap();
    fs::write(folder.join("data").join(odd(".txt")), "x").unwrap();
    fs::create_dir(folder.join(odd("bin"))).unwrap();
    let program = folder.join(odd("bin")).join("frob");
    fs::write(&program, "#!/bin/sh\necho frob ran\n").unwrap();
    fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    folder
}

/// What a command says with these arguments and variables, and its exit code.
fn say(folder: &Path, args: &[&OsStr], variables: &[(&str, &OsStr)]) -> (String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderflow"));
    command.args(args).current_dir(folder).env("XDG_STATE_HOME", folder.join("STATE")).stdin(Stdio::null());
    command.env_remove("ORDERFLOW_OWNERS").env_remove("ORDERFLOW_STATE");
    let done = command.envs(variables.iter().copied()).output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    (told, done.status.code().unwrap())
}

fn words(text: &str) -> Vec<&OsStr> {
    text.split(' ').map(OsStr::new).collect()
}

#[test]
fn a_run_is_refused_by_paths_that_are_not_utf_8() {
    let top = TempDir::new().unwrap();
    let folder = project(&top);
    let (document, items, trace) = (odd(".md"), odd("*"), odd(".toon"));
    let flow = OsStr::new("flow.md");
    let refused = |what: &str, name: &str| {
        format!(
            "error: the path of the {what}, `n\u{fffd}\u{fffd}{name}`, is not UTF-8; nothing was run\n  \
             help: rename it: runs store paths as text, and agents get them as text\n"
        )
    };
    let run =
        |args: &[&OsStr]| say(&folder, &[&[OsStr::new("run"), OsStr::new("--trust")], args].concat(), &[]);
    assert_eq!(run(&[&document]), (refused("document", ".md"), 2));
    assert_eq!(run(&["--items".as_ref(), &items, flow]), (refused("items", "*"), 2));
    assert_eq!(run(&["--session".as_ref(), &trace, flow]), (refused("trace", ".toon"), 2));

    // Folders: the one where runs are stored, and the current one.
    let named = words("run --trust --quiet flow.md --items data/p*");
    let (told, exit) = say(&folder, &named, &[("ORDERFLOW_STATE", &odd("state"))]);
    assert_eq!((exit, told.contains("the path of the run's folder, `/")), (2, true), "{told}");
    let (told, exit) = say(&folder, &named, &[]);
    assert_eq!(exit, 0, "{told}");
    let moved = top.path().join(odd(""));
    fs::rename(&folder, &moved).unwrap();
    let (told, exit) = say(&moved, &named, &[]);
    assert_eq!((exit, told.contains("error: the path of the current folder, `/")), (2, true), "{told}");
    for command in [
        "runs",
        "show last",
        "show last --files out",
        "resume last",
        "retry last",
        "cancel last",
        "validate flow.md",
        "trust --yes flow.md",
        "trust --list",
        "runs prune --keep 0",
    ] {
        let (told, exit) = say(&moved, &words(command), &[]);
        assert_eq!(exit, 0, "{command}: {told}");
    }
}

#[test]
fn files_of_items_may_have_any_names_and_are_never_left_out() {
    let top = TempDir::new().unwrap();
    let folder = project(&top);
    for items in ["data/*", "data/n*.txt", "*/*.txt", "**/*.txt", "data"] {
        let (told, exit) = say(&folder, &words(&format!("run --trust flow.md --items {items}")), &[]);
        assert_eq!(exit, 3, "{items}: {told}");
        assert!(told.starts_with("data/n\u{fffd}\u{fffd}.txt:1:1: the file's path is not UTF-8\n"), "{told}");
    }
    // Whoever takes the text of a file does not need its name.
    fs::write(
        folder.join("text.md"),
        FLOW.replace("path::File", "text::String").replace("cat \"$IN_PATH\"", "echo y"),
    )
    .unwrap();
    for (items, many) in [("data/*", 2), ("*/?*.t[x]t", 2), ("./data/p*", 1), ("../project/data/*.txt", 2)] {
        let args = format!("run --trust text.md --items {items}");
        let (told, exit) = say(&folder, &words(&args), &[]);
        assert_eq!(exit, 0, "{items}: {told}");
        let noun = if many == 1 { "item" } else { "items" };
        assert!(told.contains(&format!("\n{many} {noun}: {many} succeeded\n")), "{items}: {told}");
    }
    let (told, exit) = say(&folder, &words("run --trust text.md --items data/*.csv"), &[]);
    assert_eq!(exit, 3, "{told}");
    assert!(told.starts_with("error: no file matches data/*.csv; nothing was run\n"), "{told}");
}

#[test]
fn variables_that_are_not_utf_8_are_handed_on_or_named() {
    let top = TempDir::new().unwrap();
    let folder = project(&top);
    let path = std::env::var_os("PATH").unwrap();
    let mut with_odd = folder.join(odd("bin")).into_os_string();
    with_odd.push(":");
    with_odd.push(&path);
    // As it is, to a program that is looked for in a PATH that is not UTF-8.
    let variables: [(&str, &OsStr); 2] = [("ODD", &odd("")), ("PATH", &with_odd)];
    let (told, exit) = say(&folder, &words("run asks.md"), &variables);
    assert_eq!(exit, 0, "{told}");
    assert!(told.contains("6efffefrob ran") && !told.contains("warning"), "{told}");
    // A program that is found there has no name that is text.
    fs::write(folder.join("orderflow.toml"), "[agents.x]\ncommand = [\"frob\"]\n").unwrap();
    let (told, exit) = say(&folder, &words("run asks.md"), &variables);
    assert_eq!(exit, 3, "{told}");
    assert!(told.contains("where its path is not UTF-8; is it"), "{told}");

    for name in ["HOME", "LANG", "XDG_STATE_HOME", "TMPDIR", "SUDO_UID", "TERM", "COLUMNS", "NO_COLOR"] {
        let args = "run --trust --quiet flow.md --items data/p*";
        let (told, exit) = say(&folder, &words(args), &[(name, &odd(""))]);
        assert_eq!(exit, 0, "{name}: {told}");
        for command in ["runs", "show last", "trust --list"] {
            let (told, exit) = say(&folder, &words(command), &[(name, &odd(""))]);
            assert!([0, 2].contains(&exit), "{name}: {command}: {told}");
        }
    }
    let (told, exit) = say(&folder, &words("runs"), &[("ORDERFLOW_OWNERS", &odd(""))]);
    assert_eq!((exit, told.contains("which is not a user number")), (2, true), "{told}");
}

#[test]
fn no_argument_reaches_the_terminal_with_its_control_characters() {
    let top = TempDir::new().unwrap();
    let folder = project(&top);
    let evil = "a\u{1b}[31m\u{9b}2J\u{202e}\u{7}\n::error::x";
    for args in [
        vec![evil],
        vec!["run", "--%"],
        vec!["run", "-%"],
        vec!["run", "--format", evil, "x"],
        vec!["run", "--deadline", evil, "x"],
        vec!["run", "--jobs", evil, "x"],
        vec!["run", "--tolerate", evil, "x"],
        vec!["run", "--replay", evil, "x"],
        vec!["run", "--only", evil, "flow.md", "--trust"],
        vec!["run", evil],
        vec!["stats", "--expect", evil, "x"],
        vec!["runs", evil],
        vec!["runs", "--since", evil],
        vec!["show", evil],
        vec!["help", evil],
        vec!["completions", evil],
    ] {
        let args: Vec<OsString> = args.iter().map(|arg| arg.replace('%', evil).into()).collect();
        let args: Vec<&OsStr> = args.iter().map(OsString::as_os_str).collect();
        let (told, exit) = say(&folder, &args, &[]);
        assert!([2, 3, 74].contains(&exit), "{args:?}: {told}");
        assert!(!told.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{7}']), "{args:?}: {told:?}");
        assert!(!told.lines().any(|line| line.trim_start().starts_with("::error")), "{args:?}: {told:?}");
    }
    let (told, exit) = say(&folder, &["run".as_ref(), "--format".as_ref(), evil.as_ref(), "x".as_ref()], &[]);
    let expected = "error: invalid value 'a\u{fffd}[31m\u{fffd}2J\u{fffd}\u{fffd}\u{fffd}::error::x' for '--format <FORMAT>'
  [possible values: table, json, markdown, junit, github]

For more information, try '--help'.
";
    assert_eq!((told.as_str(), exit), (expected, 2));
}
