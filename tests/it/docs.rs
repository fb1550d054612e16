//! The README and the pages of `docs/` as programs: every document validates, every command prints what the page
//! shows. The README's commands run in a copy of the repository's examples.
//!
//! A paragraph that is only a name in backticks and a colon gives the fence below it that name: it is a file in
//! the page's folder. A `console` fence holds commands behind `$ ` and what they print, both outputs together;
//! a line `...` stands for any lines, `[..]` for any text within one.

use crate::python;
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A fenced block of a page.
pub struct Fence {
    /// The first word of its info string.
    pub language: String,
    /// Whether the second is `figures`.
    figures: bool,
    /// The file that it is.
    pub name: Option<String>,
    pub content: String,
}

/// The command that runs all this; it cannot run itself.
const TESTS: &str = "cargo test --features nats,telemetry,restate --locked";

#[test]
fn what_the_pages_show_is_what_happens() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for page in std::fs::read_dir(root.join("docs")).unwrap() {
        let page = page.unwrap();
        let fences = fences(&std::fs::read_to_string(page.path()).unwrap());
        seen += fences.len();
        try_out(&page.file_name().to_string_lossy(), &fences, TempDir::new().unwrap().path());
    }
    assert!(seen > 10, "the pages hold {seen} fences");
}

#[test]
fn what_the_readme_shows_is_what_happens() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let folder = TempDir::new().unwrap();
    for part in ["workflows", "tests/fixtures"] {
        copy(&root.join(part), &folder.path().join(part));
    }
    try_out("README.md", &fences(&readme), folder.path());
}

