//! Heading lines: ordinal, title and the tail of annotations. Knows nothing of the text below them.

use super::field::{self, Field};
use super::markdown::{lines, trim};
use super::model::{Mark, Signature, Spanned};
use super::near;
use super::signature;
use super::title::ordinal;
use crate::diag::{Replacement, Span};

/// A heading line taken apart.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// The whole line; of a setext heading, all its lines.
    pub line: Span,
    pub level: u8,
    /// Written `## Title`.
    pub atx: bool,
    /// The ordinal as written, without the point or parenthesis after it; empty without one.
    pub number: String,
    /// All text but the ordinal: the title where the heading is prose.
    pub whole: Span,
    /// Without the tail: the title where the heading is a step or a group.
    pub title: Span,
    pub tail: Vec<Spanned<Note>>,
}

/// One annotation. The names' spans exclude their `@` and `#`.
#[derive(Clone, Debug)]
pub(super) enum Note {
    Agent(Span),
    Channel(Span),
    Mark(Mark),
    Field(Field),
    /// `-> output`.
    Output(Signature),
    /// `(parallel)`.
    Parallel,
    /// A bracket among the annotations that is not one, such as `[wait: 2 days]`. It is reported, and not part of the
    /// title.
    Unread,
}

impl Note {
    /// Whether it alone makes its heading a step.
    pub fn is_evidence(&self) -> bool {
        match self {
            Note::Agent(_) | Note::Channel(_) | Note::Field(_) => true,
            Note::Output(signature) => signature.is_typed(),
            Note::Mark(_) | Note::Parallel | Note::Unread => false,
        }
    }
}

impl Head {
    /// Reads an ATX heading's line.
    pub fn atx(text: &str, line: Span, level: u8) -> Head {
        let raw = &text[line.start..line.end];
        let hashes = raw.bytes().take_while(|b| *b == b'#').count();
        let inner = trim(text, line.start + hashes..line.end);
        let part = &text[inner.start..inner.end];
        let bare = part.trim_end_matches('#');
        let closing = bare.is_empty() || bare.ends_with([' ', '\t']);
        let end = if closing { inner.start + bare.trim_end().len() } else { inner.end };
        Head::read(text, line, Span::new(inner.start, end), level, true)
    }

    /// Reads a setext heading: its text without the line below it.
    pub fn setext(text: &str, block: Span, level: u8) -> Head {
        let mut lines: Vec<Span> = lines(text, block).collect();
        lines.pop();
        let inner = lines.iter().copied().reduce(Span::to).unwrap_or(Span::new(block.start, block.start));
        Head::read(text, block, inner, level, false)
    }

    fn read(text: &str, line: Span, inner: Span, level: u8, atx: bool) -> Head {
        let part = &text[inner.start..inner.end];
        let (number, _) = part.split_at(ordinal(part));
        let whole = Span::new(inner.start + number.len(), inner.end);
        let number = number.trim_end().trim_end_matches(['.', ')']).to_owned();
        let (title, tail) = tail(text, whole);
        Head { line, level, atx, number, whole, title, tail }
    }

    pub fn is_annotated(&self) -> bool {
        self.tail.iter().any(|note| note.value.is_evidence())
    }

    /// The signatures in the tail; more than one is the author's mistake.
    pub fn outputs(&self) -> impl Iterator<Item = &Signature> {
        self.tail.iter().filter_map(|note| match &note.value {
            Note::Output(signature) => Some(signature),
            _ => None,
        })
    }

    /// The first word of the title that is written like an annotation, and why it is not one.
    pub fn stray<'a>(&self, text: &'a str) -> Option<Stray<'a>> {
        let pairs = field::brackets(text, self.title);
        let tokens = tokens(text, self.title, &pairs);
        let like = |token: &Span| match note(text, *token, &pairs) {
            Some(Note::Agent(_)) => true,
            Some(Note::Field(field)) => field::is_known(&text[field.key.start..field.key.end]),
            _ => false,
        };
        for (index, token) in tokens.iter().enumerate() {
            let last = index + 1 == tokens.len();
            if let Some(bare) = punctuated(&text[token.start..token.end], last) {
                return Some(Stray { span: *token, why: StrayWhy::Punctuated(bare) });
            }
            if like(token) {
                let next = tokens.get(index + 1).map_or("", |token| &text[token.start..token.end]);
                return Some(Stray { span: *token, why: StrayWhy::Followed(next) });
            }
        }
        None
    }
}

