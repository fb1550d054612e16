//! Draws diagnostics: for people like a compiler does, and as JSON. Prints nothing.
//!
//! Nothing of a document reaches the drawing raw: control characters and those that turn the direction of
//! text around are replaced, and long lines are cut around the place.

use super::fix::JsonFix;
use super::{Diagnostic, Position, Severity, Source, Span};
use crate::value::words;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

/// Places of one problem that are this many lines apart or fewer are drawn in one piece.
const TOGETHER: usize = 40;

/// Bytes of a line shown on either side of a place.
const AROUND: usize = 400;

/// Characters of a message that are shown.
const MESSAGE: usize = 600;

/// A diagnostic as scripts see it. Lines and columns start at 1, columns count characters, the end is
/// exclusive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Json {
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub end_line: usize,
    pub end_column: usize,
    pub severity: &'static str,
    pub code: &'static str,
    pub message: String,
    pub help: Option<String>,
    pub related: Vec<JsonPlace>,
    pub fixes: Vec<JsonFix>,
}

/// Another place that a problem involves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JsonPlace {
    pub line: usize,
    pub column: usize,
    pub end_line: usize,
    pub end_column: usize,
    pub message: String,
}

/// The diagnostics of one source for JSON output.
pub fn json(source: &Source, diagnostics: &[Diagnostic]) -> Vec<Json> {
    diagnostics
        .iter()
        .map(|diagnostic| {
            let (start, end) = (source.position(diagnostic.span.start), source.position(diagnostic.span.end));
            let related = diagnostic.related.iter().map(|related| {
                let (start, end) = (source.position(related.span.start), source.position(related.span.end));
                JsonPlace {
                    line: start.line,
                    column: start.column,
                    end_line: end.line,
                    end_column: end.column,
                    message: related.label.clone(),
                }
            });
            Json {
                file: source.name.clone(),
                line: start.line,
                column: start.column,
                end_line: end.line,
                end_column: end.column,
                severity: diagnostic.severity.name(),
                code: diagnostic.code,
                message: diagnostic.message.clone(),
                help: diagnostic.help.clone(),
                related: related.collect(),
                fixes: diagnostic.fixes.iter().map(JsonFix::from).collect(),
            }
        })
        .collect()
}

/// The diagnostics of one source, each with its lines, and their count at the end. Empty without diagnostics.
pub fn human(source: &Source, diagnostics: &[Diagnostic], colour: bool) -> String {
    let mut drawn: String = diagnostics.iter().map(|diagnostic| one(source, diagnostic, colour)).collect();
    if !diagnostics.is_empty() {
        drawn.push_str(&format!("{}: {}\n", visible(&source.name), count(diagnostics)));
    }
    drawn
}

/// One diagnostic with its lines and an empty line after it.
pub fn one(source: &Source, diagnostic: &Diagnostic, colour: bool) -> String {
    let renderer = if colour { Renderer::styled().hyperlink(false) } else { Renderer::plain() };
    draw(source, diagnostic, &renderer) + "\n\n"
}

/// `2 errors, 1 warning`; empty without diagnostics.
pub fn count(diagnostics: &[Diagnostic]) -> String {
    let of = |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
    let counts = [Severity::Error, Severity::Warning, Severity::Note].map(|kind| (of(kind), kind.name()));
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    counts.map(|(count, what)| words::count(count, what)).collect::<Vec<_>>().join(", ")
}

/// Text with the characters escaped that a terminal would obey or that change its direction.
pub fn visible(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) { '\u{fffd}' } else { c }).collect()
}

/// The same for JSON, without loss: such characters become escapes, and line ends remain.
pub fn visible_json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // Between values, not within texts.
            '\n' => shown.push(c),
            // All of them have four digits.
            c if is_hidden(c) => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => shown.push(c),
        }
    }
    shown
}

fn is_hidden(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    // XML does not allow the last two.
    turns || (c.is_control() && c != '\t') || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}')
}

fn draw(source: &Source, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(message(&diagnostic.message)).id(diagnostic.code);
    let mut group = Group::with_title(title);
    let pieces = pieces(source, diagnostic);
    for piece in &pieces {
        let path = visible(&source.name);
        if piece.cut {
            let origin = Origin::path(path).line(piece.start.line).char_column(piece.start.column);
            group = group.element(origin).element(piece.snippet());
        } else {
            group = group.element(piece.snippet().path(path));
        }
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(message(help)));
    }
    renderer.render(&[group])
}

