//! Lines that are almost decisions: `If total > 100: Review`, `Else → Ship`. Says what was most likely meant;
//! lines that are decisions are read by [`condition`](super::condition).
//!
//! Ordinary sentences begin with the same words, so a line counts only where it leads to something that the document
//! knows, or asks a question that no sentence asks.

use crate::condition;

/// What stands between a question and where it leads, the longer ones first where one begins like another.
const LINKS: [&str; 11] = [
    "→",
    "->",
    ":",
    ",",
    " then ",
    " proceed to ",
    " skip to ",
    " go to ",
    " goto ",
    " continue with ",
    " run ",
];

/// Around a title, and no part of it.
const BARE: [char; 5] = ['*', '`', '.', ' ', '\t'];

/// The most words of a title that no step has.
const WORDS: usize = 4;

/// So many letters of a title may be wrong.
const SLIPS: usize = 2;

/// No decision is longer, in bytes.
const LONGEST: usize = 400;

/// So many of the last commas and arrows of a line are taken for the place from where it leads somewhere.
const SPLITS: usize = 8;

/// What a document's decisions can speak of.
pub(super) trait Known {
    /// Whether a step or a group has exactly this title.
    fn is_title(&self, title: &str) -> bool;
    /// The title that is meant, where its case or a letter is wrong.
    fn near_title(&self, title: &str) -> Option<&str>;
    fn is_value(&self, name: &str) -> bool;
}

#[derive(Clone, Copy, PartialEq)]
enum Word {
    If,
    When,
    Otherwise,
}

/// Whether a line begins with a word that decides, however it is written.
pub(super) fn begins(line: &str) -> bool {
    opened(line).is_some()
}

/// Whether a line is `Otherwise → …` or `else → …` and nothing else: no value is called so.
pub(super) fn is_otherwise(line: &str) -> bool {
    let arrow = |rest: &str| {
        let rest = rest.trim_start_matches([' ', '\t', ',', ':']);
        rest.starts_with('→') || rest.starts_with("->")
    };
    opened(line).is_some_and(|(word, rest)| word == Word::Otherwise && arrow(rest))
}

/// A question in words as a condition: `the amount is more than 1000`.
pub(super) fn in_signs(asked: &str) -> Option<String> {
    const WORDS: [(&str, &str); 17] = [
        (" is more than ", " > "),
        (" is greater than ", " > "),
        (" is larger than ", " > "),
        (" is over ", " > "),
        (" is above ", " > "),
        (" exceeds ", " > "),
        (" is less than ", " < "),
        (" is smaller than ", " < "),
        (" is below ", " < "),
        (" is under ", " < "),
        (" is at least ", " >= "),
        (" is at most ", " <= "),
        (" is equal to ", " == "),
        (" equals ", " == "),
        (" is not ", " != "),
        (" is ", " == "),
        (" = ", " == "),
    ];
    if asked.len() > LONGEST {
        return None;
    }
    let asked = asked.split_whitespace().filter(|word| !word.eq_ignore_ascii_case("the"));
    let asked = format!(" {} ", asked.collect::<Vec<_>>().join(" "));
    let said = WORDS.iter().fold(asked, |said, (words, sign)| said.replace(words, sign));
    let said = said.trim().to_owned();
    condition::parse(&said).is_ok_and(|condition| !condition.names().is_empty()).then_some(said)
}

/// The word that a line begins with, and what follows it.
fn opened(line: &str) -> Option<(Word, &str)> {
    if line.len() > LONGEST {
        return None;
    }
    let line = line.trim_start_matches(['*', '_']);
    let (first, rest) = line.split_at(line.bytes().take_while(u8::is_ascii_alphabetic).count());
    let rest = rest.trim_start_matches(['*', '_']);
    if !rest.is_empty() && !rest.starts_with([' ', '\t', ',', ':', '→', '-']) {
        return None;
    }
    match first.to_ascii_lowercase().as_str() {
        "if" | "elif" | "elsif" | "elseif" => Some((Word::If, rest)),
        "when" => Some((Word::When, rest)),
        "otherwise" | "else" => match opened(rest.trim_start_matches([' ', '\t', ','])) {
            Some((Word::If, rest)) => Some((Word::If, rest)),
            _ => Some((Word::Otherwise, rest)),
        },
        _ => None,
    }
}