/// A word of a title that was probably meant as an annotation.
pub(super) struct Stray<'a> {
    pub span: Span,
    pub why: StrayWhy<'a>,
}

pub(super) enum StrayWhy<'a> {
    /// Another word follows it.
    Followed(&'a str),
    /// Punctuation touches the annotation.
    Punctuated(&'a str),
}

impl Stray<'_> {
    /// The changes by which it is an annotation at the end of the heading; what clings to it stays behind.
    pub fn right(&self, text: &str, head: &Head) -> Option<Vec<Replacement>> {
        let rest = &text[self.span.end..head.title.end];
        match self.why {
            // `@pay!` and `@depot,` are among the annotations already.
            StrayWhy::Punctuated(bare) if rest.trim().is_empty() => {
                let mark = if text[..self.span.end].ends_with('!') { " !" } else { "" };
                Some(vec![Replacement { span: self.span, text: format!("{bare}{mark}") }])
            }
            StrayWhy::Punctuated(_) => None,
            StrayWhy::Followed(_) => {
                let word = &text[self.span.start..self.span.end];
                let after =
                    text[self.span.end..].len() - text[self.span.end..].trim_start_matches([' ', '\t']).len();
                let gone = Span::new(self.span.start, self.span.end + after);
                let (gone, end) = (Replacement { span: gone, text: String::new() }, head.title.end);
                Some(vec![gone, Replacement { span: Span::new(end, end), text: format!(" {word}") }])
            }
        }
    }
}

/// The annotation in a word like `@pay!`, `(@pay)` or `@pay@ship`; a channel only in a heading's `last` word.
fn punctuated(word: &str, last: bool) -> Option<&str> {
    let mark = word.find(['@', '#']).filter(|at| !word[..*at].contains(char::is_alphanumeric))?;
    let part = &word[mark..];
    let end = part[1..].find(|c: char| !is_name_part(c)).map_or(part.len(), |end| end + 1);
    let bare = part[..end].trim_end_matches(['-', '.', '/']);
    let rest = &part[bare.len()..];
    let clings =
        rest.starts_with(['@', '#', '!', '?', ',', ':', ';', '[']) || !rest.contains(char::is_alphanumeric);
    let whole = mark == 0 && rest.is_empty();
    let meant = bare.starts_with('@') || last;
    (meant && !whole && clings && is_name(&bare[1..])).then_some(bare)
}

/// Separates a title from its tail of annotations.
fn tail(text: &str, whole: Span) -> (Span, Vec<Spanned<Note>>) {
    let pairs = field::brackets(text, whole);
    let tokens = tokens(text, whole, &pairs);
    let mut notes = Vec::new();
    let (mut start, mut end) = (whole.end, whole.end);
    // Words between an arrow and the tail found so far: an arrow's outputs, or the title's last words.
    let mut pending = false;
    for (index, token) in tokens.iter().enumerate().rev() {
        let part = &text[token.start..token.end];
        if part.starts_with("->") || part.starts_with('→') {
            let span = trim(text, token.start..end);
            let Some(output) = signature::output(text, span) else { break };
            notes.push(Spanned::new(Note::Output(output), span));
            pending = false;
        } else if let Some(note) = note(text, *token, &pairs) {
            if pending {
                break;
            }
            notes.push(Spanned::new(note, *token));
        } else if !pending && is_unread(text, &tokens[..=index], &pairs) {
            notes.push(Spanned::new(Note::Unread, *token));
        } else {
            pending = true;
            continue;
        }
        start = token.start;
        end = token.start;
    }
    notes.reverse();
    (trim(text, whole.start..start), notes)
}

/// Whether the last of these words is a bracket that is meant as an annotation: by its text, or because it is a square
/// one after an agent, a channel or a field.
fn is_unread(text: &str, tokens: &[Span], pairs: &[(usize, usize)]) -> bool {
    let Some((token, before)) = tokens.split_last() else { return false };
    let Some(inner) = bracket(&text[token.start..token.end]) else { return false };
    let square = text[token.start..].starts_with('[');
    let mut before = before.iter().rev().map(|token| (note(text, *token, pairs), token));
    near::is_annotation(inner, square)
        || square
            && before
                .find(|(note, token)| note.is_some() || bracket(&text[token.start..token.end]).is_none())
                .is_some_and(|(note, _)| {
                    note.is_some_and(|note| note.is_evidence() || matches!(note, Note::Mark(_)))
                })
}

/// What a word in brackets holds.
fn bracket(word: &str) -> Option<&str> {
    let round = || word.strip_prefix('(')?.strip_suffix(')');
    word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).or_else(round)
}

