//! The text below a heading, up to the next: lines with a meaning, fences, prose. Does not decide whether the heading
//! is a step.

use super::callout::{self, Callouts};
use super::condition;
use super::decision;
use super::field::{self, Field, FieldLine};
use super::heading::{Head, Note};
use super::markdown::{Block, Container, Fence, Holder, Kind, lines};
use super::model::{Port, Signature};
use super::signature::{self, Arrow};
use super::slip::{self, Slip};
use super::stray::heading_almost;
use crate::diag::{Diagnostic, Replacement, Span, catalogue as problem};
use std::cell::OnceCell;

/// A heading, or the document's beginning, with its own blocks.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub head: Option<Head>,
    pub blocks: Vec<&'a Block>,
    pub fields: Vec<Field>,
    pub arrows: Vec<Arrow>,
    /// Lines with a wrong arrow.
    pub slips: Vec<Slip>,
    pub conditions: Vec<Span>,
    /// Lines that are conditions if they lead to a step, and where they lead.
    pub proceeds: Vec<(Span, Span)>,
    /// Lines that begin like a decision but are not conditions.
    pub undecided: Vec<Span>,
    pub traces: Vec<&'a Fence>,
    pub programs: Vec<&'a Fence>,
    pub callouts: Callouts,
    /// Problems that count only where the heading is a step or a group.
    pub doubts: Vec<Diagnostic>,
    /// Lines of prose, also in lists and quotes.
    pub loose: Vec<Loose>,
    /// Its title, once it was asked for.
    pub title: OnceCell<String>,
    /// Lines with a meaning, which are not prose.
    spoken: Vec<Span>,
}

/// A line of prose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loose {
    pub line: Span,
    /// Without the marks of lists and quotes.
    pub inner: Span,
    pub holder: Option<Holder>,
}

impl Loose {
    /// The line with its marks of lists and quotes.
    pub fn whole(&self, text: &str) -> Span {
        Span::new(text[..self.line.start].rfind('\n').map_or(0, |at| at + 1), self.line.end)
    }
}

/// The outline as headings with the text below each. The first part has no heading. `written` is the text with its own
/// white space.
pub(super) fn parts<'a>(
    text: &str,
    written: &str,
    blocks: &'a [Block],
    problems: &mut Vec<Diagnostic>,
) -> Vec<Part<'a>> {
    let mut parts = vec![Part::new(None)];
    for block in blocks {
        let head = match &block.kind {
            Kind::Heading(level) => Some(Head::atx(text, block.span, *level)),
            Kind::Setext(level) => setext(text, block.span, *level, problems),
            _ => None,
        };
        let almost = lines(text, block.span).next().filter(|_| matches!(block.kind, Kind::Paragraph));
        let almost =
            almost.and_then(|line| Some((line, heading_almost(text, line).filter(|level| *level <= 6)?)));
        // A line meant as a heading is reported elsewhere, and read as meant here.
        let head = head.or_else(|| almost.map(|(line, level)| Head::atx(text, line, level as u8)));
        let heading = matches!(block.kind, Kind::Heading(_)) || head.as_ref().is_some_and(|head| !head.atx);
        if let Some(head) = head {
            parts.push(Part::new(Some(head)));
        }
        if let Some(part) = parts.last_mut().filter(|_| !heading) {
            part.blocks.push(block);
        }
    }
    for part in &mut parts {
        part.read(text, written, problems);
    }
    parts
}

/// A setext heading with a signature, a field or annotations was not meant as a heading: it is reported and read as
/// text.
fn setext(text: &str, span: Span, level: u8, problems: &mut Vec<Diagnostic>) -> Option<Head> {
    let head = Head::setext(text, span, level);
    let meant = lines(text, span).find(|line| {
        let raw = &text[line.start..line.end];
        signature::read(text, *line).is_some()
            || slip::slip(text, *line).is_some_and(|slip| slip.is_typed())
            || condition::is_one(raw)
            || matches!(field::line(text, *line), FieldLine::Fields(_))
    });
    if let Some(line) = meant {
        let underline = lines(text, span).last().unwrap_or(span);
        problems.push(problem::line_in_setext(line, underline));
        return None;
    }
    Some(head)
}

