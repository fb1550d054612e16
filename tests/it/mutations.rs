//! Documents changed at random: whatever stands in a file, reading it neither fails nor takes long, and what
//! is said about it points into it.

use crate::parsers::check;
use crate::share::one_of;
use orderflow::diag::Source;
use orderflow::spec;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Changes tried on each document.
const ROUNDS: u64 = 25;

/// Pieces that mean something somewhere.
const PIECES: [&str; 32] = [
    "---\n",
    "## ",
    "# ",
    "@agent ",
    "#42",
    " ! ",
    " ? ",
    "[retry:: 3]",
    "[timeout:: ",
    "]",
    " → ",
    "->",
    "::",
    "`",
    "```\n",
    "```sh run\n",
    "~~~",
    "> ",
    "- ",
    "1. ",
    "    ",
    "\t",
    "|",
    "|-|\n",
    "<div>\n",
    "<!--",
    "-->",
    "If ",
    "\u{feff}",
    "\r\n",
    "\u{202e}",
    "ß",
];

/// A small generator of numbers that always gives the same ones.
pub struct Dice(pub u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % below.max(1)
    }
}

pub fn mutate(text: &str, pieces: &[&str], dice: &mut Dice) -> String {
    let mut text = text.to_owned();
    for _ in 0..=dice.roll(4) {
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        let (one, other) = (dice.roll(lines.len()), dice.roll(lines.len()));
        text = match dice.roll(6) {
            0 if !lines.is_empty() => {
                lines.remove(one);
                lines.concat()
            }
            1 if !lines.is_empty() => {
                lines.insert(other, lines[one]);
                lines.concat()
            }
            2 if !lines.is_empty() => {
                lines.swap(one, other);
                lines.concat()
            }
            3 => {
                let mut bytes = text.into_bytes();
                let at = dice.roll(bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = dice.roll(128) as u8;
                }
                String::from_utf8_lossy(&bytes).into_owned()
            }
            4 => {
                let bytes = text.as_bytes();
                let (from, to) = (dice.roll(bytes.len()), dice.roll(bytes.len()));
                let rest = [&bytes[..from.min(to)], &bytes[to.max(from)..]].concat();
                String::from_utf8_lossy(&rest).into_owned()
            }
            _ => {
                let at = (0..=dice.roll(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                format!("{}{}{}", &text[..at], pieces[dice.roll(pieces.len())], &text[at..])
            }
        };
    }
    text
}

fn documents() -> Vec<String> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let paths = fs::read_dir(tests.join("diagnostics")).unwrap().map(|entry| entry.unwrap().path());
    let original = tests.join("fixtures/order-processing-original.md");
    let mut paths: Vec<_> = paths.chain([original]).collect();
    paths.sort();
    paths.iter().map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()).collect()
}

#[test]
fn changed_documents_are_read_in_no_time_and_told_about_in_place() {
    let documents = documents();
    let share = one_of(3);
    for (number, document) in documents.iter().enumerate() {
        for round in (0..ROUNDS).skip(number % share).step_by(share) {
            let mut dice = Dice(number as u64 * ROUNDS + round);
            let mutated = mutate(document, &PIECES, &mut dice);
            let began = Instant::now();
            check(mutated.clone());
            assert!(began.elapsed() < Duration::from_secs(60), "slow:\n{mutated}");
        }
    }
}

/// A space may have one, two or three bytes: what is found with one is shown as it was written.
#[test]
fn documents_with_the_spaces_of_other_keyboards_are_read() {
    for document in documents() {
        for space in ["\u{a0}", "\u{2009}", "\u{3000}", " \u{a0}", "\u{a0} "] {
            check(document.replace(' ', space));
        }
    }
}

/// What grows faster than the document would take minutes here; what does not, about a second.
#[test]
fn large_documents_of_one_kind_are_read_in_time() {
    let size = spec::LARGEST / 16;
    let share = one_of(3);
    let pieces = PIECES.into_iter().chain([
        "[a:: ",
        "[",
        "a, ",
        "a → ",
        "a -> b\n",
        "[a:: b]\n",
        "## A @a\n",
        "## A\na → b\n",
        "- a → b\n",
        "> > ",
        "- - ",
        "* a\n\n  ",
        "@a ",
        "a `b` ",
        "![",
        "**a ",
        "<a ",
        "&amp;",
        "Takes a → creates:\n- b\n",
        "# A\n",
        "x\n---\n",
        "```session-toon\nexecution[1]{phase}:\n A\n```\n",
        "##A @a\n",
        "a → B\n\n## B\n",
        "- ```\n- x\n",
    ]);
    for (number, piece) in pieces.enumerate() {
        let text = piece.repeat(size / piece.len());
        let texts = [format!("---\nx-a: {text}\n---\n"), format!("## Step @a\n\n{text}"), text];
        for text in texts.into_iter().skip(number % share).step_by(share) {
            in_time(text, piece);
        }
    }
    for (deep, line) in
        [("- ", "\n"), ("> ", "x\n"), ("> ", "> x\n"), ("[", "]"), ("(", "->)"), ("* ", " [a:: b]\n")]
    {
        in_time(format!("{}\n{}", deep.repeat(size / 8), line.repeat(size / 8)), deep);
        in_time(format!("## A {} @a {}", deep.repeat(size / 8), line.repeat(size / 8)), deep);
    }
}

/// Lines that begin as decisions do are held against all titles.
#[test]
fn many_lines_that_may_be_decisions_take_no_long_time() {
    let line =
        "If the customer calls, and asks, and waits, then writes, then calls: Setp 1, or Stpe 2, or else";
    let steps: String =
        (0..4000).map(|number| format!("## Step {number} @a\n\n{line} {number}\n- {line}\n\n")).collect();
    in_time(steps, line);
}

fn in_time(text: String, of: &str) {
    let began = Instant::now();
    spec::parse(&Source::new("x.md", text));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?} for {of:?} repeated");
}
