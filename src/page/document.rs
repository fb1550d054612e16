//! The author's document as HTML, a section for each heading. Nothing of it is trusted: raw HTML is shown as text, links
//! lead to the web, to mail or into the page, and images are named instead of loaded.

use super::data::PageData;
use super::expects;
use crate::diag::render::visible;
use crate::diag::{Source, Span};
use crate::spec::{self, Spec};
use maud::{Markup, PreEscaped, html};
use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use std::collections::HashSet;
use std::ops::Range;

/// Longer fences are folded.
const LINES: usize = 12;

/// A heading and what is below it, up to the next heading.
#[derive(Default)]
pub struct Section {
    /// The step of the graph that it is, by index.
    pub step: Option<usize>,
    pub id: String,
    pub title: String,
    pub html: String,
}

/// A top-level block with its bytes in the document.
struct TopBlock<'a> {
    range: Range<usize>,
    events: Vec<Event<'a>>,
}

/// Renders a text, such as the answer of an agent.
pub fn rendered(text: &str) -> String {
    let mut out = String::new();
    let events = Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH);
    pulldown_cmark::html::push_html(&mut out, safe(events).into_iter());
    out
}

/// The sections of the document of a run.
pub fn sections(data: &PageData) -> Vec<Section> {
    let source = Source::new("", data.document.as_str());
    let (spec, _) = spec::parse(&source);
    let body = front_matter(&data.document);
    let mut sections = vec![Section::default()];
    let mut ids = HashSet::new();
    if body > 0 {
        let front = data.document[..body].trim().trim_matches('-').trim();
        sections[0].html = folded("settings", front).into_string();
    }
    for block in blocks(&data.document, body) {
        let Some(Event::Start(Tag::Heading { level, .. })) = block.events.first() else {
            if let Some(section) = sections.last_mut() {
                let step = section.step.map(|step| (step, written(&spec, &source, data, step)));
                section.html.push_str(&of_block(data, &block, step).into_string());
            }
            continue;
        };
        let line = source.position(block.range.start).line;
        let level = number(*level);
        let mut steps = data.graph.steps.iter();
        let step = steps.position(|step| step.line == line && !step.revokes);
        let plain = plain(&block.events);
        let of_spec = spec.steps.iter().find(|step| step.heading.start == block.range.start);
        let (title, tail) = match of_spec {
            Some(step) => {
                let tail = Span::new(step.title.span.end, step.heading.end);
                (visible(&step.title.value), visible(source.slice(tail).trim()))
            }
            None => (visible(&plain), String::new()),
        };
        let id = unique(slug(&title), &mut ids);
        let inner = match of_spec {
            Some(_) => html! { (title) @if !tail.is_empty() { " " span.tag { (tail) } } },
            None => {
                let inner = block.events.get(1..block.events.len().saturating_sub(1)).unwrap_or_default();
                let mut out = String::new();
                pulldown_cmark::html::push_html(&mut out, safe(inner.iter().cloned()).into_iter());
                PreEscaped(out)
            }
        };
        sections.push(Section { step, id, title, html: heading(level, &inner).into_string() });
    }
    if sections.first().is_some_and(|first| first.html.is_empty()) {
        sections.remove(0);
    }
    sections
}

fn heading(level: u8, inner: &Markup) -> Markup {
    html! {
        @match level {
            1 => h1 dir="auto" { (inner) },
            2 => h2 dir="auto" { (inner) },
            3 => h3 dir="auto" { (inner) },
            4 => h4 dir="auto" { (inner) },
            5 => h5 dir="auto" { (inner) },
            _ => h6 dir="auto" { (inner) },
        }
    }
}

/// The step as the document has it.
fn written<'a>(spec: &'a Spec, source: &Source, data: &PageData, step: usize) -> Option<&'a spec::Step> {
    let line = data.graph.steps.get(step)?.line;
    spec.steps.iter().find(|step| source.position(step.heading.start).line == line)
}

/// Where the body begins.
fn front_matter(text: &str) -> usize {
    let mut at = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let is_rule = line.trim_end() == "---";
        if index == 0 && !is_rule {
            return 0;
        }
        at += line.len();
        if index > 0 && is_rule {
            return at;
        }
    }
    0
}