impl<'a> Part<'a> {
    fn new(head: Option<Head>) -> Self {
        Part {
            head,
            blocks: Vec::new(),
            fields: Vec::new(),
            arrows: Vec::new(),
            slips: Vec::new(),
            conditions: Vec::new(),
            proceeds: Vec::new(),
            undecided: Vec::new(),
            traces: Vec::new(),
            programs: Vec::new(),
            callouts: Callouts::default(),
            doubts: Vec::new(),
            loose: Vec::new(),
            title: OnceCell::new(),
            spoken: Vec::new(),
        }
    }

    fn read(&mut self, text: &str, written: &str, problems: &mut Vec<Diagnostic>) {
        for index in 0..self.blocks.len() {
            let block = self.blocks[index];
            match &block.kind {
                Kind::Paragraph | Kind::Setext(_) => self.paragraph(text, index, problems),
                Kind::Fence(fence) => self.fence(text, fence, problems),
                Kind::Container(container) => self.container(text, written, block, container),
                Kind::Heading(_) | Kind::Html | Kind::Indented | Kind::Rule => {}
            }
        }
    }

    fn paragraph(&mut self, text: &str, index: usize, problems: &mut Vec<Diagnostic>) {
        let from = self.head.as_ref().map_or(0, |head| head.line.end);
        let mut before: Option<Span> = None;
        for line in lines(text, self.blocks[index].span).skip_while(|line| line.start < from) {
            let first = before.replace(line).filter(|first| self.spoken.last() != Some(first));
            if let Some(broken) = first.and_then(|first| slip::broken(text, first, line)) {
                let told = problem::signature_broken(broken.span, &broken.right);
                if broken.typed {
                    problems.push(told)
                } else {
                    self.doubts.push(told)
                }
                self.arrows.pop_if(|arrow| Some(arrow.span) == first && arrow.read.is_err());
            }
            let raw = &text[line.start..line.end];
            self.proceeds.extend(condition::proceeds(text, line).map(|target| (line, target)));
            self.doubts.extend(callout::unquoted(text, line));
            match field::line(text, line) {
                FieldLine::Fields(fields) => {
                    self.fields.extend(fields);
                    self.spoken.push(line);
                    continue;
                }
                FieldLine::Unclosed(span) => self.doubts.push(problem::field_unclosed(span)),
                FieldLine::Mixed(span) => self.doubts.push(problem::field_in_prose(span)),
                FieldLine::Almost(span, right) => {
                    self.doubts.push(problem::almost_a_field(span, &right).fix(span, right))
                }
                FieldLine::Other => {}
            }
            if condition::is_one(raw) {
                self.conditions.push(line);
                self.spoken.push(line);
                continue;
            }
            self.undecided.extend(Some(line).filter(|_| decision::begins(raw)));
            if let Some(signature) = signature::takes(text, line) {
                self.takes(text, signature, line, index);
            } else {
                self.arrow(text, line);
                if !self.arrows.last().is_some_and(|arrow| arrow.span == line && arrow.read.is_ok()) {
                    self.loose.push(Loose { line, inner: line, holder: None });
                }
            }
        }
    }

    /// A line that may be a signature, or would be one with the right arrow.
    fn arrow(&mut self, text: &str, line: Span) {
        let arrow = signature::read(text, line);
        match slip::slip(text, line).filter(|_| arrow.as_ref().is_none_or(|arrow| arrow.read.is_err())) {
            Some(slip) if arrow.is_none() || slip.is_signature() => self.slips.push(slip),
            _ => self.arrows.extend(arrow),
        }
    }

    /// `Takes a → creates:` with its bullets in the list that follows.
    fn takes(&mut self, text: &str, mut signature: Signature, line: Span, index: usize) {
        let last = line.end == self.blocks[index].span.end;
        let list = self.blocks.get(index + 1).filter(|_| last).and_then(|block| match &block.kind {
            Kind::Container(list) if list.holder == Holder::List => Some(list),
            _ => None,
        });
        match list {
            Some(list) => {
                signature.outputs = self.bullets(text, list);
                self.spoken.push(line);
                self.spoken.push(self.blocks[index + 1].span);
            }
            None => self.doubts.push(problem::no_bullets(line)),
        }
        self.arrows.push(Arrow { span: line, read: Ok(signature), hand_over: None });
    }

