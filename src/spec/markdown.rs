//! The outline of a document: its top-level blocks, each with its place. Knows markdown and nothing of steps.
//! pulldown-cmark decides where blocks begin and end; their text is read from the source at those places, so that
//! escapes, entities and emphasis are seen as the author typed them.

use crate::diag::Span;
use crate::value::space::{self, is_space};
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag};
use std::ops::Range;

/// A top-level block without its final line ending.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub kind: Kind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// `## Title`, one line.
    Heading(u8),
    /// Text above a line of `=` or `-`: that line is part of the span.
    Setext(u8),
    Paragraph,
    Fence(Fence),
    /// A block that holds other blocks.
    Container(Container),
    Html,
    /// Code by indentation.
    Indented,
    /// A rule: nothing to read.
    Rule,
}

/// The name of a block that holds other blocks, in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    List,
    Quote,
    Table,
}

#[derive(Clone, Debug)]
pub(super) struct Container {
    pub holder: Holder,
    /// Of a list: its own items.
    pub items: Vec<Span>,
    /// Headings at any depth inside.
    pub headings: Vec<Span>,
    /// Fences at any depth inside.
    pub fences: Vec<Fence>,
}

/// A fenced code block.
#[derive(Clone, Debug)]
pub(super) struct Fence {
    pub span: Span,
    /// The info string, trimmed.
    pub info: Span,
    /// From the line after the opening fence to the start of the closing one.
    pub content: Span,
    pub closed: bool,
    /// Spaces before the opening fence: as many are removed from each line of the content.
    pub indent: usize,
}

/// Reads the blocks of `text` from `start` on.
pub(super) fn blocks(text: &str, start: usize) -> Vec<Block> {
    let body = text.get(start..).unwrap_or("");
    let mut blocks: Vec<Block> = Vec::new();
    let mut depth = 0usize;
    for (event, range) in Parser::new_ext(body, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Start(tag) => {
                let span = trimmed(text, range.start + start..range.end + start);
                if depth == 0 {
                    blocks.push(Block { kind: top(text, &tag, span), span });
                } else if let Some(Block { kind: Kind::Container(container), .. }) = blocks.last_mut() {
                    container.add(text, &tag, span, depth);
                }
                depth += 1;
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Rule if depth == 0 => {
                let span = trimmed(text, range.start + start..range.end + start);
                blocks.push(Block { kind: Kind::Rule, span });
            }
            _ => {}
        }
    }
    blocks
}

fn top(text: &str, tag: &Tag, span: Span) -> Kind {
    let container = |holder| {
        let (items, headings, fences) = Default::default();
        Kind::Container(Container { holder, items, headings, fences })
    };
    match tag {
        Tag::Heading { level, .. } => {
            let lines = text[span.start..span.end].contains(['\n', '\r']);
            if lines { Kind::Setext(number(*level)) } else { Kind::Heading(number(*level)) }
        }
        Tag::CodeBlock(CodeBlockKind::Fenced(_)) => Kind::Fence(fence(text, span)),
        Tag::CodeBlock(CodeBlockKind::Indented) => Kind::Indented,
        Tag::List(_) => container(Holder::List),
        Tag::BlockQuote(_) => container(Holder::Quote),
        Tag::Table(_) => container(Holder::Table),
        Tag::HtmlBlock => Kind::Html,
        _ => Kind::Paragraph,
    }
}

impl Container {
    fn add(&mut self, text: &str, tag: &Tag, span: Span, depth: usize) {
        match tag {
            Tag::Item if depth == 1 => self.items.push(span),
            Tag::Heading { .. } => self.headings.push(span),
            Tag::CodeBlock(CodeBlockKind::Fenced(_)) => self.fences.push(fence(text, span)),
            _ => {}
        }
    }