fn blocks(text: &str, start: usize) -> Vec<TopBlock<'_>> {
    let body = text.get(start..).unwrap_or("");
    let mut blocks: Vec<TopBlock<'_>> = Vec::new();
    let mut depth = 0usize;
    for (event, range) in Parser::new_ext(body, Options::ENABLE_TABLES).into_offset_iter() {
        let begins = depth == 0;
        match &event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        match blocks.last_mut() {
            Some(block) if !begins => block.events.push(event),
            _ => blocks.push(TopBlock { range: range.start + start..range.end + start, events: vec![event] }),
        }
    }
    blocks
}

/// A block below a heading; of a step, lines with a meaning are set apart.
fn of_block(data: &PageData, block: &TopBlock<'_>, step: Option<(usize, Option<&spec::Step>)>) -> Markup {
    let text = data.document.get(block.range.clone()).unwrap_or("");
    match block.events.first() {
        Some(Event::Start(Tag::CodeBlock(kind))) => fence(kind, &block.events),
        Some(Event::Start(Tag::BlockQuote(_))) => {
            let first = text.trim_start_matches(['>', ' ', '\t']);
            if is_callout(first, "[!expect]") {
                expects::of_step(data, step.map(|(step, _)| step), first)
            } else if is_callout(first, "[!gate") {
                gate(first)
            } else {
                prose(block.events.iter().cloned())
            }
        }
        Some(Event::Start(Tag::Paragraph)) if step.is_some() => {
            paragraph(text, block.range.start, step.and_then(|(_, step)| step))
        }
        Some(Event::Start(Tag::Table(_))) => {
            html! { div.wide tabindex="0" role="group" aria-label="Table" { (prose(block.events.iter().cloned())) } }
        }
        _ => prose(block.events.iter().cloned()),
    }
}

fn prose<'a>(events: impl Iterator<Item = Event<'a>>) -> Markup {
    let mut out = String::new();
    pulldown_cmark::html::push_html(&mut out, safe(events).into_iter());
    html! { div.prose dir="auto" { (PreEscaped(out)) } }
}

fn is_callout(text: &str, mark: &str) -> bool {
    text.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark))
}

/// The kinds of lines in a paragraph of a step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LineKind {
    Prose,
    Signature,
    Field,
    Decision,
}

/// A paragraph of a step, whose lines may have different meanings.
fn paragraph(text: &str, start: usize, step: Option<&spec::Step>) -> Markup {
    let mut parts: Vec<(LineKind, String)> = Vec::new();
    let mut at = start;
    for line in text.split_inclusive('\n') {
        let kind = line_kind(line, at, step);
        at += line.len();
        match parts.last_mut() {
            Some((known, all)) if *known == kind => all.push_str(line),
            _ => parts.push((kind, line.to_owned())),
        }
    }
    html! {
        @for (kind, text) in &parts {
            @match kind {
                LineKind::Prose => (prose(Parser::new_ext(text, Options::ENABLE_TABLES))),
                LineKind::Signature => p.sig { code { (visible(text.trim()).trim_matches('`')) } },
                LineKind::Field => p.fields { @for line in text.lines() { code { (visible(line.trim())) } " " } },
                LineKind::Decision => p.decision { @for line in text.lines() { (visible(line.trim())) br; } },
            }
        }
    }
}

fn line_kind(line: &str, at: usize, step: Option<&spec::Step>) -> LineKind {
    let holds = |span: Span| span.start < at + line.len() && span.end > at;
    let Some(step) = step else { return LineKind::Prose };
    if step.signature.as_ref().is_some_and(|signature| holds(signature.span)) {
        return LineKind::Signature;
    }
    if step.chains.iter().flatten().any(|arm| holds(arm.span)) {
        return LineKind::Decision;
    }
    // One or several fields, such as `[irreversible] [retry:: 2]`.
    let inside = line.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or("");
    let name = inside.split([':', ']']).next().unwrap_or("");
    let is_field = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    if is_field { LineKind::Field } else { LineKind::Prose }
}

/// A fence: programs and other code as they are, long ones, tables of executions and diagrams folded.
fn fence(kind: &CodeBlockKind<'_>, events: &[Event<'_>]) -> Markup {
    let info = match kind {
        CodeBlockKind::Fenced(info) => visible(info),
        CodeBlockKind::Indented => String::new(),
    };
    let text: String = plain(events).split('\n').map(visible).collect::<Vec<_>>().join("\n");
    let rows = text.lines().filter(|line| line.starts_with([' ', '\t'])).count();
    match info.split_whitespace().next() {
        Some("session-toon") => folded(&format!("{rows} recorded executions"), &text),
        Some("mermaid") => folded("diagram", &text),
        language => {
            let label = language.unwrap_or("");
            if text.lines().count() > LINES {
                folded(&format!("{label} · {} lines", text.lines().count()), &text)
            } else {
                html! { figure.code { @if !label.is_empty() { figcaption { (info) } } pre tabindex="0" { (text) } } }
            }
        }
    }
}

