//! Paths that a document or a run names: what links on them lead to, and how long it may take to look for them.

use crate::place::Place;
use std::os::unix::fs::symlink;

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