    /// Whether a line is in one of the fences inside.
    pub fn in_fence(&self, line: Span) -> bool {
        let before = self.fences.partition_point(|fence| fence.span.start <= line.start);
        before.checked_sub(1).is_some_and(|last| line.end <= self.fences[last].span.end)
    }
}

fn number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

fn fence(text: &str, span: Span) -> Fence {
    let block = &text[span.start..span.end];
    let line_start = text[..span.start].rfind(['\n', '\r']).map_or(0, |at| at + 1);
    let indent = text[line_start..span.start].bytes().rev().take_while(|b| *b == b' ').count();
    let opening = block.find(['\n', '\r']).unwrap_or(block.len());
    let mark = block.bytes().next().unwrap_or(b'`');
    let ticks = block.bytes().take_while(|b| *b == mark).count();
    let info = trim(text, span.start + ticks.min(opening)..span.start + opening);
    let content = (span.start + opening + newline(&block[opening..])).min(span.end);
    let last = text[content..span.end].rfind(['\n', '\r']).map_or(content, |at| content + at + 1);
    let closing = text[last..span.end].trim_start_matches([' ', '\t', '>']).trim_end();
    let closed = last < span.end
        && closing.bytes().all(|b| b == mark)
        && closing.len() >= ticks
        && !closing.is_empty();
    let content = Span::new(content, if closed { last } else { span.end });
    Fence { span, info, content, closed, indent }
}

/// The length of the line ending that `text` begins with.
fn newline(text: &str) -> usize {
    match text.as_bytes() {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => 0,
    }
}

/// A range without its trailing line endings.
fn trimmed(text: &str, range: Range<usize>) -> Span {
    let block = text.get(range.clone()).unwrap_or("");
    Span::new(range.start, range.start + block.trim_end_matches(['\n', '\r']).len())
}

/// A range without white space at either end.
pub(super) fn trim(text: &str, range: Range<usize>) -> Span {
    let part = text.get(range.clone()).unwrap_or("");
    let start = range.start + (part.len() - part.trim_start_matches(is_space).len());
    Span::new(start, start + space::trim(part).len())
}

/// The cells of a table's row. A bar behind a backslash parts none.
pub(super) fn cells(row: &str) -> Vec<&str> {
    let row = row.strip_prefix('|').unwrap_or(row);
    let (mut cells, mut from, mut escaped) = (Vec::new(), 0, false);
    for (at, byte) in row.bytes().enumerate() {
        if byte == b'|' && !escaped {
            cells.push(row[from..at].trim());
            from = at + 1;
        }
        escaped = byte == b'\\' && !escaped;
    }
    // What is behind the last bar is a cell if it is anything.
    if from == 0 || from < row.len() {
        cells.push(row[from..].trim());
    }
    cells
}

/// The non-empty lines of a span, each without white space at its ends.
pub(super) fn lines(text: &str, span: Span) -> impl Iterator<Item = Span> + '_ {
    let block = text.get(span.start..span.end).unwrap_or("");
    let mut at = span.start;
    block.split_inclusive(['\n', '\r']).filter_map(move |line| {
        let start = at;
        at += line.len();
        let line = trim(text, start..at);
        (line.start < line.end).then_some(line)
    })
}

/// The place of a part that was cut out of `text`.
pub(super) fn place(text: &str, part: &str) -> Span {
    let start = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len());
    Span::new(start, (start + part.len()).min(text.len()))
}

impl Fence {
    /// The content without the opening fence's indentation, its line endings as `\n`.
    pub fn source(&self, text: &str) -> String {
        let content = text.get(self.content.start..self.content.end).unwrap_or("");
        let mut source = String::with_capacity(content.len());
        for line in content.split_inclusive('\n') {
            let spaces = line.bytes().take(self.indent).take_while(|b| *b == b' ').count();
            match line[spaces..].strip_suffix("\r\n") {
                Some(line) => source.extend([line, "\n"]),
                None => source.push_str(&line[spaces..]),
            }
        }
        source
    }
}