fn folded(summary: &str, text: &str) -> Markup {
    html! { details.fold { summary { (summary) } pre tabindex="0" { (text) } } }
}

fn gate(text: &str) -> Markup {
    let (mark, question) = text.split_once(']').unwrap_or((text, ""));
    let mark = mark.trim_start_matches("[!").trim();
    let question: Vec<&str> =
        question.lines().map(|line| line.trim_start_matches(['>', ' ']).trim()).collect();
    html! {
        p.callout.gate { span.tag { (visible(mark)) } " " (visible(question.join(" ").trim())) }
    }
}

/// The text of events, without marks.
fn plain(events: &[Event<'_>]) -> String {
    let mut text = String::new();
    for event in events {
        match event {
            Event::Text(part) | Event::Code(part) => text.push_str(part),
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            _ => {}
        }
    }
    text
}

/// Events that can do no harm.
fn safe<'a>(events: impl Iterator<Item = Event<'a>>) -> Vec<Event<'a>> {
    let mut out = Vec::new();
    let mut links: Vec<bool> = Vec::new();
    let mut images = 0usize;
    // A comment comes in lines.
    let mut in_comment = false;
    for event in events {
        match event {
            Event::Html(text) | Event::InlineHtml(text) => {
                if in_comment || text.trim_start().starts_with("<!--") {
                    in_comment = !text.contains("-->");
                } else {
                    out.push(Event::Text(visible(text.trim_end_matches('\n')).into()));
                }
            }
            Event::Start(Tag::HtmlBlock) => out.push(Event::Start(Tag::Paragraph)),
            Event::End(TagEnd::HtmlBlock) => out.push(Event::End(TagEnd::Paragraph)),
            Event::Text(text) => out.push(Event::Text(shown(text))),
            Event::Code(text) => out.push(Event::Code(shown(text))),
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                let leads =
                    ["http://", "https://", "mailto:", "#"].iter().any(|begin| starts(&dest_url, begin));
                links.push(leads);
                if leads {
                    out.push(Event::Start(Tag::Link { link_type, dest_url, title, id }));
                }
            }
            Event::End(TagEnd::Link) => {
                if links.pop() == Some(true) {
                    out.push(Event::End(TagEnd::Link));
                }
            }
            Event::Start(Tag::Image { .. }) => {
                images += 1;
                out.push(Event::InlineHtml(CowStr::Borrowed("<span class=\"image\">image: ")));
            }
            Event::End(TagEnd::Image) => {
                images = images.saturating_sub(1);
                out.push(Event::InlineHtml(CowStr::Borrowed("</span>")));
            }
            // It would be an attribute of the image.
            Event::Start(_) | Event::End(_) if images > 0 => {}
            Event::Start(Tag::Heading { level, .. }) => {
                out.push(Event::Start(Tag::Heading {
                    level,
                    id: None,
                    classes: Vec::new(),
                    attrs: Vec::new(),
                }));
            }
            other => out.push(other),
        }
    }
    out
}

fn shown(text: CowStr<'_>) -> CowStr<'_> {
    if text.chars().any(|c| c.is_control() || !c.is_ascii()) {
        text.split('\n').map(visible).collect::<Vec<_>>().join("\n").into()
    } else {
        text
    }
}

fn starts(url: &str, begin: &str) -> bool {
    url.get(..begin.len()).is_some_and(|start| start.eq_ignore_ascii_case(begin))
}

fn number(level: HeadingLevel) -> u8 {
    level as u8
}

/// An id such as code hosts give it.
fn slug(title: &str) -> String {
    let mut slug = String::new();
    for c in title.chars() {
        match c {
            c if c.is_alphanumeric() => slug.extend(c.to_lowercase()),
            ' ' | '-' => slug.push('-'),
            _ => {}
        }
    }
    if slug.is_empty() { "section".to_owned() } else { slug }
}

fn unique(slug: String, ids: &mut HashSet<String>) -> String {
    let mut id = slug.clone();
    let mut next = 1;
    while !ids.insert(id.clone()) {
        id = format!("{slug}-{next}");
        next += 1;
    }
    id
}