/// The words of a heading; a field or a bracket with white space in it is one.
fn tokens(text: &str, span: Span, pairs: &[(usize, usize)]) -> Vec<Span> {
    let mut tokens = Vec::new();
    let mut next = trim(text, span.start..span.end).start;
    while next < span.end {
        let rest = &text[next..span.end];
        let end = match field::at(text, next, pairs) {
            Some(field) => field.span.end,
            None => next + bracketed(rest).or_else(|| rest.find(char::is_whitespace)).unwrap_or(rest.len()),
        };
        tokens.push(Span::new(next, end));
        next = end + (text[end..span.end].len() - text[end..span.end].trim_start().len());
    }
    tokens
}

/// The length of the bracket that a text begins with, where it is a word by itself and nothing is nested in it.
fn bracketed(text: &str) -> Option<usize> {
    let closing = match text.as_bytes().first()? {
        b'[' => ']',
        b'(' => ')',
        _ => return None,
    };
    let end = text[1..].find(['[', ']', '(', ')']).map(|at| at + 1)?;
    let alone = text[end..].strip_prefix(closing)?;
    (alone.is_empty() || alone.starts_with(['[', ' ', '\t'])).then_some(end + 1)
}

fn note(text: &str, token: Span, pairs: &[(usize, usize)]) -> Option<Note> {
    let part = &text[token.start..token.end];
    let after = Span::new(token.start + 1, token.end);
    match part.as_bytes().first()? {
        b'@' if is_name(&part[1..]) => Some(Note::Agent(after)),
        b'#' if is_name(&part[1..]) => Some(Note::Channel(after)),
        b'!' if part == "!" => Some(Note::Mark(Mark::Critical)),
        b'?' if part == "?" => Some(Note::Mark(Mark::Optional)),
        b'[' => field::at(text, token.start, pairs).map(Note::Field),
        b'(' if part.eq_ignore_ascii_case("(parallel)") => Some(Note::Parallel),
        _ => None,
    }
}

/// Names of agents and channels begin with a letter and end with a letter or digit.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(char::is_alphabetic)
        && name.ends_with(|c: char| c.is_alphanumeric() || c == '_')
        && name.chars().all(is_name_part)
}

fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The title and the tail, as written.
    fn parts(line: &str) -> (&str, Vec<&str>) {
        let head = Head::atx(line, Span::new(0, line.len()), 2);
        let of = |span: Span| &line[span.start..span.end];
        (of(head.title), head.tail.iter().map(|note| of(note.span)).collect())
    }

    #[test]
    fn annotations_are_the_unbroken_tail() {
        for (line, title, tail) in [
            ("## Process Payment @pay-service #payments ! [retry:: 3]", "Process Payment", 4),
            ("## Pay @bank [retry: 3] #money [wait: 2 days] !", "Pay", 5),
            ("## Pay [for each order in orders] (optional) @bank", "Pay", 3),
            ("## Pay (if needed) @bank (see below)", "Pay (if needed) @bank (see below)", 0),
            ("## Pay [1] @bank [the docs](docs.md)", "Pay [1] @bank [the docs](docs.md)", 0),
            ("## Pay (optional)", "Pay", 1),
            ("## Fix A & B?", "Fix A & B?", 0),
            ("## C# build", "C# build", 0),
            ("## Fix #42", "Fix #42", 0),
            ("## 1. Receive Order ##", "Receive Order", 0),
            ("## 1.2) Receive @a.b/c ##", "Receive", 1),
            ("## 1.", "1.", 0),
            ("## 2.1 Receive Order", "Receive Order", 0),
            ("## 3 Receive Orders", "3 Receive Orders", 0),
            ("## Draft @writer -> report::Text, notes #x", "Draft", 3),
            ("## Move from A -> the new B", "Move from A -> the new B", 0),
            ("## Ask @alice about it", "Ask @alice about it", 0),
            ("## Wait [when:: items[0] > 1] !", "Wait", 2),
            ("## Broken [retry:: 3", "Broken [retry:: 3", 0),
            ("## Reviews (parallel) @team", "Reviews", 2),
            ("## @agent", "", 1),
            ("## Mail a@b.c", "Mail a@b.c", 0),
            ("## Trailing @agent,", "Trailing @agent,", 0),
            ("## Pay\t@a  ?", "Pay", 2),
            ("##", "", 0),
        ] {
            let (found, notes) = parts(line);
            assert_eq!((found, notes.len()), (title, tail), "{line}: {notes:?}");
        }
    }
}
