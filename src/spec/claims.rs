//! The order of steps according to prose, tables and flowcharts. It has no effect; `graph` compares it with the actual
//! order.

use super::body::{Part, opening};
use super::decision::Known;
use super::evidence::Role;
use super::markdown::{Block, Holder, Kind, cells, lines};
use super::misses;
use super::model::{Claim, Drawing, Says, Spec};
use super::near;
use super::title;
use super::titles::Titles;
use crate::diag::Span;
use crate::value::Type;
use aho_corasick::AhoCorasick;
use std::collections::HashSet;
use std::sync::LazyLock;

/// A title has at most this many words.
const WORDS: usize = 8;

/// A paragraph of more bytes is not read.
const LONGEST: usize = 4000;

/// Makes a claim about a title.
type Saying = fn(String) -> Says;

/// Words, and the claim that they make about the title after them.
const TRIGGERS: [(&str, Saying); 11] = [
    ("only after", Says::After),
    ("not before", Says::After),
    ("after", Says::After),
    ("waits for", Says::After),
    ("wait for", Says::After),
    ("goes back to", Says::Back),
    ("go back to", Says::Back),
    ("back to", Says::Back),
    ("returns to", Says::Back),
    ("return to", Says::Back),
    ("until", Says::Until),
];

/// Words that begin a sentence about a value.
const ASKS: [&str; 4] = ["only if", "only when", "unless", "until"];

/// Words before a failure that changes nothing.
const EVEN: [&str; 3] = ["even if", "even when", "even though"];

/// Words that begin a condition.
const WHEN: [&str; 3] = ["when", "if", "in case"];

const BEFORE: &str = "before";

/// Words that begin a sentence that is like a jump.
const JUMPS: [&str; 6] = ["goto ", "go to ", "jump to ", "repeat ", "redo ", "rerun "];

/// The words above in a sentence, each with its place. Most sentences have none of them.
struct Spoken(Vec<(&'static str, usize)>);

impl Spoken {
    /// Those of a sentence in lower case.
    fn of(lower: &str) -> Self {
        static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| {
            let triggers = TRIGGERS.iter().map(|(words, _)| *words);
            triggers.chain(ASKS).chain(EVEN).chain(WHEN).chain([BEFORE]).collect()
        });
        // Without an automaton, which is never too large, nothing is found.
        static SEARCH: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(&*WORDS).ok());
        let found = SEARCH.iter().flat_map(|search| search.find_overlapping_iter(lower));
        let whole = found.filter(|found| is_apart(lower, found.start(), found.end()));
        Spoken(whole.map(|found| (WORDS[found.pattern()], found.start())).collect())
    }

    fn places(&self, words: &str) -> impl Iterator<Item = usize> {
        self.0.iter().filter(move |(spoken, _)| *spoken == words).map(|(_, at)| *at)
    }
}

/// Adds the claims of prose to the steps, and the drawings to the document.
pub(super) fn read(text: &str, parts: &[Part], roles: &[Role], titles: &Titles, spec: &mut Spec) {
    let flags = Flags::new(parts);
    let steps = parts.iter().zip(roles).filter(|(_, role)| **role == Role::Step);
    for ((part, _), step) in steps.zip(&mut spec.steps) {
        let own = part.title(text);
        for block in &part.blocks {
            let spans = match &block.kind {
                Kind::Paragraph => vec![block.span],
                Kind::Container(list) if list.holder == Holder::List => list.items.clone(),
                _ => continue,
            };
            let spans = spans.into_iter().filter(|span| span.end - span.start <= LONGEST);
            let found = spans.flat_map(|span| sentences(text, part, span));
            step.claims.extend(found.filter_map(|span| claim(text, span, titles, &flags, own)));
        }
    }
    for block in parts.iter().flat_map(|part| &part.blocks) {
        spec.drawings.extend(flowchart(text, block, titles).or_else(|| table(text, block, titles)));
    }
}

