//! Broken documents with what must be said about them written at their end, in `tests/diagnostics`.
//!
//! A document ends with a comment `<!-- expect` that lists every diagnostic of the text above it. Lines
//! `repeat LINE TIMES` in front of the list have a line of the document repeated, `{n}` in it being counted.
//! With `UPDATE=1` in the environment the lists are written anew; read what has changed.

use crate::program::orderflow;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Diagnostics at either end of a list that are written out.
const MOST: usize = 12;

const EXPECT: &str = "<!-- expect\n";

struct Case {
    path: PathBuf,
    /// The document as it stands in the file, up to the comment.
    text: Vec<u8>,
    repeats: Vec<(usize, usize)>,
    expected: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics")
}

fn cases() -> Vec<Case> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(case).collect()
}

fn case(path: PathBuf) -> Case {
    let bytes = fs::read(&path).unwrap();
    let mark = EXPECT.as_bytes();
    let at = bytes.windows(mark.len()).rposition(|window| window == mark).unwrap_or(bytes.len());
    let comment = String::from_utf8(bytes[at..].to_vec()).unwrap();
    let list = comment.strip_prefix(EXPECT).unwrap_or("").trim_end().trim_end_matches("-->");
    let repeat = |line: &str| {
        let (line, times) = line.strip_prefix("repeat ")?.split_once(' ')?;
        Some((line.parse().unwrap(), times.parse().unwrap()))
    };
    let repeats = list.lines().map_while(repeat).collect::<Vec<_>>();
    let expected = list.lines().skip(repeats.len()).map(|line| format!("{line}\n")).collect();
    Case { path, text: bytes[..at].to_vec(), repeats, expected }
}

impl Case {
    fn name(&self) -> &str {
        self.path.file_name().unwrap().to_str().unwrap()
    }

    /// The document as the program gets it.
    fn document(&self) -> Vec<u8> {
        let mut document = Vec::new();
        for (index, line) in self.text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let times = self.repeats.iter().find(|(number, _)| *number == index + 1).map(|(_, times)| *times);
            for n in 1..=times.unwrap_or(1) {
                match times {
                    Some(_) => {
                        document.extend(String::from_utf8_lossy(line).replace("{n}", &n.to_string()).bytes());
                    }
                    None => document.extend(line),
                }
            }
        }
        document
    }

    fn write(&self, found: &str) {
        let mut bytes = self.text.clone();
        bytes.extend(EXPECT.bytes());
        for (line, times) in &self.repeats {
            bytes.extend(format!("repeat {line} {times}\n").bytes());
        }
        bytes.extend(found.bytes());
        bytes.extend(b"-->\n");
        fs::write(&self.path, bytes).unwrap();
    }
}

/// What `validate` says about these files, one after the other.
fn validate(paths: &[PathBuf]) -> Vec<String> {
    let args: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
    let told = orderflow(&[&["validate", "--format", "json"], args.as_slice()].concat());
    assert_eq!(told.exit, Some(3), "{}", told.err);
    let problems: Vec<Value> = serde_json::from_str(&told.out).unwrap();
    let name = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let of = |name: String| problems.iter().filter(move |problem| problem["file"] == name).map(listed);
    paths.iter().map(|path| shortened(of(name(path)).collect())).collect()
}

/// A long list is kept short, with its end.
fn shortened(mut list: Vec<String>) -> String {
    if list.len() > 2 * MOST {
        let left_out = list.len() - 2 * MOST;
        list.splice(MOST..MOST + left_out, [format!("... {left_out} more\n")]);
    }
    list.concat()
}

fn listed(problem: &Value) -> String {
    let place = |of: &Value| {
        let (line, column, end_line) = (&of["line"], &of["column"], &of["end_line"]);
        let end = if line == end_line { String::new() } else { format!("{end_line}:") };
        format!("{line}:{column}-{end}{}", of["end_column"])
    };
    let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
    let mut list = format!(
        "{} {} {}: {}\n",
        place(problem),
        text(&problem["severity"]),
        text(&problem["code"]),
        text(&problem["message"])
    );
    for related in problem["related"].as_array().unwrap() {
        list.push_str(&format!("    {} {}\n", place(related), text(&related["message"])));
    }
    if let Some(help) = problem["help"].as_str() {
        list.push_str(&format!("    help: {help}\n"));
    }
    list
}

#[test]
fn broken_documents_are_told_what_is_wrong() {
    let cases = cases();
    let scratch = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = cases.iter().map(|case| scratch.path().join(case.name())).collect();
    for (case, path) in cases.iter().zip(&paths) {
        fs::write(path, case.document()).unwrap();
    }
    let mut wrong = String::new();
    for (case, found) in cases.iter().zip(validate(&paths)) {
        if std::env::var_os("UPDATE").is_some() {
            case.write(&found);
        } else if found != case.expected {
            wrong.push_str(&format!("{}\nexpected\n{}found\n{found}\n", case.name(), case.expected));
        }
    }
    assert!(wrong.is_empty(), "{wrong}(UPDATE=1 writes the lists anew)");
}

/// The codes that the catalogue can make of documents, read from its source. Those of `orderflow.toml` and of
/// session files are no matter of documents.
fn catalogue() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/diag/catalogue");
    let mut codes = BTreeSet::new();
    for file in ["assumed.rs", "condition.rs", "near.rs", "spec.rs", "graph.rs", "trace.rs", "types.rs"] {
        let source = fs::read_to_string(folder.join(file)).unwrap();
        for made in
            ["Diagnostic::error(", "Diagnostic::warning(", "    made(", "malformed(", "    ambiguous("]
        {
            for call in source.split(made).skip(1) {
                let code = call.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
                codes.extend(code.map(str::to_owned));
            }
        }
    }
    codes.retain(|code| !code.starts_with("session-") && code != "trace-empty");
    codes
}

#[test]
fn every_code_has_a_document() {
    let codes = catalogue();
    assert!(codes.len() > 40, "the catalogue is not read rightly: {codes:?}");
    let documents: String = cases().iter().map(|case| case.expected.clone()).collect();
    let told = |code: &&String| !documents.contains(&format!(" {code}: "));
    let untold: Vec<&String> = codes.iter().filter(told).collect();
    assert!(untold.is_empty(), "no document in tests/diagnostics shows {untold:?}");
}