    fn bullets(&mut self, text: &str, list: &Container) -> Vec<Port> {
        let mut ports = Vec::new();
        for item in &list.items {
            match signature::bullet(text, *item) {
                Some(port) => ports.push(port),
                None => {
                    let first = lines(text, *item).next().unwrap_or(*item);
                    self.doubts.push(problem::bullet_is_no_output(first));
                }
            }
        }
        ports
    }

    fn fence(&mut self, text: &str, fence: &'a Fence, problems: &mut Vec<Diagnostic>) {
        let mut words = text[fence.info.start..fence.info.end].split_whitespace();
        let (language, second) = (words.next(), words.next());
        if !fence.closed {
            problems.push(problem::fence_unclosed(opening(text, fence), second == Some("run")));
        }
        match (language, second) {
            (Some("session-toon"), _) => self.traces.push(fence),
            (Some(_), Some("run")) => self.programs.push(fence),
            _ => {
                let right = slip::program(&text[fence.info.start..fence.info.end]);
                problems.extend(right.map(|right| problem::almost_a_program(fence.info, &right)));
            }
        }
    }

    /// Lists hold conditions; a signature in a list or quote is most likely a mistake.
    fn container(&mut self, text: &str, written: &str, block: &Block, container: &Container) {
        if container.holder == Holder::Table {
            return;
        }
        if self.callouts.read(text, written, block.span, container, &mut self.doubts) {
            self.spoken.push(block.span);
        }
        for line in lines(text, block.span) {
            if container.in_fence(line) || joined(text, line, container.holder) {
                continue;
            }
            let inner = unmarked(text, line);
            let raw = &text[inner.start..inner.end];
            self.proceeds.extend(condition::proceeds(text, inner).map(|target| (inner, target)));
            if condition::is_one(raw) {
                self.conditions.push(inner);
                continue;
            }
            self.undecided.extend(Some(inner).filter(|_| decision::begins(raw)));
            let safe = container.holder == Holder::List;
            let replacement = |right: &str| {
                let (span, text) = out(text, line, right);
                vec![Replacement { span, text }]
            };
            if let Some(arrow) = signature::read(text, inner).filter(|arrow| arrow.read.is_ok()) {
                let first =
                    !self.arrows.iter().any(|arrow| arrow.read.is_ok()) && !self.doubts.iter().any(is_inside);
                let problem = problem::signature_inside(inner, container.holder.name());
                self.doubts.push(match first {
                    true => problem.fixed(safe && arrow.is_typed(), replacement(raw)),
                    false => problem,
                });
                continue;
            }
            match field::line(text, inner) {
                FieldLine::Other | FieldLine::Unclosed(_) => {
                    self.loose.push(Loose { line, inner, holder: Some(container.holder) })
                }
                FieldLine::Fields(_) => {
                    self.doubts.push(problem::field_in_prose(inner).fixed(safe, replacement(raw)))
                }
                FieldLine::Almost(_, right) => {
                    self.doubts.push(problem::field_in_prose(inner).fixed(safe, replacement(&right)))
                }
                FieldLine::Mixed(_) => self.doubts.push(problem::field_in_prose(inner)),
            }
        }
    }

    /// The names that it takes, or makes.
    pub fn signature_names(&self, taken: bool) -> impl Iterator<Item = &str> {
        let read = self.arrows.iter().filter_map(|arrow| arrow.read.as_ref().ok());
        let outputs = self.head.iter().flat_map(Head::outputs);
        let ports = read.chain(outputs).flat_map(move |signature| match taken {
            true => &signature.inputs,
            false => &signature.outputs,
        });
        ports.map(|port| port.name.value.as_str())
    }

    /// The field of that name, in the heading or below it.
    pub fn field(&self, text: &str, key: &str) -> Option<&Field> {
        let tail = self.head.iter().flat_map(|head| &head.tail);
        let noted = tail.filter_map(|note| match &note.value {
            Note::Field(field) => Some(field),
            _ => None,
        });
        noted.chain(&self.fields).find(|field| &text[field.key.start..field.key.end] == key)
    }