/// Values that a sentence can ask for.
struct Flags<'a> {
    /// Those that are true or false, or whose name is not an ordinary word.
    all: HashSet<&'a str>,
    /// Those of them that are true or false.
    answers: HashSet<&'a str>,
}

impl<'a> Flags<'a> {
    fn new(parts: &'a [Part]) -> Self {
        let read = parts.iter().flat_map(|part| &part.arrows).filter_map(|arrow| arrow.read.as_ref().ok());
        let ports = || read.clone().flat_map(|signature| signature.inputs.iter().chain(&signature.outputs));
        let answers: HashSet<&str> = ports()
            .filter(|port| port.ty.as_ref().is_some_and(|ty| ty.value == Type::Boolean))
            .map(|port| port.name.value.as_str())
            .collect();
        let named = ports().map(|port| port.name.value.as_str()).filter(|name| name.contains('_'));
        Flags { all: named.chain(answers.iter().copied()).collect(), answers }
    }

    /// The first of them in a text, also with spaces in its name.
    fn first(&self, text: &str) -> Option<&'a str> {
        let at = |name: &&&str| {
            let spaced = name.replace('_', " ");
            let found = places(text, &name.to_lowercase()).next();
            found.or_else(|| places(text, &spaced.to_lowercase()).next())
        };
        let all = self.all.iter().filter_map(|name| Some((at(&name)?, *name)));
        all.min().map(|(_, name)| name)
    }

    /// The condition that a text says in words: `it is paid or the order was cleared`.
    fn condition(&self, said: &str, titles: &Titles) -> Option<String> {
        let said = said.trim().trim_end_matches(['.', '!']).trim();
        let (link, sign) = match (said.contains(" and "), said.contains(" or ")) {
            (true, true) => return None,
            (false, true) => (" or ", " or "),
            _ => (" and ", " and "),
        };
        let clauses: Option<Vec<String>> =
            said.split(link).map(|clause| self.clause(clause.trim_matches([' ', ',']), titles)).collect();
        clauses.map(|clauses| clauses.join(sign))
    }

    fn clause(&self, clause: &str, titles: &Titles) -> Option<String> {
        const AROUND: &str = "it the is was has have had been are were be a an this that true both got";
        const NOT: [&str; 5] = ["not", "no", "never", "isn't", "wasn't"];
        if let Some(right) = near::condition(clause).filter(|right| misses::is_known(right, titles)) {
            return Some(right);
        }
        let flag = self.first(&clause.to_lowercase()).filter(|flag| self.answers.contains(flag))?;
        let own = [flag.to_lowercase(), flag.replace('_', " ").to_lowercase()];
        let lower = clause.to_lowercase();
        let own = own.iter().find(|own| places(&lower, own).next().is_some())?;
        let rest = lower.replacen(own.as_str(), " ", 1);
        let mut words = rest.split_whitespace();
        let negated = words.clone().any(|word| NOT.contains(&word));
        let known = |word: &str| {
            AROUND.split(' ').any(|around| around == word) || NOT.contains(&word) || titles.is_value(word)
        };
        words.all(known).then(|| if negated { format!("not {flag}") } else { flag.to_owned() })
    }
}

/// The sentences of prose in a block.
fn sentences(text: &str, part: &Part, block: Span) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    let mut open = false;
    // They are in the order of the text.
    let from = part.loose.partition_point(|loose| loose.line.start < block.start);
    for loose in part.loose[from..].iter().take_while(|loose| loose.line.end <= block.end) {
        let mut start = loose.inner.start;
        while start < loose.inner.end {
            let rest = &text[start..loose.inner.end];
            let stop = rest.find(". ").map(|at| start + at + 1);
            let end = stop.unwrap_or(loose.inner.end);
            match found.last_mut() {
                Some(last) if open => last.end = end,
                _ => found.push(Span::new(start, end)),
            }
            open = stop.is_none() && !rest.ends_with(['.', ':', '!', '?']);
            start = stop.map_or(loose.inner.end, |stop| stop + 1);
        }
    }
    found
}

