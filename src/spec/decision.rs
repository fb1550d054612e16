//! Lines that are almost decisions: `If total > 100: Review`, `Else → Ship`. Finds the most likely meaning;
//! [`condition`](super::condition) reads actual decisions.
//!
//! Ordinary sentences begin with the same words, so a line counts only if it leads to a known target, or has an
//! expression that no sentence has.

use crate::condition;

/// The text between a condition and its target, longer ones before their prefixes.
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

/// Characters around a title that are not part of it.
const BARE: [char; 5] = ['*', '`', '.', ' ', '\t'];

/// The most words of an unknown title.
const WORDS: usize = 4;

/// The most wrong letters of a title.
const SLIPS: usize = 2;

/// The longest decision, in bytes.
const LONGEST: usize = 400;

/// The most commas and arrows of a line, from its end, that are tried as the link to the target.
const SPLITS: usize = 8;

/// The names that a document's decisions can refer to.
pub(super) trait Known {
    /// Whether a step or a group has exactly this title.
    fn is_title(&self, title: &str) -> bool;
    /// The title that is meant, if its case or a letter is wrong.
    fn near_title(&self, title: &str) -> Option<&str>;
    /// The title that is `Step 2: …` with this behind it.
    fn labelled(&self, title: &str) -> Option<&str>;
    fn is_value(&self, name: &str) -> bool;
}

#[derive(Clone, Copy, PartialEq)]
enum Word {
    If,
    When,
    Otherwise,
}

/// Whether a line begins with a word of decisions, in any spelling.
pub(super) fn begins(line: &str) -> bool {
    opened(line).is_some()
}

/// Whether a line is only `Otherwise → …` or `else → …`, which cannot be a signature.
pub(super) fn is_otherwise(line: &str) -> bool {
    let arrow = |rest: &str| {
        let rest = rest.trim_start_matches([' ', '\t', ',', ':']);
        rest.starts_with('→') || rest.starts_with("->")
    };
    opened(line).is_some_and(|(word, rest)| word == Word::Otherwise && arrow(rest))
}

/// A condition in words as an expression: `the amount is more than 1000`.
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

/// The first word of a line, and the text after it.
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

/// The decision that a line is meant as, if that is certain.
pub(super) fn meant(line: &str, known: &dyn Known) -> Option<String> {
    opened(line)?;
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.replace(" THEN ", " then ").replace(" ELSE ", " else ");
    let (word, rest) = opened(&line)?;
    if rest.contains("::") {
        return None;
    }
    // `If ok then Pay else Refuse`: both have to lead to a step.
    if let Some((first, other)) = rest.rsplit_once(" else ").filter(|_| word != Word::Otherwise) {
        let other = Target::read(other, known, Near::No).ok().filter(|target| target.exact);
        let first = meant(&format!("If{}", first.trim_end_matches([',', ';'])), known);
        if let (Some(first), Some(other)) = (first, other) {
            return Some(format!("{first}\nOtherwise → {}", other.right));
        }
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

/// The decision with one condition and one target.
fn question(word: Word, asked: &str, link: &str, rest: &str, known: &dyn Known) -> Option<String> {
    let asked = asked.trim_matches(['*', '_', ' ', '\t', ',', ':']);
    // `the verdict is "good"`
    let signs = in_signs(&asked.replace('`', " ")).filter(|_| !is_clear(asked, known));
    let signs = signs.filter(|signs| is_clear(signs, known));
    let asked = signs.as_deref().unwrap_or(asked);
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

/// Whether a line leads to the item's failure, in other words.
fn stops(said: &str) -> bool {
    let first = said.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_lowercase();
    let words =
        ["stop", "stops", "abort", "fail", "fails", "failed", "halt", "exit", "reject", "cancel", "error"];
    words.contains(&first.as_str())
        && !said.contains(['"', '\u{201c}'])
        && said.split_whitespace().count() <= 8
}

/// `Fail if the count is 0` as a decision, where it asks for values that there are.
pub(super) fn fails(line: &str, known: &dyn Known) -> Option<String> {
    let said = line.trim_matches(BARE);
    if said.len() > LONGEST {
        return None;
    }
    let (verb, asked) = said.split_once(" if ").or_else(|| said.split_once(" when "))?;
    let verbs = ["fail", "stop", "abort", "reject", "refuse", "cancel"];
    let words: Vec<String> = verb.split_whitespace().map(str::to_lowercase).collect();
    let (first, rest) = words.split_first()?;
    let named = rest.iter().all(|word| ["the", "it", "this", "item", "run", "here"].contains(&word.as_str()));
    if !verbs.contains(&first.as_str()) || !named {
        return None;
    }
    let plain = asked.replace('`', " ");
    let signs = Some(plain.clone()).filter(|plain| is_clear(plain, known)).or_else(|| in_signs(&plain))?;
    is_clear(&signs, known).then(|| {
        format!(
            "If {} \u{2192} fail \"{}\"",
            signs.trim(),
            plain.split_whitespace().collect::<Vec<_>>().join(" ").replace('"', "'")
        )
    })
}

/// Whether this is a condition about values that there are: no sentence is one by chance.
fn is_clear(asked: &str, known: &dyn Known) -> bool {
    condition::parse(&asked.replace('`', " ")).is_ok_and(|condition| {
        let names = condition.names();
        !names.is_empty() && names.iter().all(|(name, _)| known.is_value(name))
    })
}

/// Whether this may be the title of a missing step.
fn may_be_title(said: &str) -> bool {
    let words = || said.split_whitespace();
    words().count() <= WORDS && words().all(|word| word.starts_with(char::is_uppercase))
}

/// The target of a decision that a text is meant as, in the spelling of a decision.
///
/// # Errors
/// The text, if it leads to none.
pub(super) fn target(said: &str, known: &dyn Known) -> Result<String, String> {
    Target::read(said, known, Near::Alike).map(|target| target.right)
}

/// How much a text may differ from a step's title.
#[derive(Clone, Copy, PartialEq)]
enum Near {
    No,
    /// In its case, or in a letter or two. A comma may be followed by any sentence.
    Misspelt,
    /// By any amount: the most similar title is taken.
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

/// The target of a line.
struct Target {
    /// In the spelling of a decision.
    right: String,
    /// Whether the words are exact: a title or `fail`.
    exact: bool,
}

impl Target {
    /// The target of a text, also if it only resembles a title.
    ///
    /// # Errors
    /// The unknown target, without the words before it.
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
        if near == Near::Alike && !known.is_title(said) && stops(said) {
            return Ok(Target { right: format!("fail \"{said}\""), exact: false });
        }
        if failed || said == "end" {
            return Ok(Target { right: said.to_owned(), exact: failed });
        }
        let exact = known.is_title(said);
        let title = match near {
            _ if exact => Some(said),
            _ if known.labelled(said).is_some() => known.labelled(said),
            Near::No => None,
            _ => known.near_title(said).filter(|title| near.holds(said, title)),
        };
        let exact = exact || known.labelled(said).is_some();
        let target = |title: &str| Target { right: format!("{skips}{title}"), exact };
        title.map(target).ok_or_else(|| said.to_owned())
    }
}
