//! Prose that is not a workflow gets no warnings, and the project's own workflows get none.

use crate::program::orderflow;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// How many pages of prose are read.
const MOST: usize = 100;

/// The README files of the crates that cargo has unpacked here, sorted.
fn pages() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let entries = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let registries = home.map(|home| entries(home.join("registry/src"))).unwrap_or_default();
    let crates = registries.into_iter().flat_map(entries);
    let mut pages: Vec<PathBuf> =
        crates.map(|folder| folder.join("README.md")).filter(|page| page.is_file()).collect();
    pages.sort();
    pages.truncate(MOST);
    pages
}

/// All problems of these documents, but for those of pages that say only that they have no step.
fn problems(paths: &[PathBuf]) -> Vec<String> {
    let paths: Vec<&str> = paths.iter().filter_map(|path| path.to_str()).collect();
    let told = orderflow(&[&["validate", "--format", "json"], paths.as_slice()].concat());
    let problems: Vec<Value> =
        serde_json::from_str(&told.out).unwrap_or_else(|why| panic!("{why}: {}", told.err));
    let problems = problems.iter().filter(|problem| problem["code"] != "no-steps");
    problems
        .map(|problem| format!("{}:{} {}", problem["file"], problem["line"], problem["message"]))
        .collect()
}

#[test]
fn readme_files_of_crates_get_no_warnings() {
    let pages = pages();
    if pages.is_empty() {
        eprintln!("skipped: cargo has unpacked no crates here");
        return;
    }
    let problems = problems(&pages);
    assert!(problems.is_empty(), "{} pages\n{}", pages.len(), problems.join("\n"));
}

#[test]
fn the_workflows_of_the_project_get_no_warnings() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("workflows");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|end| end == "md")).collect();
    assert!(files.len() >= 8, "{files:?}");
    let told = problems(&files);
    assert!(told.is_empty(), "{}", told.join("\n"));
}
