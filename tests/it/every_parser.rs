//! Every parser, fed with what it should read changed at random, and with large texts of one kind: it neither fails
//! nor takes long.

use crate::mutations::{Dice, mutate};
use crate::parsers::PARSERS;
use crate::share::one_of;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Changes tried on each text.
const ROUNDS: u64 = 120;

/// Bytes of a large text.
const LARGE: usize = 64 << 10;

const PIECES: [&str; 48] = [
    "\"", "'", "`", "\\", "\\u", "{", "}", "[", "]", "(", ")", "<", ">", "|", ",", ":", "::", ";", "=", "-",
    "+", "*", "/", "#", "@", "!", "?", ".", "\n", "\r", "\r\n", "\t", " ", "  ", "\0", "\u{feff}",
    "\u{202e}", "ß", "a", "0", "1e999", "null", "true", "not ", "and ", "{\"a\":", "[[", "a.b",
];

/// What a parser reads when all is well.
fn texts(parser: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(parser);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "give {parser} something to read");
    paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn changed_texts_are_read_by_every_parser_in_no_time() {
    for (name, parser) in PARSERS {
        for (number, text) in texts(name).iter().enumerate() {
            parser(text.as_bytes());
            for round in (0..ROUNDS).step_by(one_of(3)) {
                let changed = mutate(text, &PIECES, &mut Dice(round * 31 + number as u64));
                let began = Instant::now();
                parser(changed.as_bytes());
                assert!(began.elapsed() < Duration::from_secs(60), "{name} is slow:\n{changed}");
            }
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_by_every_parser() {
    for (name, parser) in PARSERS {
        for text in texts(name) {
            for at in [0, text.len() / 2, text.len()] {
                let mut bytes = text.clone().into_bytes();
                bytes.splice(at..at, [0xff, 0xc3]);
                parser(&bytes);
            }
        }
    }
}

/// What documents are read by has tests of its own for this.
const OF_DOCUMENTS: [&str; 6] = ["document", "front-matter", "heading", "step", "ts", "json-schema"];

/// What grows with the square of the size would take minutes here.
#[test]
fn large_texts_of_one_kind_are_read_by_every_parser_in_time() {
    let share = one_of(3);
    let parsers = PARSERS.into_iter().filter(|(name, _)| !OF_DOCUMENTS.contains(name));
    for (number, (name, parser)) in parsers.enumerate() {
        for start in texts(name).into_iter().take(1).chain([String::new()]) {
            let pieces = PIECES.into_iter().chain([
                "a\n",
                "a,",
                "a = 1\n",
                "[a]\n",
                "{\"a\": [",
                "'a' ",
                "\"a\",",
                "p95 < 1s, ",
            ]);
            for piece in pieces.skip(number % share).step_by(share) {
                let large = format!("{start}{}", piece.repeat(LARGE / piece.len()));
                let began = Instant::now();
                parser(large.as_bytes());
                let took = began.elapsed();
                assert!(
                    took < Duration::from_secs(60),
                    "{name} takes {took:?} for {piece:?} repeated after {start:?}"
                );
            }
        }
    }
}
