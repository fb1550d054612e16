//! Spelling mistakes: other arrows, signatures over several lines, fences that almost run. Finds the most likely
//! meaning; knows nothing of steps.

use super::markdown::place;
use super::signature::{self, Arrow};
use crate::diag::Span;
use crate::value::LIKE_BUILT_IN;

/// Wrong arrows, longer ones before their prefixes.
const ARROWS: [&str; 30] = [
    "-->",
    "->>",
    "==>",
    "=>",
    "~~>",
    "~>",
    "\u{2014}>",
    "\u{2013}>",
    "\u{2212}>",
    "- >",
    "-&gt;",
    "&rarr;",
    "|>",
    ">>",
    "\u{21a6}",
    "\u{21d2}",
    "\u{21e2}",
    "\u{21e8}",
    "\u{21fe}",
    "\u{27f6}",
    "\u{27f9}",
    "\u{2794}",
    "\u{2799}",
    "\u{279c}",
    "\u{279d}",
    "\u{279e}",
    "\u{27a1}\u{fe0f}",
    "\u{27a1}",
    "\u{25b6}",
    "\u{25ba}",
];

/// Whether one of [`ARROWS`] may begin with this byte. Most lines hold none.
fn may_begin(byte: u8) -> bool {
    matches!(byte, b'-' | b'=' | b'~' | b'|' | b'>' | b'&' | 0xe2)
}

/// A line that would have a meaning with the right arrow.
#[derive(Clone, Debug)]
pub(super) struct Slip {
    pub line: Span,
    /// The first of its wrong arrows.
    pub arrow: Span,
    /// The line with the right arrows.
    pub right: String,
    /// The meaning of the right line; its spans are places in `right`.
    pub reads: Option<Arrow>,
}

impl Slip {
    /// Whether the right line would be a signature by itself.
    pub fn is_typed(&self) -> bool {
        self.reads.as_ref().is_some_and(Arrow::is_typed)
    }

    /// Whether the right line would be some signature.
    pub fn is_signature(&self) -> bool {
        self.reads.as_ref().is_some_and(|arrow| arrow.read.is_ok())
    }

    /// Whether it has types outside of code, right or wrong.
    pub fn speaks_of_types(&self) -> bool {
        self.right.split('`').step_by(2).any(|part| part.contains("::"))
    }

    /// Whether the right line, a heading's title, would end with a typed output.
    pub fn is_typed_output(&self) -> bool {
        let from = self.right.find("->").unwrap_or(self.right.len());
        let output = signature::output(&self.right, Span::new(from, self.right.len()));
        output.is_some_and(|output| output.is_typed())
    }

    /// The line with the right arrows, and with the types behind two colons, if they are behind one.
    pub fn with_types(&self, surely: bool) -> Option<String> {
        colons(&self.right, Span::new(0, self.right.len()), surely)
    }

    /// The line after its last arrow.
    pub fn target(&self) -> &str {
        let behind = self.right.rsplit("->").next().unwrap_or("");
        behind.trim_matches(['`', ' ', '\t', '.'])
    }
}

/// Reads a line as if its wrong arrows were right. `None` without a wrong arrow outside of code.
pub(super) fn slip(text: &str, line: Span) -> Option<Slip> {
    let raw = text.get(line.start..line.end)?;
    if !raw.bytes().any(may_begin) {
        return None;
    }
    let (mut right, mut first, mut in_code, mut at) = (String::new(), None, false, 0);
    let all_code = raw.starts_with('`') && raw.ends_with('`') && raw.matches('`').count() == 2;
    while let Some(c) = raw[at..].chars().next() {
        in_code ^= c == '`' && !all_code;
        let may = !in_code && raw[at..].bytes().next().is_some_and(may_begin);
        match ARROWS.iter().find(|other| may && raw[at..].starts_with(**other)) {
            Some(other) => {
                first.get_or_insert(place(text, &raw[at..at + other.len()]));
                right.push_str("->");
                at += other.len();
            }
            None => {
                right.push(c);
                at += c.len_utf8();
            }
        }
    }
    let arrow = first?;
    let reads = signature::read(&right, Span::new(0, right.len()));
    Some(Slip { line, arrow, right, reads })
}

/// The right line for one with types after a single colon: `order → paid: boolean`. With `surely`, only built-in types
/// count, so that a sentence is not mistaken for a signature.
pub(super) fn colons(text: &str, line: Span, surely: bool) -> Option<String> {
    let raw = text.get(line.start..line.end)?;
    if !raw.contains(':') || !raw.contains(['→', '>']) {
        return None;
    }
    let (mut right, mut rest, mut found) = (String::with_capacity(raw.len() + 8), raw, false);
    while let Some(at) = rest.find(':') {
        right.push_str(rest[..at].trim_end());
        rest = rest[at..].trim_start_matches(':');
        right.push_str("::");
        if raw.len() - rest.len() >= 2 && raw[..raw.len() - rest.len()].ends_with("::") {
            continue;
        }
        rest = rest.trim_start_matches([' ', '\t', '`']);
        let end = rest.find(|c: char| !c.is_alphanumeric() && !"_-.".contains(c)).unwrap_or(rest.len());
        let (name, lower) = (&rest[..end], rest[..end].to_lowercase());
        let like = LIKE_BUILT_IN.iter().find(|(other, _)| *other == lower);
        if surely && like.is_none() || name.is_empty() {
            return None;
        }
        right.push_str(like.map_or(name, |(_, built_in)| built_in));
        rest = &rest[end..];
        found = true;
    }
    right.push_str(rest);
    let typed = signature::read(&right, Span::new(0, right.len())).is_some_and(|arrow| arrow.is_typed());
    (found && typed).then_some(right)
}

/// Two lines that are one signature.
pub(super) struct Broken {
    pub span: Span,
    /// The line that they should be.
    pub right: String,
    pub typed: bool,
}

/// Two lines of a paragraph that are one signature, broken beside a comma or an arrow.
pub(super) fn broken(text: &str, first: Span, second: Span) -> Option<Broken> {
    let (one, other) = (&text[first.start..first.end], &text[second.start..second.end]);
    let seam = one.ends_with([',', '→'])
        || one.ends_with("->")
        || other.starts_with([',', '→'])
        || other.starts_with("->");
    let right = seam.then(|| format!("{one} {other}"))?;
    let arrow = signature::read(&right, Span::new(0, right.len()))?;
    let typed = arrow.is_typed();
    let inputs = !arrow.read.ok()?.inputs.is_empty();
    inputs.then(|| Broken { span: first.to(second), right, typed })
}

/// The right info string for a fence that is meant as a program but is not one.
pub(super) fn program(info: &str) -> Option<String> {
    let mut words = info.split(|c: char| c.is_whitespace() || ",{}()[]:;=.".contains(c));
    let mut words: Vec<&str> = words.by_ref().filter(|word| !word.is_empty()).collect();
    let runs = |word: &&str| ["run", "runs"].iter().any(|run| word.eq_ignore_ascii_case(run));
    let at = words.iter().position(runs)?;
    words.remove(at);
    let language = words.first().filter(|word| word.starts_with(char::is_alphabetic));
    Some(format!("{} run", language.map_or("sh".to_owned(), |word| word.to_lowercase())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_other_arrow_is_found() {
        for arrow in ARROWS {
            let line = format!("order {arrow} paid::Receipt");
            let slip =
                slip(&line, Span::new(0, line.len())).unwrap_or_else(|| panic!("{arrow} is not found"));
            assert_eq!(slip.right, "order -> paid::Receipt", "{arrow}");
        }
    }
}
