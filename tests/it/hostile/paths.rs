//! Paths that a document or a run names: what links on them lead to, and how long it may take to look for them.

use crate::place::Place;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

const OPEN: &str =
    "## Look\ncontent::String -> seen::String\n\n```sh run\nprintf '%s' \"$IN_CONTENT\"\n```\n";

/// A document in `clone`, whose folders `d` and `e` hold links to a file and a folder outside of it.
fn clone(items: &str) -> Place {
    let place = Place::new("");
    place.write("private", "the-private-key");
    place.write("out/o.txt", "the-private-key");
    place.write("clone/d/own.txt", "own");
    place.write("clone/e/within/own.txt", "own");
    symlink("../../private", place.path("clone/d/a.txt")).unwrap();
    symlink("../../out", place.path("clone/e/link")).unwrap();
    let items = items.replace("HERE", place.path("clone").to_str().unwrap());
    place.write("clone/w.md", &format!("---\nitems: \"{items}\"\n---\n# W\n\n{OPEN}"));
    place
}

#[test]
fn no_link_that_a_glob_or_a_folder_finds_leads_out() {
    for items in [
        "d/*.txt",
        "./d/*.txt",
        "[d]/*.txt",
        "./*/a.txt",
        "d/./*.txt",
        "e/../d/*.txt",
        "**/*.txt",
        "./**/*.txt",
        "d",
        "./d",
        "e/link",
        "e/link/*.txt",
        "e/*/*.txt",
        "./e/*/o.txt",
        "HERE/d/*.txt",
        "HERE/d",
        "HERE/e/*/o.txt",
        "HERE/**/a.txt",
    ] {
        let place = clone(items);
        for document in ["clone/w.md", "./clone/w.md", "clone/../clone/w.md"] {
            let told = place.orderflow(&format!("run {document} --trust --quiet"));
            let shown = place.orderflow("show last --format json");
            let seen = format!("{}{}{}", told.out, told.err, shown.out);
            assert!(!seen.contains("the-private-key"), "{items} of {document}: {seen}");
            assert_eq!(told.exit, Some(74), "{items} of {document}: {}", told.err);
            assert!(told.err.contains(" leads out of "), "{items} of {document}: {}", told.err);
        }
    }
}

#[test]
fn a_glob_finds_what_is_within_however_the_document_is_named() {
    for items in ["./d/own*.txt", "././**/e/w*/own.txt", "HERE/e/w*/own.txt", "../clone/d/ow?.txt"] {
        let place = clone(items);
        for document in ["clone/w.md", "./clone/w.md"] {
            let told = place.orderflow(&format!("run {document} --trust --quiet"));
            assert_eq!((told.exit, told.err.as_str()), (Some(0), ""), "{items} of {document}");
        }
    }
}

/// The folder of the only run.
fn home(place: &Place, folder: &str) -> PathBuf {
    fs::read_dir(place.path(folder).join(".orderflow/runs")).unwrap().next().unwrap().unwrap().path()
}

/// What going on with a run reads, and where it does, is shown before it is taken over.
#[test]
fn adopt_shows_every_path_that_going_on_reads() {
    let place = Place::new("");
    place.write("deep/w.md", "---\nitems: i.jsonl\n---\n# W\n\n## Look\nphoto::File, pages::File[]?, picture::File, name::String -> seen::String\n\n```sh run\necho x\n```\n");
    place.write("deep/i.jsonl", "{\"id\": \"1\", \"picture\": \"pic\", \"name\": \"n\"}\n");
    place.write("deep/orderflow.toml", "");
    for file in ["a/b", "c", "pic", "deep/pic"] {
        place.write(file, "");
    }
    let given = ["--input", "photo=/etc/passwd", "--input", "pages=[\"a/b\", \"c\"]"];
    let told = place.command("run deep/w.md --trust --quiet").args(given).output().unwrap();
    assert_eq!(told.status.code(), Some(0), "{}", String::from_utf8_lossy(&told.stderr));
    assert!(
        Command::new("cp")
            .arg("-r")
            .arg(home(&place, "deep"))
            .arg(place.path("copy"))
            .status()
            .unwrap()
            .success()
    );
    let told = place.orderflow("adopt copy").err;
    let here = place.folder().display();
    let expected = format!(
        "the run [..] was not started here by you

  workflow  W
  document  {here}/deep/w.md
  started   [..]
  works in  {here}
  agents in {here}/deep
  settings  {here}/deep/orderflow.toml
  runs      the sh program of Look
  writes    [..]/copy
  writes    {here}/session.toon
  reads     {here}/deep/i.jsonl
  reads     /etc/passwd
  reads     {here}/a/b
  reads     {here}/c
  reads     the files that items name as picture

programs in this document want to run:
  {here}/deep/w.md:6: Look (sh)
    echo x
error: cannot ask here; nothing was taken over
  help: read the above, then take it over with --yes
"
    );
    snapbox::assert_data_eq!(told, expected.replace(&format!("  {here}/deep/w.md:6"), "  deep/w.md:6"));
}

/// A pipe in the place of a document is not waited for: the run has its own copy.
#[test]
fn a_pipe_in_the_place_of_a_document_holds_up_nothing() {
    let document = "# W\n\n## A\nx::String -> r::String\n\n```sh run\ntest -e go || { touch waiting; sleep 100; }\necho hi\n```\n";
    let place = Place::new(document);
    for command in ["resume last --quiet", "cancel last"] {
        let _ = fs::remove_file(place.path("go"));
        let _ = fs::remove_file(place.path("waiting"));
        let _ = fs::remove_file(place.path("flow.md"));
        place.write("flow.md", document);
        let mut run = place.command("run flow.md --trust --quiet --input x=1").spawn().unwrap();
        place.await_file("waiting");
        Command::new("kill").arg(run.id().to_string()).status().unwrap();
        assert_eq!(run.wait().unwrap().code(), Some(143));
        place.write("go", "");
        fs::remove_file(place.path("flow.md")).unwrap();
        assert!(Command::new("mkfifo").arg(place.path("flow.md")).status().unwrap().success());
        let begun = Instant::now();
        for (command, exit) in [("resume last --quiet --use-current", 74), (command, 0)] {
            let mut limited = Command::new("timeout");
            let command = place.command(command);
            limited.arg("20").arg(command.get_program()).args(command.get_args()).current_dir(place.folder());
            let told = limited.env("XDG_STATE_HOME", place.path(".state")).output().unwrap();
            assert_eq!(told.status.code(), Some(exit), "{command:?}: {told:?}");
        }
        assert!(begun.elapsed().as_secs() < 20);
    }
}

/// Nothing of a document's items is read before its programs may run, and a line without an end is read no further.
#[test]
fn what_a_document_names_is_not_looked_for_before_it_is_granted() {
    let place = Place::new(&format!("---\nitems: i.jsonl\n---\n# W\n\n{OPEN}"));
    let sparse = fs::File::create(place.path("i.jsonl")).unwrap();
    sparse.set_len(1 << 42).unwrap();
    let told = place.orderflow("run flow.md --quiet");
    assert_eq!(told.exit, Some(4), "{}", told.err);
    let told = place.orderflow("run flow.md --quiet --trust");
    assert_eq!(
        (told.exit, told.err.as_str()),
        (Some(3), "i.jsonl:1:1: longer than 16 MiB\nerror: 1 problem in i.jsonl; 0 of 1 item started\n")
    );
    place.write("flow.md", &format!("---\nitems: \"none/**/*.zzz\"\n---\n# W\n\n{OPEN}"));
    assert_eq!(place.orderflow("run flow.md --quiet").exit, Some(4), "asked before it is searched");
}
