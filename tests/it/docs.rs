//! The pages of `docs/` as programs: every document validates, every command prints what the page shows.
//!
//! A paragraph that is only a name in backticks and a colon gives the fence below it that name: it is a file in
//! the page's folder. A `console` fence holds commands behind `$ ` and what they print, both outputs together;
//! a line `...` stands for any lines, `[..]` for any text within one.

use crate::python;
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A fenced block of a page.
struct Fence {
    /// The first word of its info string.
    language: String,
    /// The file that it is.
    name: Option<String>,
    content: String,
}

#[test]
fn what_the_pages_show_is_what_happens() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut seen = 0;
    for page in std::fs::read_dir(pages).unwrap() {
        let page = page.unwrap();
        let fences = fences(&std::fs::read_to_string(page.path()).unwrap());
        seen += fences.len();
        try_out(&page.file_name().to_string_lossy(), &fences);
    }
    assert!(seen > 10, "the pages hold {seen} fences");
}

fn try_out(page: &str, fences: &[Fence]) {
    let folder = TempDir::new().unwrap();
    for fence in fences {
        if let Some(name) = &fence.name {
            std::fs::write(folder.path().join(name), &fence.content).unwrap();
        }
        match fence.language.as_str() {
            "markdown" => validate(page, &fence.content),
            "console" => converse(page, folder.path(), &fence.content),
            "sh" | "python" => assert!(is_run(fence, fences), "{page}: never run:\n{}", fence.content),
            _ => {}
        }
    }
}

fn validate(page: &str, document: &str) {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("example.md"), document).unwrap();
    let told = shell(folder.path(), "orderflow validate example.md");
    assert!(told.trim_end().ends_with("no problems"), "{page}:\n{document}\n{told}");
}

/// Whether a command of the page runs this program.
fn is_run(program: &Fence, fences: &[Fence]) -> bool {
    let Some(name) = &program.name else { return false };
    fences.iter().any(|other| other.language == "console" && other.content.contains(name))
}

/// Runs the commands of a `console` fence.
fn converse(page: &str, folder: &Path, fence: &str) {
    for part in format!("\n{fence}").split("\n$ ").skip(1) {
        let (command, expected) = part.split_once('\n').unwrap_or((part, ""));
        let printed = shell(folder, command);
        let place = format!("{page}: $ {command}");
        snapbox::Assert::new()
            .eq(format!("{place}\n{printed}").trim_end(), format!("{place}\n{expected}").trim_end());
    }
}

/// What a command prints to both outputs.
fn shell(folder: &Path, command: &str) -> String {
    let ours = Path::new(env!("CARGO_BIN_EXE_orderflow")).parent().unwrap();
    let path =
        std::env::join_paths(std::iter::once(ours.to_owned()).chain(std::env::split_paths(&python::path())));
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{command}")])
        .env("PATH", path.unwrap())
        .current_dir(folder)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn fences(page: &str) -> Vec<Fence> {
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
                let language = info.split_whitespace().next().unwrap_or_default().to_owned();
                let name = code.take().filter(|_| paragraph == "`:");
                fences.push(Fence { language, name, content: String::new() });
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