    /// Where the text below the heading ends, without rules.
    pub fn end(&self, head: &Head) -> usize {
        let mut blocks = self.blocks.iter().filter(|block| !matches!(block.kind, Kind::Rule));
        blocks.next_back().map_or(head.line.end, |block| block.span.end.max(head.line.end))
    }

    /// Whether a line or a block has a meaning and is not prose.
    pub fn is_spoken(&self, span: Span) -> bool {
        self.spoken.binary_search(&span).is_ok()
    }

    /// Whether a line of a list decides what comes next.
    pub fn decides(&self, line: Span) -> bool {
        self.conditions.binary_search_by_key(&line.end, |condition| condition.end).is_ok()
    }

    /// The text between the lines and fences with a meaning.
    pub fn prose(&self, text: &str) -> String {
        let used = |span: &Span| self.is_spoken(*span);
        let from = self.head.as_ref().map_or(0, |head| head.line.end);
        let mut prose = String::new();
        for block in &self.blocks {
            let kept: String = match &block.kind {
                Kind::Paragraph => {
                    let kept = lines(text, block.span).filter(|line| line.start >= from && !used(line));
                    kept.map(|line| &text[line.start..line.end]).collect::<Vec<_>>().join("\n")
                }
                Kind::Container(_) if !used(&block.span) => text[block.span.start..block.span.end].to_owned(),
                _ => continue,
            };
            if !kept.is_empty() {
                let gap = if prose.is_empty() { "" } else { "\n\n" };
                prose.extend([gap, &kept]);
            }
        }
        prose
    }
}

fn is_inside(problem: &Diagnostic) -> bool {
    problem.code == "signature-inside"
}

/// Moves a line of a list or quote to a line of its own: the replaced span, and the replacement.
pub(super) fn out(text: &str, line: Span, right: &str) -> (Span, String) {
    let start = text[..line.start].rfind('\n').map_or(0, |at| at + 1);
    let before = text[..start].trim_end_matches(['\n', '\r']);
    let gap = text[before.len()..start].matches('\n').count() > 1;
    let above = before.rsplit('\n').next().unwrap_or_default();
    let after = text[line.end..].trim_start_matches([' ', '\t', '\r']).strip_prefix('\n').unwrap_or_default();
    let below = after.split('\n').next().unwrap_or_default();
    let marked = unmarked(below, Span::new(0, below.len())).start > 0 && !below.starts_with([' ', '\t']);
    let lead = if gap || above.is_empty() || above.starts_with('#') { "" } else { "\n" };
    let tail = if marked || below.trim().is_empty() { "" } else { "\n" };
    (Span::new(start, line.end), format!("{lead}{right}{tail}"))
}

/// A line without the marks of quotes and lists before it.
pub(super) fn unmarked(text: &str, line: Span) -> Span {
    let raw = &text[line.start..line.end];
    let mut rest = raw;
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let mark = match rest.as_bytes().get(digits) {
            Some(b'>') if digits == 0 => 1,
            Some(b'-' | b'*' | b'+') if digits == 0 && rest[1..].starts_with([' ', '\t']) => 1,
            Some(b'.' | b')') if digits > 0 && rest[digits + 1..].starts_with([' ', '\t']) => digits + 1,
            _ => break,
        };
        rest = rest[mark..].trim_start_matches([' ', '\t']);
    }
    Span::new(line.end - rest.len(), line.end)
}

/// Whether a line has no mark of its own, so that it is part of the block above only for want of an empty
/// line between them.
pub(super) fn joined(text: &str, line: Span, holder: Holder) -> bool {
    let before = text[..line.start].rfind(['\n', '\r']).map_or(0, |at| at + 1);
    let indent = line.start - before;
    match holder {
        Holder::Quote => !text[line.start..].starts_with('>'),
        Holder::Table => !text[line.start..line.end].contains('|'),
        Holder::List => indent < 2 && unmarked(text, line) == line,
    }
}

/// The line that opens a fence.
pub(super) fn opening(text: &str, fence: &Fence) -> Span {
    lines(text, fence.span).next().unwrap_or(fence.span)
}

impl Holder {
    pub fn name(self) -> &'static str {
        match self {
            Holder::List => "list",
            Holder::Quote => "quote",
            Holder::Table => "table",
        }
    }
}