#[test]
fn links_lead_to_files_and_headings() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|page| page.unwrap().path());
    let pages = docs.chain(["README.md", "SECURITY.md", "CHANGELOG.md"].map(|page| root.join(page)));
    let (mut links, mut broken) = (0, Vec::new());
    for page in pages.filter(|page| page.extension().is_some_and(|end| end == "md")) {
        let text = std::fs::read_to_string(&page).unwrap();
        for event in Parser::new(&text) {
            let Event::Start(Tag::Link { dest_url, .. }) = event else { continue };
            if dest_url.contains("://") {
                continue;
            }
            links += 1;
            let (file, anchor) = dest_url.split_once('#').unwrap_or((&dest_url, ""));
            let target = if file.is_empty() { page.clone() } else { page.with_file_name("").join(file) };
            let found = target.exists()
                && (anchor.is_empty()
                    || anchors(&std::fs::read_to_string(&target).unwrap()).contains(anchor));
            if !found {
                broken.push(format!("{}: {dest_url}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
    assert!(links > 50, "{links} links");
}

/// The anchors of a page's headings, as code hosts make them.
fn anchors(page: &str) -> BTreeSet<String> {
    let (mut anchors, mut title) = (BTreeSet::new(), None);
    for event in Parser::new(page) {
        match (event, &mut title) {
            (Event::Start(Tag::Heading { .. }), _) => title = Some(String::new()),
            (Event::Text(text) | Event::Code(text), Some(title)) => title.push_str(&text.to_lowercase()),
            (Event::End(TagEnd::Heading(_)), Some(text)) => {
                let plain = text.replace(' ', "-");
                anchors.insert(plain.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect());
                title = None;
            }
            _ => {}
        }
    }
    anchors
}

/// Copies what git keeps: nothing whose name begins with a dot, nothing that Python has compiled.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "__pycache__" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(name));
        } else {
            std::fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

fn try_out(page: &str, fences: &[Fence], folder: &Path) {
    for fence in fences {
        if let Some(name) = &fence.name {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &fence.content).unwrap();
        }
        match fence.language.as_str() {
            "markdown" => validate(page, &fence.content, fences),
            "console" => converse(page, folder, fence),
            "sh" | "python" => assert!(is_run(fence, fences), "{page}: never run:\n{}", fence.content),
            _ => {}
        }
    }
}

/// Validates a document beside the other documents of the page, which it may run.
fn validate(page: &str, document: &str, fences: &[Fence]) {
    let folder = TempDir::new().unwrap();
    for other in fences.iter().filter(|other| other.language == "markdown") {
        if let Some(name) = &other.name {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &other.content).unwrap();
        }
    }
    std::fs::write(folder.path().join("example.md"), document).unwrap();
    let told = shell(folder.path(), "orderflow validate example.md");
    assert!(told.trim_end().ends_with("no problems"), "{page}:\n{document}\n{told}");
}

/// Whether a command of the page runs this program.
fn is_run(program: &Fence, fences: &[Fence]) -> bool {
    let Some(name) = &program.name else { return program.content.trim() == TESTS };
    fences.iter().any(|other| other.language == "console" && other.content.contains(name))
}

/// Runs the commands of a `console` fence. One that is marked `figures` shows measured times: there every figure
/// stands for any other.
fn converse(page: &str, folder: &Path, fence: &Fence) {
    for part in format!("\n{}", fence.content).split("\n$ ").skip(1) {
        let (command, expected) = part.split_once('\n').unwrap_or((part, ""));
        let printed = shell(folder, &command.replace("cargo run --release -- ", "orderflow "));
        let place = format!("{page}: $ {command}");
        let shape = |text: &str| if fence.figures { without_figures(text) } else { text.to_owned() };
        snapbox::Assert::new().eq(
            format!("{place}\n{}", shape(&printed)).trim_end(),
            format!("{place}\n{}", shape(expected)).trim_end(),
        );
    }
}

/// The text with every measured time as `0 s`, and with single spaces and lines, since widths follow figures.
fn without_figures(text: &str) -> String {
    let is_figure = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let mut out = String::new();
    for line in text.lines() {
        let mut words: Vec<&str> = Vec::new();
        for word in line.split_whitespace() {
            let unit = matches!(word.trim_end_matches([';', ',', ')']), "ms" | "s" | "min" | "h" | "%");
            match words.last_mut() {
                Some(last) if unit && is_figure(last.trim_start_matches('(')) => *last = "0",
                _ if word.starts_with('─') => words.push("─"),
                _ => words.push(word),
            }
        }
        // Several units make one time, as in `1 min 5 s`.
        words.dedup_by(|one, other| one == other && *one == "0");
        // Which step was the slowest is measured, too.
        if words.starts_with(&["slowest", "step"]) {
            words.truncate(2);
        }
        out.push_str(&words.join(" "));
        out.push('\n');
    }
    out
}

/// What a command prints to both outputs.
fn shell(folder: &Path, command: &str) -> String {
    let ours = Path::new(env!("CARGO_BIN_EXE_orderflow")).parent().unwrap();
    let path =
        std::env::join_paths(std::iter::once(ours.to_owned()).chain(std::env::split_paths(&python::path())));
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{command}")])
        .env("PATH", path.unwrap())
        .env("XDG_STATE_HOME", folder.join(".state"))
        .current_dir(folder)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

pub fn fences(page: &str) -> Vec<Fence> {
    let mut fences: Vec<Fence> = Vec::new();
    let (mut paragraph, mut code, mut inside) = (String::new(), None, false);
    for event in Parser::new(page) {
        match event {
            Event::Start(Tag::Paragraph) => (paragraph, code) = (String::new(), None),
            Event::Code(text) => {
                paragraph.push('`');
                code = Some(text.into_string());
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let mut words = info.split_whitespace();
                let language = words.next().unwrap_or_default().to_owned();
                let figures = words.next() == Some("figures");
                let name = code.take().filter(|_| paragraph == "`:");
                fences.push(Fence { language, figures, name, content: String::new() });
                inside = true;
            }
            Event::Text(text) if inside => fences.last_mut().unwrap().content.push_str(&text),
            Event::Text(text) => paragraph.push_str(&text),
            Event::End(TagEnd::CodeBlock) => (paragraph, inside) = (String::new(), false),
            _ => {}
        }
    }
    fences
}
