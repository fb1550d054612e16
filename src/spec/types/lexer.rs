//! The tokens of a type definition, each with its place and the comments around it. Knows no grammar.

use crate::diag::{Diagnostic, Span, catalogue as problem};
use crate::spec::markdown::place;
use crate::value::space::is_space;

/// One word with its place in the document.
#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub kind: Kind<'a>,
    pub span: Span,
    /// Whether it is the first of its line.
    pub first: bool,
    /// Notes on lines of their own directly above.
    pub above: Vec<String>,
    /// Notes behind it on its line.
    pub behind: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind<'a> {
    Name(&'a str),
    Text(String),
    Number(&'a str),
    Sign(char),
    End,
}

/// Takes the text apart. The last token is the end.
pub(super) fn tokens<'a>(text: &'a str, content: Span, problems: &mut Vec<Diagnostic>) -> Vec<Token<'a>> {
    let rest = text.get(content.start..content.end).unwrap_or("");
    let mut lexer = Lexer { text, rest, first: true, gap: 0, above: Vec::new(), tokens: Vec::new() };
    while lexer.step(problems) {}
    let end = lexer.tokens.last().map_or(content.start, |token| token.span.end);
    lexer.push(Kind::End, Span::new(end, end));
    lexer.tokens
}

struct Lexer<'a> {
    text: &'a str,
    rest: &'a str,
    /// Whether this is the first token on its line.
    first: bool,
    /// Line ends since the last note or word.
    gap: usize,
    above: Vec<String>,
    tokens: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    /// Takes one note, word or stretch of white space; false at the end.
    fn step(&mut self, problems: &mut Vec<Diagnostic>) -> bool {
        let Some(c) = self.rest.chars().next() else { return false };
        if is_space(c) {
            if c == '\n' {
                self.first = true;
                self.gap += 1;
            }
            self.take(c.len_utf8());
        } else if self.rest.starts_with("//") {
            let line = self.take(self.rest.find(['\r', '\n']).unwrap_or(self.rest.len()));
            self.note(&[line.trim_start_matches('/')]);
        } else if self.rest.starts_with("/*") {
            self.block(problems);
        } else {
            self.word(c, problems);
        }
        true
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// `/* … */`, with or without a star at the beginning of each line.
    fn block(&mut self, problems: &mut Vec<Diagnostic>) {
        let end = self.rest.find("*/").map(|at| at + 2);
        let whole = self.take(end.unwrap_or(self.rest.len()));
        if end.is_none() {
            let first = whole.lines().next().unwrap_or(whole);
            problems.push(problem::type_syntax(place(self.text, first), "this note is never closed"));
        }
        let inner = whole.trim_start_matches('/').trim_end_matches('/');
        let lines: Vec<&str> = inner.lines().map(|line| line.trim().trim_matches('*')).collect();
        self.note(&lines);
    }

    fn note(&mut self, lines: &[&str]) {
        let lines: Vec<&str> = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
        let note = lines.join("\n");
        match self.tokens.last_mut().filter(|_| !self.first) {
            _ if note.is_empty() => {}
            Some(before) => before.behind.push(note),
            None => {
                self.parted();
                self.above.push(note);
            }
        }
        self.gap = 0;
    }

    /// Comments before an empty line do not belong to the next token.
    fn parted(&mut self) {
        if self.gap > 1 {
            self.above.clear();
        }
    }

    fn word(&mut self, c: char, problems: &mut Vec<Diagnostic>) {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
        let length = |part: &dyn Fn(char) -> bool| self.rest.find(|c| !part(c)).unwrap_or(self.rest.len());
        let kind = if c.is_ascii_digit() {
            let digits = length(&|c| is_part(c) || c == '.');
            Kind::Number(self.take(digits))
        } else if is_part(c) {
            let length = length(&is_part);
            Kind::Name(self.take(length))
        } else if matches!(c, '"' | '\'') {
            return self.text(c, problems);
        } else {
            self.take(c.len_utf8());
            Kind::Sign(c)
        };
        let span = self.since(match &kind {
            Kind::Name(part) | Kind::Number(part) => part.len(),
            _ => c.len_utf8(),
        });
        self.push(kind, span);
    }

    /// Text in quotes, on one line.
    fn text(&mut self, quote: char, problems: &mut Vec<Diagnostic>) {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        let closed = loop {
            match chars.next() {
                Some((at, c)) if c == quote => break Some(at + 1),
                Some((_, '\\')) => match chars.next() {
                    Some((_, c @ ('\\' | '"' | '\''))) => text.push(c),
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    _ => break None,
                },
                Some((_, c)) if c != '\n' && c != '\r' => text.push(c),
                _ => break None,
            }
        };
        let length = closed.unwrap_or_else(|| self.rest.find(['\r', '\n']).unwrap_or(self.rest.len()));
        self.take(length);
        let span = self.since(length);
        if closed.is_none() {
            let what = "this text is never closed, or has an escape other than \\\\ \\\" \\' \\n \\t";
            problems.push(problem::type_syntax(span, what));
        }
        self.push(Kind::Text(text), span);
    }

    /// The place of the token just read.
    fn since(&self, length: usize) -> Span {
        let end = place(self.text, self.rest).start;
        Span::new(end - length, end)
    }

    fn push(&mut self, kind: Kind<'a>, span: Span) {
        self.parted();
        let above = std::mem::take(&mut self.above);
        let first = std::mem::take(&mut self.first);
        self.gap = 0;
        self.tokens.push(Token { kind, span, first, above, behind: Vec::new() });
    }
}
