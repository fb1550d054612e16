//! The words of what people read: plain English, in the terms of the field. A short list of words and phrases keeps
//! a private dialect from coming back.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::ops::Range;
use std::path::Path;

/// Words and phrases with what to write instead. They match as whole words, in any case, across line ends.
const BANNED: [(&[&str], &str); 15] = [
    (&["told", "tells"], "shown, reported, given"),
    (&["anew"], "again, restart"),
    (&["nobody", "whoever"], "the one that does or lacks it"),
    (&["is no", "there is none", "there are none"], "is not, lacks"),
    (&["stands already", "stands in", "stands beside", "still stands", "what stands"], "is"),
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
const ALLOWED: [&str; 2] = ["is no longer", "there is no"];

/// The pages that are checked against the list.
const PAGES: [&str; 13] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "docs/agents.md",
    "docs/architecture.md",
    "docs/card.md",
    "docs/fuzzing.md",
    "docs/language.md",
    "docs/runs.md",
    "docs/speed.md",
    "docs/traces.md",
    "docs/trust.md",
];

/// What is read: a name for the message, and the text as markdown. Another source of text is another line.
fn sources() -> Vec<(&'static str, String)> {
    PAGES.map(page).to_vec()
}

/// A page of the repository.
fn page(path: &'static str) -> (&'static str, String) {
    (path, std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap())
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

/// Every banned word of a text: `name:line: word, write …`.
fn problems(name: &str, markdown: &str) -> Vec<String> {
    let prose = prose(markdown);
    let allowed: Vec<Range<usize>> = ALLOWED.iter().flat_map(|phrase| places(&prose, phrase)).collect();
    let mut found: Vec<(usize, String)> = Vec::new();
    for (phrases, instead) in BANNED {
        for phrase in phrases {
            for at in places(&prose, phrase) {
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
    let expected = ["x:1: `undone`", "x:3: `is no`", "x:4: `nobody`", "x:4: `told`", "x:14: `anew`"];
    assert_eq!(words(problems("x", text)), expected);
}
