//! `orderflow run --write`: a run becomes part of its document, and nothing else in it changes.

use crate::program::{Told, orderflow, orderflow_reading};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const DOCUMENT: &str = "# Say\r\n\r\n## Greet\r\nname::String → greeting::String\r\n\r\n```sh run\r\nprintf 'hello %s' \"$IN_NAME\"\r\n```\r\n\r\n---\r\n\r\n## Shout ?\r\ngreeting → loud::String\r\n\r\n```sh run\r\nif test \"$IN_GREETING\" = 'hello Bo'; then exit 65; fi\r\nprintf '{\"loud\": \"%s!\", \"marks\": 1}' \"$IN_GREETING\"\r\n```";

/// A folder with the document in it.
fn folder(document: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("say.md");
    fs::write(&file, document).unwrap();
    (folder, file)
}

fn run(file: &Path, args: &[&str]) -> Told {
    let session = file.with_file_name("session.toon");
    let own = ["run", file.to_str().unwrap(), "--trust", "--write", "--session", session.to_str().unwrap()];
    orderflow(&[&own, args].concat())
}

#[test]
fn write_verify_and_write_again_change_only_added_rows() {
    let (_folder, file) = folder(DOCUMENT);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let mut before = DOCUMENT.to_owned();
    for (round, name) in ["Ada", "Bo", "Cy, \"x\""].into_iter().enumerate() {
        let told = run(&file, &["--input", &format!("name=\"{}\"", name.replace('"', "\\\""))]);
        assert_eq!(told.exit, Some(0), "{}", told.err);
        assert!(
            told.err.ends_with(&format!("2 executions written into {}\n", file.display())),
            "{}",
            told.err
        );
        let after = fs::read_to_string(&file).unwrap();
        // Nothing is lost: all old lines are there in their order, but for the tables' headers.
        let mut lines = after.split("\r\n");
        for line in before.split("\r\n").filter(|line| !line.starts_with("execution[")) {
            assert!(lines.any(|other| other == line), "{line:?} is gone from {after}");
        }
        assert!(!after.replace("\r\n", "").contains('\n'), "{after:?}");
        let verified = orderflow(&["verify", file.to_str().unwrap()]);
        assert_eq!(verified.exit, Some(0), "{}{}", verified.out, verified.err);
        assert!(verified.err.contains(&format!("{} rows of {} item", 2 * (round + 1), round + 1)));
        before = after;
    }
    // The failure has an error and no marks, so that it fits into the first table of its step.
    assert_eq!(before.matches("execution[3]{").count(), 2, "{before}");
    assert_eq!(before.matches("```session-toon").count(), 2);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(orderflow(&["validate", "--strict", file.to_str().unwrap()]).exit, Some(0));
}

#[test]
fn a_document_that_changed_meanwhile_is_left_alone() {
    let meddling = DOCUMENT.replace("printf 'hello %s'", "echo more >> say.md; printf 'hello %s'");
    let (_folder, file) = folder(&meddling);
    let told = run(&file, &["--input", "name=Ada", "--quiet"]);
    assert_eq!(told.exit, Some(6), "{}", told.err);
    assert!(told.err.contains("was not written into") || told.err.contains("were not written into"));
    assert!(told.err.contains("it has changed since the run started"), "{}", told.err);
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{meddling}more\n"));
    let session = fs::read_to_string(file.with_file_name("session.toon")).unwrap();
    assert!(session.contains("execution[2]"), "{session}");
}

#[test]
fn what_a_document_cannot_take_is_refused() {
    let (folder, file) = folder(DOCUMENT);
    let items = folder.path().join("items.jsonl");
    let names: String = (0..1001).map(|n| format!("{{\"name\": \"n{n}\"}}\n")).collect();
    fs::write(&items, names).unwrap();
    let told = run(&file, &["--items", items.to_str().unwrap(), "--key", "name"]);
    assert_eq!((told.exit, told.out.as_str()), (Some(3), ""), "{}", told.err);
    assert!(told.err.contains("1001 items are too many for --write"), "{}", told.err);
    assert_eq!(fs::read_to_string(&file).unwrap(), DOCUMENT);

    let told = orderflow_reading(&["run", "-", "--trust", "--write", "--input", "name=x"], DOCUMENT);
    assert_eq!(told.exit, Some(2), "{}", told.err);
    for other in ["--stub", "--replay", "--only=Greet", "--from=Greet"] {
        assert_eq!(run(&file, &[other]).exit, Some(2), "{other}");
    }
}