/// The decision that a line is meant as, where it is surely meant as one.
pub(super) fn meant(line: &str, known: &dyn Known) -> Option<String> {
    opened(line)?;
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let (word, rest) = opened(&line)?;
    if rest.contains("::") {
        return None;
    }
    if word == Word::Otherwise {
        let near = if rest.contains(['→', '>']) { Near::Alike } else { Near::No };
        let target = Target::read(rest, known, near).ok()?;
        return Some(format!("Otherwise → {}", target.right));
    }
    let links = LINKS.iter().flat_map(|link| rest.match_indices(link));
    let mut splits: Vec<(usize, &str)> = links.collect();
    splits.sort_unstable();
    splits.drain(..splits.len().saturating_sub(SPLITS));
    splits.push((rest.len(), ""));
    let asks = |(at, link): (usize, &str)| {
        question(word, rest.get(..at)?, link, rest.get(at + link.len()..)?, known)
    };
    splits.into_iter().find_map(asks)
}

/// The decision that asks one thing and then leads somewhere.
fn question(word: Word, asked: &str, link: &str, rest: &str, known: &dyn Known) -> Option<String> {
    let asked = asked.trim_matches(['*', '_', ' ', '\t', ',', ':']);
    let clear = is_clear(asked, known);
    let arrow = matches!(link, "→" | "->");
    let near = match (arrow, clear) {
        (true, _) => Near::Alike,
        (false, true) => Near::Misspelt,
        (false, false) => Near::No,
    };
    let right = match Target::read(rest, known, near) {
        Ok(target) if clear || arrow || target.exact && word == Word::If => target.right,
        Err(said) if clear && asked.contains(['<', '>', '=']) && may_be_title(&said) => {
            "Step Title".to_owned()
        }
        _ => return None,
    };
    Some(format!("If {} → {right}", if asked.is_empty() { "…" } else { asked }))
}

/// Whether this is a condition about values that there are: no sentence is one by chance.
fn is_clear(asked: &str, known: &dyn Known) -> bool {
    condition::parse(&asked.replace('`', " ")).is_ok_and(|condition| {
        let names = condition.names();
        !names.is_empty() && names.iter().all(|(name, _)| known.is_value(name))
    })
}

/// Whether this may be the title of a step that is missing, or is left out.
fn may_be_title(said: &str) -> bool {
    let words = || said.split_whitespace();
    words().count() <= WORDS && words().all(|word| word.starts_with(char::is_uppercase))
}

/// How far a text may be from a step's title and still mean it.
#[derive(Clone, Copy, PartialEq)]
enum Near {
    No,
    /// Its case, or a letter or two of it. What follows a comma may be any sentence.
    Misspelt,
    /// Whatever is most like it.
    Alike,
}

impl Near {
    fn holds(self, said: &str, title: &str) -> bool {
        let [said, title] = [said, title].map(str::to_lowercase);
        let words = |text: &str| text.split_whitespace().count();
        match self {
            Near::No => false,
            Near::Misspelt => {
                words(&said) == words(&title) && strsim::damerau_levenshtein(&said, &title) <= SLIPS
            }
            Near::Alike => true,
        }
    }
}

/// Where a line leads.
struct Target {
    /// As a decision writes it.
    right: String,
    /// Whether these are the very words: a title or `fail`.
    exact: bool,
}

impl Target {
    /// Where a text leads, also where that is not quite what a title says.
    ///
    /// # Errors
    /// What leads nowhere that is known, without the words before it.
    fn read(rest: &str, known: &dyn Known, near: Near) -> Result<Target, String> {
        let bare = |said: &str| format!(" {}", said.trim_matches(BARE));
        let (mut said, mut skips) = (bare(rest), "");
        // `, then skip to Ship`
        while let Some((link, after)) = LINKS.iter().find_map(|link| {
            let after = said.strip_prefix(link).or_else(|| said.strip_prefix(' ')?.strip_prefix(link))?;
            Some((*link, bare(after)))
        }) {
            skips = if link == " skip to " { "skip to " } else { skips };
            said = after;
        }
        let said = said.trim();
        let failed =
            said.strip_prefix("fail ").is_some_and(|reason| reason.trim_start().starts_with(['"', '“']));
        if failed || said == "end" {
            return Ok(Target { right: said.to_owned(), exact: failed });
        }
        let exact = known.is_title(said);
        let title = match near {
            _ if exact => Some(said),
            Near::No => None,
            _ => known.near_title(said).filter(|title| near.holds(said, title)),
        };
        let target = |title: &str| Target { right: format!("{skips}{title}"), exact };
        title.map(target).ok_or_else(|| said.to_owned())
    }
}
