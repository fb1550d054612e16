//! Steps that markdown would hide: lines that look like one inside a list, a quote, a table, HTML or code, or are
//! written almost like a heading. Each is reported.

use super::body::{joined, opening};
use super::condition;
use super::field::{self, FieldLine};
use super::heading::Head;
use super::markdown::{Block, Container, Fence, Kind, lines};
use super::signature;
use crate::diag::{Diagnostic, Span, catalogue as problem};

pub(super) fn check(text: &str, blocks: &[Block], problems: &mut Vec<Diagnostic>) {
    for block in blocks {
        match &block.kind {
            Kind::Container(container) => inside(text, block, container, problems),
            Kind::Html => html(text, block, problems),
            Kind::Indented => swallowed(text, block.span, "indented code", problems),
            Kind::Paragraph => paragraph(text, block, problems),
            Kind::Heading(_) | Kind::Setext(_) | Kind::Fence(_) | Kind::Rule => {}
        }
    }
}

fn inside(text: &str, block: &Block, container: &Container, problems: &mut Vec<Diagnostic>) {
    let holder = container.holder.name();
    for heading in &container.headings {
        let line = lines(text, *heading).next().unwrap_or(*heading);
        if heading_like(text, line) {
            problems.push(problem::step_inside(line, holder));
        }
    }
    for fence in &container.fences {
        if let Some(what) = meant(text, fence) {
            problems.push(problem::fence_inside(opening(text, fence), holder, what));
        }
    }
    for line in lines(text, block.span) {
        if joined(text, line, container.holder) && !container.in_fence(line) && is_spoken(text, line) {
            problems.push(problem::line_joined(line, holder));
        }
    }
}

/// The meaning of a fence if it were at the top level.
fn meant(text: &str, fence: &Fence) -> Option<&'static str> {
    let mut words = text[fence.info.start..fence.info.end].split_whitespace();
    match (words.next(), words.next()) {
        (Some("session-toon"), _) => Some("trace"),
        (Some(_), Some("run")) => Some("program"),
        _ => None,
    }
}

/// Whether a line has a meaning for a step.
fn is_spoken(text: &str, line: Span) -> bool {
    signature::read(text, line).is_some_and(|arrow| arrow.read.is_ok())
        || condition::is_one(&text[line.start..line.end])
        || matches!(field::line(text, line), FieldLine::Fields(_))
}

fn html(text: &str, block: &Block, problems: &mut Vec<Diagnostic>) {
    let raw = &text[block.span.start..block.span.end];
    if !raw.trim_start().starts_with("<!--") {
        swallowed(text, block.span, "HTML", problems);
    } else if !raw.contains("-->") {
        // A closed comment is how an author removes a step; an open one hides the rest of the document.
        let opening = lines(text, block.span).next().unwrap_or(block.span);
        problems.push(problem::comment_unclosed(opening));
    }
}

fn swallowed(text: &str, span: Span, holder: &str, problems: &mut Vec<Diagnostic>) {
    for line in lines(text, span) {
        let typed = signature::read(text, line).is_some_and(|arrow| arrow.is_typed());
        if typed || heading_like(text, line) {
            problems.push(problem::step_inside(line, holder));
        }
    }
}

/// `## Title @agent`, in any place.
fn heading_like(text: &str, line: Span) -> bool {
    let raw = &text[line.start..line.end];
    let hashes = raw.bytes().take_while(|b| *b == b'#').count();
    (1..=6).contains(&hashes)
        && raw[hashes..].starts_with([' ', '\t'])
        && Head::atx(text, line, hashes as u8).is_annotated()
}

/// Headings that markdown does not recognise: `##Title @agent`, or more than six `#`.
fn paragraph(text: &str, block: &Block, problems: &mut Vec<Diagnostic>) {
    for (index, line) in lines(text, block.span).enumerate() {
        let raw = &text[line.start..line.end];
        // Within a paragraph one `#` begins a hashtag.
        if index > 0 && !raw.starts_with("##") {
            continue;
        }
        match heading_almost(text, line) {
            Some(hashes) if hashes > 6 => problems.push(problem::heading_too_deep(line)),
            Some(level) => {
                let hashes = raw.bytes().take_while(|b| *b == b'#').count();
                let right = format!("{} {}", &"######"[..level], raw[hashes..].trim_start());
                problems.push(problem::heading_without_space(line, &raw[..hashes], &right));
            }
            None => {}
        }
    }
}

/// The level of a step's heading that a line of a paragraph is meant as; a single `#` is meant as two.
pub(super) fn heading_almost(text: &str, line: Span) -> Option<usize> {
    let hashes = text[line.start..line.end].bytes().take_while(|b| *b == b'#').count();
    (hashes >= 1 && Head::atx(text, line, 6).is_annotated()).then_some(hashes.max(2))
}