/// What one sentence says of another step, or of a value.
fn claim(text: &str, span: Span, titles: &Titles, flags: &Flags, own: &str) -> Option<Claim> {
    let sentence = &text[span.start..span.end];
    // As long as the sentence, so that the places are the same.
    let plain: String = sentence
        .chars()
        .map(|c| if matches!(c, '*' | '`' | '"' | '\n' | '\r' | '\t') { ' ' } else { c })
        .collect();
    let lower = plain.to_ascii_lowercase();
    let begun = lower.trim_start();
    let jump = JUMPS.into_iter().find(|words| begun.starts_with(words));
    let spoken = Spoken::of(&lower);
    if jump.is_none() && spoken.0.is_empty() || misses::is_setting(sentence, titles) {
        return None;
    }
    let made = |says: Says, whole: bool| Some(Claim { span, says, whole });
    for (words, says) in TRIGGERS {
        for at in spoken.places(words) {
            let Some((title, end)) = named(&plain, at + words.len(), titles) else { continue };
            if title == own {
                continue;
            }
            let alone = lower[..at].trim().is_empty() && plain[end..].trim_matches([' ', '.']).is_empty();
            return made(says(title), alone);
        }
    }
    if let Some(words) = jump
        && let Some((title, _)) = named(&plain, lower.len() - begun.len() + words.len(), titles)
        && title != own
    {
        let place = |title: &str| titles.steps.get(title).copied();
        let back = words.starts_with('r') || place(&title) < place(own);
        return made(if back { Says::Back(title) } else { Says::Before(title) }, false);
    }
    for at in spoken.places(BEFORE) {
        let Some((title, _)) = named(&plain, at + BEFORE.len(), titles) else { continue };
        let not = lower[..at]
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| matches!(word, "not" | "never" | "t"));
        if title != own {
            return made(if not { Says::After(title) } else { Says::Before(title) }, false);
        }
    }
    let even = EVEN.into_iter().find_map(|words| spoken.places(words).next());
    if even.is_some_and(|at| {
        lower[at..]
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| matches!(word, "fail" | "fails" | "failed"))
    }) {
        return made(Says::Even, false);
    }
    for words in WHEN {
        for at in spoken.places(words) {
            let Some((title, end)) = named(&plain, at + words.len(), titles) else { continue };
            if fails(&lower[end..]) {
                return made(Says::Fails(Some(title)), false);
            }
        }
    }
    let begins =
        |words: &str| lower.trim_start().strip_prefix(words).is_some_and(|rest| rest.starts_with(' '));
    let bare = lower.trim().trim_end_matches('.');
    if WHEN.into_iter().any(begins)
        && bare.split_whitespace().count() <= 6
        && ["fails", "failed"].iter().any(|end| bare.ends_with(end))
    {
        return made(Says::Fails(None), false);
    }
    // A line that is a condition as a whole.
    if let Some(words) = ["if", "when"].into_iter().find(|words| begins(words)) {
        let behind = lower.len() - lower.trim_start().len() + words.len();
        let asked = plain[behind..].trim_end_matches([':', ',', ' ']);
        if let (Some(value), Some(right)) = (flags.first(&lower[behind..]), flags.condition(asked, titles)) {
            return made(Says::When(value.to_owned(), Some(right)), false);
        }
    }
    let asks = |words: &&&str| match **words {
        "only if" | "only when" => spoken.places(words).next(),
        words => begins(words).then(|| lower.len() - lower.trim_start().len()),
    };
    let (words, at) = ASKS.iter().find_map(|words| Some((*words, asks(&words)?)))?;
    let behind = at + words.len();
    let value = flags.first(&lower[behind..])?.to_owned();
    let right = || flags.condition(&plain[behind..], titles);
    made(
        match words {
            "until" => Says::Until(value),
            "unless" => Says::When(value, right().map(|right| near::opposite(&right))),
            _ => Says::When(value, right()),
        },
        false,
    )
}