fn message(text: &str) -> String {
    let mut message = visible(text);
    if let Some((cut, _)) = message.char_indices().nth(MESSAGE) {
        message.truncate(cut);
        message.push('…');
    }
    message
}

/// A place to mark, the primary one first.
#[derive(Clone)]
struct PlaceMark {
    span: Span,
    label: String,
    primary: bool,
    /// The lines of the span's start and end, from 1.
    lines: (usize, usize),
}

/// Some lines of the source with the places marked in them.
struct Piece {
    text: String,
    /// The number of the first line.
    first: usize,
    /// The position of the first mark.
    start: Position,
    /// A long line is shortened, so its columns are not those in the document.
    cut: bool,
    marks: Vec<PlaceMark>,
}

/// The places of a diagnostic; places near one another share a piece.
fn pieces(source: &Source, diagnostic: &Diagnostic) -> Vec<Piece> {
    let mark = |span: Span, label: &str, primary| {
        let lines = (source.position(span.start).line, source.position(span.end.max(span.start)).line);
        PlaceMark { span, label: message(label), primary, lines }
    };
    let mut piles = vec![vec![mark(diagnostic.span, &diagnostic.label, true)]];
    for related in &diagnostic.related {
        let mark = mark(related.span, &related.label, false);
        let near =
            |pile: &Vec<PlaceMark>| pile.iter().any(|other| other.lines.0.abs_diff(mark.lines.0) <= TOGETHER);
        match piles.iter_mut().find(|pile| near(pile)) {
            Some(pile) => pile.push(mark),
            None => piles.push(vec![mark]),
        }
    }
    piles.into_iter().map(|pile| piece(source, pile)).collect()
}

/// Copies the lines of the marks, made visible, and moves the marks to where they are in the copy.
fn piece(source: &Source, mut marks: Vec<PlaceMark>) -> Piece {
    let start = source.position(marks.first().map_or(0, |mark| mark.span.start));
    let first = marks.iter().map(|mark| mark.lines.0).min().unwrap_or(1);
    // A mark over many lines shows only its beginning.
    let last = marks.iter().map(|mark| mark.lines.1.min(mark.lines.0 + 3)).max().unwrap_or(first);
    let mut cut = false;
    let (mut text, mut moved) = (String::new(), vec![Span::default(); marks.len()]);
    for number in first..=last.max(first) {
        let line = source.line(number);
        let window = window(source, line, &marks);
        cut |= window != line;
        for (at, c) in source.slice(window).char_indices() {
            let at = window.start + at;
            set(&mut moved, &marks, at, text.len());
            if at > 0 || c != '\u{feff}' {
                text.push(if is_hidden(c) { '\u{fffd}' } else { c });
            }
        }
        set(&mut moved, &marks, window.end, text.len());
        text.push('\n');
    }
    for (mark, moved) in marks.iter_mut().zip(moved) {
        mark.span = Span::new(moved.start, moved.end.max(moved.start));
    }
    Piece { text, first, start, cut, marks }
}

/// Moves the start of each mark that begins at or before `at` and has not moved past it, and likewise its end.
fn set(moved: &mut [Span], marks: &[PlaceMark], at: usize, to: usize) {
    for (moved, mark) in moved.iter_mut().zip(marks) {
        if at <= mark.span.start {
            moved.start = to;
        }
        if at <= mark.span.end {
            moved.end = to;
        }
    }
}

/// The visible part of a line: all of it, or the text around its first mark.
fn window(source: &Source, line: Span, marks: &[PlaceMark]) -> Span {
    if line.end - line.start <= 4 * AROUND {
        return line;
    }
    let within = marks.iter().map(|mark| mark.span.start).find(|at| (line.start..=line.end).contains(at));
    let centre = within.unwrap_or(line.start);
    let border =
        |at: usize| (line.start..=at).rev().find(|at| source.text.is_char_boundary(*at)).unwrap_or(at);
    let start = border(centre.saturating_sub(AROUND).max(line.start));
    Span::new(start, border((centre + 3 * AROUND).min(line.end)))
}

impl Piece {
    fn snippet(&self) -> Snippet<'_, Annotation<'_>> {
        let annotations = self.marks.iter().map(|mark| {
            let kind = if mark.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let annotation = kind.span(mark.span.start..mark.span.end);
            if mark.label.is_empty() { annotation } else { annotation.label(mark.label.as_str()) }
        });
        Snippet::source(self.text.as_str()).line_start(self.first).fold(true).annotations(annotations)
    }
}
