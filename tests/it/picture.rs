//! The README's picture: what two commands print, as an SVG. `UPDATE=1 cargo test --test it picture` draws it again.

use crate::program::{command, told};
use std::path::Path;

/// Shows this many lines of a command's output, from the first.
const COMMANDS: [(&str, usize); 2] = [
    ("graph workflows/order-processing.md", 22),
    ("run --replay tests/fixtures/order-processing-original.md", 9),
];

/// The last lines of the last command.
const LAST: usize = 8;

fn drawn() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut screen = String::new();
    for (args, lines) in COMMANDS {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(root.join("workflows"), folder.path().join("workflows")).unwrap();
        std::os::unix::fs::symlink(root.join("tests"), folder.path().join("tests")).unwrap();
        let mut command = command(folder.path());
        let said = told(command.args(args.split(' ')).env("CLICOLOR_FORCE", "1").output().unwrap());
        assert_eq!(said.exit, Some(0), "{said:?}");
        screen += &format!("\u{1b}[1m$ orderflow {args}\u{1b}[0m\n");
        let all: Vec<&str> = said.out.lines().collect();
        screen += &(all[..lines.min(all.len())].join("\n") + "\n");
        if all.len() > lines {
            screen += "…\n";
        }
        if args == COMMANDS[1].0 {
            screen += &(all[all.len() - LAST..].join("\n") + "\n");
        }
        screen += "\n";
    }
    anstyle_svg::Term::new().render_svg(screen.trim_end())
}

#[test]
fn the_picture_is_what_the_commands_print() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/run.svg");
    let drawn = drawn();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &drawn).unwrap();
    }
    assert!(std::fs::read_to_string(&path).unwrap() == drawn, "UPDATE=1 cargo test --test it picture");
}