/// The places of `words` as whole words in a sentence.
fn places<'a>(lower: &'a str, words: &'a str) -> impl Iterator<Item = usize> + 'a {
    lower.match_indices(words).map(|(at, _)| at).filter(move |at| is_apart(lower, *at, at + words.len()))
}

/// Whether no word goes beyond either end of a range.
fn is_apart(text: &str, start: usize, end: usize) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    edge(text[..start].chars().next_back()) && edge(text[end..].chars().next())
}

/// The title that follows, without an article before it, and where it ends. A title of one word is an ordinary word
/// where it is written in small letters.
fn named(plain: &str, from: usize, titles: &Titles) -> Option<(String, usize)> {
    let mut rest = plain[from..].trim_start();
    for article in ["the ", "The ", "step ", "a "] {
        rest = rest.strip_prefix(article).unwrap_or(rest).trim_start();
    }
    let start = plain.len() - rest.len();
    let mut ends = Vec::new();
    let mut at = start;
    for word in rest.split_inclusive(' ').take(WORDS) {
        at += word.len();
        ends.push(at - (word.len() - word.trim_end_matches([' ', ',', '.', ';', ':', ')', '!']).len()));
    }
    ends.into_iter().rev().find_map(|end| {
        let said = plain.get(start..end)?;
        let title = titles.folded.get(&title::key(said).to_lowercase())?;
        let named = title.contains(' ') || said.starts_with(char::is_uppercase);
        named.then(|| (title.clone(), end))
    })
}

fn fails(rest: &str) -> bool {
    let mut words = rest.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.next().is_some_and(|word| ["fails", "failed", "fail"].contains(&word))
}

/// A mermaid flowchart in which every node is a step.
fn flowchart(text: &str, block: &Block, titles: &Titles) -> Option<Drawing> {
    let Kind::Fence(fence) = &block.kind else { return None };
    if text[fence.info.start..fence.info.end].split_whitespace().next() != Some("mermaid") {
        return None;
    }
    let mut rows = lines(text, fence.content).filter(|line| !text[line.start..line.end].starts_with("%%"));
    let first = rows.next()?;
    if !matches!(text[first.start..first.end].split_whitespace().next(), Some("flowchart" | "graph")) {
        return None;
    }
    let mut labels: std::collections::HashMap<&str, &str> = std::collections::HashMap::new();
    let mut edges: Vec<(&str, &str, Span)> = Vec::new();
    for row in rows {
        let said = &text[row.start..row.end];
        let word = said.split([' ', ';']).next().unwrap_or_default();
        if ["classDef", "class", "style", "click", "linkStyle", "direction", "subgraph", "end"]
            .contains(&word)
        {
            continue;
        }
        for statement in said.split(';').filter(|statement| !statement.trim().is_empty()) {
            let mut before: Vec<&str> = Vec::new();
            let mut rest = statement.trim();
            loop {
                let mut nodes = Vec::new();
                loop {
                    let (id, label, after) = node(rest)?;
                    if let Some(label) = label {
                        labels.insert(id, label);
                    }
                    nodes.push(id);
                    rest = after.trim_start();
                    match rest.strip_prefix('&') {
                        Some(more) => rest = more.trim_start(),
                        None => break,
                    }
                }
                edges.extend(before.iter().flat_map(|from| nodes.iter().map(|to| (*from, *to, row))));
                before = nodes;
                if rest.is_empty() {
                    break;
                }
                rest = link(rest)?.trim_start();
            }
        }
    }
    let step =
        |id: &str| titles.folded.get(&title::key(labels.get(id).unwrap_or(&id)).to_lowercase()).cloned();
    let edges: Option<Vec<_>> =
        edges.into_iter().map(|(from, to, span)| Some((step(from)?, step(to)?, span))).collect();
    let edges = edges.filter(|edges| edges.len() >= 2)?;
    Some(Drawing { span: opening(text, fence), what: "diagram", edges, asks: Vec::new() })
}

