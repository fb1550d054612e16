//! The words of what people read: plain English, in the terms of the field. A short list of words and phrases keeps
//! a private dialect from coming back.

use crate::help;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Words and phrases with what to write instead. They match as whole words, in any case, across line ends.
const BANNED: [(&[&str], &str); 17] = [
    (&["told", "tells"], "shown, reported, given"),
    (&["anew"], "again, restart"),
    (&["nobody", "whoever"], "the one that does or lacks it"),
    (&["is no", "there is none", "there are none"], "is not, lacks"),
    (&["stands already", "stands", "stand in", "stand beside", "standing"], "is"),
    (&["there is no", "there are no"], "is missing, lacks"),
    (&["hands over", "handed over", "brings back", "bring back"], "pass, restore"),
    (&["hold against", "holds against", "held against"], "check against"),
    (&["put back", "puts back", "putting back"], "requeue, restore"),
    (&["undo", "undoes", "undoing", "undid", "undone"], "compensate"),
    (&["give up", "gives up", "giving up", "given up"], "cancel"),
    (&["go on", "goes on", "going on", "gone on"], "continue, resume"),
    (&["made up", "makes up", "stand-in", "stand-ins"], "stub"),
    (&["mend", "mends", "mended", "mending"], "fix, edit"),
    (&["says so", "speak of", "speaks of"], "report, name"),
    (&["let be", "let go of"], "ignore, drop"),
    (&["of now"], "current"),
];

/// Phrases that contain a banned one and are plain English.
const ALLOWED: [&str; 1] = ["is no longer"];

/// Names of files and folders that only test.
const TESTING: [&str; 4] = ["tests", "simulator", "conformance", "differential"];

/// The pages that are checked against the list.
const PAGES: [&str; 21] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "docs/agents.md",
    "docs/architecture.md",
    "docs/card.md",
    "docs/ci.md",
    "docs/cluster.md",
    "docs/editors.md",
    "docs/events.md",
    "docs/fuzzing.md",
    "docs/install.md",
    "docs/language.md",
    "docs/mcp.md",
    "docs/runs.md",
    "docs/seeing.md",
    "docs/speed.md",
    "docs/testing.md",
    "docs/traces.md",
    "docs/trust.md",
];

/// What is read: a name for the message, and its prose.
fn sources() -> Vec<(String, String)> {
    let pages = PAGES.map(|path| (path.to_owned(), prose(&file(path))));
    let helps = help::all().into_iter().map(|(command, text)| (command, plain(&text)));
    let code = code_files().into_iter().map(|path| {
        let path = path.to_string_lossy().into_owned();
        let texts = texts(&file(&path));
        (path, texts)
    });
    pages.into_iter().chain(helps).chain(code).collect()
}

/// A file of the repository.
fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The source files without those that only test, below the repository's folder.
fn code_files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let is_test = path.file_stem().is_some_and(|name| TESTING.iter().any(|test| name == *test));
            match path.extension() {
                _ if is_test => {}
                _ if path.is_dir() => folders.push(path),
                // The table of other spellings has those that are not to be written.
                Some(end) if end == "rs" && !path.ends_with("spec/near/mod.rs") => {
                    found.push(path.strip_prefix(root).unwrap().to_owned());
                }
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// The prose of a plain text: code in backticks is `·`.
fn plain(text: &str) -> String {
    let mut in_code = false;
    let shown = |c: char| {
        in_code ^= c == '`';
        if c.is_whitespace() || !in_code && c != '`' { c } else { '·' }
    };
    text.chars().map(shown).collect::<String>().to_lowercase()
}

/// The prose of a source file at its lines, up to its unit tests: the texts of string literals and of comments.
fn texts(source: &str) -> String {
    let end = source.find("#[cfg(test)]\nmod tests {").unwrap_or(source.len());
    let mut out = String::new();
    let mut rest = &source[..end];
    while let Some(first) = rest.chars().next() {
        let (length, is_text) = match first {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), true),
            '"' => (end_of(rest, 1, "\"", true), true),
            'r' if is_raw(rest) && !out.ends_with(|c: char| c == '_' || c.is_alphanumeric()) => {
                let hashes = rest[1..].find('"').unwrap_or_default();
                let close = format!("\"{}", "#".repeat(hashes));
                (end_of(rest, hashes + 2, &close, false), true)
            }
            '\'' => (character(rest), false),
            other => (other.len_utf8(), false),
        };
        let (piece, after) = rest.split_at(length);
        match is_text {
            true => out.push_str(&spoken(piece)),
            false => out.extend(piece.chars().map(|c| if c == '\n' { c } else { mask(c) })),
        }
        rest = after;
    }
    out
}

/// A character of code: a letter where a name goes on, so that an `r` in it begins no literal.
fn mask(c: char) -> char {
    if c.is_alphanumeric() || c == '_' { '_' } else { '·' }
}

fn is_raw(text: &str) -> bool {
    text[1..].trim_start_matches('#').starts_with('"')
}

/// Where a literal ends whose inner text begins at `from`.
fn end_of(text: &str, from: usize, close: &str, escapes: bool) -> usize {
    let mut at = from;
    while at < text.len() {
        if text[at..].starts_with(close) {
            return at + close.len();
        }
        let step = |at: usize| text[at..].chars().next().map_or(1, char::len_utf8);
        let escaped = escapes && text[at..].starts_with('\\');
        at += step(at);
        if escaped && at < text.len() {
            at += step(at);
        }
    }
    text.len()
}

/// The length of a character literal; of the quote alone where it begins a lifetime.
fn character(text: &str) -> usize {
    let mut inner = text[1..].char_indices();
    match inner.next() {
        Some((_, '\\')) => end_of(text, 1, "'", true),
        Some((_, c)) if text[1 + c.len_utf8()..].starts_with('\'') => c.len_utf8() + 2,
        _ => 1,
    }
}

/// The prose of one literal or comment: without escapes, values in braces, code in backticks and the marks of comments.
fn spoken(piece: &str) -> String {
    let (mut escaped, mut depth) = (false, 0_usize);
    let unescape = |c: char| {
        let was_escaped = escaped;
        escaped = !was_escaped && c == '\\';
        depth += usize::from(c == '{');
        let inside = depth > 0;
        depth = depth.saturating_sub(usize::from(c == '}'));
        match c {
            c if c.is_whitespace() => c,
            '\\' | '/' | '!' => ' ',
            'n' | 't' | 'r' if was_escaped => ' ',
            _ if inside => '·',
            other => other,
        }
    };
    plain(&piece.chars().map(unescape).collect::<String>())
}

/// The prose of a markdown text, in lower case and at its lines: every character of code and of the targets of links is `·`.
fn prose(markdown: &str) -> String {
    let mut kept = vec![false; markdown.len()];
    let mut in_code = false;
    for (event, range) in Parser::new_ext(markdown, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(_)) => in_code = true,
            Event::End(TagEnd::CodeBlock) => in_code = false,
            Event::Text(_) if !in_code => kept[range].fill(true),
            _ => {}
        }
    }
    let plain = |(at, c): (usize, char)| if kept[at] || c.is_whitespace() { c } else { '·' };
    markdown.char_indices().map(plain).collect::<String>().to_lowercase()
}

/// The places of a phrase in a prose, as whole words with any white space between them.
fn places(prose: &str, phrase: &str) -> Vec<Range<usize>> {
    let words: Vec<&str> = phrase.split(' ').collect();
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let end = |at: usize| {
        let mut rest = &prose[at..];
        for (index, word) in words.iter().enumerate() {
            let next = rest.trim_start();
            if index > 0 && next.len() == rest.len() {
                return None;
            }
            rest = next.strip_prefix(word)?;
        }
        (!rest.starts_with(is_word)).then(|| prose.len() - rest.len())
    };
    let starts =
        prose.match_indices(words[0]).map(|(at, _)| at).filter(|at| !prose[..*at].ends_with(is_word));
    starts.filter_map(|at| Some(at..end(at)?)).collect()
}

/// Every banned word of a prose: `name:line: word, write …`.
fn problems(name: &str, prose: &str) -> Vec<String> {
    let allowed: Vec<Range<usize>> = ALLOWED.iter().flat_map(|phrase| places(prose, phrase)).collect();
    let mut found: Vec<(usize, String)> = Vec::new();
    for (phrases, instead) in BANNED {
        for phrase in phrases {
            for at in places(prose, phrase) {
                if !allowed.iter().any(|range| range.start <= at.start && at.end <= range.end) {
                    let line = prose[..at.start].matches('\n').count() + 1;
                    found.push((line, format!("{name}:{line}: `{phrase}`, write: {instead}")));
                }
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, problem)| problem).collect()
}

#[test]
fn no_text_has_a_banned_word() {
    let found: Vec<String> = sources().iter().flat_map(|(name, text)| problems(name, text)).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn banned_words_are_found_in_prose_only_and_at_their_lines() {
    let text = "# Undone\n\nIt is\nno item, *nobody* was Told, `told` and is no longer; there\nis no\nitem.\n\n```text\ntold\n```\n\n\
                | a | b |\n|---|---|\n| retold | anew |\n\n[untold](told.md)\n";
    let words = |found: Vec<String>| -> Vec<String> {
        found.iter().map(|problem| problem.split(',').next().unwrap_or_default().to_owned()).collect()
    };
    let expected = [
        "x:1: `undone`",
        "x:3: `is no`",
        "x:4: `nobody`",
        "x:4: `there is no`",
        "x:4: `told`",
        "x:5: `is no`",
        "x:14: `anew`",
    ];
    assert_eq!(words(problems("x", &prose(text))), expected);
    let code = "/// Told.\nfn told<'a>(c: char) -> &'a str {\n    let told = '\"'; // anew\n    f(r#\"a \"told\" `anew`\"#, \"{told} \\\"un\\ntold\\\"\", \"is \\\n      no\")\n}\n#[cfg(test)]\nmod tests {\n    \"told\"\n";
    let found = words(problems("x", &texts(code)));
    assert_eq!(found, ["x:1: `told`", "x:3: `anew`", "x:4: `is no`", "x:4: `told`", "x:4: `told`"]);
}