/// A node's id, its label, and what follows.
fn node(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let end = text
        .char_indices()
        .find(|(at, c)| {
            !(c.is_alphanumeric() || *c == '_' || *c == '-' && !text[at + 1..].starts_with(['-', '.', '>']))
        })
        .map_or(text.len(), |(at, _)| at);
    let (id, rest) = text.split_at(end);
    if id.is_empty() {
        return None;
    }
    let closing = match rest.chars().next() {
        Some('[') => ']',
        Some('(') => ')',
        Some('{') => '}',
        _ => return Some((id, None, rest)),
    };
    // `((label))` and `([label])` end at the last closing one.
    let mut close = rest.find(closing)? + 1;
    while rest[close..].starts_with([']', ')', '}']) {
        close += 1;
    }
    let label = rest[..close].trim_matches(|c: char| "[](){}/\\\"' ".contains(c));
    Some((id, Some(label), &rest[close..]))
}

/// The text after an arrow and its label.
fn link(text: &str) -> Option<&str> {
    let line = |c: char| "-=.<>ox".contains(c);
    let arrow = text.find(|c: char| !line(c)).unwrap_or(text.len());
    let (sign, rest) = text.split_at(arrow);
    if sign.len() < 2 {
        return None;
    }
    if let Some(rest) = rest.trim_start().strip_prefix('|') {
        return rest.split_once('|').map(|(_, rest)| rest);
    }
    if sign.ends_with('>') || sign == "---" {
        return Some(rest);
    }
    // `-- text -->`
    let end =
        ["-->", "==>", ".->", "---"].iter().filter_map(|sign| Some((rest.find(sign)?, sign.len()))).min()?;
    rest.get(end.0 + end.1..)
}

/// A table with a row for each step.
fn table(text: &str, block: &Block, titles: &Titles) -> Option<Drawing> {
    let Kind::Container(container) = &block.kind else { return None };
    if container.holder != Holder::Table {
        return None;
    }
    let mut rows = lines(text, block.span);
    let header = rows.next()?;
    let heads: Vec<String> =
        cells(&text[header.start..header.end]).into_iter().map(super::near::plain).collect();
    let column = |names: &[&str]| heads.iter().position(|head| names.contains(&head.as_str()));
    let step = column(&["step", "steps", "task", "stage", "activity", "action"])?;
    let needs = column(&[
        "depends-on",
        "depends",
        "after",
        "needs",
        "requires",
        "waits-for",
        "predecessor",
        "predecessors",
    ]);
    let asks = column(&["condition", "conditions", "if", "when", "only-if", "only-when"]);
    if needs.is_none() && asks.is_none() {
        return None;
    }
    let mut drawing = Drawing { span: header, what: "table", edges: Vec::new(), asks: Vec::new() };
    for row in rows.skip(1) {
        let cells = cells(&text[row.start..row.end]);
        let titled = |cell: &str| titles.folded.get(&title::key(cell).to_lowercase()).cloned();
        let Some(to) = cells.get(step).and_then(|cell| titled(cell)) else { continue };
        let said = |column: Option<usize>| cells.get(column?).copied().filter(|cell| !is_nothing(cell));
        if let Some(needs) = said(needs) {
            let all: Option<Vec<String>> = needs
                .split([',', '&', '+'])
                .flat_map(|part| part.split(" and "))
                .map(|part| titled(part.trim()))
                .collect();
            drawing.edges.extend(all.into_iter().flatten().map(|from| (from, to.clone(), row)));
        }
        drawing.asks.extend(said(asks).map(|asked| (to, asked.to_owned(), row)));
    }
    Some(drawing)
}

fn is_nothing(cell: &str) -> bool {
    let bare = cell.trim_matches(['-', '\u{2013}', '\u{2014}', '*', '`', ' ']);
    bare.is_empty()
        || ["none", "always", "no", "n/a", "nothing", "start"].contains(&bare.to_lowercase().as_str())
}
